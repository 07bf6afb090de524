"""A frame: one composite at one time, pixels with their quantity, grid and time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.checks import refuse_other_suffix
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grid_for
from hsrgeo.model.header import Header
from hsrgeo.model.quantity import (
    RAIN,
    CellStatistics,
    Quantity,
    Statistics,
    cell_statistics,
    clean_values,
    dry_values,
    made_clean,
    physical_values,
    statistics_of,
)
from hsrgeo.model.rank import Rank, rank_of
from hsrgeo.model.squares import block_extremes
from hsrgeo.model.times import time_label
from hsrgeo.model.window import BBox, Window, as_area

if TYPE_CHECKING:
    import pyproj
    import xarray as xr
    from affine import Affine

    from hsrgeo.writers.tiles import Compression


@dataclass(frozen=True, eq=False)
class Frame:
    """One composite, or a window of one, with everything that tells what and where it is."""

    stored: NDArray[np.int16]
    """Integers exactly as stored; shape (rows, columns), row 0 is the **north** row."""
    quantity: Quantity
    """What the stored values mean."""
    grid: Grid
    """Where the pixels lie; its size is the shape of `raw`."""
    window: Window
    """Where the pixels lie within the composite's full grid."""
    time: datetime
    """Observation time to the minute, aware, in KST; `header.time` has the seconds, which names do not."""
    header: Header
    """The header as read."""
    product: str
    """HSR, HSP, CPP ..., from the name, or from the header where the name does not tell."""
    kind: str
    """PUB, EXT, KMA or QCD, from the name; empty where the name does not tell."""
    name: str
    """File name it came from, without folders."""
    crc32: int
    """CRC-32 of the unpacked file."""
    block: int
    """Which block of the file, counted from 1."""
    blocks: int
    """How many blocks the file holds."""
    cleaned: bool = False
    """Whether blends are reclassed and minor codes merged in `raw`, see `clean`."""
    derived: tuple[tuple[str, str], ...] = ()
    """What was made of the values as they were read, as names and texts of tags; empty where nothing was."""
    notes: tuple[str, ...] = ()
    """What a user should know of the file, which could be read all the same: a name that its content belies."""

    def __repr__(self) -> str:
        size = f"{self.grid.width} x {self.grid.height} of {self.grid.name}"
        return f"<Frame {self.product} {time_label(self.time)}, {self.quantity.name}, {size}, {self.name!r}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what the frame is and, with the extra ``render``, a small map."""
        from hsrgeo.gis.frame_html import frame_html  # noqa: PLC0415 - as in to_cog

        return frame_html(self)

    def _repr_png_(self) -> bytes | None:
        """Return the small map that a notebook shows; None without the extra ``render``."""
        from hsrgeo.gis.frame_html import frame_png  # noqa: PLC0415 - as in to_cog

        return frame_png(self)

    @cached_property
    def raw(self) -> NDArray[np.int16]:
        """Integers as stored or, after `clean`, cleaned; shape and order as `stored`."""
        return clean_values(self.stored, self.quantity) if self.cleaned else self.stored

    @property
    def rank(self) -> Rank:
        """What makes it better than another frame of its product and time."""
        return rank_of(self.header.station_count, self.header.created, self.crc32)

    @cached_property
    def cells(self) -> CellStatistics:
        """Cells of each class as stored, also after `clean`, and what the echo is like."""
        return cell_statistics(self.stored, self.quantity, self.extremes)

    @property
    def statistics(self) -> Statistics:
        """Cells of each class, and minimum, mean and maximum in `quantity.unit`; see `Statistics`."""
        if self.quantity.is_rain and self.quantity != RAIN:
            return self.clean().statistics  # dry is 0 mm/h
        return statistics_of(self.cells, self.quantity)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.grid.height, self.grid.width

    @property
    def crs(self) -> pyproj.CRS:
        """The CRS, as pyproj has it."""
        return self.grid.crs

    @property
    def transform(self) -> Affine:
        """Pixel corner (column, row) -> metres; row 0 is the north row."""
        return self.grid.transform

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top: the outer edges in metres, or in units of `crs`."""
        return self.grid.bounds

    @property
    def capped(self) -> int | None:
        """Cells at the highest value that KMA stores, where the true one may be higher; None where nothing is cut."""
        cap = self.quantity.cap
        return None if cap is None else int(np.count_nonzero(self.stored >= cap))

    @cached_property
    def extremes(self) -> NDArray[np.int16]:
        """Lowest and highest stored value of each square of `BLOCK_SIDE` cells, see `block_extremes`."""
        return block_extremes(self.stored)

    @property
    def full_grid(self) -> Grid:
        """The grid of the whole composite, where `window` is a part of it."""
        header = self.header
        if self.shape == (header.ny, header.nx):
            return self.grid
        return grid_for(header.map_code, header.nx, header.ny, header.dxy, self.grid.registration)

    def crop(
        self,
        *,
        bbox: tuple[float, float, float, float] | BBox | None = None,
        window: tuple[int, int, int, int] | Window | None = None,
        center: tuple[float, float] | None = None,
        size: int | None = None,
    ) -> Frame:
        """Return the part of the frame inside an area; the pixels are a view, not a copy.

        Args:
            bbox: (west, south, east, north) [degrees, WGS 84]: the smallest window of whole cells that covers it,
                cut at the frame's edge with a `ClippedWarning` where it reaches outside.
            window: (col_off, row_off, width, height) in this frame's cells, row 0 is the north row.
            center: (lon, lat) [degrees] of the middle of a square of `size` cells.
            size: Cells along each side; goes with `center`.

        Raises:
            OptionsError: Not exactly one of bbox, window, and center with size.
            WindowError: The area lies outside, or a window or square reaches outside.
        """
        area = as_area(bbox, window, center, size)
        if area is None:
            raise OptionsError("crop takes one of bbox, window, and center with size: got none")
        inner = self.grid.window_for(area)
        rows, cols = inner.slices
        return replace(
            self,
            stored=self.stored[rows, cols],
            grid=self.grid.crop(inner),
            window=inner.within(self.window),
        )

    def clean(self) -> Frame:
        """Return the frame with nodata, undetect and echo only: blends and minor codes join their class.

        Dry cells of rain become 0 mm/h (`RAIN`), which KMA stores as -250.00. Of reflectivity it costs nothing until
        `raw` is asked for.
        """
        quantity = made_clean(self.quantity)
        stored = self.stored if quantity is self.quantity else dry_values(self.stored, self.quantity)
        return replace(self, stored=stored, quantity=quantity, cleaned=True)

    def physical(self, undetect: float | None = None) -> NDArray[np.float32]:
        """Return physical values in `quantity.unit`, shape (rows, columns), row 0 is the north row.

        Args:
            undetect: Value for cells that were observed and hold nothing; None is what that means: 0 mm/h of rain,
                minus infinity dBZ of reflectivity, NaN of anything else.

        Returns:
            float32; NaN where not observed. Blends count as the class they belong to.
        """
        return physical_values(self.stored, self.quantity, undetect)

    def value_at(self, lon: float, lat: float) -> float:
        """Return the physical value of the cell that holds a point in degrees, WGS 84; see `physical` for its codes.

        Raises:
            WindowError: The point lies outside.
        """
        row, col = self.grid.index_lonlat(lon, lat)
        return float(physical_values(self.stored[row : row + 1, col : col + 1], self.quantity)[0, 0])

    def to_xarray(self) -> xr.Dataset:
        """Return the frame, clean, as `hsrgeo.open` gives it: one variable of (time, y, x), float32.

        NaN is not observed; no echo keeps its code, -250 dBZ, and no rain is 0 mm/h.

        Raises:
            MissingExtraError: xarray is not installed.
        """
        from hsrgeo.cube.extra import need  # noqa: PLC0415 - as in to_cog

        need("xarray")
        from hsrgeo.cube.backend import frame_dataset  # noqa: PLC0415

        return frame_dataset(self.clean())

    def to_cog(self, path: str | Path, *, compress: Compression = "deflate") -> Path:
        """Write a Cloud-Optimised GeoTIFF of the pixels as they are; call `clean` first for clean values.

        Args:
            path: Target; its folder is made, and a file that is there is replaced in one step.
            compress: ``deflate``, ``zstd`` or ``none``.

        Raises:
            OptionsError: A compression that is not known, or a name of another format.
            WriteError: The disk or GDAL refused.
        """
        refuse_other_suffix(Path(path), (".tif", ".tiff"), "COG")
        from hsrgeo.writers.cog import write_cog  # noqa: PLC0415 - writers know frames; a frame knows them only here

        return write_cog(self, Path(path), compress=compress)

    def to_png(self, path: str | Path) -> Path:
        """Write a 16-bit grey PNG, max(stored, -1000) + 1000, with its world file, .prj and .aux.xml.

        Raises:
            OptionsError: A name of another format.
            WriteError: The disk refused.
        """
        refuse_other_suffix(Path(path), (".png",), "PNG")
        from hsrgeo.writers.png import write_png  # noqa: PLC0415 - as in to_cog

        return write_png(self, Path(path))

    def to_odim(self, path: str | Path) -> Path:
        """Write ODIM HDF5, a composite (COMP) of the clean values; see `hsrgeo.open` for the way back.

        Raises:
            MissingExtraError: h5py is not installed.
            OptionsError: A name of another format.
            WriteError: The disk refused, or ODIM has no such quantity: it has reflectivity, rain rate and height.
        """
        refuse_other_suffix(Path(path), (".h5", ".hdf5", ".hdf"), "ODIM file")
        from hsrgeo.writers.odim import write_odim  # noqa: PLC0415 - as in to_cog

        return write_odim(self, Path(path))

    def to_bin(self, path: str | Path, *more: Frame) -> Path:
        """Write the frame in KMA's container (``.bin.gz``), which every command of hsrgeo reads as it reads KMA's.

        The container has whole grids only: cells outside the frame's window become nodata. The header says that this
        is not KMA's product.

        Args:
            path: Target; in a folder that is there the file is named ``RDR_CMP_<product>_OWN_<time>.bin.gz``.
            more: Further blocks of the same time and grid, such as the height of the beam, up to three.

        Raises:
            OptionsError: A frame lies on another grid than KMA's or than this one, or a name of another format.
            WriteError: The disk refused.
        """
        from hsrgeo.writers.container import write_bin  # noqa: PLC0415 - as in to_cog

        return write_bin((self, *more), Path(path))
