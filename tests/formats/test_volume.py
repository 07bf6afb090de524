"""Volumes of one radar: three layouts give the same values, xradar agrees, and strangers' files are refused."""

from __future__ import annotations

import gzip
import struct
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hsrgeo.errors import FrameError, FrameReadError, TooLargeError
from hsrgeo.formats import volume as reading
from hsrgeo.formats.volume import is_volume, read_volume, time_in_name
from tests.volumes import GDK, KWK, TIME, Floats, Turn, cfradial, kma_turns, odim, uf

TURNS = (*kma_turns(rays=36, gates=40, gate_m=1000), Turn(0.6, rays=36, gates=55, gate_m=1000, first_azimuth=355.0))
"""Nine sweeps as KMA's, the top one short, and a longer one at an elevation that is there already."""


def field(azimuth: Floats, distance: Floats, elevation: float) -> Floats:
    """Half dBZ, which every layout has; no echo in the south-west."""
    dbz = np.rint(2 * (azimuth / 12 + distance / 4000 + elevation)) / 2
    return np.where((azimuth > 180) & (azimuth < 270), np.nan, dbz)


def stored(turn: Turn) -> Floats:
    """Hundredths of dBZ, -25000 where there is no echo."""
    azimuth = (turn.first_azimuth + np.arange(turn.rays) * 360 / turn.rays) % 360
    dbz = field(azimuth[:, None], np.arange(0.5, turn.gates) * turn.gate_m, turn.elevation)
    return np.where(np.isnan(dbz), -25000, 100 * np.nan_to_num(dbz))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("volumes")
    name = "RDR_KWK_QCD_202607252035"
    made = {
        "CfRadial 1": cfradial(folder / f"{name}.nc", KWK, TURNS, field),
        "ODIM": odim(folder / f"{name}.h5", KWK, TURNS, field),
        "UF": folder / f"{name}.uf",
    }
    made["UF"].write_bytes(uf(KWK, TURNS, field, time=TIME - timedelta(hours=9)))
    return made


@pytest.mark.parametrize("layout", ["CfRadial 1", "ODIM", "UF"])
def test_a_volume_is_read_as_it_was_written(files: dict[str, Path], layout: str) -> None:
    found = read_volume(files[layout].read_bytes(), str(files[layout]))
    assert found.layout == layout
    assert (found.radar.code, found.radar.height_m) == ("KWK", 637)
    assert (found.radar.lon, found.radar.lat) == pytest.approx(KWK[1:3], abs=1e-4)  # UF: 1/64 second, 0.5 m
    assert (found.time, found.time_source, found.notes) == (TIME, "the file name, KST", ())
    # From the lowest to the highest; of the two at 0.6 degrees the one that comes first in the file.
    in_order = sorted(TURNS, key=lambda turn: turn.elevation)
    assert [sweep.stored.shape for sweep in found.sweeps] == [(turn.rays, turn.gates) for turn in in_order]
    for sweep, turn in zip(found.sweeps, in_order, strict=True):
        assert sweep.elevation == pytest.approx(turn.elevation, abs=1 / 128)  # UF: 1/64 degree
        assert (sweep.first_m, sweep.gate_m) == (500, 1000)
        np.testing.assert_array_equal(sweep.stored, stored(turn))


def _xradar(layout: str, path: Path) -> Any:
    xradar = pytest.importorskip("xradar")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        if layout == "UF":
            return xradar.io.open_uf_datatree(path.read_bytes())
        opened = xradar.io.open_odim_datatree if layout == "ODIM" else xradar.io.open_cfradial1_datatree
        return opened(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["CfRadial 1", "ODIM", "UF"])
def test_xradar_reads_the_same(files: dict[str, Path], layout: str) -> None:
    tree = _xradar(layout, files[layout])
    found = {round(one.elevation, 1): one for one in reversed(read_volume(files[layout].read_bytes(), "x").sweeps)}
    for number in (0, 8):
        other = tree[f"sweep_{number}"].to_dataset()
        own = found[TURNS[number].elevation]
        order = np.argsort(own.azimuths)
        np.testing.assert_allclose(own.azimuths[order], other.azimuth, atol=1e-6)
        gates = own.first_m + own.gate_m * np.arange(own.stored.shape[1])
        np.testing.assert_allclose(gates, other.range)
        values = np.where(own.stored == -25000, np.nan, own.stored / 100)[order]
        theirs = other.DBZH.values
        if layout == "ODIM":
            theirs = np.where(theirs == -32, np.nan, theirs)  # undetect, which xradar scales as if it were a value
        np.testing.assert_allclose(values, theirs, atol=1e-4)
        place = (float(np.ravel(tree.ds[name])[0]) for name in ("longitude", "latitude", "altitude"))
        assert tuple(place) == pytest.approx(KWK[1:], abs=1e-4)


