"""The notebook's archive run as a program of its own: `python -m tests.benchmarks.notebook OUT ARCHIVE`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.contenders import notebook_archive

if __name__ == "__main__":
    out, archive = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        notebook_archive(archive, Path(folder), out, jobs=2)
