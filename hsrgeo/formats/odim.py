"""ODIM HDF5 composites: bytes -> images with their grid and time.

A file may come from anybody: sizes are bounded before anything is unpacked, and no link of any kind is followed.

References:
    OPERA Data Information Model for HDF5 (ODIM_H5), version 2.4: sections 3 (attributes) and 4 (objects).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from affine import Affine
from numpy.typing import NDArray

from hsrgeo.errors import FrameFormatError, ProjectionError, TooLargeError
from hsrgeo.formats.hdf5 import MAGIC, MOST_CELLS, Hdf5, open_hdf5
from hsrgeo.formats.other import with_beginning
from hsrgeo.model.grid import Grid

MAX_FILE_BYTES = 256 << 20
_LONGEST_PROJDEF = 1000
_PROJ_WORD = re.compile(r"\+?[A-Za-z_0-9]+(=[-+.,A-Za-z_0-9]*)?|(?i:epsg):[0-9]{4,6}")
_PROJ_FILE = re.compile("init|grids|pipeline|step")
_NEAR = 0.01
"""Cells: a corner that is given with six decimals lies closer than this to where it is."""
_OBJECTS = {
    "RAY": "polar ray",
    "AZIM": "azimuthal object",
    "CVOL": "cartesian volume",
    "ELEV": "elevational object",
    "XSEC": "vertical cross-section",
    "VP": "vertical profile",
    "PIC": "embedded picture",
}
_VOLUMES = {"PVOL": "polar volume", "SCAN": "polar scan"}
_READ = ("COMP", "IMAGE")
_WHOSE = ("PLC", "NOD", "RAD", "WMO", "WIGOS", "CMT")
"""Parts of ``source`` that name a radar (ODIM 2.4, table 3), the most telling first."""


@dataclass(frozen=True, slots=True, eq=False)
class OdimImage:
    """One image of a file: ``/datasetN/dataM``."""

    path: str
    """Such as ``/dataset1/data1``."""
    stored: NDArray[Any]
    """Shape (rows, columns), row 0 is the **north** row."""
    quantity: str
    """DBZH, RATE, ACRR, HGHT, ..."""
    gain: float
    offset: float
    nodata: float
    undetect: float
    time: datetime
    """Nominal, UTC."""
    start: datetime
    end: datetime
    grid: Grid
    source: str
    how: dict[str, Any]
    """Attributes of ``/how``."""


def read_odim(data: bytes, name: str) -> list[OdimImage]:
    """Return the images of a composite.

    Raises:
        MissingExtraError: h5py is not installed.
        FrameError: It is no ODIM composite, or asks for more than a composite may hold; the message says what it is.
    """
    if len(data) > MAX_FILE_BYTES:
        raise TooLargeError("too large", f"at most {MAX_FILE_BYTES:,} bytes", f"{len(data):,} bytes", name)
    if not data.startswith(MAGIC):
        raise FrameFormatError("not HDF5", "an ODIM composite", with_beginning(data[:4].hex(" "), data), name)
    with open_hdf5(data, name, "odim") as (h5py, file):
        return _Reader(h5py, file, name).images()


class _Reader(Hdf5):
    """Reads one open file."""

    def images(self) -> list[OdimImage]:
        what = self.attributes("what")
        object_type = str(what.get("object", ""))
        source = str(what.get("source", ""))
        if object_type not in _READ:
            self.refuse("object", "an ODIM composite (COMP)", self._other(object_type, source))
        where, how = self.attributes("where"), self.attributes("how")
        time = self._time(what, "date", "time", "/what")
        grid = self._grid(where)
        found = []
        for dataset in self.numbered("", "dataset"):
            times = what | self.attributes(f"{dataset}/what")
            start = self._time(times, "startdate", "starttime", dataset) if "startdate" in times else time
            end = self._time(times, "enddate", "endtime", dataset) if "enddate" in times else start
            for path in self.numbered(dataset, "data"):
                facts = times | self.attributes(f"{path}/what")  # an attribute holds for what lies below it
                image = OdimImage(
                    path=path,
                    stored=self.array(f"{path}/data", (grid.height, grid.width), "the size in /where"),
                    quantity=str(facts.get("quantity", "")),
                    gain=self.number(facts, "gain", path),
                    offset=self.number(facts, "offset", path),
                    nodata=self.number(facts, "nodata", path),
                    undetect=self.number(facts, "undetect", path),
                    time=time,
                    start=start,
                    end=end,
                    grid=grid,
                    source=source,
                    how=how,
                )
                found.append(image)
        if not found:
            self.refuse("datasets", "/dataset1/data1/data", "none")
        return found

    def _other(self, object_type: str, source: str) -> str:
        if object_type in _OBJECTS or object_type in _VOLUMES:
            parts = dict(part.split(":", 1) for part in source.split(",") if ":" in part)
            whose = next((f" of {parts[key]}" for key in _WHOSE if key in parts), "")
            if object_type in _VOLUMES:
                return f"a {_VOLUMES[object_type]}{whose}; hsrgeo compose takes volumes"
            return f"a {_OBJECTS[object_type]}{whose}; for polar data see wradlib and xradar"
        return f"an ODIM object {object_type!r}" if object_type else "HDF5, not a composite: no /what/object"

    def _time(self, attributes: dict[str, Any], date: str, time: str, where: str) -> datetime:
        text = f"{attributes.get(date, '')}{attributes.get(time, '')}"
        try:
            if not re.fullmatch(r"[0-9]{14}", text):
                raise ValueError(text)  # noqa: TRY301 - strptime takes less
            return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            self.refuse(f"{where}, {date} and {time}", "YYYYMMDD and HHMMSS", text or "nothing")

    def _grid(self, where: dict[str, Any]) -> Grid:
        width, height = (int(self.number(where, key, "/where")) for key in ("xsize", "ysize"))
        if width < 1 or height < 1 or width * height > MOST_CELLS:
            self.refuse("/where, xsize and ysize", f"1 to {MOST_CELLS:,} cells", f"{width} x {height}")
        across, down = (self.number(where, key, "/where") for key in ("xscale", "yscale"))
        corners = {
            corner: [self.number(where, f"{corner}_{axis}", "/where") for axis in ("lon", "lat")]
            for corner in ("UL", "LR")
        }
        grid = Grid("odim", self._wkt2(str(where.get("projdef", ""))), Affine(1, 0, 0, 0, -1, 0), width, height)
        try:
            x, y = grid.project(*zip(*corners.values(), strict=True))
        except ProjectionError as error:
            self.refuse("/where, corners", "longitudes and latitudes that projdef can place", str(error))
        if not (across > 0 and down > 0):
            self.refuse("/where, xscale and yscale", "sides of a cell above 0", f"{across:g} and {down:g}")
        cols, rows = float(x[1] - x[0]) / across, float(y[0] - y[1]) / down
        half = 0.0
        if abs(cols - (width - 1)) < _NEAR and abs(rows - (height - 1)) < _NEAR:
            half = 0.5  # some programs write the centres of the corner cells in place of their outer corners
        elif abs(cols - width) > _NEAR * width or abs(rows - height) > _NEAR * height:
            found = f"{cols:.2f} x {rows:.2f} between the corners"
            self.refuse("/where, corners", f"{width} x {height} cells of {across:g} x {down:g}", found)
        left, top = float(x[0]) - half * across, float(y[0]) + half * down
        transform = Affine(across, 0.0, round(left, 6), 0.0, -down, round(top, 6))
        return Grid("odim", grid.wkt2, transform, width, height)

    def _wkt2(self, projdef: str) -> str:
        import pyproj  # noqa: PLC0415 - slow to import

        # Only what describes a projection: a definition can also name files and pipelines.
        words = projdef.split() if len(projdef) <= _LONGEST_PROJDEF else []
        sound = all(_PROJ_WORD.fullmatch(word) and not _PROJ_FILE.search(word) for word in words)
        if not words or not sound:
            self.refuse("/where, projdef", "a PROJ string such as '+proj=lcc ...'", projdef[:200] or "nothing")
        try:
            crs = pyproj.CRS.from_user_input(projdef)
        except pyproj.exceptions.CRSError as error:
            self.refuse("/where, projdef", "a projection that PROJ knows", f"{projdef[:200]} ({error})")
        if not (crs.is_projected or crs.is_geographic):
            self.refuse("/where, projdef", "a projection", projdef[:200])
        return crs.to_wkt("WKT2_2019")
