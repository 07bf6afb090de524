"""The run: sources in, files and a manifest out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from hsrgeo.engine.beside import made_beside
from hsrgeo.engine.ledger import Ledger
from hsrgeo.engine.manifest import MANIFEST, OPTIONS, Manifest, keep_recipe, refuse_other_recipe
from hsrgeo.engine.options import ExportOptions, check_areas
from hsrgeo.engine.outcome import Outcome, Output, Status, of_found
from hsrgeo.engine.parallel import run_parallel
from hsrgeo.engine.recipe import SUFFIXES, Recipe
from hsrgeo.engine.work import Task, leftovers, remove_output, work
from hsrgeo.errors import ManifestError
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.scan import scan

_BATCH_TASKS = 4
_BATCH_ENTRIES = 256
# ^ tasks, and tasks with outcomes known before, that go to a worker at a time


class Export(Iterator[Outcome]):
    """A run: iterate it to make it happen; each outcome comes as soon as it is certain.

    A frame that loses to a better one that comes later is told twice, the second time as a duplicate with `was` set.

    Args:
        sources: Files, folders, globs and archives.
        out: The output folder.
        options: What to export and how.

    Raises:
        OptionsError: Areas outside every grid.
        SourceError: A source does not exist.
        ManifestError: OUT was made with other options.
    """

    def __init__(self, sources: Sequence[str | Path], out: Path, options: ExportOptions) -> None:
        self.tally = Tally()
        """What went by while the sources were read."""
        self.counts: Counter[Status] = Counter()
        """Frames by status, so far."""
        self.written_bytes = 0
        """Size of the files written, so far."""
        self.notes = check_areas(options.recipe)
        """What a user should know before it starts: areas cut at the edge of the grid."""
        self._found = scan(sources, options.selection, self.tally)
        if not options.overwrite:
            refuse_other_recipe(out, options.recipe)
        self._outcomes = self._plan(options) if options.dry_run else self._run(out, options)

    def __next__(self) -> Outcome:
        outcome = next(self._outcomes)
        self.counts[outcome.status] += 1
        if outcome.was:
            self.counts[outcome.was] -= 1
        if outcome.status == "ok":
            self.written_bytes += sum(output.bytes for output in outcome.outputs)
        return outcome

    def close(self) -> None:
        """End the run early; what is done stays done."""
        self._outcomes.close()

    def _run(self, out: Path, options: ExportOptions) -> Generator[Outcome]:
        recipe = options.recipe
        if options.overwrite:
            _clear_other_recipe(out, recipe)
        with Manifest(out) as manifest, closing(_closable(self._found)) as found:
            keep_recipe(out, recipe)
            ledger = Ledger(manifest, recipe, overwrite=options.overwrite)
            batches = _batches(map(ledger.admit, found))
            task = partial(work, out=out, recipe=recipe)
            with closing(run_parallel(task, batches, options.workers)) as results:
                for batch in results:
                    settled = [outcome for done in batch for outcome in ledger.settle(done)]
                    stop = next((n for n, one in enumerate(settled, 1) if one.status == "failed"), None)
                    if options.fail_fast and stop:
                        yield from settled[:stop]
                        break
                    yield from settled
            ledger.finish()
            nothing_there = not len(manifest)
        if nothing_there:  # OUT stays free for the corrected command
            (out / MANIFEST).unlink(missing_ok=True)
            (out / OPTIONS).unlink(missing_ok=True)

    def _plan(self, options: ExportOptions) -> Generator[Outcome]:
        for found in self._found:
            if found.error or found.told is None:
                yield of_found(found, "failed", error=found.error)
                continue
            stems = [options.recipe.stem(found.told, cut.region) for cut in options.recipe.cuts]
            suffixes = [SUFFIXES[name][0] for name in options.recipe.formats]  # what lies beside goes without saying
            outputs = tuple(Output(stem + suffix, 0, 0) for stem in stems for suffix in suffixes)
            yield dataclasses.replace(of_found(found, "planned"), outputs=outputs)


def export(sources: str | Path | Sequence[str | Path], out: str | Path, options: ExportOptions | None = None) -> Export:
    """Export every wanted frame of the sources; iterate the result to make it happen.

    Args:
        sources: A file, folder, glob or archive, or several.
        out: The output folder, which also gets ``manifest.jsonl`` and ``options.json``. The same call again does
            only what is missing.
        options: What to export and how; the default is every frame, whole, as COG and PNG.

    Returns:
        An iterator over the outcome of each frame. A broken frame is an outcome, not an exception.

    Raises:
        OptionsError: An area lies outside every grid.
        SourceError: A source does not exist.
        ManifestError: The folder was exported with other options.
    """
    listed = [sources] if isinstance(sources, (str, Path)) else list(sources)
    return Export(listed, Path(out), options or ExportOptions())


def _closable(found: Iterator[Found]) -> Generator[Found]:
    # joblib keeps the iterator that it was given, and with it an open archive, when it is closed early.
    yield from found


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


def _clear_other_recipe(out: Path, recipe: Recipe) -> None:
    """Remove what a run with another recipe wrote, as its manifest tells; nothing else is touched."""
    try:
        refuse_other_recipe(out, recipe)
    except ManifestError:
        with Manifest(out) as manifest:
            for output in (output for outcome in manifest for output in outcome.outputs):
                remove_output(out / output.path)
            for path in (path for folder in manifest.folders for path in leftovers(out / folder)):
                remove_output(path)
        for path in made_beside(out):  # they would show the new files with the old colours and places
            remove_output(path)
        remove_output(out / OPTIONS)  # first: a manifest without options is still understood
        remove_output(out / MANIFEST)
