"""Cubes, references, catalogues and polygons of strangers: what they ask for is not done."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import netCDF4
import numcodecs
import numpy as np
import pyarrow as pa
import pytest
import xarray as xr
import zstandard
from numcodecs import pickles
from pyarrow import parquet

import hsrgeo
from hsrgeo.cube import allowed, netcdf_allowed
from hsrgeo.cube.allowed import refuse_bomb, refuse_metadata
from hsrgeo.cube.netcdf_allowed import UnsureChunks
from hsrgeo.cube.opened import opened_cube
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.formats.hdf5 import Hdf5, open_hdf5
from hsrgeo.outputs.catalogs import catalog_frames
from hsrgeo.outputs.parquet_rows import parquet_rows
from hsrgeo.places.polygons import read_polygons

FRAMES = Path(__file__).parents[2] / "examples" / "frames"


class Touch:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def made(out: Path, **options: Any) -> Path:
    frames = hsrgeo.ExportOptions(window=(500, 600, 32, 32), jobs=1, end=hsrgeo.parse_time("202206090620"))
    for outcome in hsrgeo.make_cube(FRAMES, out, hsrgeo.CubeOptions(frames=frames, **options)):
        assert outcome.status == "ok"
    return out


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a cube of each layout and a reference."""
    folder = tmp_path_factory.mktemp("cubes")
    for layout in ("map", "series"):
        made(folder / f"{layout}.zarr", layout=layout)
    made(folder / "cube.json", virtual=True)
    made(folder / "cube.nc")
    return folder


def replaced_codec(path: Path, key: str, codec: Any) -> None:
    record = json.loads(path.read_bytes())
    record[key] = codec
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(("zarr_format", "layout"), [(2, "map"), (3, "map"), (3, "series")])
def test_a_pickle_in_a_cube_is_never_opened(
    tmp_path: Path, zarr_format: int, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)  # as older releases
    cube = made(tmp_path / "cube.zarr", zarr_format=zarr_format, layout=layout)
    ran = tmp_path / "ran"
    array = cube / "x"  # a coordinate: read as soon as the cube is opened
    data = pickle.dumps([Touch(ran)])
    if zarr_format == 2:
        replaced_codec(array / ".zarray", "compressor", {"id": "pickle", "protocol": 5})
        (array / "0").write_bytes(data)
    else:
        record = {"name": "numcodecs.pickle", "configuration": {"protocol": 5}}
        replaced_codec(array / "zarr.json", "codecs", [record])
        (array / "c" / "0").write_bytes(data)
    with pytest.raises(SourceError, match=r"cube\.zarr: asks for the codec '(numcodecs\.)?pickle': hsrgeo unpacks"):
        hsrgeo.open(cube).load()
    points = tmp_path / "points.csv"
    points.write_text("name,lon,lat\na,127,37.5\n")
    with pytest.raises(SourceError, match="pickle"):
        list(hsrgeo.series(cube, tmp_path / "s.csv", hsrgeo.SeriesOptions(points=points, jobs=1)))
    assert not ran.exists()


@pytest.mark.parametrize(
    "metadata",
    [
        {"codecs": [{"name": "bytes"}, {"name": "sharding_indexed", "configuration": {"codecs": ["pickle"]}}]},
        {"codecs": [{"name": "sharding_indexed", "configuration": {"index_codecs": [{"name": "numcodecs.pickle"}]}}]},
        {"storage_transformers": [{"name": "elsewhere"}]},
        {"compressor": None, "filters": [{"id": "delta"}, {"id": "pickle"}]},
        {"compressor": {"id": "zstd"}, "filters": None, "dtype": "|O"},
        {"consolidated_metadata": {"metadata": {"x": {"codecs": [{"name": "msgpack2"}]}}}},
        {"metadata": {"x/.zarray": {"compressor": {"id": "json2"}}}},
    ],
)
def test_codecs_are_found_wherever_metadata_have_them(metadata: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="asks for the codec"):
        refuse_metadata("cube", json.dumps(metadata).encode())


