"""`hsrgeo verify`."""

from typing import Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer, honest_exit, say, say_notes

_SHOWN = 3  # frames that nothing was compared with, and COGs that nobody lists


def verify(
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder or URL of an export.")],
    against: Annotated[
        list[str], typer.Option("--against", metavar="SOURCE...", help="Source of the export. Repeatable.")
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="SOURCE", hidden=True)] = None,
    jobs: options.Jobs = -1,
    dask: options.Dask = None,
    dask_wait: options.DaskWait = None,
) -> None:
    """Re-read every output with GDAL and compare it bit for bit with a fresh decode of the sources.

    Checks pixels, place, COG structure and tags; a line for every difference, and exit status 1 if there is any.
    """
    with honest_exit():
        from hsrgeo.engine.verify.verify_run import EDITED, NOT_EXPORTED, NOT_GIVEN  # noqa: PLC0415 - only where it runs
        from hsrgeo.engine.verify.verify_run import verify as run_verify  # noqa: PLC0415

        run = run_verify(out, [*against, *(more or ())], jobs=jobs, dask=dask, dask_wait_s=dask_wait)
        differing = not_given = not_exported = 0
        for difference in run:
            if difference.problem == NOT_GIVEN:
                not_given += 1
            elif difference.problem == NOT_EXPORTED:
                not_exported += 1
            elif difference.problem != EDITED:
                differing += 1
            if difference.problem != NOT_GIVEN or not_given <= _SHOWN:
                answer(str(difference))
        if not_given > _SHOWN:
            answer(f"{not_given - _SHOWN:,} more frames of OUT are not in the sources given")
        say(f"{run.summary} (read with {run.reader})")
        _tell_unlisted(out, run.counts.unlisted)
        if not run.counts.files:  # then nothing was found right either
            say(f"{out}: its manifest lists no output that the sources could be compared with")
        if not_given:
            say("name every source that OUT was exported from after --against")
        if differing:
            say("to repair it: remove the files that differ, or add --overwrite, and run the same export again")
        is_whole = run.counts.files and not (differing or not_exported or not_given)
        raise typer.Exit(Status.DONE if is_whole else Status.BROKEN)


def _tell_unlisted(out: str, unlisted: list[str]) -> None:
    if unlisted:
        from hsrgeo.model.texts import first_names  # noqa: PLC0415 - only where it runs

        first = first_names(unlisted, _SHOWN)
        say_notes([f"COGs below {out} that its manifest does not list, not compared: {len(unlisted):,} ({first})"])
