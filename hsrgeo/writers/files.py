"""Bytes -> file in one step, on disk or in a bucket: nobody ever sees half a file."""

from __future__ import annotations

import ctypes
import errno
import filecmp
import os
import re
import secrets
import stat
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, BinaryIO, Self

from hsrgeo.errors import OutputExistsError, refused
from hsrgeo.sources.remote import Place, RemotePath

PART = r"(\.[0-9a-f]{8}|\.[0-9a-f]{16})?\.part"
"""Pattern of what `temporary_beside` adds to a name; earlier versions added less."""
_STALE_S = 3600.0
"""A temporary file that nobody wrote to for so long was left by a run that was killed."""


def temporary_beside(path: Path) -> Path:
    """Return a name for a file while it is written: hidden, in the same folder, and never the same twice.

    Nobody can guess it, and put a link there that leads elsewhere.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")


def write_file(path: Place, *chunks: bytes | bytearray | memoryview, sync: bool = True) -> None:
    """Write a file beside its target, then move it there; folders are made.

    Args:
        path: The target; what is there already is replaced.
        chunks: Its bytes, in order.
        sync: See `write_chunks`.

    Raises:
        WriteError: The disk refused; nothing is left behind.
    """
    write_chunks(path, chunks, sync=sync)


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

    One without bytes, or of zeros only, is as good as none: a power cut leaves such files, and they hold nothing.

    Raises:
        OutputExistsError: Something else is there.
    """
    try:
        if isinstance(path, Path) and not stat.S_ISREG(path.stat().st_mode):
            raise OutputExistsError(str(path), "is there already, and is no file; use another OUT")
        found = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        problem = f"is there already and cannot be compared: {error.strerror or error}"
        raise OutputExistsError(str(path), problem) from error
    if found != data and found.strip(b"\0"):
        raise OutputExistsError(
            str(path),
            "is there already, is not in the manifest and differs; use --overwrite or another OUT",
        )
    return found == data


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
    path: Place, chunks: Iterable[bytes | bytearray | memoryview], *, replace: bool = True, sync: bool = True
) -> None:
    """Write a file as `write_file` does, from chunks that are made while it is written.

    Args:
        path: As for `write_file`.
        chunks: As for `write_file`; an error while they are made leaves nothing behind either.
        replace: Replace what is there; else it stays, whoever put it there while this was written, and is fine where
            it has the same bytes.
        sync: Return when the file is on disk, and would survive a power cut; else the caller sees to that by `flush`,
            which costs less for many files at once.

    Raises:
        WriteError: The disk refused; nothing is left behind.
        OutputExistsError: Something else is there, and is not to be replaced.
    """
    if isinstance(path, RemotePath):
        if replace and not isinstance(chunks, tuple):  # made while they are written: maybe more than memory holds
            with TemporaryDirectory(prefix="hsrgeo-") as folder:
                spool = Path(folder, "spool")
                write_chunks(spool, chunks, sync=False)
                _send(path, spool)
        elif replace:
            _send(path, b"".join(chunks))
        else:
            write_new(path, b"".join(chunks))
        return
    with Together(sync=sync) as files:
        files.write(path, chunks, replace=replace)


