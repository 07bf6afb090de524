"""A cube on disk, opened to be read chunk by chunk as it is packed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.cube.cf import absent_times, grid_of, quantity_of, times_of
from hsrgeo.cube.extra import DAMAGE, need
from hsrgeo.cube.reference import SUFFIXES
from hsrgeo.cube.shards import Shards, shards_of
from hsrgeo.errors import OptionsError, SourceError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.times import FRAME_STEP, KST
from hsrgeo.products.rain import Law, law_text
from hsrgeo.sources.found import Tally
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.sources.select import Selection


@dataclass(frozen=True, eq=False)
class OpenCube:
    """What a cube holds, and its values when they are asked for."""

    path: Place
    layout: str
    """``map`` or ``series``; ``reference`` where each time is a frame somewhere else."""
    product: str
    quantity: Quantity
    grid: Grid
    times: tuple[datetime, ...]
    """UTC, increasing."""
    missing: tuple[datetime, ...]
    """Times that have no values: those that should be there and are not, and those that were left out as dry."""
    step: timedelta
    """Interval between times."""
    min_wet: float
    """See `ExportOptions.min_wet`."""
    law: str
    """How rain followed from reflectivity, where the cube holds rain; else empty."""
    synthetic: bool
    chunk: tuple[int, int, int]
    """Times, rows and columns of what can only be read as a whole."""
    values: Any
    """The variable: shape (times, rows, columns), read when it is indexed."""
    shards: Shards | None
    """Files that can be read without zarr."""

    def read(self, times: slice, rows: slice, cols: slice) -> NDArray[np.int16]:
        """Return packed values, shape (times, rows, columns), row 0 is the north row.

        Raises:
            SourceError: They cannot be read, or are not there.
        """
        try:
            if self.shards:
                return self.shards.read((times, rows, cols))
            block: NDArray[np.int16] = self.values[times, rows, cols].values
        except (*DAMAGE, SourceError) as error:
            if isinstance(error, SourceError) and self.path.suffix.lower() != ".nc":
                raise  # it says which file of a store is lost
            reason = error.problem if isinstance(error, SourceError) else str(error) or type(error).__name__
            raise SourceError(str(self.path), f"cannot be read at {self.times[times.start]}: {reason}") from error
        return block

    def wanted(self, selection: Selection, tally: Tally) -> Iterator[tuple[int, FrameName]]:
        """Yield number and name of each time that is wanted; the others are counted."""
        for number, moment in enumerate(self.times):
            frame_name = FrameName(self.product, "", moment.astimezone(KST))
            if selection.wants(frame_name):
                yield number, frame_name
            else:
                tally.leave_out(frame_name)

    def refuse_product(self, selection: Selection) -> None:
        """Refuse another product than the cube has."""
        if selection.product is not None and selection.product.upper() != self.product:
            raise OptionsError(f"product {selection.product}: {self.path} contains {self.product}")


@contextmanager
def opened_cube(path: Place, layouts: tuple[str, ...]) -> Iterator[OpenCube]:
    """Open a cube that hsrgeo made, ``.zarr`` or ``.nc``, or a reference; it is closed at the end.

    `layouts` says which is liked best, of a cube that holds both.

    Raises:
        MissingExtraError: A library of the extra is not installed.
        SourceError: It cannot be opened, or is not a cube made by hsrgeo.
    """
    if path.suffix.lower() in SUFFIXES:
        yield _referred(path)
        return
    for module in ("xarray", "netCDF4" if path.suffix.lower() == ".nc" else "zarr"):
        need(module)
    from hsrgeo.cube.stored import layouts_in, packed_cube, values_name  # noqa: PLC0415 - needs the extra

    there = [] if path.suffix.lower() == ".nc" else layouts_in(path)
    liked = next((layout for layout in layouts if layout in there), None)
    with packed_cube(path, liked, chunks=None) as dataset:
        name = values_name(dataset, path)
        shards = None
        if not isinstance(path, RemotePath):
            shards = shards_of(path, (path / liked if liked else path) / name)
        yield _opened(path, dataset, dataset.variables[name], shards)


def _opened(path: Place, dataset: Any, values: Any, shards: Shards | None) -> OpenCube:  # noqa: ANN401 - of xarray
    try:
        recipe = json.loads(dataset.attrs.get("hsrgeo_recipe", "{}"))
        quantity = quantity_of(values.attrs)
        missing = absent_times(dataset, "missing_times") + absent_times(dataset, "dry_times")
        return OpenCube(
            path=path,
            layout=str(dataset.attrs["layout"]),
            product=str(dataset.attrs["product"]),
            quantity=quantity,
            grid=grid_of(dataset),
            times=tuple(times_of(dataset["time"].values)),
            missing=tuple(missing),
            step=_step(recipe),
            min_wet=float(recipe.get("min_wet", 0)),
            law=_law(recipe, quantity),
            synthetic=str(dataset.attrs.get("title", "")).startswith("SYNTHETIC"),
            chunk=values.encoding.get("chunks") or values.encoding.get("chunksizes") or values.shape,
            values=values,
            shards=shards,
        )
    except (*DAMAGE, OptionsError) as error:
        raise SourceError(str(path), f"is not a cube made by hsrgeo: {error!r}") from error


def _referred(path: Place) -> OpenCube:
    for module in ("xarray", "zarr"):
        need(module)
    from hsrgeo.cube.referred import packed_reference  # noqa: PLC0415 - needs the extra

    dataset, name = packed_reference(path)
    return replace(_opened(path, dataset, dataset.variables[name], None), layout="reference")


def _law(recipe: dict[str, Any], quantity: Quantity) -> str:
    if "zr" not in recipe:
        return ""
    law = Law(*recipe["zr"])
    return str(law) if quantity.cap is None else law_text(quantity, None, law)  # that of HSP is as KMA made it


def _step(recipe: dict[str, Any]) -> timedelta:
    step = timedelta(minutes=recipe["step_minutes"]) if "step_minutes" in recipe else FRAME_STEP
    if step <= timedelta(0) or timedelta(days=1) % step:
        raise ValueError(f"its step of {step} does not divide a day")
    return step
