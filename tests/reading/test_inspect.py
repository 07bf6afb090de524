from __future__ import annotations

import gzip
import json
import zlib
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from hsrgeo.engine.inspect import Summary, echo_statistics, frame_json, inspect, summarise
from hsrgeo.errors import (
    ArchiveError,
    EmptyFileError,
    FrameNameError,
    NotGzipError,
    OptionsError,
    ServiceMessageError,
    SourceError,
    TruncatedError,
)
from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.model.times import KST
from tests.conftest import COUNTS, NX, NY, TIME, MakeFile, frame_name, make_tar

BLANK = np.full((NY, NX), -30000, np.int16)


def at(minutes: int) -> datetime:
    """Return a time that many minutes after 2022-06-09 11:15 KST."""
    return TIME + timedelta(minutes=minutes)


def fill(folder: Path, make_file: MakeFile, *minutes: int, product: str = "HSR") -> Path:
    """Write frames without echo."""
    folder.mkdir(exist_ok=True)
    for minute in minutes:
        data = make_file(BLANK, time=at(minute))
        (folder / frame_name(at(minute), product)).write_bytes(data)
    return folder


def reported_gaps(summary: Summary) -> list[tuple[str, str, str, int]]:
    return [(product, f"{start:%H:%M}", f"{end:%H:%M}", count) for product, start, end, count in summary.gaps]


# Gaps, against one frame every five minutes from 11:15


@pytest.mark.parametrize(
    ("minutes", "gaps"),
    [
        ([0], []),
        ([0, 5, 10], []),
        ([0, 10], [("HSR", "11:20", "11:20", 1)]),
        ([0, 5, 20, 25], [("HSR", "11:25", "11:30", 2)]),
        ([0, 60], [("HSR", "11:20", "12:10", 11)]),  # 12 steps in an hour, 11 frames between
        ([0, 10, 30], [("HSR", "11:20", "11:20", 1), ("HSR", "11:30", "11:40", 3)]),
        # off the step: between 11:15 and 11:22 only 11:20 is missing, between 11:15 and 11:18 nothing is
        ([0, 7], [("HSR", "11:20", "11:20", 1)]),
        ([0, 3], []),
        ([0, 3, 10], [("HSR", "11:23", "11:23", 1)]),
    ],
    ids=str,
)
def test_gaps_worked_by_hand(
    tmp_path: Path, make_file: MakeFile, minutes: list[int], gaps: list[tuple[str, str, str, int]]
) -> None:
    summary = summarise(fill(tmp_path / "in", make_file, *minutes), jobs=1)
    assert reported_gaps(summary) == gaps
    assert summary.missing == sum(count for *_gap, count in gaps)
    assert (summary.first, summary.last) == (at(min(minutes)), at(max(minutes)))
    assert (summary.frames, summary.repeated, summary.broken) == (len(minutes), 0, [])


def test_gaps_over_the_change_from_ten_minutes_to_five(tmp_path: Path, make_file: MakeFile) -> None:
    change = datetime(2019, 9, 16, tzinfo=KST)
    (folder := tmp_path / "in").mkdir()
    for minutes in (-60, -50, -20, 10, 15):  # 23:00, 23:10, 23:40, 00:10 and 00:15 are there
        time = change + timedelta(minutes=minutes)
        (folder / frame_name(time)).write_bytes(make_file(BLANK, time=time))
    expected = [("HSR", "23:20", "23:30", 2), ("HSR", "23:50", "00:05", 3)]  # 23:50, 00:00, 00:05
    assert reported_gaps(summarise(folder, jobs=1)) == expected


def test_a_gap_over_midnight(tmp_path: Path, make_file: MakeFile) -> None:
    # 11:15 + 760 min = 23:55, + 775 min = 00:10 the next day: 00:00 and 00:05 are missing
    summary = summarise(fill(tmp_path / "in", make_file, 760, 775), jobs=1)
    assert reported_gaps(summary) == [("HSR", "00:00", "00:05", 2)]
    assert summary.as_json()["gaps"] == [
        {
            "product": "HSR",
            "from": "2022-06-10T00:00:00+09:00",
            "to": "2022-06-10T00:05:00+09:00",
            "frames": 2,
        }
    ]


def test_each_product_has_its_own_gaps(tmp_path: Path, make_file: MakeFile) -> None:
    fill(tmp_path / "in", make_file, 0, 5, 10)
    fill(tmp_path / "in", make_file, 0, 10, product="CPP")
    summary = summarise(tmp_path / "in", jobs=1)
    assert reported_gaps(summary) == [("CPP", "11:20", "11:20", 1)]
    assert summary.products == {"HSR PUB": 3, "CPP PUB": 2}


