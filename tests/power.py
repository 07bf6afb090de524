"""A power cut: what a run does in a folder is watched, and the disk is put together as it may be found afterwards.

What was flushed is there. Of everything since, a disk keeps what it likes: a name or none, and under a name the whole
file, nothing, zeros, or its beginning. That is more than any one file system does. Only of folders it keeps all changes
of their names in one place, or none: half of a rename is never found.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hsrgeo.writers import disk

Inode = int


@dataclass
class Tree:
    """Folders and files by inode."""

    folders: dict[Inode, dict[str, Inode]] = field(default_factory=dict)
    """Names in each folder."""
    data: dict[Inode, bytes] = field(default_factory=dict)
    """Bytes of each file."""

    def files(self, root: Inode, below: str = "") -> dict[str, bytes]:
        """Return what is in each file below a folder."""
        found: dict[str, bytes] = {}
        for name, inode in self.folders.get(root, {}).items():
            if inode in self.folders:
                found |= self.files(inode, f"{below}{name}/")
            else:
                found[below + name] = self.data.get(inode, b"")
        return found


@dataclass
class Moment:
    """A folder between two operations."""

    what: str
    root: Inode
    seen: Tree
    """As any program sees it."""
    flushed: Tree
    """As it is on disk."""

    def disk(self, chance: random.Random, way: str) -> dict[str, bytes]:
        """Return what may be left after a cut here; but locks, which a run waits for (tests/outputs/test_lock.py).

        Args:
            chance: Decides.
            way: ``old`` (nothing since the last flush), ``names`` (new names without bytes), ``any``.
        """
        folders = {inode: self._names(inode, chance, way) for inode in {*self.seen.folders, *self.flushed.folders}}
        data = {inode: self._bytes(inode, chance, way) for inode in {*self.seen.data, *self.flushed.data}}
        left = Tree(folders, data).files(self.root)
        return {path: bytes_ for path, bytes_ in sorted(left.items()) if ".lock" not in path}

    def _names(self, folder: Inode, chance: random.Random, way: str) -> dict[str, Inode]:
        here, there = self.seen.folders.get(folder, {}), self.flushed.folders.get(folder, {})
        together = _is_new(chance, way)
        left: dict[str, Inode] = {}
        for name in sorted({*here, *there}):
            is_folder = {here.get(name), there.get(name)} & {*self.seen.folders, *self.flushed.folders}
            new = together if is_folder else _is_new(chance, way)
            inode = here.get(name) if new else there.get(name)
            if inode is not None:
                left[name] = inode
        return left

    def _bytes(self, inode: Inode, chance: random.Random, way: str) -> bytes:
        data, safe = self.seen.data.get(inode), self.flushed.data.get(inode)
        if data is None or safe == data or way == "old":
            return safe or b""
        start = safe if safe is not None and data.startswith(safe) else b""
        rest = data[len(start) :]
        ways = [b"", bytes(len(rest)), rest[: len(rest) // 2], rest]
        return start + (ways[0] if way == "names" else chance.choice(ways))


def _is_new(chance: random.Random, way: str) -> bool:
    return way == "names" or (way == "any" and chance.random() < 0.5)


@dataclass
class Recorder:
    """Keeps what happens in a folder."""

    folder: Path
    moments: list[Moment] = field(default_factory=list)
    _flushed: Tree = field(default_factory=Tree)
    _kept: dict[Inode, int] = field(default_factory=dict)
    _on: bool = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep every moment; what is there before is on disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._flushed = self._look()
        with patch.object(os, "fsync", self._fsync), patch.object(disk, "_syncfs", lambda: self._syncfs):
            _WATCHING.append(self)
            try:
                yield
            finally:
                _WATCHING.remove(self)
        self.keep("the end")

    def _look(self) -> Tree:
        """Return what any program sees."""
        seen = Tree()
        for parent, folders, names in os.walk(self.folder):
            # A number would be another's one day if what it is of were not kept open.
            here = {name: self._number(os.path.join(parent, name)) for name in [*folders, *names]}  # noqa: PTH118 - texts are quicker
            seen.folders[self._number(parent)] = here
            for name in names:
                descriptor = self._kept[here[name]]
                seen.data[here[name]] = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        return seen

    def _number(self, path: str) -> Inode:
        inode = os.stat(path).st_ino  # noqa: PTH116
        if inode not in self._kept:
            self._kept[inode] = os.open(path, os.O_RDONLY)
        return inode

    def keep(self, what: str) -> None:
        """Keep this moment, before something is done."""
        if not self._on:
            self._on = True
            try:
                flushed = Tree(dict(self._flushed.folders), dict(self._flushed.data))
                self.moments.append(Moment(what, self._number(str(self.folder)), self._look(), flushed))
            finally:
                self._on = False

    def done(self) -> None:
        """Close what was kept open."""
        while self._kept:
            os.close(self._kept.popitem()[1])

    def _syncfs(self, _descriptor: int) -> int:
        self.keep("syncfs")
        seen = self._look()
        self._flushed = Tree(seen.folders, {**self._flushed.data, **seen.data})
        return 0

    def _fsync(self, descriptor: int) -> None:
        self.keep("fsync")
        inode, seen = os.fstat(descriptor).st_ino, self._look()
        for one, all_ in ((self._flushed.folders, seen.folders), (self._flushed.data, seen.data)):
            if inode in all_:
                one[inode] = all_[inode]  # type: ignore[assignment] # both of folders, or both of files


_WATCHING: list[Recorder] = []


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if _WATCHING and event in ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir"):
        recorder = _WATCHING[-1]
        if isinstance(args[0], (str, os.PathLike)) and os.fspath(args[0]).startswith(str(recorder.folder)):
            recorder.keep(f"{event} {os.path.relpath(args[0], recorder.folder)}")


sys.addaudithook(_heard)


def put(disk: dict[str, bytes], folder: Path) -> None:
    """Write what was left to a folder."""
    folder.mkdir(exist_ok=True)
    for path, data in disk.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in each file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
