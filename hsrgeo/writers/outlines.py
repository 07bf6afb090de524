"""Outlines of groups of cells, as WKB in degrees."""

from __future__ import annotations

import struct
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from rasterio import features

from hsrgeo.model.grid import Grid

_POLYGON, _MULTIPOLYGON = 3, 6
# ^ OGC Simple Feature Access, "Well-known Binary Representation"


def outlines(labels: NDArray[np.int32], grid: Grid) -> list[bytes]:
    """Return the outline of each group as a MultiPolygon; groups that touch at a corner only are several polygons.

    Args:
        labels: Shape (rows, columns): the number of each cell's group, from 1 on; 0 belongs to none.
        grid: The cells.
    """
    polygons: dict[int, list[bytes]] = defaultdict(list)
    for shape, number in features.shapes(labels, mask=labels > 0, connectivity=4):
        polygons[int(number)].append(_polygon(shape["coordinates"], grid))
    return [
        struct.pack("<BII", 1, _MULTIPOLYGON, len(polygons[number])) + b"".join(polygons[number])
        for number in range(1, int(labels.max(initial=0)) + 1)
    ]


def _polygon(rings: list[list[tuple[float, float]]], grid: Grid) -> bytes:
    parts = [struct.pack("<BII", 1, _POLYGON, len(rings))]
    for ring in rings:
        cols, rows = np.array(ring).T - 0.5  # corners of cells, which count from their centres
        lon, lat = grid.lonlat(rows, cols)
        parts += [struct.pack("<I", len(ring)), np.stack([lon, lat], axis=1).astype("<f8").tobytes()]
    return b"".join(parts)
