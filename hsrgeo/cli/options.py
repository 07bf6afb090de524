"""Options that several commands share: one wording, one place in the help."""

from pathlib import Path
from typing import Annotated, Literal

import typer

CHOOSE = "Choose frames"
AREA = "Choose an area (at most one)"
MASK = "Mask and clean"
PRODUCT = "Rain and projection"
PLACE = "Place"
WRITE = "Write"
RUN = "Run"

MAIN_GRID = "kma-hb-500m"
# ^ `hsrgeo.model.grid_catalog.MAIN_GRID`, whose module takes too long to import for a help text


QuantityChoice = Literal["stored", "rain"]
"""Quantity of outputs."""


ResamplingChoice = Literal["nearest", "bilinear", "average", "max"]
"""How cells of another projection are made."""


RegistrationChoice = Literal["point", "corner"]
"""What the points that KMA serves are."""


ValuesChoice = Literal["clean", "raw"]
"""Values of outputs."""


REMOTE = "s3://, http:// and sftp:// URLs work too."
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Frames (.bin.gz, .bin), folders, globs or archives (.tar, .tar.gz, .tar.bz2, .tar.xz, .zip). "
        "s3://, http:// and sftp:// URLs work too.",
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="First time, such as 2022-06-09T11:15; KST unless a zone is given.", rich_help_panel=CHOOSE
    ),
]
End = Annotated[
    str | None, typer.Option(metavar="TIME", help="End of the time range (exclusive).", rich_help_panel=CHOOSE)
]
Every = Annotated[
    str | None,
    typer.Option(
        metavar="STEP",
        help="Use only times at whole steps from midnight KST, such as 10min or 1h.",
        rich_help_panel=CHOOSE,
    ),
]
Times = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Use only the times in this file, one per line. CSV: the first column.",
        rich_help_panel=CHOOSE,
    ),
]
FrameStep = Annotated[
    str | None,
    typer.Option(
        metavar="STEP",
        help="Time that one frame represents. Default: 5min; 10min for frames before 16 September 2019.",
        rich_help_panel=CHOOSE,
    ),
]
Product = Annotated[
    str | None, typer.Option(metavar="NAME", help="Use only this product, such as HSR.", rich_help_panel=CHOOSE)
]
Kind = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Use only this kind. Default: the first of PUB, EXT, KMA, QCD at each time.",
        rich_help_panel=CHOOSE,
    ),
]
Block = Annotated[
    str,
    typer.Option(
        metavar="NAME|N",
        help="Block to read from files with several: its number, or rain_rate, reflectivity, height, station.",
        rich_help_panel=CHOOSE,
    ),
]
MaxHeight = Annotated[
    float | None,
    typer.Option(
        metavar="M",
        help="Treat cells seen from higher than M metres above the sea as not observed. Needs files with a height "
        "block.",
        rich_help_panel=CHOOSE,
    ),
]
Stations = Annotated[
    str | None,
    typer.Option(
        metavar="CODES",
        help="Treat cells of other radars than these (such as KWK,GDK) as not observed. Needs files with a station "
        "block.",
        rich_help_panel=CHOOSE,
    ),
]
Registration = Annotated[
    RegistrationChoice,
    typer.Option(
        help="point: KMA's points are cell centres. corner: they are south-west corners, half a cell "
        "north-east. See hsrgeo sites.",
        rich_help_panel=PLACE,
    ),
]
Bbox = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option(
        metavar="W S E N",
        help="Box in degrees, also W,S,E,N. Expanded to whole cells.",
        rich_help_panel=AREA,
    ),
]
Window = Annotated[
    tuple[int, int, int, int] | None,
    typer.Option(
        metavar="COL ROW WIDTH HEIGHT",
        help="Window in cells, row 0 in the north, like gdal_translate -srcwin.",
        rich_help_panel=AREA,
    ),
]
Center = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LON LAT", help="Centre of a square of --size cells.", rich_help_panel=AREA),
]
Size = Annotated[
    int | None, typer.Option(metavar="N", help="Width and height in cells, with --center.", rich_help_panel=AREA)
]
_AREAS = "CSV with columns name,west,south,east,north, or bounding boxes of a GeoJSON, .gpkg, .fgb or .shp file."
Regions = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=f"Several areas, one output folder each: {_AREAS}",
        rich_help_panel=AREA,
    ),
]
RegionsOfTable = Annotated[
    Path | None,
    typer.Option(
        "--regions",
        metavar="FILE",
        help=f"Several areas, named in the table's column region: {_AREAS}",
        rich_help_panel=AREA,
    ),
]
RegionsField = Annotated[
    str | None,
    typer.Option(metavar="FIELD", help="Field with names in --regions (default: name).", rich_help_panel=AREA),
]
RegionsEncoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoding of --regions if not UTF-8, such as cp949.", rich_help_panel=AREA),
]
Mask = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Cells that count: a GeoTIFF on the same grid (not 0, not nodata), or polygons with at least half of "
        "the cell inside. The others become nodata.",
        rich_help_panel=MASK,
    ),
]
MinDbz = Annotated[
    float | None,
    typer.Option(
        "--min-dbz", metavar="DBZ", help="Turn weaker reflectivity into no echo. Frames only.", rich_help_panel=MASK
    ),
]
Despeckle = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Turn groups of fewer than N touching cells into no echo. Frames only; needs pip install 'hsrgeo[clean]'.",
        rich_help_panel=MASK,
    ),
]
Smooth = Annotated[
    float,
    typer.Option(
        metavar="CELLS",
        help="Gaussian mean of the echo with this standard deviation, in linear units, over observed cells. Frames "
        "only; needs pip install 'hsrgeo[clean]'.",
        rich_help_panel=MASK,
    ),
]
MinWet = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        help="Write only areas where at least this share (0 to 1) of the observed cells has echo, or rain with "
        "--quantity rain. Other frames are listed as dry.",
        rich_help_panel=WRITE,
    ),
]
Quantity = Annotated[
    QuantityChoice,
    typer.Option(
        help="stored: values of the frames. rain: rain rate in mm/h, 0 where there is no echo.", rich_help_panel=PRODUCT
    ),
]
Zr = Annotated[
    tuple[float, float],
    typer.Option(metavar="A B", help="Coefficients of Z = A R^B, for --quantity rain.", rich_help_panel=PRODUCT),
]
MaxRate = Annotated[
    float | None,
    typer.Option(metavar="MM_H", help="Limit rain rates to this value, before --bias.", rich_help_panel=PRODUCT),
]
Bias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Multiply rain by the factors in this table from hsrgeo gauges bias.",
        rich_help_panel=PRODUCT,
    ),
]
Crs = Annotated[
    str | None,
    typer.Option(
        metavar="CRS", help="Output projection: EPSG code such as EPSG:5179, or WKT.", rich_help_panel=PRODUCT
    ),
]
Resolution = Annotated[
    float | None,
    typer.Option(metavar="SIDE", help="Cell size in units of --crs.", rich_help_panel=PRODUCT),
]
Resampling = Annotated[
    ResamplingChoice,
    typer.Option(
        help="Resampling for --crs. nearest copies values; the others average rain in mm/h and never mix "
        "codes with echo.",
        rich_help_panel=PRODUCT,
    ),
]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", metavar="N", help="Number of processes; -1 uses all cores.", rich_help_panel=RUN)
]
Threads = Annotated[
    int, typer.Option("--jobs", "-j", metavar="N", help="Number of threads; -1 uses all cores.", rich_help_panel=RUN)
]
Region = Annotated[
    str, typer.Option(metavar="NAME", help="Region to read, if the export has several.", rich_help_panel=CHOOSE)
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Run on this Dask cluster: tcp://host:8786 or a scheduler file. Not with --jobs.",
        rich_help_panel=RUN,
    ),
]
DaskWait = Annotated[
    float | None,
    typer.Option(
        "--dask-wait",
        metavar="SECONDS",
        help="Seconds to wait for the scheduler or a worker (default 60).",
        rich_help_panel=RUN,
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first broken frame.", rich_help_panel=RUN)]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print errors only, no progress and no summary.", rich_help_panel=RUN),
]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON summary on stdout.", rich_help_panel=RUN)]
Excel = Annotated[
    bool,
    typer.Option(
        "--excel",
        help="Write CSV for Excel: with a byte-order mark, and times in KST without a zone.",
        rich_help_panel=WRITE,
    ),
]
RainClasses = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="A B", help="Colour reflectivity by rain classes through Z = A R^B instead of KMA's dBZ classes."
    ),
]
Palette = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|NAME",
        help="Colours: a text file as gdaldem color-relief has, or a palette of hsrgeo: rain, reflectivity, height, "
        "station, count, hydrometeor, precipitation_type or temperature.",
    ),
]
