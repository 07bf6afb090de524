"""`hsrgeo simulate`."""

import sys
from typing import Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import answer, honest_exit, time_option

RainChoice = Literal["dry", "light", "heavy"]
"""How much it rains."""


def simulate(
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Output folder for frames.")],
    start: Annotated[str, typer.Option(metavar="TIME", help="Time of the first frame, KST unless a zone is given.")],
    frames: Annotated[int, typer.Option(metavar="N", help="Number of frames, five minutes apart.")] = 12,
    archive: Annotated[
        bool, typer.Option("--archive", help="Write monthly .tar.gz archives instead of single files.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed. The same seed gives the same bytes.")] = 0,
    rain: Annotated[RainChoice, typer.Option(help="Amount of rain.")] = "light",
    grid: Annotated[str, typer.Option(metavar="NAME", help="Grid, see hsrgeo grids.")] = options.MAIN_GRID,
    blocks: Annotated[
        int, typer.Option(metavar="N", help="Blocks of a file: 1, 2 with height, 3 with height and station.")
    ] = 1,
) -> None:
    """Make synthetic frames: moving rain, coverage, NULL codes and blends, marked as synthetic.

    For examples, tests and trials where no real frames are at hand.
    """
    with honest_exit():
        from hsrgeo.cli.progress import steps_bar  # noqa: PLC0415 - only where it runs
        from hsrgeo.engine.simulate import write_simulation  # noqa: PLC0415
        from hsrgeo.sources.remote import local  # noqa: PLC0415

        time = time_option(start)
        assert time is not None  # noqa: S101 - the option is required
        folder = local(out, "hsrgeo simulate")
        above = sys.stdout.isatty()  # a pipe gets the paths, a terminal has them above the bar
        with steps_bar("simulate", frames, redirect_stdout=above) as advance:
            for path in write_simulation(
                folder,
                start=time,
                frames=frames,
                seed=seed,
                rain=rain,
                archive=archive,
                grid_name=grid,
                blocks=blocks,
                on_frame=advance,
            ):
                answer(str(path))
