"""Files and folders that strangers put together: links, pipes and names that mean harm."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hsrgeo
from hsrgeo.cli import app
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.extract import extract_archive
from hsrgeo.errors import HsrGeoWarning, ReadbackError, ServiceMessageError, SourceError
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.reading import open_frame
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection
from hsrgeo.sources.texts import open_file, read_bytes
from tests.conftest import TIME, frame_name, make_tar
from tests.fuzz.run import time_limit

NAME = frame_name()
SHADOW = "root:$6$4uwcuHB1:19000:0:99999:7:::\n"
SECRETS = {
    "shadow": SHADOW.encode(),
    "key.json": b'{"private_key": "4uwcuHB1"}',
    "page.html": b"<p>4uwcuHB1</p>",
    "short": b"error 4uwcuHB1",
    "binary": b"\0\x90uwcuHB1" * 1000,
    "packed.gz": gzip.compress(b'{"key": "4uwcuHB1"}'),
}


def exported(source: Path, out: Path) -> str:
    """Export a folder in which nothing is sound, and return all that was reported and written of it."""
    done = list(hsrgeo.export(source, out, ExportOptions(window=(0, 0, 4, 4), jobs=1)))
    assert [one.status for one in done] == ["failed"] * len(done)
    return "\n".join(str(one.error) for one in done) + (out / MANIFEST).read_text(encoding="utf-8")


# -- links and special files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".bin", ".bin.gz"])
@pytest.mark.parametrize("name", SECRETS)
def test_what_a_link_in_a_folder_leads_to_is_not_quoted(tmp_path: Path, name: str, suffix: str) -> None:
    (tmp_path / name).write_bytes(SECRETS[name])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / frame_name(suffix=suffix)).symlink_to(tmp_path / name)
    (tmp_path / "in" / "a.tar.gz").symlink_to(tmp_path / name)
    text = exported(tmp_path / "in", tmp_path / "out")
    assert "4uwcuHB1" not in text
    if name != "packed.gz":  # whose last bytes are a CRC and a length
        assert SECRETS[name][-8:].hex() not in text
    assert "is a link to a file that is no composite" in text


def test_links_to_frames_and_archives_elsewhere_are_read(tmp_path: Path, frame_file: bytes) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "4711").write_bytes(frame_file)  # as git-annex has it
    (tmp_path / "nas" / "4712").write_bytes(make_tar([(frame_name(), frame_file)]))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / NAME).symlink_to(tmp_path / "nas" / "4711")
    (tmp_path / "in" / "a.tar.gz").symlink_to(tmp_path / "nas" / "4712")
    found = list(scan([tmp_path / "in"], Selection()))
    assert [one.error for one in found] == [None, None]
    assert found[0].read() == found[1].read() == frame_file
    (tmp_path / "mine").symlink_to(tmp_path / "nas" / "4711")
    assert open_frame(tmp_path / "mine").time == TIME


def test_only_what_a_server_says_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / NAME
    for text, shown in (
        (SHADOW, "a text"),
        ("error: " + "x" * 2000, "a text"),  # a log of somebody's
        ("서비스 접근 거부", "'서비스 접근 거부'"),
        ("404 page not found\n", "'404 page not found'"),
        ('{"message": "SERVICE_KEY_IS_NOT_REGISTERED"}', """'{"message": "SERVICE_KEY_IS_NOT_REGISTERED"}'"""),
        ("<html>차단", "'<html>차단'"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ServiceMessageError) as caught:
            open_frame(path)
        assert str(caught.value).endswith(f"expected a composite, found {shown}")


@pytest.mark.skipif(not Path("/proc/kmsg").exists(), reason="no /proc on this system")
@pytest.mark.parametrize("target", ["/proc/kmsg", "/proc/self/environ"])
def test_files_of_the_system_are_not_read(tmp_path: Path, target: str) -> None:
    for name in (NAME, "a.tar"):
        (tmp_path / name).symlink_to(target)
    with time_limit(3):
        text = exported(tmp_path, tmp_path / "out")
    assert '"stamp": "0-00000000-"' in text


def test_a_folder_that_is_a_link_leads_neither_up_nor_into_the_system(tmp_path: Path, frame_file: bytes) -> None:
    (tmp_path / "in" / "below").mkdir(parents=True)
    (tmp_path / "nas").mkdir()
    for path in (tmp_path / frame_name(), tmp_path / "nas" / frame_name(product="HSP")):
        path.write_bytes(frame_file)
    for name, target in (("root", "/"), ("up", tmp_path), ("processes", "/proc"), ("nas", tmp_path / "nas")):
        (tmp_path / "in" / "below" / name).symlink_to(target)
    with time_limit(3):
        found = [one.source for one in scan([tmp_path / "in"], Selection())]
    assert found == [str(tmp_path / "in" / "below" / "nas" / frame_name(product="HSP"))]


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / NAME)
    monkeypatch.setattr(
        "hsrgeo.sources.texts.refuse_special", lambda *_args, **_options: None
    )  # it came a moment later
    with time_limit(3), pytest.raises(OSError, match="is a pipe, not a file"):
        open_file(tmp_path / NAME)


def test_a_named_pipe_is_no_frame(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with time_limit(3), pytest.raises(SourceError, match="is a pipe, not a file"):
        open_frame(tmp_path / "x")


def test_a_list_is_read_up_to_a_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="is too large: more than 4 bytes"):
        read_bytes(tmp_path / "a", 4)


# -- extract ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("link", ["202206", "202206/09", "202206/09/x", "202206/09/new"])
def test_extract_follows_no_link_that_lies_in_its_folder(tmp_path: Path, link: str, *, overwrite: bool) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    (victim / "09").mkdir(parents=True)
    for path in (victim / "x", victim / "09" / "x"):
        path.write_bytes(b"mine")
    (out / link).parent.mkdir(parents=True)
    leads_to = {"x": victim / "x", "new": victim / "new"}.get((out / link).name, victim)
    (out / link).symlink_to(leads_to)
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(make_tar([(f"202206/09/{name}", b"theirs") for name in ("x", "new")]))
    done = extract_archive(archive, out, overwrite=overwrite)
    assert (victim / "x").read_bytes() == (victim / "09" / "x").read_bytes() == b"mine"
    assert sorted(path.name for path in victim.rglob("*")) == ["09", "x", "x"]
    if overwrite and leads_to != victim:  # the link itself is replaced
        assert (done.files, (out / link).is_symlink()) == (2, False)
    else:
        assert {str(error).split(": ")[-1] for error in done.errors} == {"is a link, and none is followed"}
        assert (out / link).is_symlink()


def test_extract_writes_into_a_folder_that_the_user_names_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    (tmp_path / "a.tar").write_bytes(make_tar([("b/c", b"1")], gz=False))
    assert extract_archive(tmp_path / "a.tar", tmp_path / "out").files == 1
    assert (tmp_path / "disk" / "b" / "c").read_bytes() == b"1"


# -- what lies under the name of a COG in OUT -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "out"
    frames = Path(__file__).parents[2] / "examples" / "frames"
    options = ExportOptions(window=(500, 600, 32, 32), jobs=1, end=hsrgeo.parse_time("202206090625"))
    assert [one.status for one in hsrgeo.export(frames, out, options)] == ["ok", "ok"]
    return out


COMMANDS = {
    "render": ["render", "OUT", "--out", "OUT.png", "--start", "202206090620"],
    "verify": ["verify", "OUT", "--against", str(Path(__file__).parents[2] / "examples" / "frames")],
    "series": ["series", "OUT", "--points", "OUT.points.csv", "--out", "OUT.csv", "--jobs", "1"],
    "vrt": ["vrt", "OUT"],
    "qgis": ["qgis", "OUT"],
    "stac": ["stac", "OUT"],
}
VRT = (
    '<VRTDataset rasterXSize="32" rasterYSize="32"><VRTRasterBand dataType="Int16" band="1"><SimpleSource>'
    "<SourceFilename>{}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
)


@pytest.fixture(params=["vrt", "link", "pipe"])
def planted(request: pytest.FixtureRequest, exported_folder: Path, tmp_path: Path) -> tuple[Path, str]:
    """Put something else in the place of the second COG, and return OUT and what must be said of it."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere.tif"
    shutil.copytree(exported_folder, out)
    (tmp_path / "out.points.csv").write_text("name,lon,lat\na,122.33,40.66\n")
    cog = out / "202206" / "09" / "202206090620.tif"
    cog.rename(elsewhere)
    os.utime(elsewhere, (1, 1))
    if request.param == "vrt":
        cog.write_text(VRT.format(elsewhere))
        return out, r"GDAL cannot read it|is not a COG written by hsrgeo"
    if request.param == "link":
        cog.symlink_to(elsewhere)
        return out, r"is not read: it is a link that leads out of"
    os.mkfifo(cog)
    return out, r"is no regular file|is a pipe, not a file"


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_but_a_cog_is_read_under_the_name_of_a_cog(planted: tuple[Path, str], command: str) -> None:
    if command == "render":
        pytest.importorskip("PIL")
    out, message = planted
    arguments = [text.replace("OUT", str(out)) for text in COMMANDS[command]]
    with time_limit(60):
        run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 1, run.output
    assert re.search(message, " ".join(run.output.split()))
    assert (out.parent / "elsewhere.tif").stat().st_atime == 1, "it was opened"


