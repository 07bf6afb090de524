"""The statistics: sources in, a table with a row a frame and place out."""

from __future__ import annotations

import dataclasses
import time as clock
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hsrgeo.cube.opened import OpenCube, opened_cube
from hsrgeo.engine.areas import asked_window, check_areas
from hsrgeo.engine.axis import type_of_sources
from hsrgeo.engine.contents import refuse_for_frames
from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.lazy import Run, with_twins
from hsrgeo.engine.one_product import Best, product_guard
from hsrgeo.engine.stats.stats_options import StatsOptions
from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.engine.workers.parallel import ahead
from hsrgeo.engine.workers.scratch import scratch_folder
from hsrgeo.errors import FrameError, HsrGeoError, OptionsError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.home import home_of
from hsrgeo.model.quantity import RAIN, Quantity
from hsrgeo.model.times import utc_text
from hsrgeo.outputs.exported import read_exported
from hsrgeo.outputs.folder import Exported, exported_frames
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.outcome import Outcome, of_found, with_header
from hsrgeo.places.places import Polygons
from hsrgeo.places.weights import Weights
from hsrgeo.products.histogram import Histogram, count_values
from hsrgeo.products.rates import rate_table, stored_table
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found, Tally, reading
from hsrgeo.sources.remote import Place, listed_sources, place, target
from hsrgeo.sources.scan import scan
from hsrgeo.writers.table_files import Row, check_table, write_table

_MINUTE_S = 60.0
_HALF = 0.5
# ^ share of a cell that lies in a polygon, from which on the cell counts
_ROUNDING = 1e-9
_SHOWN = 10

Numbers = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """What the numbers of a row are made of."""

    stored: NDArray[np.int16]
    quantity: Quantity
    grid: Grid
    stations: float
    delay_minutes: float


_Opened = tuple[Outcome, Callable[[Outcome], tuple[Outcome, _Picture]]]
"""A frame that was found, and what reads it and may know more of it then."""
_Result = tuple[Outcome, Quantity | None, Numbers | None]
"""What came of a frame: what its numbers are of, and the numbers, where it is sound."""


