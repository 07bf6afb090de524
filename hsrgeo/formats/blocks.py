"""The blocks of a composite's file: on which grid they are, how many, and where each begins."""

from __future__ import annotations

import numpy as np

from hsrgeo.errors import FrameFormatError, HeaderError, LengthError, OldHeaderError, UnknownGridError
from hsrgeo.formats.header import HEADER_BYTES
from hsrgeo.model.grid import Grid, Registration
from hsrgeo.model.grid_catalog import grid_for, grids
from hsrgeo.model.header import Header

MAX_BLOCKS = 4
"""Echo, height, station (KMA composite format, section 1), and count, which only `hsrgeo compose` writes."""
PIXEL = np.dtype("<i2")
"""Of every block."""
RAIN_CODE = 5
"""Data code of a rain rate, and of a sum of rain."""


def grid_of(header: Header, registration: Registration = "point") -> Grid:
    """Return the grid that a header tells."""
    if header.nz != 1:
        raise UnknownGridError(
            "3-D composite", "one level (nz = 1)", f"{header.nz} levels: the origin of R3D is not known to the metre"
        )
    return grid_for(header.map_code, header.nx, header.ny, header.dxy, registration)


def grid_and_blocks(header: Header, length: int) -> tuple[Grid, int]:
    """Return the grid and the number of blocks of a file that unpacks to so many bytes."""
    grid = grid_of(header)
    _refuse_depth(header)
    return grid, block_count(length, grid)


def block_start(number: int, grid: Grid) -> int:
    """Return where a block begins, counted from 1."""
    return HEADER_BYTES + (number - 1) * grid.width * grid.height * PIXEL.itemsize


def block_count(length: int, grid: Grid) -> int:
    """Return how many blocks of a grid a file of so many bytes has."""
    # The length decides: num_data says 3 in PUB files that hold one block (KMA composite format, section 1).
    block_bytes = grid.width * grid.height * PIXEL.itemsize
    blocks, rest = divmod(length - HEADER_BYTES, block_bytes)
    if rest or not 1 <= blocks <= MAX_BLOCKS:
        raise LengthError(
            "length",
            f"{HEADER_BYTES:,} + 1 to {MAX_BLOCKS} blocks of {block_bytes:,} bytes ({grid.width} x {grid.height})",
            f"{length:,} bytes",
        )
    return blocks


def refuse_other_headers(length: int) -> None:
    """Refuse what the length tells to be another container: whole grids behind a header of another size."""
    for grid in grids().values():
        block_bytes = grid.width * grid.height * PIXEL.itemsize
        for header_bytes, problem, error_class, what in _OTHER_HEADERS:
            blocks, rest = divmod(length - header_bytes, block_bytes)
            if blocks >= 1 and not rest:
                found = f"{length:,} bytes: the {header_bytes}-byte header {what}, which is not read"
                raise error_class(problem, f"a header of {HEADER_BYTES:,} bytes", found)


_OTHER_HEADERS: tuple[tuple[int, str, type[FrameFormatError], str], ...] = (
    (24, "old header", OldHeaderError, "of the older format"),
    (64, "accumulation", FrameFormatError, "of KMA's sums of rain (PCP)"),
)
# ^ KMA composite format, section 1: the fields of both are not known


def _refuse_depth(header: Header) -> None:
    """Refuse a sum of rain: data code 5 stands for mm/h in HSP and for mm in sums, and nothing else tells them apart.

    References:
        KMA composite format, section 1: data code 5 is "mm (HSP: mm/h)", and ptype 10 an accumulation.
    """
    if header.ptype == _SUM_PTYPE and header.data_codes[0] == RAIN_CODE:
        raise HeaderError("header byte 1, ptype", "a rain rate", "10 (PCP), a sum of rain, in mm or mm/h")


_SUM_PTYPE = 10
