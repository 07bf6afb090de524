"""Which files of the sources are taken in a round: a file that is still being written waits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hsrgeo.errors import HsrGeoError
from hsrgeo.formats.names import claims_frame
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found
from hsrgeo.sources.remote import RemotePath, may_grow


class Mark(NamedTuple):
    """What changes when a file is written again."""

    size: int
    mtime: float
    """Seconds since 1970; 0 for a file in a bucket or on a web server, which appears whole."""
    version: str = ""
    """Of such a file."""


@dataclass
class SeenFiles:
    """What earlier rounds saw of each file that is there; one entry for each file."""

    marks: dict[str, tuple[Mark, float]] = field(default_factory=dict)
    """With the time when the mark was first seen; of files of the first round that is not known, and -inf."""
    whole: dict[str, Mark] = field(default_factory=dict)
    """Young files that were read and are whole."""
    begun: bool = False


def decide(
    now: float, listed: Mapping[str, Mark], seen: SeenFiles, settle_s: float, can_be_read: Callable[[str], bool]
) -> set[str]:
    """Return the files that are taken, and note in `seen` what is there now.

    A file that was not changed for `settle_s` is taken, whatever is in it: what is wrong with it is then reported. A
    younger one is taken when `can_be_read` says that it is whole. A time of change in the far future says nothing.
    `now` is in seconds since 1970.
    """
    for path in seen.marks.keys() - listed.keys():
        del seen.marks[path]
        seen.whole.pop(path, None)
    taken = set()
    for path, mark in listed.items():
        before = seen.marks.get(path)
        if before is None or before[0] != mark:
            before = mark, now if seen.begun else float("-inf")
            seen.marks[path] = before
        young = abs(now - mark.mtime) < settle_s or abs(now - before[1]) < settle_s
        if not young or mark.version:
            seen.whole.pop(path, None)
            taken.add(path)
        elif seen.whole.get(path) == mark or can_be_read(path):
            seen.whole[path] = mark
            taken.add(path)
    seen.begun = True
    return taken


def mark_of(file: str | RemotePath) -> Mark | None:
    """Return the mark of a file that was listed; None where it is gone since then."""
    if isinstance(file, RemotePath):
        listed = file.stat()
        return Mark(listed.size, listed.changed) if may_grow(file) else Mark(listed.size, 0.0, listed.version or "-")
    try:
        status = os.stat(file)  # noqa: PTH116 - a text, as in listings
    except OSError:
        return None
    return Mark(status.st_size, status.st_mtime)


def is_whole(path: str) -> bool:
    """Tell whether a file is a frame that can be read; another file, an archive say, must rest before it is taken."""
    if not claims_frame(os.path.basename(path)):  # noqa: PTH119 - a text, as in listings
        return False
    try:
        decode_found(Found(path, None, None, 0))
    except HsrGeoError:
        return False
    return True
