"""Cubes as hsrgeo 0.1.0 wrote them: without GeoZarr's attributes, and with numbers of 64 bits.

``cubes_of_0.1.0.tar.gz`` was written by the code of 0.1.0 from the frames that `frames` makes here: ``hsr.zarr`` from
the first, third and fourth of HSR, in both layouts, ``hsp.zarr`` from the first two of HSP. Both have 8 x 8 cells.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

import hsrgeo
from hsrgeo.errors import ManifestError
from hsrgeo.model.times import FRAME_STEP
from tests.conftest import TIME, MakeFile, frame_name

pytest.importorskip("xarray")
pytest.importorskip("zarr")

WINDOW = (420, 620, 8, 8)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """Give the folder with the cubes."""
    with tarfile.open(Path(__file__).with_name("cubes_of_0.1.0.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def frames(folder: Path, make_file: MakeFile, product: str = "HSR") -> list[Path]:
    """Write five frames, one column further each."""
    paths = [folder / frame_name(TIME + number * FRAME_STEP, product=product) for number in range(5)]
    for number, path in enumerate(paths):
        pixels = np.roll(make_file.pixels, number, axis=1)
        codes = (1, 2, 3) if product == "HSR" else (5,)
        path.write_bytes(make_file(pixels, time=TIME + number * FRAME_STEP, data_codes=codes))
    return paths


def values(paths: list[Path]) -> NDArray[np.float32]:
    return np.stack([hsrgeo.open_frame(path).crop(window=WINDOW).physical(undetect=-250.0) for path in paths])


@pytest.mark.slow
def test_it_is_opened_summed_up_and_added_to(older: Path, make_file: MakeFile) -> None:
    cube, (first, second, *others) = older / "hsr.zarr", frames(older, make_file)
    there = [first, *others[:2]]
    for layout in ("map", "series"):
        opened = hsrgeo.open(cube, layout=layout)
        np.testing.assert_allclose(opened["reflectivity"], values(there), rtol=1e-6)
        assert opened["missing_times"].size == 1
    hsrgeo.accumulate(cube, older / "of_cube", jobs=1).run()
    hsrgeo.accumulate([*there], older / "of_frames", window=WINDOW, jobs=1).run()
    name = "202206/09/rain_1h_202206091100.tif"
    assert (older / "of_cube" / name).read_bytes() == (older / "of_frames" / name).read_bytes()

    added = hsrgeo.make_cube([first, second, *others], cube, layout="both", window=WINDOW, jobs=1).run()
    assert (added.built, dict(added.counts)) == (5, {"skipped": 3, "ok": 2})
    hsrgeo.make_cube([first, second, *others], older / "new.zarr", layout="both", window=WINDOW, jobs=1).run()
    for layout in ("map", "series"):
        assert hsrgeo.open(cube, layout=layout).identical(hsrgeo.open(older / "new.zarr", layout=layout))


def test_rain_that_is_dry_otherwise_is_not_mixed(older: Path, make_file: MakeFile) -> None:
    # 0.1.0 kept the code -25000 for no rain in clean frames of HSP, where 0 mm/h stands now.
    cube, paths = older / "hsp.zarr", frames(older, make_file, "HSP")
    expected = [hsrgeo.open_frame(path).crop(window=WINDOW).clean().physical() for path in paths[:2]]
    assert 0 in np.stack(expected)
    opened = hsrgeo.open(cube)["rain_rate"]
    np.testing.assert_array_equal(opened, expected)
    assert opened.attrs["undetect"] == opened.attrs["undetect_value"] == 0
    wet = hsrgeo.open(cube, undetect="nan")["rain_rate"].values
    np.testing.assert_array_equal(wet, np.where(np.equal(expected, 0), np.nan, expected))
    with pytest.raises(
        ManifestError, match=r"older hsrgeo, with -25000 for no rain, where 0 mm/h stands now: use another"
    ):
        hsrgeo.make_cube(paths, cube, window=WINDOW, jobs=1)
    assert hsrgeo.make_cube(paths, cube, window=WINDOW, jobs=1, overwrite=True).run().built == 5
    new = hsrgeo.open(cube)["rain_rate"]
    assert new.attrs == opened.attrs
    np.testing.assert_array_equal(new[:2], expected)


def test_an_export_of_rain_by_0_1_0_opens_with_dry_cells_as_0(tmp_path: Path, make_file: MakeFile) -> None:
    paths = frames(tmp_path, make_file, "HSP")[:2]
    hsrgeo.export(paths, tmp_path / "o", window=WINDOW, values="raw", jobs=1, sync=False).run()
    stored = hsrgeo.open(tmp_path / "o")["rain_rate"].values
    assert np.nanmin(stored) < 0  # as KMA stored it
    for path in (tmp_path / "o").rglob("*.tif"):
        with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
            dataset.update_tags(VALUES="clean")  # as 0.1.0 called the same values
    opened = hsrgeo.open(tmp_path / "o")["rain_rate"]
    np.testing.assert_array_equal(opened, np.where(stored < 0, np.float32(0), stored))
    assert opened.attrs["undetect"] == 0
