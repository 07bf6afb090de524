"""Plots: a table of `hsrgeo series` as hyetographs, a COG of `hsrgeo accumulate` as a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.periods import fewest_of
from hsrgeo.engine.series.series_table import read_series
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.gis import plots
from hsrgeo.gis.depth import TIMES, depth_classes, times_of
from hsrgeo.gis.hyetograph import bar_step, draw_hyetographs
from hsrgeo.gis.map import ATTRIBUTION
from hsrgeo.gis.sum_map import SumMap, draw_sum
from hsrgeo.model.fields import Step, Time
from hsrgeo.model.times import KST, refuse_uneven
from hsrgeo.outputs.summed import duration_of, is_field, title_of
from hsrgeo.products.classes import on_white
from hsrgeo.products.palettes import Palette, palette_of
from hsrgeo.sources.remote import local
from hsrgeo.writers.files import write_file
from hsrgeo.writers.sum_readback import SumPicture, read_sum


@dataclass(frozen=True, slots=True)
class Plotted:
    """What came of it."""

    path: Path
    notes: list[str] = field(default_factory=list)
    """What a user should know, such as a name that no font can show."""
    places: list[str] = field(default_factory=list)
    """Of a series, in the order of the panels."""


@dataclass(frozen=True, kw_only=True)
class PlotSeriesOptions:
    """How `plot_series` draws a table.

    Args:
        names: Places, in this order; empty for all of the table.
        start: First time wanted: aware, or a text such as ``2022-06-09 11:15`` (KST); a time that the table does not
            have is a gap.
        end: First time no longer wanted, likewise.
        bar: What a bar stands for: the table's own step, drawn in mm/h, or a multiple of it, drawn as depth in so long
            a time; None is the step, or longer where there would be more bars than can be seen.
        title: Above the plot.
        width: Of the picture [pixels]; an SVG is as large on paper.

    Raises:
        OptionsError: Options that cannot be.
    """

    names: Sequence[str] = ()
    start: Time = Time(None)
    end: Time = Time(None)
    bar: Step[None] = Step(None)
    title: str = ""
    width: int = 1200

    def __post_init__(self) -> None:
        _check_width(self.width)
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise OptionsError("end must be later than start")
        if self.bar is not None:
            refuse_uneven(f"bar {self.bar}", self.bar)


@dataclass(frozen=True, kw_only=True)
class PlotSumOptions:
    """How `plot_sum` draws a sum.

    Args:
        coverage: Cells observed in a smaller share of the expected frames are hatched, 0 to 1.
        times: The classes' bounds are KMA's numbers read as mm, times 1, 2, 5 or 10; None goes by the length of
            the sum, as its ``.qml`` and `hsrgeo.render` do: see `hsrgeo.gis.depth.times_of`.
        palette: Other colours, by depth in mm: a file, see `hsrgeo.products.palettes`.
        title: Above the map; empty for what it shows.
        width: Of the picture [pixels]; an SVG is as large on paper.

    Raises:
        OptionsError: Options that cannot be.
    """

    coverage: float = 0.9
    times: int | None = None
    palette: Palette | str | Path | None = None
    title: str = ""
    width: int = 1000

    def __post_init__(self) -> None:
        _check_width(self.width)
        if not 0 <= self.coverage <= 1:
            raise OptionsError(f"coverage {self.coverage:g}: expected a share from 0 to 1")
        if self.times is not None and self.times not in TIMES:
            raise OptionsError(f"times {self.times}: expected one of {', '.join(map(str, TIMES))}")
        if self.palette is not None:
            if self.times is not None:
                raise OptionsError(
                    "times is for the bounds of KMA's classes, and palette has its own: give one of them"
                )
            object.__setattr__(self, "palette", palette_of(self.palette))
            depth_classes(TIMES[0], palette_of(self.palette))  # raises where it is for another unit


@takes(PlotSeriesOptions)
def plot_series(
    table: str | Path, out: str | Path, options: PlotSeriesOptions | None = None, **keywords: object
) -> Plotted:
    """Draw a table of `hsrgeo series`: for each place bars of rain and the depth so far, times in KST.

    What was not observed is grey and hatched, never drawn as zero; where a place was observed in part the ground is
    shaded, and its bars are of the observed part. The depth so far adds up what was observed.

    Args:
        table: ``.csv`` or ``.parquet`` with rain.
        out: The picture, ``.png`` or ``.svg``; what is there already is replaced.
        options: Which places and times, and how.
        keywords: Fields of `PlotSeriesOptions`, in place of those of `options`.

    Raises:
        OptionsError: Another suffix, no such place, no row within the times.
        SourceError: No series, or a damaged one.
        MissingExtraError: matplotlib is not installed.
        WriteError: The disk refused.
    """
    chosen, path, source = options_of(PlotSeriesOptions, options, keywords), local(out, "hsrgeo plot"), Path(table)
    plots.check_suffix(path.suffix, str(out))
    series, notes = read_series(source, chosen.names, chosen.start, chosen.end)
    step = series[0].step
    bar = chosen.bar or bar_step(series[0])
    if bar % step:
        raise OptionsError(f"bar {bar}: must be a multiple of the table's step, {step}")
    data, more = draw_hyetographs(series, path.suffix, bar=bar, title=_one_line(chosen.title), width=chosen.width)
    write_file(path, data)
    return Plotted(path, notes + more, [one.name for one in series])


@takes(PlotSumOptions)
def plot_sum(source: str | Path, out: str | Path, options: PlotSumOptions | None = None, **keywords: object) -> Plotted:
    """Draw a COG of `hsrgeo accumulate` as a map with classes of depth, coast and graticule.

    What is not known is grey; cells that were observed in too few frames are hatched. The classes are not KMA's: see
    `hsrgeo.gis.depth`.

    Args:
        source: The COG: a sum, rolling maxima or a gauge field.
        out: The picture, ``.png`` or ``.svg``; what is there already is replaced.
        options: How.
        keywords: Fields of `PlotSumOptions`, in place of those of `options`.

    Raises:
        OptionsError: Another suffix.
        SourceError: No such file, or no sum.
        MissingExtraError: matplotlib or the coastlines are not installed.
        WriteError: The disk refused.
    """
    chosen, path = options_of(PlotSumOptions, options, keywords), local(out, "hsrgeo plot")
    plots.check_suffix(path.suffix, str(out))
    read = read_sum(Path(source))
    tags = read.tags
    made_up = tags.get("SYNTHETIC") == "yes"
    try:
        expected = 1 if is_field(tags) else int(tags[_EXPECTED[0] if _EXPECTED[0] in tags else _EXPECTED[1]])
        facts = _facts(tags, read)
        times = chosen.times or times_of(duration_of(tags))
    except (KeyError, ValueError) as error:
        raise SourceError(str(source), f"is not a sum written by hsrgeo accumulate: {error!r}") from error
    fewest = fewest_of(chosen.coverage, expected)
    palette = None if chosen.palette is None else palette_of(chosen.palette)
    shown = SumMap(
        grid=read.grid,
        depth_mm=read.depth_mm,
        doubtful=np.isfinite(read.depth_mm) & (read.counts < fewest),
        classes=depth_classes(times, palette),
        title=_one_line(chosen.title) or title_of(tags),
        facts=facts,
        doubt=f"under {100 * chosen.coverage:g} % of {'windows' if 'DURATION' in tags else 'frames'}",
        synthetic=made_up,
        credit=ATTRIBUTION if "LICENCE" in tags else "",
    )
    if palette:
        shown = replace(shown, dry=on_white(palette.undetect or (*shown.dry, 255)))
        shown = replace(shown, nodata=on_white(palette.nodata or (*shown.nodata, 255)))
    data, notes = draw_sum(shown, path.suffix, width=chosen.width)
    write_file(path, data)
    return Plotted(path, notes)


_EXPECTED = ("WINDOWS_EXPECTED", "FRAMES_EXPECTED")


def _facts(tags: Mapping[str, str], read: SumPicture) -> str:
    """Return period, frames and highest depth, as in ``2022-06-09 10:00 to 11:00 KST, 9 of 12 frames, ...``."""
    start, end = (datetime.fromisoformat(tags[f"TIME_{edge}_UTC"]).astimezone(KST) for edge in ("START", "END"))
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    counted = "GAUGES" if is_field(tags) else "FRAMES"
    used, expected = (
        int(tags[f"{counted}_USED"]),
        int(tags["GAUGES_LISTED" if counted == "GAUGES" else "FRAMES_EXPECTED"]),
    )
    known = read.depth_mm[np.isfinite(read.depth_mm)]
    highest = f"highest {known.max():.1f} mm" if known.size else "no cell known"
    return f"{start:%Y-%m-%d %H:%M} to {until} KST, {used:,} of {expected:,} {counted.lower()}, {highest}"


def _check_width(width: int) -> None:
    if not plots.LEAST_WIDTH <= width <= plots.LARGEST_WIDTH:
        raise OptionsError(f"width {width}: expected {plots.LEAST_WIDTH} to {plots.LARGEST_WIDTH} pixels")


def _one_line(text: str) -> str:
    return " ".join(text.split())
