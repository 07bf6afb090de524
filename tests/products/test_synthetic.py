"""Frames out of nothing, and the files and archives they go into."""

from __future__ import annotations

import gzip
import tarfile
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray

import hsrgeo
from hsrgeo import KST, Grid, grids
from hsrgeo.engine import simulate
from hsrgeo.engine.simulate import write_simulation
from hsrgeo.errors import OptionsError, OutputExistsError, WriteError
from hsrgeo.formats.composite import decode, encode
from hsrgeo.formats.header import pack_header, parse_header
from hsrgeo.model.frame import Frame
from hsrgeo.products import weather
from hsrgeo.products.synthetic import Scene, smoothed, synthetic_bytes, synthetic_frame

TIME = datetime(2022, 6, 9, 11, 15, tzinfo=KST)
SMALL = grids()["kma-hb-1km"]
NODATA, UNDETECT, LOWEST = -30000, -25000, -20000


def small(**fields: Any) -> Scene:
    return Scene(grid=SMALL, **fields)


def block(scene: Scene, time: datetime = TIME) -> NDArray[np.int16]:
    return synthetic_frame(time, scene)[1][0]


def read(data: bytes, time: datetime = TIME, number: int = 1) -> Frame:
    return decode(data, f"RDR_CMP_HSR_PUB_{time.astimezone(KST):%Y%m%d%H%M}.bin.gz", block=number)


# One frame.


def test_same_scene_and_time_same_bytes() -> None:
    assert synthetic_bytes(TIME, small()) == synthetic_bytes(TIME, small())
    assert synthetic_bytes(TIME, small()) == synthetic_bytes(TIME.astimezone(UTC), small())


@pytest.mark.parametrize("changed", [{"seed": 1}, {"rain": "heavy"}, {"rain": "dry"}, {"stations": 9}])
def test_another_scene_is_another_picture(changed: dict[str, Any]) -> None:
    assert not np.array_equal(block(small()), block(small(**changed)))


@pytest.mark.parametrize("name", ["kma-hb-500m", "kma-hb-1km"])
def test_decode_reads_it_back(name: str) -> None:
    scene = Scene(grid=grids()[name], rain="heavy")
    header, (pixels,) = synthetic_frame(TIME, scene)
    frame = read(synthetic_bytes(TIME, scene))
    assert frame.header == header
    assert frame.grid == scene.grid
    assert frame.time == TIME
    np.testing.assert_array_equal(frame.raw, pixels)


def test_header_is_full_and_says_synthetic() -> None:
    header, _blocks = synthetic_frame(TIME, small())
    assert header.synthetic
    assert parse_header(pack_header(header)) == header
    assert (header.version, header.ptype, header.map_code, header.nx, header.ny, header.nz, header.dxy) == (
        1, 5, 1, 1153, 1441, 1, 1000,
    )  # fmt: skip
    assert (header.num_data, header.data_codes[:4]) == (3, (1, 2, 3, 0))
    assert header.created is not None
    assert timedelta(minutes=6.4) < header.created - header.time < timedelta(minutes=7)
    codes = [station.code for station in header.stations]
    assert codes[0] == "KWK"
    assert len(set(codes)) == header.station_count == 10
    for station in header.stations:
        assert station.created is not None
        assert header.time < station.created < header.created


def test_product_decides_the_type() -> None:
    assert synthetic_frame(TIME, small(product="CPP"))[0].ptype == 1


def test_classes_have_plausible_shares() -> None:
    # Rebuilt sample frames: 60.5 % outside the coverage of ten radars; a real wet day: 10.7 % of all cells are echo
    # or blend, 12 of 6.6 million cells hold -20000 (KMA composite format, section 2).
    shares = {}
    for rain in ("light", "heavy"):
        pixels = np.concatenate([block(small(rain=rain, seed=seed)) for seed in range(3)])
        inside = pixels >= UNDETECT
        shares[rain] = np.count_nonzero(pixels >= -10000) / np.count_nonzero(inside)
        assert 0.58 < np.count_nonzero(pixels == NODATA) / pixels.size < 0.62
        assert 0 < np.count_nonzero(pixels == LOWEST) <= 3 * 12
        assert 40 < pixels.max() / 100 < 62
    assert 0.005 < shares["light"] < 0.1 < shares["heavy"] < 0.45


def test_dry_frame_has_no_echo() -> None:
    frame = read(synthetic_bytes(TIME, small(rain="dry")))
    assert frame.raw.max() == LOWEST
    assert frame.physical(undetect=0.0)[720, 600] == 0


