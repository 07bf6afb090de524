"""`hsrgeo vrt`: stacks of an export and VRTs of stored frames, as another GDAL and QGIS read them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pyproj
import pytest
import rasterio
import typer
from affine import Affine
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from hsrgeo.cli.vrt import vrt as vrt_command
from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.simulate import write_simulation
from hsrgeo.engine.vrt import make_stacks, write_raw_vrts, write_stacks
from hsrgeo.errors import ManifestError, OptionsError, OutputExistsError, SourceError
from hsrgeo.gis.vrt import stack_vrt
from hsrgeo.model.times import KST
from hsrgeo.model.window import BBox
from hsrgeo.reading import open_frame
from hsrgeo.writers.glance import Glance
from tests.conftest import NX, NY, MakeFile, Pixels, frame_name, make_tar
from tests.other_gdal import gdal_pixels, gdalinfo, needs_gdal
from tests.qgis import needs_qgis, qgis

FIRST = datetime(2026, 8, 23, 6, 0, tzinfo=KST)
FRAMES = 4
STEP = timedelta(minutes=5)
REGIONS = (Region("서울 & 'x'", BBox(126.4, 37.2, 127.6, 38.0)), Region("제주", BBox(126.0, 33.1, 127.0, 33.7)))


@dataclass(frozen=True)
class Exported:
    sources: tuple[Path, ...]
    out: Path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    base = tmp_path_factory.mktemp("vrt")
    sources = tuple(write_simulation(base / "src", start=FIRST, frames=FRAMES, rain="heavy"))
    out = base / "R&D <레이더> #1"
    list(export(base / "src", out, ExportOptions(regions=REGIONS, formats="cog", jobs=1)))
    return Exported(sources, out)


def command(*args: object) -> Result:
    app = typer.Typer()
    app.command()(vrt_command)
    return CliRunner().invoke(app, [str(arg) for arg in args])


def band(path: Path, number: int, scratch: Path) -> NDArray[np.generic]:
    """Return a band as the other GDAL reads it."""
    single = scratch / "band.vrt"
    subprocess.run(["gdal_translate", "-q", "-of", "VRT", "-b", str(number), str(path), str(single)], check=True)
    return gdal_pixels(single, scratch)


@pytest.mark.slow
@needs_gdal
def test_a_stack_has_a_band_a_frame_with_its_values_and_time(exported: Exported, tmp_path: Path) -> None:
    paths = write_stacks(exported.out)
    assert paths == [exported.out / region.name / "stack.vrt" for region in REGIONS]
    for path, region in zip(paths, REGIONS, strict=True):
        record = gdalinfo(path)
        frames = [open_frame(source).crop(bbox=_edges(region.bbox)).clean() for source in exported.sources]
        grid = frames[0].grid
        assert record["size"] == [grid.width, grid.height]
        assert record["geoTransform"] == list(grid.transform.to_gdal())
        assert pyproj.CRS(record["coordinateSystem"]["wkt"]).coordinate_operation == grid.crs.coordinate_operation
        tags = record["metadata"][""]
        assert tags["PRODUCT"] == "HSR"
        assert tags["UNDETECT"] == "-25000"
        assert (tags["TIME_FIRST_UTC"], tags["TIME_LAST_UTC"]) == ("2026-08-22T21:00:00Z", "2026-08-22T21:15:00Z")
        assert "SOURCE" not in tags
        assert len(record["bands"]) == FRAMES
        for number, (one, frame) in enumerate(zip(record["bands"], frames, strict=True)):
            utc = f"2026-08-22T21:{5 * number:02}:00Z"
            assert one["description"] == utc
            assert one["metadata"][""]["TIME_START_UTC"] == utc
            assert one["metadata"][""]["TIME_START_KST"] == f"2026-08-23T06:{5 * number:02}:00+09:00"
            assert (one["type"], one["noDataValue"], one["unit"]) == ("Int16", -30000, "dBZ")
            assert (one["scale"], one["offset"]) == (0.01, 0)
            assert one["metadata"][""]["STATISTICS_MINIMUM"] == str(frame.cells.minimum)  # of echo, no -250 dBZ
            np.testing.assert_array_equal(band(path, number + 1, tmp_path), frame.raw)


@needs_qgis
def test_qgis_opens_a_stack_as_one_layer(exported: Exported, tmp_path: Path) -> None:
    path = write_stacks(exported.out, region="제주")[0]
    frame = open_frame(exported.sources[2]).crop(bbox=_edges(REGIONS[1].bbox)).clean()
    row, col = (int(place[0]) for place in np.nonzero(frame.raw >= frame.quantity.echo_from))
    x, y = frame.grid.xy(row, col)
    script = """
