"""The series: sources in, a table of rain by time and place out."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hsrgeo.cube.places import Points, Polygons
from hsrgeo.cube.sampling import COVERAGE, MAX, MEAN, WET, Sampler
from hsrgeo.cube.weights import Weights, load_weights
from hsrgeo.engine.axis import product_guard, refuse_outputs, slots
from hsrgeo.engine.memory import keep_freed_memory
from hsrgeo.engine.options import count_workers
from hsrgeo.engine.outcome import Outcome, Status, of_found
from hsrgeo.engine.parallel import run_parallel
from hsrgeo.engine.scratch import scratch_folder
from hsrgeo.engine.series_options import Content, SeriesOptions
from hsrgeo.errors import FrameError, HsrGeoError, OptionsError
from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.times import utc_text
from hsrgeo.products.rain import Law
from hsrgeo.products.rates import rate_table, stored_table
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.scan import scan
from hsrgeo.writers.table import check_table, write_table

_BATCH = 8
_SECONDS_AN_HOUR = 3600
_WHOLE = 1 - 1e-9
_TOLD = 10


class Series(Iterator[Outcome]):
    """A run: iterate it to make it happen; the table is written in one step when the last frame is done.

    Args:
        sources: Files, folders, globs and archives.
        out: The table, ``.csv`` or ``.parquet``; what is there already is replaced.
        options: Which places, and how.

    Raises:
        OptionsError: A place outside the grid; frames of several products; a source or table of another kind.
        SourceError: A source does not exist.
        MissingExtraError: The table needs an extra that is not installed.
    """

    def __init__(self, sources: Sequence[str | Path], out: Path, options: SeriesOptions) -> None:
        check_table(out)
        refuse_outputs(sources)
        self.tally = Tally()
        """What went by while the sources were read."""
        self.counts: Counter[Status] = Counter()
        """Frames by status, so far."""
        self.notes: list[str] = list(options.places.notes) if isinstance(options.places, Polygons) else []
        """What a user should know; complete when the run is over."""
        self.times = 0
        """Times in the table."""
        self.missing = 0
        """Times in the table that have no frame."""
        self._options = options
        self._out = out
        self._kept: dict[datetime, tuple[tuple[int, str, int, str, str], int]] = {}  # time -> rank, place in the spool
        found = product_guard(scan(sources, options.selection, self.tally))
        self._outcomes = self._run(found)

    def __next__(self) -> Outcome:
        outcome = next(self._outcomes)
        self.counts[outcome.status] += 1
        return outcome

    def close(self) -> None:
        """End the run early; no table is written."""
        self._outcomes.close()

    def _run(self, found: Iterator[Found]) -> Generator[Outcome]:
        options = self._options
        with scratch_folder() as folder, closing(_closable(found)) as listed:
            first, grid = None, None
            for one in listed:
                try:
                    grid = _decoded(one, options.block).grid
                except HsrGeoError as error:
                    yield of_found(one, "failed", error=error)
                    continue
                first = one
                break
            if first is None or grid is None:
                return
            weights = options.weights(grid)
            self._check(weights, grid)
            kept = folder / "weights.npz"
            weights.save(kept)
            task = partial(_work, job=_Job(kept, grid, options.quantity, options.law, options.block, options.wet_from))
            batches = _batches(chain([first], listed))
            with (
                (folder / "spool").open("w+b") as spool,
                closing(run_parallel(task, batches, count_workers(options.jobs))) as results,
            ):
                for batch in results:
                    for outcome, numbers in batch:
                        yield self._settle(outcome, numbers, spool)
                if not self._kept:
                    return
                write_table(
                    self._out, options.places.names, options.columns, self._rows(spool, weights.areas_m2, len(weights))
                )

    def _check(self, weights: Weights, grid: Grid) -> None:
        """Refuse places outside, and note those that reach outside."""
        kind = "polygon" if isinstance(self._options.places, Polygons) else "point"
        within = weights.within
        names = self._options.places.names
        if outside := [name for name, share in zip(names, within, strict=True) if share == 0]:
            raise OptionsError(f"{_listed(kind, outside)} wholly outside the grid {grid.name}")
        if partly := [name for name, share in zip(names, within, strict=True) if share < _WHOLE]:
            self.notes.append(f"{_listed(kind, partly)} partly outside {grid.name}; that part counts as not observed")

    def _settle(self, outcome: Outcome, numbers: NDArray[np.float64] | None, spool: BinaryIO) -> Outcome:
        """Keep the numbers of the best frame of a time, on disk: ten years of a hundred basins are gigabytes."""
        if numbers is None or outcome.told is None:
            return outcome
        moment = outcome.told.time
        rank, offset = self._kept.get(moment, (None, -1))
        if rank is not None and rank >= outcome.rank:
            return dataclasses.replace(outcome, status="duplicate")
        if rank is None:
            offset = spool.seek(0, 2)
        else:  # it takes the other's place
            self.counts["ok"] -= 1
            self.counts["duplicate"] += 1
        spool.seek(offset)
        spool.write(numbers.tobytes())
        self._kept[moment] = outcome.rank, offset
        return outcome

    def _rows(
        self, spool: BinaryIO, areas_m2: NDArray[np.float64], places: int
    ) -> Iterator[tuple[datetime, NDArray[np.float64]]]:
        options = self._options
        hours = options.step.total_seconds() / _SECONDS_AN_HOUR
        nothing = np.full((places, 4), np.nan)
        nothing[:, COVERAGE] = 0
        for moment in slots(self._kept, options.start, options.end, options.step):
            numbers = nothing
            self.times += 1
            if moment in self._kept:
                spool.seek(self._kept[moment][1])
                numbers = np.frombuffer(spool.read(nothing.nbytes), np.float64).reshape(nothing.shape)
            else:
                self.missing += 1
            if isinstance(options.places, Points):
                yield moment, numbers[:, [MEAN, COVERAGE]]
                continue
            # 1 mm on 1 m2 is a litre. Of the observed part: what fell elsewhere nobody knows.
            volume = numbers[:, MEAN] * hours / 1000 * areas_m2 * numbers[:, COVERAGE]
            yield moment, np.column_stack([numbers[:, [MEAN, MAX]], volume, numbers[:, [WET, COVERAGE]]])


def series(sources: str | Path | Sequence[str | Path], out: str | Path, options: SeriesOptions) -> Series:
    """Write the series of every place over the frames of the sources; iterate the result to make it happen.

    The table has a row for each time and place: every step of the axis from the first to the last time, also where
    there is no frame (no number, coverage 0), and any other time of a frame. Of several frames of one time the better
    one counts, as in an export.

    Columns of polygons: ``mean_mm_h`` by exact area and ``max_mm_h`` of the observed part; ``volume_m3``, the rain
    that fell on the observed part in one step: mean x area on the ground x coverage x step; ``wet_fraction`` of the
    observed part; ``coverage``, the share of the whole area that was observed. Of points: ``rain_mm_h`` or
    ``reflectivity_dbz`` (-inf where no echo) and ``coverage``.

    Args:
        sources: A file, folder, glob or archive, or several.
        out: The table, ``.csv`` or ``.parquet``.
        options: Which places, and how.

    Returns:
        An iterator over the outcome of each frame. A broken frame is an outcome, not an exception.

    Raises:
        OptionsError, SourceError, MissingExtraError: See `Series`.
    """
    listed = [sources] if isinstance(sources, (str, Path)) else list(sources)
    return Series(listed, Path(out), options)


@dataclass(frozen=True, slots=True)
class _Job:
    """What a worker needs to know; the weights are in a file, and read once a process."""

    weights: Path
    grid: Grid
    quantity: Content
    law: Law
    block: int
    wet_from: float


def _work(batch: Sequence[Found], job: _Job) -> list[tuple[Outcome, NDArray[np.float64] | None]]:
    keep_freed_memory()
    return [_sampled(found, job) for found in batch]


def _sampled(found: Found, job: _Job) -> tuple[Outcome, NDArray[np.float64] | None]:
    begun = time.perf_counter()
    outcome = of_found(found, "ok")
    try:
        frame = _decoded(found, job.block)
        if frame.grid != job.grid:
            expected, other = (f"{grid.width} x {grid.height} of {grid.name}" for grid in (job.grid, frame.grid))
            raise FrameError("another grid", f"{expected}, as the first frame", other, found.source, found.member)  # noqa: TRY301
        table = _table(frame, job, found)
        numbers = _sampler(job.weights, job.grid.width).sample(frame.stored, frame.quantity, table, job.wet_from)
        outcome = dataclasses.replace(
            outcome,
            stations=frame.header.station_count,
            created=utc_text(frame.header.created) if frame.header.created else "",
            crc32=frame.crc32,
        )
    except HsrGeoError as error:
        return dataclasses.replace(outcome, status="failed", error=error), None
    except Exception as error:
        error.add_note(f"while reading {outcome.label}")
        raise
    return dataclasses.replace(outcome, seconds=time.perf_counter() - begun), numbers


def _table(frame: Frame, job: _Job, found: Found) -> NDArray[np.float64]:
    if job.quantity == "reflectivity":
        if frame.quantity.name != "reflectivity":
            raise FrameError("no reflectivity", "reflectivity", frame.quantity.name, found.source, found.member)
        return stored_table(frame.quantity)
    try:
        return rate_table(frame.quantity, job.law)
    except FrameError as error:
        raise error.at(found.source, found.member) from None


@lru_cache(maxsize=2)
def _sampler(weights: Path, width: int) -> Sampler:
    return Sampler(load_weights(weights), width)


def _decoded(found: Found, block: int) -> Frame:
    if found.error is not None:
        raise found.error
    return decode(found.read(), found.source, member=found.member, block=block)


def _closable(found: Iterator[Found]) -> Generator[Found]:
    # joblib keeps the iterator that it was given, and with it an open archive, when it is closed early.
    yield from found


def _batches(found: Iterator[Found]) -> Iterator[list[Found]]:
    while batch := list(islice(found, _BATCH)):
        yield batch


def _listed(kind: str, names: Sequence[str]) -> str:
    told = ", ".join(repr(name) for name in names[:_TOLD])
    more = f" and {len(names) - _TOLD:,} more" if len(names) > _TOLD else ""
    return f"{kind} {told}{more} lies" if len(names) == 1 else f"{kind}s {told}{more} lie"
