"""Which parts of an array have to be read for the cells of places, and the cells taken out of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Piece:
    """A window that is read in one go: cells of neighbouring chunks of one row of chunks."""

    rows: slice
    cols: slice
    local: NDArray[np.intp]
    """Flat index in the window of each cell that is wanted of it."""
    order: NDArray[np.intp]
    """Which of all wanted cells each of these is."""

    @property
    def size(self) -> int:
        """Cells of the window."""
        return int((self.rows.stop - self.rows.start) * (self.cols.stop - self.cols.start))


def pieces_of(cells: NDArray[np.int64], width: int, chunk: tuple[int, int]) -> list[Piece]:
    """Return windows that hold all the cells and touch no chunk without any.

    Args:
        cells: Flat indices (row * width + column), in any order; one may be there twice.
        width: Columns of the grid.
        chunk: Rows and columns of the chunks that can only be read as a whole.
    """
    rows, cols = np.divmod(cells, width)
    across = -(-width // chunk[1]) + 1  # one that is never touched, so that no run goes on in the next row
    chunks = rows // chunk[0] * across + cols // chunk[1]
    touched = np.unique(chunks)
    runs = np.cumsum(np.diff(touched, prepend=-1) > 1)  # chunks side by side are of one run
    run_of_cell = runs[np.searchsorted(touched, chunks)]
    by_run = np.argsort(run_of_cell, kind="stable")
    ends = np.flatnonzero(np.diff(run_of_cell[by_run])) + 1
    return [_piece(order, rows[order], cols[order]) for order in np.split(by_run, ends) if order.size]


def _piece(order: NDArray[np.intp], rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Piece:
    top, left = int(rows.min()), int(cols.min())
    across = int(cols.max()) + 1 - left
    local = ((rows - top) * across + cols - left).astype(np.intp)
    return Piece(slice(top, int(rows.max()) + 1), slice(left, left + across), local, order)


def gather(pieces: Sequence[Piece], read: Callable[[Piece], Block], times: int) -> Block:
    """Return the stored values of all cells, shape (times, cells).

    `read` gives a window of `pieces_of`, shape (times, rows, columns).
    """
    codes = np.empty((times, sum(len(piece.order) for piece in pieces)), np.int16)
    for piece in pieces:
        codes[:, piece.order] = read(piece).reshape(times, -1).take(piece.local, axis=1)
    return codes
