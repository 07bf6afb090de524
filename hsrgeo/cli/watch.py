"""`hsrgeo watch`."""

import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsrgeo.cli import options, output_options
from hsrgeo.cli.common import Status, answer, answer_json, honest_exit, say, say_failed, say_notes
from hsrgeo.cli.wanted import export_options

if TYPE_CHECKING:
    from hsrgeo.engine.export_options import ExportOptions
    from hsrgeo.engine.watch.displays import Displays
    from hsrgeo.engine.watch.status import Round
    from hsrgeo.engine.watch.watch_run import Watch
    from hsrgeo.products.rain import Law

_WATCH = "Watch"
_SHOWN = 10  # broken frames of a round
_WORDS = {"ok": "written", "replaced": "replaced by better ones", "failed": "failed", "removed": "removed"}
Sources = Annotated[
    list[str] | None,
    typer.Argument(metavar="SOURCE", help="Folders, files or archives to follow, as in hsrgeo export."),
]
MaxAge = Annotated[str, typer.Option(metavar="LENGTH", help="Highest age of the newest frame and of the last round.")]


def watch(
    out: output_options.OutFolder,
    sources: Sources = None,
    once: Annotated[
        bool, typer.Option("--once", help="Run one round and exit, for cron and timers.", rich_help_panel=_WATCH)
    ] = False,
    poll: Annotated[
        float, typer.Option(metavar="SECONDS", help="Seconds between rounds.", rich_help_panel=_WATCH)
    ] = 30.0,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="Remove outputs older than this before the newest frame, such as 48h.",
            rich_help_panel=_WATCH,
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="A file that changed within this time is exported only if it is a whole frame.",
            rich_help_panel=_WATCH,
        ),
    ] = 600.0,
    metrics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write figures of each round for the textfile collector of Prometheus, such as hsrgeo.prom.",
            rich_help_panel=_WATCH,
        ),
    ] = None,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch",
            help="Before each round fetch from KMA what is missing of the last hour, and frames that lack radars.",
            rich_help_panel=_WATCH,
        ),
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Folder for fetched frames; followed like a source.", rich_help_panel=_WATCH
        ),
    ] = None,
    qgis: Annotated[
        bool,
        typer.Option(
            "--qgis",
            help="Also write OUT/latest.qgz once, a QGIS project that follows latest.tif.",
            rich_help_panel=_WATCH,
        ),
    ] = False,
    view: Annotated[
        bool,
        typer.Option(
            "--view",
            help="Also keep OUT/index.html and OUT/view/ current, as hsrgeo view --write writes them.",
            rich_help_panel=_WATCH,
        ),
    ] = False,
    host: Annotated[str, typer.Option(metavar="NAME", help="Host for --fetch.", rich_help_panel=_WATCH)] = (
        "apihub.kma.go.kr"
    ),
    start: options.Start = None,
    end: options.End = None,
    every: options.Every = None,
    product: options.Product = None,
    kind: options.Kind = None,
    bbox: options.Bbox = None,
    window: options.Window = None,
    center: options.Center = None,
    size: options.Size = None,
    regions: options.Regions = None,
    regions_field: options.RegionsField = None,
    regions_encoding: options.RegionsEncoding = None,
    mask: options.Mask = None,
    min_dbz: options.MinDbz = None,
    despeckle: options.Despeckle = 0,
    smooth: options.Smooth = 0.0,
    quantity: options.Quantity = "stored",
    zr: output_options.ZrOrClasses = None,
    max_rate: options.MaxRate = None,
    bias: options.Bias = None,
    crs: options.Crs = None,
    resolution: options.Resolution = None,
    resampling: options.Resampling = "nearest",
    format_: output_options.Formats = None,
    undetect: output_options.Undetect = None,
    palette: options.Palette = None,
    compress: output_options.Compress = "deflate",
    values: output_options.CogValues = "clean",
    no_sidecars: output_options.NoSidecars = False,
    name: output_options.Name = None,
    block: output_options.BlockOrAll = "1",
    max_height: options.MaxHeight = None,
    stations: options.Stations = None,
    registration: options.Registration = "point",
    jobs: options.Jobs = 1,
    no_sync: output_options.NoSync = False,
    quiet: options.Quiet = False,
) -> None:
    """Export frames as they arrive, until Ctrl-C or SIGTERM: OUT is always as hsrgeo export would make it now.

    Late, better and broken frames change OUT as they would change an export. Also written: latest.tif, latest.png
    and latest.json, which never go back in time, and status.json, which hsrgeo watch status reads. Sources are looked
    at again and again, so network disks will do. A frame whose source is gone stays, unless --keep removes it.

    Example: hsrgeo watch frames --bbox 126.7 37.4 127.2 37.7 --keep 48h --out live
    """
    arguments = dict(locals())
    with honest_exit(goes_on=True):
        from hsrgeo.engine.watch.last_hour import LastHour  # noqa: PLC0415
        from hsrgeo.engine.watch.status import notify  # noqa: PLC0415
        from hsrgeo.engine.watch.watch_run import Watch  # noqa: PLC0415 - commands import what they need when they run
        from hsrgeo.errors import OptionsError  # noqa: PLC0415
        from hsrgeo.model.times import parse_length  # noqa: PLC0415
        from hsrgeo.products.rain import Law  # noqa: PLC0415

        if fetch != (store is not None):
            raise OptionsError("--fetch and --store go together: --store is the folder for what is fetched")
        if not poll >= 1:
            raise OptionsError(f"--poll {poll:g}: expected 1 second or more")
        listed = [*(sources or ()), *([store] if store is not None else ())]
        if not listed:
            raise OptionsError("no SOURCE: name a folder, or use --fetch --store FOLDER")
        wanted = export_options(arguments)
        law = Law(*zr) if zr is not None and qgis and quantity == "stored" else None
        watched = Watch(
            listed,
            out,
            wanted,
            keep=parse_length(keep) if keep is not None else None,
            settle_s=settle,
            before=LastHour(store, product or "HSR", host) if store is not None else tuple,
            after=_showing(out, wanted, qgis=qgis, view=view, law=law) if qgis or view else tuple,
        )
        with watched:
            if once:
                done = watched.round()
                _tell(watched, done, metrics, quiet=quiet, error=False)
                if done.error is not None:
                    raise done.error
                raise typer.Exit(Status.BROKEN if done.counts["failed"] else Status.DONE)
            before = ""
            notify("READY=1")
            for done in watched.rounds(poll):
                notify("WATCHDOG=1", f"STATUS={done.error or _latest(watched)}")
                error = str(done.error or "")
                _tell(watched, done, metrics, quiet=quiet, error=error != before)  # an outage is reported once
                before = error


