"""Composites of several radars in KMA's container: layers -> frames of echo, height, station and count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from hsrgeo.errors import FrameFormatError, OptionsError
from hsrgeo.formats.header import MAX_STATIONS
from hsrgeo.formats.names import OWN_KIND, own_name
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.header import NOT_KMA_MARK, PRODUCTS_BY_PTYPE, SYNTHETIC_MARK, Header, Station
from hsrgeo.model.quantity import QUANTITIES
from hsrgeo.model.times import KST
from hsrgeo.model.volume import Volume
from hsrgeo.products.beams import STEP_M
from hsrgeo.products.polar import Layer, PolarProduct, PolarType, layer

Method = Literal["max", "mean", "quality"]
_ECHO, _HEIGHT, _STATION, _COUNT = 1, 2, 3, 4  # data codes (KMA composite format, section 1)
_PTYPES: dict[PolarType, int] = {"sweep": 0, "lowest": 0, "cappi": 1, "max": 2, "echo-top": 3}
_NAMES: dict[PolarType, str] = {polar_type: PRODUCTS_BY_PTYPE[ptype] for polar_type, ptype in _PTYPES.items()} | {
    "lowest": "LOW"
}
# ^ not HSR: KMA makes that with a map of the terrain and much more
_NEAREST_STEPS = 1000 / STEP_M  # a weight grows no more nearer than this
_POWERS = (10.0 ** (np.arange(1 << 16, dtype=np.uint16).view(np.int16) / 1000.0)).astype(np.float64)
# ^ mm6/m3 of each stored value


def compose_frames(
    volumes: Sequence[Volume], grid: Grid, time: datetime, product: PolarProduct, method: Method
) -> list[Frame]:
    """Return the frame of some radars, a `Frame` for each block: echo or echo top, height, station and count.

    Args:
        volumes: Of different radars, of one time.
        grid: One of KMA's, whole.
        time: Of the frame, aware.
        product: What is made of each volume.
        method: Where several radars see a cell: ``max`` takes the highest value; ``mean`` the mean of mm6/m3, where no
            echo is 0; ``quality`` the same weighted by 1 / distance^2, as a beam's cross-section grows. Of echo tops
            the means are of metres, over the radars that see one.

    Raises:
        OptionsError: No such method.
        FrameFormatError: No volume on the grid, two of one radar, more than fit, or no such sweep.
    """
    refuse_unknown(method)
    by_code = {volume.radar.code: volume for volume in sorted(volumes, key=lambda one: (one.radar.code, one.name))}
    if len(by_code) < len(volumes):
        names = sorted((one.radar.code, one.name) for one in volumes)
        twice = next(pair for pair in pairwise(names) if pair[0][0] == pair[1][0])
        raise FrameFormatError(f"radar {twice[0][0]}", "one volume", f"{twice[0][1]} and {twice[1][1]}")
    layers = {code: one for code, volume in by_code.items() if (one := layer(volume, grid, product)) is not None}
    if not 1 <= len(layers) <= MAX_STATIONS:
        raise FrameFormatError("radars on the grid", f"1 to {MAX_STATIONS}", str(len(layers)))
    blocks = merge(list(layers.values()), grid, method, echo_top=product.type == "echo-top")
    stations = [Station(code, by_code[code].time, None) for code in layers]
    mark = (SYNTHETIC_MARK if any(volume.synthetic for volume in volumes) else b"") + NOT_KMA_MARK
    return _frames(blocks, stations, grid, time, product, mark)


def refuse_unknown(method: str) -> None:
    """Refuse a method that is not known."""
    if method not in get_args(Method):
        raise OptionsError(f"method {method!r}: expected {', '.join(get_args(Method))}")


def merge(layers: Sequence[Layer], grid: Grid, method: Method, *, echo_top: bool) -> dict[int, NDArray[np.int16]]:
    """Return the blocks of a composite by their data codes, north-up."""
    shape = grid.height, grid.width
    nodata, undetect = QUANTITIES[_ECHO].nodata, QUANTITIES[_ECHO].undetect
    value, height, station = (np.full(shape, nodata, np.int16) for _ in range(3))
    count = np.zeros(shape, np.int16)
    rank = np.full(shape, np.iinfo(np.int32).min, np.int32)
    sums, weights = (np.zeros(shape if method != "max" else 0, np.float64) for _ in range(2))
    for number, one in enumerate(layers, start=1):
        part = one.window.slices
        seen = one.value != nodata
        count[part] += seen
        mine = -one.distance.astype(np.int32) if method == "quality" else -one.height.astype(np.int32)
        if method == "max":  # of equal values, the lower beam
            mine += one.value * np.int32(1 << 15)
        better = seen & (mine > rank[part])
        for block, new in ((value, one.value), (height, one.height), (station, np.int16(number)), (rank, mine)):
            np.copyto(block[part], new, where=better)
        if method != "max":
            echo = one.value > undetect
            away = np.maximum(one.distance, _NEAREST_STEPS)
            weight = seen.astype(np.float64) if method == "mean" else np.where(seen, away**-2.0, 0.0)
            worth = one.value if echo_top else _POWERS[one.value.view(np.uint16)]
            sums[part] += np.where(echo, weight * worth, 0)
            weights[part] += np.where(echo, weight, 0) if echo_top else weight
    if method != "max":
        value = _mean(sums, weights, count, echo_top=echo_top)
    count[count == 0] = nodata
    first = {_HEIGHT: value} if echo_top else {_ECHO: value, _HEIGHT: height}
    return first | {_STATION: station, _COUNT: count}


def _mean(
    sums: NDArray[np.float64], weights: NDArray[np.float64], count: NDArray[np.int16], *, echo_top: bool
) -> NDArray[np.int16]:
    echo = QUANTITIES[_ECHO]
    has = sums > 0
    mean = sums[has] / weights[has]
    steps = np.rint(mean if echo_top else 10 * echo.scale * np.log10(mean))
    value = np.where(count > 0, np.int16(echo.undetect), np.int16(echo.nodata))
    value[has] = np.where(steps < echo.echo_from, echo.undetect, steps)
    return value


def _frames(
    blocks: dict[int, NDArray[np.int16]],
    stations: Sequence[Station],
    grid: Grid,
    time: datetime,
    product: PolarProduct,
    mark: bytes,
) -> list[Frame]:
    moment = time.astimezone(KST).replace(second=0, microsecond=0)
    codes = tuple(blocks)
    header = Header(
        version=1,
        ptype=_PTYPES[product.type],
        time=moment,
        created=None,
        station_count=len(stations),
        map_code=grid.map_code,
        map_etc=0,
        nx=grid.width,
        ny=grid.height,
        nz=1,
        dxy=round(grid.cell_size_m),
        dz=0,
        z_min=0,
        num_data=len(codes),
        data_codes=(*codes, *(0,) * (16 - len(codes))),
        etc=mark.ljust(15, b"\0"),
        stations=tuple(stations),
    )
    name = own_name(_NAMES[product.type], moment)
    return [
        Frame(
            stored=stored,
            quantity=QUANTITIES[code],
            grid=grid,
            window=grid.window,
            time=moment,
            header=header,
            product=_NAMES[product.type],
            kind=OWN_KIND,
            name=name,
            crc32=zlib_ng.crc32(np.ascontiguousarray(stored)),
            block=number,
            blocks=len(codes),
        )
        for number, (code, stored) in enumerate(blocks.items(), start=1)
    ]
