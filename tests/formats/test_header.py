from __future__ import annotations

import dataclasses
import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.errors import HeaderError, TimeFieldError
from hsrgeo.formats.header import HEADER_BYTES, MAX_STATIONS, pack_header, parse_header
from hsrgeo.model.header import PRODUCTS_BY_PTYPE, Header, Station
from hsrgeo.model.times import KST
from tests.conftest import HeaderFields, StationEntry, TimeFields, make_header, time_fields

OBSERVED: TimeFields = (2022, 6, 9, 11, 15, 0)
CREATED: TimeFields = (2022, 6, 9, 11, 21, 42)
ZEROS: TimeFields = (0, 0, 0, 0, 0, 0)

# Every field has its own value, so that none can stand in for another.
DISTINCT: HeaderFields = {
    "version": 1,
    "ptype": 1234,
    "tm_fields": (2021, 2, 3, 4, 5, 6),
    "tm_in_fields": (2022, 7, 8, 9, 10, 11),
    "stations": [
        (b"KWK", (2023, 1, 12, 13, 14, 15), (2024, 2, 16, 17, 18, 19)),
        (b"GDKXYZ", (2025, 3, 20, 21, 22, 23), ZEROS),
    ],
    "map_code": 101,
    "map_etc": -102,
    "nx": 2305,
    "ny": 2881,
    "nz": 37,
    "dxy": 499,
    "dz": 251,
    "z_min": -399,
    "num_data": 103,
    "data_codes": range(104, 120),
    "etc": b"fifteen letters",
}


def test_every_field_is_where_the_table_says() -> None:
    assert parse_header(make_header(**DISTINCT)) == Header(
        version=1,
        ptype=1234,
        time=datetime(2021, 2, 3, 4, 5, 6, tzinfo=KST),
        created=datetime(2022, 7, 8, 9, 10, 11, tzinfo=KST),
        station_count=2,
        map_code=101,
        map_etc=-102,
        nx=2305,
        ny=2881,
        nz=37,
        dxy=499,
        dz=251,
        z_min=-399,
        num_data=103,
        data_codes=tuple(range(104, 120)),
        etc=b"fifteen letters",
        stations=(
            Station(
                "KWK", datetime(2023, 1, 12, 13, 14, 15, tzinfo=KST), datetime(2024, 2, 16, 17, 18, 19, tzinfo=KST)
            ),
            Station("GDKXYZ", datetime(2025, 3, 20, 21, 22, 23, tzinfo=KST), None),
        ),
    )


def test_bytes_of_a_measured_header() -> None:
    # Bytes 32..63 of 2025-08-13 10:00, as measured: 03 01 02 03 00 ...
    head = make_header(tm_fields=(2025, 8, 13, 10, 0, 0))
    assert head[32:64] == bytes([3, 1, 2, 3]) + bytes(28)
    header = parse_header(head)
    assert header.num_data == 3
    assert header.data_codes == (1, 2, 3) + (0,) * 13
    assert header.time == datetime(2025, 8, 13, 1, 0, tzinfo=UTC)  # 10:00 KST
    # 2025 = 0x07e9, little-endian
    assert head[3:10] == bytes([0xE9, 0x07, 8, 13, 10, 0, 0])


def test_all_48_stations_fit_to_the_last_byte() -> None:
    entries: list[StationEntry] = [(b"S%02d" % k, (2022, 6, 9, 11, 15, k), CREATED) for k in range(48)]
    head = make_header(stations=entries)
    assert len(head) == HEADER_BYTES == 64 + 48 * 20
    header = parse_header(head)
    assert MAX_STATIONS == header.station_count == len(header.stations) == 48
    assert [station.code for station in header.stations] == [f"S{k:02d}" for k in range(48)]
    assert [station.time.second for station in header.stations if station.time] == list(range(48))


