"""`hsrgeo fetch gauges` and `hsrgeo fetch stations` against an imitation of KMA's API hub."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.errors import HubError
from hsrgeo.hub import budget, client
from hsrgeo.hub.gauges import readings_in, stations_in
from hsrgeo.places.places import read_points
from hsrgeo.sources.gauge_rules import ReadingRules
from hsrgeo.sources.gauges import read_readings
from tests.fake_hub import KEY, Asked, FakeHub, Reply, Script, always, empty_home, fake_hub, refusal

MINUTES, HOURS, STATIONS = (
    "/api/typ01/cgi-bin/url/nph-aws2_min",
    "/api/typ01/url/awsh.php",
    "/api/typ01/url/stn_inf.php",
)
NAMES = "YYMMDDHHMI STN WD1 WS1 WDS WSS WD10 WS10 TA RE RN-15m RN-60m RN-12H RN-DAY HM PA PS TD".split()  # noqa: SIM905
TIME = datetime(2022, 8, 8, 17, tzinfo=hsrgeo.KST)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a user's home with a key, where nothing waits."""
    empty_home(tmp_path, monkeypatch)
    monkeypatch.setenv("KMA_APIHUB_KEY", KEY)
    monkeypatch.setattr(client, "_AGAIN_S", 0)
    monkeypatch.setattr(budget, "PACE_S", 0)


def minute_row(tm: str, station: str, rain: dict[str, object]) -> str:
    cells: dict[str, object] = dict.fromkeys(NAMES, "-99.9") | {"YYMMDDHHMI": tm, "STN": station} | rain
    return ",".join(str(cells[name]) for name in NAMES) + ",=\n"


def minute_text(*rows: str) -> bytes:
    """Return a text as nph-aws2_min writes it: names, units, rows, and an end."""
    head = "#START7777\n# " + "   ".join(NAMES) + "\n#  KST  ID  deg  m/s  mm\n"
    return (head + "".join(rows) + "#7777END\n").encode("euc-kr")


def hour_text(tm: str, *rows: tuple[str, object]) -> bytes:
    head = "#START7777\n# YYMMDDHHMI  STN   TA  WD  WS  RN_DAY  RN_HR1  HM\n"
    return (head + "".join(f"{tm} {stn}  25.0 12 1.0 88.5 {mm} 90.0\n" for stn, mm in rows) + "#7777END\n").encode()


STATION_TEXT = """#START7777
#  STN_ID : 지점번호
# STN           LON           LAT STN_SP   HT   HT_WD  LAU STN STN_KO   STN_EN   FCT_ID   LAW_ADDR
     400  126.87600000   37.52200000 01111000     10.50     10.00    0 108 양천     ----   11B10101 서울 목동
     401  127.01500000   37.57800000 01111000     25.00     10.00    0 108 종로     ----   11B10101 서울 송월동
     501  127.50000000   36.00000000 01111000     25.00     10.00    0 133 종로     ----   11B10101 대전 어느 동
#7777END
""".encode("euc-kr")


def service(asked: Asked, _number: int) -> Reply | None:
    """Answer: the sums of 15 and 60 minutes of station 400 are minutes after midnight, and others tell nothing."""
    if asked.path == STATIONS:
        return Reply(STATION_TEXT)
    tm = asked.query.get("tm1") or asked.query["tm"]
    since = 60 * int(tm[8:10]) + int(tm[10:])
    if asked.path == HOURS:
        return Reply(hour_text(tm, ("400", since / 10), ("401", "-99.0")))
    return Reply(
        minute_text(
            minute_row(tm, "400", {"RN-15m": since / 100, "RN-60m": since / 10, "RN-12H": 999, "RN-DAY": 888}),
            minute_row(tm, "401", {"RN-15m": -50, "RN-60m": "-9", "RN-DAY": 1.0}),
        )
    )


def run(hub: FakeHub, *args: object) -> Result:
    words = ["fetch", *map(str, args), "--host", hub.host]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert "Traceback" not in done.output
    return done


DAY = ("--start", "2022-08-08T15:00", "--end", "2022-08-08T18:00", "--pace", "0")


