"""What this machine may ask KMA's API hub: one question at a time, with a pause between, so many calls and bytes a day.

All runs of a user share one account, so they share a file: ``apihub.json`` in the user's folder for state. Whoever asks
has its lock while the answer comes; the system gives the lock back when a run is killed, and what was asked is counted
before it is asked.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hsrgeo.errors import HubLimitError, OptionsError, WriteError, refused
from hsrgeo.hub.key import home_folder
from hsrgeo.model.times import KST, time_label
from hsrgeo.writers.files import write_file

CALLS_A_DAY, BYTES_A_DAY = 20_000, 5_000_000_000
"""Of an ordinary member (apihub.kma.go.kr, as read in public material in 2026; never tried)."""
_SHARE = 0.95  # of these, so that a browser has something left
PACE_S = 2.0
"""From the beginning of one question to that of the next. Answers 429 came 0.1 to 0.5 s after another call."""
_LONGEST_S = 300.0
"""A pause that is waited for; before a longer one the run ends."""
_LOOK_S = 0.05  # between two looks at the lock
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What all runs on this machine together may ask.

    Raises:
        OptionsError: A limit that cannot be.
    """

    pace_s: float = PACE_S
    """Seconds from the beginning of one question to that of the next."""
    calls: int = int(_SHARE * CALLS_A_DAY)
    """In a day of Korea."""
    size: int = int(_SHARE * BYTES_A_DAY)
    """Bytes in a day of Korea; the answer that goes beyond is the last."""

    def __post_init__(self) -> None:
        if not 0 <= self.pace_s <= _LONGEST_S:
            raise OptionsError(f"pace {self.pace_s:g}: expected 0 to {_LONGEST_S:g} seconds")
        if self.calls < 0 or self.size < 0:
            raise OptionsError("a limit of calls or bytes must not be negative")


def limits_of(pace_s: float, calls: int | None, size: int | None) -> Limits:
    """Return limits, the usual ones where None is given.

    Raises:
        OptionsError: See `Limits`.
    """
    usual = Limits()
    return Limits(
        pace_s=pace_s, calls=usual.calls if calls is None else calls, size=usual.size if size is None else size
    )


@dataclass(frozen=True, slots=True)
class Used:
    """What was asked on a day, by all runs."""

    day: str
    """Of Korea, as 2026-09-27."""
    calls: int = 0
    size: int = 0
    """Bytes that came."""
    last: float = 0.0
    """When the last question began, in seconds since 1970."""
    until: float = 0.0
    """Nothing is asked before, for the service wants a pause."""


class Budget:
    """The budget of a machine.

    Args:
        limits: What may be asked.
        folder: Where it is kept; None for the user's folder for state.

    Raises:
        OptionsError: The user has no home folder.
    """

    def __init__(self, limits: Limits, folder: Path | None = None) -> None:
        self.limits = limits
        self._file = (folder or home_folder("XDG_STATE_HOME", ".local/state")) / "apihub.json"

    def used(self) -> Used:
        """Return what was asked today; nothing where the file is damaged, as by a power cut."""
        today = Used(datetime.now(UTC).astimezone(KST).date().isoformat())
        try:
            found = Used(**json.loads(self._file.read_bytes()))
            numbers = (found.calls, found.size, found.last, found.until)
            if not all(math.isfinite(one) and one >= 0 for one in numbers):
                return today
        except (OSError, ValueError, TypeError, OverflowError):
            return today
        return found if found.day == today.day else replace(today, last=found.last, until=found.until)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Wait until a question may be asked, and count it; nobody else asks until the ``with`` statement ends.

        Raises:
            HubLimitError: The budget of the day is used up, or the service wants a long pause.
            WriteError: The file of the budget cannot be written.
        """
        while True:
            with _exclusive(self._file.with_suffix(".lock")):
                used = self.used()
                self._refuse_used_up(used)
                now = _now()
                paced = min(used.last + self.limits.pace_s - now, self.limits.pace_s)  # clocks may be set back
                paused = used.until - now if used.until - now < _DAY_S else 0.0
                if (wait := max(paced, paused)) <= 0:
                    used = replace(used, calls=used.calls + 1, last=now)
                    self._write(used)
                    yield Turn(self, used)
                    return
            if wait > _LONGEST_S:
                again = datetime.fromtimestamp(used.until, KST)
                raise HubLimitError(f"KMA's API hub asks to pause until {time_label(again)}")
            _sleep(wait)  # without the lock: who comes next waits for it as long

    def _refuse_used_up(self, used: Used) -> None:
        for count, limit, what in (
            (used.calls, self.limits.calls, "calls"),
            (used.size, self.limits.size, "bytes"),
        ):
            if count >= limit:
                raise HubLimitError(
                    f"{count:,} {what} of KMA's API hub were used today (KST); the limit is {limit:,}: tomorrow, "
                    f"or with a higher --limit-{what} where your account has more"
                )

    def _write(self, used: Used) -> None:
        write_file(self._file, json.dumps(asdict(used)).encode())


class Turn:
    """The right to ask one question."""

    def __init__(self, budget: Budget, used: Used) -> None:
        self._budget, self._used = budget, used

    def add(self, size: int) -> None:
        """Count bytes that came."""
        self._used = replace(self._used, size=self._used.size + size)
        self._budget._write(self._used)  # noqa: SLF001 - one thing in two classes

    def pause(self, seconds: float) -> None:
        """Let nobody on this machine ask for so long."""
        until = _now() + min(timedelta(days=1).total_seconds() - 1, seconds)
        self._used = replace(self._used, until=max(self._used.until, until))
        self._budget._write(self._used)  # noqa: SLF001 - likewise


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Keep others out while the ``with`` statement lasts.

    By the lock of an empty SQLite file: Python has no other that every system knows and gives back at once when a
    process is killed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    except OSError as error:
        raise refused(str(path), error) from None
    except sqlite3.Error as error:
        raise WriteError(str(path), f"cannot be opened and locked: {error}") from None
    with closing(connection):
        while True:
            try:
                connection.execute("BEGIN EXCLUSIVE")
                break
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_BUSY:
                    raise WriteError(str(path), f"cannot be locked: {error}") from None
            _sleep(_LOOK_S)
        yield


_now = time.time
_sleep = time.sleep
