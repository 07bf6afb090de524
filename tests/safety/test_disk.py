"""A disk that fails, a few runs of the campaign `python -m tests.fuzz.disk`; and one fault in a frame."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import WriteError
from tests.conftest import frame_name

RUNS = 6


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD as on Linux")
@pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("cc")), reason="needs a C compiler")
def test_a_disk_that_fails_is_no_bug_and_heals(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.disk", "--runs", str(RUNS), "--seed", "11", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    failed = re.search(rf"^{RUNS} runs, exit statuses (.*); calls that failed: (.*)$", done.stdout, re.MULTILINE)
    assert failed, done.stdout
    assert failed[2].count(",") >= 3, done.stdout  # the library was there, and calls of several kinds failed


def test_a_fault_of_the_system_is_one_frame_s(
    frame_file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / frame_name()).write_bytes(frame_file)

    def fail(*_given: object, **_more: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("hsrgeo.engine.export.work.files_of", fail)
    (outcome,) = export(tmp_path / frame_name(), tmp_path / "out", ExportOptions(jobs=1))
    assert isinstance(outcome.error, WriteError)
    assert str(outcome.error) == f"{tmp_path / frame_name()}: cannot be exported: Input/output error"
