"""Rain rate of every stored value, as a table: the exact rate, not the 0.01 mm/h that a file packs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import FrameError
from hsrgeo.model.quantity import Quantity, clean_values
from hsrgeo.products.rain import Law, rates_of


@lru_cache(maxsize=8)
def rate_table(quantity: Quantity, law: Law, factor: float = 1.0) -> NDArray[np.float64]:
    """Return the rain rate [mm/h] of each int16, found by its bits: ``table[stored.view(np.uint16)]``.

    Undetect and blends of it are 0, nodata and blends of it NaN, negative noise of HSP 0. The limit of the law holds
    for both quantities; each rate is multiplied by `factor` after it.

    Returns:
        float64, shape (65536,); do not write to it.

    Raises:
        FrameError: The quantity is neither.
    """
    every = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    if quantity.name not in ("reflectivity", "rain_rate"):
        raise FrameError("no rain", "reflectivity or rain rate", quantity.name)
    rates = rates_of(stored_table(quantity), quantity, law)
    if law.max_mm_h is not None:
        rates = np.minimum(rates, law.max_mm_h)
    rates *= factor
    rates[clean_values(every, quantity) == quantity.undetect] = 0
    rates.flags.writeable = False
    return rates


def stored_table(quantity: Quantity) -> NDArray[np.float64]:
    """Return the physical value of each int16 as `rate_table` does: undetect is minus infinity, nodata NaN."""
    every = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    classes = clean_values(every, quantity)
    values = (every.astype(np.float64) - quantity.minus) / quantity.scale
    values[classes == quantity.undetect] = -np.inf
    values[classes == quantity.nodata] = np.nan
    return values
