"""Weights of places: worked by hand, against shapely's areas, and against exactextract."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.errors import OptionsError
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.quantity import QUANTITIES
from hsrgeo.model.window import Window
from hsrgeo.places.gather import gather, pieces_of
from hsrgeo.places.places import Points
from hsrgeo.places.sampling import COVERAGE, MAX, MEAN, WET, Sampler
from hsrgeo.places.weights import Weights, load_weights, point_weights, polygon_weights
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.products.rates import rate_table

MAIN = grids()["kma-hb-500m"]
TINY = Grid("tiny", MAIN.wkt2, Affine(100.0, 0, 1000.0, 0, -100.0, 2000.0), 4, 3)
"""x 1000 to 1400, y 1700 to 2000, cells of 100 m."""


def ring(*corners: tuple[float, float]) -> Any:
    return np.array([*corners, corners[0]], float)


def dense(weights: Weights, grid: Grid, place: int = 0) -> Any:
    shares = np.zeros(grid.width * grid.height)
    span = slice(weights.starts[place], weights.starts[place + 1])
    shares[weights.cells[span]] = weights.shares[span]
    return shares.reshape(grid.height, grid.width)


def test_a_rectangle_by_hand() -> None:
    # From x 1050 to 1225: half of column 0, all of 1, a quarter of 2; from y 1920 down to 1790: 0.2, 1, 0.1 of rows.
    box = ring((1050, 1790), (1225, 1790), (1225, 1920), (1050, 1920))
    weights = polygon_weights([[box]], [175 * 130.0], TINY)
    by_hand = np.outer([0.2, 1, 0.1], [0.5, 1, 0.25, 0])
    np.testing.assert_allclose(dense(weights, TINY), by_hand, atol=1e-12)
    assert weights.totals[0] == pytest.approx(1.75 * 1.3)
    np.testing.assert_allclose(weights.within, 1)


def test_many_cells_are_not_in_memory_twice() -> None:
    # Eight polygons over 300 x 300 cells: 720,000 cells of 16 bytes, 11.52 MB. While they are joined the cells are
    # there twice, or the shares, and not both; a sampler has an index of 8 bytes a cell, and makes it of two such.
    grid = Grid("square", MAIN.wkt2, Affine(100.0, 0, 0.0, 0, -100.0, 30_000.0), 300, 300)
    box = ring((0, 0), (30_000, 0), (30_000, 30_000), (0, 30_000))
    tracemalloc.start()
    try:
        weights = polygon_weights([[box]] * 8, [9e8] * 8, grid)
        size, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        Sampler(weights, grid.width)
        _now, sampler_peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(weights.cells) == 720_000
    assert size == pytest.approx(11.52e6, rel=0.01)
    assert peak < 1.6 * size
    assert sampler_peak - size < 1.1 * size


def test_a_triangle_by_hand() -> None:
    # Legs of 200 m from the corner (1000, 2000): one whole cell, two halves along the diagonal.
    triangle = ring((1000, 2000), (1000, 1800), (1200, 2000))
    weights = polygon_weights([[triangle]], [20_000.0], TINY)
    np.testing.assert_allclose(dense(weights, TINY)[:2, :2], [[1, 0.5], [0.5, 0]], atol=1e-12)
    assert len(weights.cells) == 3


def test_a_hole_takes_away_what_is_in_it() -> None:
    shell = ring((1000, 1700), (1400, 1700), (1400, 2000), (1000, 2000))
    hole = ring((1125, 1825), (1125, 1875), (1175, 1875), (1175, 1825))  # a quarter of the cell in row 1, column 1
    shares = dense(polygon_weights([[shell, hole]], [1.0], TINY), TINY)
    by_hand = np.ones((3, 4))
    by_hand[1, 1] = 0.75
    np.testing.assert_allclose(shares, by_hand, atol=1e-12)


def test_what_lies_outside_counts_in_the_total_only() -> None:
    west = ring((900, 1900), (1100, 1900), (1100, 2000), (900, 2000))  # a cell inside, a cell outside
    north = ring((1000, 1950), (1100, 1950), (1100, 2100), (1000, 2100))  # half a cell inside, one outside
    away = ring((2000, 1900), (2100, 1900), (2100, 2000), (2000, 2000))
    weights = polygon_weights([[west], [away], [north]], [1.0, 1.0, 1.0], TINY)
    np.testing.assert_allclose(weights.totals, [2, 1, 1.5])
    np.testing.assert_allclose(weights.within, [0.5, 0, 1 / 3])
    assert dense(weights, TINY)[0].tolist() == [1, 0, 0, 0]
    np.testing.assert_allclose(dense(weights, TINY, 2)[0], [0.5, 0, 0, 0])


def test_a_polygon_without_area_is_refused() -> None:
    with pytest.raises(OptionsError, match="no area"):
        polygon_weights([[ring((1000, 1900), (1100, 1900), (1050, 1900))]], [0.0], TINY)


@given(
    st.lists(
        st.tuples(st.floats(-1, 5), st.floats(-1, 4)).map(lambda c: (round(c[0], 3), round(c[1], 3))),
        min_size=3,
        max_size=9,
    )
)
def test_shares_are_those_of_shapely(corners: list[tuple[float, float]]) -> None:
    shapely = pytest.importorskip("shapely")
    shape = shapely.convex_hull(shapely.MultiPoint([(1000 + 100 * c, 1700 + 100 * r) for c, r in corners]))
    if shape.geom_type != "Polygon" or shape.area < 1:
        return
    weights = polygon_weights([[shapely.get_coordinates(shape)]], [shape.area], TINY)
    cells = [
        [shapely.box(1000 + 100 * c, 1900 - 100 * r, 1100 + 100 * c, 2000 - 100 * r) for c in range(4)]
        for r in range(3)
    ]
    np.testing.assert_allclose(dense(weights, TINY), shapely.area(shapely.intersection(cells, shape)) / 1e4, atol=1e-9)
    assert weights.totals[0] == pytest.approx(shape.area / 1e4)


def ten_polygons(shapely: Any) -> list[Any]:
    """Return holes, slivers, islands, partly outside, on cell borders: in metres of the 500 m grid."""
    rng = np.random.default_rng(5)
    left, bottom, right, top = MAIN.bounds
    x0, y0 = (left + right) / 2, (bottom + top) / 2

    def blob(x: float, y: float, radius: float, corners: int) -> Any:
        turn = np.sort(rng.uniform(0, 2 * np.pi, corners))
        reach = radius * rng.uniform(0.6, 1, corners)
        return shapely.make_valid(
            shapely.Polygon(np.column_stack([x + reach * np.cos(turn), y + reach * np.sin(turn)]))
        )

    lake = blob(x0, y0, 30_000, 200)
    return [
        lake,
        shapely.difference(lake, blob(x0, y0, 9_000, 60)),
        shapely.union_all([blob(x0 + 50_000 * i, y0 - 90_000, 12_000, 40) for i in range(4)]),
        shapely.box(x0 + 120.0, y0 + 70.0, x0 + 190.0, y0 + 100.0),  # within one cell
        shapely.box(x0 - 80_000, y0 + 60_000, x0 - 20_000, y0 + 60_020),  # 20 m wide, 60 km long
        shapely.Polygon([(x0, y0), (x0 + 90_000, y0 + 70_000), (x0 + 90_000, y0 + 70_150)]),
        shapely.box(left - 40_000, y0, left + 30_000, y0 + 50_000),
        blob(right - 10_000, top - 5_000, 40_000, 80),
        shapely.box(left + 400 * 500, bottom + 600 * 500, left + 440 * 500, bottom + 620 * 500),  # whole cells
        blob(x0 - 100_000, y0 + 150_000, 60_000, 3_000),
    ]


def rings_of(shapely: Any, shape: Any) -> list[Any]:
    parts = shapely.get_parts(shapely.orient_polygons(shape))
    return [shapely.get_coordinates(part) for polygon in parts for part in (polygon.exterior, *polygon.interiors)]


def rain_field(grid: Grid) -> Any:
    """Return stored dBZ with dry and not observed parts, shape (rows, columns)."""
    rng = np.random.default_rng(9)
    stored = rng.integers(500, 5000, (grid.height, grid.width)).astype(np.int16)
    stored[rng.random(stored.shape) < 0.3] = -25000
    stored[:, : grid.width // 2 - 20][rng.random((grid.height, grid.width // 2 - 20)) < 0.2] = -30000
    return stored


def test_basin_means_are_those_of_exactextract() -> None:
    extract = pytest.importorskip("exactextract")
    shapely = pytest.importorskip("shapely")
    from exactextract.feature import JSONFeatureSource  # noqa: PLC0415
    from exactextract.raster import NumPyRasterSource  # noqa: PLC0415

    shapes = ten_polygons(shapely)
    stored = rain_field(MAIN)
    weights = polygon_weights([rings_of(shapely, s) for s in shapes], [s.area for s in shapes], MAIN)
    table = rate_table(QUANTITIES[1], KMA_LAW)
    ours = Sampler(weights, MAIN.width).sample(stored, QUANTITIES[1], table, 0.1)

    left, bottom, right, top = MAIN.bounds
    rates = table[stored.view(np.uint16)]
    features = [{"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(s))} for s in shapes]
    record = extract.exact_extract(
        NumPyRasterSource(rates, left, bottom, right, top, nodata=np.nan),
        JSONFeatureSource(features),
        ["mean", "max", "count"],
    )
    theirs = np.array([[t["properties"][name] for name in ("mean", "max", "count")] for t in record])
    np.testing.assert_allclose(ours[:, MEAN], theirs[:, 0], rtol=1e-5)
    np.testing.assert_array_equal(ours[:, MAX], theirs[:, 1])
    areas = np.array([shape.area for shape in shapes]) / 500**2
    np.testing.assert_allclose(weights.totals, areas, rtol=1e-9)
    np.testing.assert_allclose(ours[:, COVERAGE], theirs[:, 2] / areas, rtol=1e-5)
    assert (ours[:, COVERAGE] < 0.9).sum() >= 2  # some are partly outside, some hardly observed


def test_a_row_of_numbers_by_hand() -> None:
    # Half of cell (0, 0) and all of (0, 1) to (0, 3): rates 4, none observed, 0, 2 mm/h.
    strip = ring((1050, 1900), (1400, 1900), (1400, 2000), (1050, 2000))
    sampler = Sampler(polygon_weights([[strip]], [1.0], TINY), TINY.width)
    dbz = QUANTITIES[1]
    table = np.zeros(1 << 16)
    table[[1, 4]] = [4, 2]
    dry, none = dbz.undetect, dbz.nodata
    stored = np.array([[1, none, dry, 4], [1, 1, 1, 1], [1, 1, 1, 1]], np.int16)
    (row,) = sampler.sample(stored, dbz, table, 2.5)
    # mean (0.5 * 4 + 1 * 0 + 1 * 2) / (0.5 + 1 + 1) = 1.6; wet from 2.5 mm/h 0.5 of 2.5; observed 2.5 of 3.5
    np.testing.assert_allclose(row[[MEAN, MAX, WET, COVERAGE]], [1.6, 4, 0.2, 2.5 / 3.5])
    (row,) = sampler.sample(np.full((3, 4), none, np.int16), dbz, table, 0.1)
    assert np.isnan(row[[MEAN, MAX, WET]]).all()
    assert row[COVERAGE] == 0
    (row,) = sampler.sample(np.full((3, 4), dry, np.int16), dbz, table, 0.1)
    assert row.tolist() == [0, 0, 0, 1]


def test_weights_survive_a_file(tmp_path: Path) -> None:
    weights = polygon_weights([[ring((1050, 1790), (1225, 1790), (1225, 1920))]], [123.0], TINY)
    weights.save(tmp_path / "weights.npz")
    again = load_weights(tmp_path / "weights.npz")
    for name in ("cells", "shares", "starts", "totals", "areas_m2"):
        np.testing.assert_array_equal(getattr(again, name), getattr(weights, name))


def test_nearest_cells_of_a_point() -> None:
    one = dense(point_weights(np.array([1130.0]), np.array([1840.0]), TINY), TINY)
    assert np.argwhere(one).tolist() == [[1, 1]]
    nine = dense(point_weights(np.array([1150.0]), np.array([1850.0]), TINY, count=9), TINY)
    np.testing.assert_allclose(nine[:, :3], 1 / 9)
    assert nine[:, 3].tolist() == [0, 0, 0]
    # Between four cells all are as near: the northern, then the western one.
    tie = dense(point_weights(np.array([1200.0]), np.array([1900.0]), TINY, count=3), TINY)
    assert np.argwhere(tie).tolist() == [[0, 1], [0, 2], [1, 1]]
    # 30 m east and 30 m south of the corner of (1, 2), the centres of (0, 2) and (1, 1) are sqrt(20^2 + 80^2) m away
    # both, and a trillionth of a metre apart in floats, which must not choose the western one.
    near = dense(point_weights(np.array([1230.0]), np.array([1870.0]), TINY, count=2), TINY)
    assert np.argwhere(near).tolist() == [[0, 2], [1, 2]]


def test_a_point_between_four_cells() -> None:
    # 30 m east and 20 m south of the centre of (0, 1): shares 0.7 x 0.8, 0.3 x 0.8, 0.7 x 0.2, 0.3 x 0.2.
    four = dense(point_weights(np.array([1180.0]), np.array([1930.0]), TINY, "bilinear"), TINY)
    np.testing.assert_allclose(four[:2, 1:3], [[0.56, 0.24], [0.14, 0.06]], atol=1e-12)
    # In the corner of the grid three of the four lie outside: a quarter is observed at most.
    corner = point_weights(np.array([1000.0]), np.array([2000.0]), TINY, "bilinear")
    np.testing.assert_allclose(corner.within, 0.25)


def test_points_on_the_edge_and_outside() -> None:
    weights = point_weights(np.array([1400.0, 1400.1]), np.array([1700.0, 1800.0]), TINY)
    assert weights.within.tolist() == [1, 0]
    assert weights.cells.tolist() == [11]


def test_points_find_the_cells_of_the_check_points() -> None:
    for grid in grids().values():
        checks = [check for check in grid.check_points if 0 <= check.row < grid.height]
        points = Points(tuple(str(n) for n in range(len(checks))), tuple((c.lon, c.lat) for c in checks))
        cells = [(grid.height - 1 - check.row) * grid.width + check.col for check in checks]
        assert points.weights(grid).cells.tolist() == cells


# Many times at once, and parts of a grid.


def tiled(weights: Weights, times: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    stored = rng.choice(
        np.array([-30000, -25000, -25000, 1500, 3000, 4123], np.int16), (times, TINY.height, TINY.width)
    )
    stored[0] = -25000
    return stored, stored.reshape(times, -1)[:, weights.cells]


def three_places() -> Weights:
    boxes = [
        ring((1050, 1790), (1225, 1790), (1225, 1920), (1050, 1920)),
        ring((2000, 1900), (2100, 1900), (2100, 2000)),
    ]
    large = ring((950, 1650), (1333, 1700), (1390, 1980))
    return polygon_weights([[boxes[0]], [boxes[1]], [large]], [1.0, 1.0, 1.0], TINY)  # the second has no cell


@given(st.integers(1, 7), st.integers(0, 99), st.sampled_from([1, 25, 1 << 19]))
def test_many_times_at_once_are_as_each_by_itself(times: int, seed: int, at_once: int) -> None:
    weights = three_places()
    stored, cells = tiled(weights, times, seed)
    table = rate_table(QUANTITIES[1], KMA_LAW)
    sampler = Sampler(weights, TINY.width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsrgeo.places.sampling._CELLS_AT_ONCE", at_once)
        together = sampler.sample_cells(cells, QUANTITIES[1], table, 0.1)
    alone = [sampler.sample(one, QUANTITIES[1], table, 0.1) for one in stored]
    assert together.shape == (times, 3, 4)
    assert np.array_equal(together, np.stack(alone), equal_nan=True)  # to the last digit
    assert (together[:, 1, COVERAGE] == 0).all()


def test_a_cut_keeps_shares_and_totals() -> None:
    weights = three_places()
    window = Window(1, 1, 2, 2)
    cut = weights.cut(TINY.width, window)
    part = Grid("part", TINY.wkt2, Affine(100.0, 0, 1100.0, 0, -100.0, 1900.0), 2, 2)
    for place in range(3):
        assert np.array_equal(dense(cut, part, place), dense(weights, TINY, place)[1:3, 1:3])
    assert np.array_equal(cut.totals, weights.totals)
    two = weights.part(slice(1, 3))
    assert np.array_equal(dense(two, TINY, 1), dense(weights, TINY, 2))
    assert (len(two), two.starts[0], two.starts[-1]) == (2, 0, len(two.cells))


@given(
    st.lists(st.tuples(st.integers(0, 19), st.integers(0, 30)), min_size=1, max_size=40),
    st.tuples(st.integers(1, 8), st.integers(1, 40)),
)
def test_only_chunks_with_cells_are_read(places: list[tuple[int, int]], chunk: tuple[int, int]) -> None:
    rows, cols = np.array(places).T
    values = np.arange(3 * 20 * 31, dtype=np.int16).reshape(3, 20, 31)
    pieces = pieces_of(rows * 31 + cols, 31, chunk)
    touched = {(row // chunk[0], col // chunk[1]) for row, col in places}
    read: list[tuple[int, int]] = []
    for piece in pieces:
        chunks_down = range(piece.rows.start // chunk[0], (piece.rows.stop - 1) // chunk[0] + 1)
        chunks_across = range(piece.cols.start // chunk[1], (piece.cols.stop - 1) // chunk[1] + 1)
        read += [(down, across) for down in chunks_down for across in chunks_across]
    assert sorted(read) == sorted(touched)  # each once
    found = gather(pieces, lambda piece: values[:, piece.rows, piece.cols], 3)
    assert np.array_equal(found, values[:, rows, cols])
