"""Which frames are still to be done, and which of two frames of one product and time is kept.

The first frame of a product and time takes its place when it is done. Any other that turns up waits beside it (staged),
and when both are done the better one is kept, so that the order of reading never decides.

A run may be killed, or the power cut, between any two steps here, so their order matters. On a disk every file is
written under a staged name, and is on disk before anything tells of it. New files are moved before their manifest line,
and files that go are removed after it: no line names a file that is not there, and what a killed run leaves without a
line is found again (`hsrgeo.engine.export.unfinished`). Files that replace others are moved after their line, when that
is on disk: as long as one is still staged, the line does not stand. In a bucket, where moving is copying, the first
frame of a product and time that has no line is written in place, and has a mark by which it is found after a kill; but
not where sources change between runs (`hsrgeo.engine.watch`): then the frame that comes next may be another one.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hsrgeo.engine.export.earlier import Earlier, stamp_of
from hsrgeo.engine.export.removal import down_to, lies_below
from hsrgeo.engine.export.staging import Staging
from hsrgeo.engine.export.unfinished import Unfinished
from hsrgeo.engine.export.work import Task, leftovers
from hsrgeo.errors import FrameError, OutputExistsError, SourceError, WriteError
from hsrgeo.model.times import time_label
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.outcome import CLASH, Key, Outcome, Output, key_of, of_found
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.sources.found import Found
from hsrgeo.writers.disk import STAGED, flush


class Ledger:
    """Decides what to do with each frame that is found, and with each that is done.

    `admit` is called by whichever thread reads the sources, `settle` by the one that collects outcomes.

    Args:
        manifest: Open manifest of OUT.
        recipe: What the outputs are made with.
        overwrite: Write again what is done already.
        sync: Wait for the disk; without it a power cut may leave files that are empty.
        changing: Whether the sources change between runs.
    """

    def __init__(
        self, manifest: Manifest, recipe: Recipe, *, overwrite: bool, sync: bool = True, changing: bool = False
    ) -> None:
        self._manifest = manifest
        self._recipe = recipe
        self._overwrite = overwrite
        self._changing = changing
        self._on_disk = isinstance(manifest.out, Path)
        self._sync = sync and self._on_disk
        self._earlier = Earlier(manifest, overwrite=overwrite)
        self._unfinished = Unfinished(manifest, sync=self._sync, in_place=not self._on_disk and not changing)
        self._unfinished.recover()
        self._staging = Staging(manifest, recipe, self._unfinished, overwrite=overwrite)
        self.mark = self._unfinished.mark
        """Mark of the files that workers write in place in a bucket; else empty."""
        self._lock = threading.Lock()
        self._contests: dict[Key, Contest] = {}
        self._paths: dict[str, Key] = {}  # first path -> product and time, being written or without an output
        self._lost_first: set[Key] = set()  # their first frame was broken: all others are staged
        self._archives: set[str] = set()  # of which this run saw frames
        self._moves: dict[Key, Outcome] = {}  # staged frames that are kept, and whose lines are not on disk yet
        self._passed: dict[Key, list[Outcome]] = {}  # duplicates that were skipped; their winner may be worse now

    def admit(self, found: Found) -> Task | Outcome:
        """Return the task that a found frame makes, or its outcome where nothing is to be done."""
        if found.error or found.frame_name is None:
            return of_found(found, "failed", error=found.error)
        key = key_of(found.frame_name, by_kind=self._manifest.by_kind)
        label, stamp = found.label, stamp_of(found)
        with self._lock:
            if found.member is not None:
                self._archives.add(found.source)
            if before := self._earlier.written(label, key, stamp):
                return before.skipped()
            path = self._recipe.first_path(found.frame_name)
            # Also of a frame that lost, or will: a killed run may have left something in a folder that has no output.
            self._manifest.folders.update(self._recipe.folders(found.frame_name, path))
            owner = self._paths.get(path) or self._manifest.owner(path)
            if owner is not None and owner != key:
                return of_found(found, "failed", error=_clash(path, owner))
            if before := self._not_again(found, key, stamp):
                return before
            staged = self._enter(label, key, path)
        return Task(found, stamp, staged=staged, replace=self._overwrite or owner is not None)

    def _not_again(self, found: Found, key: Key, stamp: str) -> Outcome | None:
        """Return the outcome of a frame that an earlier run did, or None where it has to be done."""
        if known := self._earlier.known(found.label, key, stamp):
            if known.status == "duplicate":
                self._passed.setdefault(key, []).append(known)
            return known if known.status == "dry" else known.skipped()
        same = self._earlier.same_file(of_found(found, "skipped"), key, stamp)
        return same.skipped() if same else None

    def _enter(self, label: str, key: Key, path: str) -> bool:
        """Enter a frame into the contest of its product and time, and return whether it has to be staged."""
        kept = self._manifest.kept(key)
        mine = kept is not None and kept.label == label
        rival = self._has_rival(key, kept, mine=mine)
        contest = self._contests.setdefault(key, Contest())
        contest.labels.add(label)
        contest.paths.add(path)
        self._paths[path] = key
        if mine:
            contest.before = kept
            self._manifest.release(key)
        if not rival:
            contest.first = label
            self._unfinished.begin()
        return rival or self._on_disk

    def _has_rival(self, key: Key, kept: Outcome | None, *, mine: bool) -> bool:
        """Tell whether another frame of the product and time is there, or may come."""
        if self._changing or key in self._contests or key in self._lost_first:
            return True
        return kept is not None and not (mine and (self._on_disk or self._overwrite))

    def settle(self, *done: Outcome) -> list[Outcome]:
        """Write down what became of some frames, and return every outcome that is certain now.

        These are the frames themselves, staged frames that waited for them, and frames of this run that they replace.

        Raises:
            WriteError: The disk refused, the manifest cannot be written, or a staged file cannot be moved.
        """
        if self._sync and (
            written := [path for one in done if one.status == "ok" for path in self._staging.files(one)]
        ):
            flush(written)
        with self._lock:
            self._unfinished.note(output for outcome in done for output in self._touched(outcome))
            settled = [certain for outcome in done for certain in self._settle_one(outcome)]
            if self._moves:
                self._manifest.sync()
            for rival in self._moves.values():
                self._staging.move(rival)
            self._moves.clear()
            self._unfinished.remove()
            return settled

    def _touched(self, outcome: Outcome) -> Iterator[Output]:
        """Yield the files that may be moved or removed when a frame is settled."""
        key = self._manifest.key(outcome)
        contest = self._contests.get(key) if key else None
        if key is None or contest is None or outcome.status in ("skipped", "planned"):
            return
        if self.mark and contest.first == outcome.label and contest.before is None and not contest.waiting:
            return  # nearly always: it is there, and has the mark of this run
        for one in (outcome, contest.before, self._manifest.kept(key), *contest.waiting):
            yield from one.outputs if one else ()

    def _settle_one(self, outcome: Outcome) -> list[Outcome]:
        if outcome.status in ("skipped", "planned"):
            return [outcome]
        key = self._manifest.key(outcome)
        contest = self._contests.get(key) if key else None
        if outcome.status == "dry" and (contest is None or outcome.label not in contest.labels):
            return [outcome]  # as an earlier run found it
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
                cut, and this one did not, are no longer listed.

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
            folders = [out / name for name in self._manifest.folders]
            own = [folder for folder in folders if not isinstance(folder, Path) or lies_below(folder, out)]
            left = leftovers(own)
            if any(path.suffix == STAGED for path in left):
                left -= self._staging.not_moved()
            for path in left:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            self._unfinished.clear()
            if self._sync and isinstance(out, Path) and not self._manifest.in_order:  # else an earlier run did so
                flush({out.parent, *(one for name in self._manifest.folders for one in down_to(out / name, out))})
            self._manifest.put_in_order()

    def _settle(self, outcome: Outcome, key: Key, contest: Contest) -> list[Outcome]:
        if not contest.first:
            return self._challenge(outcome, key, contest)
        if contest.first != outcome.label:
            contest.waiting.append(outcome)
            return []
        contest.first = ""
        if outcome.status == "ok" and self._on_disk:
            outcome = self._placed(outcome, key)
        if outcome.status == "failed":
            self._lost_first.add(key)
            self._retire_before(outcome, contest)
        else:
            self._retire_dry(outcome, contest)
        self._manifest.append(outcome)
        return [outcome, *(done for rival in contest.waiting for done in self._challenge(rival, key, contest))]

    def _placed(self, outcome: Outcome, key: Key) -> Outcome:
        """Move the files of a first frame to their places; where that cannot be done, the frame failed."""
        error = self._staging.in_the_way(outcome, key)
        try:
            if error is None:
                self._staging.move(outcome)
                return outcome
        except WriteError as refusal:
            error = refusal
        with suppress(WriteError):  # swept up at the end
            self._staging.discard(outcome)
        return dataclasses.replace(outcome, status="failed", outputs=(), error=error)

    def _challenge(self, rival: Outcome, key: Key, contest: Contest) -> list[Outcome]:
        """Decide between a staged frame that is done and the one that is kept, if any."""
        kept = self._manifest.kept(key)
        if rival.status == "failed":
            outcome = rival
            self._retire_before(rival, contest)
        elif kept and kept.standing >= rival.standing:
            outcome = dataclasses.replace(rival, status="duplicate", outputs=(), winner=kept.label)
            self._staging.discard(rival)
            self._retire_before(rival, contest)
        elif error := self._staging.in_the_way(rival, key):
            outcome = dataclasses.replace(rival, status="failed", outputs=(), error=error)
            self._staging.discard(rival)
        elif kept:
            return self._replaced(kept, rival, key)
        elif contest.before is None or contest.retired:  # no line names the files
            outcome = self._placed(rival, key)
        else:
            outcome = self._moves[key] = rival
            self._retire_dry(rival, contest)
        self._manifest.append(outcome)
        return [outcome]

    def _replaced(self, kept: Outcome, rival: Outcome, key: Key) -> list[Outcome]:
        """Put a staged frame in the place of the one that was kept until now."""
        was = kept.status if self._manifest.is_new(kept) else None
        lost = dataclasses.replace(kept, status="duplicate", outputs=(), winner=rival.label, was=was)
        self._retire(kept.outputs, but=rival.outputs)
        self._manifest.append(rival, lost)
        if key in self._moves:
            self._staging.discard(self._moves[key])
        self._moves[key] = rival
        return [rival, lost] if was else [rival]

    def _reopened(self, key: Key, contest: Contest) -> list[Outcome]:
        """Return skipped duplicates as failed, if the frame that they lost to turned out to be worse.

        The sources were read past them, so the next run has to export them.
        """
        before = contest.before
        kept = self._manifest.kept(key) if before else None
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

    def _retire_before(self, outcome: Outcome, contest: Contest) -> None:
        """Remove the earlier outputs of a frame that is broken now, or lost."""
        before = contest.before
        key = self._manifest.key(outcome)
        if before is None or key is None or before.label != outcome.label:
            return
        if outcome.status == "failed" and not isinstance(outcome.error, FrameError):
            return  # a source that cannot be read today, or a full disk, says nothing against what is there
        kept = self._manifest.kept(key)
        self._retire(before.outputs, but=kept.outputs if kept else ())
        contest.retired = True

    def _retire_dry(self, outcome: Outcome, contest: Contest) -> None:
        """Remove the earlier outputs of the same frame in areas that are dry now: its file has other content."""
        if contest.before is not None and contest.before.label == outcome.label:
            self._retire(contest.before.outputs, but=outcome.outputs)

    def _retire(self, outputs: Sequence[Output], but: Sequence[Output]) -> None:
        """Have old files of a product and time removed, but for the paths that the better frame uses."""
        stay = {output.path for output in but}
        self._unfinished.retire(output for output in outputs if output.path not in stay)


def _clash(path: str, owner: Key) -> OutputExistsError:
    """Return the error for a template that gives two products or times one path."""
    product, time = owner
    return OutputExistsError(
        path,
        f"{CLASH} {product} of {time_label(time)}; choose with --product, or give each its own path with --name",
    )


@dataclass(slots=True)
class Contest:
    """The frames of one product and time that this run works on."""

    labels: set[str] = field(default_factory=set)
    first: str = ""
    """Label of the one that is being written in place, if any."""
    waiting: list[Outcome] = field(default_factory=list)
    """Staged frames that are done and wait for that one."""
    before: Outcome | None = None
    """What was kept when one of them, the same frame, was taken up to be made again."""
    retired: bool = False
    """Whether the earlier outputs of that frame were removed: the frame is broken now, or lost."""
    paths: set[str] = field(default_factory=set)
    """First paths that these frames claim: more than one if the template has the kind."""
