"""How to read a file of gauges: the time that a reading covers, its unit, and which values are no reading."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from hsrgeo.errors import OptionsError
from hsrgeo.model.fields import NeededStep, Time
from hsrgeo.model.times import refuse_uneven
from hsrgeo.sources.encodings import check_encoding

Stamp = Literal["end", "start"]
Unit = Literal["mm", "mm/h"]
Empty = Literal["missing", "zero"]

_HOUR = timedelta(hours=1)
_MOST_RATE, _LEAST_LIMIT_MM, _MOST_LIMIT_MM = 500.0, 40.0, 2000.0
# ^ mm/h, mm, mm. The world's records are some 400 mm in an hour, 38 mm in a minute and 1,825 mm in a day (WMO).


@dataclass(frozen=True, kw_only=True)
class ReadingRules:
    """How a file of readings is to be understood.

    Args:
        step: Time that a reading covers.
        stamp: Whether the time of a reading is the end of its step, as KMA has it, or the start.
        unit: ``mm`` fallen in the step, or the mean rate ``mm/h``.
        column: Column of the rain where there is a column of names; None for the only one that it can be.
        encoding: Of a file that is not UTF-8; with or without a byte-order mark.
        missing: Numbers that mean no reading, such as -99.9.
        empty: What an empty cell is: no reading, or no rain, as in some of KMA's files.
        most_mm: A reading above this is a bad row; None for what the world's records allow in a step.
        skip_bad: Leave bad rows out and count them; else they are refused.
        start: First start of a step that is wanted, aware.
        end: Steps that end later are not wanted, aware.

    Raises:
        OptionsError: Rules that cannot be.
    """

    step: NeededStep = NeededStep()
    stamp: Stamp = "end"
    unit: Unit = "mm"
    column: str | None = None
    encoding: str = "utf-8"
    missing: tuple[float, ...] = ()
    empty: Empty = "missing"
    most_mm: float | None = None
    skip_bad: bool = False
    start: Time = Time(None)
    end: Time = Time(None)

    def __post_init__(self) -> None:
        refuse_uneven(f"step {self.step}", self.step)
        for what, word, known in (
            ("stamp", self.stamp, Stamp),
            ("unit", self.unit, Unit),
            ("empty", self.empty, Empty),
        ):
            if word not in get_args(known):
                raise OptionsError(f"{what} {word!r}: expected one of {', '.join(get_args(known))}")
        if self.most_mm is not None and not 0 < self.most_mm < math.inf:
            raise OptionsError(f"max_rain {self.most_mm:g}: expected a depth above 0 mm")
        if any(code >= 0 for code in self.missing):
            raise OptionsError("missing: a code of 0 or more could be rain; expected negative numbers, as -99.9")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise OptionsError("end must be later than start")
        check_encoding(self.encoding)

    @property
    def hours(self) -> float:
        """Length of a step."""
        return self.step / _HOUR

    @property
    def limit_mm(self) -> float:
        """Depth above which a reading is a bad row."""
        if self.most_mm is not None:
            return self.most_mm
        return min(max(_MOST_RATE * self.hours, _LEAST_LIMIT_MM), _MOST_LIMIT_MM)
