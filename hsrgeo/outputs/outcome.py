"""What became of one frame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal, NamedTuple, cast, get_args

from hsrgeo.errors import FrameError, HsrGeoError, as_value, label_of
from hsrgeo.formats.names import FrameName, basename
from hsrgeo.formats.standing import Standing
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import Statistics
from hsrgeo.model.rank import Rank, rank_of
from hsrgeo.model.times import existing, kst_text, utc_text
from hsrgeo.sources.found import Found

Status = Literal["ok", "skipped", "failed", "duplicate", "planned", "dry"]

Key = tuple[str, datetime]
"""Product and time to the minute: one frame is kept for each."""


def key_of(frame_name: FrameName, *, by_kind: bool = False) -> Key:
    """Return the product and time that the outputs of a frame belong to.

    With `by_kind` names of outputs contain the kind: then one frame of each kind is kept.
    """
    return f"{frame_name.product} {frame_name.kind}".strip() if by_kind else frame_name.product, frame_name.time


class Output(NamedTuple):
    """A file that was written."""

    path: str
    """Below OUT, with forward slashes."""
    bytes: int
    crc32: int
    """Of the file."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one frame; a line of the manifest."""

    source: str
    member: str | None
    frame_name: FrameName | None
    """Product, kind and time; None where even these are unknown."""
    status: Status
    outputs: tuple[Output, ...] = ()
    error: HsrGeoError | None = None
    seconds: float = 0.0
    """Working time."""
    stations: int = 0
    """Radars used."""
    created: str = ""
    """Creation time, UTC, ISO 8601; empty where the header has none."""
    crc32: int = 0
    """Of the unpacked frame."""
    stamp: str = ""
    """Size, first and last bytes of the stored file: the same frame again has the same stamp."""
    winner: str = ""
    """For a duplicate: the frame that was kept instead."""
    was: Status | None = None
    """Status that was yielded before, for a frame that lost to a better one that came later."""
    notes: tuple[str, ...] = ()
    """See `Frame.notes`."""
    statistics: Mapping[str, Statistics] = field(default_factory=dict, hash=False)
    """What its outputs hold, by region: what `Frame.statistics` tells of each."""

    def __post_init__(self) -> None:
        error = self.error
        if error is None:
            return
        if isinstance(error, FrameError) and error.member is None and error.source in ("", self.name):
            # raised where only the frame was known: messages name every frame as the sources do
            object.__setattr__(self, "error", error.at(self.source, self.member))
        as_value(error)

    @property
    def key(self) -> Key | None:
        """Product and time, or None where these are unknown."""
        return key_of(self.frame_name) if self.frame_name else None

    @property
    def label(self) -> str:
        """Source and member, for people."""
        return label_of(self.source, self.member)

    @property
    def name(self) -> str:
        """File name without folders."""
        return basename(self.source if self.member is None else self.member)

    @property
    def rank(self) -> Rank:
        """What makes it better than another frame of its product and time."""
        created = datetime.fromisoformat(self.created) if self.created else None
        return rank_of(self.stations, created, self.crc32)

    def skipped(self) -> Outcome:
        """Return the same with the status ``skipped``: `dataclasses.replace` takes four times as long."""
        return Outcome(self.source, self.member, self.frame_name, "skipped", *_AFTER_STATUS(self))

    @property
    def standing(self) -> Standing:
        """What decides between it and another frame of its product and time."""
        return Standing.of(self.frame_name, self.rank, self.label)


_AFTER_STATUS = attrgetter(*[one.name for one in fields(Outcome)[4:]])


CLASH = "is already used by"
"""In the error of a frame whose output path another product or time has."""


def of_found(found: Found, status: Status, *, error: HsrGeoError | None = None) -> Outcome:
    """Return the outcome of a frame that was not worked on."""
    return Outcome(found.source, found.member, found.frame_name, status, error=error)


def header_fields(frame: Frame) -> dict[str, Any]:
    """Return the fields of an outcome that come from the header."""
    header = frame.header
    created = utc_text(header.created) if header.created else ""
    return {"stations": header.station_count, "created": created, "crc32": frame.crc32, "notes": frame.notes}


def with_header(outcome: Outcome, frame: Frame) -> Outcome:
    """Return the outcome with the fields that come from the header."""
    return replace(outcome, **header_fields(frame))


