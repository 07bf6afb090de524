"""Ordinary kriging of gauges: variograms by GSTools, the equations by LAPACK.

GSTools knows the models and fits them. Its own solver goes through the square of the gauges for each cell in a plain
loop, which hundreds of gauges over millions of cells are too many for; here one factorisation serves all cells, by
matrix products. The result is the same to rounding, which the tests hold up.

The nugget is taken as the error of a gauge: it smooths the field, so that at a gauge the field comes near to what it
measured but is not that. The standard deviation is that of what one more gauge would measure at the place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import MissingExtraError, OptionsError
from hsrgeo.products.interpolate import EXTRA, spatial

Floats = NDArray[np.float64]
Model = Literal["spherical", "exponential", "gaussian"]

LEAST_FITTED = 10
"""Gauges below which no variogram is fitted: nine are 36 pairs, a handful for each distance."""
LEAST_KRIGED = 3
_NEARLY_NONE = 0.05
# ^ correlation left at the range of a model that only tends to zero: the "effective range" of textbooks
_RESCALES = {"spherical": 1.0, "exponential": -math.log(_NEARLY_NONE), "gaussian": math.sqrt(-math.log(_NEARLY_NONE))}
_MOST_TIMES_SPAN = 3.0  # longest range of a fit, in greatest distances between gauges
_LEAST_RCOND = 1e-13
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

    def __post_init__(self) -> None:
        if not 0 < self.range_m < math.inf:
            raise OptionsError(f"variogram range {self.range_m / 1000:g} km: expected more than 0")
        if not 0 < self.sill_mm2 < math.inf:
            raise OptionsError(f"variogram sill {self.sill_mm2:g} mm2: expected more than 0")
        if not 0 <= self.nugget_mm2 <= self.sill_mm2:
            raise OptionsError(f"variogram nugget {self.nugget_mm2:g} mm2: expected 0 to the sill, {self.sill_mm2:g}")

    def __str__(self) -> str:
        return (
            f"{self.model}, range {self.range_m / 1000:.4g} km, sill {self.sill_mm2:.4g} mm2, "
            f"nugget {self.nugget_mm2:.4g} mm2"
        )


def gstools() -> Any:  # noqa: ANN401 - a module without types
    """Import GSTools.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import gstools as found  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise MissingExtraError("gstools, to krige", EXTRA) from error
    return found


def _covariance_model(model: Model, **parameters: float) -> Any:  # noqa: ANN401
    tools = gstools()
    kinds = {"spherical": tools.Spherical, "exponential": tools.Exponential, "gaussian": tools.Gaussian}
    return kinds[model](dim=2, rescale=_RESCALES[model], **parameters)


def fit_variogram(xy: Floats, values: Floats, model: Model) -> Variogram:
    """Fit a variogram to what gauges measured at one time.

    Half the mean square of the differences, in bins of distance up to a third of the network's span (Sturges' number of
    them), is fitted with each bin weighing as its number of pairs.

    Args:
        xy: Of the gauges [m], shape (gauges, 2).
        values: What they measured [mm].
        model: Shape of the variogram.

    Raises:
        OptionsError: Too few gauges; all of one value; no variogram fits.
        MissingExtraError: GSTools is not installed.
    """
    if len(values) < LEAST_FITTED:
        raise OptionsError(
            f"{len(values)} gauges are too few to fit a variogram, which needs {LEAST_FITTED}: give range and sill"
        )
    variance = float(np.var(values))
    if variance < _LEAST_VARIANCE:
        raise OptionsError("all gauges have one value: there is nothing to fit a variogram to; give range and sill")
    tools = gstools()
    fitted = _covariance_model(model)
    span = float(np.hypot(*np.ptp(xy, axis=0)))
    # In units of the span and of the variance: the fit must not depend on metres and millimetres.
    centres, gammas, pairs = tools.vario_estimate((xy / span).T, values / math.sqrt(variance), return_counts=True)
    filled = pairs > 0
    fitted.set_arg_bounds(check_args=False, len_scale=[1e-6, _MOST_TIMES_SPAN], var=[1e-9, 100.0], nugget=[0.0, 100.0])
    try:
        _parameters, _covariance, r2 = fitted.fit_variogram(
            centres[filled],
            gammas[filled],
            nugget=True,
            init_guess={"len_scale": 0.2, "var": 1.0, "nugget": 0.1},
            weights=np.sqrt(pairs[filled]),
            loss="linear",
            return_r2=True,
        )
    except (RuntimeError, ValueError) as error:
        raise OptionsError(f"no {model} variogram fits {len(values)} gauges: {error}; give range and sill") from error
    return Variogram(
        model,
        float(fitted.len_scale) * span,
        float(fitted.sill) * variance,
        min(float(fitted.nugget), float(fitted.sill)) * variance,
        float(r2),
    )


