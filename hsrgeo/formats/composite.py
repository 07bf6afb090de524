"""A whole composite file: bytes -> Frame, and pixels -> bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import deflate
import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from hsrgeo.errors import (
    FrameError,
    FrameNameError,
    HeaderError,
    HsrGeoError,
    LengthError,
)
from hsrgeo.formats import gzipped
from hsrgeo.formats.blocks import (
    MAX_BLOCKS,
    PIXEL,
    RAIN_CODE,
    block_count,
    block_start,
    grid_and_blocks,
    grid_of,
    refuse_other_headers,
)
from hsrgeo.formats.header import HEADER_BYTES, pack_header, parse_header
from hsrgeo.formats.names import FrameName, basename, parse_name, unrepeated
from hsrgeo.formats.other import refuse_text
from hsrgeo.model.file_blocks import ALL, Block, MaskedBlock
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid, Registration
from hsrgeo.model.header import PRODUCTS_BY_PTYPE, Header
from hsrgeo.model.quantity import QUANTITIES
from hsrgeo.model.times import time_label
from hsrgeo.model.window import Window

MAX_UNPACKED_BYTES = HEADER_BYTES + MAX_BLOCKS * 2881 * 2305 * 2
"""53,126,664. KMA's paper gives 39,845,254 for three blocks of the largest grid."""
MAX_STORED_BYTES = MAX_UNPACKED_BYTES + (1 << 20)
"""Most bytes that a file of a frame may have: a gzip stream that did not compress, and some room."""
WindowOf = Callable[[Grid], Window]
"""Which part of the grid that a frame lies on is wanted."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A composite's bytes, checked for length, with its header and grid; no pixel was looked at yet."""

    data: bytes
    """All of the file, or `rows` of one block."""
    header: Header
    grid: Grid
    blocks: int
    crc32: int
    note: str
    """What is odd about the file, which could be read all the same."""
    rows: Window | None = None
    """The whole rows of the grid that were kept; None is everything."""

    def block(self, number: int) -> NDArray[np.int16]:
        """Return the stored values of a block (counted from 1), north-up, as a view of the bytes, not to be written."""
        shape = (self.rows or self.grid).height, self.grid.width
        start = 0 if self.rows else block_start(number, self.grid)
        stored = np.frombuffer(self.data, PIXEL, shape[0] * shape[1], start).reshape(shape)
        return stored[::-1]  # stored south to north


def decode(
    data: bytes, name: str, *, member: str | None = None, block: Block = 1, registration: Registration = "point"
) -> Frame:
    """Turn the bytes of a ``.bin.gz`` or ``.bin`` file into a frame.

    Args:
        data: The file as it lies on disk or in an archive.
        name: Path of the file, or of the archive that holds it.
        member: Name inside the archive, or None for a plain file.
        block: Which block to take, and which of its cells; of `ALL` the first.
        registration: What KMA's points are, see `Grid.registration`.

    Raises:
        OptionsError: There is no such registration.
        FrameError: Whatever is wrong with it, with the place, what was expected and what was found.
    """
    return decode_blocks(data, name, member=member, block=block, registration=registration)[0]


def decode_blocks(
    data: bytes,
    name: str,
    *,
    member: str | None = None,
    block: Block = 1,
    registration: Registration = "point",
    window_of: WindowOf | None = None,
) -> tuple[Frame, ...]:
    """Return the frames of the blocks that are wanted, one or, of `ALL`, as many as the file has; see `decode`.

    `window_of` tells what will be looked at. Where that saves time, a frame has only the rows of this window, which its
    own `Frame.window` tells. All of the file is unpacked and checked all the same.

    Raises:
        OptionsError, FrameError: See `decode`.
    """
    own_name = basename(name if member is None else unrepeated(member))
    try:
        unpacked = _unpack_rows(data, block, registration, window_of) if window_of else None
        unpacked = unpacked or unpack(data, own_name)
        chosen = block.block if isinstance(block, MaskedBlock) else block
        numbers = range(1, unpacked.blocks + 1) if chosen == ALL else (_number_of(chosen, unpacked),)
        frames = (_frame(unpacked, own_name, number) for number in numbers)
        if isinstance(block, MaskedBlock):
            unwanted = _unwanted(unpacked, block)
            frames = (_masked(frame, unwanted, block) for frame in frames)
        if registration != "point":
            frames = (replace(frame, grid=grid_of(frame.header, registration)) for frame in frames)
        if unpacked.rows:
            frames = (replace(frame, grid=frame.grid.crop(unpacked.rows), window=unpacked.rows) for frame in frames)
        return tuple(frames)
    except FrameError as error:
        raise error.at(name, member) from error.__cause__


