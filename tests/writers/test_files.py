from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.errors import OutputExistsError, WriteError
from hsrgeo.writers import disk
from hsrgeo.writers.disk import Together, temporary_beside
from hsrgeo.writers.files import move_file, write_chunks, write_file


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_chunks_are_joined_and_folders_made(tmp_path: Path) -> None:
    write_file(tmp_path / "a" / "b" / "c.bin", b"one ", bytearray(b"two "), memoryview(b"three"))
    assert contents(tmp_path) == {"a/b/c.bin": b"one two three"}


def test_no_chunk_makes_an_empty_file(tmp_path: Path) -> None:
    write_file(tmp_path / "empty")
    assert contents(tmp_path) == {"empty": b""}


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_whatever_the_chunks_the_bytes_are_theirs(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("chunks")
    write_chunks(folder / "x", iter(chunks))
    assert contents(folder) == {"x": b"".join(chunks)}


def test_a_file_that_is_there_is_replaced_not_written_into(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"the old one, and longer")
    with target.open("rb") as reader:  # whoever reads the old one goes on reading the old one
        write_file(target, b"new")
        assert reader.read() == b"the old one, and longer"
    assert contents(tmp_path) == {"x": b"new"}


def test_the_temporary_name_is_hidden_beside_the_target_and_never_the_same() -> None:
    target = Path("/a/b/202206091115.png.aux.xml")
    names = [temporary_beside(target) for _ in range(100)]
    assert len(set(names)) == 100
    assert all(path.parent == target.parent for path in names)
    assert all(re.fullmatch(r"\.202206091115\.png\.aux\.xml\.[0-9a-f]{16}\.part", path.name) for path in names)
    assert temporary_beside(Path("서울/한글.tif")).name.startswith(".한글.tif.")


def test_a_name_that_is_taken_is_not_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A stranger who guessed the name could have a link there, or a pipe that nobody reads.
    monkeypatch.setattr(disk, "temporary_beside", lambda path: path.with_name(".guessed.part"))
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / ".guessed.part").symlink_to(tmp_path / "theirs")
    with pytest.raises(WriteError, match=r"/x: cannot be written: File exists$"):
        write_file(tmp_path / "x", b"ours")
    assert contents(tmp_path) == {"theirs": b"theirs", ".guessed.part": b"theirs"}
    (tmp_path / ".guessed.part").unlink()
    os.mkfifo(tmp_path / ".guessed.part")
    with pytest.raises(WriteError, match=r"/x: cannot be written: File exists$"):
        write_file(tmp_path / "x", b"ours")
    assert contents(tmp_path) == {"theirs": b"theirs"}


def test_what_a_killed_run_left_is_removed_when_it_is_old_and_hsrgeo_s(tmp_path: Path) -> None:
    old, new = (tmp_path / f".{name}.tif.0123456789abcdef.part" for name in ("old", "new"))
    theirs = [tmp_path / name for name in (".x.part", "x.0123456789abcdef.part", ".x.0123456789ABCDEF.part", ".x.tmp")]
    link = tmp_path / ".link.0123456789abcdef.part"
    link.symlink_to(".x.part")
    for path in (old, new, *theirs):
        path.write_bytes(b"half")
        os.utime(path, (1, 1), follow_symlinks=False)
    os.utime(link, (1, 1), follow_symlinks=False)
    os.utime(new)  # somebody may be writing it
    write_file(tmp_path / "x", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"x", new.name, link.name, *(path.name for path in theirs)}


def test_the_target_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "x"
    seen: list[dict[str, int]] = []

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            seen.append({name: len(data) for name, data in contents(tmp_path).items()})
            yield b"1234"

    write_chunks(target, chunks())
    assert [len(names) for names in seen] == [1] * 3
    assert all(re.fullmatch(r"\.x\.[0-9a-f]{16}\.part", name) for names in seen for name in names)
    assert contents(tmp_path) == {"x": b"1234" * 3}


def test_an_error_while_chunks_are_made_keeps_the_old_target_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")

    def chunks() -> Iterator[bytes]:
        yield b"first half"
        raise EOFError("the archive ends here")

    with pytest.raises(EOFError, match="the archive ends here"):
        write_chunks(tmp_path / "x", chunks())
    assert contents(tmp_path) == {"x": b"old"}


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_chunks(tmp_path / "x", chunks())
    assert contents(tmp_path) == {}


