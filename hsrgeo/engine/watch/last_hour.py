"""What `hsrgeo watch --fetch` asks KMA's API hub for: frames of the last hour, again while they lack radars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hsrgeo.engine.fetch import FetchOptions, fetch
from hsrgeo.errors import HubError, refused
from hsrgeo.hub.client import HOST
from hsrgeo.hub.frames import frame_times, known_product
from hsrgeo.model.times import time_label
from hsrgeo.sources.remote import Place, target

_HOUR = timedelta(hours=1)
_PART_OF_AGE = 10
_YOUNG = timedelta(minutes=30)
"""Up to this age radars that report late are added to a frame."""
_AGAIN = timedelta(minutes=4)
_TOGETHER = 2  # frames that are asked for again in a round
_LATE = timedelta(minutes=20)  # as `hsrgeo watch status` has it
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """The state of a time."""

    at: datetime = _NEVER
    """When the service was last asked for its frame."""
    stations: int | None = None
    """Radars in the frame that is there; 0 where that is not known, None where there is no frame."""


def absent(now: datetime, times: Sequence[datetime], asked: Mapping[datetime, Asked]) -> list[datetime]:
    """Return the times that have no frame and are asked for now.

    After an answer without a frame that is a tenth of a time's age later: a frame that is due is not late by much, and
    a day without any frame costs about half of the calls that KMA allows.
    """
    known = {time: asked.get(time, Asked()) for time in times}
    return [
        time
        for time, one in known.items()
        if one.stations is None and (one.at == _NEVER or now - one.at >= (now - time) / _PART_OF_AGE)
    ]


def partial(now: datetime, asked: Mapping[datetime, Asked]) -> list[datetime]:
    """Return the times whose frame lacks radars and is asked for again now: two at most, the longest waiting first.

    A frame lacks radars while two others have more. It is asked for every 4 minutes until it is 30 minutes old.
    """
    counts = sorted(one.stations for one in asked.values() if one.stations is not None)
    if len(counts) <= 1:
        return []
    due = [
        time
        for time, one in asked.items()
        if one.stations is not None and one.stations < counts[-2] and now - time < _YOUNG and now - one.at >= _AGAIN
    ]
    return sorted(due, key=lambda time: (asked[time].at, time))[:_TOGETHER]


class LastHour:
    """Fetches what is due each time it is called; remembers what was asked for in the last hour.

    Args:
        store: The folder or bucket that frames go to.
        product: See `FetchOptions`.
        host: Likewise.
        clock: The time now, aware.

    Raises:
        OptionsError: No such product or host, or nothing can be written there.
    """

    def __init__(
        self,
        store: str | Place,
        product: str = "HSR",
        host: str = HOST,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._product, self._clock = target(store), known_product(product), clock
        self._options = FetchOptions(times=(), product=product, host=host)
        self._options.hub()  # refuses slips
        self._asked: dict[datetime, Asked] = {}
        self._newest: datetime | None = None

    def __call__(self) -> list[str]:
        """Fetch, and return what a user should know.

        Raises:
            HubError: The service gave no valid answer for a frame; the others were fetched.
            HsrGeoError: See `hsrgeo.fetch`.
        """
        if isinstance(self._store, Path):
            try:
                self._store.mkdir(parents=True, exist_ok=True)  # followed as a source, also while nothing comes
            except OSError as error:
                raise refused(str(self._store), error) from error
        now = self._clock()
        times = frame_times(now - _HOUR, now + timedelta.resolution)
        self._asked = {time: one for time, one in self._asked.items() if time in times}
        errors = self._fetch(absent(now, times, self._asked))
        errors += self._fetch(partial(now, self._asked), again=True)
        if errors:
            raise errors[-1] if isinstance(errors[-1], HubError) else HubError(str(errors[-1]))
        there = [time for time, one in self._asked.items() if one.stations is not None]
        self._newest = max(there, default=self._newest)
        if self._newest is None:
            return [f"KMA's API hub has no {self._product} of the last hour"]
        if now - self._newest > _LATE:
            return [f"KMA's API hub has no {self._product} after {time_label(self._newest)}"]
        return []

    def _fetch(self, times: Sequence[datetime], *, again: bool = False) -> list[Exception]:
        if not times:
            return []
        errors: list[Exception] = []
        for one in fetch(self._store, replace(self._options, times=times, again=again)):
            before = self._asked.get(one.time, Asked())
            at = self._clock() if again or one.status != "there" else before.at
            self._asked[one.time] = Asked(at, one.stations if one.path else before.stations)
            errors += [one.error] if one.error else []
        return errors
