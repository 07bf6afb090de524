"""One way between WGS 84 and another CRS for a whole grid or geometry, and none where PROJ knows no shift of datum."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from hsrgeo.errors import OptionsError

if TYPE_CHECKING:
    import pyproj

KOREA = (127.0, 37.0)
"""Longitude and latitude of the middle of South Korea [degrees]."""
_HALF_DEGREES = 0.1
_BALLPARK = "Ballpark geographic offset"  # PROJ's word for taking degrees of one datum for those of another
_WGS84_AXIS_M, _WGS84_FLATTENING = 6378137.0, 298.257223563
_SAME_AXIS_M, _SAME_FLATTENING = 1.0, 0.001
# ^ GRS 80 differs by 0.1 mm; the next ellipsoids by 100 m and more


def from_wgs84(crs: pyproj.CRS, lonlat: tuple[float, float] = KOREA) -> pyproj.Transformer:
    """Return the transformer from WGS 84 degrees (longitude, latitude) to a CRS that is the best around a place.

    PROJ may know several ways between two datums, and would choose anew for each point: Korean 1985 would jump by 300 m
    beyond South Korea. One way serves everything without a seam. `lonlat` is where it must be good [degrees].

    Raises:
        OptionsError: PROJ cannot transform to it, or knows no shift between its datum and WGS 84. In Korea that leaves
            an error of about 300 to 450 m for Bessel 1841. A CRS on a sphere is taken: its degrees are those of WGS 84,
            as in KMA's older composites and in weather models.
    """
    from pyproj.exceptions import ProjError  # noqa: PLC0415 - see `hsrgeo.model.grid`
    from pyproj.transformer import AreaOfInterest, TransformerGroup  # noqa: PLC0415

    lon, lat = lonlat
    area = AreaOfInterest(lon - _HALF_DEGREES, lat - _HALF_DEGREES, lon + _HALF_DEGREES, lat + _HALF_DEGREES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ways that need files which are not there
            ways = TransformerGroup("EPSG:4326", crs, always_xy=True, area_of_interest=area).transformers
    except ProjError as error:
        raise OptionsError(f"PROJ cannot transform WGS 84 to {crs.name}: {error}") from error
    if not ways:
        raise OptionsError(f"PROJ cannot transform WGS 84 to {crs.name}: it knows no way")
    best = ways[0]
    if _BALLPARK in best.description and not _is_near_wgs84(crs):
        body = crs.ellipsoid.name if crs.ellipsoid is not None else "an unknown body"
        raise OptionsError(
            f"{crs.name}: PROJ knows no shift between its datum (on {body}) and WGS 84, so that it would be off by "
            "hundreds of metres: give it an EPSG code, such as EPSG:5174 for Korean 1985, or +towgs84"
        )
    return best


def _is_near_wgs84(crs: pyproj.CRS) -> bool:
    """Tell whether degrees of a CRS are those of WGS 84: on an ellipsoid like it, or on a sphere by convention."""
    body = crs.ellipsoid
    if body is None:
        return False
    if not body.inverse_flattening:
        return True
    same_axis = abs(body.semi_major_metre - _WGS84_AXIS_M) < _SAME_AXIS_M
    return same_axis and abs(body.inverse_flattening - _WGS84_FLATTENING) < _SAME_FLATTENING
