"""A Zarr store that must be whole."""

from __future__ import annotations

import re
from pathlib import Path

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from hsrgeo.cube.codecs import METADATA, refuse_unknown_codecs
from hsrgeo.errors import SourceError

_VALUES = re.compile(r"(^|/)(c/)?\d+([./])\d+\3\d+")
# ^ the file of a chunk or shard of three dimensions, as Zarr 3 and Zarr 2 name it: of the values, and of nothing else


class WholeStore(WrapperStore[LocalStore]):
    """A cube that hsrgeo wrote, to be read.

    Zarr takes a chunk that is not there for one without values. hsrgeo writes every chunk, so one that is not there
    was lost, such as by a copy that ended early.
    """

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return what a file holds; see zarr.

        Raises:
            SourceError: It should be there and is not, or asks for a codec that is not known.
        """
        buffer = await super().get(key, prototype, byte_range)
        if buffer is None and _VALUES.search(key):
            cube = Path(self._store.root)
            raise lost(cube, cube / key)
        if buffer is not None and key.rpartition("/")[2] in METADATA:
            refuse_unknown_codecs(str(self._store.root), buffer.to_bytes())
        return buffer


def whole_store(cube: Path) -> WholeStore:
    """Open the store of a cube for reading."""
    return WholeStore(LocalStore(cube, read_only=True))


def lost(cube: Path, file: Path) -> SourceError:
    """Return what to raise where a file of a cube is not there."""
    return SourceError(str(cube), f"is not whole: its file {file} is not there; copy or make it again")
