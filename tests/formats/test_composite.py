from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hsrgeo.errors import (
    ChecksumError,
    EmptyFileError,
    FrameError,
    FrameFormatError,
    FrameNameError,
    HeaderError,
    HsrGeoError,
    LengthError,
    NotGzipError,
    OldHeaderError,
    ServiceMessageError,
    TimeFieldError,
    TooLargeError,
    TrailingDataError,
    TruncatedError,
    UnknownGridError,
)
from hsrgeo.formats.composite import (
    MAX_STORED_BYTES,
    MAX_UNPACKED_BYTES,
    decode,
    encode,
    peek_header,
    product_of,
    unpack,
)
from hsrgeo.formats.header import parse_header
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.times import KST
from hsrgeo.model.window import Window
from tests.conftest import (
    BLOCK_BYTES,
    COUNTS,
    HEADER_BYTES,
    NX,
    NY,
    TIME,
    HeaderFields,
    MakeFile,
    Pixels,
    frame_name,
    gzip_bytes,
    make_header,
)

NAME = frame_name()
PLACE = r"^in/RDR_CMP_HSR_PUB_202206091115\.bin\.gz: "


def _decode_here(data: bytes) -> None:
    decode(data, f"in/{NAME}")


# -- what must be read ------------------------------------------------------------------------------------------------


def test_everything_of_a_frame(frame_file: bytes, pixels: Pixels) -> None:
    frame = decode(frame_file, f"in/{NAME}")
    assert np.array_equal(frame.stored, pixels)
    assert frame.raw.dtype == np.int16
    assert frame.quantity.name == "reflectivity"
    assert frame.grid == grids()["kma-hb-1km"]
    assert frame.window == Window(0, 0, NX, NY)
    assert frame.time == datetime(2022, 6, 9, 11, 15, tzinfo=KST)
    assert frame.time.utcoffset() == timedelta(hours=9)
    assert (frame.product, frame.kind, frame.name) == ("HSR", "PUB", NAME)
    assert (frame.block, frame.blocks) == (1, 1)
    assert frame.header == parse_header(make_header())
    assert [station.code for station in frame.header.stations] == ["KWK", "GDK", "BRI"]
    assert frame.crc32 == zlib.crc32(gzip.decompress(frame_file))
    assert not frame.cleaned
    cells = frame.cells
    assert {"nodata": cells.nodata, "undetect": cells.undetect, "echo": cells.echo, "blend": cells.blend} == COUNTS


def test_the_first_stored_value_is_the_south_west_corner() -> None:
    # Written without the maker of files, which turns arrays over itself: row 0 of the file is the southernmost.
    stored = np.full(NX * NY, -25000, "<i2")
    stored[0] = 1111  # south-west
    stored[NX - 1] = 2222  # south-east
    stored[NX * (NY - 1)] = 3333  # north-west
    stored[-1] = 4444  # north-east
    stored[NX * 840 + 560] = 5555  # column 560, row 840 from the south: 126 E 38 N
    frame = decode(gzip_bytes(make_header() + stored.tobytes()), NAME)
    assert frame.raw[-1, 0] == 1111
    assert frame.raw[-1, -1] == 2222
    assert frame.raw[0, 0] == 3333
    assert frame.raw[0, -1] == 4444
    assert np.argwhere(frame.raw == 5555).tolist() == [[600, 560]]  # 1440 - 840
    lon, lat = frame.grid.lonlat(600, 560)
    assert (float(lon), float(lat)) == pytest.approx((126, 38), abs=1e-9)
    assert frame.grid.lonlat(1440, 0)[1] < frame.grid.lonlat(0, 0)[1]


def test_corners_of_the_500m_grid_are_at_the_check_points(make_file: MakeFile) -> None:
    north_up = np.full((2881, 2305), -30000, np.int16)
    # cell (column, row from the south) -> longitude, latitude: KMA composite format, section 3
    known = {
        (0, 0): (120.180206, 30.128691),
        (2304, 2880): (133.560671, 43.312039),
        (1206, 1508): (126.496323, 37.204071),
    }
    for order, (col, row) in enumerate(known):
        north_up[2880 - row, col] = 1000 + order
    data = make_file(north_up, dxy=500)
    assert len(gzip.decompress(data)) == 13_282_434  # as measured, section 1
    frame = decode(data, NAME)
    assert frame.grid == grids()["kma-hb-500m"]
    for order, place in enumerate(known.values()):
        [[row, col]] = np.argwhere(frame.raw == 1000 + order)
        lon, lat = frame.grid.lonlat(row, col)
        assert (float(lon), float(lat)) == pytest.approx(place, abs=2e-6)


