"""What other commands write beside the outputs of an export."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hsrgeo.errors import ManifestError
from hsrgeo.gis.project import is_own
from hsrgeo.gis.view.files import MARK, OWN_INDEX, page_files
from hsrgeo.outputs.kept_recipe import kept_recipe
from hsrgeo.outputs.names import COAST, COLLECTION, ITEMS, PAGE, PAGE_FOLDER, PARQUET, PROJECT
from hsrgeo.outputs.recipe import recipe_from_json
from hsrgeo.products.classes import CLASSED
from hsrgeo.sources.texts import read_regular
from hsrgeo.writers.tags import LICENCE

OWN_ITEM = re.compile(r"[^/]+-\d{8}T\d{4}Z(-[^/]+)?\.json")
"""Name of an item in that folder."""


def made_beside(out: Path) -> Iterator[Path]:
    """Yield the project, stacks, styles, catalogue and page of an output folder; not what somebody else put there."""
    regions = {""}
    with suppress(ManifestError, ValueError):
        regions |= {cut.region for cut in recipe_from_json(kept_recipe(out) or {}).cuts}
    for region in regions:
        for stack in sorted((out / region).glob("stack*.vrt")):
            if _tells_licence(stack):
                yield stack
                yield from stack.parent.glob(f"{stack.stem}.qml")
    for quantity in CLASSED:
        for name in (f"style-{quantity}.qml", f"style-{quantity}.sld", f"legend-{quantity}.svg"):
            yield from out.glob(name)
    yield from (path for path in sorted(out.glob(f"{ITEMS}/*.json")) if OWN_ITEM.fullmatch(path.name))
    yield from out.glob(PARQUET)
    if _holds(out / PAGE, MARK):
        yield out / PAGE
        yield from (out / path for path in page_files() if path != PAGE)
        yield from (path for path in sorted((out / PAGE_FOLDER).glob("*.json")) if OWN_INDEX.fullmatch(path.name))
    if _tells_licence(out / COLLECTION):
        yield out / COLLECTION
    with suppress(OSError):
        if is_own(read_regular(out / PROJECT)):
            yield out / PROJECT
            yield from out.glob(COAST)


def _tells_licence(path: Path) -> bool:
    """Tell whether a file is hsrgeo's: each names the source of the data in the same words."""
    return _holds(path, LICENCE.encode())


def _holds(path: Path, mark: bytes) -> bool:
    try:
        return mark in read_regular(path)
    except OSError:
        return False
