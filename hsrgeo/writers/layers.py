"""Exported COGs read back as layers of an array: a window at a time, and what they say about themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.errors import ReadbackError


@dataclass(frozen=True, slots=True)
class CogFacts:
    """What a COG says about itself."""

    wkt2: str
    transform: Affine
    width: int
    height: int
    tags: dict[str, str]


def cog_facts(path: Path) -> CogFacts:
    """Return what a COG says about itself."""
    with _opened(path) as dataset:
        return _facts(dataset)


def read_cog(path: Path, rows: slice, cols: slice, like: CogFacts) -> NDArray[np.int16]:
    """Return stored values of a window of a COG, shape (rows, columns), row 0 is the north row.

    Its grid and quantity must be those of another COG, `like`.

    Raises:
        ReadbackError: GDAL cannot read it, or it holds something else.
    """
    from rasterio.windows import Window  # noqa: PLC0415 - see _opened

    with _opened(path) as dataset:
        if dataset.dtypes[0] != "int16":
            raise ReadbackError(str(path), f"expected int16, found {dataset.dtypes[0]}")
        _check_like(path, _facts(dataset), like)
        top, bottom, down = rows.indices(dataset.height)
        left, right, across = cols.indices(dataset.width)
        values: NDArray[np.int16] = dataset.read(1, window=Window(left, top, right - left, bottom - top))
        return values[::down, ::across]


def _facts(dataset: Any) -> CogFacts:  # noqa: ANN401 - of rasterio
    wkt2 = dataset.crs.to_wkt(version="WKT2_2019") if dataset.crs else ""
    return CogFacts(wkt2, Affine(*dataset.transform[:6]), dataset.width, dataset.height, dataset.tags())


def _check_like(path: Path, facts: CogFacts, like: CogFacts) -> None:
    if dataclasses.replace(facts, tags={}) != dataclasses.replace(like, tags={}):
        problem = f"expected {_grid_text(like)}, as the first, found {_grid_text(facts)}"
        raise ReadbackError(str(path), f"another grid: {problem}")
    for tag in ("QUANTITY", "UNDETECT", "VALUES"):
        if facts.tags.get(tag) != like.tags.get(tag):
            problem = f"expected {like.tags.get(tag)}, as the first, found {facts.tags.get(tag)}"
            raise ReadbackError(str(path), f"another {tag.lower()}: {problem}")


def _grid_text(facts: CogFacts) -> str:
    t = facts.transform
    return f"{facts.width} x {facts.height} cells of {t.a:g} from {t.c:g}, {t.f:g}"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import rasterio  # noqa: PLC0415 - only where it reads

    from hsrgeo.writers.environment import opened_raster  # noqa: PLC0415

    try:
        with opened_raster(path) as dataset:
            yield dataset
    except rasterio.errors.RasterioError as error:
        raise ReadbackError(str(path), f"GDAL cannot read it: {error.__cause__ or error}") from error
