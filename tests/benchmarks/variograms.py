"""Kriging by automatic variograms against a fixed range and inverse distance: each gauge from all the others.

``python -m tests.benchmarks.variograms`` prints root mean square errors [mm] of hours of skewed rain at made-up gauges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.products.interpolate import InverseDistance
from hsrgeo.products.kriging import Kriging
from hsrgeo.products.variograms import Model, Variogram, Variograms

Floats = NDArray[np.float64]


def skewed_hours(
    seed: int,
    *,
    gauges: int = 60,
    hours: int = 40,
    width_m: float = 127_000,
    ranges_m: tuple[float, float] = (10_000, 60_000),
    spread: float = 1.0,
) -> tuple[Floats, list[Floats]]:
    """Return places [m] of gauges, and what they measured [mm] in each hour, to half a millimetre.

    Rain is the exponential of a Gaussian field whose range changes from hour to hour; a share of the gauges is dry.
    """
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, width_m, (gauges, 2))
    apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))
    made = []
    for _hour in range(hours):
        covariance = np.exp(-3 * apart / rng.uniform(*ranges_m)) + 1e-9 * np.eye(gauges)
        field = np.linalg.cholesky(covariance) @ rng.standard_normal(gauges)
        dry = np.quantile(field, 1 - rng.uniform(0.3, 1.0))
        made.append(np.round(2 * np.where(field > dry, 5 * np.expm1(spread * (field - dry)), 0)) / 2)
    return xy, [values for values in made if np.ptp(values)]


_SCENES: tuple[tuple[str, Callable[[int], tuple[Floats, list[Floats]]]], ...] = (
    ("60 gauges in 127 km", skewed_hours),
    ("long ranges", lambda seed: skewed_hours(seed, ranges_m=(30_000, 150_000))),
    ("more skewed", lambda seed: skewed_hours(seed, spread=1.6)),
    ("60 gauges in 400 km", lambda seed: skewed_hours(seed, width_m=400_000, ranges_m=(20_000, 120_000))),
    ("9 gauges in 60 km", lambda seed: skewed_hours(seed, gauges=9, width_m=60_000)),
)
_SEEDS = 4


def left_out_errors(
    xy: Floats, hours: Sequence[Floats], model: Model = "spherical"
) -> tuple[dict[str, float], list[Variogram], list[str]]:
    """Return mean square errors [mm2] of gauges that are left out in turn, by method, and the automatic variograms."""
    automatic = Variograms(xy, lambda: hours, model)
    variograms: list[Variogram] = []
    squares: dict[str, list[float]] = {"automatic": [], "range 30 km": [], "inverse distance": []}
    for values in hours:
        try:
            fitted = automatic.of(np.ones(len(xy), bool), values)
        except OptionsError:
            continue
        variograms.append(fitted)
        for name, made in (
            ("automatic", _kriged(xy, values, fitted)),
            ("range 30 km", _kriged(xy, values, Variogram(model, 30_000, float(values.var())))),
            ("inverse distance", _weighted(xy, values)),
        ):
            squares[name] += ((np.maximum(made, 0) - values) ** 2).tolist()
    return {name: float(np.mean(errors)) for name, errors in squares.items() if errors}, variograms, automatic.notes


def _kriged(xy: Floats, values: Floats, variogram: Variogram) -> Floats:
    """Return what kriging makes of each gauge from all the others (Dubrule 1983): one inverse serves all of them."""
    count = len(xy)
    equations = np.ones((count + 1, count + 1))
    equations[:count, :count] = Kriging(xy, variogram).correlation_to(*xy.T)
    np.fill_diagonal(equations, 1)
    equations[count, count] = 0
    inverse = np.linalg.inv(equations)[:count, :count]
    return np.asarray(values - inverse @ values / np.diag(inverse), np.float64)


def _weighted(xy: Floats, values: Floats) -> Floats:
    made = np.empty(len(xy))
    for gauge in range(len(xy)):
        others = np.arange(len(xy)) != gauge
        made[gauge] = InverseDistance(xy[others], 2.0, 12).at(xy[gauge, 0], xy[gauge, 1], values[others])
    return made


def main() -> None:
    """Measure and print."""
    for name, scene in _SCENES:
        for seed in range(_SEEDS):
            errors, _variograms, notes = left_out_errors(*scene(seed))
            text = ", ".join(f"{method} {error**0.5:.2f}" for method, error in errors.items())
            print(f"{name}, seed {seed}: {text or 'no variogram'}; {'; '.join(notes)}")


if __name__ == "__main__":
    main()
