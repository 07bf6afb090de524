from __future__ import annotations

import gzip
import re
import shutil
import struct
import xml.etree.ElementTree as ET
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

import hsrgeo
from hsrgeo.errors import WriteError
from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.writers.png import encode_png, encode_png_files, write_png
from tests.conftest import NX, NY, MakeFile, Pixels, frame_name
from tests.other_gdal import gdal_lonlat, gdal_pixels, gdalinfo, needs_gdal

SEOUL = (1214, 1439, 256, 256)
"""The notebook's window: column, row, width and height, row 0 in the north."""
RAIN = (900, 1000, 700, 701)
"""One with rain in it in both sample frames."""
KMA_500M = "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=38 +lon_0=126 +x_0=0 +y_0=0 +ellps=WGS84 +units=m"
"""KMA composite format, section 3."""


def notebook(path: Path, window: tuple[int, int, int, int]) -> NDArray[np.uint16]:
    """Do as the published notebook does (KMA composite format, section 6), of a 500 m frame.

    Gunzip, skip 1,024 B, int16 (2881, 2305), values under -1000 raised to -1000, + 1000, flipped north-up, cropped.
    """
    with gzip.open(path, "rb") as file:
        file.seek(1024)
        image = np.frombuffer(file.read(2881 * 2305 * 2), dtype=np.int16).reshape(2881, 2305).astype(np.int32)
    image[image < -1000] = -1000
    image = np.flipud(image + 1000)
    col, row, width, height = window
    return image[row : row + height, col : col + width].astype(np.uint16)


def pillow_pixels(path: Path) -> NDArray[np.uint16]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.mode == "I;16"
        return np.asarray(picture).astype(np.uint16)


@pytest.fixture(scope="module")
def part(frame: Frame) -> Frame:
    """Give a crop of it: blends, both NULL codes and echo below and above -10 dBZ."""
    return frame.crop(window=(390, 590, 300, 200))


@pytest.mark.parametrize("window", [SEOUL, RAIN, (0, 0, 2305, 2881)], ids=["Seoul", "rain", "full"])
def test_samples_equal_the_notebook_pixel_for_pixel(
    samples: Path, tmp_path: Path, window: tuple[int, int, int, int]
) -> None:
    files = sorted(samples.glob("RDR_CMP_HSR_*.bin.gz"))
    for file in files:
        expected = notebook(file, window)
        frame = hsrgeo.open_frame(file).crop(window=window)
        assert np.array_equal(pillow_pixels(frame.to_png(tmp_path / "raw.png")), expected)
        assert np.array_equal(pillow_pixels(frame.clean().to_png(tmp_path / "clean.png")), expected)
        if window != SEOUL:
            assert expected.max() > 4000  # there is rain to compare: more than 30 dBZ


@needs_gdal
@pytest.mark.parametrize("window", [RAIN, (0, 0, 2305, 2881)], ids=["rain", "full"])
def test_another_gdal_reads_the_notebooks_pixels(
    samples: Path, tmp_path: Path, window: tuple[int, int, int, int]
) -> None:
    file = next(samples.glob("RDR_CMP_HSR_*.bin.gz"))
    path = hsrgeo.open_frame(file).crop(window=window).to_png(tmp_path / "x.png")
    found = gdal_pixels(path, tmp_path)
    assert found.dtype == np.uint16
    assert np.array_equal(found, notebook(file, window))


@pytest.mark.parametrize(
    ("stored", "pixel"),
    [
        (-30000, 0),
        (-29687, 0),
        (-25000, 0),
        (-20000, 0),
        (-1001, 0),
        (-1000, 0),
        (-999, 1),
        (0, 1000),
        (5809, 6809),
        (32767, 33767),  # does not fit into int16
    ],
)
def test_pixel_values_worked_by_hand(part: Frame, tmp_path: Path, stored: int, pixel: int) -> None:
    one = replace(part.crop(window=(0, 0, 3, 2)), stored=np.full((2, 3), stored, np.int16))
    assert pillow_pixels(write_png(one, tmp_path / "x.png")).tolist() == [[pixel] * 3] * 2


@given(arrays(np.int16, st.tuples(st.integers(1, 30), st.integers(1, 30))))
@settings(max_examples=60)
def test_any_values_of_any_size(
    part: Frame, tmp_path_factory: pytest.TempPathFactory, stored: NDArray[np.int16]
) -> None:
    height, width = stored.shape
    path = tmp_path_factory.mktemp("any") / "x.png"
    write_png(replace(part.crop(window=(0, 0, width, height)), stored=stored), path)
    found = pillow_pixels(path)
    assert found.tolist() == [[max(value, -1000) + 1000 for value in row] for row in stored.tolist()]


def test_clean_and_raw_frames_make_the_same_picture(frame: Frame) -> None:
    # everything that `clean` changes is below -10 dBZ, where a PNG has 0
    assert encode_png(frame) == encode_png(frame.clean())


