"""`hsrgeo gauges merge`: sums and readings in, merged sums, their tags and scores out."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rio_cogeo.cogeo import cog_validate
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.cli.gauges.merge import _table
from hsrgeo.engine.accumulate.sums import period_tags
from hsrgeo.engine.gauges.merge import GaugeMerge
from hsrgeo.engine.periods import Period
from hsrgeo.errors import OptionsError, OutputExistsError, SourceError
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.times import KST, utc_text
from hsrgeo.model.window import Window
from hsrgeo.outputs.summed import summed_files, title_of
from hsrgeo.places.places import Points
from hsrgeo.writers.sum_cog import NODATA, encode_sum_cog
from tests.benchmarks.merging import SIDE, scene

HOUR, STEP = timedelta(hours=1), timedelta(minutes=5)
NINE = datetime(2022, 8, 8, 9, tzinfo=KST)
WHOLE = grids()["kma-hb-1km"]
WINDOW = Window(500, 600, SIDE, SIDE)
GRID = WHOLE.crop(WINDOW)


@dataclass
class Made:
    """Sums, gauges and readings on the disk."""

    folder: Path
    gauges: Path
    readings: Path

    def merge(self, out: Path, **options: Any) -> GaugeMerge:
        wanted = {"gauges": self.gauges, "step": "1h", "jobs": 1, **options}
        return hsrgeo.gauge_merge(self.readings, self.folder, out, **wanted).run()


Make = Callable[..., Made]


def write_sum(
    folder: Path, start: datetime, depth_mm: NDArray[np.float64], frames: int | NDArray[np.int32] = 12
) -> Path:
    """Write a sum as `hsrgeo accumulate` does; NaN is nodata."""
    period = Period(start, start + HOUR, "1h", STEP)
    tags = period_tags("KMA HSR composites, rain_depth (mm)", period, {"PRODUCT": "HSR", "QUANTITY": "rain_depth"})
    tags |= {"FRAMES_USED": "12", "FRAMES_EXPECTED": "12", "FRAME_STEP_MINUTES": "5", "GRID": GRID.name}
    stored = np.where(np.isnan(depth_mm), NODATA, np.rint(100 * np.nan_to_num(depth_mm))).astype(np.int32)
    counts = np.broadcast_to(np.int32(frames), stored.shape) * (stored != NODATA)
    path = folder / period.path("")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_sum_cog(GRID, stored, counts.astype(np.int32), tags, utc_text(start)))
    return path


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(hours: Sequence[NDArray[np.float64]], cells: NDArray[np.intp], gauge_mm: Sequence[Any]) -> Made:
        """Write an hour for each array; `cells` are rows and columns of gauges, `gauge_mm` their hours."""
        lon, lat = GRID.lonlat(cells[:, 0], cells[:, 1])
        gauges, readings = tmp_path / "gauges.csv", tmp_path / "readings.csv"
        rows = [f"g{n},{x:.9f},{y:.9f}" for n, (x, y) in enumerate(zip(lon, lat, strict=True))]
        gauges.write_text("\n".join(["name,lon,lat", *rows]) + "\n", encoding="utf-8")
        lines = ["time,name,rain_mm"]
        for hour, depths in enumerate(gauge_mm):
            write_sum(tmp_path / "sums", NINE + hour * HOUR, hours[hour])
            time = NINE + (hour + 1) * HOUR
            lines += [f"{time:%Y-%m-%d %H:%M},g{n},{mm}" for n, mm in enumerate(depths)]
        readings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return Made(tmp_path / "sums", gauges, readings)

    return made


@pytest.fixture
def rainy(make: Make) -> Made:
    """Two hours of scenes, and one in which it is dry."""
    every = [scene(seed) for seed in (0, 0, 2)]
    places = (every[0].pairs.xy / 1000).astype(np.intp)
    cells = np.column_stack([places[:, 1], places[:, 0]])
    hours = [np.round(one.radar_mm * factor, 2) for one, factor in zip(every, (1, 0.7, 0), strict=True)]
    readings = [np.round(one.pairs.gauge_mm * f, 1) for one, f in zip(every, (1, 0.9, 0), strict=True)]
    hours[0][:5] = np.nan
    return make(hours, cells, readings)


def bands(path: Path) -> tuple[list[str | None], NDArray[Any], dict[str, str]]:
    with rasterio.open(path) as dataset:
        names = list(dataset.descriptions)
        return names, dataset.read(), dataset.tags()


def test_one_factor_by_hand(make: Make, tmp_path: Path) -> None:
    """Five gauges of 3 mm over 2 mm: a factor of 1.5; nodata stays, and dry stays dry."""
    radar = np.full((SIDE, SIDE), 2.0)
    radar[0], radar[1] = np.nan, 0
    cells = np.array([[10, 10 * n + 5] for n in range(5)])
    run = make([radar], cells, [[3] * 5]).merge(tmp_path / "out", method="mean-field")
    (path,) = run.written
    assert path == tmp_path / "out" / "202208/08/merged_mean-field_1h_202208080900.tif"
    names, (depth, frames), tags = bands(path)
    assert names == ["rain_depth", "frames"]
    assert (depth[0] == NODATA).all()
    assert (depth[1] == 0).all()
    assert (depth[2:] == 300).all()
    assert (frames[0] == 0).all()
    assert (frames[1:] == 12).all()
    assert tags["MERGE_METHOD"] == "mean-field"
    assert (tags["MERGE_GAUGES_USED"], tags["MERGE_GAUGES_LISTED"]) == ("5", "5")
    assert tags["TIME_START_KST"] == "2022-08-08T09:00:00+09:00"
    assert tags["TIFFTAG_IMAGEDESCRIPTION"].startswith("KMA HSR composites and rain gauges by mean-field, rain_depth")
    before, after = run.scores[0], run.scores[1]
    assert (before.method, before.scores.rmse_mm, before.scores.mean_error_mm) == ("radar as it is", 1, -1)
    assert (after.method, after.pairs) == ("mean-field", 5)
    assert after.scores.rmse_mm == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ked", "conditional"])
def test_kriging_has_a_band_of_its_standard_deviation(rainy: Made, tmp_path: Path, method: Any) -> None:
    run = rainy.merge(tmp_path / "out", method=method)
    assert not run.failed
    for path, hour in zip(run.written, range(3), strict=True):
        names, values, tags = bands(path)
        dry = hour == 2
        assert names == ["rain_depth", "frames", "kriging_std"][: 2 if dry else 3]
        assert cog_validate(path, quiet=True)[0]
        known = values[0] != NODATA
        assert known.sum() == SIDE * (SIDE - 5 if hour == 0 else SIDE)
        assert (values[0][known] >= 0).all()
        if dry:
            assert (values[0] == 0).all()
            continue
        assert (values[2] == NODATA).tolist() == (~known).tolist()
        assert (values[2][known] > 0).all()
        assert tags["VARIOGRAM"] == "spherical"
        assert tags["VARIOGRAM_FROM"].startswith("a fit")
        assert int(tags["COUNT_NEGATIVE_TO_ZERO"]) == 0 or (values[0][known] == 0).any()
    if method == "ked":
        assert run.as_they_are == {"the radar shows the same depth at all gauges, so ked cannot use it": 1}
        assert bands(run.written[2])[2]["MERGE_METHOD"].startswith("none: the radar shows the same depth at all")


def test_scores_of_somebody_else_stay(rainy: Made, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("name,points\n")
    with pytest.raises(OutputExistsError, match=r"scores\.csv: already exists and is not a table of scores"):
        rainy.merge(tmp_path, method="additive")
    assert (tmp_path / "scores.csv").read_text() == "name,points\n"


def test_scores_of_every_method_are_a_table(rainy: Made, tmp_path: Path) -> None:
    run = rainy.merge(tmp_path / "out", method="additive")
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["radar as it is", "mean-field", "additive", "multiplicative", "mixed", "ked", "conditional"]
    blind = int(bands(run.written[0])[2]["MERGE_GAUGES_WITHOUT_RADAR"])
    assert blind  # those in the rows without radar
    assert {row["pairs"] for row in rows.values()} == {str(3 * 40 - blind)}
    assert (rows["additive"]["periods"], rows["ked"]["periods"], rows["mean-field"]["periods"]) == ("3", "2", "2")
    errors = {method: float(row["rmse_mm"]) for method, row in rows.items()}
    assert max(errors["ked"], errors["conditional"]) < errors["mean-field"] < errors["radar as it is"]


def test_methods_that_could_not_be_applied_have_no_scores(make: Make, tmp_path: Path) -> None:
    """Five gauges of 3 mm over 2 mm, then a dry hour: kriging with a drift needs a radar that varies."""
    cells = np.array([[10, 10 * n + 5] for n in range(5)])
    made = make([np.full((SIDE, SIDE), 2.0), np.zeros((SIDE, SIDE))], cells, [[3] * 5, [0] * 5])
    run = made.merge(tmp_path / "out", method="mean-field")
    known = {row.method: row for row in run.scores}
    assert known["ked"].periods == 0
    assert np.isnan([known["ked"].scores.rmse_mm, known["ked"].scores.mean_error_mm]).all()
    table = {line[2:16].strip(): line for line in _table(run.scores)}
    assert table["ked"].split() == ["ked", "not", "applied"]
    assert table["mean-field"].endswith("(applied to 1 of 2 sums)")
    assert "applied" not in table["radar as it is"]
    assert "ked,0,10,,,\n" in (tmp_path / "out" / "scores.csv").read_text()


def test_readings_of_another_year_are_shown_with_the_times_of_the_sums(make: Make, tmp_path: Path) -> None:
    made = make([np.full((SIDE, SIDE), 2.0)], np.array([[10, 10]]), [[3]])
    made.readings.write_text("time,name,rain_mm\n2021-08-08 10:00,g0,3\n", encoding="utf-8")
    assert made.merge(tmp_path / "out", method="additive").notes[0] == (
        "readings and radar have no time in common: readings from 2021-08-08 09:00 to 2021-08-08 10:00 KST, radar from "
        "2022-08-08 09:00 to 2022-08-08 10:00 KST"
    )


def test_what_does_not_count_is_said(make: Make, tmp_path: Path) -> None:
    """Of six gauges one has no reading and one half of the frames; one more stands outside, and two at one place."""
    cells = np.array([[10, 10 * n + 5] for n in range(6)])
    radar = np.full((SIDE, SIDE), 2.0)
    made = make([radar], cells, [[3, 3, 3, 3, "", 9]])
    frames = np.full((SIDE, SIDE), 12, np.int32)
    frames[10, 55] = 6
    write_sum(made.folder, NINE, radar, frames)
    first = made.gauges.read_text(encoding="utf-8").splitlines()[1].partition(",")[2]
    made.gauges.write_text(made.gauges.read_text(encoding="utf-8") + f"twin,{first}\nfar,124,34\n", encoding="utf-8")
    with made.readings.open("a", encoding="utf-8") as file:
        file.write("2022-08-08 10:00,twin,5\n2022-08-08 10:00,far,5\n")
    run = made.merge(tmp_path / "out", method="additive", min_pairs=4)
    tags = bands(run.written[0])[2]
    assert (tags["MERGE_GAUGES_USED"], tags["MERGE_GAUGES_WITHOUT_RADAR"]) == ("4", "1")
    assert "gauges outside the sums, ignored: 1 (far)" in run.notes
    assert "gauges at the same place, averaged: 2 (g0, twin)" in run.notes
    assert "gauge periods with too few radar frames (--min-frames), ignored: 1" in run.notes
    assert bands(run.written[0])[1][0, 10, 5] == 400  # 3 and 5 mm at one place
    again = made.merge(tmp_path / "out", method="additive", min_pairs=5)
    assert again.as_they_are == {
        "4 pairs of gauge and radar: --min-pairs asks for 5": 1,
    }
    assert bands(again.written[0])[1][0, 10, 5] == 200


def test_readings_shorter_than_a_sum_are_added_up(make: Make, tmp_path: Path) -> None:
    cells = np.array([[10, 10 * n + 5] for n in range(3)])
    made = make([np.full((SIDE, SIDE), 2.0)], cells, [[0, 0, 0]])
    lines = ["time,g0,g1,g2"]
    lines += [f"2022-08-08 09:{minute},0.5,0.5,{'' if minute == 30 else 0.5}" for minute in range(10, 60, 10)]
    made.readings.write_text("\n".join([*lines, "2022-08-08 10:00,0.5,0.5,0.5\n"]), encoding="utf-8")
    run = made.merge(tmp_path / "out", step="10min", method="additive", min_pairs=2)
    tags = bands(run.written[0])[2]
    assert (tags["MERGE_GAUGES_USED"], tags["MERGE_GAUGES_SHORT"]) == ("2", "1")
    assert bands(run.written[0])[1][0, 10, 5] == 300
    with pytest.raises(OptionsError, match="has sums of 1h, and readings are of 1d"):
        made.merge(tmp_path / "out", step="1d", stamp="start")


def test_a_sum_between_two_readings_is_refused(make: Make, tmp_path: Path) -> None:
    """Readings of 10:00 to 13:00 are as many as a sum of 9:30 to 12:30 needs, and of another time."""
    made = make([np.full((SIDE, SIDE), 2.0)], np.array([[10, 10 * n + 5] for n in range(5)]), [[3] * 5])
    write_sum(made.folder, NINE + HOUR / 2, np.full((SIDE, SIDE), 2.0))
    with pytest.raises(OptionsError, match=r"has a sum from 2022-08-08T09:30:00\+09:00, and readings of 1h begin on"):
        made.merge(tmp_path / "out", method="mean-field")


def test_few_gauges_say_what_to_do(make: Make, tmp_path: Path) -> None:
    cells = np.array([[10 * n + 5, (30 * n) % SIDE] for n in range(6)])
    radar = np.random.default_rng(1).gamma(2, 2, (SIDE, SIDE)).round(2)
    made = make([radar], cells, [(1.5 * radar[cells[:, 0], cells[:, 1]] + np.arange(6) % 2).round(1)])
    for method in ("ked", "conditional"):
        run = made.merge(tmp_path / "out", method=method)
        (why,) = run.as_they_are
        assert why.startswith("6 gauges do not show a variogram (a fit takes 10)")
        assert "--range and --sill" in why
        assert any("or another --method, such as additive" in note for note in run.notes)
        ready = made.merge(tmp_path / "out", method=method, range_km=20, sill_mm2=4)
        assert not ready.as_they_are
        assert bands(ready.written[0])[2]["VARIOGRAM_FROM"] == "options"


def test_merged_sums_are_sums(rainy: Made, tmp_path: Path) -> None:
    """Series read them; they are not merged again."""
    out = tmp_path / "out"
    rainy.merge(out, method="mixed")
    (listed, damaged) = summed_files(out)
    assert not damaged
    assert {one.what for one in listed} == {"HSR-merged_mixed_1h"}
    place = Points(("a",), (tuple(float(v) for v in GRID.lonlat(50, 50)),))  # type: ignore[arg-type] # two
    hsrgeo.series(out, tmp_path / "a.csv", points=place, jobs=1).run()
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    with pytest.raises(SourceError, match=r"contains no sums .* that are not merged yet: found HSR-merged_mixed_1h"):
        hsrgeo.gauge_merge(rainy.readings, out, tmp_path / "b", gauges=rainy.gauges, step="1h")
    with pytest.raises(OptionsError, match="merged ones go to a folder of their own"):
        hsrgeo.gauge_merge(rainy.readings, rainy.folder, rainy.folder, gauges=rainy.gauges, step="1h")
    with pytest.raises(SourceError, match="no such file or folder"):
        hsrgeo.gauge_merge(rainy.readings, tmp_path / "none", out, gauges=rainy.gauges, step="1h")


def test_one_gauge_does_not_lift_a_whole_sum(make: Make, tmp_path: Path) -> None:
    made = make([np.full((SIDE, SIDE), 2.0)], np.array([[10, 5]]), [[3]])
    run = made.merge(tmp_path / "out")
    assert run.as_they_are == {"1 pair of gauge and radar: --min-pairs asks for 5": 1}
    assert (bands(run.written[0])[1][0] == 200).all()  # 2 mm, and not 3 mm


def test_a_map_says_that_a_sum_is_merged(make: Make, tmp_path: Path) -> None:
    cells = np.array([[10, 10 * n + 5] for n in range(5)])
    made = make([np.full((SIDE, SIDE), 2.0)], cells, [[3] * 5])
    titles = []
    for min_pairs in (5, 6):
        run = made.merge(tmp_path / "out", method="additive", min_pairs=min_pairs)
        titles.append(title_of(bands(run.written[0])[2]))
    assert titles == ["KMA HSR composites and rain gauges by additive, rain depth", "KMA HSR composites, rain depth"]


def test_a_damaged_sum_fails_alone(rainy: Made, tmp_path: Path) -> None:
    paths = sorted(rainy.folder.rglob("*.tif"))
    data = paths[0].read_bytes()
    paths[0].write_bytes(data[: len(data) // 2])
    run = rainy.merge(tmp_path / "out", method="additive")
    assert len(run.written) == 2
    (failed,) = run.failed
    assert failed.path is None
    assert failed.problem


def test_one_file_is_enough(rainy: Made, tmp_path: Path) -> None:
    path = sorted(rainy.folder.rglob("*.tif"))[1]
    run = hsrgeo.gauge_merge(rainy.readings, path, tmp_path / "out", gauges=rainy.gauges, step="1h", jobs=2).run()
    assert [one.name for one in run.written] == ["merged_conditional_1h_202208081000.tif"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "expected one of mean-field"),
        ({"max_factor": 0.5}, "max_factor 0.5: expected 1 or more"),
        ({"min_frames": 0}, "min_frames 0: expected a share"),
        ({"range_km": 10}, "range and sill go together"),
        ({"neighbours": 0}, "neighbours 0: expected at least 1"),
        ({"variogram": "cubic"}, "variogram 'cubic': expected one of"),
    ],
)
def test_options_that_cannot_be(rainy: Made, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        rainy.merge(tmp_path / "out", **options)


@pytest.mark.slow
def test_the_command(rainy: Made, tmp_path: Path) -> None:
    words = ["gauges", "merge", str(rainy.readings), "--sums", str(rainy.folder), "--gauges", str(rainy.gauges)]
    words += ["--step", "1h", "--method", "ked", "--jobs", "1", "--out", str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (len(answer["files"]), answer["merged"]) == (3, 2)
    assert answer["scores"]["ked"]["rmse_mm"] < answer["scores"]["mean-field"]["rmse_mm"]
    assert "3 files: 2 merged by ked, 1 left as they are" in done.stderr
    assert "each gauge left out, " in done.stderr
    few = CliRunner().invoke(app, [*words[:-1], "--min-pairs", "500", "--method", "additive"])
    assert few.exit_code == 1
    assert "sums left as they are: 2 (40 pairs of gauge and radar: --min-pairs asks for 500)" in few.stderr
