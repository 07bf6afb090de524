"""What an output folder holds for programs that show it: its COGs in order of time, by region, product and place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from hsrgeo.errors import ManifestError, OptionsError, ReadbackError, as_value
from hsrgeo.formats.names import preference
from hsrgeo.model.quantity import DEPTH, QUANTITIES, Quantity, quantity_of_tags
from hsrgeo.outputs.folder import Written
from hsrgeo.outputs.journal import is_output, not_an_output
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.outputs.outcome import Key
from hsrgeo.outputs.summed import Summed, summed_files
from hsrgeo.sources.remote import Place, RemotePath
from hsrgeo.writers.environment import output_below
from hsrgeo.writers.glance import Glance, Signature, glance, signature


@dataclass(frozen=True, slots=True)
class Stack:
    """COGs of one region, product and place, whose cells coincide."""

    region: str
    """Name of the region, or empty."""
    product: str
    glance: Glance
    """Of the first COG; the others share place, packing and quantity."""
    quantity: Quantity
    limits: tuple[float, float] | None
    """Lowest and highest physical value of echo in all of them; None where there is no echo."""
    frames: tuple[tuple[datetime, str], ...]
    """Times and paths below OUT, with forward slashes, in order of time."""
    statistics: tuple[dict[str, str], ...]
    """GDAL's statistics of each, in stored units; empty where there is no echo."""
    crc32s: dict[str, int]
    """CRC-32 of the first bytes of each, by path: another one where the file was replaced."""
    lacking: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Frames that were summed and frames expected, by path, of sums that lack some."""
    length: timedelta | None = None
    """Period of each sum; None of frames."""
    duration: timedelta | None = None
    """Time in which each depth fell; for rolling maxima the length of the window; None for frames."""


@dataclass(frozen=True, slots=True)
class Stacks:
    """What an output folder holds."""

    stacks: tuple[Stack, ...]
    """In the order of regions as they were asked for, then by product; of sums the product has their kind beside it."""
    missing: tuple[str, ...]
    """Paths below OUT that the manifest lists and that are not there."""
    damaged: tuple[ReadbackError, ...]
    """Files that are there and cannot be used."""

    @property
    def frames(self) -> int:
        """COGs in all stacks."""
        return sum(len(stack.frames) for stack in self.stacks)


def stacks_of(out: Place, region: str | None = None) -> Stacks:
    """Look through the output folder of an export, or one of sums or fields; with `region` only at this region.

    Raises:
        ManifestError: The folder is neither, its manifest is damaged, or no COG of it is there.
        OptionsError: It was exported as PNG only, or has no such region.
    """
    if not is_output(out):
        if isinstance(out, RemotePath):
            raise ManifestError(str(out), f"no {MANIFEST} there: in a bucket it must be the OUT of an export")
        return _look_at_sums(out, region)
    folder = Written(out)
    folder.refuse_without_cogs()
    regions = folder.regions
    if region is not None and region not in regions:
        known = f"expected one of {', '.join(regions)}" if any(regions) else "it was exported without regions"
        raise OptionsError(f"no region {region!r} in {out}: {known}")
    found = _look(folder, regions if region is None else [region])
    if not found.frames:
        lost = len(found.missing) + len(found.damaged)
        problem = f"no COG there that can be read; the first: {found.damaged[0]}" if found.damaged else "no COG there"
        raise ManifestError(str(out), f"{problem}; {MANIFEST} lists {lost:,}")
    return found


def _look(folder: Written, regions: list[str]) -> Stacks:
    out = folder.out
    groups: dict[tuple[int, str, int], list[tuple[datetime, str, Signature]]] = {}
    missing: list[str] = []
    damaged: list[ReadbackError] = []
    listed = list(_listed(folder, regions))
    with ThreadPoolExecutor(_AT_ONCE if isinstance(out, RemotePath) else 1) as pool:
        seen = list(pool.map(lambda one: _signature(out, one[2]), listed))
    for ((product, time), number, path), one in zip(listed, seen, strict=True):
        if one is None:
            missing.append(path)
        elif isinstance(one, ReadbackError):
            damaged.append(one)
        else:
            groups.setdefault((number, product, one.key), []).append((time, path, one))
    # Keys differ from run to run, and must not decide the order: the first time does.
    ordered = sorted(groups.items(), key=lambda group: (*group[0][:2], group[1][0][0]))
    stacks = tuple(_stack(out, regions[number], product, group) for (number, product, _key), group in ordered)
    return Stacks(stacks, tuple(missing), tuple(damaged))


_AT_ONCE = 16
"""Requests to a bucket at a time."""


def _signature(out: Place, path: str) -> Signature | ReadbackError | None:
    """Return the signature of a COG, why it cannot be used, or None where it is not there."""
    try:
        whole = output_below(out, path)
        there = whole.is_file() if isinstance(whole, RemotePath) else os.path.lexists(whole)
        return signature(whole) if there else None
    except ReadbackError as error:
        return as_value(error)
    except OSError as error:
        return ReadbackError(str(out / path), f"cannot be read: {error.strerror or error}")


def _look_at_sums(out: Path, region: str | None) -> Stacks:
    files, damaged = summed_files(out, region)
    if not files and not damaged:
        raise not_an_output(out, f"no {MANIFEST} and no sum there: is it the OUT of an export, or of accumulate?")
    groups: dict[tuple[str, str, timedelta, int], list[tuple[Summed, Signature]]] = {}
    for one in files:
        glance = signature(out / one.path)
        groups.setdefault((one.region, one.what, one.length, glance.key), []).append((one, glance))
    return Stacks(tuple(_stack_of_sums(out, group) for group in groups.values()), (), tuple(damaged))


def _stack_of_sums(out: Path, group: list[tuple[Summed, Signature]]) -> Stack:
    first = group[0][0]
    seen = glance(out / first.path)
    return Stack(
        region=first.region,
        product=first.what,
        glance=seen,
        quantity=replace(DEPTH, name=first.tags.get("QUANTITY", DEPTH.name)),
        limits=None,
        frames=tuple((one.time, one.path) for one, _glance in group),
        statistics=tuple({} for _one in group),
        crc32s={one.path: glance.crc32 for one, glance in group},
        lacking={one.path: (one.used, one.expected) for one, _glance in group if one.used < one.expected},
        length=first.length,
        duration=first.duration,
    )


def _listed(folder: Written, regions: list[str]) -> Iterator[tuple[Key, int, str]]:
    """Yield product and time, number of the region, and path of every COG that the manifest lists, by time."""
    kept: dict[Key, tuple[str, ...]] = {}
    kinds: dict[Key, int] = {}  # of two kinds, where names part them, the preferred one is shown
    for outcome in folder.lines():
        if outcome.status == "ok" and outcome.frame_name and outcome.key:
            written = {output.path for output in outcome.outputs}
            paths = tuple(folder.cog(outcome.frame_name, region) for region in regions)
            if outcome.key not in kinds or preference(outcome.frame_name.kind) > kinds[outcome.key]:
                kinds[outcome.key] = preference(outcome.frame_name.kind)
                kept[outcome.key] = tuple(path if path in written else "" for path in paths)
    for key in sorted(kept, key=lambda key: (key[1], key[0])):
        for number, path in enumerate(kept[key]):
            if path:
                yield key, number, path


def _stack(out: Place, region: str, product: str, group: list[tuple[datetime, str, Signature]]) -> Stack:
    seen = glance(out / group[0][1])
    return Stack(
        region=region,
        product=product,
        glance=seen,
        quantity=_quantity(seen),
        limits=_limits(seen, [glance.statistics for _time, _path, glance in group]),
        frames=tuple((time, path) for time, path, _glance in group),
        statistics=tuple(glance.statistics for _time, _path, glance in group),
        crc32s={path: glance.crc32 for _time, path, glance in group},
    )


def _limits(seen: Glance, statistics: list[dict[str, str]]) -> tuple[float, float] | None:
    ends = [
        float(one[name]) for one in statistics for name in ("STATISTICS_MINIMUM", "STATISTICS_MAXIMUM") if name in one
    ]
    return (min(ends) * seen.scale + seen.offset, max(ends) * seen.scale + seen.offset) if ends else None


def _quantity(seen: Glance) -> Quantity:
    """Return the quantity that a COG says it holds; where hsrgeo does not know it, one without classes."""
    name = seen.tags.get("QUANTITY", "")
    known = quantity_of_tags(seen.tags, seen.unit)
    return known or replace(QUANTITIES[1], name=name or "values", unit=seen.unit)
