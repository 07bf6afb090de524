"""Other machines, through SFTP and paramiko: ``sftp://user@host/folder`` (``ssh://`` means the same), to read from.

Keys come from the SSH agent and ``~/.ssh``, names from ``~/.ssh/config``. A host must be in ``known_hosts``: fsspec's
SFTP, which would be the usual way, takes any host for the right one.
"""

from __future__ import annotations

import errno
import os
import queue
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from hsrgeo.errors import needs
from hsrgeo.sources.service import Listed

with needs("paramiko, for sftp:// and ssh://", "remote"):
    import paramiko

Result = TypeVar("Result")

_BROKEN = (paramiko.SSHException, paramiko.sftp.SFTPError, EOFError)
_TIMEOUT_S = 20
_TRIES = 3
_PAUSE_S = 0.5
_CHUNK = 1 << 20


class Sftp:
    """A machine that is reached through SFTP; a `Service` for reading.

    Args:
        root: ``sftp://[user@]host[:port]``. Paths below it are absolute, or below the home folder after ``~/``.

    Raises:
        OSError: It cannot be reached, is not known, or wants another key.
    """

    def __init__(self, root: str) -> None:
        try:
            parts = urlsplit(root)
            self._host, self._port, self._user = parts.hostname or "", parts.port or 0, unquote(parts.username or "")
        except ValueError as error:  # a port that is no number
            raise OSError(errno.EINVAL, f"{root} is no address of a machine: {error}") from error
        self._client: Any = None
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()  # channels: one serves one thread at a time
        self._lock = threading.Lock()
        self._connect()

    def stat(self, key: str) -> Listed:
        """See `Service`."""
        status = self._tried(lambda ftp: ftp.stat(_path(key)))
        if stat.S_ISDIR(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "is a folder")
        return _listed(key, status)

    def listed(self, prefix: str, *, deep: bool) -> Iterator[Listed]:
        """See `Service`. Links to folders are not followed."""
        try:
            entries = self._tried(lambda ftp: ftp.listdir_attr(_path(prefix)))
        except FileNotFoundError:
            return
        folders = []
        for entry in sorted(entries, key=lambda entry: entry.filename):
            key = f"{prefix}/{entry.filename}".lstrip("/")
            if stat.S_ISDIR(entry.st_mode):
                folders.append(key)
            elif stat.S_ISLNK(entry.st_mode):
                try:
                    status = self._tried(partial(_stat, path=_path(key)))
                except FileNotFoundError:
                    yield Listed(key, 0, "")  # it leads nowhere, which is reported where it is read
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield _listed(key, status)
            elif stat.S_ISREG(entry.st_mode):
                yield _listed(key, entry)
        for folder in folders if deep else ():
            yield from self.listed(folder, deep=True)

    def read(self, key: str, size: int) -> bytes:
        """See `Service`."""

        def read(ftp: Any) -> bytes:  # noqa: ANN401 - paramiko is not typed
            with ftp.open(_path(key), "rb") as file:
                file.prefetch(min(size, file.stat().st_size))
                return bytes(file.read(size))

        return self._tried(read)

    def stream(self, key: str, start: int, version: str) -> Iterator[bytes]:
        """See `Service`."""
        if _listed(key, self._tried(lambda ftp: ftp.stat(_path(key)))).version != version:
            raise OSError(errno.ESTALE, "it was changed while it was read")
        try:
            with self._opened() as ftp, ftp.open(_path(key), "rb") as file:
                file.seek(start)
                file.prefetch()
                while chunk := file.read(_CHUNK):
                    yield chunk
        except _BROKEN as error:
            raise OSError(errno.EIO, str(error) or "the connection ended") from error

    def _connect(self) -> None:
        settings = _configured(self._host)
        self._client = paramiko.SSHClient()
        self._client.load_system_host_keys()  # and RejectPolicy is the default: an unknown host is refused
        try:
            self._client.connect(
                settings.get("hostname", self._host),
                port=self._port or int(settings.get("port", 22)),
                username=self._user or settings.get("user"),
                key_filename=settings.get("identityfile"),
                timeout=_TIMEOUT_S,
                banner_timeout=_TIMEOUT_S,
                auth_timeout=_TIMEOUT_S,
                channel_timeout=_TIMEOUT_S,
            )
            self._idle.put(self._opened())
        except paramiko.AuthenticationException as error:
            raise PermissionError(errno.EACCES, f"{self._host} refuses the keys that this user has") from error
        except paramiko.SSHException as error:
            raise OSError(errno.EHOSTUNREACH, f"{error}; does `ssh {self._host}` work?") from error
        except OSError as error:
            raise OSError(errno.EHOSTUNREACH, f"{self._host} cannot be reached: {error.strerror or error}") from error

    def _tried(self, request: Callable[[Any], Result]) -> Result:
        for left in reversed(range(_TRIES)):
            try:
                ftp = self._channel()
                return self._asked(ftp, request)
            except (FileNotFoundError, PermissionError):
                raise
            except (*_BROKEN, OSError) as error:
                if not left:
                    raise OSError(errno.EIO, f"{str(error) or 'the connection ended'} ({_TRIES} tries)") from error
                time.sleep(_PAUSE_S)
        raise AssertionError

    def _asked(self, ftp: Any, request: Callable[[Any], Result]) -> Result:  # noqa: ANN401 - paramiko is not typed
        """Ask through a channel, which is used again unless it broke."""
        try:
            answer = request(ftp)
        except FileNotFoundError as error:
            self._idle.put(ftp)
            raise FileNotFoundError(errno.ENOENT, "no such file") from error
        except PermissionError as error:
            self._idle.put(ftp)
            raise PermissionError(errno.EACCES, "permission denied") from error
        except (*_BROKEN, OSError):
            with suppress(*_BROKEN, OSError):
                ftp.close()
            raise
        self._idle.put(ftp)
        return answer

    def _channel(self) -> Any:  # noqa: ANN401 - paramiko is not typed
        with suppress(queue.Empty):
            while True:  # those of a connection that has ended are no use, and each would cost a try
                ftp = self._idle.get_nowait()
                if ftp.get_channel().get_transport().is_active():
                    return ftp
        with self._lock:
            if not self._client.get_transport() or not self._client.get_transport().is_active():
                self._connect()
            return self._opened()

    def _opened(self) -> Any:  # noqa: ANN401 - paramiko is not typed
        ftp = self._client.open_sftp()
        ftp.get_channel().settimeout(_TIMEOUT_S)
        return ftp


def _stat(ftp: Any, path: str) -> Any:  # noqa: ANN401 - paramiko is not typed
    return ftp.stat(path)


def _path(key: str) -> str:
    return (key[2:] or ".") if key.startswith("~/") else f"/{key}"


def _listed(key: str, status: Any) -> Listed:  # noqa: ANN401 - paramiko is not typed
    return Listed(key, status.st_size, f"{status.st_size}-{status.st_mtime}", status.st_mtime)


def _configured(host: str) -> dict[str, Any]:
    config = paramiko.SSHConfig()
    path = Path("~/.ssh/config").expanduser()
    if os.access(path, os.R_OK):
        with path.open(encoding="utf-8", errors="replace") as file:
            config.parse(file)
    return dict(config.lookup(host))
