"""The run: sources in, files and a manifest out."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from itertools import chain, combinations
from pathlib import Path

from hsrgeo.engine.areas import check_areas
from hsrgeo.engine.export.ledger import Ledger
from hsrgeo.engine.export.removal import Removal, lies_below
from hsrgeo.engine.export.work import Task, leftovers, work
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.lazy import Run, with_twins
from hsrgeo.engine.workers.admission import Shared
from hsrgeo.engine.workers.cluster import Cluster
from hsrgeo.engine.workers.parallel import run_parallel, scan_for, seen_by
from hsrgeo.errors import HsrGeoWarning, ManifestError, NoRoomError, OptionsError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.quantity import RAIN_RATE
from hsrgeo.model.times import time_label
from hsrgeo.outputs.kept_recipe import keep_recipe, recipe_of, refuse_other_recipe
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import OPTIONS
from hsrgeo.outputs.outcome import Outcome, Output, Status, of_found
from hsrgeo.outputs.recipe import Recipe, parts_kinds
from hsrgeo.outputs.summed import is_summed
from hsrgeo.outputs.taken import refuse_cube
from hsrgeo.products.rain import law_text
from hsrgeo.sources.found import Found, Tally, reading
from hsrgeo.sources.listing import Listing, listed_files
from hsrgeo.sources.remote import Place, listed_sources, target
from hsrgeo.sources.scan import names_in_files, products_in_names
from hsrgeo.sources.several import as_reference
from hsrgeo.writers.files import remove_file
from hsrgeo.writers.rasters import RASTERS

_BATCH_TASKS = 4
_BATCH_ENTRIES = 256
# ^ tasks, and tasks with outcomes known before, that go to a worker at a time
_GATHERED, _GATHERED_S = 64, 1.0
# ^ so many frames, or those of so many seconds, are flushed to disk together
_THERE: tuple[Status | None, ...] = ("ok", "skipped", "dry")
_MOST_IN_VAIN = 10
# ^ frames in a row that find no room before a run gives up; fewer, and a moment without room would end it


class Export(Run):
    """A run: iterate it to make it happen; each outcome comes as soon as it is certain.

    A frame that loses to a better one that comes later is yielded twice, the second time as a duplicate with `was` set.

    Args:
        sources: Files, folders, globs and archives, or their listing.
        out: The output folder, here or in a bucket.
        options: What to export and how.
        changing: Whether the sources change between runs into OUT, as under a watch.

    Raises:
        OptionsError: Areas outside every grid; an output folder that cannot be written to; names of files of several
            products that would become the same path.
        SourceError: A source does not exist.
        ManifestError: OUT was made with other options.
    """

    def __init__(
        self, sources: Sequence[str | Path] | Listing, out: Place, options: ExportOptions, *, changing: bool = False
    ) -> None:
        super().__init__(Tally())
        refuse_cube(out)
        if is_summed(out):
            raise OptionsError(f"{out}: has sums or gauge fields; frames go to a folder of their own")
        self.written_bytes = 0
        """Size of the files written, so far."""
        self.notes += [*options.notes, *check_areas(options.recipe)]
        self._factors = options.recipe.factors
        self._there = self._without_factor = 0
        self._changing = changing
        if self._factors is not None:
            law = options.recipe.law
            self._factors.refuse_law(str(law), law_text(RAIN_RATE, None, law))
        files = listed_files(sources)
        _refuse_collisions(files, options)
        self._found = scan_for(options.crew, files, options.selection, self.tally)
        if not options.overwrite:
            refuse_other_recipe(out, options.recipe)
        self._items = self._plan(options) if options.dry_run else self._run(out, options)

    def __next__(self) -> Outcome:
        outcome = super().__next__()
        self._count_factors(outcome)
        if outcome.status == "ok":
            self.written_bytes += sum(output.bytes for output in outcome.outputs)
        return outcome

    def _count_factors(self, outcome: Outcome) -> None:
        """Count the frames that are there, and those of them without a factor of the bias."""
        factors = self._factors
        if factors is None or outcome.frame_name is None:
            return
        change = (outcome.status in _THERE) - (outcome.was in _THERE)
        self._there += change
        self._without_factor += change * (factors.at(outcome.frame_name.time) is None)

    def _run(self, out: Place, options: ExportOptions) -> Generator[Outcome]:
        recipe = options.recipe
        if options.overwrite:
            first = next(self._found, None)
            if first is None:
                return  # what is there is not replaced by nothing
            self._found = _with_first(first, self._found)
            _clear_other_recipe(out, recipe)
        by_kind = parts_kinds(recipe.name)
        with Manifest(out, by_kind=by_kind, sync=options.sync) as manifest, reading(self._found) as found:
            # Another run may have begun and ended since.
            if not options.overwrite and refuse_other_recipe(out, recipe):
                message = f"{out / OPTIONS} was lost or damaged: every frame is looked at again"
                warnings.warn(message, HsrGeoWarning, stacklevel=1)
                manifest.distrust()
            keep_recipe(out, recipe, sync=options.sync)
            far = isinstance(options.crew, Cluster)
            ledger = Ledger(manifest, recipe, overwrite=options.overwrite, sync=options.sync, changing=self._changing)
            out_there = seen_by(options.crew, out)
            task = partial(work, out=out_there, recipe=recipe, sync=far and options.sync, mark=ledger.mark)

            def work_on(some: Iterator[Found]) -> Generator[list[Outcome]]:
                entries = map(_by_reference, map(ledger.admit, some)) if far else map(ledger.admit, some)
                return _results(entries, task, options.crew, Shared(out, OPTIONS))

            with closing(with_twins(work_on, found, options.selection, self.tally)) as results:
                in_vain, all_read = 0, True
                for batch in _gathered(results, at_once=options.fail_fast or not options.sync):
                    settled = ledger.settle(*batch)
                    stop = next((n for n, one in enumerate(settled, 1) if one.status == "failed"), None)
                    if options.fail_fast and stop:
                        yield from settled[:stop]
                        all_read = False
                        break
                    yield from settled
                    in_vain = _in_vain(out, settled, in_vain)
            ledger.finish(all_read=all_read)
            if not len(manifest):  # OUT stays free for the corrected command
                remove_file(out / OPTIONS)  # first, as below
                manifest.remove()
        if self._factors is not None:
            self.notes += self._factors.note(self._without_factor, self._there)

    def _plan(self, options: ExportOptions) -> Generator[Outcome]:
        for found in self._found:
            if found.error or found.frame_name is None:
                yield of_found(found, "failed", error=found.error)
                continue
            stems = [options.recipe.stem(found.frame_name, cut.region) for cut in options.recipe.cuts]
            suffixes = [RASTERS[name].suffixes[0] for name in options.recipe.formats]
            outputs = tuple(Output(stem + suffix, 0, 0) for stem in stems for suffix in suffixes)
            yield dataclasses.replace(of_found(found, "planned"), outputs=outputs)


@takes(ExportOptions)
def export(
    sources: str | Path | Sequence[str | Path],
    out: str | Place,
    options: ExportOptions | None = None,
    **keywords: object,
) -> Export:
    """Export every wanted frame of the sources; iterate the result to make it happen, or call its `run`.

    Args:
        sources: A file, folder, glob or archive, or several.
        out: The output folder, or the URL of one in a bucket (as text). It also gets ``manifest.jsonl`` and
            ``options.json``. The same call again does only what is missing.
        options: What to export and how; the default is every frame, whole, as COG and PNG.
        keywords: Fields of `ExportOptions`, in place of those of `options`.

    Returns:
        An iterator over the outcome of each frame. A broken frame is an outcome, not an exception.

    Raises:
        OptionsError: An area lies outside every grid.
        SourceError: A source does not exist.
        ManifestError: The folder was exported with other options.
        WriteError: The manifest cannot be written; as `NoRoomError` also where frame after frame finds no room.
    """
    listed = listed_sources(sources)
    return Export(listed, target(out), options_of(ExportOptions, options, keywords))


def _refuse_collisions(files: Listing, options: ExportOptions) -> None:
    """Refuse files of two products that would become the same path, before anything is written.

    What an archive holds is not known yet: there the second one fails.
    """
    if len(products_in_names(files)) < 2:  # noqa: PLR2004 - two would clash
        return
    times: dict[str, dict[datetime, FrameName]] = {}
    for frame_name in names_in_files(files, options.selection):
        times.setdefault(frame_name.product, {})[frame_name.time] = frame_name
    for one, other in combinations(sorted(times), 2):
        for moment in sorted(times[one].keys() & times[other].keys()):
            path = options.recipe.first_path(times[one][moment])
            if path == options.recipe.first_path(times[other][moment]):
                raise OptionsError(
                    f"{one} and {other} of {time_label(moment)} would both become {path}: choose one with "
                    "--product, or give each its own path with --name, such as {product}/{time:%Y%m/%d/%Y%m%d%H%M}"
                )


def _with_first(first: Found, rest: Iterator[Found]) -> Iterator[Found]:
    yield first
    yield from rest


def _by_reference(entry: Task | Outcome) -> Task | Outcome:
    return dataclasses.replace(entry, found=as_reference(entry.found)) if isinstance(entry, Task) else entry


def _results(
    entries: Iterator[Task | Outcome],
    task: Callable[[list[Task | Outcome]], list[Outcome]],
    crew: int | Cluster,
    shared: Shared,
) -> Generator[list[Outcome]]:
    """Yield the outcomes of entries; no worker starts before there is a task."""
    for entry in entries:
        if isinstance(entry, Task):
            with closing(run_parallel(task, _batches(chain([entry], entries)), crew, shared)) as results:
                yield from results
            return
        yield [entry]


def _batches(entries: Iterable[Task | Outcome]) -> Iterator[list[Task | Outcome]]:
    batch: list[Task | Outcome] = []
    tasks = 0
    for entry in entries:
        batch.append(entry)
        tasks += isinstance(entry, Task)
        if tasks == _BATCH_TASKS or len(batch) == _BATCH_ENTRIES:
            yield batch
            batch, tasks = [], 0
    if batch:
        yield batch


def _gathered(results: Iterable[list[Outcome]], *, at_once: bool) -> Iterator[list[Outcome]]:
    """Yield outcomes, many at a time: the disk is waited for once for all of them; a failure comes at once."""
    waiting: list[Outcome] = []
    since = time.monotonic()
    failure: BaseException | None = None
    try:
        for batch in results:
            waiting += batch
            failed = any(one.status == "failed" for one in batch)
            if at_once or failed or len(waiting) >= _GATHERED or time.monotonic() - since > _GATHERED_S:
                done, waiting = waiting, []
                yield done
                since = time.monotonic()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - raised again: what is done is written down all the same
        failure = error
    if waiting:
        yield waiting
    if failure is not None:
        raise failure


def _in_vain(out: Place, settled: Iterable[Outcome], before: int) -> int:
    """Return how many frames in a row found no room; none was written in between.

    Raises:
        NoRoomError: Too many: it would be useless to unpack the rest of an archive.
    """
    for outcome in settled:
        if outcome.status == "ok":
            before = 0
        elif isinstance(outcome.error, NoRoomError):
            before += 1
            if before == _MOST_IN_VAIN:
                problem = outcome.error.problem
                raise NoRoomError(str(out), f"stopped: {before} frames in a row {problem}")
    return before


def _names(out: Place) -> Callable[[Outcome], set[str] | None]:
    """Return what gives the paths that a frame's outputs have by the recipe of a folder; None where it is lost."""
    try:
        recipe = recipe_of(out)
    except ManifestError:
        return lambda _outcome: None
    suffixes = dataclasses.replace(recipe, sidecars=True).every_suffix

    def names(outcome: Outcome) -> set[str]:
        frame_name = outcome.frame_name
        return (
            {recipe.stem(frame_name, cut.region) + suffix for cut in recipe.cuts for suffix in suffixes}
            if frame_name
            else set()
        )

    return names


def _clear_other_recipe(out: Place, recipe: Recipe) -> None:
    """Remove the outputs that the manifest of a run with another recipe lists, and nothing else."""
    other = True
    with suppress(ManifestError):
        other = refuse_other_recipe(out, recipe)
    if other:
        with Manifest(out) as manifest:
            removal = Removal(out)
            named = _names(out)
            for outcome in manifest:
                names = named(outcome)
                for output in outcome.outputs:
                    removal.remove(output, named=names is None or output.path in names)
            folders = [out / name for name in manifest.folders]
            for path in leftovers([one for one in folders if not isinstance(one, Path) or lies_below(one, out)]):
                remove_file(path)
            removal.tell()
            from hsrgeo.engine.export.beside import made_beside  # noqa: PLC0415 - only here, and slow to import

            beside = made_beside(out) if isinstance(out, Path) else ()
            for path in beside:  # they would show the new files with the old colours and places
                if lies_below(path, out):
                    remove_file(path)
            remove_file(out / OPTIONS)  # first: a manifest without options is still understood
            manifest.remove()
