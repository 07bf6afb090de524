"""References on disk: the keys of a Zarr store, each with its bytes or with the place of them.

The format is kerchunk's (https://fsspec.github.io/kerchunk/spec.html, version 1), as JSON or as the folder of Parquet
files that fsspec's `LazyReferenceMapper` reads bit by bit. A place is an absolute URL, for readers take a relative one
to be below their own working directory. Beside the specification's words stands one of our own, ``hsrgeo``, which
other readers pass over: the folder of the reference when it was made. By it the files of a folder that was moved as a
whole are found. None of the libraries of arrays is needed here.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any
from urllib.parse import urlsplit

from hsrgeo.cube.extra import DAMAGE
from hsrgeo.errors import SourceError, refused
from hsrgeo.outputs.parquet_rows import parquet_rows
from hsrgeo.sources.arrow import pyarrow_modules
from hsrgeo.sources.remote import Place
from hsrgeo.writers.files import write_file

SUFFIXES = (".json", ".parquet")
META = ".zmetadata"
FILE = "file://"
_OWN = "hsrgeo"
_RECORD_SIZE = 10_000
# ^ places in a Parquet file: a month has 8,928
_BASE64 = "base64:"


@dataclass(frozen=True, slots=True)
class Span:
    """Where the bytes of a frame are."""

    url: str
    """Of the file, or of the archive that holds it."""
    offset: int = 0
    size: int | None = None
    """None is the whole file."""

    def as_json(self) -> list[Any]:
        """Return what a reference holds."""
        return [self.url] if self.size is None else [self.url, self.offset, self.size]


@dataclass(frozen=True)
class Reference:
    """What a reference holds."""

    store: Mapping[str, bytes]
    """Keys with their bytes."""
    name: str
    """Of the array of values."""
    spans: Sequence[Span]
    """Where each of its chunks is, one a time."""
    folder: str
    """Where it was made; empty in a bucket, and where another program wrote it."""


def url_of(source: str) -> str:
    """Return the URL of a source; what is one already stays as it is."""
    if "://" in source:
        return source
    path = Path(os.path.abspath(source)).as_posix()  # noqa: PTH100 - links stay: the user chose the name
    return f"{FILE}{path}" if path.startswith("/") else f"{FILE}/{path}"


def is_reference(path: Path) -> bool:
    """Tell whether a path is a reference, by its name and what it holds; a catalogue in JSON is none."""
    if path.suffix.lower() == ".parquet":
        return os.path.isfile(path / META)  # noqa: PTH113 - as in hsrgeo.cube.source_types
    if path.suffix.lower() != ".json" or not os.path.isfile(path):  # noqa: PTH113
        return False
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and isinstance(content.get("refs"), dict)


def write_json(path: Place, reference: Reference) -> None:
    """Write a reference as JSON, in place of what is there."""
    refs: dict[str, Any] = {key: _text(key, data) for key, data in reference.store.items()}
    refs |= {_key(reference.name, order): span.as_json() for order, span in enumerate(reference.spans)}
    content = {"version": 1, _OWN: {"folder": reference.folder}, "refs": refs}
    write_file(path, json.dumps(content).encode())


def write_parquet(folder: Path, reference: Reference) -> None:
    """Write a reference as a folder of Parquet files.

    Raises:
        WriteError: The disk refused.
        MissingExtraError: pyarrow is not installed.
    """
    arrow, parquet = pyarrow_modules("for references as Parquet", "virtual")
    meta = {**json.loads(reference.store[META]), "record_size": _RECORD_SIZE, _OWN: {"folder": reference.folder}}
    write_file(folder / META, json.dumps(meta).encode())
    tables = {
        key.rpartition("/")[0]: [arrow.table({"raw": arrow.array([data], arrow.binary())})]
        for key, data in reference.store.items()
        if not key.rpartition("/")[2].startswith(".z")
    }
    starts = range(0, len(reference.spans), _RECORD_SIZE)
    tables[reference.name] = [_record(arrow, reference.spans[start : start + _RECORD_SIZE]) for start in starts]
    try:
        for field, records in tables.items():
            (folder / field).mkdir(exist_ok=True)
            for number, table in enumerate(records):
                parquet.write_table(table, _parq(folder, field, number), compression="zstd")
    except OSError as error:
        raise refused(str(folder), error) from error


def read(path: Place) -> Reference:
    """Read a reference that hsrgeo made.

    Raises:
        SourceError: It cannot be read, or another program made it.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    try:
        if isinstance(path, Path) and path.suffix.lower() == ".parquet":
            return _read_parquet(path)
        return _read_json(path)
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error
    except DAMAGE as error:
        raise SourceError(str(path), f"is not a reference made by hsrgeo: {error!r}") from error


