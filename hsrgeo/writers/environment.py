"""GDAL's surroundings: the GDAL and PROJ in rasterio's wheel read the data that came with them.

Where `PROJ_DATA` or `PROJ_LIB` names another PROJ's folder, as Debian's packages, QGIS and OSGeo4W do, rasterio
obeys. A `proj.db` of another version does not know EPSG codes for it: the place stays right, but WGS 84 is then spelled
out in the file, so that the same frame would give other bytes on another machine.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rasterio
from rasterio.env import PROJDataFinder, set_proj_data_search_path


@contextmanager
def own_gdal(**options: Any) -> Iterator[None]:  # noqa: ANN401 - GDAL's options
    """Use GDAL with rasterio's own PROJ data; what the process had before is put back.

    Args:
        options: GDAL's configuration.
    """
    own: str | None = PROJDataFinder().search_wheel()  # None where rasterio was built for the PROJ on the machine
    others = os.environ.get("PROJ_DATA") or os.environ.get("PROJ_LIB")
    if not own or not others:
        with rasterio.Env(**options):
            yield
        return
    # One thread at a time: the folder is that of the whole process, and another thread's start would take it away.
    with _ALONE, rasterio.Env(**options):  # obeys the variables again when it starts
        set_proj_data_search_path(own)
        try:
            yield
        finally:
            set_proj_data_search_path(others)


_ALONE = threading.RLock()
