"""Exports that are more than cut: rain, other projections, both, through the whole run and the whole of verify."""

from __future__ import annotations

import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import hsrgeo
from hsrgeo.errors import ManifestError, OptionsError
from hsrgeo.outputs.kept_recipe import kept_recipe
from hsrgeo.outputs.recipe import recipe_from_json
from hsrgeo.writers import readback
from tests.conftest import NX, NY, TIME, MakeFile, frame_name
from tests.other_gdal import gdal_lonlat, gdalinfo, needs_gdal

BOX = (126.0, 36.0, 128.0, 37.5)
WAYS: dict[str, dict[str, Any]] = {
    "rain": {"quantity": "rain"},
    "rain by another law": {"quantity": "rain", "zr": (300, 1.4)},
    "another projection": {"crs": "EPSG:5179"},
    "another projection, raw": {"crs": "EPSG:3857", "values": "raw"},
    "degrees": {"crs": "EPSG:4326", "resolution": 0.01},
    "degrees that are no round number": {"crs": "EPSG:4326", "resolution": 1 / 30},
    "degrees as chosen": {"crs": "EPSG:4326"},
    "mean rain in another projection": {"quantity": "rain", "crs": "EPSG:5179", "resampling": "average"},
    "highest echo of larger cells": {"crs": "EPSG:5179", "resolution": 4000, "resampling": "max"},
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, make_file: MakeFile) -> Path:
    """Two frames of the small grid."""
    folder = tmp_path_factory.mktemp("frames")
    for time in (TIME, TIME + timedelta(minutes=5)):
        (folder / frame_name(time)).write_bytes(make_file(time=time))
    return folder


