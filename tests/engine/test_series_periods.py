"""Rows of a series added up by the hour, the day or the event, worked by hand."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine.series.series_options import SeriesOptions
from hsrgeo.engine.series.series_run import series
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.model.times import KST
from hsrgeo.products.rain import KMA_LAW
from tests.conftest import NX, NY, MakeFile, frame_name

ELEVEN = datetime(2022, 6, 9, 11, 0, tzinfo=KST)
HOUR = timedelta(hours=1)
R30, R40 = KMA_LAW.rate(30), KMA_LAW.rate(40)  # 2.734 and 11.53 mm/h
BASIN = [[[126.6, 37.4], [126.7, 37.4], [126.7, 37.5], [126.6, 37.5], [126.6, 37.4]]]


@pytest.fixture
def frames(tmp_path: Path, make_file: MakeFile) -> Path:
    """Give 11:00 and 11:05 with 30 dBZ, 11:10 with 40 dBZ, nothing until 12:00 with 30 dBZ, and 12:05 not observed."""
    folder = tmp_path / "in"
    folder.mkdir()
    for minutes, value in ((0, 3000), (5, 3000), (10, 4000), (60, 3000), (65, -30000)):
        time = ELEVEN + timedelta(minutes=minutes)
        (folder / frame_name(time)).write_bytes(make_file(np.full((NY, NX), value, np.int16), time=time))
    return folder


def places(tmp_path: Path, kind: str) -> dict[str, Any]:
    if kind == "points":
        path = tmp_path / "g.csv"
        path.write_text("name,lon,lat\na,126.65,37.45\n", encoding="utf-8")
        return {"points": path}
    path = tmp_path / "b.geojson"
    shape = {"type": "Polygon", "coordinates": BASIN}
    feature = {"type": "Feature", "properties": {"name": "a"}, "geometry": shape}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")
    return {"polygons": path}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numbers(row: dict[str, str], *names: str) -> list[float | None]:
    return [float(row[name]) if row[name] else None for name in names]


POINT = ("depth_mm", "mean_mm_h", "max_mm_h", "time_coverage", "area_coverage")


def test_hours_of_a_gauge(frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    list(series(frames, out, SeriesOptions(**places(tmp_path, "points"), period=HOUR, jobs=1)))
    eleven, twelve = rows_of(out)
    assert list(eleven) == ["time_utc", "time_kst", "name", *POINT]
    assert (eleven["time_kst"], twelve["time_kst"]) == ("2022-06-09T11:00:00+09:00", "2022-06-09T12:00:00+09:00")
    depth = (2 * R30 + R40) / 12  # three frames of five minutes
    assert numbers(eleven, *POINT) == pytest.approx([depth, (2 * R30 + R40) / 3, R40, 3 / 12, 1])
    assert numbers(twelve, *POINT) == pytest.approx([R30 / 12, R30, R30, 1 / 12, 1])


def test_a_day_and_an_event_of_a_basin(frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    basin = places(tmp_path, "polygons")
    list(series(frames, out, SeriesOptions(**basin, jobs=1)))
    volume = sum(float(row["volume_m3"] or 0) for row in rows_of(out))
    list(series(frames, out, SeriesOptions(**basin, period=timedelta(days=1), jobs=1)))
    [day] = rows_of(out)
    names = ("depth_mm", "volume_m3", "mean_mm_h", "max_mm_h", "time_coverage", "area_coverage")
    depth = (3 * R30 + R40) / 12
    assert numbers(day, *names) == pytest.approx([depth, volume, (3 * R30 + R40) / 4, R40, 4 / 288, 1], rel=1e-5)
    list(series(frames, out, SeriesOptions(**basin, period="event", jobs=1)))
    [event] = rows_of(out)
    assert event["time_kst"] == "2022-06-09T11:00:00+09:00"
    assert numbers(event, "depth_mm", "time_coverage") == pytest.approx([depth, 4 / 14], rel=1e-5)  # 11:00 to 12:10


def test_a_share_below_which_there_is_no_number(frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    options = SeriesOptions(**places(tmp_path, "points"), period=HOUR, min_coverage=0.25, jobs=1)
    list(series(frames, out, options))
    eleven, twelve = rows_of(out)
    assert float(eleven["depth_mm"]) == pytest.approx((2 * R30 + R40) / 12)  # 3 of 12 is 0.25
    assert numbers(twelve, *POINT) == [None, None, None, pytest.approx(1 / 12), 1]


@pytest.mark.parametrize("kind", ["points", "polygons"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_gives_what_the_frames_give(frames: Path, tmp_path: Path, kind: str, suffix: str) -> None:
    chosen = places(tmp_path, kind)
    list(series(frames, tmp_path / f"t.{suffix}", SeriesOptions(**chosen, jobs=1)))
    list(series(frames, tmp_path / "direct.csv", SeriesOptions(**chosen, period=HOUR, jobs=1)))
    made = hsrgeo.series_by_period(tmp_path / f"t.{suffix}", tmp_path / "later.csv", HOUR)
    assert (made.places, made.periods, made.notes) == (1, 2, ())
    for one, other in zip(rows_of(tmp_path / "direct.csv"), rows_of(tmp_path / "later.csv"), strict=True):
        assert list(one) == list(other)
        keys = list(one)[3:]
        assert numbers(other, *keys) == pytest.approx(numbers(one, *keys), rel=1e-7)


def test_what_lies_between_steps_is_left_out_and_said(frames: Path, tmp_path: Path, make_file: MakeFile) -> None:
    odd = ELEVEN + timedelta(minutes=7)
    (frames / frame_name(odd)).write_bytes(make_file(np.full((NY, NX), 5000, np.int16), time=odd))
    out, points = tmp_path / "o.csv", places(tmp_path, "points")
    run = series(frames, out, SeriesOptions(**points, period=HOUR, jobs=1))
    list(run)
    assert "1 of 6 times lie between steps of 5min, and are left out of sums" in run.notes
    assert float(rows_of(out)[0]["depth_mm"]) == pytest.approx((2 * R30 + R40) / 12)  # as without it
    list(series(frames, tmp_path / "t.csv", SeriesOptions(**points, jobs=1)))
    made = hsrgeo.series_by_period(tmp_path / "t.csv", out, HOUR)
    # 11:00 to 12:05 are 14 steps
    assert made.notes[-1] == "1 of 15 times lie between steps of 5min, and are left out of sums"
    assert float(rows_of(out)[0]["depth_mm"]) == pytest.approx((2 * R30 + R40) / 12)


def test_a_table_without_a_time_on_a_step_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "time_utc,name,rain_mm_h,coverage,minutes\n2022-06-09T02:02:00Z,a,1,1,5\n2022-06-09T02:07:00Z,a,1,1,5\n"
    )
    with pytest.raises(SourceError, match="has no time on whole steps of 5min after midnight KST"):
        hsrgeo.series_by_period(tmp_path / "t.csv", tmp_path / "h.csv", HOUR)
    assert not (tmp_path / "h.csv").exists()


def test_the_command(frames: Path, tmp_path: Path) -> None:
    def cli(*words: object) -> Any:
        return CliRunner().invoke(app, ["series", *map(str, words)])

    points = places(tmp_path, "points")["points"]
    table, hours = tmp_path / "t.csv", tmp_path / "h.csv"
    assert cli(frames, "--points", points, "--out", table).exit_code == 0
    done = cli(table, "--period", "1h", "--out", hours)
    assert (done.exit_code, len(rows_of(hours))) == (0, 2), done.output
    assert cli(table, "--period", "1h", "--out", table).exit_code == 2
    assert cli(frames, "--period", "1h", "--out", hours).exit_code == 2
    assert cli(frames, "--points", points, "--period", "7min", "--out", hours).exit_code == 2
    assert cli(frames, "--points", points, "--min-coverage", "0.5", "--out", hours).exit_code == 2


def test_what_cannot_be_added_up(frames: Path, tmp_path: Path) -> None:
    points = places(tmp_path, "points")
    with pytest.raises(OptionsError, match="reflectivity has no depth"):
        SeriesOptions(**points, quantity="reflectivity", period=HOUR)
    list(series(frames, tmp_path / "h.csv", SeriesOptions(**points, period=HOUR, jobs=1)))
    with pytest.raises(SourceError, match=r"is a table of periods .*without --period; .*--bar 1h"):
        hsrgeo.series_by_period(tmp_path / "h.csv", tmp_path / "d.csv", timedelta(days=1))
