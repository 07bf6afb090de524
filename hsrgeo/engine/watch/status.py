"""What came of a round of a watch; in OUT/status.json, for Prometheus, and for systemd."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from hsrgeo import __version__
from hsrgeo.engine.watch.latest import read_json, write_json
from hsrgeo.errors import HsrGeoError
from hsrgeo.model.times import kst_text, time_label, utc_text
from hsrgeo.outputs.names import STATUS
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.sources.remote import Place

Happened = Literal["ok", "replaced", "duplicate", "failed", "removed"]


@dataclass
class Round:
    """The result of a round."""

    time: float
    """When it began, in seconds since 1970."""
    counts: Counter[Happened] = field(default_factory=Counter)
    """``ok`` are new times, ``replaced`` those that have a better frame now, ``duplicate`` frames that lost, ``failed``
    broken ones, and ``removed`` times that lie before the window now."""
    broken: list[str] = field(default_factory=list)
    """What is wrong with each broken frame. A frame is reported again only when something else is wrong with it."""
    notes: list[str] = field(default_factory=list)
    """Notes, each reported once."""
    listed: int = 0
    """Files of the sources."""
    waiting_for: list[str] = field(default_factory=list)
    """Of them, those that may not be complete yet: frames and archives."""
    error: HsrGeoError | None = None
    """Why the round did not come to its end; the next one tries again."""

    @property
    def waiting(self) -> int:
        """How many files may not be complete yet."""
        return len(self.waiting_for)


HAPPENED: tuple[Happened, ...] = get_args(Happened)
_LISTED = 20  # broken frames in status.json


def as_status(done: Round, newest: Mapping[str, Outcome], totals: Mapping[Happened, int]) -> dict[str, Any]:
    """Return what ``status.json`` says after a round; `totals` are those of all rounds of this watch."""
    return {
        "hsrgeo": __version__,
        "round_utc": _seconds_text(done.time),
        "error": str(done.error) if done.error else None,
        "files": done.listed,
        "waiting": done.waiting,
        "round": {name: done.counts.get(name, 0) for name in HAPPENED},
        "total": {name: totals.get(name, 0) for name in HAPPENED},
        "broken": done.broken[:_LISTED],
        "latest": {
            product: {
                "time": kst_text(line.frame_name.time),
                "time_utc": utc_text(line.frame_name.time),
                "stations": line.stations,
            }
            for product, line in sorted(newest.items())
            if line.frame_name
        },
    }


def write_status(out: Place, status: Mapping[str, Any], *, sync: bool = True) -> None:
    """Write ``status.json`` in one step."""
    write_json(out / STATUS, status, sync=sync)


def read_status(out: Place) -> dict[str, Any]:
    """Return what ``status.json`` says; an empty object where there is none, or it is damaged."""
    return read_json(out / STATUS)


def stale(status: Mapping[str, Any], max_age: timedelta, now: float | None = None) -> str:
    """Return why a watch is not up to date, in words; empty where it is.

    The newest frame, and the last round, may be `max_age` old; `now` is in seconds since 1970.
    """
    at = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    if at - _time(status.get("round_utc")) > max_age:
        return f"the last round was at {_kst(status.get('round_utc'))}: the watch has ended, or hangs"
    if status.get("error"):
        return f"the last round failed: {status['error']}"
    late = [
        f"{product} of {_kst(frame['time_utc'])} is {_age(at - _time(frame['time_utc']))} old"
        for product, frame in status.get("latest", {}).items()
        if at - _time(frame["time_utc"]) > max_age
    ]
    return "; ".join(late) if status.get("latest") else "there is no frame yet"


def prometheus(status: Mapping[str, Any]) -> str:
    """Return a status as text for the textfile collector of Prometheus' node exporter."""
    rows = [
        "# TYPE hsrgeo_last_round_timestamp_seconds gauge",
        f"hsrgeo_last_round_timestamp_seconds {_time(status['round_utc']).timestamp():.0f}",
        "# TYPE hsrgeo_last_round_failed gauge",
        f"hsrgeo_last_round_failed {int(bool(status['error']))}",
        "# TYPE hsrgeo_files_waiting gauge",
        f"hsrgeo_files_waiting {status['waiting']}",
        "# TYPE hsrgeo_frames_total counter",
        *(f'hsrgeo_frames_total{{status="{name}"}} {count}' for name, count in status["total"].items()),
        "# TYPE hsrgeo_latest_frame_timestamp_seconds gauge",
        *(
            f'hsrgeo_latest_frame_timestamp_seconds{{product="{product}"}} {_time(frame["time_utc"]).timestamp():.0f}'
            for product, frame in status["latest"].items()
        ),
        "# TYPE hsrgeo_latest_frame_stations gauge",
        *(
            f'hsrgeo_latest_frame_stations{{product="{product}"}} {frame["stations"]}'
            for product, frame in status["latest"].items()
        ),
    ]
    return "\n".join(rows) + "\n"


def _seconds_text(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _time(text: object) -> datetime:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _kst(text: object) -> str:
    time = _time(text)
    return time_label(time) if time.year > 1 else "an unknown time"


def _age(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    if minutes >= 72 * 60:  # three days
        return f"{minutes // (24 * 60):,} days"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60:,} h"  # noqa: PLR2004 - two hours


def notify(*fields: str) -> None:
    """Send fields such as ``READY=1``, one line each, see sd_notify(3); without a service manager nothing happens."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return
    address = f"\0{name[1:]}" if name.startswith("@") else name
    text = "\n".join(field.partition("\n")[0] for field in fields)
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0)  # a manager that does not listen stops nothing
        sender.sendto(text.encode("utf-8", "backslashreplace"), address)
