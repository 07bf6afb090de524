"""Palettes: which colour a physical value has, in the text format of ``gdaldem color-relief``.

A line is ``value red green blue [alpha] [label]``, or ``value name [alpha] [label]`` of a colour that has a name;
blanks, commas, colons and tabs part the fields. A colour holds **from its value up to the next**, as Rack draws it and
as radar classes are; with a line ``# ramp`` colours are interpolated between values, as gdaldem does by itself.
``-inf`` is the value of what lies below every other, which else has no colour.

- ``nodata`` (or ``nv``, gdaldem's word) and ``undetect`` in place of a value: of what was not observed, and of what was
  observed and holds nothing. Rack's ``@`` is either, as the comment above it says.
- ``# unit: dBZ`` is the unit of the values; without it they have that of whatever is drawn.

References:
    GDAL, ``gdaldem color-relief``: "color_text_file". Rack (FMI), palettes: ``# undetect``, ``@ 0 0 0``.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path

from hsrgeo.errors import OptionsError, printable, refused
from hsrgeo.model.projections import projections_dir
from hsrgeo.sources.texts import read_regular

Rgb = tuple[int, int, int]
Rgba = tuple[int, int, int, int]

NAMES = (
    *("rain", "reflectivity", "height", "station", "count"),
    *("hydrometeor", "precipitation_type", "temperature"),
)
"""Palettes that hsrgeo brings; each is a file ``NAME.txt`` in this folder."""
MOST_COLOURS = 150
"""Of a palette: pictures have 256 colours, some of them for letters and lines."""
_RAMP_COLOURS = 128
_MOST_BYTES = 1 << 20
_MOST_SHOWN = 60  # characters of a wrong line
_NAMED: dict[str, Rgb] = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
    "aqua": (0, 191, 191),
    "grey": (191, 191, 191),
    "gray": (191, 191, 191),
    "orange": (255, 127, 0),
    "brown": (191, 127, 63),
    "purple": (127, 0, 255),
    "violet": (127, 0, 255),
    "indigo": (0, 0, 127),
}
"""gdaldem's names; its green is (0, 255, 0)."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A colour and the physical value from which it holds."""

    value: float
    rgba: Rgba
    label: str = ""


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a quantity."""

    name: str
    """What messages call it."""
    stops: tuple[Stop, ...]
    """In order of value; at least one, and at most `MOST_COLOURS`. Those of a ramp are its steps."""
    unit: str = ""
    """Of the values; empty for that of whatever is drawn."""
    nodata: Rgba | None = None
    """Of what was not observed; None leaves it to who draws."""
    undetect: Rgba | None = None
    """Of what was observed and holds nothing, likewise."""

    def __str__(self) -> str:
        return f"palette {self.name}"

    @property
    def text(self) -> str:
        """The palette as `parse_palette` reads it: the same colours, whatever it was made of."""
        lines = [f"# unit: {self.unit}"] if self.unit else []
        codes = (("nodata", self.nodata), ("undetect", self.undetect))
        lines += [" ".join(map(str, (word, *rgba))) for word, rgba in codes if rgba]
        lines += [" ".join(map(str, (stop.value, *stop.rgba, stop.label))).rstrip() for stop in self.stops]
        return "\n".join(lines) + "\n"


def palette_of(value: Palette | str | Path) -> Palette:
    """Return a palette: one of `NAMES`, or that of a file.

    Raises:
        OptionsError: The file is not there or cannot be read, or a line of it is wrong; the message has its number.
    """
    if isinstance(value, Palette):
        return value
    if isinstance(value, str) and value in NAMES:
        return built_in(value)
    path = Path(value)
    shown = printable(str(path))
    try:
        data = read_regular(path)
    except FileNotFoundError:
        raise OptionsError(f"palette {shown}: no such file; hsrgeo's own are {', '.join(NAMES)}") from None
    except OSError as error:
        raise OptionsError(f"palette {refused(str(path), error)}") from error
    try:
        text = data[: _MOST_BYTES + 1].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OptionsError(f"palette {shown}: expected text in UTF-8, found {error.object[error.start]:#04x}") from None
    if len(data) > _MOST_BYTES:
        raise OptionsError(f"palette {shown}: expected a text of at most {_MOST_BYTES:,} bytes, found {len(data):,}")
    return parse_palette(text, shown)


@lru_cache(maxsize=len(NAMES))
def built_in(name: str) -> Palette:
    """Return the palette of one of `NAMES`."""
    return parse_palette((resources.files(__name__) / f"{name}.txt").read_text("utf-8"), name)


def parse_palette(text: str, name: str) -> Palette:
    """Return the palette of a text.

    Raises:
        OptionsError: A line is wrong, or there is no colour, or too many.
    """
    stops: list[tuple[int, Stop]] = []
    codes: dict[str, Rgba] = {}
    unit, comment, is_ramp = "", "", False
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = _words(line)
            if not words:
                if line.strip():
                    comment = line.strip().lstrip("#/").strip()
                    unit = comment[5:].strip() if comment.startswith("unit:") else unit
                    is_ramp |= comment == "ramp"
            elif words[0].upper() == "INTERPOLATION":
                is_ramp = _is_ramp(words)
            elif code := _code(words[0], comment):
                codes[code] = _colour(words[1:])[0]
            else:
                stops.append((number, Stop(_value(words[0]), *_colour(words[1:]))))
        except ValueError as error:
            shown = printable(line.strip()[:_MOST_SHOWN])
            raise OptionsError(f"palette {name}, line {number}: {error}, found {shown!r}") from None
    if not stops:
        raise OptionsError(f"palette {name}: expected lines of value, red, green and blue, found none")
    ordered = tuple(stop for _number, stop in sorted(stops, key=lambda one: one[1].value))
    ordered = _ramp(ordered) if is_ramp else _steps(ordered)
    if len(ordered) > MOST_COLOURS:
        raise OptionsError(f"palette {name}: expected at most {MOST_COLOURS} colours, found {len(ordered)}")
    return Palette(name, ordered, unit, codes.get("nodata"), codes.get("undetect"))


def _words(line: str) -> list[str]:
    text = line.strip()
    return [] if text.startswith(("#", "//")) else [word for word in re.split(r"[\s,:]+", text) if word]


def _code(word: str, comment: str) -> str | None:
    if word == "@":
        word = comment
        if word not in ("nodata", "undetect"):
            raise ValueError("expected a comment '# nodata' or '# undetect' above '@'")
    return {"nv": "nodata", "nodata": "nodata", "undetect": "undetect"}.get(word)


def _is_ramp(words: list[str]) -> bool:
    if [word.upper() for word in words[1:]] != ["INTERPOLATED"]:
        # QGIS's discrete colours apply up to their value, those of all others from it on.
        raise ValueError("expected INTERPOLATION:INTERPOLATED, the only kind of QGIS's that is known here")
    return True


def _value(word: str) -> float:
    if word.endswith("%"):
        raise ValueError("expected a value; percentages would give every frame other colours")
    try:
        value = float(word)
    except ValueError:
        raise ValueError("expected a number, nodata or undetect first") from None
    if math.isnan(value) or value == math.inf:
        raise ValueError("expected a number, nodata or undetect first")
    return value


def _colour(words: list[str]) -> tuple[Rgba, str]:
    named = _NAMED.get(words[0].lower()) if words else None
    size = 1 if named else 3
    parts = list(named or map(_part, words[:3]))
    if len(parts) < 3:  # noqa: PLR2004 - red, green and blue
        raise ValueError("expected red, green and blue from 0 to 255, or a colour's name")
    rest = words[size:]
    alpha = _part(rest[0]) if rest else 255
    return (parts[0], parts[1], parts[2], alpha), " ".join(rest[1:])


def _part(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 3 and int(word) <= 255):  # noqa: PLR2004 - of a byte
        raise ValueError("expected red, green, blue and alpha from 0 to 255, or a colour's name")
    return int(word)


def _steps(stops: tuple[Stop, ...]) -> tuple[Stop, ...]:
    """Return one stop a value: of several the last holds, as it would by the rule."""
    return tuple({stop.value: stop for stop in stops}.values())


def _ramp(stops: tuple[Stop, ...]) -> tuple[Stop, ...]:
    """Return the steps of a ramp, each with the colour of its middle; it ends with the colour of its last value."""
    whole = [one for one in stops if one.value > -math.inf]
    pairs = [pair for pair in pairwise(whole) if pair[1].value > pair[0].value]
    each = max((_RAMP_COLOURS - len(stops)) // max(len(pairs), 1), 1)
    found = [one for one in stops[:1] if one.value == -math.inf]
    for low, high in pairs:
        for step in range(each):
            share, middle = step / each, (step + 0.5) / each
            red, green, blue, alpha = (round(a + (b - a) * middle) for a, b in zip(low.rgba, high.rgba, strict=True))
            value = low.value + (high.value - low.value) * share
            found.append(Stop(value, (red, green, blue, alpha), low.label if step == 0 else ""))
    return _steps((*found, *whole[-1:]))


def station_palette(codes: Sequence[str]) -> Palette:
    """Return the colours of the radars of a frame, by their names: a radar has one whatever its place in the list.

    `codes` come in the order of the frame's list: a cell's value is a place in it, from 1.

    References:
        KMA composite format, section 7: the number is one-based.
    """
    places, colours, known = _places(), built_in("station").stops, radar_order(codes)
    return Palette(
        "station",
        tuple(
            Stop(number, colours[known.index(code) % len(colours)].rgba, f"{code} {places.get(code, '')}".strip())
            for number, code in enumerate(codes, 1)
        ),
    )


def radar_order(codes: Sequence[str]) -> tuple[str, ...]:
    """Return the radars that are known, in one order for all frames, and after them others of a list."""
    return (*_places(), *(code for code in codes if code not in _places()))


@cache
def _places() -> dict[str, str]:
    """Return code and place of each radar that is known, in order."""
    with (projections_dir() / "sites.csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: row["place"] for row in csv.DictReader(file)}


def grey_palette(limits: tuple[float, float] | None, gain: float) -> Palette:
    """Return up to twelve shades of grey, from light to dark, for values of an unknown quantity.

    `limits` are the lowest and the highest physical value; None where nothing is known. `gain` is physical units per
    stored step: no shade is narrower.
    """
    low, high = limits or (0.0, 0.0)
    count = min(max(round((high - low) / gain), 1), _GREYS)
    values = [low + (high - low) * order / count for order in range(count)]
    shades = [_LIGHT - (_LIGHT - _DARK) * order // max(count - 1, 1) for order in range(count)]
    first, *others = (Stop(value, (shade, shade, shade, 255)) for value, shade in zip(values, shades, strict=True))
    return Palette("grey", (replace(first, value=-math.inf, label=f"{low:g}"), *others))


_GREYS, _LIGHT, _DARK = 12, 235, 40