# Broken, repeated, passed over


@pytest.fixture(params=["folder", "archive"])
def mixed(request: pytest.FixtureRequest, tmp_path: Path, make_file: MakeFile, frame_file: bytes) -> Path:
    """Give a folder, or an archive of it: two sound frames, one again, five broken, three files that are no frames."""
    twin = make_file(BLANK, time=at(5), stations=[])
    files = {
        f"09/{frame_name(at(0))}": frame_file,
        f"09/{frame_name(at(5))}": make_file(BLANK, time=at(5)),
        f"again/{frame_name(at(5))}": twin,
        f"09/{frame_name(at(10))}": b"",
        f"09/{frame_name(at(15))}": b"# file not exist (RDR_CMP_HSR_PUB_202206091130.bin.gz)",
        f"09/{frame_name(at(20))}": b"\0\0" + frame_file,
        f"09/{frame_name(at(25))}": make_file(time=at(25))[:5000],
        f"09/{frame_name(at(30))}": frame_file,  # of another time
        "09/RDR_CMP_HSR_PUB_202202301115.bin.gz": frame_file,  # 30 February
        "readme.txt": b"hello",
        "09/other.bin.gz": frame_file,
        "09/no suffix": b"",
    }
    if request.param == "archive":
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(make_tar(list(files.items())))
        return archive
    for name, data in files.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "in"


def test_broken_frames_are_listed_and_the_rest_counted(mixed: Path) -> None:
    summary = summarise(mixed, jobs=1)
    assert summary.source == str(mixed)
    assert (summary.frames, summary.repeated) == (3, 1)
    assert (summary.first, summary.last) == (at(0), at(5))
    assert {(type(error), str(error).count(str(mixed))) for error in summary.broken} == {
        (EmptyFileError, 1),
        (ServiceMessageError, 1),
        (NotGzipError, 1),
        (TruncatedError, 1),
        (FrameNameError, 1),
    }
    assert len(summary.broken) == 6  # two of the names are wrong: no such date, and another time in the header
    assert [str(error) for error in summary.broken] == sorted(str(error) for error in summary.broken)
    assert summary.tally.passed_over == {".txt": 1, ".bin.gz": 1, "no suffix": 1}
    assert summary.tally.lookalikes == ["other.bin.gz"]


def test_a_summary_is_json(mixed: Path) -> None:
    summary = summarise(mixed, jobs=1)
    record = summary.as_json()
    assert json.loads(json.dumps(record)) == record
    assert (record["frames"], record["missing"], record["repeated"]) == (3, 0, 1)
    assert (record["first"], record["last"]) == ("2022-06-09T11:15:00+09:00", "2022-06-09T11:20:00+09:00")
    assert record["products"] == {"HSR PUB": 3}
    assert record["passed_over"] == {".txt": 1, ".bin.gz": 1, "no suffix": 1}
    assert sorted(entry["type"] for entry in record["broken"]) == [
        "EmptyFileError",
        "FrameNameError",
        "FrameNameError",
        "NotGzipError",
        "ServiceMessageError",
        "TruncatedError",
    ]
    assert all(entry["message"] for entry in record["broken"])


@pytest.mark.slow
def test_more_processes_tell_the_same(mixed: Path) -> None:
    assert summarise(mixed, jobs=2).as_json() == summarise(mixed, jobs=1).as_json()


def test_a_cut_archive_is_broken_and_what_came_before_is_counted(tmp_path: Path, make_file: MakeFile) -> None:
    names = [(frame_name(at(minute)), make_file(BLANK, time=at(minute))) for minute in (0, 5, 10)]
    plain = make_tar(names, gz=False)
    (tmp_path / "a.tar").write_bytes(plain[: plain.rindex(frame_name(at(10)).encode()) + 600])  # in the third frame
    summary = summarise(tmp_path / "a.tar", jobs=1)
    assert (summary.frames, [type(error) for error in summary.broken]) == (2, [ArchiveError])


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    summary = summarise(tmp_path, jobs=1)
    assert (summary.frames, summary.first, summary.last, summary.missing) == (0, None, None, 0)
    assert summary.as_json() == {
        "source": str(tmp_path),
        "frames": 0,
        "first": None,
        "last": None,
        "products": {},
        "missing": 0,
        "gaps": [],
        "repeated": 0,
        "notes": [],
        "broken": [],
        "volumes": {},
        "passed_over": {},
    }


# One frame


