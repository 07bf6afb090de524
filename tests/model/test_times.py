from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.errors import OptionsError
from hsrgeo.model.times import (
    FRAME_STEP,
    KST,
    export_step,
    kst_text,
    length_text,
    on_step,
    parse_step,
    parse_time,
    time_label,
    usual_step,
    utc_text,
)

MINUTES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(  # noqa: DTZ001 - made aware below
    lambda time: time.replace(second=0, microsecond=0, tzinfo=KST)
)
ANY_ZONE = st.datetimes(
    datetime(1, 1, 3),  # noqa: DTZ001 - the strategy adds the zone
    datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


def test_kst_is_nine_hours_ahead_all_year() -> None:
    for month in (1, 7):
        assert datetime(2022, month, 1, tzinfo=KST).utcoffset() == timedelta(hours=9)


def test_a_composite_is_made_every_five_minutes() -> None:
    assert timedelta(minutes=5) == FRAME_STEP


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        # 11:15 KST - 9 h = 02:15 UTC of the same day
        ("2022-06-09 11:15", datetime(2022, 6, 9, 2, 15, tzinfo=UTC)),
        ("2022-06-09T11:15", datetime(2022, 6, 9, 2, 15, tzinfo=UTC)),
        ("  2022-06-09T11:15:00  ", datetime(2022, 6, 9, 2, 15, tzinfo=UTC)),
        ("202206091115", datetime(2022, 6, 9, 2, 15, tzinfo=UTC)),
        ("2022060911", datetime(2022, 6, 9, 2, 0, tzinfo=UTC)),
        # midnight KST is 15:00 UTC of the day before
        ("20220609", datetime(2022, 6, 8, 15, 0, tzinfo=UTC)),
        ("2022-06-09", datetime(2022, 6, 8, 15, 0, tzinfo=UTC)),
        ("202206", datetime(2022, 5, 31, 15, 0, tzinfo=UTC)),
        ("2022-06", datetime(2022, 5, 31, 15, 0, tzinfo=UTC)),
        # a zone that is given holds
        ("2022-06-09T11:15Z", datetime(2022, 6, 9, 11, 15, tzinfo=UTC)),
        ("2022-06-09T11:15+00:00", datetime(2022, 6, 9, 11, 15, tzinfo=UTC)),
        ("2022-06-09T11:15+09:00", datetime(2022, 6, 9, 2, 15, tzinfo=UTC)),
        ("2022-06-09T11:15-05:30", datetime(2022, 6, 9, 16, 45, tzinfo=UTC)),
        ("2024-02-29", datetime(2024, 2, 28, 15, 0, tzinfo=UTC)),  # a leap year
        # as people write it in Korea
        ("2022/06/09", datetime(2022, 6, 8, 15, 0, tzinfo=UTC)),
        ("2022-6-9", datetime(2022, 6, 8, 15, 0, tzinfo=UTC)),
        ("2022. 6. 9.", datetime(2022, 6, 8, 15, 0, tzinfo=UTC)),
        ("2022/6/9 9:05", datetime(2022, 6, 9, 0, 5, tzinfo=UTC)),
        ("2022-06-09 13:00 KST", datetime(2022, 6, 9, 4, 0, tzinfo=UTC)),  # as hsrgeo prints it
        ("2022-06-09 04:00 UTC", datetime(2022, 6, 9, 4, 0, tzinfo=UTC)),
        ("2022-06-09 오후 1:00:00", datetime(2022, 6, 9, 4, 0, tzinfo=UTC)),  # 13:00 KST
        # the end of the day is midnight of the next one: 24:00 - 9 h = 15:00 UTC
        ("2022-06-09 24:00", datetime(2022, 6, 9, 15, 0, tzinfo=UTC)),
        ("202206092400", datetime(2022, 6, 9, 15, 0, tzinfo=UTC)),
        ("2022060924", datetime(2022, 6, 9, 15, 0, tzinfo=UTC)),
        ("2022-06-09T24:00Z", datetime(2022, 6, 10, 0, 0, tzinfo=UTC)),
    ],
)
def test_parse_time(text: str, utc: datetime) -> None:
    time = parse_time(text)
    assert time.tzinfo is not None
    assert time == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2022",
        "2022-13",
        "202213",
        "20220230",
        "20230229",
        "2022060925",
        "202206092401",
        "202206091160",
        "2022-06-09 24:05",
        "2022/06-09",
        "9/6/2022",
        "22-06-09",
        "44721.25",  # of a spreadsheet; of a user it is a slip
        "9999-12-31 24:00",
        "2022060911150",  # not 2022-06-09, a separator "1" and 11:50
        "20220609111500",
        "2022-06-09T25:00",
        "2022-06-09 11:60",
        "0000-01",
        "000001",
        "11:15",
    ],
)
def test_parse_time_refuses(text: str) -> None:
    with pytest.raises(
        OptionsError, match=rf"^time '{text}': expected 2022-06-09T11:15 \(KST\), 202206091115 or an ISO"
    ):
        parse_time(text)


