"""What other commands write beside the outputs of an export."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hsrgeo.engine.export.manifest import kept_recipe
from hsrgeo.engine.recipe import recipe_from_json
from hsrgeo.errors import ManifestError
from hsrgeo.gis.project import is_own
from hsrgeo.sources.catalogs import COLLECTION

PROJECT = "hsrgeo.qgz"
"""Of `hsrgeo qgis`."""
ITEMS, PARQUET = "items", "items.parquet"
"""Of `hsrgeo stac`, with the collection."""


def made_beside(out: Path) -> Iterator[Path]:
    """Yield the project, stacks, styles and catalogue of an output folder; not a project that somebody worked on."""
    regions = {""}
    with suppress(ManifestError, KeyError, TypeError, ValueError):
        regions |= {cut.region for cut in recipe_from_json(kept_recipe(out) or {}).cuts}
    for region in regions:
        yield from sorted((out / region).glob("stack*.vrt"))
        yield from sorted((out / region).glob("stack*.qml"))
    for pattern in ("style-*.qml", "style-*.sld", "legend-*.svg", f"{ITEMS}/*.json", PARQUET, COLLECTION):
        yield from sorted(out.glob(pattern))
    with suppress(OSError):
        if is_own((out / PROJECT).read_bytes()):
            yield out / PROJECT
