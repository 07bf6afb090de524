"""examples/reference/cli.md is what the program prints."""

from __future__ import annotations

import re

from tests.command_line import PAGE, page


def test_the_page_of_the_command_line_is_what_help_prints() -> None:
    # Versions of Typer break lines in other places.
    written, printed = (re.sub(r"\s+", " ", text) for text in (PAGE.read_text(encoding="utf-8"), page()))
    assert written == printed, "run python -m tests.command_line"
