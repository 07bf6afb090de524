"""ODIM HDF5 composites as datasets: of any maker, on any projected grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hsrgeo.cube.cf import GRID_MAPPING, LICENCE_ID, coordinates, values_attrs
from hsrgeo.errors import OptionsError, SourceError, printable
from hsrgeo.formats.names import FrameName
from hsrgeo.formats.odim import MAX_FILE_BYTES, OdimImage, read_odim
from hsrgeo.model.quantity import DEPTH, QUANTITIES, RAIN, Quantity
from hsrgeo.sources.texts import open_file

if TYPE_CHECKING:
    from hsrgeo.cube.opening import View

_KNOWN: dict[str, tuple[Quantity, float]] = {
    **dict.fromkeys(("DBZH", "TH", "DBZ"), (QUANTITIES[1], 1)),
    "RATE": (RAIN, 1),
    "ACRR": (DEPTH, 1),
    "HGHT": (QUANTITIES[2], 1000),
}
"""hsrgeo's quantity, and its units in one of ODIM's, by ODIM's name (ODIM_H5 2.4, table 16)."""


def open_odim(sources: list[str | Path], view: View) -> xr.Dataset:
    """Open composites, see `hsrgeo.open`; they are read now, and files of several times must be alike.

    Raises:
        MissingExtraError: h5py is not installed.
        OptionsError: An option that is not for ODIM files.
        SourceError: A file cannot be read, or is unlike the first; or none is of the requested times.
        FrameError: It is no ODIM composite.
        WindowError: The area lies outside.
    """
    selection = view.selection
    if view.layout or view.region or view.step or selection.product or selection.kind:
        raise OptionsError("layout, region, every, product and kind do not go with ODIM files")
    opened: list[tuple[str, xr.Dataset]] = []
    for source in map(str, sources):
        images = read_odim(_bytes(Path(source)), source)
        if selection.wants(FrameName("", "", images[0].time)):
            opened.append((source, _dataset(source, images, view)))
    if not opened:
        raise SourceError(str(sources[0]), "contains none of the requested times")
    first_source, first = opened[0]
    for source, one in opened:
        same = set(one.data_vars) == set(first.data_vars) and one.sizes == first.sizes
        if not same or not np.array_equal(one["x"], first["x"]) or not np.array_equal(one["y"], first["y"]):
            raise SourceError(source, f"has another grid or other quantities than {first_source}")
    times = [one["time"].values[0] for _source, one in opened]
    if len(set(times)) < len(times):
        raise SourceError(opened[-1][0], "two files have the same time")
    ordered = [one for _time, (_source, one) in sorted(zip(times, opened, strict=True), key=lambda pair: pair[0])]
    whole = xr.concat(ordered, "time", data_vars="all", coords="minimal", compat="override", join="override")
    whole.attrs = first.attrs
    return whole if view.chunks is None else whole.chunk({} if view.chunks == "auto" else view.chunks)


def _bytes(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            data: bytes = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error
    return data


def _dataset(name: str, images: list[OdimImage], view: View) -> xr.Dataset:
    grid = images[0].grid
    window = grid.window_for(view.area)
    values: dict[str, Any] = {}
    for image in images:
        quantity, units = _KNOWN.get(image.quantity, (None, 1.0))
        word = quantity.name if quantity else printable(image.quantity.lower()) or "values"
        while word in values:
            word = f"{word}_{image.path.removeprefix('/dataset').replace('/data', '_')}"
        attrs: dict[str, Any] = {"odim_quantity": printable(image.quantity), "grid_mapping": GRID_MAPPING}
        if quantity:
            known = values_attrs(quantity, cleaned=True)
            attrs |= {key: known[key] for key in ("long_name", "standard_name", "units") if key in known}
        attrs["time_bounds"] = f"{image.start:%Y-%m-%dT%H:%M:%SZ}/{image.end:%Y-%m-%dT%H:%M:%SZ}"
        values[word] = (("time", "y", "x"), _physical(image, quantity, units, view)[None, *window.slices], attrs)
    coords = coordinates(grid.crop(window), [images[0].time], lonlat=view.lonlat)
    attrs = {
        "Conventions": "CF-1.11",
        "source": printable(images[0].source),
        "source_file": printable(Path(name).name),
        **{f"how_{printable(key)}": _plain(value) for key, value in images[0].how.items()},
    }
    if attrs.get("how_software") == "hsrgeo":
        attrs["license"] = LICENCE_ID
    dataset: xr.Dataset = xr.decode_cf(xr.Dataset(values, coords, attrs))
    return dataset


def _physical(image: OdimImage, quantity: Quantity | None, units: float, view: View) -> NDArray[np.float32]:
    """Return physical values; undetect becomes the wanted value, by default the one that frames have."""
    physical = ((image.stored.astype(np.float64) * image.gain + image.offset) * units).astype(np.float32)
    if view.undetect == "code":
        nothing = np.nan if quantity is None else quantity.undetect_value
    else:
        try:
            nothing = float(view.undetect)
        except ValueError as error:
            raise OptionsError(f"undetect {view.undetect!r}: expected code, nan or a number") from error
    physical[image.stored == image.undetect] = nothing
    physical[image.stored == image.nodata] = np.nan
    return physical


def _plain(value: object) -> object:
    return printable(value) if isinstance(value, str) else value if isinstance(value, (int, float)) else str(value)
