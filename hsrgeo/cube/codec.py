"""What a reference to KMA's own files is read through: codecs that zarr finds by their entry points.

A reference (`hsrgeo.cube.virtual`) names a stored frame as a chunk of an array. `FrameCodec` makes the chunk of it: it
unpacks and checks the file as every other reader here does, and makes of it what the array holds, an area, rain or
another projection. `DegreesCodec` works out the longitudes and latitudes of a grid, which are too many to be written
into a reference.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ndarray_copy
from numcodecs.registry import register_codec

from hsrgeo.cube.cf import packed_degrees
from hsrgeo.cube.extra import DAMAGE
from hsrgeo.cube.store import Shape, shape_from_json
from hsrgeo.errors import ChecksumError, FrameError, OptionsError
from hsrgeo.formats.composite import decode, peek_header, unpack
from hsrgeo.model.file_blocks import block_from_json
from hsrgeo.model.frame import Frame
from hsrgeo.model.times import time_label
from hsrgeo.model.window import Area, as_bbox, as_center, as_window
from hsrgeo.products.cleaning import cleaning_from_json
from hsrgeo.products.making import Making
from hsrgeo.products.masks import mask_from_json
from hsrgeo.products.rain import KMA_LAW, Law
from hsrgeo.products.warp import Target

FRAME_CODEC = "hsrgeo_frame"
DEGREES_CODEC = "hsrgeo_degrees"


class FrameCodec(Codec):  # type: ignore[misc] # numcodecs has no types
    """Bytes of a ``.bin.gz`` or ``.bin`` file -> packed cells of one time, int16, row 0 is the north row.

    Args:
        shape: What every chunk has in common, as `Shape.as_json` tells it.
        crc32: CRC-32 of every frame that the array was made of, see `pack_crc32`. A codec does not know which chunk it
            reads: any other frame is refused, one of the same array in the place of another is not.

    Raises:
        OptionsError: They are not what hsrgeo wrote.
    """

    codec_id = FRAME_CODEC

    def __init__(self, shape: Mapping[str, Any], crc32: str) -> None:
        self.shape = dict(shape)
        self.crc32 = crc32
        try:
            self._shape = shape_from_json(self.shape)
            self._making = making_of(self._shape)
            self._known = frozenset(np.frombuffer(base64.b64decode(crc32), "<u4").tolist())
        except DAMAGE as error:
            raise OptionsError(
                f"codec {FRAME_CODEC}: its configuration is none that hsrgeo wrote: {error!r}"
            ) from error

    def __repr__(self) -> str:
        grid = self._shape.grid
        return (
            f"FrameCodec({self._shape.product}, {grid.width} x {grid.height} of {grid.name}, {len(self._known)} frames)"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.shape, self.crc32)

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ANN401 - whatever zarr has
        """Return the cells of a file.

        Raises:
            FrameError: It is damaged, is no frame, or is none of those that the array was made of.
        """
        part = meant_frame(ensure_bytes(buf), self._shape, self._making, self._known)
        return ndarray_copy(np.ascontiguousarray(part.raw, "<i2"), out)

    def encode(self, buf: Any) -> NoReturn:  # noqa: ANN401, ARG002 - numcodecs names it
        """Refuse: frames are KMA's."""
        raise OptionsError(
            f"codec {FRAME_CODEC} only reads; to write the values elsewhere, forget how they were stored first: "
            "dataset.drop_encoding()"
        )


class DegreesCodec(Codec):  # type: ignore[misc]
    """A grid as text -> packed longitudes or latitudes of its cell centres, int32, shape (rows, columns).

    Args:
        axis: ``lon`` or ``lat``.

    Raises:
        OptionsError: It is neither.
    """

    codec_id = DEGREES_CODEC

    def __init__(self, axis: str) -> None:
        if axis not in ("lon", "lat"):
            raise OptionsError(f"codec {DEGREES_CODEC}: axis {axis!r}: expected lon or lat")
        self.axis = axis

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ANN401
        """Return the degrees of a grid, described as `Shape.as_json` does.

        Raises:
            OptionsError: It is not described so.
        """
        try:
            grid = shape_from_json(json.loads(ensure_bytes(buf))).grid
        except DAMAGE as error:
            raise OptionsError(f"codec {DEGREES_CODEC}: expected a grid that hsrgeo wrote: {error!r}") from error
        lon, lat = packed_degrees(grid)
        return ndarray_copy(np.ascontiguousarray(lon if self.axis == "lon" else lat, "<i4"), out)

    def encode(self, buf: Any) -> NoReturn:  # noqa: ANN401, ARG002 - numcodecs names it
        """Refuse, as `FrameCodec.encode` does."""
        raise OptionsError(f"codec {DEGREES_CODEC} only reads: dataset.drop_encoding() before writing")


