"""Exports of wet frames only: every time of a month is written, dry, broken or missing, and stays so."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine.regions import Region
from hsrgeo.errors import OptionsError
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.window import BBox
from tests.conftest import NX, NY, TIME, MakeFile, frame_name

STEP = timedelta(minutes=5)
WINDOW = (500, 700, 10, 10)


def file_of(make_file: MakeFile, wet: int, nth: int = 0, **more: Any) -> bytes:
    """Return a frame with echo in so many of the 80 observed cells of the window."""
    part = np.full(100, -25000, np.int16)
    part[:20] = -30000
    part[20 : 20 + wet] = 3000
    pixels = np.full((NY, NX), -25000, np.int16)
    pixels[700:710, 500:510] = part.reshape(10, 10)
    return make_file(pixels, time=TIME + nth * STEP, **more)


@pytest.fixture
def folder(tmp_path: Path, make_file: MakeFile) -> Path:
    """Give six times: 3, 4 and 80 wet cells of 80, one without a frame, one broken, one dry."""
    (source := tmp_path / "in").mkdir()
    for nth, wet in ((0, 3), (1, 4), (2, 80), (5, 0)):
        (source / frame_name(TIME + nth * STEP)).write_bytes(file_of(make_file, wet, nth))
    (source / frame_name(TIME + 4 * STEP)).write_bytes(file_of(make_file, 80, 4)[:-500])
    return source


def statuses(out: Path) -> dict[datetime, str]:
    lines = map(json.loads, (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
    return {datetime.fromisoformat(line["time"]): line["status"] for line in lines}


def test_every_time_is_ok_dry_failed_or_missing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["export", str(folder), "--window", "500,700,10,10", "--min-wet", "0.05", "-j", "1", "--json"]
    first = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    counts = json.loads(first.stdout)
    assert first.exit_code == 1  # one is broken
    assert (counts["ok"], counts["dry"], counts["failed"]) == (2, 2, 1)  # 4 of 80 is 0.05
    assert "2 dry" in first.stderr
    found = statuses(out)
    slots = [TIME + nth * STEP for nth in range(6)]
    assert [found.get(time, "missing") for time in slots] == ["dry", "ok", "ok", "missing", "failed", "dry"]
    assert Counter(path.suffix for path in out.rglob("20220609????.*")) == {
        ".tif": 2,
        ".png": 2,
        ".pgw": 2,
        ".prj": 2,
        ".xml": 2,
    }
    before = (out / "manifest.jsonl").read_bytes()
    again = json.loads(CliRunner().invoke(app, [*arguments, "--out", str(out)]).stdout)
    assert (again["ok"], again["skipped"], again["dry"], again["failed"]) == (0, 2, 2, 1)
    lines = [json.loads(line) for line in before.splitlines()]
    later = [json.loads(line) for line in (out / "manifest.jsonl").read_bytes().splitlines()]
    assert [(one["time"], one["status"]) for one in later] == [(one["time"], one["status"]) for one in lines]
    assert list(hsrgeo.verify(out, folder, jobs=1)) == []
    assert [row["echo"] for row in hsrgeo.read_manifest(out)] == [4, 80]


def test_a_frame_that_is_dry_now_takes_its_files_along(folder: Path, tmp_path: Path, make_file: MakeFile) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {"window": WINDOW, "min_wet": 0.05, "formats": "cog", "jobs": 1}
    hsrgeo.export(folder, out, **options).run()
    (folder / frame_name(TIME + 2 * STEP)).write_bytes(file_of(make_file, 0, 2, etc=b"changed"))
    run = hsrgeo.export(folder, out, **options).run()
    assert (run.counts["skipped"], run.counts["dry"]) == (1, 3)
    assert [path.name for path in out.rglob("2022*.tif")] == ["202206091120.tif"]


def test_the_better_of_two_frames_counts_though_it_is_dry(tmp_path: Path, make_file: MakeFile) -> None:
    (source := tmp_path / "in").mkdir()
    one = ((b"KWK", (2022, 6, 9, 11, 15, 0), (2022, 6, 9, 11, 15, 0)),)
    (source / "a").mkdir()
    (source / "a" / frame_name(TIME)).write_bytes(file_of(make_file, 80, stations=one))
    (source / "b").mkdir()
    (source / "b" / frame_name(TIME)).write_bytes(file_of(make_file, 0))  # of three radars
    run = hsrgeo.export(source, tmp_path / "out", window=WINDOW, min_wet=0.05, formats="cog", jobs=1).run()
    assert (run.counts["dry"], run.counts["duplicate"], run.counts["ok"]) == (1, 1, 0)
    assert list((tmp_path / "out").rglob("*.tif")) == []


def test_only_wet_regions_have_files(folder: Path, tmp_path: Path) -> None:
    grid = grids()["kma-hb-1km"]
    boxes = []
    for col in (502, 800):
        west, south = map(float, grid.lonlat(708, col))
        boxes.append(BBox(west, south, west + 0.05, south + 0.02))
    regions = [Region("wet", boxes[0]), Region("dry", boxes[1])]
    out = tmp_path / "out"
    options: dict[str, Any] = {"regions": regions, "min_wet": 0.9, "formats": "cog", "jobs": 1}
    run = hsrgeo.export(folder, out, **options).run()
    assert (run.counts["ok"], run.counts["dry"], run.counts["failed"]) == (1, 3, 1)
    assert [str(path.relative_to(out)) for path in out.rglob("*.tif")] == ["wet/202206/09/202206091125.tif"]
    assert list(hsrgeo.verify(out, folder, jobs=1)) == []
    assert hsrgeo.export(folder, out, **options).run().counts["skipped"] == 1
    assert [row["region"] for row in hsrgeo.read_manifest(out)] == ["wet"]


def test_a_share_is_from_0_to_1() -> None:
    with pytest.raises(OptionsError, match="min_wet 5: expected a share"):
        hsrgeo.ExportOptions(min_wet=5)


@pytest.mark.parametrize("name", ["a.zarr", "a.nc", "a.json"])
def test_every_time_of_a_cube_is_there_dry_or_missing(folder: Path, tmp_path: Path, name: str) -> None:
    pytest.importorskip("zarr")
    arguments = ["cube", str(folder), "--window", "500,700,10,10", "--min-wet", "0.05", "-j", "1", "--json"]
    arguments += ["--virtual"] if name == "a.json" else []
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / name)])
    counts = json.loads(done.stdout)
    assert done.exit_code == 1  # one is broken
    assert (counts["ok"], counts["dry"], counts["failed"]) == (2, 2, 1)
    assert (counts["times"], counts["times_dry"], counts["missing"]) == (2, 2, 2)  # the broken one is missing too
    assert "2 dry" in done.stderr
    with hsrgeo.open(tmp_path / name) as cube:
        found = {
            "ok": cube["time"].values,
            "dry": cube["dry_times"].values,
            "missing": cube["missing_times"].values,
        }
    slots = [np.datetime64((TIME + nth * STEP).astimezone(UTC).replace(tzinfo=None)) for nth in range(6)]
    words = [next(word for word, times in found.items() if slot in times) for slot in slots]
    assert words == ["dry", "ok", "ok", "missing", "missing", "dry"]
    with hsrgeo.open(tmp_path / name, start=TIME + STEP) as later:
        assert later["dry_times"].values.tolist() == [slots[5].astype("datetime64[ns]").item()]


def test_a_cube_grows_and_a_better_dry_frame_takes_a_time_out(tmp_path: Path, make_file: MakeFile) -> None:
    pytest.importorskip("zarr")
    one = ((b"KWK", (2022, 6, 9, 11, 15, 0), (2022, 6, 9, 11, 15, 0)),)
    first, later = tmp_path / "first", tmp_path / "later"
    for source, wets in ((first, (80, 80, 0)), (later, (0, 0))):
        source.mkdir()
        for nth, wet in enumerate(wets):
            time = nth + 3 * (source == later and nth == 1)
            few = {"stations": one} if source == first else {}
            (source / frame_name(TIME + time * STEP)).write_bytes(file_of(make_file, wet, time, **few))
    out, options = tmp_path / "a.zarr", {"window": WINDOW, "min_wet": 0.05, "jobs": 1}
    run = hsrgeo.make_cube(first, out, **options).run()  # type: ignore[arg-type]
    assert (run.built, run.dry, run.missing) == (2, 1, 0)
    run = hsrgeo.make_cube(later, out, **options).run()  # type: ignore[arg-type]
    assert (run.built, run.dry, run.missing) == (1, 3, 1)  # of three radars: the first time is dry after all
    with hsrgeo.open(out) as cube:
        assert len(cube["time"]) == 1
        assert float(cube["reflectivity"].max()) == 30


def test_an_opened_export_tells_dry_from_missing(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    out = tmp_path / "out"
    hsrgeo.export(folder, out, window=WINDOW, min_wet=0.05, formats="cog", jobs=1).run()
    with hsrgeo.open(out, chunks=None) as opened:
        assert [len(opened[name]) for name in ("time", "dry_times", "missing_times")] == [2, 2, 2]
