"""Volumes of single radars -> frames of composites, as files in KMA's container."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.engine.workers.parallel import run_parallel
from hsrgeo.errors import FrameError, HsrGeoError, OptionsError, SourceError, as_value
from hsrgeo.formats.volume import SUFFIXES, read_volume, time_in_name
from hsrgeo.model.grid_catalog import MAIN_GRID, grids, grids_by
from hsrgeo.model.times import FRAME_STEP, KST, time_label
from hsrgeo.model.volume import Volume
from hsrgeo.outputs.lock import locked
from hsrgeo.outputs.taken import refuse_cube
from hsrgeo.products.mosaic import Method, compose_frames, refuse_unknown
from hsrgeo.products.polar import PolarProduct, as_product
from hsrgeo.sources.found import read_file
from hsrgeo.sources.listing import listed_files, place_of
from hsrgeo.sources.remote import Place, local
from hsrgeo.writers.container import encode_bin
from hsrgeo.writers.files import remove_parts, there_already, write_file


@dataclass(slots=True)
class Composed:
    """What became of the volumes of one frame."""

    time: datetime | None
    """Of the frame, KST; None of volumes whose time is unknown."""
    path: Path | None = None
    """None where no frame was made."""
    there: bool = False
    """Whether the very frame was there already."""
    radars: tuple[str, ...] = ()
    """Codes of those that are in it."""
    notes: list[str] = field(default_factory=list)
    errors: list[HsrGeoError] = field(default_factory=list)
    """Volumes that are not in it, or why there is none."""


def compose(  # noqa: PLR0913 - the options of `hsrgeo compose`
    volumes: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    product: str = "lowest",
    method: Method = "max",
    grid_name: str = MAIN_GRID,
    jobs: int = -1,
    overwrite: bool = False,
) -> Iterator[Composed]:
    """Make frames of volumes, one for each five minutes, and yield what became of each, in their order.

    Of a radar with several volumes in the five minutes the one nearest to their start is taken, and a note names the
    others; two of the same time make no frame.

    A frame has the blocks reflectivity (or, of echo tops, only the height), height of the beam, station and count of
    radars. Its name (``OWN``), its header and its tags say that it is not a product of KMA. The same volumes give the
    same bytes.

    Args:
        volumes: Files, folders and globs: CfRadial 1 (NetCDF-4), ODIM or UF, each of one scan of one radar.
        out: Folder of the frames; made where it is missing.
        product: ``sweep:N`` from the lowest, ``lowest`` (the lowest beam that observed a cell; no terrain is known),
            ``cappi:METRES`` (the beam nearest to a height above the sea), ``max``, or ``echo-top:DBZ`` (the highest
            beam with such an echo).
        method: Where several radars see a cell: ``max``, ``mean`` or ``quality``; see
            `hsrgeo.products.mosaic.compose_frames`.
        grid_name: A grid of `hsrgeo.grids`.
        jobs: Frames at a time; -1 is one a core.
        overwrite: Replace frames that are there and differ.

    Raises:
        OptionsError: A word or number that cannot be. Raised at once.
        SourceError: A source does not exist, or there is no volume. Raised at once.
        LockError: Another run is writing into the folder.
        WriteError: The disk refused.
    """
    wanted = as_product(product)
    refuse_unknown(method)
    if grid_name not in [grid.name for grid in grids_by("point")]:
        raise OptionsError(f"grid {grid_name!r}: expected one of {', '.join(grid.name for grid in grids_by('point'))}")
    workers = count_workers(jobs)
    folder = local(out, "hsrgeo compose")
    refuse_cube(folder)
    sources = [volumes] if isinstance(volumes, (str, Path)) else list(volumes)
    files = [place_of(file) for file, named in listed_files(sources) if named or str(file).lower().endswith(SUFFIXES)]
    if not files:
        raise SourceError(", ".join(map(str, sources)), f"no volumes there ({', '.join(SUFFIXES)})")
    work = partial(_compose, out=folder, product=wanted, method=method, grid_name=grid_name, overwrite=overwrite)
    return _run(work, files, workers, folder)


def _run(work: partial[Composed], files: Sequence[Place], workers: int, folder: Path) -> Iterator[Composed]:
    groups: dict[datetime, list[Place]] = {}
    unread = []
    for file in files:
        time = time_in_name(file.name)
        if time is None:
            try:
                time = _read(file).time
            except HsrGeoError as error:
                unread.append(as_value(error))
                continue
        groups.setdefault(frame_time(time), []).append(file)
    if unread:
        yield Composed(None, errors=unread)
    waiting: dict[datetime | None, Composed] = {}
    times = iter(sorted(groups))
    wanted = next(times, None)
    with locked(folder / "frames", folder) as lock:
        for done in run_parallel(work, sorted(groups.items()), min(workers, len(groups)) if workers > 0 else workers):
            lock.check()
            waiting[done.time] = done
            while wanted in waiting:  # in their order, whichever is made first
                yield waiting.pop(wanted)
                wanted = next(times, None)


def frame_time(time: datetime) -> datetime:
    """Return the start of the five minutes that a time is in, KST."""
    local_time = time.astimezone(KST).replace(microsecond=0)
    midnight = local_time.replace(hour=0, minute=0, second=0)
    return midnight + (local_time - midnight) // FRAME_STEP * FRAME_STEP


def _read(file: Place) -> Volume:
    return read_volume(read_file(file), str(file))


def _compose(
    group: tuple[datetime, list[Place]],
    *,
    out: Path,
    product: PolarProduct,
    method: Method,
    grid_name: str,
    overwrite: bool,
) -> Composed:
    """Runs in a worker."""
    done = Composed(group[0])
    read: list[Volume] = []
    for file in group[1]:
        try:
            read.append(_read(file))
        except HsrGeoError as error:
            done.errors.append(as_value(error))
    read, left_out = _nearest(read, group[0])
    if left_out:
        why = "another volume of the radar is nearer to that time"
        done.notes.append(f"{time_label(group[0])}: left out: {', '.join(left_out)}: {why}")
    for volume in read:
        done.notes += volume.notes
    late = [f"{one.radar.code} {one.time.astimezone(KST):%H:%M}" for one in read if one.time - group[0] >= _MINUTE]
    if late:
        done.notes.append(f"{time_label(group[0])}: with scans of other minutes: {', '.join(sorted(late))}")
    if not read:
        return done
    try:
        frames = compose_frames(read, grids()[grid_name], group[0], product, method)
        path = out / frames[0].name
        data = encode_bin(frames)
        done.there = not overwrite and there_already(path, data, _DIFFERS)
        remove_parts(path)  # of a run that was killed
        if not done.there:
            write_file(path, data)
        done.path, done.radars = path, tuple(station.code for station in frames[0].header.stations)
    except FrameError as error:
        done.errors.append(as_value(error.at(error.source or time_label(group[0]), None)))
    except HsrGeoError as error:
        done.errors.append(as_value(error))
    return done


def _nearest(volumes: list[Volume], time: datetime) -> tuple[list[Volume], list[str]]:
    """Return of each radar what is nearest to a time, and the names of the others; two of one time both stay."""
    shortest: dict[str, timedelta] = {}
    for one in volumes:
        away, code = abs(one.time - time), one.radar.code
        shortest[code] = min(away, shortest.get(code, away))
    kept = [one for one in volumes if abs(one.time - time) == shortest[one.radar.code]]
    return kept, sorted(one.name for one in volumes if one not in kept)


_DIFFERS = "already exists and differs; use --overwrite or another --out"
_MINUTE = timedelta(minutes=1)
