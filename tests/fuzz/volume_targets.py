"""The door that reads volumes of single radars: CfRadial 1, ODIM and UF."""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from hsrgeo.errors import FrameError
from hsrgeo.formats.volume import is_volume, read_volume
from hsrgeo.model.grid import Grid
from hsrgeo.model.grid_catalog import grids
from hsrgeo.model.window import Window
from hsrgeo.products.polar import as_product, layer
from tests.fuzz.mutate import flip_bytes
from tests.fuzz.targets import Target, require
from tests.volumes import KWK, Floats, Turn, cfradial, odim, uf

_PRODUCTS = ("sweep:1", "lowest", "cappi:2000", "max", "echo-top:10")


class Volumes(Target):
    """Small volumes with damage, most of it where the numbers that say how much there is are."""

    name = "volume"
    share = 1

    def make(self, chance: random.Random) -> bytes:
        sample = chance.choice(_samples())
        if chance.random() < 0.5:
            return flip_bytes(chance, sample, most=8)
        start = chance.randrange(len(sample))
        part = slice(start, start + 2048)
        return sample[: part.start] + flip_bytes(chance, sample[part], most=4)[:2048] + sample[part.stop :]

    def check(self, data: bytes) -> bool:
        is_volume(data)
        try:
            found = read_volume(data, "RDR_KWK_QCD_202607252035")
        except FrameError:
            return False
        for sweep in found.sweeps:
            rays, gates = sweep.stored.shape
            require(sweep.stored.dtype == np.int16 and rays == len(sweep.azimuths) and gates > 0, "shape of a sweep")
            require(((sweep.azimuths >= 0) & (sweep.azimuths < 360)).all(), "azimuths")
            odd = (sweep.stored < -10_000) & (sweep.stored != -25_000) & (sweep.stored != -30_000)
            require(not odd.any(), "codes")
        for product in _PRODUCTS:
            layer(found, _grid(), as_product(product))
        return True


@cache
def _grid() -> Grid:
    grid = grids()["kma-hb-1km"]
    row, col = grid.index_lonlat(*KWK[1:3])
    return grid.crop(Window(col - 20, row - 20, 40, 40))


def _field(azimuth: Floats, distance: Floats, elevation: float) -> Floats:
    return azimuth / 20 + distance / 1000 + elevation


@cache
def _samples() -> tuple[bytes, ...]:
    turns = [Turn(0.5, rays=12, gates=8, gate_m=1000), Turn(3.0, rays=12, gates=5, gate_m=1000)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        made = [cfradial(path, KWK, turns, _field).read_bytes(), odim(path, KWK, turns, _field).read_bytes()]
    return (*made, uf(KWK, turns, _field))
