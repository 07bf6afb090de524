"""`accumulate --advection`: storms that move ten cells a frame, with gaps and without; needs pysteps."""

from __future__ import annotations

import tarfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine.accumulate.moving import surroundings
from hsrgeo.errors import OptionsError
from hsrgeo.model.times import KST
from hsrgeo.model.window import Window
from hsrgeo.products.factors import Factor, Factors
from hsrgeo.writers.sum_cog import NODATA
from tests.conftest import NX, NY, MakeFile, frame_name
from tests.products.test_advection import COLS, ROWS, rmse, storm, truth

pytestmark = pytest.mark.filterwarnings("default")  # importing pysteps warns

HOUR = datetime(2022, 6, 9, 11, tzinfo=KST)
STEP = timedelta(minutes=5)
WINDOW = (500, 700, COLS, ROWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give frames of rain rate from 11:00 to 12:00; the first two columns of the window are not observed."""
    source = tmp_path_factory.mktemp("in")
    make_file = MakeFile()
    for nth in range(13):
        pixels = np.full((NY, NX), -30000, np.int16)
        pixels[700 : 700 + ROWS, 502 : 500 + COLS] = np.rint(100 * storm(nth))[:, 2:]
        time = HOUR + nth * STEP
        (source / frame_name(time, product="HSP")).write_bytes(make_file(pixels, time=time, data_codes=(5,)))
    return source


def summed(source: Path, out: Path, **options: Any) -> list[tuple[NDArray[Any], NDArray[Any], dict[str, str]]]:
    """Return depth [mm], frames and tags of each hour."""
    run = hsrgeo.accumulate(source, out, **{"window": WINDOW, "jobs": 1, **options}).run()
    made = []
    for path in run.written:
        with rasterio.open(path) as dataset:
            depth = np.where(dataset.read(1) == NODATA, np.nan, dataset.read(1) * dataset.scales[0])
            made.append((depth, dataset.read(2), dataset.tags()))
    return made


def test_the_error_of_a_sum_falls_by_half_or_more(folder: Path, tmp_path: Path) -> None:
    plain, _next_hour = summed(folder, tmp_path / "plain")
    moving, last = summed(folder, tmp_path / "moving", advection=True)
    expected = truth(0, 12)  # the mean rate of the hour is its depth
    assert rmse(moving[0], expected) < 0.1 * rmse(plain[0], expected)
    assert (moving[1] == plain[1]).all()
    assert (np.isnan(moving[0]) == np.isnan(plain[0])).all()
    assert np.isnan(moving[0][:, :2]).all()
    assert moving[2]["FRAMES_MOVED"] == "12 of 12"  # the last one to the first of the next hour
    assert "with the rain moving" in moving[2]["SUM_RULE"]
    assert last[2]["FRAMES_MOVED"] == "0 of 1"
    assert "FRAMES_MOVED" not in plain[2]
    assert np.nanmax(np.abs(last[0] - storm(12) / 12)) < 0.006  # it stands still for its five minutes


def test_rain_comes_into_a_crop_from_outside(folder: Path, tmp_path: Path) -> None:
    """The storm comes from the left: at 11:30 it is 100 cells from the first column of the frames' rain."""
    crop = (WINDOW[0] + 100, WINDOW[1], 100, ROWS)
    (plain, *_), _last = summed(folder, tmp_path / "plain", window=crop)
    (moving, *_), _last = summed(folder, tmp_path / "moving", window=crop, advection=True)
    assert moving.shape == (ROWS, 100)
    edge, expected = np.s_[:, :10], truth(0, 12)[:, 100:110]
    assert rmse(moving[edge], expected) < 0.1 * rmse(plain[edge], expected)


def test_what_is_read_around_a_crop_lies_in_the_grid() -> None:
    grid = hsrgeo.grids()["kma-hb-500m"]
    step = timedelta(minutes=5)  # 150 km/h are 12.5 km: 25 cells of 500 m
    for area, window in (
        (Window(100, 200, 30, 40), Window(75, 175, 80, 90)),
        (Window(10, 0, 30, 40), Window(0, 0, 65, 65)),
        (Window(2300, 2800, 5, 81), Window(2275, 2775, 30, 106)),
    ):
        found, (rows, cols) = surroundings(area, grid, step)
        assert found == window
        assert (found.row_off + rows.start, found.row_off + rows.stop) == (area.row_off, area.row_off + area.height)
        assert (found.col_off + cols.start, found.col_off + cols.stop) == (area.col_off, area.col_off + area.width)


def test_a_gap_is_not_bridged(folder: Path, tmp_path: Path) -> None:
    """Without 11:30 the frame of 11:25 stands still, and nothing falls from 11:30 to 11:35."""
    source = tmp_path / "in"
    source.mkdir()
    for path in folder.iterdir():
        if "1130" not in path.name:
            (source / path.name).symlink_to(path)
    (depth, frames, tags), _last = summed(source, tmp_path / "out", advection=True)
    assert tags["FRAMES_MOVED"] == "10 of 11"
    assert frames.max() == 11
    expected = (5 * truth(0, 5) + storm(5) + 5 * truth(7, 12)) / 12
    assert rmse(depth, expected) < 0.05
    bridged = truth(0, 12)
    assert rmse(depth, bridged) > 5 * rmse(depth, expected)


def test_the_order_of_frames_does_not_matter(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "RDR_HSP_202206.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.iterdir(), reverse=True):
            tar.add(path, path.name)
    for source in (folder, archive):
        summed(source, tmp_path / f"of_{source.name}", advection=True)
    name = "202206/09/rain_1h_202206091100.tif"
    assert (tmp_path / f"of_{folder.name}" / name).read_bytes() == (tmp_path / f"of_{archive.name}" / name).read_bytes()


def test_rain_of_a_cube_moves_too(folder: Path, tmp_path: Path) -> None:
    around = 13  # of 1 km; rain of 150 km/h crosses 12.5 in five minutes
    wide = (WINDOW[0] - around, WINDOW[1] - around, COLS + 2 * around, ROWS + 2 * around)
    hsrgeo.make_cube(folder, tmp_path / "c.zarr", window=wide, jobs=1).run()
    summed(folder, tmp_path / "of_frames", advection=True, end=HOUR + 4 * STEP)
    area: Any = {"window": (around, around, COLS, ROWS), "advection": True, "end": HOUR + 4 * STEP}
    hsrgeo.accumulate(tmp_path / "c.zarr", tmp_path / "of_cube", jobs=1, **area).run()
    name = "202206/09/rain_1h_202206091100.tif"
    assert (tmp_path / "of_cube" / name).read_bytes() == (tmp_path / "of_frames" / name).read_bytes()


def test_a_factor_is_that_of_the_step(folder: Path, tmp_path: Path) -> None:
    start = int(HOUR.timestamp())
    twice = Factors("b.csv", "", (Factor(start, start + 3600, 2.0), Factor(start + 3600, start + 7200, 5.0)))
    plain, _last = summed(folder, tmp_path / "plain", advection=True)
    double, last = summed(folder, tmp_path / "double", advection=True, bias=twice)
    assert np.nanmax(np.abs(double[0] - 2 * plain[0])) < 0.05  # the motion is sought on other rates
    # Frames have steps of 0.01 mm/h, sums of 0.01 mm: 5 x 0.005 / 12 + 0.005 = 0.0071.
    assert np.nanmax(np.abs(last[0] - 5 * storm(12) / 12)) < 0.0072


def test_options_that_do_not_go_together(folder: Path, tmp_path: Path) -> None:
    for more in ({"stat": "max"}, {"rolling": ["1h"]}):
        with pytest.raises(OptionsError, match="advection is of sums"):
            hsrgeo.accumulate(folder, tmp_path / "out", advection=True, **more)
    assert "--advection" in CliRunner().invoke(app, ["accumulate", "--help"]).output
