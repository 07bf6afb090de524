"""Series of cubes and exports: the numbers are those of the frames, and only what holds the places is read."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import typer
from affine import Affine
from typer.testing import CliRunner

from hsrgeo.cli.series import series as command
from hsrgeo.cube.opened import opened_cube
from hsrgeo.cube.shards import read_part
from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.series.series_run import Series, series
from hsrgeo.engine.simulate import write_simulation
from hsrgeo.engine.stac import write_catalog
from hsrgeo.errors import FrameError, MissingExtraError, OptionsError, ReadbackError, SourceError
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.home import home_of
from hsrgeo.model.times import FRAME_STEP, KST
from hsrgeo.model.window import BBox, Window
from hsrgeo.places.places import Points, Polygons
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.writers.layers import cog_facts
from tests.conftest import NX, NY, TIME, MakeFile, frame_name

parquet = pytest.importorskip("pyarrow.parquet")
for module in ("xarray", "zarr", "dask", "netCDF4"):
    pytest.importorskip(module)

import rasterio  # noqa: E402 - after the libraries are known to be there
from zarr.storage import LocalStore  # noqa: E402

from hsrgeo.engine.cube.cube_options import CubeOptions  # noqa: E402
from hsrgeo.engine.cube.cube_run import make_cube  # noqa: E402

GRID = grids()["kma-hb-1km"]
WINDOW = (380, 500, 300, 330)
"""What crops hold: not on the border of any chunk or tile."""
START = datetime(2022, 6, 9, 11, 15, tzinfo=KST)
FRAMES, GONE, BROKEN = 14, 3, 9
"""How many, which one is not there, which one is no sound frame."""
RATE = KMA_LAW.rate

CUBES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a.zarr", {"layout": "both"}, {}),
    ("a.zarr", {"layout": "series"}, {"window": WINDOW, "values": "raw"}),
    ("a.zarr", {"layout": "series", "zarr_format": 2}, {"window": WINDOW}),
    ("a.zarr", {"layout": "map"}, {"window": WINDOW}),
    ("a.nc", {"layout": "series"}, {"window": WINDOW}),
    ("a.nc", {"layout": "map"}, {"window": WINDOW, "values": "raw"}),
]
EXPORTS: list[dict[str, Any]] = [{}, {"window": WINDOW, "values": "raw", "compress": "zstd"}]


@pytest.fixture(scope="module", autouse=True)
def short_blocks() -> Any:
    """Let a chunk of the layout series hold few times, so that a few frames fill several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsrgeo.cube.store.SERIES_TIMES", 4)
        yield


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    made = list(write_simulation(folder, start=START, frames=FRAMES, grid_name="kma-hb-1km", rain="heavy"))
    made[GONE].unlink()
    made[BROKEN].write_bytes(made[BROKEN].read_bytes()[:-300])
    return folder


def gauges() -> Points:
    rng = np.random.default_rng(3)
    cells = np.column_stack([rng.uniform(505, 825, 12), rng.uniform(385, 675, 12)])
    lon, lat = GRID.lonlat(cells[:, 0], cells[:, 1])
    return Points(tuple(f"g{number}" for number in range(12)), tuple(zip(lon.tolist(), lat.tolist(), strict=True)))


def lonlat(row: float, col: float) -> tuple[float, float]:
    lon, lat = GRID.lonlat(row, col)
    return float(lon), float(lat)


def basins(*boxes: tuple[float, float, float, float]) -> Polygons:
    """Return boxes of rows and columns (top, left, bottom, right) in cells of the 1 km grid."""
    rings = []
    for top, left, bottom, right in boxes:
        corners = np.array([(bottom, left), (bottom, right), (top, right), (top, left), (bottom, left)], float)
        fine = np.concatenate([np.linspace(a, b, 60)[:-1] for a, b in pairwise(corners)])
        fine = np.concatenate([fine, fine[:1]])
        rings.append((np.column_stack(GRID.lonlat(fine[:, 0] - 0.5, fine[:, 1] - 0.5)),))
    return Polygons(tuple(f"b{number}" for number in range(len(rings))), tuple(rings))


