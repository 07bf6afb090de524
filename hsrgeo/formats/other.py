"""What a file is that is not a composite, by its first bytes: for the error."""

from __future__ import annotations

import codecs
import re

from hsrgeo.errors import ServiceMessageError

_MISSING = b"# file not exist"
"""Start of the download service's answer for a missing file (KMA composite format, section 5)."""
LOOKED_AT = 1024
"""Bytes, from the first."""
_SHOWN = 200  # letters
_PAGES = ("<", "{", "[")  # HTML, XML, JSON
_FAILURE = re.compile(
    r"error|fail|denied|forbidden|unauthori[sz]ed|not (found|exist|allowed)|expired|exceeded|unavailable|time-?out"
    r"|오류|에러|실패|거부|만료|초과|차단|않|없",
    re.IGNORECASE,
)
# ^ what a server says in a few words where it sends no file
_ENCODINGS = ("utf-8", "cp949")
_POLAR = "of a UF volume of one radar (hsrgeo compose takes it)"
_TIFF = "of a TIFF (hsrgeo.open, series, accumulate and stats take the folder of an export)"
_BEGINNINGS = {
    b"\x1f\x8b": "of gzip (packed twice?)",
    b"II*\0": _TIFF,
    b"MM\0*": _TIFF,
    b"II+\0": "of a BigTIFF",
    b"\x89PNG": "of a PNG",
    b"GIF8": "of a GIF",
    b"\xff\xd8\xff": "of a JPEG",
    b"PK\3\4": "of a zip archive",
    b"7z\xbc\xaf": "of a 7z archive",
    b"Rar!": "of a RAR archive",
    b"BZh": "of bzip2",
    b"\xfd7zXZ": "of xz",
    b"\x28\xb5\x2f\xfd": "of Zstandard",
    b"\x89HDF": "of HDF5 or NetCDF-4 (hsrgeo compose takes volumes of one radar, hsrgeo.open ODIM composites)",
    b"CDF": "of NetCDF-3 (nccopy -k nc4 makes NetCDF-4 of it)",
    b"UF": _POLAR,
    b"GRIB": "of GRIB",
    b"BUFR": "of BUFR",
    b"%PDF": "of a PDF",
}


def refuse_text(data: bytes | bytearray, expected: str = "a composite") -> None:
    """Refuse a text: what a web server or the download service sends where it has no file.

    Raises:
        ServiceMessageError: It begins as a text in UTF-8 or CP949 does.
    """
    if text := text_of(data):
        raise ServiceMessageError("text in place of a file", expected, text)


def text_of(data: bytes | bytearray) -> str:
    """Return what a text says, for people; empty where the bytes do not begin as one.

    Only an answer of a server is quoted, by its beginning. Any other text is nobody's business: it may be private, and
    messages end in logs and manifests.
    """
    start = bytes(data[:LOOKED_AT])
    if start.startswith(_MISSING):
        whose, text = "the download service's ", start.decode("utf-8", "backslashreplace").strip()
    else:
        whose, text = "", _as_text(start)
    if not text:
        return ""
    if not whose and not text.startswith(_PAGES) and not (len(data) <= LOOKED_AT and _FAILURE.search(text)):
        return "a text"
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return f"{whose}{shown!r}"


def beginning(data: bytes | bytearray | memoryview) -> str:
    """Return of what the bytes are the beginning, for people; empty where that is not known."""
    start = bytes(data[:8])
    if start[4:6] == b"UF":  # a record of Fortran begins with its length
        return f"the start {_POLAR}"
    return next((f"the start {what}" for magic, what in _BEGINNINGS.items() if start.startswith(magic)), "")


def with_beginning(found: str, data: bytes | bytearray | memoryview) -> str:
    """Return what was found, and of what it is the beginning where that is known."""
    if bytes(data[257:262]) == b"ustar":  # POSIX.1-1988, the magic of a tar header
        return f"{found}, the start of a tar archive (its name must end in .tar or .tar.gz, or have no suffix)"
    return ", ".join(filter(None, (found, beginning(data))))


def _as_text(start: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(start)  # its last letter may be cut
        except UnicodeDecodeError:
            continue
        if all(letter.isprintable() or letter in "\t\r\n\f\ufeff" for letter in text):
            return text.strip().lstrip("\ufeff")
    return ""
