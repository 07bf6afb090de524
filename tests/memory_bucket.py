"""A bucket in memory, for tests: as simple as a bucket can be, and it can be killed between any two requests."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from hsrgeo.sources import connections
from hsrgeo.sources.remote import RemotePath
from hsrgeo.sources.service import Listed, Service

_NUMBERS = itertools.count()


class MemoryBucket:
    """Objects by key; each request that changes something is a step, a move is two."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.marks: dict[str, str] = {}
        self.step: Callable[[], None] = lambda: None
        self.url = f"s3://memory-{next(_NUMBERS)}"

    @contextmanager
    def connected(self) -> Iterator[RemotePath]:
        """Give the folder ``out`` of the bucket, which can be reached meanwhile."""
        connected = connections._connected

        def connect(root: str) -> Service:
            return self if root == self.url else connected(root)

        with patch.object(connections, "_connected", connect):
            yield RemotePath(f"{self.url}/out")

    def stat(self, key: str) -> Listed:
        return Listed(key, len(self._get(key)), str(hash(self._get(key))))

    def listed(self, prefix: str, *, deep: bool) -> Iterator[Listed]:
        start = f"{prefix}/" if prefix else ""
        for key in sorted(self.objects):
            if key.startswith(start) and (deep or "/" not in key[len(start) :]):
                yield self.stat(key)

    def read(self, key: str, size: int) -> bytes:
        return self._get(key)[:size]

    def stream(self, key: str, start: int, version: str) -> Iterator[bytes]:
        if self.stat(key).version != version:
            raise OSError(errno.ESTALE, "it was changed while it was read")
        yield self._get(key)[start:]

    def write(self, key: str, data: bytes | Path, *, new: bool, over: str, mark: str) -> None:
        self.step()
        if over and (key not in self.objects or self.stat(key).version != over):
            raise OSError(errno.ESTALE, "another version")
        if new and key in self.objects:
            raise FileExistsError(errno.EEXIST, "there")
        self.objects[key] = data.read_bytes() if isinstance(data, Path) else bytes(data)
        self.marks[key] = mark

    def mark(self, key: str) -> str:
        self._get(key)
        return self.marks[key]

    def remove(self, key: str) -> None:
        if key in self.objects:
            self.step()
            self.objects.pop(key, None)

    def remove_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.remove(key)

    def copy(self, key: str, to: str) -> None:
        self.step()
        self.objects[to] = self._get(key)

    def move(self, key: str, to: str) -> None:
        self.step()
        self.objects[to], self.marks[to] = self._get(key), self.marks[key]
        self.remove(key)

    def _get(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file") from None
