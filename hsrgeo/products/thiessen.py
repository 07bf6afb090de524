"""Thiessen polygons of gauges: the places that are nearer to a gauge than to any other."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray

from hsrgeo.errors import needs
from hsrgeo.model.grid import Grid
from hsrgeo.model.window import BBox
from hsrgeo.products.interpolate import EXTRA, Floats, Network
from hsrgeo.products.places import outline

_STEP_M = 1000.0
# ^ longest piece of an edge: straight in the projection, it is an arc in degrees, and stays within 0.1 m of one
_DIGITS = 7  # of degrees: a centimetre
_GEOD = pyproj.Geod(ellps="WGS84")  # areas are those on the ground: on the map of Korea they are 4 % less


def thiessen_geojson(gauges: Network, whole: Grid, box: BBox | None = None) -> bytes:
    """Return GeoJSON features: a polygon for each place that has one in a box.

    Polygons end at the edge of the grid, and at the edges of the box, which are parallels and meridians.

    Raises:
        MissingExtraError: shapely is not installed.
    """
    shapely = _shapely()
    names: dict[int, list[str]] = {}
    for name, place in zip(gauges.names, gauges.place.tolist(), strict=True):
        if place >= 0:
            names.setdefault(place, []).append(name)
    frame = shapely.box(*whole.bounds)
    cut = frame if box is None else shapely.Polygon(np.column_stack(whole.project(*_edges(box))))
    cells = [frame]
    if len(gauges.xy) > 1:
        points = shapely.multipoints(gauges.xy)
        cells = list(shapely.get_parts(shapely.voronoi_polygons(points, extend_to=frame, ordered=True)))
    features = []
    for place, cell in enumerate(cells):
        piece = shapely.intersection(shapely.intersection(cell, frame), cut)
        if piece.area > 0:
            features.append(_feature(shapely, whole, names[place], gauges.xy[place], piece))
    document = {"type": "FeatureCollection", "features": features}
    return (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _edges(box: BBox) -> tuple[Floats, Floats]:
    """Return longitudes and latitudes along the edges of a box: a parallel is an arc on the grid."""
    lat, lon = outline(box.east - box.west, box.north - box.south, box.west, box.south)
    return lon, lat


def _feature(shapely: Any, grid: Grid, names: list[str], xy: Floats, piece: Any) -> dict[str, Any]:  # noqa: ANN401
    # A box cut by a straight border may have several pieces: its northern edge is an arc.
    parts = shapely.get_parts(shapely.orient_polygons(shapely.segmentize(piece, _STEP_M)))
    rings = [_degrees(grid, shapely.get_coordinates(part.exterior)) for part in parts if part.area > 0]
    polygons = [[np.round(np.column_stack(ring), _DIGITS).tolist()] for ring in rings]
    gauge_lon, gauge_lat = _degrees(grid, xy.reshape(1, 2))
    return {
        "type": "Feature",
        "properties": {
            "name": " + ".join(names),
            "lon": round(float(gauge_lon[0]), _DIGITS),
            "lat": round(float(gauge_lat[0]), _DIGITS),
            "area_km2": round(sum(abs(_GEOD.polygon_area_perimeter(*ring)[0]) for ring in rings) / 1e6, 3),
        },
        "geometry": {
            "type": "Polygon" if len(polygons) == 1 else "MultiPolygon",
            "coordinates": polygons[0] if len(polygons) == 1 else polygons,
        },
    }


def _degrees(grid: Grid, xy: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t = grid.transform
    return grid.lonlat((xy[:, 1] - t.f) / t.e - 0.5, (xy[:, 0] - t.c) / t.a - 0.5)


def _shapely() -> Any:  # noqa: ANN401 - a module without types
    with needs("shapely, to make polygons", EXTRA):
        import shapely  # noqa: PLC0415 - an optional extra
    return shapely
