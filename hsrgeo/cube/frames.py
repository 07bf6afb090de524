"""Frames, in files and archives, as one dataset: only headers are read before their pixels are asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import xarray as xr

from hsrgeo.cube.axis import missing_between
from hsrgeo.cube.backend import frame_attrs, packed_dataset
from hsrgeo.cube.single import single, times_in_chunk
from hsrgeo.cube.stack import FrameLayer, warn_of_left_out
from hsrgeo.errors import FrameError, HsrGeoError, HsrGeoWarning, OptionsError, SourceError
from hsrgeo.formats.composite import name_of_code, peek_header
from hsrgeo.formats.names import FrameName, preference
from hsrgeo.formats.standing import Standing
from hsrgeo.model.file_blocks import MaskedBlock
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.header import Header
from hsrgeo.products.making import Making
from hsrgeo.reading import decode_found, warn_of_notes
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.listing import Listing
from hsrgeo.sources.remote import RemotePath, place
from hsrgeo.sources.scan import scan, scan_files, scan_twins
from hsrgeo.sources.select import Selection
from hsrgeo.sources.several import as_reference
from hsrgeo.sources.skipped import no_frame
from hsrgeo.sources.texts import open_file

if TYPE_CHECKING:
    from pathlib import Path

    from hsrgeo.cube.opening import View

_OF_ONE_FRAME = ("source_file", "source_crc32", "station_count", "stations")
_HEADER_BYTES = 1 << 16  # packed, of a file: enough to unpack its header
_MOST_HELD_BYTES = 2 << 30  # packed frames of compressed archives, in memory


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A frame's file with a sound header."""

    found: Found
    frame_name: FrameName
    header: Header

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """What decides the grid, and what the first block holds."""
        header = self.header
        return header.map_code, header.nx, header.ny, header.dxy, header.data_codes[0]


def open_frames(sources: list[str | Path], making: Making, view: View) -> xr.Dataset:
    """Open frames, see `hsrgeo.open`.

    Raises:
        OptionsError: They hold several products and none is chosen, or are more than can be held in memory.
        SourceError: A source does not exist, or none of the frames is sound.
        WindowError: The area lies outside.
    """
    listed = _Listed(sources, view.selection)
    first = listed.first_sound(making)
    if first is None:
        problem = f"no usable frame found: {listed.broken[0][1]}" if listed.broken else no_frame(listed.tally)
        raise SourceError(", ".join(map(str, sources)), problem)
    chosen, whole, made = first
    if making.area is not None:
        whole.window_for(making.area)  # warns
    times: list[datetime] = []
    layers: list[FrameLayer] = []
    for time, candidates in sorted(listed.by_time.items()):
        like = FrameLayer(chosen.found, making, made.grid, made.quantity, time)
        layer = _best_layer([one for one in candidates if listed.belongs(one, chosen)], like, listed, check=view.check)
        if layer is not None:
            times.append(time)
            layers.append(layer)
    missing = missing_between(times, view.step, [time for time, _why in listed.broken if time is not None])
    listed.warn()
    dataset = packed_dataset(
        layers,
        times,
        made.grid,
        made.quantity,
        values=making.values,
        undetect=view.undetect,
        lonlat=view.lonlat,
        missing=missing,
        strict=False,
    )
    dataset.attrs = frame_attrs(made)
    for name in [name for name in dataset.attrs if name in _OF_ONE_FRAME or str(name).startswith("count_")]:
        del dataset.attrs[name]
    decoded = single(xr.decode_cf(dataset))
    if view.chunks is None:
        return decoded
    # Dask names arrays by what they hold: gigabytes of packed frames would be copied for that.
    token = uuid4().hex if any(layer.found.data for layer in layers) else None
    auto = {"time": times_in_chunk(made.grid.height, made.grid.width)}
    return decoded.chunk(auto if view.chunks == "auto" else view.chunks, token=token)


def open_blocks(sources: list[str | Path], making: Making, view: View) -> xr.Dataset:
    """Open every block that the first sound frame has, each as a variable of its own; see `open_frames`."""
    first = _Listed(sources, view.selection).first_sound(making)
    blocks = 1 if first is None else first[2].blocks
    opened = []
    for number in range(1, blocks + 1):
        block = replace(making.block, block=number) if isinstance(making.block, MaskedBlock) else number
        # Only the first is rain or reflectivity: of a height nothing is made.
        one = making if number == 1 else replace(making, quantity="stored", factors=None, cleaning=None)
        opened.append(open_frames(sources, replace(one, block=block), view))
    return xr.merge(opened, join="outer", compat="override", combine_attrs="override")


