"""OUT/unfinished.jsonl: files that no line of the manifest may name, if a run is killed now.

A line never names a file that is not there whole. So a new file is moved to its place before its line is written, and a
file that goes is removed after the lines that named it. A run that is killed in between leaves a file that no line
names; the next run finds it here and removes it, and then does its frame again if the frame is still there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from hsrgeo.engine.export.removal import Removal
from hsrgeo.model.texts import json_line
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import UNFINISHED
from hsrgeo.outputs.outcome import Output, output_from_json, output_json
from hsrgeo.writers.files import remove_file, write_file


class Unfinished:
    """The files that are moved or removed now.

    Args:
        manifest: Open manifest of OUT.
        sync: Wait for the disk.
    """

    def __init__(self, manifest: Manifest, *, sync: bool) -> None:
        self._manifest = manifest
        self._path = manifest.out / UNFINISHED
        self._sync = sync
        self._noted = True  # maybe by a run that was killed
        self._removal = Removal(manifest.out)
        self._retired: dict[str, Output] = {}

    def note(self, outputs: Iterable[Output]) -> None:
        """Write down which files may be moved or removed next; the lines about those before are kept first.

        Raises:
            WriteError: The disk refused.
        """
        lines = b"".join(json_line(output_json(output)).encode() + b"\n" for output in outputs)
        if lines:
            self._manifest.sync()
            write_file(self._path, lines, sync=self._sync)
            self._noted = True

    def retire(self, outputs: Iterable[Output]) -> None:
        """Have files removed by `remove`, when no line names them any more."""
        self._retired |= {output.path: output for output in outputs}

    def replaced(self, outputs: Iterable[Output]) -> None:
        """Leave these where they are: they are new."""
        for output in outputs:
            self._retired.pop(output.path, None)

    def remove(self) -> None:
        """Remove the files that were retired.

        Raises:
            WriteError: The disk refused.
        """
        if self._retired:
            self._manifest.sync()
        while self._retired:
            self._removal.remove(self._retired.popitem()[1])

    def clear(self) -> None:
        """Remove the list: the manifest tells of every file now. Warn of files that were left as they are.

        Raises:
            WriteError: The disk refused.
        """
        if self._noted:
            self._manifest.sync()
            remove_file(self._path)
            self._noted = False
        self._removal.tell()

    def recover(self) -> None:
        """Remove the files that a killed run left without a line; of others, and of files with other bytes, none.

        Raises:
            WriteError: The disk refused.
        """
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            self._noted = False
            return
        named = {output.path for line in self._manifest if line.status == "ok" for output in line.outputs}
        for line in lines:
            try:
                output = output_from_json(json.loads(line))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # somebody has edited it
            if output.path not in named:
                self._removal.remove(output)
        self.clear()
