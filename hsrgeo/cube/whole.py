"""A Zarr store that must be whole, on a disk or in a bucket.

Of a cube in a bucket every word of metadata comes from the first object that is read, the consolidated metadata of its
root (Zarr 3): whoever opens it while it is replaced has the old cube or the new one, and asks only once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, ObjectStore, WrapperStore

from hsrgeo.cube.allowed import METADATA, refuse_bomb, refuse_metadata
from hsrgeo.cube.spaces import ROOT
from hsrgeo.cube.store import Layout
from hsrgeo.errors import SourceError
from hsrgeo.sources.remote import Place, RemotePath, bucket_folder

_VALUES = re.compile(r"(^|/)(c[./])?\d+([./])\d+\3\d+$")
# ^ the file of a chunk or shard of three dimensions, as Zarr 3 and Zarr 2 name it: of the values, and of nothing else


class WholeStore(WrapperStore[Any]):
    """A cube that hsrgeo wrote, to be read.

    Zarr takes a chunk that is not there for one without values. hsrgeo writes every chunk, so one that is not there
    was lost, such as by a copy that ended early.

    Args:
        store: Of zarr.
        cube: Path of the cube.
        layouts: Those that have a group of their own.
        documents: Metadata by key, in place of those in the store.
    """

    def __init__(
        self, store: Store, cube: Place, layouts: Sequence[str], documents: Mapping[str, bytes] | None = None
    ) -> None:
        super().__init__(store)
        self.cube = cube
        self.layouts = layouts
        self.documents = documents

    @property
    def how(self) -> dict[str, Any]:
        """How xarray opens it: a bucket is not listed, for everything that is there is said at one place."""
        if not isinstance(self.cube, RemotePath):
            return {"consolidated": False}
        return {"consolidated": True, "zarr_format": 2 if self.documents is None else 3}

    def _with_store(self, store: Store) -> WholeStore:
        return WholeStore(store, self.cube, self.layouts, self.documents)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return what a file holds; see zarr.

        Raises:
            SourceError: It should be there and is not, or asks for a codec that is not known.
            OSError: A bucket cannot be reached.
        """
        is_metadata = key.rpartition("/")[2] in METADATA
        if is_metadata and self.documents is not None:
            data = self.documents.get(key)
            return None if data is None else prototype.buffer.from_bytes(data)
        buffer = await self._read(key, prototype, byte_range)
        if buffer is None and _VALUES.search(key):
            raise lost(self.cube, self.cube / key)
        if buffer is not None and is_metadata:
            refuse_metadata(str(self.cube), buffer.to_bytes())
        elif buffer is not None:
            refuse_bomb(str(self.cube), key, buffer.to_bytes())
        return buffer

    async def _read(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None) -> Buffer | None:
        if isinstance(self.cube, RemotePath):
            from hsrgeo.sources.buckets import tried  # noqa: PLC0415 - of an extra

            return await tried(lambda: self._store.get(key, prototype, byte_range))
        buffer: Buffer | None = await self._store.get(key, prototype, byte_range)
        return buffer


def whole_store(cube: Place) -> WholeStore:
    """Open the store of a cube for reading.

    Raises:
        SourceError: Nothing is there, or it asks for a codec that is not known.
        OSError: A bucket cannot be reached.
    """
    if not isinstance(cube, RemotePath):
        if not cube.exists():
            raise SourceError(str(cube), _NOT_THERE)
        layouts = [name for name in _LAYOUTS if (cube / name).is_dir()]
        return WholeStore(LocalStore(cube, read_only=True), cube, layouts)
    root = root_of(cube)
    if root is None:
        if not (cube / ".zgroup").is_file():
            raise SourceError(str(cube), _NOT_THERE)
        layouts = [name for name in _LAYOUTS if (cube / name / ".zgroup").is_file()]
        return WholeStore(bucket_store(cube), cube, layouts)
    refuse_metadata(str(cube), root)
    documents = documents_of(root)
    layouts = [name for name in _LAYOUTS if f"{name}/{ROOT}" in documents]
    return WholeStore(bucket_store(cube), cube, layouts, documents)


_LAYOUTS = get_args(Layout)
_NOT_THERE = "no such file or folder"


def bucket_store(cube: RemotePath) -> Store:
    """Return zarr's store of a cube in a bucket."""
    return ObjectStore(bucket_folder(cube), read_only=True)


def root_of(cube: RemotePath) -> bytes | None:
    """Return the metadata of the root of a cube in a bucket, or None where there is none, of Zarr 3.

    Raises:
        OSError: The bucket cannot be reached.
    """
    try:
        return (cube / ROOT).read_bytes()
    except FileNotFoundError:
        return None


def documents_of(root: bytes) -> dict[str, bytes]:
    """Return the metadata of every node, by key, as the consolidated metadata of the root has them.

    Those of a group have the nodes below it consolidated in turn.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: The root has none.
    """
    nodes: dict[str, Any] = json.loads(root)["consolidated_metadata"]["metadata"]
    documents = {ROOT: root}
    for path, node in nodes.items():
        below = {other.removeprefix(f"{path}/"): one for other, one in nodes.items() if other.startswith(f"{path}/")}
        inline = {"kind": "inline", "must_understand": False, "metadata": below}
        whole = {**node, "consolidated_metadata": inline} if node.get("node_type") == "group" else node
        documents[f"{path}/{ROOT}"] = json.dumps(whole).encode()
    return documents


def lost(cube: Place, file: Place) -> SourceError:
    """Return what to raise where a file of a cube is not there."""
    return SourceError(str(cube), f"is not whole: its file {file} is not there; copy or make it again")
