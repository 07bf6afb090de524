"""Frames broken in each way that hsrgeo tells apart, for runs over whole archives."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from hsrgeo import errors
from hsrgeo.errors import FrameError
from tests.conftest import frame_name, gzip_bytes

STEP = timedelta(minutes=5)


@dataclass(frozen=True)
class Fault:
    """A broken frame, and what must be said of it."""

    name: str
    data: bytes
    error: type[FrameError]
    reason: str
    """Part of the message, found nowhere else."""


def every_fault(sound: Callable[..., bytes], start: datetime) -> Iterator[Fault]:
    """Yield a frame for each way to be broken, five minutes apart.

    Args:
        sound: Makes the bytes of a ``.bin.gz`` frame from header fields, as `tests.conftest.MakeFile` does.
        start: Time of the first.
    """
    ways: list[tuple[type[FrameError], str, Callable[[datetime], bytes]]] = [
        (errors.EmptyFileError, "found 0 bytes", lambda _time: b""),
        (errors.ServiceMessageError, "file not exist", lambda _time: b"# file not exist (RDR_CMP_HSR_PUB)\n"),
        (errors.NotGzipError, "first bytes 1f 8b", lambda time: b"\0\0" + sound(time=time)[2:]),
        (errors.DeflateStreamError, "deflate error", lambda time: _scribbled(sound(time=time))),
        (errors.ChecksumError, "CRC check failed", lambda time: _changed(sound(time=time), -8)),
        (errors.ChecksumError, "length check failed", lambda time: _changed(sound(time=time), -4)),
        (errors.TruncatedError, "a whole gzip stream", lambda time: _half(sound(time=time))),
        (errors.TrailingDataError, "9 bytes more", lambda time: sound(time=time) + b"more data"),
        (errors.TooLargeError, "bytes unpacked, found more than", lambda _time: gzip_bytes(bytes(54_000_000))),
        (errors.HeaderError, "version: expected 1, found 9", lambda time: sound(time=time, version=9)),
        (errors.HeaderError, "number of stations", lambda time: sound(time=time, num_stn=99)),
        (errors.TimeFieldError, "2022-13-40", lambda _time: sound(tm_fields=(2022, 13, 40, 1, 2, 3))),
        (errors.OldHeaderError, "24-byte header", lambda time: _old(sound(time=time))),
        (errors.LengthError, "1 to 4 blocks", lambda time: _longer(sound(time=time), 77)),
        (errors.UnknownGridError, "map", lambda time: sound(time=time, map_code=7)),
        (errors.FrameNameError, "disagree on the time", lambda time: sound(time=time + timedelta(days=1))),
    ]
    for number, (error, reason, make) in enumerate(ways):
        time = start + number * STEP
        yield Fault(frame_name(time), make(time), error, reason)
    unreal = f"RDR_CMP_HSR_PUB_{start:%Y%m}992500.bin.gz"
    yield Fault(unreal, sound(time=start), errors.FrameNameError, "with a real date")


def _scribbled(data: bytes) -> bytes:
    return data[:40] + b"\xff" * 40 + data[80:]


def _changed(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _old(data: bytes) -> bytes:
    plain = gzip.decompress(data)
    return gzip_bytes(struct.pack("<12h", *range(12)) + plain[1024:])


def _longer(data: bytes, by: int) -> bytes:
    return gzip_bytes(gzip.decompress(data) + bytes(by))
