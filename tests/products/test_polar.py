"""Volumes on the grid: closed-form fields come back within a gate, heights are xradar's, edges are nodata."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyproj
import pytest
from numpy.typing import NDArray

from hsrgeo.errors import FrameFormatError, OptionsError
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.volume import Radar, Sweep, Volume
from hsrgeo.products.beams import Around, beam_of, cells_around
from hsrgeo.products.mosaic import compose_frames
from hsrgeo.products.polar import Layer, as_product, layer
from tests.volumes import KMA_ELEVATIONS, KWK, TIME, Floats

Stored = NDArray[np.int16]
GRID = grids()["kma-hb-500m"]
NODATA, UNDETECT = -30000, -25000
EARTH_M = 6371008.77
GEODESIC = pyproj.Geod(ellps="WGS84")


def sweep(elevation: float, stored: Stored, *, gate_m: float = 250, first_azimuth: float = 0.5) -> Sweep:
    azimuths = (first_azimuth + np.arange(len(stored)) * 360 / len(stored)) % 360
    return Sweep(elevation, azimuths, gate_m / 2, gate_m, stored)


def volume(*sweeps: Sweep, site: tuple[str, float, float, float] = KWK, name: str = "x") -> Volume:
    return Volume(name, "UF", Radar(*site), TIME, "", sweeps, "DBZH", ("DBZH",))


def kma_volume(kind: str) -> Volume:
    """Nine sweeps as KMA's; each gate has its number, or that of its ray, or of its sweep."""
    sweeps = []
    for number, elevation in enumerate(KMA_ELEVATIONS):
        shape = 360, 240 if number == len(KMA_ELEVATIONS) - 1 else 960
        rays, gates = np.indices(shape)
        stored = {"gate": gates, "ray": rays, "sweep": np.full(shape, number)}[kind]
        sweeps.append(sweep(elevation, stored.astype(np.int16)))
    return volume(*sweeps)


def made(of: Volume, product: str, grid: Grid = GRID) -> Layer:
    found = layer(of, grid, as_product(product))
    assert found is not None
    return found


