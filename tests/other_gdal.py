"""The GDAL on the machine (Debian's gdal-bin): a reader that shares no code with the one in rasterio's wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

needs_gdal = pytest.mark.skipif(
    shutil.which("gdalinfo") is None, reason="no gdalinfo on this machine (Debian: apt install gdal-bin)"
)

_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PROJ_", "GDAL_"))}
_ENVI_TYPES = {"1": "u1", "2": "<i2", "12": "<u2"}


def gdalinfo(path: Path, *options: str) -> dict[str, Any]:
    """Return what ``gdalinfo -json`` tells, and refuse warnings."""
    run = subprocess.run(
        ["gdalinfo", "-json", *options, str(path)], capture_output=True, text=True, check=True, env=_ENVIRONMENT
    )
    assert run.stderr == ""
    record: dict[str, Any] = json.loads(run.stdout)
    return record


def gdal_pixels(path: Path, scratch: Path, overview: int | None = None) -> NDArray[np.generic]:
    """Return the first band, or one of its overviews, by way of a raw ENVI file."""
    target = scratch / "pixels.envi"
    level = [] if overview is None else ["-oo", f"OVERVIEW_LEVEL={overview}"]
    command = ["gdal_translate", "-q", "-of", "ENVI", "--config", "GDAL_PAM_ENABLED", "NO", *level, str(path)]
    subprocess.run([*command, str(target)], check=True, env=_ENVIRONMENT)
    header = dict(
        line.replace(" ", "").split("=", 1)
        for line in target.with_suffix(".hdr").read_text(encoding="utf-8").splitlines()
        if "=" in line
    )
    assert (header["interleave"], header["byteorder"], header["headeroffset"]) == ("bsq", "0", "0")
    pixels = np.fromfile(target, _ENVI_TYPES[header["datatype"]])
    return pixels.reshape(int(header["lines"]), int(header["samples"]))


def gdal_lonlat(path: Path, places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return longitude and latitude of places given as column and row from the north-west **corner**."""
    run = subprocess.run(
        ["gdaltransform", "-t_srs", "EPSG:4326", "-output_xy", str(path)],
        input="".join(f"{col!r} {row!r}\n" for col, row in places),
        capture_output=True,
        text=True,
        check=True,
        env=_ENVIRONMENT,
    )
    found = [tuple(map(float, line.split())) for line in run.stdout.splitlines()]
    return [(lon, lat) for lon, lat in found]


def gdal_reads(codec: str) -> bool:
    """Tell whether its GeoTIFF driver knows a compression."""
    run = subprocess.run(["gdalinfo", "--format", "GTiff"], capture_output=True, text=True, check=True)
    return f"<Value>{codec}</Value>" in run.stdout
