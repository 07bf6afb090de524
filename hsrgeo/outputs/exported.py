"""A COG that hsrgeo wrote, as a frame in its own grid: cut and maybe rain already."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from hsrgeo.errors import ReadbackError
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.header import SYNTHETIC_MARK, Header
from hsrgeo.model.quantity import Quantity, quantity_of_tags
from hsrgeo.model.times import KST
from hsrgeo.model.window import Window
from hsrgeo.writers.readback import read_picture


def read_exported(path: Path) -> Frame:
    """Return the frame that an exported COG holds; what a COG does not keep of a header is zero.

    Raises:
        ReadbackError: GDAL cannot read it, or it is no COG of this program.
    """
    picture = read_picture(path)
    pixels, tags, quantity = picture.pixels, picture.tags, _quantity(path, picture.tags)
    try:
        time = datetime.fromisoformat(tags["TIME_START_UTC"]).astimezone(KST)
    except (KeyError, ValueError) as error:
        raise ReadbackError(str(path), f"has no time of a frame: {error!r}") from error
    kept = ["RAIN_LAW", "BIAS_SOURCE", "BIAS_FACTOR"]
    if quantity.name == "station":
        kept.append("STATIONS")  # its values are places in this list
    grid = Grid(tags.get("GRID", ""), picture.wkt, picture.transform, pixels.shape[1], pixels.shape[0])
    if not picture.wkt or pixels.dtype != np.int16:
        raise ReadbackError(
            str(path), f"is not a COG written by hsrgeo: {pixels.dtype} with {'a' if picture.wkt else 'no'} CRS"
        )
    return Frame(
        stored=pixels,
        quantity=quantity,
        grid=grid,
        window=Window(0, 0, grid.width, grid.height),
        time=time,
        header=header_of(time, grid, synthetic=tags.get("SYNTHETIC") == "yes"),
        product=tags.get("PRODUCT", ""),
        kind=tags.get("KIND", ""),
        name=path.name,
        crc32=0,
        block=1,
        blocks=1,
        cleaned=tags.get("VALUES") == "clean",
        derived=tuple((name, tags[name]) for name in kept if name in tags),
    )


def _quantity(path: Path, tags: Mapping[str, str]) -> Quantity:
    quantity = quantity_of_tags(tags)
    if quantity is None:
        name = tags.get("QUANTITY") or "nothing that it names"
        raise ReadbackError(str(path), f"contains {name}, which is no quantity of hsrgeo")
    return quantity


def header_of(time: datetime, grid: Grid, *, synthetic: bool) -> Header:
    """Return a header of zeros: an output does not keep one."""
    return Header(
        version=0,
        ptype=0,
        time=time,
        created=None,
        station_count=0,
        map_code=0,
        map_etc=0,
        nx=grid.width,
        ny=grid.height,
        nz=1,
        dxy=round(grid.cell_size_m),
        dz=0,
        z_min=0,
        num_data=1,
        data_codes=(),
        etc=SYNTHETIC_MARK if synthetic else b"",
        stations=(),
    )
