"""What a stored integer means, and the classes of values that are no measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.squares import BLOCK_SIDE, block_extremes


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is measured, and how it is packed: physical = (stored - minus) / scale.

    References:
        KMA composite format, section 1 (table of data codes) and section 2 (values).
    """

    name: str
    """One word, such as ``reflectivity``."""
    unit: str
    """Unit of the physical value; empty for classes and counts."""
    scale: int
    """Stored steps per physical unit."""
    minus: int
    """Stored value of physical zero."""
    nodata: int
    """Stored code: outside the coverage of every radar, not observed."""
    undetect: int
    """Stored code: observed, nothing there."""
    null_codes: tuple[int, ...]
    """Every stored code that a good file may hold for nodata or undetect; other values below `echo_from` are
    blends."""
    echo_from: int
    """Smallest stored value that is a measurement."""
    cap: int | None = field(default=None, compare=False)
    """Largest stored value where whoever made the frame cut higher ones down to it; None where nothing is cut."""

    @property
    def is_rain(self) -> bool:
        """Whether it is a rain rate: then no echo is no rain, 0."""
        return self.unit == "mm/h"

    @property
    def nothing(self) -> float:
        """Physical value of a cell that was observed and holds nothing: 0 of rain, minus infinity of reflectivity.

        NaN of anything else: a beam that saw nothing has no temperature.
        """
        if self.is_rain or self.unit == "mm":
            return 0.0
        return -math.inf if self.unit == "dBZ" else math.nan

    @property
    def undetect_value(self) -> float:
        """Number that stands for a cell that holds nothing, where no code can: -250 dBZ, 0 of rain, else NaN."""
        return self.undetect / self.scale if self.unit == "dBZ" else self.nothing

    @property
    def gain(self) -> float:
        """Physical units per stored step."""
        return 1 / self.scale

    @property
    def offset(self) -> float:
        """Physical value of stored zero."""
        return -self.minus / self.scale


def _hundredths(name: str, unit: str, scale: int = 100, minus: int = 0, cap: int | None = None) -> Quantity:
    # -20100 is an undocumented mask seen in one API answer (section 2).
    return Quantity(name, unit, scale, minus, -30000, -25000, (-30000, -25000, -20000, -20100), -10000, cap)


CAP_MM_H = 150.0
"""Highest rain rate that KMA stores in HSP (KMA composite format, section 7): a cell with it may have had more."""

RAIN_RATE = _hundredths("rain_rate", "mm/h", cap=round(100 * CAP_MM_H))
"""As KMA stores it in HSP."""

RAIN = Quantity("rain_rate", "mm/h", 100, 0, -30000, 0, (-30000, 0), 1)
"""As hsrgeo makes it: no rain is 0 mm/h, and that is `undetect`."""

DEPTH = Quantity("rain_depth", "mm", 100, 0, -30000, 0, (-30000, 0), 1)
"""A sum of rain, in int32."""

OBSERVED_RAIN = replace(RAIN, cap=RAIN_RATE.cap)
"""HSP made clean: `RAIN` that is cut at KMA's cap."""

QUANTITIES: dict[int, Quantity] = {
    1: _hundredths("reflectivity", "dBZ"),
    2: _hundredths("height", "m", scale=1),
    3: _hundredths("station", "", scale=1),
    4: _hundredths("count", "", scale=1),
    5: RAIN_RATE,
    6: Quantity("hydrometeor", "", 1, 0, -300, -250, (-300, -250, -200), -100),
    7: Quantity("precipitation_type", "", 1, 0, 0, 1, (0, 1), 2),
    8: _hundredths("temperature", "degC", minus=20000),
    15: _hundredths("detections", "", scale=1),
}
"""By data code (KMA composite format, section 1), which alone tells what a block holds: neither the name nor ``ptype``
does (section 7). Code 5 is the rain rate of HSP. Code 15 has no row in the table: it is read as code 4.

A new quantity is an entry here. Its colours are in `hsrgeo.products.classes` and `hsrgeo.products.palettes`, with its
word in the choices of ``render`` and ``style``; its CF name in `hsrgeo.cube.cf`; its name in ODIM in
`hsrgeo.writers.odim`. Without these it is written and read, but has no colours and no standard name."""


