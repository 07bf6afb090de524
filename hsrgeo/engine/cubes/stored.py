"""Where a cube that holds its values is made: what is there, what waits, and how the new one comes of both.

Frames are unpacked, cut and staged beside the cube, by workers; then the cube is built of what is staged and of what
it held before. Whatever is on disk when a run is killed is found again by the next one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsrgeo.cube.axis import missing_between
from hsrgeo.cube.store import Layout, Shape, Staged, remove_damaged, shape_from_json, stage, staged_frames
from hsrgeo.engine.cubes.cube_options import CubeOptions
from hsrgeo.engine.cubes.frames import Contest, Work, first_shape
from hsrgeo.engine.workers.memory import keep_freed_memory
from hsrgeo.engine.workers.parallel import run_parallel
from hsrgeo.errors import HsrGeoError, ManifestError, OutputExistsError, SourceError, WriteError
from hsrgeo.model.rank import Rank
from hsrgeo.outputs.outcome import Outcome, of_found, with_header
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found
from hsrgeo.writers.disk import temporary_beside
from hsrgeo.writers.files import remove_parts, write_file
from hsrgeo.writers.folders import mend, remove

if TYPE_CHECKING:
    from hsrgeo.cube.build import Kept, Plan

_BATCH_SERIES = 1  # blocks of the layout series that go to a worker at a time
_SHAPE = "shape.json"


class StoredSite:
    """Where a cube that holds its values is made; a `Site`.

    Args:
        out: The cube.
        options: What to make.
        recipe: What decides its values: what is there must have been made by the same.

    Raises:
        SourceError: What is there is no cube.
        ManifestError: The cube was made with other options.
        OutputExistsError: What is to be replaced is no cube.
    """

    def __init__(self, out: Path, options: CubeOptions, recipe: dict[str, Any]) -> None:
        from hsrgeo.cube.build import kept_in  # noqa: PLC0415 - needs the extra

        self.out, self.options, self.recipe = out, options, recipe
        self._is_file = out.suffix.lower() == ".nc"
        self.staging = out.with_name(f".{out.name}.staged")
        self.frames = self.staging / "frames"
        self.part = temporary_beside(out) if self._is_file else out.with_name(f".{out.name}.part")
        mend(out)
        self._contest = Contest({})
        self.kept: Kept = kept_in(out) if not options.frames.overwrite else _nothing()
        if options.frames.overwrite:
            self._refuse_strangers()
        elif self.kept.recipe and self.kept.recipe != recipe:
            raise _other_options(out, self.kept.recipe, recipe)

    def _refuse_strangers(self) -> None:
        from hsrgeo.cube.build import kept_in  # noqa: PLC0415

        try:
            kept_in(self.out)
        except SourceError as error:
            raise OutputExistsError(str(self.out), "already exists and is not a cube made by hsrgeo") from error

    def prepare(self) -> None:
        """Remove what --overwrite replaces, what was staged for other options, and what others put in its place."""
        if any(path.is_symlink() for path in (self.staging, self.frames, *self.frames.glob("*"))):
            remove(self.staging)
        if self._is_file:
            remove_parts(self.out)
        if self.options.frames.overwrite:
            for path in (self.staging, self.part, self.out):
                remove(path)
        kept = self._kept_shape()
        if kept is not None and kept.recipe != self.recipe:
            remove(self.staging)
        remove_damaged(self.frames, self.options.layouts)

    def _kept_shape(self) -> Shape | None:
        try:
            return shape_from_json(json.loads((self.staging / _SHAPE).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, HsrGeoError):
            return None

    def shape(self, found: Iterator[Found]) -> tuple[Shape | None, list[Found | Outcome]]:
        """See `Site`: as in the cube, as staged, or as the first sound frame is."""
        shape = shape_from_json(self.kept.shape) if self.kept.shape else self._kept_shape()
        taken: list[Found | Outcome] = []
        if shape is None:
            shape, taken, _frame = first_shape(found, self.options.frames.recipe, self.recipe)
        if shape is not None:
            write_file(self.staging / _SHAPE, json.dumps(shape.as_json()).encode())
        return shape, taken

    def contest(self) -> Contest:
        """See `Site`."""
        known: dict[datetime, list[Rank]] = {}
        for time, rank in zip(self.kept.times, self.kept.ranks, strict=True):
            known.setdefault(time, []).append(rank)
        for one in staged_frames(self.frames, self.options.layouts):
            known.setdefault(one.time, []).append(one.rank)
        self._contest = Contest(known)
        return self._contest

    def work(self, shape: Shape) -> Work:
        """See `Site`: stage the frames beside the cube."""
        recipe = self.options.frames.recipe
        return partial(stage_frames, folder=self.frames, recipe=recipe, shape=shape, layouts=self.options.layouts)

    def build(self, shape: Shape, failed: set[datetime], check: Callable[[], None]) -> tuple[int, int, int]:
        """See `Site`."""
        from hsrgeo.cube import build  # noqa: PLC0415 - needs the extra

        found = _slots(self.kept, staged_frames(self.frames, self.options.layouts), self._contest.best())
        dry_now = self._contest.dry()
        slots = tuple(slot for slot in found if slot.time not in dry_now)
        times = [slot.time for slot in slots]
        dry = sorted(dry_now.union(self.kept.dry).difference(times))
        missing = missing_between([*times, *dry], shape.step, failed | set(self.kept.missing))
        plan = build.Plan(
            shape=shape,
            slots=slots,
            missing=tuple(missing),
            dry=tuple(dry),
            attrs={**self.kept.attrs, **self.options.attrs},
            layouts=self.options.layouts,
            zarr_format=self.options.written_format,
            out=self.out,
            part=self.part,
        )
        changed = [slot.old for slot in slots] != list(range(len(self.kept.times)))
        changed |= (missing, dry) != (self.kept.missing, self.kept.dry)
        if slots and (changed or plan.attrs != self.kept.attrs):
            self._write(plan, check)
        remove(self.staging)
        return len(slots), len(missing), len(dry)

    def _write(self, plan: Plan, check: Callable[[], None]) -> None:
        from hsrgeo.cube import build  # noqa: PLC0415

        if self._is_file:
            from hsrgeo.cube.netcdf import write_netcdf  # noqa: PLC0415

            for _written in write_netcdf(plan):
                check()
            return
        tasks = build.begin_zarr(plan)
        work = partial(build.build_series, plan=plan)
        batches = [tasks[start : start + _BATCH_SERIES] for start in range(0, len(tasks), _BATCH_SERIES)]
        with closing(run_parallel(work, batches, self.options.frames.workers)) as results:
            for _written in results:
                check()
        check()
        build.finish_zarr(plan)


def stage_frames(
    entries: Sequence[Found | Outcome], folder: Path, recipe: Recipe, shape: Shape, layouts: Sequence[Layout]
) -> list[Outcome]:
    """Stage the frames of a batch; outcomes that were known before ride along. Runs in a worker."""
    keep_freed_memory()
    return [
        entry if isinstance(entry, Outcome) else _stage_frame(entry, folder, recipe, shape, layouts)
        for entry in entries
    ]


def _stage_frame(found: Found, folder: Path, recipe: Recipe, shape: Shape, layouts: Sequence[Layout]) -> Outcome:
    outcome = of_found(found, "ok")
    try:
        frame = decode_found(found, recipe.block, recipe.registration)
        part = recipe.cut_frame(frame, recipe.cuts[0])
        shape.check(part, outcome.label)
        if recipe.is_dry(part):
            return with_header(replace(outcome, status="dry"), frame)
        stage(part, frame.rank, folder, shape, layouts)
        return with_header(outcome, frame)
    except WriteError:
        raise  # the disk is full: no other frame would fare better
    except HsrGeoError as error:
        return replace(outcome, status="failed", error=error)
    except Exception as error:
        error.add_note(f"while adding {outcome.label}")
        raise


def _nothing() -> Kept:
    from hsrgeo.cube.build import Kept  # noqa: PLC0415

    return Kept()


def _slots(kept: Kept, staged: Iterable[Staged], best: Mapping[datetime, Rank]) -> tuple[Any, ...]:
    from hsrgeo.cube.build import Slot  # noqa: PLC0415

    slots = {
        time: Slot(time, rank, order, "") for order, (time, rank) in enumerate(zip(kept.times, kept.ranks, strict=True))
    }
    for one in staged:
        there = slots.get(one.time)
        if there is None or (one.rank == best.get(one.time) and one.rank != there.rank):
            slots[one.time] = Slot(one.time, one.rank, None, one.stem)
    return tuple(slots[time] for time in sorted(slots))


def _other_options(out: Path, there: Mapping[str, Any], now: Mapping[str, Any]) -> ManifestError:
    names = [name for name in {**now, **there} if now.get(name) != there.get(name)]
    differences = "; ".join(
        f"{name}: {json.dumps(there.get(name))} there, {json.dumps(now.get(name))} now" for name in names
    )
    return ManifestError(str(out), f"was made with other options ({differences}); use another --out, or --overwrite")
