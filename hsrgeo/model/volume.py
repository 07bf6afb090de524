"""A volume: what one radar measured in one scan, sweep by sweep."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.projections import projections_dir


@dataclass(frozen=True, slots=True)
class Radar:
    """Where an antenna stands."""

    code: str
    """One to six letters and digits, such as KWK."""
    lon: float
    """Degrees east, WGS 84."""
    lat: float
    """Degrees north."""
    height_m: float
    """Of the antenna above the sea."""


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """One turn of the antenna."""

    elevation: float
    """Degrees above the horizon: the median of the rays."""
    azimuths: NDArray[np.float64]
    """Middle of each ray, degrees clockwise from north; shape (rays,), in any order."""
    first_m: float
    """Distance along the beam from the antenna to the middle of the first gate."""
    gate_m: float
    """Length of a gate."""
    stored: NDArray[np.int16]
    """Reflectivity in hundredths of dBZ, shape (rays, gates), with the codes of `hsrgeo.model.quantity`: -30000 was not
    observed, -25000 holds nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One scan of one radar."""

    name: str
    """File name it came from, without folders."""
    layout: str
    """``CfRadial 1``, ``ODIM`` or ``UF``."""
    radar: Radar
    time: datetime
    """Start of the scan, aware."""
    time_source: str
    """Where the time comes from, for people."""
    sweeps: tuple[Sweep, ...]
    """From the lowest elevation to the highest; of one elevation in the order of the file."""
    moment: str
    """Which moment the reflectivity is, such as DBZH."""
    moments: tuple[str, ...]
    """Every moment of the file."""
    notes: tuple[str, ...] = ()
    """What a user should know of the file, which could be read all the same."""
    synthetic: bool = False
    """Whether the file says that it is made up."""


@cache
def radar_sites() -> dict[str, tuple[float, float]]:
    """Return longitude and latitude [degrees] of KMA's radars by their codes: ``projections/sites.csv``."""
    with (projections_dir() / "sites.csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: (float(row["lon"]), float(row["lat"])) for row in csv.DictReader(file)}
