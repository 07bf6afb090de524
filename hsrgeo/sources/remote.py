"""Files elsewhere: in buckets (``s3://``, ``gs://``, ``az://``), on web servers, on other machines (``sftp://``, ``ssh://``).

A `RemotePath` has of `pathlib.Path` what reading frames and writing outputs need, and raises `OSError` as a disk does,
so that most code need not know which of the two it has.
"""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, cast

from hsrgeo.errors import OptionsError
from hsrgeo.model.texts import short
from hsrgeo.sources.connections import service, writable_service
from hsrgeo.sources.service import WHOLE, Listed, Stream
from hsrgeo.sources.urls import BUCKETS, MACHINES, WEB, has_lost_slash, is_url, root_and_key, without_secrets

_MAGIC = re.compile(r"[*?[]")


class RemotePath:
    """A file or folder elsewhere, with the part of `pathlib.Path` that is needed.

    Args:
        url: As ``s3://bucket/folder/file``.
        known: What a listing says of it.

    Raises:
        OptionsError: It is no URL of a kind that is known.
    """

    __slots__ = ("key", "known", "root")

    def __init__(self, url: str, known: Listed | None = None) -> None:
        self.root, self.key = root_and_key(url)
        """Scheme with bucket or host, and the path below it."""
        self.known = known

    def __str__(self) -> str:
        return f"{self.root}/{self.key}" if self.key else self.root

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and (self.root, self.key) == (other.root, other.key)

    def __hash__(self) -> int:
        return hash((self.root, self.key))

    def __reduce__(self) -> tuple[object, ...]:
        return _made, (self.root, self.key, self.known)

    def __truediv__(self, below: str) -> RemotePath:
        return _made(self.root, f"{self.key}/{below}".strip("/"))

    @property
    def name(self) -> str:
        """The last part."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The last dot of the name, and what follows."""
        return Path(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        """The folder of this file."""
        return _made(self.root, self.key.rpartition("/")[0])

    @property
    def is_pattern(self) -> bool:
        """Whether it is a pattern of paths."""
        return _MAGIC.search(self.key) is not None

    def with_name(self, name: str) -> RemotePath:
        """Return another file of the same folder."""
        return self.parent / name

    def stat(self) -> Listed:
        """Return size and version; asks, unless a listing says so.

        Raises:
            OSError: It is not there, or cannot be reached.
        """
        return self.known or service(self.root).stat(self.key)

    def is_file(self) -> bool:
        """Tell whether it is there.

        Raises:
            OSError: It cannot be reached.
        """
        if not self.key:
            return False
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def below(self, *, deep: bool = True) -> Iterator[RemotePath]:
        """Yield the files below this folder, sorted; with `deep` those of its folders too.

        Raises:
            OSError: It cannot be listed.
        """
        if self.root.startswith(WEB):
            problem = "no such file, and a web server lists no folders: give the address of each file"
            raise FileNotFoundError(errno.ENOENT, problem)
        for listed in service(self.root).listed(self.key, deep=deep):
            if listed.key == self.key:  # an empty object "folder/", as consoles make for a folder: it is no file
                continue
            yield _made(self.root, listed.key, listed)

    def is_folder(self) -> bool:
        """Tell whether it is no file but the beginning of others' paths, or a pattern.

        Raises:
            OSError: It cannot be reached.
        """
        return self.is_pattern or not self.is_file()

    def open(self, mode: str = "rb") -> BinaryIO:
        """Return the file for reading from its beginning: one request, more only where it breaks off.

        Raises:
            OSError: Here or while it is read: it is not there, cannot be reached, or was changed meanwhile.
        """
        if mode != "rb":
            raise ValueError(mode)
        return cast("BinaryIO", io.BufferedReader(Stream(service(self.root), self.stat()), _BUFFER))

    def read_bytes(self, size: int = WHOLE) -> bytes:
        """Return the whole file, or its first `size` bytes.

        Raises:
            OSError: It is not there, or cannot be reached.
        """
        return service(self.root).read(self.key, size)

    def write_bytes(self, data: bytes | Path, *, new: bool = False, over: str = "", mark: str = "") -> None:
        """Write the file in one step: nobody ever sees half of it.

        Args:
            data: All of it, or a file on this machine that holds it.
            new: It must not be there yet.
            over: The version that must be there, to be replaced.
            mark: Kept beside its bytes; see `mark`.

        Raises:
            FileExistsError: It is there.
            OSError: It cannot be written.
        """
        writable_service(self.root).write(self.key, data, new=new, over=over, mark=mark)

    def write_if(self, data: bytes, *, new: bool = False, over: str = "") -> bool:
        """Write the file on a condition, see `write_bytes`, and tell whether it was written.

        A service that knows no conditions always writes it.

        Raises:
            OSError: It cannot be written.
        """
        try:
            self.write_bytes(data, new=new, over=over)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ESTALE):
                return False
            if error.errno != errno.ENOTSUP:
                raise
            self.write_bytes(data)
        return True

    def mark(self) -> str:
        """Return what was given as `mark` when the file was written; empty where nothing was.

        Raises:
            OSError: It is not there, or cannot be read.
        """
        return writable_service(self.root).mark(self.key)

    def unlink(self, *, missing_ok: bool = True) -> None:
        """Remove the file if it is there.

        Raises:
            OSError: It cannot be removed.
        """
        if missing_ok or self.is_file():
            writable_service(self.root).remove(self.key)
        else:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(self))

    def copy_to(self, target: RemotePath) -> None:
        """Copy the file to another place of the same bucket, in one step, in place of what is there.

        Raises:
            OSError: It cannot be copied.
        """
        writable_service(self.root).copy(self.key, target.key)

    def replace(self, target: RemotePath) -> None:
        """Move the file to another place of the same bucket; until it is whole there, it is here.

        Raises:
            OSError: It cannot be moved.
        """
        writable_service(self.root).move(self.key, target.key)