def _showing(out: str, wanted: "ExportOptions", *, qgis: bool, view: bool, law: "Law | None") -> "Displays":
    from hsrgeo.engine.watch.displays import Displays  # noqa: PLC0415 - takes a moment

    return Displays(out, wanted.recipe, qgis=qgis, view=view, law=law)


def _tell(watched: "Watch", done: "Round", metrics: Path | None, *, quiet: bool, error: bool) -> None:
    from hsrgeo.engine.watch.status import as_status, prometheus  # noqa: PLC0415 - only where it runs
    from hsrgeo.writers.files import write_file  # noqa: PLC0415

    if metrics is not None:
        write_file(metrics, prometheus(as_status(done, watched.newest, watched.totals)).encode(), sync=False)
    say_failed(done.broken, _SHOWN)
    if error and done.error is not None:
        say(f"failed: {done.error}; tried again in the next round")
    if quiet:
        return
    say_notes(done.notes)
    parts = [f"{done.counts[name]:,} {word}" for name, word in _WORDS.items() if done.counts[name]]  # type: ignore[index]
    if parts:
        say(f"{', '.join(parts)}; {_latest(watched)}")


def _latest(watched: "Watch") -> str:
    from hsrgeo.model.times import time_label  # noqa: PLC0415 - only where it runs

    times = [
        f"{product} of {time_label(line.frame_name.time)}"
        for product, line in sorted(watched.newest.items())
        if line.frame_name
    ]
    return f"latest: {', '.join(times) or 'none'}"


