"""Bytes -> file in one step, on disk or in a bucket: nobody ever sees half a file."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hsrgeo.errors import OutputExistsError, refused
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.writers.disk import PART, Together, remove_beside


def write_file(path: Place, *chunks: bytes | bytearray | memoryview, sync: bool = True) -> None:
    """Write a file beside its target, then move it there, in place of what is there; folders are made.

    For `sync` see `write_chunks`.

    Raises:
        WriteError: The disk refused; nothing is left behind.
    """
    write_chunks(path, chunks, sync=sync)


def write_new(path: Place, data: bytes, mark: str = "") -> None:
    """Write a file, unless it is there already with these very bytes.

    A run that was killed before its manifest line was written leaves files that are right: same frame, same bytes. For
    `mark` see `RemotePath.write_bytes`.

    Raises:
        OutputExistsError: Something else is there.
        WriteError: The disk refused; nothing is left behind.
    """
    if isinstance(path, RemotePath):
        try:
            path.write_bytes(
                data, new=True, mark=mark
            )  # one request, and the bucket sees to it that nothing is replaced
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTSUP):  # there, or a service that knows no conditions
                raise refused(str(path), error) from error
        else:
            return
    if there_already(path, data):
        return
    if isinstance(path, RemotePath):
        _send(path, data, mark)
    else:
        write_file(path, data)


def refuse_others(path: Path, start: bytes, what: str) -> None:
    """Refuse to replace a file that somebody else put there; it may be missing or empty.

    A file of hsrgeo's own begins with `start`; the message calls it `what`.

    Raises:
        OutputExistsError: A file is there that begins otherwise, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = file.read(len(start))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise OutputExistsError(str(path), f"already exists and cannot be read: {error.strerror or error}") from error
    if found and found != start:
        raise OutputExistsError(str(path), f"already exists and is not {what}; rename it, or choose another folder")


def there_already(path: Place, data: bytes, otherwise: str = "") -> bool:
    """Tell whether a file is there with these very bytes.

    One without bytes, or of zeros only, is as good as none: a power cut leaves such files, and they hold nothing.
    `otherwise` is what a message says where another file is there; empty for one of an export.

    Raises:
        OutputExistsError: Something else is there.
    """
    try:
        if isinstance(path, Path) and not stat.S_ISREG(path.stat().st_mode):
            raise OutputExistsError(str(path), "already exists and is not a file; use another OUT")
        found = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        problem = f"is there already and cannot be compared: {error.strerror or error}"
        raise OutputExistsError(str(path), problem) from error
    if found != data and found.strip(b"\0"):
        raise OutputExistsError(
            str(path),
            otherwise
            or "already exists, is not in the manifest and differs; move it, use another OUT, or let `hsrgeo export "
            "--overwrite` replace it",
        )
    return found == data


def move_file(path: Place, target: Place) -> None:
    """Move a file to another name in the same folder; what is there is replaced."""
    try:
        remove_beside(target)
        path.replace(target)  # type: ignore[arg-type] # both are of one kind
    except OSError as error:
        raise refused(str(target), error) from error


def remove_file(path: Place) -> None:
    """Remove a file that was made by this run or an earlier one, if it is there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise refused(str(path), error, "removed") from error


def remove_parts(path: Path) -> None:
    """Remove what killed runs left of a file that they were writing; only who has a lock on it may."""
    ours = re.compile(re.escape(f".{path.name}") + PART)
    for name in names_in(path.parent):
        if ours.fullmatch(name):
            remove_file(path.with_name(name))


def names_in(folder: Place) -> list[str]:
    """Return the names of the files in a folder; none where it cannot be read."""
    with suppress(OSError):
        if isinstance(folder, RemotePath):
            return [file.name for file in folder.below(deep=False)]
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    return []


def write_chunks(path: Place, chunks: Iterable[bytes | bytearray | memoryview], *, sync: bool = True) -> None:
    """Write a file as `write_file` does, from chunks that are made while it is written.

    Args:
        path: As for `write_file`.
        chunks: As for `write_file`; an error while they are made leaves nothing behind either.
        sync: Return when the file is on disk, and would survive a power cut; else the caller sees to that by `flush`,
            which costs less for many files at once.

    Raises:
        WriteError: The disk refused; nothing is left behind.
    """
    if isinstance(path, RemotePath):
        if not isinstance(chunks, tuple):  # made while they are written: maybe more than memory holds
            with TemporaryDirectory(prefix="hsrgeo-") as folder:
                spool = Path(folder, "spool")
                write_chunks(spool, chunks, sync=False)
                _send(path, spool)
        else:
            _send(path, b"".join(chunks))
        return
    with Together(sync=sync) as files:
        files.write(path, chunks)


def _send(path: RemotePath, data: bytes | Path, mark: str = "") -> None:
    try:
        path.write_bytes(data, mark=mark)
    except OSError as error:
        raise refused(str(path), error) from error