def test_stations_beyond_the_count_are_not_read() -> None:
    # the list may hold rubbish after the radars used
    header = parse_header(
        make_header(num_stn=1, stations=[(b"KWK", OBSERVED, CREATED), (b"\xff\xff", (-1,) * 6, ZEROS)])
    )
    assert [station.code for station in header.stations] == ["KWK"]
    assert parse_header(make_header(stations=[])).stations == ()


@pytest.mark.parametrize(
    ("stored", "code"), [(b"KWK", "KWK"), (b"KWK\0xx", "KWK"), (b"KWK   ", "KWK"), (b"", ""), (b"K\xb0K", "K\\xb0K")]
)
def test_station_code_is_text(stored: bytes, code: str) -> None:
    header = parse_header(make_header(stations=[(stored, OBSERVED, CREATED)]))
    assert header.stations[0].code == code


def test_what_follows_the_header_is_not_looked_at() -> None:
    head = make_header()
    for data in (head + b"\xff" * 100, bytearray(head), memoryview(head)):
        assert parse_header(data) == parse_header(head)


@pytest.mark.parametrize("field", ["tm_fields", "tm_in_fields"])
def test_a_second_of_60_stays_in_its_minute(field: str) -> None:
    leap: TimeFields = (2016, 12, 31, 23, 59, 60)
    fields: HeaderFields = {"tm_fields": leap} if field == "tm_fields" else {"tm_in_fields": leap}
    header = parse_header(make_header(**fields))
    time = header.time if field == "tm_fields" else header.created
    assert time == datetime(2016, 12, 31, 23, 59, 59, tzinfo=KST)


def test_times_that_are_not_filled_in() -> None:
    header = parse_header(make_header(tm_in_fields=ZEROS, stations=[(b"KWK", ZEROS, ZEROS)]))
    assert header.created is None
    assert header.stations == (Station("KWK", None, None),)
    with pytest.raises(TimeFieldError, match=r"^header bytes 3-9, observation time: expected a date, found zeros$"):
        parse_header(make_header(tm_fields=ZEROS))


IMPOSSIBLE: list[TimeFields] = [
    (0, 6, 9, 11, 15, 0),
    (10000, 6, 9, 11, 15, 0),
    (-1, 6, 9, 11, 15, 0),
    (1, 1, 1, 0, 0, 0),  # KST, so the year 0 in UTC: nothing can be made of it
    (2022, 0, 9, 11, 15, 0),
    (2022, 13, 9, 11, 15, 0),
    (2022, -6, 9, 11, 15, 0),
    (2022, 6, 0, 11, 15, 0),
    (2022, 6, 31, 11, 15, 0),
    (2023, 2, 29, 11, 15, 0),
    (2022, 6, 9, 24, 15, 0),
    (2022, 6, 9, -1, 15, 0),
    (2022, 6, 9, 11, 60, 0),
    (2022, 6, 9, 11, -1, 0),
    (2022, 6, 9, 11, 15, 61),
    (2022, 6, 9, 11, 15, -1),
]


def _found(fields: TimeFields) -> str:
    year, month, day, hour, minute, second = fields
    return rf"expected a date and time that exist, found {year}-{month}-{day} {hour}:{minute}:{second} \("


@pytest.mark.parametrize("fields", IMPOSSIBLE)
def test_an_impossible_time_is_refused_wherever_it_is(fields: TimeFields) -> None:
    found = _found(fields)
    with pytest.raises(TimeFieldError, match=f"^header bytes 3-9, observation time: {found}"):
        parse_header(make_header(tm_fields=fields))
    with pytest.raises(TimeFieldError, match=f"^header bytes 10-16, creation time: {found}"):
        parse_header(make_header(tm_in_fields=fields))
    # the second station's entry begins at 64 + 20 = 84 and ends before 104, the last of 48 at 64 + 47 * 20 = 1004
    with pytest.raises(TimeFieldError, match=f"^header bytes 84-103, station 2: {found}"):
        parse_header(make_header(stations=[(b"KWK", OBSERVED, CREATED), (b"GDK", fields, CREATED)]))
    with pytest.raises(TimeFieldError, match=f"^header bytes 1004-1023, station 48: {found}"):
        parse_header(make_header(stations=[*[(b"KWK", OBSERVED, CREATED)] * 47, (b"GDK", OBSERVED, fields)]))


