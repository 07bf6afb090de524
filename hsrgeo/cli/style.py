"""`hsrgeo style`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import honest_exit
from hsrgeo.errors import OptionsError, OutputError

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.model.quantity import Quantity
    from hsrgeo.products.classes import By


StyledChoice = Literal[
    "rain",
    "rain_depth",
    "reflectivity",
    "height",
    "station",
    "count",
    "hydrometeor",
    "precipitation_type",
    "temperature",
]
"""Quantities that have colour classes."""


StyleChoice = Literal["qml", "sld", "gdal", "svg", "png"]
"""Forms of a style, and of its legend."""


def style(
    quantity: Annotated[
        StyledChoice,
        typer.Argument(
            metavar="QUANTITY",
            help="Quantity: rain, rain_depth, reflectivity, height, station, count, hydrometeor, precipitation_type or "
            "temperature.",
        ),
    ],
    as_: Annotated[
        StyleChoice,
        typer.Option("--as", help="Style for QGIS, GeoServer or gdaldem, or a legend (png needs Pillow)."),
    ],
    zr: options.RainClasses = None,
    palette: options.Palette = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Output file (default: stdout).")
    ] = None,
) -> None:
    """Print the colours of a quantity as a style for another program, or as a legend.

    Rain and reflectivity have KMA's own classes, in mm/h or dBZ; no rain and not observed are transparent.
    """
    with honest_exit():
        from hsrgeo.model.quantity import DEPTH  # noqa: PLC0415
        from hsrgeo.products.classes import STYLED  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.products.palettes import palette_of  # noqa: PLC0415
        from hsrgeo.products.rain import Law  # noqa: PLC0415
        from hsrgeo.writers.files import write_file  # noqa: PLC0415

        if zr is not None and palette is not None:
            raise OptionsError("--zr and --palette both colour reflectivity: give one of them")
        by: By = None if zr is None else Law(*zr)
        if palette is not None:
            by = palette_of(palette)
        styled = DEPTH if quantity == "rain_depth" else STYLED[quantity]
        if as_ == "png" and out is None and sys.stdout.isatty():
            raise OptionsError("a PNG is nothing for a terminal: give --out FILE")
        data = _made(as_, styled, by)
        if out is None:
            _pour(data)
        else:
            write_file(out, data)


def _made(form: StyleChoice, quantity: "Quantity", by: "By") -> bytes:
    from hsrgeo.gis import legend, styles  # noqa: PLC0415 - only where they run

    match form:
        case "qml":
            return styles.qml(quantity, by).encode()
        case "sld":
            return styles.sld(quantity, by).encode()
        case "gdal":
            return styles.gdal(quantity, by).encode()
        case "svg":
            return legend.svg(quantity, by).encode()
        case "png":
            return legend.png(quantity, by)


def _pour(data: bytes) -> None:
    # Bytes, whatever the terminal's encoding: XML says of itself that it is UTF-8. Else as `answer`.
    try:
        typer.echo(data, nl=False)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise OutputError("stdout", f"cannot be written: {error.strerror or error}") from error
