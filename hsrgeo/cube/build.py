"""Staged frames, and what a cube holds already -> a new cube in place of the old one.

The new store is made beside the old one and takes its name in the end. What did not change is not written again: a
chunk of the old store becomes one of the new by a hard link.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import dask.array
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from hsrgeo.cube.axis import steady_since
from hsrgeo.cube.backend import missing_variable
from hsrgeo.cube.cf import coordinates, time_variable, values_attrs
from hsrgeo.cube.extra import need
from hsrgeo.cube.geozarr import geozarr_attrs
from hsrgeo.cube.store import SERIES_SIDE, Layout, Shape, read_band
from hsrgeo.cube.whole import lost, whole_store
from hsrgeo.model.rank import Rank
from hsrgeo.sources.remote import Place
from hsrgeo.writers.disk import flush
from hsrgeo.writers.files import write_file
from hsrgeo.writers.folders import remove, replace_folder, write_errors

_LEVEL = 3  # of zstd


@dataclass(frozen=True)
class Slot:
    """Where the values of a time come from."""

    time: datetime
    rank: Rank
    old: int | None
    """Its index on the old cube's time axis, or None."""
    stem: str
    """Path of the staged files, if it is not in the old cube."""


@dataclass(frozen=True)
class Plan:
    """A cube that is to be made."""

    shape: Shape
    slots: tuple[Slot, ...]
    """By time."""
    missing: tuple[datetime, ...]
    dry: tuple[datetime, ...]
    """Times of frames that were left out."""
    attrs: Mapping[str, Any]
    """More global attributes."""
    layouts: tuple[Layout, ...]
    zarr_format: int
    out: Place
    part: Place
    """Where it is made."""

    def digest(self) -> str:
        """Return a digest that no other plan has."""
        slots = [(str(slot.time), slot.rank, slot.old, slot.stem) for slot in self.slots]
        absent = [[str(time) for time in times] for times in (self.missing, self.dry)]
        parts = [self.shape.as_json(), slots, absent, dict(self.attrs), self.layouts]
        return hashlib.sha256(json.dumps([*parts, self.zarr_format]).encode()).hexdigest()

    def group(self, layout: Layout) -> str:
        """Return the path of the group of a layout."""
        return layout if len(self.layouts) > 1 else ""

    def array(self, layout: Layout) -> str:
        """Return the path of the values."""
        return f"{self.group(layout)}/{self.shape.name}".lstrip("/")


@dataclass(frozen=True)
class DiskPlan(Plan):
    """A cube that is to be made on a disk."""

    out: Path
    part: Path


def template(plan: Plan, layout: Layout) -> xr.Dataset:
    """Return all variables of a cube but its values, packed."""
    shape, times = plan.shape, [slot.time for slot in plan.slots]
    coords: dict[str, Any] = coordinates(shape.grid, times, lonlat=True)
    coords["station_count"] = ("time", np.array([slot.rank.stations for slot in plan.slots], np.int16), _COUNT)
    # Not every reader has integers of 64 bits; a double holds each second and each CRC-32 exactly.
    created = np.array([slot.rank.created or np.nan for slot in plan.slots], np.float64)
    coords["created"] = time_variable("time", created, "", "creation of the composite (UTC)")
    coords["created"].attrs |= {"units": "seconds since 1970-01-01 00:00:00", "_FillValue": np.nan}
    coords["source_crc32"] = xr.Variable(
        "time", np.array([slot.rank.crc32 for slot in plan.slots], np.float64), _CRC32, {"_FillValue": None}
    )
    gaps = {}
    if plan.missing:
        coords["missing_times"] = missing_variable(plan.missing)
    if plan.dry:
        coords["dry_times"] = missing_variable(plan.dry, "dry_times")
    elif plan.missing or steady_since(times, shape.step) > times[0]:
        # mlcast's word for: all times from here on are on the step, those that are missing counted in. UTC, no zone.
        gaps["consistent_timestep_start"] = steady_since(times, shape.step).replace(tzinfo=None).isoformat()
    size = (len(times), shape.grid.height, shape.grid.width)
    values = dask.array.zeros(size, dtype=np.int16, chunks=size)  # only its shape: never computed
    attrs = values_attrs(shape.quantity, cleaned=shape.cleaned)
    tags = {
        "layout": layout,
        "hsrgeo_shape": json.dumps(shape.as_json()),
        "hsrgeo_attrs": json.dumps(dict(plan.attrs)),
    }
    return xr.Dataset(
        {shape.name: (("time", "y", "x"), values, attrs)}, coords, {**shape.attrs(), **gaps, **tags, **plan.attrs}
    )


