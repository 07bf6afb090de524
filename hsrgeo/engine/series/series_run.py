"""The series: sources in, a table of rain by time and place out."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.axis import frame_length_of, slots, type_of_sources
from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.lazy import Run
from hsrgeo.engine.one_product import Best
from hsrgeo.engine.series.cube import CubeReader
from hsrgeo.engine.series.exported import ExportReader
from hsrgeo.engine.series.frames import FrameReader
from hsrgeo.engine.series.periods import Periods
from hsrgeo.engine.series.reader import Numbers, Reader
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.series.series_table import RAIN_LAW, between_steps
from hsrgeo.engine.series.summed import SumReader
from hsrgeo.engine.workers.scratch import scratch_folder
from hsrgeo.errors import OptionsError
from hsrgeo.model.times import FIVE_MINUTES_SINCE, on_step
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.outputs.summed import is_summed
from hsrgeo.places.places import Points
from hsrgeo.places.sampling import COVERAGE, MAX, MEAN, WET
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.sources.remote import Place, is_remote, listed_sources, place, target
from hsrgeo.writers.table_files import Row, check_table, write_table

_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)


class Series(Run):
    """A run, see `series`: iterate it to make it happen; the table is written in one step when the last frame is done.

    Raises:
        OptionsError: A place outside the grid; frames of several products, or of before and after 16 September 2019; a
            source or table of another kind.
        SourceError: A source does not exist, or cannot be opened.
        ManifestError: An exported folder is damaged.
        LockError: Another run is writing the table.
        MissingExtraError: The table, or a cube, needs an extra that is not installed.
    """

    def __init__(self, sources: Sequence[str | Path], out: Place, options: SeriesOptions) -> None:
        check_table(out, len(options.places.names), wide=options.wide, excel=options.excel)
        _refuse_own_input(out, sources, options)
        self._reader = _reader(sources, options)
        super().__init__(self._reader.tally)
        self.notes = self._reader.notes  # the reader adds to them
        self.times = 0
        """Times in the table."""
        self.missing = 0
        """Times in the table that have no frame."""
        self._options = options
        self._out = out
        self._best = Best(self.counts)
        self._kept: dict[datetime, int] = {}  # time -> place in the spool
        self._crosses = False
        self._broken: set[datetime] = set()  # times of frames that could not be used: a row without a number each
        self._items = self._run()

    def _run(self) -> Generator[Outcome]:
        reader, options = self._reader, self._options
        with locked(self._out) as lock, scratch_folder() as folder, (folder / "spool").open("w+b") as file:
            spool = _Spool(file)
            with closing(reader.read(folder)) as results:
                for outcome, numbers in results:
                    yield self._settle(outcome, numbers, spool)
            lock.check()
            if self._kept and reader.areas_m2 is not None:
                length, notes = self._length()
                self.notes += notes
                rows, columns = self._numbers(spool, reader.areas_m2, length), options.columns
                if options.period is None:
                    rows = self._rows(rows, length)
                else:
                    self.notes += between_steps(self._kept, length)
                    polygons = not isinstance(options.places, Points)
                    has_factor = None if options.factors is None else options.factors.has
                    periods = Periods(options.period, length, options.min_coverage, polygons, has_factor)
                    columns = periods.columns
                    rows = periods.rows(((time, row[:, _OF_PERIODS]) for time, row in rows), options.start, options.end)
                texts = {RAIN_LAW: reader.rain_law} if reader.rain_law not in ("", str(KMA_LAW)) else {}
                shape = {"wide": options.wide, "excel": options.excel}
                common = columns[-1] if options.factors is not None else ""
                self.replaced += self._out.is_file()
                write_table(self._out, options.places.names, columns, rows, texts=texts, common=common, **shape)
                if options.factors is not None:
                    without = sum(options.factors.at(time) is None for time in self._kept)
                    self.notes += options.factors.note(without, len(self._kept))

    def _length(self) -> tuple[timedelta, list[str]]:
        """Return how long a frame, or a sum, stands for, and notes; see `frame_length_of`."""
        known = self._reader.length
        return frame_length_of(self._kept, self._options.frame_step) if known is None else (known, [])

    def _settle(self, outcome: Outcome, numbers: Numbers | None, spool: _Spool) -> Outcome:
        """Keep the numbers of the best frame of a time, on disk: ten years of a hundred basins are gigabytes."""
        if numbers is None or outcome.frame_name is None:
            if outcome.frame_name is not None and outcome.status == "failed":
                self._broken.add(outcome.frame_name.time)
            return outcome
        moment = outcome.frame_name.time
        outcome = self._best.settle(outcome)
        if outcome.status == "ok":
            self._kept[moment] = spool.put(numbers.tobytes(), self._kept.get(moment, -1))
            if not self._crosses and next(iter(self._kept)) < FIVE_MINUTES_SINCE <= moment:
                self._crosses = True
                self._length()  # refuses now what it would refuse at the end, hours later
        return outcome

    def _numbers(self, spool: _Spool, areas_m2: NDArray[np.float64], length: timedelta) -> Iterator[Row]:
        """Yield every time of the axis, and mean, maximum, volume, wet fraction and coverage of every place."""
        options, reader = self._options, self._reader
        hours = length / _HOUR
        nothing = np.full((len(areas_m2), 4), np.nan)
        nothing[:, COVERAGE] = 0
        step, missing = reader.step or length, reader.missing
        if options.every is None and step < length:  # a cube or an export does not know that frames were rarer once
            step, missing = length, [one for one in missing if on_step(one, length)]
        for moment in slots({*self._kept, *self._broken, *missing}, options.start, options.end, step):
            numbers = nothing
            self.times += 1
            if moment in self._kept:
                data = spool.get(self._kept[moment], nothing.nbytes)
                numbers = np.frombuffer(data, np.float64).reshape(nothing.shape)
            else:
                self.missing += 1
            # 1 mm on 1 m2 is a litre. Of the observed part: what fell elsewhere nobody knows.
            volume = numbers[:, MEAN] * hours / 1000 * areas_m2 * numbers[:, COVERAGE]
            yield moment, np.column_stack([numbers[:, [MEAN, MAX]], volume, numbers[:, [WET, COVERAGE]]])

    def _rows(self, numbers: Iterator[Row], length: timedelta) -> Iterator[Row]:
        """Yield the rows of a table without periods."""
        factors = self._options.factors
        chosen = _OF_POINTS if isinstance(self._options.places, Points) else slice(None)
        for moment, row in numbers:
            more = [length / _MINUTE]
            if factors is not None:
                one = factors.at(moment)
                more.append(math.nan if one is None else one.value)
            yield moment, np.column_stack([row[:, chosen], np.tile(more, (len(row), 1))])


_OF_POINTS = [0, 4]
_OF_PERIODS = [0, 1, 2, 4]
# ^ columns of `Series._numbers`


def _refuse_own_input(out: Place, sources: Sequence[str | Path], options: SeriesOptions) -> None:
    given = [*sources, *(one for one in (options.points, options.polygons) if isinstance(one, (str, Path)))]
    for one in given:
        if not is_remote(one) and isinstance(out, Path) and os.path.realpath(one) == os.path.realpath(out):
            raise OptionsError(f"{out}: the table would overwrite its source; use another name")


class _Spool:
    """Numbers put aside, mostly one after the other: a file seeks only where it has to, for that empties its buffer."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = self._end = 0

    def put(self, data: bytes, offset: int) -> int:
        """Write at an offset, or at the end where it is negative; return the offset."""
        begin = self._end if offset < 0 else offset
        self._seek(begin)
        self._file.write(data)
        self._at = begin + len(data)
        self._end = max(self._end, self._at)
        return begin

    def get(self, offset: int, size: int) -> bytes:
        """Read what was put."""
        self._seek(offset)
        self._at = offset + size
        return self._file.read(size)

    def _seek(self, offset: int) -> None:
        if offset != self._at:
            self._file.seek(offset)


