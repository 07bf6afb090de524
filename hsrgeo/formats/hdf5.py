"""HDF5 files that may come from anybody: groups, attributes and arrays, read with bounds.

Sizes are bounded before anything is unpacked, and no link to another place is followed.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import FrameFormatError, FrameReadError, needs, printable

MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_CELLS = 1 << 25
"""Of an array, and of a chunk: five times KMA's largest grid."""
_MOST_TEXT = 1 << 16
_MOST_GROUPS = 99
_DEFLATE, _SHUFFLE = 1, 2
_FILTERS = {_DEFLATE, _SHUFFLE, 3}  # and fletcher32: those that HDF5 always has; others may load a library
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, zlib.error)
"""What h5py, numpy and zlib raise where a file is damaged."""
_ROOM = 64  # a checksum, and what deflate adds to what does not get smaller
_MOST_BYTES = 8 * 4 * MOST_CELLS
"""Of the unpacked chunks of an array: of 8 bytes a cell, four times `MOST_CELLS`, as chunks reach beyond its edges."""
MOST_CHUNKS = 1 << 16
"""Of an array; a chunk a ray is usual."""
_MOST_READ = 8 * 2 * MOST_CELLS
# ^ bytes of a whole file: a few kilobytes can claim thousands of arrays, or thousands of attributes with one long text


