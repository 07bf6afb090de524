"""Synthetic frames as files: single ones, or monthly archives as KMA's users keep them."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import cast

from hsrgeo.errors import FrameError, OptionsError, OutputExistsError
from hsrgeo.formats.composite import peek_header
from hsrgeo.model.grid_catalog import MAIN_GRID, grids
from hsrgeo.model.times import FRAME_STEP, KST
from hsrgeo.outputs.taken import refuse_cube
from hsrgeo.products.synthetic import Scene, synthetic_bytes
from hsrgeo.products.weather import EPOCH, Rain
from hsrgeo.sources.remote import local
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection
from hsrgeo.writers.files import write_chunks, write_file

_KINDS = ("PUB", "EXT", "KMA", "QCD")
_MINUTE = timedelta(minutes=1)
_ARCHIVE_LEVEL = 1  # of zlib: what goes in is packed already


def write_simulation(  # noqa: PLR0913 - the options of `hsrgeo simulate`, each with a name of its own
    out: Path,
    *,
    start: datetime,
    frames: int,
    step: timedelta = FRAME_STEP,
    seed: int = 0,
    rain: str = "light",
    archive: bool = False,
    product: str = "HSR",
    kind: str = "PUB",
    grid_name: str = MAIN_GRID,
    blocks: int = 1,
    on_frame: Callable[[], object] | None = None,
) -> Iterator[Path]:
    """Write synthetic frames; iterate the result to make it happen.

    The same call writes the same bytes, times of archive members included. What is there already is replaced where
    it is synthetic, a month's archive as a whole.

    Args:
        out: The output folder; made where it is missing.
        start: Time of the first frame, aware, on a whole minute, 1970 or later.
        frames: How many, at least 1.
        step: Time between two frames, whole minutes.
        seed: 0 or more; another seed is other weather.
        rain: ``dry``, ``light`` or ``heavy``.
        archive: Write ``RDR_<product>_<YYYYMM>.tar.gz``, one a month (KST), in place of single files. Frames go in
            as they are made: memory does not depend on how many there are.
        product: HSR, CPP, PPI or CMX.
        kind: PUB, EXT, KMA or QCD.
        grid_name: A name from `hsrgeo.grids`.
        blocks: 1, 2 with the height of the beam, or 3 with the radar used too, as EXT files have.
        on_frame: Called after each frame: an archive of a month is one path.

    Returns:
        An iterator over the paths written, each as soon as it is whole.

    Raises:
        OptionsError: A word, number or time that cannot be. Raised at once.
        OutputExistsError: A file is in the way that is not synthetic. Raised while iterating.
        WriteError: The disk refused. Raised while iterating.

    References:
        KMA composite format, section 1, "Products with this container": names, and the layout of archives.
    """
    if kind not in _KINDS:
        raise OptionsError(f"kind {kind!r}: expected one of {', '.join(_KINDS)}")
    if grid_name not in grids():
        raise OptionsError(f"grid {grid_name!r}: expected one of {', '.join(grids())}")
    # Scene checks words and numbers
    scene = Scene(seed=seed, rain=cast("Rain", rain), grid=grids()[grid_name], product=product, blocks=blocks)
    _check_times(start, frames, step)
    prefix = f"RDR_CMP_{product}_{kind}"
    named: Named = ((f"{prefix}_{time:%Y%m%d%H%M}.bin.gz", time) for time in _times(start, frames, step))
    if on_frame is not None:
        named = _counted(named, on_frame)
    folder = local(out, "hsrgeo simulate")
    refuse_cube(folder)
    return _write_archives(folder, named, scene) if archive else _write_files(folder, named, scene)


Named = Iterable[tuple[str, datetime]]
"""File names of frames with their times in KST."""


def _counted(named: Named, on_frame: Callable[[], object]) -> Named:
    for one in named:
        yield one
        on_frame()


def _write_files(out: Path, named: Named, scene: Scene) -> Iterator[Path]:
    for name, time in named:
        path = out / name
        _refuse_others(path)
        write_file(path, synthetic_bytes(time, scene))
        yield path


def _write_archives(out: Path, named: Named, scene: Scene) -> Iterator[Path]:
    for month, frames in groupby(named, key=lambda frame: f"{frame[1]:%Y%m}"):
        folder = f"RDR_{scene.product}_{month}"
        path = out / f"{folder}.tar.gz"
        _refuse_others(path)
        write_chunks(path, _archive_chunks(folder, frames, scene))
        yield path


def _archive_chunks(folder: str, named: Named, scene: Scene) -> Iterator[bytes]:
    # Put together by hand, not by tarfile and gzip: those take a file, and this comes in chunks for write_chunks.
    packer = zlib.compressobj(_ARCHIVE_LEVEL, wbits=31)  # 31: gzip header, with no time and no name in it
    for name, time in named:
        data = synthetic_bytes(time, scene)
        member = tarfile.TarInfo(f"{folder}/{time:%d}/{name}")
        member.size = len(data)
        member.mtime = int(time.timestamp())
        padding = bytes(-len(data) % tarfile.BLOCKSIZE)
        yield packer.compress(member.tobuf(tarfile.USTAR_FORMAT) + data + padding)
    yield packer.compress(bytes(2 * tarfile.BLOCKSIZE))  # the end mark
    yield packer.flush()


def _refuse_others(path: Path) -> None:
    """Refuse to write over a file unless it is, or starts with, a synthetic frame: real ones have the same names."""
    if not path.exists():
        return
    first = next(scan([path], Selection()), None)
    if first is not None and first.error is None:
        try:
            if peek_header(first.read()).synthetic:
                return
        except FrameError:
            pass
    raise OutputExistsError(str(path), "already exists and is not synthetic; use another folder")


def _check_times(start: datetime, frames: int, step: timedelta) -> None:
    if start.tzinfo is None:
        raise OptionsError(f"start {start}: give it a time zone, such as hsrgeo.KST")
    if start < EPOCH or start.second or start.microsecond:
        raise OptionsError(f"start {start}: expected a whole minute, 1970 or later")
    if frames < 1:
        raise OptionsError(f"frames {frames}: expected 1 or more")
    if step < _MINUTE or step % _MINUTE:
        raise OptionsError(f"step {step}: expected whole minutes, because names of frames have no seconds")
    try:
        (start + frames * step).astimezone(KST)
    except OverflowError as error:
        raise OptionsError(f"frames {frames}: the last would be after the year 9999") from error


def _times(start: datetime, frames: int, step: timedelta) -> Iterator[datetime]:
    first = start.astimezone(KST)
    return (first + number * step for number in range(frames))
