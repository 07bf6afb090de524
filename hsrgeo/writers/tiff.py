"""The bytes of a TIFF: what GDAL wrote once is taken apart, and put together again around other tiles.

Only what GDAL's COG driver writes is read: classic little-endian TIFF, IFDs before data, tiles.

References:
    TIFF 6.0, sections 2 (structure) and 15 (tiles). GDAL, "Cloud Optimized GeoTIFF generator", header ghost area:
    every tile is led by its size and followed by a copy of its last four bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

WIDTH, HEIGHT = 256, 257
DESCRIPTION, DATETIME = 270, 306
TILE_OFFSETS, TILE_BYTE_COUNTS = 324, 325
GDAL_METADATA = 42112
PLACE = {33550, 33922, 34735}
"""ModelPixelScale, ModelTiepoint and GeoKeyDirectory (OGC GeoTIFF 1.1, annex B)."""
_ASCII, _LONG = 2, 4
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}  # TIFF 6.0, section 2

_HEADER = struct.Struct("<2sHI")
_COUNT = struct.Struct("<H")
_ENTRY = struct.Struct("<HHI4s")
_LONG_VALUE = struct.Struct("<I")
_LEADER = _LONG_VALUE.size
_TRAILER = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """A field of an IFD with its value."""

    tag: int
    type: int
    count: int
    value: bytes

    def number(self) -> int:
        """Return a value that is one integer."""
        return int.from_bytes(self.value[: _TYPE_SIZES[self.type]], "little")


@dataclass(frozen=True, slots=True)
class Ifd:
    """One image of a file: the full resolution, or an overview."""

    entries: tuple[Entry, ...]

    def number(self, tag: int) -> int:
        """Return the value of an integer field."""
        return next(entry.number() for entry in self.entries if entry.tag == tag)

    def numbers(self, tag: int) -> list[int]:
        """Return the values of an integer field."""
        entry = next(entry for entry in self.entries if entry.tag == tag)
        size = _TYPE_SIZES[entry.type]
        return [int.from_bytes(entry.value[at : at + size], "little") for at in range(0, len(entry.value), size)]

    def text(self, tag: int) -> str:
        """Return the value of a text field, or nothing where there is none."""
        found = (entry.value.rstrip(b"\0").decode() for entry in self.entries if entry.tag == tag)
        return next(found, "")

    def with_texts(self, texts: Mapping[int, str]) -> Ifd:
        """Return the IFD with other text in the fields that it has."""
        return replace(self, entries=tuple(_with_text(entry, texts) for entry in self.entries))


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A COG without its tiles."""

    ghost: bytes
    """GDAL's description of the layout, between the TIFF header and the first IFD."""
    ifds: tuple[Ifd, ...]
    """Full resolution first, then overviews, each smaller than the one before."""


def take_apart(data: bytes) -> Skeleton:
    """Read the structure of a COG that GDAL wrote.

    Raises:
        ValueError: It is no classic little-endian TIFF with all IFDs before the data.
    """
    order, magic, offset = _HEADER.unpack_from(data)
    if (order, magic) != (b"II", 42):
        raise ValueError(f"expected a classic little-endian TIFF, found {data[:4].hex(' ')}")
    ghost = data[_HEADER.size : offset]
    ifds = []
    while offset:
        ifd, follower = _read_ifd(data, offset)
        if follower and follower <= offset:
            raise ValueError(f"the IFD at {offset:,} is followed by one at {follower:,}: expected it farther on")
        ifds.append(ifd)
        offset = follower
    return Skeleton(ghost, tuple(ifds))


def tiles_end(ifd: Ifd) -> int:
    """Return the byte after the last tile of an image, and after those of every smaller one."""
    places = zip(ifd.numbers(TILE_OFFSETS), ifd.numbers(TILE_BYTE_COUNTS), strict=True)
    return max(offset + size for offset, size in places)