@pytest.mark.parametrize("suffix", [".bin", ".bin.gz"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_blocks_are_counted_by_length_not_by_the_header(make_file: MakeFile, suffix: str, count: int) -> None:
    layers = [np.full((NY, NX), 100 * number, np.int16) for number in range(1, count + 1)]
    for order, layer in enumerate(layers):
        layer[order, 0] = 7  # each its own north-west corner
    for claimed in (1, 3, 0, 127):
        data = make_file(*layers, gz=suffix == ".bin.gz", num_data=claimed)
        name = frame_name(suffix=suffix)
        for number in range(1, count + 1):
            frame = decode(data, name, block=number)
            assert (frame.block, frame.blocks, frame.header.num_data) == (number, count, claimed)
            assert np.array_equal(frame.raw, layers[number - 1])
            assert frame.quantity.name == ["reflectivity", "height", "station"][number - 1]
        if claimed == 1:
            assert frame.crc32 == zlib.crc32(make_file(*layers, gz=False, num_data=claimed))


def test_gzip_under_a_bin_name_is_unpacked(frame_file: bytes, pixels: Pixels) -> None:
    assert np.array_equal(decode(frame_file, frame_name(suffix=".bin")).raw, pixels)


def test_gzip_with_a_file_name_in_it(make_file: MakeFile, pixels: Pixels) -> None:
    data = make_file(name="RDR_CMP_HSR_PUB_202206091115.bin")
    assert b"RDR_CMP_HSR_PUB_202206091115.bin\0" in data[:60]
    assert np.array_equal(decode(data, NAME).raw, pixels)


@pytest.mark.parametrize("name", ["latest", "download (1)", "202206091115.dat"])
def test_a_name_that_tells_nothing_leaves_it_to_the_bytes(make_file: MakeFile, pixels: Pixels, name: str) -> None:
    for gz in (True, False):
        assert np.array_equal(decode(make_file(gz=gz), name).raw, pixels)


@pytest.mark.parametrize("second", [0, 30, 59, 60])
def test_the_second_is_not_in_the_name(make_file: MakeFile, second: int) -> None:
    frame = decode(make_file(tm_fields=(2022, 6, 9, 11, 15, second)), NAME)
    assert frame.time == TIME
    assert frame.header.time == TIME.replace(second=min(second, 59))


@pytest.mark.parametrize(
    ("ptype", "product"), [(5, "HSR"), (1, "CPP"), (2, "CMX"), (6, "HCI"), (10, "PCP"), (33, "P33"), (-4, "P-4")]
)
@pytest.mark.parametrize(
    "name", ["frame", "frame.bin.gz", "RDR_CMP_HSR_PUB_latest.bin.gz", "RDR_CMP_HSR_PUB_202213.bin.gz"]
)
def test_a_name_without_pattern_leaves_it_to_the_header(
    make_file: MakeFile, ptype: int, product: str, name: str
) -> None:
    data = make_file(ptype=ptype)
    frame = decode(data, f"some/{name}")
    assert (frame.product, frame.kind, frame.name, frame.time) == (product, "", name, TIME)
    assert product_of(frame.header) == product


@pytest.mark.parametrize(
    ("product", "code", "quantity", "unit"),
    [
        ("HSR", 1, "reflectivity", "dBZ"),
        ("HSP", 1, "reflectivity", "dBZ"),
        ("HSP", 5, "rain_rate", "mm/h"),
        ("HSR", 5, "rain_rate", "mm/h"),
        ("PCP", 5, "rain_rate", "mm/h"),
        ("HCI", 6, "hydrometeor", ""),
        ("PTY", 7, "precipitation_type", ""),
        ("OTH", 8, "temperature", "degC"),
    ],
)
def test_quantity_is_reported_by_code_alone(
    make_file: MakeFile, product: str, code: int, quantity: str, unit: str
) -> None:
    frame = decode(make_file(data_codes=(code, 2, 3)), frame_name(product=product))
    assert (frame.product, frame.quantity.name, frame.quantity.unit) == (product, quantity, unit)


@pytest.mark.parametrize(
    ("product", "code", "note"),
    [
        ("HSR", 1, None),
        ("HSP", 5, None),
        ("OTH", 5, None),  # what OTH holds is not known
        ("HSP", 1, "named HSP (rain_rate), but by its data code 1 it is reflectivity: read as that"),
        ("HSR", 5, "named HSR (reflectivity), but by its data code 5 it is rain_rate: read as that"),
    ],
)
def test_a_name_that_the_content_belies_is_reported(
    make_file: MakeFile, product: str, code: int, note: str | None
) -> None:
    name = frame_name(product=product)
    frame = decode(make_file(data_codes=(code, 2, 3)), name)
    assert frame.notes == ((f"{name}: {note}",) if note else ())


def test_a_rain_rate_without_a_name_is_hsp(make_file: MakeFile) -> None:
    frame = decode(make_file(data_codes=(5, 2, 3), ptype=5), "x.bin.gz")  # HSP has the ptype of HSR
    assert (frame.product, frame.quantity.name, frame.quantity.unit, frame.notes) == ("HSP", "rain_rate", "mm/h", ())


@pytest.mark.parametrize("number", [2, 3, 17])
def test_a_repeated_member_is_read_as_what_it_is(make_file: MakeFile, number: int) -> None:
    # The second member of a name in an archive is called NAME#2: the name still tells what it is.
    gz = decode(make_file(), "a.tar.gz", member=f"09/{frame_name(product='HSP', kind='EXT')}#{number}")
    assert (gz.product, gz.kind, gz.quantity.name) == ("HSP", "EXT", "reflectivity")
    assert gz.name == frame_name(product="HSP", kind="EXT")
    plain = decode(make_file(gz=False), "a.tar.gz", member=f"09/{frame_name(suffix='.bin')}#{number}")
    assert (plain.product, plain.kind) == ("HSR", "PUB")
    with pytest.raises(
        FrameNameError, match=rf"^a\.tar\.gz \[RDR_CMP_HSR_PUB_202206091120\.bin\.gz#{number}\]: name and head"
    ):
        decode(make_file(), "a.tar.gz", member=f"{frame_name(TIME + timedelta(minutes=5))}#{number}")


# -- one test for each way to be wrong; the message tells the place, what was expected and what was found --------------


def test_the_place_is_the_file_or_the_archive_and_member() -> None:
    with pytest.raises(EmptyFileError, match=PLACE + "empty file: expected a composite, found 0 bytes$") as in_file:
        _decode_here(b"")
    assert (in_file.value.source, in_file.value.member) == (f"in/{NAME}", None)
    with pytest.raises(
        EmptyFileError, match=r"^in/a\.tar\.gz \[09/RDR_CMP_HSR_PUB_202206091115\.bin\.gz\]: empty"
    ) as inside:
        decode(b"", "in/a.tar.gz", member=f"09/{NAME}")
    assert (inside.value.source, inside.value.member) == ("in/a.tar.gz", f"09/{NAME}")


def test_text_of_the_service_under_either_name() -> None:
    for suffix in (".bin", ".bin.gz"):
        with pytest.raises(
            ServiceMessageError, match=rf"{suffix}: text in place of a file: .*'# file not exist \(X\)'$"
        ):
            decode(b"# file not exist (X)", f"in/{frame_name(suffix=suffix)}")


PAGE = "<!DOCTYPE html>\r\n<html><body>접속이 차단되었습니다</body></html>"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
@pytest.mark.parametrize("suffix", [".bin", ".bin.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["as it is", "packed"])
def test_a_page_that_was_saved_as_a_frame_is_shown(encoding: str, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    long = PAGE * 40  # more than a header, cut within a letter
    for page, shown in ((PAGE, repr(PAGE)), (long, repr(f"{long[:200]}..."))):
        with pytest.raises(ServiceMessageError) as caught:
            decode(pack(page.encode(encoding)), f"in/{frame_name(suffix=suffix)}")
        assert str(caught.value).endswith(f": text in place of a file: expected a composite, found {shown}")


TAKE_EXPORTS = "hsrgeo.open, series, accumulate and stats take the folder of an export"


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"II*\0", rf"a TIFF \({TAKE_EXPORTS}\)"),
        (b"MM\0*", rf"a TIFF \({TAKE_EXPORTS}\)"),
        (b"\x89PNG\r\n\x1a\n", "a PNG"),
        (b"GIF89a", "a GIF"),
        (b"PK\3\4", "a zip archive"),
        (
            b"\x89HDF\r\n\x1a\n",
            r"HDF5 or NetCDF-4 \(hsrgeo compose takes volumes of one radar, hsrgeo.open ODIM composites\)",
        ),
        (b"\x28\xb5\x2f\xfd", "Zstandard"),
    ],
)
def test_a_file_of_another_kind_is_named(start: bytes, what: str) -> None:
    data = start.ljust(3000, b"\0")
    with pytest.raises(NotGzipError, match=f"first bytes 1f 8b, found {start[:2].hex(' ')}, the start of {what}$"):
        _decode_here(data)
    for name, stored in (("a.bin", data), ("a.bin.gz", gzip.compress(data))):
        with pytest.raises(HeaderError, match=rf"version: expected 1, found -?\d+, the start of {what}$"):
            decode(stored, name)


def test_a_frame_that_was_packed_twice_is_said_to_be(frame_file: bytes) -> None:
    with pytest.raises(HeaderError, match=r"expected 1, found 31, the start of gzip \(packed twice\?\)$"):
        _decode_here(gzip.compress(frame_file))


def test_not_gzip_damaged_truncated_and_more_than_one(frame_file: bytes) -> None:
    with pytest.raises(NotGzipError, match=PLACE + "not gzip: expected first bytes 1f 8b, found 00 00$"):
        _decode_here(bytes(2) + frame_file[2:])
    with pytest.raises(ChecksumError, match=PLACE + "CRC check failed: expected CRC-32"):
        _decode_here(frame_file[:-8] + bytes(4) + frame_file[-4:])
    with pytest.raises(
        TruncatedError, match=PLACE + f"truncated: expected a whole gzip stream, found its end after {100:,} by"
    ):
        _decode_here(frame_file[:100])
    with pytest.raises(
        TrailingDataError, match=PLACE + "trailing data: expected nothing after the gzip stream, found 4 bytes"
    ):
        _decode_here(frame_file + b"junk")


def test_a_frame_that_was_unpacked_in_transit_is_read_and_reported(make_file: MakeFile) -> None:
    plain = make_file(gz=False)
    frame, packed = decode(plain, frame_name()), decode(make_file(), frame_name())
    assert np.array_equal(frame.raw, packed.raw)
    assert frame.crc32 == packed.crc32 == zlib.crc32(plain)
    assert frame.notes == (f"{frame_name()}: named .gz, but unpacked already: no checksum could be tested",)
    for cut in (plain[:-1], plain + b"\0", plain[:2000]):  # only the exact length proves it
        with pytest.raises(NotGzipError, match=PLACE + "not gzip: expected first bytes 1f 8b, found 01 05$"):
            _decode_here(cut)


@pytest.mark.parametrize("way", ["two streams", "zeros"])
def test_a_frame_in_an_odd_gzip_file_is_read_and_reported(make_file: MakeFile, way: str) -> None:
    plain = make_file(gz=False)
    if way == "zeros":
        data, note = make_file() + bytes(512), "512 zero bytes after the gzip stream"
    else:
        data = gzip.compress(plain[:5000], 1) + gzip.compress(plain[5000:], 1)
        note = "2 gzip streams one after the other"
    frame = decode(data, frame_name())
    assert np.array_equal(frame.raw, decode(plain, "a.bin").raw)
    assert frame.crc32 == zlib.crc32(plain)
    assert frame.notes == (f"{frame_name()}: {note}",)


def test_too_large_packed_or_not() -> None:
    three = 39_845_254  # three blocks of the 500 m grid, in KMA's paper (section 1)
    assert three + 2 * 2881 * 2305 == 53_126_664 == MAX_UNPACKED_BYTES
    assert MAX_STORED_BYTES > MAX_UNPACKED_BYTES
    with pytest.raises(
        TooLargeError, match=PLACE + "too large: expected at most 53,126,664 bytes unpacked, found more than"
    ):
        _decode_here(gzip_bytes(bytes(MAX_UNPACKED_BYTES + 1)))
    with pytest.raises(
        TooLargeError, match=r"\.bin: too large: expected at most 53,126,664 bytes, found 53,126,665 bytes$"
    ):
        decode(bytes(MAX_UNPACKED_BYTES + 1), frame_name(suffix=".bin"))


@pytest.mark.parametrize("extra", [-1, 1, 2, -2, BLOCK_BYTES // 2, -BLOCK_BYTES])
@pytest.mark.parametrize("suffix", [".bin", ".bin.gz"])
def test_a_length_that_does_not_fit_the_header(make_file: MakeFile, extra: int, suffix: str) -> None:
    plain = make_file(gz=False)
    wrong = plain[:extra] if extra < 0 else plain + bytes(extra)
    # 1153 * 1441 * 2 = 3,322,946 bytes a block
    with pytest.raises(
        LengthError,
        match=(
            rf"{suffix}: length: expected 1,024 \+ 1 to 4 blocks of 3,322,946 bytes \(1153 x 1441\), "
            rf"found {HEADER_BYTES + BLOCK_BYTES + extra:,} bytes$"
        ),
    ):
        decode(gzip_bytes(wrong) if suffix == ".bin.gz" else wrong, f"in/{frame_name(suffix=suffix)}")


def test_five_blocks_are_one_too_many(make_file: MakeFile, pixels: Pixels) -> None:
    with pytest.raises(LengthError, match=rf"1 to 4 blocks .*, found {HEADER_BYTES + 5 * BLOCK_BYTES:,} bytes$"):
        _decode_here(make_file(pixels, pixels, pixels, pixels, pixels))


@pytest.mark.parametrize("length", [0, 1, 24, 1023])
def test_less_than_a_header(length: int) -> None:
    with pytest.raises(
        LengthError, match=PLACE + f"length: expected a header of 1024 bytes and pixels, found {length:,} byt"
    ):
        _decode_here(gzip_bytes(make_header()[:length]))


@pytest.mark.parametrize("cells", [1153 * 1441, 2305 * 2881, 3 * 1153 * 1441], ids=["1km", "500m", "3 blocks"])
def test_the_older_24_byte_header(cells: int) -> None:
    plain = bytes(24) + bytes(2 * cells)
    with pytest.raises(
        OldHeaderError,
        match=(
            PLACE
            + rf"old header: expected a header of 1,024 bytes, found {24 + 2 * cells:,} bytes: the 24-byte header "
            r"of the older format, which is not read$"
        ),
    ):
        _decode_here(gzip_bytes(plain))
    with pytest.raises(OldHeaderError, match=r"\.bin: old header"):
        decode(plain, frame_name(suffix=".bin"))


def test_a_sum_of_rain_in_its_own_container() -> None:
    with pytest.raises(FrameFormatError, match=PLACE + r"accumulation: .* the 64-byte header of KMA's sums of rain"):
        _decode_here(gzip_bytes(bytes(64 + 2 * 1153 * 1441)))


def test_a_sum_of_rain_is_never_read_as_a_rate(make_file: MakeFile) -> None:
    with pytest.raises(HeaderError, match=r"ptype: expected a rain rate, found 10 \(PCP\), a sum of rain"):
        _decode_here(make_file(ptype=10, data_codes=(5,)))


@pytest.mark.parametrize("start", [b"UF" + bytes(2000), b"\0\0\x10\0UF" + bytes(2000)])
def test_a_polar_volume_says_what_it_is(start: bytes) -> None:
    with pytest.raises(FrameError, match="the start of a UF volume"):
        decode(start, "x.uf")


def test_hdf5_says_what_it_may_be() -> None:
    with pytest.raises(FrameError, match=r"the start of HDF5 or NetCDF-4 \(.*, hsrgeo\.open ODIM composites\)"):
        decode(b"\x89HDF\r\n\x1a\n" + bytes(2000), "x.h5")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"map_code": 2}, "map 2, 1153 x 1441 cells of 1000 m"),
        ({"nx": 1152}, "map 1, 1152 x 1441 cells of 1000 m"),
        ({"ny": 1440}, "map 1, 1153 x 1440 cells of 1000 m"),
        ({"dxy": 500}, "map 1, 1153 x 1441 cells of 500 m"),
        ({"nx": 2305, "ny": 2881}, "map 1, 2305 x 2881 cells of 1000 m"),
    ],
)
def test_an_unknown_map_or_size(make_file: MakeFile, fields: HeaderFields, found: str) -> None:
    with pytest.raises(
        UnknownGridError, match=PLACE + rf"unknown grid: expected one of: map 1, 2305 x 2881 .*, found {found}$"
    ):
        _decode_here(make_file(**fields))


