"""The guides' commands and Python run in their order, and print what the guides show.

Commands that ask KMA's API hub ask an imitation of it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_hub import KEY, fake_hub

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
            yield [sys.executable, "-c", block], block, after
        elif language == "console":
            yield from ((["bash", "-c", typed], typed, shown) for typed, shown in commands(block))


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_a_guide_shows_what_is_printed(guide: Path, tmp_path: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    if "import pysteps" in text or "from pysteps" in text:
        pytest.importorskip("pysteps")  # it has to be compiled
    (tmp_path / "examples").symlink_to(EXAMPLES)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "100", "PYTHONWARNINGS": "error"}
    environment |= {f"XDG_{name}_HOME": str(tmp_path / "home") for name in ("CONFIG", "STATE")}
    environment.pop("KMA_APIHUB_KEY", None)  # of whoever runs the tests
    with fake_hub() as hub:
        for arguments, typed, shown in steps(text, tmp_path):
            if typed.startswith("hsrgeo fetch"):
                arguments[-1] += f" --host {hub.host}" + " --pace 0" * ("--out" in typed)
            done = subprocess.run(
                arguments,
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                input=f"{KEY}\n",
                encoding="utf-8",
                check=False,
            )
            printed = done.stdout.removeprefix("\ufeff").rstrip()
            assert done.returncode == 0, f"{typed}\n{printed}"
            assert pattern(shown).fullmatch(printed), f"{typed}\nshown:\n{shown}\nprinted:\n{printed}"


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
