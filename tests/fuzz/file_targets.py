"""Doors that read text files: regions, gauges, polygons, options.json, manifest.jsonl and catalogues."""

from __future__ import annotations

import json
import math
import os
import random
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region, read_regions
from hsrgeo.errors import FrameError, HsrGeoError, ManifestError, OptionsError, SourceError
from hsrgeo.formats.names import parse_name
from hsrgeo.model.window import BBox
from hsrgeo.outputs.catalogs import catalog_frames, is_catalog
from hsrgeo.outputs.folder import exported_frames
from hsrgeo.outputs.kept_recipe import keep_recipe, refuse_other_recipe
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import MANIFEST, OPTIONS
from hsrgeo.outputs.outcome import Outcome, Output, to_json
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.outputs.stacks import stacks_of
from hsrgeo.places.places import read_points
from hsrgeo.places.polygons import read_polygons
from hsrgeo.sources.select import Selection
from tests.conftest import frame_name
from tests.fuzz.mutate import flip_bytes, text_bytes, twist_json, twist_text
from tests.fuzz.targets import Target, require, sandbox

_TRIANGLE = [[[126.7, 37.4], [127.2, 37.4], [127.2, 37.7], [126.7, 37.4]]]


def _feature(name: object, geometry: object) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"name": name}, "geometry": geometry}


