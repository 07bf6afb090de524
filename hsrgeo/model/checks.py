"""What callers give, which may be anything."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import cast

from hsrgeo.errors import OptionsError


def refuse_fractions(name: str, value: object) -> None:
    """Refuse what is no whole number."""
    try:
        operator.index(cast("int", value))
    except TypeError as error:
        raise OptionsError(f"{name} {value!r}: expected a whole number") from error


def refuse_other_suffix(path: Path, suffixes: tuple[str, ...], what: str) -> None:
    """Refuse a file whose name has another suffix than a format's, in lower case; a name without one says nothing."""
    suffix = path.suffix.lower()
    if suffix in _OTHER_FORMATS and suffix not in suffixes:
        raise OptionsError(f"{path.name}: a {what} ends in {' or '.join(suffixes)}")


_OTHER_FORMATS = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".nc", ".zarr", ".vrt", ".json"})
