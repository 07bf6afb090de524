"""Which block of a file is wanted, and which of its cells by the blocks beside it."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, cast

from hsrgeo.errors import OptionsError
from hsrgeo.model.quantity import QUANTITIES

ALL = "all"
"""Every block of a file; of exports and `hsrgeo.open` only."""
BLOCK_NAMES = tuple(quantity.name for quantity in QUANTITIES.values())
_STATION = re.compile(r"[A-Z0-9]{1,6}")
_HIGHEST_M = 32767


@dataclass(frozen=True, slots=True)
class MaskedBlock:
    """A block without the cells that are not wanted: these become nodata.

    A cell whose height or radar the file does not give is not wanted either.
    """

    block: int | str
    max_height_m: float | None = None
    """Cells that the beam saw from higher above the sea [m] are not wanted, by the block of heights."""
    stations: tuple[str, ...] = ()
    """Cells of other radars are not wanted, by the block of stations; empty is all."""


Block = int | str | MaskedBlock
"""Number of a block, counted from 1, its name, or `MaskedBlock`."""


def as_block(
    block: object, max_height: float | None = None, stations: Iterable[str] = (), *, every: bool = False
) -> Block:
    """Return which block is wanted, checked; a plain number where nothing else is asked for.

    Args:
        block: A number from 1, also as text, a name of `BLOCK_NAMES`, or `ALL`.
        max_height: See `MaskedBlock`.
        stations: See `MaskedBlock`; as a text they are parted by commas.
        every: Whether `ALL` can be done.

    Raises:
        OptionsError: It cannot be.
    """
    if isinstance(block, MaskedBlock):
        return block
    names = (*BLOCK_NAMES, *([ALL] if every else []))
    if isinstance(block, str) and not block.isdecimal():
        if block not in names:
            raise OptionsError(f"block {block!r}: expected a number, or one of {', '.join(names)}")
        chosen: int | str = block
    else:
        try:
            chosen = int(block) if isinstance(block, str) else operator.index(cast("int", block))
        except TypeError as error:
            raise OptionsError(f"block {block!r}: expected a whole number, or one of {', '.join(names)}") from error
        if chosen < 1:
            raise OptionsError(f"block {chosen}: blocks are counted from 1")
    wanted = tuple(dict.fromkeys(stations.split(",") if isinstance(stations, str) else stations))
    for station in wanted:
        if not _STATION.fullmatch(str(station)):
            raise OptionsError(f"station {station!r}: expected a code such as KWK")
    if max_height is not None and not 0 < max_height <= _HIGHEST_M:
        raise OptionsError(f"max_height {max_height:g}: expected metres above the sea, more than 0")
    return MaskedBlock(chosen, max_height, wanted) if wanted or max_height is not None else chosen


def block_to_json(block: Block) -> Any:  # noqa: ANN401 - JSON
    """Return plain values; `block_from_json` reads them again."""
    return {**asdict(block), "stations": list(block.stations)} if isinstance(block, MaskedBlock) else block


def block_from_json(value: Any) -> Block:  # noqa: ANN401 - JSON
    """Return what `block_to_json` wrote.

    Raises:
        OptionsError, TypeError, KeyError: It is none.
    """
    if isinstance(value, dict):
        return as_block(value["block"], value["max_height_m"], value["stations"], every=True)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"{value!r} is no block")
    return as_block(value, every=True)
