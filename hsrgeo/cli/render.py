"""`hsrgeo render`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer, counted, honest_exit, say, say_failed, say_notes
from hsrgeo.cli.wanted import asked
from hsrgeo.sources.skipped import no_frame

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.engine.render import Rendered


ShownChoice = Literal[
    "rain", "reflectivity", "height", "station", "count", "hydrometeor", "precipitation_type", "temperature"
]
"""What a picture shows."""


_LOOK = "Look"
_SHOWN = 10  # gaps and broken frames printed


def render(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Frames, folders, globs or archives; or one folder of COGs from hsrgeo export, accumulate or "
            f"gauges field. {options.REMOTE}",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Output file: .png (one frame), .gif, .webp or .mp4.")
    ],
    start: options.Start = None,
    end: options.End = None,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="STEP",
            help="Use only times at whole steps from midnight KST, such as 10min. Other times do not count as missing.",
            rich_help_panel=options.CHOOSE,
        ),
    ] = None,
    product: options.Product = None,
    kind: options.Kind = None,
    region: options.Region = "",
    bbox: options.Bbox = None,
    window: options.Window = None,
    center: options.Center = None,
    size: options.Size = None,
    quantity: Annotated[
        ShownChoice | None,
        typer.Option(
            help="Draw rain rate in mm/h, reflectivity in dBZ, or the frames' own quantity. Default: rain "
            "where it can be derived, else the frames' own.",
            rich_help_panel=_LOOK,
        ),
    ] = None,
    zr: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="A B",
            help="Coefficients of Z = A R^B (default 200 1.6). If given, reflectivity is coloured by rain classes.",
            rich_help_panel=_LOOK,
        ),
    ] = None,
    palette: options.Palette = None,
    width: Annotated[
        int,
        typer.Option(
            metavar="PIXELS",
            help="Largest width of the picture in pixels. Cells are enlarged by whole numbers or sampled, never "
            "blended.",
            rich_help_panel=_LOOK,
        ),
    ] = 900,
    fps: Annotated[
        int, typer.Option(metavar="N", help="Frames per second of an animation.", rich_help_panel=_LOOK)
    ] = 4,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title above the map.", rich_help_panel=_LOOK)] = "",
    registration: options.Registration = "point",
    jobs: options.Jobs = -1,
) -> None:
    r"""Draw frames as a map with coast, legend and time: one as PNG, many as GIF, WebP or MP4.

    Needs the extra: pip install 'hsrgeo[render]'. A time without a valid frame is shown as no data, never left out.

    Example: hsrgeo render RDR_HSR_202206.tar.gz --start 2022-06-09 --end 2022-06-10 --out day.mp4
    """
    arguments = dict(locals())
    with honest_exit():
        from hsrgeo.engine.render import RenderOptions  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.engine.render import render as run_render  # noqa: PLC0415

        wanted = RenderOptions(**asked(RenderOptions, arguments))
        raise typer.Exit(_tell(run_render(sources, out, wanted)))


def _tell(result: "Rendered") -> Status:
    from hsrgeo.model.times import time_label  # noqa: PLC0415

    say_notes(result.notes)
    say_failed(result.broken, _SHOWN)
    for first, last, count in result.missing[:_SHOWN]:
        say(f"no data: {time_label(first, last)}, {counted(count, 'time')}")
    if len(result.missing) > _SHOWN:
        say(f"no data: {len(result.missing) - _SHOWN:,} more gaps")
    if result.first is None or result.last is None:
        none_sound = f"no valid frame found, {result.path} is not written"
        say(none_sound if result.broken else no_frame(result.tally))
        return Status.BROKEN
    when = time_label(result.first, result.last)
    size = f"{result.width} x {result.height} pixels, {result.bytes / 1e6:.2f} MB"
    answer(f"{result.path}: {counted(result.frames, 'frame')}, {when}, {size}")
    return Status.BROKEN if result.broken else Status.DONE
