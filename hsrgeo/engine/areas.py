"""Areas on a grid, and what to tell of them."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import replace

from hsrgeo.errors import ClippedWarning, OptionsError, ProjectionError, WindowError
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids_by
from hsrgeo.model.window import Area, Window
from hsrgeo.outputs.recipe import Cut, Recipe
from hsrgeo.products.warp import Target, forget_warps, warp_for
from hsrgeo.writers.rasters import RASTERS, refuse_long


def clipped_window(grid: Grid, area: Area | None) -> tuple[Window, list[str]]:
    """Return the window of an area, and a note where it is cut at the edge of the grid.

    Raises:
        WindowError: It lies outside.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ClippedWarning)
        window = grid.window_for(area)
    return window, [str(warning.message) for warning in caught]


def asked_window(grid: Grid, area: Area | None) -> tuple[Window, list[str]]:
    """Return what `clipped_window` does of an area that a user chose for this very grid.

    Raises:
        OptionsError: It lies outside.
    """
    try:
        return clipped_window(grid, area)
    except WindowError as error:
        raise OptionsError(str(error)) from error


def check_areas(recipe: Recipe, noted: Grid | None = None) -> list[str]:
    """Return a note for every area that is cut at the edge of a grid; what fits no grid is refused.

    Raises:
        OptionsError: An area lies outside every grid; in another projection its cells would be too many, or it has
            no place there.
    """
    notes: list[str] = []
    known = grids_by((noted or recipe).registration)
    for cut in recipe.cuts:
        problems: list[str] = []
        for grid in known:
            try:
                _window, clipped = clipped_window(grid, cut.area)
            except WindowError as error:
                problems.append(str(error))
                continue
            notes.extend(clipped[:1] if grid == (noted or known[0]) else [])
        if len(problems) == len(known):
            raise OptionsError(f"region {cut.region}: {problems[0]}" if cut.region else problems[0])
    if recipe.target:
        _check_target(recipe, recipe.target, known[0])
    return notes


def _check_target(recipe: Recipe, target: Target, grid: Grid) -> None:
    """Refuse a resolution or projection that makes nothing of the largest area, or more than a format can have."""
    sizes: dict[Cut, int] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedWarning)
        for cut in recipe.cuts:
            with suppress(WindowError):  # it fits another grid
                window = grid.window_for(cut.area)
                sizes[cut] = window.width * window.height
        limited = [name for name in recipe.formats if RASTERS[name].most_side]
        for cut in sorted(sizes, key=sizes.__getitem__, reverse=True)[: None if limited else 1]:
            try:
                made = warp_for(grid, cut.area, replace(target, resampling="nearest")).grid
            except ProjectionError as error:
                raise OptionsError(str(error)) from error
            for name in limited:
                refuse_long(name, made.width, made.height)
    forget_warps()  # the map of a whole frame is large, and workers make their own
