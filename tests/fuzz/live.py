"""`hsrgeo watch` for a long time: `python -m tests.fuzz.live histories|reader|days [--count N] [--seed 1]`.

``histories`` compares the outputs of random arrivals, kills and clock jumps with those of one export. ``reader`` opens
``latest.json``, ``latest.tif`` and a random COG of the manifest in a loop while frames arrive. ``days`` simulates days
of a frame every five minutes, and prints memory, files and bytes of the manifest after each: they must not grow.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import rasterio

from tests.watched import World, happen, held

_STEP = 5


def histories(count: int, seed: int) -> None:
    """Compare so many random histories with an export of what is left in the end."""
    for number in range(seed, seed + count):
        chance = random.Random(number)  # noqa: S311 - arrivals
        keep = chance.choice((None, timedelta(minutes=10)))
        with tempfile.TemporaryDirectory() as work, World(Path(work), keep) as world:
            for _event in range(20):
                happen(world, chance, 5)
            assert world.settled() == world.exported(), f"seed {number}"


def reader(count: int, seed: int) -> tuple[int, int]:
    """Let so many frames arrive while another process reads; return its rounds and the frames in OUT."""
    chance, stop = random.Random(seed), multiprocessing.Event()  # noqa: S311 - arrivals
    with tempfile.TemporaryDirectory() as work, World(Path(work)) as world:
        results: multiprocessing.Queue[int | str] = multiprocessing.Queue()
        process = multiprocessing.Process(target=_read, args=(world.out, stop, results))
        process.start()
        for number in range(count):
            minute = _STEP * max(number - chance.choice((0, 0, 0, 1, 7)), 0)  # new, again or late
            world.put(minute, chance.randint(1, 3), chance.choices(("whole", "half"), (9, 1))[0])
            world.now += 20
            world.round()
        stop.set()
        read = results.get(timeout=60)
        process.join(60)
        assert isinstance(read, int), read
        return read, sum(path.endswith(".tif") for path in held(world.out))


def _read(out: Path, stop: Event, results: multiprocessing.Queue[int | str]) -> None:
    chance, before, rounds = random.Random(1), "", 0  # noqa: S311 - files
    try:
        while not stop.is_set():
            if not (out / "latest.json").exists():
                continue
            record = json.loads((out / "latest.json").read_bytes())
            seen = [record["time_utc"], *_opened(out / "latest.tif")]
            assert before <= seen[0] <= seen[1], (before, seen)  # the COG is replaced first
            before = seen[0]
            paths = [
                output["path"]
                for line in map(json.loads, (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)[:-1])
                for output in line["outputs"]
                if output["path"].endswith(".tif")
            ]
            if paths:
                path = chance.choice(paths)
                time_utc = datetime.fromisoformat(_opened(out / path)[0]).astimezone(UTC) + timedelta(hours=9)
                assert f"{time_utc:%Y%m%d%H%M}" in path
            rounds += 1
        results.put(rounds)
    except Exception as error:  # noqa: BLE001 - told in the other process
        results.put(repr(error))


def _opened(path: Path) -> list[str]:
    with rasterio.open(path) as file:
        file.read(1)
        return [file.tags()["TIME_START_UTC"]]


def days(count: int, seed: int) -> list[dict[str, int]]:
    """Simulate so many days with a window of 48 hours, and return what is there after each."""
    chance, after = random.Random(seed), []  # noqa: S311 - arrivals
    with tempfile.TemporaryDirectory() as work, World(Path(work), timedelta(hours=48)) as world:
        for number in range(count * 288):
            world.put(_STEP * number, chance.randint(1, 3), "whole")
            for old in sorted(world.source.iterdir())[: -3 * 288]:
                old.unlink()
            world.now += 300
            world.round()
            if number % 288 == 287:
                after.append(
                    {
                        "files": sum(path.is_file() for path in world.out.rglob("*")),
                        "manifest_bytes": (world.out / "manifest.jsonl").stat().st_size,
                        "memory_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                    }
                )
    return after


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("histories", "reader", "days"))
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    begun = time.monotonic()
    done = {"histories": histories, "reader": reader, "days": days}[given.which](given.count, given.seed)
    print(f"{given.count} {given.which} in {time.monotonic() - begun:.0f} s: {done or 'no difference'}")


if __name__ == "__main__":
    main()