_COUNT = {"long_name": "radars in the composite", "units": "1"}
_CRC32 = {"long_name": "CRC-32 of the unpacked frame"}


def begin_zarr(plan: DiskPlan) -> list[tuple[int, int]]:
    """Make the new store, whole but for the layout series, whose tasks are returned: number of time block and band.

    Raises:
        WriteError: The disk refused.
        SourceError: The old cube has lost a file.
    """
    marker = plan.part / _PLAN
    with suppress(OSError):
        if marker.read_text(encoding="utf-8") == plan.digest():
            return [task for task in series_tasks(plan) if not _done(plan, *task).exists()]
    remove(plan.part)
    with write_errors(plan.part):
        for layout in plan.layouts:
            write_template(plan, layout, plan.part / plan.group(layout))
        if "map" in plan.layouts:
            _link_maps(plan)
    flush([plan.part], deep=True)  # before there is a marker that promises it
    write_file(marker, plan.digest().encode())
    return list(series_tasks(plan)) if "series" in plan.layouts else []


_PLAN = ".plan"


def series_tasks(plan: Plan) -> Iterator[tuple[int, int]]:
    """Yield number of the time block and of the band of every shard of the layout series, if the cube has it."""
    if "series" not in plan.layouts:
        return
    for block in range(-(-len(plan.slots) // plan.shape.series_times)):
        yield from ((block, band) for band in range(len(plan.shape.bands)))


def _done(plan: DiskPlan, block: int, band: int) -> Path:
    return plan.part / f".done.{block}.{band}"


def write_template(plan: Plan, layout: Layout, store: Any) -> None:  # noqa: ANN401 - what zarr takes for one
    """Write the group of a layout, all but the values."""
    dataset = template(plan, layout)
    dataset.attrs = {**geozarr_attrs(plan.shape.grid), **dataset.attrs}
    height, width = plan.shape.grid.height, plan.shape.grid.width
    values: dict[str, Any] = {"chunks": (1, height, width)}
    if layout == "series":
        values = {"chunks": (plan.shape.series_times, SERIES_SIDE, SERIES_SIDE)}
        if plan.zarr_format == 3:  # noqa: PLR2004 - version 2 has no shards: each chunk is a file
            values["shards"] = (plan.shape.series_times, plan.shape.band_rows, plan.shape.padded_width)
    if plan.zarr_format == 3:  # noqa: PLR2004 - version 2 takes _FillValue: a chunk that is lost must not be dry
        values["fill_value"] = plan.shape.quantity.nodata
    encoding: dict[str, Any] = {plan.shape.name: values, "lon": {"chunks": (height, width)}}
    encoding["lat"] = encoding["lon"].copy()
    for name in dataset.variables:
        encoding[str(name)] = dataset[name].encoding | encoding.get(str(name), {})  # else that of the variable is lost
        encoding[str(name)]["compressors"] = _compressors(plan.zarr_format, smooth=name in ("lon", "lat"))
    dataset.to_zarr(
        store,
        mode="w",
        compute=False,
        consolidated=False,
        encoding=encoding,
        zarr_format=plan.zarr_format,
        safe_chunks=False,
    )


def _compressors(zarr_format: int, *, smooth: bool) -> Any:  # noqa: ANN401
    if zarr_format == 3:  # noqa: PLR2004
        codecs = need("zarr.codecs")
        zstd = codecs.ZstdCodec(level=_LEVEL)
        return [codecs.BloscCodec(cname="zstd", clevel=5, shuffle="shuffle") if smooth else zstd]
    numcodecs = need("numcodecs")
    return [numcodecs.Blosc("zstd", 5, numcodecs.Blosc.SHUFFLE) if smooth else numcodecs.Zstd(level=_LEVEL)]


def _link_maps(plan: DiskPlan) -> None:
    new, old = plan.part / plan.array("map"), plan.out / plan.array("map")
    for order, slot in enumerate(plan.slots):
        target = _chunk(new, plan, (order, 0, 0))
        if slot.old is None:
            _link(Path(f"{slot.stem}.map"), target)
        else:
            _link_old(plan, _chunk(old, plan, (slot.old, 0, 0)), target)


def _link_old(plan: DiskPlan, source: Path, target: Path) -> None:
    try:
        _link(source, target)
    except FileNotFoundError as error:
        raise lost(plan.out, source) from error


def _chunk(array: Path, plan: Plan, key: tuple[int, int, int]) -> Path:
    if plan.zarr_format == 3:  # noqa: PLR2004
        return array.joinpath("c", *map(str, key))
    return array / ".".join(map(str, key))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        return  # by a run that was killed
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def gather(plan: Plan, old: Any, block: int, band: int) -> NDArray[np.int16]:  # noqa: ANN401 - array-like
    """Return the values of a block of times and a band of rows, shape (times, rows, columns).

    `old` are the values of the old cube, or None.
    """
    slots = plan.slots[block * plan.shape.series_times : (block + 1) * plan.shape.series_times]
    rows = plan.shape.bands[band]
    values = np.empty((len(slots), rows.stop - rows.start, plan.shape.grid.width), np.int16)
    kept = [slot.old for slot in slots if slot.old is not None]
    before = np.asarray(old[min(kept) : max(kept) + 1, rows, :]) if kept else None
    for order, slot in enumerate(slots):
        if slot.old is None:
            values[order] = read_band(slot.stem, plan.shape, band)
        elif before is not None:
            values[order] = before[slot.old - kept[0]]
    return values


def build_series(tasks: Sequence[tuple[int, int]], plan: DiskPlan) -> int:
    """Write blocks of the layout series, whole files each. Runs in a worker.

    Raises:
        WriteError: The disk refused.
        SourceError: The old cube has lost a file.
    """
    with write_errors(plan.out):
        with zarr.config.set({"array.write_empty_chunks": True}):  # a file that is not there was lost, see `WholeStore`
            new = zarr.open_array(plan.part / plan.array("series"), mode="r+")
        old = None
        if (plan.out / plan.array("series")).exists():
            old = zarr.open_array(whole_store(plan.out), path=plan.array("series"), mode="r")
        for block, band in tasks:
            if not _link_unchanged(plan, old, block, band):
                start, rows = block * plan.shape.series_times, plan.shape.bands[band]
                values = gather(plan, old, block, band)
                new[start : start + len(values), rows, :] = values
            _flush_chunks(plan, block, band)
            write_file(_done(plan, block, band))
    return len(tasks)


def _link_unchanged(plan: DiskPlan, old: Any, block: int, band: int) -> bool:  # noqa: ANN401
    if old is None or not is_unchanged(plan, old.shape[0], block):
        return False
    before, after = plan.out / plan.array("series"), plan.part / plan.array("series")
    for key in _keys(plan, block, band):
        _link_old(plan, _chunk(before, plan, key), _chunk(after, plan, key))
    return True


def is_unchanged(plan: Plan, times: int, block: int) -> bool:
    """Tell whether a block of times of the layout series is the same as in the old cube, which has so many times."""
    start = block * plan.shape.series_times
    slots = plan.slots[start : start + plan.shape.series_times]
    there = [slot.old for slot in slots] == list(range(start, start + len(slots)))
    return there and len(slots) == min(times - start, plan.shape.series_times)


def _keys(plan: Plan, block: int, band: int) -> list[tuple[int, int, int]]:
    """Return the keys of the files that a block of times and a band of rows are in."""
    if plan.zarr_format == 3:  # noqa: PLR2004
        return [(block, band, 0)]
    down = plan.shape.band_rows // SERIES_SIDE
    across = plan.shape.padded_width // SERIES_SIDE
    return [(block, row, col) for row in range(band * down, (band + 1) * down) for col in range(across)]


def _flush_chunks(plan: DiskPlan, block: int, band: int) -> None:
    """Wait until the files of a block and band are on disk, before a marker promises them."""
    array = plan.part / plan.array("series")
    files = [file for key in _keys(plan, block, band) if (file := _chunk(array, plan, key)).exists()]
    flush({*files, *(one for file in files for one in file.parents if one.is_relative_to(array))})


def finish_zarr(plan: DiskPlan) -> None:
    """Give the new store its name, and remove the old one."""
    with write_errors(plan.out):
        (plan.part / _PLAN).unlink()
        flush([plan.part])  # what follows is not finished by a later run, but begun anew
        for left in plan.part.glob(".done.*"):
            left.unlink()
        consolidate(plan, plan.part)
    replace_folder(plan.part, plan.out)


def consolidate(plan: Plan, store: Any) -> None:  # noqa: ANN401 - as above
    """Write the root of a store, and the consolidated metadata."""
    zarr_format = cast("Any", plan.zarr_format)
    if len(plan.layouts) > 1:
        root = zarr.open_group(store, mode="a", zarr_format=zarr_format)
        root.attrs.update({"Conventions": "CF-1.11", "layouts": list(plan.layouts)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # version 3 does not say what it is; xarray looks for it all the same
        for group in sorted({"", *map(plan.group, plan.layouts)}, reverse=True):
            zarr.consolidate_metadata(store, path=group, zarr_format=zarr_format)
