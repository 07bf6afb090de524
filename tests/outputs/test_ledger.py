"""Which of two frames of one product and time is kept: in every order, interleaved in every way, killed at every step.

Frames are made up of nothing but their place in the contest, so that thousands of runs fit in a few seconds; the
worker's part is the true one, but for unpacking and cutting.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, Self
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsrgeo.engine.export.ledger import Ledger
from hsrgeo.engine.export.work import Task, export_frame
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import ChecksumError, SourceError, TooLargeError, WriteError
from hsrgeo.formats.gzipped import MAGIC
from hsrgeo.formats.names import FrameName
from hsrgeo.model.times import KST
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.outputs.recipe import Recipe, parts_kinds
from hsrgeo.sources.found import Found
from hsrgeo.sources.remote import Place
from hsrgeo.writers import disk
from tests.exported import lines, tree
from tests.memory_bucket import MemoryBucket

TIME = datetime(2022, 6, 9, 11, 15, tzinfo=KST)
PLAIN = ExportOptions().recipe
BY_KIND = ExportOptions(name="{kind}/{time:%Y%m%d%H%M}").recipe
"""Sends rivals to different paths."""
STEM = "202206/09/202206091115"


@dataclass(frozen=True)
class Made:
    """A frame: what its header says is all that it holds."""

    member: str
    stations: int = 3
    created: int = 0
    broken: bool = False
    unreadable: bool = False
    refused: bool = False
    """Known to be broken before it is unpacked."""
    product: str = "HSR"
    kind: str = "PUB"
    minute: int = 0
    content: str = ""

    def found(self) -> Found:
        # As long for every frame: a size tells nothing, as with --compress none.
        parts = [self.content or self.member, self.stations, self.created, self.broken, self.unreadable]
        data = MAGIC + json.dumps(parts).encode().rjust(64)  # only of what may be a composite are bytes looked at
        frame_name = FrameName(self.product, self.kind, TIME + timedelta(minutes=self.minute))
        error = TooLargeError("too large", "less", "more", "a.tar", self.member) if self.refused else None
        return Found("a.tar", self.member, frame_name, len(data), data, error)


def unpacked(data: bytes, name: str, *, member: str | None, block: int, registration: str, window_of: object) -> Any:
    assert (block, registration, callable(window_of)) == (1, "point", True)
    _content, stations, created, broken, unreadable = json.loads(data.removeprefix(MAGIC))
    if broken:
        raise ChecksumError("CRC check failed", "one thing", "another", name, member)
    if unreadable:
        raise SourceError(name, "cannot be read today")
    header = SimpleNamespace(station_count=stations, created=datetime.fromtimestamp(created, UTC))
    return (SimpleNamespace(header=header, crc32=7, notes=(), data=data),)


def cut(frames: Any, frame_name: FrameName, recipe: Recipe, _noted: object) -> Iterator[tuple[str, bytes]]:
    stem = recipe.stem(frame_name, "")
    yield f"{stem}.tif", b"tif" + frames[0].data
    yield f"{stem}.pgw", b"the same for all"
    yield f"{stem}.png", b"png" + frames[0].data


@pytest.fixture(autouse=True, scope="module")
def frames_of_nothing() -> Iterator[None]:
    with patch("hsrgeo.reading.decode_blocks", unpacked), patch("hsrgeo.engine.export.work.files_of", cut):
        yield


class Killed(BaseException):
    """Stands for kill -9: nothing may be done after it."""


class Disk:
    """Counts what is done to the disk; from one step on it does nothing any more."""

    def __init__(self, kill_at: int | None) -> None:
        self.steps = 0
        self._kill_at = kill_at

    def step(self) -> None:
        if self.steps == self._kill_at:
            raise Killed
        self.steps += 1

    def watched(self) -> ExitStack:
        opened, moved, removed = disk._opened, os.replace, Path.unlink

        def open_watched(path: Path) -> Any:
            self.step()
            return SlowFile(opened(path), self)

        def move(source: Path, target: Path) -> None:
            self.step()
            moved(source, target)

        def remove(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as Path.unlink has it
            if path.exists():
                self.step()
            removed(path, missing_ok=missing_ok)

        stack = ExitStack()
        stack.enter_context(patch.object(disk, "_opened", open_watched))
        stack.enter_context(patch("os.replace", move))
        stack.enter_context(patch.object(Path, "unlink", remove))
        return stack


class SlowFile:
    """A file whose writes can be stopped half-way."""

    def __init__(self, file: BinaryIO, disk: Disk) -> None:
        self._file = file
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        half = len(data) // 2
        self._disk.step()
        self._file.write(data[:half])
        self._file.flush()
        self._disk.step()
        return half + self._file.write(data[half:])


class Run:
    """A run: frames are admitted in order, worked on and settled in an order that chance decides.

    Args:
        out: The output folder.
        frames: In the order of reading.
        recipe: As for an export.
        chance: Decides what comes next; without it everything is done in order, as with one job.
        kill_at: The step of the disk before which the run is killed.
        overwrite: As for an export.
        bucket: That OUT lies in, if it does.
    """

    def __init__(
        self,
        out: Place,
        frames: Sequence[Made],
        *,
        recipe: Recipe = PLAIN,
        chance: random.Random | None = None,
        kill_at: int | None = None,
        overwrite: bool = False,
        bucket: MemoryBucket | None = None,
    ) -> None:
        self.lines: list[Outcome] = []
        self._chance = chance
        self._recipe = recipe
        self._out = out
        disk = Disk(kill_at)
        if bucket is not None:
            bucket.step = disk.step
        with disk.watched(), Manifest(out, by_kind=parts_kinds(recipe.name)) as manifest:
            manifest._file = SlowFile(manifest._file, disk)  # type: ignore[assignment]
            self._follow(Ledger(manifest, recipe, overwrite=overwrite), frames)
        self.steps = disk.steps

    @property
    def statuses(self) -> dict[str | None, str]:
        """The last word on each member."""
        return {outcome.member: outcome.status for outcome in self.lines}

    def _follow(self, ledger: Ledger, frames: Sequence[Made]) -> None:
        self._mark = ledger.mark
        waiting = [frame.found() for frame in frames]
        admitted: list[Task | Outcome] = []
        done: list[Outcome] = []
        ahead = self._chance.randint(1, 6) if self._chance else 1
        while waiting or admitted or done:
            steps: list[Callable[[], None]] = []
            if waiting and len(admitted) + len(done) < ahead:
                steps.append(lambda: admitted.append(ledger.admit(waiting.pop(0))))
            if admitted:
                steps.append(lambda: done.append(self._work(admitted.pop(self._choose(len(admitted))))))
            if done:
                steps.append(lambda: self.lines.extend(ledger.settle(done.pop(self._choose(len(done))))))
            steps[self._choose(len(steps))]()
        ledger.finish()

    def _choose(self, count: int) -> int:
        return self._chance.randrange(count) if self._chance else 0

    def _work(self, entry: Task | Outcome) -> Outcome:
        return entry if isinstance(entry, Outcome) else export_frame(entry, self._out, self._recipe, self._mark)


def tif_of(frame: Made) -> bytes:
    data = frame.found().data
    assert data is not None
    return b"tif" + data


def named(frames: list[Made]) -> list[Made]:
    return [replace(frame, member=f"m{number}") for number, frame in enumerate(frames)]


MADE = st.builds(
    Made,
    member=st.just(""),
    stations=st.integers(1, 3),
    created=st.integers(0, 1),
    broken=st.sampled_from([False, False, True]),
    refused=st.sampled_from([False, False, False, True]),
    kind=st.sampled_from(["PUB", "EXT"]),
    minute=st.sampled_from([0, 0, 0, 5]),
)
SEVERAL = st.lists(MADE, min_size=1, max_size=5).map(named)
RECIPES = st.sampled_from([PLAIN, BY_KIND])
CHANCE = st.randoms(use_true_random=False)

WEAK, STRONG, STRONGEST = Made("weak", 1), Made("strong", 2), Made("strongest", 3)
BROKEN = Made("broken", 9, broken=True)
CASES = {
    "the better one later": [WEAK, STRONG],
    "the better one first": [STRONG, WEAK],
    "three": [WEAK, STRONGEST, STRONG],
    "the first is broken": [BROKEN, WEAK, STRONG],
    "a later one is broken": [STRONG, BROKEN, WEAK],
    "known to be broken": [WEAK, Made("refused", refused=True), STRONG],
    "the same twice": [Made("a/same", content="same"), Made("b/same", content="same")],
    "the same twice, the other way": [Made("b/same", content="same"), Made("a/same", content="same")],
}
"""Rivals of one product and time, in the order of reading."""


# Who is kept.


@pytest.mark.slow
@settings(max_examples=50)
@given(SEVERAL, CHANCE, RECIPES)
def test_neither_order_nor_interleaving_decides(frames: list[Made], chance: random.Random, recipe: Recipe) -> None:
    with tempfile.TemporaryDirectory() as folder:
        straight, mixed = Path(folder, "straight"), Path(folder, "mixed")
        Run(straight, frames, recipe=recipe)
        Run(mixed, chance.sample(frames, len(frames)), recipe=recipe, chance=chance)
        assert tree(mixed) == tree(straight)


@pytest.mark.slow
@settings(max_examples=30)
@given(SEVERAL, CHANCE)
def test_the_best_sound_frame_is_kept_and_the_others_name_it(frames: list[Made], chance: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        run = Run(out, frames, chance=chance)
        for minute in {frame.minute for frame in frames}:
            rivals = [frame for frame in frames if frame.minute == minute]
            sound = [frame for frame in rivals if not (frame.broken or frame.refused)]
            target = out / f"202206/09/2022060911{15 + minute}.tif"
            if not sound:
                assert not target.exists()
                continue
            best = max(sound, key=lambda frame: (frame.kind == "PUB", frame.stations, frame.created, frame.member))
            assert target.read_bytes() == tif_of(best)
            said = {line["member"]: line for line in lines(out)}
            for frame in rivals:
                wanted = "ok" if frame is best else "duplicate" if frame in sound else "failed"
                assert said[frame.member]["status"] == run.statuses[frame.member] == wanted
                assert said[frame.member].get("duplicate_of") == (
                    f"a.tar [{best.member}]" if wanted == "duplicate" else None
                )


def test_more_stations_win_over_a_later_creation(tmp_path: Path) -> None:
    Run(tmp_path, [Made("more", stations=10, created=0), Made("later", stations=9, created=500)])
    assert {line["member"]: line["status"] for line in lines(tmp_path)} == {"more": "ok", "later": "duplicate"}


@pytest.mark.parametrize("order", list(itertools.permutations([0, 300, 600])))
def test_a_later_creation_wins_among_as_many_stations(tmp_path: Path, order: tuple[int, ...]) -> None:
    Run(tmp_path, [Made(f"at {created}", created=created) for created in order])
    assert {line["member"]: line["status"] for line in lines(tmp_path)} == {
        "at 0": "duplicate",
        "at 300": "duplicate",
        "at 600": "ok",
    }


def test_the_same_content_twice_is_one_frame_and_one_duplicate(tmp_path: Path) -> None:
    twins = [Made("a", content="same"), Made("b", content="same")]
    trees = []
    for number, order in enumerate((twins, twins[::-1])):
        run = Run(tmp_path / str(number), order)
        assert sorted(run.statuses.values()) == ["duplicate", "ok"]
        trees.append(tree(tmp_path / str(number)))
    assert trees[0] == trees[1]
    assert trees[0][f"{STEM}.tif"] == tif_of(twins[0])


def test_a_frame_that_loses_later_is_reported_twice(tmp_path: Path) -> None:
    found = [(outcome.member, outcome.status, outcome.was) for outcome in Run(tmp_path, [WEAK, STRONG]).lines]
    assert found == [("weak", "ok", None), ("strong", "ok", None), ("weak", "duplicate", "ok")]


def test_kinds_are_different_things_where_a_template_parts_them(tmp_path: Path) -> None:
    Run(tmp_path, [WEAK, replace(STRONG, kind="EXT")], recipe=BY_KIND)
    assert (tmp_path / "PUB/202206091115.tif").read_bytes() == tif_of(WEAK)
    assert (tmp_path / "EXT/202206091115.tif").read_bytes() == tif_of(replace(STRONG, kind="EXT"))
    assert [line["status"] for line in lines(tmp_path)] == ["ok", "ok"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_kind_is_preferred_whatever_its_stations(tmp_path: Path, order: int) -> None:
    Run(tmp_path, [WEAK, replace(STRONG, kind="EXT")][::order])
    assert {line["member"]: line["status"] for line in lines(tmp_path)} == {"weak": "ok", "strong": "duplicate"}


# The same command again.


@pytest.mark.parametrize("frames", CASES.values(), ids=CASES)
def test_nothing_is_done_twice(tmp_path: Path, frames: list[Made]) -> None:
    first = Run(tmp_path, frames)
    before = tree(tmp_path)
    again = Run(tmp_path, frames)
    assert tree(tmp_path) == before
    for member, status in first.statuses.items():
        assert again.statuses[member] == ("failed" if status == "failed" else "skipped")
    assert len(again.lines) == len(frames)


def test_a_better_rival_replaces_what_an_earlier_run_kept(tmp_path: Path) -> None:
    Run(tmp_path / "twice", [WEAK])
    run = Run(tmp_path / "twice", [WEAK, STRONG])
    # The frame that was skipped is not reported again: every frame read is reported once, or twice with `was`.
    assert [(outcome.member, outcome.status) for outcome in run.lines] == [("weak", "skipped"), ("strong", "ok")]
    Run(tmp_path / "once", [WEAK, STRONG])
    assert tree(tmp_path / "twice") == tree(tmp_path / "once")


def test_a_worse_rival_does_not(tmp_path: Path) -> None:
    Run(tmp_path / "twice", [STRONG])
    run = Run(tmp_path / "twice", [WEAK])
    assert run.statuses == {"weak": "duplicate"}
    Run(tmp_path / "once", [STRONG, WEAK])
    assert tree(tmp_path / "twice") == tree(tmp_path / "once")


@pytest.mark.parametrize("lost", ["tif", "pgw", "png"])
def test_an_output_that_was_deleted_is_made_again(tmp_path: Path, lost: str) -> None:
    Run(tmp_path, [WEAK, STRONG])
    before = tree(tmp_path)
    (tmp_path / f"{STEM}.{lost}").unlink()
    assert Run(tmp_path, [WEAK, STRONG]).statuses == {"weak": "skipped", "strong": "ok"}
    assert tree(tmp_path) == before


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("state", ["broken", "worse"])
def test_a_duplicate_takes_the_place_of_a_winner_that_is_none_any_more(tmp_path: Path, order: int, state: str) -> None:
    Run(tmp_path / "out", [WEAK, STRONG])
    now = replace(STRONG, broken=True) if state == "broken" else replace(STRONG, stations=WEAK.stations - 1)
    frames = [WEAK, now][::order]
    run = Run(tmp_path / "out", frames)
    if order == 1:  # the weak one was passed over, and its bytes are gone by
        (reopened,) = [outcome for outcome in run.lines if outcome.member == "weak" and outcome.status == "failed"]
        how = "is broken now" if state == "broken" else "is another frame now, and worse"
        assert str(reopened.error) == f"a.tar [weak]: lost to a.tar [strong], which {how}: run the same command again"
        assert reopened.was == "skipped"
        run = Run(tmp_path / "out", frames)
    assert run.statuses["weak"] == "ok"
    assert (tmp_path / "out" / f"{STEM}.tif").read_bytes() == tif_of(WEAK)
    Run(tmp_path / "once", frames)
    assert tree(tmp_path / "out") == tree(tmp_path / "once")


def test_a_winner_that_cannot_be_read_today_keeps_its_place(tmp_path: Path) -> None:
    Run(tmp_path, [WEAK, STRONG])
    run = Run(tmp_path, [WEAK, replace(STRONG, unreadable=True)])
    assert run.statuses == {"weak": "skipped", "strong": "failed"}
    assert (tmp_path / f"{STEM}.tif").read_bytes() == tif_of(STRONG)


@pytest.mark.parametrize("size", ["longer", "as long"])
def test_a_source_that_changed_is_done_again(tmp_path: Path, size: str) -> None:
    Run(tmp_path, [STRONG])
    changed = replace(STRONG, content="as long" if size == "as long" else "something so long that it does not fit" * 2)
    assert Run(tmp_path, [changed]).statuses == {"strong": "ok"}
    assert (tmp_path / f"{STEM}.tif").read_bytes() == tif_of(changed)
    assert Run(tmp_path, [changed]).statuses == {"strong": "skipped"}


def test_files_of_a_source_that_broke_go(tmp_path: Path) -> None:
    Run(tmp_path, [STRONG])
    assert Run(tmp_path, [replace(STRONG, broken=True)]).statuses == {"strong": "failed"}
    assert list(tree(tmp_path)) == [MANIFEST]
    # and nothing is in the way once it is whole again, though with other content
    mended = replace(STRONG, content="mended")
    assert Run(tmp_path, [mended]).statuses == {"strong": "ok"}
    assert (tmp_path / f"{STEM}.tif").read_bytes() == tif_of(mended)


def test_files_of_a_source_that_cannot_be_read_today_stay(tmp_path: Path) -> None:
    Run(tmp_path, [STRONG])
    assert Run(tmp_path, [replace(STRONG, unreadable=True)]).statuses == {"strong": "failed"}
    assert (tmp_path / f"{STEM}.tif").read_bytes() == tif_of(STRONG)
    assert Run(tmp_path, [STRONG]).statuses == {"strong": "ok"}


@settings(max_examples=40)
@given(SEVERAL, CHANCE, RECIPES)
def test_overwriting_changes_nothing_where_nothing_changed(
    frames: list[Made], chance: random.Random, recipe: Recipe
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        Run(out, frames, recipe=recipe)
        before = tree(out)
        run = Run(out, frames, recipe=recipe, chance=chance, overwrite=True)
        assert "skipped" not in run.statuses.values()
        assert tree(out) == before


# Killed.


@pytest.mark.slow
@pytest.mark.parametrize("frames", CASES.values(), ids=CASES)
@pytest.mark.parametrize("recipe", [PLAIN, BY_KIND], ids=["plain", "by kind"])
def test_killed_at_any_step_and_run_again(tmp_path: Path, frames: list[Made], recipe: Recipe) -> None:
    if recipe is BY_KIND:
        frames = [replace(frame, kind=kind) for frame, kind in zip(frames, itertools.cycle(["PUB", "EXT"]))]
    steps = Run(tmp_path / "straight", frames, recipe=recipe).steps
    wanted = tree(tmp_path / "straight")
    assert steps > 20
    for step in range(steps):
        out = tmp_path / str(step)
        with pytest.raises(Killed):
            Run(out, frames, recipe=recipe, kill_at=step)
        Run(out, frames, recipe=recipe)
        assert tree(out) == wanted, f"killed before step {step}"


@pytest.mark.slow
@settings(max_examples=60)
@given(SEVERAL, CHANCE, RECIPES)
def test_killed_again_and_again_with_several_jobs(frames: list[Made], chance: random.Random, recipe: Recipe) -> None:
    with tempfile.TemporaryDirectory() as folder:
        straight, killed = Path(folder, "straight"), Path(folder, "killed")
        steps = Run(straight, frames, recipe=recipe).steps
        for _ in range(chance.randint(1, 3)):
            with suppress(Killed):
                overwrite = chance.random() < 0.2
                kill_at = chance.randrange(steps)
                Run(killed, frames, recipe=recipe, chance=chance, kill_at=kill_at, overwrite=overwrite)
            if chance.random() < 0.3:  # a run over other sources, in between
                Run(killed, chance.sample(frames, chance.randint(0, len(frames))), recipe=recipe, chance=chance)
        Run(killed, frames, recipe=recipe, chance=chance)
        assert tree(killed) == tree(straight)


@pytest.mark.slow
def test_a_run_over_other_sources_does_not_hide_that_files_were_not_moved(tmp_path: Path) -> None:
    others = [Made("other", minute=5)]
    frames = [*others, WEAK, STRONG]
    steps = Run(tmp_path / "straight", frames).steps
    wanted = tree(tmp_path / "straight")
    for step in range(steps):
        out = tmp_path / str(step)
        with pytest.raises(Killed):
            Run(out, frames, kill_at=step)
        Run(out, others)
        Run(out, frames)
        assert tree(out) == wanted, f"killed before step {step}"


# In a bucket: lines of the manifest are sent later than they are written, and a move is a copy and a removal.


@pytest.fixture
def unlocked() -> Iterator[None]:
    """Without the lock, which would hold up for two minutes whoever comes after a run that was killed."""
    with (
        patch("hsrgeo.outputs.journal.locked", lambda *_paths: Unlocked()),
        patch("hsrgeo.outputs.bucket.BucketLock", lambda *_paths: Unlocked()),
    ):
        yield


class Unlocked(nullcontext[Any]):
    def __enter__(self) -> Self:
        return self

    def check(self) -> None: ...


@pytest.mark.slow
@pytest.mark.usefixtures("unlocked")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SEVERAL, CHANCE, RECIPES, st.sampled_from([0.0, 1e9]))
def test_killed_again_and_again_in_a_bucket(
    frames: list[Made], chance: random.Random, recipe: Recipe, send_s: float
) -> None:
    with tempfile.TemporaryDirectory() as folder, patch("hsrgeo.outputs.bucket._SEND_S", send_s):
        straight = Path(folder, "straight")
        Run(straight, frames, recipe=recipe)
        bucket = MemoryBucket()
        with bucket.connected() as out:
            steps = Run(out / "whole", frames, recipe=recipe, bucket=bucket).steps
            assert tree(out / "whole") == tree(straight)
            for _ in range(chance.randint(1, 3)):
                with suppress(Killed):
                    overwrite = chance.random() < 0.2
                    kill_at = chance.randrange(steps)
                    killed = partial(Run, recipe=recipe, chance=chance, overwrite=overwrite, bucket=bucket)
                    killed(out / "killed", frames, kill_at=kill_at)
            Run(out / "killed", frames, recipe=recipe, chance=chance, bucket=bucket)
            assert tree(out / "killed") == tree(straight)


# In the way.


def strangers_file(out: Path, data: bytes) -> Path:
    target = out / f"{STEM}.tif"
    target.parent.mkdir(parents=True)
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("frames", [[STRONG], [BROKEN, STRONG]], ids=["in place", "staged"])
def test_a_file_in_the_way_is_refused(tmp_path: Path, frames: list[Made]) -> None:
    target = strangers_file(tmp_path, b"somebody's work")
    run = Run(tmp_path, frames)
    assert run.statuses["strong"] == "failed"
    record = lines(tmp_path)[-1]["error"]
    assert record["type"] == "OutputExistsError"
    assert "is not in the manifest and differs" in record["message"]
    assert "--overwrite" in record["message"]
    assert str(target) in record["message"]
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {target.name, MANIFEST}
    assert target.read_bytes() == b"somebody's work"
    Run(tmp_path, frames, overwrite=True)
    assert target.read_bytes() == tif_of(STRONG)


@pytest.mark.parametrize("frames", [[STRONG], [BROKEN, STRONG]], ids=["in place", "staged"])
def test_the_same_bytes_are_not_in_the_way(tmp_path: Path, frames: list[Made]) -> None:
    strangers_file(tmp_path, tif_of(STRONG))
    assert Run(tmp_path, frames).statuses["strong"] == "ok"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_in_the_way_fails_the_frame(tmp_path: Path, overwrite: bool) -> None:  # noqa: FBT001
    (tmp_path / f"{STEM}.tif").mkdir(parents=True)
    assert Run(tmp_path, [STRONG], overwrite=overwrite).statuses == {"strong": "failed"}


def test_a_file_in_place_of_a_folder_fails_the_frame(tmp_path: Path) -> None:
    (tmp_path / "202206").write_bytes(b"")
    assert Run(tmp_path, [STRONG]).statuses == {"strong": "failed"}
    assert lines(tmp_path)[0]["error"]["type"] == "WriteError"


def test_a_staged_file_that_cannot_be_moved_ends_the_run(tmp_path: Path) -> None:
    Run(tmp_path, [WEAK])
    (tmp_path / f"{STEM}.tif").unlink()
    (tmp_path / f"{STEM}.tif").mkdir()
    with pytest.raises(WriteError, match=r"1115\.tif: cannot be written"):
        Run(tmp_path, [STRONG])
    (tmp_path / f"{STEM}.tif").rmdir()
    Run(tmp_path, [WEAK, STRONG])
    Run(tmp_path / "straight", [WEAK, STRONG])
    straight = tree(tmp_path / "straight")
    assert {path: data for path, data in tree(tmp_path).items() if not path.startswith("straight")} == straight


def test_what_others_left_lying_is_left(tmp_path: Path) -> None:
    Run(tmp_path, [STRONG])
    folder = (tmp_path / STEM).parent
    theirs = [".notes.part", ".202206091115.tif.swp", "202206091115.tif.part", ".x.tif.staged", ".hidden"]
    ours = [".202206091115.tif.part", ".202206091115.png.aux.xml.0123abcd.staged", "..x.pgw.0123abcd.staged.part"]
    for name in (*theirs, *ours):
        (folder / name).write_bytes(b"")
    Run(tmp_path, [STRONG])
    left = {path.name for path in folder.iterdir()}
    assert left == {*theirs, *(f"202206091115.{suffix}" for suffix in ("tif", "pgw", "png"))}


# A template that sends two to one path.


@pytest.mark.parametrize("broken", [False, True])
def test_two_products_of_one_path_clash(tmp_path: Path, broken: bool) -> None:  # noqa: FBT001
    frames = [Made("hsr", broken=broken), Made("hsp", product="HSP")]
    seen = []
    for seed in range(12):  # whether the first is done before the second is read must not matter
        out = tmp_path / str(seed)
        Run(out, frames, chance=random.Random(seed))  # noqa: S311
        Run(out, frames, chance=random.Random(seed + 1))  # noqa: S311
        seen.append(tree(out))
    assert all(one == seen[0] for one in seen)
    record = lines(tmp_path / "0")[0]
    assert (record["member"], record["status"], record["error"]["type"]) == ("hsp", "failed", "OutputExistsError")
    assert "is already used by HSR of 2022-06-09 11:15 KST; choose with --product" in record["error"]["message"]
    assert (f"{STEM}.tif" in seen[0]) is not broken


def test_two_times_of_one_path_clash(tmp_path: Path) -> None:
    recipe = ExportOptions(name="{time:%Y%m%d%H}").recipe
    run = Run(tmp_path, [Made("at 15", minute=0), Made("at 20", minute=5)], recipe=recipe)
    assert run.statuses == {"at 15": "ok", "at 20": "failed"}


def test_a_path_stays_taken_in_the_next_run(tmp_path: Path) -> None:
    Run(tmp_path, [Made("hsr")])
    assert Run(tmp_path, [Made("hsp", product="HSP")]).statuses == {"hsp": "failed"}
    assert (tmp_path / f"{STEM}.tif").read_bytes() == tif_of(Made("hsr"))


def test_a_staged_file_that_cannot_be_read_back_fails_its_frame(tmp_path: Path) -> None:
    strangers_file(tmp_path, tif_of(STRONG))
    read = Path.read_bytes

    def lost(path: Path) -> bytes:
        if path.name.endswith(".staged"):
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    with patch.object(Path, "read_bytes", lost):
        run = Run(tmp_path, [BROKEN, STRONG])
    assert run.statuses["strong"] == "failed"
    assert "cannot be read back: Input/output error" in lines(tmp_path)[-1]["error"]["message"]
    assert Run(tmp_path, [BROKEN, STRONG]).statuses["strong"] == "ok"
