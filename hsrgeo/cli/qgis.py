"""`hsrgeo qgis`."""

from typing import Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import answer, counted, honest_exit, say, say_notes
from hsrgeo.cli.left_out import tell_left_out


def qgis(
    out: Annotated[
        str, typer.Argument(metavar="OUT", help="Folder written by hsrgeo export, accumulate or gauges field.")
    ],
    zr: options.RainClasses = None,
    palette: options.Palette = None,
    project: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Where to write the project (.qgz) of an OUT in a bucket (s3://, gs://, az://); GDAL reads its layers "
            "from there.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a project that was changed in QGIS.")] = False,
) -> None:
    """Write OUT/hsrgeo.qgz: a QGIS project in which the frames of an export play as an animation.

    Every COG is a layer with its time, in KMA's colours, in a group a region and day. Paths are relative:
    move OUT as a whole. Open it in QGIS 3.22 or newer and press play in the temporal controller, whose
    times are UTC; the map shows KST. The coast lies beside it, where the extra render or plot is installed.
    """
    with honest_exit():
        from hsrgeo.engine.qgis import make_project  # noqa: PLC0415 - only where it runs
        from hsrgeo.products.rain import Law  # noqa: PLC0415

        law = None if zr is None else Law(*zr)
        made = make_project(out, law=law, palette=palette, project=project, overwrite=overwrite)
        contents = made.contents
        answer(str(made.path))
        say_notes(made.notes)
        status = tell_left_out(counted(contents.frames, "layer"), contents.damaged, contents.missing)
        if contents.frames > _MANY:
            say("so many layers take QGIS a while to open; `hsrgeo vrt` makes one file of a region's frames instead")
        raise typer.Exit(status)


_MANY = 1500
