"""`hsrgeo gauges bias`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer_json, counted, honest_exit, say, say_notes
from hsrgeo.cli.gauges import gauge_options
from hsrgeo.cli.wanted import asked

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.products.bias import Scores

_COMPARE = "Compare"


def bias(
    readings: gauge_options.ReadingsFile,
    radar: Annotated[
        Path,
        typer.Option(
            metavar="TABLE",
            help="Radar table from hsrgeo series --points (.csv or .parquet). Rows are matched by name.",
        ),
    ],
    step: gauge_options.Step,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Output table (.csv or .parquet).")],
    period: Annotated[
        str, typer.Option(metavar="LENGTH", help="Period of one factor: 1h, 1d or event.", rich_help_panel=_COMPARE)
    ] = "1h",
    min_rain: Annotated[
        float,
        typer.Option(metavar="MM", help="Least depth of both gauge and radar in a period.", rich_help_panel=_COMPARE),
    ] = 0.1,
    min_pairs: Annotated[
        int, typer.Option(metavar="N", help="Least number of pairs for a factor.", rich_help_panel=_COMPARE)
    ] = 5,
    max_factor: Annotated[
        float, typer.Option(metavar="F", help="Limit factors to 1/F to F.", rich_help_panel=_COMPARE)
    ] = 10.0,
    min_coverage: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Ignore radar rows with a smaller coverage.", rich_help_panel=_COMPARE),
    ] = 0.9,
    min_frames: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Least share of frames within a reading; their mean is used.",
            rich_help_panel=_COMPARE,
        ),
    ] = 1.0,
    radar_step: Annotated[
        str, typer.Option(metavar="LENGTH", help="Time step of a row of the radar table.", rich_help_panel=_COMPARE)
    ] = "5min",
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a table of every gauge and period.", rich_help_panel=_COMPARE),
    ] = None,
    stamp: gauge_options.Stamp = "end",
    unit: gauge_options.Unit = "mm",
    column: gauge_options.Column = None,
    encoding: gauge_options.Encoding = "utf-8",
    missing: gauge_options.Missing = None,
    empty: gauge_options.Empty = "missing",
    max_rain: gauge_options.Most = None,
    skip_bad: gauge_options.SkipBad = False,
    start: gauge_options.Start = None,
    end: gauge_options.End = None,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Compare the radar with gauges: mean-field bias (gauges over radar) of every hour, day or event.

    Gauge and radar are summed over the same times only. A period with too few pairs has no factor, never 1.0. Scores
    are printed before and after adjustment, and with each gauge left out of its own factor. The exit status is 1 if no
    period has a factor.

    Example: hsrgeo gauges bias readings.csv --radar radar-at-gauges.csv --step 1h --out bias.csv
    """
    arguments = dict(locals())
    with honest_exit():
        from hsrgeo.engine.gauges.bias import gauge_bias  # noqa: PLC0415 - commands import what they need
        from hsrgeo.engine.gauges.gauge_options import GaugeBiasOptions  # noqa: PLC0415
        from hsrgeo.model.times import parse_step  # noqa: PLC0415

        wanted = GaugeBiasOptions(
            **asked(
                GaugeBiasOptions,
                arguments,
                readings=gauge_options.reading_rules(arguments),
                min_rain_mm=min_rain,
                radar_step=parse_step(radar_step),
            )
        )
        found = gauge_bias(readings, radar, out, wanted)
        say_notes(found.notes)
        scored = {"as it is": found.before, "adjusted": found.after, "left out": found.left_out}
        if not quiet:
            of = f"{found.factors:,} of {counted(found.periods, 'period')}"
            behind = f", from {counted(found.pairs, 'pair')}" if found.factors else ""
            say(f"{out}: {of} with a factor{behind}, readings as the {stamp} of {step}")
            for what, score in scored.items() if found.pairs else ():
                say(f"  radar {what:9} RMSE {_score(score.rmse_mm)} mm, correlation {_score(score.correlation)}")
        if json_:
            answer_json(
                {
                    "out": str(out),
                    "periods": found.periods,
                    "factors": found.factors,
                    "pairs": found.pairs,
                    "scores": {what.replace(" ", "_"): _as_json(score) for what, score in scored.items()},
                    "notes": found.notes,
                }
            )
        raise typer.Exit(Status.DONE if found.factors else Status.BROKEN)


def _score(number: float) -> str:
    return "unknown" if math.isnan(number) else f"{number:.3f}"


def _as_json(score: "Scores") -> dict[str, float | None]:
    return {
        "rmse_mm": None if math.isnan(score.rmse_mm) else score.rmse_mm,
        "correlation": None if math.isnan(score.correlation) else score.correlation,
    }
