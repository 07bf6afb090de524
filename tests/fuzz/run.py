"""Mutated inputs through every door: no hang, no crash, no memory beyond the bound, no error but hsrgeo's own.

    python -m tests.fuzz --inputs 1000000 --seed 1

An input follows from the seed, the door and its number alone, so a run can be repeated, and any one input of it.
What is found is kept as a file, which `--target DOOR --replay FILE` puts through the door again.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType

from tests.fuzz.bytes_targets import Archives, Extraction, Frames, Gzip, Headers
from tests.fuzz.file_targets import Basins, Catalogs, Gauges, Manifests, Options, Regions
from tests.fuzz.targets import Boxes, Names, Target, Templates, Times, clear_sandbox
from tests.fuzz.volume_targets import Volumes

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Headers(), Gzip(), Frames(), Archives(), Extraction(), Names(), Times(), Templates(), Boxes(), Regions(),
        Gauges(), Basins(), Options(), Manifests(), Catalogs(), Volumes(),
    )
}  # fmt: skip
LIMIT_S = 2.0
"""Most time of the processor that one input may take: unlike that of a clock, it hangs little on what else runs."""
WAIT_S = 60.0
"""Longest that one input may take by the clock, for what waits takes no time of the processor."""
BOUND_BYTES = 256 << 20
"""Most memory that a door may take beyond what the process has when it begins: 3 blocks of the largest grid are 40 MB,
and a frame that is refused is unpacked twice."""
_STUCK_S = 2 * WAIT_S  # an input that does not even answer the alarm
_BATCH = 200
_MOST_FINDINGS = 20  # of one door: then it is given up


@dataclass
class Tally:
    """What became of the inputs of one door."""

    inputs: int = 0
    accepted: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    slowest: int = 0
    grown_bytes: int = 0
    findings: list[tuple[int, str]] = field(default_factory=list)
    """Number of the input, and what is wrong."""

    def add(self, other: Tally) -> None:
        """Count what another one counted."""
        self.inputs += other.inputs
        self.accepted += other.accepted
        self.seconds += other.seconds
        if other.slowest_s > self.slowest_s:
            self.slowest_s, self.slowest = other.slowest_s, other.slowest
        self.grown_bytes = max(self.grown_bytes, other.grown_bytes)
        self.findings.extend(other.findings)


class HangError(BaseException):
    """An input took too long; no Exception, for what is fuzzed may catch those."""


def make_input(target: Target, seed: int, number: int) -> bytes:
    """Return one input, the same in every run."""
    return target.make(random.Random(f"{seed}/{target.name}/{number}"))  # noqa: S311 - to be repeated, not to be secret


def try_inputs(target: Target, seed: int, numbers: Sequence[int]) -> Tally:
    """Put inputs through a door, one after another."""
    tally = Tally()
    for number in numbers:
        tally.inputs += 1
        data = make_input(target, seed, number)
        begun = time.perf_counter()
        problem = _problem(target, data)
        seconds = time.perf_counter() - begun
        tally.seconds += seconds
        if seconds > tally.slowest_s:
            tally.slowest_s, tally.slowest = seconds, number
        if problem is None:
            tally.accepted += 1
        elif problem:
            tally.findings.append((number, problem))
    return tally


def _problem(target: Target, data: bytes) -> str | None:
    """Return None where an input is accepted, nothing where it is refused, or what is wrong."""
    try:
        with time_limit(LIMIT_S), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return None if target.check(data) else ""
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever escapes is what is looked for
        text = f"{type(error).__name__}: {error}".encode(errors="backslashreplace").decode()[:300]
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{text} ({Path(place.filename).name}:{place.lineno})"


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `HangError` in what takes more seconds of the processor, or longer than `WAIT_S` by the clock."""
    wait = max(WAIT_S, 3 * seconds)

    def ring(number: int, _frame: FrameType | None) -> None:
        over = f"{seconds:g} s of the processor" if number == signal.SIGPROF else f"{wait:g} s"
        raise HangError(f"more than {over}")

    before = [(number, signal.signal(number, ring)) for number in (signal.SIGPROF, signal.SIGALRM)]
    # Again and again, for Python throws away what is raised in a callback of the collector.
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.2)
    signal.setitimer(signal.ITIMER_REAL, wait, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            signal.signal(number, handler)


def _peak_bytes() -> int:
    # Not ru_maxrss: a new process has its parent's.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


# -- many of them, in processes of their own --------------------------------------------------------------------------


def _serve(pipe: Connection, target: Target, seed: int) -> None:
    """Answer batches of numbers with tallies, until there are none; tell each number before it is tried."""
    try:
        target.warm_up(seed)  # what is loaded once is no growth
        gc.collect()
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + BOUND_BYTES, resource.RLIM_INFINITY))
        peak = _peak_bytes()
        while numbers := pipe.recv():
            tally = Tally()
            for number in numbers:
                pipe.send(number)
                tally.add(try_inputs(target, seed, [number]))
            tally.grown_bytes = _peak_bytes() - peak
            pipe.send(tally)
    finally:
        clear_sandbox()


