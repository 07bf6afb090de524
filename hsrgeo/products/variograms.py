"""Variograms: how the difference of two gauges grows with their distance, given or fitted by GSTools."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError, needs
from hsrgeo.products.interpolate import EXTRA

Floats = NDArray[np.float64]
Model = Literal["spherical", "exponential", "gaussian"]

LEAST_FITTED = 10
"""Gauges below which no variogram is fitted: nine are 36 pairs, a handful for each distance."""
_LEAST_AVERAGED = 3  # gauges of a period that counts in a mean
_LEAST_PERIODS = 2
_NEARLY_NONE = 0.05
# ^ correlation left at the range of a model that only tends to zero: the "effective range" of textbooks
_RESCALES = {"spherical": 1.0, "exponential": -math.log(_NEARLY_NONE), "gaussian": math.sqrt(-math.log(_NEARLY_NONE))}
_LONGEST_RANGE = 0.5  # of a fit, in diagonals of the network; pairs are compared up to a third of one
_AT_LIMIT = 0.99
_FIRST_RANGE = 0.2  # where a fit begins
_LEAST_R2 = 0.3
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Variogram:
    """A variogram: how the difference of two gauges grows with their distance."""

    model: Model
    range_m: float
    """Distance from which gauges tell nothing of each other; 95 % of it in models that only tend to that."""
    sill_mm2: float
    """Half of the mean square of the difference of two gauges far apart, nugget included."""
    nugget_mm2: float = 0.0
    """The same of two gauges side by side."""
    r2: float | None = None
    """How well it was fitted, 1 at best; None where it was given."""
    at_limit: bool = False
    """Whether the range is the longest that a fit may find: the gauges show no range of their own."""
    periods: int = 1
    """How many periods it is the mean of."""

    def __post_init__(self) -> None:
        if not 0 < self.range_m < math.inf:
            raise OptionsError(f"variogram range {self.range_m / 1000:g} km: expected more than 0")
        if not 0 < self.sill_mm2 < math.inf:
            raise OptionsError(f"variogram sill {self.sill_mm2:g} mm2: expected more than 0")
        if not 0 <= self.nugget_mm2 <= self.sill_mm2:
            raise OptionsError(f"variogram nugget {self.nugget_mm2:g} mm2: expected 0 to the sill, {self.sill_mm2:g}")

    @property
    def doubtful(self) -> bool:
        """Whether it was fitted, and says little of the gauges."""
        return self.r2 is not None and (self.at_limit or self.r2 < _LEAST_R2)

    def times(self, variance_mm2: float) -> Variogram:
        """Return it with sill and nugget so many times as high."""
        return replace(self, sill_mm2=self.sill_mm2 * variance_mm2, nugget_mm2=self.nugget_mm2 * variance_mm2)

    def __str__(self) -> str:
        return (
            f"{self.model}, range {self.range_m / 1000:.4g} km, sill {self.sill_mm2:.4g} mm2, "
            f"nugget {self.nugget_mm2:.4g} mm2"
        )


def gstools() -> Any:  # noqa: ANN401 - a module without types
    """Import GSTools."""
    with needs("gstools, to krige", EXTRA):
        import gstools as found  # noqa: PLC0415 - an optional extra
    return found


def covariance_model(model: Model, **parameters: float) -> Any:  # noqa: ANN401 - as above
    """Return the model of GSTools in two dimensions, with an effective range for its length."""
    tools = gstools()
    models = {"spherical": tools.Spherical, "exponential": tools.Exponential, "gaussian": tools.Gaussian}
    return models[model](dim=2, rescale=_RESCALES[model], **parameters)


def fit_variogram(xy: Floats, values: Floats, model: Model) -> Variogram | None:
    """Fit a variogram to what gauges measured at one time.

    Half the mean square of the differences, in bins of distance up to a third of the network's span (Sturges' number of
    them), is fitted with each bin weighing as its number of pairs. The range is at most half of the span.

    Args:
        xy: Of the gauges [m], shape (gauges, 2).
        values: What they measured [mm].
        model: Shape of the variogram.

    Returns:
        The variogram; None where the gauges are fewer than `LEAST_FITTED` or all of one value, or none fits.

    Raises:
        MissingExtraError: GSTools is not installed.
    """
    variance = float(np.var(values))
    if len(values) < LEAST_FITTED or variance < _LEAST_VARIANCE:
        return None
    # In units of the span and of the variance: the fit must not depend on metres and millimetres.
    span = _span(xy)
    shown = gstools().vario_estimate((xy / span).T, values / math.sqrt(variance), return_counts=True)
    fitted = _fitted(model, span, *shown)
    return fitted.times(variance) if fitted else None


def mean_variogram(xy: Floats, periods: Iterable[Floats], model: Model) -> Variogram | None:
    """Fit one variogram to the mean of many periods, each in units of its own variance.

    This is the climatological variogram of Lebel and Bastin (1985, Journal of Hydrology 77, 31-56).

    Args:
        xy: Of the gauges [m], shape (gauges, 2).
        periods: What they measured [mm] in each; NaN where that is not known.
        model: Shape of the variogram.

    Returns:
        The variogram in units of a period's variance, see `Variogram.times`; None where the periods show none.

    Raises:
        MissingExtraError: GSTools is not installed.
    """
    tools, span = gstools(), _span(xy)
    edges = tools.standard_bins((xy / span).T, dim=2)
    centres, total, pairs, compared, count = edges, np.zeros(len(edges) - 1), np.zeros(len(edges) - 1), 0, 0
    for values in periods:
        known = ~np.isnan(values)
        if known.sum() < _LEAST_AVERAGED or (variance := float(np.var(values[known]))) < _LEAST_VARIANCE:
            continue
        scaled = values[known] / math.sqrt(variance)
        centres, gammas, counts = tools.vario_estimate((xy[known] / span).T, scaled, edges, return_counts=True)
        total, pairs = total + gammas * counts, pairs + counts
        compared, count = compared + math.comb(len(scaled), 2), count + 1
    if count < _LEAST_PERIODS or compared < math.comb(LEAST_FITTED, 2):
        return None
    fitted = _fitted(model, span, centres, total / np.maximum(pairs, 1), pairs)
    return replace(fitted, periods=count) if fitted and fitted.r2 is not None and fitted.r2 >= _LEAST_R2 else None


def _span(xy: Floats) -> float:
    return float(np.hypot(*np.ptp(xy, axis=0)))


def _fitted(model: Model, span: float, centres: Floats, gammas: Floats, pairs: Floats) -> Variogram | None:
    """Return the variogram of bins in units of span and variance, with the range in metres; None where none fits."""
    filled = pairs > 0
    fitted = covariance_model(model, len_scale=_FIRST_RANGE)
    fitted.set_arg_bounds(check_args=False, len_scale=[1e-6, _LONGEST_RANGE], var=[1e-9, 100.0], nugget=[0.0, 100.0])
    try:
        _parameters, _covariance, r2 = fitted.fit_variogram(
            centres[filled],
            gammas[filled],
            nugget=True,
            init_guess={"len_scale": _FIRST_RANGE, "var": 1.0, "nugget": 0.1},
            weights=np.sqrt(pairs[filled]),
            loss="linear",
            return_r2=True,
        )
    except (RuntimeError, ValueError):
        return None
    return Variogram(
        model,
        float(fitted.len_scale) * span,
        float(fitted.sill),
        min(float(fitted.nugget), float(fitted.sill)),
        float(r2),
        at_limit=float(fitted.len_scale) >= _AT_LIMIT * _LONGEST_RANGE,
    )


class Variograms:
    """The variogram of each period: its own where the gauges show one, else the mean of all periods.

    Args:
        xy: Of the gauges [m], shape (gauges, 2).
        periods: Gives what they measured [mm] in each period, from the first one at each call; NaN where that is not
            known.
        model: Shape of the variograms.
    """

    def __init__(self, xy: Floats, periods: Callable[[], Iterable[Floats]], model: Model) -> None:
        self._xy, self._periods, self._model = xy, periods, model
        self._made = self._by_mean = self._doubtful = 0

    @property
    def notes(self) -> list[str]:
        """How many periods have another variogram than their own, and how many a doubtful one."""
        doubt = f"R2 below {_LEAST_R2:g}, or a range of half the network; better give --range and --sill"
        numbers = {
            "periods that do not show a variogram of their own, kriged with the mean of all": self._by_mean,
            f"variograms in doubt ({doubt})": self._doubtful,
        }
        return [f"{what}: {count:,} of {self._made:,}" for what, count in numbers.items() if count]

    @cached_property
    def _mean(self) -> Variogram | None:
        return mean_variogram(self._xy, self._periods(), self._model)

    def of(self, known: NDArray[np.bool_], values: Floats) -> Variogram:
        """Return the variogram of a period, of the gauges that are known and their values [mm], not all the same.

        Raises:
            OptionsError: Neither the period nor the mean of all shows one.
        """
        own = fit_variogram(self._xy[known], values, self._model)
        self._made += 1
        if own is not None and not own.doubtful:
            return own
        if self._mean is not None:
            self._by_mean += 1
            return self._mean.times(float(np.var(values)))
        if own is None:
            raise OptionsError(
                f"{len(values)} gauges do not show a variogram (a fit takes {LEAST_FITTED}), nor do all periods "
                "together: give --range and --sill"
            )
        self._doubtful += 1
        return own
