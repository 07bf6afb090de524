"""`hsrgeo sample`."""

from typing import Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import honest_exit
from hsrgeo.cli.wanted import frame_options


def sample(
    sources: options.Sources,
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Output table (.csv or .parquet, also an s3:// URL) or points (.gpkg)."
        ),
    ],
    step: Annotated[
        int,
        typer.Option(metavar="N", help="Write every Nth column and row of the area.", rich_help_panel=options.WRITE),
    ] = 1,
    at_least: Annotated[
        float | None,
        typer.Option(metavar="VALUE", help="Write only cells of at least this value.", rich_help_panel=options.WRITE),
    ] = None,
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
    """Write cells as rows: time, lon, lat and the value in dBZ or mm/h.

    Cells that were not observed have no row, so --mask with polygons leaves the cells inside. Observed cells without
    echo have 0 mm/h, or -inf dBZ.

    Example: hsrgeo sample RDR_HSR_202206.tar.gz --quantity rain --mask basin.geojson --step 4 --out cells.parquet
    """
    arguments = dict(locals())
    with honest_exit():
        from hsrgeo.cli.follow import follow_rows  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.engine.cells.sample import SampleOptions  # noqa: PLC0415
        from hsrgeo.engine.cells.sample import sample as run_sample  # noqa: PLC0415

        run = run_sample(sources, out, SampleOptions(frames=frame_options(arguments), step=step, at_least=at_least))
        raise typer.Exit(follow_rows(run, "sample", "row", out, quiet=quiet, json=json_))
