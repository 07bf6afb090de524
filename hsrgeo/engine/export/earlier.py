"""What earlier runs did with a frame, and whether it still counts."""

from __future__ import annotations

from hsrgeo.engine.export.presence import Presence, was_named
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.outcome import Key, Outcome


class Earlier:
    """Looks a frame up among the lines of the manifest.

    Args:
        manifest: Open manifest of OUT.
        overwrite: Write again what is done already: then nothing counts.
    """

    def __init__(self, manifest: Manifest, *, overwrite: bool) -> None:
        self._manifest = manifest
        self._overwrite = overwrite
        self._presence = Presence(manifest.out)

    def written(self, label: str, key: Key, stamp: str) -> Outcome | None:
        """Return the line of a frame whose outputs are there and are kept: nearly all of a finished run."""
        before = None if self._overwrite else self._manifest.settled(label, key)
        return before if before and before.stamp == stamp and self._stands(before, before) else None

    def known(self, label: str, key: Key, stamp: str) -> Outcome | None:
        """Return the line of a frame, if it is about the same bytes and still right: written, dry, or a duplicate."""
        before = None if self._overwrite else self._manifest.get(label)
        if before is None or before.stamp != stamp:
            return None
        return before if self._stands(before, self._manifest.kept(key)) else None

    def same_file(self, outcome: Outcome, key: Key, stamp: str) -> Outcome | None:
        """Return the line of the same file, if an earlier run met it under another name or in another place.

        A second copy beside the first is no such file, but a duplicate.
        """
        kept = None if self._overwrite else self._manifest.kept(key)
        if kept is None or kept.stamp != stamp or kept.label == outcome.label or self._manifest.is_new(kept):
            return None
        same = (kept.member, kept.name) == (outcome.member, outcome.name) and was_named(outcome.source, kept.source)
        return kept if same and self._stands(kept, kept) else None

    def _stands(self, before: Outcome, kept: Outcome | None) -> bool:
        if kept is None or before.status not in ("ok", "dry", "duplicate"):
            return False
        if before.status == "duplicate":  # unless this run kept something worse
            return not self._manifest.is_new(kept) or kept.standing >= before.standing
        return kept.label == before.label and self._presence.of(before)
