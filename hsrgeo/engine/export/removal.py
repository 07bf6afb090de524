"""Removes outputs of an export. A manifest may come from a stranger, so it alone is no reason to remove a file."""

from __future__ import annotations

import os
import stat
import warnings
import zlib
from contextlib import closing
from pathlib import Path

from hsrgeo.errors import HsrGeoWarning
from hsrgeo.outputs.outcome import Output
from hsrgeo.sources.remote import Place
from hsrgeo.sources.texts import open_file
from hsrgeo.writers.files import remove_file
from hsrgeo.writers.rasters import RASTERS

OUTPUT_SUFFIXES = tuple(suffix for raster in RASTERS.values() for suffix in raster.suffixes)
_BLOCK = 1 << 20
_SHOWN = 10


class Removal:
    """Removes files of an output folder that are certainly outputs of an export, and keeps a list of the others."""

    def __init__(self, out: Place) -> None:
        self._out = out
        self._left: list[str] = []

    def remove(self, output: Output, *, named: bool = True) -> None:
        """Remove a file that a manifest tells of, if it is there.

        The file stays if it lies behind a link, has a name that no export gives, or another size or CRC-32.

        Args:
            output: What the manifest tells.
            named: Whether the recipe of the folder leads to this name.
        """
        path = self._out / output.path
        try:
            reason = (
                self._doubt(path, output)
                if named and output.path.endswith(OUTPUT_SUFFIXES)
                else "no export names a file so"
            )
        except FileNotFoundError:
            return
        except OSError as error:
            reason = error.strerror or str(error)
        if reason:
            self._left.append(f"{output.path} ({reason})")
        else:
            remove_file(path)

    def _doubt(self, path: Place, output: Output) -> str:
        if isinstance(path, Path):
            if not stat.S_ISREG(path.lstat().st_mode) or not lies_below(path, self._out):
                return "it is a link, lies behind one, or is no file"
            size = path.lstat().st_size
        else:
            size = path.stat().size
        if size != output.bytes or _crc32(path) != output.crc32:
            return "it differs from the manifest"
        return ""

    def tell(self) -> None:
        """Warn of the files that were left, if any."""
        if self._left:
            more = f", and {len(self._left) - _SHOWN:,} more" if len(self._left) > _SHOWN else ""
            listed = "; ".join(self._left[:_SHOWN])
            warnings.warn(
                f"{self._out}: left as they are, for they may be somebody else's: {listed}{more}",
                HsrGeoWarning,
                stacklevel=1,
            )


def lies_below(path: Path, out: Place) -> bool:
    """Tell whether a path below OUT stays there: no link on the way leads elsewhere."""
    return os.path.realpath(path) == os.path.join(os.path.realpath(str(out)), path.relative_to(str(out)))  # noqa: PTH118


def down_to(folder: Path, out: Path) -> list[Path]:
    """Return a folder and those between it and OUT; none where it was never made."""
    if not folder.is_dir():
        return []
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(out))]


def _crc32(path: Place) -> int:
    crc32 = 0
    with closing(open_file(path) if isinstance(path, Path) else path.open("rb")) as file:
        while block := file.read(_BLOCK):
            crc32 = zlib.crc32(block, crc32)
    return crc32
