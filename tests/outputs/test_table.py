"""The manifest as a table: what each picture holds, and from there to the frames that are wanted."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hsrgeo
from hsrgeo.errors import HsrGeoWarning, ManifestError, OptionsError
from hsrgeo.outputs.outcome import from_json
from tests.conftest import NX, NY, TIME, MakeFile, frame_name

WINDOW = (100, 200, 4, 2)


@pytest.fixture
def source(tmp_path: Path, make_file: MakeFile) -> Path:
    """Return a folder of a dry frame and, five minutes later, one with rain."""
    (tmp_path / "in").mkdir()
    dry = np.full((NY, NX), -25000, np.int16)
    wet = dry.copy()
    wet[200:202, 100:104] = [[-30000, 1000, 2000, 3000], [-25000, -25000, -25000, -25000]]
    for number, layer in enumerate((dry, wet)):
        time = TIME + timedelta(minutes=5 * number)
        (tmp_path / "in" / frame_name(time)).write_bytes(make_file(layer, time=time))
    return tmp_path / "in"


@pytest.mark.parametrize("way", [{}, {"sidecars": False}, {"formats": "cog"}])
def test_the_manifest_is_a_table_of_what_pictures_hold(source: Path, tmp_path: Path, way: dict[str, Any]) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {"window": WINDOW, "formats": "png", "jobs": 1, "sync": False, **way}
    hsrgeo.export(source, out, **options).run()
    dry, wet = hsrgeo.read_manifest(out)
    assert dry["time"] == TIME
    assert (dry["nodata"], dry["undetect"], dry["echo"], dry["maximum"]) == (0, 8, 0, None)
    suffix = ".tif" if options["formats"] == "cog" else ".png"
    assert wet == {
        "time": TIME + timedelta(minutes=5),
        "product": "HSR",
        "kind": "PUB",
        "region": "",
        "path": str(out / f"202206/09/202206091120{suffix}"),
        "source": str(source / frame_name(TIME + timedelta(minutes=5))),
        "unit": "dBZ",
        "nodata": 1,
        "undetect": 4,
        "echo": 3,
        "minimum": 10.0,
        "mean": 20.0,
        "maximum": 30.0,
        "stddev": 8.165,  # sqrt(200 / 3)
    }
    assert Path(wet["path"]).is_file()
    rainy = [row["time"] for row in hsrgeo.read_manifest(out) if row["echo"] > 0.2 * (row["echo"] + row["undetect"])]
    chosen = hsrgeo.export(source, tmp_path / "rainy", times=rainy, jobs=1, sync=False, window=WINDOW)
    assert [outcome.frame_name.time for outcome in chosen if outcome.frame_name] == [TIME + timedelta(minutes=5)]


def test_rain_and_regions_have_their_own_statistics(source: Path, tmp_path: Path) -> None:
    lonlat = hsrgeo.open_frame(source / frame_name()).crop(window=WINDOW).grid.lonlat([0.0, 1.0], [0.0, 3.0])
    (west, east), (north, south) = lonlat
    box = hsrgeo.BBox(float(west), float(south), float(east), float(north))
    south_sea = hsrgeo.BBox(126, 33, 126.02, 33.02)
    regions = [hsrgeo.Region("north", box), hsrgeo.Region("south", south_sea)]
    out = tmp_path / "out"
    hsrgeo.export(source, out, regions=regions, quantity="rain", formats="png", jobs=1, sync=False).run()
    rows = hsrgeo.read_manifest(out)
    assert [row["region"] for row in rows] == ["north", "south"] * 2
    assert [row["unit"] for row in rows] == ["mm/h"] * 4
    assert [row["maximum"] for row in rows] == [0.0, 0.0, 2.73, 0.0]  # (1000 / 200) ** (1 / 1.6) = 2.734 at 30 dBZ


def test_a_manifest_without_statistics_is_read_and_one_that_is_damaged_refused(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hsrgeo.export(source, out, window=WINDOW, formats="png", jobs=1, sync=False).run()
    manifest = out / "manifest.jsonl"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for bad in ([1], "x", {"": 1}, {"": {**lines[0]["statistics"][""], "echo": -1}}, {"": {"unit": "dBZ"}}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            from_json(lines[0] | {"statistics": bad})
    huge = lines[1]["statistics"][""] | {"mean": 10**400}
    with pytest.raises(ValueError, match="where a number is expected"):
        from_json(lines[1] | {"statistics": {"": huge}})
    for line in lines:
        del line["statistics"]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [row["echo"] for row in hsrgeo.read_manifest(out)] == [None, None]
    with pytest.raises(ManifestError, match=r"no manifest.jsonl there: is it the OUT of an export\?$"):
        hsrgeo.read_manifest(source)
    manifest.write_text("damaged\n")
    with pytest.warns(HsrGeoWarning, match="damaged"):
        assert hsrgeo.read_manifest(out) == []


def test_a_mask_tells_unobserved_from_dry(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    small: dict[str, Any] = {"window": WINDOW, "jobs": 1, "sync": False}
    hsrgeo.export(source, out, formats=("mask", "png"), sidecars=False, **small).run()
    assert {path.name for path in out.rglob("*20.*")} == {"202206091120.png", "202206091120.mask.png"}
    with Image.open(out / "202206/09/202206091120.png") as picture:
        assert np.array_equal(np.asarray(picture)[:, 0], [0, 0])  # not observed, and no echo: 0 both
    with Image.open(out / "202206/09/202206091120.mask.png") as mask:
        assert (mask.mode, mask.size) == ("L", (4, 2))
        assert np.array_equal(np.asarray(mask), [[0, 255, 255, 255], [255, 255, 255, 255]])
    assert list(hsrgeo.verify(out, source, jobs=1)) == []
    other = out / "202206/09/202206091115.mask.png"
    (out / "202206/09/202206091120.mask.png").write_bytes(other.read_bytes())
    found = [(one.path, one.problem) for one in hsrgeo.verify(out, source, jobs=1)]
    assert ("202206/09/202206091120.mask.png", "pixels, 1 of 8 differ, the first in row 0, column 0") in found
    with pytest.raises(OptionsError, match="mask goes beside PNGs"):
        hsrgeo.export(source, out, formats=("cog", "mask"), **small)
