"""Power cuts at many points of a command: `python -m tests.fuzz.cuts [--points 200] [--of export]`."""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hsrgeo
from hsrgeo import ExportOptions
from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.accumulate.sum_run import accumulate
from hsrgeo.engine.cube.cube_options import CubeOptions
from hsrgeo.engine.cube.cube_run import make_cube
from hsrgeo.engine.extract import extract
from hsrgeo.engine.stac import make_catalog
from tests import power
from tests.conftest import MakeFile, frame_name, time_fields
from tests.faults import STEP
from tests.power import Recorder

WAYS = ("old", "names", "any")
SMALL: dict[str, Any] = {"window": (300, 300, 40, 30), "jobs": 1}


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


class Exported:
    """`hsrgeo export`."""

    sweeps = True

    def __init__(self, *, sync: bool = True) -> None:
        self.options = ExportOptions(**SMALL, sync=sync)

    def before(self, source: Path, out: Path) -> None:
        """Make what is there before the command."""

    def __call__(self, source: Path, out: Path) -> None:
        for _outcome in hsrgeo.export(source, out, self.options):
            pass


class Cubed(Exported):
    """`hsrgeo cube`, added to a cube that holds some of the frames."""

    def __init__(self, name: str, layout: Any = "map") -> None:
        self.name = name
        self.wanted = CubeOptions(frames=ExportOptions(**SMALL, values="raw"), layout=layout)

    def before(self, source: Path, out: Path) -> None:
        """Make what is there before the command."""
        paths = sorted(source.iterdir())
        list(make_cube(paths[: len(paths) // 2], out / self.name, self.wanted))

    def __call__(self, source: Path, out: Path) -> None:
        list(make_cube(source, out / self.name, self.wanted))


class Summed(Exported):
    """`hsrgeo accumulate`."""

    sweeps = False

    def __call__(self, source: Path, out: Path) -> None:
        wanted = AccumulateOptions(**SMALL, rolling=(timedelta(minutes=10),))
        list(accumulate(source, out, wanted))


class Unpacked(Exported):
    """`hsrgeo extract`."""

    sweeps = False

    def before(self, source: Path, out: Path) -> None:  # noqa: ARG002 - others need both
        """Make what is there before the command."""
        if not (archive := source.with_name("RDR_HSR_202206.tar")).exists():
            with tarfile.open(archive, "w") as file:
                file.add(source, "RDR_HSR_202206")

    def __call__(self, source: Path, out: Path) -> None:
        (found,) = extract([source.with_name("RDR_HSR_202206.tar")], out, jobs=1)
        assert not found.errors, found.errors


class Listed(Exported):
    """`hsrgeo stac`."""

    sweeps = False

    def before(self, source: Path, out: Path) -> None:
        """Make what is there before the command."""
        for _outcome in hsrgeo.export(source, out, self.options):
            pass

    def __call__(self, source: Path, out: Path) -> None:  # noqa: ARG002
        make_catalog(out, items="json")


COMMANDS: dict[str, Callable[[], Exported]] = {
    "export": Exported,
    "cube": lambda: Cubed("a.zarr", "both"),
    "netcdf": lambda: Cubed("a.nc"),
    "accumulate": Summed,
    "extract": Unpacked,
    "stac": Listed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--of", choices=COMMANDS, default="export")
    wanted = parser.parse_args()
    chance = random.Random(wanted.seed)  # noqa: S311 - repeatable
    with tempfile.TemporaryDirectory() as scratch:
        source = sources(Path(scratch, "in"), wanted.frames)
        print(campaign(source, Path(scratch), wanted.points, chance, COMMANDS[wanted.of]()))


def campaign(source: Path, scratch: Path, points: int, chance: random.Random, command: Exported | None = None) -> str:
    """Cut a run at so many points, and compare what the same command makes of each with a run never cut."""
    command = command or Exported()

    def run(out: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what heals
            command(source, out)

    recorder = Recorder(scratch / "watched")
    command.before(source, recorder.folder)
    with recorder.watching():
        run(recorder.folder)
    recorder.done()
    wanted = comparable(power.contents(recorder.folder), command)
    promised = comparable(recorder.moments[-1].disk(chance, "old"), command)
    assert wanted.items() <= promised.items(), f"exit 0 promised, but not on disk: {differences(promised, wanted)}"
    moments = recorder.moments if len(recorder.moments) <= points else chance.sample(recorder.moments, points)
    for moment in moments:
        for way in WAYS:
            out = scratch / "cut"
            power.put(moment.disk(chance, way), out)
            run(out)
            found = comparable(power.contents(out), command)
            assert found == wanted, f"cut before {moment.what}, {way}: {differences(found, wanted)}"
            shutil.rmtree(out)
    return f"{len(moments)} of {len(recorder.moments)} moments, {len(WAYS)} disks each: all healed"


def comparable(files: dict[str, bytes], command: Exported) -> dict[str, bytes]:
    """Return files by name, the manifest without its seconds; temporary ones only where the command removes them."""
    lines = [json.loads(line) for line in files.get("manifest.jsonl", b"").splitlines()]
    files = {**files, "manifest.jsonl": json.dumps([{**line, "seconds": 0} for line in lines]).encode()}
    return {path: data for path, data in files.items() if command.sweeps or not _PART.search(path)}


_PART = re.compile(r"\.[0-9a-f]{16}\.part$")  # another run removes it, an hour later


def differences(found: dict[str, bytes], wanted: dict[str, bytes]) -> str:
    return ", ".join(sorted(path for path in {*found, *wanted} if found.get(path) != wanted.get(path)))


if __name__ == "__main__":
    main()
