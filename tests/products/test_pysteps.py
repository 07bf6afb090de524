"""The importer of pysteps: by its interface here, and with pysteps itself where that is installed."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pyproj
import pytest

import hsrgeo
from hsrgeo.model.times import KST
from hsrgeo.products.pysteps import import_kma
from tests.conftest import TIME, MakeFile, Pixels, frame_name

NEEDED = {
    *("projection", "x1", "y1", "x2", "y2", "xpixelsize", "ypixelsize", "cartesian_unit", "yorigin", "institution"),
    *("unit", "transform", "accutime", "threshold", "zerovalue", "zr_a", "zr_b"),
}
"""pysteps.io.importers, "The metadata dictionary contains the following mandatory key-value pairs"."""


@pytest.fixture
def hour(tmp_path: Path, make_file: MakeFile, pixels: Pixels) -> Path:
    for step in range(3):
        moved = pixels.copy()
        moved[500:900] = np.roll(pixels[500:900], 4 * step, axis=1)
        time = TIME + timedelta(minutes=5 * step)
        (tmp_path / frame_name(time)).write_bytes(make_file(moved, time=time))
    return tmp_path


def test_the_importer_is_found_under_its_name() -> None:
    (entry,) = entry_points(group="pysteps.plugins.importers", name="kma")
    assert entry.load() is import_kma
    assert import_kma.__name__ == "import_kma"
    assert "{extra_kwargs_doc}" in str(import_kma.__doc__)
    assert str(import_kma.__doc__).format_map({"extra_kwargs_doc": "x"})


def test_it_returns_what_pysteps_describes(hour: Path) -> None:
    path = hour / frame_name()
    field, quality, metadata = import_kma(str(path), dtype="float32")
    frame = hsrgeo.rain_frame(hsrgeo.open_frame(path))
    np.testing.assert_array_equal(field, frame.physical())
    assert quality is None
    assert metadata.keys() >= NEEDED
    assert (metadata["x1"], metadata["y1"], metadata["x2"], metadata["y2"]) == frame.bounds
    assert (metadata["unit"], metadata["zerovalue"], metadata["yorigin"]) == ("mm/h", 0.0, "upper")
    assert np.nanmin(field) == 0.0
    x, y = pyproj.Proj(metadata["projection"])(*frame.grid.lonlat(0, 0))
    assert (x, y) == pytest.approx(frame.grid.xy(0, 0), abs=1e-3)
    part, _, metadata = import_kma(str(path), bbox=(126.7, 37.4, 127.2, 37.7), zr=(300, 1.4))
    assert part.shape == frame.crop(bbox=(126.7, 37.4, 127.2, 37.7)).shape
    assert (metadata["zr_a"], metadata["zr_b"]) == (300.0, 1.4)


def test_the_step_is_that_of_the_year(tmp_path: Path, make_file: MakeFile, pixels: Pixels) -> None:
    """Frames of before 16 September 2019 stand for ten minutes: pysteps makes depths by ``accutime``."""
    for time, minutes in ((datetime(2018, 8, 28, 10, tzinfo=KST), 10.0), (TIME, 5.0)):
        path = tmp_path / frame_name(time)
        path.write_bytes(make_file(pixels, time=time))
        assert import_kma(str(path))[2]["accutime"] == minutes


@pytest.mark.filterwarnings("default")
def test_pysteps_reads_frames_and_odim(hour: Path, tmp_path: Path) -> None:
    pysteps = pytest.importorskip("pysteps")
    importer = pysteps.io.get_method("kma", "importer")
    end = (TIME + timedelta(minutes=10)).replace(tzinfo=None)
    files = pysteps.io.find_by_date(end, str(hour), "", "RDR_CMP_HSR_PUB_%Y%m%d%H%M", "bin.gz", 5, 2)
    rain, _, metadata = pysteps.io.read_timeseries(files, importer)
    assert rain.shape == (3, 1441, 1153)
    assert (rain.dtype, metadata["zerovalue"]) == (np.float32, 0.0)

    frame = hsrgeo.rain_frame(hsrgeo.open_frame(files[0][-1]))
    odim = frame.to_odim(tmp_path / "x.h5")
    field, _, facts = pysteps.io.importers.import_odim_hdf5(str(odim), qty="RATE", accutime=5.0)
    np.testing.assert_allclose(field, frame.physical(), atol=1e-5)
    assert facts["zerovalue"] == 0.0
    corners = [facts[name] for name in ("x1", "y1", "x2", "y2")]
    assert corners == pytest.approx(frame.bounds, abs=1e-2)

    moved = pysteps.nowcasts.get_method("extrapolation")(rain[-1], np.full((2, 1441, 1153), 2.0), 3)
    for step, values in enumerate(moved, 1):
        made = hsrgeo.frame(values, frame, time=frame.time + timedelta(minutes=5 * step))
        assert made.to_cog(tmp_path / f"{step}.tif").exists()
