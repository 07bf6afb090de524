"""Options that several commands share: one wording, one place in the help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

CHOOSE = "Choose frames"
AREA = "Choose an area (at most one)"
PRODUCT = "Rain and projection"
PLACE = "Place"
WRITE = "Write"
RUN = "Run"

MAIN_GRID = "kma-hb-500m"
# ^ `hsrgeo.model.grid.MAIN_GRID`, whose module takes too long to import for a help text


class QuantityChoice(StrEnum):
    """What outputs hold."""

    stored = "stored"
    rain = "rain"


class ResamplingChoice(StrEnum):
    """How cells of another projection are made."""

    nearest = "nearest"
    bilinear = "bilinear"
    average = "average"
    max = "max"


class RegistrationChoice(StrEnum):
    """What the points that KMA serves are."""

    point = "point"
    corner = "corner"


class ValuesChoice(StrEnum):
    """Values of outputs."""

    clean = "clean"
    raw = "raw"


class FormatChoice(StrEnum):
    """Kinds of output."""

    cog = "cog"
    png = "png"
    mask = "mask"


class CompressChoice(StrEnum):
    """Compression of COGs."""

    deflate = "deflate"
    zstd = "zstd"
    none = "none"


REMOTE = "Also by s3://, http:// and sftp://."
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Frames (.bin.gz, .bin), folders, globs, archives (.tar, .tar.gz, .tar.bz2, .tar.xz, .zip); "
        "s3://, http:// and sftp:// too.",
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="First time, as 2022-06-09T11:15; KST unless a zone is given.", rich_help_panel=CHOOSE
    ),
]
End = Annotated[str | None, typer.Option(metavar="TIME", help="First time no longer wanted.", rich_help_panel=CHOOSE)]
Every = Annotated[
    str | None,
    typer.Option(metavar="STEP", help="Only whole steps after midnight KST, as 10min or 1h.", rich_help_panel=CHOOSE),
]
Times = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Only the times that a file lists, one a line; CSV: first column.", rich_help_panel=CHOOSE
    ),
]
FrameStep = Annotated[
    str | None,
    typer.Option(
        metavar="STEP",
        help="How long a frame stands for: 5min by default, 10min for frames before 16 September 2019.",
        rich_help_panel=CHOOSE,
    ),
]
Product = Annotated[str | None, typer.Option(metavar="NAME", help="Only this product, as HSR.", rich_help_panel=CHOOSE)]
Kind = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Only this kind; else of a time's files the first of PUB, EXT, KMA, QCD.",
        rich_help_panel=CHOOSE,
    ),
]
Block = Annotated[
    int, typer.Option(metavar="N", help="Which block, of files that hold several.", rich_help_panel=CHOOSE)
]
Registration = Annotated[
    RegistrationChoice,
    typer.Option(
        help="KMA's points are the centres of the cells, or (corner) their south-west corners: half a cell north-east. "
        "See hsrgeo sites.",
        rich_help_panel=PLACE,
    ),
]
Bbox = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option(
        metavar="W S E N",
        help="Degrees, also as W,S,E,N; the smallest window of whole cells that covers it.",
        rich_help_panel=AREA,
    ),
]
Window = Annotated[
    tuple[int, int, int, int] | None,
    typer.Option(
        metavar="COL ROW WIDTH HEIGHT",
        help="Cells, row 0 in the north, as gdal_translate -srcwin.",
        rich_help_panel=AREA,
    ),
]
Center = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LON LAT", help="Middle of a square of --size cells.", rich_help_panel=AREA),
]
Size = Annotated[
    int | None, typer.Option(metavar="N", help="Cells along each side; with --center.", rich_help_panel=AREA)
]
Regions = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Many areas, a folder each: CSV name,west,south,east,north, or the boxes of GeoJSON, .gpkg, .fgb, .shp.",
        rich_help_panel=AREA,
    ),
]
RegionsField = Annotated[
    str | None, typer.Option(metavar="FIELD", help="The names in --regions; name by default.", rich_help_panel=AREA)
]
RegionsEncoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of --regions that is not UTF-8, as cp949.", rich_help_panel=AREA),
]
Quantity = Annotated[
    QuantityChoice,
    typer.Option(
        help="What the frames hold, or the rain rate in mm/h: 0 where no echo, nodata stays.", rich_help_panel=PRODUCT
    ),
]
Zr = Annotated[
    tuple[float, float], typer.Option(metavar="A B", help="Z = A R^B, for --quantity rain.", rich_help_panel=PRODUCT)
]
MaxRate = Annotated[
    float | None,
    typer.Option(metavar="MM_H", help="Cut rain rates down to this; before --bias.", rich_help_panel=PRODUCT),
]
Bias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Multiply rain by the factor of its time in this table of hsrgeo gauges bias.",
        rich_help_panel=PRODUCT,
    ),
]
Crs = Annotated[
    str | None,
    typer.Option(metavar="CRS", help="Another projection: EPSG:5179, EPSG:3857, any WKT.", rich_help_panel=PRODUCT),
]
Resolution = Annotated[
    float | None,
    typer.Option(metavar="SIDE", help="Side of a cell of --crs, in its units.", rich_help_panel=PRODUCT),
]
Resampling = Annotated[
    ResamplingChoice,
    typer.Option(
        help="With --crs: nearest copies values; the others never mix codes with echo, and average rain in mm/h.",
        rich_help_panel=PRODUCT,
    ),
]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", metavar="N", help="Processes; -1 is one a core.", rich_help_panel=RUN)
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="A Dask cluster that does the work, as tcp://host:8786 or a scheduler file; not with --jobs.",
        rich_help_panel=RUN,
    ),
]
DaskWait = Annotated[
    float | None,
    typer.Option(
        "--dask-wait",
        metavar="SECONDS",
        help="How long its scheduler or a worker is waited for; a minute where it is not said.",
        rich_help_panel=RUN,
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first broken frame.", rich_help_panel=RUN)]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress and no summary; errors are still told.", rich_help_panel=RUN),
]
Json = Annotated[bool, typer.Option("--json", help="One summary object on stdout.", rich_help_panel=RUN)]
ZrOrClasses = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="A B",
        help="Z = A R^B, for --quantity rain: 200 1.6 unless given; else the classes of --qgis, not KMA's for dBZ.",
        rich_help_panel=PRODUCT,
    ),
]
Formats = Annotated[
    list[FormatChoice] | None,
    typer.Option(
        "--format",
        help="Repeat for several; cog and png by default. mask: beside each PNG, 255 where observed.",
        rich_help_panel=WRITE,
    ),
]
Compress = Annotated[CompressChoice, typer.Option(help="Of COGs.", rich_help_panel=WRITE)]
CogValues = Annotated[
    ValuesChoice,
    typer.Option(
        help="Of COGs: clean holds nodata, undetect and echo only; raw is bit for bit as stored.",
        rich_help_panel=WRITE,
    ),
]
NoSidecars = Annotated[
    bool,
    typer.Option("--no-sidecars", help="PNGs alone, without .pgw, .prj and .png.aux.xml.", rich_help_panel=WRITE),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="TEMPLATE",
        help="Path below OUT without suffix, as {time:%Y%m/%d/%Y%m%d%H%M}, which is the default: time in KST; "
        "utc, product, kind and region may be used too.",
        rich_help_panel=WRITE,
    ),
]
NoSync = Annotated[
    bool,
    typer.Option(
        "--no-sync",
        help="Do not wait for the disk: for scratch, which a power cut may leave empty.",
        rich_help_panel=RUN,
    ),
]
OutFolder = Annotated[
    str,
    typer.Option("--out", "-o", metavar="OUT", help="Folder or s3:// URL for outputs and manifest.jsonl."),
]
