"""Independent readers, written as simply as they can be: what a door accepts must be what these read there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conftest import SEOUL_TIME

_BLOCK = 512
_HEADER = 1024


class UnsureError(Exception):
    """Something that these readers do not read."""


class DamagedError(Exception):
    """A gzip stream is not sound."""


def gunzip(data: bytes, limit: int) -> bytes | None:
    """Return what gzip streams hold that have nothing but zeros after them, or None where one is not sound."""
    plain = b""
    while True:
        one = _first_stream(data, limit - len(plain))
        if one is None:
            return None
        plain, data = plain + one[0], one[1]
        if not data.strip(b"\0"):
            return plain


def _first_stream(data: bytes, limit: int) -> tuple[bytes, bytes] | None:
    """Return what the first stream holds (RFC 1952, by hand), and what follows it; None where it is not sound."""
    if len(data) < 18 or data[:3] != b"\x1f\x8b\x08" or data[3] & 0xE0:
        return None
    flags, at = data[3], 10
    if flags & 4:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for flag in (8, 16):
        if flags & flag:
            if (end := data.find(b"\0", at)) < 0:
                return None
            at = end + 1
    if flags & 2:
        if data[at : at + 2] != (zlib.crc32(data[:at]) & 0xFFFF).to_bytes(2, "little"):
            return None
        at += 2
    stream = zlib.decompressobj(-15)
    try:
        plain = stream.decompress(data[at:], limit + 1)
    except zlib.error:
        return None
    trailer, behind = stream.unused_data[:8], stream.unused_data[8:]
    if not stream.eof or len(plain) > limit or len(trailer) != 8:
        return None
    return (plain, behind) if struct.unpack("<II", trailer) == (zlib.crc32(plain), len(plain)) else None


def inflate_all(data: bytes, limit: int) -> bytes:
    """Return what gzip streams one after another hold, the last of them perhaps cut.

    Raises:
        DamagedError: One is damaged.
        UnsureError: They hold more than `limit`, or a header has flags that ISA-L passes over: a CRC of its own, and
            those that are reserved.
    """
    plain = b""
    while data.startswith(b"\x1f\x8b"):
        if len(data) > 3 and data[3] & 0xE2:
            raise UnsureError
        stream = zlib.decompressobj(31)
        try:
            plain += stream.decompress(data, limit + 1 - len(plain))
        except zlib.error as error:
            raise DamagedError(str(error)) from error
        if len(plain) > limit or stream.unconsumed_tail:
            raise UnsureError
        if not stream.eof:
            return plain
        data = stream.unused_data.lstrip(b"\0")
    return plain


def header(data: bytes) -> dict[str, Any]:
    """Return the fields of a header, at the offsets of the format's table."""
    count = struct.unpack_from("<b", data, 17)[0]
    return {
        "version": struct.unpack_from("<b", data, 0)[0],
        "ptype": struct.unpack_from("<h", data, 1)[0],
        "time": time(data, 3),
        "created": time(data, 10),
        "station_count": count,
        **dict(zip(("map_code", "map_etc"), struct.unpack_from("<bb", data, 18), strict=True)),
        **dict(zip(("nx", "ny", "nz", "dxy", "dz", "z_min"), struct.unpack_from("<6h", data, 20), strict=True)),
        "num_data": struct.unpack_from("<b", data, 32)[0],
        "data_codes": struct.unpack_from("<16b", data, 33),
        "etc": data[49:64],
        "stations": [(time(data, 70 + 20 * k), time(data, 77 + 20 * k)) for k in range(count)],
        "codes": [data[64 + 20 * k : 70 + 20 * k].split(b"\0")[0] for k in range(count)],
    }


def time(data: bytes, at: int) -> datetime | None:
    """Return the TIME_SS at an offset; a second of 60 as 59."""
    year, month, day, hour, minute, second = struct.unpack_from("<h5b", data, at)
    if not any((year, month, day, hour, minute, second)):
        return None
    return datetime(year, month, day, hour, minute, 59 if second == 60 else second, tzinfo=SEOUL_TIME)


def pixels(plain: bytes, nx: int, ny: int, block: int = 1) -> NDArray[np.int16]:
    """Return the north-up values of a block."""
    start = _HEADER + (block - 1) * nx * ny * 2
    return np.frombuffer(plain[start : start + nx * ny * 2], "<i2").reshape(ny, nx)[::-1]


def tar_files(data: bytes) -> Iterator[tuple[str, bytes]]:  # noqa: C901, PLR0912 - one walk through it
    """Yield name and content of regular files, until the end or the first damage.

    Raises:
        UnsureError: Something that is rare, or of no one meaning: from there on nothing is said.
    """
    at, name, size = 0, None, None
    while len(block := data[at : at + _BLOCK]) == _BLOCK and any(block):
        rest = block[:148] + b" " * 8 + block[156:]
        signed = sum(rest) - 256 * sum(byte > 127 for byte in rest)  # as some old programs added
        if _octal(block[148:156]) not in (sum(rest), signed):
            return
        kind = block[156:157]
        length = _octal(block[124:136])
        begin, at = at + _BLOCK, at + _BLOCK
        body = data[begin : begin + length]
        if kind in b"LxX" and len(body) == length:
            if kind == b"L":
                if not body.endswith(b"\0"):
                    raise UnsureError
                name = body.split(b"\0")[0]
            elif kind == b"x":
                name, size = _attributes(body, name, size)
            else:
                raise UnsureError
            at += -(-length // _BLOCK) * _BLOCK
            continue
        if kind in (b"S", b"g", b"K", b"X") or (kind in b"123456" and length):
            raise UnsureError
        if kind in b"123456":
            name = size = None
            continue
        if size is not None:
            length, body = size, data[begin : begin + size]
        own = block[:100].split(b"\0")[0]
        prefix = block[345:500].split(b"\0")[0]
        if name is None:
            if prefix and block[257:263] != b"ustar\0":
                raise UnsureError
            name = prefix + b"/" + own if prefix else own
        if len(body) < length:
            return
        if kind in (b"0", b"\0", b"7") and not (kind == b"\0" and name.endswith(b"/")):
            yield name.decode("utf-8", "surrogateescape"), body
        at += -(-length // _BLOCK) * _BLOCK
        name = size = None


def _octal(field: bytes) -> int:
    digits = field.split(b"\0")[0].strip(b" ")
    if field[:1] >= b"\x80" or digits.strip(b"01234567"):
        raise UnsureError
    return int(digits or b"0", 8)


def _attributes(body: bytes, name: bytes | None, size: int | None) -> tuple[bytes | None, int | None]:
    while body.strip(b"\0"):
        length, space, _rest = body.partition(b" ")
        if not space or not length.isdigit() or not 5 <= int(length) <= len(body):
            raise UnsureError
        key, _equals, value = body[len(length) + 1 : int(length) - 1].partition(b"=")
        if key.startswith(b"GNU.") or key == b"hdrcharset":
            raise UnsureError
        if key == b"path":
            name = value.rstrip(b"/")
        if key == b"size":
            if not value.isdigit():
                raise UnsureError
            size = int(value)
        body = body[int(length) :]
    return name, size
