"""Shapes as people have them: Korean shapefiles, GeoPackages, other datums; as basins and as regions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest

from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import read_regions
from hsrgeo.errors import OptionsError
from hsrgeo.model.grid_catalog import grids
from hsrgeo.places.layers import transformer_of
from hsrgeo.places.places import read_points
from hsrgeo.places.polygons import read_polygons
from hsrgeo.products.datums import from_wgs84
from hsrgeo.products.warp import as_target

raw = pytest.importorskip("pyogrio.raw")
shapely = pytest.importorskip("shapely")

SEOUL = (126.9, 37.4, 127.1, 37.6)


def box_in(crs: str) -> tuple[float, float, float, float]:
    """Return the box of Seoul in another CRS."""
    found = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform_bounds(*SEOUL)
    return found[0], found[1], found[2], found[3]


def write(path: Path, *, crs: str = "EPSG:4326", field: str = "name", names: Any = ("한강",), **more: str) -> Path:
    west, south, east, north = box_in(crs)
    drivers = {".gpkg": "GPKG", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON", ".fgb": "FlatGeobuf"}
    raw.write(
        path,
        np.array([shapely.to_wkb(shapely.box(west, south, east, north))] * len(names)),
        field_data=[np.array(names, object if isinstance(names[0], str) else None)],
        fields=[field],
        crs=crs,
        geometry_type="Polygon",
        driver=drivers[path.suffix],
        encoding=more.get("encoding", "UTF-8") if path.suffix == ".shp" else None,
    )
    return path


def test_a_shapefile_alone_lacks_its_other_files(tmp_path: Path) -> None:
    path = write(tmp_path / "b.shp")
    path.with_suffix(".shx").unlink()
    with pytest.raises(OptionsError, match=r"b\.shp: has no \.shx file beside it; .* also needs its \.shx, \.dbf and"):
        read_polygons(path)


def test_polygons_with_lat_before_lon(tmp_path: Path) -> None:
    path = tmp_path / "b.geojson"
    raw.write(
        path,
        np.array([shapely.to_wkb(shapely.box(37.4, 126.9, 37.6, 127.1))]),
        field_data=[np.array(["탄천"], object)],
        fields=["name"],
        crs="EPSG:4326",
        geometry_type="Polygon",
        driver="GeoJSON",
    )
    with pytest.raises(OptionsError, match=r"polygon '탄천': reaches .*; are lon and lat the wrong way round\?$"):
        read_polygons(path).weights(grids()["kma-hb-500m"])


@pytest.mark.parametrize("cpg", [True, False])
@pytest.mark.parametrize("given", ["cp949", None])
def test_a_shapefile_in_korean(tmp_path: Path, cpg: bool, given: str | None) -> None:  # noqa: FBT001
    path = write(tmp_path / "b.shp", field="유역명", encoding="CP949")
    if cpg:
        path.with_suffix(".cpg").write_text("949", encoding="ascii")
    else:
        path.with_suffix(".cpg").unlink()
    if cpg or given:
        polygons = read_polygons(path, name_field="유역명", encoding=given)
        assert polygons.names == ("한강",)
        assert polygons.notes == ()
    else:
        with pytest.raises(OptionsError):
            read_polygons(path, name_field="유역명")
    with pytest.raises(OptionsError) as refused:
        read_polygons(path, name_field="이름", encoding=given)
    if cpg or given:
        assert str(refused.value) == f"{path}: has no field '이름'; choose one of 유역명"
    else:
        assert str(refused.value).endswith("; if these look wrong, say the encoding, as --encoding cp949")


def test_a_cpg_file_that_disagrees_is_believed_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "b.shp")
    polygons = read_polygons(path, encoding="cp949")
    assert polygons.names == ("한강",)
    assert polygons.notes == (f"{path}: its .cpg file says UTF-8, which is used instead of cp949",)


@pytest.mark.parametrize("numbers", [np.array([1001.0]), np.array([1001], np.int64)])
def test_names_that_are_numbers_have_no_decimals(tmp_path: Path, numbers: Any) -> None:
    assert read_polygons(write(tmp_path / "b.gpkg", names=numbers)).names == ("1001",)


def test_names_that_are_fractions_keep_them(tmp_path: Path) -> None:
    assert read_polygons(write(tmp_path / "b.gpkg", names=np.array([10.5]))).names == ("10.5",)


# -- regions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".fgb", ".geojson"])
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:5186", "EPSG:5174"])
def test_regions_of_every_format_and_crs(tmp_path: Path, suffix: str, crs: str) -> None:
    path = write(tmp_path / f"r{suffix}", crs=crs, field="이름")
    if suffix == ".geojson" and crs != "EPSG:4326":  # as GDAL writes it for programs of 2008
        west, south, east, north = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform_bounds(
            *SEOUL
        )
        document = json.loads(path.read_text(encoding="utf-8"))
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        document["features"][0]["geometry"]["coordinates"] = [ring]
        document["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs[5:]}"}}
        path.write_text(json.dumps(document), encoding="utf-8")
    (region,), notes = read_regions(path, "이름")
    assert (region.name, notes) == ("한강", ())
    found = (region.bbox.west, region.bbox.south, region.bbox.east, region.bbox.north)
    assert found == pytest.approx(SEOUL, abs=1e-7 if crs == "EPSG:4326" else 0.002)  # the box turns a little
    assert found[0] <= SEOUL[0] + 1e-6  # 0.002 degrees west: without the shift of datum it lies 0.003 east
    assert [cut.region for cut in ExportOptions(regions=path, regions_field="이름").recipe.cuts] == ["한강"]


def test_regions_as_csv_in_cp949(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes("name,west,south,east,north\n서울,126.9,37.4,127.1,37.6\n".encode("cp949"))
    with pytest.raises(OptionsError, match="or say its encoding, such as --encoding cp949"):
        read_regions(path)
    assert read_regions(path, encoding="cp949")[0][0].name == "서울"
    with pytest.raises(OptionsError, match="'klingon' is not known"):
        read_regions(path, encoding="klingon")
    with pytest.raises(OptionsError, match="is neither UTF-8 nor ascii"):
        read_regions(path, encoding="ascii")


def test_options_of_another_format_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "b.gpkg")
    with pytest.raises(OptionsError, match="encoding is for a CSV or a shapefile; other formats are UTF-8"):
        read_polygons(path, encoding="cp949")
    assert read_polygons(path, encoding="utf-8").names == ("한강",)
    (tmp_path / "r.csv").write_text("name,west,south,east,north\na,126.9,37.4,127.1,37.6\n", encoding="utf-8")
    with pytest.raises(OptionsError, match="the field of names is for shapes; a CSV has a column name"):
        read_regions(tmp_path / "r.csv", "basin")


# -- datums -----------------------------------------------------------------------------------------------------------

BESSEL = "+proj=tmerc +lat_0=38 +lon_0=127 +x_0=200000 +y_0=500000 +ellps=bessel +type=crs"


def test_a_datum_without_a_known_shift_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "b.gpkg", crs=BESSEL)
    message = "PROJ knows no shift between its datum .on Bessel 1841. and WGS 84"
    with pytest.raises(OptionsError, match=message):
        read_polygons(path)
    with pytest.raises(OptionsError, match=message):
        ExportOptions(crs=BESSEL, bbox=SEOUL)


@pytest.mark.parametrize(
    "crs",
    [
        "EPSG:5174",  # Korean 1985: seven parameters
        "EPSG:5186",
        "EPSG:3857",
        f"{BESSEL} +towgs84=-115.8,474.99,674.11,1.16,-2.31,-1.63,6.43",
        "+proj=longlat +ellps=GRS80 +type=crs",  # 0.1 mm from WGS 84
        "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=38 +lon_0=126 +R=6371008.77 +type=crs",  # degrees on a sphere
    ],
)
def test_a_datum_with_a_known_shift_is_taken(crs: str) -> None:
    from_wgs84(pyproj.CRS(crs))
    as_target(crs)


UNKNOWN = 'its CRS is not understood: {}; name it as "EPSG:5186", or take "crs" out where x and y are degrees'


def test_a_grid_that_lies_nowhere_is_no_map() -> None:
    # As WKT and not in a file: what earlier versions of PROJ and GDAL do not know, they refuse as not understood.
    axes = 'CS[Cartesian,2],AXIS["(x)",east],AXIS["(y)",north],LENGTHUNIT["metre",1]'
    with pytest.raises(OptionsError, match="its CRS is A mine, of type Engineering CRS: expected a map of x and y"):
        transformer_of("b.shp", f'ENGCRS["A mine",EDATUM["A shaft"],{axes}]')


@pytest.mark.parametrize(
    ("crs", "message"),
    [
        ("urn:ogc:def:crs:OGC:1.3:CRS84", ""),
        ("http://www.opengis.net/def/crs/EPSG/0/4326", ""),
        ("WGS 84", ""),
        (4326, ""),
        ("Korea 2000 / Central Belt", UNKNOWN.format("'Korea 2000 / Central Belt'")),
        ("EPSG:99999", UNKNOWN.format("'EPSG:99999'")),
        (None, UNKNOWN.format("crs has no name")),
        ("EPSG:5703", "its CRS is NAVD88 height, of type Vertical CRS: expected a map of x and y, or longitude and"),
        ("EPSG:4978", "its CRS is WGS 84, of type Geocentric CRS: expected a map of x and y, or longitude and"),
        ("EPSG:4326+5773", ""),  # degrees with heights
    ],
)
def test_geojson_that_names_a_crs(tmp_path: Path, crs: str | int | None, message: str) -> None:
    path = write(tmp_path / "b.geojson")
    document = json.loads(path.read_text(encoding="utf-8"))
    named = {"type": "EPSG", "properties": {"code": crs}} if crs == 4326 else {"properties": {"name": crs}}
    path.write_text(json.dumps({**document, "crs": {"type": "name", **named}}), encoding="utf-8")
    if not message:
        assert np.concatenate(read_polygons(path).rings[0]).min(axis=0).tolist() == pytest.approx(SEOUL[:2])
        assert read_regions(path)[0][0].bbox.west == pytest.approx(SEOUL[0])
        return
    for read in (read_polygons, read_regions):
        with pytest.raises(OptionsError) as refused:
            read(path)
        assert message in str(refused.value)


@pytest.mark.parametrize("crs", ["EPSG:5186", {"type": "link", "properties": {"href": "a.prj"}}, ["EPSG:5186"]])
def test_geojson_with_a_crs_that_is_no_name(tmp_path: Path, crs: object) -> None:
    path = write(tmp_path / "b.geojson")
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "crs": crs}), encoding="utf-8")
    for read in (read_polygons, read_regions):
        with pytest.raises(OptionsError) as refused:
            read(path)
        assert str(refused.value) == f"{path}: {UNKNOWN.format('crs has no name')}"


def test_geojson_in_metres_that_names_no_crs(tmp_path: Path) -> None:
    """Without a CRS of its own GeoJSON is in degrees; programs write metres all the same."""
    path = tmp_path / "b.geojson"
    ring = [[200_000, 550_000], [210_000, 550_000], [210_000, 560_000], [200_000, 550_000]]
    shapes = {"Polygon": ([ring], "210000 560000"), "Point": (ring[0], "200000 550000")}
    for kind, (coordinates, found) in shapes.items():
        shape = {"type": kind, "coordinates": coordinates}
        feature = {"type": "Feature", "properties": {"name": "a"}, "geometry": shape}
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        with pytest.raises(OptionsError) as refused:
            (read_polygons if kind == "Polygon" else read_points)(path)
        assert str(refused.value) == (
            f"{path}, 'a': expected degrees, as in WGS 84, found {found}; these look like metres: name their CRS"
        )


def test_one_way_serves_a_whole_geometry() -> None:
    transformer = from_wgs84(pyproj.CRS("EPSG:4162"))  # Korean 1985, degrees
    lon = np.linspace(120, 134, 1401)  # far beyond South Korea
    moved = transformer.transform(lon, np.full(lon.shape, 37.0))[0] - lon
    assert np.abs(np.diff(moved)).max() < 1e-6  # 0.1 m from one to the next; another way would jump by 300 m
