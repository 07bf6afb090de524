"""`hsrgeo gauges field`, `hsrgeo gauges bias` and `hsrgeo gauges polygons`."""

import math
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer_json, counted, honest_exit, say, time_option
from hsrgeo.cli.gauges_options import (
    Column,
    Empty,
    EmptyChoice,
    Encoding,
    End,
    Gauges,
    GridName,
    Missing,
    Most,
    ReadingsFile,
    SkipBad,
    Stamp,
    StampChoice,
    Start,
    Step,
    Unit,
    UnitChoice,
    reading_rules,
)

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from datetime import timedelta
    from typing import Literal

    from hsrgeo.engine.gauges.field import GaugeField, GaugeFields
    from hsrgeo.products.bias import Scores

gauges = typer.Typer(
    name="gauges",
    no_args_is_help=True,
    help="Rain gauges: fields on the grid, mean-field bias of the radar, Thiessen polygons. Fields and polygons need "
    "the extra: pip install 'hsrgeo\\[gauges]'.",
)

_HOW = "Interpolate"
_COMPARE = "Compare"
_TOLD = 20  # periods without a field that are printed


class MethodChoice(StrEnum):
    """Ways between gauges."""

    thiessen = "thiessen"
    idw = "idw"
    kriging = "kriging"


class ModelChoice(StrEnum):
    """Shapes of a variogram."""

    spherical = "spherical"
    exponential = "exponential"
    gaussian = "gaussian"


