"""Rain gauges of KMA's API hub to the tables that hsrgeo reads: readings, and where the stations are."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from hsrgeo.engine.lazy import Lazy
from hsrgeo.errors import HubError, HubLimitError, OptionsError, OutputExistsError
from hsrgeo.hub.client import Hub
from hsrgeo.hub.gauges import Network, Service, ask_readings, ask_stations, known_step
from hsrgeo.model.fields import as_step, as_time
from hsrgeo.model.times import KST, kst_text, length_text, on_step, parse_time
from hsrgeo.outputs.lock import locked
from hsrgeo.places.places import read_points
from hsrgeo.sources.encodings import unreadable
from hsrgeo.sources.remote import local
from hsrgeo.writers.files import remove_parts, write_file

_TOGETHER = 24  # times after which the table is written
_IN_A_ROW = 5  # questions without a sound answer, after which the run ends
_HEAD = ("time", "name")
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class FetchedReadings:
    """What became of a step."""

    time: datetime
    """Its end."""
    status: Literal["ok", "there", "missing", "failed"]
    """``missing``: no station has a reading."""
    stations: int = 0
    """With a reading."""
    error: HubError | None = None
    """Why it failed."""


class FetchReadings(Lazy[FetchedReadings]):
    """A fetch of readings: iterate it, or call `run`, to make it happen."""

    def __init__(
        self, out: Path, times: list[datetime], service: tuple[Service, timedelta], only: set[str] | None, hub: Hub
    ) -> None:
        self.times = times
        """Ends of the steps that are wanted."""
        self.counts: Counter[str] = Counter()
        """Steps by status, so far."""
        self._out, self._service, self._only, self._hub = out, service, only, hub
        self._items = self._run()

    def __next__(self) -> FetchedReadings:
        fetched = super().__next__()
        self.counts[fetched.status] += 1
        return fetched

    def _so_far(self) -> list[str]:
        return [f"{count:,} {status}" for status, count in self.counts.items()]

    def _run(self) -> Generator[FetchedReadings]:
        with locked(self._out) as lock:
            remove_parts(self._out)
            table = _Table(self._out, self._service[1])
            in_a_row = 0
            try:
                for time in self.times:
                    if time in table.times:
                        yield FetchedReadings(time, "there")
                        continue
                    fetched = self._one(table, time)
                    in_a_row = in_a_row + 1 if fetched.status == "failed" else 0
                    yield fetched
                    if in_a_row == _IN_A_ROW:
                        raise HubError(f"{_IN_A_ROW} requests in a row got no valid answer; the rest is not requested")
                    if table.waiting >= _TOGETHER:
                        lock.check()
                        table.write()
            finally:
                lock.check()
                table.write()

    def _one(self, table: _Table, time: datetime) -> FetchedReadings:
        try:
            depths = ask_readings(self._hub, *self._service, time)
        except HubLimitError:
            raise
        except HubError as error:
            return FetchedReadings(time, "failed", error=error)
        if self._only is not None:
            depths = {number: depths.get(number, math.nan) for number in sorted(self._only)}
        heard = sum(not math.isnan(depth) for depth in depths.values())
        if not heard:  # a time to come is answered so too
            return FetchedReadings(time, "missing")
        table.add(time, depths)
        return FetchedReadings(time, "ok", heard)


class _Table:
    """The file of readings: ``time,name,rain_60min_mm``."""

    def __init__(self, path: Path, step: timedelta) -> None:
        self._path = path
        self._head = [*_HEAD, f"rain_{step // timedelta(minutes=1)}min_mm"]
        self.waiting = 0
        """Times that are not in the file yet."""
        self.times: dict[datetime, list[list[str]]] = {}
        """Rows by the end of their step."""
        self._read()

    def _read(self) -> None:
        try:
            rows = list(csv.reader(io.StringIO(self._path.read_text(encoding="utf-8"), newline="")))
        except FileNotFoundError:
            return
        except (OSError, ValueError, csv.Error) as error:
            raise OutputExistsError(
                str(self._path), f"already exists and cannot be read: {unreadable(error)}"
            ) from error
        if rows[:1] != [self._head] or any(len(row) != len(self._head) for row in rows):
            problem = (
                f"is there already, and is no table of hsrgeo fetch gauges ({','.join(self._head)}); use another OUT"
            )
            raise OutputExistsError(str(self._path), problem)
        for row in rows[1:]:
            self.times.setdefault(parse_time(row[0]), []).append(row)

    def add(self, time: datetime, depths: dict[str, float]) -> None:
        """Add the readings of a step."""
        time_text = kst_text(time)
        self.times[time] = [[time_text, name, "" if math.isnan(mm) else f"{mm:g}"] for name, mm in depths.items()]
        self.waiting += 1

    def write(self) -> None:
        """Write the file, in the order of time."""
        if self.waiting:
            text = io.StringIO(newline="")
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(self._head)
            for _time, rows in sorted(self.times.items()):
                writer.writerows(rows)
            write_file(self._path, text.getvalue().encode())
            self.waiting = 0


def fetch_readings(  # noqa: PLR0913 - each is an option
    out: str | Path,
    *,
    start: datetime | str,
    end: datetime | str | None = None,
    step: timedelta | str = _HOUR,
    service: Service = "minutes",
    gauges: str | Path | None = None,
    hub: Hub | None = None,
) -> FetchReadings:
    """Fetch the rain of KMA's gauges; iterate the result to make it happen, or call its `run`.

    One call a step, for all stations. The table is one that `hsrgeo.gauge_fields` reads: a row a station and step, by
    the end of the step in KST; no number where a station has no reading. The minute table's sums are moving ones, and
    are taken only from rows that are as far apart as the sum is long. Times that are in the table are not asked for.

    Args:
        out: The table, a CSV on this machine.
        start: Beginning of the first step, aware or a text.
        end: End of the last step; now.
        step: 15 minutes or 1 hour.
        service: ``minutes`` (nph-aws2_min) or ``hours`` (awsh.php, hours only).
        gauges: CSV name,lon,lat whose names are the numbers of stations, as `fetch_stations` writes it: only these.
        hub: The service; None for the usual one, with the key that is found.

    Raises:
        OptionsError: Options that cannot be; no key, or one that may not ask this.
        HubLimitError: A limit is reached; the same call goes on later.
        HubError: Several questions in a row got no sound answer.
        OutputExistsError: Something else is there.
        WriteError: The disk refused.
    """
    length = as_step("step", step)
    first, last = as_time("start", start), as_time("end", end) or datetime.now(UTC)
    if length is None or first is None:
        raise OptionsError("start and step must be given")
    length = known_step(service, length)
    time = first.astimezone(KST).replace(minute=0, second=0, microsecond=0)
    times = []
    while time <= last:
        if time - length >= first and on_step(time, length):
            times.append(time)
        time += length
    if not times:
        raise OptionsError(f"there is no whole step of {length_text(length)} from {first} to {last}")
    only = None if gauges is None else set(read_points(gauges).names)
    return FetchReadings(local(out, "hsrgeo fetch gauges"), times, (service, length), only, hub or Hub())


def fetch_stations(out: str | Path, *, network: Network = "AWS", hub: Hub | None = None) -> int:
    """Fetch where KMA's stations are, and write CSV name,lon,lat,station; what is there is replaced.

    The name is the number of a station, by which readings name it: Korean names occur twice.

    Args:
        out: The table, a CSV on this machine.
        network: ``AWS`` for all automatic stations, ``SFC`` for the synoptic ones.
        hub: The service; None for the usual one, with the key that is found.

    Returns:
        How many there are.

    Raises:
        OptionsError: No key, or one that may not ask this.
        HubError, HubLimitError: No sound answer came, or a limit is reached.
        WriteError: The disk refused.
    """
    path = local(out, "hsrgeo fetch stations")
    stations = ask_stations(hub or Hub(), network)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "lon", "lat", "station"))
    writer.writerows((one.number, one.lon, one.lat, one.name) for one in stations)
    write_file(path, text.getvalue().encode())
    return len(stations)
