from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, get_args

import deflate
import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile
from rio_cogeo.cogeo import cog_validate

import hsrgeo
from hsrgeo.errors import OptionsError, WriteError
from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.writers import tiles
from hsrgeo.writers.by_driver import tile_side
from hsrgeo.writers.cog import encode_cog, write_cog
from hsrgeo.writers.tiles import Compression
from tests.conftest import NX, NY, MakeFile, Pixels, frame_name
from tests.other_gdal import gdal_lonlat, gdal_pixels, gdal_reads, gdalinfo, needs_gdal

COMPRESSIONS: tuple[Compression, ...] = get_args(Compression)
PROJECTIONS = Path(__file__).resolve().parents[2] / "projections"
GEOD = pyproj.Geod(ellps="WGS84")

CROPS = [
    (0, 0, 1, 1),
    (NX - 1, NY - 1, 1, 1),
    (300, 200, 1, 700),
    (300, 200, 700, 1),
    (417, 533, 15, 17),
    (400, 600, 256, 256),
    (399, 599, 257, 255),
    (399, 599, 511, 513),
    (400, 600, 512, 512),
    (100, 300, 1025, 600),
    (0, 0, NX, NY),
]
"""Column, row, width and height: smaller than a tile, a tile, one cell more, several tiles, the whole grid."""


@pytest.fixture(scope="module")
def big_pixels(pixels: Pixels) -> Pixels:
    """Give a 500 m block: every cell of the small one twice each way, blends and speckle between NULL codes."""
    big = np.repeat(np.repeat(pixels, 2, 0), 2, 1)[:2881, :2305]
    chance = np.random.default_rng(42)
    speckled = big[200:1800, 150:1950]
    codes = np.array([-30000, -29687, -29375, -25000, -22187, -20100, -20000, -10001, -10000, 0, 5809], np.int16)
    where = chance.random(speckled.shape) < 0.3
    speckled[where] = chance.choice(codes, int(where.sum()))
    return big


@pytest.fixture(scope="module")
def big_frame(make_file: MakeFile, big_pixels: Pixels) -> Frame:
    """Give a 500 m frame, as stored."""
    return decode(make_file(big_pixels, dxy=500), frame_name())


def policy(frame: Frame, values: str) -> Frame:
    return frame.clean() if values == "clean" else frame


def cleaned(stored: NDArray[np.int16]) -> NDArray[np.int16]:
    """Clean values by the facts' table, cell class by cell class: the oracle for `clean`."""
    answer = stored.copy()
    answer[(stored < -10000) & (stored >= -25000)] = -25000
    answer[stored < -25000] = -30000
    return answer


def assert_valid(path: Path) -> None:
    with rasterio.open(path) as dataset:
        width, height = dataset.width, dataset.height
        overviews = dataset.overviews(1)
    # An overview of a picture one cell wide is as wide, which rio-cogeo takes for an error; a picture taller than
    # 512 without one it takes for a flaw: no picture of 1 x 513 or more is without either.
    flaws = ["The file is greater than 512xH or 512xW, it is recommended to include internal overviews"]
    expected = flaws if width == 1 and height > 512 else []
    assert cog_validate(path, quiet=True) == (True, [], expected)
    assert bool(overviews) == (max(width, height) > 256 and width > 1)


def overviews(path: Path) -> Iterator[NDArray[np.int16]]:
    """Yield every overview as rasterio reads it."""
    with rasterio.open(path) as dataset:
        count = len(dataset.overviews(1))
    for level in range(count):
        with warnings.catch_warnings(), rasterio.open(path, overview_level=level) as dataset:
            yield dataset.read(1)


# Structure


