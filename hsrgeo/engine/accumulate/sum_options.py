"""What is summed up; the command line and the library share these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import get_args

from hsrgeo.engine.accumulate.sums import Stat
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.keywords import shared_with
from hsrgeo.engine.periods import check_period
from hsrgeo.engine.regions import Region
from hsrgeo.errors import OptionsError
from hsrgeo.model.fields import Length, Step, Steps, Time
from hsrgeo.model.file_blocks import as_block
from hsrgeo.model.grid import Registration
from hsrgeo.model.times import FRAME_STEP, length_text, refuse_uneven
from hsrgeo.model.window import BBox, Window
from hsrgeo.places.masks import MaskFile, read_mask
from hsrgeo.products.factors import Factors
from hsrgeo.products.rain import KMA_LAW, WET_FROM_MM_H, Law, refuse_low_limit
from hsrgeo.sources.select import Selection

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class AccumulateOptions:
    """What `hsrgeo.engine.accumulate.sum_run.accumulate` sums up.

    Args:
        period: Length, counted from midnight KST, or ``event``: everything from the first frame to the last in one
            sum.
        min_coverage: Share of the expected frames, 0 to 1, below which a cell is nodata. A cell that no frame observed
            always is.
        stat: ``sum`` is the depth [mm]; of the frames in which a cell was observed ``mean`` is the mean rate and
            ``max`` the highest one [mm/h], and ``frequency`` the share [%] with at least `wet_from`.
        advection: Let rain move from each frame to the next, by optical flow (extra ``pysteps``): sums of fast storms
            are tracks, not rows of blobs. Gaps are not bridged. An area also gets rain from the cells around it, as far
            as the source has them. For ``sum``, and not with `rolling`.
        wet_from: Rate [mm/h] from which a frame counts as wet, for ``frequency``.
        mask: A raster of the frames' grid, or polygons: cells that the raster has as 0 or nodata, or of which less
            than half lies in the polygons, become nodata. Not with `rolling`.
        min_dbz: As that of `ExportOptions`; of frames only, as the next two.
        despeckle: As that of `ExportOptions`.
        smooth: As that of `ExportOptions`.
        rolling: Window lengths, whole steps up to a day: also write the highest depth of any such window of the whole
            run, and when it ended. Windows with fewer frames than `min_coverage` do not count.
        bbox: Areas are as those of `ExportOptions`; of an exported folder a window counts its own cells.
        window: As that of `ExportOptions`.
        center: As that of `ExportOptions`.
        size: As that of `ExportOptions`.
        regions: As that of `ExportOptions`.
        regions_field: As that of `ExportOptions`.
        regions_encoding: As that of `ExportOptions`.
        start: First time wanted: aware, or a text such as ``2022-06-09 11:15`` (KST).
        end: First time no longer wanted, likewise.
        every: Only times on whole steps after midnight KST, such as ``10min`` or ``1h``. This does not change how long
            a frame stands for.
        frame_step: How long a frame stands for; None is `hsrgeo.model.times.frame_length`: 5 minutes, 10 before 16
            September 2019. Frames that are not on whole steps of this after midnight KST are left out.
        product: Only this product, such as HSR.
        kind: Only this kind, such as PUB; see `ExportOptions.kind`.
        zr: A and B of Z = A R^B.
        max_rate: Rain rates above this many mm/h count as this; it comes before `bias`.
        bias: Table of `hsrgeo gauges bias`: each frame is multiplied by the factor of the row that its time lies in,
            and stays as it is where there is none. Not with `rolling`, whose windows would mix factors.
        block: Block of the file: a number from 1, or its name such as ``rain_rate``; of frames only, as the next two.
        max_height: Cells that the beam saw from higher above the sea [m] count as not observed.
        stations: Cells of other radars than these, such as ``KWK``, count as not observed.
        registration: As that of `ExportOptions`; of frames only.
        region: Of an exported folder that has several.
        jobs: Threads; -1 is one a core.

    Raises:
        OptionsError: Options that contradict each other or cannot be.
    """

    period: Length[timedelta] = Length(_HOUR)
    min_coverage: float = 0.0
    stat: Stat = "sum"
    advection: bool = False
    wet_from: float = WET_FROM_MM_H
    mask: str | Path | None = None
    min_dbz: float | None = None
    despeckle: int = 0
    smooth: float = 0.0
    rolling: Steps = Steps(())
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
    frame_step: Step[None] = Step(None)
    product: str | None = None
    kind: str | None = None
    zr: Law | tuple[float, float] = KMA_LAW
    max_rate: float | None = None
    bias: str | Path | Factors | None = None
    block: int | str = 1
    max_height: float | None = None
    stations: Sequence[str] = ()
    registration: Registration = "point"
    region: str = ""
    jobs: int = -1
    export: ExportOptions = field(init=False)
    """The same areas, times and law, checked."""
    cells: MaskFile | None = field(init=False)
    """The mask, read."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_coverage <= 1:
            raise OptionsError(f"min_coverage {self.min_coverage:g}: expected a share from 0 to 1")
        self._check_stat()
        object.__setattr__(self, "cells", None if self.mask is None else read_mask(self.mask))
        if self.bias is not None and self.rolling:
            raise OptionsError("rolling does not go with bias: a window would mix the factors of several periods")
        as_block(self.block)  # one: the rain
        object.__setattr__(
            self, "export", ExportOptions(**shared_with(ExportOptions, self) | {"mask": None}, quantity="rain")
        )
        object.__setattr__(self, "bias", self.export.bias)
        if self.stat == "frequency":
            refuse_low_limit(self.law, self.wet_from, bias=self.bias is not None)
        if self.frame_step is not None:
            refuse_uneven(f"frame_step {self.frame_step}", self.frame_step)
        check_period(self.period, self.step)
        for length in self.rolling:
            if not self.step <= length <= _DAY or length % self.step:
                raise OptionsError(
                    f"rolling {length_text(length)}: must be whole steps of {length_text(self.step)} long, 24h at most"
                )

    def _check_stat(self) -> None:
        if self.stat not in get_args(Stat):
            raise OptionsError(f"stat {self.stat!r}: expected one of {', '.join(get_args(Stat))}")
        if self.rolling and (self.stat != "sum" or self.mask is not None):
            raise OptionsError("rolling is of sums: it does not go with stat and mask")
        if self.advection and (self.stat != "sum" or self.rolling):
            raise OptionsError("advection is of sums: it does not go with another stat, nor with rolling")
        if not 0 <= self.wet_from < math.inf:
            raise OptionsError(f"wet_from {self.wet_from:g}: expected a rate of 0 mm/h or more")
        if self.wet_from != WET_FROM_MM_H and self.stat != "frequency":
            raise OptionsError("wet_from is for stat frequency: the other numbers count every rate")

    @property
    def tags(self) -> dict[str, str]:
        """What of these options a file says beside what `sum_tags` has."""
        cleaning = self.export.recipe.cleaning
        return {
            **({"WET_FROM_MM_H": f"{self.wet_from:g}"} if self.stat == "frequency" else {}),
            **({"MASK": self.cells.name} if self.cells is not None else {}),
            **(cleaning.tags if cleaning else {}),
        }

    @property
    def step(self) -> timedelta:
        """How long each frame stands for, as far as is known before they are looked at."""
        return self.frame_step or FRAME_STEP

    @property
    def selection(self) -> Selection:
        """Which frames are wanted."""
        return self.export.selection

    @property
    def factors(self) -> Factors | None:
        """That rain is multiplied by."""
        return self.export.recipe.factors

    @property
    def law(self) -> Law:
        """How rain follows from reflectivity."""
        return self.export.recipe.law
