"""manifest.jsonl and options.json: what is written is read again, and what is damaged says where."""

from __future__ import annotations

import dataclasses
import errno
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.errors import ChecksumError, HsrGeoError, HsrGeoWarning, ManifestError, SourceError, WriteError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.grid_catalog import grids_by
from hsrgeo.model.times import KST
from hsrgeo.model.window import BBox
from hsrgeo.outputs.kept_recipe import keep_recipe, kept_recipe, refuse_other_recipe
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import MANIFEST, OPTIONS
from hsrgeo.outputs.offsets import Offsets
from hsrgeo.outputs.outcome import Outcome, Output, Status, from_json, to_json
from hsrgeo.outputs.recipe import KEYS
from hsrgeo.products.factors import Factor, Factors
from hsrgeo.products.masks import Mask, mask_part
from hsrgeo.sources import texts
from hsrgeo.writers.files import remove_file
from tests.conftest import frame_name
from tests.exported import lines
from tests.memory_bucket import MemoryBucket

TIME = datetime(2022, 6, 9, 11, 15, tzinfo=KST)


def ok(member: str = "m", minute: int = 0, product: str = "HSR") -> Outcome:
    frame_name = FrameName(product, "PUB", TIME + timedelta(minutes=minute))
    stem = f"{product}/{frame_name.time:%Y%m%d%H%M}"
    outputs = (Output(f"{stem}.tif", 5, 1), Output(f"{stem}.pgw", 6, 2), Output(f"{stem}.png", 7, 3))
    return Outcome("a.tar", member, frame_name, "ok", outputs, stations=3, created="2022-06-09T02:22:00Z", stamp="1-ab")


def failed(outcome: Outcome) -> Outcome:
    error = ChecksumError("CRC check failed", "aa", "bb", outcome.source, outcome.member)
    return dataclasses.replace(outcome, status="failed", outputs=(), error=error)


def lost(outcome: Outcome, winner: Outcome) -> Outcome:
    return dataclasses.replace(outcome, status="duplicate", outputs=(), winner=winner.label)


# A line.

TEXT = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from("레이더합성영상\n\u2028\x00\\\"'/"),
        st.integers(0xDC80, 0xDCFF).map(chr),  # bytes of a member name that is no UTF-8, as tarfile gives them
    ),
    max_size=12,
)
PATHS = st.lists(TEXT.map(lambda text: text.replace("/", "").replace("\0", "")), min_size=1, max_size=3).map(
    lambda parts: "p" + "/".join(part for part in parts if part != "..")
)
OUTCOMES = st.builds(
    Outcome,
    source=TEXT,
    member=st.none() | TEXT,
    frame_name=st.none()
    | st.builds(
        FrameName,
        product=st.sampled_from(["HSR", "HSP"]),
        kind=st.sampled_from(["PUB", ""]),
        time=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 - the zone comes next
            lambda time: time.replace(second=0, microsecond=0, tzinfo=KST)
        ),
    ),
    status=st.sampled_from(get_args(Status)),
    outputs=st.lists(
        st.builds(Output, path=PATHS, bytes=st.integers(0, 1 << 31), crc32=st.integers(0, (1 << 32) - 1)), max_size=4
    ).map(tuple),
    error=st.none() | st.builds(ChecksumError, TEXT, TEXT, TEXT, TEXT, st.none() | TEXT) | st.builds(HsrGeoError, TEXT),
    seconds=st.floats(0, 1e4).map(lambda seconds: round(seconds, 4)),
    stations=st.integers(0, 48),
    created=st.sampled_from(["", "2022-06-09T02:22:00Z"]),
    crc32=st.integers(0, (1 << 32) - 1),
    stamp=TEXT,
    winner=TEXT,
)


def as_kept(outcome: Outcome) -> Outcome:
    """Return what is kept of an outcome: of an error, what it says."""
    return dataclasses.replace(outcome, error=None, was=None)


@pytest.mark.slow
@given(OUTCOMES)
def test_a_line_comes_back_as_it_was(outcome: Outcome) -> None:
    back = from_json(to_json(outcome))
    assert as_kept(back) == as_kept(outcome)
    assert (back.key, back.label, back.rank) == (outcome.key, outcome.label, outcome.rank)
    assert str(back.error) == str(outcome.error)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(OUTCOMES, max_size=5))
