"""Options that the commands of `hsrgeo gauges` share: how a file of readings is to be understood."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hsrgeo.cli.wanted import asked

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.sources.gauge_rules import ReadingRules

_READ = "Understand the readings"


StampChoice = Literal["end", "start"]
"""What the time of a reading is."""


UnitChoice = Literal["mm", "mm/h"]
"""What a reading is."""


EmptyChoice = Literal["missing", "zero"]
"""What an empty cell is."""


ReadingsFile = Annotated[
    Path,
    typer.Argument(metavar="READINGS", help="CSV with columns time,name,rain_mm; or time and one column per gauge."),
]
Gauges = Annotated[Path, typer.Option("--gauges", metavar="FILE", help="CSV with columns name,lon,lat in degrees.")]
Step = Annotated[
    str, typer.Option(metavar="LENGTH", help="Length of a reading: 1min, 10min, 1h or 1d.", rich_help_panel=_READ)
]
Stamp = Annotated[
    StampChoice,
    typer.Option(
        help="Whether a reading's time is the end (as at KMA) or the start of its step.", rich_help_panel=_READ
    ),
]
Unit = Annotated[UnitChoice, typer.Option(help="Unit of the readings: depth or mean rate.", rich_help_panel=_READ)]
Column = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Name of the rain column, if several are possible.", rich_help_panel=_READ),
]
Encoding = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="Encoding of CSV files that are not UTF-8, such as cp949.", rich_help_panel=_READ
    ),
]
Missing = Annotated[
    list[float] | None,
    typer.Option(
        metavar="CODE", help="Number that marks a missing reading, such as -99.9. Repeatable.", rich_help_panel=_READ
    ),
]
Empty = Annotated[
    EmptyChoice,
    typer.Option(help="Meaning of an empty cell; zero in some KMA files.", rich_help_panel=_READ),
]
Most = Annotated[
    float | None,
    typer.Option(
        "--max-rain",
        metavar="MM",
        help="Reject readings above this. Default: a limit based on world-record rainfall.",
        rich_help_panel=_READ,
    ),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip and count bad rows.", rich_help_panel=_READ)]
Start = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Start of the first step, KST unless a zone is given.", rich_help_panel=_READ),
]
End = Annotated[str | None, typer.Option(metavar="TIME", help="End of the last step.", rich_help_panel=_READ)]
GridName = Annotated[
    str,
    typer.Option(
        "--grid",
        metavar="NAME",
        help="Grid, see hsrgeo grids. With the suffix -corner, KMA's points are corners of cells.",
    ),
]


def reading_rules(arguments: Mapping[str, Any]) -> "ReadingRules":
    """Return what was said of the readings, among the arguments of a command."""
    from hsrgeo.sources.gauge_rules import ReadingRules  # noqa: PLC0415 - only where it runs

    missing = tuple(arguments["missing"] or ())
    return ReadingRules(**asked(ReadingRules, arguments, missing=missing, most_mm=arguments["max_rain"]))
