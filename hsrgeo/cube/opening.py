"""`hsrgeo.open`: frames, exported COGs or a cube as one `xarray.Dataset` of time, y and x."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsrgeo.cube.axis import missing_between, rank_of
from hsrgeo.cube.extra import need
from hsrgeo.cube.kinds import CUBE_SUFFIXES, kind_of
from hsrgeo.cube.reference import SUFFIXES
from hsrgeo.errors import FrameError, HsrGeoError, HsrGeoWarning, OptionsError, SourceError
from hsrgeo.formats.composite import decode, peek_header, product_of
from hsrgeo.formats.names import FrameName
from hsrgeo.model.frame import Frame
from hsrgeo.model.header import Header
from hsrgeo.model.times import FRAME_STEP
from hsrgeo.model.window import Area, BBox, Window, as_bbox, as_center, as_window
from hsrgeo.products.rain import KMA_LAW, Law
from hsrgeo.products.warp import Resampling, as_target
from hsrgeo.sources.archives import is_archive
from hsrgeo.sources.found import Found, read_file
from hsrgeo.sources.remote import Place, RemotePath, is_remote, local, place
from hsrgeo.sources.scan import expand, files_below, scan
from hsrgeo.sources.select import Selection

if TYPE_CHECKING:
    import xarray as xr

    from hsrgeo.cube.stack import Content, Making, Values

_TOLD = 3  # broken frames in a warning
_HEADER_BYTES = 1 << 16  # packed, of a file: enough to unpack its header


@dataclass(frozen=True, kw_only=True)
class View:
    """What of an array is wanted, and how it is shown; the words are those of `hsrgeo.open`."""

    selection: Selection
    area: Area | None
    step: timedelta
    undetect: str | float
    lonlat: bool
    chunks: Any
    layout: str | None
    region: str
    check: bool


def open(  # noqa: A001, PLR0913 - `hsrgeo.open` is its name; every option has a name of its own
    sources: str | Path | Sequence[str | Path],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    every: timedelta | None = None,
    product: str | None = None,
    bbox: BBox | tuple[float, float, float, float] | None = None,
    window: Window | tuple[int, int, int, int] | None = None,
    center: tuple[float, float] | None = None,
    size: int | None = None,
    quantity: Content = "stored",
    zr: Law | tuple[float, float] = KMA_LAW,
    values: Values = "clean",
    crs: str | None = None,
    resolution: float | None = None,
    resampling: Resampling = "nearest",
    block: int = 1,
    undetect: str | float = "code",
    lonlat: bool = False,
    chunks: Any = "auto",  # noqa: ANN401 - xarray's own
    layout: str | None = None,
    region: str = "",
    check: bool = False,
) -> xr.Dataset:
    """Open frames, an exported folder or a cube as one dataset; pixels are read when they are asked for.

    Times that should be there and are not, every five minutes or `every`, are the coordinate ``missing_times``, and a
    warning tells of broken frames. A frame whose header is sound and whose pixels are not shows when it is read: its
    cells are then NaN, with a `BrokenFrameWarning`; `check` finds it at once. Of two frames of one time the one with
    more stations, then the later creation, is taken.

    Args:
        sources: Files, folders and globs of frames; or one folder that `hsrgeo export` made, or a STAC catalogue of it
            (``collection.json``, ``items.parquet``); or one cube (``.zarr``, ``.nc``) or reference (``.json``,
            ``.parquet`` of ``hsrgeo cube --virtual``). Archives can only be read from their beginning: make a cube of
            them first. Frames may be elsewhere: URLs, as text.
        start: First time wanted, aware.
        end: First time no longer wanted, aware.
        every: Only times on whole steps after midnight KST.
        product: Only this product, such as HSR; needed where the sources hold several.
        bbox: (west, south, east, north) [degrees]; at most one of bbox, window and center.
        window: (col_off, row_off, width, height) in cells of the source, row 0 is the north row.
        center: (lon, lat) [degrees], with `size`.
        size: Cells along each side of the square around `center`.
        quantity: ``stored``, or ``rain`` for the rain rate; of frames only, as all that follow up to `block`.
        zr: A and B of Z = A R^B, for rain.
        values: ``clean`` or ``raw``.
        crs: Another projection, as in `ExportOptions`.
        resolution: Side of a cell of `crs`.
        resampling: How cells of `crs` are made.
        block: Block of the files, counted from 1.
        undetect: ``code`` keeps the stored value (-250 dBZ; 0 mm/h), ``nan`` makes it NaN, a number is that value.
        lonlat: With 2-D longitude and latitude.
        chunks: As for `xarray.Dataset.chunk`; ``auto`` is one a frame, or those of the cube; None for no dask.
        layout: ``map`` or ``series``, of a cube that holds both; else the one there is, map first.
        region: Of a folder exported with several regions.
        check: Unpack every frame now, so that `missing_times` is certain.

    Returns:
        One variable named after the quantity, physical values, NaN where not observed.

    Raises:
        MissingExtraError: xarray or dask is not installed.
        OptionsError: Options that contradict each other, or do not go with these sources.
        SourceError: A source does not exist, or holds no usable frame.
        WindowError: The area lies outside.
    """
    need("xarray")
    if chunks is not None:
        need("dask")
    from hsrgeo.cube import stored  # noqa: PLC0415 - all of these import xarray
    from hsrgeo.cube.stack import Making  # noqa: PLC0415

    listed = [sources] if isinstance(sources, (str, Path)) else list(sources)
    view = View(
        selection=Selection(start, end, every, product),
        area=_area(bbox, window, center, size),
        step=every or FRAME_STEP,
        undetect=undetect,
        lonlat=lonlat,
        chunks=chunks,
        layout=layout,
        region=region,
        check=check,
    )
    law = zr if isinstance(zr, Law) else Law(*zr)
    target = as_target(crs, resolution, resampling) if crs is not None else None
    making = Making(view.area, quantity, law, values, target, block)
    kinds = {_kind(source) for source in listed}
    if kinds == {"frames"}:
        return _open_frames(listed, making, view)
    if len(listed) != 1:
        raise OptionsError("a cube or an exported folder is opened on its own, not together with other sources")
    if replace(making, area=None) != Making():
        raise OptionsError(
            "quantity, zr, values, crs and block are decided when a cube or an export is made: give them there"
        )
    if kinds == {"reference"}:
        need("zarr")
        from hsrgeo.cube.referred import open_reference  # noqa: PLC0415

        return open_reference(Path(listed[0]), view)
    opened = stored.open_cube if kinds == {"cube"} else stored.open_export
    return opened(Path(listed[0]), view)


def _kind(source: str | Path) -> str:
    if is_remote(source) and not str(source).lower().endswith((*CUBE_SUFFIXES, *SUFFIXES)):
        return "frames"
    return kind_of(local(source, "opening a cube"))


def _area(bbox: object, window: object, center: object, size: int | None) -> Area | None:
    given = [name for name, value in (("bbox", bbox), ("window", window), ("center", center)) if value is not None]
    if len(given) > 1:
        raise OptionsError(f"one area, please: {' and '.join(given)} exclude each other")
    if (size is None) != (center is None):
        raise OptionsError("center and size go together: a point, and cells along each side")
    if bbox is not None:
        return as_bbox(bbox)
    if window is not None:
        return as_window(window)
    return as_center(center, size) if size is not None else None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A frame's file with a sound header."""

    found: Found
    told: FrameName
    header: Header

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """What decides the grid, and what the first block holds."""
        header = self.header
        return header.map_code, header.nx, header.ny, header.dxy, header.data_codes[0]


