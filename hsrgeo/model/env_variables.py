"""The environment variables that change what GDAL and PROJ do: hsrgeo runs both without them.

A variable, or a file of options that one names, changes bytes that are written and what is found in a file:
``GDAL_GEOREF_SOURCES`` alone takes the place from every raster. The settings of the network (proxy, certificates)
stay: nothing that they change ends up in a file.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_READ = re.compile(
    r"(CPL|GDAL|OGR|OSR|GTIFF|TIFF|COG|VSI|PROJ|PYPROJ|SQLITE|GPKG|SHAPE|GEOJSON|PNG|VRT|LOKY_PICKLER)(_|$)"
    r"|(USE_RRD|ESRI_XML_PAM|CHECK_DISK_FREE_SPACE)$|\w+_OVERVIEW$"
)
_NETWORK = re.compile(r"(GDAL_HTTPS?|GDAL_PROXY|GDAL_CURL|PROJ_CURL|CPL_CURL|CPL_VSIL)_|PROJ_NATIVE_CA$")
_FOLDERS = ("GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_DATA", "PROJ_LIB")
_OWN = {
    "GDAL_CONFIG_FILE": "",  # empty: no file, also not ~/.gdal/gdalrc
    "PROJ_NETWORK": "OFF",  # no grid of a datum shift is fetched that another machine lacks
    "PROJ_SKIP_READ_USER_WRITABLE_DIRECTORY": "YES",  # nor taken from ~/.local/share/proj
}
# ^ GDAL, "Configuration options"; PROJ, "Environment variables"
_LOCK = threading.Lock()
_inside = 0
_before: dict[str, str] = {}


def own_variables() -> None:
    """Take these variables out of this process for good, and out of every process that it starts."""
    for name in _foreign():
        del os.environ[name]
    os.environ.update(_OWN)


@contextmanager
def with_own_variables() -> Iterator[None]:
    """Take these variables out of this process for a while: from the first thread that asks to the last that leaves."""
    global _inside  # noqa: PLW0603 - the environment is one for the whole process
    with _LOCK:
        if not _inside:
            _before.update({name: os.environ.pop(name) for name in _foreign()})
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if not _inside:
                os.environ.update(_before)
                _before.clear()


def _foreign() -> list[str]:
    """Return the names of the variables of this process that would change what GDAL and PROJ do."""
    needed = () if _is_bundled() else _FOLDERS
    names = [name for name in os.environ if _READ.match(name) and not _NETWORK.match(name) and name not in needed]
    return [name for name in names if os.environ[name] != _OWN.get(name)]


@cache
def _is_bundled() -> bool:
    """Tell whether GDAL and PROJ came inside rasterio's wheel, with the folders of data that they need."""
    found = find_spec("rasterio")
    return bool(found and found.origin and Path(found.origin).with_name("proj_data").is_dir())
