"""Lines of a manifest: what one says, how it is written, and what becomes of a damaged one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from hsrgeo.errors import ManifestError
from hsrgeo.model.texts import json_line
from hsrgeo.outputs.journal import journal
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.outputs.outcome import Outcome, from_json, to_json
from hsrgeo.outputs.usual_lines import Entry, entry_of, usual_entry, usual_outcome
from hsrgeo.sources.remote import Place
from hsrgeo.sources.texts import DamagedLines, whole_lines

_Read = TypeVar("_Read")


def line_of_outcome(outcome: Outcome) -> bytes:
    """Return the line of an outcome."""
    return json_line(to_json(outcome)).encode() + b"\n"


def outcome_of_line(line: bytes) -> Outcome:
    """Return the outcome that a line records.

    Raises:
        ValueError: It is damaged.
    """
    outcome = usual_outcome(line)
    if outcome is not None:
        return outcome
    try:
        return from_json(json.loads(line.decode("utf-8-sig")))  # of bytes json guesses the encoding first
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(repr(error)) from error


def entry_of_line(line: bytes) -> Entry:
    """Return what is kept in mind of a line; see `outcome_of_line`."""
    return usual_entry(line) or entry_of(outcome_of_line(line))


def latest_lines(out: Place) -> list[Outcome]:
    """Return the latest line of each frame of a folder, reading each line once.

    Raises:
        ManifestError: The manifest is missing or cannot be read.
    """
    path = out / MANIFEST
    try:
        with journal(out, read_only=True) as kept:
            lines = read_lines(whole_lines(kept.path), path, outcome_of_line)
            return list({line.label: line for _size, line in lines if line is not None}.values())
    except OSError as error:
        raise ManifestError(str(path), f"cannot be opened: {error.strerror or error}") from error


def read_lines(
    lines: Iterable[bytes], name: Place, read: Callable[[bytes], _Read]
) -> Iterator[tuple[int, _Read | None]]:
    """Yield the size in bytes of each whole line and what it says, None of a damaged one; warn of these at the end.

    A ValueError of `read` is a damaged line. `name` is what the warning names: in a bucket the file is a copy.
    """
    damaged = DamagedLines(name)
    for number, line in enumerate(lines, 1):
        record = None
        try:
            record = read(line)
        except ValueError as error:
            damaged.note(number, error)
        yield len(line), record
    damaged.tell()
