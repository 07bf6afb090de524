"""The file of a period and area."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.accumulate.sums import number_of, write_sum
from hsrgeo.engine.areas import clipped_window
from hsrgeo.engine.periods import Period, fewest_of
from hsrgeo.model.grid import Grid
from hsrgeo.model.times import utc_text
from hsrgeo.model.window import Window
from hsrgeo.outputs.recipe import Cut
from hsrgeo.places.masks import MaskFile
from hsrgeo.products.sums import RunningSum
from hsrgeo.sources.remote import Place
from hsrgeo.writers.files import write_file
from hsrgeo.writers.sum_cog import DEPTH_STEP_MM, NODATA, Band, encode_bands, encode_sum_cog

STEP = 0.01
"""What one stored unit of a rate [mm/h] or of a share [%] stands for."""


@dataclass(frozen=True, slots=True)
class Area:
    """A cut on the grid of the frames."""

    region: str
    window: Window
    grid: Grid
    mask: NDArray[np.bool_] | None
    """Cells that count; None is all."""

    @classmethod
    def of(cls, grid: Grid, cut: Cut, mask: MaskFile | None) -> Self:
        """Return the area of a cut, as far as it lies on the grid."""
        window, _clipped = clipped_window(grid, cut.area)
        part = grid.crop(window)
        return cls(cut.region, window, part, None if mask is None else mask.on(part))


def notes_on_unknown(unknown: int, files: int, min_coverage: float) -> list[str]:
    """Return what a user should know of files without a cell that has a value."""
    if not unknown:
        return []
    why = f" (no cell was observed in {min_coverage:g} of the expected frames: --min-coverage)" if min_coverage else ""
    return [f"files without any valid cell: {unknown:,} of {files:,}{why}"]


def write_period(
    path: Place,
    area: Area,
    total: RunningSum,
    period: Period,
    tags: dict[str, str],
    options: AccumulateOptions,
) -> tuple[Place, bool]:
    """Write the sum of a period, or another number of its frames; return its path, and whether any cell is known."""
    fewest = fewest_of(options.min_coverage, period.expected)
    values, frames = total.packed(DEPTH_STEP_MM, fewest, NODATA) if options.stat == "sum" else (None, total.frames)
    if values is None:
        shown = np.rint(number_of(total, options.stat, period.step) / STEP).astype(np.int32)
        values = np.where(frames >= max(fewest, 1), shown, np.int32(NODATA))
    if area.mask is not None:
        values[~area.mask], frames[~area.mask] = NODATA, 0
    if options.stat == "sum":
        data = encode_sum_cog(area.grid, values, frames, tags, utc_text(period.start))
        write_sum(path, data, period.end - period.start)
    else:
        bands = Band(tags["QUANTITY"], values, STEP, tags["UNIT"]), Band("frames", frames)
        write_file(path, encode_bands(area.grid, bands, tags, utc_text(period.start)))
    return path, bool((values != NODATA).any())
