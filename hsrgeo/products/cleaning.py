"""Cleaning by the user's choice: weak echo and specks removed, echo smoothed; always said, never by default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import FrameError, OptionsError, needs
from hsrgeo.model.checks import refuse_fractions
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.window import Window

if TYPE_CHECKING:
    from types import ModuleType

_MOST_CELLS = 10_000
_WIDEST = 100.0  # cells of `smooth`: the kernel is eight times as wide
_REACH = 4  # standard deviations after which the kernel ends


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What is done to the echo of a frame, in this order.

    Raises:
        OptionsError: A number that cannot be.
        MissingExtraError: scipy is needed and not installed.
    """

    min_dbz: float | None = None
    """Echo below this is no echo; after `smooth` once more."""
    despeckle: int = 0
    """Groups of fewer cells with echo are no echo, 2 or more; cells that touch at a corner are of one group."""
    smooth: float = 0.0
    """Standard deviation [cells] of a Gaussian mean of Z [mm^6 m^-3], or of rain [mm/h], over the observed cells; no
    echo counts as 0, and what was not observed stays so."""

    def __post_init__(self) -> None:
        refuse_fractions("despeckle", self.despeckle)
        if self.despeckle == 1 or not 0 <= self.despeckle <= _MOST_CELLS:  # no group has fewer than one cell
            raise OptionsError(f"despeckle {self.despeckle}: expected 2 to {_MOST_CELLS:,} cells")
        if not 0 <= self.smooth <= _WIDEST:
            raise OptionsError(f"smooth {self.smooth:g}: expected a number of cells, at most {_WIDEST:g}")
        if self.min_dbz is not None and not math.isfinite(self.min_dbz):
            raise OptionsError(f"min_dbz {self.min_dbz:g}: expected a number of dBZ")
        if self.despeckle > 1 or self.smooth:
            ndimage()

    @property
    def halo(self) -> int:
        """Cells around an area that decide what becomes of it."""
        return max(self.despeckle - 1, 0) + math.ceil(_REACH * self.smooth + 1 if self.smooth else 0)

    def of(self, frame: Frame, window: Window | None = None) -> Frame:
        """Return a part of a frame, cleaned; every part has the values that the whole frame would have there.

        Tags name what was done, and count the cells of the part: ``COUNT_BELOW_MIN_DBZ``, ``COUNT_SPECKS`` and, of
        cells that have another value since, ``COUNT_SMOOTHED``. A window of None is all of the frame.

        Raises:
            FrameError: It has neither; or `min_dbz` is given, and it has no reflectivity.
        """
        quantity = frame.quantity
        if not (quantity.unit == "dBZ" or (quantity.is_rain and self.min_dbz is None)):
            wanted = "reflectivity" if self.min_dbz is not None else "reflectivity or rain rate"
            raise FrameError("cannot be cleaned", wanted, quantity.name, frame.name)
        window = frame.grid.window if window is None else window
        around = _grown(window, self.halo, frame.grid.window)
        stored = frame.stored[around.slices].copy()
        rows, cols = window.row_off - around.row_off, window.col_off - around.col_off
        inner = slice(rows, rows + window.height), slice(cols, cols + window.width)
        counts = {}
        has_echo = bool((stored >= quantity.echo_from).any())
        if self.min_dbz is not None:
            weak = (stored >= quantity.echo_from) & (stored < self._least(quantity))
            stored[weak] = quantity.undetect
            counts["COUNT_BELOW_MIN_DBZ"] = str(np.count_nonzero(weak[inner]))
        if self.despeckle > 1:
            specks = self._specks(stored, quantity) if has_echo else np.zeros_like(stored, np.bool_)
            stored[specks] = quantity.undetect
            counts["COUNT_SPECKS"] = str(np.count_nonzero(specks[inner]))
        if self.smooth:
            before = stored[inner]
            stored = self._smoothed(stored, quantity) if has_echo else stored
            counts["COUNT_SMOOTHED"] = str(np.count_nonzero(stored[inner] != before))
        part = frame if window == frame.grid.window else frame.crop(window=window)
        return replace(part, stored=stored[inner], derived=(*part.derived, *self.tags.items(), *counts.items()))

    @property
    def tags(self) -> dict[str, str]:
        """What was done, as tags say it."""
        names = {"min_dbz": "MIN_DBZ", "despeckle": "DESPECKLE_CELLS", "smooth": "SMOOTH_CELLS"}
        return {names[name]: f"{value:g}" for name, value in self.as_json().items()}

    def as_json(self) -> dict[str, Any]:
        """Return plain values of what is asked for; `cleaning_from_json` reads them again."""
        least = {} if self.min_dbz is None else {"min_dbz": self.min_dbz}
        specks = {"despeckle": self.despeckle} if self.despeckle > 1 else {}
        return {**least, **specks, **({"smooth": self.smooth} if self.smooth else {})}

    def _least(self, quantity: Quantity) -> int:
        """Return the lowest stored value that is echo."""
        if self.min_dbz is None:
            return quantity.echo_from
        return max(quantity.echo_from, math.ceil(round(self.min_dbz * quantity.scale + quantity.minus, 6)))

    def _specks(self, stored: NDArray[np.int16], quantity: Quantity) -> NDArray[np.bool_]:
        groups, _count = ndimage().label(stored >= quantity.echo_from, np.ones((3, 3)))
        is_speck = np.bincount(groups.reshape(-1)) < self.despeckle
        is_speck[0] = False
        found: NDArray[np.bool_] = is_speck[groups]
        return found

    def _smoothed(self, stored: NDArray[np.int16], quantity: Quantity) -> NDArray[np.int16]:
        mean_of = ndimage().gaussian_filter
        seen = stored >= quantity.undetect
        linear = _linear_table(quantity)[stored.view(np.uint16)]
        how = {"sigma": self.smooth, "mode": "constant", "truncate": _REACH}
        with np.errstate(divide="ignore", invalid="ignore"):
            means = mean_of(linear, **how) / mean_of(seen.astype(np.float64), **how)
            physical = means if quantity.is_rain else 10 * np.log10(means)
            packed = np.floor(physical * quantity.scale + quantity.minus + 0.5)
        least = max(self._least(quantity), 1) if quantity.is_rain else self._least(quantity)
        packed = np.where(packed >= least, np.minimum(packed, np.iinfo(np.int16).max), quantity.undetect)
        return np.where(seen, packed, stored).astype(np.int16)


