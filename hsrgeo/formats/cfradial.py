"""CfRadial 1 in NetCDF-4, rectangular or ragged as KMA's hub serves it: an open file -> Scan.

References:
    CfRadial Data File Format, version 1.4, sections 4 (global attributes) to 5 (moments).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from hsrgeo.formats.hdf5 import Hdf5
from hsrgeo.formats.radar_scan import (
    ECHO,
    MOST_GATES,
    MOST_SWEEPS,
    Scan,
    check_size,
    checked_sweep,
    chosen_moment,
    stored_dbz,
)
from hsrgeo.model.header import SYNTHETIC_MARK
from hsrgeo.model.times import existing

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)")
_UNEVEN = 0.01  # of a gate


def read_cfradial(file: Hdf5) -> Scan:
    """Return what a file says; gates with the fill value hold nothing, for nothing tells them from censored ones.

    Raises:
        FrameError: It is no CfRadial 1, or not sound.
    """
    names = file.names()
    missing = [name for name in _WANTED if name not in names]
    if missing:
        expected = f"an ODIM volume, or CfRadial 1 with the variables {', '.join(_WANTED)}"
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        file.refuse("not a volume", expected, f"HDF5 without {missing[0]}{more}")
    azimuths = file.array("azimuth")
    elevations = file.array("elevation", azimuths.shape)
    first_m, gate_m, most = _gates(file)
    starts, counts = _extents(file, names, azimuths.size, most)
    shape = (int(counts.sum()),) if "ray_n_gates" in names else (azimuths.size, most)
    moments = tuple(name for name in names if _is_moment(file, name, shape))
    moment, notes = chosen_moment(moments)
    stored = _stored(file, moment)
    sweeps, cells = [], 0
    for number, rays in enumerate(_spans(file, azimuths.size), start=1):
        gates = int(counts[rays].max())
        cells = check_size(f"sweep {number}", rays.stop - rays.start, gates, cells)
        block = _block(stored, starts[rays], counts[rays], gates)
        sweep = checked_sweep(f"sweep {number}", elevations[rays], azimuths[rays], first_m, gate_m, block)
        sweeps.append(sweep)
    time, text = _time(file, names)
    called = (file.attribute("", key) for key in ("instrument_name", "site_name"))
    return Scan(
        layout="CfRadial 1",
        lon=_first(file, "longitude"),
        lat=_first(file, "latitude"),
        height_m=_first(file, "altitude"),
        names=tuple(name for name in called if isinstance(name, str) and name),
        time=time,
        time_source="the file, UTC",
        time_text=text,
        sweeps=tuple(sweeps),
        moment=moment,
        moments=moments,
        notes=notes,
        synthetic=str(file.attribute("", "title") or "").startswith(SYNTHETIC_MARK.decode()),
    )


_WANTED = (
    *("azimuth", "elevation", "range", "latitude", "longitude", "altitude"),
    *("sweep_start_ray_index", "sweep_end_ray_index"),
)


def _is_moment(file: Hdf5, name: str, shape: tuple[int, ...]) -> bool:
    """Tell whether a variable has a value a gate; NetCDF keeps the dimensions beside the variables."""
    return bool(file.item(name).shape == shape) and file.attribute(name, "CLASS") != "DIMENSION_SCALE"


def _first(file: Hdf5, name: str) -> float:
    """Return the first value of a variable: a place is one number, or the same one for each ray."""
    values = file.array(name).reshape(-1)
    if not values.size or not np.isfinite(values[0]):
        file.refuse(name, "a number", "none")
    return float(values[0])


def _gates(file: Hdf5) -> tuple[float, float, int]:
    """Return the middle of the first gate [m], the length of a gate [m], and how many there are at most."""
    ranges = file.array("range").astype(np.float64)
    if ranges.ndim != 1 or not 2 <= ranges.size <= MOST_GATES:  # noqa: PLR2004 - a length
        file.refuse("range", f"2 to {MOST_GATES:,} distances", f"{ranges.shape}")
    if not np.isfinite(ranges).all():
        file.refuse("range", "distances in metres", f"{ranges[~np.isfinite(ranges)][0]:g} among them")
    gate = float(ranges[-1] - ranges[0]) / (ranges.size - 1)
    uneven = np.abs(ranges - ranges[0] - gate * np.arange(ranges.size)).max()
    if not gate > 0 or not uneven <= _UNEVEN * gate:  # NaN too
        file.refuse("range", "gates of one length", f"{ranges[0]:g}, {ranges[1]:g} ... {ranges[-1]:g} m")
    return float(ranges[0]), gate, ranges.size


def _extents(file: Hdf5, names: list[str], rays: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the values of each ray begin, and how many it has."""
    if "ray_n_gates" not in names:
        return np.arange(rays, dtype=np.int64) * most, np.full(rays, most, np.int64)
    counts = file.array("ray_n_gates", (rays,), dtype_kinds="iu").astype(np.int64)
    starts = file.array("ray_start_index", (rays,), dtype_kinds="iu").astype(np.int64)
    if counts.min(initial=0) < 0 or counts.max(initial=0) > most:
        found = f"{counts.min()} to {counts.max()}"
        file.refuse("ray_n_gates", f"0 to {most:,} gates, as range has", found)
    if starts.min(initial=0) < 0 or (starts > counts.sum() - counts).any():
        file.refuse("ray_start_index", f"rays within {counts.sum():,} values", f"{starts.min()} to {starts.max()}")
    return starts, counts