def put_together(skeleton: Skeleton, tiles: Sequence[Sequence[bytes | bytearray]]) -> bytes:
    """Return the file: header, IFDs, then the tiles of the smallest overview first and the full resolution last.

    Tiles are compressed, row by row, for each IFD of the skeleton, whose offsets and sizes are filled in here.
    """
    head = _HEADER.size + len(skeleton.ghost) + sum(map(_ifd_bytes, skeleton.ifds))
    offsets = _tile_offsets(head, tiles)
    parts: list[bytes | bytearray] = [_HEADER.pack(b"II", 42, _HEADER.size + len(skeleton.ghost)), skeleton.ghost]
    position = _HEADER.size + len(skeleton.ghost)
    for order, ifd in enumerate(skeleton.ifds):
        after = position + _ifd_bytes(ifd)
        follower = after if order + 1 < len(skeleton.ifds) else 0
        places = {TILE_OFFSETS: offsets[order], TILE_BYTE_COUNTS: [len(tile) for tile in tiles[order]]}
        parts.append(_pack_ifd(ifd, position, follower, places))
        position = after
    for level in reversed(tiles):
        for tile in level:
            parts += (_LONG_VALUE.pack(len(tile)), tile, tile[-_TRAILER:])
    return b"".join(parts)


def _read_ifd(data: bytes, offset: int) -> tuple[Ifd, int]:
    (count,) = _COUNT.unpack_from(data, offset)
    start = offset + _COUNT.size
    entries = []
    for number in range(count):
        tag, field_type, length, inline = _ENTRY.unpack_from(data, start + number * _ENTRY.size)
        size = _TYPE_SIZES[field_type] * length
        place = int.from_bytes(inline, "little")
        value = inline[:size] if size <= len(inline) else data[place : place + size]
        if len(value) < size:
            raise struct.error(f"field {tag} has {size:,} bytes at {place:,}: the file ends before")
        entries.append(Entry(tag, field_type, length, value))
    (follower,) = _LONG_VALUE.unpack_from(data, start + count * _ENTRY.size)
    return Ifd(tuple(entries)), follower


def _with_text(entry: Entry, texts: Mapping[int, str]) -> Entry:
    if entry.tag not in texts:
        return entry
    value = texts[entry.tag].encode() + b"\0"
    return Entry(entry.tag, _ASCII, len(value), value)


def _tile_offsets(head: int, tiles: Sequence[Sequence[bytes | bytearray]]) -> list[list[int]]:
    offsets: list[list[int]] = [[] for _level in tiles]
    position = head
    for order in reversed(range(len(tiles))):
        for tile in tiles[order]:
            offsets[order].append(position + _LEADER)
            position += _LEADER + len(tile) + _TRAILER
    return offsets


def _ifd_bytes(ifd: Ifd) -> int:
    # The table, then every value that does not fit into it, each on an even offset (TIFF 6.0, section 2).
    table = _COUNT.size + len(ifd.entries) * _ENTRY.size + _LONG_VALUE.size
    return table + sum(_even(_value_bytes(entry)) for entry in ifd.entries if _value_bytes(entry) > _LONG_VALUE.size)


def _value_bytes(entry: Entry) -> int:
    width = _LONG_VALUE.size if entry.tag in (TILE_OFFSETS, TILE_BYTE_COUNTS) else _TYPE_SIZES[entry.type]
    return width * entry.count


def _pack_ifd(ifd: Ifd, position: int, follower: int, places: Mapping[int, Sequence[int]]) -> bytes:
    table = [_COUNT.pack(len(ifd.entries))]
    values: list[bytes] = []
    free = position + _COUNT.size + len(ifd.entries) * _ENTRY.size + _LONG_VALUE.size
    for entry in ifd.entries:
        field_type, value = entry.type, entry.value
        if numbers := places.get(entry.tag):
            field_type, value = _LONG, struct.pack(f"<{len(numbers)}I", *numbers)
        if len(value) <= _LONG_VALUE.size:
            table.append(_ENTRY.pack(entry.tag, field_type, entry.count, value))
        else:
            table.append(_ENTRY.pack(entry.tag, field_type, entry.count, _LONG_VALUE.pack(free)))
            values.append(value.ljust(_even(len(value)), b"\0"))
            free += _even(len(value))
    return b"".join((*table, _LONG_VALUE.pack(follower), *values))


def _even(size: int) -> int:
    return size + size % 2
