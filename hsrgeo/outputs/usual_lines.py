"""Manifest lines of the usual form, read by one expression: in a finished run nearly all of its time is theirs.

The expression matches only what `to_json` writes for a frame that was written or dry, with no escapes and no remarks,
and checks all that `from_json` checks. Any other line is `from_json`'s, a damaged one too.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple, cast

from hsrgeo.errors import label_of
from hsrgeo.formats.names import FrameName
from hsrgeo.model.quantity import Statistics
from hsrgeo.outputs.outcome import Outcome, Output, Status
from hsrgeo.writers.rasters import PICTURES

_TEXT = r'"[^"\\\x00-\x1f]*"'
_WORD = r'"[A-Z0-9-]{0,99}"'
_SECONDS = r"(?:0|[1-9][0-9]{0,7})(?:\.[0-9]{1,12})?"  # JSON has no zeros in front
_NUMBER = f"-?{_SECONDS}"
_COUNT = "(?:0|[1-9][0-9]{0,14})"
_PATH = r'"\w[^"\\\x00-\x1f]*"'  # no slash in front; ".." is looked for in all paths at once
_OUTPUT = rf'\{{"path": {_PATH}, "bytes": {_COUNT}, "crc32": "[0-9a-f]{{8}}"\}}'
_COUNTS = "".join(rf', "{name}": ({_COUNT})' for name in ("nodata", "undetect", "echo"))
_VALUES = "".join(rf', "{name}": (null|{_NUMBER})' for name in ("minimum", "mean", "maximum", "stddev"))
_ONE = rf'({_TEXT}): \{{"unit": ({_TEXT}){_COUNTS}{_VALUES}\}}'  # the statistics of a region
_STATISTICS = re.sub(r"\((?!\?)", "(?:", _ONE)
_DAY = "(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}"
_LINE = re.compile(
    rf'\{{"source": ({_TEXT}), "member": (null|{_TEXT}), "product": ({_WORD}), "kind": ({_WORD}), '
    rf'"time": "({_DAY}T[0-9:]{{5}}:00\+09:00)", "time_utc": "[0-9TZ:-]{{20}}", "status": "(ok|dry)", '
    rf'"outputs": \[((?:{_OUTPUT}(?:, {_OUTPUT})*)?)\], "error": null, "seconds": ({_SECONDS}), '
    rf'"stations": ({_COUNT}), "created_utc": (?:null|"({_DAY}T[0-9:]{{8}}Z)"), "crc32": "([0-9a-f]{{8}})", '
    rf'"stamp": ({_TEXT})(?:, "statistics": (\{{(?:{_STATISTICS}(?:, {_STATISTICS})*)?\}}))?\}}\n'
)
_EACH = re.compile(_ONE)
_OUTPUTS = re.compile(r'"path": "([^"]*)", "bytes": ([0-9]*), "crc32": "([0-9a-f]*)"')


class Entry(NamedTuple):
    """The part of a line that a manifest keeps in memory."""

    label: str
    frame_name: FrameName | None
    status: Status
    paths: list[str]
    """Of the outputs."""

    @property
    def first_path(self) -> str:
        """Path of the first picture, as `Recipe.first_path` gives it: what lies beside a PNG comes before it."""
        return next((path for path in self.paths if path.endswith(PICTURES)), "")


def entry_of(outcome: Outcome) -> Entry:
    """Return the part of an outcome that a manifest keeps in memory."""
    return Entry(outcome.label, outcome.frame_name, outcome.status, [output.path for output in outcome.outputs])


def first_path_of(outcome: Outcome) -> str:
    """Return the path of the first picture; see `Entry.first_path`."""
    return next((output.path for output in outcome.outputs if output.path.endswith(PICTURES)), "")


def usual_entry(line: bytes) -> Entry | None:
    """Return the `entry_of` a line's outcome, or None if the line is not of the usual form."""
    parts = _parts(line)
    if parts is None:
        return None
    found, time = parts
    source, member, product, kind, _time, status, outputs = found.groups()[:7]
    label = label_of(source[1:-1], None if member == "null" else member[1:-1])
    frame_name = FrameName(product[1:-1], kind[1:-1], time)
    return Entry(label, frame_name, cast("Status", status), [one[0] for one in _OUTPUTS.findall(outputs)])


def usual_outcome(line: bytes) -> Outcome | None:
    """Return the outcome of a line, or None if the line is not of the usual form."""
    parts = _parts(line)
    if parts is None:
        return None
    found, time = parts
    source, member, product, kind, _time, status, outputs, seconds, stations, created, crc32, stamp, statistics = (
        found.groups()
    )
    return Outcome(
        source[1:-1],
        None if member == "null" else member[1:-1],
        FrameName(product[1:-1], kind[1:-1], time),
        cast("Status", status),
        tuple([Output(path, int(size), int(crc, 16)) for path, size, crc in _OUTPUTS.findall(outputs)]),
        seconds=float(seconds),
        stations=int(stations),
        created=created or "",
        crc32=int(crc32, 16),
        stamp=stamp[1:-1],
        statistics={one[0][1:-1]: _statistics(*one[1:]) for one in _EACH.findall(statistics or "")},
    )


def _statistics(unit: str, nodata: str, undetect: str, echo: str, *values: str) -> Statistics:
    numbers = [None if value == "null" else float(value) for value in values]
    return Statistics(unit[1:-1], int(nodata), int(undetect), int(echo), *numbers)


def _parts(line: bytes) -> tuple[re.Match[str], datetime] | None:
    """Return the parts of a line and its time, or None if the line is not of the usual form."""
    try:
        found = _LINE.fullmatch(line.decode())
        if found is None or ".." in found[7]:
            return None
        if found[10] is not None:
            datetime.fromisoformat(found[10])
        return found, datetime.fromisoformat(found[5])
    except ValueError:
        return None
