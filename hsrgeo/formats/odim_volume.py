"""ODIM HDF5 volumes of one radar (PVOL, SCAN): an open file -> Scan.

References:
    OPERA Data Information Model for HDF5 (ODIM_H5), version 2.4: tables 4 (where) and 5 (how) of polar data.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsrgeo.formats.hdf5 import Hdf5
from hsrgeo.formats.radar_scan import Scan, check_size, checked_sweep, chosen_moment, stored_dbz
from hsrgeo.model.times import existing

_KINDS = ("PVOL", "SCAN")
_NAMES = ("NOD", "PLC", "RAD", "CMT")
"""Parts of ``source`` that name a radar (ODIM 2.4, table 3)."""


def read_odim_volume(file: Hdf5) -> Scan:
    """Return what a file says.

    Raises:
        FrameError: It is no volume, or not sound.
    """
    what = file.attributes("what")
    object_type = str(what.get("object", ""))
    if object_type not in _KINDS:
        is_composite = object_type in ("COMP", "IMAGE")
        found = "an ODIM composite: hsrgeo.open reads it" if is_composite else f"an ODIM object {object_type!r}"
        file.refuse("not a volume", "an ODIM volume (PVOL) or scan (SCAN)", found)
    where, how = file.attributes("where"), file.attributes("how")
    text = f"{what.get('date', '')}{what.get('time', '')}"
    moments: dict[str, None] = {}
    tables = []
    for dataset in file.numbered("", "dataset"):
        paths = {}
        for path in file.numbered(dataset, "data"):
            facts = what | file.attributes(f"{dataset}/what") | file.attributes(f"{path}/what")
            paths[str(facts.get("quantity", ""))] = path, facts
        moments |= dict.fromkeys(paths)
        tables.append((dataset, paths))
    moment, notes = chosen_moment(moments)
    sweeps, cells = [], 0
    for dataset, paths in tables:
        if moment not in paths:
            continue  # such as a scan at one elevation for velocities only
        path, facts = paths[moment]
        place = f"{dataset}/where"
        own = where | file.attributes(place)
        rays, gates = (int(file.number(own, key, place)) for key in ("nrays", "nbins"))
        cells = check_size(place, rays, gates, cells)
        gain, offset, nodata, undetect = (
            file.number(facts, key, path) for key in ("gain", "offset", "nodata", "undetect")
        )
        pixels = file.array(f"{path}/data", (rays, gates), f"rays and gates in {place}")
        stored = stored_dbz(pixels, gain, offset, undetect, nodata)
        elevations = np.full(rays, file.number(own, "elangle", place))
        length = file.number(own, "rscale", place)
        first = 1000 * file.number({"rstart": 0.0} | own, "rstart", place) + length / 2
        azimuths = _azimuths(how | file.attributes(f"{dataset}/how"), rays)
        sweeps.append(checked_sweep(dataset, elevations, azimuths, first, length, stored))
    source = dict(part.split(":", 1) for part in str(what.get("source", "")).split(",") if ":" in part)
    return Scan(
        layout="ODIM",
        lon=file.number(where, "lon", "/where"),
        lat=file.number(where, "lat", "/where"),
        height_m=file.number(where, "height", "/where"),
        names=tuple(source[key] for key in _NAMES if key in source),
        time=_time(file, text),
        time_source="the file, UTC",
        time_text=text,
        sweeps=tuple(sweeps),
        moment=moment,
        moments=tuple(moments),
        notes=notes,
    )


def _azimuths(how: dict[str, Any], rays: int) -> NDArray[np.float64]:
    """Return the middle of each ray [degrees]: by where it starts and stops if the file says so, else even ones."""
    starts, stops = (np.asarray(how.get(key)) for key in ("startazA", "stopazA"))
    if not (starts.shape == stops.shape == (rays,) and starts.dtype.kind == stops.dtype.kind == "f"):
        return (np.arange(rays) + 0.5) * 360 / rays
    turn = (stops - starts) % 360
    middles: NDArray[np.float64] = starts + np.where(turn > 180, turn - 360, turn) / 2  # noqa: PLR2004 - backwards
    return middles


def _time(file: Hdf5, text: str) -> datetime:
    try:
        if not re.fullmatch(r"[0-9]{14}", text):
            raise ValueError(text)  # noqa: TRY301 - strptime takes less
        return existing(datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC))
    except ValueError:
        file.refuse("/what, date and time", "YYYYMMDD and HHMMSS", text or "nothing")