def test_echo_statistics_worked_by_hand(frame: Frame) -> None:
    # k % 6000 - 500 for k in 0..65535: -500 .. 5499, mean 162,522,880 / 65,536 = 2479.90 (test_tags.py); 0.01 dBZ each
    assert echo_statistics(frame) == {"minimum": -5.0, "mean": 24.799, "maximum": 54.99}
    assert echo_statistics(frame.clean()) == echo_statistics(frame)
    assert echo_statistics(frame.crop(window=(0, 0, 100, 100))) is None
    # row 600, columns 400..402: -5.00, -4.99, -4.98 dBZ
    part = frame.crop(window=(399, 600, 4, 1))
    assert echo_statistics(part) == {"minimum": -5.0, "mean": -4.99, "maximum": -4.98}


def test_echo_statistics_of_a_quantity_with_an_offset(make_file: MakeFile) -> None:
    # temperature = (stored - 20000) / 100: 22150 is 21.5 degrees, 17850 is -21.5
    block = np.full((NY, NX), -25000, np.int16)
    block[5, :2] = 22150, 17850
    block[5, 2] = -10000  # the lowest that is a measurement: -300
    frame = decode(make_file(block, data_codes=(8,)), frame_name())
    assert echo_statistics(frame) == {"minimum": -300.0, "mean": -100.0, "maximum": 21.5}


def test_everything_about_a_frame_is_json(frame: Frame, frame_file: bytes) -> None:
    record = frame_json(frame)
    assert json.loads(json.dumps(record, allow_nan=False)) == {
        **record,
        "header": json.loads(json.dumps(record["header"])),
    }
    header = record.pop("header")
    assert record == {
        "name": "RDR_CMP_HSR_PUB_202206091115.bin.gz",
        "product": "HSR",
        "kind": "PUB",
        "time": "2022-06-09T11:15:00+09:00",
        "time_utc": "2022-06-09T02:15:00Z",
        "synthetic": False,
        "quantity": "reflectivity",
        "unit": "dBZ",
        "grid": "kma-hb-1km",
        "width": 1153,
        "height": 1441,
        "crc32": f"{zlib.crc32(gzip.decompress(frame_file)):08x}",
        "blocks": 1,
        "notes": [],
        "capped": None,
        "classes": COUNTS,
        "echo": {"minimum": -5.0, "mean": 24.799, "maximum": 54.99},
    }
    assert header["time"] == "2022-06-09T11:15:00+09:00"
    assert header["created"] == "2022-06-09T11:21:42+09:00"
    assert [station["code"] for station in header["stations"]] == ["KWK", "GDK", "BRI"]
    assert header["stations"][0]["time"] == "2022-06-09T11:15:00+09:00"
    assert (header["nx"], header["ny"], header["dxy"], header["num_data"]) == (1153, 1441, 1000, 3)
    assert list(header["data_codes"]) == [1, 2, 3] + [0] * 13
    assert header["etc"] == "00" * 15


def test_times_that_are_not_filled_in_are_null(make_file: MakeFile) -> None:
    zero = (0, 0, 0, 0, 0, 0)
    record = frame_json(decode(make_file(tm_in_fields=zero, stations=[(b"KWK", zero, zero)]), frame_name()))
    assert record["header"]["created"] is None
    assert record["header"]["stations"] == [{"code": "KWK", "time": None, "created": None}]
    assert json.dumps(record)


# Many sources


def test_files_are_frames_and_folders_and_archives_are_summaries(
    tmp_path: Path, make_file: MakeFile, frame_file: bytes
) -> None:
    fill(tmp_path / "in", make_file, 5)
    (tmp_path / frame_name()).write_bytes(frame_file)
    (tmp_path / "any name").write_bytes(frame_file)
    (tmp_path / "broken.bin.gz").write_bytes(b"")
    (tmp_path / "a.tgz").write_bytes(make_tar([(frame_name(), frame_file)]))
    sources = ["in", frame_name(), "any name", "broken.bin.gz", "a.tgz"]
    found = list(inspect([tmp_path / name for name in sources], jobs=1))
    assert [type(one) for one in found] == [Summary, Frame, Frame, EmptyFileError, Summary]
    assert found[3].source == str(tmp_path / "broken.bin.gz")  # type: ignore[union-attr]


def test_a_source_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere: no such file or folder$"):
        list(inspect([tmp_path / "nowhere"], jobs=1))
    with pytest.raises(SourceError, match=r"\*\.gz: no file matches this pattern$"):
        list(inspect([str(tmp_path / "*.gz")], jobs=1))


@pytest.mark.parametrize("jobs", [0, -2])
def test_jobs_that_cannot_be(tmp_path: Path, jobs: int) -> None:
    with pytest.raises(OptionsError, match=f"^jobs {jobs}: expected 1 or more"):
        list(inspect([tmp_path], jobs=jobs))
