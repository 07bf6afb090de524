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

Kind = Literal["sweep", "lowest", "cappi", "max", "echo-top"]
Stored = NDArray[np.int16]
_ECHO = QUANTITIES[1]
_PRODUCT = re.compile(r"(sweep|cappi|echo-top):(-?\d{1,5}(?:\.\d{1,3})?)|lowest|max")
_HIGHEST_M = 30_000
_WORDS = "sweep:N, lowest, cappi:METRES, max or echo-top:DBZ"


@dataclass(frozen=True, slots=True)
class PolarProduct:
    """What is made of a volume."""

    kind: Kind
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
        raise OptionsError(f"product {text!r}: expected {_WORDS}")
    kind: Kind = match[1] or text.strip()  # type: ignore[assignment] # the pattern has these words
    value = float(match[2] or 0)
    if kind == "sweep" and not (value >= 1 and value.is_integer()):
        raise OptionsError(f"product {text!r}: sweeps are counted from 1, the lowest")
    if kind == "cappi" and not 0 < value <= _HIGHEST_M:
        raise OptionsError(f"product {text!r}: expected a height above the sea of up to {_HIGHEST_M:,} m")
    if kind == "echo-top" and not -100 <= value <= 100:  # noqa: PLR2004 - dBZ
        raise OptionsError(f"product {text!r}: expected -100 to 100 dBZ")
    return PolarProduct(kind, value)


def layer(volume: Volume, grid: Grid, product: PolarProduct) -> Layer | None:
    """Return a volume on a grid; None where it lies wholly outside.

    Raises:
        FrameFormatError: It has no such sweep.
    """
    if product.kind == "sweep" and product.value > len(volume.sweeps):
        raise FrameFormatError("sweeps", f"sweep {product.value:g}", f"{len(volume.sweeps)}", volume.name)
    sweeps = volume.sweeps
    if product.kind == "sweep":
        sweeps = sweeps[int(product.value) - 1 : int(product.value)]
    reach = max(map(reach_m, sweeps))
    around = cells_around(grid, volume.radar.lon, volume.radar.lat, reach)
    if around is None:
        return None
    steps = int(around.distance.max()) + 1
    beams = [beam_of(sweep, volume.radar.height_m, steps) for sweep in sweeps]
    look = _Looking(around, beams, [sweep.stored for sweep in sweeps])
    if product.kind == "max":
        value, height = look.strongest()
    elif product.kind == "echo-top":
        value, height = look.top(round(product.value * _ECHO.scale))
    else:
        heights = np.stack([beam.height for beam in beams])
        aside = np.abs(heights - np.float32(product.value)) if product.kind == "cappi" else heights
        value, height = look.first(np.argsort(aside, axis=0, kind="stable"))
    return Layer(around.window, value, height, around.distance)


class _Looking:
    """Looks at the gates over each cell; all arrays of cells are flat."""

    def __init__(self, around: Around, beams: Sequence[Beam], stored: Sequence[Stored]) -> None:
        self._shape = around.distance.shape
        self._azimuth, self._distance = around.azimuth.ravel(), around.distance.ravel()
        self._gates = np.stack([beam.gate for beam in beams])
        self._heights = np.stack([beam.height for beam in beams])
        self._rays = np.stack([beam.ray for beam in beams])
        self._values = np.concatenate([*(block.ravel() for block in stored), np.array([_ECHO.nodata], np.int16)])
        sizes = [block.size for block in stored]
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        self._widths = np.array([block.shape[1] for block in stored], np.int32)

    def _seen(self, which: NDArray[np.intp], cells: NDArray[np.intp]) -> Stored:
        """Return the values of cells in the sweep that is wanted at each distance."""
        along = np.arange(which.size)
        gates = self._gates[which, along]
        distance = self._distance[cells]
        ray = self._rays.ravel()[(which * TURN)[distance] + self._azimuth[cells]]
        gate = gates[distance]
        index = (self._starts[which] + gates)[distance] + ray * self._widths[which][distance]
        index[(gate < 0) | (ray < 0)] = -1
        values: Stored = self._values[index]
        return values

    def _each(self) -> Iterator[tuple[NDArray[np.intp], Stored, NDArray[np.float32]]]:
        """Yield for each sweep, from the lowest, the cells that it reaches, their values and the beam's heights."""
        for number, gates in enumerate(self._gates):
            cells = np.flatnonzero((gates >= 0)[self._distance])
            seen = self._seen(np.full(gates.size, number), cells)
            yield cells, seen, self._heights[number][self._distance[cells]]

    def first(self, order: NDArray[np.intp]) -> tuple[Stored, Stored]:
        """Return values and heights of the first sweep that observed a cell, in the order wanted at each distance."""
        value, height = self._empty()
        reached = (self._gates >= 0).sum(axis=0)
        cells = np.arange(self._distance.size)
        for rank, which in enumerate(order):
            cells = cells[(reached > rank)[self._distance[cells]]]
            if not cells.size:
                break
            seen = self._seen(which, cells)
            found = seen != _ECHO.nodata
            value[cells[found]] = seen[found]
            heights = self._heights[which, np.arange(which.size)]
            height[cells[found]] = _metres(heights[self._distance[cells[found]]])
            cells = cells[~found]
        return self._formed(value, height)

    def strongest(self) -> tuple[Stored, Stored]:
        """Return the highest value over each cell and its height."""
        value, height = self._empty()
        for cells, seen, heights in self._each():
            better = seen > value[cells]  # nodata is lower than undetect, and that than echo
            value[cells[better]] = seen[better]
            height[cells[better]] = _metres(heights[better])
        return self._formed(value, height)

    def top(self, least: int) -> tuple[Stored, Stored]:
        """Return the height of the highest beam with an echo of so many hundredths of dBZ, twice."""
        value, height = self._empty()
        for cells, seen, heights in self._each():
            metres = _metres(heights)
            first = (seen != _ECHO.nodata) & (value[cells] == _ECHO.nodata)
            value[cells[first]] = _ECHO.undetect
            height[cells[first]] = metres[first]
            hit = (seen >= max(least, _ECHO.echo_from)) & (metres > value[cells])
            value[cells[hit]] = height[cells[hit]] = metres[hit]
        return self._formed(value, height)

    def _empty(self) -> tuple[Stored, Stored]:
        return tuple(np.full(self._distance.size, _ECHO.nodata, np.int16) for _ in range(2))  # type: ignore[return-value]

    def _formed(self, value: Stored, height: Stored) -> tuple[Stored, Stored]:
        return value.reshape(self._shape), height.reshape(self._shape)


def _metres(heights: NDArray[np.float32]) -> Stored:
    return np.rint(heights).astype(np.int16)
