"""Writes examples/reference/cli.md, every help screen: `python -m tests.command_line`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from hsrgeo.cli import app

PAGE = Path(__file__).parents[1] / "examples" / "reference" / "cli.md"
_HEAD = """# Command line

What `--help` prints for each command. A test compares this page with the program.
"""
_PRINT = """
import sys
from hsrgeo.cli import main
for words in map(str.split, sys.stdin):
    sys.argv = ["hsrgeo", *words, "--help"]
    try:
        main()
    except SystemExit:
        print("\\x0c", end="", flush=True)
"""


def names(group: Any, before: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the words of each command, those of a group after it."""
    for name, command in getattr(group, "commands", {}).items():
        if not command.hidden:
            yield " ".join((*before, name))
            yield from names(command, (*before, name))


def page() -> str:
    """Return the page as the program has it now."""
    listed = list(names(typer.main.get_command(app)))
    screens = subprocess.run(
        [sys.executable, "-c", _PRINT],
        input="\n".join(["", *listed]),
        env={**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout.split("\x0c")
    parts = [
        f"\n## hsrgeo {name}".rstrip() + f"\n\n```text\n{screen.strip()}\n```\n"
        for name, screen in zip(["", *listed], screens, strict=False)
    ]
    return _HEAD + "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
