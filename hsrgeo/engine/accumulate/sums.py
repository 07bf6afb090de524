"""The sums of an accumulation that are open, what band 1 of a file shows of them, and what the file says of itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.periods import Period
from hsrgeo.gis.depth import times_of
from hsrgeo.gis.styles import qml
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import DEPTH
from hsrgeo.model.times import kst_text, time_label, utc_text
from hsrgeo.products.sums import RunningSum
from hsrgeo.sources.remote import Place
from hsrgeo.writers.files import write_file

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


_OPEN_BYTES = 1 << 29
# ^ sums that stay in memory: ten of the whole 500 m grid, hundreds of a crop; more wait on disk

Key = tuple[datetime, int]
"""Start of a period, number of the area."""


class OpenSums:
    """The sums that are not complete yet; those that were not used for longest wait on disk where there are many.

    Args:
        folder: For the ones that wait.
        most_bytes: That stay in memory.
        made: What a new one is.
    """

    def __init__(self, folder: Path, most_bytes: int = _OPEN_BYTES, made: type[RunningSum] = RunningSum) -> None:
        self._made = made
        self._folder = folder
        self._most = most_bytes
        self._bytes = 0
        self._here: OrderedDict[Key, RunningSum] = OrderedDict()
        self._away: dict[Key, RunningSum] = {}

    def get(self, key: Key, shape: tuple[int, int], unit_mm: float) -> RunningSum:
        """Return the sum of a period and area; a new one where there is none."""
        if key not in self._here:
            total = self._restored(key) if key in self._away else self._made(shape, unit_mm)
            self._here[key] = total
            self._bytes += total.nbytes
            while self._bytes > self._most and len(self._here) > 1:
                oldest, other = next(iter(self._here.items()))
                self._bytes -= other.nbytes
                other.save(self._path(oldest))
                self._away[oldest] = self._here.pop(oldest)
        self._here.move_to_end(key)
        return self._here[key]

    def pop(self, key: Key) -> RunningSum | None:
        """Return a sum and forget it, or None where there is none."""
        if key in self._away:
            return self._restored(key)
        total = self._here.pop(key, None)
        self._bytes -= total.nbytes if total else 0
        return total

    def _restored(self, key: Key) -> RunningSum:
        total = self._away.pop(key)
        total.restore(self._path(key))
        self._path(key).unlink()
        return total

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key[0].timestamp():.0f}_{key[1]}.npy"


def write_sum(path: Place, data: bytes, length: timedelta) -> None:
    """Write a COG of depth and, for QGIS to find by its name, its style: two bands would be shown as false colours."""
    write_file(path.with_name(f"{PurePosixPath(path.name).stem}.qml"), qml(DEPTH, times=times_of(length)).encode())
    write_file(path, data)


def described(what: str, period: Period) -> str:
    """Return what a file shows, and of which time."""
    return f"{what}, {time_label(period.start, period.end)}"


def period_tags(what: str, period: Period, named: Mapping[str, str]) -> dict[str, str]:
    """Return the first tags of a file of a period: `what` it shows, for people, and those that name what it holds."""
    return {
        "TIFFTAG_DATETIME": period.start.astimezone(UTC).strftime("%Y:%m:%d %H:%M:%S"),
        "TIFFTAG_IMAGEDESCRIPTION": described(what, period),
        **named,
        "PERIOD": period.name,
        "TIME_START_UTC": utc_text(period.start),
        "TIME_END_UTC": utc_text(period.end),
        "TIME_START_KST": kst_text(period.start),
        "TIME_END_KST": kst_text(period.end),
    }


def sum_tags(
    period: Period, used: int, frame: Frame, law: str, min_coverage: float, shown: StatBand = SUM
) -> dict[str, str]:
    """Return the tags of a sum's file, of `used` frames; `frame` is one of them, cut to the area."""
    minutes = period.step // timedelta(minutes=1)
    made_up = "SYNTHETIC " if frame.header.synthetic else ""
    named = {"PRODUCT": frame.product, "QUANTITY": shown.name, "UNIT": shown.unit}
    tags = {
        **period_tags(f"{made_up}KMA {frame.product} composites, {shown.name} ({shown.unit})", period, named),
        "FRAMES_USED": str(used),
        "FRAMES_EXPECTED": str(period.expected),
        "FRAME_STEP_MINUTES": str(minutes),
        "SUM_RULE": shown.rule.format(minutes=minutes),
        "MIN_COVERAGE": f"{min_coverage:g}",
        "RAIN_LAW": law,
        "BIAS_SOURCE": dict(frame.derived).get("BIAS_SOURCE", ""),
        "GRID": frame.grid.name,
        "WINDOW": str(frame.window),
        "SYNTHETIC": "yes" if frame.header.synthetic else "",
    }
    return {name: value for name, value in tags.items() if value}
