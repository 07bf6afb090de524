"""A cube as one NetCDF-4 file: one process writes it beside its target, and replaces the target in the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from typing import Any

import dask
import dask.array
import numpy as np
from numpy.typing import NDArray

from hsrgeo.cube.build import DiskPlan, gather, template
from hsrgeo.cube.extra import need
from hsrgeo.cube.netcdf_allowed import UnsureChunks, unsure_chunks
from hsrgeo.cube.store import SERIES_SIDE, read_map
from hsrgeo.errors import WriteError, refused
from hsrgeo.writers.folders import replace_file

_SQUEEZED = {"zlib": True, "complevel": 4, "shuffle": True}  # zstd needs a plugin of HDF5's in every reader


def write_netcdf(plan: DiskPlan, check: Callable[[], None]) -> None:
    """Write the cube; `check` is called for each block of values, and raises where this run must write no more.

    Raises:
        WriteError: The disk refused.
        SourceError: See `unsure_chunks`, of the cube that is there.
    """
    netcdf, name = need("netCDF4"), plan.shape.name
    dataset = template(plan, plan.layouts[0])
    try:
        plan.part.parent.mkdir(parents=True, exist_ok=True)
        is_there = plan.out.exists()
        unsure = unsure_chunks(plan.out) if is_there else {}
        with closing(netcdf.Dataset(plan.out)) if is_there else nullcontext() as old:
            values, chunk = _values(plan, None if old is None else _Old(old.variables[name], unsure.get(name)), check)
            dataset[name] = dataset[name].copy(data=values)
            dataset[name].encoding["coordinates"] = "lon lat station_count created source_crc32"
            encoding: dict[str, Any] = {"lon": _SQUEEZED, "lat": _SQUEEZED, name: {**_SQUEEZED, "chunksizes": chunk}}
            with dask.config.set(scheduler="synchronous"):
                dataset.to_netcdf(plan.part, engine="netcdf4", format="NETCDF4", encoding=encoding)
        replace_file(plan.part, plan.out)
    except OSError as error:
        raise refused(str(plan.out), error) from error
    except RuntimeError as error:
        raise WriteError(str(plan.out), f"cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            plan.part.unlink(missing_ok=True)


class _Old:
    """Values of the cube that is there, which may be a stranger's."""

    def __init__(self, variable: Any, unsure: UnsureChunks | None) -> None:  # noqa: ANN401 - of netCDF4
        variable.set_auto_maskandscale(False)
        self._variable, self._unsure = variable, unsure

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[np.int16]:
        if self._unsure is not None:
            self._unsure.refuse(key)
        return np.asarray(self._variable[key])


def _values(plan: DiskPlan, old: Any, check: Callable[[], None]) -> tuple[Any, tuple[int, ...]]:  # noqa: ANN401
    """Return the values, read block by block when they are written, and the sides of a chunk of the file."""
    shape, times = plan.shape, len(plan.slots)
    size = (times, shape.grid.height, shape.grid.width)

    def frame(number: int) -> NDArray[np.int16]:
        slot = plan.slots[number]
        values = read_map(slot.stem, shape) if slot.old is None else old[slot.old, :, :]
        return values[np.newaxis]

    def read(block_info: Any) -> NDArray[np.int16]:  # noqa: ANN401 - of dask
        check()
        time, band, _whole = block_info[None]["chunk-location"]
        return frame(time) if plan.layouts[0] == "map" else gather(plan, old, time, band)

    blocks: tuple[tuple[int, ...], ...] = ((1,) * times, size[1:2], size[2:])
    chunk: tuple[int, ...] = (1, *size[1:])
    if plan.layouts[0] == "series":
        long = shape.series_times
        bands = tuple(rows.stop - rows.start for rows in shape.bands)
        blocks = (tuple(min(long, times - start) for start in range(0, times, long)), bands, size[2:])
        chunk = (min(long, times), *(min(SERIES_SIDE, side) for side in size[1:]))
    return dask.array.map_blocks(read, chunks=blocks, dtype=np.int16), chunk  # type: ignore[no-untyped-call]
