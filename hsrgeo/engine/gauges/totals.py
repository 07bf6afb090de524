"""Readings summed up over periods, gauge by gauge; a sum that lacks readings is not filled up."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.periods import Period, PeriodLength, fewest_of, periods_of
from hsrgeo.sources.gauge_rules import ReadingRules
from hsrgeo.sources.readings import Readings


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
