"""The pipeline of one frame: bytes -> frame -> cuts -> files. Runs in a worker; pixels never leave it."""

from __future__ import annotations

import dataclasses
import os
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hsrgeo.engine.memory import keep_freed_memory
from hsrgeo.engine.outcome import Outcome, Output
from hsrgeo.engine.recipe import SUFFIXES, Recipe
from hsrgeo.errors import HsrGeoError, OutputExistsError, WriteError
from hsrgeo.formats.composite import decode
from hsrgeo.formats.names import FrameName
from hsrgeo.model.frame import Frame
from hsrgeo.model.times import utc_text
from hsrgeo.sources.found import Found
from hsrgeo.writers.cog import encode_cog
from hsrgeo.writers.files import write_file
from hsrgeo.writers.png import encode_png_files

STAGED = ".staged"
"""Suffix of a file that waits until it is decided which of two frames is kept."""


@dataclass(frozen=True, slots=True)
class Task:
    """A frame to export."""

    found: Found
    stamp: str
    """See `Outcome.stamp`."""
    staged: bool
    """Whether another frame of the same product and time is there or under way: write beside, the ledger decides."""
    replace: bool
    """Whether files that are in the way may be replaced."""


def work(entries: Sequence[Task | Outcome], out: Path, recipe: Recipe) -> list[Outcome]:
    """Export the tasks of a batch; outcomes that were known before ride along to whoever collects."""
    keep_freed_memory()
    return [entry if isinstance(entry, Outcome) else export_frame(entry, out, recipe) for entry in entries]


def export_frame(task: Task, out: Path, recipe: Recipe) -> Outcome:
    """Export one frame; what is wrong with it becomes part of the outcome.

    Anything but an `HsrGeoError` is a bug, and escapes with the frame's name attached.
    """
    begun = time.perf_counter()
    found = task.found
    outcome = Outcome(found.source, found.member, found.told, "ok", stamp=task.stamp)
    try:
        data = found.read()
        frame = decode(data, found.source, member=found.member, block=recipe.block)
        outcome = dataclasses.replace(
            outcome,
            stations=frame.header.station_count,
            created=utc_text(frame.header.created) if frame.header.created else "",
            crc32=frame.crc32,
        )
        told = found.told or FrameName(frame.product, frame.kind, frame.time)
        files = list(files_of(frame, told, recipe))  # all or none: an area that does not fit writes nothing
        outputs = tuple(_written(task, outcome.label, out, path, data) for path, data in files)
        outcome = dataclasses.replace(outcome, outputs=outputs)
    except HsrGeoError as error:
        outcome = dataclasses.replace(outcome, status="failed", error=error)
    except Exception as error:
        error.add_note(f"while exporting {outcome.label}")
        raise
    return dataclasses.replace(outcome, seconds=time.perf_counter() - begun)


def files_of(frame: Frame, told: FrameName, recipe: Recipe) -> Iterator[tuple[str, bytes]]:
    """Yield path below OUT and bytes of every file that a frame becomes: unpacked once, cut into every region."""
    for cut in recipe.cuts:
        part = recipe.cut_frame(frame, cut)
        stem = recipe.stem(told, cut.region)
        if "cog" in recipe.formats:
            yield f"{stem}.tif", encode_cog(part, compress=recipe.compress)
        if "png" in recipe.formats:
            for suffix, data in encode_png_files(part).items():
                yield f"{stem}{suffix}", data


def staged_beside(path: Path, label: str) -> Path:
    """Return where a frame's output waits while it is not decided which of two frames is kept."""
    return path.with_name(f".{path.name}.{zlib.crc32(label.encode('utf-8', 'surrogateescape')):08x}{STAGED}")


def remove_output(path: Path) -> None:
    """Remove a file that was made by this run or an earlier one, if it is there.

    Raises:
        WriteError: The disk refused.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(str(path), f"cannot be removed: {error.strerror or error}") from error


def leftovers(folder: Path) -> list[Path]:
    """Return what killed runs left in a folder of outputs: files half-written, and staged files."""
    with suppress(OSError), os.scandir(folder) as entries:
        return [folder / entry.name for entry in entries if _LEFTOVER.fullmatch(entry.name)]
    return []


_SUFFIXES = "|".join(re.escape(suffix) for suffixes in SUFFIXES.values() for suffix in suffixes)
_LEFTOVER = re.compile(rf"\.{{1,2}}[^.].*({_SUFFIXES})(\.part|\.[0-9a-f]{{8}}\{STAGED}(\.part)?)", re.DOTALL)
# ^ the names that `temporary_beside` and `staged_beside` give to outputs


def _written(task: Task, label: str, out: Path, path: str, data: bytes) -> Output:
    target = out / path
    if task.staged:
        write_file(staged_beside(target, label), data)
    elif task.replace or not there_already(target, data):
        write_file(target, data)
    return Output(path, len(data), zlib.crc32(data))


def there_already(target: Path, data: bytes) -> bool:
    """Tell whether a file is there with these very bytes.

    A run that was killed before its manifest line was written leaves files that are right: same frame, same bytes.

    Raises:
        OutputExistsError: Something else is there.
    """
    try:
        same = target.read_bytes() == data
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a folder, or not ours to read
        same = False
    if not same:
        raise OutputExistsError(
            str(target),
            "is there already, is not in the manifest and differs; use --overwrite or another OUT",
        )
    return True
