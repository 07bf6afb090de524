"""Styles and legends, judged by the programs that they are for.

QGIS up to 3.22 at least reads no SLD for rasters, and no GeoServer is at hand: that rule is applied here.
"""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import typer
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner, Result

from hsrgeo.cli.style import style
from hsrgeo.errors import MissingExtraError, OptionsError
from hsrgeo.gis.legend import draw_legend, png, svg
from hsrgeo.gis.styles import class_label, drawn_classes, gdal, qml, raster_pipe, sld
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import QUANTITIES, RAIN, RAIN_RATE, Quantity
from hsrgeo.products.classes import STYLED, By, classes_for, colours
from hsrgeo.products.palettes import parse_palette
from hsrgeo.products.rain import KMA_LAW, Law
from tests import other_gdal
from tests.other_gdal import needs_gdal
from tests.qgis import needs_qgis, qgis

REFLECTIVITY = QUANTITIES[1]
OTHER_LAW = Law(300, 1.4)
STEEP = Law(200, 0.001)  # all bounds within a few hundredths of a dBZ: some classes have no stored value
OWN = parse_palette("undetect 8 8 8\n-inf 7 7 7\n-5.5 1 2 3\n10 200 100 50\n55.55 9 9 200\n", "own")
CASES: dict[str, tuple[Quantity, Law | None]] = {
    "rain": (RAIN, None),
    "rain as KMA stores it": (RAIN_RATE, None),
    "reflectivity": (REFLECTIVITY, None),
    "reflectivity by KMA's law": (REFLECTIVITY, KMA_LAW),
    "reflectivity, other law": (REFLECTIVITY, OTHER_LAW),
    "reflectivity, steep law": (REFLECTIVITY, STEEP),
}
OWN_CASE = "a user's palette"
IN_QGIS: dict[str, tuple[Quantity, By]] = {**CASES, OWN_CASE: (REFLECTIVITY, OWN)}
EACH = pytest.mark.parametrize(("quantity", "law"), CASES.values(), ids=CASES)
CODES = [-32768, -30000, -29687, -25000, -22187, -20000, -10001, -10000, -1, 0, 32767]
WIDTH = 16
DASH = "\N{EN DASH}"
SLD = "{http://www.opengis.net/sld}"
SVG = "{http://www.w3.org/2000/svg}"


def cells(quantity: Quantity, law: By) -> NDArray[np.int16]:
    """Return the values on both sides of every class bound, and the codes, in rows of one length."""
    bounds = [one.first + side for one in classes_for(quantity, law) for side in (-2, -1, 0, 1)]
    values = sorted({*bounds, *CODES})
    values += [quantity.nodata] * (-len(values) % WIDTH)
    return np.array(values, np.int16).reshape(-1, WIDTH)


def parsed(document: str) -> ET.Element:
    return ET.fromstring(document)  # noqa: S314 - our own


def cog(folder: Path, frame: Frame, quantity: Quantity, law: By) -> Path:
    stored = cells(quantity, law)
    window = (400, 600, stored.shape[1], stored.shape[0])
    return replace(frame.crop(window=window), stored=stored, quantity=quantity).to_cog(folder / "cells.tif")


# QGIS

DRAW = """
answer = []
side = 5
for path, style in args:
    layer = QgsRasterLayer(path, "cells")
    message, fine = layer.loadNamedStyle(style)
    renderer = layer.renderer()
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(layer.extent())
    settings.setOutputSize(QSize(layer.width() * side, layer.height() * side))
    settings.setBackgroundColor(QColor(0, 0, 0, 0))
    settings.setFlag(QgsMapSettings.Antialiasing, False)
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    middle = side // 2
    pixels = [
        [image.pixelColor(col * side + middle, row * side + middle).getRgb() for col in range(layer.width())]
        for row in range(layer.height())
    ]
    answer.append([layer.isValid(), fine, message, renderer.type(), layer.opacity(), layer.blendMode(), pixels,
                   [[label, colour.getRgb()] for label, colour in renderer.legendSymbologyItems()]])
"""


