"""What earlier runs did with a frame, whether it still counts, and the stamp by which its bytes are known again."""

from __future__ import annotations

import os
import zlib

from hsrgeo.engine.export.presence import Presence, was_named
from hsrgeo.formats.gzipped import MAGIC
from hsrgeo.formats.header import HEADER_BYTES, VERSION_BYTE
from hsrgeo.outputs.manifest import Manifest
from hsrgeo.outputs.outcome import Key, Outcome
from hsrgeo.sources.found import Found
from hsrgeo.sources.remote import is_remote, place
from hsrgeo.sources.texts import read_ends


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


def stamp_of(found: Found) -> str:
    """Return size, CRC-32 of the first bytes, and last bytes of a stored frame, to recognise it.

    The last eight bytes of gzip are CRC-32 and length; in a plain file it is the header that tells two issues apart. Of
    a file elsewhere it is size and version.
    """
    if found.version:
        return f"{found.size}-{found.version}"
    if found.data is not None:
        first, last = found.data[:HEADER_BYTES], found.data[-_TRAILER_BYTES:]
    else:
        first, last = _ends_of(found.source)
    if not first.startswith((MAGIC, VERSION_BYTE)):
        first = last = b""  # no composite: nothing of it belongs in a manifest
    return f"{found.size}-{zlib.crc32(first):08x}-{last.hex()}"


def _ends_of(source: str) -> tuple[bytes, bytes]:
    try:
        if not is_remote(source):
            return read_ends(source, HEADER_BYTES, _TRAILER_BYTES)
        with place(source).open("rb") as file:
            first = file.read(HEADER_BYTES)
            file.seek(max(file.seek(0, os.SEEK_END) - _TRAILER_BYTES, 0))
            return first, file.read(_TRAILER_BYTES)
    except OSError:
        return b"", b""  # the worker will say what is wrong with it


_TRAILER_BYTES = 8
