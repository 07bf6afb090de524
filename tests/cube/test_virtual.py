"""References: what other programs read through them is bit for bit what a stored cube holds, or an error."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

from hsrgeo.cli.cube import cube
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import (
    ChecksumError,
    DeflateStreamError,
    FrameError,
    HsrGeoError,
    OptionsError,
    OutputExistsError,
    SourceError,
    TruncatedError,
)
from hsrgeo.model.grid_catalog import grids
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.products.rain import Law
from hsrgeo.reading import open_frame
from tests.conftest import TIME, MakeFile, frame_name, make_pixels, make_tar
from tests.faults import every_fault

xr = pytest.importorskip("xarray")
for module in ("zarr", "dask", "fsspec"):
    pytest.importorskip(module)

from hsrgeo.cube.codec import DegreesCodec, FrameCodec, pack_crc32  # noqa: E402 - after the libraries are there
from hsrgeo.cube.opening import open as open_array  # noqa: E402
from hsrgeo.cube.reference import Reference, Span, is_reference, read, url_of, write_json, write_parquet  # noqa: E402
from hsrgeo.cube.store import shape_for  # noqa: E402
from hsrgeo.engine.cube.cube_options import CubeOptions  # noqa: E402
from hsrgeo.engine.cube.cube_run import make_cube  # noqa: E402

STEP = timedelta(minutes=5)
SUFFIXES = ("json", "parquet")
NAME = "equivalent_reflectivity_factor"
PLAIN = """
import json, os, sys
import numpy as np, xarray as xr
from fsspec.implementations.reference import LazyReferenceMapper

def opened(way, path):
    if way == "kerchunk":
        return xr.open_dataset(path, engine="kerchunk", mask_and_scale=False, chunks={})
    fo = LazyReferenceMapper(path, engine="pyarrow") if path.endswith(".parquet") else path
    return xr.open_zarr("reference://", storage_options={"fo": fo}, mask_and_scale=False)

ways, gone = json.loads(sys.argv[1]), sys.argv[2]
assert not [name for name in sys.modules if name.startswith("hsrgeo")]
seen = {}
for way, path in ways.items():
    dataset = opened(way, path)
    values, = dataset.data_vars.values()
    arrays = {name: dataset[name].values for name in ("lon", "lat", "created", "source_crc32", "x", "y")}
    np.savez(way, values=values.values, **arrays)
os.unlink(gone)
for way, path in ways.items():
    values, = opened(way, path).data_vars.values()
    try:
        seen[way] = str(values[2].values.min())
    except Exception as error:
        seen[way] = type(error).__name__