class Stats(Run):
    """A run, see `stats`: iterate it to make it happen; the table is written in one step when the last frame is done.

    Raises:
        OptionsError: Areas outside every grid; frames of several products; a source or table of another kind.
        SourceError: A source does not exist, or cannot be opened.
    """

    def __init__(self, sources: Sequence[str | Path], out: Place, options: StatsOptions) -> None:
        check_table(out)
        super().__init__(Tally())
        self.rows = 0
        """Rows of the table; known at the end."""
        self._out, self._options = out, options
        self._lock = Lock()
        self._chosen: dict[Grid, list[_Chosen]] = {}
        source_type = type_of_sources(sources)
        self.notes += [*options.export.notes, *(options.places.notes if options.places else ())]
        if source_type == "frames":
            if options.region:
                raise OptionsError("region is for an exported folder that has several; frames have none")
            self.notes += check_areas(options.export.recipe)
        else:
            recipe = options.export.recipe
            refuse_for_frames(recipe.block, recipe.cleaning, options.registration)
        self._items = self._run(source_type, [*sources])

    def _run(self, source_type: str, sources: list[str | Path]) -> Generator[Outcome]:
        best, kept, written = Best(self.counts), dict[datetime, int](), 0
        with (
            locked(self._out) as lock,
            scratch_folder() as folder,
            (folder / "rows").open("w+b") as file,
            ThreadPoolExecutor(count_workers(self._options.jobs)) as pool,
            closing(self._results(source_type, sources, pool)) as results,
        ):
            for outcome, quantity, numbers in results:
                outcome = best.settle(outcome, quantity)  # noqa: PLW2901
                if outcome.status == "ok" and numbers is not None and outcome.frame_name is not None:
                    kept[outcome.frame_name.time] = written
                    file.write(numbers.tobytes())
                    written += 1
                yield outcome
            lock.check()
            if kept and best.quantity is not None:
                file.flush()
                columns = self._options.columns(best.quantity.unit)
                shape = (written, len(self._options.names), len(columns))
                table = np.memmap(file, np.float64, "r", shape=shape)
                self.rows = len(kept) * shape[1]
                rows: Iterator[Row] = ((time, np.array(table[number])) for time, number in sorted(kept.items()))
                texts = {"unit": best.quantity.unit} if best.quantity.unit else {}
                self.replaced += self._out.is_file()
                write_table(self._out, self._options.names, columns, rows, texts=texts)

    def _results(self, source_type: str, sources: list[str | Path], pool: ThreadPoolExecutor) -> Generator[_Result]:
        def work(opened: Iterator[_Opened]) -> Generator[_Result]:
            return ahead(pool, self._work, opened, count_workers(self._options.jobs))

        def work_on(some: Iterator[Found]) -> Generator[_Result]:
            return work((of_found(one, "ok"), partial(_of_found, one, self._options)) for one in some)

        selection = self._options.export.selection
        match source_type:
            case "cube":
                with closing(self._of_cube(place(sources[0]))) as opened:
                    yield from work(opened)
            case "export":
                yield from work(self._of_export(Path(sources[0])))
            case _:
                with reading(product_guard(scan(sources, selection, self.tally))) as found:
                    yield from with_twins(work_on, found, selection, self.tally)

    def _of_export(self, source: Path) -> Iterator[_Opened]:
        selection, region = self._options.export.selection, self._options.region
        for one in product_guard(exported_frames(source, selection, region, self.tally)):
            yield Outcome(str(one.path), None, one.frame_name, "ok"), partial(_of_cog, one)

    def _of_cube(self, source: Place) -> Generator[_Opened]:
        with opened_cube(source, ("map", "series")) as cube:
            for number, frame_name in cube.wanted(self._options.export.selection, self.tally):
                yield Outcome(str(source), utc_text(frame_name.time), frame_name, "ok"), partial(_of_cube, cube, number)

    def _work(self, opened: _Opened) -> _Result:
        """Runs in a thread."""
        begun = clock.perf_counter()
        outcome, read = opened
        try:
            outcome, picture = read(outcome)
            numbers = self._numbers(picture)
        except OptionsError:
            raise
        except HsrGeoError as error:
            if isinstance(error, FrameError) and not error.source:
                error = error.at(outcome.source, outcome.member)
            return dataclasses.replace(outcome, status="failed", error=error), None, None
        quantity = RAIN if self._options.quantity == "rain" else picture.quantity
        return dataclasses.replace(outcome, seconds=clock.perf_counter() - begun), quantity, numbers

    def _numbers(self, picture: _Picture) -> Numbers:
        """Return the numbers of every place, shape (places, columns)."""
        options = self._options
        if options.quantity == "rain":
            table = rate_table(picture.quantity, options.export.recipe.law)
        else:
            table = stored_table(picture.quantity)
        with self._lock:
            if picture.grid not in self._chosen:
                self._chosen[picture.grid] = _choose(picture.grid, options)
                if options.places is not None:
                    self.notes += _notes_on_polygons(picture.grid, options.places)
            chosen = self._chosen[picture.grid]
        thresholds = options.thresholds_of(RAIN.unit if options.quantity == "rain" else picture.quantity.unit)
        return np.array([_row(picture, one, table, options, thresholds) for one in chosen])


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """The cells of a place: a window, or some cells of it."""

    rows: slice
    cols: slice
    cells: NDArray[np.int64] | None = None
    """Flat indices on the whole grid, in place of the window."""


def _choose(grid: Grid, options: StatsOptions) -> list[_Chosen]:
    if options.places is None:
        return [_Chosen(*asked_window(grid, cut.area)[0].slices) for cut in options.export.recipe.cuts]
    weights = _weights(grid, options.places)
    chosen: list[_Chosen] = []
    for first, end in zip(weights.starts, weights.starts[1:], strict=False):
        cells = weights.cells[first:end][weights.shares[first:end] >= _HALF]
        if not len(cells):
            name = options.names[len(chosen)]
            raise OptionsError(f"polygon {name!r}: contains no cell of the grid {grid.name}")
        chosen.append(_Chosen(slice(0), slice(0), cells))
    return chosen


def _weights(grid: Grid, places: Polygons) -> Weights:
    whole, window = home_of(grid)
    return places.weights(whole).cut(whole.width, window)


def _notes_on_polygons(grid: Grid, places: Polygons) -> list[str]:
    """Return a note on polygons of which the frames have a part only."""
    partly = [
        name for name, share in zip(places.names, _weights(grid, places).within, strict=True) if share < 1 - _ROUNDING
    ]
    shown = ", ".join(map(repr, partly[:_SHOWN])) + (" ..." if len(partly) > _SHOWN else "")
    return [f"polygons partly outside the frames, of which the rest is not counted: {shown}"] if partly else []


