"""KMA's colour classes of rain, and the same classes in dBZ. Every style and picture takes its colours from here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.quantity import QUANTITIES, RAIN, Quantity
from hsrgeo.products.rain import KMA_LAW, Law

Rgb = tuple[int, int, int]

_KMA: tuple[tuple[float, Rgb], ...] = (
    (0, (0, 200, 255)),
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
"""Lower bound [mm/h] and colour (KMA composite format, section 4; how the bounds align is what most sources say)."""

_LEAST = 0.5 / RAIN.scale
# ^ mm/h: what packs to more than 0. The class of 0 begins here, so that reflectivity and rain are drawn alike; nodata,
#   undetect and weaker echo are transparent.

STYLED = {"rain": RAIN, "reflectivity": QUANTITIES[1]}
"""Quantities that have classes, by the names that a user calls them."""
CLASSED = frozenset(quantity.name for quantity in STYLED.values())
"""Their own names."""


@dataclass(frozen=True, slots=True)
class ColourClass:
    """One class: lower <= physical value < upper."""

    lower: float
    """In the quantity's unit."""
    upper: float
    """The next class's `lower`; infinity for the last."""
    first: int
    """Smallest stored value of the class."""
    last: int
    """Largest stored value of the class."""
    rgb: Rgb
    label: str
    """The lower bound as KMA writes it, in mm/h; ``0`` for the first class, which begins just above no rain."""


@lru_cache(maxsize=64)
def classes_for(quantity: Quantity, law: Law = KMA_LAW) -> tuple[ColourClass, ...]:
    """Return the classes of a quantity, from low to high, without gaps; no value below the first has a colour.

    Args:
        quantity: Reflectivity, or rain rate in mm/h.
        law: How the bounds in dBZ follow from those in mm/h.

    Raises:
        OptionsError: There is no class table for the quantity.
    """
    rates = [max(lower, _LEAST) for lower, _rgb in _KMA]
    if quantity.name == "reflectivity":
        bounds = [law.dbz(rate) for rate in rates]
    elif quantity.unit == "mm/h":
        bounds = rates
    else:
        raise OptionsError(f"{quantity.name} has no colour classes: expected one of {', '.join(STYLED)}")
    largest = int(np.iinfo(np.int16).max)
    steps = [math.ceil(bound * quantity.scale + quantity.minus - _ROUNDING) for bound in bounds]
    # An odd law may put a bound among the codes or beyond int16: no class holds those, and one may hold nothing.
    firsts = [min(max(step, quantity.echo_from), largest + 1) for step in steps]
    return tuple(
        ColourClass(lower, upper, first, following - 1, rgb, f"{kma:g}")
        for lower, upper, first, following, (kma, rgb) in zip(
            bounds, [*bounds[1:], math.inf], firsts, [*firsts[1:], largest + 1], _KMA, strict=True
        )
    )


_ROUNDING = 1e-6  # stored steps: 10 mm/h is 1000 steps, whatever the last digit of a power says


def colours(stored: NDArray[np.int16], quantity: Quantity, law: Law = KMA_LAW) -> NDArray[np.uint8]:
    """Return the colours of stored values: shape (*stored.shape, 4), red, green, blue, alpha; no class is transparent.

    Raises:
        OptionsError: There is no class table for the quantity.
    """
    return _colour_table(quantity, law)[stored.view(np.uint16)]


@lru_cache(maxsize=64)
def _colour_table(quantity: Quantity, law: Law) -> NDArray[np.uint8]:
    table = np.zeros((1 << 16, 4), np.uint8)
    for one in classes_for(quantity, law):
        if one.last >= one.first:  # a steep law may leave no step to a class
            stored = np.arange(one.first, one.last + 1).astype(np.int16)
            table[stored.view(np.uint16)] = (*one.rgb, 255)
    table.flags.writeable = False
    return table