@gauges.command(no_args_is_help=True)
def field(
    readings: ReadingsFile,
    gauges: Gauges,
    step: Step,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="Folder for a COG of each period.")],
    method: Annotated[
        MethodChoice, typer.Option(help="Nearest gauge, inverse distance, or kriging.", rich_help_panel=_HOW)
    ] = MethodChoice.thiessen,
    period: Annotated[
        str | None,
        typer.Option(metavar="LENGTH", help="Sum readings up: 1h, 1d, or event; --step.", rich_help_panel=_HOW),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only this period, by --stamp its end or start.", rich_help_panel=_HOW),
    ] = None,
    min_coverage: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of a period's readings that a gauge needs.", rich_help_panel=_HOW),
    ] = 1.0,
    min_gauges: Annotated[
        int | None,
        typer.Option(metavar="N", help="Fewer give no field; 1, kriging 3, fitted 10.", rich_help_panel=_HOW),
    ] = None,
    max_distance: Annotated[
        float | None,
        typer.Option(metavar="KM", help="Cells farther from every gauge are nodata.", rich_help_panel=_HOW),
    ] = None,
    power: Annotated[
        float | None, typer.Option(metavar="P", help="Of idw: distance ** -P; 2.", rich_help_panel=_HOW)
    ] = None,
    neighbours: Annotated[
        int | None, typer.Option(metavar="N", help="Of idw: gauges at a cell; 12.", rich_help_panel=_HOW)
    ] = None,
    variogram: Annotated[
        ModelChoice | None,
        typer.Option(
            metavar="MODEL",
            help="Of kriging: spherical, exponential or gaussian. Fitted, unless given:",
            rich_help_panel=_HOW,
        ),
    ] = None,
    range_: Annotated[
        float | None,
        typer.Option("--range", metavar="KM", help="Where 95 % or all of the sill is.", rich_help_panel=_HOW),
    ] = None,
    sill: Annotated[float | None, typer.Option(metavar="MM2", help="Nugget included.", rich_help_panel=_HOW)] = None,
    nugget: Annotated[
        float | None, typer.Option(metavar="MM2", help="A gauge's own error; 0.", rich_help_panel=_HOW)
    ] = None,
    stamp: Stamp = StampChoice.end,
    unit: Unit = UnitChoice.mm,
    column: Column = None,
    encoding: Encoding = "utf-8",
    missing: Missing = None,
    empty: Empty = EmptyChoice.missing,
    max_rain: Most = None,
    skip_bad: SkipBad = False,
    start: Start = None,
    end: End = None,
    grid: GridName = options.MAIN_GRID,
    bbox: options.Bbox = None,
    window: options.Window = None,
    center: options.Center = None,
    size: options.Size = None,
    regions: options.Regions = None,
    crs: Annotated[
        str | None, typer.Option(metavar="CRS", help="Another projection, as EPSG:5179.", rich_help_panel=options.AREA)
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(metavar="SIDE", help="Of a cell of --crs, in its units.", rich_help_panel=options.AREA),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", help="Threads; -1 is one a core.", rich_help_panel=options.RUN)
    ] = -1,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Interpolate what gauges measured to the cells of the radar's grid: rain depth in mm, a COG a period.

    Band 2 is the distance to the nearest gauge, in metres of the grid's projection; kriging adds the standard deviation
    of its error. Missing and bad readings are counted and never filled; estimates below zero become 0 and are counted.
    A period with too few gauges has no file, and the exit status is 1.

    [bold]Example:[/bold] hsrgeo gauges field readings.csv --gauges gauges.csv --step 1h --method kriging --out fields/
    """
    with honest_exit():
        from hsrgeo.engine.gauges.field import gauge_fields  # noqa: PLC0415 - commands import what they need
        from hsrgeo.engine.gauges.options import GaugeFieldOptions  # noqa: PLC0415

        begun = time.perf_counter()
        rules = reading_rules(step, stamp, unit, column, encoding, missing, empty, max_rain, skip_bad, start, end)
        wanted = GaugeFieldOptions(
            gauges=gauges,
            readings=rules,
            period=_period(period),
            min_coverage=min_coverage,
            at=time_option(at),
            method=method.value,
            power=power,
            neighbours=neighbours,
            variogram=variogram.value if variogram else None,
            range_km=range_,
            sill_mm2=sill,
            nugget_mm2=nugget,
            min_gauges=min_gauges,
            max_distance_km=max_distance,
            grid=grid,
            bbox=bbox,
            window=window,
            center=center,
            size=size,
            regions=regions,
            crs=crs,
            resolution=resolution,
            jobs=jobs,
        )
        run = gauge_fields(readings, out, wanted)
        made = list(_followed(run, quiet=quiet))
        for note in run.notes:
            say(f"note: {note}")
        for one in run.failed[:_TOLD]:
            say(f"failed: {_when(one)}: {one.problem}")
        if (more := len(run.failed) - _TOLD) > 0:
            say(f"failed: {more:,} more")
        seconds = time.perf_counter() - begun
        if not quiet:
            without = f", {len(run.failed):,} without a field" if run.failed else ""
            used = f"{counted(run.counts['used'], 'reading')} used, as the {stamp.value} of {step}"
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


@gauges.command(no_args_is_help=True)
def bias(
    readings: ReadingsFile,
    radar: Annotated[
        Path, typer.Option(metavar="TABLE", help="Of hsrgeo series --points: .csv or .parquet; matched by name.")
    ],
    step: Step,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The table: .csv or .parquet.")],
    period: Annotated[
        str, typer.Option(metavar="LENGTH", help="A factor each 1h, 1d, or event.", rich_help_panel=_COMPARE)
    ] = "1h",
    min_rain: Annotated[
        float,
        typer.Option(metavar="MM", help="Gauge and radar both need it in a period.", rich_help_panel=_COMPARE),
    ] = 0.1,
    min_pairs: Annotated[
        int, typer.Option(metavar="N", help="Fewer pairs give no factor.", rich_help_panel=_COMPARE)
    ] = 5,
    min_coverage: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Rows of the table below are left out.", rich_help_panel=_COMPARE),
    ] = 0.9,
    min_frames: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of a reading's frames; their mean is taken.", rich_help_panel=_COMPARE),
    ] = 1.0,
    radar_step: Annotated[
        str, typer.Option(metavar="LENGTH", help="What a row of the table stands for.", rich_help_panel=_COMPARE)
    ] = "5min",
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also every gauge and period, as a table.", rich_help_panel=_COMPARE),
    ] = None,
    stamp: Stamp = StampChoice.end,
    unit: Unit = UnitChoice.mm,
    column: Column = None,
    encoding: Encoding = "utf-8",
    missing: Missing = None,
    empty: Empty = EmptyChoice.missing,
    max_rain: Most = None,
    skip_bad: SkipBad = False,
    start: Start = None,
    end: End = None,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Compare the radar with gauges: mean-field bias (gauges over radar) of every hour, day or event.

    Gauge and radar are summed up over the same times only. A period with too few pairs has no factor, never 1.0. Scores
    are told before and after, and with each gauge left out of the factor that it is judged by. No period with a factor
    is exit status 1.

    [bold]Example:[/bold] hsrgeo gauges bias readings.csv --radar radar-at-gauges.csv --step 1h --out bias.csv
    """
    with honest_exit():
        from hsrgeo.engine.gauges.bias import gauge_bias  # noqa: PLC0415 - commands import what they need
        from hsrgeo.engine.gauges.options import GaugeBiasOptions  # noqa: PLC0415
        from hsrgeo.model.times import parse_step  # noqa: PLC0415

        rules = reading_rules(step, stamp, unit, column, encoding, missing, empty, max_rain, skip_bad, start, end)
        wanted = GaugeBiasOptions(
            readings=rules,
            period=_period(period) or rules.step,
            min_rain_mm=min_rain,
            min_pairs=min_pairs,
            min_coverage=min_coverage,
            min_frames=min_frames,
            radar_step=parse_step(radar_step),
            pairs=pairs,
        )
        found = gauge_bias(readings, radar, out, wanted)
        for note in found.notes:
            say(f"note: {note}")
        scored = {"as it is": found.before, "adjusted": found.after, "left out": found.left_out}
        if not quiet:
            of = f"{found.factors:,} of {counted(found.periods, 'period')}"
            behind = f" of {counted(found.pairs, 'pair')}" if found.factors else ""
            say(f"{out}: {of} with a factor{behind}, readings as the {stamp.value} of {step}")
            for what, score in scored.items() if found.pairs else ():
                say(f"  radar {what:9} RMSE {_told(score.rmse_mm)} mm, correlation {_told(score.correlation)}")
        if json_:
            answer_json(
                {
                    "out": str(out),
                    "periods": found.periods,
                    "factors": found.factors,
                    "pairs": found.pairs,
                    "scores": {what.replace(" ", "_"): _as_json(score) for what, score in scored.items()},
                    "notes": found.notes,
                }
            )
        raise typer.Exit(Status.DONE if found.factors else Status.BROKEN)


