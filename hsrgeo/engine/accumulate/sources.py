"""What is summed up: frames and archives, or the COGs of an export."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.axis import kind_of_sources
from hsrgeo.engine.contents import notes_on_bias, notes_on_contents, refuse_registration
from hsrgeo.engine.one_product import product_guard
from hsrgeo.engine.series.exported import Contents, check_like, contents_of
from hsrgeo.errors import HsrGeoError, OptionsError, SourceError, as_value
from hsrgeo.model.frame import Frame
from hsrgeo.model.home import home_of
from hsrgeo.outputs.exported import read_exported
from hsrgeo.outputs.folder import exported_frames
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.scan import scan
from hsrgeo.writers.cog_part import opened_cog


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


class FrameSource(SumSource):
    """Frames and archives."""

    def __init__(self, sources: Sequence[str | Path], options: AccumulateOptions) -> None:
        self._sources, self._options = list(sources), options

    def scan(self, tally: Tally) -> Iterator[Found]:
        """Yield the frames, see `SumSource.scan`."""
        return scan(self._sources, self._options.selection, tally)

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
        if options.export.recipe.block != 1:
            raise OptionsError(
                "block, max_height and stations are for frames: what an export contains was fixed when it was made"
            )
        if options.export.recipe.cleaning is not None:
            raise OptionsError("min_dbz, despeckle and smooth are for frames: give them where the export is made")
        refuse_registration(options.registration)
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


def _emptied(frame: Frame) -> Frame:
    """Return a frame with its place in the whole grid, and without its values."""
    whole, window = home_of(frame.grid)
    grid = whole.crop(window) if whole != frame.grid else frame.grid
    return dataclasses.replace(frame, stored=np.empty((0, 0), np.int16), grid=grid, window=window)


def sum_source(sources: Sequence[str | Path], options: AccumulateOptions) -> SumSource:
    """Return the source of a sum.

    Raises:
        OptionsError: A cube, a picture; an export together with another source; a region of frames.
    """
    kind, first = kind_of_sources(sources), Path(sources[0])
    if kind == "cube":
        raise OptionsError(
            f"{sources[0]}: a cube is not summed up; give the frames, archives or the export it was made of"
        )
    if kind == "export":
        if not first.is_dir():
            raise OptionsError(f"{first}: a catalogue is not summed up; give the folder of the export")
        return ExportSource(first, options)
    if options.region:
        raise OptionsError("region is for an exported folder that has several; of frames choose areas with regions")
    return FrameSource(sources, options)
