"""Files made to hurt: bombs, endless headers, odd names and things that are no files.

What hangs would hang the tests too, so each has a limit here that is far beyond what it takes. What the fuzzer found
(`python -m tests.fuzz`) is at the end, as small as it could be made.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import struct
import tarfile
import tracemalloc
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import hsrgeo
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.extract import extract_archive
from hsrgeo.engine.regions import read_regions
from hsrgeo.errors import (
    ArchiveError,
    ChecksumError,
    DeflateStreamError,
    FrameNameError,
    HsrGeoWarning,
    ManifestError,
    OptionsError,
    SourceError,
    TooLargeError,
)
from hsrgeo.formats.composite import MAX_STORED_BYTES
from hsrgeo.formats.gzipped import gunzip
from hsrgeo.formats.names import claims_frame
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.window import as_bbox
from hsrgeo.outputs.catalogs import catalog_frames, is_catalog
from hsrgeo.outputs.folder import exported_frames
from hsrgeo.outputs.kept_recipe import keep_recipe, kept_recipe, refuse_other_recipe
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import MANIFEST, OPTIONS
from hsrgeo.outputs.recipe import recipe_from_json
from hsrgeo.places import polygons, weights
from hsrgeo.places.places import read_points
from hsrgeo.places.polygons import _polygon, read_polygons
from hsrgeo.products.rain import parse_law
from hsrgeo.sources.archives import frames_in_archive
from hsrgeo.sources.found import Found, Tally, read_file
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection
from tests.conftest import TIME, MakeFile, frame_name, gzip_bytes, make_tar
from tests.fuzz.run import time_limit

BLOCK = 512
MARK = bytes(2 * BLOCK)
NAMES = [frame_name(TIME + number * timedelta(minutes=5)) for number in range(4)]
MEMBERS = int(os.environ.get("HSRGEO_HOSTILE_MEMBERS", "5000"))
"""Of the archive of many members; a million take two minutes."""
LIMIT_S = 20.0
BOUND_BYTES = 16 << 20
"""Beyond what is there before: headers are at most 2 MiB, and the map of a sparse member is several times as large."""


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    with time_limit(max(LIMIT_S, MEMBERS / 1000)):
        yield


def member(kind: bytes = tarfile.REGTYPE, size: int = 0, name: str = NAMES[0], **fields: Any) -> bytes:
    """Return the header of a member, as GNU tar writes it."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // BLOCK) * BLOCK, b"\0")


def attributes(records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """Return a pax header of these records, whatever they are."""
    return member(kind, len(records), "pax") + padded(records)


def record(name: str, value: str) -> bytes:
    tail = f" {name}={value}\n".encode("utf-8", "surrogateescape")
    length = len(tail) + 1
    while length != len(tail) + len(str(length)):
        length = len(tail) + len(str(length))
    return str(length).encode() + tail


def files(*names: str) -> bytes:
    return b"".join(member(size=5, name=name) + padded(b"hello") for name in names)


def read(folder: Path, data: bytes) -> list[Found]:
    path = folder / "a.tar.gz"
    path.write_bytes(data)
    return list(frames_in_archive(path, Selection(), Tally()))


def ending(found: list[Found]) -> str:
    assert isinstance(found[-1].error, ArchiveError)
    return str(found[-1].error)


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < BOUND_BYTES


# -- headers of archives ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "message"),
    [
        # tarfile looks for "\d+ hdrcharset=" with a regular expression: the square of a million (CVE-2024-6232)
        (record("comment", "1" * 1_000_000), "256 digits and more in a row"),
        (b"1" * 1_000_000, "damaged attributes"),
        # each record of two bytes would be given all the rest of the header as its name, 500,000 times
        (b"2 " * 500_000 + b"=", "damaged attributes"),
        (b"9999999999 a=b\n", "damaged attributes"),
        (b"0 a=b\n", "damaged attributes"),
        (b"-6 a=b\n", "damaged attributes"),
        (b"7 a=b\n", "damaged attributes"),  # one byte further than there is
        (b"6 ab=c\n", "damaged attributes"),  # no line feed where it must end
        (b"6 abcd\n", "damaged attributes"),
        (record("GNU.sparse.map", "0,1," * 200_000 + "x"), "damaged: invalid literal"),
        (record("GNU.sparse.size", "x"), "damaged"),
    ],
)
def test_attributes_that_would_take_hours_end_the_archive(tmp_path: Path, records: bytes, message: str) -> None:
    with bounded_memory():
        found = read(tmp_path, files(NAMES[0]) + attributes(records) + files(NAMES[1]) + MARK)
    assert [one.member for one in found[:-1]] == NAMES[:1]
    assert message in ending(found)
    assert ending(found).endswith("(after 1 frame)")


