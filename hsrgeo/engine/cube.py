"""The run that makes a cube: sources in, one Zarr store or NetCDF file out.

First every frame is unpacked, cut and staged beside the cube, in parallel; then the cube is built of what is staged
and of what it held before. Whatever is on disk when a run is killed is found again by the next one.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsrgeo.cube.axis import Rank, missing_between, rank_of, stored_crc32
from hsrgeo.cube.extra import need
from hsrgeo.cube.store import Layout, Shape, Staged, shape_for, shape_from_json, stage, staged_frames
from hsrgeo.engine.cube_options import CubeOptions
from hsrgeo.engine.memory import keep_freed_memory
from hsrgeo.engine.options import check_areas
from hsrgeo.engine.outcome import Outcome, Status, of_found
from hsrgeo.engine.parallel import run_parallel
from hsrgeo.engine.recipe import Recipe
from hsrgeo.errors import HsrGeoError, ManifestError, OptionsError, OutputExistsError, SourceError, WriteError
from hsrgeo.formats.composite import decode
from hsrgeo.model.times import utc_text
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.scan import scan
from hsrgeo.writers.files import write_file

if TYPE_CHECKING:
    from hsrgeo.cube.build import Kept, Plan

_BATCH = 4  # frames that go to a worker at a time
_BATCH_SERIES = 1  # blocks of the layout series, likewise


class Cube(Iterator[Outcome]):
    """A run: iterate it to make it happen; each outcome comes as soon as the frame is staged.

    A frame that loses to a better one that comes later is told twice, the second time as a duplicate with `was` set.

    Args:
        sources: Files, folders, globs and archives.
        out: The cube, ``.zarr`` or ``.nc``; frames are added to one that is there.
        options: What to make.

    Raises:
        MissingExtraError: A library of the extra is not installed.
        OptionsError: An unknown kind of output, or areas outside every grid.
        SourceError: A source does not exist, or what is there is no cube.
        ManifestError: The cube was made with other options.
    """

    def __init__(self, sources: Sequence[str | Path], out: Path, options: CubeOptions) -> None:
        self.tally = Tally()
        """What went by while the sources were read."""
        self.counts: Counter[Status] = Counter()
        """Frames by status, so far."""
        self.built = 0
        """Times in the cube, known in the end."""
        self.missing = 0
        """Times that should be in it and are not, known in the end."""
        suffix = out.suffix.lower()
        if suffix not in (".zarr", ".nc"):
            raise OptionsError(f"out {out}: expected a name that ends in .zarr or .nc")
        self.netcdf = suffix == ".nc"
        if self.netcdf and options.layout == "both":
            raise OptionsError("layout both: a NetCDF file holds one layout, map or series")
        for module in ("xarray", "dask", "netCDF4" if self.netcdf else "zarr"):
            need(module)
        self.notes = check_areas(options.frames.recipe)
        """What a user should know before it starts: areas cut at the edge of the grid."""
        self._found = scan(sources, options.frames.selection, self.tally)
        self._site = _Site(out, options, options.recipe(netcdf=self.netcdf))
        self._outcomes = self._run()

    def __next__(self) -> Outcome:
        outcome = next(self._outcomes)
        self.counts[outcome.status] += 1
        if outcome.was:
            self.counts[outcome.was] -= 1
        return outcome

    def close(self) -> None:
        """End the run early; what is staged stays staged."""
        self._outcomes.close()

    def _run(self) -> Generator[Outcome]:
        site, options = self._site, self._site.options
        site.prepare()
        failed: set[datetime] = set()
        with closing(_closable(self._found)) as found:
            shape, taken = site.shape(found)
            if shape is None:
                yield from (one if isinstance(one, Outcome) else of_found(one, "failed") for one in taken)
                return
            contest = _Contest(site.known())
            work = partial(
                stage_frames, folder=site.frames, recipe=options.frames.recipe, shape=shape, layouts=options.layouts
            )
            batches = _batches(map(contest.admit, chain(taken, found)))
            with closing(run_parallel(work, batches, options.frames.workers)) as results:
                for batch in results:
                    for outcome in batch:
                        if outcome.status == "failed" and outcome.told:
                            failed.add(outcome.told.time.astimezone(UTC))
                        yield from contest.settle(outcome)
                        if outcome.status == "failed" and options.frames.fail_fast:
                            return
        self.built, self.missing = site.build(shape, failed)


def make_cube(sources: str | Path | Sequence[str | Path], out: str | Path, options: CubeOptions | None = None) -> Cube:
    """Make one cube of every wanted frame of the sources, or add them to it; iterate the result to make it happen.

    Args:
        sources: A file, folder, glob or archive, or several.
        out: ``NAME.zarr`` or ``NAME.nc``.
        options: What to make; the default is every frame, whole, clean, in the layout map.

    Returns:
        An iterator over the outcome of each frame. A broken frame is an outcome, not an exception; its time goes into
        the cube's ``missing_times``.

    Raises:
        MissingExtraError: A library of the extra ``cube`` is not installed.
        OptionsError: An area lies outside every grid, or the name ends in neither .zarr nor .nc.
        SourceError: A source does not exist.
        ManifestError: The cube was made with other options.
    """
    listed = [sources] if isinstance(sources, (str, Path)) else list(sources)
    return Cube(listed, Path(out), options or CubeOptions())


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
        frame = decode(found.read(), found.source, member=found.member, block=recipe.block)
        part = recipe.cut_frame(frame, recipe.cuts[0])
        shape.check(part, outcome.label)
        stage(part, rank_of(frame), folder, shape, layouts)
        created = utc_text(frame.header.created) if frame.header.created else ""
        return replace(outcome, stations=frame.header.station_count, created=created, crc32=frame.crc32)
    except WriteError:
        raise  # the disk is full: no other frame would fare better
    except HsrGeoError as error:
        return replace(outcome, status="failed", error=error)
    except Exception as error:
        error.add_note(f"while adding {outcome.label}")
        raise


class _Contest:
    """Which frames are there already, and which of two of one time is kept."""

    def __init__(self, known: Mapping[datetime, list[Rank]]) -> None:
        self._there = {time: {rank[2] for rank in ranks} for time, ranks in known.items()}
        self._best: dict[datetime, tuple[Rank, Outcome | None]] = {
            time: (max(ranks), None) for time, ranks in known.items()
        }

    def admit(self, entry: Found | Outcome) -> Found | Outcome:
        """Return the frame, or its outcome where nothing is to be done."""
        if isinstance(entry, Outcome):
            return entry
        if entry.error or entry.told is None:
            return of_found(entry, "failed", error=entry.error)
        there = self._there.get(entry.told.time.astimezone(UTC))
        try:
            same = there is not None and stored_crc32(entry.read()) in there
        except HsrGeoError as error:
            return of_found(entry, "failed", error=error)
        return of_found(entry, "skipped") if same else entry

    def settle(self, outcome: Outcome) -> Iterator[Outcome]:
        """Yield a frame that was staged, and the one that loses to it."""
        if outcome.status != "ok" or outcome.told is None:
            yield outcome
            return
        time = outcome.told.time.astimezone(UTC)
        created = int(datetime.fromisoformat(outcome.created).timestamp()) if outcome.created else 0
        rank = (outcome.stations, created, outcome.crc32)
        best, holder = self._best.get(time, ((-1, 0, 0), None))
        if rank <= best:
            yield replace(outcome, status="duplicate", winner=holder.label if holder else "")
            return
        self._best[time] = (rank, outcome)
        yield outcome
        if holder is not None:
            yield replace(holder, status="duplicate", was="ok", winner=outcome.label)


class _Site:
    """Where a cube is made: what is there, what waits, and how the new one comes of both."""

    def __init__(self, out: Path, options: CubeOptions, recipe: dict[str, Any]) -> None:
        from hsrgeo.cube.build import kept_in, mend  # noqa: PLC0415 - needs the extra

        self.out, self.options, self.recipe = out, options, recipe
        self.staging = out.with_name(f".{out.name}.staged")
        self.frames = self.staging / "frames"
        self.part = out.with_name(f".{out.name}.part")
        mend(out)
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
            raise OutputExistsError(str(self.out), "is there already and is no cube that hsrgeo made") from error

    def prepare(self) -> None:
        """Remove what --overwrite replaces, and what was staged for other options."""
        if self.options.frames.overwrite:
            for path in (self.staging, self.part, self.out):
                _remove(path)
        kept = self._kept_shape()
        if kept is not None and kept.recipe != self.recipe:
            _remove(self.staging)

    def _kept_shape(self) -> Shape | None:
        try:
            return shape_from_json(json.loads((self.staging / _SHAPE).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, HsrGeoError):
            return None

    def shape(self, found: Iterator[Found]) -> tuple[Shape | None, list[Found | Outcome]]:
        """Return what every frame must be like: as in the cube, as staged, or as the first sound frame is.

        Returns:
            None where no frame is sound; and the frames that were taken to find out.
        """
        shape = shape_from_json(self.kept.shape) if self.kept.shape else self._kept_shape()
        taken: list[Found | Outcome] = []
        recipe = self.options.frames.recipe
        while shape is None and (one := next(found, None)) is not None:
            if one.error or one.told is None:
                taken.append(of_found(one, "failed", error=one.error))
                continue
            try:
                frame = decode(one.read(), one.source, member=one.member, block=recipe.block)
                shape = shape_for(recipe.cut_frame(frame, recipe.cuts[0]), self.recipe)
                taken.append(one)
            except HsrGeoError as error:
                taken.append(of_found(one, "failed", error=error))
        if shape is not None:
            write_file(self.staging / _SHAPE, json.dumps(shape.as_json()).encode())
        return shape, taken

    def known(self) -> dict[datetime, list[Rank]]:
        """Return the ranks of the frames that are in the cube or staged, by time."""
        known: dict[datetime, list[Rank]] = {}
        for time, rank in zip(self.kept.times, self.kept.ranks, strict=True):
            known.setdefault(time, []).append(rank)
        for one in staged_frames(self.frames, self.options.layouts):
            known.setdefault(one.time, []).append(one.rank)
        return known

    def build(self, shape: Shape, failed: set[datetime]) -> tuple[int, int]:
        """Build the cube, and return how many times it has, and how many it lacks."""
        from hsrgeo.cube import build  # noqa: PLC0415 - needs the extra

        slots = _slots(self.kept, staged_frames(self.frames, self.options.layouts))
        times = [slot.time for slot in slots]
        missing = missing_between(times, shape.step, failed | set(self.kept.missing))
        plan = build.Plan(
            shape=shape,
            slots=slots,
            missing=tuple(missing),
            attrs={**self.kept.attrs, **self.options.attrs},
            layouts=self.options.layouts,
            zarr_format=self.options.zarr_format,
            out=self.out,
            part=self.part,
        )
        changed = any(slot.old is None for slot in slots) or missing != self.kept.missing
        if slots and (changed or plan.attrs != self.kept.attrs):
            self._write(plan)
        _remove(self.staging)
        return len(slots), len(missing)

    def _write(self, plan: Plan) -> None:
        from hsrgeo.cube import build  # noqa: PLC0415

        if self.out.suffix.lower() == ".nc":
            from hsrgeo.cube.netcdf import write_netcdf  # noqa: PLC0415

            for _written in write_netcdf(plan):
                pass
            return
        tasks = build.begin_zarr(plan)
        work = partial(build.build_series, plan=plan)
        batches = [tasks[start : start + _BATCH_SERIES] for start in range(0, len(tasks), _BATCH_SERIES)]
        with closing(run_parallel(work, batches, self.options.frames.workers)) as results:
            for _written in results:
                pass
        build.finish_zarr(plan)


_SHAPE = "shape.json"


def _nothing() -> Kept:
    from hsrgeo.cube.build import Kept  # noqa: PLC0415

    return Kept()


def _slots(kept: Kept, staged: Iterable[Staged]) -> tuple[Any, ...]:
    from hsrgeo.cube.build import Slot  # noqa: PLC0415

    best = {
        time: Slot(time, rank, order, "") for order, (time, rank) in enumerate(zip(kept.times, kept.ranks, strict=True))
    }
    for one in staged:
        if one.time not in best or one.rank > best[one.time].rank:
            best[one.time] = Slot(one.time, one.rank, None, one.stem)
    return tuple(best[time] for time in sorted(best))


def _other_options(out: Path, there: Mapping[str, Any], now: Mapping[str, Any]) -> ManifestError:
    names = [name for name in {**now, **there} if now.get(name) != there.get(name)]
    told = "; ".join(f"{name}: {json.dumps(there.get(name))} there, {json.dumps(now.get(name))} now" for name in names)
    return ManifestError(str(out), f"was made with other options ({told}); use another --out, or --overwrite")


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(str(path), f"cannot be removed: {error.strerror or error}") from error


def _closable(found: Iterator[Found]) -> Generator[Found]:
    # joblib keeps the iterator that it was given, and with it an open archive, when it is closed early.
    yield from found


def _batches(entries: Iterable[Found | Outcome]) -> Iterator[list[Found | Outcome]]:
    batch: list[Found | Outcome] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
