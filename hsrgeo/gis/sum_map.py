"""A sum -> a map: depth in colours, coast, graticule, and where too little was observed to believe it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.gis import plots
from hsrgeo.gis.coast import CREDIT, lines
from hsrgeo.gis.depth import depth_colours
from hsrgeo.gis.graticule import graticule, scale_bar
from hsrgeo.gis.map import ATTRIBUTION
from hsrgeo.gis.styles import hex_colour
from hsrgeo.model.grid import Grid
from hsrgeo.products.classes import NODATA, ColourClass, on_white
from hsrgeo.products.palettes import Rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HATCH: Rgb = (105, 105, 105)
_COAST, _BORDER, _NET = "#3a3a3a", "#76706c", "#aeb6bf"
_LEFT_PX, _RIGHT_PX, _HEAD_PX, _FOOT_PX = 70, 112, 78, 108
_TALLEST = 1.6  # times the map's width: a narrow strip is not magnified to metres
_LEAST_BODY_PX = 260  # what a legend needs
_HATCH_PX, _HATCH_WIDE_PX = 10, 1
_SCALE_SHARE = 0.28
_MARK_PX = 70
_MOST_NUMBERS_PX = 15  # between two numbers of the legend, at least


@dataclass(frozen=True, slots=True, eq=False)
class SumMap:
    """What a map of a sum shows."""

    grid: Grid
    depth_mm: NDArray[np.float32]
    """NaN where it is not known."""
    doubtful: NDArray[np.bool_]
    """Cells observed in too few frames: hatched."""
    classes: Sequence[ColourClass]
    """Of `hsrgeo.gis.depth.depth_classes`."""
    title: str
    facts: str
    """Below the title: the period, and how much was observed."""
    doubt: str
    """What the hatch means, for the key."""
    synthetic: bool = False
    credit: str = ATTRIBUTION
    """Where the data are from; empty where that is not known."""
    dry: Rgb = (246, 248, 250)
    nodata: Rgb = NODATA


def draw_sum(shown: SumMap, suffix: str, *, width: int = 1000) -> tuple[bytes, list[str]]:
    """Return a picture of a sum, and notes: a title that no font can show.

    Cells are repeated or chosen, never blended: the colours of the map are those of the legend.

    Args:
        shown: What to draw.
        suffix: ``.png`` or ``.svg``; of an SVG lines and letters are vectors.
        width: Of the picture [pixels].

    Raises:
        MissingExtraError: matplotlib or the coastlines are not installed.
    """
    grid = shown.grid
    room = width - _LEFT_PX - _RIGHT_PX
    across = min(room, round(_TALLEST * room * grid.width / grid.height))
    down = max(round(across * grid.height / grid.width), 1)
    body = max(down, _LEAST_BODY_PX)
    height = _HEAD_PX + body + _FOOT_PX
    notes: list[str] = []
    with plots.sheet(width, height) as figure:
        # The map in the middle of its room, the legend beside it.
        left = _LEFT_PX + (room - across) // 2
        axes = figure.add_axes(
            (left / width, (_FOOT_PX + body - down) / height, across / width, down / height), facecolor="none"
        )
        _cells(axes, shown, across, down)
        _lines(axes, grid)
        legend = figure.add_axes(((left + across + 18) / width, _FOOT_PX / height, 20 / width, (body - 22) / height))
        _legend(legend, shown.classes, body)
        _head(figure, shown, left, notes)
        _foot(figure, shown, left, across)
        return plots.packed(figure, suffix), notes


def _cells(axes: Axes, shown: SumMap, across: int, down: int) -> None:
    grid = shown.grid
    rows = ((np.arange(down) + 0.5) * grid.height / down).astype(np.intp)
    cols = ((np.arange(across) + 0.5) * grid.width / across).astype(np.intp)
    chosen = np.ix_(rows, cols)
    panel = depth_colours(shown.depth_mm[chosen], shown.classes, dry=shown.dry, nodata=shown.nodata)
    stripes = (np.arange(down)[:, None] + np.arange(across)) % _HATCH_PX < _HATCH_WIDE_PX
    panel[shown.doubtful[chosen] & stripes] = _HATCH
    axes.imshow(panel, extent=(0, grid.width, grid.height, 0), interpolation="nearest", aspect="auto", zorder=0)


def _lines(axes: Axes, grid: Grid) -> None:
    ticks: dict[str, tuple[list[float], list[str]]] = {"bottom": ([], []), "left": ([], [])}
    for tick in graticule(grid):
        axes.plot(*tick.line.T, color=_NET, linewidth=0.5, zorder=1)
        if tick.at is not None:
            ticks[tick.side][0].append(tick.at)
            ticks[tick.side][1].append(tick.label)
    for line_type, colour in (("border", _BORDER), ("coast", _COAST)):
        for line in lines(grid, "border" if line_type == "border" else "coast"):
            axes.plot(*line.T, color=colour, linewidth=0.8, zorder=2)
    axes.set_xlim(0, grid.width)
    axes.set_ylim(grid.height, 0)
    axes.set_xticks(*ticks["bottom"])
    axes.set_yticks(*ticks["left"])
    axes.tick_params(length=3, color="#9aa1a9", labelsize=8.5)


def _legend(axes: Axes, classes: Sequence[ColourClass], body: int) -> None:
    axes.imshow(
        np.array([[on_white(one.rgba)] for one in classes], np.uint8),
        extent=(0, 1, 0, len(classes)),
        origin="lower",
        interpolation="nearest",
        aspect="auto",
    )
    every = -(-_MOST_NUMBERS_PX * len(classes) // body)
    axes.set_yticks(range(0, len(classes), every), [one.name or one.label for one in classes][::every])
    axes.yaxis.tick_right()
    axes.tick_params(length=3, color="#9aa1a9", labelsize=9)
    axes.set_xticks([])
    axes.set_title("mm", fontsize=9.5, pad=6)


def _head(figure: Figure, shown: SumMap, left: int, notes: list[str]) -> None:
    width, height = _pixels(figure)
    title, font = shown.title, plots.letters(shown.title)
    if font is None:
        notes.append(
            f"no font on this machine has every letter of the title {title!r}; the plot goes without it "
            "(for Korean: apt-get install fonts-nanum)"
        )
        title = ""
    x = min(left, _LEFT_PX) / width
    room = width - 2 * _LEFT_PX
    figure.text(
        x,
        1 - 26 / height,
        title,
        fontproperties=font,
        size=plots.fitted_size(title, 14, room),
        weight="bold",
        va="center",
    )
    beside = room - (_MARK_PX if shown.synthetic else 0)
    figure.text(
        x, 1 - 54 / height, shown.facts, size=plots.fitted_size(shown.facts, 10, beside), color=plots.INK, va="center"
    )
    if shown.synthetic:
        figure.text(
            1 - 14 / width,
            1 - 54 / height,
            "SYNTHETIC",
            size=11,
            color=plots.ALARM,
            weight="bold",
            va="center",
            ha="right",
        )


def _foot(figure: Figure, shown: SumMap, left: int, across: int) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415 - an optional extra
    from matplotlib.patches import Patch  # noqa: PLC0415

    width, height = _pixels(figure)
    edge: dict[str, Any] = {"edgecolor": "#9aa1a9", "linewidth": 0.6}
    marks = [
        Patch(facecolor=hex_colour(shown.dry), label="no rain", **edge),
        Patch(facecolor=hex_colour(shown.nodata), label="not known", **edge),
    ]
    if shown.doubtful.any():
        marks.append(
            Patch(facecolor="white", edgecolor=hex_colour(_HATCH), hatch="////", label=shown.doubt, linewidth=0.6)
        )
    figure.legend(
        handles=marks,
        loc="lower left",
        bbox_to_anchor=(_LEFT_PX / width, 32 / height),
        ncols=len(marks),
        frameon=False,
        fontsize=9,
        borderaxespad=0,
        borderpad=0,
    )
    length, cells = scale_bar(shown.grid, _SCALE_SHARE * shown.grid.width)
    right, bar = (left + across) / width, cells / shown.grid.width * across / width
    y = 66 / height
    figure.add_artist(Line2D([right - bar, right], [y, y], color=plots.INK, linewidth=1.4))
    for x in (right - bar, right):
        figure.add_artist(Line2D([x, x], [y - 4 / height, y + 4 / height], color=plots.INK, linewidth=1.0))
    figure.text(right - bar - 6 / width, y, length, size=9, va="center", ha="right")
    said = "SYNTHETIC: made by hsrgeo simulate, nothing was observed" if shown.synthetic else shown.credit
    colour = plots.ALARM if shown.synthetic else plots.QUIET
    text = ". ".join(filter(None, (said, CREDIT)))
    figure.text(
        _LEFT_PX / width,
        14 / height,
        text,
        size=plots.fitted_size(text, 8, width - 2 * _LEFT_PX),
        color=colour,
        va="center",
    )


def _pixels(figure: Figure) -> tuple[float, float]:
    return figure.get_figwidth() * plots.DPI, figure.get_figheight() * plots.DPI
