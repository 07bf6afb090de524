"""A run over frames: what an export, a cube, a series and a sum have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator

from hsrgeo.engine.outcome import Outcome, Status
from hsrgeo.sources.found import Tally

_TOLD = 5  # frames whose notes are told one by one


class Run(Iterator[Outcome]):
    """Iterate it to make it happen; each outcome comes as soon as it is certain.

    A frame that loses to a better one that comes later is told twice, the second time as a duplicate with `was` set.

    Args:
        tally: What is counted while the sources are read.
    """

    _outcomes: Generator[Outcome]

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        """What went by while the sources were read."""
        self.counts: Counter[Status] = Counter()
        """Frames by status, so far."""
        self.notes: list[str] = []
        """What a user should know; complete when the run is over."""
        self._noted = 0

    def __next__(self) -> Outcome:
        try:
            outcome = next(self._outcomes)
        except StopIteration:
            if self._noted > _TOLD:
                self.notes.append(f"{self._noted - _TOLD:,} more frames with a note of this kind")
            self._noted = 0
            self.notes += self.tally.notes()
            self.tally.other_kinds.clear()
            raise
        if outcome.notes and outcome.was is None:
            self.notes += outcome.notes if self._noted < _TOLD else ()
            self._noted += 1
        self.counts[outcome.status] += 1
        if outcome.was:
            self.counts[outcome.was] -= 1
        return outcome

    def close(self) -> None:
        """End the run early; what is done stays done."""
        self._outcomes.close()
