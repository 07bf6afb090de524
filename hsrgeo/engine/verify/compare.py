"""One frame's outputs against a fresh decode of it. Runs in a worker.

What a file must hold is worked out here from the facts of the format and the rules of GDAL, not by asking the writers;
only the wording of tags is theirs.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray

from hsrgeo.engine.verify.findings import EDITED, Difference, Finding, Findings, differ, size_of
from hsrgeo.engine.verify.odim import odim_differences
from hsrgeo.engine.verify.structure import compare_structure
from hsrgeo.errors import FrameError, ReadbackError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import Quantity
from hsrgeo.outputs.outcome import Output
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.products.classes import colours
from hsrgeo.sources.texts import open_file
from hsrgeo.writers.environment import output_below
from hsrgeo.writers.plain import plain_tags
from hsrgeo.writers.png import is_edited_sidecar
from hsrgeo.writers.readback import DRIVERS, Picture, read_picture
from hsrgeo.writers.rgba import read_rgba, rgba_tags
from hsrgeo.writers.tags import frame_tags, imagery_tags, png_tags, statistics_tags

_PNG_FLOOR = -1000  # KMA composite format, section 6: max(stored, -1000) + 1000


def compare_outputs(
    frames: Sequence[Frame], frame_name: FrameName, recipe: Recipe, out: Path, outputs: tuple[Output, ...]
) -> Iterator[Difference]:
    """Yield every difference between a frame and the files that an export made of it.

    The blocks are freshly decoded, the main one first.

    Raises:
        WindowError: An area of the recipe does not fit the frame's grid.
    """
    listed = {output.path: output for output in outputs}
    for cut in recipe.cuts:
        dry = False
        for number, (block, part) in enumerate(recipe.parts(frames, cut)):
            dry = recipe.is_dry(part) if number == 0 else dry
            for suffix in () if dry else recipe.suffixes:
                path = recipe.stem(frame_name, cut.region) + block + suffix
                output = listed.pop(path, None)
                for finding in _compare_file(out, path, output, part, recipe):
                    yield Difference(path, finding.problem, str(finding.expected), str(finding.found))
    for path in listed:
        yield Difference(path, "in the manifest", "only outputs of this folder's recipe", "another path")


def _compare_file(out: Path, name: str, output: Output | None, part: Frame, recipe: Recipe) -> Findings:
    try:
        path = output_below(out, name)
        with open_file(path) as file:
            data = file.read()
    except (OSError, ReadbackError) as error:
        wanted = f"{output.bytes:,} bytes" if output else "a file"
        found = error.strerror or error if isinstance(error, OSError) else error.problem
        yield Finding("file", wanted, "no such file" if isinstance(error, FileNotFoundError) else found)
        return
    if output and len(data) != output.bytes and is_edited_sidecar(path.name, data):
        # Pixels, CRS, scale and tags are compared where the PNG is read, for GDAL has them from here.
        finding = Finding(EDITED, f"{output.bytes:,} bytes", f"{len(data):,}, with the same place")
        yield from list(_compare_aux(data, part)) or [finding]
        return
    if output is None:
        yield Finding("in the manifest", "an entry for this file", "none")
    else:
        yield from differ("size in bytes", f"{output.bytes:,}", f"{len(data):,}")
        yield from differ("CRC-32 of the file", f"{output.crc32:08x}", f"{zlib.crc32(data):08x}")
    try:
        compare = next(compare for suffix, compare in _BY_SUFFIX.items() if path.name.endswith(suffix))
        yield from compare(path, data, part, recipe)
    except ReadbackError as error:
        yield Finding("reading it", "a raster file that GDAL can read", error.problem)
    except FrameError as error:
        yield Finding("reading it", error.expected, error.found)


def _compare_cog(path: Path, data: bytes, part: Frame, recipe: Recipe) -> Findings:
    picture = read_picture(path)
    quantity = part.quantity
    yield from _compare_format(picture, "GTiff", "int16")
    yield from _compare_pixels("pixels", part.raw, picture.pixels)
    yield from _compare_place(picture, part)
    yield from differ("nodata", quantity.nodata, picture.nodata)
    yield from _compare_scale(picture, quantity, quantity.offset)
    yield from _compare_tags("tag", frame_tags(part) | {"AREA_OR_POINT": "Area"}, picture.tags)
    yield from _compare_tags("IMAGERY tag", imagery_tags(part), picture.imagery_tags)
    yield from _compare_tags("band tag", statistics_tags(part), picture.band_tags)
    yield from compare_structure(picture, data, part, recipe)


def _compare_png(path: Path, _data: bytes, part: Frame, recipe: Recipe) -> Findings:
    picture = read_picture(path)
    quantity = part.quantity
    shifted = np.maximum(part.stored.astype(np.int32), _PNG_FLOOR) - _PNG_FLOOR
    yield from _compare_format(picture, "PNG", "uint16")
    yield from _compare_pixels("pixels", shifted, picture.pixels)
    if not recipe.sidecars:
        return
    yield from _compare_place(picture, part)
    # In rain 0 stands for nodata alone, for a dry cell is stored as 0 and shifted; else it is low echo too.
    hole = 0 if quantity.undetect > _PNG_FLOOR > quantity.nodata else None
    yield from differ("nodata", hole, picture.nodata)
    yield from _compare_scale(picture, quantity, quantity.offset + _PNG_FLOOR * quantity.gain)
    yield from _compare_tags("tag", png_tags(part), picture.tags)


def _compare_mask(path: Path, _data: bytes, part: Frame, _recipe: Recipe) -> Findings:
    picture = read_picture(path)
    yield from _compare_format(picture, "PNG", "uint8")
    yield from _compare_pixels("pixels", np.where(np.isnan(part.physical(0.0)), 0, 255), picture.pixels)


def _compare_world_file(data: bytes, part: Frame) -> Findings:
    t = part.grid.transform
    centre = t.c + t.a / 2, t.f + t.e / 2
    found = tuple(map(_float_or_text, data.decode("utf-8", "backslashreplace").split()))
    expected = tuple(map(_rounded, (t.a, t.d, t.b, t.e, *centre)))
    yield from differ("cell sizes, rotation and centre of the north-west cell", expected, found)


def _compare_aux(data: bytes, part: Frame) -> Findings:
    # GDAL reads CRS, scale and tags of a PNG from here, but its place from the world file; others do it the other way.
    place = re.search(rb"<GeoTransform>([^<]*)</GeoTransform>", data)
    numbers = place[1].decode("utf-8", "backslashreplace").split(",") if place else []
    yield from differ("GeoTransform", _six(part.grid.transform), tuple(map(_float_or_text, numbers)))


def _compare_odim(_path: Path, data: bytes, part: Frame, _recipe: Recipe) -> Findings:
    pixels, differences = odim_differences(data, part)
    yield from differences
    if pixels is not None:
        yield from _compare_pixels("pixels", part.raw, pixels)


def _compare_float(path: Path, _data: bytes, part: Frame, recipe: Recipe) -> Findings:
    picture = read_picture(path)
    yield from differ("format", "GTiff", picture.driver)
    yield from differ("bands", 1, picture.bands)
    yield from _compare_physical(part, picture.pixels.astype(np.float32), recipe)
    yield from _compare_place(picture, part)
    yield from differ("nodata", "nan", str(picture.nodata))
    yield from differ("unit", part.quantity.unit, picture.unit)
    yield from _compare_tags("tag", plain_tags(part, recipe.undetect) | {"AREA_OR_POINT": "Area"}, picture.tags)
    yield from _compare_tags("IMAGERY tag", imagery_tags(part), picture.imagery_tags)


def _compare_asc(_path: Path, data: bytes, part: Frame, recipe: Recipe) -> Findings:
    lines = data.decode("ascii", "replace").splitlines()
    left, bottom, _right, _top = part.grid.bounds
    height, width = part.shape
    expected = {"ncols": width, "nrows": height, "xllcorner": left, "yllcorner": bottom}
    expected |= {"cellsize": part.grid.transform.a, "NODATA_value": _ASC_NODATA}
    for line, (name, value) in zip(lines, expected.items(), strict=False):
        key, _space, text = line.partition(" ")
        yield from differ(name, _rounded(value), _float_or_text(text) if key == name else line)
    try:
        pixels = np.array([row.split() for row in lines[len(expected) :]], np.float32).reshape(height, width)
    except ValueError:
        yield Finding("rows", f"{height} of {width} numbers", "something else")
        return
    pixels[pixels == _ASC_NODATA] = np.nan
    yield from _compare_physical(part, pixels, recipe)


_ASC_NODATA = -9999


def _compare_physical(part: Frame, found: NDArray[np.float32], recipe: Recipe) -> Findings:
    # No rain is 0, no echo -250 dBZ, and what holds no height has none.
    usual = {"mm/h": 0.0, "dBZ": -250.0}.get(part.quantity.unit, np.nan)
    expected = part.physical(usual if recipe.undetect is None else recipe.undetect)
    yield from _compare_pixels("pixels", *(np.where(np.isnan(one), -np.inf, one) for one in (expected, found)))


def _compare_rgba(path: Path, _data: bytes, part: Frame, recipe: Recipe) -> Findings:
    picture, is_cog = read_picture(path), path.suffix == ".tif"
    yield from differ("format", DRIVERS[path.suffix], picture.driver)
    yield from differ("bands", 4, picture.bands)
    palette = recipe.palette
    fits = palette is None or part.block == 1 or palette.unit in ("", part.quantity.unit)
    expected = colours(part.stored, part.quantity, palette if fits else None)
    yield from _compare_pixels(
        "pixels", *(np.ascontiguousarray(one).view("<u4")[..., 0] for one in (expected, read_rgba(path)))
    )
    if not is_cog and not recipe.sidecars:
        return
    yield from _compare_place(picture, part)
    tags = rgba_tags(part) | {"AREA_OR_POINT": "Area"} if is_cog else png_tags(part)
    yield from _compare_tags("tag", tags, picture.tags)


_BY_SUFFIX: dict[str, Callable[[Path, bytes, Frame, Recipe], Findings]] = {
    ".float32.tif": _compare_float,
    ".asc": _compare_asc,
    ".rgba.tif": _compare_rgba,
    ".rgba.png": _compare_rgba,
    ".rgba.pgw": lambda _path, data, part, _recipe: _compare_world_file(data, part),
    ".rgba.png.aux.xml": lambda _path, data, part, _recipe: _compare_aux(data, part),
    ".rgba.webp": _compare_rgba,
    ".rgba.wpw": lambda _path, data, part, _recipe: _compare_world_file(data, part),
    ".rgba.webp.aux.xml": lambda _path, data, part, _recipe: _compare_aux(data, part),
    ".tif": _compare_cog,
    ".h5": _compare_odim,
    ".mask.png": _compare_mask,
    ".png": _compare_png,
    ".pgw": lambda _path, data, part, _recipe: _compare_world_file(data, part),
    ".prj": lambda _path, data, part, _recipe: _compare_crs(data.decode("utf-8", "replace"), part),
    ".png.aux.xml": lambda _path, data, part, _recipe: _compare_aux(data, part),
}
"""Each file of `hsrgeo.writers.rasters.RASTERS`; a name has the first suffix that it ends in."""


def _float_or_text(text: str) -> float | str:
    try:
        return _rounded(float(text))
    except ValueError:
        return text


def _compare_format(picture: Picture, driver: str, dtype: str) -> Findings:
    yield from differ("format", driver, picture.driver)
    yield from differ("bands", 1, picture.bands)
    yield from differ("pixel type", dtype, str(picture.pixels.dtype))


def _compare_pixels(what: str, expected: NDArray[Any], found: NDArray[Any]) -> Findings:
    if expected.shape != found.shape:
        yield Finding(f"size of {what}", size_of(expected), size_of(found))
    elif not np.array_equal(expected, found):
        rows, cols = np.nonzero(expected != found)
        row, col = int(rows[0]), int(cols[0])
        yield Finding(
            f"{what}, {len(rows):,} of {found.size:,} differ, the first in row {row}, column {col}",
            expected[row, col],
            found[row, col],
        )


def _compare_place(picture: Picture, part: Frame) -> Findings:
    yield from differ("transform", _six(part.grid.transform), _six(picture.transform))
    yield from _compare_crs(picture.wkt, part)


def _compare_crs(wkt: str, part: Frame) -> Findings:
    expected, found = _projection(part.grid.wkt2), _projection(wkt)
    if found is None or expected is None or (found["method"] == _NO_METHOD) != (expected["method"] == _NO_METHOD):
        yield Finding("CRS", f"that of {part.grid.name}", wkt or "none")
        return
    for name in sorted({*expected, *found}):
        yield from differ(f"CRS, {name}", expected.get(name), found.get(name))


_NO_METHOD = "degrees"


@lru_cache(maxsize=64)
def _projection(wkt: str) -> Mapping[str, object] | None:
    """Return what decides where a coordinate lies, or None; names may change on the way through GDAL.

    So does the order of axes: a geotransform puts east first whatever the CRS says, and ESRI's form knows no order.
    """
    try:
        crs = pyproj.CRS.from_wkt(wkt)
    except pyproj.exceptions.CRSError:
        return None
    operation, ellipsoid, meridian = crs.coordinate_operation, crs.ellipsoid, crs.prime_meridian
    if (operation is None and not crs.is_geographic) or ellipsoid is None or meridian is None:
        return None
    params = operation.params if operation else []
    numbers = {param.name: float(param.value) * param.unit_conversion_factor for param in params}
    numbers["semi-major axis"] = ellipsoid.semi_major_metre
    numbers["semi-minor axis"] = ellipsoid.semi_minor_metre
    numbers["prime meridian"] = float(meridian.longitude) * float(meridian.unit_conversion_factor)
    rounded = {name: float(f"{number:.12g}") for name, number in numbers.items()}
    axes = " ".join(sorted(f"{axis.direction} {axis.unit_conversion_factor:g}" for axis in crs.axis_info))
    return {**rounded, "method": operation.method_name if operation else _NO_METHOD, "axes": axes}


def _compare_scale(picture: Picture, quantity: Quantity, offset: float) -> Findings:
    yield from differ("scale", f"{quantity.gain:.10g}", f"{picture.scale:.10g}")
    yield from differ("offset", f"{offset:.10g}", f"{picture.offset:.10g}")
    yield from differ("unit", quantity.unit, picture.unit)
    yield from differ("name of the band", quantity.name, picture.description)


def _compare_tags(what: str, expected: Mapping[str, str], found: Mapping[str, str]) -> Findings:
    for name in sorted({*expected, *found}):
        yield from differ(f"{what} {name}", expected.get(name), found.get(name))


def _six(transform: Affine) -> tuple[float, ...]:
    return tuple(map(_rounded, transform.to_gdal()))


def _rounded(number: float) -> float:
    return float(f"{number:.12g}")  # a world file gives a centre, and the way back to the corner costs a last digit
