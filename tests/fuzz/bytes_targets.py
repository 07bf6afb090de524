"""Doors that read bytes: headers, gzip, frames and archives."""

from __future__ import annotations

import bz2
import gzip
import os
import random
import struct
import tarfile
import zlib
from datetime import timedelta
from functools import cache
from pathlib import Path
from unittest import mock

import deflate
import numpy as np

from hsrgeo.engine.extract import extract_archive
from hsrgeo.errors import ArchiveError, FrameError, HsrGeoError
from hsrgeo.formats import gzipped
from hsrgeo.formats.composite import decode, peek_header
from hsrgeo.formats.header import parse_header
from hsrgeo.model.header import Header
from hsrgeo.sources.archives import frames_in_archive
from hsrgeo.sources.found import Tally
from hsrgeo.sources.select import Selection
from tests.conftest import HEADER_BYTES, TIME, frame_name, gzip_bytes, make_header, make_pixels, make_tar
from tests.fuzz import oracle
from tests.fuzz.mutate import NUMBERS, TOKENS, flip_bytes, twist_text
from tests.fuzz.targets import Target, Wrong, require, sandbox

_FIELDS = {
    "version": (0, "b"), "ptype": (1, "h"), "year": (3, "h"), "month": (5, "b"), "day": (6, "b"), "hour": (7, "b"),
    "minute": (8, "b"), "second": (9, "b"), "created": (10, "h"), "num_stn": (17, "b"), "map_code": (18, "b"),
    "nx": (20, "h"), "ny": (22, "h"), "nz": (24, "h"), "dxy": (26, "h"), "num_data": (32, "b"), "code": (33, "b"),
    "etc": (49, "b"), "station": (64, "b"), "station time": (70, "h"), "last station": (1004, "b"),
}  # fmt: skip


