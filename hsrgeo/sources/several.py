"""Several archives read at the same time, and frames passed by reference to workers elsewhere: where their bytes are.

One archive is one stream, and unpacking it keeps one core busy; ISA-L leaves the others free while it does. So a
cluster is fed by a thread an archive.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from hsrgeo.sources.archive_formats import is_archive
from hsrgeo.sources.found import Extent, Found, Tally, reading
from hsrgeo.sources.listing import Listing, listed_files, place_of, size_of_all
from hsrgeo.sources.remote import is_remote
from hsrgeo.sources.scan import of_one_kind, scan_files
from hsrgeo.sources.select import Selection

_WAITING = 4
# ^ frames that wait for each reader: memory is bounded by this
_LOOK_S = 0.1


def scan_several(
    sources: Sequence[str | Path] | Listing, selection: Selection, tally: Tally | None = None, *, readers: int = 1
) -> Iterator[Found]:
    """Yield what `scan` yields of the same arguments, `readers` archives in turn with each other.

    Raises:
        SourceError: A source does not exist. Raised at once, before the first frame.
    """
    counted = tally if tally is not None else Tally()
    files = of_one_kind(listed_files(sources), selection, counted)
    counted.measure = partial(size_of_all, files)
    archives = [Listing([entry]) for entry in files if is_archive(place_of(entry[0]))]
    others = Listing(entry for entry in files if not is_archive(place_of(entry[0])))
    streams = [*([others] if others else []), *archives]
    if readers == 1 or len(streams) < 2:  # noqa: PLR2004 - nothing to read beside the first
        return scan_files(files, selection, counted)
    return _together(streams, selection, counted, min(readers, len(streams)))


def _together(streams: list[Listing], selection: Selection, tally: Tally, readers: int) -> Iterator[Found]:
    threads = _Readers(streams, selection, tally, readers)
    try:
        yield from threads.found()
    finally:
        threads.end()


class _Readers:
    """Threads that take one stream of files after another."""

    def __init__(self, streams: list[Listing], selection: Selection, tally: Tally, readers: int) -> None:
        self._selection = selection
        self._tally = tally
        self._lock = threading.Lock()
        self._waiting: queue.Queue[Found | Exception | None] = queue.Queue(_WAITING * readers)
        self._streams: queue.SimpleQueue[Listing] = queue.SimpleQueue()
        for stream in streams:
            self._streams.put(stream)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._read, name="hsrgeo-read", daemon=True) for _ in range(readers)]

    def found(self) -> Iterator[Found]:
        """Yield what all readers find, as it comes; an exception in a reader is raised here."""
        for thread in self._threads:
            thread.start()
        reading = len(self._threads)
        while reading:
            entry = self._waiting.get()
            if isinstance(entry, Exception):
                raise entry
            if entry is None:
                reading -= 1
            else:
                yield entry

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            if thread.ident is not None and not sys.is_finalizing():  # then none of them runs any more
                thread.join()

    def _read(self) -> None:
        try:
            while not self._ended.is_set():
                self._read_stream(self._streams.get_nowait())
        except queue.Empty:
            pass
        except Exception as error:  # noqa: BLE001 - raised again where the frames are taken
            self._put(error)
        finally:
            self._put(None)

    def _read_stream(self, stream: Listing) -> None:
        own, counted = Tally(), Tally()
        with reading(scan_files(stream, self._selection, own)) as found:
            for one in found:
                self._count(own, counted)
                self._put(one)
                if self._ended.is_set():
                    return
        self._count(own, counted)

    def _put(self, entry: Found | Exception | None) -> None:
        while not self._ended.is_set():
            with suppress(queue.Full):
                self._waiting.put(entry, timeout=_LOOK_S)
                return

    def _count(self, own: Tally, counted: Tally) -> None:
        """Add to everybody's tally what a stream has counted since this was last done."""
        with self._lock:
            self._tally.read_bytes += own.read_bytes - counted.read_bytes
            self._tally.unselected += own.unselected - counted.unselected
            self._tally.widen(own.spans)
            self._tally.passed_over.update(own.passed_over - counted.passed_over)
            self._tally.lookalikes += own.lookalikes[len(counted.lookalikes) :]
        counted.read_bytes, counted.unselected = own.read_bytes, own.unselected
        counted.passed_over, counted.lookalikes = own.passed_over.copy(), list(own.lookalikes)


def as_reference(found: Found) -> Found:
    """Return a found frame without its bytes, where whoever sees the same disk can read them from there.

    These are plain files, and members of archives that are not compressed. Paths become absolute, for elsewhere the
    working folder is another; `Found.source` stays as it was given.
    """
    if found.error is not None or is_remote(found.source):
        return found
    path = os.path.abspath(found.source)  # noqa: PTH100 - resolve() follows links, which may differ elsewhere
    if found.member is None:
        return replace(found, data=None, extent=Extent(path))
    if found.offset is not None and found.data is not None:
        return replace(found, data=None, extent=Extent(path, found.offset, len(found.data)))
    return found
