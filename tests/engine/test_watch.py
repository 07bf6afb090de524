"""`hsrgeo watch`: OUT is what an export makes of the sources, whatever happened on the way."""

from __future__ import annotations

import json
import os
import random
import shlex
import tempfile
import zlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hsrgeo.cli import app
from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.watch.decide import Mark, SeenFiles, decide
from hsrgeo.engine.watch.status import read_status
from hsrgeo.engine.watch.watch_run import Watch
from hsrgeo.errors import HsrGeoWarning, LockError, OptionsError, SourceError
from hsrgeo.sources.service import Listed
from tests.conftest import TIME, frame_name, make_tar
from tests.fuzz import live
from tests.memory_bucket import MemoryBucket
from tests.watched import OPTIONS, SETTLE_S, World, content, happen, latest_time


def _run(*args: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    return done.exit_code, done.output


@settings(max_examples=5)
@given(st.integers(0, 1 << 32), st.sampled_from((None, 10)))
def test_whatever_happened_the_output_is_that_of_an_export(seed: int, keep: int | None) -> None:
    chance = random.Random(seed)  # noqa: S311 - arrivals
    window = timedelta(minutes=keep) if keep else None
    with tempfile.TemporaryDirectory() as work, World(Path(work), window) as world:
        for _event in range(12):
            happen(world, chance, 5)
        assert world.settled() == world.exported()


def test_a_better_frame_of_the_same_time_replaces_the_latest_and_a_late_one_does_not(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        for minute, stations, place, shown in ((5, 1, "", 5), (5, 2, "b", 5), (0, 3, "", 5), (10, 1, "", 10)):
            world.put(minute, stations, "whole", place)
            world.round()
            record = json.loads((world.out / "latest.json").read_bytes())
            assert record["time"] == f"2022-06-09T11:{15 + shown}:00+09:00"
            for file in record["files"]:
                assert (world.out / file["name"]).read_bytes() == (world.out / file["path"]).read_bytes()
            assert record["stations"] == {5: min(stations, 2), 10: 1}[shown] or place == ""
        (world.source / "RDR_CMP_HSR_PUB_202206091125.bin.gz").write_bytes(b"")  # broken now: its output goes
        world.round()
        assert list(world.out.glob("*/*/202206091125.tif"))  # it may be under way
        world.now += SETTLE_S
        world.round()
        assert not list(world.out.glob("*/*/202206091125.tif"))
        assert latest_time(world.out) == (TIME + timedelta(minutes=10)).timestamp()  # never back in time


def test_half_a_frame_waits_until_it_is_whole_or_has_rested(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.put(0, 1, "half")
        assert (world.watch.round().waiting, world.watch.totals) == (1, {})
        world.put(0, 1, "whole")
        done = world.watch.round()
        assert (done.waiting, done.counts) == (0, {"ok": 1})
        world.put(5, 1, "half")
        assert world.watch.round().waiting == 1
        world.now += SETTLE_S - 1
        assert world.watch.round().waiting == 1
        world.now += 1
        done = world.watch.round()
        assert (done.waiting, done.counts) == (0, {"failed": 1})
        assert "truncated" in done.broken[0]
        world.put(10, 1, "whole")
        assert world.watch.round().counts == {"ok": 1}  # what is broken is reported once


def test_a_file_that_is_waited_for_is_named_once_and_others_are_skipped_with_a_word(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.put(0, 1, "half")
        for name in ("메모.txt", "프레임 복사.bin.gz"):
            (world.source / name).write_bytes(content(5, 1, "whole"))
            os.utime(world.source / name, (world.now, world.now))
        done = world.watch.round()
        assert done.notes == [
            "skipped, because not named RDR_CMP_*.bin.gz: 프레임 복사.bin.gz; to read it, give it as a source",
            "waiting for 1 file that may not be complete yet: RDR_CMP_HSR_PUB_202206091115.bin.gz",
        ]
        assert done.waiting_for == [str(world.source / "RDR_CMP_HSR_PUB_202206091115.bin.gz")]
        assert world.watch.round().notes == []
        (world.source / "a.tar").write_bytes(make_tar([("a.txt", b"a")]))
        os.utime(world.source / "a.tar", (world.now, world.now))
        (note,) = world.watch.round().notes
        assert note.startswith("waiting for 2 files that may not be complete yet: ")
        assert "a.tar" in note
        world.now += SETTLE_S
        done = world.watch.round()
        assert not any("skipped" in note or "waiting" in note for note in done.notes)


@pytest.mark.parametrize(
    ("age_s", "changed_s", "taken"), [(599, 9999, False), (600, 600, True), (9999, 599, False), (-599, 9999, False)]
)
def test_a_young_file_is_read_before_it_is_taken(age_s: float, changed_s: float, *, taken: bool) -> None:
    seen, mark = SeenFiles(begun=True), Mark(1, 1e9 - age_s)
    decide(1e9 - changed_s, {"a": mark}, seen, 600, lambda _path: False)
    assert (decide(1e9, {"a": mark}, seen, 600, lambda _path: False) == {"a"}) is taken
    assert decide(1e9, {"a": mark}, seen, 600, lambda _path: True) == {"a"}
    decide(1e9, {}, seen, 600, lambda _path: True)
    assert not seen.marks
    assert not seen.whole


def test_what_a_watch_advises_is_what_it_can(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.put(0, 1, "whole")
        cog = world.out / "202206/09/202206091115.tif"
        cog.parent.mkdir(parents=True)
        cog.write_bytes(b"theirs")
        [problem] = world.watch.round().broken
        assert "differs; move it, use another OUT, or" in problem
        assert "`hsrgeo export --overwrite`" in problem
    with pytest.raises(OptionsError, match="not with min_wet"):
        Watch(tmp_path, tmp_path / "other", replace(OPTIONS, min_wet=0.1))


def test_keep_removes_only_what_the_watch_has_made(tmp_path: Path) -> None:
    with World(tmp_path, timedelta(minutes=5)) as world:
        world.put(0, 1, "whole")
        world.round()
        (mine := world.out / "202206/09/mine.txt").write_text("mine")
        tif = next(world.out.glob("*/*/202206091115.tif"))
        tif.write_bytes(edited := tif.read_bytes()[:-1] + b"x")
        world.put(15, 1, "whole")
        with pytest.warns(HsrGeoWarning, match="may be somebody else's"):
            world.round()
        left = sorted(path.name for path in mine.parent.iterdir() if "1115" in path.name or path == mine)
        assert (left, tif.read_bytes()) == (["202206091115.tif", "mine.txt"], edited)
        world.put(5, 1, "whole")  # too late
        world.round()
        assert not list(world.out.glob("*/*/202206091120.*"))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_reader_sees_only_whole_files_and_never_goes_back_in_time(seed: int) -> None:
    rounds, _frames = live.reader(12, seed)
    assert rounds > 0


def test_nothing_grows_from_day_to_day() -> None:
    # Three days of twelve frames, of which a quarter of a day stays: the newest frame and three before it, so 4 COGs,
    # and latest.tif, latest.json, manifest.jsonl, options.json, status.json and the lock of that.
    first, *later = live.days(3, 1, day=12)
    assert first["files"] == 4 + 6
    for day in later:
        assert {name: day[name] for name in ("files", "open_files")} == {
            name: first[name] for name in ("files", "open_files")
        }
        assert day["manifest_bytes"] < 1.1 * first["manifest_bytes"]


def test_an_outage_of_the_source_ends_nothing(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.put(0, 1, "whole")
        rounds = world.watch.rounds(30, lambda _seconds: None)
        assert next(rounds).error is None
        world.source.rename(tmp_path / "away")
        error = next(rounds).error
        assert isinstance(error, SourceError)
        assert read_status(world.out)["error"] == str(error)
        (tmp_path / "away").rename(world.source)
        world.put(5, 1, "whole")
        assert next(rounds).counts == {"ok": 1}


def test_one_watch_at_a_time(tmp_path: Path) -> None:
    with World(tmp_path) as world, pytest.raises(LockError), Watch(world.source, world.out, OPTIONS):
        pass


def test_commands(tmp_path: Path) -> None:
    source, out, metrics = tmp_path / "in", tmp_path / "out", tmp_path / "hsrgeo.prom"
    source.mkdir()
    (source / frame_name()).write_bytes(content(0, 3, "whole"))
    watched = ["watch", source, "--window", "400,600,32,32", "--out", out, "--once", "--metrics", metrics]
    assert _run(*watched) == (0, "1 written; latest: HSR of 2022-06-09 11:15 KST\n")
    rows = dict(row.rsplit(" ", 1) for row in metrics.read_text().splitlines() if not row.startswith("#"))
    assert rows['hsrgeo_latest_frame_timestamp_seconds{product="HSR"}'] == "1654740900"  # 2022-06-09 02:15 UTC
    assert rows['hsrgeo_frames_total{status="ok"}'] == "1"
    assert rows['hsrgeo_latest_frame_stations{product="HSR"}'] == "3"
    assert _run(*watched) == (0, "")
    code, text = _run("watch", "status", out)
    assert (code, text.splitlines()[1]) == (1, "HSR 2022-06-09T11:15:00+09:00, 3 stations")
    assert _run("watch", "status", out, "--max-age", "900000h")[0] == 0
    assert _run("watch", "status", tmp_path)[0] == 2
    (source / frame_name(suffix=".bin")).write_bytes(b"x")
    os.utime(source / frame_name(suffix=".bin"), (1e9, 1e9))
    assert _run(*watched)[0] == 1


@pytest.mark.parametrize(
    "wrong",
    [["nowhere"], [], ["in", "--fetch"], ["in", "--poll", "0"], ["in", "--keep", "0h"], ["in", "--settle", "-1"]],
)
def test_wrong_usage_leaves_nothing(wrong: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    code, text = _run("watch", *wrong, "--out", "out", "--once")
    assert (code, "Traceback" in text, Path("out").exists()) == (2, False, False)


def test_a_unit_holds_the_arguments_as_they_are() -> None:
    given = ["a b", 'say "x"', "50%", "$HOME", "back\\slash", "plain-1.0/x", "--out", "live"]
    code, text = _run("watch", "unit", "--timer", "--", *given)
    line = next(row for row in text.splitlines() if row.startswith("ExecStart=")).partition("=")[2]
    assert code == 0
    assert "OnCalendar" in text
    words = [word.replace("$$", "$") for word in shlex.split(line.replace("%%", "%"))]
    assert words[words.index("watch") :] == ["watch", *given, "--once"]
    assert _run("watch", "unit", "--", "in", "--uot", "live")[0] == 2


def test_ctrl_c_while_frames_are_fetched_ends_the_round_at_once(tmp_path: Path) -> None:
    def interrupted() -> list[str]:
        raise KeyboardInterrupt

    (source := tmp_path / "in").mkdir()
    (source / frame_name()).write_bytes(content(0, 1, "whole"))
    with Watch(source, tmp_path / "out", OPTIONS, before=interrupted) as watch:
        with pytest.raises(KeyboardInterrupt):
            watch.round()
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["status.json.lock"]


def test_what_a_killed_run_left_goes_also_where_no_source_is_left(tmp_path: Path) -> None:
    """With a window the watch removes old outputs, by the list in which the killed run noted others."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for minute in (0, 60):
        time = TIME + timedelta(minutes=minute)
        (source / frame_name(time)).write_bytes(content(minute, 1, "whole"))
    export(source, out, OPTIONS).run()
    left = out / "202206/09/202206091300.tif"
    left.write_bytes(b"left")
    record = {"path": "202206/09/202206091300.tif", "bytes": 4, "crc32": f"{zlib.crc32(b'left'):08x}"}
    (out / "unfinished.jsonl").write_text(f"{json.dumps(record)}\n")
    for path in source.iterdir():
        path.unlink()
    with Watch(source, out, OPTIONS, keep=timedelta(minutes=30)) as watch:
        assert watch.round().counts == {"removed": 1}
    assert sorted(path.name for path in out.rglob("*.tif")) == ["202206091215.tif", "latest.tif"]
    assert not (out / "unfinished.jsonl").exists()


def test_a_file_that_is_written_on_another_machine_waits_until_it_is_whole(tmp_path: Path) -> None:
    """A bucket shows whole files only; an SFTP server shows what is there."""
    now = 1.7e9

    class Machine(MemoryBucket):
        def stat(self, key: str) -> Listed:
            return replace(super().stat(key), changed=now)

    whole, half = content(0, 1, "whole"), content(0, 1, "half")
    for scheme, waits in (("sftp", True), ("s3", False)):
        machine = Machine()
        machine.url = machine.url.replace("s3", scheme)
        with machine.connected() as source, Watch(str(source), tmp_path / scheme, OPTIONS, clock=lambda: now) as watch:
            machine.objects[f"out/{frame_name()}"] = half
            done = watch.round()
            assert (done.waiting, done.counts) == ((1, {}) if waits else (0, {"failed": 1}))
            machine.objects[f"out/{frame_name()}"] = whole
            done = watch.round()
            assert (done.waiting, done.counts) == (0, {"ok": 1})