def test_texts_of_a_cube_may_have_any_word() -> None:
    metadata = {"attributes": {"codecs": "pickle", "filters": ["pickle"]}, ".zattrs": {"compressor": {"id": "pickle"}}}
    refuse_metadata("cube", json.dumps(metadata).encode())


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"shape": [3], "chunks": [1 << 30]}, "chunks of 1,073,741,824 values"),
        ({"chunk_grid": {"configuration": {"chunk_shape": [1 << 14, 1 << 14]}}}, "chunks of 268,435,456 values"),
        ({"codecs": [{"name": "sharding_indexed", "configuration": {"chunk_shape": [1 << 28]}}]}, "chunks of 268,435"),
        ({"consolidated_metadata": {"metadata": {"time": {"shape": [1 << 40]}}}}, "a coordinate of 1,099,511,627,776"),
        ({"metadata": {"lon/.zarray": {"shape": [1 << 13, 1 << 13], "chunks": [9, 9]}}}, "a coordinate of 67,108,864"),
        ({"data_type": {"name": "fixed_length_utf32", "configuration": {"length_bytes": 1 << 30}}}, "expected numbers"),
        ({"dtype": "<U100000000"}, "expected numbers"),
    ],
)
def test_what_would_fill_the_memory_is_refused(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        refuse_metadata("cube", json.dumps(metadata).encode())


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip": gzip.compress,
    "two gzip streams": lambda data: 2 * gzip.compress(data[: len(data) // 2]),
    "zlib": zlib.compress,
    "blosc": lambda data: bytes(numcodecs.Blosc().encode(data)),
}


@pytest.mark.parametrize("packer", PACKERS)
def test_a_chunk_that_is_a_bomb_is_refused(packer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowed, "_MOST_CELLS", 5000)  # of two bytes
    refuse_bomb("cube", "c/0", PACKERS[packer](bytes(10_000)))
    with pytest.raises(SourceError, match="cube: c/0 unpacks to more than 10,000 bytes"):
        refuse_bomb("cube", "c/0", PACKERS[packer](bytes(20_000)))


def test_a_chunk_that_is_no_bomb_is_left_to_its_codec() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"x")
    with pytest.raises(SourceError, match="unpacks to more"):  # it may be any size
        refuse_bomb("cube", "c/0", frame)
    for data in (b"", frame[:5], b"\x78\x9c\xff" * 9, gzip.compress(b"x" * 999)[:-9], bytes(range(256))):
        refuse_bomb("cube", "c/0", data)


VALUES = "equivalent_reflectivity_factor"


def _replaced(file: Any, dtype: str = "i2", **how: Any) -> Any:
    """Make the values of a NetCDF cube anew, as NetCDF would with other settings."""
    before = file[VALUES]
    left = ("_Netcdf4", "DIMENSION") + ("_FillValue",) * (dtype != "i2")
    attributes = {key: value for key, value in before.attrs.items() if not key.startswith(left)}
    shape = before.shape
    del file[VALUES]
    values = file.create_dataset(VALUES, shape, dtype, **how)
    values.attrs.update(attributes)
    for number, dimension in enumerate(("time", "y", "x")):
        values.dims[number].attach_scale(file[dimension])
    return values


def _virtual(file: Any) -> None:
    del file[VALUES]
    layout = h5py.VirtualLayout((1, 32, 32), "i2")
    layout[:] = h5py.VirtualSource("other.h5", "x", (1, 32, 32))
    file.create_virtual_dataset(VALUES, layout)


def _lists(file: Any, lengths: list[int]) -> None:
    values = file[VALUES]
    del values.attrs["DIMENSION_LIST"]
    kind = h5py.vlen_dtype(h5py.ref_dtype)
    lists = np.empty(len(lengths), object)
    lists[:] = [np.array([file["x"].ref] * length, h5py.ref_dtype) for length in lengths]
    values.attrs.create("DIMENSION_LIST", lists, dtype=kind)


def _many_lists(file: Any) -> None:
    _lists(file, [1, 1, 1, 2])  # of three dimensions


def _a_long_list(file: Any) -> None:
    _lists(file, [1, 1, 1000])


def _set(name: str, key: str, value: Any) -> Any:
    return lambda file: file[name].attrs.__setitem__(key, value)


def _many_texts(file: Any) -> None:
    file.attrs["texts"] = np.array(["long", "long"], object)  # of any length: references to a heap


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: _replaced(file, external=[("/etc/passwd", 0, 2048)]), "found values in another file"),
        (_virtual, "found values in another file"),
        (lambda file: file.__setitem__("more", h5py.ExternalLink("other.h5", "/")), "found a link to another place"),
        (lambda file: file.create_group("more"), "more: expected numbers or letters, found something else"),
        (lambda file: file.create_dataset("more", (1 << 26,), "i1", chunks=(9,)), "more: expected at most 33,554,432"),
        (
            lambda file: _replaced(file, maxshape=(None,) * 3, chunks=(1, 1 << 14, 1 << 14), compression="gzip"),
            "found 1 of 536,870,912 bytes",
        ),
        (lambda file: _replaced(file, chunks=(1, 32, 32), compression="lzf"), "expected the filters deflate"),
        (_many_texts, "attributes, texts: expected numbers or one text, found several texts"),
        (_many_lists, "DIMENSION_LIST: expected one list for each dimension, found 4 lists"),
        (_a_long_list, "DIMENSION_LIST: expected at most 1,000 entries, found 1,002"),
        (
            _set("time", "REFERENCE_LIST", np.zeros(1001, "i8")),
            "attributes of time, REFERENCE_LIST: expected at most 1,000 entries, found 1,001",
        ),
    ],
)
def test_what_a_netcdf_cube_may_not_ask_for(cubes: Path, tmp_path: Path, change: Any, message: str) -> None:
    path = shutil.copy(cubes / "cube.nc", tmp_path / "cube.nc")
    with h5py.File(path, "r+") as file:
        change(file)
    for read in (hsrgeo.open, lambda one: made(one, layout="map")):
        with pytest.raises(SourceError, match=f"cube.nc: cannot be opened as a cube: .*{message}"):
            read(path)


