"""Which of two frames of one product and time is the better."""

from __future__ import annotations

from typing import NamedTuple

from hsrgeo.model.header import Header


class Rank(NamedTuple):
    """What makes one frame better than another: more stations, then the later creation.

    The CRC-32 only makes the order total, so that the order of reading never decides.
    """

    stations: int
    """Radars used."""
    created: int
    """Seconds since 1970; 0 where the header has no time of creation."""
    crc32: int
    """Of the unpacked file."""


LOWEST = Rank(-1, 0, 0)
"""Of what has no header that can be read."""


def rank_of(header: Header, crc32: int) -> Rank:
    """Return the rank of a frame.

    Args:
        header: Its header.
        crc32: CRC-32 of the unpacked file.
    """
    return Rank(header.station_count, int(header.created.timestamp()) if header.created else 0, crc32)
