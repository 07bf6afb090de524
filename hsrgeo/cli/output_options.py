"""Options of what export and watch write: which files a frame becomes, and how they are written."""

from enum import StrEnum
from typing import Annotated, Literal

import typer

from hsrgeo.cli.options import CHOOSE, PRODUCT, RUN, WRITE, ValuesChoice


class FormatChoice(StrEnum):  # Typer takes no list of a Literal
    """Kinds of output."""

    cog = "cog"
    png = "png"
    odim = "odim"
    float32 = "float32"
    asc = "asc"
    rgba = "rgba"
    rgba_png = "rgba-png"
    rgba_webp = "rgba-webp"
    mask = "mask"


CompressChoice = Literal["deflate", "zstd", "none"]
"""Compression of COGs."""

OutFolder = Annotated[
    str,
    typer.Option("--out", "-o", metavar="OUT", help="Output folder or s3:// URL for rasters and manifest.jsonl."),
]
BlockOrAll = Annotated[
    str,
    typer.Option(
        metavar="NAME|N|all",
        help="Block to read from files with several: its number, or rain_rate, reflectivity, height, station. "
        "all: one file for each block.",
        rich_help_panel=CHOOSE,
    ),
]
ZrOrClasses = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="A B",
        help="Coefficients of Z = A R^B (default 200 1.6), for --quantity rain. For reflectivity with "
        "--qgis: use rain colour classes instead of KMA's dBZ classes.",
        rich_help_panel=PRODUCT,
    ),
]
Formats = Annotated[
    list[FormatChoice] | None,
    typer.Option(
        "--format",
        help="Output format. Repeatable; default cog and png. odim: ODIM HDF5 (.h5). float32: COG of "
        "physical values, NaN where not observed. asc: ESRI ASCII grid. rgba: COG in colours, "
        "transparent where dry. rgba-png, rgba-webp: the same as a PNG or a lossless WebP with its place. mask: a PNG "
        "beside each PNG, 255 where observed.",
        rich_help_panel=WRITE,
    ),
]
Undetect = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        help="What float32 and asc have where nothing was seen: a number, or nan. Default: 0 mm/h, -250 dBZ.",
        rich_help_panel=WRITE,
    ),
]
Compress = Annotated[CompressChoice, typer.Option(help="Compression of COGs.", rich_help_panel=WRITE)]
CogValues = Annotated[
    ValuesChoice,
    typer.Option(
        help="Values in COGs, and in PNGs of HSP. clean: nodata, undetect and echo only. raw: values exactly as "
        "stored.",
        rich_help_panel=WRITE,
    ),
]
NoSidecars = Annotated[
    bool,
    typer.Option("--no-sidecars", help="Write PNGs without .pgw, .prj and .png.aux.xml files.", rich_help_panel=WRITE),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE",
        help="Path below OUT without suffix; default {time:%Y%m/%d/%Y%m%d%H%M}. Fields: time (KST), utc, "
        "product, kind, region.",
        rich_help_panel=WRITE,
    ),
]
NoSync = Annotated[
    bool,
    typer.Option(
        "--no-sync",
        help="Do not flush files to disk. Faster, but a power failure may leave empty files.",
        rich_help_panel=RUN,
    ),
]
