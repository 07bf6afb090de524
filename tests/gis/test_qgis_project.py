"""`hsrgeo qgis`: the project as QGIS itself reads, plays and draws it."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pyproj
import pytest
import rasterio
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from hsrgeo.cli.qgis import qgis as qgis_command
from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.qgis import make_project, write_project
from hsrgeo.engine.regions import Region
from hsrgeo.engine.simulate import write_simulation
from hsrgeo.errors import ManifestError, MissingExtraError, OptionsError, OutputExistsError
from hsrgeo.gis.project import Beside, Series, is_own, project_bytes, project_xml, smallest_gap
from hsrgeo.gis.styles import raster_pipe
from hsrgeo.model.quantity import QUANTITIES, RAIN
from hsrgeo.model.times import KST
from hsrgeo.model.window import BBox
from hsrgeo.outputs.names import PROJECT
from hsrgeo.products.classes import DRY, NODATA, colours
from hsrgeo.products.palettes import grey_palette
from hsrgeo.products.rain import Law
from hsrgeo.reading import open_frame
from tests.conftest import NX, NY, MakeFile, frame_name, time_fields
from tests.qgis import needs_qgis, qgis

FIRST = datetime(2026, 8, 23, 23, 30, tzinfo=KST)
"""So that twelve frames lie on two days in KST, and on one in UTC."""
FRAMES = 12
STEP = timedelta(minutes=5)
REGIONS = (Region("서울 & 'x'", BBox(126.4, 37.2, 127.6, 38.0)), Region("제주", BBox(126.0, 33.1, 127.0, 33.7)))


@dataclass(frozen=True)
class Exported:
    """An export with a project, in a folder whose name is as bad as folders may be called."""

    sources: tuple[Path, ...]
    out: Path
    project: Path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    base = tmp_path_factory.mktemp("qgis")
    sources = tuple(write_simulation(base / "src", start=FIRST, frames=FRAMES, rain="heavy"))
    out = base / 'R&D <레이더> #1 "100%" %20'
    list(export(base / "src", out, ExportOptions(regions=REGIONS, formats="cog", jobs=1)))
    return Exported(sources, out, write_project(out))


def command(*args: object) -> Result:
    app = typer.Typer()
    app.command()(qgis_command)
    return CliRunner().invoke(app, [str(arg) for arg in args])


def xml(project: Path) -> ET.Element:
    with zipfile.ZipFile(project) as archive:
        assert archive.namelist() == ["hsrgeo.qgs"]
        return ET.fromstring(archive.read("hsrgeo.qgs"))  # noqa: S314 - our own


READ = """
p = QgsProject.instance()
assert p.read(args[0])
def tree(group):
    return [[c.name(), c.isExpanded(), tree(c)] if isinstance(c, QgsLayerTreeGroup) else c.name()
            for c in group.children()]
def iso(time):
    return time.toUTC().toString(Qt.ISODate)
layers = {}
for node in p.layerTreeRoot().findLayers():
    l = node.layer()
    if l.type() == QgsMapLayerType.VectorLayer:
        coast = [l.isValid(), l.crs().authid(), l.featureCount() > 10, l.source().split("|")[0],
                 l.temporalProperties().isActive()]
        continue
    t = l.temporalProperties()
    # what QGIS works out by itself from the file alone
    own = QgsRasterLayer(l.source(), "x")
    wgs84 = QgsCoordinateReferenceSystem("EPSG:4326")
    here, there = (QgsCoordinateTransform(crs, wgs84, p) for crs in (l.crs(), own.crs()))
    corner = QgsPointXY(l.extent().xMinimum(), l.extent().yMaximum())
    a, b = here.transform(corner), there.transform(corner)
    e, o = l.extent(), own.extent()
    layers[l.source()] = dict(
        name=l.name(), valid=l.isValid(), crs=l.crs() == p.crs(), apart=max(abs(a.x() - b.x()), abs(a.y() - b.y())),
        extent=[e.xMinimum(), e.yMinimum(), e.xMaximum(), e.yMaximum()],
        own=[o.xMinimum(), o.yMinimum(), o.xMaximum(), o.yMaximum()],
        active=t.isActive(), mode=t.mode(),
        begin=iso(t.fixedTemporalRange().begin()), end=iso(t.fixedTemporalRange().end()),
        renderer=l.renderer().type(), expanded=node.isExpanded(), rights=l.metadata().rights())
