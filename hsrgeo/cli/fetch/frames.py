"""`hsrgeo fetch`: frames."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.cli import options
from hsrgeo.cli.common import Status, answer, answer_json, counted, honest_exit, say, say_failed
from hsrgeo.cli.fetch.fetch_options import Host, LimitBytes, LimitCalls, Pace, bytes_option, pace_option

if TYPE_CHECKING:  # names in signatures of helpers only: Typer reads those of commands
    from hsrgeo.engine.fetch import Fetch, Fetched, FetchOptions, FetchStatus

_MANY = 3000  # frames, some ten days: about the bytes that a day allows
_ARCHIVES = (
    "for months take the archives RDR_HSR_YYYYMM.tar.gz, by hand, from https://data.kma.go.kr (기상자료개방포털): "
    "hsrgeo export reads them as they are"
)
_SHOWN = 20  # failures that are printed
_WORDS: "dict[FetchStatus, str]" = {
    "ok": "fetched",
    "there": "there already",
    "replaced": "replaced by better ones",
    "missing": "missing",
    "not-yet": "not there yet",
    "failed": "failed",
}


def frames(
    context: typer.Context,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="OUT", help="Output folder or s3:// URL for frames.")
    ] = None,
    start: options.Start = None,
    end: options.End = None,
    day: Annotated[
        str | None, typer.Option(metavar="DAY", help="Day in KST, such as 2026-09-27.", rich_help_panel=options.CHOOSE)
    ] = None,
    last: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH", help="Fetch the last hours or days, such as 3h or 1d.", rich_help_panel=options.CHOOSE
        ),
    ] = None,
    latest: Annotated[
        bool, typer.Option("--latest", help="Fetch the newest frame that KMA lists.", rich_help_panel=options.CHOOSE)
    ] = False,
    every: options.Every = None,
    product: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Product: HSR (default), HSP, CPP, PPI, CMX, CMB or CMC.",
            rich_help_panel=options.CHOOSE,
        ),
    ] = "HSR",
    again: Annotated[
        bool,
        typer.Option("--again", help="Fetch existing frames again. A frame with more radars replaces the old one."),
    ] = False,
    retry_missing: Annotated[
        bool, typer.Option("--retry-missing", help="Retry times for which KMA had no frame an hour later.")
    ] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="Print KMA's list of frames (one call per day) without fetching.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the number of calls and bytes needed without making a call.")
    ] = False,
    pace: Pace = 2.0,
    limit_calls: LimitCalls = None,
    limit_bytes: LimitBytes = None,
    host: Host = "apihub.kma.go.kr",
    quiet: options.Quiet = False,
    json_: options.Json = False,
) -> None:
    """Get frames from KMA's API hub, into a folder that hsrgeo export can read. Needs a key: hsrgeo fetch key.

    A frame is saved in OUT (YYYYMM/DD/) only if it is valid and of the requested time. The same command
    again skips existing frames. One request at a time, --pace apart; all your runs share the calls and
    bytes of a day. Written from public descriptions of the service and tested against an imitation: no call to the
    real service was made yet.

    Exit status: 0 all there, 1 something missing or failed, 2 wrong usage or no key, 3 a limit was reached or the
    connection was refused: run the same command later to resume.

    Example: hsrgeo fetch --last 3h --out frames
    """
    if context.invoked_subcommand is not None:
        return
    with honest_exit(goes_on=True):
        from hsrgeo.engine.fetch import FetchOptions, fetch  # noqa: PLC0415 - commands import what they need
        from hsrgeo.errors import OptionsError  # noqa: PLC0415

        wanted = FetchOptions(
            start=start,
            end=end,
            day=day,
            last=last,
            latest=latest,
            every=every,
            product=product,
            again=again,
            retry_missing=retry_missing,
            pace_s=pace_option(pace, host),
            limit_calls=limit_calls,
            limit_bytes=bytes_option(limit_bytes),
            host=host,
        )
        if latest and (list_ or dry_run):
            raise OptionsError("--latest asks for one frame: take --list and --dry-run with --last, --day or --start")
        if list_:
            raise typer.Exit(_list(wanted, json_=json_))
        if out is None:
            raise OptionsError("give an output folder: --out FOLDER")
        run = fetch(out, wanted)
        if dry_run:
            _tell_plan(run, json_=json_)
            return
        if len(run.times) > _MANY and not quiet:
            say(f"note: {len(run.times):,} frames are many; {_ARCHIVES}")
        followed = _Followed(run, quiet=quiet)
        try:
            followed.follow()
        finally:
            followed.tell(json_=json_)
        missing = run.counts["failed"] or (run.counts["missing"] and not latest) or not followed.there
        raise typer.Exit(Status.BROKEN if missing else Status.DONE)


def _list(wanted: "FetchOptions", *, json_: bool) -> Status:
    from hsrgeo.hub.frames import ask_list, file_name, known_product  # noqa: PLC0415
    from hsrgeo.model.times import KST, kst_text  # noqa: PLC0415

    (first, end), hub, listed = wanted.span(), wanted.hub(), []
    day = first.astimezone(KST).date()
    while day <= (end - timedelta(microseconds=1)).astimezone(KST).date():
        listed += [
            frame_name
            for frame_name in ask_list(hub, known_product(wanted.product), day)
            if first <= frame_name.time < end
        ]
        day += timedelta(days=1)
    if json_:
        rows = [{"time": kst_text(one.time), "kind": one.kind, "name": file_name(one)} for one in listed]
        answer_json(rows)
    elif listed:
        answer(*map(file_name, listed))
    if not listed:
        say("KMA's API hub lists nothing of these times")
    return Status.DONE if listed else Status.BROKEN


def _tell_plan(run: "Fetch", *, json_: bool) -> None:
    plan, used, limits = run.plan(), run.hub.budget.used(), run.hub.budget.limits
    calls = len(plan.to_ask)
    hours = calls * limits.pace_s / 3600
    share = max(calls / max(limits.calls, 1), plan.size / max(limits.size, 1))
    if json_:
        numbers = {"times": len(run.times), "there": plan.there, "missing": plan.missing, "future": plan.future}
        cost = {
            "calls": calls,
            "bytes_about": plan.size,
            "hours_least": round(hours, 3),
            "days_of_limits": round(share, 3),
        }
        answer_json({**numbers, **cost, "calls_today": used.calls, "bytes_today": used.size})
        return
    parts = [f"{plan.there:,} there already", f"{calls:,} to ask for"]
    parts += [f"{plan.missing:,} that KMA does not have"] if plan.missing else []
    parts += [f"{plan.future:,} in the future"] if plan.future else []
    length = f"{hours:,.1f} h" if hours >= 1 else counted(math.ceil(60 * hours), "minute")
    answer(
        f"{counted(len(run.times), 'time')}: {', '.join(parts)}",
        f"about {plan.size / 1e6:,.0f} MB and {length}, {share:.0%} of what a day allows",
        f"used today: {used.calls:,} of {limits.calls:,} calls, {used.size / 1e6:,.0f} of {limits.size / 1e6:,.0f} MB",
    )
    if calls > _MANY:
        answer(_ARCHIVES)


class _Followed:
    """Follows a fetch, and tells what came of it."""

    def __init__(self, run: "Fetch", *, quiet: bool) -> None:
        self._run, self._quiet = run, quiet
        self._missing: list[datetime] = []
        self._failed: list[Fetched] = []

    @property
    def there(self) -> int:
        """How many frames are there now, or come yet."""
        return sum(self._run.counts[status] for status in ("ok", "there", "replaced"))

    def follow(self) -> None:
        """Run to the end."""
        from hsrgeo.cli.progress import steps_bar  # noqa: PLC0415 - only where it runs

        with steps_bar("fetch", len(self._run.times), quiet=self._quiet) as advance:
            for one in self._run:
                if one.status == "missing":
                    self._missing.append(one.time)
                if one.error is not None:
                    self._failed.append(one)
                advance()

    def tell(self, *, json_: bool) -> None:
        """Tell failures, missing times as spans, and a summary."""
        from hsrgeo.model.times import kst_text, time_label  # noqa: PLC0415

        say_failed([f"{time_label(one.time)}: {one.error}" for one in self._failed], _SHOWN)
        for span in _spans(self._missing):
            say(f"missing: KMA's API hub has no frame of {span}")
        counts = self._run.counts
        if json_:
            failed = [{"time": kst_text(one.time), "error": str(one.error)} for one in self._failed]
            missing = [kst_text(time) for time in self._missing]
            numbers = {str(status): count for status, count in counts.items()}
            rest = {"bytes": self._run.size, "missing_times": missing, "errors": failed}
            answer_json({"times": len(self._run.times), **numbers, **rest})
        if not self._quiet:
            parts = [f"{counts[status]:,} {word}" for status, word in _WORDS.items() if counts[status]]
            say(f"{', '.join(parts) or 'nothing fetched'} ({self._run.size / 1e6:,.1f} MB)")


def _spans(times: Iterable[datetime]) -> list[str]:
    """Return times in words, those that follow upon each other as one: an outage of a day is one line."""
    from hsrgeo.model.times import time_label, usual_step  # noqa: PLC0415

    ordered = sorted(times)
    step = usual_step(ordered) or timedelta(0)
    groups = [ordered[:1]] if ordered else []
    for before, time in pairwise(ordered):
        if time - before > step:
            groups.append([])
        groups[-1].append(time)
    return [
        time_label(group[0]) + (f" to {time_label(group[-1])} ({len(group):,} times)" if len(group) > 1 else "")
        for group in groups
    ]
