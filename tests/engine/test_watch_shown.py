"""`hsrgeo watch --qgis --view`: a project that QGIS may have open, and a page that follows."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from hsrgeo.cli import app
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.view.pages import ViewOptions, make_page
from hsrgeo.engine.watch.displays import Displays
from hsrgeo.engine.watch.watch_run import Watch
from hsrgeo.errors import OutputExistsError
from hsrgeo.model.window import BBox
from tests.conftest import TIME, frame_name
from tests.qgis import needs_qgis, qgis
from tests.watched import OPTIONS, World, content


def _watch(work: Path, options: ExportOptions = OPTIONS, *, qgis: bool = False, view: bool = False) -> Watch:
    out = work / "out"
    return Watch(work / "in", out, options, after=Displays(out, options.recipe, qgis=qgis, view=view))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (source := tmp_path / "in").mkdir()
    (source / frame_name()).write_bytes(content(0, 2, "whole"))
    return source


def _later(source: Path, stations: int = 3) -> None:
    (source / frame_name(TIME + timedelta(minutes=5))).write_bytes(content(5, stations, "whole"))


@pytest.mark.slow
def test_a_project_is_written_once_and_has_one_layer_a_region(source: Path, tmp_path: Path) -> None:
    boxes = {"a": BBox(126.6, 37.4, 127.2, 37.7), "b": BBox(127.4, 36.2, 127.8, 36.6)}
    options = ExportOptions(regions=tuple(Region(name, box) for name, box in boxes.items()), formats=("cog",), jobs=1)
    with _watch(tmp_path, options, qgis=True) as watch:
        watch.round()
        project = tmp_path / "out" / "latest.qgz"
        with zipfile.ZipFile(project) as archive:
            root = ET.fromstring(archive.read("hsrgeo.qgs"))  # noqa: S314 - our own
        layers = [one for one in root.iter("maplayer") if one.get("type") == "raster"]
        assert [one.findtext("datasource") for one in layers] == ["./a/latest.tif", "./b/latest.tif"]
        assert [(one.get("autoRefreshMode"), one.get("autoRefreshTime")) for one in layers] == [
            ("ReloadData", "30000")
        ] * 2
        assert all((project.parent / str(one.findtext("datasource"))).is_file() for one in layers)
        project.write_bytes(b"saved from QGIS")
        _later(source)
        assert watch.round().counts == {"ok": 1}
    assert project.read_bytes() == b"saved from QGIS"


def test_a_project_of_somebody_else_stays_and_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (project := tmp_path / "out" / "latest.qgz").write_bytes(b"saved from QGIS")
    with _watch(tmp_path, qgis=True) as watch:
        [note] = watch.round().notes
        assert note.startswith(f"{project} was changed in QGIS, or is not of hsrgeo watch, and is kept")
        _later(source)
        assert watch.round().notes == []
    assert project.read_bytes() == b"saved from QGIS"
    project.unlink()
    for _own in range(2):  # it is written, and known again by another watch
        with _watch(tmp_path, qgis=True) as watch:
            assert [note for note in watch.round().notes if "is kept" in note] == []
    assert zipfile.is_zipfile(project)


@pytest.mark.slow
@needs_qgis
def test_qgis_shows_the_newest_frame_when_it_reloads_the_layer(source: Path, tmp_path: Path) -> None:
    with _watch(tmp_path, replace(OPTIONS, formats=("cog",)), qgis=True) as watch:
        watch.round()
        shutil.copytree(tmp_path / "out", tmp_path / "open")
        _later(source)
        watch.round()
    script = """
p = QgsProject.instance()
assert p.read(args[0])
[layer] = [one for one in p.mapLayers().values() if one.type() == QgsMapLayerType.RasterLayer]
def value():
    return layer.dataProvider().sample(layer.extent().center(), 1)[0]
answer = [layer.name(), layer.isValid(), layer.autoRefreshInterval(), layer.temporalProperties().isActive(), value()]
os.replace(args[1], layer.source())
layer.triggerRepaint()
answer.append(value())
layer.reload()  # what QGIS 3.34 does by itself, and F5 in an older one
answer.append(value())
p.write(args[2])
"""
    new, saved = tmp_path / "out" / "latest.tif", tmp_path / "saved.qgs"
    answer = qgis(script, tmp_path, str(tmp_path / "open" / "latest.qgz"), str(new), str(saved))
    # 100 a radar and 1 a minute, in hundredths of dBZ: 2 radars; then 3, and 5 minutes later
    assert answer == ["latest", True, 30000, False, 2.0, 2.0, pytest.approx(3.05)]
    raster = [one for one in ET.parse(saved).iter("maplayer") if one.get("type") == "raster"]  # noqa: S314 - QGIS's own
    assert [one.get("autoRefreshTime") for one in raster] == ["30000"]  # as QGIS itself spells it


def test_a_page_shows_what_the_folder_holds_after_each_round(tmp_path: Path) -> None:
    with World(tmp_path, timedelta(minutes=5), view=True) as world:
        written = []
        for minute, stations in ((0, 1), (5, 1), (5, 2), (15, 1)):  # new, new, a better one, and the first two leave
            world.put(minute, stations, "whole")
            world.round()
            page = make_page(world.out, ViewOptions())
            for path, data in page.files.items():
                assert (world.out / path).read_bytes() == data
            shown = {path.name for path in (world.out / "view").iterdir() if path.suffix == ".json"}
            assert shown == {Path(path).name for path in page.index}
            assert page.cogs == {path.relative_to(world.out).as_posix() for path in world.out.glob("*/*/*.tif")}
            written.append((world.out / "view/view.json").stat().st_mtime_ns)
        assert sorted(set(written)) == written  # a server then sends it again
        world.round()
        assert (world.out / "view/view.json").stat().st_mtime_ns == written[-1]


def test_a_page_of_somebody_else_stays(source: Path, tmp_path: Path) -> None:
    assert source.is_dir()
    (tmp_path / "out").mkdir()
    (page := tmp_path / "out" / "index.html").write_text("mine")
    with _watch(tmp_path, view=True) as watch:
        assert isinstance(watch.round().error, OutputExistsError)
        page.unlink()
        assert watch.round().error is None
    assert "hsrgeo view" in page.read_text()


@pytest.mark.parametrize("shown", ["--qgis", "--view"])
@pytest.mark.parametrize("wrong", [("--out", "out", "--format", "png"), ("--out", "s3://bucket/out")])
def test_wrong_usage_leaves_nothing(
    shown: str, wrong: tuple[str, ...], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["watch", str(source), "--window", "400,600,32,32", "--once", shown, *wrong])
    assert (done.exit_code, "--view" in done.output, (tmp_path / "out").exists()) == (2, True, False)


def test_the_command_writes_both(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["watch", source, "--window", "400,600,32,32", "--out", out, "--once", "--qgis", "--view"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert (done.exit_code, done.output) == (0, "1 written; latest: HSR of 2022-06-09 11:15 KST\n")
    assert zipfile.is_zipfile(out / "latest.qgz")
    assert json.loads((out / "view" / "view.json").read_bytes())["views"][0]["windows"][0]["frames"] == 1
