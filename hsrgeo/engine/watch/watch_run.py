"""A watch: rounds of an export over sources that change."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from hsrgeo.engine.export.export_run import Export
from hsrgeo.engine.export.removal import lies_below
from hsrgeo.engine.export.unfinished import Unfinished
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.watch.decide import Mark, SeenFiles, decide, is_whole, mark_of
from hsrgeo.engine.watch.latest import update_latest
from hsrgeo.engine.watch.status import Happened, Round, as_status, notify, write_status
from hsrgeo.errors import FrameError, FrameNameError, HsrGeoError, HubError, OptionsError
from hsrgeo.formats.names import FrameName, parse_name
from hsrgeo.outputs.journal import has_lines
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import STATUS
from hsrgeo.outputs.outcome import Key, Outcome
from hsrgeo.outputs.recipe import parts_kinds
from hsrgeo.outputs.taken import refuse_cube
from hsrgeo.sources.found import Tally
from hsrgeo.sources.listing import File, Listing, listed_files, place_of
from hsrgeo.sources.remote import Place, RemotePath, listed_sources, target
from hsrgeo.sources.scan import can_have_frames
from hsrgeo.sources.skipped import skipped_for_their_names

SETTLE_S = 600.0
"""A file that was not changed for so long is not being written any more."""
POLL_S = 30.0
"""From one round to the next: a tenth of the time between two frames."""
_SHOWN = 3  # names of files that are waited for
_RUNS = 3  # of an export in a round: a frame that turns out worse than it was brings back others


class Watch:
    """Keeps an output folder current; use it in a ``with`` statement, and call `round` or `rounds`.

    After a round that came to its end with no file waiting, OUT holds byte for byte what `hsrgeo.export` makes of the
    sources as they are, but for ``latest.*`` and ``status.json``. Two things stay that an export would not make:
    outputs of a file that is gone, and those of a frame while the one of its time that is of a preferred kind (PUB) is
    broken.

    Args:
        sources: Files, folders, globs and archives, here or elsewhere. Listed anew in each round.
        out: The output folder, here or in a bucket.
        options: As for `hsrgeo.export`.
        keep: Only times up to so long before the newest frame; older outputs are removed.
        settle_s: A file that was changed less than so many seconds ago is taken only if it is a whole frame.
        before: Called at the beginning of each round, as to fetch frames; returns what a user should know.
        after: Likewise, once OUT has changed and holds a frame: as to show it.
        clock: Seconds since 1970.

    Raises:
        OptionsError: Options that cannot be.
        LockError: Another watch keeps OUT current.
    """

    def __init__(  # noqa: PLR0913 - all but three by keyword
        self,
        sources: str | Path | Sequence[str | Path],
        out: str | Place,
        options: ExportOptions | None = None,
        *,
        keep: timedelta | None = None,
        settle_s: float = SETTLE_S,
        before: Callable[[], Sequence[str]] = tuple,
        after: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.out = target(out)
        refuse_cube(self.out)  # before the lock makes the folder
        self.totals: Counter[Happened] = Counter()
        """What happened in all rounds."""
        self.newest: dict[str, Outcome] = {}
        """The newest frame of each product in OUT."""
        self._sources = listed_sources(sources)
        self._options = options or ExportOptions()
        if self._options.overwrite or self._options.dry_run or self._options.fail_fast:
            raise OptionsError("a watch goes on from what is there: not with overwrite, dry_run or fail_fast")
        if self._options.min_wet:
            raise OptionsError(
                "a watch shows the newest frame that it wrote, an old one in dry weather if min_wet left others out: "
                "not with min_wet"
            )
        if keep is not None and keep <= timedelta(0):
            raise OptionsError(f"keep {keep}: must be longer than nothing")
        if not settle_s >= 0:
            raise OptionsError(f"settle {settle_s:g}: expected 0 seconds or more")
        self._keep, self._settle_s, self._clock = keep, settle_s, clock
        self._before, self._after = before, after
        self._seen = SeenFiles()
        self._exported: dict[str, Mark] | None = None  # files as the last run took them; None: run again
        self._begun = False
        self._retry = False
        self._keys: set[Key | None] = set()  # products and times in OUT
        self._broken: dict[str, str] = {}  # label -> what is wrong, of frames that were broken in the last run
        self._noted: set[str] = set()
        self._waiting_for: list[str] = []  # in the last round
        self._lock = locked(self.out / STATUS, self.out)

    def __enter__(self) -> Self:
        self._lock.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._lock.__exit__(*exc)

    def rounds(self, poll_s: float = POLL_S, sleep: Callable[[float], object] = time.sleep) -> Iterator[Round]:
        """Yield rounds without an end, which begin so many seconds apart; after a round that takes longer, at once.

        An error of the first round is raised, for it may be a slip in the command; later ones stand in the round, and
        so does one of KMA's API hub.
        """
        while True:
            begun = time.monotonic()
            done = self.round()
            if done.error is not None and not self._begun:
                raise done.error
            yield done
            sleep(max(begun + poll_s - time.monotonic(), 0))

    def round(self) -> Round:
        """Do one round, and write down in ``status.json`` what came of it."""
        self._lock.check()
        done = Round(self._clock())
        try:
            self._tell(done, self._before())
        except HsrGeoError as error:  # a service that does not answer is no reason to leave out what is there
            done.error = error
        try:
            self._round(done)
        except HsrGeoError as error:
            done.error = error
        self.totals += done.counts
        if done.error is not None and not self._begun and not isinstance(done.error, HubError):
            return done  # a slip in the command: OUT stays free for the corrected one
        self._begun = True
        try:
            write_status(self.out, as_status(done, self.newest, self.totals), sync=self._options.sync)
        except HsrGeoError as error:
            done.error = done.error or error
        return done

    def _round(self, done: Round) -> None:
        files = listed_files(self._sources)
        named = {str(file): (file, alone) for file, alone in files}
        done.listed = len(files)
        marks = {path: mark for path, (file, _alone) in named.items() if (mark := mark_of(file)) is not None}
        taken = decide(done.time, marks, self._seen, self._settle_s, is_whole)
        self._wait(done, [named[path] for path in marks if path not in taken])
        now = {path: marks[path] for path in named if path in taken}
        if now == self._exported:
            return
        self._retry = False
        before, self._exported = self._exported, None  # where an error ends this, the next round does it again
        if before is None:
            self._find_newest()
        if now:
            self._export(Listing(named[path] for path in now), done)
        if self._keep is not None:
            self._drop(done)
        for line in self.newest.values():
            update_latest(self.out, self._options.recipe, line, sync=self._options.sync)
        if self.newest:
            self._tell(done, self._after())
        self._exported = None if self._retry else now

    def _wait(self, done: Round, files: list[tuple[File, bool]]) -> None:
        """Note the files that are not taken yet; those that an export skips are not waited for."""
        tally = Tally()
        names: list[str] = []
        for file, alone in files:
            if alone or can_have_frames(file):
                done.waiting_for.append(str(file))
                names.append(place_of(file).name)
            else:
                tally.pass_over(str(file))
        self._tell(done, map(skipped_for_their_names, tally.lookalikes))
        if done.waiting_for not in ([], self._waiting_for):  # reported once
            more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
            what = "1 file that" if len(names) == 1 else f"{len(names):,} files that"
            done.notes.append(f"waiting for {what} may not be complete yet: {', '.join(names[:_SHOWN])}{more}")
        self._waiting_for = done.waiting_for

    def _export(self, files: Listing, done: Round) -> None:
        frame_names = {str(file): _frame_name(file) for file, _named in files}
        for _run in range(_RUNS):
            start = self._start(frame_names)
            wanted = Listing(one for one in files if start is None or _is_since(frame_names[str(one[0])], start))
            run = Export(wanted, self.out, replace(self._options, start=start or self._options.start), changing=True)
            broken: dict[str, str] = {}
            again = False
            for outcome in run:
                notify("WATCHDOG=1")  # a long round is no round that hangs
                again |= outcome.status == "failed" and outcome.was is not None
                self._note(outcome, broken, done)
            self._tell(done, [*run.notes, *map(skipped_for_their_names, run.tally.lookalikes)])
            self._broken = broken
            self._find_newest()
            moved = self._start(frame_names)
            if not again and (start is None or moved is None or moved >= start):
                return

    def _tell(self, done: Round, notes: Iterable[str]) -> None:
        new = [note for note in dict.fromkeys(notes) if note not in self._noted]
        done.notes += new
        self._noted.update(new)

    def _note(self, outcome: Outcome, broken: dict[str, str], done: Round) -> None:
        if outcome.status == "failed":
            problem = str(outcome.error)
            broken[outcome.label] = problem
            if self._broken.get(outcome.label) != problem:
                done.counts["failed"] += 1
                done.broken.append(problem)
            self._retry |= not isinstance(outcome.error, FrameError)  # a full disk, say
        elif outcome.status == "ok":
            done.counts["replaced" if outcome.key in self._keys else "ok"] += 1
        elif outcome.status == "duplicate":
            done.counts["duplicate"] += 1

    def _start(self, frame_names: dict[str, FrameName | None]) -> datetime | None:
        """Return the first time that is kept, or None where all are."""
        if self._keep is None:
            return None
        times = [line.frame_name.time for line in self.newest.values() if line.frame_name]
        if not times:
            wants = self._options.selection.wants
            times = [one.time for path, one in frame_names.items() if one and wants(one) and path not in self._broken]
        if not times:
            return None
        start = max(times) - self._keep
        return max(start, self._options.start) if self._options.start else start

    def _find_newest(self) -> None:
        self.newest, self._keys = {}, set()
        if not has_lines(self.out):
            return
        with Manifest(self.out, read_only=True, by_kind=self._by_kind) as manifest:
            for line in manifest:
                if line.status == "ok" and line.frame_name is not None:
                    self._keys.add(line.key)
                    known = self.newest.get(line.frame_name.product)
                    if known is None or _order(line) > _order(known):
                        self.newest[line.frame_name.product] = line

    def _drop(self, done: Round) -> None:
        """Remove what lies before the window: lines of the manifest, then the files that they named."""
        start = self._start({})
        if start is None:
            return
        with Manifest(self.out, by_kind=self._by_kind, sync=self._options.sync) as manifest:
            old = [line for line in manifest if line.frame_name is not None and line.frame_name.time < start]
            if not old:
                return
            outputs = [output for line in old for output in line.outputs]
            unfinished = Unfinished(manifest, sync=self._options.sync)
            unfinished.recover()  # where a killed run left its list, and no export has been here since
            unfinished.note(outputs)
            unfinished.retire(outputs)
            for line in old:
                manifest.forget(line)
                done.counts["removed"] += line.status == "ok"
            manifest.put_in_order()
            unfinished.remove()
            unfinished.clear()
        if isinstance(self.out, Path):
            for folder in {output.path.rpartition("/")[0] for output in outputs}:
                _remove_empty(self.out / folder, self.out)

    @property
    def _by_kind(self) -> bool:
        return parts_kinds(self._options.recipe.name)


def _frame_name(file: str | RemotePath) -> FrameName | None:
    with suppress(FrameNameError):
        return parse_name(place_of(file).name)
    return None


def _is_since(frame_name: FrameName | None, start: datetime) -> bool:
    return frame_name is None or frame_name.time >= start


def _order(line: Outcome) -> tuple[float, Any]:
    return line.frame_name.time.timestamp() if line.frame_name else 0.0, line.standing


def _remove_empty(folder: Path, out: Path) -> None:
    with suppress(OSError):  # it holds something
        for one in (folder, *folder.parents):
            if one == out or not lies_below(one, out):
                return
            one.rmdir()
