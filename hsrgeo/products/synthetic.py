"""Frames out of nothing: made-up weather in KMA's container, so that everything can be tried without KMA's data.

What a real composite has is there: a coverage of circles, rain that moves and grows, NULL codes, and the values that
KMA's smoothing smears between them. Every frame says in its header that it is made up (`Header.synthetic`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from hsrgeo.errors import OptionsError
from hsrgeo.formats.composite import encode
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import MAIN_GRID, grids
from hsrgeo.model.header import PRODUCTS_BY_PTYPE, SYNTHETIC_MARK, Header, Station
from hsrgeo.model.quantity import QUANTITIES
from hsrgeo.model.times import KST
from hsrgeo.products.weather import EPOCH, Rain, Weather


class _Site(NamedTuple):
    code: str
    lon: float
    lat: float
    height_m: float


# KMA's ten weather radars. The codes are KMA's; the places are good to a few kilometres, enough for scenery.
_SITES = (
    _Site("KWK", 126.964, 37.445, 640),  # Gwanaksan
    _Site("GDK", 127.434, 38.117, 1066),  # Gwangdeoksan
    _Site("GNG", 128.865, 37.817, 99),  # Gangneung
    _Site("BRI", 124.630, 37.966, 185),  # Baengnyeongdo
    _Site("KSN", 126.784, 36.013, 231),  # Oseongsan
    _Site("JNI", 126.328, 34.473, 499),  # Jindo
    _Site("PSN", 129.001, 35.119, 547),  # Gudeoksan
    _Site("MYN", 128.997, 36.179, 1136),  # Myeonbongsan
    _Site("GSN", 126.163, 33.294, 103),  # Gosan
    _Site("SSP", 126.880, 33.387, 72),  # Seongsan
)
_RANGE_M = 240e3
_BEAM_SLOPE = math.sin(math.radians(0.5))
_EARTH_M = 4 / 3 * 6371e3  # beams bend with the air: 4/3 of the earth's radius is the usual model

_PTYPES = {PRODUCTS_BY_PTYPE[ptype]: ptype for ptype in (5, 1, 0, 2)}  # the products of reflectivity, HSR first
_CREATED_S, _CREATED_SPREAD_S = 402, 12  # tm_in is about 6.7 minutes after tm (KMA composite format, section 1)
_ECHO = QUANTITIES[1]
_BLOCKS = 3  # echo, height, station
_WEAKEST_DBZ = -10.0
_LOWEST = np.int16(-20000)  # the code "display minimum" is rare: 12 cells of 6.6 million (section 2)
_LOWEST_CELLS = 12
_STRIP_ROWS = 64  # rows made at a time: all the work on them stays within a processor's cache


@dataclass(frozen=True, slots=True)
class Scene:
    """What synthetic frames show. The same scene and time give the same bytes.

    Raises:
        OptionsError: A word or number that no frame can have.
    """

    seed: int = 0
    """0 or more; another seed is other weather."""
    rain: Rain = "light"
    grid: Grid = field(default_factory=lambda: grids()[MAIN_GRID])
    """Any grid; `hsrgeo.formats.composite.decode` reads the catalogue's only."""
    stations: int = 10
    """Radars that take part, 1 to 10; the first is Gwanaksan, beside Seoul."""
    blocks: int = 1
    """1 as real files have it; 2 with the height [m]; 3 with the station, counted from 1 in the header's list."""
    product: str = "HSR"
    """HSR, CPP, PPI or CMX, all of reflectivity; only the header's ``ptype`` depends on it."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise OptionsError(f"seed {self.seed}: expected 0 or more")
        for name, word, words in (("rain", self.rain, get_args(Rain)), ("product", self.product, tuple(_PTYPES))):
            if word not in words:
                raise OptionsError(f"{name} {word!r}: expected one of {', '.join(words)}")
        for name, number, most in (("stations", self.stations, len(_SITES)), ("blocks", self.blocks, _BLOCKS)):
            if not 1 <= number <= most:
                raise OptionsError(f"{name} {number}: expected 1 to {most}")


def synthetic_frame(
    time: datetime, scene: Scene | None = None, *, created: datetime | None = None
) -> tuple[Header, list[NDArray[np.int16]]]:
    """Make up one composite, ready for `hsrgeo.formats.composite.encode`.

    Args:
        time: Observation time, aware, 1970 or later. Where the rain is follows from it: consecutive times show it
            moving, and the same time always shows the same rain.
        scene: What to show; the default is light rain on the 500 m grid.
        created: Creation time, aware; the default is about 6.7 minutes after `time`. Real times are sometimes
            issued twice, the second time later and with more stations.

    Returns:
        The header, and one to three blocks of stored values: int16, shape (height, width), row 0 is the **north**
        row. The header claims three blocks however many there are, as in real files.

    Raises:
        OptionsError: A time without a zone, or before 1970.
    """
    for name, given in (("time", time), ("created", created)):
        if given is not None and given.tzinfo is None:
            raise OptionsError(f"{name} {given}: give it a time zone, such as hsrgeo.KST")
    if time < EPOCH:
        raise OptionsError(f"time {time}: expected 1970 or later")
    shown = scene if scene is not None else Scene()
    observed = time.astimezone(KST).replace(microsecond=0)
    chance = np.random.default_rng([shown.seed, 0, int(observed.timestamp())])
    echo = _echo(shown, observed, chance)
    blocks = [echo, *_beam_blocks(shown)]
    return _header(shown, observed, created, chance), blocks


def synthetic_bytes(
    time: datetime, scene: Scene | None = None, *, created: datetime | None = None, level: int = 6
) -> bytes:
    """Make up one composite as the bytes of a ``.bin.gz`` file, packed by libdeflate at a level from 1 to 12.

    For the other arguments see `synthetic_frame`.

    Raises:
        OptionsError: As for `synthetic_frame`.
    """
    header, blocks = synthetic_frame(time, scene, created=created)
    return encode(header, blocks, level=level)


def _header(scene: Scene, time: datetime, created: datetime | None, chance: np.random.Generator) -> Header:
    late = _CREATED_S + int(chance.integers(-_CREATED_SPREAD_S, _CREATED_SPREAD_S + 1))
    arrivals = chance.integers(late // 4, late // 2, scene.stations)  # seconds; before the composite was made
    return Header(
        version=1,
        ptype=_PTYPES[scene.product],
        time=time,
        created=created.astimezone(KST).replace(microsecond=0) if created else time + timedelta(seconds=late),
        station_count=scene.stations,
        map_code=scene.grid.map_code,
        map_etc=0,
        nx=scene.grid.width,
        ny=scene.grid.height,
        nz=1,
        dxy=round(scene.grid.cell_size_m),
        dz=0,
        z_min=0,
        num_data=3,
        data_codes=(1, 2, 3, *(0,) * 13),
        etc=SYNTHETIC_MARK.ljust(15, b"\0"),
        stations=tuple(
            Station(site.code, time, time + timedelta(seconds=int(arrival)))
            for site, arrival in zip(_SITES[: scene.stations], arrivals, strict=True)
        ),
    )


def _echo(scene: Scene, time: datetime, chance: np.random.Generator) -> NDArray[np.int16]:
    """Return stored echo: codes and rain, smoothed as KMA does, and then a few cells of the lowest code."""
    grid = scene.grid
    inside = _inside(grid, scene.stations)
    weather = Weather(grid, scene.rain, scene.seed, time)
    block = np.empty((grid.height, grid.width), np.int16)
    cols = np.arange(-1, grid.width + 1).clip(0, grid.width - 1)  # outside the grid it is as at its edge
    for start in range(0, grid.height, _STRIP_ROWS):
        stop = min(start + _STRIP_ROWS, grid.height)
        rows = np.arange(start - 1, stop + 1).clip(0, grid.height - 1)
        observed = inside[np.ix_(rows, cols)]
        stored = np.where(observed, np.int32(_ECHO.undetect), np.int32(_ECHO.nodata))
        if observed.any() and (dbz := weather.at(rows, cols)) is not None:
            packed = np.rint(_ECHO.scale * dbz).astype(np.int32)
            stored = np.where(observed & (dbz >= _WEAKEST_DBZ), packed, stored)
        block[start:stop] = smoothed(stored)
    tries = chance.integers(0, block.size, 100 * _LOWEST_CELLS)
    block.flat[tries[block.flat[tries] == _ECHO.undetect][:_LOWEST_CELLS]] = _LOWEST
    return block


def smoothed(stored: NDArray[np.int32]) -> NDArray[np.int32]:
    """Smooth 3x3 with the weights (1-2-1) x (1-2-1) / 16, straight across the NULL codes, as KMA does.

    Args:
        stored: Stored values, shape (rows + 2, cols + 2).

    Returns:
        Stored values, shape (rows, cols): a border of one cell is used up.

    References:
        KMA composite format, section 2, "Blends": exact 1/16 steps between the codes, cut towards zero (-29687).
    """
    rows = stored[:-2] + 2 * stored[1:-1] + stored[2:]
    total = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    cut: NDArray[np.int32] = (total + ((total >> 31) & 15)) >> 4
    # ^ a shift rounds down; 15 more on negative sums makes that towards zero, as division does in C
    return cut


def _beam_blocks(scene: Scene) -> Iterator[NDArray[np.int16]]:
    """Yield height and station of every cell that a radar looks at, as KMA's files have them (section 7)."""
    if scene.blocks == 1:
        return
    inside = _inside(scene.grid, scene.stations)
    for part in _beams(scene.grid, scene.stations)[: scene.blocks - 1]:
        yield np.where(inside, part, np.int16(_ECHO.nodata))


