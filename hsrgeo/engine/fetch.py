"""Frames of KMA's API hub to a folder or bucket that `hsrgeo.export` takes as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from hsrgeo.engine.keywords import options_of, takes
from hsrgeo.engine.lazy import Lazy
from hsrgeo.errors import FrameError, HsrGeoError, HubError, HubLimitError, OptionsError, ServiceMessageError
from hsrgeo.hub.budget import PACE_S, limits_of
from hsrgeo.hub.client import HOST, Hub
from hsrgeo.hub.frames import FRAME_BYTES, ask_frame, frame_times, known_product, latest_times
from hsrgeo.hub.store import Store
from hsrgeo.model.fields import Step, Time, as_time
from hsrgeo.model.times import KST
from hsrgeo.sources.remote import Place

FetchStatus = Literal["ok", "there", "replaced", "missing", "not-yet", "failed"]

_YOUNG = timedelta(minutes=30)
"""A frame that is not there yet may still come. Others saw 5 to 7 minutes for HSR, and up to 20."""
_SETTLED = timedelta(hours=1)
"""A frame that is not there by then is not asked for again."""
_TRIES = 2  # of a frame that came broken
_NO_ANSWER = (HubError, ServiceMessageError)
_IN_A_ROW = 5  # questions without a sound answer, after which the run ends


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a time."""

    time: datetime
    status: FetchStatus
    """``ok`` came now; ``there`` was there, and is sound; ``replaced`` was there, and a better one came; ``missing``:
    the service has none; ``not-yet``: likewise, and the time is less than 30 minutes ago; ``failed``: no sound frame
    came."""
    path: str = ""
    """Where the frame lies; empty where there is none."""
    size: int = 0
    """Bytes that were written."""
    stations: int = 0
    """Radars in the frame; 0 where that is not known."""
    error: HsrGeoError | None = None
    """Why it failed."""


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """What `hsrgeo.fetch` gets. Which times: one of `times`, `start`, `day`, `last` and `latest`.

    Args:
        times: These, aware or as texts.
        start: First time wanted, aware, or a text such as ``2026-09-27 11:15`` (KST).
        end: First time no longer wanted; now.
        day: A day of Korea, of any time in it.
        last: Up to now, as ``3h``.
        latest: The newest frame that the service lists.
        every: Only times on whole steps after midnight KST; else every 5 minutes, 10 before 16 September 2019.
        product: HSR, HSP, CPP, PPI, CMX, CMB or CMC.
        again: Ask also for what is there: a frame with more radars, or one made later, replaces it.
        retry_missing: Ask also for what the service has said, an hour or more after its time, that it does not have.
        pace_s: Seconds from the beginning of one question to that of the next; 2.
        limit_calls: Calls in a day of Korea, of all runs of this user; None is 95 % of 20,000.
        limit_bytes: Likewise bytes; None is 95 % of 5 GB.
        host: The service's, or ``apihub-org.kma.go.kr`` for members with a large volume.

    Raises:
        OptionsError: Options that contradict each other or cannot be.
    """

    times: Sequence[datetime | str] | None = None
    start: Time = Time(None)
    end: Time = Time(None)
    day: Time = Time(None)
    last: Step[None] = Step(None)
    latest: bool = False
    every: Step[None] = Step(None)
    product: str = "HSR"
    again: bool = False
    retry_missing: bool = False
    pace_s: float = PACE_S
    limit_calls: int | None = None
    limit_bytes: int | None = None
    host: str = HOST

    def __post_init__(self) -> None:
        known_product(self.product)
        if (
            sum(
                (
                    self.times is not None,
                    self.start is not None,
                    self.day is not None,
                    self.last is not None,
                    self.latest,
                )
            )
            != 1
        ):
            raise OptionsError("choose times by one of latest, last, day or start")
        if self.end is not None and self.start is None:
            raise OptionsError("end needs start")

    def hub(self) -> Hub:
        """Return the service, within these limits.

        Raises:
            OptionsError: A limit or a host that cannot be.
        """
        return Hub(host=self.host, limits=limits_of(self.pace_s, self.limit_calls, self.limit_bytes))

    def span(self) -> tuple[datetime, datetime]:
        """Return the first time wanted, and the first no longer wanted.

        Raises:
            OptionsError: The times are no span.
        """
        now = datetime.now(UTC)
        if self.last is not None:
            return now - self.last, now + timedelta(microseconds=1)
        if self.day is not None:
            first = self.day.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)
            return first, first + timedelta(days=1)
        if self.start is None:
            raise OptionsError("take last, day or start with end")
        return self.start, self.end or now

    def wanted(self, hub: Hub) -> list[datetime]:
        """Return the times, in order, but with `latest` the newest first: then the first frame that is there will do.

        Raises:
            OptionsError: There is none.
            HubError: The service cannot tell which is the newest.
        """
        if self.latest:
            return latest_times(hub, known_product(self.product))
        if self.times is not None:
            return _ordered(self.times)
        return frame_times(*self.span(), self.every)


