"""Cells as rows: frames in, a table with a row a cell and time out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.cells.rows_run import Made, RowsRun, unit_word
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.errors import OptionsError
from hsrgeo.model.checks import refuse_fractions
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.products.rates import stored_table
from hsrgeo.sources.remote import Place, listed_sources, target


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Which cells `hsrgeo.sample` writes.

    Args:
        frames: Which frames, and what is made of each: area, mask, cleaning, quantity, projection, jobs. Formats,
            names and whatever else is of files mean nothing here.
        step: Every so many columns and rows, counted from the north-west cell of the area.
        at_least: Only cells of at least this value; None is every cell that was observed.

    Raises:
        OptionsError: A step or value that cannot be.
    """

    frames: ExportOptions = field(default_factory=ExportOptions)
    step: int = 1
    at_least: float | None = None

    def __post_init__(self) -> None:
        refuse_fractions("step", self.step)
        if self.step < 1:
            raise OptionsError(f"step {self.step}: expected 1 or more")
        if self.at_least is not None and not math.isfinite(self.at_least):
            raise OptionsError(f"at_least {self.at_least:g}: expected a number")


class Sample(RowsRun):
    """A run, see `RowsRun`."""

    def __init__(self, sources: Sequence[str | Path], out: Place, options: SampleOptions) -> None:
        self._options = options
        super().__init__(sources, out, options.frames)

    def columns(self, quantity: Quantity) -> tuple[str, ...]:
        """Return the names of the numbers."""
        return "lon", "lat", f"{'rain' if quantity.is_rain else quantity.name}_{unit_word(quantity)}"

    def made(self, part: Frame) -> Made:
        """Return a row for each cell."""
        step, least = self._options.step, self._options.at_least
        stored = np.ascontiguousarray(part.stored[::step, ::step])
        observed = stored >= part.quantity.undetect
        values = stored_table(part.quantity)[stored.view(np.uint16)]
        values[np.isneginf(values)] = part.quantity.nothing
        wanted = observed if least is None else observed & (values >= least)
        lon, lat = _lonlat(part.grid, step)
        return np.stack([lon[wanted], lat[wanted], values[wanted]], axis=1), ()


@lru_cache(maxsize=16)
def _lonlat(grid: Grid, step: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, cols = np.mgrid[0 : grid.height : step, 0 : grid.width : step]
    return grid.lonlat(rows, cols)


@takes(SampleOptions, ExportOptions)
def sample(
    sources: str | Path | Sequence[str | Path],
    out: str | Place,
    options: SampleOptions | None = None,
    **keywords: object,
) -> Sample:
    """Write a row for each cell and time; iterate the result, or call its `run`.

    Of several frames of one time the best one counts, as in an export.

    Columns: ``time_utc``, ``time_kst``, ``region`` where there are several, ``lon`` and ``lat`` of the cell's centre,
    and the value with its unit, ``reflectivity_dbz`` or ``rain_mm_h``. A cell that was not observed has no row; one
    that was and holds nothing has 0 mm/h, or -inf dBZ.

    Args:
        sources: A file, folder, glob or archive, or several.
        out: The table, ``.csv`` or ``.parquet``, also in a bucket; or points as ``.gpkg``.
        options: Which cells.
        keywords: Fields of `SampleOptions` and of `ExportOptions`, in place of those of `options`.

    Returns:
        An iterator over the outcome of each frame. A broken frame is an outcome, not an exception.

    Raises:
        OptionsError, SourceError, MissingExtraError: See `RowsRun`.
    """
    listed = listed_sources(sources)
    return Sample(listed, target(out), options_of(SampleOptions, options, keywords, frames=ExportOptions))
