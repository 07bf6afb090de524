"""Compressed archives as streams: gzip, bzip2 and xz."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from typing import IO

from isal import isal_zlib

from hsrgeo.formats.gzipped import MAGIC

STEP = 1 << 18
"""Bytes that are read at a time: more goes through more memory than the processor's cache holds."""
ISAL_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment] # its stub takes it for an instance


class Gunzipped:
    """A gzip stream that yields everything before the place where it is cut or damaged.

    Through ISA-L, in a third less time than the gzip module takes, which gives up what it was about to hand out.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stream = isal_zlib.decompressobj(wbits=_GZIP)
        self._input = b""
        self._last = b""  # the file's last bytes so far: a wrong trailer would keep back what comes with it

    def read(self, size: int) -> bytes:
        """Return 1 to `size` bytes, or none at the end.

        Raises:
            EOFError, IsalError, BadGzipFile: The stream is cut or damaged, or something else follows it.
        """
        while not self._stream.eof or self._begins_another():
            data: bytes = self._stream.decompress(self._input, size)
            self._input = self._stream.unconsumed_tail
            if data:
                return data
            if not self._input and not self._stream.eof:
                self._input = self._more()
        return b""

    def _more(self) -> bytes:
        read = self._file.read(STEP)
        ready, self._last = self._last + read, b""
        if read:
            ready, self._last = ready[:-_TRAILER], ready[-_TRAILER:]
        elif not ready:
            raise EOFError
        return ready

    def _begins_another(self) -> bool:
        """Begin the stream that follows the one that has ended; return False at the end of the file."""
        rest = self._stream.unused_data + self._last
        while not (rest := rest.lstrip(b"\0")):  # padding
            if not (rest := self._file.read(STEP)):
                return False
        if not rest.startswith(MAGIC[: len(rest)]):
            raise gzip.BadGzipFile(f"{len(rest):,} bytes or more follow the gzip stream")
        self._stream, self._input, self._last = isal_zlib.decompressobj(wbits=_GZIP), rest, b""
        return True


_GZIP = 31  # wbits: gzip header and trailer, RFC 1952
_TRAILER = 8  # CRC-32 and length, RFC 1952, section 2.3.1


class Unpacked(io.RawIOBase):
    """A bzip2 or xz file, unpacked while it is read; gives what it has up to where the file is damaged.

    Args:
        file: Read forwards from its beginning.
        new: Makes the object that unpacks one stream.
    """

    def __init__(self, file: IO[bytes], new: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> None:
        self._file, self._new = file, new
        self._stream = self._new()
        self._input = b""

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return 1 to `size` bytes, or none at the end.

        Raises:
            EOFError, OSError, LZMAError: The file is cut or damaged, or something else follows it.
        """
        while True:
            if self._stream.eof:
                rest = self._stream.unused_data.lstrip(b"\0") or self._file.read(STEP).lstrip(b"\0")
                if not rest:
                    return b""
                self._stream, self._input = self._new(), rest  # refuses what is no further stream
            data = self._stream.decompress(self._input, size)
            self._input = b""
            if data:
                return data
            if not self._stream.eof and self._stream.needs_input:
                self._input = self._file.read(STEP)
                if not self._input:
                    raise EOFError("the file ends inside the archive")
