"""Where cells lie, measured against radars: planted offsets come back, and what cannot be found is said."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hsrgeo.cli import app
from hsrgeo.engine.sites import site_offset
from hsrgeo.errors import OptionsError
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import MAIN_GRID, grids
from hsrgeo.model.projections import projections_dir
from hsrgeo.model.window import Window
from hsrgeo.places.places import read_points
from hsrgeo.products.offsets import judge
from hsrgeo.products.site_views import Site
from hsrgeo.products.sites import Method, SiteFit, fit_edges, fit_heights, fit_rims
from tests.conftest import NX, NY, TIME, frame_name, gzip_bytes, make_header, time_fields
from tests.planted import RANGE_M, Planted, planted

TENTH = 0.1  # cells: what is asked of the fit

# KMA composite format, section 7, "Sites": lon, lat
SITES = {
    "KSN": (126.78417, 36.01270),
    "JNI": (126.32381, 34.47239),
    "MYN": (128.99731, 36.17940),
    "PSN": (128.99996, 35.11881),
    "GSN": (126.16302, 33.29426),
    "SSP": (126.87999, 33.38710),
}
REAL = "RDR_CMP_HSP_EXT_202208081730.bin.gz"


def _south() -> Grid:
    """Return a part of the 1 km grid that cuts the rims of all radars but Gosan's and Seongsan's."""
    return grids()["kma-hb-1km"].crop(Window(200, 640, 800, 800))


@cache
def _composite(east: float, north: float) -> Planted:
    return planted(_south(), SITES, (east, north))


@cache
def _fits(east: float, north: float) -> tuple[SiteFit, ...]:
    return tuple(_fitted(_composite(east, north), SITES))


def _fitted(made: Planted, table: Mapping[str, tuple[float, float]]) -> list[SiteFit]:
    grid, sites = _south(), [Site(code, *lonlat) for code, lonlat in table.items()]
    return [
        *fit_rims(made.observed, grid, sites),
        *fit_heights(made.heights, made.stations, grid, sites),
        *fit_edges(made.heights, made.stations, grid, sites),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offset", "registration"), [((0, 0), "point"), ((0.5, 0.5), "corner"), ((1, 1), "one cell north-east")]
)
def test_a_planted_offset_comes_back_within_a_tenth_of_a_cell(offset: tuple[float, float], registration: str) -> None:
    judged = judge(_fits(*offset), 1000)
    assert set(judged.methods) == {"rims", "heights", "edges"}
    assert judged.joint is not None
    assert judged.registration == registration, judged.reason
    for found in (*judged.methods.values(), judged.joint):
        for value, error, planted_ in (
            (found.east, found.east_error, offset[0]),
            (found.north, found.north_error, offset[1]),
        ):
            assert abs(value - planted_) < TENTH
            assert abs(value - planted_) < 3 * error + 0.01


def test_the_range_of_a_radar_is_found() -> None:
    ranges = {fit.code: fit.range_m for fit in _fits(0, 0) if fit.method == "rims"}
    for code in ("GSN", "SSP"):  # enough of their rims is left to tell range from offset
        assert ranges[code] == pytest.approx(RANGE_M, abs=500)  # half a cell


def test_a_radar_that_stands_elsewhere_widens_the_errors() -> None:
    lon, lat = SITES["PSN"]
    moved = _fitted(_composite(0.5, 0.5), SITES | {"PSN": (lon + 0.01, lat)})  # 911 m, nine tenths of a cell
    exact, widened = judge(_fits(0.5, 0.5), 1000).joint, judge(moved, 1000).joint
    assert exact is not None
    assert widened is not None
    assert widened.east_error > 3 * exact.east_error
    assert abs(widened.east - 0.5) < 2 * widened.east_error
    assert (
        widened.north_error == exact.north_error == pytest.approx(0.1 / 6**0.5)
    )  # to the north it stands in its place


def test_two_radars_are_too_few() -> None:
    judged = judge([fit for fit in _fits(0, 0) if fit.code in ("GSN", "PSN")], 1000)
    assert judged.registration is None
    assert judged.joint is None
    assert judged.reason == "only GSN and PSN could be fitted, and it takes 3 radars"


def _fit(code: str, east: float, north: float, method: Method = "heights") -> SiteFit:
    return SiteFit(method, code, np.eye(2) * 1e4, np.array([east, north]), 1000, 1.0)


def test_errors_are_those_of_leaving_one_radar_out() -> None:
    """Of equal weights: the standard error of a mean, sd / sqrt(n): 0.2 / sqrt(3) of 0.3, 0.5 and 0.7.

    To the north they agree, but 100 m of each radar's place leave 0.1 cells of 1 km / sqrt(3).
    """
    judged = judge([_fit("A", 0.3, 0.5), _fit("B", 0.5, 0.5), _fit("C", 0.7, 0.5)], 1000)
    assert judged.joint is not None
    assert (judged.joint.east, judged.joint.north) == pytest.approx((0.5, 0.5))
    assert (judged.joint.east_error, judged.joint.north_error) == pytest.approx((0.2 / 3**0.5, 0.1 / 3**0.5))
    assert judged.registration == "corner"


def test_what_is_near_no_registration_and_methods_that_differ_are_reported() -> None:
    near_none = judge([_fit(code, 0.3, -0.2) for code in "ABC"], 500)
    assert near_none.registration is None
    assert near_none.reason == "the offset is +0.30 east, -0.20 north, which is near no registration"
    differ = judge([_fit(code, 0.5, 0.5) for code in "ABC"] + [_fit(code, 0.1, 0.2, "edges") for code in "ABC"], 500)
    assert differ.registration is None
    unsure = judge([_fit("A", 0, 0), _fit("B", 0.5, 0), _fit("C", 1, 0)], 500)  # sd 0.5, and 0.5 / sqrt(3) = 0.29
    assert unsure.reason.startswith("the offset is uncertain by 0.29 cells")


def test_nothing_observed_tells_nothing() -> None:
    grid = _south()
    nothing = np.zeros((grid.height, grid.width), bool)
    fits = list(fit_rims(nothing, grid, [Site(code, *lonlat) for code, lonlat in SITES.items()]))
    assert judge(fits, 1000).reason == "nothing in it shows where the radars of the table are"


def test_circles_drawn_on_the_map_are_not_taken_for_radars() -> None:
    """`hsrgeo simulate` draws such: as the scale changes, on the ground each is a circle with another middle."""
    frame = Path(__file__).parents[2] / "examples/frames/RDR_CMP_HSR_PUB_202206090615.bin.gz"
    judged = site_offset(frame, jobs=1).judgement
    assert judged.registration is None
    assert "circles on the map, not on the ground" in judged.reason


def _file(folder: Path, offset: tuple[float, float], blocks: int, minute: int = 0) -> Path:
    """Write a composite of the 1 km grid: coverage, dry, and as many blocks as are asked for."""
    made = _composite(*offset)
    whole = np.full((blocks, NY, NX), -30000, "<i2")
    parts = (np.where(made.observed, np.int16(-25000), np.int16(-30000)), made.heights, made.stations)
    for block, part in zip(whole, parts, strict=False):
        block[640:1440, 200:1000] = part
    time = TIME + timedelta(minutes=minute)
    stations = [(code.encode(), time_fields(time), time_fields(time)) for code in SITES]
    head = make_header(time=time, stations=stations, data_codes=(1, 2, 3))
    path = folder / frame_name(time)
    path.write_bytes(gzip_bytes(head + whole[:, ::-1].tobytes()))
    return path


def _run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["sites", *map(str, words), "--jobs", "1"])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_tells_offset_errors_and_registration(tmp_path: Path) -> None:
    status, text, _notes = _run("--json", _file(tmp_path, (0.5, 0.5), 3))
    assert status == 0
    found = json.loads(text)
    assert found["registration"] == "corner"
    assert found["joint"]["east_m"] == pytest.approx(500, abs=100)
    assert found["joint"]["east_m"] == pytest.approx(1000 * found["joint"]["east"], abs=1)
    assert {radar["method"] for radar in found["radars"]} == {"rims", "heights", "edges"}
    assert {radar["code"] for radar in found["radars"]} == set(SITES)


def test_the_command_tells_people_in_lines(tmp_path: Path) -> None:
    status, text, _notes = _run(_file(tmp_path, (0.5, 0.5), 1))
    assert status == 0
    lines = text.splitlines()
    assert lines[0] == "1 frame on kma-hb-1km, cells of 1000 m"
    assert [line.split()[0] for line in lines[1:]] == ["rims", "jointly", "unknown:"]
    assert re.match(r"  jointly   \+0\.\d\d \+- 0\.\d\d cells \(\+\d+ \+- \d+ m\) east, ", lines[2])
    assert lines[3].startswith("  unknown: the offset is uncertain by 0.")


def test_frames_are_taken_together_and_broken_ones_reported(tmp_path: Path) -> None:
    _file(tmp_path, (0, 0), 1)
    _file(tmp_path, (0, 0), 1, minute=5)
    (tmp_path / frame_name(TIME + timedelta(minutes=10))).write_bytes(b"no gzip")
    report = site_offset(tmp_path, jobs=1)
    alone = site_offset(tmp_path / frame_name(TIME), jobs=1)
    assert (report.frames, alone.frames, len(report.failed)) == (2, 1, 1)
    assert report.judgement.methods == alone.judgement.methods  # the same geometry twice is no surer
    status, text, errors = _run(tmp_path)
    assert status == 1
    assert text.startswith("2 frames")
    assert errors.startswith("failed: ")


def test_another_table_and_radars_that_are_not_in_it(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("name,lon,lat\nGSN,126.16302,33.29426\nPSN,128.99996,35.11881\n")
    status, text, notes = _run(_file(tmp_path, (0, 0), 1), "--sites", table)
    assert status == 0
    assert "unknown: only GSN and PSN could be fitted" in text
    assert "not in the table of sites: JNI, KSN, MYN, SSP" in notes
    table.write_text("name,lon\n")
    assert _run(tmp_path, "--sites", table)[0] == 2
    with pytest.raises(OptionsError, match="missing lat"):
        site_offset(tmp_path, sites=table)


def test_no_frame_is_no_answer(tmp_path: Path) -> None:
    status, text, errors = _run(tmp_path)
    assert (status, text) == (1, "")
    assert "no frame found" in errors


def test_the_table_is_that_of_the_facts() -> None:
    points = read_points(projections_dir() / "sites.csv")
    table = dict(zip(points.names, points.lonlat, strict=True))
    assert {code: table[code] for code in SITES} == SITES
    assert set(table) - set(SITES) == {"BRI", "GDK", "GNG", "KWK"}
    grid = grids()[MAIN_GRID]
    for lon, lat in table.values():
        row, col = grid.index(*map(float, grid.project(lon, lat)))
        assert 0 <= row < grid.height
        assert 0 <= col < grid.width


@pytest.mark.slow
def test_the_real_file_lies_half_a_cell_north_east(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are those of KMA composite format, section 7."""
    judged = site_offset(samples / REAL, jobs=1).judgement
    assert judged.registration == "corner"
    assert judged.joint is not None
    assert (judged.joint.east, judged.joint.north) == pytest.approx((0.6, 0.55), abs=TENTH)
    heights, edges = judged.methods["heights"], judged.methods["edges"]
    assert (heights.east, heights.north) == pytest.approx((0.60, 0.56), abs=0.05)
    assert (edges.east, edges.north) == pytest.approx((0.55, 0.52), abs=0.05)
    monkeypatch.setattr("hsrgeo.products.offsets.SITES_M", 0.1)  # as if the table were exact, which the facts take
    rims = judge([fit for fit in judged.radars if fit.method == "rims"], 500).methods["rims"]
    assert (rims.east, rims.north) == pytest.approx((0.58, 0.59), abs=0.05)
    assert len(judged.methods["heights"].radars) == 9
    assert len(judged.methods["rims"].radars) == 7


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("RDR_CMP_HSR_PUB_202208081730.bin.gz", "the offset is uncertain by 0."),
        ("RDR_CMP_HSR_PUB_202608230610.bin.gz", "circles on the map, not on the ground"),
    ],
)
def test_rebuilt_samples_tell_why_they_cannot_tell(samples: Path, name: str, reason: str) -> None:
    judged = site_offset(samples / name, jobs=1).judgement
    assert judged.registration is None
    assert reason in judged.reason
