"""Sums of the radar merged with gauges: COGs of `hsrgeo accumulate` and readings in, merged COGs and scores out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.accumulate.sums import described, write_sum
from hsrgeo.engine.axis import SUMS, refuse_other_outputs
from hsrgeo.engine.gauges.merge_options import GaugeMergeOptions
from hsrgeo.engine.gauges.merge_pairs import Sampled, grid_of, listed_sums, period_of, picture_on, sample
from hsrgeo.engine.gauges.merge_scores import LeftOut, MethodScores, refuse_foreign_scores, write_scores
from hsrgeo.engine.gauges.surface import packed, strips, variogram_tags
from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.lazy import Lazy
from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.errors import HsrGeoError, OptionsError, as_value
from hsrgeo.model.grid import Grid
from hsrgeo.model.texts import first_names
from hsrgeo.model.times import utc_text
from hsrgeo.outputs.lock import locked
from hsrgeo.products.interpolate import CellPlaces, Floats, Network, network, spatial
from hsrgeo.products.merging import (
    KRIGED,
    METHODS,
    MergeMethod,
    Merger,
    Pairs,
    by_distance,
    kriged,
    left_of,
    mean_field,
)
from hsrgeo.products.variograms import Variograms, gstools
from hsrgeo.sources.gauge_rules import ReadingRules
from hsrgeo.sources.gauges import read_readings
from hsrgeo.sources.remote import local
from hsrgeo.writers.sum_cog import DEPTH_STEP_MM, Band, encode_bands
from hsrgeo.writers.sum_readback import SumPicture

_LISTED = 10
_LEAST_VARIANCE = 1e-12  # mm2


@dataclass(frozen=True, slots=True)
class MergedSum:
    """What became of a sum."""

    source: Path
    gauges: int = 0
    """That counted."""
    path: Path | None = None
    """The merged one; None where there is a problem."""
    as_it_is: str = ""
    """Why the method could not be applied: the file has the radar as it is."""
    problem: str = ""
    """Why there is no file."""


class GaugeMerge(Lazy[MergedSum]):
    """A run: iterate it to make it happen; files are written one by one, and the scores at the end.

    Args:
        readings: CSV of what gauges measured.
        sums: A COG of `hsrgeo accumulate`, or a folder of them.
        out: The output folder; files that are there are replaced.
        options: How.

    Raises:
        OptionsError: Sums or readings that cannot be used; no gauge on the grid.
        SourceError: There are no sums.
        LockError: Another run is writing into the folder.
        MissingExtraError: A library of the extra `gauges` is not installed.
    """

    def __init__(self, readings: str | Path, sums: Path, out: Path, options: GaugeMergeOptions) -> None:
        refuse_other_outputs(out)
        spatial()
        gstools()
        self.written: list[Path] = []
        """The files, so far."""
        self.failed: list[MergedSum] = []
        """Sums without a file, so far."""
        self.as_they_are: Counter[str] = Counter()
        """Sums that the method could not be applied to, by why, so far."""
        self.clipped = 0
        """Cells whose estimate was negative and became 0, so far."""
        self.limited = 0
        """Factors that were limited, so far."""
        self.scores: list[MethodScores] = []
        """Of every method; complete when the run is over."""
        self.notes = [*options.points.notes]
        """What a user should know; likewise."""
        self._options, self._out = options, out
        self._folder, self._sums, damaged = listed_sums(sums, options.region, options.readings.step)
        if out.resolve() == self._folder.resolve():
            raise OptionsError(f"{out}: has the sums to merge; merged ones go to a folder of their own")
        self._damaged = [MergedSum(Path(error.path), problem=error.problem) for error in damaged]
        self._readings = read_readings(readings, options.points.names, options.readings)
        begin, end = min(one.time for one in self._sums), max(one.time + one.length for one in self._sums)
        self.notes += [*self._readings.notes_on_times(begin, end), *self._readings.notes()]
        self._grid, self._network = self._placed()
        self._variograms: dict[MergeMethod, Variograms] = {}
        self._left_out = LeftOut()
        self._items = self._run()

    def __next__(self) -> MergedSum:
        made = super().__next__()
        if made.path is None:
            self.failed.append(made)
            return made
        self.written.append(made.path)
        if made.as_it_is:
            self.as_they_are[made.as_it_is] += 1
        return made

    def _so_far(self) -> list[str]:
        return [f"{len(self.written):,} written", f"{len(self.failed):,} failed"]

    def _placed(self) -> tuple[Grid, Network]:
        """Return the grid of the sums, and the gauges on it."""
        grid = grid_of(self._folder, self._sums)
        if grid.crs.is_geographic:
            raise OptionsError(
                f"{self._folder}: its cells are degrees; distances to gauges need a projection in metres"
            )
        points = self._options.points
        placed = network(points.names, points.lonlat, grid)
        for what, names in (
            ("gauges outside the sums, ignored", placed.outside),
            ("gauges at the same place, averaged", placed.shared),
        ):
            if names:
                self.notes.append(f"{what}: {len(names):,} ({first_names(names)})")
        if not len(placed.xy):
            raise OptionsError(f"no gauge lies on the grid of {self._folder}: are lon and lat right?")
        return grid, placed

    def _run(self) -> Generator[MergedSum]:
        with locked(self._out / SUMS, self._out) as lock, ThreadPoolExecutor(count_workers(self._options.jobs)) as pool:
            refuse_foreign_scores(self._out / "scores.csv")
            yield from self._damaged
            sampled: list[Sampled] = []
            at_gauges = partial(sample, self._grid, self._network, self._readings, self._options)
            for one in self._sums:
                path = self._folder / one.path
                try:
                    sampled.append(at_gauges(one, path))
                except HsrGeoError as error:
                    yield MergedSum(path, problem=str(as_value(error)))
            self._fit(sampled)
            for each in sampled:
                lock.check()
                yield self._merged(each, pool)
            self.scores = self._left_out.scores()
            write_scores(self._out / "scores.csv", self.scores)
        self._note(sampled)

    def _note(self, sampled: Sequence[Sampled]) -> None:
        numbers = {
            "gauge periods with too few readings (--min-coverage), ignored": sum(one.short for one in sampled),
            "gauge periods with too few radar frames (--min-frames), ignored": sum(one.blind for one in sampled),
            f"factors limited to {1 / self._options.max_factor:g} to {self._options.max_factor:g} (--max-factor)": (
                self.limited
            ),
            "cells estimated below 0 mm, set to 0": self.clipped,
        }
        self.notes += [f"{what}: {count:,}" for what, count in numbers.items() if count]
        if self._options.method in self._variograms:
            self.notes += self._variograms[self._options.method].notes
        for why, count in self.as_they_are.most_common(_LISTED):
            instead = "; or another --method, such as additive" if self._options.is_kriged else ""
            self.notes.append(f"sums left as they are: {count:,} ({why}{instead})")

    def _fit(self, sampled: Sequence[Sampled]) -> None:
        def residuals(method: MergeMethod) -> Iterator[Floats]:
            for one in sampled:
                known, pairs = one.known, one.pairs(self._network)
                filled = np.full(known.shape, np.nan)
                try:
                    filled[known] = left_of(method, pairs, self._options.rules)
                except OptionsError:  # of a dry time
                    continue
                yield filled

        for method in KRIGED:
            self._variograms[method] = Variograms(self._network.xy, partial(residuals, method), self._options.model)

    def _solved(self, method: MergeMethod, known: NDArray[np.bool_], pairs: Pairs) -> Merger:
        """Return a method for the gauges of a sum."""
        options = self._options
        if not len(pairs):
            raise OptionsError("no gauge has both readings and radar")
        if method == "mean-field":
            return mean_field(pairs, options.rules)
        if method not in KRIGED:
            return by_distance(method, pairs, options.rules, *options.idw)
        left = left_of(method, pairs, options.rules)
        variogram = options.known_variogram
        if variogram is None and float(np.var(left)) >= _LEAST_VARIANCE:
            variogram = self._variograms[method].of(known, left)
        return kriged(method, pairs, options.rules, variogram)

    def _merged(self, each: Sampled, pool: ThreadPoolExecutor) -> MergedSum:
        known, pairs = each.known, each.pairs(self._network)
        mergers: dict[MergeMethod, Merger] = {}
        why: dict[MergeMethod, str] = {}
        for method in METHODS:
            try:
                mergers[method] = self._solved(method, known, pairs)
            except OptionsError as error:
                why[method] = str(error)
        made = {method: merger.left_out() for method, merger in mergers.items()}
        self._left_out.add(pairs.gauge_mm, pairs.radar_mm, made)
        options = self._options
        merger = mergers.get(options.method)
        try:
            picture = picture_on(self._grid, each.path)
        except HsrGeoError as error:
            return MergedSum(each.path, problem=str(as_value(error)))
        depth, deviation, clipped = _surface(picture, merger, pool)
        self.clipped += clipped
        self.limited += merger.limited if merger else 0
        bands = [
            Band("rain_depth", packed(depth, DEPTH_STEP_MM), DEPTH_STEP_MM, "mm"),
            Band("frames", picture.counts),
        ]
        if deviation is not None:
            bands.append(Band("kriging_std", packed(deviation, DEPTH_STEP_MM), DEPTH_STEP_MM, "mm"))
        period = period_of(each.one)
        path = self._out / period.path("", f"merged_{options.method}")
        tags = {**picture.tags, **self._tags(each, pairs, merger, why.get(options.method, ""), clipped)}
        product = each.one.tags.get("PRODUCT", "")
        made_up = "SYNTHETIC " if tags.get("SYNTHETIC") == "yes" else ""
        tags["TIFFTAG_IMAGEDESCRIPTION"] = described(
            f"{made_up}KMA {product} composites and rain gauges by {options.method}, rain_depth (mm)", period
        )
        write_sum(path, encode_bands(picture.grid, bands, tags, utc_text(period.start)), each.one.length)
        return MergedSum(each.path, len(pairs), path, why.get(options.method, ""))

    def _tags(self, each: Sampled, pairs: Pairs, merger: Merger | None, why: str, clipped: int) -> dict[str, str]:
        options = self._options
        tags = {
            "MERGE_METHOD": options.method if merger else f"none: {why}",
            "MERGE_GAUGES_USED": str(len(pairs)) if merger else "0",
            "MERGE_GAUGES_LISTED": str(len(self._network.names)),
            "MERGE_GAUGES_SHORT": str(each.short),
            "MERGE_GAUGES_WITHOUT_RADAR": str(each.blind),
            "MERGE_FACTORS_LIMITED": str(merger.limited) if merger else "",
            "MERGE_MAX_FACTOR": f"{options.max_factor:g}",
            "COUNT_NEGATIVE_TO_ZERO": str(clipped),
        }
        if merger is not None and merger.variogram is not None:
            tags |= variogram_tags(merger.variogram)
        elif merger is not None and options.method in ("additive", "multiplicative", "mixed"):
            tags |= {"IDW_POWER": f"{options.idw[0]:g}", "IDW_NEIGHBOURS": str(options.idw[1])}
        return {name: value for name, value in tags.items() if value}


@takes(GaugeMergeOptions, ReadingRules)
def gauge_merge(
    readings: str | Path,
    sums: str | Path,
    out: str | Path,
    options: GaugeMergeOptions | None = None,
    **keywords: object,
) -> GaugeMerge:
    """Merge sums of the radar with what gauges measured; iterate the result to make it happen, or call its `run`.

    For each sum a COG ``YYYYMM/DD/merged_METHOD_1h_YYYYMMDDHHMM.tif`` by its start in KST: band 1 is the depth [mm],
    band 2 the frames of the sum as they are; kriging has the standard deviation [mm] of the error as band 3. Cells
    that the radar did not observe stay nodata; no depth is below 0. A sum that the method cannot be applied to, such
    as a dry one, is written as it is, and its tags and a note say why. ``scores.csv`` in the folder compares all
    methods: each gauge is estimated without itself.

    Args:
        readings: CSV of what gauges measured, see `hsrgeo.gauge_fields`.
        sums: A COG of `hsrgeo accumulate`, or a folder of them.
        out: The output folder.
        options: Which gauges, how the readings are to be understood, and how they are merged.
        keywords: Fields of `GaugeMergeOptions` and of `ReadingRules`, in place of those of `options`.

    Returns:
        An iterator over what became of each sum. A sum that cannot be read is an item, not an exception.

    Raises:
        OptionsError, SourceError, MissingExtraError: See `GaugeMerge`.
        WriteError: The disk or GDAL refused.
    """
    wanted = options_of(GaugeMergeOptions, options, keywords, readings=ReadingRules)
    return GaugeMerge(readings, local(sums, "hsrgeo gauges"), local(out, "hsrgeo gauges"), wanted)


def _surface(
    picture: SumPicture, merger: Merger | None, pool: ThreadPoolExecutor
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, int]:
    """Return depth and standard deviation of a sum, and how many cells were below 0."""
    if merger is None:
        return picture.depth_mm, None, 0
    places = CellPlaces(picture.grid, picture.grid)
    depth, deviation = np.full((2, *picture.depth_mm.shape), np.nan, np.float32)

    def strip(rows: slice) -> tuple[int, bool]:
        radar = picture.depth_mm[rows]
        seen = ~np.isnan(radar)
        x, y = places.rows(rows.start, rows.stop)
        made = merger.at(x[seen], y[seen], radar[seen].astype(np.float64))
        depth[rows][seen] = np.maximum(made.depth_mm, 0)
        if made.deviation_mm is not None:
            deviation[rows][seen] = made.deviation_mm
        return int((made.depth_mm < 0).sum()), made.deviation_mm is not None

    counts = list(pool.map(strip, strips(places)))
    has_deviation = any(has for _below, has in counts)
    return depth, deviation if has_deviation else None, sum(below for below, _has in counts)