@dataclass(slots=True)
class FetchPlan:
    """What a fetch would do, as far as that is known without asking."""

    there: int = 0
    missing: int = 0
    """Times that had no frame in an earlier run, by the service's answer."""
    future: int = 0
    to_ask: list[datetime] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes that will come, about."""
        return len(self.to_ask) * FRAME_BYTES


class Fetch(Lazy[Fetched]):
    """A fetch: iterate it, or call `run`, to make it happen.

    Args:
        out: The folder or bucket.
        options: What to get.
        hub: The service.

    Raises:
        OptionsError, HubError: See `fetch`.
    """

    def __init__(self, out: str | Place, options: FetchOptions, hub: Hub) -> None:
        self.hub = hub
        self.counts: Counter[FetchStatus] = Counter()
        """Times by status, so far."""
        self.size = 0
        """Bytes written, so far."""
        self._options = options
        self._product = known_product(options.product)
        self._store = Store(out, self._product)
        self.times = options.wanted(hub)
        """What is wanted."""
        self._items = self._run()

    def __next__(self) -> Fetched:
        fetched = super().__next__()
        self.counts[fetched.status] += 1
        self.size += fetched.size
        return fetched

    def _so_far(self) -> list[str]:
        return [f"{count:,} {status}" for status, count in self.counts.items()]

    def plan(self) -> FetchPlan:
        """Return what it would do; nothing is asked, and nothing written."""
        plan = FetchPlan()
        for time in self.times:
            known = self._known(time)
            if known is None:
                plan.to_ask.append(time)
            else:
                plan.there += known.status == "there"
                plan.missing += known.status == "missing"
                plan.future += known.status == "not-yet"
        return plan

    def _known(self, time: datetime) -> Fetched | None:
        """Return what is known of a time without asking."""
        options = self._options
        found = self._store.find(time)
        if found is not None and not options.again:
            return Fetched(time, "there", str(found[0]), stations=max(found[1].stations, 0))
        if time > datetime.now(UTC):
            return Fetched(time, "not-yet")
        if found is None and not options.retry_missing and self._store.is_missing(time):
            return Fetched(time, "missing")
        return None

    def _run(self) -> Generator[Fetched]:
        in_a_row = 0
        with self._store.locked():
            for time in self.times:
                fetched = self._known(time)
                if fetched is None:
                    fetched = self._ask(time)
                    in_a_row = in_a_row + 1 if isinstance(fetched.error, _NO_ANSWER) else 0
                yield fetched
                if in_a_row == _IN_A_ROW:
                    raise HubError(f"{_IN_A_ROW} requests in a row got no valid answer; the rest is not requested")
                if self._options.latest and fetched.path:
                    return

    def _ask(self, time: datetime) -> Fetched:
        """Ask for a frame, again where it came broken, and keep it where it is better than what is there."""
        for left in reversed(range(_TRIES)):
            try:
                sent = ask_frame(self.hub, self._product, time)
            except HubLimitError:
                raise
            except (HubError, FrameError) as error:
                if isinstance(error, FrameError) and left:
                    continue
                return Fetched(time, "failed", error=error)
            found = self._store.find(time, read=True)
            if sent is not None and (found is None or sent.rank > found[1]):
                status: FetchStatus = "ok" if found is None else "replaced"
                return Fetched(time, status, str(self._store.put(sent)), len(sent.data), sent.rank.stations)
            if found is not None:
                return Fetched(time, "there", str(found[0]), stations=found[1].stations)
            age = datetime.now(UTC) - time
            if age >= _SETTLED:
                self._store.note_missing(time)
            return Fetched(time, "not-yet" if age < _YOUNG else "missing")
        raise AssertionError


@takes(FetchOptions)
def fetch(
    out: str | Place, options: FetchOptions | None = None, *, hub: Hub | None = None, **keywords: object
) -> Fetch:
    """Fetch frames from KMA's API hub; iterate the result to make it happen, or call its `run`.

    What is there and sound is not asked for: after an error or a kill the same call goes on. Nothing half-written ever
    has a frame's name. Made from public descriptions of the service: no call to the real one was made yet.

    Args:
        out: A folder or a bucket; frames go to ``YYYYMM/DD/`` in it, in KST.
        options: What to get.
        hub: The service; None for one with the limits of the options, and the key that is found.
        keywords: Fields of `FetchOptions`, in place of those of `options`.

    Returns:
        Each time as it is certain what became of it, as `Fetched`.

    Raises:
        OptionsError: At once, or while it runs: options that cannot be; no key, or one that may not ask this.
        HubLimitError: A limit is reached; the same call goes on later.
        HubError: Several questions in a row got no sound answer, or that for the newest time.
        LockError: Another run writes to OUT.
        WriteError: The disk refused.
    """
    wanted = options_of(FetchOptions, options, keywords)
    return Fetch(out, wanted, hub or wanted.hub())


def _ordered(times: Iterable[datetime | str]) -> list[datetime]:
    listed = sorted({time for one in times if (time := as_time("times", one)) is not None})
    for time in listed:
        if time.second or time.microsecond:
            raise OptionsError(f"time {time}: frames are made on whole minutes")
    return listed