s = p.timeSettings()
view = p.viewSettings().defaultViewExtent()
# The text of the map as QGIS makes it, with and without the clock.
label = p.readEntry("TitleLabel", "/Label")[0]
settings = QgsMapSettings()
said = []
for begin in (None, s.temporalRange().begin()):
    if begin:
        settings.setIsTemporal(True)
        settings.setTemporalRange(QgsDateTimeRange(begin, begin.addSecs(300), True, False))
    context = QgsExpressionContext()
    context.appendScope(QgsExpressionContextUtils.mapSettingsScope(settings))
    said.append(QgsExpression.replaceExpressionText(label, context))
answer = dict(
    coast=coast, said=said, labelled=p.readBoolEntry("TitleLabel", "/Enabled")[0], abstract=p.metadata().abstract(),
    named=p.crs().userFriendlyIdentifier(), title=p.title(),
    tree=tree(p.layerTreeRoot()), layers=layers, crs=p.crs().toWkt(), authid=p.crs().authid(),
    step=[s.timeStep(), s.timeStepUnit() == QgsUnitTypes.TemporalMinutes],
    span=[iso(s.temporalRange().begin()), iso(s.temporalRange().end())],
    controller=[p.readEntry("TemporalControllerWidget", key)[0] for key in ("/StartDateTime", "/EndDateTime")],
    mode=p.readNumEntry("TemporalControllerWidget", "/NavigationMode")[0] == QgsTemporalNavigationObject.Animated,
    view=[view.xMinimum(), view.yMinimum(), view.xMaximum(), view.yMaximum()])