@gauges.command(no_args_is_help=True)
def polygons(
    gauges: Annotated[Path, typer.Argument(metavar="GAUGES", help="CSV name,lon,lat in degrees.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="GeoJSON in degrees: .geojson.")],
    bbox: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(metavar="W S E N", help="Degrees; polygons end there, else at the grid's edge."),
    ] = None,
    grid: GridName = options.MAIN_GRID,
    encoding: Annotated[str, typer.Option(metavar="NAME", help="As cp949, of a CSV that is not UTF-8.")] = "utf-8",
) -> None:
    """Write the Thiessen polygon of every gauge, with its area, for a GIS or for hsrgeo series --polygons.

    [bold]Example:[/bold] hsrgeo gauges polygons gauges.csv --bbox 126 34 130 38.6 --out thiessen.geojson
    """
    with honest_exit():
        from hsrgeo.engine.gauges.polygons import thiessen_polygons  # noqa: PLC0415 - commands import what they need

        made = thiessen_polygons(gauges, out, bbox=bbox, grid=grid, encoding=encoding)
        for note in made.notes:
            say(f"note: {note}")
        say(f"{made.path}: polygons of {counted(made.gauges, 'place')}")


def _period(text: str | None) -> "timedelta | Literal['event'] | None":
    from hsrgeo.model.times import parse_step  # noqa: PLC0415 - only where it runs

    if text is None:
        return None
    return "event" if text.strip().lower() == "event" else parse_step(text)


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
    from hsrgeo.model.times import KST  # noqa: PLC0415 - only where it runs

    start, end = one.period.start.astimezone(KST), one.period.end.astimezone(KST)
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} KST"


def _told(number: float) -> str:
    return "unknown" if math.isnan(number) else f"{number:.3f}"


def _as_json(score: "Scores") -> dict[str, float | None]:
    return {
        "rmse_mm": None if math.isnan(score.rmse_mm) else score.rmse_mm,
        "correlation": None if math.isnan(score.correlation) else score.correlation,
    }