def test_attributes_that_are_sound_are_read(tmp_path: Path) -> None:
    records = record("mtime", "1654740900.123456789") + record("path", "a/" + NAMES[1]) + record("comment", "2\n3 x=y")
    found = read(tmp_path, attributes(records) + files("shortened") + files(NAMES[2]) + MARK)
    assert [(one.member, one.data) for one in found] == [(f"a/{NAMES[1]}", b"hello"), (NAMES[2], b"hello")]


def test_attributes_contradict_the_header(tmp_path: Path) -> None:
    # The attributes count (POSIX, pax interchange format): 700 bytes are two blocks, whatever the header says.
    data = attributes(record("size", "700")) + member(size=5) + padded(b"x" * 700) + files(NAMES[1]) + MARK
    assert [(one.member, one.size) for one in read(tmp_path, data)] == [(NAMES[0], 700), (NAMES[1], 5)]
    for size in ("-1", str(1 << 62), "9" * 200):
        data = attributes(record("size", size)) + files(NAMES[0]) + MARK
        assert "bytes where at most" in ending(read(tmp_path, data))


def test_global_attributes_do_not_pile_up(tmp_path: Path) -> None:
    def one(number: int) -> bytes:
        return attributes(record(f"key{number}", "v" * 200_000), tarfile.XGLTYPE) + files(NAMES[0])

    data = gzip_bytes(b"".join(map(one, range(50))) + MARK)
    with bounded_memory():
        found = read(tmp_path, data)
    assert "global attributes without end" in ending(found)
    assert len(found) == 6  # 5 of 200,000 letters and one too many are more than 1,048,576


def test_a_sparse_map_without_end(tmp_path: Path) -> None:
    header = bytearray(member(tarfile.GNUTYPE_SPARSE, 0))
    header[482:483] = b"\1"  # "more of the map follows", as every block of it says
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    follows = (b"%011o\0%011o\0" % (1, 1)) * 21 + b"\1".ljust(8, b"\0")
    found = read(tmp_path, gzip_bytes(bytes(header) + follows * 20_000))
    assert "bytes of names and maps before a member" in ending(found)


def test_a_sparse_list_without_end(tmp_path: Path) -> None:
    # GNU's format 1.0 has the map before the data: a number of pairs, then a line a number
    records = record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", NAMES[0])
    head = attributes(records + record("GNU.sparse.realsize", "9")) + member(size=1 << 30)
    found = read(tmp_path, gzip_bytes(head + b"999999999\n" + b"100000000000\n" * 300_000))
    assert "bytes of names and maps before a member" in ending(found)


def test_names_upon_names_are_bounded(tmp_path: Path) -> None:
    long = member(tarfile.GNUTYPE_LONGNAME, 1 << 20) + bytes(1 << 20)
    data = gzip_bytes(long * 30 + files(NAMES[0]) + MARK)
    with bounded_memory():
        found = read(tmp_path, data)
    assert "bytes of names and maps before a member" in ending(found)


def sparse_member(name: str, size: int) -> bytes:
    """Return a member that claims `size` bytes and has 512: old GNU format, offsets 386 (map) and 483 (size)."""
    header = bytearray(member(tarfile.GNUTYPE_SPARSE, BLOCK, name))
    header[386:410] = b"%011o\0%011o\0" % (0, BLOCK)
    header[483:495] = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    return bytes(header) + b"x" * BLOCK


