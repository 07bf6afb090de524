"""What fields and biases of gauges are made of; the command line and the library share these."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.keywords import shared_with
from hsrgeo.engine.periods import PeriodLength, check_period
from hsrgeo.engine.regions import Region
from hsrgeo.errors import OptionsError
from hsrgeo.model.fields import Length, Step, Time
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import MAIN_GRID, grids
from hsrgeo.model.times import FRAME_STEP, kst_text, length_text, on_step, refuse_uneven
from hsrgeo.model.window import BBox, Window
from hsrgeo.places.places import Points, read_points
from hsrgeo.products.bias import MOST_FACTOR, PairRules
from hsrgeo.products.kriging import LEAST_KRIGED
from hsrgeo.products.variograms import Model, Variogram
from hsrgeo.sources.gauge_rules import ReadingRules

Method = Literal["thiessen", "idw", "kriging"]

_IDW_POWER, _IDW_NEIGHBOURS = 2.0, 12
"""Of inverse distance, where a user names none."""


def _check_idw(power: float | None, neighbours: int | None) -> None:
    """Refuse what inverse distance cannot be done with."""
    if power is not None and not 0 < power < math.inf:
        raise OptionsError(f"power {power:g}: expected more than 0")
    if neighbours is not None and neighbours < 1:
        raise OptionsError(f"neighbours {neighbours}: expected at least 1")


def _variogram_of(
    model: Model, range_km: float | None, sill_mm2: float | None, nugget_mm2: float | None
) -> Variogram | None:
    """Return the variogram of options, or None where it is to be fitted."""
    if (range_km is None) != (sill_mm2 is None):
        raise OptionsError("range and sill go together: with both the variogram is given, without it is fitted")
    if range_km is None or sill_mm2 is None:
        if nugget_mm2 is not None:
            raise OptionsError("nugget is of a given variogram: give range and sill too")
        return None
    return Variogram(model, 1000 * range_km, sill_mm2, nugget_mm2 or 0.0)


class Interpolated:
    """What options of inverse distance and kriging have in common; the fields are those of the options."""

    power: float | None
    neighbours: int | None
    variogram: Model | None
    range_km: float | None
    sill_mm2: float | None
    nugget_mm2: float | None

    @property
    def idw(self) -> tuple[float, int]:
        """Power, and gauges that count at a cell."""
        return self.power or _IDW_POWER, self.neighbours or _IDW_NEIGHBOURS

    @property
    def model(self) -> Model:
        """Shape of the variogram."""
        return self.variogram or "spherical"

    @property
    def known_variogram(self) -> Variogram | None:
        """The variogram, where it is not to be fitted."""
        return _variogram_of(self.model, self.range_km, self.sill_mm2, self.nugget_mm2)

    def check_interpolation(self) -> None:
        """Refuse numbers that cannot be."""
        _check_idw(self.power, self.neighbours)
        if self.variogram is not None and self.variogram not in get_args(Model):
            raise OptionsError(f"variogram {self.variogram!r}: expected one of {', '.join(get_args(Model))}")
        _ = self.known_variogram  # refuses what cannot be


@dataclass(frozen=True, kw_only=True)
class GaugeFieldOptions(Interpolated):
    """What `hsrgeo.gauge_fields` makes of readings.

    Args:
        gauges: CSV file with name, lon and lat, in UTF-8 or the encoding of the readings, or what was read of one.
        readings: How the readings are to be understood.
        period: Length that readings are summed over, counted from midnight KST, or ``event``: all of them in one; None
            is the step of the readings.
        min_coverage: Share of a period's readings that a gauge must have, above 0 to 1; the sum is of what is there.
        at: Only the period of this time, aware: the one that ends, or starts, there, as `ReadingRules.stamp` says.
        method: ``thiessen`` takes the nearest gauge, ``idw`` means by inverse distance, ``kriging`` is ordinary
            kriging.
        power: Of ``idw``; 2.
        neighbours: Gauges that count at a cell, of ``idw``; 12.
        variogram: Of ``kriging``; spherical.
        range_km: Of the variogram; with `sill_mm2`, else the variogram is fitted to each period, or to the mean of all
            where the gauges of a period do not show one.
        sill_mm2: Nugget included.
        nugget_mm2: 0, where the variogram is given.
        min_gauges: Fewer give no field; 1, of kriging 3.
        max_distance_km: Cells farther than this from every gauge are nodata; None for no such limit.
        grid: The composites' grid.
        bbox: Areas and projection are as those of `ExportOptions`.
        window: As that of `ExportOptions`.
        center: As that of `ExportOptions`.
        size: As that of `ExportOptions`.
        regions: As that of `ExportOptions`.
        crs: As that of `ExportOptions`.
        resolution: As that of `ExportOptions`.
        jobs: Threads; -1 is one a core.

    Raises:
        OptionsError: Options that contradict each other or cannot be; gauges that cannot be read.
    """

    gauges: str | Path | Points
    readings: ReadingRules
    period: Length[None] = Length(None)
    min_coverage: float = 1.0
    at: Time = Time(None)
    method: Method = "thiessen"
    power: float | None = None
    neighbours: int | None = None
    variogram: Model | None = None
    range_km: float | None = None
    sill_mm2: float | None = None
    nugget_mm2: float | None = None
    min_gauges: int | None = None
    max_distance_km: float | None = None
    grid: str = MAIN_GRID
    bbox: BBox | tuple[float, float, float, float] | None = None
    window: Window | tuple[int, int, int, int] | None = None
    center: tuple[float, float] | None = None
    size: int | None = None
    regions: str | Path | Sequence[Region] | None = None
    crs: str | None = None
    resolution: float | None = None
    jobs: int = -1
    export: ExportOptions = field(init=False)
    """The same areas and projection, checked."""
    points: Points = field(init=False)
    """The gauges."""

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise OptionsError(f"method {self.method!r}: expected one of {', '.join(get_args(Method))}")
        self._check_method()
        if self.period is not None:
            check_period(self.period, self.readings.step)
        if not 0 < self.min_coverage <= 1:
            raise OptionsError(f"min_coverage {self.min_coverage:g}: expected a share above 0, to 1")
        if self.max_distance_km is not None and not 0 < self.max_distance_km < math.inf:
            raise OptionsError(f"max_distance {self.max_distance_km:g} km: expected more than 0")
        if self.grid not in grids():
            raise OptionsError(f"grid {self.grid!r} is not known: expected one of {', '.join(grids())}")
        if self.min_gauges is not None and self.min_gauges < self._least:
            raise OptionsError(f"min_gauges {self.min_gauges}: {self.method} needs {self._least}")
        self._check_at()
        object.__setattr__(self, "export", ExportOptions(**shared_with(ExportOptions, self)))
        points = read_points(self.gauges, self.readings.encoding, self.rules.start or self.rules.end)
        object.__setattr__(self, "points", points)

    @property
    def whole(self) -> Grid:
        """The composites' grid."""
        return grids()[self.grid]

    @property
    def length(self) -> PeriodLength:
        """Of a period."""
        return self.period or self.readings.step

    @property
    def rules(self) -> ReadingRules:
        """How the readings are to be understood, and which are wanted."""
        if self.at is None:
            return self.readings
        length = self.length
        assert isinstance(length, timedelta)  # noqa: S101 - see _check_at
        start = self.at - length if self.readings.stamp == "end" else self.at
        return dataclasses.replace(self.readings, start=start, end=start + length)

    @property
    def least_gauges(self) -> int:
        """Gauges below which there is no field."""
        return self._least if self.min_gauges is None else self.min_gauges

    @property
    def _least(self) -> int:
        return LEAST_KRIGED if self.method == "kriging" else 1

    def _check_method(self) -> None:
        for method, names in (
            ("idw", ("power", "neighbours")),
            ("kriging", ("variogram", "range_km", "sill_mm2", "nugget_mm2")),
        ):
            given = [name for name in names if getattr(self, name) is not None]
            if given and self.method != method:
                raise OptionsError(f"{given[0].partition('_')[0]} is for method {method}, not for {self.method}")
        self.check_interpolation()

    def _check_at(self) -> None:
        if self.at is None:
            return
        if isinstance(self.length, str):
            raise OptionsError("at is one period, and event is all readings in one: give start and end")
        if self.readings.start is not None or self.readings.end is not None:
            raise OptionsError("at is one time: it goes without start and end")
        if not on_step(self.at, self.length):
            raise OptionsError(
                f"at {kst_text(self.at)}: is not on whole periods of {length_text(self.length)} after midnight KST"
            )


