"""Thiessen polygons of a list of gauges, as GeoJSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hsrgeo.engine.areas import asked_window
from hsrgeo.errors import OptionsError
from hsrgeo.model.grid_catalog import MAIN_GRID, grids
from hsrgeo.model.window import BBox, as_bbox
from hsrgeo.places.places import Points, read_points
from hsrgeo.products.interpolate import network
from hsrgeo.products.thiessen import thiessen_geojson
from hsrgeo.sources.remote import local
from hsrgeo.writers.files import write_file

_SUFFIXES = (".geojson", ".json")


@dataclass(frozen=True, slots=True)
class ThiessenPolygons:
    """What came of it."""

    path: Path
    gauges: int
    """Places that the polygons are of."""
    notes: list[str] = field(default_factory=list)
    """What a user should know, such as gauges outside the grid."""


def thiessen_polygons(
    gauges: str | Path | Points,
    out: str | Path,
    *,
    bbox: BBox | tuple[float, float, float, float] | None = None,
    grid: str = MAIN_GRID,
    encoding: str | None = None,
) -> ThiessenPolygons:
    """Write the Thiessen polygon of every gauge: name, place, and area on the ground [km2].

    The file is one that `hsrgeo series --polygons` reads. Distances are those of the grid's projection.

    Args:
        gauges: CSV file with name, lon and lat, or what was read of one.
        out: The file, ``.geojson`` or ``.json``, in degrees; what is there already is replaced.
        bbox: (west, south, east, north) [degrees]: polygons end at its edges. None is the whole grid.
        grid: Name of the composites' grid.
        encoding: Of a CSV that is not UTF-8, such as CP949.

    Raises:
        OptionsError: Gauges that cannot be read, none on the grid; a box outside it; another suffix.
        MissingExtraError: shapely is not installed.
        WriteError: The disk refused.
    """
    path = local(out, "hsrgeo gauges")
    if path.suffix.lower() not in _SUFFIXES:
        raise OptionsError(f"{out}: polygons end in .geojson, not in {path.suffix!r}")
    if grid not in grids():
        raise OptionsError(f"grid {grid!r} is not known: expected one of {', '.join(grids())}")
    whole, notes = grids()[grid], list[str]()
    points = read_points(gauges, encoding)
    notes += points.notes
    placed = network(points.names, points.lonlat, whole)
    if outside := placed.outside:
        notes.append(f"gauges outside {grid}, without a polygon: {len(outside):,} ({', '.join(outside)})")
    if shared := placed.shared:
        notes.append(f"gauges at the same place, which share a polygon: {len(shared):,} ({', '.join(shared)})")
    if not len(placed.xy):
        raise OptionsError(f"no gauge lies on the grid {grid}")
    box = None if bbox is None else as_bbox(bbox)
    notes += asked_window(whole, box)[1]
    write_file(path, thiessen_geojson(placed, whole, box))
    return ThiessenPolygons(path, len(placed.xy), notes)
