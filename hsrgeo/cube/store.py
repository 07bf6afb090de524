"""Cubes on disk: what one is made of, how its values are laid out, and the frames that wait to become part of it.

A frame is staged first: packed in a file of its own whose name tells its time, rank and CRC-32, so that a run that is
killed finds on disk what is done, and of two frames of a time the better one is taken whatever the order. Staged for
the layout ``map`` it is a chunk of Zarr already; for ``series`` it is cut in bands of rows, which are gathered over
time.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zstandard
from affine import Affine
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from hsrgeo.cube.cf import dataset_attrs, quantity_of
from hsrgeo.errors import FrameError, WriteError, refused
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.rank import Rank
from hsrgeo.sources.remote import Place, RemotePath, place
from hsrgeo.writers.files import remove_file, write_file

Layout = Literal["map", "series"]

SERIES_TIMES = 288
"""Times in a chunk of the layout series: a day of five minutes."""
SERIES_SIDE = 32
"""Cells along each side of such a chunk: half a megabyte unpacked."""
_BAND_BYTES = 48 << 20
# ^ unpacked, of a band of rows over a chunk's times: what gathering needs at a time
_LEVEL = 3  # of zstd
_NAMES = {"reflectivity": "equivalent_reflectivity_factor"}
# ^ of variables in files, where the quantity's own is not one that CF's readers look for


@dataclass(frozen=True)
class Shape:
    """What every frame of a cube has in common."""

    product: str
    quantity: Quantity
    grid: Grid
    cleaned: bool
    synthetic: bool
    recipe: dict[str, Any]
    """What was made of the frames, and the step of time: plain values."""
    series_times: int
    """Times in a chunk of the layout series."""

    @property
    def name(self) -> str:
        """Name of the variable in files."""
        return _NAMES.get(self.quantity.name, self.quantity.name)

    @property
    def band_rows(self) -> int:
        """Rows of a band, a multiple of `SERIES_SIDE`."""
        per_row = self.series_times * self.padded_width * 2
        most = max(_BAND_BYTES // per_row // SERIES_SIDE * SERIES_SIDE, SERIES_SIDE)
        return min(most, _round_up(self.grid.height))

    @property
    def padded_width(self) -> int:
        """Columns in whole chunks of the layout series."""
        return _round_up(self.grid.width)

    @property
    def bands(self) -> list[slice]:
        """Rows of each band."""
        rows, height = self.band_rows, self.grid.height
        return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]

    @property
    def step(self) -> timedelta:
        """Every so often there should be a frame."""
        return timedelta(minutes=self.recipe["step_minutes"])

    def attrs(self) -> dict[str, Any]:
        """Return the global attributes of a cube; `shape_from_json` reads the recipe back."""
        return {
            **dataset_attrs(self.product, self.quantity, synthetic=self.synthetic),
            "hsrgeo_recipe": json.dumps(self.recipe, sort_keys=True),
        }

    def check(self, frame: Frame, label: str) -> None:
        """Refuse a frame that does not belong to the others.

        Raises:
            FrameError: It is of another product, quantity or grid.
        """
        if frame.product != self.product:
            one = f"{self.product} (one cube contains one product: choose it)"
            raise FrameError("other product than the cube's", one, frame.product, label)
        for problem, expected, found in (
            ("other quantity", self.quantity.name, frame.quantity.name),
            ("other grid", _grid_text(self.grid), _grid_text(frame.grid)),
        ):
            if expected != found:
                raise FrameError(f"{problem} than the cube's", expected, found, label)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; `shape_from_json` reads them back."""
        grid = self.grid
        return {
            "product": self.product,
            "quantity": {"quantity": self.quantity.name, "undetect": self.quantity.undetect},
            "grid": [grid.name, grid.wkt2, list(grid.transform)[:6], grid.width, grid.height],
            "cleaned": self.cleaned,
            "synthetic": self.synthetic,
            "recipe": self.recipe,
            "series_times": self.series_times,
        }


def shape_from_json(kept: Mapping[str, Any]) -> Shape:
    """Return what `Shape.as_json` wrote."""
    name, wkt2, transform, width, height = kept["grid"]
    return Shape(
        product=kept["product"],
        quantity=quantity_of(kept["quantity"]),
        grid=Grid(name, wkt2, Affine(*transform), width, height),
        cleaned=kept["cleaned"],
        synthetic=kept["synthetic"],
        recipe=kept["recipe"],
        series_times=kept["series_times"],
    )


def shape_for(frame: Frame, recipe: dict[str, Any]) -> Shape:
    """Return the shape of a cube of frames like this one."""
    return Shape(frame.product, frame.quantity, frame.grid, frame.cleaned, frame.header.synthetic, recipe, SERIES_TIMES)


