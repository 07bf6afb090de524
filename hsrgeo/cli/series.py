"""`hsrgeo series`."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import answer_json, counted, honest_exit, say, say_notes, time_option
from hsrgeo.cli.wanted import asked, period_length

SeriesQuantity = Literal["rain", "reflectivity"]
"""What the numbers are."""


_PLACES = "Choose places (points or polygons)"
_RAIN = "Rain"
_OF_A_TABLE = frozenset(("sources", "out", "start", "end", "period", "min_coverage", "wide", "excel", "quiet", "json_"))
"""What goes with a table that is added up; all else is for frames."""


def series(
    ctx: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Frames, folders, globs or archives; or one folder of COGs from hsrgeo export, or its STAC "
            f"catalogue; or one cube (.zarr, .nc; layout series is fastest). {options.REMOTE}",
        ),
    ],
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="FILE", help="Output table (.csv, .xlsx or .parquet), also an s3:// URL."),
    ],
    points: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Points: CSV with columns name,lon,lat in degrees, or a file as for --polygons.",
            rich_help_panel=_PLACES,
        ),
    ] = None,
    polygons: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Polygons: GeoJSON, .gpkg or .shp in any CRS; needs hsrgeo[series].",
            rich_help_panel=_PLACES,
        ),
    ] = None,
    name_field: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD", help="Field with names in a vector file (default: name).", rich_help_panel=_PLACES
        ),
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option(
            metavar="CRS",
            help="CRS of a CSV with columns name,x,y (x east, y north), such as EPSG:5186.",
            rich_help_panel=_PLACES,
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Encoding of the CSV or shapefile, such as CP949.", rich_help_panel=_PLACES),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="METHOD",
            help="Value at a point: nearest, nearest-K (mean of K cells) or bilinear.",
            rich_help_panel=_PLACES,
        ),
    ] = "nearest",
    quantity: Annotated[
        SeriesQuantity,
        typer.Option(help="Rain in mm/h, or stored dBZ (points with nearest only).", rich_help_panel=_RAIN),
    ] = "rain",
    zr: Annotated[
        tuple[float, float], typer.Option(metavar="A B", help="Coefficients of Z = A R^B.", rich_help_panel=_RAIN)
    ] = (200.0, 1.6),
    mask: options.Mask = None,
    min_dbz: options.MinDbz = None,
    despeckle: options.Despeckle = 0,
    smooth: options.Smooth = 0.0,
    max_rate: options.MaxRate = None,
    bias: options.Bias = None,
    wet_from: Annotated[
        float,
        typer.Option(metavar="RATE", help="Rain rate in mm/h from which a cell counts as wet.", rich_help_panel=_RAIN),
    ] = 0.1,
    start: options.Start = None,
    end: options.End = None,
    every: options.Every = None,
    frame_step: options.FrameStep = None,
    period: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="Sum over periods of 10min, 1h, 1d ... from midnight KST, or event. SOURCE may be a table from "
            "hsrgeo series.",
            rich_help_panel=_RAIN,
        ),
    ] = None,
    min_coverage: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="With --period: leave sums empty below this share of time and area observed.",
            rich_help_panel=_RAIN,
        ),
    ] = 0.0,
    wide: Annotated[
        bool,
        typer.Option(
            "--wide",
            help="Write one column per place: depth or rate (.csv), or one sheet per variable (.xlsx).",
            rich_help_panel=options.WRITE,
        ),
    ] = False,
    excel: options.Excel = False,
    product: options.Product = None,
    kind: options.Kind = None,
    region: options.Region = "",
    block: options.Block = "1",
    max_height: options.MaxHeight = None,
    stations: options.Stations = None,
    registration: options.Registration = "point",
    jobs: options.Jobs = -1,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Write the rain of gauges or basins over time, with the share of each place that was observed.

    Each time and place has a row; without a frame the values are empty and coverage is 0. --period sums rows to
    depth and volume without filling gaps, with the share of time and area observed. Basins are averaged in
    mm/h by exact area. Broken frames are reported, and the exit status is 1. An export or a cube of reflectivity gives
    the same numbers as its frames; one of rain has steps of 0.01 mm/h.

    Example: hsrgeo series RDR_HSR_202206.tar.gz --polygons basins.geojson --out rain.csv
    """
    arguments = dict(locals())
    with honest_exit():
        from hsrgeo.cli.follow import Follower  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.engine.series.series_options import SeriesOptions  # noqa: PLC0415
        from hsrgeo.engine.series.series_run import series as run_series  # noqa: PLC0415

        length = None if period is None else period_length(period)
        if length is not None and points is None and polygons is None:
            within = time_option(start), time_option(end)
            shape = {"wide": wide, "excel": excel}
            _by_period(ctx, sources, out, length, within, min_coverage, shape, json_=json_, quiet=quiet)
            return

        wanted = SeriesOptions(**asked(SeriesOptions, arguments))
        run = run_series(sources, out, wanted)
        follower = Follower(run, "series", quiet=quiet, json=json_)
        follower.follow()
        places = len(wanted.places.names)
        values = {
            "out": str(out) if run.times else None,
            "places": places,
            "times": run.times,
            "missing": run.missing,
        }
        made = [counted(places, "place")]
        if not length:  # else a row is a period, and the frames are counted anyway
            made.append(counted(run.times, "time"))
        if run.missing:
            made.append(f"{counted(run.missing, 'time') if length else f'{run.missing:,}'} without a frame")
        raise typer.Exit(follower.finish(", ".join(made), values))


def _given_beyond(ctx: typer.Context, names: frozenset[str]) -> list[str]:
    """Return the options on the command line that are not among these."""
    given = (param for param in ctx.command.params if param.name not in names)
    return [param.opts[0] for param in given if _on_command_line(ctx, param.name or "")]


def _on_command_line(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _by_period(
    ctx: typer.Context,
    sources: list[str],
    out: str,
    length: timedelta | Literal["event"],
    within: tuple[datetime | None, datetime | None],
    min_coverage: float,
    shape: dict[str, bool],
    *,
    json_: bool,
    quiet: bool,
) -> None:
    """Add up a table that `hsrgeo series` wrote."""
    from hsrgeo.engine.series.periods import series_by_period  # noqa: PLC0415
    from hsrgeo.errors import OptionsError  # noqa: PLC0415

    if len(sources) != 1 or not sources[0].lower().endswith((".csv", ".parquet")):
        raise OptionsError(
            "give --points or --polygons; without them --period reads one table of hsrgeo series, .csv or .parquet"
        )
    if beyond := _given_beyond(ctx, _OF_A_TABLE):
        raise OptionsError(f"{', '.join(beyond)}: only for frames, not for a table; use it where the table is made")
    made = series_by_period(sources[0], out, length, start=within[0], end=within[1], min_coverage=min_coverage, **shape)
    if not quiet:
        say_notes(made.notes)
        say(f"{counted(made.places, 'place')}, {counted(made.periods, 'period')}")
    if json_:
        answer_json({"out": str(made.path), "places": made.places, "periods": made.periods, "notes": list(made.notes)})
