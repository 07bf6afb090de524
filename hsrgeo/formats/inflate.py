"""Two ways to unpack one sound gzip stream, of which the processor decides.

Most of a frame is one value over and over: copies of two bytes onto what they were copied to just before. Some
processors stall on libdeflate's wide copies of that, and zlib's byte by byte are faster there; on others libdeflate
takes half of zlib's time. So both are tried once a process, on a small stream of that kind (README, "How fast").
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable
from functools import cache

import deflate

_Way = Callable[[bytes, int], "bytes | bytearray | None"]

_PLAIN, _NAMED = b"\x1f\x8b\x08\x00", b"\x1f\x8b\x08\x08"
_HEADER, _TRAILER = 10, 8
# ^ RFC 1952, section 2.3: how a stream begins, the second with a file name after the header, which ends in a zero
_TRIES = 3


def inflate(data: bytes, length: int) -> bytes | bytearray | None:
    """Return the bytes of a gzip stream that ends where the data end, or None where anything at all is wrong.

    Args:
        data: The whole file.
        length: What it unpacks to, above 0.
    """
    return fastest()(data, length)


def by_libdeflate(data: bytes, length: int) -> bytearray | None:
    """As `inflate`; accepts data that follow the stream."""
    try:
        unpacked: bytearray = deflate.gzip_decompress(data, length)
    except deflate.DeflateError:
        return None
    return unpacked if len(unpacked) == length else None


def by_zlib(data: bytes, length: int) -> bytes | bytearray | None:
    """As `inflate`; zlib unpacks, libdeflate checks: its CRC-32 takes a fifth of zlib's time."""
    named = data.startswith(_NAMED)
    begin = data.find(b"\0", _HEADER) + 1 if named else _HEADER
    if begin < _HEADER or not (named or data.startswith(_PLAIN)):
        return by_libdeflate(data, length)  # which reads the rarer headers too
    stream = zlib.decompressobj(wbits=-15)  # no header, no trailer
    try:
        unpacked = stream.decompress(memoryview(data)[begin:-_TRAILER], length + 1)
    except zlib.error:
        return None
    if not stream.eof or stream.unused_data or len(unpacked) != length:
        return None
    return unpacked if deflate.crc32(unpacked) == int.from_bytes(data[-_TRAILER:-4], "little") else None


@cache
def fastest() -> _Way:
    """Return the faster way on this processor; both give the same bytes."""
    plain = b"\xd0\x8a" * 500_000 + random.Random(0).randbytes(10_000)  # noqa: S311 - a tenth of a frame, and some rain
    packed = zlib.compress(plain, 6, wbits=31)
    ways: tuple[_Way, _Way] = (by_libdeflate, by_zlib)
    seconds = {way: min(_seconds(way, packed, len(plain)) for _ in range(_TRIES)) for way in ways}
    return min(ways, key=seconds.__getitem__)


def _seconds(way: _Way, packed: bytes, length: int) -> float:
    begun = time.perf_counter()
    way(packed, length)
    return time.perf_counter() - begun
