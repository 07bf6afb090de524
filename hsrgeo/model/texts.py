"""Texts that came from files, written so that they can do no harm where they are shown."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Sequence
from typing import Any


def short(value: object) -> str:
    """Return a value as Python shows it, but cut: the bytes of a file would fill the screen."""
    return f"{type(value).__name__} of {len(value):,} bytes" if isinstance(value, bytes) else repr(value)[:_SHOWN]


_SHOWN = 100  # letters


def plain(name: object) -> str:
    """Return a name without blanks around it, its letters in one piece (NFC)."""
    return unicodedata.normalize("NFC", str(name).strip())


def first_names(names: Sequence[str], most: int = 10) -> str:
    """Return names as a message lists them: at most the first ones of many."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def json_line(value: Any) -> str:  # noqa: ANN401 - whatever JSON takes
    """Return a value as one line of JSON: letters as they are, control characters escaped as JSON has it."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    # Outside strings everything is printable; in them an escape means the same as the letter.
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def xml_text(text: str) -> str:
    """Return a text for between two tags of XML, as `xml.sax.saxutils.escape`, which imports http and ssl."""
    return html.escape(text, quote=False)


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_cell(text: str) -> str:
    """Return a text for a cell of CSV, with ``'`` in front where a spreadsheet would take it for a formula.

    Spreadsheets do so with what begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, and a formula may
    run programs. A number stays as it is. `from_cell` is the inverse.
    """
    return f"'{text}" if _is_formula(text) else text


def from_cell(cell: str) -> str:
    """Return the text of a cell that `to_cell` made."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _is_formula(text: str) -> bool:
    if not text.lstrip("'").startswith(_FORMULA):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
