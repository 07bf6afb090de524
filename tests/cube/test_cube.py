"""Cubes: the frames' values in every layout, whatever happens to the run that makes them."""

from __future__ import annotations

import errno
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.simulate import write_simulation
from hsrgeo.errors import ManifestError, NoRoomError, OptionsError, OutputExistsError, SourceError
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.window import Window
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.products.rain import rain_frame
from hsrgeo.reading import open_frame
from hsrgeo.writers.folders import aside
from tests.conftest import TIME, MakeFile, frame_name, make_tar

xr = pytest.importorskip("xarray")
zarr = pytest.importorskip("zarr")
for module in ("dask", "netCDF4"):
    pytest.importorskip(module)

from zarr.storage import LocalStore  # noqa: E402 - after the libraries are known to be there

from hsrgeo.cube import store  # noqa: E402
from hsrgeo.cube.cf import grid_of  # noqa: E402
from hsrgeo.cube.opening import open as open_array  # noqa: E402
from hsrgeo.engine.cube.cube_options import CubeOptions  # noqa: E402
from hsrgeo.engine.cube.cube_run import make_cube  # noqa: E402

FRAMES = int(os.environ.get("HSRGEO_CUBE_FRAMES", "60"))
STEP = timedelta(minutes=5)
WINDOW = (350, 500, 300, 290)
GRID = grids()["kma-hb-1km"]
MISSING = (7, 31, 32)
"""Frames that are taken away."""
FORMS = [("a.zarr", "map", 3), ("a.zarr", "map", 2), ("a.zarr", "series", 3), ("a.zarr", "series", 2),
         ("a.zarr", "both", 3), ("a.nc", "map", None), ("a.nc", "series", None)]  # fmt: skip
HOLDING = str(Path(__file__).parents[1] / "holding")
COMMAND = "import typer; from hsrgeo.cli.cube import cube; typer.run(cube)"


