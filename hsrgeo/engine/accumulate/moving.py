"""Sums of rain that moves from each frame to the next: the frames wait on a shelf until all of them are there."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.accumulate.rolling import Shelf
from hsrgeo.engine.periods import Period
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.products.advection import moving_rate
from hsrgeo.products.factors import Factors
from hsrgeo.products.rain import Law
from hsrgeo.products.rates import rate_table
from hsrgeo.products.sums import RunningSum, depth_unit_mm

_HOUR = timedelta(hours=1)


class MovingSum(RunningSum):
    """Depth and frames of one period, with the rain moving."""

    moved = 0
    """Frames that had a next one to move to."""


class MovingRun:
    """The frames of a run, for all of its areas.

    Args:
        folder: For what is put aside.
        law: How rain follows from reflectivity.
        factors: That rain is multiplied by.
    """

    def __init__(self, folder: Path, law: Law, factors: Factors | None) -> None:
        self._folder, self._law, self._factors = folder, law, factors
        self._shelves: dict[int, Shelf] = {}
        self._quantities: dict[datetime, Quantity] = {}

    def put(self, number: int, grid: Grid, frame: Frame, stored: NDArray[np.int16]) -> None:
        """Take in the part of a frame that lies in an area, see `hsrgeo.engine.accumulate.rolling.RollingRun.put`."""
        self._quantities[frame.time] = frame.quantity
        if number not in self._shelves:
            self._shelves[number] = Shelf(self._folder / f"moving_{number}", grid)
        self._shelves[number].put(frame.time, stored)

    def summed(self, number: int, period: Period) -> MovingSum | None:
        """Return the sum of a period in an area; None without a frame.

        The last frame before a gap stands still for its step, as in a plain sum.
        """
        shelf, step_h = self._shelves.get(number), period.step / _HOUR
        if shelf is None:
            return None
        total = MovingSum((shelf.grid.height, shelf.grid.width), depth_unit_mm(period.expected, step_h))
        time, stored = period.start, shelf.whole(period.start)
        while time < period.end:
            following = shelf.whole(time + period.step)
            if stored is not None:
                # By the factor of the step: the next frame may belong to another hour.
                factor = 1.0 if self._factors is None else self._factors.value(time)
                rates = self._rates(time, stored, factor)
                if following is not None:
                    rates = moving_rate(rates, self._rates(time + period.step, following, factor))
                    total.moved += 1
                total.add_rates(rates, step_h)
            time, stored = time + period.step, following
        return total if total.used else None

    def _rates(self, time: datetime, stored: NDArray[np.int16], factor: float) -> NDArray[np.float32]:
        table = rate_table(self._quantities[time], self._law, factor)
        return table.take(stored.view(np.uint16)).astype(np.float32)


def moving_tags(period: Period, total: MovingSum) -> dict[str, str]:
    """Return the tags of a sum of moving rain, in place of those of a plain one."""
    minutes = period.step // timedelta(minutes=1)
    return {
        "SUM_RULE": f"mean rate x {minutes} min over the frames from start on and before end, with the rain moving "
        "from each frame to the next (pysteps, Lucas-Kanade); gaps are not filled",
        "FRAMES_MOVED": f"{total.moved} of {total.used}",
    }
