"""`hsrgeo stats`."""

from pathlib import Path
from typing import Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import honest_exit
from hsrgeo.cli.wanted import asked

_COUNT = "Count"


def stats(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Frames, folders, globs or archives; or one folder of COGs from hsrgeo export; or one cube. "
            f"{options.REMOTE}",
        ),
    ],
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="FILE", help="Output table (.csv, .xlsx or .parquet), also an s3:// URL."),
    ],
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            metavar="VALUE",
            help="Add the share of observed cells of at least this value. Repeatable; default 10 to 50 dBZ, or "
            "0.1, 1, 5 and 30 mm/h; none for other units.",
            rich_help_panel=_COUNT,
        ),
    ] = None,
    quantile: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SHARE",
            help="Add the value that this share (0 to 1) of the cells with echo does not exceed. Repeatable; default "
            "0.5, 0.9 and 0.99.",
            rich_help_panel=_COUNT,
        ),
    ] = None,
    histogram: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            metavar="FIRST LAST WIDTH",
            help="Add the cells with echo in each class of this width, such as 0,60,5.",
            rich_help_panel=_COUNT,
        ),
    ] = None,
    start: options.Start = None,
    end: options.End = None,
    every: options.Every = None,
    product: options.Product = None,
    kind: options.Kind = None,
    region: options.Region = "",
    block: options.Block = "1",
    max_height: options.MaxHeight = None,
    stations: options.Stations = None,
    registration: options.Registration = "point",
    bbox: options.Bbox = None,
    window: options.Window = None,
    center: options.Center = None,
    size: options.Size = None,
    regions: options.RegionsOfTable = None,
    regions_field: options.RegionsField = None,
    regions_encoding: options.RegionsEncoding = None,
    polygons: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Polygons, a row each: GeoJSON, .gpkg or .shp in any CRS. A cell counts if half of it lies inside.",
            rich_help_panel=options.AREA,
        ),
    ] = None,
    name_field: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="Field with names in --polygons.", rich_help_panel=options.AREA),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Encoding of a shapefile, such as CP949.", rich_help_panel=options.AREA),
    ] = None,
    quantity: options.Quantity = "stored",
    zr: options.Zr = (200.0, 1.6),
    max_rate: options.MaxRate = None,
    jobs: options.Threads = -1,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Write a row of statistics for each frame: radars, classes of cells, quantiles, the maximum and its place.

    Shares of nodata, undetect, echo and blend are of all cells; shares from a threshold on are of the observed ones.
    Broken frames are reported, and the exit status is 1.

    Example: hsrgeo stats RDR_HSR_202206.tar.gz --bbox 126.7 37.4 127.2 37.7 --out stats.csv
    """
    arguments = dict(locals())
    with honest_exit():
        from hsrgeo.cli.follow import follow_rows  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.engine.stats.stats_options import StatsOptions  # noqa: PLC0415
        from hsrgeo.engine.stats.stats_run import stats as run_stats  # noqa: PLC0415

        asked_for = asked(StatsOptions, arguments, thresholds=threshold or None, quantiles=quantile or (0.5, 0.9, 0.99))
        run = run_stats(sources, out, StatsOptions(**asked_for))
        raise typer.Exit(follow_rows(run, "stats", "row", out, quiet=quiet, json=json_))
