"""What a source is: frames, a cube, or what an export left. It needs none of the libraries of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hsrgeo.sources.catalogs import is_catalog

Kind = Literal["cube", "export", "frames"]

_MANIFEST = "manifest.jsonl"  # what `hsrgeo export` leaves beside its outputs


def kind_of(path: Path) -> Kind:
    """Tell what a source is, by its name and what lies in it."""
    if path.suffix.lower() in (".nc", ".zarr") or any((path / name).is_file() for name in ("zarr.json", ".zgroup")):
        return "cube"
    return "export" if (path / _MANIFEST).is_file() or is_catalog(path) else "frames"
