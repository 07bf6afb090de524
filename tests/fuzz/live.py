"""`hsrgeo watch` for a long time: `python -m tests.fuzz.live histories|reader|days [--count N] [--seed 1]`.

``histories`` compares the outputs of random arrivals, kills and clock jumps with those of one export. ``reader`` opens
``latest.json``, ``latest.tif``, and a random COG of the manifest or of the page's index in a loop while frames arrive.
``days`` simulates days of a frame every five minutes, and prints memory, files and bytes of the manifest after each:
they must not grow.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import rasterio

from hsrgeo.model.times import KST
from tests.watched import OPTIONS, World, happen, held

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
    """Let so many frames arrive while another process reads; return its rounds and the frames in OUT.

    With an odd seed all frames stay; with an even one those of the last hour.
    """
    chance, stop = random.Random(seed), multiprocessing.Event()  # noqa: S311 - arrivals
    keep = None if seed % 2 else timedelta(hours=1)
    with tempfile.TemporaryDirectory() as work, World(Path(work), keep, view=True) as world:
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
            named = chance.choice((_named, _indexed))
            if paths := named(out):
                path = chance.choice(paths)
                try:
                    time_utc = datetime.fromisoformat(_opened(out / path)[0]).astimezone(UTC) + timedelta(hours=9)
                    assert f"{time_utc:%Y%m%d%H%M}" in path
                except rasterio.RasterioIOError:
                    assert path not in _named(out)  # it went since: the lines say so first
            rounds += 1
        results.put(rounds)
    except Exception as error:  # noqa: BLE001 - reported in the other process
        results.put(repr(error))


def _named(out: Path) -> list[str]:
    """Return the COGs that the manifest names: of each frame the last line counts."""
    text = (out / "manifest.jsonl").read_bytes()
    lines = map(json.loads, text[: text.rfind(b"\n") + 1].splitlines())
    last = {(line["source"], line["member"]): line for line in lines}
    outputs = (output["path"] for line in last.values() if line["status"] == "ok" for output in line["outputs"])
    return [path for path in outputs if path.endswith(".tif")]


def _indexed(out: Path) -> list[str]:
    """Return the COGs that the page shows; each has its time in its name."""
    try:
        index = json.loads((out / "view" / "view.json").read_bytes())
    except FileNotFoundError:
        return []  # the first round is under way
    found = []
    for window in index["views"][0]["windows"]:
        try:
            frames = json.loads((out / window["path"]).read_bytes())["frames"]
        except FileNotFoundError:
            return _indexed(out)  # its day went: another index is there
        for seconds, path, *_more in frames:
            if path is not None:
                assert f"{datetime.fromtimestamp(seconds, KST):%Y%m%d%H%M}" in path
                found.append(path)
    return found


def _opened(path: Path) -> list[str]:
    with rasterio.open(path) as file:
        file.read(1)
        return [file.tags()["TIME_START_UTC"]]


def days(count: int, seed: int, day: int = 288) -> list[dict[str, int]]:
    """Simulate so many days with a window of a quarter of a day, and return what is there after each.

    Args:
        count: Days.
        seed: Of the arrivals.
        day: Frames of a day.
    """
    chance, after = random.Random(seed), []  # noqa: S311 - arrivals
    options = replace(OPTIONS, formats=("cog",), sync=False)
    with tempfile.TemporaryDirectory() as work, World(Path(work), timedelta(minutes=_STEP * day / 4), options) as world:
        for number in range(count * day):
            world.put(_STEP * number, chance.randint(1, 3), "whole")
            for old in sorted(world.source.iterdir())[: -day // 2]:
                old.unlink()
            world.now += 300
            world.round()
            if number % day == day - 1:
                tracked = json.loads((world.out / "status.json").read_bytes())["total"]
                assert tracked["ok"] == number + 1, tracked
                after.append(
                    {
                        "files": sum(path.is_file() for path in world.out.rglob("*")),
                        "folders": sum(path.is_dir() for path in world.out.rglob("*")),
                        "manifest_bytes": (world.out / "manifest.jsonl").stat().st_size,
                        "open_files": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,  # noqa: PTH112, PTH208
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
    tasks: dict[str, Callable[[int, int], object]] = {"histories": histories, "reader": reader, "days": days}
    done = tasks[given.which](given.count, given.seed)
    print(f"{given.count} {given.which} in {time.monotonic() - begun:.0f} s: {done or 'no difference'}")


if __name__ == "__main__":
    main()
