"""Tables: what a run that ends early leaves behind."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hsrgeo.errors import SourceError
from hsrgeo.writers.table_files import Row, write_table
from tests.conftest import TIME


@pytest.mark.parametrize("wide", [False, True])
def test_a_workbook_that_is_not_finished_leaves_no_file_and_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, wide: bool
) -> None:
    pytest.importorskip("xlsxwriter")

    def rows() -> Iterator[Row]:
        yield TIME, np.array([[1.0, 2.0]])
        raise SourceError("a.tar", "ends early")

    (scratch := tmp_path / "scratch").mkdir()
    (out := tmp_path / "out").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with pytest.raises(SourceError, match="ends early"):
        write_table(out / "a.xlsx", ["place"], ["rain", "share"], rows(), wide=wide)
    gc.collect()  # an open file would be a warning, and an error here
    assert not list(scratch.iterdir())
    assert not list(out.iterdir())
