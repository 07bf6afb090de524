"""Silent damage: a bit that flipped on a disk is reported, or provably changes nothing that is written.

Every class of byte in a frame's file is gone through, gzip's header and trailer bit by bit. Each flip is one of

- reported: decoding it is a `FrameError`, which makes the frame a failed one;
- harmless: every file that it is exported to and every fact in the manifest is the same, byte for byte;
- undetectable: something that is written differs, and nothing in the file could tell.

What has gzip around it must never be the third, for gzip's CRC covers it. A plain ``.bin`` carries no check at all: for
it the table below is what can be had; SOURCE_CRC32, the CRC of the file as it is found, moves with every bit.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from hsrgeo.engine.export.work import files_of
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import FrameError
from hsrgeo.formats import gzipped
from hsrgeo.formats.composite import decode, encode
from hsrgeo.formats.names import parse_name
from hsrgeo.model.times import utc_text
from hsrgeo.products.synthetic import Scene, synthetic_frame
from tests.conftest import BLOCK_BYTES, HEADER_BYTES, SEOUL_TIME, MakeFile, frame_name, gzip_bytes

GZ, BIN = frame_name(), frame_name(suffix=".bin")
RECIPE = ExportOptions(window=(500, 700, 16, 16), values="raw", jobs=1).recipe
REPORTED, HARMLESS, UNDETECTABLE = "reported", "harmless", "undetectable"


def written(data: bytes, name: str, *, own_crc: bool = True) -> tuple[dict[str, bytes], tuple[Any, ...]]:
    """Return every file that a frame is exported to, and what its manifest line tells of it."""
    frame = decode(data, name)
    if not own_crc:
        frame = dataclasses.replace(frame, crc32=0)
    created = utc_text(frame.header.created) if frame.header.created else ""
    facts = frame.product, frame.kind, frame.time, frame.header.station_count, created, frame.crc32
    return dict(files_of([frame], parse_name(name), RECIPE)), facts


def verdict(data: bytes, at: int, bit: int, name: str, sound: tuple[object, object], *, own_crc: bool = True) -> str:
    """Return what became of one flipped bit."""
    flipped = bytearray(data)
    flipped[at] ^= 1 << bit
    try:
        same = written(bytes(flipped), name, own_crc=own_crc) == sound
    except FrameError:
        return REPORTED
    return HARMLESS if same else UNDETECTABLE


# -- in gzip ----------------------------------------------------------------------------------------------------------


@functools.cache
def gzip_files() -> dict[str, bytes]:
    """Return the frames: of 1 km with each kind of gzip header, and one of 500 m as `hsrgeo simulate` packs it."""
    plain = MakeFile()(gz=False)
    body = zlib.compress(plain, 1)[2:-4]  # deflate without what zlib has around it
    trailer = struct.pack("<II", zlib.crc32(plain), len(plain))
    fields = b"\x1f\x8b\x08\x1e" + struct.pack("<IBB", 1_654_740_900, 0, 3)
    fields += struct.pack("<H", 8) + b"AP\x04\0text" + b"name.bin\0" + b"a comment\0"
    fields += struct.pack("<H", zlib.crc32(fields) & 0xFFFF)
    header, blocks = synthetic_frame(datetime(2022, 6, 9, 11, 15, tzinfo=SEOUL_TIME), Scene())
    return {
        "plain": gzip_bytes(plain),
        "named": gzip_bytes(plain, name="RDR_CMP_HSR_PUB_202206091115.bin"),
        "every field": fields + body + trailer,
        "500 m": encode(header, blocks),
    }


EVERY_FIELD = {"extra": range(10, 20), "name": range(20, 29), "comment": range(29, 39), "header crc": range(39, 41)}


def places(kind: str, data: bytes) -> Iterator[tuple[str, int]]:
    """Yield a class and a position, for each that is tried."""
    fixed = ["magic", "magic", "method", "flags", *["mtime"] * 4, "xfl", "os"]  # RFC 1952, section 2.3
    yield from zip(fixed, range(10), strict=True)
    begin = 10
    if kind == "named":
        begin = data.index(b"\0", 10) + 1
        yield from (("name", at) for at in range(10, begin - 1, 8))
        yield "end of the name", begin - 1
    if kind == "every field":
        for name, positions in EVERY_FIELD.items():
            yield from ((name, at) for at in positions)
        begin = 41
    yield from (("crc", at) for at in range(len(data) - 8, len(data) - 4))
    yield from (("length", at) for at in range(len(data) - 4, len(data)))
    chance = random.Random(7)  # noqa: S311 - positions
    spread = [*range(begin, begin + 4), *chance.sample(range(begin + 4, len(data) - 9), 12), len(data) - 9]
    yield from (("data", at) for at in spread)


IN_GZIP: dict[str, set[str]] = {
    "magic": {REPORTED},
    "method": {REPORTED},
    "flags": {REPORTED, HARMLESS},  # harmless is the lowest bit, "probably text"; and others where a header has them
    "mtime": {HARMLESS},
    "xfl": {HARMLESS},
    "os": {HARMLESS},
    "extra": {REPORTED},
    "name": {HARMLESS},
    "end of the name": {REPORTED},
    "comment": {REPORTED},
    "header crc": {REPORTED},
    "crc": {REPORTED},
    "length": {REPORTED},
    "data": {REPORTED, HARMLESS},  # harmless are bits that fill up the last byte, and copies from elsewhere of the same
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "named", "every field", "500 m"])
def test_no_bit_of_a_packed_frame_changes_what_is_written_in_silence(kind: str) -> None:
    data = gzip_files()[kind]
    sound = written(data, GZ)
    bits: Sequence[int] = range(8)
    seen: dict[str, Counter[str]] = {}
    for where, at in places(kind, data):
        for bit in bits if kind != "500 m" or where == "flags" else (at % 8,):
            seen.setdefault(where, Counter())[verdict(data, at, bit, GZ, sound)] += 1
    for where, counted in seen.items():
        allowed = IN_GZIP[where]
        if kind == "every field" and where in ("flags", "mtime", "xfl", "os", "name"):
            allowed = {REPORTED}  # its header has a CRC of its own
        assert set(counted) <= allowed, (where, counted)
        assert UNDETECTABLE not in counted
        assert len(allowed) > 1 or counted[next(iter(allowed))] == sum(counted.values())
    # Flags of a header without fields: 1 of 8 bits is harmless, FTEXT. Bits 1 to 4 make fields of data, and 5 to 7 are
    # reserved.
    if kind in ("plain", "500 m"):
        assert seen["flags"] == {REPORTED: 7, HARMLESS: 1}
    assert seen["data"][REPORTED] > seen["data"][HARMLESS]


@pytest.mark.parametrize("way", [gzipped._gunzip_at_once, lambda _data, _length: None])
def test_each_way_to_unpack_says_the_same_of_a_flip(way: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzipped, "_gunzip_at_once", way)
    data = gzip_files()["every field"]
    sound = written(data, GZ)
    for at in (3, 12, 22, 30, 40, 60, len(data) - 9, len(data) - 6, len(data) - 2):
        assert verdict(data, at, at % 7, GZ, sound) == REPORTED, at


@pytest.mark.parametrize("after", [b"\n", b"\x1f", b"\0\n", bytes(8) + gzip_bytes(b"")])
def test_what_follows_the_trailer_is_reported(after: bytes) -> None:
    for data in gzip_files().values():
        with pytest.raises(FrameError, match="bytes more"):
            decode(data + after, GZ)


@pytest.mark.parametrize(
    ("after", "note"),
    [
        (b"\0", "1 zero bytes after the gzip stream"),
        (bytes(8), "8 zero bytes after the gzip stream"),
        (gzip_bytes(b""), "2 gzip streams one after the other"),
    ],
)
def test_what_may_follow_the_trailer_is_noted_and_changes_nothing(after: bytes, note: str) -> None:
    for data in gzip_files().values():
        sound, padded = decode(data, GZ), decode(data + after, GZ)
        assert np.array_equal(padded.stored, sound.stored)
        assert note in " ".join(padded.notes)
        assert note not in " ".join(sound.notes)


# -- without gzip -----------------------------------------------------------------------------------------------------

STATIONS = 3
WITHOUT_GZIP: dict[str, tuple[range, set[str]]] = {
    "version": (range(1), {REPORTED}),
    "ptype": (range(1, 3), {HARMLESS}),  # the name tells the product
    "time, to the minute": (range(3, 9), {REPORTED}),  # the name tells it too
    "time, second": (range(9, 10), {REPORTED, HARMLESS}),
    "creation time": (range(10, 16), {REPORTED, UNDETECTABLE}),
    "number of stations": (range(17, 18), {REPORTED, UNDETECTABLE}),
    "map_code": (range(18, 19), {REPORTED}),
    "map_etc": (range(19, 20), {HARMLESS}),
    "nx, ny, nz, dxy": (range(20, 28), {REPORTED}),
    "dz, z_min": (range(28, 32), {HARMLESS}),
    "num_data": (range(32, 33), {HARMLESS}),  # the length of the file tells it
    "data code": (range(33, 34), {REPORTED, UNDETECTABLE}),
    "data codes of other blocks": (range(34, 49), {HARMLESS}),
    "etc": (range(49, 64), {HARMLESS}),
    "code of a station": (range(64, 70), {UNDETECTABLE, HARMLESS}),  # harmless behind the zero that ends it
    "times of a station": (range(70, 84), {REPORTED, HARMLESS}),
    "stations that are none": (range(64 + 20 * STATIONS, HEADER_BYTES, 41), {HARMLESS}),
    "pixels": (range(HEADER_BYTES + 2 * (741 * 1153 - 640), HEADER_BYTES + BLOCK_BYTES, 1 << 22), {UNDETECTABLE}),
}
# ^ The pixel is one of the window: row 740 from the south is row 700 from the north, and column 513 = 1153 - 640.


@pytest.mark.parametrize("where", WITHOUT_GZIP)
def test_what_can_be_reported_of_a_frame_without_gzip(where: str) -> None:
    positions, allowed = WITHOUT_GZIP[where]
    data = MakeFile()(gz=False)
    sound = written(data, BIN, own_crc=False)
    seen = Counter(verdict(data, at, bit, BIN, sound, own_crc=False) for at in positions for bit in range(8))
    assert set(seen) == allowed
    assert sum(seen.values()) == 8 * len(positions)


def test_the_crc_of_a_frame_without_gzip_moves_with_any_bit() -> None:
    # so that two copies of a file can be distinguished, if not which of them is right
    data = MakeFile()(gz=False)
    sound = decode(data, BIN).crc32
    for at in (1, 19, 60, 500, HEADER_BYTES + 77, len(data) - 1):
        flipped = bytearray(data)
        flipped[at] ^= 4
        assert decode(bytes(flipped), BIN).crc32 != sound


def test_the_verdicts_can_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    # A reader that does not look at the CRC would be caught: here is one.
    data = gzip_bytes(MakeFile()(gz=False), level=0)  # stored, so that a flip is a flip of a pixel
    sound = written(data, GZ)
    at = 10 + 5 + HEADER_BYTES + 2 * (741 * 1153 - 640)
    at += 5 * ((at - 15) // 65535)  # a stored block has 65,535 bytes at most, and five before them
    assert verdict(data, at, 3, GZ, sound) == REPORTED
    monkeypatch.setattr(gzipped, "gunzip", lambda data, _limit: (zlib.decompressobj(-15).decompress(data[10:]), ""))
    assert verdict(data, at, 3, GZ, sound) == UNDETECTABLE