def places(one: Layer | Around, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return azimuth [degrees] and distance [m] of cells, by the geodesic."""
    lon, lat = GRID.lonlat(rows + one.window.row_off, cols + one.window.col_off)
    azimuth, _back, distance = GEODESIC.inv(np.full(lon.size, KWK[1]), np.full(lon.size, KWK[2]), lon, lat)
    return np.asarray(azimuth) % 360, np.asarray(distance)


def georeferenced(gates: Floats, elevations: Floats) -> tuple[Floats, Floats]:
    """Return distance along the ground and height above the sea of middles of gates, by xradar."""
    georeference = pytest.importorskip("xradar.georeference")
    _x, y, z = georeference.antenna_to_cartesian(
        (gates + 0.5) * 250, 0.0, elevations, earth_radius=EARTH_M, site_altitude=KWK[3]
    )
    # It measures along the bent earth of 4/3 of the radius, as this project does.
    return np.asarray(y), np.asarray(z)


@pytest.mark.slow
@pytest.mark.parametrize("product", ["sweep:1", "sweep:5", "sweep:9", "lowest", "cappi:1500", "cappi:6000"])
def test_10_000_cells_hold_the_gate_that_lies_there(product: str) -> None:
    of = {kind: made(kma_volume(kind), product) for kind in ("gate", "ray", "sweep")}
    gates = of["gate"]
    chance = np.random.default_rng(19)
    rows, cols = (index[chance.integers(0, index.size, 10_000)] for index in [*np.nonzero(gates.value != NODATA)])
    seen = gates.value[rows, cols] != NODATA  # rows and columns were drawn apart
    rows, cols = rows[seen], cols[seen]
    assert rows.size > 5_000
    azimuth, distance = places(gates, rows, cols)
    gate, ray, number = (of[kind].value[rows, cols].astype(float) for kind in ("gate", "ray", "sweep"))
    if product.startswith("sweep"):
        number[:] = int(product[-1]) - 1
    elevation = np.array(KMA_ELEVATIONS)[number.astype(int)]
    along, height = georeferenced(gate, elevation)
    apart = np.abs((ray + 0.5 - azimuth + 180) % 360 - 180)
    assert apart.max() <= 0.5 + 360 / 65536  # degrees: half a ray
    # Half a gate along the beam, on the ground; and half a step of 10 m. A high beam's gate is shorter on the ground.
    assert np.abs(along - distance).max() <= 125 + 5 + 0.2
    # Over half a gate a beam rises, or sinks, by half a gate times its slope there; heights are rounded to 1 m.
    rise = 131 * np.abs(np.tan(np.radians(elevation) + along / (4 / 3 * EARTH_M))) + 0.55
    assert (np.abs(gates.height[rows, cols] - height) <= rise).all()


def test_azimuths_and_distances_are_those_of_the_geodesic() -> None:
    around = cells_around(GRID, *KWK[1:3], 300e3)
    assert around is not None
    cells = np.random.default_rng(2).integers(0, around.order.size, 10_000)
    rows, cols = np.divmod(around.order[cells].astype(np.int64), around.window.width)
    azimuth, distance = places(around, rows, cols)
    np.testing.assert_array_equal(around.distance[rows, cols], around.away[cells])
    assert np.abs(around.away[cells] * 10.0 - distance).max() < 5 + 0.2
    turned = (around.azimuth[cells] * (360 / 65536) - azimuth + 180) % 360 - 180
    assert np.abs(np.radians(turned) * distance).max() < math.pi / 65536 * distance.max() + 0.2


@pytest.mark.slow
@pytest.mark.parametrize("elevation", KMA_ELEVATIONS)
def test_heights_are_those_of_xradar(elevation: float) -> None:
    beam = beam_of(sweep(elevation, np.zeros((360, 960), np.int16)), KWK[3], 24_000)
    steps = np.flatnonzero(beam.gate >= 0)[::50]
    gates = beam.gate[steps].astype(float)
    along, height = georeferenced(gates, np.full(gates.size, elevation))
    slope = np.tan(np.radians(elevation) + along / (4 / 3 * EARTH_M))
    expected = height + (steps * 10.0 - along) * slope  # from the middle of the gate to the step
    assert np.abs(beam.height[steps] - expected).max() < 1.0


def test_a_cell_due_north_is_seen_by_the_rays_on_both_sides_of_it() -> None:
    """Ray 0 lies at 0.5 degrees and ray 359 at 359.5: the seam is due north."""
    one = made(volume(sweep(0.5, np.repeat(np.arange(360, dtype=np.int16)[:, None], 400, axis=1))), "lowest")
    x, y = (float(axis) for axis in GRID.project(KWK[1], KWK[2]))
    row, col = GRID.index(x, y)
    north = one.value[row - 100 - one.window.row_off, col - one.window.col_off + np.arange(-20, 21)]
    assert set(np.unique(north)) >= {0, 359}
    assert set(np.unique(north)) <= set(range(13)) | set(range(347, 360))
    middle = np.flatnonzero(np.diff(north.astype(int)) < -300)
    assert middle.size == 1  # from 359 to 0 once
    # A ray that lies on the seam, and one turned by a third of a ray, are found too.
    for first in (0.0, 359.7):
        turned = volume(sweep(0.5, np.ones((360, 400), np.int16), first_azimuth=first))
        assert np.count_nonzero(made(turned, "lowest").value == 1) == np.count_nonzero(one.value != NODATA)


def test_where_no_ray_looked_is_nodata() -> None:
    """A sector from 0.5 to 89.5 degrees: it ends three quarters of a ray beyond its last rays."""
    stored = np.ones((90, 400), np.int16)
    sector = Sweep(0.5, np.arange(0.5, 90), 125.0, 250.0, stored)
    one = made(volume(sector), "lowest")
    rows, cols = (index.astype(np.int64) for index in np.indices(one.value.shape).reshape(2, -1))
    azimuth, distance = places(one, rows, cols)
    seen = one.value.ravel() == 1
    inside = (distance > 200) & (distance < 99_000)
    from_sector = np.abs((azimuth - 45 + 180) % 360 - 180)
    assert seen[inside & (from_sector < 45.2)].all()
    assert not seen[inside & (from_sector > 45.3)].any()


def test_nearer_than_the_first_gate_and_beyond_the_last_is_nodata() -> None:
    """The first gate begins at 2 km, the last of 100 ends at 27 km, at 0 degrees: on the ground to a metre."""
    one = made(volume(Sweep(0.0, np.arange(0.5, 360), 2125.0, 250.0, np.ones((360, 100), np.int16))), "lowest")
    rows, cols = (index.astype(np.int64) for index in np.indices(one.value.shape).reshape(2, -1))
    _azimuth, distance = places(one, rows, cols)
    seen = one.value.ravel() == 1
    assert not seen[distance < 1990].any()
    assert seen[(distance > 2010) & (distance < 26_990)].all()
    assert not seen[distance > 27_010].any()
    assert (one.height.ravel()[~seen] == NODATA).all()
    assert one.height.ravel()[seen].min() >= 637


def test_beyond_a_short_top_sweep_lower_beams_count() -> None:
    """Sweep 8, at 15 degrees, ends at 60 km along the beam: 57.9 km on the ground.

    The next, at 10.5 degrees, is the nearest to a height of 20 km up to there and on to 117 km, where the middle
    between it and the one at 7.5 degrees is: 637 + 117,000 (0.185 + 0.132) / 2 + 117,000^2 / 2R = 20.0 km.
    """
    numbers = made(kma_volume("sweep"), "cappi:20000")
    rows, cols = (np.mgrid[: numbers.window.height : 7, : numbers.window.width : 7]).reshape(2, -1).astype(np.int64)
    _azimuth, distance = places(numbers, rows, cols)
    value = numbers.value[rows, cols]
    assert (value[(distance > 1_000) & (distance < 57_700)] == 8).all()
    assert (value[(distance > 58_200) & (distance < 110_000)] == 7).all()


def _one_ray(elevation: float, values: list[int]) -> Sweep:
    """All rays alike, gates of 5 km."""
    return sweep(elevation, np.tile(np.array(values, np.int16), (360, 1)), gate_m=5000)


def _at(one: Layer, distance_m: float) -> tuple[int, int]:
    """Return value and height of the cell east of the radar at a distance."""
    lon, lat, _back = GEODESIC.fwd(KWK[1], KWK[2], 90, distance_m)
    row, col = GRID.index_lonlat(lon, lat)
    row, col = row - one.window.row_off, col - one.window.col_off
    return int(one.value[row, col]), int(one.height[row, col])


def test_products_by_hand() -> None:
    """Three beams; heights at 22.5 km: h = 637 + d tan(el) + d^2 / 2R, R = 8,494,678 m, so d^2 / 2R = 30 m.

    0.5 degrees: 637 + 196 + 30 = 863 m. 2.0: 637 + 786 + 30 = 1453 m. 8.0: 637 + 3162 + 30 = 3829 m, and a little.
    """
    nothing, none = UNDETECT, NODATA
    of = volume(
        _one_ray(0.5, [100, none, nothing, none, 1500, nothing, 700]),
        _one_ray(2.0, [100, 300, nothing, none, 3000, nothing, 2500]),
        _one_ray(8.0, [100, 400, nothing, none, 2000, nothing, none]),
    )
    for product, expected, expected_height in (
        ("lowest", 1500, 863),
        ("sweep:2", 3000, 1453),
        ("max", 3000, 1453),
        ("cappi:3500", 2000, 3829),
    ):
        value, height = _at(made(of, product), 22_500)
        assert value == expected, product
        # The middle of the cell is up to 354 m from the point: 354 tan(8) = 50 m of height.
        assert abs(height - expected_height) < 60, product
    # (863 + 1453) / 2 = 1158: below it the lowest beam is the nearest.
    assert _at(made(of, "cappi:1100"), 22_500)[0] == 1500
    assert _at(made(of, "cappi:1220"), 22_500)[0] == 3000
    top, height = _at(made(of, "echo-top:15"), 22_500)
    assert top == height == pytest.approx(3829, abs=70)
    assert _at(made(of, "echo-top:25"), 22_500)[0] == pytest.approx(1453, abs=20)
    assert _at(made(of, "echo-top:31"), 22_500)[0] == nothing
    # 7.5 km: the lowest beam was not observed there, so the next counts. 12.5 km: all saw nothing. 17.5 km: none did.
    assert _at(made(of, "lowest"), 7_500)[0] == 300
    assert _at(made(of, "sweep:1"), 7_500) == (none, none)
    for product in ("lowest", "max", "cappi:3000", "echo-top:0"):
        value, height = _at(made(of, product), 12_500)
        assert value == nothing, product
        assert height > 637, product
        assert _at(made(of, product), 17_500) == (none, none), product
    # Where there is no echo the height is the lowest beam's that observed, of max and of echo tops.
    assert _at(made(of, "max"), 27_500)[1] == _at(made(of, "lowest"), 27_500)[1]


@pytest.mark.parametrize("method", ["max", "mean", "quality"])
@pytest.mark.parametrize("product", ["lowest", "cappi:2000", "max", "echo-top:10"])
def test_two_equal_radars_give_one(method: str, product: str) -> None:
    grid = grids()["kma-hb-1km"]
    stored = np.random.default_rng(1).integers(-9999, 7000, (360, 200)).astype(np.int16)
    stored[stored < -3000] = UNDETECT
    one = volume(sweep(0.5, stored, gate_m=1000), sweep(3.0, stored[:, ::-1], gate_m=1000))
    other = replace(one, radar=replace(one.radar, code="ZZZ"))
    alone = compose_frames([one], grid, TIME, as_product(product), method)  # type: ignore[arg-type] # one of three
    both = compose_frames([one, other], grid, TIME, as_product(product), method)  # type: ignore[arg-type]
    for single, double in zip(alone[:-1], both[:-1], strict=True):
        np.testing.assert_array_equal(single.stored, double.stored, err_msg=single.quantity.name)
    np.testing.assert_array_equal(both[-1].stored, np.where(alone[-1].stored == 1, 2, NODATA))
    assert np.count_nonzero(alone[0].stored != NODATA) > 100_000


@pytest.mark.slow
def test_methods_by_hand() -> None:
    """Two radars 100 km apart, both of one value everywhere: 30 dBZ is 1000 mm6/m3, 20 dBZ 100.

    The mean is 550, 27.40 dBZ. At 25 km from the first and 75 km from the other the weights are 9 to 1:
    910 mm6/m3, 29.59 dBZ. Of 30 dBZ and nothing the mean is 500: 26.99 dBZ.
    """
    lon, lat, _back = GEODESIC.fwd(KWK[1], KWK[2], 90, 100_000)

    def of(value: int, *, far: bool) -> Volume:
        site = ("FAR", lon, lat, 100.0) if far else KWK
        return volume(sweep(0.5, np.full((360, 160), value, np.int16), gate_m=1000), site=site)

    lons, lats, _back = GEODESIC.fwd([KWK[1]] * 2, [KWK[2]] * 2, [90] * 2, [25_000, 75_000])
    near_first, near_other = (GRID.index_lonlat(x, y) for x, y in zip(lons, lats, strict=True))

    def at(value: int, other: int, method: str, cell: tuple[int, int]) -> tuple[int, ...]:
        frames = compose_frames([of(value, far=False), of(other, far=True)], GRID, TIME, as_product("lowest"), method)  # type: ignore[arg-type]
        return tuple(int(frame.stored[cell]) for frame in frames)

    # FAR is station 1 by the order of codes, KWK 2. Heights at 25 and 75 km: KWK 637 + 218 + 37 = 892 m and
    # 637 + 654 + 331 = 1622 m, FAR 100 + 654 + 331 = 1085 m and 100 + 218 + 37 = 355 m.
    value, height, station, count = at(3000, 2000, "max", near_other)
    assert (value, station, count) == (3000, 2, 2)
    assert height > 637
    assert at(3000, 2000, "mean", near_first)[::2] == (2740, 2)
    assert at(3000, 2000, "mean", near_other)[::2] == (2740, 1)
    mean, _height, station, _count = at(3000, 2000, "quality", near_first)
    assert abs(mean - 2959) <= 1
    assert station == 2
    assert at(3000, UNDETECT, "mean", near_first)[0] == 2699
    assert at(3000, UNDETECT, "max", near_first)[0] == 3000
    assert at(3000, NODATA, "mean", near_first) == (3000, at(3000, NODATA, "max", near_first)[1], 2, 1)
    assert at(UNDETECT, UNDETECT, "quality", near_other)[::3] == (UNDETECT, 2)
    assert [at(3000, 3000, "max", cell)[2] for cell in (near_first, near_other)] == [2, 1]  # of equals the lower beam


def test_a_frame_says_what_it_is() -> None:
    one = volume(sweep(0.5, np.ones((360, 100), np.int16)))
    frames = compose_frames([one], GRID, TIME + timedelta(seconds=50), as_product("cappi:1500"), "max")
    assert [frame.quantity.name for frame in frames] == ["reflectivity", "height", "station", "count"]
    header = frames[0].header
    assert (header.not_kma, header.ptype, header.data_codes[:5], header.num_data) == (True, 1, (1, 2, 3, 4, 0), 4)
    assert [station.code for station in header.stations] == ["KWK"]
    assert {frame.name for frame in frames} == {"RDR_CMP_CPP_OWN_202607252035.bin.gz"}
    assert not header.synthetic
    assert compose_frames([replace(one, synthetic=True)], GRID, TIME, as_product("max"), "max")[0].header.synthetic
    tops = compose_frames([one], GRID, TIME, as_product("echo-top:0"), "max")
    assert [frame.quantity.name for frame in tops] == ["height", "station", "count"]


def test_what_cannot_be_is_refused() -> None:
    one = volume(sweep(0.5, np.ones((360, 100), np.int16)), name="a.nc")
    with pytest.raises(FrameFormatError, match=r"a\.nc: sweeps: expected sweep 2, found 1"):
        layer(one, GRID, as_product("sweep:2"))
    with pytest.raises(FrameFormatError, match=r"radar KWK: expected one volume, found a\.nc and b\.nc"):
        compose_frames([replace(one, name="b.nc"), one], GRID, TIME, as_product("max"), "max")
    paris = replace(one, radar=Radar("PAR", 2.3, 48.8, 100.0))
    assert layer(paris, GRID, as_product("max")) is None
    with pytest.raises(FrameFormatError, match="radars on the grid: expected 1 to 48, found 0"):
        compose_frames([paris], GRID, TIME, as_product("max"), "max")
    with pytest.raises(OptionsError, match="method 'best': expected max, mean, quality"):
        compose_frames([one], GRID, TIME, as_product("max"), "best")  # type: ignore[arg-type]


def test_a_height_in_kilometres_is_asked_for_in_metres() -> None:
    for text in ("cappi:1.5km", "cappi:1.5", "cappi:"):
        with pytest.raises(OptionsError, match=r"in metres, as cappi:1500$"):
            as_product(text)


@pytest.mark.parametrize(
    "text",
    ["", "ppi", "sweep", "sweep:0", "sweep:1.5", "cappi:-5", "cappi:1e3", "cappi:40000", "echo-top:200", "max:1"],
)
def test_words_that_are_no_product(text: str) -> None:
    with pytest.raises(OptionsError, match=f"^product '{text}': "):
        as_product(text)
