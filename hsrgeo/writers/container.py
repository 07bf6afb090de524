"""A frame in KMA's own container: what every other command, and every other reader of KMA's files, reads again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.formats.blocks import MAX_BLOCKS
from hsrgeo.formats.composite import encode, product_with
from hsrgeo.formats.names import own_name
from hsrgeo.model.checks import refuse_other_suffix
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.header import NOT_KMA_MARK, SYNTHETIC_MARK
from hsrgeo.model.quantity import QUANTITIES, Quantity
from hsrgeo.model.times import time_label
from hsrgeo.writers.files import write_file


def write_bin(blocks: Sequence[Frame], path: Path) -> Path:
    """Write frames as the blocks of a ``.bin.gz`` and return its path; see `Frame.to_bin`.

    Raises:
        OptionsError: A frame lies on another grid than KMA's, or than the first, or a name of another format.
        WriteError: The disk refused.
    """
    first = blocks[0]
    if path.is_dir():  # never under the name of KMA's own file, which may lie there
        path /= own_name(product_with(first, _packing(first)[0]), first.time)
    refuse_other_suffix(path, (".gz",), "composite")
    write_file(path, encode_bin(blocks))
    return path


def encode_bin(blocks: Sequence[Frame]) -> bytes:
    """Return the bytes of a ``.bin.gz``; cells of the grid outside a frame's window are nodata.

    Blocks are one to four frames of one time and grid; the header is that of the first.

    Raises:
        OptionsError: A frame lies on another grid than KMA's, or than the first.
    """
    first = blocks[0]
    whole = grids().get(first.grid.name)
    if len(blocks) > MAX_BLOCKS:
        raise OptionsError(f"{len(blocks)} blocks: a file has room for {MAX_BLOCKS}")
    for frame in blocks:
        if whole is None or whole.crop(frame.window) != frame.grid:
            raise OptionsError(
                f"KMA's container has no projection: a frame on {frame.grid.name!r} does not fit into it"
            )
        if frame.time != first.time:
            raise OptionsError(f"blocks of {time_label(first.time, frame.time, between=' and ')} in one file")
    assert whole is not None  # noqa: S101 - there is a first frame
    codes, stored = zip(*(_packed(frame, whole) for frame in blocks), strict=True)
    mark = (SYNTHETIC_MARK if first.header.synthetic else b"") + NOT_KMA_MARK
    data_codes = (*codes, *(0,) * (16 - len(codes)))
    header = replace(first.header, num_data=len(codes), data_codes=data_codes, etc=mark.ljust(15, b"\0"))
    return encode(header, stored)


def _packing(frame: Frame) -> tuple[int, Quantity]:
    """Return the data code of a frame's quantity, and how KMA packs it."""
    return next(entry for entry in QUANTITIES.items() if entry[1].name == frame.quantity.name)


def _packed(frame: Frame, whole: Grid) -> tuple[int, NDArray[np.int16]]:
    """Return the data code of a frame, and its values on the whole grid as KMA stores them."""
    code, packing = _packing(frame)
    stored = np.full((whole.height, whole.width), packing.nodata, np.int16)
    part = frame.raw
    if packing.undetect != frame.quantity.undetect:  # no rain has a code of its own there, and is 0 in clean rain
        part = np.where(part == frame.quantity.undetect, np.int16(packing.undetect), part)
    stored[frame.window.slices] = part
    return code, stored
