"""``options.json``: the recipe that an output folder was made with, beside the manifest."""

from __future__ import annotations

import json
import re
import warnings
import zlib
from collections.abc import Mapping
from typing import Any

from hsrgeo import __version__
from hsrgeo.errors import HsrGeoWarning, ManifestError, in_the_way
from hsrgeo.model.texts import json_line
from hsrgeo.outputs.journal import has_lines
from hsrgeo.outputs.names import MANIFEST, OPTIONS
from hsrgeo.outputs.recipe import KEYS, Recipe, recipe_from_json
from hsrgeo.sources.remote import Place
from hsrgeo.sources.texts import read_regular
from hsrgeo.writers.files import write_file


def kept_recipe(out: Place) -> dict[str, Any] | None:
    """Return the recipe that an output folder was made with, or None where there is none yet.

    Raises:
        ManifestError: It cannot be read.
    """
    try:
        return _recipe_in(out)
    except ValueError as error:
        problem = f"is damaged ({error}): the same hsrgeo export as before mends it"
        raise ManifestError(str(out / OPTIONS), problem) from error


def _recipe_in(out: Place) -> dict[str, Any] | None:
    """Return what `kept_recipe` does.

    Raises:
        ManifestError: The file cannot be opened or read.
        ValueError: It is damaged, as a power cut may leave it.
    """
    try:
        data = read_regular(out / OPTIONS)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise ManifestError(str(out), in_the_way(str(out)) or "is a file, and must be a folder") from error
    except OSError as error:
        raise ManifestError(str(out / OPTIONS), f"cannot be read: {error.strerror or error}") from error
    try:
        return dict(json.loads(data)["recipe"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("empty" if not data.strip(b"\0") else repr(error)) from error


def recipe_of(out: Place) -> Recipe:
    """Return the recipe that an output folder was made with.

    Raises:
        ManifestError: There is none, or it is damaged.
    """
    kept = kept_recipe(out)
    if kept is None:
        problem = f"there is a {MANIFEST} but no {OPTIONS}: the same hsrgeo export as before mends it"
        raise ManifestError(str(out), problem)
    try:
        return recipe_from_json(kept)
    except ValueError as error:
        raise ManifestError(str(out / OPTIONS), f"is damaged: {error!r}") from error


def keep_recipe(out: Place, recipe: Recipe, *, sync: bool = True) -> None:
    """Write down what an output folder is made with."""
    kept = {"hsrgeo": __version__, "recipe": recipe.as_json()}
    write_file(out / OPTIONS, json.dumps(kept, ensure_ascii=False, indent=1).encode() + b"\n", sync=sync)


def refuse_other_recipe(out: Place, recipe: Recipe) -> bool:
    """Refuse to mix outputs of two recipes in one folder.

    Returns:
        Whether the recipe of what is there is lost: then every frame has to be looked at again.

    Raises:
        ManifestError: The folder was made with another recipe, or cannot be read.
    """
    try:
        kept = _recipe_in(out)
    except ValueError:
        return has_lines(out)
    if kept is None:
        return has_lines(out)
    wanted = recipe.as_json()
    if strange := sorted(kept.keys() - KEYS):
        kept = {name: value for name, value in kept.items() if name in KEYS}
        what = f"{out / OPTIONS}: {', '.join(strange)} is no option that this version of hsrgeo knows, and is left out"
        warnings.warn(
            f"{what}; `hsrgeo verify` tells whether the outputs are as this version makes them",
            HsrGeoWarning,
            stacklevel=1,
        )
    if kept != wanted:
        raise ManifestError(
            str(out),
            f"was exported with other options ({differences(kept, wanted)}); use another OUT, or let "
            "`hsrgeo export --overwrite` replace it",
        )
    return False


def differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return how two recipes differ, in the words of the options, for a message."""
    names = [name for name in {**now, **there} if now.get(name) != there.get(name)]
    return "; ".join(
        f"{_NAMES.get(name, name)}: {_in_short(there.get(name, _DEFAULT))} there, "
        f"{_in_short(now.get(name, _DEFAULT))} now"
        for name in names
    )


def _in_short(value: object) -> str:
    if isinstance(value, dict) and (crs := re.match(r'\w+\["([^"]*)"', str(value.get("wkt2")))):
        value = {**value, "wkt2": crs[1]}
    text = _words(value)
    if isinstance(value, dict) and "rows" in value:  # factors of a bias
        return f"{len(value['rows'])} of {value.get('source')} (CRC-32 {zlib.crc32(text.encode()):08x})"
    if isinstance(value, dict) and "parts" in value:  # a mask
        return f"{value.get('name')} (CRC-32 {zlib.crc32(text.encode()):08x})"
    if len(text) <= _SHORT:
        return text or "none"
    return f"{len(value)} of them" if isinstance(value, list) and len(value) > 1 else f"{text[:_SHORT]}..."


def _words(value: object, depth: int = 3) -> str:
    """Return a value as people write it; a region by its name and its area; what is deeper than a recipe as JSON."""
    match value:
        case None | "":
            return "none"
        case bool() | int() | float():
            return f"{value:.10g}" if isinstance(value, float) else str(value)
        case list() if depth:
            return ", ".join(_words(one, depth - 1) for one in value)
        case {"region": str(region), **area} if depth:
            places = " ".join(f"{name} {_words(number, depth - 1).replace(',', '')}" for name, number in area.items())
            return ": ".join(filter(None, (region, places or "whole frames")))
        case str():
            return json_line(value)[1:-1]
        case _:
            return json_line(value)


_NAMES = {"cuts": "area"}
_DEFAULT = "default"  # an option that has its default is not kept
_SHORT = 80  # letters: an option fits, a list of regions or a WKT does not
