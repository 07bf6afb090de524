"""File names of composites: RDR_CMP_<type>_<kind>_<YYYYMMDDHHMM>.bin[.gz]."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from hsrgeo.errors import FrameNameError
from hsrgeo.model.times import KST, existing

_CLAIM = re.compile(r"RDR_CMP_.*\.bin(?: ?\(\d+\))?(\.gz)?", re.IGNORECASE | re.DOTALL)
_COPY = r"(?: ?\(\d+\))?"  # a browser's second download: "... (1).bin.gz", "....bin (1).gz"
_TWO = r"(\d{2})"
_NAME = re.compile(
    rf"RDR_CMP_([A-Z0-9]+)_([A-Z0-9]+)_(\d{{4}}){_TWO * 4}{_COPY}\.bin{_COPY}(\.gz)?", re.IGNORECASE | re.ASCII
)
_REPEAT = re.compile(r"#\d+")
KINDS = ("PUB", "EXT", "KMA", "QCD")
"""Kinds of a composite (KMA composite format, section 1), the one that is preferred first: what KMA gives away, then
what its hub lists by default. Another kind comes last."""
OWN_KIND = "OWN"
"""Kind in the name of a frame that is not KMA's: made from an array, from volumes, or out of another frame."""
_EXPECTED = "RDR_CMP_<type>_<kind>_<YYYYMMDDHHMM>.bin.gz with a real date (KST)"


@dataclass(frozen=True, slots=True)
class FrameName:
    """What a file name tells of a frame.

    References:
        KMA composite format, section 1, "Products with this container".
    """

    product: str
    """HSR, HSP, CPP ..."""
    kind: str
    """PUB, EXT, KMA or QCD."""
    time: datetime
    """To the minute, KST."""


def own_name(product: str, time: datetime) -> str:
    """Return the name of a frame that is not KMA's; `time` is in KST."""
    return f"RDR_CMP_{product}_{OWN_KIND}_{time:%Y%m%d%H%M}.bin.gz"


def preference(kind: str) -> int:
    """Return how much a kind is preferred: of two frames of one time the higher one counts."""
    return len(KINDS) - KINDS.index(kind) if kind in KINDS else 0


def basename(name: str) -> str:
    """Return the last part of a path or archive member name, whichever separator it was made with."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def repeated(name: str, number: int) -> str:
    """Return what the second, third ... member of the same name in an archive is called."""
    return f"{name}#{number}"


def unrepeated(name: str) -> str:
    """Return the name that an archive member has in the archive, see `repeated`."""
    stem, mark, number = name.rpartition("#")
    return stem if _REPEAT.fullmatch(mark + number) else name


def claims_frame(name: str) -> bool:
    """Tell whether a file name says that it is a frame; a malformed date in it does not change the claim."""
    return _CLAIM.fullmatch(basename(name)) is not None


def product_and_kind(name: str) -> tuple[str, str] | None:
    """Return what `parse_name` does of a file name without its time, in a third of the time; None where it is none.

    The date may not exist.
    """
    match = _NAME.fullmatch(basename(name))
    return (match[1].upper(), match[2].upper()) if match else None


def parse_name(name: str) -> FrameName:
    """Read a file name, with or without folders.

    Raises:
        FrameNameError: It is not a composite's name, or its date does not exist.
    """
    match = _NAME.fullmatch(basename(name))
    if not match:
        raise FrameNameError("file name", _EXPECTED, basename(name))
    year, month, day, hour, minute = map(int, match.group(3, 4, 5, 6, 7))
    try:
        time = existing(datetime(year, month, day, hour, minute, tzinfo=KST))
    except ValueError as error:
        raise FrameNameError("file name", _EXPECTED, basename(name)) from error
    return FrameName(match[1].upper(), match[2].upper(), time)