"""


@pytest.fixture(scope="module")
def read(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    record: dict[str, Any] = qgis(READ, tmp_path_factory.mktemp("home"), str(exported.project))
    return record


def utc(time: datetime) -> str:
    return (time - timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.slow
@needs_qgis
def test_every_frame_is_a_valid_layer_in_its_place(exported: Exported, read: dict[str, Any]) -> None:
    files = {str(path) for path in exported.out.rglob("*.tif")}
    assert read["layers"].keys() == files
    assert len(files) == FRAMES * len(REGIONS)
    grid = open_frame(exported.sources[0]).grid
    for path, layer in read["layers"].items():
        region = REGIONS[0] if REGIONS[0].name in path else REGIONS[1]
        assert layer["valid"]
        assert layer["crs"]
        assert layer["apart"] < 1e-9  # degrees, from where QGIS alone would put it
        assert layer["extent"] == pytest.approx(grid.crop(grid.window_for(region.bbox)).bounds, abs=0.5)
        assert layer["own"] == pytest.approx(layer["extent"], abs=1e-6)
        assert layer["renderer"] == "singlebandpseudocolor"
        assert "Korea Open Government Licence" in layer["rights"][0]
    assert read["named"] == "KMA HB composite (LCC, WGS 84)"
    assert pyproj.CRS(read["crs"]).coordinate_operation == grid.crs.coordinate_operation
    assert read["authid"] == ""  # LCC of KMA has no code


@needs_qgis
def test_every_layer_has_the_time_of_its_frame_in_utc(read: dict[str, Any]) -> None:
    for path, layer in read["layers"].items():
        time = datetime.strptime(Path(path).stem, "%Y%m%d%H%M").replace(tzinfo=KST)
        assert layer["name"] == f"{time:%Y-%m-%d %H:%M} KST"
        assert layer["active"]
        assert layer["mode"] == 0  # fixed range
        # QGIS takes both ends for part of the range: a second inside, or two frames would show at once
        assert (layer["begin"], layer["end"]) == (
            utc(time + timedelta(seconds=1)),
            utc(time + STEP - timedelta(seconds=1)),
        )


@needs_qgis
def test_layers_lie_in_groups_of_region_and_day_open_as_far_as_the_first(
    exported: Exported, read: dict[str, Any]
) -> None:
    names = [f"{FIRST + number * STEP:%Y-%m-%d %H:%M} KST" for number in range(FRAMES)]
    days = [[["2026-08-23", first, names[:6]], ["2026-08-24", False, names[6:]]] for first in (True, False)]
    groups = [[region.name, number == 0, days[number]] for number, region in enumerate(REGIONS)]
    assert read["tree"] == ["coast and borders", *groups]
    (legend,) = [path for path, layer in read["layers"].items() if layer["expanded"]]
    assert Path(legend).relative_to(exported.out).as_posix() == f"{REGIONS[0].name}/202608/23/202608232330.tif"


@needs_qgis
def test_the_coast_lies_above_and_the_map_tells_both_times(exported: Exported, read: dict[str, Any]) -> None:
    coast = exported.out / "hsrgeo-coast.geojson"
    assert read["coast"] == [True, "EPSG:4326", True, str(coast), False]
    assert "GSHHG, LGPL" in json.loads(coast.read_text())["credit"]
    assert read["labelled"]
    assert read["said"] == [
        "SYNTHETIC the clock is off: the uppermost layer",
        "SYNTHETIC 2026-08-23 23:30 KST (2026-08-23 14:30 UTC)",
    ]
    assert "KST, which is UTC + 9 h" in read["abstract"]


def test_without_the_coastlines_there_is_a_note(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(bounds: object) -> str:
        raise MissingExtraError(f"coastlines of {bounds}", "render")

    monkeypatch.setattr("hsrgeo.engine.qgis.geojson", missing)
    out = tmp_path / "out"
    options = ExportOptions(window=(900, 900, 64, 64), formats="cog", jobs=1)
    list(export(exported.sources[0], out, options))
    result = command(out)
    assert result.exit_code == 0
    assert "note: the project has no coast: needs coastlines of" in result.stderr
    assert [node.get("type") for node in xml(out / PROJECT).iter("maplayer")] == ["raster"]
    assert not (out / "hsrgeo-coast.geojson").exists()


@needs_qgis
def test_the_controller_is_set_to_the_span_and_step(read: dict[str, Any]) -> None:
    span = [utc(FIRST), utc(FIRST + FRAMES * STEP - timedelta(seconds=1))]
    assert read["span"] == span
    assert read["controller"] == span
    assert read["step"] == [5, True]
    assert read["mode"]
    assert read["title"] == "KMA HSR 2026-08-23 23:30 - 2026-08-24 00:25 KST"


@needs_qgis
def test_the_first_view_holds_every_layer(read: dict[str, Any]) -> None:
    left, bottom, right, top = read["view"]
    extents = np.array([layer["extent"] for layer in read["layers"].values()])
    width, height = np.ptp(extents[:, ::2]), np.ptp(extents[:, 1::2])
    assert (left < extents[:, 0]).all()
    assert (bottom < extents[:, 1]).all()
    assert (right > extents[:, 2]).all()
    assert (top > extents[:, 3]).all()
    assert right - left < 1.1 * width
    assert top - bottom < 1.1 * height


PLAY = """
from qgis.gui import *
from qgis.PyQt.QtWidgets import QApplication
p = QgsProject.instance()
widget = QgsTemporalControllerWidget()
canvas = QgsMapCanvas()
canvas.setObjectName("theMapCanvas")
canvas.resize(400, 400)
canvas.setTemporalController(widget.temporalController())
bridge = QgsLayerTreeMapCanvasBridge(p.layerTreeRoot(), canvas)
assert p.read(args[0])
for _ in range(20):
    QApplication.processEvents()
