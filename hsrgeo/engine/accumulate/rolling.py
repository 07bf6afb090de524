"""Rolling maxima of an accumulation: frames on a shelf, then tile by tile the highest window of each length.

Frames come in any order, and windows need them in order of time; a day of the whole grid is 3.8 GB. So the frames'
values wait in one scratch file, packed tile by tile, about as large as the archive; when all are in, each tile goes
through all of its steps by itself. Memory holds the longest window of a few tiles, however long the run is, and three
numbers a cell for each length of window: 80 MB a length for the whole 500 m grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import zstandard
from numpy.typing import NDArray

from hsrgeo.engine.accumulate.sums import described, sum_tags, write_sum
from hsrgeo.engine.periods import Period, fewest_of
from hsrgeo.engine.workers.parallel import ahead
from hsrgeo.errors import FrameError, refused
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.squares import BLOCK_SIDE, block_extremes
from hsrgeo.model.times import KST, kst_text, length_text, utc_text
from hsrgeo.products.rain import Law, law_text
from hsrgeo.products.rolling import Highest, Piece, rolling_highest
from hsrgeo.products.sums import depth_unit_mm, sum_table
from hsrgeo.sources.remote import Place
from hsrgeo.writers.sum_cog import DEPTH_STEP_MM, NODATA, Band, encode_bands

_HOUR = timedelta(hours=1)
_MOST_TILES = 4  # at the same time; a day of one is 38 MB


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A frame on the shelf: where each of its tiles lies."""

    places: NDArray[np.int64]
    """Offset of its bytes; of a tile of one value, that value."""
    sizes: NDArray[np.int64]
    """Bytes; 0 for a tile of one value."""


class Shelf:
    """The frames of one area, tile by tile in one file.

    Args:
        path: The file; made, and not removed.
        grid: Of the area.
    """

    def __init__(self, path: Path, grid: Grid) -> None:
        self.grid = grid
        self.used = 0
        """Frames on the shelf."""
        self._path = path
        self._kept: dict[datetime, _Kept] = {}
        self._end = 0
        rows, cols = grid.height, grid.width
        self.tiles = [
            (slice(top, min(top + BLOCK_SIDE, rows)), slice(left, min(left + BLOCK_SIDE, cols)))
            for top in range(0, rows, BLOCK_SIDE)
            for left in range(0, cols, BLOCK_SIDE)
        ]
        """Rows and columns of each."""

    def put(self, time: datetime, stored: NDArray[np.int16]) -> None:
        """Put a frame onto the shelf; nothing of it is kept in memory.

        Raises:
            WriteError: The scratch disk refused.
        """
        lows, highs = (extremes.ravel() for extremes in block_extremes(stored))
        places, sizes = lows.astype(np.int64), np.zeros(len(self.tiles), np.int64)
        packer = zstandard.ZstdCompressor(level=1)
        try:
            with self._path.open("ab") as file:
                for number in np.flatnonzero(lows != highs).tolist():
                    data = packer.compress(np.ascontiguousarray(stored[self.tiles[number]]).tobytes())
                    places[number], sizes[number] = self._end, len(data)
                    self._end += file.write(data)
        except OSError as error:
            raise refused(str(self._path), error) from error
        self._kept[time] = _Kept(places, sizes)
        self.used += 1

    def whole(self, time: datetime) -> NDArray[np.int16] | None:
        """Return the frame of a time, shape (rows, columns); None where there is none."""
        kept = self._kept.get(time)
        if kept is None:
            return None
        made = np.empty((self.grid.height, self.grid.width), np.int16)
        unpacker = zstandard.ZstdDecompressor()
        self._path.touch()  # see `pieces`
        with self._path.open("rb") as file:
            for number, tile in enumerate(self.tiles):
                made[tile] = self._piece(file, unpacker, kept, number)
        return made

    def pieces(self, number: int, span: Period) -> Iterator[Piece | None]:
        """Yield what each step of a time span has of one tile."""
        unpacker = zstandard.ZstdDecompressor()
        self._path.touch()  # nothing may ever have been written, where all tiles have one value
        with self._path.open("rb") as file:
            for step in range(span.expected):
                kept = self._kept.get(span.start + step * span.step)
                yield None if kept is None else self._piece(file, unpacker, kept, number)

    def _piece(self, file: BinaryIO, unpacker: zstandard.ZstdDecompressor, kept: _Kept, number: int) -> Piece:
        if not kept.sizes[number]:
            return int(kept.places[number])
        rows, cols = self.tiles[number]
        file.seek(int(kept.places[number]))
        data = unpacker.decompress(file.read(int(kept.sizes[number])))
        return np.frombuffer(data, np.int16).reshape(rows.stop - rows.start, cols.stop - cols.start)


