"""Words that are kept out of help and messages: those of a translation, where the field has a usual word."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import hsrgeo
from hsrgeo.cli import app

BANNED = re.compile(
    r"\b(told|tells?|held|holds?|lends?|lent|whatever|wished|aloud|questions?)\b"
    r"|\bsound (frame|answer|stream|solution|gzip)"
    r"|no use\b|of what it is|stays done|goes on later|not said\b|no longer wanted"
    r"|\b(under way|in vain|gone by|ride along|of which|is heard)\b"
)
FRAGMENT = re.compile(r"^(Of|As|Likewise|By) ")
SPEAKERS = {"say", "print", "echo", "append", "extend", "Option", "Argument"}
"""What prints or keeps a text for the user, beside the errors and what makes one."""


def screens() -> Iterator[tuple[str, Any]]:
    """Yield every command with its path."""
    waiting: list[tuple[str, Any]] = [("hsrgeo", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        yield name, command
        if commands := getattr(command, "commands", None):  # Typer brings a click of its own
            waiting += [(f"{name} {word}", one) for word, one in commands.items()]


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts that a module hands to an error, a note or the terminal."""
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if not (name.endswith("Error") or name in SPEAKERS):
            continue
        for given in (*call.args, *(word.value for word in call.keywords)):
            for part in ast.walk(given):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.lineno, part.value


def test_help_is_in_usual_words() -> None:
    bad = []
    count = 0
    for name, command in screens():
        helps = [command.help or "", *(str(getattr(one, "help", "") or "") for one in command.params)]
        count += len(helps)
        bad += [f"{name}: {text}" for text in helps if BANNED.search(text) or FRAGMENT.match(text)]
    assert count > 200  # all commands were walked
    assert not bad, "\n".join(bad)


def test_messages_are_in_usual_words() -> None:
    root = Path(hsrgeo.__file__).parent
    bad = [
        f"{path.relative_to(root)}:{line}: {text}"
        for path in sorted(root.rglob("*.py"))
        for line, text in texts(path)
        if " " in text.strip() and BANNED.search(text)
    ]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize(
    "text", ["errors are still told", "one question at a time", "no sound frame", "X holds rain", "a run is under way"]
)
def test_the_list_finds_what_it_is_for(text: str) -> None:
    assert BANNED.search(text)
