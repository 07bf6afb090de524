"""Paths elsewhere: what they mean, how they are read where connections break, and how a bucket's folder is locked."""

from __future__ import annotations

import errno
import io
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsrgeo.errors import OptionsError
from hsrgeo.sources.found import Found
from hsrgeo.sources.remote import RemotePath, is_remote, local, place, remote_files
from hsrgeo.sources.service import Listed, Stream
from tests.memory_bucket import MemoryBucket


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
def out(bucket: MemoryBucket) -> Iterator[RemotePath]:
    with bucket.connected() as path:
        yield path


FOUND = Found("a.tar", "a", None, 1)


# What a URL means.


@pytest.mark.parametrize(
    ("url", "root", "key"),
    [
        ("s3://bucket/a/b.tif", "s3://bucket", "a/b.tif"),
        ("S3://bucket/a/", "s3://bucket", "a"),
        ("s3://bucket", "s3://bucket", ""),
        ("gs://bucket/a b", "gs://bucket", "a b"),
        ("s3://bucket/a%20b", "s3://bucket", "a%20b"),  # keys are taken as they stand
        ("https://host:8080/a%20b/c.gz", "https://host:8080", "a b/c.gz"),  # addresses are not
        ("abfs://box@account.dfs.core.windows.net/a", "abfs://box@account.dfs.core.windows.net", "a"),
        ("sftp://user@host:2222/data/x.gz", "sftp://user@host:2222", "data/x.gz"),
        ("s3://bucket/레이더/2022", "s3://bucket", "레이더/2022"),
        ("s3://bucket//a.b/..c/d../", "s3://bucket", "a.b/..c/d.."),
    ],
)
def test_a_url_is_a_root_and_a_key(url: str, root: str, key: str) -> None:
    path = RemotePath(url)
    assert (path.root, path.key) == (root, key)
    assert pickle.loads(pickle.dumps(path)) == path  # noqa: S301 - our own
    assert str(path) == (f"{root}/{key}" if key else root)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/x", "expected s3://"),
        ("s3:///x", "no bucket or host"),
        ("s3://bucket/a/../b", r"^s3://bucket/a/\.\./b: contains //, a part \. or \.\., or a control character, which"),
        ("gs://bucket/..", "contains //"),
        ("az://container/a//b", "contains //"),
        ("s3://bucket/./a", "contains //"),
        ("s3://bucket\n/a", "contains //"),  # which went to the bucket "bucket"
        ("s3://bucket/a\x1bb", "contains //"),
        ("sftp://me:secret@host/x", "a password in a URL"),
        ("https://host/x?X-Amz-Signature=1", "addresses with [?]"),
    ],
)
def test_urls_that_are_refused(url: str, why: str) -> None:
    with pytest.raises(OptionsError, match=why) as caught:
        place(url)
    assert "secret" not in str(caught.value)


def test_a_url_that_became_a_path_is_reported_and_not_read_as_a_folder() -> None:
    with pytest.raises(OptionsError, match="give a URL as text"):
        place(Path("s3://bucket/x"))
    assert place("s3:") == Path("s3:")
    assert not is_remote("C://x" if os.name == "nt" else "/a://b")


def test_parts_of_a_remote_path() -> None:
    path = RemotePath("s3://bucket/a") / "b/c.tif"
    assert (path.name, path.suffix, str(path.parent)) == ("c.tif", ".tif", "s3://bucket/a/b")
    assert str(path.with_name("d")) == "s3://bucket/a/b/d"
    assert str(RemotePath("s3://bucket") / "x") == "s3://bucket/x"
    with pytest.raises(OptionsError, match="hsrgeo qgis works with files on this machine only"):
        local("s3://bucket/a", "hsrgeo qgis")
    with pytest.raises(OptionsError, match="works with files on this machine only"):
        local(Path("s3://bucket/a"), "hsrgeo qgis")
    assert local("/a/b", "hsrgeo qgis") == Path("/a/b")


def test_files_of_a_folder_a_pattern_and_a_name(bucket: MemoryBucket, out: RemotePath) -> None:
    for key in ("out/b/2.gz", "out/a/1.gz", "out/a.txt", "other/3.gz"):
        bucket.objects[key] = b"x"
    assert [file.key for file in remote_files(out)] == ["out/a.txt", "out/a/1.gz", "out/b/2.gz"]
    assert [file.key for file in remote_files(out / "*/*.gz")] == ["out/a/1.gz", "out/b/2.gz"]
    assert [file.key for file in remote_files(out / "a.txt")] == ["out/a.txt"]
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        remote_files(out / "c")
    with pytest.raises(FileNotFoundError, match="no file matches"):
        remote_files(out / "*.zip")


# Reading.


@pytest.fixture(autouse=True)
def without_pauses() -> Iterator[None]:
    with patch("hsrgeo.sources.service._PAUSE_S", 0.0):
        yield


class Breaking:
    """A service whose connections break off wherever a list says."""

    def __init__(self, data: bytes, breaks: list[int]) -> None:
        self.data = data
        self.breaks = breaks
        self.asked: list[int] = []

    def stream(self, key: str, start: int, version: str) -> Iterator[bytes]:
        assert (key, version) == ("key", "v1")
        self.asked.append(start)
        count = self.breaks.pop(0) if self.breaks else len(self.data)
        for at in range(start, min(start + count, len(self.data)), 7):
            yield self.data[at : min(at + 7, start + count)]
        if start + count < len(self.data):
            raise OSError(errno.EIO, "cut")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.lists(st.integers(1, 60), max_size=10), st.integers(1, 50))
def test_a_stream_that_breaks_off_goes_on_where_it_was(data: bytes, breaks: list[int], step: int) -> None:
    service = Breaking(data, breaks)
    stream = io.BufferedReader(Stream(service, Listed("key", len(data), "v1")), 16)  # type: ignore[arg-type]
    assert b"".join(iter(lambda: stream.read(step), b"")) == data


def test_a_stream_without_progress_gives_up() -> None:
    service = Breaking(b"x" * 100, [10, *[0] * 100])
    stream = Stream(service, Listed("key", 100, "v1"))  # type: ignore[arg-type]
    with pytest.raises(OSError, match="cut"):
        stream.readall()
    assert service.asked == [0, *[10] * 4]  # five failures: the first after ten bytes


def test_a_stream_that_ends_too_early_is_an_error() -> None:
    service = Breaking(b"x" * 50, [])
    stream = Stream(service, Listed("key", 100, "v1"))  # type: ignore[arg-type]
    with pytest.raises(OSError, match="ended at byte 50 of 100"):
        stream.readall()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.integers(0, 99), st.integers(1, 40)), max_size=8))
def test_seeking_is_that_of_a_file(steps: list[tuple[int, int, int]]) -> None:
    data = bytes(range(100))
    stream = io.BufferedReader(Stream(Breaking(data, []), Listed("key", 100, "v1")), 16)  # type: ignore[arg-type]
    plain = io.BytesIO(data)
    for whence, number, size in steps:
        offset = -number if whence == io.SEEK_END else min(number, 99 - plain.tell()) if whence else number
        assert stream.seek(offset, whence) == plain.seek(offset, whence)
        assert stream.read(size) == plain.read(size)
