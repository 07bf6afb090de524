"""What is summed up: frames and archives, the COGs of an export, or a cube."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hsrgeo.cube.opened import opened_cube
from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.axis import type_of_sources
from hsrgeo.engine.contents import notes_on_bias, notes_on_contents, refuse_for_frames
from hsrgeo.engine.one_product import product_guard
from hsrgeo.engine.series.exported import Contents, check_like, contents_of
from hsrgeo.errors import HsrGeoError, OptionsError, SourceError, as_value
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.home import home_of
from hsrgeo.model.times import KST, utc_text
from hsrgeo.model.window import Window
from hsrgeo.outputs.exported import header_of, read_exported
from hsrgeo.outputs.folder import exported_frames
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.remote import Place, place
from hsrgeo.sources.scan import scan
from hsrgeo.writers.cog_part import opened_cog

_CELL_BYTES = 2
_MOST_BYTES = 1 << 27
# ^ of a cube, that are read at once where a chunk has several times; two such blocks stay in memory


class SumSource(ABC):
    """Where the frames of a sum come from."""

    is_output = False
    """Whether hsrgeo wrote it itself, so that it may be a part of a grid."""

    @abstractmethod
    def scan(self, tally: Tally) -> Iterator[Found]:
        """Yield the wanted frames; may be asked for several times."""

    @abstractmethod
    def open(self, found: Found) -> Frame:
        """Return a frame.

        Raises:
            HsrGeoError: It cannot be read.
        """

    def notes_on(self, frame: Frame) -> list[str]:
        """Return what a user should know of the values, by the first frame."""
        del frame
        return []

    def close(self) -> None:  # noqa: B027 - most have nothing open
        """Let go of what is open."""


class FrameSource(SumSource):
    """Frames and archives."""

    def __init__(self, sources: Sequence[str | Path], options: AccumulateOptions) -> None:
        self._sources, self._options = list(sources), options

    def scan(self, tally: Tally) -> Iterator[Found]:
        """Yield the frames, see `SumSource.scan`."""
        # Every kind: where the preferred frame of a time is broken, the next best one is read (`Candidates`).
        return scan(self._sources, dataclasses.replace(self._options.selection, one_kind=False), tally)

    def open(self, found: Found) -> Frame:
        """Unpack a frame."""
        recipe = self._options.export.recipe
        frame = decode_found(found, recipe.block, self._options.registration)
        return recipe.cleaning.of(frame) if recipe.cleaning else frame


class ExportSource(SumSource):
    """The COGs of an export.

    Raises:
        OptionsError: Several regions or products, and none chosen; no COGs; options that are for frames only.
        ManifestError: The folder is damaged.
    """

    is_output = True

    def __init__(self, source: Path, options: AccumulateOptions) -> None:
        recipe = options.export.recipe
        refuse_for_frames(recipe.block, recipe.cleaning, options.registration)
        self._source, self._options = source, options
        self._lock = Lock()
        self._first: tuple[Contents, Frame] | None = None
        self._left_out = Tally()
        entries = exported_frames(source, options.selection, options.region, self._left_out)
        self._found = list(
            product_guard(
                Found(
                    str(entry.path) if entry.error is None else entry.label,
                    None,
                    entry.frame_name,
                    0,
                    error=entry.error,
                )
                for entry in entries
            )
        )

    def scan(self, tally: Tally) -> Iterator[Found]:
        """Yield the COGs, see `SumSource.scan`."""
        tally.unselected = self._left_out.unselected
        tally.widen(self._left_out.spans)
        tally.total_bytes = len(self._found)  # for progress only: COGs are as good a measure
        for found in self._found:
            yield found
            tally.read_bytes += 1

    def open(self, found: Found) -> Frame:
        """Read a COG; one of a part of a grid of the catalogue is given that grid's own words for its CRS."""
        path = Path(found.source)
        with opened_cog(path) as cog:
            contents = contents_of(cog, found.source, found.frame_name)
            # By one thread alone: what it reads holds back warnings, which is no matter of a single thread.
            with self._lock:
                if self._first is None:
                    self._first = self._first_readable()
            first, frame = self._first
            check_like(contents, first, found.source)
            stored = cog.read(slice(0, contents.grid.height), slice(0, contents.grid.width))
        time = found.frame_name.time if found.frame_name else frame.time
        return dataclasses.replace(frame, stored=stored, time=time, name=path.name)

    def _first_readable(self) -> tuple[Contents, Frame]:
        """Return what all others must be like: not whichever a thread opens first."""
        problem: HsrGeoError = SourceError(str(self._source), "no COG of it can be read")
        for one in self._found:
            if one.error is not None:
                continue
            try:
                with opened_cog(Path(one.source)) as cog:
                    return contents_of(cog, one.source, one.frame_name), _emptied(read_exported(Path(one.source)))
            except HsrGeoError as error:
                problem = as_value(error)
        raise problem

    def notes_on(self, frame: Frame) -> list[str]:
        """Return what a user should know of the values.

        Raises:
            OptionsError: It holds rain, and there is a law to make it by; or it holds no rain at all; or rain that was
                adjusted by a bias, and there is another.
        """
        bias = dict(frame.derived).get("BIAS_SOURCE", "")
        adjust = self._options.factors is not None
        notes = notes_on_bias(self._source, bias, self._options.law, adjust=adjust)
        return notes + notes_on_contents(self._source, frame.quantity, self._options.law, made="sum")


