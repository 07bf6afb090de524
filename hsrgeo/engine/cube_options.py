"""What to make a cube of; the command line and the library share these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hsrgeo.cube.store import Layout
from hsrgeo.engine.options import ExportOptions
from hsrgeo.errors import OptionsError
from hsrgeo.model.times import FRAME_STEP

Layouts = Literal["map", "series", "both"]


@dataclass(frozen=True, kw_only=True)
class CubeOptions:
    """What `hsrgeo.make_cube` makes of its sources.

    Raises:
        OptionsError: Options that contradict each other or cannot be.
    """

    frames: ExportOptions = field(default_factory=ExportOptions)
    """Which frames, and what is made of each: area, time, quantity, projection, values, jobs, overwrite. Formats,
    compression, name and regions are those of pictures and mean nothing here."""
    layout: Layouts = "map"
    """``map`` is quick to read at a time, ``series`` at a place, ``both`` has a group of each."""
    zarr_format: Literal[2, 3] = 3
    attrs: Mapping[str, str] = field(default_factory=dict)
    """Global attributes to add or replace, such as ``license`` or ``mlcast_created_by``."""

    def __post_init__(self) -> None:
        if self.layout not in ("map", "series", "both"):
            raise OptionsError(f"layout {self.layout!r}: expected map, series or both")
        if self.zarr_format not in (2, 3):
            raise OptionsError(f"zarr format {self.zarr_format!r}: expected 2 or 3")
        if self.frames.regions is not None:
            raise OptionsError("regions: a cube has one area; make one cube for each")

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts, one or two."""
        return ("map", "series") if self.layout == "both" else (self.layout,)

    def recipe(self, *, netcdf: bool) -> dict[str, Any]:
        """Return what decides the values of the cube, as plain values: later runs must say the same."""
        step = self.frames.every or FRAME_STEP
        kept = self.frames.recipe.as_json()
        for name in ("formats", "compress", "name"):
            del kept[name]
        form = "netcdf" if netcdf else f"zarr {self.zarr_format}"
        return {**kept, "step_minutes": int(step.total_seconds()) // 60, "layout": self.layout, "format": form}
