"""`hsrgeo stac`: the catalogue as pystac, pyarrow and the specifications see it, against the files themselves."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyproj
import pystac
import pystac.validation
import pytest
import rasterio
import shapely
import typer
from affine import Affine
from pyarrow import parquet
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from typer.testing import CliRunner, Result

import hsrgeo
from hsrgeo.cli.stac import stac as stac_command
from hsrgeo.engine import stac as engine
from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.simulate import write_simulation
from hsrgeo.engine.stac import make_catalog, write_catalog
from hsrgeo.errors import ManifestError, MissingExtraError, OptionsError, ProjectionError, ReadbackError, SourceError
from hsrgeo.gis import stac as records
from hsrgeo.gis.footprint import place_of
from hsrgeo.gis.stac import href, item_id, slugs
from hsrgeo.gis.stac_parquet import _schema
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.times import KST
from hsrgeo.model.window import BBox
from hsrgeo.outputs.catalogs import catalog_frames, is_catalog
from hsrgeo.writers.glance import Glance, labels
from tests.conftest import MakeFile, frame_name

FIRST = datetime(2026, 8, 23, 23, 50, tzinfo=KST)
"""So that the four frames lie on two days in KST, and on one in UTC."""
FRAMES = 4
SEOUL, JEJU = "서울 & 'x'", "제주"
REGIONS = (Region(SEOUL, BBox(126.4, 37.2, 127.6, 38.0)), Region(JEJU, BBox(126.0, 33.1, 127.0, 33.7)))
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"

Json = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """An export of two regions, COG and PNG."""

    source: Path
    out: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    base = tmp_path_factory.mktemp("stac")
    list(write_simulation(base / "src", start=FIRST, frames=FRAMES, rain="heavy"))
    out = base / "R&D <레이더> 자료"
    list(export(base / "src", out, ExportOptions(regions=REGIONS, jobs=1)))
    write_catalog(out)
    return Made(base / "src", out)


@pytest.fixture
def out(made: Made, tmp_path: Path) -> Path:
    """Return a copy that a test may spoil."""
    copy = tmp_path / "out"
    shutil.copytree(made.out, copy)
    return copy


def read(path: Path) -> Json:
    content: Json = json.loads(path.read_text(encoding="utf-8"))
    return content


def item_files(out: Path) -> list[Path]:
    return sorted((out / "items").glob("*.json"))


def items(out: Path) -> Iterator[tuple[Path, Json]]:
    for path in item_files(out):
        yield path, read(path)


def local(home: Path, link: str) -> Path:
    assert not link.startswith("/")
    return home.parent / unquote(link)


def written(out: Path) -> dict[str, bytes]:
    """Return every file that a catalogue consists of."""
    names = [*out.glob("*.json"), *out.glob("*.qml"), *out.glob("*.sld"), *out.glob("*.svg"), *out.glob("*.parquet")]
    return {str(path.relative_to(out)): path.read_bytes() for path in [*names, *item_files(out)]}


def command(*args: object) -> Result:
    app = typer.Typer()
    app.command()(stac_command)
    return CliRunner().invoke(app, [str(arg) for arg in args])


# --- as pystac sees it


@pytest.mark.slow
def test_pystac_opens_every_asset_after_a_move(made: Made, tmp_path: Path) -> None:
    moved = tmp_path / "옮긴 곳"
    shutil.copytree(made.out, moved)
    collection = pystac.Collection.from_file(str(moved / "collection.json"))
    found = list(collection.get_items())
    assert len(found) == FRAMES * len(REGIONS)
    for item in found:
        assert item.get_collection() is collection
        assert item.get_root() is collection
        assert set(item.assets) == {"data", "png", "pgw", "prj", "aux"}
        for asset in item.assets.values():
            path = Path(asset.get_absolute_href() or "")
            assert path.is_relative_to(moved)
            assert path.is_file()
        with rasterio.open(item.assets["data"].get_absolute_href()) as dataset:
            assert dataset.count == 1
    for asset in collection.assets.values():
        path = Path(asset.get_absolute_href() or "")
        assert path.is_relative_to(moved)
        assert path.stat().st_size == FileExtension.ext(asset).size


def test_valid_by_the_core_schemas(made: Made) -> None:
    documents = [read(made.out / "collection.json"), *(content for _path, content in items(made.out))]
    for document in documents:
        pystac.validation.validate_dict(document, extensions=[])  # those of extensions lie in the network
    documents[1]["properties"]["datetime"] = "yesterday"
    with pytest.raises(pystac.STACValidationError):
        pystac.validation.validate_dict(documents[1], extensions=[])


def test_the_projection_is_that_of_the_file(made: Made) -> None:
    for item in pystac.Collection.from_file(str(made.out / "collection.json")).get_items():
        projection = ProjectionExtension.ext(item)
        with rasterio.open(item.assets["data"].get_absolute_href()) as dataset:
            assert projection.code is None  # KMA's conic has none
            assert projection.wkt2 is not None
            assert projection.projjson is not None
            crs = pyproj.CRS.from_wkt(dataset.crs.to_wkt(version="WKT2_2019"))
            assert pyproj.CRS.from_wkt(projection.wkt2) == crs
            assert pyproj.CRS.from_json_dict(projection.projjson) == crs
            assert projection.shape == list(dataset.shape)
            assert projection.transform == list(dataset.transform[:6])
            assert projection.bbox == list(dataset.bounds)


# --- as the specifications and the files have it


def test_fields_of_extensions_are_where_they_belong(made: Made) -> None:
    # projection 2.0.0, raster 2.0.0, file 2.1.0: each declared where it is used, no field of an older version
    uris = [f"https://stac-extensions.github.io/{name}/schema.json" for name in ("file/v2.1.0", "raster/v2.0.0")]
    collection = read(made.out / "collection.json")
    assert collection["stac_extensions"] == uris
    for _path, item in items(made.out):
        assert set(item["stac_extensions"]) == {
            *uris,
            "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
        }
        text = json.dumps(item)
        assert "proj:epsg" not in text
        assert "raster:bands" not in text
        data = item["assets"]["data"]
        assert (data["type"], data["roles"]) == (COG_TYPE, ["data"])
        (band,) = data["bands"]
        assert {name for name in band if ":" in name} == {
            "raster:scale",
            "raster:offset",
            "raster:sampling",
            "raster:spatial_resolution",
        }
        assert band["raster:sampling"] == "area"
        assert all(isinstance(asset["file:size"], int) for asset in item["assets"].values())
    for asset in collection["item_assets"].values():
        assert "href" not in asset
        assert not {name for name in asset if name.startswith("file:")}
    assert "statistics" not in collection["item_assets"]["data"]["bands"][0]


def test_numbers_are_those_of_the_pixels(made: Made) -> None:
    for path, item in items(made.out):
        record, data = item["properties"], item["assets"]["data"]
        (band,) = data["bands"]
        with rasterio.open(local(path, data["href"])) as dataset:
            pixels, tags = dataset.read(1), dataset.tags()
            assert (band["data_type"], band["nodata"], band["unit"]) == (dataset.dtypes[0], dataset.nodata, "dBZ")
            assert (band["raster:scale"], band["raster:offset"]) == (dataset.scales[0], dataset.offsets[0])
            assert band["raster:spatial_resolution"] == dataset.res[0]
        echo = pixels[(pixels != -30000) & (pixels != record["hsrgeo:undetect"])]
        assert record["hsrgeo:count_echo"] == echo.size == band["statistics"]["count"]
        assert record["hsrgeo:count_nodata"] == np.count_nonzero(pixels == -30000)
        assert record["hsrgeo:observed_percent"] == pytest.approx(100 * np.mean(pixels != -30000), abs=1e-3)
        assert (band["statistics"]["minimum"], band["statistics"]["maximum"]) == (echo.min(), echo.max())
        assert band["statistics"]["mean"] == pytest.approx(echo.mean(), abs=1e-3)
        assert band["statistics"]["stddev"] == pytest.approx(echo.std(), abs=1e-3)
        assert record["hsrgeo:maximum"] == pytest.approx(echo.max() / 100)
        assert ",".join(record["hsrgeo:stations"]) == tags["STATIONS"]
        assert record["hsrgeo:source"] == tags["SOURCE"]
        assert record["hsrgeo:values"] == "clean"
        assert record["datetime"] == tags["TIME_START_UTC"]


def test_checksums_are_multihashes_of_the_files(made: Made) -> None:
    for path, item in items(made.out):
        for asset in item["assets"].values():
            content = local(path, asset["href"]).read_bytes()
            assert asset["file:size"] == len(content)
            packed = bytes.fromhex(asset["file:checksum"])
            assert packed[0] & 0x7F | packed[1] << 7 == 0x0132  # varint, multicodec table: crc32
            assert packed[2] == len(packed[3:]) == 4
            assert int.from_bytes(packed[3:], "big") == zlib.crc32(content)


def test_a_file_that_was_edited_since_has_no_checksum(out: Path) -> None:
    path, item = next(items(out))
    with local(path, item["assets"]["png"]["href"]).open("ab") as file:
        file.write(b"more")
    write_catalog(out)
    again = read(path)["assets"]["png"]
    assert "file:checksum" not in again
    assert again["file:size"] == item["assets"]["png"]["file:size"] + 4


def test_ids_times_and_titles(made: Made) -> None:
    found = {content["id"]: content for _path, content in items(made.out)}
    assert len(found) == FRAMES * len(REGIONS)
    assert {path.stem for path in item_files(made.out)} == set(found)
    record = found["HSR-20260823T1450Z-서울-x"]["properties"]
    assert record["title"] == f"SYNTHETIC HSR 2026-08-23 23:50 KST, {SEOUL}"
    assert record["hsrgeo:region"] == SEOUL
    assert record["datetime"] == record["start_datetime"] == "2026-08-23T14:50:00Z"
    assert record["end_datetime"] == "2026-08-23T14:54:59Z"  # the five minutes are the frame's, and no next frame's
    assert "HSR-20260823T1505Z-제주" in found


def test_the_collection_tells_of_all(made: Made) -> None:
    record = read(made.out / "collection.json")
    assert record["id"] == "kma-hsr-reflectivity"
    assert record["extent"]["temporal"]["interval"] == [["2026-08-23T14:50:00Z", "2026-08-23T15:09:59Z"]]
    around, *each = record["extent"]["spatial"]["bbox"]
    assert len(each) == 2
    assert around == [*np.min(each, axis=0)[:2], *np.max(each, axis=0)[2:]]
    assert record["summaries"]["hsrgeo:region"] == [SEOUL, JEJU]
    assert record["summaries"]["proj:code"] == [None]
    assert record["license"] == "other"
    assert [link["href"] for link in record["links"] if link["rel"] == "license"] == [
        "https://www.kogl.or.kr/info/licenseType1.do"
    ]
    roles = {asset["href"]: asset["roles"] for asset in record["assets"].values()}
    assert roles == {
        "./style-reflectivity.qml": ["style"],
        "./style-reflectivity.sld": ["style"],
        "./legend-reflectivity.svg": ["legend"],
    }


def test_made_up_frames_are_not_kmas(made: Made) -> None:
    record = read(made.out / "collection.json")
    assert record["summaries"]["hsrgeo:synthetic"] == [True]
    assert record["title"].startswith("SYNTHETIC")
    assert "synthetic" in record["keywords"]
    assert "Korea" not in json.dumps(record["providers"])


def test_real_frames_are_kmas(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "labels", lambda path: labels(path) | {"SYNTHETIC": ""})
    record = read(write_catalog(out))
    assert record["summaries"]["hsrgeo:synthetic"] == [False]
    assert "synthetic" not in json.dumps([record["title"], record["description"], record["keywords"]]).lower()
    (provider,) = record["providers"]
    assert provider["roles"] == ["producer", "licensor"]
    assert provider["name"].startswith("Korea Meteorological Administration")


# --- footprints


def ring_of(wkt: str, transform: Affine, width: int, height: int) -> tuple[shapely.Polygon, tuple[float, ...]]:
    place = place_of(wkt, transform, width, height)
    assert place.ring[0] == place.ring[-1]
    polygon = shapely.Polygon(place.ring)
    assert polygon.is_valid
    assert polygon.exterior.is_ccw  # RFC 7946, 3.1.6
    return polygon, place.bbox


@pytest.mark.parametrize("name", ["kma-hb-500m", "kma-hb-1km"])
def test_a_footprint_follows_the_curves(name: str) -> None:
    grid = grids()[name]
    polygon, bbox = ring_of(grid.wkt2, grid.transform, grid.width, grid.height)
    # `Grid.lonlat` has KMA's own tables as its check: cells count from their centres there
    cols, rows = np.linspace(-0.5, grid.width - 0.5, 2001), np.linspace(-0.5, grid.height - 0.5, 2001)
    edges = [
        np.column_stack(grid.lonlat(row, col))
        for row, col in (
            (np.full_like(cols, rows[-1]), cols),
            (rows[::-1], np.full_like(rows, cols[-1])),
            (np.full_like(cols, rows[0]), cols[::-1]),
            (rows, np.full_like(rows, cols[0])),
        )
    ]
    true = shapely.Polygon(np.concatenate(edges))
    cell = grid.cell_size_m / 111_000
    assert true.exterior.hausdorff_distance(polygon.exterior) < 0.15 * cell
    assert np.allclose(bbox, true.bounds, atol=0.15 * cell)
    corners = shapely.Polygon([edge[0] for edge in edges])
    assert true.exterior.hausdorff_distance(corners.exterior) > 20 * cell  # four corners would not have done
    west, south, east, north = polygon.bounds
    assert bbox[0] <= west <= east <= bbox[2]
    assert bbox[1] <= south <= north <= bbox[3]


def test_a_small_footprint_has_few_points() -> None:
    grid = grids()["kma-hb-500m"]
    polygon, _bbox = ring_of(grid.wkt2, grid.transform, 64, 64)
    assert len(polygon.exterior.coords) <= 4 * 4 + 1


def test_footprints_in_other_datums_and_in_degrees() -> None:
    # Korean 1985 (Bessel) lies some 300 m from WGS 84: the degrees of its own are not those of GeoJSON
    transform = Affine(500, 0, 200_000, 0, -500, 500_000)
    (lon, lat), *_rest = place_of(pyproj.CRS("EPSG:2097").to_wkt(), transform, 10, 10).ring
    to_lonlat = pyproj.Transformer.from_crs("EPSG:2097", "EPSG:4326", always_xy=True)
    assert (lon, lat) == pytest.approx(to_lonlat.transform(200_000, 495_000), abs=2e-7)
    own = pyproj.Proj("EPSG:2097")(200_000, 495_000, inverse=True)
    assert np.hypot(lon - own[0], lat - own[1]) > 0.002
    geographic = place_of(pyproj.CRS("EPSG:4326").to_wkt(), Affine(0.005, 0, 126, 0, -0.005, 38), 200, 100)
    assert list(geographic.ring) == [(126, 37.5), (127, 37.5), (127, 38), (126, 38), (126, 37.5)]
    assert geographic.projection["proj:code"] == "EPSG:4326"
    assert geographic.resolution_m is None


def test_no_footprint_without_a_crs_or_beyond_the_earth() -> None:
    with pytest.raises(ProjectionError, match="without a CRS"):
        place_of("", Affine.identity(), 10, 10)
    far = Affine(1e9, 0, 1e12, 0, -1e9, 1e12)
    with pytest.raises(ProjectionError, match="no longitude and latitude"):
        place_of(pyproj.CRS("ESRI:54009").to_wkt(), far, 10, 10)


# --- hrefs and names


def test_hrefs_keep_letters_and_escape_what_ends_a_path() -> None:
    assert href("서울 1/06/a.tif") == "./서울 1/06/a.tif"
    assert href("100%/#1/why?.tif", "../") == "../100%25/%231/why%3F.tif"
    assert unquote(href("100%/#1/%20.tif")) == "./100%/#1/%20.tif"


def test_slugs_are_different_and_readable() -> None:
    assert slugs(["서울", "a b", "a/b", "A-B", "#", "%", ""]) == {
        "서울": "서울",
        "a b": "a-b",
        "a/b": "a-b-2",
        "A-B": "A-B-3",
        "#": "region",
        "%": "region-2",
        "": "",
    }
    assert item_id("HSR", FIRST, "") == "HSR-20260823T1450Z"


# --- updates


def test_the_same_bytes_every_time(made: Made, out: Path) -> None:
    before = written(made.out)
    write_catalog(out)
    assert written(out) == before
    write_catalog(out, items="parquet")
    table = written(out)
    write_catalog(out, items="parquet")
    assert written(out) == table
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]


def test_what_is_gone_is_left_out_and_reported(out: Path) -> None:
    path, item = next(items(out))
    cog = local(path, item["assets"]["data"]["href"])
    cog.unlink()
    other = read(item_files(out)[-1])
    png = local(path, other["assets"]["png"]["href"])
    png.unlink()
    (out / "items" / "notes.json").write_text("{}")
    made = make_catalog(out)
    assert made.items == FRAMES * len(REGIONS) - 1
    assert made.contents.missing == (cog.resolve().relative_to(out.resolve()).as_posix(),)
    assert made.lacking == (png.resolve().relative_to(out.resolve()).as_posix(),)
    assert not path.exists()
    assert (out / "items" / "notes.json").exists()
    assert "png" not in read(item_files(out)[-2])["assets"]  # the last is notes.json
    links = [link for link in read(out / "collection.json")["links"] if link["rel"] == "item"]
    assert len(links) == made.items


def test_new_frames_come_in(made: Made, tmp_path: Path) -> None:
    options = ExportOptions(formats="cog", jobs=1, center=(127, 37.5), size=64)
    first, *rest = sorted(made.source.iterdir())
    list(export(first, tmp_path, options))
    assert make_catalog(tmp_path).items == 1
    list(export(rest, tmp_path, options))
    assert make_catalog(tmp_path).items == FRAMES
    assert len(list(pystac.Collection.from_file(str(tmp_path / "collection.json")).get_items())) == FRAMES


def test_a_damaged_cog_is_left_out(out: Path) -> None:
    path, item = next(items(out))
    local(path, item["assets"]["data"]["href"]).write_bytes(b"no TIFF")
    made = make_catalog(out)
    assert (made.items, len(made.damaged)) == (FRAMES * len(REGIONS) - 1, 1)


def test_labels_of_what_is_no_cog(tmp_path: Path) -> None:
    with pytest.raises(ReadbackError, match="cannot be read"):
        labels(tmp_path / "none.tif")
    (tmp_path / "empty.tif").touch()
    with pytest.raises(ReadbackError, match="is not a COG"):
        labels(tmp_path / "empty.tif")


def test_labels_are_gdals_tags(made: Made) -> None:
    for path in [one.path for one in catalog_frames(made.out)]:
        with rasterio.open(path) as dataset:
            tags = {k: v for k, v in dataset.tags().items() if not k.startswith("TIFFTAG_") and k != "AREA_OR_POINT"}
        assert tags.items() <= labels(path).items()


def test_rain_in_another_projection(made: Made, tmp_path: Path) -> None:
    options = ExportOptions(formats="cog", jobs=1, quantity="rain", crs="EPSG:5179", bbox=(126.5, 37, 127.5, 38))
    list(export(made.source, tmp_path, options))
    collection = read(write_catalog(tmp_path))
    assert collection["id"] == "kma-hsr-rain_rate"
    assert collection["summaries"]["proj:code"] == ["EPSG:5179"]
    assert (tmp_path / "style-rain_rate.qml").is_file()
    _path, item = next(items(tmp_path))
    assert item["id"] == "HSR-20260823T1450Z"
    assert item["properties"]["proj:code"] == "EPSG:5179"
    assert item["properties"]["hsrgeo:undetect"] == 0
    assert "hsrgeo:region" not in item["properties"]
    assert item["assets"]["data"]["bands"][0]["unit"] == "mm/h"
    pystac.validation.validate_dict(item, extensions=[])


# --- Parquet


def test_parquet_says_what_json_says(made: Made, out: Path) -> None:
    expected = {content["id"]: content for _path, content in items(made.out)}
    found = make_catalog(out, items="parquet")
    assert (found.form, found.items) == ("parquet", len(expected))
    assert not item_files(out)  # those of the run before
    collection = read(out / "collection.json")
    assert not [link for link in collection["links"] if link["rel"] == "item"]
    assert collection["assets"]["items"]["roles"] == ["collection-mirror"]
    table = parquet.read_table(out / "items.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["columns"]["geometry"]["geometry_types"] == ["Polygon"]
    assert json.loads(table.schema.metadata[b"stac-geoparquet"])["collections"] == {collection["id"]: collection}
    rows = table.to_pylist()
    assert [row["datetime"] for row in rows] == sorted(row["datetime"] for row in rows)
    for row in rows:
        item = expected.pop(row["id"])
        outline = shapely.from_wkb(row["geometry"])
        assert shapely.equals(outline, shapely.geometry.shape(item["geometry"]))
        assert list(row["bbox"].values()) == item["bbox"]
        reported_there = item["properties"]
        reported_there.pop("proj:projjson")
        for name in ("datetime", "start_datetime", "end_datetime"):
            assert row[name] == datetime.fromisoformat(reported_there.pop(name))
        assert {name: row[name] for name in reported_there} == reported_there
        for key, asset in item["assets"].items():
            asset["href"] = asset["href"].replace("../", "./", 1)
            assert {name: value for name, value in row["assets"][key].items() if name != "bands"} == {
                name: value for name, value in asset.items() if name != "bands"
            }
        assert row["assets"]["data"]["bands"] == item["assets"]["data"]["bands"]
    assert not expected
    again = make_catalog(out, items="json")
    assert (again.form, len(item_files(out))) == ("json", len(rows))
    assert not (out / "items.parquet").exists()


def test_parquet_has_a_column_for_every_property() -> None:
    """A property without a column would be left out without a word."""
    names = (
        *("PRODUCT", "KIND", "QUANTITY", "VALUES", "RAIN_LAW", "BIAS_SOURCE", "BIAS_FACTOR", "PERIOD", "METHOD"),
        *("WARP_RESAMPLING", "STATIONS", "SOURCE", "SOURCE_CRC32", "CREATED_UTC", "GRID"),
    )
    numbers = ("FRAMES_USED", "FRAMES_EXPECTED", "UNDETECT", "STATION_COUNT", "COUNT_CAPPED", "STATISTICS_MAXIMUM")
    grid = next(iter(grids().values()))
    place = place_of(grid.wkt2, grid.transform, grid.width, grid.height)
    glance = Glance(grid.width, grid.height, grid.transform, grid.wkt2, (1, 1), -30000, 0.01, 0.0, "dBZ", {})
    for measured in ("ECHO", "VALUE"):
        tags = dict.fromkeys(names, "x") | dict.fromkeys((*numbers, f"COUNT_{measured}"), "1")
        shot = records.Shot("x", FIRST, "x", place, glance, tags, {})
        columns = set(_schema(pa).names)
        assert set(records.item(shot, "x", "./")["properties"]) - columns == {"proj:projjson"}


def test_an_item_of_an_early_frame_stands_for_ten_minutes(tmp_path: Path, make_file: MakeFile) -> None:
    time = datetime(2018, 8, 28, 10, tzinfo=KST)
    (tmp_path / frame_name(time)).write_bytes(make_file(time=time))
    list(export(tmp_path / frame_name(time), tmp_path / "out", ExportOptions(window=(500, 700, 8, 8), jobs=1)))
    collection = read(write_catalog(tmp_path / "out"))
    assert collection["extent"]["temporal"]["interval"] == [["2018-08-28T01:00:00Z", "2018-08-28T01:09:59Z"]]


def test_the_stac_geoparquet_library_reads_it(out: Path) -> None:
    arrow = pytest.importorskip("stac_geoparquet.arrow", exc_type=ImportError)
    write_catalog(out, items="parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(arrow.stac_table_to_items(parquet.read_table(out / "items.parquet")))
    assert len(found) == FRAMES * len(REGIONS)
    for content in found:
        item = pystac.Item.from_dict(content)
        assert item.datetime is not None
        assert ProjectionExtension.ext(item).wkt2
        assert out.joinpath(item.assets["data"].href).is_file()


def test_many_items_become_parquet(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FEW", FRAMES * len(REGIONS))
    assert make_catalog(out).form == "json"
    monkeypatch.setattr(engine, "FEW", FRAMES * len(REGIONS) - 1)
    assert make_catalog(out).form == "parquet"


def test_without_pyarrow(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_catalog(out, items="parquet")
    before = written(out)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hsrgeo\[stac\]'"):
        write_catalog(out, items="parquet")
    assert written(out) == before
    with pytest.raises(MissingExtraError, match=r"hsrgeo\[stac\]"):
        catalog_frames(out)
    assert make_catalog(out).form == "json"


# --- reading back


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_catalogue_leads_back_to_the_cogs(out: Path, form: Any) -> None:
    collection = write_catalog(out, items=form)
    cogs = sorted(out.resolve().rglob("*.tif"), key=lambda path: (path.name, path.parts[-4] == JEJU))
    found = catalog_frames(collection)
    assert found == catalog_frames(out)
    assert [one.path for one in found] == cogs
    assert is_catalog(collection)
    assert [one.path for one in found if one.region == JEJU] == [path for path in cogs if JEJU in path.parts]
    assert {one.product for one in found} == {"HSR"}
    frames = catalog_frames(str(collection))
    assert {frame.region for frame in frames} == {SEOUL, JEJU}
    assert frames[0].time == FIRST.astimezone(UTC)
    assert frames[-1].time - frames[0].time == timedelta(minutes=5 * (FRAMES - 1))
    if form == "parquet":
        assert is_catalog(out / "items.parquet")
        assert [one.path for one in catalog_frames(out / "items.parquet")] == cogs
    else:
        assert [one.path for one in catalog_frames(item_files(out)[0])] == cogs[:1]


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_open_reads_a_catalogue(out: Path, form: Any) -> None:
    pytest.importorskip("xarray")
    collection = write_catalog(out, items=form)
    from_catalog = hsrgeo.open(collection, region=SEOUL)
    from_folder = hsrgeo.open(out, region=SEOUL)
    assert from_catalog.sizes["time"] == FRAMES
    assert from_catalog.identical(from_folder)
    with pytest.raises(OptionsError, match="several regions"):
        hsrgeo.open(collection)


def test_what_is_no_catalogue(out: Path, tmp_path: Path) -> None:
    assert not is_catalog(out / "options.json")
    assert not is_catalog(tmp_path / "none.json")
    assert not is_catalog(tmp_path / "none.parquet")
    bad = {
        "none.json": None,
        "none.parquet": None,
        "text.json": b"no JSON",
        "list.json": b"[1, 2]",
        "other.json": b"{}",
        "text.parquet": b"no Parquet",
        "web.json": json.dumps(
            {
                "type": "Feature",
                "properties": {"datetime": "2026-08-23T14:50:00Z"},
                "assets": {"data": {"href": "https://example.com/a.tif"}},
            }
        ).encode(),
    }
    for name, content in bad.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=name):
            catalog_frames(tmp_path / name)
    packed = io.BytesIO()
    parquet.write_table(parquet.read_table(_other_table(tmp_path)), packed)
    (tmp_path / "other.parquet").write_bytes(packed.getvalue())
    with pytest.raises(SourceError, match=r"other\.parquet"):
        catalog_frames(tmp_path / "other.parquet")


def _other_table(folder: Path) -> Path:
    import pyarrow as pa  # noqa: PLC0415

    path = folder / "numbers.parquet"
    parquet.write_table(pa.table({"a": [1, 2]}), path)
    return path


# --- errors and the command


def test_what_has_no_catalogue(made: Made, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.jsonl"):
        write_catalog(tmp_path)
    list(export(made.source, tmp_path / "png", ExportOptions(formats="png", jobs=1, center=(127, 37.5), size=64)))
    with pytest.raises(OptionsError, match="--format cog"):
        write_catalog(tmp_path / "png")
    with pytest.raises(OptionsError, match="expected one of auto, json, parquet"):
        write_catalog(made.out, items="xml")  # type: ignore[arg-type]


def test_the_command(out: Path) -> None:
    result = command(out, "--id", "제 모음")
    assert result.exit_code == 0
    assert result.stdout == f"{out / 'collection.json'}\n"
    assert "8 items in items/" in result.stderr
    assert read(out / "collection.json")["id"] == "제 모음"
    for path in out.joinpath(JEJU).rglob("*.tif"):
        path.unlink()
    result = command(out, "--items", "parquet")
    assert result.exit_code == 1
    assert "left out: 제주/202608/23/202608232350.tif is in the manifest" in result.stderr
    assert "4 items in items.parquet; 4 files missing or unreadable" in result.stderr
    next(out.joinpath(SEOUL).rglob("*.tif")).write_bytes(b"")
    assert command(out).exit_code == 1
    assert command(out / "nowhere").exit_code == 2


def test_the_disk_refuses(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, os.strerror(28))

    before = (out / "collection.json").read_bytes()
    monkeypatch.setattr(os, "replace", full)
    assert command(out, "--id", "other").exit_code == 1
    assert (out / "collection.json").read_bytes() == before
