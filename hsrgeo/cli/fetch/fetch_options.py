"""What the commands of `hsrgeo fetch` share."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.errors import OptionsError

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.hub.client import Hub

ASK = "Ask politely"

Pace = Annotated[float, typer.Option(metavar="SECONDS", help="Seconds between requests.", rich_help_panel=ASK)]
LimitCalls = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Calls per day (KST) over all your runs (default 19,000 of KMA's 20,000).",
        rich_help_panel=ASK,
    ),
]
LimitBytes = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Bytes per day, such as 4GB (default 4.75 GB of KMA's 5 GB).", rich_help_panel=ASK
    ),
]
Host = Annotated[
    str,
    typer.Option(metavar="NAME", help="API host. Institutional members use apihub-org.kma.go.kr.", rich_help_panel=ASK),
]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_LEAST_PACE_S = 1.0


def make_hub(pace: float, limit_calls: int | None, limit_bytes: str | None, host: str) -> "Hub":
    """Return the service as the options have it."""
    from hsrgeo.hub.budget import limits_of  # noqa: PLC0415 - only where it runs
    from hsrgeo.hub.client import Hub  # noqa: PLC0415

    return Hub(host=host, limits=limits_of(pace_option(pace, host), limit_calls, bytes_option(limit_bytes)))


def pace_option(pace: float, host: str) -> float:
    """Return the pace, where the service bears it."""
    if pace < _LEAST_PACE_S and not host.startswith("http://127."):
        raise OptionsError(f"--pace {pace:g}: KMA's API hub answers 429 below {_LEAST_PACE_S:g} second")
    return pace


def bytes_option(text: str | None) -> int | None:
    """Read a size that a user typed, or None."""
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise OptionsError(f"--limit-bytes {text!r}: expected a size such as 500MB or 4GB")
    return round(float(match[1]) * _UNITS[match[2].lower()])
