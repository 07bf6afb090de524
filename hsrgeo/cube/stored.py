"""Arrays that hsrgeo made before: cubes, and folders of exported COGs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hsrgeo.cube.axis import missing_between
from hsrgeo.cube.backend import ABSENT, missing_variable, packed_dataset, packed_undetect
from hsrgeo.cube.cf import absent_times, dataset_attrs, grid_of, physical, quantity_of, times_of, values_attrs
from hsrgeo.cube.extra import DAMAGE, need
from hsrgeo.cube.geozarr import without_geozarr
from hsrgeo.cube.netcdf_allowed import open_netcdf
from hsrgeo.cube.single import single, times_in_chunk
from hsrgeo.cube.stack import BrokenFrameWarning, warn_of_left_out
from hsrgeo.errors import ManifestError, OptionsError, ReadbackError, SourceError
from hsrgeo.formats.names import FrameName, preference
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity, dry_values, made_clean, quantity_of_tags
from hsrgeo.model.times import export_step
from hsrgeo.outputs.folder import exported_frames
from hsrgeo.products.making import Values
from hsrgeo.sources.remote import Place
from hsrgeo.writers.layers import CogFacts, cog_facts, read_cog

if TYPE_CHECKING:
    from hsrgeo.cube.opening import View


def open_cube(path: Place, view: View) -> xr.Dataset:
    """Open a cube, see `hsrgeo.open`.

    Raises:
        SourceError: It cannot be opened, or is no cube of hsrgeo's.
        OptionsError: It has no such layout or product.
    """
    with ExitStack() as failing:
        dataset = failing.enter_context(packed_cube(path, view.layout))
        try:
            decoded = _shown(dataset, path, view)
        except DAMAGE as error:  # attributes and coordinates of a stranger
            raise SourceError(str(path), f"is not a cube made by hsrgeo: {_reason(error)}") from error
        if view.chunks is not None:
            decoded = _evenly_chunked(decoded) if view.chunks == "auto" else decoded.chunk(view.chunks)
        failing.pop_all()
        return decoded


def _shown(dataset: xr.Dataset, path: Place, view: View) -> xr.Dataset:
    dataset.attrs = without_geozarr(dataset.attrs)
    name = values_name(dataset, path)
    quantity = quantity_of(dataset[name].attrs)
    dataset = dataset.rename({name: quantity.name})
    product = str(dataset.attrs.get("product", ""))
    if view.selection.product and view.selection.product.upper() != product:
        raise OptionsError(f"product {view.selection.product}: {path} contains {product}")
    dataset = _selected(dataset, view, product, path)
    values = dataset[quantity.name]
    if values.attrs.get("values") == "clean" and (made := made_clean(quantity)) is not quantity:
        # hsrgeo 0.1.0 left KMA's code for no rain in clean values.
        values = xr.apply_ufunc(
            dry_values, values, kwargs={"quantity": quantity}, dask="parallelized", output_dtypes=[np.int16]
        )
        values.attrs, values.encoding = values_attrs(made, cleaned=True), dataset[quantity.name].encoding
        dataset[quantity.name], quantity = values, made
    if view.undetect != "code":
        packed = packed_undetect(quantity, view.undetect)
        own = {"undetect": np.int16(packed), "undetect_value": physical(quantity, packed)}
        kept = values.attrs | own
        if packed == quantity.nodata:
            kept = {key: value for key, value in kept.items() if not key.startswith("undetect")}
        encoding = values.encoding
        values = values.where(values != quantity.undetect, np.int16(packed)).astype(np.int16)
        values.attrs, values.encoding = kept, encoding
        dataset[quantity.name] = values
    if not view.lonlat:
        dataset = dataset.drop_vars([name for name in ("lon", "lat") if name in dataset.variables])
    decoded = single(xr.decode_cf(dataset))
    decoded.encoding["source"] = str(path)
    for variable in decoded.variables.values():
        variable.encoding = {key: value for key, value in variable.encoding.items() if key in _CF_ENCODING}
    return decoded


_CF_ENCODING = ("dtype", "scale_factor", "add_offset", "_FillValue", "units", "calendar", "source")
# ^ what a dataset keeps of how it was stored: chunks, shards and codecs of one format are refused by another


def _evenly_chunked(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset whose chunks Zarr takes: all of one length but a shorter last one, also after a cut."""
    made = {}
    for name, array in dataset.variables.items():
        uneven = {
            dim: max(sizes)
            for dim, sizes in array.chunksizes.items()
            if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]
        }
        if uneven:
            made[name] = array.chunk(uneven)
    return dataset.assign(made) if made else dataset


