"""The numbers of a series from exported COGs: of each only the tiles that hold places are read."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path

from hsrgeo.engine.one_product import product_guard
from hsrgeo.engine.series.reader import OutputReader, Sampled, Sampling, other_grid, sampling_of, table_for
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.engine.workers.parallel import run_each
from hsrgeo.errors import FrameError, HsrGeoError, ReadbackError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity, quantity_of_tags
from hsrgeo.model.times import export_step, utc_text
from hsrgeo.outputs.folder import Exported, exported_frames
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.places.gather import Piece, gather, pieces_of
from hsrgeo.places.sampling import Sampler
from hsrgeo.places.weights import load_weights
from hsrgeo.writers.cog_part import OpenCog, opened_cog

_BATCH = 16


class ExportReader(OutputReader):
    """Reads the COGs of an export.

    Args:
        source: Its folder, or a STAC catalogue of it.
        options: Which places and times; which of its regions.

    Raises:
        OptionsError: Several regions or products, and none chosen; no COGs.
        ManifestError: The folder is damaged.
        SourceError: The catalogue is.
        MissingExtraError: The catalogue is a table, and pyarrow is not installed.
    """

    def __init__(self, source: Path, options: SeriesOptions) -> None:
        super().__init__(source, options)
        times: set[datetime] = set()
        listed = exported_frames(source, options.selection, options.region, self.tally, times)
        self._entries = list(product_guard(listed))
        self.step = options.every or export_step(times)

    def read(self, folder: Path) -> Generator[Sampled]:
        """Yield the numbers of each COG, see `Reader.read`."""
        self.tally.total_bytes = len(self._entries)  # for progress only: COGs are as good a measure
        for at, first in enumerate(self._entries):
            try:
                contents, left = _contents(first), self._entries[at:]
            except HsrGeoError as error:
                self.tally.read_bytes += 1
                yield _outcome(first, error), None
                continue
            break
        else:
            return
        self.check_held(contents.quantity, contents.grid, contents.law, contents.bias)
        kept = folder / "weights.npz"
        self.place(contents.grid).save(kept)
        job = _Job(sampling_of(self.options, kept, contents.grid), contents)
        workers = count_workers(self.options.jobs)
        with closing(run_each(partial(_sampled, job=job), left, _BATCH, workers)) as results:
            for batch in results:
                self.tally.read_bytes += len(batch)
                yield from batch


@dataclass(frozen=True, slots=True)
class Contents:
    """What every COG of an export has in common."""

    grid: Grid
    quantity: Quantity
    law: str
    """How rain followed from reflectivity, or empty."""
    tile: tuple[int, int]
    bias: str = ""
    """Name of the bias that its rain was adjusted by, or empty."""


@dataclass(frozen=True, slots=True)
class _Job:
    sampling: Sampling
    contents: Contents


def _contents(entry: Exported) -> Contents:
    if entry.error is not None:
        raise entry.error
    with opened_cog(entry.path) as cog:
        return contents_of(cog, str(entry.path), entry.frame_name)


def contents_of(cog: OpenCog, path: str, frame_name: FrameName | None) -> Contents:
    """Return what a COG has in common with the others of its export.

    Raises:
        ReadbackError: It is not a COG written by hsrgeo, or of another time.
    """
    facts, tags = cog.facts, cog.facts.tags
    quantity = quantity_of_tags(tags)
    if quantity is None or not facts.wkt2:
        lacking = "CRS" if quantity is not None else "quantity that is known"
        raise ReadbackError(path, f"is not a COG written by hsrgeo: it names no {lacking}")
    start = tags.get("TIME_START_UTC", "")
    if frame_name is not None and _time(start) != frame_name.time:
        raise ReadbackError(path, f"has the time {start or 'of no frame'}, not {utc_text(frame_name.time)}")
    grid = Grid(tags.get("GRID", ""), facts.wkt2, facts.transform, facts.width, facts.height)
    return Contents(grid, quantity, tags.get("RAIN_LAW", ""), cog.tile, tags.get("BIAS_SOURCE", ""))


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _sampled(entry: Exported, job: _Job) -> Sampled:
    """Runs in a worker."""
    begun = time.perf_counter()
    if entry.error is not None:
        return _outcome(entry, entry.error), None
    try:
        wanted = job.sampling
        with opened_cog(entry.path) as cog:
            contents = contents_of(cog, str(entry.path), entry.frame_name)
            check_like(contents, job.contents, str(entry.path))
            pieces, sampler = _sampler(wanted.weights, wanted.grid.width, job.contents.tile)
            codes = gather(pieces, lambda piece: cog.read(piece.rows, piece.cols), 1)
        table = table_for(contents.quantity, wanted, entry.frame_name.time if entry.frame_name else None)
        numbers = sampler.sample_cells(codes, contents.quantity, table, wanted.wet_from)[0]
    except HsrGeoError as error:
        return _outcome(entry, error), None
    except Exception as error:
        error.add_note(f"while reading {entry.label}")
        raise
    return dataclasses.replace(_outcome(entry), seconds=time.perf_counter() - begun), numbers


def check_like(contents: Contents, first: Contents, path: str) -> None:
    """Refuse a COG that is not like the first.

    Raises:
        FrameError: It lies elsewhere, or holds another quantity.
    """
    if contents.grid != first.grid:
        raise other_grid(first.grid, contents.grid, path)
    if contents.bias != first.bias:
        raise FrameError("another bias", first.bias or "none, as the first", contents.bias or "none", path)
    if contents.quantity != first.quantity:
        raise FrameError("another quantity", f"{first.quantity.name}, as the first", contents.quantity.name, path)


@lru_cache(maxsize=2)
def _sampler(weights: Path, width: int, tile: tuple[int, int]) -> tuple[list[Piece], Sampler]:
    loaded = load_weights(weights)
    return pieces_of(loaded.cells, width, tile), Sampler(loaded, width)


def _outcome(entry: Exported, error: HsrGeoError | None = None) -> Outcome:
    return Outcome(
        source=entry.label if error is not None and entry.error is not None else str(entry.path),
        member=None,
        frame_name=entry.frame_name,
        status="ok" if error is None else "failed",
        error=error,
    )
