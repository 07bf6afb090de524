"""`hsrgeo accumulate`."""

from typing import Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import counted, honest_exit
from hsrgeo.cli.wanted import asked

_SUM = "Sum"


StatChoice = Literal["sum", "max", "mean", "frequency"]
"""What band 1 shows."""


def accumulate(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Frames, folders, globs or archives; or one folder of COGs from hsrgeo export; or one cube (.zarr, "
            f".nc). {options.REMOTE}",
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="OUT", help="Output folder or s3:// URL. Each period becomes one COG.")
    ],
    period: Annotated[
        str,
        typer.Option(
            metavar="LENGTH",
            help="Length of a period, such as 10min, 1h or 1d, counted from midnight KST; event sums all frames.",
            rich_help_panel=_SUM,
        ),
    ] = "1h",
    min_coverage: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Least share (0 to 1) of the expected frames in which a cell must be observed; other cells "
            "become nodata.",
            rich_help_panel=_SUM,
        ),
    ] = 0.0,
    stat: Annotated[
        StatChoice,
        typer.Option(
            help="sum: depth in mm. max, mean: highest and mean rate in mm/h. frequency: share of frames in % with at "
            "least --wet-from, which shows clutter and blocked sectors.",
            rich_help_panel=_SUM,
        ),
    ] = "sum",
    wet_from: Annotated[
        float,
        typer.Option(metavar="RATE", help="Rain rate in mm/h from which a frame is wet.", rich_help_panel=_SUM),
    ] = 0.1,
    advection: Annotated[
        bool,
        typer.Option(
            "--advection",
            help="Let rain move from each frame to the next: sums of fast storms without a ladder of blobs. Needs "
            "pysteps: pip install 'hsrgeo[pysteps]'.",
            rich_help_panel=_SUM,
        ),
    ] = False,
    mask: options.Mask = None,
    min_dbz: options.MinDbz = None,
    despeckle: options.Despeckle = 0,
    smooth: options.Smooth = 0.0,
    rolling: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LENGTH",
            help="Also write the highest depth in any window of this length (10min to 24h) and the time when it "
            "ended. Repeatable.",
            rich_help_panel=_SUM,
        ),
    ] = None,
    zr: Annotated[
        tuple[float, float], typer.Option(metavar="A B", help="Coefficients of Z = A R^B.", rich_help_panel=_SUM)
    ] = (200.0, 1.6),
    max_rate: options.MaxRate = None,
    bias: options.Bias = None,
    start: options.Start = None,
    end: options.End = None,
    every: options.Every = None,
    frame_step: options.FrameStep = None,
    product: options.Product = None,
    kind: options.Kind = None,
    region: options.Region = "",
    block: options.Block = "1",
    max_height: options.MaxHeight = None,
    stations: options.Stations = None,
    registration: options.Registration = "point",
    bbox: options.Bbox = None,
    window: options.Window = None,
    center: options.Center = None,
    size: options.Size = None,
    regions: options.Regions = None,
    regions_field: options.RegionsField = None,
    regions_encoding: options.RegionsEncoding = None,
    jobs: options.Threads = -1,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Sum rain to depth in mm by hour, day or event, with the number of frames used.

    Each frame adds its rate x --frame-step. Gaps are not filled: band 2 counts the frames in which a cell was
    observed, and --min-coverage makes cells with too few of them nodata. --rolling adds the highest depth of any
    window of that length in the whole run, one file per length. Broken frames are reported, and the exit status
    is 1.

    Example: hsrgeo accumulate RDR_HSR_202206.tar.gz --period 1d --min-coverage 0.9 --out daily/
    """
    arguments = dict(locals())
    with honest_exit():
        from hsrgeo.cli.follow import Follower  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.engine.accumulate.sum_options import AccumulateOptions  # noqa: PLC0415
        from hsrgeo.engine.accumulate.sum_run import accumulate as run_accumulate  # noqa: PLC0415
        from hsrgeo.model.times import kst_text, parse_length  # noqa: PLC0415

        lengths = [parse_length(length) for length in rolling or ()]
        asked_for = asked(AccumulateOptions, arguments, rolling=lengths)
        run = run_accumulate(sources, out, AccumulateOptions(**asked_for))
        follower = Follower(run, "accumulate", quiet=quiet, json=json_)
        follower.follow()
        short = f", {run.short:,} with missing frames" if run.short else ""
        values = {
            "out": str(out),
            "files": [str(path) for path in run.written],
            "periods_short": run.short,
            "periods_without_frames": [kst_text(start) for start in run.empty],
        }
        raise typer.Exit(follower.finish(f"{counted(len(run.written), 'file')}{short}", values))
