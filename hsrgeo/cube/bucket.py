"""Staged frames, and what a cube in a bucket holds already -> a new cube in place of the old one.

A bucket knows no renaming, and a cube is many objects. So the new one is written between the objects of the old one,
under names that the old one does not use (`hsrgeo.cube.spaces`), and one object replaces the old cube by the new one:
``zarr.json`` of the root, whose consolidated metadata say everything. An array whose chunks all stay the same, with
others behind them, keeps their names. Whoever opens the cube has the old one or the new one; a run that is killed or
loses its lock has changed nothing that is in use.

A run that goes on after a killed one uses the same names if it makes the same cube, and else names that neither the
cube nor the killed run used: that may be suspended, and send its last request late.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from hsrgeo.cube import whole
from hsrgeo.cube.bucket_plan import BucketPlan, Others, choose_spaces
from hsrgeo.cube.build import Slot, consolidate, gather, is_unchanged, series_tasks, write_template
from hsrgeo.cube.spaces import (
    ROOT,
    arrays_in,
    chunk_key,
    encoded,
    space_of,
    unused,
)
from hsrgeo.cube.store import Layout, staged_file
from hsrgeo.cube.whole import WholeStore, documents_of, lost, root_of
from hsrgeo.errors import WriteError
from hsrgeo.sources.remote import RemotePath, unlink_all
from hsrgeo.writers.folders import write_errors

MARKER = "plan.json"
"""File below the staged frames: the cube that the run makes, and the names that it uses."""
_AT_ONCE = 16
"""Requests at a time."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Build:
    """A cube that is being made: goes to workers."""

    plan: BucketPlan
    before: Mapping[str, bytes]
    """Metadata of the old cube by key; empty where there is none."""
    documents: Mapping[str, bytes]
    """Those of the new one."""
    spaces: Mapping[str, int]
    """Which names the chunks of each array of the new cube have."""

    def chunk(self, layout: Layout, numbers: Sequence[int]) -> RemotePath:
        """Return the object of a chunk of the new values."""
        path = self.plan.array(layout)
        return self.plan.out / f"{path}/{chunk_key(self.spaces[path], numbers)}"

    def old_chunk(self, layout: Layout, numbers: Sequence[int]) -> RemotePath:
        """Return the object of a chunk of the old values."""
        path = self.plan.array(layout)
        return self.plan.out / f"{path}/{chunk_key(space_of(arrays_in(self.before)[path]), numbers)}"


def begin(plan: BucketPlan, check: Callable[[], None]) -> tuple[Build, list[list[tuple[int, int]]]]:
    """Write everything of a new cube but its metadata and the new blocks of the layout series.

    `check` raises where this run must write no more.

    Returns:
        The cube, and its tasks for `build_blocks`, those of a block of times together.

    Raises:
        WriteError: The bucket refused.
        SourceError: The old cube has lost an object.
    """
    with write_errors(plan.out):
        there = {_below(plan.out, path) for path in plan.out.below()}
        _refuse_other(plan.out, plan.version, check)  # from here on nothing is removed that was not there by now
        before = documents_of(root_of(plan.out) or b"") if plan.version else {}
        made = _made(plan)
        marker_version = _version(plan.part / MARKER)
        marker = _marker(plan.part) if marker_version else {}
        digest = hashlib.sha256(f"{plan.digest()} {plan.version}".encode()).hexdigest()
        if marker.get("digest") == digest:
            spaces = marker["spaces"]
        else:
            left = unused(there, before, only_values=False)
            spaces = choose_spaces(plan, made, before, Others(marker.get("spaces", {}), left if marker else ()))
            _replace(
                plan.part / MARKER, json.dumps({"digest": digest, "spaces": spaces}).encode(), marker_version, plan
            )
            _refuse_other(plan.out, plan.version, check)  # another run did not see which names this one uses
            unlink_all([plan.out / key for key in left])
            there = set()
        documents = encoded({key: data for key, data in made.items() if key.endswith(ROOT)}, spaces)
        build = Build(plan, before, documents, spaces)
        _write_small(build, made, there, check)
        tasks = _copy_values(build, there, check)
    blocks: dict[int, list[tuple[int, int]]] = {}
    for block, band in tasks:
        blocks.setdefault(block, []).append((block, band))
    return build, list(blocks.values())


