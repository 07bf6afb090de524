"""Staged files: written under another name beside their places, and moved when it is certain that they are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hsrgeo.engine.export.unfinished import Unfinished
from hsrgeo.engine.export.work import staged_beside
from hsrgeo.errors import OutputError, OutputExistsError, ReadbackError
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.outcome import Key, Outcome
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.sources.remote import Place
from hsrgeo.writers.files import move_file, remove_file, there_already


class Staging:
    """Moves and removes the staged files of frames.

    Args:
        manifest: Open manifest of OUT.
        recipe: What the outputs are made with.
        unfinished: The files that are moved or removed now.
        overwrite: Replace whatever is in the way.
    """

    def __init__(self, manifest: Manifest, recipe: Recipe, unfinished: Unfinished, *, overwrite: bool) -> None:
        self._manifest, self._recipe, self._unfinished = manifest, recipe, unfinished
        self._overwrite = overwrite
        self._on_disk = isinstance(manifest.out, Path)

    def files(self, outcome: Outcome) -> list[Any]:
        """Return where the files of a frame wait until they are moved; in a bucket, where some do."""
        return [self._manifest.out / staged_beside(output.path, outcome.label) for output in outcome.outputs]

    def move(self, outcome: Outcome) -> None:
        """Move the files of a frame to their places."""
        for output, staged in zip(outcome.outputs, self.files(outcome), strict=True):
            move_file(staged, self._manifest.out / output.path)
        self._unfinished.replaced(outcome.outputs)

    def discard(self, outcome: Outcome) -> None:
        """Remove the staged files of a frame."""
        for staged in self.files(outcome):
            remove_file(staged)

    def in_the_way(self, outcome: Outcome, key: Key) -> OutputError | None:
        """Return an error if a file that is not hsrgeo's, with other bytes, has a place of this frame."""
        if self._overwrite or (
            outcome.frame_name and self._manifest.owner(self._recipe.first_path(outcome.frame_name)) == key
        ):
            return None
        kept = self._manifest.kept(key)
        own = {output.path for output in kept.outputs} if kept else set()  # where some regions are dry, not the first
        try:
            for output in outcome.outputs:
                if output.path in own:
                    continue
                if self._on_disk and not os.path.lexists(f"{self._manifest.out}/{output.path}"):  # nearly always
                    continue
                target = self._manifest.out / output.path
                staged = self._manifest.out / staged_beside(output.path, outcome.label)
                there_already(target, staged.read_bytes())
        except OutputExistsError as error:
            return error
        except OSError as error:
            return ReadbackError(str(staged), f"cannot be read back: {error.strerror or error}")
        return None

    def not_moved(self) -> set[Place]:
        """Return the staged files of lines that an earlier run wrote: one that is still there shows that it was killed.

        A frame that this run did again has a new line; the others may be among the sources of the next run.
        """
        lines = (line for line in self._manifest if line.outputs and not self._manifest.is_new(line))
        return {path for line in lines for path in self.files(line)}