def test_a_3d_composite(make_file: MakeFile) -> None:
    with pytest.raises(
        UnknownGridError, match=PLACE + r"3-D composite: expected one level \(nz = 1\), found 2 levels: the"
    ):
        _decode_here(make_file(nz=2))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"version": 2}, HeaderError, "header byte 0, version: expected 1, found 2$"),
        ({"num_stn": 49}, HeaderError, "header byte 17, number of stations: expected 0 to 48, found 49$"),
        ({"nz": 0}, HeaderError, "header bytes 20-25, nx ny nz: expected positive sizes, found 1153 1441 0$"),
        ({"tm_fields": (2022, 13, 9, 11, 15, 0)}, TimeFieldError, "header bytes 3-9, .*, found 2022-13-9 11:15:0 "),
        ({"tm_in_fields": (2022, 6, 31, 0, 0, 0)}, TimeFieldError, "header bytes 10-16, .*, found 2022-6-31 0:0:0 "),
    ],
)
def test_an_impossible_header(make_file: MakeFile, fields: HeaderFields, error: type[FrameError], message: str) -> None:
    with pytest.raises(error, match=PLACE + message):
        _decode_here(make_file(**fields))


@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("code", [0, 9, -1, 99])
def test_an_unknown_data_code(make_file: MakeFile, pixels: Pixels, block: int, code: int) -> None:
    codes = [1, 2, 3]
    codes[block - 1] = code
    data = make_file(*[pixels] * block, data_codes=codes)
    # the codes begin at byte 33
    with pytest.raises(
        HeaderError, match=PLACE + f"header byte {33 + block - 1}, data code: expected 1 to 8 or 15, found {code}$"
    ):
        decode(data, f"in/{NAME}", block=block)