def _open_frames(sources: list[str | Path], making: Making, view: View) -> xr.Dataset:
    from hsrgeo.cube.backend import frame_attrs, packed_dataset  # noqa: PLC0415
    from hsrgeo.cube.stack import FileLayer  # noqa: PLC0415

    if archive := next((file for path in expand(sources) for file in files_below(path) if is_archive(file)), None):
        raise OptionsError(
            f"{archive}: an archive can only be read from its beginning, not at random; make a cube of it first "
            "(hsrgeo cube ARCHIVE --out NAME.zarr) and open that"
        )
    broken: list[tuple[datetime | None, str]] = []
    by_time = _candidates(sources, view, broken)
    first = _first_sound(by_time, making, broken)
    if first is None:
        told = f": {broken[0][1]}" if broken else ""
        raise SourceError(", ".join(map(str, sources)), f"no usable frame found{told}")
    chosen, made = first
    if making.area is not None:
        decode(read_file(place(chosen.found.source)), chosen.found.source).grid.window_for(making.area)  # warns
    times: list[datetime] = []
    layers: list[FileLayer] = []
    for time in sorted(by_time):
        candidates = [one for one in by_time[time] if _belongs(one, chosen, broken)]
        layer = _best_layer(candidates, making, made, broken, check=view.check)
        if layer is not None:
            times.append(time)
            layers.append(layer)
    missing = missing_between(times, view.step, [time for time, _why in broken if time is not None])
    _warn(broken)
    dataset = packed_dataset(
        layers,
        times,
        made.grid,
        made.quantity,
        values=making.values,
        undetect=view.undetect,
        lonlat=view.lonlat,
        missing=missing,
        strict=False,
    )
    dataset.attrs = frame_attrs(made)
    for name in ("source_file", "source_crc32", "station_count", "stations", "count_clipped"):
        dataset.attrs.pop(name, None)  # of one frame only
    decoded: xr.Dataset = need("xarray").decode_cf(dataset)
    return chunked(decoded, view.chunks, {"time": 1})