@pytest.mark.parametrize("text", ["000101010000", "0001-01-01", "9999-12-31T23:59-12:00", "0001-01-01T00:00+12:00"])
def test_parse_time_refuses_times_that_have_no_utc_or_kst(text: str) -> None:
    # 0001-01-01 00:00 KST would be in the year 0 in UTC: converting it raises OverflowError, far from where it came in
    with pytest.raises(OptionsError, match=r"^time '"):
        parse_time(text)


@given(MINUTES)
def test_compact_and_iso_texts_mean_the_same(time: datetime) -> None:
    compact = f"{time.year:04}{time.month:02}{time.day:02}{time.hour:02}{time.minute:02}"
    assert parse_time(compact) == parse_time(time.replace(tzinfo=None).isoformat()) == time


@given(ANY_ZONE)
def test_texts_name_the_same_instant(time: datetime) -> None:
    whole = time.replace(microsecond=0)
    for text in (utc_text(time), kst_text(time)):
        assert datetime.fromisoformat(text) == whole
        assert parse_time(text) == whole


@given(ANY_ZONE)
def test_texts_have_one_form(time: datetime) -> None:
    # as in 2022-06-09T02:15:00Z and 2022-06-09T11:15:00+09:00: they sort as text
    assert len(utc_text(time)) == 20
    assert utc_text(time).endswith("Z")
    assert len(kst_text(time)) == 25
    assert kst_text(time).endswith("+09:00")


def test_texts_of_a_known_time() -> None:
    time = datetime(2022, 6, 9, 5, 15, 30, tzinfo=KST)  # 05:15 - 9 h = 20:15 the day before
    assert utc_text(time) == "2022-06-08T20:15:30Z"
    assert kst_text(time) == "2022-06-09T05:15:30+09:00"
    assert kst_text(datetime(2022, 6, 8, 20, 15, 30, tzinfo=UTC)) == "2022-06-09T05:15:30+09:00"


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("5min", 5),
        ("10m", 10),
        (" 30 min ", 30),
        ("1h", 60),
        ("6H", 360),
        ("1d", 1440),
        ("1440min", 1440),
        ("24h", 1440),
    ],
)
def test_parse_step(text: str, minutes: int) -> None:
    assert parse_step(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "text",
    ["", "10", "min", "-5min", "1.5h", "10 s", "1h30m", "1w", "10m\u0130n", "10m\u0131n", "\uff11\uff10min"],
)
def test_parse_step_refuses_what_is_no_step(text: str) -> None:
    with pytest.raises(
        OptionsError,
        match=rf"^length of time '{text}': expected a number and one of min, h and d, as in 10min, 1h or 1d",
    ):
        parse_step(text)


@pytest.mark.parametrize("text", ["0min", "7min", "7h", "2d", "25h", "1441min"])
def test_parse_step_refuses_what_does_not_divide_a_day(text: str) -> None:
    with pytest.raises(OptionsError, match=rf"^length of time '{text}': must divide a day evenly"):
        parse_step(text)


