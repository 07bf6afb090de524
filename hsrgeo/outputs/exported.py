"""An exported folder as a source: its COGs as frames, in their own grid, cut and maybe rain already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from hsrgeo.errors import HsrGeoError, OptionsError, ReadbackError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.header import SYNTHETIC_MARK, Header
from hsrgeo.model.quantity import Quantity, quantity_of_tags
from hsrgeo.model.times import KST
from hsrgeo.model.window import Window
from hsrgeo.outputs.manifest import Manifest, recipe_of
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.sources.found import Tally
from hsrgeo.sources.select import Selection
from hsrgeo.writers.environment import output_below
from hsrgeo.writers.readback import read_picture


@dataclass(frozen=True, slots=True)
class Exported:
    """A COG that the manifest tells of, or a frame that could not be exported."""

    path: Path
    told: FrameName | None
    label: str
    error: HsrGeoError | None = None


def exported_frames(
    out: Path,
    selection: Selection,
    region: str = "",
    tally: Tally | None = None,
    times: set[datetime] | None = None,
) -> Iterator[Exported]:
    """Yield the wanted frames of an export, by time, and those that it could not export.

    Args:
        out: The folder.
        selection: Which frames are wanted.
        region: Name of one of its regions; empty where it has only one.
        tally: Counts the others.
        times: Takes in every time that the export has of the product, wanted or not, see `export_step`.

    Raises:
        ManifestError: It has no options, or a damaged manifest.
        OptionsError: It has several regions, not the one asked for, or no COGs.
    """
    recipe = recipe_of(out)
    if "cog" not in recipe.formats:
        raise OptionsError(f"{out} holds PNGs only, which do not tell nodata from no echo: export COGs")
    regions = [cut.region for cut in recipe.cuts]
    if region and region not in regions:
        raise OptionsError(f"region {region!r}: {out} has {_listed(regions)}")
    if not region and len(regions) > 1:
        raise OptionsError(f"{out} has several regions: choose one with --region, of {_listed(regions)}")
    chosen = region or regions[0]
    with Manifest(out, read_only=True) as manifest:
        lines = sorted(manifest, key=lambda line: (line.told.time.timestamp() if line.told else 0, line.label))
        for line in _of_written_products(lines):
            if times is not None and line.told is not None and selection.wants_product(line.told):
                times.add(line.told.time)
            if line.told is not None and not selection.wants(line.told):
                if tally is not None and line.status in ("ok", "failed"):
                    tally.leave_out(line.told)
                continue
            if line.status == "failed":
                yield Exported(out, line.told, line.label, line.error or HsrGeoError(line.label))
            elif line.status == "ok" and line.told is not None:
                yield _exported(out, f"{recipe.stem(line.told, chosen)}.tif", line.told, line.label)


def _exported(out: Path, cog: str, told: FrameName, label: str) -> Exported:
    try:
        return Exported(output_below(out, cog), told, label)
    except ReadbackError as error:
        return Exported(out / cog, told, label, error)


def _of_written_products(lines: list[Outcome]) -> list[Outcome]:
    """Return the lines without frames that failed and are of a product of which nothing was written."""
    written = {line.told.product for line in lines if line.status == "ok" and line.told}
    if not written:
        return lines
    return [line for line in lines if line.told is None or line.told.product in written]


def read_exported(path: Path) -> Frame:
    """Return the frame that an exported COG holds; what a COG does not keep of a header is zero.

    Raises:
        ReadbackError: GDAL cannot read it, or it is no COG of this program.
    """
    picture = read_picture(path)
    pixels, tags, quantity = picture.pixels, picture.tags, _quantity(path, picture.tags)
    try:
        time = datetime.fromisoformat(tags["TIME_START_UTC"]).astimezone(KST)
    except (KeyError, ValueError) as error:
        raise ReadbackError(str(path), f"has no time of a frame: {error!r}") from error
    grid = Grid(tags.get("GRID", ""), picture.wkt, picture.transform, pixels.shape[1], pixels.shape[0])
    if not picture.wkt or pixels.dtype != np.int16:
        raise ReadbackError(str(path), f"is no COG of hsrgeo: {pixels.dtype} with {'a' if picture.wkt else 'no'} CRS")
    return Frame(
        stored=pixels,
        quantity=quantity,
        grid=grid,
        window=Window(0, 0, grid.width, grid.height),
        time=time,
        header=header_of(time, grid, synthetic=tags.get("SYNTHETIC") == "yes"),
        product=tags.get("PRODUCT", ""),
        kind=tags.get("KIND", ""),
        name=path.name,
        crc32=0,
        block=1,
        blocks=1,
        cleaned=tags.get("VALUES") == "clean",
        derived=tuple((name, tags[name]) for name in ("RAIN_LAW", "BIAS_SOURCE", "BIAS_FACTOR") if name in tags),
    )


def _quantity(path: Path, tags: Mapping[str, str]) -> Quantity:
    quantity = quantity_of_tags(tags)
    if quantity is None:
        name = tags.get("QUANTITY") or "nothing that it names"
        raise ReadbackError(str(path), f"holds {name}, which is no quantity of hsrgeo")
    return quantity


def header_of(time: datetime, grid: Grid, *, synthetic: bool) -> Header:
    """Return a header of what an output does not keep of one: zeros."""
    return Header(
        version=0,
        ptype=0,
        time=time,
        created=None,
        station_count=0,
        map_code=0,
        map_etc=0,
        nx=grid.width,
        ny=grid.height,
        nz=1,
        dxy=round(grid.cell_size_m),
        dz=0,
        z_min=0,
        num_data=1,
        data_codes=(),
        etc=SYNTHETIC_MARK if synthetic else b"",
        stations=(),
    )


def _listed(regions: list[str]) -> str:
    return ", ".join(regions) if any(regions) else "no regions"
