"""The code of a CRS in a register, such as EPSG:5179."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyproj

_SURE = 100  # per cent: a CRS that merely resembles EPSG's is not EPSG's


def code_of(crs: pyproj.CRS) -> str | None:
    """Return the code ("EPSG:5179") that a CRS names itself, or else by which PROJ surely knows it; None without one.

    Asking PROJ takes up to 65 ms; it wants equal names too, and releases of EPSG differ in names.
    """
    identifier = crs.to_json_dict().get("id")
    if identifier:
        return f"{identifier['authority']}:{identifier['code']}"
    authority = crs.to_authority(min_confidence=_SURE)
    return ":".join(authority) if authority else None
