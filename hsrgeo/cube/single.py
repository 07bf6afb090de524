"""Physical values of a lazy array in single precision, and how many times a chunk of it holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

_CHUNK_BYTES = 128 << 20  # Dask's own default, array.chunk-size
_MOST_TIMES = 288  # a day of frames: each is unpacked as a whole when its chunk is read


def single(dataset: xr.Dataset) -> xr.Dataset:
    """Return a decoded dataset with its values as float32; nothing is read for that.

    xarray decodes int16 with a scale of 0.01 as float64. float32 holds every such value to 2e-5, and no two of them
    become one: `round(100 * value)` is the stored integer.
    """
    return dataset.assign({name: _single(data.variable) for name, data in dataset.data_vars.items()})


def _single(variable: xr.Variable) -> xr.Variable:
    if variable.dtype != np.float64:
        return variable
    if variable.chunks is not None:
        made = variable.astype(np.float32)
    else:
        made = xr.Variable(variable.dims, indexing.LazilyIndexedArray(_Single(variable)), variable.attrs)
    made.encoding = variable.encoding
    return made


class _Single(BackendArray):
    """A variable that is read when it is indexed, and rounded."""

    def __init__(self, variable: xr.Variable) -> None:
        self.shape = variable.shape
        self.dtype = np.dtype(np.float32)
        self._variable = variable

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 - a number or an array
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._take)

    def _take(self, key: tuple[int | slice, ...]) -> Any:  # noqa: ANN401
        return self._variable[key].to_numpy().astype(np.float32)


def times_in_chunk(rows: int, cols: int) -> int:
    """Return how many times of so many rows and columns a chunk holds: 128 MiB of float32, a day at most."""
    return min(max(_CHUNK_BYTES // (4 * rows * cols), 1), _MOST_TIMES)
