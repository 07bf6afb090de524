"""The time axis: which frames a cube has, and which times have none."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hsrgeo.formats import gzipped
from hsrgeo.model.times import FRAME_STEP, KST


def stored_crc32(data: bytes) -> int:
    """Return the CRC-32 that a frame has when it is unpacked, without unpacking it where it is packed."""
    packed = data.startswith(gzipped.MAGIC) and len(data) >= _LEAST_GZIP_BYTES
    return gzipped.trailer_crc32(data) if packed else zlib.crc32(data)


_LEAST_GZIP_BYTES = 18


def missing_between(
    times: Iterable[datetime], step: timedelta | None = None, also: Iterable[datetime] = ()
) -> list[datetime]:
    """Return the times that should be there and are not, in order, in UTC.

    Args:
        times: What is there.
        step: Every so often after midnight KST there should be one, from the first to the last; five minutes where
            None.
        also: More times that should be there, such as those of broken frames.
    """
    there = {time.astimezone(UTC) for time in times}
    times = sorted(there)
    missing = {time.astimezone(UTC) for time in also} - there
    if times:
        local, every = times[0].astimezone(KST), step or FRAME_STEP
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        time = (midnight - (midnight - local) // every * every).astimezone(UTC)  # the first whole step, rounded up
        while time < times[-1]:
            if time not in there:
                missing.add(time)
            time += every
    return sorted(missing)
