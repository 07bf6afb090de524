"""Rain events of a series: when they begin and end, how much fell, and how much of it in its wettest minutes.

An event goes from its first wet step to its last. Two wet steps belong to one event where fewer than so many steps lie
between them; a step that is dry and one that was not observed count alike, for of neither any rain is known. Gaps are
not filled: what was observed is added up, and `Event.completeness` says how much that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROUNDING_MM = 1e-9


@dataclass(frozen=True, slots=True)
class Event:
    """One rain event of one place; steps count from the first of the series."""

    first: int
    """Its first wet step."""
    end: int
    """The step after its last wet one."""
    depth_mm: float
    """Of what was observed."""
    max_mm_h: float
    """Highest rate of a step."""
    completeness: float
    """Share of time and area, 0 to 1, that was observed from `first` to `end`."""
    start_observed: bool
    """Whether the step before it was observed, so that the rain did not begin earlier."""
    end_observed: bool
    """Whether the step after it was observed."""
    windows_mm: tuple[float, ...]
    """Highest depth of this event in a window of each length."""
    reached: tuple[int | None, ...]
    """For each rule, steps from the event's start to the end of the first window that reaches it; None where none."""


def find_events(  # noqa: PLR0913 - what an event is
    rates: Floats,
    coverage: Floats,
    step_h: float,
    *,
    wet_from: float,
    dry_steps: int,
    min_depth_mm: float = 0.0,
    windows: Sequence[int] = (),
    rules: Sequence[Sequence[tuple[int, float]]] = (),
) -> list[Event]:
    """Return the events of a series, in order.

    Args:
        rates: Rain [mm/h] of each step; NaN where nothing was observed.
        coverage: Share of the place that each step observed, 0 to 1.
        step_h: How long a step is [h].
        wet_from: Rate [mm/h] from which a step is wet, above 0.
        dry_steps: Steps that part two events, 1 or more.
        min_depth_mm: Events of less are left out.
        windows: Lengths [steps] of windows within an event; where it is shorter, nothing is added.
        rules: Each of window lengths [steps] and depths [mm], one of which has to be reached. Their windows may begin
            before the event, and have the rain of that time too.
    """
    depths = np.nan_to_num(rates, nan=0.0) * step_h
    wet = np.flatnonzero(depths >= wet_from * step_h)
    if not wet.size:
        return []
    seen = ~np.isnan(rates)
    reaches = [_reaches(depths, rule) for rule in rules]
    parted = np.flatnonzero(np.diff(wet) > dry_steps)
    events = []
    for first, last in zip(wet[np.append(0, parted + 1)], wet[np.append(parted, len(wet) - 1)], strict=True):
        own, end = depths[first : last + 1], int(last) + 1
        depth = float(own.sum())
        if depth < min_depth_mm - _ROUNDING_MM:
            continue
        found = [np.flatnonzero(reach[first:end]) for reach in reaches]
        events.append(
            Event(
                int(first),
                end,
                depth,
                float(own.max()) / step_h,
                float(np.where(seen, coverage, 0)[first:end].mean()),
                bool(first > 0 and seen[first - 1]),
                bool(end < len(rates) and seen[end]),
                tuple(float(_sums(own, steps).max()) for steps in windows),
                tuple(int(steps[0]) + 1 if steps.size else None for steps in found),
            )
        )
    return events


def _reaches(depths: Floats, rule: Sequence[tuple[int, float]]) -> NDArray[np.bool_]:
    """Tell of each step whether a window that ends with it reaches a rule."""
    reached = np.zeros(len(depths), np.bool_)
    for steps, limit_mm in rule:
        reached |= _sums(depths, steps) >= limit_mm - _ROUNDING_MM
    return reached


def _sums(depths: Floats, steps: int) -> Floats:
    """Return the depth in the window of so many steps that ends with each step; shorter at the beginning."""
    total = np.append(0.0, np.cumsum(depths))
    ends = np.arange(1, len(total))
    sums: Floats = total[ends] - total[np.maximum(ends - steps, 0)]
    return sums
