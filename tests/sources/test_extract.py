from __future__ import annotations

import io
import os
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.engine import extract as extract_module
from hsrgeo.engine.extract import Extracted, extract, extract_archive, safe_name
from hsrgeo.errors import ArchiveError, OptionsError, SourceError
from hsrgeo.sources.members import Member
from tests.conftest import gzip_bytes, make_tar

MTIME = 1_654_740_900  # 2022-06-09 02:15 UTC


def member(
    name: str,
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mtime: float = MTIME,
    pax: Mapping[str, str] | None = None,
) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mtime = kind, link, int(mtime)
    entry.pax_headers = dict(pax or {})
    return entry


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def messages(done: Extracted) -> list[str]:
    return [str(error) for error in done.errors]


def one(path: Path, data: bytes, *, overwrite: bool = False) -> Extracted:
    """Write an archive beside the output folder, and unpack it into that folder."""
    path.write_bytes(data)
    return extract_archive(path, path.parent / "out", overwrite=overwrite)


# What is good


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "A.TAR.GZ"])
def test_files_come_out_with_their_folders_bytes_and_times(tmp_path: Path, name: str) -> None:
    entries = [("RDR_HSR_202206/09/one.bin.gz", b"1" * 700), ("top", b""), ("한글/파일 이름.txt", "내용".encode())]
    data = make_tar([(member(path), content) for path, content in entries], gz=name != "a.tar")
    done = one(tmp_path / name, data)
    assert done == Extracted(str(tmp_path / name), 3, 700 + 0 + 6, ())  # two Korean letters are 6 bytes of UTF-8
    assert contents(tmp_path / "out") == dict(entries)
    assert (tmp_path / "out" / "top").stat().st_mtime == MTIME


def test_folders_in_the_archive_are_no_files(tmp_path: Path) -> None:
    data = make_tar([(member("d", kind=tarfile.DIRTYPE), b""), ("d/x", b"12")])
    assert one(tmp_path / "a.tar.gz", data) == Extracted(str(tmp_path / "a.tar.gz"), 1, 2, ())


def test_a_long_name_and_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    long = "/".join(["folder-of-thirty-two-letters-long"] * 8) + "/x"
    entries = [(long, b"long"), ("caf\udce9.txt", b"latin-1")]
    assert one(tmp_path / "a.tar.gz", make_tar(entries)).errors == ()
    assert contents(tmp_path / "out") == dict(entries)


