"""Archives as people have them: zip, bzip2, xz, archives inside archives, names that do not say what a file is."""

from __future__ import annotations

import bz2
import io
import lzma
import random
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import hsrgeo
from hsrgeo.errors import ArchiveError, HeaderError, SourceError
from hsrgeo.sources import zips
from hsrgeo.sources.archive_formats import is_archive
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection
from tests.conftest import TIME, frame_name, gzip_bytes, make_tar

RANDOM = random.Random(12)  # noqa: S311 - made-up files
NAMES = [frame_name(TIME + timedelta(minutes=5 * k)) for k in range(4)]
FRAMES = [(name, RANDOM.randbytes(3000 + 500 * k)) for k, name in enumerate(NAMES)]
TAR = make_tar(FRAMES, gz=False)


def make_zip(entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, method)  # of 1980: the same bytes in every process
    return packed.getvalue()


def read(path: Path, tally: Tally | None = None) -> list[Found]:
    return list(scan([path], Selection(), tally))


def good(found: list[Found]) -> list[tuple[str | None, bytes]]:
    return [(item.member, item.read()) for item in found if item.error is None]


def problem(found: list[Found]) -> str:
    """The message of the last record, which must be the only one with an error."""
    assert [item.error is None for item in found] == [True] * (len(found) - 1) + [False]
    assert isinstance(found[-1].error, SourceError)
    return str(found[-1].error)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.tar.bz2", bz2.compress(TAR)),
        ("a.tbz2", bz2.compress(TAR[:5000]) + bz2.compress(TAR[5000:])),
        ("a.tar.xz", lzma.compress(TAR)),
        ("a.txz", lzma.compress(TAR) + b"\0" * 8),  # padding, as xz allows
        ("a.zip", make_zip(FRAMES)),
        ("stored.zip", make_zip(FRAMES, zipfile.ZIP_STORED)),
        ("really-a-zip.tar.gz", make_zip(FRAMES)),
        ("RDR_HSR_202206", gzip_bytes(TAR)),
        ("RDR_HSR_202206.tar (1).gz", gzip_bytes(TAR)),
        ("no-suffix-tar", TAR),
        ("no-suffix-xz", lzma.compress(TAR)),
        ("no-suffix-bz2", bz2.compress(TAR)),
        ("no-suffix-zip", make_zip(FRAMES)),
    ],
)
def test_frames_come_in_stored_order(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    tally = Tally()
    found = read(tmp_path, tally)
    assert good(found) == FRAMES
    assert len(found) == 4
    assert tally.passed_over == {}
    assert tally.read_bytes == len(data)


@pytest.mark.parametrize("name", ["notes", "a.gz", "picture.png", NAMES[0]])
def test_what_is_no_archive_is_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip_bytes(b"just a text " * 100))
    assert not is_archive(path)


def _inner(pack: Callable[[list[tuple[str, bytes]]], bytes], names: list[str], outer_name: str) -> tuple[str, bytes]:
    return outer_name, pack([frame for frame in FRAMES if frame[0] in names])


NESTED = [
    _inner(make_tar, NAMES[:2], "days/20220609.tar.gz"),
    _inner(make_zip, NAMES[2:3], "days/20220610.zip"),
    (NAMES[3], FRAMES[3][1]),
]
EXPECTED = [
    (f"days/20220609.tar.gz/{NAMES[0]}", FRAMES[0][1]),
    (f"days/20220609.tar.gz/{NAMES[1]}", FRAMES[1][1]),
    (f"days/20220610.zip/{NAMES[2]}", FRAMES[2][1]),
    FRAMES[3],
]


@pytest.mark.parametrize(
    ("name", "data"),
    [("month.tar.gz", make_tar(NESTED)), ("month.tar", make_tar(NESTED, gz=False)), ("month.zip", make_zip(NESTED))],
)
def test_archives_inside_archives_are_read(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    found = read(path)
    assert good(found) == EXPECTED
    assert [item.offset for item in found[:3]] == [None] * 3  # a member of a member has no place of its own


def test_a_damaged_archive_inside_does_not_stop_the_others(tmp_path: Path) -> None:
    day, data = NESTED[0]
    cut = data[:-40]
    path = tmp_path / "month.tar"
    path.write_bytes(make_tar([(day, cut), NESTED[1], ("b.7z", b"7z"), NESTED[2]], gz=False))
    found = read(path)
    assert good(found)[-2:] == EXPECTED[2:]
    message = problem(found)
    assert message.startswith(f"{path}: '{day}': truncated: the file ends inside the archive (after ")
    assert "'b.7z' may contain frames" in message


@pytest.mark.parametrize("cut", [100, 3600, 9000])
def test_an_outer_archive_that_ends_inside_an_inner_one_is_cut(tmp_path: Path, cut: int) -> None:
    inner = make_tar(FRAMES, gz=False)
    path = tmp_path / "month.tar"
    path.write_bytes(make_tar([("day.tar", inner)], gz=False)[: 512 + cut])
    message = problem(read(path))
    assert message.startswith(f"{path}: truncated inside 'day.tar'")


def test_an_archive_four_deep_is_named_and_not_read(tmp_path: Path) -> None:
    data, name = make_tar(FRAMES[:1]), "a.tar.gz"
    for level in "bcd":
        data, name = make_tar([(name, data)]), f"{level}.tar.gz"
    path = tmp_path / name
    path.write_bytes(data)
    assert "'c.tar.gz/b.tar.gz/a.tar.gz' is an archive 3 archives deep" in problem(read(path))


@pytest.mark.parametrize("name", ["a.7z", "a.RAR", "a.tar.zst", "a.alz", "a.egg"])
def test_an_archive_of_another_kind_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"whatever")
    for source in (tmp_path, tmp_path / name):
        assert problem(read(source)) == (
            f"{tmp_path / name}: may contain frames, but hsrgeo does not read this kind of archive: unpack it, "
            "or repack it as .zip or .tar.gz"
        )


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (
            make_tar([("a.bin.gz", b"x")]),
            r"a tar archive \(its name must end in \.tar or \.tar\.gz, or have no suffix\)",
        ),
        (b"Rar!\x1a\x07\x00" + bytes(2000), "a RAR archive"),
    ],
)
def test_a_frame_that_is_an_archive_is_named_as_one(tmp_path: Path, start: bytes, what: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(start)
    with pytest.raises(HeaderError, match=f"found .*, the start of {what}$"):
        hsrgeo.open_frame(path)


@pytest.mark.parametrize(
    ("method", "name"), [(zipfile.ZIP_LZMA, "LZMA"), (zipfile.ZIP_BZIP2, "bzip2"), (93, "Zstandard")]
)
def test_zip_members_that_zipfile_unpacks_without_a_bound_are_refused(tmp_path: Path, method: int, name: str) -> None:
    known = method if method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2) else zipfile.ZIP_STORED
    data = make_zip(FRAMES, known)
    if known != method:  # Python 3.13 cannot write it
        data = data.replace(b"PK\1\2\x14\3\x14\0\0\0\0\0", b"PK\1\2\x14\3\x14\0\0\0" + method.to_bytes(2, "little"))
    (tmp_path / "a.zip").write_bytes(data)
    message = problem(read(tmp_path))
    assert f"a.zip: member '{NAMES[0]}' is compressed with {name}: repack the archive as .tar.gz, or as " in message


