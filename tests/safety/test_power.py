"""After a power cut the same command makes the same files; `python -m tests.fuzz.cuts` cuts at many more points."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.cuts import Exported, campaign, sources


def test_after_a_power_cut_the_same_command_makes_the_same_files(tmp_path: Path) -> None:
    source = sources(tmp_path / "in", 3)
    assert campaign(source, tmp_path, 6, random.Random(3)).endswith("all healed")  # noqa: S311


def test_without_flushing_a_power_cut_is_found(tmp_path: Path) -> None:
    source = sources(tmp_path / "in", 2)
    with pytest.raises(AssertionError, match="exit 0 promised, but not on disk"):
        campaign(source, tmp_path, 1, random.Random(3), Exported(sync=False))  # noqa: S311
