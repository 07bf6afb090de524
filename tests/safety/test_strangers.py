"""Cubes, references, catalogues and polygons of strangers: what they ask for is not done."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from numcodecs import pickles

import hsrgeo
from hsrgeo.cube.allowed_codecs import refuse_unknown_codecs
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.outputs.catalogs import catalog_frames
from hsrgeo.places.polygons import read_polygons

FRAMES = Path(__file__).parents[2] / "examples" / "frames"


class Touch:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def made(out: Path, **options: Any) -> Path:
    frames = hsrgeo.ExportOptions(window=(500, 600, 32, 32), jobs=1, end=hsrgeo.parse_time("202206090620"))
    for outcome in hsrgeo.make_cube(FRAMES, out, hsrgeo.CubeOptions(frames=frames, **options)):
        assert outcome.status == "ok"
    return out


def replaced_codec(path: Path, key: str, codec: Any) -> None:
    record = json.loads(path.read_bytes())
    record[key] = codec
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(("zarr_format", "layout"), [(2, "map"), (3, "map"), (3, "series")])
def test_a_pickle_in_a_cube_is_never_opened(
    tmp_path: Path, zarr_format: int, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)  # as older releases
    cube = made(tmp_path / "cube.zarr", zarr_format=zarr_format, layout=layout)
    ran = tmp_path / "ran"
    array = cube / "x"  # a coordinate: read as soon as the cube is opened
    data = pickle.dumps([Touch(ran)])
    if zarr_format == 2:
        replaced_codec(array / ".zarray", "compressor", {"id": "pickle", "protocol": 5})
        (array / "0").write_bytes(data)
    else:
        record = {"name": "numcodecs.pickle", "configuration": {"protocol": 5}}
        replaced_codec(array / "zarr.json", "codecs", [record])
        (array / "c" / "0").write_bytes(data)
    with pytest.raises(SourceError, match=r"cube\.zarr: asks for the codec '(numcodecs\.)?pickle': hsrgeo unpacks"):
        hsrgeo.open(cube).load()
    points = tmp_path / "points.csv"
    points.write_text("name,lon,lat\na,127,37.5\n")
    with pytest.raises(SourceError, match="pickle"):
        list(hsrgeo.series(cube, tmp_path / "s.csv", hsrgeo.SeriesOptions(points=points, jobs=1)))
    assert not ran.exists()


@pytest.mark.parametrize(
    "metadata",
    [
        {"codecs": [{"name": "bytes"}, {"name": "sharding_indexed", "configuration": {"codecs": ["pickle"]}}]},
        {"codecs": [{"name": "sharding_indexed", "configuration": {"index_codecs": [{"name": "numcodecs.pickle"}]}}]},
        {"storage_transformers": [{"name": "elsewhere"}]},
        {"compressor": None, "filters": [{"id": "delta"}, {"id": "pickle"}]},
        {"compressor": {"id": "zstd"}, "filters": None, "dtype": "|O"},
        {"consolidated_metadata": {"metadata": {"x": {"codecs": [{"name": "msgpack2"}]}}}},
        {"metadata": {"x/.zarray": {"compressor": {"id": "json2"}}}},
    ],
)
def test_codecs_are_found_wherever_metadata_have_them(metadata: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="asks for the codec"):
        refuse_unknown_codecs("cube", json.dumps(metadata).encode())


def test_texts_of_a_cube_may_have_any_word() -> None:
    metadata = {"attributes": {"codecs": "pickle", "filters": ["pickle"]}, ".zattrs": {"compressor": {"id": "pickle"}}}
    refuse_unknown_codecs("cube", json.dumps(metadata).encode())


def test_a_pickle_in_a_reference_is_never_opened(tmp_path: Path) -> None:
    reference = made(tmp_path / "cube.json", virtual=True)
    ran = tmp_path / "ran"
    content = json.loads(reference.read_text())
    array = json.loads(content["refs"]["x/.zarray"])
    content["refs"]["x/.zarray"] = json.dumps({**array, "compressor": {"id": "pickle", "protocol": 5}})
    content["refs"]["x/0"] = "base64:" + base64.b64encode(pickle.dumps([Touch(ran)])).decode()
    reference.write_text(json.dumps(content))
    with pytest.raises(SourceError, match="asks for the codec 'pickle'"):
        hsrgeo.open(reference)
    assert not ran.exists()


@pytest.mark.parametrize(
    "place",
    [["file:///etc/passwd"], ["http://169.254.169.254/latest/meta-data"], ["file:///dev/zero", 0, 100]],
    ids=["file", "address", "device"],
)
def test_a_reference_leads_to_frames_only(tmp_path: Path, place: list[Any]) -> None:
    reference = made(tmp_path / "cube.json", virtual=True)
    content = json.loads(reference.read_text())
    key = next(key for key in content["refs"] if key.endswith("/0.0.0"))
    content["refs"][key] = place
    reference.write_text(json.dumps(content))
    with pytest.raises(SourceError, match="which is named neither as a frame nor as an archive"):
        hsrgeo.open(reference)


@pytest.mark.parametrize(
    "href", ["/etc/passwd", "../other/x.tif", "/vsicurl/http://127.0.0.1:9/x.tif", "%2e%2e/x.tif", "//host/x.tif"]
)
def test_a_catalogue_leads_to_files_below_its_folder_only(tmp_path: Path, href: str) -> None:
    folder = tmp_path / "out"
    (folder / "items").mkdir(parents=True)
    links = [{"rel": "item", "href": "./items/a.json"}]
    (folder / "collection.json").write_text(json.dumps({"type": "Collection", "links": links}))
    item = {
        "type": "Feature",
        "properties": {"datetime": "2022-06-08T21:15:00Z", "hsrgeo:product": "HSR"},
        "assets": {"data": {"href": "../202206/a.tif"}},
    }
    (folder / "items" / "a.json").write_text(json.dumps(item))
    assert catalog_frames(folder)[0].path == folder / "202206" / "a.tif"
    item["assets"] = {"data": {"href": href if href.startswith(("/", "%")) else f"../{href}"}}
    if href.startswith("%"):
        item["assets"] = {"data": {"href": f"../{href}"}}
    (folder / "items" / "a.json").write_text(json.dumps(item))
    with pytest.raises(SourceError, match="which is no file below the folder of the catalogue"):
        catalog_frames(folder)


SQUARE = {"type": "Polygon", "coordinates": [[[127, 37], [128, 37], [128, 38], [127, 37]]]}
BASIN = {"type": "Feature", "properties": {"name": "a"}, "geometry": SQUARE}
OGR_VRT = '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.vrt", OGR_VRT.format("b.geojson"), "expected polygons as GeoJSON"),
        ("a.geojson", OGR_VRT.format("b.geojson"), "is no GeoJSON"),
        ("a.gpkg", OGR_VRT.format("b.geojson"), "is not a .gpkg file, although"),
        ("a.shp", OGR_VRT.format("b.geojson"), "is not a .shp file, although"),
        (
            "a.json",
            '{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read b"}',
            "found 'gdal",
        ),
        ("a.json", '{"type": "Topology", "objects": {}}', "found 'Topology'"),
        ("a.zip", "PK", "shapefile .* unpacked"),
    ],
)
def test_polygons_come_from_four_formats_only(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "b.geojson").write_text(json.dumps(BASIN))
    assert read_polygons(tmp_path / "b.geojson").names == ("a",)
    (tmp_path / name).write_text(text)
    with pytest.raises(OptionsError, match=message):
        read_polygons(tmp_path / name)


@pytest.mark.parametrize("path", ["/vsicurl/http://127.0.0.1:9/a.geojson", "http://127.0.0.1:9/a.geojson", "/dev/null"])
def test_polygons_come_from_files_only(path: str) -> None:
    with pytest.raises(OptionsError):
        read_polygons(path)
