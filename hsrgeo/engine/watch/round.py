"""What came of one round of a watch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from hsrgeo.errors import HsrGeoError

Happened = Literal["ok", "replaced", "duplicate", "failed", "removed"]


@dataclass
class Round:
    """The result of a round."""

    time: float
    """When it began, in seconds since 1970."""
    counts: Counter[Happened] = field(default_factory=Counter)
    """``ok`` are new times, ``replaced`` those that have a better frame now, ``duplicate`` frames that lost, ``failed``
    broken ones, and ``removed`` times that lie before the window now."""
    broken: list[str] = field(default_factory=list)
    """What is wrong with each broken frame. A frame is reported again only when something else is wrong with it."""
    notes: list[str] = field(default_factory=list)
    """Notes, each reported once."""
    listed: int = 0
    """Files of the sources."""
    waiting_for: list[str] = field(default_factory=list)
    """Of them, those that may not be complete yet: frames and archives."""
    error: HsrGeoError | None = None
    """Why the round did not come to its end; the next one tries again."""

    @property
    def waiting(self) -> int:
        """How many files may not be complete yet."""
        return len(self.waiting_for)
