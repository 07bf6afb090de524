"""The run that makes a cube: sources in, one Zarr store, NetCDF file or reference out.

First every frame is unpacked and checked, in parallel; then the cube is built. A builder decides what happens to the
frames between, and what the cube is built of (`hsrgeo.engine.cube.stored_builder`,
`hsrgeo.engine.cube.virtual_builder`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from hsrgeo.cube.extra import need
from hsrgeo.engine.areas import check_areas
from hsrgeo.engine.cube.cube_frames import Builder
from hsrgeo.engine.cube.cube_options import CubeOptions
from hsrgeo.engine.cube.stored_builder import BucketBuilder, DiskBuilder
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.lazy import Run, with_twins
from hsrgeo.engine.one_product import product_guard, refuse_products
from hsrgeo.engine.workers.parallel import run_each
from hsrgeo.outputs.lease import Lock
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.outcome import Outcome, of_found
from hsrgeo.sources.found import Found, Tally, reading
from hsrgeo.sources.remote import Place, RemotePath, listed_sources, target
from hsrgeo.sources.scan import scan, scan_twins

_BATCH = 4  # frames that go to a worker at a time


class Cube(Run):
    """A run, see `make_cube`: iterate it to make it happen; each outcome comes as soon as the frame was worked on.

    A frame that loses to a better one that comes later is yielded twice, the second time as a duplicate with `was` set.

    Raises:
        MissingExtraError: A library of the extra is not installed.
        OptionsError: An unknown kind of output, areas outside every grid, or frames of several products.
        SourceError: A source does not exist, or what is there is no cube.
        ManifestError: The cube was made with other options.
        LockError: Another run is making it.
        OutputExistsError: What is there is not a cube made by hsrgeo, or a reference that is not to be replaced.
    """

    def __init__(self, sources: Sequence[str | Path], out: Place, options: CubeOptions) -> None:
        super().__init__(Tally())
        self.built = 0
        """Times in the cube, known in the end."""
        self.missing = 0
        """Times that should be in it and are not, known in the end; those of broken frames are among them."""
        self.dry = 0
        """Times that `ExportOptions.min_wet` left out, known in the end."""
        form = options.form(out)
        for module in ("xarray", "dask", "netCDF4" if form == "netcdf" else "zarr"):
            need(module)
        self.notes += check_areas(options.frames.recipe)
        self._options = options
        refuse_products(sources, options.frames.selection)
        self._found = product_guard(scan(sources, options.frames.selection, self.tally))
        with nullcontext() if isinstance(out, Path) and not out.parent.is_dir() else locked(out):
            self._builder(sources, out)  # refuses before the work begins
        self._items = self._run(sources, out)

    def _builder(self, sources: Sequence[str | Path], out: Place) -> Builder:
        """Return where the cube is made, as the disk is now; only while the lock is there."""
        options = self._options
        if not options.virtual:
            recipe = options.recipe(options.form(out))
            if isinstance(out, RemotePath):
                return BucketBuilder(out, options, recipe)
            return DiskBuilder(out, options, recipe)
        from hsrgeo.engine.cube.virtual_builder import VirtualBuilder  # noqa: PLC0415 - needs the extra

        return VirtualBuilder(sources, out, options)

    def _run(self, sources: Sequence[str | Path], out: Place) -> Generator[Outcome]:
        with locked(out) as lock:
            yield from self._make(self._builder(sources, out), lock)

    def _make(self, builder: Builder, lock: Lock[Any]) -> Generator[Outcome]:
        frames = self._options.frames
        builder.prepare()
        failed: set[datetime] = set()
        with reading(self._found) as found:
            listed: Iterator[Found] = found
            shape, taken = builder.shape(listed)
            if shape is None:
                for one in taken:
                    outcome = one if isinstance(one, Outcome) else of_found(one, "failed")
                    if outcome.frame_name:
                        failed.add(outcome.frame_name.time.astimezone(UTC))
                    yield outcome
                listed = scan_twins(frames.selection, self.tally)
                shape, taken = builder.shape(listed)
            if shape is None:
                yield from (one if isinstance(one, Outcome) else of_found(one, "failed") for one in taken)
                return
            contest, task = builder.contest(), builder.work(shape)

            def work(some: Iterator[Found | Outcome]) -> Generator[list[Outcome]]:
                return run_each(task, map(contest.admit, some), _BATCH, frames.workers)

            with closing(with_twins(work, chain(taken, listed), frames.selection, self.tally)) as results:
                for batch in results:
                    lock.check()
                    for outcome in batch:
                        if outcome.status == "failed" and outcome.frame_name:
                            failed.add(outcome.frame_name.time.astimezone(UTC))
                        yield from contest.settle(outcome)
                        if outcome.status == "failed" and frames.fail_fast:
                            return
        lock.check()
        self.built, self.missing, self.dry = builder.build(shape, failed, lock.check)


@takes(CubeOptions, ExportOptions)
def make_cube(
    sources: str | Path | Sequence[str | Path], out: str | Place, options: CubeOptions | None = None, **keywords: object
) -> Cube:
    """Make one cube of every wanted frame of the sources, or add them to it; iterate the result, or call its `run`.

    Args:
        sources: A file, folder, glob or archive, or several.
        out: ``NAME.zarr`` or ``NAME.nc``; with `CubeOptions.virtual` ``NAME.json`` or ``NAME.parquet``.
        options: What to make; the default is every frame, whole, clean, in the layout map.
        keywords: Fields of `CubeOptions` and of `ExportOptions`, in place of those of `options`.

    Returns:
        An iterator over the outcome of each frame. A broken frame is an outcome, not an exception; its time goes into
        the cube's ``missing_times``.

    Raises:
        MissingExtraError: A library of the extra ``cube`` is not installed.
        OptionsError: An area lies outside every grid, or the name does not end as it should; of a reference, an
            archive is compressed as a whole.
        SourceError: A source does not exist.
        ManifestError: The cube was made with other options.
        OutputExistsError: What is there is not a cube made by hsrgeo, or a reference that is not to be replaced.
    """
    listed = listed_sources(sources)
    return Cube(listed, target(out), options_of(CubeOptions, options, keywords, frames=ExportOptions))