def test_a_manifest_comes_back_as_it_was(outcomes: list[Outcome]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Manifest(Path(folder)) as manifest:
            for outcome in outcomes:
                manifest.append(outcome)
        last = {outcome.label: outcome for outcome in outcomes}
        with Manifest(Path(folder)) as manifest:
            assert len(manifest) == len(last)
            for label, outcome in last.items():
                back = manifest.get(label)
                assert back is not None
                assert as_kept(back) == as_kept(outcome)
            manifest.put_in_order()
            assert {line.label: as_kept(line) for line in manifest}.keys() == last.keys()
        raw = Path(folder, MANIFEST).read_bytes()
        assert raw.decode("utf-8").count("\n") == len(last)  # text, whatever the names hold


def test_a_line_read_before_the_file_was_put_in_order_is_not_given_for_another(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(Outcome("b", None, None, "ok"), Outcome("a", None, None, "ok"))
        manifest.put_in_order()
        assert [one.source for one in manifest] == ["a", "b"]


def test_a_file_in_order_is_left_alone_and_another_is_not(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(Outcome("a", None, None, "ok"), Outcome("b", None, None, "ok"))
        manifest.put_in_order()
    before = (tmp_path / MANIFEST).stat()
    with Manifest(tmp_path) as manifest:
        manifest.put_in_order()
    assert (tmp_path / MANIFEST).stat().st_ino == before.st_ino  # no other file took its place
    with Manifest(tmp_path) as manifest:
        manifest.append(Outcome("a", None, None, "ok"))
        manifest.put_in_order()
    assert [line["source"] for line in lines(tmp_path)] == ["a", "b"]
    with Manifest(tmp_path) as manifest:
        manifest.forget(Outcome("a", None, None, "ok"))
        manifest.put_in_order()
    assert [line["source"] for line in lines(tmp_path)] == ["b"]


def test_a_line_as_people_and_scripts_read_it(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(dataclasses.replace(ok("합성/m"), seconds=0.123456))
        manifest.append(failed(ok("n", 5)))
        manifest.append(Outcome("b.tar", None, None, "failed", error=SourceError("b.tar", "damaged")))
    good, bad, archive = lines(tmp_path)
    assert good == {
        "source": "a.tar",
        "member": "합성/m",
        "product": "HSR",
        "kind": "PUB",
        "time": "2022-06-09T11:15:00+09:00",
        "time_utc": "2022-06-09T02:15:00Z",
        "status": "ok",
        "outputs": [
            {"path": "HSR/202206091115.tif", "bytes": 5, "crc32": "00000001"},
            {"path": "HSR/202206091115.pgw", "bytes": 6, "crc32": "00000002"},
            {"path": "HSR/202206091115.png", "bytes": 7, "crc32": "00000003"},
        ],
        "error": None,
        "seconds": 0.1235,
        "stations": 3,
        "created_utc": "2022-06-09T02:22:00Z",
        "crc32": "00000000",
        "stamp": "1-ab",
    }
    assert "합성".encode() in (tmp_path / MANIFEST).read_bytes()
    assert bad["error"] == {
        "type": "ChecksumError",
        "message": "a.tar [n]: CRC check failed: expected aa, found bb",
        "problem": "CRC check failed",
        "expected": "aa",
        "found": "bb",
    }
    assert (archive["time"], archive["product"], archive["member"]) == (None, None, None)
    assert archive["error"] == {"type": "SourceError", "message": "b.tar: damaged"}


# A file.


def test_the_last_word_on_a_frame_counts(tmp_path: Path) -> None:
    first, second = ok("a"), ok("b")
    key = first.key
    assert key is not None
    with Manifest(tmp_path) as manifest:
        assert manifest.get(first.label) is None
        assert manifest.kept(key) is None
        assert manifest.owner("HSR/202206091115.tif") is None
        manifest.append(first)
        assert manifest.kept(key) == first
        manifest.append(second, lost(first, second))
        assert manifest.kept(key) == second
    with Manifest(tmp_path) as manifest:
        assert len(manifest) == 2
        assert manifest.kept(key) == manifest.get(second.label) == second
        assert manifest.get(first.label) == lost(first, second)
        assert manifest.owner("HSR/202206091115.tif") == key
        assert manifest.owner("HSR/202206091115.png") is None  # only first paths are kept in mind
        assert manifest.folders == {"HSR"}
        manifest.append(failed(second))
        assert manifest.kept(key) is None
    with Manifest(tmp_path) as manifest:
        assert manifest.kept(key) is None
        assert manifest.owner("HSR/202206091115.tif") == key  # whose file is there, if one is


def test_what_is_new(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(ok("a"))
        assert manifest.is_new(ok("a"))
    with Manifest(tmp_path) as manifest:
        manifest.append(ok("b", 5))
        assert not manifest.is_new(ok("a"))
        assert manifest.is_new(ok("b", 5))
        assert not manifest.is_new(ok("c"))


def test_a_kept_frame_is_forgotten_while_it_is_made_again(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(ok())
        key = ok().key
        assert key is not None
        manifest.release(key)
        assert manifest.kept(key) is None
        assert manifest.get(ok().label) == ok()


def test_in_order_there_is_one_line_a_frame_by_time(tmp_path: Path) -> None:
    frames = [ok(f"m{minute}{product}", minute, product) for minute in range(0, 60, 5) for product in ("HSP", "HSR")]
    nameless = [
        Outcome("a.tar", f"RDR_CMP_{letter}.bin.gz", None, "failed", error=HsrGeoError(letter)) for letter in "ab"
    ]
    written = [*frames, *nameless]
    random.Random(3).shuffle(written)  # noqa: S311
    with Manifest(tmp_path) as manifest:
        for outcome in written:
            manifest.append(failed(outcome) if outcome.frame_name else outcome)
            manifest.append(outcome)
        manifest.put_in_order()
        assert [line.label for line in manifest] == [frame.label for frame in (*frames, *nameless)]
        # and it goes on from there
        assert manifest.get(frames[7].label) == frames[7]
        manifest.append(failed(frames[7]))
    members = [line["member"] for line in lines(tmp_path)]
    assert members == [frame.member for frame in (*frames, *nameless, frames[7])]
    assert [line["status"] for line in lines(tmp_path)[:-3]] == ["ok"] * len(frames)
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


def test_in_order_each_duplicate_names_the_frame_that_is_kept_at_last(tmp_path: Path) -> None:
    weak, strong, strongest = ok("weak"), ok("strong"), ok("strongest")
    with Manifest(tmp_path) as manifest:
        manifest.append(weak)
        manifest.append(strong, lost(weak, strong))
        manifest.append(strongest, lost(strong, strongest))
        manifest.append(failed(ok("broken")))
        manifest.put_in_order()
    record = {line["member"]: line for line in lines(tmp_path)}
    assert [record[name].get("duplicate_of") for name in ("weak", "strong", "strongest", "broken")] == [
        "a.tar [strongest]",
        "a.tar [strongest]",
        None,
        None,
    ]
    assert record["broken"]["error"]["type"] == "ChecksumError"  # a line that says all stays as it is


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(ok("a"))
        manifest.append(ok("b", 5))
    whole = (tmp_path / MANIFEST).read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        (tmp_path / MANIFEST).write_bytes(whole[:end])
        with Manifest(tmp_path) as manifest:
            assert [line.member for line in manifest] == ["a"]
            if end % 50 == 0:
                manifest.append(ok("c", 10))
                manifest.put_in_order()
                assert [line["member"] for line in lines(tmp_path)] == ["a", "c"]
            else:
                assert (tmp_path / MANIFEST).read_bytes() == whole[:first]


@pytest.mark.parametrize(
    "damage",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"7\n",
        b"null\n",
        b'{"source": "a"\n',
        b"\xff\xfe\n",
        b'{"source": "a", "member": null, "time": "yesterday", "product": "HSR", "kind": "PUB"}\n',
    ],
)
def test_a_damaged_line_is_reported_by_its_number_and_left_out(tmp_path: Path, damage: bytes) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(ok("a"))
        manifest.append(ok("b", 5))
    first, second = (tmp_path / MANIFEST).read_bytes().splitlines(keepends=True)
    (tmp_path / MANIFEST).write_bytes(first + damage + second)
    warned = pytest.warns(
        HsrGeoWarning, match=r"manifest\.jsonl: line 2 is damaged \(.*\): left out; the same hsrgeo exp"
    )
    with warned, Manifest(tmp_path, read_only=True) as manifest:
        assert len(manifest) == 2
    assert (tmp_path / MANIFEST).read_bytes() == first + damage + second
    with warned, Manifest(tmp_path) as manifest:
        manifest.put_in_order()
    assert (tmp_path / MANIFEST).read_bytes() == first + second


def test_many_damaged_lines_are_reported_of_once(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(b"{\n" * 7)
    with pytest.warns(HsrGeoWarning, match=r"line 1 is damaged \(.*\), and 6 more: left out") as warned:
        Manifest(tmp_path).__exit__(None, None, None)
    assert len(warned) == 1


def test_a_line_without_end_is_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST_LINE_BYTES", 1000)
    (tmp_path / MANIFEST).write_bytes(bytes(3000))
    with pytest.raises(ManifestError, match=r"cannot be opened: has a line of more than 1,000 bytes"):
        Manifest(tmp_path)


@pytest.mark.parametrize("name", [MANIFEST, OPTIONS])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_only_regular_files_are_read(tmp_path: Path, name: str, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(tmp_path / name)  # nobody ever writes to it
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(ManifestError, match=r"is a (pipe|device), not a file"):
        Manifest(tmp_path) if name == MANIFEST else kept_recipe(tmp_path)


def test_a_snapshot_of_links_stays_as_it_is(tmp_path: Path) -> None:
    out, snapshot = tmp_path / "out", tmp_path / "snapshot"
    with Manifest(out) as manifest:
        manifest.append(ok("a"))
    kept = (out / MANIFEST).read_bytes()
    snapshot.hardlink_to(out / MANIFEST)  # as cp -al and rsnapshot do
    with Manifest(out) as manifest:
        manifest.append(ok("b", 5))
    assert snapshot.read_bytes() == kept
    (out / MANIFEST).replace(tmp_path / "elsewhere")
    (out / MANIFEST).symlink_to(tmp_path / "elsewhere")
    before = (out / MANIFEST).read_bytes()
    with Manifest(out) as manifest:
        assert len(manifest) == 2
        manifest.append(ok("c", 10))
    assert (tmp_path / "elsewhere").read_bytes() == before
    assert not (out / MANIFEST).is_symlink()


@pytest.mark.parametrize("path", ["../secret.tif", "a/../../secret.tif", "/etc/secret.tif", ".", "./"])
def test_a_line_about_files_elsewhere_is_damaged(tmp_path: Path, path: str) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(dataclasses.replace(ok(), outputs=(Output(path, 1, 1),)))
    with pytest.warns(HsrGeoWarning, match=r"line 1 is damaged \(.*lies outside\)"), Manifest(tmp_path) as manifest:
        assert not len(manifest)


def test_lines_may_be_longer_than_a_block(tmp_path: Path) -> None:
    outputs = tuple(Output(f"{number:04}.tif", number, number) for number in range(500))
    long = dataclasses.replace(ok("long"), outputs=outputs)
    with Manifest(tmp_path) as manifest:
        manifest.append(long, ok("short", 5))
        assert manifest.get(long.label) == long
        manifest.put_in_order()
        assert manifest.get(long.label) == long


def test_a_manifest_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ManifestError, match="cannot be opened"):
        Manifest(tmp_path / "file")
    (tmp_path / "folder" / MANIFEST).mkdir(parents=True)
    with pytest.raises(ManifestError, match="cannot be opened"):
        Manifest(tmp_path / "folder")


def test_reading_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be opened: No such file"):
        Manifest(tmp_path / "missing", read_only=True)
    assert not (tmp_path / "missing").exists()
    with Manifest(tmp_path) as manifest:
        manifest.append(ok())
    torn = (tmp_path / MANIFEST).read_bytes() + b'{"sou'
    (tmp_path / MANIFEST).write_bytes(torn)
    with Manifest(tmp_path, read_only=True) as manifest:
        assert [line.label for line in manifest] == [ok().label]
        with pytest.raises(WriteError, match="cannot be written"):
            manifest.append(ok("b"))
    assert (tmp_path / MANIFEST).read_bytes() == torn


class _FullDisk:
    def __init__(self, file: Any, room: int) -> None:
        self._file = file
        self._room = room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> int:
        written: int = self._file.write(data[: self._room])
        return written


def test_a_full_disk_is_reported_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(ok("a"))
        manifest._file = _FullDisk(manifest._file, 20)  # type: ignore[assignment]
        with pytest.raises(WriteError, match="No space left on device"):
            manifest.append(ok("b", 5))
    with Manifest(tmp_path) as manifest:
        assert [line.member for line in manifest] == ["a"]


def test_where_it_cannot_be_put_in_order_it_stays(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append(ok("b", 5), ok("a"))
        before = (tmp_path / MANIFEST).read_bytes()
        with patch("os.replace", side_effect=OSError(28, "No space left on device")), pytest.raises(WriteError):
            manifest.put_in_order()
    assert (tmp_path / MANIFEST).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


@pytest.mark.slow
def test_memory_is_a_few_hundred_bytes_a_frame(tmp_path: Path) -> None:
    def many(count: int) -> Iterator[Outcome]:
        for number in range(count):
            yield dataclasses.replace(ok(f"a/very/long/{'name' * 30}/{number}", number))

    count = 3000
    with Manifest(tmp_path) as manifest:
        for outcome in many(count):
            manifest.append(outcome)
    size = (tmp_path / MANIFEST).stat().st_size / count
    gc.collect()
    tracemalloc.start()
    try:
        with Manifest(tmp_path) as manifest:
            kept, peak = tracemalloc.get_traced_memory()
            assert kept < 450 * count
            manifest.put_in_order()
            ordering = tracemalloc.get_traced_memory()[1] - peak
    finally:
        tracemalloc.stop()
    assert ordering < 300 * count < size * count  # not the lines themselves


# options.json.

RECIPE = ExportOptions(bbox=(126.7, 37.4, 127.2, 37.7)).recipe


def test_a_recipe_is_kept(tmp_path: Path) -> None:
    assert kept_recipe(tmp_path) is None
    refuse_other_recipe(tmp_path, RECIPE)  # nothing there: nothing to mix with
    keep_recipe(tmp_path, RECIPE)
    assert kept_recipe(tmp_path) == RECIPE.as_json()
    refuse_other_recipe(tmp_path, RECIPE)


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"compress": "zstd"}, r"compress: deflate there, zstd now"),
        ({"values": "raw"}, r"values: clean there, raw now"),
        ({"formats": ("png",)}, "formats: cog, png there, png now"),
        ({"name": "{utc:%H%M}"}, r"name: \{time.*\} there, \{utc:%H%M\} now"),
        ({"block": 2}, r"block: 1 there, 2 now"),
        ({"bbox": (126.7, 37.4, 127.2, 37.8)}, r"area: bbox 126\.7 37.* there, bbox 126\.7 37\.4 127\.2 37\.8 now"),
        ({"bbox": None, "window": (0, 0, 9, 9)}, r"now\); use another OUT, or let `hsrgeo export --over.* replace it"),
        ({"bbox": None, "regions": (Region("서울", BBox(126.7, 37.4, 127.2, 37.7)),)}, r"there, 서울: bbox .* now"),
        ({"block": 2, "values": "raw"}, r"values: clean there, raw now; block: 1 there, 2 now"),
    ],
)  # fmt: skip
def test_another_recipe_is_refused_with_the_difference(
    tmp_path: Path, options: dict[str, Any], difference: str
) -> None:
    keep_recipe(tmp_path, RECIPE)
    other = ExportOptions(**{"bbox": (126.7, 37.4, 127.2, 37.7), **options}).recipe
    with pytest.raises(ManifestError, match=rf"was exported with other options \(.*{difference}"):
        refuse_other_recipe(tmp_path, other)


def test_an_option_of_a_later_hsrgeo_is_reported_and_left_out(tmp_path: Path) -> None:
    keep_recipe(tmp_path, RECIPE)
    kept = json.loads((tmp_path / OPTIONS).read_text())
    kept["recipe"]["rotation"] = 90
    (tmp_path / OPTIONS).write_text(json.dumps(kept))
    with pytest.warns(HsrGeoWarning, match=r"options\.json: rotation is no option that this version of hsrgeo knows"):
        assert not refuse_other_recipe(tmp_path, RECIPE)


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"recipe": 5}', '{"recipe": null}', '"recipe"', "\xff"])
def test_damaged_options_are_lost(tmp_path: Path, damage: str) -> None:
    (tmp_path / OPTIONS).write_bytes(damage.encode("latin-1"))
    with pytest.raises(
        ManifestError, match=r"options\.json: is damaged \(.*\): the same hsrgeo export as before mends"
    ):
        kept_recipe(tmp_path)
    assert not refuse_other_recipe(tmp_path, RECIPE)  # there is nothing to mix with
    with Manifest(tmp_path) as manifest:
        manifest.append(ok())
    assert refuse_other_recipe(tmp_path, RECIPE)


def test_a_manifest_without_options_has_lost_them(tmp_path: Path) -> None:
    with Manifest(tmp_path):
        pass
    assert not refuse_other_recipe(tmp_path, RECIPE)  # an empty one holds nothing to mix with
    with Manifest(tmp_path) as manifest:
        manifest.append(ok())
    assert refuse_other_recipe(tmp_path, RECIPE)
    with Manifest(tmp_path) as manifest:
        manifest.distrust()
        assert [(line.label, line.stamp) for line in manifest] == [(ok().label, "")]
        assert not manifest.is_new(next(iter(manifest)))


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_one_run_at_a_time(tmp_path: Path) -> None:
    with Manifest(tmp_path) as first:
        with pytest.raises(ManifestError, match=r"another run \(.*\) is writing into it"):
            Manifest(tmp_path)
        with Manifest(tmp_path, read_only=True):
            pass  # looking is no writing
        first.append(ok())
        first.put_in_order()
        with pytest.raises(ManifestError, match=r"another run \(.*\) is writing into it"):
            Manifest(tmp_path)
    with Manifest(tmp_path) as second:
        assert len(second) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    script = "import sys, time, pathlib, hsrgeo.outputs.manifest as m\nkept = m.Manifest(pathlib.Path(sys.argv[1]))\n"
    command = [sys.executable, "-c", script + "print('held', flush=True)\ntime.sleep(60)", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ManifestError, match="another run"):
            Manifest(tmp_path)
        other.kill()
        other.wait()
    with Manifest(tmp_path):
        pass


def test_offsets_are_a_mapping_whether_packed_or_not() -> None:
    rng, known = random.Random(3), dict[int, int]()  # noqa: S311
    offsets = Offsets()
    with patch("hsrgeo.outputs.offsets._PACKED_AT", 7):
        for offset in range(300):
            key = rng.choice([-(1 << 63), -2, 0, 1, (1 << 63) - 1, *range(40, 60)])
            if offset % 5 == 4:
                offsets.discard(key)
                known.pop(key, None)
            else:
                offsets[key] = known[key] = offset
            assert offsets.get(key) == known.get(key)
            if offset % 50 == 0:
                assert sorted(offsets.values()) == sorted(known.values())
                assert len(offsets) == len(known)
    assert {key: offsets.get(key) for key in range(-2, 70) if offsets.get(key) is not None} == {
        key: offset for key, offset in known.items() if -2 <= key < 70
    }


def test_every_option_is_one_that_this_version_knows(tmp_path: Path) -> None:
    bias = Factors("bias.csv", "", (Factor(0, 3600, 1.5),))
    everything = ExportOptions(
        quantity="rain",
        crs="EPSG:5179",
        resolution=500.0,
        registration="corner",
        sidecars=False,
        bias=bias,
        min_wet=0.05,
        formats=("asc", "png", "rgba"),
        palette="rain",
        undetect=-999,
        mask=Mask("a", tuple(mask_part(grid, np.ones((grid.height, grid.width), bool)) for grid in grids_by("corner"))),
        min_dbz=5,
    ).recipe
    assert everything.as_json().keys() == KEYS
    keep_recipe(tmp_path, everything)
    assert kept_recipe(tmp_path) == everything.as_json()
    refuse_other_recipe(tmp_path, everything)  # and warns of nothing


def test_a_lock_is_given_back_where_the_manifest_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / f".{MANIFEST}.0123456789abcdef.part").touch()
    with (
        patch("hsrgeo.writers.files.remove_file", side_effect=WriteError("x", "cannot be removed")),
        pytest.raises(WriteError, match="cannot be removed"),
    ):
        Manifest(tmp_path)
    with Manifest(tmp_path):
        assert not list(tmp_path.glob("*.part"))


def test_a_manifest_that_is_replaced_while_it_is_opened_is_read_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader takes no lock, and a run that ends puts its file in order."""
    lines = [ok("a", 5), ok("a much longer name", 0), ok("c", 10)]
    with Manifest(tmp_path) as manifest:
        manifest.append(*lines)
    load = Manifest._load

    def replaced(reader: Manifest) -> int:
        monkeypatch.setattr(Manifest, "_load", load)
        with Manifest(tmp_path) as writer:
            writer.put_in_order()
        return load(reader)

    monkeypatch.setattr(Manifest, "_load", replaced)
    with Manifest(tmp_path, read_only=True) as reader:
        assert [line.member for line in reader] == ["a", "a much longer name", "c"]
        assert reader.get(lines[2].label) == lines[2]
    with Manifest(tmp_path, read_only=True) as reader:
        assert [line.member for line in reader] == ["a much longer name", "a", "c"]


def test_a_part_that_stays_in_a_bucket_does_not_bring_back_what_is_no_longer_true() -> None:
    bucket, first, better = MemoryBucket(), ok("a"), ok("b")
    remove = bucket.remove

    def refuse_the_first(key: str) -> None:
        if key.endswith(".000001"):
            raise OSError(errno.EIO, "no answer")
        remove(key)

    with bucket.connected() as out:
        with Manifest(out) as manifest:
            manifest.append(first)
            manifest.sync()
            manifest.append(better, lost(first, better))
            manifest.sync()
            assert [key for key in bucket.objects if key[-1].isdigit()] == [f"out/{MANIFEST}.{n:06}" for n in (1, 2)]
            with patch.object(bucket, "remove", refuse_the_first):
                manifest.put_in_order()
        with Manifest(out, read_only=True) as manifest:
            key = manifest.key(first)
            assert key is not None
            assert manifest.kept(key) == better
            assert [line.status for line in manifest] == ["ok", "duplicate"]


def test_what_a_run_removes_it_removes_before_others_may_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frame_file: bytes
) -> None:
    out, seen = tmp_path / "out", dict[str, bool]()

    def remove(path: Path) -> None:
        seen[path.name] = (out / f"{MANIFEST}.lock").exists()
        remove_file(path)

    for module in ("outputs.manifest", "engine.export.export_run"):
        monkeypatch.setattr(f"hsrgeo.{module}.remove_file", remove)
    (tmp_path / "in").mkdir()
    options = ExportOptions(window=(420, 620, 48, 32), formats="cog", jobs=1)
    export(tmp_path / "in", out, options).run()
    assert seen == {OPTIONS: True, MANIFEST: True}
    assert not list(out.iterdir())
    (tmp_path / "in" / frame_name()).write_bytes(frame_file)
    export(tmp_path / "in", out, options).run()
    seen.clear()
    export(tmp_path / "in", out, dataclasses.replace(options, formats="png", overwrite=True)).run()
    assert seen == {OPTIONS: True, MANIFEST: True}
    assert sorted(path.suffix for path in out.rglob("2022*.*")) == [".pgw", ".png", ".prj", ".xml"]
