"""GeoZarr's attributes place a cube by themselves, in a library that is none of hsrgeo's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest

import hsrgeo
from hsrgeo.model.grid_catalog import grids

xr = pytest.importorskip("xarray")
pytest.importorskip("zarr")
FRAMES = Path(__file__).parents[2] / "examples" / "frames"
WINDOW = (1000, 1300, 70, 40)


def opened(tmp_path: Path, **options: Any) -> Any:
    out = tmp_path / ("cube.json" if options.get("virtual") else "cube.zarr")
    hsrgeo.make_cube(next(FRAMES.glob("*.gz")), out, jobs=1, **options).run()
    if options.get("virtual"):
        return xr.open_dataset(str(out), engine="kerchunk")
    return xr.open_zarr(out, group="series" if options.get("layout") == "both" else None)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # rasterix multiplies as affine 2 did
@pytest.mark.parametrize(
    "options",
    [{"layout": "both"}, {"zarr_format": 2}, {"virtual": True}, {"crs": "EPSG:5179", "resolution": 500.0}],
    ids=str,
)
def test_a_viewer_places_a_cube_by_its_attributes_alone(tmp_path: Path, options: dict[str, Any]) -> None:
    rasterix = pytest.importorskip("rasterix")
    cube = opened(tmp_path, window=WINDOW, **options)
    bare = cube[["equivalent_reflectivity_factor"]].drop_vars(list(cube.coords))
    bare["equivalent_reflectivity_factor"].attrs.clear()
    placed = rasterix.assign_index(bare)
    assert np.array_equal(placed.x, cube.x)
    assert np.array_equal(placed.y, cube.y)
    degrees = pyproj.Transformer.from_crs(placed.xindexes["x"].crs, "EPSG:4326", always_xy=True)
    for row in (0, -1):
        for col in (0, -1):
            lon, lat = degrees.transform(float(placed.x[col]), float(placed.y[row]))
            assert (lon, lat) == pytest.approx((float(cube.lon[row, col]), float(cube.lat[row, col])), abs=1e-6)


def test_what_the_attributes_say(tmp_path: Path) -> None:
    attrs = opened(tmp_path, window=WINDOW).attrs
    grid = next(grid for grid in grids().values() if grid.width == 2305)
    left, top = grid.transform.c + 500 * 1000, grid.transform.f - 500 * 1300
    assert attrs["spatial:transform"] == [500, 0, left, 0, -500, top]
    assert attrs["spatial:bbox"] == [left, top - 40 * 500, left + 70 * 500, top]
    assert (attrs["spatial:shape"], attrs["spatial:dimensions"]) == ([40, 70], ["y", "x"])
    assert pyproj.CRS(attrs["proj:wkt2"]) == pyproj.CRS(json.dumps(attrs["proj:projjson"])) == grid.crs
    assert "id" not in attrs["proj:projjson"]["base_crs"]  # OpenLayers would take it for the code of the whole
    assert [one["name"] for one in attrs["zarr_conventions"]] == ["proj", "spatial"]
    assert opened(tmp_path / "other", window=WINDOW, crs="EPSG:5179").attrs["proj:projjson"]["id"]["code"] == 5179


@pytest.mark.filterwarnings("ignore:endian-ness of dtype")  # of netCDF4, by xarray's way of writing
def test_an_opened_cube_has_none_of_them(tmp_path: Path) -> None:
    """They would be wrong for a part, and NetCDF cannot hold them."""
    opened(tmp_path, window=WINDOW)
    cut = hsrgeo.open(tmp_path / "cube.zarr", window=(2, 3, 10, 10))
    assert not [name for name in cut.attrs if name.startswith(("zarr_", "proj:", "spatial:"))]
    cut.to_netcdf(tmp_path / "cut.nc")
