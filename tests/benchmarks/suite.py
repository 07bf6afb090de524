"""One run, one table. `--frames N` sets the size of the archive, 0 leaves that part out.

Each figure is a median, each ratio the median of the ratios of rounds. A round is a light frame and a dense one, each
by every way that is compared, in turn: a change of the machine's speed meets all of them.
"""

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
from functools import cache, partial
from pathlib import Path

from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.workers.memory import keep_freed_memory
from hsrgeo.model.window import BBox
from hsrgeo.writers.files import write_file
from tests.benchmarks.contenders import SEOUL, fresh, notebook_png, ours, peer_both, peer_cog
from tests.benchmarks.floor import UNPACKERS, outer_seconds, unpack, unpack_in_steps
from tests.benchmarks.frames import inputs, write_archive

Way = Callable[[Path, Path], object]
Times = dict[str, list[float]]
"""Milliseconds by what the frames hold, a round each."""
_FILES = 500
_WARM_UP = 3
_STARTS = 15
_WIDTH = 52


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--frames", type=int, default=1000, help="frames in the archive; 0: no archive")
    parser.add_argument("--rounds", type=int, default=60, help="light and dense frames measured for each row")
    parser.add_argument("--cpu", action="store_true", help="processor time of single frames, for a busy machine")
    parser.add_argument("--scratch", type=Path, help="folder for what is written [the system's temporary folder]")
    arguments = parser.parse_args()
    print(f"{_machine()}, Python {platform.python_version()}; one core where not said otherwise; medians")
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        scratch = Path(folder)
        print(f"making an empty file and moving it: {_file_ms(scratch):.3f} ms; a crop with its PNG makes five")
        frames = inputs(scratch / "in")
        sizes = ", ".join(f"{paths[0].stat().st_size / 1000:,.0f} kB {rain}" for rain, paths in frames.items())
        print(f"frames: {sizes}\n\n{'':{_WIDTH}} {'light':>22} {'dense':>22} {'both':>7}")
        clock = time.process_time if arguments.cpu else time.perf_counter
        floor_ms = _per_frame(
            frames, partial(_times, frames=frames, scratch=scratch, clock=clock), arguments.rounds, scratch
        )
        _start(frames["light"][0], scratch)
        if arguments.frames:
            _archive(frames, scratch, arguments.frames, floor_ms)


