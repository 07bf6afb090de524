"""Frames that are read when their values are asked for, as one array of time, y and x."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from hsrgeo.errors import FrameError, HsrGeoError, HsrGeoWarning
from hsrgeo.formats.standing import Standing
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.products.making import Making
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found


class BrokenFrameWarning(HsrGeoWarning):
    """A frame of a lazy array turned out to be broken when it was read: another takes its place, or it is nodata."""


def warn_of_left_out(reasons: Sequence[str], stacklevel: int) -> None:
    """Warn of frames that are not in an array, if there are any; `stacklevel` counts from where this is called."""
    if reasons:
        more = f"; and {len(reasons) - _SHOWN:,} more" if len(reasons) > _SHOWN else ""
        text = f"{len(reasons):,} broken or unlike the first, left out: {'; '.join(reasons[:_SHOWN])}{more}"
        warnings.warn(text, HsrGeoWarning, stacklevel=stacklevel + 1)


_SHOWN = 3  # broken frames in a warning


class Layer(Protocol):
    """One time of a stack: something that gives its packed cells when they are asked for."""

    @property
    def label(self) -> str:
        """For people."""

    def read(self, rows: slice, cols: slice) -> NDArray[np.int16]:
        """Return packed cells; row 0 is the north row.

        Raises:
            HsrGeoError: It cannot be read, or is broken.
        """


@dataclass(frozen=True)
class FrameLayer:
    """A frame in a file, or in an archive."""

    found: Found
    making: Making
    grid: Grid
    """Grid that the result must have."""
    quantity: Quantity
    """What it must hold."""
    time: datetime
    others: tuple[Found, ...] = ()
    """Frames of the same time and another kind: the best sound one takes the place of one that is broken."""

    @property
    def label(self) -> str:
        """For people."""
        return self.found.label

    def frame(self) -> Frame:
        """Return what is made of the frame, or of another where it is broken.

        Raises:
            HsrGeoError: It cannot be read, is broken, or does not belong to the others.
        """
        try:
            return self._made(self.found)
        except HsrGeoError as error:
            best: tuple[Standing, Frame] | None = None
            for other in self.others:
                with suppress(HsrGeoError):
                    frame = self._made(other)
                    standing = Standing.of(other.frame_name, frame.rank, other.label)
                    if best is None or best[0] < standing:
                        best = standing, frame
            if best is None:
                raise
            text = f"{error}; {best[0].label} of the same time is taken"
            warnings.warn(text, BrokenFrameWarning, stacklevel=2)
            return best[1]

    def _made(self, found: Found) -> Frame:
        making = self.making
        part = making.of(decode_found(found, making.block, making.registration, making.window_of))
        if part.grid != self.grid:
            raise FrameError("other grid", _grid_text(self.grid), _grid_text(part.grid), found.source, found.member)
        if part.quantity != self.quantity:
            raise FrameError("other quantity", self.quantity.name, part.quantity.name, found.source, found.member)
        return part

    def read(self, rows: slice, cols: slice) -> NDArray[np.int16]:
        """Return packed cells, see `Layer.read`; only these are made clean."""
        frame = self.frame()
        return replace(frame, stored=frame.stored[rows, cols]).raw


@dataclass(frozen=True)
class MadeLayer:
    """A frame that is in memory."""

    made: Frame

    @property
    def label(self) -> str:
        """For people."""
        return self.made.name

    def read(self, rows: slice, cols: slice) -> NDArray[np.int16]:
        """Return packed cells, see `Layer.read`."""
        return self.made.raw[rows, cols]


def _grid_text(grid: Grid) -> str:
    return f"{grid.width} x {grid.height} cells of {grid.cell_size_m:g} of {grid.name}"


class Stack(BackendArray):
    """Packed cells of many layers, shape (time, y, x); nothing is read before it is indexed.

    Args:
        layers: One a time.
        size: Rows and columns of each.
        nodata: Packed value of every cell of a layer that is broken.
        code: A packed value and what takes its place, or None.
        strict: Raise where a layer is broken, in place of nodata and a `BrokenFrameWarning`.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        size: tuple[int, int],
        nodata: int,
        *,
        code: tuple[int, int] | None = None,
        strict: bool = False,
    ) -> None:
        self.shape = (len(layers), *size)
        self.dtype = np.dtype(np.int16)
        self._layers = list(layers)
        self._nodata = np.int16(nodata)
        self._code = code
        self._strict = strict

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401 - a number or an array
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._take)

    def _take(self, key: tuple[int | slice, int | slice, int | slice]) -> Any:  # noqa: ANN401
        times, rows, cols = (slice(part, part + 1) if isinstance(part, (int, np.integer)) else part for part in key)
        layers = self._layers[times]
        shape = tuple(len(range(size)[part]) for size, part in zip(self.shape[1:], (rows, cols), strict=True))
        cells = np.full((len(layers), *shape), self._nodata)
        for order, layer in enumerate(layers):
            try:
                cells[order] = layer.read(rows, cols)
            except HsrGeoError as error:
                if self._strict:
                    raise
                warnings.warn(f"no data for {layer.label}: {error}", BrokenFrameWarning, stacklevel=2)
        if self._code is not None:
            cells[cells == self._code[0]] = self._code[1]
        return cells[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)]