n = widget.temporalController()
first = canvas.temporalRange().begin().toUTC().toString(Qt.ISODate)
shown = []
for number in range(n.totalFrameCount()):
    n.setCurrentFrameNumber(number)
    r = canvas.temporalRange()
    shown.append([l.source() for l in canvas.layers()[1:] if l.temporalProperties().isVisibleInTemporalRange(r)])
e = canvas.extent()
answer = dict(first=first, shown=shown, mode=n.navigationMode() == QgsTemporalNavigationObject.Animated,
              step=n.frameDuration().seconds(), view=[e.xMinimum(), e.yMinimum(), e.xMaximum(), e.yMaximum()])
"""


@pytest.mark.slow
@needs_qgis
def test_the_animation_shows_one_frame_a_region_at_a_time(
    exported: Exported, read: dict[str, Any], tmp_path: Path
) -> None:
    played = qgis(PLAY, tmp_path, str(exported.project))
    assert played["mode"]
    assert played["step"] == 300
    assert played["first"] == utc(FIRST)
    assert len(played["shown"]) == FRAMES
    for number, shown in enumerate(played["shown"]):
        assert [Path(path).stem for path in shown] == [f"{FIRST + number * STEP:%Y%m%d%H%M}"] * len(REGIONS)
    left, bottom, right, top = read["view"]
    assert played["view"][0] <= left
    assert played["view"][1] <= bottom
    assert played["view"][2] >= right
    assert played["view"][3] >= top


DRAW = """
p = QgsProject.instance()
assert p.read(args[0])
bounds, size, times, folder = args[1:]
answer = []
for time in times:
    s = QgsMapSettings()
    s.setLayers([l for l in p.layerTreeRoot().layerOrder() if l.type() == QgsMapLayerType.RasterLayer])
    s.setDestinationCrs(p.crs())
    s.setExtent(QgsRectangle(*bounds))
    s.setOutputSize(QSize(*size))
    s.setBackgroundColor(QColor(0, 0, 0, 0))
    s.setIsTemporal(True)
    begin = QDateTime.fromString(time, Qt.ISODate)
    s.setTemporalRange(QgsDateTimeRange(begin, begin.addSecs(300), True, False))
    job = QgsMapRendererSequentialJob(s)
    job.start()
    job.waitForFinished()
    path = folder + "/" + time.replace(":", "") + ".png"
    assert job.renderedImage().save(path)
    answer.append(path)
