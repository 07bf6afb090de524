"""The stamp of a stored frame: a few bytes by which a later run recognises it without reading it."""

from __future__ import annotations

import os
import zlib

from hsrgeo.formats.gzipped import MAGIC
from hsrgeo.formats.header import HEADER_BYTES, VERSION_BYTE
from hsrgeo.sources.found import Found
from hsrgeo.sources.remote import is_remote, place
from hsrgeo.sources.texts import read_ends


def stamp_of(found: Found) -> str:
    """Return size, CRC-32 of the first bytes, and last bytes of a stored frame, to recognise it.

    The last eight bytes of gzip are CRC-32 and length; in a plain file it is the header that tells two issues apart. Of
    a file elsewhere it is size and version.
    """
    if found.version:
        return f"{found.size}-{found.version}"
    if found.data is not None:
        first, last = found.data[:HEADER_BYTES], found.data[-_TRAILER_BYTES:]
    else:
        first, last = _ends_of(found.source)
    if not first.startswith((MAGIC, VERSION_BYTE)):
        first = last = b""  # no composite: nothing of it belongs in a manifest
    return f"{found.size}-{zlib.crc32(first):08x}-{last.hex()}"


def _ends_of(source: str) -> tuple[bytes, bytes]:
    try:
        if not is_remote(source):
            return read_ends(source, HEADER_BYTES, _TRAILER_BYTES)
        with place(source).open("rb") as file:
            first = file.read(HEADER_BYTES)
            file.seek(max(file.seek(0, os.SEEK_END) - _TRAILER_BYTES, 0))
            return first, file.read(_TRAILER_BYTES)
    except OSError:
        return b"", b""  # the worker will say what is wrong with it


_TRAILER_BYTES = 8