@dataclass
class _Worker:
    """A process that tries the inputs of one door, and another one where it dies or hangs."""

    name: str
    seed: int
    left: list[int]
    folder: Path
    tally: Tally = field(default_factory=Tally)
    trying: list[int] = field(default_factory=list)
    current: int | None = None

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, TARGETS[self.name], self.seed), daemon=True)
        self.process.start()
        theirs.close()
        self.current = None
        self.since = time.monotonic() + 60  # it imports first
        self.trying = []
        self.give()

    def give(self) -> None:
        self.trying, self.left = self.left[:_BATCH], self.left[_BATCH:]
        self.pipe.send(self.trying)

    def hear(self) -> bool:
        """Take one message; tell whether there is more to come."""
        try:
            record = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return self.lost(f"the process ended with {self.process.exitcode}")
        self.since = time.monotonic()
        if isinstance(record, int):
            self.current = record
            return True
        for number, problem in record.findings:
            self.keep(number, problem)
        self.tally.add(record)
        self.trying = []
        if not self.left or len(self.tally.findings) >= _MOST_FINDINGS:
            self.stop()
            return False
        self.give()
        return True

    def lost(self, problem: str) -> bool:
        """Note the input that ended or held up the process, and go on with a new one after it."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        if self.current is None:
            raise RuntimeError(f"{self.name}: no worker could be started: {problem}")
        self.tally.inputs += 1
        self.tally.findings.append((self.current, problem))
        self.keep(self.current, problem)
        rest = [number for number in self.trying if number != self.current]
        # What was tried before in this batch is tried again, for its tally is lost; it is short.
        self.left = rest + self.left
        if not self.left or len(self.tally.findings) >= _MOST_FINDINGS:
            return False
        self.start()
        return True

    def keep(self, number: int, problem: str) -> None:
        """Write down an input that did harm, at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{self.name}-{self.seed}-{number}"
        file.write_bytes(make_input(TARGETS[self.name], self.seed, number))
        print(f"FOUND {file}: {problem}", flush=True)

    def stop(self) -> None:
        self.pipe.send([])
        self.process.join(10)
        self.pipe.close()


def run(names: Sequence[str], inputs: int, seed: int, jobs: int, folder: Path) -> dict[str, Tally]:
    """Try that many inputs in all, each door in its share; what is found is kept in a folder."""
    shares = {name: TARGETS[name].share for name in names}
    counts = {name: max(round(inputs * share / sum(shares.values())), 1) for name, share in shares.items()}
    counts[max(counts, key=counts.__getitem__)] += inputs - sum(counts.values())
    waiting = [_Worker(name, seed, list(range(count)), folder) for name, count in counts.items() if count > 0]
    at_work: list[_Worker] = []
    done: dict[str, Tally] = {}
    while waiting or at_work:
        while waiting and len(at_work) < jobs:
            at_work.append(waiting.pop(0))
            at_work[-1].start()
        ready = wait([worker.pipe for worker in at_work], timeout=1)
        for worker in list(at_work):
            going = True
            if worker.pipe in ready:
                going = worker.hear()
            elif time.monotonic() - worker.since > _STUCK_S:
                going = worker.lost(f"no answer within {_STUCK_S:g} s")
            if not going:
                at_work.remove(worker)
                done[worker.name] = worker.tally
                print(_line(worker.name, worker.tally), flush=True)
    return done


_HEAD = "door          inputs  accepted   refused  found    per s   slowest  grown by"


def _line(name: str, tally: Tally) -> str:
    refused = tally.inputs - tally.accepted - len(tally.findings)
    speed = tally.inputs / max(tally.seconds, 1e-9)
    return (
        f"{name:<10} {tally.inputs:>9,} {tally.accepted:>9,} {refused:>9,} {len(tally.findings):>6,} {speed:>8,.0f} "
        f"{tally.slowest_s * 1000:>6,.0f} ms {tally.grown_bytes / 2**20:>6,.0f} MB"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; the exit status is 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=20_000, help="in all, each door in its share")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="only this door; more than once")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="folder for what is found")
    parser.add_argument("--replay", type=Path, help="put this file through the one --target, and nothing else")
    asked = parser.parse_args(arguments)
    names = asked.target or list(TARGETS)
    if asked.replay:
        if len(names) != 1:
            parser.error("--replay needs one --target")
        try:
            print("accepted" if TARGETS[names[0]].check(asked.replay.read_bytes()) else "refused")
        finally:
            clear_sandbox()
        return 0
    print(f"seed {asked.seed}, at most {LIMIT_S:g} s and {BOUND_BYTES >> 20} MB an input\n{_HEAD}", flush=True)
    begun = time.monotonic()
    tallies = run(names, asked.inputs, asked.seed, asked.jobs, asked.findings)
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    print(f"{_line('all', total)}\n{time.monotonic() - begun:,.0f} s; {len(total.findings):,} findings")
    clear_sandbox()
    return 1 if total.findings else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    sys.exit(main())
