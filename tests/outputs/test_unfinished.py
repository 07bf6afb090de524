"""A run killed between a file and its line in the manifest: the next one finds the file, and no other."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from hsrgeo.engine.export.export_run import export
from hsrgeo.errors import HsrGeoWarning
from hsrgeo.outputs.names import UNFINISHED
from tests.conftest import TIME, frame_name
from tests.watched import OPTIONS, content, held, killed

COG = "202206/09/202206091115.tif"


def _export(source: Path, out: Path, kill: int = 0) -> dict[str, object]:
    with killed(kill), suppress(KeyboardInterrupt):
        export(source, out, OPTIONS).run()
    return held(out)


@pytest.mark.parametrize("moved", [1, 2, 3])
@pytest.mark.parametrize("then", ["better", "worse", "gone"])
def test_a_source_that_changes_after_the_kill(moved: int, then: str, tmp_path: Path) -> None:
    (source := tmp_path / "in").mkdir()
    (source / frame_name(TIME, kind="EXT")).write_bytes(content(0, 2, "whole"))
    left = _export(source, tmp_path / "out", kill=moved + 1)
    assert (COG in left, left["manifest"]) == (True, [])
    (source / frame_name(TIME, kind="EXT")).unlink()
    minute, stations = {"better": (0, 3), "worse": (0, 1), "gone": (5, 2)}[then]
    (source / frame_name(TIME.replace(minute=15 + minute))).write_bytes(content(minute, stations, "whole"))
    again = _export(source, tmp_path / "out")
    assert {path: what for path, what in again.items() if what != "folder"} == {
        path: what for path, what in _export(source, tmp_path / "once").items() if what != "folder"
    }
    assert not (tmp_path / "out" / UNFINISHED).exists()


def test_only_files_with_the_very_bytes_of_the_killed_run_go(tmp_path: Path) -> None:
    (source := tmp_path / "in").mkdir()
    (source / frame_name()).write_bytes(content(0, 2, "whole"))
    out = tmp_path / "out"
    _export(source, out, kill=2)
    listed = [json.loads(line)["path"] for line in (out / UNFINISHED).read_bytes().splitlines()]
    assert COG in listed
    (out / COG).write_bytes(b"somebody else's")
    with (out / UNFINISHED).open("ab") as file:
        file.write(b'{"path": "../in/' + frame_name().encode() + b'", "bytes": 1, "crc32": "0"}\n[]\n{"pa')
    (source / frame_name()).write_bytes(content(0, 3, "whole"))
    with pytest.warns(HsrGeoWarning, match="may be somebody else's"):
        _export(source, out)
    assert (out / COG).read_bytes() == b"somebody else's"
    assert (source / frame_name()).exists()