def cleaning_of(min_dbz: float | None, despeckle: int, smooth: float) -> Cleaning | None:
    """Return what is asked for; None where that is nothing.

    Raises:
        OptionsError, MissingExtraError: See `Cleaning`.
    """
    wanted = Cleaning(min_dbz, despeckle, smooth)
    return wanted if wanted.as_json() else None


def cleaning_from_json(value: Mapping[str, Any]) -> Cleaning:
    """Return what `Cleaning.as_json` wrote.

    Raises:
        TypeError, ValueError, OptionsError: It is no such thing.
        MissingExtraError: scipy is not installed.
    """
    return Cleaning(**value)


@lru_cache(maxsize=4)
def _linear_table(quantity: Quantity) -> NDArray[np.float64]:
    """Return Z [mm^6 m^-3] or the rain rate [mm/h] of each stored value by its bits; 0 where there is no echo."""
    every = np.arange(1 << 16).astype(np.uint16).view(np.int16)
    physical = (every.astype(np.float64) - quantity.minus) / quantity.scale
    linear = np.maximum(physical, 0) if quantity.is_rain else 10 ** (physical / 10)
    found: NDArray[np.float64] = np.where(every >= quantity.echo_from, linear, 0.0)
    return found


def _grown(window: Window, cells: int, most: Window) -> Window:
    left, top = max(window.col_off - cells, 0), max(window.row_off - cells, 0)
    right = min(window.col_off + window.width + cells, most.width)
    return Window(left, top, right - left, min(window.row_off + window.height + cells, most.height) - top)


def ndimage() -> ModuleType:
    """Return scipy.ndimage."""
    with needs("scipy", "clean"):
        from scipy import ndimage as module  # noqa: PLC0415 - of an extra
    return module  # type: ignore[no-any-return] # scipy has no types