def _round_up(cells: int) -> int:
    return -(-cells // SERIES_SIDE) * SERIES_SIDE


def _grid_text(grid: Grid) -> str:
    t = grid.transform
    return f"{grid.width} x {grid.height} cells of {t.a:g} from {t.c:g}, {t.f:g}, {grid.crs.name}"


# Staged frames.


@dataclass(frozen=True, slots=True)
class Staged:
    """A frame that waits to become part of a cube."""

    time: datetime
    """UTC."""
    rank: Rank
    stem: str
    """Path of its files without suffix."""


def _stem(folder: Place, time: datetime, rank: Rank, check: int) -> Place:
    """Return the path of a frame's staged files, without suffix."""
    utc = time.astimezone(UTC)
    stations, created, crc32 = rank
    return folder / f"{utc:%Y%m%d}/{utc:%Y%m%d%H%M}.{stations}.{created}.{crc32:08x}.{check:08x}"


def stage(frame: Frame, rank: Rank, folder: Place, shape: Shape, layouts: Sequence[Layout]) -> None:
    """Write a frame beside the cube, packed for its layouts.

    The disk is not waited for: the name tells the CRC-32 of the files, see `remove_damaged`.
    """
    files: dict[Layout, list[bytes]] = {}
    packer = zstandard.ZstdCompressor(level=_LEVEL)
    cells = np.ascontiguousarray(frame.raw, "<i2")
    if "series" in layouts:
        packed = [packer.compress(cells[rows].tobytes()) for rows in shape.bands]
        ends = np.cumsum([8 * (len(packed) + 1), *map(len, packed)]).astype("<i8")
        files["series"] = [ends.tobytes(), *packed]
    if "map" in layouts:
        files["map"] = [packer.compress(cells.tobytes())]
    stem = _stem(folder, frame.time, rank, _check(data for layout in _LAYOUTS for data in files.get(layout, ())))
    for layout, data in files.items():
        write_file(staged_file(str(stem), layout), *data, sync=False)


_LAYOUTS: tuple[Layout, ...] = ("series", "map")


def _check(files: Iterable[bytes]) -> int:
    check = 0
    for data in files:
        check = zlib_ng.crc32(data, check)
    return check


def remove_damaged(folder: Path, layouts: Sequence[Layout]) -> None:
    """Remove staged frames whose files are not as they were written: a power cut leaves such, empty or torn."""
    for one in list(staged_frames(folder, layouts)):
        files = [Path(f"{one.stem}.{layout}") for layout in _LAYOUTS if layout in layouts]
        if f"{_check(map(_bytes, files)):08x}" != one.stem.rpartition(".")[2]:
            for file in files:
                remove_file(file)


def staged_file(stem: str, layout: Layout) -> Place:
    """Return the file of a layout of a staged frame."""
    return place(f"{stem}.{layout}")


def staged_frames(folder: Place, layouts: Sequence[Layout]) -> Iterator[Staged]:
    """Yield the frames that are staged for all of the layouts.

    Raises:
        WriteError: The bucket cannot be listed.
    """
    if isinstance(folder, RemotePath):
        try:
            there = {str(path) for path in folder.below()}
        except OSError as error:
            raise refused(str(folder), error, "listed") from error
    else:
        there = {str(path) for path in folder.glob("*/*")}
    for path in sorted(there):
        stem, _, suffix = path.rpartition(".")
        match = _STAGED.fullmatch(stem.rpartition(_SLASH[isinstance(folder, RemotePath)])[2])
        if suffix == layouts[0] and match and all(f"{stem}.{layout}" in there for layout in layouts):
            time = datetime.strptime(match[1], "%Y%m%d%H%M").replace(tzinfo=UTC)
            yield Staged(time, Rank(int(match[2]), int(match[3]), int(match[4], 16)), stem)


_SLASH = (os.sep, "/")
_STAGED = re.compile(r"(\d{12})\.(\d+)\.(\d+)\.([0-9a-f]{8})\.[0-9a-f]{8}")


def read_map(stem: str, shape: Shape) -> NDArray[np.int16]:
    """Return the cells of a frame that was staged for the layout map."""
    data = zstandard.ZstdDecompressor().decompress(_bytes(Path(f"{stem}.map")))
    return np.frombuffer(data, "<i2").reshape(shape.grid.height, shape.grid.width)


def read_band(stem: str, shape: Shape, band: int) -> NDArray[np.int16]:
    """Return the rows of a band of a frame that was staged for the layout series."""
    with Path(f"{stem}.series").open("rb") as file:
        file.seek(8 * band)
        start, end = np.frombuffer(file.read(16), "<i8")
        file.seek(int(start))
        data = zstandard.ZstdDecompressor().decompress(file.read(int(end - start)))
    return np.frombuffer(data, "<i2").reshape(-1, shape.grid.width)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WriteError(str(path), f"was staged and cannot be read: {error.strerror or error}") from error
