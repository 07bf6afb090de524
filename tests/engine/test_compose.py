"""`hsrgeo compose`: volumes in, frames out that every other command reads."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine import compose as composing
from hsrgeo.engine.compose import frame_time
from hsrgeo.outputs.lock import locked
from tests.volumes import GDK, KWK, TIME, Floats, cfradial, kma_turns, odim, uf

TURNS = kma_turns(rays=72, gates=60, gate_m=2000)
NAME = "RDR_CMP_CPP_OWN_202607252035.bin.gz"


def field(azimuth: Floats, distance: Floats, _elevation: float) -> Floats:
    """From 5 to 40 dBZ around the radar, and no echo in the south."""
    dbz = np.rint(2 * (5 + azimuth / 12 + distance / 25_000)) / 2
    return np.where((azimuth > 150) & (azimuth < 210), np.nan, dbz)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder: two radars at 20:35, each in another layout, and one of them at 20:40."""
    folder = tmp_path_factory.mktemp("volumes")
    cfradial(folder / "RDR_KWK_QCD_202607252035.nc", KWK, TURNS, field)
    cfradial(folder / "RDR_KWK_QCD_202607252041.nc", KWK, TURNS, field)
    odim(folder / "gdk.h5", GDK, TURNS, field)  # its time is inside: 11:35 UTC
    (folder / "README.txt").write_text("nothing", encoding="utf-8")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def compose(source: Path, out: Path, *options: object, product: str = "cappi:1500") -> Result:
    return run("compose", source, "--out", out, "--product", product, "--grid", "kma-hb-1km", "-j", 1, *options)


@pytest.mark.slow
def test_frames_of_five_minutes(volumes: Path, tmp_path: Path) -> None:
    done = compose(volumes, tmp_path)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        f"{tmp_path / NAME}: 2 radars (GDK KWK)",
        f"{tmp_path / 'RDR_CMP_CPP_OWN_202607252040.bin.gz'}: 1 radar (KWK)",
    ]
    assert "note: 2026-07-25 20:40 KST: with scans of other minutes: KWK 20:41" in done.stderr
    assert done.stderr.endswith("2 frames written\n")
    blocks = {
        name: hsrgeo.open_frame(tmp_path / NAME, block=name) for name in ("reflectivity", "height", "station", "count")
    }
    assert {frame.time for frame in blocks.values()} == {TIME}
    observed = blocks["count"].stored > 0
    assert np.count_nonzero(observed) > 20_000
    for name, frame in blocks.items():
        np.testing.assert_array_equal(frame.stored != -30000, observed, err_msg=name)
    assert set(np.unique(blocks["station"].stored[observed])) == {1, 2}
    assert (blocks["count"].stored[observed & (blocks["reflectivity"].stored == -25000)] > 0).all()
    assert blocks["reflectivity"].statistics.maximum == pytest.approx(39.5)
    assert blocks["reflectivity"].header.not_kma


@pytest.mark.slow
def test_every_other_command_reads_the_frames(volumes: Path, tmp_path: Path) -> None:
    assert compose(volumes, tmp_path / "frames").exit_code == 0
    shown = run("info", tmp_path / "frames" / NAME)
    assert "(computed from KMA's data, not a product of KMA)" in shown.stdout
    assert "2: GDK KWK" in shown.stdout
    assert run("export", tmp_path / "frames", "--out", tmp_path / "all", "--block", "all").exit_code == 0
    tifs = sorted(path.name for path in (tmp_path / "all").rglob("*.tif"))
    assert tifs == [
        f"{time}{name}.tif"
        for time in ("202607252035", "202607252040")
        for name in (".count", ".height", ".station", "")
    ]
    series = run("cube", tmp_path / "frames", "--out", tmp_path / "cube.nc")
    assert series.exit_code == 0, series.output
    low = run(
        "export",
        tmp_path / "frames",
        "--out",
        tmp_path / "low",
        "--max-height",
        1500,
        "--stations",
        "KWK",
        "--quantity",
        "rain",
    )
    assert low.exit_code == 0, low.output
    import rasterio  # noqa: PLC0415 - it loads GDAL

    with rasterio.open(tmp_path / "all" / "202607" / "25" / "202607252035.tif") as cog:
        tags = cog.tags()
    assert tags["KIND"] == "OWN"
    assert tags["ORIGIN"] == "made from KMA's data, not a product of KMA"


@pytest.mark.slow
def test_the_same_bytes_for_any_jobs_and_order(volumes: Path, tmp_path: Path) -> None:
    names = sorted(path for path in volumes.iterdir() if path.suffix != ".txt")
    assert compose(volumes, tmp_path / "a").exit_code == 0
    reverse = [
        hsrgeo.compose(list(reversed(names)), tmp_path / "b", product="cappi:1500", grid_name="kma-hb-1km", jobs=2)
    ]
    assert [len(list(run)) for run in reverse] == [2]
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    again = compose(volumes, tmp_path / "a")
    assert again.exit_code == 0
    assert again.stderr.endswith("2 frames there already\n")


