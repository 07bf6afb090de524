"""`hsrgeo fetch key`."""

import sys
from typing import Annotated

import typer

from hsrgeo.cli.common import answer, honest_exit, say
from hsrgeo.cli.fetch.fetch_options import Host


def key(
    set_: Annotated[
        bool, typer.Option("--set", help="Prompt for the key, or read it from stdin, and save it.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Check the key with one call to KMA.")] = False,
    where: Annotated[
        bool, typer.Option("--where", help="Print where the key was found and where hsrgeo looks for it.")
    ] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Delete the key that --set saved.")] = False,
    host: Host = "apihub.kma.go.kr",
) -> None:
    """Save, check or delete the key of KMA's API hub. The key is never an argument and never printed.

    Get one at https://apihub.kma.go.kr (마이페이지), and there click 활용신청 for rdr_cmp_file.php and
    rdr_cmp_file_list.php; for gauges nph-aws2_min and stn_inf.php. hsrgeo looks in the variable KMA_APIHUB_KEY,
    the systemd credential kma-apihub-key, the keyring where the package keyring is installed, and the file that --set
    writes, which only you can read.

    Example: hsrgeo fetch key --set
    """
    with honest_exit():
        from hsrgeo.errors import OptionsError  # noqa: PLC0415 - only where it runs
        from hsrgeo.hub.key import find_key, forget_key, places, save_key  # noqa: PLC0415

        if set_ + check + where + forget != 1:
            raise OptionsError("give one of --set, --check, --where and --forget")
        if set_:
            text = typer.prompt("Key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
            file = save_key(text)
            answer(str(file))
            if (found := find_key().origin) != str(file):
                say(f"note: {found} goes before it")
        elif forget:
            say("removed" if forget_key() else "there is no file with a key")
        elif where:
            say("looked for in this order:", *(f"  {place}" for place in places()))
            answer(find_key().origin)
        else:
            _check(host)


def _check(host: str) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415

    from hsrgeo.hub.client import Hub  # noqa: PLC0415
    from hsrgeo.hub.frames import ask_list  # noqa: PLC0415
    from hsrgeo.model.times import KST  # noqa: PLC0415

    hub = Hub(host=host)
    ask_list(hub, "HSR", datetime.now(UTC).astimezone(KST).date())
    used, limits = hub.budget.used(), hub.budget.limits
    answer(f"KMA takes the key from {hub.key.origin}; used today: {used.calls:,} of {limits.calls:,} calls")
