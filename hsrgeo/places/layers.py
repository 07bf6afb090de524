"""Layers of named places from GeoJSON, GeoPackage, FlatGeobuf and shapefiles: names in any encoding, and a CRS."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyproj

from hsrgeo.errors import OptionsError, needs
from hsrgeo.model.texts import plain
from hsrgeo.places.vectors import read_layer
from hsrgeo.products.datums import from_wgs84
from hsrgeo.sources.encodings import check_encoding, is_utf8, unreadable
from hsrgeo.sources.texts import refuse_special

_BYTES = "ISO-8859-1"


@dataclass(frozen=True, slots=True)
class Layer:
    """The first layer of a file."""

    names: tuple[str, ...]
    wkb: Sequence[bytes | None]
    crs: pyproj.CRS
    transformer: pyproj.Transformer
    """From degrees (WGS 84) to `crs`."""
    notes: tuple[str, ...]


def read_named(
    path: str | Path, what: str, name_field: str | None, encoding: str | None, *, numbered: bool = False
) -> Layer:
    """Read a layer of places with names.

    Args:
        path: The file.
        what: A word for one of its features, for messages.
        name_field: Field that holds the names; None is the one called ``name``, in any case.
        encoding: Of the texts in a shapefile, such as CP949; None believes the file.
        numbered: Whether the features are called 1, 2 and so on, whatever fields they have.

    Raises:
        MissingExtraError: pyogrio is not installed.
        OptionsError: Unreadable, without a CRS, a field of names, or a way to know their encoding; a feature that has
            no name, or the name of another one.
    """
    if encoding is not None:
        check_encoding(encoding)
    said = _said_encoding(Path(path))
    if said is None and not is_utf8(encoding):
        raise OptionsError(f"{path}: encoding is for a CSV or a shapefile; other formats are UTF-8")
    # A .cpg file is believed; the other formats are UTF-8.
    own = encoding if said == "" else None
    guessed = said == "" and encoding is None and not numbered
    # As Latin letters every byte is one; decoding is left to Python, for GDAL only warns of what is no text.
    meta, _fids, wkb, fields = read_layer(path, f"{what}s", _BYTES if own else None)
    if not meta["crs"]:
        advice = "`ogr2ogr -a_srs EPSG:5179 OUT IN` gives it one, where 5179 stands for the right one"
        raise OptionsError(f"{path}: has no CRS (a shapefile has it in a .prj file; {advice})")
    if numbered:
        names = [str(number) for number in range(1, len(wkb) + 1)]
    else:
        try:
            labels = [_decoded_text(label, own) for label in meta["fields"]]
            texts = fields[_field(path, labels, name_field, guessed=guessed)]
            names = [plain(_decoded_text(_whole(text), own)) for text in texts]
        except UnicodeError as error:
            raise OptionsError(f"{path}: its fields or names are not in {own}: {unreadable(error)}") from error
    _check_names(path, what, names, guessed=guessed)
    crs, transformer = transformer_of(path, meta["crs"])
    notes = []
    if encoding and said and not _same_encoding(encoding, said):
        notes.append(f"{path}: its .cpg file says {said}, which is used instead of {encoding}")
    return Layer(tuple(names), wkb, crs, transformer, tuple(notes))


def _check_names(path: str | Path, what: str, names: Sequence[str], *, guessed: bool) -> None:
    """Refuse names that are missing, double, or read in an encoding that nobody named."""
    if not names:
        raise OptionsError(f"{path}: contains no {what}")
    for number, name in enumerate(names, 1):
        if name in ("", "None", "nan"):
            raise OptionsError(f"{path}, feature {number}: has no name")
        if guessed and not name.isascii():
            raise OptionsError(
                f"{path}: the encoding of its names is unknown (no .cpg file): give it, in Korea CP949 or UTF-8"
            )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise OptionsError(f"{path}: several {what}s are called {twice[0]!r}; merge them, or take another name field")


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


def shapely_for(what: str) -> Any:  # noqa: ANN401 - shapely has no types
    """Return shapely."""
    with needs(f"pyogrio and shapely, to read {what}", "series"):
        import shapely  # noqa: PLC0415 - an optional extra
    return shapely


def _field(path: str | Path, fields: Sequence[object], wanted: str | None, *, guessed: bool) -> int:
    looked_for = (wanted or "name").casefold()
    for number, field in enumerate(fields):
        if str(field).casefold() == looked_for:
            return number
    listed = ", ".join(map(str, fields)) or "(none)"
    hint = "; if these look wrong, say the encoding, as --encoding cp949" if guessed and not listed.isascii() else ""
    raise OptionsError(f"{path}: has no field {wanted or 'name'!r}; choose one of {listed}{hint}")


def transformer_of(path: str | Path, text: str) -> tuple[pyproj.CRS, pyproj.Transformer]:
    """Return a CRS, and what leads from degrees to it (`hsrgeo.products.datums.from_wgs84`).

    Raises:
        OptionsError: It is not understood, or has no way there.
    """
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.ProjError as error:
        raise OptionsError(f"{path}: its CRS is not understood: {error}") from error
    if not (crs.is_projected or crs.is_geographic or "Projected" in crs.type_name) or not crs.axis_info:
        expected = "expected a map of x and y, or longitude and latitude, such as EPSG:5186"
        raise OptionsError(f"{path}: its CRS is {crs.name}, of type {crs.type_name}: {expected}")
    try:
        return crs, from_wgs84(crs)
    except OptionsError as error:
        raise OptionsError(f"{path}: {error}") from error


def refuse_metres(where: str, crs: pyproj.CRS, x: float, y: float) -> None:
    """Refuse coordinates that cannot be degrees in a CRS of degrees, which GeoJSON has where it names none.

    Raises:
        OptionsError: They are none.
    """
    if crs.is_geographic and max(abs(x), abs(y)) > 360:  # noqa: PLR2004 - no angle, whatever the order
        expected = f"expected degrees, as in {crs.name}, found {x:g} {y:g}"
        raise OptionsError(f"{where}: {expected}; these look like metres: name their CRS")
