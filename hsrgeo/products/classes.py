"""Colour classes: which stored values have which colour. Every style, picture and page has these.

A class table is made of a palette, see `hsrgeo.products.palettes`. Nodata and cells without rain or echo have no class:
a style leaves them transparent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.quantity import QUANTITIES, RAIN, Quantity, clean_values
from hsrgeo.products.palettes import Palette, Rgb, Rgba, Stop, built_in
from hsrgeo.products.rain import Law

By = Law | Palette | None
"""What gives a quantity its colours: None is the palette that hsrgeo brings, of rain and reflectivity KMA's own.

By a law reflectivity has the colours of rain, whose bounds in dBZ follow from those in mm/h."""

RAIN_END, REFLECTIVITY_END = 200, 100
"""Where KMA's tables end [mm/h, dBZ]; what is above keeps the last colour."""
DRY: Rgb = (250, 250, 250)
"""Of what was observed and holds nothing, where it is drawn: as KMA draws what is below 0.01 mm/h."""
NODATA: Rgb = (211, 215, 220)
"""Of what was not observed, where it is drawn: darker, to be told from dry."""

CLEAR: Rgba = (255, 255, 255, 0)

Styled = Literal[
    "rain", "reflectivity", "height", "station", "count", "hydrometeor", "precipitation_type", "temperature"
]
STYLED: dict[str, Quantity] = {
    "rain": RAIN,
    "reflectivity": QUANTITIES[1],
    "height": QUANTITIES[2],
    "station": QUANTITIES[3],
    "count": QUANTITIES[4],
    "hydrometeor": QUANTITIES[6],
    "precipitation_type": QUANTITIES[7],
    "temperature": QUANTITIES[8],
}
"""Quantities that have classes, by the names that a user calls them; detections are counts."""
CLASSED = frozenset({*(one.name for one in STYLED.values()), QUANTITIES[15].name, "rain_depth", "rain_depth_max"})
"""Names of all quantities that have classes: a depth has those of rain, see `hsrgeo.gis.depth`."""


@dataclass(frozen=True, slots=True)
class ColourClass:
    """One class: lower <= physical value < upper."""

    lower: float
    """In the quantity's unit; minus infinity for a first class without a bound."""
    upper: float
    """The next class's `lower`; infinity for the last."""
    first: int
    """Smallest stored value of the class; no value of rain is in KMA's first class, which is 0 and below 0.01 mm/h."""
    last: int
    """Largest stored value of the class."""
    rgb: Rgb
    label: str
    """The lower bound as KMA writes it, in the unit of the table; empty where there is none."""
    alpha: int = 255
    """0 is transparent, 255 opaque."""
    name: str = ""
    """What the palette calls it; empty where it says nothing."""

    @property
    def rgba(self) -> Rgba:
        """Colour and `alpha`."""
        return (*self.rgb, self.alpha)


@lru_cache(maxsize=64)
def classes_for(quantity: Quantity, by: By = None, times: int = 1) -> tuple[ColourClass, ...]:
    """Return the classes of a quantity, from low to high, without gaps.

    Args:
        quantity: One of `CLASSED`; any where a palette is given.
        by: What gives it its colours.
        times: Of depth: what the bounds of KMA's classes are multiplied by, see `hsrgeo.gis.depth`.

    Raises:
        OptionsError: There is no class table for the quantity, or the palette is for another unit.
    """
    stops = _stops(quantity, by, times)
    bounds = [stop.value for stop in stops]
    if isinstance(by, Law) and quantity.name == "reflectivity":
        bounds = [by.dbz(lower) if lower else -math.inf for lower in bounds]
    largest = int(np.iinfo(np.int32 if quantity.unit == "mm" else np.int16).max)
    steps = RAIN if quantity.is_rain else quantity
    # An odd law may put a bound among the codes or beyond int16: no class holds those, and one may hold nothing.
    firsts = [_first_step(bound, steps, largest) for bound in bounds]
    return tuple(
        ColourClass(lower, upper, first, following - 1, stop.rgba[:3], _number(stop.value), stop.rgba[3], stop.label)
        for lower, upper, first, following, stop in zip(
            bounds, [*bounds[1:], math.inf], firsts, [*firsts[1:], largest + 1], stops, strict=True
        )
    )