def mutated_header(chance: random.Random, sample: bytes) -> bytes:
    """Return 1,024 bytes: fields set to what tables end at, or bytes damaged anywhere."""
    data = bytearray(sample)
    for _ in range(chance.randint(1, 3)):
        if chance.random() < 0.6:
            offset, form = chance.choice(list(_FIELDS.values()))
            bits = 8 * struct.calcsize(form)
            value = chance.choice((*NUMBERS, chance.getrandbits(bits))) & (1 << bits) - 1
            data[offset : offset + bits // 8] = value.to_bytes(bits // 8, "little")
        else:
            data[chance.randrange(HEADER_BYTES)] ^= 1 << chance.randrange(8)
    return bytes(data)


def check_header(header: Header, data: bytes) -> None:
    """Compare every field with the independent reader's."""
    record = oracle.header(data)
    stations, codes = record.pop("stations"), record.pop("codes")
    for name, value in record.items():
        require(getattr(header, name) == value, f"{name}: {getattr(header, name)!r}, and not {value!r}")
    require([(s.time, s.created) for s in header.stations] == stations, "times of stations")
    for station, code in zip(header.stations, codes, strict=True):
        require(station.code == code.decode("ascii", "backslashreplace").strip(), f"code of a station {code!r}")


class Headers(Target):
    name = "header"
    share = 20.5
    _samples = (make_header(), make_header(stations=[(b"KWK", (0,) * 6, (2022, 6, 9, 11, 15, 60))] * 48))

    def make(self, chance: random.Random) -> bytes:
        data = mutated_header(chance, chance.choice(self._samples))
        return data if chance.random() < 0.9 else flip_bytes(chance, data)

    def check(self, data: bytes) -> bool:
        try:
            if len(data) < HEADER_BYTES:
                peek_header(data)
                raise Wrong("a header that is too short")
            header = parse_header(data)
        except FrameError:
            return False
        check_header(header, data)
        return True


class Gzip(Target):
    """gzip streams, through both ways to unpack them and through the slow one."""

    name = "gzip"
    share = 12
    limit = 20_000

    def make(self, chance: random.Random) -> bytes:
        samples = _gzip_samples()
        data = chance.choice(samples)
        if chance.random() < 0.3:  # the trailer made right again, so that what follows is reached
            body = flip_bytes(chance, data[:-8], most=2)
            plain = _lenient(body)
            return body + struct.pack("<II", zlib.crc32(plain), len(plain))
        if chance.random() < 0.1:
            return data + chance.choice((b"\0", b"\0" * 8, data, data[:10], data[-8:], data[-4:]))
        return flip_bytes(chance, data, others=samples)

    def check(self, data: bytes) -> bool:
        sound = oracle.gunzip(data, self.limit)
        gzipped.peek(data, 100)
        for way in (gzipped._gunzip_at_once, _neither):
            with mock.patch.object(gzipped, "_gunzip_at_once", way):
                try:
                    unpacked, _notes = gzipped.gunzip(data, self.limit)
                except FrameError:
                    require(sound is None, f"a sound stream was refused ({way.__name__})")
                else:
                    require(unpacked == sound, f"other bytes than zlib and a CRC by hand give ({way.__name__})")
        return sound is not None


def _neither(_data: bytes, _length: int) -> None:
    """Stand for a way that fails: then zlib goes through the stream slowly."""


@cache
def _gzip_samples() -> tuple[bytes, ...]:
    text = b"".join(b"%d mm/h at gauge %d; " % (n * n % 97, n) for n in range(300))
    plains = (b"", b"a", b"\xd0\x8a" * 5000, text, random.Random(5).randbytes(900), bytes(20_000))  # noqa: S311
    packed = [gzip_bytes(plain, level=level) for plain in plains for level in (0, 1, 9)]
    packed += [gzip_bytes(text, name="RDR_CMP_HSR_PUB_202206091115.bin"), bytes(deflate.gzip_compress(text, 12))]
    extra = b"\x1f\x8b\x08\x1c" + bytes(6) + b"\4\0abcdname\0comment\0" + gzip_bytes(text)[10:]
    checked = b"\x1f\x8b\x08\x02" + bytes(6)
    checked += (zlib.crc32(checked) & 0xFFFF).to_bytes(2, "little") + gzip_bytes(text)[10:]
    nested = gzip_bytes(gzip_bytes(gzip_bytes(bytes(15_000))))
    return (*packed, extra, checked, nested, gzip_bytes(bytes(20_001)), gzip_bytes(bytes(10**6)), bz2.compress(text))


def _lenient(body: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(body, 30_000)
    except zlib.error:
        return b""


class Frames(Target):
    """Whole frames of the 1 km grid; an input is a name, a line feed, and a file."""

    name = "frame"
    share = 2.5

    def make(self, chance: random.Random) -> bytes:
        plain, packed = _frame_parts()
        name = frame_name(suffix=chance.choice((".bin.gz", ".bin.gz", ".bin")))
        if chance.random() < 0.2:
            name = twist_text(chance, name, most=1)
        header = mutated_header(chance, plain[:HEADER_BYTES]) if chance.random() < 0.6 else plain[:HEADER_BYTES]
        match chance.randrange(4):
            case 0:  # not packed
                data = header + plain[HEADER_BYTES:]
                if chance.random() < 0.5:
                    data = data[: chance.choice((0, 23, 1023, 1024, len(data) - 1, chance.randrange(len(data))))]
            case 1:  # damaged anywhere
                data = flip_bytes(chance, packed)
            case 2:  # the header stored, the rest as it was packed, and a trailer that is right
                stored = struct.pack("<BHH", 0, HEADER_BYTES, HEADER_BYTES ^ 0xFFFF) + header
                crc = int(deflate.crc32(plain[HEADER_BYTES:], deflate.crc32(header)))
                data = packed[:10] + stored + _packed_pixels() + struct.pack("<II", crc, len(plain))
            case _:
                data = packed + chance.choice((b"", b"", b"\0", packed[:50]))
        return name.encode("utf-8", "surrogatepass").replace(b"\n", b"") + b"\n" + data

    def check(self, data: bytes) -> bool:
        first, _line, data = data.partition(b"\n")
        name = first.decode("utf-8", "surrogatepass")
        try:
            frame = decode(data, name)
        except FrameError as error:
            str(error)
            return False
        plain = oracle.gunzip(data, 40_000_000) if data[:2] == b"\x1f\x8b" else data
        if plain is None:
            raise Wrong("a stream that is not sound was accepted")
        check_header(frame.header, plain)
        record = oracle.header(plain)
        nx, ny = record["nx"], record["ny"]
        require(
            (nx, ny, record["nz"], record["map_code"]) in ((1153, 1441, 1, 1), (2305, 2881, 1, 1)), "an unknown grid"
        )
        require(frame.grid.cell_size_m == record["dxy"], "another cell size")
        require(len(plain) == HEADER_BYTES + frame.blocks * nx * ny * 2, "another length")
        require(np.array_equal(frame.raw, oracle.pixels(plain, nx, ny)), "other pixels")
        require(frame.time == record["time"].replace(second=0), "another time")
        require(frame.crc32 == zlib.crc32(plain), "another CRC")
        digits = name.rstrip("/").rpartition("/")[2].split("_")[-1][:12]
        if frame.kind:
            require(digits == f"{frame.time:%Y%m%d%H%M}", f"time {frame.time} of {name!r}")
        return True


@cache
def _frame_parts() -> tuple[bytes, bytes]:
    plain = make_header() + make_pixels()[::-1].astype("<i2").tobytes()
    return plain, bytes(deflate.gzip_compress(plain, 6))


@cache
def _packed_pixels() -> bytes:
    return bytes(deflate.deflate_compress(_frame_parts()[0][HEADER_BYTES:], 6))


class Archives(Target):
    """Tar archives, read as a source."""

    name = "tar"
    share = 10

    def make(self, chance: random.Random) -> bytes:
        data = _mutated_tar(chance)
        if chance.random() < 0.4:
            data = gzip.compress(data, 1, mtime=0)
            if chance.random() < 0.5:
                data = flip_bytes(chance, data)
        return data

    def check(self, data: bytes) -> bool:
        path = sandbox() / "a.tar.gz"
        path.write_bytes(data)
        tally = Tally()
        found = list(frames_in_archive(path, Selection(), tally))
        ended = bool(found) and isinstance(found[-1].error, ArchiveError)
        for one in found:
            str(one.error)
            require(one.error is None or isinstance(one.error, HsrGeoError), "an error of another kind")
            require(not isinstance(one.error, ArchiveError) or one is found[-1], "more after the end")
        try:
            _compare_with_oracle(data, [(one.member, one.data) for one in found if one.error is None])
        except oracle.DamagedError as error:
            # What came before may be read: the frames in it have CRCs of their own.
            require(ended, f"a damaged stream was read to its end ({error})")
        return not ended


def _compare_with_oracle(data: bytes, read: list[tuple[str | None, bytes | None]]) -> None:
    try:
        plain = oracle.inflate_all(data, 5_000_000) if data[:2] == b"\x1f\x8b" else data
        listed = iter(list(oracle.tar_files(plain)))
    except oracle.UnsureError:
        return
    for member, content in read:
        if content is None or member is None:
            raise Wrong("a frame without bytes")
        stem = member.rpartition("#")[0] if "#" in member else member
        if not any(name in (member, stem) and body == content for name, body in listed):
            raise Wrong(f"{member!r} with {len(content)} bytes is not in the archive, or not in that order")


class Extraction(Target):
    """Tar archives, unpacked to disk: nothing but plain files, and nothing outside of OUT."""

    name = "extract"
    share = 4

    def make(self, chance: random.Random) -> bytes:
        return _mutated_tar(chance)

    def check(self, data: bytes) -> bool:
        box = sandbox() / "extract"
        out = box / "out"
        out.mkdir(parents=True, exist_ok=True)
        (box / "victim").write_bytes(b"untouched")
        path = box / "a.tar"
        path.write_bytes(data)
        try:
            done = extract_archive(path, out, overwrite=True)
            for error in done.errors:
                str(error)
            beside = sorted(path.name for path in box.iterdir())
            require(beside == ["a.tar", "out", "victim"], f"outside of OUT: {beside}")
            require((box / "victim").read_bytes() == b"untouched", "a file outside was changed")
            for folder, _folders, files in os.walk(out):
                for name in files:
                    file = Path(folder, name)
                    require(file.is_file() and not file.is_symlink(), f"{name!r} is no plain file")
                    require(not name.endswith(".part"), "half a file was left")
        finally:
            _remove_below(out)
        return not done.errors


def _remove_below(folder: Path) -> None:
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(parent, name))  # noqa: PTH108, PTH118 - names may be anything
        for name in folders:
            os.rmdir(os.path.join(parent, name))  # noqa: PTH106, PTH118


_KINDS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
          tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, b"?", b"V")  # fmt: skip
