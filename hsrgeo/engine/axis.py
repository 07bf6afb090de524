"""Times of frames as an axis, and sources that have one."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from hsrgeo.cube.source_types import SourceType, source_type_of, source_type_of_url
from hsrgeo.errors import ManifestError, OptionsError
from hsrgeo.model.times import (
    FIVE_MINUTES_SINCE,
    FRAME_STEP,
    KST,
    early_step,
    export_step,
    frame_length,
    length_text,
    usual_step,
)
from hsrgeo.outputs.journal import is_output
from hsrgeo.outputs.taken import refuse_cube
from hsrgeo.sources.archive_formats import is_archive
from hsrgeo.sources.remote import Place, RemotePath, is_remote, listed_sources, local, place


def floor_step(time: datetime, step: timedelta) -> datetime:
    """Return the last whole step after midnight KST that is not later than a time, in KST."""
    in_kst = time.astimezone(KST)
    midnight = in_kst.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (in_kst - midnight) // step * step


def ceil_step(time: datetime, step: timedelta) -> datetime:
    """Return the first whole step after midnight KST that is not earlier than a time, in KST."""
    floor = floor_step(time, step)
    return floor if floor == time else floor + step


def slots(
    times: Collection[datetime], start: datetime | None, end: datetime | None, step: timedelta
) -> Iterator[datetime]:
    """Yield every whole step from the first time to the last, and every given time between the steps, in order.

    Args:
        times: Of frames; none gives nothing.
        start: Where the axis begins; None is the first time.
        end: Where the axis ends, not included; None is after the last time.
        step: Between slots, counted from midnight KST.
    """
    if not times:
        return
    listed = sorted(set(times))
    slot = ceil_step(start or listed[0], step)
    last = listed[-1]
    for time in listed:
        while slot < time:
            yield slot
            slot += step
        yield time
        if slot == time:
            slot += step
    while end is not None and last < slot < end:
        yield slot
        slot += step


def frame_length_of(times: Iterable[datetime], given: timedelta | None) -> tuple[timedelta, list[str]]:
    """Return how long each frame stands for, as `given` if a user says it, and what a user should know of it.

    Raises:
        OptionsError: The frames are closer together than that: rain would count twice; or some stand for ten minutes
            and others for five: half of the rain of the former would be missing.
    """
    listed = sorted(set(times))
    length, closest = given or frame_length(listed), usual_step(listed)
    if given is not None and closest is not None and closest < given:
        raise OptionsError(f"frame step {length_text(given)}: frames are {length_text(closest)} apart, less than that")
    if given is None and _mixes_lengths(listed):
        raise OptionsError(
            "frames of before 16 September 2019 stand for 10min, later ones for 5min: use two runs, with "
            "--end 2019-09-16 and with --start 2019-09-16, or give --frame-step"
        )
    notes = []
    if given is None and length != FRAME_STEP:
        notes.append(f"all frames are of before 16 September 2019: each stands for {length_text(length)}")
    if (apart := export_step(listed)) > length:
        notes.append(
            f"times are {length_text(apart)} apart and each frame stands for {length_text(length)}: at most "
            f"{length / apart:.0%} of the time is observed; if frames stand for longer, give --frame-step"
        )
    return length, notes


def _mixes_lengths(times: Sequence[datetime]) -> bool:
    """Tell whether some frames stand for ten minutes and others for five (`hsrgeo.model.times.FIVE_MINUTES_SINCE`)."""
    early = [time for time in times if time < FIVE_MINUTES_SINCE]
    return 0 < len(early) < len(times) and early_step(early) != FRAME_STEP


def type_of_sources(sources: Sequence[str | Path]) -> SourceType:
    """Tell what the sources are: frames, or one cube or one folder of an export; a reference is read as a cube.

    Raises:
        OptionsError: There is no source; one is a raster; a cube or an export is given together with another source.
    """
    source_types: set[SourceType] = set()
    for source in listed_sources(sources):
        if is_remote(source):
            source_type = source_type_of_url(str(source)) or "frames"
            if source_type == "frames":
                refuse_output_elsewhere(source)
            source_types.add(source_type)
            continue
        path = local(source, "reading a cube")
        if path.suffix.lower() in _RASTERS and not os.path.isdir(path):  # noqa: PTH112 - as in hsrgeo.cube.source_types
            raise OptionsError(
                f"{source}: is a picture of one frame; give the folder of the export, the frames or archives"
            )
        source_types.add(source_type_of(path))
    if len(sources) > 1 and source_types != {"frames"}:
        raise OptionsError("a cube or an exported folder is read on its own, not together with other sources")
    source_type = source_types.pop()
    return "cube" if source_type == "reference" else source_type


def refuse_output_elsewhere(source: str | Path) -> None:
    """Refuse the output folder of an export that is not on this machine, where only frames can be read."""
    if not is_remote(source):
        return
    path = place(source)
    if isinstance(path, RemotePath) and path.key and not is_archive(path) and not path.is_pattern:
        with suppress(OSError, ManifestError):
            if is_output(path):
                raise OptionsError(f"{source}: the output of an export can be read on this machine only; copy it here")


def refuse_other_outputs(out: Place) -> None:
    """Refuse a folder for sums or fields that is a cube, or that an export has."""
    refuse_cube(out, "sums and fields")
    if is_output(out):
        raise OptionsError(f"{out}: is the output of an export; sums and fields go to a folder of their own")


SUMS = "sums"
"""What the lock of a folder of sums or fields is named after."""
_RASTERS = (".tif", ".tiff", ".png")