def test_a_folder_in_the_way_is_a_write_error_that_names_the_target(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(WriteError, match=r"/x: cannot be written: Is a directory$") as caught:
        write_file(tmp_path / "x", b"data")
    assert caught.value.path == str(tmp_path / "x")
    assert contents(tmp_path) == {}


def test_a_file_where_a_folder_should_be_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a file")
    with pytest.raises(WriteError) as caught:
        write_file(tmp_path / "a" / "b" / "c", b"data")
    assert str(caught.value) == (f"{tmp_path}/a/b/c: cannot be written: {tmp_path}/a is a file, and must be a folder")
    assert contents(tmp_path) == {"a": b"a file"}


def test_a_name_that_no_file_system_takes_is_a_write_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"cannot be written: File name too long$"):
        write_file(tmp_path / ("x" * 300), b"data")
    assert contents(tmp_path) == {}


def test_a_move_that_fails_leaves_nothing_and_keeps_the_old_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_source: object, _target: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(WriteError, match=r"/x: cannot be written: Permission denied$"):
        write_file(tmp_path / "x", b"data")
    assert contents(tmp_path) == {"x": b"old"}


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from hsrgeo.errors import OutputExistsError, WriteError
from hsrgeo.writers.files import write_file

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    write_file(Path(sys.argv[1]), *[b"x" * int(size) for size in sys.argv[2:]])
except WriteError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
@pytest.mark.parametrize("chunks", [["13000"], ["4000", "4000"], ["5001"], ["100"] * 51])
def test_a_disk_that_takes_only_a_part_is_an_error_and_not_a_short_file(tmp_path: Path, chunks: list[str]) -> None:
    # A limit of 5,000 bytes a file stands for a full disk: the first write takes what fits and says so only in
    # the number it returns; only the second fails.
    target = tmp_path / "x"
    target.write_bytes(b"old")
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(target), *chunks], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"{target}: cannot be written: File too large\n"
    assert contents(tmp_path) == {"x": b"old"}


def write_beside(path: Path, data: bytes) -> None:
    with Together() as files:
        files.write(path, [data], replace=False)


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none, as on exFAT"])
def test_a_new_file_takes_a_free_name_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:  # noqa: FBT001
    def refused(path: Path, _target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refused)
    for _again in range(2):  # the same bytes are fine
        write_beside(tmp_path / "a", b"one")
        assert contents(tmp_path) == {"a": b"one"}
    with pytest.raises(OutputExistsError, match="already exists and differs"):
        write_beside(tmp_path / "a", b"two")
    assert contents(tmp_path) == {"a": b"one"}
    with pytest.raises(WriteError):
        write_beside(tmp_path / "a" / "b", b"two")


@pytest.mark.parametrize(
    ("name", "beside", "kept"),
    [
        ("x.tif", ("x.tif.ovr", "x.tif.msk", "x.tif.aux.xml"), ("x.ovr", "x.tif.txt", "y.tif.ovr")),
        ("x.TIFF", ("x.TIFF.ovr", "x.TIFF.aux.xml"), ("x.aux.xml",)),
        ("x.png", ("x.png.ovr", "x.png.msk"), ("x.png.aux.xml", "x.pgw")),
        ("x.csv", (), ("x.csv.ovr", "x.csv.aux.xml")),
    ],
)
@pytest.mark.parametrize("moved", [False, True])
def test_what_belongs_to_the_old_raster_goes_with_it(
    tmp_path: Path, name: str, beside: tuple[str, ...], kept: tuple[str, ...], *, moved: bool
) -> None:
    for other in (name, *beside, *kept):
        (tmp_path / other).write_bytes(b"old")
    if moved:
        (tmp_path / ".staged").write_bytes(b"new")
        move_file(tmp_path / ".staged", tmp_path / name)
    else:
        write_file(tmp_path / name, b"new")
    assert {path.name for path in tmp_path.iterdir()} == {name, *kept}
    assert (tmp_path / name).read_bytes() == b"new"


def test_a_link_beside_a_raster_is_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"mine")
    (tmp_path / "x.tif.ovr").symlink_to(tmp_path / "kept")
    write_file(tmp_path / "x.tif", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"x.tif", "kept"}
