"""Frames in, rows out: what `hsrgeo sample` and `hsrgeo objects` have in common.

Rows wait in a file until the last frame is done. Then those of the best frame of each time are written, in order of
time: memory is bounded by a frame.
"""

from __future__ import annotations

import dataclasses
import time as clock
from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrgeo.cube.reference import SUFFIXES
from hsrgeo.engine.areas import check_areas
from hsrgeo.engine.axis import type_of_sources
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.lazy import Run, with_twins
from hsrgeo.engine.one_product import Best, product_guard
from hsrgeo.engine.workers.parallel import ahead
from hsrgeo.engine.workers.scratch import scratch_folder
from hsrgeo.errors import HsrGeoError, OptionsError
from hsrgeo.model.file_blocks import ALL
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import Quantity
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.outcome import Outcome, of_found, with_header
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found, Tally, reading
from hsrgeo.sources.remote import Place
from hsrgeo.sources.scan import scan
from hsrgeo.writers.rows import Rows, check_rows, write_rows

Made = tuple[NDArray[np.float64], Sequence[bytes]]
"""Numbers, shape (rows, columns), and the shape of each row, see `Rows`."""
_Result = tuple[Outcome, Quantity | None, list[tuple[datetime, str, Made]]]
"""What came of a frame: its quantity and rows too, where it is sound."""
_GROUP_ROWS = 1 << 16
_UNITS = {"mm/h": "mm_h", "": "value"}


def unit_word(quantity: Quantity) -> str:
    """Return the unit of a quantity as the name of a column has it; ``value`` where it has none."""
    return _UNITS.get(quantity.unit, quantity.unit.lower())


class _Place(NamedTuple):
    """Where the rows of a part of a frame wait."""

    time: datetime
    region: str
    start: int
    """Offset in the file."""
    rows: int
    lengths: tuple[int, ...]
    """Bytes of each shape."""


def _put(file: BinaryIO, time: datetime, region: str, made: Made) -> _Place:
    numbers, shapes = made
    place = _Place(time, region, file.tell(), len(numbers), tuple(map(len, shapes)))
    file.write(numbers.tobytes() + b"".join(shapes))
    return place


class RowsRun(Run):
    """A run: iterate it to make it happen; the table is written in one step when the last frame is done.

    Args:
        sources: Files, folders, globs and archives.
        out: The table; what is there already is replaced.
        frames: Which frames, and what is made of each: area, mask, rain, projection.

    Raises:
        OptionsError: Areas outside every grid; frames of several products; a source or table of another kind.
        SourceError: A source does not exist.
        MissingExtraError: A library is not installed.
    """

    shape = "Point"
    """Of a row in a GeoPackage."""

    def __init__(self, sources: Sequence[str | Path], out: Place, frames: ExportOptions) -> None:
        check_rows(out)
        super().__init__(Tally())
        if frames.block == ALL:
            raise OptionsError("block all: a table has one value; choose a block")
        if (source_type := type_of_sources(sources)) != "frames":
            word = "a reference" if str(sources[0]).lower().endswith(SUFFIXES) else "a cube"
            found = "the output of an export" if source_type == "export" else word
            raise OptionsError(f"{sources[0]}: is {found}; give the frames or archives it was made of")
        self.rows = 0
        """Rows of the table; known at the end."""
        self._out, self._frames = out, frames
        self._columns: tuple[str, ...] = ()
        self.notes += [*frames.notes, *check_areas(frames.recipe)]
        self._items = self._run(sources)

    @abstractmethod
    def columns(self, quantity: Quantity) -> tuple[str, ...]:
        """Return the names of the numbers."""

    @abstractmethod
    def made(self, part: Frame) -> Made:
        """Return the rows of a part of a frame; called in threads."""

    def _run(self, sources: Sequence[str | Path]) -> Generator[Outcome]:
        workers = self._frames.workers

        def work(found: Iterator[Found]) -> Generator[_Result]:
            return ahead(pool, self._work, found, workers)

        best, index = Best(self.counts), dict[datetime, list[_Place]]()
        with (
            locked(self._out) as lock,
            scratch_folder() as folder,
            (folder / "rows").open("w+b") as file,
            ThreadPoolExecutor(workers) as pool,
            reading(product_guard(scan(sources, self._frames.selection, self.tally))) as found,
            closing(with_twins(work, found, self._frames.selection, self.tally)) as results,
        ):
            for outcome, quantity, parts in results:
                outcome = best.settle(outcome, quantity)  # noqa: PLW2901
                if outcome.status == "ok" and outcome.frame_name is not None:
                    index[outcome.frame_name.time] = [_put(file, *part) for part in parts]
                yield outcome
            lock.check()
            places = [place for _time, places in sorted(index.items()) for place in places]
            self.rows = sum(place.rows for place in places)
            if places and best.quantity is not None:
                self._columns = self.columns(best.quantity)
                regions = len(self._frames.recipe.cuts) > 1
                groups = (group for place in places for group in self._read(file, *place))
                self.replaced += self._out.is_file()
                write_rows(self._out, self._columns, groups, regions=regions, shape=self.shape)

    def _read(
        self, file: BinaryIO, time: datetime, region: str, start: int, count: int, lengths: Sequence[int]
    ) -> Iterator[Rows]:
        size = len(self._columns) * np.dtype(np.float64).itemsize
        shapes_at = start + count * size
        for first in range(0, count, _GROUP_ROWS):
            rows = slice(first, min(first + _GROUP_ROWS, count))
            file.seek(start + rows.start * size)
            numbers = np.frombuffer(file.read((rows.stop - rows.start) * size)).reshape(rows.stop - rows.start, -1)
            file.seek(shapes_at)
            yield Rows(time, region, numbers, [file.read(length) for length in lengths[rows]])
            shapes_at = file.tell()

    def _work(self, found: Found) -> _Result:
        """Runs in a thread."""
        begun = clock.perf_counter()
        outcome = of_found(found, "ok", error=found.error)
        recipe = self._frames.recipe
        try:
            frame = decode_found(found, recipe.block, recipe.registration, recipe.window_of)
            outcome = with_header(outcome, frame)
            parts = [(cut.region, recipe.cut_frame(frame, cut)) for cut in recipe.cuts]
            made: list[tuple[datetime, str, Made]] = [(frame.time, region, self.made(part)) for region, part in parts]
        except HsrGeoError as error:
            return dataclasses.replace(outcome, status="failed", error=error), None, []
        return dataclasses.replace(outcome, seconds=clock.perf_counter() - begun), parts[0][1].quantity, made
