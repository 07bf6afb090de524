"""Names of the files that hsrgeo writes beside its outputs, in OUT."""

from __future__ import annotations

MANIFEST = "manifest.jsonl"
"""A line a frame: what became of it, and its files."""
OPTIONS = "options.json"
"""The recipe of the outputs."""
UNFINISHED = "unfinished.jsonl"
"""While a run goes on, and after a kill: the files that it moves or removes, before or after the lines on them."""
COLLECTION = "collection.json"
"""Of `hsrgeo stac`."""
ITEMS, PARQUET = "items", "items.parquet"
"""Of `hsrgeo stac`, with the collection: a folder or a table."""
PROJECT = "hsrgeo.qgz"
"""Of `hsrgeo qgis`."""
COAST = "hsrgeo-coast.geojson"
"""Lines of the coast and of borders, shown by the project."""
STACK = "stack.vrt"
"""Of `hsrgeo vrt`."""
PAGE, PAGE_FOLDER = "index.html", "view"
"""Of `hsrgeo view`, with what the page reads."""
STATUS = "status.json"
"""Of `hsrgeo watch`: what came of its last round."""
LATEST = "latest"
"""Likewise: the newest frame, ``latest.tif`` and so on, and ``latest.json``, which tells of it."""
LATEST_PROJECT = "latest.qgz"
"""Likewise: a QGIS project of it."""
CUBE_SUFFIXES = (".nc", ".zarr")
"""Of `hsrgeo cube`."""
LISTS = ("train.csv", "validation.csv", "test.csv")
"""Of `hsrgeo split`."""
NAMES = frozenset(
    (
        MANIFEST,
        OPTIONS,
        UNFINISHED,
        COLLECTION,
        ITEMS,
        PARQUET,
        PROJECT,
        COAST,
        STACK,
        PAGE,
        PAGE_FOLDER,
        STATUS,
        *LISTS,
    )
)


def is_reserved(part: str) -> bool:
    """Tell whether Windows opens something else than a file or folder of this name: a device, or one of another end."""
    return part.partition(".")[0].strip().lower() in _DEVICES or part.endswith((".", " "))


_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
