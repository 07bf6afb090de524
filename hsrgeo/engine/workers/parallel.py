"""Work done ahead of its consumer: batches by processes of this machine or a cluster, single items by threads."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from hsrgeo.engine.workers.admission import Shared
from hsrgeo.engine.workers.cluster import Cluster, run_on_cluster
from hsrgeo.engine.workers.crew import ALL_CORES, usable_cores
from hsrgeo.engine.workers.memory import keep_freed_memory
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.listing import Listing
from hsrgeo.sources.remote import Place
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection
from hsrgeo.sources.several import scan_several

Item = TypeVar("Item")
Batch = TypeVar("Batch")
Result = TypeVar("Result")

_AHEAD = 2
# ^ batches waiting for each worker: one being worked on and one ready; memory is bounded by this, not by the archive


def run_parallel(
    work: Callable[[Batch], Result], batches: Iterable[Batch], workers: int | Cluster, shared: Shared | None = None
) -> Generator[Result]:
    """Yield ``work(batch)`` for each batch, in whatever order they are done.

    There is no pool for one worker or one batch, nor in a process that may start no others. Where the system allows
    fewer workers or none, a `HsrGeoWarning` says so. Batches are taken as results are read; an exception that is raised
    there comes out after the results of the batches that were running. Closing it early stops the workers at once.

    Args:
        work: Top-level function or partial: it is pickled.
        batches: Taken lazily, a few ahead.
        workers: Processes of this machine, `ALL_CORES`, or a cluster, where a worker that is killed ends nothing.
        shared: The output folder, which all workers of a cluster must see.

    Raises:
        HsrGeoError: A worker died.
        ClusterError, MissingExtraError: See `run_on_cluster`.
    """
    if isinstance(workers, Cluster):
        return run_on_cluster(work, batches, workers, shared)
    if workers == 1 or multiprocessing.current_process().daemon:
        return (work(batch) for batch in batches)
    run = _in_processes(work, batches, workers)
    _RUNS.add(run)
    return run


def run_each(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    count: int,
    workers: int | Cluster,
    shared: Shared | None = None,
) -> Generator[list[Result]]:
    """Yield lists of ``work(item)``, so many items to a worker at a time; for all else see `run_parallel`."""
    return run_parallel(partial(_each, work), in_batches(items, count), workers, shared)


def _each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Runs in a worker."""
    keep_freed_memory()
    return [work(item) for item in items]


def scan_for(
    workers: int | Cluster, sources: Sequence[str | Path] | Listing, selection: Selection, tally: Tally
) -> Iterator[Found]:
    """Yield what `hsrgeo.sources.scan.scan` yields; for a cluster several archives are read at a time.

    Raises:
        SourceError: See there.
    """
    if isinstance(workers, Cluster):
        return scan_several(sources, selection, tally, readers=usable_cores())
    return scan(sources, selection, tally)


def in_batches(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    """Yield lists of so many items; the last one may be shorter."""
    taken = iter(items)
    while batch := list(islice(taken, count)):
        yield batch


def seen_by(workers: int | Cluster, folder: Place) -> Place:
    """Return the absolute path of a folder: workers elsewhere have another working folder."""
    if isinstance(workers, Cluster) and isinstance(folder, Path):
        return Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() follows links, which may differ elsewhere
    return folder


def _in_processes(work: Callable[[Batch], Result], batches: Iterable[Batch], workers: int) -> Generator[Result]:
    failures: list[Exception] = []
    feed = _until_failure(batches, failures)
    first = list(islice(feed, 2))  # taken in this thread, where Ctrl-C has effect at once
    if len(first) > 1:  # workers take longer to start than one batch
        workers = usable_cores() if workers == ALL_CORES else workers
        first += islice(feed, _AHEAD * workers - len(first)) if workers > 1 else ()
        pool = None
        if workers > 1:
            from hsrgeo.engine.workers.pool import pool_of  # noqa: PLC0415 - joblib takes a while to import

            pool = pool_of(min(workers, len(first)), work, first)
        if pool:
            first.clear()
            _end_runs_at_exit()
            yield from pool.results(feed, first)
    while first:
        yield work(first.pop(0))
    yield from map(work, feed)
    if failures:
        raise failures[0]


def _until_failure(batches: Iterable[Batch], failures: list[Exception]) -> Iterator[Batch]:
    """Yield batches; an exception ends them, and is raised once the running batches have come back."""
    try:
        yield from batches
    except Exception as error:  # noqa: BLE001 - raised again by _in_processes
        failures.append(error)


_RUNS: WeakSet[Generator[Any]] = WeakSet()


@cache
def _end_runs_at_exit() -> None:
    """Close what a script leaves unfinished, before loky's own hook, which would wait for the workers.

    Hooks of `threading` come last in, first out, so this one has to come after a pool was started.
    """
    getattr(threading, "_register_atexit", atexit.register)(_end_runs)


def _end_runs() -> None:
    for run in list(_RUNS):
        with suppress(ValueError):  # it is being iterated, in another thread
            run.close()


def ahead(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], most: int
) -> Generator[Result]:
    """Yield what is made of each item, in order, while the next ones are being made.

    At most `most` items are worked on or wait as results; this bounds the memory.
    """
    keep_freed_memory()
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
