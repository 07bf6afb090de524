"""Whether what earlier runs wrote is still there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hsrgeo.engine.export.work import staged_beside
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.sources.remote import Place, RemotePath, is_remote
from hsrgeo.writers.disk import STAGED
from hsrgeo.writers.files import names_in
from hsrgeo.writers.png import is_edited_sidecar


class Presence:
    """Looks for the outputs of earlier runs."""

    def __init__(self, out: Place) -> None:
        self._out = out
        self._beginning = f"{out}/"
        self._listed: dict[str, dict[str, int]] = {}  # folder of a bucket -> name -> size, as it was when first asked
        self._may_be_staged: dict[str, bool] = {}  # folder of a disk -> whether it may hold staged files

    def of(self, outcome: Outcome) -> bool:
        """Tell whether the files of a frame are as its line says, and no staged file waits to replace them."""
        for path, size, _crc32 in outcome.outputs:
            found = self._size(path)
            if found != size and not (found and self._is_edited(path)):
                return False
            if (
                self._may_wait_in(path.rpartition("/")[0])
                and self._size(staged_beside(path, outcome.label)) is not None
            ):
                return False  # a run was killed before it had moved that
        return True

    def _may_wait_in(self, folder: str) -> bool:
        """Tell whether a run that was killed may have left staged files in a folder; one of a disk is listed once."""
        may_wait = self._may_be_staged.get(folder)
        if may_wait is None:
            names = names_in(self._out / folder) if isinstance(self._out, Path) else []
            # ^ none, though an output is there: it cannot be listed
            may_wait = self._may_be_staged[folder] = not names or any(name.endswith(STAGED) for name in names)
        return may_wait

    def _is_edited(self, path: str) -> bool:
        """Tell whether another program has added statistics to the sidecar of a PNG: the frame is as good as it was."""
        target = self._out / path
        if isinstance(target, RemotePath) or not path.endswith(".png.aux.xml"):
            return False
        try:
            return is_edited_sidecar(path, target.read_bytes())
        except OSError:
            return False

    def _size(self, path: str) -> int | None:
        """Return the size of a file below OUT, or None where it is not there."""
        if isinstance(self._out, Path):
            try:
                return os.stat(self._beginning + path).st_size  # noqa: PTH116 - of every frame of a finished run
            except OSError:
                return None
        target = self._out / path
        folder, _, name = path.rpartition("/")
        if folder not in self._listed:  # a request for each folder, not for each file
            if len(self._listed) == _LISTED:
                del self._listed[next(iter(self._listed))]
            with suppress(OSError):
                self._listed[folder] = {file.name: file.stat().size for file in target.parent.below(deep=False)}
        return self._listed.get(folder, {}).get(name)


def was_named(now: str, before: str) -> bool:
    """Tell whether a path may have had another name before: that names the same file, or nothing any more."""
    if is_remote(now) or is_remote(before):
        return False
    return os.path.realpath(now) == os.path.realpath(before) or not os.path.exists(before)  # noqa: PTH110 - see `expand`


_LISTED = 64
"""Folders of a bucket whose listings are kept."""
