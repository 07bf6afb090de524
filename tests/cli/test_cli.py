from __future__ import annotations

import errno
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.cli import options as cli_options
from hsrgeo.model.grid_catalog import MAIN_GRID, grids
from tests.conftest import NX, NY, TIME, MakeFile, frame_name, hear_signals, make_tar

COMMANDS = ["export", "info", "verify", "grids", "extract", "simulate"]
WINDOW = ("--window", "400", "600", "64", "32")
BLANK = np.full((NY, NX), -30000, np.int16)


def run(*args: object, columns: int = 200) -> Result:
    """Run a command in this process; no traceback may reach the user."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": str(columns), "NO_COLOR": "1"})
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def process(*args: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    environment = {**os.environ, **options.pop("env", {})}
    done = subprocess.run(
        [sys.executable, "-m", "hsrgeo", *map(str, args)],
        capture_output=True,
        check=False,
        env=environment,
        encoding="utf-8",
        errors="surrogateescape",
        **options,
    )
    assert "Traceback" not in done.stderr
    return done


def words(text: str) -> str:
    """Return a message of a box without the box."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", text).split())


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def source(tmp_path: Path, frame_file: bytes, make_file: MakeFile) -> Path:
    """Give a folder of two sound frames, 11:15 and 11:20."""
    folder = tmp_path / "in"
    folder.mkdir()
    later = TIME + timedelta(minutes=5)
    (folder / frame_name()).write_bytes(frame_file)
    (folder / frame_name(later)).write_bytes(make_file(time=later))
    return folder


@pytest.fixture
def broken(source: Path) -> Path:
    """Give that folder with an empty frame at 11:25 and a text file."""
    (source / frame_name(TIME + timedelta(minutes=10))).write_bytes(b"")
    (source / "readme.txt").write_bytes(b"x")
    return source


# Help and version


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_fits_the_terminal(command: str | None, columns: int) -> None:
    result = run(*([command] if command else []), "--help", columns=columns)
    assert (result.exit_code, result.stderr) == (0, "")
    assert max(map(len, result.stdout.splitlines())) <= columns
    assert f"Usage: hsrgeo {command or '[OPTIONS] COMMAND'}" in words(result.stdout)
    assert not any(mark in result.stdout for mark in ("…", "<bool>", "list[", "│"))
    assert not re.search(r"\w\.\.\.$", result.stdout, re.MULTILINE)  # nothing is cut
    assert run(*([command] if command else []), "-h", columns=columns).stdout == result.stdout


def test_paragraphs_of_the_help_are_broken_where_the_terminal_ends() -> None:
    shown = run("accumulate", "--help", columns=80).stdout
    head = [line.strip() for line in shown.partition("Arguments:")[0].splitlines()]
    first = next(number for number, line in enumerate(head) if line.startswith("Each frame adds"))
    after = head.index("", first)
    for line, following in itertools.pairwise(head[first:after]):
        assert len(f"  {line} {following.split()[0]}") > 78  # the next word had no room
    assert head[after + 1].startswith("Example: hsrgeo accumulate")


def test_markup_eats_nothing_of_the_help() -> None:
    assert "needs hsrgeo[series]" in words(run("series", "--help").stdout)
    for command in ("cube", "render", "plot", "gauges"):
        assert f"pip install 'hsrgeo[{command}]'" in words(run(command, "--help").stdout)


def test_every_option_of_the_issue_is_in_the_help() -> None:
    text = run("export", "--help").stdout
    options = "--start --end --every --product --bbox --window --center --size --regions --format --compress --values "
    options += "--name --jobs --overwrite --fail-fast --dry-run --quiet --json --out"
    assert [option for option in options.split() if option not in text] == []
    assert "{time:%Y%m/%d/%Y%m%d%H%M}" in text
    for command in COMMANDS:
        assert command in run("--help").stdout
    assert "0 all done, 1 something was broken" in run("--help").stdout
    assert "2 wrong usage, 3 a limit of a service is reached, 130 interrupted" in words(run("--help").stdout)


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"hsrgeo {hsrgeo.__version__}\n")


@pytest.mark.parametrize("args", [[], *([command] for command in COMMANDS if command != "grids")], ids=str)
def test_nothing_asked_shows_help(args: list[str]) -> None:
    output = run(*args).output
    assert words(output).startswith(f"Usage: hsrgeo {' '.join(args)}".strip())
    assert "\n\nOptions:\n" in output


@pytest.mark.parametrize("command", [(), ("export",), ("gauges", "field")], ids=" ".join)
def test_help_of_a_command_is_its_help(command: tuple[str, ...]) -> None:
    assert run("help", *command).stdout.splitlines() == run(*command, "--help").stdout.splitlines()


def test_a_shell_completes_commands_and_options() -> None:
    asked = {"_HSRGEO_COMPLETE": "complete_bash", "COMP_CWORD": "2", "COMP_WORDS": "hsrgeo export --wind"}
    code = "import sys; sys.argv = ['hsrgeo']; from hsrgeo.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["--window"]


@pytest.mark.parametrize(
    "numbers",
    [("--bbox", "126.7,37.4,127.2,37.7"), ("--bbox=126.7,37.4,127.2,37.7",), ("--bbox", "126.7, 37.4, 127.2, 37.7")],
    ids=" ".join,
)
def test_numbers_may_be_one_text(source: Path, tmp_path: Path, numbers: tuple[str, ...]) -> None:
    apart = run("export", source, "--bbox", 126.7, 37.4, 127.2, 37.7, "--out", tmp_path / "a", "--format", "png", "-j1")
    assert apart.exit_code == 0
    joined = run("export", source, *numbers, "--out", tmp_path / "a", "--format", "png")
    assert "2 frames: 2 there already" in joined.stderr  # another box would be another run


