"""`hsrgeo objects`."""

from typing import Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import honest_exit
from hsrgeo.cli.wanted import frame_options


def objects(
    sources: options.Sources,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Output polygons (.gpkg), or a table (.csv or .parquet, also an s3:// URL).",
        ),
    ],
    at_least: Annotated[
        float | None,
        typer.Option(
            metavar="VALUE",
            help="Cells of at least this value belong to a storm cell; default 35 dBZ, or 5 mm/h of rain.",
            rich_help_panel=options.WRITE,
        ),
    ] = None,
    min_area: Annotated[
        float, typer.Option(metavar="KM2", help="Leave out smaller storm cells.", rich_help_panel=options.WRITE)
    ] = 0.0,
    start: options.Start = None,
    end: options.End = None,
    every: options.Every = None,
    times: options.Times = None,
    product: options.Product = None,
    kind: options.Kind = None,
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
    mask: options.Mask = None,
    min_dbz: options.MinDbz = None,
    despeckle: options.Despeckle = 0,
    smooth: options.Smooth = 0.0,
    quantity: options.Quantity = "stored",
    zr: options.Zr = (200.0, 1.6),
    max_rate: options.MaxRate = None,
    bias: options.Bias = None,
    jobs: options.Threads = -1,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Find the storm cells of each frame: outline, centre, area on the ground, maximum and mean.

    Neighbouring cells of at least --at-least are one storm cell, also where they touch at a corner. Storm cells are
    numbered within a frame, the largest first, and not followed in time. Needs pip install 'hsrgeo[clean]', and
    'hsrgeo[series]' for polygons.

    Example: hsrgeo objects RDR_HSR_202206.tar.gz --at-least 40 --min-area 10 --out storms.gpkg
    """
    arguments = dict(locals())
    with honest_exit():
        from hsrgeo.cli.follow import follow_rows  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.engine.cells.objects import ObjectsOptions, find_objects  # noqa: PLC0415

        run = find_objects(
            sources, out, ObjectsOptions(frames=frame_options(arguments), at_least=at_least, min_area=min_area)
        )
        raise typer.Exit(follow_rows(run, "objects", "storm cell", out, quiet=quiet, json=json_))
