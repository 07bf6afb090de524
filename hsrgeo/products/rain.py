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
    max_mm_h: float | None = None
    """Higher rates count as this: hail reflects far more than the rain that comes with it."""

    def __post_init__(self) -> None:
        if self.max_mm_h is not None and not 0 < self.max_mm_h < math.inf:
            raise OptionsError(f"max_rate {self.max_mm_h:g}: expected a rain rate above 0 mm/h")
        if not (0 < self.a < math.inf and 0 < self.b < math.inf):
            raise OptionsError(f"Z-R law {self.a:g} {self.b:g}: expected A and B of Z = A R^B, both positive")

    def __str__(self) -> str:
        return f"Z = {self.a:g} R^{self.b:g}" + _limit_text(self.max_mm_h)

    def rate(self, dbz: float) -> float:
        """Return the rain rate [mm/h] of a reflectivity [dBZ]; infinite where it is beyond every number.

        The limit is not applied: this is the law alone.
        """
        try:
            return float((10 ** (dbz / 10) / self.a) ** (1 / self.b))
        except OverflowError:
            return math.inf

    def dbz(self, rate: float) -> float:
        """Return the reflectivity [dBZ] of a rain rate [mm/h] above 0."""
        return 10 * (math.log10(self.a) + self.b * math.log10(rate))


KMA_LAW = Law()


def as_law(value: object, max_rate: float | None = None) -> Law:
    """Return a law that was given as such or as two numbers, A and B; a limit [mm/h] of None keeps the law's own.

    Raises:
        OptionsError: It is neither.
    """
    if isinstance(value, Law):
        return value if max_rate is None else replace(value, max_mm_h=max_rate)
    try:
        a, b = map(float, value)  # type: ignore[call-overload] # whatever it is: that is the question
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionsError(f"Z-R law {value!r}: expected two numbers, A and B of Z = A R^B") from error
    return Law(a, b, max_rate)


def parse_law(text: str) -> Law | None:
    """Return the law that a tag ``RAIN_LAW`` names, or None where it names none."""
    match = re.fullmatch(r"Z = (\S+) R\^([^\s,]+)(?:, at most (\S+) mm/h)?", text)
    try:
        return Law(float(match[1]), float(match[2]), float(match[3]) if match[3] else None) if match else None
    except (ValueError, OptionsError):
        return None


def law_text(quantity: Quantity, followed: str | None, law: Law) -> str:
    """Return how rain follows from a quantity, as the tag ``RAIN_LAW`` says it.

    Args:
        quantity: Of the values.
        followed: How it followed, where it is rain already; None or empty where KMA made it.
        law: How rain follows from reflectivity; of rain only its limit counts.
    """
    if not quantity.is_rain:
        return str(law)
    text = followed or "as observed"
    if law.max_mm_h is None:
        return text
    limited = _LIMITED.fullmatch(text)
    if limited and float(limited[2]) <= law.max_mm_h:
        return text
    return (limited[1] if limited else text) + _limit_text(law.max_mm_h)


_LIMITED = re.compile(r"(.*), at most (\d+(?:\.\d+)?(?:e[+-]?\d+)?) mm/h")


WET_FROM_MM_H = 0.1
"""From which rate a frame or cell counts as wet, where nothing else is said."""


def refuse_low_limit(law: Law, wet_from: float, *, bias: bool) -> None:
    """Refuse a limit of the rates below which nothing can be wet.

    With `bias` rates are multiplied after they were limited; `wet_from` is in mm/h.
    """
    if law.max_mm_h is not None and law.max_mm_h < wet_from and not bias:
        raise OptionsError(f"max_rate {law.max_mm_h:g} is below wet_from {wet_from:g}: nothing would count as wet")


def _limit_text(max_mm_h: float | None) -> str:
    return "" if max_mm_h is None else f", at most {max_mm_h:g} mm/h"


