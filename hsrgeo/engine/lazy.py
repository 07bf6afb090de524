"""A run over frames: what an export, a cube, a series and a sum have in common."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, Self, TypeVar

from hsrgeo.outputs.outcome import Outcome, Status
from hsrgeo.sources.found import Tally
from hsrgeo.sources.scan import scan_twins
from hsrgeo.sources.select import Selection

_SHOWN = 5  # frames whose notes are shown one by one


T = TypeVar("T")
_STATES = {
    inspect.GEN_CREATED: "not begun; iterate it, or call run()",
    inspect.GEN_CLOSED: "over",
}


class Lazy(Iterator[T]):
    """Work that is done while it is iterated, or at once by `run`."""

    _items: Generator[T]

    def __repr__(self) -> str:
        state = _STATES.get(inspect.getgeneratorstate(self._items), "running")
        return f"<{type(self).__name__}: {', '.join([state, *self._so_far()])}>"

    def __next__(self) -> T:
        return next(self._items)

    def run(self) -> Self:
        """Do all of it that is left, and return this object, which then knows what came of it."""
        for _item in self:
            pass
        return self

    def close(self) -> None:
        """End early; what is done stays done."""
        self._items.close()

    def _so_far(self) -> list[str]:
        """Return what came of it so far, for people."""
        return []


class Run(Lazy[Outcome]):
    """Iterate it, or call `run`, to make it happen; each outcome comes as soon as it is certain.

    A frame that loses to a better one that comes later is yielded twice, the second time as a duplicate with `was` set.

    Args:
        tally: What is counted while the sources are read.
    """

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        """What went by while the sources were read."""
        self.counts: Counter[Status] = Counter()
        """Frames by status, so far."""
        self.notes: list[str] = []
        """What a user should know; complete when the run is over."""
        self.replaced = 0
        """Tables and sums that were there before and have been replaced, so far."""
        self._noted = 0

    def __next__(self) -> Outcome:
        try:
            outcome = super().__next__()
        except StopIteration:
            if self._noted > _SHOWN:
                self.notes.append(f"{self._noted - _SHOWN:,} more frames with a note of this kind")
            self._noted = 0
            self.notes += self.tally.notes()
            self.tally.other_kinds.clear()
            twins = [pair for key in self.tally.broken for pair, _entry in self.tally.twins.pop(key, ())]
            self.notes += [
                f"failed frames that were preferred to a file of kind {kind}: {count:,}; choose it with --kind {kind}"
                for kind, count in sorted(Counter(kind for kind, _better in twins).items())
            ]
            raise
        if outcome.notes and outcome.was is None:
            self.notes += outcome.notes if self._noted < _SHOWN else ()
            self._noted += 1
        if outcome.status == "failed":
            self.tally.give_up(outcome.frame_name, outcome.error)
        self.counts[outcome.status] += 1
        if outcome.was:
            self.counts[outcome.was] -= 1
        return outcome

    def _so_far(self) -> list[str]:
        return [f"{count:,} {status}" for status, count in self.counts.items() if count]


def with_twins(
    work: Callable[[Iterator[Any]], Generator[T]], found: Iterator[object], selection: Selection, tally: Tally
) -> Generator[T]:
    """Yield what becomes of the frames, then of those of another kind that were left out for frames that failed.

    `work` yields what becomes of some frames; the tally notes what failed.
    """
    with closing(work(found)) as results:
        yield from results
    if tally.broken & tally.twins.keys():
        with closing(work(scan_twins(selection, tally))) as results:
            yield from results
