"""Sums of rain that moves from each frame to the next: the frames wait on a shelf until all of them are there."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.accumulate.rolling import Shelf
from hsrgeo.engine.periods import Period
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.window import Window
from hsrgeo.products.advection import FASTEST_KM_H, moving_rate
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
        step: From one frame to the next.
    """

    def __init__(self, folder: Path, law: Law, factors: Factors | None, step: timedelta) -> None:
        self._folder, self._law, self._factors, self._step = folder, law, factors, step
        self._shelves: dict[int, Shelf] = {}
        self._inner: dict[int, tuple[slice, slice]] = {}
        """Where each area lies in what is on its shelf."""
        self._quantities: dict[datetime, Quantity] = {}

    def put(self, number: int, area: Window, frame: Frame) -> None:
        """Take in the part of a frame that lies in an area or so near that its rain may get there by the next frame."""
        self._quantities[frame.time] = frame.quantity
        window, inner = surroundings(area, frame.grid, self._step)
        if number not in self._shelves:
            self._shelves[number] = Shelf(self._folder / f"moving_{number}", frame.grid.crop(window))
            self._inner[number] = inner
        self._shelves[number].put(frame.time, frame.stored[window.slices])

    def summed(self, number: int, period: Period) -> MovingSum | None:
        """Return the sum of a period in an area; None without a frame.

        The last frame before a gap stands still for its step, as in a plain sum.
        """
        shelf, step_h = self._shelves.get(number), period.step / _HOUR
        if shelf is None:
            return None
        rows, cols = inner = self._inner[number]
        total = MovingSum((rows.stop - rows.start, cols.stop - cols.start), depth_unit_mm(period.expected, step_h))
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
                total.add_rates(rates[inner], step_h)
            time, stored = time + period.step, following
        return total if total.used else None

    def _rates(self, time: datetime, stored: NDArray[np.int16], factor: float) -> NDArray[np.float32]:
        table = rate_table(self._quantities[time], self._law, factor)
        return table.take(stored.view(np.uint16)).astype(np.float32)


def surroundings(area: Window, grid: Grid, step: timedelta) -> tuple[Window, tuple[slice, slice]]:
    """Return an area with the cells around it that rain can come from in a step, and where the area lies in that."""
    margin = math.ceil(FASTEST_KM_H * 1000 * (step / _HOUR) / grid.cell_size_m)
    left, top = max(area.col_off - margin, 0), max(area.row_off - margin, 0)
    right = min(area.col_off + area.width + margin, grid.width)
    bottom = min(area.row_off + area.height + margin, grid.height)
    rows = slice(area.row_off - top, area.row_off - top + area.height)
    cols = slice(area.col_off - left, area.col_off - left + area.width)
    return Window(left, top, right - left, bottom - top), (rows, cols)


def moving_tags(period: Period, total: MovingSum) -> dict[str, str]:
    """Return the tags of a sum of moving rain, in place of those of a plain one."""
    minutes = period.step // timedelta(minutes=1)
    return {
        "SUM_RULE": f"mean rate x {minutes} min over the frames from start on and before end, with the rain moving "
        "from each frame to the next (pysteps, Lucas-Kanade); gaps are not filled",
        "FRAMES_MOVED": f"{total.moved} of {total.used}",
    }
