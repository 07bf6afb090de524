"""An ODIM file against the frame that it was made from."""

from __future__ import annotations

from datetime import UTC, timedelta

import numpy as np
from numpy.typing import NDArray

from hsrgeo.engine.verify.findings import Finding, Findings, differ
from hsrgeo.formats.odim import OdimImage, read_odim
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import Quantity

_MOST_APART_M = 1e-3
_NAMES = {"reflectivity": ("DBZH", 1), "rain_rate": ("RATE", 1), "height": ("HGHT", 1000)}
"""ODIM's name of a quantity (ODIM_H5 2.4, table 16), and hsrgeo's units in one of ODIM's: HGHT is in kilometres."""


def restored(image: OdimImage, quantity: Quantity, units: float) -> NDArray[np.int16]:
    """Return the pixels of an image as hsrgeo stores them."""
    physical = (image.stored * image.gain + image.offset) * units
    steps = np.rint(physical * quantity.scale + quantity.minus)
    steps[image.stored == image.undetect] = quantity.undetect
    steps[image.stored == image.nodata] = quantity.nodata
    stored: NDArray[np.int16] = steps.astype(np.int16)
    return stored


def odim_differences(data: bytes, part: Frame) -> tuple[NDArray[np.int16] | None, Findings]:
    """Return the pixels of a file, None where there is more than one image, and what else differs.

    Raises:
        FrameError: It is no ODIM composite.
    """
    images = read_odim(data, "")
    name, units = _NAMES[part.quantity.name]
    pixels = restored(images[0], part.quantity, units) if len(images) == 1 else None
    return pixels, _differences(images, name, part)


def _differences(images: list[OdimImage], name: str, part: Frame) -> Findings:
    yield from differ("images", 1, len(images))
    image = images[0]
    start = part.time.astimezone(UTC)
    yield from differ("quantity", name, image.quantity)
    yield from differ("time", start, image.time)
    yield from differ("start", start, image.start)
    if not timedelta(minutes=5) <= image.end - start <= timedelta(minutes=10):
        yield Finding("end", "5 or 10 minutes later", image.end)
    found, expected = (np.array(grid.bounds) for grid in (image.grid, part.grid))
    if np.abs(found - expected).max() > _MOST_APART_M:
        yield Finding("edges (left, bottom, right, top)", expected.tolist(), found.tolist())
