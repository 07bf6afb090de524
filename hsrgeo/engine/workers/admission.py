"""Whether a worker elsewhere would do what this process does: same hsrgeo, same bytes, same folder."""

from __future__ import annotations

import os
import threading
import time
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from uuid import uuid4

import hsrgeo
from hsrgeo.errors import ClusterError
from hsrgeo.sources.remote import Place

_TRIES = 5
_PAUSE_S = 1.0
# ^ a network disk may take seconds to show a new folder


@dataclass(frozen=True, slots=True)
class Shared:
    """A folder of outputs that this process and all workers see under the same path."""

    folder: Place
    witness: str
    """Name of a file in it, by which a worker knows that the folder is the same."""
    written: bool = True
    """Whether workers write into it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a worker must have."""

    version: str
    probe: str
    """CRC-32 of a small frame in every format: other libraries, or another processor, may pack otherwise."""
    witness: str = ""
    """Absolute path of a file that must be the same one there; empty for none."""
    marked: tuple[int, int] = (0, 0)
    """Its size and time [s]."""
    written: bool = True
    """Whether it must be possible to write beside it."""


def expected_of(shared: Shared | None) -> Expected:
    """Return what this process has.

    Args:
        shared: An output folder, if any; one in a bucket is the same everywhere.
    """
    if shared is None or not isinstance(shared.folder, Path):
        return Expected(hsrgeo.__version__, probe())
    folder = Path(os.path.abspath(shared.folder))  # noqa: PTH100 - resolve() follows links, which may differ elsewhere
    witness = folder / shared.witness
    return Expected(hsrgeo.__version__, probe(), str(witness), _mark(witness), shared.written)


@lru_cache(maxsize=16)
def admit(expected: Expected) -> None:
    """Refuse to work where something differs; asked once a process for the same expectation.

    Raises:
        ClusterError: What differs, and what to do.
    """
    if expected.version != hsrgeo.__version__:
        raise ClusterError(
            f"has hsrgeo {hsrgeo.__version__}, not {expected.version}: install the same version everywhere"
        )
    if expected.probe != probe():
        raise ClusterError(
            "packs the same frame into other bytes: install the same versions of hsrgeo's dependencies everywhere "
            "(one lock file, one image)"
        )
    if expected.witness:
        witness = Path(expected.witness)
        _check_folder(witness, expected.marked)
        if expected.written:
            _try_to_write(witness.parent)


def probe() -> str:
    """Return what `Expected.probe` is here; worked out once, though threads may ask at the same time."""
    with _PROBING:
        return _probed()


_PROBING = threading.Lock()


@cache
def _probed() -> str:
    # Only a run on a cluster makes up a frame and packs it.
    from hsrgeo.formats.composite import decode  # noqa: PLC0415
    from hsrgeo.model.grid_catalog import grids  # noqa: PLC0415
    from hsrgeo.products.synthetic import Scene, synthetic_bytes  # noqa: PLC0415
    from hsrgeo.writers.cog import encode_cog  # noqa: PLC0415
    from hsrgeo.writers.png import encode_png  # noqa: PLC0415

    data = synthetic_bytes(datetime(2022, 6, 9, tzinfo=UTC), Scene(grid=grids()["kma-hb-1km"], rain="heavy"), level=1)
    frame = decode(data, "probe").crop(window=(384, 512, 320, 320))
    sums = [
        zlib.crc32(encode_cog(frame, compress="deflate")),
        zlib.crc32(encode_cog(frame, compress="zstd")),
        zlib.crc32(encode_png(frame)),
    ]
    return "".join(f"{one:08x}" for one in sums)


def _check_folder(witness: Path, marked: tuple[int, int]) -> None:
    for left in reversed(range(_TRIES)):
        try:
            there = _mark(witness)
        except OSError:
            there = None
        if there == marked:
            break
        if not left:
            raise ClusterError(
                f"does not see the folder {witness.parent} of this run: OUT must be on a disk that all machines "
                "share, under the same path"
            )
        time.sleep(_PAUSE_S)


def _try_to_write(folder: Path) -> None:
    trial = folder / f".{uuid4().hex}.part"
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise ClusterError(f"cannot write into {folder}: {error.strerror or error}") from error


def _mark(witness: Path) -> tuple[int, int]:
    status = witness.stat()
    return status.st_size, int(status.st_mtime)
