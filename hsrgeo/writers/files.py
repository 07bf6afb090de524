"""Bytes -> file in one step, on disk or in a bucket: nobody ever sees half a file."""

from __future__ import annotations

import errno
import filecmp
import os
from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from hsrgeo.errors import OutputExistsError, refused
from hsrgeo.sources.remote import Place, RemotePath

WRITER: ContextVar[str] = ContextVar("WRITER", default="")
"""The writer of `temporary_beside` where none is given: eight hex digits, while a worker of a cluster does a task."""


def temporary_beside(path: Path, writer: str = "") -> Path:
    """Return the name that a file has while it is written: hidden, in the same folder, always the same.

    Always the same, so that what a killed run left behind is written over by the next.

    Args:
        path: The target.
        writer: Tells writers apart that may work on the same target at the same time.
    """
    return path.with_name(f".{path.name}.{writer}.part" if writer else f".{path.name}.part")


def write_file(path: Place, *chunks: bytes | bytearray | memoryview) -> None:
    """Write a file beside its target, then move it there; folders are made.

    Args:
        path: The target; what is there already is replaced.
        chunks: Its bytes, in order.

    Raises:
        WriteError: The disk refused; nothing is left behind.
    """
    write_chunks(path, chunks)


def write_new(path: Place, data: bytes) -> None:
    """Write a file, unless it is there already with these very bytes.

    A run that was killed before its manifest line was written leaves files that are right: same frame, same bytes.

    Raises:
        OutputExistsError: Something else is there.
        WriteError: The disk refused; nothing is left behind.
    """
    if isinstance(path, RemotePath):
        try:
            path.write_bytes(data, new=True)  # one request, and the bucket sees to it that nothing is replaced
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTSUP):  # there, or a service that knows no conditions
                raise refused(str(path), error) from error
        else:
            return
    if not there_already(path, data):
        write_file(path, data)


def there_already(path: Place, data: bytes) -> bool:
    """Tell whether a file is there with these very bytes.

    Raises:
        OutputExistsError: Something else is there.
    """
    try:
        same = path.read_bytes() == data
    except (FileNotFoundError, NotADirectoryError):
        return False
    except IsADirectoryError:
        same = False
    except OSError as error:
        problem = f"is there already and cannot be compared: {error.strerror or error}"
        raise OutputExistsError(str(path), problem) from error
    if not same:
        raise OutputExistsError(
            str(path),
            "is there already, is not in the manifest and differs; use --overwrite or another OUT",
        )
    return True


def move_file(path: Place, target: Place) -> None:
    """Move a file to another name in the same folder; what is there is replaced.

    Raises:
        WriteError: The disk refused.
    """
    try:
        _remove_beside(target)
        path.replace(target)  # type: ignore[arg-type] # both are of one kind
    except OSError as error:
        raise refused(str(target), error) from error


def remove_file(path: Place) -> None:
    """Remove a file that was made by this run or an earlier one, if it is there.

    Raises:
        WriteError: The disk refused.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise refused(str(path), error, "removed") from error


def names_in(folder: Place) -> list[str]:
    """Return the names of the files in a folder; none where it cannot be read."""
    with suppress(OSError):
        if isinstance(folder, RemotePath):
            return [file.name for file in folder.below(deep=False)]
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    return []


def write_chunks(
    path: Place, chunks: Iterable[bytes | bytearray | memoryview], *, writer: str = "", replace: bool = True
) -> None:
    """Write a file as `write_file` does, from chunks that are made while it is written.

    Args:
        path: As for `write_file`.
        chunks: As for `write_file`; an error while they are made leaves nothing behind either.
        writer: See `temporary_beside`.
        replace: Replace what is there; else it stays, whoever put it there while this was written, and is fine where
            it has the same bytes.

    Raises:
        WriteError: The disk refused; nothing is left behind.
        OutputExistsError: Something else is there, and is not to be replaced.
    """
    if isinstance(path, RemotePath):
        if replace and not isinstance(chunks, tuple):  # made while they are written: maybe more than memory holds
            with TemporaryDirectory(prefix="hsrgeo-") as folder:
                spool = Path(folder, "spool")
                write_chunks(spool, chunks)
                _send(path, spool)
        elif replace:
            _send(path, b"".join(chunks))
        else:
            write_new(path, b"".join(chunks))
        return
    temporary = temporary_beside(path, writer or WRITER.get())
    try:
        with _opened(temporary) as file:
            for chunk in chunks:
                file.write(chunk)
        if replace:
            _remove_beside(path)
            os.replace(temporary, path)  # noqa: PTH105 - Path.replace does the same with one more object
        else:
            _publish(temporary, path)
    except BaseException as error:
        with suppress(OSError):  # the reason that matters is the first
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise refused(str(path), error) from error
        raise


def _remove_beside(path: Place) -> None:
    """Remove what other programs left beside a raster that is replaced: overviews, masks and statistics of the old one.

    GDAL and QGIS would believe them. First, for a run may be killed before the raster is replaced. A ``.png.aux.xml``
    is hsrgeo's own. Nobody works so in a bucket.
    """
    if isinstance(path, RemotePath):
        return
    for suffix in _BESIDE.get(path.suffix.lower(), ()):
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")  # noqa: PTH108 - Path.unlink does the same with one more object


_BESIDE = {".tif": (".ovr", ".msk", ".aux.xml"), ".png": (".ovr", ".msk")}
_BESIDE[".tiff"] = _BESIDE[".tif"]
# ^ GDAL, "GeoTIFF driver" (external overviews and masks) and "Persistent Auxiliary Metadata"


def _send(path: RemotePath, data: bytes | Path) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise refused(str(path), error) from error


def _publish(temporary: Path, path: Path) -> None:
    try:
        _move_to_free_name(temporary, path)
    except FileExistsError as error:
        if not filecmp.cmp(temporary, path, shallow=False):
            raise OutputExistsError(
                str(path), "is there already and differs; use --overwrite or another --out"
            ) from error
        temporary.unlink()


def _move_to_free_name(temporary: Path, path: Path) -> None:
    """Move a file, or raise a FileExistsError where something is."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links, such as exFAT: the name is taken first, empty
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(temporary, path)  # noqa: PTH105 - as above
    else:
        temporary.unlink()


def _opened(path: Path) -> BinaryIO:
    # Buffered: a raw file writes what fits on a full disk, and says so only in a number.
    try:
        return open(path, "wb")  # noqa: PTH123 - Path.open does the same with two more calls
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")
