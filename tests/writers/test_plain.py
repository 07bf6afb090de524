"""Physical values for programs that know no scale and no codes: COGs of float32, and ESRI's ASCII grid."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.errors import OptionsError
from hsrgeo.outputs.recipe import recipe_from_json
from tests.conftest import NX, NY, MakeFile, frame_name

BOX = (0, 0, 130, 140)
STORED = [-30000, -27000, -25000, -22187, -1234, 0, 3500]
DBZ = [np.nan, np.nan, -250, -250, -12.34, 0, 35]
RAIN = [np.nan, np.nan, 0, 0, 0.01, 0.04, 5.62]  # Z = 200 R^1.6: 0.0062, 0.0365 and 5.6153 mm/h, in steps of 0.01
STEM = "202206/09/202206091115"


@pytest.fixture
def source(tmp_path: Path, make_file: MakeFile) -> Path:
    pixels = np.full((NY, NX), -30000, np.int16)
    pixels[0, : len(STORED)] = STORED
    path = tmp_path / frame_name()
    path.write_bytes(make_file(pixels))
    return path


def export(source: Path, out: Path, **options: Any) -> Path:
    (outcome,) = list(hsrgeo.export(source, out, window=BOX, jobs=1, **options))
    assert outcome.status == "ok"
    return out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, DBZ),
        ({"quantity": "rain"}, RAIN),
        ({"undetect": float("nan")}, [np.nan if value == -250 else value for value in DBZ]),
        ({"undetect": -32.0}, [-32 if value == -250 else value for value in DBZ]),
        ({"quantity": "rain", "undetect": -1}, [-1 if value == 0 else value for value in RAIN]),
    ],
)
def test_values_and_their_verification(source: Path, tmp_path: Path, options: dict[str, Any], expected: Any) -> None:
    out = export(source, tmp_path / "out", formats=("float32", "asc"), **options)
    with rasterio.open(out / f"{STEM}.float32.tif") as dataset:
        assert (dataset.dtypes, str(dataset.nodata)) == (("float32",), "nan")
        np.testing.assert_array_equal(dataset.read(1)[0, : len(STORED)], np.array(expected, np.float32))
        assert dataset.transform == hsrgeo.open_frame(source).transform
        tags = dataset.tags()
    assert (tags["VALUES"], tags["TIME_START_UTC"]) == ("physical", "2022-06-09T02:15:00Z")
    assert "NODATA" not in tags
    rows = (out / f"{STEM}.asc").read_text(encoding="ascii").splitlines()
    words = ["-9999" if np.isnan(value) else f"{value:.2f}" for value in expected]
    assert rows[6].split()[: len(STORED)] == words
    assert not list(hsrgeo.verify(out, [source]))


def test_the_head_of_an_ascii_grid(source: Path, tmp_path: Path) -> None:
    out = export(source, tmp_path / "out", formats="asc")
    lines = (out / f"{STEM}.asc").read_text(encoding="ascii").splitlines()
    left, bottom, _right, _top = hsrgeo.open_frame(source).crop(window=BOX).bounds
    assert lines[:6] == [
        *("ncols 130", "nrows 140", f"xllcorner {left:.0f}", f"yllcorner {bottom:.0f}"),
        *("cellsize 1000", "NODATA_value -9999"),
    ]
    assert len(lines) == 6 + 140
    assert (out / f"{STEM}.prj").read_text().startswith("PROJCS")
    assert not (export(source, tmp_path / "bare", formats="asc", sidecars=False) / f"{STEM}.prj").exists()
    assert not list(hsrgeo.verify(tmp_path / "bare", [source]))


@pytest.mark.skipif(shutil.which("gdallocationinfo") is None, reason="no gdal-bin")
def test_debians_gdal_reads_the_ascii_grid(source: Path, tmp_path: Path) -> None:
    out = export(source, tmp_path / "out", formats=("asc", "png"), quantity="rain")
    command = ["gdallocationinfo", "-valonly", str(out / f"{STEM}.asc"), "6", "0"]
    assert float(subprocess.run(command, capture_output=True, check=True).stdout) == pytest.approx(5.62)
    lon, lat = (float(degrees) for degrees in hsrgeo.open_frame(source).grid.lonlat(0, 6))
    command = ["gdallocationinfo", "-valonly", "-wgs84", str(out / f"{STEM}.asc"), str(lon), str(lat)]
    assert float(subprocess.run(command, capture_output=True, check=True).stdout) == pytest.approx(5.62)


def test_the_cog_is_one_and_always_the_same(source: Path, tmp_path: Path) -> None:
    for compress in ("deflate", "zstd", "none"):
        one, other = (
            export(source, tmp_path / name / compress, formats="float32", compress=compress) / f"{STEM}.float32.tif"
            for name in "ab"
        )
        assert one.read_bytes() == other.read_bytes()
        assert cog_validate(one)[0]


def test_what_changed_is_found(source: Path, tmp_path: Path) -> None:
    out = export(source, tmp_path / "out", formats=("float32", "asc"))
    path = out / f"{STEM}.asc"
    text = path.read_text(encoding="ascii")
    for changed, message in (
        (text.replace("35.00", "36.00"), "pixels, 1 of 18,200 differ, the first in row 0, column 6"),
        (text.replace("cellsize 1000", "cellsize 500"), "cellsize: expected 1000.0, found 500.0"),
        (text[:-20], "rows: expected 140 of 130 numbers"),
        ("\0" * 10, "rows: expected 140 of 130 numbers"),
    ):
        path.write_text(changed, encoding="ascii")
        done = CliRunner().invoke(app, ["verify", str(out), "--against", str(source)])
        assert done.exit_code == 1
        assert message in done.output


def test_an_option_for_other_formats_is_refused(source: Path, tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [{"undetect": 0.0}, {"undetect": float("inf"), "formats": "asc"}]
    for options in wrong:
        with pytest.raises(OptionsError, match="undetect is a number or nan"):
            hsrgeo.ExportOptions(**options)
    for undetect in (-1.0, float("nan")):
        kept = hsrgeo.ExportOptions(formats="asc", undetect=undetect).recipe.as_json()
        assert str(recipe_from_json(kept).undetect) == str(undetect)
    out = export(source, tmp_path / "out", formats="float32")
    done = CliRunner().invoke(app, ["qgis", str(out)])
    assert done.exit_code == 2
    assert "only COGs are read: export the frames to another folder, hsrgeo export SOURCE --format cog" in done.output
