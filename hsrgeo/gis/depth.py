"""Colour classes of rain depth [mm].

KMA's table is of rates; for depths it has none. These classes are this program's own: KMA's colours, with KMA's
numbers read as mm, times 2, 5 or 10 for sums of more than 3 hours, a day or a week. The legend always tells the bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.model.quantity import DEPTH
from hsrgeo.products.classes import ColourClass, classes_for, on_white
from hsrgeo.products.palettes import Palette, Rgb

TIMES = (1, 2, 5, 10)
"""What the bounds may be multiplied by."""


def times_of(length: timedelta | None) -> int:
    """Return what the bounds of a sum so long are multiplied by, whatever fell: its maps can be compared.

    None, of frames, gives 1.
    """
    if length is None:
        return TIMES[0]
    return next((times for times, longest in _LONGEST.items() if length <= longest), TIMES[-1])


_LONGEST = {1: timedelta(hours=3), 2: timedelta(days=1), 5: timedelta(days=7)}


def depth_classes(times: int, palette: Palette | None = None) -> tuple[ColourClass, ...]:
    """Return the classes of depth from low to high, those that a depth can be in: no class is for what is dry.

    `times` is what KMA's bounds are multiplied by, one of `TIMES`; a palette has other classes, in mm.

    Raises:
        OptionsError: There are no such classes, or the palette is for another unit.
    """
    if times not in TIMES:
        raise OptionsError(f"classes times {times}: expected one of {', '.join(map(str, TIMES))}")
    return tuple(one for one in classes_for(DEPTH, palette, times) if one.last >= one.first)


def depth_colours(
    depth_mm: NDArray[np.float32], classes: Sequence[ColourClass], *, dry: Rgb, nodata: Rgb
) -> NDArray[np.uint8]:
    """Return red, green and blue of each cell, shape (*depth_mm.shape, 3).

    Args:
        depth_mm: NaN where it is not known.
        classes: Of `depth_classes`.
        dry: Of cells without rain, and of those below the lowest class.
        nodata: Of cells that nothing is known of.
    """
    table = np.array([dry, *(on_white(one.rgba) if one.alpha else dry for one in classes), nodata], np.uint8)
    # Half of a stored step less: 0.1 mm is 0.1 mm whatever float32 makes of it.
    order = np.digitize(depth_mm, [(one.first - 0.5) / DEPTH.scale for one in classes])
    order[np.isnan(depth_mm)] = len(table) - 1
    return table[order]
