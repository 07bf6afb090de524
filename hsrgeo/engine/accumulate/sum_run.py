"""Sums: sources in, a COG of rain depth and of frames used for every period out.

The sources are read twice. First the times and headers, to know which frames a period has and which of two frames of
one time is the better; then the frames. So a period is written and forgotten when its last frame is in, and memory
holds the periods that are open, not the archive.

Frames are unpacked by threads: unpacking and summing up leave Python's lock alone, and sums need not cross processes.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.accumulate.best_frames import Candidates, best_frames
from hsrgeo.engine.accumulate.moving import MovingRun, MovingSum, moving_tags
from hsrgeo.engine.accumulate.rolling import RollingRun, rolling_path
from hsrgeo.engine.accumulate.sources import sum_source
from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.accumulate.sums import STAT_BANDS, OpenSums, sum_tags
from hsrgeo.engine.accumulate.written import Area, notes_on_unknown, write_period
from hsrgeo.engine.areas import asked_window, check_areas
from hsrgeo.engine.axis import SUMS, frame_length_of, refuse_other_outputs
from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.lazy import Run
from hsrgeo.engine.one_product import product_guard
from hsrgeo.engine.periods import Period, period_name, periods_of, starts_between
from hsrgeo.engine.series.reader import other_grid
from hsrgeo.engine.workers.scratch import scratch_folder
from hsrgeo.errors import HsrGeoError, OptionsError
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.times import length_text, on_step
from hsrgeo.model.window import Window
from hsrgeo.outputs.lease import Lock
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.outcome import Outcome, of_found
from hsrgeo.outputs.recipe import Cut
from hsrgeo.products.advection import motion_library
from hsrgeo.products.factors import Factor
from hsrgeo.products.rain import Law, law_text
from hsrgeo.products.sums import RunningMaximum, RunningSum, depth_unit_mm, sum_table, wet_table
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.remote import Place, listed_sources, target

_HOUR = timedelta(hours=1)
_SHOWN = 10
_Writes = deque[Future[tuple[Place, bool]]]  # path, and whether any cell is known


class Accumulation(Run):
    """A run, see `accumulate`: iterate it to make it happen; files are written as soon as their last frame is in.

    Raises:
        OptionsError: Areas outside every grid; frames of several products; a source of another kind.
        SourceError: A source does not exist, or cannot be opened.
        LockError: Another run is writing into the folder.
        MissingExtraError: pysteps is not installed, for `AccumulateOptions.advection`; or a library of the extra
            ``cube``, for a cube.
    """

    def __init__(self, sources: Sequence[str | Path], out: Place, options: AccumulateOptions) -> None:
        refuse_other_outputs(out)
        if options.advection:
            motion_library()
        self._source = sum_source(sources, options)
        super().__init__(Tally())
        self.notes += options.export.notes
        if not self._source.is_output:  # its extent is known when it is read
            self.notes += check_areas(options.export.recipe)
        self.written: list[Place] = []
        """The files, so far."""
        self.empty: list[datetime] = []
        """Starts of the periods without a sound frame, KST; known at the end."""
        self.short = 0
        """Periods with fewer frames than expected, so far."""
        self._out, self._options = out, options
        self._factors = options.factors
        self._found_factors: dict[datetime, list[Factor | None]] = {}  # of the frames of each open period
        self._without_factor = 0
        self._unknown = 0  # files without a valid cell
        self._filled: set[datetime] = set()
        self._grid: Grid | None = None
        self._areas: list[Area] = []
        self._first: Frame | None = None
        self._home: Window | None = None
        surveyed = product_guard(self._source.scan(self.tally))
        self._rolling: RollingRun | None = None
        self._moving: MovingRun | None = None
        self._lock: Lock[Any]
        self._items = self._run(surveyed)

    def _run(self, surveyed: Iterator[Found]) -> Generator[Outcome]:
        with closing(self._source):
            yield from self._summed(surveyed)

    def _summed(self, surveyed: Iterator[Found]) -> Generator[Outcome]:
        times: dict[datetime, Candidates] = {}
        for found in surveyed:
            if found.error is not None or found.frame_name is None:
                yield of_found(found, "failed", error=found.error)
            else:
                times.setdefault(found.frame_name.time, Candidates()).add(found)
        if not times:
            return
        self._settle_length(times)
        options = self._options
        periods = periods_of(times, options.period, options.step, options.start, options.end)
        depth_unit_mm(
            max(period.expected for period in periods.values()), options.step / _HOUR
        )  # refuses too long ones
        workers = options.export.workers
        with (
            locked(self._out / SUMS, self._out) as self._lock,
            scratch_folder() as folder,
            ThreadPoolExecutor(workers) as pool,
        ):
            made = RunningMaximum if options.stat == "max" else RunningSum
            sums, writes = OpenSums(folder, made=made), deque[Future[tuple[Place, bool]]]()
            if options.rolling:
                span = next(iter(periods_of(times, "event", options.step, options.start, options.end).values()))
                self._rolling = RollingRun(folder, span, options.rolling, options.law, options.min_coverage)
                self.notes += self._rolling.notes
            if options.advection:
                self._moving = MovingRun(folder, options.law, self._factors, options.step)
            try:
                yield from self._sum_up(pool, sums, writes, periods, times)
                for period in sorted({*periods.values()}, key=lambda one: one.start) if options.advection else ():
                    self._write(pool, sums, writes, period)
                while writes:
                    self._take(writes.popleft())
            finally:
                for write in writes:
                    write.cancel()
            self._lock.check()
            self._write_rolling(pool)
            self._note_empty(set(periods.values()))
            self.notes += notes_on_unknown(self._unknown, len(self.written), options.min_coverage)
            if self._factors is not None:
                self.notes += self._factors.note(self._without_factor, self.counts["ok"])
        self.written.sort(key=str)

    def _settle_length(self, times: dict[datetime, Candidates]) -> None:
        """Decide how long each frame stands for, and leave out those between whole steps of that.

        Raises:
            OptionsError: See `frame_length_of`; a period of no whole steps; no frame is left.
        """
        length, notes = frame_length_of(times, self._options.frame_step)
        self.notes += notes
        self._options = dataclasses.replace(self._options, frame_step=length)
        for time in [time for time in times if not on_step(time, length)]:
            for found in times.pop(time).found:
                if found.frame_name is not None:
                    self.tally.leave_out(found.frame_name)
        if not times:
            raise OptionsError(f"no frame is on whole {length_text(length)} after midnight KST; see frame_step")

    def _note_empty(self, periods: set[Period]) -> None:
        """Note the periods of the whole range, from `start` to `end`, that have no file."""
        options = self._options
        starts = starts_between(periods, options.period, options.start, options.end)
        self.empty = [start for start in starts if start not in self._filled]
        if self.empty:
            shown = ", ".join(f"{start:%Y-%m-%d %H:%M}" for start in self.empty[:_SHOWN])
            more = f" and {len(self.empty) - _SHOWN:,} more" if len(self.empty) > _SHOWN else ""
            name = period_name(options.period)
            self.notes.append(
                f"{len(self.empty):,} of the periods ({name}) have no valid frame, and no file: {shown}{more}"
            )

    def _sum_up(
        self,
        pool: ThreadPoolExecutor,
        sums: OpenSums,
        writes: _Writes,
        periods: dict[datetime, Period],
        times: dict[datetime, Candidates],
    ) -> Generator[Outcome]:
        left = Counter(periods.values())

        def take(time: datetime, frame: Frame) -> HsrGeoError | None:
            problem = self._added(sums, periods[time], frame)
            if problem is None:
                self._keep(frame)
            return problem

        def settle(time: datetime) -> None:
            left[periods[time]] -= 1
            if not left[periods[time]]:
                self._complete(pool, sums, writes, periods[time])

        workers = pool, self._options.export.workers
        yield from best_frames(self._source, times, self.tally, workers, take, settle)

    def _added(self, sums: OpenSums, period: Period, frame: Frame) -> HsrGeoError | None:
        """Add a frame to the sums of its period, or return what is wrong with it."""
        if self._grid is None and self._source.is_output:
            self.notes += self._source.notes_on(frame) + _check_areas(frame.grid, self._options.export.recipe.cuts)
        if self._grid is None and self._factors is not None:
            self._factors.refuse_law(_law_of(frame, self._options.law))
        try:
            if self._grid is None:
                cuts = self._options.export.recipe.cuts
                self._areas = [Area.of(frame.grid, cut, self._options.cells) for cut in cuts]
                self._grid, self._first, self._home = frame.grid, frame.crop(window=(0, 0, 1, 1)), frame.window
            if frame.grid != self._grid:
                return other_grid(self._grid, frame.grid, frame.name)
            if self._rolling is not None:
                self._rolling.check(frame)
            self._add(sums, period, frame)
        except OptionsError:  # a mask of another grid
            raise
        except HsrGeoError as error:
            return error
        if self._factors is not None:
            found = self._factors.at(frame.time)
            self._without_factor += found is None
            self._found_factors.setdefault(period.start, []).append(found)
        return None

    def _add(self, sums: OpenSums, period: Period, frame: Frame) -> None:
        if self._moving is not None:  # see `_keep`
            return
        step_h = period.step / _HOUR
        unit_mm = depth_unit_mm(period.expected, step_h)
        table = self._table(frame, step_h, unit_mm)
        for number, area in enumerate(self._areas):
            shape = area.grid.height, area.grid.width
            sums.get((period.start, number), shape, unit_mm).add(frame.stored[area.window.slices], table)

    def _table(self, frame: Frame, step_h: float, unit_mm: float) -> NDArray[np.uint64]:
        """Return what each stored value of a frame adds."""
        law = self._options.law
        factor = self._factors.value(frame.time) if self._factors is not None else 1.0
        if self._options.stat == "frequency":
            return wet_table(frame.quantity, law, self._options.wet_from, factor)
        return sum_table(frame.quantity, law, step_h, unit_mm, factor)

    def _keep(self, frame: Frame) -> None:
        """Keep a frame for what needs them in order; a disk that refuses ends the run, for it is no frame's fault."""
        for number, area in enumerate(self._areas):
            if self._rolling is not None:
                self._rolling.put(number, area.grid, frame, frame.stored[area.window.slices])
            if self._moving is not None:
                self._moving.put(number, area.window, frame)

    def _write_rolling(self, pool: ThreadPoolExecutor) -> None:
        if self._rolling is not None and self._first is not None:
            for number, area in enumerate(self._areas):
                frame = self._like_first(area)
                paths = [rolling_path(self._rolling.span, one, area.region) for one in self._rolling.lengths]
                self.replaced += sum((self._out / path).is_file() for path in paths)
                for path, known in self._rolling.write(number, self._out, area.region, frame, pool):
                    self._count(path, known=known)

    def _like_first(self, area: Area) -> Frame:
        assert self._first is not None  # noqa: S101 - there are areas
        assert self._home is not None  # noqa: S101 - set with it
        return dataclasses.replace(self._first, grid=area.grid, window=area.window.within(self._home))

    def _complete(self, pool: ThreadPoolExecutor, sums: OpenSums, writes: _Writes, period: Period) -> None:
        """Write a period whose last frame is in; where rain moves, its last frame may need one that is not."""
        if self._moving is None:
            self._write(pool, sums, writes, period)

    def _take(self, write: Future[tuple[Place, bool]]) -> None:
        path, known = write.result()
        self._count(path, known=known)

    def _count(self, path: Place, *, known: bool) -> None:
        self.written.append(path)
        self._unknown += not known

    def _write(self, pool: ThreadPoolExecutor, sums: OpenSums, writes: _Writes, period: Period) -> None:
        self._lock.check()
        factors = self._found_factors.pop(period.start, None)
        for number, area in enumerate(self._areas):
            total = self._moving.summed(number, period) if self._moving else sums.pop((period.start, number))
            if total is None or self._first is None:
                continue
            self._filled.add(period.start)
            self.short += number == 0 and total.used < period.expected
            frame = self._like_first(area)
            law = _law_of(frame, self._options.law)
            options, shown = self._options, STAT_BANDS[self._options.stat]
            tags = sum_tags(period, total.used, frame, law, options.min_coverage, shown) | options.tags
            if self._factors is not None and factors:
                tags |= self._factors.tags(factors)
            if isinstance(total, MovingSum):
                tags |= moving_tags(period, total)
            path = self._out / period.path(area.region, shown.file)
            self.replaced += path.is_file()
            writes.append(pool.submit(write_period, path, area, total, period, tags, options))
            while len(writes) > self._options.export.workers:  # each holds a sum in memory
                self._take(writes.popleft())


