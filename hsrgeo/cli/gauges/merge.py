"""`hsrgeo gauges merge`."""

import math
import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer_json, counted, honest_exit, say, say_failed, say_notes
from hsrgeo.cli.gauges import gauge_options
from hsrgeo.cli.gauges.field import ModelChoice
from hsrgeo.cli.wanted import asked

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from collections.abc import Iterator, Sequence

    from hsrgeo.engine.gauges.merge_scores import MethodScores

_HOW = "Merge"
_SHOWN = 20  # sums without a file that are printed


MergeChoice = Literal["mean-field", "additive", "multiplicative", "mixed", "ked", "conditional"]
"""Ways to merge."""


def merge(
    readings: gauge_options.ReadingsFile,
    sums: Annotated[
        str,
        typer.Option(metavar="SUMS", help="Folder written by hsrgeo accumulate, or one of its COGs."),
    ],
    gauges: gauge_options.Gauges,
    step: gauge_options.Step,
    out: Annotated[str, typer.Option("--out", "-o", metavar="OUT", help="Output folder. Each sum becomes one COG.")],
    method: Annotated[
        MergeChoice,
        typer.Option(
            help="One factor for all (mean-field); errors by inverse distance (additive, multiplicative, mixed); "
            "kriging with the radar as external drift (ked); conditional merging.",
            rich_help_panel=_HOW,
        ),
    ] = "conditional",
    min_coverage: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Least share of a period's readings that a gauge must have.", rich_help_panel=_HOW
        ),
    ] = 1.0,
    min_frames: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Least share of a sum's frames in which a gauge's cell must be observed.",
            rich_help_panel=_HOW,
        ),
    ] = 1.0,
    min_rain: Annotated[
        float,
        typer.Option(
            metavar="MM", help="Least depth of both gauge and radar for a factor between them.", rich_help_panel=_HOW
        ),
    ] = 0.1,
    min_pairs: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Least number of pairs; a sum with fewer stays as it is.",
            rich_help_panel=_HOW,
        ),
    ] = 5,
    max_factor: Annotated[
        float, typer.Option(metavar="F", help="Limit factors to 1/F to F.", rich_help_panel=_HOW)
    ] = 10.0,
    power: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Inverse distance: power of the weight distance ** -P (default 2).",
            rich_help_panel=_HOW,
        ),
    ] = None,
    neighbours: Annotated[
        int | None,
        typer.Option(metavar="N", help="Inverse distance: gauges per cell (default 12).", rich_help_panel=_HOW),
    ] = None,
    variogram: Annotated[
        ModelChoice | None,
        typer.Option(
            metavar="MODEL",
            help="ked, conditional: spherical, exponential or gaussian. Fitted unless you set:",
            rich_help_panel=_HOW,
        ),
    ] = None,
    range_: Annotated[
        float | None,
        typer.Option("--range", metavar="KM", help="Variogram range, as in gauges field.", rich_help_panel=_HOW),
    ] = None,
    sill: Annotated[float | None, typer.Option(metavar="MM2", help="Nugget included.", rich_help_panel=_HOW)] = None,
    nugget: Annotated[
        float | None,
        typer.Option(metavar="MM2", help="Variance of a gauge's own error (default 0).", rich_help_panel=_HOW),
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
    region: options.Region = "",
    jobs: options.Threads = -1,
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Merge sums of the radar with gauge readings, and score every method by leaving each gauge out.

    Each merged COG has the depth in mm and the frames of the sum; ked and conditional add the standard deviation of the
    error. Cells without radar stay nodata. A sum that the method cannot be applied to, such as a dry one, is
    written as it is, with the reason in its tags. OUT/scores.csv has the scores. The exit status is 1 if no sum was
    merged or one could not be read.

    Example: hsrgeo gauges merge readings.csv --sums hourly/ --gauges gauges.csv --step 1h --method ked --out merged/
    """
    arguments = dict(locals())
    with honest_exit():
        from hsrgeo.engine.gauges.merge import gauge_merge  # noqa: PLC0415 - commands import what they need
        from hsrgeo.engine.gauges.merge_options import GaugeMergeOptions  # noqa: PLC0415

        begun = time.perf_counter()
        wanted = GaugeMergeOptions(
            **asked(
                GaugeMergeOptions,
                arguments,
                readings=gauge_options.reading_rules(arguments),
                min_rain_mm=min_rain,
                range_km=range_,
                sill_mm2=sill,
                nugget_mm2=nugget,
            )
        )
        run = gauge_merge(readings, sums, out, wanted).run()
        say_notes(run.notes)
        say_failed([f"{one.source}: {one.problem}" for one in run.failed], _SHOWN)
        merged = len(run.written) - run.as_they_are.total()
        if not quiet:
            left = f", {run.as_they_are.total():,} left as they are" if run.as_they_are else ""
            say(f"{counted(len(run.written), 'file')}: {merged:,} merged by {method}{left}")
            for line in _table(run.scores):
                say(line)
        if json_:
            answer_json(
                {
                    "out": str(out),
                    "files": [str(path) for path in run.written],
                    "merged": merged,
                    "as_they_are": dict(run.as_they_are),
                    "negative_to_zero": run.clipped,
                    "factors_limited": run.limited,
                    "scores": {row.method: _as_json(row) for row in run.scores},
                    "seconds": round(time.perf_counter() - begun, 3),
                    "notes": run.notes,
                    "failed": [{"source": str(one.source), "why": one.problem} for one in run.failed],
                }
            )
        raise typer.Exit(Status.DONE if merged and not run.failed else Status.BROKEN)


def _table(rows: "Sequence[MethodScores]") -> "Iterator[str]":
    pairs = rows[0].pairs if rows else 0
    if not pairs:
        return
    yield f"each gauge left out, {counted(pairs, 'pair')}:  RMSE mm  mean error mm  correlation"
    wide = len(f"each gauge left out, {counted(pairs, 'pair')}:")
    for row in rows:
        if not row.periods:
            yield f"{'  ' + row.method:<{wide}}  not applied"
            continue
        partly = "" if row.periods == rows[0].periods else f"  (applied to {row.periods:,} of {rows[0].periods:,} sums)"
        numbers = (row.scores.rmse_mm, row.scores.mean_error_mm, row.scores.correlation)
        rmse, error, correlation = ("unknown" if math.isnan(number) else f"{number:.3f}" for number in numbers)
        yield f"{'  ' + row.method:<{wide}}  {rmse:>7}  {error:>13}  {correlation:>11}{partly}"


def _as_json(row: "MethodScores") -> dict[str, float | None]:
    numbers = {
        "rmse_mm": row.scores.rmse_mm,
        "mean_error_mm": row.scores.mean_error_mm,
        "correlation": row.scores.correlation,
    }
    known = {name: None if math.isnan(number) else number for name, number in numbers.items()}
    return {"pairs": row.pairs, "periods": row.periods, **known}
