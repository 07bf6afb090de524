"""What the tests of `hsrgeo watch` share: arrivals of every sort, and an export to compare with."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from hsrgeo.engine.export import staging
from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.watch.displays import Displays
from hsrgeo.engine.watch.watch_run import Watch
from hsrgeo.writers.files import move_file
from tests.conftest import TIME, MakeFile, frame_name, time_fields

OPTIONS = ExportOptions(window=(400, 600, 32, 32), formats=("cog", "png"), jobs=1)
SETTLE_S = 600.0
OWN = ("latest.", "status.json", "manifest.jsonl")


@lru_cache(maxsize=64)
def content(minute: int, stations: int, what: str) -> bytes:
    """Return a frame of so many minutes after 11:15 KST, or half of one, or one of another time."""
    time = TIME + timedelta(minutes=minute)
    seen = [(b"S%02d" % n, time_fields(time), time_fields(time)) for n in range(stations)]
    pixels = np.full((1441, 1153), -25000, np.int16)
    pixels[600:640, 400:440] = 100 * stations + minute % 30_000  # of 30 days, in 16 bits
    shown = time + timedelta(days=1) if what == "other" else time
    data = MakeFile()(pixels, time=shown, stations=seen, tm_in_fields=time_fields(time + timedelta(minutes=6)))
    return data[: len(data) // 2] if what == "half" else data


class World:
    """A folder in which frames arrive, and a watch on it, with a clock of its own; use it in a ``with`` statement."""

    def __init__(
        self, work: Path, keep: timedelta | None = None, options: ExportOptions = OPTIONS, *, view: bool = False
    ) -> None:
        self.source, self.out, self._work = work / "in", work / "out", work
        self.source.mkdir()
        self.now = 1.7e9
        self._keep, self._options = keep, options
        self._after = Displays(self.out, options.recipe, view=True) if view else tuple
        self.latest = float("-inf")

    def __enter__(self) -> Self:
        self.watch = self._new().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.watch.__exit__(*exc)

    def _new(self) -> Watch:
        return Watch(
            self.source,
            self.out,
            self._options,
            keep=self._keep,
            settle_s=SETTLE_S,
            after=self._after,
            clock=lambda: self.now,
        )

    def put(self, minute: int, stations: int, what: str, place: str = "", kind: str = "PUB") -> None:
        """Write a file, as slowly as a copy does: its time of change is now."""
        path = self.source / place / frame_name(TIME + timedelta(minutes=minute), kind=kind)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content(minute, stations, what))
        os.utime(path, (self.now, self.now))

    def round(self, kill: int = 0) -> None:
        """Do a round; killed as it moves so many-th file to its place."""
        with killed(kill), suppress(KeyboardInterrupt):
            done = self.watch.round()
            assert done.error is None
        if kill:
            self.restart()
        time = latest_time(self.out)
        assert time >= self.latest
        self.latest = time

    def restart(self) -> None:
        """Begin another watch, which knows what is on disk."""
        self.__exit__()
        self.__enter__()

    def settled(self) -> dict[str, object]:
        """Return what OUT holds once everything has come to rest, and what an export makes of the sources."""
        for _round in range(2):
            self.now += 2 * SETTLE_S
            self.round()
        return held(self.out)

    def exported(self) -> dict[str, object]:
        """Return what an export of the sources makes, of the window that is kept."""
        out = self._work / "whole"
        export(self.source, out, self._options).run()
        if self._keep is not None and (lines := _ok(out)):
            start = max(map(datetime.fromisoformat, lines)) - self._keep
            out = self._work / "kept"
            export(self.source, out, self._options, start=start).run()
        return held(out)


@contextmanager
def killed(at: int) -> Iterator[None]:
    """End a run where it moves so many-th file to its place, as a kill would; 0 lets it go on."""
    left = [at]

    def move(path: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        move_file(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "move_file", move)
        yield


def latest_time(out: Path) -> float:
    """Return the time that latest.json tells; what it tells of has that time too."""
    path = out / "latest.json"
    if not path.exists():
        return float("-inf")
    record = json.loads(path.read_bytes())
    return datetime.fromisoformat(record["time_utc"]).timestamp()


def held(out: Path) -> dict[str, object]:
    """Return the outputs of a folder by path, and what the manifest says of each frame that was exported."""
    files: dict[str, object] = {
        path.relative_to(out).as_posix(): path.read_bytes() if path.is_file() else "folder"
        for path in sorted(out.rglob("*"))
        if not path.name.startswith(OWN)
    }
    return {**files, "manifest": sorted(_ok(out).items())}


def _ok(out: Path) -> dict[str, str]:
    path = out / "manifest.jsonl"
    lines = map(json.loads, path.read_bytes().splitlines()) if path.exists() else ()
    return {line["time"]: line["source"] for line in lines if line["status"] == "ok"}


def happen(world: World, chance: random.Random, minutes: int) -> None:
    """Let something happen."""
    roll = chance.random()
    if roll < 0.5:
        what = chance.choices(("whole", "half", "other"), (6, 2, 1))[0]
        world.put(5 * chance.randrange(minutes), chance.randint(1, 3), what, chance.choice(("", "late")))
    elif roll < 0.7:
        world.round()
    elif roll < 0.8:
        world.round(kill=chance.randint(1, 6))
    elif roll < 0.85:
        world.restart()
    else:
        world.now += chance.choice((30.0, 300.0, 700.0, 3600.0, -86400.0))
