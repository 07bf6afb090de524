"""Cubes in a bucket under fire: whatever happens to the runs, the cube is the old one or the new one.

    python -m tests.fuzz.bucket_cubes requests             # a bucket in memory: killed and overtaken at every request
    python -m tests.fuzz.bucket_cubes server --rounds 20   # an S3 server that fails 5 % of all requests

In each round of `server` two runs of one command begin, the second while the first is under way. One of them is killed,
or suspended for longer than its lease and then continued. The cube is read meanwhile: it must have the frames of before
or all of them. At last the command is given again, and the cube is that of a disk.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from hsrgeo.cube import whole
from hsrgeo.outputs import bucket as bucket_lock
from hsrgeo.sources import buckets, connections
from hsrgeo.sources.remote import RemotePath
from tests.conftest import TIME, MakeFile, frame_name
from tests.cube import test_bucket_cubes as quick
from tests.memory_bucket import MemoryBucket
from tests.s3 import Proxy, Spoiling, s3_server

FRAMES = 24
LEASE_S = 2.0
HOWS: tuple[Spoiling, ...] = ("500", "503", "cut", "cut request", "no answer")
RUN = f"""
import sys
from datetime import timedelta
from hsrgeo.outputs import bucket, lease
from hsrgeo.sources import buckets
import hsrgeo.cube.store
lease.BEAT_S, lease.LEASE_S, bucket.BucketLock._look_s, bucket._SETTLE_S = 0.3, {LEASE_S}, 0.1, 0.1
hsrgeo.cube.store.SERIES_TIMES = 10
buckets._PAUSE_S = 0.05
buckets._RETRIES["backoff"]["init_backoff"] = timedelta(0, 0.01)
from hsrgeo.__main__ import main
sys.argv = ["hsrgeo", "cube", *sys.argv[1:]]
main()
"""


def frames_in(folder: Path, count: int) -> list[Path]:
    """Write frames that differ."""
    folder.mkdir()
    make_file = MakeFile()
    paths = [folder / frame_name(TIME + number * timedelta(minutes=5)) for number in range(count)]
    for number, path in enumerate(paths):
        pixels = np.roll(make_file.pixels, number, axis=1)
        path.write_bytes(make_file(pixels, time=TIME + number * timedelta(minutes=5)))
    return paths


def requests() -> int:
    """Kill a run, and let another one overtake it, at every request."""
    folder = Path(tempfile.mkdtemp())
    done: Counter[str] = Counter()
    bucket = MemoryBucket()
    with (
        bucket.connected(),
        patch.object(whole, "bucket_store", lambda one: quick.read_memory(bucket, one)),
        patch.object(bucket_lock, "_SETTLE_S", 0.0),
        patch("hsrgeo.cube.store.SERIES_TIMES", 3),
        patch("hsrgeo.cube.store._BAND_BYTES", 1),
    ):
        frames = frames_in(folder / "frames", quick.FRAMES)
        for old in (frames[:5], frames[3:], []):
            bucket.objects.clear()
            if old:
                quick.made(old, f"{bucket.url}/c.zarr")
            steps = quick.steps_of(bucket, lambda: quick.made(frames, f"{bucket.url}/c.zarr"))
            for step in range(steps):
                if old:
                    quick.kill_and_go_on(bucket, old, frames, step)
                    done["killed"] += 1
                quick.overtake(bucket, frames, step)
                done["overtaken"] += 1
            print(f"{steps} requests that change something; {dict(done)}", flush=True)
    shutil.rmtree(folder)
    return 0


class Rounds:
    """Rounds against an S3 server that fails 5 % of all requests."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.folder = folder
        self.frames = frames_in(folder / "frames", FRAMES)
        self.expected = quick.expected(self.frames)
        self.ends: Counter[str] = Counter()
        self.broken: list[str] = []
        self.read = 0

    def spoil(self, *_request: object) -> Spoiling:
        """Choose what becomes of a request."""
        return self.chance.choice(HOWS) if self.chance.random() < 0.05 else ""

    def do(self, number: int) -> None:
        """Do a round."""
        out, part = f"s3://cubes/{number}/c.zarr", self.folder / f"part{number}"
        old = self.chance.choice((slice(0, 15), slice(9, FRAMES), slice(4, 14)))
        part.mkdir()
        for path in self.frames[old]:
            (part / path.name).write_bytes(path.read_bytes())
        begin(part, out).wait()
        fate = self.chance.choice(("killed", "killed", "suspended", "whole"))
        runs = self._runs(out, fate)
        while any(run.poll() is None for run in runs):
            found = values(out)
            self.read += 1
            if not any(np.array_equal(found, some) for some in (self.expected[old], self.expected)):
                self.broken.append(f"round {number}, {fate}: {len(found)} times while it was made")
            time.sleep(0.2)
        last = again(self.folder / "frames", out)
        self.ends[f"{fate} {[run.returncode for run in runs]} {last}"] += 1
        if last or not np.array_equal(values(out), self.expected):
            self.broken.append(f"round {number}, {fate}: {last}")
        if lying := [path.key for path in RemotePath(out).parent.below() if "/c.zarr/" not in path.key]:
            self.broken.append(f"round {number}, {fate}: left {lying[:3]}")

    def _runs(self, out: str, fate: str) -> list[subprocess.Popen[bytes]]:
        one = begin(self.folder / "frames", out)
        time.sleep(self.chance.uniform(1.0, 6.0))
        if fate == "killed":
            one.kill()
        elif fate == "suspended":
            one.send_signal(signal.SIGSTOP)
            time.sleep(LEASE_S + 1)
        other = begin(self.folder / "frames", out)
        if fate == "suspended":
            time.sleep(self.chance.uniform(0.5, 5.0))
            one.send_signal(signal.SIGCONT)
        return [one, other]


