"""Polygons from GeoJSON, GeoPackage, FlatGeobuf and shapefiles: names in any encoding, edges cut short, WGS 84."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from hsrgeo.cube.places import Polygons, plain
from hsrgeo.cube.vectors import read_layer
from hsrgeo.cube.weights import Ring
from hsrgeo.errors import MissingExtraError, OptionsError
from hsrgeo.products.datums import from_wgs84
from hsrgeo.sources.texts import refuse_special

_STEP_M = 250.0
# ^ longest piece of an edge that is projected as a straight line: the arc that a parallel is here stays within 1 mm
_STEP_DEGREES = 0.0025  # the same, of a CRS in degrees
_MOST_PIECES = 2_000_000  # of the edges of a polygon: 500,000 km; a corner that is far away would fill the memory
_BYTES = "ISO-8859-1"
_SHOWN = 10


def read_polygons(path: str | Path, *, name_field: str | None = None, encoding: str | None = None) -> Polygons:
    """Read polygons from GeoJSON, GeoPackage, FlatGeobuf or a shapefile.

    Edges are cut short in the file's own CRS, where they are straight, before they are projected. Polygons that cross
    themselves are put right, and noted.

    Args:
        path: The file; its first layer is read.
        name_field: Field that holds the names; None is the one called ``name``, in any case.
        encoding: Of the texts in a shapefile, such as CP949; None believes the file.

    Raises:
        MissingExtraError: pyogrio or shapely is not installed.
        OptionsError: Unreadable, without a CRS, a field of names, or a way to know their encoding; a feature that is
            no polygon, has no name, or the name of another one.
    """
    shapely = _shapely()
    said = _said_encoding(Path(path))
    # A .cpg file is believed; the other formats are UTF-8.
    own = encoding if said == "" else None
    # As Latin letters every byte is one; decoding is left to Python, for GDAL only warns of what is no text.
    meta, _fids, wkb, fields = read_layer(path, _BYTES if own else None)
    if not meta["crs"]:
        raise OptionsError(f"{path}: does not tell its CRS (a shapefile does in a .prj file)")
    try:
        labels = [_decoded_text(label, own) for label in meta["fields"]]
        texts = fields[_field(path, labels, name_field)]
        names = [plain(_decoded_text(_whole(text), own)) for text in texts]
    except (LookupError, UnicodeError) as error:
        raise OptionsError(f"{path}: its fields or names are not in {own}: {error}") from error
    _check_names(path, names, guessed=said == "" and encoding is None)
    crs, transformer = _crs(path, meta["crs"])
    step = _STEP_DEGREES if crs.is_geographic else _STEP_M / crs.axis_info[0].unit_conversion_factor
    mended: list[str] = []
    rings = []
    for name, data in zip(names, wkb, strict=True):
        where = f"{path}, {name!r}"
        shape = _polygon(shapely, where, data, mended, name)
        if not shape.length / step <= _MOST_PIECES:
            raise OptionsError(f"{where}: its edges are too long for a place, {shape.length:g} units of {crs.name}")
        rings.append(tuple(_rings(shapely, shapely.segmentize(shape, step), transformer)))
    notes = []
    if encoding and said and not _same_encoding(encoding, said):
        notes.append(f"{path}: its .cpg file says {said}, which is believed, not {encoding}")
    if mended:
        listed = ", ".join(mended[:_SHOWN]) + (", ..." if len(mended) > _SHOWN else "")
        notes.append(f"{len(mended)} polygons cross themselves and were put right: {listed}")
    return Polygons(tuple(names), tuple(rings), tuple(notes))


def _check_names(path: str | Path, names: Sequence[str], *, guessed: bool) -> None:
    """Refuse names that are missing, double, or read in an encoding that nobody named."""
    if not names:
        raise OptionsError(f"{path}: holds no polygon")
    for number, name in enumerate(names, 1):
        if name in ("", "None", "nan"):
            raise OptionsError(f"{path}, feature {number}: has no name")
        if guessed and not name.isascii():
            raise OptionsError(
                f"{path}: does not tell the encoding of its names (a .cpg file would): say so, CP949 or UTF-8 in Korea"
            )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise OptionsError(f"{path}: several polygons are called {twice[0]!r}; merge them, or take another name field")


def _said_encoding(path: Path) -> str | None:
    """Return the encoding that a shapefile's .cpg file says; empty where it leaves that to be guessed.

    None for other formats. GDAL takes a shapefile without a .cpg file for Latin letters.
    """
    if path.suffix.lower() != ".shp":
        return None
    for suffix in (".cpg", ".CPG"):
        with suppress(OSError):
            refuse_special(path.with_suffix(suffix), pipes=False)
            with path.with_suffix(suffix).open("rb") as file:
                return file.read(_CPG_BYTES).decode("ascii", "replace").strip()
    return ""


_CPG_BYTES = 64


def _same_encoding(one: str, other: str) -> bool:
    """Tell whether two names are of one encoding; a .cpg file may have the number alone."""
    names = [f"cp{name}" if name.isdigit() else name for name in (one.strip(), other.strip())]
    try:
        first, second = (codecs.lookup(name).name for name in names)
    except LookupError:
        return False
    return first == second or {first, second} <= {"cp949", "euc_kr", "uhc"}


def _decoded_text(text: object, encoding: str | None) -> object:
    """Return a text of a layer that was read byte by byte, decoded."""
    return text.encode(_BYTES).decode(encoding) if encoding and isinstance(text, str) else text


def _whole(value: object) -> object:
    """Return a whole number without the decimals that a field of real numbers gives it: 1001, not 1001.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shapely() -> Any:  # noqa: ANN401 - shapely has no types
    try:
        import shapely  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise MissingExtraError("pyogrio and shapely, to read polygons", "series") from error
    return shapely


