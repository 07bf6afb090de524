"""`hsrgeo.verify`: silent on a sound export, and a line for whatever is wrong with it.

Two ways of damage: a flipped bit, which the CRC-32 in the manifest finds wherever it is; and a wrong file that the
manifest vouches for (`forge`), which only the check that is meant for it can find.
"""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import struct
import subprocess
import sys
import tarfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile
from typer.testing import CliRunner

from hsrgeo.cli import app
from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.verify import structure
from hsrgeo.engine.verify import verify_run as verify_module
from hsrgeo.engine.verify.findings import Difference
from hsrgeo.engine.verify.verify_run import Counts, Verification, verify
from hsrgeo.errors import HsrGeoWarning, ManifestError, OptionsError, SourceError
from hsrgeo.formats.composite import decode, encode
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.header import Header, Station
from hsrgeo.model.times import KST
from hsrgeo.model.window import BBox, Window
from hsrgeo.writers.cog import encode_cog
from hsrgeo.writers.readback import Level, read_picture, reader_name

TIME = datetime(2022, 6, 9, 11, 15, tzinfo=KST)
STEM = "202206/09/202206091115"
RAIN = Window(150, 250, 300, 280)
"""Echo, undetect, nodata and blends, on two tiles of 256 at least."""
BROKEN = "RDR_CMP_HSR_PUB_202206091130.bin.gz"


def composite(
    time: datetime = TIME, *, seed: int = 1, stations: int = 3, created: timedelta = timedelta(minutes=7)
) -> bytes:
    """Return a file of the small grid with every class of value in it."""
    pixels = np.full((1441, 1153), -30000, np.int16)
    pixels[100:1300, 180:1100] = -25000
    pixels[300:900, 200:800] = np.random.default_rng(seed).integers(-3200, 6000, (600, 600))
    pixels[299, 200:800] = -28750
    pixels[298, 200:800] = -20000
    listed = tuple(Station(f"ST{order}", time, time) for order in range(stations))
    codes = (1,) + (0,) * 15
    header = Header(1, 5, time, time + created, stations, 1, 0, 1153, 1441, 1, 1000, 0, 0, 1, codes, bytes(15), listed)
    return encode(header, [pixels], level=1)


def name_of(time: datetime, kind: str = "PUB") -> str:
    return f"RDR_CMP_HSR_{kind}_{time:%Y%m%d%H%M}.bin.gz"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two good frames, a worse copy of the first and a broken one."""
    folder = tmp_path_factory.mktemp("source")
    later = TIME + timedelta(minutes=5)
    (folder / name_of(TIME)).write_bytes(composite())
    (folder / "again").mkdir()
    (folder / "again" / name_of(TIME)).write_bytes(composite(seed=2, stations=2))
    (folder / name_of(later)).write_bytes(composite(later, seed=3))
    (folder / BROKEN).write_bytes(composite(TIME + timedelta(minutes=15))[:-5000])
    return folder


def export_all(source: Path, out: Path, **options: Any) -> Path:
    for _outcome in export(source, out, ExportOptions(jobs=1, **options)):
        pass
    return out


@pytest.fixture(scope="module")
def cropped(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_all(source, tmp_path_factory.mktemp("out") / "cropped", window=RAIN)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_all(source, tmp_path_factory.mktemp("out") / "whole")


@pytest.fixture
def out(cropped: Path, tmp_path: Path) -> Path:
    """Return a copy of an export of crops, to damage."""
    return Path(shutil.copytree(cropped, tmp_path / "out"))


@pytest.fixture
def whole_out(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of an export of whole frames, which have overviews, to damage."""
    return Path(shutil.copytree(whole, tmp_path / "whole"))


def differences(out: Path, source: Path) -> list[Difference]:
    return list(verify(out, source, jobs=1))


def problems(out: Path, source: Path) -> set[str]:
    return {difference.problem for difference in differences(out, source)}