def packed_cube(path: Place, layout: str | None = None, *, chunks: Any = "auto") -> xr.Dataset:  # noqa: ANN401
    """Open a cube as it is packed, with dask in its own chunks where `chunks` is not None.

    Raises:
        MissingExtraError: zarr is not installed.
        SourceError: It cannot be opened.
        OptionsError: It has no such layout.
    """
    options: dict[str, Any] = {"mask_and_scale": False, "decode_times": False}
    try:
        store: Any = path
        if path.suffix.lower() != ".nc":
            need("zarr")
            from hsrgeo.cube.whole import whole_store  # noqa: PLC0415 - imports zarr

            store = whole_store(path)
            options |= {"engine": "zarr", **store.how}
        elif isinstance(path, Path) and not path.exists():
            raise SourceError(str(path), "no such file or folder")
        groups = [] if store is path else store.layouts
        if layout is not None and groups and layout not in groups:
            raise OptionsError(f"layout {layout!r}: {path} contains {' and '.join(groups)}")
        group = layout if groups and layout else (groups[0] if groups else None)
        wanted = {} if chunks == "auto" else chunks
        if isinstance(store, Path):
            dataset = open_netcdf(store, wanted, options)
        else:
            dataset = xr.open_dataset(store, group=group, chunks=wanted, **options)
    except DAMAGE as error:
        raise SourceError(str(path), f"cannot be opened as a cube: {_reason(error)}") from error
    own = str(dataset.attrs.get("layout", ""))
    if layout is not None and not groups and layout != own:
        dataset.close()
        raise OptionsError(f"layout {layout!r}: {path} contains {own or 'no cube of hsrgeo'}")
    return dataset


def _reason(error: Exception) -> object:
    return (isinstance(error, OSError) and error.filename is None and error.strerror) or error


def layouts_in(path: Place) -> Sequence[str]:
    """Return the layouts of a cube of Zarr that has a group for each; none of one that has a single layout.

    Raises:
        SourceError: It is not there, or cannot be opened.
    """
    from hsrgeo.cube.whole import whole_store  # noqa: PLC0415 - imports zarr

    try:
        return whole_store(path).layouts
    except DAMAGE as error:
        raise SourceError(str(path), f"cannot be opened as a cube: {_reason(error)}") from error


def values_name(dataset: xr.Dataset, path: Place) -> str:
    """Return the name of the variable that holds the values.

    Raises:
        SourceError: There is none that hsrgeo made.
    """
    names = [str(name) for name, array in dataset.data_vars.items() if "quantity" in array.attrs]
    if len(names) != 1:
        raise SourceError(str(path), "is not a cube made by hsrgeo")
    if dataset[names[0]].dtype.kind not in _NUMBERS:
        raise SourceError(str(path), f"is not a cube made by hsrgeo: {names[0]}: expected numbers, found letters")
    for name, one in dataset.variables.items():  # xarray looks at these when values are read
        for key in _DECODING if one.dtype.kind in _NUMBERS else ():
            if np.asarray(one.attrs.get(key, 0)).dtype.kind not in _NUMBERS:
                problem = f"{name}, {key}: expected a number, found {repr(one.attrs[key])[:_SHOWN]}"
                raise SourceError(str(path), f"is not a cube made by hsrgeo: {problem}")
    return names[0]


_NUMBERS = "iuf"  # kinds of numpy
_DECODING = ("scale_factor", "add_offset", "_FillValue", "missing_value")
_SHOWN = 200  # letters


def _selected(dataset: xr.Dataset, view: View, product: str, path: Place) -> xr.Dataset:
    wants = view.selection.wants
    minutes = times_of(dataset["time"].values)
    kept = [order for order, time in enumerate(minutes) if wants(FrameName(product, "", time))]
    if minutes and not kept:
        raise SourceError(str(path), "contains none of the requested times")
    if len(kept) != len(minutes):
        whole = kept and len(kept) == kept[-1] - kept[0] + 1
        dataset = dataset.isel(time=slice(kept[0], kept[-1] + 1) if whole else kept)
    for name in ABSENT:
        if absent := absent_times(dataset, name):
            dataset = dataset.drop_vars(name)
            if wanted := [time for time in absent if wants(FrameName(product, "", time))]:
                dataset = dataset.assign_coords({name: missing_variable(wanted, name)})
    if view.area is not None:
        rows, cols = grid_of(dataset).window_for(view.area).slices
        dataset = dataset.isel(y=rows, x=cols)
    return dataset


