"""Which codecs a Zarr store may ask for: one that unpacks numbers, and none that runs what a file holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hsrgeo.errors import SourceError

METADATA = (".zarray", ".zgroup", ".zmetadata", "zarr.json")
"""Last part of the keys that hold metadata, of Zarr 2 and Zarr 3."""
_KNOWN = {
    "blosc",
    "bytes",
    "crc32c",
    "delta",
    "gzip",
    "lz4",
    "sharding_indexed",
    "shuffle",
    "transpose",
    "zlib",
    "zstd",
}
_KNOWN |= {"hsrgeo_frame", "hsrgeo_degrees"}
# ^ those of hsrgeo's own cubes, and those that others pack such numbers with; zarr knows "pickle" too


def refuse_unknown_codecs(store: str, metadata: bytes) -> None:
    """Look at the metadata of a group or an array before zarr does.

    Args:
        store: Path of the cube or reference.
        metadata: What a key of `METADATA` holds; what is no JSON is left to zarr.

    Raises:
        SourceError: It asks for a codec that is not known, or for Python's objects.
    """
    try:
        record = json.loads(metadata)
    except (ValueError, RecursionError):
        return
    for name in _asked_for(record):
        if name.removeprefix("numcodecs.") not in _KNOWN:
            raise SourceError(store, f"asks for the codec {name!r}: hsrgeo unpacks {', '.join(sorted(_KNOWN))} only")


def _asked_for(record: Any) -> Iterator[str]:  # noqa: ANN401 - of JSON
    if isinstance(record, list):
        for entry in record:
            yield from _asked_for(entry)
    if not isinstance(record, dict):
        return
    for key, value in record.items():
        if key in ("attributes", ".zattrs"):
            continue
        if key in ("codecs", "index_codecs", "storage_transformers", "filters", "compressor"):
            for entry in value if isinstance(value, list) else [value]:
                if entry is not None:
                    yield str(entry.get("name", entry.get("id")) if isinstance(entry, dict) else entry)
        if key in ("dtype", "data_type") and "|O" in str(value):
            yield "object"
        yield from _asked_for(value)