def test_a_time_that_no_file_can_have_is_no_reason_to_fail(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, time in (("a", "1e300"), ("b", "-1e300"), ("c", "nan")):
            entry = member(name, pax={"mtime": time})
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
    done = one(tmp_path / "a.tar", packed.getvalue())
    assert (done.files, done.errors) == (3, ())
    assert contents(tmp_path / "out") == {"a": b"x", "b": b"x", "c": b"x"}


# What is refused, member by member

REFUSED = {
    "absolute": (member("/etc/cron.d/x"), r"member '/etc/cron\.d/x' is refused: absolute name"),
    "two slashes": (member("//x"), r"member '//x' is refused: absolute name"),
    "drive": (member("C:\\x"), r"member 'C:\\\\x' is refused: absolute name"),
    "backslash root": (member("\\x"), r"member '\\\\x' is refused: absolute name"),
    "parent": (member("../x"), r"member '\.\./x' is refused: '\.\.' in its name"),
    "parent inside": (member("a/b/../../../x"), r"member .* is refused: '\.\.' in its name"),
    "parent at the end": (member("a/.."), r"member 'a/\.\.' is refused: '\.\.' in its name"),
    "backslash parent": (member("a\\..\\..\\x"), r"is refused: '\.\.' in its name"),
    "escape": (member("a\x1b[31mb"), r"member 'a\\x1b\[31mb' is refused: control characters in its name"),
    "line feed": (member("a/b\nc"), r"member 'a/b\\nc' is refused: control characters"),
    "direction": (member("a\u202eb"), r"member 'a\\u202eb' is refused: control characters"),
    "no name": (member("."), r"member '\.' is refused: it has no name"),
    "symbolic link": (member("l", kind=tarfile.SYMTYPE, link="/etc/passwd"), r"member 'l' is refused: it is a link"),
    "hard link": (member("l", kind=tarfile.LNKTYPE, link="good 1"), r"member 'l' is refused: it is a link"),
    "character device": (member("d", kind=tarfile.CHRTYPE), r"'d' is refused: it is a device or other special file"),
    "block device": (member("d", kind=tarfile.BLKTYPE), r"'d' is refused: it is a device or other special file"),
    "pipe": (member("p", kind=tarfile.FIFOTYPE), r"'p' is refused: it is a device or other special file"),
}


@pytest.mark.parametrize("fault", REFUSED)
@pytest.mark.parametrize("gz", [True, False])
def test_each_is_refused_by_name_and_the_others_come_out(tmp_path: Path, fault: str, gz: bool) -> None:  # noqa: FBT001
    entry, message = REFUSED[fault]
    archive = tmp_path / ("a.tar.gz" if gz else "a.tar")
    done = one(archive, make_tar([("good 1", b"one"), (entry, b"evil"), ("good 2", b"two")], gz=gz))
    assert (done.files, done.bytes) == (2, 6)
    (error,) = done.errors
    assert isinstance(error, ArchiveError)
    with pytest.raises(ArchiveError, match=message):
        raise error
    assert str(error).startswith(f"{archive}: ")
    assert contents(tmp_path) == {archive.name: archive.read_bytes(), "out/good 1": b"one", "out/good 2": b"two"}


@pytest.mark.parametrize("name", ["NUL", "a/con.txt", "aux .x", "Lpt9.bin.gz", "a./b", "a/b ", "frame.bin:x"])
def test_names_that_windows_takes_for_something_else(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    odd, plain = (Member(one, 0, lambda: iter(())) for one in (name, "a.b/conx/com0/x.bin.gz"))
    assert str(safe_name(Path("a.tar"), odd)) == name  # elsewhere they are names as others
    monkeypatch.setattr(extract_module, "_IS_WINDOWS", True)
    with pytest.raises(ArchiveError, match=f"member '{name}' is refused: Windows takes no such name"):
        safe_name(Path("a.tar"), odd)
    assert str(safe_name(Path("a.tar"), plain)) == "a.b/conx/com0/x.bin.gz"


def test_all_at_once(tmp_path: Path) -> None:
    entries: list[tuple[str | tarfile.TarInfo, bytes]] = [
        ("first", b"1"),
        *((entry, b"evil") for entry, _message in REFUSED.values()),
        ("last", b"2"),
    ]
    done = one(tmp_path / "a.tar.gz", make_tar(entries))
    assert len(done.errors) == len(REFUSED)
    assert contents(tmp_path / "out") == {"first": b"1", "last": b"2"}


def test_a_refused_name_may_say_anything(tmp_path: Path) -> None:
    # "truncated" in the name of a member is not what is wrong with the archive
    done = one(tmp_path / "a.tar.gz", make_tar([("../truncated", b"x"), ("good", b"1")]))
    assert (done.files, len(done.errors)) == (1, 1)


def test_nothing_goes_through_a_link_that_came_with_the_archive(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    entries: list[tuple[str | tarfile.TarInfo, bytes]] = [
        (member("d", kind=tarfile.SYMTYPE, link=str(tmp_path / "victim")), b""),
        ("d/x", b"data"),
    ]
    done = one(tmp_path / "a.tar.gz", make_tar(entries))
    assert len(done.errors) == 1
    assert contents(tmp_path / "victim") == {}
    assert contents(tmp_path / "out") == {"d/x": b"data"}
    assert not (tmp_path / "out" / "d").is_symlink()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_whatever_the_name_the_path_stays_below(name: str) -> None:
    try:
        path = safe_name(Path("a.tar"), Member(name, 0, lambda: iter(())))
    except ArchiveError as error:
        assert "is refused" in str(error)  # noqa: PT017 - refusing is one of two right answers
        return
    out = "/home/somebody/out"
    joined = os.path.normpath(os.path.join(out, str(path)))  # noqa: PTH118 - the oracle is not pathlib
    assert joined.startswith(out + "/")


# What is there already


def test_the_same_again_is_counted_and_not_written(tmp_path: Path) -> None:
    data = make_tar([("a", b"1" * 3_000_000), ("b", b"2")])
    first = one(tmp_path / "a.tar.gz", data)
    before = {path.name: path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    assert one(tmp_path / "a.tar.gz", data) == first == Extracted(str(tmp_path / "a.tar.gz"), 2, 3_000_001, ())
    assert {path.name: path.stat().st_ino for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("mine", [b"mine", b"1234", b"123", b"12345678", b""])
def test_what_differs_is_kept_and_reported_unless_overwritten(tmp_path: Path, mine: bytes) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(mine)
    data = make_tar([("a", b"12x4"), ("b", b"2")])
    done = one(tmp_path / "a.tar.gz", data)
    target = tmp_path / "out" / "a"
    assert messages(done) == [f"{target}: already exists and differs; use --overwrite or another --out"]
    assert contents(tmp_path / "out") == {"a": mine, "b": b"2"}
    assert one(tmp_path / "a.tar.gz", data, overwrite=True).errors == ()
    assert contents(tmp_path / "out") == {"a": b"12x4", "b": b"2"}


def test_one_bit_of_a_large_file_is_a_difference(tmp_path: Path) -> None:
    large = bytearray(2_500_000)  # more than the pieces that are compared
    data = make_tar([("a", bytes(large))])
    one(tmp_path / "a.tar.gz", data)
    large[2_400_000] ^= 1
    (tmp_path / "out" / "a").write_bytes(large)
    assert len(one(tmp_path / "a.tar.gz", data).errors) == 1


def test_a_file_and_a_folder_of_one_name(tmp_path: Path) -> None:
    done = one(tmp_path / "a.tar.gz", make_tar([("x", b"file"), ("x/y", b"in a folder"), ("z/y", b"1"), ("z", b"2")]))
    out = tmp_path / "out"
    assert messages(done) == [
        f"{out / 'x' / 'y'}: cannot be written: {out / 'x'} is a file, and must be a folder",
        f"{out / 'z'}: already exists and differs; use --overwrite or another --out",
    ]
    assert contents(out) == {"x": b"file", "z/y": b"1"}


def test_a_name_too_long_for_the_disk_does_not_stop_the_rest(tmp_path: Path) -> None:
    done = one(tmp_path / "a.tar.gz", make_tar([("n" * 300, b"x"), ("good", b"1")]))
    assert messages(done) == [f"{tmp_path / 'out' / ('n' * 300)}: cannot be written: File name too long"]
    assert contents(tmp_path / "out") == {"good": b"1"}


# Damage

GOOD = [("first", b"1" * 5000), ("second", bytes(range(256)) * 40), ("third", b"3" * 5000)]


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize(("cut", "whole"), [(3_000, 0), (5_900, 1), (12_000, 1), (20_000, 2)])
def test_a_cut_archive_gives_what_is_whole_and_says_that_it_is_cut(
    tmp_path: Path,
    gz: bool,  # noqa: FBT001
    cut: int,
    whole: int,
) -> None:
    # A header of 512 B before each member, data in blocks of 512 B: the first lies at 512..5,512, the second's header
    # at 5,632, the second at 6,144..16,384, the third at 16,896..21,896. Level 0 stores: gzip adds but a few bytes.
    plain = make_tar(GOOD, gz=False)
    data = gzip_bytes(plain, level=0) if gz else plain
    done = one(tmp_path / "a.tar", data[:cut])
    (error,) = done.errors
    assert isinstance(error, ArchiveError)
    assert "truncated" in str(error) or "damaged" in str(error)
    assert done.files == whole
    found = contents(tmp_path / "out") if (tmp_path / "out").exists() else {}
    assert found == dict(GOOD[:whole])  # whole files only, nothing hidden


def test_a_damaged_stream_leaves_no_half_file(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(200_000)  # noqa: S311
    data = bytearray(gzip_bytes(make_tar([("a", noise[:100_000]), ("b", noise[100_000:])], gz=False)))
    data[150_000:150_050] = bytes(50)
    done = one(tmp_path / "a.tar.gz", bytes(data))
    assert len(done.errors) == 1
    assert isinstance(done.errors[0], ArchiveError)
    assert set(contents(tmp_path / "out")) <= {"a", "b"}


def test_a_wrong_crc_is_reported(tmp_path: Path) -> None:
    data = bytearray(make_tar(GOOD))
    data[-8] ^= 1
    done = one(tmp_path / "a.tar.gz", bytes(data))
    assert ["CRC or length check failed" in message for message in messages(done)] == [True]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a tar archive, found 0 bytes"),
        (b"hello" * 1000, "damaged: no tar archive, or damaged from the start: damaged member header"),
        ("<html>차단</html>".encode(), "expected a tar or zip archive, found '<html>차단</html>'"),
        (
            b"PK\3\4" + bytes(2000),
            "damaged or cut short: the list of members at its end cannot be read (File is not a zip file)",
        ),
        (b"\x1f\x8b" + b"hello" * 100, "damaged: Gzip/zlib wrapper specifies unsupported compress method"),
        (make_tar([("x", b"1")]) + b"junk after the stream", "damaged: 21 bytes or more follow the gzip stream"),
        (make_tar([("x", b"1")], gz=False) + b"junk after the end mark" * 50, "data follow the archive's end mark"),
    ],
    ids=["empty", "text", "page", "zip", "broken gzip", "junk after gzip", "junk after tar"],
)
def test_what_is_no_archive_is_an_error_of_that_archive(tmp_path: Path, data: bytes, message: str) -> None:
    (text,) = messages(one(tmp_path / "a.tar.gz", data))
    assert text.startswith(f"{tmp_path / 'a.tar.gz'}: ")
    assert message in text


# Several


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bad_archive_does_not_stop_the_others(tmp_path: Path, jobs: int) -> None:
    good = {f"{k}.tar.gz": make_tar([(f"{k}/a", b"a" * k), (f"{k}/b", b"b")]) for k in range(4)}
    bad = {"bad.tar": b"hello" * 1000, "cut.tar.gz": good["3.tar.gz"][:-20], "empty.tgz": b""}
    for name, data in (good | bad).items():
        (tmp_path / name).write_bytes(data)
    done = {Path(one.archive).name: one for one in extract(sorted(tmp_path.iterdir()), tmp_path / "out", jobs=jobs)}
    assert set(done) == set(good) | set(bad)
    assert {name for name, one in done.items() if one.errors} == set(bad)
    assert [(done[name].files, done[name].bytes) for name in sorted(good)] == [(2, 1), (2, 2), (2, 3), (2, 4)]
    expected = {f"{k}/a": b"a" * k for k in range(4)} | {f"{k}/b": b"b" for k in range(4)}
    assert contents(tmp_path / "out") == expected


@pytest.mark.slow
def test_two_archives_with_the_same_member_at_the_same_time(tmp_path: Path) -> None:
    # Each writes a temporary file of its own: what comes out is one or the other, whole.
    sides = [bytes([side]) * 8_000_000 for side in (1, 2)]
    for side, data in enumerate(sides):
        (tmp_path / f"{side}.tar").write_bytes(make_tar([("same", data)], gz=False))
    done = list(extract([tmp_path], tmp_path / "out", jobs=2))
    assert contents(tmp_path / "out")["same"] in sides
    assert list(contents(tmp_path / "out")) == ["same"]
    assert sum(one.files for one in done) + sum(len(one.errors) for one in done) == 2


def test_folders_globs_and_names_twice(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/a.tar", "in/deep/b.tgz", "in/notes.txt", "in/deep/c.bin.gz"):
        (tmp_path / name).write_bytes(make_tar([(Path(name).name, b"1")], gz=False))
    sources: list[str | Path] = [tmp_path / "in", str(tmp_path / "in" / "*.tar"), tmp_path / "in" / "a.tar"]
    done = [Path(one.archive).name for one in extract(sources, tmp_path / "out", jobs=1)]
    assert sorted(done) == ["a.tar", "b.tgz"]


def test_what_does_not_exist_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.tar: no such file or folder$"):
        extract([tmp_path / "nowhere.tar"], tmp_path / "out")
    with pytest.raises(SourceError, match=r"\*\.tar: no file matches this pattern$"):
        extract([str(tmp_path / "*.tar")], tmp_path / "out")
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(SourceError, match=r": no archive there \(\.tar\.gz, \.tgz, .*\.zip, \.tar\)$"):
        extract([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("jobs", [0, -2])
def test_jobs_that_cannot_be(tmp_path: Path, jobs: int) -> None:
    with pytest.raises(OptionsError, match=f"^jobs {jobs}: expected 1 or more, or -1 for one a core$"):
        extract([tmp_path], tmp_path / "out", jobs=jobs)
