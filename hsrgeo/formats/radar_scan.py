"""What every layout of volumes gives, before names and tables are asked: and reflectivity as KMA stores it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import FrameFormatError
from hsrgeo.formats.hdf5 import MOST_CELLS
from hsrgeo.model.quantity import QUANTITIES
from hsrgeo.model.volume import Sweep

ECHO = QUANTITIES[1]
CORRECTED = ("DBZH", "CZ", "DBZ", "reflectivity", "corrected_reflectivity", "reflectivity_horizontal")
"""Names of reflectivity with clutter removed, as far as whoever made the file removed it; the first counts."""
UNCORRECTED = ("TH", "DBTH", "DZ", "ZT", "uncorrected_reflectivity")
"""Names of total reflectivity: taken where there is no other, and said."""
MOST_SWEEPS = 99
MOST_RAYS = 7200
"""Of a sweep: twenty a degree."""
MOST_GATES = 20_000
_FIRST_M, _GATE_M = (-10_000.0, 100_000.0), (1.0, 10_000.0)
_SPREAD = 1.0  # degrees between the rays of a sweep that turns at one elevation


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A file of one radar, as it says itself."""

    layout: str
    lon: float
    lat: float
    height_m: float
    names: tuple[str, ...]
    """Of the radar, the shortest first; may be empty."""
    time: datetime
    time_source: str
    time_text: str
    """As the file has it."""
    sweeps: tuple[Sweep, ...]
    """In the order of the file."""
    moment: str
    moments: tuple[str, ...]
    notes: tuple[str, ...] = ()
    synthetic: bool = False


def chosen_moment(moments: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return which moment is the reflectivity, and a note where it is one with clutter.

    Raises:
        FrameFormatError: None of them.
    """
    there = tuple(moments)
    for name in CORRECTED:
        if name in there:
            return name, ()
    for name in UNCORRECTED:
        if name in there:
            return name, (f"only total reflectivity ({name}), with clutter",)
    raise FrameFormatError("moments", f"one of {', '.join(CORRECTED + UNCORRECTED)}", ", ".join(there[:20]) or "none")


def stored_dbz(
    values: NDArray[Any], gain: float, offset: float, nothing: float | None, nodata: float | None = None
) -> NDArray[np.int16]:
    """Return reflectivity as KMA stores it.

    Args:
        values: As the file has them.
        gain: dBZ a step.
        offset: dBZ of zero.
        nothing: Marks gates that hold nothing.
        nodata: Marks gates that were not observed; None where the file has no such mark.

    Raises:
        FrameFormatError: A value is higher than can be stored.
    """
    if values.dtype.kind == "i" and values.dtype.itemsize == 2 and offset == 0 and round(gain, 12) == 1 / ECHO.scale:  # noqa: PLR2004
        steps = values.astype(np.int16)  # KMA's own packing
        steps[steps < ECHO.echo_from] = ECHO.undetect
    else:
        scaled = np.rint((values.astype(np.float64) * gain + offset) * ECHO.scale)
        empty = ~(scaled >= ECHO.echo_from)  # NaN too
        marked = empty | (values == nothing) | (values == nodata)
        highest = scaled[~marked].max(initial=0)
        if highest > np.iinfo(np.int16).max:
            raise FrameFormatError("reflectivity", "at most 327.67 dBZ", f"{highest / ECHO.scale:g} dBZ")
        steps = np.where(marked, ECHO.undetect, scaled).astype(np.int16)
    if nothing is not None:
        steps[values == nothing] = ECHO.undetect
    if nodata is not None:
        steps[np.isnan(values) if np.isnan(nodata) else values == nodata] = ECHO.nodata
    return steps


def checked_sweep(
    where: str,
    elevations: NDArray[Any],
    azimuths: NDArray[Any],
    first_m: float,
    gate_m: float,
    stored: NDArray[np.int16],
) -> Sweep:
    """Return a sweep, checked.

    Raises:
        FrameFormatError: Rays that turn at no one elevation, or a geometry that cannot be.
    """
    azimuths = np.asarray(azimuths, np.float64)
    if not (len(elevations) and np.isfinite(elevations).all() and np.isfinite(azimuths).all()):
        raise FrameFormatError(f"{where}, azimuths and elevations", "degrees", "none, or no numbers")
    low, high = float(elevations.min()), float(elevations.max())
    middle = float(np.median(elevations))
    if float(np.quantile(np.abs(elevations - middle), 0.9)) > _SPREAD or not -10 <= middle <= 90:  # noqa: PLR2004
        raise FrameFormatError(f"{where}, elevation", "one of -10 to 90 degrees (PPI)", f"{low:g} to {high:g}")
    if not (_FIRST_M[0] <= first_m <= _FIRST_M[1] and _GATE_M[0] <= gate_m <= _GATE_M[1]):
        found = f"the first at {first_m:g} m, {gate_m:g} m long"
        raise FrameFormatError(f"{where}, gates", "gates of 1 to 10,000 m", found)
    return Sweep(middle, azimuths % 360, first_m, gate_m, stored)


def check_size(where: str, rays: int, gates: int, before: int = 0) -> int:
    """Return how many cells a sweep and those before it have.

    Raises:
        FrameFormatError: None, or more than a volume may have.
    """
    if not (1 <= rays <= MOST_RAYS and 1 <= gates <= MOST_GATES and before + rays * gates <= MOST_CELLS):
        expected = f"1 to {MOST_RAYS:,} rays of 1 to {MOST_GATES:,} gates, at most {MOST_CELLS:,} in all"
        raise FrameFormatError(where, expected, f"{rays:,} rays of {gates:,} gates")
    return before + rays * gates
