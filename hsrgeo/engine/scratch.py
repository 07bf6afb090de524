"""A folder for what a run puts aside."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give an empty folder that is removed at the end, also where a run is dropped half-way.

    `tempfile.TemporaryDirectory` warns then, for it may be collected before the run that holds it.
    """
    folder = Path(tempfile.mkdtemp(prefix="hsrgeo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
