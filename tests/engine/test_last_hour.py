"""`hsrgeo watch --fetch`: what is asked for in a round, and that OUT follows frames that fill in as radars report."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import hsrgeo
from hsrgeo.engine import fetch
from hsrgeo.engine.watch.last_hour import Asked, LastHour, absent, partial
from hsrgeo.engine.watch.watch_run import Watch
from hsrgeo.hub import budget
from tests.fake_hub import KEY, Reply, empty_home, fake_hub, frame, missing
from tests.fake_hub import Asked as Question
from tests.watched import OPTIONS, held

NOON = datetime(2022, 6, 9, 12, tzinfo=hsrgeo.KST)
WINDOW = replace(OPTIONS, window=(0, 0, 8, 8))


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


# What is due, without clock, disk or service.


@pytest.mark.parametrize(
    ("age_min", "since_min", "due"),
    [(0, None, True), (5, 0.4, False), (5, 0.5, True), (60, 5.9, False), (60, 6, True), (60, None, True)],
)
def test_a_time_without_a_frame_is_asked_for_after_a_tenth_of_its_age(
    age_min: float, since_min: float | None, *, due: bool
) -> None:
    asked = {} if since_min is None else {NOON: Asked(minutes(age_min - since_min))}
    assert absent(minutes(age_min), [NOON], asked) == ([NOON] if due else [])
    assert absent(minutes(age_min), [NOON], {NOON: Asked(NOON, 0)}) == []


def test_a_day_without_any_frame_leaves_calls_for_the_next() -> None:
    asked: dict[datetime, Asked] = {}
    calls = 0
    for half in range(2 * 24 * 60):
        now = minutes(half / 2)
        first = -(-half // 10) - 12  # of the last hour
        times = [minutes(5 * step) for step in range(max(first, 0), half // 10 + 1)]
        for time in absent(now, times, asked):
            asked[time] = Asked(now)
            calls += 1
    # A time is asked for each half minute until it is 5 minutes old: 11 times; then each time at 1.1 of the age
    # before, or half a minute later: at most log(60 / 5) / log(1.1) = 26 times more. 37 x 288 = 10,656.
    assert 11 * 288 < calls <= 37 * 288


def test_a_frame_lacks_radars_while_two_others_have_more() -> None:
    def due(*stations: int | None, since_min: float = 4) -> list[int]:
        asked = {minutes(-5 * n): Asked(minutes(-since_min), count) for n, count in enumerate(stations)}
        return [round((NOON - time) / timedelta(minutes=5)) for time in partial(NOON, asked)]

    assert due(7, 10, 10) == [0]
    assert due(7, 10, 7) == []  # one frame with more may be the odd one
    assert due(7, 11, 10) == [0]
    assert due(10, 11, 10) == []
    assert due(7, 10) == []
    assert due(7) == due() == []
    assert due(None, 10, 10) == []
    assert due(7, 10, 10, since_min=3.9) == []
    assert due(10, 10, 7, 7, 7, 7, 7) == [5, 4]  # two at most; the oldest first; 30 minutes old is too old
    assert due(10, 10, 10, 10, 10, 10, 7) == []


def test_of_several_frames_that_lack_radars_the_longest_waiting_come_first() -> None:
    asked = {minutes(-5 * n): Asked(minutes(-at), count) for n, at, count in ((0, 5, 7), (1, 9, 7), (2, 7, 7))}
    asked |= {minutes(-35 - 5 * n): Asked(minutes(-50), 10) for n in range(2)}
    assert partial(NOON, asked) == [minutes(-5), minutes(-10)]


# With a service.


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a user's home; no pause is waited for."""
    moments = iter(range(10**6))
    monkeypatch.setattr(budget, "_now", lambda: 1e9 + 10 * next(moments))
    home = empty_home(tmp_path, monkeypatch)
    monkeypatch.setenv("KMA_APIHUB_KEY", KEY)
    return home


class Sky:
    """A service in which each frame appears 5 minutes after its time with 3 radars, and has 5 after 10 minutes more.

    The frames of some times have 4 for good, and others never come.
    """

    def __init__(self, few: set[datetime], never: set[datetime]) -> None:
        self.now = NOON
        self.few, self.never = few, never

    def seconds(self) -> float:
        return self.now.timestamp()

    def __call__(self, asked: Question, _number: int) -> Reply:
        time = datetime.strptime(asked.time, "%Y%m%d%H%M").replace(tzinfo=hsrgeo.KST)
        age = self.now - time
        if time in self.never or age < timedelta(minutes=5):
            return missing(asked.time)
        stations = 3 if age < timedelta(minutes=15) else 4 if time in self.few else 5
        return Reply(frame(asked.time, stations=stations))


@pytest.fixture
def sky(monkeypatch: pytest.MonkeyPatch) -> Sky:
    """Give frames, and the time to the client."""
    sky = Sky(few={minutes(5)}, never={minutes(10)})

    class Now(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Now:
            assert tz is UTC
            return cls.fromtimestamp(sky.now.timestamp(), UTC)

    monkeypatch.setattr(fetch, "datetime", Now)
    return sky


@pytest.mark.slow
def test_outputs_follow_frames_that_fill_in_and_are_those_of_an_export(home: Path, sky: Sky) -> None:
    store, out, happened = home / "raw", home / "out", Counter[str]()
    with fake_hub(sky) as hub:
        fetching = LastHour(store, "HSR", hub.host, lambda: sky.now)
        with Watch(store, out, WINDOW, before=fetching, clock=sky.seconds) as watch:
            for _round in range(41):  # 12:00 to 12:40
                done = watch.round()
                assert (done.error, done.notes) == (None, [])
                happened += done.counts
                sky.now += timedelta(minutes=1)
        asked = Counter(hub.times)
    there = {path.name.split("_")[4][:12]: hsrgeo.open_frame(path).header.station_count for path in store.rglob("*.gz")}
    # 12:25 came at 12:30 and was asked for again at 12:34 and 12:38, 13 minutes old: the next time is 12:42.
    expected = {**{5 * n: 5 for n in range(-12, 5)}, 5: 4, 25: 3, 30: 3, 35: 3}
    del expected[10]
    assert there == {f"{minutes(n):%Y%m%d%H%M}": stations for n, stations in expected.items()}
    # 11:50, 11:55, 12:00, 12:05, 12:15 and 12:20 came with 3 radars first.
    assert happened == {"ok": 19, "replaced": 6}
    # 12:00: at ages of 0 to 5 minutes, and of 9, 13 and 17. 12:05: likewise, and of 21, 25 and 29.
    # 12:10: at 0 to 10, and of 12, 14, 16, 18, 20, 23, 26 and 29.
    assert [asked[f"{minutes(n):%Y%m%d%H%M}"] for n in (0, 5, 10)] == [9, 12, 19]
    hsrgeo.export(store, home / "whole", WINDOW).run()
    assert held(out) == held(home / "whole")


@pytest.mark.slow
def test_an_outage_is_reported_once(home: Path, sky: Sky) -> None:
    sky.never = {minutes(5 * n) for n in range(100)}
    with fake_hub(sky) as hub:
        fetching = LastHour(home / "raw", "HSR", hub.host, lambda: sky.now)
        with Watch(home / "raw", home / "out", WINDOW, before=fetching) as watch:
            notes = []
            for _round in range(11):
                notes += watch.round().notes
                sky.now += timedelta(minutes=9)
    assert notes == ["KMA's API hub has no HSR after 2022-06-09 11:55 KST"]