@takes(AccumulateOptions)
def accumulate(
    sources: str | Path | Sequence[str | Path],
    out: str | Place,
    options: AccumulateOptions | None = None,
    **keywords: object,
) -> Accumulation:
    """Sum up rain over periods; iterate the result to make it happen, or call its `run`.

    Each frame stands for the step that begins at its time, and adds its rate x step. Gaps are not filled: band 2 of
    each COG tells in how many frames a cell was observed, and `AccumulateOptions.min_coverage` makes cells with too
    few of them nodata. With `AccumulateOptions.rolling` there is also a file for each window length,
    ``rain_max_1h_FROM_TO.tif``: the highest depth of any such window within the whole run, the minutes from the run's
    first step to the end of that window, and how many windows counted.

    Args:
        sources: A file, folder, glob or archive, or several; or one folder of an export or one cube, whose own
            cells are summed up.
        out: The output folder, here or in a bucket; a file for each period, ``YYYYMM/DD/rain_1h_YYYYMMDDHHMM.tif`` by
            its start in KST. Files that are there are replaced.
        options: What to sum up; the default is the whole grid, by the hour.
        keywords: Fields of `AccumulateOptions`, in place of those of `options`.

    Returns:
        An iterator over the outcome of each frame. A broken frame is an outcome, not an exception.

    Raises:
        OptionsError, SourceError: See `Accumulation`.
    """
    listed = listed_sources(sources)
    return Accumulation(listed, target(out), options_of(AccumulateOptions, options, keywords))


def _law_of(frame: Frame, law: Law) -> str:
    return law_text(frame.quantity, dict(frame.derived).get("RAIN_LAW"), law)


def _check_areas(grid: Grid, cuts: Sequence[Cut]) -> list[str]:
    """Return notes on areas that reach outside a grid; refuse those that lie outside."""
    return [note for cut in cuts for note in asked_window(grid, cut.area)[1]]
