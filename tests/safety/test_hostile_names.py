"""Names that mean harm, through every command that prints: none reaches a terminal, a log or a spreadsheet as it is."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine.series.series_table import series_lines
from hsrgeo.errors import HsrGeoWarning, printable
from hsrgeo.model.texts import from_cell, json_line, to_cell
from tests.conftest import TIME, MakeFile, frame_name, make_tar

EVIL = "\x1b]0;x\x07\x1b[2J\nFORGED: ok\r\u202e\u2028\x9b31m[bold red]<script>&\"'"
"""An escape sequence of either kind, lines of its own, a turn of direction, rich's markup, HTML."""
FOLDER = EVIL.replace("/", "")
GAUGES = ("=cmd|' /C calc'!A0", "@" + EVIL, "-5", "+a")
STEP = timedelta(minutes=5)
BBOX = ("--bbox", "126.9", "37.4", "127.1", "37.6")


class Told:
    """Runs commands, and fails where anything of them could act on a terminal."""

    def __call__(self, *args: object, code: int | None = 0) -> str:
        env = {"COLUMNS": "200", "NO_COLOR": "1"}
        result = CliRunner().invoke(app, [str(arg) for arg in args], env=env)
        for line in (result.stdout + result.stderr).split("\n"):
            assert line.isprintable(), f"{args}: {line!r}"
            assert not line.startswith("FORGED")
        assert "a bug in hsrgeo" not in result.stderr
        assert code is None or result.exit_code == code, f"{args}: {result.stderr}"
        return result.stdout if "--json" in args else result.stdout + result.stderr


@pytest.fixture
def output() -> Told:
    return Told()


