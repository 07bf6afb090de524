"""KMA's colour classes of rain and of reflectivity, and this program's of height. Every style and picture has these.

Nodata and cells without rain or echo have no class: a style leaves them transparent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.quantity import QUANTITIES, RAIN, Quantity
from hsrgeo.products.rain import Law

Rgb = tuple[int, int, int]

_Table = tuple[tuple[float, Rgb], ...]

_RAIN: _Table = (
    (0, (250, 250, 250)),
    (0.01, (0, 200, 255)),
    (0.1, (0, 155, 245)),
    (0.5, (0, 74, 245)),
    (1, (0, 255, 0)),
    (2, (0, 190, 0)),
    (3, (0, 140, 0)),
    (4, (0, 90, 0)),
    (5, (255, 255, 0)),
    (6, (255, 220, 31)),
    (7, (249, 205, 0)),
    (8, (224, 185, 0)),
    (9, (204, 170, 0)),
    (10, (255, 102, 0)),
    (15, (255, 50, 0)),
    (20, (210, 0, 0)),
    (25, (180, 0, 0)),
    (30, (224, 169, 255)),
    (40, (201, 105, 255)),
    (50, (179, 41, 255)),
    (60, (147, 0, 228)),
    (70, (179, 180, 222)),
    (90, (76, 78, 177)),
    (110, (0, 3, 144)),
    (150, (51, 51, 51)),
)
"""KMA's ``color_rdr_echo.rgb`` (KMA composite format, section 7): lower bound [mm/h] and colour."""
_REFLECTIVITY: _Table = (
    (-math.inf, (250, 250, 250)),
    (-20, (135, 217, 255)),
    (-10, (62, 193, 255)),
    (-5, (7, 171, 255)),
    (0, (0, 141, 222)),
    (5, (0, 119, 179)),
    (10, (105, 252, 105)),
    (12, (30, 243, 30)),
    (14, (0, 213, 0)),
    (16, (0, 164, 0)),
    (18, (0, 128, 0)),
    (20, (255, 234, 110)),
    (22, (255, 220, 31)),
    (24, (249, 205, 0)),
    (26, (224, 185, 0)),
    (28, (204, 170, 0)),
    (30, (250, 133, 133)),
    (32, (246, 62, 62)),
    (34, (238, 11, 11)),
    (36, (213, 0, 0)),
    (38, (191, 0, 0)),
    (40, (218, 135, 255)),
    (42, (194, 62, 255)),
    (44, (173, 7, 255)),
    (46, (146, 0, 228)),
    (48, (127, 0, 191)),
    (50, (179, 180, 222)),
    (55, (128, 129, 199)),
    (60, (76, 78, 177)),
    (65, (31, 33, 157)),
    (70, (0, 3, 144)),
    (80, (51, 51, 51)),
)
"""KMA's ``color_rdr_DZ.rgb``: lower bound [dBZ] and colour."""
_HEIGHT: _Table = (
    (-math.inf, (68, 1, 84)),
    (500, (71, 39, 119)),
    (1000, (62, 73, 137)),
    (1500, (48, 103, 141)),
    (2000, (37, 130, 142)),
    (2500, (30, 157, 136)),
    (3000, (53, 183, 120)),
    (4000, (109, 206, 88)),
    (5000, (181, 221, 43)),
    (6000, (253, 231, 36)),
    (8000, (254, 190, 60)),
    (10000, (240, 120, 40)),
)
"""Lower bound [m above the sea] and colour: this program's own, dark where the beam is low."""
RAIN_END, REFLECTIVITY_END = 200, 100
"""Where the tables end [mm/h, dBZ]; what is above keeps the last colour."""
DRY: Rgb = (250, 250, 250)
"""Of what was observed and holds nothing, where it is drawn: as KMA draws what is below 0.01 mm/h."""
NODATA: Rgb = (211, 215, 220)
"""Of what was not observed, where it is drawn: darker, to differ from dry."""

STYLED = {"rain": RAIN, "reflectivity": QUANTITIES[1]}
"""Quantities that have classes, by the names that a user calls them."""
CLASSED = frozenset({*(quantity.name for quantity in STYLED.values()), "rain_depth", "rain_depth_max", "height"})
"""Names of all quantities that have classes: a depth has those of rain, see `hsrgeo.gis.depth`."""


