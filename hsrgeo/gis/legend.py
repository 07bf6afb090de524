"""Legends of the colour classes, as SVG and, with Pillow, as a picture; both are drawn from one layout."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from hsrgeo.errors import OptionsError, needs
from hsrgeo.gis.styles import bound_text, drawn_classes, hex_colour
from hsrgeo.model.quantity import Quantity
from hsrgeo.products.classes import By, classes_for, on_white
from hsrgeo.products.palettes import Rgb
from hsrgeo.products.rain import Law

if TYPE_CHECKING:
    from PIL.Image import Image

HEIGHT_PX = 640
"""Of a legend by itself."""
_LEAST_HEIGHT_PX = 120  # below, not even every third bound can be read
_LARGEST_HEIGHT_PX = 8192
_LEAST_FONT_PX, _LARGEST_FONT_PX = 9, 36
_DIGIT = 0.58  # width of a digit in font sizes, of the sans-serif fonts that draw them wide
_TEXT: Rgb = (34, 34, 34)
_EDGE: Rgb = (120, 120, 120)


@dataclass(frozen=True, slots=True)
class _Text:
    x: int
    """Right edge [pixels]: numbers are aligned there."""
    y: int
    """Middle [pixels]."""
    words: str


@dataclass(frozen=True, slots=True)
class _Layout:
    width: int
    height: int
    font: int
    left: int
    right: int
    """Edges of the bar of colours [pixels]."""
    swatches: tuple[tuple[int, int, Rgb], ...]
    """Top and bottom [pixels] and colour of each class, from the highest down; they touch."""
    heads: tuple[_Text, ...]
    """Units, above the columns of numbers."""
    numbers: tuple[_Text, ...]
    """Lower bounds, each at the bottom of its class."""


def _layout(quantity: Quantity, by: By, height_px: int, times: int = 1) -> _Layout:
    if not _LEAST_HEIGHT_PX <= height_px <= _LARGEST_HEIGHT_PX:
        raise OptionsError(f"legend of {height_px} pixels: expected {_LEAST_HEIGHT_PX} to {_LARGEST_HEIGHT_PX}")
    drawn = drawn_classes(quantity, by, times)
    lowest = classes_for(quantity, by, times)[0]  # of rain it is what is dry, which has a colour in KMA's table
    classes = ((lowest, *drawn) if lowest not in drawn else drawn)[::-1]
    font = round(min(max(height_px / 40, _LEAST_FONT_PX), _LARGEST_FONT_PX))
    margin = font
    top, bottom = margin + 2 * font, height_px - margin
    edges = [top + round((bottom - top) * order / len(classes)) for order in range(len(classes) + 1)]
    every = math.ceil(1.15 * font * len(classes) / (bottom - top))  # a bound needs a line of text
    labelled = [order for order in range(len(classes)) if (len(classes) - 1 - order) % every == 0]

    by_law = isinstance(by, Law) and not quantity.is_rain
    columns = [("mm/h" if by_law else quantity.unit, [one.name or one.label for one in classes])]
    if by_law:
        columns.insert(0, (quantity.unit, [bound_text(one.lower) if one.label != "0" else "" for one in classes]))
    left = margin
    right = left + 2 * font
    x = right + round(0.7 * font)
    heads, numbers = [], []
    for unit, texts in columns:
        x += round(_DIGIT * font * max(map(len, [unit, *texts])))
        heads.append(_Text(x, margin + round(0.6 * font), unit))
        numbers += [
            _Text(x, sum(edges[order : order + 2]) // 2 if classes[order].name else edges[order + 1], texts[order])
            for order in labelled
        ]
        x += round(1.2 * font)
    return _Layout(
        width=x - round(1.2 * font) + margin,
        height=height_px,
        font=font,
        left=left,
        right=right,
        swatches=tuple((edges[order], edges[order + 1], on_white(one.rgba)) for order, one in enumerate(classes)),
        heads=tuple(heads),
        numbers=tuple(numbers),
    )


def draw_legend(quantity: Quantity, by: By = None, height_px: int = HEIGHT_PX, times: int = 1) -> Image:
    """Return a legend as an RGB picture on white: the classes as a bar, the highest on top, bounds beside it.

    Args:
        quantity: Rain rate, or reflectivity.
        by: See `classes_for`; by a law the bounds are given in dBZ and in mm/h.
        height_px: Of the picture, 120 to 8192; the width follows. Where lines are too tight not every bound is shown.
        times: Of depth: see `classes_for`.

    Raises:
        OptionsError: There is no class table for the quantity, or the height is not one.
        MissingExtraError: Pillow is not installed.
    """
    with needs("Pillow", "render"):
        from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - of an extra
    layout = _layout(quantity, by, height_px, times)
    picture = Image.new("RGB", (layout.width, layout.height), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=layout.font)
    for top, bottom, rgb in layout.swatches:
        draw.rectangle((layout.left, top, layout.right - 1, bottom - 1), fill=rgb)
    first, last = layout.swatches[0][0], layout.swatches[-1][1]
    draw.rectangle((layout.left - 1, first - 1, layout.right, last), outline=_EDGE)
    for text in (*layout.heads, *layout.numbers):
        draw.text((text.x, text.y), text.words, fill=_TEXT, font=font, anchor="rm")
    tick = max(2, layout.font // 4)
    for y in sorted({number.y for number in layout.numbers}):
        draw.line((layout.right, y, layout.right + tick, y), fill=_EDGE)
    return picture


def png(quantity: Quantity, by: By = None, height_px: int = HEIGHT_PX) -> bytes:
    """Return the bytes of a PNG of `draw_legend`.

    Raises:
        OptionsError: As `draw_legend`.
        MissingExtraError: Pillow is not installed.
    """
    packed = io.BytesIO()
    draw_legend(quantity, by, height_px).save(packed, "PNG", optimize=True)
    return packed.getvalue()


def svg(quantity: Quantity, by: By = None, height_px: int = HEIGHT_PX, times: int = 1) -> str:
    """Return a legend as SVG, drawn as `draw_legend` does; its text is text.

    Raises:
        OptionsError: There is no class table for the quantity, or the height is not one.
    """
    layout = _layout(quantity, by, height_px, times)
    width, height = layout.right - layout.left, layout.swatches[-1][1] - layout.swatches[0][0]
    tick = max(2, layout.font // 4)
    swatches = "\n".join(
        f'    <rect x="{layout.left}" y="{top}" width="{width}" height="{bottom - top}" fill="{hex_colour(rgb)}"/>'
        for top, bottom, rgb in layout.swatches
    )
    ticks = " ".join(f"M{layout.right} {y}h{tick}" for y in sorted({number.y for number in layout.numbers}))
    # Not dominant-baseline, which half of all readers skip: a digit's middle is a third of the size above its foot.
    foot = round(0.36 * layout.font)
    words = "\n".join(
        f'    <text x="{text.x}" y="{text.y + foot}">{escape(text.words)}</text>'
        for text in (*layout.heads, *layout.numbers)
    )
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{layout.width}" height="{layout.height}"
    viewBox="0 0 {layout.width} {layout.height}">
  <title>{escape(_title(quantity, by))}</title>
  <rect width="{layout.width}" height="{layout.height}" fill="#ffffff"/>
  <g shape-rendering="crispEdges">
{swatches}
  </g>
  <path d="M{layout.left} {layout.swatches[0][0]}h{width}v{height}h-{width}z {ticks}" fill="none"
      stroke="{hex_colour(_EDGE)}" shape-rendering="crispEdges"/>
  <g font-family="Helvetica, Arial, sans-serif" font-size="{layout.font}" text-anchor="end"
      fill="{hex_colour(_TEXT)}">
{words}
  </g>
</svg>
"""


def _title(quantity: Quantity, by: By) -> str:
    if quantity.is_rain:
        return f"Rain rate [{quantity.unit}]"
    name = quantity.name.replace("_", " ").capitalize() + (f" [{quantity.unit}]" if quantity.unit else "")
    return name + (f", and rain rate [mm/h] by {by}" if isinstance(by, Law) else "")