@pytest.fixture
def folder(tmp_path: Path, make_file: MakeFile) -> Path:
    """Give a folder of an odd name with an archive of odd members: three sound frames, and two broken ones."""
    home = tmp_path / FOLDER
    home.mkdir()
    stations = [(b"\x1b[2J\n", (2022, 6, 9, 11, 15, 0), (0,) * 6)]
    sound = [(f"{EVIL}/{frame_name(time)}", make_file(time=time, stations=stations)) for time in (TIME, TIME + STEP)]
    broken = [
        (f"{EVIL}/{frame_name(TIME + 3 * STEP)}", f"<html>{EVIL}".encode()),
        (f"RDR_CMP_{EVIL}.bin.gz".replace("/", ""), b"x"),
        (f"../{EVIL}", b"x"),
        (f"x.{EVIL}", b"x"),
        (f"{EVIL}.bin", b"x"),
    ]
    (home / "a.tar.gz").write_bytes(make_tar([*sound, *broken]))
    with (home / "gauges.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "lon", "lat"])
        rows.writerows([name, 126.95 + 0.03 * number, 37.5] for number, name in enumerate(GAUGES))
    (home / "bad").write_text(f"time,name,mm\n{EVIL},{EVIL},{EVIL}\n", encoding="utf-8", newline="")
    return home


@pytest.mark.slow
def test_every_command_that_prints(folder: Path, output: Told) -> None:
    archive, out, table = folder / "a.tar.gz", folder / "out", folder / "rain.csv"
    output("info", archive, code=1)
    assert json.loads(output("info", archive, "--json", "--jobs", 1, code=1))[0]["broken"]
    output("export", archive, *BBOX, "--out", out, "--dry-run", code=1)
    assert "x1b]0;x" in output("export", archive, *BBOX, "--out", out, "--jobs", 1, code=1)
    summary = json.loads(output("export", archive, *BBOX, "--out", out, "--jobs", 1, "--json", code=1))
    assert summary["out"] == str(out)
    lines = (out / "manifest.jsonl").read_text(encoding="utf-8").split("\n")
    assert all(line.isprintable() for line in lines)
    assert f"{EVIL}/{frame_name()}" in [json.loads(line)["member"] for line in lines[:-1]]
    output("verify", out, "--against", archive, code=None)
    output("extract", archive, "--out", folder / "unpacked", code=1)
    output("info", folder / "unpacked" / EVIL, code=None)
    output("cube", archive, *BBOX, "--out", folder / "cube.zarr", "--jobs", 1, code=1)
    output("accumulate", archive, *BBOX, "--out", folder / "sums", "--period", "10min", code=1)
    output("series", archive, "--points", folder / "gauges.csv", "--out", table, "--jobs", 1, code=1)
    output("vrt", out)
    output("qgis", out)
    output("stac", out)
    output("render", out, "--out", folder / "png", code=None)
    output("plot", "series", table, "--out", folder / "series.svg")
    output("plot", "sum", next((folder / "sums").rglob("*.tif")), "--out", folder / "sum.svg")
    output("gauges", "polygons", folder / "gauges.csv", "--out", folder / "thiessen.geojson")
    output("simulate", "--start", "2022-06-09T00:00", "--count", 1, "--out", folder / "made", code=None)
    for made in (folder / "series.svg", folder / "sum.svg", *folder.rglob("*.vrt"), *folder.rglob("*.qml")):
        ET.fromstring(made.read_bytes())  # noqa: S314 - made here
    with zipfile.ZipFile(out / "hsrgeo.qgz") as project:
        ET.fromstring(project.read("hsrgeo.qgs"))  # noqa: S314


@pytest.mark.parametrize(
    "args",
    [
        ["info", "{bad}"],
        ["sites", "{bad}"],
        ["export", "{bad}", "--out", "{out}"],
        ["export", "{home}/*", "--out", "{out}"],
        ["export", "{bad}", "--out", "{bad}"],
        ["export", "{tar}", "--regions", "{bad}", "--out", "{out}"],
        ["verify", "{home}", "--against", "{bad}"],
        ["extract", "{home}", "--out", "{bad}"],
        ["cube", "{bad}", "--out", "{out}.zarr"],
        ["cube", "{tar}", "--out", "{bad}"],
        ["accumulate", "{bad}", "--out", "{out}", "--period", "1h"],
        ["series", "{tar}", "--points", "{bad}", "--out", "{out}.csv"],
        ["series", "{tar}", "--polygons", "{bad}", "--out", "{out}.csv"],
        ["series", "{home}/gone", "--points", "{gauges}", "--out", "{out}.csv"],
        ["render", "{bad}", "--out", "{out}"],
        ["plot", "series", "{gauges}", "--out", "{out}.svg"],
        ["plot", "sum", "{bad}", "--out", "{out}.svg"],
        ["gauges", "polygons", "{bad}", "--out", "{out}.geojson"],
        ["gauges", "field", "{bad}", "--gauges", "{gauges}", "--step", "1h", "--out", "{out}"],
        ["gauges", "bias", "{bad}", "--radar", "{gauges}", "--step", "1h", "--out", "{out}.csv"],
        ["qgis", "{home}"],
        ["stac", "{home}"],
        ["vrt", "{home}"],
        ["vrt", "--raw", "{bad}"],
        ["grids", "{bad}"],
        ["--{bad}"],
        ["info", "--{bad}"],
        ["{bad}"],
        ["export", "{tar}", "--out", "{out}", "--step", "{bad}"],
        ["export", "{tar}", "--out", "{out}", "--compress", "{bad}"],
        ["plot", "series", "{gauges}", "--name", "{bad}", "--out", "{out}.svg"],
    ],
    ids=" ".join,
)
def test_every_command_that_fails(folder: Path, output: Told, args: list[str]) -> None:
    known = {
        "home": folder,
        "bad": folder / "bad",
        "out": folder / "out",
        "tar": folder / "a.tar.gz",
        "gauges": folder / "gauges.csv",
    }
    assert output(*(arg.format(**known) for arg in args), code=None)


def test_a_spreadsheet_takes_no_name_for_a_formula(folder: Path, output: Told) -> None:
    table = folder / "rain.csv"
    output("series", folder / "a.tar.gz", "--points", folder / "gauges.csv", "--out", table, "--jobs", 1, code=1)
    with table.open(encoding="utf-8", newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)][: len(GAUGES)]
    assert names == ["'=cmd|' /C calc'!A0", "'@" + GAUGES[1].strip()[1:], "-5", "'+a"]
    assert [name for _time, name, *_numbers in series_lines(table)][: len(GAUGES)] == [n.strip() for n in GAUGES]


def test_cells_and_their_texts() -> None:
    for text, cell in (
        ("=1+1", "'=1+1"),
        ("+82-2", "'+82-2"),
        ("\t=1", "'\t=1"),
        ("-5", "-5"),
        ("-1.5e3", "-1.5e3"),
        ("강남", "강남"),
        ("'=1", "''=1"),  # so that reading gives back each
        ("'a", "'a"),
        ("", ""),
    ):
        assert (to_cell(text), from_cell(cell)) == (cell, text)


def test_what_is_printed_and_what_json_has() -> None:
    assert printable("a\x1b[2J\n\u202e\x9b\ud800 강남 [bold]") == r"a\x1b[2J\n\u202e\x9b\ud800 강남 [bold]"
    for text in (EVIL, "\ud800 강남 \U000e0001"):
        line = json_line({"name": text})
        assert line.isprintable()
        assert json.loads(line) == {"name": text}
    rows = list(csv.reader(io.StringIO(to_cell(EVIL), newline="")))
    assert rows


def test_warnings_of_the_library_show_no_name_as_it_is(folder: Path) -> None:
    with pytest.warns(HsrGeoWarning) as caught:
        hsrgeo.open(str(folder)).close()
    texts = [str(one.message) for one in caught]
    assert any("FORGED" in text for text in texts)
    assert all(text.isprintable() for text in texts)
