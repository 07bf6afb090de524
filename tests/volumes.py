"""Volumes of one radar, made up: CfRadial 1 as KMA's hub serves it, ODIM, and UF packed word by word."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import h5py
import netCDF4
import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.times import KST

Floats = NDArray[np.float64]
Field = Callable[[Floats, Floats, float], Floats]
"""Azimuth [degrees], distance along the beam [m] and elevation [degrees] -> dBZ; NaN is no echo."""
TIME = datetime(2026, 7, 25, 20, 35, tzinfo=KST)
KWK = ("KWK", 126.96355, 37.44423, 637.0)
GDK = ("GDK", 127.433, 38.118, 1066.0)
KMA_ELEVATIONS = (-0.3, 0.1, 0.6, 1.4, 2.7, 4.8, 7.5, 10.5, 15.0)
FILL = -32768


@dataclass(frozen=True)
class Turn:
    """A sweep to make up."""

    elevation: float
    rays: int = 360
    gates: int = 960
    gate_m: float = 250.0
    first_azimuth: float = 0.5


def kma_turns(rays: int = 360, gates: int = 960, gate_m: float = 250.0) -> list[Turn]:
    """Nine sweeps; the top one ends after a quarter of the gates, as at KMA."""
    top = len(KMA_ELEVATIONS) - 1
    return [
        Turn(elevation, rays, gates // 4 if number == top else gates, gate_m)
        for number, elevation in enumerate(KMA_ELEVATIONS)
    ]


def _azimuths(turn: Turn) -> Floats:
    return (turn.first_azimuth + np.arange(turn.rays) * 360 / turn.rays) % 360


def _values(turn: Turn, field: Field) -> Floats:
    ranges = np.arange(0.5, turn.gates) * turn.gate_m
    return np.broadcast_to(field(_azimuths(turn)[:, None], ranges, turn.elevation), (turn.rays, turn.gates))


def cfradial(
    path: Path,
    site: tuple[str, float, float, float],
    turns: Sequence[Turn],
    field: Field,
    *,
    start: str = "2026-07-25T11:35:00Z",
    moment: str = "DBZH",
) -> Path:
    """Write CfRadial 1, ragged: values of all rays in one row, hundredths of dBZ in int16."""
    code, lon, lat, height = site
    blocks = [_values(turn, field) for turn in turns]
    counts = np.concatenate([np.full(turn.rays, turn.gates) for turn in turns])
    lasts = np.cumsum([turn.rays for turn in turns]) - 1
    most = max(turn.gates for turn in turns)
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts({"Conventions": "Cf/Radial", "version": "CF-Radial v2.2", "instrument_name": code})
        sizes = {"time": len(counts), "range": most, "sweep": len(turns), "n_points": int(counts.sum())}
        for name, size in {**sizes, "string_length": 32}.items():
            file.createDimension(name, size)
        for name, value in (("latitude", lat), ("longitude", lon), ("altitude", height)):
            file.createVariable(name, "f8").assignValue(value)
        for name, of, values in (
            ("time", "time", np.arange(len(counts)) * 0.05),
            ("range", "range", (np.arange(most) + 0.5) * turns[0].gate_m),
            ("azimuth", "time", np.concatenate([_azimuths(turn) for turn in turns])),
            ("elevation", "time", np.concatenate([np.full(turn.rays, turn.elevation) for turn in turns])),
            ("fixed_angle", "sweep", [turn.elevation for turn in turns]),
            ("sweep_number", "sweep", np.arange(len(turns))),
            ("sweep_start_ray_index", "sweep", [0, *(lasts[:-1] + 1)]),
            ("sweep_end_ray_index", "sweep", lasts),
            ("ray_n_gates", "time", counts),
            ("ray_start_index", "time", np.concatenate([[0], np.cumsum(counts)[:-1]])),
        ):
            whole = name.startswith(("sweep", "ray"))
            variable = file.createVariable(name, "i4" if whole else "f8", (of,))
            variable[:] = np.asarray(values)
            if name == "time":
                variable.units, variable.calendar = f"seconds since {start}", "gregorian"
            if name == "range":
                variable.meters_to_center_of_first_gate = turns[0].gate_m / 2
                variable.meters_between_gates = turns[0].gate_m
        for name, text in (("time_coverage_start", start), ("time_coverage_end", start)):
            file.createVariable(name, "S1", ("string_length",))[:] = netCDF4.stringtochar(np.array(text, "S32"))
        modes = file.createVariable("sweep_mode", "S1", ("sweep", "string_length"))
        modes[:] = netCDF4.stringtochar(np.array(["azimuth_surveillance"] * len(turns), "S32"))
        data = file.createVariable(moment, "i2", ("n_points",), zlib=True, complevel=1, fill_value=FILL)
        data.setncatts({"scale_factor": 0.01, "add_offset": 0.0, "units": "dBZ"})
        data.set_auto_maskandscale(False)
        flat = np.concatenate([block.ravel() for block in blocks])
        data[:] = np.where(np.isnan(flat), FILL, np.rint(np.nan_to_num(flat) * 100)).astype(np.int16)
    return path


def odim(path: Path, site: tuple[str, float, float, float], turns: Sequence[Turn], field: Field) -> Path:
    """Write an ODIM volume: half dBZ in uint8, 255 not observed, 0 nothing."""
    code, lon, lat, height = site
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_2")
        what = file.create_group("what").attrs
        for key, text in (("object", "PVOL"), ("version", "H5rad 2.2"), ("date", "20260725"), ("time", "113500")):
            what[key] = np.bytes_(text)
        what["source"] = np.bytes_(f"NOD:{code}")
        for key, value in (("lon", lon), ("lat", lat), ("height", height)):
            file.require_group("where").attrs[key] = value
        for number, turn in enumerate(turns, start=1):
            group = file.create_group(f"dataset{number}")
            own = group.create_group("what").attrs
            for key, text in (("product", "SCAN"), ("startdate", "20260725"), ("enddate", "20260725")):
                own[key] = np.bytes_(text)
            own["starttime"], own["endtime"] = np.bytes_("113500"), np.bytes_("113530")
            where = group.create_group("where").attrs
            where["elangle"], where["rscale"], where["rstart"] = turn.elevation, turn.gate_m, 0.0
            where["nrays"], where["nbins"], where["a1gate"] = turn.rays, turn.gates, 0
            half = 180 / turn.rays
            group.create_group("how").attrs["startazA"] = (_azimuths(turn) - half) % 360
            group["how"].attrs["stopazA"] = (_azimuths(turn) + half) % 360
            values = _values(turn, field)
            steps = np.where(np.isnan(values), 0, np.rint((np.nan_to_num(values) + 32) * 2)).astype(np.uint8)
            data = group.create_group("data1")
            data.create_dataset("data", data=steps, compression="gzip")
            marks = {"gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": 0.0}
            data.create_group("what").attrs["quantity"] = np.bytes_("DBZH")
            for key, value in marks.items():
                data["what"].attrs[key] = value
    return path


def uf(
    site: tuple[str, float, float, float],
    turns: Sequence[Turn],
    field: Field,
    *,
    time: datetime = TIME,
    zone: bytes = b"UT",
    fields: Sequence[bytes] = (b"DZ", b"CZ"),
) -> bytes:
    """Return UF, big-endian: each ray a record of 16-bit words, by the table of the format."""
    code, lon, lat, height = site
    out = io.BytesIO()
    for number, turn in enumerate(turns, start=1):
        azimuths, values = _azimuths(turn), _values(turn, field)
        for ray in range(turn.rays):
            steps = np.where(np.isnan(values[ray]), FILL, np.rint(np.nan_to_num(values[ray]) * 100)).astype(">i2")
            heads = 46 + 3 + 2 * len(fields)  # first word of the first field's header, counted from 1
            length = heads - 1 + len(fields) * (19 + turn.gates)
            words = [*_pair(b"UF"), length, 46, 46, 46, ray + 1, 1, ray + 1, 1, number]
            words += [*_pair(code.encode().ljust(8)), *_pair(code.encode().ljust(8))]
            words += [*_sexagesimal(lat), *_sexagesimal(lon), round(height)]
            words += [time.year % 100, time.month, time.day, time.hour, time.minute, 0, *_pair(zone)]
            words += [round(azimuths[ray] * 64), round(turn.elevation * 64), 1, round(turn.elevation * 64), 384]
            words += [26, 7, 25, *_pair(b"HSRGEO  "), FILL]
            words += [len(fields), 1, len(fields)]
            for order, name in enumerate(fields):
                words += [*_pair(name), heads + order * (19 + turn.gates)]
            body = struct.pack(f">{len(words)}h", *words)
            for order, _name in enumerate(fields):
                first = heads + order * (19 + turn.gates) + 19
                head = [first, 100, 0, 0, round(turn.gate_m), turn.gates, 150, 64, 64, 0, 0, 640, 1, *_pair(b"  ")]
                body += struct.pack(">19h", *head, 0, 1, *_pair(b"  "), 1000, 16) + steps.tobytes()
            assert len(body) == 2 * length
            out.write(struct.pack(">I", 2 * length) + body + struct.pack(">I", 2 * length))
    return out.getvalue()


def _pair(text: bytes) -> list[int]:
    return list(struct.unpack(f">{len(text) // 2}h", text))


def _sexagesimal(degrees: float) -> list[int]:
    minutes = (degrees - int(degrees)) * 60
    return [int(degrees), int(minutes), round((minutes - int(minutes)) * 60 * 64)]
