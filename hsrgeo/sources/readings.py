"""What rain gauges measured in each step, and what of a file says nothing of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.texts import first_names
from hsrgeo.model.times import length_text, time_label, usual_step
from hsrgeo.sources.gauge_csv import BadRows


@dataclass(slots=True)
class Readings:
    """What gauges measured."""

    names: tuple[str, ...]
    step: timedelta
    depths_mm: dict[datetime, NDArray[np.float64]] = field(default_factory=dict)
    """Depth of each gauge, in the order of `names`, by the start of its step in KST; NaN where it is not known."""
    counts: Counter[str] = field(default_factory=Counter)
    """Cells of the file by what they are: used, missing, code, zero (empty), repeated, unknown, bad, other_time."""
    unknown: dict[str, None] = field(default_factory=dict)
    """Names in the file that are no gauge."""
    in_file: set[datetime] = field(default_factory=set)
    """Starts of all steps of the file, wanted or not."""
    bad: BadRows = field(default_factory=BadRows)
    """What is wrong with the bad rows."""

    @property
    def times(self) -> list[datetime]:
        """Starts of the steps that have a row, in order."""
        return sorted(self.depths_mm)

    def notes_on_times(self, first: datetime, end: datetime) -> list[str]:
        """Return that no reading is within the times of the radar, with both; nothing where one is."""
        times = self.times
        if any(time < end and time + self.step > first for time in times):
            return []
        found = time_label(times[0], times[-1] + self.step)
        return [
            f"readings and radar have no time in common: readings from {found}, radar from {time_label(first, end)}"
        ]

    def notes(self) -> list[str]:
        """Return what a user should know of what was left out."""
        counts, notes = self.counts, []
        if counts["bad"]:
            notes.append(f"bad readings, left out: {counts['bad']:,} ({self.bad})")
        if counts["unknown"]:
            named = first_names(list(self.unknown))
            listed = "" if counts["used"] else f"; the list has {first_names(self.names)}"
            notes.append(f"readings of no gauge in the list, left out: {counts['unknown']:,} ({named}){listed}")
        for key, words in (
            ("missing", "missing readings (empty, or no number)"),
            ("code", "missing readings (by their code)"),
            ("zero", "empty cells, taken as no rain"),
            ("repeated", "repeated readings, counted once"),
            ("other_time", "readings of other times, left out"),
        ):
            if counts[key]:
                notes.append(f"{words}: {counts[key]:,}")
        in_file = sorted(self.in_file)
        if counts["other_time"] and not counts["used"]:
            notes.append(f"the file has {time_label(in_file[0], in_file[-1] + self.step)}")
        usual = usual_step(in_file) or self.step
        if usual != self.step:
            apart, step = length_text(usual), length_text(self.step)
            notes.append(f"readings are mostly {apart} apart, but each is taken as rain of {step}: is --step right?")
        if self.depths_mm:
            heard = ~np.isnan(np.stack(list(self.depths_mm.values())))
            silent = [name for name, count in zip(self.names, heard.sum(axis=0).tolist(), strict=True) if not count]
            if silent:
                notes.append(f"gauges without a reading: {len(silent):,} ({first_names(silent)})")
        return notes