def _read_json(path: Place) -> Reference:
    content = json.loads(path.read_bytes())
    store: dict[str, bytes] = {}
    spans: dict[str, Span] = {}
    for key, entry in content["refs"].items():
        if isinstance(entry, list):
            spans[key] = _span(*entry)
        elif entry.startswith(_BASE64):
            store[key] = base64.b64decode(entry.removeprefix(_BASE64))
        else:
            store[key] = entry.encode()
    name = next(iter(spans), "").rpartition("/")[0]
    in_order = [spans[_key(name, order)] for order in range(len(spans))]
    return Reference(store, name, in_order, _folder(content))


def _read_parquet(path: Path) -> Reference:
    _module, parquet = pyarrow_modules("for references as Parquet", "virtual")
    meta = json.loads((path / META).read_bytes())
    store = {key: json.dumps(entry).encode() for key, entry in meta["metadata"].items()}
    name = ""
    spans: list[Span] = []
    for key in list(store):
        field, _slash, leaf = key.rpartition("/")
        if leaf != ".zarray":
            continue
        entry = meta["metadata"][key]
        if "raw" in parquet.read_schema(_parq(path, field, 0)).names:
            [row] = parquet_rows(_parq(path, field, 0), ["raw"])
            store[f"{field}/{'.'.join('0' * len(entry['shape'])) or '0'}"] = row["raw"]
            continue
        name = field
        for number in range(math.ceil(entry["shape"][0] / meta["record_size"])):
            rows = parquet_rows(_parq(path, field, number), ["path", "offset", "size"])
            spans += [_span(row["path"], row["offset"], row["size"] or None) for row in rows]
    return Reference(store, name, spans, _folder(meta))


def _folder(content: Mapping[str, Any]) -> str:
    """Return where a reference was made, see `_span` for what it raises."""
    folder = content[_OWN]["folder"]
    if not isinstance(folder, str) or "\0" in folder:
        raise TypeError(f"{folder!r}: expected a folder")
    return folder


def _span(url: str, offset: int = 0, size: int | None = None) -> Span:
    """Return a place as a reference tells it.

    Raises:
        TypeError, ValueError: It is none.
    """
    if not (type(url) is str and type(offset) is int and type(size) in (int, NoneType)):
        raise TypeError(f"{[url, offset, size]}: expected a URL, an offset and a size")
    if "\0" in url or offset < 0 or (size is not None and size < 0):
        raise ValueError(f"{[url, offset, size]}: no place in a file")
    urlsplit(url)  # raises where it is none
    return Span(url, offset, size)


def _key(name: str, order: int) -> str:
    return f"{name}/{order}.0.0"


def _parq(folder: Path, field: str, number: int) -> Path:
    return folder / field / f"refs.{number}.parq"


def _record(arrow: Any, spans: Sequence[Span]) -> Any:  # noqa: ANN401 - pyarrow has no types
    sizes = [span.size or 0 for span in spans]  # offset 0 and size 0: the whole file
    return arrow.table(
        {
            "path": [span.url for span in spans],
            "offset": arrow.array([span.offset for span in spans], arrow.int64()),
            "size": arrow.array(sizes, arrow.int64()),
        }
    )


def _text(key: str, data: bytes) -> str:
    # Metadata, which are JSON, as they are; of chunks nothing is known, and any byte may be the first.
    is_meta = key.rpartition("/")[2].startswith(".z")
    return data.decode() if is_meta else f"{_BASE64}{base64.b64encode(data).decode()}"
