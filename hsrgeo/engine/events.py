"""Rain events of the places of a series: a table in, a table of events out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.series.series_table import RAIN_LAW, law_of, read_series
from hsrgeo.errors import OptionsError
from hsrgeo.gis.hyetograph import PlaceSeries
from hsrgeo.model.fields import Step, Steps, Time
from hsrgeo.model.times import length_text, parse_length
from hsrgeo.products.events import Event, find_events
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.sources.remote import local, target
from hsrgeo.writers.table_files import Column, check_table, write_records

_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
WINDOWS = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 30, 60, 180, 360, 720, 1440))
"""Windows where none are given; of these only those of whole steps of the series."""
Rule = tuple[tuple[timedelta, float], ...]
"""Window lengths and depths [mm], one of which has to be reached."""
_DRY = timedelta(hours=6)


@dataclass(frozen=True, kw_only=True)
class EventsOptions:
    """What `hsrgeo.engine.events.events` looks for.

    Args:
        dry: Time without rain that parts two events, such as ``6h``. Time that was not observed counts as such.
        wet_from: Rain rate [mm/h] from which a step counts as wet; of a basin the mean.
        min_depth: Events of less [mm] are left out.
        windows: Lengths of windows, such as ``1h``; a column for each has the highest depth in such a window. None is
            `WINDOWS`.
        rules: By name, window lengths and depths [mm], one of which has to be reached, as a text ``3h:60,12h:110``. A
            column for each has the minutes from the event's start until then.
        names: Of the places wanted; empty for all.
        excel: CSV that Excel reads as it is, as that of `SeriesOptions`.
        start: First time wanted, aware or a text (KST).
        end: First time no longer wanted, likewise.

    Raises:
        OptionsError: A length, depth or rule that cannot be.
    """

    dry: Step[timedelta] = Step(_DRY)
    wet_from: float = 0.1
    min_depth: float = 0.0
    windows: Steps = Steps(())
    rules: Mapping[str, str] = field(default_factory=dict)
    names: Sequence[str] = ()
    excel: bool = False
    start: Time = Time(None)
    end: Time = Time(None)
    parsed_rules: dict[str, Rule] = field(init=False)

    def __post_init__(self) -> None:
        if self.dry <= timedelta(0):
            raise OptionsError(f"dry {self.dry}: expected a length above 0, such as 6h")
        if not 0 < self.wet_from < math.inf:
            raise OptionsError(f"wet_from {self.wet_from:g}: expected a rain rate above 0 mm/h")
        if not 0 <= self.min_depth < math.inf:
            raise OptionsError(f"min_depth {self.min_depth:g}: expected a depth of 0 mm or more")
        if bad := [length for length in self.windows if length <= timedelta(0)]:
            raise OptionsError(f"window {length_text(bad[0])}: expected a length above 0")
        object.__setattr__(self, "parsed_rules", {name: parse_rule(name, text) for name, text in self.rules.items()})


def parse_rule(name: str, text: str) -> Rule:
    """Return a rule such as ``3h:60,12h:110``, lengths of windows and depths [mm]; its name is a column of the table.

    Raises:
        OptionsError: It is none.
    """
    parts = []
    for part in text.split(","):
        length, colon, depth = part.partition(":")
        try:
            window, limit = parse_length(length), float(depth)
        except (OptionsError, ValueError) as error:
            raise OptionsError(f"rule {name}={text}: expected lengths and mm, as in advisory=3h:60,12h:110") from error
        if not colon or window <= timedelta(0) or not 0 < limit < math.inf or not name.isidentifier():
            raise OptionsError(f"rule {name}={text}: expected a name, lengths and mm above 0, as in advisory=3h:60")
        parts.append((window, limit))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class EventTable:
    """What came of it."""

    path: Path
    places: int
    events: int
    notes: tuple[str, ...] = ()


@takes(EventsOptions)
def events(table: str | Path, out: str | Path, options: EventsOptions | None = None, **keywords: object) -> EventTable:
    """Write the rain events of each place of a series.

    Columns: ``start`` and ``end`` in UTC and KST, the end of the last wet step; ``name``; ``minutes``; ``depth_mm`` of
    what was observed; ``max_mm_h``, the highest rate of a step; ``completeness``, the share of time and area that was
    observed; ``start_observed`` and ``end_observed``, 1 where the step before or after was observed, so that it is
    known that it did not rain then; ``max_1h_mm`` and so on, the highest depth of the event in a window of that
    length; a column for each rule, empty where it is not reached.

    Args:
        table: Of `hsrgeo series`, ``.csv`` or ``.parquet``, without periods.
        out: The new table, ``.csv``, ``.xlsx`` or ``.parquet``; what is there already is replaced.
        options: What to look for.
        keywords: Fields of `EventsOptions`, in place of those of `options`.

    Raises:
        OptionsError: Lengths that are no whole steps of the series; the table would replace itself; no such place.
        SourceError: No series of rain, or a damaged one.
        MissingExtraError: pyarrow is not installed, and one of the two is Parquet.
        WriteError: The disk refused.
    """
    wanted = options_of(EventsOptions, options, keywords)
    source, path = Path(table), target(local(out, "hsrgeo events"))
    check_table(path, excel=wanted.excel)
    if source.resolve() == Path(str(path)).resolve():
        raise OptionsError(f"{out}: the table would overwrite its source; use another name")
    places, notes = read_series(source, wanted.names, wanted.start, wanted.end, most=None)
    step = places[0].step
    windows = wanted.windows or tuple(length for length in WINDOWS if not length % step)
    _check_steps(step, windows, wanted)
    found = [(place, event) for place in places for event in _events_of(place, windows, wanted)]
    found.sort(key=lambda one: one[1].first)
    columns = _columns(found, windows, tuple(wanted.parsed_rules), step)
    law = law_of(source)
    if law != str(KMA_LAW):
        columns[RAIN_LAW] = ("text", [law] * len(found))
    write_records(path, columns, excel=wanted.excel)
    return EventTable(Path(str(path)), len(places), len(found), tuple(notes))


def _check_steps(step: timedelta, windows: Sequence[timedelta], options: EventsOptions) -> None:
    lengths = {"dry": [options.dry], "window": windows}
    lengths |= {f"rule {name}": [length for length, _mm in rule] for name, rule in options.parsed_rules.items()}
    for what, listed in lengths.items():
        if bad := [length for length in listed if length % step]:
            raise OptionsError(f"{what} {length_text(bad[0])}: expected whole steps of the table, {length_text(step)}")


def _events_of(place: PlaceSeries, windows: Sequence[timedelta], options: EventsOptions) -> list[Event]:
    step = place.step
    return find_events(
        place.rates,
        place.coverage,
        step / _HOUR,
        wet_from=options.wet_from,
        dry_steps=options.dry // step,
        min_depth_mm=options.min_depth,
        windows=[length // step for length in windows],
        rules=[[(length // step, mm) for length, mm in rule] for rule in options.parsed_rules.values()],
    )


def _columns(
    found: Sequence[tuple[PlaceSeries, Event]], windows: Sequence[timedelta], rules: Sequence[str], step: timedelta
) -> dict[str, tuple[Literal["time", "text", "number"], Column]]:
    listed = [event for _place, event in found]
    minutes = step / _MINUTE
    columns: dict[str, tuple[Literal["time", "text", "number"], Column]] = {
        "start": ("time", [place.start + event.first * step for place, event in found]),
        "end": ("time", [place.start + event.end * step for place, event in found]),
        "name": ("text", [place.name for place, _event in found]),
        "minutes": ("number", [(event.end - event.first) * minutes for event in listed]),
        "depth_mm": ("number", [event.depth_mm for event in listed]),
        "max_mm_h": ("number", [event.max_mm_h for event in listed]),
        "completeness": ("number", [event.completeness for event in listed]),
        "start_observed": ("number", [float(event.start_observed) for event in listed]),
        "end_observed": ("number", [float(event.end_observed) for event in listed]),
    }
    for number, length in enumerate(windows):
        columns[f"max_{length_text(length)}_mm"] = ("number", [event.windows_mm[number] for event in listed])
    for number, name in enumerate(rules):
        reached = [event.reached[number] for event in listed]
        columns[f"{name}_minutes"] = ("number", [math.nan if at is None else at * minutes for at in reached])
    return columns
