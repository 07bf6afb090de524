"""How a stored frame is known again without being read: a few bytes of it."""

from __future__ import annotations

import io
import os
import zlib
from typing import BinaryIO

from hsrgeo.formats.gzipped import MAGIC
from hsrgeo.formats.header import HEADER_BYTES, VERSION_BYTE
from hsrgeo.sources.found import Found
from hsrgeo.sources.remote import is_remote, place
from hsrgeo.sources.texts import open_file


def stamp_of(found: Found) -> str:
    """Return size, CRC-32 of the first bytes, and last bytes of a stored frame, to know it again.

    The last eight bytes of gzip are CRC-32 and length; in a plain file it is the header that tells two issues apart. Of
    a file elsewhere it is size and version.
    """
    if found.version:
        return f"{found.size}-{found.version}"
    first, last = _ends(io.BytesIO(found.data)) if found.data is not None else _ends_of(found.source)
    return f"{found.size}-{zlib.crc32(first):08x}-{last.hex()}"


def _ends_of(source: str) -> tuple[bytes, bytes]:
    try:
        with place(source).open("rb") if is_remote(source) else open_file(source, buffering=0) as file:
            return _ends(file)
    except OSError:
        return b"", b""  # the worker will say what is wrong with it


def _ends(file: BinaryIO) -> tuple[bytes, bytes]:
    first = file.read(HEADER_BYTES)
    if not first.startswith((MAGIC, VERSION_BYTE)):
        return b"", b""  # no composite: nothing of it belongs in a manifest
    file.seek(max(file.seek(0, os.SEEK_END) - _TRAILER_BYTES, 0))
    return first, file.read(_TRAILER_BYTES)  # a device has no end


_TRAILER_BYTES = 8
