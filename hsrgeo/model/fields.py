"""Fields of options that also take a text, as a user would type it: times, steps and lengths of periods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from hsrgeo.errors import OptionsError
from hsrgeo.model.times import parse_length, parse_time


def as_time(name: str, value: object) -> datetime | None:
    """Return a time that a user gave: an aware datetime, or a text that `parse_time` reads; None stays None.

    Raises:
        OptionsError: It is no time, or has no zone.
    """
    time = parse_time(value) if isinstance(value, str) else value
    if time is None:
        return None
    if not isinstance(time, datetime):
        raise OptionsError(f"{name} {value!r}: expected a datetime, or a text such as '2022-06-09 11:15'")
    if time.tzinfo is None:
        raise OptionsError(f"{name} {time}: give it a time zone, such as hsrgeo.KST")
    return time


def as_step(name: str, value: object) -> timedelta | None:
    """Return a length of time that a user gave: a timedelta, or a text that `parse_length` reads; None stays None.

    Raises:
        OptionsError: It is no length.
    """
    step = parse_length(value) if isinstance(value, str) else value
    if step is not None and not isinstance(step, timedelta):
        raise OptionsError(f"{name} {value!r}: expected a timedelta, or a text such as '10min', '1h' or '1d'")
    return step


def _as_steps(name: str, value: Any) -> tuple[timedelta, ...]:  # noqa: ANN401
    return tuple(sorted({step for step in (as_step(name, one) for one in value) if step is not None}))


def _as_times(name: str, value: Any) -> frozenset[datetime] | None:  # noqa: ANN401
    if value is None:
        return None
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise OptionsError(f"{name} {value!r}: expected a list of times")
    return frozenset(time for time in (as_time(name, one) for one in value) if time is not None)


def _as_length(name: str, value: object) -> object:
    if value == "event":
        return value
    try:
        return as_step(name, value)
    except OptionsError as error:
        raise OptionsError(f"{name} {value!r}: expected a length such as 1h or 1d, or event") from error


Made = TypeVar("Made")
Given = TypeVar("Given")
Default = TypeVar("Default")
"""None or a timedelta."""


class _Field(Generic[Made, Given]):
    """Field of a dataclass without slots, which turns what it is set to into what it holds.

    Args:
        default: Where it is not given.

    Raises:
        OptionsError: It is set to what cannot be.
    """

    _read: Callable[[str, object], Any]

    def __init__(self, default: Made) -> None:
        self._default = default

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, _owner: type) -> Made:  # noqa: ANN401 - of any dataclass
        kept: Made = self._default if instance is None else instance.__dict__[self._name]
        return kept

    def __set__(self, instance: Any, value: Given) -> None:  # noqa: ANN401
        instance.__dict__[self._name] = self._read(self._name, value)


class Time(_Field[datetime | None, datetime | str | None]):
    """An aware datetime, or a text such as ``2022-06-09 11:15`` (KST); see `as_time`."""

    _read = staticmethod(as_time)


class Times(_Field[frozenset[datetime] | None, Iterable[datetime | str] | None]):
    """Several of `Time`; None for all times."""

    _read = staticmethod(_as_times)


class Step(_Field[timedelta | Default, timedelta | str | Default], Generic[Default]):
    """A timedelta, or a text such as ``10min``, ``1h`` or ``1d``; see `as_step`."""

    _read = staticmethod(as_step)


class NeededStep(_Field[timedelta, timedelta | str]):
    """As `Step`, without a default."""

    _read = staticmethod(as_step)

    def __init__(self) -> None: ...

    def __get__(self, instance: Any, owner: type) -> timedelta:  # noqa: ANN401
        if instance is None:
            raise AttributeError(self._name)  # how a dataclass knows that there is no default
        return super().__get__(instance, owner)


class Steps(_Field[tuple[timedelta, ...], Sequence[timedelta | str]]):
    """Several of `Step`, without repetition and in order."""

    _read = staticmethod(_as_steps)


class Length(_Field[timedelta | Literal["event"] | Default, timedelta | str | Default], Generic[Default]):
    """As `Step`, or ``event``: everything in one."""

    _read = staticmethod(_as_length)
