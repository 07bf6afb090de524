"""What a series is for: places, times and how rain follows; the command line and the library share these."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hsrgeo.engine.factors import as_factors
from hsrgeo.engine.periods import check_period
from hsrgeo.engine.series.series_table import FACTOR_COLUMN
from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.errors import OptionsError
from hsrgeo.model.fields import Length, Step, Time
from hsrgeo.model.file_blocks import Block, as_block
from hsrgeo.model.grid import Grid, Registration
from hsrgeo.model.grid_catalog import grids_by
from hsrgeo.model.times import FRAME_STEP, refuse_uneven
from hsrgeo.places.masks import MaskFile, read_mask
from hsrgeo.places.places import Places, Points, Polygons, as_points, read_points
from hsrgeo.places.polygons import read_polygons
from hsrgeo.places.weights import PointMethod, Weights
from hsrgeo.products.cleaning import Cleaning, cleaning_of
from hsrgeo.products.factors import Factors
from hsrgeo.products.rain import KMA_LAW, WET_FROM_MM_H, Law, as_law, refuse_low_limit
from hsrgeo.sources.select import Selection

Content = Literal["rain", "reflectivity"]

POLYGON_COLUMNS = ("mean_mm_h", "max_mm_h", "volume_m3", "wet_fraction", "coverage", "minutes")
POINT_COLUMNS: dict[str, tuple[str, ...]] = {
    "rain": ("rain_mm_h", "coverage", "minutes"),
    "reflectivity": ("reflectivity_dbz", "coverage", "minutes"),
}

_METHOD = re.compile(r"nearest(?:-([1-9]\d{0,2}))?|bilinear")


@dataclass(frozen=True, kw_only=True)
class SeriesOptions:
    """What `hsrgeo.engine.series.series_run.series` reads of its sources.

    Args:
        points: CSV file with name, lon and lat, a file of the formats of `polygons`, or what was read of one, or the
            points, see `as_points`; either this or `polygons`.
        polygons: GeoJSON, GeoPackage or shapefile.
        name_field: Field of the names in GeoJSON, GeoPackage or a shapefile; None is the one called name.
        crs: Of `points` as CSV with the columns x (east) and y (north) in place of lon and lat, such as EPSG:5186.
        wide: A row a time and a column a place; see `hsrgeo.writers.table_files.write_table`. With a bias wide CSV has
            ``bias_factor`` too, or of periods ``adjusted``.
        excel: CSV that Excel reads as it is: a byte-order mark, and times in KST without a zone.
        encoding: Of a shapefile's texts, or of a CSV that is not UTF-8, such as CP949; other formats are UTF-8.
        quantity: ``rain`` in mm/h; ``reflectivity`` in dBZ as stored, only for points by method nearest: dBZ have no
            mean.
        zr: A and B of Z = A R^B.
        max_rate: Rain rates above this many mm/h count as this; it comes before `bias`.
        bias: Table of `hsrgeo gauges bias`: each cell of a frame is multiplied by the factor of the row that its time
            lies in, and stays as it is where there is none.
        method: Of points: ``nearest`` cell, the mean of the ``nearest-K`` cells, or ``bilinear`` between four.
        wet_from: Rain rate [mm/h] from which a cell counts as wet; for polygons without `period`.
        mask: A raster of the frames' grid, or polygons, as that of `ExportOptions`: cells outside count as not
            observed.
        min_dbz: As that of `ExportOptions`; of frames only, as the next two.
        despeckle: As that of `ExportOptions`.
        smooth: As that of `ExportOptions`.
        start: First time wanted: aware, or a text such as ``2022-06-09 11:15`` (KST); the table begins there, whether
            or not there is a frame.
        end: First time no longer wanted, likewise; the table goes on until there.
        every: Only times on whole steps after midnight KST, such as ``10min`` or ``1h``. This does not change how long
            a frame stands for.
        frame_step: How long a frame stands for; None is 5 minutes, 10 before 16 September 2019 (`hsrgeo.model.times`).
        period: Add rows up: a length counted from midnight KST, or ``event``; see
            `hsrgeo.engine.series.periods.Periods`.
        min_coverage: With `period`: share of time x area, 0 to 1, below which there is no number.
        product: Only this product, such as HSR.
        kind: Only this kind, such as PUB; see `ExportOptions.kind`.
        block: Block of the file: a number from 1, or its name such as ``rain_rate``; of frames only, as the next two.
        max_height: Cells that the beam saw from higher above the sea [m] count as not observed.
        stations: Cells of other radars than these, such as ``KWK``, count as not observed.
        registration: As that of `ExportOptions`; of frames only.
        region: Of an exported folder that has several.
        jobs: Processes; -1 is one a core, 1 works in this process.

    Raises:
        OptionsError: Options that contradict each other or cannot be; places that cannot be read.
        MissingExtraError: Polygons need an extra that is not installed.
    """

    points: str | Path | Points | Mapping[str, tuple[float, float]] | Sequence[Sequence[object]] | None = None
    polygons: str | Path | Polygons | None = None
    name_field: str | None = None
    crs: str | None = None
    wide: bool = False
    excel: bool = False
    encoding: str | None = None
    quantity: Content = "rain"
    zr: Law | tuple[float, float] = KMA_LAW
    max_rate: float | None = None
    bias: str | Path | Factors | None = None
    method: str = "nearest"
    wet_from: float = WET_FROM_MM_H
    mask: str | Path | None = None
    min_dbz: float | None = None
    despeckle: int = 0
    smooth: float = 0.0
    start: Time = Time(None)
    end: Time = Time(None)
    every: Step[None] = Step(None)
    frame_step: Step[None] = Step(None)
    period: Length[None] = Length(None)
    min_coverage: float = 0.0
    product: str | None = None
    kind: str | None = None
    block: int | str = 1
    max_height: float | None = None
    stations: Sequence[str] = ()
    registration: Registration = "point"
    region: str = ""
    jobs: int = -1
    selection: Selection = field(init=False)
    places: Places = field(init=False)
    chosen_block: Block = field(init=False)
    law: Law = field(init=False)
    factors: Factors | None = field(init=False)
    """That rain is multiplied by."""
    cells: MaskFile | None = field(init=False)
    """The mask, read."""
    cleaning: Cleaning | None = field(init=False)

    def __post_init__(self) -> None:
        count_workers(self.jobs)
        law = as_law(self.zr, self.max_rate)
        object.__setattr__(self, "chosen_block", as_block(self.block, self.max_height, self.stations))
        grids_by(self.registration)
        if not _METHOD.fullmatch(self.method):
            raise OptionsError(f"method {self.method!r}: expected nearest, nearest-K as in nearest-9, or bilinear")
        if self.quantity not in POINT_COLUMNS:
            raise OptionsError(f"quantity {self.quantity!r}: expected rain or reflectivity")
        if (self.points is None) == (self.polygons is None):
            raise OptionsError("a series is for points or for polygons: give one of them")
        if self.polygons is not None and self.method != "nearest":
            raise OptionsError("method is for points; polygons are averaged by exact area")
        if self.quantity == "reflectivity" and (self.points is None or self.method != "nearest"):
            raise OptionsError("reflectivity is not averaged: it is for points by method nearest")
        if not 0 < self.wet_from < float("inf"):
            raise OptionsError(f"wet_from {self.wet_from:g}: expected a rain rate above 0 mm/h")
        if self.polygons is not None and self.period is None:
            refuse_low_limit(law, self.wet_from, bias=self.bias is not None)
        elif self.wet_from != WET_FROM_MM_H:
            raise OptionsError("wet_from is for polygons without period: no other table has wet_fraction")
        if self.quantity != "rain" and (self.bias is not None or law != KMA_LAW):
            raise OptionsError("bias, max_rate and zr are of rain, not of reflectivity")
        self._check_times()
        selection = Selection(self.start, self.end, self.every, self.product, self.kind, one_kind=True)
        object.__setattr__(self, "selection", selection)
        object.__setattr__(self, "law", law)
        object.__setattr__(self, "factors", None if self.bias is None else as_factors(self.bias))
        object.__setattr__(self, "bias", self.factors)
        object.__setattr__(self, "places", self._places())
        object.__setattr__(self, "cells", None if self.mask is None else read_mask(self.mask))
        object.__setattr__(self, "cleaning", cleaning_of(self.min_dbz, self.despeckle, self.smooth))

    def _check_times(self) -> None:
        if self.every is not None:
            refuse_uneven(f"every {self.every}", self.every)
        if self.frame_step is not None:
            refuse_uneven(f"frame_step {self.frame_step}", self.frame_step)
        if self.period is not None and self.quantity != "rain":
            raise OptionsError("period adds up rain; reflectivity has no depth")
        if self.period is not None:
            check_period(self.period, self.frame_step or FRAME_STEP)
        if not 0 <= self.min_coverage <= 1:
            raise OptionsError(f"min_coverage {self.min_coverage:g}: expected a share from 0 to 1")
        if self.min_coverage and self.period is None:
            raise OptionsError("min_coverage goes with period")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers in the table."""
        columns = POLYGON_COLUMNS if isinstance(self.places, Polygons) else POINT_COLUMNS[self.quantity]
        return columns if self.factors is None else (*columns, FACTOR_COLUMN)

    def weights(self, grid: Grid) -> Weights:
        """Return the weights of the places on a grid."""
        if isinstance(self.places, Polygons):
            return self.places.weights(grid)
        method: PointMethod = "bilinear" if self.method == "bilinear" else "nearest"
        return self.places.weights(grid, method, int(self.method.partition("-")[2] or 1))

    def _places(self) -> Places:
        if self.crs is not None and not isinstance(self.points, (str, Path)):
            raise OptionsError("crs is for points from a CSV with the columns x and y")
        if self.polygons is not None:
            if not isinstance(self.polygons, (str, Path, Polygons)):
                raise OptionsError(f"polygons {self.polygons!r}: expected a file, or what read_polygons returned")
            try:
                return read_polygons(self.polygons, name_field=self.name_field, encoding=self.encoding)
            except OptionsError as error:
                path = Path(str(self.polygons))
                if path.suffix.lower() != ".csv" or not path.exists():
                    raise
                way = "a CSV of points goes with --points"
                raise OptionsError(f"{self.polygons}: cannot be read as polygons; {way}") from error
        assert self.points is not None  # noqa: S101 - one of the two is there, see above
        if not isinstance(self.points, (str, Path, Points)):
            return as_points(self.points)
        return read_points(self.points, self.encoding, self.start or self.end, name_field=self.name_field, crs=self.crs)
