"""STAC: what says of every frame where, when and what it is, for programs that search before they open.

Plain dictionaries, for JSON and GeoParquet alike. Every href is relative, so that a folder moves as a whole.

References:
    STAC 1.1.0, Item and Collection; its extensions projection 2.0.0, raster 2.0.0 and file 2.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hsrgeo.gis.footprint import Place
from hsrgeo.model.times import FRAME_STEP, time_label, utc_text
from hsrgeo.writers.glance import Glance
from hsrgeo.writers.tags import OBSERVED_CELLS

Json = dict[str, Any]

VERSION = "1.1.0"
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
PARQUET_TYPE = "application/vnd.apache.parquet"
JSON_TYPE, ITEM_TYPE = "application/json", "application/geo+json"
_FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
_RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
_PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
ITEM_EXTENSIONS = [_FILE, _PROJECTION, _RASTER]
COLLECTION_EXTENSIONS = [_FILE, _RASTER]
SECOND = timedelta(seconds=1)
_CRC32 = "b20204"  # multihash: the code of CRC-32 (0x0132) as a varint, then its length in bytes

ASSETS: dict[str, tuple[str, Json]] = {
    ".tif": ("data", {"type": COG_TYPE, "roles": ["data"]}),
    ".png": ("png", {"title": "16-bit grey PNG, to look at", "type": "image/png", "roles": ["visual"]}),
    ".pgw": ("pgw", {"title": "World file of the PNG", "type": "text/plain", "roles": ["metadata"]}),
    ".prj": ("prj", {"title": "CRS of the PNG", "type": "text/plain", "roles": ["metadata"]}),
    ".png.aux.xml": ("aux", {"title": "GDAL's sidecar of the PNG", "type": "application/xml", "roles": ["metadata"]}),
}
"""By suffix of a file: the key of an item's asset, and what is the same in every item."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of an item."""

    path: str
    """Below OUT, with forward slashes."""
    bytes: int
    crc32: int | None = None
    """Where it is known."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame and where it lies, as an item tells of it."""

    id: str
    time: datetime
    region: str
    """Name of the region, or empty."""
    place: Place
    glance: Glance
    """Packing of this frame's COG, or of one like it."""
    tags: Mapping[str, str]
    """Of this frame's COG, see `hsrgeo.writers.glance`."""
    files: Mapping[str, File]
    """By suffix, of those in `ASSETS`."""
    length: timedelta = FRAME_STEP
    """That it stands for: of a frame see `hsrgeo.model.times.frame_length`, of a sum its period."""


def end_of(shot: Shot) -> datetime:
    """Return the last second that an item stands for.

    Both ends of STAC's interval belong to it: a second less, so that a search for one time finds one frame.
    """
    return shot.time + shot.length - SECOND


def item_id(product: str, time: datetime, region: str) -> str:
    """Return the name of an item: of product, time in UTC and region, whatever the folder is called."""
    return "-".join(part for part in (product, time.astimezone(UTC).strftime("%Y%m%dT%H%MZ"), region) if part)


def slugs(regions: Sequence[str]) -> dict[str, str]:
    """Return regions' names as parts of a file's name and of an address, each another; letters stay, Korean too."""
    used: dict[str, str] = {}
    for region in regions:
        plain = slug = re.sub(r"[^\w.]+", "-", region).strip("-.") or ("region" if region else "")
        number = 1
        while slug.casefold() in {other.casefold() for other in used.values()}:
            number += 1
            slug = f"{plain}-{number}"
        used[region] = slug
    return used


def href(path: str, up: str = "./") -> str:
    """Return a path below OUT, with forward slashes, as an href; `up` is the way to OUT from the file that has it.

    Letters stay as they are, which an IRI allows, and so do spaces: pystac, GDAL and rasterio open local hrefs as
    paths, undecoded, and everything that reads a URL takes a space. What would end the path is escaped.
    """
    return up + path.replace("%", "%25").replace("#", "%23").replace("?", "%3F")


def item(shot: Shot, collection: str, up: str) -> Json:
    """Return an item; `up` is the way from its file to OUT, such as ``../``."""
    ring = [list(point) for point in shot.place.ring]
    home = href("collection.json", up)
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": ITEM_EXTENSIONS,
        "id": shot.id,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": list(shot.place.bbox),
        "properties": _properties(shot),
        "links": [{"rel": rel, "href": home, "type": JSON_TYPE} for rel in ("root", "parent", "collection")],
        "assets": dict(asset_of(suffix, file, shot, up) for suffix, file in shot.files.items()),
        "collection": collection,
    }