def exported(source: Path, out: Path, **options: Any) -> Path:
    options = {"bbox": BOX, "jobs": 1, **options}
    assert [one.status for one in hsrgeo.export(source, out, hsrgeo.ExportOptions(**options))] == ["ok", "ok"]
    return out


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_verify_finds_no_difference(source: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    exported(source, tmp_path, **options)
    assert list(hsrgeo.verify(tmp_path, source, jobs=1)) == []
    kept = kept_recipe(tmp_path)
    assert kept is not None
    assert recipe_from_json(kept) == hsrgeo.ExportOptions(bbox=BOX, **options).recipe


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_several_jobs_write_the_same_bytes(source: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    one, two = (exported(source, tmp_path / str(jobs), jobs=jobs, **options) for jobs in (1, 2))
    files = sorted(path.relative_to(one) for path in one.rglob("2*.*"))
    assert len(files) == 10  # two frames: .tif, .png, .pgw, .prj, .png.aux.xml
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in files)


def test_pngs_of_hsp_as_stored_without_cogs(tmp_path: Path, make_file: MakeFile) -> None:
    """A pixel is max(stored, -1000) + 1000: 0 where the frame has -25000 (no echo), which clean makes 0 mm/h: 1000."""
    pixels = np.full((NY, NX), -25000, np.int16)
    pixels[600:, :] = 500
    (tmp_path / frame_name(product="HSP")).write_bytes(make_file(pixels, data_codes=(5,)))
    for values, dry in (("raw", 0), ("clean", 1000)):
        out = tmp_path / values
        for status in ("ok", "skipped"):
            run = hsrgeo.export(tmp_path, out, values=values, formats="png", jobs=1, product="HSP")
            assert ("values raw changes only PNGs of rain rates (HSP)" in run.notes) == (values == "raw")
            assert [one.status for one in run] == [status]
        assert list(hsrgeo.verify(out, tmp_path, jobs=1)) == []
        with rasterio.open(next(out.rglob("*.png"))) as png:
            assert np.unique(png.read(1)).tolist() == [dry, 1500]


@pytest.mark.parametrize("reader", ["osgeo", "rasterio"])
def test_pngs_alone(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str) -> None:
    if reader == "rasterio":
        monkeypatch.setattr(readback, "_osgeo", lambda: None)
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    exported(source, alone, formats="png", sidecars=False)
    exported(source, beside, formats="png")
    pngs = sorted(path.relative_to(alone) for path in alone.rglob("2*.*"))
    assert [str(path) for path in pngs] == ["202206/09/202206091115.png", "202206/09/202206091120.png"]
    assert all((alone / path).read_bytes() == (beside / path).read_bytes() for path in pngs)
    assert list(hsrgeo.verify(alone, source, jobs=1)) == []
    with pytest.raises(hsrgeo.HsrGeoError, match="sidecars: default there, False now"):
        list(hsrgeo.export(source, beside, hsrgeo.ExportOptions(bbox=BOX, formats="png", sidecars=False)))
    (alone / pngs[1]).write_bytes((alone / pngs[1]).read_bytes()[:-20])
    assert {one.path for one in hsrgeo.verify(alone, source, jobs=1)} == {str(pngs[1])}


def test_rain_is_the_law_s(source: Path, tmp_path: Path) -> None:
    exported(source, tmp_path, quantity="rain", formats="cog")
    frame = hsrgeo.open_frame(source / frame_name(TIME)).crop(bbox=BOX)
    with rasterio.open(tmp_path / "202206/09/202206091115.tif") as dataset:
        rain, tags = dataset.read(1), dataset.tags()
        assert (dataset.nodata, dataset.scales, dataset.units) == (-30000, (0.01,), ("mm/h",))
    dbz = frame.physical()
    observed = np.isfinite(dbz)
    wanted = (10 ** (frame.stored[observed] / 100 / 10) / 200) ** (1 / 1.6)  # Z = 200 R^1.6
    assert observed.sum() > 10_000
    assert np.abs(rain[observed] - 100 * wanted).max() <= 0.5 + 1e-9  # half a step
    assert (rain[np.isneginf(dbz)] == 0).all()
    assert (rain[np.isnan(dbz)] == -30000).all()
    assert (tags["RAIN_LAW"], tags["UNDETECT"], tags["QUANTITY"]) == ("Z = 200 R^1.6", "0", "rain_rate")


@needs_gdal
@pytest.mark.parametrize("crs", ["EPSG:5179", "EPSG:3857", "EPSG:4326"])
def test_a_picture_lies_where_its_cog_lies(source: Path, tmp_path: Path, crs: str) -> None:
    exported(source, tmp_path, crs=crs)
    png, cog = (tmp_path / f"202206/09/202206091115.{suffix}" for suffix in ("png", "tif"))
    corners = [(0.0, 0.0), (50.0, 0.0), (0.0, 70.0), (50.0, 70.0)]
    for (lon, lat), (cog_lon, cog_lat) in zip(gdal_lonlat(png, corners), gdal_lonlat(cog, corners), strict=True):
        assert (lon, lat) == pytest.approx((cog_lon, cog_lat), abs=1e-6)
        assert 125 < lon < 129
        assert 35 < lat < 39
    assert gdalinfo(cog)["coordinateSystem"]["wkt"].rstrip("] \n").endswith(crs.removeprefix("EPSG:"))


def test_neighbours_share_their_cells(source: Path, tmp_path: Path) -> None:
    transforms = []
    for number, box in enumerate((BOX, (127.1, 36.2, 128.3, 37.1))):
        out = exported(source, tmp_path / str(number), bbox=box, crs="EPSG:5179", formats="cog")
        with rasterio.open(out / "202206/09/202206091115.tif") as dataset:
            transforms.append(dataset.transform)
    first, second = transforms
    assert first.a == second.a
    assert (second.c - first.c) % first.a == 0
    assert (second.f - first.f) % first.a == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crs": "EPSG:99999"}, "EPSG:99999"),
        ({"resolution": 100.0}, "go with crs"),
        ({"resampling": "average"}, "go with crs"),
        ({"crs": "EPSG:5179", "resolution": -1.0}, "resolution"),
        ({"crs": "EPSG:5179", "values": "raw", "resampling": "max"}, "raw"),
        ({"quantity": "rain", "values": "raw"}, "raw"),
        ({"quantity": "snow"}, "expected one of stored, rain"),
        ({"zr": (300, 1.4)}, "quantity rain"),
        ({"quantity": "rain", "zr": (0, 1.4)}, "both positive"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        hsrgeo.ExportOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crs": "EPSG:5179", "resolution": 0.01}, "expected at most 20,000,000"),
        ({"crs": "EPSG:5179", "resolution": 9e6}, "larger than kma-hb-500m"),
        ({"crs": "+proj=gnom +lat_0=-37 +lon_0=-53"}, "no place there"),
    ],
)
def test_what_makes_nothing_is_refused_before_the_run(
    source: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionsError, match=message):
        hsrgeo.export(source, tmp_path / "out", hsrgeo.ExportOptions(bbox=BOX, **options))
    assert not (tmp_path / "out").exists()


