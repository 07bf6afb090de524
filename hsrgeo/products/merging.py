"""Radar merged with gauges: radar x factor + offset, each of which differs from place to place.

=================== ============================================ ==================================================
method              factor                                       offset
=================== ============================================ ==================================================
``mean-field``      sum of gauges over sum of radar, everywhere  none
``additive``        1                                            gauge - radar, by inverse distance
``multiplicative``  gauge / radar, by inverse distance           none
``mixed``           by inverse distance                          by inverse distance
``ked``             b of kriging with the radar as the drift     a, and what is left at the gauges, kriged
``conditional``     that of mean-field                           gauge - factor x radar, by ordinary kriging
=================== ============================================ ==================================================

``additive``, ``multiplicative`` and ``mixed`` are those of wradlib (`wradlib.adjust`); mixed splits the difference at a
gauge into the factor 1 + d and the offset e of which d^2 + e^2 is least: e = (gauge - radar) / (radar^2 + 1), d = radar
x e (Pfaff, 2010). ``conditional`` is conditional merging (Sinclair and Pegram, 2005, Atmospheric Science Letters 6,
19-22): kriged gauges, plus the radar, less the radar kriged from the gauges' places. With one variogram for both that
is the radar plus the kriged difference, and the standard deviation is that of the difference. The radar is multiplied
by the mean-field factor first, where enough pairs make one: a radar that sees half of the rain would leave half of
every peak between the gauges out.

Factors are limited: a gauge of 10 mm above a radar of 0.1 mm says nothing of a cell nearby with 20 mm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.products.bias import FieldBias, PairRules, field_bias
from hsrgeo.products.interpolate import InverseDistance
from hsrgeo.products.kriging import Kriging, estimate
from hsrgeo.products.variograms import Variogram

Floats = NDArray[np.float64]
MergeMethod = Literal["mean-field", "additive", "multiplicative", "mixed", "ked", "conditional"]
METHODS: tuple[MergeMethod, ...] = get_args(MergeMethod)
KRIGED: tuple[MergeMethod, ...] = ("ked", "conditional")
"""Methods with a variogram and a standard deviation."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Gauges and the radar above them, of one period; every number is known."""

    xy: Floats
    """Of the gauges [m], shape (gauges, 2), no two at one place."""
    gauge_mm: Floats
    radar_mm: Floats

    def __len__(self) -> int:
        return len(self.gauge_mm)


@dataclass(slots=True, eq=False)
class Estimates:
    """Merged rain at points."""

    depth_mm: Floats
    """It may be negative."""
    deviation_mm: Floats | None = None
    """Standard deviation of its error; None where the method has none."""


@dataclass(slots=True)
class Merger(ABC):
    """A method, solved for the gauges of one period."""

    pairs: Pairs
    limited: int = 0
    """Factors that were limited."""
    variogram: Variogram | None = None

    @abstractmethod
    def at(self, x: Floats, y: Floats, radar_mm: Floats) -> Estimates:
        """Return the merged rain at points [m], shape (points,), where the depth of the radar is known."""

    @abstractmethod
    def left_out(self) -> Floats:
        """Return what the method makes at each gauge of the radar and of the other gauges [mm].

        Where the others do not make anything of it, that is the radar as it is.
        """

    def at_gauges(self) -> Floats:
        """Return the merged rain at the gauges [mm]; it may be negative."""
        return self.at(self.pairs.xy[:, 0], self.pairs.xy[:, 1], self.pairs.radar_mm).depth_mm

    def _or_radar(self, made: Floats) -> Floats:
        return np.maximum(np.where(np.isnan(made), self.pairs.radar_mm, made), 0)


@dataclass(slots=True, kw_only=True)
class _MeanField(Merger):
    bias: FieldBias

    def at(self, x: Floats, y: Floats, radar_mm: Floats) -> Estimates:
        del x, y
        return Estimates(radar_mm * self.bias.factor)

    def left_out(self) -> Floats:
        # Those that do not count have no part in the factor of the others either.
        return self._or_radar(np.where(self.bias.used, self.bias.left_out_mm, self.bias.adjusted_mm))


