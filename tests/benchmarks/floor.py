"""The floor: the fastest known unpacking of the same bytes, its CRC checked."""

from __future__ import annotations

import statistics
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import deflate
from isal import isal_zlib
from zlib_ng import zlib_ng

from hsrgeo.formats.gzipped import gunzip_range

_GZIP = 31  # wbits: gzip header and trailer, checked (RFC 1952)
_STEP = 1 << 18


def _libdeflate(data: bytes, length: int) -> object:
    return deflate.gzip_decompress(data, length)


def _zlib_ng(data: bytes, length: int) -> object:
    return zlib_ng.decompressobj(wbits=_GZIP).decompress(data, length + 1)


def _isal(data: bytes, length: int) -> object:
    return isal_zlib.decompressobj(wbits=_GZIP).decompress(data, length + 1)


def _zlib(data: bytes, length: int) -> object:
    """Unpack with zlib; libdeflate checks, for its CRC-32 takes a fifth of zlib's time."""
    unpacked = zlib.decompressobj(wbits=-15).decompress(memoryview(data)[_header_bytes(data) : -8], length + 1)
    assert deflate.crc32(unpacked) == int.from_bytes(data[-8:-4], "little")
    return unpacked


UNPACKERS: dict[str, Callable[[bytes, int], object]] = {
    "libdeflate": _libdeflate,
    "zlib-ng": _zlib_ng,
    "ISA-L": _isal,
    "zlib + CRC": _zlib,
}


def unpack(data: bytes, library: str) -> object:
    """Unpack a gzip file with one of the libraries."""
    return UNPACKERS[library](data, int.from_bytes(data[-4:], "little"))


def unpack_in_steps(data: bytes) -> None:
    """Unpack and check a gzip file as a crop does, and keep nothing: less than the floor, which fills 13 MB."""
    assert gunzip_range(data, int.from_bytes(data[-4:], "little"), 0, 0) == b""


def outer_seconds(archive: Path) -> float:
    """Return how long the faster of zlib-ng and ISA-L takes to unpack an archive as a stream: the median of three."""
    streams: tuple[Callable[[], object], ...] = (
        lambda: zlib_ng.decompressobj(wbits=_GZIP),
        lambda: isal_zlib.decompressobj(wbits=_GZIP),
    )
    return min(statistics.median(_stream_seconds(archive, stream()) for _ in range(3)) for stream in streams)


def _stream_seconds(archive: Path, stream: object) -> float:
    begun = time.perf_counter()
    with archive.open("rb") as file:
        while chunk := file.read(_STEP):
            stream.decompress(chunk)  # type: ignore[attr-defined]
    return time.perf_counter() - begun


def _header_bytes(data: bytes) -> int:
    # RFC 1952, section 2.3: flag 8 is a file name, which ends in a zero; these frames have no other field.
    return data.index(b"\0", 10) + 1 if data[3] & 8 else 10