def chunked(dataset: xr.Dataset, chunks: Any, own: dict[str, int]) -> xr.Dataset:  # noqa: ANN401 - as `open` has it
    """Return the dataset in chunks for dask, or as it is for None; ``auto`` is `own`."""
    return dataset if chunks is None else dataset.chunk(own if chunks == "auto" else chunks)


def _candidates(
    sources: list[str | Path], view: View, broken: list[tuple[datetime | None, str]]
) -> dict[datetime, list[_Candidate]]:
    by_time: dict[datetime, list[_Candidate]] = {}
    products: set[str] = set()
    for found in scan(sources, view.selection):
        if found.error is not None or found.told is None:
            broken.append((found.told.time if found.told else None, str(found.error)))
            continue
        try:
            header = peek_header(_head(place(found.source)))
            if header.time.replace(second=0) != found.told.time:
                raise FrameError("time", str(found.told.time), str(header.time), found.source)
        except HsrGeoError as error:
            broken.append((found.told.time, f"{found.source}: {error}"))
            continue
        products.add(found.told.product or product_of(header))
        by_time.setdefault(found.told.time, []).append(_Candidate(found, found.told, header))
    if len(products) > 1:
        raise OptionsError(f"the sources hold {', '.join(sorted(products))}: choose a product")
    return by_time


def _head(path: Place) -> bytes:
    try:
        if isinstance(path, RemotePath):
            return path.read_bytes(_HEADER_BYTES)
        with path.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error


def _first_sound(
    by_time: dict[datetime, list[_Candidate]], making: Making, broken: list[tuple[datetime | None, str]]
) -> tuple[_Candidate, Frame] | None:
    """Return the first sound frame, and what is made of it: all others must be like it."""
    for time in sorted(by_time):
        for candidate in list(by_time[time]):
            try:
                return candidate, making.of(_decoded(candidate, making))
            except FrameError as error:
                broken.append((time, str(error)))
                by_time[time].remove(candidate)
    return None


def _decoded(candidate: _Candidate, making: Making) -> Frame:
    source = candidate.found.source
    return decode(read_file(place(source)), source, block=making.block)


def _belongs(one: _Candidate, first: _Candidate, broken: list[tuple[datetime | None, str]]) -> bool:
    if one.shape == first.shape:
        return True
    header, other = one.header, first.header
    why = f"{header.nx} x {header.ny} cells of {header.dxy} m, the first has {other.nx} x {other.ny} of {other.dxy} m"
    broken.append((one.told.time, f"{one.found.source}: another grid or quantity: {why}"))
    return False


def _best_layer(
    candidates: list[_Candidate],
    making: Making,
    made: Frame,
    broken: list[tuple[datetime | None, str]],
    *,
    check: bool,
) -> Any:  # noqa: ANN401 - a FileLayer or None; the class needs xarray
    from hsrgeo.cube.stack import FileLayer  # noqa: PLC0415

    layers = [FileLayer(one.found.source, making, made.grid, made.quantity, one.told.time) for one in candidates]
    if len(layers) == 1 and not check:
        return layers[0]
    ranked = []
    for layer in layers:  # seldom: which of several is better only shows when they are unpacked
        try:
            ranked.append((*rank_of(layer.frame()), layer.label, layer))
        except HsrGeoError as error:
            broken.append((layer.time, str(error)))
    return max(ranked, key=lambda entry: entry[:-1])[-1] if ranked else None


def _warn(broken: Iterable[tuple[datetime | None, str]]) -> None:
    told = [why for _time, why in broken]
    if told:
        more = f"; and {len(told) - _TOLD:,} more" if len(told) > _TOLD else ""
        text = f"{len(told):,} broken or unlike the first, left out: {'; '.join(told[:_TOLD])}{more}"
        warnings.warn(text, HsrGeoWarning, stacklevel=4)
