"""The same bytes and verdicts whatever the surroundings tell GDAL and PROJ: variables, files of options, other code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rasterio

import hsrgeo
from hsrgeo.errors import ReadbackError
from hsrgeo.writers import cog
from hsrgeo.writers.environment import opened_raster, own_gdal

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "surroundings.py"
FRAME = ROOT / "examples" / "frames" / "RDR_CMP_HSR_PUB_202206090615.bin.gz"
KNOWN = (
    "GDAL_DATA GDAL_DISABLE_READDIR_ON_OPEN GDAL_DRIVER_PATH GDAL_GEOREF_SOURCES GDAL_PAM_ENABLED GDAL_SKIP "
    "GDAL_TIFF_ENDIANNESS GTIFF_ESRI_CITATION LOKY_PICKLER OSR_DEFAULT_AXIS_MAPPING_STRATEGY OSR_WKT_FORMAT "
    "PROJ_DATA PROJ_LIB PROJ_NETWORK PYPROJ_GLOBAL_CONTEXT"
)
NOT_GDALS = re.compile(r"(LD|PYTHON|OPENSSL|MALLOC|GLIBC)_\w+")  # of what Python itself stands on
ODD = {
    "GDAL_SKIP": "GTiff COG PNG",
    "GDAL_TIFF_ENDIANNESS": "BIG",
    "GDAL_GEOREF_SOURCES": "WORLDFILE",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GTIFF_ESRI_CITATION": "NO",
    "GTIFF_WRITE_SRS_WKT2": "NO",
    "OSR_WKT_FORMAT": "WKT1_ESRI",
    "OSR_DEFAULT_AXIS_MAPPING_STRATEGY": "TRADITIONAL_GIS_ORDER",
    "TIFF_READ_STREAMING": "YES",
    "COMPRESS_OVERVIEW": "LZW",
    "AWS_PROFILE": "nobody",
    "LD_LIBRARY_PATH": "/usr/lib/x86_64-linux-gnu",
}


def names_in_gdal() -> list[str]:
    """Return every text in GDAL and PROJ that could be the name of a variable."""
    folder = Path(rasterio.__file__).parents[1] / "rasterio.libs"
    libraries = [*folder.glob("libgdal*"), *folder.glob("libproj*")]
    name = re.compile(rb"\0([A-Z][A-Z0-9]*_[A-Z0-9_]{1,40})(?=\0)")
    found = {text.decode() for library in libraries for text in name.findall(library.read_bytes())}
    return sorted(one for one in found.union(KNOWN.split()) if not NOT_GDALS.fullmatch(one))


def environment(home: Path, *flags: str, **variables: str) -> dict[str, Any]:
    ours = ("GDAL_", "PROJ_", "OSR_", "LD_LIBRARY_PATH", "HOME")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command: list[str | Path] = [sys.executable, PROGRAM, FRAME, *flags]
    environment = {**variables, **kept, "HOME": str(home)}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return environment(tmp_path_factory.mktemp("home"))


@pytest.mark.slow
def test_the_program_writes_and_reads_with_place(plain: dict[str, Any]) -> None:
    assert sorted(plain["files"]) == ["a.tif", "b.tif", "c.tif", "d.pgw", "d.png", "d.png.aux.xml", "d.prj", "sum.tif"]
    for name in ("a.tif", "b.tif", "c.tif", "d.png", "sum.tif"):
        assert "PROJCRS[" in str(plain[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("value", ["NONE", "7"])
def test_no_variable_that_gdal_or_proj_knows_changes_what_the_command_does(
    plain: dict[str, Any], tmp_path: Path, value: str
) -> None:
    names = names_in_gdal()
    assert len(names) > 1000 or not Path(rasterio.__file__).parents[1].joinpath("rasterio.libs").exists()
    assert environment(tmp_path, "--as-command", **dict.fromkeys(names, value)) == plain


@pytest.mark.slow
def test_no_variable_that_gdal_knows_changes_what_the_library_does(plain: dict[str, Any], tmp_path: Path) -> None:
    # pyproj is the caller's too, and obeys PROJ's own variables
    names = [name for name in names_in_gdal() if not name.startswith(("PROJ_", "PYPROJ_"))]
    assert environment(tmp_path, **dict.fromkeys(names, "NO")) == plain


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("--as-command",), ()], ids=["command", "library"])
def test_no_file_of_options_and_no_driver_left_out_changes_anything(
    plain: dict[str, Any], tmp_path: Path, flags: tuple[str, ...]
) -> None:
    options = "".join(f"{name}={value}\n" for name, value in ODD.items() if name != "LD_LIBRARY_PATH")
    (tmp_path / ".gdal").mkdir()
    for path in (tmp_path / ".gdal" / "gdalrc", tmp_path / "options"):
        path.write_text(f"[configoptions]\n{options}", encoding="utf-8")
    also = {"GDAL_CONFIG_FILE": str(tmp_path / "options")} if flags else {}
    assert environment(tmp_path, *flags, **ODD, **also) == plain


@pytest.mark.slow
def test_the_command_line_forgets_variables_before_all_else(tmp_path: Path) -> None:
    odd = {**ODD, "LOKY_PICKLER": "no_such_module", "PROJ_DATA": "/nowhere", "PYPROJ_GLOBAL_CONTEXT": "perhaps"}
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "hsrgeo",
        "export",
        FRAME.parent,
        "--jobs",
        "2",
        "--out",
        tmp_path / "out",
    ]
    box = ["--bbox", "126.7", "37.4", "127.2", "37.7"]
    run = subprocess.run([*command, *box], capture_output=True, text=True, check=False, env={**os.environ, **odd})
    assert run.returncode == 0, run.stderr
    first = next(path for path in sorted(tmp_path.rglob("*.tif")))
    part = hsrgeo.open_frame(FRAME).crop(bbox=(126.7, 37.4, 127.2, 37.7)).clean()
    assert first.read_bytes() == cog.encode_cog(part)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_LIBRARY_PATH as on Linux")
def test_libraries_of_another_build_are_reported_of(tmp_path: Path) -> None:
    (tmp_path / "libstdc++.so.6").write_text("of another machine")
    # Writing needs GDAL, and so libstdc++, with any version of the other libraries.
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "hsrgeo",
        "export",
        FRAME,
        "--jobs",
        "1",
        "--out",
        tmp_path / "out",
    ]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "1000"}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (run.returncode, len(run.stderr.splitlines())) == (1, 1), run.stderr
    assert run.stderr.startswith(f"hsrgeo: a library cannot be loaded: {tmp_path / 'libstdc++.so.6'}: ")
    again = "and run the same command again: it resumes where it stopped"
    assert run.stderr.endswith(f"; unset LD_LIBRARY_PATH ({tmp_path}), {again}\n")


COMMANDS = f"""
import sys
from typer.testing import CliRunner
from hsrgeo.cli import app
if __debug__:
    sys.exit("assert statements still count")
