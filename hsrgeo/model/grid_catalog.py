"""The grids that hsrgeo knows: read from projections/, and each registered by corner too."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from affine import Affine

from hsrgeo.errors import OptionsError, UnknownGridError
from hsrgeo.model.grid import CheckPoint, Grid, Registration
from hsrgeo.model.projections import projections_dir

if TYPE_CHECKING:
    pass


def _read_grid(path: Path) -> Grid:
    entry: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return Grid(
        name=entry["name"],
        wkt2=" ".join(line.strip() for line in entry["wkt2"].strip().splitlines()),
        transform=Affine(*entry["transform"]),
        width=entry["width"],
        height=entry["height"],
        map_code=entry["map_code"],
        title=entry["title"],
        proj=entry["proj"],
        confidence=entry["confidence"],
        sources=tuple(entry["sources"]),
        check_points=tuple(CheckPoint(**point) for point in entry["check_points"]),
        statistics=entry.get("statistics", {}),
    )


MAIN_GRID = "kma-hb-500m"
"""Name of the grid that today's composites lie on."""


@cache
def grids() -> dict[str, Grid]:
    """Return every grid that hsrgeo knows, by name: those of `projections_dir`, and then each registered by corner."""
    found = [_read_grid(path) for path in sorted(projections_dir().glob("*.toml"))]
    found.sort(key=lambda grid: grid.cell_size_m)
    return {grid.name: grid for grid in (*found, *map(_by_corner, found))}


def grids_by(registration: Registration) -> tuple[Grid, ...]:
    """Return the grids of a registration.

    Raises:
        OptionsError: There is no such registration.
    """
    if registration not in get_args(Registration):
        raise OptionsError(f"registration {registration!r}: expected {' or '.join(get_args(Registration))}")
    return tuple(grid for grid in grids().values() if grid.registration == registration)


def _by_corner(grid: Grid) -> Grid:
    """Return the same cells half a cell farther north-east, so that KMA's points are their south-west corners."""
    t, half = grid.transform, grid.cell_size_m / 2
    return replace(
        grid,
        name=f"{grid.name}-corner",
        title=f"{grid.title}, by corner: half a cell north-east",
        transform=Affine(t.a, t.b, t.c + half, t.d, t.e, t.f + half),
        confidence="found in one HSP file of 2022; `hsrgeo sites` measures it",
        check_points=(),
        statistics={},
        registration="corner",
    )


def grid_for(map_code: int, width: int, height: int, cell_size_m: float, registration: Registration = "point") -> Grid:
    """Return the grid that a header describes.

    Raises:
        UnknownGridError: No known grid has this map, size and cell size.
        OptionsError: There is no such registration.
    """
    known_grids = grids_by(registration)
    for grid in known_grids:
        if (grid.map_code, grid.width, grid.height, grid.cell_size_m) == (
            map_code,
            width,
            height,
            cell_size_m,
        ):
            return grid
    known = "; ".join(
        f"map {g.map_code}, {g.width} x {g.height} cells of {g.cell_size_m:g} m ({g.name})" for g in known_grids
    )
    raise UnknownGridError(
        "unknown grid", f"one of: {known}", f"map {map_code}, {width} x {height} cells of {cell_size_m:g} m"
    )
