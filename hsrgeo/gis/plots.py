"""What plots share: one look whatever a user's matplotlibrc says, letters that a font has, the same bytes again."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hsrgeo.errors import OptionsError, needs
from hsrgeo.gis.fonts import font_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

SUFFIXES = (".png", ".svg")
"""What a plot may be called."""
LEAST_WIDTH, LARGEST_WIDTH = 640, 6000
DPI = 120
INK, QUIET, ALARM = "#222222", "#6b7280", "#c4001a"
NODATA = "#d3d7dc"
"""Grey of what is not known, as on the maps of `hsrgeo render`."""

_LOOK: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#9aa1a9",
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "figure.dpi": DPI,
    "font.family": "DejaVu Sans",  # it comes inside matplotlib: the same letters on every machine
    "font.size": 9.0,
    "hatch.color": "#8b929b",
    "hatch.linewidth": 0.7,
    "savefig.dpi": DPI,
    "svg.fonttype": "path",  # a reader of the file need not have the fonts
    "svg.hashsalt": "hsrgeo",  # names of clips, else random
    "text.color": INK,
    "text.parse_math": False,  # a place may be called "$5"
    "xtick.color": INK,
    "ytick.color": INK,
}
_TRIAL_PX = 16
_POINTS_AN_INCH = 72
_LATIN = 0x2FF
_LEAST_POINTS = 5


def check_suffix(suffix: str, name: str) -> None:
    """Refuse a picture that could not be written.

    Raises:
        OptionsError: It is neither a PNG nor an SVG.
    """
    if suffix.lower() not in SUFFIXES:
        raise OptionsError(f"{name}: a plot ends in {' or '.join(SUFFIXES)}, not in {suffix!r}")


@contextmanager
def sheet(width_px: float, height_px: float) -> Iterator[Figure]:
    """Give an empty figure; what is drawn and packed within the context has the look of this program.

    The size is that of a PNG.
    """
    with needs("matplotlib", "plot"):
        import matplotlib as mpl  # noqa: PLC0415 - an optional extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_LOOK)
        # Not pyplot, which keeps every figure and asks for a screen.
        yield Figure(figsize=(width_px / DPI, height_px / DPI), facecolor="white")


def packed(figure: Figure, suffix: str) -> bytes:
    """Return the bytes of a figure, with no time of its making: the same figure, the same bytes."""
    form = suffix.lower().removeprefix(".")
    metadata = {"Date": None, "Creator": "hsrgeo"} if form == "svg" else {"Software": "hsrgeo"}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, metadata=metadata)
    return buffer.getvalue()


def dates() -> Any:  # noqa: ANN401 - it has no types
    """Return matplotlib's module of dates."""
    return importlib.import_module("matplotlib.dates")


@lru_cache(maxsize=256)
def letters(text: str) -> FontProperties | None:
    """Return a font that has every letter of a text, or None where this machine has none."""
    with needs("matplotlib", "plot"):
        from matplotlib import font_manager, ft2font  # noqa: PLC0415 - an optional extra
    plain = font_manager.FontProperties(family="DejaVu Sans")
    known = ft2font.FT2Font(font_manager.findfont(plain)).get_charmap()
    if all(letter.isprintable() and ord(letter) in known for letter in text):
        return plain
    found = font_for(text, _TRIAL_PX)
    path = getattr(found, "path", None)
    return font_manager.FontProperties(fname=path) if isinstance(path, str) else None


def fitted_size(text: str, most: float, room_px: float) -> float:
    """Return the size of letters [points], at most the given one, at which a line fits; Hangul is reckoned wider."""
    letters_wide = sum(1.0 if ord(letter) > _LATIN else 0.62 for letter in text)
    return min(most, max(room_px * _POINTS_AN_INCH / DPI / max(letters_wide, 1), _LEAST_POINTS))
