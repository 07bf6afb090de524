"""`hsrgeo export`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, honest_exit, say, time_option

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.products.rain import Law


class FormatChoice(StrEnum):
    """Kinds of output."""

    cog = "cog"
    png = "png"
    mask = "mask"


class CompressChoice(StrEnum):
    """Compression of COGs."""

    deflate = "deflate"
    zstd = "zstd"
    none = "none"


def export(
    sources: options.Sources,
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="OUT", help="Folder or s3:// URL for outputs and manifest.jsonl."),
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
    regions: options.Regions = None,
    regions_field: options.RegionsField = None,
    regions_encoding: options.RegionsEncoding = None,
    quantity: options.Quantity = options.QuantityChoice.stored,
    zr: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="A B",
            help="Z = A R^B, for --quantity rain: 200 1.6 unless given; else the classes of --qgis, not KMA's for dBZ.",
            rich_help_panel=options.PRODUCT,
        ),
    ] = None,
    max_rate: options.MaxRate = None,
    bias: options.Bias = None,
    crs: options.Crs = None,
    resolution: options.Resolution = None,
    resampling: options.Resampling = options.ResamplingChoice.nearest,
    format_: Annotated[
        list[FormatChoice] | None,
        typer.Option(
            "--format",
            help="Repeat for several; cog and png by default. mask: beside each PNG, 255 where observed.",
            rich_help_panel=options.WRITE,
        ),
    ] = None,
    compress: Annotated[
        CompressChoice, typer.Option(help="Of COGs.", rich_help_panel=options.WRITE)
    ] = CompressChoice.deflate,
    values: Annotated[
        options.ValuesChoice,
        typer.Option(
            help="Of COGs: clean holds nodata, undetect and echo only; raw is bit for bit as stored.",
            rich_help_panel=options.WRITE,
        ),
    ] = options.ValuesChoice.clean,
    no_sidecars: Annotated[
        bool,
        typer.Option(
            "--no-sidecars", help="PNGs alone, without .pgw, .prj and .png.aux.xml.", rich_help_panel=options.WRITE
        ),
    ] = False,
    qgis: Annotated[
        bool,
        typer.Option(
            "--qgis", help="Also write OUT/hsrgeo.qgz, a QGIS project that plays.", rich_help_panel=options.WRITE
        ),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="Path below OUT without suffix, as {time:%Y%m/%d/%Y%m%d%H%M}, which is the default: time in KST; "
            "utc, product, kind and region may be used too.",
            rich_help_panel=options.WRITE,
        ),
    ] = None,
    block: options.Block = 1,
    registration: options.Registration = options.RegistrationChoice.point,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Write again what is there; with other options, replace what OUT holds.",
            rich_help_panel=options.WRITE,
        ),
    ] = False,
    jobs: options.Jobs = -1,
    dask: options.Dask = None,
    dask_wait: options.DaskWait = None,
    fail_fast: options.FailFast = False,
    no_sync: Annotated[
        bool,
        typer.Option(
            "--no-sync",
            help="Do not wait for the disk: for scratch, which a power cut may leave empty.",
            rich_help_panel=options.RUN,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only list what would be written, from names alone.", rich_help_panel=options.RUN
        ),
    ] = False,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Export frames as georeferenced COGs and 16-bit PNGs.

    Broken frames do not stop the run: each is listed in OUT/manifest.jsonl and the exit status is 1.
    The same command again does only what is missing.

    Example: hsrgeo export RDR_HSR_202206.tar.gz --bbox 126.7 37.4 127.2 37.7 --out seoul/
    """
    with honest_exit(goes_on=True):
        from hsrgeo.cli.report import Report  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.engine.export.run import export as run_export  # noqa: PLC0415
        from hsrgeo.engine.options import ExportOptions  # noqa: PLC0415
        from hsrgeo.errors import OptionsError  # noqa: PLC0415
        from hsrgeo.model.times import parse_step  # noqa: PLC0415
        from hsrgeo.outputs.recipe import DEFAULT_NAME  # noqa: PLC0415
        from hsrgeo.products.rain import KMA_LAW, Law  # noqa: PLC0415
        from hsrgeo.sources.remote import RemotePath, target  # noqa: PLC0415
        from hsrgeo.sources.select import read_times  # noqa: PLC0415

        colours_only = qgis and quantity is options.QuantityChoice.stored
        wanted = ExportOptions(
            bbox=bbox,
            window=window,
            center=center,
            size=size,
            regions=regions,
            regions_field=regions_field,
            regions_encoding=regions_encoding,
            start=time_option(start),
            end=time_option(end),
            every=parse_step(every) if every is not None else None,
            times=read_times(times) if times is not None else None,
            product=product,
            kind=kind,
            formats=tuple(choice.value for choice in format_) if format_ else ("cog", "png"),
            compress=compress.value,
            values=values.value,
            name=DEFAULT_NAME if name is None else name,
            quantity=quantity.value,
            zr=KMA_LAW if zr is None or colours_only else zr,
            max_rate=max_rate,
            bias=bias,
            crs=crs,
            resolution=resolution,
            resampling=resampling.value,
            sidecars=not no_sidecars,
            block=block,
            registration=registration.value,
            jobs=jobs,
            dask=dask,
            dask_wait_s=dask_wait,
            overwrite=overwrite,
            fail_fast=fail_fast,
            sync=not no_sync,
            dry_run=dry_run,
        )
        folder = target(out)
        if qgis and isinstance(folder, RemotePath):
            raise OptionsError("--qgis writes a project beside files on this machine: not with a bucket as OUT")
        if qgis and (dry_run or "cog" not in wanted.recipe.formats):
            raise OptionsError("--qgis needs COGs to show: not with --dry-run, nor with --format png alone")
        report = Report(run_export(sources, folder, wanted), folder, quiet=quiet, json=json_, dry_run=dry_run)
        report.follow()
        if qgis and report.any_output:
            _write_project(Path(out), Law(*zr) if zr is not None and colours_only else None, quiet=quiet)
        raise typer.Exit(Status.BROKEN if report.failed else Status.DONE)


def _write_project(out: Path, law: "Law | None", *, quiet: bool) -> None:
    from hsrgeo.engine.qgis import make_project  # noqa: PLC0415
    from hsrgeo.errors import OutputExistsError  # noqa: PLC0415

    try:
        project = make_project(out, law=law)
    except OutputExistsError as error:
        say(f"note: {error.path} was saved from QGIS since, and stays; `hsrgeo qgis {out} --overwrite` replaces it")
        return
    if not quiet:
        for note in project.notes:
            say(f"note: {note}")
        say(f"open {project.path} in QGIS")
