"""Of the frames of one time the best one is in a table, whatever the order of the sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hsrgeo
from hsrgeo.engine.stats.stats_run import stats
from tests.conftest import NX, NY, TIME, MakeFile, Pixels, frame_name, make_tar

FEW = [(b"KWK", (2022, 6, 9, 11, 15, 0), (2022, 6, 9, 11, 20, 0))]
WINDOW = (500, 700, 4, 4)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory, make_file: MakeFile) -> list[Path]:
    """Give one time in four archives: the best frame, a copy of it, one of fewer radars, and one of another kind.

    The window of the best one is 40 dBZ, of the third 45, of the last 50.
    """
    folder = tmp_path_factory.mktemp("in")

    def archive(name: str, kind: str, data: bytes) -> Path:
        path = folder / f"{name}.tar"
        path.write_bytes(make_tar([(frame_name(kind=kind), data)], gz=False))
        return path

    good, few, other = (make_window(dbz) for dbz in (4000, 4500, 5000))
    return [
        archive("best", "PUB", make_file(good)),
        archive("copy", "PUB", make_file(good)),
        archive("few", "PUB", make_file(few, stations=FEW)),
        archive("ext", "EXT", make_file(other)),
    ]


def make_window(dbz: int) -> Pixels:
    pixels = np.full((NY, NX), -25000, np.int16)
    pixels[700:704, 500:504] = dbz
    return pixels


@pytest.mark.parametrize(("command", "rows"), [(stats, 1), (hsrgeo.sample, 16), (hsrgeo.find_objects, 1)])
def test_a_time_is_counted_once(tmp_path: Path, archives: list[Path], command: Callable[..., Any], rows: int) -> None:
    out = tmp_path / "o.csv"
    command(archives[0], out, window=WINDOW).run()
    alone = out.read_bytes()
    assert "40" in alone.decode().splitlines()[1].split(",")
    best, copy, few, ext = archives
    for sources in (archives, [ext, few, copy, best], [few, best, ext, copy]):
        run = command(sources, out, window=WINDOW, jobs=2).run()
        assert (run.counts["ok"], run.counts["duplicate"], run.rows) == (1, 3, rows)
        assert out.read_bytes() == alone, sources


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (stats, "o.csv"),
        (hsrgeo.sample, "o.csv"),
        (hsrgeo.series, "o.csv"),
        (hsrgeo.export, "o"),
        (hsrgeo.accumulate, "o"),
    ],
)
def test_a_broken_frame_does_not_cost_its_twin(
    tmp_path: Path, frame_file: bytes, make_file: MakeFile, command: Callable[..., Any], name: str
) -> None:
    """At one time PUB is broken and EXT sound; at the next, where there is one, both are sound."""
    (folder := tmp_path / "in").mkdir()
    (folder / frame_name(kind="PUB")).write_bytes(frame_file[:-100])
    (folder / frame_name(kind="EXT")).write_bytes(frame_file)
    options: dict[str, Any] = {"points": {"a": (127.0, 37.0)}} if command is hsrgeo.series else {"window": WINDOW}
    alone = command(folder, tmp_path / f"1{name}", jobs=1, **options).run()
    assert +alone.counts == Counter(failed=1, ok=1)
    assert alone.notes == []
    for kind in ("PUB", "EXT"):
        later = TIME + timedelta(minutes=5)
        (folder / frame_name(later, kind=kind)).write_bytes(make_file(time=later))
    both = command(folder, tmp_path / f"2{name}", jobs=1, **options).run()
    left_out = 0 if command is hsrgeo.accumulate else 1  # which counts it as a duplicate
    assert +both.counts == Counter(failed=1, ok=2, duplicate=1 - left_out)
    assert len(both.notes) == left_out
    assert all(note.startswith("frames left out: 1 of EXT") for note in both.notes)
