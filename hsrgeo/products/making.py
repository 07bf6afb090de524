"""What is made of a frame before it is written or goes into an array."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

from hsrgeo.errors import ClippedWarning, OptionsError
from hsrgeo.model.file_blocks import Block, as_block
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid, Registration
from hsrgeo.model.window import Area, Window
from hsrgeo.products.cleaning import Cleaning
from hsrgeo.products.factors import Factors
from hsrgeo.products.masks import Mask
from hsrgeo.products.rain import KMA_LAW, Law, rain_frame
from hsrgeo.products.warp import Target, Warp, warp_for

Content = Literal["stored", "rain"]
Values = Literal["clean", "raw"]


@dataclass(frozen=True, slots=True)
class Making:
    """What is made of each frame before it is written or goes into an array; the words are those of `ExportOptions`.

    Raises:
        OptionsError: A word that is not known.
    """

    area: Area | None = None
    quantity: Content = "stored"
    law: Law = KMA_LAW
    values: Values = "clean"
    target: Target | None = None
    block: Block = 1
    registration: Registration = "point"
    """Of the frames as they are read, as `block` is."""
    factors: Factors | None = None
    """That rain is multiplied by."""
    mask: Mask | None = None
    """Cells that do not count become nodata."""
    cleaning: Cleaning | None = None
    """Of the echo, before anything else is made of it."""

    def __post_init__(self) -> None:
        for name, given, known in (
            ("quantity", self.quantity, get_args(Content)),
            ("values", self.values, get_args(Values)),
            ("registration", self.registration, get_args(Registration)),
        ):
            if given not in known:
                raise OptionsError(f"{name} {given!r}: expected {' or '.join(known)}")
        object.__setattr__(self, "block", as_block(self.block, every=True))

    def window_of(self, grid: Grid) -> Window:
        """Return the part of a whole grid that `of` looks at.

        Raises:
            WindowError: The area does not fit.
        """
        if self.cleaning:
            return grid.window  # it looks at the cells around
        return _warp(grid, self.area, self.target).window if self.target else _window(grid, self.area)

    def of(self, frame: Frame) -> Frame:
        """Return what is shown of a frame: its area, as rain where asked for, clean, in the projection.

        The frame is a whole composite, or the rows of it that `window_of` has.

        Raises:
            WindowError: The area does not fit the frame's grid.
            OptionsError: The mask does not cover the area.
            FrameError: What it holds cannot be made rain, or cannot be averaged or cleaned.
        """
        grid = frame.full_grid
        warp = _warp(grid, self.area, self.target) if self.target else None
        window = warp.window if warp else _window(grid, self.area)
        part = self.cleaning.of(frame, window) if self.cleaning else _part(frame, grid, window)
        if self.mask:
            part = self.mask.applied(part)
        if self.quantity == "rain":
            part = self.factors.adjusted(part, self.law) if self.factors else rain_frame(part, self.law)
        if self.values == "clean":
            part = part.clean()
        return warp.apply(part) if warp else part


def _part(frame: Frame, grid: Grid, window: Window) -> Frame:
    """Return a window, counted in a whole grid, of a frame that has its rows."""
    if window == frame.window:
        return frame
    at = frame.window
    inner = Window(window.col_off - at.col_off, window.row_off - at.row_off, window.width, window.height)
    part = frame.crop(window=inner)  # raises where the frame lacks a row
    return replace(part, grid=grid.crop(window))  # the corner is not rounded twice


@lru_cache(maxsize=4096)  # a run may have thousands of regions
def _window(grid: Grid, area: Area | None) -> Window:
    """Return the window of an area; that it is cut at the edge was noted once, before.

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
