"""`hsrgeo style`."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.cli.common import honest_exit
from hsrgeo.errors import OptionsError, OutputError

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.model.quantity import Quantity
    from hsrgeo.products.rain import Law


class StyledChoice(StrEnum):
    """Quantities that have colour classes."""

    rain = "rain"
    reflectivity = "reflectivity"


class StyleChoice(StrEnum):
    """Forms of a style, and of its legend."""

    qml = "qml"
    sld = "sld"
    gdal = "gdal"
    svg = "svg"
    png = "png"


def style(
    quantity: Annotated[StyledChoice, typer.Argument(metavar="QUANTITY", help="Quantity: rain or reflectivity.")],
    as_: Annotated[
        StyleChoice,
        typer.Option("--as", help="Style for QGIS, GeoServer or gdaldem, or a legend (png needs Pillow)."),
    ],
    zr: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="A B", help="Colour reflectivity by rain classes through Z = A R^B instead of KMA's dBZ classes."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Output file (default: stdout).")
    ] = None,
) -> None:
    """Print KMA's colours of rain or reflectivity as a style for another program, or as a legend.

    The classes are KMA's own, in mm/h or dBZ; no rain and not observed are transparent.
    """
    with honest_exit():
        from hsrgeo.gis.classes import STYLED  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.products.rain import Law  # noqa: PLC0415
        from hsrgeo.writers.files import write_file  # noqa: PLC0415

        law = None if zr is None else Law(*zr)
        if as_ is StyleChoice.png and out is None and sys.stdout.isatty():
            raise OptionsError("a PNG is nothing for a terminal: give --out FILE")
        data = _made(as_, STYLED[quantity.value], law)
        if out is None:
            _pour(data)
        else:
            write_file(out, data)


def _made(form: StyleChoice, quantity: "Quantity", law: "Law | None") -> bytes:
    from hsrgeo.gis import legend, styles  # noqa: PLC0415 - only where they run

    match form:
        case StyleChoice.qml:
            return styles.qml(quantity, law).encode()
        case StyleChoice.sld:
            return styles.sld(quantity, law).encode()
        case StyleChoice.gdal:
            return styles.gdal(quantity, law).encode()
        case StyleChoice.svg:
            return legend.svg(quantity, law).encode()
        case StyleChoice.png:
            return legend.png(quantity, law)


def _pour(data: bytes) -> None:
    # Bytes, whatever the terminal's encoding: XML says of itself that it is UTF-8. Else as `answer`.
    try:
        typer.echo(data, nl=False)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise OutputError("stdout", f"cannot be written: {error.strerror or error}") from error
