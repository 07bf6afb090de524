from __future__ import annotations

import contextlib
import gzip
import random
import re
import struct
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.errors import (
    ChecksumError,
    DeflateStreamError,
    EmptyFileError,
    FrameError,
    FrameReadError,
    NotGzipError,
    ServiceMessageError,
    TooLargeError,
    TrailingDataError,
    TruncatedError,
)
from hsrgeo.formats import gzipped
from hsrgeo.formats.gzipped import check_stored, peek, trailer_crc32

LIMIT = 1_000_000
AT_ONCE = gzipped._gunzip_at_once
TEXT = b"".join(b"%d squared is %d. " % (k, k * k) for k in range(100))
MTIME = 1654740900
"""Written in real files, 62a15fa4: no four zero bytes in a row."""
GOOD = gzip.compress(TEXT, mtime=MTIME)


def gunzip(data: bytes, limit: int) -> bytes:
    """Unpack what is one stream and nothing else."""
    unpacked, text = gzipped.gunzip(data, limit)
    assert not text
    return unpacked


@pytest.fixture(scope="module", params=["at once", "in steps"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run everything here by both ways to unpack: the fast one, and the one that says what is wrong."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "in steps":
            patch.setattr(gzipped, "_gunzip_at_once", lambda _data, _length: None)
        yield


def _patched(data: bytes, offset: int, new: bytes) -> bytes:
    at = offset % len(data)
    return data[:at] + new + data[at + len(new) :]


# -- what must be read ------------------------------------------------------------------------------------------------


@given(st.binary(max_size=3000), st.integers(0, 9), st.text("abc.", max_size=8))
def test_what_gzip_packs_comes_back(plain: bytes, level: int, name: str) -> None:
    packed = gzip.compress(plain, level, mtime=MTIME)
    with_name = packed[:3] + b"\x08" + packed[4:10] + name.encode() + b"\0" + packed[10:]  # FNAME, RFC 1952 2.3.1
    for data in (packed, with_name):
        assert bytes(gunzip(data, 3000)) == plain
        assert trailer_crc32(data) == zlib.crc32(plain)


def test_the_limit_itself_is_allowed() -> None:
    assert gunzip(GOOD, len(TEXT)) == TEXT
    with pytest.raises(TooLargeError):
        gunzip(GOOD, len(TEXT) - 1)


@pytest.mark.parametrize("length", [1000, 65537, 300_000])
def test_the_length_field_may_occur_earlier_by_chance(length: int) -> None:
    # Stored blocks (level 0) keep the bytes as they are, so that the four bytes of the length can be put among them.
    field = struct.pack("<I", length)
    noise = random.Random(7).randbytes(length)  # noqa: S311 - a made-up file
    plain = noise[:100] + field + noise[104:500] + field + noise[504:]
    data = gzip.compress(plain, 0, mtime=MTIME)
    assert data.count(field) >= 3  # twice inside, once at the end
    assert data.endswith(field)
    assert gunzip(data, LIMIT) == plain


def test_an_empty_stream_is_read() -> None:
    assert gunzip(gzip.compress(b""), LIMIT) == b""


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        GOOD[:3] + b"\x08" + GOOD[4:10] + b"RDR_CMP_HSR.bin\0" + GOOD[10:],  # FNAME, as real files have it
        GOOD[:3] + b"\x04" + GOOD[4:10] + b"\2\0ab" + GOOD[10:],  # FEXTRA: two bytes
        gzip.compress(b""),
    ],
    ids=["plain", "name", "extra", "empty"],
)
def test_a_sound_stream_is_read_at_once(data: bytes) -> None:
    plain = gzip.decompress(data)
    assert AT_ONCE(data, len(plain)) == plain
    assert AT_ONCE(data[:-8] + b"\xff" * 4 + data[-4:], len(plain)) is None  # the CRC-32 of none of these
    assert AT_ONCE(data[:-4] + b"\xff" * 4, len(plain)) is None  # the length of none of these
    assert AT_ONCE(data[:-1], len(plain)) is None
    assert AT_ONCE(data + b"\0", len(plain)) is None