def test_another_law_or_projection_is_another_recipe(source: Path, tmp_path: Path) -> None:
    exported(source, tmp_path, quantity="rain", formats="cog")
    for other, text in (
        ({"quantity": "rain", "zr": (300, 1.4)}, "zr: 200, 1.6 there, 300, 1.4 now"),
        ({}, "quantity: rain there, default now"),
        ({"quantity": "rain", "crs": "EPSG:5179"}, 'target: default there, {"wkt2": "[^"]*Unified CS"'),
    ):
        options = hsrgeo.ExportOptions(bbox=BOX, formats="cog", **other)
        with pytest.raises(ManifestError, match=text):
            hsrgeo.export(source, tmp_path, options)


def test_what_was_made_beside_goes_with_another_recipe(source: Path, tmp_path: Path) -> None:
    exported(source, tmp_path, quantity="rain", formats="cog")
    project, stack, catalog = (write(tmp_path) for write in (hsrgeo.write_project, stack_of, hsrgeo.write_catalog))
    exported(source, tmp_path, quantity="rain", formats="cog", overwrite=True)  # the same recipe: they still hold
    assert project.exists()
    assert stack.exists()
    assert catalog.exists()
    exported(source, tmp_path, formats="cog", overwrite=True)
    left = {path.name for path in tmp_path.iterdir()} | {path.name for path in (tmp_path / "items").iterdir()}
    assert left == {"202206", "items", "manifest.jsonl", "options.json"}


def test_a_law_is_no_use_for_a_project_of_rain(source: Path, tmp_path: Path) -> None:
    exported(source, tmp_path, quantity="rain", zr=(300, 1.4), formats="cog")
    with pytest.raises(OptionsError, match="contains no reflectivity: zr does not apply"):
        hsrgeo.write_project(tmp_path, law=hsrgeo.Law(300, 1.4))
    assert hsrgeo.write_project(tmp_path).exists()


def test_a_project_that_somebody_worked_on_stays(source: Path, tmp_path: Path) -> None:
    exported(source, tmp_path, quantity="rain", formats="cog")
    project = hsrgeo.write_project(tmp_path)
    with zipfile.ZipFile(project, "a") as saved:
        saved.comment = b""
    exported(source, tmp_path, formats="cog", overwrite=True)
    assert project.exists()


def stack_of(out: Path) -> Path:
    (path,) = hsrgeo.write_stacks(out)
    return path


def test_a_frame_that_is_no_rain_fails_alone(source: Path, tmp_path: Path, make_file: MakeFile) -> None:
    height = frame_name(TIME + timedelta(minutes=10))
    (tmp_path / height).write_bytes(make_file(time=TIME + timedelta(minutes=10), data_codes=(2,)))
    options = hsrgeo.ExportOptions(bbox=BOX, quantity="rain", jobs=1)
    outcomes = list(hsrgeo.export([source, tmp_path / height], tmp_path / "out", options))
    assert [one.status for one in outcomes] == ["ok", "ok", "failed"]
    assert "no rain: expected reflectivity or rain rate, found height" in str(outcomes[-1].error)
