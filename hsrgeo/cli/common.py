"""What the commands share: where talk goes, how errors end, how times are read."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum

import typer

from hsrgeo.errors import HsrGeoError, ManifestError, OptionsError, OutputError, SourceError


class Status(IntEnum):
    """Exit statuses."""

    DONE = 0
    BROKEN = 1
    USAGE = 2
    INTERRUPTED = 130


def say(text: str) -> None:
    """Print a line to stderr, as long as somebody reads there; stdout is for what a script may want."""
    try:
        typer.echo(_printable(text), err=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def answer(text: str) -> None:
    """Print a line to stdout, as long as somebody reads there.

    Whoever read it may go, as `head` does: then the work goes on in silence, and the exit status is that of the work.

    Raises:
        OutputError: The disk that stdout goes to is full.
    """
    try:
        typer.echo(_printable(text))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise OutputError("stdout", f"cannot be written: {error.strerror or error}") from error


def answer_json(value: object) -> None:
    """Print JSON to stdout: letters as they are, or escaped as JSON has it where stdout lacks them."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    answer(text if _printable(text) == text else json.dumps(value, indent=1))


def counted(count: int, word: str) -> str:
    """Return ``1 file`` or ``2,000 files``."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _printable(text: str) -> str:
    # A member name may be no text in any encoding, and a terminal may lack letters: show, never fail.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def honest_exit(*, goes_on: bool = False) -> Iterator[None]:
    """Turn whatever escapes a command into a message and an exit status; a user never sees a traceback.

    Args:
        goes_on: Whether the same command again does only what is missing.
    """
    try:
        yield
    except typer.Exit:
        raise
    except (OptionsError, SourceError, ManifestError) as error:
        say(f"hsrgeo: {error}")
        raise typer.Exit(Status.USAGE) from None
    except HsrGeoError as error:
        say(f"hsrgeo: {error}")
        raise typer.Exit(Status.BROKEN) from None
    except KeyboardInterrupt:
        rest = "; what is done stays done, and the same command goes on from there" if goes_on else ""
        say(f"hsrgeo: interrupted{rest}")
        raise typer.Exit(Status.INTERRUPTED) from None
    except Exception as error:
        if os.environ.get("HSRGEO_TRACEBACK"):
            raise
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        say(
            f"hsrgeo: a bug in hsrgeo, please report it: {type(error).__name__}: {error}{notes}\n"
            "        HSRGEO_TRACEBACK=1 shows where"
        )
        raise typer.Exit(Status.BROKEN) from None


def time_option(text: str | None) -> datetime | None:
    """Read a time that a user typed, or None."""
    from hsrgeo.model.times import parse_time  # noqa: PLC0415 - imports of commands are for commands

    return None if text is None else parse_time(text)
