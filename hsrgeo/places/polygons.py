"""Polygons from GeoJSON, GeoPackage, FlatGeobuf and shapefiles: names in any encoding, edges cut short, WGS 84."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from hsrgeo.errors import OptionsError
from hsrgeo.model.texts import first_names
from hsrgeo.places.layers import read_named, refuse_metres, shapely_for
from hsrgeo.places.places import Polygons
from hsrgeo.places.weights import Ring

_STEP_M = 250.0
# ^ longest piece of an edge that is projected as a straight line: the arc that a parallel is here stays within 1 mm
_STEP_DEGREES = 0.0025  # the same, of a CRS in degrees
_MOST_PIECES = 2_000_000  # of the edges of a polygon: 500,000 km; a corner that is far away would fill the memory
_MOST_IN_ALL = 5 * _MOST_PIECES  # of all polygons


def read_polygons(
    path: str | Path | Polygons, *, name_field: str | None = None, encoding: str | None = None, as_one: bool = False
) -> Polygons:
    """Read polygons from GeoJSON, GeoPackage, FlatGeobuf or a shapefile.

    Edges are cut short in the file's own CRS, where they are straight, before they are projected. Polygons that cross
    themselves are put right, and noted.

    Args:
        path: The file, of which the first layer is read; or what was read of one.
        name_field: Field that holds the names; None is the one called ``name``, in any case.
        encoding: Of the texts in a shapefile, such as CP949; None believes the file.
        as_one: Whether to make one polygon of them, which overlaps itself nowhere, whatever fields they have.

    Raises:
        MissingExtraError: pyogrio or shapely is not installed.
        OptionsError: Unreadable, without a CRS, a field of names, or a way to know their encoding; a feature that is
            no polygon, has no name, or the name of another one.
    """
    if isinstance(path, Polygons):
        return path
    shapely = shapely_for("polygons")
    layer = read_named(path, "polygon", name_field, encoding, numbered=as_one)
    crs = layer.crs
    step = _STEP_DEGREES if crs.is_geographic else _STEP_M / crs.axis_info[0].unit_conversion_factor
    mended: list[str] = []
    names = layer.names
    shapes = [
        _polygon(shapely, f"{path}, {name!r}", data, mended, name) for name, data in zip(names, layer.wkb, strict=True)
    ]
    if as_one:
        _refuse_tangle(shapely, str(path), shapes)
        names, shapes = ("1",), [shapely.union_all(shapes)]
    rings, pieces = [], 0.0
    for name, shape in zip(names, shapes, strict=True):
        where = f"{path}, {name!r}"
        refuse_metres(where, crs, *shape.bounds[2:])
        if not shape.length / step <= _MOST_PIECES:
            raise OptionsError(f"{where}: its edges are too long for a place, {shape.length:g} units of {crs.name}")
        pieces += shape.length / step
        if pieces > _MOST_IN_ALL:
            raise OptionsError(f"{path}: the edges of its polygons are too long in all; take fewer")
        rings.append(tuple(_rings(shapely, shapely.segmentize(shape, step), layer.transformer)))
    notes = list(layer.notes)
    if mended:
        notes.append(f"polygons that cross themselves, corrected: {len(mended):,} ({first_names(mended)})")
    return Polygons(names, tuple(rings), tuple(notes))


def _polygon(shapely: Any, where: str, data: bytes | None, mended: list[str], name: str) -> Any:  # noqa: ANN401
    """Return a valid polygon or multipolygon."""
    try:
        shape = shapely.from_wkb(data) if data is not None else None
    except shapely.GEOSException as error:  # a ring that is not closed
        raise OptionsError(f"{where}: {error}") from error
    if shape is None or shape.is_empty or shape.geom_type not in ("Polygon", "MultiPolygon"):
        geometry = "nothing" if shape is None or shape.is_empty else shape.geom_type
        raise OptionsError(f"{where}: expected a polygon, found {geometry}")
    shape = shapely.force_2d(shape)
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise OptionsError(f"{where}: has corners that are no numbers")
    if not shape.is_valid:
        _refuse_tangle(shapely, where, [shape])
        shape = shapely.make_valid(shape, method="structure")
        mended.append(name)
    if not shape.area:
        raise OptionsError(f"{where}: has no area")
    return shape


def _refuse_tangle(shapely: Any, where: str, shapes: list[Any]) -> None:  # noqa: ANN401
    """Refuse edges that cross too often to be put right: a few kilobytes can have millions of crossings.

    Counted are edges whose boxes meet, for that is quick and never less.
    """
    corners = [shapely.get_coordinates(ring) for ring in shapely.get_rings(_parts(shapely, shapes))]
    pairs = [np.stack([ring[:-1], ring[1:]], axis=1) for ring in corners]
    if (number := sum(map(len, pairs))) > _MOST_EDGES:
        raise OptionsError(f"{where}: expected at most {_MOST_EDGES:,} edges, found {number:,}; simplify it")
    if not number:
        return
    edges = shapely.linestrings(np.concatenate(pairs))
    tree, meeting = shapely.STRtree(edges), 0
    at_once = max(_PAIRS_AT_ONCE // number, 1)
    for first in range(0, number, at_once):
        meeting += tree.query(edges[first : first + at_once]).shape[1]
        if meeting > _MOST_MEETING + _USUAL_MEETING * number:
            raise OptionsError(f"{where}: its {number:,} edges cross too often; simplify it")


_MOST_EDGES = 2_000_000  # of polygons to put right, or to make one of
_MOST_MEETING = 200_000  # with 160,000 a star of 401 corners takes 14 s and 200 MB to put right
_USUAL_MEETING = 12  # of an edge: itself, those before and after it, the same of a neighbour's, and some more
_PAIRS_AT_ONCE = 5_000_000


def _parts(shapely: Any, shapes: Any) -> Any:  # noqa: ANN401
    """Return the polygons of one or several shapes, without a line that mending left."""
    parts = shapely.get_parts(shapely.get_parts(shapes))  # a multipolygon can be beside the line
    return parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]


def _rings(shapely: Any, shape: Any, transformer: pyproj.Transformer) -> Iterator[Ring]:  # noqa: ANN401
    for part in _parts(shapely, shape):
        oriented = shapely.orient_polygons(part)
        for ring in (oriented.exterior, *oriented.interiors):
            x, y = shapely.get_coordinates(ring).T
            yield np.column_stack(transformer.transform(x, y, direction="INVERSE"))
