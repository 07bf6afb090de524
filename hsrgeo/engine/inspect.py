"""What a source holds, for people and scripts: one frame in full, or a summary of many."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from hsrgeo.engine.workers.crew import count_workers
from hsrgeo.engine.workers.parallel import run_each
from hsrgeo.errors import HsrGeoError, as_value
from hsrgeo.formats.radar_scan import ECHO
from hsrgeo.formats.volume import SUFFIXES, is_volume, read_volume, time_in_name
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Registration
from hsrgeo.model.grid_catalog import grids_by
from hsrgeo.model.times import FIVE_MINUTES_SINCE, FRAME_STEP, early_step, kst_text, utc_text
from hsrgeo.model.volume import Volume
from hsrgeo.reading import decode_found
from hsrgeo.sources.archive_formats import is_archive
from hsrgeo.sources.found import Found, Tally, read_file
from hsrgeo.sources.listing import expand, is_folder, listed_files, place_of
from hsrgeo.sources.remote import Place, place
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection

_BATCH = 8


@dataclass
class Summary:
    """Many frames in a few numbers."""

    source: str
    frames: int = 0
    """Sound frames."""
    first: datetime | None = None
    last: datetime | None = None
    products: Counter[str] = field(default_factory=Counter)
    """Sound frames by product and kind."""
    gaps: list[tuple[str, datetime, datetime, int]] = field(default_factory=list)
    """Product, first and last missing time, and how many are missing, against one frame every 5 minutes, every 10
    before 16 September 2019."""
    volumes: Counter[str] = field(default_factory=Counter)
    """Sound volumes of single radars in a folder, by radar."""
    repeated: int = 0
    """Frames whose product and time another frame has too."""
    notes: list[str] = field(default_factory=list)
    """See `Frame.notes`; of every frame that has any."""
    broken: list[HsrGeoError] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    @property
    def missing(self) -> int:
        """Frames missing between the first and the last."""
        return sum(count for *_gap, count in self.gaps)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "source": self.source,
            "frames": self.frames,
            "first": kst_text(self.first) if self.first else None,
            "last": kst_text(self.last) if self.last else None,
            "products": dict(self.products),
            "volumes": dict(self.volumes),
            "missing": self.missing,
            "gaps": [
                {"product": product, "from": kst_text(start), "to": kst_text(end), "frames": count}
                for product, start, end, count in self.gaps
            ],
            "repeated": self.repeated,
            "notes": self.notes,
            "broken": [{"type": type(error).__name__, "message": str(error)} for error in self.broken],
            "passed_over": dict(self.tally.passed_over),
        }


def inspect(
    sources: Sequence[str | Path], *, jobs: int = -1, registration: Registration = "point"
) -> Iterator[Frame | Volume | Summary | HsrGeoError]:
    """Yield the frame or volume of each file, a summary of each folder and archive, or what is wrong with it.

    Args:
        sources: Files, folders, globs and archives.
        jobs: Processes for summaries; -1 is one a core.
        registration: What KMA's points are, as in `ExportOptions`; it decides the grid that is shown for a frame.

    Raises:
        OptionsError: Neither -1 nor 1 or more jobs, or no such registration.
        SourceError: A source does not exist.
    """
    count_workers(jobs)
    grids_by(registration)
    for path in expand(sources):
        if is_archive(path) or is_folder(path):
            yield summarise(str(path), jobs=jobs)
        else:
            try:
                data = read_file(path)
                if is_volume(data):
                    yield read_volume(data, str(path))
                else:
                    yield decode_found(Found(str(path), None, None, 0, data=data), registration=registration)
            except HsrGeoError as error:
                yield error


def summarise(path: str | Path, *, jobs: int = -1) -> Summary:
    """Check every frame of a folder or archive, CRC and length included, and every volume of a folder; count them."""
    summary = Summary(str(path))
    times: dict[str, list[datetime]] = {}
    found = scan([path], Selection(), summary.tally)
    for batch in run_each(_checked, found, _BATCH, count_workers(jobs)):
        for one, problem in batch:
            if isinstance(problem, HsrGeoError) or one.frame_name is None:
                summary.broken.append(problem if isinstance(problem, HsrGeoError) else HsrGeoError(one.source))
                continue
            summary.notes += problem
            summary.frames += 1
            summary.products[f"{one.frame_name.product} {one.frame_name.kind}".strip()] += 1
            times.setdefault(one.frame_name.product, []).append(one.frame_name.time)
    for product, listed in sorted(times.items()):
        unique = sorted(set(listed))
        summary.repeated += len(listed) - len(unique)
        summary.gaps.extend((product, *gap) for gap in _gaps(unique))
        summary.first = min(filter(None, (summary.first, unique[0])))
        summary.last = max(filter(None, (summary.last, unique[-1])))
    if is_folder(place(path)):
        _count_volumes(place(path), summary, jobs)
    summary.broken.sort(key=str)
    summary.notes.sort()
    return summary


def _count_volumes(folder: Place, summary: Summary, jobs: int) -> None:
    """Read the volumes of a folder; other files of these suffixes are left to the tally, which has them already."""
    files = [place_of(file) for file, _named in listed_files([str(folder)]) if str(file).lower().endswith(SUFFIXES)]
    for batch in run_each(_read_volume, files, _BATCH, count_workers(jobs)):
        for file, found in batch:
            if found is None:
                continue
            summary.tally.take_back(file.name)
            if isinstance(found, HsrGeoError):
                summary.broken.append(found)
            else:
                code, notes = found
                summary.volumes[code] += 1
                summary.notes += notes


def _read_volume(file: Place) -> tuple[Place, tuple[str, tuple[str, ...]] | HsrGeoError | None]:
    """Runs in a worker."""
    return file, _volume(file)


def _volume(file: Place) -> tuple[str, tuple[str, ...]] | HsrGeoError | None:
    """Return radar and notes of a volume, what is wrong with one that is named so, or None of another file."""
    try:
        data = read_file(file)
        if not is_volume(data):
            return None
        volume = read_volume(data, str(file))
    except HsrGeoError as error:
        return as_value(error) if time_in_name(file.name) else None
    return volume.radar.code, volume.notes


def frame_json(frame: Frame) -> dict[str, Any]:
    """Return everything about a frame as plain values."""
    header = dataclasses.asdict(frame.header)
    header |= {
        "time": kst_text(frame.header.time),
        "created": kst_text(frame.header.created) if frame.header.created else None,
        "etc": frame.header.etc.hex(),
        "stations": [
            {
                "code": station.code,
                "time": kst_text(station.time) if station.time else None,
                "created": kst_text(station.created) if station.created else None,
            }
            for station in frame.header.stations
        ],
    }
    return {
        "name": frame.name,
        "product": frame.product,
        "kind": frame.kind,
        "time": kst_text(frame.time),
        "time_utc": utc_text(frame.time),
        "synthetic": frame.header.synthetic,
        "quantity": frame.quantity.name,
        "unit": frame.quantity.unit,
        "grid": frame.grid.name,
        "width": frame.grid.width,
        "height": frame.grid.height,
        "crc32": f"{frame.crc32:08x}",
        "blocks": frame.blocks,
        "notes": list(frame.notes),
        "capped": frame.capped,
        "classes": {name: getattr(frame.cells, name) for name in ("nodata", "undetect", "echo", "blend")},
        "echo": echo_statistics(frame),
        "header": header,
    }


def volume_json(volume: Volume) -> dict[str, Any]:
    """Return everything about a volume but its values."""
    radar = volume.radar
    return {
        "name": volume.name,
        "layout": volume.layout,
        "radar": {"code": radar.code, "lon": radar.lon, "lat": radar.lat, "height_m": radar.height_m},
        "time": kst_text(volume.time),
        "time_utc": utc_text(volume.time),
        "time_source": volume.time_source,
        "moment": volume.moment,
        "moments": list(volume.moments),
        "sweeps": [
            {
                "number": number,
                "elevation": round(sweep.elevation, 3),
                "rays": sweep.stored.shape[0],
                "gates": sweep.stored.shape[1],
                "gate_m": sweep.gate_m,
                "first_m": sweep.first_m,
                "echo": int(np.count_nonzero(sweep.stored >= ECHO.echo_from)),
            }
            for number, sweep in enumerate(volume.sweeps, start=1)
        ],
        "notes": list(volume.notes),
    }


def echo_statistics(frame: Frame) -> dict[str, float] | None:
    """Return minimum, mean and maximum of the echo in physical units, or None where there is none.

    The mean is of the values as they are: of dBZ, not of rain.
    """
    cells = frame.cells
    if cells.minimum is None or cells.mean is None or cells.maximum is None:
        return None
    values = {"minimum": cells.minimum, "mean": cells.mean, "maximum": cells.maximum}
    return {name: round((value - frame.quantity.minus) / frame.quantity.scale, 4) for name, value in values.items()}


def _checked(found: Found) -> tuple[Found, HsrGeoError | tuple[str, ...]]:
    """Return a frame without its bytes, and what is wrong with it, or else its notes. Runs in a worker."""
    checked: HsrGeoError | tuple[str, ...]
    try:
        checked = decode_found(found).notes
    except HsrGeoError as error:
        checked = as_value(error)
    return dataclasses.replace(found, data=None), checked


def _gaps(times: Sequence[datetime]) -> Iterator[tuple[datetime, datetime, int]]:
    early = early_step(times)
    for before, after in itertools.pairwise(times):
        missing = []
        due = before + (early if before < FIVE_MINUTES_SINCE else FRAME_STEP)
        while due < after:
            missing.append(due)
            due += early if due < FIVE_MINUTES_SINCE else FRAME_STEP
        if missing:
            yield missing[0], missing[-1], len(missing)