def _properties(shot: Shot) -> Json:
    tags, time = shot.tags, utc_text(shot.time)
    measured = "value" if "COUNT_VALUE" in tags else "echo"
    counted = ("nodata", "undetect", measured, "blend") if f"COUNT_{measured.upper()}" in tags else ()
    cells = {name: int(tags.get(f"COUNT_{name.upper()}", 0)) for name in counted}
    observed = sum(cells.get(name, 0) for name in ("undetect", measured))
    every = shot.glance.width * shot.glance.height
    properties = {
        "title": _title(shot),
        "datetime": time,
        "start_datetime": time,
        "end_datetime": utc_text(end_of(shot)),
        "hsrgeo:product": tags.get("PRODUCT"),
        "hsrgeo:kind": tags.get("KIND"),
        "hsrgeo:region": shot.region,
        "hsrgeo:quantity": tags.get("QUANTITY"),
        "hsrgeo:values": tags.get("VALUES"),
        "hsrgeo:rain_law": tags.get("RAIN_LAW"),
        "hsrgeo:bias_source": tags.get("BIAS_SOURCE"),
        "hsrgeo:bias_factor": tags.get("BIAS_FACTOR"),
        "hsrgeo:period": tags.get("PERIOD"),
        "hsrgeo:frames_used": int(tags["FRAMES_USED"]) if "FRAMES_USED" in tags else None,
        "hsrgeo:frames_expected": int(tags["FRAMES_EXPECTED"]) if "FRAMES_EXPECTED" in tags else None,
        "hsrgeo:method": tags.get("METHOD"),
        "hsrgeo:resampling": tags.get("WARP_RESAMPLING"),
        "hsrgeo:undetect": int(tags["UNDETECT"]) if "UNDETECT" in tags else None,
        "hsrgeo:synthetic": tags.get("SYNTHETIC") == "yes",
        "hsrgeo:stations": [code for code in tags.get("STATIONS", "").split(",") if code],
        "hsrgeo:station_count": int(tags.get("STATION_COUNT", 0)),
        "hsrgeo:source": tags.get("SOURCE"),
        "hsrgeo:source_crc32": tags.get("SOURCE_CRC32"),
        "hsrgeo:source_created": tags.get("CREATED_UTC"),
        "hsrgeo:grid": tags.get("GRID"),
        **{f"hsrgeo:count_{name}": count for name, count in cells.items()},
        "hsrgeo:count_capped": int(tags["COUNT_CAPPED"]) if "COUNT_CAPPED" in tags else None,
        "hsrgeo:observed_percent": round(100 * observed / every, 4) if cells else None,
        "hsrgeo:maximum": _physical(tags.get("STATISTICS_MAXIMUM"), shot.glance),
    }
    said = {name: value for name, value in properties.items() if value not in (None, "")}
    return {**said, **shot.place.projection}


def _title(shot: Shot) -> str:
    made_up = "SYNTHETIC " if shot.tags.get("SYNTHETIC") == "yes" else ""
    where = f", {shot.region}" if shot.region else ""
    return f"{made_up}{shot.tags.get('PRODUCT', '')} {time_label(shot.time)}{where}"


def _physical(stored: str | None, glance: Glance) -> float | None:
    return None if stored is None else round(float(stored) * glance.scale + glance.offset, 6)


def asset_of(suffix: str, file: File, shot: Shot, up: str) -> tuple[str, Json]:
    """Return the key of a file in an item's assets, and what stands there."""
    key, same = ASSETS[suffix]
    asset: Json = {"href": href(file.path, up), **same}
    if suffix == ".tif":
        band = _band(shot.glance, shot.place, shot.tags.get("QUANTITY", ""))
        if statistics := _statistics(shot.tags):
            band["statistics"] = statistics
        asset |= {
            "title": _cog_title(shot.glance, shot.tags.get("QUANTITY", "")),
            "bands": [band, *({"name": name, "data_type": shot.glance.dtype} for name in shot.glance.others)],
        }
    asset["file:size"] = file.bytes
    if file.crc32 is not None:
        asset["file:checksum"] = f"{_CRC32}{file.crc32:08x}"
    return key, asset


def _cog_title(glance: Glance, quantity: str) -> str:
    return f"{quantity} [{glance.unit}]" if glance.unit else quantity


def _band(glance: Glance, place: Place, quantity: str) -> Json:
    band: Json = {"name": quantity, "data_type": glance.dtype}
    if glance.nodata is not None:
        band["nodata"] = int(glance.nodata)
    if glance.unit:
        band["unit"] = glance.unit
    band |= {"raster:scale": glance.scale, "raster:offset": glance.offset, "raster:sampling": "area"}
    if place.resolution_m:
        band["raster:spatial_resolution"] = place.resolution_m
    return band


def _statistics(tags: Mapping[str, str]) -> Json:
    """Return the statistics of a COG, in stored units as the nodata beside them, and of how many cells they are."""
    names = {"minimum": "MINIMUM", "maximum": "MAXIMUM", "mean": "MEAN", "stddev": "STDDEV"}
    found = {name: float(tags[f"STATISTICS_{tag}"]) for name, tag in names.items() if f"STATISTICS_{tag}" in tags}
    count = int(tags.get("COUNT_ECHO", tags.get("COUNT_VALUE", 0)))
    if tags.get("STATISTICS_OF") == OBSERVED_CELLS:
        count += int(tags.get("COUNT_UNDETECT", 0))
    return {**found, "count": count} if found and count else {}