def _field(path: str | Path, fields: Sequence[object], wanted: str | None) -> int:
    looked_for = (wanted or "name").casefold()
    for number, field in enumerate(fields):
        if str(field).casefold() == looked_for:
            return number
    listed = ", ".join(map(str, fields)) or "(none)"
    raise OptionsError(f"{path}: has no field {wanted or 'name'!r}; choose one of {listed}")


def _crs(path: str | Path, text: str) -> tuple[pyproj.CRS, pyproj.Transformer]:
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.ProjError as error:
        raise OptionsError(f"{path}: its CRS is not understood: {error}") from error
    if not crs.axis_info:
        raise OptionsError(f"{path}: its CRS is not understood: {crs.name} has no axes")
    try:
        return crs, from_wgs84(crs)
    except OptionsError as error:
        raise OptionsError(f"{path}: {error}") from error


def _polygon(shapely: Any, where: str, data: bytes | None, mended: list[str], name: str) -> Any:  # noqa: ANN401
    """Return a valid polygon or multipolygon."""
    try:
        shape = shapely.from_wkb(data) if data is not None else None
    except shapely.GEOSException as error:  # a ring that is not closed
        raise OptionsError(f"{where}: {error}") from error
    if shape is None or shape.is_empty or shape.geom_type not in ("Polygon", "MultiPolygon"):
        kind = "nothing" if shape is None or shape.is_empty else shape.geom_type
        raise OptionsError(f"{where}: expected a polygon, found {kind}")
    shape = shapely.force_2d(shape)
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise OptionsError(f"{where}: has corners that are no numbers")
    if not shape.is_valid:
        shape = shapely.make_valid(shape, method="structure")
        mended.append(name)
    if not shape.area:
        raise OptionsError(f"{where}: has no area")
    return shape


def _rings(shapely: Any, shape: Any, transformer: pyproj.Transformer) -> Iterator[Ring]:  # noqa: ANN401
    for part in shapely.get_parts(shapely.get_parts(shape)):
        if part.geom_type != "Polygon":  # a line that mending left
            continue
        oriented = shapely.orient_polygons(part)
        for ring in (oriented.exterior, *oriented.interiors):
            x, y = shapely.get_coordinates(ring).T
            yield np.column_stack(transformer.transform(x, y, direction="INVERSE"))