_PAX = ("path", "linkpath", "size", "mtime", "uid", "comment", "hdrcharset", "GNU.sparse.map", "GNU.sparse.size",
        "GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name", "GNU.sparse.realsize", "SCHILY.xattr.x")  # fmt: skip


def _mutated_tar(chance: random.Random) -> bytes:
    """Return an archive of odd members, then perhaps damaged, with header sums made right again half of the time."""
    data = bytearray(_odd_tar(chance) if chance.random() < 0.6 else chance.choice(_tar_samples()))
    if chance.random() < 0.7:
        for _ in range(chance.randint(1, 3)):
            block = 512 * chance.randrange(max(len(data) // 512, 1))
            at = block + chance.choice((chance.randrange(512), 124 + chance.randrange(12), 156, 345, 482, 483))
            if at < len(data):
                data[at] = chance.choice((0, 0x80, 0xFF, 0x37, *b"012345679LKxgSX", chance.randrange(256)))
                if chance.random() < 0.7 and any(data[block : block + 512]):
                    _make_sum_right(data, block)
    else:
        data = bytearray(flip_bytes(chance, bytes(data), others=_tar_samples()))
    return bytes(data)


def _make_sum_right(data: bytearray, block: int) -> None:
    header = data[block : block + 512]
    if len(header) == 512:
        data[block + 148 : block + 156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:]))


