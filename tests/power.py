"""A power cut: what a run does in a folder is watched, and the disk is put together as it may be found afterwards.

What was flushed is there. Of everything since, a disk keeps what it likes: a name or none, and under a name the whole
file, nothing, zeros, or its beginning. That is more than any one file system does.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hsrgeo.writers import files

Inode = int
Snapshot = dict[str, tuple[Inode, bytes]]


@dataclass
class Moment:
    """A folder between two operations."""

    what: str
    seen: Snapshot
    """As any program sees it."""
    flushed: dict[str, Inode]
    """Names that are on disk."""
    data: dict[Inode, bytes]
    """Bytes that are on disk."""

    def disk(self, chance: random.Random, way: str) -> dict[str, bytes]:
        """Return what may be left after a cut here; but locks, which a run waits for (tests/test_lock.py).

        Args:
            chance: Decides.
            way: ``old`` (nothing since the last flush), ``names`` (new names without bytes), ``any``.
        """
        left: dict[str, bytes] = {}
        for path in sorted(one for one in {*self.seen, *self.flushed} if ".lock" not in one):
            here, there = self.seen.get(path), self.flushed.get(path)
            same = here is not None and there == here[0]
            take_new = here is not None and (same or way == "names" or (way == "any" and chance.random() < 0.5))
            if take_new and here is not None:
                left[path] = self._bytes(here, chance, way)
            elif there is not None and not (way == "names" and here is None):
                if way == "any" and here is None and chance.random() < 0.5:
                    continue  # removed, and that is on disk
                left[path] = self.data.get(there, b"")
        return left

    def _bytes(self, here: tuple[Inode, bytes], chance: random.Random, way: str) -> bytes:
        inode, data = here
        safe = self.data.get(inode)
        if safe == data:
            return data
        if way == "old":
            return safe or b""
        appended = safe is not None and data.startswith(safe)
        start = safe if appended and safe is not None else b""
        rest = data[len(start) :]
        ways = [b"", bytes(len(rest)), rest[: len(rest) // 2], rest]
        return start + (ways[0] if way == "names" else chance.choice(ways))


@dataclass
class Recorder:
    """Keeps what happens in a folder."""

    folder: Path
    moments: list[Moment] = field(default_factory=list)
    _names: dict[str, Inode] = field(default_factory=dict)
    _data: dict[Inode, bytes] = field(default_factory=dict)
    _kept: dict[Inode, int] = field(default_factory=dict)
    _on: bool = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep every moment."""
        with patch.object(os, "fsync", self._fsync), patch.object(files, "_syncfs", lambda: self._syncfs):
            _WATCHING.append(self)
            try:
                yield
            finally:
                _WATCHING.remove(self)
        self.keep("the end")

    def look(self) -> Snapshot:
        """Return what any program sees."""
        seen: Snapshot = {}
        for parent, _folders, names in os.walk(self.folder):
            for name in names:
                descriptor = os.open(os.path.join(parent, name), os.O_RDONLY)  # noqa: PTH118 - texts are quicker
                try:
                    status = os.fstat(descriptor)
                    if status.st_ino not in self._kept:  # else its number would be another's one day
                        self._kept[status.st_ino] = os.dup(descriptor)
                    data = os.pread(descriptor, status.st_size, 0)
                finally:
                    os.close(descriptor)
                seen[os.path.relpath(os.path.join(parent, name), self.folder)] = (status.st_ino, data)  # noqa: PTH118
        return seen

    def keep(self, what: str) -> None:
        """Keep this moment, before something is done."""
        if not self._on:
            self._on = True
            try:
                self.moments.append(Moment(what, self.look(), dict(self._names), dict(self._data)))
            finally:
                self._on = False

    def done(self) -> None:
        """Close what was kept open."""
        while self._kept:
            os.close(self._kept.popitem()[1])

    def _syncfs(self, _descriptor: int) -> int:
        self.keep("syncfs")
        seen = self.look()
        self._names = {path: inode for path, (inode, _bytes) in seen.items()}
        self._data.update(dict(seen.values()))
        return 0

    def _fsync(self, descriptor: int) -> None:
        self.keep("fsync")
        at, seen = os.fstat(descriptor).st_ino, self.look()
        self._data.update({inode: data for inode, data in seen.values() if inode == at})
        for parent, _folders, names in os.walk(self.folder):
            if os.stat(parent).st_ino == at:  # noqa: PTH116
                below = os.path.relpath(parent, self.folder)
                here = {os.path.normpath(os.path.join(below, name)) for name in names}  # noqa: PTH118
                gone = [path for path in self._names if path.rpartition("/")[0] == ("" if below == "." else below)]
                for path in gone:
                    del self._names[path]
                self._names.update({path: seen[path][0] for path in here})


_WATCHING: list[Recorder] = []


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if _WATCHING and event in ("open", "os.rename", "os.remove", "os.link", "os.mkdir"):
        recorder = _WATCHING[-1]
        if isinstance(args[0], (str, os.PathLike)) and os.fspath(args[0]).startswith(str(recorder.folder)):
            recorder.keep(f"{event} {os.path.relpath(args[0], recorder.folder)}")


sys.addaudithook(_heard)


def put(disk: dict[str, bytes], folder: Path) -> None:
    """Write what was left to a folder."""
    for path, data in disk.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def cut(moment: Moment, way: str, folder: Path, run: Callable[[Path], None], chance: random.Random) -> dict[str, bytes]:
    """Put a disk together, run the same command on it, and return the files then."""
    put(moment.disk(chance, way), folder)
    run(folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