@dataclass(frozen=True)
class CogLayer:
    """An exported COG."""

    label: str
    """Its path."""
    like: CogFacts
    """Of the first of them."""
    quantity: Quantity
    """As stored."""
    made: Quantity
    """As returned."""
    others: Sequence[Path] = ()
    """COGs of the same time and less preferred kinds, which take the place of one that is broken."""

    def read(self, rows: slice, cols: slice) -> NDArray[np.int16]:
        """Return packed cells, see `Layer.read`."""
        try:
            stored = read_cog(Path(self.label), rows, cols, self.like)
        except ReadbackError as error:
            for other in self.others:
                with suppress(ReadbackError):
                    stored = read_cog(other, rows, cols, self.like)
                    break
            else:
                raise
            warnings.warn(f"{error}; {other} of the same time is taken", BrokenFrameWarning, stacklevel=2)
        return stored if self.made is self.quantity else dry_values(stored, self.quantity)


def open_export(out: Path, view: View) -> xr.Dataset:
    """Open a folder of exported COGs, as its manifest or its STAC catalogue tells, see `hsrgeo.open`.

    Raises:
        SourceError: The manifest or catalogue cannot be read, or there is no COG.
        OptionsError: Several products or regions, and none chosen.
    """
    paths, failed, products, every_time, dry = _listed(out, view)
    if len(products) > 1:
        raise OptionsError(f"{out} contains {', '.join(sorted(products))}: choose a product")
    if not paths:
        raise SourceError(str(out), "lists no COG of the selection")
    if view.check:
        failed |= _left_out(paths)
        if not paths:
            raise SourceError(str(out), "has no COG of the selection that can be read")
    times = sorted(paths)
    first = paths[times[0]][0]
    facts = cog_facts(first)
    grid = Grid(facts.tags.get("GRID", ""), facts.wkt2, facts.transform, facts.width, facts.height)
    quantity = quantity_of_tags(facts.tags)
    if quantity is None:
        raise SourceError(str(first), f"contains {facts.tags.get('QUANTITY')!r}, no quantity that hsrgeo knows")
    rows, cols = (slice(None), slice(None)) if view.area is None else grid.window_for(view.area).slices
    values: Values = "raw" if facts.tags.get("VALUES") == "raw" else "clean"
    made = made_clean(quantity) if values == "clean" else quantity
    layers = [CogLayer(str(paths[time][0]), facts, quantity, made, paths[time][1:]) for time in times]
    dataset = packed_dataset(
        layers,
        times,
        grid,
        made,
        values=values,
        undetect=view.undetect,
        lonlat=view.lonlat,
        missing=missing_between([*times, *dry], view.step or export_step(every_time), failed),
        dry=dry,
        strict=False,
    ).isel(y=rows, x=cols)
    dataset.attrs = dataset_attrs(products.pop(), quantity, synthetic="SYNTHETIC" in facts.tags)
    decoded = single(xr.decode_cf(dataset))
    if view.chunks is None:
        return decoded
    return decoded.chunk(
        {"time": times_in_chunk(*decoded[quantity.name].shape[1:])} if view.chunks == "auto" else view.chunks
    )


def _left_out(paths: dict[datetime, list[Path]]) -> set[datetime]:
    """Read every COG; leave those out that cannot be read or are unlike the first, and return times without any."""
    like: CogFacts | None = None
    broken: list[str] = []
    for _time, found in sorted(paths.items()):
        for path in list(found):
            try:
                like = like or cog_facts(path)
                read_cog(path, slice(None), slice(None), like)
            except ReadbackError as error:
                broken.append(str(error))
                found.remove(path)
    warn_of_left_out(broken, stacklevel=5)
    empty = {time for time, found in paths.items() if not found}
    for time in empty:
        del paths[time]
    return empty


_Listing = tuple[dict[datetime, list[Path]], set[datetime], set[str], set[datetime], list[datetime]]
"""Paths by time (UTC), the preferred kind first; times of broken frames, products; all times of the product, wanted or
not; times left out as dry."""


def _listed(out: Path, view: View) -> _Listing:
    kinds: dict[datetime, list[tuple[int, Path]]] = {}
    failed: set[datetime] = set()
    products: set[str] = set()
    every_time: set[datetime] = set()
    try:
        for one in exported_frames(out, view.selection, view.region, times=every_time):
            if isinstance(one.error, ReadbackError):
                raise one.error
            if one.error is None and one.frame_name is not None:
                products.add(one.frame_name.product)
                found = kinds.setdefault(one.frame_name.time.astimezone(UTC), [])
                found.append((preference(one.frame_name.kind), one.path))
            elif one.frame_name is not None:
                failed.add(one.frame_name.time)
    except ManifestError as error:
        raise SourceError(error.path, error.problem) from error
    absent = {time.astimezone(UTC) for time in every_time} - kinds.keys() - {time.astimezone(UTC) for time in failed}
    wants = view.selection.wants
    return (
        {time: [path for _preference, path in sorted(found, reverse=True)] for time, found in kinds.items()},
        failed,
        products,
        every_time,
        [time for time in sorted(absent) if any(wants(FrameName(product, "", time)) for product in products)],
    )
