"""ODIM HDF5 composites: bytes -> images with their grid and time.

A file may come from anybody: sizes are bounded before anything is unpacked, and no link of any kind is followed.

References:
    OPERA Data Information Model for HDF5 (ODIM_H5), version 2.4: sections 3 (attributes) and 4 (objects).
"""

from __future__ import annotations

import io
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.errors import FrameFormatError, FrameReadError, MissingExtraError, ProjectionError, TooLargeError
from hsrgeo.formats.other import with_beginning
from hsrgeo.model.grid import Grid
from hsrgeo.model.texts import printable

MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_FILE_BYTES = 256 << 20
_MOST_CELLS = 1 << 25
"""Of an image, and of a chunk: five times KMA's largest grid."""
_MOST_TEXT = 1 << 16
_MOST_GROUPS = 99
_LONGEST_PROJDEF = 1000
_PROJ_WORD = re.compile(r"\+?[A-Za-z_0-9]+(=[-+.,A-Za-z_0-9]*)?|(?i:epsg):[0-9]{4,6}")
_PROJ_FILE = re.compile("init|grids|pipeline|step")
_NEAR = 0.01
"""Cells: a corner that is given with six decimals lies closer than this to where it is."""
_FILTERS = {1, 2, 3}  # deflate, shuffle, fletcher32: those that HDF5 always has; others may load a library
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, zlib.error)
"""What h5py, numpy and zlib raise where a file is damaged."""
_OBJECTS = {
    "PVOL": "polar volume",
    "SCAN": "polar scan",
    "RAY": "polar ray",
    "AZIM": "azimuthal object",
    "CVOL": "cartesian volume",
    "ELEV": "elevational object",
    "XSEC": "vertical cross-section",
    "VP": "vertical profile",
    "PIC": "embedded picture",
}
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

    Args:
        data: The whole file.
        name: For messages.

    Raises:
        MissingExtraError: h5py is not installed.
        FrameError: It is no ODIM composite, or asks for more than a composite may hold; the message says what it is.
    """
    if len(data) > MAX_FILE_BYTES:
        raise TooLargeError("too large", f"at most {MAX_FILE_BYTES:,} bytes", f"{len(data):,} bytes", name)
    if not data.startswith(MAGIC):
        raise FrameFormatError("not HDF5", "an ODIM composite", with_beginning(data[:4].hex(" "), data), name)
    h5py = _h5py()
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return _Reader(h5py, file, name).images()
    except _DAMAGE as error:
        raise FrameReadError("HDF5", "a sound file", printable(str(error) or type(error).__name__), name) from error


def _h5py() -> Any:  # noqa: ANN401 - a module without types
    try:
        import h5py  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        raise MissingExtraError("h5py", "odim") from error
    return h5py


class _Reader:
    """Reads one open file."""

    def __init__(self, h5py: Any, file: Any, name: str) -> None:  # noqa: ANN401
        self._h5py, self._file, self._name = h5py, file, name

    def images(self) -> list[OdimImage]:
        what = self._attributes("what")
        kind = str(what.get("object", ""))
        source = str(what.get("source", ""))
        if kind not in _READ:
            self._refuse("object", "an ODIM composite (COMP)", self._other(kind, source))
        where, how = self._attributes("where"), self._attributes("how")
        time = self._time(what, "date", "time", "/what")
        grid = self._grid(where)
        found = []
        for dataset in self._numbered("", "dataset"):
            times = what | self._attributes(f"{dataset}/what")
            start = self._time(times, "startdate", "starttime", dataset) if "startdate" in times else time
            end = self._time(times, "enddate", "endtime", dataset) if "enddate" in times else start
            for path in self._numbered(dataset, "data"):
                facts = times | self._attributes(f"{path}/what")  # an attribute holds for what lies below it
                image = OdimImage(
                    path=path,
                    stored=self._pixels(f"{path}/data", grid),
                    quantity=str(facts.get("quantity", "")),
                    gain=self._number(facts, "gain", path),
                    offset=self._number(facts, "offset", path),
                    nodata=self._number(facts, "nodata", path),
                    undetect=self._number(facts, "undetect", path),
                    time=time,
                    start=start,
                    end=end,
                    grid=grid,
                    source=source,
                    how=how,
                )
                found.append(image)
        if not found:
            self._refuse("datasets", "/dataset1/data1/data", "none")
        return found

    def _refuse(self, problem: str, expected: str, found: str) -> NoReturn:
        raise FrameFormatError(problem, expected, printable(found), self._name)

    def _other(self, kind: str, source: str) -> str:
        if kind in _OBJECTS:
            parts = dict(part.split(":", 1) for part in source.split(",") if ":" in part)
            whose = next((f" of {parts[key]}" for key in _WHOSE if key in parts), "")
            return f"a {_OBJECTS[kind]}{whose}; for polar data see wradlib and xradar"
        return f"an ODIM object {kind!r}" if kind else "HDF5, not a composite: no /what/object"

    def _item(self, path: str) -> Any:  # noqa: ANN401
        """Return a group or dataset that lies in the file itself, None where there is none."""
        item = self._file
        for part in path.strip("/").split("/"):
            if not isinstance(item, self._h5py.Group):
                return None
            link = item.get(part, getlink=True)
            if link is None:
                return None
            if not isinstance(link, self._h5py.HardLink):
                self._refuse(f"/{path.strip('/')}", "an object of this file", "a link to another place")
            item = item[part]
        return item

    def _numbered(self, above: str, word: str) -> Iterator[str]:
        for number in range(1, _MOST_GROUPS + 1):
            path = f"{above}/{word}{number}"
            if not isinstance(self._item(path), self._h5py.Group):
                return
            yield path

    def _attributes(self, path: str) -> dict[str, Any]:
        group = self._item(path)
        if not isinstance(group, self._h5py.Group):
            return {}
        return {str(key): self._value(group, key) for key in list(group.attrs)[:_MOST_TEXT]}

    def _value(self, group: Any, key: str) -> Any:  # noqa: ANN401
        attribute = group.attrs.get_id(key)
        if math.prod(attribute.shape) * attribute.dtype.itemsize > _MOST_TEXT or attribute.dtype.kind not in "iufSO":
            return ""  # none of ODIM's own
        value = group.attrs[key]
        value = value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value
        if isinstance(value, bytes):
            return value.decode("utf-8", "backslashreplace").rstrip("\0")
        return value.item() if isinstance(value, np.generic) else value

    def _number(self, attributes: dict[str, Any], key: str, where: str) -> float:
        value = attributes.get(key)
        markers = ("nodata", "undetect")  # NaN may be one
        if not isinstance(value, (int, float)) or math.isinf(value) or (math.isnan(value) and key not in markers):
            self._refuse(f"{where}, {key}", "a number", "nothing" if value is None else str(value))
        return float(value)

    def _time(self, attributes: dict[str, Any], date: str, time: str, where: str) -> datetime:
        text = f"{attributes.get(date, '')}{attributes.get(time, '')}"
        try:
            if not re.fullmatch(r"[0-9]{14}", text):
                raise ValueError(text)  # noqa: TRY301 - strptime takes less
            return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            self._refuse(f"{where}, {date} and {time}", "YYYYMMDD and HHMMSS", text or "nothing")

    def _grid(self, where: dict[str, Any]) -> Grid:
        width, height = (int(self._number(where, key, "/where")) for key in ("xsize", "ysize"))
        if width < 1 or height < 1 or width * height > _MOST_CELLS:
            self._refuse("/where, xsize and ysize", f"1 to {_MOST_CELLS:,} cells", f"{width} x {height}")
        across, down = (self._number(where, key, "/where") for key in ("xscale", "yscale"))
        corners = {
            corner: [self._number(where, f"{corner}_{axis}", "/where") for axis in ("lon", "lat")]
            for corner in ("UL", "LR")
        }
        grid = Grid("odim", self._wkt2(str(where.get("projdef", ""))), Affine(1, 0, 0, 0, -1, 0), width, height)
        try:
            x, y = grid.project(*zip(*corners.values(), strict=True))
        except ProjectionError as error:
            self._refuse("/where, corners", "longitudes and latitudes that projdef can place", str(error))
        if not (across > 0 and down > 0):
            self._refuse("/where, xscale and yscale", "sides of a cell above 0", f"{across:g} and {down:g}")
        cols, rows = float(x[1] - x[0]) / across, float(y[0] - y[1]) / down
        half = 0.0
        if abs(cols - (width - 1)) < _NEAR and abs(rows - (height - 1)) < _NEAR:
            half = 0.5  # some programs write the centres of the corner cells in place of their outer corners
        elif abs(cols - width) > _NEAR * width or abs(rows - height) > _NEAR * height:
            found = f"{cols:.2f} x {rows:.2f} between the corners"
            self._refuse("/where, corners", f"{width} x {height} cells of {across:g} x {down:g}", found)
        left, top = float(x[0]) - half * across, float(y[0]) + half * down
        transform = Affine(across, 0.0, round(left, 6), 0.0, -down, round(top, 6))
        return Grid("odim", grid.wkt2, transform, width, height)

    def _wkt2(self, projdef: str) -> str:
        import pyproj  # noqa: PLC0415 - slow to import

        # Only what describes a projection: a definition can also name files and pipelines.
        words = projdef.split() if len(projdef) <= _LONGEST_PROJDEF else []
        sound = all(_PROJ_WORD.fullmatch(word) and not _PROJ_FILE.search(word) for word in words)
        if not words or not sound:
            self._refuse("/where, projdef", "a PROJ string such as '+proj=lcc ...'", projdef[:200] or "nothing")
        try:
            crs = pyproj.CRS.from_user_input(projdef)
        except pyproj.exceptions.CRSError as error:
            self._refuse("/where, projdef", "a projection that PROJ knows", f"{projdef[:200]} ({error})")
        if not (crs.is_projected or crs.is_geographic):
            self._refuse("/where, projdef", "a projection", projdef[:200])
        return crs.to_wkt("WKT2_2019")

    def _pixels(self, path: str, grid: Grid) -> NDArray[Any]:
        dataset = self._item(path)
        if not isinstance(dataset, self._h5py.Dataset):
            self._refuse(path, "a dataset", "none")
        if dataset.shape != (grid.height, grid.width) or dataset.dtype.kind not in "iuf":
            found = f"{dataset.shape} of {dataset.dtype}"
            self._refuse(path, f"({grid.height}, {grid.width}) of numbers, the size in /where", found)
        if dataset.external or dataset.is_virtual:
            self._refuse(path, "pixels in this file", "pixels in another file")
        self._refuse_bomb(dataset, path)
        values: NDArray[Any] = dataset[()]
        return values

    def _refuse_bomb(self, dataset: Any, path: str) -> None:  # noqa: ANN401
        """Refuse chunks that unpack to more than they say: HDF5 itself would go on until memory ends."""
        plan = dataset.id.get_create_plist()
        filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
        if not set(filters) <= _FILTERS or len(set(filters)) != len(filters):
            self._refuse(path, "the filters deflate, shuffle and fletcher32", f"filters {filters}")
        if dataset.chunks is None:
            return
        size = math.prod(dataset.chunks) * dataset.dtype.itemsize
        number = dataset.id.get_num_chunks()
        slots = math.prod(-(-side // chunk) for side, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        if math.prod(dataset.chunks) > _MOST_CELLS or number > slots or slots * size > _MOST_BYTES:
            self._refuse(path, "chunks that make up the image", f"{number:,} of {size:,} bytes")
        for index in range(number):
            info = dataset.id.get_chunk_info(index)
            if info.size > 2 * size + _ROOM:
                self._refuse(path, f"chunks of at most {size:,} bytes", f"{info.size:,} bytes")
            if 1 in filters and not info.filter_mask:
                stream = zlib.decompressobj()
                _mask, packed = dataset.id.read_direct_chunk(info.chunk_offset)
                stream.decompress(packed, size + _ROOM)
                if not stream.eof:
                    self._refuse(path, f"a chunk of {size:,} bytes", "one that unpacks to something else")


_ROOM = 64  # a checksum, and what deflate adds to what does not get smaller
_MOST_BYTES = 8 * 4 * _MOST_CELLS
