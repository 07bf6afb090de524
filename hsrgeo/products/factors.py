"""Factors by time that rain is multiplied by: the mean-field bias that `hsrgeo gauges bias` finds.

The rate is cut to the law's limit first, and multiplied then: the limit is about what the radar saw in hail, the factor
about how much rain gauges caught. Without a factor for its time a frame stays as it is.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.model.frame import Frame
from hsrgeo.products.rain import Law, law_text, rain_frame, refuse_adjusted


@dataclass(frozen=True, slots=True, order=True)
class Factor:
    """The factor of a time span."""

    start: int
    """Seconds since 1970 UTC; a frame that begins then belongs to it."""
    end: int
    """Likewise; a frame that begins then belongs to the next."""
    value: float
    """Gauges over radar, above 0."""
    pairs: int | None = None
    """Pairs of gauge and radar behind it; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Factors:
    """Factors of spans that do not overlap, in order of time."""

    source: str
    """Name of the table."""
    law: str
    """How the rain that they are for follows, as the tag ``RAIN_LAW`` says it; empty where that is not known."""
    rows: tuple[Factor, ...]

    def at(self, time: datetime) -> Factor | None:
        """Return the factor of a frame of some time, or None where there is none."""
        second = math.floor(time.timestamp())
        place = bisect_right(self.rows, second, key=lambda one: one.start) - 1
        return self.rows[place] if place >= 0 and second < self.rows[place].end else None

    def has(self, time: datetime) -> bool:
        """Tell whether a frame of some time has a factor."""
        return self.at(time) is not None

    def value(self, time: datetime) -> float:
        """Return what rain of some time is multiplied by; 1 where there is no factor."""
        one = self.at(time)
        return 1.0 if one is None else one.value

    def refuse_law(self, *texts: str) -> None:
        """Refuse factors that were found for other rain.

        `texts` say how the rain follows that they are for, as the tag ``RAIN_LAW`` does; any of these will do.
        """
        if self.law and self.law not in texts:
            raise OptionsError(
                f"{self.source}: its factors are for rain by {self.law!r}, and this run makes it by {texts[0]!r}: give "
                "the same zr and max_rate, or make the table again from a series of this rain"
            )

    def adjusted(self, frame: Frame, law: Law) -> Frame:
        """Return the rain of a frame, see `rain_frame`, times the factor of its time; its tags say which.

        Raises:
            FrameError: It holds no rain, rain that was adjusted already, or rain that the factors are not for.
        """
        refuse_adjusted(frame)
        text = law_text(frame.quantity, dict(frame.derived).get("RAIN_LAW"), law)
        if self.law and text != self.law:
            raise FrameError("a bias of other rain", f"rain by {self.law!r}, as {self.source}", repr(text), frame.name)
        one = self.at(frame.time)
        rain = rain_frame(frame, law, factor=None if one is None else one.value)
        kept = {name: value for name, value in rain.derived if not name.startswith("BIAS_")}
        return replace(rain, derived=(*kept.items(), *self.tags([one]).items()))

    def tags(self, found: Sequence[Factor | None]) -> dict[str, str]:
        """Return tags of what was made of frames, at least one, with the factor of each."""
        known = [one for one in found if one is not None]
        tags = {"BIAS_SOURCE": self.source, "BIAS_FACTOR": _span(one.value for one in known) or "none"}
        if known and len(known) < len(found):
            tags["BIAS_FRAMES"] = f"{len(known)} of {len(found)}"
        if pairs := _span(one.pairs for one in known if one.pairs is not None):
            tags["BIAS_PAIRS"] = pairs
        return tags

    def note(self, without: int, frames: int) -> list[str]:
        """Return a note on frames without a factor, so many of `frames`, where there are any."""
        if not without:
            return []
        return [f"{without:,} of {frames:,} frames: {self.source} has no factor for their time, they stay as they are"]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        rows = [[one.start, one.end, one.value, one.pairs] for one in self.rows]
        return {"source": self.source, "law": self.law, "rows": rows}


def factors_from_json(kept: dict[str, Any]) -> Factors:
    """Return what `Factors.as_json` wrote.

    Raises:
        ValueError, TypeError, KeyError: It is none.
    """
    rows = tuple(Factor(int(start), int(end), float(value), pairs) for start, end, value, pairs in kept["rows"])
    sound = all(0 < one.value < math.inf and one.start < one.end for one in rows)
    if not sound or any(one.end > after.start for one, after in pairwise(rows)):
        raise ValueError("no factors")
    return Factors(str(kept["source"]), str(kept["law"]), rows)


def _span(values: Iterable[float]) -> str:
    found = sorted(set(values))
    ends = [f"{value:.9g}" for value in (found[:1] + found[-1:] if len(found) > 1 else found)]
    return " to ".join(ends)
