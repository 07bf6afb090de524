"""The highest rain depth in any window of some length, cell by cell, and when that window ended.

A window is so many steps one after another, and slides by one step. Its depth is the sum over the frames in which the
cell was observed, as in `hsrgeo.products.sums`; one with too few of them does not count, for a gap would make it look
drier than it was. Of two windows of the same depth the earlier one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsrgeo.products.sums import COUNT_SHIFT, DEPTH_MASK

Piece = NDArray[np.int16] | int
"""Stored values of a part of a frame, or the one value that all its cells have."""


@dataclass(frozen=True, slots=True, eq=False)
class Highest:
    """What came of one window length."""

    depth: NDArray[np.int64]
    """In units of the table; -1 where no window counts."""
    end: NDArray[np.int32]
    """Steps from the first to the end of that window, the first one has ended after its length; -1 where none."""
    windows: NDArray[np.int32]
    """How many windows counted."""


def rolling_highest(
    pieces: Iterable[Piece | None],
    table: NDArray[np.uint64],
    shape: tuple[int, int],
    lengths: Sequence[tuple[int, int]],
) -> list[Highest]:
    """Return the highest window of each length.

    Memory holds the pieces of the longest window, and six numbers a cell for each length.

    Args:
        pieces: One for every step, in order of time; None where there is no frame.
        table: See `hsrgeo.products.sums.sum_table`; a window of the most steps must not overflow.
        shape: Rows and columns of each piece.
        lengths: Of windows [steps], and the fewest frames in which a cell has to be observed, at least one.
    """
    most = max(steps for steps, _fewest in lengths)
    ring: list[Piece | None] = [None] * most
    rollers = [_Roller(steps, max(fewest, 1), shape) for steps, fewest in lengths]
    for step, piece in enumerate(pieces):
        coming = _addend(piece, table)
        for roller in rollers:
            leaving = ring[(step - roller.steps) % most] if step >= roller.steps else None
            roller.slide(step, coming, _addend(leaving, table))
        ring[step % most] = piece
    return [roller.finished() for roller in rollers]


def _addend(piece: Piece | None, table: NDArray[np.uint64]) -> NDArray[np.uint64] | np.uint64:
    if piece is None:
        return np.uint64(0)
    if isinstance(piece, int):
        return np.uint64(table[piece & 0xFFFF])
    return table.take(piece.view(np.uint16))


class _Roller:
    """The windows of one length."""

    def __init__(self, steps: int, fewest: int, shape: tuple[int, int]) -> None:
        self.steps = steps
        self._fewest = np.uint64(fewest)
        self._sums = np.zeros(shape, np.uint64)
        self._depth = np.full(shape, -1, np.int64)
        self._end = np.full(shape, -1, np.int32)
        self._windows = np.zeros(shape, np.int32)
        self._counts = np.zeros(shape, np.bool_)
        """Which cells the last window that was looked at counts for."""
        self._same = 0
        """Windows since then that were the same."""

    def slide(
        self,
        step: int,
        coming: NDArray[np.uint64] | np.uint64,
        leaving: NDArray[np.uint64] | np.uint64,
    ) -> None:
        """Take in a step, let one go, and look at the window that ends with it."""
        plain = isinstance(coming, np.uint64) and isinstance(leaving, np.uint64)
        changed = not plain or coming != leaving
        if changed:
            self._sums += coming  # first, or a sum would fall below zero in between
            self._sums -= leaving
        if step + 1 < self.steps:
            return
        if not changed and step + 1 > self.steps:  # most of the sky is dry for most of the time
            self._same += 1
            return
        self._settle()
        self._counts = (self._sums >> COUNT_SHIFT) >= self._fewest
        depth = (self._sums & DEPTH_MASK).astype(np.int64)
        higher = self._counts & (depth > self._depth)
        np.copyto(self._depth, depth, where=higher)
        self._end[higher] = step + 1
        self._same = 1

    def finished(self) -> Highest:
        """Return what came of it."""
        self._settle()
        return Highest(self._depth, self._end, self._windows)

    def _settle(self) -> None:
        if self._same:
            self._windows += self._counts * np.int32(self._same)
            self._same = 0