def test_an_hour_s_rain_is_that_of_the_row_at_its_end(tmp_path: Path) -> None:
    out = tmp_path / "readings.csv"
    with fake_hub(service) as hub:
        done = run(hub, "gauges", "--out", out, *DAY)
        assert (done.exit_code, "3 steps: 3 fetched" in done.stderr) == (0, True), done.output
        asked = [one.query for one in hub.asked]
        expected = {"tm1": "202208081600", "tm2": "202208081600", "stn": "0", "disp": "1", "help": "1", "authKey": KEY}
        assert asked[0] == expected
        assert run(hub, "gauges", "--out", out, *DAY).exit_code == 0
        assert len(hub.asked) == 3
    # Minutes after midnight / 10: 16:00 is 960, so 96.0 mm; 401 has only codes of no reading.
    assert out.read_text(encoding="utf-8").splitlines() == [
        "time,name,rain_60min_mm",
        "2022-08-08T16:00:00+09:00,400,96",
        "2022-08-08T16:00:00+09:00,401,",
        "2022-08-08T17:00:00+09:00,400,102",
        "2022-08-08T17:00:00+09:00,401,",
        "2022-08-08T18:00:00+09:00,400,108",
        "2022-08-08T18:00:00+09:00,401,",
    ]


def test_sums_of_15_minutes_are_taken_15_minutes_apart(tmp_path: Path) -> None:
    out = tmp_path / "readings.csv"
    with fake_hub(service) as hub:
        span = ("--start", "2022-08-08T16:00", "--end", "2022-08-08T16:44", "--step", "15min", "--pace", "0")
        assert run(hub, "gauges", "--out", out, *span).exit_code == 0
        assert [one.query["tm1"][-4:] for one in hub.asked] == ["1615", "1630"]
        assert run(hub, "gauges", "--out", out, *DAY).exit_code == 1  # another step does not go into the table
    assert "2022-08-08T16:15:00+09:00,400,9.75" in out.read_text()  # 975 minutes / 100


def test_hours_come_from_the_hourly_service_too(tmp_path: Path) -> None:
    with fake_hub(service) as hub:
        done = run(hub, "gauges", "--out", tmp_path / "a.csv", *DAY, "--service", "hours")
        assert done.exit_code == 0, done.output
        assert {one.path for one in hub.asked} == {HOURS}
        assert run(hub, "gauges", "--out", tmp_path / "b.csv", *DAY).exit_code == 0
        assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
        done = run(hub, "gauges", "--out", tmp_path / "c.csv", *DAY, "--service", "hours", "--step", "15min")
    assert (done.exit_code, "has rain of 1h only (hours)" in done.stderr) == (2, True)


def test_stations_have_places_and_their_readings_are_read(tmp_path: Path) -> None:
    places, out = tmp_path / "gauges.csv", tmp_path / "readings.csv"
    with fake_hub(service) as hub:
        done = run(hub, "stations", "--out", places)
        assert (done.exit_code, "3 stations" in done.stderr) == (0, True)
        assert {"inf": "AWS", "stn": "0", "help": "1"}.items() <= hub.asked[0].query.items()
        assert run(hub, "gauges", "--out", out, *DAY, "--stations", places).exit_code == 0
    points = read_points(places)
    assert (points.names, points.lonlat[0]) == (("400", "401", "501"), (126.876, 37.522))
    readings = read_readings(out, points.names, ReadingRules(step=HOUR))
    # the reading of 17:00 is the rain from 16:00 on
    assert readings.depths_mm[TIME - HOUR][0] == 102
    assert readings.counts == {"used": 3, "missing": 6}


def test_a_time_without_a_reading_is_missing_and_asked_for_again(tmp_path: Path) -> None:
    tm = "202208081700"

    def script(asked: Asked, number: int) -> Reply | None:
        if asked.query.get("tm1") == tm and number < 3:
            return Reply(minute_text(minute_row(tm, "400", {}), minute_row(tm, "401", {})))  # -99.9 all over
        return service(asked, number)

    with fake_hub(script) as hub:
        done = run(hub, "gauges", "--out", tmp_path / "r.csv", *DAY)
        assert (done.exit_code, "2 fetched, 1 without a reading" in done.stderr) == (1, True)
        assert run(hub, "gauges", "--out", tmp_path / "r.csv", *DAY).exit_code == 0
        assert [one.query["tm1"] for one in hub.asked][3:] == [tm]
    times = [line.partition(",")[0] for line in (tmp_path / "r.csv").read_text().splitlines()[1::2]]
    assert times == sorted(times)