def pack_crc32(values: list[int]) -> str:
    """Return CRC-32s in base64: four bytes each, little-endian, sorted."""
    return base64.b64encode(np.array(sorted(set(values)), "<u4").tobytes()).decode()


def making_of(shape: Shape) -> Making:
    """Return what was made of each frame of a cube.

    Raises:
        OptionsError: The cube's recipe is none, or asks for what this version does not know: numbers would be others.
        KeyError, TypeError: Likewise.
    """
    recipe = shape.recipe
    _refuse_unknown(recipe, _DECIDES | _DECIDES_NO_VALUE)
    _refuse_unknown(recipe["cuts"][0], _OF_A_CUT)
    return Making(
        area=_area(recipe["cuts"][0]),
        quantity=recipe.get("quantity", "stored"),
        law=Law(*recipe["zr"]) if "zr" in recipe else KMA_LAW,
        values=recipe["values"],
        target=Target(**recipe["target"]) if "target" in recipe else None,
        block=block_from_json(recipe["block"]),
        registration=recipe.get("registration", "point"),
        mask=mask_from_json(recipe["mask"]) if "mask" in recipe else None,
        cleaning=cleaning_from_json(recipe["cleaning"]) if "cleaning" in recipe else None,
    )


_DECIDES = frozenset({"cuts", "values", "block", "quantity", "zr", "target", "registration", "mask", "cleaning"})
_DECIDES_NO_VALUE = frozenset({"step_minutes", "layout", "format", "min_wet"})
_OF_A_CUT = frozenset({"region", "bbox", "window", "center", "size"})


def _refuse_unknown(keys: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(keys.keys() - known):
        raise OptionsError(f"its recipe has {', '.join(unknown)}, which is not known: was it made by a newer hsrgeo?")


def _area(cut: Mapping[str, Any]) -> Area | None:
    if "bbox" in cut:
        return as_bbox(cut["bbox"])
    if "window" in cut:
        return as_window(cut["window"])
    return as_center(cut["center"], cut["size"]) if "center" in cut else None


def meant_frame(
    data: bytes,
    shape: Shape,
    making: Making,
    known: frozenset[int],
    name: str = "",
    member: str | None = None,
) -> Frame:
    """Return what an array holds of a frame, if it is the frame that was meant.

    That is one whose CRC-32 is among `known`, and which has `shape` once it is made. `name` is the path of its file, or
    of the archive that has it as `member`; empty where unknown.

    Raises:
        FrameError: It is damaged, is no frame, or another than it should be.
    """
    frame = _decoded(data, shape.product, making, name, member)
    label = name or frame.name
    if frame.crc32 not in known:
        one = f"CRC-32 {next(iter(known)):08x}" if len(known) == 1 else f"one of {len(known):,} frames"
        found = f"CRC-32 {frame.crc32:08x}, {time_label(frame.time)}"
        raise ChecksumError("replaced since the reference was made (make it anew)", one, found, label, member)
    part = making.of(frame)
    shape.check(part, label)
    return part


def _decoded(data: bytes, product: str, making: Making, name: str, member: str | None) -> Frame:
    """Return the frame; its name, which tells the product where the header is vague, is not known here."""
    try:
        try:
            time = peek_header(data).time
        except FrameError:
            unpack(data, _UNNAMED)  # tells what is really wrong
            raise
    except FrameError as error:
        raise error.at(name or _UNNAMED, member) from error.__cause__
    own_name = f"RDR_CMP_{product}_PUB_{time:%Y%m%d%H%M}.bin"
    try:
        return decode(data, own_name, block=making.block, registration=making.registration)
    except FrameError as error:
        raise error.at(name or own_name, member) from error.__cause__


_UNNAMED = "frame of a reference"


# An installed hsrgeo is found by its entry points; one that was imported need not be.
register_codec(FrameCodec)
register_codec(DegreesCodec)
