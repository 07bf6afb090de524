"""Rain of 100 basins, frame by frame: weights that are kept against exactextract, which works them out each time.

``python -m tests.benchmarks.zonal FRAME...`` prints milliseconds a frame, one process each, medians.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from exactextract import exact_extract
from exactextract.feature import JSONFeatureSource
from exactextract.raster import NumPyRasterSource

from hsrgeo.engine.workers.memory import keep_freed_memory
from hsrgeo.model.grid import Grid
from hsrgeo.places.sampling import MEAN, Sampler
from hsrgeo.places.weights import polygon_weights
from hsrgeo.products.rain import KMA_LAW, rain_frame
from hsrgeo.products.rates import rate_table
from hsrgeo.reading import open_frame

_OPS = ["mean", "max", "count"]


def basins(grid: Grid) -> list[Any]:
    """Return 100 stars of 1,000 km2 and 500 corners each, side by side over Korea, in metres of the grid."""
    rng = np.random.default_rng(1)
    _left, bottom, _right, top = grid.bounds
    shapes = []
    for number in range(100):
        turn = np.linspace(0, 2 * np.pi, 500)[:-1]
        reach = 18_000 * (1 + 0.2 * np.sin(5 * turn + number)) * rng.uniform(0.95, 1, len(turn))
        x, y = -200_000 + 40_000 * (number // 10), (bottom + top) / 2 - 200_000 + 40_000 * (number % 10)
        shapes.append(shapely.Polygon(np.column_stack([x + reach * np.cos(turn), y + reach * np.sin(turn)])))
    return shapes


def timed(work: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """Return milliseconds and the result."""
    begun = time.perf_counter()
    result = work(*given)
    return 1000 * (time.perf_counter() - begun), result


def main(paths: list[str]) -> None:
    """Measure and print."""
    keep_freed_memory()
    grid = open_frame(paths[0]).grid
    shapes = basins(grid)
    rings = [[shapely.get_coordinates(shape)] for shape in shapes]
    once, weights = timed(polygon_weights, rings, [shape.area for shape in shapes], grid)
    sampler = Sampler(weights, grid.width)
    features = [{"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(s))} for s in shapes]
    taken: dict[str, list[float]] = {"unpack": [], "hsrgeo": [], "rates": [], "exactextract": [], "of a rain COG": []}
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            ms, frame = timed(open_frame, path)
            taken["unpack"].append(ms)
            table = rate_table(frame.quantity, KMA_LAW)
            ms, ours = timed(sampler.sample, frame.stored, frame.quantity, table, 0.1)
            taken["hsrgeo"].append(ms)
            ms, rates = timed(table.take, frame.stored.view(np.uint16))
            taken["rates"].append(ms)
            source = NumPyRasterSource(rates, *grid.bounds, nodata=np.nan)
            ms, theirs = timed(exact_extract, source, JSONFeatureSource(features), _OPS)
            taken["exactextract"].append(ms)
            cog = rain_frame(frame).to_cog(Path(folder) / "rain.tif")
            with rasterio.open(cog) as dataset:
                ms, _means = timed(exact_extract, dataset, JSONFeatureSource(features), _OPS)
            taken["of a rain COG"].append(ms)
            means = np.array([t["properties"]["mean"] or 0 for t in theirs], float)
            worst = max(worst, float(np.nanmax(np.abs(np.nan_to_num(ours[:, MEAN]) - np.nan_to_num(means)))))
    median = {name: statistics.median(values) for name, values in taken.items()}
    print(f"weights, once: {once:.0f} ms, {len(weights.cells):,} cells; largest difference {worst:.1e} mm/h")
    for name, ms in median.items():
        print(f"{name:>14}: {ms:7.1f} ms a frame")
    whole = median["unpack"] + median["hsrgeo"]
    print(f"zonal step {median['exactextract'] / median['hsrgeo']:.0f} x faster")
    print(f"from the file on {(median['unpack'] + median['rates'] + median['exactextract']) / whole:.0f} x")
    print(f"against exactextract on COGs that are there already {median['of a rain COG'] / whole:.0f} x")


if __name__ == "__main__":
    main(sys.argv[1:])
