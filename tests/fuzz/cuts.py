"""Power cuts at many points of a run: `python -m tests.fuzz.cuts [--points 200] [--seed 1]`."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import warnings
from datetime import datetime
from pathlib import Path

import hsrgeo
from hsrgeo import ExportOptions
from tests import power
from tests.conftest import MakeFile, frame_name, time_fields
from tests.faults import STEP
from tests.power import Recorder

WAYS = ("old", "names", "any")


def sources(folder: Path, frames: int) -> Path:
    """Write frames to a folder; some have a rival of the same time, and one is broken."""
    folder.mkdir()
    make = MakeFile()
    start = datetime(2022, 6, 9, 11, 15)  # noqa: DTZ001 - as the names have it
    for number in range(frames):
        time = start + number * STEP
        (folder / frame_name(time)).write_bytes(make(time=time) if number != 5 else b"no frame")
        if number % 4 == 0:
            stations = [(b"KWK", time_fields(time), time_fields(time))] * (2 + number % 3)
            (folder / frame_name(time).replace("_PUB_", "_EXT_")).write_bytes(make(time=time, stations=stations))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    chance = random.Random(wanted.seed)  # noqa: S311 - repeatable
    with tempfile.TemporaryDirectory() as scratch:
        source = sources(Path(scratch, "in"), wanted.frames)
        print(campaign(source, Path(scratch), wanted.points, chance))


def campaign(source: Path, scratch: Path, points: int, chance: random.Random, *, sync: bool = True) -> str:
    """Cut a run at so many points, and compare what the same command makes of each with a run never cut."""

    def run(out: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what heals
            for _outcome in hsrgeo.export(source, out, ExportOptions(window=(300, 300, 40, 30), jobs=1, sync=sync)):
                pass

    recorder = Recorder(scratch / "watched")
    with recorder.watching():
        run(recorder.folder)
    recorder.done()
    end = recorder.moments[-1]
    wanted = comparable({path: data for path, (_inode, data) in end.seen.items()})
    assert comparable(end.disk(chance, "old")) == wanted, "what exit 0 promised is not on disk"
    moments = recorder.moments if len(recorder.moments) <= points else chance.sample(recorder.moments, points)
    for moment in moments:
        for way in WAYS:
            out = scratch / "cut"
            found = comparable(power.cut(moment, way, out, run, chance))
            assert found == wanted, f"cut before {moment.what}, {way}: {differences(found, wanted)}"
            shutil.rmtree(out)
    return f"{len(moments)} of {len(recorder.moments)} moments, {len(WAYS)} disks each: all healed"


def comparable(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return files by name, the manifest without its seconds."""
    lines = [json.loads(line) for line in files.get("manifest.jsonl", b"").splitlines()]
    return {**files, "manifest.jsonl": json.dumps([{**line, "seconds": 0} for line in lines]).encode()}


def differences(found: dict[str, bytes], wanted: dict[str, bytes]) -> str:
    return ", ".join(sorted(path for path in {*found, *wanted} if found.get(path) != wanted.get(path)))


if __name__ == "__main__":
    main()
