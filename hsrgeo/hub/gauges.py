"""Rain gauges of KMA's API hub: what its texts say of stations and of the rain in a step.

The texts name their columns themselves (``help=1``), and only columns found by their names are read. Rows of a text end
in ``,=`` or have blanks between; the text ends in ``#7777END``, and what ends earlier was cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from hsrgeo.errors import HubError, OptionsError
from hsrgeo.hub.client import Hub
from hsrgeo.model.texts import plain
from hsrgeo.model.times import KST, length_text

Service = Literal["minutes", "hours"]
Network = Literal["AWS", "SFC"]

_MINUTES, _HOURS = "/api/typ01/cgi-bin/url/nph-aws2_min", "/api/typ01/url/awsh.php"
_COLUMNS: dict[Service, dict[timedelta, str]] = {
    "minutes": {timedelta(minutes=15): "RN-15m", timedelta(hours=1): "RN-60m"},
    "hours": {timedelta(hours=1): "RN_HR1"},
}
"""The column that holds the rain of a step in the row of its end. The sums of the minute tables move: only the rows
that are a step apart tell of different rain (KMA composite format, section 7, "Other facts")."""
_STATIONS = "/api/typ01/url/stn_inf.php"
_END = "#7777END"
_TIME = "YYMMDDHHMI"
_MOST_BYTES = 20_000_000
_TRIES = 2  # of a text that came cut


@dataclass(frozen=True, slots=True)
class Station:
    """A gauge."""

    number: str
    """By which readings name it."""
    name: str
    """Korean; several stations may share it."""
    lon: float
    """Degrees."""
    lat: float
    """Degrees."""


def known_step(service: Service, step: timedelta) -> timedelta:
    """Return a step of which a service tells the rain.

    Raises:
        OptionsError: It does not.
    """
    if service not in _COLUMNS:
        raise OptionsError(f"service {service!r}: expected {' or '.join(_COLUMNS)}")
    if step not in _COLUMNS[service]:
        steps = " or ".join(map(length_text, _COLUMNS[service]))
        raise OptionsError(f"step {length_text(step)}: KMA's API hub has rain of {steps} only ({service})")
    return step


def ask_readings(hub: Hub, service: Service, step: timedelta, time: datetime) -> dict[str, float]:
    """Ask for the rain of all stations in one step, see `known_step`, which ends at `time`.

    Returns:
        Depth [mm] by the number of the station, NaN where it has none; nothing where the service has no such time.

    Raises:
        HubError: No sound answer, or one without the column.
        HubLimitError, OptionsError: See `Hub.ask`.
    """
    tm = f"{time.astimezone(KST):%Y%m%d%H%M}"
    query = {"stn": "0", "disp": "1", "help": "1"}
    query |= {"tm1": tm, "tm2": tm} if service == "minutes" else {"tm": tm}
    text = _whole(hub, _MINUTES if service == "minutes" else _HOURS, query)
    return readings_in(text, _COLUMNS[service][step], tm) if text else {}


def ask_stations(hub: Hub, network: Network) -> list[Station]:
    """Ask where the stations are: ``AWS`` for all automatic ones, ``SFC`` for the synoptic ones.

    Raises:
        HubError: No sound answer, or no station in it.
        HubLimitError, OptionsError: See `Hub.ask`.
    """
    stations = stations_in(_whole(hub, _STATIONS, {"inf": network, "stn": "0", "help": "1"}))
    if not stations:
        raise HubError(f"KMA's API hub names no station of {network}")
    return stations


def _whole(hub: Hub, path: str, query: dict[str, str]) -> str:
    """Return a text that has its end; empty where the service has nothing to tell."""
    for left in reversed(range(_TRIES)):
        answer, is_there = hub.ask(path, query, most_bytes=_MOST_BYTES)
        if not is_there:
            return ""
        text = answer.text
        if _END in text:
            return text
        if not left:
            what = "without a beginning or an end" if "#START7777" not in text else "without its end (#7777END)"
            raise HubError(f"KMA's API hub sends a text {what}: {hub.shown(text)}")
    raise AssertionError


def readings_in(text: str, column: str, tm: str) -> dict[str, float]:
    """Return the depths [mm] that a text tells, by the number of the station; NaN where it tells none.

    `tm` is the time that was asked for, as the rows write it.

    Raises:
        HubError: It has no such column, or rows that do not fit the columns or are of another time.
    """
    columns = _columns_of(text, _TIME, column)
    at, station = columns.index(column), columns.index("STN")
    found = {}
    for cells in _rows(text):
        if len(cells) != len(columns):
            raise HubError(f"KMA's API hub names {len(columns)} columns, and a row has {len(cells)}")
        if cells[0] != tm:
            raise HubError(f"KMA's API hub sends readings of another time than {tm}")
        found[cells[station]] = _depth(cells[at])
    return found


def stations_in(text: str) -> list[Station]:
    """Return the stations that a text tells, each once.

    Raises:
        HubError: It lacks a column, or a row is no station.
    """
    columns = _columns_of(text, "STN", "STN_KO")  # STN is there twice: first the number, then that of another station
    number, lon, lat, name = (columns.index(one) for one in ("STN", "LON", "LAT", "STN_KO"))
    found: dict[str, Station] = {}
    for cells in _rows(text):
        try:
            station = Station(cells[number], plain(cells[name]), float(cells[lon]), float(cells[lat]))
        except (IndexError, ValueError) as error:
            raise HubError("KMA's API hub sends a row that is no station") from error
        found.setdefault(station.number, station)
    return list(found.values())


def _columns_of(text: str, first: str, needed: str) -> list[str]:
    """Return the names of the columns: of the comment that begins with the first of them."""
    for line in text.splitlines():
        names = line.lstrip("# \t").replace(",", " ").split()
        if line.startswith("#") and names[:1] == [first] and {needed, "STN"} <= set(names):
            return names
    raise HubError(f"KMA's API hub names no columns {first}, STN and {needed} in its text: its layout has changed")


def _rows(text: str) -> Iterator[Sequence[str]]:
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split(",")] if "," in line else line.split()
        yield cells[:-1] if cells[-1] == "=" else cells


def _depth(cell: str) -> float:
    """Return a depth; NaN for the codes of no reading, all of them negative: -9, -50, -99.x."""
    try:
        depth = float(cell)
    except ValueError:
        return math.nan
    return depth if 0 <= depth < math.inf else math.nan
