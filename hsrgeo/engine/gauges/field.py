"""Fields of gauges: readings in, a COG of rain depth on the composites' grid for every period out."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.accumulate.sums import period_tags, write_sum
from hsrgeo.engine.areas import asked_window, check_areas
from hsrgeo.engine.axis import SUMS, refuse_other_outputs
from hsrgeo.engine.gauges.gauge_options import GaugeFieldOptions
from hsrgeo.engine.gauges.surface import Surface, interpolator, packed
from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.lazy import Lazy
from hsrgeo.engine.periods import Period, PeriodLength, fewest_of, periods_of
from hsrgeo.errors import ClippedWarning, OptionsError
from hsrgeo.model.grid import Grid
from hsrgeo.model.texts import first_names
from hsrgeo.model.times import utc_text
from hsrgeo.model.window import Window
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.recipe import Cut
from hsrgeo.products.interpolate import CellPlaces, network
from hsrgeo.products.warp import warp_for
from hsrgeo.sources.gauge_rules import ReadingRules
from hsrgeo.sources.gauges import read_readings
from hsrgeo.sources.readings import Readings
from hsrgeo.sources.remote import local
from hsrgeo.writers.sum_cog import DEPTH_STEP_MM, Band, encode_bands


@dataclass(frozen=True, slots=True)
class GaugeField:
    """What became of a period."""

    period: Period
    gauges: int
    """Places that had a depth."""
    paths: tuple[Path, ...] = ()
    """A file for each area; none where there is a problem."""
    problem: str = ""
    """Why there is no field."""


@dataclass(frozen=True, slots=True, eq=False)
class _Area:
    region: str
    window: Window | None
    """Of the composites' grid; None in another projection."""
    places: CellPlaces


