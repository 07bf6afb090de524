from __future__ import annotations

import os
import pickle
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hsrgeo.errors import ClippedWarning, FrameError, OptionsError, ProjectionError, WindowError
from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.quantity import QUANTITIES, RAIN, RAIN_RATE, Quantity
from hsrgeo.model.window import Area, BBox, Center, Window
from hsrgeo.products import warp
from hsrgeo.products.places import Lattice, Places, cells_of, typical_side
from hsrgeo.products.rain import rain_frame
from hsrgeo.products.resample import Boxes
from hsrgeo.products.synthetic import Scene, synthetic_bytes
from hsrgeo.products.warp import MOST_CELLS, Resampling, Target, Warp, as_target, warp_for, warp_frame
from tests.conftest import NX, NY, TIME, MakeFile, Pixels, frame_name
from tests.other_gdal import needs_gdal

FINE, COARSE = grids()["kma-hb-500m"], grids()["kma-hb-1km"]
MAPS = ["EPSG:5179", "EPSG:3857", "EPSG:4326"]
METHODS: tuple[Resampling, ...] = get_args(Resampling)
BLENDING = METHODS[1:]
SEOUL = BBox(126.7, 37.4, 127.2, 37.7)
ECHO = QUANTITIES[1]


@cache
def sphere_proj() -> pyproj.Proj:
    return pyproj.Proj("+proj=lcc +lat_1=30 +lat_2=60 +lat_0=38 +lon_0=126 +R=6371008.77 +units=m")


@cache
def fine_proj() -> pyproj.Proj:
    return pyproj.Proj("+proj=lcc +lat_1=30 +lat_2=60 +lat_0=38 +lon_0=126 +ellps=WGS84 +units=m")


def exact_places(grid: Grid, output: Grid, crs: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return columns and rows of every output cell's centre, each projected on its own, without hsrgeo."""
    t = output.transform
    x, y = np.meshgrid(t.c + t.a * (np.arange(output.width) + 0.5), t.f + t.e * (np.arange(output.height) + 0.5))
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    source_x, source_y = (fine_proj() if grid.cell_size_m == 500 else sphere_proj())(lon, lat)
    left, top = (-560250, 600250) if grid.cell_size_m == 500 else (-560500, 600500)
    return (source_x - left) / grid.cell_size_m, (top - source_y) / grid.cell_size_m


def warped(frame: Frame, area: Any, target: Target) -> Frame:
    warp = warp_for(frame.grid, area, target)
    return warp.apply(frame.crop(window=warp.window))


@pytest.fixture(scope="module")
def speckled(make_file: MakeFile) -> Frame:
    """Give a 1 km frame in which every cell has a value of its own, or nearly."""
    return decode(make_file(np.random.default_rng(1).integers(-30000, 32767, (NY, NX)).astype(np.int16)), frame_name())


@pytest.fixture(scope="module")
def fine_speckled(make_file: MakeFile) -> Frame:
    pixels = np.random.default_rng(2).integers(-30000, 32767, (2881, 2305)).astype(np.int16)
    return decode(make_file(pixels, dxy=500), frame_name())


@pytest.fixture(scope="module")
def rainy() -> Frame:
    """Give a 1 km frame of made-up heavy rain."""
    return decode(synthetic_bytes(TIME, Scene(rain="heavy", grid=COARSE), level=1), frame_name())


# -- what is asked for ------------------------------------------------------------------------------------------------


def test_target_is_a_value() -> None:
    target = as_target("EPSG:5179", 500)
    assert target == as_target(pyproj.CRS("EPSG:5179").to_wkt(), 500.0, "nearest")
    assert pickle.loads(pickle.dumps(target)) == target  # noqa: S301 - our own bytes
    assert hash(target) == hash(as_target("epsg:5179", 500))
    assert as_target("EPSG:4326", resampling="max") == Target(pyproj.CRS("EPSG:4326").to_wkt(), None, "max")


@pytest.mark.parametrize(
    ("crs", "text"),
    [
        ("nonsense", "'nonsense' is not known: expected EPSG:CODE"),
        ("EPSG:1", "'EPSG:1' is not known"),
        ("", "'' is not known"),
        ("EPSG:4978", "Geocentric CRS: expected a map of x and y"),
        ("EPSG:4979", "Geographic 3D CRS"),
        ("EPSG:5703", "Vertical CRS"),
        ("EPSG:5179+5193", "Compound CRS"),
        ('LOCAL_CS["here"]', "Engineering CRS"),
        ("EPSG:2048", "axes to south and west"),
    ],
)
def test_unfit_projections_are_refused(crs: str, text: str) -> None:
    with pytest.raises(OptionsError, match=text.replace("+", r"\+")):
        as_target(crs)


@pytest.mark.parametrize("resolution", [0, -1, float("nan"), float("inf")])
def test_unfit_resolutions_are_refused(resolution: float) -> None:
    with pytest.raises(OptionsError, match="expected more than 0 metres"):
        as_target("EPSG:5179", resolution)


def test_other_unfit_options_are_refused() -> None:
    with pytest.raises(OptionsError, match="'fine': expected a number"):
        as_target("EPSG:5179", "fine")  # type: ignore[arg-type] # that is the question
    with pytest.raises(OptionsError, match="counts in degrees"):
        as_target("EPSG:4326", 500)
    with pytest.raises(OptionsError, match=r"'cubic': expected one of nearest, bilinear, average, max"):
        as_target("EPSG:5179", None, "cubic")


def test_size_has_a_limit_and_it_is_reported() -> None:
    # 1,200 km x 1,500 km in cells of 1 mm would be 10^18 cells.
    with pytest.raises(OptionsError, match=rf"resolution 0.001 metres .* makes .* cells: .* {MOST_CELLS:,}"):
        warp_for(COARSE, None, as_target("EPSG:5179", 0.001))
    with pytest.raises(OptionsError, match="at most"):
        warp_for(COARSE, None, as_target("EPSG:5179", 1e-300))
    with pytest.raises(OptionsError, match="at most"):  # a line: hardly any cells by its area
        warp_for(COARSE, BBox(126, 37, 128, 37 + 1e-13), as_target("EPSG:4326", 1e-9))
    with pytest.raises(OptionsError, match="one cell would be larger than kma-hb-1km"):
        warp_for(COARSE, None, as_target("EPSG:5179", 2_000_000))


def test_projection_that_cannot_show_the_grid_is_reported() -> None:
    # the other side of the globe
    target = as_target("+proj=ortho +lat_0=-38 +lon_0=-54 +ellps=WGS84")
    with pytest.raises(ProjectionError, match=r"kma-hb-1km .*cannot be projected"):
        warp_for(COARSE, None, target)


def test_areas_are_refused_and_cut_as_without_a_warp() -> None:
    target = as_target("EPSG:5179", 1000)
    for area in (BBox(0, 0, 1, 1), Window(0, 0, NX + 1, 5), Center(126, 30.1, 900)):
        with pytest.raises(WindowError) as expected:
            COARSE.window_for(area)
        with pytest.raises(WindowError) as found:
            warp_for(COARSE, area, target)
        assert str(found.value) == str(expected.value)
    with pytest.warns(ClippedWarning, match="is cut at its edge in the west"):
        warp_for(COARSE, BBox(100, 37, 126, 38), target)


# -- the output grid --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crs", "fine", "coarse", "typical"),
    # The composites' projection shrinks the middle of Korea by some 2 %: a cell of 500 m is 512 m long on the ground.
    # Pseudo-Mercator stretches that by 1 / cos 36.9 = 1.25 to 640; and a degree is 111.2 km north, 88.9 km east,
    # of which the geometric mean is 99.4 km: 512 / 99.4 km = 0.00515 degrees.
    [("EPSG:5179", 500, 1000, 512), ("EPSG:3857", 500, 1000, 640), ("EPSG:4326", 0.005, 0.01, 0.00515)],
)
def test_resolution_is_the_nearest_round_number(crs: str, fine: float, coarse: float, typical: float) -> None:
    target = as_target(crs)
    for grid, expected in ((FINE, fine), (COARSE, coarse)):
        for area in (SEOUL, Window(0, 0, 4, 4)):
            output = warp_for(grid, area, target).grid
            assert output.cell_size_m == -output.transform.e == expected
            assert (output.transform.b, output.transform.d) == (0, 0)
    assert typical_side(FINE, target.wkt2) == pytest.approx(typical, rel=0.01)


