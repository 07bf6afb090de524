"""How much of each cell of a grid belongs to each place: exact, computed once, kept sparse.

The share of a cell that lies in a polygon is found as a font is drawn: every edge is cut at the borders of cells, and
each piece adds, with its sign, the area between itself and the right end of its row. Where all rings are closed the
sums are the shares, holes and islands included, and no cell is ever intersected with the polygon as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.grid import Grid
from hsrgeo.model.window import Window

Floats = NDArray[np.float64]
Ring = NDArray[np.float64]
"""Corners of a closed ring, shape (corners, 2): x and y in metres, or column and row; the last is the first again."""
PointMethod = Literal["nearest", "bilinear"]

_MOST_CELLS = 1 << 25
"""Of all polygons together: five times KMA's largest grid, half a gigabyte."""
_LEAST = 1e-12
# ^ share of a cell below which a cell that an edge touches is left out: what rounding leaves behind


@dataclass(frozen=True, eq=False)
class Weights:
    """Places on a grid, as cells and the share of each cell."""

    cells: NDArray[np.int64]
    """Flat indices (row * grid width + column, row 0 is the north row) of all places, one after the other."""
    shares: Floats
    """Share of each of these cells that belongs to the place, above 0 and at most 1."""
    starts: NDArray[np.int64]
    """Where each place begins in `cells`, and at the end their number; shape (places + 1,)."""
    totals: Floats
    """What the shares of a place add up to where none of it lies outside the grid: its area in cells."""
    areas_m2: Floats
    """Area of each place on the ground, for the cells of a conformal map are not what they seem; NaN for points."""

    def __len__(self) -> int:
        return len(self.totals)

    @property
    def within(self) -> Floats:
        """Share of each place's area that lies on the grid; 0 for a place outside."""
        sums = np.zeros(len(self))
        filled = np.diff(self.starts) > 0
        if filled.any():
            sums[filled] = np.add.reduceat(self.shares, self.starts[:-1][filled])
        return sums / self.totals

    def cut(self, width: int, window: Window) -> Weights:
        """Return the weights on a window of a grid of `width` columns; what lies outside is left out, the totals stay.

        The shares are the same to the last digit, which they would not be, worked out from another corner.
        """
        rows, cols = np.divmod(self.cells, width)  # in place from here on, for there can be thirty million
        rows -= window.row_off
        cols -= window.col_off
        inside = (rows >= 0) & (rows < window.height) & (cols >= 0) & (cols < window.width)
        rows *= window.width
        rows += cols
        del cols
        return replace(self, cells=rows).only(inside)

    def only(self, wanted: NDArray[np.bool_]) -> Weights:
        """Return the weights of the cells that are wanted; the others are left out, and the totals stay."""
        kept_before = np.concatenate([[0], np.cumsum(wanted)]).astype(np.int64)
        return Weights(self.cells[wanted], self.shares[wanted], kept_before[self.starts], self.totals, self.areas_m2)

    def span(self, width: int) -> Window:
        """Return the smallest window of a grid of `width` columns that has all cells."""
        rows, cols = np.divmod(self.cells, width)
        left, top = int(cols.min()), int(rows.min())
        return Window(left, top, int(cols.max()) - left + 1, int(rows.max()) - top + 1)

    def part(self, places: slice) -> Weights:
        """Return the weights of some of the places."""
        first, last = self.starts[places.start], self.starts[places.stop]
        starts = self.starts[places.start : places.stop + 1] - first
        return Weights(
            self.cells[first:last], self.shares[first:last], starts, self.totals[places], self.areas_m2[places]
        )

    def save(self, path: Path) -> None:
        """Keep them in a file, for other processes."""
        arrays = {name: getattr(self, name) for name in ("cells", "shares", "starts", "totals", "areas_m2")}
        with path.open("wb") as file:
            np.savez(file, **arrays)


def load_weights(path: Path) -> Weights:
    """Return what `Weights.save` kept."""
    with np.load(path) as kept:
        return Weights(**{name: kept[name] for name in kept.files})