class _Listed:
    """The frames of the sources that have a sound header, by time, and what is wrong with the others.

    Args:
        sources: Files, folders, globs and archives.
        selection: Which frames are wanted.

    Raises:
        OptionsError: They hold several products and none is chosen, or are more than can be held in memory.
        SourceError: A source does not exist.
    """

    def __init__(self, sources: list[str | Path], selection: Selection) -> None:
        self.by_time: dict[datetime, list[_Candidate]] = {}
        """Of each time those of the preferred kind."""
        self.broken: list[tuple[datetime | None, str]] = []
        """Times and problems of frames that are left out."""
        self.tally = Tally()
        self._selection = selection
        self._other_kinds: dict[datetime, list[_Candidate]] = {}  # of archives; those of files are in the tally
        self._loaded = 0
        self._add(scan(sources, selection, self.tally))
        if self.tally.broken:
            self._add(scan_twins(selection, self.tally))
        for candidates in self.by_time.values():
            self._leave_other_kinds(candidates)
        products = {one.frame_name.product for candidates in self.by_time.values() for one in candidates}
        if len(products) > 1:
            raise OptionsError(f"the sources contain {', '.join(sorted(products))}: choose a product")

    def _add(self, entries: Iterable[Found]) -> None:
        for entry in entries:
            found = as_reference(entry) if entry.member is not None else entry
            if found.error is not None or found.frame_name is None:
                self._note(found.frame_name, str(found.error))
                continue
            self._loaded += len(found.data or b"")
            if self._loaded > _MOST_HELD_BYTES:
                raise OptionsError(
                    f"{found.source}: the selected frames take more than {_MOST_HELD_BYTES >> 30} GB, packed, and a "
                    "compressed archive can only be read from its beginning, not at random: narrow start and end, or "
                    "make a cube of it (hsrgeo cube ARCHIVE --out NAME.zarr) and open that"
                )
            try:
                header = peek_header(_head(entry))  # whose bytes are still at hand
                if header.time.replace(second=0) != found.frame_name.time:
                    raise FrameError("time", str(found.frame_name.time), str(header.time))
            except HsrGeoError as error:
                problem = error.at(found.source, found.member) if isinstance(error, FrameError) else error
                self._note(found.frame_name, str(problem))
                continue
            frame_name = found.frame_name
            self.by_time.setdefault(frame_name.time, []).append(_Candidate(found, frame_name, header))

    def _note(self, frame_name: FrameName | None, problem: str) -> None:
        self.broken.append((frame_name.time if frame_name else None, problem))
        if frame_name and not self.by_time.get(frame_name.time):
            self.tally.broken.add((frame_name.product, frame_name.time))

    def _leave_other_kinds(self, candidates: list[_Candidate]) -> None:
        """Leave out frames that an archive also has in a preferred kind, as `hsrgeo.sources.scan` does with files."""
        better = max((one.frame_name.kind for one in candidates), key=preference)
        for one in [one for one in candidates if one.frame_name.kind not in ("", better)]:
            candidates.remove(one)
            self._other_kinds.setdefault(one.frame_name.time, []).append(one)
            self.tally.other_kinds[one.frame_name.kind, better] += 1

    def give_up(self, one: _Candidate, error: HsrGeoError) -> list[_Candidate]:
        """Leave a frame out that is broken; return those of its time that were left out for its kind, if any."""
        time = one.frame_name.time
        candidates = self.by_time[time]
        candidates.remove(one)
        self._note(one.frame_name, str(error))
        if candidates:
            return []
        self._add(scan_twins(self._selection, self.tally))
        for other in self._other_kinds.pop(time, []):
            self.tally.other_kinds[other.frame_name.kind, one.frame_name.kind] -= 1
            candidates.append(other)
        if candidates:
            self._leave_other_kinds(candidates)
        return candidates

    def others(self, one: _Candidate) -> tuple[Found, ...]:
        """Return the frames of its time that were left out for its kind."""
        key = one.frame_name.product, one.frame_name.time
        files = Listing(entry for _kinds, entry in self.tally.twins.get(key, ()))
        packed = self._other_kinds.get(one.frame_name.time, ())
        return (*(other.found for other in packed), *scan_files(files, self._selection, Tally()))

    def first_sound(self, making: Making) -> tuple[_Candidate, Grid, Frame] | None:
        """Return the first sound frame, its grid, and what is made of it: all others must be like it."""
        for time in sorted(self.by_time):
            waiting = list(self.by_time[time])
            while waiting:
                candidate = waiting.pop(0)
                try:
                    frame = warn_of_notes(decode_found(candidate.found, making.block, making.registration))
                    return candidate, frame.grid, making.of(frame)
                except FrameError as error:
                    waiting += self.give_up(candidate, error)
        return None

    def belongs(self, one: _Candidate, first: _Candidate) -> bool:
        """Tell whether a frame is like the first; note it where it is not."""
        if one.shape == first.shape:
            return True
        headers = first.header, one.header
        what, of = "grid", [f"{header.nx} x {header.ny} cells of {header.dxy} m" for header in headers]
        if one.shape[:-1] == first.shape[:-1]:
            what, of = "quantity", [name_of_code(header.data_codes[0]) for header in headers]
        why = f"another {what}: expected {of[0]}, as the first frame, found {of[1]}"
        self.broken.append((one.frame_name.time, f"{one.found.label}: {why}"))
        return False

    def warn(self) -> None:
        """Warn of the frames that are left out."""
        for note in self.tally.notes():
            warnings.warn(note, HsrGeoWarning, stacklevel=4)
        warn_of_left_out([why for _time, why in self.broken], stacklevel=4)


def _head(found: Found) -> bytes:
    if found.member is not None:
        return found.read()[:_HEADER_BYTES]
    path = place(found.source)
    try:
        if isinstance(path, RemotePath):
            return path.read_bytes(_HEADER_BYTES)
        with open_file(path) as file:
            return file.read(_HEADER_BYTES)
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from error


def _best_layer(candidates: list[_Candidate], like: FrameLayer, listed: _Listed, *, check: bool) -> FrameLayer | None:
    """Return the best of the frames of a time, None where none is sound.

    The layer of each is `like` this, but for the frame; `listed` takes note of broken ones. With `check` also a frame
    that is the only one is unpacked.
    """
    if len(candidates) == 1 and not check:
        return replace(like, found=candidates[0].found, others=listed.others(candidates[0]))
    ranked = []
    waiting = list(candidates)
    while waiting:  # seldom: which of several is better only shows when they are unpacked
        one = waiting.pop(0)
        layer = replace(like, found=one.found)
        try:
            ranked.append((Standing.of(one.frame_name, layer.frame().rank, layer.label), layer))
        except HsrGeoError as error:
            waiting += listed.give_up(one, error)
    return max(ranked, key=lambda entry: entry[0])[1] if ranked else None
