"""Sums of an export: byte for byte those of its frames where it holds the same values."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rasterio
import typer
from typer.testing import CliRunner

from hsrgeo.cli.accumulate import accumulate as command
from hsrgeo.engine.accumulate.best_frames import Candidates
from hsrgeo.engine.accumulate.sources import ExportSource
from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
from hsrgeo.engine.accumulate.sum_run import Accumulation, accumulate
from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.simulate import write_simulation
from hsrgeo.errors import FrameError, OptionsError
from hsrgeo.model.times import FRAME_STEP, KST
from hsrgeo.model.window import BBox

START = datetime(2022, 6, 9, 11, 40, tzinfo=KST)
FRAMES, BROKEN = 9, 5
WINDOW = (380, 500, 200, 230)
TEN = timedelta(minutes=10)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    made = list(write_simulation(folder, start=START, frames=FRAMES, grid_name="kma-hb-1km", rain="heavy"))
    made[BROKEN].write_bytes(made[BROKEN].read_bytes()[:-300])
    return folder


def exported(frames: Path, out: Path, **wanted: Any) -> Path:
    for _outcome in export(frames, out, ExportOptions(**{"jobs": 1, "formats": ("cog",), **wanted})):
        pass
    return out


def summed(source: Any, out: Path, **options: Any) -> tuple[Accumulation, dict[str, bytes]]:
    made = accumulate(source, out, AccumulateOptions(jobs=2, **options))
    for _outcome in made:
        pass
    return made, {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.tif"))}


@pytest.mark.slow
def test_sums_of_an_export_are_those_of_its_frames(frames: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"min_coverage": 0.1, "rolling": [TEN]}
    _made, expected = summed(frames, tmp_path / "a", window=WINDOW, **options)
    assert [name[:10] for name in expected] == ["202206/09/"] * 2 + ["rain_max_1"]  # two hours, and the rolling one
    whole = exported(frames, tmp_path / "whole")
    made, found = summed(whole, tmp_path / "b", window=WINDOW, **options)
    assert found == expected
    crop = exported(frames, tmp_path / "crop", window=WINDOW, values="raw")
    made, found = summed(crop, tmp_path / "c", **options)
    assert found == expected  # the tag WINDOW too: where it lies in the whole grid
    assert made.counts == {"ok": FRAMES - 1, "failed": 1}
    _made, within = summed(crop, tmp_path / "d", window=(10, 20, 64, 48), **options)
    _made, expected = summed(frames, tmp_path / "e", window=(390, 520, 64, 48), **options)
    assert within == expected


def test_an_export_of_every_second_frame_counts_each_for_five_minutes(frames: Path, tmp_path: Path) -> None:
    half = exported(frames, tmp_path / "half", window=WINDOW, every=TEN)
    made, found = summed(half, tmp_path / "a")
    _made, expected = summed(frames, tmp_path / "b", window=WINDOW, every=TEN)
    assert found == expected
    assert made.notes[0].startswith("times are 10min apart and each frame stands for 5min: at most 50%")
    longer = summed(half, tmp_path / "c", frame_step=TEN)[1]
    assert longer != expected
    assert longer == summed(half, tmp_path / "d", frame_step=TEN, every=TEN)[1]


def test_a_gap_in_what_is_chosen_of_an_export_stays_a_gap(frames: Path, tmp_path: Path) -> None:
    gappy = tmp_path / "gappy"
    gappy.mkdir()
    for number, path in enumerate(sorted(frames.iterdir())):
        if number != 1:
            shutil.copyfile(path, gappy / path.name)
    half = exported(gappy, tmp_path / "half", window=WINDOW)
    chosen = {"start": START, "end": START + 3 * FRAME_STEP}  # two of them, ten minutes apart
    made, found = summed(half, tmp_path / "a", **chosen)
    _made, expected = summed(gappy, tmp_path / "b", window=WINDOW, **chosen)
    assert found == expected  # each counts for five minutes
    assert made.notes == []


def test_an_export_between_whole_steps_is_not_dropped_in_silence(frames: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    for path in frames.iterdir():
        if path.name.removesuffix(".bin.gz").endswith("5"):  # 11:45, 11:55, ...
            shutil.copyfile(path, odd / path.name)
    half = exported(odd, tmp_path / "half", window=WINDOW)
    made, _found = summed(half, tmp_path / "a")
    assert made.counts["ok"] > 1
    with pytest.raises(OptionsError, match="no frame is on whole 10min after midnight KST; see frame_step"):
        summed(half, tmp_path / "b", frame_step=TEN)


def test_the_first_of_two_kinds_is_the_first_in_time(frames: Path, tmp_path: Path) -> None:
    crop = exported(frames, tmp_path / "crop", window=WINDOW)
    shifted = exported(frames, tmp_path / "shifted", window=(WINDOW[0] + 1, *WINDOW[1:]))
    cogs = sorted(crop.rglob("*.tif"))
    cogs[1].write_bytes((shifted / cogs[1].relative_to(crop)).read_bytes())
    cogs[0].write_bytes(b"")  # broken, so the second is the first
    slow = ExportSource(crop, AccumulateOptions())
    last = next(one for one in slow._found if one.source == str(cogs[-1]))
    with pytest.raises(FrameError, match="another grid"):
        slow.open(last)  # opened before all others, as a thread may


def test_sums_do_not_go_into_an_export_or_a_cube(frames: Path, tmp_path: Path) -> None:
    out = exported(frames, tmp_path / "out", window=WINDOW)
    with pytest.raises(OptionsError, match="is the output of an export; sums and fields go to a folder of their own"):
        summed(frames, out)
    with pytest.raises(OptionsError, match="has the name of a cube"):
        summed(frames, tmp_path / "rain.zarr")


def test_rain_says_by_what_law_it_was_made(frames: Path, tmp_path: Path) -> None:
    rain = exported(frames, tmp_path / "rain", window=WINDOW, quantity="rain", zr=(300.0, 1.4))
    made, found = summed(rain, tmp_path / "a", rolling=[TEN])
    assert made.notes == [f"{rain} contains rain in steps of 0.01 mm/h, up to 327.67; frames give it as it is"]
    _made, expected = summed(frames, tmp_path / "b", window=WINDOW, rolling=[TEN], zr=(300.0, 1.4))
    differs = False
    for name, data in found.items():
        (tmp_path / "one.tif").write_bytes(data)
        (tmp_path / "other.tif").write_bytes(expected[name])
        with rasterio.open(tmp_path / "one.tif") as ours, rasterio.open(tmp_path / "other.tif") as theirs:
            assert ours.tags()["RAIN_LAW"] == theirs.tags()["RAIN_LAW"] == "Z = 300 R^1.4"
            depths = [one.read(1).astype(float) for one in (ours, theirs)]
            unknown = [depth == one.nodata for depth, one in zip(depths, (ours, theirs), strict=True)]
            assert (unknown[0] == unknown[1]).all()
            off = abs(depths[0] - depths[1])[~unknown[0]] * ours.scales[0]
            # Half a step of 0.01 mm/h in each of at most five frames of 5 minutes, and half a step of each sum.
            assert off.max() <= 5 * 0.005 / 12 + ours.scales[0]
            differs |= bool(off.any())
    assert differs
    with pytest.raises(OptionsError, match="contains rain already: zr does not apply"):
        summed(rain, tmp_path / "c", zr=(300.0, 1.4))


def test_areas_and_regions_of_an_export(frames: Path, tmp_path: Path) -> None:
    regions = [Region("서울", BBox(125.0, 37.0, 126.0, 38.0)), Region("south", BBox(126.5, 35, 127.5, 36))]
    parts = exported(frames, tmp_path / "parts", regions=regions)
    with pytest.raises(OptionsError, match="choose one with --region, of 서울, south"):
        summed(parts, tmp_path / "a")
    made, found = summed(parts, tmp_path / "a", region="south", bbox=(126.6, 35.1, 127.9, 35.5), period="event")
    assert len(found) == 1
    assert any("is cut at its edge in the east" in note for note in made.notes)
    with pytest.raises(OptionsError, match="does not touch kma-hb-1km"):
        summed(parts, tmp_path / "b", region="south", bbox=(125.1, 37.1, 125.5, 37.5))
    assert not (tmp_path / "b").exists()


def test_a_cog_that_is_broken_or_another_is_reported(frames: Path, tmp_path: Path) -> None:
    crop = exported(frames, tmp_path / "crop", window=WINDOW)
    cogs = sorted(crop.rglob("*.tif"))
    cogs[0].write_bytes(cogs[0].read_bytes()[:-5000])
    cogs[1].write_bytes(cogs[2].read_bytes())
    made = accumulate(crop, tmp_path / "a", AccumulateOptions(jobs=1))
    record = {Path(outcome.source): str(outcome.error) for outcome in made if outcome.status == "failed"}
    assert "GDAL cannot read it" in record[cogs[0]]
    assert "has the time 2022-06-09T02:50:00Z, not 2022-06-09T02:45:00Z" in record[cogs[1]]
    assert made.counts == {"ok": FRAMES - 3, "failed": 3}
    assert made.short == 2


def test_what_cannot_be_summed_up(frames: Path, tmp_path: Path) -> None:
    crop = exported(frames, tmp_path / "crop", window=WINDOW)
    (tmp_path / "items.parquet").write_bytes(b"")
    bad: list[tuple[Any, dict[str, Any], str]] = [
        (tmp_path / "items.parquet", {}, "a catalogue is not summed up"),
        (crop, {"block": 2}, "are for frames"),
        (crop, {"region": "north"}, "region 'north'"),
        (frames, {"region": "north"}, "region is for an exported folder"),
        ([crop, frames], {}, "read on its own"),
    ]
    for source, options, text in bad:
        with pytest.raises(OptionsError, match=text):
            summed(source, tmp_path / "o", **options)
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [str(crop), "--out", str(tmp_path / "sums"), "--period", "event"])
    assert done.exit_code == 1  # one frame could not be exported
    assert len(list((tmp_path / "sums").rglob("*.tif"))) == 1


def test_a_frame_that_goes_away_between_the_two_readings_fails_and_the_next_best_is_taken(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [Path(shutil.copytree(frames, tmp_path / name)) for name in ("a", "b")]
    ((_made, expected), files) = summed(frames, tmp_path / "expected", window=WINDOW), sorted(frames.iterdir())
    labels = Candidates.labels

    def labels_and_loss(candidates: Candidates) -> list[str]:
        best, *others = labels(candidates)
        if Path(best).name == files[2].name:
            Path(best).unlink()
        if Path(best).name == files[3].name:
            for path in (best, *others):
                Path(path).unlink()
        return [best, *others]

    monkeypatch.setattr(Candidates, "labels", labels_and_loss)
    made = accumulate(sources, tmp_path / "out", AccumulateOptions(jobs=2, window=WINDOW))
    failed = [outcome for outcome in made if outcome.status == "failed" and "is gone" in str(outcome.error)]
    assert sorted(Path(outcome.source).name for outcome in failed) == [files[2].name, *[files[3].name] * 2]
    # Eight sound frames; the third is there twice and lost once, the fourth lost twice: seven are summed up.
    assert made.counts["ok"] == FRAMES - 1 - 1
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.tif")}
    assert found == set(expected)
