"""A finished run, the same command again: `python -m tests.benchmarks.again [FRAMES]`.

Makes a folder of small files that are named as frames, an output folder with one small PNG for each and the manifest of
the run that would have made them, and prints what `hsrgeo export` then takes: with nothing to do, and for --dry-run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from hsrgeo.engine.export.earlier import stamp_of
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.formats.names import parse_name
from hsrgeo.outputs.kept_recipe import keep_recipe
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.outcome import Outcome, Output
from hsrgeo.sources.found import Found
from tests.benchmarks.contenders import SEOUL
from tests.benchmarks.frames import START
from tests.benchmarks.suite import MEASURE

FRAMES = 394_216
"""Of the published notebook's run."""
_AT_ONCE = 1000
_DATA = b"\x1f\x8b not a frame: nobody unpacks it"


def main(count: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "in"), Path(folder, "out")
        options = ExportOptions(window=SEOUL, formats=("png",), sidecars=False)
        keep_recipe(out, options.recipe)
        with Manifest(out) as manifest:
            batch: list[Outcome] = []
            for outcome in _outcomes(source, out, options, count):
                batch.append(outcome)
                if len(batch) == _AT_ONCE:
                    manifest.append(*batch)
                    batch.clear()
            manifest.append(*batch)
        print(f"{count:,} frames, manifest {(out / 'manifest.jsonl').stat().st_size / 1e6:.0f} MB", flush=True)
        window = [str(number) for number in SEOUL]
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "hsrgeo",
            "export",
            source,
            "--out",
            out,
            "--quiet",
            "--window",
            *window,
        ]
        command += ["--window", *window, "--format", "png", "--no-sidecars"]
        for label, more in (("again", []), ("and again", []), ("--dry-run", ["--dry-run"])):
            done = subprocess.run(
                [sys.executable, "-c", MEASURE, *command, *more], stdout=subprocess.PIPE, text=True, check=True
            )
            seconds, processor, peak = map(float, done.stdout.split()[-3:])
            print(f"{label:10} {seconds:7.1f} s, {processor:7.1f} s of the processor, {peak:5.0f} MB", flush=True)


def _outcomes(source: Path, out: Path, options: ExportOptions, count: int) -> Iterator[Outcome]:
    for number in range(count):
        time = START + number * timedelta(minutes=5)
        file = source / f"{time:%Y%m}" / f"{time:%d}" / f"RDR_CMP_HSR_PUB_{time:%Y%m%d%H%M}.bin.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_DATA)
        frame_name = parse_name(file.name)
        path = options.recipe.first_path(frame_name)
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"\x89PNG")
        stamp = stamp_of(Found(str(file), None, frame_name, len(_DATA)))
        yield Outcome(str(file), None, frame_name, "ok", (Output(path, 4, 0),), stations=10, crc32=number, stamp=stamp)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES)