@dataclass(slots=True, kw_only=True)
class _ByDistance(Merger):
    """Factors and offsets by inverse distance."""

    used: NDArray[np.bool_]
    """Gauges that count."""
    linear: Floats
    """Factor and offset [mm] of those, shape (gauges that count, 2)."""
    mean: InverseDistance
    """Of those."""

    def at(self, x: Floats, y: Floats, radar_mm: Floats) -> Estimates:
        factors, offsets = self.mean.at(x, y, self.linear).T
        return Estimates(factors * radar_mm + offsets)

    def left_out(self) -> Floats:
        pairs, used = self.pairs, self.used
        made = self.at_gauges()
        factors, offsets = self.mean.left_out(self.linear).T
        made[used] = factors * pairs.radar_mm[used] + offsets
        return self._or_radar(made)


@dataclass(slots=True, kw_only=True)
class _Drift(Merger):
    """Kriging with the radar as the drift."""

    kriging: Kriging
    mean_mm: float
    """Of the radar at the gauges; it and the next keep the equations well-behaved."""
    spread_mm: float

    def at(self, x: Floats, y: Floats, radar_mm: Floats) -> Estimates:
        return _kriged_at(self.kriging, self.pairs.gauge_mm, x, y, (radar_mm - self.mean_mm) / self.spread_mm)

    def left_out(self) -> Floats:
        return self._or_radar(self.kriging.left_out(self.pairs.gauge_mm))


@dataclass(slots=True, kw_only=True)
class _Conditional(Merger):
    """The radar, and the kriged difference of gauges and radar."""

    kriging: Kriging | None
    """None where the gauges differ from the radar by one number, or not at all."""
    factor: float
    factors: Floats
    """Of the other gauges."""

    def at(self, x: Floats, y: Floats, radar_mm: Floats) -> Estimates:
        difference = self.pairs.gauge_mm - self.factor * self.pairs.radar_mm
        if self.kriging is None:
            return Estimates(self.factor * radar_mm + difference[0])
        made = _kriged_at(self.kriging, difference, x, y, None)
        return Estimates(self.factor * radar_mm + made.depth_mm, made.deviation_mm)

    def left_out(self) -> Floats:
        if self.kriging is None:
            return self._or_radar(self.at_gauges())
        pairs, kriging = self.pairs, self.kriging
        # Kriging is linear: gauges and radar by themselves, so that each gauge has the factor of the others.
        radar = pairs.radar_mm - kriging.left_out(pairs.radar_mm)
        return self._or_radar(kriging.left_out(pairs.gauge_mm) + self.factors * radar)


def _kriged_at(kriging: Kriging, values: Floats, x: Floats, y: Floats, drift: Floats | None) -> Estimates:
    """Return kriged values at points, a block at a time."""
    depth, deviation = np.empty((2, x.size))
    coefficients, weights = kriging.estimator(values)
    for start in range(0, x.size, kriging.block_rows):
        block = slice(start, start + kriging.block_rows)
        correlation, part = kriging.correlation_to(x[block], y[block]), None if drift is None else drift[block]
        depth[block] = estimate(correlation, coefficients, weights, part)
        deviation[block] = kriging.deviation(correlation, part)
    return Estimates(depth, deviation)


def mean_field(pairs: Pairs, rules: PairRules) -> Merger:
    """Return one factor for all, see `hsrgeo.products.bias`.

    Raises:
        OptionsError: Too few pairs count.
    """
    bias = field_bias(pairs.gauge_mm, pairs.radar_mm, rules)
    if np.isnan(bias.factor):
        raise OptionsError(_too_few(bias.pairs, rules, "with rain"))
    return _MeanField(pairs, int(bias.limited), bias=bias)


def by_distance(method: MergeMethod, pairs: Pairs, rules: PairRules, power: float, neighbours: int) -> Merger:
    """Return factors and offsets by inverse distance, see the module.

    Args:
        method: ``additive``, ``multiplicative`` or ``mixed``.
        pairs: Of the period.
        rules: Which pairs have a factor, for ``multiplicative``; how many are needed; the limit of factors.
        power: Of the weight distance ** -power.
        neighbours: Gauges that count at a point, at most.

    Raises:
        OptionsError: Too few pairs count.
    """
    gauge, radar = pairs.gauge_mm, pairs.radar_mm
    used = np.ones(len(pairs), np.bool_)
    if method == "multiplicative":
        used = (gauge >= rules.min_rain_mm) & (radar >= rules.min_rain_mm) & (radar > 0)
    if used.sum() < rules.min_pairs:
        raise OptionsError(_too_few(int(used.sum()), rules, "with rain" if method == "multiplicative" else ""))
    gauge, radar = gauge[used], radar[used]
    if method == "additive":
        factors = np.ones(gauge.shape)
    elif method == "multiplicative":
        factors = gauge / radar
    else:
        factors = 1 + radar * (gauge - radar) / (radar**2 + 1)
    kept = rules.limit(factors)
    offsets = np.zeros(gauge.shape) if method == "multiplicative" else gauge - kept * radar
    mean = InverseDistance(pairs.xy[used], power, neighbours)
    linear = np.column_stack([kept, offsets])
    return _ByDistance(pairs, int((kept != factors).sum()), used=used, linear=linear, mean=mean)