def test_packed_uf_is_read(files: dict[str, Path]) -> None:
    plain = read_volume(files["UF"].read_bytes(), "RDR_KWK_FQC_202607252035.uf")
    packed = gzip.compress(files["UF"].read_bytes())
    assert is_volume(packed)
    assert not is_volume(gzip.compress(b"RDR UF"))
    found = read_volume(packed, "RDR_KWK_FQC_202607252035.uf.gz")
    np.testing.assert_array_equal(found.sweeps[3].stored, plain.sweeps[3].stored)


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("RDR_KWK_QCD_202607252035.nc", TIME),
        ("in/RDR_GRS_20260725203500.uf", TIME),
        ("kwk_202607252035.h5", TIME),
        ("T_PAGZ52_C_LFPW_20260725203500.h5", None),  # of others, in UTC
        ("202607252035.h5", None),
        ("RDR_KWK_QCD_202613252035.nc", None),
        ("RDR_KWK_QCD_2026072520351.nc", None),
    ],
)
def test_the_time_is_taken_from_names_of_kma_only(name: str, time: object) -> None:
    assert time_in_name(name) == time


@pytest.mark.parametrize(
    ("zone", "inside", "name", "time", "note"),
    [
        (b"UT", TIME, "RDR_KWK_QCD_202607252035.uf", TIME, "which is the same if that is KST: name taken"),
        (b"UT", TIME - timedelta(hours=9), "RDR_KWK_QCD_202607252035.uf", TIME, ""),
        (b"KS", TIME, "volume.uf", TIME, ""),
        (b"UT", TIME, "volume.uf", TIME + timedelta(hours=9), ""),
        (b"UT", TIME, "RDR_KWK_QCD_202607251035.uf", TIME - timedelta(hours=10), "20:35:00 UT: name taken"),
    ],
)
def test_korean_time_that_is_called_utc(zone: bytes, inside: Any, name: str, time: Any, note: str) -> None:
    data = uf(KWK, [Turn(0.5, rays=4, gates=3)], field, time=inside, zone=zone)
    found = read_volume(data, name)
    assert found.time == time
    assert [one for one in found.notes if not one.endswith(note)] == []
    assert bool(found.notes) == bool(note)


def test_the_radar_is_the_one_that_stands_there(tmp_path: Path) -> None:
    turns = [Turn(0.5, rays=4, gates=3)]
    at_gdk = read_volume(cfradial(tmp_path / "a", ("RADAR1", *GDK[1:]), turns, field).read_bytes(), "a.nc")
    assert at_gdk.radar.code == "GDK"
    belied = read_volume((tmp_path / "a").read_bytes(), "RDR_KWK_QCD_202607252035.nc")
    assert (belied.radar.code, len(belied.notes)) == ("GDK", 1)
    elsewhere = ("Test radar", 128.0, 35.9, 100.0)
    assert read_volume(cfradial(tmp_path / "b", elsewhere, turns, field).read_bytes(), "b.nc").radar.code == "TESTRA"
    assert read_volume((tmp_path / "b").read_bytes(), "RDR_YIT_202607252035.nc").radar.code == "YIT"


def test_a_title_says_that_a_volume_is_made_up(tmp_path: Path) -> None:
    path = cfradial(tmp_path / "x.nc", KWK, [Turn(0.5, rays=4, gates=3)], field)
    assert not read_volume(path.read_bytes(), "x.nc").synthetic
    with h5py.File(path, "r+") as file:
        file.attrs["title"] = "SYNTHETIC: made up"
    assert read_volume(path.read_bytes(), "x.nc").synthetic


def test_total_reflectivity_is_taken_and_noted_where_there_is_no_other() -> None:
    found = read_volume(uf(KWK, [Turn(0.5, rays=4, gates=3)], field, fields=(b"VR", b"DZ")), "x.uf")
    assert found.moment == "DZ"
    assert found.notes == ("x.uf: only total reflectivity (DZ), with clutter",)
    with pytest.raises(FrameError, match=r"^x\.uf: moments: expected one of DBZH, .*, found VR, SW$"):
        read_volume(uf(KWK, [Turn(0.5, rays=4, gates=3)], field, fields=(b"VR", b"SW")), "x.uf")


