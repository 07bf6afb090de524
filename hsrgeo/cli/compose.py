"""`hsrgeo compose`."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer, counted, honest_exit, say, say_notes

if TYPE_CHECKING:  # in the signature of a helper only
    from hsrgeo.engine.compose import Composed


MethodChoice = Literal["max", "mean", "quality"]
"""What counts where several radars see a cell."""


def compose(
    volumes: Annotated[
        list[str],
        typer.Argument(
            metavar="VOLUME",
            help="Volumes of single radars, folders or globs: CfRadial 1 (NetCDF-4) as KMA's hub serves them, ODIM "
            "HDF5, or UF.",
        ),
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Output folder for frames.")],
    product: Annotated[
        str,
        typer.Option(
            metavar="PRODUCT",
            help="sweep:N (1 is the lowest), lowest (the lowest beam; terrain is not considered), cappi:METRES (the "
            "beam nearest to a height above the sea), max (highest value over each cell), or echo-top:DBZ (height of "
            "the highest beam with this reflectivity).",
        ),
    ] = "lowest",
    method: Annotated[
        MethodChoice,
        typer.Option(
            help="Where radars overlap: max takes the highest value, mean the mean of Z, quality the mean of Z "
            "weighted by 1 / distance^2."
        ),
    ] = "max",
    grid: Annotated[str, typer.Option(metavar="NAME", help="Grid, see hsrgeo grids.")] = options.MAIN_GRID,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing frames that differ.")] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", help="Number of frames to make at once; -1 uses all cores.")
    ] = -1,
) -> None:
    """Make composites from volumes of single radars, as frames that every other command reads.

    One frame for each five minutes, with the blocks reflectivity, height, station and count. No clutter removal,
    dealiasing, attenuation correction or rain estimation: the frames are not a product of KMA, and are marked so.
    """
    with honest_exit():
        from hsrgeo.engine.compose import compose as run_compose  # noqa: PLC0415 - only where it runs

        written, there, failed = 0, 0, 0
        for done in run_compose(
            volumes, out, product=product, method=method, grid_name=grid, jobs=jobs, overwrite=overwrite
        ):
            written += done.path is not None and not done.there
            there += done.there
            failed += len(done.errors)
            _report(done)
        parts = [f"{counted(written, 'frame')} written"] if written or not there else []
        parts += [f"{counted(there, 'frame')} there already"] if there else []
        parts += [counted(failed, "problem")] if failed else []
        say(", ".join(parts))
        raise typer.Exit(Status.BROKEN if failed else Status.DONE)


def _report(done: "Composed") -> None:
    say_notes(done.notes)
    for error in done.errors:
        say(f"failed: {error}")
    if done.path is not None:
        answer(f"{done.path}: {counted(len(done.radars), 'radar')} ({' '.join(done.radars)})")