@pytest.mark.parametrize("values", ["clean", "raw"])
@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("window", CROPS, ids=str)
def test_crops_are_valid_without_a_warning_and_hold_the_cells(
    frame: Frame, pixels: Pixels, tmp_path: Path, window: tuple[int, int, int, int], compress: Compression, values: str
) -> None:
    col, row, width, height = window
    part = policy(frame.crop(window=window), values)
    path = write_cog(part, tmp_path / "x.tif", compress=compress)
    assert_valid(path)
    stored = pixels[row : row + height, col : col + width]
    with rasterio.open(path) as dataset:
        assert (dataset.width, dataset.height, dataset.count, dataset.dtypes) == (width, height, 1, ("int16",))
        assert np.array_equal(dataset.read(1), cleaned(stored) if values == "clean" else stored)
        compression = dataset.compression.value if dataset.compression else "NONE"
        assert compression == compress.upper()
        # the corner: 560.5 km west and 600.5 km north of the reference cell's centre, then cells of 1 km
        assert tuple(dataset.transform[:6]) == (
            1000.0,
            0.0,
            -560500.0 + 1000 * col,
            0.0,
            -1000.0,
            600500.0 - 1000 * row,
        )


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_full_500_m_frames_are_valid_without_a_warning(big_frame: Frame, tmp_path: Path, compress: Compression) -> None:
    assert_valid(write_cog(big_frame.clean(), tmp_path / "x.tif", compress=compress))


@pytest.mark.slow
@given(st.data())
@settings(max_examples=40)
def test_any_crop_of_any_values_is_valid_and_comes_back(
    frame: Frame, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)) | st.just((3, 600)) | st.just((600, 3)))
    codes = st.sampled_from([-30000, -29687, -25000, -20000, -10001, -10000, 0, 5809, -32768, 32767])
    fill = data.draw(codes)
    stored = data.draw(arrays(np.int16, shape, elements=st.integers(-32768, 32767), fill=st.just(fill)))
    height, width = shape
    part = replace(frame.crop(window=(5, 7, width, height)), stored=stored)
    path = tmp_path_factory.mktemp("any") / "x.tif"
    write_cog(part, path, compress=data.draw(st.sampled_from(COMPRESSIONS)))
    assert_valid(path)
    with rasterio.open(path) as dataset:
        assert np.array_equal(dataset.read(1), stored)


def overviews_by_gdal(part: Frame, target: Path) -> list[NDArray[np.int16]]:
    """Return the overviews that GDAL's COG driver makes of the same cells."""
    height, width = part.raw.shape
    with MemoryFile() as plain:
        with plain.open(
            driver="GTiff", width=width, height=height, count=1, dtype="int16", transform=part.grid.transform
        ) as dataset:
            dataset.write(part.raw, 1)
        with plain.open() as dataset:
            options = {"BLOCKSIZE": str(tile_side(part.grid)), "OVERVIEW_RESAMPLING": "NEAREST"}
            rasterio.shutil.copy(dataset, target, driver="COG", **options)
    return list(overviews(target))


@pytest.mark.parametrize("values", ["clean", "raw"])
def test_overviews_of_whole_frames_are_those_of_gdals_own_driver(
    frame: Frame, big_frame: Frame, tmp_path: Path, values: str
) -> None:
    for whole in (policy(frame, values), policy(big_frame, values)):
        ours = list(overviews(write_cog(whole, tmp_path / "x.tif")))
        theirs = overviews_by_gdal(whole, tmp_path / "gdal.tif")
        assert len(ours) == len(theirs) >= 3
        for mine, other in zip(ours, theirs, strict=True):
            assert np.array_equal(mine, other)


@pytest.mark.slow
@given(st.integers(2, 1153), st.integers(257, 1441))
@settings(max_examples=12)
def test_an_overview_holds_cells_that_it_covers(
    frame: Frame, tmp_path_factory: pytest.TempPathFactory, width: int, height: int
) -> None:
    folder = tmp_path_factory.mktemp("overviews")
    rows, cols = np.indices((height, width), dtype=np.int16)
    for axis, numbered in ((0, rows), (1, cols)):  # each cell holds its own row, then its own column
        part = replace(frame.crop(window=(0, 0, width, height)), stored=numbered)
        ours = list(overviews(write_cog(part, folder / "x.tif")))
        theirs = overviews_by_gdal(part, folder / "gdal.tif")
        assert [level.shape for level in ours] == [level.shape for level in theirs]
        assert np.array_equal(ours[0], theirs[0])
        for level in ours:
            picked = level[:, 0] if axis == 0 else level[0]
            ratio = numbered.shape[axis] / picked.size
            begin = np.arange(picked.size) * ratio
            # cell p reaches from p to p + 1: it overlaps begin .. begin + ratio
            assert (picked + 1 > begin).all()
            assert (picked < begin + ratio).all()
            assert (level == (picked[:, None] if axis == 0 else picked)).all()


