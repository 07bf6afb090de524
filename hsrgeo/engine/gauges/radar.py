"""The radar's side of a bias: a table of `hsrgeo series --points`, summed up over the times of the readings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.axis import floor_step
from hsrgeo.engine.gauges.gauge_options import GaugeBiasOptions
from hsrgeo.engine.periods import fewest_of
from hsrgeo.engine.series.series_table import MINUTES, series_lines
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.model.times import length_text, on_step, time_label, usual_step

_HOUR = timedelta(hours=1)
_ROUNDING = 1e-9
_FIRST_SIZE = 64


@dataclass(slots=True)
class RadarSums:
    """Radar above gauges, by the start of the time that gauge and radar are compared in."""

    step: timedelta
    """Of the comparison."""
    radar_step: timedelta
    """What a row of the table stands for."""
    min_frames: float
    """Share of the rows of a time that must be there; their mean stands for the others."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Gauges of the table, in its order."""
    counts: Counter[str] = field(default_factory=Counter)
    """Rows by what they are: used, low (too little observed), between (steps)."""
    _sums: dict[datetime, NDArray[np.float64]] = field(default_factory=dict)
    """Rates added up, and how many, shape (2, gauges or more)."""

    @property
    def names(self) -> tuple[str, ...]:
        """The gauges of the table."""
        return tuple(self.numbers)

    @property
    def times(self) -> list[datetime]:
        """Starts, in order."""
        return sorted(self._sums)

    def add(self, start: datetime, name: str, rate: float) -> None:
        """Take in a rate [mm/h]; NaN where it is not known."""
        number = self.numbers.setdefault(name, len(self.numbers))
        sums = self._sums.get(start)
        if sums is None or number >= sums.shape[1]:
            sums = self._sums[start] = _widened(sums, max(2 * number, len(self.numbers), _FIRST_SIZE))
        if not math.isnan(rate):
            sums[:, number] += rate, 1

    def depths_mm(self, time: datetime) -> NDArray[np.float64]:
        """Return the depth above each gauge in the time that begins then; NaN where too many rows are missing."""
        rates, frames = _widened(self._sums.get(time), len(self.numbers))[:, : len(self.numbers)]
        fewest = max(fewest_of(self.min_frames, self.step // self.radar_step), 1)
        mean = np.divide(rates, frames, out=np.full(rates.shape, np.nan), where=frames >= fewest)
        return np.asarray(mean * (self.step / _HOUR), np.float64)

    def incomplete(self) -> int:
        """Return how many depths are not known for want of rows."""
        return sum(int(np.isnan(self.depths_mm(time)).sum()) for time in self._sums)


def read_radar(path: Path, options: GaugeBiasOptions) -> RadarSums:
    """Read a table of `hsrgeo series --points`, and sum it up over the times of the comparison.

    Raises:
        SourceError: The table is not there, not a series of rain, damaged, or has two rows of one gauge and time.
        OptionsError: Its rows are not `GaugeBiasOptions.radar_step` apart; no row within the times.
        MissingExtraError: pyarrow is not installed, and it is Parquet.
    """
    sums = RadarSums(options.pair_step, options.radar_step, options.min_frames)
    rules = options.readings
    seen: dict[datetime, set[str]] = {}
    lengths: set[float] = set()
    for time, name, rate, coverage, minutes in series_lines(path, (MINUTES,)):
        lengths.add(minutes)
        there = seen.setdefault(time, set())
        if name in there:
            raise SourceError(str(path), f"has two rows of {name!r} at {time_label(time)}")
        there.add(name)
        start = floor_step(time, sums.step)
        if (rules.start is not None and start < rules.start) or (
            rules.end is not None and start + sums.step > rules.end
        ):
            continue
        if not on_step(time, sums.radar_step):
            sums.counts["between"] += 1
            continue
        low = math.isnan(rate) or not coverage >= options.min_coverage - _ROUNDING
        sums.counts["low" if low else "used"] += 1
        sums.add(start, name, math.nan if low else rate)
    _check_step(path, sorted(seen), lengths, sums.radar_step)
    if not sums.numbers:
        found = f"; it has {time_label(min(seen), max(seen))}" if seen else ""
        raise OptionsError(f"{path}: has no row in the requested times{found}")
    return sums


def _check_step(path: Path, times: Sequence[datetime], lengths: set[float], step: timedelta) -> None:
    """Refuse a table that was made for another step: each of its rows would count too little or too much."""
    said = {timedelta(minutes=minutes) for minutes in lengths if not math.isnan(minutes)}
    for length in said or {usual_step(times) or step}:
        if length != step:
            rows = "its rows stand for" if said else "its rows are apart by"
            raise OptionsError(f"{path}: {rows} {length_text(length)}, not {length_text(step)}: choose --radar-step")


def notes_of(sums: RadarSums, min_coverage: float) -> Iterable[str]:
    """Yield what a user should know of the rows that were left out."""
    if sums.counts["low"]:
        yield f"rows of the radar without a rate, or with a coverage below {min_coverage:g}: {sums.counts['low']:,}"
    if sums.counts["between"]:
        yield f"rows of the radar between steps of {length_text(sums.radar_step)}, left out: {sums.counts['between']:,}"
    if missing := sums.incomplete():
        yield f"times the radar lacked frames above a gauge, not compared: {missing:,}"


def _widened(sums: NDArray[np.float64] | None, size: int) -> NDArray[np.float64]:
    if sums is not None and sums.shape[1] >= size:
        return sums
    made = np.zeros((2, size))
    if sums is not None:
        made[:, : sums.shape[1]] = sums
    return made
