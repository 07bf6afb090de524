"""`hsrgeo events`."""

from pathlib import Path
from typing import Annotated

import typer

from hsrgeo.cli.common import answer_json, counted, honest_exit, say, say_notes, time_option
from hsrgeo.cli.options import Excel, Json, Quiet


def events(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Table from hsrgeo series (.csv or .parquet).")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Output table (.csv, .xlsx or .parquet).")],
    dry: Annotated[
        str, typer.Option(metavar="LENGTH", help="Time without rain that separates two events; gaps count as such.")
    ] = "6h",
    wet_from: Annotated[
        float, typer.Option(metavar="RATE", help="Rain rate in mm/h from which a step counts as wet.")
    ] = 0.1,
    min_depth: Annotated[float, typer.Option(metavar="MM", help="Leave out events with less rain.")] = 0.0,
    window: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LENGTH",
            help="Window for the highest depth, such as 1h. Repeatable; default 5min, 10min, 30min, 1h, 3h, 6h, "
            "12h and 1d.",
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LENGTH:MM,...",
            help="Rule that one of the windows must reach, such as advisory=3h:60,12h:110: adds the minutes from the "
            "start of the event until then. Repeatable.",
        ),
    ] = None,
    name: Annotated[list[str] | None, typer.Option(metavar="PLACE", help="Use only this place. Repeatable.")] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="First time, such as 2022-06-09T11:15; KST unless a zone is given."),
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="End of the time range (exclusive).")] = None,
    excel: Excel = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Find rain events of gauges and basins: start, end, depth, highest depth in windows, completeness.

    Depths are of what was observed; completeness is the share of the event's time and area that was. Windows belong to
    one event; those of --rule also contain rain from before it.

    Example: hsrgeo events rain.csv --rule advisory=3h:60,12h:110 --rule warning=3h:90,12h:180 --out events.csv
    """
    with honest_exit():
        from hsrgeo.engine.events import events as find  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.errors import OptionsError  # noqa: PLC0415

        rules: dict[str, str] = {}
        for one in rule or ():
            rule_name, equals, text = one.partition("=")
            if not equals or rule_name in rules:
                raise OptionsError(f"rule {one}: expected NAME=LENGTH:MM, and each name once")
            rules[rule_name] = text
        made = find(
            table,
            out,
            dry=dry,
            wet_from=wet_from,
            min_depth=min_depth,
            windows=window or (),
            rules=rules,
            names=name or (),
            excel=excel,
            start=time_option(start),
            end=time_option(end),
        )
        if not quiet:
            say_notes(made.notes)
            say(f"{counted(made.places, 'place')}, {counted(made.events, 'event')}")
        if json_:
            answer_json(
                {"out": str(made.path), "places": made.places, "events": made.events, "notes": list(made.notes)}
            )
