"""Statistics: each number of a row worked by hand, and the same from frames, an export and a cube."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine.stats.stats_run import stats
from hsrgeo.errors import OptionsError
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.quantity import QUANTITIES
from hsrgeo.places.places import Polygons
from hsrgeo.products.histogram import Histogram, count_values
from tests.conftest import NX, NY, TIME, MakeFile, frame_name

GRID = grids()["kma-hb-1km"]
WINDOW = (500, 700, 10, 10)
DBZ = QUANTITIES[1]


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {
                name: text if name in ("time_utc", "time_kst", "name", "unit") else float(text or "nan")
                for name, text in row.items()
            }
            for row in csv.DictReader(file)
        ]


@pytest.fixture
def folder(tmp_path: Path, make_file: MakeFile) -> Path:
    """Give two frames: in the window 20 cells of nodata, 4 blends, 66 undetect and 10 of 10, 11, ... 19 dBZ."""
    part = np.full((10, 10), -25000, np.int16)
    part[:2] = -30000
    part[2, :4] = -20625  # a blend between undetect and echo counts as undetect
    part[9] = np.arange(1000, 2000, 100)
    pixels = np.full((NY, NX), -25000, np.int16)
    pixels[700:710, 500:510] = part
    (source := tmp_path / "in").mkdir()
    (source / frame_name(TIME)).write_bytes(make_file(pixels))
    later = TIME + timedelta(minutes=5)
    (source / frame_name(later)).write_bytes(make_file(np.full((NY, NX), -30000, np.int16), time=later))
    return source


@given(st.integers(0, 2**32 - 1), st.integers(1, 600), st.integers(1, 300))
def test_counts_are_those_of_numpy(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    values = random.choice(
        np.array([-30000, -25000, -20000, -29687, 0, 5809, -32768, 32767], np.int16), (height, width)
    )
    values[: height // 2] = -30000
    expected = np.bincount(values.view(np.uint16).ravel(), minlength=1 << 16)
    if seed % 2:
        values = np.ascontiguousarray(values[::-1])[::-1]  # as a frame lies in its file
    counted = count_values(values, DBZ)
    assert np.array_equal(counted.counts, expected)
    part = values[1:-1, 2:-3]
    assert np.array_equal(
        count_values(part, DBZ).counts, np.bincount(part.copy().view(np.uint16).ravel(), minlength=1 << 16)
    )
    assert counted.highest == (int(values.argmax()) if values.max() >= -10000 else None)
    found = Histogram.of(expected, DBZ)
    echo = values[values >= -10000] / 100
    shares = [0, 0.1, 0.5, 0.9, 1]
    quantiles = found.quantiles(found.stored / 100, shares)
    if echo.size:
        assert np.array_equal(quantiles, np.quantile(echo, shares, method="inverted_cdf"))
    else:
        assert np.isnan(quantiles).all()


def test_a_row_worked_by_hand(folder: Path, tmp_path: Path) -> None:
    run = stats(folder, tmp_path / "s.csv", window=WINDOW, thresholds=(15, 19), histogram=(10, 20, 5)).run()
    assert (run.rows, run.counts["ok"]) == (2, 2)
    first, second = rows_of(tmp_path / "s.csv")
    assert (first["time_kst"], first["unit"]) == ("2022-06-09T11:15:00+09:00", "dBZ")
    assert (first["stations"], first["cells"]) == (3, 100)
    assert first["delay_minutes"] == pytest.approx(6.7)  # made 6 minutes 42 seconds later
    assert (first["nodata"], first["undetect"], first["echo"], first["blend"]) == (0.20, 0.70, 0.10, 0.04)
    assert (first["from_15"], first["from_19"]) == (0.0625, 0.0125)  # 5 and 1 of the 80 observed cells
    assert (first["p50"], first["p90"], first["p99"]) == (14, 18, 19)  # the 5th, 9th and 10th of ten
    lon, lat = GRID.lonlat(709, 509)
    assert first["maximum"] == 19
    assert (first["max_lon"], first["max_lat"]) == (pytest.approx(lon, abs=1e-6), pytest.approx(lat, abs=1e-6))
    assert [first[f"cells_{one}"] for one in ("below_10", "10_to_15", "15_to_20", "from_20")] == [0, 5, 5, 0]
    assert (second["nodata"], second["echo"]) == (1, 0)
    assert np.isnan([second[name] for name in ("from_15", "p50", "maximum", "max_lon")]).all()


@pytest.mark.parametrize(
    ("code", "unit", "thresholds"),
    [(1, "dBZ", ["10", "20", "30", "40", "50"]), (5, "mm/h", ["0.1", "1", "5", "30"]), (2, "m", [])],
)
def test_thresholds_are_of_the_unit(
    tmp_path: Path, make_file: MakeFile, code: int, unit: str, thresholds: list[str]
) -> None:
    path = tmp_path / frame_name(TIME, product="HSP" if code == 5 else "HSR")
    path.write_bytes(make_file(np.full((NY, NX), 500, np.int16), data_codes=(code,)))
    stats(path, tmp_path / "s.csv", window=WINDOW).run()
    row = rows_of(tmp_path / "s.csv")[0]
    assert row["unit"] == unit
    assert [name for name in row if name.startswith("from_")] == [f"from_{one}" for one in thresholds]


@pytest.mark.parametrize(("codes", "unit"), [((1, 5), "dBZ"), ((5, 1), "mm/h")])
def test_a_table_has_one_quantity_whatever_the_files_are_called(
    tmp_path: Path, make_file: MakeFile, codes: tuple[int, int], unit: str
) -> None:
    # Both files are called HSR. 35 dBZ are (10^3.5 / 200)^(1/1.6) = 5.615 mm/h, and 3500 as rain is 35 mm/h.
    (source := tmp_path / "in").mkdir()
    for nth, code in enumerate(codes):
        time = TIME + nth * timedelta(minutes=5)
        data = make_file(np.full((NY, NX), 3500, np.int16), data_codes=(code,), time=time)
        (source / frame_name(time)).write_bytes(data)
    outcomes = list(stats(source, tmp_path / "s.csv", window=WINDOW))
    assert [outcome.status for outcome in outcomes] == ["ok", "failed"]
    names = [QUANTITIES[code].name for code in codes]
    assert f"another quantity: expected {names[0]}, as the first frame, found {names[1]}" in str(outcomes[1].error)
    (row,) = rows_of(tmp_path / "s.csv")
    assert (row["maximum"], row["unit"]) == (35, unit)
    stats(source, tmp_path / "r.csv", window=WINDOW, quantity="rain").run()  # of both: rain is what both can give
    assert sorted(row["maximum"] for row in rows_of(tmp_path / "r.csv")) == pytest.approx([5.615, 35], abs=5e-4)


def test_rain_is_dry_where_there_is_no_echo(folder: Path, tmp_path: Path) -> None:
    stats(folder, tmp_path / "s.csv", window=WINDOW, quantity="rain", thresholds=(0, 0.2)).run()
    row = rows_of(tmp_path / "s.csv")[0]
    assert row["unit"] == "mm/h"
    assert row["from_0"] == 1
    assert row["from_0.2"] == pytest.approx(8 / 80)  # (10^(dBZ/10) / 200)^(1/1.6) is 0.2 at 11.8 dBZ
    assert row["maximum"] == pytest.approx((10**1.9 / 200) ** (1 / 1.6))


def test_an_export_a_cube_and_a_polygon_give_the_same(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    pytest.importorskip("pyogrio")
    hsrgeo.export(folder, tmp_path / "out", window=WINDOW, formats="cog", values="raw", jobs=1).run()
    hsrgeo.make_cube(folder, tmp_path / "cube.zarr", window=WINDOW, jobs=1).run()
    corners = [(500, 700), (510, 700), (510, 710), (500, 710), (500, 700)]
    ring = [list(map(float, GRID.lonlat(row - 0.5, col - 0.5))) for col, row in corners]
    shape = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {"name": "square"}, "geometry": shape}
    (tmp_path / "square.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    stats(folder, tmp_path / "frames.csv", window=WINDOW).run()
    stats(tmp_path / "out", tmp_path / "export.csv").run()
    stats(tmp_path / "cube.zarr", tmp_path / "cube.csv").run()
    stats(folder, tmp_path / "polygon.csv", polygons=tmp_path / "square.geojson").run()
    expected = rows_of(tmp_path / "frames.csv")[0]
    for name, lacking in (
        ("export", {"stations", "delay_minutes"}),
        ("cube", {"stations", "delay_minutes", "blend"}),  # values of a cube are clean
        ("polygon", {"name"}),
    ):
        row = rows_of(tmp_path / f"{name}.csv")[0]
        assert {one: row[one] for one in row.keys() - lacking} == {one: expected[one] for one in row.keys() - lacking}


def test_a_polygon_that_a_crop_has_in_part_is_reported(folder: Path, tmp_path: Path) -> None:
    hsrgeo.export(folder, tmp_path / "out", window=WINDOW, formats="cog", jobs=1).run()
    corners = [(495, 702), (505, 702), (505, 706), (495, 706), (495, 702)]  # its western half is not there
    ring = np.column_stack(GRID.lonlat(*(np.array(corners, float)[:, ::-1] - 0.5).T))
    half = Polygons(("half",), ((ring,),))
    run = stats(tmp_path / "out", tmp_path / "s.csv", polygons=half).run()
    assert rows_of(tmp_path / "s.csv")[0]["cells"] == 20
    assert run.notes == ["polygons partly outside the frames, of which the rest is not counted: 'half'"]
    assert stats(folder, tmp_path / "s.csv", polygons=half).run().notes == []


def test_a_broken_frame_has_no_row(folder: Path, tmp_path: Path, make_file: MakeFile) -> None:
    (folder / frame_name(TIME + timedelta(minutes=10))).write_bytes(make_file()[:-500])
    out = tmp_path / "s.csv"
    result = CliRunner().invoke(app, ["stats", str(folder), "--out", str(out), "--window", "500,700,10,10", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["rows"] == 2
    assert "1 failed" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantiles": [1.5]}, "quantile 1.5: expected a share"),
        ({"histogram": (0, 10, 3)}, "a width that divides"),
        ({"name_field": "x"}, "go with polygons"),
        ({"thresholds": [float("nan")]}, "expected numbers"),
    ],
)
def test_options_that_cannot_be(folder: Path, tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        stats(folder, tmp_path / "s.csv", **options)