@pytest.mark.parametrize("block", [0, -1, 2, 17])
def test_a_block_that_is_not_there(frame_file: bytes, block: int) -> None:
    with pytest.raises(LengthError, match=PLACE + f"block: expected block {block}, found 1 in the file$"):
        decode(frame_file, f"in/{NAME}", block=block)


@pytest.mark.parametrize(
    ("name_time", "text"),
    [
        (datetime(2022, 6, 9, 11, 20, tzinfo=KST), "2022-06-09 11:20"),
        (datetime(2022, 6, 9, 2, 15, tzinfo=KST), "2022-06-09 02:15"),  # the UTC time of the header
        (datetime(2021, 6, 9, 11, 15, tzinfo=KST), "2021-06-09 11:15"),
    ],
)
def test_name_and_header_disagree_on_the_time(frame_file: bytes, name_time: datetime, text: str) -> None:
    name = frame_name(name_time)
    with pytest.raises(
        FrameNameError,
        match=(
            rf"^in/{name}: name and header disagree on the time: expected {text} KST \(name\), "
            r"found 2022-06-09 11:15 KST \(header\)$"
        ),
    ):
        decode(frame_file, f"in/{name}")


@given(st.binary(max_size=100), st.sampled_from([".bin", ".bin.gz"]))
def test_anything_at_all_is_our_own_error(data: bytes, suffix: str) -> None:
    for whole in (data, b"\x1f\x8b" + data, gzip.compress(data), gzip.compress(make_header()[:-1] + data)):
        with pytest.raises(FrameError, match=rf"^in/x\.{suffix[1:]}: .*: expected .*, found "):
            decode(whole, f"in/x{suffix}")


