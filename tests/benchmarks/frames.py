"""What is measured on: the rebuilt sample frames where they are, else simulated frames."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import deflate

from hsrgeo.engine.simulate import write_simulation
from hsrgeo.model.times import FRAME_STEP, KST

SAMPLES = Path(os.environ.get("HSRGEO_SAMPLES", Path(__file__).parents[3] / "shared" / "samples"))
START = datetime(2026, 8, 1, tzinfo=KST)
_TIME = struct.Struct("<h5b")  # TIME_SS (KMA composite format, section 1)
_TIME_OFFSETS = (3, 10)  # tm, tm_in


def inputs(folder: Path) -> dict[str, list[Path]]:
    """Return frames by how much rain they hold: light ones, and dense ones like a real frame in summer.

    Args:
        folder: Where simulated frames are put if the rebuilt samples are not there.
    """
    if SAMPLES.is_dir():
        return {
            "light": sorted(SAMPLES.glob("RDR_CMP_HSR_PUB_2026*.bin.gz")),
            "dense": sorted(SAMPLES.glob("RDR_CMP_HSR_PUB_2022*.bin.gz")),
        }
    return {
        "light": list(write_simulation(folder / "light", start=START, frames=2, rain="light")),
        "dense": list(write_simulation(folder / "dense", start=START, frames=1, rain="heavy")),
    }


def retimed(frame: Path, time: datetime) -> tuple[str, bytes]:
    """Return name and bytes of the same frame at another time."""
    unpacked = bytearray(gzip.decompress(frame.read_bytes()))
    for offset, stamp in zip(_TIME_OFFSETS, (time, time + timedelta(minutes=6)), strict=True):
        _TIME.pack_into(unpacked, offset, stamp.year, stamp.month, stamp.day, stamp.hour, stamp.minute, 0)
    name = f"RDR_CMP_HSR_PUB_{time:%Y%m%d%H%M}.bin.gz"
    return name, bytes(deflate.gzip_compress(unpacked, 6))


def write_archive(path: Path, frames: list[Path], count: int) -> None:
    """Write an archive of `count` frames five minutes apart, made of a few frames over and over."""
    with tarfile.open(path, "w:gz", compresslevel=6) as archive:
        for name, data in _members(frames, count):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _members(frames: list[Path], count: int) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        time = START + number * FRAME_STEP
        name, data = retimed(frames[number % len(frames)], time)
        yield f"RDR_HSR_{time:%Y%m}/{time:%d}/{name}", data
