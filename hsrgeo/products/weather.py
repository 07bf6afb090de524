"""Weather out of nothing: reflectivity as a function of seed, time and place on the ground.

Two things are added: rain systems, a few patches and bands that are born, drift, turn and fade, and texture, noise
with the spectrum of radar pictures that drifts along and changes. Both are known at once for any time, so frames do
not depend on each other; and both are fixed to the ground (to x and y of the composites' projection), so that every
grid shows the same weather.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hsrgeo.model.grid import Grid

Rain = Literal["dry", "light", "heavy"]
"""dry has no echo at all; light fills some 4 % of the coverage and heavy 20 %, in the middle of many times."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Weather starts here."""

_LATTICE_M = 2000.0  # weather is made at these distances, and interpolated
_NOISE_CELLS = 512  # of the lattice; the texture repeats after 1,024 km, about the size of the coverage
_TILE_CELLS = 512  # of the grid; the speckle repeats too, which nobody sees in noise
_MIDDLE = 127.2, 36.2  # lon, lat of the middle of the weather
_SPREAD_M = 250e3, 350e3  # eastward and northward: half of the rectangle where systems are halfway through life

_BIRTHS_S, _LIFE_S = 3 * 3600, 6 * 3600
_TURN = math.radians(10) / 3600  # most that a system turns, a second

_CLEAR_AIR_DBZ = -42.0
_TEXTURE_DBZ = 10.0
_CORE = 2.0  # dBZ: what makes strong rain stronger
_EDGE_DBZ = 12.0  # from here down rain ends quickly
_CORE_DBZ, _CORE_ROOM_DBZ = 42.0, 15.0  # from here up it grows ever slower, to 57 dBZ
_SPECKLE_DBZ = 2.0  # from cell to cell; KMA's smoothing leaves 0.75 of it
# ^ chosen by eye, beside pictures of KMA's composites, and by the shares of echo that `Rain` promises

_LONGEST_WAVE_M = 150e3  # larger shapes are left to the systems
_STRETCH = 1.35  # waves are this much longer along the wind and shorter across: rain comes in lines


class _Climate(NamedTuple):
    systems: int
    """Born every three hours."""
    along_m: tuple[float, float]
    """Half-length of a system, from and to."""
    gain_dbz: float
    """Difference between the middle of a system and clear air."""


_CLIMATES: dict[Rain, _Climate] = {
    "light": _Climate(2, (60e3, 120e3), 63),
    "heavy": _Climate(4, (85e3, 190e3), 63),
}


