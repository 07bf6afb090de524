"""Of the frames of one time the best one counts: for the runs that make a table."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import datetime

from hsrgeo.errors import FrameError
from hsrgeo.formats.standing import Standing
from hsrgeo.model.quantity import Quantity
from hsrgeo.outputs.outcome import Outcome, Status


class Best:
    """The best frame of each time so far, by `hsrgeo.formats.standing`; only its standing stays in memory.

    Args:
        counts: Frames by status. A frame that was the best and is no longer is counted as a duplicate from then on.
    """

    def __init__(self, counts: Counter[Status]) -> None:
        self._counts = counts
        self._standings: dict[datetime, Standing] = {}
        self.quantity: Quantity | None = None
        """Of the first frame, and so of the table. Names do not tell it, only data codes do."""

    def settle(self, outcome: Outcome, quantity: Quantity | None = None) -> Outcome:
        """Return the outcome of a frame: as it is where it is broken or the best of its time, else as a duplicate.

        What was kept of a frame of this time before is to be replaced where a sound one comes back as it is. One that
        holds another `quantity` than the first has failed: they have to come in the order of the sources.
        """
        if quantity is not None:
            self.quantity = self.quantity or quantity
            if quantity.name != self.quantity.name:
                expected = f"{self.quantity.name}, as the first frame"
                error = FrameError("another quantity", expected, quantity.name, outcome.source, outcome.member)
                return dataclasses.replace(outcome, status="failed", error=error)
        if outcome.status != "ok" or outcome.frame_name is None:
            return outcome
        time, standing = outcome.frame_name.time, outcome.standing
        before = self._standings.get(time)
        if before is not None and before >= standing:
            return dataclasses.replace(outcome, status="duplicate", winner=before.label)
        if before is not None:
            self._counts["ok"] -= 1
            self._counts["duplicate"] += 1
        self._standings[time] = standing
        return outcome
