"""Frames that are read when their values are asked for, as one array of time, y and x."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from hsrgeo.errors import ClippedWarning, FrameError, HsrGeoError, HsrGeoWarning, OptionsError
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.window import Area, Window
from hsrgeo.products.rain import KMA_LAW, Law, rain_frame
from hsrgeo.products.warp import Target, Warp, warp_for
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found

Content = Literal["stored", "rain"]
Values = Literal["clean", "raw"]


class BrokenFrameWarning(HsrGeoWarning):
    """A frame of a lazy array turned out to be broken when it was read; its cells are nodata."""


@dataclass(frozen=True, slots=True)
class Making:
    """What is made of each frame before it goes into an array; the words are those of `ExportOptions`.

    Raises:
        OptionsError: A word that is not known.
    """

    area: Area | None = None
    quantity: Content = "stored"
    law: Law = KMA_LAW
    values: Values = "clean"
    target: Target | None = None
    block: int = 1

    def __post_init__(self) -> None:
        for name, given, known in (
            ("quantity", self.quantity, get_args(Content)),
            ("values", self.values, get_args(Values)),
        ):
            if given not in known:
                raise OptionsError(f"{name} {given!r}: expected {' or '.join(known)}")
        if self.block < 1:
            raise OptionsError(f"block {self.block}: blocks are counted from 1")

    def of(self, frame: Frame) -> Frame:
        """Return the frame as the array shows it.

        Raises:
            WindowError: The area does not fit the frame's grid.
            FrameError: What it holds cannot be made rain, or cannot be averaged.
        """
        warp = _warp(frame.grid, self.area, self.target) if self.target else None
        window = warp.window if warp else window_of(frame.grid, self.area)
        part = frame if window == frame.grid.window else frame.crop(window=window)
        if self.quantity == "rain":
            part = rain_frame(part, self.law)
        if self.values == "clean":
            part = part.clean()
        return warp.apply(part) if warp else part


@lru_cache(maxsize=64)
def window_of(grid: Grid, area: Area | None) -> Window:
    """Return the window of an area; that it is cut at the edge was told when the array was made.

    Raises:
        WindowError: It does not fit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedWarning)
        return grid.window_for(area)


def _warp(grid: Grid, area: Area | None, target: Target) -> Warp:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedWarning)
        return warp_for(grid, area, target)


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
    """Where what is made of it must lie."""
    quantity: Quantity
    """What it must hold."""
    time: datetime

    @property
    def label(self) -> str:
        """For people."""
        return self.found.label

    def frame(self) -> Frame:
        """Return what is made of the frame.

        Raises:
            HsrGeoError: It cannot be read, is broken, or does not belong to the others.
        """
        found = self.found
        part = self.making.of(decode_found(found, self.making.block))
        if part.grid != self.grid:
            raise FrameError("other grid", _grid_text(self.grid), _grid_text(part.grid), found.source, found.member)
        if part.quantity != self.quantity:
            raise FrameError("other quantity", self.quantity.name, part.quantity.name, found.source, found.member)
        return part

    def read(self, rows: slice, cols: slice) -> NDArray[np.int16]:
        """Return packed cells, see `Layer.read`; only these are made clean."""
        frame = self.frame()
        return replace(frame, stored=frame.stored[rows, cols]).raw


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
