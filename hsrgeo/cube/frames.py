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
from hsrgeo.cube.stack import FrameLayer
from hsrgeo.errors import FrameError, HsrGeoError, HsrGeoWarning, OptionsError, SourceError
from hsrgeo.formats.composite import peek_header, product_of
from hsrgeo.formats.names import FrameName, preference
from hsrgeo.formats.standing import Standing
from hsrgeo.model.file_blocks import MaskedBlock
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.header import Header
from hsrgeo.products.making import Making
from hsrgeo.reading import decode_found, warn_of_notes
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.gone_by import no_frame
from hsrgeo.sources.remote import RemotePath, place
from hsrgeo.sources.scan import scan
from hsrgeo.sources.several import as_reference
from hsrgeo.sources.texts import open_file

if TYPE_CHECKING:
    from pathlib import Path

    from hsrgeo.cube.opening import View

_OF_ONE_FRAME = ("source_file", "source_crc32", "station_count", "stations")
_SHOWN = 3  # broken frames in a warning
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
    broken: list[tuple[datetime | None, str]] = []
    tally = Tally()
    by_time = _candidates(sources, view, broken, tally)
    first = _first_sound(by_time, making, broken)
    if first is None:
        problem = f"no usable frame found: {broken[0][1]}" if broken else no_frame(tally)
        raise SourceError(", ".join(map(str, sources)), problem)
    chosen, whole, made = first
    if making.area is not None:
        whole.window_for(making.area)  # warns
    times: list[datetime] = []
    layers: list[FrameLayer] = []
    for time in sorted(by_time):
        candidates = [one for one in by_time[time] if _belongs(one, chosen, broken)]
        layer = _best_layer(candidates, making, made, broken, check=view.check)
        if layer is not None:
            times.append(time)
            layers.append(layer)
    missing = missing_between(times, view.step, [time for time, _why in broken if time is not None])
    _warn(broken)
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
    by_time = _candidates(sources, view, [], Tally())
    first = _first_sound(by_time, making, [])
    blocks = 1 if first is None else first[2].blocks
    opened = []
    for number in range(1, blocks + 1):
        block = replace(making.block, block=number) if isinstance(making.block, MaskedBlock) else number
        # Only the first is rain or reflectivity: of a height nothing is made.
        one = making if number == 1 else replace(making, quantity="stored", factors=None, cleaning=None)
        opened.append(open_frames(sources, replace(one, block=block), view))
    return xr.merge(opened, join="outer", compat="override", combine_attrs="override")


def _candidates(
    sources: list[str | Path], view: View, broken: list[tuple[datetime | None, str]], tally: Tally
) -> dict[datetime, list[_Candidate]]:
    by_time: dict[datetime, list[_Candidate]] = {}
    products: set[str] = set()
    loaded = 0
    for entry in scan(sources, view.selection, tally):
        found = as_reference(entry) if entry.member is not None else entry
        if found.error is not None or found.frame_name is None:
            broken.append((found.frame_name.time if found.frame_name else None, str(found.error)))
            continue
        loaded += len(found.data or b"")
        if loaded > _MOST_HELD_BYTES:
            raise OptionsError(
                f"{found.source}: the selected frames take more than {_MOST_HELD_BYTES >> 30} GB, packed, and a "
                "compressed archive can only be read from its beginning, not at random: narrow start and end, or make "
                "a cube of it (hsrgeo cube ARCHIVE --out NAME.zarr) and open that"
            )
        try:
            header = peek_header(_head(entry))  # whose bytes are still at hand
            if header.time.replace(second=0) != found.frame_name.time:
                raise FrameError("time", str(found.frame_name.time), str(header.time))
        except HsrGeoError as error:
            problem = error.at(found.source, found.member) if isinstance(error, FrameError) else error
            broken.append((found.frame_name.time, str(problem)))
            continue
        products.add(found.frame_name.product or product_of(header))
        by_time.setdefault(found.frame_name.time, []).append(_Candidate(found, found.frame_name, header))
    for candidates in by_time.values():
        _leave_other_kinds(candidates, tally)
    for note in tally.notes():
        warnings.warn(note, HsrGeoWarning, stacklevel=4)
    if len(products) > 1:
        raise OptionsError(f"the sources contain {', '.join(sorted(products))}: choose a product")
    return by_time


def _leave_other_kinds(candidates: list[_Candidate], tally: Tally) -> None:
    """Leave out frames that an archive also has in a preferred kind, as `hsrgeo.sources.scan` does with files."""
    better = max((one.frame_name.kind for one in candidates), key=preference)
    for one in [one for one in candidates if one.frame_name.kind not in ("", better)]:
        candidates.remove(one)
        tally.other_kinds[one.frame_name.kind, better] += 1


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


def _first_sound(
    by_time: dict[datetime, list[_Candidate]], making: Making, broken: list[tuple[datetime | None, str]]
) -> tuple[_Candidate, Grid, Frame] | None:
    """Return the first sound frame, its grid, and what is made of it: all others must be like it."""
    for time in sorted(by_time):
        for candidate in list(by_time[time]):
            try:
                frame = warn_of_notes(decode_found(candidate.found, making.block, making.registration))
                return candidate, frame.grid, making.of(frame)
            except FrameError as error:
                broken.append((time, str(error)))
                by_time[time].remove(candidate)
    return None


def _belongs(one: _Candidate, first: _Candidate, broken: list[tuple[datetime | None, str]]) -> bool:
    if one.shape == first.shape:
        return True
    header, other = one.header, first.header
    why = f"{header.nx} x {header.ny} cells of {header.dxy} m, the first has {other.nx} x {other.ny} of {other.dxy} m"
    broken.append((one.frame_name.time, f"{one.found.label}: another grid or quantity: {why}"))
    return False


def _best_layer(
    candidates: list[_Candidate],
    making: Making,
    made: Frame,
    broken: list[tuple[datetime | None, str]],
    *,
    check: bool,
) -> FrameLayer | None:
    layers = [FrameLayer(one.found, making, made.grid, made.quantity, one.frame_name.time) for one in candidates]
    if len(layers) == 1 and not check:
        return layers[0]
    ranked = []
    for layer in layers:  # seldom: which of several is better only shows when they are unpacked
        try:
            ranked.append((Standing.of(layer.found.frame_name, layer.frame().rank, layer.label), layer))
        except HsrGeoError as error:
            broken.append((layer.time, str(error)))
    return max(ranked, key=lambda entry: entry[0])[1] if ranked else None


def _warn(broken: Iterable[tuple[datetime | None, str]]) -> None:
    reasons = [why for _time, why in broken]
    if reasons:
        more = f"; and {len(reasons) - _SHOWN:,} more" if len(reasons) > _SHOWN else ""
        text = f"{len(reasons):,} broken or unlike the first, left out: {'; '.join(reasons[:_SHOWN])}{more}"
        warnings.warn(text, HsrGeoWarning, stacklevel=4)
