"""The codecs of references for arrays of Zarr version 3, as VirtualiZarr makes of a reference.

zarr finds them by their entry points, under names as it gives them to codecs of numcodecs: ``numcodecs.hsrgeo_frame``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import numpy as np
from numcodecs.abc import Codec
from zarr.abc.codec import BytesBytesCodec

from hsrgeo.cube.codec import DegreesCodec, FrameCodec
from hsrgeo.errors import OptionsError

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer


@dataclass(frozen=True)
class _Zarr3Codec(BytesBytesCodec):
    """Bytes of a chunk -> bytes of its cells, little-endian, by a codec of numcodecs."""

    codec: Codec

    codec_type: ClassVar[type[Codec]]
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the codec that an array's metadata ask for.

        Raises:
            OptionsError: The configuration is none that hsrgeo wrote.
        """
        try:
            return cls(cls.codec_type(**data["configuration"]))
        except (KeyError, TypeError) as error:
            raise OptionsError(
                f"codec {data.get('name')}: its configuration is none that hsrgeo wrote: {error!r}"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes."""
        configuration = self.get_config()
        return {"name": f"numcodecs.{configuration.pop('id')}", "configuration": configuration}

    def get_config(self) -> dict[str, Any]:
        """Return the configuration for numcodecs, which VirtualiZarr writes into references."""
        return dict(self.codec.get_config())

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> NoReturn:  # noqa: ARG002 - zarr's
        """Refuse: frames have no fixed size, so they cannot be the index of a shard, for which zarr asks."""
        raise OptionsError(f"codec {self.codec.codec_id}: the size of its bytes is not known beforehand")

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        cells = await asyncio.to_thread(self.codec.decode, chunk_data.to_bytes())
        return chunk_spec.prototype.buffer.from_bytes(np.asarray(cells).tobytes())

    async def _encode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NoReturn:  # noqa: ARG002 - zarr's
        self.codec.encode(chunk_data)
        raise AssertionError  # encode always refuses


@dataclass(frozen=True)
class Zarr3FrameCodec(_Zarr3Codec):
    """`FrameCodec` for Zarr version 3."""

    codec_type = FrameCodec


@dataclass(frozen=True)
class Zarr3DegreesCodec(_Zarr3Codec):
    """`DegreesCodec` for Zarr version 3."""

    codec_type = DegreesCodec
