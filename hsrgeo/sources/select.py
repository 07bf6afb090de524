"""The choice of frames by their names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.fields import Step, Time, Times
from hsrgeo.model.times import on_step, parse_time, time_label
from hsrgeo.sources.encodings import unreadable
from hsrgeo.sources.texts import read_regular


@dataclass(frozen=True)
class Selection:
    """Which frames are wanted.

    Raises:
        OptionsError: The times are not aware, the end is not after the start, or the step is no step.
    """

    start: Time = Time(None)
    """First time wanted: aware, or a text that `parse_time` reads."""
    end: Time = Time(None)
    """Where the wanted times end; this time is not wanted."""
    every: Step[None] = Step(None)
    """Only times on whole steps after midnight KST; also as a text such as ``1h``."""
    product: str | None = None
    """Only this product, such as HSR."""
    kind: str | None = None
    """Only this kind, such as PUB, and frames whose kind is not known."""
    one_kind: bool = False
    """If files of one product and time differ in kind, only the preferred one; see `formats.names.KINDS`."""

    times: Times = Times(None)
    """Only these times; None for all."""

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
            raise OptionsError(
                f"end {time_label(self.end)} is not after start {time_label(self.start)} (the end is exclusive)"
            )

    def wants(self, frame_name: FrameName) -> bool:
        """Tell whether a frame with this name is wanted."""
        return (
            (self.start is None or frame_name.time >= self.start)
            and (self.end is None or frame_name.time < self.end)
            and (self.every is None or on_step(frame_name.time, self.every))
            and (self.times is None or frame_name.time in self.times)
            and self.wants_product(frame_name)
            and (self.kind is None or frame_name.kind in ("", self.kind.upper()))
        )

    def wants_product(self, frame_name: FrameName) -> bool:
        """Tell whether a frame with this name is of the wanted product, whatever its time."""
        return self.product is None or frame_name.product == self.product.upper()


def read_times(path: Path) -> list[datetime]:
    """Return the times that a text file lists, one a line, as `parse_time` reads them.

    Of a CSV file the first column counts; empty lines, those that begin with ``#``, and a first line that is no time
    are left out.

    Raises:
        OptionsError: A line is no time, or there is none.
        SourceError: The file cannot be read.
    """
    try:
        lines = read_regular(path).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(str(path), f"cannot be read: {unreadable(error)}") from error
    times: list[datetime] = []
    for number, line in enumerate(lines, 1):
        text = line.partition(",")[0].strip().strip('"')
        if not text or text.startswith("#"):
            continue
        try:
            times.append(parse_time(text))
        except OptionsError as error:
            if number > 1:
                raise OptionsError(f"{path}, line {number}: {error}") from error
    if not times:
        raise OptionsError(f"{path}: lists no time")
    return times
