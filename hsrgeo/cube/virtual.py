"""Cubes without pixels: a reference that tells, for every time, which file holds it.

Metadata and coordinates are written by xarray and zarr, into memory, from the same template as those of a stored cube;
only the places of the frames are added. kerchunk and VirtualiZarr would have nothing left to do: they find out how
files of known formats are chunked, and a frame is one chunk.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Sequence
from typing import Any

import dask.array
import numpy as np
import zarr

from hsrgeo.cube.build import Plan, template
from hsrgeo.cube.codec import DegreesCodec, FrameCodec, pack_crc32
from hsrgeo.cube.geozarr import geozarr_attrs
from hsrgeo.cube.reference import Reference, Span, write_json, write_parquet
from hsrgeo.errors import refused
from hsrgeo.sources.remote import RemotePath
from hsrgeo.writers.folders import remove, replace_folder

_DEGREES = ("lon", "lat")


def write_reference(plan: Plan, spans: Sequence[Span]) -> None:
    """Write a reference to frames where they are, in place of what is there.

    The slots of the plan are the frames, by time; `spans` tell where they are, in the same order.

    Raises:
        WriteError: The disk refused.
        MissingExtraError: pyarrow is not installed, and it is to be Parquet.
    """
    out, part = plan.out, plan.part
    folder = "" if isinstance(out, RemotePath) else os.path.dirname(os.path.abspath(out))  # noqa: PTH100, PTH120 - see url_of
    reference = Reference(_store(plan), plan.shape.name, spans, folder)
    if out.suffix.lower() == ".json" or isinstance(out, RemotePath) or isinstance(part, RemotePath):
        write_json(out, reference)
        return
    try:
        remove(part)
        write_parquet(part, reference)
        replace_folder(part, out)
    except OSError as error:
        raise refused(str(out), error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _store(plan: Plan) -> dict[str, bytes]:
    """Return the keys of a Zarr store, version 2, and their bytes: all but the values."""
    shape = plan.shape
    size = (shape.grid.height, shape.grid.width)
    dataset = template(plan, "map")
    dataset.attrs = {**geozarr_attrs(shape.grid), **dataset.attrs}
    codec = FrameCodec(shape.as_json(), pack_crc32([slot.rank.crc32 for slot in plan.slots]))
    encoding: dict[str, Any] = {
        str(name): {**variable.encoding, "compressors": None} for name, variable in dataset.variables.items()
    }
    encoding[shape.name] = {"chunks": (1, *size), "compressors": None, "filters": [codec]}
    for name in _DEGREES:
        dataset[name].data = dask.array.zeros(size, dtype=np.int32, chunks=size)  # never written: see DegreesCodec
        encoding[name] = {"chunks": size, "compressors": None, "filters": [DegreesCodec(name)]}
    kept: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of consolidated metadata, as in build
        dataset.to_zarr(
            zarr.storage.MemoryStore(kept),
            mode="w",
            compute=False,
            consolidated=True,
            encoding=encoding,
            zarr_format=2,
            write_empty_chunks=True,  # each key must be there: fsspec takes some that are not for an error
        )
    store = {key: bytes(data.to_bytes()) for key, data in sorted(kept.items())}
    grid = json.dumps(shape.as_json()).encode()
    return store | {f"{name}/0.0": grid for name in _DEGREES}