"""


@pytest.mark.slow
@needs_qgis
def test_qgis_draws_every_cell_in_the_colour_of_its_class(exported: Exported, tmp_path: Path) -> None:
    whole = open_frame(exported.sources[0]).grid
    grid = whole.crop(whole.window_for(REGIONS[0].bbox))
    numbers = (0, 5, 11)
    times = [utc(FIRST + number * STEP) for number in numbers]
    drawn = qgis(DRAW, tmp_path, str(exported.project), grid.bounds, [grid.width, grid.height], times, str(tmp_path))
    pictures = []
    for number, path in zip(numbers, drawn, strict=True):
        frame = open_frame(exported.sources[number]).crop(bbox=(126.4, 37.2, 127.6, 38.0)).clean()
        expected = colours(frame.raw, frame.quantity)
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGBA"))
        expected[frame.raw == -25000], expected[frame.raw == -30000] = (*DRY, 255), (*NODATA, 255)
        assert (picture == (*DRY, 255)).all(axis=2).sum() > 100
        np.testing.assert_array_equal(picture, expected)
        pictures.append(picture.tobytes())
    assert len(set(pictures)) == len(numbers)


def test_same_input_same_bytes_and_nothing_absolute(exported: Exported, tmp_path: Path) -> None:
    before = exported.project.read_bytes()
    assert write_project(exported.out) == exported.out / PROJECT
    assert exported.project.read_bytes() == before
    moved = tmp_path / "moved"
    shutil.copytree(exported.out, moved)
    (moved / PROJECT).unlink()
    assert write_project(moved).read_bytes() == before
    text = ET.tostring(xml(exported.project), "unicode")
    assert str(exported.out.parent) not in text
    sources = [node.text for node in xml(exported.project).iter("datasource")]
    assert all(source and source.startswith("./") for source in sources)


@pytest.mark.slow
@needs_qgis
def test_a_project_that_was_saved_from_qgis_is_not_replaced(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported.out, out)
    project = out / PROJECT
    qgis(
        "p = QgsProject.instance()\np.read(args[0])\np.setTitle('mine')\nanswer = p.write(args[0])",
        tmp_path,
        str(project),
    )
    assert not is_own(project.read_bytes())
    with pytest.raises(OutputExistsError, match="was changed in QGIS"):
        write_project(out)
    result = command(out)
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert command(out, "--overwrite").exit_code == 0
    assert is_own(project.read_bytes())


def test_missing_and_damaged_files_are_left_out_and_reported(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported.out, out)
    files = sorted(out.rglob("*.tif"))
    for path in files[:7]:
        path.unlink()
    result = command(out)
    assert result.exit_code == 1  # what the manifest lists is not all there
    assert result.stdout == f"{out / PROJECT}\n"
    assert "17 layers; 7 files missing or unreadable" in result.stderr
    assert str(files[0].relative_to(out)) in result.stderr
    assert "2 more files" in result.stderr
    assert len(list(xml(out / PROJECT).iter("fixedRange"))) == 17
    files[8].write_bytes(b"II*\0")
    result = command(out)
    assert result.exit_code == 1
    assert files[8].name in result.stderr
    assert "16 layers; 8 files missing or unreadable" in result.stderr
    for path in files[7:]:
        path.unlink()
    with pytest.raises(ManifestError, match=r"no COG there; manifest\.jsonl lists 24"):
        write_project(out)


def test_folders_that_are_no_export_are_refused(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is it the OUT of an export"):
        write_project(tmp_path)
    result = command(tmp_path / "nowhere")
    assert result.exit_code == 2
    assert result.stderr == f"hsrgeo: {tmp_path / 'nowhere'}: no such folder; expected the OUT of an export\n"
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.jsonl").write_text("")
    with pytest.raises(ManifestError, match=r"no options\.json"):
        write_project(out)
    (out / "options.json").write_text('{"recipe": {"cuts": []}}')
    with pytest.raises(ManifestError, match="is damaged"):
        write_project(out)
    pictures = tmp_path / "pictures"
    window = (900, 900, 64, 64)
    list(export(exported.sources[0], pictures, ExportOptions(window=window, formats="png", jobs=1)))
    with pytest.raises(OptionsError, match="png only, and only COGs are read: export the frames to"):
        write_project(pictures)


def test_one_area_has_no_group_of_its_own_and_a_law_of_its_own(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    list(export(exported.sources[:2], out, ExportOptions(window=(900, 900, 64, 64), formats="cog", jobs=1)))
    project = make_project(out, law=Law(250, 1.2))
    groups = [node.get("name") for node in xml(project.path).iter("layer-tree-group")]
    assert groups == [None, "2026-08-23"]
    with zipfile.ZipFile(project.path) as archive:
        text = archive.read("hsrgeo.qgs").decode()
    assert raster_pipe(QUANTITIES[1], Law(250, 1.2), opaque=True) in text
    assert raster_pipe(QUANTITIES[1], opaque=True) not in text
    result = command(out, "--zr", "250", "1.2")
    assert result.exit_code == 0
    assert "2 layers" in result.stderr
    assert command(out, "--zr", "0", "1.2").exit_code == 2


@pytest.mark.slow
@needs_qgis
def test_other_projections_keep_their_code_and_other_quantities_are_grey(exported: Exported, tmp_path: Path) -> None:
    path = next(exported.out.rglob("*.tif"))
    shutil.copy(path, tmp_path / "a.tif")
    (tmp_path / "b.tif").hardlink_to(tmp_path / "a.tif")
    lcc = open_frame(exported.sources[0]).grid
    greys = raster_pipe(HEIGHT, grey_palette((100.0, 1300.0), 1), opaque=True)
    series = [
        Series(
            ("EPSG",),
            pyproj.CRS("EPSG:5179").to_wkt(),
            (9e5, 19e5, 10e5, 20e5),
            raster_pipe(HEIGHT, grey_palette(None, 1), opaque=True),
            [(FIRST, "a.tif")],
        ),
        Series(
            ("LCC",),
            lcc.wkt2,
            lcc.bounds,
            greys,
            [(FIRST + timedelta(hours=1), "b.tif")],
        ),
    ]
    (tmp_path / "two.qgz").write_bytes(project_bytes("높이", series))
    script = """