def _odd_tar(chance: random.Random) -> bytes:
    entries: list[tuple[str | tarfile.TarInfo, bytes]] = []
    for number in range(chance.randint(1, 4)):
        name = frame_name(TIME + number * timedelta(minutes=5))
        member = tarfile.TarInfo(twist_text(chance, name, most=2) if chance.random() < 0.5 else name)
        member.type = chance.choice(_KINDS) if chance.random() < 0.4 else tarfile.REGTYPE
        member.linkname = chance.choice(("", "../victim", "/etc/passwd", name))
        member.mtime = chance.choice((0, 1, 2**33, 1654740900))
        if chance.random() < 0.3:
            value = chance.choice((str(chance.choice(NUMBERS)), *TOKENS, "1\n2\n", "0,512,1024,512"))
            member.pax_headers = {chance.choice(_PAX): value for _ in range(chance.randint(1, 3))}
        entries.append((member, chance.randbytes(chance.choice((0, 1, 511, 512, 513, 1500)))))
    form = chance.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    try:
        return make_tar(entries, gz=False, tar_format=form)
    except (UnicodeError, ValueError, OverflowError):  # what not even a tar can hold
        return chance.choice(_tar_samples())


@cache
def _tar_samples() -> tuple[bytes, ...]:
    names = [frame_name(TIME + number * timedelta(minutes=5)) for number in range(4)]
    plain: list[tuple[str | tarfile.TarInfo, bytes]] = [
        (f"RDR_HSR_202206/09/{name}", name.encode() * 9) for name in names
    ]
    long: list[tuple[str | tarfile.TarInfo, bytes]] = [("folder/" * 40 + names[0], b"1" * 700), *plain[:1]]
    made: list[bytes] = []
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        made.append(make_tar(plain, gz=False, tar_format=form))
        if form != tarfile.USTAR_FORMAT:
            made.append(make_tar(long, gz=False, tar_format=form))
    return (*made, _sparse_tar(names[0]), make_tar([], gz=False))


def _sparse_tar(name: str) -> bytes:
    """Return an archive with an old GNU sparse member: 512 bytes of data at 512 of 2,048."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"%011o\0" % 512
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (512, 512)
    header[483:495] = b"%011o\0" % 2048
    _make_sum_right(header, 0)
    return bytes(header) + b"x" * 512 + bytes(1024)
