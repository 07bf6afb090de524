"""Storm cells: groups of neighbouring cells with strong echo, as numbers and outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray

from hsrgeo.errors import FrameError
from hsrgeo.model.frame import Frame
from hsrgeo.products.cleaning import ndimage
from hsrgeo.products.rates import stored_table

_GEOD = pyproj.Geod(ellps="WGS84")
_KM2 = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class StormCells:
    """The storm cells of a frame, the largest first; arrays have one entry for each."""

    labels: NDArray[np.int32]
    """Shape (rows, columns): 1 for cells of the first, and so on; 0 elsewhere."""
    cells: NDArray[np.int64]
    area_km2: NDArray[np.float64]
    """On the ground."""
    lon: NDArray[np.float64]
    """Of the mean place of its cells [degrees], as `lat`."""
    lat: NDArray[np.float64]
    maximum: NDArray[np.float64]
    """In the unit of the quantity, as `mean`."""
    mean: NDArray[np.float64]
    """Of rain in mm/h; of reflectivity 10 log10 of the mean Z."""
    max_lon: NDArray[np.float64]
    """Of its first cell with the maximum, from the north-west [degrees], as `max_lat`."""
    max_lat: NDArray[np.float64]


def storm_cells(part: Frame, at_least: float, min_area_km2: float = 0.0) -> StormCells:
    """Return the storm cells of a frame.

    Args:
        part: Of reflectivity or rain rate.
        at_least: Cells with at least this, in its unit, belong to one; those that touch at a side or corner to the
            same.
        min_area_km2: Smaller ones are left out.

    Raises:
        FrameError: It has neither reflectivity nor rain.
        MissingExtraError: scipy is not installed.
    """
    quantity = part.quantity
    if not (quantity.is_rain or quantity.unit == "dBZ"):
        raise FrameError("no storm cells", "reflectivity or rain rate", quantity.name, part.name)
    values = stored_table(quantity)[part.stored.view(np.uint16)]
    strong = (part.stored >= quantity.echo_from) & (values >= at_least)
    found, count = ndimage().label(strong, np.ones((3, 3)))
    rows, cols = np.nonzero(strong)
    of_cell, value = found[rows, cols] - 1, values[rows, cols]
    cells = np.bincount(of_cell, minlength=count)
    row, col = (np.bincount(of_cell, axis, count) / cells for axis in (rows, cols))
    area = cells * _cell_km2(part, row, col)
    linear = value if quantity.is_rain else 10 ** (value / 10)
    mean = np.bincount(of_cell, linear, count) / cells
    # Sorted by storm cell, then by falling value; cells come row by row, and a stable sort keeps that.
    order = np.lexsort((-value, of_cell))
    first = order[np.searchsorted(of_cell[order], np.arange(count))]
    kept = np.flatnonzero(area >= min_area_km2)
    kept = kept[np.argsort(-area[kept], kind="stable")]
    number = np.zeros(count + 1, np.int32)
    number[kept + 1] = np.arange(1, len(kept) + 1)
    lon, lat = part.grid.lonlat(row[kept], col[kept])
    max_lon, max_lat = part.grid.lonlat(rows[first[kept]], cols[first[kept]])
    return StormCells(
        number[found],
        cells[kept],
        area[kept],
        lon,
        lat,
        value[first[kept]],
        mean[kept] if quantity.is_rain else 10 * np.log10(mean[kept]),
        max_lon,
        max_lat,
    )


def _cell_km2(part: Frame, rows: NDArray[np.float64], cols: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area on the ground of a cell around each place, which a storm cell's size hardly changes."""
    beside = np.array([-0.5, 0.5, 0.5, -0.5]), np.array([-0.5, -0.5, 0.5, 0.5])
    areas = []
    for row, col in zip(rows, cols, strict=True):
        lon, lat = part.grid.lonlat(row + beside[1], col + beside[0])
        areas.append(abs(_GEOD.polygon_area_perimeter(lon, lat)[0]) * _KM2)
    return np.array(areas, np.float64)
