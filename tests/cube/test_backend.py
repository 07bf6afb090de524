"""Frames through xarray: the backend, and `hsrgeo.open` over files, folders and exports."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import pickle
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.engine.cube.cube_run import make_cube
from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.errors import FrameError, HsrGeoWarning, MissingExtraError, OptionsError, SourceError, WindowError
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.quantity import QUANTITIES, RAIN, clean_values
from hsrgeo.model.times import KST
from hsrgeo.model.window import BBox, Window
from hsrgeo.products.rain import rain_frame
from hsrgeo.reading import open_frame
from tests.conftest import TIME, MakeFile, Pixels, frame_name, make_tar

xr = pytest.importorskip("xarray")
pytest.importorskip("dask")

from hsrgeo.cube.axis import missing_between, steady_since  # noqa: E402 - after the libraries are known to be there
from hsrgeo.cube.backend import HsrGeoBackend, packed_undetect  # noqa: E402
from hsrgeo.cube.cf import grid_of  # noqa: E402
from hsrgeo.cube.opening import open as open_array  # noqa: E402
from hsrgeo.cube.single import times_in_chunk  # noqa: E402
from hsrgeo.cube.stack import BrokenFrameWarning, FrameLayer  # noqa: E402

STEP = timedelta(minutes=5)
GRID = grids()["kma-hb-1km"]
CROP = (300, 500, 300, 320)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, frame_file: bytes) -> Path:
    target = tmp_path_factory.mktemp("frame") / frame_name()
    target.write_bytes(frame_file)
    return target


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_file: MakeFile) -> Path:
    """Five times: the third is not there, and the fourth is cut short."""
    target = tmp_path_factory.mktemp("frames")
    for number in (0, 1, 3, 4):
        time = TIME + number * STEP
        data = make_file(np.roll(make_file.pixels, number, 1), time=time)
        (target / frame_name(time)).write_bytes(data[:-100] if number == 3 else data)
    return target


def opened(path: Path, **options: Any) -> Any:
    return xr.open_dataset(path, engine=HsrGeoBackend, **options)


# One frame.


def test_values_are_physical_and_nan_where_not_observed(path: Path, pixels: Pixels) -> None:
    dataset = opened(path)
    clean = clean_values(pixels, QUANTITIES[1])
    values = dataset["reflectivity"]
    assert values.dims == ("time", "y", "x")
    assert np.array_equal(np.isnan(values.values[0]), clean == -30000)
    assert np.allclose(values.values[0], np.where(clean == -30000, np.nan, clean / 100), equal_nan=True, atol=1e-9)
    assert values.attrs["undetect_value"] == -250
    assert values.encoding["_FillValue"] == -30000
    assert dataset["time"].values[0] == np.datetime64("2022-06-09T02:15")


@pytest.mark.parametrize("values", ["raw", "clean"])
def test_packed_values_are_those_stored(path: Path, pixels: Pixels, values: str) -> None:
    packed = opened(path, mask_and_scale=False, values=values)["reflectivity"]
    assert packed.dtype == np.int16
    assert np.array_equal(packed.values[0], pixels if values == "raw" else clean_values(pixels, QUANTITIES[1]))
    assert packed.attrs["scale_factor"] == 0.01


def test_pixels_are_read_when_asked_for(path: Path, pixels: Pixels, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    dataset = opened(copy, mask_and_scale=False, values="raw")
    assert not dataset["reflectivity"].variable._in_memory
    part = dataset["reflectivity"].isel(time=0, y=slice(650, 640, -2), x=[500, 401])
    assert np.array_equal(part.values, pixels[650:640:-2][:, [500, 401]])
    copy.unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        dataset["reflectivity"].values  # noqa: B018


def test_places_are_those_of_the_grid(path: Path) -> None:
    dataset = opened(path, lonlat=True)
    for point in GRID.check_points:
        cell = dataset.isel(y=GRID.height - 1 - point.row, x=point.col)
        x, y = GRID.project(point.lon, point.lat)
        assert abs(float(cell["x"]) - x) < 0.5
        assert abs(float(cell["y"]) - y) < 0.5
        assert abs(float(cell["lon"]) - point.lon) < 1e-5
        assert abs(float(cell["lat"]) - point.lat) < 1e-5
    assert grid_of(dataset) == GRID


def test_cf_attributes(path: Path) -> None:
    dataset = opened(path)
    values, mapping = dataset["reflectivity"], dataset["spatial_ref"].attrs
    assert dataset.attrs["Conventions"].startswith("CF-")
    assert values.attrs["standard_name"] == "equivalent_reflectivity_factor"
    assert values.attrs["units"] == "dBZ"
    assert values.attrs["grid_mapping"] == "spatial_ref"
    assert mapping["grid_mapping_name"] == "lambert_conformal_conic"
    assert mapping["crs_wkt"] == mapping["spatial_ref"] == GRID.wkt2
    assert dataset["x"].attrs["standard_name"] == "projection_x_coordinate"
    assert dataset["y"].attrs["axis"] == "Y"
    assert dataset.attrs["source_file"] == path.name


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # affine, of rioxarray
def test_rioxarray_knows_the_place_also_of_a_part(path: Path) -> None:
    pytest.importorskip("rioxarray")
    dataset = opened(path)
    assert dataset.rio.transform() == GRID.transform
    assert "Lambert" in dataset.rio.crs.to_wkt()
    assert math.isnan(dataset["reflectivity"].rio.nodata)
    part = dataset["reflectivity"].isel(y=slice(500, 820), x=slice(300, 600))
    left, bottom, right, top = GRID.crop(Window(*CROP)).bounds
    assert part.rio.bounds() == (left, bottom, right, top)
    assert grid_of(dataset.isel(y=slice(500, 820), x=slice(300, 600))).bounds == (left, bottom, right, top)


def test_dask_and_pickle(path: Path) -> None:
    dataset = opened(path)
    chunked = dataset.chunk({"y": 400, "x": 500})
    assert float(chunked["reflectivity"].max()) == float(dataset["reflectivity"].max()) == 54.99
    assert pickle.loads(pickle.dumps(opened(path)))["reflectivity"].shape == (1, 1441, 1153)  # noqa: S301


def test_round_trip_through_netcdf(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("netCDF4")
    with opened(path) as dataset:
        dataset.to_netcdf(tmp_path / "frame.nc")
        with xr.open_dataset(tmp_path / "frame.nc") as again:
            assert again["reflectivity"].equals(dataset["reflectivity"])
            assert again["reflectivity"].encoding["dtype"] == np.int16


def test_rain_equals_the_product(path: Path) -> None:
    expected = rain_frame(open_frame(path)).physical(undetect=0)
    rain = opened(path, quantity="rain")["rain_rate"]
    assert np.allclose(rain.values[0], expected, equal_nan=True, atol=1e-4)
    assert rain.attrs["standard_name"] == "rainfall_flux"
    assert rain.attrs["undetect_value"] == 0


@pytest.mark.parametrize(("undetect", "value"), [("nan", np.nan), (-32.0, -32.0), ("code", -250.0)])
def test_undetect_as_wanted(path: Path, pixels: Pixels, undetect: str | float, value: float) -> None:
    values = opened(path, undetect=undetect)["reflectivity"].values[0]
    assert np.array_equal(values[pixels == -25000], np.full((pixels == -25000).sum(), value), equal_nan=True)
    assert np.nanmax(values) == 54.99


@pytest.mark.parametrize("undetect", ["none", 400.0, -300.0, math.inf])
def test_undetect_that_cannot_be(path: Path, undetect: Any) -> None:
    with pytest.raises(OptionsError, match="undetect"):
        opened(path, undetect=undetect)


@given(st.floats(-299.9, 327.0))
def test_undetect_is_packed_to_the_nearest_step(value: float) -> None:
    packed = packed_undetect(QUANTITIES[1], value)
    assert abs(packed / 100 - value) <= 0.0051
    assert packed != QUANTITIES[1].nodata


def test_broken_files_are_refused(path: Path, tmp_path: Path) -> None:
    short = tmp_path / path.name
    short.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FrameError):
        opened(short)
    with pytest.raises(SourceError):
        opened(tmp_path / frame_name(TIME + STEP))


def test_names_are_recognised() -> None:
    backend = HsrGeoBackend()
    assert backend.guess_can_open(Path("a", frame_name()))
    assert not backend.guess_can_open("a.nc")
    assert not backend.guess_can_open(b"bytes")


def test_entry_point(path: Path) -> None:
    if not any(entry.name == "hsrgeo" for entry in importlib.metadata.entry_points(group="xarray.backends")):
        pytest.skip("hsrgeo is installed from before it had the entry point")
    assert "reflectivity" in xr.open_dataset(path, engine="hsrgeo")
    assert "reflectivity" in xr.open_dataset(path)


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(name, name=name)

    monkeypatch.setattr("hsrgeo.cube.extra.importlib.import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'hsrgeo\[cube\]'"):
        open_array(".")


# Many frames.


def test_gaps_and_broken_frames_are_reported(folder: Path, make_file: MakeFile) -> None:
    with pytest.warns(HsrGeoWarning, match="1 broken"):
        dataset = open_array(folder, window=CROP, check=True)
    assert list(dataset["missing_times"].values) == [
        np.datetime64("2022-06-09T02:25"),
        np.datetime64("2022-06-09T02:30"),
    ]
    assert dataset.sizes["time"] == 3
    last = dataset["reflectivity"].sel(time="2022-06-09T02:35").squeeze()
    expected = clean_values(np.roll(make_file.pixels, 4, 1), QUANTITIES[1])[500:820, 300:600]
    assert np.allclose(last.values, np.where(expected == -30000, np.nan, expected / 100), equal_nan=True)


def test_a_frame_that_breaks_later_is_nodata_with_a_warning(folder: Path) -> None:
    dataset = open_array(folder, window=CROP)
    assert dataset.sizes["time"] == 4
    assert dict(dataset.chunksizes)["time"] == (4,)
    with pytest.warns(BrokenFrameWarning, match="1130"):
        values = dataset["reflectivity"].values
    assert np.isnan(values[2]).all()
    assert not np.isnan(values[3]).all()


def test_values_are_float32_from_wherever_they_come(folder: Path, tmp_path: Path) -> None:
    frame = folder / frame_name()
    expected = open_frame(frame).crop(window=CROP).clean().physical(undetect=-250.0)
    export(frame, tmp_path / "out", window=CROP, formats="cog", jobs=1, sync=False).run()
    make_cube(frame, tmp_path / "a.zarr", window=CROP, jobs=1).run()
    make_cube(frame, tmp_path / "a.json", window=CROP, jobs=1, virtual=True).run()
    for source in (folder, tmp_path / "out", tmp_path / "a.zarr", tmp_path / "a.json"):
        for chunks in ("auto", None):
            area = CROP if source is folder else None
            values = open_array(source, window=area, chunks=chunks)["reflectivity"]
            assert values.dtype == np.float32
            assert values.encoding["scale_factor"] == 0.01
            assert np.array_equal(values[0].values, expected, equal_nan=True)


def test_float32_holds_every_stored_value() -> None:
    stored = np.arange(-(2**15), 2**15)
    values = (stored * 0.01).astype(np.float32)
    assert np.array_equal(np.rint(100 * values.astype(float)), stored)
    assert np.array_equal(values, stored.astype(np.float32) / np.float32(100))  # what `Frame.physical` gives
    assert np.abs(values - stored / 100).max() < 2e-5


def test_a_chunk_holds_a_day_or_128_mib_and_a_time_is_read_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert times_in_chunk(256, 256) == 288  # 75.5 MB
    assert times_in_chunk(512, 512) == 128  # 1 MiB each
    assert times_in_chunk(2881, 2305) == 5  # 26.6 MB each: 132.8 of 134.2 MB
    assert times_in_chunk(10_000, 10_000) == 1
    read = []
    whole = FrameLayer.frame

    def noted(layer: FrameLayer) -> Frame:
        read.append(layer.time)
        return whole(layer)

    monkeypatch.setattr(FrameLayer, "frame", noted)
    open_array(folder, window=CROP)["reflectivity"].isel(time=1).compute(scheduler="sync")
    assert read == [TIME + timedelta(minutes=5)]


@pytest.mark.parametrize(("name", "gz"), [("a.tar", False), ("a.tar.gz", True)])
def test_an_archive_opens_as_its_frames_do(folder: Path, tmp_path: Path, name: str, gz: bool) -> None:  # noqa: FBT001
    archive = tmp_path / name
    archive.write_bytes(make_tar([(path.name, path.read_bytes()) for path in sorted(folder.iterdir())], gz=gz))
    with pytest.warns(BrokenFrameWarning):
        expected = open_array(folder, window=CROP).load()
    dataset = open_array(archive, window=CROP)
    assert not dataset["reflectivity"].variable._in_memory
    for one in (dataset, pickle.loads(pickle.dumps(dataset))):  # noqa: S301 - as dask sends it
        with pytest.warns(BrokenFrameWarning, match=rf"no data for {archive} \[\S+\.bin\.gz\]"):
            xr.testing.assert_identical(one.load(), expected)
    with pytest.warns(HsrGeoWarning, match=r"1 broken.*truncated"):
        assert open_array(archive, check=True).sizes["time"] == 3


def test_an_archive_that_is_cut_gives_what_came_before_and_says_so(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    data = make_tar([(path.name, path.read_bytes()) for path in sorted(folder.iterdir())])
    archive.write_bytes(data[: len(data) * 3 // 8])  # inside the second of four
    with pytest.warns(HsrGeoWarning, match=r"1 broken.*truncated: the file ends inside the archive \(after 1 frame\)"):
        assert open_array(archive).sizes["time"] == 1


def test_frames_of_compressed_archives_are_held_up_to_a_limit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (path for path in sorted(folder.iterdir())[:2])
    monkeypatch.setattr("hsrgeo.cube.frames._MOST_HELD_BYTES", first.stat().st_size)
    for name, gz in (("a.tar.gz", True), ("a.tar", False)):
        made = make_tar([(path.name, path.read_bytes()) for path in (first, second)], gz=gz)
        (tmp_path / name).write_bytes(made)
    assert open_array(tmp_path / "a.tar").sizes["time"] == 2
    assert open_array(tmp_path / "a.tar.gz", end=TIME + STEP).sizes["time"] == 1
    with pytest.raises(OptionsError, match=r"narrow start and end, or make a cube of it"):
        open_array(tmp_path / "a.tar.gz")


def test_selection_by_time_and_area(folder: Path) -> None:
    dataset = open_array(str(folder / "*.gz"), start=TIME, end=TIME + 2 * STEP, bbox=(126.7, 37.4, 127.2, 37.7))
    assert dataset.sizes["time"] == 2
    window = GRID.window_for(ExportOptions(bbox=(126.7, 37.4, 127.2, 37.7)).recipe.cuts[0].area)
    assert (dataset.sizes["y"], dataset.sizes["x"]) == (window.height, window.width)
    assert "missing_times" not in dataset


def test_the_better_of_two_frames_whatever_the_order(tmp_path: Path, make_file: MakeFile) -> None:
    fields = (2022, 6, 9, 11, 15, 0)
    names = []
    for number, stations in enumerate((2, 7, 5)):
        part = tmp_path / str(number)
        part.mkdir()
        listed = [(b"KWK", fields, fields)] * stations
        (part / frame_name()).write_bytes(make_file(np.full_like(make_file.pixels, stations * 100), stations=listed))
        names.append(part)
    for order in (names, names[::-1]):
        assert float(open_array(order, window=CROP)["reflectivity"].max()) == 7


def test_other_grids_and_products_are_never_mixed(tmp_path: Path, make_file: MakeFile) -> None:
    (tmp_path / frame_name()).write_bytes(make_file())
    other = make_file(np.zeros((2881, 2305), np.int16), dxy=500, time=TIME + STEP)
    (tmp_path / frame_name(TIME + STEP)).write_bytes(other)
    with pytest.warns(HsrGeoWarning, match="another grid"):
        dataset = open_array(tmp_path)
    assert dataset.sizes["time"] == 1
    assert dataset["missing_times"].size == 1
    (tmp_path / frame_name(product="CPP")).write_bytes(make_file())
    with pytest.raises(OptionsError, match="CPP, HSR"):
        open_array(tmp_path)
    with warnings.catch_warnings(action="ignore", category=HsrGeoWarning):
        assert open_array(tmp_path, product="HSR").attrs["product"] == "HSR"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"quantity": "rian"}, "quantity 'rian': expected stored or rain"),
        ({"quantity": "Rain"}, "quantity 'Rain': expected stored or rain"),
        ({"values": "cleen"}, "values 'cleen': expected clean or raw"),
        ({"block": 0}, "block 0: blocks are counted from 1"),
        ({"layout": "seriess"}, "layout 'seriess': expected map or series"),
        ({"layout": "map"}, "layout is for a cube, region for an exported folder; frames have neither"),
        ({"region": "seoul"}, "layout is for a cube, region for an exported folder; frames have neither"),
        ({"resolution": 500.0}, "resolution and resampling need a crs"),
        ({"resampling": "average"}, "resolution and resampling need a crs"),
        ({"every": timedelta(minutes=7)}, "must divide a day evenly"),
    ],
)
def test_a_word_that_is_not_known_is_reported(folder: Path, wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionsError, match=text):
        open_array(folder, **wrong)


def test_wrong_use_is_reported(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="no source is given"):
        open_array([])
    (tmp_path / "a.tar.gz").write_bytes(b"")
    with pytest.raises(SourceError, match=r"no usable frame found: .*expected a tar archive, found 0 bytes"):
        open_array(tmp_path)
    with pytest.raises(OptionsError, match="exclude"):
        open_array(folder, window=CROP, bbox=(126, 37, 127, 38))
    with pytest.raises(WindowError):
        open_array(folder, window=(1000, 1000, 999, 999))
    with pytest.raises(SourceError):
        open_array(tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"no frame found \(4 outside the selection\): there is HSR of "):
        open_array(folder, product="CPP")


def test_exported_folders_open_as_the_frames_do(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcomes = list(export(folder, out, ExportOptions(jobs=1, formats="cog", window=CROP)))
    assert sum(outcome.status == "failed" for outcome in outcomes) == 1
    dataset = open_array(out)
    with pytest.warns(HsrGeoWarning):
        frames = open_array(folder, window=CROP, check=True)
    assert dataset["reflectivity"].equals(frames["reflectivity"])
    assert list(dataset["missing_times"].values) == list(frames["missing_times"].values)
    part = open_array(out, window=(10, 20, 30, 40), start=TIME + STEP)
    assert part["reflectivity"].equals(frames["reflectivity"][1:, 20:60, 10:40])
    with pytest.raises(OptionsError, match="decided when"):
        open_array(out, quantity="rain")
    with pytest.raises(OptionsError, match="on their own"):
        open_array([out, folder])


@pytest.mark.parametrize(
    "damage",
    [
        {"status": None},
        {"outputs": [{"bytes": 1}]},
        {"outputs": [{"path": "../elsewhere.tif"}]},
        {"outputs": [{"path": "/elsewhere.tif"}]},
        {"time": "2022-06-09T11:15:00"},
        {"time": 5},
    ],
    ids=str,
)
def test_a_damaged_line_of_an_export_is_reported(folder: Path, tmp_path: Path, damage: dict[str, Any]) -> None:
    list(export(folder, tmp_path, ExportOptions(window=(420, 620, 48, 32), formats="cog", jobs=1)))
    manifest = tmp_path / "manifest.jsonl"
    first, *others = manifest.read_text(encoding="utf-8").splitlines()
    line = {name: value for name, value in (json.loads(first) | damage).items() if name != "status" or value}
    manifest.write_text("\n".join([*others, json.dumps(line), ""]), encoding="utf-8")
    with pytest.warns(HsrGeoWarning, match=rf"manifest\.jsonl: line {len(others) + 1} is damaged"):
        open_array(tmp_path)


def test_a_line_that_is_being_written_is_not_read_yet(folder: Path, tmp_path: Path) -> None:
    list(export(folder, tmp_path, ExportOptions(window=(420, 620, 48, 32), formats="cog", jobs=1)))
    before = open_array(tmp_path)
    with (tmp_path / "manifest.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"source": "a run that was ki')
    assert open_array(tmp_path).identical(before)


def test_exported_regions_are_chosen_by_name(folder: Path, tmp_path: Path) -> None:
    regions = tmp_path / "regions.csv"
    regions.write_text("name,west,south,east,north\nseoul,126.7,37.4,127.2,37.7\nbusan,128.9,35,129.3,35.3\n")
    list(export(folder, tmp_path / "out", ExportOptions(jobs=1, formats="cog", regions=regions)))
    with pytest.raises(OptionsError, match="several regions: choose one"):
        open_array(tmp_path / "out")
    assert open_array(tmp_path / "out", region="busan").sizes["time"] == 3
    with pytest.raises(OptionsError, match=r"region 'daegu': .* has seoul, busan"):
        open_array(tmp_path / "out", region="daegu")


def test_a_region_is_found_whatever_it_and_its_files_are_called(folder: Path, tmp_path: Path) -> None:
    named = (Region("09", BBox(126.7, 37.4, 127.2, 37.7)), Region("b", BBox(128.9, 35, 129.3, 35.3)))
    plain = ExportOptions(jobs=1, formats="cog", regions=named)
    for out, options in (
        (tmp_path / "plain", plain),
        (tmp_path / "named", dataclasses.replace(plain, name="{region}-{time:%H%M}")),
    ):
        list(export(folder, out, options))
        for region in named:
            with pytest.warns(HsrGeoWarning):
                frames = open_array(folder, bbox=region.bbox, check=True)
            assert open_array(out, region=region.name)["reflectivity"].equals(frames["reflectivity"])


def test_an_export_of_every_second_frame_lacks_no_time(tmp_path: Path, make_file: MakeFile) -> None:
    for number in (1, 3, 7, 9, 11):  # 11:20, 11:30, -, 11:50, 12:00, 12:10
        (tmp_path / frame_name(TIME + number * STEP)).write_bytes(make_file(time=TIME + number * STEP))
    list(export(tmp_path, tmp_path / "out", ExportOptions(jobs=1, formats="cog", window=CROP)))
    dataset = open_array(tmp_path / "out")
    assert dataset.sizes["time"] == 5
    assert list(dataset["missing_times"].values) == [np.datetime64("2022-06-09T02:40")]


def test_a_frame_of_another_quantity_is_left_out_by_name(tmp_path: Path, make_file: MakeFile) -> None:
    for number, code in enumerate((1, 5)):
        data = make_file(time=TIME + number * STEP, data_codes=(code,))
        (tmp_path / frame_name(TIME + number * STEP)).write_bytes(data)
    why = "another quantity: expected reflectivity, as the first frame, found rain_rate"
    with pytest.warns(HsrGeoWarning, match=rf"^1 broken or unlike the first, left out: .*1120\.bin\.gz: {why}$"):
        dataset = open_array(tmp_path)
    assert dataset.sizes["time"] == 1


def test_a_cog_that_cannot_be_read_is_found_at_once_where_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "out", formats="cog", window=CROP, jobs=1, sync=False).run()
    cog = next((tmp_path / "out").rglob("*1115.tif"))
    cog.write_bytes(cog.read_bytes()[:-2000])
    with pytest.warns(
        HsrGeoWarning, match=r"^1 broken or unlike the first, left out: .*1115\.tif: GDAL cannot read it"
    ):
        checked = open_array(tmp_path / "out", check=True)
    assert checked.sizes["time"] == 2
    assert [f"{np.datetime_as_string(one, 'm')}" for one in checked["missing_times"].values] == [
        "2022-06-09T02:15",
        "2022-06-09T02:25",
        "2022-06-09T02:30",
    ]
    for cog in (tmp_path / "out").rglob("*.tif"):
        cog.write_bytes(b"")
    with pytest.warns(HsrGeoWarning, match="^3 broken"), pytest.raises(SourceError, match=r"no COG .* can be read"):
        open_array(tmp_path / "out", check=True)


def test_an_option_that_a_source_has_no_use_for_is_refused(folder: Path, tmp_path: Path) -> None:
    frame = folder / frame_name()
    export(frame, tmp_path / "out", window=CROP, formats="cog", jobs=1, sync=False).run()
    make_cube(frame, tmp_path / "a.zarr", window=CROP, jobs=1).run()
    make_cube(frame, tmp_path / "a.json", window=CROP, jobs=1, virtual=True).run()
    for name in ("a.zarr", "a.json"):
        with pytest.raises(OptionsError, match="region is for an exported folder"):
            open_array(tmp_path / name, region="seoul")
    with pytest.raises(OptionsError, match="layout is for a cube"):
        open_array(tmp_path / "out", layout="map")


def test_cogs_of_two_grids_are_never_stacked(tmp_path: Path, make_file: MakeFile) -> None:
    rain = ExportOptions(jobs=1, formats="cog", window=CROP, quantity="rain")
    for number, options in enumerate((ExportOptions(jobs=1, formats="cog", window=CROP), rain)):
        time = TIME + number * STEP
        (tmp_path / frame_name(time)).write_bytes(make_file(time=time))
        list(export(tmp_path / frame_name(time), tmp_path / f"{number}", options))
    first, second = (next((tmp_path / name).rglob("*.tif")) for name in "01")
    list(export(tmp_path / frame_name(TIME + STEP), tmp_path / "0", ExportOptions(jobs=1, formats="cog", window=CROP)))
    other = next(path for path in (tmp_path / "0").rglob("*.tif") if path != first)
    other.write_bytes(second.read_bytes())
    with pytest.warns(BrokenFrameWarning, match="quantity: expected reflectivity, as the first, found rain_rate"):
        values = open_array(tmp_path / "0")["reflectivity"].values
    assert np.isnan(values[1]).all()
    assert not np.isnan(values[0]).all()
    shifted = ExportOptions(jobs=1, formats="cog", window=(CROP[0] + 1, *CROP[1:]))
    list(export(tmp_path / frame_name(TIME + STEP), tmp_path / "2", shifted))
    other.write_bytes(next((tmp_path / "2").rglob("*.tif")).read_bytes())
    with pytest.warns(BrokenFrameWarning, match="another grid: expected 300 x 320 cells of"):
        assert np.isnan(open_array(tmp_path / "0")["reflectivity"].values[1]).all()


@given(st.sets(st.integers(0, 40), min_size=1), st.sets(st.integers(0, 40)))
def test_missing_times_and_times_make_every_time(there: set[int], broken: set[int]) -> None:
    times = sorted(TIME + number * STEP for number in there)
    missing = missing_between(times, None, [TIME + number * STEP for number in broken])
    assert not set(missing) & set(times)
    assert missing == sorted(missing)
    between = {TIME + number * STEP for number in range(min(there), max(there) + 1)}
    assert set(missing) == (between | {TIME + number * STEP for number in broken}) - set(times)


def test_missing_times_are_whole_steps_after_midnight() -> None:
    odd = TIME + timedelta(minutes=2)  # 11:17
    assert missing_between([odd, TIME + 3 * STEP]) == [TIME + STEP, TIME + 2 * STEP]
    day = timedelta(days=1)
    midnight = TIME.replace(hour=0, minute=0)
    assert missing_between([midnight, midnight + 2 * day], day) == [midnight + day]


def test_before_16_september_2019_a_frame_was_made_every_ten_minutes() -> None:
    change = datetime(2019, 9, 16, tzinfo=KST)
    times = [change - timedelta(minutes=30), change + timedelta(minutes=10)]
    # 23:30, 23:40, 23:50, then 00:00, 00:05, 00:10
    due = [change + timedelta(minutes=minutes) for minutes in (-20, -10, 0, 5)]
    assert missing_between(times) == missing_between(times, timedelta(minutes=5)) == due
    assert missing_between(times, timedelta(minutes=10)) == due[:3]
    between = change - timedelta(minutes=25)  # so frames were made every five minutes here
    each_five = [change + timedelta(minutes=minutes) for minutes in (-20, -15, -10, -5, 0, 5)]
    assert missing_between([*times, between]) == each_five
    assert steady_since(times, timedelta(minutes=5)) == times[1]
    assert steady_since([*times[:1], between, *times[1:]], timedelta(minutes=5)) == times[0]
    assert steady_since(times, timedelta(hours=1)) == times[0]
    assert steady_since(times[:1], timedelta(minutes=5)) == times[0]


def test_rain_is_packed_as_rain() -> None:
    assert packed_undetect(RAIN, "code") == 0
    assert packed_undetect(RAIN, "nan") == RAIN.nodata
