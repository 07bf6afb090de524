"""The page's reader, in Node: values equal to rasterio's, places to pyproj's, colours and numbers to Python's."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import struct
import subprocess
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

import hsrgeo
from hsrgeo.gis.view.index import classes_json, grid_json, quantity_json, windows_of
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.quantity import DEPTH, QUANTITIES, RAIN, Quantity
from hsrgeo.model.times import KST
from hsrgeo.products.classes import colours
from hsrgeo.products.palettes import grey_palette
from hsrgeo.products.rain import KMA_LAW
from hsrgeo.products.warp import as_target, warp_for
from hsrgeo.writers.cog import encode_cog
from hsrgeo.writers.sum_cog import encode_sum_cog
from tests.conftest import TIME, MakeFile, frame_name

NODE = shutil.which("node")
PAGE = Path(hsrgeo.__file__).parent / "gis" / "view" / "page"


def _rasterio(path: Path) -> dict[str, Any]:
    with rasterio.open(path) as dataset:
        overviews = dataset.overviews(1)
    levels, cells = [], []
    for number in range(len(overviews) + 1):
        chosen = {} if number == 0 else {"overview_level": number - 1}
        with rasterio.open(path, **chosen) as dataset:
            values = dataset.read(1)
        levels.append([values.shape[1], values.shape[0], hashlib.sha256(values.tobytes()).hexdigest()])
        if number == 0:
            random = np.random.default_rng(1)
            places = zip(random.integers(0, values.shape[1], 20), random.integers(0, values.shape[0], 20), strict=True)
            cells = [[int(col), int(row), int(values[row, col])] for col, row in places]
    return {"name": path.name, "path": str(path), "levels": levels, "cells": cells}


def _files(frame: hsrgeo.Frame, folder: Path) -> list[dict[str, Any]]:
    """Write COGs of every compression, quantity, size and kind of sum, and return what rasterio reads in them."""
    clean = frame.clean()
    cut = frame.crop(window=(390, 590, 300, 290))
    made = {
        "whole": encode_cog(clean),
        "raw-zstd": encode_cog(frame, compress="zstd"),
        "plain": encode_cog(cut, compress="none"),
        "rain": encode_cog(hsrgeo.rain_frame(cut)),
        "one-cell": encode_cog(frame.crop(window=(450, 650, 1, 1))),
        "strip-zstd": encode_cog(frame.crop(window=(400, 600, 700, 3)), compress="zstd"),
        "korea": encode_cog(hsrgeo.warp_frame(cut.clean(), hsrgeo.as_target("EPSG:5179"))),
    }
    depth = np.arange(cut.stored.size, dtype=np.int32).reshape(cut.stored.shape) * 7 - 30000
    made["sum"] = encode_sum_cog(cut.grid, depth, depth // 9, {"QUANTITY": "rain_depth"}, "2022-06-09T00:00:00Z")
    paths = []
    for name, data in made.items():
        paths.append(folder / f"{name}.tif")
        paths[-1].write_bytes(data)
    return [_rasterio(path) for path in paths]


def _refused(whole: bytes, folder: Path) -> list[dict[str, str]]:
    stripped = folder / "strips.tif"
    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "crs": "EPSG:4326", "transform": Affine.scale(2)}
    with rasterio.open(stripped, "w", dtype="int16", **profile) as dataset:
        dataset.write(np.zeros((1, 8, 8), np.int16))
    floats = folder / "floats.tif"
    with rasterio.open(floats, "w", dtype="float32", tiled=True, blockxsize=16, blockysize=16, **profile) as dataset:
        dataset.write(np.zeros((1, 8, 8), np.float32))
    at = whole.index(struct.pack("<HHIHH", 259, 3, 1, 8, 0))
    lzw = whole[: at + 8] + struct.pack("<H", 5) + whole[at + 10 :]
    cases = {
        "a page": (b"<html>not found</html>" * 9, "no little-endian TIFF"),
        "a big-endian TIFF": (b"MM\0*" + whole[4:], "no little-endian TIFF"),
        "a BigTIFF": (b"II\x2b\0" + whole[4:], "BigTIFF"),
        "LZW": (lzw, "compression 5: expected DEFLATE, ZSTD or none"),
        "an empty directory": (b"II*\0" + struct.pack("<IHI", 8, 0, 8), "field 256 is missing"),
        "a head cut off": (whole[:900], "ends within its description"),
        "a file cut off": (whole[:-900], "ends before its tiles do"),
        "flipped bits": (whole[:-900] + bytes(byte ^ 0x55 for byte in whole[-900:-40]) + whole[-40:], "tile"),
    }
    listed = []
    for order, (name, (data, says)) in enumerate(cases.items()):
        path = folder / f"refused-{order}.tif"
        path.write_bytes(data)
        listed.append({"name": name, "path": str(path), "says": says})
    listed.append({"name": "strips", "path": str(stripped), "says": "field 322 is missing"})
    listed.append({"name": "floats", "path": str(floats), "says": "values of 32 bits that are not int16 or int32"})
    return listed


def _places() -> list[dict[str, Any]]:
    """Return the mesh of every grid of the catalogue, of crops and of other CRS, and what pyproj says of 200 places."""
    main = grids()["kma-hb-500m"]
    metric = Grid("coarse", _wkt("EPSG:5179"), Affine(5000, 0, 200_000, 0, -5000, 2_400_000), 300, 200)
    degrees = Grid("degrees", _wkt("EPSG:4326"), Affine(0.01, 0, 120, 0, -0.01, 44), 1200, 1300)
    crops = [main.crop(hsrgeo.Window(1214, 1439, 256, 256)), main.crop(hsrgeo.Window(0, 0, 1, 7))]
    codes = ("EPSG:3857", "EPSG:4326", "EPSG:5179", "EPSG:5186", "EPSG:32652")  # of whole composites by --crs
    warped = [warp_for(grids()["kma-hb-1km"], None, as_target(code)).grid for code in codes]
    listed = []
    for grid in (*grids().values(), *crops, metric, degrees, *warped):
        random = np.random.default_rng(2)
        x, y = random.uniform(0, grid.width, 200), random.uniform(0, grid.height, 200)
        lon, lat = grid.lonlat(y - 0.5, x - 0.5)
        points = np.column_stack([x, y, lon, lat]).tolist()
        listed.append({"grid": grid_json(grid, coast=False), "points": points})
    return listed


def _wkt(code: str) -> str:
    import pyproj  # noqa: PLC0415 - here only

    return pyproj.CRS(code).to_wkt("WKT2_2019")


def _quantities() -> list[dict[str, Any]]:
    listed = []
    for quantity in (QUANTITIES[1], RAIN, QUANTITIES[5]):
        stored = np.arange(-32768, 32768, 37).astype(np.int16)
        stored = np.unique(np.append(stored, [quantity.undetect, quantity.nodata, quantity.echo_from, 32767, 1]))
        stored = stored.astype(np.int16)
        rgba = colours(stored, quantity)
        rows = [
            [value, *_meaning(value, quantity), _shown(value, quantity, rgba[order].tolist())]
            for order, value in enumerate(stored.tolist())
        ]
        listed.append(
            {
                "quantity": quantity_json(quantity, KMA_LAW),
                "classes": classes_json(quantity, None),
                "values": rows,
            }
        )
    return listed


def _meaning(stored: int, quantity: Quantity) -> tuple[str, float | None, float | None]:
    """Return what a stored value is, dBZ, and mm/h by Z = 200 R^1.6."""
    if stored < quantity.undetect:
        return "unseen", None, None
    if stored < quantity.echo_from:
        return "dry", None, 0.0 if quantity.is_rain else None
    value = (stored - quantity.minus) / quantity.scale
    if quantity.is_rain:
        return "echo", 10 * (math.log10(200) + 1.6 * math.log10(value)) if value > 0 else None, value
    return "echo", value, (10 ** (value / 10) / 200) ** (1 / 1.6)


def _shown(stored: int, quantity: Quantity, rgba: list[int]) -> list[int]:
    if stored < quantity.undetect:
        return [1, 2, 3, 255]
    return rgba if rgba[3] else [4, 5, 6, 0]


@pytest.mark.slow
@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_reader_in_node(make_file: MakeFile, tmp_path: Path) -> None:
    source = tmp_path / frame_name()
    source.write_bytes(make_file())
    frame = hsrgeo.open_frame(source)
    files = _files(frame, tmp_path)
    cases = {
        "files": files,
        "refused": _refused(Path(files[0]["path"]).read_bytes(), tmp_path),
        "places": _places(),
        "quantities": _quantities(),
    }
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(cases), encoding="utf-8")
    done = subprocess.run(
        [str(NODE), "--test", "tests/gis/view"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HSRGEO_CASES": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout
    passed = int(done.stdout.partition("# pass ")[2].split()[0])
    assert passed == len(files) + len(cases["refused"]) + 5


def test_a_depth_has_its_classes_and_other_quantities_shades_of_grey() -> None:
    assert classes_json(DEPTH, None, 10)[-1] | {"rgb": None} == {
        "first": 150_000, "last": 2**31 - 1, "rgb": None, "label": "1500",
    }  # fmt: skip
    unknown = replace(QUANTITIES[4], name="values")
    greys = classes_json(unknown, grey_palette((100.0, 1300.0), 1))
    assert [one["label"] for one in greys[:3]] == ["100", "200", "300"]
    assert (greys[0]["first"], greys[0]["last"], greys[-1]["last"]) == (unknown.echo_from, 199, 32767)
    assert all(before["last"] + 1 == after["first"] for before, after in pairwise(greys))
    assert len(classes_json(unknown, grey_palette((5.0, 5.0), 1))) == 1
    assert len(classes_json(unknown, grey_palette(None, 1))) == 1


def test_a_span_tells_its_gaps_and_no_span_is_made_up() -> None:
    step, minute = timedelta(minutes=5), timedelta(minutes=1)
    first = TIME.replace(hour=23, minute=45, tzinfo=KST)
    times = [first, first + 2 * step, first + 4 * step, first + 4 * step + minute, first + timedelta(days=2)]
    windows = windows_of([(time, f"{order}.tif") for order, time in enumerate(times)], step)
    record = {span: [path for _time, path in window] for span, window in windows.items()}
    assert list(record) == ["2022-06-09", "2022-06-10", "2022-06-11"]
    assert record["2022-06-09"] == ["0.tif", None, "1.tif"]
    assert record["2022-06-10"][:4] == [None, "2.tif", "3.tif", None]
    assert len(record["2022-06-10"]) == 288 + 1
    assert len(record["2022-06-11"]) == 23 * 12 + 9 + 1  # 00:00 to 23:45
    assert record["2022-06-11"][-1] == "4.tif"


def test_sums_come_by_the_month_and_by_the_year() -> None:
    hours = [(TIME.replace(tzinfo=KST) + timedelta(hours=order), "") for order in range(800)]
    assert list(windows_of(hours, timedelta(hours=1))) == ["2022-06", "2022-07"]
    days = [(TIME.replace(tzinfo=KST) + timedelta(days=order), "") for order in range(400)]
    assert list(windows_of(days, timedelta(days=1))) == ["2022", "2023"]


def test_vendored_code_is_as_its_authors_released_it() -> None:
    """The file of fzstd 0.1.1 for browsers, and its licence, by SHA-256."""
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (PAGE / "vendor").iterdir()}
    assert sums == {
        "fzstd.js": "1a901fc5a58c349bbdb4f2aa1e688637ef56891ec58243a9f0cd863166b0d2a4",
        "fzstd.LICENSE": "62249119bb7df6e54300f37a37145c26a6d4420410aac8881a119c5b427cf751",
    }
