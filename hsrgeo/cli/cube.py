"""`hsrgeo cube`."""

from typing import Annotated, Any, Literal, cast

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import honest_exit
from hsrgeo.cli.wanted import frame_options
from hsrgeo.errors import OptionsError

LayoutChoice = Literal["map", "series", "both"]
"""How the values of a cube lie."""


def cube(
    sources: options.Sources,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="OUT",
            help="Cube to write or append to: NAME.zarr or NAME.nc; in a bucket s3://BUCKET/NAME.zarr. With --virtual: "
            "NAME.json or NAME.parquet.",
        ),
    ],
    start: options.Start = None,
    end: options.End = None,
    every: options.Every = None,
    times: options.Times = None,
    product: options.Product = None,
    kind: options.Kind = None,
    bbox: options.Bbox = None,
    window: options.Window = None,
    center: options.Center = None,
    size: options.Size = None,
    mask: options.Mask = None,
    min_dbz: options.MinDbz = None,
    despeckle: options.Despeckle = 0,
    smooth: options.Smooth = 0.0,
    quantity: options.Quantity = "stored",
    zr: options.Zr = (200.0, 1.6),
    crs: options.Crs = None,
    resolution: options.Resolution = None,
    resampling: options.Resampling = "nearest",
    layout: Annotated[
        LayoutChoice,
        typer.Option(
            help="Chunk layout. map: fast for whole maps. series: fast for time series at a place (GDAL older "
            "than 3.13 needs --zarr-format 2). both: one group of each.",
            rich_help_panel=options.WRITE,
        ),
    ] = "map",
    min_wet: options.MinWet = 0.0,
    virtual: Annotated[
        bool,
        typer.Option(
            "--virtual",
            help="Write references to the source files instead of copying pixels, for kerchunk, xarray and fsspec.",
            rich_help_panel=options.WRITE,
        ),
    ] = False,
    zarr_format: Annotated[
        int | None,
        typer.Option(
            "--zarr-format",
            metavar="2|3",
            help="Zarr version of NAME.zarr (default 3). GDAL 3.10 needs 2.",
            rich_help_panel=options.WRITE,
        ),
    ] = None,
    values: Annotated[
        options.ValuesChoice,
        typer.Option(
            help="clean: nodata, undetect and echo only. raw: values exactly as stored.",
            rich_help_panel=options.WRITE,
        ),
    ] = "clean",
    attr: Annotated[
        list[str] | None,
        typer.Option(
            "--attr",
            metavar="NAME=VALUE",
            help="Global attribute to add or replace. Repeatable.",
            rich_help_panel=options.WRITE,
        ),
    ] = None,
    block: options.Block = "1",
    max_height: options.MaxHeight = None,
    stations: options.Stations = None,
    registration: options.Registration = "point",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing cube.", rich_help_panel=options.WRITE)
    ] = False,
    jobs: options.Jobs = -1,
    fail_fast: options.FailFast = False,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    r"""Make one Zarr store or NetCDF file of many frames, or add frames to it; or, with --virtual, a reference to them.

    Broken frames do not stop the run: each is reported, its time is in the cube's missing_times, and the exit
    status is 1. Run the same command again to resume (a reference is made anew). Needs
    pip install 'hsrgeo[cube]'.

    Example: hsrgeo cube RDR_HSR_202206.tar.gz --bbox 126.7 37.4 127.2 37.7 --quantity rain --out rain.zarr
    """
    arguments = dict(locals())
    with honest_exit(goes_on=True):
        from hsrgeo.cli.cube_report import CubeReport  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.engine.cube.cube_options import CubeOptions  # noqa: PLC0415
        from hsrgeo.engine.cube.cube_run import make_cube  # noqa: PLC0415

        pairs = [text.partition("=") for text in attr or []]
        if wrong := [name for name, mark, _value in pairs if not (name and mark)]:
            raise OptionsError(f"attr {wrong[0]!r}: expected NAME=VALUE")
        wanted = CubeOptions(
            frames=frame_options(arguments),
            layout=layout,
            zarr_format=cast("Any", zarr_format),  # checked there
            virtual=virtual,
            attrs={name: value for name, _mark, value in pairs},
        )
        raise typer.Exit(CubeReport(make_cube(sources, out, wanted), out, quiet=quiet, json=json_).report())
