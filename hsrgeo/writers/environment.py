"""GDAL's surroundings: every use of GDAL runs in one environment of hsrgeo's own.

The same frame gives the same bytes whatever the user, the server's image or the program around hsrgeo has set: in
variables, in ``~/.gdal/gdalrc``, or with a `rasterio.Env` of their own. GDAL and PROJ in rasterio's wheel read the
data that came with them: a `proj.db` of another version does not know EPSG codes, and WGS 84 is then spelled out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import rasterio
import rasterio.env
from rasterio.session import DummySession

from hsrgeo.errors import ReadbackError
from hsrgeo.model.env_variables import with_own_variables
from hsrgeo.sources.remote import Place, RemotePath

PLAIN: dict[str, str] = {
    "GDAL_PAM_ENABLED": "YES",
    "GDAL_GEOREF_SOURCES": "PAM,INTERNAL,TABFILE,WORLDFILE,XML",
    "GDAL_DISABLE_READDIR_ON_OPEN": "NO",
    "GDAL_TIFF_ENDIANNESS": "NATIVE",
    "GTIFF_DONT_WRITE_BLOCKS": "NO",
    "GTIFF_ESRI_CITATION": "YES",
    "OSR_WKT_FORMAT": "DEFAULT",
    "TIFF_READ_STREAMING": "NO",
}
"""What GDAL does by default, said all the same: options that were set for the whole process, by a
program around hsrgeo or a file of options, have the last word only where nothing is said."""
ALONE = {
    **PLAIN,
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}
"""To read a file without what lies beside it: other programs leave ``.aux.xml`` and ``.ovr`` there."""


_Place = TypeVar("_Place", Path, RemotePath, Place)


@contextmanager
def own_gdal(**options: str) -> Iterator[None]:
    """Use GDAL as if nobody had set anything; what the process and the caller's `rasterio.Env` had is put back."""
    with _outer_env_left(), with_own_variables():
        _register()
        with rasterio.Env(DummySession(), **{**PLAIN, **options}):  # without keys to buckets: GDAL opens none
            yield


@contextmanager
def _outer_env_left() -> Iterator[None]:
    """Leave the `rasterio.Env` of the caller, if there is one, and enter it again."""
    if not rasterio.env.hasenv():
        yield
        return
    options, discovered = rasterio.env.getenv(), rasterio.env.local._discovered_options  # noqa: SLF001
    rasterio.env.delenv()
    try:
        yield
    finally:
        rasterio.env.defenv()
        rasterio.env.setenv(**options)
        rasterio.env.local._discovered_options = discovered  # noqa: SLF001


@cache
def _register() -> None:
    """Have GDAL's drivers registered: it reads ``GDAL_SKIP`` and its file of options then, and never again."""
    before = os.environ.get("GDAL_CONFIG_FILE")
    os.environ["GDAL_CONFIG_FILE"] = ""  # none, also not ~/.gdal/gdalrc
    with rasterio.Env(DummySession()):
        pass
    if before is None:
        del os.environ["GDAL_CONFIG_FILE"]


@contextmanager
def opened_raster(
    path: Path, driver: str = "GTiff", config: dict[str, str] = ALONE, level: int | None = None
) -> Iterator[Any]:
    """Open a raster by one driver, whatever is in the file: a VRT or an item under its name could lead anywhere.

    `level` is the number of an overview, counted from 0; None is the full resolution.

    Raises:
        ReadbackError: It is no regular file.
        rasterio.errors.RasterioError: GDAL cannot open it.
    """
    chosen = {} if level is None else {"overview_level": level}
    with own_gdal(**config), rasterio.open(regular_file(path), driver=driver, **chosen) as dataset:
        yield dataset


def output_below(out: _Place, path: str) -> _Place:
    """Return where an output lies, unless it is a link to a file elsewhere: OUT may come from somebody else.

    Folders below OUT may be links: a user moves months to another disk.

    Raises:
        ReadbackError: It lies elsewhere, or is a link that leads out of the folder; nothing is opened.
    """
    whole = out / path
    if ".." in path.split("/"):  # by an odd template of names and an odd product, kind or region
        raise ReadbackError(str(whole), f"is not read: it does not lie in {out}")
    if isinstance(whole, RemotePath):  # a bucket has no links
        return whole
    is_link = os.path.islink(whole)  # noqa: PTH114 - Path.is_symlink raises where a name is too long
    if is_link and not Path(os.path.realpath(whole)).is_relative_to(os.path.realpath(str(out))):
        raise ReadbackError(str(whole), f"is not read: it is a link that leads out of {out}")
    return whole


def regular_file(path: Path) -> str:
    """Return the absolute path of a file, as GDAL takes it for a file: never as a URL or a virtual file system.

    Raises:
        ReadbackError: It is no regular file.
    """
    full = os.path.abspath(path)  # noqa: PTH100 - links stay
    try:
        regular = stat.S_ISREG(os.stat(full).st_mode)  # noqa: PTH116 - one object less than Path.stat
    except (OSError, ValueError) as error:
        raise ReadbackError(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not regular or full.startswith("/vsi"):
        raise ReadbackError(str(path), "is no regular file")
    return full
