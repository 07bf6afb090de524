"""The choice of frames by what their names tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from hsrgeo.errors import OptionsError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.fields import Step, Time
from hsrgeo.model.times import on_step


@dataclass(frozen=True)
class Selection:
    """Which frames are wanted.

    Raises:
        OptionsError: The times are not aware, the end is not after the start, or the step is no step.
    """

    start: Time = Time(None)
    """First time wanted: aware, or a text that `parse_time` reads."""
    end: Time = Time(None)
    """First time no longer wanted."""
    every: Step[None] = Step(None)
    """Only times on whole steps after midnight KST; also as a text such as ``1h``."""
    product: str | None = None
    """Only this product, such as HSR."""
    kind: str | None = None
    """Only this kind, such as PUB, and frames whose kind is not known."""
    one_kind: bool = False
    """Of files of one product and time that differ in kind only the preferred one, see `formats.names.KINDS`."""

    def __post_init__(self) -> None:
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
