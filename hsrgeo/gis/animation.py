"""Pictures in a row -> the bytes of a GIF, a WebP or an MP4; one picture at a time is in memory.

GIF and WebP keep every colour as it is. Both are put together here from pictures that Pillow packs, for its own
writers hold all of them until the last one is there.
"""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import needs
from hsrgeo.gis.canvas import PALETTE, TRANSPARENT, WHITE, Indices, palette_bytes
from hsrgeo.products.palettes import Rgb

if TYPE_CHECKING:
    from PIL.Image import Image

Reel = Iterable[tuple[Indices, int]]
"""Pictures of one size, and how many ticks of 1/fps second each is shown."""
Colours = Sequence[Rgb]
_CHUNK_BYTES = 1 << 20


def png(picture: Indices, palette: Colours = PALETTE) -> bytes:
    """Return the bytes of a PNG."""
    packed = io.BytesIO()
    paletted = _image(picture)
    paletted.putpalette([part for rgb in palette for part in rgb])
    paletted.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def gif(reel: Reel, fps: int, palette: Colours = PALETTE) -> Iterator[bytes]:
    """Yield the chunks of a GIF that begins again at its end, in the palette and nothing else."""
    clock = _clock(fps, 100)
    before: Indices | None = None
    for picture, ticks in reel:
        if before is None:
            height, width = picture.shape
            yield b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, WHITE, 0) + palette_bytes(palette)
            yield b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
        left, top, part = _changed(before, picture, 1)
        packed = io.BytesIO()
        _image(part).save(packed, "GIF", optimize=False, interlace=False)
        # Disposal 1: what was drawn stays, and what did not change is transparent.
        yield struct.pack("<BBBBHBB", 0x21, 0xF9, 4, 1 << 2 | 1, min(clock(ticks), 0xFFFF), TRANSPARENT, 0)
        yield struct.pack("<BHHHHB", 0x2C, left, top, part.shape[1], part.shape[0], 0)
        yield _gif_data(packed.getvalue())
        before = picture
    yield b"\x3b"


def webp(reel: Reel, fps: int, palette: Colours = PALETTE) -> Iterator[bytes]:
    """Yield the chunks of a lossless WebP that begins again at its end."""
    clock, table = _clock(fps, 1000), _colours(palette)
    before: Indices | None = None
    # The format begins with its length, so the pictures wait on disk.
    with tempfile.TemporaryFile() as packed:
        for picture, ticks in reel:
            left, top, part = _changed(before, picture, 2)
            fields = (left // 2, top // 2, part.shape[1] - 1, part.shape[0] - 1, clock(ticks))
            frame = b"".join(field.to_bytes(3, "little") for field in fields) + b"\x00"  # blended, and left there
            packed.write(_riff(b"ANMF", frame + _riff(b"VP8L", _webp_data(part, table))))
            before = picture
        if before is None:
            return
        sides = b"".join((side - 1).to_bytes(3, "little") for side in reversed(before.shape))
        head = _riff(b"VP8X", struct.pack("<I", 0x12) + sides) + _riff(b"ANIM", b"\xff\xff\xff\xff\x00\x00")
        yield b"RIFF" + struct.pack("<I", 4 + len(head) + packed.tell()) + b"WEBP" + head
        packed.seek(0)
        yield from iter(lambda: packed.read(_CHUNK_BYTES), b"")


def mp4(reel: Reel, fps: int, palette: Colours = PALETTE) -> Iterator[bytes]:
    """Yield the chunks of an MP4: H.264, yuv420p, even sides, its index first, as browsers want it.

    Colours are close, not exact: the format stores them at half the resolution.
    """
    av = require_video()
    pictures, table = iter(reel), _colours(palette)
    first = next(pictures, None)
    if first is None:
        return
    height, width = first[0].shape
    down, across = height % 2, width % 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "video.mp4")
        with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
            # One count of threads on every machine, for the bytes depend on it.
            stream = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "fast", "threads": "2"})
            stream.width, stream.height, stream.pix_fmt = width + across, height + down, "yuv420p"
            stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1  # BT.709, as players assume
            for picture, ticks in chain([first], pictures):
                even = np.pad(picture, ((0, down), (0, across)), constant_values=WHITE)
                rgb = av.VideoFrame.from_ndarray(table[even], format="rgb24")
                for _tick in range(ticks):
                    frame = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                    container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with path.open("rb") as file:
            yield from iter(lambda: file.read(_CHUNK_BYTES), b"")


def require_video() -> Any:  # noqa: ANN401 - a module that may not be there
    """Return the library that writes videos."""
    with needs("PyAV (av)", "render"):
        import av  # noqa: PLC0415 - of an extra
    return av


def _colours(palette: Colours) -> NDArray[np.uint8]:
    return np.frombuffer(palette_bytes(palette), np.uint8).reshape(256, 3)


def _image(indices: Indices) -> Image:
    with needs("Pillow", "render"):
        from PIL import Image  # noqa: PLC0415 - of an extra
    return Image.fromarray(np.ascontiguousarray(indices))


def _clock(fps: int, units: int) -> Callable[[int], int]:
    """Return what turns ticks into units of time, such that rounding never adds up."""
    gone = 0

    def take(ticks: int) -> int:
        nonlocal gone
        begun, gone = gone, gone + ticks
        return round(gone * units / fps) - round(begun * units / fps)

    return take


def _changed(before: Indices | None, picture: Indices, step: int) -> tuple[int, int, Indices]:
    """Return left, top and what is new within the smallest box; what is old there is `TRANSPARENT`.

    Left and top are multiples of `step`.
    """
    if before is None:
        return 0, 0, picture
    new = picture != before
    rows, cols = np.flatnonzero(new.any(axis=1)), np.flatnonzero(new.any(axis=0))
    if not rows.size:
        return 0, 0, np.full((1, 1), TRANSPARENT, np.uint8)
    top, left = int(rows[0]) // step * step, int(cols[0]) // step * step
    box = (slice(top, int(rows[-1]) + 1), slice(left, int(cols[-1]) + 1))
    return left, top, np.where(new[box], picture[box], np.uint8(TRANSPARENT))


def _gif_data(packed: bytes) -> bytes:
    """Return the packed pixels of a GIF of one picture: the LZW code size and the blocks up to the empty one."""
    at = 13 + (3 << (packed[10] & 7) + 1 if packed[10] & 0x80 else 0)
    while packed[at] == 0x21:  # noqa: PLR2004 - an extension: its label, then blocks
        at = _after_blocks(packed, at + 2)
    flags = packed[at + 9]
    at += 10 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    return packed[at : _after_blocks(packed, at + 1)]


def _after_blocks(packed: bytes, at: int) -> int:
    while packed[at]:
        at += packed[at] + 1
    return at + 1


def _webp_data(part: Indices, table: NDArray[np.uint8]) -> bytes:
    """Return the chunk VP8L of a lossless WebP of one picture, without its head."""
    rgba = np.dstack([table[part], np.where(part == TRANSPARENT, 0, 255).astype(np.uint8)])
    rgba[part == TRANSPARENT] = 0
    packed = io.BytesIO()
    _image(rgba).save(packed, "WEBP", lossless=True, quality=30, method=2, exact=True)
    data = packed.getvalue()
    at = 12
    while data[at : at + 4] != b"VP8L":
        at += 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1) // 2 * 2
    return data[at + 8 : at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")]


def _riff(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\x00" * (len(data) % 2)
