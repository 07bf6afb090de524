"""Arrays of numpy become frames, and frames KMA's container."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import hsrgeo
from hsrgeo.errors import HsrGeoError, OptionsError
from tests.conftest import COUNTS, MakeFile, Pixels, frame_name

BOX = (400, 600, 4, 3)  # of echo in the pixels of conftest: -5.00 dBZ, -4.99 dBZ ...


@pytest.fixture
def like(tmp_path: Path, frame_file: bytes) -> hsrgeo.Frame:
    path = tmp_path / frame_name()
    path.write_bytes(frame_file)
    return hsrgeo.open_frame(path)


def test_physical_values_come_back_as_the_clean_frame(like: hsrgeo.Frame) -> None:
    again = hsrgeo.frame(like.physical(), like)
    np.testing.assert_array_equal(again.raw, like.clean().raw)
    assert (again.cells.nodata, again.cells.undetect, again.cells.echo, again.cells.blend) == (
        *(COUNTS[name] for name in ("nodata", "undetect", "echo")),
        0,
    )
    assert (again.grid, again.window, again.time, again.quantity) == (like.grid, like.window, like.time, like.quantity)


def test_rain_of_worked_values(like: hsrgeo.Frame) -> None:
    part = like.crop(window=BOX)
    array = np.array([[np.nan, 0.0, 0.004, 0.006], [1.234, 1.236, 327.67, -0.004], [2, 3, 4, 5]])
    made = hsrgeo.frame(array, part, time="2022-06-09 11:20", quantity="rain_rate")
    assert made.raw.tolist() == [[-30000, 0, 0, 1], [123, 124, 32767, 0], [200, 300, 400, 500]]
    assert (made.product, made.kind, made.name) == ("HSP", "OWN", "RDR_CMP_HSP_OWN_202206091120.bin.gz")
    assert made.time == datetime(2022, 6, 9, 11, 20, tzinfo=hsrgeo.KST)
    assert (made.cells.nodata, made.cells.undetect, made.cells.echo) == (1, 3, 8)


def test_reflectivity_of_worked_values(like: hsrgeo.Frame) -> None:
    part = like.crop(window=BOX)
    array = np.array([[np.nan, -np.inf, -99.999, 35], [-32, -32.5, 10, 20], [0, 0, 0, 0]])
    assert hsrgeo.frame(array, part).raw[0].tolist() == [-30000, -25000, -10000, 3500]
    assert hsrgeo.frame(array, part, undetect=-32).raw[1].tolist() == [-25000, -25000, 1000, 2000]
    hidden = np.ma.masked_less(np.ma.masked_invalid(array), -90)
    assert hsrgeo.frame(hidden, part).raw[0].tolist() == [-30000, -30000, -30000, 3500]


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((4, 3)), {}, r"array of shape \(4, 3\): expected \(3, 4\)"),
        (np.zeros((1, 3, 4)), {}, "expected"),
        (np.zeros((3, 4), complex), {}, "expected real numbers"),
        (np.zeros((3, 4), bool), {}, "expected real numbers"),
        ([["a"] * 4] * 3, {}, "expected real numbers"),
        (np.full((3, 4), np.inf), {}, "12 values do not fit, the first in row 0, column 0: .* -100 to 327.67 dBZ"),
        (np.full((3, 4), -101), {}, "found -101"),
        (np.full((3, 4), 400), {"quantity": "rain_rate"}, "expected NaN or 0 to 327.67 mm/h, found 400"),
        (np.full((3, 4), -0.006), {"quantity": "rain_rate"}, "found -0.006"),
        (np.zeros((3, 4)), {"quantity": "rain"}, "quantity 'rain': expected one of reflectivity"),
        (np.zeros((3, 4)), {"time": "yesterday"}, "time 'yesterday'"),
        (np.zeros((3, 4)), {"time": datetime(2022, 6, 9)}, "give it a time zone"),  # noqa: DTZ001
        (np.zeros((3, 4)), {"time": 5}, "expected a date and time"),
    ],
)
def test_what_does_not_fit_is_refused(like: hsrgeo.Frame, array: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        hsrgeo.frame(array, like.crop(window=BOX), **options)


def test_a_frame_of_an_array_says_that_it_is_not_kmas(like: hsrgeo.Frame, tmp_path: Path) -> None:
    made = hsrgeo.frame(like.crop(window=BOX).physical(), like.crop(window=BOX))
    with rasterio.open(made.to_cog(tmp_path / "made.tif")) as dataset:
        tags = dataset.tags()
    assert tags["ORIGIN"] == "made from KMA's data, not a product of KMA"
    assert tags["TIFFTAG_IMAGEDESCRIPTION"].startswith("derived from KMA HSR composite, reflectivity")
    assert "CREATED_UTC" not in tags
    assert made.to_xarray().attrs["origin"] == tags["ORIGIN"]
    assert "ORIGIN" not in rasterio.open(like.to_cog(tmp_path / "kma.tif")).tags()


def test_kmas_container_gives_the_values_back_on_the_whole_grid(like: hsrgeo.Frame, tmp_path: Path) -> None:
    part = like.crop(window=BOX)
    values = np.array([[np.nan, 0, 0.01, 150], [160, 1, 2, 3], [4, 5, 6, 7]])
    rain = hsrgeo.frame(values, part, quantity="rain_rate")
    path = rain.to_bin(tmp_path)
    assert path.name == "RDR_CMP_HSP_OWN_202206091115.bin.gz"
    again = hsrgeo.open_frame(path)
    assert (again.product, again.kind, again.quantity.unit) == ("HSP", "OWN", "mm/h")
    assert again.header.not_kma
    assert not again.notes
    assert again.capped is again.clean().capped is None  # 150 mm/h is KMA's cap, not that of an array
    np.testing.assert_array_equal(again.crop(window=BOX).clean().raw, rain.raw)
    assert again.cells.nodata == again.stored.size - 11
    np.testing.assert_array_equal(again.crop(window=BOX).physical(), values.astype(np.float32))


def test_every_quantity_goes_into_the_container_and_back(make_file: MakeFile, pixels: Pixels, tmp_path: Path) -> None:
    path = tmp_path / frame_name()
    path.write_bytes(make_file(pixels, np.abs(pixels), np.abs(pixels)))
    height = hsrgeo.open_frame(path, block=2)
    again = hsrgeo.open_frame(height.to_bin(tmp_path / "height.bin.gz"))
    assert again.quantity == height.quantity
    np.testing.assert_array_equal(again.raw, height.raw)


def test_what_was_made_of_kmas_file_never_takes_its_name(frame_file: bytes, tmp_path: Path) -> None:
    source = tmp_path / "RDR_CMP_HSR_PUB_202206091115.bin.gz"
    source.write_bytes(frame_file)
    frame = hsrgeo.open_frame(source)
    assert frame.crop(window=BOX).to_bin(tmp_path).name == "RDR_CMP_HSR_OWN_202206091115.bin.gz"
    assert hsrgeo.rain_frame(frame).to_bin(tmp_path).name == "RDR_CMP_HSP_OWN_202206091115.bin.gz"
    assert source.read_bytes() == frame_file
    assert not hsrgeo.open_frame(tmp_path / "RDR_CMP_HSP_OWN_202206091115.bin.gz").notes  # no name that belies it


def test_another_projection_has_no_container(like: hsrgeo.Frame, tmp_path: Path) -> None:
    warped = hsrgeo.warp_frame(like.crop(window=(400, 600, 20, 20)), hsrgeo.as_target("EPSG:5179"))
    with pytest.raises(HsrGeoError, match="no projection"):
        hsrgeo.frame(warped.physical(), warped).to_bin(tmp_path / "x.bin.gz")
    with pytest.raises(OptionsError, match=r"ends in \.gz"):
        like.to_bin(tmp_path / "x.tif")


def test_an_xarray_array_keeps_its_own_time_quantity_and_undetect(like: hsrgeo.Frame, tmp_path: Path) -> None:
    later = hsrgeo.frame(like.physical(), like=like, time=like.time + timedelta(minutes=10))
    folder = tmp_path / "in"
    folder.mkdir()
    later.to_bin(folder)
    opened = hsrgeo.open(folder).reflectivity[0]
    again = hsrgeo.frame(opened, like=like)
    assert (again.time, again.quantity.name) == (later.time, "reflectivity")
    assert np.array_equal(again.raw, later.raw)  # -250 dBZ is no echo again
    rain = hsrgeo.open(folder, quantity="rain").rain_rate[0]
    assert hsrgeo.frame(rain, like=like).quantity.unit == "mm/h"  # though like is of dBZ


def test_an_xarray_array_of_other_cells_is_refused(like: hsrgeo.Frame) -> None:
    cells = like.to_xarray()
    values = cells if hasattr(cells, "coords") and not hasattr(cells, "data_vars") else cells.reflectivity
    values = values.squeeze()
    for wrong in (values.sortby("y"), values.assign_coords(x=values.x + 500)):
        with pytest.raises(hsrgeo.OptionsError, match="the cells of `like` in their order"):
            hsrgeo.frame(wrong, like=like)


def test_several_blocks_go_into_one_file(tmp_path: Path, frame_file: bytes) -> None:
    source = tmp_path / "RDR_CMP_HSR_PUB_202206091115.bin.gz"
    source.write_bytes(frame_file)
    like = hsrgeo.open_frame(source)
    height = hsrgeo.frame(np.full(like.shape, 1500.0), like, quantity="height")
    echo = hsrgeo.frame(like.physical(), like)
    path = echo.to_bin(tmp_path / "RDR_CMP_HSR_OWN_202206091115.bin.gz", height)
    again = hsrgeo.open_frame(path, block="height")
    assert (again.block, again.blocks, again.header.num_data, again.header.data_codes[:3]) == (2, 2, 2, (1, 2, 0))
    np.testing.assert_array_equal(again.stored, height.stored)
    np.testing.assert_array_equal(hsrgeo.open_frame(path).stored, echo.stored)
    late = hsrgeo.frame(echo.physical(), like, time=like.time + timedelta(minutes=5))
    with pytest.raises(OptionsError, match="blocks of 2022-06-09 11:15 and 2022-06-09 11:20 KST in one file"):
        echo.to_bin(path, late)
    with pytest.raises(OptionsError, match="5 blocks: a file has room for 4"):
        echo.to_bin(path, *[height] * 4)
