"""Rain rate from reflectivity, by a power law Z = a R^b."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import RAIN, Quantity, clean_values

_LARGEST = int(np.iinfo(np.int16).max)


@dataclass(frozen=True, slots=True)
class Law:
    """Z = a R^b, Z in mm^6 m^-3 and R in mm/h; the default is KMA's (KMA composite format, section 4).

    Raises:
        OptionsError: Not both positive numbers.
    """

    a: float = 200.0
    b: float = 1.6

    def __post_init__(self) -> None:
        if not (0 < self.a < math.inf and 0 < self.b < math.inf):
            raise OptionsError(f"Z-R law {self.a:g} {self.b:g}: expected A and B of Z = A R^B, both positive")

    def __str__(self) -> str:
        return f"Z = {self.a:g} R^{self.b:g}"

    def rate(self, dbz: float) -> float:
        """Return the rain rate [mm/h] of a reflectivity [dBZ]; infinite where it is beyond every number."""
        try:
            return float((10 ** (dbz / 10) / self.a) ** (1 / self.b))
        except OverflowError:
            return math.inf

    def dbz(self, rate: float) -> float:
        """Return the reflectivity [dBZ] of a rain rate [mm/h] above 0."""
        return 10 * (math.log10(self.a) + self.b * math.log10(rate))


KMA_LAW = Law()


def as_law(value: object) -> Law:
    """Return a law that was given as such or as two numbers, A and B.

    Raises:
        OptionsError: It is neither.
    """
    if isinstance(value, Law):
        return value
    try:
        a, b = map(float, value)  # type: ignore[call-overload] # whatever it is: that is the question
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionsError(f"Z-R law {value!r}: expected two numbers, A and B of Z = A R^B") from error
    return Law(a, b)


def parse_law(text: str) -> Law | None:
    """Return the law that a tag ``RAIN_LAW`` names, or None where it names none."""
    match = re.fullmatch(r"Z = (\S+) R\^(\S+)", text)
    try:
        return Law(float(match[1]), float(match[2])) if match else None
    except (ValueError, OptionsError):
        return None


def rain_frame(frame: Frame, law: Law | tuple[float, float] = KMA_LAW) -> Frame:
    """Return a frame of rain rate in steps of 0.01 mm/h, as KMA packs its own HSP.

    Undetect and blends of it become 0 mm/h, nodata stays nodata. Every echo is the nearest step to the law's rate; a
    rate above 327.67 mm/h (63.2 dBZ by KMA's law, hail) does not fit, is packed as that, and is counted in the tag
    ``COUNT_CLIPPED``. Frames of rain rate (HSP) are made clean, and are taken as they are; negative noise is 0.

    Args:
        frame: Of reflectivity or rain rate; pixels of any window.
        law: How the rate follows from reflectivity, or A and B of it; rain rates do not need it.

    Raises:
        FrameError: The frame holds something else.
        OptionsError: The law is none.
    """
    law = as_law(law)
    if frame.quantity.name not in ("reflectivity", "rain_rate"):
        raise FrameError("no rain", "reflectivity or rain rate", frame.quantity.name, frame.name)
    if frame.quantity.is_rain:
        if "RAIN_LAW" in dict(frame.derived):
            return frame.clean()
        return replace(frame.clean(), derived=(*frame.derived, ("RAIN_LAW", "as observed")))
    packed, clips = _table(frame.quantity, law)
    stored = packed[frame.stored.view(np.uint16)]
    clipped = int(np.count_nonzero(frame.stored >= clips)) if clips <= _LARGEST else 0
    derived = {"RAIN_LAW": str(law), "COUNT_CLIPPED": str(clipped) if clipped else ""}
    return replace(
        frame,
        stored=stored,
        quantity=RAIN,
        cleaned=True,
        derived=(*frame.derived, *((name, value) for name, value in derived.items() if value)),
    )


@lru_cache(maxsize=8)
def _table(quantity: Quantity, law: Law) -> tuple[NDArray[np.int16], int]:
    """Return the packed rate of each int16, looked up by its bits, and the first stored value that does not fit."""
    every = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
    classes = clean_values(every, quantity)
    physical = (every.astype(np.float64) - quantity.minus) / quantity.scale
    with np.errstate(over="ignore"):
        rates = (10 ** (physical / 10) / law.a) ** (1 / law.b)
    steps = np.floor(rates * RAIN.scale + 0.5)
    packed = np.minimum(steps, _LARGEST)
    packed[classes == quantity.undetect] = RAIN.undetect
    packed[classes == quantity.nodata] = RAIN.nodata
    too_much = every[(steps > _LARGEST) & (every >= quantity.echo_from)]
    clips = int(too_much[0]) if too_much.size else _LARGEST + 1
    return np.roll(packed.astype(np.int16), 1 << 15), clips  # int16 counts from -32768, its bits from 0
