"""Least squares for the offset of a radar, without the points that lie far off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsrgeo.products.site_views import Floats

_ROUNDS = 12
_TRIM = 3.0  # standard deviations


@dataclass(frozen=True)
class Solved:
    """An offset, and how well it is known."""

    information: Floats
    """See `hsrgeo.products.sites.SiteFit`, as all but `rest`."""
    offset: Floats
    rest: Floats
    """The other unknowns."""
    points: int
    rms: float


def solve(by_cell: Floats, rest: Floats, wanted: Floats, *, floor: float, start: float = np.inf) -> Solved:
    """Solve ``by_cell @ offset + rest @ others = wanted`` by least squares, trimmed.

    Args:
        by_cell: Shape (points, 2).
        rest: Coefficients of the other unknowns, shape (points, others).
        wanted: Shape (points,).
        floor: Residuals below this are never trimmed.
        start: Residuals above this are trimmed at first.
    """
    both = np.hstack([by_cell, rest])
    scale = np.sqrt(np.sum(both**2, axis=0)) + 1e-12  # metres beside metres for a radian
    both = both / scale
    kept = np.abs(wanted) < start
    for _round in range(_ROUNDS):
        chosen = both[kept]
        solution = np.linalg.pinv(chosen.T @ chosen) @ (chosen.T @ wanted[kept])
        residual = wanted - both @ solution
        spread = 1.4826 * float(np.median(np.abs(residual[kept])))
        again = np.abs(residual) < max(_TRIM * spread, floor)
        if (again == kept).all():
            break
        kept = again
    residual, both, points = residual[kept], both[kept], int(kept.sum())
    variance = float(residual @ residual) / max(points - both.shape[1], 1)
    normal = both.T @ both / max(variance, 1e-12)
    normal *= scale[:, None] * scale
    shared = normal[:2, 2:]
    information = normal[:2, :2] - shared @ np.linalg.pinv(normal[2:, 2:]) @ shared.T
    found = solution / scale
    return Solved(information, found[:2], found[2:], points, float(np.sqrt(np.mean(residual**2))))
