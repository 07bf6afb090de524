"""Virtual rasters: of an output folder, and of stored frames where they are."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from hsrgeo.engine.colours import colours_of
from hsrgeo.errors import HsrGeoError, OptionsError, OutputExistsError, SourceError, as_value
from hsrgeo.formats.composite import decode
from hsrgeo.formats.names import claims_frame
from hsrgeo.gis.depth import times_of
from hsrgeo.gis.styles import qml
from hsrgeo.gis.vrt import raw_vrt, stack_vrt
from hsrgeo.model.grid import Registration
from hsrgeo.model.grid_catalog import grids_by
from hsrgeo.outputs.stacks import Stack, Stacks, stacks_of
from hsrgeo.products.rain import Law
from hsrgeo.sources.archive_formats import is_archive
from hsrgeo.sources.found import Found
from hsrgeo.sources.listing import expand, files_below
from hsrgeo.sources.remote import Place, listed_sources, local, target
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection
from hsrgeo.writers.files import write_file


@dataclass(frozen=True, slots=True)
class Stacked:
    """VRTs of an output folder that were written."""

    paths: tuple[Path, ...]
    """In a bucket each is a `hsrgeo.sources.remote.RemotePath`."""
    contents: Stacks
    """What they show, and what they had to leave out."""


def write_stacks(out: str | Path, *, region: str | None = None, law: Law | None = None) -> list[Path]:
    """Write ``OUT/[REGION/]stack.vrt``: the COGs of an export, sums or fields as the bands of one file.

    A style for QGIS lies beside it, ``stack.qml``.

    Where frames of a region differ in product or grid each kind gets a file, as ``stack-HSR.vrt``.

    Args:
        out: The output folder, with its ``manifest.jsonl`` and ``options.json``; it may be in a bucket.
        region: Only this region.
        law: By which reflectivity has the classes of rain in the style; None is KMA's own table of dBZ.

    Returns:
        The paths, a region at least one; in a bucket each is a `hsrgeo.sources.remote.RemotePath`.

    Raises:
        ManifestError: The folder is not the OUT of an export, its manifest is damaged, or no COG of it is there.
        OptionsError: It was exported as PNG only, or has no such region.
        ReadbackError: GDAL cannot open a COG.
        WriteError: The disk refused.
    """
    return list(make_stacks(target(out), region=region, law=law).paths)


def make_stacks(out: Place, *, region: str | None = None, law: Law | None = None) -> Stacked:
    """Write stacks as `write_stacks` does, and tell what is in them."""
    contents = stacks_of(out, region)
    paths: list[Path] = []
    for stack, name in zip(contents.stacks, _names(contents.stacks), strict=True):
        folder = out / stack.region if stack.region else out
        path = folder / name
        frames = [(time, _relative(Path(below), Path(stack.region))) for time, below in stack.frames]
        write_file(path, stack_vrt(stack.glance, frames, stack.statistics).encode())
        style = qml(stack.quantity, colours_of(stack, law), times_of(stack.duration))
        write_file(
            folder / f"{Path(name).stem}.qml", style.encode()
        )  # QGIS takes it when it opens the stack of that name
        paths.append(cast("Path", path))
    return Stacked(tuple(paths), contents)


def _names(stacks: Sequence[Stack]) -> Iterator[str]:
    used: Counter[tuple[str, str]] = Counter()
    for stack in stacks:
        others = [other for other in stacks if other.region == stack.region]
        parts = [
            *([stack.product] if len({other.product for other in others}) > 1 else []),
            *([_grid_name(stack)] if len({_grid_name(other) for other in others}) > 1 else []),
        ]
        name = "-".join(("stack", *parts))
        used[stack.region, name] += 1
        number = used[stack.region, name]
        yield f"{name}.vrt" if number == 1 else f"{name}-{number}.vrt"


def _grid_name(stack: Stack) -> str:
    seen = stack.glance
    return re.sub(r"[^\w.-]+", "-", seen.tags.get("GRID", "")) or f"{seen.width}x{seen.height}"  # EPSG:5179


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


@dataclass(frozen=True, slots=True)
class RawVrt:
    """What became of a stored frame."""

    source: str
    path: Path | None = None
    """The VRT; None where the frame is broken."""
    bands: int = 0
    packed: bool = False
    """The source is a ``.gz``."""
    beside: bool = False
    """GDAL 3.12 and newer read it without being asked to: unpacked, in the VRT's folder or below it."""
    error: HsrGeoError | None = None


def write_raw_vrts(
    sources: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    registration: Registration = "point",
) -> Iterator[RawVrt]:
    """Write a VRT for every stored frame; iterate the result to make it happen.

    GDAL then reads the frame's file itself, and checks neither CRC nor length: each frame is decoded once before, and
    a broken one gets no VRT. A file that is damaged later gives wrong pixels without a word.

    Args:
        sources: ``.bin`` and ``.bin.gz`` files, folders and globs.
        out: Folder for the VRTs; None is beside each frame.
        registration: What KMA's points are, as in `ExportOptions`.

    Returns:
        An iterator over what became of each frame.

    Raises:
        OptionsError: An archive: GDAL cannot jump in it; no such registration. Raised at once.
        SourceError: A source does not exist, or holds no frame. Raised at once.
    """
    grids_by(registration)
    listed = listed_sources(sources)
    files = _frame_files(listed)
    return _write_raw(files, None if out is None else local(out, "hsrgeo vrt"), registration)


def _frame_files(sources: Sequence[str | Path]) -> list[Path]:
    paths = expand(sources)
    below = [(local(file, "a raw VRT"), file == path) for path in paths for file in files_below(path)]
    frames = [file for file, named in below if not is_archive(file) and (named or claims_frame(file.name))]
    archives = [file for file, named in below if is_archive(file) and (named or not frames)]
    if archives:
        raise OptionsError(
            f"{archives[0]}: GDAL cannot read frames inside an archive in place: hsrgeo extract it first"
        )
    if not frames:
        raise SourceError(", ".join(map(str, sources)), "no frame (RDR_CMP_*.bin or .bin.gz) there")
    return frames


def _write_raw(files: Sequence[Path], out: Path | None, registration: Registration) -> Iterator[RawVrt]:
    taken: dict[Path, str] = {}
    for found in scan(files, Selection()):
        source = Path(found.source)
        path = (source.parent if out is None else out) / f"{source.name}.vrt"
        try:
            if path in taken:
                raise OutputExistsError(str(path), f"is that of {taken[path]}, which has the same name")
            made = _raw(found, source, path, registration)
        except HsrGeoError as error:
            yield RawVrt(found.source, error=as_value(error))
            continue
        taken[path] = found.source
        yield made


def _raw(found: Found, source: Path, path: Path, registration: Registration) -> RawVrt:
    if found.error is not None:
        raise found.error
    data = found.read()
    read = partial(decode, data, found.source, registration=registration)
    first = read()
    frames = [first, *(read(block=number) for number in range(2, first.blocks + 1))]
    packed = data.startswith(b"\x1f\x8b")
    below = _relative(source.absolute(), path.absolute().parent)
    if packed:
        # GDAL takes /vsigzip/ paths for absolute ones whatever relativeToVRT says.
        text = raw_vrt(frames, f"/vsigzip/{source.absolute().as_posix()}", relative=False)
    else:
        text = raw_vrt(frames, below, relative=True)
    write_file(path, text.encode())
    return RawVrt(found.source, path, len(frames), packed, beside=not packed and not below.startswith("../"))
