"""Masks of every command: a cell that does not count is nodata, never no echo, and the tags count it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

import hsrgeo
from hsrgeo.errors import ManifestError, OptionsError
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.window import Window
from hsrgeo.outputs.recipe import recipe_from_json
from hsrgeo.places.masks import read_mask
from hsrgeo.products.masks import Mask, mask_from_json, mask_part
from tests.conftest import NX, NY, TIME, MakeFile, frame_name

WINDOW = (500, 700, 8, 6)
GRID = grids()["kma-hb-1km"]
OUTSIDE = np.zeros((6, 8), bool)
OUTSIDE[:, 5:] = OUTSIDE[0] = True
"""Of the window: 18 cells of three columns and five more of the first row."""


def write_mask(path: Path, counts: NDArray[np.bool_], window: tuple[int, int, int, int]) -> Path:
    grid = GRID.crop(Window(*window))
    profile = {"driver": "GTiff", "width": grid.width, "height": grid.height, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", crs=GRID.wkt2, transform=grid.transform, **profile) as dataset:
        dataset.write(counts.astype(np.uint8), 1)
    return path


def write_box(path: Path, col: int, row: int, width: float, height: int) -> Path:
    corners = [(col, row), (col + width, row), (col + width, row + height), (col, row + height), (col, row)]
    ring = [[float(value) for value in GRID.lonlat(row - 0.5, col - 0.5)] for col, row in corners]
    feature = {
        "type": "Feature",
        "properties": {"name": "a"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a frame with echo in the western half of the window, nothing in the eastern one, and one cell not seen."""
    folder = tmp_path_factory.mktemp("in")
    pixels = np.full((NY, NX), -25000, np.int16)
    pixels[700:706, 500:504] = 3000
    pixels[700, 500] = -30000
    (folder / frame_name(TIME)).write_bytes(MakeFile()(pixels))
    return folder


@pytest.fixture(scope="module")
def mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mask(tmp_path_factory.mktemp("mask") / "mask.tif", ~OUTSIDE, WINDOW)


def exported(source: Path, out: Path, **options: Any) -> tuple[NDArray[np.int16], dict[str, str]]:
    hsrgeo.export(source, out, window=WINDOW, formats="cog", jobs=1, **options).run()
    (path,) = out.rglob("*.tif")
    with rasterio.open(path) as dataset:
        return dataset.read(1), dataset.tags()


def test_an_export_has_nodata_there_and_counts_it(source: Path, mask: Path, tmp_path: Path) -> None:
    plain, _tags = exported(source, tmp_path / "plain")
    cells, tags = exported(source, tmp_path / "out", mask=mask)
    assert np.array_equal(cells, np.where(OUTSIDE, -30000, plain))
    assert (tags["MASK"], tags["COUNT_OUTSIDE_MASK"]) == ("mask.tif", "22")  # 18 + 5, of which one was not observed
    assert (tags["COUNT_NODATA"], tags["COUNT_ECHO"], tags["COUNT_UNDETECT"]) == ("23", "20", "5")
    rain, tags = exported(source, tmp_path / "rain", mask=mask, quantity="rain")
    assert (rain[OUTSIDE] == -30000).all()  # and not 0 mm/h
    assert (rain[1:, 4] == 0).all()