def version_of(out: RemotePath) -> str:
    """Return the version of the root of a cube; empty where there is none.

    Raises:
        OSError: The bucket cannot be reached.
    """
    return _version(out / ROOT)


def _version(path: RemotePath) -> str:
    return path.stat().version if path.is_file() else ""


def _made_by_another(out: RemotePath) -> WriteError:
    return WriteError(str(out), "was made by another run meanwhile; run the same command again")


def _made(plan: BucketPlan) -> dict[str, bytes]:
    """Return every object of a new cube but its values, by its key; chunks as cubes on disks name them."""
    kept: dict[str, Any] = {}
    for layout in plan.layouts:
        group: dict[str, Any] = {}
        write_template(plan, layout, MemoryStore(group))
        prefix = plan.group(layout)
        kept |= {f"{prefix}/{key}".lstrip("/"): data for key, data in group.items()}
    consolidate(plan, MemoryStore(kept))
    return {key: bytes(data.to_bytes()) for key, data in kept.items()}


def _marker(part: RemotePath) -> dict[str, Any]:
    try:
        return dict(json.loads((part / MARKER).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _refuse_other(out: RemotePath, version: str, check: Callable[[], None]) -> None:
    """Refuse to continue if another run has made the cube, or has the lock."""
    check()
    if version_of(out) != version:
        raise _made_by_another(out)


def _write_small(build: Build, made: Mapping[str, bytes], there: set[str], check: Callable[[], None]) -> None:
    """Write the chunks of every array but the values, where they are not those of the old cube."""
    old = arrays_in(build.before)
    wanted: dict[RemotePath, bytes] = {}
    for path, space in build.spaces.items():
        if path in old and space_of(old[path]) == space:
            continue
        for key, data in made.items():
            name = key.removeprefix(f"{path}/")
            if key.startswith(f"{path}/c"):
                numbers = [int(part) for part in name.split("/")[1:]]
                wanted[build.plan.out / f"{path}/{chunk_key(space, numbers)}"] = data
    lacking = [(path, data) for path, data in wanted.items() if _below(build.plan.out, path) not in there]
    _together(lambda one: one[0].write_bytes(one[1]), lacking, check)


def _copy_values(build: Build, there: set[str], check: Callable[[], None]) -> list[tuple[int, int]]:
    """Copy the chunks of values that are staged or in the old cube; return the tasks that are left."""
    plan, old = build.plan, arrays_in(build.before)
    copies: list[tuple[RemotePath, RemotePath]] = []
    tasks = []
    if "map" in plan.layouts:
        for order, slot in enumerate(plan.slots):
            source = _staged_map(slot) if slot.old is None else build.old_chunk("map", (slot.old, 0, 0))
            copies.append((source, build.chunk("map", (order, 0, 0))))
    for block, band in series_tasks(plan):
        numbers = (block, band, 0)
        values = old.get(plan.array("series"))
        if values is not None and is_unchanged(plan, values["shape"][0], block):
            copies.append((build.old_chunk("series", numbers), build.chunk("series", numbers)))
        elif _below(plan.out, build.chunk("series", numbers)) not in there:
            tasks.append((block, band))
    lacking = [(source, to) for source, to in copies if source != to and _below(plan.out, to) not in there]
    _together(lambda one: _copy(plan, *one), lacking, check)
    return tasks


def _staged_map(slot: Slot) -> RemotePath:
    return RemotePath(f"{slot.stem}.map")


def _copy(plan: BucketPlan, source: RemotePath, to: RemotePath) -> None:
    try:
        source.copy_to(to)
    except FileNotFoundError as error:
        if not str(source).startswith(f"{plan.out}/"):  # another run has made the cube and removed what was staged
            raise
        raise lost(plan.out, source) from error


def build_blocks(tasks: Sequence[tuple[int, int]], build: Build) -> int:
    """Write shards of one block of times of the layout series. Runs in a worker.

    Raises:
        WriteError: The bucket refused.
        SourceError: The old cube has lost an object.
    """
    plan = build.plan
    path = plan.array("series")
    with TemporaryDirectory(prefix="hsrgeo-") as folder, write_errors(plan.out):
        staged = _fetched(plan, tasks[0][0], Path(folder))
        document = build.documents[f"{path}/{ROOT}"]
        old = None
        if f"{path}/{ROOT}" in build.before and any(slot.old is not None for slot in staged.slots):
            # By the metadata that the plan was made by: another run may have made another cube since.
            store = WholeStore(whole.bucket_store(plan.out), plan.out, plan.layouts, build.before)
            old = zarr.open_array(store, path=path, mode="r")
        for block, band in tasks:
            start, rows = block * plan.shape.series_times, plan.shape.bands[band]
            values = gather(staged, old, block, band)
            kept: dict[str, Any] = {ROOT: default_buffer_prototype().buffer.from_bytes(document)}
            with zarr.config.set({"array.write_empty_chunks": True}):
                new = zarr.open_array(MemoryStore(kept), mode="r+")
            new[start : start + len(values), rows, :] = values
            data = kept[chunk_key(build.spaces[path], (block, band, 0))]
            # A run that makes the same cube may have written it: then it may be in use by now.
            build.chunk("series", (block, band, 0)).write_if(data.to_bytes(), new=True)
    return len(tasks)


def _fetched(plan: BucketPlan, block: int, folder: Path) -> BucketPlan:
    """Return the plan with the staged frames of a block of times in a folder of this machine."""
    start = block * plan.shape.series_times
    slots = list(plan.slots)
    wanted = [n for n in range(start, min(start + plan.shape.series_times, len(slots))) if slots[n].old is None]

    def fetch(number: int) -> None:
        stem = folder / str(number)
        source = staged_file(slots[number].stem, "series")
        stem.with_suffix(".series").write_bytes(source.read_bytes())
        slots[number] = dataclasses.replace(slots[number], stem=str(stem))

    _together(fetch, wanted, lambda: None)
    return dataclasses.replace(plan, slots=tuple(slots))


def finish(build: Build, check: Callable[[], None]) -> None:
    """Put the new cube in the place of the old one.

    Raises:
        WriteError: The bucket refused, or another run has made the cube since.
    """
    plan = build.plan
    with write_errors(plan.out):
        _refuse_other(plan.out, plan.version, check)
        for key, data in build.documents.items():  # nobody is led to these yet
            if key != ROOT and key not in build.before:
                check()
                (plan.out / key).write_bytes(data)
        check()
        _replace(plan.out / ROOT, build.documents[ROOT], plan.version, plan)
        mend(plan.out, check)


def _replace(path: RemotePath, data: bytes, version: str, plan: BucketPlan) -> None:
    """Write an object, unless another run has done so since it had this version (empty: since it was not there).

    Raises:
        WriteError: Another run has.
        OSError: The bucket refused.
    """
    # The same bytes may be there: an answer was lost, and the request sent again.
    if not path.write_if(data, new=not version, over=version) and path.read_bytes() != data:
        raise _made_by_another(plan.out)


def mend(out: RemotePath, check: Callable[[], None]) -> None:
    """Finish what a killed run left: metadata that does not match the root, and old values.

    Raises:
        WriteError: Another run has made the cube meanwhile.
        OSError: The bucket refused.
    """
    version, root = version_of(out), root_of(out)
    if root is None:
        return
    documents = documents_of(root)
    for key, data in documents.items():
        path = out / key
        if key != ROOT and not (path.is_file() and _same(path.read_bytes(), data)):
            check()
            path.write_bytes(data)
    keys = [_below(out, path) for path in out.below()]
    _refuse_other(out, version, check)
    unlink_all([out / key for key in unused(keys, documents, only_values=True)])


def _same(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def _below(out: RemotePath, path: RemotePath) -> str:
    return path.key.removeprefix(f"{out.key}/")


def _together(work: Callable[[_T], object], items: Iterable[_T], check: Callable[[], None]) -> None:
    """Call a function for many items at once; the first error ends it."""

    def checked(item: _T) -> None:
        check()
        work(item)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = [pool.submit(checked, item) for item in items]
        try:
            for result in results:
                result.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