def test_bytes_between_stream_and_trailer_are_no_sound_stream() -> None:
    between = GOOD[:-8] + b"junk" + GOOD[-8:]
    with pytest.raises(FrameError):
        gunzip(between, LIMIT)


# -- one test for each way to be wrong --------------------------------------------------------------------------------


def test_empty_file() -> None:
    with pytest.raises(EmptyFileError, match=r"^empty file: expected a composite, found 0 bytes$"):
        gunzip(b"", LIMIT)


def test_text_of_the_download_service() -> None:
    answer = b"# file not exist (RDR_CMP_HSR_PUB_202206091115.bin.gz)\n"
    with pytest.raises(
        ServiceMessageError,
        match=(
            r"^text in place of a file: expected a composite, found the download service's "
            r"'# file not exist \(RDR_CMP_HSR_PUB_202206091115\.bin\.gz\)'$"
        ),
    ):
        gunzip(answer, LIMIT)
    with pytest.raises(ServiceMessageError, match=r"# file not exist \(\\\\xff"):
        gunzip(b"# file not exist (\xff)", LIMIT)
    with pytest.raises(ServiceMessageError) as caught:
        gunzip(b"# file not exist " + b"x" * 100_000, LIMIT)
    assert len(str(caught.value)) < 400  # the message does not carry the whole file


@pytest.mark.parametrize(
    ("data", "first"),
    [
        (b"\0\0" + GOOD[2:], "00 00"),  # "Not a gzipped file (b'\x00\x00')", met in a published run
        (b"PK\x03\x04", "50 4b, the start of a zip archive"),
        (b"\x1f", "1f"),  # cut after one byte
        (b"\x8b\x1f" + GOOD[2:], "8b 1f"),
        (GOOD[1:], "8b 08"),
    ],
)
def test_not_gzip(data: bytes, first: str) -> None:
    with pytest.raises(NotGzipError, match=f"^not gzip: expected first bytes 1f 8b, found {first}$"):
        gunzip(data, LIMIT)


def test_damaged_data() -> None:
    # the deflate data begin at byte 10; a block type of 3 is reserved (RFC 1951, section 3.2.3)
    broken = _patched(GOOD, 10, bytes([GOOD[10] | 0b110]))
    with pytest.raises(
        DeflateStreamError,
        match=r"^deflate error: expected a valid gzip stream, found invalid block type after 0 unpacked bytes$",
    ):
        gunzip(broken, LIMIT)


def test_damage_in_the_middle_of_a_large_file_is_placed() -> None:
    data = bytearray(gzip.compress(bytes(3 << 20), 0, mtime=MTIME))
    # A stored block begins with its length and the complement of that (RFC 1951, section 3.2.4), which no zeros can
    # be: break the one that follows 2.5 MB.
    at = next(k for k in range(5 << 19, len(data)) if data[k : k + 2] == bytes(255 - b for b in data[k + 2 : k + 4]))
    data[at + 2] ^= 0xFF
    with pytest.raises(
        DeflateStreamError, match=r"invalid stored block lengths after [0-9,]+ unpacked bytes$"
    ) as caught:
        gunzip(bytes(data), 4 << 20)
    found = re.search(r"after ([0-9,]+) unpacked", str(caught.value))
    assert found is not None
    # a call unpacks 1 MiB, and what the last one had unpacked is not counted
    assert at - (1 << 20) - 100_000 <= int(found[1].replace(",", "")) <= at


@pytest.mark.parametrize(
    ("offset", "new", "reason"),
    [
        (2, b"\x07", "unknown compression method"),
        (3, b"\xe0", "unknown header flags set"),
        (3, b"\x02", "header crc mismatch"),  # FHCRC: the two bytes that follow are no CRC of the header
    ],
)
def test_damaged_gzip_header(offset: int, new: bytes, reason: str) -> None:
    with pytest.raises(DeflateStreamError, match=f"^deflate error: expected a valid gzip stream, found {reason}"):
        gunzip(_patched(GOOD, offset, new), LIMIT)


