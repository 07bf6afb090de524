"""Files of several blocks: one of them by name, all of them, and cells masked by height and radar."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.model.file_blocks import MaskedBlock, as_block, block_from_json, block_to_json
from tests.conftest import NX, NY, MakeFile, frame_name

BOX = (0, 0, 4, 2)
RAIN = [[-30000, -25000, 100, 200], [300, 400, 500, 15000]]
HEIGHT = [[-30000, 500, 1000, 3000], [3001, 12776, -25000, 70]]
STATION = [[-30000, 1, 1, 2], [3, 2, 1, 2]]  # KWK, GDK, BRI in the headers of conftest


@pytest.fixture
def source(tmp_path: Path, make_file: MakeFile) -> Path:
    def block(values: list[list[int]]) -> Any:
        pixels = np.full((NY, NX), -30000, np.int16)
        pixels[:2, :4] = values
        return pixels

    path = tmp_path / frame_name(product="HSP", kind="EXT")
    path.write_bytes(make_file(block(RAIN), block(HEIGHT), block(STATION), data_codes=(5, 2, 3)))
    return path


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.output


def values(frame: hsrgeo.Frame) -> list[list[int]]:
    pixels: list[list[int]] = frame.crop(window=BOX).stored.tolist()
    return pixels


def test_a_block_by_name_or_number(source: Path) -> None:
    assert values(hsrgeo.open_frame(source, block="height")) == values(hsrgeo.open_frame(source, block=2)) == HEIGHT
    assert hsrgeo.open_frame(source, block="rain_rate").block == 1
    assert hsrgeo.open_frame(source, block="3").quantity.name == "station"
    with pytest.raises(FrameError, match="expected a block of count, found rain_rate, height, station in the file"):
        hsrgeo.open_frame(source, block="count")
    with pytest.raises(FrameError, match="expected block 4, found 3 in the file"):
        hsrgeo.open_frame(source, block=4)


@pytest.mark.parametrize(
    ("block", "max_height", "stations", "message"),
    [
        ("heights", None, (), "block 'heights': expected a number, or one of reflectivity, height"),
        ("all", None, (), "block 'all': expected"),
        (0, None, (), "counted from 1"),
        ("0", None, (), "counted from 1"),
        (1.5, None, (), "whole number"),
        (1, 0, (), "max_height 0: expected metres"),
        (1, float("nan"), (), "max_height nan"),
        (1, None, "kwk", "station 'kwk': expected a code such as KWK"),
        (1, None, ["KWK", ""], "station ''"),
    ],
)
def test_what_is_no_block(block: Any, max_height: Any, stations: Any, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        as_block(block, max_height, stations)


def test_a_block_survives_json() -> None:
    for block in (2, "height", "all", MaskedBlock("rain_rate", 3000, ("KWK",)), MaskedBlock(1, None, ("KWK", "GDK"))):
        assert block_from_json(json.loads(json.dumps(block_to_json(block)))) == block
    for wrong in (True, 0, None, 1.5, {"block": 1}, [1]):
        with pytest.raises((OptionsError, TypeError, KeyError)):
            block_from_json(wrong)


def test_height_and_radar_mask_what_is_not_wanted(source: Path) -> None:
    low = hsrgeo.open_frame(source, max_height=3000)
    assert values(low) == [[-30000, -25000, 100, 200], [-30000, -30000, -30000, 15000]]
    assert dict(low.derived) == {"MAX_HEIGHT_M": "3000", "COUNT_MASKED": "3"}
    two = hsrgeo.open_frame(source, stations=["GDK", "BRI"])
    assert values(two) == [[-30000, -30000, -30000, 200], [300, 400, -30000, 15000]]
    both = hsrgeo.open_frame(source, block="height", max_height=3000, stations="GDK,BRI")
    assert values(both) == [[-30000, -30000, -30000, 3000], [-30000, -30000, -30000, 70]]
    with pytest.raises(FrameError, match="stations: expected one of PSN, found KWK, GDK, BRI"):
        hsrgeo.open_frame(source, stations="PSN")


def test_a_file_without_heights_is_not_masked_by_them(tmp_path: Path, frame_file: bytes) -> None:
    (tmp_path / frame_name()).write_bytes(frame_file)
    with pytest.raises(FrameError, match="expected a block of height, found reflectivity in the file"):
        hsrgeo.open_frame(tmp_path / frame_name(), max_height=3000)


def test_one_file_a_block(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["export", source, "--window", *BOX, "--quantity", "rain", "--block", "all", "--out", out, "--jobs", 1]
    run(*command, "--format", "cog", "--json")
    folder = out / "202206/09"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"202206091115{block}.tif" for block in (".height", ".station", "")
    ]
    pixels = {}
    for block in ("", ".height", ".station"):
        with rasterio.open(folder / f"202206091115{block}.tif") as dataset:
            pixels[block] = dataset.read(1).tolist()
            tags = dataset.tags()
    assert pixels == {
        "": [[-30000, 0, 100, 200], [300, 400, 500, 15000]],
        ".height": [[-30000, 500, 1000, 3000], [3001, 12776, -25000, 70]],
        ".station": STATION,
    }
    assert tags["CATEGORIES"] == "1=KWK,2=GDK,3=BRI"
    assert "1 there already" in run(*command, "--format", "cog")
    assert "3 files of 1 frame compared, 0 differences" in run("verify", out, "--against", source)
    height = (folder / "202206091115.height.tif").read_bytes()
    (folder / "202206091115.height.tif").write_bytes((folder / "202206091115.station.tif").read_bytes())
    done = CliRunner().invoke(app, ["verify", str(out), "--against", str(source)])
    assert "202206091115.height.tif: pixels" in done.output
    (folder / "202206091115.height.tif").write_bytes(height)
    run("export", source, "--window", *BOX, "--out", out, "--jobs", 1, "--format", "cog", "--overwrite", "--json")
    assert [path.name for path in folder.iterdir()] == ["202206091115.tif"]


def test_masks_of_an_export_are_verified(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--window", *BOX, "--max-height", "3000", "--stations", "KWK,GDK", "--format", "cog", "--jobs", 1)
    run("export", source, *options, "--out", out, "--json")
    with rasterio.open(out / "202206/09/202206091115.tif") as dataset:
        assert dataset.read(1).tolist() == [[-30000, 0, 100, 200], [-30000, -30000, -30000, 15000]]
        tags = dataset.tags()
    assert (tags["MAX_HEIGHT_M"], tags["ONLY_STATIONS"], tags["COUNT_MASKED"]) == ("3000", "KWK,GDK", "3")
    assert "0 differences" in run("verify", out, "--against", source)


def test_every_block_is_a_variable(source: Path) -> None:
    opened = hsrgeo.open(source, window=BOX, block="all", chunks=None)
    assert set(opened.data_vars) == {"rain_rate", "height", "station"}
    np.testing.assert_array_equal(opened.rain_rate[0, 1], [3, 4, 5, 150])
    np.testing.assert_array_equal(opened.station[0, 0, 1:], [1, 1, 2])
    masked = hsrgeo.open(source, window=BOX, block="all", max_height=3000, chunks=None)
    assert int(masked.height.notnull().sum()) == 4
    assert int(masked.rain_rate.notnull().sum()) == 4


def test_sums_and_series_count_masked_cells_as_not_observed(source: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    grid = hsrgeo.open_frame(source).grid
    (lon,), (lat,) = (degrees.tolist() for degrees in grid.lonlat([1], [0]))  # 3 mm/h, seen from 3,001 m by BRI
    points.write_text(f"name,lon,lat\nhere,{lon},{lat}\n", encoding="utf-8")
    tables = {}
    for name, mask in (("all", ()), ("low", ("--stations", "KWK,GDK"))):
        out = tmp_path / f"{name}.csv"
        run("series", source, "--points", points, *mask, "--out", out, "--jobs", 1)
        with out.open(encoding="utf-8-sig", newline="") as file:
            (tables[name],) = csv.DictReader(file)
    rates = {name: row["rain_mm_h"] for name, row in tables.items()}
    assert rates == {"all": "3", "low": ""}  # the cell is BRI's: not observed, and not dry
    totals = {}
    for name, mask in (("all", ()), ("low", ("--max-height", "3000"))):
        run("accumulate", source, "--window", *BOX, "--period", "1h", *mask, "--out", tmp_path / name, "--jobs", 1)
        with rasterio.open(next((tmp_path / name).rglob("*.tif"))) as dataset:
            totals[name] = dataset.read()
    # 3 mm/h for five minutes are 0.25 mm; where nothing was observed there is no sum, and no frame is counted.
    assert totals["all"][0, 1, 0] == 25
    assert totals["low"][0, 1, 0] == -30000
    made = tmp_path / "export"
    hsrgeo.export(source, made, window=BOX, formats="cog", jobs=1).run()
    with pytest.raises(OptionsError, match="are for frames"):
        hsrgeo.series(made, tmp_path / "x.csv", points=points, jobs=1, max_height=3000).run()


def test_what_cannot_have_every_block() -> None:
    with pytest.raises(OptionsError, match="block all: a cube has one variable"):
        hsrgeo.CubeOptions(frames=hsrgeo.ExportOptions(block="all"))
    with pytest.raises(OptionsError, match="odim has no quantity"):
        hsrgeo.ExportOptions(block="all", formats="odim")
    for kind in (hsrgeo.AccumulateOptions, hsrgeo.SeriesOptions):
        with pytest.raises(OptionsError, match="block 'all': expected"):
            kind(block="all")


@pytest.mark.usefixtures("source")
def test_two_kinds_of_one_time_are_no_duplicates(tmp_path: Path, make_file: MakeFile) -> None:
    other = tmp_path / frame_name(product="HSP", kind="KMA")
    other.write_bytes(make_file(data_codes=(5, 2, 3)))
    with pytest.warns(hsrgeo.HsrGeoWarning, match="comes again: choose a kind"):
        assert len(list(hsrgeo.iter_frames(tmp_path))) == 2
    assert [frame.kind for frame in hsrgeo.iter_frames(tmp_path, kind="KMA")] == ["KMA"]
    outcomes = list(hsrgeo.export(tmp_path, tmp_path / "out", formats="cog", name="{kind}/{time:%H%M}", jobs=1))
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"]


def test_the_real_file(samples: Path, tmp_path: Path) -> None:
    real = samples / "RDR_CMP_HSP_EXT_202208081730.bin.gz"
    if not real.exists():
        pytest.skip("no real file")
    named_otherwise = tmp_path / "x.bin.gz"
    named_otherwise.write_bytes(real.read_bytes())
    for path in (real, named_otherwise):
        frame = hsrgeo.open_frame(path)
        cells = frame.cells
        assert (cells.nodata, cells.undetect, cells.echo, cells.blend) == (4_019_049, 2_369_161, 252_495, 0)
        assert (frame.product, frame.quantity.name, frame.quantity.unit) == ("HSP", "rain_rate", "mm/h")
        assert (frame.capped, frame.statistics.maximum, frame.notes) == (60, 150.0, ())
        height = hsrgeo.open_frame(path, block="height")
        assert (height.statistics.minimum, height.statistics.maximum) == (70, 12_776)
        station = hsrgeo.open_frame(path, block="station")
        assert sorted(np.unique(station.stored).tolist()) == [-30000, *range(1, 10)]
        codes = [one.code for one in station.header.stations]
        assert codes == ["BRI", "KWK", "GDK", "GNG", "KSN", "JNI", "MYN", "PSN", "GSN"]
    low = hsrgeo.open_frame(real, max_height=3000)
    assert low.cells.nodata == 4_019_049 + np.count_nonzero(height.stored > 3000)
    with pytest.raises(OptionsError):
        hsrgeo.open_frame(real, max_height=-1)
    assert "60 cells at 150.00 mm/h" in run("info", real)
