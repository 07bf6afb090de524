from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.errors import (
    ArchiveError,
    FrameNameError,
    HeaderError,
    LengthError,
    OptionsError,
    SourceError,
    TooLargeError,
)
from hsrgeo.formats.composite import MAX_STORED_BYTES
from hsrgeo.formats.names import FrameName
from hsrgeo.model.times import KST
from hsrgeo.sources.found import Found, Tally, read_file
from hsrgeo.sources.listing import expand, listed_files
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection
from hsrgeo.sources.several import scan_several
from tests.conftest import TIME, MakeFile, frame_name, make_tar

ALL = Selection()
NAMES = [frame_name(TIME + timedelta(minutes=5 * k)) for k in range(6)]
NOISE = random.Random(5).randbytes(1000)  # noqa: S311 - files are not opened while scanning


def _fill(folder: Path, *names: str, data: bytes = NOISE) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _names(found: list[Found], folder: Path) -> list[str]:
    assert [item.error for item in found if item.error] == []
    return [os.path.relpath(item.source, folder) + (f"[{item.member}]" if item.member else "") for item in found]


def test_products_are_found_beside_files_that_begin_alike(tmp_path: Path) -> None:
    other = NAMES[0].replace("HSR", "CPP")
    stem = NAMES[0].rpartition("_")[0]
    _fill(tmp_path, f"{stem}_0.txt", NAMES[0], f"{stem}_x.txt", f"a_{other}", f"b/{other}", f"b/{NAMES[1]}")
    assert listed_files([tmp_path]).kinds == {("HSR", "PUB"), ("CPP", "PUB")}


# -- folders, globs, files --------------------------------------------------------------------------------------------


def test_a_folder_is_read_recursively_and_sorted(tmp_path: Path) -> None:
    _fill(
        tmp_path,
        f"b/{NAMES[1]}",
        f"a/z/{NAMES[3]}",
        f"a/{NAMES[2]}",
        NAMES[5],
        NAMES[0],
        "a/readme.txt",
        f"._{NAMES[0]}",
    )
    tally = Tally()
    found = list(scan([tmp_path], ALL, tally))
    # a folder's own files, sorted, then its folders, sorted
    assert _names(found, tmp_path) == [NAMES[0], NAMES[5], f"a/{NAMES[2]}", f"a/z/{NAMES[3]}", f"b/{NAMES[1]}"]
    assert [item.frame_name for item in found][:1] == [FrameName("HSR", "PUB", TIME)]
    assert {item.size for item in found} == {1000}
    assert all(item.data is None and item.member is None for item in found)
    assert tally.passed_over == {".txt": 1, ".bin.gz": 1}
    assert tally.lookalikes == [f"._{NAMES[0]}"]
    assert tally.total_bytes == tally.read_bytes == 7 * 1000


def test_sources_keep_the_order_they_are_given_in(tmp_path: Path) -> None:
    _fill(tmp_path, f"x/{NAMES[0]}", NAMES[2], NAMES[1])
    found = scan([tmp_path / NAMES[2], tmp_path / "x", str(tmp_path / NAMES[1])], ALL)
    assert _names(list(found), tmp_path) == [NAMES[2], f"x/{NAMES[0]}", NAMES[1]]


def test_archives_in_folders_are_read_as_archives(tmp_path: Path) -> None:
    _fill(tmp_path, NAMES[0], data=b"plain")
    _fill(tmp_path, "2022/a.tar.gz", data=make_tar([(NAMES[2], b"two"), (NAMES[1], b"one")]))
    tally = Tally()
    found = list(scan([tmp_path], ALL, tally))
    assert _names(found, tmp_path) == [NAMES[0], f"2022/a.tar.gz[{NAMES[2]}]", f"2022/a.tar.gz[{NAMES[1]}]"]
    assert [item.data for item in found] == [None, b"two", b"one"]
    assert tally.read_bytes == tally.total_bytes == 5 + (tmp_path / "2022/a.tar.gz").stat().st_size


def test_a_damaged_archive_does_not_end_the_scan(tmp_path: Path) -> None:
    whole = make_tar([(NAMES[1], NOISE), (NAMES[2], NOISE)], gz=False)
    _fill(tmp_path, "a.tar", data=whole[:1800])
    _fill(tmp_path, NAMES[0], "b.tar.gz", data=b"")
    _fill(tmp_path, f"c/{NAMES[5]}")
    tally = Tally()
    found = list(scan([tmp_path], ALL, tally))
    assert [type(item.error) for item in found] == [type(None), type(None), ArchiveError, ArchiveError, type(None)]
    assert tally.read_bytes == tally.total_bytes == 1800 + 1000


