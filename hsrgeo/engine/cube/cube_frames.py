"""Frames on their way into a cube: what they must all be like, and which of two of one time is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from hsrgeo.cube.axis import stored_crc32
from hsrgeo.cube.store import Shape, shape_for
from hsrgeo.errors import HsrGeoError
from hsrgeo.formats.standing import Standing
from hsrgeo.model.frame import Frame
from hsrgeo.model.grid import Grid
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.rank import Rank
from hsrgeo.outputs.outcome import Outcome, Status, of_found, with_header
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found

Work = Callable[[Found | Outcome], Outcome]
"""What is done to a frame; an outcome that was known before is passed on. Runs in a worker."""


class Builder(Protocol):
    """Builds a cube from what is there and the frames of a run."""

    def prepare(self) -> None:
        """Make room."""

    def shape(self, found: Iterator[Found]) -> tuple[Shape | None, list[Found | Outcome]]:
        """Return what every frame must be like, or None where no frame is sound; and the frames taken to find out."""

    def contest(self) -> Contest:
        """Return the contest of the frames of the run with those that are there."""

    def work(self, shape: Shape) -> Work:
        """Return what is to be done to the frames."""

    def build(self, shape: Shape, failed: set[datetime], check: Callable[[], None]) -> tuple[int, int, int]:
        """Build the cube, and return how many times it has, how many it lacks, and how many were left out as dry.

        `failed` are times of broken frames; `check` is called meanwhile, and raises where this run must write no more.
        """


def first_shape(
    found: Iterator[Found], recipe: Recipe, kept: Mapping[str, Any]
) -> tuple[Shape | None, list[Found | Outcome], Frame | None]:
    """Return the shape of a cube of frames like the first sound one; `found` is taken from as far as is needed.

    Returns:
        None where no frame is sound; the frames that were taken to find out; and the first sound one, as it is stored.
    """
    taken: list[Found | Outcome] = []
    for one in found:
        if one.error or one.frame_name is None:
            taken.append(of_found(one, "failed", error=one.error))
            continue
        try:
            frame = decode_found(one, recipe.block, recipe.registration)
            shape = shape_for(recipe.cut_frame(frame, recipe.cuts[0]), dict(kept))
        except HsrGeoError as error:
            taken.append(of_found(one, "failed", error=error))
            continue
        return shape, [*taken, one], frame
    return None, taken, None


FrameType = tuple[str, Quantity, Grid]
"""Product, quantity and grid of a frame as it is stored: frames of one type all fit a cube, or none does."""


def check_frame(found: Found | Outcome, recipe: Recipe, shape: Shape, frame_type: FrameType | None) -> Outcome:
    """Check a frame, see `Work`.

    It must have `shape` when the codec has made of it what the recipe says; one of `frame_type` does.
    """
    if isinstance(found, Outcome):
        return found
    outcome = of_found(found, "ok")
    try:
        frame = decode_found(found, recipe.block, recipe.registration)
        if recipe.min_wet or frame_type_of(frame) != frame_type:
            part = recipe.cut_frame(frame, recipe.cuts[0])
            shape.check(part, outcome.label)
            outcome = replace(outcome, status="dry" if recipe.is_dry(part) else "ok")
        return with_header(outcome, frame)
    except HsrGeoError as error:
        return of_found(found, "failed", error=error)
    except Exception as error:
        error.add_note(f"while checking {outcome.label}")
        raise


def frame_type_of(frame: Frame) -> FrameType:
    """Return the type of a frame as it is stored."""
    return frame.product, frame.quantity, frame.grid


_WORKED_ON: tuple[Status, ...] = ("ok", "dry")


class Contest:
    """Which frames are there already, and which of two of one time is kept, by `hsrgeo.formats.standing`.

    A cube does not keep the kind of its frames. It is known once a frame that is there is met again in the sources;
    until then the rank alone decides.

    Args:
        known: Ranks of the frames that are there, by time (UTC).
    """

    def __init__(self, known: Mapping[datetime, list[Rank]]) -> None:
        self._there = {time: {rank.crc32: rank for rank in ranks} for time, ranks in known.items()}
        self._met: dict[datetime, list[_Met]] = {}
        self._kept: dict[datetime, _Met | None] = {}

    def admit(self, entry: Found | Outcome) -> Found | Outcome:
        """Return the frame, or its outcome where nothing is to be done."""
        if isinstance(entry, Outcome):
            return entry
        if entry.error or entry.frame_name is None:
            return of_found(entry, "failed", error=entry.error)
        there = self._there.get(entry.frame_name.time.astimezone(UTC), {})
        try:
            crc32 = stored_crc32(entry.read()) if there else None
        except HsrGeoError as error:
            return of_found(entry, "failed", error=error)
        return replace(of_found(entry, "skipped"), crc32=crc32) if crc32 in there else entry

    def settle(self, outcome: Outcome) -> Iterator[Outcome]:
        """Yield a frame that was worked on or is there, and other frames of its time whose outcome has changed."""
        if outcome.status not in (*_WORKED_ON, "skipped") or outcome.frame_name is None:
            yield outcome
            return
        time = outcome.frame_name.time.astimezone(UTC)
        rank = self._there[time][outcome.crc32] if outcome.status == "skipped" else outcome.rank
        made = _Met(Standing.of(outcome.frame_name, rank, outcome.label), outcome)
        self._met.setdefault(time, []).append(made)
        before, now = self._kept.get(time), self._best_met(time)
        self._kept[time] = now
        winner = now.outcome.label if now else ""
        is_lost = outcome.status in _WORKED_ON and now is not made
        yield replace(outcome, status="duplicate", winner=winner) if is_lost else outcome
        if before not in (None, now) and before.outcome.status in _WORKED_ON:
            yield replace(before.outcome, status="duplicate", was=before.outcome.status, winner=winner)
        if now not in (None, made, before) and now.outcome.status in _WORKED_ON:
            yield replace(now.outcome, was="duplicate")

    def winners(self) -> dict[datetime, Outcome]:
        """Return the frames of this run that are kept, by time (UTC)."""
        return {time: kept.outcome for time, kept in self._kept.items() if kept and kept.outcome.status == "ok"}

    def dry(self) -> set[datetime]:
        """Return the times (UTC) whose kept frame is dry."""
        return {time for time, kept in self._kept.items() if kept and kept.outcome.status == "dry"}

    def best(self) -> dict[datetime, Rank]:
        """Return the rank of the frame that is kept, by time (UTC); known when all were settled."""
        kept = {time: met.standing.rank for time, met in self._kept.items() if met}
        return {time: max(self._unmet(time)) for time in self._there if time not in kept} | kept

    def _best_met(self, time: datetime) -> _Met | None:
        """Return the best frame of a time in the sources, or None where a better one is there already."""
        best = max(self._met[time], key=lambda one: one.standing)
        return best if all(best.standing.rank > rank for rank in self._unmet(time)) else None

    def _unmet(self, time: datetime) -> list[Rank]:
        """Return the ranks of frames that are there and were not met in the sources."""
        met = {one.standing.rank for one in self._met.get(time, [])}
        return [rank for rank in self._there.get(time, {}).values() if rank not in met]


@dataclass(frozen=True, slots=True, eq=False)
class _Met:
    """A frame of the sources."""

    standing: Standing
    outcome: Outcome