class Kriging:
    """Ordinary kriging with all gauges: the mean is not known but the same everywhere.

    Args:
        xy: Of the gauges [m], shape (gauges, 2), no two at one place.
        variogram: Which.

    Raises:
        OptionsError: Too few gauges, or the equations have no solution that can be trusted.
        MissingExtraError: GSTools or scipy is not installed.
    """

    def __init__(self, xy: Floats, variogram: Variogram) -> None:
        if len(xy) < LEAST_KRIGED:
            raise OptionsError(f"{len(xy)} gauges are too few to krige: expected at least {LEAST_KRIGED}")
        self._spatial = spatial()
        from scipy import linalg  # noqa: PLC0415 - an optional extra

        self._linalg, self._xy, self.variogram = linalg, xy, variogram
        part = variogram.sill_mm2 - variogram.nugget_mm2
        self._model = _covariance_model(variogram.model, var=1.0, len_scale=variogram.range_m)
        self._share = part / variogram.sill_mm2
        matrix = self._correlation(xy)
        np.fill_diagonal(matrix, 1.0)
        try:
            self._lower = linalg.cholesky(matrix, lower=True)
            rcond, _info = linalg.lapack.dpocon(self._lower, np.abs(matrix).sum(axis=0).max(), uplo="L")
        except linalg.LinAlgError:
            rcond = 0.0
        if not rcond > _LEAST_RCOND:
            raise OptionsError(
                f"kriging of {len(xy)} gauges with the variogram {variogram} has no sound solution: "
                "it needs a nugget, a shorter range or another model"
            )
        self._of_one = self._solved(np.ones(len(xy)))

    def estimator(self, values: Floats) -> tuple[float, Floats]:
        """Return what `estimate` needs of the gauges' values: their mean [mm], and a weight of each."""
        mean = float(self._of_one @ values / self._of_one.sum())
        return mean, self._solved(values - mean)

    def correlation_to(self, x: Floats, y: Floats) -> Floats:
        """Return the correlation of points with the gauges, shape (points, gauges)."""
        return self._correlation(np.column_stack([x.ravel(), y.ravel()]))

    def deviation(self, correlation: Floats) -> Floats:
        """Return the standard deviation [mm] of the error, see the module.

        Args:
            correlation: See `correlation_to`.
        """
        known = self._linalg.solve_triangular(self._lower, correlation.T, lower=True, check_finite=False)
        share = 1 - np.einsum("ij,ij->j", known, known)
        share += (1 - correlation @ self._of_one) ** 2 / self._of_one.sum()
        return np.asarray(np.sqrt(np.maximum(share, 0) * self.variogram.sill_mm2), np.float64)

    def _correlation(self, xy: Floats) -> Floats:
        distance = self._spatial.distance.cdist(xy, self._xy)
        return np.asarray(self._model.correlation(distance), np.float64) * self._share

    def _solved(self, values: Floats) -> Floats:
        return np.asarray(self._linalg.cho_solve((self._lower, True), values), np.float64)

    @cached_property
    def block_rows(self) -> int:
        """Points to work on at a time: a table of them and the gauges takes 16 MB."""
        return max((1 << 21) // len(self._xy), 1)


def estimate(correlation: Floats, mean: float, weights: Floats) -> Floats:
    """Return the estimate [mm] at points; it may be negative.

    Args:
        correlation: Of the points with the gauges.
        mean: See `Kriging.estimator`.
        weights: Likewise.
    """
    return np.asarray(mean + correlation @ weights, np.float64)
