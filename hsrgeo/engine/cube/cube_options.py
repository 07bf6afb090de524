"""What to make a cube of; the command line and the library share these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hsrgeo.cube.store import Layout
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import OptionsError
from hsrgeo.model.file_blocks import ALL
from hsrgeo.model.times import FRAME_STEP
from hsrgeo.sources.remote import Place, RemotePath

Layouts = Literal["map", "series", "both"]
Form = Literal["zarr", "netcdf", "json", "parquet"]
_STORED: dict[str, Form] = {".zarr": "zarr", ".nc": "netcdf"}


@dataclass(frozen=True, kw_only=True)
class CubeOptions:
    """What `hsrgeo.make_cube` makes of its sources.

    Args:
        frames: Which frames, and what is made of each: area, time, quantity, projection, values, jobs, overwrite.
            Formats, compression, name and regions are those of pictures and mean nothing here.
        layout: ``map`` is quick to read at a time, ``series`` at a place, ``both`` has a group of each.
        zarr_format: None is 3, and 2 of references, which know no other.
        virtual: Copy no values: make a reference that tells where each frame is, read through a codec of hsrgeo's.
        attrs: Global attributes to add or replace, such as ``license`` or ``mlcast_created_by``.

    Raises:
        OptionsError: Options that contradict each other or cannot be.
    """

    frames: ExportOptions = field(default_factory=ExportOptions)
    layout: Layouts = "map"
    zarr_format: Literal[2, 3] | None = None
    virtual: bool = False
    attrs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.layout not in ("map", "series", "both"):
            raise OptionsError(f"layout {self.layout!r}: expected map, series or both")
        if self.zarr_format not in (None, 2, 3):
            raise OptionsError(f"zarr format {self.zarr_format!r}: expected 2 or 3")
        if self.layout == "both" and self.written_format == 3 and not __debug__:  # noqa: PLR2004
            raise OptionsError(
                "layout both: zarr cannot read a group in a group under python -O: choose map or series, or drop -O"
            )
        if self.frames.block == ALL:
            raise OptionsError(
                "block all: a cube has one variable; in Python hsrgeo.open(..., block='all') has every block"
            )
        if self.frames.regions is not None:
            raise OptionsError("regions: a cube has one area; make one cube for each")
        if self.frames.bias is not None:
            raise OptionsError("bias is for exports, sums and series: a cube contains rain as the radar saw it")
        if self.frames.dry_run or self.frames.dask is not None:
            raise OptionsError("dry_run and dask are for exports; a cube is made on this machine")
        if self.virtual and self.layout != "map":
            raise OptionsError(
                f"layout {self.layout}: a frame of a reference lies as it does in its file, which is map"
            )
        if self.virtual and self.zarr_format == 3:  # noqa: PLR2004
            raise OptionsError("zarr format 3: the specification of references has version 2 only")

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts, one or two."""
        return ("map", "series") if self.layout == "both" else (self.layout,)

    @property
    def written_format(self) -> Literal[2, 3]:
        """The version of Zarr."""
        return self.zarr_format or (2 if self.virtual else 3)

    def form(self, out: Place) -> Form:
        """Return what the name of the output says that it is to be.

        Raises:
            OptionsError: Nothing that is known, or not with these options.
        """
        forms: dict[str, Form] = {".json": "json", ".parquet": "parquet"} if self.virtual else _STORED
        suffix = out.suffix.lower()
        if suffix not in forms:
            hint = " (or give --virtual, for references)" if suffix in (".json", ".parquet") else ""
            raise OptionsError(f"{out}: expected a cube's name that ends in {' or '.join(forms)}{hint}")
        if isinstance(out, RemotePath):
            if suffix in (".nc", ".parquet"):
                raise OptionsError(
                    f"out {out}: in a bucket a cube is .zarr and a reference .json; write it here, and copy it"
                )
            if suffix == ".zarr" and self.written_format != 3:  # noqa: PLR2004
                raise OptionsError("zarr format 2: a cube in a bucket is of format 3; 2 cannot be replaced at once")
        if suffix == ".nc" and self.zarr_format is not None:
            raise OptionsError(f"zarr format {self.zarr_format}: {out} is NetCDF; give a name that ends in .zarr")
        if suffix == ".nc" and self.layout == "both":
            raise OptionsError("layout both: a NetCDF file contains one layout, map or series")
        return forms[suffix]

    def recipe(self, form: Form) -> dict[str, Any]:
        """Return what decides the values of the cube, as plain values: later runs must say the same."""
        step = self.frames.every or FRAME_STEP
        kept = self.frames.recipe.as_json()
        for name in ("formats", "compress", "name"):
            del kept[name]
        form_text = "netcdf" if form == "netcdf" else f"zarr {self.written_format}"
        return {**kept, "step_minutes": int(step.total_seconds()) // 60, "layout": self.layout, "format": form_text}
