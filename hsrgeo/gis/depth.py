"""Colour classes of rain depth [mm].

KMA's table is of rates; for depths it has none. These classes are this program's own: KMA's colours, with KMA's
numbers read as mm, times 2, 5 or 10 where a sum goes beyond them. The legend always tells the bounds.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.quantity import RAIN
from hsrgeo.products.classes import classes_for
from hsrgeo.products.palettes import Rgb

TIMES = (1, 2, 5, 10)
"""What the bounds may be multiplied by."""
_ENOUGH = 0.995
# ^ share of the wet cells that should lie below the highest class: a few cells of hail do not choose the colours
_LEAST_MM = 0.005  # what rounds to a step of 0.01 mm; less is no rain


def times_for(depth_mm: NDArray[np.float32]) -> int:
    """Return the smallest of `TIMES` that most of the rain lies within."""
    wet = depth_mm[depth_mm > 0]
    if not wet.size:
        return TIMES[0]
    high, top = float(np.quantile(wet, _ENOUGH)), classes_for(RAIN)[-1].lower
    return next((times for times in TIMES if high < top * times), TIMES[-1])


def times_of(length: timedelta | None) -> int:
    """Return what the bounds of a sum so long are multiplied by, whatever fell: its maps can be compared.

    Args:
        length: None gives 1: of frames.
    """
    if length is None:
        return TIMES[0]
    return next((times for times, longest in _LONGEST.items() if length <= longest), TIMES[-1])


_LONGEST = {1: timedelta(hours=3), 2: timedelta(days=1), 5: timedelta(days=7)}


def depth_classes(times: int) -> tuple[tuple[float, Rgb, str], ...]:
    """Return lower bound [mm], colour and label of each class, from low to high.

    Raises:
        OptionsError: There are no such classes.
    """
    if times not in TIMES:
        raise OptionsError(f"classes times {times}: expected one of {', '.join(map(str, TIMES))}")
    _dry, lowest, *others = classes_for(RAIN)
    higher = [(float(one.label) * times, one.rgb) for one in others]
    return ((_LEAST_MM, lowest.rgb, "0"), *((low, rgb, f"{low:g}") for low, rgb in higher))


def depth_colours(depth_mm: NDArray[np.float32], times: int, *, dry: Rgb, nodata: Rgb) -> NDArray[np.uint8]:
    """Return red, green and blue of each cell, shape (*depth_mm.shape, 3).

    Args:
        depth_mm: NaN where it is not known.
        times: See `depth_classes`.
        dry: Of cells without rain.
        nodata: Of cells that nothing is known of.
    """
    classes = depth_classes(times)
    table = np.array([dry, *(rgb for _low, rgb, _label in classes), nodata], np.uint8)
    # Half of a stored step less: 0.1 mm is 0.1 mm whatever float32 makes of it.
    order = np.digitize(depth_mm, [low - _LEAST_MM / 2 for low, _rgb, _label in classes])
    order[np.isnan(depth_mm)] = len(table) - 1
    return table[order]
