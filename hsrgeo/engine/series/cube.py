"""The numbers of a series from a cube: only the chunks that hold places are read, each once, all of its times at once.

Chunks are read and summed up by threads: reading, unpacking and summing up leave Python's lock alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.cube.opened import OpenCube, opened_cube
from hsrgeo.engine.series.reader import OutputReader, Sampled, table_for
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.engine.workers.parallel import ahead
from hsrgeo.errors import HsrGeoError, OptionsError, SourceError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.times import utc_text
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.places.gather import Piece, gather, pieces_of
from hsrgeo.places.sampling import Sampler
from hsrgeo.places.weights import Weights
from hsrgeo.sources.remote import Place, RemotePath

_CELL_BYTES = 2
_MOST_BYTES = 64 << 20
# ^ of values that a thread gathers, and of a window that it reads: memory is bounded by this, times the threads
_MAPS = 16  # times that a thread takes on at once where each is a chunk


@dataclass(frozen=True, eq=False)
class _Group:
    """Places that are worked on together, and the windows that hold them."""

    cells: int
    """Of all these places."""
    pieces: list[Piece]
    sampler: Sampler


Task = tuple[Sequence[int], _Group]
"""Which times of the cube, increasing, of one chunk of times; and which places."""


class CubeReader(OutputReader):
    """Reads a cube.

    Args:
        source: ``.zarr``, which may be in a bucket, or ``.nc``; the layout series is read where it is there.
        options: Which places and times.

    Raises:
        OptionsError: A region; another product than the cube holds; rain where dBZ are wanted, or a law for it.
        SourceError: It is not there; while reading, that it cannot be opened, or is not a cube made by hsrgeo.
        MissingExtraError: A library of the extra ``cube`` is not installed.
    """

    def __init__(self, source: Place, options: SeriesOptions) -> None:
        super().__init__(source, options)
        if options.region:
            raise OptionsError("region is for an exported folder that has several; a cube has one area")
        if not isinstance(source, RemotePath) and not os.path.exists(source):  # noqa: PTH110 - as in hsrgeo.cube.source_types
            raise SourceError(str(source), "no such file or folder")

    def read(self, folder: Path) -> Generator[Sampled]:
        """Yield the numbers of each time, see `Reader.read`; nothing is put aside."""
        del folder
        options = self.options
        with opened_cube(self.source, _LIKED) as cube:
            self._check(cube)
            frame_names = dict(cube.wanted(options.selection, self.tally))
            wanted = list(frame_names)
            self.tally.total_bytes = len(wanted)  # for progress only: times are as good a measure
            if not wanted:
                return
            groups = _groups(self.place(cube.grid), cube)
            blocks = list(_blocks(wanted, cube, max(group.cells for group in groups)))
            workers = count_workers(options.jobs)
            work = partial(_work, cube=cube, options=options)
            tasks = ((block, group) for block in blocks for group in groups)
            with ThreadPoolExecutor(workers) as pool, closing(ahead(pool, work, tasks, workers)) as parts:
                for block in blocks:
                    begun = time.perf_counter()
                    of_block = [next(parts) for _group in groups]
                    each_s = (time.perf_counter() - begun) / len(block)
                    yield from self._settled(of_block, [frame_names[number] for number in block], each_s)
                    self.tally.read_bytes += len(block)

    def _check(self, cube: OpenCube) -> None:
        """Take over what the cube tells of itself, and refuse what it does not hold."""
        selection = self.options.selection
        cube.refuse_product(selection)
        self.check_held(cube.quantity, cube.grid, cube.law)
        self.step = self.options.every or cube.step
        if cube.min_wet:
            self.notes.append(
                f"{self.source} has wet frames only (min_wet {cube.min_wet:g}): the others have no numbers"
            )
        self.missing += [one for one in cube.missing if selection.wants(FrameName(cube.product, "", one))]

    def _settled(
        self, parts: Sequence[NDArray[np.float64] | HsrGeoError], frame_names: Sequence[FrameName], seconds: float
    ) -> Iterator[Sampled]:
        """Put the numbers of all groups together, time by time; where one cannot be read, none is known."""
        errors = [part for part in parts if isinstance(part, HsrGeoError)]
        if errors:
            self.missing += [one.time for one in frame_names]
            for one in frame_names:
                yield Outcome(str(self.source), utc_text(one.time), one, "failed", error=errors[0]), None
            return
        numbers = np.concatenate([part for part in parts if not isinstance(part, HsrGeoError)], axis=1)
        for one, of_time in zip(frame_names, numbers, strict=True):
            yield Outcome(str(self.source), utc_text(one.time), one, "ok", seconds=seconds), of_time


_LIKED = ("series", "map")


def _groups(weights: Weights, cube: OpenCube) -> list[_Group]:
    """Return the places in groups that are small enough to gather all times of a chunk at once."""
    most = _MOST_BYTES // (_CELL_BYTES * cube.chunk[0])
    bounds = [0]
    for number in range(1, len(weights)):
        if weights.starts[number + 1] - weights.starts[bounds[-1]] > most:
            bounds.append(number)
    parts = [weights.part(slice(*pair)) for pair in zip(bounds, [*bounds[1:], len(weights)], strict=True)]
    width = cube.grid.width
    return [
        _Group(len(part.cells), pieces_of(part.cells, width, cube.chunk[1:]), Sampler(part, width)) for part in parts
    ]


def _blocks(wanted: Sequence[int], cube: OpenCube, cells: int) -> Iterator[Sequence[int]]:
    """Yield the wanted times chunk by chunk, fewer at once where a place alone has too many cells."""
    per_chunk = cube.chunk[0] if cube.chunk[0] > 1 or cube.layout == "reference" else _MAPS  # a frame fails alone
    most = max(_MOST_BYTES // (_CELL_BYTES * max(cells, 1)), 1)
    for _chunk, numbers in groupby(wanted, lambda number: number // per_chunk):
        listed = list(numbers)
        yield from (listed[at : at + most] for at in range(0, len(listed), most))


def _work(task: Task, cube: OpenCube, options: SeriesOptions) -> NDArray[np.float64] | HsrGeoError:
    """Return the numbers of some places at some times, shape (times, places, 4), or why there are none.

    Runs in a thread.
    """
    numbers, group = task
    try:
        codes = gather(group.pieces, partial(_values, cube, numbers), len(numbers))
        factors, times = options.factors, [cube.times[number] for number in numbers]
        parts: list[NDArray[np.float64]] = []
        at = 0
        for _factor, same in groupby(times, lambda moment: 1.0 if factors is None else factors.value(moment)):
            end = at + len(list(same))
            table = table_for(cube.quantity, options, times[at])
            parts.append(group.sampler.sample_cells(codes[at:end], cube.quantity, table, options.wet_from))
            at = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
    except HsrGeoError as error:
        return error


def _values(cube: OpenCube, numbers: Sequence[int], piece: Piece) -> NDArray[np.int16]:
    """Return a window at some times, shape (times, rows, columns); as many times at once as memory allows."""
    most = max(_MOST_BYTES // (_CELL_BYTES * piece.size), 1) if cube.chunk[0] > 1 else 1
    first, end = numbers[0], numbers[-1] + 1
    if end - first > most and len(numbers) > 1:
        half = len(numbers) // 2
        return np.concatenate([_values(cube, part, piece) for part in (numbers[:half], numbers[half:])])
    values = cube.read(slice(first, end), piece.rows, piece.cols)
    return values if len(values) == len(numbers) else values[np.subtract(numbers, first)]