def edit_manifest(out: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit every line that has outputs or an error."""
    path = out / "manifest.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        edit(line)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def forge(out: Path, path: str, data: bytes | bytearray) -> None:
    """Replace an output, and let the manifest vouch for it."""
    (out / path).write_bytes(data)

    def vouch(line: dict[str, Any]) -> None:
        for output in line["outputs"]:
            if output["path"] == path:
                output.update(bytes=len(data), crc32=f"{zlib.crc32(data):08x}")

    edit_manifest(out, vouch)


def patch(out: Path, path: str, old: bytes, new: bytes) -> None:
    """Forge an output that differs in one place."""
    data = (out / path).read_bytes()
    assert data.count(old) == 1, f"{old!r} {data.count(old)} times"
    forge(out, path, data.replace(old, new))


def frame_of(source: Path, window: Window | None = RAIN) -> Frame:
    path = source / name_of(TIME)
    frame = decode(path.read_bytes(), str(path))
    return (frame if window is None else frame.crop(window=window)).clean()


# --- a sound export


def test_sound_export(source: Path, whole: Path) -> None:
    run = verify(whole, source, jobs=1)
    assert list(run) == []
    assert run.counts == Counts(differences=0, frames=2, files=10, uncovered=0, unexported=0)
    assert run.reader == reader_name()
    assert run.summary == "10 files of 2 frames compared, 0 differences"
    assert run.tally.read_bytes == run.tally.total_bytes > 0


@pytest.mark.parametrize(
    "options",
    [
        {"bbox": BBox(124.0, 33.0, 128.5, 38.0)},
        {"center": (127.0, 37.5), "size": 333},
        {"regions": (Region("서울", BBox(126.7, 37.4, 127.2, 37.7)), Region("sea", BBox(120, 30.2, 121, 31)))},
        {"window": Window(199, 297, 601, 20), "values": "raw"},
        {"window": RAIN, "compress": "zstd", "formats": ("cog",)},
        {"window": RAIN, "compress": "none", "name": "{product}/{utc:%Y%m%dT%H%MZ}"},
        {"window": Window(0, 0, 3, 1), "formats": ("png",)},
        {"window": Window(0, 0, 5, 1441), "formats": ("cog",)},
        {"window": Window(0, 0, 1, 1441), "formats": ("cog",)},
        {"window": Window(100, 200, 777, 999), "formats": ("cog",), "values": "raw"},
        {"bbox": BBox(100.0, 20.0, 122.0, 34.0)},
        {"window": RAIN, "quantity": "rain", "formats": ("png",)},  # in a PNG of rain 0 is nodata
        {"window": Window(0, 0, 300, 300), "formats": ("mask", "png"), "sidecars": False},
    ],
    ids=[
        "bbox",
        "center",
        "regions",
        "raw",
        "zstd",
        "none",
        "png",
        "thin",
        "thinnest",
        "odd",
        "clipped",
        "rain",
        "mask",
    ],
)
def test_sound_export_of(source: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    out = export_all(source, tmp_path / "out", **options)
    assert differences(out, source) == []


def test_two_processes_find_the_same(source: Path, out: Path) -> None:
    (out / f"{STEM}.tif").unlink()
    patch(out, f"{STEM}.pgw", b"\n-1000.0", b"\n-1001.0")
    alone, together = verify(out, source, jobs=1), verify(out, source, jobs=2)
    assert sorted(map(str, alone)) == sorted(map(str, together))
    assert alone.counts == together.counts
    assert alone.counts.differences == 3  # GDAL takes a PNG's place from its world file


def test_only_what_is_compared_is_touched(source: Path, cropped: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in cropped.rglob("*")}
    assert differences(cropped, source) == []
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in cropped.rglob("*")} == before


def test_statistics_file_that_qgis_leaves_behind_is_no_difference(source: Path, out: Path) -> None:
    (out / f"{STEM}.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><Metadata><MDI key='STATISTICS_MEAN'>-123</MDI></Metadata>"
        "</PAMRasterBand></PAMDataset>"
    )
    assert differences(out, source) == []


def add_statistics(path: Path) -> None:
    """Do as `gdalinfo -stats` and QGIS do: GDAL writes the sidecar anew, in its own words and order."""
    before = path.with_name(f"{path.name}.aux.xml").read_bytes()
    with warnings.catch_warnings(), rasterio.open(path) as dataset:
        warnings.simplefilter("ignore")  # `stats` will be its name, and leaves no file
        dataset.statistics(1)
    after = path.with_name(f"{path.name}.aux.xml").read_bytes()
    assert b"STATISTICS_MEAN" in after
    assert b"STATISTICS_MEAN" not in before


@pytest.mark.slow
def test_a_sidecar_that_gdal_wrote_anew_is_reported_and_no_difference(source: Path, out: Path) -> None:
    add_statistics(out / f"{STEM}.png")
    run = verify(out, source, jobs=1)
    (found,) = list(run)
    assert (found.path, found.problem) == (f"{STEM}.png.aux.xml", "edited by another program")
    assert (run.counts.differences, run.counts.edited) == (0, 1)
    assert "0 differences; 1 edited by another program, with the same place and scale" in run.summary
    command = [sys.executable, "-m", "hsrgeo", "verify", str(out), "--against", str(source), "--jobs", "1"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"<Scale>0.01", b"<Scale>0.1", "scale"),
        (b"<GeoTransform>", b"<GeoTransform>1", "GeoTransform"),
        (b"</PAMDataset>", b"", "CRC-32 of the file"),
    ],
)
def test_a_sidecar_that_was_edited_may_not_say_another_thing(
    source: Path, out: Path, old: bytes, new: bytes, problem: str
) -> None:
    add_statistics(out / f"{STEM}.png")
    path = out / f"{STEM}.png.aux.xml"
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    run = verify(out, source, jobs=1)
    assert problem in {found.problem for found in run}
    assert run.counts.differences


def test_a_frame_whose_sidecar_was_edited_is_not_made_anew(source: Path, out: Path) -> None:
    add_statistics(out / f"{STEM}.png")
    edited = (out / f"{STEM}.png.aux.xml").read_bytes()
    options = ExportOptions(window=RAIN, jobs=1)
    outcomes = list(export(source, out, options))
    assert "ok" not in [outcome.status for outcome in outcomes]
    assert (out / f"{STEM}.png.aux.xml").read_bytes() == edited
    (out / f"{STEM}.png.aux.xml").write_bytes(edited[:-20])  # cut short
    outcomes = list(export(source, out, options))
    assert [outcome.status for outcome in outcomes].count("ok") == 1


def test_closed_early(source: Path, out: Path) -> None:
    (out / f"{STEM}.tif").unlink()
    (out / f"{STEM}.png").unlink()
    run = verify(out, source, jobs=1)
    assert isinstance(run, Verification)
    assert next(run).path == f"{STEM}.tif"
    run.close()
    assert list(run) == []


# --- files that are not what was written


@pytest.mark.parametrize(
    ("suffix", "place"),
    [
        (".tif", 4),  # offset of the first IFD
        (".tif", -10),  # the last tile
        (".tif", b"STATION_COUNT"),
        (".png", 25),  # interlace method
        (".png", -100),  # IDAT
        (".pgw", 3),
        (".prj", 20),
        (".png.aux.xml", b"GeoTransform"),
    ],
    ids=["COG header", "COG tile", "COG tag", "PNG header", "PNG data", "pgw", "prj", "aux.xml"],
)
def test_flipped_bit(source: Path, out: Path, suffix: str, place: int | bytes) -> None:
    path = out / f"{STEM}{suffix}"
    data = bytearray(path.read_bytes())
    data[place if isinstance(place, int) else data.index(place)] ^= 1
    path.write_bytes(data)
    found = differences(out, source)
    assert "CRC-32 of the file" in {difference.problem for difference in found}
    assert {difference.path for difference in found} <= {f"{STEM}{suffix}", f"{STEM}.png"}


def flip_places(out: Path) -> Iterator[tuple[Path, int]]:
    for path in sorted(out.glob("*/*/*")):
        yield path, path.stat().st_size


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit(source: Path, cropped: Path, data: st.DataObject) -> None:
    path, size = data.draw(st.sampled_from(list(flip_places(cropped))))
    place = data.draw(st.integers(0, size - 1))
    bit = data.draw(st.integers(0, 7))
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[place] ^= 1 << bit
    try:
        path.write_bytes(flipped)
        assert any(difference.problem == "CRC-32 of the file" for difference in verify(cropped, source, jobs=1))
    finally:
        path.write_bytes(good)


def test_missing_file(source: Path, out: Path) -> None:
    (out / f"{STEM}.prj").unlink()
    (difference,) = differences(out, source)
    assert str(difference) == f"{STEM}.prj: file: expected {_size(out, '.prj')} bytes, found no such file"


def _size(out: Path, suffix: str) -> int:
    lines = map(json.loads, (out / "manifest.jsonl").read_text().splitlines())
    return next(int(o["bytes"]) for line in lines for o in line["outputs"] if o["path"] == f"{STEM}{suffix}")


def test_truncated_file(source: Path, out: Path) -> None:
    for suffix in (".tif", ".png"):
        data = (out / f"{STEM}{suffix}").read_bytes()
        (out / f"{STEM}{suffix}").write_bytes(data[: len(data) // 2])
    assert problems(out, source) == {"size in bytes", "CRC-32 of the file", "reading it"}


# --- files that are wrong although the manifest vouches for them: COGs


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'role="scale">0.01', b'role="scale">0.02', "scale"),
        (b'role="offset">0<', b'role="offset">1<', "offset"),
        (b'role="unittype">dBZ', b'role="unittype">dBx', "unit"),
        (b'role="description">reflectivity', b'role="description">Reflectivity', "name of the band"),
        (b'"TIME_START_UTC">2022', b'"TIME_START_UTC">2023', "tag TIME_START_UTC"),
        (b'"COUNT_BLEND">', b'"COUNT_BLAND">', "tag COUNT_BLEND"),
        (b"2022:06:09 02:15:00", b"2022:06:09 11:15:00", "tag TIFFTAG_DATETIME"),
        (b'domain="IMAGERY">2022', b'domain="IMAGERY">2021', "IMAGERY tag ACQUISITIONDATETIME"),
        (b'"STATISTICS_MEAN"', b'"STATISTICS_LEAN"', "band tag STATISTICS_MEAN"),
        (struct.pack("<d", 600500 - 250 * 1000), struct.pack("<d", 600500 - 251 * 1000), "transform"),
        (b"LAYOUT=IFDS_BEFORE_DATA", b"LAYOUT=IFDS_BEFORE_DADA", "layout"),
    ],
)
def test_forged_cog(source: Path, out: Path, old: bytes, new: bytes, problem: str) -> None:
    patch(out, f"{STEM}.tif", old, new)
    found = problems(out, source)
    assert problem in found
    assert len(found) <= 2  # a tag by another name is one that is missing and one that is too many


def test_forged_nodata(source: Path, out: Path) -> None:
    data = (out / f"{STEM}.tif").read_bytes()
    forge(out, f"{STEM}.tif", data.replace(b"-30000\0", b"-29999\0"))  # the overview has it too
    assert problems(out, source) == {"nodata"}


def test_one_cell(source: Path, out: Path) -> None:
    frame = frame_of(source)
    raw = frame.raw.copy()
    raw[100, 200] += 1
    forge(out, f"{STEM}.tif", encode_cog(with_pixels(frame, raw)))
    found = [difference for difference in differences(out, source) if difference.problem.startswith("pixels")]
    assert found == [
        Difference(
            f"{STEM}.tif",
            "pixels, 1 of 84,000 differ, the first in row 100, column 200",
            str(frame.raw[100, 200]),
            str(raw[100, 200]),
        )
    ]


def with_pixels(frame: Frame, pixels: NDArray[np.int16]) -> Frame:
    """Return the frame with other pixels, which the writer takes as they are."""
    return dataclasses.replace(frame, stored=pixels, cleaned=False)


def test_upside_down(source: Path, out: Path) -> None:
    frame = frame_of(source)
    forge(out, f"{STEM}.tif", encode_cog(with_pixels(frame, frame.raw[::-1])))
    assert any(problem.startswith("pixels, ") for problem in problems(out, source))


def test_half_a_cell_off(source: Path, out: Path) -> None:
    frame = frame_of(source)
    grid = dataclasses.replace(frame.grid, transform=moved_by_half_a_cell(frame.grid.transform))
    forge(out, f"{STEM}.tif", encode_cog(dataclasses.replace(frame, grid=grid)))
    assert problems(out, source) == {"transform"}


def moved_by_half_a_cell(t: Affine) -> Affine:
    return Affine(t.a, t.b, t.c + t.a / 2, t.d, t.e, t.f + t.e / 2)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('false origin",38', 'false origin",38.001', "CRS, Latitude of false origin"),
        ('false origin",126', 'false origin",127', "CRS, Longitude of false origin"),
        ('1st standard parallel",30', '1st standard parallel",31', "CRS, Latitude of 1st standard parallel"),
        ("6371008.77,0", "6378137,0", "CRS, semi-major axis"),
    ],
)
def test_other_crs(source: Path, out: Path, old: str, new: str, problem: str) -> None:
    frame = frame_of(source)
    assert old in frame.grid.wkt2
    grid = dataclasses.replace(frame.grid, wkt2=frame.grid.wkt2.replace(old, new))
    forge(out, f"{STEM}.tif", encode_cog(dataclasses.replace(frame, grid=grid)))
    assert problem in problems(out, source)
    assert all(found.startswith("CRS") for found in problems(out, source))


def test_other_compression(source: Path, out: Path) -> None:
    forge(out, f"{STEM}.tif", encode_cog(frame_of(source), compress="none"))
    assert problems(out, source) == {"compression"}


def test_whole_frame_instead_of_the_crop(source: Path, out: Path) -> None:
    forge(out, f"{STEM}.tif", encode_cog(frame_of(source, None)))
    assert {"size of pixels", "transform", "tag WINDOW"} <= problems(out, source)


def test_two_bands_of_floats(source: Path, out: Path) -> None:
    raw = frame_of(source).raw
    forge(out, f"{STEM}.tif", tiff_of(np.stack([raw, raw]).astype(np.float32), driver="GTiff", tiled=True))
    assert {"bands", "pixel type", "layout"} <= problems(out, source)


def test_png_named_tif(source: Path, out: Path) -> None:
    forge(out, f"{STEM}.tif", (out / f"{STEM}.png").read_bytes())
    assert problems(out, source) == {"reading it"}  # a COG is opened as GeoTIFF, whatever else GDAL could make of it


def test_no_tiles(source: Path, whole_out: Path) -> None:
    forge(whole_out, f"{STEM}.tif", tiff_of(frame_of(source, None).raw, driver="GTiff", tiled=False))
    found = problems(whole_out, source)
    assert {"layout", "tiles of the full resolution", "overviews"} <= found
    assert not any(problem.startswith("size before") for problem in found)  # such a file promises no leaders


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"OVERVIEWS": "NONE"}, "overviews"),
        ({"OVERVIEW_COUNT": "1"}, "overviews"),
        ({"OVERVIEW_RESAMPLING": "AVERAGE"}, "overview 1"),
        ({"OVERVIEW_RESAMPLING": "CUBIC"}, "overview 1"),
        ({"OVERVIEW_RESAMPLING": "MODE"}, "overview 1"),
        ({"BLOCKSIZE": "1024"}, "tiles of the full resolution"),
    ],
    ids=["none", "too few", "average", "cubic", "mode", "giant tiles"],
)
def test_overviews_and_tiles_of_gdals_making(
    source: Path, whole_out: Path, options: dict[str, str], problem: str
) -> None:
    settings = {"BLOCKSIZE": "512", "OVERVIEW_RESAMPLING": "NEAREST", "COMPRESS": "DEFLATE"} | options
    forge(whole_out, f"{STEM}.tif", tiff_of(frame_of(source, None).raw, driver="COG", **settings))
    assert problem in problems(whole_out, source)


def test_invented_values_are_counted(source: Path, whole_out: Path) -> None:
    raw = frame_of(source, None).raw
    cog = tiff_of(raw, driver="COG", BLOCKSIZE="512", OVERVIEW_RESAMPLING="AVERAGE", COMPRESS="DEFLATE")
    forge(whole_out, f"{STEM}.tif", cog)
    (whole_out / "average.tif").write_bytes(cog)
    overview = read_picture(whole_out / "average.tif").levels[1].pixels
    values = set(raw.ravel().tolist())
    lacking = sum(value not in values for value in overview.ravel().tolist())
    (found,) = [found for found in differences(whole_out, source) if found.problem == "overview 1"]
    assert lacking > 0
    assert f"{lacking:,} of them values that it lacks" in found.found
    smeared = [found for found in differences(whole_out, source) if found.problem.startswith("values below -10000")]
    assert smeared[0].problem == "values below -10000 in overview 1"


def test_gdals_own_nearest_overviews_are_right(source: Path, whole_out: Path) -> None:
    frame = frame_of(source, None)
    cog = tiff_of(frame.raw, driver="COG", BLOCKSIZE="512", OVERVIEW_RESAMPLING="NEAREST", COMPRESS="DEFLATE")
    forge(whole_out, f"{STEM}.tif", cog)
    assert not any(found.startswith(("overview", "tiles", "order")) for found in problems(whole_out, source))


def test_overviews_after_the_data(source: Path, whole_out: Path) -> None:
    path = whole_out / "later.tif"
    raw = frame_of(source, None).raw
    path.write_bytes(tiff_of(raw, driver="GTiff", tiled=True, blockxsize=512, blockysize=512, compress="deflate"))
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    forge(whole_out, f"{STEM}.tif", path.read_bytes())
    assert {"order of the tiles", "first tile", "layout"} <= problems(whole_out, source)


def test_leader_of_a_tile(source: Path, out: Path) -> None:
    path = out / f"{STEM}.tif"
    offset, size = read_picture(path).levels[0].tiles[0]
    for place, what in ((offset - 4, "size before"), (offset + size, "last bytes after")):
        data = bytearray((out / f"{STEM}.tif").read_bytes())
        data[place] ^= 1
        forge(out, f"{STEM}.tif", data)
        assert problems(out, source) == {f"{what} the tile at byte {offset}, the full resolution"}
        data[place] ^= 1
        forge(out, f"{STEM}.tif", data)
    assert problems(out, source) == set()


def test_blend_left_in_clean_values(source: Path, out: Path) -> None:
    frame = frame_of(source)
    forge(out, f"{STEM}.tif", encode_cog(dataclasses.replace(frame, cleaned=False)))
    found = {difference.problem: difference.found for difference in differences(out, source)}
    assert found["values below -10000 in the full resolution"].endswith("other cells, such as -28750")
    assert found["tag VALUES"] == "raw"


def test_no_place_in_the_cog(source: Path, out: Path) -> None:
    forge(out, f"{STEM}.tif", tiff_of(frame_of(source).raw, driver="GTiff", crs=None, transform=None))
    found = {difference.problem: difference.found for difference in differences(out, source)}
    assert found["CRS"] == "none"
    assert found["transform"] == "(0.0, 1.0, 0.0, 0.0, 0.0, 1.0)"


def tiff_of(pixels: NDArray[Any], *, driver: str, **options: Any) -> bytes:
    """Return a TIFF as GDAL alone makes it, without hsrgeo's writer."""
    bands = pixels if pixels.ndim == 3 else pixels[np.newaxis]
    profile = {"crs": grids()["kma-hb-1km"].wkt2, "transform": grids()["kma-hb-1km"].transform}
    creation = {key: options.pop(key) for key in list(options) if key.isupper()}
    profile |= {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    profile = {key: value for key, value in (profile | options).items() if value is not None}
    with warnings.catch_warnings(), MemoryFile() as plain, MemoryFile() as target:
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with plain.open(driver="GTiff", **profile) as dataset:
            dataset.write(bands)
        if driver == "GTiff":
            return bytes(plain.getbuffer())
        with plain.open() as dataset:
            rasterio.shutil.copy(dataset, target.name, driver=driver, **creation)
        return bytes(target.getbuffer())


# --- and PNGs


def test_8_bit_png(source: Path, out: Path) -> None:
    with Image.open(out / f"{STEM}.png") as image:
        values = np.asarray(image)
    target = io.BytesIO()
    Image.fromarray((values >> 8).astype(np.uint8)).save(target, "png")
    forge(out, f"{STEM}.png", target.getvalue())
    assert "pixel type" in problems(out, source)


def test_one_cell_of_a_png(source: Path, out: Path) -> None:
    with Image.open(out / f"{STEM}.png") as image:
        values = np.asarray(image).copy()
    values[3, 4] ^= 1
    target = io.BytesIO()
    Image.fromarray(values).save(target, "png")
    forge(out, f"{STEM}.png", target.getvalue())
    assert problems(out, source) == {"pixels, 1 of 84,000 differ, the first in row 3, column 4"}


@pytest.mark.parametrize(
    ("suffix", "old", "new", "problem"),
    [
        (".png.aux.xml", b"<Scale>0.01", b"<Scale>0.1", "scale"),
        (".png.aux.xml", b"<Offset>-10", b"<Offset>0", "offset"),
        (".png.aux.xml", b"<UnitType>dBZ", b"<UnitType>mm", "unit"),
        (".png.aux.xml", b"<Description>refl", b"<Description>Refl", "name of the band"),
        (".png.aux.xml", b'"SOURCE_CRC32">', b'"SOURCE_CRC32">0', "tag SOURCE_CRC32"),
        (".png.aux.xml", b'standard_parallel_1",30', b'standard_parallel_1",33', "CRS, Latitude of 1st"),
        (".png.aux.xml", b"<SRS", b"<XRS", "CRS"),
        (".png.aux.xml", b"</PAMRasterBand>", b"<NoDataValue>0</NoDataValue></PAMRasterBand>", "nodata"),
        (".pgw", b"-1000.0", b"-1000.5", "cell sizes, rotation"),
        (".pgw", b"-1000.0", b"one", "cell sizes, rotation"),
        (".prj", b'Central_Meridian",126', b'Central_Meridian",127', "CRS, Longitude of false origin"),
        (".prj", b"PROJCS[", b"PROJCS{", "CRS"),
    ],
)
def test_forged_sidecar(source: Path, out: Path, suffix: str, old: bytes, new: bytes, problem: str) -> None:
    patch(out, f"{STEM}{suffix}", old, new)
    reported_of = f"{STEM}.png" if suffix == ".png.aux.xml" else f"{STEM}{suffix}"
    assert any(found.path == reported_of and found.problem.startswith(problem) for found in differences(out, source))


def test_degrees_instead_of_a_projection(source: Path, out: Path) -> None:
    forge(out, f"{STEM}.prj", pyproj.CRS("EPSG:4326").to_wkt("WKT1_ESRI").encode())
    assert problems(out, source) == {"CRS"}


@pytest.mark.parametrize(
    ("suffix", "old", "new", "problem"),
    [
        (".pgw", b"-410000.0", b"-410500.0", "cell sizes, rotation and centre of the north-west cell"),
        (".png.aux.xml", b"<GeoTransform>-410500", b"<GeoTransform>-410000", "GeoTransform"),
        (".png.aux.xml", b"<GeoTransform>-410500", b"<GeoTransform>west", "GeoTransform"),
        (".png.aux.xml", b"GeoTransform>", b"GeoTrunsform>", "GeoTransform"),
    ],
)
def test_place_in_either_sidecar(source: Path, out: Path, suffix: str, old: bytes, new: bytes, problem: str) -> None:
    """A reader believes one of the two, and each reader another."""
    data = (out / f"{STEM}{suffix}").read_bytes()
    assert old in data
    forge(out, f"{STEM}{suffix}", data.replace(old, new))
    assert (f"{STEM}{suffix}", problem) in {(found.path, found.problem) for found in differences(out, source)}


# --- the manifest and the sources


def test_frame_that_the_sources_lack(source: Path, out: Path, tmp_path: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    shutil.copy(source / name_of(TIME), some)
    run = verify(out, some, jobs=1)
    (difference,) = run
    assert difference.path == str(source / name_of(TIME + timedelta(minutes=5)))
    assert difference.problem == "not in the sources given"
    assert run.counts == Counts(differences=1, frames=1, files=5, uncovered=5)
    assert (
        run.summary == "5 files of 1 frame compared, 1 difference; 5 files not compared: the sources lack their frames"
    )


def test_moved_archive_is_known_by_its_frames(source: Path, out: Path, tmp_path: Path) -> None:
    archive = tmp_path / "moved.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(source.iterdir()):
            tar.add(path, f"another/folder/{path.name}")
    run = verify(out, [archive], jobs=1)
    assert list(run) == []
    assert run.counts == Counts(frames=2, files=10, unexported=2)  # the worse copy and the broken one, elsewhere now
    (out / f"{STEM}.tif").unlink()
    assert problems(out, archive) == {"file"}


def test_archive_that_is_damaged_now(tmp_path: Path) -> None:
    archive = tmp_path / "frames.tar"
    with tarfile.open(archive, "w") as tar:
        for minutes in (0, 5, 10):
            time = TIME + timedelta(minutes=minutes)
            member = tarfile.TarInfo(name_of(time))
            data = composite(time)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    out = export_all(archive, tmp_path / "out", window=RAIN)
    assert problems(out, archive) == set()
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 2 // 3 - 5000])
    found = differences(out, archive)
    assert [difference.problem for difference in found] == ["archive", *["not in the sources given"] * 2]
    assert found[0].path == str(archive)
    assert "truncated" in found[0].found


def test_frames_that_were_not_exported_are_counted(source: Path, tmp_path: Path) -> None:
    out = export_all(source, tmp_path / "out", window=RAIN, end=TIME + timedelta(minutes=5))
    run = verify(out, source, jobs=1)
    assert list(run) == []
    assert run.counts == Counts(frames=1, files=5, unexported=2)  # the later frame and the broken one
    assert run.summary.endswith("; 2 frames of the sources were not exported")


def test_better_rival_that_was_not_exported(source: Path, out: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / name_of(TIME)).write_bytes(composite(seed=9, stations=5))
    run = verify(out, [source, more], jobs=1)
    (difference,) = run
    assert difference.path == str(more / name_of(TIME))
    assert difference.problem.startswith("a better frame than the one exported")
    assert "3 stations" in difference.expected
    assert difference.found.startswith("5 stations")
    assert run.counts.unexported == 1


def test_a_rival_of_one_more_station_is_worded_so(tmp_path: Path) -> None:
    first, more = tmp_path / "first", tmp_path / "more"
    for folder, stations in ((first, 1), (more, 2)):
        folder.mkdir()
        (folder / name_of(TIME)).write_bytes(composite(seed=stations, stations=stations))
    (difference,) = verify(export_all(first, tmp_path / "out", window=RAIN), [first, more], jobs=1)
    assert "(1 station, created" in difference.expected
    assert difference.found.startswith("2 stations, created")


def test_worse_rival_is_only_counted(source: Path, out: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "b").mkdir()
    (more / name_of(TIME)).write_bytes(composite(seed=9, stations=1))
    (more / "b" / name_of(TIME)).write_bytes(b"")  # nor does one that cannot be read matter
    run = verify(out, [source, more], jobs=1)
    assert list(run) == []
    assert run.counts.unexported == 2


def test_later_creation_is_better(source: Path, out: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / name_of(TIME)).write_bytes(composite(seed=9, created=timedelta(minutes=9)))
    assert len(problems(out, tmp_path / "more") - {"not in the sources given"}) == 1
    assert source.exists()


def test_source_that_has_changed(source: Path, out: Path, tmp_path: Path) -> None:
    moved = copy_sources(source, out, tmp_path)
    (moved / name_of(TIME)).write_bytes(composite(seed=7))
    found = problems(out, moved)
    assert {"the source has changed", "tag SOURCE_CRC32"} <= found
    assert any(problem.startswith("pixels, ") for problem in found)


def test_source_that_cannot_be_read_any_more(source: Path, out: Path, tmp_path: Path) -> None:
    moved = copy_sources(source, out, tmp_path)
    (moved / name_of(TIME)).write_bytes((source / BROKEN).read_bytes())
    (difference,) = differences(out, moved)
    assert difference.path == str(moved / name_of(TIME))
    assert difference.problem == "reading the source"


def test_a_frame_whose_path_is_taken_needs_another_name(source: Path, tmp_path: Path) -> None:
    """Two times of one hour in one file: the same export would fail again."""
    out = export_all(source, tmp_path / "out", window=RAIN, name="{time:%Y%m%d%H}")
    (difference,) = differences(out, source)
    assert difference.problem == "not exported"
    assert difference.expected == "a path of its own"
    assert "is already used by HSR of 2022-06-09 11:15 KST; choose with --product" in difference.found
    done = CliRunner().invoke(app, ["verify", str(out), "--against", str(source), "--jobs", "1"])
    assert done.exit_code == 1
    assert "not exported: expected a path of its own" in done.output
    assert "to repair it" not in done.output


def test_cogs_that_the_manifest_does_not_list_are_a_note_and_no_difference(source: Path, tmp_path: Path) -> None:
    out = export_all(source, tmp_path / "out", window=RAIN, formats="cog")
    command = ["verify", str(out), "--against", str(source), "--jobs", "1"]
    before = CliRunner().invoke(app, command)
    assert "does not list" not in before.output
    (cog, *_rest) = sorted(out.rglob("*.tif"))
    for name in ("b.tif", "a/a.tif", "c.tif", "d.tif", "latest.tif", "latest-HSR.tif", ".hidden/e.tif", "f.vrt"):
        (out / name).parent.mkdir(exist_ok=True)
        shutil.copy(cog, out / name)
    after = CliRunner().invoke(app, command)
    assert after.exit_code == before.exit_code == 0
    note = f"note: COGs below {out} that its manifest does not list, not compared: 4 (b.tif, c.tif, d.tif, ...)"
    assert note in after.stderr.splitlines()


def test_broken_frame_that_is_sound_now(source: Path, out: Path, tmp_path: Path) -> None:
    moved = copy_sources(source, out, tmp_path)
    (moved / BROKEN).write_bytes(composite(TIME + timedelta(minutes=15)))
    (difference,) = differences(out, moved)
    assert difference.path == str(moved / BROKEN)
    assert difference.problem == "listed as failed, but readable now: export again"


def test_broken_name_stays_broken(tmp_path: Path) -> None:
    folder = tmp_path / "named"
    folder.mkdir()
    (folder / "RDR_CMP_HSR_PUB_202206311115.bin.gz").write_bytes(composite())  # June has 30 days
    out = export_all(folder, tmp_path / "out", window=RAIN)
    assert '"failed"' in (out / "manifest.jsonl").read_text()
    run = verify(out, folder, jobs=1)
    assert list(run) == []
    assert run.counts == Counts()


def copy_sources(source: Path, out: Path, tmp_path: Path) -> Path:
    """Return a copy of the sources, to change, that the manifest takes for where the frames came from."""
    moved = Path(shutil.copytree(source, tmp_path / "changed"))
    edit_manifest(out, lambda line: line.update(source=line["source"].replace(str(source), str(moved))))
    return moved


def test_failed_and_duplicate_lines_have_no_outputs(source: Path, out: Path) -> None:
    output = {"path": "202206/09/202206091130.tif", "bytes": 1, "crc32": "00000000"}

    def add_outputs(line: dict[str, Any]) -> None:
        if line["status"] != "ok":
            line["outputs"] = [output]

    edit_manifest(out, add_outputs)
    assert problems(out, source) == {"outputs of a frame that is failed", "outputs of a frame that is duplicate"}


def test_outputs_that_the_manifest_forgot_or_made_up(source: Path, out: Path) -> None:
    def rename_prj(line: dict[str, Any]) -> None:
        for entry in line["outputs"]:
            entry["path"] = entry["path"].replace("1115.prj", "1115.qpj")

    edit_manifest(out, rename_prj)
    found = {(difference.path, difference.problem) for difference in differences(out, source)}
    assert found == {(f"{STEM}.prj", "in the manifest"), (f"{STEM}.qpj", "in the manifest")}


def test_no_manifest(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is it the OUT of an export"):
        verify(tmp_path, source)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [None, "{", '{"recipe": {}}', '{"recipe": {"cuts": [{"region": "", "bbox": [1]}]}}']
)
def test_no_usable_options(source: Path, out: Path, content: str | None) -> None:
    (out / "options.json").unlink()
    if content is not None:
        (out / "options.json").write_text(content)
    problem = r"there is a manifest\.jsonl but no options\.json" if content is None else r"options\.json: "
    with pytest.raises(ManifestError, match=problem):
        verify(out, source)


def test_damaged_manifest(source: Path, out: Path) -> None:
    (out / "manifest.jsonl").write_text("no json\n")
    with pytest.warns(HsrGeoWarning, match="line 1 is damaged"):
        (difference,) = verify(out, source, jobs=1)
    assert str(difference) == "manifest.jsonl: damaged lines: export again: expected none, found 1"


def test_one_damaged_line_among_sound_ones_is_a_difference(source: Path, out: Path) -> None:
    lines = (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    (out / "manifest.jsonl").write_bytes(b"".join([b"{\n", *lines[1:]]))
    with pytest.warns(HsrGeoWarning, match="line 1 is damaged"):
        differences = list(verify(out, source, jobs=1))
    assert [difference.found for difference in differences if difference.path == "manifest.jsonl"] == ["1"]


def test_wrong_usage(source: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        verify(out, tmp_path / "nowhere")
    with pytest.raises(OptionsError, match="jobs 0"):
        verify(out, source, jobs=0)


def test_a_bug_says_which_frame(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(verify_module, "compare_outputs", stumble)
    with pytest.raises(ZeroDivisionError) as caught:
        differences(out, source)
    assert any(str(source) in note for note in caught.value.__notes__)


# --- the rule of overviews


@pytest.mark.slow
@settings(max_examples=12)
@given(width=st.integers(1, 1500), height=st.integers(1, 1500), tile=st.sampled_from([128, 256, 512]))
@example(width=1153, height=1441, tile=512)
@example(width=777, height=1999, tile=512)  # where cascading and the full resolution differ
@example(width=5, height=2100, tile=512)  # where two overviews are one cell wide
def test_gdals_rule_of_nearest_overviews(width: int, height: int, tile: int) -> None:
    """Which source cell GDAL takes: pictures of their own row and column numbers tell."""
    for pixels in (np.arange(width, dtype=np.int16)[None, :], np.arange(height, dtype=np.int16)[:, None]):
        full = np.ascontiguousarray(np.broadcast_to(pixels, (height, width)))
        cog = tiff_of(full, driver="COG", BLOCKSIZE=str(tile), OVERVIEW_RESAMPLING="NEAREST")
        above = full
        sizes = []
        with MemoryFile(cog) as file:
            with file.open() as dataset:
                count = len(dataset.overviews(1))
            for number in range(count):
                with rasterio.open(file.name, overview_level=number) as dataset:
                    overview = dataset.read(1)
                # From the overview above, or from the full resolution where that is no wider.
                basis = above if above.shape[1] > overview.shape[1] else full
                assert np.array_equal(overview, structure._nearest(basis, overview.shape))
                sizes.append(overview.shape[::-1])
                above = overview
        assert sizes == list(structure._halved(width, height, tile))


def test_order_of_levels() -> None:
    """The structure alone, without a file."""

    def level(ifd: int, *tiles: int) -> Level:
        return Level(np.zeros((1, 1), np.int16), (256, 256), ifd, tuple((offset, 9) for offset in tiles))

    def found(*levels: Level) -> set[str]:
        return {finding.problem for finding in structure._compare_order(levels)}

    assert found(level(16, 900, 1000), level(300, 600)) == set()
    assert found(level(300, 900), level(16, 600)) == {"offsets of the IFDs"}
    assert found(level(16, 600), level(300, 900)) == {"order of the tiles"}
    assert found(level(16, 1000, 900), level(300, 600)) == {"order of the tiles"}
    assert found(level(16, 900), level(700, 600)) == {"first tile"}
    assert found(level(0, 900)) == {"offsets of the IFDs"}
    assert found(level(16, 0)) == {"order of the tiles", "first tile"}


def test_a_kind_that_was_left_out_is_not_missed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, kind in enumerate(("PUB", "EXT")):
        (folder / name_of(TIME, kind)).write_bytes(composite(seed=number + 1))
    run = verify(export_all(folder, tmp_path / "pub"), folder, jobs=1)
    assert list(run) == []
    assert (run.counts.frames, run.counts.unexported) == (1, 0)
    run = verify(export_all(folder, tmp_path / "ext", kind="EXT"), folder, jobs=1)
    assert list(run) == []
    assert (run.counts.frames, run.counts.unexported) == (1, 1)  # the preferred one is there, and was not asked for