def rain_frame(frame: Frame, law: Law | tuple[float, float] = KMA_LAW, *, factor: float | None = None) -> Frame:
    """Return a frame of rain rate in steps of 0.01 mm/h, as KMA packs its own HSP.

    Undetect and blends of it become 0 mm/h, nodata stays nodata. Every echo is the nearest step to the law's rate; a
    rate above 327.67 mm/h (63.2 dBZ by KMA's law, hail) does not fit, is packed as that, and is counted in the tag
    ``COUNT_CLIPPED``. Frames of rain rate (HSP) are made clean, and are taken as they are; negative noise is 0.

    A limit of the law holds for both, and comes before the factor: the tag ``COUNT_AT_MAX_RATE`` counts the cells that
    had as much or more, and also those at the highest rate that KMA stores in HSP, where there is a limit or a factor.

    Args:
        frame: Of reflectivity or rain rate; pixels of any window.
        law: How the rate follows from reflectivity, or A and B of it; rain rates do not need it.
        factor: Of a bias; each rate, cut to the law's limit, is multiplied by it.

    Raises:
        FrameError: The frame holds something else, or rain that a factor was applied to.
        OptionsError: The law is none, or the factor no number above 0.
    """
    law = as_law(law)
    if frame.quantity.name not in ("reflectivity", "rain_rate"):
        raise FrameError("no rain", "reflectivity or rain rate", frame.quantity.name, frame.name)
    text = law_text(frame.quantity, dict(frame.derived).get("RAIN_LAW"), law)
    if factor is not None:
        refuse_adjusted(frame)
        try:
            usable = 0 < factor < math.inf
        except TypeError:  # a text, perhaps
            usable = False
        if not usable:
            raise OptionsError(f"factor {factor!r}: expected a number above 0")
    if frame.quantity.is_rain and factor is None and law.max_mm_h is None:
        if "RAIN_LAW" in dict(frame.derived):
            return frame.clean()
        return replace(frame.clean(), derived=(*frame.derived, ("RAIN_LAW", text)))
    packed, clips, most = _table(frame.quantity, law, 1.0 if factor is None else factor)
    stored = packed[frame.stored.view(np.uint16)]
    clipped = int(np.count_nonzero(frame.stored >= clips)) if clips <= _LARGEST else 0
    derived = {
        **dict(frame.derived),
        "RAIN_LAW": text,
        "COUNT_CLIPPED": str(clipped) if clipped else "",
        "COUNT_AT_MAX_RATE": str(np.count_nonzero(frame.stored >= most)) if most is not None else "",
        "BIAS_FACTOR": "" if factor is None else f"{factor:.9g}",
    }
    return replace(
        frame,
        stored=stored,
        quantity=RAIN,
        cleaned=True,
        derived=tuple((name, value) for name, value in derived.items() if value),
    )


def refuse_adjusted(frame: Frame) -> None:
    """Refuse rain that a factor was applied to: another would count the gauges twice.

    Raises:
        FrameError: It is.
    """
    derived = dict(frame.derived)
    if "BIAS_FACTOR" in derived or "BIAS_SOURCE" in derived:
        found = f"rain adjusted by {derived.get('BIAS_SOURCE', 'a factor')}"
        raise FrameError("adjusted twice", "rain without a bias", found, frame.name)


def rates_of(physical: NDArray[np.float64], quantity: Quantity, law: Law) -> NDArray[np.float64]:
    """Return the rain rate [mm/h] of physical values of reflectivity or rain rate, not limited; noise of rain is 0."""
    if quantity.is_rain:
        return np.maximum(physical, 0)
    with np.errstate(over="ignore"):
        rates: NDArray[np.float64] = (10 ** (physical / 10) / law.a) ** (1 / law.b)
    return rates


@lru_cache(maxsize=8)
def _table(quantity: Quantity, law: Law, factor: float) -> tuple[NDArray[np.int16], int, int | None]:
    """Return the packed rate of each int16, looked up by its bits, and two stored values.

    They are the first that does not fit, and the first with the highest rate that is allowed, None for no limit.
    """
    every = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
    classes = clean_values(every, quantity)
    echo = every >= quantity.echo_from
    rates = rates_of((every.astype(np.float64) - quantity.minus) / quantity.scale, quantity, law)
    most = quantity.cap
    if law.max_mm_h is not None:
        reached = every[(rates >= law.max_mm_h) & echo]
        most = min([int(reached[0]) if reached.size else _LARGEST + 1, *([] if most is None else [most])])
        rates = np.minimum(rates, law.max_mm_h)
    steps = np.floor(rates * factor * RAIN.scale + 0.5)
    packed = np.minimum(steps, _LARGEST)
    packed[classes == quantity.undetect] = RAIN.undetect
    packed[classes == quantity.nodata] = RAIN.nodata
    too_much = every[(steps > _LARGEST) & echo]
    clips = int(too_much[0]) if too_much.size else _LARGEST + 1
    return np.roll(packed.astype(np.int16), 1 << 15), clips, most  # int16 counts from -32768, its bits from 0
