"""The folder or bucket that frames of the hub go to: ``YYYYMM/DD/RDR_CMP_HSR_PUB_YYYYMMDDHHMM.bin.gz``, in KST.

``missing.jsonl`` beside them lists the times of which the service has said that it has no frame.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from hsrgeo.errors import FrameError, FrameNameError, OptionsError, SourceError
from hsrgeo.formats.names import FrameName, parse_name, preference
from hsrgeo.hub.frames import Sent, check_frame
from hsrgeo.model.rank import LOWEST, Rank
from hsrgeo.model.times import KST, kst_text, parse_time
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.taken import refuse_cube
from hsrgeo.sources.found import read_file
from hsrgeo.sources.remote import Place, RemotePath, target
from hsrgeo.writers.files import names_in, remove_parts, write_file

_RECORD = "missing.jsonl"
_TOGETHER = 100  # missing times that are noted at once


class Store:
    """What lies there of one product.

    Args:
        out: The folder, or the URL of one in a bucket.
        product: As `hsrgeo.hub.frames.known_product` returns it.

    Raises:
        OptionsError: Nothing can be written there.
    """

    def __init__(self, out: str | Place, product: str) -> None:
        self.out = target(out)
        refuse_cube(self.out)
        self._product = product
        self._record = self.out / _RECORD
        self._names = lru_cache(maxsize=2)(self._names_by_time)  # times come in order, a day after the other
        self._missing: set[tuple[str, datetime]] | None = None
        self._noted = 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out; at the end missing times are noted.

        Raises:
            LockError: Another run has it.
            WriteError: The disk refused.
        """
        with locked(self._record, self.out) as lock:
            self._lock = lock
            if isinstance(self._record, Path):
                remove_parts(self._record)
            try:
                yield
            finally:
                self._save()

    def find(self, time: datetime, *, read: bool = False) -> tuple[Place, Rank] | None:
        """Return the sound frame of a time that is there, whatever its kind, and its rank; None where there is none.

        Args:
            time: The time.
            read: Also in a bucket, where nothing is ever half-written: else a frame there counts as sound unread, and
                its rank is not known.
        """
        folder = self._folder(time)
        for name, frame_name in self._names(folder).get(time, ()):
            path = folder / name
            if isinstance(path, RemotePath) and not read:
                return path, LOWEST
            if (rank := _rank(path, frame_name)) is not None:
                return path, rank
        return None

    def _names_by_time(self, folder: Place) -> dict[datetime, list[tuple[str, FrameName]]]:
        """Return the frames in a folder, of each time the preferred kind first."""
        found: dict[datetime, list[tuple[str, FrameName]]] = {}
        for name in names_in(folder):
            try:
                frame_name = parse_name(name)
            except FrameNameError:
                continue
            if frame_name.product == self._product:
                found.setdefault(frame_name.time, []).append((name, frame_name))
        for entries in found.values():
            entries.sort(key=lambda entry: (-preference(entry[1].kind), entry[0]))
        return found

    def put(self, sent: Sent) -> Place:
        """Write a frame, and return where; what is there under its name is replaced.

        Raises:
            WriteError: The disk refused, or the lock was lost.
        """
        path = self._folder(sent.frame_name.time) / sent.name
        self._lock.check()
        if isinstance(path, Path):
            remove_parts(path)
        write_file(path, sent.data)
        self._known_missing().discard((self._product, sent.frame_name.time))
        return path

    def is_missing(self, time: datetime) -> bool:
        """Tell whether the service has said, in an earlier run, that it has no frame of a time."""
        return (self._product, time) in self._known_missing()

    def note_missing(self, time: datetime) -> None:
        """Remember that the service has no frame of a time."""
        self._known_missing().add((self._product, time))
        self._noted += 1
        if self._noted % _TOGETHER == 0:
            self._save()

    def _folder(self, time: datetime) -> Place:
        local = time.astimezone(KST)
        return self.out / f"{local:%Y%m}" / f"{local:%d}"

    def _known_missing(self) -> set[tuple[str, datetime]]:
        if self._missing is None:
            self._missing = set(_recorded(self._record))
            self._saved = frozenset(self._missing)
        return self._missing

    def _save(self) -> None:
        missing = self._known_missing()
        if missing != self._saved:
            lines = [json.dumps({"product": product, "time": kst_text(time)}) for product, time in sorted(missing)]
            write_file(self._record, "".join(f"{line}\n" for line in lines).encode())
            self._saved = frozenset(missing)


def _rank(path: Place, frame_name: FrameName) -> Rank | None:
    try:
        return check_frame(read_file(path), frame_name, str(path))
    except (FrameError, SourceError):
        return None


def _recorded(path: Place) -> Iterator[tuple[str, datetime]]:
    """Yield what is noted; a line that cannot be read is none: its time is asked for again."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            value = json.loads(line)
            yield str(value["product"]), parse_time(value["time"])
        except (ValueError, KeyError, TypeError, AttributeError, OptionsError):
            continue
