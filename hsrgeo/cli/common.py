"""What the commands share: where talk goes, how errors end, how times are read."""

import errno
import json
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType
from typing import Any, TextIO

import typer

from hsrgeo.errors import (
    NO_ROOM,
    HsrGeoError,
    HsrGeoWarning,
    HubLimitError,
    ManifestError,
    NoRoomError,
    OptionsError,
    OutputError,
    SourceError,
    printable,
)

_PARAMETER = re.compile(r"(?<![\w./\\'-])[a-z]+(?:_[a-z]+)+(?![\w./\\'-])", re.ASCII)  # in no path and no quotes
_NAMES = r"[a-z_]+(?:(?:, | and | or )[a-z_]+)*"
_PARAMETERS = re.compile(
    rf"^{_NAMES}(?=:| (?:is|are|goes|go|needs?|must|does|do|both|raw|all)\b| (?:[-+\d'\"]|nan|inf))"
    rf"|(?<=: ){_NAMES}(?= exclude )"
    rf"|(?:(?<=\bgive )|(?<=\bafter )|(?<=\bwith )|(?<=\bwithout )|(?<=\bneeds )|(?<=\bone of )){_NAMES}",
    re.ASCII,
)
# ^ where a word such as ``region`` or ``end`` is a parameter, and no word of the sentence


class Status(IntEnum):
    """Exit statuses; 128 and the number of a signal where one ended it: 130 for Ctrl-C."""

    DONE = 0
    BROKEN = 1
    USAGE = 2
    LIMIT = 3
    """Of what a service gives in a time: the same command goes on later."""


def say(*lines: str) -> None:
    """Print lines to stderr, as long as somebody reads there; stdout is for what a script may want.

    Where they cannot be printed, for the reader went or the disk of a log is full, there is nowhere left to say so.

    Args:
        lines: Whatever is in them is shown in one line each: names and errors come from files and servers.
    """
    try:
        typer.echo(_shown(lines), err=True)
    except OSError:
        _forget(sys.stderr)


def say_notes(notes: Iterable[str]) -> None:
    """Print what a user should know to stderr, see `say`."""
    for note in notes:
        say(f"note: {_with_options(note)}")


def say_failed(problems: Sequence[object], most: int) -> None:
    """Print the first problems to stderr, and how many more there are, see `say`."""
    for problem in problems[:most]:
        say(f"failed: {problem}")
    if (more := len(problems) - most) > 0:
        say(f"failed: {more:,} more")


def answer(*lines: str) -> None:
    """Print lines to stdout, as long as somebody reads there.

    Whoever read it may go, as `head` does: then the work goes on in silence, and the exit status is that of the work.

    Raises:
        OutputError: The disk that stdout goes to is full.
    """
    try:
        typer.echo(_shown(lines))
    except BrokenPipeError:
        _forget(sys.stdout)
    except OSError as error:
        raise refused(error) from error


def refused(error: OSError) -> OutputError:
    """Return the error of a stdout that takes no more, such as a full disk; nothing is written there from now on."""
    _forget(sys.stdout)
    return OutputError("stdout", f"cannot be written: {error.strerror or error}")


def answer_json(value: object) -> None:
    """Print JSON to stdout: letters as they are, or escaped as JSON has it where a terminal lacks or obeys them."""
    lines = json.dumps(value, ensure_ascii=False, indent=1).split("\n")
    answer(*lines if _shown(lines) == "\n".join(lines) else json.dumps(value, indent=1).split("\n"))


def _forget(stream: TextIO | None) -> None:
    """Lead a stream nowhere: what it still holds would be written at the end, and fail or wait there."""
    with suppress(OSError, ValueError, AttributeError):  # it is closed, or stands for one and is none
        descriptor = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(descriptor, stream.fileno())  # type: ignore[union-attr]
        finally:
            os.close(descriptor)