def quantity_named(name: object, undetect: object, unit: str | None = None) -> Quantity | None:
    """Return the quantity that a file says it holds, or None where hsrgeo knows none like it.

    Args:
        name: See `Quantity.name`.
        undetect: See `Quantity.undetect`, as a number or as text: rain has another one than KMA's own rain rate.
        unit: See `Quantity.unit`; None where the file does not tell.
    """
    try:
        code = undetect if isinstance(undetect, str) else str(int(undetect))  # type: ignore[call-overload] # caught
    except (TypeError, ValueError, OverflowError):
        return None
    for one in (RAIN, *QUANTITIES.values()):
        if (one.name, str(one.undetect)) == (name, code) and unit in (None, one.unit):
            return one
    return None


def quantity_of_tags(tags: Mapping[str, str], unit: str | None = None) -> Quantity | None:
    """Return the quantity that the tags of a COG name, or None where it is not known; see `quantity_named`."""
    known = quantity_named(tags.get("QUANTITY"), tags.get("UNDETECT"), unit)
    return OBSERVED_RAIN if known == RAIN and "COUNT_CAPPED" in tags else known


def made_clean(quantity: Quantity) -> Quantity:
    """Return the quantity of clean values: a rain rate whose no rain is 0 mm/h, of anything else the same."""
    is_kmas = quantity.is_rain and quantity.undetect != RAIN.undetect
    return replace(OBSERVED_RAIN, cap=quantity.cap) if is_kmas else quantity  # rain that hsrgeo made is not cut


