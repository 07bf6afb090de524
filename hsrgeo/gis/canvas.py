"""A picture of palette indices: text, lines and boxes in few colours, so that every other colour stays exact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import needs
from hsrgeo.gis.fonts import font_for, plain_font
from hsrgeo.model.quantity import Quantity
from hsrgeo.products.classes import DRY as DRY_RGB
from hsrgeo.products.classes import NODATA as NODATA_RGB
from hsrgeo.products.classes import STYLED, By, classes_for, dry_and_nodata, on_white
from hsrgeo.products.palettes import Rgb

Indices = NDArray[np.uint8]
"""Numbers of colours in a palette, shape (rows, columns)."""
Ink = Literal["text", "alarm"]

_INKS: dict[Ink, Rgb] = {"text": (34, 34, 34), "alarm": (196, 0, 26)}
_STEPS = 24
"""Shades from white to an ink, for the edges of letters."""
_MAP: dict[str, Rgb] = {
    "dry": DRY_RGB,
    "nodata": NODATA_RGB,
    "graticule": (188, 194, 201),
    "coast": (72, 72, 72),
    "border": (118, 112, 108),
}
TRANSPARENT = 255
"""An index that no picture has: animations leave out what did not change."""


def _palette() -> tuple[Rgb, ...]:
    kma = (STYLED["rain"], STYLED["reflectivity"])
    classes = list(dict.fromkeys(one.rgb for quantity in kma for one in classes_for(quantity)))
    ramps = [
        tuple(round(255 + (part - 255) * step / (_STEPS - 1)) for part in ink)
        for ink in _INKS.values()
        for step in range(_STEPS)
    ]
    return (*classes, *_MAP.values(), *((r, g, b) for r, g, b in ramps))


PALETTE = _palette()
"""Every colour of pictures in KMA's classes: those, the map's, and the shades of letters."""
_CLASSES = len(PALETTE) - len(_MAP) - len(_INKS) * _STEPS
DRY, NODATA, GRATICULE, COAST, BORDER = range(_CLASSES, _CLASSES + len(_MAP))
_RAMPS = {ink: _CLASSES + len(_MAP) + order * _STEPS for order, ink in enumerate(_INKS)}
WHITE = _RAMPS["text"]
TEXT = WHITE + _STEPS - 1
_LEAST_PX = 8  # of a font; smaller is no letter any more


@lru_cache(maxsize=8)
def palette_for(quantity: Quantity, by: By) -> tuple[Rgb, ...]:
    """Return every colour of the pictures of a quantity, on white: `PALETTE`, and after it what that does not have.

    Raises:
        OptionsError: There is no class table for the quantity.
    """
    found = dict.fromkeys(on_white(one.rgba) for one in classes_for(quantity, by))
    table = [*PALETTE, *(rgb for rgb in found if rgb not in PALETTE[:_CLASSES])]
    table[DRY], table[NODATA] = map(on_white, dry_and_nodata(by, opaque=True))
    return tuple(table)


def palette_bytes(palette: Sequence[Rgb] = PALETTE) -> bytes:
    """Return 256 colours, three bytes each."""
    return bytes(part for rgb in palette for part in rgb).ljust(768, b"\xff")


def class_index(rgb: Rgb, palette: Sequence[Rgb] = PALETTE) -> int:
    """Return the index of a class's colour."""
    return palette.index(rgb) if rgb in palette[:_CLASSES] else palette.index(rgb, len(PALETTE))


def nearest_indices(rgb: NDArray[np.uint8], palette: Sequence[Rgb] = PALETTE) -> Indices:
    """Return the indices of the colours nearest to those of a picture, shape (rows, columns, 3); exact where exact."""
    flat = rgb.reshape(-1, 3)
    unique, inverse = np.unique(flat, axis=0, return_inverse=True)
    distances = ((unique[:, None].astype(int) - np.array(palette)[None]) ** 2).sum(axis=-1)
    nearest: Indices = distances.argmin(axis=1).astype(np.uint8)
    return nearest[inverse.reshape(-1)].reshape(rgb.shape[:2])


def write(canvas: Indices, xy: tuple[int, int], text: str, size: int, anchor: str = "lt", ink: Ink = "text") -> None:
    """Write one line of text onto a white part of a canvas; what lies outside is cut.

    Args:
        canvas: Changed in place.
        xy: Column and row of the anchor.
        text: Letters that some font of this machine has (`hsrgeo.gis.fonts`); else nothing is written.
        size: Of the font [pixels].
        anchor: Horizontally ``l``, ``m`` or ``r``, then ``t``, ``m`` or ``b`` of the line, not of its letters.
        ink: Colour.
    """
    mask = _mask(text, size)
    if mask is None:
        return
    height, width = mask.shape
    left = xy[0] - {"l": 0, "m": width // 2, "r": width}[anchor[0]]
    top = xy[1] - {"t": 0, "m": height // 2, "b": height}[anchor[1]]
    cut_left, cut_top = max(-left, 0), max(-top, 0)
    mask = mask[cut_top : canvas.shape[0] - top, cut_left : canvas.shape[1] - left]
    if mask.size:
        top, left = top + cut_top, left + cut_left
        target = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
        np.copyto(target, mask + np.uint8(_RAMPS[ink]), where=mask > 0)


@lru_cache(maxsize=512)
def _mask(text: str, size: int) -> Indices | None:
    """Return how dark each pixel of a line of text is, 0 to `_STEPS` - 1."""
    font = font_for(text, size)
    if font is None or not text:
        return None
    from PIL import Image, ImageDraw  # noqa: PLC0415 - of an extra

    ascent, descent = font.getmetrics()
    picture = Image.new("L", (max(round(font.getlength(text)) + 2, 1), ascent + descent))
    ImageDraw.Draw(picture).text((1, 0), text, fill=255, font=font)
    shades = np.asarray(picture).astype(np.uint16) * (_STEPS - 1)
    return ((shades + 127) // 255).astype(np.uint8)


def text_width(text: str, size: int) -> int:
    """Return how many pixels a line of text takes."""
    mask = _mask(text, size)
    return 0 if mask is None else mask.shape[1]


def line_height(size: int) -> int:
    """Return how many pixels a line of text is high."""
    ascent, descent = plain_font(size).getmetrics()
    return ascent + descent


def fitted(text: str, size: int, room: int) -> tuple[str, int]:
    """Return a text and the size, at most the given one, at which it fits; what is too long even then is cut short."""
    while size > _LEAST_PX and text_width(text, size) > room:
        size -= 1
    while len(text) > 1 and text_width(text, size) > room:
        text = text.removesuffix("...")[:-1].rstrip() + "..."
        if text == "...":
            break
    return text, size


def line_mask(lines: list[NDArray[np.float64]], width: int, height: int, thickness: int) -> NDArray[np.bool_]:
    """Return which pixels of a map lines pass over, without any shade between line and none.

    Args:
        lines: Arrays of shape (points, 2): column and row [pixels] from the map's corner.
        width: Of the map.
        height: Of the map.
        thickness: Of the lines [pixels].
    """
    with needs("Pillow", "render"):
        from PIL import Image, ImageDraw  # noqa: PLC0415 - of an extra
    picture = Image.new("L", (width, height))
    draw = ImageDraw.Draw(picture)
    for line in lines:
        # A point at 3.7 lies in the fourth pixel, which ImageDraw calls 3.
        draw.line([(x, y) for x, y in np.floor(line).astype(int).tolist()], fill=1, width=thickness)
    return np.asarray(picture) > 0