@pytest.mark.slow
def test_frames_come_in_their_order_whichever_is_made_first(
    volumes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backwards(work: Callable[[object], object], groups: list[object], _workers: int) -> Iterator[object]:
        return (work(group) for group in reversed(groups))

    monkeypatch.setattr(composing, "run_parallel", backwards)
    made = list(hsrgeo.compose(volumes, tmp_path, grid_name="kma-hb-1km"))
    assert [one.time and one.time.minute for one in made] == [35, 40]


@pytest.mark.slow
def test_what_is_there_and_differs_stays(volumes: Path, tmp_path: Path) -> None:
    one = volumes / "RDR_KWK_QCD_202607252035.nc"
    assert compose(one, tmp_path).exit_code == 0
    before = (tmp_path / NAME).read_bytes()
    refused = compose(volumes / "gdk.h5", tmp_path)
    assert refused.exit_code == 1
    assert f"failed: {tmp_path / NAME}: already exists and differs; use --overwrite or another --out" in refused.stderr
    assert (tmp_path / NAME).read_bytes() == before
    assert compose(volumes / "gdk.h5", tmp_path, "--overwrite").exit_code == 0
    assert (tmp_path / NAME).read_bytes() != before


def test_one_run_at_a_time_writes_into_a_folder(volumes: Path, tmp_path: Path) -> None:
    """Of two with other options each would find no frame yet, and write over the other's without --overwrite."""
    with locked(tmp_path / "frames"):
        refused = compose(volumes / "gdk.h5", tmp_path)
        assert refused.exit_code == 2
        assert f"hsrgeo: {tmp_path}: another run (" in refused.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["frames.lock"]
    (tmp_path / f".{NAME}.0123456789abcdef.part").write_bytes(b"half a frame of a run that was killed")
    assert compose(volumes / "gdk.h5", tmp_path).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.slow
def test_a_broken_volume_is_left_out_and_listed(volumes: Path, tmp_path: Path) -> None:
    shutil.copytree(volumes, tmp_path / "in")
    good = (tmp_path / "in" / "RDR_KWK_QCD_202607252035.nc").read_bytes()
    (tmp_path / "in" / "RDR_PSN_QCD_202607252035.nc").write_bytes(good[: len(good) // 2])
    (tmp_path / "in" / "unknown.uf").write_bytes(b"")
    done = compose(tmp_path / "in", tmp_path / "out")
    assert done.exit_code == 1
    assert "2 radars (GDK KWK)" in done.stdout
    assert f"failed: {tmp_path / 'in' / 'RDR_PSN_QCD_202607252035.nc'}: HDF5: expected a sound file" in done.stderr
    assert f"failed: {tmp_path / 'in' / 'unknown.uf'}: not a volume: expected CfRadial 1" in done.stderr
    assert done.stderr.endswith("2 frames written, 2 problems\n")


def test_of_two_volumes_of_a_radar_the_nearer_to_the_time_is_taken(volumes: Path, tmp_path: Path) -> None:
    """Frames are of the start of their five minutes, 20:35: 20:36 is nearer than 20:39; of the other radar 20:35."""
    (folder := tmp_path / "in").mkdir()
    shutil.copy(volumes / "gdk.h5", folder)
    for minute in (36, 39):
        shutil.copy(volumes / "RDR_KWK_QCD_202607252035.nc", folder / f"RDR_KWK_QCD_2026072520{minute}.nc")
    assert compose(folder / "*6.nc", tmp_path / "one").exit_code == 0
    done = compose(folder / "*.nc", tmp_path / "two")
    assert done.exit_code == 0, done.output
    assert (
        "note: 2026-07-25 20:35 KST: left out: RDR_KWK_QCD_202607252039.nc: another volume of the radar is nearer to "
        "that time" in done.stderr
    )
    assert "with scans of other minutes: KWK 20:36\n" in done.stderr
    assert (tmp_path / "two" / NAME).read_bytes() == (tmp_path / "one" / NAME).read_bytes()
    assert "2 radars (GDK KWK)" in compose(folder, tmp_path / "all").stdout


def test_one_radar_twice_at_one_time_makes_no_frame(volumes: Path, tmp_path: Path) -> None:
    first = volumes / "RDR_KWK_QCD_202607252035.nc"
    second = shutil.copy(first, tmp_path / "RDR_KWK_FQC_202607252035.nc")
    done = run("compose", first, second, "--out", tmp_path / "out", "-j", 1)
    assert done.exit_code == 1
    assert (
        "failed: 2026-07-25 20:35 KST: radar KWK: expected one volume, found RDR_KWK_FQC_202607252035.nc and "
        "RDR_KWK_QCD_202607252035.nc" in done.stderr
    )
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("{volumes}", "--product", "vil"), 2, "hsrgeo: --product 'vil': expected sweep:N, lowest, cappi:METRES, max"),
        (("{volumes}", "--grid", "earth"), 2, "hsrgeo: --grid 'earth': expected one of kma-hb-500m, kma-hb-1km"),
        (("{volumes}", "--method", "best"), 2, "Invalid value for '--method'"),
        (("{volumes}", "--jobs", "0"), 2, "jobs 0"),
        (("{volumes}/no.nc",), 2, "no.nc: no such file or folder"),
        (("{empty}",), 2, "no volumes there (.nc, .nc4, .h5, .hdf5, .hdf, .uf, .uf.gz)"),
        (("{frame}",), 1, "ODIM HDF5 or UF of one radar, found a composite of KMA: hsrgeo export reads it"),
        (("{volumes}/gdk.h5", "--product", "sweep:10"), 1, "gdk.h5: sweeps: expected sweep 10, found 9"),
        (("{volumes}/README.txt",), 1, "text in place of a file"),
    ],
)  # fmt: skip
def test_wrong_input(
    volumes: Path, tmp_path: Path, frame_file: bytes, arguments: tuple[str, ...], status: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    frame = tmp_path / "RDR_CMP_HSR_PUB_202206091115.bin.gz"
    frame.write_bytes(frame_file)
    words = [one.format(volumes=volumes, empty=tmp_path / "empty", frame=frame) for one in arguments]
    done = run("compose", *words, "--out", tmp_path / "out")
    assert done.exit_code == status, done.output
    assert message in done.stderr
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.slow
def test_info_of_volumes(volumes: Path, tmp_path: Path) -> None:
    (tmp_path / "RDR_KWK_FQC_202607252035.uf.gz").write_bytes(gzip.compress(uf(KWK, TURNS[:2], field)))
    done = run("info", volumes / "gdk.h5", tmp_path / "RDR_KWK_FQC_202607252035.uf.gz")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "gdk.h5  (volume of one radar: see hsrgeo compose)"
    assert "  layout    ODIM" in lines
    assert "  radar     GDK, 127.43300 E 38.11800 N, antenna 1066 m above the sea" in lines
    assert "  time      2026-07-25 20:35 KST  (2026-07-25T11:35:00Z), from the file, UTC" in lines
    assert "  moments   DBZH; reflectivity is DBZH" in lines
    # 72 rays from 0.5 degrees, 5 degrees apart: 12 between 150 and 210 hold nothing, so 60 of 72 have echo.
    assert "          9  15.0 degrees, 72 rays, 15 gates of 2000 m, echo in 83.3 %" in lines
    assert "  time      2026-07-25 20:35 KST  (2026-07-25T11:35:00Z), from the file name, KST" in lines
    assert "  moments   DZ CZ; reflectivity is CZ" in lines
    assert "note: RDR_KWK_FQC_202607252035.uf.gz: by its name 2026-07-25 20:35 KST; inside it says" in done.stderr
    printed = run("info", volumes / "gdk.h5", "--json").stdout
    assert '"elevation": -0.3' in printed
    assert '"time_utc": "2026-07-25T11:35:00Z"' in printed


def test_info_counts_the_volumes_of_a_folder(volumes: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "in").mkdir()
    for path in volumes.iterdir():
        shutil.copy(path, folder)
    (folder / "other.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no volume")
    sound = run("info", folder, "-j", 1)
    assert sound.exit_code == 0
    assert "  volumes   3 sound (1 of GDK, 2 of KWK): see hsrgeo compose\n" in sound.stdout
    assert "  other     2 files not taken for frames (1 x .txt, 1 x .h5)\n" in sound.stdout
    (folder / "RDR_PSN_QCD_202607252035.nc").write_bytes((folder / "RDR_KWK_QCD_202607252035.nc").read_bytes()[:99])
    broken = run("info", folder, "-j", 1, "--json")
    assert broken.exit_code == 1
    [summary] = json.loads(broken.stdout)
    assert summary["volumes"] == {"GDK": 1, "KWK": 2}
    assert "RDR_PSN_QCD_202607252035.nc" in summary["broken"][0]["message"]
    assert summary["passed_over"] == {".txt": 1, ".h5": 1}


def test_a_volume_given_to_export_leads_to_compose(volumes: Path, tmp_path: Path) -> None:
    for name in ("gdk.h5", "RDR_KWK_QCD_202607252035.nc"):
        done = run("export", volumes / name, "--out", tmp_path / "out")
        assert done.exit_code != 0
        assert "hsrgeo compose takes volumes of one radar" in done.stderr
    with pytest.raises(hsrgeo.FrameError, match="found a polar volume of GDK; hsrgeo compose takes volumes"):
        hsrgeo.open(volumes / "gdk.h5")


def test_a_link_to_a_volume_is_followed_and_no_other(volumes: Path, tmp_path: Path) -> None:
    (tmp_path / "a.h5").symlink_to(volumes / "gdk.h5")
    (tmp_path / "b.h5").symlink_to(volumes / "README.txt")
    assert compose(tmp_path / "a.h5", tmp_path / "out").exit_code == 0
    assert "is a link to a file that is no composite" in compose(tmp_path / "b.h5", tmp_path / "out").stderr


def test_frames_start_every_five_minutes_of_korean_time() -> None:
    for minute, start in ((35, 35), (39, 35), (40, 40)):
        assert frame_time(TIME.replace(minute=minute, second=59)) == TIME.replace(minute=start)
