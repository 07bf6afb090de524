"""A reference opened by `hsrgeo.open`: every frame is read from its own file and must be the one that was meant."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.core.indexing import LazilyIndexedArray

from hsrgeo.cube import reference
from hsrgeo.cube.allowed import METADATA, refuse_bomb, refuse_metadata
from hsrgeo.cube.backend import ABSENT, packed_dataset
from hsrgeo.cube.cf import absent_times, times_of, values_attrs
from hsrgeo.cube.codec import making_of, meant_frame
from hsrgeo.cube.extra import DAMAGE, need
from hsrgeo.cube.geozarr import without_geozarr
from hsrgeo.cube.reference import FILE, Span
from hsrgeo.cube.single import single, times_in_chunk
from hsrgeo.cube.stack import Stack
from hsrgeo.cube.store import Shape, shape_from_json
from hsrgeo.errors import HsrGeoError, OptionsError, SourceError
from hsrgeo.formats.composite import MAX_STORED_BYTES
from hsrgeo.formats.names import FrameName, claims_frame
from hsrgeo.products.making import Making
from hsrgeo.sources.found import read_file
from hsrgeo.sources.remote import Place, RemotePath, place
from hsrgeo.sources.texts import open_file

if TYPE_CHECKING:
    from hsrgeo.cube.opening import View

_SHOWN = 3  # frames in an error


def open_reference(path: Place, view: View) -> xr.Dataset:
    """Open a reference, see `hsrgeo.open`; a frame that is gone or was replaced raises when it is read.

    Raises:
        SourceError: It cannot be read, is none of hsrgeo's, or contains none of the requested times; with `check` also
            where a frame can no longer be read.
        OptionsError: It has no such layout or product.
    """
    kept, shape, spans = read_reference(path)
    product = shape.product
    if view.layout not in (None, "map"):
        raise OptionsError(f"layout {view.layout!r}: {path} has layout map, as all references do")
    if view.selection.product and view.selection.product.upper() != product:
        raise OptionsError(f"product {view.selection.product}: {path} contains {product}")
    times = times_of(kept["time"].values)
    wanted = [order for order, time in enumerate(times) if view.selection.wants(FrameName(product, "", time))]
    if not wanted:
        raise SourceError(str(path), "contains none of the requested times")
    kept = kept.isel(time=wanted)
    missing, dry = (
        [time for time in absent_times(kept, name) if view.selection.wants(FrameName(product, "", time))]
        for name in ABSENT
    )
    layers = _layers([spans[order] for order in wanted], kept, shape)
    if view.check:
        _check(path, layers)
    dataset = packed_dataset(
        layers,
        [times[order] for order in wanted],
        shape.grid,
        shape.quantity,
        values="clean" if shape.cleaned else "raw",
        undetect=view.undetect,
        lonlat=view.lonlat,
        missing=missing,
        dry=dry,
        strict=True,
    )
    dataset = dataset.assign_coords(
        {name: kept[name].variable for name in ("station_count", "created", "source_crc32")}
    )
    dataset.attrs = without_geozarr(kept.attrs)
    if view.area is not None:
        rows, cols = shape.grid.window_for(view.area).slices
        dataset = dataset.isel(y=rows, x=cols)
    decoded = single(xr.decode_cf(dataset))
    decoded.encoding["source"] = str(path)
    if view.chunks is None:
        return decoded
    if view.chunks != "auto":
        return decoded.chunk(view.chunks)
    name = shape.quantity.name  # the coordinates are read already
    return decoded.assign({name: decoded[name].variable.chunk({"time": times_in_chunk(*decoded[name].shape[1:])})})


def packed_reference(path: Place) -> tuple[xr.Dataset, str]:
    """Return a reference as `hsrgeo.cube.stored.packed_cube` returns a cube, and the name of its values.

    Raises:
        SourceError: It cannot be read, or is none of hsrgeo's.
    """
    kept, shape, spans = read_reference(path)
    size = shape.grid.height, shape.grid.width
    stack = Stack(_layers(spans, kept, shape), size, shape.quantity.nodata, strict=True)
    attrs = values_attrs(shape.quantity, cleaned=shape.cleaned)
    values = xr.Variable(("time", "y", "x"), LazilyIndexedArray(stack), attrs, {"chunks": (1, *size)})
    return kept.assign({shape.name: values}), shape.name


def _layers(spans: Sequence[Span], kept: xr.Dataset, shape: Shape) -> list[ReferredLayer]:
    making, crcs = making_of(shape), map(int, kept["source_crc32"].values)
    return [ReferredLayer(span, shape, making, crc32) for span, crc32 in zip(spans, crcs, strict=True)]


def read_reference(path: Place) -> tuple[xr.Dataset, Shape, list[Span]]:
    """Return a reference without its values, packed, its shape, and where the values are now, one place a time.

    Raises:
        SourceError: It cannot be read, or is none of hsrgeo's.
        MissingExtraError: zarr or, for Parquet, pyarrow is not installed.
    """
    found = reference.read(path)
    for key, data in found.store.items():
        if key.rpartition("/")[2] in METADATA:
            refuse_metadata(str(path), data)
        else:
            refuse_bomb(str(path), key, data)
    for span in found.spans:
        if not _may_hold(span):
            raise SourceError(str(path), f"leads to {span.url}, which is named neither as a frame nor as an archive")
    zarr = need("zarr")
    buffer = zarr.core.buffer.default_buffer_prototype().buffer
    store = zarr.storage.MemoryStore({key: buffer.from_bytes(data) for key, data in found.store.items()})
    options: dict[str, Any] = {
        "consolidated": False,
        "zarr_format": 2,
        "chunks": None,
        "mask_and_scale": False,
        "decode_times": False,
    }
    try:
        dataset = xr.open_dataset(store, engine="zarr", **options)
        dataset = dataset.drop_vars([found.name, "lon", "lat"]).load()
        shape = shape_from_json(json.loads(dataset.attrs["hsrgeo_shape"]))
        making_of(shape)  # raises where it is none
    except DAMAGE as error:
        raise SourceError(str(path), f"is not a reference made by hsrgeo: {error!r}") from error
    if len(found.spans) != dataset.sizes["time"]:
        raise SourceError(str(path), f"is damaged: {len(found.spans)} frames at {dataset.sizes['time']} times")
    return dataset, shape, [_moved(span, found.folder, path) for span in found.spans]


@dataclass(frozen=True)
class ReferredLayer:
    """A frame where a reference says that it is."""

    span: Span
    shape: Shape
    making: Making
    crc32: int

    @property
    def label(self) -> str:
        """Path of its file, or its URL where it is elsewhere."""
        return self.span.url.removeprefix(FILE)

    @property
    def member(self) -> str | None:
        """Where in an archive."""
        return f"at byte {self.span.offset:,}" if self.span.size is not None else None

    def read(self, rows: slice, cols: slice) -> NDArray[np.int16]:
        """Return packed cells, see `Layer.read`."""
        known = frozenset([self.crc32])
        frame = meant_frame(_bytes(self.span), self.shape, self.making, known, self.label, self.member)
        return replace(frame, stored=frame.stored[rows, cols]).raw


def _may_hold(span: Span) -> bool:
    """Tell whether a place is one that `hsrgeo cube --virtual` writes: else a reference might lead anywhere."""
    path = urlsplit(span.url).path.lower()
    return path.endswith((".bin", ".bin.gz") if span.size is None else (".tar", ".zip")) or claims_frame(path)


def _bytes(span: Span) -> bytes:
    if not span.url.startswith(FILE):
        return read_file(place(span.url))
    path = Path(span.url.removeprefix(FILE))
    if span.size is None:
        return read_file(path)
    try:
        with open_file(path) as file:
            file.seek(span.offset)
            return file.read(min(span.size, MAX_STORED_BYTES + 1))
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error


def _moved(span: Span, folder: str, path: Place) -> Span:
    """Return where a frame is after the folder that holds it and the reference was moved."""
    if isinstance(path, RemotePath) or not folder:
        return span
    now = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120 - as in url_of
    if folder == now or not span.url.startswith(FILE):
        return span
    try:
        below = os.path.relpath(span.url.removeprefix(FILE), folder)
    except ValueError:  # on another drive
        return span
    there = Path(os.path.normpath(Path(now, below)))
    return replace(span, url=f"{FILE}{there}") if os.path.isfile(there) else span  # noqa: PTH113 - Path.is_file raises where a name is too long


def _check(path: Place, layers: Sequence[ReferredLayer]) -> None:
    wrong = []
    for layer in layers:
        try:
            layer.read(slice(1), slice(1))
        except HsrGeoError as error:
            wrong.append(str(error))
    if wrong:
        more = f"; and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else ""
        text = f"{len(wrong):,} of {len(layers):,} frames can no longer be read: {'; '.join(wrong[:_SHOWN])}{more}"
        raise SourceError(str(path), text)
