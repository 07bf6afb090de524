"""What the statistics are of; the command line and the library share these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.keywords import shared_with
from hsrgeo.engine.regions import Region
from hsrgeo.errors import OptionsError
from hsrgeo.model.fields import Step, Time
from hsrgeo.model.file_blocks import as_block
from hsrgeo.model.grid import Registration
from hsrgeo.model.window import BBox, Window
from hsrgeo.places.places import Polygons
from hsrgeo.places.polygons import read_polygons
from hsrgeo.products.making import Content
from hsrgeo.products.rain import KMA_LAW, Law

_THRESHOLDS: dict[str, tuple[float, ...]] = {"dBZ": (10.0, 20.0, 30.0, 40.0, 50.0), "mm/h": (0.1, 1.0, 5.0, 30.0)}
_MOST_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class StatsOptions:
    """What `hsrgeo.engine.stats.stats_run.stats` counts.

    Args:
        quantity: As that of `ExportOptions`.
        zr: As that of `ExportOptions`.
        max_rate: As that of `ExportOptions`.
        thresholds: Values in the unit of the quantity; a column for each has the share of the observed cells that have
            at least this value. None is 10, 20 ... 50 dBZ, or 0.1, 1, 5 and 30 mm/h, and no column for other units.
        quantiles: Shares from 0 to 1; a column for each has the value that is not exceeded in this share of the cells
            with echo.
        histogram: (first, last, width) of classes in the unit of the quantity: a column for each counts its cells.
        bbox: Areas are as those of `ExportOptions`; of an exported folder or a cube a window counts its own cells.
        window: As that of `ExportOptions`.
        center: As that of `ExportOptions`.
        size: As that of `ExportOptions`.
        regions: As that of `ExportOptions`: a row a frame and region.
        regions_field: As that of `ExportOptions`.
        regions_encoding: As that of `ExportOptions`.
        polygons: GeoJSON, GeoPackage, FlatGeobuf or shapefile, or what `hsrgeo.read_polygons` returned: a row a frame
            and polygon, of the cells of which at least half lies inside.
        name_field: Field of the names of polygons; None is the one called name.
        encoding: Of the texts of a shapefile.
        start: First time wanted: aware, or a text such as ``2022-06-09 11:15`` (KST).
        end: First time no longer wanted, likewise.
        every: Only times on whole steps after midnight KST.
        product: Only this product, such as HSR.
        kind: Only this kind, such as PUB.
        block: Block of the file: a number from 1, or its name such as ``height``; of frames only, as the next two.
        max_height: Cells that the beam saw from higher above the sea [m] count as not observed.
        stations: Cells of other radars than these, such as ``KWK``, count as not observed.
        registration: As that of `ExportOptions`; of frames only.
        region: Of an exported folder that has several.
        jobs: Threads; -1 is one a core.

    Raises:
        OptionsError: Options that contradict each other or cannot be.
    """

    quantity: Content = "stored"
    zr: Law | tuple[float, float] = KMA_LAW
    max_rate: float | None = None
    thresholds: Sequence[float] | None = None
    quantiles: Sequence[float] = (0.5, 0.9, 0.99)
    histogram: tuple[float, float, float] | None = None
    bbox: BBox | tuple[float, float, float, float] | None = None
    window: Window | tuple[int, int, int, int] | None = None
    center: tuple[float, float] | None = None
    size: int | None = None
    regions: str | Path | Sequence[Region] | None = None
    regions_field: str | None = None
    regions_encoding: str | None = None
    polygons: str | Path | Polygons | None = None
    name_field: str | None = None
    encoding: str | None = None
    start: Time = Time(None)
    end: Time = Time(None)
    every: Step[None] = Step(None)
    product: str | None = None
    kind: str | None = None
    block: int | str = 1
    max_height: float | None = None
    stations: Sequence[str] = ()
    registration: Registration = "point"
    region: str = ""
    jobs: int = -1
    export: ExportOptions = field(init=False)
    """The same areas, times and law, checked."""
    places: Polygons | None = field(init=False)
    """The polygons, read."""
    edges: tuple[float, ...] = field(init=False)
    """Of the classes of the histogram, increasing; empty without one."""

    def __post_init__(self) -> None:
        as_block(self.block)  # one, not all
        export = ExportOptions(**shared_with(ExportOptions, self))
        if self.polygons is not None and any(cut.area is not None for cut in export.recipe.cuts):
            raise OptionsError("polygons are areas themselves: give them without bbox, window, center and regions")
        if self.polygons is None and (self.name_field is not None or self.encoding is not None):
            raise OptionsError("name_field and encoding go with polygons")
        if bad := [one for one in self.quantiles if not 0 <= one <= 1]:
            raise OptionsError(f"quantile {bad[0]:g}: expected a share from 0 to 1")
        if self.thresholds is not None:
            object.__setattr__(self, "thresholds", tuple(self.thresholds))
            if not np.isfinite(self.thresholds).all():
                raise OptionsError("thresholds: expected numbers")
        object.__setattr__(self, "export", export)
        polygons = self.polygons
        if polygons is not None:
            polygons = read_polygons(polygons, name_field=self.name_field, encoding=self.encoding)
        object.__setattr__(self, "places", polygons)
        object.__setattr__(self, "edges", self._edges())

    def _edges(self) -> tuple[float, ...]:
        if self.histogram is None:
            return ()
        first, last, width = self.histogram
        count = (last - first) / width if width > 0 and np.isfinite(self.histogram).all() else 0
        if not 1 <= count <= _MOST_CLASSES or abs(count - round(count)) > 1e-6:  # noqa: PLR2004 - rounding
            expected = (
                f"a first and a last value and a width that divides their distance, at most {_MOST_CLASSES} times"
            )
            raise OptionsError(f"histogram {first:g} {last:g} {width:g}: expected {expected}")
        return tuple(round(first + number * width, 9) for number in range(round(count) + 1))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the places: polygons, or regions."""
        return self.places.names if self.places else tuple(cut.region for cut in self.export.recipe.cuts)

    def thresholds_of(self, unit: str) -> tuple[float, ...]:
        """Return the thresholds for values in a unit."""
        return _THRESHOLDS.get(unit, ()) if self.thresholds is None else tuple(self.thresholds)

    def columns(self, unit: str) -> tuple[str, ...]:
        """Return the names of the numbers of a row, of values in a unit."""
        return (
            *("stations", "delay_minutes", "cells", "nodata", "undetect", "echo", "blend"),
            *(f"from_{one:g}" for one in self.thresholds_of(unit)),
            *(f"p{100 * one:g}" for one in self.quantiles),
            *("maximum", "max_lon", "max_lat"),
            *self._classes(),
        )

    def _classes(self) -> list[str]:
        if not self.edges:
            return []
        between = [f"cells_{low:g}_to_{high:g}" for low, high in zip(self.edges, self.edges[1:], strict=False)]
        return [f"cells_below_{self.edges[0]:g}", *between, f"cells_from_{self.edges[-1]:g}"]
