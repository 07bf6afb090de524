"""What a check finds: a line for each thing that is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

EDITED = "edited by another program"
"""Problem of a sidecar that GDAL or QGIS wrote anew, with statistics: what it says of place and scale is right."""


NOT_EXPORTED = "not exported"
"""Problem of a frame whose path another has: exporting again would fail again."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it should be."""

    path: str
    """Of the output below OUT, or the frame's source and member."""
    problem: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference within a file whose path is filled in later."""

    problem: str
    expected: object
    found: object


Findings = Iterator[Finding]


def differ(what: str, expected: object, found: object) -> Findings:
    """Yield a finding where two values differ; None and empty text are shown as none."""
    if expected != found:
        yield Finding(what, *("none" if value is None or value == "" else value for value in (expected, found)))


def size_of(pixels: NDArray[Any]) -> str:
    """Return width and height, for people."""
    height, width = pixels.shape
    return f"{width} x {height}"
