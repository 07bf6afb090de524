"""What a source is: frames, a cube, or what an export left. It needs none of the libraries of arrays."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Literal

from hsrgeo.cube.reference import SUFFIXES, is_reference
from hsrgeo.outputs.catalogs import is_catalog
from hsrgeo.outputs.journal import is_output
from hsrgeo.sources.remote import is_remote

Kind = Literal["cube", "export", "frames", "reference"]

CUBE_SUFFIXES = (".nc", ".zarr")


def kind_of(path: Path) -> Kind:
    """Tell what a source on this machine is, by its name and what lies in it.

    ``os.path`` asks, for `Path` raises where a name is too long or a folder is closed: whoever reads it tells that.
    """
    suffix = path.suffix.lower()
    if suffix in CUBE_SUFFIXES or any(os.path.isfile(path / name) for name in ("zarr.json", ".zgroup")):  # noqa: PTH113
        return "cube"
    if suffix in SUFFIXES and is_reference(path):
        return "reference"
    if os.path.isdir(path) and any(islice(path.glob("*.bin*"), 1)):  # noqa: PTH112
        return "frames"  # also where something was exported into it
    return "export" if is_output(path) or is_catalog(path) else "frames"


def is_exported(source: str | Path) -> bool:
    """Tell whether a source is the OUT of an export, and of nothing but."""
    return not is_remote(source) and is_output(path := Path(source)) and kind_of(path) == "export"
