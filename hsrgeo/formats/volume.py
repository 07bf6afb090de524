"""Files of one radar: bytes -> Volume, whichever of three layouts they have."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

import numpy as np

from hsrgeo.errors import FrameError, FrameFormatError, TooLargeError
from hsrgeo.formats import gzipped, uf
from hsrgeo.formats.cfradial import read_cfradial
from hsrgeo.formats.hdf5 import MAGIC, Hdf5, open_hdf5
from hsrgeo.formats.header import VERSION_BYTE
from hsrgeo.formats.names import basename, claims_frame
from hsrgeo.formats.odim_volume import read_odim_volume
from hsrgeo.formats.other import refuse_text, with_beginning
from hsrgeo.formats.radar_scan import Scan
from hsrgeo.model.times import KST, existing, time_label
from hsrgeo.model.volume import Radar, Volume, radar_sites

SUFFIXES = (".nc", ".nc4", ".h5", ".hdf5", ".hdf", ".uf", ".uf.gz")
"""Of volumes in folders; a file that is named on its own may have any name."""
MAX_VOLUME_BYTES = 64 << 20
"""Of a file, packed or not; KMA's have 0.5 to 2.7 MB."""
_FIRST_YEAR = 1935  # of the first radars; names of frames have four digits for it
_NEAR_M = 5_000.0  # a radar of the table is the one that stands nearer than this
_DEGREE_M = 111_200.0
_CODE = re.compile(r"[A-Z0-9]{1,6}")
_NAME_TIME = re.compile(r"(?<!\d)(\d{12})(?:\d\d)?(?!\d)")
_APART = timedelta(minutes=10)  # a scan takes five minutes, and its file may carry the start or the end


def is_volume(data: bytes) -> bool:
    """Tell whether bytes begin as a file of one radar may: HDF5 or UF, the latter also packed by gzip."""
    start = gzipped.peek(data, uf.START_BYTES) if data.startswith(gzipped.MAGIC) else data[: uf.START_BYTES]
    return start.startswith(MAGIC) or uf.is_uf(start)


def time_in_name(name: str) -> datetime | None:
    """Return the time in a name that is KMA's, which is KST; None in any other name, whose zone nobody knows."""
    own = basename(name)
    match = _NAME_TIME.search(own)
    parts = re.split(r"[^A-Z0-9]+", own.upper())
    if match is None or not (parts[0] == "RDR" or set(parts) & set(radar_sites())):
        return None
    try:
        return existing(datetime.strptime(match[1], "%Y%m%d%H%M").replace(tzinfo=KST))
    except ValueError:
        return None


def read_volume(data: bytes, name: str) -> Volume:
    """Return the volume of a file.

    Args:
        data: The whole file: CfRadial 1 in NetCDF-4 as KMA's hub serves it, an ODIM volume (PVOL or SCAN), or UF.
        name: Path of the file; its time and station are taken where it is named as KMA names files.

    Raises:
        MissingExtraError: h5py is not installed, which HDF5 needs.
        FrameError: It is no volume, is damaged, or has no reflectivity.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of such numbers is refused
            return _volume(_read(data, name), basename(name))
    except FrameError as error:
        raise error.at(name, None) from error.__cause__


def _read(data: bytes, name: str) -> Scan:
    if len(data) > MAX_VOLUME_BYTES:
        raise TooLargeError("too large", f"at most {MAX_VOLUME_BYTES:,} bytes", f"{len(data):,} bytes")
    if claims_frame(name):
        _refuse_composite()
    if data.startswith(gzipped.MAGIC):
        data, _note = gzipped.gunzip(data, MAX_VOLUME_BYTES)
    if data.startswith(MAGIC):
        with open_hdf5(data, name, "polar") as (h5py, file):
            found = Hdf5(h5py, file, name)
            is_odim = "object" in found.attributes("what")
            return read_odim_volume(found) if is_odim else read_cfradial(found)
    if uf.is_uf(data):
        return uf.read_uf(data)
    refuse_text(data, _EXPECTED)
    if data.startswith(VERSION_BYTE):
        _refuse_composite()
    raise FrameFormatError("not a volume", _EXPECTED, with_beginning(data[:4].hex(" ") or "nothing", data))


_EXPECTED = "CfRadial 1 (NetCDF-4), ODIM HDF5 or UF of one radar"


def _refuse_composite() -> None:
    raise FrameFormatError("not a volume", _EXPECTED, "a composite of KMA: hsrgeo export reads it")


def _volume(scan: Scan, name: str) -> Volume:
    place = f"{scan.lon:g}, {scan.lat:g} (longitude, latitude), {scan.height_m:g} m"
    if not (abs(scan.lon) <= 180 and abs(scan.lat) <= 90 and -500 <= scan.height_m <= 9000):  # noqa: PLR2004 - the earth
        raise FrameFormatError("place of the radar", "a place on the earth", place)
    notes = list(scan.notes)
    code = _code(scan, name, notes)
    time, source = _time(scan, name, notes)
    if time.year < _FIRST_YEAR:
        raise FrameFormatError("time", f"a year from {_FIRST_YEAR} on", str(time.year))
    order = sorted(range(len(scan.sweeps)), key=lambda number: scan.sweeps[number].elevation)
    return Volume(
        name=name,
        layout=scan.layout,
        radar=Radar(code, scan.lon, scan.lat, scan.height_m),
        time=time,
        time_source=source,
        sweeps=tuple(scan.sweeps[number] for number in order),
        moment=scan.moment,
        moments=scan.moments,
        notes=tuple(f"{name}: {note}" for note in notes),
        synthetic=scan.synthetic,
    )


def _code(scan: Scan, name: str, notes: list[str]) -> str:
    """Return the code of a radar: of the table where one stands there, else by the file, else by its name."""
    parts = re.split(r"[^A-Z0-9]+", name.upper())
    in_name = next((part for part in parts if part in radar_sites()), "")
    near = {
        code: math.hypot((lon - scan.lon) * math.cos(math.radians(scan.lat)), lat - scan.lat) * _DEGREE_M
        for code, (lon, lat) in radar_sites().items()
    }
    nearest = min(near, key=lambda code: near[code])
    if near[nearest] <= _NEAR_M:
        if in_name and in_name != nearest:
            notes.append(f"named {in_name}, but its radar stands at {nearest}: taken for {nearest}")
        return nearest
    if in_name:
        notes.append(f"named {in_name}, which stands {near[in_name] / 1000:.0f} km from the place in the file")
    if parts[0] == "RDR" and len(parts) > 1 and _CODE.fullmatch(parts[1]):
        return parts[1]
    for text in scan.names:
        code = re.sub(r"[^A-Z0-9]", "", text.upper())[:6]
        if code:
            return code
    raise FrameFormatError("radar", "a name in the file, or one of KMA's places", "neither")


def _time(scan: Scan, name: str, notes: list[str]) -> tuple[datetime, str]:
    in_name = time_in_name(name)
    if in_name is None:
        return scan.time, scan.time_source
    if abs(in_name - scan.time) > _APART:
        as_kst = scan.time.astimezone(UTC).replace(tzinfo=KST)
        why = ", which is the same if that is KST" if abs(in_name - as_kst) <= _APART else ""
        notes.append(f"by its name {time_label(in_name)}; inside it says {scan.time_text}{why}: name taken")
    return in_name, "the file name, KST"