@settings(max_examples=60)
@given(st.integers(0, HEADER_BYTES - 1), st.integers(0, 255))
def test_any_byte_of_the_header_may_be_anything(make_file: MakeFile, offset: int, value: int) -> None:
    plain = bytearray(make_file(gz=False))
    plain[offset] = value
    try:
        frame = decode(bytes(plain), "x.bin")
    except HsrGeoError:
        return
    assert frame.raw.shape == (NY, NX)


# -- writing ----------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            hnp.arrays(np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)),
            st.integers(0, NY - 9),
            st.integers(0, NX - 9),
        ),
        min_size=1,
        max_size=3,
    ),
    st.integers(1, 12),
)
def test_decode_is_the_inverse_of_encode(patches: list[tuple[Pixels, int, int]], level: int) -> None:
    header = parse_header(make_header())
    layers = []
    for patch, row, col in patches:
        layer = np.full((NY, NX), -25000, np.int16)
        layer[row : row + patch.shape[0], col : col + patch.shape[1]] = patch
        layers.append(layer)
    data = encode(header, layers, level=min(level, 3))
    for number, layer in enumerate(layers, 1):
        frame = decode(data, NAME, block=number)
        assert np.array_equal(frame.raw, layer)
        assert frame.header == header
        assert frame.blocks == len(layers)