def _stops(quantity: Quantity, by: By, times: int) -> tuple[Stop, ...]:
    if isinstance(by, Palette):
        if by.unit and by.unit != quantity.unit:
            other = "; zr gives it the colours of rain" if (by.unit, quantity.unit) == ("mm/h", "dBZ") else ""
            raise OptionsError(
                f"{by} is in {by.unit}, and {quantity.name} is in {quantity.unit or 'whole numbers'}{other}"
            )
        return by.stops
    if quantity.name not in CLASSED:
        raise OptionsError(f"{quantity.name} has no colour classes: expected one of {', '.join(STYLED)}")
    if quantity.unit == "mm":
        return tuple(
            Stop(stop.value * times if stop.value > _LEAST_RAIN else stop.value, stop.rgba)
            for stop in built_in("rain").stops
        )
    is_rain = quantity.is_rain or (isinstance(by, Law) and quantity.name == "reflectivity")
    return built_in("rain" if is_rain else "count" if quantity.name == "detections" else quantity.name).stops


def _number(value: float) -> str:
    return "" if math.isinf(value) else f"{value:g}"


def _first_step(bound: float, quantity: Quantity, largest: int) -> int:
    """Return the smallest stored value at or above a bound."""
    if bound == -math.inf:
        return quantity.echo_from
    step = math.ceil(bound * quantity.scale + quantity.minus - _ROUNDING)
    return min(max(step, quantity.echo_from), largest + 1)


_LEAST_RAIN = 0.01  # mm/h and mm: the lowest class begins at what is stored of the least rain
_ROUNDING = 1e-6  # stored steps: 10 mm/h is 1000 steps, whatever the last digit of a power says


def dry_and_nodata(by: By, *, opaque: bool) -> tuple[Rgba, Rgba]:
    """Return the colours of what was observed and holds nothing, and of what was not observed.

    A palette may have its own. Where it has none they are nearly white and grey if `opaque`, so that nothing below
    shows through; else transparent.
    """
    dry, nodata = ((*DRY, 255), (*NODATA, 255)) if opaque else (CLEAR, CLEAR)
    palette = by if isinstance(by, Palette) else None
    return (palette and palette.undetect) or dry, (palette and palette.nodata) or nodata


def on_white(rgba: Rgba) -> Rgb:
    """Return a colour as it looks on white."""
    red, green, blue = (round(255 + (part - 255) * rgba[3] / 255) for part in rgba[:3])
    return red, green, blue


def colours(stored: NDArray[np.int16], quantity: Quantity, by: By = None) -> NDArray[np.uint8]:
    """Return the colours of stored values: shape (*stored.shape, 4), red, green, blue, alpha; no class is transparent.

    Raises:
        OptionsError: There is no class table for the quantity.
    """
    return _colour_table(quantity, by)[stored.view(np.uint16)]


@lru_cache(maxsize=64)
def _colour_table(quantity: Quantity, by: By) -> NDArray[np.uint8]:
    table = np.zeros((1 << 16, 4), np.uint8)
    dry, nodata = dry_and_nodata(by, opaque=False)
    codes = clean_values(np.arange(1 << 16, dtype=np.uint16).view(np.int16), quantity)
    for code, rgba in ((quantity.undetect, dry), (quantity.nodata, nodata)):
        if rgba[3]:
            table[codes == code] = rgba
    for one in classes_for(quantity, by):
        if one.last >= one.first:  # a steep law may leave no step to a class
            stored = np.arange(one.first, one.last + 1).astype(np.int16)
            table[stored.view(np.uint16)] = one.rgba
    table.flags.writeable = False
    return table