def kriged(method: MergeMethod, pairs: Pairs, rules: PairRules, variogram: Variogram | None) -> Merger:
    """Return kriging with the radar as the drift, or conditional merging, see the module.

    Args:
        method: ``ked`` or ``conditional``.
        pairs: Of the period.
        rules: How many pairs are needed; which of them make the mean-field factor of ``conditional``.
        variogram: Of what `left_of` returns; None where that is one number everywhere.

    Raises:
        OptionsError: Too few gauges; a drift that says nothing; no stable solution.
        MissingExtraError: GSTools or scipy is not installed.
    """
    if len(pairs) < rules.min_pairs:
        raise OptionsError(_too_few(len(pairs), rules, ""))
    if method == "conditional":
        kriging = Kriging(pairs.xy, variogram) if variogram is not None else None
        bias = field_bias(pairs.gauge_mm, pairs.radar_mm, rules)
        return _Conditional(
            pairs,
            int(bias.limited),
            variogram,
            kriging=kriging,
            factor=_factor(bias),
            factors=_factors_of_others(bias, pairs.radar_mm),
        )
    _refuse_drift(pairs)
    if variogram is None:
        raise OptionsError("the gauges are a straight line of the radar: nothing is left to krige")
    mean, spread = float(pairs.radar_mm.mean()), float(pairs.radar_mm.std())
    kriging = Kriging(pairs.xy, variogram, (pairs.radar_mm - mean) / spread)
    if kriging.estimator(pairs.gauge_mm)[0][1] <= 0:
        raise OptionsError("the gauges have less rain where the radar has more")
    return _Drift(pairs, 0, variogram, kriging=kriging, mean_mm=mean, spread_mm=spread)


def left_of(method: MergeMethod, pairs: Pairs, rules: PairRules) -> Floats:
    """Return what a variogram is fitted to: what the radar does not explain of the gauges [mm].

    That is their difference from the radar times the mean-field factor; for ``ked`` what a straight line by least
    squares leaves.

    Raises:
        OptionsError: Of ``ked``: the radar is the same at all gauges.
    """
    if method == "conditional":
        return pairs.gauge_mm - _factor(field_bias(pairs.gauge_mm, pairs.radar_mm, rules)) * pairs.radar_mm
    _refuse_drift(pairs)
    radar = pairs.radar_mm - pairs.radar_mm.mean()
    gauge = pairs.gauge_mm - pairs.gauge_mm.mean()
    return np.asarray(gauge - radar * (radar @ gauge) / (radar @ radar), np.float64)


def _factor(bias: FieldBias) -> float:
    return 1.0 if np.isnan(bias.factor) else bias.factor


def _factors_of_others(bias: FieldBias, radar_mm: Floats) -> Floats:
    factors = np.full(radar_mm.shape, _factor(bias))
    counts = bias.used & ~np.isnan(bias.left_out_mm) & (radar_mm > 0)
    factors[counts] = bias.left_out_mm[counts] / radar_mm[counts]
    return factors


def _refuse_drift(pairs: Pairs) -> None:
    if len(pairs) < 2 or not np.ptp(pairs.radar_mm) > 0:  # noqa: PLR2004 - two make a line
        raise OptionsError("the radar shows the same depth at all gauges, so ked cannot use it")


def _too_few(count: int, rules: PairRules, which: str) -> str:
    pairs = f"{count} pair{'' if count == 1 else 's'} of gauge and radar{f' {which}' if which else ''}"
    return f"{pairs}: --min-pairs asks for {rules.min_pairs}"
