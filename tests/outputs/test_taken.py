"""Output folders that are something else already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import hsrgeo
from hsrgeo.engine.compose import compose
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.extract import extract
from hsrgeo.engine.simulate import write_simulation
from hsrgeo.engine.watch.watch_run import Watch
from hsrgeo.errors import OptionsError
from hsrgeo.hub.store import Store
from hsrgeo.sources.remote import Place
from tests.conftest import TIME, frame_name, make_tar
from tests.memory_bucket import MemoryBucket

OPTIONS = ExportOptions(window=(420, 620, 48, 32), jobs=1)
WRITES: dict[str, Callable[[Path, Place], object]] = {
    "export": lambda frames, out: hsrgeo.export(frames, out, OPTIONS).run(),
    "dry run": lambda frames, out: hsrgeo.export(frames, out, OPTIONS, dry_run=True).run(),
    "accumulate": lambda frames, out: hsrgeo.accumulate(frames, out, every="5min", window=OPTIONS.window).run(),
    "extract": lambda frames, out: list(extract([frames / "RDR_HSR_202206.tar.gz"], str(out))),
    "compose": lambda frames, out: list(compose([frames], str(out))),
    "simulate": lambda _frames, out: list(write_simulation(Path(str(out)), start=TIME, frames=1)),
    "fetch": lambda _frames, out: Store(out, "HSR"),
}


def watched(frames: Path, out: Place) -> None:
    with Watch(frames, out, OPTIONS) as watch:
        done = watch.round()
    if done.error is not None:
        raise done.error


@pytest.fixture
def frames(make_file: Callable[..., bytes], tmp_path: Path) -> Path:
    (folder := tmp_path / "frames").mkdir()
    (folder / frame_name()).write_bytes(make_file())
    (folder / "RDR_HSR_202206.tar.gz").write_bytes(make_tar([(frame_name(), make_file())]))
    return folder


@pytest.mark.parametrize("write", [*WRITES.values(), watched], ids=[*WRITES, "watch"])
@pytest.mark.parametrize(("root", "below"), [("zarr.json", "."), (".zgroup", "map/out")])
def test_a_cube_stays_as_it_is(
    frames: Path, tmp_path: Path, root: str, below: str, write: Callable[[Path, Place], object]
) -> None:
    cube = tmp_path / "rain"
    (cube / "map").mkdir(parents=True)
    (cube / root).write_text("{}")
    with pytest.raises(OptionsError, match=r"is a cube|is in the cube"):
        write(frames, cube / below)
    assert sorted(path.name for path in cube.rglob("*")) == sorted(["map", root])


def test_no_folder_gets_the_name_of_a_cube(frames: Path, tmp_path: Path) -> None:
    for write in (*WRITES.values(), watched):
        with pytest.raises(OptionsError, match="has the name of a cube"):
            write(frames, tmp_path / "new.zarr")
    assert not (tmp_path / "new.zarr").exists()


def test_a_cube_in_a_bucket_stays_as_it_is(frames: Path) -> None:
    with MemoryBucket().connected() as out:
        (out / "c.zarr/zarr.json").write_bytes(b"{}")
        for path in (out / "c.zarr", out / "c.zarr/map/out"):
            for name in ("export", "accumulate", "fetch"):
                with pytest.raises(OptionsError, match=r"is a cube|is in the cube"):
                    WRITES[name](frames, path)
        assert [path.name for path in out.below()] == ["zarr.json"]
        WRITES["export"](frames, out / "own")


def test_frames_do_not_go_among_sums(frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "sums"
    WRITES["accumulate"](frames, out)
    before = sorted(out.rglob("*"))
    with pytest.raises(OptionsError, match="has sums or gauge fields"):
        WRITES["export"](frames, out)
    assert sorted(out.rglob("*")) == before
