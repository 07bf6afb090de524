"""Runs that overlap on one output: never two at a time, and whatever is killed, the same command heals it.

    python -m tests.fuzz.overlaps cube --rounds 50
    python -m tests.fuzz.overlaps disk --rounds 50       # as two machines; needs root
    python -m tests.fuzz.overlaps bucket --rounds 20     # as two containers of one name, into an S3 server

Two machines are two sets of namespaces (mount, process ids, host name), each with a boot id of its own, the same host
name and the same low process ids. `flock` is local to each, or fails as it does on NFS.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.conftest import TIME, MakeFile, frame_name, make_tar
from tests.s3 import s3_server

FRAMES = 24
BUSY = 2
FLOCKS = ("local", "EBADF", "ENOLCK")
_MACHINE = """
import errno, os, sys, time
try:
    import fcntl
    def flock(descriptor, how):
        if sys.argv[1] != "local":
            raise OSError(getattr(errno, sys.argv[1]), os.strerror(getattr(errno, sys.argv[1])))
    fcntl.flock = flock
except ImportError:
    pass
from hsrgeo.engine.export import run
from hsrgeo.engine.export.ledger import Ledger
log = sys.argv[2]
def told(method, word):
    def around(self, *arguments, **options):
        if word == "begin":
            write(word)
        result = method(self, *arguments, **options)
        if word == "end":
            write(word)
        return result
    return around
def write(word):
    with open(log, "a") as file:
        file.write(f"{word} {time.monotonic()}\\n")
Ledger.__init__ = told(Ledger.__init__, "begin")
Ledger.finish = told(Ledger.finish, "end")
for name, value in zip(("_BEAT_S", "_LEASE_S", "_WATCH_S"), map(float, sys.argv[3:6])):
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("hsrgeo") and hasattr(module, name):
            setattr(module, name, value)
sys.argv[1:] = sys.argv[6:]
from hsrgeo.__main__ import main
main()
"""
_LEASE = ("0.5", "3", "1.5")
# ^ seconds between beats, of the lease, and watched: a campaign cannot wait as long as users do


@dataclass
class Tally:
    """What became of the rounds."""

    ends: Counter[str] = field(default_factory=Counter)
    both: int = 0
    broken: list[str] = field(default_factory=list)

    def tell(self, rounds: int) -> int:
        """Print it, and return the exit status."""
        print(f"{rounds} rounds: both at once {self.both}, not healed {len(self.broken)}; ends {dict(self.ends)}")
        for one in self.broken[:5]:
            print(f"  {one}")
        return int(bool(self.both or self.broken))


def sources(folder: Path) -> Path:
    """Write an archive of frames, and return its path."""
    path = folder / "RDR_HSR_202206.tar.gz"
    make_file = MakeFile()
    times = [TIME + n * timedelta(minutes=5) for n in range(FRAMES)]
    path.write_bytes(make_tar([(frame_name(time), make_file(time=time)) for time in times]))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder, without the seconds of a manifest; or a file."""
    if folder.is_file():
        return {"": folder.read_bytes()}
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: re.sub(rb'"seconds": [\d.e-]+', b"", data) for name, data in files.items()}


# Cubes.


def cubes(rounds: int, seed: int, folder: Path) -> int:
    """Let two `hsrgeo cube` begin one after the other, some killed; then run the command again."""
    chance, tally = random.Random(seed), Tally()  # noqa: S311
    archive = sources(folder)
    forms = [("c.zarr", "--layout", "both"), ("c.zarr", "--layout", "map", "--zarr-format", "2"), ("c.nc",)]
    straight: dict[tuple[str, ...], dict[str, bytes]] = {}
    for number in range(rounds):
        form = forms[number % len(forms)]
        out = folder / f"{number}"
        out.mkdir()
        name, *options = form
        command = [sys.executable, "-m", "hsrgeo", "cube", str(archive), "--window", "420", "620", "96", "64", *options]
        if form not in straight:
            begun = time.monotonic()
            run([*command, "--out", str(folder / "straight" / name)])
            seconds = time.monotonic() - begun
            straight[form] = tree(folder / "straight" / name)
            shutil.rmtree(folder / "straight")
        command += ["--out", str(out / name)]
        first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        time.sleep(chance.uniform(0, seconds))
        second = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        if chance.random() < 0.3:
            time.sleep(chance.uniform(0, seconds))
            chance.choice([first, second]).kill()
        for process in (first, second):
            said = process.communicate()[1]
            tally.ends[str(process.returncode)] += 1
            if process.returncode not in (0, BUSY, -9) or "Traceback" in said or "bug" in said:
                tally.broken.append(f"round {number}, {form}: {said.strip()[-300:]}")
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        if again.returncode or tree(out / name) != straight[form]:
            tally.broken.append(f"round {number}, {form}: again {again.returncode} {again.stderr.strip()[-300:]}")
        elif left := [path.name for path in out.iterdir() if path.name != name]:
            tally.broken.append(f"round {number}, {form}: left behind {left}")
        shutil.rmtree(out)
    return tally.tell(rounds)