def _row(
    picture: _Picture, chosen: _Chosen, table: NDArray[np.float64], options: StatsOptions, thresholds: tuple[float, ...]
) -> list[float]:
    if chosen.cells is None:
        counted = count_values(picture.stored[chosen.rows, chosen.cols], picture.quantity)
    else:
        counted = count_values(picture.stored.reshape(-1)[chosen.cells][np.newaxis], picture.quantity)
    found = Histogram.of(counted.counts, picture.quantity)
    values = table[found.stored.view(np.uint16)]
    cells, echo, seen = found.cells(), found.is_echo, found.is_observed
    observed = found.cells(seen)
    above = [found.cells(seen & (values >= one)) for one in thresholds]
    classes = [found.cells(~seen), found.cells(seen & ~echo), found.cells(echo), found.cells(found.is_blend)]
    row = [picture.stations, picture.delay_minutes, cells, *(one / cells for one in classes)]
    row += [one / observed if observed else np.nan for one in above]
    row += [*found.quantiles(values, options.quantiles), *_maximum(picture.grid, chosen, counted.highest, values)]
    if options.edges:
        of_class = np.searchsorted(options.edges, values[echo], side="right")
        row += np.bincount(of_class, found.counts[echo], len(options.edges) + 1).tolist()
    return row


def _maximum(grid: Grid, chosen: _Chosen, highest: int | None, values: Numbers) -> tuple[float, float, float]:
    """Return the highest value of echo, and longitude and latitude of the first cell that has it.

    `values` are those that occur, increasing; for `highest` see `Counted.highest`.
    """
    if highest is None:
        return np.nan, np.nan, np.nan
    if chosen.cells is None:
        row, col = divmod(highest, chosen.cols.stop - chosen.cols.start)
        row, col = row + chosen.rows.start, col + chosen.cols.start
    else:
        row, col = divmod(int(chosen.cells[highest]), grid.width)
    lon, lat = grid.lonlat(row, col)
    return float(values[-1]), float(lon), float(lat)


def _of_found(found: Found, options: StatsOptions, outcome: Outcome) -> tuple[Outcome, _Picture]:
    frame = decode_found(found, options.export.recipe.block, options.registration)
    if outcome.frame_name is None:
        outcome = dataclasses.replace(outcome, frame_name=FrameName(frame.product, frame.kind, frame.time))
    return with_header(outcome, frame), _picture(frame)


def _of_cog(cog: Exported, outcome: Outcome) -> tuple[Outcome, _Picture]:
    if cog.error is not None:
        raise cog.error
    return outcome, _picture(read_exported(cog.path))


def _of_cube(cube: OpenCube, number: int, outcome: Outcome) -> tuple[Outcome, _Picture]:
    height, width = cube.grid.height, cube.grid.width
    stored = cube.read(slice(number, number + 1), slice(0, height), slice(0, width))[0]
    return outcome, _Picture(np.ascontiguousarray(stored), cube.quantity, cube.grid, np.nan, np.nan)


def _picture(frame: Frame) -> _Picture:
    header = frame.header
    delay = np.nan if header.created is None else (header.created - header.time).total_seconds() / _MINUTE_S
    return _Picture(frame.stored, frame.quantity, frame.grid, header.station_count or np.nan, delay)


@takes(StatsOptions)
def stats(
    sources: str | Path | Sequence[str | Path],
    out: str | Place,
    options: StatsOptions | None = None,
    **keywords: object,
) -> Stats:
    """Write a row of statistics for each frame and place; iterate the result, or call its `run`.

    Of several frames of one time the best one counts, as in an export.

    Columns: ``stations``, and ``delay_minutes`` from the observation to the creation of the file (empty of cubes and
    exports); ``cells``; ``nodata``, ``undetect``, ``echo`` and ``blend``, their shares of all cells, where blends are
    among the first two; ``from_10``, the share of the observed cells of at least 10; ``p90``, the value that 90 % of
    the cells with echo do not exceed; ``maximum``, and ``max_lon`` and ``max_lat`` of the northernmost cell that has
    it; classes of the histogram; ``unit``. Numbers are those of numpy over the same cells.

    Args:
        sources: A file, folder, glob or archive, or several; or one folder of an export; or one cube.
        out: The table, ``.csv``, ``.xlsx`` or ``.parquet``, here or in a bucket; one that is there is replaced.
        options: Of what, and which numbers.
        keywords: Fields of `StatsOptions`, in place of those of `options`.

    Returns:
        An iterator over the outcome of each frame. A broken frame is an outcome, not an exception.

    Raises:
        OptionsError, SourceError, MissingExtraError: See `Stats`.
    """
    return Stats(listed_sources(sources), target(out), options_of(StatsOptions, options, keywords))