# What follows is the same for every frame of a grid and a number of stations, so it is kept.


@lru_cache(maxsize=4)
def _inside(grid: Grid, stations: int) -> NDArray[np.bool_]:
    inside = np.zeros((grid.height, grid.width), bool)
    for part, distance, _site in _circles(grid, stations):
        inside[part] |= distance <= _RANGE_M
    return inside


@lru_cache(maxsize=2)
def _beams(grid: Grid, stations: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return the height [m] of the lowest beam over each cell, and its station, counted from 1."""
    lowest = np.full((grid.height, grid.width), np.iinfo(np.int16).max, np.int16)
    number = np.zeros_like(lowest)
    for order, (part, distance, site) in enumerate(_circles(grid, stations), start=1):
        height = (site.height_m + distance * _BEAM_SLOPE + distance**2 / (2 * _EARTH_M)).astype(np.int16)
        lower = (distance <= _RANGE_M) & (height < lowest[part])
        lowest[part][lower] = height[lower]
        number[part][lower] = order
    return lowest, number


def _circles(grid: Grid, stations: int) -> Iterator[tuple[tuple[slice, slice], NDArray[np.float32], _Site]]:
    """Yield the rows and columns around each radar, and the distance [m] of every cell there."""
    left, _bottom, _right, top = grid.bounds
    x = left + grid.cell_size_m * (np.arange(grid.width) + 0.5)
    y = top - grid.cell_size_m * (np.arange(grid.height) + 0.5)
    for site in _SITES[:stations]:
        east, north = grid.project(site.lon, site.lat)
        cols = slice(*np.searchsorted(x, (east - _RANGE_M, east + _RANGE_M)))
        rows = slice(*np.searchsorted(-y, (-north - _RANGE_M, -north + _RANGE_M)))
        dx, dy = (x[cols] - east).astype(np.float32), (y[rows] - north).astype(np.float32)
        yield (rows, cols), np.hypot(dx, dy[:, None]), site
