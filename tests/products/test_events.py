"""Events: a series with gaps worked by hand, rules, any series against a slow search, bad tables and options."""

from __future__ import annotations

import csv
import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.products.events import find_events

# mm/h in steps of 5 minutes from 00:00 KST: 12 mm/h is 1 mm a step. At 00:15 and 00:45 nothing was observed.
RATES = ["0", "12", "24", "", "12", "0", "0", "0", "36", "", "0", "0"]
COVERED = ["1", "1", "0.5", "0", "1", "1", "1", "1", "1", "0", "1", "1"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Give a table of two places: 탄천 as above, and =dry without any rain."""
    lines = ["time_utc,time_kst,name,mean_mm_h,coverage,minutes"]
    for step, (rate, share) in enumerate(zip(RATES, COVERED, strict=True)):
        utc = f"2022-08-07T15:{5 * step:02}:00Z"
        lines += [f"{utc},,탄천,{rate},{share},5", f"{utc},,'=dry,0,1,5"]
    path = tmp_path / "rain.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def events_of(table: Path, **options: Any) -> list[dict[str, str]]:
    out = table.with_name("events.csv")
    hsrgeo.events(table, out, **options)
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_events_worked_by_hand(table: Path) -> None:
    first, second = events_of(table, dry="15min", windows=["5min", "10min", "30min"])
    # 00:05 to 00:25: 1 + 2 + gap + 1 mm; of its four steps 1, 1/2, 0 and 1 were observed: 2.5 / 4.
    assert first == {
        "start_utc": "2022-08-07T15:05:00Z",
        "start_kst": "2022-08-08T00:05:00+09:00",
        "end_utc": "2022-08-07T15:25:00Z",
        "end_kst": "2022-08-08T00:25:00+09:00",
        "name": "탄천",
        "minutes": "20",
        "depth_mm": "4",
        "max_mm_h": "24",
        "completeness": "0.625",
        "start_observed": "1",
        "end_observed": "1",
        "max_5min_mm": "2",
        "max_10min_mm": "3",
        "max_30min_mm": "4",
    }
    # Three dry steps later, 00:40: one step of 3 mm, and nobody knows how it went on.
    assert (second["start_kst"][11:16], second["minutes"], second["depth_mm"]) == ("00:40", "5", "3")
    assert (second["completeness"], second["start_observed"], second["end_observed"]) == ("1", "1", "0")
    assert [second[f"max_{length}_mm"] for length in ("5min", "10min", "30min")] == ["3", "3", "3"]


def test_a_longer_dry_time_joins_them(table: Path) -> None:
    [event] = events_of(table, dry="20min", windows=["10min", "20min", "1h"])
    # 00:05 to 00:45, eight steps: 1 + 2 + gap + 1 + 0 + 0 + 0 + 3 mm; observed 6.5 of 8.
    assert (event["minutes"], event["depth_mm"], event["completeness"]) == ("40", "7", "0.8125")
    # Ten minutes: 1 + 2 or 0 + 3; twenty: 1 + 2 + gap + 1.
    assert (event["max_10min_mm"], event["max_20min_mm"], event["max_1h_mm"]) == ("3", "4", "7")
    assert list(event)[-3:] == ["max_10min_mm", "max_20min_mm", "max_1h_mm"]


def test_a_rule_says_when_it_is_reached(table: Path) -> None:
    rules = {"heavy": "10min:3,1h:99", "long": "1h:7", "never": "5min:3.01"}
    first, second = events_of(table, dry="15min", rules=rules)
    # 1 + 2 mm after 10 minutes. An hour has 7 mm only with the rain of both events: at once in the second.
    assert [first[f"{name}_minutes"] for name in rules] == ["10", "", ""]
    assert [second[f"{name}_minutes"] for name in rules] == ["5", "5", ""]


def test_small_events_and_other_places_are_left_out(table: Path) -> None:
    assert [event["depth_mm"] for event in events_of(table, dry="15min", min_depth=4)] == ["4"]
    assert events_of(table, names=["=dry"]) == []
    assert [event["max_mm_h"] for event in events_of(table, dry="15min", wet_from=24)] == ["24", "36"]
    assert events_of(table, end="2022-08-08 00:05") == []


def test_parquet_has_the_same_numbers(table: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    lines = events_of(table, dry="15min", rules={"heavy": "10min:3.5"})
    hsrgeo.events(table, table.with_name("e.parquet"), dry="15min", rules={"heavy": "10min:3.5"})
    records = parquet.read_table(table.with_name("e.parquet")).to_pylist()
    assert [record["start_utc"].isoformat()[:16] for record in records] == [line["start_utc"][:16] for line in lines]
    assert [record["heavy_minutes"] for record in records] == [None, None]
    assert [record["depth_mm"] for record in records] == [4, 3]


def test_excel_reads_it_as_it_is(table: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("xlsxwriter")
    out = table.with_name("e.xlsx")
    hsrgeo.events(table, out, dry="15min", windows=["5min"], rules={"heavy": "10min:3"})
    header, first, second = openpyxl.load_workbook(out).active.values
    names = ["start_kst", "end_kst", "name", "minutes", "depth_mm", "max_mm_h", "completeness"]
    assert header == (*names, "start_observed", "end_observed", "max_5min_mm", "heavy_minutes")
    begin, end = datetime(2022, 8, 8, 0, 5), datetime(2022, 8, 8, 0, 25)  # noqa: DTZ001 - as Excel has them
    assert first == (begin, end, "탄천", 20, 4, 24, 0.625, 1, 1, 2, 10)
    assert second[-1] == 5
    hsrgeo.events(table, out.with_suffix(".csv"), dry="15min", excel=True)
    data = out.with_suffix(".csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfstart_utc,start_kst,")
    assert b",2022-08-08 00:05:00," in data


@given(
    st.lists(st.sampled_from([0, 1, 2, 5, None]), min_size=1, max_size=40),
    st.integers(1, 5),
    st.integers(1, 6),
)
def test_any_series_gives_what_a_slow_search_does(depths: list[int | None], dry: int, window: int) -> None:
    rates = np.array([math.nan if one is None else one for one in depths], np.float64)
    found = find_events(rates, np.ones(len(rates)), 1.0, wet_from=1, dry_steps=dry, windows=[window])
    spans: list[list[int]] = []
    for step, depth in enumerate(depths):
        if depth:
            if spans and step - spans[-1][-1] <= dry:
                spans[-1].append(step)
            else:
                spans.append([step])
    assert [(event.first, event.end) for event in found] == [(span[0], span[-1] + 1) for span in spans]
    for event in found:
        own = [one or 0 for one in depths[event.first : event.end]]
        assert event.depth_mm == sum(own)
        assert list(event.windows_mm) == [max(sum(own[at : at + window]) for at in range(len(own)))]
        lost = depths[event.first : event.end].count(None)
        assert event.completeness == (len(own) - lost) / len(own)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"dry": "7min"}, "dry 7min: expected whole steps of the table, 5min"),
        ({"windows": ["12min"]}, "window 12min: expected whole steps"),
        ({"rules": {"a": "12min:3"}}, "rule a 12min: expected whole steps"),
        ({"rules": {"a": "3h=60"}}, "rule a=3h=60: expected lengths and mm, as in advisory=3h:60,12h:110"),
        ({"rules": {"a,b": "3h:60"}}, "rule a,b=3h:60: expected a name"),
        ({"rules": {"a": "3h:nan"}}, "rule a=3h:nan: expected a name, lengths and mm above 0"),
        ({"wet_from": 0}, "wet_from 0: expected a rain rate above 0 mm/h"),
        ({"min_depth": -1}, "min_depth -1: expected a depth of 0 mm or more"),
        ({"dry": "0h"}, "dry 0:00:00: expected a length above 0"),
        ({"names": ["한강"]}, "no place '한강'"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], problem: str, table: Path) -> None:
    with pytest.raises(OptionsError, match=problem):
        events_of(table, **options)


def test_other_tables_are_refused(table: Path) -> None:
    with pytest.raises(OptionsError, match="would overwrite its source"):
        hsrgeo.events(table, table)
    with pytest.raises(OptionsError, match=r"ends in \.csv, \.xlsx or \.parquet"):
        hsrgeo.events(table, table.with_suffix(".txt"))
    (table.parent / "depths.csv").write_text("time_utc,name,depth_mm\n")
    with pytest.raises(SourceError, match="is a table of periods"):
        hsrgeo.events(table.parent / "depths.csv", table.with_name("events.csv"))


def test_the_command(table: Path) -> None:
    out = table.with_name("events.csv")
    words = ["events", str(table), "--out", str(out), "--dry", "15min", "--rule", "heavy=10min:3"]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0
    assert "2 places, 2 events" in result.stderr
    assert json.loads(result.stdout)["events"] == 2
    assert CliRunner().invoke(app, [*words, "--rule", "heavy=10min:4"]).exit_code == 2
    assert CliRunner().invoke(app, [*words, "--rule", "heavy"]).exit_code == 2