@dataclass(frozen=True, kw_only=True)
class GaugeBiasOptions:
    """What `hsrgeo.gauge_bias` compares.

    Args:
        readings: How the readings are to be understood.
        period: Time that has one factor, counted from midnight KST, or ``event``: all in one.
        min_rain_mm: Gauge and radar must both have so much in a period for the pair to count.
        min_pairs: Fewer pairs give no factor.
        max_factor: Factors are limited to this and its inverse.
        min_coverage: Share of a gauge's cells that the radar must have observed, above 0 to 1; other rows are left
            out.
        min_frames: Share of a reading's frames that must be there, above 0 to 1; the mean of those that are stands for
            the rest.
        radar_step: What a row of the radar's table stands for.
        pairs: Table of every gauge and period, ``.csv`` or ``.parquet``.

    Raises:
        OptionsError: Options that contradict each other or cannot be.
    """

    readings: ReadingRules
    period: Length[timedelta] = Length(timedelta(hours=1))
    min_rain_mm: float = 0.1
    min_pairs: int = 5
    max_factor: float = MOST_FACTOR
    min_coverage: float = 0.9
    min_frames: float = 1.0
    radar_step: Step[timedelta] = Step(FRAME_STEP)
    pairs: str | Path | None = None
    rules: PairRules = field(init=False)
    """Which pairs count."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", PairRules(self.min_rain_mm, self.min_pairs, self.max_factor))
        for name in ("min_coverage", "min_frames"):
            if not 0 < getattr(self, name) <= 1:
                raise OptionsError(f"{name} {getattr(self, name):g}: expected a share above 0, to 1")
        refuse_uneven(f"radar_step {self.radar_step}", self.radar_step)
        shorter, longer = sorted((self.readings.step, self.radar_step))
        if longer % shorter:
            raise OptionsError(
                f"steps of {length_text(shorter)} and {length_text(longer)}, of readings and radar, never match"
            )
        check_period(self.period, self.pair_step)

    @property
    def pair_step(self) -> timedelta:
        """Shortest time that gauge and radar are compared in."""
        return max(self.readings.step, self.radar_step)
