"""`hsrgeo extract`."""

from typing import Annotated

import typer

from hsrgeo.cli.common import Status, answer, counted, honest_exit, say


def extract(
    archives: Annotated[list[str], typer.Argument(metavar="ARCHIVE", help="Archives, folders of archives, or globs.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Output folder.")],
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", help="Number of archives to unpack at once; -1 uses all cores.")
    ] = -1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files that differ.")] = False,
) -> None:
    """Unpack archives in parallel, safely.

    Export needs no unpacking: it reads archives as they are.

    Absolute names, '..', links and devices are refused; a bad archive does not stop the others.
    """
    with honest_exit():
        from hsrgeo.engine.extract import extract as run_extract  # noqa: PLC0415 - only where it runs

        broken = False
        for done in run_extract(archives, out, jobs=jobs, overwrite=overwrite):
            answer(f"{done.archive}: {counted(done.files, 'file')}, {counted(done.bytes, 'byte')}")
            for error in done.errors:
                broken = True
                say(f"failed: {error}")
        raise typer.Exit(Status.BROKEN if broken else Status.DONE)
