from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hsrgeo
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import (
    ArchiveError,
    FrameNameError,
    HsrGeoWarning,
    LengthError,
    OptionsError,
    ServiceMessageError,
    SourceError,
    TruncatedError,
)
from hsrgeo.model.window import BBox
from hsrgeo.reading import iter_frames, open_frame
from hsrgeo.sources.select import read_times
from tests.conftest import NX, NY, TIME, MakeFile, Pixels, frame_name, make_tar

TIMES = [TIME + timedelta(minutes=5 * k) for k in range(4)]


@pytest.fixture(scope="session")
def frames(make_file: MakeFile) -> list[tuple[str, bytes]]:
    """Give four frames, five minutes apart; the first pixel of each is its number."""
    made = []
    for number, time in enumerate(TIMES):
        layer = np.full((NY, NX), -25000, np.int16)
        layer[0, 0] = number
        made.append((frame_name(time), make_file(layer, time=time)))
    return made


@pytest.fixture
def folder(tmp_path: Path, frames: list[tuple[str, bytes]]) -> Path:
    """Give a folder: a frame beside an archive of two, and one below."""
    (tmp_path / frames[0][0]).write_bytes(frames[0][1])
    (tmp_path / "b.tar.gz").write_bytes(make_tar([frames[2], frames[1]]))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / frames[3][0]).write_bytes(frames[3][1])
    (tmp_path / "notes.txt").write_text("no frame")
    return tmp_path


def test_open_frame_reads_one_file(tmp_path: Path, frame_file: bytes, pixels: Pixels) -> None:
    path = tmp_path / frame_name()
    path.write_bytes(frame_file)
    for given in (path, str(path)):
        frame = open_frame(given)
        assert np.array_equal(frame.raw, pixels)
        assert (frame.time, frame.product, frame.kind, frame.name) == (TIME, "HSR", "PUB", path.name)
    assert hsrgeo.open_frame is open_frame


def test_open_frame_takes_any_name_and_a_block(tmp_path: Path, make_file: MakeFile, pixels: Pixels) -> None:
    upside_down = pixels[::-1]
    (tmp_path / "latest").write_bytes(make_file(pixels, upside_down))
    assert np.array_equal(open_frame(tmp_path / "latest", block=2).raw, upside_down)
    (tmp_path / "plain").write_bytes(make_file(gz=False))
    assert np.array_equal(open_frame(tmp_path / "plain").raw, pixels)
    assert [frame.name for frame in iter_frames(tmp_path / "plain")] == ["plain"]
    with pytest.raises(LengthError, match=r"latest: block: expected block 3, found 2 in the file$"):
        open_frame(tmp_path / "latest", block=3)


def test_open_frame_tells_the_place(tmp_path: Path, frame_file: bytes) -> None:
    path = tmp_path / frame_name()
    with pytest.raises(SourceError, match=f"^{path}: cannot be read: No such file or directory$"):
        open_frame(path)
    with pytest.raises(SourceError, match=f"^{tmp_path}: cannot be read: Is a directory$"):
        open_frame(tmp_path)
    path.write_bytes(frame_file[:-20])
    with pytest.raises(TruncatedError, match=f"^{path}: truncated: expected a whole gzip stream, found its end after"):
        open_frame(path)
    late = tmp_path / frame_name(TIMES[1])
    late.write_bytes(frame_file)
    with pytest.raises(FrameNameError, match=f"^{late}: name and header disagree on the time"):
        open_frame(late)


def test_iter_frames_reads_files_folders_and_archives_in_stored_order(folder: Path) -> None:
    frames = list(iter_frames(folder))
    assert [int(frame.raw[0, 0]) for frame in frames] == [0, 2, 1, 3]
    assert [frame.time for frame in frames] == [TIMES[k] for k in (0, 2, 1, 3)]
    assert [frame.name for frame in frames] == [frame_name(TIMES[k]) for k in (0, 2, 1, 3)]
    for sources in (str(folder), [folder], (folder, str(folder)), f"{folder}/[!n]*"):
        assert [int(frame.raw[0, 0]) for frame in iter_frames(sources)] == [0, 2, 1, 3]
    with pytest.raises(
        ServiceMessageError, match=r"notes\.txt: text in place of a file: expected a composite, found a text$"
    ):
        list(iter_frames(f"{folder}/*"))  # a glob names each file on its own, also the one that is no frame


def test_iter_frames_selects(folder: Path) -> None:
    some = iter_frames(folder, start=TIMES[1], end=TIMES[3])
    assert [frame.time for frame in some] == [TIMES[2], TIMES[1]]
    with pytest.warns(HsrGeoWarning, match=rf"outside the selection.*: there is HSR of {TIMES[0]:%Y-%m-%d %H:%M} to "):
        assert list(iter_frames(folder, product="HSP")) == []
    assert len(list(iter_frames(folder, product="hsr"))) == 4
    with pytest.raises(OptionsError, match="give it a time zone"):
        list(iter_frames(folder, start=TIME.replace(tzinfo=None)))


