"""Series of rain -> hyetographs: bars of rain, the depth so far, and gaps that nobody takes for dry weather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.gis import plots
from hsrgeo.model.times import KST, time_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_BAR, _PART_BAR, _LINE, _PART = "#2b6cb0", "#8db4dd", "#b4480f", "#f7e6bd"
_GAP: dict[str, Any] = {"facecolor": plots.NODATA, "edgecolor": "#8b929b", "linewidth": 0}
_PANEL_PX, _HEAD_PX, _FOOT_PX = 230, 64, 78
_ONE_ROW_PX = 920  # a picture narrower than this has the key below it in two rows
_ROW_PX = 22
_SIDE_PX = 76
_WHEN_PX = 390  # of the times beside the title
_WHOLE = 1 - 1e-6
_MOST_BARS = 600
_COARSER = tuple(timedelta(minutes=minutes) for minutes in (10, 30, 60, 180, 360, 720, 1440))
_HEADROOM = 1.18  # of an axis, above the highest bar
_LEAST_AXIS = 1.0  # mm/h or mm: a trace of rain is no tower
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, eq=False)
class PlaceSeries:
    """The rain of a place over time, without a slot left out."""

    name: str
    start: datetime
    """Of the first slot, KST."""
    step: timedelta
    """From slot to slot; each number stands for so long."""
    rates: NDArray[np.float64]
    """mm/h; NaN where nothing was observed."""
    coverage: NDArray[np.float64]
    """Share of the place that was observed; 0 where `rates` is NaN."""

    @property
    def depths_mm(self) -> NDArray[np.float64]:
        """Depth of each slot; 0 where nothing was observed."""
        depths: NDArray[np.float64] = np.nan_to_num(self.rates, nan=0.0) * (self.step / _HOUR)
        return depths


@dataclass(frozen=True, slots=True, eq=False)
class _Bars:
    edges: NDArray[np.float64]
    """Days of matplotlib, one more than bars."""
    heights: NDArray[np.float64]
    coverage: NDArray[np.float64]


def bar_step(series: PlaceSeries) -> timedelta:
    """Return how long a bar stands for where nobody said: the series' own step, or longer where bars would be lines."""
    count = len(series.rates)
    if count <= _MOST_BARS:
        return series.step
    longer = [step for step in _COARSER if step > series.step and not step % series.step]
    return next((step for step in longer if count * (series.step / step) <= _MOST_BARS), (longer or [series.step])[-1])


def draw_hyetographs(
    series: Sequence[PlaceSeries], suffix: str, *, bar: timedelta, title: str = "", width: int = 1200
) -> tuple[bytes, list[str]]:
    """Return a picture with a panel for each place, and notes: which names no font can show.

    Args:
        series: Of one time axis; at least one.
        suffix: ``.png`` or ``.svg``.
        bar: What a bar stands for; that of the series gives mm/h, a multiple of it the depth in so long a time.
        title: Above the panels; empty for the time.
        width: Of the picture [pixels].
    """
    rows = 1 if width >= _ONE_ROW_PX else 2
    foot = _FOOT_PX + (rows - 1) * _ROW_PX
    height = _HEAD_PX + foot + len(series) * _PANEL_PX
    notes: list[str] = []
    with plots.sheet(width, height) as figure:
        _head(figure, series[0], title, notes)
        top, bottom = 1 - _HEAD_PX / height, foot / height
        each = (top - bottom) / len(series)
        for order, one in enumerate(series):
            low = top - (order + 1) * each
            box = (_SIDE_PX / width, low + 0.10 * each, 1 - 2 * _SIDE_PX / width, 0.74 * each)
            axes = figure.add_axes(box)
            _panel(axes, one, bar)
            _name(axes, one, order, notes)
            _time_axis(axes, labelled=order == len(series) - 1)
        _key(figure, bar, series[0].step, rows)
        return plots.packed(figure, suffix), notes


def _head(figure: Figure, first: PlaceSeries, title: str, notes: list[str]) -> None:
    start, end = first.start, first.start + len(first.rates) * first.step
    when = time_label(start, end)
    font = plots.letters(title)
    if title and font is None:
        notes.append(_fontless(f"the title {title!r}") + "; the plot goes without it")
        title = ""
    above = 1 - 22 / (figure.get_figheight() * plots.DPI)
    left = _SIDE_PX / (figure.get_figwidth() * plots.DPI)
    text = title or "Rain by radar"
    size = plots.fitted_size(text, 13, (1 - 2 * left) * figure.get_figwidth() * plots.DPI - _WHEN_PX)
    figure.text(left, above, text, fontproperties=font, size=size, weight="bold", va="center")
    figure.text(1 - left, above, when, size=10, va="center", ha="right", color=plots.QUIET)


def _name(axes: Axes, one: PlaceSeries, order: int, notes: list[str]) -> None:
    name, font = one.name, plots.letters(one.name)
    if font is None:
        name = f"place {order + 1}"
        notes.append(_fontless(f"{one.name!r}") + f"; it is called {name!r} in the plot")
    short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3].rstrip() + "..."
    axes.set_title(short, loc="left", fontproperties=font, size=11, weight="bold")
    share = float(one.coverage.mean())
    observed = "all observed" if share >= _WHOLE else f"{_percent(share)} observed"
    axes.set_title(f"{one.depths_mm.sum():.1f} mm, {observed}", loc="right", size=10)


