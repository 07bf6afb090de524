"""Which frames are still to be done, and which of two frames of one product and time is kept.

The first frame of a product and time is written in place. Any other that turns up is written beside it (staged), and
when both are done the better one is kept, so that the order of reading never decides.

A run may be killed between any two steps here, so their order matters. Files that are written in place come before
their manifest line: the same frame is first again the next time, and finds its own bytes. Staged files are moved after
their line: as long as one is still there, the line does not stand.
"""

from __future__ import annotations

import dataclasses
import io
import os
import threading
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from hsrgeo.engine.export.manifest import Manifest
from hsrgeo.engine.export.work import STAGED, Task, leftovers, staged_beside
from hsrgeo.engine.outcome import Key, Outcome, Output, key_of, of_found
from hsrgeo.engine.recipe import Recipe
from hsrgeo.errors import FrameError, OutputError, OutputExistsError, ReadbackError, SourceError
from hsrgeo.formats.gzipped import MAGIC
from hsrgeo.formats.header import HEADER_BYTES, VERSION_BYTE
from hsrgeo.sources.found import Found
from hsrgeo.sources.remote import Place, RemotePath, is_remote, place
from hsrgeo.sources.texts import open_file
from hsrgeo.writers.files import move_file, remove_file, there_already
from hsrgeo.writers.png import is_edited_sidecar


@dataclass(slots=True)
class _Contest:
    """The frames of one product and time that are under way."""

    labels: set[str] = field(default_factory=set)
    first: str = ""
    """Label of the one that is being written in place, if any."""
    waiting: list[Outcome] = field(default_factory=list)
    """Staged frames that are done, until that one is."""
    before: Outcome | None = None
    """What was kept when one of them, the same frame, was taken up to be made again."""
    retired: bool = False
    """Whether what was made of that frame before was removed: it is broken now, or lost."""
    paths: set[str] = field(default_factory=set)
    """First paths that they claim: more than one where a template has the kind."""


