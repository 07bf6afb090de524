"""The guides' commands run in their order, and print what the guides show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "examples" / "guide").glob("*.md"))
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ (.*(?:\n> .*)*)\n?((?:(?!\$ ).*\n?)*)", re.MULTILINE)


def commands(block: str) -> list[tuple[str, str]]:
    """Split a console block into its commands, each with the output that is shown below it."""
    return [(typed.replace("\n> ", "\n"), shown) for typed, shown in COMMAND.findall(block)]


def pattern(shown: str) -> re.Pattern[str]:
    """Match what is shown; `...` stands for what differs from run to run."""
    return re.compile(".*?".join(re.escape(part) for part in shown.rstrip().split("...")), re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_a_guide_shows_what_its_commands_print(guide: Path, tmp_path: Path) -> None:
    """Blocks of `console` are run; a block with a file's name after its language is that file."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "100", "PYTHONWARNINGS": "error"}
    for language, name, block in FENCE.findall(guide.read_text(encoding="utf-8")):
        if name:
            (tmp_path / name).write_text(block, encoding="utf-8")
        if language != "console":
            continue
        for typed, shown in commands(block):
            done = subprocess.run(
                ["bash", "-c", typed],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                check=False,
            )
            printed = done.stdout.removeprefix("\ufeff").rstrip()
            assert done.returncode == 0, f"{typed}\n{printed}"
            assert pattern(shown).fullmatch(printed), f"{typed}\nshown:\n{shown}\nprinted:\n{printed}"


def test_there_are_guides_with_commands() -> None:
    assert len(GUIDES) >= 1
    for guide in GUIDES:
        assert "\n$ hsrgeo " in guide.read_text(encoding="utf-8"), guide


def test_links_of_the_guides_lead_to_files() -> None:
    for guide in GUIDES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", guide.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (guide.parent / target).exists(), f"{guide.name}: {target}"
