"""Mean-field bias: how much more, or less, gauges caught than radar saw above them, as one factor for all.

The factor is the sum of the gauges over the sum of the radar; radar times factor has the gauges' sum. Leaving one gauge
out, and adjusting it by the others' factor, tells what the adjustment is worth where there is no gauge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError

Floats = NDArray[np.float64]

LEAST_MEAN_MM = 0.1
"""Mean depth of the radar over the pairs below which there is no factor: a tip of a usual gauge, 0.1 mm, over less is
no measurement of a ratio."""
MOST_FACTOR = 10.0
"""Factors above this, or below its inverse, are hard to believe: another unit or time is likelier. They are limited to
it, with a note."""


@dataclass(frozen=True, slots=True)
class PairRules:
    """Which pairs count, and how many make a factor.

    Raises:
        OptionsError: Rules that cannot be.
    """

    min_rain_mm: float = 0.1
    """Both the gauge and the radar must have so much."""
    min_pairs: int = 5
    """Fewer pairs give no factor."""
    max_factor: float = MOST_FACTOR
    """Factors above this count as this, those below its inverse as that."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_rain_mm < float("inf"):
            raise OptionsError(f"min_rain {self.min_rain_mm:g}: expected 0 mm or more")
        if self.min_pairs < 1:
            raise OptionsError(f"min_pairs {self.min_pairs}: expected at least 1")
        if not self.max_factor >= 1:
            raise OptionsError(f"max_factor {self.max_factor:g}: expected 1 or more")

    def limit(self, factors: Floats) -> Floats:
        """Return factors, limited; NaN stays."""
        return np.clip(factors, 1 / self.max_factor, self.max_factor)


@dataclass(frozen=True, slots=True, eq=False)
class FieldBias:
    """The factor of one time, and what it does."""

    used: NDArray[np.bool_]
    """Of the gauges: those that count."""
    gauge_mm: float
    """Sum of the gauges that count."""
    radar_mm: float
    """Sum of the radar above them."""
    factor: float
    """NaN where too few pairs count, or the radar's mean over them is below `LEAST_MEAN_MM`."""
    adjusted_mm: Floats
    """Radar times the factor, of every gauge; NaN without a factor or radar."""
    left_out_mm: Floats
    """Radar times the factor of the other gauges, of those that count; NaN elsewhere."""
    limited: bool = False
    """Whether the factor was more, or less, see `PairRules.max_factor`."""

    @property
    def pairs(self) -> int:
        """How many gauges count."""
        return int(self.used.sum())


@dataclass(frozen=True, slots=True)
class Scores:
    """How well radar agrees with gauges."""

    correlation: float
    """Pearson's; NaN with fewer than two pairs, or where either is the same everywhere."""
    rmse_mm: float
    """Root of the mean square of the difference; NaN without a pair."""
    mean_error_mm: float
    """Mean of radar less gauge; likewise."""


def field_bias(gauge_mm: Floats, radar_mm: Floats, rules: PairRules) -> FieldBias:
    """Return the factor of one time, of depths of gauges and of the radar above them; NaN where one is not known."""
    known = ~(np.isnan(gauge_mm) | np.isnan(radar_mm))
    used = known & (gauge_mm >= rules.min_rain_mm) & (radar_mm >= rules.min_rain_mm)
    gauges, radar = float(gauge_mm[used].sum()), float(radar_mm[used].sum())
    # A little less is rounding: pairs of 0.1 mm have that mean.
    enough = used.sum() >= rules.min_pairs and radar >= LEAST_MEAN_MM * used.sum() * (1 - 1e-9)
    ratio = gauges / radar if enough else np.nan
    factor = float(rules.limit(np.array(ratio)))
    left_out = np.full(gauge_mm.shape, np.nan)
    if enough:
        others_gauge, others_radar = gauges - gauge_mm[used], radar - radar_mm[used]
        # What rounding leaves of a sum that one gauge is all of is no rain.
        has_others = (np.count_nonzero(radar_mm[used] > 0) - (radar_mm[used] > 0)) > 0
        has_others &= others_radar >= LEAST_MEAN_MM * (used.sum() - 1) * (1 - 1e-9)
        ratios = np.divide(others_gauge, others_radar, out=np.full(used.sum(), np.nan), where=has_others)
        left_out[used] = radar_mm[used] * rules.limit(ratios)
    return FieldBias(used, gauges, radar, factor, radar_mm * factor, left_out, limited=bool(enough and factor != ratio))


def scores(gauge_mm: Floats, radar_mm: Floats) -> Scores:
    """Return how well radar agrees with gauges, over the pairs in which both are known."""
    known = ~(np.isnan(gauge_mm) | np.isnan(radar_mm))
    gauges, radar = gauge_mm[known], radar_mm[known]
    if not gauges.size:
        return Scores(np.nan, np.nan, np.nan)
    rmse = float(np.sqrt(np.mean((radar - gauges) ** 2)))
    error = float(np.mean(radar - gauges))
    varied = gauges.size > 1 and np.ptp(gauges) > 0 and np.ptp(radar) > 0
    return Scores(float(np.corrcoef(gauges, radar)[0, 1]) if varied else np.nan, rmse, error)
