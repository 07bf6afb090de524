"""What a NetCDF-4 cube may ask for: values of its own file, and bounded memory.

The NetCDF library opens whatever files a dataset names, and unpacks a chunk for as long as that goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.backends.locks import HDF5_LOCK
from xarray.core import indexing

from hsrgeo.errors import FrameError, SourceError
from hsrgeo.formats.hdf5 import MAGIC, MOST_CELLS, MOST_CHUNKS, Hdf5, is_deflated, open_hdf5

_MOST_CHUNK_BYTES = 1 << 28
"""Of the values, as of those of a Zarr cube."""
_MOST_ITEMS = 1000
"""Variables of a file, and attributes of one; hsrgeo's have twenty."""
_LARGEST_RATIO = 1032
"""Of deflate: zlib Technical Details, "Maximum Expansion Factor"."""
_VALUES_DIMENSIONS = 3
_LINKS = ("DIMENSION_LIST", "REFERENCE_LIST")
"""Attributes by which NetCDF ties variables to dimensions."""


@dataclass(frozen=True, eq=False)
class UnsureChunks:
    """Chunks of a variable that may unpack to more than they say: each is looked at before it is read first."""

    path: Path
    name: str
    """Of the variable."""
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    places: set[tuple[int, ...]]
    """First time, row and column of each."""

    def refuse(self, key: tuple[Any, ...]) -> None:
        """Look at the chunks that a read touches; threads may call it at once.

        Args:
            key: A number, a slice or numbers along each dimension.

        Raises:
            SourceError: One unpacks to more than it says.
        """
        touched = [
            set((np.atleast_1d(np.arange(size)[part]) // side * side).tolist())
            for part, size, side in zip(key, self.shape, self.chunk, strict=True)
        ]
        with HDF5_LOCK:  # of xarray: other threads read by NetCDF, whose HDF5 may be that of h5py
            if math.prod(map(len, touched)) < len(self.places):
                places = [one for one in product(*touched) if one in self.places]
            else:
                places = [one for one in self.places if all(map(set.__contains__, touched, one))]
            if not places:
                return
            try:
                with open_hdf5(self.path, "", "cube") as (h5py, file):
                    found, dataset = Hdf5(h5py, file, ""), file[self.name]
                    for place in places:
                        found.refuse_chunk(dataset, self.name, place)
                        self.places.discard(place)
            except FrameError as error:
                raise SourceError(str(self.path), error.detail) from error

    def __getstate__(self) -> dict[str, Any]:
        """Return what dask sends elsewhere, while other threads read."""
        return self.__dict__ | {"places": self.places.copy()}


class CheckedValues(BackendArray):
    """Values of a NetCDF cube, their chunks looked at before NetCDF unpacks them."""

    def __init__(self, values: xr.Variable, unsure: UnsureChunks) -> None:
        self.shape, self.dtype = values.shape, values.dtype
        self._values, self._unsure = values, unsure

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 - as xarray has it
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        self._unsure.refuse(key)
        return np.asarray(self._values[key].values)


def open_netcdf(path: Path, chunks: Any, options: dict[str, Any]) -> xr.Dataset:  # noqa: ANN401
    """Open a NetCDF file that may be a stranger's.

    Args:
        path: The file.
        chunks: None for no dask, else those of `xarray.open_dataset`; where chunks must be looked at, their own.
        options: Of `xarray.open_dataset`.

    Raises:
        MissingExtraError: h5py is not installed.
        SourceError: See `unsure_chunks`.
    """
    unsure = unsure_chunks(path)
    with ExitStack() as failing:
        dataset = failing.enter_context(xr.open_dataset(path, chunks=None if unsure else chunks, **options))
        for name, one in list(dataset.variables.items()) if unsure else ():
            data: Any = one
            if name in unsure:
                checked = CheckedValues(one, unsure[str(name)])
                data = xr.Variable(one.dims, indexing.LazilyIndexedArray(checked), one.attrs, one.encoding)
            if chunks is not None and one.ndim and name not in dataset.indexes:
                data = data.chunk(one.encoding.get("preferred_chunks", {}))
            if data is not one:
                dataset[name] = data
        failing.pop_all()
        return dataset


def unsure_chunks(path: Path) -> dict[str, UnsureChunks]:
    """Look at a NetCDF file before NetCDF does, and return what must be looked at before it is read.

    Returns:
        By the name of the variable.

    Raises:
        MissingExtraError: h5py is not installed.
        SourceError: It is not NetCDF-4 (of the older formats 400 bytes can claim 30 GB), is damaged, leads to other
            files, or asks for more memory than a cube needs.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise SourceError(str(path), "cannot be opened as a cube: expected NetCDF-4, as hsrgeo writes it")
    try:
        with open_hdf5(path, "", "cube") as (h5py, file):
            return dict(_refuse(path, h5py, file))
    except FrameError as error:
        raise SourceError(str(path), f"cannot be opened as a cube: {error.detail}") from error


def _refuse(path: Path, h5py: Any, file: Any) -> Iterator[tuple[str, UnsureChunks]]:  # noqa: ANN401 - without types
    found = Hdf5(h5py, file, "")
    names = list(islice(file, _MOST_ITEMS + 1))
    if len(names) > _MOST_ITEMS:
        found.refuse("variables", f"at most {_MOST_ITEMS:,}", "more")
    _refuse_attributes(found, file, "attributes")
    for name in names:
        dataset = found.item(name)
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or dataset.dtype.kind not in "iufS":
            found.refuse(name, "numbers or letters", "something else")
        _refuse_attributes(found, dataset, f"attributes of {name}")
        found.refuse_other_files(dataset, name)
        cells = math.prod(dataset.shape[-2:])
        if cells > MOST_CELLS:
            found.refuse(name, f"at most {MOST_CELLS:,} values", f"{cells:,}")
        if len(dataset.shape) < _VALUES_DIMENSIONS:
            found.spend(cells * dataset.dtype.itemsize, name)
            found.refuse_bomb(dataset, name)
        elif places := _unsure_places(found, dataset, name):
            yield name, UnsureChunks(path, name, dataset.shape, dataset.chunks, places)


def _refuse_attributes(found: Hdf5, item: Any, where: str) -> None:  # noqa: ANN401
    """Refuse attributes that fill the memory, for xarray reads them all."""
    if len(item.attrs) > _MOST_ITEMS:
        found.refuse(where, f"at most {_MOST_ITEMS:,}", f"{len(item.attrs):,}")
    for key in item.attrs:
        attribute = item.attrs.get_id(key)
        size = 0 if attribute.shape is None else math.prod(attribute.shape)
        is_object, is_link = attribute.dtype.kind == "O", key in _LINKS
        if is_object and size > (getattr(item, "ndim", 0) if is_link else 1):  # each can be the same long one
            expected = "one list for each dimension" if is_link else "numbers or one text"
            found.refuse(f"{where}, {key}", expected, f"{size:,} lists" if is_link else "several texts")
        if is_link:
            entries = sum(map(len, item.attrs[key])) if is_object and size else size
            if entries > _MOST_ITEMS:
                found.refuse(f"{where}, {key}", f"at most {_MOST_ITEMS:,} entries", f"{entries:,}")
        else:
            found.spend(len(item.attrs[key]) if is_object and size else size * attribute.dtype.itemsize, where)


def _unsure_places(found: Hdf5, dataset: Any, name: str) -> set[tuple[int, ...]]:  # noqa: ANN401
    """Return the chunks of the values that may unpack to more than a chunk may have."""
    filters = found.filters(dataset, name)
    if dataset.chunks is None:
        return set()
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    in_a_time = math.prod(-(-one // side) for one, side in zip(dataset.shape[1:], dataset.chunks[1:], strict=True))
    if size > _MOST_CHUNK_BYTES or in_a_time > MOST_CHUNKS:
        expected = f"at most {MOST_CHUNKS:,} chunks of {_MOST_CHUNK_BYTES:,} bytes"
        found.refuse(f"{name} at one time", expected, f"{in_a_time:,} of {size:,} bytes")
    places: set[tuple[int, ...]] = set()

    def look(info: Any) -> None:  # noqa: ANN401
        if is_deflated(filters, info) and info.size * _LARGEST_RATIO > _MOST_CHUNK_BYTES:
            places.add(info.chunk_offset)

    try:
        dataset.id.chunk_iter(look)
    except RuntimeError:  # the list of chunks is damaged somewhere: each is looked at, and the sound ones are read
        starts = [range(0, one, side) for one, side in zip(dataset.shape, dataset.chunks, strict=True)]
        if math.prod(map(len, starts)) > MOST_CHUNKS:
            raise
        places = set(product(*starts))
    return places