# Wrong usage


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["bogus"], "No such command 'bogus'."),
        (["--bogus"], "No such option: --bogus"),
        (["export", "{in}"], "Missing option '--out'"),
        (["export", "--out", "{out}"], "Missing argument 'SOURCE"),
        (["export", "{in}", "--out", "{out}", "--bogus"], "No such option: --bogus"),
        (
            ["export", "{in}", "--out", "{out}", "--window", "1", "2", "3"],
            "Option '--window' requires 4 arguments: COL ROW WIDTH HEIGHT.",
        ),
        (["export", "{in}", "--out", "{out}", "--window", "1", "2", "3", "x"], "Invalid value for '--window'"),
        (
            ["export", "{in}", "--out", "{out}", "--bbox", "1", "2", "3", "x"],
            "Invalid value for '--bbox': 'x'",
        ),
        (
            ["export", "{in}", "--window", "1", "2", "3", "--out", "{out}"],
            "Option '--window' requires 4 arguments: COL ROW WIDTH HEIGHT.",
        ),
        (["export", "{in}", "--out", "{out}", "--bbox=126,37,127"], "Option '--bbox' requires 4 arguments: W S E N."),
        (
            ["export", "{in}", "--out", "{out}", "--bbox", "126,37,127,38,39"],
            "Option '--bbox' requires 4 arguments: W S E N.",
        ),
        (["export", "{in}", "--out", "--bbox", "126", "37", "127", "38"], "Option '--out' requires an argument."),
        (
            ["gauges", "polygons", "{in}/no.csv", "--out", "{out}", "--bbox", "1", "2", "3", "-h"],
            "requires 4 arguments: W S E N.",
        ),
        (["help", "bogus"], "No such command 'bogus'."),
        (["export", "{in}", "--out", "{out}", "--center", "127"], "Option '--center' requires 2 arguments: LON LAT."),
        (["export", "{in}", "--out", "{out}", "--format", "tif"], "Invalid value for '--format': 'tif' is not one of"),
        (["export", "{in}", "--out", "{out}", "--compress", "lzw"], "Invalid value for '--compress'"),
        (["export", "{in}", "--out", "{out}", "--values", "dbz"], "Invalid value for '--values'"),
        (
            ["export", "{in}", "--out", "{out}", "--jobs", "many"],
            "Invalid value for '--jobs' / '-j': 'many'",
        ),
        (["export", "{in}/nowhere", "--out", "{out}"], "hsrgeo: {in}/nowhere: no such file or folder"),
        (["export", "{in}/*.tar", "--out", "{out}"], "hsrgeo: {in}/*.tar: no file matches this pattern"),
        (
            ["export", "{in}", "--out", "{out}", "--bbox", "127", "37", "126", "38"],
            "hsrgeo: --bbox 127 37 126 38: west must",
        ),
        (["export", "{in}", "--out", "{out}", "--bbox", "1", "1", "2", "2"], "hsrgeo: --bbox 1 1 2 2 does not touch"),
        (
            ["export", "{in}", "--out", "{out}", "--bbox", "126", "37", "127", "nan"],
            "every edge must be a finite number",
        ),
        (["export", "{in}", "--out", "{out}", "--bbox", "nan,37,127,38"], "hsrgeo: --bbox nan 37 127 38: every edge"),
        (
            ["export", "{in}", "--out", "{out}", "--window", "0", "0", "0", "5"],
            "hsrgeo: --window 0 0 0 5: width and height",
        ),
        (
            ["export", "{in}", "--out", "{out}", "--window", "-1", "0", "5", "5"],
            "hsrgeo: --window -1 0 5 5: offsets count",
        ),
        (["export", "{in}", "--out", "{out}", "--window", "0", "0", "9999", "5"], "hsrgeo: --window 0 0 9999 5"),
        (
            ["export", "{in}", "--out", "{out}", *WINDOW, "--center", "1", "2", "--size", "3"],
            "hsrgeo: choose one area: --window and --center exclude",
        ),
        (["export", "{in}", "--out", "{out}", "--size", "3"], "hsrgeo: --center and --size go together"),
        (
            ["export", "{in}", "--out", "{out}", "--regions-field", "x"],
            "hsrgeo: --regions-field and --regions-encoding are for a file of regions: give --regions too",
        ),
        (
            ["export", "{in}", "--out", "{out}", "--max-rate", "9"],
            "--max-rate is a limit of rain: give --quantity rain",
        ),
        (["accumulate", "{in}", "--out", "{out}", "--region", "x"], "hsrgeo: --region is for an exported folder that"),
        (["render", "{in}", "--out", "{out}.png", "--fps", "3"], "hsrgeo: --fps is for animations"),
        (["fetch", "--out", "{out}"], "hsrgeo: choose times by one of --latest, --last, --day or --start"),
        (
            ["sample", "{in}", "--out", "{out}.csv", "--block", "all"],
            "hsrgeo: --block all: a table has one value; choose",
        ),
        (["export", "{in}", "--out", "{out}", "--regions", "{in}/no.csv"], "hsrgeo: {in}/no.csv: cannot be read"),
        (["export", "{in}", "--out", "{out}", "--start", "yesterday"], "hsrgeo: time 'yesterday': expected"),
        (
            ["export", "{in}", "--out", "{out}", "--start", "202207", "--end", "202206"],
            "hsrgeo: --end 2022-06-01 00:00 KST is not after --start 2022-07-01 00:00 KST (the end is exclusive)",
        ),
        (
            ["export", "{in}", "--out", "{out}", "--every", "7min"],
            "hsrgeo: length of time '7min': must divide a day evenly",
        ),
        (
            ["export", "{in}", "--out", "{out}", "--every", "often"],
            "hsrgeo: length of time 'often': expected a number and one of min, h and d",
        ),
        (["export", "{in}", "--out", "{out}", "--name", "x"], "without a time all frames would share one file"),
        (["export", "{in}", "--out", "{out}", "--name", "../{time:%H}"], "the path must stay inside OUT"),
        (["export", "{in}", "--out", "{out}", "--name", "{time.year}"], "'time.year' is not known"),
        (["export", "{in}", "--out", "{out}", "--name", ""], "without a time"),
        (["export", "{in}", "--out", "{out}", "--jobs", "0"], "hsrgeo: --jobs 0: expected 1 or more"),
        (["export", "{in}", "--out", "{out}", "--block", "0"], "hsrgeo: --block 0: blocks are counted from 1"),
        (
            ["accumulate", "{in}", "--out", "{out}", "--rolling", "48h"],
            "rolling 2d: must be whole steps of 5min long, 24h",
        ),
        (["accumulate", "{in}", "--out", "{out}", "--rolling", "often"], "'often': expected a number and one of"),
        (
            ["export", "{in}", "--out", "{out}", "--jobs", "2", "--dask", "tcp://127.0.0.1:1"],
            "--jobs and --dask exclude",
        ),
        (["info"], "Usage"),
        (["info", "{in}/nowhere"], "hsrgeo: {in}/nowhere: no such file or folder"),
        (["info", "{in}", "--jobs", "0"], "hsrgeo: --jobs 0"),
        (
            ["info", "{in}", "01:00"],
            "hsrgeo: 01:00: no such file or folder; a time with a space in it needs quotes, as ",
        ),
        (
            ["accumulate", "{in}", "--out", "{out}", "--min-coverage", "90"],
            "hsrgeo: --min-coverage 90: expected a share",
        ),
        (["verify", "{in}"], "Missing option '--against'"),
        (["verify", "{in}", "--against", "{in}"], "no manifest.jsonl there: is it the OUT of an export?"),
        (["verify", "{in}/no", "--against", "{in}"], "no: no such folder; expected the OUT of an export"),
        (["grids", "nowhere"], "hsrgeo: grid 'nowhere' is not known: expected one of kma-hb-500m, kma-hb-1km"),
        (["grids", "--as", "proj"], "hsrgeo: --as needs a NAME: one of kma-hb-500m, kma-hb-1km"),
        (["grids", "kma-hb-1km", "--as", "epsg"], "Invalid value for '--as'"),
        (["grids", "a", "b"], "Got unexpected extra argument"),
        (["extract", "{in}"], "Missing option '--out'"),
        (["extract", "{in}", "--out", "{out}"], "no archive there (.tar.gz, .tgz, .tar.bz2,"),
        (["extract", "{in}/no.tar", "--out", "{out}"], "hsrgeo: {in}/no.tar: no such file or folder"),
        (["simulate", "--out", "{out}"], "Missing option '--start'"),
        (["simulate", "--out", "{out}", "--start", "never"], "hsrgeo: time 'never': expected"),
        (
            ["simulate", "--out", "{out}", "--start", "202206", "--frames", "0"],
            "hsrgeo: --frames 0: expected 1 or more",
        ),
        (
            ["simulate", "--out", "{out}", "--start", "202206", "--grid", "earth"],
            "hsrgeo: --grid 'earth': expected one of",
        ),
        (["simulate", "--out", "{out}", "--start", "202206", "--rain", "hail"], "Invalid value for '--rain'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_2_with_a_message_and_nothing_is_written(
    source: Path, tmp_path: Path, args: list[str], message: str
) -> None:
    places = {"{in}": str(source), "{out}": str(tmp_path / "out")}
    for mark, place in places.items():
        args = [arg.replace(mark, place) for arg in args]
        message = message.replace(mark, place)
    before = files(tmp_path)
    result = run(*args)
    assert result.exit_code == 2
    if args != ["info"]:
        assert result.stdout == ""
        assert words(message) in words(result.stderr)
    assert files(tmp_path) == before


