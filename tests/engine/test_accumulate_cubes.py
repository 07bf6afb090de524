"""Sums of a cube: byte for byte those of its frames where it holds the same values."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.cube.opened import OpenCube
from hsrgeo.engine.accumulate.sum_run import Accumulation
from hsrgeo.engine.regions import Region
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.model.times import FRAME_STEP, KST
from hsrgeo.model.window import BBox
from hsrgeo.products.factors import Factor, Factors
from tests.conftest import NX, NY, MakeFile, frame_name

pytest.importorskip("xarray")
pytest.importorskip("zarr")
pytest.importorskip("netCDF4")

HOUR = datetime(2022, 6, 9, 11, tzinfo=KST)
WINDOW = (420, 620, 64, 48)
COUNT, BROKEN = 13, 6
TEN = timedelta(minutes=10)
ROLLING = {"rolling": [TEN], "min_coverage": 0.1}
Cube = Callable[..., Path]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give frames from 11:00 to 12:00 with values of every class, of which one is broken."""
    folder = tmp_path_factory.mktemp("frames")
    make_file = MakeFile()
    for number in range(COUNT):
        time = HOUR + number * FRAME_STEP
        pixels = np.roll(make_file.pixels, 3 * number, axis=1)
        pixels[630, 420:430] = (-30000, -29687, -25000, -22187, -20000, -20100, -1000, 0, 3000, 5500)
        data = make_file(pixels, time=time)
        (folder / frame_name(time)).write_bytes(data[:-300] if number == BROKEN else data)
    return folder


