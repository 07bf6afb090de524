"""What GDAL sees in a file, through both bindings, against readers that are no GDAL and against Debian's tools."""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pyproj
import pytest
from PIL import Image

from hsrgeo.errors import ReadbackError
from hsrgeo.formats.composite import decode, encode
from hsrgeo.model.frame import Frame
from hsrgeo.model.header import Header, Station
from hsrgeo.model.times import KST
from hsrgeo.writers import readback
from hsrgeo.writers.cog import encode_cog
from hsrgeo.writers.readback import Picture, read_picture, reader_name
from hsrgeo.writers.tags import frame_tags, imagery_tags, statistics_tags

TIME = datetime(2022, 6, 9, 11, 15, tzinfo=KST)
NAME = "RDR_CMP_HSR_PUB_202206091115.bin.gz"
OSGEO = importlib.util.find_spec("osgeo") is not None
needs_osgeo = pytest.mark.skipif(not OSGEO, reason="the osgeo bindings are not installed")

Reader = Callable[[Path], Picture]


@pytest.fixture(params=["rasterio", pytest.param("osgeo", marks=needs_osgeo)])
def read(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Reader:
    if request.param == "rasterio":
        monkeypatch.setattr(readback, "_osgeo", lambda: None)
    return read_picture


def make_frame() -> Frame:
    pixels = np.full((1441, 1153), -30000, np.int16)
    pixels[100:1300, 100:1100] = -25000
    pixels[300:900, 200:800] = np.random.default_rng(1).integers(-3200, 6000, (600, 600))
    pixels[299, 200:800] = -28750
    stations = tuple(Station(code, TIME, TIME) for code in ("KWK", "GDK"))
    codes = (1,) + (0,) * 15
    header = Header(1, 5, TIME, TIME, 2, 1, 0, 1153, 1441, 1, 1000, 0, 0, 1, codes, bytes(15), stations)
    return decode(encode(header, [pixels]), NAME).clean()


def cone(wkt: str) -> list[float]:
    """Return latitude and longitude of origin, the two parallels, false easting and northing."""
    operation = pyproj.CRS.from_wkt(wkt).coordinate_operation
    assert operation is not None
    assert operation.method_name == "Lambert Conic Conformal (2SP)"
    return [float(param.value) for param in sorted(operation.params, key=lambda param: param.code)]


@pytest.fixture(scope="module")
def frame() -> Frame:
    return make_frame()


@pytest.fixture
def cog(frame: Frame, tmp_path: Path) -> Path:
    return frame.to_cog(tmp_path / "frame.tif")


@pytest.fixture
def png(frame: Frame, tmp_path: Path) -> Path:
    return frame.to_png(tmp_path / "frame.png")


def test_cog_comes_back_as_it_was_meant(read: Reader, frame: Frame, cog: Path) -> None:
    picture = read(cog)
    assert (picture.driver, picture.bands, str(picture.pixels.dtype)) == ("GTiff", 1, "int16")
    assert np.array_equal(picture.pixels, frame.raw)
    assert picture.transform == frame.grid.transform
    assert cone(picture.wkt) == [38, 126, 30, 60, 0, 0]
    assert (picture.nodata, picture.scale, picture.offset, picture.unit) == (-30000, 0.01, 0, "dBZ")
    assert picture.description == "reflectivity"
    assert picture.tags == frame_tags(frame) | {"AREA_OR_POINT": "Area"}
    assert picture.imagery_tags == imagery_tags(frame)
    assert picture.band_tags == statistics_tags(frame)
    assert (picture.structure["LAYOUT"], picture.structure["COMPRESSION"]) == ("COG", "DEFLATE")


def test_offsets_are_those_in_the_tiff(read: Reader, cog: Path) -> None:
    levels = read(cog).levels
    assert len(levels) > 1
    assert levels[0].ifd_offset == struct.unpack_from("<I", cog.read_bytes(), 4)[0]
    with Image.open(cog) as image:  # Pillow reads TIFF on its own
        for number, level in enumerate(levels):
            image.seek(number)
            offsets, sizes = image.tag_v2[324], image.tag_v2[325]  # type: ignore[attr-defined]
            assert level.pixels.shape == image.size[::-1]
            assert level.tiles == tuple(zip(_tuple(offsets), _tuple(sizes), strict=True))
            assert level.block == (image.tag_v2[322], image.tag_v2[323])  # type: ignore[attr-defined]


def _tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def test_first_tile_holds_the_first_pixels(read: Reader, cog: Path) -> None:
    level = read(cog).levels[0]
    offset, size = level.tiles[0]
    width, height = level.block
    tile = np.frombuffer(zlib.decompress(cog.read_bytes()[offset : offset + size]), "<i2").reshape(height, width)
    # TIFF 6.0, section 14: each cell holds the difference from the one before it.
    assert np.array_equal(np.cumsum(tile, axis=1, dtype=np.int16), level.pixels[:height, :width])


def test_png_has_its_place_from_the_files_beside_it(read: Reader, frame: Frame, png: Path) -> None:
    picture = read(png)
    assert (picture.driver, str(picture.pixels.dtype), picture.nodata) == ("PNG", "uint16", None)
    with Image.open(png) as image:
        assert np.array_equal(picture.pixels, np.asarray(image))
    assert picture.transform == frame.grid.transform
    assert cone(picture.wkt) == [38, 126, 30, 60, 0, 0]
    assert (picture.scale, picture.offset, picture.unit) == (0.01, -10, "dBZ")
    assert picture.tags["SOURCE"] == NAME
    assert [(level.ifd_offset, level.tiles) for level in picture.levels] == [(0, ())]


def test_png_alone_has_no_place(read: Reader, png: Path) -> None:
    png.with_suffix(".pgw").unlink()
    png.with_suffix(".png.aux.xml").unlink()
    picture = read(png)
    assert picture.transform.is_identity
    assert (picture.wkt, picture.scale, picture.offset, picture.unit) == ("", 1, 0, "")


def test_sidecars_of_a_cog_are_not_believed(read: Reader, cog: Path) -> None:
    # QGIS leaves such a file behind; GDAL believes it more than the COG.
    cog.with_suffix(".tif.aux.xml").write_text(
        "<PAMDataset><GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform><Metadata><MDI key='UNIT'>mm</MDI></Metadata>"
        "<PAMRasterBand band='1'><NoDataValue>7</NoDataValue><Scale>5</Scale>"
        "<Metadata><MDI key='STATISTICS_MEAN'>-123</MDI></Metadata></PAMRasterBand></PAMDataset>"
    )
    picture = read(cog)
    assert (picture.nodata, picture.scale, picture.transform.a, picture.tags["UNIT"]) == (-30000, 0.01, 1000, "dBZ")
    assert picture.band_tags["STATISTICS_MEAN"] != "-123"


def test_world_file_does_not_stand_in_for_a_cogs_own_place(read: Reader, cog: Path) -> None:
    data = bytearray(cog.read_bytes())
    for tag in (33550, 33922):  # ModelPixelScale, ModelTiepoint (GeoTIFF 1.1): private tags nobody knows in their place
        at = data.index(struct.pack("<HH", tag, 12))
        struct.pack_into("<H", data, at, tag + 1)
    cog.write_bytes(data)
    cog.with_suffix(".tfw").write_text("1000\n0\n0\n-1000\n-560000\n600000\n")
    assert read(cog).transform.is_identity


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"II*\0\x10\0\0\0"], ids=["empty", "text", "stub"])
def test_what_is_no_picture(read: Reader, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "frame.tif"
    path.write_bytes(content)
    with pytest.raises(ReadbackError, match="GDAL cannot read it"):
        read(path)


def test_missing_file(read: Reader, tmp_path: Path) -> None:
    with pytest.raises(ReadbackError, match="No such file"):
        read(tmp_path / "frame.tif")


def test_truncated_files(read: Reader, cog: Path, png: Path) -> None:
    for path in (cog, png):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 3 // 4])
        with pytest.raises(ReadbackError):
            read(path)


def test_flipped_bit_in_a_size_asks_for_no_terabytes(read: Reader, frame: Frame, tmp_path: Path) -> None:
    data = bytearray(encode_cog(frame, compress="none"))
    width = struct.pack("<HHIH", 256, 3, 1, 1153)  # ImageWidth, one SHORT
    height = struct.pack("<HHIH", 257, 3, 1, 1441)
    for field, value in ((width, 1153 | 1 << 15), (height, 1441 | 1 << 15)):
        struct.pack_into("<H", data, data.index(field) + 8, value)
    path = tmp_path / "frame.tif"
    path.write_bytes(data)
    with pytest.raises(ReadbackError, match=r"cells|block|tile|strip|Tile"):
        read(path)


def test_text_that_is_no_utf8(read: Reader, cog: Path) -> None:
    cog.write_bytes(cog.read_bytes().replace(b'"STATIONS">KWK', b'"STATIONS">\xff\xfeK'))
    tags = read(cog).tags
    assert tags.get("STATIONS") != "KWK,GDK"
    assert all(isinstance(text, str) for item in tags.items() for text in item)


@needs_osgeo
def test_both_bindings_see_the_same(monkeypatch: pytest.MonkeyPatch, cog: Path, png: Path) -> None:
    for path in (cog, png):
        first = read_picture(path)
        with monkeypatch.context() as patch:
            patch.setattr(readback, "_osgeo", lambda: None)
            second = read_picture(path)
        for name in set(Picture.__slots__) - {"levels", "wkt"}:
            assert getattr(first, name) == getattr(second, name), name
        assert pyproj.CRS.from_wkt(first.wkt) == pyproj.CRS.from_wkt(second.wkt)
        for one, other in zip(first.levels, second.levels, strict=True):
            assert np.array_equal(one.pixels, other.pixels)
            assert (one.block, one.ifd_offset, one.tiles) == (other.block, other.ifd_offset, other.tiles)


@needs_osgeo
def test_osgeo_is_left_as_its_user_had_it(cog: Path, tmp_path: Path) -> None:
    from osgeo import gdal  # noqa: PLC0415

    before = gdal.GetUseExceptions()
    gdal.SetThreadLocalConfigOption("GDAL_PAM_ENABLED", "YES")
    try:
        read_picture(cog)
        with pytest.raises(ReadbackError):
            read_picture(tmp_path / "missing.tif")
        assert gdal.GetUseExceptions() == before
        assert gdal.GetThreadLocalConfigOption("GDAL_PAM_ENABLED") == "YES"
        assert gdal.GetThreadLocalConfigOption("GDAL_GEOREF_SOURCES") is None
    finally:
        gdal.SetThreadLocalConfigOption("GDAL_PAM_ENABLED", None)


def test_nothing_is_written_beside_what_is_read(read: Reader, cog: Path, png: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in cog.parent.iterdir()}
    read(cog)
    read(png)
    assert {path: path.stat().st_mtime_ns for path in cog.parent.iterdir()} == before


def test_reader_name(read: Reader) -> None:
    assert read is read_picture
    expected = "rasterio " if readback._osgeo() is None else "osgeo, GDAL "
    assert reader_name().startswith(expected)
    assert "GDAL 3." in reader_name()


def test_bindings_for_a_missing_library_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415

    monkeypatch.setitem(sys.modules, "osgeo", None)  # makes its import fail
    assert readback._osgeo.__wrapped__() is None


def test_error_survives_a_worker() -> None:
    error = ReadbackError("a.tif", "GDAL cannot read it")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), str(again), vars(again)) == (ReadbackError, str(error), vars(error))


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="GDAL's own tools are not installed")
@pytest.mark.parametrize("name", ["cog", "png"])
def test_gdals_own_tool_says_the_same(read: Reader, request: pytest.FixtureRequest, name: str) -> None:
    path: Path = request.getfixturevalue(name)
    picture = read(path)
    command = ["gdalinfo", "-json", "-checksum", "-mdd", "IMAGERY", str(path)]
    record = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    band = record["bands"][0]
    height, width = picture.pixels.shape
    assert record["driverShortName"] == picture.driver
    assert record["size"] == [width, height]
    assert tuple(record["geoTransform"]) == picture.transform.to_gdal()
    assert pyproj.CRS.from_wkt(record["coordinateSystem"]["wkt"]) == pyproj.CRS.from_wkt(picture.wkt)
    assert band["type"].lower() == str(picture.pixels.dtype)
    assert band["block"] == list(picture.levels[0].block)
    assert band.get("noDataValue") == picture.nodata
    assert (band["scale"], band["offset"], band["unit"]) == (picture.scale, picture.offset, picture.unit)
    sizes = [overview["size"] for overview in band.get("overviews", [])]
    assert sizes == [list(level.pixels.shape[::-1]) for level in picture.levels[1:]]
    assert record["metadata"][""] == picture.tags
    assert record["metadata"].get("IMAGERY", {}) == picture.imagery_tags
    assert band.get("metadata", {}).get("", {}) == picture.band_tags
    assert gdal_pixels(path, picture.pixels.dtype) == picture.pixels.tobytes()


def gdal_pixels(path: Path, dtype: np.dtype[np.generic]) -> bytes:
    """Return the pixels as Debian's gdal_translate writes them to a file of nothing else."""
    raw = path.with_suffix(".raw")
    command = ["gdal_translate", "-q", "-of", "ENVI", str(path), str(raw)]
    subprocess.run(command, check=True, capture_output=True)
    assert dtype.byteorder in "=|<"
    return raw.read_bytes()
