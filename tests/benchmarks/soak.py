"""A long run, watched from outside: `python -m tests.benchmarks.soak [FRAMES]`.

Makes monthly archives of synthetic frames on the 1 km grid (a quarter of the cells, so that a run over a year of them
ends while one waits), exports a crop of each in one run of the command line, and tells every few seconds how much
memory and how many open files its processes have, and how fast it goes. Exit status 1 where a frame is missing at the
end, or memory or files have grown.
"""

from __future__ import annotations

import io
import json
import shutil
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from tests.conftest import NX, NY, SEOUL_TIME, frame_name, make_header, make_pixels

FRAMES = 100_000
START = datetime(2021, 1, 1, tzinfo=SEOUL_TIME)
STEP = timedelta(minutes=5)
WINDOW = ("400", "600", "256", "256")
EVERY_S = 2.0
BODIES = 12
GROWTH = 1.1
"""Memory at the end over that of the second quarter: more is a leak."""


@dataclass(frozen=True)
class Sample:
    """What the processes of a run have at one time."""

    seconds: float
    frames: int
    parent_mb: float
    workers_mb: float
    """Of the largest."""
    files: int
    """Open, in the process that has most."""


def main(frames: int) -> int:
    folder = Path(tempfile.mkdtemp(prefix="hsrgeo-soak-"))
    try:
        print(f"making {frames:,} frames in {folder} ...", flush=True)
        make_archives(folder / "archives", frames)
        samples, status, seconds = watched(folder)
        print(f"{frames:,} frames in {seconds:.0f} s: {frames / seconds:.0f} frames/s, exit status {status}")
        return report(samples, folder / "out", frames) or status
    finally:
        shutil.rmtree(folder)


def make_archives(folder: Path, count: int) -> None:
    """Write archives of a month each. A frame's header is packed before its pixels, which are packed only once."""
    folder.mkdir()
    bodies = [_packed(_body(number)) for number in range(BODIES)]
    numbers = iter(range(count))
    number = next(numbers, None)
    while number is not None:
        month = f"{START + number * STEP:%Y%m}"
        with tarfile.open(folder / f"RDR_HSR_{month}.tar.gz", "w:gz", compresslevel=1) as tar:
            while number is not None and f"{START + number * STEP:%Y%m}" == month:
                moment = START + number * STEP
                data = _frame(moment, *bodies[number % BODIES])
                member = tarfile.TarInfo(f"{month}/{moment:%d}/{frame_name(moment)}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
                number = next(numbers, None)


def _body(number: int) -> bytes:
    pixels = make_pixels()
    rng = np.random.default_rng(number)
    row, col = 600 + 8 * number, 400 + 8 * number
    pixels[row : row + 200, col : col + 200] = rng.integers(0, 5000, (200, 200)).astype(np.int16)
    assert pixels.shape == (NY, NX)
    return pixels[::-1].astype("<i2").tobytes()


def _packed(body: bytes) -> tuple[bytes, bytes]:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return body, packer.compress(body) + packer.flush(zlib.Z_FINISH)


def _frame(moment: datetime, body: bytes, packed: bytes) -> bytes:
    header = make_header(time=moment)
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    start = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)  # on a whole byte, and nothing refers back
    trailer = struct.pack("<II", zlib.crc32(body, zlib.crc32(header)), len(header) + len(body))
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + start + packed + trailer


def watched(folder: Path) -> tuple[list[Sample], int, float]:
    """Run the export, and return what was seen of it, its exit status and how long it took."""
    out = folder / "out"
    command = [sys.executable, "-m", "hsrgeo", "export", str(folder / "archives"), "--out", str(out), "--jobs", "2"]
    begun = time.monotonic()
    run = subprocess.Popen([*command, "--window", *WINDOW, "--format", "cog"])
    samples: list[Sample] = []
    print(f"{'seconds':>8} {'frames':>9} {'rate':>6} {'parent MB':>10} {'worker MB':>10} {'files':>6}")
    while run.poll() is None:
        time.sleep(EVERY_S)
        sample = _sample(run.pid, out, time.monotonic() - begun)
        if sample is not None:
            samples.append(sample)
            if len(samples) % 10 == 1:
                print(_row(samples), flush=True)
    return samples, run.returncode, time.monotonic() - begun


def _row(samples: list[Sample]) -> str:
    last, before = samples[-1], samples[-min(len(samples), 11)]
    rate = (last.frames - before.frames) / max(last.seconds - before.seconds, EVERY_S)
    figures = f"{last.parent_mb:10.0f} {last.workers_mb:10.0f} {last.files:6}"
    return f"{last.seconds:8.0f} {last.frames:9,} {rate:6.0f} {figures}"


def _sample(pid: int, out: Path, seconds: float) -> Sample | None:
    try:
        processes = [pid, *_children(pid)]
        memory = [_memory_mb(one) for one in processes]
        files = max(sum(1 for _ in Path(f"/proc/{one}/fd").iterdir()) for one in processes)
        with (out / "manifest.jsonl").open("rb") as manifest:
            frames = sum(chunk.count(b"\n") for chunk in iter(lambda: manifest.read(1 << 20), b""))
    except OSError:  # not begun, or at its end
        return None
    if len(processes) == 1 or not all(memory):  # its workers are not there yet, or gone
        return None
    return Sample(seconds, frames, memory[0], max(memory[1:]), files)


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _children(int(child))


def _memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    text = next((line.split()[1] for line in lines if line.startswith("VmRSS:")), "0")
    return int(text) / 1024


def report(samples: list[Sample], out: Path, frames: int) -> int:
    """Print what has grown and what is missing; return 1 where anything has."""
    quarter = max(len(samples) // 4, 1)
    early, late = samples[quarter : 2 * quarter] or samples, samples[-quarter:]
    bad = False
    for name in ("parent_mb", "workers_mb", "files"):
        before, after = (statistics.median(getattr(one, name) for one in part) for part in (early, late))
        grown = after > before * GROWTH and name != "parent_mb"
        bad |= grown
        print(f"{name:>12}: {before:.0f} in the second quarter, {after:.0f} in the last{' GROWN' if grown else ''}")
    last, begin = late[-1], early[0]
    a_frame = (last.parent_mb - begin.parent_mb) * 1e6 / max(last.frames - begin.frames, 1)
    bad |= a_frame > INDEX_BYTES
    print(f"{'parent':>12}: {a_frame:.0f} bytes more for each frame (the index of the manifest; {INDEX_BYTES} at most)")
    with (out / "manifest.jsonl").open(encoding="utf-8") as lines:
        statuses = [json.loads(line)["status"] for line in lines]
    written = sum(1 for _ in out.rglob("*.tif"))
    complete = statuses == ["ok"] * frames and written == frames
    print(f"{'manifest':>12}: {len(statuses):,} lines, {statuses.count('ok'):,} ok; {written:,} files")
    return int(bad or not complete)


INDEX_BYTES = 600
"""What the parent may keep of a frame: three entries of hashes and offsets, and its folder."""

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES))
