"""What the columns of KMA's gauge tables are: flags of quality, and sums over other times than a step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from hsrgeo.errors import OptionsError
from hsrgeo.model.times import length_text

BAD_FLAG = "9"
"""Of quality: the reading is missing or bad (KMA composite format, section 7, "Other facts")."""
NO_READING = "nan"
"""What a reading with that flag is taken as, whatever its cell says."""
_FLAG_MARKS = ("qc", "플래그", "flag")
_MOVING = re.compile(r"rn[-_ ]?(\d+)\s*(m|h)(?:in)?\b", re.ASCII)
_DAY = re.compile(r"rn[-_ ]?day|일\s*강수량|daily", re.ASCII)
_RUNNING = re.compile(r"누적|cumul|accum")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1)}


def is_flag(column: str) -> bool:
    """Tell whether a column holds flags of quality: ``강수량 QC플래그``."""
    return any(mark in column.lower() for mark in _FLAG_MARKS)


def flag_of(column: str, header: Sequence[str]) -> int | None:
    """Return where the flags of a column are: ``강수량 QC플래그`` are those of ``강수량(mm)``; None for none."""
    quantity = column.partition("(")[0].strip().lower()
    flags = [at for at, name in enumerate(header) if is_flag(name) and name.strip().lower().startswith(quantity)]
    return flags[0] if len(flags) == 1 else None


def refuse_other_sums(path: str, column: str, step: timedelta) -> None:
    """Refuse a column that, by its name, sums up other times than one step.

    The columns RN-15m to RN-12H of KMA's minute tables are moving sums, RN-DAY is the sum since midnight (KMA composite
    format, section 7, "Other facts"): each tells of the same rain many times.
    """
    lowered = column.lower()
    if moving := _MOVING.search(lowered):
        length: timedelta | None = int(moving[1]) * _UNITS[moving[2]]
    elif _RUNNING.search(lowered):
        length = None
    elif _DAY.search(lowered):
        length = timedelta(days=1)
    else:
        return
    if length == step:
        return
    found = f"sums of {length_text(length)}" if length else "sums since some beginning"
    raise OptionsError(
        f"{path}: the column {column!r} contains {found}, not of a step of {length_text(step)}: "
        "choose another by --column"
        + (f", or rows {length_text(length)} apart with --step {length_text(length)}" if length else "")
    )


def refuse_hub_text(path: str, first: str) -> None:
    """Refuse the own text of KMA's API hub, whose columns stand apart by blanks and whose rain is moving sums.

    Raises:
        OptionsError: The first line is the one that such a text begins with (KMA composite format, section 7).
    """
    if first.lstrip("\ufeff").startswith("#START7777"):
        raise OptionsError(
            f"{path}: is text of KMA's API hub (#START7777), which is not read: its RN columns are moving sums; make "
            "a CSV of time,name,rain_mm of it, with rows as far apart as the sum is long (RN-15m: --step 15min)"
        )