def polygon_weights(polygons: Sequence[Sequence[Ring]], areas_m2: Sequence[float], grid: Grid) -> Weights:
    """Return the exact share of each cell in each polygon.

    Args:
        polygons: The rings of each, in metres of the grid's CRS: shells counter-clockwise, holes clockwise, or all
            the other way round. Rings of one polygon must not overlap otherwise.
        areas_m2: Area of each on the ground.
        grid: The cells.

    Raises:
        OptionsError: A polygon has no area, or they cover too many cells.
    """
    t = grid.transform
    parts: list[tuple[NDArray[np.int64], Floats]] = []
    totals, cells = [], 0
    for number, rings in enumerate(polygons):
        in_cells = [np.column_stack([(ring[:, 0] - t.c) / t.a, (ring[:, 1] - t.f) / t.e]) for ring in rings]
        signed = sum(_signed_area(ring) for ring in in_cells)
        if not np.isfinite(signed) or signed == 0:
            raise OptionsError(f"polygon {number + 1}: has no area")
        totals.append(abs(signed))
        parts.append(_shares(in_cells, np.sign(signed), grid.width, grid.height))
        cells += len(parts[-1][0])
        if cells > _MOST_CELLS:
            raise OptionsError(f"polygons 1 to {number + 1} cover more than {_MOST_CELLS:,} cells in all: take fewer")
    return _joined(parts, totals, areas_m2)


def point_weights(x: Floats, y: Floats, grid: Grid, method: PointMethod = "nearest", count: int = 1) -> Weights:
    """Return the cells that speak for each point.

    Args:
        x: Metres in the grid's CRS, shape (points,).
        y: Likewise.
        grid: The cells.
        method: ``nearest`` gives the cells with the nearest centres equal shares; ``bilinear`` the four around the
            point, by distance along rows and columns.
        count: How many nearest cells; of two as near the northern, then the western one. With 1, a point on an edge
            belongs to the southern or eastern cell.

    Returns:
        Weights that add up to 1 for each point. Cells outside the grid are left out, and none is there for a point
        outside.
    """
    t = grid.transform
    parts: list[tuple[NDArray[np.int64], Floats]] = []
    for col, row in zip((np.asarray(x) - t.c) / t.a, (np.asarray(y) - t.f) / t.e, strict=True):
        if not (0 <= col <= grid.width and 0 <= row <= grid.height):
            parts.append((np.empty(0, np.int64), np.empty(0)))
            continue
        rows, cols, shares = _bilinear(col, row) if method == "bilinear" else _nearest(col, row, count)
        # A point on the outer edge belongs to the last cell.
        if method == "nearest" and count == 1:
            rows, cols = np.minimum(rows, grid.height - 1), np.minimum(cols, grid.width - 1)
        inside = (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width) & (shares > 0)
        parts.append((rows[inside] * grid.width + cols[inside], shares[inside]))
    return _joined(parts, np.ones(len(parts)), np.full(len(parts), np.nan))


