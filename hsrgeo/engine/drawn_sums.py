"""A folder of sums or gauge fields as what `hsrgeo.engine.render` draws."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.gis.depth import times_of
from hsrgeo.gis.map import ATTRIBUTION
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import DEPTH, RAIN
from hsrgeo.outputs.exported import header_of
from hsrgeo.outputs.folder import Exported, several_regions
from hsrgeo.outputs.summed import MAXIMA, is_merged, summed_files, title_of
from hsrgeo.products.classes import classes_for
from hsrgeo.products.palettes import Palette
from hsrgeo.sources.select import Selection
from hsrgeo.writers.sum_readback import read_sum

_LARGEST = int(np.iinfo(np.int16).max)


@dataclass(frozen=True, slots=True)
class DrawnSum(Exported):
    """A COG of a sum or a gauge field."""

    times: int = 1
    """What the classes are multiplied by, see `hsrgeo.gis.depth`."""
    palette: Palette | None = None
    """A user's classes in place of those."""


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of a folder that are drawn, all of one kind and length."""

    entries: tuple[DrawnSum, ...]
    """In order of time."""
    length: timedelta
    times: int
    """See `DrawnSum`."""
    title: str
    credit: str
    """Where the data are from; empty where hsrgeo does not know it."""
    notes: tuple[str, ...]


def sums_of(out: Path, selection: Selection, region: str, palette: Palette | None = None) -> Sums:
    """Look through a folder of sums or fields.

    `region` is empty where it has only one; a palette has classes of depth in mm, in place of KMA's numbers.

    Raises:
        OptionsError: It has several regions or kinds, or none that is a sum of a period.
        ReadbackError: A file of it is damaged.
    """
    files, damaged = summed_files(out, region or None)
    if damaged:
        raise damaged[0]
    regions = sorted({one.region for one in files})
    if len(regions) > 1:
        raise several_regions(out, regions)
    names = sorted({one.what for one in files if MAXIMA not in one.what})
    sums = [one for one in files if one.what in names]
    if len(names) != 1 or len({one.length for one in sums}) != 1:
        raise OptionsError(f"{out} contains {', '.join(names) or 'rolling maxima only'}: an animation needs one kind")
    first, times = sums[0], times_of(sums[0].duration)
    wanted = [one for one in sums if selection.wants(one.frame_name)]
    notes = []
    if maxima := len(files) - len(sums):
        notes.append(f"rolling maxima are not sums of a period and are ignored: {maxima:,}")
    if gaps := sum(one.used < one.expected for one in wanted):
        notes.append(f"sums that lack frames: {gaps:,}; hsrgeo plot sum hatches where")
    merged = [one for one in wanted if is_merged(one.tags)]
    if merged and len(merged) < len(wanted):
        notes.append(
            f"sums that were not merged with gauges, drawn as the radar has them: {len(wanted) - len(merged):,}"
        )
    return Sums(
        entries=tuple(
            DrawnSum(out / one.path, one.frame_name, one.path, times=times, palette=palette) for one in wanted
        ),
        length=first.length,
        times=times,
        title=title_of((merged or sums)[0].tags),
        credit=ATTRIBUTION if "LICENCE" in first.tags else "",
        notes=tuple(notes),
    )


def read_drawn(entry: DrawnSum) -> Frame:
    """Return a sum as a frame of rain whose classes are those of the sum.

    It holds the depth divided by `DrawnSum.times`; with a palette the number of the class, from 1: see
    `hsrgeo.gis.map.Plan.cells_by`.

    Raises:
        SourceError: GDAL cannot read it, or it is no sum.
    """
    frame_name, read = entry.frame_name, read_sum(entry.path)
    if frame_name is None:
        raise SourceError(entry.label, "has no time")
    depth = np.nan_to_num(np.rint(read.depth_mm * RAIN.scale)).astype(np.int64)
    if entry.palette:
        stored = np.digitize(depth, [one.first for one in classes_for(DEPTH, entry.palette)])
    else:
        stored = np.minimum(depth // entry.times, _LARGEST)  # every bound is a whole number of steps: classes stay
        stored[(depth > 0) & (stored == 0)] = 1  # the lowest class begins at one step, whatever `times`
    stored[np.isnan(read.depth_mm)] = RAIN.nodata
    return Frame(
        stored=stored.astype(np.int16),
        quantity=RAIN,
        grid=read.grid,
        window=read.grid.window,
        time=frame_name.time,
        header=header_of(frame_name.time, read.grid, synthetic=read.tags.get("SYNTHETIC") == "yes"),
        product=frame_name.product,
        kind="",
        name=entry.path.name,
        crc32=0,
        block=1,
        blocks=1,
        cleaned=True,
    )
