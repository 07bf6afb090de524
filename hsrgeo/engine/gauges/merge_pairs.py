"""What is merged: sums of the radar, and what gauges and radar measured at the gauges in the time of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.gauges.merge_options import GaugeMergeOptions
from hsrgeo.engine.periods import Period, fewest_of, period_name
from hsrgeo.errors import HsrGeoError, OptionsError, ReadbackError, SourceError
from hsrgeo.model.grid import Grid
from hsrgeo.model.times import kst_text, length_text, on_step
from hsrgeo.outputs.folder import several_regions
from hsrgeo.outputs.summed import MAXIMA, Summed, summed_file, summed_files
from hsrgeo.products.interpolate import Floats, Network
from hsrgeo.products.merging import Pairs
from hsrgeo.sources.readings import Readings
from hsrgeo.writers.sum_cog import DEPTH_STEP_MM
from hsrgeo.writers.sum_readback import SumPicture, read_sum


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """A sum, and what is known at the gauges; NaN where it is not."""

    one: Summed
    path: Path
    gauge_mm: Floats
    radar_mm: Floats
    short: int
    """Gauges with too few readings."""
    blind: int
    """Gauges with readings, above which the radar has too few frames."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Gauges that have both."""
        return ~(np.isnan(self.gauge_mm) | np.isnan(self.radar_mm))

    def pairs(self, network: Network) -> Pairs:
        """Return what is known of both."""
        known = self.known
        return Pairs(network.xy[known], self.gauge_mm[known], self.radar_mm[known])


def sample(
    grid: Grid, network: Network, readings: Readings, options: GaugeMergeOptions, one: Summed, path: Path
) -> Sampled:
    """Read gauges and radar of a sum at the places of the gauges.

    Raises:
        SourceError: The sum cannot be read, or is on another grid.
    """
    picture = picture_on(grid, path)
    depths, short = _depths_of(readings, one, options.min_coverage)
    cols, rows = _cells(grid, network.xy)
    seen = picture.counts[rows, cols] >= max(fewest_of(options.min_frames, one.expected), 1)
    # A whole number of stored steps: float32 is a little off.
    radar = np.rint(picture.depth_mm[rows, cols] / DEPTH_STEP_MM) * DEPTH_STEP_MM
    gauge, radar = network.at_places(depths), np.where(seen, radar, np.nan)
    blind = int((~np.isnan(gauge) & np.isnan(radar)).sum())
    return Sampled(one, path, gauge, radar, short, blind)


def grid_of(folder: Path, sums: Sequence[Summed]) -> Grid:
    """Return the grid of the first sum that can be read.

    Raises:
        SourceError: None can.
    """
    problem: HsrGeoError = SourceError(str(folder), "contains no sum")
    for one in sums:
        try:
            return read_sum(folder / one.path).grid
        except HsrGeoError as error:
            problem = error
    raise problem


def picture_on(grid: Grid, path: Path) -> SumPicture:
    """Read a sum.

    Raises:
        SourceError: It cannot be read, or is on another grid.
    """
    picture = read_sum(path)
    if picture.grid != grid:
        raise SourceError(str(path), "is on another grid than the first sum")
    return picture


def listed_sums(source: Path, region: str, step: timedelta) -> tuple[Path, list[Summed], list[ReadbackError]]:
    """Return the folder of sums, the sums in it, and the files that cannot be used.

    The source is a COG of `hsrgeo accumulate`, or a folder of them; `region` is empty for the only one.

    Raises:
        SourceError: There are none.
        OptionsError: Several regions, and none chosen; a sum that is not of whole steps, or begins between two.
    """
    damaged: list[ReadbackError] = []
    if source.is_file():
        folder = source.parent
        try:
            files = [summed_file(source)]
        except ReadbackError as error:
            raise SourceError(str(source), error.problem) from error
    elif source.is_dir():
        (files, damaged), folder = summed_files(source, region or None), source
    else:
        raise SourceError(str(source), "no such file or folder")
    sums = [one for one in files if _is_sum(one)]
    if regions := sorted({one.region for one in sums}):
        if len(regions) > 1:
            raise several_regions(source, regions)
    else:
        found = ", ".join(sorted({one.what for one in files})) or "nothing of that kind"
        raise SourceError(str(source), f"contains no sums by hsrgeo accumulate that are not merged yet: found {found}")
    _check_lengths(source, sums, step)
    return folder, sums, damaged


def _check_lengths(source: Path, sums: Sequence[Summed], step: timedelta) -> None:
    for one in sums:
        if one.length % step:
            raise OptionsError(
                f"{source}: has sums of {length_text(one.length)}, and readings are of {length_text(step)}: make sums "
                "of whole steps of the readings, as hsrgeo accumulate --period"
            )
        if not on_step(one.time, step):
            raise OptionsError(
                f"{source}: has a sum from {kst_text(one.time)}, and readings of {length_text(step)} begin on whole "
                "steps after midnight KST: make sums that begin with a reading"
            )


def _is_sum(one: Summed) -> bool:
    tags = one.tags
    other = "GAUGES_USED" in tags or "MERGE_METHOD" in tags or "DURATION" in tags or MAXIMA in one.what
    return tags.get("QUANTITY") == "rain_depth" and not other


def _depths_of(readings: Readings, one: Summed, min_coverage: float) -> tuple[Floats, int]:
    """Return the depth of each gauge in the period of a sum, and how many gauges have readings, but too few.

    The depth of these, and of gauges without a reading, is NaN.
    """
    expected = one.length // readings.step
    times = (one.time + number * readings.step for number in range(expected))
    rows = [readings.depths_mm[time] for time in times if time in readings.depths_mm]
    if not rows:
        return np.full(len(readings.names), np.nan), 0
    depths = np.stack(rows)
    count = (~np.isnan(depths)).sum(axis=0)
    enough = count >= max(fewest_of(min_coverage, expected), 1)
    return np.where(enough, np.nansum(depths, axis=0), np.nan), int(((count > 0) & ~enough).sum())


def _cells(grid: Grid, xy: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return column and row of the cells that points of the grid lie in."""
    t = grid.transform
    cols, rows = (xy[:, 0] - t.c) / t.a, (xy[:, 1] - t.f) / t.e
    return (
        np.minimum(cols.astype(np.intp), grid.width - 1),  # the outer edge belongs to the last cell
        np.minimum(rows.astype(np.intp), grid.height - 1),
    )


def period_of(one: Summed) -> Period:
    """Return the period of a sum."""
    name = one.tags.get("PERIOD", period_name(one.length))
    return Period(one.time, one.time + one.length, name, timedelta(minutes=int(one.tags.get("FRAME_STEP_MINUTES", 5))))