class Ledger:
    """Decides what to do with each frame that is found, and with each that is done.

    `admit` is called by whichever thread reads the sources, `settle` by the one that collects outcomes.

    Args:
        manifest: Open manifest of OUT.
        recipe: What the outputs are made with.
        overwrite: Write again what is done already.
        stage_all: Have every frame written beside its place and moved by `settle`: then a worker of a cluster that
            was given up, and still writes, cannot put a frame that lost where the better one is.
    """

    def __init__(self, manifest: Manifest, recipe: Recipe, *, overwrite: bool, stage_all: bool = False) -> None:
        self._manifest = manifest
        self._recipe = recipe
        self._overwrite = overwrite
        self._stage_all = stage_all
        self._lock = threading.Lock()
        self._contests: dict[Key, _Contest] = {}
        self._paths: dict[str, Key] = {}  # first path -> product and time, under way or without an output
        self._listed: dict[str, dict[str, int]] = {}  # folder of a bucket -> name -> size, as it was when first asked
        self._lost_first: set[Key] = set()  # whose first frame was broken: no other takes its place as the first
        self._archives: set[str] = set()  # of which this run saw frames
        self._passed: dict[Key, list[Outcome]] = {}  # duplicates that were skipped; their winner may be worse now

    def admit(self, found: Found) -> Task | Outcome:
        """Return the task that a found frame makes, or its outcome where nothing is to be done."""
        if found.error or found.told is None:
            return of_found(found, "failed", error=found.error)
        outcome = of_found(found, "skipped")
        key = key_of(found.told, by_kind=self._manifest.by_kind)
        path = self._recipe.first_path(found.told)
        stamp = _stamp(found)
        with self._lock:
            if found.member is not None:
                self._archives.add(found.source)
            # Also of a frame that lost, or will: a killed run may have left something in a folder that has no output.
            self._manifest.folders.update(self._recipe.folders(found.told, path))
            owner = self._paths.get(path) or self._manifest.owner(path)
            if owner is not None and owner != key:
                return dataclasses.replace(outcome, status="failed", error=_clash(path, owner))
            before = self._manifest.get(outcome.label)
            kept = self._manifest.kept(key)
            if before and not self._overwrite and before.stamp == stamp and self._stands(before, kept):
                if before.status == "duplicate":
                    self._passed.setdefault(key, []).append(before)
                return dataclasses.replace(before, status="skipped")
            if kept and not self._overwrite and self._is_known_by_another_path(kept, outcome, stamp):
                return dataclasses.replace(kept, status="skipped")
            mine = kept is not None and kept.label == outcome.label
            staged = (
                self._stage_all or key in self._contests or key in self._lost_first or (kept is not None and not mine)
            )
            contest = self._contests.setdefault(key, _Contest())
            contest.labels.add(outcome.label)
            contest.paths.add(path)
            self._paths[path] = key
            if mine:
                contest.before = kept
                self._manifest.release(key)
            if not staged:
                contest.first = outcome.label
        return Task(found, stamp, staged=staged, replace=self._overwrite or owner is not None)

    def settle(self, outcome: Outcome) -> list[Outcome]:
        """Write down what became of a frame, and return everything that is certain now.

        Besides the frame itself these are staged frames that waited for it, and a frame that this run kept until now.

        Raises:
            WriteError: The manifest cannot be written, or a staged file cannot be moved.
        """
        if outcome.status in ("skipped", "planned"):
            return [outcome]
        key = self._manifest.key(outcome)
        with self._lock:
            contest = self._contests.get(key) if key else None
            if key is None or contest is None or outcome.label not in contest.labels:
                self._manifest.append(outcome)  # known to be broken before it became a task
                return [outcome]
            contest.labels.remove(outcome.label)
            settled = self._settle(outcome, key, contest)
            if not contest.labels:
                del self._contests[key]
                settled += self._reopened(key, contest)
                if key not in self._lost_first:  # else no other product or time may take the path, whoever is faster
                    for path in contest.paths:
                        del self._paths[path]
            return settled

    def finish(self, *, all_read: bool = True) -> None:
        """Put the manifest in order, and remove what killed runs left beside the outputs.

        Args:
            all_read: Whether the sources were read to their end; then archives that an earlier run found damaged or
                cut, and this one did not, are no longer told of.

        Raises:
            ManifestError: It is damaged.
            WriteError: The disk refused.
        """
        with self._lock:  # whoever feeds workers may still be inside `admit` where a run ends early
            self._manifest.sync()
            for archive in self._archives if all_read else ():
                line = self._manifest.get(archive)
                if line and line.status == "failed" and not self._manifest.is_new(line):
                    self._manifest.forget(line)
            out = self._manifest.out
            left = {
                path for paths in _at_once(leftovers, [out / name for name in self._manifest.folders]) for path in paths
            }
            if any(path.suffix == STAGED for path in left):
                left -= self._not_moved()
            for path in left:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            self._manifest.put_in_order()

    def _not_moved(self) -> set[Place]:
        """Return the staged files of lines that an earlier run wrote: one that is still there shows that it was killed.

        A frame that this run did again has a new line; the others may be among the sources of the next run.
        """
        lines = (line for line in self._manifest if line.outputs and not self._manifest.is_new(line))
        return {
            self._manifest.out / staged_beside(output.path, line.label) for line in lines for output in line.outputs
        }

    def _settle(self, outcome: Outcome, key: Key, contest: _Contest) -> list[Outcome]:
        if not contest.first:
            return self._challenge(outcome, key, contest)
        if contest.first != outcome.label:
            contest.waiting.append(outcome)
            return []
        contest.first = ""
        if outcome.status == "failed":
            self._lost_first.add(key)
            self._retire_before(outcome, contest)
        self._manifest.append(outcome)
        return [outcome, *(done for rival in contest.waiting for done in self._challenge(rival, key, contest))]

    def _challenge(self, rival: Outcome, key: Key, contest: _Contest) -> list[Outcome]:
        """Decide between a staged frame that is done and the one that is kept, if any."""
        if rival.status == "failed":
            self._retire_before(rival, contest)
            self._manifest.append(rival)
            return [rival]
        kept = self._manifest.kept(key)
        if kept and kept.standing >= rival.standing:
            self._discard(rival)
            self._retire_before(rival, contest)
            lost = dataclasses.replace(rival, status="duplicate", outputs=(), winner=kept.label)
            self._manifest.append(lost)
            return [lost]
        if error := self._in_the_way(rival, key):
            self._discard(rival)
            failed = dataclasses.replace(rival, status="failed", outputs=(), error=error)
            self._manifest.append(failed)
            return [failed]
        if kept is None:
            self._manifest.append(rival)
            self._move_in_place(rival)
            return [rival]
        was = kept.status if self._manifest.is_new(kept) else None
        lost = dataclasses.replace(kept, status="duplicate", outputs=(), winner=rival.label, was=was)
        self._retire(kept.outputs, but=rival.outputs)
        self._manifest.append(rival, lost)
        self._move_in_place(rival)
        return [rival, lost] if was else [rival]

    def _reopened(self, key: Key, contest: _Contest) -> list[Outcome]:
        """Return, as failed, duplicates that were skipped before the frame that they lost to turned out to be worse.

        Their bytes are gone by: the next run takes them up.
        """
        kept, before = self._manifest.kept(key), contest.before
        if before is None or (kept is None and not contest.retired):
            return []
        better = [one for one in self._passed.pop(key, ()) if kept is None or kept.standing < one.standing]
        state = "is broken now" if kept is None else "is another frame now, and worse"
        reopened = []
        for one in better:
            error = SourceError(one.label, f"lost to {before.label}, which {state}: run the same command again")
            failed = dataclasses.replace(one, status="failed", error=error, winner="", was="skipped")
            self._manifest.append(failed)
            reopened.append(failed)
        return reopened

    def _in_the_way(self, rival: Outcome, key: Key) -> OutputError | None:
        if self._overwrite or (rival.told and self._manifest.owner(self._recipe.first_path(rival.told)) == key):
            return None
        try:
            for output in rival.outputs:
                target = self._manifest.out / output.path
                staged = self._manifest.out / staged_beside(output.path, rival.label)
                there_already(target, staged.read_bytes())
        except OutputExistsError as error:
            return error
        except OSError as error:
            return ReadbackError(str(staged), f"cannot be read back: {error.strerror or error}")
        return None

    def _move_in_place(self, rival: Outcome) -> None:
        self._manifest.sync()
        for output in rival.outputs:
            target = self._manifest.out / output.path
            move_file(self._manifest.out / staged_beside(output.path, rival.label), target)

    def _discard(self, rival: Outcome) -> None:
        for output in rival.outputs:
            remove_file(self._manifest.out / staged_beside(output.path, rival.label))

    def _retire_before(self, outcome: Outcome, contest: _Contest) -> None:
        """Remove what an earlier run made of a frame that is broken now, or lost."""
        before = contest.before
        key = self._manifest.key(outcome)
        if before is None or key is None or before.label != outcome.label:
            return
        if outcome.status == "failed" and not isinstance(outcome.error, FrameError):
            return  # a source that cannot be read today, or a full disk, says nothing against what is there
        kept = self._manifest.kept(key)
        self._retire(before.outputs, but=kept.outputs if kept else ())
        contest.retired = True

    def _retire(self, outputs: Sequence[Output], but: Sequence[Output]) -> None:
        """Remove files that no longer stand for a product and time; a better frame's may have the same paths."""
        for path in {output.path for output in outputs} - {output.path for output in but}:
            remove_file(self._manifest.out / path)

    def _stands(self, before: Outcome, kept: Outcome | None) -> bool:
        if kept is None or before.status not in ("ok", "duplicate"):
            return False
        if before.status == "duplicate":  # unless this run kept something worse
            return not self._manifest.is_new(kept) or kept.standing >= before.standing
        return kept.label == before.label and all(self._is_there(output, before.label) for output in before.outputs)

    def _is_known_by_another_path(self, kept: Outcome, outcome: Outcome, stamp: str) -> bool:
        """Tell whether an earlier run exported the same file, which was named otherwise or lay elsewhere then.

        A second copy beside the first is no such file, but a duplicate.
        """
        if kept.stamp != stamp or kept.label == outcome.label:
            return False
        same = (kept.member, kept.name) == (outcome.member, outcome.name) and _was_named(outcome.source, kept.source)
        return same and not self._manifest.is_new(kept) and self._stands(kept, kept)

    def _is_there(self, output: Output, label: str) -> bool:
        size = self._size(output.path)
        if size != output.bytes and not (size and self._is_edited(output.path)):
            return False
        return self._size(staged_beside(output.path, label)) is None  # else a run was killed before it had moved that

    def _is_edited(self, path: str) -> bool:
        """Tell whether another program has added statistics to the sidecar of a PNG: the frame is as good as it was."""
        target = self._manifest.out / path
        if isinstance(target, RemotePath) or not path.endswith(".png.aux.xml"):
            return False
        try:
            return is_edited_sidecar(path, target.read_bytes())
        except OSError:
            return False

    def _size(self, path: str) -> int | None:
        """Return the size of a file below OUT, or None where it is not there."""
        out = self._manifest.out
        if not isinstance(out, RemotePath):
            try:
                return os.stat(f"{out}/{path}").st_size  # noqa: PTH116 - of every frame of a finished run
            except OSError:
                return None
        target = out / path
        folder, _, name = path.rpartition("/")
        if folder not in self._listed:  # a request for each folder, not for each file
            if len(self._listed) == _LISTED:
                del self._listed[next(iter(self._listed))]
            with suppress(OSError):
                self._listed[folder] = {file.name: file.stat().size for file in target.parent.below(deep=False)}
        return self._listed.get(folder, {}).get(name)


