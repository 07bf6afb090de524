"""ODIM HDF5: a frame as radar programs (pysteps, wradlib, Rack, GDAL) exchange composites.

References:
    OPERA Data Information Model for HDF5 (ODIM_H5), version 2.4: tables 1 to 5 (what, where, how), 13 and 16 (datasets
    and quantities).
"""

from __future__ import annotations

import io
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import WriteError, needs, printable
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.squares import BLOCK_SIDE
from hsrgeo.model.times import frame_length
from hsrgeo.products.rain import parse_law
from hsrgeo.writers.files import write_file
from hsrgeo.writers.tags import LICENCE, NOT_KMA, frame_tags

NODATA, UNDETECT = 65535, 0
"""Markers, in the unsigned integers that ODIM's readers expect."""
_SHIFT = 32768
_LEVEL = 6
_CENTRE = 40
"""Seoul, in WMO's Common Code table C-11."""


class Packing(NamedTuple):
    """How a quantity is written."""

    name: str
    """ODIM's name of the quantity (table 16)."""
    unit: float
    """Of ODIM's units in one of the frame's: heights are kilometres there."""
    shift: int
    """Added to stored values: rain has none below 0, and 0 then is no rain for readers that forget `undetect`."""


PACKINGS = {
    "reflectivity": Packing("DBZH", 1, _SHIFT),
    "rain_rate": Packing("RATE", 1, 0),
    "height": Packing("HGHT", 0.001, _SHIFT),
}
"""By the name of a quantity; ODIM has none for the others."""


def write_odim(frame: Frame, path: Path) -> Path:
    """Write a frame as ODIM HDF5 and return the path.

    Raises:
        MissingExtraError: h5py is not installed.
        WriteError: The disk refused, or ODIM has no such quantity.
    """
    write_file(path, encode_odim(frame))
    return path


def packing_of(quantity: Quantity) -> Packing:
    """Return how a quantity is written.

    Raises:
        WriteError: ODIM has none like it.
    """
    if quantity.name not in PACKINGS:
        raise WriteError(quantity.name, f"ODIM has no quantity for it; it has {', '.join(PACKINGS)}")
    return PACKINGS[quantity.name]


def scale_of(quantity: Quantity) -> tuple[float, float]:
    """Return ODIM's gain and offset of a quantity."""
    _name, unit, shift = packing_of(quantity)
    return unit * quantity.gain, -unit * (quantity.minus + shift) / quantity.scale


def odim_values(frame: Frame) -> NDArray[np.uint16]:
    """Return the pixels of a frame as ODIM has them, clean."""
    frame = frame.clean()
    values = (frame.raw.astype(np.int32) + packing_of(frame.quantity).shift).astype(np.uint16)
    values[frame.raw == frame.quantity.undetect] = UNDETECT
    values[frame.raw == frame.quantity.nodata] = NODATA
    return values


def encode_odim(frame: Frame) -> bytes:
    """Return the bytes of an ODIM HDF5 file; the same frame gives the same bytes.

    Raises:
        MissingExtraError: h5py is not installed.
        WriteError: ODIM has no such quantity.
    """
    with needs("h5py", "odim"):
        import h5py  # noqa: PLC0415 - an optional extra
    frame = frame.clean()
    values = odim_values(frame)
    packed = io.BytesIO()
    with h5py.File(packed, "w") as file:
        for path, attributes in odim_attributes(frame).items():
            group = file.require_group(path)
            for name, value in attributes.items():
                _put(h5py, group, name, value)
        data = file["/dataset1/data1"].create_dataset(
            "data",
            data=values,
            chunks=(min(BLOCK_SIDE, frame.grid.height), min(BLOCK_SIDE, frame.grid.width)),
            compression="gzip",
            compression_opts=_LEVEL,
        )
        data.attrs["_FillValue"] = np.float64(NODATA)  # GDAL knows nodata by this, and only as a double before 3.10
    return packed.getvalue()


