"""Run as a program: whatever hsrgeo writes and reads with GDAL and PROJ, as one line of JSON a step."""

from __future__ import annotations

import json
import sys
import tempfile
import zlib
from dataclasses import asdict
from pathlib import Path

if "--as-command" in sys.argv:  # as `hsrgeo.__main__` does before it imports anything else
    sys.argv.remove("--as-command")
    from hsrgeo.model.env_variables import own_variables

    own_variables()

import numpy as np

import hsrgeo
from hsrgeo.writers.glance import glance
from hsrgeo.writers.layers import cog_facts
from hsrgeo.writers.readback import read_picture
from hsrgeo.writers.sum_cog import encode_sum_cog
from hsrgeo.writers.sum_readback import read_sum


def main(frame_path: str) -> None:
    frame = hsrgeo.open_frame(frame_path).crop(window=(500, 600, 70, 300)).clean()
    warped = hsrgeo.warp_frame(frame, hsrgeo.as_target("EPSG:5179", 1000.0, "nearest"))
    zeros = np.zeros((300, 70), np.int32)
    record: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        frame.to_cog(folder / "a.tif")
        frame.to_cog(folder / "b.tif", compress="zstd")
        warped.to_cog(folder / "c.tif")
        frame.to_png(folder / "d.png")
        (folder / "sum.tif").write_bytes(
            encode_sum_cog(frame.grid, zeros, zeros + 1, {"GRID": frame.grid.name}, "2022-06-09T00:00:00Z")
        )
        record["files"] = {path.name: zlib.crc32(path.read_bytes()) for path in sorted(folder.iterdir())}
        for name in ("a.tif", "b.tif", "c.tif", "d.png", "sum.tif"):
            picture = read_picture(folder / name)
            levels = [zlib.crc32(level.pixels.tobytes()) for level in picture.levels]
            record[name] = [levels, *(repr(value) for key, value in asdict(picture).items() if key != "levels")]
        record["glance"] = repr(glance(folder / "a.tif"))
        record["facts"] = repr(cog_facts(folder / "c.tif"))
        grid = read_sum(folder / "sum.tif").grid
        record["sum"] = f"{grid.wkt2} {grid}"
    sys.stdout.write(json.dumps(record))


if __name__ == "__main__":
    main(*sys.argv[1:])