def test_globs_are_expanded_and_sorted(tmp_path: Path) -> None:
    _fill(tmp_path, f"b/{NAMES[1]}", f"a/{NAMES[2]}", NAMES[5], NAMES[0])
    assert expand([str(tmp_path / "*.bin.gz")]) == [tmp_path / NAMES[0], tmp_path / NAMES[5]]
    assert _names(list(scan([f"{tmp_path}/**/RDR*"], ALL)), tmp_path) == [
        NAMES[0], NAMES[5], f"a/{NAMES[2]}", f"b/{NAMES[1]}",
    ]  # fmt: skip
    assert _names(list(scan([tmp_path / "[ab]"], ALL)), tmp_path) == [f"a/{NAMES[2]}", f"b/{NAMES[1]}"]


def test_a_name_with_brackets_that_exists_is_no_glob(tmp_path: Path) -> None:
    _fill(tmp_path, f"[2022]/{NAMES[0]}", f"2/{NAMES[1]}")
    assert _names(list(scan([tmp_path / "[2022]"], ALL)), tmp_path) == [f"[2022]/{NAMES[0]}"]


@pytest.mark.parametrize("name", ["nothing", "nothing.tar.gz", "a\0b", "n" * 300, f"{'n' * 300}/x.bin.gz"])
def test_a_missing_source_is_reported_before_the_first_frame(tmp_path: Path, name: str) -> None:
    _fill(tmp_path, NAMES[0])
    with pytest.raises(SourceError, match=f"{name}: no such file or folder$") as caught:
        scan([tmp_path, tmp_path / name], ALL)  # not iterated
    assert caught.value.source == str(tmp_path / name)


def test_a_source_that_cannot_be_looked_at_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SourceError, match=r"/loop: cannot be read: Too many levels of symbolic links$"):
        scan([tmp_path / "loop"], ALL)


def test_a_glob_without_a_match_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"/\*\.tar\.gz: no file matches this pattern$"):
        scan([f"{tmp_path}/*.tar.gz"], ALL)


def test_a_folder_may_be_empty(tmp_path: Path) -> None:
    assert list(scan([tmp_path], ALL)) == []
    assert list(scan([], ALL)) == []


# -- once -------------------------------------------------------------------------------------------------------------


def test_a_file_given_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(tmp_path, NAMES[0], NAMES[1])
    monkeypatch.chdir(tmp_path)
    tally = Tally()
    found = list(scan([NAMES[1], tmp_path / NAMES[1], f"./{NAMES[1]}", tmp_path, tmp_path], ALL, tally))
    assert [item.source for item in found] == [NAMES[1], str(tmp_path / NAMES[0])]
    assert tally.total_bytes == 2000


def test_a_file_that_is_also_inside_a_folder_is_read_once(tmp_path: Path) -> None:
    _fill(tmp_path, NAMES[0], NAMES[1])
    assert _names(list(scan([tmp_path, tmp_path / NAMES[1]], ALL)), tmp_path) == NAMES[:2]
    assert _names(list(scan([tmp_path / NAMES[1], tmp_path], ALL)), tmp_path) == [NAMES[1], NAMES[0]]


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    _fill(tmp_path, f"real/{NAMES[0]}")
    (tmp_path / NAMES[1]).symlink_to(tmp_path / "real" / NAMES[0])
    assert _names(list(scan([tmp_path], ALL)), tmp_path) == [NAMES[1]]


@pytest.mark.parametrize("folder_first", [True, False])
def test_an_odd_name_counts_when_named_on_its_own_also_beside_its_folder(
    tmp_path: Path,
    make_file: MakeFile,
    folder_first: bool,  # noqa: FBT001
) -> None:
    _fill(tmp_path, "latest.bin.gz", data=make_file())
    sources = [tmp_path, tmp_path / "latest.bin.gz"]
    tally = Tally()
    found = list(scan(sources if folder_first else sources[::-1], ALL, tally))
    assert _names(found, tmp_path) == ["latest.bin.gz"]
    assert tally.passed_over == {}


