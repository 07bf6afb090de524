"""Frames of which only some rows are kept: what is kept, and what is found wrong, is as of the whole file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsrgeo.errors import FrameError, WindowError
from hsrgeo.formats.composite import decode, decode_blocks
from hsrgeo.formats.gzipped import _PIECE, _STEP, gunzip_range
from hsrgeo.formats.header import HEADER_BYTES
from hsrgeo.model.file_blocks import ALL
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid, Registration
from hsrgeo.model.window import BBox, Window
from hsrgeo.products.making import Making
from tests.conftest import NX, NY, MakeFile, frame_name, gzip_bytes

NOISE = np.random.default_rng(1).bytes(3 * _PIECE)  # does not compress: several pieces
FLAT = bytes(3 * _STEP)  # three steps out of one piece
PLAIN = NOISE + FLAT + NOISE


def in_rows(data: bytes, name: str, window: Window, block: int = 1, registration: Registration = "point") -> Frame:
    return decode_blocks(data, name, block=block, registration=registration, window_of=lambda _grid: window)[0]


# The stream.


@settings(deadline=None)
@given(st.integers(0, len(PLAIN)), st.integers(0, len(PLAIN)), st.sampled_from([0, 1, 6]))
def test_any_range_of_a_sound_stream(one: int, other: int, level: int) -> None:
    start, end = sorted((one, other))
    assert gunzip_range(gzip_bytes(PLAIN, level=level), len(PLAIN), start, end) == PLAIN[start:end]


@pytest.mark.parametrize("plain", [b"", b"a", NOISE[:_PIECE], FLAT[:_STEP], FLAT], ids=len)
def test_all_of_a_stream_that_ends_with_a_step(plain: bytes) -> None:
    assert gunzip_range(gzip_bytes(plain), len(plain), 0, len(plain)) == plain


SOUND = gzip_bytes(PLAIN)
WRONG = {
    "no byte": b"",
    "no gzip": b"\0" + SOUND[1:],
    "damaged": SOUND[:_PIECE] + bytes(40) + SOUND[_PIECE + 40 :],
    "CRC": SOUND[:-8] + bytes([SOUND[-8] ^ 1]) + SOUND[-7:],
    "length": SOUND[:-4] + bytes([SOUND[-4] ^ 1]) + SOUND[-3:],
    "cut in the trailer": SOUND[:-1],
    "cut before the trailer": SOUND[:-8],
    "cut at a piece": SOUND[:_PIECE],
    "a byte after it": SOUND + b"x",
    "zeros after it, a piece later": SOUND + bytes(2 * _PIECE),
    "another stream after it": SOUND + gzip_bytes(b"more"),
    "an empty stream after it": SOUND + gzip_bytes(b""),
}


@pytest.mark.parametrize("problem", WRONG)
def test_a_stream_with_anything_wrong_gives_nothing(problem: str) -> None:
    assert gunzip_range(WRONG[problem], len(PLAIN), 0, 10) is None


@pytest.mark.parametrize("length", [0, len(PLAIN) - 1, len(PLAIN) + 1])
def test_a_stream_of_another_length_gives_nothing(length: int) -> None:
    assert gunzip_range(SOUND, length, 0, 10) is None


# The frame.


@st.composite
def windows(draw: st.DrawFn) -> Window:
    top, left = draw(st.integers(0, NY - 1)), draw(st.integers(0, NX - 1))
    return Window(left, top, draw(st.integers(1, NX - left)), draw(st.integers(1, NY - top)))


@pytest.fixture(scope="module")
def three_blocks(make_file: MakeFile) -> bytes:
    numbers = np.arange(NX * NY).reshape(NY, NX)
    blocks = [(numbers % prime).astype(np.int16) for prime in (30011, 30013, 9)]  # another value in each row
    return make_file(*blocks, data_codes=(1, 2, 3))


@settings(deadline=None, max_examples=30)
@given(window=windows(), block=st.sampled_from([1, 2, 3]), registration=st.sampled_from(["point", "corner"]))
def test_the_part_is_that_of_the_whole_frame(
    three_blocks: bytes, window: Window, block: int, registration: Registration
) -> None:
    whole = decode(three_blocks, frame_name(), block=block, registration=registration)
    rows = in_rows(three_blocks, frame_name(), window, block, registration)
    assert rows.window == Window(0, window.row_off, NX, window.height)
    assert rows.full_grid == whole.grid == whole.full_grid
    np.testing.assert_array_equal(rows.stored, whole.stored[window.slices[0]])
    same = ("quantity", "time", "header", "product", "kind", "name", "crc32", "block", "blocks", "rank", "notes")
    assert [getattr(rows, name) for name in same] == [getattr(whole, name) for name in same]
    making = Making(window, values="raw")
    part, expected = making.of(rows), whole.crop(window=window)
    assert (part.grid, part.window) == (expected.grid, expected.window)
    np.testing.assert_array_equal(part.stored, expected.stored)


def test_only_the_rows_are_in_memory(make_file: MakeFile) -> None:
    rows = in_rows(make_file(), frame_name(), Window(10, 20, 30, 40))
    assert rows.shape == (40, NX)
    base: object = rows.stored
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, bytes)
    assert len(base) == 40 * NX * 2


@pytest.mark.parametrize("area", [BBox(126.7, 37.4, 127.2, 37.7), Window(0, 0, NX, NY), None])
def test_what_is_made_of_the_rows_is_what_is_made_of_the_whole(make_file: MakeFile, area: BBox | Window | None) -> None:
    for making in (Making(area), Making(area, quantity="rain"), Making(area, registration="corner")):
        whole = decode(make_file(), frame_name(), registration=making.registration)
        (rows,) = decode_blocks(make_file(), frame_name(), registration=making.registration, window_of=making.window_of)
        one, other = making.of(rows), making.of(whole)
        assert (one.grid, one.window, one.quantity, one.derived) == (
            other.grid,
            other.window,
            other.quantity,
            other.derived,
        )
        np.testing.assert_array_equal(one.raw, other.raw)


def test_rows_that_were_not_kept_are_never_made_up(make_file: MakeFile) -> None:
    rows = in_rows(make_file(), frame_name(), Window(0, 100, NX, 50))
    for top in (99, 101):
        with pytest.raises(WindowError):
            Making(Window(0, top, NX, 50)).of(rows)


def broken(make_file: MakeFile) -> dict[str, bytes]:
    sound = make_file()
    plain = make_file(gz=False)
    return {
        "truncated": sound[:-2000],
        "CRC": sound[:-8] + bytes(4) + sound[-4:],
        "two streams": sound + gzip_bytes(b"more"),
        "trailing": sound + b"junk",
        "a row too long": gzip_bytes(plain + bytes(2 * NX)),
        "header": gzip_bytes(b"\7" + plain[1:]),
        "only a header": gzip_bytes(plain[:HEADER_BYTES]),
        "less than a header": gzip_bytes(plain[:100]),
        "sum of rain": make_file(ptype=10, data_codes=(5,)),
        "data code": make_file(data_codes=(77,)),
        "map": make_file(map_code=99),
        "text": gzip_bytes(b"<html>no such file</html>"),
        "nothing": b"",
        "not packed and cut": plain[:-1],
    }


@pytest.mark.parametrize("problem", broken(MakeFile()))
def test_what_is_wrong_is_found_and_said_as_of_the_whole_file(make_file: MakeFile, problem: str) -> None:
    data = broken(make_file)[problem]
    with pytest.raises(FrameError) as whole:
        decode(data, frame_name())
    with pytest.raises(FrameError) as rows:
        in_rows(data, frame_name(), Window(5, 6, 7, 8))
    assert type(rows.value) is type(whole.value)
    assert str(rows.value) == str(whole.value)


@pytest.mark.parametrize("block", [0, 2, -1])
def test_a_block_that_is_not_there(make_file: MakeFile, block: int) -> None:
    with pytest.raises(FrameError, match=f"block {block}"):
        in_rows(make_file(), frame_name(), Window(5, 6, 7, 8), block)


def test_an_odd_file_is_read_whole_and_its_note_stays(make_file: MakeFile) -> None:
    for data, note in ((make_file() + bytes(5), "5 zero bytes"), (make_file(gz=False), "unpacked already")):
        frame = in_rows(data, frame_name(), Window(5, 6, 7, 8))
        assert frame.shape == (NY, NX)
        assert note in frame.notes[0]


def test_name_and_header_disagree_on_the_time(make_file: MakeFile) -> None:
    with pytest.raises(FrameError, match="disagree on the time"):
        in_rows(make_file(), "RDR_CMP_HSR_PUB_202001010000.bin.gz", Window(5, 6, 7, 8))


def test_an_area_that_does_not_fit_is_left_to_who_cuts(make_file: MakeFile) -> None:
    making = Making(Window(0, 0, NX + 1, 1))
    (frame,) = decode_blocks(make_file(), frame_name(), window_of=making.window_of)
    with pytest.raises(WindowError, match="reaches outside"):
        making.of(frame)


def test_all_blocks_are_read_whole(three_blocks: bytes) -> None:
    frames = decode_blocks(three_blocks, frame_name(), block=ALL, window_of=lambda _grid: Window(5, 6, 7, 8))
    assert [frame.shape for frame in frames] == [(NY, NX)] * 3


def test_one_block_of_several_is_kept_alone(three_blocks: bytes) -> None:
    def whole(grid: Grid) -> Window:
        return grid.window

    (frame,) = decode_blocks(three_blocks, frame_name(), block=2, window_of=whole)
    assert frame.window == frame.grid.window == frame.full_grid.window
    np.testing.assert_array_equal(frame.stored, decode(three_blocks, frame_name(), block=2).stored)


def test_samples(samples: Path) -> None:
    for path in sorted(samples.glob("*.bin.gz")):
        data = path.read_bytes()
        for block in range(1, decode(data, path.name).blocks + 1):
            whole = decode(data, path.name, block=block)
            for window in (Window(0, 0, 1, 1), Window(1100, 1200, 256, 256), Window(0, whole.shape[0] - 1, 9, 1)):
                rows = in_rows(data, path.name, window, block)
                np.testing.assert_array_equal(rows.stored, whole.stored[window.slices[0]])
                assert rows.crc32 == whole.crc32