def test_chunks_are_those_of_a_16_bit_grey_png(part: Frame) -> None:
    data = encode_png(part)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, position = [], 8
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        (crc,) = struct.unpack_from(">I", data, position + 8 + length)
        assert crc == zlib.crc32(kind + body)
        chunks.append((kind, body))
        position += 12 + length
    assert [kind for kind, _body in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    # width 300, height 200, bit depth 16, colour type 0 (grey), deflate, adaptive filters, no interlace
    assert chunks[0][1] == struct.pack(">IIBBBBB", 300, 200, 16, 0, 0, 0, 0)
    assert len(zlib.decompress(chunks[1][1])) == 200 * (1 + 2 * 300)  # a filter byte before each row


# Place


def test_world_file_of_the_notebooks_crop_worked_by_hand(make_file: MakeFile, tmp_path: Path) -> None:
    frame = decode(make_file(np.zeros((2881, 2305), np.int16), dxy=500), frame_name())
    frame.crop(window=SEOUL).to_png(tmp_path / "x.png")
    # the centre of the north-west cell: x = -560250 + 1214 * 500 + 250 = 47000, y = 600250 - 1439 * 500 - 250 = -119500
    lines = (tmp_path / "x.pgw").read_text(encoding="ascii").splitlines()
    assert [float(line) for line in lines] == [500, 0, 0, -500, 47000, -119500]


def test_world_file_of_the_1_km_grid_worked_by_hand(frame: Frame, tmp_path: Path) -> None:
    write_png(frame, tmp_path / "x.png")
    # x = -560500 + 500, y = 600500 - 500
    lines = (tmp_path / "x.pgw").read_text(encoding="ascii").splitlines()
    assert [float(line) for line in lines] == [1000, 0, 0, -1000, -560000, 600000]


def test_the_prj_is_the_same_crs_to_proj(make_file: MakeFile, tmp_path: Path) -> None:
    frame = decode(make_file(np.zeros((2881, 2305), np.int16), dxy=500), frame_name())
    frame.crop(window=SEOUL).to_png(tmp_path / "x.png")
    found = pyproj.CRS.from_wkt((tmp_path / "x.prj").read_text(encoding="ascii"))
    lon, lat = np.meshgrid(np.linspace(118.9, 133.5, 30), np.linspace(30.2, 43.3, 30))
    expected = pyproj.Proj(KMA_500M)(lon, lat)
    assert np.allclose(pyproj.Proj(found)(lon, lat), expected, rtol=0, atol=1e-6)  # metres
    assert found.ellipsoid is not None
    assert (found.ellipsoid.semi_major_metre, found.ellipsoid.inverse_flattening) == (6378137, 298.257223563)
    assert re.match(r'PROJCS\["KMA_HB_composite', (tmp_path / "x.prj").read_text(encoding="ascii"))


def test_the_prj_of_the_1_km_grid_is_on_the_sphere(frame: Frame, tmp_path: Path) -> None:
    write_png(frame, tmp_path / "x.png")
    found = pyproj.CRS.from_wkt((tmp_path / "x.prj").read_text(encoding="ascii"))
    assert found.ellipsoid is not None
    assert found.ellipsoid.semi_major_metre == found.ellipsoid.semi_minor_metre == 6371008.77


@needs_gdal
def test_another_gdal_sees_place_scale_and_tags(part: Frame, tmp_path: Path) -> None:
    record = gdalinfo(write_png(part, tmp_path / "x.png"))
    assert record["driverShortName"] == "PNG"
    assert record["size"] == [300, 200]
    # -560500 + 390 * 1000, 600500 - 590 * 1000
    assert record["geoTransform"] == [-170500.0, 1000.0, 0.0, 10500.0, 0.0, -1000.0]
    (band,) = record["bands"]
    # 0 is -10 dBZ and a step is 0.01 dBZ; a PNG says nothing of nodata, for 0 is also what was observed
    assert (band["type"], band["colorInterpretation"]) == ("UInt16", "Gray")
    assert (band["scale"], band["offset"], band["unit"], band["description"]) == (0.01, -10, "dBZ", "reflectivity")
    assert "noDataValue" not in band
    tags = record["metadata"][""]
    assert tags["TIME_START_UTC"] == "2022-06-09T02:15:00Z"
    assert tags["SOURCE"] == "RDR_CMP_HSR_PUB_202206091115.bin.gz"
    assert tags["WINDOW"] == "390 590 300 200"
    assert not [name for name in tags if name.startswith(("TIFFTAG", "OVERVIEW"))]


@needs_gdal
def test_another_gdal_puts_the_reference_cell_at_126_e_38_n(frame: Frame, tmp_path: Path) -> None:
    # column 560, row 600 from the north; see test_cog.py
    path = write_png(frame, tmp_path / "x.png")
    assert gdal_lonlat(path, [(560.5, 600.5)])[0] == pytest.approx((126, 38), abs=1e-9)


@needs_gdal
def test_crs_and_scale_come_from_the_aux_xml(part: Frame, tmp_path: Path) -> None:
    path = write_png(part, tmp_path / "x.png")
    (tmp_path / "x.png.aux.xml").unlink()
    record = gdalinfo(path)
    assert record["geoTransform"] == [-170500.0, 1000.0, 0.0, 10500.0, 0.0, -1000.0]  # of the world file
    assert not record["coordinateSystem"]["wkt"] if "coordinateSystem" in record else True
    assert "scale" not in record["bands"][0]


@needs_gdal
@pytest.mark.parametrize(
    ("code", "product", "scale", "offset", "unit"),
    [
        (2, "HSR", 1, -1000, "m"),  # pixel 0 is -1000 m
        (5, "HSP", 0.01, -10, "mm/h"),
        (8, "CPP", 0.01, -210, "degC"),  # (-1000 - 20000) / 100
    ],
)
def test_the_scale_of_other_quantities(  # noqa: PLR0917 - one column of the table each
    make_file: MakeFile, tmp_path: Path, code: int, product: str, scale: float, offset: float, unit: str
) -> None:
    frame = decode(make_file(np.full((NY, NX), 123, np.int16), data_codes=(code,)), frame_name(product=product))
    path = write_png(frame.crop(window=(0, 0, 9, 9)), tmp_path / "x.png")
    (band,) = gdalinfo(path)["bands"]
    assert (band["scale"], band["offset"], band["unit"]) == (scale, offset, unit)
    # physical by the file, 1123 * scale + offset, is physical by the format, (123 - minus) / scale
    minus = {8: 20000}.get(code, 0)
    assert 1123 * scale + offset == pytest.approx((123 - minus) * scale)


@needs_gdal
@pytest.mark.parametrize("name", ["a<b>&\"c'.bin.gz", "&amp;.bin.gz", "한글 파일 😀.bin.gz", "]]>.bin.gz"])
def test_whatever_the_name_of_the_source_the_sidecar_is_xml(part: Frame, tmp_path: Path, name: str) -> None:
    path = write_png(replace(part, name=name), tmp_path / "x.png")
    root = ET.parse(tmp_path / "x.png.aux.xml").getroot()  # noqa: S314 - our own file
    assert {item.get("key"): item.text for item in root.findall("Metadata/MDI")}["SOURCE"] == name
    assert gdalinfo(path)["metadata"][""]["SOURCE"] == name


# Files


def test_the_picture_comes_last(part: Frame) -> None:
    # so that a run that is killed never leaves a picture without its place
    assert list(encode_png_files(part)) == [".pgw", ".prj", ".png.aux.xml", ".png"]


@pytest.mark.parametrize(
    ("name", "companions"),
    [
        ("x.png", {"x.png", "x.pgw", "x.prj", "x.png.aux.xml"}),
        ("X.PNG", {"X.PNG", "X.pgw", "X.prj", "X.PNG.aux.xml"}),
        ("2022.06.09.png", {"2022.06.09.png", "2022.06.09.pgw", "2022.06.09.prj", "2022.06.09.png.aux.xml"}),
        ("seoul.2022", {"seoul.2022", "seoul.2022.pgw", "seoul.2022.prj", "seoul.2022.aux.xml"}),
        ("서울 강남.png", {"서울 강남.png", "서울 강남.pgw", "서울 강남.prj", "서울 강남.png.aux.xml"}),
    ],
)
def test_the_path_returned_is_the_picture_whatever_its_name(
    part: Frame, tmp_path: Path, name: str, companions: set[str]
) -> None:
    path = part.to_png(tmp_path / "new" / name)
    assert path == tmp_path / "new" / name
    assert path.read_bytes() == encode_png(part)
    assert {file.name for file in path.parent.iterdir()} == companions


@needs_gdal
def test_a_picture_with_capitals_is_placed_too(part: Frame, tmp_path: Path) -> None:
    assert gdalinfo(write_png(part, tmp_path / "X.PNG"))["bands"][0]["unit"] == "dBZ"


def test_a_folder_in_the_way(part: Frame, tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    with pytest.raises(WriteError, match=r"x\.png: cannot be written: Is a directory$"):
        write_png(part, tmp_path / "x.png")
    shutil.rmtree(tmp_path / "x.png")
    assert not [file.name for file in tmp_path.iterdir() if file.name.endswith(".part")]


def test_the_same_frame_gives_the_same_bytes(part: Frame, frame: Frame, pixels: Pixels) -> None:
    first = encode_png_files(part)
    encode_png_files(frame)
    again = replace(part, stored=pixels[590:790, 390:690].copy())
    assert encode_png_files(part) == first == encode_png_files(again)