l = QgsRasterLayer(args[0], "x")
e = l.extent()
answer = dict(valid=l.isValid(), bands=l.bandCount(), names=[l.bandName(b) for b in range(1, l.bandCount() + 1)],
              value=l.dataProvider().sample(QgsPointXY(*args[1:]), 3)[0],
              extent=[e.xMinimum(), e.yMinimum(), e.xMaximum(), e.yMaximum()])
"""
    record = qgis(script, tmp_path, str(path), x, y)
    assert record["valid"]
    assert record["bands"] == FRAMES
    assert "2026-08-22T21:10:00Z" in record["names"][2]
    assert record["value"] == pytest.approx(frame.raw[row, col] / 100)
    assert record["extent"] == pytest.approx(frame.grid.bounds, abs=1e-6)


def test_stacks_are_relative_and_always_the_same(exported: Exported, tmp_path: Path) -> None:
    paths = write_stacks(exported.out)
    before = [path.read_bytes() for path in paths]
    moved = tmp_path / "moved"
    shutil.copytree(exported.out, moved)
    assert [path.read_bytes() for path in write_stacks(moved)] == before
    for path in paths:
        sources = list(ET.parse(path).iter("SourceFilename"))  # noqa: S314 - our own
        assert all(source.get("relativeToVRT") == "1" for source in sources)
        assert [source.text for source in sources] == [f"202608/23/20260823060{n}.tif" for n in (0, 5)] + [
            f"202608/23/20260823061{n}.tif" for n in (0, 5)
        ]


def test_a_template_that_leads_elsewhere_is_followed(exported: Exported) -> None:
    out = exported.out.parent / "template"
    name = "days/{time:%d}/{region}_{time:%H%M}"
    list(export(exported.sources[:2], out, ExportOptions(regions=REGIONS[1:], formats="cog", name=name, jobs=1)))
    path = write_stacks(out)[0]
    assert path == out / "제주" / "stack.vrt"
    with rasterio.open(path) as dataset:
        assert (dataset.read(1) > -30000).any()
        assert dataset.count == 2


@needs_gdal
def test_products_and_grids_get_stacks_of_their_own(exported: Exported, tmp_path: Path) -> None:
    src = tmp_path / "src"
    start = FIRST + timedelta(days=1)
    list(write_simulation(src, start=start, frames=1, product="CPP", kind="PUB", grid_name="kma-hb-1km"))
    list(write_simulation(src, start=start, frames=2, grid_name="kma-hb-1km"))
    shutil.copy(exported.sources[0], src)
    out = tmp_path / "out"
    options = ExportOptions(center=(127, 37), size=64, formats="cog", name="{product}/{time:%d%H%M}", jobs=1)
    list(export(src, out, options))
    stacks = write_stacks(out)
    assert [path.name for path in stacks] == [
        "stack-CPP-kma-hb-1km.vrt",
        "stack-HSR-kma-hb-500m.vrt",
        "stack-HSR-kma-hb-1km.vrt",
    ]
    assert [len(gdalinfo(path)["bands"]) for path in stacks] == [1, 1, 2]


def test_a_thousand_bands_open_at_once_and_touch_no_source(tmp_path: Path) -> None:
    wkt = pyproj.CRS("EPSG:5179").to_wkt()
    place = Glance(256, 256, Affine(500, 0, 9e5, 0, -500, 2e6), wkt, (128, 128), -30000.0, 0.01, 0.0, "dBZ", {})
    frames = [(FIRST + number * STEP, f"missing/{number}.tif") for number in range(1000)]
    path = tmp_path / "stack.vrt"
    path.write_text(stack_vrt(place, frames), encoding="utf-8")
    with rasterio.open(path) as dataset:
        assert dataset.count == 1000
        # not to_epsg(): it wants the name too, and releases of EPSG differ in names
        assert pyproj.CRS.from_wkt(dataset.crs.to_wkt()).to_json_dict()["id"]["code"] == 5179
        assert dataset.bounds == (9e5, 1872000, 1028000, 2e6)
        assert dataset.descriptions[999] == "2026-08-26T08:15:00Z"


def test_what_is_missing_is_reported(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported.out, out)
    result = command(out, "--region", "제주")
    assert result.exit_code == 0
    assert result.stdout == f"{out / '제주' / 'stack.vrt'}\n"
    assert "4 bands in 1 file" in result.stderr
    files = sorted((out / "제주").rglob("*.tif"))
    files[0].unlink()
    result = command(out)
    assert result.exit_code == 1  # what the manifest lists is not all there
    assert f"left out: {files[0].relative_to(out).as_posix()} is in the manifest" in result.stderr
    assert "7 bands in 2 files; 1 file missing or unreadable" in result.stderr
    files[1].write_bytes(b"")
    result = command(out)
    assert result.exit_code == 1
    assert "6 bands in 2 files; 2 files missing or unreadable" in result.stderr
    assert make_stacks(out, region="제주").contents.frames == 2


def test_a_circle_of_directories_has_an_end(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported.out, out)
    path = min(out.rglob("*.tif"))
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[end : end + 4] = data[4:8]  # the first IFD follows itself
    path.write_bytes(data)
    result = command(out)
    assert result.exit_code == 1
    assert f"the IFD at {first:,} is followed by one at {first:,}: expected it farther on" in result.stderr
    assert "7 bands in 2 files; 1 file missing or unreadable" in result.stderr


def test_a_file_that_ends_within_its_fields_is_reported(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported.out, out)
    path = min(out.rglob("*.tif"))
    path.write_bytes(path.read_bytes()[:500])
    result = command(out)
    assert result.exit_code == 1
    assert "the file ends before" in result.stderr
    assert "7 bands in 2 files; 1 file missing or unreadable" in result.stderr


@pytest.mark.parametrize("tag", [b"COUNT_ECHO", b"STATISTICS_MAXIMUM", b"UNDETECT"])
def test_a_tag_that_is_no_number_is_reported(exported: Exported, tmp_path: Path, tag: bytes) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported.out, out)
    path = min(out.rglob("*.tif"))
    data = path.read_bytes()
    at = data.index(b">", data.index(b'name="' + tag + b'"')) + 1
    path.write_bytes(data[:at] + b"x" + data[at + 1 :])
    result = command(out)
    assert result.exit_code == 1
    assert "is not a COG written by hsrgeo: " in result.stderr
    assert "7 bands in 2 files; 1 file missing or unreadable" in result.stderr


def test_an_emptied_file_is_reported_in_words(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported.out, out)
    min(out.rglob("*.tif")).write_bytes(b"")
    result = command(out)
    assert result.exit_code == 1
    assert "is not a COG written by hsrgeo: it is empty or ends early" in result.stderr


def test_where_every_file_is_damaged_the_first_is_named(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported.out, out)
    for cog in out.rglob("*.tif"):
        cog.write_bytes(b"")
    result = command(out)
    assert (result.exit_code, out.joinpath("stack.vrt").exists()) == (2, False)
    assert "no COG there that can be read; the first: " in result.stderr
    assert "it is empty or ends early; manifest.jsonl lists 8" in result.stderr  # four frames, two regions


def test_what_cannot_be_stacked_is_refused(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is it the OUT of an export"):
        write_stacks(tmp_path)
    with pytest.raises(OptionsError, match=r"no region '부산'.*expected one of 서울"):
        write_stacks(exported.out, region="부산")
    assert command(exported.out, exported.out).exit_code == 2
    assert command(exported.out, "--out", tmp_path).exit_code == 2
    assert command(exported.out, "--raw", "--region", "제주").exit_code == 2


@pytest.mark.slow
@needs_gdal
@pytest.mark.parametrize("gz", [True, False])
def test_gdal_reads_the_blocks_of_a_stored_frame_in_place(
    make_file: MakeFile, pixels: Pixels, tmp_path: Path, *, gz: bool
) -> None:
    folder = tmp_path / "자료 & <1>"
    folder.mkdir()
    second = np.arange(NX * NY, dtype=np.int32).reshape(NY, NX).astype(np.int16)
    source = folder / frame_name(suffix=".bin.gz" if gz else ".bin")
    source.write_bytes(make_file(pixels, second, gz=gz))
    (made,) = write_raw_vrts(source)
    assert made.error is None
    assert made.path == folder / f"{source.name}.vrt"
    assert (made.bands, made.packed, made.beside) == (2, gz, not gz)
    record = gdalinfo(made.path)
    frame = open_frame(source)
    assert record["geoTransform"] == list(frame.grid.transform.to_gdal())
    assert [one["description"] for one in record["bands"]] == ["reflectivity", "height"]
    assert [one.get("scale", 1) for one in record["bands"]] == [0.01, 1]
    assert [one["unit"] for one in record["bands"]] == ["dBZ", "m"]
    assert [one["noDataValue"] for one in record["bands"]] == [-30000, -30000]
    assert record["metadata"][""]["TIME_START_UTC"] == "2022-06-09T02:15:00Z"
    assert record["metadata"][""]["VALUES"] == "raw"
    np.testing.assert_array_equal(band(made.path, 1, tmp_path), frame.raw)
    np.testing.assert_array_equal(band(made.path, 1, tmp_path), pixels)
    np.testing.assert_array_equal(band(made.path, 2, tmp_path), second)


@needs_gdal
def test_vrts_of_frames_may_lie_elsewhere(frame_file: bytes, pixels: Pixels, tmp_path: Path) -> None:
    source, out = tmp_path / "src" / frame_name(), tmp_path / "out"
    source.parent.mkdir()
    source.write_bytes(frame_file)
    result = command(os.path.relpath(source), "--raw", "--out", out)
    assert result.exit_code == 0
    path = out / f"{source.name}.vrt"
    assert result.stdout == f"{path}\n"
    assert "checks neither CRC nor length" in result.stderr
    assert "GDAL_VRT_RAWRASTERBAND_ALLOWED_SOURCE=ALL for 1 VRT\n" in result.stderr
    np.testing.assert_array_equal(gdal_pixels(path, tmp_path), pixels)


def test_broken_frames_get_no_vrt_and_the_others_do(make_file: MakeFile, tmp_path: Path) -> None:
    good = tmp_path / frame_name(suffix=".bin")
    good.write_bytes(make_file(gz=False))
    bad = tmp_path / frame_name(datetime(2022, 6, 9, 11, 20, tzinfo=KST))
    bad.write_bytes(make_file(time=datetime(2022, 6, 9, 11, 20, tzinfo=KST))[:-1])
    (tmp_path / "readme.txt").write_text("no frame")
    (tmp_path / "other.tar.gz").write_bytes(b"passed over")
    result = command(tmp_path, "--raw")
    assert result.exit_code == 1
    assert result.stdout == f"{good}.vrt\n"
    assert str(bad) in result.stderr
    assert "1 VRT written, 1 frame broken" in result.stderr
    assert "ALLOWED_SOURCE" not in result.stderr
    assert sorted(path.name for path in tmp_path.glob("*.vrt")) == [f"{good.name}.vrt"]


def test_two_frames_of_one_name_do_not_share_a_vrt(frame_file: bytes, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / frame_name()).write_bytes(frame_file)
    first, second = write_raw_vrts([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert first.path == tmp_path / "out" / f"{frame_name()}.vrt"
    assert isinstance(second.error, OutputExistsError)
    assert [made.path for made in write_raw_vrts(tmp_path)] == [
        tmp_path / folder / f"{frame_name()}.vrt" for folder in ("a", "b")
    ]


def test_archives_are_refused(frame_file: bytes, tmp_path: Path) -> None:
    archive = tmp_path / "RDR_HSR_202206.tar.gz"
    archive.write_bytes(make_tar([(frame_name(), frame_file)]))
    for source in (archive, tmp_path):
        with pytest.raises(OptionsError, match="hsrgeo extract it first"):
            write_raw_vrts(source)
    assert command(archive, "--raw").exit_code == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError, match="no frame"):
        write_raw_vrts(empty)


def _edges(box: BBox) -> tuple[float, float, float, float]:
    return box.west, box.south, box.east, box.north