@pytest.fixture(scope="module")
def drawn(frame: Frame, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Draw every case in one start of QGIS."""
    pairs = []
    for quantity, law in IN_QGIS.values():
        folder = tmp_path_factory.mktemp("qgis")
        written = folder / "style.qml"
        written.write_text(qml(quantity, law), encoding="utf-8")
        pairs.append([str(cog(folder, frame, quantity, law)), str(written)])
    return dict(zip(IN_QGIS, qgis(DRAW, tmp_path_factory.mktemp("home"), *pairs), strict=True))


@pytest.mark.slow
@needs_qgis
@pytest.mark.parametrize("case", IN_QGIS)
def test_qgis_draws_each_class_in_its_colour(drawn: Mapping[str, Any], case: str) -> None:
    quantity, law = IN_QGIS[case]
    valid, fine, _message, kind, opacity, blend, pixels, _legend = drawn[case]
    assert (valid, fine, kind, opacity, blend) == (True, True, "singlebandpseudocolor", 1, 0)
    expected = colours(cells(quantity, law), quantity, law)
    found = np.array(pixels, np.uint8)
    assert np.array_equal(found[..., 3], expected[..., 3])
    assert np.array_equal(found[expected[..., 3] > 0], expected[expected[..., 3] > 0])


@needs_qgis
@pytest.mark.parametrize(
    ("case", "labels"),
    [
        ("rain", {0: "no rain", 1: "0.01 - 0.1 mm/h", 2: "0.1 - 0.5 mm/h", 24: "150 - 200 mm/h and above"}),
        ("reflectivity", {0: "no echo", 1: "< -20 dBZ", 2: "-20 - -10 dBZ", 32: "80 - 100 dBZ and above"}),
        (
            "reflectivity by KMA's law",
            {
                1: "< -9.0 dBZ (0 - 0.01 mm/h)",
                3: "7.0 - 18.2 dBZ (0.1 - 0.5 mm/h)",
                25: "≥ 57.8 dBZ (150 - 200 mm/h and above)",
            },
        ),
    ],
)
def test_qgis_lists_the_classes(drawn: Mapping[str, Any], case: str, labels: dict[int, str]) -> None:
    legend = drawn[case][-1]
    assert len(legend) == 1 + max(labels)
    assert legend[0][1] == [255, 255, 255, 0]
    assert {order: legend[order][0].replace(DASH, "-") for order in labels} == labels
    assert [tuple(colour[:3]) for _label, colour in legend[1:]] == [one.rgb for one in drawn_classes(*CASES[case])]


def test_a_pipe_is_one_element_of_a_style() -> None:
    pipe = parsed(raster_pipe(RAIN))
    assert pipe.tag == "pipe"
    document = parsed(qml(RAIN).partition("\n")[2])
    assert [child.tag for child in document] == ["pipe", "blendMode"]
    assert [item.attrib for item in document.iter("item")] == [item.attrib for item in pipe.iter("item")]
    assert [item.get("value") for item in pipe.iter("item")][:3] == ["0.005", "0.095", "0.495"]
    assert [item.get("value") for item in pipe.iter("item")][-1] == "inf"


# gdaldem


@needs_gdal
@EACH
@pytest.mark.parametrize("option", [[], ["-nearest_color_entry"]], ids=["interpolated", "nearest"])
def test_gdaldem_draws_each_class_in_its_colour(
    frame: Frame, tmp_path: Path, quantity: Quantity, law: Law | None, option: list[str]
) -> None:
    table, target = tmp_path / "colours.txt", tmp_path / "drawn.tif"
    table.write_text(gdal(quantity, law), encoding="utf-8")
    source = cog(tmp_path, frame, quantity, law)
    command = ["gdaldem", "color-relief", str(source), str(table), str(target), "-alpha", "-q", *option]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=other_gdal._ENVIRONMENT)
    assert run.stderr == ""
    with rasterio.open(target) as dataset:
        found = np.moveaxis(dataset.read(), 0, -1)
    expected = colours(cells(quantity, law), quantity, law)
    assert np.array_equal(found, expected)


def test_gdal_table_tells_how_to_use_it() -> None:
    lines = gdal(REFLECTIVITY).splitlines()
    assert lines[0] == "# reflectivity, stored value (= dBZ x 100), red, green, blue, alpha"
    assert lines[1] == "# gdaldem color-relief in.tif THIS_FILE out.tif -alpha"
    assert lines[2] == "nv 0 0 0 0"
    stored = [int(line.split()[0]) for line in lines[3:]]
    assert stored == sorted(set(stored))
    assert {len(line.split()) for line in lines[2:]} == {5}


# SLD


@EACH
def test_sld_gives_each_class_its_colour(quantity: Quantity, law: Law | None) -> None:
    document = parsed(sld(quantity, law))
    assert (document.tag, document.get("version")) == (f"{SLD}StyledLayerDescriptor", "1.0.0")
    steps = [f"{SLD}{name}" for name in ("NamedLayer", "UserStyle", "FeatureTypeStyle", "Rule", "RasterSymbolizer")]
    table = document.find("/".join([*steps, f"{SLD}ColorMap"]))
    assert table is not None
    assert table.get("type") == "intervals"
    entries = [entry.attrib for entry in table.iter(f"{SLD}ColorMapEntry")]
    bounds = [float(entry["quantity"]) for entry in entries]
    assert bounds == sorted(set(bounds))
    stored = cells(quantity, law).ravel()
    for value, rgba in zip(stored.tolist(), colours(stored, quantity, law).tolist(), strict=True):
        # GeoServer, "intervals": the first entry with value < quantity
        entry = next(one for one, bound in zip(entries, bounds, strict=True) if np.float32(value / 100) < bound)
        drawn = [*bytes.fromhex(entry["color"].removeprefix("#")), 255 * int(entry["opacity"])]
        assert drawn == rgba if rgba[3] else drawn[3] == 0


def test_sld_of_another_law_moves_the_bounds() -> None:
    # 10 mm/h by Z = 300 R^1.4 is 38.7712 dBZ: the first step is 38.78, half a step below is 38.775
    assert 'quantity="38.775"' in sld(REFLECTIVITY, OTHER_LAW)
    assert 'quantity="39.015"' in sld(REFLECTIVITY, KMA_LAW)
    assert 'quantity="39.995"' in sld(REFLECTIVITY)  # KMA's own table: a class ends at 40 dBZ
    assert sld(RAIN, OTHER_LAW) == sld(RAIN)


# What all forms share


@pytest.mark.parametrize("form", [raster_pipe, qml, sld, gdal, svg, draw_legend])
def test_unknown_quantities_and_empty_laws_have_no_style(form: Callable[[Quantity, Law], object]) -> None:
    with pytest.raises(OptionsError, match="values has no colour classes"):
        form(replace(REFLECTIVITY, name="values"), KMA_LAW)
    with pytest.raises(OptionsError, match=r"Z = 1e\+100 R\^1\.6: no reflectivity that a file can store"):
        form(REFLECTIVITY, Law(1e100, 1.6))


@pytest.mark.parametrize("quantity", [RAIN, REFLECTIVITY], ids=["rain", "reflectivity"])
def test_labels_meet(quantity: Quantity) -> None:
    labels = [class_label(one, quantity) for one in classes_for(quantity)]
    assert len(set(labels)) == len(labels)
    ends = [label.removeprefix("< ").split(f" {DASH} ") for label in labels]
    for one, following in pairwise(ends):
        assert one[-1].split()[0] == following[0]


# Legends


def texts(document: str) -> list[str]:
    return [text.text or "" for text in parsed(document).iter(f"{SVG}text")]


def feet(document: str) -> list[int]:
    return [int(text.get("y", "")) for text in parsed(document).iter(f"{SVG}text")]


@pytest.mark.parametrize("quantity", STYLED.values(), ids=STYLED)
def test_svg_has_every_colour_and_bound(quantity: Quantity) -> None:
    document = svg(quantity)
    group = parsed(document).find(f"{SVG}g")
    assert group is not None
    fills = [rect.get("fill") for rect in group.iter(f"{SVG}rect")]
    assert fills == ["#{:02x}{:02x}{:02x}".format(*one.rgb) for one in classes_for(quantity)[::-1]]
    every = 1 if quantity.is_rain else 2  # a bound needs a line of text
    assert {one.name or one.label for one in classes_for(quantity)[::every]} <= set(texts(document))
    assert quantity.unit in texts(document)


def test_svg_of_reflectivity_by_a_law_has_both_units() -> None:
    assert texts(svg(REFLECTIVITY, KMA_LAW))[:2] == ["dBZ", "mm/h"]
    assert {"57.8", "23.0", "-9.0", "150", "1", "0"} <= set(texts(svg(REFLECTIVITY, KMA_LAW)))
    assert texts(svg(REFLECTIVITY))[0] == "dBZ"
    assert "mm/h" not in texts(svg(REFLECTIVITY))
    assert "rain rate [mm/h] by Z = 300 R^1.4" in svg(REFLECTIVITY, OTHER_LAW)
    assert texts(svg(RAIN))[0] == "mm/h"


@pytest.mark.parametrize("quantity", STYLED.values(), ids=STYLED)
@pytest.mark.parametrize("height", [120, 256, 640, 1441])
def test_picture_has_the_asked_height_and_every_colour(quantity: Quantity, height: int) -> None:
    picture = draw_legend(quantity, height_px=height)
    assert (picture.mode, picture.height) == ("RGB", height)
    pixels = np.asarray(picture)
    for one in classes_for(quantity):
        assert (pixels == one.rgb).all(axis=-1).any()
    frame = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((edge == 255).all() for edge in frame)  # nothing touches the edge


@pytest.mark.parametrize("height", [120, 256, 640])
def test_no_two_numbers_overlap(height: int) -> None:
    size = max(9, round(height / 40))
    assert all(below - above >= size for above, below in pairwise(feet(svg(RAIN, height_px=height))))


@pytest.mark.parametrize("height", [-1, 0, 119, 8193])
def test_a_legend_needs_room(height: int) -> None:
    with pytest.raises(OptionsError, match="expected 120 to 8192"):
        draw_legend(RAIN, height_px=height)


def test_png_is_the_picture_and_always_the_same() -> None:
    with Image.open(io.BytesIO(png(REFLECTIVITY))) as picture:
        assert picture.format == "PNG"
        assert np.array_equal(np.asarray(picture), np.asarray(draw_legend(REFLECTIVITY)))
    assert png(REFLECTIVITY) == png(REFLECTIVITY)


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"^needs Pillow: pip install 'hsrgeo\[render\]'$"):
        png(RAIN)
    assert svg(RAIN).startswith("<?xml")
    result = run("rain", "--as", "png")
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert "hsrgeo: needs Pillow: pip install 'hsrgeo[render]'" in result.stderr


# The command

PROGRAM = [sys.executable, "-c", "import typer; from hsrgeo.cli.style import style; typer.run(style)"]


def run(*args: object) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(style)
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200", "NO_COLOR": "1"})


@pytest.mark.parametrize("name", STYLED)
def test_command_prints_each_form(name: str) -> None:
    quantity = STYLED[name]
    for form, made in {"qml": qml, "sld": sld, "gdal": gdal, "svg": svg}.items():
        result = run(name, "--as", form)
        assert (result.exit_code, result.stdout_bytes) == (0, made(quantity).encode())
    assert run(name, "--as", "png").stdout_bytes == png(quantity)


def test_command_takes_a_law_and_writes_a_file(tmp_path: Path) -> None:
    target = tmp_path / "new" / "style.qml"
    result = run("reflectivity", "--as", "qml", "--zr", 300, 1.4, "--out", target)
    assert (result.exit_code, result.stdout) == (0, "")
    assert target.read_text(encoding="utf-8") == qml(REFLECTIVITY, OTHER_LAW)
    assert [path.name for path in target.parent.iterdir()] == ["style.qml"]
    assert run("rain", "--as", "png", "--out", tmp_path / "legend.png").exit_code == 0
    assert (tmp_path / "legend.png").read_bytes() == png(RAIN)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["values", "--as", "qml"], "'values' is not one of"),
        (["rain", "--as", "qml", "--palette", "none.txt"], "palette none.txt: no such file"),
        (["rain", "--as", "qml", "--palette", "height"], "palette height is in m, and rain_rate is in mm/h"),
        (["reflectivity", "--as", "qml", "--palette", "rain", "--zr", "200", "1.6"], "give one of them"),
        (["rain", "--as", "css"], "'css' is not one of"),
        (["rain"], "Missing option '--as'"),
        (["reflectivity", "--as", "qml", "--zr", "200", "0"], "Z-R law 200 0: expected A and B"),
        (["rain", "--as", "qml", "--zr", "-200", "1.6"], "both positive"),
        (["rain", "--as", "qml", "--zr", "nan", "1.6"], "both positive"),
        (["rain", "--as", "qml", "--zr", "200"], "requires 2 arguments"),
        (["reflectivity", "--as", "sld", "--zr", "1e100", "1.6"], "reaches a colour class"),
    ],
)
def test_wrong_usage(args: list[str], text: str) -> None:
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert text in " ".join(result.stderr.replace("│", " ").split())


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    result = run("rain", "--as", "qml", "--out", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"hsrgeo: {tmp_path}: cannot be written" in result.stderr


@pytest.mark.slow
def test_a_terminal_gets_no_png_but_text() -> None:
    ours, theirs = pty.openpty()
    try:
        refused = subprocess.run(
            [*PROGRAM, "rain", "--as", "png"], stdout=theirs, stderr=subprocess.PIPE, text=True, check=False
        )
        shown = subprocess.run([*PROGRAM, "rain", "--as", "gdal"], stdout=theirs, check=False)
        first = os.read(ours, 8)
    finally:
        os.close(ours)
        os.close(theirs)
    assert refused.returncode == 2
    assert refused.stderr == "hsrgeo: a PNG is nothing for a terminal: give --out FILE\n"
    assert (shown.returncode, first) == (0, b"# rain_r")


@pytest.mark.slow
def test_text_is_utf8_in_every_locale_and_a_full_disk_is_reported() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*PROGRAM, "rain", "--as", "qml"], capture_output=True, check=True, env=environment)
    assert done.stdout == qml(RAIN).encode()
    with Path("/dev/full").open("wb") as full:
        lost = subprocess.run(
            [*PROGRAM, "rain", "--as", "png"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (lost.returncode, lost.stderr) == (1, "hsrgeo: stdout: cannot be written: No space left on device\n")