def _per_frame(frames: dict[str, list[Path]], measure: Callable[..., list[Times]], rounds: int, scratch: Path) -> float:
    """Print the rows of single frames, and return the floor: milliseconds for the mean of a light and a dense frame."""
    both, png = ExportOptions(window=SEOUL), ExportOptions(window=SEOUL, formats=("png",), sidecars=False)
    floors = [partial(_unpack, library=library) for library in UNPACKERS]
    crop, crop_png, steps, *unpacked = measure(
        [[partial(ours, options=both), partial(ours, options=png), _unpack_in_steps, *floors]], rounds=rounds
    )
    floor: Times = {}
    for rain in frames:
        medians = {library: statistics.median(times[rain]) for library, times in zip(UNPACKERS, unpacked, strict=True)}
        fastest = min(medians, key=medians.__getitem__)
        floor[rain] = unpacked[list(UNPACKERS).index(fastest)][rain]
        print(f"unpacking, CRC checked, {rain}: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in medians.items()))
    _row("unpacking in steps, nothing kept : floor", steps, floor, over=True)
    _row("crop COG + PNG : floor", crop, floor, over=True)
    _row("crop PNG : floor", crop_png, floor, over=True)
    _row("crop COG + PNG : notebook, PNG only", *measure([[partial(ours, options=both)], [_notebook]], rounds=rounds))
    _row("crop COG + PNG : peer, both", *measure([[partial(ours, options=both)], [_peer_both]], rounds=rounds))
    _row("crop PNG : notebook", *measure([[partial(ours, options=png)], [_notebook]], rounds=rounds))
    for compress in ("deflate", "zstd"):
        full = partial(ours, options=ExportOptions(formats=("cog",), compress=compress, values="raw"))  # as the peer
        peer = partial(_peer_cog, compress=compress)
        _row(f"full COG {compress} : peer", *measure([[full], [peer]], rounds=max(rounds // 3, 1)))
        sizes = [[_bytes(way, paths[0], scratch) for way in (full, peer)] for paths in frames.values()]
        columns = [f"{size / 1000:6.0f} kB {size / peers:9.2f}   " for size, peers in sizes]
        print(f"{'    its size, and over that of the peer':{_WIDTH}} {columns[0]:>22} {columns[1]:>22}")
    regions = tuple(Region(f"r{k}", BBox(126 + k / 5, 35 + k / 5, 127.2 + k / 5, 36.15 + k / 5)) for k in range(10))
    ten, one_by_one = partial(ours, options=ExportOptions(regions=regions)), partial(_one_by_one, regions=regions)
    _row("ten regions at once : ten exports", *measure([[ten], [one_by_one]], rounds=max(rounds // 6, 1)))
    return statistics.mean(statistics.median(times) for times in floor.values())


def _times(
    groups: list[list[Way]], *, frames: dict[str, list[Path]], scratch: Path, clock: Callable[[], float], rounds: int
) -> list[Times]:
    """Return what each way takes; each group has a process of its own, and its ways share that one's warm memory."""
    pools = [_process() for _group in groups]
    times: list[Times] = [{rain: [] for rain in frames} for group in groups for _way in group]
    for number in range(_WARM_UP + rounds):
        for rain, paths in frames.items():
            source = paths[number % len(paths)]
            taken: list[float] = []
            for pool, group in zip(pools, groups, strict=True):
                taken += pool.submit(_milliseconds, group, source, scratch / "out", clock).result()
            if number >= _WARM_UP:
                for one, ms in zip(times, taken, strict=True):
                    one[rain].append(ms)
    for pool in pools:
        pool.shutdown()
    return times


def _row(label: str, one: Times, other: Times, *, over: bool = False) -> None:
    columns = []
    rounds: list[tuple[float, float]] = [(0.0, 0.0)] * len(next(iter(one.values())))
    for rain in one:
        pairs = list(zip(one[rain], other[rain], strict=True))
        rounds = [(a + c, b + d) for (a, b), (c, d) in zip(rounds, pairs, strict=True)]
        medians = " ".join(f"{statistics.median(column):7.2f}" for column in (one[rain], other[rain]))
        columns.append(f"{medians} {_ratio(pairs, over=over):6.2f}")
    print(f"{label + ' (ms, ms, ' + ('a : b)' if over else 'b : a)'):{_WIDTH}} {columns[0]} {columns[1]} ", end="")
    print(f"{_ratio(rounds, over=over):7.2f}", flush=True)


def _ratio(pairs: list[tuple[float, float]], *, over: bool) -> float:
    return statistics.median(a / b if over else b / a for a, b in pairs)


def _unpack(source: Path, _out: Path, library: str) -> None:
    unpack(_read(source), library)


def _unpack_in_steps(source: Path, _out: Path) -> None:
    unpack_in_steps(_read(source))


@cache
def _read(source: Path) -> bytes:
    return source.read_bytes()


def _notebook(source: Path, out: Path) -> None:
    notebook_png(source, out / "notebook.png")


def _peer_both(source: Path, out: Path) -> None:
    peer_both(source, out / "peer")


def _peer_cog(source: Path, out: Path, compress: str) -> None:
    peer_cog(source, out / "peer.tif", compress)


def _one_by_one(source: Path, out: Path, regions: tuple[Region, ...]) -> None:
    for region in regions:
        ours(source, out, ExportOptions(regions=(region,)))


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=keep_freed_memory)


def _milliseconds(group: list[Way], source: Path, out: Path, clock: Callable[[], float]) -> list[float]:
    """Return what each way takes. One goes first unmeasured: a core that was idle runs at a third of its speed."""
    fresh(out)
    group[0](source, out)
    taken = []
    for way in group:
        fresh(out)
        begun = clock()
        way(source, out)
        taken.append((clock() - begun) * 1000)
    return taken


def _bytes(way: Way, source: Path, scratch: Path) -> int:
    out = fresh(scratch / "out")
    way(source, out)
    return sum(path.stat().st_size for path in out.rglob("*.tif"))


def _start(frame: Path, scratch: Path) -> None:
    """Print what one frame takes from the command's start to its end, and what of that is Python and imports."""
    python = [sys.executable, "-c"]
    commands: dict[str, list[str]] = {
        "one light frame, whole, COG + PNG: start to end": [
            *_export("1", whole=True),
            str(scratch / "out"),
            str(frame),
        ],
        "    of which Python": [*python, "pass"],
        "    of which Python and numpy": [*python, "import numpy"],
        "    of which Python and the imports of export": [
            *python,
            "import hsrgeo.cli.export, hsrgeo.engine.export.export_run",
        ],
    }
    seconds: dict[str, list[tuple[float, float, float]]] = {label: [] for label in commands}
    for _ in range(1 + _STARTS):
        for label, command in commands.items():
            fresh(scratch / "out")
            seconds[label].append(_measured(command))
    print()
    for label, times in seconds.items():
        wall, processor, _peak = map(statistics.median, zip(*times[1:], strict=True))
        print(f"{label:{_WIDTH}} {wall:9.2f} s  {processor:7.2f} s of the processor")


def _archive(frames: dict[str, list[Path]], scratch: Path, count: int, floor_ms: float) -> None:
    print(f"\narchive of {count} frames, light and dense in turn, to crops of 256 x 256")
    archive = scratch / "RDR_HSR_202608.tar.gz"
    write_archive(archive, [frames["light"][0], frames["dense"][0]], count)
    runs: dict[str, list[str]] = {
        "notebook, unpack then convert, 2 jobs": [sys.executable, "-m", "tests.benchmarks.notebook"],
        "hsrgeo, one pass, 2 jobs": _export("2"),
        "hsrgeo, one pass, 1 job": _export("1"),
    }
    seconds: dict[str, float] = {}
    for label, command in runs.items():
        out = fresh(scratch / "archive-out")
        seconds[label], processor, peak = _measured([*command, str(out), str(archive)])
        rate = count / seconds[label]
        text = f"{seconds[label]:9.2f} s  {processor:7.2f} s of the processor  {rate:7.0f} frames/s"
        print(f"{label:{_WIDTH}} {text}  {peak:7.0f} MB in the largest process")
    outer_ms = outer_seconds(archive) / count * 1000
    bound = 2000 / (floor_ms + outer_ms)
    notebook, two, one = seconds.values()
    print(f"{'notebook : 2 jobs':{_WIDTH}} {notebook / two:9.2f}")
    print(f"{'1 job : 2 jobs':{_WIDTH}} {one / two:9.2f}")
    bound_label = f"2 jobs : bound of {bound:.0f} frames/s (floor {floor_ms:.2f}, outer gzip {outer_ms:.2f} ms)"
    print(f"{bound_label:{_WIDTH}} {count / two / bound:9.2f}")


def _measured(command: list[str]) -> tuple[float, float, float]:
    """Return seconds of the wall and of the processor, and MB of the largest process, of a command and what it starts.

    Its modules are compiled once, as pip compiles what it installs, whatever the environment says.
    """
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], stdout=subprocess.PIPE, text=True, check=True, env=compiled
    )
    seconds, processor, peak = map(float, done.stdout.split()[-3:])
    return seconds, processor, peak


# A process of its own: what this one needs would count as the least of what those that it starts need.
MEASURE = """
import resource, subprocess, sys, time
begun = time.perf_counter()
subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)  # Linux: kB -> MB
"""


def _export(jobs: str, *, whole: bool = False) -> list[str]:
    window = [] if whole else ["--window", *(str(number) for number in SEOUL)]
    return [sys.executable, "-m", "hsrgeo", "export", "--jobs", jobs, "--quiet", *window, "--out"]


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