@pytest.mark.parametrize("version", [0, 2, -1, 127])
def test_another_version_is_refused(version: int) -> None:
    with pytest.raises(HeaderError, match=f"^header byte 0, version: expected 1, found {version}$"):
        parse_header(make_header(version=version))


@pytest.mark.parametrize("count", [49, 127, -1, -128])
def test_an_impossible_number_of_stations_is_refused(count: int) -> None:
    with pytest.raises(HeaderError, match=f"^header byte 17, number of stations: expected 0 to 48, found {count}$"):
        parse_header(make_header(num_stn=count))


@pytest.mark.parametrize(
    "sizes", [(0, 1441, 1), (1153, 0, 1), (1153, 1441, 0), (-1153, 1441, 1), (1153, -1, 1), (1, 1, -1)]
)
def test_an_impossible_size_is_refused(sizes: tuple[int, int, int]) -> None:
    nx, ny, nz = sizes
    with pytest.raises(
        HeaderError, match=f"^header bytes 20-25, nx ny nz: expected positive sizes, found {nx} {ny} {nz}$"
    ):
        parse_header(make_header(nx=nx, ny=ny, nz=nz))


def test_random_bytes_are_refused_as_a_header() -> None:
    with pytest.raises(HeaderError, match="version"):
        parse_header(b"\xff" * 1024)
    with pytest.raises(HeaderError):
        parse_header(b"<!DOCTYPE html>".ljust(1024))


TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 31, 23, 59, 59)).map(time_fields)  # noqa: DTZ001
MAYBE = st.just(ZEROS) | TIMES
I8, I16 = st.integers(-128, 127), st.integers(-32768, 32767)
CODES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", max_size=6).map(str.encode)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "ptype": I16,
            "tm_fields": TIMES,
            "tm_in_fields": MAYBE,
            "stations": st.lists(st.tuples(CODES, MAYBE, MAYBE), max_size=48),
            "map_code": I8,
            "map_etc": I8,
            "nx": st.integers(1, 32767),
            "ny": st.integers(1, 32767),
            "nz": st.integers(1, 32767),
            "dxy": I16,
            "dz": I16,
            "z_min": I16,
            "num_data": I8,
            "data_codes": st.lists(I8, min_size=16, max_size=16),
            "etc": st.binary(min_size=15, max_size=15),
        },
    )
)
def test_packing_is_the_inverse_of_reading(fields: HeaderFields) -> None:
    head = make_header(**fields)
    header = parse_header(head)
    assert pack_header(header) == head
    assert parse_header(pack_header(header)) == header


def test_times_of_another_zone_are_packed_as_kst() -> None:
    header = dataclasses.replace(
        parse_header(make_header()), time=datetime(2022, 6, 8, 15, 0, tzinfo=UTC), created=None
    )
    head = pack_header(header)
    assert struct.unpack_from("<h5b", head, 3) == (2022, 6, 9, 0, 0, 0)  # 15:00 + 9 h
    assert head[10:17] == bytes(7)


def test_a_simulated_frame_carries_its_mark() -> None:
    assert parse_header(make_header(etc=b"SYNTHETIC 1")).synthetic
    assert not parse_header(make_header()).synthetic


def test_products_by_ptype_are_the_words_of_file_names() -> None:
    # section 1: 0 PPI0, 1 CAPPI, 2 CMAX, 5 HSR, 6 hydrometeor, 9 LNG, 10 PCP, 15 NUM; names say PPI, CPP, CMX, HCI
    words = {0: "PPI", 1: "CPP", 2: "CMX", 5: "HSR", 6: "HCI", 9: "LNG", 10: "PCP", 15: "NUM"}
    assert {ptype: PRODUCTS_BY_PTYPE[ptype] for ptype in words} == words