@pytest.mark.parametrize("plain", [TEXT, TEXT * 1000], ids=["small", "large"])
def test_crc_that_disagrees_is_reported_with_that_of_the_data(plain: bytes) -> None:
    data = gzip.compress(plain, mtime=MTIME)
    wrong = zlib.crc32(plain) ^ 0xFFFF
    with pytest.raises(
        ChecksumError,
        match=(
            rf"^CRC check failed: expected CRC-32 {wrong:08x} \(trailer\), "
            rf"found {zlib.crc32(plain):08x} \({len(plain):,} bytes\)$"
        ),
    ):
        gunzip(_patched(data, -8, struct.pack("<I", wrong)), 4_000_000)


@pytest.mark.parametrize("plain", [TEXT, TEXT * 1000], ids=["small", "large"])
@pytest.mark.parametrize("claimed", [0, 1, 1000, 3_999_999, 4_000_001, 0xFFFFFFFF])
def test_length_that_disagrees_is_reported_with_that_of_the_data(plain: bytes, claimed: int) -> None:
    data = gzip.compress(plain, mtime=MTIME)
    with pytest.raises(
        ChecksumError,
        match=rf"^length check failed: expected {claimed:,} bytes unpacked \(trailer\), found {len(plain):,}$",
    ):
        gunzip(_patched(data, -4, struct.pack("<I", claimed)), 4_000_000)


def test_truncated_anywhere() -> None:
    for cut in range(2, len(GOOD)):
        with pytest.raises(
            TruncatedError, match=rf"^truncated: expected a whole gzip stream, found its end after {cut} byt"
        ):
            gunzip(GOOD[:cut], LIMIT)


def test_truncated_large_file() -> None:
    noise = random.Random(2).randbytes(3 << 20)  # noqa: S311 - a made-up file
    data = gzip.compress(noise, 1, mtime=MTIME)
    for cut in (len(data) // 2, len(data) - 9, len(data) - 8, len(data) - 4, len(data) - 1):
        with pytest.raises(TruncatedError, match=f"its end after {cut:,} bytes \\([0-9,]+ unpacked\\)$"):
            gunzip(data[:cut], 4 << 20)


@pytest.mark.parametrize("zeros", [4, 8, 20, 100, 400, len(GOOD) - 2])
def test_a_tail_of_zeros_is_no_empty_stream(zeros: int) -> None:
    # a download into space set aside beforehand that broke off; four zeros at the end are a length of 0
    data = GOOD[:-zeros] + bytes(zeros)
    with pytest.raises(FrameReadError, match=r"^(deflate error|length check failed|CRC check failed|truncated)"):
        gunzip(data, LIMIT)
    with pytest.raises(FrameReadError):
        gunzip(data[:-1], LIMIT)


OTHER = gzip.compress(TEXT[::-1], mtime=MTIME)


@pytest.mark.parametrize(
    "junk",
    [
        b"junk after the stream",
        b"\0" * 512 + b"junk",
        b"junk" + GOOD[-8:],
        GOOD[-8:],
        GOOD[-4:],
        struct.pack("<I", LIMIT + 1),  # a length beyond the limit
    ],
    ids=["junk", "late", "same-end", "trailer", "length", "long"],
)
def test_data_after_the_stream(junk: bytes) -> None:
    with pytest.raises(
        TrailingDataError,
        match=f"^trailing data: expected nothing after the gzip stream, found {len(junk):,} bytes more$",
    ):
        gunzip(GOOD + junk, LIMIT)


@pytest.mark.parametrize("count", [1, 4, 7, 8, 9, 512])
def test_zero_bytes_after_the_stream_are_reported(count: int) -> None:
    text = f"{count} zero bytes after the gzip stream"
    assert gzipped.gunzip(GOOD + bytes(count), LIMIT) == (TEXT, text)


@pytest.mark.parametrize("second", [OTHER, GOOD], ids=["member", "twice"])  # the same length, or all of it the same
def test_streams_one_after_the_other_are_joined_and_reported(second: bytes) -> None:
    plain = gzip.decompress(second)
    assert gzipped.gunzip(GOOD + second, LIMIT) == (TEXT + plain, "2 gzip streams one after the other")
    both = "2 gzip streams one after the other, 3 zero bytes after the gzip stream"
    assert gzipped.gunzip(GOOD + second + bytes(3), LIMIT) == (TEXT + plain, both)
    with pytest.raises(TooLargeError):
        gzipped.gunzip(GOOD + second, len(TEXT) + len(plain) - 1)
    with pytest.raises(ChecksumError):
        gzipped.gunzip(GOOD + _patched(second, -8, bytes(4)), LIMIT)
    with pytest.raises(TrailingDataError):  # more than anybody makes
        gzipped.gunzip(GOOD * 17, LIMIT)


def test_bomb_that_tells_its_length() -> None:
    bomb = gzip.compress(bytes(LIMIT + 1))
    with pytest.raises(
        TooLargeError, match=r"^too large: expected at most 1,000,000 bytes unpacked, found more than 1,000,000 bytes$"
    ):
        gunzip(bomb, LIMIT)


@pytest.mark.parametrize("claimed", [0, 10, LIMIT, 0xFFFFFFFF])
def test_bomb_that_lies_about_its_length(claimed: int) -> None:
    bomb = gzip.compress(bytes(100 * LIMIT), 9)  # 100 MB from 100 kB
    with pytest.raises(TooLargeError, match=r"^too large: expected at most 1,000,000 bytes unpacked, found more than"):
        gunzip(_patched(bomb, -4, struct.pack("<I", claimed)), LIMIT)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(100 * LIMIT), 9)
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            gunzip(bomb, LIMIT)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * LIMIT  # a few chunks of 1 MiB, not 100 MB


