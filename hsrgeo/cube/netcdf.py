"""A cube as one NetCDF-4 file: written by one process, beside its target, which it replaces in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from hsrgeo.cube.build import DiskPlan, gather, template
from hsrgeo.cube.extra import need
from hsrgeo.cube.store import SERIES_SIDE, Layout, read_map
from hsrgeo.errors import WriteError, refused
from hsrgeo.writers.folders import replace_file

_LEVEL = 4  # of zlib: zstd needs a plugin of HDF5's in every reader


def write_netcdf(plan: DiskPlan) -> Iterator[int]:
    """Write the cube; iterate to make it happen. Yields after every frame (map) or block of frames (series).

    Raises:
        WriteError: The disk refused.
    """
    netcdf = need("netCDF4")
    layout = plan.layouts[0]
    try:
        _write_coordinates(plan, layout)
        old = netcdf.Dataset(plan.out) if plan.out.exists() else None
        try:
            with closing(netcdf.Dataset(plan.part, "a")) as new:
                yield from _fill(plan, layout, _variable(plan, layout, new), _packed(plan, old))
        finally:
            if old is not None:
                old.close()
        replace_file(plan.part, plan.out)
    except OSError as error:
        raise refused(str(plan.out), error) from error
    except RuntimeError as error:
        raise WriteError(str(plan.out), f"cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            plan.part.unlink(missing_ok=True)


def _write_coordinates(plan: DiskPlan, layout: Layout) -> None:
    dataset = template(plan, layout).drop_vars(plan.shape.name)
    squeezed = {"zlib": True, "complevel": _LEVEL, "shuffle": True}
    encoding = dict.fromkeys(("lon", "lat"), squeezed)
    Path(plan.part).parent.mkdir(parents=True, exist_ok=True)
    dataset.to_netcdf(plan.part, engine="netcdf4", format="NETCDF4", encoding=encoding)


def _variable(plan: DiskPlan, layout: Layout, new: Any) -> Any:  # noqa: ANN401 - netCDF4 has no types
    grid, shape = plan.shape.grid, plan.shape
    chunks = (1, grid.height, grid.width)
    if layout == "series":
        sizes = (len(plan.slots), grid.height, grid.width)
        wanted = (plan.shape.series_times, SERIES_SIDE, SERIES_SIDE)
        chunks = tuple(min(pair) for pair in zip(wanted, sizes, strict=True))  # type: ignore[assignment] # three
    attrs = dict(template(plan, layout)[shape.name].attrs)
    fill = attrs.pop("_FillValue")
    variable = new.createVariable(
        shape.name,
        "i2",
        ("time", "y", "x"),
        compression="zlib",
        complevel=_LEVEL,
        shuffle=True,
        chunksizes=chunks,
        fill_value=fill,
    )
    attrs["coordinates"] = "lon lat station_count created source_crc32"
    variable.setncatts(attrs)
    variable.set_auto_maskandscale(False)
    return variable


def _packed(plan: DiskPlan, old: Any) -> Any:  # noqa: ANN401
    if old is None:
        return None
    variable = old.variables[plan.shape.name]
    variable.set_auto_maskandscale(False)
    return variable


def _fill(plan: DiskPlan, layout: Layout, variable: Any, old: Any) -> Iterator[int]:  # noqa: ANN401
    if layout == "map":
        for order, slot in enumerate(plan.slots):
            variable[order] = read_map(slot.stem, plan.shape) if slot.old is None else np.asarray(old[slot.old])
            yield 1
        return
    for block in range(-(-len(plan.slots) // plan.shape.series_times)):
        start = block * plan.shape.series_times
        for band, rows in enumerate(plan.shape.bands):
            values = gather(plan, old, block, band)
            variable[start : start + len(values), rows, :] = values
        yield len(plan.slots[start : start + plan.shape.series_times])
