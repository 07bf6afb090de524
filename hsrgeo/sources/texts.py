"""Files that others wrote, opened without waiting for ever: a device has no end, a pipe perhaps no beginning."""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from hsrgeo.errors import HsrGeoWarning
from hsrgeo.sources.remote import Place, RemotePath

MOST_TEXT_BYTES = 256 << 20
"""Of a text that is read whole: all communes of Korea in full detail, as GeoJSON, are a quarter of it."""
MOST_LINE_BYTES = 1 << 26
"""Of an options file, or a line of a manifest; those of 10,000 regions take 10 MB."""
_PIECE_BYTES = 1 << 20
_FILE_TYPES = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def refuse_special(path: str | Path, *, pipes: bool) -> None:
    """Refuse what is there and no file; what is not there is left to whoever opens it.

    Args:
        path: On this machine.
        pipes: Whether a pipe is welcome: a user may name one, as a shell's ``<(...)`` does; a folder or a catalogue
            must not lead to one, for nobody may ever write to it.

    Raises:
        OSError: It is a device or a socket, or a pipe that is not welcome.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - Path.stat does the same with one more object
    except (OSError, ValueError):
        return
    refuse_file_type(mode, pipes=pipes)


def refuse_file_type(mode: int, *, pipes: bool) -> None:
    """Refuse a type of file as `refuse_special` does, by its mode; 0 where it is not known."""
    file_type = _FILE_TYPES.get(stat.S_IFMT(mode))
    if file_type and not (pipes and stat.S_ISFIFO(mode)):
        raise OSError(0, f"is {file_type}, not a file")


def open_file(path: str | Path) -> BinaryIO:
    """Open a regular file for reading: no device, pipe or socket, even if one was put there a moment ago.

    A file without a size is empty: so are those of ``/proc``; some of them block, or change by being read.

    Raises:
        OSError: It cannot be opened, or is no file.
    """
    refuse_special(path, pipes=False)  # a device may do something when it is opened
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - whoever asks closes it
    if os.fstat(file.fileno()).st_size:
        return file
    file.close()
    return io.BytesIO()


def read_ends(path: str, first: int, last: int) -> tuple[bytes, bytes]:
    """Return so many first and last bytes of a file, as few of them as it has; as `open_file`, in half the time.

    `path` must have been a file when it was listed or looked at: a device may do something when it is opened.

    Raises:
        OSError: It cannot be read, or is no file.
    """
    descriptor = os.open(path, _AT_ONCE)
    try:
        status = os.fstat(descriptor)
        refuse_file_type(status.st_mode, pipes=False)
        size = status.st_size
        if not size:
            return b"", b""
        start = os.read(descriptor, first)
        os.lseek(descriptor, max(size - last, 0), os.SEEK_SET)
        return start, os.read(descriptor, last)
    finally:
        os.close(descriptor)


_AT_ONCE = os.O_RDONLY
for _flag in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK"):  # where a system has them
    _AT_ONCE |= getattr(os, _flag, 0)


def _open_at_once(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # else a pipe waits here for whoever writes to it
    try:
        refuse_file_type(os.fstat(descriptor).st_mode, pipes=False)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_bytes(path: str | Path, most: int = MOST_TEXT_BYTES) -> bytes:
    """Return what is in a file or pipe that a user named.

    Raises:
        OSError: It cannot be read, is a device or a socket, or is too large.
    """
    refuse_special(path, pipes=True)
    with Path(path).open("rb") as file:
        return _read_all(file, most)


def _read_all(file: BinaryIO, most: int) -> bytes:
    data = bytearray()
    while piece := file.read(_PIECE_BYTES):  # read(most) asks for all that memory, however small the file is
        data += piece
        if len(data) > most:
            raise OSError(0, f"is too large: more than {most:,} bytes")
    return bytes(data)


def read_regular(path: Place) -> bytes:
    """Return the bytes of a regular file, or of an object in a bucket.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger than `MOST_LINE_BYTES`.
    """
    with closing(path.open("rb") if isinstance(path, RemotePath) else open_file(path)) as file:
        return _read_all(file, MOST_LINE_BYTES)


def whole_lines(path: Path) -> Iterator[bytes]:
    """Yield every line of a file, with its end; a last one that has none is being written, and left out.

    Raises:
        OSError: It cannot be read, is no regular file, or has a line of more than `MOST_LINE_BYTES`.
    """
    with open_file(path) as file:
        yield from whole_lines_of(file)


def whole_lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield every line of an open file, from where it stands; see `whole_lines`.

    Raises:
        OSError: It cannot be read, or has a line of more than `MOST_LINE_BYTES`.
    """
    while line := file.readline(MOST_LINE_BYTES):
        if line.endswith(b"\n"):
            yield line
        elif len(line) == MOST_LINE_BYTES:
            raise OSError(0, f"has a line of more than {MOST_LINE_BYTES:,} bytes, so it is no list of hsrgeo's")


class DamagedLines:
    """Lines of a manifest that cannot be read: counted, and reported once."""

    def __init__(self, path: Place) -> None:
        self._path = path
        self._first = ""
        self._more = 0

    def note(self, number: int, error: Exception) -> None:
        """Take note of a line, counted from 1."""
        if self._first:
            self._more += 1
        else:
            self._first = f"line {number} is damaged ({error})"

    def tell(self) -> None:
        """Warn of them, if there are any."""
        if self._first:
            more = f", and {self._more:,} more" if self._more else ""
            rest = "left out; the same hsrgeo export looks at such frames again"
            warnings.warn(f"{self._path}: {self._first}{more}: {rest}", HsrGeoWarning, stacklevel=1)