def test_rectangular_floats_and_two_marks(tmp_path: Path) -> None:
    """Three rays of two gates: 10.006 dBZ is 1001 steps, -120 dBZ less than can be stored, NaN nothing."""
    path = cfradial(tmp_path / "x.nc", KWK, [Turn(0.5, rays=3, gates=2)], field)
    with h5py.File(path, "r+") as file:
        for name in ("DBZH", "ray_n_gates", "ray_start_index"):
            del file[name]
        file["DBZH"] = np.array([[10.006, -120], [np.nan, 0], [-9999, 60]], np.float32)
        file["DBZH"].attrs["_FillValue"] = np.float32(-9999)
    found = read_volume(path.read_bytes(), "x.nc").sweeps[0].stored
    np.testing.assert_array_equal(found, [[1001, -25000], [-25000, 0], [-25000, 6000]])
    odim(tmp_path / "x.h5", KWK, [Turn(0.5, rays=1, gates=3)], field)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["dataset1/data1/data"][:] = [[255, 0, 84]]  # 84 / 2 - 32 = 10 dBZ
    np.testing.assert_array_equal(
        read_volume((tmp_path / "x.h5").read_bytes(), "x.h5").sweeps[0].stored, [[-30000, -25000, 1000]]
    )


def test_a_ray_that_is_shorter_than_others_was_not_observed_beyond(tmp_path: Path) -> None:
    path = cfradial(
        tmp_path / "x.nc",
        KWK,
        [Turn(0.5, rays=3, gates=4)],
        lambda azimuth, distance, _elevation: azimuth * 0 + distance / 500,
    )
    with h5py.File(path, "r+") as file:
        values, packing = file["DBZH"][:], dict(file["DBZH"].attrs)
        del file["DBZH"]
        file["DBZH"] = np.delete(values, [6, 7])  # the last two gates of the second ray
        file["DBZH"].attrs["scale_factor"] = packing["scale_factor"]
        file["ray_n_gates"][:] = [4, 2, 4]
        file["ray_start_index"][:] = [0, 4, 6]
    found = read_volume(path.read_bytes(), "x.nc").sweeps[0].stored
    np.testing.assert_array_equal(found[:, 2:], [[125, 175], [-30000, -30000], [125, 175]])


Change = Callable[[h5py.File], object]


def _external(file: h5py.File) -> None:
    del file["DBZH"]
    file["DBZH"] = h5py.ExternalLink("/etc/passwd", "DBZH")


def _many_gates(file: h5py.File) -> None:
    del file["range"]
    file["range"] = np.arange(30_000.0)


def _bomb(file: h5py.File) -> None:
    del file["DBZH"]
    file.create_dataset("DBZH", (1 << 40,), "i2", chunks=(1 << 20,), compression="gzip")


def _far_apart(file: h5py.File) -> None:
    file["range"][0], file["range"][39] = -1e308, 1e308  # what lies between is more than a float can hold


