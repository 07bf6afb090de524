"""Where a cube lies, in the words of GeoZarr's conventions ``proj`` and ``spatial``, for viewers that know no CF.

They belong to a group of Zarr and hold for the arrays in it. `hsrgeo.open` leaves them out: they would be wrong once
rows or columns were selected, and NetCDF has no attributes that are records.

References:
    zarr-conventions/proj, v0.1; zarr-conventions/spatial, v0.1; both name themselves in ``zarr_conventions``.
"""

from __future__ import annotations

from typing import Any

from hsrgeo.model.grid import Grid

_CONVENTIONS = (
    ("proj", "f17cb550-5864-4468-aeb7-f3180cfb622f", "Coordinate reference system information for geospatial data"),
    ("spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "Spatial coordinate information"),
)


def geozarr_attrs(grid: Grid) -> dict[str, Any]:
    """Return the attributes of a group whose arrays lie on a grid."""
    t = grid.transform
    projjson = grid.crs.to_json_dict()
    # proj4js takes a code in there for that of the whole, and OpenLayers then places KMA's conic in degrees. It also
    # stops at a ``proj:code`` that it does not know, so that there is none: WKT and PROJJSON name it where one is.
    projjson.get("base_crs", {}).pop("id", None)
    return {
        "zarr_conventions": [
            {
                "schema_url": f"https://raw.githubusercontent.com/zarr-conventions/{name}/refs/tags/v0.1/schema.json",
                "spec_url": f"https://github.com/zarr-conventions/{name}/blob/v0.1/README.md",
                "uuid": uuid,
                "name": name,
                "description": description,
            }
            for name, uuid, description in _CONVENTIONS
        ],
        "proj:wkt2": grid.wkt2,
        "proj:projjson": projjson,
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": [float(part) for part in t[:6]],
        "spatial:shape": [grid.height, grid.width],
        "spatial:bbox": [t.c, t.f + t.e * grid.height, t.c + t.a * grid.width, t.f],
        "spatial:registration": "pixel",
    }


def without_geozarr(attrs: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a group without those of these conventions."""
    return {name: value for name, value in attrs.items() if not name.startswith(_OWN)}


_OWN = ("zarr_conventions", "proj:", "spatial:")