def test_a_run_goes_on_with_the_same_mask_only(source: Path, mask: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(source, out, mask=mask)
    again = hsrgeo.export(source, out, window=WINDOW, formats="cog", jobs=1, mask=str(mask)).run()
    assert again.counts["skipped"] == 1
    assert list(hsrgeo.verify(out, source, jobs=1)) == []
    other = write_mask(tmp_path / "mask.tif", OUTSIDE, WINDOW)
    with pytest.raises(ManifestError, match=r"mask: mask.tif \(CRC-32 \w+\) there, mask.tif \(CRC-32 \w+\) now"):
        hsrgeo.export(source, out, window=WINDOW, formats="cog", mask=other)


def test_polygons_cut_out_and_a_projection_keeps_it(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    box = write_box(tmp_path / "box.geojson", 501, 701, 4, 3)
    cells, _tags = exported(source, tmp_path / "out", mask=box)
    assert np.argwhere(cells != -30000).tolist() == [[row, col] for row in range(1, 4) for col in range(1, 5)]
    warped, tags = exported(source, tmp_path / "warped", mask=box, crs="EPSG:5179", resampling="average")
    assert tags["MASK"] == "box.geojson"
    assert 0 < np.count_nonzero(warped != -30000) < 30  # 12 cells, turned a little
    cells, _tags = exported(source, tmp_path / "corner", mask=box, registration="corner")
    assert np.count_nonzero(cells != -30000) in range(4, 21)  # half a cell elsewhere


def test_polygons_of_a_mask_need_no_names(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    west, east = (
        json.loads(write_box(tmp_path / "box.geojson", col, 701, 2, 3).read_text())["features"][0] for col in (501, 503)
    )
    nameless = [{**west, "properties": {}}, {**east, "properties": {}}]
    same = [{**west, "properties": {"name": "a"}}, {**east, "properties": {"name": "a"}}]
    for nth, features in enumerate((nameless, same)):
        file = tmp_path / f"{nth}.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        cells, _tags = exported(source, tmp_path / f"out{nth}", mask=file)
        assert np.argwhere(cells != -30000).tolist() == [[row, col] for row in range(1, 4) for col in range(1, 5)]
    file = tmp_path / "empty.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    with pytest.raises(OptionsError, match=r"empty\.geojson: contains no polygon"):
        read_mask(file)


def test_polygons_that_overlap_count_once(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    box = json.loads(write_box(tmp_path / "box.geojson", 501, 701, 2.3, 2).read_text())["features"][0]
    kept = []
    for count in (1, 2):  # 0.3 of a cell is less than half of it, also where two polygons cover the same 0.3
        file = tmp_path / f"{count}.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "features": [box] * count}))
        cells, _tags = exported(source, tmp_path / f"out{count}", mask=file)
        kept.append(np.argwhere(cells != -30000).tolist())
    assert len(kept[0]) == 4
    assert kept[1] == kept[0]


def test_a_cube_and_an_array_have_it_too(source: Path, mask: Path, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    opened = hsrgeo.open(source, window=WINDOW, mask=mask)["reflectivity"].values[0]
    assert np.array_equal(np.isnan(opened[1:]), OUTSIDE[1:])
    kinds: list[tuple[str, dict[str, Any]]] = [("a.zarr", {}), ("a.json", {"virtual": True})]
    for out, options in kinds:
        run = hsrgeo.make_cube(source, tmp_path / out, window=WINDOW, mask=mask, jobs=1, **options).run()
        assert run.counts["ok"] == 1
        made = hsrgeo.open(tmp_path / out)["reflectivity"].values[0]
        assert np.array_equal(made, opened, equal_nan=True)
        with pytest.raises(OptionsError, match="mask and cleaning are decided when"):
            hsrgeo.open(tmp_path / out, mask=mask)


def test_a_series_counts_it_as_not_observed(source: Path, mask: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    box = write_box(tmp_path / "box.geojson", 502, 701, 4, 2)  # eight cells: two columns of echo, one dry, one masked
    rows = {}
    masks: dict[str, dict[str, Any]] = {"plain": {}, "masked": {"mask": mask}}
    for name, options in masks.items():
        run = hsrgeo.series(source, tmp_path / f"{name}.csv", polygons=box, jobs=1, **options).run()
        header, row = (tmp_path / f"{name}.csv").read_text().splitlines()
        rows[name] = dict(zip(header.split(","), row.split(","), strict=True))
    assert "cells outside the mask mask.tif count as not observed" in run.notes
    assert float(rows["plain"]["coverage"]) == pytest.approx(1)
    assert float(rows["masked"]["coverage"]) == pytest.approx(6 / 8, abs=1e-3)
    assert float(rows["plain"]["wet_fraction"]) == pytest.approx(4 / 8, abs=1e-3)
    assert float(rows["masked"]["wet_fraction"]) == pytest.approx(4 / 6, abs=1e-3)
    far = write_box(tmp_path / "far.geojson", 506, 702, 1, 1)
    with pytest.raises(OptionsError, match=r"polygon 'a' lies entirely outside the mask mask\.tif"):
        hsrgeo.series(source, tmp_path / "far.csv", polygons=far, mask=mask, jobs=1).run()


def test_cleaning_is_said_and_goes_on(source: Path, tmp_path: Path) -> None:
    options = {"min_dbz": 31, "despeckle": 3, "smooth": 1.0}
    cells, tags = exported(source, tmp_path / "out", **options)
    assert (cells[cells != -30000] == -25000).all()  # 30 dBZ is below 31
    wanted = {"MIN_DBZ": "31", "COUNT_BELOW_MIN_DBZ": "23", "COUNT_SPECKS": "0", "COUNT_SMOOTHED": "0"}
    assert {name: tags[name] for name in wanted} == wanted
    assert (tags["DESPECKLE_CELLS"], tags["SMOOTH_CELLS"]) == ("3", "1")
    assert list(hsrgeo.verify(tmp_path / "out", source, jobs=1)) == []
    with pytest.raises(ManifestError, match="cleaning"):
        hsrgeo.export(source, tmp_path / "out", window=WINDOW, formats="cog")
    with pytest.raises(OptionsError, match="values raw"):
        hsrgeo.ExportOptions(values="raw", smooth=1.0)
    run = hsrgeo.accumulate(source, tmp_path / "sum", window=WINDOW, period="event", jobs=1, min_dbz=31).run()
    with rasterio.open(str(run.written[0])) as dataset:
        assert (dataset.tags()["MIN_DBZ"], dataset.read(1).max()) == ("31", 0)
    hsrgeo.series(source, tmp_path / "a.csv", points={"a": (126.9, 37.4)}, min_dbz=31, jobs=1).run()
    with pytest.raises(OptionsError, match="are for frames"):
        hsrgeo.series(tmp_path / "out", tmp_path / "a.csv", points={"a": (126.9, 37.4)}, min_dbz=31, jobs=1).run()
    with pytest.raises(OptionsError, match="are for frames"):
        hsrgeo.accumulate(tmp_path / "out", tmp_path / "sum", min_dbz=31)


@pytest.mark.parametrize(
    ("counts", "window", "message"),
    [
        (np.ones((6, 7), bool), (500, 700, 7, 6), "does not cover the area"),
        (np.zeros((6, 8), bool), WINDOW, "no cell of kma-hb-500m or kma-hb-1km counts"),
    ],
)
def test_a_mask_that_cannot_be(tmp_path: Path, counts: NDArray[np.bool_], window: Any, message: str) -> None:
    path = write_mask(tmp_path / "a.tif", counts, window)
    with pytest.raises(OptionsError, match=message):
        hsrgeo.ExportOptions(window=WINDOW, mask=path)


@settings(max_examples=30)
@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_mask_survives_json(counts: NDArray[np.bool_]) -> None:
    grid = GRID.crop(Window(500, 700, counts.shape[1], counts.shape[0]))
    mask = Mask("a", (mask_part(grid, counts),))
    kept = mask_from_json(json.loads(json.dumps(mask.as_json())))
    assert kept == mask
    assert np.array_equal(kept.on(grid), counts)


def test_a_damaged_mask_is_no_recipe(mask: Path) -> None:
    kept = hsrgeo.ExportOptions(window=WINDOW, mask=mask).recipe.as_json()
    assert recipe_from_json(kept).as_json() == kept
    (part,) = kept["mask"]["parts"]
    for name, value in (("runs", "1 2"), ("runs", "-1 1"), ("runs", ""), ("width", 1e9), ("left", "x"), ("height", 0)):
        damaged = {**kept, "mask": {"name": "a", "parts": [{**part, name: value}]}}
        with pytest.raises(ValueError, match=r"."):
            recipe_from_json(damaged)


def test_a_raster_of_the_500_m_grid_tells_of_that_only(tmp_path: Path) -> None:
    fine: Grid = grids()["kma-hb-500m"]
    part = fine.crop(Window(1000, 1400, 4, 4))
    profile = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", crs=fine.wkt2, transform=part.transform, **profile) as dataset:
        dataset.write(np.eye(4, dtype=np.uint8), 1)
    options = hsrgeo.ExportOptions(window=(1000, 1400, 4, 4), mask=tmp_path / "a.tif")
    assert [one.grid for one in options.recipe.mask.parts] == ["kma-hb-500m"]  # type: ignore[union-attr]
    assert np.array_equal(read_mask(tmp_path / "a.tif").on(part), np.eye(4, dtype=bool))


def test_a_table_is_no_mask(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,lon,lat\n")
    with pytest.raises(
        OptionsError, match=r"a\.csv: cannot be read as a mask: expected a GeoTIFF \(\.tif\), or polygons"
    ):
        read_mask(tmp_path / "a.csv")