def test_the_list_of_members_of_a_zip_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "_LONGEST_LIST", 300)
    (tmp_path / "a.zip").write_bytes(make_zip(FRAMES))
    assert "the list of members at its end cannot be read (it has " in problem(read(tmp_path))


def test_xz_gets_no_more_memory_than_its_highest_preset_takes(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.xz"
    for preset in (9, 9 | lzma.PRESET_EXTREME):
        path.write_bytes(lzma.compress(TAR, preset=preset))
        assert good(read(tmp_path)) == FRAMES
    data = bytearray(lzma.compress(TAR, filters=[{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 4096}]))
    assert data[12:20].hex(" ") == "02 00 21 01 00 00 00 00"  # block header: its size, one filter, LZMA2, one byte: 0
    data[16] = 40  # of the dictionary, 4 GiB (XZ file format, section 5.3.1)
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    path.write_bytes(data)
    assert "Memory usage limit exceeded" in problem(read(tmp_path))


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress], ids=["bzip2", "xz"])
@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: data[:-1], "truncated: the file ends inside the archive"),
        (lambda data: data[: len(data) // 2], "truncated: the file ends inside the archive"),
        (lambda data: data + b"junk that follows", "damaged: "),
        (lambda data: data[:2000] + bytes([data[2000] ^ 1]) + data[2001:], "damaged: "),
    ],
    ids=["a byte", "half", "junk", "a bit"],
)
def test_damage_of_bzip2_and_xz_is_reported(
    tmp_path: Path, pack: Callable[[bytes], bytes], damage: Callable[[bytes], bytes], expected: str
) -> None:
    path = tmp_path / "a.tar.x"
    path = path.with_suffix(".bz2" if pack is bz2.compress else ".xz")
    path.write_bytes(damage(pack(TAR)))
    assert problem(read(path)).startswith(f"{path}: {expected}")


def test_every_cut_of_a_zip_is_reported(tmp_path: Path) -> None:
    data = make_zip(FRAMES)
    path = tmp_path / "a.zip"
    for cut in (1, 21, 22, 300, len(data) // 2, len(data) - 30):
        path.write_bytes(data[:-cut])
        assert "damaged or cut short: the list of members at its end cannot be read" in problem(read(path))


def test_a_damaged_member_of_a_zip_is_reported(tmp_path: Path) -> None:
    data = bytearray(make_zip(FRAMES, zipfile.ZIP_STORED))
    at = data.index(FRAMES[1][1]) + 1000
    data[at] ^= 1
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    found = read(path)
    assert good(found) == FRAMES[:1]
    assert problem(found).startswith(f"{path}: damaged in member '{NAMES[1]}': Bad CRC-32")


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    data = bytearray(make_zip(FRAMES[:1], zipfile.ZIP_STORED))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + at] |= 1  # general purpose bit 0
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    assert problem(read(path)).startswith(f"{path}: member '{NAMES[0]}' is encrypted")


def test_names_of_korean_windows_are_read(tmp_path: Path) -> None:
    data = make_zip([("XXXX/" + NAMES[0], FRAMES[0][1])])
    path = tmp_path / "a.zip"
    path.write_bytes(data.replace(b"XXXX", "자료".encode("cp949")))
    assert good(read(path)) == [("자료/" + NAMES[0], FRAMES[0][1])]


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP")
def test_a_zip_of_another_program_is_read(tmp_path: Path) -> None:
    for name, data in FRAMES:
        (tmp_path / name).write_bytes(data)
    subprocess.run(["zip", "-q", "b.zip", *NAMES], cwd=tmp_path, check=True)
    assert sorted(good(read(tmp_path / "b.zip"))) == FRAMES


def test_the_error_of_an_archive_is_one_record(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(make_tar([(f"{k}.7z", b"x") for k in range(30)], gz=False))
    [found] = read(path)
    assert isinstance(found.error, ArchiveError)
    assert "10 more archives inside it have problems" in str(found.error)
