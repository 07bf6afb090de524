"""Masks: which cells of a grid count; the others become nodata, as if no radar had seen them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid

_ROUNDING = 1e-3  # cells
_MOST_CELLS = 1 << 26


@dataclass(frozen=True, slots=True)
class MaskPart:
    """A rectangle of the cells of a grid, and which of them count."""

    grid: str
    """Name of the grid."""
    left: float
    """Outer edge in metres, as the next."""
    top: float
    width: int
    height: int
    runs: str
    """How many cells do not count, then how many do, and so on in turn, row by row from the north-west corner."""

    def __post_init__(self) -> None:
        runs = [int(run) for run in self.runs.split()]
        if not 0 < self.width * self.height <= _MOST_CELLS or min(runs) < 0 or sum(runs) != self.width * self.height:
            raise OptionsError(f"mask of {self.grid}: its cells are not {self.width} x {self.height}")

    @property
    def counts(self) -> NDArray[np.bool_]:
        """Which cells count, shape (rows, columns), row 0 is the north row."""
        runs = np.array(self.runs.split(), np.int64)
        return np.repeat(np.arange(runs.size) % 2 == 1, runs).reshape(self.height, self.width)


def mask_part(grid: Grid, counts: NDArray[np.bool_]) -> MaskPart:
    """Return the part of a mask on a grid."""
    flat = np.concatenate([[False], counts.reshape(-1), [not counts[-1, -1]]])
    turns = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], turns]))
    return MaskPart(grid.name, grid.transform.c, grid.transform.f, grid.width, grid.height, " ".join(map(str, runs)))


@dataclass(frozen=True, slots=True)
class Mask:
    """Which cells count, on each grid that frames may lie on."""

    name: str
    """Of its file."""
    parts: tuple[MaskPart, ...]

    def on(self, grid: Grid) -> NDArray[np.bool_]:
        """Return True where a cell of a part of one of the grids counts, shape (rows, columns).

        Raises:
            OptionsError: It does not cover the part.
        """
        return _on(self, grid)

    def applied(self, frame: Frame) -> Frame:
        """Return a frame in which the cells that do not count are nodata.

        Its tag ``COUNT_OUTSIDE_MASK`` counts those of them that a radar saw.

        Raises:
            OptionsError: It does not cover the frame.
        """
        outside = ~self.on(frame.grid)
        lost = np.count_nonzero(outside & (frame.stored >= frame.quantity.undetect))
        return replace(
            frame,
            stored=np.where(outside, np.int16(frame.quantity.nodata), frame.stored),
            derived=(*frame.derived, ("MASK", self.name), ("COUNT_OUTSIDE_MASK", str(lost))),
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `mask_from_json` reads them again."""
        return {"name": self.name, "parts": [asdict(part) for part in self.parts]}


def mask_from_json(value: Mapping[str, Any]) -> Mask:
    """Return the mask that `Mask.as_json` wrote.

    Raises:
        KeyError, TypeError, ValueError, OptionsError: It is none.
    """
    parts = tuple(MaskPart(**part) for part in value["parts"])
    for part in parts:
        if not (type(part.width) is type(part.height) is int and part.left + part.top < np.inf):
            raise TypeError(f"{part!r} is no part of a mask")
    return Mask(str(value["name"]), parts)


def place_of(grid: Grid, whole: Affine) -> tuple[int, int] | None:
    """Return the column and row at which a grid begins among the cells of another; None where cells differ."""
    t = grid.transform
    col, row = (t.c - whole.c) / whole.a, (t.f - whole.f) / whole.e
    same = np.allclose((t.a, t.e, t.b, t.d), (whole.a, whole.e, whole.b, whole.d), rtol=1e-9)
    aside = max(abs(col - round(col)), abs(row - round(row)))
    return (round(col), round(row)) if same and aside < _ROUNDING else None


def part_of(counts: NDArray[np.bool_], place: tuple[int, int] | None, grid: Grid, name: str) -> NDArray[np.bool_]:
    """Return which cells of a grid count.

    Args:
        counts: Which cells of the mask do.
        place: Column and row at which the grid begins among them; None where its cells are others.
        grid: The grid.
        name: Of the mask, for the error.

    Raises:
        OptionsError: The mask does not cover the grid.
    """
    height, width = counts.shape
    if place is not None:
        col, row = place
        if min(col, row) >= 0 and col + grid.width <= width and row + grid.height <= height:
            return counts[row : row + grid.height, col : col + grid.width]
    raise OptionsError(
        f"mask {name}: its cells are not those of {grid.name}, or it does not cover the area: make it of an output of "
        "hsrgeo for the same area"
    )


@lru_cache(maxsize=64)
def _on(mask: Mask, grid: Grid) -> NDArray[np.bool_]:
    for part in mask.parts:
        if part.grid == grid.name:
            t = grid.transform
            place = place_of(grid, Affine(t.a, t.b, part.left, t.d, t.e, part.top))
            return part_of(_counts(part), place, grid, mask.name).copy()
    return part_of(np.zeros((0, 0), np.bool_), None, grid, mask.name)


@lru_cache(maxsize=2)
def _counts(part: MaskPart) -> NDArray[np.bool_]:
    return part.counts