def odim_attributes(frame: Frame) -> dict[str, dict[str, str | int | float]]:
    """Return every attribute of the file by its group; integers are written as 64 bits, reals as doubles."""
    grid, header = frame.grid, frame.header
    start = frame.time.astimezone(UTC)
    end = start + frame_length([frame.time])
    tags = frame_tags(frame)
    gain, offset = scale_of(frame.quantity)
    law = parse_law(tags.get("RAIN_LAW", ""))
    whose = NOT_KMA.replace(",", " -") if header.not_kma else f"KMA composite {frame.product}"
    return {
        "/": {"Conventions": "ODIM_H5/V2_4"},
        "/what": {
            "object": "COMP",
            "version": "H5rad 2.4",
            "date": f"{start:%Y%m%d}",
            "time": f"{start:%H%M%S}",
            "source": printable(f"ORG:{_CENTRE},CMT:{whose}"),
        },
        "/where": where_attributes(grid),
        "/how": {
            "software": "hsrgeo",
            "nodes": ",".join(f"'{printable(station.code)}'" for station in header.stations),
            "simulated": str(header.synthetic),
            **({} if law is None else {"zr_a": float(law.a), "zr_b": float(law.b)}),
            "licence": LICENCE,
            **{name.lower(): value for name, value in tags.items() if name in _TAGS},
        },
        "/dataset1/what": {
            "product": "COMP",
            **_times("start", start),
            **_times("end", end),
        },
        "/dataset1/data1/what": {
            "quantity": packing_of(frame.quantity).name,
            "gain": gain,
            "offset": offset,
            "nodata": float(NODATA),
            "undetect": float(UNDETECT),
        },
    }


_TAGS = ("PRODUCT", "KIND", "SOURCE", "SOURCE_CRC32", "GRID", "WINDOW", "RAIN_LAW", "BIAS_FACTOR")
"""Tags of a COG that ``/how`` has too, in lower case."""


def where_attributes(grid: Grid) -> dict[str, str | int | float]:
    """Return the attributes of ``/where``: corners are the **outer** corners of the corner cells (table 5).

    Raises:
        WriteError: The CRS has no PROJ string.
    """
    projdef = _projdef(grid)
    corners = {"LL": (grid.height, 0), "UL": (0, 0), "UR": (0, grid.width), "LR": (grid.height, grid.width)}
    places: dict[str, str | int | float] = {}
    for name, (row, col) in corners.items():
        lon, lat = grid.lonlat(row - 0.5, col - 0.5)  # cells count from their centres there
        places |= {f"{name}_lon": float(lon), f"{name}_lat": float(lat)}
    return {
        "projdef": projdef,
        "xsize": grid.width,
        "ysize": grid.height,
        "xscale": float(grid.transform.a),
        "yscale": float(-grid.transform.e),
        **places,
    }


def _projdef(grid: Grid) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name of the CRS is lost
        text = grid.crs.to_proj4() if grid.crs.is_projected else ""
    if not text or grid.crs.coordinate_operation is None:
        raise WriteError(grid.crs.name, "ODIM needs a projection that has a PROJ string")
    return text.replace(" +type=crs", "")


def _times(word: str, time: datetime) -> dict[str, str | int | float]:
    return {f"{word}date": f"{time:%Y%m%d}", f"{word}time": f"{time:%H%M%S}"}


def _put(h5py: Any, group: Any, name: str, value: str | float) -> None:  # noqa: ANN401 - h5py has no types
    if not isinstance(value, str):
        group.attrs[name] = np.int64(value) if isinstance(value, int) else np.float64(value)
        return
    # ODIM wants a fixed length with a NUL at its end (section 3.1); h5py alone writes none, and pysteps reads no other.
    text = value.encode("utf-8") + b"\0"
    string_type = h5py.h5t.C_S1.copy()
    string_type.set_size(len(text))
    string_type.set_strpad(h5py.h5t.STR_NULLTERM)
    attribute = h5py.h5a.create(group.id, name.encode(), string_type, h5py.h5s.create(h5py.h5s.SCALAR))
    attribute.write(np.array(text, f"S{len(text)}"), mtype=string_type)
