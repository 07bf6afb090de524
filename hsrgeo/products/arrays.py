"""An array back into a frame: what numpy, scipy or a nowcast made goes on the map as any frame does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from zlib_ng import zlib_ng

from hsrgeo.errors import OptionsError
from hsrgeo.formats.composite import product_with
from hsrgeo.formats.names import OWN_KIND, own_name
from hsrgeo.model.frame import Frame
from hsrgeo.model.header import NOT_KMA_MARK, SYNTHETIC_MARK
from hsrgeo.model.quantity import QUANTITIES, RAIN, Quantity
from hsrgeo.model.times import KST, existing, parse_time


def frame(
    array: ArrayLike,
    like: Frame,
    *,
    time: datetime | str | None = None,
    quantity: str | None = None,
    undetect: float | None = None,
) -> Frame:
    """Return a frame with the values of an array, on the grid of another frame.

    It is the inverse of `Frame.physical`: ``hsrgeo.frame(f.physical(), like=f)`` has the values of ``f.clean()``. The
    frame can be written as any other (`Frame.to_cog`, `Frame.to_png`, `Frame.to_bin`, `Frame.to_xarray`). Its header
    and its tags say that it is not KMA's product.

    Args:
        array: Physical values in the unit of the quantity (dBZ, mm/h, ...), shape (rows, columns) of `like`, row 0 is
            the **north** row. NaN and masked cells were not observed. Each value is rounded to the nearest step, 0.01
            of dBZ and of mm/h.
        like: Gives the grid, the window, the stations and, unless they are given here, time and quantity.
        time: Aware, or a text such as ``2022-06-09 11:15`` (KST); to the minute.
        quantity: ``rain_rate`` [mm/h], ``reflectivity`` [dBZ] or another name of `hsrgeo.model.quantity.QUANTITIES`.
        undetect: Values from here down were observed and hold nothing; None is minus infinity, and 0 for rain, of
            which no value may be below 0.

    Of an xarray array, time, quantity and undetect are its own unless they are given here, and its coordinates must be
    those of `like`.

    Raises:
        OptionsError: Another shape or place, no real numbers, values that do not fit, or a time or quantity that cannot
            be.
    """
    if hasattr(array, "coords") and hasattr(array, "attrs"):
        _check_place(array.coords, like)
        quantity = quantity or array.attrs.get("quantity")
        undetect = array.attrs.get("undetect_value") if undetect is None else undetect
        time = _own_time(array.coords) if time is None else time
    code, packing = _packing(quantity or like.quantity.name)
    stored = _packed(_values(array, like.shape), packing, undetect)
    stored.flags.writeable = False
    moment = like.time if time is None else _minute(time)
    mark = (SYNTHETIC_MARK if like.header.synthetic else b"") + NOT_KMA_MARK
    header = replace(
        like.header,
        time=moment,
        created=None,
        num_data=1,
        data_codes=(code, *(0,) * 15),
        etc=mark.ljust(15, b"\0"),
    )
    product = product_with(like, code)
    return replace(
        like,
        stored=stored,
        quantity=packing,
        time=moment,
        header=header,
        product=product,
        kind=OWN_KIND,
        name=own_name(product, moment),
        crc32=zlib_ng.crc32(stored.tobytes()),
        block=1,
        blocks=1,
        cleaned=True,
        derived=(),
        notes=(),
    )


def _check_place(coords: Mapping[str, Any], like: Frame) -> None:
    """Refuse an xarray array whose cells are not those of a frame, or in another order."""
    (height, width), place = like.shape, like.grid.transform
    wanted = {
        "y": place.f + (np.arange(height) + 0.5) * place.e,
        "x": place.c + (np.arange(width) + 0.5) * place.a,
    }
    for name, centres in wanted.items():
        if name in coords:
            own = np.asarray(coords[name], np.float64)
            if own.shape != centres.shape or np.abs(own - centres).max() > abs(place.a) / 100:
                raise OptionsError(
                    f"array with {name} from {own.flat[0]:g} to {own.flat[-1]:g}: expected {centres[0]:g} to "
                    f"{centres[-1]:g}, the cells of `like` in their order (north first); crop or sort one of them"
                )


def _own_time(coords: Mapping[str, Any]) -> datetime | None:
    """Return the time of an xarray array of one time, whose times are UTC; None where it has none."""
    if "time" not in coords or coords["time"].ndim:
        return None
    moment: datetime = np.asarray(coords["time"]).astype("datetime64[s]").item()
    return moment.replace(tzinfo=UTC)


def _packing(name: str) -> tuple[int, Quantity]:
    """Return the data code of a quantity, and how its values are packed."""
    for code, known in QUANTITIES.items():
        if known.name == name:
            return code, RAIN if known.is_rain else known
    raise OptionsError(f"quantity {name!r}: expected one of {', '.join(known.name for known in QUANTITIES.values())}")


def _values(array: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    masked: np.ma.MaskedArray[Any, Any] = np.ma.asarray(array)
    raw: NDArray[Any] = masked.data
    if raw.shape != shape:
        raise OptionsError(f"array of shape {raw.shape}: expected {shape}, the rows and columns of `like`")
    if raw.dtype.kind not in "iuf":
        raise OptionsError(f"array of type {raw.dtype}: expected real numbers")
    values = raw.astype(np.float64)
    values[np.ma.getmaskarray(masked)] = np.nan
    return values


def _packed(values: NDArray[np.float64], packing: Quantity, undetect: float | None) -> NDArray[np.int16]:
    nothing = np.isneginf(values) if undetect is None else values <= undetect
    observed = ~np.isnan(values)
    steps = np.rint(np.where(observed & ~nothing, values, 0.0) * packing.scale + packing.minus)
    # A step of rain below the first is dry: 0 is the code of that. Of others the codes lie below every value.
    lowest = packing.undetect if packing == RAIN else packing.echo_from
    highest = np.iinfo(np.int16).max
    wrong = observed & ~nothing & ~((lowest <= steps) & (steps <= highest))
    if wrong.any():
        row, col = (int(index[0]) for index in np.nonzero(wrong))
        low, high = ((step - packing.minus) / packing.scale for step in (lowest, highest))
        raise OptionsError(
            f"{np.count_nonzero(wrong):,} values do not fit, the first in row {row}, column {col}: expected NaN or "
            f"{low:g} to {high:g}{packing.unit and f' {packing.unit}'}, found {values[row, col]:g}"
        )
    steps[nothing] = packing.undetect
    steps[~observed] = packing.nodata
    stored: NDArray[np.int16] = steps.astype(np.int16)
    return stored


def _minute(time: datetime | str) -> datetime:
    moment = parse_time(time) if isinstance(time, str) else time
    try:
        if moment.tzinfo is None:
            raise OptionsError(f"time {moment}: give it a time zone, such as hsrgeo.KST")
        return existing(moment).astimezone(KST).replace(second=0, microsecond=0)
    except (AttributeError, ValueError) as error:
        raise OptionsError(f"time {time!r}: expected a date and time, or a text of one") from error