# Export


def test_export_writes_and_tells_on_stderr(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("export", source, "--out", out, *WINDOW, "--jobs", "1")
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.fullmatch(r"2 frames: 2 written \([\d.]+ kB in [\d.]+ s, [\d,]+ frames?/s\)\n", result.stderr)
    stems = ["202206/09/202206091115", "202206/09/202206091120"]
    suffixes = [".tif", ".png", ".pgw", ".prj", ".png.aux.xml"]
    assert files(out) == {stem + suffix for stem in stems for suffix in suffixes} | {"manifest.jsonl", "options.json"}
    with Image.open(out / f"{stems[0]}.png") as picture:
        # the default frame's echo is k % 6000 - 500 from column 400, row 600 on, 256 cells a row; + 1000 in a PNG
        assert np.asarray(picture)[:2].tolist() == [list(range(500, 564)), list(range(756, 820))]


def test_the_same_again_does_nothing(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("export", source, "--out", out, *WINDOW, "--jobs", "1")
    before = {path: (out / path).stat().st_mtime_ns for path in files(out) if path.endswith((".tif", ".png"))}
    result = run("export", source, "--out", out, *WINDOW, "--jobs", "1")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("2 frames: 2 there already (0 B in ")
    assert {path: (out / path).stat().st_mtime_ns for path in before} == before


def test_a_file_where_out_should_be_is_named(source: Path, tmp_path: Path) -> None:
    taken = tmp_path / "메모"
    taken.write_text("mine")
    for out, text in ((taken, "is a file"), (taken / "a" / "b", f"{taken} is a file")):
        result = run("export", source, "--out", out, *WINDOW)
        assert (result.exit_code, result.stderr) == (2, f"hsrgeo: {out}: {text}, and must be a folder\n")
    assert taken.read_text() == "mine"


def test_other_options_over_the_same_out_are_refused(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("export", source, "--out", out, *WINDOW, "--jobs", "1")
    before = files(out)
    result = run("export", source, "--out", out, "--jobs", "1", "--values", "raw", *WINDOW)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"hsrgeo: {out}: was exported with other options (values: clean there, raw now)" in result.stderr
    assert files(out) == before
    replaced = run("export", source, "--out", out, "--jobs", "1", "--values", "raw", *WINDOW, "--overwrite")
    assert replaced.exit_code == 0


def test_a_broken_frame_is_reported_and_the_others_written(broken: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("export", broken, "--out", out, *WINDOW, "--jobs", "1", "--format", "cog")
    assert (result.exit_code, result.stdout) == (1, "")
    bad = broken / frame_name(TIME + timedelta(minutes=10))
    lines = result.stderr.splitlines()
    assert lines[0] == f"failed: {bad}: empty file: expected a composite, found 0 bytes"
    assert lines[1].startswith("3 frames: 2 written, 1 failed (")
    assert lines[2] == "1 other file skipped (1 x .txt)"
    assert {path for path in files(out) if path.endswith(".tif")} == {
        "202206/09/202206091115.tif",
        "202206/09/202206091120.tif",
    }
    manifest = [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["status"], line["source"]) for line in manifest if line["status"] != "ok"] == [("failed", str(bad))]


def test_more_broken_frames_than_are_reported_are_counted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for minute in range(13):
        (tmp_path / "in" / frame_name(TIME + timedelta(minutes=minute))).write_bytes(b"")
    out = tmp_path / "out"
    result = run("export", tmp_path / "in", "--out", out, "--jobs", "1")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert [line.startswith("failed: ") for line in lines] == [True] * 11 + [False]
    assert lines[10] == f"failed: 3 more; all are in {out / 'manifest.jsonl'}"


def test_json_is_one_object_on_stdout(broken: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("export", broken, "--out", out, *WINDOW, "--jobs", "1", "--json")
    record = json.loads(result.stdout)
    assert result.exit_code == 1
    counts = {
        name: record[name] for name in ("frames", "ok", "failed", "skipped", "duplicate", "planned", "unselected")
    }
    assert counts == {"frames": 3, "ok": 2, "failed": 1, "skipped": 0, "duplicate": 0, "planned": 0, "unselected": 0}
    assert (record["out"], record["manifest"]) == (str(out), str(out / "manifest.jsonl"))
    assert record["bytes"] == sum((out / path).stat().st_size for path in files(out) if path.startswith("202206/"))
    assert record["passed_over"] == {".txt": 1}
    (error,) = record["errors"]
    assert error["type"] == "EmptyFileError"
    assert "expected a composite, found 0 bytes" in error["message"]
    quiet = run("export", broken, "--out", tmp_path / "out 2", *WINDOW, "--jobs", "1", "--json", "--quiet")
    assert json.loads(quiet.stdout)["ok"] == 2


def test_quiet_tells_errors_only(broken: Path, tmp_path: Path) -> None:
    result = run("export", broken, "--out", tmp_path / "out", *WINDOW, "--jobs", "1", "-q")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("failed: ")


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_dry_run_lists_and_writes_nothing(broken: Path, tmp_path: Path, quiet: list[str]) -> None:
    before = files(tmp_path)
    out = tmp_path / "out"
    result = run("export", broken, "--out", out, *WINDOW, "--dry-run", *quiet)
    # from names alone: that one of the three is empty is not known yet
    stems = [f"{out}/202206/09/2022060911{minute}" for minute in (15, 20, 25)]
    listed = [stem + suffix for stem in stems for suffix in (".tif", ".png")]
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ([] if quiet else listed)
    if not quiet:
        assert result.stderr.startswith("3 frames: 3 would be written\n")
    assert files(tmp_path) == before
    assert not out.exists()


def test_times_products_and_steps_choose(source: Path, tmp_path: Path) -> None:
    def planned(*options: str) -> list[str]:
        result = run("export", source, "--out", tmp_path / "out", "--dry-run", "--format", "png", *options)
        return [Path(line).stem[-4:] for line in result.stdout.splitlines()]

    assert planned("--start", "2022-06-09T11:20") == ["1120"]
    assert planned("--end", "2022-06-09T11:20") == ["1115"]  # the end is exclusive
    assert planned("--start", "2022-06-09T02:20Z") == ["1120"]  # 02:20 in Greenwich is 11:20 in Seoul
    assert planned("--every", "10min") == ["1120"]
    assert planned("--product", "hsr") == ["1115", "1120"]
    assert planned("--product", "CPP") == []


def test_no_frame_is_no_success(source: Path, tmp_path: Path) -> None:
    result = run("export", source, "--out", tmp_path / "out", "--product", "CPP", "--jobs", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    there = "there is HSR of 2022-06-09 11:15 to 2022-06-09 11:20 KST"
    assert result.stderr == f"no frame found (2 outside the selection): {there}\n"


@pytest.mark.parametrize(
    "command",
    [
        ("render", "--out", "m.gif"),
        ("cube", "--out", "c.zarr"),
        ("accumulate", "--out", "sums"),
        ("series", "--points", "places.csv", "--out", "s.csv"),
    ],
)
@pytest.mark.parametrize("kind", ["frames", "archive", "export"])
def test_every_command_tells_what_is_there_where_nothing_is_wanted(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("places.csv").write_text("name,lon,lat\na,127,37\n", encoding="utf-8")
    frames = sorted(source.glob("*.bin.gz"))
    given: Path = source
    if kind == "archive":
        given = tmp_path / "a.tar.gz"
        given.write_bytes(make_tar([(path.name, path.read_bytes()) for path in frames]))
    elif kind == "export":
        if command[0] == "cube":
            pytest.skip("a cube is made of frames")
        given = tmp_path / "exported"
        run("export", source, "--out", given, *WINDOW, "--format", "cog", "--jobs", 1)
    name, *options = command
    result = run(name, given, *options, "--start", "2023-01-01")
    assert result.exit_code == 1
    assert "(2 outside the selection): there is HSR of 2022-06-09 11:15 to 2022-06-09 11:20 KST" in result.stderr


def test_a_box_that_is_cut_is_noted(source: Path, tmp_path: Path) -> None:
    result = run("export", source, "--out", tmp_path / "out", "--bbox", 126, 20, 127, 35, "--dry-run")
    assert result.exit_code == 0
    assert result.stderr.startswith("note: bbox 126 20 127 35 reaches outside kma-hb-500m and is cut at its edge")


def test_fail_fast_stops_at_the_first(broken: Path, tmp_path: Path) -> None:
    (broken / frame_name(TIME - timedelta(minutes=5))).write_bytes(b"")  # comes first
    result = run("export", broken, "--out", tmp_path / "out", *WINDOW, "--jobs", "1", "--fail-fast", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["failed"] == 1


def test_an_archive_cut_to_regions(tmp_path: Path, frame_file: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(make_tar([(f"RDR_HSR_202206/09/{frame_name()}", frame_file)]))
    (tmp_path / "regions.csv").write_text(
        "name,west,south,east,north\n서울 강남,126.7,37.4,127.2,37.7\nBusan,128.8,35.0,129.3,35.4\n",
        encoding="utf-8-sig",
    )
    out = tmp_path / "out"
    options = ["--regions", tmp_path / "regions.csv", "--format", "cog", "--jobs", "1"]
    assert run("export", tmp_path / "a.tar.gz", "--out", out, *options).exit_code == 0
    assert {path for path in files(out) if path.endswith(".tif")} == {
        "서울 강남/202206/09/202206091115.tif",
        "Busan/202206/09/202206091115.tif",
    }


# Info


def test_info_of_a_frame(source: Path) -> None:
    result = run("info", source / frame_name())
    assert (result.exit_code, result.stderr) == (0, "")
    record = dict(line.strip().split(None, 1) for line in result.stdout.splitlines()[1:])
    assert result.stdout.splitlines()[0] == frame_name()
    # 1153 x 1441 = 1,661,473 cells; see tests/conftest.py and test_inspect.py for the numbers
    assert record == {
        "product": "HSR PUB",
        "time": "2022-06-09 11:15 KST  (2022-06-09T02:15:00Z)",
        "created": "2022-06-09 11:21:42 KST",
        "quantity": "reflectivity [dBZ], block 1 of 1",
        "grid": "kma-hb-1km, 1153 x 1441 cells of 1000 m",
        "stations": "3: KWK GDK BRI",
        "nodata": "461,485 cells (27.8 %)",
        "undetect": "1,134,452 cells (68.3 %)",
        "echo": "65,536 cells (3.9 %): minimum -5, mean 24.80, maximum 54.99 dBZ",
        "blends": "19 cells, counted as nodata or undetect",
        "header": record["header"],
        "CRC-32": f"{hsrgeo.open_frame(source / frame_name()).crc32:08x}",
    }
    assert record["header"].startswith("version 1, ptype 5, map_code 1, map_etc 0, nx 1153, ny 1441, nz 1, dxy 1000")


def test_info_of_a_frame_without_echo_stations_and_creation(tmp_path: Path, make_file: MakeFile) -> None:
    path = tmp_path / "x.bin.gz"
    path.write_bytes(make_file(BLANK, stations=[], tm_in_fields=(0, 0, 0, 0, 0, 0), etc=b"SYNTHETIC"))
    text = run("info", path).stdout
    assert "x.bin.gz  (SYNTHETIC: made by hsrgeo simulate)" in text
    assert "created   not filled in" in text
    assert "echo      0 cells (0.0 %): none" in text
    assert "stations  0:" in text


def test_info_of_a_folder(broken: Path) -> None:
    bad = broken / frame_name(TIME + timedelta(minutes=10))
    (broken / frame_name(TIME + timedelta(minutes=5))).unlink()
    (broken / frame_name()).rename(broken / frame_name(kind="EXT"))
    result = run("info", broken, "--jobs", "1")
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.splitlines() == [
        str(broken),
        "  frames    1 sound (1 HSR EXT), 1 broken",
        "  time      2022-06-09 11:15 KST",
        "  gaps      none (against one frame every 5 minutes)",
        f"  broken    {bad}: empty file: expected a composite, found 0 bytes",
        "  other     1 file not taken for frames (1 x .txt)",
    ]


def test_info_tells_gaps_and_repeats(source: Path, make_file: MakeFile, frame_file: bytes) -> None:
    for minutes in (20, 30):
        late = TIME + timedelta(minutes=minutes)
        (source / frame_name(late)).write_bytes(make_file(BLANK, time=late))
    (source / "again").mkdir()
    (source / "again" / frame_name()).write_bytes(frame_file)
    lines = run("info", source, "--jobs", "1").stdout.splitlines()
    assert "  gaps      3 frames missing in 2 gaps (against one frame every 5 minutes)" in lines
    assert "            HSR 2022-06-09 11:25 to 2022-06-09 11:30 KST: 2 missing" in lines
    assert "            HSR 2022-06-09 11:40 KST: 1 missing" in lines
    assert "  repeated  1 frame of a time that is there already" in lines


def test_info_of_frames_of_before_september_2019(tmp_path: Path, make_file: MakeFile) -> None:
    for minutes in (0, 10, 20):
        early = TIME.replace(year=2018, minute=20) + timedelta(minutes=minutes)
        (tmp_path / frame_name(early)).write_bytes(make_file(BLANK, time=early))
    gaps = "  gaps      none (against one frame every 5 minutes, every 10 before 16 September 2019)"
    assert gaps in run("info", tmp_path, "--jobs", "1").stdout.splitlines()


def test_info_of_broken_files_tells_each_on_stderr(broken: Path) -> None:
    bad = broken / frame_name(TIME + timedelta(minutes=10))
    result = run("info", bad, broken / frame_name())
    assert result.exit_code == 1
    assert result.stderr == f"failed: {bad}: empty file: expected a composite, found 0 bytes\n"
    assert result.stdout.startswith(f"{frame_name()}\n")


def test_info_of_nothing_is_no_success(tmp_path: Path) -> None:
    assert run("info", tmp_path).exit_code == 1


@pytest.mark.parametrize("root", ["zarr.json", ".zgroup"])
def test_a_cube_in_place_of_frames_is_told_as_that(tmp_path: Path, root: str) -> None:
    advice = "a Zarr store, such as a cube, is a result too: hsrgeo series, accumulate and stats read one"
    (tmp_path / "c.zarr").mkdir()
    (tmp_path / "c.zarr" / root).write_text("{}")
    shown = run("info", tmp_path / "c.zarr")
    assert (shown.exit_code, shown.stdout.splitlines()[-2:]) == (
        1,
        [f"  other     1 file not taken for frames (1 x {root})", f"            {advice}"],
    )
    exported = run("export", tmp_path / "c.zarr", "--out", tmp_path / "out")
    assert exported.stderr == f"no frame found (1 other file skipped (1 x {root})); {advice}\n"


@pytest.mark.slow
def test_nobody_reads_what_is_said(source: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m hsrgeo export {source} --dry-run --out {tmp_path / 'out'} 2>&1 | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1


def test_info_json(broken: Path) -> None:
    bad = broken / frame_name(TIME + timedelta(minutes=10))
    result = run("info", broken / frame_name(), bad, broken, "--json", "--jobs", "1")
    assert (result.exit_code, result.stderr) == (1, "")
    frame, error, summary = json.loads(result.stdout)
    assert (frame["name"], frame["header"]["stations"][2]["code"]) == (frame_name(), "BRI")
    assert error == {"error": "EmptyFileError", "message": f"{bad}: empty file: expected a composite, found 0 bytes"}
    assert (summary["frames"], len(summary["broken"])) == (2, 1)


# Grids


def test_grids_lists_them() -> None:
    result = run("grids")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    names = ["kma-hb-500m", "kma-hb-1km", "kma-hb-500m-corner", "kma-hb-1km-corner"]
    assert [line.split()[0] for line in lines] == names
    assert "2305 x 2881 cells of 500 m" in lines[0]
    assert "1153 x 1441 cells of 1000 m" in lines[1]


def test_the_help_names_the_main_grid() -> None:
    assert cli_options.MAIN_GRID == MAIN_GRID == next(iter(grids()))


@pytest.mark.parametrize(
    ("name", "proj"),
    [
        ("kma-hb-500m", "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=38 +lon_0=126 +x_0=0 +y_0=0 +ellps=WGS84 +units=m"),
        ("kma-hb-1km", "+proj=lcc +lat_1=30 +lat_2=60 +lat_0=38 +lon_0=126 +x_0=0 +y_0=0 +R=6371008.77 +units=m"),
    ],
)
@pytest.mark.parametrize("form", ["wkt2", "projjson", "proj", "esri"])
def test_every_form_of_a_grid_is_the_same_crs_to_proj(name: str, proj: str, form: str) -> None:
    result = run("grids", name, "--as", form)
    assert (result.exit_code, result.stderr) == (0, "")
    text = result.stdout
    begin = {"wkt2": "PROJCRS[", "projjson": "{", "proj": "+proj=lcc ", "esri": "PROJCS["}
    assert text.startswith(begin[form])
    crs = pyproj.CRS.from_json(text) if form == "projjson" else pyproj.CRS.from_user_input(text.strip())
    lon, lat = np.meshgrid(np.linspace(118.9, 133.5, 9), np.linspace(30.2, 43.3, 9))
    assert np.allclose(pyproj.Proj(crs)(lon, lat), pyproj.Proj(proj)(lon, lat), rtol=0, atol=1e-6)


def test_a_grid_in_full() -> None:
    text = run("grids", "kma-hb-500m").stdout
    assert "geotransform  -560250, 500, 0, 600250, 0, -500" in text
    assert "edges         x -560250 .. 592250, y -840250 .. 600250 m" in text
    assert text.count("check point") == 9
    assert "column 1206, row 1508 from the south-west = 126.496323 E 37.204071 N" in text


# Extract, simulate, verify


def test_extract(tmp_path: Path) -> None:
    (tmp_path / "good.tar.gz").write_bytes(make_tar([("d/a", b"1" * 1000), ("d/b", b"2" * 234)]))
    (tmp_path / "one.tar").write_bytes(make_tar([("one", b"1"), ("../up", b"x")], gz=False))
    result = run("extract", tmp_path / "good.tar.gz", "--out", tmp_path / "out", "-j", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path / 'good.tar.gz'}: 2 files, 1,234 bytes\n"
    result = run("extract", tmp_path, "--out", tmp_path / "out", "-j", "1")
    assert result.exit_code == 1
    one = tmp_path / "one.tar"
    assert result.stdout.splitlines()[1] == f"{one}: 1 file, 1 byte"
    assert result.stderr == f"failed: {one}: member '../up' is refused: '..' in its name\n"
    assert files(tmp_path / "out") == {"d/a", "d/b", "one"}
    (tmp_path / "out" / "one").write_bytes(b"2")
    assert run("extract", one, "--out", tmp_path / "out").exit_code == 1
    run("extract", one, "--out", tmp_path / "out", "--overwrite")
    assert (tmp_path / "out" / "one").read_bytes() == b"1"


def simulate(out: Path, *options: object) -> Result:
    return run("simulate", "--out", out, "--start", "2022-06-09T11:15", "--grid", "kma-hb-1km", *options)


def test_cells_at_the_cap_are_said(tmp_path: Path, make_file: MakeFile) -> None:
    pytest.importorskip("PIL")
    cells = np.full((NY, NX), -25000, np.int16)
    cells[700, 500:503] = (14999, 15000, 15000)  # 149.99 and twice 150.00 mm/h
    path = tmp_path / frame_name(product="HSP")
    path.write_bytes(make_file(cells, data_codes=(5,)))
    assert "2 cells at 150.00 mm/h, the highest rate that HSP stores" in " ".join(run("info", path).stdout.split())
    text = run("render", path, "--out", tmp_path / "a.png").stderr
    assert "note: 2 cells at 150.00 mm/h, the highest rate that HSP stores: there it may rain harder" in text


def test_simulate_export_verify(tmp_path: Path) -> None:
    result = simulate(tmp_path / "in", "--frames", 2, "--seed", 3)
    assert (result.exit_code, result.stderr) == (0, "")
    made = [tmp_path / "in" / frame_name(TIME + timedelta(minutes=minute)) for minute in (0, 5)]
    assert result.stdout.splitlines() == [str(path) for path in made]
    assert simulate(tmp_path / "again", "--frames", 2, "--seed", 3).exit_code == 0
    assert simulate(tmp_path / "other", "--frames", 2, "--seed", 4).exit_code == 0
    for path in made:
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        assert (tmp_path / "other" / path.name).read_bytes() != path.read_bytes()
        assert hsrgeo.open_frame(path).header.synthetic
    out = tmp_path / "out"
    assert run("export", tmp_path / "in", "--out", out, "--bbox", 126, 36, 128, 38, "-j", 1).exit_code == 0
    good = run("verify", out, "--against", *made, "--jobs", 1)
    assert (good.exit_code, good.stdout) == (0, "")
    assert re.search(r"\(read with .*GDAL \d+\.\d+", good.stderr)
    flipped = out / "202206" / "09" / "202206091120.tif"
    data = bytearray(flipped.read_bytes())
    data[-100] ^= 1
    flipped.write_bytes(data)
    bad = run("verify", out, "--against", tmp_path / "in", "--jobs", 1)
    assert bad.exit_code == 1
    assert "202206091120.tif" in bad.stdout
    assert "202206091115" not in bad.stdout


def test_simulate_an_archive(tmp_path: Path) -> None:
    result = simulate(tmp_path / "in", "--frames", 2, "--archive", "--rain", "dry")
    (archive,) = result.stdout.splitlines()
    assert archive.endswith("RDR_HSR_202206.tar.gz")
    record = json.loads(run("info", archive, "--json", "--jobs", 1).stdout)[0]
    assert (record["frames"], record["missing"], record["broken"]) == (2, 0, [])


# The honest end of a command


def test_a_bug_says_so_without_a_traceback(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        error = ZeroDivisionError("division by zero")
        error.add_note("while inspecting x")
        raise error

    monkeypatch.setattr("hsrgeo.engine.inspect.inspect", fail)
    result = run("info", source)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "hsrgeo: a bug in hsrgeo, please report it: ZeroDivisionError: division by zero (while inspecting x)",
        "        HSRGEO_TRACEBACK=1 shows where",
    ]
    monkeypatch.setenv("HSRGEO_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(app, ["info", str(source)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            OSError(errno.ESTALE, "Stale file handle", "/data/out\n"),
            "/data/out\\n: Stale file handle (ESTALE in hsrgeo.cli.info.info); check the disk and the network",
        ),
        (
            TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
            "Connection timed out (ETIMEDOUT in hsrgeo.cli.info.info); check the disk and the network",
        ),
        (MemoryError(), "memory ran out; take fewer --jobs or a smaller area"),
        (
            RuntimeError("can't start new thread"),
            "the system allows no more threads; end other programs or take fewer --jobs",
        ),
    ],
)
def test_what_the_system_refuses_is_no_bug(
    source: Path, error: Exception, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("hsrgeo.engine.inspect.inspect", fail)
    result = run("info", source)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"hsrgeo: {text}, and run the same command again\n"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_an_interrupt_is_130(tmp_path: Path) -> None:
    fifo, out = tmp_path / "gauges.csv", tmp_path / "out.geojson"
    os.mkfifo(fifo)
    with (
        subprocess.Popen(
            [sys.executable, "-m", "hsrgeo", "gauges", "polygons", str(fifo), "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_signals,  # noqa: PLW1509 - it only asks the kernel
        ) as running,
        fifo.open("wb"),
    ):  # opening waits until the command has it open, too
        running.send_signal(signal.SIGINT)
        _stdout, stderr = running.communicate()
    assert running.returncode == 130
    assert stderr == "hsrgeo: interrupted\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "args",
    [
        ["info", "{in}", "--jobs", "1"],
        ["info", "{in}", "--jobs", "1", "--json"],
        ["export", "{in}", "--out", "{out}", "--dry-run"],
        ["grids", "kma-hb-500m", "--as", "projjson"],
    ],
    ids=str,
)
def test_a_reader_that_goes_early_is_no_fault(source: Path, tmp_path: Path, args: list[str]) -> None:
    args = [arg.replace("{in}", str(source)).replace("{out}", str(tmp_path / "out")) for arg in args]
    # what `| head -0` does: nobody reads stdout
    with subprocess.Popen(
        [sys.executable, "-m", "hsrgeo", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        text = running.stderr.read()
    assert running.returncode == 0
    assert "bug" not in text
    assert "Traceback" not in text


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to write to")
@pytest.mark.parametrize("args", [["grids"], ["--help"], ["export", "--help"], ["--version"]])
def test_a_full_disk_under_stdout_is_reported(args: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hsrgeo", *args], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "hsrgeo: stdout: cannot be written: No space left on device\n")


# Pipes, terminals, languages


@pytest.mark.slow
def test_a_pipe_gets_no_progress_bar(source: Path, tmp_path: Path) -> None:
    done = process("export", source, "--out", tmp_path / "out", *WINDOW, "--jobs", "1", env={"TERM": "xterm-256color"})
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(r"2 frames: 2 written \(.* frames?/s\)\n", done.stderr)  # no escape codes, no second line


def on_a_terminal(*args: object) -> tuple[bytes, str]:
    """Run a command whose stderr is a terminal; return what both say. It is read all along: it would fill up."""
    import pty  # noqa: PLC0415 - not everywhere

    leader, follower = pty.openpty()
    data = bytearray()

    def read() -> None:
        with suppress(OSError):  # that there is no more
            while more := os.read(leader, 100_000):
                data.extend(more)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "hsrgeo", *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=follower,
            check=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
    finally:
        os.close(follower)
        reader.join()
        os.close(leader)
    return done.stdout, data.decode()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_a_terminal_gets_a_progress_bar_that_goes_away(source: Path, tmp_path: Path) -> None:
    stdout, text = on_a_terminal("export", source, "--out", tmp_path / "out", *WINDOW, "-j", 1)
    assert stdout == b""
    assert "/s" in text.split("2 frames: 2 written")[0]  # the bar's column of frames a second
    assert "\x1b[2K" in text  # wiped


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_simulate_shows_its_progress_on_a_terminal_and_paths_in_a_pipe(tmp_path: Path) -> None:
    stdout, text = on_a_terminal("simulate", "--start", "20220609", "--frames", 2, "--out", tmp_path)
    assert len(stdout.split()) == 2
    assert "simulate" in text
    assert "/2" in text


LANGUAGES: Sequence[dict[str, str]] = [
    {"LANG": "ko_KR.UTF-8"},
    {"LANG": "C", "LC_ALL": ""},
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"},
]


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_korean_names_survive_any_language(tmp_path: Path, frame_file: bytes, language: dict[str, str]) -> None:
    folder = tmp_path / "레이더 자료"
    folder.mkdir()
    (folder / frame_name()).write_bytes(frame_file)
    (folder / "합성영상.bin.gz").write_bytes(frame_file)
    (folder / "빈 파일.bin.gz").write_bytes(b"")
    (tmp_path / "지역.csv").write_text("name,west,south,east,north\n서울,126.7,37.4,127.2,37.7\n", encoding="utf-8")
    options = ["--regions", tmp_path / "지역.csv", "--format", "png", "--jobs", "1", "--json"]
    sources = [folder, folder / "빈 파일.bin.gz"]
    done = process("export", *sources, "--out", tmp_path / "출력", *options, env=language)
    assert done.returncode == 1
    record = json.loads(done.stdout)
    assert record["out"] == str(tmp_path / "출력")
    assert record["errors"][0]["frame"] == str(folder / "빈 파일.bin.gz")
    assert "a bug" not in done.stderr
    assert "서울/202206/09/202206091115.png" in files(tmp_path / "출력")
    info = process("info", folder / "합성영상.bin.gz", "--json", env=language)
    assert (info.returncode, json.loads(info.stdout)[0]["name"]) == (0, "합성영상.bin.gz")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="names are text there")
def test_a_name_that_is_no_text_survives(tmp_path: Path, frame_file: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.bin.gz"  # Latin-1
    Path(os.fsdecode(path)).write_bytes(frame_file)
    done = process("export", os.fsdecode(path), "--out", tmp_path / "out", *WINDOW, "--jobs", "1", "--json")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (0, 1)
    info = process("info", os.fsdecode(path))
    assert info.returncode == 0
    assert info.stdout.startswith(r"caf\udce9.bin.gz")


def test_help_needs_no_gdal_no_joblib_and_no_numpy() -> None:
    code = "import sys, hsrgeo.cli; print([m for m in ('rasterio', 'joblib', 'numpy', 'pyproj') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "command",
    [
        ("export", "{in}", "--out", ""),
        ("export", "", "--out", "out"),
        ("accumulate", "{in}", "--out", " "),
        ("extract", "{in}", "--out", ""),
        ("simulate", "--out", "", "--start", "2022-06-09T00:00", "--frames", "1"),
        ("verify", "", "--against", "{in}"),
        ("info", ""),
    ],
)
def test_an_empty_text_is_not_the_folder_that_one_is_in(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (source / "a.tar").write_bytes(make_tar([], gz=False))
    monkeypatch.chdir(tmp_path)
    before = files(tmp_path)
    result = run(*(word.replace("{in}", str(source)) for word in command))
    assert result.exit_code == 2, result.output
    assert "an empty text where a path is expected" in result.stderr
    assert files(tmp_path) == before


def test_verify_of_nothing_is_no_success(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("export", source, "--out", out, *WINDOW, "--format", "cog", "--jobs", 1).exit_code == 0
    assert run("verify", out, "--against", source, "--jobs", 1).exit_code == 0
    (out / "manifest.jsonl").write_bytes(b"")
    result = run("verify", out, "--against", source, "--jobs", 1)
    assert result.exit_code == 1
    assert "its manifest lists no output that the sources could be compared with" in result.stderr


@pytest.mark.parametrize("given", ["points", "source"])
def test_a_series_does_not_replace_what_it_is_made_of(source: Path, tmp_path: Path, given: str) -> None:
    places, table = tmp_path / "places.csv", tmp_path / "rain.csv"
    places.write_text("name,lon,lat\na,127,37\n", encoding="utf-8")
    table.symlink_to(places)  # the same file by another name
    if given == "points":
        words = (source, "--points", places, "--out", table)
    else:
        words = (places, "--points", tmp_path / "others.csv", "--out", places)
        (tmp_path / "others.csv").write_bytes(places.read_bytes())
    result = run("series", *words)
    assert result.exit_code == 2
    assert "the table would overwrite its source" in result.stderr
    assert places.read_text(encoding="utf-8") == "name,lon,lat\na,127,37\n"


def test_a_sum_of_some_frames_tells_of_the_others(source: Path, tmp_path: Path) -> None:
    result = run("accumulate", source, "--out", tmp_path / "sums", *WINDOW, "--every", "10min")
    assert result.exit_code == 0
    assert "1 frame, 1 used" in result.stderr
    assert "1 outside the selection" in result.stderr


def test_export_takes_the_times_that_a_file_lists(source: Path, tmp_path: Path) -> None:
    times = tmp_path / "times.txt"
    times.write_text("2022-06-09 11:20\n")
    area = ("--window", 0, 0, 8, 8, "--format", "png", "--no-sidecars", "--jobs", 1)
    assert run("export", source, "--times", times, *area, "--out", tmp_path / "out").exit_code == 0
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["202206091120.png"]
    times.write_text("")
    result = run("export", source, "--times", times, *area, "--out", tmp_path / "other")
    assert result.exit_code == 2
    assert "lists no time" in words(result.output)


def test_an_option_of_another_command_is_named_as_that(source: Path, tmp_path: Path) -> None:
    result = run("accumulate", source, "--out", tmp_path / "s", "--crs", "EPSG:5179")
    assert result.exit_code == 2
    assert re.search(r"No such option: --crs \(export, .*series.* have it\)", result.stderr)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("split", "s3://bucket/out"), "OUT s3://bucket/out"),
        (("style", "rain", "--as", "svg", "--out", "gs://bucket/a.svg"), "--out gs://bucket/a.svg"),
        (("export", ".", "--regions", "https://u:p@host/a.csv", "--out", "x"), "--regions https://...@host/a.csv"),
        (("gauges", "polygons", "az://c/g.csv", "--out", "x.geojson"), "GAUGES az://c/g.csv"),
    ],
)
def test_a_url_where_only_a_path_will_do_is_shown_as_it_was_given(
    arguments: tuple[str, ...], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert f"{named}: must be a path on this machine, not a URL" in result.output
    assert not [*tmp_path.iterdir()]  # a path would be a folder "gs:"


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (["accumulate", "--period", "5min", "--rolling", "5min", "--out", "sums"], 2),
        (["series", "--points", "points.csv", "--out", "o.csv"], 1),
        (["stats", "--out", "o.csv"], 1),
        (["sample", "--step", "50", "--out", "o.csv"], 1),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_files_that_were_there_and_are_replaced_are_counted(
    tmp_path: Path, frame_file: bytes, monkeypatch: pytest.MonkeyPatch, words: list[str], files: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / frame_name()).write_bytes(frame_file)
    (tmp_path / "points.csv").write_text("name,lon,lat\na,127,37\n", encoding="utf-8")
    given = [*words, *([] if words[0] == "series" else ["--window", "500", "700", "60", "60"])]
    command = [given[0], frame_name(), *given[1:], "--jobs", "1"]
    assert "replacing" not in CliRunner().invoke(app, command).stderr
    again = CliRunner().invoke(app, [*command, "--json"])
    assert again.exit_code == 0, again.output
    assert f", replacing {files} file{'s' if files > 1 else ''}: 1 frame, 1 used" in again.stderr
    assert json.loads(again.stdout)["replaced"] == files


def test_a_folder_that_is_called_as_an_option_stays_a_folder_in_messages(
    tmp_path: Path, frame_file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / frame_name()).write_bytes(frame_file)
    (tmp_path / "points.csv").write_text("name,lon,lat\na,127,37\n", encoding="utf-8")
    assert run("export", frame_name(), "--format", "png", "--out", "out").exit_code == 0
    result = run("series", "out", "--points", "points.csv", "--out", "rain.csv")
    assert result.exit_code == 2
    assert "hsrgeo: out: has png only" in result.stderr