print(json.dumps(seen))
"""
"""A script that knows nothing of hsrgeo but that it is installed; it takes a frame away in the end."""


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory, make_file: MakeFile) -> list[Path]:
    """Give seven frames five minutes apart, no two the same; the fourth (index 3) is missing."""
    folder = tmp_path_factory.mktemp("frames") / "in"
    folder.mkdir()
    paths = []
    for number in (0, 1, 2, 4, 5, 6):
        pixels = make_pixels()
        pixels[700 + number, 450:460] = 1000 + number
        path = folder / frame_name(TIME + number * STEP)
        path.write_bytes(make_file(pixels, time=TIME + number * STEP))
        paths.append(path)
    return paths


def options(*, virtual: bool = True, attrs: dict[str, str] | None = None, **frames: Any) -> CubeOptions:
    return CubeOptions(
        frames=ExportOptions(**{"jobs": 1, **frames}),
        virtual=virtual,
        zarr_format=None if virtual else 2,
        attrs=attrs or {},
    )


def made(sources: Any, out: Path, wanted: CubeOptions | None = None) -> list[Outcome]:
    outcomes = list(make_cube(sources, out, wanted or options()))
    assert not list(out.parent.glob(f".{out.name}*")), "nothing is left beside the reference"
    return outcomes


def stored(paths: list[Path], **crop: Any) -> NDArray[np.int16]:
    opened = [open_frame(path) for path in paths]
    return np.stack([(frame.crop(**crop) if crop else frame).clean().raw for frame in opened])


def referred(reference: Path) -> Any:
    """Return the dataset as zarr and fsspec give it, packed."""
    return xr.open_zarr("reference://", storage_options={"fo": str(reference)}, mask_and_scale=False)


# Values and metadata.


@pytest.mark.slow
def test_programs_that_know_nothing_of_hsrgeo(frames: list[Path], tmp_path: Path) -> None:
    """They read the values, bit for bit, and a frame that vanished is an error in all of them, never nodata."""
    folder = tmp_path / "in"
    shutil.copytree(frames[0].parent, folder)
    ways = {"zarr": "a.json"}
    if importlib.util.find_spec("kerchunk"):
        ways["kerchunk"] = "a.json"
    if importlib.util.find_spec("pyarrow"):
        ways["lazy"] = "a.parquet"
    for name in set(ways.values()):
        assert [outcome.status for outcome in made(folder, tmp_path / name)] == ["ok"] * 6
    arguments = [json.dumps(ways), str(folder / frames[2].name)]
    run = subprocess.run(
        [sys.executable, "-c", PLAIN, *arguments], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    for way in ways:
        with np.load(tmp_path / f"{way}.npz") as got:
            assert got["values"].dtype == np.int16
            assert np.array_equal(got["values"], stored(frames))
            assert got["source_crc32"].tolist() == [open_frame(path).crc32 for path in frames]
            assert (got["x"][0], got["y"][0]) == (-560000, 600000)  # half a cell of 1 km inside -560,500 and 600,500
            point = grids()["kma-hb-1km"].check_points[0]  # degrees are packed in millionths
            row = 1441 - 1 - point.row
            assert abs(got["lon"][row, point.col] / 1e6 - point.lon) < 1e-5
            assert abs(got["lat"][row, point.col] / 1e6 - point.lat) < 1e-5
    assert json.loads(run.stdout) == dict.fromkeys(ways, "ReferenceNotReachable")


def test_arrays_of_zarr_3_find_the_codecs(frames: list[Path], tmp_path: Path) -> None:
    """VirtualiZarr makes arrays of version 3 of a reference, with each filter's id after ``numcodecs.``."""
    import zarr  # noqa: PLC0415 - after importorskip

    made(frames, tmp_path / "a.json", options(window=(800, 700, 40, 30)))
    found = read(tmp_path / "a.json").store
    store = zarr.storage.MemoryStore()
    buffer = zarr.core.buffer.default_buffer_prototype().buffer
    chunks = {NAME: {f"{time}/0/0": path.read_bytes() for time, path in enumerate(frames)}}
    for name, kind in ((NAME, "int16"), ("lon", "int32"), ("lat", "int32")):
        record = json.loads(found[f"{name}/.zarray"])
        assert record["compressor"] is None  # VirtualiZarr 2.5 takes none that is one codec
        (codec,) = record["filters"]
        codec["name"] = f"numcodecs.{codec.pop('id')}"
        metadata = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": record["shape"],
            "data_type": kind,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": record["chunks"]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": codec.pop("name"), "configuration": codec},
            ],
        }
        parts = {"zarr.json": json.dumps(metadata).encode()}
        parts |= {f"c/{key}": data for key, data in chunks.get(name, {"0/0": found.get(f"{name}/0.0", b"")}).items()}
        for key, data in parts.items():
            store._store_dict[f"{name}/{key}"] = buffer.from_bytes(data)
        array = zarr.open_array(store, path=name, mode="r")
        again: Any = array.metadata.to_dict()["codecs"]
        assert list(again) == metadata["codecs"]  # written as it was read
        assert np.array_equal(array[:], referred(tmp_path / "a.json")[name].values)
    values = zarr.open_array(store, path=NAME)
    assert np.array_equal(values[:], stored(frames, window=(800, 700, 40, 30)))
    with pytest.raises(OptionsError, match="only reads"):
        values[0] = 1


