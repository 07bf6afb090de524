"""What sums merged with gauges are made of; the command line and the library share these."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hsrgeo.engine.gauges.gauge_options import Interpolated
from hsrgeo.errors import OptionsError
from hsrgeo.places.places import Points, read_points
from hsrgeo.products.bias import MOST_FACTOR, PairRules
from hsrgeo.products.merging import KRIGED, METHODS, MergeMethod
from hsrgeo.products.variograms import Model
from hsrgeo.sources.gauge_rules import ReadingRules


@dataclass(frozen=True, kw_only=True)
class GaugeMergeOptions(Interpolated):
    """How `hsrgeo.gauge_merge` merges sums of the radar with gauges.

    Args:
        gauges: As that of `GaugeFieldOptions`.
        readings: How the readings are to be understood.
        method: See `hsrgeo.products.merging`.
        min_coverage: Share of a period's readings that a gauge must have, above 0 to 1; the sum is of what is there.
        min_frames: Share of a sum's frames in which the cell of a gauge must be observed, above 0 to 1.
        min_rain_mm: Gauge and radar must both have so much for a factor, of ``mean-field`` and ``multiplicative``.
        min_pairs: Fewer pairs of gauge and radar leave a sum as it is; a fitted variogram needs more.
        max_factor: Factors are limited to this and its inverse.
        power: Of inverse distance; 2.
        neighbours: Gauges that count at a cell, of inverse distance; 12.
        variogram: Of ``ked`` and ``conditional``; spherical.
        range_km: Of the variogram; with `sill_mm2`, else it is fitted to each sum, or to the mean of all where the
            gauges of one do not show one.
        sill_mm2: Nugget included.
        nugget_mm2: 0, where the variogram is given.
        region: Of a folder of sums that has several.
        jobs: Threads; -1 is one a core.

    Raises:
        OptionsError: Options that contradict each other or cannot be; gauges that cannot be read.
    """

    gauges: str | Path | Points
    readings: ReadingRules
    method: MergeMethod = "conditional"
    min_coverage: float = 1.0
    min_frames: float = 1.0
    min_rain_mm: float = 0.1
    min_pairs: int = 5
    max_factor: float = MOST_FACTOR
    power: float | None = None
    neighbours: int | None = None
    variogram: Model | None = None
    range_km: float | None = None
    sill_mm2: float | None = None
    nugget_mm2: float | None = None
    region: str = ""
    jobs: int = -1
    rules: PairRules = field(init=False)
    """Which pairs count, and the limit of factors."""
    points: Points = field(init=False)
    """The gauges."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionsError(f"method {self.method!r}: expected one of {', '.join(METHODS)}")
        self.check_interpolation()
        for name in ("min_coverage", "min_frames"):
            if not 0 < getattr(self, name) <= 1:
                raise OptionsError(f"{name} {getattr(self, name):g}: expected a share above 0, to 1")
        object.__setattr__(self, "rules", PairRules(self.min_rain_mm, self.min_pairs, self.max_factor))
        points = read_points(self.gauges, self.readings.encoding, self.readings.start or self.readings.end)
        object.__setattr__(self, "points", points)

    @property
    def is_kriged(self) -> bool:
        """Whether the method has a variogram and a standard deviation."""
        return self.method in KRIGED
