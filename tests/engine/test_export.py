"""From sources to files and a manifest, through `hsrgeo.export`."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import rasterio

import hsrgeo
from hsrgeo import errors
from hsrgeo.engine.export.export_run import Export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.errors import ArchiveError, FrameError, HsrGeoWarning, ManifestError, OptionsError, SourceError
from hsrgeo.formats import composite
from hsrgeo.model.window import BBox
from hsrgeo.outputs.kept_recipe import recipe_of
from hsrgeo.outputs.names import MANIFEST, OPTIONS
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.writers import disk
from hsrgeo.writers.files import remove_file
from tests.conftest import TIME, MakeFile, Pixels, frame_name, make_tar
from tests.exported import lines, tree
from tests.faults import Fault, every_fault

STEP = timedelta(minutes=5)
SMALL = ExportOptions(window=(420, 620, 48, 32), jobs=1)
"""A crop: what is tested here is the run, not the pixels."""


def run(sources: Any, out: Path, options: ExportOptions = SMALL, **changes: Any) -> list[Outcome]:
    return list(hsrgeo.export(sources, out, dataclasses.replace(options, **changes)))


def statuses(outcomes: Iterable[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def inodes(out: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(out).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in out.rglob("*")
        if path.is_file() and path.name not in (MANIFEST, OPTIONS)
    }


def stems(out: Path, suffix: str = ".tif") -> list[str]:
    return sorted(path.name.removesuffix(suffix) for path in out.rglob(f"*{suffix}"))


def sound(make_file: MakeFile, count: int, start: datetime = TIME) -> list[tuple[str, bytes]]:
    return [(frame_name(time), make_file(time=time)) for time in (start + n * STEP for n in range(count))]


@pytest.fixture(scope="session")
def few(make_file: MakeFile) -> list[tuple[str, bytes]]:
    """Give name and bytes of five sound frames, 11:15 to 11:35."""
    return sound(make_file, 5)


@pytest.fixture
def archive(tmp_path: Path, few: list[tuple[str, bytes]]) -> Path:
    path = tmp_path / "RDR_HSR_202206.tar.gz"
    path.write_bytes(make_tar([(f"RDR_HSR_202206/09/{name}", data) for name, data in few]))
    return path


@pytest.fixture
def folder(tmp_path: Path, few: list[tuple[str, bytes]]) -> Path:
    path = tmp_path / "frames"
    path.mkdir()
    for name, data in few:
        (path / name).write_bytes(data)
    return path


@pytest.fixture(scope="session")
def faults(make_file: MakeFile) -> list[Fault]:
    return list(every_fault(make_file, TIME + timedelta(days=1)))


# What comes out.


def test_an_archive_becomes_files_and_a_manifest(archive: Path, tmp_path: Path, pixels: Pixels) -> None:
    out = tmp_path / "out"
    export = hsrgeo.export(archive, out, SMALL)
    outcomes = list(export)
    assert statuses(outcomes) == ["ok"] * 5
    assert dict(export.counts) == {"ok": 5}
    folder = out / "202206/09"
    suffixes = (".pgw", ".png", ".png.aux.xml", ".prj", ".tif")
    names = [f"2022060911{minute}{suffix}" for minute in (15, 20, 25, 30, 35) for suffix in suffixes]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert sorted(path.name for path in out.iterdir()) == ["202206", MANIFEST, OPTIONS]
    for line, outcome in zip(lines(out), outcomes, strict=True):
        assert (line["source"], line["member"]) == (str(archive), outcome.member)
        assert (line["product"], line["kind"], line["stations"]) == ("HSR", "PUB", 3)
        for output in line["outputs"]:
            data = (out / output["path"]).read_bytes()
            assert (output["bytes"], output["crc32"]) == (len(data), f"{zlib.crc32(data):08x}")
        assert line["seconds"] > 0
    assert export.written_bytes == sum((folder / name).stat().st_size for name in names)
    with rasterio.open(folder / "202206091115.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), pixels[620:652, 420:468])


def test_frames_come_in_every_form(tmp_path: Path, make_file: MakeFile) -> None:
    times = [TIME + n * STEP for n in range(5)]
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    (source / frame_name(times[0])).write_bytes(make_file(time=times[0]))
    (source / "sub" / frame_name(times[1], suffix=".bin")).write_bytes(make_file(time=times[1], gz=False))
    (source / "a.tar").write_bytes(make_tar([(frame_name(times[2]), make_file(time=times[2]))], gz=False))
    (source / "notes.txt").write_text("nothing")
    own = tmp_path / "renamed.dat"
    own.write_bytes(make_file(time=times[3]))
    globbed = tmp_path / "g"
    globbed.mkdir()
    (globbed / frame_name(times[4])).write_bytes(make_file(time=times[4]))
    export = hsrgeo.export([str(source), own, str(globbed / "*.bin.gz")], tmp_path / "out", SMALL)
    assert statuses(export) == ["ok"] * 5
    assert stems(tmp_path / "out") == [f"{time:%Y%m%d%H%M}" for time in times]
    assert export.tally.passed_over.total() == 1


@pytest.mark.parametrize(("formats", "count"), [(("cog",), 1), (("png",), 4), (("cog", "png"), 5)])
def test_formats(folder: Path, tmp_path: Path, formats: Any, count: int) -> None:
    outcomes = run(folder, tmp_path / "out", formats=formats)
    assert {len(outcome.outputs) for outcome in outcomes} == {count}
    assert statuses(run(folder, tmp_path / "out", formats=formats)) == ["skipped"] * 5


def test_regions_are_cut_from_a_frame_that_is_unpacked_once(folder: Path, tmp_path: Path) -> None:
    regions = tuple(
        Region(name, BBox(west, 36.5, west + 0.3, 36.8)) for name, west in (("서울", 126.6), ("b", 127), ("c", 127.5))
    )
    with patch("hsrgeo.reading.decode_blocks", wraps=composite.decode_blocks) as decode:
        outcomes = run(folder, tmp_path / "out", window=None, regions=regions)
    assert decode.call_count == 5
    assert {len(outcome.outputs) for outcome in outcomes} == {15}
    sizes = set()
    for region in regions:
        assert stems(tmp_path / "out" / region.name) == [f"2022060911{minute}" for minute in (15, 20, 25, 30, 35)]
        with rasterio.open(tmp_path / "out" / region.name / "202206/09/202206091115.tif") as dataset:
            sizes.add(dataset.bounds.left)
    assert len(sizes) == 3


def test_an_area_outside_one_grid_fails_the_frame_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    # The window fits the 500 m grid of 2305 x 2881 cells, not these frames of 1153 x 1441.
    outcomes = run(folder, tmp_path / "out", window=(2000, 2000, 64, 64))
    assert statuses(outcomes) == ["failed"] * 5
    assert {line["error"]["type"] for line in lines(tmp_path / "out")} == {"WindowError"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [MANIFEST, OPTIONS]


def test_selection(archive: Path, tmp_path: Path) -> None:
    export = hsrgeo.export(
        archive, tmp_path / "out", dataclasses.replace(SMALL, start=TIME + STEP, end=TIME + 3 * STEP)
    )
    assert statuses(export) == ["ok", "ok"]
    assert stems(tmp_path / "out") == ["202206091120", "202206091125"]
    assert export.tally.unselected == 3
    # later the rest, into the same OUT
    assert sorted(statuses(run(archive, tmp_path / "out"))) == ["ok"] * 3 + ["skipped"] * 2


def test_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    for jobs in (1, 2):
        export = hsrgeo.export(tmp_path / "in", tmp_path / f"out{jobs}", dataclasses.replace(SMALL, jobs=jobs))
        assert list(export) == []
        assert not export.counts
        assert not list((tmp_path / f"out{jobs}").iterdir())  # free for the corrected command


def test_what_cannot_begin_is_an_exception_before_anything_is_written(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SourceError, match="no such file"):
        hsrgeo.export(tmp_path / "missing", out)
    with pytest.raises(OptionsError):
        hsrgeo.export(folder, out, ExportOptions(bbox=(10, 10, 11, 11)))
    assert not out.exists()
    hsrgeo.export(folder, out, SMALL)  # not iterated
    assert not out.exists()


# One job and several.


def rivals(make_file: MakeFile) -> list[tuple[str, bytes]]:
    """Return frames of times that `sound` has too: issued again with fewer and with more stations, and as EXT."""
    times = [TIME, TIME + STEP, TIME + 2 * STEP]
    fields = station_list(times[0])
    return [
        ("again/" + frame_name(times[0]), make_file(time=times[0], stations=fields[:2])),
        ("again/" + frame_name(times[1]), make_file(time=times[1], stations=fields * 3)),
        ("again/" + frame_name(times[2], kind="EXT"), make_file(time=times[2], stations=fields * 3)),
        ("and again/" + frame_name(times[1]), make_file(time=times[1], stations=fields * 2)),
        ("twice/" + frame_name(times[2]), make_file(time=times[2])),
    ]


def station_list(time: datetime) -> list[tuple[bytes, Any, Any]]:
    fields = (time.year, time.month, time.day, time.hour, time.minute, 0)
    return [(code, fields, fields) for code in (b"KWK", b"GDK", b"BRI")]


def test_what_became_of_a_broken_frame_keeps_none_of_its_bytes(tmp_path: Path, faults: list[Fault]) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for fault in faults:
        (source / fault.name).write_bytes(fault.data)
    tracemalloc.start()
    try:
        outcomes = run(source, tmp_path / "out", jobs=1)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert statuses(outcomes) == ["failed"] * len(faults)
    assert kept < 5_000_000  # a frame's bytes are 13 MB


@pytest.mark.slow
def test_several_jobs_give_the_same_tree_as_one(
    tmp_path: Path, make_file: MakeFile, few: list[tuple[str, bytes]], faults: list[Fault]
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    entries = [*few, *((f"broken/{fault.name}", fault.data) for fault in faults), *rivals(make_file)]
    (source / "a.tar.gz").write_bytes(make_tar(entries))
    (source / "b.tar").write_bytes(make_tar(entries[::-1], gz=False)[: -len(few[0][1])])
    (source / frame_name(TIME + timedelta(days=3))).write_bytes(make_file(time=TIME + timedelta(days=3)))
    exports: list[Export] = []
    for jobs in (1, 2, 3):
        exports.append(hsrgeo.export(source, tmp_path / f"{jobs}", dataclasses.replace(SMALL, jobs=jobs)))
        list(exports[-1])
    one, two, three = (tree(tmp_path / f"{jobs}") for jobs in (1, 2, 3))
    assert one == two == three
    assert exports[0].counts == exports[1].counts == exports[2].counts
    kept = {line["time"][11:16]: line["member"] for line in lines(tmp_path / "1") if line["status"] == "ok"}
    assert kept["11:20"] == "again/" + frame_name(TIME + STEP)
    assert "PUB" in kept["11:25"]  # which is preferred to EXT, though that has more stations
    found = [line["status"] for line in lines(tmp_path / "1")]
    assert {status: found.count(status) for status in set(found)} == dict(exports[0].counts)
    # and again, each with the other's number of jobs
    for jobs, other in ((1, 2), (2, 1)):
        assert "ok" not in statuses(run(source, tmp_path / f"{jobs}", jobs=other))
        assert tree(tmp_path / f"{jobs}") == one


# Broken frames.


def leaves(root: type[FrameError]) -> Iterator[type[FrameError]]:
    children = root.__subclasses__()
    if not children or root is errors.HeaderError:
        yield root
    for child in children:
        yield from leaves(child)


def test_there_is_a_fault_for_every_error(faults: list[Fault]) -> None:
    assert {fault.error for fault in faults} == set(leaves(FrameError))


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_each_broken_frame_has_its_own_reason_and_all_others_are_written(
    tmp_path: Path, make_file: MakeFile, faults: list[Fault], jobs: int
) -> None:
    good = sound(make_file, len(faults))
    mixed = [entry for pair in zip(good, [(f.name, f.data) for f in faults], strict=True) for entry in pair]
    (tmp_path / "a.tar").write_bytes(make_tar(mixed, gz=False))
    outcomes = run(tmp_path / "a.tar", tmp_path / "out", jobs=jobs)
    assert stems(tmp_path / "out") == [f"{TIME + n * STEP:%Y%m%d%H%M}" for n in range(len(faults))]
    record = {line["member"]: line for line in lines(tmp_path / "out")}
    assert len(record) == len(mixed)
    for fault in faults:
        line = record[fault.name]
        assert (line["status"], line["outputs"]) == ("failed", [])
        error = line["error"]
        assert error["type"] == fault.error.__name__
        assert fault.reason in error["message"]
        assert error["message"].startswith(f"{tmp_path / 'a.tar'} [{fault.name}]: ")
        assert error["expected"] in error["message"]
        assert error["found"] in error["message"]
    for fault in faults:
        assert [other.reason for other in faults if other.reason in record[fault.name]["error"]["message"]] == [
            fault.reason
        ]
    failed = [outcome.error for outcome in outcomes if outcome.status == "failed"]
    assert sorted(type(error).__name__ for error in failed) == sorted(fault.error.__name__ for fault in faults)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_truncated_archive_keeps_what_came_before(
    tmp_path: Path, few: list[tuple[str, bytes]], archive: Path, jobs: int
) -> None:
    whole = make_tar(few, gz=False)
    second = whole.index(few[2][0].encode())
    (tmp_path / "cut.tar").write_bytes(whole[: second + 5000])  # within the third frame
    (tmp_path / "junk.tar.gz").write_bytes(b"no archive at all")
    outcomes = run([tmp_path / "cut.tar", tmp_path / "junk.tar.gz", archive], tmp_path / "out", jobs=jobs)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    assert {outcome.source for outcome in failed} == {str(tmp_path / "cut.tar"), str(tmp_path / "junk.tar.gz")}
    assert all(isinstance(outcome.error, ArchiveError) for outcome in failed)
    assert "(after 2 frames)" in str(next(o.error for o in failed if o.source.endswith("cut.tar")))
    assert stems(tmp_path / "out") == [f"2022060911{minute}" for minute in (15, 20, 25, 30, 35)]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_fail_fast_stops_and_the_rest_can_follow(tmp_path: Path, make_file: MakeFile, jobs: int) -> None:
    frames = sound(make_file, 60)
    for broken in range(2, 60, 3):  # in each batch of four: the first to come back stops the run, whichever it is
        frames[broken] = (frames[broken][0], frames[broken][1][:-20])
    (tmp_path / "a.tar").write_bytes(make_tar(frames, gz=False))
    export = hsrgeo.export(tmp_path / "a.tar", tmp_path / "out", dataclasses.replace(SMALL, jobs=jobs, fail_fast=True))
    outcomes = list(export)
    assert outcomes[-1].status == "failed"
    assert export.counts["failed"] == 1
    assert len(outcomes) <= 4
    assert statuses(run(tmp_path / "a.tar", tmp_path / "out", jobs=jobs)).count("failed") == 20
    assert len(stems(tmp_path / "out")) == 40
    run(tmp_path / "a.tar", tmp_path / "straight")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


# Again.


def test_again_only_what_is_missing_is_done(folder: Path, tmp_path: Path, make_file: MakeFile) -> None:
    out = tmp_path / "out"
    run(folder, out)
    before, inodes_before = tree(out), inodes(out)
    assert statuses(run(folder, out)) == ["skipped"] * 5
    assert (tree(out), inodes(out)) == (before, inodes_before)

    (out / "202206/09/202206091120.prj").unlink()  # a deleted output
    (out / "202206/09/202206091130.tif").write_bytes(b"cut short")  # a damaged one, of another size
    changed = folder / frame_name(TIME + 4 * STEP)
    changed.write_bytes(make_file(time=TIME + 4 * STEP, stations=station_list(TIME)[:1]))  # another issue
    with patch("hsrgeo.reading.decode_blocks", wraps=composite.decode_blocks) as decode:
        outcomes = run(folder, out)
    assert decode.call_count == 3
    assert statuses(outcomes) == ["skipped", "ok", "skipped", "ok", "ok"]
    after = tree(out)
    differing = {path for path in after if after[path] != before.get(path)}
    assert differing == {MANIFEST, "202206/09/202206091135.tif", "202206/09/202206091135.png.aux.xml"}
    untouched = {path: inode for path, inode in inodes(out).items() if "1115" in path or "1125" in path}
    assert untouched == {path: inode for path, inode in inodes_before.items() if path in untouched}
    assert len(untouched) == 10


@pytest.mark.skipif(os.name == "nt", reason="files are opened in another way")
def test_again_each_file_is_looked_at_once(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out)
    looked: Counter[tuple[str, str]] = Counter()

    def counting(name: str) -> Any:
        true = getattr(os, name)

        def call(path: Any, *more: Any, **named: Any) -> Any:
            looked[name, str(path)] += 1
            return true(path, *more, **named)

        return patch.object(os, name, call)

    with counting("stat"), counting("lstat"), counting("open"):
        assert statuses(run(folder, out)) == ["skipped"] * 5
    for source in folder.glob("*.bin.gz"):  # its size; first and last bytes
        assert [looked[name, str(source)] for name in ("stat", "lstat", "open")] == [1, 0, 1]
    outputs = [str(out / output["path"]) for line in lines(out) for output in line["outputs"]]
    assert len(outputs) == 25
    for path in outputs:
        assert [looked[name, path] for name in ("stat", "lstat", "open")] == [1, 0, 0]


@pytest.mark.parametrize("suffix", [".bin.gz", ".bin"])
def test_again_another_issue_of_the_same_size_is_noticed(tmp_path: Path, make_file: MakeFile, suffix: str) -> None:
    # The last bytes of a plain file are always the same: the corner of the grid, where no radar sees.
    source = tmp_path / frame_name(suffix=suffix)
    for count in (1, 2):
        source.write_bytes(make_file(gz=suffix == ".bin.gz", level=0, stations=station_list(TIME)[:count]))
        assert statuses(run(source, tmp_path / "out")) == ["ok"]
        assert lines(tmp_path / "out")[0]["stations"] == count


def test_again_broken_frames_are_tried_again(folder: Path, tmp_path: Path) -> None:
    broken = folder / frame_name(TIME + STEP)
    good = broken.read_bytes()
    broken.write_bytes(good[:500])
    assert statuses(run(folder, tmp_path / "out")) == ["ok", "failed", "ok", "ok", "ok"]
    assert statuses(run(folder, tmp_path / "out")) == ["skipped", "failed", "skipped", "skipped", "skipped"]
    broken.write_bytes(good)
    assert statuses(run(folder, tmp_path / "out")) == ["skipped", "ok", "skipped", "skipped", "skipped"]
    run(folder, tmp_path / "straight")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


def test_again_under_another_name_is_still_known(
    archive: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(archive, tmp_path / "out")
    before = tree(tmp_path / "out")
    monkeypatch.chdir(archive.parent)
    assert statuses(run(archive.name, tmp_path / "out")) == ["skipped"] * 5  # named otherwise
    archive.rename(tmp_path / "moved.tar.gz")
    assert statuses(run(tmp_path / "moved.tar.gz", tmp_path / "out")) == ["skipped"] * 5
    assert tree(tmp_path / "out") == before
    # The same frames as files are no archive that was moved, but a second copy.
    assert sorted(set(statuses(run(folder, tmp_path / "out")))) in (["duplicate"], ["ok"])
    assert stems(tmp_path / "out") == [f"2022060911{minute}" for minute in (15, 20, 25, 30, 35)]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_second_copy_is_a_duplicate_also_where_a_run_was_ended_between_the_two(
    tmp_path: Path, few: list[tuple[str, bytes]], jobs: int
) -> None:
    (tmp_path / "a.tar").write_bytes(make_tar([*few, *((f"copy/{name}", data) for name, data in few)], gz=False))
    straight = run(tmp_path / "a.tar", tmp_path / "straight")
    assert sum(outcome.status == "duplicate" for outcome in straight) == 5
    export = hsrgeo.export(tmp_path / "a.tar", tmp_path / "out", dataclasses.replace(SMALL, jobs=jobs))
    next(export)
    export.close()
    run(tmp_path / "a.tar", tmp_path / "out", jobs=jobs)
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


def test_a_frame_reported_twice_is_counted_once(tmp_path: Path, make_file: MakeFile) -> None:
    fields = station_list(TIME)
    entries = [(f"{count}/{frame_name()}", make_file(stations=fields[:count])) for count in (1, 2, 3)]
    (tmp_path / "a.tar").write_bytes(make_tar(entries))
    export = hsrgeo.export(tmp_path / "a.tar", tmp_path / "out", SMALL)
    assert len(list(export)) == 5
    assert +export.counts == {"ok": 1, "duplicate": 2}
    again = hsrgeo.export(tmp_path / "a.tar", tmp_path / "out", SMALL)
    assert len(list(again)) == 3
    assert +again.counts == {"skipped": 3}


# Other options.


def test_other_options_are_refused(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out")
    before = tree(tmp_path / "out")
    with pytest.raises(ManifestError, match=r"other options \(compress: deflate there, zstd now\)"):
        hsrgeo.export(folder, tmp_path / "out", dataclasses.replace(SMALL, compress="zstd"))
    assert tree(tmp_path / "out") == before
    # what to choose and how to run is no part of the recipe
    assert statuses(run(folder, tmp_path / "out", jobs=2, start=TIME, product="hsr")) == ["skipped"] * 5


def test_overwrite_makes_everything_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out)
    before, inodes_before = tree(out), inodes(out)
    assert statuses(run(folder, out, overwrite=True)) == ["ok"] * 5
    assert tree(out) == before
    assert not set(inodes(out).values()) & set(inodes_before.values())


def test_overwrite_with_other_options_removes_the_old_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out)
    (out / "202206/09/notes.txt").write_text("mine")
    (out / "202206/09/202206091115.qgz").write_text("mine")
    (out / "202206/09/.202206091115.tif.part").write_text("half")
    assert statuses(run(folder, out, overwrite=True, formats=("cog",), name="{time:%H%M}")) == ["ok"] * 5
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    times = {f"11{minute}.tif" for minute in (15, 20, 25, 30, 35)}
    assert left == {*times, "202206/09/notes.txt", "202206/09/202206091115.qgz", MANIFEST, OPTIONS}


def test_overwrite_replaces_nothing_by_nothing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, out)
    before = tree(out)
    assert not run(folder, out, overwrite=True, compress="zstd", product="HSP")
    assert tree(out) == before
    assert statuses(run(folder, out)) == ["skipped"] * 5


@pytest.mark.parametrize("last", [OPTIONS, MANIFEST])
def test_overwrite_goes_on_where_it_was_killed_while_it_removed(folder: Path, tmp_path: Path, last: str) -> None:
    out = tmp_path / "out"
    run(folder, out)
    removed = remove_file

    def killed(path: Path) -> None:
        if path.name == last:
            raise KeyboardInterrupt
        removed(path)

    with (
        patch("hsrgeo.engine.export.export_run.remove_file", killed),
        patch("hsrgeo.outputs.manifest.remove_file", killed),
        pytest.raises(KeyboardInterrupt),
    ):
        run(folder, out, overwrite=True, compress="zstd")
    assert statuses(run(folder, out, overwrite=True, compress="zstd")) == ["ok"] * 5
    run(folder, tmp_path / "straight", compress="zstd")
    assert tree(out) == tree(tmp_path / "straight")


@pytest.mark.parametrize("lost", [OPTIONS, MANIFEST])
def test_overwrite_where_the_list_or_the_options_are_lost(folder: Path, tmp_path: Path, lost: str) -> None:
    out = tmp_path / "out"
    run(folder, out)
    (out / lost).unlink()
    if lost == OPTIONS:
        with pytest.raises(ManifestError, match=r"no options\.json: the same hsrgeo export as before mends it"):
            recipe_of(out)
    assert statuses(run(folder, out, overwrite=True, compress="zstd")) == ["ok"] * 5
    run(folder, tmp_path / "straight", compress="zstd")
    assert tree(out) == tree(tmp_path / "straight")


def test_overwrite_where_the_options_are_damaged(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out")
    (tmp_path / "out" / OPTIONS).write_text("{")
    assert statuses(run(folder, tmp_path / "out", overwrite=True)) == ["ok"] * 5


@pytest.mark.parametrize("damage", ["", "{", None])
def test_lost_options_are_made_anew_and_every_frame_is_looked_at(
    folder: Path, tmp_path: Path, damage: str | None
) -> None:
    out = tmp_path / "out"
    run(folder, out)
    before = tree(out)
    (out / "202206/09/202206091115.tif").write_bytes(b"torn")  # as a power cut leaves a file that was not flushed
    (out / OPTIONS).unlink()
    if damage is not None:
        (out / OPTIONS).write_text(damage)
    with pytest.warns(
        HsrGeoWarning, match=r"options\.json was lost or damaged: every frame is looked at again"
    ) as warned:
        assert statuses(run(folder, out)) == ["ok"] * 5
    assert len(warned) == 1
    assert tree(out) == before
    assert statuses(run(folder, out)) == ["skipped"] * 5


def test_a_stranger_s_manifest_removes_nothing_but_outputs(folder: Path, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    run(folder, out)
    elsewhere.mkdir()
    (out / "lnk").symlink_to(elsewhere)
    theirs = {
        "lnk/thesis.docx": b"thesis", "lnk/map.tif": b"map", "notes.txt": b"notes", "scan.tif": b"scan",
        "202206/09/202206091115.tif": b"worked on since",
    }  # fmt: skip
    for path, data in theirs.items():
        (out / path).write_bytes(data)
    (elsewhere / ".x.tif.0123456789abcdef.part").write_bytes(b"half")
    line = lines(out)[1]
    named = [{"path": path, "bytes": len(data), "crc32": f"{zlib.crc32(data):08x}"} for path, data in theirs.items()]
    with (out / MANIFEST).open("a") as file:
        file.write(json.dumps({**line, "outputs": [*line["outputs"], *named[:4]]}) + "\n")
    left = pytest.warns(
        HsrGeoWarning, match=r"left as they are, for they may be somebody else's: .*thesis\.docx .no exp"
    )
    with left:
        run(folder, out, overwrite=True, formats="png", name="{time:%H%M}")
    for path, data in theirs.items():
        assert (out / path).read_bytes() == data
    assert (elsewhere / ".x.tif.0123456789abcdef.part").exists()
    assert [path.name for path in (out / "202206/09").iterdir()] == ["202206091115.tif"]


# A dry run.


def test_a_dry_run_tells_what_a_run_writes_and_writes_nothing(archive: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (folder / "RDR_CMP_HSR_PUB_202299999999.bin.gz").write_bytes(b"")
    regions = (Region("a", BBox(126.6, 36.5, 127, 36.8)), Region("b", BBox(127, 36.5, 127.3, 36.8)))
    with patch("hsrgeo.reading.decode_blocks") as decode:
        planned = run(folder, out, window=None, regions=regions, dry_run=True)
        again = run(archive, out, dry_run=True)
    assert not decode.called
    assert not out.exists()
    assert statuses(planned) == ["planned"] * 5 + ["failed"]
    assert statuses(again) == ["planned"] * 5
    done = run(folder, out, window=None, regions=regions)
    for plan, outcome in zip(planned, done, strict=True):
        written = [output.path for output in outcome.outputs if output.path.endswith((".tif", ".png"))]
        assert [output.path for output in plan.outputs] == written


# Interrupted.


@pytest.mark.parametrize("moment", range(0, 30, 3))
def test_interrupted_and_run_again(folder: Path, tmp_path: Path, moment: int) -> None:
    run(folder, tmp_path / "straight")
    out = tmp_path / "out"
    moved, count = os.replace, 0

    def interrupted(source: Any, target: Any) -> None:
        nonlocal count
        if count == moment:
            raise KeyboardInterrupt
        count += 1
        moved(source, target)

    # As kill -9 leaves it: what was half-written is not cleaned up.
    with (
        patch("os.replace", interrupted),
        patch.object(Path, "unlink", side_effect=KeyboardInterrupt),
        suppress(KeyboardInterrupt),
    ):
        run(folder, out)
    assert count == moment or moment > 26  # 5 frames of 5 files, and the options
    run(folder, out)
    assert tree(out) == tree(tmp_path / "straight")


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_reader_that_stops_early_and_comes_back(
    tmp_path: Path, make_file: MakeFile, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsrgeo.engine.export.export_run._GATHERED", 4)
    (tmp_path / "a.tar").write_bytes(make_tar(sound(make_file, 40), gz=False))
    export = hsrgeo.export(tmp_path / "a.tar", tmp_path / "out", dataclasses.replace(SMALL, jobs=jobs))
    for _ in range(6):
        next(export)
    export.close()
    assert len(lines(tmp_path / "out")) in range(6, 12)
    run(tmp_path / "a.tar", tmp_path / "out", jobs=jobs)
    run(tmp_path / "a.tar", tmp_path / "straight")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


# Bugs.


def test_a_bug_is_not_an_outcome(folder: Path, tmp_path: Path) -> None:
    with (
        patch("hsrgeo.engine.export.work.files_of", side_effect=ZeroDivisionError("a bug")),
        pytest.raises(ZeroDivisionError, match="a bug") as caught,
    ):
        run(folder, tmp_path / "out")
    assert caught.value.__notes__ == [f"while exporting {folder / frame_name()}"]
    assert lines(tmp_path / "out") == []


@pytest.mark.slow
def test_a_bug_in_a_worker_says_with_which_frame(folder: Path, tmp_path: Path) -> None:
    broken = dataclasses.replace(SMALL, jobs=2)
    object.__setattr__(broken, "recipe", dataclasses.replace(broken.recipe, compress="no such codec"))  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="no such codec") as caught:
        list(hsrgeo.export(folder, tmp_path / "out", broken))
    assert str(folder) in caught.value.__notes__[0]


def test_a_bug_while_sources_are_read_is_not_lost(folder: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        with (
            patch("hsrgeo.engine.export.ledger.stamp_of", side_effect=ZeroDivisionError("a bug")),
            pytest.raises(ZeroDivisionError, match="a bug"),
        ):
            run(folder, tmp_path / "out", jobs=jobs)


def test_a_damaged_line_is_one_frame_to_look_at_again(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out")
    manifest = tmp_path / "out" / MANIFEST
    before = tree(tmp_path / "out")
    damaged = manifest.read_bytes().replace(b'"source"', b'"sour', 1)
    manifest.write_bytes(damaged)
    with pytest.warns(HsrGeoWarning, match="line 1 is damaged"):
        assert sorted(statuses(run(folder, tmp_path / "out"))) == ["ok"] + ["skipped"] * 4
    assert tree(tmp_path / "out") == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(ManifestError, match="cannot be opened: Permission denied"):
        run(folder, tmp_path / "out")


def test_a_full_disk_fails_each_frame_and_leaves_nothing_half_written(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    opened = disk._opened

    class Full:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_exc: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> int:
            self._file.write(data[:10])
            raise OSError(28, "No space left on device")

    def full(path: Path) -> Any:
        return Full(opened(path)) if ".png." in path.name else opened(path)

    with patch.object(disk, "_opened", full):
        outcomes = run(folder, out)
    assert statuses(outcomes) == ["failed"] * 5
    assert "No space left on device" in str(outcomes[0].error)
    assert not list(out.rglob("*.part"))
    assert statuses(run(folder, out)) == ["ok"] * 5
    run(folder, tmp_path / "straight")
    assert tree(out) == tree(tmp_path / "straight")


@pytest.mark.slow
def test_outputs_do_not_depend_on_where_or_when(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "here")
    shutil.copytree(folder, tmp_path / "elsewhere")
    run(tmp_path / "elsewhere", tmp_path / "there", jobs=2)
    here, there = tree(tmp_path / "here"), tree(tmp_path / "there")
    del here[MANIFEST], there[MANIFEST]  # these name the source
    assert here == there


def test_two_products_that_would_share_a_path_are_refused_before_anything_is_written(
    tmp_path: Path, make_file: MakeFile
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for product, code in (("HSR", 1), ("HSP", 5)):
        (folder / frame_name(product=product)).write_bytes(make_file(data_codes=(code,)))
    out = tmp_path / "out"
    with pytest.raises(OptionsError, match=r"HSP and HSR of 2022-06-09 11:15 KST would both become 202206/09/.*\.tif"):
        hsrgeo.export(folder, out, SMALL)
    assert not out.exists()
    parted = dataclasses.replace(SMALL, name="{product}/{time:%Y%m%d%H%M}", jobs=1)
    assert statuses(list(hsrgeo.export(folder, out, parted))) == ["ok", "ok"]


def test_a_belied_name_is_reported_by_the_run_and_the_manifest(tmp_path: Path, make_file: MakeFile) -> None:
    source = tmp_path / frame_name()
    source.write_bytes(make_file(data_codes=(5,)))
    exported = hsrgeo.export(source, tmp_path / "out", dataclasses.replace(SMALL, jobs=1))
    (outcome,) = list(exported)
    note = f"{frame_name()}: named HSR (reflectivity), but by its data code 5 it is rain_rate: read as that"
    assert (outcome.status, outcome.notes) == ("ok", (note,))
    assert note in exported.notes
    assert [line["notes"] for line in lines(tmp_path / "out")] == [[note]]
