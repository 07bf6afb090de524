"""Palettes: the format, what is wrong with a line, and the colours that every user of one draws."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from hsrgeo.errors import OptionsError
from hsrgeo.gis.legend import svg
from hsrgeo.gis.styles import class_label, gdal, qml, sld
from hsrgeo.model.quantity import DEPTH, QUANTITIES, RAIN
from hsrgeo.products.classes import CLASSED, STYLED, classes_for, colours
from hsrgeo.products.palettes import NAMES, Palette, built_in, palette_of, parse_palette, station_palette
from tests import other_gdal
from tests.other_gdal import needs_gdal

REFLECTIVITY, HEIGHT, STATION, TEMPERATURE = (QUANTITIES[code] for code in (1, 2, 3, 8))
NORTH_UP = Affine(500, 0, 0, 0, -500, 0)
RACK = """\
# Reflectivity dBZ

# undetect
@ 0   0   0

# nodata
@ 255 255 255

# noise
-32.0\t60 96  192
# rain
16.0\t255 205  20
"""
GDALDEM = "nv 0 0 0 0\n-inf,1,2,3,255\n// comment\n0:255:0:0\n10\tblue 128\n20 green\n"


def stops(text: str) -> list[tuple[float, tuple[int, ...], str]]:
    return [(stop.value, stop.rgba, stop.label) for stop in parse_palette(text, "x").stops]


def test_palettes_of_rack_and_of_gdaldem_are_read() -> None:
    rack = parse_palette(RACK, "x")
    assert (rack.undetect, rack.nodata) == ((0, 0, 0, 255), (255, 255, 255, 255))
    assert stops(RACK) == [(-32, (60, 96, 192, 255), ""), (16, (255, 205, 20, 255), "")]
    assert parse_palette(GDALDEM, "x").nodata == (0, 0, 0, 0)
    assert stops(GDALDEM) == [
        (-math.inf, (1, 2, 3, 255), ""),
        (0, (255, 0, 0, 255), ""),
        (10, (0, 0, 255, 128), ""),
        (20, (0, 255, 0, 255), ""),
    ]
    assert stops("2 9 9 9 255 wet snow\n1 8 8 8\n1 7 7 7") == [(1, (7, 7, 7, 255), ""), (2, (9, 9, 9, 255), "wet snow")]


def test_a_ramp_has_the_colours_between() -> None:
    # The ends take two of 128 colours: 126 steps from 0 to 252, of two units each, in the colour of the middle.
    ramp = stops("# ramp\n0 0 0 0 0\n252 252 126 0 252\n")
    found = [ramp[0], ramp[63], ramp[126], *ramp[127:]]
    assert found == [
        (0, (1, 0, 0, 1), ""),  # the middle of 0 to 2; 0.5 rounds to even
        (126, (127, 64, 0, 127), ""),
        (252, (252, 126, 0, 252), ""),
    ]
    assert stops("INTERPOLATION:INTERPOLATED\n0 0 0 0 0\n252 252 126 0 252\n") == ramp


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("5 1 2", "expected red, green and blue from 0 to 255"),
        ("5", "expected red, green and blue"),
        ("5 1 2 256", "from 0 to 255"),
        ("5 1 2 -1", "from 0 to 255"),
        ("5 1 2 3 x", "from 0 to 255"),
        ("5 \N{ARABIC-INDIC DIGIT ONE} 2 3", "from 0 to 255"),
        ("5 pinkish", "or a colour's name"),
        ("50% 1 2 3", "percentages would give every frame other colours"),
        ("nan 1 2 3", "expected a number, nodata or undetect first"),
        ("inf 1 2 3", "expected a number"),
        ("\x1b[31mx 1 2 3", "expected a number"),
        ("@ 1 2 3", "expected a comment"),
        ("INTERPOLATION:DISCRETE", "expected INTERPOLATION:INTERPOLATED"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(line: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text(f"# mine\n\n1 2 3 4\n{line}\n", encoding="utf-8")
    message = ""
    try:
        palette_of(path)
    except OptionsError as error:
        message = str(error)
    assert f"{path}, line 4: " in message
    assert problem in message
    assert "\x1b" not in message


def test_files_that_are_no_palette_are_refused(tmp_path: Path) -> None:
    for data, problem in [
        (b"", "found none"),
        (b"\xff\xfe1 2 3 4", "expected text in UTF-8, found 0xff"),
        (b"".join(b"%d 1 2 3\n" % number for number in range(151)), "at most 150 colours, found 151"),
    ]:
        path = tmp_path / "own.txt"
        path.write_bytes(data)
        with pytest.raises(OptionsError, match=problem):
            palette_of(path)
    with pytest.raises(OptionsError, match="no such file; hsrgeo's own are rain, reflectivity"):
        palette_of(str(tmp_path / "none.txt"))
    with pytest.raises(OptionsError, match="palette"):
        palette_of(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_what_hsrgeo_brings_is_such_a_file_and_every_quantity_has_one(name: str) -> None:
    palette = built_in(name)
    assert parse_palette(palette.text, name) == palette
    assert STYLED[name].unit == palette.unit or not palette.unit


def test_every_quantity_that_hsrgeo_reads_has_classes_styles_and_a_legend() -> None:
    for quantity in (*QUANTITIES.values(), RAIN, DEPTH):
        assert quantity.name in CLASSED
        for form in (qml, sld, gdal, svg):
            assert form(quantity)


def test_units_are_minded() -> None:
    rain = palette_of("rain")
    assert [one.rgb for one in classes_for(RAIN, rain)] == [one.rgb for one in classes_for(RAIN)]
    with pytest.raises(OptionsError, match="palette rain is in mm/h, and reflectivity is in dBZ; zr gives it"):
        classes_for(REFLECTIVITY, rain)
    assert classes_for(HEIGHT, parse_palette("0 1 2 3", "x"))[0].first == 0


def test_values_have_the_colour_of_the_bound_below_and_codes_their_own() -> None:
    own = parse_palette("nodata 9 9 9 90\nundetect 8 8 8\n-5.5 1 1 1 100\n10 2 2 2\n", "x")
    # dBZ in hundredths: -5.51 is below every bound, -5.50 and 9.99 lie in the first class, 10.00 in the second
    stored = np.array([-30000, -25000, -20000, -551, -550, 999, 1000, 32767], np.int16)
    assert colours(stored, REFLECTIVITY, own).tolist() == [
        [9, 9, 9, 90],
        [8, 8, 8, 255],
        [8, 8, 8, 255],  # cleaned, it is no echo
        [0, 0, 0, 0],
        [1, 1, 1, 100],
        [1, 1, 1, 100],
        [2, 2, 2, 255],
        [2, 2, 2, 255],
    ]
    cold_and_warm = colours(np.array([19999, 20000], np.int16), TEMPERATURE)  # 20000 is 0 degC
    assert cold_and_warm.tolist() == [[224, 243, 248, 255], [255, 255, 191, 255]]


@needs_gdal
def test_gdaldem_draws_an_own_palette_as_hsrgeo_does(tmp_path: Path) -> None:
    own = parse_palette("nodata 9 9 9 90\nundetect 8 8 8\n-inf 7 7 7\n-5.5 1 1 1 100\n10 2 2 2\n", "x")
    stored = np.array([[-30000, -29687, -25000, -10000, -551, -550, 999, 1000, 32767]], np.int16)
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", "GTiff", 9, 1, 1, "EPSG:5179", NORTH_UP, "int16", -30000) as dataset:
        dataset.write(stored, 1)
    (tmp_path / "own.txt").write_text(gdal(REFLECTIVITY, own), encoding="utf-8")
    command = ["gdaldem", "color-relief", "a.tif", "own.txt", "b.tif", "-alpha", "-q"]
    subprocess.run(command, cwd=tmp_path, check=True, env=other_gdal._ENVIRONMENT)
    with rasterio.open(tmp_path / "b.tif") as dataset:
        found = dataset.read()[:, 0].T
    assert found.tolist() == colours(stored, REFLECTIVITY, own)[0].tolist()


def test_a_radar_keeps_its_colour_and_classes_have_their_names() -> None:
    two, three = (station_palette(codes) for codes in (["KWK", "BRI"], ["BRI", "XYZ", "KWK"]))
    assert two.stops[1].rgba == three.stops[0].rgba
    assert two.stops[0].rgba == three.stops[2].rgba
    assert [class_label(one, STATION, three) for one in classes_for(STATION, three)] == [
        "BRI Baengnyeongdo",
        "XYZ",
        "KWK Gwanaksan",
    ]
    kinds = QUANTITIES[7]
    assert [class_label(one, kinds) for one in classes_for(kinds)] == ["rain", "mixed", "snow"]
    counts = QUANTITIES[4]
    dash = "\N{EN DASH}"
    assert [class_label(one, counts) for one in classes_for(counts)][3:] == [
        "3", f"4 {dash} 5", f"6 {dash} 7", f"8 {dash} 9", "≥ 10",
    ]  # fmt: skip


def test_a_palette_is_a_value() -> None:
    assert {palette_of("rain"), parse_palette(palette_of("rain").text, "rain")} == {palette_of("rain")}
    assert str(Palette("x", ())) == "palette x"
