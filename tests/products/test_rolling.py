"""Rolling maxima: worked by hand, and against plain numpy over all windows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import typer
from hypothesis import given
from hypothesis import strategies as st
from rio_cogeo.cogeo import cog_validate
from typer.testing import CliRunner

from hsrgeo.cli.accumulate import accumulate as command
from hsrgeo.engine.accumulate.rolling import Shelf
from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.accumulate.sum_run import Accumulation, accumulate
from hsrgeo.engine.periods import Period
from hsrgeo.errors import OptionsError, WriteError
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.quantity import QUANTITIES
from hsrgeo.model.times import FRAME_STEP, KST
from hsrgeo.model.window import Window
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.products.rolling import Piece, rolling_highest
from hsrgeo.products.sums import sum_table
from tests.conftest import NX, NY, MakeFile, frame_name

NOON = datetime(2022, 6, 9, 12, 0, tzinfo=KST)
WINDOW = (500, 700, 40, 30)
RATE = KMA_LAW.rate
DBZ = QUANTITIES[1]
TABLE = sum_table(DBZ, KMA_LAW, 1 / 12, 1e-6)
MINUTE = timedelta(minutes=1)
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path, make_file: MakeFile) -> Save:
    """Give a function that writes a frame so many minutes after noon: one value, but for some cells of the window."""

    def write(minutes: int, value: int, **cells: Any) -> Path:
        pixels = np.full((NY, NX), -30000, np.int16)
        pixels[690:740, 490:560] = value
        for row, col, other in cells.pop("cells", ()):
            pixels[WINDOW[1] + row, WINDOW[0] + col] = other
        time = NOON + timedelta(minutes=minutes)
        path = tmp_path / "in" / frame_name(time)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make_file(pixels, time=time, **cells))
        return path

    return write


def run(sources: Any, out: Path, *minutes: int, **options: Any) -> Accumulation:
    options = {"window": WINDOW, "jobs": 1, "period": "event", **options}
    made = accumulate(sources, out, AccumulateOptions(rolling=[length * MINUTE for length in minutes], **options))
    for _outcome in made:
        pass
    return made


def files(made: Accumulation) -> list[Path]:
    """Return what was written, on this machine."""
    return [Path(str(path)) for path in made.written]


def read(path: Path) -> tuple[Any, Any, Any, dict[str, str]]:
    with rasterio.open(path) as dataset:
        assert dataset.descriptions == ("rain_depth_max", "end_minutes", "windows")
        assert (dataset.scales, dataset.units[:2]) == ((0.01, 1.0, 1.0), ("mm", "min"))
        depth = np.where(dataset.read(1) == dataset.nodata, np.nan, dataset.read(1) * dataset.scales[0])
        return depth, dataset.read(2), dataset.read(3), dataset.tags()


def test_the_wettest_quarter_of_an_hour_by_hand(save: Save, tmp_path: Path) -> None:
    # From 12:00 every 5 min: 20, 40, 30, (no frame), 35, 40, 30 dBZ, then 20 until 12:45. Windows of three steps:
    # 12:00-12:15 has 20 + 40 + 30; 12:20-12:35 has 35 + 40 + 30 and is the highest, it ends 35 minutes after 12:00.
    values = {0: 2000, 5: 4000, 10: 3000, 20: 3500, 25: 4000, 30: 3000, 35: 2000, 40: 2000}
    for minutes, value in values.items():
        cells = [(0, 0, -25000), (0, 1, -30000)]
        if minutes in (20, 30):
            cells.append((0, 2, -30000))  # here the second peak was hardly seen
        save(minutes, value, cells=cells)
    made = run(tmp_path / "in", tmp_path / "out", 15, min_coverage=1)
    name = "rain_max_15min_202206091200_202206091245.tif"
    assert [path.name for path in files(made)] == ["rain_event_202206091200_202206091245.tif", name]
    depth, end, windows, tags = read(tmp_path / "out" / name)
    assert cog_validate(tmp_path / "out" / name) == (True, [], [])
    np.testing.assert_allclose(depth[1:], (RATE(35) + RATE(40) + RATE(30)) / 12, atol=0.005)
    assert (end[1:] == 35).all()
    assert (windows[1:] == 4).all()  # of seven; three hold the missing frame
    assert (depth[0, 0], end[0, 0], windows[0, 0]) == (0, 15, 4)  # dry: the first window that counts
    assert np.isnan(depth[0, 1])
    assert (end[0, 1], windows[0, 1]) == (-30000, 0)
    assert depth[0, 2] == pytest.approx((RATE(20) + RATE(40) + RATE(30)) / 12, abs=0.005)
    assert (end[0, 2], windows[0, 2]) == (15, 1)
    expected = {
        "QUANTITY": "rain_depth_max",
        "DURATION": "15min",
        "WINDOWS_EXPECTED": "7",
        "FRAMES_USED": "8",
        "FRAMES_EXPECTED": "9",
        "END_MINUTES_SINCE_UTC": "2022-06-09T03:00:00Z",
        "END_MINUTES_SINCE_KST": "2022-06-09T12:00:00+09:00",
        "TIME_END_UTC": "2022-06-09T03:45:00Z",
        "MIN_COVERAGE": "1",
    }
    assert {name: tags[name] for name in expected} == expected

    made = run(tmp_path / "in", tmp_path / "lax", 15, 30, 60)  # gaps count as not observed, not as a reason to refuse
    assert made.notes == ["no window of 1h lies within the run, which is 0:45:00 long: no file"]
    depth, end, windows, _tags = read(files(made)[1])
    assert windows[5, 5] == 7
    assert depth[0, 2] == pytest.approx((RATE(20) + RATE(40) + RATE(30)) / 12, abs=0.005)
    depth, end, windows, _tags = read(files(made)[2])
    highest = (RATE(40) + RATE(30) + RATE(35) + RATE(40) + RATE(30)) / 12  # 12:05 to 12:35
    assert (depth[5, 5], end[5, 5], windows[5, 5]) == (pytest.approx(highest, abs=0.005), 35, 4)


def test_any_order_and_any_number_of_threads_give_the_same_bytes(save: Save, tmp_path: Path) -> None:
    paths = [save(minutes, 1000 + 50 * minutes) for minutes in range(0, 40, 5)]
    whole = {"window": (450, 650, 300, 300)}
    made = run(tmp_path / "in", tmp_path / "a", 10, 20, **whole)
    again = run(list(reversed(paths)), tmp_path / "b", 20, 10, 10, jobs=3, **whole)
    assert [p.name for p in files(made)] == [p.name for p in files(again)]
    assert len(files(made)) == 3
    for one, two in zip(files(made), files(again), strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_regions_and_a_span_that_was_asked_for(save: Save, tmp_path: Path) -> None:
    save(0, 3000)
    (tmp_path / "r.csv").write_text("name,west,south,east,north\n가,127,37,127.2,37.2\nb,126,36,126.1,36.1\n", "utf-8")
    hours = {"start": NOON - timedelta(hours=1), "end": NOON + timedelta(hours=1)}
    made = run(tmp_path / "in", tmp_path / "out", 60, window=None, regions=tmp_path / "r.csv", **hours)
    found = {p.relative_to(tmp_path / "out").as_posix() for p in files(made)}
    assert {f"{name}/rain_max_1h_202206091100_202206091300.tif" for name in ("가", "b")} < found
    made = run(tmp_path / "in", tmp_path / "x", 60, **hours)
    depth, end, windows, _tags = read(files(made)[1])
    assert (end[0, 0], windows[0, 0]) == (65, 12)  # 65 minutes after 11:00 the first window with the frame ends
    assert depth[0, 0] == pytest.approx(RATE(30) / 12, abs=0.005)


CODES = [-30000, -27000, -25000, -20000, -500, 0, 2345, 7000]


@given(
    st.lists(
        st.one_of(st.none(), st.sampled_from(CODES), st.lists(st.sampled_from(CODES), min_size=6, max_size=6)),
        min_size=1,
        max_size=14,
    ),
    st.lists(st.tuples(st.integers(1, 14), st.integers(0, 14)), min_size=1, max_size=3),
)
def test_the_highest_window_is_that_of_plain_arithmetic(
    steps: list[int | list[int] | None], lengths: list[tuple[int, int]]
) -> None:
    full = np.full((len(steps), 2, 3), -30000)
    pieces: list[Piece | None] = []
    for order, values in enumerate(steps):
        if values is not None:
            full[order] = np.reshape(values, (2, 3)) if isinstance(values, list) else values
        pieces.append(np.array(values, np.int16).reshape(2, 3) if isinstance(values, list) else values)
    seen, echo = full >= -25000, full >= -10000
    units = np.where(echo, np.rint((10 ** (full / 1000) / 200) ** (1 / 1.6) / 12 / 1e-6), 0).astype(np.int64)
    for (length, fewest), made in zip(lengths, rolling_highest(pieces, TABLE, (2, 3), lengths), strict=True):
        best, end, windows = np.full((2, 3), -1), np.full((2, 3), -1), np.zeros((2, 3), int)
        for last in range(length, len(steps) + 1):
            part = slice(last - length, last)
            counts = seen[part].sum(axis=0) >= max(fewest, 1)
            depth = np.where(counts, units[part].sum(axis=0), -1)
            end[depth > best] = last
            best = np.maximum(best, depth)
            windows += counts
        np.testing.assert_array_equal(made.windows, windows)
        np.testing.assert_array_equal(made.end, end)
        np.testing.assert_array_equal(made.depth, best)


def test_a_shelf_gives_back_what_was_put_there(tmp_path: Path) -> None:
    grid = next(iter(grids().values())).crop(Window(0, 0, 300, 270))
    rng = np.random.default_rng(5)
    frames = {2: rng.integers(-30000, 7000, (270, 300)).astype(np.int16), 0: np.full((270, 300), -25000, np.int16)}
    frames[0][260, 290] = 5
    shelf = Shelf(tmp_path / "s", grid)
    span = Period(NOON, NOON + 4 * FRAME_STEP, "event", FRAME_STEP)
    for order, stored in frames.items():
        shelf.put(NOON + order * FRAME_STEP, stored)
    assert len(shelf.tiles) == 4
    for number, tile in enumerate(shelf.tiles):
        pieces = list(shelf.pieces(number, span))
        assert [piece is None for piece in pieces] == [False, True, False, True]
        for order, stored in frames.items():
            np.testing.assert_array_equal(np.broadcast_to(np.asarray(pieces[order]), stored[tile].shape), stored[tile])
    with pytest.raises(WriteError, match="cannot be written"):
        Shelf(tmp_path / "no" / "s", grid).put(NOON, frames[0])


def test_options_and_the_command(save: Save, tmp_path: Path) -> None:
    for minutes in (7, 0, -5, 1445):
        with pytest.raises(OptionsError, match="rolling"):
            AccumulateOptions(rolling=[minutes * MINUTE])
    options = AccumulateOptions(rolling=[60 * MINUTE, 10 * MINUTE, 60 * MINUTE])
    assert options.rolling == (10 * MINUTE, 60 * MINUTE)
    app = typer.Typer()
    app.command()(command)
    save(0, 3000)
    save(5, 3000)
    words = ["in", "--out", "out", "--rolling", "10min", "--rolling", "24h", "-j", "1", "--center", "126.8", "37.5"]
    words[0], words[2] = str(tmp_path / "in"), str(tmp_path / "out")
    done = CliRunner().invoke(app, [*words, "--size", "16"])
    assert done.exit_code == 0, done.stderr
    assert "note: no window of 1d" in done.stderr
    assert len(list((tmp_path / "out").rglob("rain_max_10min_*.tif"))) == 1
    assert CliRunner().invoke(app, [*words, "--rolling", "7min"]).exit_code == 2
