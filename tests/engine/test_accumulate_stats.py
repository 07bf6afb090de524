"""Other numbers than the sum: highest and mean rate, frequency of rain, and masks; each worked by hand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

import hsrgeo
from hsrgeo.engine.accumulate.sum_run import accumulate
from hsrgeo.errors import OptionsError
from hsrgeo.model.grid_catalog import grids
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.writers.sum_cog import NODATA
from tests.conftest import NX, NY, TIME, MakeFile, frame_name

WINDOW = (500, 700, 40, 40)
STEP = timedelta(minutes=5)
FRAMES = 12
CLUTTER = (5, 7)
SECTOR = (slice(20, 30), slice(10, 40))
"""Rows and columns within the window: a cell with echo in every frame, and cells that hold no rain though it rains."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an hour of rain that falls in one half of the columns after the other, with clutter and a blocked sector."""
    source = tmp_path_factory.mktemp("in")
    make_file = MakeFile()
    for nth in range(FRAMES):
        part = np.full((40, 40), -25000, np.int16)
        part[:, :20] = 3000 if nth % 2 else -25000
        part[:, 20:] = -25000 if nth % 2 else 2000
        part[SECTOR] = -25000
        part[CLUTTER] = 4500
        part[0, 0] = -30000 if nth < 3 else 3000
        pixels = np.full((NY, NX), -25000, np.int16)
        pixels[700:740, 500:540] = part
        time = TIME + timedelta(minutes=45) + nth * STEP
        (source / frame_name(time)).write_bytes(make_file(pixels, time=time))
    return source


def bands(out: Path) -> tuple[NDArray[np.float64], NDArray[np.int32], dict[str, str]]:
    (path,) = out.rglob("*.tif")
    with rasterio.open(path) as dataset:
        values = dataset.read(1) * dataset.scales[0]
        return np.where(dataset.read(1) == NODATA, np.nan, values), dataset.read(2), dataset.tags()


def made(folder: Path, out: Path, **options: Any) -> tuple[NDArray[np.float64], NDArray[np.int32], dict[str, str]]:
    accumulate(folder, out, period="1h", window=WINDOW, jobs=1, **options).run()
    return bands(out)


def test_the_frequency_shows_clutter_and_a_blocked_sector(folder: Path, tmp_path: Path) -> None:
    share, frames, tags = made(folder, tmp_path / "out", stat="frequency")
    assert (tags["QUANTITY"], tags["UNIT"], tags["WET_FROM_MM_H"]) == ("rain_frequency", "%", "0.1")
    assert share[CLUTTER] == pytest.approx(100)  # wet in 12 of 12
    assert (share[SECTOR] == 0).all()
    assert (frames[0, 0], share[0, 0]) == (9, 100)  # 9 of the 9 frames that saw it
    rest = np.ones(share.shape, bool)
    rest[SECTOR] = rest[CLUTTER] = rest[0, 0] = False
    assert share[rest] == pytest.approx(50)
    assert np.argwhere(share > 90).tolist() == [[0, 0], [*CLUTTER]]
    assert np.array_equal(share == 0, ~rest & (share < 90))


def test_mean_and_highest_rate(folder: Path, tmp_path: Path) -> None:
    mean, _frames, tags = made(folder, tmp_path / "mean", stat="mean")
    highest, _frames, _tags = made(folder, tmp_path / "max", stat="max")
    assert tags["UNIT"] == "mm/h"
    strong, weak = KMA_LAW.rate(30.0), KMA_LAW.rate(20.0)  # 2.73 and 0.65 mm/h, each in every other frame
    assert mean[1, 1] == pytest.approx(strong / 2, abs=0.005)
    assert mean[1, 30] == pytest.approx(weak / 2, abs=0.005)
    assert mean[0, 0] == pytest.approx(strong, abs=0.005)
    assert (highest[1, 1], highest[1, 30]) == (pytest.approx(strong, abs=0.005), pytest.approx(weak, abs=0.005))