def _unpack_rows(data: bytes, block: Block, registration: Registration, window_of: WindowOf) -> Unpacked | None:
    """Return the rows of one block that are wanted, or None where `unpack` has to read or refuse the whole file."""
    if not isinstance(block, int) or not data.startswith(gzipped.MAGIC):
        return None
    length = int.from_bytes(data[-4:], "little")
    try:
        header = peek_header(data)
        grid, blocks = grid_and_blocks(header, length)
        wanted = window_of(grid_of(header, registration))
    except HsrGeoError:
        return None
    if not 1 <= block <= blocks or (blocks == 1 and wanted.height == grid.height):
        return None
    rows = Window(0, wanted.row_off, grid.width, wanted.height)
    row_bytes = grid.width * PIXEL.itemsize
    start = block_start(block, grid) + (grid.height - rows.row_off - rows.height) * row_bytes  # from the south
    kept = gzipped.gunzip_range(data, length, start, start + rows.height * row_bytes)
    if kept is None:
        return None
    return Unpacked(kept, header, grid, blocks, gzipped.trailer_crc32(data), "", rows)


def _number_of(block: int | str, unpacked: Unpacked) -> int:
    """Return the number of a block, which its name may tell."""
    if isinstance(block, int):
        return block
    names = [name_of_code(code) for code in unpacked.header.data_codes[: unpacked.blocks]]
    if block not in names:
        raise LengthError("block", f"a block of {block}", f"{', '.join(names)} in the file")
    return names.index(block) + 1


def name_of_code(code: int) -> str:
    """Return the name of the quantity of a data code, for a message."""
    return QUANTITIES[code].name if code in QUANTITIES else f"data code {code}"


def _unwanted(unpacked: Unpacked, block: MaskedBlock) -> NDArray[np.bool_]:
    unwanted = np.zeros((unpacked.grid.height, unpacked.grid.width), bool)
    if block.max_height_m is not None:
        heights = unpacked.block(_number_of("height", unpacked))
        unwanted |= (heights < QUANTITIES[_HEIGHT_CODE].echo_from) | (heights > block.max_height_m)
    if block.stations:
        listed = [station.code for station in unpacked.header.stations]
        numbers = [number for number, code in enumerate(listed, 1) if code in block.stations]
        if not numbers:
            raise LengthError("stations", f"one of {', '.join(block.stations)}", ", ".join(listed) or "none")
        unwanted |= ~np.isin(unpacked.block(_number_of("station", unpacked)), numbers)
    return unwanted


def _masked(frame: Frame, unwanted: NDArray[np.bool_], block: MaskedBlock) -> Frame:
    stored = np.where(unwanted, np.int16(frame.quantity.nodata), frame.stored)
    derived = {
        "MAX_HEIGHT_M": "" if block.max_height_m is None else f"{block.max_height_m:g}",
        "ONLY_STATIONS": ",".join(block.stations),
        "COUNT_MASKED": str(np.count_nonzero(unwanted & (frame.stored >= frame.quantity.undetect))),
    }
    return replace(frame, stored=stored, derived=tuple((name, text) for name, text in derived.items() if text))


_HEIGHT_CODE = 2


def unpack(data: bytes, name: str) -> Unpacked:
    """Unpack and check a composite without looking at its pixels.

    Raises:
        FrameError: As `decode`, with no place filled in.
    """
    note, unpacked = "", data
    if _is_unpacked(data, name):
        note = "named .gz, but unpacked already: no checksum could be tested"
    elif data.startswith(gzipped.MAGIC) or name.lower().endswith(".gz"):
        unpacked, note = gzipped.gunzip(data, MAX_UNPACKED_BYTES)
        refuse_text(unpacked)
    else:
        gzipped.check_stored(data, MAX_UNPACKED_BYTES)
    crc32 = zlib_ng.crc32(unpacked) if note or unpacked is data else gzipped.trailer_crc32(data)
    refuse_other_headers(len(unpacked))
    if len(unpacked) < HEADER_BYTES:
        raise LengthError("length", f"a header of {HEADER_BYTES} bytes and pixels", f"{len(unpacked):,} bytes")
    header = parse_header(unpacked)
    grid, blocks = grid_and_blocks(header, len(unpacked))
    return Unpacked(unpacked, header, grid, blocks, crc32, note)