for command in {
    [
        "export FRAMES BOX --jobs 1 --out out",
        "verify out --against FRAMES --jobs 1",
        "info FRAMES/RDR_CMP_HSR_PUB_202206090615.bin.gz",
        "vrt out",
        "stac out",
        "qgis out",
        "series FRAMES --points points.csv --jobs 1 --out rain.csv",
        "accumulate FRAMES BOX --jobs 1 --out sums",
        "cube FRAMES BOX --jobs 1 --out a.zarr",
        "cube FRAMES BOX --jobs 1 --out a.nc",
        "extract frames.tar --jobs 1 --out extracted",
    ]
}:
    words = command.replace("BOX", "--bbox 126.7 37.4 127.2 37.7").replace("FRAMES", sys.argv[1]).split()
    done = CliRunner().invoke(app, words)
    if done.exit_code:
        sys.exit(f"{{command}}: {{done.output}} {{done.stderr}}")
done = CliRunner().invoke(app, ["cube", sys.argv[1], "--layout", "both", "--out", "a.zarr"])
print(done.exit_code, done.stderr)
"""


@pytest.mark.slow
def test_commands_run_with_warnings_as_errors_and_without_assertions(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("name,lon,lat\nSeoul,126.98,37.57\n", encoding="utf-8")
    with tarfile.open(tmp_path / "frames.tar", "w") as archive:
        archive.add(FRAME, FRAME.name)
    command: list[str | Path] = [sys.executable, "-W", "error", "-O", "-c", COMMANDS, FRAME.parent]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("2 hsrgeo: --layout both: zarr cannot read a group in a group under python -O")


@pytest.mark.parametrize("elsewhere", [False, True], ids=["this thread", "another thread"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GDAL_GEOREF_SOURCES", "NONE"),
        ("GTIFF_ESRI_CITATION", "NO"),
        ("GDAL_TIFF_ENDIANNESS", "BIG"),
        ("TIFF_READ_STREAMING", "YES"),
        ("GTIFF_DONT_WRITE_BLOCKS", "YES"),
        ("OSR_WKT_FORMAT", "WKT1_ESRI"),
    ],
)
def test_an_env_of_the_caller_spoils_neither_this_cog_nor_the_next(*, name: str, value: str, elsewhere: bool) -> None:
    part = hsrgeo.open_frame(FRAME).crop(window=(500, 600, 40, 300))
    expected = cog.encode_cog(part)
    found: list[bytes] = []
    cog._blank.cache_clear()

    def encode() -> None:
        found.append(cog.encode_cog(part))

    with rasterio.Env(**{name: value}):
        _run(encode, elsewhere=elsewhere)
        assert rasterio.env.getenv()[name] == value  # the caller's is as it was
        assert rasterio.env.get_gdal_config(name) == value
    encode()
    assert not rasterio.env.hasenv()
    assert found == [expected, expected]


def _run(work: Callable[[], None], *, elsewhere: bool) -> None:
    if not elsewhere:
        work()
        return
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_variables_stay_out_until_the_last_thread_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJ_DATA", "/nowhere")
    monkeypatch.setenv("GDAL_HTTP_PROXY", "proxy.example:3128")  # the network's stay
    inside, leave = threading.Event(), threading.Event()

    def wait() -> None:
        with own_gdal():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=wait)
    thread.start()
    assert inside.wait(10)
    with own_gdal(), own_gdal():  # one thread may be inside twice
        assert "PROJ_DATA" not in os.environ
    assert "PROJ_DATA" not in os.environ
    assert os.environ["GDAL_HTTP_PROXY"] == "proxy.example:3128"
    leave.set()
    thread.join()
    assert os.environ["PROJ_DATA"] == "/nowhere"


VRT = (
    '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Int16" band="1"><SimpleSource>'
    "<SourceFilename>{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
)


def test_a_vrt_under_the_name_of_a_cog_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_text(VRT.format(source="/vsicurl/http://127.0.0.1:9/x.tif"), encoding="utf-8")
    with pytest.raises(rasterio.errors.RasterioIOError, match="not recognized as being in a supported"):
        opened_raster(path).__enter__()


@pytest.mark.parametrize("path", ["/vsicurl/http://127.0.0.1:9/x.tif", "/dev/null", "."])
def test_only_regular_files_are_opened(path: str) -> None:
    with pytest.raises(ReadbackError, match=r"is no regular file|cannot be read"), opened_raster(Path(path)):
        pass


def test_a_path_that_reads_as_a_url_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "http:").mkdir()
    monkeypatch.chdir(tmp_path)
    hsrgeo.open_frame(FRAME).crop(window=(0, 0, 5, 5)).to_cog("http:/x.tif")
    with opened_raster(Path("http:/x.tif")) as dataset:
        assert (dataset.width, dataset.height) == (5, 5)


@pytest.mark.slow
def test_overviews_and_places_that_others_left_do_not_outlive_their_raster(tmp_path: Path) -> None:
    # what `gdaladdo -ro` and an editor of places leave, then --overwrite with another box
    for first, corner in (("126.7", "37.4"), ("127.1", "37.2")):
        options: list[str | Path] = ["--overwrite", "--format", "cog", "--jobs", "1", "--out", tmp_path]
        box = ["--bbox", first, corner, "127.4", "37.7"]
        command: list[str | Path] = [sys.executable, "-m", "hsrgeo", "export", FRAME, *box, *options]
        subprocess.run(command, check=True, capture_output=True)
        path = next(tmp_path.rglob("*.tif"))
        with rasterio.open(path) as dataset:  # as other programs do: all that lies beside it counts
            place, overviews = dataset.transform, dataset.overviews(1)
        assert overviews == []
        with opened_raster(path) as dataset:
            assert place == dataset.transform
        path.with_name(f"{path.name}.aux.xml").write_text(
            "<PAMDataset><GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform></PAMDataset>", encoding="utf-8"
        )
        shutil.copy(path, f"{path}.ovr")