CUT = minute_text(minute_row("202208081600", "400", {"RN-60m": 1}))
BROKEN: dict[str, tuple[Script, str]] = {
    "cut": (always(Reply(CUT[:-20])), "without its end (#7777END)"),
    "page": (always(Reply(b"<html>")), "without a beginning or an end"),
    "no names": (
        always(Reply(b"#START7777\n202208081600,400,1,=\n#7777END")),
        "names no columns YYMMDDHHMI, STN and RN-60m",
    ),
    "other names": (always(Reply(CUT.replace(b"RN-60m", b"RN60"))), "its layout has changed"),
    "short rows": (always(Reply(CUT.replace(b",-99.9,=", b",="))), "names 18 columns, and a row has 17"),
    "other time": (always(Reply(CUT.replace(b"1600,400", b"1559,400"))), "another time than 202208081600"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_sound_table_fails(name: str, tmp_path: Path) -> None:
    script, message = BROKEN[name]
    with fake_hub(script) as hub:
        span = ("--start", "2022-08-08T15:00", "--end", "2022-08-08T16:00", "--pace", "0")
        done = run(hub, "gauges", "--out", tmp_path / "r.csv", *span)
    assert (done.exit_code, message in done.stderr) == (1, True), done.output
    assert not (tmp_path / "r.csv").exists()


def test_a_text_that_came_cut_is_asked_for_once_more(tmp_path: Path) -> None:
    with fake_hub(lambda asked, number: service(asked, number) if number else Reply(CUT[:-20])) as hub:
        assert run(hub, "gauges", "--out", tmp_path / "r.csv", *DAY).exit_code == 0
        assert len(hub.asked) == 4


def test_limits_and_refusals_keep_what_came_before(tmp_path: Path) -> None:
    with fake_hub(
        lambda asked, number: service(asked, number) if number < 2 else Reply(refusal(403, "용량 초과"), 403)
    ) as hub:
        done = run(hub, "gauges", "--out", tmp_path / "r.csv", *DAY)
        assert (done.exit_code, "run the same command later to resume" in done.stderr) == (3, True)
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 5
    with fake_hub(always(Reply(refusal(403, "활용신청이 필요한 API 입니다."), 403))) as hub:
        done = run(hub, "stations", "--out", tmp_path / "s.csv")
    assert (done.exit_code, "has not applied for stn_inf.php" in done.stderr) == (2, True)
    with fake_hub(always(Reply(b"", 500))) as hub:
        day = ("--start", "2022-08-08", "--end", "2022-08-09", "--pace", "0")
        done = run(hub, "gauges", "--out", tmp_path / "five.csv", *day)
    assert (done.exit_code, "5 requests in a row" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "text", ["name,lon,lat\n400,1,2\n", "time,name,rain_60min_mm\n1\n", "time,name,rain_15min_mm\n"]
)
def test_another_file_is_not_written_over(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(text)
    with fake_hub(service) as hub:
        done = run(hub, "gauges", "--out", tmp_path / "r.csv", *DAY)
    assert (done.exit_code, "is no table of hsrgeo fetch gauges" in done.stderr) == (1, True)
    assert ((tmp_path / "r.csv").read_text(), len(hub.asked)) == (text, 0)


def test_steps_that_no_table_tells(tmp_path: Path) -> None:
    with fake_hub(service) as hub:
        for args, message in (
            (("--start", "2022-08-08", "--step", "5min"), "has rain of 15min or 1h only"),
            (("--start", "2022-08-08T10:10", "--end", "2022-08-08T11:50"), "there is no whole step of 1h"),
        ):
            done = run(hub, "gauges", "--out", tmp_path / "r.csv", *args)
            assert (done.exit_code, message in done.stderr) == (2, True), done.output


def test_texts_with_blanks_and_a_repeated_name() -> None:
    text = "# YYMMDDHHMI STN RN-60m\n202208081600  90   1.5\n202208081600 91 .\n#7777END"
    found = readings_in(text, "RN-60m", "202208081600")
    assert (found["90"], found["91"] == found["91"]) == (1.5, False)
    stations = stations_in(STATION_TEXT.decode("euc-kr"))
    assert [(one.number, one.name) for one in stations] == [("400", "양천"), ("401", "종로"), ("501", "종로")]
    with pytest.raises(HubError, match="a row that is no station"):
        stations_in("# STN LON LAT STN_KO\n1 east 2 x\n")
