"""Archives in which a time has frames of two kinds: cubes and datasets keep the preferred one, as exports do."""

from __future__ import annotations

import os
import pickle
import warnings
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import hsrgeo
from hsrgeo.cube.stack import BrokenFrameWarning
from hsrgeo.cube.stored import CogLayer
from hsrgeo.engine.cube.cube_frames import Contest
from hsrgeo.engine.cube.cube_options import CubeOptions
from hsrgeo.engine.cube.cube_run import make_cube
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import HsrGeoWarning, ReadbackError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.quantity import quantity_of_tags
from hsrgeo.model.rank import Rank
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.writers.layers import cog_facts
from tests.conftest import TIME, frame_name, make_tar
from tests.engine.test_verify import composite, name_of

PUB, EXT = name_of(TIME), name_of(TIME, "EXT")
FRAMES = {PUB: composite(seed=1, stations=2), EXT: composite(seed=2, stations=9)}
"""The less preferred kind has more stations: of one kind it would be kept."""
WINDOW = (200, 200, 40, 30)


@pytest.fixture(params=[(PUB, EXT), (EXT, PUB)], ids=["PUB first", "EXT first"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "RDR_HSR_202206.tar.gz"
    path.write_bytes(make_tar([(name, FRAMES[name]) for name in request.param]))
    return path


def stations_of(cube: Path) -> list[int]:
    with hsrgeo.open(cube) as dataset:
        return [int(count) for count in dataset["station_count"].values]


def test_an_opened_archive_shows_the_preferred_kind(archive: Path, tmp_path: Path) -> None:
    (tmp_path / PUB).write_bytes(FRAMES[PUB])
    expected = hsrgeo.open_frame(tmp_path / PUB).crop(window=WINDOW).raw
    text = "1 of EXT, for PUB of the same time is preferred; choose with --kind"
    with pytest.warns(HsrGeoWarning, match=text):
        opened = hsrgeo.open(archive, window=WINDOW, values="raw")
    with opened as dataset:
        (name,) = dataset.data_vars
        assert np.array_equal(np.rint(dataset[name].values[0] * 100), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hsrgeo.open(archive, window=WINDOW, kind="EXT").close()


@pytest.mark.parametrize("suffix", ["zarr", "nc"])
def test_a_cube_of_an_archive_keeps_the_preferred_kind_and_so_does_the_next_run(
    archive: Path, tmp_path: Path, suffix: str
) -> None:
    out, options = tmp_path / f"cube.{suffix}", CubeOptions(frames=ExportOptions(jobs=1, window=WINDOW))
    run = make_cube(archive, out, options)
    list(run)
    assert run.counts == {"ok": 1, "duplicate": 1}
    assert stations_of(out) == [2]
    list(make_cube(archive, out, options))  # a cube does not tell kinds
    assert stations_of(out) == [2]


def outcome(name: str, rank: Rank, status: str = "ok") -> Outcome:
    kind = name.split("_")[3]
    return Outcome("a.tar", name, FrameName("HSR", kind, TIME), status, stations=rank.stations, crc32=rank.crc32)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [(PUB, EXT), (EXT, PUB)])
def test_frames_that_a_killed_run_staged_are_judged_alike(order: tuple[str, str]) -> None:
    ranks = {PUB: Rank(2, 0, 11), EXT: Rank(9, 0, 22)}
    contest = Contest({TIME: list(ranks.values())})
    for name in order:
        assert [one.status for one in contest.settle(outcome(name, ranks[name], "skipped"))] == ["skipped"]
    assert contest.best() == {TIME: ranks[PUB]}


def test_of_what_is_not_in_the_sources_the_rank_decides() -> None:
    contest = Contest({TIME: [Rank(5, 0, 33)]})
    worse, better = outcome(PUB, Rank(2, 0, 11)), outcome(PUB, Rank(9, 0, 22))
    assert [one.status for one in contest.settle(worse)] == ["duplicate"]
    assert contest.best() == {TIME: Rank(5, 0, 33)}
    assert [one.status for one in contest.settle(better)] == ["ok"]
    assert contest.best() == {TIME: Rank(9, 0, 22)}
    assert contest.winners() == {TIME: better}


def test_a_frame_that_lost_to_one_whose_kind_was_not_known_yet_is_reported_again() -> None:
    contest = Contest({TIME: [Rank(9, 0, 22)]})
    assert [one.status for one in contest.settle(outcome(PUB, Rank(2, 0, 11)))] == ["duplicate"]
    there, again = contest.settle(outcome(EXT, Rank(9, 0, 22), "skipped"))
    assert (there.status, again.status, again.was) == ("skipped", "ok", "duplicate")
    assert contest.best() == {TIME: Rank(2, 0, 11)}


def test_a_cube_has_the_twin_of_a_broken_frame(tmp_path: Path, frame_file: bytes) -> None:
    (folder := tmp_path / "in").mkdir()
    (folder / frame_name(kind="PUB")).write_bytes(frame_file[:-100])
    (folder / frame_name(kind="EXT")).write_bytes(frame_file)
    made = hsrgeo.make_cube(folder, tmp_path / "o.zarr", window=WINDOW, jobs=1).run()
    assert (made.counts, made.built, made.missing, made.notes) == ({"failed": 1, "ok": 1}, 1, 0, [])


@pytest.mark.parametrize("damage", [b"", slice(-100)], ids=["no header", "no end"])
@pytest.mark.parametrize("packed", [False, True], ids=["files", "archive"])
def test_an_open_dataset_has_the_twin_of_a_broken_frame(tmp_path: Path, damage: bytes | slice, packed: bool) -> None:  # noqa: FBT001
    """What is wrong beyond the header shows at once only with `check`, but of the first frame."""
    later = TIME + timedelta(minutes=5)
    (folder := tmp_path / "in").mkdir()
    for time in (TIME, later):
        sound = {kind: composite(time, seed=seed, stations=2) for kind, seed in (("PUB", 1), ("EXT", 2))}
        broken = damage if isinstance(damage, bytes) else sound["PUB"][damage]
        (folder / name_of(time)).write_bytes(broken)
        (folder / name_of(time, "EXT")).write_bytes(sound["EXT"])
    source = folder
    if packed:
        source = tmp_path / "RDR_HSR_202206.tar"
        source.write_bytes(make_tar([(path.name, path.read_bytes()) for path in sorted(folder.iterdir())], gz=False))
    with pytest.warns(HsrGeoWarning) as warned:
        dataset = hsrgeo.open(source, window=WINDOW, values="raw", check=True)
    assert [str(one.message)[:8] for one in warned] == ["2 broken"]
    assert dataset.sizes["time"] == 2
    assert "missing_times" not in dataset.coords
    (name,) = dataset.data_vars
    for number, time in enumerate((TIME, later)):
        expected = hsrgeo.open_frame(folder / name_of(time, "EXT")).crop(window=WINDOW).raw
        assert np.array_equal(np.rint(dataset[name].values[number] * 100), expected)


@pytest.mark.parametrize("packed", [None, "tar", "tar.gz"], ids=str)
def test_a_twin_takes_the_place_of_a_frame_that_turns_out_to_be_broken_when_it_is_read(
    tmp_path: Path, packed: str | None
) -> None:
    times = [TIME + timedelta(minutes=5 * number) for number in range(3)]
    (folder := tmp_path / "in").mkdir()
    for time in times:
        (folder / name_of(time)).write_bytes(composite(time, seed=1))
        for kind, seed, stations in (("EXT", 2, 2), ("KMA", 3, 9)):  # KMA is less preferred, whatever it has
            (folder / name_of(time, kind)).write_bytes(composite(time, seed=seed, stations=stations))
    for path in (name_of(times[1]), name_of(times[2]), name_of(times[2], "EXT")):
        (folder / path).write_bytes((folder / path).read_bytes()[:-100])
    source = folder
    if packed:
        source = tmp_path / f"RDR_HSR_202206.{packed}"
        frames = [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
        source.write_bytes(make_tar(frames, gz=packed == "tar.gz"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HsrGeoWarning)  # of other kinds
        dataset = hsrgeo.open(source, window=WINDOW, values="raw")
    (name,) = dataset.data_vars
    with pytest.warns(BrokenFrameWarning) as warned:
        read = pickle.loads(pickle.dumps(dataset))[name].values  # noqa: S301 - as dask sends it
    for warning, time, kind in zip(warned, times[1:], ("EXT", "KMA"), strict=True):
        text = str(warning.message)
        assert name_of(time) in text
        assert f"{name_of(time, kind)}{']' if packed else ''} of the same time is taken" in text
    for number, (time, kind) in enumerate(zip(times, ("PUB", "EXT", "KMA"), strict=True)):
        expected = hsrgeo.open_frame(folder / name_of(time, kind)).crop(window=WINDOW).raw
        assert np.array_equal(np.rint(read[number] * 100), expected)


def test_an_opened_export_of_two_kinds_shows_the_preferred_one_and_the_other_where_that_is_broken(
    tmp_path: Path,
) -> None:
    times = [TIME, TIME + timedelta(minutes=5)]
    (folder := tmp_path / "in").mkdir()
    for time in times:
        for kind, seed in (("EXT", 1), ("KMA", 2)):  # EXT is preferred, though KMA sorts later
            (folder / name_of(time, kind)).write_bytes(composite(time, seed=seed))
    out = tmp_path / "out"
    options = ExportOptions(window=WINDOW, values="raw", formats="cog", jobs=1, name="{kind}/{time:%H%M}")
    hsrgeo.export(folder, out, options).run()
    cog = out / "EXT" / f"{times[1]:%H%M}.tif"
    cog.write_bytes(cog.read_bytes()[:-600])
    for check in (True, False):
        with pytest.warns(HsrGeoWarning, match=rf"EXT.{cog.name}") as warned:
            (read,) = hsrgeo.open(out, check=check).load().data_vars.values()
        assert check or f"KMA{os.sep}{cog.name} of the same time is taken" in str(warned[0].message)
        for number, (time, kind) in enumerate(zip(times, ("EXT", "KMA"), strict=True)):
            expected = hsrgeo.open_frame(folder / name_of(time, kind)).crop(window=WINDOW).raw
            assert np.array_equal(np.rint(read.values[number] * 100), expected)


def test_of_three_kinds_in_an_export_the_warning_names_the_sound_one_and_the_error_the_first(tmp_path: Path) -> None:
    (folder := tmp_path / "in").mkdir()
    for kind in ("PUB", "EXT", "KMA"):
        (folder / name_of(TIME, kind)).write_bytes(composite(seed=1))
    out = tmp_path / "out"
    hsrgeo.export(folder, out, ExportOptions(window=WINDOW, formats="cog", jobs=1, name="{kind}/{time:%H%M}")).run()
    cogs = {kind: out / kind / f"{TIME:%H%M}.tif" for kind in ("PUB", "EXT", "KMA")}
    whole = {kind: cog.read_bytes() for kind, cog in cogs.items()}
    for kind in ("PUB", "EXT"):
        cogs[kind].write_bytes(whole[kind][:-600])
    like = cog_facts(cogs["KMA"])
    quantity = quantity_of_tags(like.tags)
    assert quantity is not None
    layer = CogLayer(str(cogs["PUB"]), like, quantity, quantity, (cogs["EXT"], cogs["KMA"]))
    everything = slice(None)
    with pytest.warns(BrokenFrameWarning) as warned:
        layer.read(everything, everything)
    (text,) = [str(one.message) for one in warned]
    assert str(cogs["PUB"]) in text
    assert text.endswith(f"{cogs['KMA']} of the same time is taken")
    cogs["KMA"].write_bytes(whole["KMA"][:-600])
    with pytest.raises(ReadbackError, match=r"PUB.\d{4}\.tif"):
        layer.read(everything, everything)
