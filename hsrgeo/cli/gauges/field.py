"""`hsrgeo gauges field`."""

import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer_json, counted, honest_exit, say, say_failed, say_notes
from hsrgeo.cli.gauges import gauge_options
from hsrgeo.cli.wanted import asked

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.engine.gauges.field import GaugeField, GaugeFields

_HOW = "Interpolate"
_SHOWN = 20  # periods without a field that are printed


MethodChoice = Literal["thiessen", "idw", "kriging"]
"""Ways between gauges."""


ModelChoice = Literal["spherical", "exponential", "gaussian"]
"""Shapes of a variogram."""


def field(
    readings: gauge_options.ReadingsFile,
    gauges: gauge_options.Gauges,
    step: gauge_options.Step,
    out: Annotated[str, typer.Option("--out", "-o", metavar="OUT", help="Output folder. Each period becomes one COG.")],
    method: Annotated[
        MethodChoice, typer.Option(help="Nearest gauge, inverse distance weighting, or kriging.", rich_help_panel=_HOW)
    ] = "thiessen",
    period: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH", help="Length of a period: 1h, 1d or event (default: --step).", rich_help_panel=_HOW
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Write only the period with this end (or start, see --stamp).", rich_help_panel=_HOW
        ),
    ] = None,
    min_coverage: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Least share of a period's readings that a gauge must have.", rich_help_panel=_HOW
        ),
    ] = 1.0,
    min_gauges: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Least number of gauges for a field (default 1; kriging 3).", rich_help_panel=_HOW
        ),
    ] = None,
    max_distance: Annotated[
        float | None,
        typer.Option(
            metavar="KM", help="Cells farther than this from every gauge become nodata.", rich_help_panel=_HOW
        ),
    ] = None,
    power: Annotated[
        float | None,
        typer.Option(metavar="P", help="idw: power P of the weight distance ** -P (default 2).", rich_help_panel=_HOW),
    ] = None,
    neighbours: Annotated[
        int | None, typer.Option(metavar="N", help="idw: number of gauges per cell (default 12).", rich_help_panel=_HOW)
    ] = None,
    variogram: Annotated[
        ModelChoice | None,
        typer.Option(
            metavar="MODEL",
            help="Kriging: spherical, exponential or gaussian. Fitted unless you set:",
            rich_help_panel=_HOW,
        ),
    ] = None,
    range_: Annotated[
        float | None,
        typer.Option(
            "--range",
            metavar="KM",
            help="Variogram range: distance at which it reaches the sill (95 % for exponential and gaussian).",
            rich_help_panel=_HOW,
        ),
    ] = None,
    sill: Annotated[float | None, typer.Option(metavar="MM2", help="Nugget included.", rich_help_panel=_HOW)] = None,
    nugget: Annotated[
        float | None,
        typer.Option(metavar="MM2", help="Variance of a gauge's own error (default 0).", rich_help_panel=_HOW),
    ] = None,
    stamp: gauge_options.Stamp = "end",
    unit: gauge_options.Unit = "mm",
    column: gauge_options.Column = None,
    encoding: gauge_options.Encoding = "utf-8",
    missing: gauge_options.Missing = None,
    empty: gauge_options.Empty = "missing",
    max_rain: gauge_options.Most = None,
    skip_bad: gauge_options.SkipBad = False,
    start: gauge_options.Start = None,
    end: gauge_options.End = None,
    grid: gauge_options.GridName = options.MAIN_GRID,
    bbox: options.Bbox = None,
    window: options.Window = None,
    center: options.Center = None,
    size: options.Size = None,
    regions: options.Regions = None,
    crs: Annotated[
        str | None,
        typer.Option(metavar="CRS", help="Output projection, such as EPSG:5179.", rich_help_panel=options.AREA),
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(metavar="SIDE", help="Cell size in units of --crs.", rich_help_panel=options.AREA),
    ] = None,
    jobs: options.Threads = -1,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Interpolate gauge readings to the radar's grid: rain depth in mm, one COG per period.

    Band 2 is the distance to the nearest gauge, in metres of the grid's projection; kriging adds the standard deviation
    of its error. Missing and bad readings are counted and never filled; estimates below zero become 0 and are counted.
    A period with too few gauges has no file, and the exit status is 1.

    Example: hsrgeo gauges field readings.csv --gauges gauges.csv --step 1h --method kriging --out fields/
    """
    arguments = dict(locals())
    with honest_exit():
        from hsrgeo.engine.gauges.field import gauge_fields  # noqa: PLC0415 - commands import what they need
        from hsrgeo.engine.gauges.gauge_options import GaugeFieldOptions  # noqa: PLC0415

        begun = time.perf_counter()
        wanted = GaugeFieldOptions(
            **asked(
                GaugeFieldOptions,
                arguments,
                readings=gauge_options.reading_rules(arguments),
                range_km=range_,
                sill_mm2=sill,
                nugget_mm2=nugget,
                max_distance_km=max_distance,
            )
        )
        run = gauge_fields(readings, out, wanted)
        made = list(_followed(run, quiet=quiet))
        say_notes(run.notes)
        say_failed([f"{_when(one)}: {one.problem}" for one in run.failed], _SHOWN)
        seconds = time.perf_counter() - begun
        if not quiet:
            without = f", {len(run.failed):,} without a field" if run.failed else ""
            used = f"{counted(run.counts['used'], 'reading')} used, as the {stamp} of {step}"
            say(f"{counted(len(run.written), 'file')} of {counted(len(made), 'period')}{without}: {used}")
        if json_:
            answer_json(
                {
                    "out": str(out),
                    "files": [str(path) for path in run.written],
                    "periods": len(made),
                    "readings": dict(run.counts),
                    "negative_to_zero": run.clipped,
                    "seconds": round(seconds, 3),
                    "notes": run.notes,
                    "failed": [{"period": _when(one), "gauges": one.gauges, "why": one.problem} for one in run.failed],
                }
            )
        raise typer.Exit(Status.BROKEN if run.failed or not made else Status.DONE)


def _followed(run: "GaugeFields", *, quiet: bool) -> "list[GaugeField]":
    from rich.console import Console  # noqa: PLC0415 - only where it runs

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return list(run)
    made: list[GaugeField] = []
    with console.status("gauges") as status:
        for one in run:
            made.append(one)
            status.update(f"gauges: {counted(len(made), 'period')}")
    return made


def _when(one: "GaugeField") -> str:
    from hsrgeo.model.times import time_label  # noqa: PLC0415 - only where it runs

    return time_label(one.period.start, one.period.end)