@pytest.mark.parametrize("crs", MAPS)
def test_grid_helpers_know_the_output(crs: str) -> None:
    output = warp_for(COARSE, SEOUL, as_target(crs)).grid
    assert output.name == crs
    assert output.title == pyproj.CRS(crs).name
    assert output.crs == pyproj.CRS(crs)
    lon, lat = output.lonlat(output.height // 2, output.width // 2)
    assert (float(lon), float(lat)) == pytest.approx((126.95, 37.55), abs=0.02)
    x, y = output.project(lon, lat)
    assert output.index(float(x), float(y)) == (output.height // 2, output.width // 2)
    assert pickle.loads(pickle.dumps(output)) == output  # noqa: S301 - our own bytes


def test_extent_of_a_bbox_by_hand() -> None:
    # In degrees the box is its own outline: 126.703 / 0.01 = 12670.3, down to 12670; 127.2 lies on a border;
    # 37.391 / 0.01 = 3739.1, down to 3739; 37.7 on a border.
    warp = warp_for(COARSE, BBox(126.703, 37.391, 127.2, 37.7), as_target("EPSG:4326", 0.01))
    assert warp.grid.bounds == pytest.approx((126.70, 37.39, 127.20, 37.70), abs=1e-12)
    assert (warp.grid.width, warp.grid.height) == (50, 31)


def around(x: Any, y: Any) -> tuple[Any, Any]:
    """Return x and y along the edges of a rectangle, of x and y along one edge each."""
    one = np.ones_like(x)
    return np.concatenate([x, x, x[0] * one, x[-1] * one]), np.concatenate([y[0] * one, y[-1] * one, y, y])


@pytest.mark.parametrize("crs", MAPS)
@pytest.mark.parametrize("area", [SEOUL, Window(300, 500, 100, 70), Center(127, 36, 64), None])
def test_extent_is_the_smallest_that_covers(crs: str, area: BBox | Window | Center | None) -> None:
    output = warp_for(COARSE, area, as_target(crs)).grid
    to_crs = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    t = np.linspace(0, 1, 4001)
    if isinstance(area, BBox):
        lon, lat = area.west + t * (area.east - area.west), area.south + t * (area.north - area.south)
        outline: Any = around(lon, lat)
    else:
        left, bottom, right, top = COARSE.crop(COARSE.window_for(area)).bounds
        x, y = left + t * (right - left), bottom + t * (top - bottom)
        outline = sphere_proj()(*around(x, y), inverse=True)
    x, y = to_crs.transform(*outline)
    side, (left, bottom, right, top) = output.cell_size_m, output.bounds
    slack = 1e-4 * side
    for gap in (x.min() - left, right - x.max(), y.min() - bottom, top - y.max()):
        assert -slack <= gap < side + slack


def test_box_that_is_cut_ends_where_the_grid_does() -> None:
    # Far more than the grid: as without a box. The western half: its edges from 126 E westward, in degrees.
    target = as_target("EPSG:4326", 0.05)
    with pytest.warns(ClippedWarning):
        assert warp_for(COARSE, BBox(-180, -90, 180, 90), target).grid == warp_for(COARSE, None, target).grid
    with pytest.warns(ClippedWarning):
        output = warp_for(COARSE, BBox(100, 34, 126, 35), target).grid
    y = np.linspace(-600e3, -100e3, 500_001)
    lon, lat = sphere_proj()(np.full_like(y, -560500), y, inverse=True)
    west = lon[(lat > 34) & (lat < 35)].min()
    assert 119 < west < 120
    assert output.bounds[1:] == pytest.approx((34, 126, 35), abs=1e-9)
    assert output.bounds[0] <= west < output.bounds[0] + 0.05


@settings(max_examples=40)
@given(
    col=st.integers(0, NX - 60),
    row=st.integers(0, NY - 60),
    crs=st.sampled_from(MAPS),
    method=st.sampled_from(METHODS),
)
def test_neighbours_share_the_lattice_and_its_values(
    speckled: Frame, col: int, row: int, crs: str, method: Resampling
) -> None:
    target = as_target(crs, None, method)
    one = warped(speckled, Window(col, row, 40, 35), target)
    other = warped(speckled, Window(col + 20, row + 10, 37, 40), target)
    side = one.grid.cell_size_m
    (left, _, _, top), (other_left, _, _, other_top) = one.grid.bounds, other.grid.bounds
    across, down = (other_left - left) / side, (top - other_top) / side
    assert across == pytest.approx(round(across), abs=1e-6)
    assert down == pytest.approx(round(down), abs=1e-6)
    right, below = round(across), round(down)
    assert right >= 0
    assert below >= 0
    shared = one.stored[below:, right:][: other.grid.height, : other.grid.width]
    assert shared.size
    assert np.array_equal(shared, other.stored[: shared.shape[0], : shared.shape[1]])


# -- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [FINE, COARSE], ids=["500m", "1km"])
@pytest.mark.parametrize("crs", [*MAPS, "EPSG:3413"])
def test_places_between_nodes_are_exact_to_a_tenth_of_a_millimetre(grid: Grid, crs: str) -> None:
    output = warp_for(grid, None, as_target(crs, 10 * typical_side(grid, as_target(crs).wkt2))).grid
    side = output.cell_size_m / 10
    lattice = Lattice(
        side, round(output.bounds[0] / side), round(-output.bounds[3] / side), output.width * 10, output.height * 10
    )
    places = Places(grid, output.wkt2, lattice)
    assert places.step >= 8
    for start in (0, lattice.height // 2, lattice.height - 5):
        cols, rows = places.band(start, start + 5)
        shown = replace(lattice, row=lattice.row + start)
        part = replace(output, transform=shown.transform, width=lattice.width, height=5)
        exact_cols, exact_rows = exact_places(grid, part, crs)
        worst = max(np.abs(cols - exact_cols).max(), np.abs(rows - exact_rows).max())
        assert worst * grid.cell_size_m < 1e-4


def test_coarse_cells_are_projected_one_by_one() -> None:
    target = as_target("EPSG:4326", 1)
    lattice = Lattice(1.0, 120, -40, 8, 8)
    places = Places(COARSE, target.wkt2, lattice)
    x, y = np.meshgrid(np.arange(120.5, 128), np.arange(39.5, 32, -1))
    expected_x, expected_y = sphere_proj()(x, y)
    cols, rows = places.band(0, 8)
    assert places.step == 1
    assert np.abs(cols - (560.5 + expected_x / 1000)).max() < 1e-8
    assert np.abs(rows - (600.5 - expected_y / 1000)).max() < 1e-8


def test_datum_does_not_change_within_the_grid() -> None:
    # Korean 1985 is known in South Korea only (EPSG's area ends at 38.64 N); beyond it PROJ by itself would leave the
    # shift out, some 300 m. Steps of 1 km along x and y stay steps of about 1 km, or 0.97 cells, everywhere.
    target = as_target("EPSG:5174")
    x, y = np.meshgrid(np.arange(-300e3, 600e3, 1000), np.arange(-200e3, 1000e3, 1000))
    cols, rows = cells_of(COARSE, target.wkt2, x, y)
    for steps in (np.diff(cols, axis=1), -np.diff(rows, axis=0)):
        assert steps.min() > 0.9
        assert steps.max() < 1.02
    # In Seoul it is what PROJ takes there, to the millimetres that its way back is off.
    east, north = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:5174", always_xy=True).transform(126.9779, 37.5663)
    expected = cells_of(COARSE, as_target("EPSG:4326").wkt2, np.array(126.9779), np.array(37.5663))
    found = cells_of(COARSE, target.wkt2, np.array(east), np.array(north))
    assert np.abs(np.array(found) - expected).max() < 1e-5


def test_weights_have_a_limit() -> None:
    # Korea at the rim of a globe: a cell of 10 km there is a hundred and more on the ground.
    target = as_target("+proj=ortho +lat_0=-13 +lon_0=63 +R=6371008.77", 10_000, "average")
    with pytest.raises(OptionsError, match=r"^133 x 130 cells, made of up to 164 x 88 cells of kma-hb-1km each, are"):
        warp_for(COARSE, None, target)


@pytest.mark.slow
def test_what_has_no_place_becomes_nodata(speckled: Frame) -> None:
    # Seen from far, the corners of a rectangle around the grid can lie off the globe: this view has Korea near the
    # north-eastern rim.
    target = as_target("+proj=ortho +lat_0=0 +lon_0=72 +R=6371008.77", 30_000)
    for method in METHODS:
        part = warped(speckled, None, replace(target, resampling=method))
        cols, rows = cells_of(COARSE, target.wkt2, *np.meshgrid(*centres(part.grid)))
        nowhere = ~(np.isfinite(cols) & np.isfinite(rows))
        assert nowhere.any()
        assert (part.stored[nowhere] == -30000).all()
        assert (part.stored[~nowhere] != -30000).any()


def centres(grid: Grid) -> tuple[Any, Any]:
    t = grid.transform
    return t.c + t.a * (np.arange(grid.width) + 0.5), t.f + t.e * (np.arange(grid.height) + 0.5)


# -- nearest ----------------------------------------------------------------------------------------------------------


def assert_nearest(frame: Frame, result: Frame, found: NDArray[np.generic], crs: str) -> None:
    """Every cell holds the source value below its centre, or the centre lies on a border."""
    cols, rows = exact_places(frame.grid, result.grid, crs)
    inside = (cols >= 0) & (cols < frame.grid.width) & (rows >= 0) & (rows < frame.grid.height)
    expected = np.full(found.shape, -30000, np.int16)
    expected[inside] = frame.stored[rows[inside].astype(int), cols[inside].astype(int)]
    differs = found != expected
    to_border = np.minimum(np.abs(cols - np.round(cols)), np.abs(rows - np.round(rows)))
    assert (to_border[differs] < 2e-8).all()


@pytest.mark.parametrize("crs", MAPS)
@pytest.mark.parametrize("area", [SEOUL, None, Window(0, 0, 50, 40), Window(NX - 30, NY - 50, 30, 50)], ids=str)
def test_nearest_is_the_cell_below_the_centre(speckled: Frame, crs: str, area: BBox | Window | None) -> None:
    result = warped(speckled, area, as_target(crs))
    assert_nearest(speckled, result, result.stored, crs)
    assert result.stored.dtype == np.int16
    assert result.stored.shape == (result.grid.height, result.grid.width)
    assert not result.cleaned
    assert dict(result.derived) == {"WARP_RESAMPLING": "nearest", "WARP_SOURCE_GRID": "kma-hb-1km"}


def test_nearest_of_clean_values_counts_blends(frame: Frame) -> None:
    area = Window(180, 140, 60, 30)  # where the blends are
    target = as_target("EPSG:5179", 500)
    raw, clean = warped(frame, area, target), warped(frame.clean(), area, target)
    assert clean.cleaned
    assert raw.cells.blend == clean.cells.blend > 0
    assert np.array_equal(clean.raw, raw.clean().raw)
    assert set(np.unique(clean.raw)) == {-30000, -25000}


@settings(max_examples=30)
@given(
    corner=st.tuples(st.floats(121, 130), st.floats(31, 42)),
    size=st.tuples(st.floats(0.01, 0.6), st.floats(0.01, 0.6)),
    crs=st.sampled_from(MAPS),
    factor=st.floats(0.5, 7),
)
def test_nearest_invents_no_value(
    speckled: Frame, corner: tuple[float, float], size: tuple[float, float], crs: str, factor: float
) -> None:
    target = as_target(crs, factor * typical_side(COARSE, as_target(crs).wkt2))
    (west, south), (wide, tall) = corner, size
    warp = warp_for(COARSE, BBox(west, south, west + wide, south + tall), target)
    result = warp.apply(speckled.crop(window=warp.window))
    assert np.isin(result.stored, [*speckled.crop(window=warp.window).stored.ravel(), -30000]).all()
    assert_nearest(speckled, result, result.stored, crs)


GDAL_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PROJ_", "GDAL_"))}


def gdalwarp(source: Path, output: Grid, crs: str, scratch: Path) -> NDArray[np.int16]:
    """Return what gdalwarp makes of a file, exactly and by nearest, on the same cells."""
    target = scratch / "warped.envi"
    command = ["gdalwarp", "-q", "-overwrite", "-r", "near", "-et", "0", "-t_srs", crs, "-of", "ENVI", "-ovr", "NONE"]
    extent = ["-te", *map(repr, output.bounds), "-ts", str(output.width), str(output.height)]
    subprocess.run([*command, *extent, str(source), str(target)], check=True, env=GDAL_ENVIRONMENT)
    return np.fromfile(target, "<i2").reshape(output.height, output.width)


@needs_gdal
@pytest.mark.parametrize("crs", MAPS)
@pytest.mark.parametrize("grid", [FINE, COARSE], ids=["500m", "1km"])
@pytest.mark.parametrize("area", [SEOUL, BBox(118.5, 42.4, 121, 44)], ids=["seoul", "corner"])
@pytest.mark.filterwarnings("ignore::hsrgeo.errors.ClippedWarning")
def test_nearest_is_that_of_gdalwarp(
    speckled: Frame, fine_speckled: Frame, tmp_path: Path, grid: Grid, crs: str, area: BBox
) -> None:
    frame = speckled if grid is COARSE else fine_speckled
    warp = warp_for(grid, area, as_target(crs))
    # A few cells more than needed, so that what lies beside the window shows.
    col, row = max(warp.window.col_off - 3, 0), max(warp.window.row_off - 3, 0)
    wide, tall = min(warp.window.width + 6, grid.width - col), min(warp.window.height + 6, grid.height - row)
    path = frame.crop(window=(col, row, wide, tall)).to_cog(tmp_path / "source.tif")
    result = warp.apply(frame.crop(window=warp.window))
    expected = gdalwarp(path, warp.grid, crs, tmp_path)
    differs = result.stored != expected
    cols, rows = exact_places(grid, warp.grid, crs)
    to_border = np.minimum(np.abs(cols - np.round(cols)), np.abs(rows - np.round(rows)))
    assert (to_border[differs] < 2e-8).all()
    assert (result.stored != -30000).mean() > 0.3


@pytest.mark.slow
@needs_gdal
def test_nearest_of_a_whole_frame_is_that_of_gdalwarp(speckled: Frame, tmp_path: Path) -> None:
    result = warped(speckled, None, as_target("EPSG:5179", 1000))
    expected = gdalwarp(speckled.to_cog(tmp_path / "source.tif"), result.grid, "EPSG:5179", tmp_path)
    assert np.count_nonzero(result.stored != expected) <= 1  # no centre lies within 1e-8 cells of a border, it seems


# -- classes, by hand -------------------------------------------------------------------------------------------------

# On the grid's own CRS, cells of 1,000 m whose corners are multiples of 1,000 lie half a cell beside those of the grid:
# each covers a quarter of four of its cells, and its centre is where their corners meet.
OWN = COARSE.wkt2


def four(frame: Frame, values: list[int], method: Resampling, quantity: Quantity = ECHO) -> Frame:
    """Return the one cell that lies on four source cells."""
    # The border between columns 560 and 561 is at x 500, those of the output at 0 and 1,000; row 600 is at y 0.
    warp = warp_for(COARSE, Window(561, 601, 1, 1), Target(OWN, 1000, method))
    assert warp.grid.bounds == (0.0, -2000.0, 2000.0, 0.0)  # x 500 to 1,500, y -1,500 to -500
    part = replace(frame.crop(window=warp.window), quantity=quantity)
    whole = np.full((warp.window.height, warp.window.width), quantity.nodata, np.int16)
    row, col = 600 - warp.window.row_off, 560 - warp.window.col_off
    whole[row : row + 2, col : col + 2] = np.reshape(values, (2, 2))
    return warp.apply(replace(part, stored=whole)).crop(window=(0, 0, 1, 1))


NONE, EMPTY = -30000, -25000


@pytest.mark.parametrize("method", ["bilinear", "average"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # 20 dBZ is Z 100, 30 dBZ is Z 1000: (100 + 100 + 100 + 1000) / 4 = 325, 10 lg 325 = 25.119
        ([2000, 2000, 2000, 3000], 2512),
        # undetect is Z 0: 1000 / 4 = 250, 10 lg 250 = 23.979
        ([EMPTY, EMPTY, EMPTY, 3000], 2398),
        ([EMPTY] * 4, EMPTY),
        ([NONE] * 4, NONE),
        ([1234] * 4, 1234),
        # half observed is enough: (1000 + 0) / 2 = 500, 26.990; less is not
        ([NONE, NONE, EMPTY, 3000], 2699),
        ([NONE, NONE, EMPTY, EMPTY], EMPTY),
        ([NONE, NONE, NONE, 3000], NONE),
        ([NONE, 3000, 3000, 3000], 3000),
        # blends are what their class is: -29687 not observed, -22187 and -20000 nothing there
        ([-29687, -29687, -22187, 3000], 2699),
        ([-29687, -29687, -29687, 3000], NONE),
        ([-20000, -20100, -22187, 3000], 2398),
        # a quarter of -100 dBZ is -106.02 dBZ, below the weakest echo: nothing there
        ([EMPTY, EMPTY, EMPTY, -10000], EMPTY),
        # -95 dBZ over four is -101.02, too; -93.97 gives -99.99
        ([EMPTY, EMPTY, EMPTY, -9500], EMPTY),
        ([EMPTY, EMPTY, EMPTY, -9397], -9999),
        # 327.67 dBZ, the largest number there is
        ([32767] * 4, 32767),
    ],
)
def test_mean_of_reflectivity_by_hand(frame: Frame, values: list[int], expected: int, method: Resampling) -> None:
    result = four(frame, values, method)
    assert result.stored.tolist() == [[expected]]
    assert result.cleaned
    assert dict(result.derived) == {"WARP_RESAMPLING": method, "WARP_SOURCE_GRID": "kma-hb-1km"}


@pytest.mark.parametrize("method", ["bilinear", "average"])
@pytest.mark.parametrize(
    ("quantity", "values", "expected"),
    [
        (RAIN, [0, 0, 100, 300], 100),  # (0 + 0 + 1 + 3) / 4 = 1 mm/h
        (RAIN, [0, 0, 0, 2], 1),  # 0.5 steps are rounded up
        (RAIN, [0, 0, 0, 1], 0),  # 0.25 steps are no rain, which is undetect
        (RAIN, [NONE, NONE, 0, 300], 150),
        (RAIN, [NONE, NONE, NONE, 300], NONE),
        (RAIN_RATE, [EMPTY, EMPTY, 100, 300], 100),
        (RAIN_RATE, [EMPTY, EMPTY, EMPTY, 0], 0),  # echo of 0 mm/h is echo
    ],
)
def test_mean_of_rain_is_linear(
    frame: Frame, quantity: Quantity, values: list[int], expected: int, method: Resampling
) -> None:
    assert four(frame, values, method, quantity).stored.tolist() == [[expected]]


@pytest.mark.parametrize(
    ("quantity", "values", "expected"),
    [
        (ECHO, [2000, -500, EMPTY, EMPTY], 2000),
        (ECHO, [NONE, NONE, EMPTY, -500], -500),
        (ECHO, [NONE, NONE, NONE, 3000], NONE),
        (ECHO, [-22187, -20000, EMPTY, NONE], EMPTY),
        (RAIN, [0, 5, 300, NONE], 300),
        (RAIN, [0, 0, 0, NONE], 0),
    ],
)
def test_max_by_hand(frame: Frame, quantity: Quantity, values: list[int], expected: int) -> None:
    assert four(frame, values, "max", quantity).stored.tolist() == [[expected]]


def test_bilinear_weights_by_hand(frame: Frame) -> None:
    # Cells of 250 m: the first centre east of x 0 and south of y 0 is at x 125, y -125: an eighth of a cell from the
    # centre of source cell (600, 560). Rain 0 but 64 mm/h there: 7/8 x 7/8 x 64 = 49 mm/h.
    warp = warp_for(COARSE, Window(560, 600, 1, 1), Target(OWN, 250, "bilinear"))
    part = frame.crop(window=warp.window)
    stored = np.zeros_like(part.stored)
    stored[600 - warp.window.row_off, 560 - warp.window.col_off] = 6400
    result = warp.apply(replace(part, stored=stored, quantity=RAIN))
    assert result.grid.bounds == (-500.0, -500.0, 500.0, 500.0)
    # at 125 and 375 m from the centre the weights are 7/8 and 5/8
    expected = [64 * down * across * 100 for down in (5 / 8, 7 / 8) for across in (5 / 8, 7 / 8)]
    assert np.abs(result.stored[:2, :2].ravel() - expected).max() <= 1
    assert np.array_equal(result.stored, result.stored[::-1, ::-1])


@pytest.mark.parametrize("method", BLENDING)
def test_average_over_many_cells_by_hand(frame: Frame, method: Resampling) -> None:
    # Cells of 10 km: 10 x 10 cells, but for half cells on each side: the first and last of 11 count half.
    warp = warp_for(COARSE, Window(561, 601, 9, 9), Target(OWN, 10_000, method))
    assert warp.grid.bounds == (0.0, -10_000.0, 10_000.0, 0.0)
    rain = np.random.default_rng(3).integers(0, 20_000, (NY, NX)).astype(np.int16)
    part = replace(frame, stored=rain, quantity=RAIN).crop(window=warp.window)
    result = warp.apply(part).stored
    below = rain[600:611, 560:571]
    half = np.array([0.5, *[1.0] * 9, 0.5])
    expected = {
        "average": half @ below @ half / 100,
        "max": below.max(),
        "bilinear": below[5, 5],  # x 5,000 is the centre of column 565
    }[method]
    assert abs(result.item() - expected) <= 1


@pytest.mark.parametrize("method", BLENDING)
@pytest.mark.parametrize("code", [2, 3, 4, 6, 7, 8, 15])
def test_only_nearest_makes_sense_of_other_quantities(frame: Frame, method: Resampling, code: int) -> None:
    odd = replace(frame, quantity=QUANTITIES[code])
    with pytest.raises(FrameError, match=rf"RDR_CMP.*: no {method} of .* nearest\), found {QUANTITIES[code].name}$"):
        warped(odd, SEOUL, as_target("EPSG:5179", None, method))
    assert warped(odd, SEOUL, as_target("EPSG:5179")).quantity is odd.quantity


def test_part_of_another_place_is_refused(frame: Frame) -> None:
    warp = warp_for(COARSE, SEOUL, as_target("EPSG:5179"))
    with pytest.raises(FrameError, match=r"warp of another place: expected .* kma-hb-1km from .*, found 1153 x 1441"):
        warp.apply(frame)


# -- classes, for any values ------------------------------------------------------------------------------------------

CODES = st.sampled_from([-30000, -29687, -25000, -22187, -20100, -20000, -10001, -10000, -500, 0, 3000, 5809, 32767])


def some_warp(crs: str, factor: float, method: Resampling) -> Warp:
    target = as_target(crs, factor * typical_side(COARSE, as_target(crs).wkt2), method)
    return warp_for(COARSE, Window(700, 800, 12, 9), target)


@settings(max_examples=60)
@given(
    data=st.data(),
    crs=st.sampled_from(MAPS),
    factor=st.sampled_from([0.4, 1.0, 1.7, 6.0, 12.0]),
    method=st.sampled_from(BLENDING),
    quantity=st.sampled_from([ECHO, RAIN_RATE, RAIN]),
)
def test_every_value_is_explained_by_a_class(
    frame: Frame, data: st.DataObject, crs: str, factor: float, method: Resampling, quantity: Quantity
) -> None:
    warp = some_warp(crs, factor, method)
    part = replace(frame.crop(window=warp.window), quantity=quantity)
    values = data.draw(st.lists(CODES, min_size=1, max_size=40))
    part = replace(part, stored=np.resize(np.array(values, np.int16), part.stored.shape))
    result = warp.apply(part)
    made = result.quantity
    assert made == (RAIN if quantity == RAIN_RATE else quantity)  # rain is averaged with dry cells as 0
    echo = result.stored >= made.echo_from
    assert np.isin(result.stored[~echo], [made.nodata, made.undetect]).all()
    assert np.array_equal(result.raw, result.stored)
    clean = part.clean().raw
    if (clean >= made.echo_from).any():
        assert result.stored.max() <= clean.max()
    else:
        assert not echo.any()
    assert np.array_equal(warp.apply(part.clean()).stored, result.stored)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crs", "off"),
    [
        *((crs, 0.007) for crs in MAPS),
        ("EPSG:3413", 0.007),
        ("+proj=omerc +lat_0=36 +lonc=128 +alpha=45 +gamma=0", 0.02),
    ],
)
@pytest.mark.parametrize("factor", [0.6, 1.0, 3.3])
def test_shares_are_those_of_a_fine_raster(crs: str, off: float, factor: float) -> None:
    warp = some_warp(crs, factor, "average")
    made = warp.made_of
    assert isinstance(made, Boxes)
    parts = 64
    t = warp.grid.transform
    fine = replace(
        warp.grid,
        transform=type(t)(t.a / parts, 0, t.c, 0, t.e / parts, t.f),
        width=warp.grid.width * parts,
        height=warp.grid.height * parts,
    )
    cols, rows = (np.floor(axis).astype(int) for axis in exact_places(COARSE, fine, crs))
    stride = made.window.width + 2 * made.box[1]
    flat = (rows - made.window.row_off + made.box[0]) * stride + cols - made.window.col_off + made.box[1]
    for row, col in [(0, 0), (warp.grid.height // 2, warp.grid.width // 2), (warp.grid.height - 1, 0)]:
        expected = np.zeros(flat.max() + stride * made.box[0])
        block = flat[row * parts : (row + 1) * parts, col * parts : (col + 1) * parts]
        np.add.at(expected, block.ravel(), 1 / parts**2)
        found = np.zeros_like(expected)
        within = (np.arange(made.box[0])[:, None] * stride + np.arange(made.box[1])).ravel()
        weights = made.weights[:, row * warp.grid.width + col].astype(float)
        found[made.index[row, col] + within] = weights / weights.sum()
        assert np.abs(found - expected).max() < off + 0.005  # half a percent is the raster's own


# -- rain is kept -----------------------------------------------------------------------------------------------------


def true_areas(grid: Grid) -> NDArray[np.float64]:
    """Return the area of each row's cells or of each cell, up to a factor, for the grids of these tests."""
    crs = grid.crs
    factors = pyproj.Proj(crs).get_factors if crs.is_projected else None
    rows, cols = np.mgrid[0 : grid.height, 0 : grid.width]
    lon, lat = grid.lonlat(rows[::8, ::8], cols[::8, ::8])
    areal = factors(lon, lat).areal_scale if factors else 1 / np.cos(np.radians(lat))
    # Scale changes by less than 1e-4 over 8 cells.
    areas: NDArray[np.float64] = np.repeat(np.repeat(1 / np.asarray(areal), 8, 0), 8, 1)[: grid.height, : grid.width]
    return areas


def mean_rain(frame: Frame) -> float:
    """Return the mean rain over the observed area, each cell by its true size."""
    rain, areas = frame.physical(undetect=0).astype(float), true_areas(frame.grid)
    observed = np.isfinite(rain)
    return float((rain * areas)[observed].sum() / areas[observed].sum())


def rain_volume(frame: Frame) -> float:
    """Return rain times area [mm/h km2], each cell by its true size; what is not observed counts nothing."""
    rain, areas = np.nan_to_num(frame.physical(undetect=0).astype(float)), true_areas(frame.grid)
    unit = (
        frame.grid.cell_size_m / 1000
        if frame.grid.crs.is_projected
        else frame.grid.cell_size_m * 6371.00877 * (np.pi / 180)
    )
    return float((rain * areas).sum()) * unit**2


@pytest.mark.slow
@pytest.mark.parametrize("crs", MAPS)
@pytest.mark.parametrize("factor", [0.9, 4.0])
def test_average_keeps_the_rain(rainy: Frame, crs: str, factor: float) -> None:
    rain = rain_frame(rainy)
    side = factor * typical_side(COARSE, as_target(crs).wkt2)
    result = warped(rain, None, as_target(crs, side, "average"))
    assert mean_rain(result) == pytest.approx(mean_rain(rain), rel=0.01)
    # The sphere stands for the ellipsoid: its degrees are some 0.1 % shorter or longer.
    assert rain_volume(result) == pytest.approx(rain_volume(rain), rel=0.01)


@pytest.mark.slow
def test_average_keeps_the_rain_of_sample_frames(samples: Path) -> None:
    path = min(samples.glob("RDR_CMP_*.bin.gz"))
    rain = rain_frame(decode(path.read_bytes(), path.name))
    result = warped(rain, None, as_target("EPSG:5179", 2000, "average"))
    assert mean_rain(result) == pytest.approx(mean_rain(rain), rel=0.01)
    assert rain_volume(result) == pytest.approx(rain_volume(rain), rel=0.01)


def test_average_of_reflectivity_keeps_z(rainy: Frame) -> None:
    result = warped(rainy, None, as_target("EPSG:5179", 3000, "average"))

    def total(frame: Frame) -> float:
        z = 10 ** (np.nan_to_num(frame.physical().astype(float), nan=-np.inf) / 10)
        return float((z * true_areas(frame.grid)).sum()) * frame.grid.cell_size_m**2

    assert total(result) == pytest.approx(total(rainy), rel=0.01)


@pytest.mark.parametrize("method", BLENDING)
def test_codes_never_blend_with_echo(rainy: Frame, method: Resampling) -> None:
    result = warped(rainy, None, as_target("EPSG:5179", 2000, method))
    below = np.unique(result.stored[result.stored < ECHO.echo_from])
    assert below.tolist() == [-30000, -25000]
    assert result.cells.blend == 0
    assert result.stored.max() <= rainy.stored.max()


def test_warps_are_kept() -> None:
    target = as_target("EPSG:5179", 2000)
    assert warp_for(COARSE, SEOUL, target) is warp_for(COARSE, SEOUL, as_target("EPSG:5179", 2000.0))


def test_warped_frames_are_written(frame: Frame, pixels: Pixels, tmp_path: Path) -> None:
    part = warped(frame, Window(400, 600, 256, 256), as_target("EPSG:4326"))
    path = part.to_cog(tmp_path / "warped.tif")
    assert path.is_file()
    assert np.isin(part.stored, pixels).all()


@pytest.mark.slow
def test_warps_are_kept_as_far_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    target = as_target("EPSG:5179")
    areas = [Window(400 + 4 * number, 600, 16, 16) for number in range(12)]
    made: list[Area | None] = []

    def make(grid: Grid, area: Area | None, wanted: Target) -> Warp:
        made.append(area)
        return _MADE(grid, area, wanted)

    monkeypatch.setattr(warp, "_made", make)
    warp.forget_warps()
    for _ in range(3):
        for area in areas:
            warp_for(COARSE, area, target)
    assert made == areas
    each = max(one.nbytes for one in warp._KEPT.values())
    assert each == 4 * max(one.grid.width * one.grid.height for one in warp._KEPT.values())  # an int32 a cell
    warp.forget_warps()
    monkeypatch.setattr(warp, "_MOST_KEPT_BYTES", 6 * each)
    made.clear()
    for _ in range(40):
        for area in areas:
            warp_for(COARSE, area, target)
            assert sum(one.nbytes for one in warp._KEPT.values()) <= 6 * each
    assert len(made) < 40 * 12 * 0.9  # regions come round in a circle: the oldest one would never be there
    monkeypatch.setattr(warp, "_MOST_KEPT_BYTES", 1)
    left_out = next(area for area in areas if (COARSE, area, target) not in warp._KEPT)
    made.clear()
    assert warp_for(COARSE, left_out, target) is warp_for(COARSE, left_out, target)
    assert made == [left_out]  # what alone is more than may be kept is kept, all others gone
    assert len(warp._KEPT) == 1
    warp.forget_warps()


_MADE = warp._made


def test_a_frame_is_warped_to_a_crs_by_its_name(frame: Frame) -> None:
    named = warp_frame(frame, "EPSG:5179", (126.7, 37.4, 127.2, 37.7))
    asked = warp_frame(frame, as_target("EPSG:5179"), BBox(126.7, 37.4, 127.2, 37.7))
    assert np.array_equal(named.stored, asked.stored)
    assert named.grid == asked.grid
    with pytest.raises(OptionsError, match="projection 'Seoul' is not known"):
        warp_frame(frame, "Seoul")
