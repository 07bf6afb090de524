"""Runs that overlap on one output: never two at a time, and whatever is killed, the same command heals it.

    python -m tests.fuzz.overlaps cube --rounds 50
    python -m tests.fuzz.overlaps disk --rounds 50       # an export on two machines; needs root
    python -m tests.fuzz.overlaps bucket --rounds 20     # the same, into an S3 server; needs root

In each round two runs of one command begin, the second while the first is under way. In some, one of the two is killed,
or suspended, perhaps for longer than its lease, and then continued. A run may write only while no other one has the
lock: one that was killed has it until its death, one that was suspended until its lease is over. At last the command
is given again, and its outputs are those of a run alone. Two machines are two sets of namespaces (see
tests.fuzz.machine). `flock` is local to each, or fails as it does on NFS.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from hsrgeo.sources.remote import RemotePath, place
from tests.conftest import TIME, MakeFile, frame_name, make_tar
from tests.fuzz.machine import BUSY, LEASE_S, WATCH_S, Machine, Run
from tests.s3 import s3_server

FRAMES = 32
FLOCKS = ("local", "EBADF", "ENOLCK")
WHOLE = ("--window", "420", "620", "96", "64")
EXPORT = ("export", "out", "--jobs", "1", "--quiet")
CUBES = (
    ("cube", "c.zarr", "--layout", "both", "--jobs", "1"),
    ("cube", "c.zarr", "--layout", "map", "--zarr-format", "2", "--jobs", "1"),
    ("cube", "c.nc", "--jobs", "1"),
)
"""Command, name of its output, options."""
KEYS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "r"}


@dataclass
class Tally:
    """What became of the rounds."""

    done: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    both: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    after: int = 0
    """Writes of a suspended run after another took over, before it looked at its lock: of one batch at most."""

    def tell(self) -> int:
        """Print it, and return the exit status."""
        print(
            f"{self.done} rounds {dict(self.fates)}: both at once {len(self.both)}, not healed {len(self.broken)}, "
            f"writes of suspended runs {self.after}; exit statuses {dict(self.ends)}",
            flush=True,
        )
        for one in (*self.both[:5], *self.broken[:5]):
            print(f"  {one}")
        return int(bool(self.both or self.broken))


def source(folder: Path) -> Path:
    """Write an archive of frames, and return its path."""
    path = folder / "RDR_HSR_202206.tar.gz"
    make_file = MakeFile()
    times = [TIME + n * timedelta(minutes=5) for n in range(FRAMES)]
    path.write_bytes(make_tar([(frame_name(time), make_file(time=time)) for time in times]))
    return path


def tree(out: str) -> dict[str, bytes]:
    """Return the files of an output and of all that lies beside it, without the seconds of a manifest."""
    folder = place(out)
    if isinstance(folder, RemotePath):
        files = {path.key.removeprefix(f"{folder.key}/"): path.read_bytes() for path in folder.below()}
    else:
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: re.sub(rb'"seconds": [\d.e-]+', b"", data) for name, data in files.items()}


@dataclass
class Campaign:
    """Rounds of two runs that overlap.

    Args:
        pair: The machines of the first and the second run.
        folder: For the source and the outputs.
        base: Where outputs go.
        chance: Draws what happens.
    """

    pair: tuple[Machine, Machine]
    folder: Path
    base: str
    chance: random.Random
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._source = str(source(self.folder))
        self._alone: dict[Sequence[str], tuple[dict[str, bytes], float]] = {}

    def do(self, number: int, form: Sequence[str]) -> None:
        """Do a round with a command."""
        if form not in self._alone:
            self._alone[form] = self._made_alone(f"{self.folder}/alone{number}", form)
        files, seconds = self._alone[form]
        where = f"{self.base}/{number}"
        flock = FLOCKS[number % len(FLOCKS)]
        fate = self.chance.choice(("whole", "killed", "killed", "suspended"))
        runs = self._runs(self._command(where, form), where, flock, fate, seconds)
        again = self._again(self._command(where, form), where, flock)
        what = f"round {number}, {form}, {flock}, {fate}"
        both, after = overlap([*runs, again])
        self.tally.after += after
        if both:
            self.tally.both.append(f"{what}: {both}")
        for run in (*runs, again):
            self.tally.ends[str(run.status)] += 1
            if run.status not in run.may_end_with or "Traceback" in run.said or "bug" in run.said:
                self.tally.broken.append(f"{what}: {run.status} {run.said.strip()[-400:]}")
        left = tree(where)
        if again.status or left != files:
            differ = sorted(path for path in {*files, *left} if files.get(path) != left.get(path))
            self.tally.broken.append(f"{what}: again {again.status} {differ} {again.said.strip()[-400:]}")
        self.tally.done += 1
        self.tally.fates[fate] += 1
        shutil.rmtree(where, ignore_errors=True)

    def _command(self, where: str, form: Sequence[str]) -> list[str]:
        command, name, *options = form
        if "://" not in where:
            Path(where).mkdir(exist_ok=True)
        return [command, self._source, *WHOLE, *options, "--out", f"{where}/{name}"]

    def _made_alone(self, where: str, form: Sequence[str]) -> tuple[dict[str, bytes], float]:
        begun = time.monotonic()
        run = self.pair[0].begin(self._command(where, form), where)
        assert run.wait() == 0, run.said
        return tree(where), time.monotonic() - begun

    def _runs(self, command: Sequence[str], where: str, flock: str, fate: str, seconds: float) -> list[Run]:
        runs = [self.pair[0].begin(command, where, flock)]
        time.sleep(self.chance.uniform(0, seconds))
        runs.append(self.pair[1].begin(command, where, flock))
        if fate != "whole":
            time.sleep(self.chance.uniform(0, seconds))
            one = self.chance.choice((0, 1))
            runs[one].signal(signal.SIGKILL if fate == "killed" else signal.SIGSTOP)
        if fate == "suspended":
            time.sleep(self.chance.choice((0, LEASE_S)))
            runs.append(third := self.pair[1 - one].begin(command, where, flock))
            third.await_lock(2 * WATCH_S)
            runs[one].signal(signal.SIGCONT)
        for run in runs:
            run.wait()
        return runs

    def _again(self, command: Sequence[str], where: str, flock: str) -> Run:
        """Give the command, on one of the machines, until it is not refused or every lease must be over."""
        machine, end = self.chance.choice(self.pair), time.monotonic() + 4 * (LEASE_S + WATCH_S)
        while True:
            run = machine.begin(command, where, flock)
            if run.wait() != BUSY or time.monotonic() > end:
                return run
            time.sleep(0.3)


def overlap(runs: Sequence[Run]) -> tuple[int, int]:
    """Return how many writes and locks of runs fell into the time of another's lock; second, of suspended runs."""
    both = after = 0
    for run in runs:
        others = [span for other in runs if other is not run for span in other.spans()]
        moments = [*run.writes(), *(begin for begin, _end in run.spans())]
        within = sum(begin < at < end for at in moments for begin, end in others)
        both, after = (both, after + within) if run.suspended else (both + within, after)
    return both, after


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cube", "disk", "bucket"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        variables, base = {}, str(folder)
        if given.what == "bucket":
            variables = {"AWS_ENDPOINT_URL": stack.enter_context(s3_server("frames")), **KEYS}
            stack.enter_context(patch.dict(os.environ, variables))
            base = "s3://frames"
        numbers = (0,) if given.what == "cube" else (1, 2)
        machines = [stack.enter_context(Machine(folder, number, variables)) for number in numbers]
        forms = CUBES if given.what == "cube" else (EXPORT,)
        campaign = Campaign((machines[0], machines[-1]), folder, base, random.Random(given.seed))  # noqa: S311
        for number in range(given.rounds):
            campaign.do(number, forms[number % len(forms)])
            if campaign.tally.done % 5 == 0:
                campaign.tally.tell()
        return campaign.tally.tell()


if __name__ == "__main__":
    sys.exit(main())