def _spans(file: Hdf5, rays: int) -> list[slice]:
    """Return the rays of each sweep."""
    firsts, lasts = (file.array(f"sweep_{end}_ray_index", dtype_kinds="iuf").reshape(-1) for end in ("start", "end"))
    sound = 1 <= firsts.size == lasts.size <= MOST_SWEEPS and ((firsts >= 0) & (firsts <= lasts) & (lasts < rays)).all()
    if not sound:
        found = f"{firsts[:3]} to {lasts[:3]} ..., of {rays:,} rays"
        file.refuse("sweep_start_ray_index, sweep_end_ray_index", f"1 to {MOST_SWEEPS} sweeps", found)
    return [slice(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]


def _stored(file: Hdf5, moment: str) -> NDArray[np.int16]:
    packing = {key: file.attribute(moment, key) for key in ("scale_factor", "add_offset", "_FillValue")}
    where = f"attributes of {moment}"
    gain, offset = (
        file.number({key: default} if packing[key] is None else packing, key, where)
        for key, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    fill = packing["_FillValue"]
    return stored_dbz(file.array(moment).reshape(-1), gain, offset, fill if isinstance(fill, (int, float)) else None)


def _block(
    stored: NDArray[np.int16], starts: NDArray[np.int64], counts: NDArray[np.int64], gates: int
) -> NDArray[np.int16]:
    """Return the rays of a sweep, filled up with nodata where one is shorter than the longest."""
    first, rays = int(starts[0]), len(starts)
    if (counts == gates).all() and (starts == first + gates * np.arange(rays)).all():
        return stored[first : first + rays * gates].reshape(rays, gates)
    along = np.arange(gates)
    index = starts[:, None] + along
    inside = along < counts[:, None]
    return np.where(inside, stored[np.where(inside, index, 0)], np.int16(ECHO.nodata))


def _time(file: Hdf5, names: list[str]) -> tuple[datetime, str]:
    """Return the start of the scan and what the file says: CfRadial has it in UTC."""
    text = str(file.attribute("", "time_coverage_start") or "")
    if "time_coverage_start" in names:
        text = file.array("time_coverage_start", dtype_kinds="SO").tobytes().decode("utf-8", "replace").strip("\0 ")
    match = _TIME.search(text)
    try:
        if match is None:
            raise ValueError(text)  # noqa: TRY301 - as below
        year, month, day, hour, minute, second = map(int, match.groups())
        return existing(datetime(year, month, day, hour, minute, second, tzinfo=UTC)), text
    except ValueError:
        file.refuse("time_coverage_start", "YYYY-MM-DDThh:mm:ssZ", text or "nothing")
