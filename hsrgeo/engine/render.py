"""Pictures and animations: sources in, one picture file out."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import BinaryIO, get_args

import numpy as np

from hsrgeo.cube.source_types import is_exported
from hsrgeo.engine.areas import clipped_window
from hsrgeo.engine.axis import refuse_output_elsewhere
from hsrgeo.engine.contents import refuse_registration
from hsrgeo.engine.drawn import Entry, Moment, Reel, draw, first_sound, problems, timeline
from hsrgeo.engine.drawn_sums import Sums, sums_of
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.keywords import options_of, shared_with, takes
from hsrgeo.errors import GridError, HsrGeoError, OptionsError
from hsrgeo.gis import animation
from hsrgeo.gis.canvas import Indices
from hsrgeo.gis.map import Map, Plan, map_for, radars_of
from hsrgeo.gis.project import smallest_gap
from hsrgeo.model.fields import Step, Time
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Registration
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.quantity import DEPTH
from hsrgeo.model.times import frame_length, time_label
from hsrgeo.model.window import Area
from hsrgeo.outputs.folder import exported_frames
from hsrgeo.outputs.summed import is_summed
from hsrgeo.products.classes import STYLED, Styled, classes_for
from hsrgeo.products.palettes import Palette, palette_of, radar_order
from hsrgeo.products.rain import KMA_LAW, Law, as_law, parse_law
from hsrgeo.sources.found import Tally
from hsrgeo.sources.remote import listed_sources, local
from hsrgeo.sources.scan import scan, scan_twins
from hsrgeo.writers.files import write_chunks

_ENCODERS = {".gif": animation.gif, ".webp": animation.webp, ".mp4": animation.mp4}
SUFFIXES = (".png", *_ENCODERS)
"""What a picture file may be called."""
_SHOWN: dict[str, Styled] = {STYLED[shown].name: shown for shown in get_args(Styled)}
_HOLD_S = 1.5  # how long the last picture of an animation stays, and one that stands for a long gap
_FPS = 4
_MOST_FPS = 50  # a GIF counts hundredths of a second, and browsers slow down what is faster


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """What `render` shows of its sources.

    Args:
        quantity: Rain rate in mm/h, reflectivity in dBZ, or what the frames hold, such as ``height``, each in its own
            classes. None is rain where that follows from what they hold, else what they hold.
        zr: A and B of Z = A R^B, KMA's where None; reflectivity is drawn by the classes of rain where it is given.
        palette: Other colours: a name of `hsrgeo.products.palettes.NAMES`, or a file.
        bbox: (west, south, east, north) [degrees]; at most one of bbox, window and center.
        window: (col_off, row_off, width, height), row 0 is the north row.
        center: (lon, lat) [degrees]; with `size`.
        size: Cells along each side of the square around `center`.
        start: First time wanted: aware, or a text such as ``2022-06-09 11:15`` (KST).
        end: First time no longer wanted, likewise.
        every: Only times on whole steps after midnight KST, such as ``10min`` or ``1h``; also the step at which a time
            is missing.
        product: Only this product, such as HSR.
        kind: Only this kind, such as PUB; see `ExportOptions.kind`.
        region: Of an exported folder that has several.
        registration: As that of `ExportOptions`; of frames only.
        width: Of the picture, at most [pixels].
        fps: Frames a second of an animation.
        title: Above the map; empty for what it shows.
        jobs: Processes; -1 is one a core, 1 works in this process.

    Raises:
        OptionsError: Options that contradict each other or cannot be.
    """

    quantity: Styled | None = None
    zr: Law | tuple[float, float] | None = None
    palette: Palette | str | Path | None = None
    bbox: tuple[float, float, float, float] | None = None
    window: tuple[int, int, int, int] | None = None
    center: tuple[float, float] | None = None
    size: int | None = None
    start: Time = Time(None)
    end: Time = Time(None)
    every: Step[None] = Step(None)
    product: str | None = None
    kind: str | None = None
    region: str = ""
    registration: Registration = "point"
    width: int = 900
    fps: int = _FPS
    title: str = ""
    jobs: int = -1
    export: ExportOptions = field(init=False)
    """The same area, selection and jobs."""
    area: Area | None = field(init=False)
    law: Law | None = field(init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= _MOST_FPS:
            raise OptionsError(f"fps {self.fps}: expected 1 to {_MOST_FPS}")
        shared = shared_with(ExportOptions, self)
        export = ExportOptions(**{name: shared[name] for name in shared.keys() - {"quantity", "zr", "palette"}})
        law = None if self.zr is None else as_law(self.zr)
        object.__setattr__(self, "export", export)
        object.__setattr__(self, "area", export.recipe.cuts[0].area)
        object.__setattr__(self, "law", law)
        shown = self.quantity or "rain"
        plan = Plan(next(iter(grids().values())), shown, law, self.width)  # raises where it cannot be
        if self.palette is not None:
            if shown == "reflectivity" and law is not None:
                raise OptionsError("zr and palette both colour reflectivity: give one of them")
            object.__setattr__(self, "palette", palette_of(self.palette))
            if self.quantity is not None:
                self.colours_of(plan)

    def colours_of(self, plan: Plan) -> Plan:
        """Return a plan with the palette.

        Raises:
            OptionsError: It is for another quantity.
        """
        if self.palette is None:
            return plan
        found = replace(plan, palette=palette_of(self.palette))
        classes_for(found.quantity, found.palette)
        return found


@dataclass
class Rendered:
    """What came of it."""

    path: Path
    frames: int = 0
    """Frames shown; where 0, no file was written."""
    missing: list[tuple[datetime, datetime, int]] = field(default_factory=list)
    """First and last time of each gap, KST, and how many steps lie in it; they are shown as no data."""
    broken: list[HsrGeoError] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    """What went by while the sources were read."""
    notes: list[str] = field(default_factory=list)
    """What a user should know: an area that was cut, a title that no font can show."""
    first: datetime | None = None
    last: datetime | None = None
    width: int = 0
    """Of the picture [pixels]."""
    height: int = 0
    bytes: int = 0


@takes(RenderOptions)
def render(
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    options: RenderOptions | None = None,
    **keywords: object,
) -> Rendered:
    """Draw frames as a picture (.png, exactly one frame) or as an animation (.gif, .webp, .mp4), sorted by time.

    A time that has no frame between the first and the last is shown as no data, and so is one whose frame is broken.

    Args:
        sources: Files, folders, globs and archives, or one folder: exported with COGs, or of sums or gauge fields.
        out: The picture file.
        options: What to show.
        keywords: Fields of `RenderOptions`, in place of those of `options`.

    Returns:
        What was shown; where `Rendered.frames` is 0, nothing was found and no file is written.

    Raises:
        OptionsError: Another suffix, several frames for a PNG, several products, an area outside.
        MissingExtraError: Something of the extra ``render`` is not installed.
        SourceError: A source does not exist.
        ManifestError: An exported folder is damaged.
        WriteError: The disk refused.
    """
    wanted, path = options_of(RenderOptions, options, keywords), local(out, "hsrgeo render")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionsError(f"{path.name}: expected a picture name ending in one of {', '.join(SUFFIXES)}")
    if suffix == ".png" and wanted.fps != _FPS:
        raise OptionsError("fps is for animations: .gif, .webp and .mp4")
    if suffix == ".mp4":
        animation.require_video()
    listed = listed_sources(sources)
    result = Rendered(path)
    sums = _sums(listed, wanted)
    entries: Iterator[Entry] = iter(sums.entries) if sums else _entries(listed, wanted, result.tally)
    if suffix == ".png":
        entries = iter(_one_only(entries, path))
    tried, frame = first_sound(entries, wanted.registration, result.tally)
    if frame is None:
        twins, frame = first_sound(
            iter(scan_twins(wanted.export.selection, result.tally)), wanted.registration, result.tally
        )
        tried += twins
    if frame is None:
        result.broken = problems(tried)
        return result
    plan = _plan(frame, wanted, result.notes, sums.times if sums else 0)
    if sums:
        title, result.notes = plan.title or sums.title, [*sums.notes, *result.notes]
        plan = replace(plan, title=title, credit=sums.credit)
    with tempfile.TemporaryFile() as shelf:
        reel = draw(chain(tried, entries), plan, wanted.export, shelf, result.tally)
        moments, result.missing = timeline(reel, sums.length if sums else wanted.every or _step(listed, reel))
        result.frames, result.broken = len(reel.moments), reel.broken
        result.notes += reel.notes + result.tally.notes()
        if not result.frames:  # its cells cannot be drawn after all
            return result
        sheet = map_for(plan)
        result.first, result.last = moments[0].time, moments[-1].until or moments[-1].time
        result.notes += sheet.notes
        result.width, result.height = (side + side % 2 if suffix == ".mp4" else side for side in sheet.size)
        pictures = _pictures(sheet, moments, shelf, wanted.fps, sums.length if sums else None)
        if suffix == ".png":
            # A broken frame of the same time, such as another kind's, is reported but adds no picture.
            write_chunks(path, [animation.png(next(pictures)[0], plan.colours)])
        else:
            write_chunks(path, _ENCODERS[suffix](pictures, wanted.fps, plan.colours))
    result.bytes = path.stat().st_size
    return result


def _step(sources: list[str | Path], reel: Reel) -> timedelta:
    """Return the time between frames: an export may have been made of every second one."""
    times = sorted(reel.times)
    return smallest_gap(times) if is_exported(sources[0]) else frame_length(times)


def _plan(frame: Frame, options: RenderOptions, notes: list[str], depth_times: int) -> Plan:
    """Return how to draw: every other frame must be like the first."""
    found = frame.quantity.name
    follows = found in ("reflectivity", "rain_rate")
    shown = options.quantity or ("rain" if follows else _SHOWN.get(found))
    if shown is None:
        raise OptionsError(f"{frame.name} contains {found}: it has no colours, expected one of {', '.join(STYLED)}")
    if shown == "rain" and not follows:
        raise OptionsError(f"{frame.name} contains {found}: only rain and reflectivity are drawn as rain")
    if shown != "rain" and found != STYLED[shown].name:
        raise OptionsError(f"{frame.name} contains {found}: draw it with quantity {_SHOWN.get(found, 'rain')}")
    law = options.law
    if found == "rain_rate":
        if law not in (None, KMA_LAW):
            raise OptionsError(f"{frame.name} contains rain already: zr does not apply")
        law = parse_law(dict(frame.derived).get("RAIN_LAW", "")) or law
    try:
        window, clipped = clipped_window(frame.grid, options.area)
        grid = frame.grid.crop(window)
    except GridError as error:
        raise OptionsError(str(error)) from error
    notes += clipped
    plan = Plan(grid, shown, law, options.width, options.title, frame.product, depth_times)
    if shown == "station" and options.palette is None and (codes := radars_of(frame)):
        plan = replace(plan, radars=radar_order(codes))
    return options.colours_of(plan)


def _sums(sources: list[str | Path], options: RenderOptions) -> Sums | None:
    """Return the sums of a folder of sums or gauge fields; None where the sources hold frames."""
    if not any(is_summed(source) for source in sources):
        return None
    if len(sources) > 1:
        raise OptionsError("a folder of sums is drawn by itself: give no other source")
    if options.quantity not in (None, "rain") or options.law is not None:
        raise OptionsError(f"{sources[0]} contains sums or fields of rain: quantity and zr are for frames")
    refuse_registration(options.registration)
    palette = None if options.palette is None else palette_of(options.palette)
    if palette:
        classes_for(DEPTH, palette)  # raises where it is for another unit
    return sums_of(Path(sources[0]), options.export.selection, options.region, palette)


def _entries(sources: list[str | Path], options: RenderOptions, tally: Tally) -> Iterator[Entry]:
    if not any(is_exported(source) for source in sources):
        if options.region:
            raise OptionsError("region is for an exported folder; of frames choose a part with bbox")
        for source in sources:
            refuse_output_elsewhere(source)
        return scan(sources, options.export.selection, tally)
    if len(sources) > 1:
        raise OptionsError("an exported folder is drawn by itself: give no other source")
    refuse_registration(options.registration)
    return exported_frames(Path(sources[0]), options.export.selection, options.region, tally)


def _one_only(entries: Iterator[Entry], path: Path) -> list[Entry]:
    """Return the entries of one time; two times are too many for a PNG."""
    kept: list[Entry] = []
    times: set[datetime] = set()
    for entry in entries:
        if entry.frame_name is not None:
            times.add(entry.frame_name.time)
        if len(times) <= 1:
            kept.append(entry)
    if len(times) > 1:
        raise OptionsError(
            f"{path.name}: a PNG shows one frame, and there are {len(times):,} from {time_label(min(times))} to "
            f"{time_label(max(times))}: choose with --start and --end, or write .gif, .webp or .mp4"
        )
    return kept


def _pictures(
    sheet: Map, moments: list[Moment], shelf: BinaryIO, fps: int, length: timedelta | None
) -> Iterator[tuple[Indices, int]]:
    """Yield each picture, and how many ticks of 1/fps second it is shown; the last one stays."""
    unknown = sheet.panel(None)
    made_up = all(moment.synthetic for moment in moments if moment.place is not None)
    for moment in moments:
        panel = unknown
        if moment.place is not None:
            offset, size = moment.place
            shelf.seek(offset)
            panel = np.frombuffer(zlib.decompress(shelf.read(size)), np.uint8).reshape(unknown.shape)
        repeats = (moment is moments[-1]) + (moment.until is not None)
        word = "" if moment.place is not None else "no data"
        picture = sheet.picture(
            panel,
            time_label(moment.time, moment.until if length is None else (moment.until or moment.time) + length),
            synthetic=moment.synthetic or (made_up and moment.place is None),
            word=word,
        )
        yield picture, 1 + repeats * round(_HOLD_S * fps)
