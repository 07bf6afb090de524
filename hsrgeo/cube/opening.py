"""`hsrgeo.open`: frames, exported COGs or a cube as one `xarray.Dataset` of time, y and x."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from hsrgeo.cube.extra import need
from hsrgeo.cube.source_types import source_type_of, source_type_of_url
from hsrgeo.cube.store import Layout
from hsrgeo.errors import OptionsError
from hsrgeo.model.file_blocks import ALL, MaskedBlock, as_block
from hsrgeo.model.grid import Registration
from hsrgeo.model.times import refuse_uneven
from hsrgeo.model.window import Area, BBox, Window, as_area
from hsrgeo.products.cleaning import cleaning_of
from hsrgeo.products.making import Content, Making, Values
from hsrgeo.products.masks import Mask
from hsrgeo.products.rain import KMA_LAW, Law, as_law
from hsrgeo.products.warp import Resampling, as_target
from hsrgeo.sources.remote import is_remote, listed_sources, local, place
from hsrgeo.sources.select import Selection

if TYPE_CHECKING:
    import xarray as xr

_ODIM = (".h5", ".hdf5", ".hdf")


@dataclass(frozen=True, kw_only=True)
class View:
    """What of an array is wanted, and how it is shown; the words are those of `hsrgeo.open`.

    Raises:
        OptionsError: A word that is not known, or a step that does not divide a day.
    """

    selection: Selection
    area: Area | None
    step: timedelta | None
    """Every so often there should be a time, where that was said."""
    undetect: str | float
    lonlat: bool
    chunks: Any
    layout: str | None
    region: str
    check: bool

    def __post_init__(self) -> None:
        if self.step is not None:
            refuse_uneven(f"every {self.step}", self.step)
        if self.layout not in (None, *get_args(Layout)):
            raise OptionsError(f"layout {self.layout!r}: expected {' or '.join(get_args(Layout))}")


def open(  # noqa: A001, PLR0913 - `hsrgeo.open` is its name; every option has a name of its own
    sources: str | Path | Sequence[str | Path],
    *,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    every: timedelta | str | None = None,
    times: Iterable[datetime | str] | None = None,
    product: str | None = None,
    kind: str | None = None,
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
    block: int | str = 1,
    max_height: float | None = None,
    stations: Sequence[str] = (),
    registration: Registration = "point",
    mask: str | Path | Mask | None = None,
    min_dbz: float | None = None,
    despeckle: int = 0,
    smooth: float = 0.0,
    undetect: str | float = "code",
    lonlat: bool = False,
    chunks: Any = "auto",  # noqa: ANN401 - xarray's own
    layout: str | None = None,
    region: str = "",
    check: bool = False,
) -> xr.Dataset:
    """Open frames, an exported folder or a cube as one dataset; pixels are read when they are asked for.

    Times that should be there and are not, every five minutes (ten before 16 September 2019) or `every`, are the
    coordinate ``missing_times``, and a warning tells of broken frames. A frame whose header is sound and whose pixels
    are not shows when it is read, with a `BrokenFrameWarning`; `check` finds it at once. Of two frames of one time the
    one of the preferred kind (see `kind`), with more stations, then the later creation, is taken; one of another kind
    takes the place of a broken frame, and where there is none its cells are NaN.

    Args:
        sources: Files, folders and globs of frames; or one folder that `hsrgeo export` made, or a STAC catalogue of it
            (``collection.json``, ``items.parquet``); or one cube (``.zarr``, ``.nc``) or reference (``.json``,
            ``.parquet`` of ``hsrgeo cube --virtual``); or ODIM HDF5 composites of any maker (``.h5``), which are read
            at once. An archive is read once, now, from its beginning to its end: of
            a ``.tar`` the places of its frames are kept, of a ``.tar.gz`` the wanted frames themselves, packed, 2 GB
            at most. Frames may be elsewhere: URLs, as text.
        start: First time wanted: aware, or a text such as ``2022-06-09 11:15`` (KST).
        end: First time no longer wanted, likewise.
        every: Only times on whole steps after midnight KST, such as ``10min`` or ``1h``.
        times: Only these times.
        product: Only this product, such as HSR; needed where the sources hold several.
        kind: Only this kind, such as PUB; None prefers PUB, EXT, KMA and QCD in this order.
        bbox: (west, south, east, north) [degrees]; at most one of bbox, window and center.
        window: (col_off, row_off, width, height) in cells of the source, row 0 is the north row.
        center: (lon, lat) [degrees], with `size`.
        size: Cells along each side of the square around `center`.
        quantity: ``stored``, or ``rain`` for the rain rate; of frames only, as all that follow up to `smooth`.
        zr: A and B of Z = A R^B, for rain.
        values: ``clean`` or ``raw``.
        crs: Another projection, as in `ExportOptions`.
        resolution: Side of a cell of `crs`.
        resampling: How cells of `crs` are made.
        block: Block of the files: a number from 1, what it holds, such as ``height``, or ``all``: one variable a block.
        max_height: Cells that the beam saw from higher above the sea [m] are NaN, by the block of heights.
        stations: Cells of other radars than these, such as ``KWK``, are NaN, by the block of stations.
        registration: What KMA's points are, as in `ExportOptions`.
        mask: A raster of the frames' grid, or polygons, as in `ExportOptions`: cells outside are NaN.
        min_dbz: Echo below this becomes no echo, as in `ExportOptions`, like the next two.
        despeckle: Groups of fewer cells with echo become no echo.
        smooth: Standard deviation [cells] of a Gaussian mean of the echo.
        undetect: ``code`` keeps the stored value (-250 dBZ; 0 mm/h), ``nan`` makes it NaN, a number is that value.
        lonlat: With 2-D longitude and latitude.
        chunks: As for `xarray.Dataset.chunk`; ``auto`` is that many times as make 128 MiB, a day of frames
            at most, or the chunks of the cube; None for no dask, but of a cube for its own chunks.
        layout: ``map`` or ``series``, of a cube that holds both; else the one there is, map first.
        region: Of a folder exported with several regions.
        check: Read every frame now, so that `missing_times` is certain; of a cube they are certain anyway.

    Returns:
        One variable named after the quantity, physical values as float32, NaN where not observed. float32 holds every
        stored value to 2e-5: `round(100 * value)` is what was stored.

    Raises:
        MissingExtraError: xarray or dask is not installed.
        OptionsError: Options that contradict each other, or do not go with these sources.
        SourceError: A source does not exist, or holds no usable frame.
        WindowError: The area lies outside.
    """
    need("xarray")
    if chunks is not None:
        need("dask")
    listed = listed_sources(sources)
    if crs is None and (resolution is not None or resampling != "nearest"):
        raise OptionsError("resolution and resampling need a crs")
    selection = Selection(start, end, every, product, kind, one_kind=True, times=times)
    view = View(
        selection=selection,
        area=as_area(bbox, window, center, size),
        step=selection.every,
        undetect=undetect,
        lonlat=lonlat,
        chunks=chunks,
        layout=layout,
        region=region,
        check=check,
    )
    source_types = {_source_type(source) for source in listed}
    if mask is not None and source_types != {"frames"}:
        raise OptionsError(_DECIDED)
    law = as_law(zr)
    target = as_target(crs, resolution, resampling) if crs is not None else None
    chosen = as_block(block, max_height, stations, every=True)
    cleaning = cleaning_of(min_dbz, despeckle, smooth)
    making = Making(
        view.area,
        quantity,
        law,
        values,
        target,
        chosen,
        registration,
        mask=_mask(mask, registration, view.area),
        cleaning=cleaning,
    )
    if source_types == {"frames"}:
        from hsrgeo.cube.frames import open_blocks, open_frames  # noqa: PLC0415

        if layout or region:
            raise OptionsError("layout is for a cube, region for an exported folder; frames have neither")
        is_every = chosen == ALL or (isinstance(chosen, MaskedBlock) and chosen.block == ALL)
        return (open_blocks if is_every else open_frames)(listed, making, view)
    return _open_made(source_types, listed, making, view)


def _mask(wanted: str | Path | Mask | None, registration: Registration, area: Area | None) -> Mask | None:
    if wanted is None:
        return None
    from hsrgeo.places.masks import mask_of  # noqa: PLC0415 - loads GDAL

    return mask_of(wanted, registration, [area])


def _open_made(source_types: set[str], listed: list[str | Path], making: Making, view: View) -> xr.Dataset:
    """Open what is no frames of KMA's."""
    if len(listed) != 1 and source_types != {"odim"}:
        raise OptionsError(
            "a cube, an exported folder or ODIM files are opened on their own, not together with other sources"
        )
    if replace(making, area=None) != Making():
        raise OptionsError(_DECIDED)
    if view.region and source_types & {"cube", "reference"}:
        raise OptionsError("region is for an exported folder that has several; a cube or a reference has one area")
    if view.layout and source_types == {"export"}:
        raise OptionsError("layout is for a cube; an exported folder has a file for each frame")
    if source_types == {"odim"}:
        from hsrgeo.cube.odim import open_odim  # noqa: PLC0415

        return open_odim([local(source, "opening an ODIM file") for source in listed], view)
    if source_types == {"reference"}:
        need("zarr")
        from hsrgeo.cube.referred import open_reference  # noqa: PLC0415

        return open_reference(place(listed[0]), view)
    from hsrgeo.cube import stored  # noqa: PLC0415 - it imports xarray

    if source_types == {"cube"}:
        return stored.open_cube(place(listed[0]), view)
    return stored.open_export(Path(listed[0]), view)


_DECIDED = (
    "quantity, zr, values, crs, block, registration, mask and cleaning are decided when a cube, an export or an ODIM "
    "file is made: give them there"
)


def _source_type(source: str | Path) -> str:
    if str(source).lower().endswith(_ODIM):
        return "odim"
    if is_remote(source):
        return source_type_of_url(str(source)) or "frames"
    return source_type_of(local(source, "opening a cube"))