def test_a_masked_sum_has_no_clutter_and_no_blocked_sector(folder: Path, tmp_path: Path) -> None:
    share, _frames, _tags = made(folder, tmp_path / "frequency", stat="frequency")
    (path,) = (tmp_path / "frequency").rglob("*.tif")
    with rasterio.open(path) as dataset:
        profile = {**dataset.profile, "driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": None}
    with rasterio.open(tmp_path / "mask.tif", "w", **profile) as dataset:
        dataset.write(((share > 0) & (share < 90)).astype(np.uint8), 1)
    plain, _frames, _tags = made(folder, tmp_path / "plain")
    masked, frames, tags = made(folder, tmp_path / "masked", mask=tmp_path / "mask.tif")
    assert tags["MASK"] == "mask.tif"
    assert np.isnan(masked[CLUTTER])
    assert np.isnan(masked[SECTOR]).all()
    assert np.array_equal(frames == 0, np.isnan(masked))
    kept = ~np.isnan(masked)
    assert kept.sum() == 1600 - 300 - 2
    assert np.array_equal(masked[kept], plain[kept])


def test_a_mask_of_another_grid_is_refused(folder: Path, tmp_path: Path) -> None:
    grid = grids()["kma-hb-1km"]
    own = grid.transform
    transform = rasterio.Affine(own.a, own.b, own.c + own.a / 2, own.d, own.e, own.f)
    options = {"driver": "GTiff", "width": NX, "height": NY, "count": 1, "dtype": "uint8", "crs": grid.wkt2}
    with rasterio.open(tmp_path / "mask.tif", "w", transform=transform, **options) as dataset:
        dataset.write(np.ones((NY, NX), np.uint8), 1)
    with pytest.raises(OptionsError, match=r"mask\.tif: its cells are not those of kma-hb-1km"):
        made(folder, tmp_path / "out", mask=tmp_path / "mask.tif")


def test_polygons_are_a_mask(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    grid = grids()["kma-hb-1km"]
    corners = [(510, 710), (520, 710), (520, 720), (510, 720), (510, 710)]
    ring = ", ".join("[{:.9f}, {:.9f}]".format(*map(float, grid.lonlat(row - 0.5, col - 0.5))) for col, row in corners)
    shape = '{"type": "Polygon", "coordinates": [[' + ring + "]]}"
    feature = '{"type": "Feature", "properties": {"name": "a"}, "geometry": ' + shape + "}"
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": [' + feature + "]}")
    masked, _frames, _tags = made(folder, tmp_path / "out", mask=tmp_path / "a.geojson")
    assert np.argwhere(~np.isnan(masked)).tolist() == [[row, col] for row in range(10, 20) for col in range(10, 20)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stat": "median"}, "'median': expected one of sum, max, mean, frequency"),
        ({"stat": "max", "rolling": ["1h"]}, "rolling is of sums"),
        ({"wet_from": -1}, "wet_from -1"),
        ({"mask": "no.tif"}, "no.tif"),
    ],
)
def test_options_that_cannot_be(folder: Path, tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        hsrgeo.accumulate(folder, tmp_path, **options)


def test_a_limit_of_wet_without_a_frequency_is_refused() -> None:
    with pytest.raises(OptionsError, match="wet_from is for stat frequency"):
        hsrgeo.AccumulateOptions(stat="max", wet_from=3)
    with pytest.raises(OptionsError, match="max_rate 2 is below wet_from 3: nothing would count as wet"):
        hsrgeo.AccumulateOptions(stat="frequency", wet_from=3, max_rate=2)
    assert hsrgeo.AccumulateOptions(max_rate=0.05).law.max_mm_h == 0.05  # a sum has it
    assert hsrgeo.AccumulateOptions(stat="frequency", wet_from=3, max_rate=3).law.max_mm_h == 3
    assert hsrgeo.AccumulateOptions(stat="frequency", wet_from=3).stat == "frequency"
