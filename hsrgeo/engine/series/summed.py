"""The numbers of a series from a folder of sums or gauge fields: the mean rate of each period."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.series.reader import Numbers, OutputReader, Sampled, other_grid
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.errors import HsrGeoError, OptionsError, as_value
from hsrgeo.model.grid import Grid
from hsrgeo.outputs.folder import several_regions
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.outputs.summed import MAXIMA, Summed, summed_files
from hsrgeo.places.sampling import COVERAGE, MAX, MEAN, WET
from hsrgeo.places.weights import Weights
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.writers.sum_cog import DEPTH_STEP_MM
from hsrgeo.writers.sum_readback import SumPicture, read_sum

_HOUR = timedelta(hours=1)
_LEAST = 1e-9  # share of frames: what rounding leaves


class SumReader(OutputReader):
    """Reads the COGs of sums; each stands for its period.

    Args:
        source: Their folder.
        options: Which places and times; which region.

    Raises:
        OptionsError: Several regions, or periods of several lengths; options that are for frames.
    """

    def __init__(self, source: Path, options: SeriesOptions) -> None:
        super().__init__(source, options)
        self._folder = source
        if options.quantity != "rain" or options.law != KMA_LAW or options.frame_step is not None:
            raise OptionsError(f"{source} contains sums of rain: quantity, zr, max_rate and frame_step are for frames")
        if options.factors is not None:
            raise OptionsError(f"{source} contains sums of rain: bias is for frames, give it to hsrgeo accumulate")
        files, damaged = summed_files(source, options.region or None)
        names = sorted({one.what for one in files if MAXIMA not in one.what})
        regions = sorted({one.region for one in files})
        if len(regions) > 1:
            raise several_regions(source, regions)
        if len(names) != 1:
            raise OptionsError(
                f"{source} contains {', '.join(names) or 'rolling maxima only'}: a series needs one kind; "
                "write each into a folder of its own"
            )
        sums = [one for one in files if one.what == names[0]]
        if maxima := len(files) - len(sums):
            self.notes.append(f"rolling maxima are not sums of a period and are ignored: {maxima:,}")
        lengths = {one.length for one in sums}
        if len(lengths) > 1:
            raise OptionsError(f"{source} contains sums of several lengths: a series needs one")
        self.length = self.step = lengths.pop()
        ways = {_rain_law(one) for one in sums}
        if len(ways) > 1:
            self.notes.append(f"{source} contains sums of rain by {', '.join(map(repr, sorted(ways)))}")
        else:
            self.rain_law = ways.pop()
        self._damaged = damaged
        self._sums = [one for one in sums if self._wants(one)]

    def _wants(self, one: Summed) -> bool:
        wanted = self.options.selection.wants(one.frame_name)
        if not wanted:
            self.tally.leave_out(one.frame_name)
        return wanted

    def read(self, folder: Path) -> Generator[Sampled]:
        """Yield the numbers of each sum, see `Reader.read`."""
        del folder
        self.tally.total_bytes = len(self._sums)
        for error in self._damaged:
            yield Outcome(error.path, None, None, "failed", error=error), None
        first: tuple[Grid, Weights] | None = None
        for one in self._sums:
            self.tally.read_bytes += 1
            path = str(self._folder / one.path)
            try:
                picture = read_sum(self._folder / one.path)
                if first is None:
                    first = picture.grid, self.place(picture.grid)
                if picture.grid != first[0]:
                    raise other_grid(first[0], picture.grid, path)
            except OptionsError:
                raise
            except HsrGeoError as error:
                yield Outcome(path, None, one.frame_name, "failed", error=as_value(error)), None
                continue
            numbers = _numbers(picture, first[1], one, self.options.wet_from)
            yield Outcome(path, None, one.frame_name, "ok"), numbers


def _rain_law(one: Summed) -> str:
    bias = one.tags.get("BIAS_SOURCE", "")
    return one.tags.get("RAIN_LAW", "") + (f", adjusted by {bias}" if bias else "")


def _numbers(picture: SumPicture, weights: Weights, one: Summed, wet_from: float) -> Numbers:
    """Return mean and highest rate, wet share and coverage of each place over the observed part of the period.

    A cell that was observed in 9 of 12 frames counts for three quarters: mean x length x coverage is what fell.
    """
    stored = np.rint(picture.depth_mm.reshape(-1)[weights.cells] / DEPTH_STEP_MM)
    depth = stored.astype(np.float64) * DEPTH_STEP_MM  # 0.32, not the 0.319999993 of a float32
    seen = picture.counts.reshape(-1)[weights.cells] / one.expected if one.expected else np.ones(depth.shape)
    seen = np.where(np.isnan(depth), 0, np.minimum(seen, 1))
    some = seen > _LEAST
    hours = one.length / _HOUR
    rate = np.divide(np.nan_to_num(depth), hours * seen, out=np.zeros(depth.shape), where=some)
    shares = weights.shares * seen
    total = _by_place(np.add, shares, weights)
    result = np.full((len(weights), 4), np.nan)
    result[:, COVERAGE] = np.minimum(total / weights.totals, 1)
    known = total > _LEAST
    result[known, MEAN] = (_by_place(np.add, shares * rate, weights) / np.where(known, total, 1))[known]
    result[known, MAX] = _by_place(np.maximum, rate, weights)[known]
    wet = _by_place(np.add, shares * (rate >= wet_from), weights) / np.where(known, total, 1)
    result[known, WET] = np.minimum(wet, 1)[known]
    return result


def _by_place(combined: np.ufunc, terms: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    result = np.zeros(len(weights))
    filled = np.diff(weights.starts) > 0
    if filled.any():
        result[filled] = combined.reduceat(terms, weights.starts[:-1][filled])
    return result
