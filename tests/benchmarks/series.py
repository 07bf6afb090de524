"""Series of gauges and basins: from a cube, from exported COGs and from frames, against exactextract frame by frame.

``python -m tests.benchmarks.series FRAMES COGS CUBE`` takes a folder of frames, an export of them (whole frames, dBZ),
and a cube of them with the layout series; one may hold more times than another. One process and one job each, after a
first run that imports what is needed; whole runs of `hsrgeo series`, the table included. Ratios are of the processor's
time, which other work on the machine disturbs less than the wall's.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import rasterio
import shapely
from exactextract import exact_extract
from exactextract.feature import JSONFeatureSource
from exactextract.raster import NumPyRasterSource
from zarr.storage import LocalStore

import hsrgeo.cube.shards
import hsrgeo.cube.whole
from hsrgeo.cube.shards import read_part
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.series.series_run import series
from hsrgeo.engine.workers.memory import keep_freed_memory
from hsrgeo.model.grid import Grid
from hsrgeo.model.times import KST
from hsrgeo.places.places import Points, Polygons
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.products.rates import rate_table
from hsrgeo.reading import open_frame
from tests.benchmarks.zonal import basins

_THEIRS = 24  # frames that exactextract is given: each takes a tenth of a second, and all take the same
_CITIES = {
    "Seoul": (126.97, 37.57),
    "Busan": (129.03, 35.10),
    "Daegu": (128.65, 35.88),
    "Gwangju": (126.89, 35.17),
    "Daejeon": (127.37, 36.37),
    "Gangneung": (128.89, 37.75),
    "Jeju": (126.53, 33.51),
    "Mokpo": (126.38, 34.82),
    "Chuncheon": (127.74, 37.90),
    "Andong": (128.71, 36.57),
}


class CountingStore(LocalStore):
    """Counts the bytes that are read."""

    read_bytes = 0

    async def get(self, *arguments: Any, **named: Any) -> Any:
        """Read as ever."""
        data = await super().get(*arguments, **named)
        CountingStore.read_bytes += len(data) if data is not None else 0
        return data


def counted_part(file: BinaryIO, offset: int, length: int) -> bytes:
    """Read a part of a shard as ever, and count its bytes."""
    CountingStore.read_bytes += length
    return read_part(file, offset, length)


def lonlat_polygons(grid: Grid, shapes: list[Any]) -> Polygons:
    """Return shapes in metres of a grid as the polygons of a series."""
    rings = []
    for shape in shapes:
        x, y = shapely.get_coordinates(shapely.orient_polygons(shape)).T
        t = grid.transform
        rings.append((np.column_stack(grid.lonlat((y - t.f) / t.e - 0.5, (x - t.c) / t.a - 0.5)),))
    return Polygons(tuple(f"b{number}" for number in range(len(shapes))), tuple(rings))


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return seconds of the wall, of the processor, and the result."""
    wall, busy = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - busy, result


def a_series(source: Path, out: Path, **options: Any) -> int:
    """Write a series, and return how many times it has."""
    run = series(source, out, SeriesOptions(jobs=1, **options))
    for _outcome in run:
        pass
    return run.counts["ok"]


def measured(name: str, source: Path, out: Path, **options: Any) -> float:
    """Print what a series takes, and return milliseconds of the processor a time."""
    wall, busy, times = timed(lambda: a_series(source, out, **options))
    each: float = 1000 * busy / times
    print(f"{name:>24}: {wall:7.2f} s, processor {busy:7.2f} s for {times:,} times, {each:8.3f} ms a time")
    return each


def theirs(cogs: list[Path], frames: list[Path], shapes: list[Any]) -> tuple[float, float]:
    """Return exactextract's milliseconds of the processor a frame: of COGs, and of frames that hsrgeo unpacks."""
    features = [{"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(s))} for s in shapes]
    ops = ["mean", "max", "count"]

    def of_cogs() -> None:
        for path in cogs:
            with rasterio.open(path) as dataset:
                exact_extract(dataset, JSONFeatureSource(features), ops)

    def of_frames() -> None:
        for path in frames:
            frame = open_frame(path)
            rates = rate_table(frame.quantity, KMA_LAW).take(frame.stored.view(np.uint16))
            source = NumPyRasterSource(rates, *frame.grid.bounds, nodata=np.nan)
            exact_extract(source, JSONFeatureSource(features), ops)

    made = []
    for name, work, count in (("of COGs", of_cogs, len(cogs)), ("of frames", of_frames, len(frames))):
        wall, busy, _nothing = timed(work)
        made.append(1000 * busy / count)
        text = f"{wall:7.2f} s, processor {busy:7.2f} s for {count:,} times, {made[-1]:8.3f} ms a time"
        print(f"{'exactextract ' + name:>24}: {text}")
    return made[0], made[1]


def main(frames: Path, cogs: Path, cube: Path) -> None:
    """Measure and print."""
    keep_freed_memory()
    paths = sorted(frames.glob("RDR_CMP_*"))
    grid = open_frame(paths[0]).grid
    shapes = basins(grid)
    points, polygons = Points(tuple(_CITIES), tuple(_CITIES.values())), lonlat_polygons(grid, shapes)
    first_day = {"end": _day_after(paths[0])}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "o.parquet"
        for source in (cube, cogs):
            a_series(source, out, points=points, **first_day)  # imports
        print("ten gauges")
        of_cube = measured("cube", cube, out, points=points)
        of_cogs = measured("COGs", cogs, out, points=points)
        of_frames = measured("frames of a day", frames, out, points=points, **first_day)
        print(f"{'':>24}  the cube is {of_cogs / of_cube:.0f} x as fast as COGs, {of_frames / of_cube:.0f} x as frames")
        hsrgeo.cube.whole.LocalStore = CountingStore  # type: ignore[attr-defined] # for this process
        hsrgeo.cube.shards.read_part = counted_part
        a_series(cube, out, points=points)
        held = sum(path.stat().st_size for path in cube.rglob("*") if path.is_file())
        share = CountingStore.read_bytes / held
        print(
            f"{'bytes read of the cube':>24}: {CountingStore.read_bytes / 1e6:.1f} of {held / 1e6:,.0f} MB, {share:.2%}"
        )
        print("100 basins")
        made = {
            "cube": measured("cube", cube, out, polygons=polygons),
            "COGs of a day": measured("COGs of a day", cogs, out, polygons=polygons, **first_day),
            "frames of a day": measured("frames of a day", frames, out, polygons=polygons, **first_day),
        }
        whole = sorted(islice(cogs.rglob("*.tif"), _THEIRS))
        of_cog, of_frame = theirs(whole, paths[:_THEIRS], shapes)
        for name, ms in made.items():
            print(f"{name:>24}  {of_cog / ms:5.1f} x as fast as of COGs, {of_frame / ms:5.1f} x as of frames")


def _day_after(path: Path) -> Any:
    return open_frame(path).time.astimezone(KST) + timedelta(days=1)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