def _clash(path: str, owner: Key) -> OutputExistsError:
    """Return what to say where a template sends two products or times to one path."""
    product, time = owner
    return OutputExistsError(
        path,
        f"is taken by {product} of {time:%Y-%m-%d %H:%M} KST; choose with --product, or tell them apart in --name",
    )


def _was_named(now: str, before: str) -> bool:
    """Tell whether a path may have had another name before: that names the same file, or nothing any more."""
    if is_remote(now) or is_remote(before):
        return False
    return os.path.realpath(now) == os.path.realpath(before) or not os.path.exists(before)  # noqa: PTH110 - see `expand`


def _at_once(ask: Callable[[Place], list[Place]], folders: list[Place]) -> list[list[Place]]:
    """Ask of each folder; of those in a bucket many at a time."""
    if not any(isinstance(folder, RemotePath) for folder in folders):
        return list(map(ask, folders))
    with ThreadPoolExecutor(_ASKED) as threads:
        return list(threads.map(ask, folders))


_ASKED = 16
_LISTED = 64
"""Folders of a bucket whose listings are kept."""


def _stamp(found: Found) -> str:
    """Return size, CRC-32 of the first bytes, and last bytes of a stored frame, to know it again.

    The last eight bytes of gzip are CRC-32 and length; in a plain file it is the header that tells two issues apart. Of
    a file elsewhere it is size and version.
    """
    if found.version:
        return f"{found.size}-{found.version}"
    first, last = _ends(io.BytesIO(found.data)) if found.data is not None else _ends_of(found.source)
    return f"{found.size}-{zlib.crc32(first):08x}-{last.hex()}"


def _ends_of(source: str) -> tuple[bytes, bytes]:
    try:
        with place(source).open("rb") if is_remote(source) else open_file(source, buffering=0) as file:
            return _ends(file)
    except OSError:
        return b"", b""  # the worker will say what is wrong with it


def _ends(file: BinaryIO) -> tuple[bytes, bytes]:
    first = file.read(HEADER_BYTES)
    if not first.startswith((MAGIC, VERSION_BYTE)):
        return b"", b""  # no composite: nothing of it belongs in a manifest
    file.seek(max(file.seek(0, os.SEEK_END) - _TRAILER_BYTES, 0))
    return first, file.read(_TRAILER_BYTES)  # a device has no end


_TRAILER_BYTES = 8
