"""Which of two frames of one product and time is kept: the one rule for every command."""

from __future__ import annotations

from typing import NamedTuple

from hsrgeo.formats.names import FrameName, preference
from hsrgeo.model.rank import Rank


class Standing(NamedTuple):
    """What decides between two frames of one product and time: the one with the higher standing is kept.

    In this order:

    1. The preferred kind: PUB, EXT, KMA, QCD, then any other (`hsrgeo.formats.names.KINDS`).
    2. More radars.
    3. The later creation, by the header.
    4. The higher CRC-32 of the unpacked file.
    5. The label that sorts later.

    The last two say nothing about quality. They only make sure that the order of reading never decides.
    """

    preference: int
    """Of the kind, see `hsrgeo.formats.names.preference`; 0 where the kind is unknown."""
    rank: Rank
    """Points 2 to 4."""
    label: str
    """Source and member."""

    @classmethod
    def of(cls, frame_name: FrameName | None, rank: Rank, label: str) -> Standing:
        """Return the standing of a frame.

        Args:
            frame_name: Product, kind and time; None where they are unknown.
            rank: Radars, creation and CRC-32; `hsrgeo.model.rank.LOWEST` where the header cannot be read.
            label: Source and member.
        """
        return cls(preference(frame_name.kind) if frame_name else 0, rank, label)
