"""The page of a folder that grows while it is served."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

from hsrgeo.engine.view.pages import Page, ViewOptions, make_page
from hsrgeo.errors import HsrGeoError
from hsrgeo.outputs.journal import is_output
from hsrgeo.outputs.names import MANIFEST, STATUS


class Growing:
    """The page of a folder as it is now: `page` makes it again where the folder was written to.

    Args:
        out: The output folder of an export, sums or fields.
        options: What is shown.

    Raises:
        HsrGeoError: See `make_page`.
    """

    def __init__(self, out: Path, options: ViewOptions) -> None:
        self._out, self._options = out, options
        self._lock = Lock()
        self._seen = _state(out)
        self._page = make_page(out, options, grows=True)

    def page(self) -> Page:
        """Return the page; the one before where a run is just changing the folder, until it can be made again."""
        with self._lock, suppress(HsrGeoError, OSError):
            now = _state(self._out)
            if now != self._seen:
                self._page = make_page(self._out, self._options, grows=True)
                self._seen = now
        return self._page


def _state(out: Path) -> list[tuple[str, int, int]]:
    """Return what changes with every frame: the manifest of an export; of sums, which have none, their folders."""
    if is_output(out):
        paths = [out / MANIFEST, *(path for path in [out / STATUS] if path.exists())]
    else:
        paths = [Path(folder) for folder, _below, _files in os.walk(out)]
    found = [(str(path), path.stat()) for path in paths]
    return [(path, status.st_size, status.st_mtime_ns) for path, status in found]