class CubeSource(SumSource):
    """The times of a cube, which is open until it is closed.

    Raises:
        OptionsError: Options that are for frames only; another product; a region.
        SourceError: It cannot be opened, or is not a cube made by hsrgeo.
        MissingExtraError: A library of the extra ``cube`` is not installed.
    """

    is_output = True

    def __init__(self, source: Place, options: AccumulateOptions) -> None:
        recipe = options.export.recipe
        refuse_for_frames(recipe.block, recipe.cleaning, options.registration)
        if options.region:
            raise OptionsError("region is for an exported folder that has several; a cube has one area")
        self._source, self._options = source, options
        with ExitStack() as opened:
            self._cube = opened.enter_context(opened_cube(source, ("map", "series")))
            self._cube.refuse_product(options.selection)
            self._grid, self._window = _home(self._cube.grid)
            self._opened = opened.pop_all()
        self._numbers: dict[str, int] = {}
        self._blocks: dict[int, NDArray[np.int16]] = {}
        self._lock = Lock()

    def close(self) -> None:
        """Close the cube."""
        self._opened.close()

    def scan(self, tally: Tally) -> Iterator[Found]:
        """Yield the times, see `SumSource.scan`."""
        wanted = list(self._cube.wanted(self._options.selection, tally))
        tally.total_bytes = len(wanted)  # for progress only: times are as good a measure
        for number, frame_name in wanted:
            found = Found(str(self._source), utc_text(frame_name.time), frame_name, 0)
            self._numbers[found.label] = number
            yield found
            tally.read_bytes += 1

    def open(self, found: Found) -> Frame:
        """Read a time."""
        cube, number, grid = self._cube, self._numbers[found.label], self._grid
        time = cube.times[number].astimezone(KST)
        return Frame(
            stored=self._stored(number),
            quantity=cube.quantity,
            grid=grid,
            window=self._window,
            time=time,
            header=header_of(time, grid, synthetic=cube.synthetic),
            product=cube.product,
            kind="",
            name=found.label,
            crc32=0,
            block=1,
            blocks=1,
            derived=(("RAIN_LAW", cube.law),) if cube.law else (),
        )

    def _stored(self, number: int) -> NDArray[np.int16]:
        """Return the values of a time; where a chunk has several, those that follow are read with it."""
        cube, rows, cols = self._cube, slice(0, self._grid.height), slice(0, self._grid.width)
        most = max(_MOST_BYTES // (_CELL_BYTES * rows.stop * cols.stop), 1)
        length = min(cube.chunk[0], most)
        stored: NDArray[np.int16]
        if length == 1:
            stored = cube.read(slice(number, number + 1), rows, cols)[0]
            return stored
        block, order = divmod(number, length)
        with self._lock:
            if block not in self._blocks:
                while len(self._blocks) > 1:  # two: other threads may still be at the end of the one before
                    del self._blocks[next(iter(self._blocks))]
                times = slice(block * length, min((block + 1) * length, len(cube.times)))
                self._blocks[block] = cube.read(times, rows, cols)
            stored = self._blocks[block][order]
        return stored

    def notes_on(self, frame: Frame) -> list[str]:
        """Return what a user should know of the values.

        Raises:
            OptionsError: It holds rain, and there is a law to make it by; or it holds no rain at all.
        """
        cube = self._cube
        notes = notes_on_contents(self._source, frame.quantity, self._options.law, made="sum", law=cube.law)
        if cube.min_wet:
            notes.append(f"{self._source} has wet frames only (min_wet {cube.min_wet:g}): the others count as missing")
        return notes


def _home(grid: Grid) -> tuple[Grid, Window]:
    """Return a grid in the catalogue's words, and its window there."""
    whole, window = home_of(grid)
    return whole.crop(window) if whole != grid else grid, window


def _emptied(frame: Frame) -> Frame:
    """Return a frame with its place in the whole grid, and without its values."""
    grid, window = _home(frame.grid)
    return dataclasses.replace(frame, stored=np.empty((0, 0), np.int16), grid=grid, window=window)


def sum_source(sources: Sequence[str | Path], options: AccumulateOptions) -> SumSource:
    """Return the source of a sum.

    Raises:
        OptionsError: A picture, a reference; an export or a cube together with another source; a region of frames.
        SourceError: A cube cannot be opened.
    """
    source_type = type_of_sources(sources)
    if source_type == "cube":
        return CubeSource(place(sources[0]), options)
    if source_type == "export":
        first = Path(sources[0])
        if not first.is_dir():
            raise OptionsError(f"{first}: a catalogue is not summed up; give the folder of the export")
        return ExportSource(first, options)
    if options.region:
        raise OptionsError("region is for an exported folder that has several; of frames choose areas with regions")
    return FrameSource(sources, options)
