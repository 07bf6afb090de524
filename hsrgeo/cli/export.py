"""`hsrgeo export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.cli import options, output_options
from hsrgeo.cli.common import honest_exit, say, say_notes
from hsrgeo.cli.wanted import export_options

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.products.rain import Law


def export(
    sources: options.Sources,
    out: output_options.OutFolder,
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
    regions: options.Regions = None,
    regions_field: options.RegionsField = None,
    regions_encoding: options.RegionsEncoding = None,
    mask: options.Mask = None,
    min_dbz: options.MinDbz = None,
    despeckle: options.Despeckle = 0,
    smooth: options.Smooth = 0.0,
    quantity: options.Quantity = "stored",
    zr: output_options.ZrOrClasses = None,
    max_rate: options.MaxRate = None,
    bias: options.Bias = None,
    crs: options.Crs = None,
    resolution: options.Resolution = None,
    resampling: options.Resampling = "nearest",
    format_: output_options.Formats = None,
    undetect: output_options.Undetect = None,
    palette: options.Palette = None,
    compress: output_options.Compress = "deflate",
    values: output_options.CogValues = "clean",
    no_sidecars: output_options.NoSidecars = False,
    min_wet: options.MinWet = 0.0,
    qgis: Annotated[
        bool,
        typer.Option(
            "--qgis", help="Also write OUT/hsrgeo.qgz, an animated QGIS project.", rich_help_panel=options.WRITE
        ),
    ] = False,
    name: output_options.Name = None,
    block: output_options.BlockOrAll = "1",
    max_height: options.MaxHeight = None,
    stations: options.Stations = None,
    registration: options.Registration = "point",
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Rewrite existing outputs. If OUT was written with other options, replace its outputs.",
            rich_help_panel=options.WRITE,
        ),
    ] = False,
    jobs: options.Jobs = -1,
    dask: options.Dask = None,
    dask_wait: options.DaskWait = None,
    fail_fast: options.FailFast = False,
    no_sync: output_options.NoSync = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="List the outputs from file names; read no frames and write nothing.",
            rich_help_panel=options.RUN,
        ),
    ] = False,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Export frames as georeferenced COGs and 16-bit PNGs.

    Broken frames do not stop the run: each is listed in OUT/manifest.jsonl and the exit status is 1.
    Run the same command again to resume.

    Example: hsrgeo export RDR_HSR_202206.tar.gz --bbox 126.7 37.4 127.2 37.7 --out seoul/
    """
    arguments = dict(locals())
    with honest_exit(goes_on=True):
        from hsrgeo.cli.report import Report  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.engine.export.export_run import export as run_export  # noqa: PLC0415
        from hsrgeo.errors import OptionsError  # noqa: PLC0415
        from hsrgeo.products.rain import Law  # noqa: PLC0415
        from hsrgeo.sources.remote import RemotePath, target  # noqa: PLC0415

        colours_only = qgis and quantity == "stored"
        wanted = export_options(arguments)
        folder = target(out)
        if qgis and isinstance(folder, RemotePath):
            raise OptionsError("--qgis writes a project beside files on this machine: not with a bucket as OUT")
        if qgis and (dry_run or "cog" not in wanted.recipe.formats):
            raise OptionsError("--qgis needs COGs to show: not with --dry-run, nor with --format png alone")
        report = Report(run_export(sources, folder, wanted), folder, quiet=quiet, json=json_, dry_run=dry_run)
        status = report.report()
        if qgis and report.any_output:
            _write_project(Path(out), Law(*zr) if zr is not None and colours_only else None, quiet=quiet)
        raise typer.Exit(status)


def _write_project(out: Path, law: "Law | None", *, quiet: bool) -> None:
    from hsrgeo.engine.qgis import make_project  # noqa: PLC0415
    from hsrgeo.errors import OutputExistsError  # noqa: PLC0415

    try:
        project = make_project(out, law=law)
    except OutputExistsError as error:
        say(f"note: {error.path} was changed in QGIS and is kept; `hsrgeo qgis {out} --overwrite` replaces it")
        return
    if not quiet:
        say_notes(project.notes)
        say(f"open {project.path} in QGIS")