def test_no_template_of_names_leads_a_reader_out_of_the_folder(exported_folder: Path, tmp_path: Path) -> None:
    out = shutil.copytree(exported_folder, tmp_path / "out")
    options = json.loads((out / "options.json").read_text())
    options["recipe"]["name"] = "{kind:.<2}/{time:%Y%m%d%H%M}"  # PUB/202206091115, and without a kind ../202206091115
    (out / "options.json").write_text(json.dumps(options))
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    (out / "manifest.jsonl").write_text("".join(json.dumps({**line, "kind": ""}) + "\n" for line in lines))
    outside = [shutil.copy(path, tmp_path) for path in out.rglob("*.tif")]
    run = list(hsrgeo.stats(out, tmp_path / "stats.csv"))
    assert outside
    assert {outcome.status for outcome in run} == {"failed"}
    assert all("is not read: it does not lie in" in str(outcome.error) for outcome in run)


def test_open_reads_nothing_but_cogs_of_an_export(planted: tuple[Path, str]) -> None:
    pytest.importorskip("xarray")
    out, message = planted
    with time_limit(60), warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((ReadbackError, HsrGeoWarning), match=message):
            hsrgeo.open(out).load()
    assert (out.parent / "elsewhere.tif").stat().st_atime == 1, "it was opened"


def test_months_on_another_disk_are_read(exported_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(exported_folder, tmp_path / "out")
    (tmp_path / "out" / "202206").rename(tmp_path / "disk")
    (tmp_path / "out" / "202206").symlink_to(tmp_path / "disk")
    with time_limit(60):
        run = CliRunner().invoke(app, [text.replace("OUT", str(tmp_path / "out")) for text in COMMANDS["verify"]])
    assert run.exit_code == 0, run.output
