"""One volume on a grid: reflectivity or echo top, and the height of the beam that it is from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import FrameFormatError, OptionsError
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import QUANTITIES
from hsrgeo.model.volume import Volume
from hsrgeo.model.window import Window
from hsrgeo.products.beams import TURN, Around, Beam, beam_of, cells_around, reach_m

PolarType = Literal["sweep", "lowest", "cappi", "max", "echo-top"]
Stored = NDArray[np.int16]
_ECHO = QUANTITIES[1]
_PRODUCT = re.compile(r"(sweep|cappi|echo-top):(-?\d{1,5}(?:\.\d{1,3})?)|lowest|max")
_LOWEST_M, _HIGHEST_M = 30, 30_000
_WORDS = "sweep:N, lowest, cappi:METRES, max or echo-top:DBZ"


@dataclass(frozen=True, slots=True)
class PolarProduct:
    """What is made of a volume."""

    type: PolarType
    value: float = 0.0
    """Number of a sweep from 1, height above the sea [m], or dBZ."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A volume on its part of a grid."""

    window: Window
    value: Stored
    """Reflectivity in hundredths of dBZ or, of echo tops, metres above the sea; with -30000 and -25000."""
    height: Stored
    """Of the beam that the value is from, metres above the sea; where there is no echo, of the lowest that observed."""
    distance: NDArray[np.uint16]
    """From the radar, in steps of `STEP_M`."""


def as_product(text: str) -> PolarProduct:
    """Read a product as a user gives it: ``sweep:1``, ``lowest``, ``cappi:1500``, ``max`` or ``echo-top:18``.

    Raises:
        OptionsError: It is none.
    """
    match = _PRODUCT.fullmatch(text.strip())
    if not match:
        metres = "; give the height in metres, as cappi:1500" if text.strip().startswith("cappi:") else ""
        raise OptionsError(f"product {text!r}: expected {_WORDS}{metres}")
    polar_type: PolarType = match[1] or text.strip()  # type: ignore[assignment] # the pattern has these words
    value = float(match[2] or 0)
    if polar_type == "sweep" and not (value >= 1 and value.is_integer()):
        raise OptionsError(f"product {text!r}: sweeps are counted from 1, the lowest")
    if polar_type == "cappi" and not _LOWEST_M <= value <= _HIGHEST_M:
        expected = f"expected a height above the sea of {_LOWEST_M} to {_HIGHEST_M:,}, in metres, as cappi:1500"
        raise OptionsError(f"product {text!r}: {expected}")
    if polar_type == "echo-top" and not -100 <= value <= 100:  # noqa: PLR2004 - dBZ
        raise OptionsError(f"product {text!r}: expected -100 to 100 dBZ")
    return PolarProduct(polar_type, value)


def layer(volume: Volume, grid: Grid, product: PolarProduct) -> Layer | None:
    """Return a volume on a grid; None where it lies wholly outside.

    Raises:
        FrameFormatError: It has no such sweep.
    """
    if product.type == "sweep" and product.value > len(volume.sweeps):
        raise FrameFormatError("sweeps", f"sweep {product.value:g}", f"{len(volume.sweeps)}", volume.name)
    sweeps = volume.sweeps
    if product.type == "sweep":
        sweeps = sweeps[int(product.value) - 1 : int(product.value)]
    reach = max(map(reach_m, sweeps))
    around = cells_around(grid, volume.radar.lon, volume.radar.lat, reach)
    if around is None:
        return None
    steps = int(around.away[-1]) + 1 if around.away.size else 1
    beams = [beam_of(sweep, volume.radar.height_m, steps) for sweep in sweeps]
    look = _Looking(around, beams, [sweep.stored for sweep in sweeps])
    if product.type == "max":
        value, height = look.strongest()
    elif product.type == "echo-top":
        value, height = look.top(round(product.value * _ECHO.scale))
    else:
        heights = np.stack([beam.height for beam in beams])
        aside = np.abs(heights - np.float32(product.value)) if product.type == "cappi" else heights
        value, height = look.first(np.argsort(aside, axis=0, kind="stable"))
    return Layer(around.window, value, height, around.distance)


