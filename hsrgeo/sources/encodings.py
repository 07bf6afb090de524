"""Encodings of texts that users name: UTF-8 where it is, else the one that is said of them."""

from __future__ import annotations

import codecs
import csv

from hsrgeo.errors import OptionsError

_UTF_8 = ("utf-8", "utf8", "utf-8-sig")
_EXCEL = "in Excel save as 'CSV UTF-8'"
_WORKBOOK_MARKS = {b"PK\x03\x04": ".xlsx", b"\xd0\xcf\x11\xe0": ".xls"}
# ^ APPNOTE.TXT of zip, 4.3.7; [MS-CFB], 2.2
MARK_BYTES = 4
"""Of a file's beginning, as many as `wrong_encoding` looks at."""
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def is_utf8(encoding: str | None) -> bool:
    """Tell whether an encoding is UTF-8, as it is where nothing is said."""
    return encoding is None or encoding.lower().replace("_", "-") in _UTF_8


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that is none.

    Raises:
        OptionsError: Python does not know it, or it is not of texts.
    """
    try:
        "a".encode(encoding)
    except (LookupError, ValueError) as error:  # of the latter kind are UnicodeError, and a name with a NUL
        raise OptionsError(f"encoding {encoding!r} is not known: expected utf-8 or cp949") from error


def decoded(path: str, data: bytes, encoding: str | None) -> str:
    """Return the text of a file: UTF-8 where it is, for Korean letters of another encoding never are by chance.

    A byte-order mark, as Korean Excel writes it, is no part of the text.

    Raises:
        OptionsError: It is neither, or the encoding is none.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if encoding is None or is_utf8(encoding):
            raise wrong_encoding(path, encoding, data[:MARK_BYTES], error.start) from error
    check_encoding(encoding)
    try:
        return data.decode(encoding)
    except UnicodeError as error:
        raise wrong_encoding(path, encoding, data[:MARK_BYTES]) from error


def wrong_encoding(path: str, encoding: str | None, start: bytes, at: int | None = None) -> OptionsError:
    """Return the error of a text in another encoding, with what to do.

    `start` are its first `MARK_BYTES`; `at` is the place of the first byte that is not of UTF-8, where that is known.
    """
    if workbook := _workbook(start):
        return OptionsError(f"{path}: {workbook}")
    is_utf16 = start.startswith(_UTF_16_MARKS)
    instead = f"{_EXCEL}, or say its encoding, such as --encoding {'utf-16' if is_utf16 else 'cp949'}"
    if is_utf8(encoding):
        place = "" if at is None else f" (byte {at})"
        return OptionsError(f"{path}: must be UTF-8{place}{', and is UTF-16' if is_utf16 else ''}; {instead}")
    return OptionsError(f"{path}: is neither UTF-8 nor {encoding}{', but UTF-16' if is_utf16 else ''}; {instead}")


def _workbook(start: bytes) -> str:
    """Return what to do about the beginning of an Excel workbook; empty for another one."""
    suffix = _WORKBOOK_MARKS.get(start)
    return f"is an Excel workbook ({suffix}) or another binary file, expected a text; {_EXCEL}" if suffix else ""


def unreadable(error: Exception) -> str:
    """Return why a text cannot be read, for people: Python's words of an encoding say nothing to them."""
    if "field limit" in str(error):  # of csv, whose words they are
        return f'has a cell of more than {csv.field_size_limit():,} letters: is a quote (") not closed?'
    if isinstance(error, UnicodeDecodeError):
        if workbook := _workbook(error.object[:MARK_BYTES]):
            return workbook
        return f"the byte {error.object[error.start]:#04x} is not of {error.encoding.upper()}; {_EXCEL}"
    return getattr(error, "strerror", None) or str(error)
