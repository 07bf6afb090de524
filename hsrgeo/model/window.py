"""Pixel rectangles and longitude/latitude boxes."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Self

from hsrgeo.errors import OptionsError, WindowError


@dataclass(frozen=True, slots=True)
class Window:
    """An integer pixel rectangle; row 0 is the north row, as in ``gdal_translate -srcwin``.

    Raises:
        WindowError: A negative offset or an empty size.
    """

    col_off: int
    """Columns between the grid's west edge and the window's."""
    row_off: int
    """Rows between the grid's north edge and the window's."""
    width: int
    """Columns, at least 1."""
    height: int
    """Rows, at least 1."""

    def __post_init__(self) -> None:
        for name in ("col_off", "row_off", "width", "height"):
            try:
                object.__setattr__(self, name, operator.index(getattr(self, name)))  # numpy's integers are no JSON
            except TypeError as error:
                raise WindowError(f"window {self}: {name} must be a whole number") from error
        if self.col_off < 0 or self.row_off < 0:
            raise WindowError(f"window {self}: offsets count from the north-west corner and cannot be negative")
        if self.width < 1 or self.height < 1:
            raise WindowError(f"window {self}: width and height must be at least 1")

    def __str__(self) -> str:
        return f"{self.col_off} {self.row_off} {self.width} {self.height}"

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the window in a north-up array."""
        return (
            slice(self.row_off, self.row_off + self.height),
            slice(self.col_off, self.col_off + self.width),
        )

    def within(self, outer: Self) -> Window:
        """Return this window, given relative to ``outer``, relative to what ``outer`` is relative to."""
        return Window(self.col_off + outer.col_off, self.row_off + outer.row_off, self.width, self.height)


def bounding(windows: Sequence[Window]) -> Window:
    """Return the smallest window that holds some, at least one, counted in the same grid."""
    left, top = min(one.col_off for one in windows), min(one.row_off for one in windows)
    right = max(one.col_off + one.width for one in windows)
    bottom = max(one.row_off + one.height for one in windows)
    return Window(left, top, right - left, bottom - top)


@dataclass(frozen=True, slots=True)
class BBox:
    """A box in degrees, WGS 84: west < east, south < north.

    Raises:
        OptionsError: Not finite, out of range, or the wrong way round.
    """

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        edges: tuple[object, ...] = (self.west, self.south, self.east, self.north)
        if not all(isinstance(edge, Real) and math.isfinite(edge) for edge in edges):
            raise OptionsError(f"bbox {self}: every edge must be a finite number of degrees")
        if max(abs(self.south), abs(self.north)) > 360:  # noqa: PLR2004 - no angle, whatever the order
            raise OptionsError(f"bbox {self}: latitudes beyond 90 degrees; expected degrees, these look like metres")
        if abs(self.south) > 90 or abs(self.north) > 90:  # noqa: PLR2004 - degrees of latitude
            raise OptionsError(f"bbox {self}: latitudes beyond 90 degrees; the order is WEST SOUTH EAST NORTH")
        if abs(self.west) > 180 or abs(self.east) > 180:  # noqa: PLR2004 - degrees of longitude
            raise OptionsError(f"bbox {self}: longitudes beyond 180 degrees")
        if self.west >= self.east or self.south >= self.north:
            raise OptionsError(
                f"bbox {self}: west must be less than east and south less than north; "
                "the order is WEST SOUTH EAST NORTH"
            )

    def __str__(self) -> str:
        edges: tuple[object, ...] = (self.west, self.south, self.east, self.north)
        return " ".join(f"{edge:g}" if isinstance(edge, Real) else repr(edge) for edge in edges)


@dataclass(frozen=True, slots=True)
class Center:
    """A square of cells around a point.

    Raises:
        OptionsError: A coordinate out of range, or a size below 1.
    """

    lon: float
    """Degrees east, WGS 84."""
    lat: float
    """Degrees north, WGS 84."""
    size: int
    """Cells along each side."""

    def __post_init__(self) -> None:
        if not (abs(self.lon) <= 180 and abs(self.lat) <= 90):  # noqa: PLR2004 - degrees; also false for NaN
            raise OptionsError(f"center {self.lon:g} {self.lat:g}: expected LON LAT in degrees")
        if self.size < 1:
            raise OptionsError(f"size {self.size}: must be at least 1 cell")


Area = BBox | Window | Center
"""A way to say which part of a grid is wanted."""


def as_bbox(value: object) -> BBox:
    """Return a box that was given as such or as four numbers.

    Raises:
        OptionsError: It is neither.
    """
    if isinstance(value, BBox):
        return value
    try:
        return BBox(*map(float, value))  # type: ignore[call-overload] # whatever it is: that is the question
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionsError(f"bbox {value!r}: expected four numbers, west south east north") from error


def as_window(value: object) -> Window:
    """Return a window that was given as such or as four whole numbers.

    Raises:
        OptionsError: It is neither.
        WindowError: A negative offset or an empty size.
    """
    if isinstance(value, Window):
        return value
    try:
        return Window(*value)  # type: ignore[misc] # as in as_bbox
    except TypeError as error:
        raise OptionsError(f"window {value!r}: expected four whole numbers, col_off row_off width height") from error


def as_center(value: object, size: int) -> Center:
    """Return a square around a point that was given as two numbers.

    Raises:
        OptionsError: It was not, or lies nowhere.
    """
    try:
        lon, lat = map(float, value)  # type: ignore[call-overload] # as in as_bbox
        return Center(lon, lat, operator.index(size))
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionsError(f"center {value!r}, size {size!r}: expected lon lat, and a whole number") from error


def as_area(bbox: object, window: object, center: object, size: int | None, **others: object) -> Area | None:
    """Return the one area that was given, or None; `others` are other ways to say it, which exclude these.

    Raises:
        OptionsError: Several were given, or what is none.
        WindowError: See `as_window`.
    """
    ways = {"bbox": bbox, "window": window, "center": center, **others}
    given = [way for way, value in ways.items() if value is not None]
    if len(given) > 1:
        raise OptionsError(f"choose one area: {' and '.join(given)} exclude each other")
    if (size is None) != (center is None):
        raise OptionsError("center and size go together: a point, and cells along each side")
    if bbox is not None:
        return as_bbox(bbox)
    if window is not None:
        return as_window(window)
    return as_center(center, size) if size is not None else None
