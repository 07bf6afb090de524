"""The guides' commands and Python run in their order, and print what the guides show.

Commands that ask KMA's API hub ask an imitation of it, and those that use buckets a real S3 server on this machine.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hsrgeo.cli import app
from hsrgeo.sources import connections
from hsrgeo.sources.remote import RemotePath
from tests.fake_hub import KEY, fake_hub
from tests.forked import forked_programs
from tests.s3 import make_bucket, s3_server

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
KOREAN = ".ko.md"
GUIDES = sorted(path for path in (EXAMPLES / "guide").glob("*.md") if not path.name.endswith(KOREAN))
PAGES = [
    *sorted((EXAMPLES / "guide").glob("*.md")),
    *sorted((EXAMPLES / "reference").glob("*.md")),
    *EXAMPLES.glob("*.md"),
]
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$(?:\s*^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
ANY_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ (.*(?:\n> .*)*)\n?((?:(?!\$ ).*\n?)*)", re.MULTILINE)


def commands(block: str) -> list[tuple[str, str]]:
    """Split a console block into its commands, each with the output that is shown below it."""
    return [(typed.replace("\n> ", "\n"), shown) for typed, shown in COMMAND.findall(block)]


def pattern(shown: str) -> re.Pattern[str]:
    """Match what is shown; `...` stands for what differs from run to run."""
    return re.compile(".*?".join(re.escape(part) for part in shown.rstrip().split("...")), re.DOTALL)


def steps(text: str, folder: Path) -> Iterator[tuple[list[str], str, str]]:
    """Yield what to run, how the guide writes it and what it shows, and write the files that the guide names.

    A block `json NAME` is a file. A block of Python prints what the block of text right after it shows.
    """
    for language, name, block, after in FENCE.findall(text):
        if name:
            (folder / name).write_text(block, encoding="utf-8")
        elif language == "python":
            yield ["python", "-c", block], block, after
        elif language == "console":
            yield from ((["bash", "-c", typed], typed, shown) for typed, shown in commands(block))


BUCKETS = EXAMPLES / "guide" / "buckets.md"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """Give variables with which a shell finds `hsrgeo` and `python` that need not import anything first.

    One process does the work of each command: that several make the same is shown elsewhere.
    """
    variables = {**os.environ, "COLUMNS": "100", "PYTHONWARNINGS": "error", "LOKY_MAX_CPU_COUNT": "1"}
    # What it logs while a cluster ends (a slow worker, a heartbeat that comes too late) is no part of the guide.
    variables["DASK_LOGGING__DISTRIBUTED"] = "critical"
    variables.pop("KMA_APIHUB_KEY", None)  # of whoever runs the tests
    with forked_programs(variables) as folder:
        path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
        yield variables | {"PATH": path}


@pytest.mark.slow
@pytest.mark.parametrize("guide", [guide for guide in GUIDES if guide != BUCKETS], ids=lambda guide: guide.stem)
def test_a_guide_shows_what_is_printed(guide: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    text = guide.read_text(encoding="utf-8")
    if "import pysteps" in text or "from pysteps" in text:
        pytest.importorskip("pysteps")  # it has to be compiled
    (tmp_path / "examples").symlink_to(EXAMPLES)
    home = {f"XDG_{name}_HOME": str(tmp_path / "home") for name in ("CONFIG", "STATE")}
    with fake_hub() as hub:
        for arguments, typed, shown in steps(text, tmp_path):
            if typed.startswith("hsrgeo fetch"):
                arguments[-1] += f" --host {hub.host}" + " --pace 0" * ("--out" in typed)
            done = subprocess.run(
                arguments,
                cwd=tmp_path,
                env=environment | home,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                input=f"{KEY}\n",
                encoding="utf-8",
                check=False,
            )
            printed = done.stdout.removeprefix("\ufeff").rstrip()
            assert done.returncode == 0, f"{typed}\n{printed}"
            assert pattern(shown).fullmatch(printed), f"{typed}\nshown:\n{shown}\nprinted:\n{printed}"


@pytest.mark.slow
def test_the_guide_on_buckets_shows_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: six of its programs would import what cubes need, for two seconds each."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto.server", reason="moto is not installed")
    if shutil.which("gdalinfo") is None:
        pytest.skip("gdalinfo is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gauges.csv").write_text(
        "name,lon,lat\nSeoul,126.966,37.571\nIncheon,126.625,37.478\n", encoding="utf-8"
    )
    with s3_server("radar") as address:
        make_bucket(address, "products")
        for name, value in (("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s"), ("REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)
        for name, value in (("ENDPOINT_URL", address), ("ALLOW_HTTP", "true"), ("HTTPS", "NO")):
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_S3_ENDPOINT", address.removeprefix("http://"))
        monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")
        connections._connected.cache_clear()
        RemotePath("s3://radar/RDR_HSR_202206.tar.gz").write_bytes(_archive())
        for arguments, typed, shown in steps(BUCKETS.read_text(encoding="utf-8"), tmp_path):
            printed = (_python if arguments[0] == "python" else _command)(typed).rstrip()
            assert pattern(shown).fullmatch(printed), f"{typed}\nshown:\n{shown}\nprinted:\n{printed}"
    connections._connected.cache_clear()


def _archive() -> bytes:
    """Return the example's frames as an archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted((EXAMPLES / "frames").iterdir()):
            archive.add(path, path.name)
    return packed.getvalue()


def _command(typed: str) -> str:
    """Return what a command prints."""
    program, *arguments = shlex.split(typed)
    if program == "hsrgeo":
        few = ["--jobs", "1"] if arguments[0] in ("export", "cube") else []
        done = CliRunner().invoke(app, [*arguments, *few])
        assert done.exit_code == 0, f"{typed}\n{done.output}"
        return done.output
    return subprocess.run([program, *arguments], capture_output=True, check=True, encoding="utf-8").stdout


def _python(typed: str) -> str:
    """Return what Python prints."""
    with redirect_stdout(io.StringIO()) as printed:
        exec(typed, {})  # noqa: S102 - as a reader of the guide would
    return printed.getvalue()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_korean_guide_has_the_same_blocks_and_headings(guide: Path) -> None:
    english, korean = (path.read_text(encoding="utf-8") for path in (guide, guide.with_suffix(KOREAN)))
    assert ANY_FENCE.findall(korean) == ANY_FENCE.findall(english)
    levels = [re.findall(r"^(#+) ", ANY_FENCE.sub("", text), re.MULTILINE) for text in (english, korean)]
    assert levels[0] == levels[1]
    assert f"]({guide.stem}{KOREAN})" in english
    assert f"]({guide.name})" in korean


def test_there_are_guides_with_commands() -> None:
    assert len(GUIDES) >= 5
    for guide in GUIDES:
        assert FENCE.search(guide.read_text(encoding="utf-8")), guide


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"
