"""What a file says about itself: the tags of a COG, and of the sidecar of a PNG."""

from __future__ import annotations

from datetime import UTC
from weakref import WeakKeyDictionary

from hsrgeo.errors import printable
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import RAIN
from hsrgeo.model.times import kst_text, time_label, utc_text

LICENCE = "Korea Open Government Licence type 1 (attribution: Korea Meteorological Administration)"
"""KMA composite format, section 4."""
NOT_KMA = "made from KMA's data, not a product of KMA"
"""``ORIGIN`` of what somebody computed."""
OVERVIEW_RESAMPLING = "NEAREST"
"""Any averaging would invent values between the NULL codes and echo."""


def frame_tags(frame: Frame) -> dict[str, str]:
    """Return the tags of the default domain: what, when, from what, and what was done.

    There is no creation time of the file: the same frame gives the same bytes.
    """
    if frame not in _known:  # the COG and the PNG of a frame ask in turn
        _known[frame] = {name: printable(value) for name, value in _tags(frame).items() if value}
    return dict(_known[frame])


_known: WeakKeyDictionary[Frame, dict[str, str]] = WeakKeyDictionary()


def _tags(frame: Frame) -> dict[str, str]:
    header, cells = frame.header, frame.cells
    return {
        "TIFFTAG_DATETIME": frame.time.astimezone(UTC).strftime("%Y:%m:%d %H:%M:%S"),
        "TIFFTAG_IMAGEDESCRIPTION": describe(frame),
        "TIFFTAG_COPYRIGHT": LICENCE,
        "TIFFTAG_SOFTWARE": "hsrgeo",
        "PRODUCT": frame.product,
        "KIND": frame.kind,
        "QUANTITY": frame.quantity.name,
        "UNIT": frame.quantity.unit,
        "TIME_START_UTC": utc_text(frame.time),
        "TIME_START_KST": kst_text(frame.time),
        "CREATED_UTC": utc_text(header.created) if header.created else "",
        "STATION_COUNT": str(header.station_count),
        "STATIONS": ",".join(station.code for station in header.stations),
        "CATEGORIES": _categories(frame),
        "SOURCE": frame.name,
        "SOURCE_CRC32": f"{frame.crc32:08x}",
        "SOURCE_BLOCK": f"{frame.block} of {frame.blocks}",
        "GRID": frame.grid.name,
        "WINDOW": str(frame.window),
        "VALUES": "clean" if frame.cleaned else "raw",
        "NODATA": str(frame.quantity.nodata),
        "UNDETECT": str(frame.quantity.undetect),
        "COUNT_NODATA": str(cells.nodata),
        "COUNT_UNDETECT": str(cells.undetect),
        _COUNT_OF_VALUES[_has_echo(frame)]: str(cells.echo),
        "COUNT_BLEND": str(cells.blend),
        "COUNT_CAPPED": "" if frame.capped is None else str(frame.capped),
        "OVERVIEW_RESAMPLING": OVERVIEW_RESAMPLING,
        "LICENCE": LICENCE,
        "SYNTHETIC": "yes" if header.synthetic else "",
        "ORIGIN": NOT_KMA if header.not_kma else "",
        **dict(frame.derived),
    }


def _categories(frame: Frame) -> str:
    """Return what each number stands for, of a block of stations: they are numbered from 1 in the header's order."""
    if frame.quantity.name != "station":
        return ""
    return ",".join(f"{number}={station.code}" for number, station in enumerate(frame.header.stations, 1))


def png_tags(frame: Frame) -> dict[str, str]:
    """Return the tags of a PNG: those of a COG but for what would be untrue.

    Its values are neither clean nor raw, and its 0 is nodata, undetect and low echo alike.
    """
    return {name: value for name, value in frame_tags(frame).items() if not name.startswith(_COG_TAGS)}


_COG_TAGS = ("TIFFTAG_", "OVERVIEW_", "VALUES", "NODATA", "UNDETECT")


def imagery_tags(frame: Frame) -> dict[str, str]:
    """Return the tags of the domain IMAGERY: the one time that STAC tools read in its ISO form."""
    return {"ACQUISITIONDATETIME": utc_text(frame.time)}


def statistics_tags(frame: Frame) -> dict[str, str]:
    """Return GDAL's statistics of the band, in stored units as GDAL has them; empty where no cell has a value.

    Of rain they are over all observed cells, dry ones as 0. Else they are over the cells with a value: no echo is not
    -250 dBZ.
    """
    cells = frame.cells.with_dry() if frame.quantity == RAIN else frame.cells
    if not cells.echo:
        return {}
    return {
        "STATISTICS_MINIMUM": f"{cells.minimum}",
        "STATISTICS_MAXIMUM": f"{cells.maximum}",
        "STATISTICS_MEAN": f"{cells.mean:.4f}",
        "STATISTICS_STDDEV": f"{cells.stddev:.4f}",
        "STATISTICS_VALID_PERCENT": f"{100 * cells.echo / frame.stored.size:.4g}",
        "STATISTICS_OF": OBSERVED_CELLS if frame.quantity == RAIN else _STATISTICS[_has_echo(frame)],
    }


OBSERVED_CELLS = "observed cells, dry ones are 0"
"""``STATISTICS_OF`` of rain."""
_COUNT_OF_VALUES = {True: "COUNT_ECHO", False: "COUNT_VALUE"}
_STATISTICS = {True: "echo cells only", False: "cells with a value only"}


def _has_echo(frame: Frame) -> bool:
    """Tell whether its values are echo: a height, a station or a class is none."""
    return frame.quantity.is_rain or frame.quantity.unit == "dBZ"


def describe(frame: Frame) -> str:
    """Return one line for people."""
    unit = f" ({frame.quantity.unit})" if frame.quantity.unit else ""
    made_up = "SYNTHETIC " if frame.header.synthetic else ""
    derived = "derived from " if frame.header.not_kma else ""
    return (
        f"{made_up}{derived}KMA {frame.product} composite, {frame.quantity.name}{unit}, "
        f"{time_label(frame.time)} ({frame.time.astimezone(UTC):%Y-%m-%d %H:%M} UTC)"
    )
