"""The 1,024-byte header of a composite: bytes -> Header -> bytes.

References:
    KMA composite format, section 1, "Header, packed, little-endian".
"""

from __future__ import annotations

import struct
from datetime import datetime
from functools import lru_cache

from hsrgeo.errors import HeaderError, TimeFieldError
from hsrgeo.formats.other import with_beginning
from hsrgeo.model.header import Header, Station
from hsrgeo.model.times import KST, existing

HEADER_BYTES = 1024
MAX_STATIONS = 48

_TIME = "h5b"  # TIME_SS: year i16; month, day, hour, minute, second i8
_HEAD = struct.Struct(f"<bh{_TIME}{_TIME}bbb6hb16b15s")
# ^ version, ptype, tm, tm_in, num_stn, map_code, map_etc, nx ny nz dxy dz z_min, num_data, data_code[16], etc[15]
_STATION = struct.Struct(f"<6s{_TIME}{_TIME}")
# ^ stn_cd[6], tm, tm_in
_VERSION = 1
VERSION_BYTE = bytes([_VERSION])
"""The first byte of every composite."""
_LEAP_SECOND = 60


def parse_header(data: bytes | bytearray | memoryview) -> Header:
    """Read the header at the start of an unpacked composite, of at least 1,024 bytes.

    Raises:
        HeaderError: A field is impossible.
        TimeFieldError: A time is impossible.
    """
    fields = _HEAD.unpack_from(data)
    version, ptype = fields[:2]
    station_count, map_code, map_etc, nx, ny, nz, dxy, dz, z_min, num_data = fields[14:24]
    if version != _VERSION:
        raise HeaderError("header byte 0, version", str(_VERSION), with_beginning(str(version), data))
    if not 0 <= station_count <= MAX_STATIONS:
        raise HeaderError("header byte 17, number of stations", f"0 to {MAX_STATIONS}", str(station_count))
    if min(nx, ny, nz) < 1:
        raise HeaderError("header bytes 20-25, nx ny nz", "positive sizes", f"{nx} {ny} {nz}")
    time = _time(fields[2:8], "header bytes 3-9, observation time")
    if time is None:
        raise TimeFieldError("header bytes 3-9, observation time", "a date", "zeros")
    return Header(
        version=version,
        ptype=ptype,
        time=time,
        created=_time(fields[8:14], "header bytes 10-16, creation time"),
        station_count=station_count,
        map_code=map_code,
        map_etc=map_etc,
        nx=nx,
        ny=ny,
        nz=nz,
        dxy=dxy,
        dz=dz,
        z_min=z_min,
        num_data=num_data,
        data_codes=tuple(fields[24:40]),
        etc=fields[40],
        stations=tuple(_station(data, order) for order in range(station_count)),
    )


def pack_header(header: Header) -> bytes:
    """Return the 1,024 bytes of a header; the inverse of `parse_header`."""
    head = _HEAD.pack(
        header.version,
        header.ptype,
        *_time_fields(header.time),
        *_time_fields(header.created),
        header.station_count,
        header.map_code,
        header.map_etc,
        *(header.nx, header.ny, header.nz, header.dxy, header.dz, header.z_min),
        header.num_data,
        *header.data_codes,
        header.etc,
    )
    stations = b"".join(
        _STATION.pack(s.code.encode("ascii"), *_time_fields(s.time), *_time_fields(s.created)) for s in header.stations
    )
    return (head + stations).ljust(HEADER_BYTES, b"\0")


def _station(data: bytes | bytearray | memoryview, order: int) -> Station:
    offset = _HEAD.size + order * _STATION.size
    fields = _STATION.unpack_from(data, offset)
    where = f"header bytes {offset}-{offset + _STATION.size - 1}, station {order + 1}"
    return Station(
        code=fields[0].partition(b"\0")[0].decode("ascii", "backslashreplace").strip(),
        time=_time(fields[1:7], where),
        created=_time(fields[7:], where),
    )


def _time(fields: tuple[int, ...], where: str) -> datetime | None:
    try:
        return _known_time(fields)
    except ValueError as error:
        year, month, day, hour, minute, second = fields
        found = f"{year}-{month}-{day} {hour}:{minute}:{second} ({error})"
        raise TimeFieldError(where, "a date and time that exist", found) from error


@lru_cache(maxsize=64)  # most stations of a frame have the same times
def _known_time(fields: tuple[int, ...]) -> datetime | None:
    if not any(fields):
        return None
    year, month, day, hour, minute, second = fields
    # A second of 60 occurs in KMA's files; 59 keeps the minute that the file's name carries.
    return existing(datetime(year, month, day, hour, minute, 59 if second == _LEAP_SECOND else second, tzinfo=KST))


def _time_fields(time: datetime | None) -> tuple[int, ...]:
    if time is None:
        return (0,) * 6
    local = time.astimezone(KST)
    return local.year, local.month, local.day, local.hour, local.minute, local.second