# -- a file named on its own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["latest", "latest.bin.gz", "download (1).gz", "202206091115.bin"])
@pytest.mark.parametrize("gz", [True, False])
def test_an_odd_name_is_read_by_its_header(tmp_path: Path, make_file: MakeFile, name: str, gz: bool) -> None:  # noqa: FBT001
    _fill(tmp_path, name, data=make_file(gz=gz, tm_fields=(2022, 6, 9, 11, 15, 42), ptype=1))
    [found] = scan([tmp_path / name], ALL)
    assert found.frame_name == FrameName("CPP", "", TIME)  # ptype 1 is CAPPI; to the minute
    assert found.data is None
    # the selection goes by what the header tells
    tally = Tally()
    assert list(scan([tmp_path / name], Selection(product="HSR"), tally)) == []
    assert list(scan([tmp_path / name], Selection(start=TIME + timedelta(minutes=1)), tally)) == []
    assert tally.unselected == 2


def test_an_odd_name_without_a_header_is_a_record(tmp_path: Path) -> None:
    _fill(tmp_path, "notes.txt", data=b"\1hort")
    _fill(tmp_path, "noise", data=b"\xff" * 2000)
    short, noise = scan([tmp_path / "notes.txt", tmp_path / "noise"], ALL)
    assert isinstance(short.error, LengthError)
    assert (
        str(short.error) == f"{tmp_path}/notes.txt: length: expected a header of 1024 bytes and pixels, found 5 bytes"
    )
    assert isinstance(noise.error, HeaderError)
    assert str(noise.error) == f"{tmp_path}/noise: header byte 0, version: expected 1, found -1"
    assert (noise.frame_name, noise.size) == (None, 2000)


@pytest.mark.parametrize("named", [True, False])
def test_a_malformed_date_is_a_record_not_a_guess(tmp_path: Path, make_file: MakeFile, named: bool) -> None:  # noqa: FBT001
    name = "RDR_CMP_HSR_PUB_202213991115.bin.gz"
    _fill(tmp_path, name, data=make_file())
    [found] = scan([tmp_path / name if named else tmp_path], ALL)
    assert isinstance(found.error, FrameNameError)
    assert str(found.error).startswith(f"{tmp_path}/{name}: file name: expected RDR_CMP_")


def test_an_oversized_file_is_a_record_and_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / NAMES[0]
    with path.open("wb") as file:
        file.truncate(MAX_STORED_BYTES + 1)  # a hole: takes no space
    os.truncate(path, MAX_STORED_BYTES + 1)
    [found] = scan([tmp_path], ALL)
    assert isinstance(found.error, TooLargeError)
    assert str(found.error) == (
        f"{path}: too large: expected at most {MAX_STORED_BYTES:,} bytes, found {MAX_STORED_BYTES + 1:,} bytes"
    )
    os.truncate(path, MAX_STORED_BYTES)
    [found] = scan([tmp_path], ALL)
    assert found.error is None


def test_a_dangling_link_is_a_frame_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).symlink_to(tmp_path / "gone")
    [found] = scan([tmp_path], ALL)
    assert (found.size, found.error) == (0, None)
    with pytest.raises(SourceError, match=f"{NAMES[0]}: cannot be read: No such file or directory$"):
        read_file(Path(found.source))


