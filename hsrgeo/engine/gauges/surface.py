"""The methods of `hsrgeo gauges field` behind one face: what gauges measured -> a surface, in strips by threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.gauges.gauge_options import GaugeFieldOptions
from hsrgeo.products.interpolate import CellPlaces, Floats, InverseDistance, Nearest, spatial
from hsrgeo.products.kriging import Kriging, estimate
from hsrgeo.products.variograms import Variogram, Variograms, gstools
from hsrgeo.writers.sum_cog import NODATA

Known = NDArray[np.bool_]
Singles = NDArray[np.float32]

_STRIP_CELLS = 1 << 17


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A field on the cells of an area; NaN where it is not known."""

    depth_mm: Singles
    distance_m: Singles
    """To the nearest gauge that counted."""
    deviation_mm: Singles | None
    """Of kriging: of what one more gauge would measure there."""
    clipped: int
    """Cells whose estimate was below 0."""
    mean_mm: float
    """Of the gauges."""
    tags: dict[str, str]
    """What the method was, in full."""


Solved = Callable[[CellPlaces, ThreadPoolExecutor], Surface]
Estimates = tuple[Floats, Floats | None]
"""Estimate [mm] of points, and the standard deviation of its error where the method has one."""
Point = Callable[[Floats, Floats, bool], Estimates]
"""x and y [m] of points, and whether the standard deviation is wanted -> estimates."""


class Interpolator(Protocol):
    """A method."""

    @property
    def notes(self) -> list[str]:
        """What a user should know, when the run is over."""

    def solve(self, known: Known, values: Floats) -> Solved:
        """Return what makes surfaces of the values of the gauges that are known.

        Raises:
            OptionsError: It cannot be done with these.
        """


Periods = Callable[[], Iterable[Floats]]
"""Gives what all gauges measured [mm] in each period, from the first one at each call; NaN where that is not known."""


def interpolator(options: GaugeFieldOptions, xy: Floats, periods: Periods) -> Interpolator:
    """Return the method that was asked for, for all gauges at `xy` [m], shape (gauges, 2).

    `periods` are asked where a period does not show a variogram of its own.

    Raises:
        MissingExtraError: A library is not installed.
    """
    spatial()
    if options.method == "kriging":
        gstools()
        return _Kriged(options, xy, periods)
    return _Plain(options, xy)


class _Geometry:
    """What depends on the gauges that are known and not on what they measured: kept from one time to the next."""

    def __init__(self, xy: Floats, farthest_m: float) -> None:
        self.farthest_m = farthest_m
        self.nearest = Nearest(xy)
        self.kriging: tuple[Variogram, Kriging] | None = None
        self.deviations: dict[CellPlaces, Singles] = {}
        """Of `kriging`."""
        self._found: dict[CellPlaces, tuple[NDArray[np.int32], Singles]] = {}

    def kriged(self, xy: Floats, variogram: Variogram) -> Kriging:
        """Return the equations of a variogram."""
        if self.kriging is None or self.kriging[0] != variogram:
            self.kriging = variogram, Kriging(xy, variogram)
            self.deviations.clear()
        return self.kriging[1]

    def gauges(self, places: CellPlaces, pool: ThreadPoolExecutor) -> tuple[NDArray[np.int32], Singles]:
        """Return number of and distance to the nearest gauge of each cell; NaN where a cell has no place."""
        if places not in self._found:
            shape = places.grid.height, places.grid.width
            index, distance = np.zeros(shape, np.int32), np.full(shape, np.nan, np.float32)

            def strip(rows: slice) -> None:
                x, y = places.rows(rows.start, rows.stop)
                placed = np.isfinite(x)
                index[rows][placed], distance[rows][placed] = self.nearest.of(x[placed], y[placed])

            list(pool.map(strip, strips(places)))
            self._found[places] = index, distance
        return self._found[places]


class _Method:
    """What the methods share."""

    def __init__(self, options: GaugeFieldOptions, xy: Floats) -> None:
        self._options, self._xy = options, xy
        self._known: Known | None = None
        self._geometry: _Geometry | None = None

    def _of(self, known: Known) -> _Geometry:
        if self._geometry is None or self._known is None or (known != self._known).any():
            far = self._options.max_distance_km
            self._known = known.copy()
            self._geometry = _Geometry(self._xy[known], np.inf if far is None else 1000 * far)
        return self._geometry


class _Plain(_Method):
    """Nearest gauge, or inverse distance."""

    @property
    def notes(self) -> list[str]:
        return []

    def solve(self, known: Known, values: Floats) -> Solved:
        geometry = self._of(known)
        if self._options.method == "thiessen":
            return partial(_surface, geometry, values, None, {})
        power, neighbours = self._options.idw
        weighted = InverseDistance(self._xy[known], power, neighbours)
        tags = {"IDW_POWER": f"{power:g}", "IDW_NEIGHBOURS": str(neighbours)}

        def at(x: Floats, y: Floats, _with_deviation: bool) -> Estimates:  # noqa: FBT001 - as `Point` has it
            return weighted.at(x, y, values), None

        return partial(_surface, geometry, values, at, tags)


