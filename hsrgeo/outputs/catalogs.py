"""A STAC catalogue as a source: the files that its items refer to. It needs neither STAC nor GIS libraries."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hsrgeo.errors import SourceError
from hsrgeo.model.times import existing
from hsrgeo.outputs.names import COLLECTION
from hsrgeo.outputs.parquet_rows import parquet_rows
from hsrgeo.sources.arrow import pyarrow_modules
from hsrgeo.sources.texts import refuse_special

_ASSET = "data"
_LARGEST_BYTES = 64 << 20
"""Of a file of JSON: a collection of more than 500 items has them in a table (`hsrgeo stac`)."""


@dataclass(frozen=True, slots=True)
class Cataloged:
    """A frame of a catalogue."""

    path: Path
    """Path of its COG."""
    time: datetime
    product: str
    region: str
    """Name of the region, or empty."""


def is_catalog(path: str | Path) -> bool:
    """Tell whether a path is a STAC collection, or a GeoParquet file of items, that `hsrgeo stac` could have made."""
    path = Path(path)
    if path.suffix == ".parquet":
        return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises where a name is too long
    try:
        return path.suffix == ".json" and _read(path).get("type") == "Collection"
    except SourceError:
        return False


def catalog_frames(path: str | Path) -> list[Cataloged]:
    """Return the COGs that a catalogue leads to, and what it tells of them, by time.

    Args:
        path: ``collection.json`` or ``items.parquet`` of `hsrgeo stac`, or the folder that holds it.

    Raises:
        SourceError: There is no catalogue, it is damaged, or leads elsewhere than to local files.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    path = Path(path)
    if path.is_dir():
        path /= COLLECTION
    try:
        items = _parquet_items(path) if path.suffix == ".parquet" else _json_items(path)
        found = [_frame(home, item, root) for home, item, root in items]
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:  # the last from links in a circle
        raise SourceError(str(path), f"is no STAC catalogue of frames: {error!r}") from error
    return sorted(found, key=lambda one: (one.time, one.product, one.region))


def _frame(home: Path, item: dict[str, Any], root: Path) -> Cataloged:
    properties = item["properties"]
    time = properties["datetime"]
    time = existing(time if isinstance(time, datetime) else datetime.fromisoformat(time))
    if time.tzinfo is None:
        raise ValueError(f"the time {time} has no zone")
    product, region = properties.get("hsrgeo:product") or "", properties.get("hsrgeo:region") or ""
    if not (isinstance(product, str) and isinstance(region, str)):
        raise TypeError(f"product {product!r}, region {region!r}: expected texts")
    return Cataloged(_local(home, item["assets"][_ASSET]["href"], root), time, product, region)


def _local(home: Path, href: str, root: Path) -> Path:
    """Return the file that an href leads to: one below the folder of the catalogue."""
    parts = urlsplit(href)
    path = Path(os.path.abspath(home.parent / unquote(parts.path)))  # noqa: PTH100 - links stay: the user made them
    if parts.scheme or parts.netloc or not path.is_relative_to(os.path.abspath(root)):  # noqa: PTH100
        raise SourceError(str(home), f"leads to {href}, which is no file below the folder of the catalogue")
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        refuse_special(path, pipes=False)
        if (size := path.stat().st_size) > _LARGEST_BYTES:
            raise SourceError(str(path), f"is no JSON of a catalogue: {size:,} bytes")
        content: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise SourceError(str(path), f"is no JSON of a catalogue: {error}") from error
    return content


def _json_items(path: Path) -> Iterator[tuple[Path, dict[str, Any], Path]]:
    """Yield items, each with the file whose folder its hrefs start from, and the folder that they stay below."""
    content = _read(path)
    if content["type"] == "Feature":
        yield path, content, path.parent.parent  # an item lies in a folder beside those of its files
        return
    homes = [_local(path, link["href"], path.parent) for link in content["links"] if link["rel"] == "item"]
    for home in homes:
        yield home, _read(home), path.parent
    if homes:
        return  # a table beside them tells of the same items
    for asset in content.get("assets", {}).values():
        if "collection-mirror" in asset.get("roles", ()):
            yield from _parquet_items(_local(path, asset["href"], path.parent))


def _parquet_items(path: Path) -> Iterator[tuple[Path, dict[str, Any], Path]]:
    pa, _parquet = pyarrow_modules("for a catalogue as Parquet", "stac")
    names = ["datetime", "hsrgeo:product", "hsrgeo:region"]
    try:
        refuse_special(path, pipes=False)
        for row in parquet_rows(path, [*names, f"assets.{_ASSET}.href"]):
            yield path, {"properties": {name: row[name] for name in names}, "assets": row["assets"]}, path.parent
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error
    except pa.ArrowException as error:
        raise SourceError(str(path), f"is no Parquet file of a catalogue: {error}") from error
