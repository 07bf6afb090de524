"""Chunks of shards read without zarr: what zarr reads, bit for bit, or an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hsrgeo.cube.shards import Shards, shards_of
from hsrgeo.errors import SourceError

zarr = pytest.importorskip("zarr")

SHAPE, SHARD, CHUNK = (10, 9, 7), (4, 6, 8), (4, 3, 2)
FILL = -30000


def written(folder: Path, **changes: Any) -> tuple[Path, NDArray[np.int16]]:
    """Write an array of shards with zarr; a corner of it holds nothing but the fill value."""
    values = np.random.default_rng(1).integers(-999, 999, SHAPE, np.int16)
    values[:4, :6, :4] = FILL
    codec = zarr.codecs.ZstdCodec(level=3)
    given: dict[str, Any] = {"shards": SHARD, "chunks": CHUNK, "compressors": codec, "fill_value": FILL, **changes}
    array = zarr.create_array(folder / "cube.zarr", name="values", shape=SHAPE, dtype="int16", **given)
    array[:] = values
    return folder / "cube.zarr/values", values


@pytest.fixture(scope="module")
def array(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("shards"))[0]


@pytest.fixture
def shards(array: Path) -> Shards:
    found = shards_of(array.parent, array)
    assert found is not None
    return found


def sides(length: int) -> st.SearchStrategy[slice]:
    return st.lists(st.integers(0, length), min_size=2, max_size=2).map(lambda ends: slice(min(ends), max(ends)))


def test_any_window_is_what_zarr_reads(array: Path, shards: Shards) -> None:
    held = zarr.open_array(array, mode="r")[:]
    assert (held[:4, :6, :4] == FILL).all()  # which zarr does not write

    @given(st.tuples(*map(sides, SHAPE)))
    def check(window: tuple[slice, slice, slice]) -> None:
        read = shards.read(window)
        assert read.dtype == np.int16
        assert np.array_equal(read, held[window])

    check()
    assert np.array_equal(shards.read((slice(None), slice(-2, None), slice(3, 99))), held[:, -2:, 3:99])


@pytest.mark.parametrize(
    "changes",
    [
        {"shards": None},
        {"compressors": zarr.codecs.GzipCodec()},
        {"compressors": None},
        {"serializer": zarr.codecs.BytesCodec(endian="big")},
        {"chunk_key_encoding": {"name": "v2", "separator": "."}},
        {"zarr_format": 2, "shards": None, "compressors": None},
    ],
    ids=["no shards", "gzip", "not packed", "big-endian", "other names", "Zarr 2"],
)
def test_another_array_is_left_to_zarr(tmp_path: Path, changes: dict[str, Any]) -> None:
    array, _values = written(tmp_path, **changes)
    assert shards_of(array.parent, array) is None


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def edited(text: bytes) -> bytes:
        record = json.loads(text)
        change(record)
        return json.dumps(record).encode()

    return edited


@pytest.mark.parametrize(
    "change",
    [
        lambda _text: b"{",
        lambda _text: b"[]",
        edit(lambda record: record.update(data_type="uint16")),
        edit(lambda record: record.update(shape=[9, 7])),
        edit(lambda record: record.update(storage_transformers=[{"name": "other"}])),
        edit(lambda record: record["codecs"][0]["configuration"].update(index_location="start")),
        edit(lambda record: record["codecs"][0]["configuration"].update(chunk_shape=[4, 4, 2])),
        edit(lambda record: record["codecs"][0]["configuration"].update(chunk_shape=[4, 0, 2])),
        edit(lambda record: record["codecs"].append({"name": "crc32c"})),
    ],
    ids=["no JSON", "a list", "type", "sides", "transformer", "index first", "parts of chunks", "no rows", "codec"],
)
def test_what_is_not_understood_is_left_to_zarr(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    array, _values = written(tmp_path)
    (array / "zarr.json").write_bytes(change((array / "zarr.json").read_bytes()))
    assert shards_of(array.parent, array) is None


def test_an_array_that_is_not_there(tmp_path: Path) -> None:
    assert shards_of(tmp_path, tmp_path / "values") is None


EVERYWHERE = tuple(map(slice, SHAPE))


def test_a_shard_that_was_lost_is_no_fill(tmp_path: Path) -> None:
    array, values = written(tmp_path)
    shards = shards_of(array.parent, array)
    assert shards is not None
    (array / "c/1/0/0").unlink()
    with pytest.raises(SourceError, match=rf"^{array.parent}: is not whole: its file {array}/c/1/0/0 is not there"):
        shards.read(EVERYWHERE)
    assert np.array_equal(shards.read((slice(0, 4), slice(9), slice(7))), values[:4])


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda data: data[:100], "ends early"),
        (lambda _data: b"", "ends early"),
        (lambda data: data[:-8] + bytes(4) + data[-4:], "crc32c"),
        (lambda data: b"no zstd" + data[7:], "c/1/1/0: "),
        (lambda data: data[:4] + b"\xe0" + b"\x7f" * 8 + data[13:], "unpacks to more than 48 bytes"),
        (lambda data: data[:4] + b"\x20\x09" + data[6:], "c/1/1/0: |reshape"),
    ],
    ids=["short", "empty", "index", "chunk", "size", "less"],
)
def test_a_damaged_shard_is_an_error(tmp_path: Path, damage: Callable[[bytes], bytes], text: str) -> None:
    array, _values = written(tmp_path)
    shards = shards_of(array.parent, array)
    assert shards is not None
    shard = array / "c/1/1/0"
    shard.write_bytes(damage(shard.read_bytes()))
    with pytest.raises((OSError, RuntimeError, ValueError), match=text):
        shards.read(EVERYWHERE)


@pytest.mark.parametrize("entry", [0, 1])
@pytest.mark.parametrize("number", [10_000, 2**63 - 1, 2**64 - 1])
def test_a_chunk_that_is_said_to_lie_beyond_the_end(tmp_path: Path, entry: int, number: int) -> None:
    from numcodecs.checksum32 import CRC32C  # noqa: PLC0415 - comes with zarr

    array, _values = written(tmp_path)
    shards = shards_of(array.parent, array)
    assert shards is not None
    shard = array / "c/1/1/0"
    data, count = shard.read_bytes(), 1 * 2 * 4
    index = np.frombuffer(data[-count * 16 - 4 : -4], "<u8").copy()
    index[entry] = number
    shard.write_bytes(data[: -count * 16 - 4] + bytes(CRC32C(location="end").encode(index.tobytes())))
    with pytest.raises(ValueError, match="ends early"):
        shards.read(EVERYWHERE)
