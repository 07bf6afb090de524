"""The collection of a STAC catalogue: what holds for all of its items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hsrgeo.gis.stac import COLLECTION_EXTENSIONS, JSON_TYPE, SECOND, VERSION, Json, Shot, asset_of
from hsrgeo.model.times import time_label, utc_text
from hsrgeo.writers.tags import LICENCE

LICENCE_URL = "https://www.kogl.or.kr/info/licenseType1.do"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a collection says of its items."""

    id: str
    first: datetime
    last: datetime
    """Time of the last frame."""
    end: datetime
    """Latest second that an item stands for."""
    shots: tuple[Shot, ...]
    """One of each kind: region, product and place."""
    synthetic: frozenset[bool]
    """Whether frames are made up: one of them, or both."""
    values: frozenset[str]


def collection(summary: Summary, links: Iterable[Json], assets: Mapping[str, Json]) -> Json:
    """Return a collection; the assets are those of all items together."""
    shots = summary.shots
    products = _distinct(shot.tags.get("PRODUCT") for shot in shots)
    quantities = _distinct(shot.tags.get("QUANTITY") for shot in shots)
    bboxes = list(dict.fromkeys(shot.place.bbox for shot in shots))
    around = [
        *(min(box[side] for box in bboxes) for side in (0, 1)),
        *(max(box[side] for box in bboxes) for side in (2, 3)),
    ]
    of = f"KMA {', '.join(products)}" if products else "Rain gauges"
    sums = _sums_described(shots)
    made_up = summary.synthetic == {True}
    until = summary.last if sums is None else summary.end + SECOND
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "stac_extensions": COLLECTION_EXTENSIONS,
        "id": summary.id,
        "title": f"{'SYNTHETIC ' if made_up else ''}{of} {', '.join(quantities)} "
        f"{time_label(summary.first, until, between=' - ')}",
        "description": _description(summary.synthetic) if sums is None else sums,
        "keywords": _distinct([*_KEYWORDS[0 if products else 3 :], *products, *quantities])
        + (["synthetic"] if True in summary.synthetic else []),
        "license": "other",
        "providers": _providers(made_up=made_up) if products else [],
        "extent": {
            "spatial": {"bbox": [around, *map(list, bboxes)] if len(bboxes) > 1 else [around]},
            "temporal": {"interval": [[utc_text(summary.first), utc_text(summary.end)]]},
        },
        "summaries": _summaries(summary, products, quantities),
        "item_assets": _item_assets(shots),
        "assets": dict(assets),
        "links": [
            {"rel": "root", "href": "./collection.json", "type": JSON_TYPE},
            *([{"rel": "license", "href": LICENCE_URL, "type": "text/html", "title": LICENCE}] if products else []),
            *links,
        ],
    }


_KEYWORDS = ("KMA", "radar", "composite", "Korea", "precipitation")


def _sums_described(shots: Sequence[Shot]) -> str | None:
    """Return the description of a collection of sums or gauge fields; None where there are frames."""
    if not all("PERIOD" in shot.tags for shot in shots):
        return None
    made_up = any(shot.tags.get("SYNTHETIC") == "yes" for shot in shots)
    return (
        f"{'**Made up by `hsrgeo simulate`: no measurement of anything.** ' if made_up else ''}Rain depth as "
        "Cloud-Optimised GeoTIFFs, one item for each period and region.\n\nStored integers become mm by "
        "`raster:scale`. `nodata` is not known; gaps are not filled, and `hsrgeo:frames_used` of "
        "`hsrgeo:frames_expected` tells of them. Intervals are the periods; of rolling maxima, the whole run."
    )


def _distinct(values: Iterable[str | None]) -> list[str]:
    return [value for value in dict.fromkeys(values) if value]


def _description(synthetic: frozenset[bool]) -> str:
    made_up = {
        frozenset({True}): "**Made up by `hsrgeo simulate`: no measurement of anything.** ",
        frozenset({True, False}): "**Some frames are made up by `hsrgeo simulate`: `hsrgeo:synthetic` tells.** ",
    }
    return (
        f"{made_up.get(synthetic, '')}Composites of the weather radars of the Korea Meteorological Administration as "
        "Cloud-Optimised GeoTIFFs, one item for each frame and region.\n\n"
        "Stored integers become physical values by `raster:scale` and `raster:offset`. `nodata` is not observed; "
        "`hsrgeo:undetect` is the stored value of observed and nothing there. Statistics of rain are those of all "
        "observed cells, else of those with a value, in stored units; `hsrgeo:maximum` is physical. Intervals are the "
        "time that a frame stands for."
    )


def _providers(*, made_up: bool) -> list[Json]:
    if made_up:
        return [{"name": "hsrgeo simulate", "description": "Synthetic frames", "roles": ["producer"]}]
    return [
        {
            "name": "Korea Meteorological Administration (KMA)",
            "roles": ["producer", "licensor"],
            "url": "https://www.kma.go.kr",
        }
    ]


def _summaries(summary: Summary, products: list[str], quantities: list[str]) -> Json:
    shots = summary.shots
    codes = list(dict.fromkeys(shot.place.projection["proj:code"] for shot in shots))
    summaries: Json = {
        "hsrgeo:product": products,
        "hsrgeo:quantity": quantities,
        "hsrgeo:region": _distinct(shot.region for shot in shots),
        "hsrgeo:grid": _distinct(shot.tags.get("GRID") for shot in shots),
        "hsrgeo:values": sorted(summary.values),
        "hsrgeo:synthetic": sorted(summary.synthetic),
        "proj:code": codes,
        "proj:wkt2": _distinct(shot.place.projection["proj:wkt2"] for shot in shots),
    }
    return {name: values for name, values in summaries.items() if values}


def _item_assets(shots: Sequence[Shot]) -> Json:
    assets: Json = {}
    for shot in shots:
        for suffix, file in shot.files.items():
            key, asset = asset_of(suffix, file, shot, "./")
            for band in asset.get("bands", []):
                band.pop("statistics", None)
            constant = {
                name: value for name, value in asset.items() if name not in ("href", "file:size", "file:checksum")
            }
            # Several quantities or packings: only what holds for each of them.
            known = assets.get(key, constant)
            assets[key] = {name: value for name, value in known.items() if constant.get(name) == value}
    return assets
