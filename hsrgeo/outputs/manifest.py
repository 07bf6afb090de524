"""OUT/manifest.jsonl: one line a frame, appended while the run goes, so that it survives `kill -9`.

While a run goes on, a later line about a frame replaces an earlier one. At its end the file is put in order once: one
line a frame, by time. Only offsets are kept in memory, not lines: some 50 bytes a frame.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from hsrgeo.errors import ManifestError, refused
from hsrgeo.outputs.journal import journal, manifest_files
from hsrgeo.outputs.manifest_lines import entry_of_line, line_of_outcome, outcome_of_line, read_lines
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.outputs.offsets import Offsets
from hsrgeo.outputs.outcome import Key, Outcome, key_of
from hsrgeo.outputs.usual_lines import Entry, entry_of, first_path_of
from hsrgeo.sources.remote import Place
from hsrgeo.sources.texts import refuse_file_type, whole_lines_of
from hsrgeo.writers.files import remove_file, write_chunks

_BLOCK_BYTES = 1 << 14


class Manifest:
    """The frames of one output folder, on disk; use it in a ``with`` statement.

    Args:
        out: The output folder; made where it is missing.
        read_only: Change nothing on disk; then the manifest must be there.
        by_kind: See `key_of`.
        sync: Wait for the disk where a line must not be lost.

    Raises:
        ManifestError: It cannot be read or written, a line of it is damaged, or another run has it.
    """

    def __init__(self, out: Place, *, read_only: bool = False, by_kind: bool = False, sync: bool = True) -> None:
        self.out = out
        self.by_kind = by_kind
        self.folders: set[str] = set()
        """Folders below OUT that outputs lie in."""
        self.damaged = 0
        """Lines that could not be read when it was opened: a warning names the first."""
        self._sync = sync
        self._journal = journal(out, read_only=read_only, sync=sync)
        self._latest: tuple[int, Outcome] | None = None  # the line read last, with its offset: asked for again at once
        self._block, self._block_at = b"", 0  # what was read last, and its offset: lines are asked for nearly in order
        self._in_order = False
        self._last_order: tuple[float, str, str] | None = None
        self._frames, self._kept, self._paths = Offsets(), Offsets(), Offsets()
        # ^ hash of a frame's label, of a product and time, of its first output's path -> offset of the line
        with ExitStack() as stack:  # closes the file where it cannot be loaded
            try:
                self._path = stack.enter_context(self._journal).path
                self._file: BinaryIO = stack.enter_context(self._path.open("rb" if read_only else "a+b", buffering=0))
                self._old_bytes = self._load()
                if not read_only:
                    self._file.truncate(self._old_bytes)  # a killed run was writing the rest; its frame is done again
            except OSError as error:
                raise ManifestError(str(out / MANIFEST), f"cannot be opened: {error.strerror or error}") from error
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()  # another one than was opened, once it was put in order
        self._open.__exit__(error_type, error, trace)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Outcome]:
        """Yield the latest line of every frame."""
        for offset in sorted(self._frames.values()):
            yield self._at(offset)

    def get(self, label: str) -> Outcome | None:
        """Return the latest line of a frame, by its label."""
        return self._checked(self._frames.get(hash(label)), lambda line: line.label == label)

    def key(self, outcome: Outcome) -> Key | None:
        """Return the product and time of a frame's outputs, or None if they are unknown."""
        return key_of(outcome.frame_name, by_kind=self.by_kind) if outcome.frame_name else None

    def kept(self, key: Key) -> Outcome | None:
        """Return the frame that is kept for a product and time."""
        offset = self._kept.get(hash(key))
        line = self._checked(offset, lambda line: self.key(line) == key)
        # A later line about the same frame may say that it is broken now, or lost to another.
        return line if line and self._frames.get(hash(line.label)) == offset else None

    def settled(self, label: str, key: Key) -> Outcome | None:
        """Return the latest line of a frame, if that frame is kept for a product and time and owns its first path.

        What `get`, `kept` and `owner` would tell together; None where they would not agree.
        """
        offset = self._frames.get(hash(label))
        if offset is None or self._kept.get(hash(key)) != offset:
            return None
        line = self._at(offset)
        if line.label != label or self.key(line) != key or not line.outputs:
            return None
        return line if self._paths.get(hash(first_path_of(line))) == offset else None

    def owner(self, first_path: str) -> Key | None:
        """Return the product and time that a first path was made for, or None."""
        line = self._checked(self._paths.get(hash(first_path)), lambda line: first_path_of(line) == first_path)
        return self.key(line) if line else None

    def is_new(self, outcome: Outcome) -> bool:
        """Tell whether this run wrote the latest line of a frame."""
        return (self._frames.get(hash(outcome.label)) or 0) >= self._old_bytes

    def append(self, *outcomes: Outcome) -> None:
        """Add lines in one write."""
        lines = [line_of_outcome(outcome) for outcome in outcomes]
        self._journal.check()
        try:
            self._in_order = False
            offset = self._file.seek(0, os.SEEK_END)
            written = self._file.write(b"".join(lines))
        except OSError as error:
            raise refused(str(self.out / MANIFEST), error) from error
        if written != sum(map(len, lines)):
            raise refused(str(self.out / MANIFEST), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        for outcome, line in zip(outcomes, lines, strict=True):
            self._index(entry_of(outcome), offset)
            offset += len(line)
        self._journal.added(b"".join(lines))

    def sync(self) -> None:
        """Make sure that every line outlives this process; call it before a file that a line names is moved or removed.

        Raises:
            WriteError: The disk refused.
        """
        self._journal.sync()

    def release(self, key: Key) -> None:
        """Forget which frame is kept for a product and time: it is about to be written again."""
        self._kept.discard(hash(key))

    def forget(self, outcome: Outcome) -> None:
        """Leave a line out when the file is put in order: it is no longer true."""
        self._frames.discard(hash(outcome.label))
        self._in_order = False

    @property
    def in_order(self) -> bool:
        """Whether the file is as `put_in_order` leaves it, and holds no duplicates."""
        return self._in_order

    def put_in_order(self) -> None:
        """Rewrite the file in one step: one line a frame, by time, product and label, and each duplicate's winner.

        A file that was so when it was read, and got no line since, stays as it is.

        Raises:
            ManifestError: It is damaged.
            WriteError: The disk refused.
        """
        self._journal.check()
        if self._in_order and isinstance(self.out, Path):  # a bucket may hold it in parts
            self._journal.sync()
            return
        self._rewrite(self._lines_in_order())

    def distrust(self) -> None:
        """Have every frame checked again: it is no longer known what its outputs were made with."""
        self._rewrite(line_of_outcome(dataclasses.replace(outcome, stamp="")) for outcome in self)
        self._old_bytes = self._path.stat().st_size

    def remove(self) -> None:
        """Remove the file, and its parts in a bucket; nothing else may be asked of it after that.

        Raises:
            ManifestError: The bucket cannot be reached.
            WriteError: The disk refused.
        """
        self._journal.check()
        self._file.close()
        for path in manifest_files(self.out):
            remove_file(path)

    def _rewrite(self, lines: Iterator[bytes]) -> None:
        write_chunks(self._path, lines, sync=self._sync)
        self._file.close()
        self._journal.rewritten()
        self._file = self._path.open("a+b", buffering=0)
        self._frames, self._kept, self._paths = Offsets(), Offsets(), Offsets()
        self._load()

    def _lines_in_order(self) -> Iterator[bytes]:
        times = sorted((_seconds(self._at(offset)), offset) for offset in self._frames.values())
        for _time, group in groupby(times, itemgetter(0)):
            offsets = [offset for _time, offset in group]
            if len(offsets) == 1:  # nearly always, and no duplicate: the frame it lost to has the same time
                yield self._line(offsets[0])
            else:
                offsets.sort(key=lambda offset: _order(self._at(offset)))
                yield from map(self._line_with_winner, offsets)

    def _line_with_winner(self, offset: int) -> bytes:
        """Return a line; a duplicate's with the frame that is kept now: the one it lost to may have lost since."""
        outcome = self._at(offset)
        key = self.key(outcome)
        kept = self.kept(key) if outcome.status == "duplicate" and key else None
        if kept is None or kept.label == outcome.winner:
            return self._line(offset)
        return line_of_outcome(dataclasses.replace(outcome, winner=kept.label))

    def _load(self) -> int:
        """Read every whole line, and return where the last one ends."""
        offset = count = self.damaged = 0
        self._in_order, self._last_order, self._latest = True, None, None
        self._block, self._block_at = b"", 0
        descriptor = self._file.fileno()  # not by its path: a run that ends meanwhile puts another file there
        refuse_file_type(os.fstat(descriptor).st_mode, pipes=False)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            for size, entry in read_lines(whole_lines_of(file), self.out / MANIFEST, entry_of_line):
                if entry is None:
                    self.damaged += 1
                else:
                    self._index(entry, offset)
                offset += size
                count += 1
        whole = offset == os.fstat(descriptor).st_size  # no line was being written when a run was killed
        self._in_order = self._in_order and whole and count == len(self._frames)  # each line counts
        return offset

    def _index(self, entry: Entry, offset: int) -> None:
        label, frame_name, status, paths = entry
        self._frames[hash(label)] = offset
        order = (frame_name.time.timestamp(), frame_name.product, label) if frame_name else (math.inf, "", label)
        is_next = self._last_order is None or order > self._last_order
        self._in_order = self._in_order and is_next and status != "duplicate"  # whose winner may change
        self._last_order = order
        if status not in ("ok", "dry") or frame_name is None:
            return
        self._kept[hash(key_of(frame_name, by_kind=self.by_kind))] = offset
        if status == "ok":
            self._paths[hash(entry.first_path)] = offset
            self.folders.update([path.rpartition("/")[0] for path in paths])

    def _checked(self, offset: int | None, same: Any) -> Outcome | None:  # noqa: ANN401 - a predicate
        line = None if offset is None else self._at(offset)
        return line if line is not None and same(line) else None

    def _line(self, offset: int) -> bytes:
        begins = offset - self._block_at
        ends = self._block.find(b"\n", begins) + 1 if begins >= 0 else 0
        if not ends:
            self._file.seek(offset)
            self._block, self._block_at, begins = b"", offset, 0
            while not ends and (more := self._file.read(_BLOCK_BYTES)):
                self._block += more
                ends = self._block.find(b"\n") + 1
        return self._block[begins:ends]

    def _at(self, offset: int) -> Outcome:
        latest = self._latest
        if latest is not None and latest[0] == offset:
            return latest[1]
        try:
            outcome = outcome_of_line(self._line(offset))
        except (OSError, ValueError) as error:  # it was read before
            problem = f"cannot be read any more ({error}); run the same command again"
            raise ManifestError(str(self.out / MANIFEST), problem) from error
        self._latest = offset, outcome
        return outcome


def _seconds(outcome: Outcome) -> float:
    return outcome.frame_name.time.timestamp() if outcome.frame_name else math.inf


def _order(outcome: Outcome) -> tuple[str, str]:
    return outcome.frame_name.product if outcome.frame_name else "", outcome.label
