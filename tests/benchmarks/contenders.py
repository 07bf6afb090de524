"""The ways that are compared, each as people would write it.

The notebook is the published one's algorithm in our own lines (KMA composite format, section 6): gunzip, skip the
header, raise to -1000, add 1000, flip, cut 256 x 256 around Seoul, save a 16-bit PNG. The peer is what a careful
person would write today with the standard library, numpy, rasterio's COG driver and Pillow.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from joblib import Parallel, delayed
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from hsrgeo.engine.export.work import Task, export_frame
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.formats.names import parse_name
from hsrgeo.model.grid_catalog import grids
from hsrgeo.sources.found import Found

SEOUL = (1214, 1439, 256, 256)
_GRID = grids()["kma-hb-500m"]
_CRS = CRS.from_wkt(_GRID.wkt2)
_LEVELS = {"deflate": "6", "zstd": "9"}


def notebook_png(source: Path, target: Path) -> None:
    """Cut Seoul out of a frame and save it as the notebook does."""
    with gzip.open(source) as file:
        pixels = np.frombuffer(file.read()[1024:], np.int16).reshape(2881, 2305).copy()
    pixels[pixels < -1000] = -1000
    pixels = np.flipud(pixels + 1000).astype(np.uint16)
    col, row, width, height = SEOUL
    Image.fromarray(pixels[row : row + height, col : col + width]).save(target)


def notebook_archive(archive: Path, folder: Path, out: Path, jobs: int) -> None:
    """Unpack an archive to disk, then convert every file, as the notebook does."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    frames = sorted(folder.rglob("*.bin.gz"))
    Parallel(n_jobs=jobs)(delayed(_notebook_frame)(frame, out) for frame in frames)


def _notebook_frame(frame: Path, out: Path) -> None:
    time = frame.name[-19:-7]
    target = out / time[:6] / time[6:8] / f"{time}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    notebook_png(frame, target)


def _read(source: Path) -> NDArray[np.int16]:
    with gzip.open(source) as file:
        return np.frombuffer(file.read(), "<i2", offset=1024).reshape(2881, 2305)[::-1]


def peer_cog(source: Path, target: Path, compress: str, window: tuple[int, int, int, int] | None = None) -> None:
    """Write a COG with rasterio's driver, overviews by nearest, no tags."""
    pixels, transform = _read(source), _GRID.transform
    if window:
        col, row, width, height = window
        pixels = pixels[row : row + height, col : col + width]
        transform = transform * Affine.translation(col, row)
    profile = {"driver": "GTiff", "count": 1, "dtype": "int16", "crs": _CRS, "transform": transform, "nodata": -30000}
    with MemoryFile() as memory:
        with memory.open(width=pixels.shape[1], height=pixels.shape[0], **profile) as dataset:
            dataset.write(pixels, 1)
        with memory.open() as dataset:
            rasterio.shutil.copy(
                dataset,
                target,
                driver="COG",
                COMPRESS=compress.upper(),
                LEVEL=_LEVELS[compress],
                PREDICTOR="YES",
                OVERVIEW_RESAMPLING="NEAREST",
                NUM_THREADS="1",
            )


def peer_both(source: Path, target: Path) -> None:
    """Write Seoul as COG and PNG, each from the file, as two scripts would."""
    peer_cog(source, target.with_suffix(".tif"), "deflate", SEOUL)
    notebook_png(source, target.with_suffix(".png"))


def ours(source: Path, out: Path, options: ExportOptions) -> None:
    """Export one frame, all of the work of a worker: read, unpack, check, cut, write beside, move."""
    found = Found(str(source), None, parse_name(source.name), 0)
    outcome = export_frame(Task(found, "", staged=False, replace=True), out, options.recipe)
    if outcome.error:
        raise outcome.error


def fresh(folder: Path) -> Path:
    """Return an empty folder: replacing a file costs more than making one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