@pytest.mark.parametrize("dtype", [h5py.string_dtype(), "S1", "f8"], ids=["text", "letters", "number"])
def test_an_attribute_of_a_netcdf_cube_may_be_empty(cubes: Path, tmp_path: Path, dtype: Any) -> None:
    path = Path(shutil.copy(cubes / "cube.nc", tmp_path / "cube.nc"))
    with h5py.File(path, "r+") as file:
        file.attrs["comment"] = h5py.Empty(dtype)  # as NetCDF writes a text without letters
        file[VALUES].attrs["comment"] = h5py.Empty(dtype)
    with hsrgeo.open(path) as cube, hsrgeo.open(cubes / "cube.nc") as same:
        assert cube.equals(same)
    with open_hdf5(path, "", "cube") as (module, file):
        assert Hdf5(module, file, "").attribute("/", "comment") == ""


def test_the_netcdf_cube_that_is_there_is_looked_at_before_netcdf_opens_it(
    cubes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(cubes / "cube.nc", tmp_path / "cube.nc"))
    calls: list[str] = []

    def look(_path: Path) -> None:
        calls.append("look")
        raise SourceError(str(path), "is not as it was")

    def opened(_path: Path) -> Any:
        calls.append("open")
        return netCDF4.Dataset(path)

    monkeypatch.setattr("hsrgeo.cube.netcdf.unsure_chunks", look)
    monkeypatch.setattr("hsrgeo.cube.netcdf.need", lambda _name: SimpleNamespace(Dataset=opened))
    frames = hsrgeo.ExportOptions(window=(500, 600, 32, 32), jobs=1)  # and one more
    with pytest.raises(SourceError, match="is not as it was"):
        hsrgeo.make_cube(FRAMES, path, hsrgeo.CubeOptions(frames=frames)).run()
    assert calls == ["look"]