def test_a_file_that_is_itself_too_large() -> None:
    with pytest.raises(TooLargeError, match=r"^too large: expected at most 2,000 bytes, found 2,001 bytes$"):
        gunzip(b"\x1f\x8b".ljust(2001), 1000)


def test_single_bit_flips_are_found_or_harmless() -> None:
    # every bit of a small file, in turn
    small = gzip.compress(TEXT[:150], mtime=MTIME)
    harmless = 0
    for bit in range(8 * len(small)):
        flipped = bytearray(small)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert gunzip(bytes(flipped), LIMIT) == TEXT[:150], bit
        except FrameReadError:
            continue
        harmless += 1
        # flags, time, extra flags and system, bytes 3 to 9, are no part of the data, nor is what fills the last byte
        assert 3 <= bit // 8 <= 9 or bit // 8 == len(small) - 9, bit
    assert 6 * 8 <= harmless <= 7 * 8 + 7  # every bit of MTIME, XFL and OS, bytes 4 to 9


@given(st.binary(min_size=1, max_size=400), st.integers(0, 9), st.data())
def test_single_bit_flips_of_other_files_are_found_or_harmless(plain: bytes, level: int, data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(plain, level, mtime=MTIME))
    bit = data.draw(st.integers(0, 8 * len(packed) - 1))
    packed[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(FrameReadError):
        assert gunzip(bytes(packed), 2000) == plain


@given(st.binary(max_size=200))
def test_anything_at_all_is_bytes_or_our_own_error(data: bytes) -> None:
    for start in (b"", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\xff"):
        try:
            unpacked = gunzip(start + data, 1000)
        except FrameReadError:
            continue
        assert gzip.decompress(start + data) == unpacked


# -- the helpers ------------------------------------------------------------------------------------------------------


def test_check_stored_says_nothing_of_a_good_file() -> None:
    check_stored(b"\x01\x05\x00", 3)
    with pytest.raises(TooLargeError, match=r"^too large: expected at most 2 bytes, found 3 bytes$"):
        check_stored(b"\x01\x05\x00", 2)


def test_peek_gives_the_beginning_or_less() -> None:
    noise = random.Random(3).randbytes(100_000)  # noqa: S311 - a made-up file
    for level in (0, 1, 9):
        data = gzip.compress(noise, level, mtime=MTIME)
        assert peek(data, 1024) == noise[:1024]
        assert peek(data[:3000], 1024) == noise[:1024]  # the rest may be missing
    assert peek(GOOD, 10 * len(TEXT)) == TEXT
    assert peek(b"\x1f\x8b", 10) == b""
    assert peek(b"no gzip", 10) == b""
    assert peek(_patched(GOOD, 10, bytes([GOOD[10] | 0b110])), 10) == b""
