"""`hsrgeo split`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hsrgeo.cli.common import answer_json, counted, honest_exit, say

BlockChoice = Literal["month", "day"]
"""What is never parted."""


def split(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder written by hsrgeo export.")],
    lists: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the lists. Default: OUT.")
    ] = None,
    block: Annotated[BlockChoice, typer.Option(help="Whole months or days (KST) go into one list.")] = "day",
    shares: Annotated[
        tuple[float, float, float],
        typer.Option(metavar="TRAIN VALIDATION TEST", help="Shares of the months or days, which add up to 1."),
    ] = (0.7, 0.15, 0.15),
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed. The same seed gives the same lists.")] = 0,
    gap: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="Leave out frames that follow a month or day of another list within this, such as 3h.",
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON summary on stdout.")] = False,
) -> None:
    """Write train.csv, validation.csv and test.csv: the files of an export, parted by month or day.

    Frames minutes apart look alike, so single frames are never parted at random. Each row has the path below OUT, the
    time, the region and the counts of cells. Run it again after another export to the same folder.

    Example: hsrgeo split seoul --block month --gap 6h
    """
    with honest_exit():
        from hsrgeo.engine.split import split as run_split  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.model.times import parse_length  # noqa: PLC0415

        length = None if gap is None else parse_length(gap)
        made = run_split(out, lists, block=block, shares=shares, seed=seed, gap=length)
        for name, files in made.counts.items():
            say(f"{name}.csv: {counted(files, 'file')} of {counted(made.blocks[name], block)}")
        if made.left_out:
            say(f"{counted(made.left_out, 'file')} left out by --gap")
        if json_:
            answer_json({"files": made.counts, "blocks": made.blocks, "left_out": made.left_out})