class Hdf5:
    """One open file; every method raises `FrameFormatError` where the file has something else there."""

    def __init__(self, h5py: Any, file: Any, name: str) -> None:  # noqa: ANN401 - a module without types
        self._h5py, self._file, self._name = h5py, file, name
        self._left = _MOST_READ

    def spend(self, size: int, path: str) -> None:
        """Count bytes that a reader of the file must hold, and refuse too many."""
        self._left -= size
        if self._left < 0:
            self.refuse(path, f"at most {_MOST_READ:,} bytes in all", "more")

    def refuse(self, problem: str, expected: str, found: str) -> NoReturn:
        """Raise a `FrameFormatError` for this file."""
        raise FrameFormatError(problem, expected, printable(found), self._name)

    def item(self, path: str) -> Any:  # noqa: ANN401
        """Return a group or dataset that lies in the file itself, None where there is none."""
        item = self._file
        for part in filter(None, path.split("/")):
            if not isinstance(item, self._h5py.Group):
                return None
            link = item.get(part, getlink=True)
            if link is None:
                return None
            if not isinstance(link, self._h5py.HardLink):
                self.refuse(f"/{path.strip('/')}", "an object of this file", "a link to another place")
            item = item[part]
        return item

    def names(self) -> list[str]:
        """Return the names of the datasets at the top, sorted."""
        hard, dataset = self._h5py.HardLink, self._h5py.Dataset
        inside = [name for name in self._file if isinstance(self._file.get(name, getlink=True), hard)]
        return sorted(name for name in inside[:_MOST_TEXT] if self._file.get(name, getclass=True) is dataset)

    def numbered(self, above: str, word: str) -> Iterator[str]:
        """Yield the paths of the groups ``above/word1``, ``above/word2`` and so on."""
        for number in range(1, _MOST_GROUPS + 1):
            path = f"{above}/{word}{number}"
            if not isinstance(self.item(path), self._h5py.Group):
                return
            yield path

    def attributes(self, path: str) -> dict[str, Any]:
        """Return the attributes of a group as plain values; none where it is not there."""
        group = self.item(path)
        if not isinstance(group, self._h5py.Group):
            return {}
        return {str(key): self._value(group, key) for key in list(group.attrs)[:_MOST_TEXT]}

    def attribute(self, path: str, key: str) -> Any:  # noqa: ANN401
        """Return one attribute of a group or dataset as a plain value, None where it is not there."""
        item = self.item(path)
        return self._value(item, key) if item is not None and key in item.attrs else None

    def _value(self, item: Any, key: str) -> Any:  # noqa: ANN401
        attribute = item.attrs.get_id(key)
        most = 1 if attribute.dtype.kind == "O" else _MOST_TEXT // attribute.dtype.itemsize
        # ^ texts of any length, which lie elsewhere in the file: of many, each can be the same long one
        if attribute.shape is None or math.prod(attribute.shape) > most or attribute.dtype.kind not in "iufSO":
            return ""  # none that is looked for
        value = item.attrs[key]
        value = value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value
        if isinstance(value, (str, bytes)):
            self.spend(len(value), key)
        if isinstance(value, bytes):
            return value.decode("utf-8", "backslashreplace").rstrip("\0")
        return value.item() if isinstance(value, np.generic) else value

    def number(self, attributes: dict[str, Any], key: str, where: str) -> float:
        """Return an attribute that must be a number; NaN may stand for nodata and undetect."""
        value = attributes.get(key)
        markers = ("nodata", "undetect")
        if not isinstance(value, (int, float)) or math.isinf(value) or (math.isnan(value) and key not in markers):
            self.refuse(f"{where}, {key}", "a number", "nothing" if value is None else str(value))
        return float(value)

    def array(
        self, path: str, shape: tuple[int, ...] | None = None, of: str = "", dtype_kinds: str = "iuf"
    ) -> NDArray[Any]:
        """Return the values of a dataset.

        Args:
            path: Of the dataset.
            shape: That it must have; None is any of up to `MOST_CELLS` values.
            of: Where the shape comes from, for the message.
            dtype_kinds: Of its type, as numpy has them: numbers unless others are wanted.
        """
        dataset = self.item(path)
        if not isinstance(dataset, self._h5py.Dataset):
            self.refuse(path, "a dataset", "none")
        found = f"{dataset.shape} of {dataset.dtype}"
        if dataset.dtype.kind not in dtype_kinds or (shape is not None and dataset.shape != shape):
            what = "values" if shape is None else str(shape)
            self.refuse(path, f"{what} of {'numbers' if dtype_kinds == 'iuf' else 'letters'}{of and ', '}{of}", found)
        if dataset.shape is None or math.prod(dataset.shape) > MOST_CELLS:
            self.refuse(path, f"at most {MOST_CELLS:,} values", found)
        if dataset.dtype.kind == "O" and math.prod(dataset.shape) > 1:
            self.refuse(path, "one text", found)  # as for attributes
        self.spend(math.prod(dataset.shape) * dataset.dtype.itemsize, path)
        self.refuse_other_files(dataset, path)
        self.refuse_bomb(dataset, path)
        return np.asarray(dataset[()], "S" if dataset.dtype.kind == "O" else None)

    def refuse_other_files(self, dataset: Any, path: str) -> None:  # noqa: ANN401
        """Refuse values that lie elsewhere."""
        if dataset.external or dataset.is_virtual:
            self.refuse(path, "values in this file", "values in another file")

    def filters(self, dataset: Any, path: str) -> list[int]:  # noqa: ANN401
        """Return what chunks are packed by, in order; others than those that HDF5 always has are refused."""
        plan = dataset.id.get_create_plist()
        filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
        if not set(filters) <= _FILTERS or len(set(filters)) != len(filters):
            self.refuse(path, "the filters deflate, shuffle and fletcher32", f"filters {filters}")
        if _DEFLATE in filters and _SHUFFLE in filters[filters.index(_DEFLATE) :]:
            self.refuse(path, "bytes shuffled before they are deflated", f"filters {filters}")
        return filters

    def refuse_bomb(self, dataset: Any, path: str) -> None:  # noqa: ANN401
        """Refuse chunks that unpack to more than they say: HDF5 itself would go on until memory ends."""
        filters = self.filters(dataset, path)
        if dataset.chunks is None:
            return
        size = math.prod(dataset.chunks) * dataset.dtype.itemsize
        number = dataset.id.get_num_chunks()
        slots = math.prod(-(-side // chunk) for side, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        if math.prod(dataset.chunks) > MOST_CELLS or number > min(slots, MOST_CHUNKS) or slots * size > _MOST_BYTES:
            self.refuse(path, "chunks that make up the image", f"{number:,} of {size:,} bytes")
        chunks: list[Any] = []
        dataset.id.chunk_iter(chunks.append)  # to ask for one after the other takes the square of their number
        for info in chunks:
            if info.size > 2 * size + _ROOM:
                self.refuse(path, f"chunks of at most {size:,} bytes", f"{info.size:,} bytes")
            if is_deflated(filters, info):
                self.refuse_chunk(dataset, path, info.chunk_offset)

    def refuse_chunk(self, dataset: Any, path: str, place: tuple[int, ...]) -> None:  # noqa: ANN401
        """Refuse a deflated chunk that unpacks to more than it says."""
        size = math.prod(dataset.chunks) * dataset.dtype.itemsize
        stream = zlib.decompressobj()
        _mask, packed = dataset.id.read_direct_chunk(place)
        stream.decompress(packed, size + _ROOM)
        if not stream.eof:
            self.refuse(path, f"a chunk of {size:,} bytes", "one that unpacks to something else")


def is_deflated(filters: list[int], info: Any) -> bool:  # noqa: ANN401 - of h5py
    """Tell whether a chunk is deflated: a chunk can leave out filters of its dataset, and its mask says which."""
    return _DEFLATE in filters and not info.filter_mask >> filters.index(_DEFLATE) & 1


@contextmanager
def open_hdf5(data: bytes | Path, name: str, extra: str) -> Iterator[tuple[Any, Any]]:
    """Give h5py and an open file, for `Hdf5`; what they raise becomes an error of this file.

    `data` is the whole file, or where it lies; `name` is what errors call it; `extra` is the extra of hsrgeo that
    installs h5py.

    Raises:
        MissingExtraError: h5py is not installed.
        FrameReadError: The file is damaged.
    """
    with needs("h5py", extra):
        import h5py  # noqa: PLC0415 - an optional extra
    try:
        with h5py.File(io.BytesIO(data) if isinstance(data, bytes) else data, "r") as file:
            yield h5py, file
    except _DAMAGE as error:
        raise FrameReadError("HDF5", "a sound file", printable(str(error) or type(error).__name__), name) from error
