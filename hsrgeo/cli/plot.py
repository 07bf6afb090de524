"""`hsrgeo plot series` and `hsrgeo plot sum`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.commands import Command, Commands
from hsrgeo.cli.common import answer, honest_exit, say_notes, time_option

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.engine.plot import Plotted

plot = typer.Typer(
    name="plot",
    cls=Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Draw a series as hyetographs, or a sum as a map: PNG or SVG. Needs the extra: pip install 'hsrgeo[plot]'.",
)


@plot.command(cls=Command, no_args_is_help=True)
def series(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Table from hsrgeo series (.csv or .parquet).")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Output picture (.png or .svg).")],
    name: Annotated[
        list[str] | None, typer.Option(metavar="PLACE", help="Draw only this place. Repeatable; the order is kept.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="First time, such as 2022-06-09T11:15; KST unless a zone is given."),
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="End of the time range (exclusive).")] = None,
    bar: Annotated[
        str | None,
        typer.Option(
            metavar="STEP", help="Draw bars of depth per period, such as 1h. Default: mm/h at the step of the table."
        ),
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title above the plot.")] = "",
    width: Annotated[int, typer.Option(metavar="PIXELS", help="Width of the picture in pixels.")] = 1200,
) -> None:
    """Draw the rain of places over time: bars, the depth so far, and what was not observed.

    A gap is grey and hatched, never drawn as zero; a place that was observed in part is shaded. Times are KST.

    Example: hsrgeo plot series rain.csv --name 강남 --out rain.png
    """
    with honest_exit():
        from hsrgeo.engine.plot import (  # noqa: PLC0415 - commands import what they need when they run
            PlotSeriesOptions,
            plot_series,
        )
        from hsrgeo.model.times import parse_step  # noqa: PLC0415

        options = PlotSeriesOptions(
            names=name or (),
            start=time_option(start),
            end=time_option(end),
            bar=parse_step(bar) if bar is not None else None,
            title=title,
            width=width,
        )
        _tell(plot_series(table, out, options))


@plot.command("sum", no_args_is_help=True)
def sum_(
    source: Annotated[Path, typer.Argument(metavar="COG", help="GeoTIFF from hsrgeo accumulate.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Output picture (.png or .svg).")],
    coverage: Annotated[
        float, typer.Option(metavar="SHARE", help="Hatch cells observed in a smaller share of the frames.")
    ] = 0.9,
    times: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Factor (1, 2, 5 or 10) on KMA's colour bounds, in mm. Default: by the length of the sum, as in its "
            ".qml: 1 up to 3 h, 2 up to 1 d, 5 up to 7 d.",
        ),
    ] = None,
    palette: options.Palette = None,
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="Title above the map. Default: a description of the data.")
    ] = "",
    width: Annotated[int, typer.Option(metavar="PIXELS", help="Width of the picture in pixels.")] = 1000,
) -> None:
    """Draw a sum of rain as a map with classes of depth in mm, coast, graticule, period and frames.

    What is not known is grey. KMA has no table of depths: the colours are KMA's for mm/h, the legend lists the bounds.

    Example: hsrgeo plot sum daily/202206/09/rain_1d_202206090000.tif --out day.png
    """
    with honest_exit():
        from hsrgeo.engine.plot import (  # noqa: PLC0415 - commands import what they need when they run
            PlotSumOptions,
            plot_sum,
        )

        chosen = PlotSumOptions(coverage=coverage, times=times, palette=palette, title=title, width=width)
        _tell(plot_sum(source, out, chosen))


def _tell(plotted: "Plotted") -> None:
    say_notes(plotted.notes)
    places = f": {', '.join(plotted.places)}" if plotted.places else ""
    answer(f"{plotted.path}{places}")
