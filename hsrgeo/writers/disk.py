"""Files on a disk that take their names when they are whole, and on disk: a power cut leaves no half of one."""

from __future__ import annotations

import ctypes
import errno
import filecmp
import os
import re
import secrets
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from hsrgeo.errors import OutputError, OutputExistsError, refused
from hsrgeo.sources.remote import Place, RemotePath

_OF_SQLITE = r"(\.gpkg(-journal)?)?"
PART = rf"(\.[0-9a-f]{{8}}|\.[0-9a-f]{{16}})?\.part{_OF_SQLITE}"
"""Pattern of what `temporary_beside` adds to a name; earlier versions added less, and a GeoPackage has more."""
STAGED = ".staged"
"""Suffix of a file that waits until it is decided which of two frames is kept."""
_UNTIL_THEN = re.compile(rf"\.(.+)\.([0-9a-f]{{16}}\.part|[0-9a-f]{{8}}\{STAGED})", re.DOTALL)
_STALE_S = 3600.0
"""A temporary file that nobody wrote to for so long was left by a run that was killed."""


def temporary_beside(path: Path) -> Path:
    """Return a name for a file while it is written: hidden, in the same folder, and never the same twice.

    Nobody can guess it, and put a link there that leads elsewhere.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")


def final_path(path: Place) -> str:
    """Return the path that a file is to have at last, for messages: the one that it has until then says nothing."""
    name = path.name
    while waits := _UNTIL_THEN.fullmatch(name):
        name = waits[1]
    return str(path.with_name(name) if name != path.name else path)


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
        """Write the bytes of a file, see `write_chunks`, in place of what is there.

        Without `replace` that stays, whoever put it there meanwhile, and is fine where it has the same bytes.
        """
        temporary = temporary_beside(path)
        try:
            opened = self._opened(temporary)
        except OSError as error:  # somebody else's may have the name
            raise refused(final_path(path), error) from error
        try:
            with opened as file:
                for chunk in chunks:
                    file.write(chunk)
        except BaseException as error:
            with suppress(OSError):  # the reason that matters is the first
                temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise refused(final_path(path), error) from error
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
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            refusals = self.take_names() if error_type is None else []
        finally:
            for temporary, _path, _replace in self._waiting:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
        for refusal in filter(None, refusals):
            raise refusal

    def take_names(self) -> list[OutputError | None]:
        """Give the files that were written until now their names; a statement may do so many times.

        Returns:
            For each file, in the order of writing, why it cannot have its name; None where it has.

        Raises:
            WriteError: Nothing can be flushed to the disk; no file takes its name.
        """
        if self._sync:
            flush([temporary for temporary, _path, _replace in self._waiting])
        refusals = []
        while self._waiting:
            refusals.append(self._take_name(*self._waiting[0]))
            del self._waiting[0]
        if self._sync:
            flush(self._folders)
        self._folders.clear()
        return refusals

    def _take_name(self, temporary: Path, path: Path, replace: bool) -> OutputError | None:  # noqa: FBT001 - of three
        try:
            if replace:
                remove_beside(path)
                os.replace(temporary, path)  # noqa: PTH105 - Path.replace does the same with one more object
            else:
                _publish(temporary, path)
        except (OSError, OutputExistsError) as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            return error if isinstance(error, OutputExistsError) else refused(final_path(path), error)
        self._folders.add(path.parent)
        return None


def flush(paths: Collection[Path], *, deep: bool = False) -> None:
    """Wait until files, or folders with the names in them, are on disk.

    A few are waited for one by one. Of many, Linux is asked for their whole file systems at once: that costs about as
    much as one file does, where other programs do not write a lot to the same disk. With `deep` it also waits for
    everything that lies below the folders.
    """
    syncfs = _syncfs() if deep or len(paths) > _FEW else None
    if deep and syncfs is None:
        paths = [one for path in paths for one in (path, *path.rglob("*"))]
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
                raise refused(final_path(path), error, "flushed to disk") from error


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


_OWN_PART = re.compile(rf"\..+\.[0-9a-f]{{16}}\.part{_OF_SQLITE}", re.DOTALL)


def remove_beside(path: Place) -> None:
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


def _publish(temporary: Path, path: Path) -> None:
    try:
        _move_to_free_name(temporary, path)
    except FileExistsError as error:
        if not filecmp.cmp(temporary, path, shallow=False):
            raise OutputExistsError(
                str(path),
                "already exists and differs; move it, use another OUT, or let `hsrgeo export --overwrite` (archives: "
                "`hsrgeo extract --overwrite`) replace it",
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