def _nearest(col: float, row: float, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    if count == 1:
        return np.array([int(row)]), np.array([int(col)]), np.ones(1)
    reach = int(np.ceil(np.sqrt(count))) + 1  # a square this wide holds a circle with that many centres
    rows, cols = np.mgrid[int(row) - reach : int(row) + reach + 1, int(col) - reach : int(col) + reach + 1]
    rows, cols = rows.ravel(), cols.ravel()
    # To a billionth of a cell: of distances that are equal rounding must not choose.
    distances = np.round(np.hypot(rows + 0.5 - row, cols + 0.5 - col), 9)
    chosen = np.lexsort((cols, rows, distances))[:count]
    return rows[chosen], cols[chosen], np.full(count, 1 / count)


def _bilinear(col: float, row: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    left, top = int(np.floor(col - 0.5)), int(np.floor(row - 0.5))
    east, south = col - 0.5 - left, row - 0.5 - top
    shares = np.array([(1 - south) * (1 - east), (1 - south) * east, south * (1 - east), south * east])
    return np.array([top, top, top + 1, top + 1]), np.array([left, left + 1, left, left + 1]), shares


def _joined(
    parts: list[tuple[NDArray[np.int64], Floats]], totals: Sequence[float] | Floats, areas: Sequence[float] | Floats
) -> Weights:
    """Join the cells and shares of places; `parts` is emptied, so that not all is in memory twice."""
    starts = np.concatenate([[0], np.cumsum([len(cells) for cells, _shares in parts])])
    cells = [cells for cells, _shares in parts] or [np.empty(0, np.int64)]
    shares = [shares for _cells, shares in parts] or [np.empty(0)]
    parts.clear()
    joined = np.concatenate(cells, dtype=np.int64)
    cells.clear()
    return Weights(
        joined,
        np.concatenate(shares),
        starts.astype(np.int64),
        np.asarray(totals, np.float64),
        np.asarray(areas, np.float64),
    )


def _signed_area(ring: Ring) -> float:
    x, y = (ring - ring[0]).T  # near zero, so that no digits are lost
    return float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2


def _shares(rings: Sequence[Ring], sign: float, width: int, height: int) -> tuple[NDArray[np.int64], Floats]:
    """Return flat cells and shares of one polygon, its rings in columns and rows."""
    corners = np.concatenate(rings)
    # Only its own rectangle, as far as it lies on the grid.
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(np.int64), 0)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(np.int64), (width, height))
    if left >= right or top >= bottom:
        return np.empty(0, np.int64), np.empty(0)
    cols, rows = int(right - left), int(bottom - top)
    begins = np.concatenate([ring[:-1] for ring in rings]) - (left, top)
    ends = np.concatenate([ring[1:] for ring in rings]) - (left, top)
    acc, touched = _accumulated(*_pieces(begins, ends, cols, rows), cols, rows)
    shares = np.cumsum(acc, axis=1)[:, :cols] * -sign
    # A cell that no edge touches is in or out, and nothing between.
    shares = np.where(touched, np.clip(shares, 0, 1), np.rint(shares))
    shares[shares < _LEAST] = 0
    row, col = np.nonzero(shares)
    return (row + top) * width + col + left, shares[row, col]


def _pieces(begins: Floats, ends: Floats, cols: int, rows: int) -> tuple[Floats, Floats]:
    """Cut edges at every border of a cell inside the rectangle, and at its outline."""
    edges, ways = [np.tile(np.arange(len(begins)), 2)], [np.repeat([0.0, 1.0], len(begins))]
    for axis, most in ((0, cols), (1, rows)):
        start, end = begins[:, axis], ends[:, axis]
        first = np.clip(np.floor(np.minimum(start, end)) + 1, 0, None).astype(np.int64)
        last = np.clip(np.ceil(np.maximum(start, end)) - 1, None, most).astype(np.int64)
        counts = np.maximum(last - first + 1, 0)
        edge = np.repeat(np.arange(len(begins)), counts)
        nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        border = first[edge] + nth
        edges.append(edge)
        ways.append((border - start[edge]) / (end[edge] - start[edge]))
    edge, way = np.concatenate(edges), np.clip(np.concatenate(ways), 0, 1)
    order = np.lexsort((way, edge))
    edge, way = edge[order], way[order]
    points = begins[edge] * (1 - way)[:, np.newaxis] + ends[edge] * way[:, np.newaxis]
    same = edge[:-1] == edge[1:]
    return points[:-1][same], points[1:][same]


def _accumulated(begins: Floats, ends: Floats, cols: int, rows: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return what the pieces add to each cell and to all cells right of it, and which cells they touch."""
    row = np.floor((begins[:, 1] + ends[:, 1]) / 2).astype(np.int64)
    # A piece left of the rectangle works on whole rows, as its west edge would; one right of it not at all.
    middle = np.clip((begins[:, 0] + ends[:, 0]) / 2, 0, cols)
    inside = (row >= 0) & (row < rows) & (middle < cols)
    row, middle, down = row[inside], middle[inside], (ends[:, 1] - begins[:, 1])[inside]
    col = np.floor(middle).astype(np.int64)
    flat = row * (cols + 1) + col
    size = rows * (cols + 1)
    acc: Floats = np.bincount(flat, down * (col + 1 - middle), size).astype(np.float64)
    acc += np.bincount(flat + 1, down * (middle - col), size)
    touched = np.bincount(flat, minlength=size) > 0
    shape = rows, cols + 1
    return acc.reshape(shape), touched.reshape(shape)[:, :cols]
