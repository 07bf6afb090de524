"""A frame in KMA's own container: what every other command, and every other reader of KMA's files, reads again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hsrgeo.errors import OptionsError
from hsrgeo.formats.composite import encode
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import grids
from hsrgeo.model.header import NOT_KMA_MARK, SYNTHETIC_MARK
from hsrgeo.model.quantity import QUANTITIES
from hsrgeo.writers.files import write_file


def write_bin(frame: Frame, path: Path) -> Path:
    """Write a frame as a ``.bin.gz`` of one block and return its path; see `Frame.to_bin`.

    Raises:
        OptionsError: The frame lies on another grid than KMA's.
        WriteError: The disk refused.
    """
    write_file(path, encode_bin(frame))
    return path


def encode_bin(frame: Frame) -> bytes:
    """Return the bytes of a ``.bin.gz`` of a frame; cells of the grid outside its window are nodata.

    Raises:
        OptionsError: The frame lies on another grid than KMA's.
    """
    whole = grids().get(frame.grid.name)
    if whole is None or whole.crop(frame.window) != frame.grid:
        raise OptionsError(f"KMA's container has no projection: a frame on {frame.grid.name!r} does not fit into it")
    code, packing = next(entry for entry in QUANTITIES.items() if entry[1].name == frame.quantity.name)
    stored = np.full((whole.height, whole.width), packing.nodata, np.int16)
    part = frame.raw
    if packing.undetect != frame.quantity.undetect:  # no rain has a code of its own there, and is 0 in clean rain
        part = np.where(part == frame.quantity.undetect, np.int16(packing.undetect), part)
    stored[frame.window.slices] = part
    mark = (SYNTHETIC_MARK if frame.header.synthetic else b"") + NOT_KMA_MARK
    header = replace(frame.header, num_data=1, data_codes=(code, *(0,) * 15), etc=mark.ljust(15, b"\0"))
    return encode(header, [stored])