HOSTILE: dict[str, tuple[Change, str]] = {
    "no sweeps": (lambda file: file.__delitem__("sweep_start_ray_index"), "without sweep_start_ray_index"),
    "a link": (_external, "moments: expected one of"),
    "a large range": (_many_gates, "range: expected 2 to 20,000 distances"),
    "no distance": (lambda file: file["range"].__setitem__(5, np.nan), "distances in metres, found nan among them"),
    "far apart": (_far_apart, "range: expected gates of one length"),
    "a bomb": (_bomb, "moments: expected one of"),
    "rays beyond": (lambda file: file["sweep_end_ray_index"].__setitem__(0, 1 << 30), "expected 1 to 99 sweeps"),
    "gates beyond": (lambda file: file["ray_n_gates"].__setitem__(0, -5), "0 to 40 gates, as range has, found -5"),
    "starts beyond": (lambda file: file["ray_start_index"].__setitem__(0, 1 << 30), "rays within 11,880 values"),
    "no numbers": (lambda file: file["azimuth"].__setitem__(3, np.nan), "azimuths and elevations: expected degrees"),
    "an RHI": (lambda file: file["elevation"].__setitem__(slice(0, 36), np.arange(36)), "one of -10 to 90 degrees"),
    "nowhere": (lambda file: file["latitude"].__setitem__((), 1e9), "place of the radar: expected a place"),
    "no time": (lambda file: file.__delitem__("time_coverage_start"), "time_coverage_start: expected YYYY"),
    "a scale": (lambda file: file["DBZH"].attrs.__setitem__("scale_factor", np.inf), "scale_factor: expected a number"),
    "too strong": (lambda file: file["DBZH"].attrs.__setitem__("scale_factor", 5.0), "at most 327.67 dBZ"),
    "endless": (lambda file: file["DBZH"].attrs.__setitem__("scale_factor", 1e308), "at most 327.67 dBZ, found inf"),
    "uneven": (lambda file: file["range"].__setitem__(5, 9e5), "range: expected gates of one length"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_sound_volume_is_refused(tmp_path: Path, case: str) -> None:
    change, message = HOSTILE[case]
    path = cfradial(tmp_path / "x.nc", KWK, kma_turns(rays=36, gates=40), field)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(FrameError, match=message) as error:
        read_volume(path.read_bytes(), "x.nc")
    assert str(error.value).startswith("x.nc: ")


def test_a_time_before_all_radars_is_refused() -> None:
    """A frame of the year 1 would have a name without its four digits, which no command reads."""
    data = uf(KWK, kma_turns(rays=36, gates=40)[:1], field)
    year = 4 + 2 * 25  # the length of the record, then word 26
    with pytest.raises(FrameError, match=r"x\.uf: time: expected a year from 1935 on, found 123$"):
        read_volume(data[:year] + (123).to_bytes(2, "big") + data[year + 2 :], "x.uf")


def test_an_azimuth_without_end_is_refused(tmp_path: Path) -> None:
    path = odim(tmp_path / "x.h5", KWK, kma_turns(rays=36, gates=40), field)
    with h5py.File(path, "r+") as file:
        file["dataset1/how"].attrs["startazA"] = np.full(36, np.inf)
    with pytest.raises(FrameError, match="azimuths and elevations: expected degrees, found none, or no numbers"):
        read_volume(path.read_bytes(), "x.h5")


def test_damage_is_an_error_and_nothing_else(files: dict[str, Path]) -> None:
    """Cuts and flipped bytes all over each file: a volume or an error of hsrgeo."""
    chance = np.random.default_rng(19)
    outcomes = set()
    for layout, path in files.items():
        data = path.read_bytes()
        for number in range(24):
            damaged = bytearray(data[: len(data) * number // 23] if number % 2 else data)
            for place in chance.integers(0, max(len(damaged), 1), 0 if number % 2 else 8):
                damaged[place % (4096 if number % 4 else len(damaged))] = chance.integers(0, 256)
            try:
                read_volume(bytes(damaged), "x")
                outcomes.add((layout, "read"))
            except FrameError:
                outcomes.add((layout, "refused"))
    assert len(outcomes) == 6


def test_what_is_no_volume_says_what_it_is(frame_file: bytes, tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="found a composite of KMA: hsrgeo export reads it"):
        read_volume(frame_file, "RDR_CMP_HSR_PUB_202206091115.bin.gz")
    with pytest.raises(FrameError, match="found a composite of KMA: hsrgeo export reads it"):
        read_volume(frame_file, "frame")
    with pytest.raises(FrameError, match="found 43 44 46 01, the start of NetCDF-3"):
        read_volume(b"CDF\1" + bytes(100), "x.nc")
    with pytest.raises(FrameError, match=r"text in place of a file: expected CfRadial 1 .* of one radar, found the"):
        read_volume(b"# file not exist (RDR_KWK)", "x.nc")
    with pytest.raises(FrameReadError, match=r"UF: expected a record of 65,534 bytes at 0, found 50 bytes"):
        read_volume(b"\x00\x00\xff\xfeUF\x7f\xff" + bytes(46), "x.uf")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_group("what").attrs["object"] = np.bytes_("COMP")
    with pytest.raises(FrameError, match=r"found an ODIM composite: hsrgeo\.open reads it"):
        read_volume((tmp_path / "c.h5").read_bytes(), "c.h5")


def test_a_field_that_lies_about_its_gates_is_refused() -> None:
    data = bytearray(uf(KWK, [Turn(0.5, rays=2, gates=3)], field, fields=(b"CZ",)))
    struct.pack_into(">h", data, 4 + 2 * (45 + 3 + 2 + 5), 9000)  # word 6 of the field's header
    with pytest.raises(FrameError, match="record 1: expected gates within the record, found 9000 gates from word 70"):
        read_volume(bytes(data), "x.uf")


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_VOLUME_BYTES", 10)
    with pytest.raises(TooLargeError, match="expected at most 10 bytes, found 11 bytes"):
        read_volume(b"\x89HDF\r\n\x1a\n" + bytes(3), "x")
