"""Where a raster lies, for those who know longitude and latitude only: its outline in WGS 84, and its projection."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.errors import ProjectionError
from hsrgeo.model.epsg import code_of

_EDGE_STEPS = 256  # along each edge; the outline keeps every 256th, 128th, ... of them
_TOLERANCE = 0.1  # cells between the outline and the true edge, which is a curve in longitude and latitude
_DIGITS = 7  # of a degree: 1 cm

_Ring = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a raster lies."""

    ring: tuple[tuple[float, float], ...]
    """Longitude and latitude [degrees, WGS 84] of its outline: closed, counterclockwise from the south-west corner."""
    bbox: tuple[float, float, float, float]
    """West, south, east, north [degrees] of the true outline."""
    projection: dict[str, Any]
    """The fields of STAC's projection extension, version 2."""
    resolution_m: float | None
    """Side of a cell in metres; None where the CRS counts in degrees."""


def place_of(wkt: str, transform: Affine, width: int, height: int) -> Place:
    """Return the place of a north-up raster.

    Raises:
        ProjectionError: The raster has no CRS, or its edge has no longitude and latitude.
    """
    if not wkt:
        raise ProjectionError("a raster without a CRS has no place in a catalogue")
    crs = pyproj.CRS.from_wkt(wkt)
    left, top = transform.c, transform.f
    right, bottom = left + transform.a * width, top + transform.e * height
    fine = _outline(crs, (left, bottom, right, top))
    return Place(
        ring=tuple((float(lon), float(lat)) for lon, lat in _thinned(fine, height)),
        bbox=(*map(float, fine.min(axis=0)), *map(float, fine.max(axis=0))),  # type: ignore[arg-type]
        projection={
            **_described(wkt),
            "proj:bbox": [left, bottom, right, top],
            "proj:shape": [height, width],
            "proj:transform": [float(number) for number in transform[:6]],
        },
        resolution_m=None if crs.is_geographic else transform.a * crs.axis_info[0].unit_conversion_factor,
    )


@lru_cache(maxsize=64)  # asking which of EPSG's it is takes 65 ms
def _described(wkt: str) -> dict[str, Any]:
    crs = pyproj.CRS.from_wkt(wkt)
    return {
        "proj:code": code_of(crs),
        "proj:wkt2": crs.to_wkt("WKT2_2019"),
        "proj:projjson": crs.to_json_dict(),
    }


def _outline(crs: pyproj.CRS, bounds: tuple[float, float, float, float]) -> _Ring:
    """Return many points along the edges: (4 * _EDGE_STEPS, 2), counterclockwise, not closed."""
    left, bottom, right, top = bounds
    way = np.arange(_EDGE_STEPS) / _EDGE_STEPS
    stays = np.ones(_EDGE_STEPS)
    x = np.concatenate([left + (right - left) * way, right * stays, right + (left - right) * way, left * stays])
    y = np.concatenate([bottom * stays, bottom + (top - bottom) * way, top * stays, top + (bottom - top) * way])
    ring = np.column_stack(_to_lonlat(crs).transform(x, y))
    if not np.isfinite(ring).all():
        raise ProjectionError(f"the edge of {bounds} in {crs.name} has no longitude and latitude everywhere")
    rounded: _Ring = np.round(ring, _DIGITS)
    return rounded


@lru_cache(maxsize=64)
def _to_lonlat(crs: pyproj.CRS) -> pyproj.Transformer:
    # A datum that is in no register is KMA's sphere, whose degrees are those of WGS 84 (as in hsrgeo.model.grid).
    geodetic = crs.geodetic_crs
    known = geodetic is not None and code_of(geodetic) is not None
    return pyproj.Transformer.from_crs(crs, "OGC:CRS84" if known or geodetic is None else geodetic, always_xy=True)


def _thinned(fine: _Ring, height: int) -> _Ring:
    """Return the closed ring with as few points on each edge as keep it within the tolerance."""
    edges = np.concatenate([fine, fine[:1]])
    tolerance = _TOLERANCE * float(np.ptp(fine[:, 1])) / height
    every = _EDGE_STEPS
    while every > 1 and _error(edges, every) > tolerance:
        every //= 2
    kept: _Ring = edges[::every]
    return kept


def _error(edges: _Ring, every: int) -> float:
    order = np.arange(len(edges))
    straight = [np.interp(order, order[::every], edges[::every, axis]) for axis in (0, 1)]
    return float(np.hypot(*(np.column_stack(straight) - edges).T).max())