class _Looking:
    """Looks at the gates over each cell; arrays of cells are in the order of `Around.order`."""

    def __init__(self, around: Around, beams: Sequence[Beam], stored: Sequence[Stored]) -> None:
        self._around = around
        sizes = np.array([block.size for block in stored], np.int32)
        starts, widths = np.cumsum(sizes, dtype=np.int32) - sizes, [block.shape[1] for block in stored]
        # A value's place is the sum of one number by distance and one by azimuth, negative where either is missing.
        self._along = np.stack(
            [np.where(beam.gate < 0, _MISSING, first + beam.gate) for beam, first in zip(beams, starts, strict=True)]
        )
        self._rows = np.stack(
            [np.where(beam.ray < 0, _MISSING, beam.ray * width) for beam, width in zip(beams, widths, strict=True)]
        )
        self._values = np.concatenate([*(block.ravel() for block in stored), np.array([_ECHO.nodata], np.int16)])
        heights = np.stack([beam.height for beam in beams])
        self._heights = np.where(self._along < 0, np.float32(_ECHO.nodata), np.rint(heights)).astype(np.int16)

    def _at(self, index: NDArray[np.int32]) -> Stored:
        values: Stored = self._values[np.maximum(index, -1)]
        return values

    def _each(self) -> Iterator[tuple[slice, Stored, Stored]]:
        """Yield for each sweep, from the lowest, the cells that it reaches, their values and the beam's heights."""
        for along, rows, heights in zip(self._along, self._rows, self._heights, strict=True):
            reached = np.flatnonzero(along >= 0).astype(np.uint16)
            if reached.size:
                first = int(np.searchsorted(self._around.away, reached[0]))
                cells = slice(first, int(np.searchsorted(self._around.away, reached[-1], side="right")))
                away = self._around.away[cells]
                yield cells, self._at(along[away] + rows[self._around.azimuth[cells]]), heights[away]

    def first(self, order: NDArray[np.intp]) -> tuple[Stored, Stored]:
        """Return values and heights of the first sweep that observed a cell, in the order wanted at each distance."""
        value, height = self._empty()
        reached = (self._along >= 0).sum(axis=0)
        every = np.arange(order.shape[1])
        cells: slice | NDArray[np.intp] = slice(None)  # then those that no sweep observed yet
        for rank, which in enumerate(order):
            away = self._around.away[cells]
            turns = (which * TURN).astype(np.int32)[away]
            seen = self._at(self._along[which, every][away] + self._rows.ravel()[turns + self._around.azimuth[cells]])
            value[cells] = seen
            height[cells] = np.where(seen == _ECHO.nodata, seen, self._heights[which, every][away])
            cells = np.flatnonzero((value == _ECHO.nodata) & (reached > rank + 1)[self._around.away])
            if not cells.size:
                break
        return self._formed(value), self._formed(height)

    def strongest(self) -> tuple[Stored, Stored]:
        """Return the highest value over each cell and its height."""
        value, height = self._empty()
        for cells, seen, heights in self._each():
            better = seen > value[cells]  # nodata is lower than undetect, and that than echo
            np.copyto(value[cells], seen, where=better)
            np.copyto(height[cells], heights, where=better)
        return self._formed(value), self._formed(height)

    def top(self, least: int) -> tuple[Stored, Stored]:
        """Return the height of the highest beam with an echo of so many hundredths of dBZ, twice."""
        value, height = self._empty()
        for cells, seen, heights in self._each():
            first = (seen != _ECHO.nodata) & (value[cells] == _ECHO.nodata)
            np.copyto(value[cells], np.int16(_ECHO.undetect), where=first)
            np.copyto(height[cells], heights, where=first)
            hit = (seen >= max(least, _ECHO.echo_from)) & (heights > value[cells])
            np.copyto(value[cells], heights, where=hit)
            np.copyto(height[cells], heights, where=hit)
        return self._formed(value), self._formed(height)

    def _empty(self) -> tuple[Stored, Stored]:
        nothing = np.full(self._around.away.size, _ECHO.nodata, np.int16)
        return nothing, nothing.copy()

    def _formed(self, cells: Stored) -> Stored:
        formed = np.full(self._around.distance.shape, _ECHO.nodata, np.int16)
        formed.ravel()[self._around.order] = cells
        return formed


_MISSING = np.int32(-(1 << 30))
