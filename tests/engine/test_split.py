"""Lists for training: whole days, whole months, and how many of each, counted by hand."""

from __future__ import annotations

import csv
import itertools
import json
import resource
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.split import SETS, SplitOptions, _sets
from hsrgeo.errors import LockError, ManifestError, OptionsError, OutputExistsError, WriteError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.times import KST
from hsrgeo.model.window import BBox
from hsrgeo.outputs.kept_recipe import keep_recipe
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.outcome import Outcome, Output

START = datetime(2022, 8, 1, tzinfo=KST)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the manifest of an export of twenty days, a frame every six hours; no file of it is looked at."""
    folder = tmp_path_factory.mktemp("out")
    recipe = ExportOptions(formats="cog").recipe
    keep_recipe(folder, recipe)
    with Manifest(folder) as manifest:
        for nth in range(80):
            time = START + nth * timedelta(hours=6)
            frame_name = FrameName("HSR", "PUB", time)
            path = recipe.stem(frame_name, "") + ".tif"
            manifest.append(Outcome(f"{nth}.bin.gz", None, frame_name, "ok", outputs=(Output(path, 1, 0),)))
    return folder


def rows_of(folder: Path) -> dict[str, list[dict[str, str]]]:
    return {name: list(csv.DictReader((folder / f"{name}.csv").read_text("utf-8").splitlines())) for name in SETS}


def test_days_are_never_parted(out: Path, tmp_path: Path) -> None:
    made = hsrgeo.split(out, tmp_path)
    assert made.blocks == {"train": 14, "validation": 3, "test": 3}  # 0.7, 0.15 and 0.15 of 20
    assert made.counts == {"train": 56, "validation": 12, "test": 12}
    assert made.left_out == 0
    rows = rows_of(tmp_path)
    days = {name: {row["time_kst"][:10] for row in listed} for name, listed in rows.items()}
    assert sum(map(len, days.values())) == len(set.union(*days.values())) == 20
    first = min(row["path"] for listed in rows.values() for row in listed)
    assert first == "202208/01/202208010000.tif"
    again = hsrgeo.split(out, tmp_path / "again")
    assert (tmp_path / "again" / "test.csv").read_bytes() == (tmp_path / "test.csv").read_bytes()
    assert again == made
    hsrgeo.split(out, tmp_path / "other", seed=1)
    assert (tmp_path / "other" / "test.csv").read_bytes() != (tmp_path / "test.csv").read_bytes()


def test_a_gap_parts_neighbours_of_two_sets(out: Path, tmp_path: Path) -> None:
    made = hsrgeo.split(out, tmp_path, gap="6h")  # the frame at midnight, where the day before is of another set
    rows = rows_of(tmp_path)
    set_of = {row["time_kst"][:10]: name for name, listed in rows.items() for row in listed}
    days = sorted(set_of)
    turns = sum(set_of[one] != set_of[other] for one, other in itertools.pairwise(days))
    assert made.left_out == turns > 0
    times = sorted((datetime.fromisoformat(row["time_kst"]), name) for name, listed in rows.items() for row in listed)
    for (one, its), (other, theirs) in itertools.pairwise(times):
        assert its == theirs or other - one >= timedelta(hours=12)


def test_a_list_of_somebody_else_stays(out: Path, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("my own\n")
    with pytest.raises(OutputExistsError, match=r"test\.csv: already exists and is not a list written by hsrgeo split"):
        hsrgeo.split(out, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test.csv"]
    (tmp_path / "test.csv").unlink()
    for _ in range(2):  # its own lists are replaced
        hsrgeo.split(out, tmp_path)


def test_no_list_is_replaced_without_the_others(out: Path, tmp_path: Path) -> None:
    """Else frames that the new list trains with could be in the old list of tests."""
    hsrgeo.split(out, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # 8, 8 and 64 rows of 60 to 100 bytes: the last is too long
    try:
        with pytest.raises(WriteError, match=r"test\.csv"):
            hsrgeo.split(out, tmp_path, shares=(0.1, 0.1, 0.8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_two_runs_into_one_folder_are_refused(out: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "train.csv"), pytest.raises(LockError, match=f"{tmp_path}: another run"):
        hsrgeo.split(out, tmp_path)
    assert hsrgeo.split(out, tmp_path).left_out == 0


def test_lists_are_written_on_this_machine(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionsError, match="hsrgeo split works with files on this machine only"):
        hsrgeo.split(out, "s3://bucket/lists")
    assert not list(tmp_path.iterdir())


def test_a_path_that_begins_as_a_formula_leads_to_its_file(tmp_path: Path) -> None:
    """Of a region -5: with ' in front, as other texts have it, no program would find the file."""
    frame_name = FrameName("HSR", "PUB", START)
    recipe = ExportOptions(formats="cog", regions=[Region("-5", BBox(126.7, 37.4, 127.2, 37.7))]).recipe
    keep_recipe(tmp_path, recipe)
    with Manifest(tmp_path) as manifest:
        path = recipe.stem(frame_name, "-5") + ".tif"
        manifest.append(Outcome("0.bin.gz", None, frame_name, "ok", outputs=(Output(path, 1, 0),)))
    hsrgeo.split(tmp_path, shares=(1, 0, 0))
    [row] = rows_of(tmp_path)["train"]
    assert (row["path"], row["region"]) == ("./-5/202208/01/202208010000.tif", "-5")


def test_the_command_line(out: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["split", str(out), "--shares", "0.5,0.5,0", "--out", str(tmp_path), "--json"])
    assert run.exit_code == 0
    assert json.loads(run.stdout)["blocks"] == {"train": 10, "validation": 10, "test": 0}
    assert "train.csv: 40 files of 10 days" in run.stderr
    assert rows_of(tmp_path)["test"] == []
    run = CliRunner().invoke(app, ["split", str(out), "--block", "month", "--out", str(tmp_path)])
    assert run.exit_code == 2
    assert "3 sets need at least 3 months, found 1; take days (--block day), or give sets a share of 0" in run.stderr


@given(st.integers(3, 400), st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda pair: sum(pair) < 100))
def test_sizes_are_as_near_as_can_be(count: int, percent: tuple[int, int]) -> None:
    shares = (percent[0] / 100, percent[1] / 100, (100 - sum(percent)) / 100)
    names = list(_sets(count, SplitOptions(shares=shares)))
    assert len(names) == count
    for name, share in zip(SETS, shares, strict=True):
        assert names.count(name) >= 1
        if min(shares) * count >= 1:
            assert abs(names.count(name) - share * count) < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": "week"}, "block 'week'"),
        ({"shares": (0.5, 0.5, 0.5)}, "add up to 1"),
        ({"shares": (1.5, -0.5, 0)}, "add up to 1"),
        ({"gap": "2d"}, "a day at most"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        hsrgeo.split(tmp_path, **options)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is it the OUT of an export"):
        hsrgeo.split(tmp_path)
