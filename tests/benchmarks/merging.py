"""Merging judged by a known truth: errors of every method over all cells, and at each gauge left out.

The truth is a smooth field with dry parts; the radar sees a share of it that falls from 0.9 in the middle to 0.35 at
the edges, with noise; gauges measure the truth with an error of 5 % and 0.2 mm::

    python -m tests.benchmarks.merging --gauges 40 --seeds 20
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hsrgeo.products.bias import PairRules
from hsrgeo.products.merging import (
    KRIGED,
    METHODS,
    MergeMethod,
    Merger,
    Pairs,
    by_distance,
    kriged,
    left_of,
    mean_field,
)
from hsrgeo.products.variograms import Variogram, fit_variogram

Floats = NDArray[np.float64]

SIDE, CELL_M = 100, 1000.0
"""Cells of a side, and the side of a cell."""
AS_IT_IS = "radar as it is"


@dataclass(frozen=True)
class Scene:
    """A truth, and what radar and gauges make of it."""

    truth_mm: Floats
    radar_mm: Floats
    pairs: Pairs


def scene(seed: int, gauges: int = 40) -> Scene:
    """Return a scene; the same seed gives the same."""
    chance = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(chance.normal(size=(SIDE, SIDE)), 8, mode="wrap")
    truth = np.maximum(12 * np.exp(0.8 * smooth / smooth.std()) - 6, 0)
    rows, cols = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) - 0.5
    seen = 0.9 - 1.1 * (rows**2 + cols**2)
    radar = truth * seen * np.exp(0.1 * chance.normal(size=truth.shape))
    places = chance.choice(SIDE * SIDE, gauges, replace=False)
    at = truth.ravel()[places]
    measured = np.maximum(at * (1 + 0.05 * chance.normal(size=gauges)) + 0.2 * chance.normal(size=gauges), 0)
    xy = np.column_stack([places % SIDE, places // SIDE]).astype(np.float64) * CELL_M
    return Scene(truth, radar, Pairs(xy, measured, radar.ravel()[places]))


def merger(method: MergeMethod, pairs: Pairs) -> Merger:
    """Return a method with its defaults."""
    rules = PairRules()
    if method == "mean-field":
        return mean_field(pairs, rules)
    if method not in KRIGED:
        return by_distance(method, pairs, rules, 2.0, 12)
    left = left_of(method, pairs, rules)
    fitted = fit_variogram(pairs.xy, left, "spherical")
    # Where none fits, hsrgeo asks for one: this is what a user may answer.
    variogram = fitted or Variogram("spherical", 20_000, float(left.var()), 0.2 * float(left.var()))
    return kriged(method, pairs, rules, variogram)


def errors(one: Scene) -> dict[str, tuple[float, float]]:
    """Return the root mean square error [mm] of each method over all cells, and at each gauge left out."""
    rows, cols = np.divmod(np.arange(SIDE * SIDE, dtype=np.float64), SIDE)
    x, y, radar = cols * CELL_M, rows * CELL_M, one.radar_mm.ravel()
    found = {AS_IT_IS: (_rmse(radar, one.truth_mm.ravel()), _rmse(one.pairs.radar_mm, one.pairs.gauge_mm))}
    for method in METHODS:
        made = merger(method, one.pairs)
        merged = np.maximum(made.at(x, y, radar).depth_mm, 0)
        found[method] = _rmse(merged, one.truth_mm.ravel()), _rmse(made.left_out(), one.pairs.gauge_mm)
    return found


def _rmse(made: Floats, truth: Floats) -> float:
    return float(np.sqrt(np.mean((made - truth) ** 2)))


def main() -> None:
    """Print the mean errors of several scenes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gauges", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=20)
    words = parser.parse_args()
    every = [errors(scene(seed, words.gauges)) for seed in range(words.seeds)]
    print(f"{words.seeds} scenes, {words.gauges} gauges    all cells   each gauge left out   (RMSE, mm)")
    for method in every[0]:
        cells, left = np.mean([one[method] for one in every], axis=0)
        print(f"{method:<28} {cells:>6.3f}   {left:>19.3f}")


if __name__ == "__main__":
    main()