def test_coverage_is_circles_around_the_radars() -> None:
    inside = block(small(rain="dry", stations=1)) > -27500  # half-way through the blends
    x, y = SMALL.project(126.964, 37.445)
    row, col = SMALL.index(float(x), float(y))
    assert inside[row, col - 238 : col + 239].all()
    assert not inside[row, [col - 242, col + 242]].any()
    assert np.count_nonzero(inside) == pytest.approx(np.pi * 240**2, rel=0.01)
    more = block(small(rain="dry", stations=2)) > -27500
    assert more[inside].all()
    assert np.count_nonzero(more) > np.count_nonzero(inside)


# Blends.


def test_smoothing_by_hand() -> None:
    # Along a straight border 3 + 6 + 3 = 12 sixteenths are one code, 4 the other:
    # (12 * -30000 + 4 * -25000) / 16 = -28750, and the other way round -26250.
    stored = np.full((3, 6), NODATA, np.int32)
    stored[:, 3:] = UNDETECT
    assert smoothed(stored).tolist() == [[NODATA, -28750, -26250, UNDETECT]]
    # A lone corner counts one sixteenth: (15 * -30000 - 25000) / 16 = -29687.5, cut towards zero as the facts have it.
    stored = np.full((3, 3), NODATA, np.int32)
    stored[0, 0] = UNDETECT
    assert smoothed(stored).tolist() == [[-29687]]


def test_smoothing_agrees_with_plain_division() -> None:
    stored = np.random.default_rng(0).integers(-30000, 6000, (20, 17)).astype(np.int32)
    weights = np.outer([1, 2, 1], [1, 2, 1])
    expected = [
        [int(int((stored[row : row + 3, col : col + 3] * weights).sum()) / 16) for col in range(15)]
        for row in range(18)
    ]
    assert smoothed(stored).tolist() == expected


def test_blends_at_the_edge_of_the_coverage_are_exact_sixteenths() -> None:
    steps = {int((NODATA * (16 - part) + UNDETECT * part) / 16) for part in range(17)}
    assert {-29687, -29375, -29062, -28750} < steps  # as the facts list them
    found = set(np.unique(block(small(rain="dry"))).tolist()) - {LOWEST}
    assert found <= steps
    assert len(found) > 10


def test_blends_lie_between_every_pair_of_neighbours() -> None:
    pixels = block(small(rain="heavy"))
    for low, high in ((NODATA, UNDETECT), (UNDETECT, LOWEST), (LOWEST, -10000)):
        assert np.count_nonzero((pixels > low) & (pixels < high)) > 1000
    frame = read(synthetic_bytes(TIME, small(rain="heavy")))
    assert set(np.unique(frame.clean().raw[frame.raw < -10000])) == {NODATA, UNDETECT}


