"""``xr.open_dataset(path, engine="hsrgeo")``: a frame's file as xarray sees it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint
from xarray.core import indexing

from hsrgeo.cube.cf import coordinates, dataset_attrs, minutes, physical, time_variable, values_attrs
from hsrgeo.cube.single import single
from hsrgeo.cube.stack import FrameLayer, Layer, MadeLayer, Stack
from hsrgeo.errors import OptionsError
from hsrgeo.formats.names import claims_frame
from hsrgeo.model.file_blocks import as_block
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid, Registration
from hsrgeo.model.quantity import Quantity
from hsrgeo.products.making import Content, Making, Values
from hsrgeo.products.rain import KMA_LAW, Law, as_law
from hsrgeo.reading import decode_found, warn_of_notes
from hsrgeo.sources.found import Found
from hsrgeo.writers.tags import NOT_KMA

Undetect = str | float
"""``code``: as stored; ``nan``: as nodata; a number: that physical value."""


class HsrGeoBackend(BackendEntrypoint):
    """Opens a KMA radar composite; the entry point ``hsrgeo`` of ``xarray.backends``."""

    description = "KMA radar composites (RDR_CMP_*.bin.gz)"
    url = "https://pypi.org/project/hsrgeo"
    open_dataset_parameters = (
        "filename_or_obj",
        "drop_variables",
        "mask_and_scale",
        "decode_times",
        "values",
        "undetect",
        "quantity",
        "zr",
        "lonlat",
        "block",
        "registration",
    )

    def guess_can_open(self, filename_or_obj: Any) -> bool:  # noqa: ANN401 - xarray's signature
        """Tell whether a path is named as a frame is."""
        return isinstance(filename_or_obj, (str, os.PathLike)) and claims_frame(os.fspath(filename_or_obj))

    def open_dataset(  # type: ignore[override] # noqa: PLR0913 - the options of xarray and those of a frame
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        mask_and_scale: bool = True,
        decode_times: bool = True,
        values: Values = "clean",
        undetect: Undetect = "code",
        quantity: Content = "stored",
        zr: Law | tuple[float, float] = KMA_LAW,
        lonlat: bool = False,
        block: int | str = 1,
        registration: Registration = "point",
    ) -> xr.Dataset:
        """Open a frame: one variable named after the quantity, of (time, y, x), and its coordinates.

        The file is unpacked once to check it, and again when values are asked for.

        Args:
            filename_or_obj: Path of a ``.bin.gz`` or ``.bin`` file.
            drop_variables: Names to leave out.
            mask_and_scale: Physical values as float64, NaN where not observed (`hsrgeo.open` gives float32); else
                packed ones.
            decode_times: Times as datetime64 (UTC).
            values: ``clean`` holds nodata, undetect and echo; ``raw`` is as stored.
            undetect: Value of cells that were observed without echo: ``code`` keeps the stored value (-250 dBZ, named
                by the attribute ``undetect_value``; 0 mm/h in rain), ``nan`` makes them NaN, a number is that value.
            quantity: ``stored``, or ``rain`` for the rain rate.
            zr: A and B of Z = A R^B, for rain.
            lonlat: Also longitude and latitude of every cell.
            block: Block of the file, its number or name, as in `hsrgeo.open`.
            registration: What KMA's points are, as in `hsrgeo.open`.

        Raises:
            SourceError: The file cannot be read.
            FrameError: It is not a sound composite.
            OptionsError: An option that cannot be.
        """
        path = os.fspath(filename_or_obj)
        law = as_law(zr)
        chosen = as_block(block)
        making = Making(quantity=quantity, law=law, values=values, block=chosen, registration=registration)
        found = Found(path, None, None, 0)
        frame = making.of(warn_of_notes(decode_found(found, chosen, registration)))
        layer = FrameLayer(found, making, frame.grid, frame.quantity, frame.time)
        dataset = packed_dataset(
            [layer], [frame.time], frame.grid, frame.quantity, values=values, undetect=undetect, lonlat=lonlat
        )
        dataset.attrs |= frame_attrs(frame)
        dataset.encoding["source"] = path
        return xr.decode_cf(
            dataset, mask_and_scale=mask_and_scale, decode_times=decode_times, drop_variables=drop_variables
        )


def frame_dataset(frame: Frame) -> xr.Dataset:
    """Return a clean frame that is in memory as a dataset of physical values, see `Frame.to_xarray`."""
    dataset = packed_dataset([MadeLayer(frame)], [frame.time], frame.grid, frame.quantity, values="clean")
    dataset.attrs |= frame_attrs(frame)
    return single(xr.decode_cf(dataset)).load()


def packed_dataset(  # noqa: PLR0913 - what an array is made of
    layers: Sequence[Layer],
    times: list[datetime],
    grid: Grid,
    quantity: Quantity,
    *,
    values: Values,
    undetect: Undetect = "code",
    lonlat: bool = False,
    missing: Iterable[datetime] = (),
    dry: Iterable[datetime] = (),
    strict: bool = True,
) -> xr.Dataset:
    """Return a dataset of packed values that are read when they are asked for; `xarray.decode_cf` unpacks it.

    There is a layer for each time, in order; `missing` are times that should be there and are not, `dry` those of
    frames that were left out for they are dry. For `undetect` see `HsrGeoBackend.open_dataset`, for `strict` `Stack`.

    Raises:
        OptionsError: `undetect` cannot be.
    """
    attrs = values_attrs(quantity, cleaned=values == "clean")
    code = None
    if undetect != "code":
        packed = packed_undetect(quantity, undetect)
        code = (quantity.undetect, packed)
        attrs |= {"undetect": np.int16(packed), "undetect_value": physical(quantity, packed)}
        if packed == quantity.nodata:
            del attrs["undetect"], attrs["undetect_value"], attrs["undetect_means"]
    stack = Stack(layers, (grid.height, grid.width), quantity.nodata, code=code, strict=strict)
    data = xr.Variable(("time", "y", "x"), indexing.LazilyIndexedArray(stack), attrs)
    coords: Mapping[str, Any] = coordinates(grid, times, lonlat=lonlat)
    for name, absent in zip(ABSENT, (sorted(missing), sorted(dry)), strict=True):
        if absent:
            coords = {**coords, name: missing_variable(absent, name)}
    return xr.Dataset({quantity.name: data}, coords)


def missing_variable(missing: Iterable[datetime], name: str = "missing_times") -> xr.Variable:
    """Return the coordinate of times that are missing, or that were left out as dry."""
    variable: xr.Variable = time_variable(name, minutes(missing), "", ABSENT[name])
    return variable


ABSENT = {
    "missing_times": "times without a usable frame (UTC)",
    "dry_times": "times of frames with too little echo or rain to be here (UTC)",
}
"""Coordinates of times without values."""


def packed_undetect(quantity: Quantity, undetect: Undetect) -> int:
    """Return the packed value for undetect.

    Raises:
        OptionsError: It is neither a word that is known nor a value that fits.
    """
    if undetect == "code":
        return quantity.undetect
    if undetect == "nan" or undetect != undetect:  # noqa: PLR0124 - NaN
        return quantity.nodata
    try:
        packed = round(float(undetect) * quantity.scale + quantity.minus)
    except (ValueError, OverflowError) as error:
        raise OptionsError(f"undetect {undetect!r}: expected code, nan or a number") from error
    if not quantity.nodata < packed <= np.iinfo(np.int16).max:
        low, high = physical(quantity, quantity.nodata), physical(quantity, np.iinfo(np.int16).max)
        raise OptionsError(f"undetect {undetect!r}: expected more than {low:g} and at most {high:g} {quantity.unit}")
    return packed


def frame_attrs(frame: Frame) -> dict[str, Any]:
    """Return the global attributes of one frame."""
    return {
        **dataset_attrs(frame.product, frame.quantity, synthetic=frame.header.synthetic),
        **({"origin": NOT_KMA} if frame.header.not_kma else {}),
        "source_file": frame.name,
        "source_crc32": f"{frame.crc32:08x}",
        "station_count": frame.header.station_count,
        "stations": ",".join(station.code for station in frame.header.stations),
        **{name.lower(): value for name, value in frame.derived},
    }
