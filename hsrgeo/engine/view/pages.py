"""What a page shows of an output folder: its index, and which COGs it reads; of one that grows, as it is now."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Literal, get_args

from hsrgeo.engine.colours import chosen, colours_of
from hsrgeo.errors import HsrGeoError, MissingExtraError, OptionsError
from hsrgeo.gis.coast import CREDIT
from hsrgeo.gis.depth import times_of
from hsrgeo.gis.map import ATTRIBUTION
from hsrgeo.gis.view.files import json_bytes, page_files
from hsrgeo.gis.view.index import (
    SCHEMA,
    Json,
    classes_json,
    codes_json,
    frames_json,
    grid_json,
    quantity_json,
    windows_of,
)
from hsrgeo.model.fields import Time
from hsrgeo.model.times import FRAME_STEP, export_step, time_label, usual_step
from hsrgeo.outputs.journal import is_output
from hsrgeo.outputs.names import MANIFEST, PAGE_FOLDER, STATUS
from hsrgeo.outputs.stacks import Stack, Stacks, stacks_of
from hsrgeo.products.classes import By
from hsrgeo.products.palettes import Palette
from hsrgeo.products.rain import KMA_LAW, parse_law

Language = Literal["ko", "en"]

INDEX_FILE = f"{PAGE_FOLDER}/view.json"
"""What the page asks for first, and a page of a folder that grows again and again: it is replaced in one step."""
POLL_S = 30
"""From one such question to the next: a tenth of the time between two frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOptions:
    """What a page shows, and how.

    Raises:
        OptionsError: A language that it does not speak.
    """

    region: str | None = None
    """Only this region; None is all of them."""
    start: Time = Time(None)
    """First time shown: aware, or a text such as ``2022-06-09 11:15`` (KST)."""
    end: Time = Time(None)
    """First time no longer shown, likewise."""
    palette: Palette | str | Path | None = None
    """Other colours: a name of `hsrgeo.products.palettes.NAMES`, or a file; for what is in its unit."""
    lang: Language | None = None
    """Language of the page; None is what the browser asks for."""

    def __post_init__(self) -> None:
        if self.lang is not None and self.lang not in get_args(Language):
            raise OptionsError(f"lang {self.lang!r}: expected {' or '.join(get_args(Language))}")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of an output folder."""

    out: Path
    files: dict[str, bytes]
    """All but the COGs, by path below OUT: where they would lie."""
    cogs: frozenset[str]
    """COGs that the page reads, by path below OUT."""
    contents: Stacks
    """What it shows, and what it had to leave out."""
    notes: tuple[str, ...]
    """What a user should know."""

    @property
    def index(self) -> dict[str, bytes]:
        """The files that are of this folder alone."""
        return {path: data for path, data in self.files.items() if path not in page_files()}


def make_page(out: Path, options: ViewOptions, *, grows: bool = False) -> Page:
    """Look through an output folder and return its page.

    Args:
        out: The output folder of an export, sums or fields.
        options: What is shown.
        grows: Whether the page asks again and again for what is new; it does so anyway where a watch follows the
            folder and no end was asked for.

    Raises:
        ManifestError: The folder is not the OUT of an export, sums or fields, its manifest is damaged, or no COG is
            there.
        OptionsError: It was exported as PNG only, has no such region, or nothing within the times.
        ProjectionError: A part of a grid has no longitude and latitude.
        ReadbackError: GDAL cannot open a COG.
    """
    found = stacks_of(out, options.region)
    stacks = tuple(filter(None, (_within(stack, options) for stack in found.stacks)))
    if not stacks:
        raise OptionsError(f"{out} has no frame within the times: it has {_span(found.stacks)}")
    contents = replace(found, stacks=stacks)
    by = chosen(None, options.palette, stacks, out)
    notes = [note for stack in contents.stacks for note in _unnamed(stack)]
    files: dict[str, bytes] = {}
    grids: dict[str, Json] = {}
    coast = _has_coast(contents.stacks[0], notes)
    views = []
    watched = any((out / name).exists() for name in (STATUS, f"{STATUS}.lock"))
    for number, stack in enumerate(contents.stacks):
        grid = stack.glance.grid
        key = f"{grid.wkt2} {grid.transform} {grid.width} {grid.height}"
        if key not in grids:
            path = f"{PAGE_FOLDER}/grid-{len(grids)}.json"
            files[path] = json_bytes(grid_json(grid, coast=coast))
            grids[key] = {"path": path}
        windows = windows_of([frame for frame in stack.frames if _is_text(frame[1])], _step(stack))
        listed = []
        for span, window in windows.items():
            path = f"{PAGE_FOLDER}/frames-{number}-{span.replace('-', '')}.json"
            files[path] = json_bytes(frames_json(window, stack.crc32s, stack.lacking))
            there = sum(one is not None for _time, one in window)
            listed.append({"span": span, "path": path, "frames": there, "crc32": zlib.crc32(files[path])})
        views.append(_view(stack, colours_of(stack, by), grids[key]["path"], listed))
    files[INDEX_FILE] = json_bytes(
        {
            "schema": SCHEMA,
            "lang": options.lang,
            "attribution": ATTRIBUTION if any("LICENCE" in stack.glance.tags for stack in stacks) else "",
            "credit": CREDIT if coast else "",
            "poll_s": POLL_S if options.end is None and (watched or grows) else None,
            "watched": options.end is None and watched,
            "views": views,
        }
    )
    cogs = frozenset(path for stack in contents.stacks for _time, path in stack.frames if _is_text(path))
    return Page(out, {**files, **page_files()}, cogs, contents, tuple(notes))


def _within(stack: Stack, options: ViewOptions) -> Stack | None:
    frames = tuple(
        (time, path)
        for time, path in stack.frames
        if (options.start is None or time >= options.start) and (options.end is None or time < options.end)
    )
    return replace(stack, frames=frames) if frames else None


def _span(stacks: Sequence[Stack]) -> str:
    times = [time for stack in stacks for time in (stack.frames[0][0], stack.frames[-1][0])]
    return time_label(min(times), max(times))


def _unnamed(stack: Stack) -> list[str]:
    lost = [path for _time, path in stack.frames if not _is_text(path)]
    return [f"left out: {lost[0]!a} and its like: no browser can ask for what is no UTF-8"] if lost else []


def _is_text(path: str) -> bool:
    return path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)


def _has_coast(stack: Stack, notes: list[str]) -> bool:
    try:
        grid_json(replace(stack.glance.grid, width=1, height=1), coast=True)
    except MissingExtraError as error:
        notes.append(f"no coast is drawn: {error}")
        return False
    return True


def _step(stack: Stack) -> timedelta:
    times = [time for time, _path in stack.frames]
    if stack.length is None:
        return export_step(times)
    return usual_step(times) or stack.length or FRAME_STEP


def _view(stack: Stack, by: By, grid: str, windows: list[Json]) -> Json:
    known = stack.quantity.name == "reflectivity"
    law = KMA_LAW if known else parse_law(stack.glance.tags.get("RAIN_LAW", ""))
    return {
        "region": stack.region,
        "product": stack.product,
        "quantity": quantity_json(stack.quantity, law),
        "classes": classes_json(stack.quantity, by, times_of(stack.duration)),
        **codes_json(by),
        "grid": grid,
        "step_s": round(_step(stack).total_seconds()),
        "length_s": None if stack.length is None else round(stack.length.total_seconds()),
        "synthetic": stack.glance.tags.get("SYNTHETIC") == "yes",
        "newest_s": round(stack.frames[-1][0].timestamp()),
        "windows": windows,
    }


class Growing:
    """The page of a folder as it is now: `page` makes it again where the folder was written to.

    Args:
        out: The output folder of an export, sums or fields.
        options: What is shown.

    Raises:
        HsrGeoError: See `make_page`.
    """

    def __init__(self, out: Path, options: ViewOptions) -> None:
        self._out, self._options = out, options
        self._lock = Lock()
        self._seen = _state(out)
        self._page = make_page(out, options, grows=True)

    def page(self) -> Page:
        """Return the page; the one before where a run is just changing the folder, until it can be made again."""
        with self._lock, suppress(HsrGeoError, OSError):
            now = _state(self._out)
            if now != self._seen:
                self._page = make_page(self._out, self._options, grows=True)
                self._seen = now
        return self._page


def _state(out: Path) -> list[tuple[str, int, int]]:
    """Return what changes with every frame: the manifest of an export; of sums, which have none, their folders."""
    if is_output(out):
        paths = [out / MANIFEST, *(path for path in [out / STATUS] if path.exists())]
    else:
        paths = [Path(folder) for folder, _below, _files in os.walk(out)]
    found = [(str(path), path.stat()) for path in paths]
    return [(path, status.st_size, status.st_mtime_ns) for path, status in found]