def _reader(sources: Sequence[str | Path], options: SeriesOptions) -> Reader:
    match type_of_sources(sources):
        case "cube":
            return CubeReader(place(sources[0]), options)
        case "export":
            return ExportReader(Path(sources[0]), options)
        case _ if len(sources) == 1 and is_summed(sources[0]):
            return SumReader(Path(sources[0]), options)
        case _:
            return FrameReader(sources, options)


@takes(SeriesOptions)
def series(
    sources: str | Path | Sequence[str | Path],
    out: str | Place,
    options: SeriesOptions | None = None,
    **keywords: object,
) -> Series:
    """Write the series of every place over the frames of the sources; iterate the result, or call its `run`.

    The table has a row for each time and place: every step of the axis from the first to the last time, also where
    there is no frame (no number, coverage 0), and any other time of a frame. Of several frames of one time the better
    one counts, as in an export.

    Columns of polygons: ``mean_mm_h`` by exact area and ``max_mm_h`` of the observed part; ``volume_m3``, the rain
    that fell on the observed part: mean x area on the ground x coverage x minutes; ``wet_fraction`` of the
    observed part; ``coverage``, the share of the whole area that was observed. Of points: ``rain_mm_h`` or
    ``reflectivity_dbz`` (-inf where no echo) and ``coverage``. Of both: ``minutes``, how long the frame stands for;
    ``bias_factor`` with a bias, nothing where the frame has none, or of periods ``adjusted``, the share of the frames
    that have one; and ``rain_law`` where it is not Z = 200 R^1.6.

    A cube or an exported folder gives the same numbers as the frames that it was made of: to the last digit where it
    holds reflectivity, to the nearest 0.01 mm/h of each cell where it holds rain. What it lacks of a place counts as
    not observed; times that a cube knows to be missing have a row too, as have those at its ends.

    A folder of sums or gauge fields gives a row a period, with the mean rate of the part of it that was observed.

    Args:
        sources: A file, folder, glob or archive, or several; or one folder of sums or of an export, or a STAC
            catalogue of it; or one cube, ``.zarr`` or ``.nc``, of which the layout series is read where it is there.
        out: The table, ``.csv``, ``.xlsx`` or ``.parquet``, here or in a bucket; one that is there is replaced.
        options: Which places, and how.
        keywords: Fields of `SeriesOptions`, in place of those of `options`.

    Returns:
        An iterator over the outcome of each frame. A broken frame is an outcome, not an exception.

    Raises:
        OptionsError, SourceError, MissingExtraError: See `Series`.
    """
    listed = listed_sources(sources)
    return Series(listed, target(out), options_of(SeriesOptions, options, keywords))