class GaugeFields(Lazy[GaugeField]):
    """A run, see `gauge_fields`: iterate it to make it happen; files are written one by one.

    Raises:
        OptionsError: Readings that cannot be used; no gauge on the grid; areas outside it.
        LockError: Another run is writing into the folder.
        MissingExtraError: A library of the extra `gauges` is not installed.
    """

    def __init__(self, readings: str | Path, out: Path, options: GaugeFieldOptions) -> None:
        refuse_other_outputs(out)
        self.written: list[Path] = []
        """The files, so far."""
        self.failed: list[GaugeField] = []
        """Periods without a field, so far."""
        self.clipped = 0
        """Cells whose estimate was negative and became 0, so far."""
        self._options, self._out, grid = options, out, options.whole
        self.notes = [*options.points.notes, *check_areas(options.export.recipe, grid)]
        """What a user should know; complete when the run is over."""
        self._network = network(options.points.names, options.points.lonlat, grid)
        if outside := self._network.outside:
            self.notes.append(f"gauges outside {grid.name}, ignored: {len(outside):,} ({first_names(outside)})")
        if not len(self._network.xy):
            raise OptionsError(f"no gauge lies on the grid {grid.name}")
        if shared := self._network.shared:
            self.notes.append(f"gauges at the same place, averaged: {len(shared):,} ({first_names(shared)})")
        self._interpolator = interpolator(options, self._network.xy, self._periods)
        self._areas = [_area(grid, cut, options) for cut in options.export.recipe.cuts]
        rules = options.rules
        self._readings = read_readings(readings, options.points.names, rules)
        self.counts = self._readings.counts
        """Readings by what became of them, see `hsrgeo.sources.gauges.Readings`."""
        self.notes += self._readings.notes()
        self._items = self._run()

    def __next__(self) -> GaugeField:
        made = super().__next__()
        self.written += made.paths
        if made.problem:
            self.failed.append(made)
        return made

    def _so_far(self) -> list[str]:
        return [f"{len(self.written):,} written", f"{len(self.failed):,} failed"]

    def _run(self) -> Generator[GaugeField]:
        short = gaps = 0
        with locked(self._out / SUMS, self._out) as lock, ThreadPoolExecutor(self._options.export.workers) as pool:
            last: Period | None = None
            with closing(self._totals()) as listed:
                for total in listed:
                    short += total.short
                    if last is not None and total.period.start > last.end:
                        gaps += (total.period.start - last.end) // (last.end - last.start)
                    last = total.period
                    lock.check()
                    yield self._field(total, pool)
        if short:
            self.notes.append(f"gauge periods with too few readings (--min-coverage), ignored: {short:,}")
        if gaps:
            self.notes.append(f"periods without any reading, and without a file: {gaps:,}")
        if self.clipped:
            self.notes.append(f"cells estimated below 0 mm, set to 0: {self.clipped:,}")
        self.notes += self._interpolator.notes

    def _totals(self) -> Generator[Total]:
        options = self._options
        return totals_of(self._readings, options.length, options.min_coverage, options.rules)

    def _periods(self) -> Iterator[NDArray[np.float64]]:
        return (self._network.at_places(total.depths_mm) for total in self._totals())

    def _field(self, total: Total, pool: ThreadPoolExecutor) -> GaugeField:
        depths = self._network.at_places(total.depths_mm)
        known = ~np.isnan(depths)
        count, least = int(known.sum()), self._options.least_gauges
        if count < least:
            return GaugeField(total.period, count, problem=f"{count} of {known.size} gauges: {least} are needed")
        paths = []
        try:
            solved = self._interpolator.solve(known, depths[known])
        except OptionsError as error:
            return GaugeField(total.period, count, problem=str(error))
        for area in self._areas:
            surface = solved(area.places, pool)
            self.clipped += surface.clipped
            path = self._out / total.period.path(area.region, f"gauges_{self._options.method}")
            tags = self._tags(total, count, area, surface)
            data = encode_bands(area.places.grid, _bands(surface), tags, utc_text(total.period.start), licence="")
            write_sum(path, data, total.period.end - total.period.start)
            paths.append(path)
        return GaugeField(total.period, count, tuple(paths))

    def _tags(self, total: Total, count: int, area: _Area, surface: Surface) -> dict[str, str]:
        options, period, rules = self._options, total.period, self._options.readings
        named = {"QUANTITY": "rain_depth", "UNIT": "mm"}
        tags = {
            **period_tags(f"rain gauges by {options.method}, rain_depth (mm)", period, named),
            "METHOD": options.method,
            **surface.tags,
            "GAUGES_USED": str(count),
            "GAUGES_LISTED": str(len(self._network.names)),
            "GAUGES_SHORT": str(total.short),
            "GAUGES_MEAN_MM": f"{surface.mean_mm:.4f}",
            "READING_STEP_MINUTES": str(rules.step // timedelta(minutes=1)),
            "READING_STAMP": rules.stamp,
            "READING_UNIT": rules.unit,
            "READINGS_BAD": str(self.counts["bad"]),
            "READINGS_MISSING": str(self.counts["missing"] + self.counts["code"]),
            "MIN_COVERAGE": f"{options.min_coverage:g}",
            "MAX_DISTANCE_KM": f"{options.max_distance_km:g}" if options.max_distance_km is not None else "",
            "COUNT_NEGATIVE_TO_ZERO": str(surface.clipped),
            "DISTANCES": f"metres of {self._options.whole.name}",
            "GRID": area.places.grid.name,
            "WINDOW": str(area.window) if area.window else "",
        }
        return {key: value for key, value in tags.items() if value}


@takes(GaugeFieldOptions, ReadingRules)
def gauge_fields(
    readings: str | Path, out: str | Path, options: GaugeFieldOptions | None = None, **keywords: object
) -> GaugeFields:
    """Interpolate what gauges measured to the cells of a grid; iterate the result to make it happen, or call its `run`.

    For each period a COG ``YYYYMM/DD/gauges_METHOD_1h_YYYYMMDDHHMM.tif`` by its start in KST. Band 1 is the depth [mm],
    band 2 the distance to the nearest gauge that counted [m]; kriging has the standard deviation [mm] as band 3. A
    period with too few gauges has no file, and says why.

    Args:
        readings: CSV: a row a reading (time, name, rain) or a row a time with a column for each gauge.
        out: The output folder; files that are there are replaced.
        options: Which gauges, how the readings are to be understood, and how they are interpolated.
        keywords: Fields of `GaugeFieldOptions` and of `ReadingRules`, in place of those of `options`.

    Returns:
        An iterator over what became of each period. A period without a field is an item, not an exception.

    Raises:
        OptionsError, MissingExtraError: See `GaugeFields`.
        WriteError: The disk or GDAL refused.
    """
    wanted = options_of(GaugeFieldOptions, options, keywords, readings=ReadingRules)
    return GaugeFields(readings, local(out, "hsrgeo gauges"), wanted)


def _area(grid: Grid, cut: Cut, options: GaugeFieldOptions) -> _Area:
    target = options.export.recipe.target
    window, _clipped = asked_window(grid, cut.area)  # noted before
    if target is None:
        return _Area(cut.region, window, CellPlaces(grid, grid.crop(window)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedWarning)  # likewise
        return _Area(cut.region, None, CellPlaces(grid, warp_for(grid, cut.area, target).grid))


def _bands(surface: Surface) -> list[Band]:
    bands = [
        Band("rain_depth", packed(surface.depth_mm, DEPTH_STEP_MM), DEPTH_STEP_MM, "mm"),
        Band("gauge_distance", packed(surface.distance_m, 1.0), unit="m"),
    ]
    if surface.deviation_mm is not None:
        bands.append(Band("kriging_std", packed(surface.deviation_mm, DEPTH_STEP_MM), DEPTH_STEP_MM, "mm"))
    return bands


@dataclass(frozen=True, slots=True, eq=False)
class Total:
    """Depth of a period."""

    period: Period
    depths_mm: NDArray[np.float64]
    """Of each gauge; NaN where it has too few readings."""
    short: int
    """Gauges that have readings in the period, but too few."""


def totals_of(readings: Readings, length: PeriodLength, min_coverage: float, rules: ReadingRules) -> Generator[Total]:
    """Yield the depth of every period of which there is a row, in order.

    A gauge must have `min_coverage` of the period's readings; the times of `rules` bound an ``event``.
    """
    if not readings.depths_mm:
        return
    periods = periods_of(readings.depths_mm, length, readings.step, rules.start, rules.end)
    of_period: dict[Period, list[datetime]] = {}
    for time in readings.times:
        of_period.setdefault(periods[time], []).append(time)
    for period, times in of_period.items():
        depths = np.stack([readings.depths_mm[time] for time in times])
        count = (~np.isnan(depths)).sum(axis=0)
        fewest = max(fewest_of(min_coverage, period.expected), 1)
        enough = count >= fewest
        yield Total(period, np.where(enough, np.nansum(depths, axis=0), np.nan), int(((count > 0) & ~enough).sum()))