class RollingRun:
    """The rolling maxima of a run, for all of its areas.

    Args:
        folder: For what is put aside.
        span: From the first step to the last.
        lengths: Of windows.
        law: How rain follows from reflectivity.
        min_coverage: Share of a window's frames that a cell must be observed in.
    """

    def __init__(self, folder: Path, span: Period, lengths: Sequence[timedelta], law: Law, min_coverage: float) -> None:
        self.span = span
        self.lengths = [length for length in lengths if length // span.step <= span.expected]
        self.notes = [
            f"no window of {length_text(length)} lies within the run, which is {span.end - span.start} long: no file"
            for length in lengths
            if length not in self.lengths
        ]
        """What a user should know."""
        self._folder = folder
        self._law = law
        self._min_coverage = min_coverage
        self._shelves: dict[int, Shelf] = {}
        self._quantity: Quantity | None = None

    def check(self, frame: Frame) -> None:
        """Refuse a frame of another quantity than the others.

        Raises:
            FrameError: It is.
        """
        if self._quantity is not None and frame.quantity != self._quantity:
            expected = f"{self._quantity.name}, as the first frame"
            raise FrameError("another quantity", expected, frame.quantity.name, frame.name)

    def put(self, number: int, grid: Grid, frame: Frame, stored: NDArray[np.int16]) -> None:
        """Take in the part of a frame that lies in an area.

        `grid` is that of the area, and `stored` are the values there; the frame is on the grid of all frames.

        Raises:
            WriteError: The scratch disk refused.
        """
        self._quantity = frame.quantity
        if self.lengths:
            if number not in self._shelves:
                self._shelves[number] = Shelf(self._folder / f"frames_{number}", grid)
            self._shelves[number].put(frame.time, stored)

    def write(
        self, number: int, out: Place, region: str, frame: Frame, pool: ThreadPoolExecutor
    ) -> Iterator[tuple[Place, bool]]:
        """Write a COG for each length of window of an area, and yield its path, and whether any cell is known.

        `frame` is one of the frames, with the area's grid and window.
        """
        shelf = self._shelves.get(number)
        if shelf is None or self._quantity is None:
            return
        steps = [length // self.span.step for length in self.lengths]
        fewest = [fewest_of(self._min_coverage, count) for count in steps]
        step_h = self.span.step / _HOUR
        unit_mm = depth_unit_mm(max(steps) + 1, step_h)  # a step comes before another goes
        table = sum_table(self._quantity, self._law, step_h, unit_mm)
        results = [np.empty((3, shelf.grid.height, shelf.grid.width), np.int32) for _count in steps]
        work = partial(_worked, shelf, self.span, table, list(zip(steps, fewest, strict=True)))
        for tile, made in enumerate(ahead(pool, work, range(len(shelf.tiles)), _MOST_TILES - 1)):
            for result, highest in zip(results, made, strict=True):
                _settle(result, shelf.tiles[tile], highest, round(DEPTH_STEP_MM / unit_mm), self.span.step)
        law = law_text(frame.quantity, dict(frame.derived).get("RAIN_LAW"), self._law)
        for length, result in zip(self.lengths, results, strict=True):
            tags = rolling_tags(self.span, length, shelf.used, frame, law, self._min_coverage)
            bands = (
                Band("rain_depth_max", result[0], DEPTH_STEP_MM, "mm"),
                Band("end_minutes", result[1], unit="min"),
                Band("windows", result[2]),
            )
            path = out / rolling_path(self.span, length, region)
            write_sum(path, encode_bands(shelf.grid, bands, tags, utc_text(self.span.start)), length)
            yield path, bool((result[0] != NODATA).any())


def rolling_path(span: Period, length: timedelta, region: str) -> str:
    """Return the path of a file of rolling maxima below OUT; times are KST."""
    start, end = (f"{time.astimezone(KST):%Y%m%d%H%M}" for time in (span.start, span.end))
    name = f"rain_max_{length_text(length)}_{start}_{end}.tif"
    return f"{region}/{name}" if region else name


def rolling_tags(
    span: Period, length: timedelta, used: int, frame: Frame, law: str, min_coverage: float
) -> dict[str, str]:
    """Return the tags of a file of rolling maxima, see `hsrgeo.engine.accumulate.sums.sum_tags`."""
    name, minutes = length_text(length), span.step // timedelta(minutes=1)
    made_up = "SYNTHETIC " if frame.header.synthetic else ""
    return {
        **sum_tags(span, used, frame, law, min_coverage),
        "TIFFTAG_IMAGEDESCRIPTION": described(
            f"{made_up}KMA {frame.product} composites, highest rain depth in {name} (mm)", span
        ),
        "QUANTITY": "rain_depth_max",
        "DURATION": name,
        "DURATION_MINUTES": str(length // timedelta(minutes=1)),
        "WINDOWS_EXPECTED": str(span.expected - length // span.step + 1),
        "END_MINUTES_SINCE_UTC": utc_text(span.start),
        "END_MINUTES_SINCE_KST": kst_text(span.start),
        "SUM_RULE": f"rate x {minutes} min over the frames of each window of {name} that lies within start and end; "
        "gaps are not filled; of windows of the same depth the first",
    }


def _worked(
    shelf: Shelf, span: Period, table: NDArray[np.uint64], lengths: Sequence[tuple[int, int]], number: int
) -> list[Highest]:
    rows, cols = shelf.tiles[number]
    shape = rows.stop - rows.start, cols.stop - cols.start
    return rolling_highest(shelf.pieces(number, span), table, shape, lengths)


def _settle(
    result: NDArray[np.int32], tile: tuple[slice, slice], highest: Highest, units: int, step: timedelta
) -> None:
    known = highest.depth >= 0
    result[0][tile] = np.where(known, (highest.depth + units // 2) // units, NODATA)
    result[1][tile] = np.where(known, highest.end * (step // timedelta(minutes=1)), NODATA)
    result[2][tile] = highest.windows