def test_no_overview_invents_a_value(big_frame: Frame, tmp_path: Path) -> None:
    path = write_cog(big_frame.clean(), tmp_path / "x.tif")
    levels = list(overviews(path))
    # 2881 x 2305 is halved, rounded down, until it fits into one tile of 256
    assert [level.shape for level in levels] == [(1440, 1152), (720, 576), (360, 288), (180, 144)]
    known = set(np.unique(big_frame.clean().raw))
    for level in levels:
        found = set(np.unique(level))
        assert found <= known
        assert {value for value in found if -30000 < value < -10000} == {-25000}
        assert min(found) == -30000


@pytest.mark.parametrize("values", ["clean", "raw"])
def test_every_kind_of_sample_frame_keeps_to_the_codes(samples: Path, tmp_path: Path, values: str) -> None:
    frame = hsrgeo.open_frame(next(samples.glob("*610.bin.gz")))
    path = write_cog(policy(frame, values), tmp_path / "x.tif")
    assert_valid(path)
    with rasterio.open(path) as dataset:
        full = dataset.read(1)
    assert np.array_equal(full, frame.stored if values == "raw" else cleaned(frame.stored))
    between = [{value for value in np.unique(level) if -30000 < value < -10000} for level in (full, *overviews(path))]
    if values == "clean":
        assert between == [{-25000}] * len(between)
    else:
        assert len(between[0]) > 300  # 360 distinct blends in the sample, says its README


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_tiles_lie_as_the_ghost_area_says(big_frame: Frame, tmp_path: Path, compress: Compression) -> None:
    # GDAL, "Cloud Optimized GeoTIFF generator", header ghost area: readers that trust it fetch a tile with its leader
    data = write_cog(big_frame.clean(), tmp_path / "x.tif", compress=compress).read_bytes()
    size = int(data[8:].partition(b"GDAL_STRUCTURAL_METADATA_SIZE=")[2][:6])
    ghost = data[8 : 8 + 43 + size].decode("ascii").split("\n")  # the line of the size itself has 43 letters
    assert set(ghost) >= {
        "LAYOUT=IFDS_BEFORE_DATA",
        "BLOCK_ORDER=ROW_MAJOR",
        "BLOCK_LEADER=SIZE_AS_UINT4",
        "BLOCK_TRAILER=LAST_4_BYTES_REPEATED",
        "KNOWN_INCOMPATIBLE_EDITION=NO",
    }
    end = 0
    with Image.open(tmp_path / "x.tif") as picture:  # Pillow reads the fields of each level
        levels = [_tiles(picture, level) for level in range(getattr(picture, "n_frames", 1))]
    for offsets, sizes in reversed(levels):  # the smallest overview first
        for offset, count in zip(offsets, sizes, strict=True):
            assert offset >= end + 4  # row by row, none over another
            assert int.from_bytes(data[offset - 4 : offset], "little") == count
            end = offset + count + 4
            assert data[end - 4 : end] == data[end - 8 : end - 4]
    assert end == len(data)


