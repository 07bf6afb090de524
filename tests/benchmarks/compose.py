"""Composites of ten radars: seconds of a processor and megabytes, beside Py-ART and wradlib on the same volumes.

Usage: python -m tests.benchmarks.compose [--python PYTHON] [--runs N]

PYTHON is an interpreter that has arm-pyart and wradlib; without it only hsrgeo is measured. The others do one radar:
Py-ART grids one level (`grid_from_radars`, the nearest gate, cells of 500 m), wradlib interpolates one sweep
(`ipol.Nearest`) onto the cells of the grid within its range.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np

from hsrgeo.model.volume import radar_sites
from tests.volumes import Floats, cfradial, kma_turns

PRODUCTS = (("cappi:1500", "max"), ("lowest", "quality"), ("max", "max"), ("echo-top:18", "max"))

HSRGEO = """
    import json, resource, sys, time
    from hsrgeo.engine.compose import compose
    times = []
    for run in range({runs} + 1):  # the first one imports and computes where the cells lie
        start = time.process_time()
        done = list(compose("{folder}", "{out}", product="{product}", method="{method}", jobs=1, overwrite=True))
        times.append(time.process_time() - start)
        assert len(done) == 1 and not done[0].errors and len(done[0].radars) == 10, done
    print(json.dumps([times[0], min(times[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
PYART = """
    import json, resource, time, warnings
    warnings.simplefilter("ignore")
    import os
    os.environ["PYART_QUIET"] = "1"
    import pyart
    start = time.process_time()
    radar = pyart.io.read_cfradial("{file}")
    read = time.process_time()
    side = 961
    pyart.map.grid_from_radars(
        (radar,), grid_shape=(1, side, side), grid_limits=((1500, 1500), (-240e3, 240e3), (-240e3, 240e3)),
        fields=["DBZH"], weighting_function="Nearest")
    end = time.process_time()
    print(json.dumps([read - start, end - read, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
WRADLIB = """
    import json, resource, time, warnings
    warnings.simplefilter("ignore")
    import numpy as np, wradlib, xradar
    start = time.process_time()
    tree = xradar.io.open_cfradial1_datatree("{file}")
    sweep = tree["sweep_0"].to_dataset()
    values = sweep.DBZH.values
    read = time.process_time()
    r, az = np.meshgrid(sweep.range.values, np.radians(sweep.azimuth.values))
    source = np.column_stack([(r * np.sin(az)).ravel(), (r * np.cos(az)).ravel()])
    axis = np.arange(-240e3, 240.5e3, 500)
    x, y = np.meshgrid(axis, axis)
    wradlib.ipol.Nearest(source, np.column_stack([x.ravel(), y.ravel()]))(values.ravel())
    end = time.process_time()
    print(json.dumps([read - start, end - read, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def field(azimuth: Floats, distance: Floats, elevation: float) -> Floats:
    """Showers over a third of the gates."""
    dbz = 30 * np.sin(azimuth / 9) * np.cos(distance / 17e3) + 20 - elevation
    return np.where(dbz < 12, np.nan, dbz)


def make(folder: Path) -> list[Path]:
    """Write ten volumes as KMA's: nine sweeps of 360 rays and 960 gates of 250 m, the top one short."""
    sites = radar_sites().items()
    return [
        cfradial(folder / f"RDR_{code}_QCD_202607252035.nc", (code, *place, 500.0), kma_turns(), field)
        for code, place in sites
    ]


def measured(python: str, program: str, **words: object) -> list[float]:
    """Return what a program prints: three numbers."""
    code = textwrap.dedent(program.format(**words))
    done = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    figures: list[float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="interpreter with arm-pyart and wradlib")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "volumes")
        folder.mkdir()
        start = time.process_time()
        files = make(folder)
        size = sum(file.stat().st_size for file in files) / len(files) / 1e6
        print(f"{len(files)} volumes of {size:.1f} MB, made in {time.process_time() - start:.0f} s")
        for product, method in PRODUCTS:
            first, again, peak = measured(
                sys.executable,
                HSRGEO,
                folder=folder,
                out=Path(name, "out"),
                product=product,
                method=method,
                runs=options.runs,
            )
            seconds = f"first frame {first:.1f} s, others {again:.1f} s"
            print(f"hsrgeo {product}, {method}: {seconds}, {peak:.0f} MB; ten radars")
        for title, program in (("Py-ART, one level", PYART), ("wradlib, one sweep", WRADLIB)):
            if options.python:
                runs = [measured(options.python, program, file=files[0]) for _ in range(options.runs)]
                read, work, peak = min(runs, key=lambda one: one[0] + one[1])
                print(f"{title}: reading {read:.1f} s, gridding {work:.1f} s, {peak:.0f} MB; one radar")


if __name__ == "__main__":
    main()
