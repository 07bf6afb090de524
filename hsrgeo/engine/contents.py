"""Outputs of hsrgeo as a source: what can be made of them, and notes for the user."""

from __future__ import annotations

from hsrgeo.errors import OptionsError
from hsrgeo.model.file_blocks import Block
from hsrgeo.model.grid import Registration
from hsrgeo.model.quantity import RAIN, Quantity
from hsrgeo.products.cleaning import Cleaning
from hsrgeo.products.rain import KMA_LAW, Law
from hsrgeo.sources.remote import Place


def refuse_for_frames(block: Block, cleaning: Cleaning | None, registration: Registration) -> None:
    """Refuse what can be chosen of frames only."""
    if block != 1:
        raise OptionsError(
            "block, max_height and stations are for frames: what an export or a cube contains was fixed when it was "
            "made"
        )
    if cleaning is not None:
        raise OptionsError("min_dbz, despeckle and smooth are for frames: give them where the export or cube is made")
    refuse_registration(registration)


def refuse_registration(registration: Registration) -> None:
    """Refuse another registration than the default for what was placed already."""
    if registration != "point":
        raise OptionsError("registration is for frames: where a cube or an export lies was fixed when it was made")


def notes_on_contents(
    source: Place, quantity: Quantity, asked: Law, *, made: str, wanted: str = "rain", law: str = ""
) -> list[str]:
    """Return what a user should know of what an export or a cube holds.

    Args:
        source: The export or the cube.
        quantity: That it holds.
        asked: How rain is to follow from reflectivity.
        made: What is made of it, such as ``series``.
        wanted: What the numbers are to be, ``rain`` or ``reflectivity``.
        law: How its rain followed from reflectivity; empty where it is not shown.

    Raises:
        OptionsError: No such numbers can be had of it; it holds rain, and there is another law to make it by.
    """
    found = quantity.name
    if found not in ("reflectivity", "rain_rate") or (wanted == "reflectivity" and found != wanted):
        raise OptionsError(f"{source} contains {found}: no {made} of {wanted} can be made of it")
    if found == "rain_rate" and (asked.a, asked.b) != (KMA_LAW.a, KMA_LAW.b):
        raise OptionsError(f"{source} contains rain already: zr does not apply")
    if quantity != RAIN or quantity.cap is not None:  # HSP holds no more than its frames do
        return []
    how = f" by {law}" if law else ""
    return [f"{source} contains rain{how} in steps of 0.01 mm/h, up to 327.67; frames give it as it is"]


def notes_on_bias(source: Place, bias: str, asked: Law, *, adjust: bool) -> list[str]:
    """Return what a user should know of rain that was adjusted already; empty where it was not adjusted.

    Args:
        source: The export or the cube.
        bias: Name of the table by which its rain was adjusted; an empty text where it was not.
        asked: How rain is to follow from reflectivity, with the highest rate.
        adjust: Whether its rain is to be adjusted now.

    Raises:
        OptionsError: It would be adjusted twice, or limited after it was adjusted.
    """
    if not bias:
        return []
    if adjust or asked.max_mm_h is not None:
        raise OptionsError(
            f"{source} contains rain that was adjusted by {bias} already: give the frames, or no bias, max_rate"
        )
    return [f"{source} contains rain that was adjusted by {bias}"]