def _tiles(picture: Image.Image, level: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    picture.seek(level)
    fields = picture.tag_v2  # type: ignore[attr-defined] # of TIFFs only
    return fields[324], fields[325]  # TileOffsets and TileByteCounts: TIFF 6.0, section 15


# What another GDAL sees


@pytest.mark.slow
@needs_gdal
@pytest.mark.parametrize(("compress", "values"), [("deflate", "raw"), *((codec, "clean") for codec in COMPRESSIONS)])
def test_another_gdal_reads_the_same_cells_at_every_level(
    big_frame: Frame, big_pixels: Pixels, tmp_path: Path, compress: Compression, values: str
) -> None:
    if compress == "zstd" and not gdal_reads("ZSTD"):
        pytest.skip("gdalinfo on this machine reads no ZSTD")
    part = policy(big_frame.crop(window=(703, 1105, 701, 877)), values)
    path = write_cog(part, tmp_path / "x.tif", compress=compress)
    stored = big_pixels[1105 : 1105 + 877, 703 : 703 + 701]
    assert np.array_equal(gdal_pixels(path, tmp_path), cleaned(stored) if values == "clean" else stored)
    for number, level in enumerate(overviews(path)):
        assert np.array_equal(gdal_pixels(path, tmp_path, overview=number), level)


@pytest.mark.slow
@needs_gdal
def test_another_gdal_reads_samples_bit_for_bit(samples: Path, tmp_path: Path) -> None:
    for file in samples.glob("RDR_CMP_*.bin.gz"):
        frame = hsrgeo.open_frame(file)
        assert np.array_equal(gdal_pixels(write_cog(frame, tmp_path / "x.tif"), tmp_path), frame.stored)


@needs_gdal
def test_another_gdal_finds_the_check_points_within_half_a_metre(big_frame: Frame, tmp_path: Path) -> None:
    path = write_cog(big_frame, tmp_path / "x.tif")
    entry = tomllib.loads((PROJECTIONS / "kma-hb-500m.toml").read_text(encoding="utf-8"))
    points = entry["check_points"]
    assert len(points) == 9
    # cell centres; rows of the check points count from the south, 2881 rows
    found = gdal_lonlat(path, [(point["col"] + 0.5, 2881 - 1 - point["row"] + 0.5) for point in points])
    for point, (lon, lat) in zip(points, found, strict=True):
        _azimuth, _back, metres = GEOD.inv(point["lon"], point["lat"], lon, lat)
        assert metres < 0.5, (point, lon, lat)


@needs_gdal
def test_corners_of_the_full_frame(big_frame: Frame, tmp_path: Path) -> None:
    record = gdalinfo(write_cog(big_frame, tmp_path / "x.tif"))
    assert record["size"] == [2305, 2881]
    assert record["geoTransform"] == [-560250.0, 500.0, 0.0, 600250.0, 0.0, -500.0]
    corners = record["cornerCoordinates"]
    # outer edges x -560250..592250, y -840250..600250 (KMA composite format, section 3)
    assert corners["upperLeft"] == [-560250.0, 600250.0]
    assert corners["lowerRight"] == [592250.0, -840250.0]


@needs_gdal
def test_the_check_points_stay_where_they_are_in_a_crop(big_frame: Frame, tmp_path: Path) -> None:
    # KMA's lat/lon service: cells (1206, 1508), (1353, 1508), (1206, 1649), (1353, 1649) from the south-west.
    # Seen from the north they are rows 2880 - 1508 = 1372 and 2880 - 1649 = 1231; a window that has
    # 1206, 1231 as its first cell and 1353, 1372 as its last is 148 x 142 cells.
    path = write_cog(big_frame.crop(window=(1206, 1231, 148, 142)), tmp_path / "x.tif")
    places = [(0.5, 141.5), (147.5, 141.5), (0.5, 0.5), (147.5, 0.5)]
    known = [(126.496323, 37.204071), (127.344582, 37.196270), (126.501419, 37.855427), (127.358391, 37.847534)]
    for (lon, lat), found in zip(known, gdal_lonlat(path, places), strict=True):
        assert GEOD.inv(lon, lat, *found)[2] < 0.5


@needs_gdal
def test_the_1_km_grid_has_its_reference_cell_at_126_e_38_n(frame: Frame, tmp_path: Path) -> None:
    # column 560, row 840 from the south: 1440 - 840 = 600 from the north
    path = write_cog(frame, tmp_path / "x.tif")
    assert gdal_lonlat(path, [(560.5, 600.5)])[0] == pytest.approx((126, 38), abs=1e-9)
    assert "6371008.77" in gdalinfo(path)["coordinateSystem"]["wkt"]  # a sphere, unlike the 500 m grid


@needs_gdal
def test_the_crs_is_the_one_of_projections(big_frame: Frame, tmp_path: Path) -> None:
    entry = tomllib.loads((PROJECTIONS / "kma-hb-500m.toml").read_text(encoding="utf-8"))
    found = pyproj.CRS.from_wkt(gdalinfo(write_cog(big_frame, tmp_path / "x.tif"))["coordinateSystem"]["wkt"])
    assert found.equals(pyproj.CRS.from_wkt(entry["wkt2"]), ignore_axis_order=True)
    assert found.geodetic_crs is not None
    assert found.geodetic_crs.to_epsg() == 4326
    assert found.name == "KMA HB composite (LCC, WGS 84)"


@needs_gdal
def test_another_gdal_sees_what_the_band_means_and_every_tag(frame: Frame, tmp_path: Path) -> None:
    record = gdalinfo(write_cog(frame.clean(), tmp_path / "x.tif"), "-mdd", "IMAGERY")
    (band,) = record["bands"]
    assert (band["type"], band["noDataValue"], band["unit"], band["description"]) == (
        "Int16",
        -30000,
        "dBZ",
        "reflectivity",
    )
    assert (band["scale"], band["offset"]) == (0.01, 0)
    tags = record["metadata"][""]
    # the tags themselves are worked out in test_tags.py; here: that they arrive
    for name, value in {
        "TIME_START_UTC": "2022-06-09T02:15:00Z",
        "TIME_START_KST": "2022-06-09T11:15:00+09:00",
        "TIFFTAG_DATETIME": "2022:06:09 02:15:00",
        "STATIONS": "KWK,GDK,BRI",
        "SOURCE": "RDR_CMP_HSR_PUB_202206091115.bin.gz",
        "VALUES": "clean",
        "UNDETECT": "-25000",
        "OVERVIEW_RESAMPLING": "NEAREST",
        "LICENCE": "Korea Open Government Licence type 1 (attribution: Korea Meteorological Administration)",
        "AREA_OR_POINT": "Area",
    }.items():
        assert tags[name] == value
    assert record["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    # statistics: see test_tags.py for the arithmetic; never -25000 as a minimum
    assert band["metadata"][""]["STATISTICS_MINIMUM"] == "-500"
    assert band["metadata"][""]["STATISTICS_MEAN"] == "2479.9023"
    assert band["minimum"] == -500
    assert band["maximum"] == 5499


@needs_gdal
def test_no_echo_no_statistics(frame: Frame, tmp_path: Path) -> None:
    (band,) = gdalinfo(write_cog(frame.crop(window=(0, 0, 300, 200)), tmp_path / "x.tif"))["bands"]
    assert {"minimum", "maximum", "mean", "stdDev"}.isdisjoint(band)
    assert band["metadata"] == {}


@needs_gdal
def test_the_time_that_stac_tools_read(frame: Frame, tmp_path: Path) -> None:
    # rio-stac reads IMAGERY:ACQUISITIONDATETIME and takes *now* where it cannot: it must be ISO 8601 with a zone
    text = gdalinfo(write_cog(frame, tmp_path / "x.tif"), "-mdd", "IMAGERY")["metadata"]["IMAGERY"][
        "ACQUISITIONDATETIME"
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    assert datetime.fromisoformat(text) == datetime(2022, 6, 9, 2, 15, tzinfo=UTC)


@needs_gdal
@pytest.mark.parametrize(
    ("code", "product", "nodata", "scale", "offset", "unit"),
    [
        (6, "HCI", -300, 1.0, 0.0, None),
        (7, "PTY", 0, 1.0, 0.0, None),
        # physical = (stored - 20000) / 100 = stored * 0.01 - 200
        (8, "CPP", -30000, 0.01, -200.0, "degC"),
        (5, "HSP", -30000, 0.01, 0.0, "mm/h"),
        (2, "HSR", -30000, 1.0, 0.0, "m"),
    ],
)
def test_quantities_have_their_own_nodata_scale_and_offset(  # noqa: PLR0917 - one column of the table each
    make_file: MakeFile,
    tmp_path: Path,
    code: int,
    product: str,
    nodata: int,
    scale: float,
    offset: float,
    unit: str | None,
) -> None:
    values = np.array([-30000, -25000, -300, -280, -250, -200, -101, -100, 0, 1, 2, 4, 22150], np.int16)
    block = np.resize(values, (NY, NX))
    frame = decode(make_file(block, data_codes=(code,)), frame_name(product=product)).crop(window=(0, 0, 600, 13))
    for values_policy in ("raw", "clean"):
        path = write_cog(policy(frame, values_policy), tmp_path / f"{values_policy}.tif")
        assert_valid(path)
        (band,) = gdalinfo(path)["bands"]
        # gdalinfo leaves a scale of 1 and an offset of 0 out where both are
        assert (band["noDataValue"], band.get("scale", 1), band.get("offset", 0)) == (nodata, scale, offset)
        assert band.get("unit") == unit
    assert np.array_equal(gdal_pixels(tmp_path / "raw.tif", tmp_path), block[:13, :600])


@pytest.mark.parametrize(
    ("code", "product", "before", "after"),
    [
        # -300 outside, -250 no data, -200 minimum; below -250 is nodata, from there to below -100 is undetect
        (6, "HCI", [-300, -280, -250, -200, -101, -100, 4], [-300, -300, -250, -250, -250, -100, 4]),
        # 0 outside, 1 none, 2 rain, 4 snow
        (7, "PTY", [0, 1, 2, 3, 4, 4, 4], [0, 1, 2, 3, 4, 4, 4]),
        (
            8,
            "CPP",
            [-30000, -29999, -25000, -10001, -10000, 20000, 22150],
            [-30000, -30000, -25000, -25000, -10000, 20000, 22150],
        ),
    ],
)
def test_clean_values_by_quantity(
    make_file: MakeFile, tmp_path: Path, code: int, product: str, before: list[int], after: list[int]
) -> None:
    block = np.zeros((NY, NX), np.int16)
    block[0, :7] = before
    frame = decode(make_file(block, data_codes=(code,)), frame_name(product=product)).crop(window=(0, 0, 7, 1))
    with rasterio.open(write_cog(frame.clean(), tmp_path / "x.tif")) as dataset:
        assert dataset.read(1).tolist() == [after]


@needs_gdal
@pytest.mark.parametrize(
    "name", ["a<b>&\"c'.bin.gz", "&amp;.bin.gz", "한글 파일 😀.bin.gz", "]]>.bin.gz", "a  b .bin.gz"]
)
def test_whatever_the_name_of_the_source_the_tag_is_that_name(frame: Frame, tmp_path: Path, name: str) -> None:
    path = write_cog(replace(frame.crop(window=(0, 0, 2, 2)), name=name), tmp_path / "x.tif")
    assert gdalinfo(path)["metadata"][""]["SOURCE"] == name
    with rasterio.open(path) as dataset:
        assert dataset.tags()["SOURCE"] == name
        assert dataset.tags()["UNDETECT"] == "-25000"


# The same input, the same bytes

WRITE = """
import sys
import hsrgeo
frame = hsrgeo.open_frame(sys.argv[1])
frame.clean().to_cog(sys.argv[2] + "/full.tif")
frame.crop(window=(400, 600, 256, 256)).to_cog(sys.argv[2] + "/crop.tif", compress="zstd")
frame.crop(window=(400, 600, 256, 256)).to_png(sys.argv[2] + "/crop.png")
"""


@cache
def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PROJ_", "GDAL_", "LC_", "LANG"))}


def files_written(source: Path, out: Path, **environment: str) -> dict[str, bytes]:
    """Return what another process writes of a frame: two COGs, and a PNG with its companions."""
    out.mkdir()
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", WRITE, str(source), str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={**_clean_environment(), **environment},
    )
    assert (run.returncode, run.stderr) == (0, "")
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture(scope="module")
def source(make_file: MakeFile, big_pixels: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a frame as a file; of the 500 m grid, whose CRS has an EPSG code in it."""
    path = tmp_path_factory.mktemp("source") / frame_name()
    path.write_bytes(make_file(big_pixels, dxy=500))
    return path


@pytest.fixture(scope="module")
def reference(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give the files of a process in an ordinary environment."""
    return files_written(source, tmp_path_factory.mktemp("reference") / "out", TZ="Asia/Seoul", LANG="ko_KR.UTF-8")


@pytest.mark.slow
def test_six_files_are_compared(reference: dict[str, bytes]) -> None:
    assert set(reference) == {"full.tif", "crop.tif", "crop.png", "crop.pgw", "crop.prj", "crop.png.aux.xml"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"TZ": "America/New_York", "LANG": "C", "PYTHONHASHSEED": "1"},
        {"TZ": "Pacific/Kiritimati", "LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "4294967295"},
        {"GDAL_NUM_THREADS": "4", "GDAL_TIFF_INTERNAL_MASK": "YES", "GDAL_PAM_ENABLED": "NO"},
    ],
    ids=["New York, C", "Kiritimati, German", "GDAL options"],
)
def test_zone_language_and_hash_seed_change_no_byte(
    reference: dict[str, bytes], source: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    assert files_written(source, tmp_path / "out", **environment) == reference


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["PROJ_DATA", "PROJ_LIB"])
@pytest.mark.parametrize("folder", ["/usr/share/proj", "/nowhere"])
def test_another_proj_on_the_machine_changes_no_byte(
    reference: dict[str, bytes], source: Path, tmp_path: Path, variable: str, folder: str
) -> None:
    # Debian's proj.db is of another PROJ than the one in rasterio's wheel: obeyed, WGS 84 would lose its EPSG code
    assert files_written(source, tmp_path / "out", **{variable: folder}) == reference


def test_what_was_written_before_changes_no_byte(big_frame: Frame, reference: dict[str, bytes]) -> None:
    part = big_frame.crop(window=(400, 600, 256, 256))
    first = encode_cog(part, compress="zstd")
    for other in (big_frame.crop(window=(0, 0, 256, 256)), replace(part, name="other.bin.gz"), part.clean()):
        assert encode_cog(other, compress="zstd") != first
    assert encode_cog(part, compress="zstd") == first == reference["crop.tif"]


def test_there_is_no_creation_time(reference: dict[str, bytes]) -> None:
    today = datetime.now(UTC)
    for name, data in reference.items():
        for text in (f"{today:%Y-%m-%d}", f"{today:%Y:%m:%d}", f"{today:%Y%m%d}"):
            assert text.encode() not in data, name


# Faults


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_a_folder_in_the_way(frame: Frame, tmp_path: Path, compress: Compression) -> None:
    (tmp_path / "x.tif").mkdir()
    with pytest.raises(WriteError, match=r"x\.tif: cannot be written: Is a directory$"):
        frame.crop(window=(0, 0, 5, 5)).to_cog(tmp_path / "x.tif", compress=compress)
    assert list(tmp_path.rglob("*")) == [tmp_path / "x.tif"]


def test_a_compression_that_is_not_known_is_reported(frame: Frame, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="compress 'lzw': expected deflate, zstd, none"):
        frame.to_cog(tmp_path / "x.tif", compress="lzw")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_what_gdal_refuses_is_a_write_error(frame: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_options: Any) -> None:
        raise rasterio.errors.RasterioIOError("no such driver")

    part = frame.crop(window=(11, 13, 17, 19))  # a place and size that no other test has asked for
    monkeypatch.setattr(rasterio.shutil, "copy", refuse)
    with pytest.raises(WriteError, match=r"GDAL cannot make a COG of 17 x 19 cells: no such driver$"):
        write_cog(part, tmp_path / "x.tif")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_replaced_and_the_path_returned(frame: Frame, tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.anything"
    part = frame.crop(window=(0, 0, 5, 5))
    assert part.to_cog(path) == path
    assert part.clean().to_cog(path) == path
    assert path.read_bytes() == encode_cog(part.clean())
    assert list(path.parent.iterdir()) == [path]


PERTURBED = """
import hashlib, sys
from datetime import datetime
from hsrgeo.formats.composite import decode
from hsrgeo.model.times import KST
from hsrgeo.products.synthetic import Scene, synthetic_bytes
from hsrgeo.writers.cog import encode_cog
from hsrgeo.writers.png import encode_png
time = datetime(2022, 6, 9, 6, 15, tzinfo=KST)
frame = decode(synthetic_bytes(time, Scene(rain="heavy")), "RDR_CMP_HSR_PUB_202206090615.bin.gz").clean()
files = [encode_cog(frame, compress=codec) for codec in ("deflate", "zstd", "none")] + [encode_png(frame)]
print(*(hashlib.sha256(data).hexdigest() for data in files))
"""


@pytest.mark.slow
def test_what_was_in_memory_before_never_shows() -> None:
    # glibc fills memory that it hands out with this byte: a packer that reads what it did not write, as ISA-L does,
    # then packs the same pixels otherwise. Without glibc both runs are the same.
    found = {
        subprocess.run(
            [sys.executable, "-c", PERTURBED],
            env={**os.environ, "MALLOC_PERTURB_": byte},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for byte in ("0", "90")
    }
    assert len(found) == 1


_THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import hsrgeo
from hsrgeo.writers.cog import encode_cog
frame = hsrgeo.open_frame(sys.argv[1])
parts = [frame.crop(window=(100 + 10 * number, 200, 512, 512)) for number in range(8)]
alone = [encode_cog(part, compress=sys.argv[2]) for part in parts]
with ThreadPoolExecutor(4) as threads:
    together = list(threads.map(lambda number: encode_cog(parts[number % 8], compress=sys.argv[2]), range(80)))
assert together == alone * 10
"""


@pytest.mark.slow
@pytest.mark.parametrize("compress", ["deflate", "zstd", "none"])
def test_threads_give_the_same_bytes(tmp_path: Path, frame_file: bytes, compress: Compression) -> None:
    path = tmp_path / frame_name()
    path.write_bytes(frame_file)
    script = [sys.executable, "-c", _THREADS, str(path), compress]  # one compressor for all of them ended the process
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("code", [-30000, -25000])
@pytest.mark.parametrize("shape", [(256, 256), (65, 256), (256, 1), (65, 1), (181, 145), (1, 1)])
def test_a_tile_of_one_code_is_packed_as_small_as_can_be(code: int, shape: tuple[int, int]) -> None:
    tile = np.zeros((256, 256), np.int16)  # what lies beyond the picture has no differences
    tile[: shape[0], 0] = code  # TIFF's predictor: each cell less the one before, and the first as it is
    assert tiles._constant_tile(code, shape, 256, "deflate") == deflate.zlib_compress(tile.data, 12)


def test_a_name_of_another_format_is_refused(frame: Frame, tmp_path: Path) -> None:
    part = frame.crop(window=(0, 0, 5, 5))
    with pytest.raises(OptionsError, match=r"x\.png: a COG ends in \.tif or \.tiff"):
        part.to_cog(tmp_path / "x.png")
    with pytest.raises(OptionsError, match=r"x\.tif: a PNG ends in \.png"):
        part.to_png(tmp_path / "x.tif")
    assert not list(tmp_path.iterdir())
