"""Storm cells as rows: frames in, a table or a layer of polygons out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hsrgeo.engine.cells.rows_run import Made, RowsRun, unit_word
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.errors import OptionsError
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import Quantity
from hsrgeo.products.cleaning import ndimage
from hsrgeo.products.objects import storm_cells
from hsrgeo.sources.remote import Place, listed_sources, target
from hsrgeo.writers.outlines import outlines

_STRONG_DBZ, _STRONG_MM_H = 35.0, 5.0
"""From where echo belongs to a storm cell, where nothing is said: nearly the same, by KMA's law."""


@dataclass(frozen=True, kw_only=True)
class ObjectsOptions:
    """Which storm cells `hsrgeo.find_objects` writes.

    Args:
        frames: Which frames, and what is made of each: area, mask, cleaning, quantity, projection, jobs. Formats,
            names and whatever else is of files mean nothing here.
        at_least: Cells of at least this belong to a storm cell: dBZ (35), or mm/h (5) of rain.
        min_area: Smaller storm cells [km2] are left out.

    Raises:
        OptionsError: A number that cannot be.
        MissingExtraError: scipy is not installed.
    """

    frames: ExportOptions = field(default_factory=ExportOptions)
    at_least: float | None = None
    min_area: float = 0.0

    def __post_init__(self) -> None:
        if self.at_least is not None and not math.isfinite(self.at_least):
            raise OptionsError(f"at_least {self.at_least:g}: expected a number")
        if not 0 <= self.min_area < math.inf:
            raise OptionsError(f"min_area {self.min_area:g}: expected 0 km2 or more")
        ndimage()

    def limit(self, quantity: Quantity) -> float:
        """Return from where cells belong to a storm cell, in the unit of a quantity: frames may be of rain already."""
        if self.at_least is not None:
            return self.at_least
        return _STRONG_MM_H if quantity.is_rain else _STRONG_DBZ


class Objects(RowsRun):
    """A run, see `RowsRun`."""

    shape = "MultiPolygon"

    def __init__(self, sources: Sequence[str | Path], out: Place, options: ObjectsOptions) -> None:
        self._options = options
        self._outlined = out.suffix.lower() == ".gpkg"
        super().__init__(sources, out, options.frames)

    def columns(self, quantity: Quantity) -> tuple[str, ...]:
        """Return the names of the numbers."""
        unit = unit_word(quantity)
        return "id", "lon", "lat", "cells", "area_km2", f"max_{unit}", f"mean_{unit}", "max_lon", "max_lat"

    def made(self, part: Frame) -> Made:
        """Return a row for each storm cell."""
        found = storm_cells(part, self._options.limit(part.quantity), self._options.min_area)
        numbers = (
            *(np.arange(1, len(found.cells) + 1), found.lon, found.lat, found.cells, found.area_km2),
            *(found.maximum, found.mean, found.max_lon, found.max_lat),
        )
        shapes = outlines(found.labels, part.grid) if self._outlined else []
        return np.stack(numbers, axis=1).astype(np.float64), shapes


@takes(ObjectsOptions, ExportOptions)
def find_objects(
    sources: str | Path | Sequence[str | Path],
    out: str | Place,
    options: ObjectsOptions | None = None,
    **keywords: object,
) -> Objects:
    """Write the storm cells of each frame; iterate the result, or call its `run`.

    Of several frames of one time the best one counts, as in an export.

    Columns: ``time_utc``, ``time_kst``, ``region`` where there are several; ``id``, the number within the frame, the
    largest first; ``lon`` and ``lat``, the mean place of its cells; ``cells``; ``area_km2`` on the ground;
    ``max_dbz`` or ``max_mm_h``; ``mean_dbz``, of Z, or ``mean_mm_h``; ``max_lon`` and ``max_lat``. Storm cells are not
    followed from frame to frame.

    Args:
        sources: A file, folder, glob or archive, or several.
        out: Polygons as ``.gpkg``; or a table, ``.csv`` or ``.parquet``, also in a bucket.
        options: Which storm cells.
        keywords: Fields of `ObjectsOptions` and of `ExportOptions`, in place of those of `options`.

    Returns:
        An iterator over the outcome of each frame. A broken frame is an outcome, not an exception.

    Raises:
        OptionsError, SourceError, MissingExtraError: See `RowsRun`.
    """
    listed = listed_sources(sources)
    return Objects(listed, target(out), options_of(ObjectsOptions, options, keywords, frames=ExportOptions))
