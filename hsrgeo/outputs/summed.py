"""A folder of sums or gauge fields: its COGs, known by their names, without a manifest."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from hsrgeo.errors import OptionsError, ReadbackError
from hsrgeo.formats.names import FrameName
from hsrgeo.model.times import KST
from hsrgeo.outputs.journal import is_output
from hsrgeo.sources.remote import Place, RemotePath, is_remote
from hsrgeo.writers.environment import output_below
from hsrgeo.writers.glance import labels

_KIND = re.compile(r"((?:rain|rain_max|gauges_[a-z]+|merged_[a-z-]+)_[0-9a-z]+?)_\d{12}(?:_\d{12})?\.tif")
# ^ as `Period.path` and `rolling_path` make them
MAXIMA = "rain_max"
"""What the names of rolling maxima begin with: they are no sums of a period."""


@dataclass(frozen=True, slots=True)
class Summed:
    """A COG of a sum, a gauge field or rolling maxima."""

    path: str
    """Below the folder, with forward slashes."""
    region: str
    """Name of the region, or empty."""
    what: str
    """Product and kind, such as ``HSR-rain_1h`` or ``gauges_idw_1d``."""
    time: datetime
    """Start of the period, KST."""
    length: timedelta
    """Of the period; of rolling maxima of the whole run."""
    duration: timedelta
    """Time in which the depth fell; for rolling maxima the length of the window."""
    tags: dict[str, str]

    @property
    def frame_name(self) -> FrameName:
        """Product and time, as those of a frame."""
        return FrameName(self.tags.get("PRODUCT", ""), "", self.time)

    @property
    def used(self) -> int:
        """Frames that were summed."""
        return int(self.tags.get("FRAMES_USED", 0))

    @property
    def expected(self) -> int:
        """Frames of the period without gaps; 0 where band 2 does not count frames."""
        return int(self.tags.get("FRAMES_EXPECTED", 0)) if "DURATION" not in self.tags else 0


def is_summed(source: str | Place) -> bool:
    """Tell whether a source is a folder of sums or fields."""
    if isinstance(source, RemotePath) or is_remote(source) or not os.path.isdir(source) or is_output(Path(source)):  # noqa: PTH112
        return False
    return _has_sums(Path(source), _DEPTH)


_DEPTH, _LOOKED_AT = 4, 3  # region, month, day and file; folders that are looked into, at each depth


def _has_sums(folder: Path, depth: int) -> bool:
    """Tell whether there is a sum in a folder or in the first ones below it: an archive is not searched for them."""
    with suppress(OSError):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        if any(_KIND.fullmatch(entry.name) for entry in entries):
            return True
        folders = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        return depth > 1 and any(_has_sums(below, depth - 1) for below in folders[:_LOOKED_AT])
    return False


def summed_files(out: Path, region: str | None = None) -> tuple[list[Summed], list[ReadbackError]]:
    """Return the COGs of a folder of sums or fields, by time, and the files that cannot be used.

    With `region` only those of this region.

    Raises:
        OptionsError: There is no such region.
    """
    listed, damaged, regions = [], [], set()
    for path in sorted(out.rglob("*.tif")):
        place, name = _below(path, out)
        match = _KIND.fullmatch(name)
        if match is None:
            continue
        regions.add(place)
        if region is not None and place != region:
            continue
        below = path.relative_to(out).as_posix()
        try:
            listed.append(_summed(below, place, match[1], labels(output_below(out, below))))
        except ReadbackError as error:
            damaged.append(error)
    if region is not None and region not in regions:
        names = ", ".join(sorted(filter(None, regions)))
        raise OptionsError(
            f"no region {region!r} in {out}: {f'expected one of {names}' if names else 'it has no regions'}"
        )
    listed.sort(key=lambda one: (one.region, one.what, one.time, one.path))
    return listed, damaged


def summed_file(path: Path) -> Summed:
    """Return a COG of a sum, by its own path.

    Raises:
        ReadbackError: It is none, or cannot be read.
    """
    match = _KIND.fullmatch(path.name)
    return _summed(path.name, "", match[1] if match else path.stem, labels(path))


def is_field(tags: Mapping[str, str]) -> bool:
    """Tell whether the tags are those of a field of gauges alone."""
    return "GAUGES_USED" in tags


def is_merged(tags: Mapping[str, str]) -> bool:
    """Tell whether the tags are those of a sum that was merged with gauges, not left as the radar has it."""
    return not tags.get("MERGE_METHOD", "none").startswith("none")


def title_of(tags: Mapping[str, str]) -> str:
    """Return what a map of a sum or a field shows, for people."""
    if is_field(tags):
        return f"Rain gauges by {tags.get('METHOD', 'interpolation')}, rain depth"
    product = f"KMA {tags['PRODUCT']} composites" if tags.get("PRODUCT") else "KMA composites"
    if "DURATION" in tags:
        return f"{product}, highest rain depth in {tags['DURATION']}"
    return (
        f"{product} and rain gauges by {tags['MERGE_METHOD']}, rain depth"
        if is_merged(tags)
        else f"{product}, rain depth"
    )


def duration_of(tags: Mapping[str, str]) -> timedelta:
    """Return in how long a time the depth of a sum fell: its period; of rolling maxima, the window.

    Raises:
        KeyError, ValueError: The tags do not say so.
    """
    if minutes := tags.get("DURATION_MINUTES"):
        return timedelta(minutes=int(minutes))
    start, end = (datetime.fromisoformat(tags[f"TIME_{edge}_UTC"]) for edge in ("START", "END"))
    return end - start


def _below(path: Path, out: Path) -> tuple[str, str]:
    """Return the region of a file that lies in ``[REGION/][YYYYMM/DD/]``, and its name."""
    parts = path.relative_to(out).parts
    dated = len(parts) > 2 and re.fullmatch(r"\d{6}/\d{2}", "/".join(parts[-3:-1]))  # noqa: PLR2004 - month, day, name
    return "/".join(parts[: -3 if dated else -1]), parts[-1]


def _summed(path: str, region: str, kind: str, tags: dict[str, str]) -> Summed:
    try:
        start, end = (datetime.fromisoformat(tags[f"TIME_{edge}_UTC"]).astimezone(KST) for edge in ("START", "END"))
        length, duration = end - start, duration_of(tags)
    except (KeyError, ValueError) as error:
        raise ReadbackError(path, f"is not a sum written by hsrgeo: {error!r}") from error
    if length <= timedelta(0):
        raise ReadbackError(path, "is not a sum written by hsrgeo: it ends before it begins")
    product = tags.get("PRODUCT", "")
    return Summed(path, region, f"{product}-{kind}" if product else kind, start, length, duration, tags)
