"""How the chunks of an array are named, so that those of a new cube can lie beside those of the old one.

In Zarr 3 every array says so itself, in its `chunk_key_encoding`. Readers know two, each with two separators.

References:
    Zarr core specification, version 3: chunk key encodings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ROOT = "zarr.json"
SPACES = (("default", "/"), ("default", "."), ("v2", "/"), ("v2", "."))
"""Encodings and separators: ``c/0/0/0``, ``c.0.0.0``, ``0/0/0`` and ``0.0.0``. The first is that of cubes on disks."""
_OWN = re.compile(r"(?:(?P<node>.+?)/)?(?P<name>zarr\.json|c|c/\d+(?:/\d+)*|c(?:\.\d+)+|\d+(?:/\d+)*|\d+(?:\.\d+)+)")
_VALUES = 3
"""Dimensions of values; all other arrays have fewer."""

Document = dict[str, Any]


def chunk_key(space: int, numbers: Sequence[int]) -> str:
    """Return the key of a chunk below its array."""
    name, separator = SPACES[space]
    if name == "default":
        return separator.join(("c", *map(str, numbers)))
    return separator.join(map(str, numbers)) or "0"


def space_of(document: Document) -> int:
    """Return the space that an array uses."""
    encoding = document["chunk_key_encoding"]
    default = "/" if encoding["name"] == "default" else "."
    return SPACES.index((encoding["name"], encoding.get("configuration", {}).get("separator", default)))


def with_space(document: Document, space: int) -> Document:
    """Return the metadata of an array that uses a space."""
    name, separator = SPACES[space]
    return {**document, "chunk_key_encoding": {"name": name, "configuration": {"separator": separator}}}


def is_named(space: int, name: str, dimensions: int) -> bool:
    """Tell whether a chunk of an array of so many dimensions has such a name in a space."""
    numbers = [int(number) for number in re.findall(r"\d+", name)]
    return len(numbers) == dimensions and chunk_key(space, numbers) == name


def free_space(used: Iterable[int], live: Iterable[int], dimensions: int) -> int:
    """Return a space that is not live, and not used either where there is one.

    Chunks of two spaces can have the same names in few dimensions: their names are compared, not their numbers.
    """
    zeros = [0] * dimensions
    taken, never = ({chunk_key(space, zeros) for space in spaces} for spaces in (used, live))
    names = {space: chunk_key(space, zeros) for space in range(len(SPACES))}
    free = [space for space, name in names.items() if name not in never]
    return next((space for space in free if names[space] not in taken), free[0])


def arrays_in(documents: Mapping[str, bytes]) -> dict[str, Document]:
    """Return the metadata of every array, by its path."""
    parsed = {key.rpartition(ROOT)[0].rstrip("/"): json.loads(data) for key, data in documents.items()}
    return {path: document for path, document in parsed.items() if document.get("node_type") == "array"}


def encoded(documents: Mapping[str, bytes], spaces: Mapping[str, int]) -> dict[str, bytes]:
    """Return metadata whose arrays use other spaces, also where a group has them consolidated; others as they are."""
    changed = {path: space for path, space in spaces.items() if space}
    if not changed:
        return dict(documents)
    return {key: _encoded(key.rpartition(ROOT)[0], data, changed) for key, data in documents.items()}


def _encoded(folder: str, data: bytes, spaces: Mapping[str, int]) -> bytes:
    document = json.loads(data)
    if (space := spaces.get(folder.rstrip("/"))) is not None:
        document = with_space(document, space)
    nodes = (document.get("consolidated_metadata") or {}).get("metadata", {})
    for path, node in nodes.items():
        if (space := spaces.get(f"{folder}{path}")) is not None:
            nodes[path] = with_space(node, space)
    return json.dumps(document, indent=2).encode()


def unused(keys: Iterable[str], documents: Mapping[str, bytes], *, only_values: bool) -> list[str]:
    """Return the chunks of a cube that its metadata do not lead to, but no object that hsrgeo would not name so.

    Args:
        keys: Of what is there.
        documents: The metadata.
        only_values: Of arrays that are used, only those with the values: the others are small, and somebody who has
            just opened the old cube may want them.
    """
    arrays = arrays_in(documents)
    return [key for key in keys if key not in documents and _is_unused(key, arrays, only_values=only_values)]


def _is_unused(key: str, arrays: Mapping[str, Document], *, only_values: bool) -> bool:
    match = _OWN.fullmatch(key)
    if match is None:
        return False
    document = arrays.get(match["node"] or "")
    if document is None or match["name"] == ROOT:
        return True
    is_kept = only_values and len(document["shape"]) < _VALUES
    return not is_kept and not _leads_to(document, match["name"])


def _leads_to(document: Document, name: str) -> bool:
    if not is_named(space_of(document), name, len(document["shape"])):
        return False
    numbers = [int(number) for number in re.findall(r"\d+", name)]
    chunks = document["chunk_grid"]["configuration"]["chunk_shape"]
    ends = (-(-size // chunk) for size, chunk in zip(document["shape"], chunks, strict=True))
    return all(number < end for number, end in zip(numbers, ends, strict=True))
