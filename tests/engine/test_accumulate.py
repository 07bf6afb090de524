"""Sums: depth and count worked by hand, periods, gaps, two frames of a time, and what the file says."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import typer
from hypothesis import example, given
from hypothesis import strategies as st
from rio_cogeo.cogeo import cog_validate
from typer.testing import CliRunner

from hsrgeo.cli.accumulate import accumulate as command
from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.accumulate.sum_run import Accumulation, accumulate
from hsrgeo.engine.accumulate.sums import OpenSums
from hsrgeo.engine.periods import fewest_of, period_name, periods_of
from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.model.quantity import QUANTITIES, RAIN_RATE
from hsrgeo.model.times import FRAME_STEP, KST, frame_length, parse_step
from hsrgeo.products.rain import KMA_LAW, Law
from hsrgeo.products.rates import rate_table, stored_table
from hsrgeo.products.sums import MOST_RATE, RunningSum, depth_unit_mm, sum_table
from tests.conftest import NX, NY, MakeFile, frame_name, make_tar

HOUR = datetime(2022, 6, 9, 11, 0, tzinfo=KST)
WINDOW = (500, 700, 40, 30)
"""Column, row, width and height that the tests cut out."""
RATE = KMA_LAW.rate
DBZ = QUANTITIES[1]
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path, make_file: MakeFile) -> Save:
    """Give a function that writes a frame so many minutes after 11:00: one value, but for some cells of the window."""

    def write(minutes: int, value: int, folder: str = "in", **cells: Any) -> Path:
        pixels = np.full((NY, NX), -30000, np.int16)
        pixels[690:740, 490:560] = value
        for row, col, other in cells.pop("cells", ()):
            pixels[WINDOW[1] + row, WINDOW[0] + col] = other
        time = HOUR + timedelta(minutes=minutes)
        path = tmp_path / folder / frame_name(time, product=cells.pop("product", "HSR"))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make_file(pixels, time=time, **cells))
        return path

    return write


def run(sources: Any, out: Path, **options: Any) -> Accumulation:
    options.setdefault("window", WINDOW)
    made = accumulate(sources, out, AccumulateOptions(jobs=options.pop("jobs", 1), **options))
    for _outcome in made:
        pass
    return made


def files(made: Accumulation) -> list[Path]:
    """Return what was written, on this machine."""
    return [Path(str(path)) for path in made.written]


def read(path: Path) -> tuple[Any, Any, dict[str, str]]:
    with rasterio.open(path) as dataset:
        depth = np.where(dataset.read(1) == dataset.nodata, np.nan, dataset.read(1) * dataset.scales[0])
        return depth, dataset.read(2), dataset.tags()


def test_an_hour_with_three_frames_missing(save: Save, tmp_path: Path) -> None:
    # 30 dBZ at 0, 5, ... 25 min, 20 dBZ at 30, 35, 40; nothing at 45, 50, 55. Each frame stands for 5 min = 1/12 h:
    # 6 x 2.734 / 12 + 3 x 0.6484 / 12 = 1.529 mm from 9 of 12 frames.
    for minutes in range(0, 45, 5):
        save(
            minutes,
            3000 if minutes < 30 else 2000,
            cells=[(0, 0, -25000), (0, 1, -30000), (0, 2, -30000 if minutes else 3000)],
        )
    made = run(tmp_path / "in", tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in files(made)] == [
        "202206/09/rain_1h_202206091100.tif"
    ]
    depth, frames, tags = read(files(made)[0])
    by_hand = (6 * RATE(30) + 3 * RATE(20)) / 12
    assert by_hand == pytest.approx(1.529, abs=5e-4)
    assert depth.shape == (30, 40)
    np.testing.assert_allclose(depth[1:], by_hand, atol=0.005)  # stored in steps of 0.01 mm
    assert (frames[1:] == 9).all()
    assert (depth[0, 0], frames[0, 0]) == (0, 9)  # dry is 0
    assert np.isnan(depth[0, 1])  # never observed is not dry
    assert frames[0, 1] == 0
    assert frames[0, 2] == 1
    assert depth[0, 2] == pytest.approx(RATE(30) / 12, abs=0.005)
    expected = {
        "FRAMES_USED": "9",
        "FRAMES_EXPECTED": "12",
        "TIME_START_UTC": "2022-06-09T02:00:00Z",
        "TIME_END_KST": "2022-06-09T12:00:00+09:00",
        "MIN_COVERAGE": "0",
        "RAIN_LAW": "Z = 200 R^1.6",
        "PERIOD": "1h",
        "WINDOW": "500 700 40 30",
    }
    assert {name: tags[name] for name in expected} == expected
    assert made.short == 1

    made = run(tmp_path / "in", tmp_path / "strict", min_coverage=0.8)  # 9 / 12 = 0.75
    depth, frames, tags = read(files(made)[0])
    assert np.isnan(depth).all()
    assert (frames[1:] == 9).all()
    made = run(tmp_path / "in", tmp_path / "just", min_coverage=0.75)
    depth, _frames, _tags = read(files(made)[0])
    assert np.isfinite(depth[1:]).all()
    assert np.isnan(depth[0, 2])


@given(percent=st.integers(0, 100), expected=st.integers(1, 9000))
@example(percent=55, expected=100)  # 0.55 * 100 is 55.00000000000001 in floats
def test_a_coverage_in_percent_needs_the_frames_that_integers_say(percent: int, expected: int) -> None:
    assert fewest_of(percent / 100, expected) == -(-percent * expected // 100)


def test_a_file_without_a_valid_cell_is_reported(save: Save, tmp_path: Path) -> None:
    """3 of the 12 frames of an hour are there; 12 of 12 of the next."""
    for minutes in (0, 5, 10, *range(60, 120, 5)):
        save(minutes, 3000)
    made = run(tmp_path / "in", tmp_path / "out", min_coverage=0.9)
    note = "files without any valid cell: 1 of 2 (no cell was observed in 0.9 of the expected frames: --min-coverage)"
    assert note in made.notes
    assert not any("valid cell" in one for one in run(tmp_path / "in", tmp_path / "out").notes)


def test_rolling_maxima_without_a_valid_cell_are_counted_with_the_others(save: Save, tmp_path: Path) -> None:
    """Frames at 11:00, 11:10 and 11:20: any 20 minutes have 2 of their 4, and 0.5 is less than 0.6 of them.

    The event, 5 steps from 11:00 to 11:25, has 3 of 5: 0.6 of them.
    """
    for minutes in (0, 10, 20):
        save(minutes, 3000)
    made = run(tmp_path / "in", tmp_path / "out", period="event", rolling=["20min"], min_coverage=0.6)
    assert len(made.written) == 2
    note = "files without any valid cell: 1 of 2 (no cell was observed in 0.6 of the expected frames: --min-coverage)"
    assert note in made.notes


def test_windows_of_two_quantities_are_refused_by_name(save: Save, tmp_path: Path) -> None:
    save(0, 3000)
    save(5, 3000, data_codes=(5,))  # 30 mm/h, in a file that is called HSR too
    made = accumulate(tmp_path / "in", tmp_path / "out", window=WINDOW, jobs=1, rolling=["10min"])
    (error,) = [str(outcome.error) for outcome in made if outcome.status == "failed"]
    assert error.endswith("1105.bin.gz: another quantity: expected reflectivity, as the first frame, found rain_rate")


def test_the_file_is_a_cog_that_says_its_place_and_time(save: Save, tmp_path: Path) -> None:
    save(0, 3000)
    made = run(tmp_path / "in", tmp_path / "out", window=(200, 300, 600, 700))
    is_valid, errors, warnings = cog_validate(files(made)[0])
    assert (is_valid, errors, warnings) == (True, [], [])
    with rasterio.open(files(made)[0]) as dataset:
        assert dataset.descriptions == ("rain_depth", "frames")
        assert (dataset.scales, dataset.units[0], dataset.nodata) == ((0.01, 1.0), "mm", -30000)
        assert dataset.tags(ns="IMAGERY") == {"ACQUISITIONDATETIME": "2022-06-09T02:00:00Z"}
        assert dataset.overviews(1) == [2, 4]
        small = dataset.read(1, out_shape=(175, 150))
        assert set(np.unique(small)) <= set(np.unique(dataset.read(1)))  # nothing invented
        assert dataset.transform.a == 1000
        assert dataset.crs.is_projected
    first = files(made)[0].read_bytes()
    run(tmp_path / "in", tmp_path / "out", window=(200, 300, 600, 700), jobs=2)
    assert files(made)[0].read_bytes() == first


def test_periods_begin_at_midnight_in_korea(save: Save, tmp_path: Path) -> None:
    for minutes in (-5, 0, 5, 13 * 60 - 5, 13 * 60):  # 13 hours later is midnight
        save(minutes, 3000)
    made = run(tmp_path / "in", tmp_path / "day", period=timedelta(days=1))
    assert [path.name for path in files(made)] == ["rain_1d_202206090000.tif", "rain_1d_202206100000.tif"]
    assert [read(path)[2]["FRAMES_USED"] for path in files(made)] == ["4", "1"]
    assert read(files(made)[0])[2]["FRAMES_EXPECTED"] == "288"
    made = run(tmp_path / "in", tmp_path / "ten", period=timedelta(minutes=10))
    assert [path.name[11:] for path in files(made)] == [
        f"{t}.tif" for t in ("202206091050", "202206091100", "202206092350", "202206100000")
    ]
    made = run(tmp_path / "in", tmp_path / "event", period="event")
    assert [path.name for path in files(made)] == ["rain_event_202206091055_202206100005.tif"]
    depth, frames, tags = read(files(made)[0])
    np.testing.assert_allclose(depth, 5 * RATE(30) / 12, atol=0.005)
    assert (frames == 5).all()
    assert tags["FRAMES_EXPECTED"] == str(13 * 12 + 2)
    day = datetime(2022, 6, 9, tzinfo=KST)
    made = run(tmp_path / "in", tmp_path / "whole", period="event", start=day, end=day + timedelta(days=1))
    assert read(files(made)[0])[2]["FRAMES_EXPECTED"] == "288"


def test_frames_between_the_steps_are_left_out(save: Save, tmp_path: Path) -> None:
    save(0, 3000)
    save(3, 3000)
    save(5, 3000)
    made = run(tmp_path / "in", tmp_path / "out")
    assert made.tally.unselected == 1
    assert read(files(made)[0])[2]["FRAMES_USED"] == "2"
    made = run(tmp_path / "in", tmp_path / "ten", every=timedelta(minutes=10))
    depth, _frames, tags = read(files(made)[0])
    assert (tags["FRAMES_USED"], tags["FRAMES_EXPECTED"]) == ("1", "12")
    np.testing.assert_allclose(depth, RATE(30) / 12, atol=0.005)


@pytest.mark.parametrize(("every", "used"), [("1h", 1), ("15min", 4), ("5min", 12), ("1min", 12)])
def test_thinning_does_not_change_how_long_a_frame_stands_for(
    save: Save, tmp_path: Path, every: str, used: int
) -> None:
    for minutes in range(0, 60, 5):
        save(minutes, 3000)
    made = run(tmp_path / "in", tmp_path / "out", every=parse_step(every), min_coverage=0)
    depth, frames, tags = read(files(made)[0])
    # 30 dBZ is 2.734 mm/h, each frame 5 minutes of it; of 12 frames an hour
    np.testing.assert_allclose(depth, used * RATE(30) / 12, atol=0.005)
    assert (tags["FRAMES_USED"], tags["FRAMES_EXPECTED"], tags["FRAME_STEP_MINUTES"]) == (str(used), "12", "5")
    assert frames.max() == used
    scarce = read(files(run(tmp_path / "in", tmp_path / "b", every=parse_step(every), min_coverage=0.9))[0])[0]
    assert np.isnan(scarce).all() == (used < 11)  # 0.9 of 12 is 10.8


def test_how_long_a_frame_stands_for_can_be_given(save: Save, tmp_path: Path) -> None:
    for minutes in range(0, 60, 10):
        save(minutes, 3000)
    made = run(tmp_path / "in", tmp_path / "out")
    np.testing.assert_allclose(read(files(made)[0])[0], 6 * RATE(30) / 12, atol=0.005)
    [note] = made.notes
    assert note == (
        "times are 10min apart and each frame stands for 5min: at most 50% of the time is observed; "
        "if frames stand for longer, give --frame-step"
    )
    made = run(tmp_path / "in", tmp_path / "ten", frame_step=timedelta(minutes=10))
    depth, _frames, tags = read(files(made)[0])
    np.testing.assert_allclose(depth, RATE(30), atol=0.005)
    assert (tags["FRAMES_USED"], tags["FRAMES_EXPECTED"]) == ("6", "6")
    assert made.notes == []
    with pytest.raises(OptionsError, match="frame step 15min: frames are 10min apart, less than that"):
        run(tmp_path / "in", tmp_path / "more", frame_step=timedelta(minutes=15), period=timedelta(hours=1))


def test_before_september_2019_a_frame_stands_for_ten_minutes(tmp_path: Path, make_file: MakeFile) -> None:
    begin = datetime(2019, 9, 15, 23, 0, tzinfo=KST)
    (tmp_path / "in").mkdir()
    for minutes in range(0, 60, 10):
        time = begin + timedelta(minutes=minutes)
        (tmp_path / "in" / frame_name(time)).write_bytes(make_file(np.full((NY, NX), 3000, np.int16), time=time))
    made = run(tmp_path / "in", tmp_path / "out")
    np.testing.assert_allclose(read(files(made)[0])[0], RATE(30), atol=0.005)  # six times ten minutes
    assert made.notes == ["all frames are of before 16 September 2019: each stands for 10min"]
    late = begin + timedelta(hours=1)  # the first of the next day: five minutes, all of them
    (tmp_path / "in" / frame_name(late)).write_bytes(make_file(np.full((NY, NX), 3000, np.int16), time=late))
    with pytest.raises(OptionsError, match=r"stand for 10min, later ones for 5min: use two runs"):
        run(tmp_path / "in", tmp_path / "both")
    made = run(tmp_path / "in", tmp_path / "five", frame_step=timedelta(minutes=5))
    np.testing.assert_allclose(read(files(made)[0])[0], RATE(30) / 2, atol=0.005)  # as it was asked for
    assert frame_length([begin, late]) == timedelta(minutes=5)
    assert frame_length([begin + timedelta(minutes=5)]) == timedelta(minutes=5)
    assert frame_length([]) == timedelta(minutes=5)


def test_every_period_of_the_range_is_named(save: Save, tmp_path: Path) -> None:
    save(0, 3000)
    save(180, 3000)
    made = run(tmp_path / "in", tmp_path / "out")
    assert made.notes == ["2 of the periods (1h) have no valid frame, and no file: 2022-06-09 12:00, 2022-06-09 13:00"]
    day = datetime(2022, 6, 8, tzinfo=KST)
    made = run(tmp_path / "in", tmp_path / "b", period=timedelta(days=1), start=day, end=day + timedelta(days=3))
    assert [f"{start:%m-%d}" for start in made.empty] == ["06-08", "06-10"]


def test_of_two_frames_of_a_time_the_better_sound_one_counts(save: Save, tmp_path: Path) -> None:
    few = [(b"KWK", (2022, 6, 9, 11, 0, 0), (2022, 6, 9, 11, 5, 0))]
    good = save(0, 3000, "b")
    save(0, 5000, "a", stations=few)
    made = run([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert (made.counts["ok"], made.counts["duplicate"], made.counts["failed"]) == (1, 1, 0)
    np.testing.assert_allclose(read(files(made)[0])[0], RATE(30) / 12, atol=0.005)
    good.write_bytes(good.read_bytes()[:-9] + b"123456789")  # header sound, the rest not: the other one has to do
    made = run([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert (made.counts["ok"], made.counts["duplicate"], made.counts["failed"]) == (1, 0, 1)
    np.testing.assert_allclose(read(files(made)[0])[0], RATE(50) / 12, atol=0.005)


def test_an_archive_in_any_order_gives_the_same_bytes(save: Save, tmp_path: Path) -> None:
    paths = [save(minutes, 1000 + 37 * minutes) for minutes in range(0, 120, 20)]
    made = run(tmp_path / "in", tmp_path / "folder")
    members = [(path.name, path.read_bytes()) for path in reversed(paths)]
    (tmp_path / "all.tar.gz").write_bytes(make_tar([*members, ("x/RDR_CMP_HSR_PUB_202206091155.bin.gz", b"broken")]))
    again = run(tmp_path / "all.tar.gz", tmp_path / "tar", jobs=2)
    assert again.counts["failed"] == 1
    assert len(files(made)) == len(files(again)) == 2
    for one, two in zip(files(made), files(again), strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_regions_have_a_folder_each(save: Save, tmp_path: Path) -> None:
    save(0, 3000)
    (tmp_path / "r.csv").write_text("name,west,south,east,north\n가,127,37,127.2,37.2\nb,126,36,126.1,36.1\n", "utf-8")
    made = run(tmp_path / "in", tmp_path / "out", window=None, regions=tmp_path / "r.csv")
    assert {path.relative_to(tmp_path / "out").parts[0] for path in files(made)} == {"가", "b"}


def test_a_period_without_a_sound_frame_is_reported(save: Save, tmp_path: Path, make_file: MakeFile) -> None:
    save(0, 3000)
    save(60, 3000).write_bytes(make_file()[:500])
    made = run(tmp_path / "in", tmp_path / "out")
    assert len(files(made)) == 1
    assert made.notes == ["1 of the periods (1h) have no valid frame, and no file: 2022-06-09 12:00"]
    save(30, 3000, product="CPP")
    with pytest.raises(OptionsError, match="--product"):
        run(tmp_path / "in", tmp_path / "out")
    assert run(tmp_path / "in", tmp_path / "out", product="HSR").counts["ok"] == 1
    large = make_file(np.full((2881, 2305), -25000, np.int16), time=HOUR + timedelta(minutes=55), dxy=500)
    (tmp_path / "in" / frame_name(HOUR + timedelta(minutes=55))).write_bytes(large)
    made = accumulate(tmp_path / "in", tmp_path / "out", AccumulateOptions(jobs=1, product="HSR", window=WINDOW))
    assert any("another grid" in str(outcome.error) for outcome in made)


@given(
    st.lists(
        st.lists(st.sampled_from([-30000, -27000, -25000, -20000, -500, 0, 2345, 7000]), min_size=6, max_size=6),
        max_size=8,
    )
)
def test_sums_are_those_of_plain_arithmetic(frames: list[list[int]]) -> None:
    table = sum_table(DBZ, KMA_LAW, 1 / 12, 1e-6)
    total = RunningSum((2, 3), 1e-6)
    depth, count = np.zeros((2, 3)), np.zeros((2, 3), int)
    for values in frames:
        stored = np.array(values, np.int16).reshape(2, 3)
        total.add(stored, table)
        seen = stored >= -25000
        echo = stored >= -10000
        depth += np.where(echo, (10 ** (stored / 1000) / 200) ** (1 / 1.6), 0) / 12
        count += seen
    np.testing.assert_allclose(total.depth_mm, depth, atol=1e-6 * 8)
    np.testing.assert_array_equal(total.frames, count)
    packed, packed_frames = total.packed(0.01, 3, -30000)
    np.testing.assert_array_equal(packed_frames, count)
    np.testing.assert_allclose(packed[count >= 3], 100 * depth[count >= 3], atol=0.501)
    assert (packed[count < 3] == -30000).all()


def test_rates_are_not_rounded() -> None:
    rates = rate_table(DBZ, KMA_LAW)
    codes = np.array([-30000, -27000, -25000, -22187, 3000, 1], np.int16).view(np.uint16)
    np.testing.assert_allclose(rates[codes], [np.nan, np.nan, 0, 0, RATE(30), RATE(0.01)], rtol=1e-12)
    np.testing.assert_allclose(stored_table(DBZ)[codes[2:5]], [-np.inf, -np.inf, 30])
    hsp = rate_table(RAIN_RATE, Law(1, 1))
    assert hsp[np.array([-5, 150], np.int16).view(np.uint16)].tolist() == [0, 1.5]
    with pytest.raises(FrameError, match="expected reflectivity or rain rate, found height"):
        rate_table(QUANTITIES[2], KMA_LAW)


def test_a_sum_cannot_overflow() -> None:
    for count in (1, 12, 288, 21_000, 105_120, 1_048_575):
        unit = depth_unit_mm(count, 1 / 12)
        largest = int(sum_table(DBZ, KMA_LAW, 1 / 12, unit).max()) & ((1 << 44) - 1)
        assert largest * unit == pytest.approx(MOST_RATE / 12)
        assert largest * count < 1 << 44
    with pytest.raises(OptionsError, match="at most"):
        depth_unit_mm(1 << 20, 1 / 12)


def test_sums_that_are_too_many_wait_on_disk(tmp_path: Path) -> None:
    table = sum_table(DBZ, KMA_LAW, 1 / 12, 1e-6)
    stored = np.full((8, 8), 3000, np.int16)
    sums = OpenSums(tmp_path, most_bytes=1024)  # two of them
    keys = [(HOUR + n * timedelta(hours=1), 0) for n in range(5)]
    for _round in range(3):
        for key in keys:
            sums.get(key, (8, 8), 1e-6).add(stored, table)
    assert len(list(tmp_path.iterdir())) == 3
    for key in keys:
        total = sums.pop(key)
        assert total is not None
        assert total.used == 3
        assert (total.frames == 3).all()
    assert sums.pop(keys[0]) is None
    assert not list(tmp_path.iterdir())


def test_names_of_periods() -> None:
    lengths = [timedelta(minutes=10), timedelta(minutes=60), timedelta(hours=24), timedelta(minutes=90)]
    assert [period_name(length) for length in lengths] == ["10min", "1h", "1d", "90min"]
    found = periods_of([HOUR, HOUR + timedelta(minutes=55)], timedelta(hours=1), FRAME_STEP, None, None)
    assert len(set(found.values())) == 1


def test_options_that_cannot_be() -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"min_coverage": 1.1}, "from 0 to 1"),
        ({"period": "week"}, "or event"),
        ({"period": timedelta(minutes=7)}, "divide a day"),
        ({"period": timedelta(minutes=10), "frame_step": timedelta(hours=1)}, "divide a day"),
        ({"bbox": (126, 37, 127, 38), "window": WINDOW}, "one area"),
        ({"zr": (0, 1.6)}, "positive"),
    ]
    for options, problem in bad:
        with pytest.raises(OptionsError, match=problem):
            AccumulateOptions(**options)


def test_the_command(save: Save, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)

    def cli(*words: object) -> Any:
        return CliRunner().invoke(app, [str(word) for word in words])

    save(0, 3000)
    out = tmp_path / "out"
    area = ("--center", 126.8, 37.5, "--size", 16)
    done = cli(tmp_path / "in", "--out", out, *area, "--json", "-j", 1)
    assert done.exit_code == 0, done.stderr
    assert "1 file, 1 with missing frames: 1 frame, 1 used" in done.stderr
    summary = json.loads(done.stdout)
    assert [Path(path).name for path in summary["files"]] == ["rain_1h_202206091100.tif"]
    save(5, 3000).write_bytes(b"")
    assert cli(tmp_path / "in", "--out", out, *area, "--period", "event", "-q").exit_code == 1
    assert cli(tmp_path / "in", "--out", out, "--period", "7min").exit_code == 2
    assert cli(tmp_path / "in", "--out", out, "--bbox", 0, 0, 1, 1).exit_code == 2
    (tmp_path / "empty").mkdir()
    assert cli(tmp_path / "empty", "--out", out).exit_code == 1
