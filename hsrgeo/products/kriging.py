"""Ordinary kriging of gauges: models of variograms by GSTools, the equations by LAPACK.

GSTools knows the models and fits them. Its own solver goes through the square of the gauges for each cell in a plain
loop, which hundreds of gauges over millions of cells are too many for; here one factorisation serves all cells, by
matrix products. The result is the same to rounding, which the tests hold up.

The nugget is taken as the error of a gauge: it smooths the field, so that at a gauge the field comes near to what it
measured but is not that. The standard deviation is that of what one more gauge would measure at the place.
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