def _panel(axes: Axes, one: PlaceSeries, bar: timedelta) -> None:
    bars = _bars(one, bar)
    axes.set_xlim(bars.edges[0], bars.edges[-1])
    seen = bars.coverage > 0
    whole = bars.coverage >= _WHOLE
    for first, last in _runs(seen & ~whole):
        axes.axvspan(bars.edges[first], bars.edges[last], facecolor=_PART, edgecolor="none", zorder=1.5)
    for first, last in _runs(~seen):
        axes.axvspan(bars.edges[first], bars.edges[last], hatch="////", zorder=1.5, **_GAP)
    for chosen, colour in ((whole, _BAR), (seen & ~whole, _PART_BAR)):
        axes.bar(
            bars.edges[:-1][chosen],
            bars.heights[chosen],
            np.diff(bars.edges)[chosen],
            align="edge",
            color=colour,
            edgecolor="white" if len(bars.heights) <= _MOST_BARS // 4 else "none",
            linewidth=0.4,
            zorder=2,
        )
    axes.set_ylim(0, max(_HEADROOM * float(bars.heights.max(initial=0)), _LEAST_AXIS))
    axes.set_ylabel("mm/h" if bar == one.step else f"mm in {_length(bar)}", color=_BAR)
    axes.grid(axis="y", color="#e3e6ea", linewidth=0.7, zorder=1)
    axes.spines["top"].set_visible(False)
    _total(axes, one)


def _total(axes: Axes, one: PlaceSeries) -> None:
    """Draw the depth so far at the series' own steps, dotted where nothing was observed."""
    right = axes.twinx()
    so_far = np.concatenate([[0.0], np.cumsum(one.depths_mm)])
    edges = _edges(one.start, one.step, len(one.rates))
    gaps = np.isnan(one.rates)
    for runs, style in ((_runs(~gaps), "-"), (_runs(gaps), ":")):
        for first, last in runs:
            right.plot(edges[first : last + 1], so_far[first : last + 1], style, color=_LINE, linewidth=1.6)
    right.set_ylim(0, max(_HEADROOM * float(so_far[-1]), _LEAST_AXIS))
    right.set_ylabel("mm so far", color=_LINE)
    right.spines["top"].set_visible(False)
    right.set_xlim(axes.get_xlim())


def _time_axis(axes: Axes, *, labelled: bool) -> None:
    dates = plots.dates()
    locator = dates.AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        dates.ConciseDateFormatter(
            locator,
            formats=["%Y", "%Y-%m", "%m-%d", "%H:%M", "%H:%M", "%S"],
            zero_formats=["", "%Y", "%Y-%m", "%m-%d", "%H:%M", "%H:%M"],
            offset_formats=["", "", "", "", "", ""],
        )
    )
    axes.tick_params(axis="x", labelbottom=labelled)
    if labelled:
        axes.set_xlabel("KST", loc="right")


def _key(figure: Figure, bar: timedelta, step: timedelta, rows: int) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415 - an optional extra
    from matplotlib.patches import Patch  # noqa: PLC0415

    marks = [
        Patch(facecolor=_BAR, label="rain rate" if bar == step else f"rain in {_length(bar)}"),
        Line2D([], [], color=_LINE, linewidth=1.6, label="depth so far, of what was observed"),
        Patch(facecolor=_PART, edgecolor="#d9c48a", linewidth=0.5, label="partly observed"),
        Patch(hatch="////", label="not observed", **_GAP),
    ]
    figure.legend(
        handles=marks, loc="lower center", ncols=len(marks) // rows, frameon=False, fontsize=9, borderaxespad=0.5
    )


def _bars(one: PlaceSeries, bar: timedelta) -> _Bars:
    if bar == one.step:
        return _Bars(_edges(one.start, one.step, len(one.rates)), np.nan_to_num(one.rates, nan=0.0), one.coverage)
    # Whole bars from midnight; what the first and the last lack before and after the series is left out, not a gap.
    midnight = one.start.replace(hour=0, minute=0, second=0, microsecond=0)
    each = bar // one.step
    skipped = (one.start - midnight) // one.step % each
    order = (np.arange(len(one.rates)) + skipped) // each
    slots = np.bincount(order)
    begin = one.start - skipped * one.step
    heights: NDArray[np.float64] = np.bincount(order, one.depths_mm).astype(np.float64)
    return _Bars(_edges(begin, bar, len(slots)), heights, np.bincount(order, one.coverage) / slots)


def _runs(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and end of each run of true values."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in change.reshape(-1, 2)]


def _edges(start: datetime, step: timedelta, count: int) -> NDArray[np.float64]:
    return np.arange(count + 1, dtype=np.float64) * (step / _DAY) + _days(start)


def _days(time: datetime) -> float:
    """Return a time as matplotlib counts, as a clock in Korea shows it."""
    return float(plots.dates().date2num(time.astimezone(KST).replace(tzinfo=None)))


def _length(step: timedelta) -> str:
    for unit, word in ((_DAY, "d"), (_HOUR, "h")):
        if not step % unit:
            return f"{step // unit} {word}"
    return f"{step // timedelta(minutes=1)} min"


def _percent(share: float) -> str:
    """Return a share as people read it; what is not all of it is never called 100 %."""
    return f"{min(100 * share, 99.9):.3g} %"


def _fontless(what: str) -> str:
    return f"no font on this machine has every letter of {what} (for Korean: apt-get install fonts-nanum)"
