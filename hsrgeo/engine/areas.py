"""Areas on a grid, and what to tell of them."""

from __future__ import annotations

import warnings

from hsrgeo.errors import ClippedWarning, OptionsError, WindowError
from hsrgeo.model.grid import Grid
from hsrgeo.model.window import Area, Window


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
