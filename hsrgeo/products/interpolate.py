"""Rain of gauges at the cells of a grid: nearest gauge (Thiessen), inverse distance, and where the cells lie.

Distances are in metres of the composites' projection, whatever the projection of the output: it shrinks Korea by 2 % in
every direction alike, and degrees are no distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import needs
from hsrgeo.model.grid import Grid
from hsrgeo.products.places import Lattice, Places

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

EXTRA = "gauges"
SAME_PLACE_M = 1.0
"""Gauges closer than this stand at one place."""


def spatial() -> Any:  # noqa: ANN401 - a module without types
    """Import scipy.spatial."""
    with needs("scipy, to interpolate", EXTRA):
        from scipy import spatial as found  # noqa: PLC0415 - an optional extra
    return found


class CellPlaces:
    """Where the cells of an output lie, in metres of the source grid, a few rows at a time.

    Args:
        source: The whole grid of the composites.
        output: A crop of it, or a grid in another projection as `hsrgeo.products.warp` makes them.
    """

    def __init__(self, source: Grid, output: Grid) -> None:
        self._source, self.grid = source, output
        self._places: Places | None = None
        if output.wkt2 != source.wkt2:
            t = output.transform
            lattice = Lattice(t.a, round(t.c / t.a), round(-t.f / t.a), output.width, output.height)
            self._places = Places(source, output.wkt2, lattice)

    def rows(self, start: int, stop: int) -> tuple[Floats, Floats]:
        """Return x and y [m] of the centres of the cells of some rows, shape (stop - start, width).

        NaN where a cell lies outside the source grid: there is no radar, and no file has it.
        """
        if self._places is None:
            t = self.grid.transform
            x = t.c + t.a * (np.arange(self.grid.width) + 0.5)
            y = t.f + t.e * (np.arange(start, stop) + 0.5)
            across, down = np.meshgrid(x, y)
            return across, down
        cols, rows = self._places.band(start, stop)
        t = self._source.transform
        inside = (cols >= 0) & (cols <= self._source.width) & (rows >= 0) & (rows <= self._source.height)
        cols, rows = np.where(inside, cols, np.nan), np.where(inside, rows, np.nan)
        return t.c + t.a * cols, t.f + t.e * rows


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Gauges on a grid."""

    names: tuple[str, ...]
    xy: Floats
    """Metres of the grid's projection, shape (places, 2); gauges at one place are one."""
    place: Indices
    """Number of each gauge's place; -1 for one outside the grid."""

    @property
    def outside(self) -> list[str]:
        """Names of the gauges outside the grid."""
        return [name for name, place in zip(self.names, self.place.tolist(), strict=True) if place < 0]

    @property
    def shared(self) -> list[str]:
        """Names of the gauges that stand where another one stands."""
        counts = np.bincount(self.place[self.place >= 0], minlength=len(self.xy))
        return [
            name
            for name, place in zip(self.names, self.place.tolist(), strict=True)
            if place >= 0 and counts[place] > 1
        ]

    def at_places(self, values: Floats) -> Floats:
        """Return the mean of each place's gauges, shape (places,); NaN where none of them has a value."""
        known = ~np.isnan(values) & (self.place >= 0)
        places = self.place[known]
        count = np.bincount(places, minlength=len(self.xy))
        total = np.bincount(places, values[known], minlength=len(self.xy))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def network(names: Sequence[str], lonlat: Sequence[tuple[float, float]], grid: Grid) -> Network:
    """Return gauges, given in degrees (WGS 84), as they stand on the whole grid of the composites.

    Raises:
        ProjectionError: PROJ has no place for one of them.
    """
    lon, lat = np.array(lonlat, np.float64).reshape(-1, 2).T
    x, y = grid.project(lon, lat)
    left, bottom, right, top = grid.bounds
    inside = (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
    found: list[tuple[float, float]] = []
    place = np.full(len(names), -1, np.intp)
    for gauge in np.flatnonzero(inside):
        here = float(x[gauge]), float(y[gauge])
        apart = np.hypot(*(np.array(found).reshape(-1, 2) - here).T)
        if apart.size and apart.min() < SAME_PLACE_M:
            place[gauge] = apart.argmin()
        else:
            place[gauge] = len(found)
            found.append(here)
    return Network(tuple(names), np.array(found, np.float64).reshape(-1, 2), place)


class Nearest:
    """The nearest gauge of any point: Thiessen's polygons.

    Args:
        xy: Of the gauges [m], shape (gauges, 2), at least one.
    """

    def __init__(self, xy: Floats) -> None:
        self._tree: Any = spatial().cKDTree(xy)
        self._gauges = len(xy)

    def of(self, x: Floats, y: Floats) -> tuple[Indices, Floats]:
        """Return number of and distance [m] to the nearest gauge of finite points, of their shape.

        Of two gauges at the same distance it is the first in the list.
        """
        count = min(self._gauges, 2)
        distance, index = self._tree.query(np.stack([x, y], axis=-1), k=count)
        if count == 1:
            return np.zeros(x.shape, np.intp), np.asarray(distance, np.float64).reshape(x.shape)
        tied = (distance[..., 1] == distance[..., 0]) & (index[..., 1] < index[..., 0])
        return np.where(tied, index[..., 1], index[..., 0]), distance[..., 0]


class InverseDistance:
    """Means of the nearest gauges, each with the weight distance ** -power.

    Args:
        xy: Of the gauges [m], shape (gauges, 2), at least one.
        power: Above 0.
        neighbours: How many gauges count, at most.
    """

    def __init__(self, xy: Floats, power: float, neighbours: int) -> None:
        self._tree: Any = spatial().cKDTree(xy)
        self._xy, self._power, self._neighbours = xy, power, neighbours

    def at(self, x: Floats, y: Floats, values: Floats) -> Floats:
        """Return the mean at finite points, of their shape; at a gauge its own value.

        Args:
            x: Metres.
            y: Metres.
            values: Of the gauges, shape (gauges,); or several of each, shape (gauges, n), with a mean of each.
        """
        count = min(self._neighbours, len(self._xy))
        distance, index = self._tree.query(np.stack([x, y], axis=-1), k=list(range(1, count + 1)))
        return self._mean(distance, index, values)

    def left_out(self, values: Floats) -> Floats:
        """Return the mean of the other gauges at each gauge; NaN where there is no other.

        No two gauges are at one place; for the values see `at`.
        """
        count = min(self._neighbours, len(self._xy) - 1)
        if not count:
            return np.full(values.shape, np.nan)
        distance, index = self._tree.query(self._xy, k=list(range(2, count + 2)))  # the nearest is itself
        return self._mean(distance, index, values)

    def _mean(self, distance: Floats, index: Indices, values: Floats) -> Floats:
        nearest = distance[..., :1]
        # As a share of the shortest distance: a power of metres would overflow.
        weights = np.divide(nearest, distance, out=np.zeros_like(distance), where=distance > 0) ** self._power
        weights[distance == 0] = 1
        total = weights.sum(axis=-1)
        if values.ndim == 1:
            return np.asarray((weights * values[index]).sum(axis=-1) / total, np.float64)
        return np.asarray(np.einsum("...k,...kn->...n", weights, values[index]) / total[..., np.newaxis], np.float64)