def test_a_netcdf_cube_is_netcdf_4(tmp_path: Path) -> None:
    path = tmp_path / "cube.nc"
    for beginning in (b"CDF\x01", b"CDF\x05", b""):  # 420 bytes that claim two thousand million dimensions
        path.write_bytes(beginning + bytes(4) + b"\0\0\0\x0a\x7f\xff\xff\xff" + bytes(400))
        with pytest.raises(SourceError, match=r"cube.nc: cannot be opened as a cube: expected NetCDF-4"):
            hsrgeo.open(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("spatial_ref", "crs_wkt", "\x1b[31m"), "has no grid: Invalid WKT"),
        (_set("spatial_ref", "crs_wkt", "PROJCRS[" * 9000), "has no grid: Invalid projection"),
        (_set("spatial_ref", "GeoTransform", "0 0 0 0 0 0"), "has no grid"),
        (_set(VALUES, "cap", "x"), "is not a cube made by hsrgeo: invalid literal"),
        (_set(VALUES, "scale_factor", np.arange(3.0)), "is not a cube made by hsrgeo: "),
        (_set(VALUES, "scale_factor", "0.01"), f"{VALUES}, scale_factor: expected a number, found '0.01'"),
        (_set(VALUES, "add_offset", "0"), f"{VALUES}, add_offset: expected a number, found '0'"),
        (_set("lon", "scale_factor", "x" * 999), "lon, scale_factor: expected a number, found 'xxx"),
        (lambda file: _replaced(file, "S1"), f"{VALUES}: expected numbers, found letters"),
        (lambda file: file["time"].__setitem__(0, -(2**31)), "is not a cube made by hsrgeo: year -2114"),
    ],
)
def test_attributes_that_cannot_be(cubes: Path, tmp_path: Path, change: Any, message: str) -> None:
    path = Path(shutil.copy(cubes / "cube.nc", tmp_path / "cube.nc"))
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(SourceError, match=message) as caught:
        hsrgeo.open(path, window=(0, 0, 2, 2))
    assert len(str(caught.value)) < 500
    with suppress(SourceError), opened_cube(path, ("map",)) as opened:
        opened.grid.lonlat(0, 0)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the sources of the datasets that were closed, so far."""
    noted: list[str] = []
    close = xr.Dataset.close

    def note(dataset: xr.Dataset) -> None:
        noted.append(str(dataset.encoding.get("source")))
        close(dataset)

    monkeypatch.setattr(xr.Dataset, "close", note)
    return noted


@pytest.mark.parametrize("wanted", [{"product": "CPP"}, {"layout": "series"}, {"chunks": {"nowhere": 1}}], ids=str)
def test_a_cube_that_is_refused_is_closed(cubes: Path, closed: list[str], wanted: dict[str, Any]) -> None:
    with pytest.raises((OptionsError, ValueError)):
        hsrgeo.open(cubes / "cube.nc", **wanted)
    assert len(closed) == 1
    with hsrgeo.open(cubes / "cube.nc", product="HSR"):
        assert len(closed) == 1


def test_a_netcdf_cube_whose_values_cannot_be_wrapped_is_closed(
    cubes: Path, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> None:
        raise ValueError("no such values")

    monkeypatch.setattr(netcdf_allowed, "_MOST_CHUNK_BYTES", 3000)  # so that chunks must be looked at
    monkeypatch.setattr(netcdf_allowed, "CheckedValues", refuse)
    with pytest.raises(SourceError, match="cannot be opened as a cube: no such values"):
        hsrgeo.open(cubes / "cube.nc")
    assert len(closed) == 1


@pytest.mark.parametrize("filter_mask", [0, 1])  # 1: it is not shuffled
@pytest.mark.parametrize("chunks", ["auto", None])
def test_a_bomb_in_a_netcdf_cube_is_found_before_it_is_read(
    cubes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filter_mask: int, chunks: str | None
) -> None:
    monkeypatch.setattr(netcdf_allowed, "_MOST_CHUNK_BYTES", 3000)  # of 2048 bytes that 1032 times as many may become
    assert hsrgeo.open(cubes / "cube.nc", chunks=chunks).equals(hsrgeo.open(cubes / "map.zarr"))
    path = Path(shutil.copy(cubes / "cube.nc", tmp_path / "cube.nc"))
    with h5py.File(path, "r+") as file:
        values = _replaced(file, chunks=(1, 32, 32), compression="gzip", shuffle=True)
        values.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(40_000), 9), filter_mask)
    bomb = rf"cube.nc: (cannot be read at .*: )?{VALUES}: expected a chunk of 2,048 bytes, found one that unpacks"
    with hsrgeo.open(path, chunks=chunks) as cube, pytest.raises(SourceError, match=bomb):
        cube.reflectivity.load()
    with opened_cube(path, ("map",)) as opened, pytest.raises(SourceError, match=bomb):
        opened.read(slice(0, 1), slice(0, 2), slice(0, 2))


def _unsure(path: Path, times: int) -> UnsureChunks:
    """Return chunks of a time and 2 x 2 cells each, all to be looked at."""
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.ones((times, 4, 4), "i2"), chunks=(1, 2, 2), compression="gzip")
    places: set[tuple[int, ...]] = set(product(range(times), (0, 2), (0, 2)))
    return UnsureChunks(path, "a", (times, 4, 4), (1, 2, 2), places)


def test_threads_may_look_at_the_chunks_of_a_cube(tmp_path: Path) -> None:
    unsure = _unsure(tmp_path / "a.nc", 600)
    every = slice(None)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for _none in pool.map(unsure.refuse, [(time, every, every) for time in range(600)]):
                pickle.dumps(unsure)
    finally:
        sys.setswitchinterval(interval)
    assert not unsure.places


def test_a_read_of_a_cube_opens_it_once_and_looks_up_the_few_chunks_that_it_touches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsure = _unsure(tmp_path / "a.nc", 10)
    opened: list[Path] = []

    @contextmanager
    def counted(path: Path, *more: str) -> Iterator[Any]:
        opened.append(path)
        with open_hdf5(path, *more) as found:
            yield found

    monkeypatch.setattr(netcdf_allowed, "open_hdf5", counted)
    unsure.refuse((slice(3, 5), slice(0, 2), slice(None)))  # 2 x 1 x 2 chunks of 40
    assert len(opened) == 1
    assert len(unsure.places) == 40 - 4
    unsure.refuse((3, 0, 3))
    assert len(opened) == 1
    sent = pickle.loads(pickle.dumps(unsure))  # noqa: S301 - as dask sends it
    sent.refuse((slice(None),) * 3)
    assert (len(opened), len(sent.places), len(unsure.places)) == (2, 0, 36)


def test_a_pickle_in_a_reference_is_never_opened(tmp_path: Path) -> None:
    reference = made(tmp_path / "cube.json", virtual=True)
    ran = tmp_path / "ran"
    content = json.loads(reference.read_text())
    array = json.loads(content["refs"]["x/.zarray"])
    content["refs"]["x/.zarray"] = json.dumps({**array, "compressor": {"id": "pickle", "protocol": 5}})
    content["refs"]["x/0"] = "base64:" + base64.b64encode(pickle.dumps([Touch(ran)])).decode()
    reference.write_text(json.dumps(content))
    with pytest.raises(SourceError, match="asks for the codec 'pickle'"):
        hsrgeo.open(reference)
    assert not ran.exists()


@pytest.mark.parametrize(
    "place",
    [["file:///etc/passwd"], ["http://169.254.169.254/latest/meta-data"], ["file:///dev/zero", 0, 100]],
    ids=["file", "address", "device"],
)
def test_a_reference_leads_to_frames_only(tmp_path: Path, place: list[Any]) -> None:
    reference = made(tmp_path / "cube.json", virtual=True)
    content = json.loads(reference.read_text())
    key = next(key for key in content["refs"] if key.endswith("/0.0.0"))
    content["refs"][key] = place
    reference.write_text(json.dumps(content))
    with pytest.raises(SourceError, match="which is named neither as a frame nor as an archive"):
        hsrgeo.open(reference)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("span", [5]),
        ("span", ["http://[/x.bin.gz"]),
        ("span", ["file:///a\0.bin.gz"]),
        ("span", ["file:///a.tar", "x", 10]),
        ("span", ["file:///a.tar", -1, 10]),
        ("span", [{}]),
        ("folder", 5),
        ("quantity", None),
        ("recipe", [1]),
    ],
)
def test_a_place_in_a_reference_that_is_none(cubes: Path, part: str, value: Any) -> None:
    reference = cubes / "cube.json"
    content = json.loads(reference.read_text())
    key = next(key for key in content["refs"] if key.endswith("/0.0.0"))
    if part == "span":
        content["refs"][key] = value
    elif part == "folder":
        content["hsrgeo"]["folder"] = value
    else:
        attributes = json.loads(content["refs"][".zattrs"])
        shape = json.loads(attributes["hsrgeo_shape"])
        content["refs"][".zattrs"] = json.dumps({**attributes, "hsrgeo_shape": json.dumps({**shape, part: value})})
    changed = reference.with_name("changed.json")
    changed.write_text(json.dumps(content))
    with pytest.raises(SourceError, match="is not a reference made by hsrgeo"):
        hsrgeo.open(changed)


def _repeated(rows: int, text: str) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


def test_rows_of_parquet_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.parquet"
    nested = pa.StructArray.from_arrays([_repeated(30, "x")], ["href"])
    parquet.write_table(pa.table({"path": _repeated(30, "y"), "offset": [7] * 30, "assets": nested}), path)
    assert list(parquet_rows(path, ["path", "offset", "assets.href"])) == [
        {"path": "y", "offset": 7, "assets": {"href": "x"}}
    ] * 30  # fmt: skip
    monkeypatch.setattr("hsrgeo.outputs.parquet_rows._MOST_ROWS", 29)
    with pytest.raises(ValueError, match="30 rows where at most 29 are expected"):
        list(parquet_rows(path, ["path"]))


@pytest.mark.parametrize("column", ["path", "assets.href"])
def test_a_long_text_is_not_repeated(tmp_path: Path, column: str) -> None:
    path = tmp_path / "rows.parquet"
    text = _repeated(2, "x" * 70_000)
    values = {"path": text} if column == "path" else {"assets": pa.StructArray.from_arrays([text], ["href"])}
    parquet.write_table(pa.table(values), path)
    with pytest.raises(ValueError, match="a text of 70,000 bytes where at most 65,536 are expected"):
        list(parquet_rows(path, [column]))


def _attributes(record: dict[str, Any]) -> None:
    record["attributes"] = [1, 2]


def _fill(record: dict[str, Any]) -> None:
    record["fill_value"] = 10**30


def _chunks(record: dict[str, Any]) -> None:
    record["chunk_grid"]["configuration"]["chunk_shape"] = [0, 0, 0]


@pytest.mark.parametrize("layout", ["map", "series"])
@pytest.mark.parametrize("change", [_attributes, _fill, _chunks])
def test_a_cube_with_metadata_that_cannot_be(cubes: Path, tmp_path: Path, layout: str, change: Any) -> None:
    cube = shutil.copytree(cubes / f"{layout}.zarr", tmp_path / "cube.zarr")
    array = next(path.parent for path in cube.glob("*/zarr.json") if b'"quantity"' in path.read_bytes())
    record = json.loads((array / "zarr.json").read_text())
    change(record)
    (array / "zarr.json").write_text(json.dumps(record))
    wrong = pytest.raises(SourceError, match=r"cube\.zarr: (cannot be|is not a cube)")
    with wrong, opened_cube(cube, ("map", "series")) as opened:
        opened.read(slice(0, 1), slice(0, 4), slice(0, 4))


@pytest.mark.parametrize(
    "href", ["/etc/passwd", "../other/x.tif", "/vsicurl/http://127.0.0.1:9/x.tif", "%2e%2e/x.tif", "//host/x.tif"]
)
def test_a_catalogue_leads_to_files_below_its_folder_only(tmp_path: Path, href: str) -> None:
    folder = tmp_path / "out"
    (folder / "items").mkdir(parents=True)
    links = [{"rel": "item", "href": "./items/a.json"}]
    (folder / "collection.json").write_text(json.dumps({"type": "Collection", "links": links}))
    item = {
        "type": "Feature",
        "properties": {"datetime": "2022-06-08T21:15:00Z", "hsrgeo:product": "HSR"},
        "assets": {"data": {"href": "../202206/a.tif"}},
    }
    (folder / "items" / "a.json").write_text(json.dumps(item))
    assert catalog_frames(folder)[0].path == folder / "202206" / "a.tif"
    item["assets"] = {"data": {"href": href if href.startswith(("/", "%")) else f"../{href}"}}
    if href.startswith("%"):
        item["assets"] = {"data": {"href": f"../{href}"}}
    (folder / "items" / "a.json").write_text(json.dumps(item))
    with pytest.raises(SourceError, match="which is no file below the folder of the catalogue"):
        catalog_frames(folder)


SQUARE = {"type": "Polygon", "coordinates": [[[127, 37], [128, 37], [128, 38], [127, 37]]]}
BASIN = {"type": "Feature", "properties": {"name": "a"}, "geometry": SQUARE}
OGR_VRT = '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.vrt", OGR_VRT.format("b.geojson"), "expected polygons as GeoJSON"),
        ("a.geojson", OGR_VRT.format("b.geojson"), "is no GeoJSON"),
        ("a.gpkg", OGR_VRT.format("b.geojson"), "is not a .gpkg file, although"),
        ("a.shp", OGR_VRT.format("b.geojson"), "is not a .shp file, although"),
        (
            "a.json",
            '{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read b"}',
            "found 'gdal",
        ),
        ("a.json", '{"type": "Topology", "objects": {}}', "found 'Topology'"),
        ("a.zip", "PK", "shapefile .* unpacked"),
    ],
)
def test_polygons_come_from_four_formats_only(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "b.geojson").write_text(json.dumps(BASIN))
    assert read_polygons(tmp_path / "b.geojson").names == ("a",)
    (tmp_path / name).write_text(text)
    with pytest.raises(OptionsError, match=message):
        read_polygons(tmp_path / name)


@pytest.mark.parametrize("path", ["/vsicurl/http://127.0.0.1:9/a.geojson", "http://127.0.0.1:9/a.geojson", "/dev/null"])
def test_polygons_come_from_files_only(path: str) -> None:
    with pytest.raises(OptionsError):
        read_polygons(path)
