"""One gzip stream in memory -> its bytes, fast, or the exact reason why not.

zlib-ng unpacks and checks a sound stream in one call, or in steps where only a part of it is wanted. Of zlib-ng, ISA-L,
libdeflate and zlib it is the fastest on light frames; on dense ones ISA-L was 2 to 5 % faster (`python -m
tests.benchmarks --cpu`, Intel Xeon, Sapphire Rapids). A stream that fails is read again with zlib, to say what is wrong
and where.
"""

from __future__ import annotations

import zlib

from zlib_ng import zlib_ng

from hsrgeo.errors import (
    ChecksumError,
    DeflateStreamError,
    EmptyFileError,
    NotGzipError,
    TooLargeError,
    TrailingDataError,
    TruncatedError,
)
from hsrgeo.formats.other import refuse_text, with_beginning

MAGIC = b"\x1f\x8b"
"""RFC 1952, section 2.3.1."""
_TRAILER = 8  # CRC-32 and length modulo 2^32, little-endian (RFC 1952, section 2.3.1)
_GZIP = 31  # wbits: gzip header and trailer (RFC 1952)
_CHUNK = 1 << 20
_PIECE, _STEP = 1 << 17, 1 << 19
# ^ packed and unpacked bytes of a step of `gunzip_range`, which stay in the processor's cache
_ZLIB_NG_ERROR: type[Exception] = zlib_ng.error  # type: ignore[assignment] # its stub takes it for an instance


def gunzip(data: bytes, limit: int) -> tuple[bytes, str]:
    """Unpack a gzip file: one stream, several one after the other, or streams with zero bytes after them.

    Returns:
        The bytes, and what is odd about the file: empty for one stream and nothing else.

    Raises:
        EmptyFileError: Zero bytes.
        ServiceMessageError: A text, such as the download service's.
        NotGzipError: No gzip magic.
        DeflateStreamError: Damaged data.
        ChecksumError: The trailer disagrees.
        TruncatedError: The stream ends early.
        TrailingDataError: Something else follows the stream.
        TooLargeError: More than `limit` bytes.
    """
    check_stored(data, 2 * limit)
    _check_magic(data)
    length = int.from_bytes(data[-4:], "little")
    if length <= limit:
        unpacked = _gunzip_at_once(data, length)
        if unpacked is not None:
            return unpacked, ""
    return _all_streams(data, limit)


def gunzip_range(data: bytes, length: int, start: int, end: int) -> bytes | None:
    """Unpack and check one sound stream of `length` bytes in steps, and keep those from `start` to before `end`.

    The rest never fills the memory.

    Returns:
        The range, or None where anything at all is wrong: `gunzip` says what.
    """
    stream = zlib_ng.decompressobj(wbits=_GZIP)
    kept: list[bytes] = []
    total = 0
    packed = memoryview(data)
    try:
        for at in range(0, len(data), _PIECE):
            piece: bytes | memoryview = packed[at : at + _PIECE]
            while piece and total <= length:
                unpacked = stream.decompress(piece, _STEP)
                if start < total + len(unpacked) and total < end:
                    kept.append(unpacked[max(start - total, 0) : end - total])
                total += len(unpacked)
                piece = stream.unconsumed_tail
    except _ZLIB_NG_ERROR:
        return None
    is_sound = stream.eof and not stream.unused_data and total == length
    return b"".join(kept) if is_sound else None


def trailer_crc32(data: bytes) -> int:
    """Return the CRC-32 that the trailer of a gzip file claims for its unpacked bytes."""
    return int.from_bytes(data[-_TRAILER:-4], "little")


def check_stored(data: bytes, limit: int) -> None:
    """Refuse a file, packed or not, that holds nothing, a text, or too much.

    Raises:
        EmptyFileError, ServiceMessageError, TooLargeError: See `gunzip`.
    """
    if not data:
        raise EmptyFileError("empty file", "a composite", "0 bytes")
    refuse_text(data)
    if len(data) > limit:
        raise TooLargeError("too large", f"at most {limit:,} bytes", f"{len(data):,} bytes")


def _check_magic(data: bytes) -> None:
    if not data.startswith(MAGIC):
        raise NotGzipError("not gzip", f"first bytes {MAGIC.hex(' ')}", with_beginning(data[:2].hex(" "), data))


def peek(data: bytes, length: int) -> bytes:
    """Return the first unpacked bytes, unchecked, or fewer where they cannot be had."""
    try:
        return zlib.decompressobj(wbits=_GZIP).decompress(data[: 4 * length + 4096], length)
    except zlib.error:
        return b""


def _gunzip_at_once(data: bytes, length: int) -> bytes | None:
    """Return what one sound stream of the given unpacked length holds, or None where anything at all is wrong."""
    stream = zlib_ng.decompressobj(wbits=_GZIP)
    try:
        unpacked = stream.decompress(data, length + 1)
    except _ZLIB_NG_ERROR:
        return None
    return unpacked if stream.eof and not stream.unused_data else None


def _all_streams(data: bytes, limit: int) -> tuple[bytes, str]:
    parts: list[bytes] = []
    behind = data
    while behind.startswith(MAGIC) and len(parts) < _MOST_STREAMS:
        part, behind = _gunzip_slowly(behind, limit - sum(map(len, parts)))
        parts.append(part)
    if behind.strip(b"\0"):
        raise TrailingDataError("trailing data", "nothing after the gzip stream", f"{len(behind):,} bytes more")
    remarks = [f"{len(parts)} gzip streams one after the other"] if len(parts) > 1 else []
    remarks += [f"{len(behind):,} zero bytes after the gzip stream"] if behind else []
    return b"".join(parts), ", ".join(remarks)


_MOST_STREAMS = 16


def _gunzip_slowly(data: bytes, limit: int) -> tuple[bytes, bytes]:
    """Return what the first stream holds, and what follows it."""
    stream = zlib.decompressobj(wbits=_GZIP)
    chunks: list[bytes] = []
    total = crc32 = 0
    # The trailer goes in last and on its own: where it is wrong, zlib keeps back what that call unpacked.
    rest, trailer = data[:-_TRAILER], data[-_TRAILER:]
    while not stream.eof:
        try:
            chunk = stream.decompress(rest, _CHUNK)
        except zlib.error as error:
            raise _damage(error, data, total, crc32) from error
        rest = stream.unconsumed_tail
        total += len(chunk)
        crc32 = zlib.crc32(chunk, crc32)
        if total > limit:
            raise TooLargeError("too large", f"at most {limit:,} bytes unpacked", f"more than {limit:,} bytes")
        if not chunk and not rest and not stream.eof:
            if not trailer:
                raise TruncatedError(
                    "truncated", "a whole gzip stream", f"its end after {len(data):,} bytes ({total:,} unpacked)"
                )
            rest, trailer = trailer, b""
        chunks.append(chunk)
    return b"".join(chunks), stream.unused_data + trailer


def _damage(error: zlib.error, data: bytes, total: int, crc32: int) -> ChecksumError | DeflateStreamError:
    reason = str(error).rpartition(": ")[2]
    if reason == "incorrect data check":
        return ChecksumError(
            "CRC check failed",
            f"CRC-32 {trailer_crc32(data):08x} (trailer)",
            f"{crc32:08x} ({total:,} bytes)",
        )
    if reason == "incorrect length check":
        claimed = int.from_bytes(data[-4:], "little")
        return ChecksumError("length check failed", f"{claimed:,} bytes unpacked (trailer)", f"{total:,}")
    return DeflateStreamError("deflate error", "a valid gzip stream", f"{reason} after {total:,} unpacked bytes")
