"""What `hsrgeo.open` gives of a cube can be written again, cut or not, in either Zarr format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hsrgeo
from hsrgeo.engine.cube.cube_options import CubeOptions
from hsrgeo.engine.cube.cube_run import make_cube
from hsrgeo.engine.export_options import ExportOptions

xr = pytest.importorskip("xarray")
pytest.importorskip("zarr")
FRAMES = Path(__file__).parents[2] / "examples" / "frames"


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cubes")
    frames = ExportOptions(window=(1000, 1300, 340, 330), jobs=1)
    made = {}
    options: dict[str, dict[str, Any]] = {
        "map": {"layout": "map"},
        "series": {"layout": "series"},
        "both": {"layout": "both"},
        "v2": {"zarr_format": 2},
    }
    for name, words in options.items():
        made[name] = folder / f"{name}.zarr"
        list(make_cube(FRAMES, made[name], CubeOptions(frames=frames, **words)))
    return made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("bounds", [None, (240, 250, 90, 75)], ids=["whole", "cut"])  # across chunks of 256 and 320
@pytest.mark.parametrize(("name", "layout"), [("map", None), ("series", None), ("both", "series"), ("v2", None)])
def test_a_cube_can_be_written_again(
    cubes: dict[str, Path], tmp_path: Path, name: str, layout: str | None, bounds: Any, zarr_format: int
) -> None:
    opened = hsrgeo.open(cubes[name], layout=layout, window=bounds)
    opened.to_zarr(tmp_path / "again.zarr", zarr_format=zarr_format)
    with xr.open_zarr(tmp_path / "again.zarr") as again:
        [values] = again.data_vars
        # xarray itself unpacks to doubles; the nearest float32 is what `hsrgeo.open` gives.
        xr.testing.assert_equal(again.load().assign({values: again[values].astype("float32")}), opened.load())
        assert again[values].encoding["dtype"] == "int16"  # packed as before
        assert again[values].notnull().any()