def status(
    out: Annotated[str, typer.Argument(metavar="OUT", help="Output folder of hsrgeo watch.")],
    max_age: MaxAge = "20min",
    json_: Annotated[bool, typer.Option("--json", help="Print OUT/status.json.")] = False,
) -> None:
    """Report whether a watch is up to date, for health checks.

    Exit status: 0 fresh, 1 stale, 2 there is no watch.

    Example: hsrgeo watch status live
    """
    with honest_exit():
        from hsrgeo.engine.watch.status import read_status, stale  # noqa: PLC0415 - only where it runs
        from hsrgeo.errors import OptionsError  # noqa: PLC0415
        from hsrgeo.model.times import parse_length  # noqa: PLC0415
        from hsrgeo.sources.remote import target  # noqa: PLC0415

        found, age = read_status(target(out)), parse_length(max_age)
        if not found:
            raise OptionsError(f"{out}: has no status.json that can be read: no hsrgeo watch has written here")
        reason = stale(found, age)
        if json_:
            answer_json(found)
        else:
            answer(f"stale: {reason}" if reason else "fresh")
            for product, frame in found["latest"].items():
                answer(f"{product} {frame['time']}, {frame['stations']} stations")
        raise typer.Exit(Status.BROKEN if reason else Status.DONE)


def unit(
    context: typer.Context,
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="-- ARGUMENT", help="Arguments of hsrgeo watch, such as frames --out live --keep 48h."),
    ],
    timer: Annotated[
        bool, typer.Option("--timer", help="Print a service for one round, and a timer that starts it.")
    ] = False,
) -> None:
    """Print a systemd unit that runs hsrgeo watch with these arguments, in this folder and as this user.

    Example: hsrgeo watch unit -- frames --out live --keep 48h > ~/.config/systemd/user/hsrgeo-watch.service
    """
    root = context.find_root().command
    root.get_command(context, "watch").make_context("watch", list(arguments))  # type: ignore[attr-defined] # refuses slips
    with honest_exit():
        program = shutil.which("hsrgeo")
        command = [os.path.abspath(program)] if program else [sys.executable, "-m", "hsrgeo"]  # noqa: PTH100 - a link stays one
        command += ["watch", *arguments]
        command += ["--once"] if timer and "--once" not in arguments else []
        answer(*_unit(command, os.getcwd(), timer=timer))  # noqa: PTH109 - a text


def _unit(command: Iterable[str], folder: str, *, timer: bool) -> list[str]:
    service = [
        "[Unit]",
        "Description=hsrgeo watch: radar frames as they arrive",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        *(["Type=oneshot"] if timer else ["Type=notify", "WatchdogSec=15min"]),
        f"WorkingDirectory={folder.replace('%', '%%')}",
        f"ExecStart={' '.join(map(_quoted, command))}",
        "# with --fetch: LoadCredential=kma-apihub-key:/etc/hsrgeo/key",
        *([] if timer else ["Restart=on-failure", "RestartSec=30", "SuccessExitStatus=143"]),
        "NoNewPrivileges=yes",
        "MemoryMax=1G",
        "Nice=10",
    ]
    if not timer:
        return [*service, "", "[Install]", "WantedBy=default.target"]
    return [
        *("# hsrgeo-watch.service", *service, ""),
        *("# hsrgeo-watch.timer", "[Unit]", "Description=hsrgeo watch every five minutes", ""),
        *("[Timer]", "OnCalendar=*:2/5", "AccuracySec=5s", "Persistent=true", "", "[Install]"),
        "WantedBy=timers.target",
    ]


def _quoted(argument: str) -> str:
    """Return an argument as systemd reads it back (systemd.service(5), "Command lines")."""
    doubled = argument.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./{}$-]+", doubled):
        return doubled
    escaped = doubled.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
