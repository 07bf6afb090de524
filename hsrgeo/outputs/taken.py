"""Folders that cannot become an output folder: they are something else."""

from __future__ import annotations

import os
from contextlib import suppress

from hsrgeo.errors import OptionsError
from hsrgeo.outputs.names import CUBE_SUFFIXES
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.sources.skipped import ZARR_ROOTS


def refuse_cube(out: Place, what: str = "files") -> None:
    """Refuse an output folder, there or not, that is a cube, lies in one, or has the name of one."""
    named_so = out.suffix.lower() in CUBE_SUFFIXES
    if named_so and not is_zarr(out) and (isinstance(out, RemotePath) or not os.path.lexists(out)):
        raise OptionsError(f"{out}: has the name of a cube; give the output folder another name, or use hsrgeo cube")
    for folder in (out, *_above(out)):
        if is_zarr(folder):
            where = "is a cube" if folder == out else f"is in the cube {folder}"
            raise OptionsError(f"{out}: {where}; {what} go to a folder of their own")


def is_zarr(folder: Place) -> bool:
    """Tell whether a folder is a Zarr store, such as a cube; not where it cannot be reached."""
    if isinstance(folder, RemotePath):
        with suppress(OSError):  # whoever writes there tells that
            return any((folder / name).is_file() for name in ZARR_ROOTS)
        return False
    return any(os.path.isfile(folder / name) for name in ZARR_ROOTS)  # noqa: PTH113 - Path.is_file raises where a name is too long


def _above(out: Place) -> list[Place]:
    """Return the folders that a folder lies in; in a bucket only those with the name of a cube: each is a request."""
    if not isinstance(out, RemotePath):
        return list(out.absolute().parents)
    found, folder = [], out.parent
    while folder.key:
        if folder.suffix.lower() in CUBE_SUFFIXES:
            found.append(folder)
        folder = folder.parent
    return list[Place](found)