@pytest.fixture(scope="module")
def expected(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give the sums of the frames."""
    return summed(frames, tmp_path_factory.mktemp("sums"), window=WINDOW, **ROLLING)[1]


@pytest.fixture(scope="module")
def cube(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Cube:
    """Give a function that makes a cube of the frames; each is made once."""
    folder, made = tmp_path_factory.mktemp("cubes"), dict[str, Path]()

    def make(suffix: str = ".zarr", **options: Any) -> Path:
        key = f"{suffix}{options}"
        if key not in made:
            made[key] = folder / f"{len(made)}{suffix}"
            hsrgeo.make_cube(frames, made[key], jobs=1, **{"window": WINDOW, **options}).run()
        return made[key]

    return make


def summed(source: Any, out: Path, **options: Any) -> tuple[Accumulation, dict[str, bytes]]:
    made = hsrgeo.accumulate(source, out, jobs=2, **options).run()
    return made, {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.tif"))}


def read(path: Path) -> tuple[Any, Any, dict[str, str]]:
    with rasterio.open(path) as dataset:
        depth = np.where(dataset.read(1) == dataset.nodata, np.nan, dataset.read(1) * dataset.scales[0])
        return depth, dataset.read(2), dataset.tags()


def test_an_hour_worked_by_hand(make_file: MakeFile, tmp_path: Path) -> None:
    # Z = 200 R^1.6: 30 dBZ is R = (1000 / 200)^(1 / 1.6) = 2.734 mm/h, 20 dBZ is (100 / 200)^(1 / 1.6) = 0.648 mm/h.
    # 2.734 at 0 and 5 min, nothing at 10, 0.648 at 15; each stands for 1/12 h: (2 x 2.734 + 0.648) / 12 = 0.5097 mm.
    folder = tmp_path / "frames"
    folder.mkdir()
    for minutes, value in ((0, 3000), (5, 3000), (15, 2000)):
        time = HOUR + timedelta(minutes=minutes)
        pixels = np.full((NY, NX), value, np.int16)
        pixels[620, 420] = -25000
        (folder / frame_name(time)).write_bytes(make_file(pixels, time=time))
    made = tmp_path / "c.zarr"
    hsrgeo.make_cube(folder, made, window=(420, 620, 20, 10), jobs=1).run()
    done = CliRunner().invoke(app, ["accumulate", str(made), "--out", str(tmp_path / "sums"), "--jobs", "1"])
    assert done.exit_code == 0, done.output
    assert "1 with missing frames" in done.output
    depth, count, tags = read(tmp_path / "sums" / "202206" / "09" / "rain_1h_202206091100.tif")
    assert depth.shape == (10, 20)
    assert depth[0, 0] == 0  # dry
    assert depth[5, 5] == pytest.approx(0.51, abs=1e-9)
    assert (count == 3).all()
    assert (tags["FRAMES_USED"], tags["FRAMES_EXPECTED"]) == ("3", "12")
    assert (tags["WINDOW"], tags["RAIN_LAW"]) == ("420 620 20 10", "Z = 200 R^1.6")


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".zarr", {}),
        (".zarr", {"values": "raw", "layout": "series"}),
        (".zarr", {"layout": "both"}),
        (".nc", {}),
        (".json", {"virtual": True}),
        (".parquet", {"virtual": True}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value,
)
def test_sums_are_those_of_the_frames(
    expected: dict[str, bytes], cube: Cube, tmp_path: Path, suffix: str, options: dict[str, Any]
) -> None:
    assert [name[:10] for name in expected] == ["202206/09/"] * 2 + ["rain_max_1"]  # two hours, and the rolling one
    made, found = summed(cube(suffix, **options), tmp_path / "b", **ROLLING)
    assert found == expected  # the tag WINDOW too: where it lies in the whole grid
    assert made.counts == {"ok": COUNT - 1}
    assert made.short == 2


@pytest.mark.parametrize(
    "options",
    [
        {"stat": "max", "mask": "mask"},
        {"stat": "frequency", "wet_from": 2.0},
        {"min_coverage": 0.95},
        {"start": HOUR + 3 * FRAME_STEP, "end": HOUR + timedelta(hours=1), "period": TEN},
        {"every": TEN, "kind": "PUB", "product": "hsr", "zr": (300.0, 1.4), "max_rate": 20.0},
        {"every": TEN, "frame_step": TEN, "period": "event"},
        {"bias": Factors("b.csv", "", (Factor(round(HOUR.timestamp()), round(HOUR.timestamp()) + 600, 2.0),))},
    ],
    ids="-".join,
)
def test_each_option_is_as_of_frames(frames: Path, cube: Cube, tmp_path: Path, options: dict[str, Any]) -> None:
    if "mask" in options:
        options = {**options, "mask": tmp_path / "mask.geojson"}
        ring = [[126.0, 36.0], [126.2, 36.0], [126.2, 38.5], [126.0, 38.5], [126.0, 36.0]]
        options["mask"].write_text(f'{{"type": "Polygon", "coordinates": [{ring}]}}'.replace("'", '"'))
    ours, found = summed(cube(), tmp_path / "a", **options)
    theirs, expected = summed(frames, tmp_path / "b", window=WINDOW, **options)
    assert found
    assert found == expected
    assert ours.notes == theirs.notes
    assert (ours.empty, ours.short) == (theirs.empty, theirs.short)


def test_areas_lie_in_the_cube(frames: Path, cube: Cube, tmp_path: Path) -> None:
    _made, expected = summed(frames, tmp_path / "a", window=(430, 630, 16, 8))
    assert summed(cube(), tmp_path / "b", window=(10, 10, 16, 8))[1] == expected
    grid = hsrgeo.open_frame(next(frames.iterdir())).crop(window=WINDOW).grid
    (west, south), (middle, north) = (map(float, grid.lonlat(*cell)) for cell in ((40, 5), (20, 30)))
    inside, beyond = BBox(west, south, middle, north), BBox(west, south, 140.0, north)
    regions = [Region("inside", inside), Region("beyond", beyond)]
    made, found = summed(cube(), tmp_path / "c", regions=regions, period="event")
    assert len(found) == 2
    assert summed(frames, tmp_path / "d", regions=regions[:1], period="event")[1].items() < found.items()
    assert ["is cut at its edge in the east" in note for note in made.notes] == [True]
    with pytest.raises(OptionsError, match="does not touch"):
        summed(cube(), tmp_path / "e", bbox=(129.0, 34.0, 129.5, 34.5))


def test_rain_of_a_cube(frames: Path, cube: Cube, make_file: MakeFile, tmp_path: Path) -> None:
    rain = cube(quantity="rain", zr=(300.0, 1.4))
    made, found = summed(rain, tmp_path / "a")
    law = "Z = 300 R^1.4"
    assert made.notes == [f"{rain} contains rain by {law} in steps of 0.01 mm/h, up to 327.67; frames give it as it is"]
    _made, expected = summed(frames, tmp_path / "b", window=WINDOW, zr=(300.0, 1.4))
    for name in expected:
        ours, theirs = read(tmp_path / "a" / name), read(tmp_path / "b" / name)
        assert ours[2] == theirs[2]  # every tag, RAIN_LAW among them
        assert (ours[1] == theirs[1]).all()
        # Half a step of 0.01 mm/h in each of at most twelve frames of 1/12 h, and half a step of each sum.
        np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=0.005 + 0.01)
    assert found.keys() == expected.keys()
    with pytest.raises(OptionsError, match="contains rain already: zr does not apply"):
        summed(rain, tmp_path / "c", zr=(300.0, 1.4))
    # What KMA itself has as rain follows no law of ours, whatever it was asked for as.
    path = tmp_path / frame_name(HOUR, product="HSP")
    path.write_bytes(make_file(np.full((NY, NX), 600, np.int16), time=HOUR, data_codes=(5,)))
    hsrgeo.make_cube(path, tmp_path / "hsp.nc", window=WINDOW, quantity="rain", jobs=1).run()
    made, found = summed(tmp_path / "hsp.nc", tmp_path / "d")
    assert made.notes == []
    assert found == summed(path, tmp_path / "e", window=WINDOW)[1]
    depth, _count, tags = read(tmp_path / "d" / "202206" / "09" / "rain_1h_202206091100.tif")
    assert (tags["RAIN_LAW"], depth[0, 0]) == ("as observed", 0.5)  # 6 mm/h x 1/12 h


def test_what_was_left_out_as_dry_is_said(frames: Path, tmp_path: Path) -> None:
    wet = tmp_path / "wet.zarr"
    hsrgeo.make_cube(frames, wet, window=(366, 620, 64, 48), min_wet=0.3, jobs=1).run()
    made, _found = summed(wet, tmp_path / "a")
    assert made.notes[0] == f"{wet} has wet frames only (min_wet 0.3): the others count as missing"
    # Echo begins at column 400 + 3 n of frame n: 30 - 3 n of the 64 columns have it, 30 % in the first four.
    assert made.counts == {"ok": 4}


def test_the_layout_series_is_read_in_blocks(expected: dict[str, bytes], cube: Cube, tmp_path: Path) -> None:
    blocks: list[slice] = []
    read_one = OpenCube.read

    def noted(self: OpenCube, times: slice, rows: slice, cols: slice) -> Any:
        blocks.append(times)
        return read_one(self, times, rows, cols)

    with (
        patch.object(OpenCube, "read", noted),
        patch("hsrgeo.engine.accumulate.sources._MOST_BYTES", 5 * WINDOW[2] * WINDOW[3] * 2),
    ):
        assert summed(cube(values="raw", layout="series"), tmp_path / "a", **ROLLING)[1] == expected
    assert blocks == [slice(0, 5), slice(5, 10), slice(10, 12)]  # 12 times, and 5 fit


def test_a_time_that_is_lost_fails_alone(cube: Cube, tmp_path: Path) -> None:
    made = tmp_path / "c.zarr"
    shutil.copytree(cube(), made)
    (made / "equivalent_reflectivity_factor" / "c" / "3" / "0" / "0").unlink()
    run = hsrgeo.accumulate(made, tmp_path / "a", jobs=1)
    failed = [outcome for outcome in run if outcome.status == "failed"]
    assert [(outcome.source, outcome.member) for outcome in failed] == [(str(made), "2022-06-09T02:15:00Z")]
    assert run.counts == {"ok": COUNT - 2, "failed": 1}


def test_what_is_for_frames_is_refused(cube: Cube, frames: Path, tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(b"")
    bad: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (cube(), {"block": 2}, OptionsError, "what an export or a cube contains was fixed when it was made"),
        (cube(), {"max_height": 1000.0}, OptionsError, "are for frames"),
        (cube(), {"despeckle": 4}, OptionsError, "give them where the export or cube is made"),
        (cube(), {"registration": "corner"}, OptionsError, "registration is for frames"),
        (cube(), {"region": "seoul"}, OptionsError, "a cube has one area"),
        (cube(), {"product": "HSP"}, OptionsError, "product HSP: .* contains HSR"),
        ([cube(), frames], {}, OptionsError, "read on its own"),
        (tmp_path / "a.nc", {}, SourceError, "cannot be opened as a cube"),
        (tmp_path / "no.zarr", {}, SourceError, "no.zarr"),
    ]
    for source, options, error, text in bad:
        with pytest.raises(error, match=text):
            hsrgeo.accumulate(source, tmp_path / "o", **options)
    assert not (tmp_path / "o").exists()


def test_a_frame_of_a_reference_that_is_gone_fails_alone_in_every_command(frames: Path, tmp_path: Path) -> None:
    shutil.copytree(frames, tmp_path / "frames")
    made = tmp_path / "r.json"
    hsrgeo.make_cube(tmp_path / "frames", made, virtual=True, jobs=1, window=WINDOW).run()
    (tmp_path / "frames" / frame_name(HOUR + 3 * FRAME_STEP)).unlink()
    lon, lat = hsrgeo.open_frame(frames / frame_name(HOUR)).grid.lonlat(*WINDOW[1::-1])
    for run in (
        hsrgeo.accumulate(made, tmp_path / "a", jobs=1),
        hsrgeo.stats(made, tmp_path / "s.csv", jobs=1),
        hsrgeo.series(made, tmp_path / "p.csv", points={"corner": (lon, lat)}, jobs=1),
    ):
        failed = [outcome.member for outcome in run if outcome.status == "failed"]
        assert failed == ["2022-06-09T02:15:00Z"]  # 11:15 KST, of 11:00 to 12:00
        assert run.counts == {"ok": COUNT - 2, "failed": 1}
