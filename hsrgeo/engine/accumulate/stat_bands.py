"""What band 1 of a file of a period shows: the sum of the rain, or another number of its frames."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.products.sums import RunningSum

Stat = Literal["sum", "max", "mean", "frequency"]

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class StatBand:
    """A number of the frames of a period."""

    name: str
    unit: str
    rule: str
    """For people; ``{minutes}`` is what a frame stands for."""
    file: str
    """What file names begin with."""


_OVER = "over the frames from start on and before end"
SUM = StatBand("rain_depth", "mm", f"rate x {{minutes}} min {_OVER}; gaps are not filled", "rain")
STAT_BANDS: dict[Stat, StatBand] = {
    "sum": SUM,
    "max": StatBand("rain_rate_max", "mm/h", f"highest rate {_OVER}", "maximum"),
    "mean": StatBand("rain_rate_mean", "mm/h", f"mean rate {_OVER} in which the cell was observed", "mean"),
    "frequency": StatBand("rain_frequency", "%", f"share of wet frames {_OVER} that saw the cell", "frequency"),
}


def number_of(total: RunningSum, stat: Stat, step: timedelta) -> NDArray[np.float64]:
    """Return what band 1 shows of another stat than ``sum``, of any cell that was observed."""
    match stat:
        case "max":
            return total.depth_mm / (step / _HOUR)
        case "mean":
            return total.depth_mm / (step / _HOUR) / np.maximum(total.frames, 1)
        case _:
            return 100 * np.rint(total.depth_mm / total.unit_mm) / np.maximum(total.frames, 1)
