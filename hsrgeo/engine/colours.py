"""What gives the colours of an output folder: an option of the user, or what suits each quantity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hsrgeo.errors import OptionsError
from hsrgeo.outputs.stacks import Stack
from hsrgeo.products.classes import CLASSED, By
from hsrgeo.products.palettes import Palette, grey_palette, palette_of, station_palette
from hsrgeo.products.rain import Law
from hsrgeo.sources.remote import Place


def chosen(law: Law | None, palette: Palette | str | Path | None, stacks: Sequence[Stack], out: Place) -> By:
    """Return what a user chose.

    Raises:
        OptionsError: A law and a palette; a law without reflectivity; a palette without anything in its unit, or wrong.
    """
    if law is not None and palette is not None:
        raise OptionsError("zr and palette both colour reflectivity: give one of them")
    if law is not None and not any(stack.quantity.name == "reflectivity" for stack in stacks):
        raise OptionsError(f"{out} contains no reflectivity: zr does not apply")
    if palette is None:
        return law
    found = palette_of(palette)
    if found.unit and all(stack.quantity.unit != found.unit for stack in stacks):
        units = ", ".join(dict.fromkeys(f"{one.quantity.name} [{one.quantity.unit}]" for one in stacks))
        raise OptionsError(f"{found} is in {found.unit}, and {out} contains {units}")
    return found


def colours_of(stack: Stack, by: By = None) -> By:
    """Return what gives a stack its colours: the user's choice where it is for its unit, else what suits it."""
    if isinstance(by, Palette) and by.unit in ("", stack.quantity.unit):
        return by
    radars = stack.glance.tags.get("STATIONS", "")
    if stack.quantity.name == "station" and radars:
        return station_palette(radars.split(","))
    if stack.quantity.name not in CLASSED:
        return grey_palette(stack.limits, stack.quantity.gain)
    return by if isinstance(by, Law) else None
