"""The numbers of a series from frames and archives: unpacked in parallel, a few at a time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

from hsrgeo.engine.lazy import with_twins
from hsrgeo.engine.one_product import product_guard
from hsrgeo.engine.series.reader import Numbers, Reader, Sampled, Sampling, other_grid, sampling_of, table_for
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.engine.workers.parallel import run_each
from hsrgeo.errors import FrameError, HsrGeoError, OptionsError
from hsrgeo.model.file_blocks import Block
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Registration
from hsrgeo.outputs.outcome import of_found, with_header
from hsrgeo.places.sampling import Sampler
from hsrgeo.places.weights import load_weights
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found, reading
from hsrgeo.sources.scan import scan

_BATCH = 8


class FrameReader(Reader):
    """Reads frames.

    Args:
        sources: Files, folders, globs and archives.
        options: Which places and times.

    Raises:
        OptionsError: A region was named; frames have no regions.
        SourceError: A source does not exist.
    """

    def __init__(self, sources: Sequence[str | Path], options: SeriesOptions) -> None:
        super().__init__(options)
        if options.region:
            raise OptionsError("region is for an exported folder that has several; frames have none")
        self._found = product_guard(scan(sources, options.selection, self.tally))
        self._task: partial[Sampled] | None = None  # once there is a sound frame

    def read(self, folder: Path) -> Generator[Sampled]:
        """Yield the numbers of each frame, see `Reader.read`."""
        with (
            reading(self._found) as found,
            closing(with_twins(partial(self._sampled, folder), found, self.options.selection, self.tally)) as results,
        ):
            yield from results

    def _sampled(self, folder: Path, listed: Iterator[Found]) -> Generator[Sampled]:
        options = self.options
        first, opened = None, None
        for one in listed:
            try:
                opened = decode_found(one, options.chosen_block, options.registration)
            except HsrGeoError as error:
                yield of_found(one, "failed", error=error), None
                continue
            first = one
            break
        if first is None or opened is None:
            return
        if self._task is None:
            self.settle_law(opened.quantity)
            kept = folder / "weights.npz"
            self.place(opened.grid).save(kept)
            self._task = partial(
                _sampled,
                job=sampling_of(options, kept, opened.grid),
                block=options.chosen_block,
                registration=options.registration,
            )
        opened = None
        found = chain([first], listed)
        with closing(run_each(self._task, found, _BATCH, count_workers(options.jobs))) as results:
            for batch in results:
                yield from batch


def _sampled(found: Found, job: Sampling, block: Block, registration: Registration) -> Sampled:
    """Runs in a worker."""
    begun = time.perf_counter()
    outcome = of_found(found, "ok")
    try:
        frame = decode_found(found, block, registration)
        if frame.grid != job.grid:
            raise other_grid(job.grid, frame.grid, found.source, found.member)  # noqa: TRY301
        numbers = _numbers(frame, job, found)
        outcome = with_header(outcome, frame)
    except HsrGeoError as error:
        return dataclasses.replace(outcome, status="failed", error=error), None
    except Exception as error:
        error.add_note(f"while reading {outcome.label}")
        raise
    return dataclasses.replace(outcome, seconds=time.perf_counter() - begun), numbers


def _numbers(frame: Frame, job: Sampling, found: Found) -> Numbers:
    try:
        frame = job.cleaning.of(frame) if job.cleaning else frame
        table = table_for(frame.quantity, job, frame.time)
    except FrameError as error:
        raise error.at(found.source, found.member) from None
    return _sampler(job.weights, job.grid.width).sample(frame.stored, frame.quantity, table, job.wet_from)


@lru_cache(maxsize=2)
def _sampler(weights: Path, width: int) -> Sampler:
    return Sampler(load_weights(weights), width)