def _is_unpacked(data: bytes, name: str) -> bool:
    """Tell whether a file named .gz is the frame itself, which its header and its exact length prove."""
    if not name.lower().endswith(".gz") or data.startswith(gzipped.MAGIC) or len(data) < HEADER_BYTES:
        return False
    try:
        return block_count(len(data), grid_of(parse_header(data))) > 0
    except FrameError:
        return False


def encode(header: Header, blocks: Sequence[NDArray[np.int16]], *, level: int = 6) -> bytes:
    """Return the bytes of a ``.bin.gz`` file; the inverse of `decode`.

    Args:
        header: Written as it is.
        blocks: North-up stored values, shape (ny, nx) each.
        level: libdeflate level, 1 to 12.
    """
    parts = [pack_header(header), *(np.ascontiguousarray(block[::-1], PIXEL).tobytes() for block in blocks)]
    packed: bytearray = deflate.gzip_compress(b"".join(parts), level)
    return bytes(packed)


def peek_header(data: bytes) -> Header:
    """Read only the header of a file's bytes; nothing else of it is checked.

    Raises:
        FrameError: No header can be read.
    """
    start = gzipped.peek(data, HEADER_BYTES) if data.startswith(gzipped.MAGIC) else data[:HEADER_BYTES]
    if len(start) < HEADER_BYTES:
        raise LengthError("length", f"a header of {HEADER_BYTES} bytes", f"{len(start):,} bytes")
    return parse_header(start)


def product_of(header: Header) -> str:
    """Return the product that a header tells, for files whose name does not.

    A frame whose first block is a rain rate is HSP: its ``ptype`` is that of HSR (KMA composite format, section 7).
    """
    if header.data_codes[0] == RAIN_CODE:
        return _RAIN_PRODUCT
    return PRODUCTS_BY_PTYPE.get(header.ptype, f"P{header.ptype}")


def product_with(frame: Frame, code: int) -> str:
    """Return the product of values with a data code that were made of a frame: its own, if it holds the same."""
    if code == frame.header.data_codes[frame.block - 1]:
        return frame.product
    return product_of(replace(frame.header, data_codes=(code,)))


_RAIN_PRODUCT = "HSP"
_CODES_OF_PRODUCTS = {"HSR": 1, _RAIN_PRODUCT: RAIN_CODE, "CPP": 1, "PPI": 1, "CMX": 1, "HCI": 6, "PTY": 7}
"""Data code of the first block of a product, by the product's name (KMA composite format, section 1)."""


def _belied(name: str, product: str, header: Header) -> tuple[str, ...]:
    """Return a note where a file's name says that it holds something else than it does."""
    code = header.data_codes[0]
    meant, found = QUANTITIES.get(_CODES_OF_PRODUCTS.get(product, code)), QUANTITIES.get(code)
    if meant is None or found is None or meant == found:
        return ()
    return (f"{name}: named {product} ({meant.name}), but by its data code {code} it is {found.name}: read as that",)


def _frame(unpacked: Unpacked, name: str, block: int) -> Frame:
    header = unpacked.header
    minute = header.time.replace(second=0)
    named = True
    try:
        frame_name = parse_name(name)
    except FrameNameError:
        named = False
        frame_name = FrameName(product_of(header), "", minute)
    if frame_name.time != minute:
        raise FrameNameError(
            "name and header disagree on the time",
            f"{time_label(frame_name.time)} (name)",
            f"{time_label(header.time)} (header)",
        )
    if not 1 <= block <= unpacked.blocks:
        raise LengthError("block", f"block {block}", f"{unpacked.blocks} in the file")
    code = header.data_codes[block - 1]
    quantity = QUANTITIES.get(code)
    if quantity is None:
        raise HeaderError(f"header byte {32 + block}, data code", "1 to 8 or 15", str(code))
    if header.not_kma:
        quantity = replace(quantity, cap=None)
    return Frame(
        stored=unpacked.block(block),
        quantity=quantity,
        grid=unpacked.grid,
        window=unpacked.grid.window,
        time=minute,
        header=header,
        product=frame_name.product,
        kind=frame_name.kind,
        name=name,
        crc32=unpacked.crc32,
        block=block,
        blocks=unpacked.blocks,
        notes=((f"{name}: {unpacked.note}",) if unpacked.note else ())
        + (_belied(name, frame_name.product, header) if named else ()),
    )
