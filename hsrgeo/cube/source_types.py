"""What a source is: frames, a cube, or what an export left. It needs none of the libraries of arrays."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Literal

from hsrgeo.cube.reference import SUFFIXES, is_reference
from hsrgeo.errors import OptionsError
from hsrgeo.outputs.catalogs import is_catalog
from hsrgeo.outputs.journal import is_output
from hsrgeo.outputs.names import CUBE_SUFFIXES
from hsrgeo.outputs.taken import is_zarr
from hsrgeo.sources.remote import is_bucket, is_remote, place

SourceType = Literal["cube", "export", "frames", "reference"]


def source_type_of(path: Path) -> SourceType:
    """Tell what a source on this machine is, by its name and what lies in it.

    ``os.path`` asks, for `Path` raises where a name is too long or a folder is closed: whoever reads it tells that.
    """
    suffix = path.suffix.lower()
    if suffix in CUBE_SUFFIXES or is_zarr(path):
        return "cube"
    if suffix in SUFFIXES and is_reference(path):
        return "reference"
    if os.path.isdir(path) and any(islice(path.glob("*.bin*"), 1)):  # noqa: PTH112
        return "frames"  # also where something was exported into it
    return "export" if is_output(path) or is_catalog(path) else "frames"


def source_type_of_url(source: str) -> SourceType | None:
    """Tell what a URL names, by its end: a cube or a reference in a bucket, or something else.

    Raises:
        OptionsError: A cube of a kind that is read on this machine only.
    """
    path = place(source)
    suffix = path.suffix.lower()
    if suffix not in (*CUBE_SUFFIXES, *SUFFIXES):
        return None
    if suffix not in _TYPES_OF_URLS or not is_bucket(path):
        raise OptionsError(f"{path}: read on this machine only; in buckets (s3://, gs://, az://) .zarr and .json are")
    return _TYPES_OF_URLS[suffix]


_TYPES_OF_URLS: dict[str, SourceType] = {".zarr": "cube", ".json": "reference"}


def is_exported(source: str | Path) -> bool:
    """Tell whether a source is the OUT of an export and nothing else."""
    return not is_remote(source) and is_output(path := Path(source)) and source_type_of(path) == "export"