def counted(count: int, word: str) -> str:
    """Return ``1 file`` or ``2,000 files``."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _shown(lines: Iterable[str]) -> str:
    """Return lines as they can be printed: the one place where texts from files are made harmless for a terminal."""
    # A terminal may lack letters too: show, never fail.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return "\n".join(map(printable, lines)).encode(encoding, "backslashreplace").decode(encoding)


_OPTIONS: ContextVar[Mapping[str, str]] = ContextVar("_OPTIONS", default=MappingProxyType({}))
"""Options of the command that runs, such as ``--min-pairs``, by the parameters that a message may call them."""


@contextmanager
def options_called(names: Mapping[str, str]) -> Iterator[None]:
    """Let messages on wrong usage call parameters as options are called; `names` has these by parameter."""
    token = _OPTIONS.set(names)
    try:
        yield
    finally:
        _OPTIONS.reset(token)


def _with_options(text: str) -> str:
    names = _OPTIONS.get()
    return _PARAMETER.sub(lambda found: names.get(found[0], found[0]), text)


def _with_all_options(text: str) -> str:
    """Return a message on wrong usage with options in place of parameters; a list of them only where each is one."""
    names = _OPTIONS.get()

    def called(found: re.Match[str]) -> str:
        known = [names.get(word) for word in re.split(", | and | or ", found[0])]
        return re.sub("[a-z_]+", lambda word: names.get(word[0], word[0]), found[0]) if all(known) else found[0]

    return _with_options(_PARAMETERS.sub(called, text))


@contextmanager
def honest_exit(*, goes_on: bool = False) -> Iterator[None]:
    """Turn whatever escapes a command into a message and an exit status; a user never sees a traceback.

    Args:
        goes_on: Whether the same command again does only what is missing.
    """
    try:
        with _warnings_said():
            yield
    except typer.Exit:
        raise
    except (OptionsError, SourceError, ManifestError) as error:
        say(f"hsrgeo: {_with_all_options(str(error)) if isinstance(error, OptionsError) else error}")
        raise typer.Exit(Status.USAGE) from None
    except NoRoomError as error:
        _say_no_room(str(error), goes_on=goes_on)
        raise typer.Exit(Status.BROKEN) from None
    except HsrGeoError as error:
        is_limit = isinstance(error, HubLimitError)
        say(f"hsrgeo: {error}", *(["        run the same command later to resume"] if is_limit else []))
        raise typer.Exit(Status.LIMIT if is_limit else Status.BROKEN) from None
    except KeyboardInterrupt as interrupt:
        number = interrupt.args[0] if interrupt.args else signal.SIGINT
        how = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
        rest = "; run the same command again to resume" if goes_on else ""
        say(f"hsrgeo: interrupted{how}{rest}")
        raise typer.Exit(128 + number) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM and not error.filename:  # as all of hsrgeo's own have
            problem = f"cannot be written: {error.strerror}; the variable TMPDIR names another folder for them"
            _say_no_room(f"temporary files: {problem}", goes_on=goes_on)
            raise typer.Exit(Status.BROKEN) from None
        if refusal := _refusal(error):
            say(
                f"hsrgeo: {refusal}, and run the same command again{': it resumes where it stopped' if goes_on else ''}"
            )
            raise typer.Exit(Status.BROKEN) from None
        if os.environ.get("HSRGEO_TRACEBACK"):
            raise
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        say(
            f"hsrgeo: a bug in hsrgeo, please report it: {type(error).__name__}: {error}{notes}",
            "        HSRGEO_TRACEBACK=1 shows where",
        )
        raise typer.Exit(Status.BROKEN) from None


def _refusal(error: Exception) -> str:
    """Return what the system refused and what to do; empty where it did not: then the error is a bug."""
    if isinstance(error, OSError):
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        file = error.filename if error.filename2 is None else error.filename2
        place = f"{os.fsdecode(file)}: " if isinstance(file, (str, bytes)) else ""
        return f"{place}{error.strerror or error} ({name}{_call_in(error)}); check the disk and the network"
    if isinstance(error, MemoryError):
        return "memory ran out; take fewer --jobs or a smaller area"
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "the system allows no more threads; end other programs or take fewer --jobs"
    if isinstance(error, ImportError):
        first = error
        while isinstance(first.__cause__, ImportError):  # numpy wraps it in much advice
            first = first.__cause__
        if str(first.path).endswith((".so", ".pyd")):
            folders = os.environ.get("LD_LIBRARY_PATH")
            hint = f"unset LD_LIBRARY_PATH ({folders})" if folders else "install its package again"
            return f"a library cannot be loaded: {first}; {hint}"
    return ""


def _call_in(error: BaseException) -> str:
    """Return which function of hsrgeo an error came through last, for a report; empty where it is not known."""
    frames = [frame for frame, _line in traceback.walk_tb(error.__traceback__)]
    last = next((one for one in reversed(frames) if str(one.f_globals.get("__name__")).startswith("hsrgeo.")), None)
    return f" in {last.f_globals['__name__']}.{last.f_code.co_name}" if last else ""


@contextmanager
def _warnings_said() -> Iterator[None]:
    """Print hsrgeo's own warnings as notes, without the line of code that Python adds."""
    with warnings.catch_warnings():
        before = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:  # noqa: ANN401
            if issubclass(category, HsrGeoWarning):
                say(f"note: {_with_options(str(message))}")
            else:
                before(message, category, *where, **more)

        warnings.showwarning = show
        yield


def _say_no_room(problem: str, *, goes_on: bool) -> None:
    rest = ": it resumes where it stopped" if goes_on else ""
    say(f"hsrgeo: {problem}", f"        make room and run the same command again{rest}")


def time_option(text: str | None) -> datetime | None:
    """Read a time that a user typed, or None."""
    from hsrgeo.model.times import parse_time  # noqa: PLC0415 - imports of commands are for commands

    return None if text is None else parse_time(text)