p = QgsProject.instance()
assert p.read(args[0])
view = p.viewSettings().defaultViewExtent()
ls = sorted(p.mapLayers().values(), key=lambda l: l.name())
r = [l.renderer() for l in ls]
answer = dict(crs=p.crs().authid(), layers=[l.crs().authid() for l in ls], types=[x.type() for x in r], title=p.title(),
              items=[[len(x.shader().rasterShaderFunction().colorRampItemList()) for x in r],
                     [i.color.name() for i in r[1].shader().rasterShaderFunction().colorRampItemList()][2:]],
              step=p.timeSettings().timeStep(), view=[view.yMinimum(), view.yMaximum()])
"""
    record = qgis(script, tmp_path, str(tmp_path / "two.qgz"))
    assert record["crs"] == "EPSG:5179"
    assert record["layers"] == ["EPSG:5179", ""]
    assert record["types"] == ["singlebandpseudocolor"] * 2
    assert record["title"] == "높이"
    assert record["items"][0] == [3, 14]  # not observed, no echo, and one shade or twelve
    assert (record["items"][1][0], record["items"][1][-1]) == ("#ebebeb", "#282828")  # 235 and 40
    assert record["step"] == 60
    assert record["view"][0] < 13e5  # metres north, in EPSG:5179: the south of KMA's grid lies there
    assert record["view"][1] > 25e5


HEIGHT = QUANTITIES[2]
DASH = "\N{EN DASH}"

RENDERED = """
p = QgsProject.instance()
assert p.read(args[0])
answer = []
for l in sorted(p.mapLayers().values(), key=lambda l: l.name()):
    if l.type() == QgsMapLayerType.RasterLayer:
        s = QgsMapSettings()
        s.setLayers([l])
        s.setDestinationCrs(l.crs())
        s.setExtent(l.extent())
        s.setOutputSize(QSize(l.width(), l.height()))
        job = QgsMapRendererSequentialJob(s)
        job.start()
        job.waitForFinished()
        image = job.renderedImage()
        legend = [[label, colour.name()] for label, colour in l.legendSymbologyItems()]
        answer.append([legend, [image.pixelColor(20, row).name() for row in args[1]]])
