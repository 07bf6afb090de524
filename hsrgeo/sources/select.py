"""The choice of frames by what their names tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hsrgeo.errors import OptionsError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.times import on_step


@dataclass(frozen=True, slots=True)
class Selection:
    """Which frames are wanted.

    Raises:
        OptionsError: The times are not aware, the end is not after the start, or the step is no step.
    """

    start: datetime | None = None
    """First time wanted, aware."""
    end: datetime | None = None
    """First time no longer wanted, aware."""
    every: timedelta | None = None
    """Only times on whole steps after midnight KST."""
    product: str | None = None
    """Only this product, such as HSR."""
    kind: str | None = None
    """Only this kind, such as PUB, and frames whose kind is not known."""
    one_kind: bool = False
    """Of files of one product and time that differ in kind only the preferred one, see `formats.names.KINDS`."""

    def __post_init__(self) -> None:
        for name, time in (("start", self.start), ("end", self.end)):
            if time is not None and not isinstance(time, datetime):
                raise OptionsError(f"{name} {time!r}: expected a datetime, as hsrgeo.parse_time makes of a text")
            if time is not None and time.tzinfo is None:
                raise OptionsError(f"{name} {time}: give it a time zone, such as hsrgeo.KST")
        if self.every is not None and not isinstance(self.every, timedelta):
            raise OptionsError(f"every {self.every!r}: expected a timedelta, as hsrgeo.parse_step makes of a text")
        product: object = self.product
        if product is not None and not (isinstance(product, str) and product.strip()):
            raise OptionsError(f"product {product!r}: expected a name such as HSR")
        kind: object = self.kind
        if kind is not None and not (isinstance(kind, str) and kind.strip()):
            raise OptionsError(f"kind {kind!r}: expected a name such as PUB or EXT")
        if self.every is not None and self.every <= timedelta(0):
            raise OptionsError(f"every {self.every}: must be longer than nothing")
        if self.start and self.end and self.end <= self.start:
            raise OptionsError(f"end {self.end} is not after start {self.start} (the end is exclusive)")

    def wants(self, told: FrameName) -> bool:
        """Tell whether a frame with this name is wanted."""
        return (
            (self.start is None or told.time >= self.start)
            and (self.end is None or told.time < self.end)
            and (self.every is None or on_step(told.time, self.every))
            and self.wants_product(told)
            and (self.kind is None or told.kind in ("", self.kind.upper()))
        )

    def wants_product(self, told: FrameName) -> bool:
        """Tell whether a frame with this name is of the wanted product, whatever its time."""
        return self.product is None or told.product == self.product.upper()