class Together:
    """Files that take their names together at the end of a ``with`` statement, when the bytes of all are on disk.

    After a power cut each of them is there whole or not at all, and the disk is waited for once, not for each file.
    Where an exception ends the statement, none of them takes its name.

    Args:
        sync: Wait for the disk; else a power cut may leave files that are empty.

    Raises:
        WriteError: The disk refused.
        OutputExistsError: Something else is there, and is not to be replaced.
    """

    def __init__(self, *, sync: bool = True) -> None:
        self._sync = sync
        self._waiting: list[tuple[Path, Path, bool]] = []
        self._folders: set[Path] = set()  # that have new names in them

    def write(self, path: Path, chunks: Iterable[bytes | bytearray | memoryview], *, replace: bool = True) -> None:
        """Write the bytes of a file, see `write_chunks`."""
        temporary = temporary_beside(path)
        try:
            opened = self._opened(temporary)
        except OSError as error:  # somebody else's may have the name
            raise refused(str(path), error) from error
        try:
            with opened as file:
                for chunk in chunks:
                    file.write(chunk)
        except BaseException as error:
            with suppress(OSError):  # the reason that matters is the first
                temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise refused(str(path), error) from error
            raise
        self._waiting.append((temporary, path, replace))
        _sweep(os.path.dirname(path))  # noqa: PTH120 - a text, to be remembered

    def _opened(self, temporary: Path) -> BinaryIO:
        try:
            return _opened(temporary)
        except FileNotFoundError:
            folder = temporary.parent
            missing = [folder, *folder.parents]
            missing = missing[: next((n for n, one in enumerate(missing) if one.exists()), 0) + 1]
            folder.mkdir(parents=True, exist_ok=True)
            self._folders.update(missing)
            return _opened(temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._take_names()
        finally:
            for temporary, _path, _replace in self._waiting:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def _take_names(self) -> None:
        if self._sync:
            flush([temporary for temporary, _path, _replace in self._waiting])
        while self._waiting:
            temporary, path, replace = self._waiting[0]
            try:
                if replace:
                    _remove_beside(path)
                    os.replace(temporary, path)  # noqa: PTH105 - Path.replace does the same with one more object
                else:
                    _publish(temporary, path)
            except OSError as error:
                raise refused(str(path), error) from error
            self._folders.add(path.parent)
            del self._waiting[0]
        if self._sync:
            flush(self._folders)


def flush(paths: Collection[Path]) -> None:
    """Wait until files, or folders with the names in them, are on disk.

    A few are waited for one by one. Of many, Linux is asked for their whole file systems at once: that costs about as
    much as one file does, where other programs do not write a lot to the same disk.

    Raises:
        WriteError: The disk refused.
    """
    syncfs = _syncfs() if len(paths) > _FEW else None
    done = set()
    for path in paths:
        try:
            descriptor = os.open(path, _READ)
            try:
                device = os.fstat(descriptor).st_dev
                if syncfs is None:
                    os.fsync(descriptor)
                elif device not in done and syncfs(descriptor):
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code))
                done.add(device)
            finally:
                os.close(descriptor)
        except OSError as error:
            if not _knows_no_flushing(path, error):
                raise refused(str(path), error, "flushed to disk") from error


_FEW = 4
# Windows flushes only what is open for writing, and opens no folders.
_READ = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def _knows_no_flushing(path: Path, error: OSError) -> bool:
    """Tell whether a system knows no flushing there: some file systems, and folders on Windows."""
    return error.errno in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP) or (sys.platform == "win32" and path.is_dir())


@cache
def _syncfs() -> Any:  # noqa: ANN401 - a function of ctypes
    """Return syncfs(2), which waits for a whole file system and tells of errors since Linux 5.8; None elsewhere."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


@lru_cache(maxsize=4096)
def _sweep(folder: str) -> None:
    """Remove temporary files that killed runs left in a folder; once a process."""
    with suppress(OSError):
        now = os.stat(folder or ".").st_mtime  # noqa: PTH116 - of the name just made; other clocks may differ
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                ours = _OWN_PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
                if ours and now - entry.stat(follow_symlinks=False).st_mtime > _STALE_S:
                    os.unlink(entry.path)  # noqa: PTH108 - as above


_OWN_PART = re.compile(r"\..+\.[0-9a-f]{16}\.part", re.DOTALL)


def _remove_beside(path: Place) -> None:
    """Remove what other programs left beside a raster that is replaced: overviews, masks and statistics of the old one.

    GDAL and QGIS would believe them. First, for a run may be killed before the raster is replaced. A ``.png.aux.xml``
    is hsrgeo's own. Nobody works so in a bucket.
    """
    if isinstance(path, RemotePath):
        return
    for suffix in _BESIDE.get(path.suffix.lower(), ()):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


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
    # Exclusive: where something has that name already, a link too, it is not followed or written over.
    # Buffered: a raw file writes what fits on a full disk, and says so only in a number.
    return open(path, "xb")  # noqa: PTH123 - Path.open does the same with two more calls