def test_iter_frames_takes_steps_times_and_a_bbox(folder: Path) -> None:
    assert _times(iter_frames(folder, every="10min")) == [time for time in TIMES if time.minute % 10 == 0]
    assert _times(iter_frames(folder, times=[TIMES[3], f"{TIMES[1]:%Y-%m-%d %H:%M}"])) == [TIMES[1], TIMES[3]]
    with pytest.warns(HsrGeoWarning, match="no frame found"):
        assert _times(iter_frames(folder, times=[])) == []
    west, south, east, north = box = (126.7, 37.4, 127.2, 37.7)
    [frame] = iter_frames(folder, times=TIMES[:1], bbox=box)
    assert frame.grid.window_for(BBox(west, south, east, north)) == frame.grid.window
    assert frame.shape < (NY, NX)
    for times, problem in (
        ("2022-06-09", "times '2022-06-09': expected a list of times"),
        (5, "times 5: expected a list"),
        (["never"], "time 'never': expected"),
        ([TIME.replace(tzinfo=None)], "give it a time zone"),
    ):
        with pytest.raises(OptionsError, match=problem):
            list(iter_frames(folder, times=times))  # type: ignore[arg-type]


def test_iter_frames_warns_where_there_is_no_frame(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.tif").write_bytes(b"")
    with pytest.warns(
        hsrgeo.HsrGeoWarning, match=r"no frame found \(1 other file skipped \(1 x .tif\)\); a .tif, .* is a result"
    ):
        assert list(hsrgeo.iter_frames(tmp_path / "none")) == []


def test_iter_frames_goes_on_after_a_broken_one_where_it_may(folder: Path, frames: list[tuple[str, bytes]]) -> None:
    archive = folder / "b.tar.gz"
    name, data = frames[1]
    archive.write_bytes(make_tar([frames[0], (name, data[:-9]), frames[3]]))
    assert _times(iter_frames(archive, on_error="skip")) == [TIMES[0], TIMES[3]]
    with pytest.warns(HsrGeoWarning, match=rf"^left out: {archive} \[{name}\]: truncated"):
        assert _times(iter_frames(archive, on_error="warn")) == [TIMES[0], TIMES[3]]
    with pytest.raises(OptionsError, match="on_error 'ignore': expected one of raise, warn, skip"):
        list(iter_frames(archive, on_error="ignore"))  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="no such file"):
        list(iter_frames(folder / "nowhere", on_error="skip"))


def test_times_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "times.csv"
    path.write_text("\ufefftime,wet\n# rainy\n2022-06-09T11:15:00+09:00,0.5\n\n202206091120\n2022-06-09T02:25Z\n")
    assert read_times(path) == [TIME, TIME + timedelta(minutes=5), TIME + timedelta(minutes=10)]
    for text, problem in (("", "lists no time"), ("time\n202206091120\nsoon\n", "line 3: time 'soon': expected")):
        path.write_text(text)
        with pytest.raises(OptionsError, match=problem):
            read_times(path)
    with pytest.raises(SourceError, match="nothing: cannot be read"):
        read_times(tmp_path / "nothing")


def test_iter_frames_is_lazy(folder: Path) -> None:
    (folder / "z.tar.gz").write_bytes(b"no archive")
    frames = iter_frames([folder / "b.tar.gz", folder / "z.tar.gz"])
    assert next(frames).time == TIMES[2]
    del frames  # the archive is closed with it; see the fixture that watches open files


def _times(frames: Iterator[hsrgeo.Frame]) -> list[object]:
    got: list[object] = []
    try:
        got.extend(frame.time for frame in frames)
    except hsrgeo.HsrGeoError as error:
        got.append(type(error))
        assert next(frames, None) is None  # it ends there
    return got


def test_iter_frames_ends_at_the_first_that_is_broken(folder: Path, frames: list[tuple[str, bytes]]) -> None:
    archive = folder / "b.tar.gz"
    name, data = frames[1]
    archive.write_bytes(make_tar([frames[0], (name, data[:-9]), frames[3]]))
    with pytest.raises(TruncatedError, match=rf"^{archive} \[{name}\]: truncated"):
        list(iter_frames(archive))
    assert _times(iter_frames(archive)) == [TIMES[0], TruncatedError]
    whole = make_tar([frames[0], frames[1]], gz=False)
    archive.write_bytes(whole[: 512 + len(frames[0][1]) + 512 + 512 + 100])  # inside the second frame's data
    assert _times(iter_frames(archive)) == [TIMES[0], ArchiveError]
    archive.write_bytes(make_tar([frames[0], ("RDR_CMP_HSR_PUB_never.bin.gz", b""), frames[1]]))
    assert _times(iter_frames(archive)) == [TIMES[0], FrameNameError]
    with pytest.raises(SourceError, match="nowhere: no such file or folder"):
        list(iter_frames(folder / "nowhere"))