"""


@pytest.mark.slow
@needs_qgis
def test_heights_have_a_ramp_and_radars_their_names(make_file: MakeFile, tmp_path: Path) -> None:
    """Rows 0 to 9 hold a value, 10 to 19 no echo, the others nothing."""
    src = tmp_path / "src"
    src.mkdir()
    for number, codes in enumerate([(b"KWK", b"BRI"), (b"BRI", b"XYZ", b"KWK")]):
        time = FIRST + number * STEP
        blocks = np.full((3, NY, NX), -30000, np.int16)
        blocks[:, 710:720, 500:540] = -25000
        blocks[:, 700:710, 500:540] = np.array([3000, 1250, 2])[:, None, None]  # the second radar of either list
        data = make_file(*blocks, time=time, stations=[(code, time_fields(time), time_fields(time)) for code in codes])
        (src / frame_name(time)).write_bytes(data)
    found = {}
    for block in (2, 3):
        out = tmp_path / f"out{block}"
        options = ExportOptions(window=(500, 700, 40, 30), block=block, formats="cog", jobs=1)
        assert [outcome.status for outcome in export(src, out, options)] == ["ok", "ok"]
        found[block] = qgis(RENDERED, tmp_path, str(write_project(out)), [5, 15, 25])
    grey, white = "#d3d7dc", "#fafafa"
    (legend, pixels), second = found[2]
    assert legend[:4] == [
        ["not observed", grey],
        ["no echo", white],
        ["< 500 m", "#440154"],
        [f"500 {DASH} 1000 m", "#472777"],
    ]
    assert legend[-1] == ["\u2265 10000 m", "#f07828"]
    assert pixels == ["#3e4989", white, grey]  # 1250 m lies in 1000 to 1500 m
    assert second[1] == pixels
    # Each frame by its own list; a radar keeps its colour.
    (legend, pixels), (other_legend, other_pixels) = found[3]
    colour = dict(legend + other_legend)
    assert [label for label, _rgb in legend[2:]] == ["KWK Gwanaksan", "BRI Baengnyeongdo"]
    assert [label for label, _rgb in other_legend[2:]] == ["BRI Baengnyeongdo", "XYZ", "KWK Gwanaksan"]
    assert legend[2] in other_legend
    assert legend[3] in other_legend
    assert pixels == [colour["BRI Baengnyeongdo"], white, grey]
    assert other_pixels == [colour["XYZ"], white, grey]
    assert len(set(colour.values())) == len(colour)


@needs_qgis
def test_rain_in_another_projection_is_drawn_cell_by_cell_too(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ExportOptions(bbox=(126, 37, 127, 38), quantity="rain", crs="EPSG:5179", formats="cog", jobs=1)
    list(export(exported.sources[:2], out, options))
    project = write_project(out)
    with rasterio.open(out / "202608/23/202608232335.tif") as dataset:
        stored, bounds, size = dataset.read(1), list(dataset.bounds), [dataset.width, dataset.height]
    (path,) = qgis(DRAW, tmp_path, str(project), bounds, size, [utc(FIRST + STEP)], str(tmp_path))
    with Image.open(path) as image:
        picture = np.asarray(image.convert("RGBA"))
    expected = colours(stored, RAIN)
    assert (expected[..., 3] == 255).sum() > 100
    expected[stored == 0], expected[stored == -30000] = (*DRY, 255), (*NODATA, 255)
    np.testing.assert_array_equal(picture, expected)
    crs = xml(project).findtext("projectCrs/spatialrefsys/authid")
    assert crs == "EPSG:5179"


def test_the_step_is_the_smallest_gap() -> None:
    assert smallest_gap([FIRST]) == STEP
    assert smallest_gap([FIRST, FIRST + 3 * STEP, FIRST + 5 * STEP]) == 2 * STEP


def test_the_xml_is_sound_whatever_the_names() -> None:
    name = "<a> & \"b\" 'c' 서울"
    series = Series(
        (name,), pyproj.CRS("EPSG:4326").to_wkt(), (126, 37, 127, 38), "<pipe/>", [(FIRST, f"{name}/x.tif")]
    )
    root = ET.fromstring(project_xml(name, [series], Beside(mark=name)))  # noqa: S314 - our own
    assert root.findtext("title") == name
    assert root.findtext("projectlayers/maplayer/datasource") == f"./{name}/x.tif"
    assert [node.get("name") for node in root.iter("layer-tree-group")] == [None, name, "2026-08-23"]


def test_duplicates_and_failures_are_no_layers(exported: Exported, tmp_path: Path) -> None:
    out = tmp_path / "out"
    src = tmp_path / "src"
    src.mkdir()
    (src / "again").mkdir()
    for path in exported.sources[:2]:
        shutil.copy(path, src)
    shutil.copy(exported.sources[0], src / "again")
    (src / "RDR_CMP_HSR_PUB_202608240900.bin.gz").write_bytes(b"broken")
    list(export(src, out, ExportOptions(window=(900, 900, 64, 64), jobs=1)))
    statuses = [json.loads(line)["status"] for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert sorted(statuses) == ["duplicate", "failed", "ok", "ok"]
    assert make_project(out).contents.frames == 2
