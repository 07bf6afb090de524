"""What to export and how; the command line and the library share these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from hsrgeo.engine.factors import as_factors, notes_on_factors
from hsrgeo.engine.name_template import check_name
from hsrgeo.engine.regions import Region, read_regions, refuse_shared_folders
from hsrgeo.engine.workers.cluster import Cluster
from hsrgeo.engine.workers.crew import count_workers, workers_for
from hsrgeo.errors import GridError, MissingExtraError, OptionsError
from hsrgeo.model.fields import Step, Time, Times
from hsrgeo.model.file_blocks import ALL, as_block
from hsrgeo.model.grid import Registration
from hsrgeo.model.times import refuse_uneven
from hsrgeo.model.window import BBox, Window, as_area
from hsrgeo.outputs.recipe import DEFAULT_NAME, Cut, Recipe, parts_kinds
from hsrgeo.products.cleaning import Cleaning, cleaning_of
from hsrgeo.products.factors import Factors
from hsrgeo.products.making import Content, Values
from hsrgeo.products.masks import Mask
from hsrgeo.products.palettes import Palette, palette_of
from hsrgeo.products.rain import KMA_LAW, Law, as_law
from hsrgeo.products.warp import Resampling, Target, as_target
from hsrgeo.sources.select import Selection
from hsrgeo.writers.rasters import RASTERS, Compression, Format

_UNDETECT = "undetect is a number or nan, for formats float32 and asc"
_MASK = "mask goes beside PNGs: give format png too, because a COG marks nodata itself"
_PALETTE = "palette is for formats rgba, rgba-png and rgba-webp: other formats have values, not colours"
_NO_SIDECARS = "no sidecars goes with PNGs and ASCII grids, and formats has none"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What `hsrgeo.export` does with its sources.

    Args:
        bbox: (west, south, east, north) [degrees]; at most one of bbox, window, center and regions.
        window: (col_off, row_off, width, height), row 0 is the north row.
        center: (lon, lat) [degrees]; with `size`.
        size: Cells along each side of the square around `center`.
        regions: File of named boxes or shapes (CSV, GeoJSON, GeoPackage, FlatGeobuf, shapefile), or the boxes; each
            gets its own folder.
        regions_field: Field of the names in a file of shapes; None is ``name``.
        regions_encoding: Of a CSV file or shapefile that is not UTF-8, such as CP949.
        start: First time wanted: aware, or a text such as ``2022-06-09 11:15`` (KST).
        end: First time no longer wanted, likewise.
        times: Only these times, a list of what `start` may be.
        every: Only times on whole steps after midnight KST, such as ``10min`` or ``1h``.
        product: Only this product, such as HSR.
        kind: Only this kind, such as PUB. Where it is None, the first of PUB, EXT, KMA and QCD counts of files of one
            product and time, unless `name` has ``{kind}``.
        formats: ``cog``, ``png``, ``odim`` (ODIM HDF5), ``float32`` (COG of physical values, NaN where not observed),
            ``asc`` (ESRI ASCII grid), ``rgba`` (COG in colours), ``rgba-png`` and ``rgba-webp`` (the same as a PNG or
            a lossless WebP), one or several; with ``png`` also ``mask``: a PNG ``NAME.mask.png`` of 255 where a cell
            was observed and 0 where it was not, which reflectivity as a PNG cannot tell from no echo.
        undetect: What float32 and asc have in cells that were observed and hold nothing; None is 0 of rain and -250
            dBZ of reflectivity.
        palette: Colours of rgba, rgba-png and rgba-webp: a name of `hsrgeo.products.palettes.NAMES`, or a file.
        compress: Of COGs.
        values: Of COGs, and of PNGs of frames that contain rain (HSP): clean has nodata, undetect and echo only, raw is
            bit for bit as stored.
        name: Path below OUT without suffix; fields time (KST), utc, product, kind, region.
        quantity: What outputs hold: ``stored`` as the frames do, ``rain`` the rain rate in mm/h, in steps of 0.01.
        zr: A and B of Z = A R^B, for `quantity` rain.
        max_rate: Rain rates above this many mm/h count as this, for `quantity` rain; it comes before `bias`.
        bias: Table of `hsrgeo gauges bias`, for `quantity` rain: each frame is multiplied by the factor of the row that
            its time lies in, and stays as it is where there is none.
        crs: Another projection: ``EPSG:5179``, WKT or anything else that pyproj understands; None keeps the frames'
            grid.
        resolution: Side of a cell in units of `crs`; None is the frames' own, or what comes nearest to it.
        resampling: How cells of `crs` are made; nearest copies values as they are.
        min_wet: Share of the observed cells, 0 to 1, that must have echo, or rain for `quantity` rain; areas with less
            get no file, and a frame of which no area has that much is ``dry``.
        sidecars: Write a world file, .prj and .aux.xml beside each PNG; without them a PNG has no place and no tags.
        mask: A raster of the frames' grid, or polygons: cells that the raster has as 0 or nodata, or of which less than
            half lies in the polygons, become nodata.
        min_dbz: Echo below this becomes no echo; see `hsrgeo.products.cleaning.Cleaning` for these three.
        despeckle: Groups of fewer cells with echo become no echo.
        smooth: Standard deviation [cells] of a Gaussian mean of the echo, in linear units.
        block: Block of the file: a number from 1, or what it holds, such as ``height`` or ``station``; ``all`` writes
            one file a block, ``NAME.height.tif`` and so on.
        max_height: Cells that the beam saw from higher above the sea [m] become nodata, by the block of heights.
        stations: Cells of other radars than these, such as ``KWK``, become nodata, by the block of stations.
        registration: What the points that KMA serves are: ``point`` takes them for the centres of the cells,
            ``corner`` for their south-west corners, half a cell farther north-east.
        jobs: Processes; -1 is one a core, 1 works in this process.
        dask: Address (``tcp://host:8786``) or scheduler file of a Dask cluster that does the work, in place of `jobs`.
        dask_wait_s: How long the cluster's scheduler, or a worker, is waited for [s]; a minute where None.
        overwrite: Write again what is there already, and accept another recipe in the same folder.
        fail_fast: Stop at the first broken frame.
        sync: Flush to disk before a frame counts as done; False is for scratch, which a power cut may empty.
        dry_run: Write nothing; tell from names alone what would be written.

    Raises:
        OptionsError: Options that contradict each other or cannot be.
    """

    bbox: BBox | tuple[float, float, float, float] | None = None
    window: Window | tuple[int, int, int, int] | None = None
    center: tuple[float, float] | None = None
    size: int | None = None
    regions: str | Path | Sequence[Region] | None = None
    regions_field: str | None = None
    regions_encoding: str | None = None
    start: Time = Time(None)
    end: Time = Time(None)
    every: Step[None] = Step(None)
    times: Times = Times(None)
    product: str | None = None
    kind: str | None = None
    formats: Format | Sequence[Format] = ("cog", "png")
    undetect: float | None = None
    palette: Palette | str | Path | None = None
    compress: Compression = "deflate"
    values: Values = "clean"
    name: str = DEFAULT_NAME
    quantity: Content = "stored"
    zr: Law | tuple[float, float] = KMA_LAW
    max_rate: float | None = None
    bias: str | Path | Factors | None = None
    crs: str | None = None
    resolution: float | None = None
    resampling: Resampling = "nearest"
    sidecars: bool = True
    min_wet: float = 0.0
    mask: str | Path | Mask | None = None
    min_dbz: float | None = None
    despeckle: int = 0
    smooth: float = 0.0
    block: int | str = 1
    max_height: float | None = None
    stations: Sequence[str] = ()
    registration: Registration = "point"
    jobs: int = -1
    dask: str | None = None
    dask_wait_s: float | None = None
    overwrite: bool = False
    fail_fast: bool = False
    sync: bool = True
    dry_run: bool = False
    selection: Selection = field(init=False)
    recipe: Recipe = field(init=False)
    notes: tuple[str, ...] = field(init=False, default=(), compare=False)
    """What a user should know of the options."""

    def __post_init__(self) -> None:
        workers_for(self.jobs, self.dask, self.dask_wait_s)
        block = as_block(self.block, self.max_height, self.stations, every=True)
        formats = tuple(dict.fromkeys([self.formats] if isinstance(self.formats, str) else self.formats))
        for given, known in (
            (formats, Format),
            ((self.compress,), Compression),
            ((self.values,), Values),
            ((self.quantity,), Content),
            ((self.resampling,), Resampling),
            ((self.registration,), Registration),
        ):
            for word in given:
                if word not in get_args(known):
                    raise OptionsError(f"{word!r}: expected one of {', '.join(get_args(known))}")
        self._check_formats(formats)
        formats = tuple(sorted(formats, key="mask".__eq__))  # last: the first file names a frame
        if self.every is not None:
            refuse_uneven(f"every {self.every}", self.every)
        check_name(self.name)
        one_kind = not parts_kinds(self.name)
        selection = Selection(
            self.start, self.end, self.every, self.product, self.kind, one_kind=one_kind, times=self.times
        )
        cuts = self._cuts()
        recipe = Recipe(
            cuts,
            formats,
            self.compress,
            self.values,
            self.name,
            block,
            quantity=self.quantity,
            law=self._law(),
            target=self._target(),
            registration=self.registration,
            sidecars=self.sidecars,
            factors=self._factors(),
            undetect=self.undetect,
            palette=None if self.palette is None else palette_of(self.palette),
            min_wet=self._share(),
            mask=self._mask(cuts),
            cleaning=self._cleaning(),
        )
        object.__setattr__(self, "selection", selection)
        object.__setattr__(self, "recipe", recipe)
        if self.values == "raw" and "cog" not in formats:
            object.__setattr__(self, "notes", (*self.notes, "values raw changes only PNGs of rain rates (HSP)"))

    def _check_formats(self, formats: Sequence[Format]) -> None:
        if not formats:
            raise OptionsError(
                "formats: expected one or more of cog, png, odim, float32, asc, rgba, rgba-png and rgba-webp"
            )
        for name in formats:
            if (library := RASTERS[name].needs) and find_spec(library) is None:  # once, not for each frame
                raise MissingExtraError(library, name)
        if "odim" in formats and self.block == ALL:
            raise OptionsError("odim has no quantity for every block: give block height, or the main one")
        if self.values == "raw" and (others := [name for name in formats if RASTERS[name].recoded]):
            raise OptionsError(f"{others[0]} does not have the codes of the frames: not with values raw")
        if self.undetect is not None and math.isinf(self.undetect):
            raise OptionsError(_UNDETECT)
        for given, wanted, message in (
            (self.compress != "deflate", {"cog", "float32", "rgba"}, "compress is for formats cog, float32 and rgba"),
            (self.undetect is not None, {"float32", "asc"}, _UNDETECT),
            ("mask" in formats, {"png"}, _MASK),
            (self.palette is not None, {"rgba", "rgba-png", "rgba-webp"}, _PALETTE),
            (not self.sidecars, {"png", "asc", "rgba-png", "rgba-webp"}, _NO_SIDECARS),
        ):
            if given and not wanted & set(formats):
                raise OptionsError(message)

    @property
    def workers(self) -> int:
        """How many processes of this machine work; some commands, such as accumulate, start so many threads instead."""
        return count_workers(self.jobs)

    @property
    def crew(self) -> int | Cluster:
        """Who works: so many processes of this machine, -1 for one a core, or a cluster."""
        return workers_for(self.jobs, self.dask, self.dask_wait_s)

    def _law(self) -> Law:
        law = as_law(self.zr, self.max_rate)
        if self.quantity == "rain" and self.values == "raw":
            raise OptionsError("values raw are those of the frames as stored: not for quantity rain")
        if self.quantity != "rain" and law.max_mm_h is not None:
            raise OptionsError("max_rate is a limit of rain: give quantity rain too")
        if self.quantity != "rain" and law != KMA_LAW:
            raise OptionsError("zr is a law for rain: give quantity rain too")
        return law

    def _share(self) -> float:
        if not 0 <= self.min_wet <= 1:
            raise OptionsError(f"min_wet {self.min_wet:g}: expected a share from 0 to 1")
        return self.min_wet

    def _mask(self, cuts: Sequence[Cut]) -> Mask | None:
        if self.mask is None:
            return None
        from hsrgeo.places.masks import mask_of  # noqa: PLC0415 - a run without a mask needs none of it

        mask = mask_of(self.mask, self.registration, [cut.area for cut in cuts])
        object.__setattr__(self, "mask", mask)  # read once, as the factors
        return mask

    def _cleaning(self) -> Cleaning | None:
        cleaning = cleaning_of(self.min_dbz, self.despeckle, self.smooth)
        if cleaning and self.values == "raw":
            raise OptionsError("values raw are those of the frames as stored: not with min_dbz, despeckle or smooth")
        return cleaning

    def _factors(self) -> Factors | None:
        if self.bias is None:
            return None
        if self.quantity != "rain":
            raise OptionsError("bias is of rain: give quantity rain too")
        factors = as_factors(self.bias)
        object.__setattr__(self, "bias", factors)  # read once, also where these options are made again
        object.__setattr__(self, "notes", (*self.notes, *notes_on_factors(factors)))
        return factors

    def _target(self) -> Target | None:
        if self.crs is None:
            if self.resolution is not None or self.resampling != "nearest":
                raise OptionsError("resolution and resampling go with crs: without it cells are copied one by one")
            return None
        if self.values == "raw" and self.resampling != "nearest":
            raise OptionsError(f"values raw are copied by resampling nearest, and cannot be made by {self.resampling}")
        return as_target(self.crs, self.resolution, self.resampling)

    def _cuts(self) -> tuple[Cut, ...]:
        try:
            area = as_area(self.bbox, self.window, self.center, self.size, regions=self.regions)
        except GridError as error:
            raise OptionsError(str(error)) from error
        if not isinstance(self.regions, (str, Path)) and (self.regions_field or self.regions_encoding):
            raise OptionsError("regions_field and regions_encoding are for a file of regions: give regions too")
        if self.regions is None:
            return (Cut("", area),)
        if isinstance(self.regions, (str, Path)):
            listed, notes = read_regions(self.regions, self.regions_field, self.regions_encoding)
            object.__setattr__(self, "notes", tuple(notes))
        else:
            listed = tuple(self.regions)
        refuse_shared_folders("regions", listed)
        return tuple(Cut(region.name, region.bbox) for region in listed)
