"""`hsrgeo fetch gauges` and `hsrgeo fetch stations`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer, answer_json, counted, honest_exit, say
from hsrgeo.cli.fetch.fetch_options import Host, LimitBytes, LimitCalls, Pace, make_hub

_SHOWN = 20  # failures that are printed


ServiceChoice = Literal["minutes", "hours"]
"""Where readings come from."""


NetworkChoice = Literal["aws", "sfc"]
"""Which stations."""


def gauges(
    out: Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="Output table (.csv).")],
    start: Annotated[str, typer.Option(metavar="TIME", help="Start of the first step, KST.")],
    end: Annotated[str | None, typer.Option(metavar="TIME", help="End of the last step (default: now).")] = None,
    step: Annotated[
        str, typer.Option(metavar="LENGTH", help="Length of a step, 15min or 1h. Each step takes one call.")
    ] = "1h",
    service: Annotated[
        ServiceChoice, typer.Option(help="KMA service: nph-aws2_min, or awsh.php for hours.")
    ] = "minutes",
    stations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Fetch only the stations in this CSV from hsrgeo fetch stations."),
    ] = None,
    pace: Pace = 2.0,
    limit_calls: LimitCalls = None,
    limit_bytes: LimitBytes = None,
    host: Host = "apihub.kma.go.kr",
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Get the rain of KMA's gauges as a table that hsrgeo gauges reads: time,name,rain_60min_mm, by the end of a step.

    The sums of the minute table move on every minute: they are taken only from rows that are a step apart. Columns are
    found by their names in the answer; an answer without names is rejected. No number where a station has no
    reading. kma_sfctm2/3.php are not read, for there -9 is both no rain and no reading; nor is sfc_aws_day.php, of
    which no description was at hand. Never tried against the real service.

    Example: hsrgeo fetch gauges --start 2022-08-08 --end 2022-08-09 --out readings.csv
    """
    with honest_exit(goes_on=True):
        from hsrgeo.engine.fetch_gauges import fetch_readings  # noqa: PLC0415 - commands import what they need
        from hsrgeo.model.times import time_label  # noqa: PLC0415

        hub = make_hub(pace, limit_calls, limit_bytes, host)
        run = fetch_readings(out, start=start, end=end, step=step, service=service, gauges=stations, hub=hub)
        failed = 0
        try:
            for one in run:
                if one.error is not None and failed < _SHOWN:
                    say(f"failed: {time_label(one.time)}: {one.error}")
                    failed += 1
        finally:
            words = {"ok": "fetched", "there": "there already", "missing": "without a reading", "failed": "failed"}
            summary = ", ".join(
                f"{run.counts[status]:,} {word}" for status, word in words.items() if run.counts[status]
            )
            if not quiet:
                say(f"{counted(len(run.times), 'step')}: {summary or 'nothing fetched'}")
            if json_:
                answer_json({"times": len(run.times), **{status: run.counts[status] for status in words}})
        raise typer.Exit(Status.BROKEN if run.counts["failed"] or run.counts["missing"] else Status.DONE)


def stations(
    out: Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="CSV name,lon,lat,station.")],
    network: Annotated[
        NetworkChoice, typer.Option(help="aws: all automatic stations. sfc: synoptic stations.")
    ] = "aws",
    host: Host = "apihub.kma.go.kr",
) -> None:
    """Fetch the positions of KMA's stations with one call. The name is the station number used in readings.

    Example: hsrgeo fetch stations --out gauges.csv
    """
    with honest_exit():
        from hsrgeo.engine.fetch_gauges import fetch_stations  # noqa: PLC0415 - only where it runs
        from hsrgeo.hub.client import Hub  # noqa: PLC0415

        count = fetch_stations(out, network="AWS" if network == "aws" else "SFC", hub=Hub(host=host))
        answer(str(out))
        say(counted(count, "station"))
