"""What needs pysteps says so where it is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import hsrgeo
from hsrgeo.errors import MissingExtraError


def test_advection_without_pysteps_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pysteps and .*, for --advection.*hsrgeo\[pysteps\]"):
        hsrgeo.accumulate(tmp_path, tmp_path / "out", advection=True)