@dataclass(frozen=True, slots=True)
class CellStatistics:
    """Cells of each class; nodata + undetect + echo is every cell, blends are among the first two."""

    nodata: int
    undetect: int
    echo: int
    blend: int
    """Cells with a value smeared between the NULL codes."""
    minimum: int | None
    """Lowest stored value of echo; None where there is no echo, as all that follow."""
    maximum: int | None
    mean: float | None
    """Of the stored values of echo."""
    stddev: float | None
    """Of the stored values of echo, over all of them."""

    def with_dry(self) -> CellStatistics:
        """Return the statistics of rain over all observed cells: `echo` counts these, and a dry one is 0."""
        observed = self.undetect + self.echo
        if not self.undetect or not observed:
            return self
        share = self.echo / observed
        mean, stddev, highest = self.mean or 0.0, self.stddev or 0.0, self.maximum or 0
        squares = share * (stddev**2 + mean**2)
        spread = math.sqrt(max(squares - (share * mean) ** 2, 0))
        return replace(self, undetect=0, echo=observed, minimum=0, maximum=highest, mean=share * mean, stddev=spread)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the cells of a frame hold, in physical units."""

    unit: str
    """Of all that follow the counts."""
    nodata: int
    """Cells that were not observed."""
    undetect: int
    """Cells that were observed and hold nothing: no echo, or no rain."""
    echo: int
    """Cells with a value: echo, or rain."""
    minimum: float | None
    """Of rain over all observed cells, dry ones as 0; else over cells with a value. None where there are none, as of
    all that follow."""
    mean: float | None
    """Of the values as they are: of dBZ, not of rain."""
    maximum: float | None
    stddev: float | None


def statistics_of(cells: CellStatistics, quantity: Quantity) -> Statistics:
    """Return statistics in physical units, rounded to a hundredth of a stored step.

    Where the quantity is `RAIN`, the cells must have been counted in clean values: see `clean_values` and `dry_values`.
    """
    of = cells.with_dry() if quantity == RAIN else cells
    low, mean, high = (
        None if value is None else round((value - quantity.minus) / quantity.scale, _DIGITS)
        for value in (of.minimum, of.mean, of.maximum)
    )
    stddev = None if of.stddev is None else round(of.stddev / quantity.scale, _DIGITS)
    return Statistics(quantity.unit, cells.nodata, cells.undetect, cells.echo, low, mean, high, stddev)


_DIGITS = 4


def cell_statistics(
    stored: NDArray[np.int16], quantity: Quantity, extremes: NDArray[np.int16] | None = None
) -> CellStatistics:
    """Count the classes of stored values and describe the echo.

    `extremes` are `block_extremes` of the values, where they are known already. The code of nodata must be the only one
    of the quantity's codes below that of undetect.

    References:
        KMA composite format, section 2: below -25000 nodata, from there to below -10000 undetect.
    """
    lows, highs = block_extremes(stored) if extremes is None else extremes
    nodata = exact_nodata = 0
    above: list[NDArray[np.int16]] = [np.empty(0, np.int16)]
    for (row, col), lowest in np.ndenumerate(lows):
        block = stored[row * BLOCK_SIDE : (row + 1) * BLOCK_SIDE, col * BLOCK_SIDE : (col + 1) * BLOCK_SIDE]
        highest = highs[row, col]
        if highest > quantity.undetect:
            above.append(block[block > quantity.undetect])  # a few cells in a hundred
        if highest < quantity.undetect:
            nodata += block.size
        elif lowest < quantity.undetect:
            nodata += int(np.count_nonzero(block < quantity.undetect))
        if lowest == highest == quantity.nodata:
            exact_nodata += block.size
        elif lowest <= quantity.nodata:
            exact_nodata += int(np.count_nonzero(block == quantity.nodata))
    others = np.concatenate(above)
    echo = others[others >= quantity.echo_from]
    undetect = stored.size - nodata - echo.size
    coded = exact_nodata + sum(int(np.count_nonzero(others == code)) for code in quantity.null_codes)
    blend = nodata + others.size - echo.size - coded
    if not echo.size:
        return CellStatistics(nodata, undetect, 0, blend, None, None, None, None)
    # Sums of integers, so that neither blocks nor their order change the last digit.
    exact = echo.astype(np.int64)
    count, total, squares = exact.size, int(exact.sum()), int(exact @ exact)
    stddev = math.sqrt((count * squares - total * total) / count**2)
    return CellStatistics(nodata, undetect, count, blend, int(echo.min()), int(echo.max()), total / count, stddev)


def clean_values(raw: NDArray[np.int16], quantity: Quantity) -> NDArray[np.int16]:
    """Return a copy that holds the nodata code, the undetect code and echo, nothing else."""
    cleaned = raw.copy()
    np.copyto(cleaned, np.int16(quantity.undetect), where=raw < quantity.echo_from)
    np.copyto(cleaned, np.int16(quantity.nodata), where=raw < quantity.undetect)
    return cleaned


def dry_values(raw: NDArray[np.int16], quantity: Quantity) -> NDArray[np.int16]:
    """Return clean values of `RAIN`: what holds no rain is 0, also what is stored below 0; nodata stays.

    `raw` and `quantity` must be a rain rate as KMA stores it, such as `RAIN_RATE`.
    """
    dry = np.maximum(raw, np.int16(RAIN.undetect))
    np.copyto(dry, np.int16(RAIN.nodata), where=raw < quantity.undetect)
    return dry


def physical_values(raw: NDArray[np.int16], quantity: Quantity, undetect: float | None = None) -> NDArray[np.float32]:
    """Return physical values: nodata is NaN, undetect is `undetect`, blends count as the class they belong to.

    An `undetect` of None is `Quantity.nothing`.
    """
    undetect = quantity.nothing if undetect is None else undetect
    values = (raw.astype(np.float32) - np.float32(quantity.minus)) / np.float32(quantity.scale)
    values[raw < quantity.echo_from] = undetect
    values[raw < quantity.undetect] = np.nan
    return values
