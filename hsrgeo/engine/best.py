"""Of the frames of one time the best one counts: for the runs that make a table."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import datetime

from hsrgeo.formats.standing import Standing
from hsrgeo.outputs.outcome import Outcome, Status


class Best:
    """The best frame of each time so far, by `hsrgeo.formats.standing`; only its standing stays in memory.

    Args:
        counts: Frames by status. A frame that was the best and is no longer is counted as a duplicate from then on.
    """

    def __init__(self, counts: Counter[Status]) -> None:
        self._counts = counts
        self._standings: dict[datetime, Standing] = {}

    def settle(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a sound frame: as it is where the frame is the best of its time, or as a duplicate.

        What was kept of a frame of this time before is to be replaced where the outcome comes back as it is.
        """
        assert outcome.frame_name is not None  # noqa: S101 - a sound frame has a time
        time, standing = outcome.frame_name.time, outcome.standing
        before = self._standings.get(time)
        if before is not None and before >= standing:
            return dataclasses.replace(outcome, status="duplicate", winner=before.label)
        if before is not None:
            self._counts["ok"] -= 1
            self._counts["duplicate"] += 1
        self._standings[time] = standing
        return outcome
