"""What an export left in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hsrgeo.outputs.names import MANIFEST
from hsrgeo.sources.remote import Place


def lines(out: Place) -> list[dict[str, Any]]:
    """Return what each line of the manifest says."""
    return [json.loads(line) for line in (out / MANIFEST).read_bytes().splitlines()]


def tree(out: Place) -> dict[str, bytes]:
    """Return every file below OUT, the manifest without its seconds."""
    if isinstance(out, Path):
        found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    else:
        found = {file.key.removeprefix(f"{out.key}/"): file.read_bytes() for file in out.below()}
    found[MANIFEST] = json.dumps([{**line, "seconds": 0} for line in lines(out)]).encode()
    return found