def test_encode_writes_what_the_format_says(make_file: MakeFile, pixels: Pixels) -> None:
    plain = make_file(pixels, pixels[:, ::-1], gz=False)
    frame = decode(plain, frame_name(suffix=".bin"))
    packed = encode(frame.header, [pixels, pixels[:, ::-1]])
    assert gzip.decompress(packed) == plain  # by the standard library, against bytes packed without hsrgeo
    big_endian = pixels.astype(">i2")
    assert gzip.decompress(encode(frame.header, [big_endian, big_endian[:, ::-1]])) == plain


# -- the header alone -------------------------------------------------------------------------------------------------


def test_peek_reads_only_the_header(make_file: MakeFile, frame_file: bytes) -> None:
    expected = parse_header(make_header())
    assert peek_header(frame_file) == expected
    assert peek_header(frame_file[:6000]) == expected  # the rest may be missing
    assert peek_header(make_file(gz=False)) == expected
    assert peek_header(make_header()) == expected


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", gzip.compress(b"short", mtime=0), b"# file not exist (X)"])
def test_peek_refuses_what_is_too_short(data: bytes) -> None:
    with pytest.raises(LengthError, match=r"^length: expected a header of 1024 bytes, found \d+ bytes$"):
        peek_header(data)


def test_unpack_gives_the_blocks_without_a_frame(frame_file: bytes, pixels: Pixels) -> None:
    unpacked = unpack(frame_file, NAME)
    assert (unpacked.blocks, unpacked.grid.name) == (1, "kma-hb-1km")
    assert np.array_equal(unpacked.block(1), pixels)


