"""Made-up volumes of two radars, as KMA's hub serves real ones: CfRadial 1 in NetCDF-4, a row of values for all rays.

Usage: python examples/made_up_volumes.py OUT   (needs netCDF4, which the extra cube brings)
"""

import sys
from pathlib import Path

import netCDF4
import numpy as np

RADARS = {"KWK": (126.96355, 37.44423, 637.0), "GDK": (127.433, 38.118, 1066.0)}  # degrees east and north, metres
ELEVATIONS = (-0.3, 0.1, 0.6, 1.4, 2.7, 4.8, 7.5, 10.5, 15.0)
RAYS, GATES, GATE_M = 360, 480, 500.0
WEAKEST = 5.0  # dBZ
SHOWER = (127.15, 37.75)  # its middle; 45 dBZ there, weaker outwards and above 5 km


def main(out: Path) -> None:
    """Write four volumes: two radars at 20:35 and at 20:40 KST, while the shower moves east."""
    out.mkdir(parents=True, exist_ok=True)
    for minute in (35, 40):
        for code, place in RADARS.items():
            write(out / f"RDR_{code}_QCD_2026072520{minute}.nc", place, f"2026-07-25T11:{minute}:00Z", minute / 700)


def write(path: Path, place: tuple[float, float, float], start: str, east: float) -> None:
    """Write one volume; its times are UTC, as CfRadial has them, and the time in its name is KST."""
    lon, lat, height = place
    counts = np.repeat([GATES] * 8 + [GATES // 4], RAYS)  # the top sweep is short
    azimuth = np.tile(np.arange(0.5, 360), len(ELEVATIONS))
    elevation = np.repeat(ELEVATIONS, RAYS)
    distance = (np.arange(GATES) + 0.5) * GATE_M
    x = distance * np.sin(np.radians(azimuth))[:, None] - (SHOWER[0] + east - lon) * 88e3
    y = distance * np.cos(np.radians(azimuth))[:, None] - (SHOWER[1] - lat) * 111e3
    z = height + distance * np.sin(np.radians(elevation))[:, None] + distance**2 / 17e6
    dbz = 45 - (x**2 + y**2) / 20e6 - np.maximum(z - 5000, 0) / 200
    stored = np.where(dbz < WEAKEST, -32768, np.rint(100 * dbz))  # the fill value where there is no echo
    with netCDF4.Dataset(path, "w") as file:
        file.Conventions = "CF/Radial"
        file.title = "SYNTHETIC: made up"  # which the frames made of it repeat
        sizes = {
            "time": counts.size,
            "range": GATES,
            "sweep": len(ELEVATIONS),
            "n_points": int(counts.sum()),
            "text": 20,
        }
        for name, size in sizes.items():
            file.createDimension(name, size)
        firsts = np.arange(len(ELEVATIONS)) * RAYS
        for name, dimensions, kind, values in (
            ("latitude", (), "f8", lat),
            ("longitude", (), "f8", lon),
            ("altitude", (), "f8", height),
            ("range", ("range",), "f4", distance),
            ("azimuth", ("time",), "f4", azimuth),
            ("elevation", ("time",), "f4", elevation),
            ("sweep_start_ray_index", ("sweep",), "i4", firsts),
            ("sweep_end_ray_index", ("sweep",), "i4", firsts + RAYS - 1),
            ("ray_n_gates", ("time",), "i4", counts),
            ("ray_start_index", ("time",), "i4", np.cumsum(counts) - counts),
            ("time_coverage_start", ("text",), "S1", np.array(list(start), "S1")),
        ):
            file.createVariable(name, kind, dimensions)[...] = values
        data = file.createVariable("DBZH", "i2", ("n_points",), zlib=True, fill_value=-32768)
        data.set_auto_maskandscale(False)
        data.scale_factor, data.units = 0.01, "dBZ"
        data[:] = np.concatenate([row[:count] for row, count in zip(stored, counts, strict=True)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
