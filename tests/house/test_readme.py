"""The README's code runs, and its commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hsrgeo.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
HSRGEO = re.findall(r"`hsrgeo ([a-z]+) ([^`]+)`", README)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_python_runs(block: str, checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_there_are_blocks_and_commands() -> None:
    assert len(BLOCKS) >= 2
    assert len(HSRGEO) >= 4


@pytest.mark.parametrize(("command", "rest"), HSRGEO)
def test_options_exist(command: str, rest: str) -> None:
    first = rest.split(maxsplit=1)[0]
    words = [command, first] if command in ("plot", "fetch") and not first.startswith("-") else [command]
    text = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).output
    for option in re.findall(r"--[a-z]+", rest):
        assert option in text


@pytest.mark.slow
@pytest.mark.parametrize("example", ["regional_crop.sh", "regional_crop.py"])
def test_examples_run(example: str, tmp_path: Path) -> None:
    script = ROOT / "examples" / example
    runner = ["bash"] if script.suffix == ".sh" else [sys.executable]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    out = tmp_path / "out"
    done = subprocess.run(
        [*runner, script, ROOT / "examples" / "frames", out],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(out.rglob("*.tif"))) == 3
