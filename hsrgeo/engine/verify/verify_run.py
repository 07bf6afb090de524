"""The check: an output folder against the sources it was made from."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from hsrgeo.engine.lazy import Lazy
from hsrgeo.engine.verify.compare import compare_outputs
from hsrgeo.engine.verify.findings import EDITED, NOT_EXPORTED, Difference
from hsrgeo.engine.workers.admission import Shared
from hsrgeo.engine.workers.cluster import Cluster
from hsrgeo.engine.workers.crew import workers_for
from hsrgeo.engine.workers.parallel import run_each, scan_for, seen_by
from hsrgeo.errors import ArchiveError, FrameError, HsrGeoError, ReadbackError, WriteError
from hsrgeo.formats.names import FrameName, preference
from hsrgeo.model.frame import Frame
from hsrgeo.outputs.journal import is_output, not_an_output
from hsrgeo.outputs.kept_recipe import recipe_of
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import LATEST, MANIFEST, OPTIONS
from hsrgeo.outputs.outcome import CLASH, Outcome, Output, key_of, of_found, with_header
from hsrgeo.outputs.recipe import Recipe, parts_kinds
from hsrgeo.reading import blocks_found
from hsrgeo.sources.found import Found, Tally, reading
from hsrgeo.sources.remote import Place, RemotePath, listed_sources, place
from hsrgeo.sources.select import Selection
from hsrgeo.sources.several import as_reference
from hsrgeo.writers.files import write_file
from hsrgeo.writers.readback import reader_name

__all__ = ["EDITED", "NOT_EXPORTED", "Counts", "Difference", "Verification", "verify"]

_BATCH = 4  # frames that go to a worker at a time


@dataclass(slots=True)
class Counts:
    """What a check has seen so far."""

    differences: int = 0
    frames: int = 0
    """Frames whose outputs were compared."""
    files: int = 0
    """Files compared."""
    edited: int = 0
    """Sidecars that another program wrote anew, with the same place and scale; no differences."""
    uncovered: int = 0
    """Outputs of frames that the sources do not hold: not compared."""
    unexported: int = 0
    """Frames of the sources that the manifest does not know; an export may have been asked for fewer."""
    unlisted: list[str] = field(default_factory=list)
    """COGs below a folder of this machine that its manifest does not list, known at the end: no differences."""


NOT_GIVEN = "not in the sources given"
"""Problem of a frame that nothing was compared with."""


class Verification(Lazy[Difference]):
    """A check of an output folder: iterate it to make it happen; each difference comes as soon as it is known.

    Args:
        out: The output folder.
        sources: What it was exported from.
        workers: Processes of this machine, or a cluster.

    Raises:
        ManifestError: There is no manifest, or no options beside it.
        SourceError: A source does not exist.
    """

    def __init__(self, out: Place, sources: Sequence[str | Path], workers: int | Cluster) -> None:
        self.reader = reader_name()
        """Which build of GDAL reads."""
        self.tally = Tally()
        """Counts of the files that were read or passed over."""
        self.counts = Counts()
        if not is_output(out):
            raise not_an_output(out)
        found = scan_for(workers, sources, Selection(), self.tally)
        self._items = _check(out, recipe_of(out), found, workers, self.counts)

    def __next__(self) -> Difference:
        difference = super().__next__()
        if difference.problem == EDITED:
            self.counts.edited += 1
        else:
            self.counts.differences += 1
        return difference

    @property
    def summary(self) -> str:
        """What was done, in one line."""
        counts = self.counts
        frames, differences = ("s" * (count != 1) for count in (counts.frames, counts.differences))
        compared = f"{counts.files:,} file{'s' * (counts.files != 1)} of {counts.frames:,} frame{frames} compared"
        parts = [f"{compared}, {counts.differences:,} difference{differences}"]
        if counts.edited:
            parts.append(f"{counts.edited:,} {EDITED}, with the same place and scale")
        if counts.uncovered:
            frames = "its frame" if counts.uncovered == 1 else "their frames"
            parts.append(
                f"{counts.uncovered:,} file{'s' * (counts.uncovered != 1)} not compared: the sources lack {frames}"
            )
        if counts.unexported:
            were = "frame of the sources was" if counts.unexported == 1 else "frames of the sources were"
            parts.append(f"{counts.unexported:,} {were} not exported")
        return "; ".join(parts)

    def _so_far(self) -> list[str]:
        return [self.summary]


def verify(
    out: str | Place,
    sources: str | Path | Sequence[str | Path],
    *,
    jobs: int = -1,
    dask: str | None = None,
    dask_wait_s: float | None = None,
) -> Verification:
    """Compare every output of an export with a fresh decode of its sources; iterate the result, or call its `run`.

    Pixels and overviews are compared bit for bit, place, tags and the structure of COGs one by one. Nothing is
    written. A frame is known by its source and member, or, where an archive was moved, by product, time and CRC-32.

    Args:
        out: The output folder, with its ``manifest.jsonl`` and ``options.json``.
        sources: A file, folder, glob or archive, or several: what was exported.
        jobs: Processes; -1 is one a core, 1 works in this process.
        dask: Address or scheduler file of a Dask cluster that does the work, in place of `jobs`.
        dask_wait_s: How long the cluster's scheduler, or a worker, is waited for [s]; a minute where None.

    Returns:
        An iterator over the differences; none means that everything is right. A problem that is `EDITED` is no
        difference: another program has added statistics to the sidecar of a PNG.

    Raises:
        OptionsError: An impossible number of jobs, or jobs and a cluster.
        SourceError: A source does not exist.
        ManifestError: The folder is not the OUT of an export, or its manifest is damaged.
    """
    listed = listed_sources(sources)
    return Verification(place(out), listed, workers_for(jobs, dask, dask_wait_s))


def _check(
    out: Place, recipe: Recipe, frames: Iterator[Found], workers: int | Cluster, counts: Counts
) -> Generator[Difference]:
    covered: set[int] = set()  # hashes of labels: a manifest may have half a million
    strangers: list[Difference | None] = []  # filled where the sources are read, which is another thread
    parted = parts_kinds(recipe.name)
    with Manifest(out, read_only=True, by_kind=parted) as manifest, reading(frames) as found:
        tasks = _tasks(found, manifest, strangers)
        listed_tasks = map(_by_reference, tasks) if isinstance(workers, Cluster) else tasks
        check = partial(check_frame, out=seen_by(workers, out), recipe=recipe)
        with closing(run_each(check, listed_tasks, _BATCH, workers, Shared(out, OPTIONS, written=False))) as results:
            for checked in chain.from_iterable(results):
                if checked.covers and hash(checked.covers) not in covered:
                    covered.add(hash(checked.covers))
                    counts.frames += 1
                    counts.files += checked.files
                counts.unexported += checked.unexported
                yield from checked.differences
        counts.unexported += len(strangers)
        yield from filter(None, strangers)
        listed: set[int] = set()  # hashes of paths
        for line in manifest:
            listed.update(hash(output.path) for output in line.outputs)
            yield from _check_line(line, covered, counts)
        if isinstance(out, Path):
            counts.unlisted = [path for path in _cogs_below(out) if hash(path) not in listed]
        if manifest.damaged:  # nobody knows which frames these were about
            yield Difference(MANIFEST, "damaged lines: export again", "none", f"{manifest.damaged:,}")


def _cogs_below(out: Path) -> Iterator[str]:
    """Yield the paths of COGs below a folder, but for what is hidden and copies of the newest frames, in order."""
    for folder, folders, names in os.walk(out):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".tif") and not name.startswith((".", f"{LATEST}.", f"{LATEST}-")):
                yield (Path(folder) / name).relative_to(out).as_posix()


def _check_line(line: Outcome, covered: set[int], counts: Counts) -> Iterator[Difference]:
    """Yield the differences that show without the frame of a line."""
    if line.status != "ok" and line.outputs:
        files = ", ".join(output.path for output in line.outputs)
        yield Difference(line.label, f"outputs of a frame that is {line.status}", "none", files)
    if line.status == "ok" and hash(line.label) not in covered:
        counts.uncovered += len(line.outputs)
        yield Difference(line.label, NOT_GIVEN, f"a frame with CRC-32 {line.crc32:08x}", "none")


@dataclass(frozen=True, slots=True)
class Task:
    """A frame of the sources, and the line of the manifest that it may belong to."""

    found: Found
    label: str
    """Of the found frame; another than the line's where only product and time tell that they belong together."""
    line: Outcome


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a task."""

    covers: str = ""
    """Label of the line whose outputs were compared, or empty."""
    files: int = 0
    unexported: bool = False
    """Whether the manifest does not know the frame after all."""
    differences: tuple[Difference, ...] = ()


def _tasks(frames: Iterator[Found], manifest: Manifest, strangers: list[Difference | None]) -> Iterator[Task]:
    """Yield the frames that the manifest knows, by label or by product and time, and list the others.

    A stranger that is no frame but the end of a damaged archive is a difference: frames that follow are missed.
    """
    for found in frames:
        label = found.label
        line = manifest.get(label)
        if line is None and found.frame_name is not None:
            line = manifest.kept(key_of(found.frame_name, by_kind=manifest.by_kind))
            if line is not None and line.frame_name is not None and _is_other_kind(found.frame_name, line.frame_name):
                if preference(found.frame_name.kind) > preference(line.frame_name.kind):
                    strangers.append(None)
                continue  # an export leaves the less preferred kind out
        if line is None:
            strangers.append(_damage(label, found.error))
        elif line.status != "duplicate":
            yield Task(found, label, line)


def _is_other_kind(one: FrameName, other: FrameName) -> bool:
    return bool(one.kind and other.kind and one.kind != other.kind)


def _damage(label: str, error: HsrGeoError | None) -> Difference | None:
    return Difference(label, "archive", "a sound one", error.problem) if isinstance(error, ArchiveError) else None


def _by_reference(task: Task) -> Task:
    return replace(task, found=as_reference(task.found))


def check_frame(task: Task, out: Place, recipe: Recipe) -> Checked:
    """Check a frame. Runs in a worker: differences come back, pixels never."""
    line = task.line
    known = task.label == line.label
    try:
        frames = blocks_found(task.found, recipe.block, recipe.registration)
        frame = frames[0]
        if line.status == "failed":
            return _check_failed(task, frame, recipe)
        if not known and frame.crc32 != line.crc32:
            return _check_rival(task, frame)
        frame_name = line.frame_name or FrameName(frame.product, frame.kind, frame.time)
        differences = _compared(frames, frame_name, recipe, out, line)
    except HsrGeoError as error:
        if not known:
            return Checked(unexported=True)
        if line.status == "failed":
            return Checked()  # as it was
        problem = error.detail if isinstance(error, FrameError) else str(error)
        unreadable = Difference(task.label, "reading the source", "the frame that was exported", problem)
        return Checked(covers=line.label, differences=(unreadable,))
    except Exception as error:
        error.add_note(f"while verifying {task.label}")
        raise
    if frame.crc32 != line.crc32:
        other = f"another frame, CRC-32 {frame.crc32:08x}"
        changed = Difference(task.label, "the source has changed", f"CRC-32 {line.crc32:08x}", other)
        differences = (changed, *differences)
    return Checked(line.label, len(line.outputs), differences=differences)


def _compared(
    frames: Sequence[Frame], frame_name: FrameName, recipe: Recipe, out: Place, line: Outcome
) -> tuple[Difference, ...]:
    try:
        with _here(out, line.outputs) as folder:
            return tuple(compare_outputs(frames, frame_name, recipe, folder, line.outputs))
    except (ReadbackError, WriteError) as error:
        return (Difference(line.label, "reading the outputs", "files that can be read", str(error)),)


@contextmanager
def _here(out: Place, outputs: Sequence[Output]) -> Iterator[Path]:
    """Give the folder that holds the outputs of a frame: of a bucket they are copied to this machine first."""
    if not isinstance(out, RemotePath):
        yield out
        return
    with TemporaryDirectory(prefix="hsrgeo-") as folder, ThreadPoolExecutor(_DOWNLOADS) as threads:
        list(threads.map(partial(_download, out, Path(folder)), outputs))
        yield Path(folder)


def _download(out: RemotePath, folder: Path, output: Output) -> None:
    try:
        data = (out / output.path).read_bytes()
    except FileNotFoundError:
        return  # found to be missing where it is compared
    except OSError as error:
        raise ReadbackError(str(out / output.path), f"cannot be read: {error.strerror or error}") from error
    write_file(folder / output.path, data, sync=False)


_DOWNLOADS = 8
"""Files of a frame that are read from a bucket at a time."""


def _check_failed(task: Task, frame: Frame, recipe: Recipe) -> Checked:
    """Check that a frame that can be read still cannot be cut, or whatever else was wrong with it."""
    for cut in recipe.cuts:
        recipe.cut_frame(frame, cut)
    if CLASH in str(task.line.error):
        taken = Difference(task.label, NOT_EXPORTED, "a path of its own", str(task.line.error))
        return Checked(differences=(taken,))
    problem = "listed as failed, but readable now: export again"
    return Checked(differences=(Difference(task.label, problem, str(task.line.error), "a sound frame"),))


def _check_rival(task: Task, frame: Frame) -> Checked:
    """Check that a frame of an exported product and time that the manifest does not know would have lost."""
    line, rival = task.line, with_header(of_found(task.found, "ok"), frame)
    if rival.standing <= line.standing:
        return Checked(unexported=True)
    problem = "a better frame than the one exported for its time: export again"
    kept, better = (
        f"{one.stations} station{'' if one.stations == 1 else 's'}, created {one.created or 'unknown'}"
        for one in (line, rival)
    )
    return Checked(unexported=True, differences=(Difference(task.label, problem, f"{line.label} ({kept})", better),))
