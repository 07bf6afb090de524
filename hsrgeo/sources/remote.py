"""Files elsewhere: in buckets (``s3://``, ``gs://``, ``az://``), on web servers, on other machines (``sftp://``, ``ssh://``).

A `RemotePath` has of `pathlib.Path` what reading frames and writing outputs need, and raises `OSError` as a disk does,
so that most code need not know which of the two it has.
"""

from __future__ import annotations

import errno
import io
import re
import threading
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from hsrgeo.errors import OptionsError
from hsrgeo.model.texts import short
from hsrgeo.sources.service import WHOLE, Listed, Service, Stream, WritableService
from hsrgeo.sources.web import Web

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/]*)/?(.*)", re.DOTALL)
_LOST_SLASH = re.compile(r"(s3|gs|az|abfss?|https?|sftp|ssh):/[^/]", re.IGNORECASE)
_BUCKETS = ("s3", "gs", "az", "abfs", "abfss")
_WRITABLE = tuple(f"{scheme}://" for scheme in _BUCKETS)
_WEB = ("http", "https")
_MACHINES = ("sftp", "ssh")
_MAGIC = re.compile(r"[*?[]")


def without_secrets(source: object) -> str:
    """Return a URL as a message may show it: without user, password and what follows a question mark."""
    return _SECRETS.sub(r"\1...", str(source))


_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^@:\[\]]+)(:\d+)?")
# ^ and port: in what is anything else there may be a password
_SECRETS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+:/+)(?:[^/]*(?=@)|[^/]*:(?!\d*(?:/|$)).*)|(?<=\?).+", re.DOTALL)


def _ways(scheme: str) -> str:
    if scheme in _MACHINES:
        return "use a key or an agent"
    return "download the file first" if scheme in _WEB else "use the variables that its service knows"


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
        match = _URL.fullmatch(url)
        scheme = match[1].lower() if match else ""
        if match is None or scheme not in (*_BUCKETS, *_WEB, *_MACHINES):
            schemes = "s3://, gs://, az://, abfs://, http(s)://, sftp:// or ssh://"
            raise OptionsError(f"{without_secrets(url)}: expected {schemes}, or a path")
        if not match[2]:
            raise OptionsError(f"{without_secrets(url)}: has no bucket or host after ://")
        if ":" in match[2].rpartition("@")[0] or (scheme in _WEB and not _HOST.fullmatch(match[2])):
            raise OptionsError(f"{scheme}://...@: a password in a URL would end in manifests; {_ways(scheme)}")
        if scheme in _WEB and "?" in match[3]:
            problem = "addresses with ? (signed ones too) cannot be read; download the file first"
            raise OptionsError(f"{without_secrets(url)}: {problem}")
        self.root = f"{scheme}://{match[2]}"
        """Scheme and bucket or host."""
        self.key = (unquote(match[3]) if scheme in _WEB else match[3]).strip("/")
        """Path below the root."""
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
        return self.known or _service(self.root).stat(self.key)

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
        """Yield the files below this folder, sorted.

        Args:
            deep: Those of its folders too.

        Raises:
            OSError: It cannot be listed.
        """
        if self.root.startswith(tuple(f"{scheme}://" for scheme in _WEB)):
            problem = "no such file, and a web server lists no folders: give the address of each file"
            raise FileNotFoundError(errno.ENOENT, problem)
        for listed in _service(self.root).listed(self.key, deep=deep):
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
        return cast("BinaryIO", io.BufferedReader(Stream(_service(self.root), self.stat()), _BUFFER))

    def read_bytes(self, size: int = WHOLE) -> bytes:
        """Return the whole file, or its first `size` bytes.

        Raises:
            OSError: It is not there, or cannot be reached.
        """
        return _service(self.root).read(self.key, size)

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
        _writable(self.root).write(self.key, data, new=new, over=over, mark=mark)

    def write_if(self, data: bytes, *, new: bool = False, over: str = "") -> bool:
        """Write the file on a condition, see `write_bytes`; where the service knows no conditions, write it anyway.

        Returns:
            Whether it was written.

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
        return _writable(self.root).mark(self.key)

    def unlink(self, *, missing_ok: bool = True) -> None:
        """Remove the file if it is there.

        Raises:
            OSError: It cannot be removed.
        """
        if missing_ok or self.is_file():
            _writable(self.root).remove(self.key)
        else:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(self))

    def copy_to(self, target: RemotePath) -> None:
        """Copy the file to another place of the same bucket, in one step, in place of what is there.

        Raises:
            OSError: It cannot be copied.
        """
        _writable(self.root).copy(self.key, target.key)

    def replace(self, target: RemotePath) -> None:
        """Move the file to another place of the same bucket; until it is whole there, it is here.

        Raises:
            OSError: It cannot be moved.
        """
        _writable(self.root).move(self.key, target.key)


def unlink_all(paths: Iterable[RemotePath]) -> None:
    """Remove files of one bucket.

    Raises:
        OSError: One cannot be removed.
    """
    listed = list(paths)
    if listed:
        _writable(listed[0].root).remove_all([path.key for path in listed])


Place = Path | RemotePath
"""A file or folder, on this machine or elsewhere."""


def is_remote(source: str | Place) -> bool:
    """Tell whether a source or an output is elsewhere: a URL."""
    return isinstance(source, RemotePath) or (isinstance(source, str) and bool(_URL.fullmatch(source)))


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
    if _LOST_SLASH.match(source.as_posix() if isinstance(source, Path) else source):
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
    """Return a path on this machine.

    Args:
        source: What a user gave.
        what: Who needs it here, for people: ``hsrgeo qgis``.

    Raises:
        OptionsError: It is empty, or elsewhere.
    """
    _refuse_empty(source)
    if is_remote(source) or (isinstance(source, Path) and _LOST_SLASH.match(source.as_posix())):
        raise OptionsError(f"{without_secrets(source)}: {what} works with files on this machine only")
    return Path(str(source))


def bucket_folder(path: RemotePath) -> Any:  # noqa: ANN401 - see `hsrgeo.sources.buckets.Bucket.folder`
    """Return obstore's own store of what is below a folder of a bucket.

    Raises:
        OSError: It is in no bucket.
    """
    return cast("Any", _writable(path.root)).folder(path.key)


def is_bucket(path: Place) -> bool:
    """Tell whether a path is in a bucket, where outputs can go."""
    return isinstance(path, RemotePath) and path.root.startswith(_WRITABLE)


def may_grow(path: RemotePath) -> bool:
    """Tell whether a file can be seen while it is being written: on another machine, but not in a bucket."""
    return path.root.startswith(tuple(f"{scheme}://" for scheme in _MACHINES))


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


def _service(root: str) -> Service:
    """Connect; once for each process, so that connections are kept open."""
    with _CONNECTING:  # else every thread would begin a connection of its own
        return _connected(root)


_CONNECTING = threading.Lock()


@lru_cache(maxsize=16)
def _connected(root: str) -> Service:
    if root.startswith(tuple(f"{scheme}://" for scheme in _MACHINES)):
        from hsrgeo.sources.sftp import Sftp  # noqa: PLC0415 - of an extra

        return Sftp(root)
    if root.startswith(tuple(f"{scheme}://" for scheme in _WEB)):
        return Web(root)
    from hsrgeo.sources.buckets import Bucket  # noqa: PLC0415 - of an extra

    return Bucket(root)


def _writable(root: str) -> WritableService:
    if not root.startswith(_WRITABLE):
        raise OSError(errno.ENOTSUP, "outputs go to a disk or a bucket (s3://, gs://, az://)")
    return cast("WritableService", _service(root))


_BUFFER = 1 << 18