class _Kriged(_Method):
    """Ordinary kriging."""

    def __init__(self, options: GaugeFieldOptions, xy: Floats, periods: Periods) -> None:
        super().__init__(options, xy)
        self._variograms = Variograms(xy, periods, options.model)

    @property
    def notes(self) -> list[str]:
        """See `Variograms`."""
        return self._variograms.notes

    def solve(self, known: Known, values: Floats) -> Solved:
        options, xy, geometry = self._options, self._xy[known], self._of(known)
        if options.known_variogram is None and np.ptp(values) == 0:
            # Whatever the variogram, the estimate is that one value; how uncertain it is nobody can tell.
            geometry.kriging = None
            geometry.deviations.clear()
            constant = float(values[0])
            return partial(
                _surface,
                geometry,
                values,
                lambda x, _y, _with: (np.full(x.shape, constant), np.full(x.shape, np.nan)),
                {"VARIOGRAM": "none: all gauges have one value"},
            )
        variogram = options.known_variogram or self._variograms.of(known, values)
        kriging = geometry.kriged(xy, variogram)
        coefficients, weights = kriging.estimator(values)

        def at(x: Floats, y: Floats, with_deviation: bool) -> Estimates:  # noqa: FBT001 - as `Point` has it
            estimates, deviations = np.empty(x.size), np.empty(x.size if with_deviation else 0)
            for start in range(0, x.size, kriging.block_rows):
                block = slice(start, start + kriging.block_rows)
                correlation = kriging.correlation_to(x[block], y[block])
                estimates[block] = estimate(correlation, coefficients, weights)
                if with_deviation:
                    deviations[block] = kriging.deviation(correlation)
            return estimates, deviations if with_deviation else None

        return partial(_surface, geometry, values, at, variogram_tags(variogram))


def packed(values: Singles, step: float) -> NDArray[np.int32]:
    """Return numbers in whole steps, to the nearest; `NODATA` where they are not known."""
    known = np.isfinite(values)
    return np.where(known, np.rint(np.where(known, values, 0) / step), NODATA).astype(np.int32)


def variogram_tags(variogram: Variogram) -> dict[str, str]:
    """Return the tags of a variogram."""
    fitted = f"a mean of {variogram.periods} periods" if variogram.periods > 1 else "a fit"
    return {
        "VARIOGRAM": variogram.model,
        "VARIOGRAM_RANGE_KM": f"{variogram.range_m / 1000:.6g}",
        "VARIOGRAM_SILL_MM2": f"{variogram.sill_mm2:.6g}",
        "VARIOGRAM_NUGGET_MM2": f"{variogram.nugget_mm2:.6g}",
        "VARIOGRAM_FROM": "options" if variogram.r2 is None else f"{fitted} with R2 {variogram.r2:.3f}",
    }


def _surface(
    geometry: _Geometry,
    values: Floats,
    at: Point | None,
    tags: dict[str, str],
    places: CellPlaces,
    pool: ThreadPoolExecutor,
) -> Surface:
    """Return the surface of an area: the nearest gauge's value, or what `at` estimates, no lower than 0."""
    index, distance = geometry.gauges(places, pool)
    near = distance <= geometry.farthest_m  # and not where NaN
    mean = float(values.mean())
    if at is None:
        depth = np.where(near, values.astype(np.float32)[index], np.float32(np.nan))
        return Surface(depth, distance, None, 0, mean, tags)
    depth = np.full(distance.shape, np.nan, np.float32)
    kept = geometry.deviations.get(places)
    made = np.full(distance.shape, np.nan, np.float32) if kept is None else kept
    estimated = at

    def strip(rows: slice) -> tuple[int, bool]:
        wanted = near[rows]
        x, y = places.rows(rows.start, rows.stop)
        estimates, deviations = estimated(x[wanted], y[wanted], kept is None)
        depth[rows][wanted] = np.maximum(estimates, 0)
        if deviations is not None:
            made[rows][wanted] = deviations
        return int((estimates < 0).sum()), deviations is not None

    done = list(pool.map(strip, strips(places)))
    if geometry.kriging is not None:
        geometry.deviations[places] = made
    has_deviation = kept is not None or any(has for _below, has in done)
    return Surface(depth, distance, made if has_deviation else None, sum(below for below, _has in done), mean, tags)


def strips(places: CellPlaces) -> Iterator[slice]:
    """Yield rows of an area, a strip at a time."""
    tall = max(_STRIP_CELLS // places.grid.width, 1)
    for top in range(0, places.grid.height, tall):
        yield slice(top, min(top + tall, places.grid.height))
