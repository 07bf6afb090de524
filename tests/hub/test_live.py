"""A few calls of KMA's API hub, for whoever has a key: `pytest -m live tests/hub/test_live.py -s`.

They pin down what is only read about: that the service still answers so. Some twenty calls, two seconds apart.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import hsrgeo
from hsrgeo.hub.client import Hub
from hsrgeo.hub.frames import ask_frame, ask_list, latest_times
from hsrgeo.hub.key import find_key


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Hub:
    """Give the real service, where it was asked for on the command line."""
    if "live" not in str(request.config.getoption("-m")):
        pytest.skip("asks KMA's API hub: pytest -m live")
    return Hub(find_key())


@pytest.mark.live
def test_the_list_of_yesterday_names_288_times_of_the_kind_ext(hub: Hub) -> None:
    listed = ask_list(hub, "HSR", (datetime.now(UTC).astimezone(hsrgeo.KST) - timedelta(days=1)).date())
    print(len(listed), {one.kind for one in listed})  # noqa: T201 - it is what is asked for
    assert {one.kind for one in listed} == {"EXT"}
    assert len({one.time for one in listed}) == 288


@pytest.mark.live
@pytest.mark.parametrize("product", ["HSR", "HSP"])
def test_the_newest_frame_is_sound_and_not_old(product: str, hub: Hub, tmp_path: Path) -> None:
    [*_others, last] = hsrgeo.fetch(tmp_path, hsrgeo.FetchOptions(latest=True, product=product), hub=hub)
    print(last, datetime.now(UTC) - last.time)  # noqa: T201
    assert last.status == "ok"
    assert datetime.now(UTC) - last.time < timedelta(minutes=30)


@pytest.mark.live
def test_how_far_back_frames_go(hub: Hub) -> None:
    now = datetime.now(UTC).astimezone(hsrgeo.KST).replace(hour=12, minute=0, second=0, microsecond=0)
    there = {days: ask_frame(hub, "HSR", now - timedelta(days=days)) is not None for days in (3, 30, 365)}
    print(there)  # noqa: T201
    assert all(there.values()), "the archive is shorter than since 2016"


@pytest.mark.live
def test_a_time_to_come_is_answered_as_a_missing_one(hub: Hub) -> None:
    newest = latest_times(hub, "HSR", 1)[0]
    assert ask_frame(hub, "HSR", newest + timedelta(hours=2)) is None


@pytest.mark.live
def test_gauges_tell_an_hour_and_where_they_are(hub: Hub, tmp_path: Path) -> None:
    count = hsrgeo.fetch_stations(tmp_path / "gauges.csv", hub=hub)
    hour = datetime.now(UTC).astimezone(hsrgeo.KST).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    for service in ("minutes", "hours"):
        out = tmp_path / f"{service}.csv"
        span = {"start": hour, "end": hour + timedelta(hours=1)}
        [one] = hsrgeo.fetch_readings(out, **span, service=service, hub=hub)  # type: ignore[arg-type]
        print(service, one, count)  # noqa: T201
        assert one.status == "ok"
        assert one.stations > count / 2
