"""Fonts for pictures: Pillow's own where it has every letter, else one of the system's, for a title in Korean."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hsrgeo.errors import MissingExtraError, needs

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_USUAL = (
    "/usr/share/fonts/truetype/nanum/NanumGothic.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/unfonts-core/UnDotum.ttf",
    "/System/Library/Fonts/AppleSDGothicNeo.ttc",
    "C:/Windows/Fonts/malgun.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
)
_NOT_A_LETTER = "\U0010ffff"
"""No font has it: drawn, it is the box that stands for every letter a font lacks."""
_WAIT_S = 10


def plain_font(size: int) -> FreeTypeFont:
    """Return the font that comes inside Pillow: the same letters on every machine.

    Raises:
        MissingExtraError: Pillow is not installed, or without FreeType.
    """
    with needs("Pillow", "render"):
        from PIL import ImageFont  # noqa: PLC0415 - of an extra
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise MissingExtraError("Pillow with FreeType", "render")
    return font


def font_for(text: str, size: int) -> FreeTypeFont | None:
    """Return a font that has every letter of a text, or None where this machine has none."""
    font = plain_font(size)
    if _has_letters(font, text):
        return font
    from PIL import ImageFont  # noqa: PLC0415

    for path in system_fonts():
        try:
            font = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
        except OSError:
            continue  # no font file, or of a kind that FreeType does not draw
        if _has_letters(font, text):
            return font
    return None


@lru_cache(maxsize=1)
def system_fonts() -> tuple[str, ...]:
    """Return the paths of fonts that may have Hangul, the likeliest first."""
    return (*(path for path in _USUAL[:-1] if Path(path).is_file()), *_fontconfig(), _USUAL[-1])


def _fontconfig() -> list[str]:
    program = shutil.which("fc-list")
    if program is None or not os.path.isabs(program):  # noqa: PTH117 - a relative one is of the current folder
        return []
    try:
        answer = subprocess.run(  # noqa: S603 - no input from anybody
            [program, ":lang=ko", "file"], capture_output=True, timeout=_WAIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    # Sorted: fontconfig lists fonts in no order, and the same command should draw the same picture.
    return sorted(line.rstrip().rstrip(":") for line in answer.stdout.decode("utf-8", "replace").splitlines())


def _has_letters(font: FreeTypeFont, text: str) -> bool:
    lacking = bytes(font.getmask(_NOT_A_LETTER))
    letters = {letter for letter in text if not letter.isspace()}
    return all(letter.isprintable() and bytes(font.getmask(letter)) != lacking for letter in letters)
