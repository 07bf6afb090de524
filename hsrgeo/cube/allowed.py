"""What a Zarr store may ask for: codecs that unpack numbers, none that runs what a file holds, and bounded memory."""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import zstandard

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


_MOST_CELLS = 1 << 27
"""Of a chunk or a shard: 256 MiB unpacked. hsrgeo's own have half of that at most, of 288 times."""
_MOST_COORDINATES = 1 << 25
"""Of an array of one or two dimensions, which is read at once: five times the cells of KMA's largest grid."""
_VALUES_DIMENSIONS = 3
_LONG = re.compile(r"\d{4}")


def refuse_metadata(store: str, metadata: bytes) -> None:
    """Look at the metadata of a group or an array before zarr does; what is no JSON is left to zarr.

    Raises:
        SourceError: It asks for a codec that is not known, for Python's objects, or for more memory than a cube needs.
    """
    try:
        for record in _records(json.loads(metadata)):
            for name in _codecs(record):
                if name.removeprefix("numcodecs.") not in _KNOWN:
                    known = ", ".join(sorted(_KNOWN))
                    raise SourceError(store, f"asks for the codec {name!r}: hsrgeo unpacks {known} only")
            if problem := _wrong_chunks(record) or _too_large(record):
                raise SourceError(store, problem)
    except RecursionError as error:
        raise SourceError(store, "has metadata nested without end") from error
    except ValueError:
        return


def refuse_bomb(store: str, key: str, data: bytes) -> None:
    """Look at a chunk before zarr unpacks it, for its codecs ask for as much memory as it says.

    Of a shard that is read as a whole only its first chunk is looked at.

    Raises:
        SourceError: It unpacks to more than a chunk may have.
    """
    if _unpacked_size(data) > _MOST_CELLS * _CELL_BYTES:
        raise SourceError(store, f"{key} unpacks to more than {_MOST_CELLS * _CELL_BYTES:,} bytes")


_CELL_BYTES = 2
_BLOSC = struct.Struct("<4xI4xI")  # header of a chunk: bytes unpacked, and as it is packed (README_CHUNK_FORMAT)
_STEP = 1 << 20


def _unpacked_size(data: bytes) -> int:
    """Return how large a chunk becomes, or a size beyond the limit; 0 where that is not known."""
    if data.startswith(zstandard.FRAME_HEADER):
        try:
            size: int = zstandard.frame_content_size(data)
        except zstandard.ZstdError:  # damaged: whoever unpacks it tells that
            return 0
        return size if size >= 0 else 2 * _MOST_CELLS * _CELL_BYTES  # it tells none: the codec would go on and on
    if len(data) >= _BLOSC.size and _BLOSC.unpack_from(data)[1] == len(data):
        return int(_BLOSC.unpack_from(data)[0])
    size = 0
    try:
        while data and size <= _MOST_CELLS * _CELL_BYTES:
            stream = zlib.decompressobj(wbits=47)  # gzip or zlib
            while not stream.eof and size <= _MOST_CELLS * _CELL_BYTES:
                size += (count := len(stream.decompress(data, _STEP)))
                data = stream.unconsumed_tail
                if not (count or data or stream.eof):
                    return size
            data = stream.unused_data
    except zlib.error:  # packed by another codec, by none, or damaged
        pass
    return size


def _records(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - of JSON
    """Yield every dictionary but those of attributes."""
    if isinstance(value, dict):
        yield value
        value = [one for key, one in value.items() if key not in ("attributes", ".zattrs")]
    if isinstance(value, list):
        for one in value:
            yield from _records(one)


def _codecs(record: dict[str, Any]) -> Iterator[str]:
    for key in ("codecs", "index_codecs", "storage_transformers", "filters", "compressor"):
        value = record.get(key)
        for entry in value if isinstance(value, list) else [value]:
            if entry is not None:
                yield str(entry.get("name", entry.get("id")) if isinstance(entry, dict) else entry)
    if any("|O" in str(record.get(key)) for key in ("dtype", "data_type")):
        yield "object"


def _too_large(record: dict[str, Any]) -> str:
    """Return what is too large in a record; empty where nothing is."""
    shape = record.get("shape")
    if isinstance(shape, list) and len(shape) < _VALUES_DIMENSIONS and (cells := _size(shape)) > _MOST_COORDINATES:
        return f"has a coordinate of {cells:,} values; expected at most {_MOST_COORDINATES:,}"
    if any(_LONG.search(str(record.get(key, ""))) for key in ("dtype", "data_type")):
        return "has values of a thousand bytes each, and more; expected numbers"
    return ""


def _wrong_chunks(record: dict[str, Any]) -> str:
    """Return what is wrong with the chunks of an array; zarr since 3.4 takes another shape for one that cannot be."""
    grid = record.get("chunk_grid")
    settings = grid.get("configuration") if isinstance(grid, dict) else None
    of_grid = settings.get("chunk_shape") if isinstance(settings, dict) else None
    has_values = _size(record.get("shape")) > 0
    for sides in (record.get("chunks"), record.get("chunk_shape"), of_grid):
        if (cells := _size(sides)) > _MOST_CELLS:
            return f"has chunks of {cells:,} values; expected at most {_MOST_CELLS:,}"
        if has_values and isinstance(sides, list) and any(isinstance(side, int) and side < 1 for side in sides):
            return f"cannot be read: it has chunks of {' x '.join(map(str, sides))} values"
    return ""


def _size(sides: object) -> int:
    if not isinstance(sides, list) or not all(isinstance(side, int) for side in sides):
        return 0
    return math.prod(sides)
