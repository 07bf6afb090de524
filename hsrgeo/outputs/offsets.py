"""Where lines of a manifest begin, by a hash: 16 bytes for each of hundreds of thousands."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np

_PACKED_AT = 1 << 16  # new entries; a dict takes about 150 bytes for each
_NONE = -1


class Offsets:
    """A mapping of 64-bit hashes to offsets, which are not negative: sorted arrays, and a dict of what came since."""

    def __init__(self) -> None:
        self._hashes, self._offsets = array("q"), array("q")
        self._new: dict[int, int] = {}

    def __setitem__(self, key: int, offset: int) -> None:
        self._new[key] = offset
        if len(self._new) >= _PACKED_AT:
            self._pack()

    def get(self, key: int) -> int | None:
        """Return the offset of a hash, or None."""
        offset = self._new.get(key)
        if offset is None:
            at = bisect_left(self._hashes, key)
            found = at < len(self._hashes) and self._hashes[at] == key
            return self._offsets[at] if found else None
        return None if offset == _NONE else offset

    def discard(self, key: int) -> None:
        """Forget a hash, if it is there."""
        self[key] = _NONE

    def values(self) -> Iterable[int]:
        """Return all offsets, in no order."""
        self._pack()
        return self._offsets

    def __len__(self) -> int:
        self._pack()
        return len(self._offsets)

    def _pack(self) -> None:
        if not self._new:
            return
        size = len(self._new)
        new = np.fromiter(self._new, np.int64, size), np.fromiter(self._new.values(), np.int64, size)
        hashes = np.concatenate([np.frombuffer(self._hashes, np.int64), new[0]])
        offsets = np.concatenate([np.frombuffer(self._offsets, np.int64), new[1]])
        order = np.argsort(hashes, kind="stable")  # the newest of each hash comes last
        hashes, offsets = hashes[order], offsets[order]
        kept = np.append(hashes[1:] != hashes[:-1], True) & (offsets != _NONE)
        self._hashes, self._offsets = array("q", hashes[kept].tobytes()), array("q", offsets[kept].tobytes())
        self._new = {}
