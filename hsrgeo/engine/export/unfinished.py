"""OUT/unfinished.jsonl: files that no line of the manifest may name, if a run is killed now.

A line never names a file that is not there whole. So a new file is moved to its place before its line is written, and a
file that goes is removed after the lines that named it. A run that is killed in between leaves a file that no line
names; the next run finds it here and removes it, and then does its frame again if the frame is still there.

In a bucket files are written where they stay, and it would take a request a frame to list them before. There they have
the mark of the run that wrote them, and the list has that mark: the next run looks for it at files without a line.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hsrgeo.engine.export.removal import OUTPUT_SUFFIXES, Removal
from hsrgeo.engine.export.work import ASKED
from hsrgeo.errors import refused
from hsrgeo.model.texts import json_line
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.names import UNFINISHED
from hsrgeo.outputs.outcome import Output, output_from_json, output_json
from hsrgeo.sources.remote import RemotePath
from hsrgeo.writers.files import remove_file, write_file


class Unfinished:
    """The files that are moved or removed now.

    Args:
        manifest: Open manifest of OUT.
        sync: Wait for the disk.
        in_place: Files are written in place, with the mark.
    """

    def __init__(self, manifest: Manifest, *, sync: bool, in_place: bool = False) -> None:
        self._manifest = manifest
        self._path = manifest.out / UNFINISHED
        self._sync = sync
        self._noted = True  # maybe by a run that was killed
        self._removal = Removal(manifest.out)
        self._retired: dict[str, Output] = {}
        self._begun: list[bytes] = []
        self.mark = uuid.uuid4().hex if in_place else ""
        """Of this run."""

    def begin(self) -> None:
        """Write down that files with the mark may be written now, if any are."""
        if self.mark and not self._begun:
            self._begun = [json_line({"mark": self.mark}).encode() + b"\n"]
            self._write([])

    def _write(self, lines: list[bytes]) -> None:
        write_file(self._path, *self._begun, *lines, sync=self._sync)
        self._noted = True

    def note(self, outputs: Iterable[Output]) -> None:
        """Write down which files may be moved or removed next; the lines about those before are kept first."""
        lines = [json_line(output_json(output)).encode() + b"\n" for output in outputs]
        if lines:
            self._manifest.sync()
            self._write(lines)

    def retire(self, outputs: Iterable[Output]) -> None:
        """Have files removed by `remove`, when no line names them any more."""
        self._retired |= {output.path: output for output in outputs}

    def replaced(self, outputs: Iterable[Output]) -> None:
        """Do not remove these files: new ones have taken their paths."""
        for output in outputs:
            self._retired.pop(output.path, None)

    def remove(self) -> None:
        """Remove the files that were retired."""
        if self._retired:
            self._manifest.sync()
        while self._retired:
            self._removal.remove(self._retired.popitem()[1])

    def clear(self) -> None:
        """Remove the list: the manifest tells of every file now. Warn of files that were left as they are."""
        if self._noted:
            self._manifest.sync()
            remove_file(self._path)
            self._noted = False
        self._removal.tell()

    def recover(self) -> None:
        """Remove the files that a killed run left without a line; of others, and of files with other bytes, none."""
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            self._noted = False
            return
        named = {output.path for line in self._manifest if line.status == "ok" for output in line.outputs}
        for line in lines:
            try:
                record = json.loads(line)
                if "mark" in record:
                    self._remove_marked(str(record["mark"]), named)
                    continue
                output = output_from_json(record)
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # somebody has edited it
            if output.path not in named:
                self._removal.remove(output)
        self.clear()

    def _remove_marked(self, mark: str, named: set[str]) -> None:
        """Remove the files of a bucket that have a mark and no line."""
        out = self._manifest.out
        if isinstance(out, Path) or not mark:
            return

        def remove(file: RemotePath) -> None:
            try:
                marked = file.mark() == mark
            except FileNotFoundError:
                return
            except OSError as error:
                raise refused(str(file), error, "looked at") from error
            if marked:
                remove_file(file)

        try:
            start = len(out.key) + 1 if out.key else 0
            files = [one for one in out.below() if one.key[start:] not in named and one.key.endswith(OUTPUT_SUFFIXES)]
        except OSError as error:
            raise refused(str(out), error, "listed") from error
        with ThreadPoolExecutor(ASKED) as threads:
            for _done in threads.map(remove, files):
                pass
