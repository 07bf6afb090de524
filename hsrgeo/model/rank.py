"""The rank of a frame among those of its product, kind and time; see `hsrgeo.formats.standing` for the whole rule."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Rank(NamedTuple):
    """What makes one frame better than another: more stations, then the later creation.

    The CRC-32 only breaks ties, so that the order of reading never decides.
    """

    stations: int
    """Radars used."""
    created: int
    """Seconds since 1970; 0 where the header has no time of creation."""
    crc32: int
    """Of the unpacked file."""


LOWEST = Rank(-1, 0, 0)
"""Of what has no header that can be read."""


def rank_of(stations: int, created: datetime | None, crc32: int) -> Rank:
    """Return the rank of a frame; `crc32` is that of the unpacked file.

    A creation time of None, or before 1970, tells nothing.
    """
    return Rank(stations, max(int(created.timestamp()), 0) if created else 0, crc32)
