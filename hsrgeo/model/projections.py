"""Where the definitions of the grids and the radars' sites lie."""

from __future__ import annotations

from pathlib import Path

from hsrgeo.errors import HsrGeoError


def projections_dir() -> Path:
    """Return the folder of the grids and of the radar sites: in the package, or beside it in a checkout.

    Raises:
        HsrGeoError: It is missing.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "projections", package.parent / "projections"):  # a wheel, then a checkout
        if folder.is_dir():
            return folder
    raise HsrGeoError(f"the grid definitions are missing: no projections/ in {package} nor beside it")