@pytest.mark.parametrize("text", ["99999999999d", "9" * 30 + "min", "9" * 5000 + "h"])
def test_parse_step_refuses_a_step_longer_than_any_time(text: str) -> None:
    with pytest.raises(OptionsError, match=r"^length of time '9+"):
        parse_step(text)


@given(ANY_ZONE, st.sampled_from([5, 10, 15, 30, 60, 120, 180, 720, 1440]))
def test_on_step_counts_from_midnight_kst(time: datetime, minutes: int) -> None:
    whole = time.replace(second=0, microsecond=0)
    local = whole.astimezone(timezone(timedelta(hours=9)))
    assert on_step(whole, timedelta(minutes=minutes)) == ((local.hour * 60 + local.minute) % minutes == 0)
    assert not on_step(whole + timedelta(seconds=1), timedelta(minutes=minutes))


def test_a_day_begins_at_midnight_kst_not_utc() -> None:
    day = timedelta(days=1)
    assert on_step(datetime(2022, 6, 8, 15, tzinfo=UTC), day)  # 15:00 UTC + 9 h = 24:00
    assert not on_step(datetime(2022, 6, 9, 0, tzinfo=UTC), day)  # 09:00 KST
    # three hours: 00, 03 .. 21 KST are 15, 18 .. 12 UTC; nine hours is three steps, so both clocks agree
    assert on_step(datetime(2022, 6, 9, 0, tzinfo=UTC), timedelta(hours=3))
    assert not on_step(datetime(2022, 6, 9, 0, tzinfo=UTC), timedelta(hours=2))  # 09:00 KST is odd


@pytest.mark.parametrize("text", ["1d", "12h", "1h", "90min", "10min", "1min"])
def test_a_length_is_reported_as_a_user_gives_it(text: str) -> None:
    assert length_text(parse_step(text)) == text


def test_half_a_minute_is_not_reported_as_none() -> None:
    assert length_text(timedelta(seconds=30)) == "0.5min"


@pytest.mark.parametrize(
    ("minutes", "step"),
    [
        ([], 5),
        ([0, 30], 5),  # two frames of an hour are no half-hourly series: the others may be missing
        ([0, 10], 5),
        ([0, 10, 20], 5),
        ([0, 10, 20, 30], 10),
        ([0, 10, 20, 50, 60], 10),  # with a gap of its own
        ([0, 10, 20, 30, 35], 5),  # two lie nearer to each other
        ([0, 5, 10, 25, 40, 55], 5),
        ([0, 15, 30, 45, 75], 15),
        ([0, 7, 14, 21, 28], 5),  # seven minutes do not divide a day
        ([0, 1, 2, 3], 5),
    ],
)
def test_a_gap_is_no_step(minutes: list[int], step: int) -> None:
    times = [datetime(2022, 6, 9, tzinfo=KST) + timedelta(minutes=minute) for minute in minutes]
    assert export_step(times) == timedelta(minutes=step)
    assert export_step(reversed(times)) == timedelta(minutes=step)


def test_a_span_of_one_time_is_shown_as_that_time() -> None:
    time = datetime(2022, 6, 9, 11, 15, tzinfo=KST)
    assert time_label(time, time) == time_label(time, time.astimezone(UTC)) == "2022-06-09 11:15 KST"
    assert time_label(time, time + timedelta(hours=1), between=" - ") == "2022-06-09 11:15 - 2022-06-09 12:15 KST"


@pytest.mark.parametrize(
    ("minutes", "usual"),
    [
        ([], None),
        ([5], None),
        ([0, 10], 10),
        ([0, 5, 10, 20, 30, 40], 10),  # 5 twice, 10 three times
        ([0, 10, 15, 25, 30], 5),  # both twice: the shorter
    ],
)
def test_the_usual_step(minutes: list[int], usual: int | None) -> None:
    times = [datetime(2022, 6, 9, tzinfo=KST) + timedelta(minutes=minute) for minute in minutes]
    assert usual_step(times) == (None if usual is None else timedelta(minutes=usual))