class Weather:
    """Reflectivity over a grid at one time.

    Args:
        grid: Where it is asked for.
        rain: How much it rains.
        seed: 0 or more; another seed is other weather.
        time: Aware, not before `EPOCH`.
    """

    def __init__(self, grid: Grid, rain: Rain, seed: int, time: datetime) -> None:
        seconds = (time - EPOCH).total_seconds()
        left, bottom, right, top = (edge / _LATTICE_M for edge in grid.bounds)
        self._grid = grid
        self._cols = np.arange(math.floor(left), math.ceil(right) + 1)
        self._rows = np.arange(math.ceil(top), math.floor(bottom) - 1, -1)
        # ^ lattice points, counted eastward and northward from x = y = 0; rows go north to south, as in an array
        self._dbz = self._on_lattice(_CLIMATES[rain], seed, seconds) if rain in _CLIMATES else None
        self._speckle = _speckle(seed)
        self._shift = np.random.default_rng([seed, _Use.SPECKLE, int(seconds)]).integers(0, _TILE_CELLS, 2)

    def at(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return dBZ at the centres of cells; rows are counted from the north, columns from the west.

        Returns:
            float32, shape (rows, cols), about -90 to 60: far below any radar's reach where it does not rain.
            None where there is no weather at all.
        """
        if self._dbz is None:
            return None
        left, _bottom, _right, top = self._grid.bounds
        cell = self._grid.cell_size_m
        col, right_part = _split((left + cell * (cols + 0.5)) / _LATTICE_M - self._cols[0])
        row, lower_part = _split(self._rows[0] - (top - cell * (rows + 0.5)) / _LATTICE_M)
        upper, lower = self._dbz[row], self._dbz[row + 1]
        lines = upper + (lower - upper) * lower_part[:, None]
        west, east = lines[:, col], lines[:, col + 1]
        tile_rows, tile_cols = (rows + self._shift[0]) % _TILE_CELLS, (cols + self._shift[1]) % _TILE_CELLS
        dbz: NDArray[np.float32] = west + (east - west) * right_part + self._speckle[np.ix_(tile_rows, tile_cols)]
        return dbz

    def _on_lattice(self, climate: _Climate, seed: int, seconds: float) -> NDArray[np.float32]:
        wind = _wind(seed)
        noise = _texture(seed, wind, seconds)[np.ix_(self._rows % _NOISE_CELLS, self._cols % _NOISE_CELLS)]
        middle_x, middle_y = self._grid.project(*_MIDDLE)
        x = (self._cols * _LATTICE_M - middle_x).astype(np.float32)
        y = (self._rows * _LATTICE_M - middle_y).astype(np.float32)[:, None]
        clear = np.ones_like(noise)  # what the systems leave of clear air
        for system in _systems(seed, climate, wind, seconds):
            clear *= 1 - system.strength(x, y)
        # The square makes cores: without it strong rain would be as smooth as weak rain.
        rough = _TEXTURE_DBZ * noise + _CORE * np.square(noise.clip(0))
        dbz: NDArray[np.float32] = (_CLEAR_AIR_DBZ + climate.gain_dbz * (1 - clear) + rough).astype(np.float32)
        dbz += (dbz - _EDGE_DBZ).clip(max=0)
        over = (dbz - _CORE_DBZ).clip(0)
        dbz += _CORE_ROOM_DBZ * np.tanh(over / _CORE_ROOM_DBZ) - over
        return dbz


class _Use:
    """What a generator of random numbers is for: the same seed gives each use numbers of its own."""

    WIND, SYSTEMS, TEXTURE, TILE, SPECKLE = range(1, 6)


def _split(position: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    whole = np.floor(position)
    return whole.astype(np.int64), (position - whole).astype(np.float32)


def _wind(seed: int) -> tuple[float, float]:
    """Return the wind [m/s] eastward and northward: rain comes to Korea from between south-west and west."""
    chance = np.random.default_rng([seed, _Use.WIND])
    speed, towards = chance.uniform(9, 17), math.radians(chance.uniform(-10, 50))
    return speed * math.cos(towards), speed * math.sin(towards)


class _System(NamedTuple):
    """A patch or band of rain at one moment."""

    east_m: float
    north_m: float
    """From the middle of the weather."""
    along_m: float
    across_m: float
    angle: float
    """Of the long side, from east towards north [radians]."""
    force: float
    """0 at birth and death, 1 between."""

    def strength(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return 0 to 1 at places [m] from the middle of the weather."""
        east, north = x - np.float32(self.east_m), y - np.float32(self.north_m)
        cos, sin = np.float32(math.cos(self.angle)), np.float32(math.sin(self.angle))
        along = (cos * east + sin * north) / np.float32(self.along_m)
        across = (cos * north - sin * east) / np.float32(self.across_m)
        strength: NDArray[np.float32] = np.float32(self.force) * np.exp(-(along**2 + across**2) / 2)
        return strength


def _systems(seed: int, climate: _Climate, wind: tuple[float, float], seconds: float) -> Iterator[_System]:
    """Yield the systems alive at a time."""
    latest = int(seconds // _BIRTHS_S)
    # One birth slot more than a life is long: a system is born anywhere within its slot. Slots before the epoch
    # are counted from 2**32 down, for a generator takes no negative number.
    for slot in range(latest - _LIFE_S // _BIRTHS_S, latest + 1):
        chance = np.random.default_rng([seed, _Use.SYSTEMS, slot % 2**32])
        for _ in range(climate.systems):
            start, east, north, size, aspect, angle, turn = chance.random(7)
            age = seconds - (slot + start) * _BIRTHS_S
            if not 0 < age < _LIFE_S:
                continue
            along_m = climate.along_m[0] + (climate.along_m[1] - climate.along_m[0]) * size
            yield _System(
                east_m=_SPREAD_M[0] * (2 * east - 1) + wind[0] * (age - _LIFE_S / 2),
                north_m=_SPREAD_M[1] * (2 * north - 1) + wind[1] * (age - _LIFE_S / 2),
                along_m=along_m,
                across_m=along_m / (1.3 + 2.2 * aspect),
                angle=math.pi * angle + _TURN * (2 * turn - 1) * age,
                force=math.sin(math.pi * age / _LIFE_S) ** 0.6,  # grows fast, stays, goes fast
            )


class _Waves(NamedTuple):
    """The texture as waves; every array has the shape of half a spectrum."""

    amplitude: NDArray[np.float32]
    phase: NDArray[np.float64]
    """Turns, at the epoch."""
    rate: NDArray[np.float64]
    """Turns a second, besides what the wind does."""
    east: NDArray[np.float64]
    north: NDArray[np.float64]
    """Turns a metre."""


@lru_cache(maxsize=4)
def _waves(seed: int) -> _Waves:
    chance = np.random.default_rng([seed, _Use.TEXTURE])
    north = np.fft.fftfreq(_NOISE_CELLS, _LATTICE_M).astype(np.float64)[:, None]
    east = np.fft.rfftfreq(_NOISE_CELLS, _LATTICE_M).astype(np.float64)[None, :]
    wind_east, wind_north = _wind(seed)
    towards = math.atan2(wind_north, wind_east) + chance.uniform(-0.6, 0.6)
    along = math.cos(towards) * east + math.sin(towards) * north
    across = math.cos(towards) * north - math.sin(towards) * east
    number = np.hypot(along * _STRETCH, across / _STRETCH)  # waves a metre
    # Power falls with the cube of the wave number, close to what is measured in radar pictures.
    kept = number > 1 / _LONGEST_WAVE_M
    amplitude = np.where(kept, number, 1.0) ** -1.5 * kept
    # A wave of 10 km lasts some twenty minutes, one of 100 km some two hours.
    rate = chance.standard_normal(number.shape) / (2 * math.pi * 1200) * np.minimum(number * 10e3, 10) ** 0.8
    twice = np.full(number.shape[1], 2.0)  # half a spectrum: every column but the first and last counts twice
    twice[[0, -1]] = 1
    variance = (amplitude**2 * twice).sum() / _NOISE_CELLS**4
    return _Waves((amplitude / np.sqrt(variance)).astype(np.float32), chance.random(number.shape), rate, east, north)


def _texture(seed: int, wind: tuple[float, float], seconds: float) -> NDArray[np.float32]:
    """Return noise of mean 0 and variance 1, rows northward and columns eastward from x = y = 0, repeating.

    Every wave is turned to where the wind and its own rate have taken it by then.
    """
    waves = _waves(seed)
    turns = waves.phase + seconds * (waves.rate - wind[0] * waves.east - wind[1] * waves.north)
    angle = (2 * math.pi * (turns - np.floor(turns))).astype(np.float32)  # float32 only once the whole turns are gone
    spectrum = waves.amplitude * np.exp(1j * angle)
    return np.fft.irfft2(spectrum, (_NOISE_CELLS, _NOISE_CELLS)).astype(np.float32)


@lru_cache(maxsize=4)
def _speckle(seed: int) -> NDArray[np.float32]:
    chance = np.random.default_rng([seed, _Use.TILE])
    return _SPECKLE_DBZ * chance.standard_normal((_TILE_CELLS, _TILE_CELLS), np.float32)
