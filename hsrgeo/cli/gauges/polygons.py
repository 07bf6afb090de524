"""`hsrgeo gauges polygons`."""

from pathlib import Path
from typing import Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import counted, honest_exit, say, say_notes
from hsrgeo.cli.gauges.gauge_options import GridName


def polygons(
    gauges: Annotated[Path, typer.Argument(metavar="GAUGES", help="CSV with columns name,lon,lat in degrees.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Output file (.geojson), in degrees.")],
    bbox: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(metavar="W S E N", help="Clip polygons to this box in degrees (default: the grid)."),
    ] = None,
    grid: GridName = options.MAIN_GRID,
    encoding: Annotated[
        str, typer.Option(metavar="NAME", help="Encoding of a CSV that is not UTF-8, such as cp949.")
    ] = "utf-8",
) -> None:
    """Write the Thiessen polygon of every gauge, with its area, for a GIS or for hsrgeo series --polygons.

    Example: hsrgeo gauges polygons gauges.csv --bbox 126 34 130 38.6 --out thiessen.geojson
    """
    with honest_exit():
        from hsrgeo.engine.gauges.polygons import thiessen_polygons  # noqa: PLC0415 - commands import what they need

        made = thiessen_polygons(gauges, out, bbox=bbox, grid=grid, encoding=encoding)
        say_notes(made.notes)
        say(f"{made.path}: polygons of {counted(made.gauges, 'place')}")