BASINS = basins(
    (510.3, 390.2, 560.7, 455.1), (540, 440, 800.5, 470.25), (600.1, 500.9, 600.8, 501.4), (655, 385, 829, 679)
)
PLACES: list[dict[str, Any]] = [
    {"polygons": BASINS},
    {"points": gauges()},
    {"points": gauges(), "method": "bilinear"},
    {"points": gauges(), "quantity": "reflectivity"},
]


def run(source: Any, out: Path, **options: Any) -> tuple[Series, list[Any]]:
    """Return the run and its outcomes."""
    made = series(source, out, SeriesOptions(**{"jobs": 1, **options}))
    return made, list(made)


def rows(path: Path) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return table


def cube(frames: Path, out: Path, form: dict[str, Any] | None = None, **wanted: Any) -> Path:
    for _outcome in make_cube(frames, out, CubeOptions(frames=ExportOptions(jobs=1, **wanted), **(form or {}))):
        pass
    return out


def exported(frames: Path, out: Path, **wanted: Any) -> Path:
    for _outcome in export(frames, out, ExportOptions(**{"jobs": 1, "formats": ("cog",), **wanted})):
        pass
    return out


@pytest.fixture(scope="module")
def tables(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Give the table of the frames themselves, for each of `PLACES`: Parquet has every digit."""
    made = []
    for number, places in enumerate(PLACES):
        out = tmp_path_factory.mktemp("tables") / f"{number}.parquet"
        counted, _outcomes = run(frames, out, **places)
        assert (counted.times, counted.missing, counted.counts["failed"]) == (FRAMES, 2, 1)
        made.append(out.read_bytes())
    return made


# The numbers.


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form", "wanted"), CUBES)
def test_a_cube_gives_the_numbers_of_its_frames(
    frames: Path, tables: list[bytes], tmp_path: Path, name: str, form: dict[str, Any], wanted: dict[str, Any]
) -> None:
    source = cube(frames, tmp_path / name, form, **wanted)
    with opened_cube(source, ("series", "map")) as opened:
        in_shards = name == "a.zarr" and form["layout"] != "map" and "zarr_format" not in form
        assert (opened.shards is not None) == in_shards
    for places, expected in zip(PLACES, tables, strict=True):
        made, outcomes = run(source, tmp_path / "o.parquet", **places)
        assert (tmp_path / "o.parquet").read_bytes() == expected
        assert [outcome.status for outcome in outcomes] == ["ok"] * (FRAMES - 2)
        assert (made.times, made.missing, made.notes) == (FRAMES, 2, [])


@pytest.mark.slow
@pytest.mark.parametrize("wanted", EXPORTS)
def test_an_export_gives_the_numbers_of_its_frames(
    frames: Path, tables: list[bytes], tmp_path: Path, wanted: dict[str, Any]
) -> None:
    source = exported(frames, tmp_path / "out", **wanted)
    write_catalog(source)
    for places, expected in zip(PLACES, tables, strict=True):
        made, outcomes = run(source, tmp_path / "o.parquet", **places)
        assert (tmp_path / "o.parquet").read_bytes() == expected
        assert sorted(outcome.status for outcome in outcomes) == ["failed"] + ["ok"] * (FRAMES - 2)
        assert made.notes == []
    made, _outcomes = run(source / "collection.json", tmp_path / "o.parquet", **PLACES[0])
    assert (tmp_path / "o.parquet").read_bytes() == tables[0]
    assert made.counts == {"ok": FRAMES - 2}  # a catalogue knows nothing of what failed


@pytest.mark.parametrize("form", [{}, {"layout": "series"}, {"layout": "map", "zarr_format": 2}], ids=str)
def test_a_cube_that_was_copied_in_part_is_reported(frames: Path, tmp_path: Path, form: dict[str, Any]) -> None:
    store = cube(frames, tmp_path / "a.zarr", form, window=WINDOW)
    row, col = WINDOW[1] + 5, WINDOW[0] + 5
    point = Points(("a",), (lonlat(row, col),))
    whole, _rows = run(store, tmp_path / "whole.parquet", points=point)
    assert whole.counts["ok"] > 1
    array = "reflectivity_factor/"  # of its first row and column of chunks, all times
    found = [path for path in store.rglob("*") if array in path.as_posix() and path.is_file()]
    files = [path for path in found if path.name in ("0", "0.0.0")]
    for path in files:
        path.unlink()
    assert files
    broken, _rows = run(store, tmp_path / "broken.parquet", points=point)
    assert 0 < broken.counts["failed"] <= whole.counts["ok"]
    assert broken.counts["failed"] + broken.counts["ok"] == whole.counts["ok"]


@pytest.mark.slow
def test_jobs_memory_and_chunks_change_nothing(
    frames: Path, tables: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, wide = tmp_path / "o.parquet", cube(frames, tmp_path / "a.zarr", {"layout": "both"}, window=WINDOW)
    run(wide, out, jobs=2, **PLACES[0])
    assert out.read_bytes() == tables[0]
    run(exported(frames, tmp_path / "out", window=WINDOW), out, jobs=2, **PLACES[0])
    assert out.read_bytes() == tables[0]
    shutil.rmtree(wide / "series")
    run(wide, out, jobs=2, **PLACES[0])  # the layout map where there is no other
    assert out.read_bytes() == tables[0]
    series_only = cube(frames, tmp_path / "b.zarr", {"layout": "series"}, window=WINDOW)
    monkeypatch.setattr("hsrgeo.places.sampling._CELLS_AT_ONCE", 70_000)
    # A chunk of times of one basin after the other; then of the largest, 51,156 cells, only one time at once.
    for most in (500_000, 110_000, 1000):
        monkeypatch.setattr("hsrgeo.engine.series.cube._MOST_BYTES", most)
        run(series_only, out, **PLACES[0])
        assert out.read_bytes() == tables[0]


def test_rain_is_that_of_frames_to_the_step_that_it_is_packed_in(frames: Path, tmp_path: Path) -> None:
    run(frames, tmp_path / "frames.parquet", **PLACES[0], zr=(300.0, 1.4))
    expected = rows(tmp_path / "frames.parquet")
    wanted: dict[str, Any] = {"quantity": "rain", "zr": (300.0, 1.4), "window": WINDOW}
    sources = (
        cube(frames, tmp_path / "a.zarr", {"layout": "series"}, **wanted),
        exported(frames, tmp_path / "o", **wanted),
    )
    for source in sources:
        made, _outcomes = run(source, tmp_path / "o.parquet", **PLACES[0])
        assert made.notes == [
            f"{source} contains rain by Z = 300 R^1.4 in steps of 0.01 mm/h, up to 327.67; frames give it as it is"
        ]
        differs = False
        for ours, theirs in zip(rows(tmp_path / "o.parquet"), expected, strict=True):
            assert (ours["time_kst"], ours["name"], ours["coverage"]) == tuple(
                theirs[name] for name in ("time_kst", "name", "coverage")
            )
            for name in ("mean_mm_h", "max_mm_h"):
                if theirs[name] is None:
                    assert ours[name] is None
                else:
                    assert ours[name] == pytest.approx(theirs[name], abs=0.005 + 1e-9)  # half a step, in any cell
                    differs |= ours[name] != theirs[name]
        assert differs
        with pytest.raises(OptionsError, match="contains rain already: zr does not apply"):
            run(source, tmp_path / "p.csv", **PLACES[0], zr=(250.0, 1.5))
        with pytest.raises(OptionsError, match="contains rain_rate: no series of reflectivity"):
            run(source, tmp_path / "p.csv", **PLACES[3])
    assert not (tmp_path / "p.csv").exists()


def test_another_projection_is_read_where_it_lies(frames: Path, tmp_path: Path) -> None:
    source = exported(frames, tmp_path / "out", crs="EPSG:5179", resolution=2000.0, bbox=(126, 35, 128, 37))
    points = Points(("a", "b"), ((126.9, 36.2), (127.6, 35.4)))
    made, _outcomes = run(source, tmp_path / "o.parquet", points=points)
    assert made.notes == [f"{source} is in EPSG:5179: its cells are not those of the frames"]
    import pyproj  # noqa: PLC0415

    to_map = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:5179", always_xy=True)
    record = {(row["time_kst"], row["name"]): row["rain_mm_h"] for row in rows(tmp_path / "o.parquet")}
    seen = 0
    for path in source.rglob("*.tif"):
        time = datetime.strptime(path.stem, "%Y%m%d%H%M").replace(tzinfo=KST)
        with rasterio.open(path) as dataset:  # the value that GDAL finds at the place
            for name, lonlat in zip(points.names, points.lonlat, strict=True):
                stored = next(dataset.sample([to_map.transform(*lonlat)]))[0]
                rate = 0.0 if stored == -25000 else RATE(stored / 100)
                assert record[time, name] == pytest.approx(rate, rel=1e-12)
                seen += rate > 0
    assert seen > 5


# Places, and what is there of them.


def one_cell(row: int, col: int, value: int) -> Any:
    pixels = np.full((NY, NX), -25000, np.int16)
    pixels[row, col] = value
    return pixels


def test_what_the_crop_lacks_of_a_place_counts_as_not_observed(tmp_path: Path, make_file: MakeFile) -> None:
    # It rains 30 dBZ in the last column of the crop, and more in the next one, which the crop does not hold.
    pixels = one_cell(700, 499, 3000)
    pixels[700, 500] = 5000
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / frame_name()).write_bytes(make_file(pixels))
    crop = (400, 600, 100, 200)  # columns 400 to 499
    polygons = basins((700, 498, 701, 502), (700, 600, 702, 602))  # two of four cells in the crop; none
    inner, outer = (
        lonlat(700, 498.75),
        lonlat(700, 499.25),
    )  # three quarters of column 499 and a quarter of column 498; of cell centres
    for source in (
        exported(tmp_path / "in", tmp_path / "out", window=crop),
        cube(tmp_path / "in", tmp_path / "a.nc", window=crop),
    ):
        with pytest.raises(
            OptionsError,
            match=r"polygon 'b1' lies entirely outside the data, which cover 12\d\.\d\d to .* N of .*; remove it",
        ):
            run(source, tmp_path / "o.csv", polygons=polygons)
        first = Polygons(polygons.names[:1], polygons.rings[:1])
        made, _outcomes = run(source, tmp_path / "o.parquet", polygons=first)
        (row,) = rows(tmp_path / "o.parquet")
        assert row["coverage"] == pytest.approx(0.5, abs=1e-6)
        assert row["mean_mm_h"] == pytest.approx(RATE(30) / 2, rel=1e-6)
        assert row["max_mm_h"] == RATE(30)
        (note,) = made.notes
        assert note.startswith("polygon 'b0' lies partly outside the data, which cover 12")
        point = Points(("a", "edge"), (inner, outer))
        made, _outcomes = run(source, tmp_path / "o.parquet", points=point, method="bilinear")
        inside, edge = rows(tmp_path / "o.parquet")
        assert inside["rain_mm_h"] == pytest.approx(0.75 * RATE(30), rel=1e-9)
        # A quarter of it is the next column's: unknown, and what remains is all rain.
        assert (edge["coverage"], edge["rain_mm_h"]) == (pytest.approx(0.75), pytest.approx(RATE(30)))


def test_a_cube_and_an_export_of_early_frames_have_a_row_every_ten_minutes(tmp_path: Path, make_file: MakeFile) -> None:
    """Before 16 September 2019 there was a frame every ten minutes: of 10:20 the sources know, of 10:05 none does."""
    (source := tmp_path / "in").mkdir()
    for minutes in (0, 10, 30):
        time = datetime(2018, 8, 28, 10, minutes, tzinfo=KST)
        (source / frame_name(time)).write_bytes(make_file(time=time))
    run(source, tmp_path / "frames.csv", points=gauges())
    expected = (tmp_path / "frames.csv").read_bytes()
    assert expected.count(b"2018-08-28T10:") == 4 * len(gauges().names)
    for one in (cube(source, tmp_path / "a.zarr"), exported(source, tmp_path / "out")):
        made, _outcomes = run(one, tmp_path / "o.csv", points=gauges())
        assert (tmp_path / "o.csv").read_bytes() == expected
        assert (made.times, made.missing) == (4, 1)


def test_frames_of_before_and_after_september_2019_are_no_one_series(tmp_path: Path, make_file: MakeFile) -> None:
    (source := tmp_path / "in").mkdir()
    first = datetime(2019, 9, 15, 23, 50, tzinfo=KST)
    for minutes in (0, 10, 15):  # ten minutes, five, five
        time = first + timedelta(minutes=minutes)
        (source / frame_name(time)).write_bytes(make_file(time=time))
    for one in (source, cube(source, tmp_path / "a.zarr")):
        with pytest.raises(OptionsError, match="stand for 10min, later ones for 5min: use two runs, with --end 2019"):
            run(one, tmp_path / "o.csv", points=gauges())
        assert not (tmp_path / "o.csv").exists()
    made, _outcomes = run(source, tmp_path / "o.csv", points=gauges(), end=first + timedelta(minutes=10))
    assert made.times == 1
    made, _outcomes = run(source, tmp_path / "o.csv", points=gauges(), frame_step=timedelta(minutes=5))
    assert made.times == 4


def test_times_that_a_cube_lacks_have_a_row(frames: Path, tmp_path: Path) -> None:
    last = max(frames.iterdir())
    (tmp_path / "in").mkdir()
    for path in sorted(frames.iterdir())[:3]:
        shutil.copy(path, tmp_path / "in")
    (tmp_path / "in" / last.name).write_bytes(last.read_bytes()[:-300])
    source = cube(tmp_path / "in", tmp_path / "a.zarr")
    made, _outcomes = run(source, tmp_path / "o.parquet", points=gauges())
    table = rows(tmp_path / "o.parquet")
    times = sorted({row["time_kst"] for row in table})
    # 11:15, 11:20 and 11:25 are there; 12:20 was broken, and between nothing was ever expected but by the step.
    assert times == [START + number * FRAME_STEP for number in range(FRAMES)]
    assert (made.times, made.missing) == (FRAMES, FRAMES - 3)
    empty = [row for row in table if row["time_kst"] > START + timedelta(minutes=10)]
    assert {(row["rain_mm_h"], row["coverage"]) for row in empty} == {(None, 0.0)}
    run(source, tmp_path / "o.parquet", points=gauges(), end=START + timedelta(minutes=20))
    assert len({row["time_kst"] for row in rows(tmp_path / "o.parquet")}) == 4
    made, outcomes = run(source, tmp_path / "n.csv", points=gauges(), end=START)
    assert (outcomes, made.tally.unselected) == ([], 3)
    assert not (tmp_path / "n.csv").exists()


def test_a_thinned_cube_has_rows_at_its_own_step(frames: Path, tmp_path: Path) -> None:
    ten = timedelta(minutes=10)
    source = cube(frames, tmp_path / "a.zarr", {"layout": "series"}, every=ten, window=WINDOW)
    run(frames, tmp_path / "frames.parquet", polygons=BASINS, every=ten)
    made, _outcomes = run(source, tmp_path / "o.parquet", polygons=BASINS)
    assert (tmp_path / "o.parquet").read_bytes() == (tmp_path / "frames.parquet").read_bytes()
    assert [note[:50] for note in made.notes] == ["times are 10min apart and each frame stands for 5m"]
    every_five = cube(frames, tmp_path / "b.zarr", {"layout": "series"}, window=WINDOW)
    run(every_five, tmp_path / "o.parquet", polygons=BASINS, every=ten)  # of each chunk of four times two or so
    assert (tmp_path / "o.parquet").read_bytes() == (tmp_path / "frames.parquet").read_bytes()
    run(frames, tmp_path / "frames.parquet", polygons=BASINS, every=2 * ten, start=START + ten)
    made, _outcomes = run(source, tmp_path / "o.parquet", polygons=BASINS, every=2 * ten, start=START + ten)
    assert (tmp_path / "o.parquet").read_bytes() == (tmp_path / "frames.parquet").read_bytes()
    assert made.notes == []


# What is read.


class CountingStore(LocalStore):
    """Counts the bytes that are read."""

    read_bytes = 0

    async def get(self, *arguments: Any, **named: Any) -> Any:
        data = await super().get(*arguments, **named)
        CountingStore.read_bytes += len(data) if data is not None else 0
        return data


@pytest.mark.slow
def test_points_take_less_than_a_hundredth_of_the_bytes(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsrgeo.cube.store.SERIES_TIMES", 288)  # as it is: shards hold few chunks
    source = cube(frames, tmp_path / "a.zarr", {"layout": "both"})

    def counted_part(file: BinaryIO, offset: int, length: int) -> bytes:
        CountingStore.read_bytes += length
        return read_part(file, offset, length)

    monkeypatch.setattr("hsrgeo.cube.whole.LocalStore", CountingStore)
    monkeypatch.setattr("hsrgeo.cube.shards.read_part", counted_part)
    CountingStore.read_bytes = 0
    points = Points(("a", "b"), tuple(lonlat(row, 500) for row in (650, 655)))  # one chunk
    run(source, tmp_path / "o.csv", points=points)
    whole = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    assert 0 < CountingStore.read_bytes < whole / 100


# What cannot be read.


def test_a_broken_cog_is_reported_and_the_rest_goes_on(frames: Path, tmp_path: Path) -> None:
    source = exported(frames, tmp_path / "out", window=WINDOW)
    other = exported(frames, tmp_path / "other", window=(380, 500, 300, 300))
    rain = exported(frames, tmp_path / "rain", window=WINDOW, quantity="rain")
    cogs = sorted(source.rglob("*.tif"))
    cogs[1].write_bytes(cogs[1].read_bytes()[:3000])
    cogs[7].write_bytes(cogs[7].read_bytes()[:-9000])
    cogs[2].unlink()
    shutil.copy(cogs[4], cogs[3])
    for number, stranger in ((5, other), (6, rain)):
        shutil.copy(stranger / cogs[number].relative_to(source), cogs[number])
    with rasterio.open(cogs[8], "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.update_tags(TIME_START_UTC="nonsense")
    made, outcomes = run(source, tmp_path / "o.csv", points=gauges())
    broken = {Path(outcome.source): outcome.error for outcome in outcomes if outcome.status == "failed"}
    for number, kind, text in (
        (1, ReadbackError, "is not a COG written by hsrgeo: it names no quantity that is known"),
        (2, ReadbackError, "No such file"),
        (3, ReadbackError, "has the time 2022-06-09T02:40:00Z, not 2022-06-09T02:35:00Z"),
        (5, FrameError, "another grid: expected 300 x 330 of kma-hb-1km, as the first frame, found 300 x 300"),
        (7, ReadbackError, "GDAL cannot read it"),
        (8, ReadbackError, "has the time nonsense, not 2022-06-09T03:05:00Z"),
        (6, FrameError, "another quantity: expected reflectivity, as the first, found rain_rate"),
    ):
        assert isinstance(broken[cogs[number]], kind)
        assert text in str(broken[cogs[number]])
    assert made.counts == {"ok": FRAMES - 9, "failed": 8}  # the frame that could not be exported is the eighth
    assert (made.times, made.missing) == (FRAMES, 9)
    for path in cogs:
        path.unlink(missing_ok=True)
    made, outcomes = run(source, tmp_path / "none.csv", points=gauges())
    assert made.counts == {"failed": FRAMES - 1}
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize("name", ["a.zarr", "a.nc"])
def test_damage_in_a_cube_is_reported_and_the_rest_goes_on(frames: Path, tmp_path: Path, name: str) -> None:
    source = cube(frames, tmp_path / name, {"layout": "series"}, window=WINDOW)
    if name == "a.zarr":  # the second chunk of times: 11:40 to 12:00 but for the broken one
        shard = source / "equivalent_reflectivity_factor" / "c" / "1" / "0" / "0"
        data = bytearray(shard.read_bytes())
        data[-40:-10] = bytes(30)
        shard.write_bytes(data)
        lost = 4
    else:
        data = bytearray(source.read_bytes())
        data[-30_000:-10_000] = bytes(20_000)  # of the last times
        source.write_bytes(data)
        lost = None
    made, outcomes = run(source, tmp_path / "o.csv", points=gauges())
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    assert failed
    assert lost in (None, len(failed))
    assert all(f"{source}: cannot be read at 2022-06-09" in str(outcome.error) for outcome in failed)
    assert made.missing == 2 + len(failed)
    assert made.counts["ok"] == FRAMES - 2 - len(failed)


def test_a_catalogue_tells_what_is_there(frames: Path, tmp_path: Path) -> None:
    out = exported(frames, tmp_path / "out", window=WINDOW)
    write_catalog(out)
    for source in (out, out / "collection.json"):
        made, outcomes = run(source, tmp_path / "o.csv", points=gauges(), end=START)
        assert (outcomes, made.tally.unselected) == ([], FRAMES - 2 if source.suffix else FRAMES - 1)
        assert made.tally.spans["HSR"][0] == START


def test_sources_and_options_that_cannot_be(frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cube(frames, tmp_path / "a.nc", window=WINDOW)
    regions = [Region("서울", BBox(126.5, 36.5, 127.5, 37.5)), Region("south", BBox(126.5, 35, 127.5, 36))]
    parts = exported(frames, tmp_path / "parts", regions=regions)
    write_catalog(parts)
    pictures = exported(frames, tmp_path / "pictures", window=WINDOW, formats=("png",))
    point = Points(("a",), ((127.0, 35.5),))
    bad: list[tuple[Any, dict[str, Any], str]] = [
        (parts, {}, "several regions: choose one with --region, of 서울, south"),
        (parts / "collection.json", {}, "several regions: choose one with --region, of south, 서울"),
        (parts, {"region": "north"}, "region 'north'"),
        (parts / "collection.json", {"region": "north"}, "none of that name"),
        (parts, {"block": 2, "region": "south"}, "are for frames"),
        (pictures, {}, "has png only, and only COGs are read"),
        (whole, {"region": "south"}, "a cube has one area"),
        (frames, {"region": "south"}, "frames have none"),
        (whole, {"product": "CPP"}, "product CPP: .*a.nc contains HSR"),
        ([whole, frames], {}, "read on its own"),
        ([parts, whole], {}, "read on its own"),
        (next(parts.rglob("*.tif")), {}, "a picture of one frame"),
    ]
    for source, options, text in bad:
        with pytest.raises(OptionsError, match=text):
            run(source, tmp_path / "o.csv", points=point, **options)
    for chosen in (parts, parts / "collection.json"):
        made, _outcomes = run(chosen, tmp_path / "o.csv", points=point, region="south")
        assert made.counts["ok"] == FRAMES - 2
    (tmp_path / "no.nc").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="cannot be opened as a cube"):
        run(tmp_path / "no.nc", tmp_path / "o.csv", points=point)
    with pytest.raises(SourceError, match="no such file"):
        run(tmp_path / "gone.zarr", tmp_path / "o.csv", points=point)
    group = cube(frames, tmp_path / "b.zarr", window=WINDOW) / "zarr.json"
    group.write_text(group.read_text().replace('\\"step_minutes\\": 5', '\\"step_minutes\\": 0'))
    with pytest.raises(SourceError, match=r"not a cube made by hsrgeo: .*step of 0:00:00"):
        run(tmp_path / "b.zarr", tmp_path / "o.csv", points=point)
    monkeypatch.setitem(sys.modules, "netCDF4", None)
    with pytest.raises(MissingExtraError, match=r"hsrgeo\[cube\]"):
        run(whole, tmp_path / "o.csv", points=point)


def test_frames_beside_a_manifest_are_read_as_frames(frames: Path, tmp_path: Path) -> None:
    shutil.copytree(frames, tmp_path / "both")
    exported(tmp_path / "both", tmp_path / "both", window=(0, 0, 64, 64))
    made, _outcomes = run(tmp_path / "both", tmp_path / "o.csv", points=gauges())  # far outside the crop
    assert made.counts["ok"] == FRAMES - 2


# Where a crop comes from.


def test_a_crop_knows_its_grid(frames: Path, tmp_path: Path) -> None:
    window = Window(*WINDOW)
    assert home_of(GRID) == (GRID, GRID.window)
    assert home_of(GRID.crop(window)) == (GRID, window)
    path = next(exported(frames, tmp_path / "out", window=WINDOW).rglob("*.tif"))
    facts = cog_facts(path)
    assert facts.wkt2 != GRID.wkt2  # in GDAL's words
    held = Grid(facts.tags["GRID"], facts.wkt2, facts.transform, facts.width, facts.height)
    assert home_of(held) == (GRID, window)
    main = grids()["kma-hb-500m"]
    strangers = [
        Grid("kma-hb-500m", facts.wkt2, facts.transform, 300, 330),  # other cells
        Grid("kma-hb-1km", main.wkt2, facts.transform, 300, 330),  # another CRS
        Grid("EPSG:5179", facts.wkt2, facts.transform, 300, 330),  # no grid of ours
        Grid(
            "kma-hb-1km", facts.wkt2, Affine(1000.0, 0, -180_000.0, 0, -1000.0, 100_500.0), 300, 330
        ),  # half a cell off
        Grid("kma-hb-1km", facts.wkt2, facts.transform, 800, 330),  # reaches beyond
    ]
    for one in strangers:
        assert home_of(one) == (one, one.window)


@pytest.fixture
def cli() -> Callable[..., Any]:
    app = typer.Typer()
    app.command()(command)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_the_command(cli: Callable[..., Any], frames: Path, tmp_path: Path, tables: list[bytes]) -> None:
    points = tmp_path / "g.csv"
    lines = [f"{name},{lon!r},{lat!r}" for name, (lon, lat) in zip(gauges().names, gauges().lonlat, strict=True)]
    points.write_text("\n".join(["name,lon,lat", *lines]))
    parts = exported(frames, tmp_path / "parts", regions=[Region("all", BBox(122.5, 31.5, 130.0, 39.0))])
    done = cli(parts, "--points", points, "--out", tmp_path / "o.parquet", "--region", "all", "--json")
    assert done.exit_code == 1, done.stderr  # one frame could not be exported
    assert json.loads(done.stdout)["ok"] == FRAMES - 2
    assert (tmp_path / "o.parquet").read_bytes() == tables[1]
    source = cube(frames, tmp_path / "a.zarr", {"layout": "series"}, window=WINDOW)
    done = cli(source, "--points", points, "--out", tmp_path / "o.parquet")
    assert done.exit_code == 0
    summary = f"12 places, {FRAMES} times, 2 without a frame, replacing 1 file: {FRAMES - 2} frames, {FRAMES - 2} used"
    assert summary in done.stderr
    assert (tmp_path / "o.parquet").read_bytes() == tables[1]
    assert TIME == START


def test_a_failed_frame_of_another_product_does_not_hide_what_was_written(tmp_path: Path, make_file: MakeFile) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / frame_name()).write_bytes(make_file())
    (folder / frame_name(product="HSP")).write_bytes(b"")  # broken
    named = ExportOptions(window=(400, 600, 20, 20), formats="cog", name="{product}/{time:%Y%m%d%H%M}", jobs=1)
    assert sorted(one.status for one in export(folder, tmp_path / "out", named)) == ["failed", "ok"]
    lon, lat = grids()["kma-hb-1km"].lonlat(605, 405)
    options = SeriesOptions(points={"here": (float(lon), float(lat))}, jobs=1)
    run = series(tmp_path / "out", tmp_path / "x.csv", options)
    assert [one.status for one in run] == ["ok"]
    assert "here" in (tmp_path / "x.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("given", [{"a": (127, 37)}, [("a", 127, 37)]])
def test_points_may_be_given_as_they_are(given: Any) -> None:
    assert SeriesOptions(points=given).places == Points(("a",), ((127.0, 37.0),))
    assert SeriesOptions(points=[(127, 37)]).places == Points(("point 1",), ((127.0, 37.0),))
    for wrong in ([], [127, 37], [("a", 37, 127)], [("a", 127, 37), ("a", 128, 37)], 5, [("a", "b", 127, 37)]):
        with pytest.raises(OptionsError, match=r"^points.*: expected \{name: \(lon, lat\)\}"):
            SeriesOptions(points=wrong)  # type: ignore[arg-type] # the point of it