_FEATURES = {
    "type": "FeatureCollection",
    "features": [
        _feature("서울", {"type": "Polygon", "coordinates": _TRIANGLE}),
        _feature("two", {"type": "MultiPolygon", "coordinates": [_TRIANGLE]}),
    ],
}
_POINTS = _feature(7, {"type": "GeometryCollection", "geometries": [{"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}]})  # fmt: skip  # noqa: E501


class Regions(Target):
    """Named boxes, from CSV and GeoJSON."""

    name = "regions"
    share = 6
    _csv = 'name,west,south,east,north\n서울,126.7,37.4,127.2,37.7\r\n"Busan, city", 128.8,35,129.3,35.4\n'

    def make(self, chance: random.Random) -> bytes:
        if chance.random() < 0.5:
            return twist_json(chance, chance.choice((_FEATURES, _POINTS, _FEATURES["features"][0])))
        data = text_bytes(chance, twist_text(chance, self._csv))
        return data if chance.random() < 0.8 else flip_bytes(chance, data)

    def check(self, data: bytes) -> bool:
        path = sandbox() / "regions"
        path.write_bytes(data)
        try:
            regions = read_regions(path)[0]
        except OptionsError:
            return False
        require(regions, "no region")
        require(len({region.name.casefold() for region in regions}) == len(regions), "one folder for two")
        for region in regions:
            box = region.bbox
            require(-180 <= box.west < box.east <= 180 and -90 <= box.south < box.north <= 90, f"the box {box}")
            require(region.name not in ("", ".", ".."), f"a name {region.name!r}")
            require(not set("/\\\0") & set(region.name), f"a name {region.name!r}")
        rows = ["name,west,south,east,north"]
        for region in regions:
            box = region.bbox
            rows.append(f"{region.name},{box.west!r},{box.south!r},{box.east!r},{box.north!r}")
        if not any(set(',"') & set(region.name) for region in regions):
            path.write_text("\n".join(rows), encoding="utf-8")
            require(read_regions(path)[0] == regions, "written as CSV, it is not the same")
        return True


class Gauges(Target):
    """Gauges from CSV."""

    name = "gauges"
    share = 4
    _csv = 'name,lon,lat,height\n서울,126.98,37.57,86\r\n"Busan, city", 129.03,35.1,\n\n'

    def make(self, chance: random.Random) -> bytes:
        data = text_bytes(chance, twist_text(chance, self._csv))
        return data if chance.random() < 0.8 else flip_bytes(chance, data)

    def check(self, data: bytes) -> bool:
        path = sandbox() / "gauges.csv"
        path.write_bytes(data)
        try:
            points = read_points(path)
        except OptionsError:
            return False
        require(len(set(points.names)) == len(points.names) == len(points.lonlat) > 0, "names and places")
        for lon, lat in points.lonlat:
            require(math.isfinite(lon) and abs(lon) <= 180 and math.isfinite(lat) and abs(lat) <= 90, f"{lon} {lat}")
        return True


class Basins(Target):
    """Polygons from GeoJSON, through GDAL."""

    name = "basins"
    share = 1

    def make(self, chance: random.Random) -> bytes:
        return twist_json(chance, _FEATURES)

    def check(self, data: bytes) -> bool:
        path = sandbox() / "basins.geojson"
        path.write_bytes(data)
        try:
            polygons = read_polygons(path)
        except OptionsError:
            return False
        require(len(set(polygons.names)) == len(polygons.names) == len(polygons.rings) > 0, "names and rings")
        require(all(polygons.names), "no name")
        return True


@cache
def _recipes() -> tuple[Recipe, ...]:
    areas: tuple[dict[str, Any], ...] = (
        {"bbox": (126.7, 37.4, 127.2, 37.7)},
        {"window": (1, 2, 3, 4), "quantity": "rain"},
        {"center": (127, 37), "size": 9, "crs": "EPSG:5179"},
        {"regions": (Region("one", BBox(126, 36, 127, 37)), Region("둘", BBox(127, 36, 128, 37)))},
    )
    return tuple(ExportOptions(jobs=1, **area).recipe for area in areas)


class Options(Target):
    """options.json of an exported folder, to all who read it."""

    name = "options"
    share = 4

    def make(self, chance: random.Random) -> bytes:
        recipe = chance.choice(_recipes())
        return twist_json(chance, {"hsrgeo": "1.0", "recipe": recipe.as_json()})

    def check(self, data: bytes) -> bool:
        out = sandbox() / "options"
        _make_out(out, data, b"".join(_manifest_lines()[:3]))
        accepted = False
        try:
            for one in exported_frames(out, Selection()):
                require(one.error is not None or out in one.path.parents, f"leads outside: {one.path}")
            accepted = True
        except (ManifestError, OptionsError):
            pass
        for read in (lambda: refuse_other_recipe(out, _recipes()[0]), lambda: stacks_of(out)):
            with suppress(ManifestError, OptionsError):
                read()
        return accepted


def _make_out(out: Path, options: bytes, manifest: bytes) -> None:
    out.mkdir(exist_ok=True)
    (out / OPTIONS).write_bytes(options)
    (out / MANIFEST).write_bytes(manifest)


@cache
def _manifest_lines() -> list[bytes]:
    names = [frame_name(), frame_name(kind="KMA"), "RDR_CMP_HSP_PUB_202206091120.bin"]
    frame_names = [parse_name(name) for name in names]
    outputs = (Output("202206/09/202206091115.tif", 9, 7), Output("202206/09/202206091115.png", 9, 8))
    broken = FrameError("empty file", "a composite", "0 bytes", "a.tar.gz", names[2])
    outcomes = (
        Outcome(
            "a.tar.gz", names[0], frame_names[0], "ok", outputs, stations=9, created="2022-06-09T02:22:00Z", stamp="9"
        ),
        Outcome("b.tar.gz", names[1], frame_names[1], "duplicate", winner=f"a.tar.gz [{names[0]}]"),
        Outcome("a.tar.gz", names[2], frame_names[2], "failed", error=broken),
        Outcome("/data/odd.bin", None, None, "failed", error=HsrGeoError("odd")),
    )
    return [json.dumps(to_json(outcome), ensure_ascii=False).encode() + b"\n" for outcome in outcomes]


class Manifests(Target):
    """manifest.jsonl of an exported folder: read, appended to and put in order."""

    name = "manifest"
    share = 3

    def make(self, chance: random.Random) -> bytes:
        lines = list(_manifest_lines())
        for _ in range(chance.randint(1, 2)):
            number = chance.randrange(len(lines))
            line = lines[number]
            try:
                lines[number] = twist_json(chance, json.loads(line), most=2) + b"\n"
            except (ValueError, RecursionError):  # it was twisted before
                lines[number] = flip_bytes(chance, line)
        data = b"".join(chance.sample(lines, len(lines)) if chance.random() < 0.3 else lines)
        return data if chance.random() < 0.9 else flip_bytes(chance, data)

    def check(self, data: bytes) -> bool:
        out = sandbox() / "manifest"
        _make_out(out, b"", data)
        if not (sandbox() / "kept").exists():
            (sandbox() / "kept").mkdir()
            keep_recipe(sandbox() / "kept", _recipes()[0])
        (out / OPTIONS).write_bytes((sandbox() / "kept" / OPTIONS).read_bytes())
        accepted = False
        try:
            for one in exported_frames(out, Selection(product="HSR")):
                require(one.error is not None or out in one.path.parents, f"leads outside: {one.path}")
            accepted = True
            stacks_of(out)
        except (ManifestError, OptionsError):
            pass
        try:
            with Manifest(out) as manifest:
                before = {line.label for line in manifest}
                for line in manifest:
                    str(line.standing), line.name
                    manifest.get(line.label)
                    if line.key:
                        manifest.kept(line.key)
                    for output in line.outputs:
                        path = os.path.normpath(os.path.join(out, output.path))  # noqa: PTH118 - an oracle
                        require(path.startswith(f"{out}/"), f"leads outside: {output.path!r}")
                manifest.put_in_order()
                require({line.label for line in manifest} == before, "frames were lost in putting it in order")
        except ManifestError:
            require(not accepted, "read only it is sound, and damaged to be written")
        return accepted


class Catalogs(Target):
    """STAC catalogues as sources: a collection and its items, or an item of its own."""

    name = "catalogs"
    share = 3
    _item: dict[str, Any] = {  # noqa: RUF012 - nobody changes it
        "type": "Feature", "stac_version": "1.1.0", "id": "a", "geometry": None, "links": [],
        "properties": {"datetime": "2022-06-09T02:15:00Z", "hsrgeo:product": "HSR", "hsrgeo:region": ""},
        "assets": {"data": {"href": "../202206/09/202206091115.tif", "roles": ["data"]}},
    }  # fmt: skip
    _collection: dict[str, Any] = {  # noqa: RUF012
        "type": "Collection", "stac_version": "1.1.0", "id": "c", "license": "other",
        "links": [{"rel": "root", "href": "collection.json"}, {"rel": "item", "href": "items/a.json"},
                  {"rel": "item", "href": "items/b.json"}],
        "assets": {"legend": {"href": "legend.png", "roles": ["metadata"]}},
    }  # fmt: skip

    def make(self, chance: random.Random) -> bytes:
        parts = [json.dumps(part).encode() for part in (self._collection, self._item, self._item)]
        which = chance.choice((0, 1, 1))
        parts[which] = twist_json(chance, self._collection if which == 0 else self._item)
        return b"\n\x1e\n".join(parts)

    def check(self, data: bytes) -> bool:
        home = sandbox() / "catalog"
        (home / "items").mkdir(parents=True, exist_ok=True)
        parts = [*data.split(b"\n\x1e\n"), b"", b""]
        for name, part in zip(("collection.json", "items/a.json", "items/b.json"), parts, strict=False):
            (home / name).write_bytes(part)
        is_catalog(home / "collection.json")
        accepted = True
        for path in (home, home / "items" / "a.json"):
            try:
                for one in catalog_frames(path):
                    require(one.path.is_absolute() and one.time.utcoffset() is not None, f"{one}")
                    require({type(one.product), type(one.region)} == {str}, f"{one}")
            except SourceError:
                accepted = False
        return accepted
