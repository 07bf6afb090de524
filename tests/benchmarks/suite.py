"""One run, one table. `--frames N` sets the size of the archive, 0 leaves that part out."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import deflate

from hsrgeo.engine.options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.workers.memory import keep_freed_memory
from hsrgeo.model.window import BBox
from hsrgeo.writers.files import write_file
from tests.benchmarks.contenders import (
    SEOUL,
    fresh,
    notebook_png,
    ours,
    peer_both,
    peer_cog,
)
from tests.benchmarks.frames import inputs, write_archive

Way = Callable[[Path, Path], object]
_UNPACKED = 13_282_434
_FILES = 500


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--frames", type=int, default=1000, help="frames in the archive; 0: no archive")
    parser.add_argument("--repeats", type=int, default=15, help="pairs of measurements a row")
    parser.add_argument("--scratch", type=Path, help="folder for what is written [the system's temporary folder]")
    arguments = parser.parse_args()
    print(f"{_machine()}, Python {platform.python_version()}; one core where not said otherwise; medians")
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        scratch = Path(folder)
        print(f"making an empty file and moving it: {_file_ms(scratch):.3f} ms; a crop with its PNG makes five")
        sources = inputs(scratch / "in")
        for name, frames in sources.items():
            size = sum(frame.stat().st_size for frame in frames) / len(frames)
            print(f"\n{name} frames ({size / 1000:,.0f} kB packed)")
            _per_frame(frames, scratch, arguments.repeats)
        if arguments.frames:
            name = next(iter(sources))
            print(f"\narchive of {arguments.frames} {name} frames to crops of 256 x 256")
            _archive(sources[name], scratch, arguments.frames)


def _per_frame(frames: list[Path], scratch: Path, repeats: int) -> None:
    measure = partial(_pair, frames=frames, scratch=scratch, repeats=repeats)
    crop_both = ExportOptions(window=SEOUL)
    crop_png = ExportOptions(window=SEOUL, formats=("png",))
    measure("crop COG + PNG : the floor", partial(ours, options=crop_both), _floor, inverse=True)
    measure("crop COG + PNG : notebook, PNG only", partial(ours, options=crop_both), _notebook)
    measure("crop COG + PNG : peer, both", partial(ours, options=crop_both), _peer_both)
    measure("crop PNG : notebook", partial(ours, options=crop_png), _notebook)
    for compress in ("deflate", "zstd"):
        whole = ExportOptions(formats=("cog",), compress=compress, values="raw")  # as the peer
        measure(f"full COG {compress} : peer", partial(ours, options=whole), partial(_peer_cog, compress=compress))
        sizes = (
            _bytes(partial(ours, options=whole), frames[0], scratch),
            _bytes(partial(_peer_cog, compress=compress), frames[0], scratch),
        )
        print(
            f"  {'    file size':44} {sizes[0] / 1000:9.0f} kB {sizes[1] / 1000:9.0f} kB   {sizes[0] / sizes[1]:6.2f}"
        )
    regions = tuple(Region(f"r{k}", BBox(126 + k / 5, 35 + k / 5, 127.2 + k / 5, 36.15 + k / 5)) for k in range(10))
    ten = ExportOptions(regions=regions)
    measure("ten regions at once : ten exports", partial(ours, options=ten), partial(_one_by_one, regions=regions))


def _floor(source: Path, _out: Path) -> None:
    deflate.gzip_decompress(source.read_bytes(), _UNPACKED)


def _notebook(source: Path, out: Path) -> None:
    notebook_png(source, out / "notebook.png")


def _peer_both(source: Path, out: Path) -> None:
    peer_both(source, out / "peer")


def _peer_cog(source: Path, out: Path, compress: str) -> None:
    peer_cog(source, out / "peer.tif", compress)


def _one_by_one(source: Path, out: Path, regions: tuple[Region, ...]) -> None:
    for region in regions:
        ours(source, out, ExportOptions(regions=(region,)))


def _pair(
    label: str, first: Way, second: Way, *, frames: list[Path], scratch: Path, repeats: int, inverse: bool = False
) -> None:
    """Measure two ways in turn, so that a change of the machine's speed meets both, and print a row."""
    times: list[tuple[float, float]] = []
    with _process() as one, _process() as other:  # a process each: they would cool each other's memory
        for number in range(repeats + 2):
            source = frames[number % len(frames)]
            out = scratch / "out"
            times.append(
                (
                    one.submit(_seconds, first, source, out).result(),
                    other.submit(_seconds, second, source, out).result(),
                )
            )
    measured = times[2:]  # the first two warm up
    ratios = [a / b if inverse else b / a for a, b in measured]
    ours_ms, other_ms = (statistics.median(column) * 1000 for column in zip(*measured, strict=True))
    print(f"  {label:44} {ours_ms:9.2f} ms {other_ms:9.2f} ms   {statistics.median(ratios):6.2f} x")


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=keep_freed_memory)


def _seconds(way: Way, source: Path, out: Path) -> float:
    fresh(out)
    begun = time.perf_counter()
    way(source, out)
    return time.perf_counter() - begun


def _bytes(way: Way, source: Path, scratch: Path) -> int:
    out = fresh(scratch / "out")
    way(source, out)
    return sum(path.stat().st_size for path in out.rglob("*.tif"))


def _archive(frames: list[Path], scratch: Path, count: int) -> None:
    archive = scratch / "RDR_HSR_202608.tar.gz"
    write_archive(archive, frames, count)
    runs: dict[str, list[str]] = {
        "notebook, unpack then convert, 2 jobs": [sys.executable, "-m", "tests.benchmarks.notebook"],
        "hsrgeo, one pass, 2 jobs": _export("2"),
        "hsrgeo, one pass, 1 job": _export("1"),
    }
    seconds: dict[str, float] = {}
    for label, command in runs.items():
        out = fresh(scratch / "archive-out")
        done = subprocess.run(
            [sys.executable, "-c", _MEASURE, *command, out, archive], stdout=subprocess.PIPE, check=True
        )
        seconds[label], peak = map(float, done.stdout.split()[-2:])
        rate = count / seconds[label]
        print(f"  {label:44} {seconds[label]:9.2f} s  {rate:7.0f} frames/s  {peak:7.0f} MB in the largest process")
    notebook, two, one = seconds.values()
    print(f"  {'2 jobs : notebook':44} {notebook / two:31.2f} x")
    print(f"  {'2 jobs : 1 job':44} {one / two:31.2f} x")


# A process of its own: what this one needs would count as the least of what those that it starts need.
_MEASURE = """
import resource, subprocess, sys, time
begun = time.perf_counter()
subprocess.run(sys.argv[1:], check=True)
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000)  # Linux: kB -> MB
"""


def _export(jobs: str) -> list[str]:
    window = [str(number) for number in SEOUL]
    return [sys.executable, "-m", "hsrgeo", "export", "--jobs", jobs, "--quiet", "--window", *window, "--out"]


def _file_ms(scratch: Path) -> float:
    begun = time.perf_counter()
    for number in range(_FILES):
        write_file(scratch / "files" / str(number), b"")
    return (time.perf_counter() - begun) / _FILES * 1000


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return f"{model}, {os.cpu_count()} cores"