def test_read_file_tells_why_not(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot be read: Is a directory$"):
        read_file(tmp_path)


# -- the selection ----------------------------------------------------------------------------------------------------


def test_start_is_in_and_end_is_out(tmp_path: Path) -> None:
    _fill(tmp_path, *NAMES)
    tally = Tally()
    wanted = Selection(start=TIME + timedelta(minutes=5), end=TIME + timedelta(minutes=15))
    assert _names(list(scan([tmp_path], wanted, tally)), tmp_path) == NAMES[1:3]
    assert tally.unselected == 4
    assert _names(list(scan([tmp_path], Selection(start=TIME + timedelta(minutes=20)))), tmp_path) == NAMES[4:]
    assert _names(list(scan([tmp_path], Selection(end=TIME + timedelta(minutes=5)))), tmp_path) == NAMES[:1]


@pytest.mark.parametrize("several", [True, False])
def test_frames_that_are_not_wanted_leave_their_product_and_times(tmp_path: Path, several: bool) -> None:  # noqa: FBT001
    later = TIME + timedelta(hours=2)
    held = {
        "a.tar": [frame_name(), frame_name(product="CPP")],
        "b.tar": [frame_name(later), frame_name(TIME + timedelta(hours=1))],
    }
    for name, members in held.items():
        (tmp_path / name).write_bytes(make_tar([(member, NOISE) for member in members], gz=False))
    tally = Tally()
    nothing = Selection(end=TIME - timedelta(days=1))
    found = scan_several([tmp_path], nothing, tally, readers=2) if several else scan([tmp_path], nothing, tally)
    assert list(found) == []
    assert tally.unselected == 4
    assert tally.spans == {"HSR": (TIME, later), "CPP": (TIME, TIME)}


def test_times_of_any_zone_select_the_same(tmp_path: Path) -> None:
    _fill(tmp_path, *NAMES)
    # 11:20 KST is 02:20 UTC
    utc = Selection(start=datetime(2022, 6, 9, 2, 20, tzinfo=UTC), end=datetime(2022, 6, 9, 2, 25, tzinfo=UTC))
    assert _names(list(scan([tmp_path], utc)), tmp_path) == NAMES[1:2]


def test_every_counts_from_midnight_kst(tmp_path: Path) -> None:
    _fill(tmp_path, *NAMES)  # 11:15, 11:20 .. 11:40
    assert _names(list(scan([tmp_path], Selection(every=timedelta(minutes=10)))), tmp_path) == [
        NAMES[1],
        NAMES[3],
        NAMES[5],
    ]
    assert _names(list(scan([tmp_path], Selection(every=timedelta(minutes=15)))), tmp_path) == [NAMES[0], NAMES[3]]
    assert _names(list(scan([tmp_path], Selection(every=timedelta(hours=1)))), tmp_path) == []


def test_product_is_reported_by_the_name_in_any_case(tmp_path: Path) -> None:
    rain = frame_name(product="HSP")
    _fill(tmp_path, NAMES[0], rain)
    assert _names(list(scan([tmp_path], Selection(product="hsp"))), tmp_path) == [rain]
    assert _names(list(scan([tmp_path], Selection(product="HSR"))), tmp_path) == [NAMES[0]]
    assert _names(list(scan([tmp_path], ALL)), tmp_path) == [rain, NAMES[0]]


@given(
    st.datetimes(datetime(2022, 6, 9), datetime(2022, 6, 10)).map(lambda time: time.replace(tzinfo=KST)),  # noqa: DTZ001
    st.none() | st.timedeltas(timedelta(hours=-3), timedelta(hours=3)),
    st.none() | st.timedeltas(timedelta(minutes=1), timedelta(hours=3)),
)
def test_wants_is_a_half_open_range(time: datetime, before: timedelta | None, length: timedelta | None) -> None:
    start = time - before if before is not None else None
    end = (start or time) + length if length is not None else None
    wanted = Selection(start=start, end=end).wants(FrameName("HSR", "PUB", time))
    assert wanted == ((start is None or start <= time) and (end is None or time < end))


def test_a_selection_that_cannot_be_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"^start 2022-06-09 11:15:00: give it a time zone, such as hsrgeo\.KST$"):
        Selection(start=TIME.replace(tzinfo=None))
    with pytest.raises(OptionsError, match=r"^end 2022-06-09 11:15:00: give it a time zone"):
        Selection(end=TIME.replace(tzinfo=None))
    for end in (TIME, TIME - timedelta(minutes=5), TIME.astimezone(UTC)):
        with pytest.raises(OptionsError, match=r"^end .* is not after start .* \(the end is exclusive\)$"):
            Selection(start=TIME, end=end)
    for step in (timedelta(0), timedelta(minutes=-5)):
        with pytest.raises(OptionsError, match=r"^every .*: must be longer than nothing$"):
            Selection(every=step)


@pytest.mark.parametrize(
    ("kind", "one_kind", "found", "left"),
    [
        (None, True, ["PUB", "EXT"], {("EXT", "PUB"): 1, ("QCD", "PUB"): 1}),
        (None, False, ["EXT", "EXT", "PUB", "QCD"], {}),
        ("ext", True, ["EXT", "EXT"], {}),
        ("KMA", True, [], {}),
    ],
)
def test_kinds_are_different_things(
    tmp_path: Path, kind: str | None, *, one_kind: bool, found: list[str], left: dict[tuple[str, str], int]
) -> None:
    # At the first time there are three kinds, at the second one only: it has no better one.
    for name in (
        *(frame_name(kind=one) for one in ("EXT", "PUB", "QCD")),
        frame_name(TIME + timedelta(minutes=5), kind="EXT"),
    ):
        (tmp_path / name).write_bytes(b"")
    tally = Tally()
    got = [
        one.frame_name.kind
        for one in scan([tmp_path], Selection(kind=kind, one_kind=one_kind), tally)
        if one.frame_name
    ]
    assert sorted(got) == sorted(found)
    assert tally.other_kinds == left
    assert len(tally.notes()) == len(left)