def server(rounds: int, seed: int) -> int:
    """Do rounds against an S3 server."""
    folder = Path(tempfile.mkdtemp())
    campaign = Rounds(folder, seed)
    os.environ |= {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}
    buckets._RETRIES["backoff"]["init_backoff"] = timedelta(0, 0.01)
    with s3_server("cubes") as address, Proxy(address, campaign.spoil).running() as proxy:
        os.environ["AWS_ENDPOINT_URL"] = proxy.address
        connections._connected.cache_clear()
        for number in range(rounds):
            campaign.do(number)
            print(f"{number + 1}: {dict(campaign.ends)}, broken {campaign.broken}", flush=True)
        print(f"{rounds} rounds, {len(proxy.requests):,} requests, {proxy.spoiled:,} spoiled, {campaign.read} readings")
    for end, count in sorted(campaign.ends.items()):
        print(f"  {count} x {end}")
    print("\n".join(campaign.broken) or "nothing broken")
    shutil.rmtree(folder)
    return bool(campaign.broken)


def again(source: Path, out: str) -> int:
    """Give the command until it is not refused: the lease of a killed run lasts."""
    for _try in range(10):
        status = begin(source, out).wait()
        if status != 2:
            break
        time.sleep(1)
    return status


def begin(source: Path, out: str) -> subprocess.Popen[bytes]:
    """Start a run."""
    window = ["--window", *map(str, quick.WINDOW), "--values", "raw"]
    command = [sys.executable, "-c", RUN, str(source), *window, "--layout", "both", "--jobs", "1", "--out", out, "-q"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def values(out: str) -> NDArray[np.int16]:
    """Return what a cube has, read by one opening."""
    return quick.packed(out, random.choice(("map", "series")))  # noqa: S311


def main() -> int:
    """Run the campaign that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("requests", "server"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    return requests() if arguments.what == "requests" else server(arguments.rounds, arguments.seed)


if __name__ == "__main__":
    sys.exit(main())
