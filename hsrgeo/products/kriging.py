"""Kriging of gauges, ordinary or with an external drift: models of variograms by GSTools, the equations by LAPACK.

GSTools knows the models and fits them. Its own solver goes through the square of the gauges for each cell in a plain
loop, which hundreds of gauges over millions of cells are too many for; here one factorisation serves all cells, by
matrix products. The result is the same to rounding; a test compares both.

The nugget is taken as the error of a gauge: it smooths the field, so that at a gauge the field comes near to what it
measured but is not that. The standard deviation is that of what one more gauge would measure at the place.

With an external drift the mean is not the same everywhere but follows another quantity, here the radar: it is
``a + b * drift`` with a and b by generalised least squares (Wackernagel, Multivariate Geostatistics, chapter 38).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.products.interpolate import spatial
from hsrgeo.products.variograms import Variogram, covariance_model

Floats = NDArray[np.float64]

LEAST_KRIGED = 3
_LEAST_RCOND = 1e-13
_LEAST_WEIGHT = 1e-9  # of a gauge in its own estimate; less is rounding


class Kriging:
    """Kriging with all gauges: the mean is not known but the same everywhere, or follows a drift.

    Args:
        xy: Of the gauges [m], shape (gauges, 2), no two at one place.
        variogram: Which.
        drift: At the gauges, shape (gauges,); None for ordinary kriging.

    Raises:
        OptionsError: Too few gauges, a drift that is the same at all of them, or the equations have no solution that
            can be trusted.
        MissingExtraError: GSTools or scipy is not installed.
    """

    def __init__(self, xy: Floats, variogram: Variogram, drift: Floats | None = None) -> None:
        if len(xy) < LEAST_KRIGED:
            raise OptionsError(f"{len(xy)} gauges are too few to krige: expected at least {LEAST_KRIGED}")
        self._spatial = spatial()
        from scipy import linalg  # noqa: PLC0415 - an optional extra

        self._linalg, self._xy, self.variogram = linalg, xy, variogram
        part = variogram.sill_mm2 - variogram.nugget_mm2
        self._model = covariance_model(variogram.model, var=1.0, len_scale=variogram.range_m)
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
                f"kriging of {len(xy)} gauges with the variogram {variogram} has no stable solution: "
                "it needs a nugget, a shorter range or another model"
            )
        self._trend = _trend(len(xy), drift)
        self._of_trend = self._solved(self._trend)
        try:
            self._inverse = linalg.inv(self._trend.T @ self._of_trend)
        except linalg.LinAlgError as error:
            raise OptionsError("the drift is the same at all gauges") from error

    def estimator(self, values: Floats) -> tuple[Floats, Floats]:
        """Return what `estimate` needs of the gauges' values: the mean's coefficients, and a weight of each gauge.

        The coefficients are the mean [mm] and, where there is a drift, what it grows by with one unit of that.
        """
        coefficients = np.asarray(self._inverse @ (self._of_trend.T @ values), np.float64)
        return coefficients, self._solved(values - self._trend @ coefficients)

    def left_out(self, values: Floats) -> Floats:
        """Return what the other gauges estimate at each one [mm], with this variogram; it may be negative.

        The equations of all gauges have the answer (Dubrule, 1983, Mathematical Geology 15, 687-699). It is NaN for a
        gauge that alone decides what the mean is, as the only one with another drift than the rest.
        """
        weights = self._solved(np.eye(len(self._xy)))
        weights -= self._of_trend @ self._inverse @ self._of_trend.T
        own = np.diag(weights)
        errors = np.divide(weights @ values, own, out=np.full(own.shape, np.nan), where=own > _LEAST_WEIGHT)
        return np.asarray(values - errors, np.float64)

    def correlation_to(self, x: Floats, y: Floats) -> Floats:
        """Return the correlation of points with the gauges, shape (points, gauges)."""
        return self._correlation(np.column_stack([x.ravel(), y.ravel()]))

    def deviation(self, correlation: Floats, drift: Floats | None = None) -> Floats:
        """Return the standard deviation [mm] of the error, see the module; `drift` is that at the points, if any."""
        known = self._linalg.solve_triangular(self._lower, correlation.T, lower=True, check_finite=False)
        share = 1 - np.einsum("ij,ij->j", known, known)
        beyond = _trend(len(correlation), drift) - correlation @ self._of_trend
        share += np.einsum("ij,ij->i", beyond @ self._inverse, beyond)
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


def estimate(correlation: Floats, coefficients: Floats, weights: Floats, drift: Floats | None = None) -> Floats:
    """Return the estimate [mm] at points, see `Kriging.estimator`; it may be negative."""
    mean = coefficients[0] if drift is None else coefficients[0] + coefficients[1] * drift
    return np.asarray(mean + correlation @ weights, np.float64)


def _trend(count: int, drift: Floats | None) -> Floats:
    """Return what the mean is made of, shape (count, 1) or, with a drift, (count, 2)."""
    ones = np.ones((count, 1))
    return ones if drift is None else np.column_stack([ones, drift])