# -- rebuilt samples --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minute", [10, 15])
def test_sample_frames_are_what_their_readme_says(samples: Path, minute: int) -> None:
    # Its README: 06:10 and 06:15 KST, 10 stations, num_data says 3 and one block follows.
    path = samples / frame_name(datetime(2026, 8, 23, 6, minute, tzinfo=KST))
    data = path.read_bytes()
    frame = decode(data, str(path))
    assert frame.time == datetime(2026, 8, 23, 6, minute, tzinfo=KST)
    assert (frame.product, frame.kind) == ("HSR", "PUB")
    assert (frame.header.num_data, frame.blocks) == (3, 1)
    assert frame.header.station_count == len(frame.header.stations) == 10
    assert frame.grid == grids()["kma-hb-500m"]
    plain = gzip.decompress(data)
    assert len(plain) == 13_282_434
    assert frame.crc32 == zlib.crc32(plain)
    stored = np.frombuffer(plain, "<i2", offset=1024)
    assert np.array_equal(frame.raw[::-1].ravel(), stored)
    # The classes of section 2, counted without the package.
    null = stored[stored < -10000]
    coded = int(np.isin(null, [-30000, -25000, -20100, -20000]).sum())
    assert (frame.cells.nodata, frame.cells.undetect) == (int((null < -25000).sum()), int((null >= -25000).sum()))
    assert (frame.cells.echo, frame.cells.blend) == (stored.size - null.size, null.size - coded)


def test_sample_frame_has_the_blends_its_readme_counts(samples: Path) -> None:
    frame = decode((samples / "RDR_CMP_HSR_PUB_202608230610.bin.gz").read_bytes(), "sample.bin.gz")
    assert np.unique(frame.raw[frame.raw < -20000]).size == 360
    assert set(np.unique(frame.clean().raw[frame.raw < -10000])) == {-30000, -25000}
