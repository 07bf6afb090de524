"""Options as keywords, times and steps as texts, help for every option, and what lazy work says of itself."""

from __future__ import annotations

import dataclasses
import inspect
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import hsrgeo
from hsrgeo.errors import OptionsError
from hsrgeo.sources.select import Selection
from tests.conftest import TIME, frame_name

OPTIONS = (
    hsrgeo.AccumulateOptions,
    hsrgeo.CubeOptions,
    hsrgeo.EventsOptions,
    hsrgeo.ExportOptions,
    hsrgeo.FetchOptions,
    hsrgeo.GaugeBiasOptions,
    hsrgeo.GaugeFieldOptions,
    hsrgeo.GaugeMergeOptions,
    hsrgeo.PlotSeriesOptions,
    hsrgeo.PlotSumOptions,
    hsrgeo.ReadingRules,
    hsrgeo.RenderOptions,
    hsrgeo.SeriesOptions,
)
START = datetime(2022, 8, 8, 17, 30, tzinfo=hsrgeo.KST)
HOUR = timedelta(hours=1)
SMALL: dict[str, Any] = {"center": (126.98, 37.57), "size": 8, "formats": "cog", "jobs": 1, "sync": False}


@pytest.fixture
def source(tmp_path: Path, frame_file: bytes) -> Path:
    """Return a folder of two frames, 5 minutes apart in name only: the second one is broken."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / frame_name()).write_bytes(frame_file)
    (folder / frame_name(TIME + timedelta(minutes=5))).write_bytes(frame_file)
    return folder


@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
def test_help_explains_every_option(kind: type) -> None:
    text = inspect.getdoc(kind) or ""
    for name in inspect.signature(kind).parameters:
        assert re.search(rf"^    {name}: \S", text, re.MULTILINE), name


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (hsrgeo.export, {"every", "bbox", "sidecars"}),
        (hsrgeo.fetch, {"last", "every", "times"}),
        (hsrgeo.make_cube, {"layout", "bbox", "quantity"}),
        (hsrgeo.series, {"points", "period"}),
        (hsrgeo.accumulate, {"period", "rolling"}),
        (hsrgeo.stats, {"thresholds", "bbox", "polygons"}),
        (hsrgeo.events, {"dry", "rules"}),
        (hsrgeo.render, {"fps", "width"}),
        (hsrgeo.gauge_fields, {"gauges", "method", "step", "encoding"}),
        (hsrgeo.gauge_bias, {"min_pairs", "step"}),
        (hsrgeo.gauge_merge, {"method", "gauges", "step"}),
        (hsrgeo.plot_series, {"names", "bar"}),
        (hsrgeo.plot_sum, {"coverage"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_signature_of_a_function_shows_its_options(function: object, names: set[str]) -> None:
    assert callable(function)
    assert names <= inspect.signature(function).parameters.keys()


def test_keywords_do_what_an_object_of_options_does(source: Path, tmp_path: Path) -> None:
    options = hsrgeo.ExportOptions(
        center=(126.98, 37.57), size=8, formats="cog", jobs=1, sync=False, end=TIME + timedelta(minutes=5)
    )
    by_object = hsrgeo.export(source, tmp_path / "object", options).run()
    by_keywords = hsrgeo.export(source, tmp_path / "keywords", end="2022-06-09 11:20", **SMALL).run()
    both = hsrgeo.export(source, tmp_path / "both", dataclasses.replace(options, size=16), size=8).run()
    assert by_object.counts == by_keywords.counts == both.counts == {"ok": 1}
    [cog] = [path.relative_to(tmp_path / "object") for path in (tmp_path / "object").rglob("*.tif")]
    for folder in ("keywords", "both"):
        assert (tmp_path / folder / cog).read_bytes() == (tmp_path / "object" / cog).read_bytes()


def test_keywords_reach_the_parts_of_options(tmp_path: Path) -> None:
    gauges, readings = tmp_path / "gauges.csv", tmp_path / "readings.csv"
    gauges.write_text("name,lon,lat\nSeoul,126.98,37.57\n")
    readings.write_text("time,name,rain_mm\n2022-06-09 11:00,Seoul,1.5\n")
    small: dict[str, Any] = {"center": (126.98, 37.57), "size": 4, "jobs": 1}
    fields = hsrgeo.gauge_fields(readings, tmp_path / "out", gauges=gauges, step="1h", **small)
    assert repr(fields) == "<GaugeFields: not begun; iterate it, or call run(), 0 written, 0 failed>"
    assert [path.name for path in fields.run().written] == ["gauges_thiessen_1h_202206091000.tif"]
    with pytest.raises(OptionsError, match=r"^step must be given, as ReadingRules explains$"):
        hsrgeo.gauge_fields(readings, tmp_path / "out", gauges=gauges)
    with pytest.raises(OptionsError, match=r"^gauges must be given, as GaugeFieldOptions explains$"):
        hsrgeo.gauge_fields(readings, tmp_path / "out", step="1h")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"bboxx": (1, 2, 3, 4)}, "^'bboxx' is no option: did you mean 'bbox'\\?$"),
        ({"evry": "1h"}, "^'evry' is no option: did you mean 'every'\\?$"),
        ({"qqqqq": 1}, "^'qqqqq' is no option$"),
        ({"selection": 1}, "^'selection' is no option"),
        ({"options": "1h"}, "^options '1h': expected ExportOptions$"),
        ({"every": "7min"}, "must divide a day evenly"),
        ({"every": "soon"}, "^length of time 'soon': expected a number and one of"),
        ({"start": "yesterday"}, "^time 'yesterday': expected"),
        ({"start": 5}, "^start 5: expected a datetime, or a text such as '2022-06-09 11:15'$"),
        ({"end": TIME.replace(tzinfo=None)}, "^end 2022-06-09 11:15:00: give it a time zone"),
    ],
)
def test_a_keyword_that_cannot_be_is_refused(keywords: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=message):
        hsrgeo.export(tmp_path, tmp_path / "out", **keywords)


def test_a_text_is_a_time_or_a_step_wherever_options_have_one() -> None:
    selection = Selection("2022-08-08 17:30", "2022-08-08T09:30Z", "1h")
    assert (selection.start, selection.end, selection.every) == (START, START + HOUR, HOUR)
    start, end = "2022-08-08 17:30", "202208081830"
    for options in (
        hsrgeo.ExportOptions(start=start, end=end, every="1h"),
        hsrgeo.RenderOptions(start=start, end=end, every="1h"),
        hsrgeo.AccumulateOptions(start=start, end=end, every="1h", period="1d", frame_step="10min"),
        hsrgeo.SeriesOptions(start=start, end=end, every="1h", points={"a": (127, 37)}, period="event"),
    ):
        assert (options.start, options.end, options.every) == (START, START + HOUR, HOUR)
    assert hsrgeo.AccumulateOptions().period == HOUR
    assert hsrgeo.AccumulateOptions(rolling=["24h", "1h", "60min"]).rolling == (HOUR, 24 * HOUR)
    assert hsrgeo.PlotSeriesOptions(bar="1h").bar == HOUR
    assert hsrgeo.ReadingRules(step="10min").step == timedelta(minutes=10)
    with pytest.raises(TypeError, match="step"):
        hsrgeo.ReadingRules()
    with pytest.raises(OptionsError, match=r"^period 'evnt': expected a length such as 1h or 1d, or event$"):
        hsrgeo.AccumulateOptions(period="evnt")


def test_lazy_work_says_so_and_runs(source: Path, tmp_path: Path) -> None:
    run = hsrgeo.export(source, tmp_path / "out", **SMALL)
    assert repr(run) == "<Export: not begun; iterate it, or call run()>"
    assert not (tmp_path / "out").exists()
    assert next(run).status == "ok"
    assert repr(run) == "<Export: running, 1 ok>"
    assert run.run() is run
    assert repr(run) == "<Export: over, 1 ok, 1 failed>"
    check = hsrgeo.verify(tmp_path / "out", source, jobs=1)
    assert repr(check).startswith("<Verification: not begun; iterate it, or call run(), 0 files")
    assert check.run().counts.files == 1
    assert "over" in repr(check)
