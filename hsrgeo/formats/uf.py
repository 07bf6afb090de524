"""Universal Format (UF), in which KMA's older volumes are: bytes -> Scan.

A file is a row of records, one a ray. Each lies between two copies of its length in bytes (Fortran), and holds 16-bit
words: a header of 45, one of the fields, and for each field a header and its gates. Positions count words from 1.

References:
    Barnes, S. L., 1980: Report on a meeting to establish a common Doppler radar data exchange format. Bulletin of the
    American Meteorological Society 61, 1401-1404.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import FrameFormatError, TruncatedError
from hsrgeo.formats.radar_scan import (
    ECHO,
    MOST_GATES,
    MOST_RAYS,
    MOST_SWEEPS,
    Scan,
    check_size,
    checked_sweep,
    chosen_moment,
    stored_dbz,
)
from hsrgeo.model.times import KST, existing
from hsrgeo.model.volume import Sweep

START_BYTES = 8
_MARK = b"UF"
_HEAD_WORDS, _FIELD_WORDS = 45, 19
_TURN = 64  # steps a degree, and a second of arc
_ZONES = {"UT": UTC, "GM": UTC, "Z": UTC, "KS": KST}
_CENTURY = 100

Words = NDArray[np.int16]


@dataclass(slots=True)
class _Rays:
    """The rays of one sweep."""

    azimuths: list[float] = field(default_factory=list)
    elevations: list[float] = field(default_factory=list)
    values: list[Words] = field(default_factory=list)
    packing: set[tuple[float, float, float, int]] = field(default_factory=set)
    """Middle of the first gate [m], length of a gate [m], dBZ a step, missing value."""


def is_uf(data: bytes) -> bool:
    """Tell whether bytes begin as a record does."""
    return data[4:6] == _MARK and _order(data) is not None


def read_uf(data: bytes) -> Scan:
    """Return what a file says; gates with the missing value hold nothing, for nothing tells them from censored ones.

    Raises:
        FrameError: It is not sound, or has no reflectivity.
    """
    records = list(_records(data, _order(data) or "big"))
    moments = tuple(dict.fromkeys(name for record in records for name in _fields(record)))
    moment, notes = chosen_moment(moments)
    rays: dict[int, _Rays] = {}
    for number, record in enumerate(records, start=1):
        position = _fields(record).get(moment)
        if position is None:
            continue
        one = rays.setdefault(int(record[9]), _Rays())
        _read_ray(record, position, one, f"record {number}")
        if len(one.values) > MOST_RAYS or len(rays) > MOST_SWEEPS:
            check_size(f"record {number}", len(one.values), MOST_GATES + 1)
    sweeps, cells = [], 0
    for number, one in rays.items():
        sweep, cells = _sweep(f"sweep {number}", one, cells)
        sweeps.append(sweep)
    head = records[0]
    time, zone, text = _time(head)
    return Scan(
        layout="UF",
        lon=_degrees(head[21:24]),
        lat=_degrees(head[18:21]),
        height_m=float(head[24]),
        names=tuple(filter(None, (_text(head[10:14]), _text(head[14:18])))),
        time=time,
        time_source=f"the file, {zone}",
        time_text=text,
        sweeps=tuple(sweeps),
        moment=moment,
        moments=moments,
        notes=notes,
    )


def _order(data: bytes) -> Literal["big", "little"] | None:
    """Return the order of the bytes of a number: a record has its length in bytes, and again in words."""
    for order in _ORDERS:
        if int.from_bytes(data[:4], order) == 2 * int.from_bytes(data[6:8], order):
            return order
    return None


_ORDERS: tuple[Literal["big", "little"], ...] = ("big", "little")


def _records(data: bytes, order: Literal["big", "little"]) -> list[Words]:
    """Return the words of each record."""
    found, place = [], 0
    dtype = ">i2" if order == "big" else "<i2"
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], order)
        end = place + 4 + length
        if end + 4 > len(data):
            raise TruncatedError("UF", f"a record of {length:,} bytes at {place:,}", f"{len(data) - place - 4:,} bytes")
        if length % 2 or length < 2 * _HEAD_WORDS or data[place + 4 : place + 6] != _MARK:
            raise FrameFormatError("UF", f"a record at byte {place:,}", data[place : place + 8].hex(" "))
        found.append(np.frombuffer(data, dtype, length // 2, place + 4).astype(np.int16))
        place = end + 4
    return found


def _fields(record: Words) -> dict[str, int]:
    """Return where the header of each field of a record begins, by its name; words count from 0."""
    place = int(record[4]) - 1
    if not 0 <= place < len(record) - 3:
        return {}
    count = int(record[place + 2])
    pairs = record[place + 3 : place + 3 + 2 * max(count, 0)]
    return {_text(pairs[i : i + 1]): int(pairs[i + 1]) - 1 for i in range(0, len(pairs) - 1, 2)}


def _read_ray(record: Words, position: int, rays: _Rays, where: str) -> None:
    head = record[position : position + _FIELD_WORDS] if position >= 0 else record[:0]
    if len(head) < _FIELD_WORDS:
        raise FrameFormatError(where, "the header of a field", f"word {position + 1} of {len(record)}")
    start, scale, first_km, first_m, gate_m, gates = map(int, head[:6])
    if not (0 < start <= len(record) + 1 - gates and 0 <= gates <= MOST_GATES and scale > 0):
        found = f"{gates} gates from word {start} of {len(record)}, {scale} steps a unit"
        raise FrameFormatError(where, "gates within the record", found)
    rays.azimuths.append(int(record[32]) / _TURN)
    rays.elevations.append(int(record[33]) / _TURN)
    rays.values.append(record[start - 1 : start - 1 + gates])
    # As readers take it: the distance is that of the beginning of the first gate.
    rays.packing.add((1000.0 * first_km + first_m + gate_m / 2, float(gate_m), 1 / scale, int(record[44])))


def _sweep(where: str, rays: _Rays, cells: int) -> tuple[Sweep, int]:
    gates = max(map(len, rays.values))
    cells = check_size(where, len(rays.values), gates, cells)
    if len(rays.packing) != 1:
        raise FrameFormatError(where, "rays with the same gates and packing", f"{len(rays.packing)} kinds of rays")
    first_m, gate_m, gain, missing = next(iter(rays.packing))
    stored = np.full((len(rays.values), gates), ECHO.nodata, np.int16)
    for row, values in zip(stored, rays.values, strict=True):
        row[: len(values)] = stored_dbz(values, gain, 0.0, missing)
    azimuths, elevations = np.array(rays.azimuths), np.array(rays.elevations)
    return checked_sweep(where, elevations, azimuths, first_m, gate_m, stored), cells


def _text(words: Words) -> str:
    return words.astype(">i2").tobytes().decode("ascii", "replace").strip("\0 ")


def _degrees(words: Words) -> float:
    degrees, minutes, seconds = (int(word) for word in words)
    return degrees + minutes / 60 + seconds / _TURN / 3600


def _time(head: Words) -> tuple[datetime, str, str]:
    year, month, day, hour, minute, second = (int(word) for word in head[25:31])
    year += 0 if year >= _CENTURY else 2000 if year < 70 else 1900  # noqa: PLR2004 - as POSIX reads two digits
    zone = _text(head[31:32])
    text = f"{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} {zone}".strip()
    try:
        time = existing(datetime(year, month, day, hour, minute, min(second, 59), tzinfo=_ZONES.get(zone, UTC)))
    except ValueError as error:
        raise FrameFormatError("UF, time of the first ray", "a date and time", text) from error
    return time, "KST" if time.tzinfo is KST else "UTC", text