@dataclass(frozen=True, slots=True)
class ColourClass:
    """One class: lower <= physical value < upper."""

    lower: float
    """In the quantity's unit; minus infinity for the first class of reflectivity and of height."""
    upper: float
    """The next class's `lower`; infinity for the last."""
    first: int
    """Smallest stored value of the class; no value of rain is in the first class, which is 0 and below 0.01 mm/h."""
    last: int
    """Largest stored value of the class."""
    rgb: Rgb
    label: str
    """The lower bound as KMA writes it, in the unit of the table; empty where there is none."""


@lru_cache(maxsize=64)
def classes_for(quantity: Quantity, law: Law | None = None, times: int = 1) -> tuple[ColourClass, ...]:
    """Return the classes of a quantity, from low to high, without gaps.

    Args:
        quantity: Reflectivity, rain rate in mm/h, rain depth in mm, or height in m.
        law: None is KMA's own table of the quantity. By a law reflectivity has the classes of rain, whose bounds in dBZ
            follow from those in mm/h.
        times: Of depth: what the bounds are multiplied by, see `hsrgeo.gis.depth`.

    Raises:
        OptionsError: There is no class table for the quantity.
    """
    if quantity.is_rain:
        quantity, table, bounds = RAIN, _RAIN, [lower for lower, _rgb in _RAIN]
    elif quantity.unit == "mm" and quantity.name in CLASSED:
        table = tuple((lower * times if lower > _LEAST_RAIN else lower, rgb) for lower, rgb in _RAIN)
        bounds = [lower for lower, _rgb in table]
    elif quantity.name == "height":
        table, bounds = _HEIGHT, [lower for lower, _rgb in _HEIGHT]
    elif quantity.name != "reflectivity":
        raise OptionsError(f"{quantity.name} has no colour classes: expected one of {', '.join(STYLED)}")
    elif law is None:
        table, bounds = _REFLECTIVITY, [lower for lower, _rgb in _REFLECTIVITY]
    else:
        table, bounds = _RAIN, [law.dbz(lower) if lower else -math.inf for lower, _rgb in _RAIN]
    largest = int(np.iinfo(np.int32 if quantity.unit == "mm" else np.int16).max)
    # An odd law may put a bound among the codes or beyond int16: no class holds those, and one may hold nothing.
    firsts = [_first_step(bound, quantity, largest) for bound in bounds]
    return tuple(
        ColourClass(lower, upper, first, following - 1, rgb, "" if math.isinf(kma) else f"{kma:g}")
        for lower, upper, first, following, (kma, rgb) in zip(
            bounds, [*bounds[1:], math.inf], firsts, [*firsts[1:], largest + 1], table, strict=True
        )
    )


def _first_step(bound: float, quantity: Quantity, largest: int) -> int:
    """Return the smallest stored value at or above a bound."""
    if bound == -math.inf:
        return quantity.echo_from
    step = math.ceil(bound * quantity.scale + quantity.minus - _ROUNDING)
    return min(max(step, quantity.echo_from), largest + 1)


_LEAST_RAIN = 0.01  # mm/h and mm: the lowest class begins at what is stored of the least rain
_ROUNDING = 1e-6  # stored steps: 10 mm/h is 1000 steps, whatever the last digit of a power says


def colours(stored: NDArray[np.int16], quantity: Quantity, law: Law | None = None) -> NDArray[np.uint8]:
    """Return the colours of stored values: shape (*stored.shape, 4), red, green, blue, alpha; no class is transparent.

    Raises:
        OptionsError: There is no class table for the quantity.
    """
    return _colour_table(quantity, law)[stored.view(np.uint16)]


@lru_cache(maxsize=64)
def _colour_table(quantity: Quantity, law: Law | None) -> NDArray[np.uint8]:
    table = np.zeros((1 << 16, 4), np.uint8)
    for one in classes_for(quantity, law):
        if one.last >= one.first:  # a steep law may leave no step to a class
            stored = np.arange(one.first, one.last + 1).astype(np.int16)
            table[stored.view(np.uint16)] = (*one.rgb, 255)
    table.flags.writeable = False
    return table
