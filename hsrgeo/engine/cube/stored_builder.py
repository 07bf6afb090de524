"""Builds a cube that stores its values, from the cube that is there and the frames that are staged.

Frames are unpacked, cut and staged beside the cube, by workers; then the cube is built of what is staged and of what
it held before. Whatever is on disk when a run is killed is found again by the next one.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsrgeo.cube.axis import missing_between
from hsrgeo.cube.store import Layout, Shape, Staged, remove_damaged, shape_from_json, stage, staged_frames
from hsrgeo.engine.cube.cube_frames import Contest, Work, first_shape
from hsrgeo.engine.cube.cube_options import CubeOptions
from hsrgeo.engine.workers.parallel import run_parallel
from hsrgeo.errors import HsrGeoError, ManifestError, OutputExistsError, SourceError, WriteError
from hsrgeo.model.quantity import RAIN_RATE
from hsrgeo.model.rank import Rank
from hsrgeo.outputs.kept_recipe import differences
from hsrgeo.outputs.outcome import Outcome, of_found, with_header
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.reading import decode_found
from hsrgeo.sources.found import Found
from hsrgeo.sources.remote import Place, RemotePath, unlink_all
from hsrgeo.writers.disk import temporary_beside
from hsrgeo.writers.files import remove_parts, write_file
from hsrgeo.writers.folders import mend, remove, write_errors

if TYPE_CHECKING:
    from hsrgeo.cube.kept import Kept

_BATCH_SERIES = 1  # blocks of the layout series that go to a worker at a time
_SHAPE = "shape.json"


class StoredBuilder(ABC):
    """Builds a cube that stores its values; a `Builder`.

    Args:
        out: The cube.
        options: What to make.
        recipe: What decides its values: what is there must have been made by the same.

    Raises:
        SourceError: What is there is no cube.
        ManifestError: The cube was made with other options.
        OutputExistsError: What is to be replaced is no cube.
    """

    def __init__(self, out: Place, options: CubeOptions, recipe: dict[str, Any]) -> None:
        from hsrgeo.cube.kept import kept_in  # noqa: PLC0415 - needs the extra

        self.options, self.recipe = options, recipe
        self.target: Place = out
        self.staging: Place = out.with_name(f".{out.name}.staged")
        self.frames: Place = self.staging / "frames"
        self._contest = Contest({})
        self.mend()
        try:
            self.kept: Kept = kept_in(out) if self.is_there() else _nothing()
        except SourceError as error:
            if not options.frames.overwrite:
                raise
            raise OutputExistsError(str(out), "already exists and is not a cube made by hsrgeo") from error
        if options.frames.overwrite:
            self.kept = _nothing()
        elif self.kept.recipe and self.kept.recipe != recipe:
            problem = f"was made with other options ({differences(self.kept.recipe, recipe)})"
            raise ManifestError(str(out), f"{problem}; use another --out, or --overwrite")
        elif self.kept.shape:
            _refuse_older(out, shape_from_json(self.kept.shape))

    @abstractmethod
    def mend(self) -> None:
        """Finish what a run that was killed left half done."""

    @abstractmethod
    def is_there(self) -> bool:
        """Tell whether there is a cube, or something else of its name."""

    @abstractmethod
    def prepare(self) -> None:
        """Remove what was staged for a cube that --overwrite replaces, or for other options, and links of others."""

    @abstractmethod
    def clear(self) -> None:
        """Remove what is staged: it is in the cube."""

    @abstractmethod
    def write(self, plan: dict[str, Any], check: Callable[[], None]) -> None:
        """Make the new cube of the fields of `hsrgeo.cube.build.Plan` but where it is made; for `check` see `build`."""

    def _kept_shape(self) -> Shape | None:
        try:
            return shape_from_json(json.loads((self.staging / _SHAPE).read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, HsrGeoError):
            return None

    def shape(self, found: Iterator[Found]) -> tuple[Shape | None, list[Found | Outcome]]:
        """See `Builder`: as in the cube, as staged, or as the first sound frame is."""
        shape = shape_from_json(self.kept.shape) if self.kept.shape else self._kept_shape()
        taken: list[Found | Outcome] = []
        if shape is None:
            shape, taken, _frame = first_shape(found, self.options.frames.recipe, self.recipe)
        if shape is not None:
            write_file(self.staging / _SHAPE, json.dumps(shape.as_json()).encode())
        return shape, taken

    def contest(self) -> Contest:
        """See `Builder`."""
        known: dict[datetime, list[Rank]] = {}
        for time, rank in zip(self.kept.times, self.kept.ranks, strict=True):
            known.setdefault(time, []).append(rank)
        for one in staged_frames(self.frames, self.options.layouts):
            known.setdefault(one.time, []).append(one.rank)
        self._contest = Contest(known)
        return self._contest

    def work(self, shape: Shape) -> Work:
        """See `Builder`: stage the frames beside the cube."""
        recipe = self.options.frames.recipe
        return partial(stage_frame, folder=self.frames, recipe=recipe, shape=shape, layouts=self.options.layouts)

    def build(self, shape: Shape, failed: set[datetime], check: Callable[[], None]) -> tuple[int, int, int]:
        """See `Builder`."""
        found = _slots(self.kept, staged_frames(self.frames, self.options.layouts), self._contest.best())
        dry_now = self._contest.dry()
        slots = tuple(slot for slot in found if slot.time not in dry_now)
        times = [slot.time for slot in slots]
        dry = sorted(dry_now.union(self.kept.dry).difference(times))
        missing = missing_between([*times, *dry], shape.step, failed | set(self.kept.missing))
        attrs = {**self.kept.attrs, **self.options.attrs}
        changed = [slot.old for slot in slots] != list(range(len(self.kept.times)))
        changed |= (missing, dry) != (self.kept.missing, self.kept.dry)
        if slots and (changed or attrs != self.kept.attrs):
            plan = {
                "shape": shape,
                "slots": slots,
                "missing": tuple(missing),
                "dry": tuple(dry),
                "attrs": attrs,
                "layouts": self.options.layouts,
                "zarr_format": self.options.written_format,
            }
            self.write(plan, check)
        self.clear()
        return len(slots), len(missing), len(dry)


class DiskBuilder(StoredBuilder):
    """Where a cube on a disk is made."""

    staging: Path
    frames: Path

    def __init__(self, out: Path, options: CubeOptions, recipe: dict[str, Any]) -> None:
        self.out = out
        self._is_file = out.suffix.lower() == ".nc"
        self.part = temporary_beside(out) if self._is_file else out.with_name(f".{out.name}.part")
        super().__init__(out, options, recipe)

    def mend(self) -> None:
        """See `StoredBuilder`."""
        mend(self.out)

    def is_there(self) -> bool:
        """See `StoredBuilder`."""
        return self.out.exists()

    def prepare(self) -> None:
        """See `StoredBuilder`."""
        if any(path.is_symlink() for path in (self.staging, self.frames, *self.frames.glob("*"))):
            remove(self.staging)
        if self._is_file:
            remove_parts(self.out)
        if self.options.frames.overwrite:
            for path in (self.staging, self.part):
                remove(path)
        kept = self._kept_shape()
        if kept is not None and kept.recipe != self.recipe:
            remove(self.staging)
        remove_damaged(self.frames, self.options.layouts)

    def shape(self, found: Iterator[Found]) -> tuple[Shape | None, list[Found | Outcome]]:
        """See `Builder`: a cube is not replaced before there is a sound frame for the new one."""
        shape, taken = super().shape(found)
        if shape is not None and self.options.frames.overwrite:
            remove(self.out)
        return shape, taken

    def clear(self) -> None:
        """See `StoredBuilder`."""
        remove(self.staging)

    def write(self, plan: dict[str, Any], check: Callable[[], None]) -> None:
        """See `StoredBuilder`."""
        from hsrgeo.cube import build  # noqa: PLC0415 - needs the extra

        made = build.DiskPlan(**plan, out=self.out, part=self.part)
        if self._is_file:
            from hsrgeo.cube.netcdf import write_netcdf  # noqa: PLC0415

            write_netcdf(made, check)
            return
        tasks = build.begin_zarr(made)
        work = partial(build.build_series, plan=made)
        batches = [tasks[start : start + _BATCH_SERIES] for start in range(0, len(tasks), _BATCH_SERIES)]
        with closing(run_parallel(work, batches, self.options.frames.workers)) as results:
            for _written in results:
                check()
        check()
        build.finish_zarr(made)


class BucketBuilder(StoredBuilder):
    """Where a cube in a bucket is made; what is staged lies in the bucket too, so that any machine can go on."""

    staging: RemotePath
    frames: RemotePath

    def __init__(self, out: RemotePath, options: CubeOptions, recipe: dict[str, Any]) -> None:
        self.out = out
        super().__init__(out, options, recipe)
        # A run that was suspended may send a frame late: that of other options must not be taken for one of these.
        options_id = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
        self.frames = self.staging / f"frames-{options_id}"

    def mend(self) -> None:
        """See `StoredBuilder`."""
        from hsrgeo.cube import bucket  # noqa: PLC0415 - needs the extra

        with write_errors(self.out):
            if (self.staging / bucket.MARKER).is_file():
                bucket.mend(self.out, lambda: None)  # the lock has just been taken

    def is_there(self) -> bool:
        """See `StoredBuilder`.

        Raises:
            OutputExistsError: Something else is there.
        """
        from hsrgeo.cube import bucket  # noqa: PLC0415 - needs the extra

        with write_errors(self.out):
            self.version = bucket.version_of(self.out)
            if self.version:
                return True
            begun = (self.staging / bucket.MARKER).is_file()
            if not begun and (self.out.is_file() or next(self.out.below(), None) is not None):
                raise OutputExistsError(str(self.out), "already exists and is not a cube made by hsrgeo (of Zarr 3)")
        return False

    def prepare(self) -> None:
        """See `StoredBuilder`: the old cube stays until it is replaced."""
        kept = self._kept_shape()
        if self.options.frames.overwrite or (kept is not None and kept.recipe != self.recipe):
            self._unstage("frames")

    def clear(self) -> None:
        """See `StoredBuilder`."""
        self._unstage("")

    def _unstage(self, start: str) -> None:
        with write_errors(self.staging):
            unlink_all([path for path in self.staging.below() if path.key.startswith(f"{self.staging.key}/{start}")])

    def write(self, plan: dict[str, Any], check: Callable[[], None]) -> None:
        """See `StoredBuilder`."""
        from hsrgeo.cube import bucket  # noqa: PLC0415 - needs the extra
        from hsrgeo.cube.bucket_plan import BucketPlan  # noqa: PLC0415

        made, blocks = bucket.begin(BucketPlan(**plan, out=self.out, part=self.staging, version=self.version), check)
        work = partial(bucket.build_blocks, build=made)
        with closing(run_parallel(work, blocks, self.options.frames.workers)) as results:
            for _written in results:
                check()
        bucket.finish(made, check)


def stage_frame(
    found: Found | Outcome, folder: Place, recipe: Recipe, shape: Shape, layouts: Sequence[Layout]
) -> Outcome:
    """Stage a frame, see `Work`."""
    if isinstance(found, Outcome):
        return found
    outcome = of_found(found, "ok")
    try:
        frame = decode_found(found, recipe.block, recipe.registration, recipe.window_of)
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
    from hsrgeo.cube.kept import Kept  # noqa: PLC0415

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


def _refuse_older(out: Place, shape: Shape) -> None:
    if shape.cleaned and shape.quantity == RAIN_RATE:  # of version 0.1
        raise ManifestError(
            str(out),
            f"was made by an older hsrgeo, with {RAIN_RATE.undetect} for no rain, where 0 mm/h stands now: use another "
            "--out, or --overwrite",
        )