def to_json(outcome: Outcome) -> dict[str, Any]:
    """Return a manifest line."""
    frame_name = outcome.frame_name
    line: dict[str, Any] = {
        "source": outcome.source,
        "member": outcome.member,
        "product": frame_name.product if frame_name else None,
        "kind": frame_name.kind if frame_name else None,
        "time": kst_text(frame_name.time) if frame_name else None,
        "time_utc": utc_text(frame_name.time) if frame_name else None,
        "status": outcome.status,
        "outputs": [output_json(output) for output in outcome.outputs],
        "error": _error_json(outcome.error) if outcome.error else None,
        "seconds": round(outcome.seconds, 4),
        "stations": outcome.stations,
        "created_utc": outcome.created or None,
        "crc32": f"{outcome.crc32:08x}",
        "stamp": outcome.stamp,
    }
    if outcome.winner:
        line["duplicate_of"] = outcome.winner
    if outcome.notes:
        line["notes"] = list(outcome.notes)
    if outcome.statistics:
        line["statistics"] = {region: asdict(one) for region, one in outcome.statistics.items()}
    return line


def from_json(line: dict[str, Any]) -> Outcome:
    """Return what `to_json` wrote; errors come back as their message only.

    Raises:
        KeyError, TypeError, ValueError: It is no such line: somebody may have edited it, or a disk damaged it.
    """
    source, member, stamp, crc32 = line["source"], line["member"], line["stamp"], line["crc32"]
    winner, notes = line.get("duplicate_of", ""), line.get("notes", ())
    created = line["created_utc"] or ""
    _check_texts(source, "" if member is None else member, stamp, created, winner, *notes)
    frame_name = None
    if line["time"] is not None:
        product, kind = line["product"], line["kind"]
        _check_texts(product, kind)
        if not (_WORD.fullmatch(product) and _WORD.fullmatch(kind)):  # paths of outputs are made of them
            raise ValueError(f"product {product!r}, kind {kind!r}: expected letters and numbers")
        frame_name = FrameName(product, kind, _time(line["time"]))
    return Outcome(
        source=source,
        member=member,
        frame_name=frame_name,
        status=_status(line["status"]),
        outputs=tuple([output_from_json(one) for one in line["outputs"]]),
        error=HsrGeoError(_text(line["error"]["message"])) if line["error"] else None,
        seconds=_seconds(line["seconds"]),
        stations=_count(line["stations"]),
        created=utc_text(_time(created)) if created else "",
        crc32=_crc32(crc32),
        stamp=stamp,
        winner=winner,
        notes=tuple(notes),
        statistics={_text(region): _statistics(one) for region, one in dict(line.get("statistics", ())).items()},
    )


def output_json(output: Output) -> dict[str, Any]:
    """Return a file as a line has it."""
    return {"path": output.path, "bytes": output.bytes, "crc32": f"{output.crc32:08x}"}


def output_from_json(value: dict[str, Any]) -> Output:
    """Return what `output_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: It is no such thing.
    """
    path = value["path"]
    # Outputs are removed and replaced by what the manifest tells: it must not tell of files elsewhere.
    if path.startswith("/") or ".." in path.split("/") or "\0" in path or not path.strip("./"):
        raise ValueError(f"{path!r} lies outside")
    return Output(path, _count(value["bytes"]), _crc32(value["crc32"]))


def _check_texts(*values: object) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{value!r} where a text is expected")


def _text(value: object) -> str:
    _check_texts(value)
    return cast("str", value)


_WORD = re.compile(r"[A-Za-z0-9-]{0,99}")  # a header can give P-1 as product
_STATUSES = get_args(Status)


def _time(value: object) -> datetime:
    time = existing(datetime.fromisoformat(_text(value)))
    if time.tzinfo is None:
        raise ValueError(f"the time {value} has no zone")
    return time


def _status(value: object) -> Status:
    if value not in _STATUSES:
        raise ValueError(f"{value!r} is no status")
    return cast("Status", value)


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} where a number is expected")
    return value


def _statistics(value: dict[str, Any]) -> Statistics:
    counts = (_count(value[name]) for name in ("nodata", "undetect", "echo"))
    values = (value[name] for name in ("minimum", "mean", "maximum", "stddev"))
    return Statistics(_text(value["unit"]), *counts, *(None if one is None else _finite(one) for one in values))


def _finite(value: object) -> float:
    if not isinstance(value, (int, float)) or not -_LARGEST < value < _LARGEST:
        raise ValueError(f"{value!r} where a number is expected")
    return float(value)


def _seconds(value: object) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value < _LONGEST_S:
        raise ValueError(f"{value!r} where seconds are expected")
    return float(value)


_LONGEST_S = 1e9
_LARGEST = 1e9  # more than any physical value that int16 holds


def _crc32(value: object) -> int:
    number = int(_text(value), 16)
    if not 0 <= number < 1 << 32:
        raise ValueError(f"{value!r} is no CRC-32")
    return number


def _error_json(error: HsrGeoError) -> dict[str, str]:
    described = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, FrameError):
        described |= {"problem": error.problem, "expected": error.expected, "found": error.found}
    return described
