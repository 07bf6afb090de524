from __future__ import annotations

import errno
import gzip
import io
import random
import re
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsrgeo.errors import ArchiveError, FrameNameError, TooLargeError
from hsrgeo.formats.composite import MAX_STORED_BYTES
from hsrgeo.formats.names import FrameName
from hsrgeo.sources.archive_formats import is_archive
from hsrgeo.sources.archives import frames_in_archive, open_members
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.select import Selection
from tests.conftest import TIME, frame_name, gzip_bytes, make_tar

RANDOM = random.Random(11)  # noqa: S311 - made-up files
NAMES = [frame_name(TIME + timedelta(minutes=5 * k)) for k in range(6)]
FRAMES = [(name, RANDOM.randbytes(2000 + 700 * k)) for k, name in enumerate(NAMES)]
"""Archives are read without unpacking the frames in them: any bytes will do."""
TAR = make_tar(FRAMES, gz=False)
TGZ = make_tar(FRAMES)
BLOCK = 512


def _ends() -> list[int]:
    """Where each frame's data end in the plain archive, reported by the standard library."""
    with tarfile.open(fileobj=io.BytesIO(TAR)) as tar:
        return [member.offset_data + member.size for member in tar.getmembers()]


ENDS = _ends()
MEMBERS_END = -(-ENDS[-1] // BLOCK) * BLOCK
"""Where the end mark begins: the last data, rounded up to a whole block."""


def _write(folder: Path, data: bytes, name: str = "a.tar.gz") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _read(path: Path, selection: Selection | None = None, tally: Tally | None = None) -> list[Found]:
    return list(frames_in_archive(path, selection or Selection(), tally or Tally()))


def _good(found: list[Found]) -> list[tuple[str | None, bytes | None]]:
    return [(item.member, item.data) for item in found if item.error is None]


def _error(found: list[Found]) -> str:
    """The message of the last record, which must be the only one with an error."""
    assert [item.error is None for item in found] == [True] * (len(found) - 1) + [False]
    last = found[-1]
    assert isinstance(last.error, ArchiveError)
    assert (last.member, last.frame_name, last.data) == (None, None, None)
    assert str(last.error).startswith(f"{last.source}: ")
    return str(last.error)


# -- what must be read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "data"), [("a.tar.gz", TGZ), ("a.tgz", TGZ), ("a.tar", TAR), ("gz-inside.tar", TGZ)])
def test_frames_come_in_stored_order_with_their_bytes(tmp_path: Path, name: str, data: bytes) -> None:
    path = _write(tmp_path, data, name)
    tally = Tally()
    found = _read(path, tally=tally)
    assert _good(found) == FRAMES
    assert [item.source for item in found] == [str(path)] * 6
    assert [item.size for item in found] == [2000 + 700 * k for k in range(6)]
    assert [item.frame_name for item in found] == [
        FrameName("HSR", "PUB", TIME + timedelta(minutes=5 * k)) for k in range(6)
    ]
    assert tally.read_bytes == len(data)
    assert tally.passed_over == {}


def test_stored_order_is_not_sorted(tmp_path: Path) -> None:
    shuffled = [FRAMES[k] for k in (4, 0, 5, 2, 1, 3)]
    assert _good(_read(_write(tmp_path, make_tar(shuffled)))) == shuffled


def test_folders_inside_do_not_matter(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("RDR_HSR_202206/09")
    folder.type = tarfile.DIRTYPE
    nested = [f"RDR_HSR_202206/09/{NAMES[0]}", f"./{NAMES[1]}", f"{'deep/' * 40}{NAMES[2]}", f"한국/{NAMES[3]}"]
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        data = make_tar([(folder, b""), *((name, b"x") for name in nested)], tar_format=tar_format)
        tally = Tally()
        found = _read(_write(tmp_path, data), tally=tally)
        assert [item.member for item in found] == nested
        assert tally.passed_over == {}  # a folder is not worth a count


def test_what_is_no_frame_is_passed_over_and_counted(tmp_path: Path) -> None:
    device, symlink, hardlink = (tarfile.TarInfo(name) for name in ("dev/null", "newest.bin.gz", "oldest.bin.gz"))
    device.type, symlink.type, hardlink.type = tarfile.CHRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
    symlink.linkname, hardlink.linkname = "/etc/passwd", NAMES[0]
    entries: list[tuple[str | tarfile.TarInfo, bytes]] = [
        ("README", b"read me"),
        FRAMES[0],
        (f"._{NAMES[0]}", b"AppleDouble"),
        ("other.bin.gz", b"?"),
        ("RDR_PCP_HSR_KMA_M060_202206091115.bin.gz", b"an accumulation"),
        (f"{NAMES[1]}.part", b"?"),
        ("notes.txt", b"?"),
        ("more.txt", b"?"),
        ("a.suffix_that_is_longer_than_any", b"?"),
        (device, b""),
        (symlink, b""),
        (hardlink, b""),
        FRAMES[1],
    ]
    tally = Tally()
    assert _good(_read(_write(tmp_path, make_tar(entries)), tally=tally)) == FRAMES[:2]
    assert tally.passed_over == {
        ".bin.gz": 5,  # AppleDouble, other, accumulation, two links
        ".part": 1,
        ".txt": 2,
        "no suffix": 2,  # README and the device
        "other": 1,
    }
    assert sum(tally.passed_over.values()) == 11
    # five are shown by name: those whose names say .bin.gz
    assert tally.lookalikes == [
        f"._{NAMES[0]}", "other.bin.gz", "RDR_PCP_HSR_KMA_M060_202206091115.bin.gz", "newest.bin.gz", "oldest.bin.gz",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry_type", "what"),
    [
        (tarfile.LNKTYPE, "a link, which is not followed"),  # tar writes the second of two names of a file so
        (tarfile.SYMTYPE, "a link, which is not followed"),
        (tarfile.FIFOTYPE, "a device or pipe"),
    ],
)
def test_a_frame_that_is_no_file_is_a_broken_frame(tmp_path: Path, entry_type: bytes, what: str) -> None:
    link = tarfile.TarInfo(NAMES[1])
    link.type, link.linkname = entry_type, NAMES[0]
    tally = Tally()
    path = _write(tmp_path, make_tar([FRAMES[0], (link, b""), FRAMES[2]]))
    found = _read(path, tally=tally)
    assert [str(one.error or "") for one in found] == [
        "", f"{path} [{NAMES[1]}]: cannot be read: expected a file, found {what}", "",
    ]  # fmt: skip
    assert not tally.passed_over
    assert [one.member for one in _read(path, Selection(start=TIME + timedelta(minutes=10)))] == [NAMES[2]]


def test_only_a_few_lookalikes_are_kept() -> None:
    tally = Tally()
    for k in range(100):
        tally.pass_over(f"x/look{k}.bin")
    assert tally.lookalikes == [f"look{k}.bin" for k in range(5)]
    assert tally.passed_over == {".bin": 100}


def test_a_selection_leaves_the_rest_unread(tmp_path: Path) -> None:
    tally = Tally()
    wanted = Selection(start=TIME + timedelta(minutes=5), end=TIME + timedelta(minutes=20))
    assert _good(_read(_write(tmp_path, TGZ), wanted, tally)) == FRAMES[1:4]
    assert tally.unselected == 3
    assert tally.read_bytes == len(TGZ)


def test_a_second_member_of_the_same_name_is_numbered(tmp_path: Path) -> None:
    # `tar -r` appends a newer version; both are frames, and which one is kept is not decided here
    entries = [(NAMES[0], b"first"), (NAMES[1], b"other"), (NAMES[0], b"second"), (NAMES[0], b"third")]
    found = _read(_write(tmp_path, make_tar(entries)))
    assert _good(found) == [
        (NAMES[0], b"first"),
        (NAMES[1], b"other"),
        (f"{NAMES[0]}#2", b"second"),
        (f"{NAMES[0]}#3", b"third"),
    ]
    assert found[2].frame_name == found[0].frame_name
    # the same name in another folder is another member
    apart = [(f"a/{NAMES[0]}", b"1"), (f"b/{NAMES[0]}", b"2")]
    assert _good(_read(_write(tmp_path, make_tar(apart)))) == apart


def test_an_archive_may_be_empty(tmp_path: Path) -> None:
    for name, data in (("a.tar", make_tar([], gz=False)), ("a.tar.gz", make_tar([]))):
        assert _read(_write(tmp_path, data, name)) == []


@pytest.mark.parametrize("gz", [True, False])
def test_zeros_after_the_end_mark_are_filling(tmp_path: Path, gz: bool) -> None:  # noqa: FBT001
    filled = TAR + bytes(100_000)
    assert _good(_read(_write(tmp_path, gzip_bytes(filled) if gz else filled))) == FRAMES


def test_an_archive_packed_in_several_gzip_members_is_one(tmp_path: Path) -> None:
    # pigz and bgzip write so
    cut = ENDS[2] - 100
    assert _good(_read(_write(tmp_path, gzip_bytes(TAR[:cut]) + gzip_bytes(TAR[cut:])))) == FRAMES
    none = gzip_bytes(b"") * 2000  # as many as Python's own stack is not deep
    assert _good(_read(_write(tmp_path, none + gzip_bytes(TAR[:cut]) + none + gzip_bytes(TAR[cut:]) + none))) == FRAMES


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.tar", True),
        ("a.tar.gz", True),
        ("A.TGZ", True),
        ("RDR_HSR_202206.TAR.GZ", True),
        ("a.gz", False),
        ("tar", False),
    ],
)
def test_is_archive_goes_by_the_name(name: str, found: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_archive(Path("in") / name) is found


# -- a frame in it that cannot be used --------------------------------------------------------------------------------


def test_a_malformed_name_is_a_record_and_reading_goes_on(tmp_path: Path) -> None:
    broken = "09/RDR_CMP_HSR_PUB_202213991115.bin.gz"
    path = _write(tmp_path, make_tar([FRAMES[0], (broken, b"???"), FRAMES[1]]))
    # also where it could not be among those wanted: nobody can tell
    for selection in (Selection(), Selection(product="HSR", start=TIME)):
        first, bad, last = _read(path, selection)
        assert _good([first, last]) == FRAMES[:2]
        assert isinstance(bad.error, FrameNameError)
        assert str(bad.error).startswith(
            f"{path} [{broken}]: file name: expected RDR_CMP_<type>_<kind>_<YYYYMMDDHHMM>.bin.gz"
        )
        assert str(bad.error).endswith("found RDR_CMP_HSR_PUB_202213991115.bin.gz")
        assert (bad.member, bad.frame_name, bad.size, bad.data) == (broken, None, 3, None)


def test_an_oversized_member_is_a_record_and_is_not_read(tmp_path: Path) -> None:
    size = MAX_STORED_BYTES + 1
    big = bytes(size)
    path = _write(tmp_path, make_tar([FRAMES[0], (NAMES[1], big), FRAMES[2]]))
    del big
    tracemalloc.start()
    try:
        _first, bad, last = _read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(bad.error, TooLargeError)
    assert str(bad.error) == (
        f"{path} [{NAMES[1]}]: too large: expected at most {MAX_STORED_BYTES:,} bytes, found {size:,} bytes"
    )
    assert (bad.size, bad.data) == (size, None)
    assert _good([last]) == [FRAMES[2]]
    assert peak < 10 << 20


# -- an archive that is cut or damaged: what came before is good -------------------------------------------------------


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_missing_or_unreadable_archive_is_a_record(tmp_path: Path, name: str) -> None:
    assert _error(_read(tmp_path / name)).endswith(
        f"{name}: cannot be read: No such file or directory (after 0 frames)"
    )
    (tmp_path / name).mkdir()
    assert _error(_read(tmp_path / name)).endswith(f"{name}: cannot be read: Is a directory (after 0 frames)")


def test_an_archive_of_zero_bytes(tmp_path: Path) -> None:
    assert _error(_read(_write(tmp_path, b""))).endswith("expected a tar archive, found 0 bytes (after 0 frames)")


@pytest.mark.parametrize(
    "data",
    [b"# file not exist (X)\n", b"x" * 5000, b"\x1f\x8bnot gzip", gzip.compress(b"x" * 5000, mtime=0), FRAMES[0][1]],
)
def test_what_is_no_archive_at_all(tmp_path: Path, data: bytes) -> None:
    assert "(after 0 frames)" in _error(_read(_write(tmp_path, data)))


def test_a_plain_archive_cut_anywhere(tmp_path: Path) -> None:
    for cut in [*range(1, MEMBERS_END + BLOCK, 97), *ENDS, *(end + 1 for end in ENDS), MEMBERS_END, MEMBERS_END + 511]:
        found = _read(_write(tmp_path, TAR[:cut]))
        whole = sum(end <= cut for end in ENDS)
        assert _good(found) == FRAMES[:whole], cut
        message = _error(found)
        assert "truncated" in message or "it ends without an end mark: it may be cut short" in message, (cut, message)
        assert message.endswith(f"(after {whole} frame{'s' * (whole != 1)})")


def test_a_gzipped_archive_cut_anywhere_loses_no_frame_before_the_cut(tmp_path: Path) -> None:
    for cut in [*range(3, len(TGZ) - 8, 211), *range(len(TGZ) - 8, len(TGZ))]:
        found = _read(_write(tmp_path, TGZ[:cut]))
        there = len(zlib.decompressobj(wbits=31).decompress(TGZ[:cut]))  # all that can be unpacked from it
        whole = sum(end <= there for end in ENDS)
        assert _good(found) == FRAMES[:whole], cut
        message = _error(found)
        assert message.endswith(
            f"a.tar.gz: truncated: the file ends inside the archive (after {whole} frame{'s' * (whole != 1)})"
        ), (
            cut,
            message,
        )


def test_a_missing_end_mark_is_reported(tmp_path: Path) -> None:
    for data in (TAR[:MEMBERS_END], gzip_bytes(TAR[:MEMBERS_END])):
        found = _read(_write(tmp_path, data))
        assert _good(found) == FRAMES
        assert _error(found).endswith("it ends without an end mark: it may be cut short (after 6 frames)")


@pytest.mark.parametrize("gz", [True, False])
def test_a_damaged_member_header_is_not_the_end(tmp_path: Path, gz: bool) -> None:  # noqa: FBT001
    # tarfile alone takes it for the end of the archive, without a word
    damaged = bytearray(TAR)
    third = -(-ENDS[1] // BLOCK) * BLOCK
    damaged[third + 10] ^= 0x01  # a letter of the third member's name: its checksum no longer holds
    with tarfile.open(fileobj=io.BytesIO(bytes(damaged))) as tar:
        assert len(tar.getmembers()) == 2
    found = _read(_write(tmp_path, gzip_bytes(bytes(damaged)) if gz else bytes(damaged)))
    assert _good(found) == FRAMES[:2]
    assert "damaged member header (bad checksum): what follows cannot be read (after 2 frames)" in _error(found)


def test_joined_archives_are_reported(tmp_path: Path) -> None:
    # `cat a.tar b.tar`: tarfile stops at the first one's end mark
    other = [(frame_name(TIME + timedelta(days=1)), b"next day")]
    for data in (TAR + make_tar(other, gz=False), TGZ + make_tar(other)):
        found = _read(_write(tmp_path, data))
        assert _good(found) == FRAMES
        assert _error(found).endswith(
            "data follow the archive's end mark and are not read (joined archives?) (after 6 frames)"
        )


def test_junk_after_the_gzip_stream_is_reported(tmp_path: Path) -> None:
    found = _read(_write(tmp_path, TGZ + b"junk"))
    assert _good(found) == FRAMES
    assert "damaged: 4 bytes or more follow the gzip stream" in _error(found)


def test_a_crc_that_disagrees_at_the_very_end_is_reported(tmp_path: Path) -> None:
    for offset in (-8, -5):
        damaged = bytearray(TGZ)
        damaged[offset] ^= 0x10
        found = _read(_write(tmp_path, bytes(damaged)))
        assert _good(found) == FRAMES
        assert "a.tar.gz: damaged: CRC or length check failed" in _error(found)
    damaged = bytearray(TGZ)
    damaged[-2] ^= 0x10
    assert "damaged: CRC or length check failed (after 6 frames)" in _error(_read(_write(tmp_path, bytes(damaged))))


def test_damaged_gzip_data_are_reported(tmp_path: Path) -> None:
    stored = gzip.compress(TAR, 0, mtime=0)  # stored blocks of up to 64 KiB: a header of five bytes at byte 10
    broken = bytearray(stored)
    broken[12] ^= 0xFF
    message = _error(_read(_write(tmp_path, bytes(broken))))
    assert re.search(r"a\.tar\.gz: damaged: Invalid deflate block found \(after 0 frames\)$", message)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.lists(st.tuples(st.integers(0, len(TAR) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_any_damage_is_a_record_and_never_an_exception(tmp_path: Path, gz: bool, flips: list[tuple[int, int]]) -> None:  # noqa: FBT001
    damaged = bytearray(TGZ if gz else TAR)
    for at, mask in flips:
        damaged[at % len(damaged)] ^= mask
    found = _read(_write(tmp_path, bytes(damaged)))
    if gz and bytes(damaged[10:]) != TGZ[10:]:
        assert isinstance(found[-1].error, ArchiveError)  # gzip's CRC covers everything after its header
    for item in found[:-1]:
        assert not isinstance(item.error, ArchiveError)  # it is the last record


def _pax(headers: dict[str, str]) -> bytes:
    member = tarfile.TarInfo(NAMES[1])
    member.pax_headers = headers
    return member.tobuf(tarfile.PAX_FORMAT)


def _gnu(member_type: bytes = tarfile.REGTYPE, size: int = 0, name: str = NAMES[1]) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = member_type, size
    return member.tobuf(tarfile.GNU_FORMAT)


MARK = bytes(2 * BLOCK)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda: _pax({"comment": "x" * (2 << 20)}), r"a member of 2,097,\d\d\d bytes where at most 1,048,576 can be"),
        (
            lambda: _gnu(tarfile.GNUTYPE_LONGNAME, 2 << 20) + bytes(2 << 20),
            "a member of 2,097,152 bytes where at most 1,048,576 can",
        ),
        (lambda: _gnu(tarfile.XGLTYPE, 1 << 40), "a member of 1,099,511,627,776 bytes where at most 1,048,576 can be"),
        # 4 EiB, frame or not: to skip them would take tarfile years
        (lambda: _gnu(size=1 << 62), "a member of 4,611,686,018,427,387,904 bytes where at most"),
        (lambda: _gnu(size=1 << 62, name="notes.txt"), "a member of 4,611,686,018,427,387,904 bytes where at most"),
        (lambda: _pax({"size": str(1 << 62)}), "a member of 4,611,686,018,427,387,904 bytes where at most"),
        (lambda: _pax({"size": "-512"}), "a member of -512 bytes where at most"),
        (lambda: _gnu(size=-512), "a member of -512 bytes where at most"),
        (lambda: _pax({"GNU.sparse.map": "a,b"}), "damaged: invalid literal for int"),
        (
            lambda: (_gnu(tarfile.GNUTYPE_LONGNAME, 5) + b"name\0".ljust(BLOCK, b"\0")) * 3000,
            "damaged: maximum recursion depth",
        ),
    ],
    ids=[
        "pax",
        "longname",
        "global",
        "frame",
        "other",
        "pax-size",
        "pax-negative",
        "negative",
        "sparse",
        "names-on-names",
    ],
)
def test_a_hostile_header_ends_the_archive(tmp_path: Path, second: Callable[[], bytes], message: str) -> None:
    first = TAR[: -(-ENDS[0] // BLOCK) * BLOCK]
    found = _read(_write(tmp_path, first + second() + MARK))
    assert _good(found) == FRAMES[:1]
    assert re.search(rf"a\.tar\.gz: .*{message}.*\(after 1 frame\)$", _error(found))


def test_a_large_member_that_is_not_all_there_is_a_cut(tmp_path: Path) -> None:
    # a terabyte is the most that may be skipped, and must not take long where the file ends at once
    found = _read(_write(tmp_path, _gnu(size=1 << 34, name="notes.txt") + MARK))
    assert "truncated: the file ends inside the archive (after 0 frames)" in _error(found)


# -- memory and files -------------------------------------------------------------------------------------------------


def test_members_that_went_by_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tarfile.TarFile] = []
    real = tarfile.open

    def noted(*args: object, **options: object) -> tarfile.TarFile:
        opened.append(real(*args, **options))  # type: ignore[call-overload]
        return opened[-1]

    many = [(frame_name(TIME + timedelta(minutes=5 * k)), b"x") for k in range(300)]
    path = _write(tmp_path, make_tar(many))
    monkeypatch.setattr(tarfile, "open", noted)
    lengths = [len(vars(opened[0])["members"]) for _found in frames_in_archive(path, Selection(), Tally())]
    assert len(lengths) == 300
    assert max(lengths) == 1  # tarfile itself keeps all 300


@pytest.mark.slow
def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        many = [(frame_name(TIME + timedelta(minutes=5 * k)), b"x" * 400) for k in range(count)]
        path = _write(tmp_path, make_tar(many))
        tracemalloc.start()
        try:
            assert sum(item.error is None for item in frames_in_archive(path, Selection(), Tally())) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Both are longer than the 1 MiB that is read at a time. A member that is kept takes about 1 kB, the count of its
    # name 0.1 kB.
    small, large = peak(1200), peak(3000)
    assert large - small < 1800 * 400


def test_an_archive_left_half_read_is_closed(tmp_path: Path) -> None:
    frames = frames_in_archive(_write(tmp_path, TGZ), Selection(), Tally())
    assert next(frames).data == FRAMES[0][1]
    del frames  # the fixture that watches open files fails this test if the archive is still open


def test_progress_is_added_to_what_was_read_before(tmp_path: Path) -> None:
    tally = Tally(read_bytes=1000)
    seen = [tally.read_bytes for _found in frames_in_archive(_write(tmp_path, TGZ), Selection(), tally)]
    assert seen == sorted(seen)
    assert seen[0] >= 1000
    assert tally.read_bytes == 1000 + len(TGZ)


def test_members_are_read_in_pieces_or_skipped(tmp_path: Path) -> None:
    big = RANDOM.randbytes((2 << 20) + 5)
    path = _write(tmp_path, make_tar([("big.bin", big), FRAMES[0], FRAMES[1]]))
    with open_members(path) as members:
        got = {}
        for member in members:
            if member.name != NAMES[0]:  # one is not read at all
                pieces = list(member.read())
                got[member.name] = b"".join(pieces)
                assert max(map(len, pieces)) <= 1 << 20
    assert got == {"big.bin": big, NAMES[1]: FRAMES[1][1]}


@pytest.mark.parametrize("early", [True, False])
def test_a_file_that_cannot_be_closed_says_nothing_against_its_frames(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    early: bool,  # noqa: FBT001
) -> None:
    class Unclosed(io.BytesIO):
        def close(self) -> None:
            super().close()
            raise OSError(errno.EIO, "Input/output error")

    path = _write(tmp_path, TGZ)
    wanted = list(frames_in_archive(path, Selection(), Tally()))
    monkeypatch.setattr("hsrgeo.sources.archives.open_file", lambda path: Unclosed(path.read_bytes()))
    frames = frames_in_archive(path, Selection(), Tally())
    if early:
        assert next(frames) == wanted[0]
        cast("Generator[Found]", frames).close()
    else:
        assert list(frames) == wanted
