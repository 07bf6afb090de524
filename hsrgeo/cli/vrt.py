"""`hsrgeo vrt`."""

from pathlib import Path
from typing import Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer, counted, honest_exit, say
from hsrgeo.cli.left_out import tell_left_out


def vrt(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="OUT | SOURCE",
            help="Folder written by hsrgeo export, accumulate or gauges field. With --raw: frames and folders.",
        ),
    ],
    region: Annotated[str | None, typer.Option(metavar="NAME", help="Use only this region of the export.")] = None,
    zr: options.RainClasses = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Write a VRT for each stored frame (.bin, .bin.gz), which GDAL reads in place."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", help="With --raw: folder for the VRTs (default: beside the frames)."
        ),
    ] = None,
    registration: options.Registration = "point",
) -> None:
    """Write OUT/[REGION/]stack.vrt: the frames of an export as the bands of one file, named after their times.

    With --raw nothing is exported: GDAL reads the stored frames themselves. It checks neither their CRC
    nor their length, so that a file damaged later gives wrong pixels without a word; each is checked
    once here. A .bin.gz is read slowly, and by its absolute path. GDAL 3.12 and newer read a .bin in the
    VRT's folder or below it only, and no .bin.gz, unless GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE=ALL is set.
    """
    with honest_exit():
        from hsrgeo.errors import OptionsError  # noqa: PLC0415 - only where it runs

        if raw:
            if region is not None or zr is not None:
                raise OptionsError("--region and --zr are of an export: not with --raw")
            raise typer.Exit(_raw(sources, out, registration))
        if out is not None:
            raise OptionsError("--out goes with --raw: the VRT of an export lies in its folder")
        if registration != "point":
            raise OptionsError("--registration goes with --raw: where an export lies was fixed when it was made")
        if len(sources) != 1:
            raise OptionsError(f"{len(sources)} folders: expected the OUT of one export, or --raw")
        raise typer.Exit(_stack(sources[0], region, zr))


def _stack(out: str, region: str | None, zr: tuple[float, float] | None) -> Status:
    from hsrgeo.engine.vrt import make_stacks  # noqa: PLC0415 - only where it runs
    from hsrgeo.products.rain import Law  # noqa: PLC0415
    from hsrgeo.sources.remote import target  # noqa: PLC0415

    stacked = make_stacks(target(out), region=region, law=None if zr is None else Law(*zr))
    contents = stacked.contents
    for path in stacked.paths:
        answer(str(path))
    made = f"{counted(contents.frames, 'band')} in {counted(len(stacked.paths), 'file')}"
    return tell_left_out(made, contents.damaged, contents.missing)


def _raw(sources: list[str], out: Path | None, registration: options.RegistrationChoice) -> Status:
    from hsrgeo.engine.vrt import write_raw_vrts  # noqa: PLC0415 - only where it runs

    written = failed = far = 0
    for made in write_raw_vrts(sources, out, registration=registration):
        if made.error is not None:
            failed += 1
            say(str(made.error))
            continue
        written += 1
        far += not made.beside
        answer(str(made.path))
    say(f"{counted(written, 'VRT')} written, {counted(failed, 'frame')} broken")
    if written:
        say("GDAL checks neither CRC nor length of these frames: one that is damaged from now on gives wrong pixels")
    if far:
        say(f"GDAL 3.12 and newer need GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE=ALL for {counted(far, 'VRT')}")
    return Status.BROKEN if failed else Status.DONE