# Time.


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rain_moves_with_the_wind(seed: int) -> None:
    minutes = 10
    scene = small(rain="heavy", seed=seed)
    before, after = (block(scene, time).clip(0).astype(float) for time in (TIME, TIME + timedelta(minutes=minutes)))
    match = np.fft.irfft2(np.fft.rfft2(after) * np.conj(np.fft.rfft2(before)), before.shape)
    rows, cols = np.unravel_index(match.argmax(), match.shape)
    south, east = (
        (int(shift) + size // 2) % size - size // 2 for shift, size in zip((rows, cols), match.shape, strict=True)
    )
    wind_east, wind_north = weather._wind(seed)
    cells = minutes * 60 / SMALL.cell_size_m
    assert (east, -south) == (pytest.approx(wind_east * cells, abs=2), pytest.approx(wind_north * cells, abs=2))
    assert match.max() > 1.1 * match[0, 0]
    assert match.max() > 0.6 * (before**2).sum()  # most of it is still what it was


@pytest.mark.slow
def test_rain_changes_steadily_for_a_day() -> None:
    scene = small(rain="light", seed=3)
    wet = [np.count_nonzero(block(scene, TIME + timedelta(hours=hour)) > 0) for hour in range(0, 24, 2)]
    assert min(wet) > 0
    close = [np.count_nonzero(block(scene, TIME + timedelta(minutes=5 * step)) > 0) for step in range(4)]
    assert all(abs(late - early) < 0.25 * early for early, late in pairwise(close))


def test_every_grid_shows_the_same_weather() -> None:
    coarse = block(small(rain="heavy")) > 0
    fine = block(Scene(rain="heavy")) > 0
    # The fine grid's cell (2 r, 2 c) has its centre 0 m from that of (r, c): 500 m * 1120 = 1000 m * 560, and so on.
    assert np.count_nonzero(coarse & fine[::2, ::2]) > 0.9 * np.count_nonzero(coarse | fine[::2, ::2])


def test_second_issue_of_a_time_shows_the_same_rain_with_more_stations() -> None:
    first, (few,) = synthetic_frame(TIME, small(stations=3))
    second, (many,) = synthetic_frame(TIME, small(), created=TIME + timedelta(minutes=20))
    assert second.created == TIME + timedelta(minutes=20)
    assert first.created is not None
    assert first.created < second.created
    assert (first.station_count, second.station_count) == (3, 10)
    both = (few >= 0) & (many >= 0)
    assert np.count_nonzero(both) > 100
    np.testing.assert_array_equal(few[both], many[both])


# Blocks and grids.


def test_height_and_station_blocks() -> None:
    scene = small(rain="heavy", blocks=3)
    data = synthetic_bytes(TIME, scene)
    echo, height, station = (read(data, number=number) for number in (1, 2, 3))
    assert (height.quantity.name, station.quantity.name) == ("height", "station")
    seen = height.raw != NODATA
    assert seen[echo.raw >= -10000].all()
    assert 0.2 < seen.mean() < 0.9
    np.testing.assert_array_equal(station.raw >= 1, seen)  # everywhere a radar looks, as in KMA's files
    assert set(np.unique(station.raw[~seen])) == {NODATA}
    assert 70 < height.raw[seen].min() < height.raw[seen].max() < 7000  # metres; the lowest radar stands at 72 m
    assert station.raw.max() <= 10
    assert read(synthetic_bytes(TIME, small(blocks=2)), number=2).blocks == 2


def test_small_grid_of_its_own() -> None:
    home = grids()["kma-hb-500m"]
    grid = Grid("mine", home.wkt2, Affine(500, 0, -10250, 0, -500, -49750), 65, 33)
    header, (pixels,) = synthetic_frame(TIME, Scene(grid=grid))
    assert pixels.shape == (33, 65) == (header.ny, header.nx)
    assert pixels.dtype == np.int16
    assert (pixels >= UNDETECT).all()  # near Seoul
    assert len(encode(header, [pixels])) > 0
    far = Grid("sea", home.wkt2, home.transform, 3, 2)
    assert (block(Scene(grid=far, rain="heavy")) == NODATA).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seed": -1}, "seed -1: expected 0 or more"),
        ({"rain": "wet"}, "rain 'wet': expected one of dry, light, heavy"),
        ({"stations": 0}, "stations 0: expected 1 to 10"),
        ({"stations": 11}, "stations 11: expected 1 to 10"),
        ({"blocks": 4}, "blocks 4: expected 1 to 3"),
        ({"product": "HSP"}, "product 'HSP': expected one of HSR, CPP, PPI, CMX"),
    ],
)
def test_impossible_scene(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        Scene(**fields)


def test_impossible_times() -> None:
    naive = datetime(2022, 6, 9)  # noqa: DTZ001 - this is the mistake
    with pytest.raises(OptionsError, match=r"time 2022-06-09 .*time zone"):
        synthetic_frame(naive)
    with pytest.raises(OptionsError, match=r"created 2022-06-09 .*time zone"):
        synthetic_frame(TIME, created=naive)
    with pytest.raises(OptionsError, match="1970 or later"):
        synthetic_frame(datetime(1969, 12, 31, tzinfo=UTC))
    assert synthetic_frame(datetime(1970, 1, 1, tzinfo=UTC), small())[0].time.hour == 9


# Files and archives.


def test_files(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    paths = list(write_simulation(out, start=TIME, frames=3, grid_name=SMALL.name))
    assert [path.name for path in paths] == [
        "RDR_CMP_HSR_PUB_202206091115.bin.gz",
        "RDR_CMP_HSR_PUB_202206091120.bin.gz",
        "RDR_CMP_HSR_PUB_202206091125.bin.gz",
    ]
    assert sorted(out.iterdir()) == paths
    frames = list(hsrgeo.iter_frames(out))
    assert [frame.time for frame in frames] == [TIME + timedelta(minutes=5 * number) for number in range(3)]
    assert all(frame.header.synthetic for frame in frames)
    assert paths[1].read_bytes() == synthetic_bytes(frames[1].time, small())


def test_product_and_kind_go_into_the_name(tmp_path: Path) -> None:
    (path,) = write_simulation(tmp_path, start=TIME, frames=1, product="CPP", kind="QCD", grid_name=SMALL.name)
    assert path.name == "RDR_CMP_CPP_QCD_202206091115.bin.gz"
    assert hsrgeo.open_frame(path).product == "CPP"


def test_nothing_is_made_before_it_is_asked_for(tmp_path: Path) -> None:
    written = write_simulation(tmp_path / "out", start=TIME, frames=10**6, grid_name=SMALL.name)
    assert not (tmp_path / "out").exists()
    next(written)
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_archives_split_at_months_of_korea(tmp_path: Path) -> None:
    start = datetime(2022, 6, 30, 14, 50, tzinfo=UTC)  # 23:50 KST
    paths = list(write_simulation(tmp_path, start=start, frames=3, archive=True, grid_name=SMALL.name))
    assert sorted(tmp_path.iterdir()) == paths
    assert [path.name for path in paths] == ["RDR_HSR_202206.tar.gz", "RDR_HSR_202207.tar.gz"]
    members = []
    for path in paths:
        with tarfile.open(path) as tar:
            members += tar.getmembers()
    assert [member.name for member in members] == [
        "RDR_HSR_202206/30/RDR_CMP_HSR_PUB_202206302350.bin.gz",
        "RDR_HSR_202206/30/RDR_CMP_HSR_PUB_202206302355.bin.gz",
        "RDR_HSR_202207/01/RDR_CMP_HSR_PUB_202207010000.bin.gz",
    ]
    times = [start + timedelta(minutes=5 * number) for number in range(3)]
    assert [member.mtime for member in members] == [time.timestamp() for time in times]
    assert {(member.uid, member.gid, member.mode) for member in members} == {(0, 0, 0o644)}
    frames = list(hsrgeo.iter_frames(paths))
    assert [frame.time for frame in frames] == times
    np.testing.assert_array_equal(frames[2].raw, block(small(), times[2]))


def test_archive_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    first, second = (
        next(write_simulation(tmp_path / name, start=TIME, frames=2, archive=True, grid_name=SMALL.name)).read_bytes()
        for name in ("first", "second")
    )
    assert first == second
    assert first[4:8] == bytes(4)  # gzip: no modification time (RFC 1952, section 2.3.1)
    assert len(gzip.decompress(first)) % tarfile.BLOCKSIZE == 0


def test_archive_holds_one_frame_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[datetime] = []

    def noted(time: datetime, _scene: Scene) -> bytes:
        made.append(time)
        return b"frame"

    monkeypatch.setattr(simulate, "synthetic_bytes", noted)
    chunks = simulate._archive_chunks("RDR_HSR_202206", ((f"{day}", TIME) for day in range(3)), small())
    for number in range(3):
        next(chunks)
        assert len(made) == number + 1


@pytest.mark.parametrize("archive", [False, True])
def test_own_files_are_replaced_and_others_refused(tmp_path: Path, frame_file: bytes, *, archive: bool) -> None:
    def run(seed: int) -> bytes:
        (path,) = write_simulation(tmp_path, start=TIME, frames=1, seed=seed, archive=archive, grid_name=SMALL.name)
        return path.read_bytes()

    assert run(1) != run(2) == run(2)
    (path,) = tmp_path.iterdir()
    others = [b"", b"something else", frame_file]
    if archive:
        (tmp_path / "RDR_CMP_HSR_PUB_202206091115.bin.gz").write_bytes(frame_file)
        with tarfile.open(tmp_path / "real.tar.gz", "w:gz") as tar:
            tar.add(tmp_path / "RDR_CMP_HSR_PUB_202206091115.bin.gz")
        others.append((tmp_path / "real.tar.gz").read_bytes())
    for other in others:
        path.write_bytes(other)
        with pytest.raises(OutputExistsError, match="already exists and is not synthetic"):
            run(1)
        assert path.read_bytes() == other


def test_disk_that_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for archive in (False, True):
        with pytest.raises(WriteError, match="cannot be written"):
            list(write_simulation(tmp_path / "file", start=TIME, frames=1, archive=archive, grid_name=SMALL.name))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "frames 0: expected 1 or more"),
        ({"frames": 10**9}, "after the year 9999"),
        ({"step": timedelta(0)}, "step 0:00:00: expected whole minutes"),
        ({"step": timedelta(minutes=-5)}, "expected whole minutes"),
        ({"step": timedelta(seconds=90)}, "step 0:01:30: expected whole minutes"),
        ({"start": TIME.replace(tzinfo=None)}, "time zone"),
        ({"start": TIME.replace(second=1)}, "whole minute"),
        ({"start": TIME.replace(year=1969)}, "1970 or later"),
        ({"seed": -1}, "seed -1"),
        ({"rain": "wet"}, "rain 'wet': expected one of dry, light, heavy"),
        ({"product": "HSP"}, "product 'HSP'"),
        ({"kind": "ABC"}, "kind 'ABC': expected one of PUB, EXT, KMA, QCD"),
        ({"grid_name": "mars"}, "grid 'mars': expected one of kma-hb-500m, kma-hb-1km"),
    ],
)
def test_impossible_options_are_reported_at_once(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        write_simulation(tmp_path / "out", **{"start": TIME, "frames": 1, **options})
    assert not (tmp_path / "out").exists()