def run(command: Sequence[str], **more: str) -> None:
    """Run a command that must go well."""
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **more})


# Two machines.


class Machine:
    """A set of namespaces, in which a run is process 1 or so.

    Args:
        folder: For its boot id and what it tells.
        number: Which.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.log = folder / f"log{number}"
        self._boot = folder / f"boot{number}"
        self._boot.write_text(f"0000000{number}-0000-4000-8000-000000000000\n")

    def begin(self, arguments: Sequence[str], flock: str, **more: str) -> subprocess.Popen[str]:
        """Begin a run there."""
        program = [sys.executable, "-c", _MACHINE, flock, str(self.log), *_LEASE, *arguments]
        script = f'hostname farm && mount --bind {self._boot} /proc/sys/kernel/random/boot_id && exec "$@"'
        spaces = ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
        command = [*spaces, "sh", "-c", script, "sh", *program]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **more})

    def spans(self) -> list[tuple[float, float]]:
        """Return when its runs had the output; one that was killed to the next one's beginning."""
        if not self.log.exists():
            return []
        spans: list[tuple[float, float]] = []
        for line in self.log.read_text().splitlines():
            word, at = line.split()
            if word == "begin":
                spans.append((float(at), float(at)))
            else:
                spans[-1] = spans[-1][0], float(at)
        return spans


def machines(rounds: int, seed: int, folder: Path, *, server: str = "") -> int:
    """Let two machines export into one OUT, some killed; then run the command again."""
    chance, tally = random.Random(seed), Tally()  # noqa: S311
    archive = sources(folder)
    more = {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "r"}
    more = more if server else {}
    command = ["export", str(archive), "--window", "420", "620", "96", "64", "--jobs", "1", "--quiet"]
    straight = folder / "straight"
    run([sys.executable, "-m", "hsrgeo", *command, "--out", str(straight)])
    for number in range(rounds):
        place = folder / f"{number}"
        place.mkdir()
        out = f"s3://frames/{number}" if server else str(place / "out")
        pair = [Machine(place, 1), Machine(place, 2)]
        flock = FLOCKS[number % len(FLOCKS)]
        begun = [pair[0].begin([*command, "--out", out], flock, **more)]
        time.sleep(chance.uniform(0, 0.5))
        begun.append(pair[1].begin([*command, "--out", out], flock, **more))
        if killed := chance.random() < 0.4:
            time.sleep(chance.uniform(0.5, 3))
            chance.choice(begun).kill()
        said = [process.communicate()[1] for process in begun]
        for process, text in zip(begun, said, strict=True):
            tally.ends[str(process.returncode)] += 1
            if process.returncode not in (0, BUSY, -9) or "Traceback" in text or "bug" in text:
                tally.broken.append(f"round {number}, {flock}: {process.returncode} {text.strip()[-300:]}")
        if not killed:
            ones, others = (machine.spans() for machine in pair)
            tally.both += any(a < d and c < b for a, b in ones for c, d in others)
        for _attempt in range(20):  # until a killed run's lease is over
            again = pair[0].begin([*command, "--out", out], flock, **more)
            text = again.communicate()[1]
            if again.returncode != BUSY:
                break
            time.sleep(1)
        if again.returncode:
            tally.broken.append(f"round {number}, {flock}: again {again.returncode} {text.strip()[-300:]}")
        elif not server and tree(Path(out)) != tree(straight):
            tally.broken.append(f"round {number}, {flock}: {filecmp.dircmp(out, straight).diff_files} differ")
        shutil.rmtree(place)
    return tally.tell(rounds)


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cube", "disk", "bucket"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "cube":
            return cubes(given.rounds, given.seed, Path(folder))
        if given.what == "disk":
            return machines(given.rounds, given.seed, Path(folder))
        with s3_server("frames") as address:
            return machines(given.rounds, given.seed, Path(folder), server=address)


if __name__ == "__main__":
    sys.exit(main())
