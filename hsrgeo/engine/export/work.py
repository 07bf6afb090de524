"""The pipeline of one frame: bytes -> frame -> cuts -> files. Runs in a worker; pixels never leave it."""

from __future__ import annotations

import dataclasses
import re
import time
import zlib
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from zlib_ng import zlib_ng

from hsrgeo.engine.workers.memory import keep_freed_memory
from hsrgeo.errors import HsrGeoError, WriteError, as_value, refused
from hsrgeo.formats.names import FrameName
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import Statistics
from hsrgeo.outputs.outcome import Outcome, Output, Status, header_fields
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.reading import blocks_found
from hsrgeo.sources.found import Found
from hsrgeo.sources.remote import Place, RemotePath, is_remote
from hsrgeo.writers.disk import PART, STAGED, flush
from hsrgeo.writers.files import names_in, remove_file, write_file, write_new
from hsrgeo.writers.rasters import RASTERS


@dataclass(frozen=True, slots=True)
class Task:
    """A frame to export."""

    found: Found
    stamp: str
    """See `Outcome.stamp`."""
    staged: bool
    """Whether the files wait beside their places until the ledger moves them: always on a disk; in a bucket where
    another frame of the same product and time is there or being worked on."""
    replace: bool
    """Whether files that are in the way may be replaced."""


def work(
    entries: Sequence[Task | Outcome], out: Place, recipe: Recipe, *, sync: bool = False, mark: str = ""
) -> list[Outcome]:
    """Export the tasks of a batch; outcomes that were known before are passed on.

    Args:
        entries: The batch.
        out: The output folder.
        recipe: What the outputs are made with.
        sync: Wait until the files are on disk: where this is another machine than the one that collects.
        mark: Of files in a bucket that no line tells of yet; see `hsrgeo.engine.export.unfinished`.
    """
    keep_freed_memory()
    ready = _fetched(entries) if any(_is_far(entry) for entry in entries) else entries
    done = [entry if isinstance(entry, Outcome) else export_frame(entry, out, recipe, mark) for entry in ready]
    if sync and isinstance(out, Path):
        new = [one for one, entry in zip(done, entries, strict=True) if isinstance(entry, Task)]
        flush([out / staged_beside(output.path, one.label) for one in new for output in one.outputs])
    return done


def export_frame(task: Task, out: Place, recipe: Recipe, mark: str = "") -> Outcome:
    """Export one frame; what is wrong with it becomes part of the outcome.

    Anything but an error of hsrgeo's own or of the system is a bug, and escapes with the frame's name attached.
    """
    begun = time.perf_counter()
    found, frame = task.found, None
    status: Status = "failed"
    outputs: tuple[Output, ...] = ()
    problem: HsrGeoError | None = None
    noted: dict[str, Statistics] = {}
    try:
        frames = blocks_found(found, recipe.block, recipe.registration, recipe.window_of)
        frame = frames[0]
        frame_name = found.frame_name or FrameName(frame.product, frame.kind, frame.time)
        files = list(files_of(frames, frame_name, recipe, noted))
        # ^ all or none: an area that does not fit writes nothing
        outputs = _all_written(task, found.label, out, files, mark)
        status = "ok" if files else "dry"
    except HsrGeoError as error:
        problem, noted = error, {}
    except OSError as error:
        problem, noted = as_value(refused(found.label, error, "exported")), {}
    except Exception as error:
        error.add_note(f"while exporting {found.label}")
        raise
    seconds = time.perf_counter() - begun
    known = header_fields(frame) if frame else {}
    return Outcome(
        found.source,
        found.member,
        found.frame_name,
        status,
        outputs,
        problem,
        seconds,
        **known,
        stamp=task.stamp,
        statistics=noted,
    )


def files_of(
    frames: Sequence[Frame], frame_name: FrameName, recipe: Recipe, noted: dict[str, Statistics] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield path below OUT and bytes of every file that a frame becomes: unpacked once, cut into every region.

    The blocks come as they were read, the main one first; `noted` gets the statistics of each region.
    """
    for cut in recipe.cuts:
        stem, dry = recipe.stem(frame_name, cut.region), False
        for number, (block, part) in enumerate(recipe.parts(frames, cut)):
            if number == 0:
                dry = recipe.is_dry(part)
                if noted is not None:
                    noted[cut.region] = part.statistics
            files: dict[str, bytes] = {}
            for name, raster in RASTERS.items():
                if name in recipe.formats and not dry:
                    files |= raster.encode(part, recipe)
            for suffix, data in files.items():
                yield f"{stem}{block}{suffix}", data


def staged_beside(path: str, label: str) -> str:
    """Return the staged path below OUT of a frame's output, used until it is decided which of two frames is kept."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.{zlib.crc32(label.encode('utf-8', 'surrogateescape')):08x}{STAGED}"


def leftovers(folders: Collection[Place]) -> set[Place]:
    """Return what killed runs left in folders of outputs: files half-written, and staged files."""
    far = any(isinstance(folder, RemotePath) for folder in folders)  # a bucket answers late, but many at a time
    with ThreadPoolExecutor(ASKED if far else 1) as threads:
        listed = zip(folders, threads.map(names_in, folders), strict=True)
        return {folder / name for folder, names in listed for name in names if _LEFTOVER.fullmatch(name)}


ASKED = 16
_SUFFIXES = "|".join(re.escape(suffix) for raster in RASTERS.values() for suffix in raster.suffixes)
_LEFTOVER = re.compile(rf"\.{{1,2}}[^.].*({_SUFFIXES})({PART}|\.[0-9a-f]{{8}}\{STAGED}({PART})?)", re.DOTALL)
# ^ the names that `temporary_beside` and `staged_beside` give to outputs


def _is_far(entry: Task | Outcome) -> bool:
    return isinstance(entry, Task) and entry.found.data is None and is_remote(entry.found.source)


def _fetched(entries: Sequence[Task | Outcome]) -> Sequence[Task | Outcome]:
    """Read all blocks at once if they are remote: a bucket answers late, but many requests at a time."""
    with ThreadPoolExecutor(len(entries)) as threads:
        return list(threads.map(_with_data, entries))


def _with_data(entry: Task | Outcome) -> Task | Outcome:
    if isinstance(entry, Outcome) or not _is_far(entry):
        return entry
    try:
        return dataclasses.replace(entry, found=dataclasses.replace(entry.found, data=entry.found.read()))
    except HsrGeoError:
        return entry  # reported where the frame is exported


def _all_written(
    task: Task, label: str, out: Place, files: Sequence[tuple[str, bytes]], mark: str
) -> tuple[Output, ...]:
    write = partial(_written, task, label, out, mark)
    try:
        if not isinstance(out, RemotePath):
            return tuple(map(write, files))
        with ThreadPoolExecutor(_UPLOADS) as threads:
            return tuple(threads.map(write, files))
    except (WriteError, OSError):
        for path, _data in files if task.staged else ():  # they would take the room that others need
            with suppress(WriteError):
                remove_file(out / staged_beside(path, label))
        raise


_UPLOADS = 8
"""Files of a frame that are sent to a bucket at a time."""


def _written(task: Task, label: str, out: Place, mark: str, file: tuple[str, bytes]) -> Output:
    path, data = file
    target = out / path
    if task.staged:
        write_file(out / staged_beside(path, label), data, sync=False)
    elif task.replace:
        write_file(target, data, sync=False)
    else:
        write_new(target, data, mark)
    return Output(path, len(data), zlib_ng.crc32(data))
