"""Squares of a picture, and what lies between their lowest and highest value.

Most of a composite is one code from end to end. Whoever goes through its pixels first asks for the extremes of each
square, and then looks only into those that hold more than one value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK_SIDE = 256
"""Cells along each side of a square: of smaller ones more hold one value, of larger ones there are fewer to look at.
Tiles of a COG have this side too."""


def block_extremes(values: NDArray[np.int16], side: int = BLOCK_SIDE) -> NDArray[np.int16]:
    """Return the lowest and the highest value of each square; the last of a row or column may be smaller.

    Returns:
        Shape (2, rows of squares, columns of squares): lowest, then highest.
    """
    lefts = np.arange(0, values.shape[1], side)
    tops = range(0, values.shape[0], side)
    extremes = np.empty((2, len(tops), len(lefts)), np.int16)
    for order, top in enumerate(tops):
        band = values[top : top + side]
        # Down the columns first: numpy does that for a whole row at a time.
        np.minimum.reduceat(band.min(axis=0), lefts, out=extremes[0, order])
        np.maximum.reduceat(band.max(axis=0), lefts, out=extremes[1, order])
    return extremes