@pytest.mark.parametrize("configuration", [{}, {"axis": "up"}, {"crc32": ""}, None])
def test_arrays_of_zarr_3_with_another_configuration(configuration: dict[str, str] | None) -> None:
    from zarr.registry import get_codec_class  # noqa: PLC0415 - after importorskip

    record: Any = {"name": "numcodecs.hsrgeo_degrees", "configuration": configuration}
    with pytest.raises(OptionsError, match="hsrgeo_degrees: "):
        get_codec_class("numcodecs.hsrgeo_degrees").from_dict(record)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_hsrgeo_opens_a_reference_as_it_opens_a_cube(frames: list[Path], tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pyarrow")
    made(frames, tmp_path / f"a.{suffix}", options(attrs={"license": "X"}))
    made(frames, tmp_path / "a.zarr", options(virtual=False, attrs={"license": "X"}))
    views: list[dict[str, Any]] = [
        {},
        {"bbox": (126.5, 36, 127, 36.5), "undetect": "nan", "lonlat": True},
        {"start": TIME + STEP, "end": TIME + 5 * STEP, "window": (400, 600, 30, 200), "chunks": None},
        {"every": timedelta(minutes=10), "undetect": -32.0, "product": "hsr", "layout": "map", "check": True},
    ]
    for view in views:
        with open_array(tmp_path / f"a.{suffix}", **view) as got, open_array(tmp_path / "a.zarr", **view) as want:
            xr.testing.assert_identical(got, want)
            if view.get("chunks", "auto") == "auto":
                assert got["reflectivity"].chunksizes["time"] == (
                    got.sizes["time"],
                )  # as of frames: these are far from 128 MiB


@pytest.mark.slow
def test_metadata_are_those_of_a_stored_cube(frames: list[Path], tmp_path: Path) -> None:
    areas: list[dict[str, Any]] = [{}, {"quantity": "rain", "bbox": (126, 36, 127, 37)}]
    for area in areas:
        for old in tmp_path.glob("a.*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        made(frames, tmp_path / "a.json", options(**area))
        made(frames, tmp_path / "a.zarr", options(virtual=False, **area))
        with referred(tmp_path / "a.json") as got, xr.open_zarr(tmp_path / "a.zarr", mask_and_scale=False) as want:
            xr.testing.assert_identical(got.load(), want.load())
            assert got.sizes["missing_times"] == 1
            assert want["missing_times"].values[0] == np.datetime64("2022-06-09T02:30")  # 11:15 KST + 3 x 5 minutes


@pytest.mark.parametrize(
    "wanted",
    [
        {"window": (400, 600, 257, 99)},
        {"center": (127.0, 37.5), "size": 64},
        {"bbox": (126, 36, 127, 37), "values": "raw"},
        {"quantity": "rain", "zr": Law(300, 1.4), "bbox": (126, 36, 127, 37)},
        {"crs": "EPSG:5179", "resolution": 2000, "resampling": "average", "bbox": (126, 36, 127, 37)},
    ],
    ids=["window", "center", "raw", "rain", "crs"],
)
def test_whatever_a_cube_can_hold_the_codec_makes(frames: list[Path], tmp_path: Path, wanted: dict[str, Any]) -> None:
    made(frames[:2], tmp_path / "a.json", options(**wanted))
    made(frames[:2], tmp_path / "a.zarr", options(virtual=False, **wanted))
    with referred(tmp_path / "a.json") as got, xr.open_zarr(tmp_path / "a.zarr", mask_and_scale=False) as want:
        xr.testing.assert_identical(got.load(), want.load())
        assert np.unique(next(iter(got.data_vars.values())).values).size > 20, "there is echo to compare"


@pytest.mark.slow
def test_processes_and_order_make_the_same_bytes(frames: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy" / frames[1].name  # the same frame twice: its name decides, not who comes first
    copy.parent.mkdir()
    shutil.copy(frames[1], copy)
    texts = set()
    for sources, jobs in (([*frames, copy], 1), ([copy, *frames[::-1]], 1), ([*frames, copy], 2)):
        outcomes = made(sources, tmp_path / "a.json", options(jobs=jobs, overwrite=True))
        last = {outcome.label: outcome.status for outcome in outcomes}
        assert sorted(last.values()) == ["duplicate"] + ["ok"] * 6
        texts.add((tmp_path / "a.json").read_bytes())
    assert len(texts) == 1


def test_members_of_an_archive_that_is_not_compressed(frames: list[Path], tmp_path: Path, make_file: MakeFile) -> None:
    deep = "archive/" + "d" * 120 + "/"  # a name that needs a header of its own, which moves what follows
    members = [(deep + path.name, path.read_bytes()) for path in frames]
    better = make_file(stations=[(b"KWK", (2022, 6, 9, 11, 15, 0), (2022, 6, 9, 11, 21, 0))] * 5, time=TIME)
    members.append((deep + frames[0].name, better))  # as tar -r appends: the second of the name has more stations
    plain = gzip_less(frames[5])
    members[5] = (deep + frames[5].name.removesuffix(".gz"), plain)
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        archive = tmp_path / f"RDR_HSR_{tar_format}.tar"
        archive.write_bytes(make_tar([("README", b"x" * 700), *members], gz=False, tar_format=tar_format))
        outcomes = made(archive, tmp_path / f"{tar_format}.json")
        assert sum(outcome.status == "duplicate" for outcome in outcomes) == 1
        want = stored(frames)
        first = tmp_path / frames[0].name
        first.write_bytes(better)
        want[0] = stored([first])[0]
        with referred(tmp_path / f"{tar_format}.json") as got:
            assert np.array_equal(got[NAME].values, want)
        refs = json.loads((tmp_path / f"{tar_format}.json").read_text())["refs"]
        url, offset, size = refs[f"{NAME}/0.0.0"]
        assert url == f"file://{archive}"
        assert archive.read_bytes()[offset : offset + size] == better
        with open_array(tmp_path / f"{tar_format}.json") as dataset:
            assert float(dataset["reflectivity"].isel(time=2, y=702, x=455)) == np.float32(10.02)  # 1000 + 2


def gzip_less(path: Path) -> bytes:
    import gzip  # noqa: PLC0415

    return gzip.decompress(path.read_bytes())


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar"])
def test_compressed_archives_are_refused_with_a_way_out(frames: list[Path], tmp_path: Path, name: str) -> None:
    archive = tmp_path / name
    archive.write_bytes(make_tar([(path.name, path.read_bytes()) for path in frames[:1]]))
    for sources in (archive, tmp_path, str(tmp_path / "a.*")):
        with pytest.raises(OptionsError, match="hsrgeo extract"):
            make_cube(sources, tmp_path / "out" / "a.json", options())


# Frames that are not as they should be.


@pytest.mark.slow
def test_broken_frames_are_reported_once_and_missing(make_file: MakeFile, tmp_path: Path, frames: list[Path]) -> None:
    folder = tmp_path / "in"
    shutil.copytree(frames[0].parent, folder)
    faults = list(every_fault(make_file, TIME + timedelta(hours=1)))
    for fault in faults:
        (folder / fault.name).write_bytes(fault.data)
    virtual, whole = made(folder, tmp_path / "a.json"), made(folder, tmp_path / "a.zarr", options(virtual=False))
    found = [(one.label, one.status, str(one.error)) for one in virtual]
    assert found == [(one.label, one.status, str(one.error)) for one in whole]
    assert sum(status == "failed" for _label, status, _error in found) == len(faults)
    with open_array(tmp_path / "a.json") as got, open_array(tmp_path / "a.zarr") as want:
        assert got["missing_times"].values.tolist() == want["missing_times"].values.tolist()
        assert got.sizes["time"] == 6


def test_other_grids_and_products_are_refused(make_file: MakeFile, tmp_path: Path, frames: list[Path]) -> None:
    large, other = tmp_path / frame_name(TIME + 8 * STEP), tmp_path / frame_name(TIME + 9 * STEP, product="CPP")
    large.write_bytes(make_file(np.zeros((2881, 2305), np.int16), dxy=500, time=TIME + 8 * STEP))
    other.write_bytes(make_file(time=TIME + 9 * STEP))
    outcomes = made([*frames[:2], large], tmp_path / "a.json")
    assert [outcome.status for outcome in outcomes] == ["ok", "ok", "failed"]
    whole = made([*frames[:2], large], tmp_path / "a.zarr", options(virtual=False))
    assert [str(one.error) for one in outcomes] == [str(one.error) for one in whole]
    with pytest.raises(OptionsError, match="the sources contain CPP and HSR: choose one with --product"):
        made([*frames[:2], other], tmp_path / "b.json")


def test_grids_that_become_one_may_be_mixed(make_file: MakeFile, tmp_path: Path, frames: list[Path]) -> None:
    large = tmp_path / frame_name(TIME + 8 * STEP)
    large.write_bytes(make_file(np.full((2881, 2305), 1500, np.int16), dxy=500, time=TIME + 8 * STEP))
    wanted: dict[str, Any] = {"crs": "EPSG:5179", "resolution": 2000, "bbox": (126.5, 36.5, 127, 37)}
    whole = made([*frames[:2], large], tmp_path / "a.zarr", options(virtual=False, **wanted))
    outcomes = made([*frames[:2], large], tmp_path / "a.json", options(**wanted))
    assert [one.status for one in outcomes] == [one.status for one in whole]
    with referred(tmp_path / "a.json") as got, xr.open_zarr(tmp_path / "a.zarr", mask_and_scale=False) as want:
        xr.testing.assert_identical(got.load(), want.load())


def test_nothing_sound_makes_no_reference(tmp_path: Path, frame_file: bytes) -> None:
    (tmp_path / frame_name()).write_bytes(frame_file[:-1])
    assert [outcome.status for outcome in made(tmp_path, tmp_path / "a.json")] == ["failed"]
    assert not (tmp_path / "a.json").exists()


# After the reference was made.


@pytest.fixture
def moved(frames: list[Path], tmp_path: Path) -> Path:
    """Give a reference in a folder with its frames, and these its own to break."""
    folder = tmp_path / "a" / "frames"
    shutil.copytree(frames[0].parent, folder)
    made(folder, tmp_path / "a" / "rain.json")
    return tmp_path / "a" / "rain.json"


WAYS: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "gone": (lambda path, _other: path.unlink(), "failed to fetch|no such file|No such file"),
    "cut": (lambda path, _other: path.write_bytes(path.read_bytes()[:-200]), "truncated"),
    "flipped": (
        lambda path, _other: path.write_bytes(path.read_bytes()[:-8] + b"\0\0\0\0" + path.read_bytes()[-4:]),
        "CRC check failed",
    ),
    "empty": (lambda path, _other: path.write_bytes(b""), "length|empty"),
    "longer": (lambda path, _other: path.write_bytes(path.read_bytes() + b"more data"), "trailing data"),
    "a text": (lambda path, _other: path.write_bytes(b"# file not exist (RDR)\n"), "file not exist"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_frame_that_was_damaged_since_is_an_error(moved: Path, way: str) -> None:
    path = sorted((moved.parent / "frames").iterdir())[2]
    damage, reason = WAYS[way]
    damage(path, path)
    with referred(moved) as dataset:
        assert dataset[NAME].isel(time=1).values.max() == 5499  # the others are read; -500 + 5999
        with pytest.raises((HsrGeoError, RuntimeError), match=reason):
            dataset[NAME].isel(time=2).load()
    with open_array(moved) as dataset:
        with pytest.raises(HsrGeoError, match=path.name):
            dataset["reflectivity"].isel(time=2).load()
        dataset["reflectivity"].isel(time=1).load()
    with pytest.raises(SourceError, match="1 of 6 frames can no longer be read"):
        open_array(moved, check=True)


def test_a_frame_that_was_replaced_since_is_an_error(moved: Path, make_file: MakeFile) -> None:
    paths = sorted((moved.parent / "frames").iterdir())
    paths[2].write_bytes(make_file(time=TIME + 2 * STEP))  # sound, of the same time: it came again
    with referred(moved) as dataset, pytest.raises(ChecksumError, match="replaced since"):
        dataset[NAME].isel(time=2).load()
    with open_array(moved) as dataset, pytest.raises(ChecksumError, match="replaced since"):
        dataset["reflectivity"].isel(time=2).load()
    shutil.copy(paths[1], paths[2])  # one of the same reference: only hsrgeo knows which was meant
    with open_array(moved) as dataset, pytest.raises(ChecksumError, match=f"{paths[2].name}.*11:20 KST"):
        dataset["reflectivity"].isel(time=2).load()


def test_a_folder_that_was_moved_as_a_whole(moved: Path, frames: list[Path], tmp_path: Path) -> None:
    moved.parent.rename(tmp_path / "b")
    with open_array(tmp_path / "b" / "rain.json") as dataset:
        values = dataset["reflectivity"].isel(x=455, y=706).values
    assert np.allclose(values, stored(frames)[:, 706, 455] / 100)
    with referred(tmp_path / "b" / "rain.json") as dataset, pytest.raises(RuntimeError):
        dataset[NAME].isel(time=0).load()  # others are seen where the files were
    made(tmp_path / "b" / "frames", tmp_path / "b" / "rain.json", options(overwrite=True))
    with referred(tmp_path / "b" / "rain.json") as dataset:
        assert np.array_equal(dataset[NAME].values, stored(frames))


# Wrong use.


def test_wrong_use_is_reported(frames: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    wrong_options: list[tuple[dict[str, Any], str, str]] = [
        ({"virtual": True}, "a.zarr", r"\.json or \.parquet"),
        ({"virtual": False}, "a.json", "--virtual"),
        ({"virtual": True, "layout": "series"}, "a.json", "layout series"),
        ({"virtual": True, "zarr_format": 3}, "a.json", "zarr format 3"),
    ]
    for wrong, name, reason in wrong_options:
        with pytest.raises(OptionsError, match=reason):
            make_cube(frames, tmp_path / name, CubeOptions(**wrong))
    made(frames[:2], out)
    before = out.read_bytes()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        make_cube(frames, out, options())
    assert out.read_bytes() == before
    assert [one.status for one in made(frames, out, options(overwrite=True))] == ["ok"] * 6
    for strange in ('{"type": "Collection"}', '{"version": 1, "refs": {}}', "no json", "[1]"):
        out.write_text(strange)
        with pytest.raises(OutputExistsError, match="not a reference made by hsrgeo"):
            make_cube(frames, out, options(overwrite=True))
    out.write_text('{"version": 1, "refs": {"a/0": ["x"], ".zgroup": "{}"}}')
    with pytest.raises(SourceError, match="not a reference made by hsrgeo"):
        open_array(out)
    out.unlink()
    made(frames[:2], out)
    wrong_views: list[tuple[dict[str, Any], str]] = [
        ({"layout": "series"}, "layout"),
        ({"product": "CPP"}, "product"),
        ({"crs": "EPSG:5179"}, "crs"),
    ]
    for view, reason in wrong_views:
        with pytest.raises(OptionsError, match=reason):
            open_array(out, **view)
    with pytest.raises(OptionsError, match="on their own"):
        open_array([out, frames[0]])


def test_writing_values_elsewhere(frames: list[Path], tmp_path: Path) -> None:
    made(frames[:2], tmp_path / "a.json")
    with referred(tmp_path / "a.json") as dataset:
        with pytest.raises(OptionsError, match="drop_encoding"):
            dataset.to_zarr(tmp_path / "wrong.zarr", zarr_format=2, consolidated=False)
        # Without masks xarray keeps the fill value of the doubles, NaN, for a time that it writes as a whole number.
        values = dataset.drop_encoding().drop_vars("created")
        values.to_zarr(tmp_path / "b.zarr", zarr_format=2, consolidated=False)
    with xr.open_zarr(tmp_path / "b.zarr", mask_and_scale=False, consolidated=False) as copied:
        assert np.array_equal(copied[NAME].values, stored(frames[:2]))


def test_the_command_line(frames: list[Path], tmp_path: Path) -> None:
    shutil.copytree(frames[0].parent, tmp_path / "in")
    (tmp_path / "in" / frames[2].name).write_bytes(frames[2].read_bytes()[:-50])
    app = typer.Typer()
    app.command()(cube)
    out = tmp_path / "a.json"
    arguments = [str(tmp_path / "in"), "--out", str(out), "--jobs", "1", "--json"]
    for extra in (["--virtual"], ["--virtual", "--overwrite"]):
        run = CliRunner().invoke(app, [*arguments, *extra])
        assert run.exit_code == 1, run.output
        record = json.loads(run.stdout)
        assert (record["ok"], record["failed"], record["times"], record["missing"]) == (5, 1, 5, 2)
        assert "failed: " in run.stderr
    assert CliRunner().invoke(app, [*arguments, "--virtual"]).exit_code == 1  # it is there already
    for wrong in (["--virtual", "--layout", "both"], ["--virtual", "--zarr-format", "3"], ["--zarr-format", "4"], []):
        assert CliRunner().invoke(app, [*arguments, *wrong]).exit_code == 2


# The pieces.


_LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")  # no path has the latter


@pytest.mark.slow
@given(
    chunks=st.lists(st.binary(min_size=1), min_size=1, max_size=4),
    spans=st.lists(
        st.builds(
            Span, st.text(_LETTERS, min_size=1).map("file:///".__add__), st.integers(0, 2**40), st.integers(1, 2**31)
        )
        | st.builds(Span, st.just("file:///{a}/b c%20{{d}}")),
        min_size=1,
        max_size=5,
    ),
    record_size=st.integers(1, 3),
)
@example(chunks=[b"{\xff", b"{}", b"base64:"], spans=[Span("file:///a")], record_size=1)  # as JSON and base64 begin
def test_references_come_back(
    chunks: list[bytes], spans: list[Span], record_size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("pyarrow")
    meta: dict[str, Any] = {"v/.zarray": {"shape": [len(spans), 2, 2], "chunks": [1, 2, 2]}}
    meta |= {f"c{number}/.zarray": {"shape": [number + 1], "chunks": [number + 1]} for number in range(len(chunks))}
    store = {key: json.dumps(record).encode() for key, record in meta.items()}
    store |= {f"c{number}/0": data for number, data in enumerate(chunks)}
    consolidated = {".zmetadata": json.dumps({"metadata": meta, "zarr_consolidated_format": 1}).encode()}
    folder = tmp_path_factory.mktemp("references")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsrgeo.cube.reference._RECORD_SIZE", record_size)
        kept = Reference(store | consolidated, "v", spans, "/there")
        write_json(folder / "a.json", kept)
        write_parquet(folder / "a.parquet", kept)
    assert read(folder / "a.json") == kept
    assert read(folder / "a.parquet") == Reference(store, "v", spans, "/there")
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("reference", fo=str(folder / "a.json"), remote_protocol="file")
    assert [system.cat_file(f"c{number}/0") for number in range(len(chunks))] == chunks
    lazy = fsspec.implementations.reference.LazyReferenceMapper(str(folder / "a.parquet"), engine="pyarrow")
    assert [list(lazy[f"v/{order}.0.0"]) for order in range(len(spans))] == [span.as_json() for span in spans]


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert url_of("in/../a b%#.bin.gz") == f"file://{tmp_path}/a b%#.bin.gz"
    assert url_of("s3://bucket/a.bin.gz") == "s3://bucket/a.bin.gz"
    if os.sep == "/":
        assert url_of("/x/y") == "file:///x/y"


def test_the_codec_on_its_own(frame_file: bytes, tmp_path: Path) -> None:
    path = tmp_path / frame_name()
    path.write_bytes(frame_file)
    frame = open_frame(path).crop(window=(400, 600, 30, 20)).clean()
    recipe = {"cuts": [{"region": "", "window": [400, 600, 30, 20]}], "values": "clean", "block": 1, "step_minutes": 5}
    codec = FrameCodec(shape_for(frame, recipe).as_json(), pack_crc32([frame.crc32, 1, 1]))
    assert base64.b64decode(codec.crc32) == b"".join(n.to_bytes(4, "little") for n in (1, frame.crc32))
    again = FrameCodec.from_config({key: value for key, value in codec.get_config().items() if key != "id"})
    for one in (codec, again, pickle.loads(pickle.dumps(codec))):  # noqa: S301
        assert one == codec
        assert np.array_equal(one.decode(frame_file), frame.raw)
        out = np.empty((20, 30), "<i2")
        one.decode(memoryview(frame_file), out)
        assert np.array_equal(out, frame.raw)
    assert "30 x 20" in repr(codec)
    assert len(repr(codec)) < 100
    with pytest.raises(TruncatedError):
        codec.decode(frame_file[: len(frame_file) // 2])
    with pytest.raises(DeflateStreamError):
        codec.decode(frame_file[:40] + b"\xff" * 40 + frame_file[80:])
    with pytest.raises(ChecksumError, match="CRC check failed"):
        codec.decode(frame_file[:-8] + b"\0\0\0\0" + frame_file[-4:])
    with pytest.raises(FrameError):
        codec.decode(b"")
    with pytest.raises(OptionsError, match="only reads"):
        codec.encode(b"")
    with pytest.raises(OptionsError, match="configuration"):
        FrameCodec({"product": "HSR"}, "")
    with pytest.raises(OptionsError, match="lon or lat"):
        DegreesCodec("x")
    with pytest.raises(OptionsError, match="expected a grid"):
        DegreesCodec("lon").decode(b"{}")


@pytest.mark.parametrize("where", ["recipe", "cut", "target"])
def test_the_codec_refuses_what_it_would_have_to_ignore(frame_file: bytes, tmp_path: Path, where: str) -> None:
    """A newer hsrgeo may know another option: to read its reference without it would give other numbers."""
    path = tmp_path / frame_name()
    path.write_bytes(frame_file)
    frame = open_frame(path).crop(window=(400, 600, 30, 20))
    cut: dict[str, object] = {"region": "", "window": [400, 600, 30, 20]}
    recipe: dict[str, object] = {"cuts": [cut], "values": "raw", "block": 1, "quantity": "stored"}
    record = {"step_minutes": 5, "layout": "map", "format": "zarr 2"}
    FrameCodec(shape_for(frame, recipe | record).as_json(), "")
    match where:
        case "recipe":
            recipe["smooth"] = 3
        case "cut":
            cut["smooth"] = 3
        case _:
            recipe["target"] = {"wkt2": "", "resolution": 1.0, "resampling": "nearest", "smooth": 3}
    shape = shape_for(frame, recipe | record).as_json()
    with pytest.raises(OptionsError, match="smooth"):
        FrameCodec(shape, "")


def test_a_reference_that_is_nothing_but_brackets_is_none(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000, encoding="utf-8")
    assert not is_reference(path)
    with pytest.raises(SourceError, match=r"deep\.json: is not a reference made by hsrgeo"):
        read(path)


@pytest.mark.parametrize("place", [[1], [None], ["/a.bin", -1, 5], ["/a.tar", 0, "5"], ["/a.tar", 0, -5], []], ids=str)
def test_a_place_that_cannot_be_is_no_reference_of_hsrgeos(tmp_path: Path, place: list[object]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": 1, "hsrgeo": {"folder": ""}, "refs": {f"{NAME}/0.0.0": place}}))
    with pytest.raises(SourceError, match=r"a\.json: is not a reference made by hsrgeo"):
        read(path)