def test_iter_frames_reads_both_of_two_members_of_one_name(tmp_path: Path, frames: list[tuple[str, bytes]]) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(make_tar([frames[0], frames[1], frames[0]], gz=False))
    with pytest.warns(
        HsrGeoWarning, match=rf"#2\]?: HSR of {TIMES[0]:%Y-%m-%d %H:%M} KST comes again: choose a kind"
    ) as said:
        got = list(iter_frames(archive))
    assert len(said) == 1
    assert [frame.time for frame in got] == [TIMES[0], TIMES[1], TIMES[0]]
    assert [frame.kind for frame in got] == ["PUB"] * 3
    assert [frame.name for frame in got] == [frame_name(TIMES[k]) for k in (0, 1, 0)]


@pytest.mark.parametrize("name", ["day.tar", "day"])
def test_one_frame_is_not_read_out_of_an_archive(tmp_path: Path, frames: list[tuple[str, bytes]], name: str) -> None:
    archive = tmp_path / name
    archive.write_bytes(make_tar(frames[:1], gz=False))
    with pytest.raises(SourceError, match=r"is an archive of frames: use hsrgeo\.iter_frames"):
        open_frame(archive)


def test_iter_frames_of_samples(samples: Path) -> None:
    minutes = [frame.time.minute for frame in iter_frames(samples, start=datetime(2026, 1, 1, tzinfo=hsrgeo.KST))]
    assert minutes == [10, 15]


@pytest.mark.parametrize(
    ("area", "problem"),
    [
        ({}, "crop takes one of bbox, window, and center with size: got none"),
        ({"bbox": (126, 37, 127, 38), "window": (0, 0, 5, 5)}, "choose one area: bbox and window exclude each other"),
        ({"center": (127, 37)}, "center and size go together: a point, and cells along each side"),
        ({"window": (0, 0, 5, 5), "size": 5}, "center and size go together: a point, and cells along each side"),
    ],
)
def test_a_crop_is_of_one_area(frames: list[tuple[str, bytes]], tmp_path: Path, area: Any, problem: str) -> None:
    path = tmp_path / frames[0][0]
    path.write_bytes(frames[0][1])
    with pytest.raises(OptionsError) as caught:
        open_frame(path).crop(**area)
    assert str(caught.value) == problem


NOTHING = ExportOptions(jobs=1)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: open_frame(None), "None: expected a path, or a URL as text"),  # type: ignore[arg-type]
        (lambda: open_frame(bytes(1_200_000)), "bytes of 1,200,000 bytes: expected a path"),  # type: ignore[arg-type]
        (lambda: list(iter_frames(5)), "source 5: expected a path, or a URL as text"),  # type: ignore[arg-type]
        (lambda: list(iter_frames([])), "no source is given: name files, folders or archives"),
        (lambda: list(iter_frames(["a", None])), "source None: expected a path"),  # type: ignore[list-item]
        (lambda: list(iter_frames("a", product="")), "product '': expected a name such as HSR"),
        (lambda: hsrgeo.export([], "out", NOTHING), "no source is given"),
        (lambda: hsrgeo.export("a", None, NOTHING), "None: expected a path"),  # type: ignore[arg-type]
        (lambda: hsrgeo.verify(b"a", "a"), "bytes of 1 bytes: expected a path"),  # type: ignore[arg-type]
        (lambda: ExportOptions(jobs=1.5), "jobs 1.5: expected a whole number"),  # type: ignore[arg-type]
        (lambda: ExportOptions(jobs="2"), "jobs '2': expected a whole number"),  # type: ignore[arg-type]
        (lambda: ExportOptions(block=1.5), "block 1.5: expected a whole number"),  # type: ignore[arg-type]
        (lambda: ExportOptions(every="10 apples"), "length of time '10 apples': expected a number and one of"),
        (lambda: ExportOptions(every=5), "every 5: expected a timedelta"),  # type: ignore[arg-type]
        (lambda: ExportOptions(product=5), "product 5: expected a name"),  # type: ignore[arg-type]
        (lambda: ExportOptions(quantity="rain", zr="ab"), "Z-R law 'ab': expected two numbers"),  # type: ignore[arg-type]
        (lambda: ExportOptions(quantity="rain", zr=5), "Z-R law 5: expected two numbers"),  # type: ignore[arg-type]
        (lambda: hsrgeo.BBox("126", 36, 127, 38), "bbox '126' 36 127 38: every edge"),  # type: ignore[arg-type]
        (lambda: hsrgeo.BBox(None, 36, 127, 38), "bbox None 36 127 38: every edge"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_is_an_error_of_this_library(call: Callable[[], object], problem: str) -> None:
    with pytest.raises(OptionsError) as caught:
        call()
    assert str(caught.value).startswith(problem)


def test_numbers_of_numpy_are_numbers() -> None:
    one: Any = np.int64(1)
    edges: Any = np.array([126.5, 36, 127, 38], np.float32)
    options = ExportOptions(jobs=one, block=one, bbox=edges)
    assert options.workers == 1
    assert hsrgeo.BBox(*edges) == hsrgeo.BBox(126.5, 36, 127, 38)
