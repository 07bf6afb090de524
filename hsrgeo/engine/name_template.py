"""The template of the names of outputs, checked."""

from __future__ import annotations

import string
from datetime import datetime

from hsrgeo.errors import OptionsError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.times import KST
from hsrgeo.outputs.names import is_reserved
from hsrgeo.outputs.recipe import Recipe, wide_fields

_NAME_FIELDS = ("time", "utc", "product", "kind", "region")


def check_name(template: str) -> None:  # noqa: C901 - a list of what may be wrong
    """Refuse a template that leads outside OUT, or that a system or a later run could not take."""
    hint = f"name {template!r}: use {{time:%Y%m%d%H%M}}, {{utc:...}}, {{product}}, {{kind}} and {{region}}"
    try:
        fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
        if unknown := [name for _text, name, _spec, _conversion in fields if name not in _NAME_FIELDS]:
            raise OptionsError(f"{hint}; {unknown[0]!r} is not known")
        if any(conversion or "{" in (spec or "") for _text, _name, spec, conversion in fields):
            raise OptionsError(f"{hint}; no conversion such as !r, and no field within a field")
        if wide_fields(template):
            raise OptionsError(f"{hint}; no field wider than 999 letters")
        if not {"time", "utc"} & {name for _text, name, _spec, _conversion in fields}:
            raise OptionsError(f"{hint}; without a time all frames would share one file")
        recipe = Recipe((), (), "none", "raw", template, 1)
        paths = [recipe.stem(frame_name, region) for frame_name in _PROBES for region in ("", "region")]
    except (ValueError, IndexError, KeyError) as error:
        raise OptionsError(f"{hint}: {error}") from error
    for path in paths:
        parts = path.split("/")
        if template.startswith("/") or ".." in parts or "\\" in path:
            raise OptionsError(f"{hint}; the path must stay inside OUT")
        if template.endswith("/") or not path or parts[-1].startswith("."):
            raise OptionsError(f"{hint}; the last part must be a visible file name")
        if bad := sorted({letter for letter in path if letter in _FORBIDDEN or not letter.isprintable()}):
            raise OptionsError(f"{hint}; it makes {path!r}, and not every system takes {' '.join(map(repr, bad))}")
        if other := [part for part in (*parts[:-1], f"{parts[-1]}.tif") if part.strip() and is_reserved(part)]:
            raise OptionsError(f"{hint}; it makes {path!r}, and Windows takes no {other[0]!r} as a name")
        if max(len(part.encode("utf-8", "replace")) for part in parts) > _LONGEST_PART_BYTES:
            raise OptionsError(f"{hint}; a part of the path is longer than {_LONGEST_PART_BYTES} bytes")


_PROBES = tuple(FrameName("HSR", kind, datetime(2022, 6, 9, 11, 15, tzinfo=KST)) for kind in ("PUB", ""))
# ^ the kind is unknown where a file's own name does not tell
_FORBIDDEN = set(':*?"<>|')  # Windows refuses these, and opens "a:b" as something else
_LONGEST_PART_BYTES = 200
# ^ file systems take 255, of which the temporary name beside a target needs some