@pytest.fixture(scope="module", autouse=True)
def short_blocks() -> Any:
    """Let a chunk of the layout series hold few times, so that a few frames fill several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsrgeo.cube.store.SERIES_TIMES", 16)
        yield


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("simulated")
    made = list(write_simulation(folder, start=TIME, frames=FRAMES, grid_name="kma-hb-1km"))
    for number in MISSING:
        made[number].unlink()
    return [path for path in made if path.exists()]


@pytest.fixture(scope="module")
def expected(frames: list[Path]) -> NDArray[np.int16]:
    return stored(frames)


def stored(paths: Sequence[Path]) -> NDArray[np.int16]:
    return np.stack([open_frame(path).crop(window=WINDOW).raw for path in paths])


def options(
    layout: Any = "map", zarr_format: Any = None, attrs: dict[str, str] | None = None, **frames: Any
) -> CubeOptions:
    frames = {"jobs": 1, "values": "raw", "window": WINDOW, **frames}
    return CubeOptions(frames=ExportOptions(**frames), layout=layout, zarr_format=zarr_format, attrs=attrs or {})


def made(sources: Any, out: Path, wanted: CubeOptions) -> list[Outcome]:
    outcomes = list(make_cube(sources, out, wanted))
    assert not list(out.parent.glob(f".{out.name}*")), "nothing is left beside the cube"
    return outcomes


def packed(out: Path, layout: str | None = None) -> NDArray[np.int16]:
    """Return the values as plain xarray reads them, packed."""
    group = layout if (out / "map").is_dir() else None
    with xr.open_dataset(out, group=group, mask_and_scale=False) as dataset:
        values: NDArray[np.int16] = next(iter(dataset.data_vars.values())).values
    return values


# Values.


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layout", "zarr_format"), FORMS)
def test_values_are_those_of_the_frames(
    frames: list[Path], expected: NDArray[np.int16], tmp_path: Path, name: str, layout: str, zarr_format: int | None
) -> None:
    out = tmp_path / name
    outcomes = made(random.Random(1).sample(frames, len(frames)), out, options(layout, zarr_format))  # noqa: S311
    assert [outcome.status for outcome in outcomes] == ["ok"] * len(frames)
    for one in ("map", "series") if layout == "both" else (layout,):
        values = packed(out, one)
        assert values.dtype == np.int16
        assert np.array_equal(values, expected)
        with open_array(out, layout=one) as dataset:
            assert dataset.attrs["layout"] == one
            physical = dataset["reflectivity"].isel(x=100, y=150).values
            assert dataset["missing_times"].size == len(MISSING)
            assert list(dataset["missing_times"].values) == [np.datetime64(_utc(TIME + n * STEP)) for n in MISSING]
        cell = expected[:, 150, 100]
        assert np.allclose(physical, np.where(cell == -30000, np.nan, cell / 100), equal_nan=True)


def _utc(moment: datetime) -> datetime:
    return (moment - timedelta(hours=9)).replace(tzinfo=None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layout", "zarr_format"), FORMS)
def test_values_are_the_same_after_frames_were_added(
    frames: list[Path], expected: NDArray[np.int16], tmp_path: Path, name: str, layout: str, zarr_format: int | None
) -> None:
    out, wanted = tmp_path / name, options(layout, zarr_format)
    made(frames[20:40], out, wanted)
    made(frames[41:], out, wanted)  # after, with a gap
    made(frames[:10] + frames[40:41], out, wanted)  # before, and the gap
    outcomes = made(frames, out, wanted)
    assert sum(outcome.status == "skipped" for outcome in outcomes) == len(frames) - 10
    for one in ("map", "series") if layout == "both" else (layout,):
        assert np.array_equal(packed(out, one), expected)
    assert {outcome.status for outcome in made(frames, out, wanted)} == {"skipped"}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["map", "both"])
def test_processes_make_the_same(frames: list[Path], expected: NDArray[np.int16], tmp_path: Path, layout: str) -> None:
    archive = tmp_path / "RDR_HSR_202206.tar.gz"
    archive.write_bytes(make_tar([(path.name, path.read_bytes()) for path in frames]))
    wanted = options(layout, jobs=2)
    made(archive, tmp_path / "a.zarr", wanted)
    for one in ("map", "series") if layout == "both" else ("map",):
        with xr.open_dataset(tmp_path / "a.zarr", group=one if layout == "both" else None, mask_and_scale=False) as ds:
            assert np.array_equal(ds["equivalent_reflectivity_factor"].values, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layout", "moments"),
    [  # frames are staged alike for both
        ("a.zarr", "both", [(".map.part", 2), (".map.part", 1)]),  # while frames are staged
        ("a.zarr", "both", [("/.plan.part", 1), ("/.done.0.0.part", 1)]),  # with the template, and the only shard
        ("a.nc", "map", [(".map", 2), (".map", 36)]),  # second and ninth frame; all that were staged are checked first
    ],
    ids=["staging", "building zarr", "building nc"],
)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_and_run_again(
    frames: list[Path],
    expected: NDArray[np.int16],
    tmp_path: Path,
    name: str,
    layout: str,
    moments: list[tuple[str, int]],
) -> None:
    """Killed where it first opens a file, or opens it for the nth time: the command waits there (`tests/holding`)."""
    out = tmp_path / "out" / name
    wanted = options(layout)
    half = frames[: len(frames) // 2]
    made(half, out, wanted)
    before = packed(out, "map")
    arguments = [str(frames[0].parent), "--out", str(out), "--values", "raw", "--jobs", "2", "--layout", layout]
    window = ["--window", *map(str, WINDOW)]
    for number, (hold, nth) in enumerate(moments):
        scratch = tmp_path / f"held-{number}"
        scratch.mkdir()
        holding = {"PYTHONPATH": HOLDING, "HOLD_AT": hold, "HOLD_IN": str(scratch), "HOLD_NTH": str(nth)}
        with subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments, *window],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | holding,
        ) as process:
            while not (scratch / "held").exists():
                assert process.poll() is None, "ended before it was held"
                time.sleep(0.005)
            os.killpg(process.pid, signal.SIGKILL)
        staged = list(out.with_name(f".{out.name}.staged").glob("frames/*/*.map"))
        assert (len(staged) < len(frames) - len(half)) == (hold == ".map.part")
        assert any(out.parent.glob(f".{name}*part")) == (hold != ".map.part")
        assert len(packed(out, "map")) == len(before)  # whatever has its name is whole
    made([path for path in frames[0].parent.iterdir() if path in frames], out, wanted)
    for one in ("map", "series") if layout == "both" else ("map",):
        assert np.array_equal(packed(out, one), expected)


def test_killed_between_two_names(frames: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "a.zarr"
    made(frames[:3], out, options())
    out.rename(aside(out))
    assert {outcome.status for outcome in made(frames[:3], out, options())} == {"skipped"}
    assert len(packed(out)) == 3


@pytest.mark.parametrize("layouts", [("map",), ("series",), ("map", "series")])
def test_staged_frames_that_a_power_cut_tore_are_made_again(
    frames: list[Path], tmp_path: Path, layouts: tuple[Any, ...]
) -> None:
    shape = None
    for path in frames[:4]:
        frame = open_frame(path).crop(window=WINDOW)
        shape = shape or store.shape_for(frame, {"step_minutes": 5})
        store.stage(frame, frame.rank, tmp_path, shape, layouts)
    staged = list(store.staged_frames(tmp_path, layouts))
    assert len(staged) == 4
    empty, torn, zeros = (Path(f"{one.stem}.{layouts[-1]}") for one in staged[:3])
    empty.write_bytes(b"")
    torn.write_bytes(torn.read_bytes()[:-9])
    zeros.write_bytes(bytes(zeros.stat().st_size))
    store.remove_damaged(tmp_path, layouts)
    assert list(store.staged_frames(tmp_path, layouts)) == staged[3:]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(layouts)


@pytest.mark.parametrize("name", ["a.zarr", "a.nc"])
def test_links_under_the_names_of_its_temporary_files_are_not_followed(
    frames: list[Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / "theirs").mkdir()
    for word in ("staged", "part", "old"):
        (tmp_path / f".{name}.{word}").symlink_to("theirs")
    (tmp_path / "theirs" / "frames").symlink_to(".")
    made(frames[:2], tmp_path / name, options())
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["frames"]
    assert len(packed(tmp_path / name)) == 2
    assert not (tmp_path / name).is_symlink()


# Frames that are not as they should be.


def test_broken_frames_are_reported_and_missing(make_file: MakeFile, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (0, 1, 2, 4):
        when = TIME + number * STEP
        data = make_file(time=when)
        (folder / frame_name(when)).write_bytes(data[:-100] if number in (1, 4) else data)
    outcomes = made(folder, tmp_path / "a.zarr", options())
    assert [outcome.status for outcome in outcomes] == ["ok", "failed", "ok", "failed"]
    with open_array(tmp_path / "a.zarr") as dataset:
        assert dataset.sizes["time"] == 2
        assert list(dataset["missing_times"].values) == [
            np.datetime64("2022-06-09T02:20"),
            np.datetime64("2022-06-09T02:35"),
        ]


@pytest.mark.slow
def test_the_better_of_two_frames_whatever_the_order(make_file: MakeFile, tmp_path: Path) -> None:
    fields = (2022, 6, 9, 11, 15, 0)
    paths = []
    for stations in (2, 7, 5):
        path = tmp_path / str(stations) / frame_name()
        path.parent.mkdir()
        path.write_bytes(
            make_file(np.full_like(make_file.pixels, stations), stations=[(b"KWK", fields, fields)] * stations)
        )
        paths.append(path)
    for number, order in enumerate((paths, paths[::-1])):
        out = tmp_path / f"{number}.zarr"
        made(order, out, options())
        assert (packed(out) == 7).all()
        for path in order:  # one after the other
            made(path, tmp_path / f"{number}-single.zarr", options("both"))
        assert (packed(tmp_path / f"{number}-single.zarr", "map") == 7).all()
        assert (packed(tmp_path / f"{number}-single.zarr", "series") == 7).all()


def test_other_grids_products_and_quantities_are_never_mixed(make_file: MakeFile, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / frame_name()).write_bytes(make_file())
    large = make_file(np.zeros((2881, 2305), np.int16), dxy=500, time=TIME + STEP)
    (folder / frame_name(TIME + STEP)).write_bytes(large)
    sources = [folder / frame_name(), folder]
    outcomes = made(sources, tmp_path / "a.zarr", options())
    assert sorted(outcome.status for outcome in outcomes) == ["failed", "ok"]
    other = tmp_path / frame_name(TIME + 2 * STEP, product="CPP")
    other.write_bytes(make_file(time=TIME + 2 * STEP))
    errors = [outcome.error for source in (folder, other) for outcome in made([source], tmp_path / "a.zarr", options())]
    assert [str(error).partition(" than")[0].rpartition("other ")[2] for error in errors if error] == [
        "grid",
        "product",
    ]
    assert packed(tmp_path / "a.zarr").shape == (1, 290, 300)


def test_two_products_are_refused_before_anything_is_read(
    make_file: MakeFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for product in ("HSR", "HSP"):
        (folder / frame_name(product=product)).write_bytes(make_file())
    monkeypatch.setattr("hsrgeo.engine.cube.cube_frames.decode_found", lambda *_: pytest.fail("read"))
    with pytest.raises(OptionsError, match="the sources contain HSP and HSR: choose one with --product"):
        made([folder], tmp_path / "a.zarr", options())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_every_reader_knows_the_numbers_of_a_cube(make_file: MakeFile, tmp_path: Path) -> None:
    # As compliance-checker has it: no fill value on coordinates (CF 2.5.1), and no integer of 64 bits.
    frame = tmp_path / frame_name()
    frame.write_bytes(make_file())
    for out in (tmp_path / "a.zarr", tmp_path / "a.nc"):
        made([frame], out, options())
        with xr.open_dataset(out, decode_times=False, mask_and_scale=False) as dataset:
            kinds = {str(name): variable.dtype.str[1:] for name, variable in dataset.variables.items()}
            assert "i8" not in kinds.values()
            assert (kinds["time"], kinds["created"], kinds["source_crc32"]) == ("i4", "f8", "f8")
            assert [name for name in ("x", "y", "time", "lon", "lat") if "_FillValue" in dataset[name].attrs] == []
            assert int(dataset["source_crc32"][0]) == open_frame(frame).crc32
            assert int(dataset["created"][0]) == int((TIME + timedelta(minutes=6, seconds=42)).timestamp())


def test_nothing_sound_makes_no_cube(make_file: MakeFile, tmp_path: Path) -> None:
    path = tmp_path / frame_name()
    path.write_bytes(make_file()[:-1])
    assert [outcome.status for outcome in made(path, tmp_path / "a.zarr", options())] == ["failed"]
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("form", ["a.zarr", "a.nc"])
def test_a_cube_is_not_replaced_by_nothing(frames: list[Path], tmp_path: Path, form: str) -> None:
    out, broken = tmp_path / form, tmp_path / frame_name()
    made(frames[:2], out, options())
    broken.write_bytes(b"")
    assert [one.status for one in made(broken, out, options(overwrite=True))] == ["failed"]
    assert not made(frames, out, options(overwrite=True, product="HSP"))
    assert len(packed(out)) == 2
    made(frames[2:3], out, options(overwrite=True))
    assert len(packed(out)) == 1


def test_wrong_use_is_reported(frames: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "a.zarr"
    made(frames[:2], out, options())
    with pytest.raises(ManifestError, match="layout"):
        make_cube(frames, out, options("series"))
    with pytest.raises(ManifestError, match=r"area: .* there, window 0 0 10 10 now\)"):
        make_cube(frames, out, options(window=(0, 0, 10, 10)))
    with pytest.raises(OptionsError, match=r"\.zarr or \.nc"):
        make_cube(frames, tmp_path / "a.tif")
    with pytest.raises(OptionsError, match="one layout"):
        make_cube(frames, tmp_path / "a.nc", options("both"))
    with pytest.raises(OptionsError, match=r"^zarr format 2: .*a\.nc is NetCDF; give a name that ends in \.zarr"):
        make_cube(frames, tmp_path / "a.nc", options("map", 2))
    with pytest.raises(OptionsError, match="regions"):
        options(window=None, regions=())
    with pytest.raises(OptionsError, match="zarr format"):
        options("map", 4)
    strange = tmp_path / "strange.zarr"
    strange.mkdir()
    with pytest.raises(SourceError):
        make_cube(frames, strange, options())
    with pytest.raises(OutputExistsError):
        make_cube(frames, strange, options(overwrite=True))
    with pytest.raises(SourceError):
        make_cube(tmp_path / "nothing", out, options())
    assert [one.status for one in made(frames[2:3], out, options("series", overwrite=True))] == ["ok"]
    assert len(packed(out)) == 1


# What others read.


def test_place_and_cf_of_a_cube(frames: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "a.zarr"
    made(frames[:2], out, options("map", window=None))
    with xr.open_zarr(out) as dataset:
        assert grid_of(dataset) == GRID
        for point in GRID.check_points:
            cell = dataset.isel(y=GRID.height - 1 - point.row, x=point.col)
            x, y = GRID.project(point.lon, point.lat)
            assert math_distance(cell, x, y) < 0.5
            assert abs(float(cell["lon"]) - point.lon) < 1e-5
            assert abs(float(cell["lat"]) - point.lat) < 1e-5


def math_distance(cell: Any, x: Any, y: Any) -> float:
    return float(np.hypot(float(cell["x"]) - x, float(cell["y"]) - y))


@pytest.mark.slow
def test_rain_and_opening_a_part(frames: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "rain.zarr"
    made(frames[:4], out, options("both", quantity="rain", values="clean"))
    want = np.stack([rain_frame(open_frame(path).crop(window=WINDOW)).physical(undetect=0) for path in frames[:4]])
    for layout in ("map", "series"):
        with open_array(out, layout=layout) as dataset:
            assert np.allclose(dataset["rain_rate"].values, want, equal_nan=True, atol=1e-4)
            assert dataset["rain_rate"].attrs["units"] == "kg m-2 h-1"
        with open_array(out, layout=layout, window=(10, 20, 30, 40), start=TIME + STEP, undetect="nan") as part:
            assert part["rain_rate"].shape == (3, 40, 30)
            assert part["time"].values[0] == np.datetime64("2022-06-09T02:20")
            assert not (part["rain_rate"].values == 0).any()
    with open_array(out, every=timedelta(minutes=10)) as dataset:
        assert dataset.sizes["time"] == 2
    with pytest.raises(OptionsError, match="layout"):
        open_array(out, layout="none")
    with pytest.raises(OptionsError, match="product"):
        open_array(out, product="CPP")


def test_a_point_is_read_from_few_bytes(frames: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "a.zarr"
    made(frames, out, options("series"))
    array = zarr.open_array(out / "equivalent_reflectivity_factor", mode="r")
    assert array.chunks == (16, store.SERIES_SIDE, store.SERIES_SIDE)
    files = [path for path in (out / "equivalent_reflectivity_factor" / "c").rglob("*") if path.is_file()]
    assert len(files) == -(-len(frames) // 16)  # the crop is one band: a shard for each block of times


@pytest.mark.parametrize(("name", "layout", "zarr_format"), [form for form in FORMS if form[0] == "a.zarr"])
def test_a_chunk_that_was_lost_is_reported_and_never_not_observed(
    frames: list[Path], tmp_path: Path, name: str, layout: str, zarr_format: int
) -> None:
    out = tmp_path / name
    made(frames[:4], out, options(layout, zarr_format))
    files = [path for path in out.rglob("equivalent_reflectivity_factor/**/[0-9]*") if path.is_file()]
    lost = max(files, key=lambda path: path.stat().st_size)
    lost.unlink()
    held_in = "series" if "series" in lost.parts else "map" if "map" in lost.parts else layout
    dataset = open_array(out, layout=held_in)
    for one in (dataset, pickle.loads(pickle.dumps(dataset))):  # noqa: S301 - as dask sends it
        with pytest.raises(SourceError, match="is not whole: its file") as caught:
            one.compute()
        assert str(lost) in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("zarr_format", [3, 2])
def test_chunks_without_any_observation_are_there(make_file: MakeFile, tmp_path: Path, zarr_format: int) -> None:
    pixels = np.full((GRID.height, GRID.width), -30000, np.int16)
    pixels[-50:, -70:] = 1234
    window = (GRID.width - 200, GRID.height - 150, 200, 150)  # chunks are 32 cells wide and high
    paths = []
    for number in range(4):
        paths.append(tmp_path / frame_name(TIME + number * STEP))
        paths[-1].write_bytes(make_file(pixels, time=TIME + number * STEP))
    out = tmp_path / "a.zarr"
    made(paths[:3], out, options("series", zarr_format, window=window))
    made(paths, out, options("series", zarr_format, window=window))
    cells = open_array(out).reflectivity.values
    assert cells.shape == (4, 150, 200)
    assert np.count_nonzero(~np.isnan(cells)) == 4 * 50 * 70
    assert float(cells[3, -1, -1]) == pytest.approx(12.34)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layout", "zarr_format"), [form for form in FORMS if form[0] == "a.zarr"])
def test_nothing_is_added_to_a_cube_that_lost_a_chunk(
    frames: list[Path], tmp_path: Path, name: str, layout: str, zarr_format: int
) -> None:
    out = tmp_path / name
    made(frames[:20], out, options(layout, zarr_format))  # blocks of 16 times: the second is added to
    files = [path for path in out.rglob("equivalent_reflectivity_factor/**/[0-9]*") if path.is_file()]
    for lost in (min(files), max(files)):
        moved = lost.rename(tmp_path / "moved")
        with pytest.raises(SourceError, match="is not whole: its file") as caught:
            list(make_cube(frames[:24], out, options(layout, zarr_format)))
        assert str(lost) in str(caught.value)
        moved.rename(lost)
    made(frames[:24], out, options(layout, zarr_format))
    assert np.array_equal(packed(out, "map" if layout == "both" else None), stored(frames[:24]))


class CountingStore(LocalStore):
    """Counts the bytes that are read."""

    count = 0

    async def get(self, *arguments: Any, **named: Any) -> Any:
        data = await super().get(*arguments, **named)
        CountingStore.count += len(data) if data is not None else 0
        return data


@pytest.mark.slow
def test_a_point_takes_less_than_a_hundredth_of_the_bytes(
    frames: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SERIES_TIMES", 288)  # as it is: shards hold few chunks
    out = tmp_path / "a.zarr"
    made(frames[:4], out, options("series", window=None))
    values = out / "equivalent_reflectivity_factor"
    array = zarr.open_array(CountingStore(values, read_only=True), mode="r")
    CountingStore.count = 0
    cells = array[:, 700, 600]
    assert np.array_equal(cells, [open_frame(path).raw[700, 600] for path in frames[:4]])
    whole = sum(path.stat().st_size for path in values.rglob("*") if path.is_file())
    assert 0 < CountingStore.count < whole / 100


def test_gdal_reads_netcdf_and_zarr(frames: list[Path], tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    made(frames[:3], tmp_path / "a.nc", options())
    made(frames[:3], tmp_path / "a.zarr", options("map", 2))
    expected = stored(frames[:3])
    with rasterio.Env() as environment:
        drivers = environment.drivers()
    for driver, name in (
        ("netCDF", f"netcdf:{tmp_path}/a.nc:equivalent_reflectivity_factor"),
        ("Zarr", f'ZARR:"{tmp_path}/a.zarr":/equivalent_reflectivity_factor'),
    ):
        if driver not in drivers:
            continue
        with rasterio.open(name) as dataset:
            assert tuple(dataset.transform)[:6] == tuple(GRID.crop(Window(*WINDOW)).transform)[:6]
            assert "Lambert" in dataset.crs.to_wkt()
            assert dataset.nodata == -30000
            assert dataset.scales[0] == 0.01
            assert np.array_equal(dataset.read(), expected)


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="needs Debian's gdal-bin")
def test_debians_gdal_reads_netcdf(frames: list[Path], tmp_path: Path) -> None:
    made(frames[:3], tmp_path / "a.nc", options())
    name = f"NETCDF:{tmp_path}/a.nc:equivalent_reflectivity_factor"
    record = json.loads(subprocess.run(["gdalinfo", "-json", name], check=True, capture_output=True).stdout)
    assert record["size"] == [300, 290]
    assert record["geoTransform"] == [float(part) for part in GRID.crop(Window(*WINDOW)).transform.to_gdal()]
    assert [band["noDataValue"] for band in record["bands"]] == [-30000] * 3
    assert "Lambert" in record["coordinateSystem"]["wkt"]


@pytest.mark.parametrize(("quantity", "zarr_format"), [("stored", 3), ("stored", 2), ("rain", 3)])
def test_rules_of_the_mlcast_specification(frames: list[Path], tmp_path: Path, quantity: str, zarr_format: int) -> None:
    """Hold to mlcast-dataset-validator, source_data/radar_precipitation 0.2.0; the numbers are its sections."""
    out = tmp_path / "a.zarr"
    wanted = options("map", zarr_format, {"license": "CC-BY-4.0"}, quantity=quantity, values="clean")
    made(frames, out, wanted)
    with xr.open_zarr(out) as dataset:
        standard = {name: array.attrs.get("standard_name") for name, array in dataset.coords.items()}
        assert standard["time"] == "time"  # 3.1
        assert (standard["x"], standard["y"]) == ("projection_x_coordinate", "projection_y_coordinate")
        assert (standard["lon"], standard["lat"]) == ("longitude", "latitude")
        assert abs(np.diff(dataset["x"].values)).max() <= 1000  # 3.2
        assert min(dataset.sizes["x"], dataset.sizes["y"]) >= 256
        times = dataset["time"].values  # 3.3
        assert (np.diff(times) > np.timedelta64(0, "ns")).all()
        missing = dataset["missing_times"].values
        assert not np.intersect1d(times, missing).size
        assert (np.diff(np.union1d(times, missing)) == np.timedelta64(300, "s")).all()
        (values,) = dataset.data_vars.values()
        assert set(values.data.chunks[0]) == {1}  # 4.1
        assert values.data.chunks[1:] == ((290,), (300,))
        assert "zstd" in str(values.encoding["compressors"]).lower()  # 4.2
        assert values.dims == ("time", "y", "x")  # 4.3
        assert values.dtype in (np.float32, np.float64)
        names = {"stored": "equivalent_reflectivity_factor", "rain": "rain_rate"}  # 4.4
        words = {"stored": ("equivalent_reflectivity_factor", "dBZ"), "rain": ("rainfall_flux", "kg m-2 h-1")}
        assert values.name == names[quantity]
        assert (values.attrs["standard_name"], values.attrs["units"]) == words[quantity]
        assert values.attrs["long_name"]
        mapping = dataset[values.attrs["grid_mapping"]].attrs  # 4.5
        assert mapping["spatial_ref"] == mapping["crs_wkt"]
        assert datetime.fromisoformat(dataset.attrs["consistent_timestep_start"]) == _utc(TIME)  # 5.1
        assert dataset.attrs["license"] == "CC-BY-4.0"  # 5.2
    assert (out / "zarr.json").is_file() == (zarr_format == 3)  # 5.3
    assert (out / ".zmetadata").is_file() == (zarr_format == 2)


@pytest.mark.parametrize("form", ["a.zarr", "a.nc"])
def test_a_frame_that_says_it_was_made_in_1900_is_kept(make_file: MakeFile, tmp_path: Path, form: str) -> None:
    for number, year in enumerate((2022, 1900)):
        when = TIME + number * STEP
        data = bytearray(make_file(time=when, gz=False))
        data[10:12] = year.to_bytes(2, "little")  # tm_in, the creation time (KMA composite format, section 1)
        (tmp_path / frame_name(when, suffix=".bin")).write_bytes(data)
        assert open_frame(tmp_path / frame_name(when, suffix=".bin")).header.created.year == year  # type: ignore[union-attr]
    made = make_cube(tmp_path, tmp_path / form, CubeOptions(frames=ExportOptions(window=(380, 500, 8, 8), jobs=1)))
    assert [outcome.status for outcome in made] == ["ok", "ok"]
    assert made.built == 2
    assert open_array(tmp_path / form).sizes["time"] == 2


@pytest.mark.parametrize("where", ["series", "metadata", "name"])
def test_a_disk_that_refuses_is_named(
    frames: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def refuse(*_args: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "series":
        monkeypatch.setattr("hsrgeo.cube.build.gather", refuse)
    elif where == "metadata":
        monkeypatch.setattr("hsrgeo.cube.build.zarr.consolidate_metadata", refuse)
    else:
        monkeypatch.setattr("hsrgeo.cube.build.shutil.rmtree", lambda *_args, **_options: None)
        monkeypatch.setattr(Path, "rename", refuse)
    options = CubeOptions(frames=ExportOptions(window=(380, 500, 64, 64), jobs=1), layout="series")
    with pytest.raises(NoRoomError, match=r"a\.zarr: cannot be written: No space left on device"):
        list(make_cube(frames, tmp_path / "a.zarr", options))
    monkeypatch.undo()
    list(make_cube(frames, tmp_path / "a.zarr", options))  # the same command goes on
    assert open_array(tmp_path / "a.zarr").sizes["time"] == len(frames)


@pytest.mark.slow
def test_the_command_line(make_file: MakeFile, tmp_path: Path) -> None:
    for number in (0, 2):
        when = TIME + number * STEP
        (tmp_path / frame_name(when)).write_bytes(make_file(time=when)[: -50 * number or None])
    arguments = [str(tmp_path), "--out", str(tmp_path / "a.zarr"), "--jobs", "1", "--json", "--attr", "license=X"]
    run = subprocess.run([sys.executable, "-c", COMMAND, *arguments], check=False, capture_output=True, text=True)
    assert run.returncode == 1, run.stderr
    record = json.loads(run.stdout)
    assert (record["ok"], record["failed"], record["times"], record["missing"]) == (1, 1, 1, 1)
    assert "failed: " in run.stderr
    with xr.open_zarr(tmp_path / "a.zarr") as dataset:
        assert dataset.attrs["license"] == "X"
    wrong = subprocess.run([sys.executable, "-c", COMMAND, *arguments, "--attr", "x"], check=False, capture_output=True)
    assert wrong.returncode == 2