def unlink_all(paths: Iterable[RemotePath]) -> None:
    """Remove files of one bucket.

    Raises:
        OSError: One cannot be removed.
    """
    listed = list(paths)
    if listed:
        writable_service(listed[0].root).remove_all([path.key for path in listed])


Place = Path | RemotePath
"""A file or folder, on this machine or elsewhere."""


def is_remote(source: str | Place) -> bool:
    """Tell whether a source or an output is elsewhere: a URL."""
    return isinstance(source, RemotePath) or (isinstance(source, str) and is_url(source))


def place(source: str | Place) -> Place:
    """Return the path that a text names.

    Raises:
        OptionsError: It is empty, a URL of a kind that is not known, or was one until it became a `Path`.
    """
    if isinstance(source, RemotePath):
        return source
    if not isinstance(source, (str, Path)):
        raise OptionsError(f"{short(source)}: expected a path, or a URL as text")
    _refuse_empty(source)
    if isinstance(source, str) and is_remote(source):
        return RemotePath(source)
    if has_lost_slash(source.as_posix() if isinstance(source, Path) else source):
        hint = "a Path keeps only one slash of ://: give a URL as text" if isinstance(source, Path) else "expected ://"
        raise OptionsError(f"{without_secrets(source)}: {hint}")
    return Path(source)


def listed_sources(sources: object) -> list[str | Path]:
    """Return the sources as a list; a single one may come without a list.

    Raises:
        OptionsError: There is none, or what is given is no path.
    """
    if isinstance(sources, (str, Path, RemotePath)):
        return [cast("str | Path", sources)]
    given = list(sources) if isinstance(sources, Iterable) else [sources]
    if not given:
        raise OptionsError("no source is given: name files, folders or archives")
    for one in given:
        if not isinstance(one, (str, Path, RemotePath)):
            raise OptionsError(f"source {short(one)}: expected a path, or a URL as text")
    return cast("list[str | Path]", given)


def _refuse_empty(source: str | Place) -> None:
    if isinstance(source, str) and not source.strip():
        raise OptionsError("an empty text where a path is expected: it would mean this folder (a variable unset?)")


def local(source: str | Place, what: str) -> Path:
    """Return a path on this machine; `what` needs it here, for people: ``hsrgeo qgis``.

    Raises:
        OptionsError: It is empty, or elsewhere.
    """
    _refuse_empty(source)
    if is_remote(source) or (isinstance(source, Path) and has_lost_slash(source.as_posix())):
        raise OptionsError(f"{without_secrets(source)}: {what} works with files on this machine only")
    return Path(str(source))


def bucket_folder(path: RemotePath) -> Any:  # noqa: ANN401 - see `hsrgeo.sources.buckets.Bucket.folder`
    """Return obstore's own store of what is below a folder of a bucket.

    Raises:
        OSError: It is in no bucket.
    """
    return cast("Any", writable_service(path.root)).folder(path.key)


def is_bucket(path: Place) -> bool:
    """Tell whether a path is in a bucket, where outputs can go."""
    return isinstance(path, RemotePath) and path.root.startswith(BUCKETS)


def may_grow(path: RemotePath) -> bool:
    """Tell whether a file can be seen while it is being written: on another machine, but not in a bucket."""
    return path.root.startswith(MACHINES)


def target(out: str | Place) -> Place:
    """Return the path that outputs go to, on this machine or in a bucket.

    Raises:
        OptionsError: It is on a web server, on another machine, or see `place`.
    """
    found = place(out)
    if isinstance(found, RemotePath) and not is_bucket(found):
        raise OptionsError(f"{found}: outputs go to a disk or a bucket (s3://, gs://, az://)")
    return found


def remote_files(start: RemotePath) -> list[RemotePath]:
    """Return the files that a URL names: itself, those below it, or those that match where it has ``*?[]``, sorted.

    Raises:
        OSError: Nothing is there, or it cannot be reached.
    """
    magic = _MAGIC.search(start.key)
    if magic is None:
        if start.is_file():
            return [_made(start.root, start.key, start.stat())]
        found = list(start.below())
    else:
        above = _made(start.root, start.key[: magic.start()].rpartition("/")[0])
        found = [file for file in above.below() if fnmatchcase(file.key, start.key)]
    if not found:
        problem = "no file matches this pattern" if magic else "no such file or folder"
        raise FileNotFoundError(errno.ENOENT, problem, str(start))
    return found


def _made(root: str, key: str, known: Listed | None = None) -> RemotePath:
    path = RemotePath.__new__(RemotePath)
    path.root, path.key, path.known = root, key, known
    return path


_BUFFER = 1 << 18
