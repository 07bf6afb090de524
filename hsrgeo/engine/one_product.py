"""Sources of one product, quantity and frame a time: what holds one value a time, as a cube or a series does."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.formats.names import FrameName
from hsrgeo.formats.standing import Standing
from hsrgeo.model.quantity import Quantity
from hsrgeo.outputs.outcome import Outcome, Status
from hsrgeo.sources.scan import names_in_files
from hsrgeo.sources.select import Selection


class Told(Protocol):
    """Something whose product may be known."""

    @property
    def frame_name(self) -> FrameName | None:
        """Product, kind and time."""


One = TypeVar("One", bound=Told)


def product_guard(found: Iterable[One]) -> Generator[One]:
    """Pass frames on as long as all are of one product.

    Raises:
        OptionsError: Another product turns up; one value a time cannot be both.
    """
    product: str | None = None
    for one in found:
        if one.frame_name is not None:
            product = product or one.frame_name.product
            if one.frame_name.product != product:
                both = " and ".join(sorted({product, one.frame_name.product}))
                raise OptionsError(f"the sources contain {both}: choose one with --product")
        yield one


def refuse_products(sources: Sequence[str | Path], selection: Selection) -> None:
    """Refuse files of several products by their names, before any of them is read.

    Raises:
        OptionsError: There are several.
        SourceError: A source does not exist.
    """
    products = sorted({frame_name.product for frame_name in names_in_files(sources, selection)})
    if len(products) > 1:
        raise OptionsError(f"the sources contain {' and '.join(products)}: choose one with --product")


class Best:
    """The best frame of each time so far, by `hsrgeo.formats.standing`; only its standing stays in memory.

    Args:
        counts: Frames by status. A frame that was the best and is no longer is counted as a duplicate from then on.
    """

    def __init__(self, counts: Counter[Status]) -> None:
        self._counts = counts
        self._standings: dict[datetime, Standing] = {}
        self.quantity: Quantity | None = None
        """Of the first frame, and so of the table. Names do not tell it, only data codes do."""

    def settle(self, outcome: Outcome, quantity: Quantity | None = None) -> Outcome:
        """Return the outcome of a frame: as it is where it is broken or the best of its time, else as a duplicate.

        What was kept of a frame of this time before is to be replaced where a sound one comes back as it is. One that
        holds another `quantity` than the first has failed: they have to come in the order of the sources.
        """
        if quantity is not None:
            self.quantity = self.quantity or quantity
            if quantity.name != self.quantity.name:
                expected = f"{self.quantity.name}, as the first frame"
                error = FrameError("another quantity", expected, quantity.name, outcome.source, outcome.member)
                return dataclasses.replace(outcome, status="failed", error=error)
        if outcome.status != "ok" or outcome.frame_name is None:
            return outcome
        time, standing = outcome.frame_name.time, outcome.standing
        before = self._standings.get(time)
        if before is not None and before >= standing:
            return dataclasses.replace(outcome, status="duplicate", winner=before.label)
        if before is not None:
            self._counts["ok"] -= 1
            self._counts["duplicate"] += 1
        self._standings[time] = standing
        return outcome
