"""Workers of a Dask cluster on this machine: two against one, and what each part of it costs a frame.

    python -m tests.benchmarks.cluster [--frames 200] [--pairs 5] [--scratch DIR]

On a machine whose cores are all busy already, the ratio of two workers to one says little; seconds of the processor
a frame, which are printed too, do. What scheduler and workers spend while they wait is taken off.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.workers.cluster import Cluster
from hsrgeo.engine.workers.parallel import run_parallel
from tests.benchmarks.contenders import SEOUL, fresh
from tests.benchmarks.frames import inputs, write_archive

_PATIENCE_S = 60
_IDLE_S = 5
_TICKS = os.sysconf("SC_CLK_TCK")
_WAYS = {
    "crop": ExportOptions(window=SEOUL),
    "whole": ExportOptions(),
}


@dataclass
class Machines:
    """A scheduler and its workers."""

    address: str
    scheduler: int
    workers: list[int]
    idle: tuple[float, float] = (0.0, 0.0)
    """Seconds of the processor that the scheduler, and the workers, spend in a second in which nothing is done."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=200, help="frames in the archive")
    parser.add_argument("--pairs", type=int, default=5, help="runs with one worker and with two, in turn")
    parser.add_argument("--kinds", nargs="+", choices=list(_WAYS), default=list(_WAYS), help="what is written")
    parser.add_argument("--scratch", type=Path, help="folder for what is written [the system's temporary folder]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        measure(Path(folder), arguments.frames, arguments.pairs, arguments.kinds)


def measure(scratch: Path, count: int, pairs: int, kinds: list[str]) -> None:
    """Print a row for each kind of output and of archive."""
    name, frames = next(iter(inputs(scratch / "in").items()))
    packed = scratch / "RDR_HSR_202608.tar.gz"
    write_archive(packed, frames, count)
    plain = packed.with_suffix("")
    with gzip.open(packed) as source, plain.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    print(f"\n{count} {name} frames through Dask, medians of {pairs}; load {os.getloadavg()[0]:.1f}")
    print(f"  {'':34} 1 worker  2 workers   ratio | processor, ms a frame:  parent  scheduler  workers")
    with _machines(scratch / "one", 1) as one, _machines(scratch / "two", 2) as two:
        for machines in (one, two):
            list(run_parallel(abs, range(8), Cluster(machines.address)))  # all are there
            before = _spent(machines)
            time.sleep(_IDLE_S)
            _parent, *spent = (b - a for a, b in zip(before, _spent(machines), strict=True))
            machines.idle = spent[0] / _IDLE_S, spent[1] / _IDLE_S
        for kind in kinds:
            for archive in (packed, plain):
                _row(f"{kind} COG + PNG, {''.join(archive.suffixes)}", archive, _WAYS[kind], (one, two), count, pairs)


def _row(
    label: str, archive: Path, options: ExportOptions, both: tuple[Machines, Machines], count: int, pairs: int
) -> None:
    out = archive.parent / "out"
    seconds: list[tuple[float, float]] = []
    costs: list[tuple[float, float, float]] = []
    for _ in range(pairs + 1):
        pair = []
        for machines in both:
            fresh(out)
            before = _spent(machines)
            begun = time.perf_counter()
            chosen = ExportOptions(window=options.window, dask=machines.address)
            for outcome in export(archive, out, chosen):
                if outcome.status != "ok":
                    raise SystemExit(f"{outcome.label}: {outcome.status}, {outcome.error}")
            pair.append(time.perf_counter() - begun)
            spent = [b - a for a, b in zip(before, _spent(machines), strict=True)]
            idle = [0.0, *(rate * pair[-1] for rate in machines.idle)]
            parent, scheduler, workers = ((s - i) * 1000 / count for s, i in zip(spent, idle, strict=True))
            costs.append((parent, scheduler, workers))
        seconds.append((pair[0], pair[1]))
    measured = seconds[1:]  # the first pair warms up
    ratio = statistics.median(a / b for a, b in measured)
    first, second = (statistics.median(column) for column in zip(*measured, strict=True))
    parent, scheduler, workers = (statistics.median(column) for column in zip(*costs[2:], strict=True))
    text = f"{parent:29.2f} {scheduler:10.2f} {workers:8.2f}"
    print(f"  {label:34} {first:6.2f} s   {second:6.2f} s  {ratio:5.2f} x | {text}", flush=True)


def _spent(machines: Machines) -> tuple[float, float, float]:
    """Return seconds of the processor so far: this process, the scheduler, the workers."""
    return time.process_time(), _seconds(machines.scheduler), sum(map(_seconds, machines.workers))


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def _machines(folder: Path, workers: int) -> Iterator[Machines]:
    folder.mkdir()
    processes: list[subprocess.Popen[bytes]] = []

    def start(program: str, *arguments: str) -> int:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--host", "127.0.0.1", "--no-dashboard"]
        with (folder / "log").open("ab") as log:
            processes.append(subprocess.Popen([*command, *arguments], cwd=folder, stdout=log, stderr=log))
        return processes[-1].pid

    try:
        scheduler = start(
            "dask_scheduler",
            "--port",
            "0",
            "--idle-timeout",
            "1800",
            "--no-jupyter",
            "--scheduler-file",
            str(folder / "s.json"),
        )
        address, end = "", time.monotonic() + _PATIENCE_S
        while not address and time.monotonic() < end:
            time.sleep(0.05)
            with suppress(OSError, ValueError):
                address = json.loads((folder / "s.json").read_text())["address"]
        common = (address, "--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--local-directory", str(folder))
        yield Machines(address, scheduler, [start("dask_worker", *common) for _ in range(workers)])
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
