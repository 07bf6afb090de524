"""Times of frames as an axis, and sources that have one."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from hsrgeo.engine.manifest import MANIFEST
from hsrgeo.errors import OptionsError
from hsrgeo.model.times import KST
from hsrgeo.sources.found import Found


def floor_step(time: datetime, step: timedelta) -> datetime:
    """Return the last whole step after midnight KST that is not later than a time, in KST."""
    local = time.astimezone(KST)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (local - midnight) // step * step


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


def product_guard(found: Iterator[Found]) -> Generator[Found]:
    """Pass frames on as long as all are of one product.

    Raises:
        OptionsError: Another product turns up; one value a time cannot be both.
    """
    product: str | None = None
    for one in found:
        if one.told is not None:
            product = product or one.told.product
            if one.told.product != product:
                both = " and ".join(sorted({product, one.told.product}))
                raise OptionsError(f"the sources hold {both}: choose one with --product")
        yield one


def refuse_outputs(sources: Sequence[str | Path]) -> None:
    """Refuse what hsrgeo wrote itself: values are read from frames, where nothing is rounded or cut.

    Raises:
        OptionsError: A source is the output folder of an export, a raster or a cube.
    """
    for source in sources:
        path = Path(source)
        suffix = path.suffix.lower()
        is_raster = suffix in (".tif", ".tiff", ".png", ".nc", ".zarr")
        if is_raster or (path.is_dir() and (path / MANIFEST).is_file() and not _holds_frames(path)):
            raise OptionsError(f"{source}: holds outputs; give the frames or archives that they were made from")


def _holds_frames(folder: Path) -> bool:
    return any(islice(folder.glob("*.bin*"), 1))
