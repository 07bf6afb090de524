"""The time axis: which frames a cube has, and which times have none."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from hsrgeo.formats import gzipped
from hsrgeo.model.times import FIVE_MINUTES_SINCE, FRAME_STEP, KST, early_step


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
            None. Of five minutes, every second time before `FIVE_MINUTES_SINCE` is not missing: no frame was made.
        also: More times that should be there, such as those of broken frames.
    """
    there = {time.astimezone(UTC) for time in times}
    times = sorted(there)
    missing = {time.astimezone(UTC) for time in also} - there
    if times:
        local, every = times[0].astimezone(KST), step or FRAME_STEP
        early = early_step(times, every)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        time = (midnight - (midnight - local) // every * every).astimezone(UTC)  # the first whole step, rounded up
        while time < times[-1]:
            if time not in there:
                missing.add(time)
            time += early if time < FIVE_MINUTES_SINCE else every
    return sorted(missing)


def steady_since(times: Sequence[datetime], step: timedelta) -> datetime:
    """Return the time from which on all frames should be one step apart: the first, or the first of every five minutes.

    Args:
        times: What is there, in order; at least one.
        step: See `missing_between`.
    """
    if early_step(times, step) == step:
        return times[0]
    return next((time for time in times if time >= FIVE_MINUTES_SINCE), times[0])