def test_a_sparse_member_that_claims_a_terabyte(tmp_path: Path) -> None:
    data = sparse_member(NAMES[0], 1 << 40) + sparse_member("other", MAX_STORED_BYTES + 1) + files(NAMES[1]) + MARK
    with bounded_memory():
        found = read(tmp_path, data)
    assert isinstance(found[0].error, TooLargeError)
    assert [(one.member, one.data) for one in found[1:]] == [(NAMES[1], b"hello")]
    done = extract_archive(tmp_path / "a.tar.gz", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [NAMES[1]]
    assert [str(error).partition("refused: ")[2] for error in done.errors] == [
        "it is sparse and would fill 1,099,511,627,776 bytes",
        "it is sparse and would fill 54,175,241 bytes",
    ]


def test_a_small_sparse_member_is_unpacked_with_its_holes(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(sparse_member("holes", 2048) + MARK)
    assert extract_archive(tmp_path / "a.tar", tmp_path / "out").errors == ()
    assert (tmp_path / "out" / "holes").read_bytes() == b"x" * BLOCK + bytes(2048 - BLOCK)


# -- bombs ------------------------------------------------------------------------------------------------------------


def write_gzip(path: Path, pieces: Iterator[bytes]) -> None:
    stream = zlib.compressobj(1, wbits=31)
    with path.open("wb") as file:
        for piece in pieces:
            file.write(stream.compress(piece))
        file.write(stream.flush())


def test_a_member_of_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    size = 1 << 26
    zeros = (bytes(1 << 20) for _ in range(size >> 20))
    path = tmp_path / "a.tar.gz"
    write_gzip(path, (piece for part in (iter([member(size=size)]), zeros, iter([MARK])) for piece in part))
    assert path.stat().st_size < 2 << 20
    with bounded_memory():
        [found] = frames_in_archive(path, Selection(), Tally())
    assert isinstance(found.error, TooLargeError)


def test_a_frame_that_is_a_bomb_is_a_failed_frame(tmp_path: Path, make_file: MakeFile) -> None:
    bomb = gzip_bytes(gzip_bytes(bytes(60_000_000), level=9), level=9)  # nested: inside it is gzip, and no header
    plain_bomb = gzip_bytes(bytes(60_000_000), level=9)
    sound = make_file(time=TIME + timedelta(minutes=10))
    data = make_tar(
        [(NAMES[0], bomb), (NAMES[1], plain_bomb), ("inner.tar.gz", make_tar([(NAMES[3], sound)])), (NAMES[2], sound)]
    )
    (tmp_path / "a.tar.gz").write_bytes(data)
    options = ExportOptions(window=(0, 0, 4, 4), formats="png", jobs=1)
    done = {outcome.name: outcome for outcome in hsrgeo.export(tmp_path / "a.tar.gz", tmp_path / "out", options)}
    assert {name: one.status for name, one in done.items()} == {
        NAMES[0]: "failed",
        NAMES[1]: "failed",
        NAMES[2]: "ok",
        NAMES[3]: "failed",  # of the archive inside; its header has another time
    }
    assert isinstance(done[NAMES[1]].error, TooLargeError)


def many(count: int) -> Iterator[bytes]:
    """Yield the archive of many tiny members, of the kinds that are passed over, refused and read."""
    kinds = (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
    headers = [member(kind, name=f"RDR_HSR_202206/{number}.txt", linkname="x") for number, kind in enumerate(kinds)]
    for number in range(count):
        yield headers[number % 4]
    yield member(size=5, name=NAMES[0]) + padded(b"hello") + MARK


@pytest.mark.slow
def test_very_many_tiny_members(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    write_gzip(path, many(MEMBERS))
    tally = Tally()
    with bounded_memory():
        [found] = frames_in_archive(path, Selection(), tally)
    assert found.data == b"hello"
    assert tally.passed_over == {".txt": 3 * MEMBERS // 4}  # folders are not counted
    with bounded_memory():
        links = tmp_path / "links.tar.gz"
        write_gzip(links, (piece for number, piece in enumerate(many(MEMBERS)) if number % 4 in (1, 2)))
        done = extract_archive(links, tmp_path / "out")
    assert len(done.errors) == 1001 + 1  # the archive also lacks its end here
    assert str(done.errors[-1]).endswith(
        f"{MEMBERS // 2 - 1000 + 1 - 1:,} more members are refused or could not be written"
    )


# -- names ------------------------------------------------------------------------------------------------------------

EUC_KR = "레이더".encode("cp949").decode("utf-8", "surrogateescape")
ODD_NAMES = {
    "10,000 letters": "x" * 10_000,
    "10,000 folders": "d/" * 5_000 + "x",
    "EUC-KR": EUC_KR,
    "no encoding at all": "\udcff\udcfe\udc80",
    "control codes": "a\nb\x1b[31m\x07",
    "turned round": "\u202etxt.exe",
}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("odd", ODD_NAMES)
def test_a_name_of_any_kind_costs_only_its_own_member(tmp_path: Path, odd: str, form: int, make_file: MakeFile) -> None:
    name = ODD_NAMES[odd]
    entries: list[tuple[str | tarfile.TarInfo, bytes]] = [
        (f"{name}/{NAMES[0]}", make_file()),
        (f"RDR_CMP_{name}.bin", b"hello"),
        (NAMES[1], make_file(time=TIME + timedelta(minutes=5))),
    ]
    path = tmp_path / "a.tar.gz"
    path.write_bytes(make_tar(entries, tar_format=form))
    options = ExportOptions(window=(0, 0, 4, 4), formats="png", jobs=1)
    done = list(hsrgeo.export(path, tmp_path / "out", options))
    claims = [str(entry) for entry, _data in entries if claims_frame(str(entry))]
    assert len(claims) == (2 if "/" in name else 3)  # with folders in it, the second one is called x.bin
    assert {one.member: one.status for one in done} == {
        claim: "failed" if claim.startswith("RDR_CMP_") and claim != NAMES[1] else "ok" for claim in claims
    }
    assert all(isinstance(one.error, FrameNameError) for one in done if one.status == "failed")
    lines = [json.loads(line) for line in (tmp_path / "out" / MANIFEST).read_bytes().splitlines()]
    assert {line["member"] for line in lines} == set(claims)
    unpacked = extract_archive(path, tmp_path / "unpacked")
    assert unpacked.files + len(unpacked.errors) == 3
    assert (tmp_path / "unpacked" / NAMES[1]).is_file()


def test_a_zero_in_a_name(tmp_path: Path) -> None:
    data = attributes(record("path", f"a\0/{NAMES[0]}")) + files("short") + files(NAMES[1]) + MARK
    found = read(tmp_path, data)
    assert [one.member for one in found if one.error is None][-1] == NAMES[1]
    done = extract_archive(tmp_path / "a.tar.gz", tmp_path / "out")
    assert done.files == 1
    assert "is refused" in str(done.errors[0])


# -- what is no file --------------------------------------------------------------------------------------------------


def test_an_archive_that_is_a_pipe_or_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tar")
    (tmp_path / "b.tar").symlink_to("/dev/zero")
    (tmp_path / NAMES[1]).write_bytes(b"x")
    found = list(scan([tmp_path], Selection()))
    content = {Path(one.source).name: str(one.error) for one in found}
    assert content[NAMES[1]] == "None"
    assert "a.tar: cannot be read: is a pipe, not a file" in content["a.tar"]
    assert "b.tar: cannot be read: is a device, not a file" in content["b.tar"]


def test_a_frame_that_is_a_socket_or_a_device(tmp_path: Path) -> None:
    (tmp_path / NAMES[1]).symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket has 108 bytes at most
        try:
            listening.bind(NAMES[0])
        finally:
            os.chdir(before)
        done = list(hsrgeo.export(tmp_path, tmp_path / "out", ExportOptions(window=(0, 0, 4, 4), jobs=1)))
    assert [one.status for one in done] == ["failed", "failed"]
    with pytest.raises((SourceError, TooLargeError)):
        read_file(Path("/dev/zero"))


def test_a_pipe_in_a_folder_that_is_named_as_a_frame(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAMES[0])
    with time_limit(3):
        done = list(hsrgeo.export(tmp_path, tmp_path / "out", ExportOptions(window=(0, 0, 4, 4), jobs=1)))
    assert [str(one.error).rpartition(": ")[2] for one in done] == ["is a pipe, not a file"]


def test_folders_in_a_circle_are_gone_through_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to("self")
    (tmp_path / "a" / NAMES[0]).write_bytes(b"x")
    assert [Path(one.source).name for one in scan([tmp_path], Selection())] == [NAMES[0]]


@pytest.mark.parametrize("reader", [read_regions, read_points])
def test_a_list_that_is_a_device(reader: Any) -> None:
    with pytest.raises(OptionsError, match="/dev/zero: cannot be read: is a device, not a file"):
        reader("/dev/zero")


def test_a_catalogue_leads_to_no_device_pipe_or_circle(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 1 << 40)
    for href in ("/dev/zero", "pipe", "circle", "large", "gone", "a\0b", "http://[x"):
        links = {"type": "Collection", "links": [{"rel": "item", "href": href}]}
        (tmp_path / "collection.json").write_text(json.dumps(links))
        with pytest.raises(SourceError):
            catalog_frames(tmp_path)
    assert not is_catalog(tmp_path / "pipe")


# -- what the fuzzer found --------------------------------------------------------------------------------------------


def test_a_wrong_crc_of_the_gzip_header_is_reported_by_every_way() -> None:
    # flag 2, FHCRC; libdeflate passes over it, and zlib does not
    header = b"\x1f\x8b\x08\x02" + bytes(6)
    crc = zlib.crc32(header) & 0xFFFF
    for wrong in (0, 1, 0x8000):
        data = header + struct.pack("<H", crc ^ wrong) + gzip_bytes(b"rain")[10:]
        if wrong:
            with pytest.raises((DeflateStreamError, ChecksumError), match="header crc mismatch"):
                gunzip(data, 100)
        else:
            assert gunzip(data, 100) == (b"rain", "")


@pytest.mark.parametrize("text", ["Z = 0 R^1.6", "Z = -1 R^2", "Z = nan R^1", "Z = 1e400 R^1", "Z = x R^1", ""])
def test_a_law_that_is_none_is_none(text: str) -> None:
    assert parse_law(text) is None


@pytest.mark.parametrize(
    "name", ["{time:%9223372036854775807M}", "{time}{product:>9999999999}", "{utc:%99999Y}", "{time:1234567}"]
)
def test_a_name_that_would_be_empty_or_fill_the_memory(name: str) -> None:
    with pytest.raises(OptionsError, match="name "):
        ExportOptions(name=name)


def test_numbers_beyond_every_number_are_no_box() -> None:
    with pytest.raises(OptionsError, match="expected four numbers"):
        as_bbox((1, 2, 10**400, 3))


LINE = {
    "source": "a.tar.gz", "member": NAMES[0], "product": "HSR", "kind": "PUB", "time": "2022-06-09T11:15:00+09:00",
    "time_utc": "2022-06-09T02:15:00Z", "status": "ok", "error": None, "seconds": 0.1, "stations": 9,
    "outputs": [{"path": "202206/09/a.tif", "bytes": 1, "crc32": "00000001"}],
    "created_utc": None, "crc32": "00000002", "stamp": "s",
}  # fmt: skip
DAMAGED_LINES: dict[str, Any] = {
    "a list": [], "nested": None, "source": {"source": ["a"]}, "member": {"member": 1.5},
    "product": {"product": ["HSR"]}, "product in a folder": {"product": "../x"}, "kind of dots": {"kind": ".."},
    "no zone": {"time": "2022-06-09T11:15"}, "no date in KST": {"time": "9999-12-31T23:59:59-23:59"},
    "path": {"outputs": [{"path": [], "bytes": 1, "crc32": "1"}]},
    "bytes": {"outputs": [{"path": "a", "bytes": "1", "crc32": "1"}]},
    "path of zeros": {"outputs": [{"path": "a\0b", "bytes": 1, "crc32": "1"}]},
    "no path": {"outputs": [{"path": "", "bytes": 1, "crc32": "1"}]},
    "outside": {"outputs": [{"path": "a/../../b", "bytes": 1, "crc32": "1"}]},
    "crc": {"crc32": "1" * 9}, "minus": {"crc32": "-1"}, "seconds": {"seconds": 10**400},
    "stations": {"stations": None},
    "status": {"status": "fine"}, "created": {"created_utc": "yesterday"}, "winner": {"duplicate_of": 1},
    "error": {"error": {"message": []}},
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED_LINES)
def test_a_damaged_line_of_the_manifest_is_reported_with_its_number_and_left_out(tmp_path: Path, damage: str) -> None:
    changed = DAMAGED_LINES[damage]
    text = json.dumps({**LINE, **changed} if isinstance(changed, dict) else changed)
    if damage == "nested":
        text = "[" * 100_000
    (tmp_path / MANIFEST).write_text(f"{json.dumps(LINE)}\n{text}\n")
    warned = pytest.warns(HsrGeoWarning, match=r"manifest\.jsonl: line 2 is damaged")
    with warned, Manifest(tmp_path, read_only=True) as manifest:
        assert len(manifest) == 1


def test_a_sound_line_is_read(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(LINE) + "\n")
    with Manifest(tmp_path, read_only=True) as manifest:
        [line] = manifest
    assert (line.outputs[0].path, line.stations, line.seconds) == ("202206/09/a.tif", 9, 0.1)


RECIPE = ExportOptions(window=(1, 2, 3, 4), jobs=1).recipe
DAMAGED_RECIPES: dict[str, dict[str, Any]] = {
    "name": {"name": 7}, "name of none": {"name": "{stations}"}, "attribute": {"name": "{time.nothing}"},
    "outside": {"name": "../{time}"}, "bomb": {"name": "{time}{kind:>9999999999}"}, "empty": {"name": ""},
    "region": {"cuts": [{"region": None}]}, "no cuts": {"cuts": []}, "cuts": {"cuts": 3},
    "format": {"formats": ["jpg"]},
    "no format": {"formats": []}, "window": {"cuts": [{"region": "", "window": [1, [], 3, 4]}]},
    "huge": {"cuts": [{"region": "", "bbox": [1, 2, 10**400, 4]}]}, "center": {"cuts": [{"region": "", "center": [1]}]},
    "law": {"quantity": "rain", "zr": [0, 1]}, "target": {"target": {"wkt2": 1}}, "words": {"values": "dirty"},
    "outside by region": {"cuts": [{"region": "../.."}], "name": "{region}/{time:%Y}"},
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED_RECIPES)
def test_a_damaged_recipe_is_reported(tmp_path: Path, damage: str) -> None:
    kept = {**RECIPE.as_json(), **DAMAGED_RECIPES[damage]}
    with pytest.raises(ValueError):  # noqa: PT011 - what is wrong with it is for whoever asks
        recipe_from_json(kept)
    (tmp_path / OPTIONS).write_text(json.dumps({"recipe": kept}))
    (tmp_path / MANIFEST).write_text(json.dumps(LINE) + "\n")
    with pytest.raises(ManifestError, match=r"options\.json: is damaged"):
        list(exported_frames(tmp_path, Selection()))
    with pytest.raises(ManifestError, match="was exported with other options"):
        refuse_other_recipe(tmp_path, RECIPE)


def test_options_nested_without_end(tmp_path: Path) -> None:
    keep_recipe(tmp_path, RECIPE)
    refuse_other_recipe(tmp_path, RECIPE)
    (tmp_path / OPTIONS).write_text('{"recipe":' * 100_000)
    with pytest.raises(ManifestError, match="is damaged"):
        kept_recipe(tmp_path)


@pytest.mark.parametrize(
    "properties",
    [{"datetime": "2022-06-09T02:15:00"}, {"datetime": "9999-12-31T23:59:59-23:59"}, {"hsrgeo:product": ["HSR"]},
     {"hsrgeo:region": 3}],
)  # fmt: skip
def test_an_item_that_cannot_be(tmp_path: Path, properties: dict[str, Any]) -> None:
    content = {"datetime": "2022-06-09T02:15:00Z", **properties}
    item = {"type": "Feature", "properties": content, "assets": {"data": {"href": "a.tif"}}}
    (tmp_path / "item.json").write_text(json.dumps(item))
    with pytest.raises(SourceError, match="is no STAC catalogue of frames"):
        catalog_frames(tmp_path / "item.json")


def test_a_catalogue_nested_without_end(tmp_path: Path) -> None:
    (tmp_path / "collection.json").write_text('{"type":' * 100_000)
    assert not is_catalog(tmp_path / "collection.json")
    with pytest.raises(SourceError, match="is no JSON of a catalogue"):
        catalog_frames(tmp_path)


def test_a_ring_that_is_not_closed() -> None:
    shapely = pytest.importorskip("shapely")
    corners = [(126.0, 37.0), (127.0, 37.0), (127.0, 38.0), (126.5, 37.5)]
    wkb = struct.pack("<BIII8d", 1, 3, 1, 4, *(degrees for corner in corners for degrees in corner))
    with pytest.raises(OptionsError, match=r"basins, 'a': .*(?i:closed)"):
        _polygon(shapely, "basins, 'a'", wkb, [], "a")


def test_a_polygon_that_goes_round_the_world_a_million_times(tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    ring = [[126, 37], [1e9, 37], [1e9, 38], [126, 37]]
    feature = {"type": "Feature", "properties": {"name": "a"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(OptionsError, match=r"as in WGS 84, found 1e.09 38; these look like metres"):
        read_polygons(tmp_path / "a.geojson")


def _star(corners: int) -> list[list[float]]:
    """Return a ring of which each edge goes nearly across: corners * (corners - 3) / 2 crossings of an odd number."""
    turn = 2 * math.pi * (corners // 2) / corners
    ring = [[127 + math.cos(turn * number) / 2, 37.5 + math.sin(turn * number) / 2] for number in range(corners)]
    return [*ring, ring[0]]


def _of_polygons(path: Path, *rings: list[list[float]]) -> Path:
    shapes = [{"type": "Polygon", "coordinates": [ring]} for ring in rings]
    features = [
        {"type": "Feature", "properties": {"name": f"p{number}"}, "geometry": shape}
        for number, shape in enumerate(shapes, 1)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_edges_that_cross_a_million_times_are_not_put_right(tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    assert read_polygons(_of_polygons(tmp_path / "a.geojson", _star(5))).notes
    for corners in (1001, 20_001):
        with pytest.raises(OptionsError, match=rf"a.geojson, 'p1': its {corners:,} edges cross too often; simplify it"):
            read_polygons(_of_polygons(tmp_path / "a.geojson", _star(corners)))


def test_polygons_that_lie_over_each_other_a_thousand_times_are_not_made_one(tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    box = [[126.0, 37.0], [127.0, 37.0], [127.0, 38.0], [126.0, 38.0], [126.0, 37.0]]
    path = _of_polygons(tmp_path / "a.geojson", *[box] * 500)
    with pytest.raises(OptionsError, match=r"a.geojson: its 2,000 edges cross too often; simplify it"):
        read_polygons(path, as_one=True)
    assert len(read_polygons(path).names) == 500


def test_edges_are_counted_beside_a_line_that_mending_left(monkeypatch: pytest.MonkeyPatch) -> None:
    shapely = pytest.importorskip("shapely")
    boxes = shapely.multipolygons([shapely.box(0, 0, 1, 1)] * 500)  # 4 edges each, whose boxes meet all others
    mended = shapely.geometrycollections([boxes, shapely.linestrings([(5, 5), (6, 6)])])
    with pytest.raises(OptionsError, match="basins: its 2,000 edges cross too often"):
        polygons._refuse_tangle(shapely, "basins", [mended])
    monkeypatch.setattr(polygons, "_MOST_EDGES", 1999)
    with pytest.raises(OptionsError, match="basins: expected at most 1,999 edges, found 2,000; simplify it"):
        polygons._refuse_tangle(shapely, "basins", [mended])
    polygons._refuse_tangle(shapely, "basins", [shapely.Point(1, 1)])


def test_what_polygons_cover_in_all_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyogrio")
    grid = grids()["kma-hb-500m"]
    box = [[127.0, 37.0], [127.05, 37.0], [127.05, 37.05], [127.0, 37.05], [127.0, 37.0]]  # 9 or 10 x 11 or 12 cells
    path = _of_polygons(tmp_path / "a.geojson", box, box)
    places = read_polygons(path)
    cells = len(places.weights(grid).cells) // 2
    monkeypatch.setattr(weights, "_MOST_CELLS", 2 * cells)
    assert len(places.weights(grid)) == 2
    monkeypatch.setattr(weights, "_MOST_CELLS", 2 * cells - 1)
    with pytest.raises(OptionsError, match=rf"polygons 1 to 2 cover more than {2 * cells - 1:,} cells in all"):
        places.weights(grid)
    monkeypatch.setattr(polygons, "_MOST_IN_ALL", 100)  # 0.2 degrees around each, in steps of 0.0025: 80 pieces
    with pytest.raises(OptionsError, match=r"a.geojson: the edges of its polygons are too long in all"):
        read_polygons(path)


def test_what_gdal_says_of_a_file_is_a_note_without_control_characters(tmp_path: Path) -> None:
    pytest.importorskip("pyogrio")
    path = _of_polygons(tmp_path / "a\x1b[31m.geojson", [[126.0, 37.0], [127.0, 37.0], [127.0, 38.0]])
    with pytest.warns(HsrGeoWarning, match="Non closed ring") as told, pytest.raises(OptionsError, match="p1"):
        read_polygons(path)
    assert [str(one.message).isprintable() for one in told] == [True]


def test_lists_of_gauges_are_read_in_time(tmp_path: Path) -> None:
    path = tmp_path / "gauges.csv"
    path.write_text(f"name,lon,lat,{','.join(map(str, range(200_000)))}\na,127,37.5\n")  # took minutes
    with time_limit(20):
        assert read_points(path).names == ("a",)
    rows = "".join(f"p{number},{120 + number / 10_000},37.5\n" for number in range(60_000))
    path.write_text(f"name,lon,lat\n{rows}")
    with time_limit(20):
        assert len(read_points(path).names) == 60_000
