"""`hsrgeo fetch` killed at random moments, then run again: `python -m tests.fuzz.kills [--kills 200] [--seed 1]`.

Afterwards the folder must hold the bytes of a run that was never killed, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tests.conftest import SEOUL_TIME
from tests.fake_hub import KEY, FakeHub, fake_hub, frame, missing

_START = datetime(2022, 6, 9, 11)  # noqa: DTZ001 - as names have it
_LONGEST_S = 60.0  # for a run
_AT_START = 0.15  # share of the kills before anything is asked


@dataclass
class Kills:
    """What was done."""

    kills: int = 0
    runs: int = 0
    folders: int = 0
    asked: int = 0
    counted: int = 0
    """Calls in the budget that all runs share."""


def campaign(kills: int, frames: int, seed: int) -> Kills:
    """Kill so many runs, and compare each folder once it is whole.

    Args:
        kills: How many.
        frames: Of a folder; every seventh is one that the service does not have.
        seed: Of the moments.
    """
    chance, done = random.Random(seed), Kills()  # noqa: S311 - moments
    times = [f"{_START + n * timedelta(minutes=5):%Y%m%d%H%M}" for n in range(frames)]
    absent = set(times[::7])
    day = f"{datetime.now(SEOUL_TIME):%Y-%m-%d}"
    with (
        tempfile.TemporaryDirectory(prefix="hsrgeo-kills-") as work,
        fake_hub(lambda asked, _number: missing(asked.time) if asked.time in absent else None) as hub,
    ):
        expected = {f"{tm[:6]}/{tm[6:8]}/RDR_CMP_HSR_PUB_{tm}.bin.gz": frame(tm) for tm in times if tm not in absent}
        while done.kills < kills:
            out = Path(work, f"raw-{done.folders}")
            while not _fetched(hub, out, frames, chance, done, kills):
                pass
            _compare(out, expected)
            done.folders += 1
        done.asked = len(hub.asked)
        used = json.loads(Path(work, "state", "hsrgeo", "apihub.json").read_bytes())
        done.counted = used["calls"]
        if used["day"] == day:  # else midnight came in between
            # What is asked is counted before: no kill loses a call, and each counts at most one that was not made.
            assert done.asked <= done.counted <= done.asked + done.kills
    return done


def _fetched(hub: FakeHub, out: Path, frames: int, chance: random.Random, done: Kills, kills: int) -> bool:
    """Run once, killed or not; tell whether it came to its end."""
    end = _START + frames * timedelta(minutes=5)
    span = ["--start", f"{_START:%Y-%m-%dT%H:%M}", "--end", f"{end:%Y-%m-%dT%H:%M}"]
    home = {"XDG_STATE_HOME": str(out.parent / "state"), "XDG_CONFIG_HOME": str(out.parent), "KMA_APIHUB_KEY": KEY}
    command = [sys.executable, "-m", "hsrgeo", "fetch", "--out", str(out), *span, "--host", hub.host, "--pace", "0"]
    before, last = len(hub.asked), chance.randint(1, max(frames // 2, 1))
    process = subprocess.Popen(
        [*command, "--limit-calls", "1000000", "--limit-bytes", "1TB", "-q"],
        env={**os.environ, **home},
        stderr=subprocess.PIPE,
    )
    done.runs += 1
    try:
        if done.kills < kills:
            give_up = time.monotonic() + _LONGEST_S
            at_start = chance.random() < _AT_START
            while process.poll() is None and not at_start and len(hub.asked) < before + last:
                assert time.monotonic() < give_up, "nothing is asked"
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.5 if at_start else 0.03))
            if process.poll() is None:
                done.kills += 1
                process.kill()
        error = process.communicate(timeout=_LONGEST_S)[1].decode()
    finally:
        process.kill()
        process.wait()
    assert process.returncode in (1, -9), error  # 1: some are missing
    return process.returncode == 1


def _compare(out: Path, expected: dict[str, bytes]) -> None:
    found = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    others = found.keys() - expected.keys() - {"missing.jsonl"}
    assert not others, f"left behind: {others}"
    assert not expected.keys() - found.keys(), "lost"
    for name, data in expected.items():
        assert found[name].read_bytes() == data, name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(campaign(given.kills, given.frames, given.seed))
