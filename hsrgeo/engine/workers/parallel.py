"""Batches through a pool of processes, results as they come."""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from joblib.externals.loky import ProcessPoolExecutor, process_executor
from joblib.externals.loky.backend import resource_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError

from hsrgeo.engine.workers.admission import Shared
from hsrgeo.engine.workers.cluster import Cluster, run_on_cluster
from hsrgeo.errors import HsrGeoError
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.remote import Place
from hsrgeo.sources.scan import scan
from hsrgeo.sources.select import Selection
from hsrgeo.sources.several import scan_several

Item = TypeVar("Item")
Batch = TypeVar("Batch")
Result = TypeVar("Result")

_AHEAD = 2
# ^ batches waiting for each worker: one being worked on and one ready; memory is bounded by this, not by the archive
_LOOK_S = 0.5
# ^ how often a worker looks whether its parent is there


def run_parallel(
    work: Callable[[Batch], Result], batches: Iterable[Batch], workers: int | Cluster, shared: Shared | None = None
) -> Generator[Result]:
    """Yield ``work(batch)`` for each batch, in whatever order they are done.

    With one worker or one batch there is no pool, nor in a process that may start none. Batches are taken as results
    are read; an exception there ends the run after the results that were under way. Closing it early stops the workers
    at once.

    Args:
        work: Top-level function or partial: it is pickled.
        batches: Taken lazily, a few ahead.
        workers: Processes of this machine, or a cluster, where a worker that is killed ends nothing.
        shared: The output folder, which all workers of a cluster must see.

    Raises:
        HsrGeoError: A worker was killed.
        ClusterError, MissingExtraError: See `run_on_cluster`.
    """
    if isinstance(workers, Cluster):
        return run_on_cluster(work, batches, workers, shared)
    if workers == 1 or multiprocessing.current_process().daemon:
        return (work(batch) for batch in batches)
    run = _in_processes(work, batches, workers)
    _RUNS.add(run)
    return run


def scan_for(
    workers: int | Cluster, sources: Sequence[str | Path], selection: Selection, tally: Tally
) -> Iterator[Found]:
    """Yield what `hsrgeo.sources.scan.scan` yields; for a cluster several archives are read at a time.

    Raises:
        SourceError: See there.
    """
    if isinstance(workers, Cluster):
        return scan_several(sources, selection, tally, readers=os.cpu_count() or 1)
    return scan(sources, selection, tally)


def in_batches(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    """Yield lists of so many items, and of what is left in the end."""
    taken = iter(items)
    while batch := list(islice(taken, count)):
        yield batch


def seen_by(workers: int | Cluster, folder: Place) -> Place:
    """Return the path by which workers know a folder: elsewhere the working folder is another."""
    if isinstance(workers, Cluster) and isinstance(folder, Path):
        return Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() follows links, which may differ elsewhere
    return folder


def _in_processes(work: Callable[[Batch], Result], batches: Iterable[Batch], workers: int) -> Generator[Result]:
    failures: list[Exception] = []
    feed = _until_failure(batches, failures)
    first = list(islice(feed, _AHEAD * workers))  # taken here, where Ctrl-C is heard at once
    if len(first) == 1:  # workers take longer to start than that
        yield work(first[0])
    elif first:
        with _pool(min(workers, len(first))) as pool:
            with _interrupts_held():  # this starts the workers
                waiting = {pool.submit(work, batch) for batch in first}
            del first
            _end_runs_at_exit()
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    waiting.update(pool.submit(work, batch) for batch in islice(feed, 1))
                    yield future.result()
    if failures:
        raise failures[0]


def _until_failure(batches: Iterable[Batch], failures: list[Exception]) -> Iterator[Batch]:
    """Yield batches; an exception ends them, and is kept for when what is under way has come back."""
    try:
        yield from batches
    except Exception as error:  # noqa: BLE001 - raised again by _in_processes
        failures.append(error)


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool that is this run's own.

    joblib's `Parallel` shares one among all that a process does: a run that ends early takes it from the others, two
    that want it of another size wait for each other for ever, and a forked process takes over a dead one.

    Raises:
        HsrGeoError: A worker was killed.
    """
    alone = {name: "1" for name in _THREADS if name not in os.environ}  # a core each: they share this machine
    pool, home, over = ProcessPoolExecutor(workers, initializer=_begin_worker, env=alone), os.getpid(), False
    try:
        yield pool
        over = True
    except TerminatedWorkerError as error:
        raise HsrGeoError(
            "a worker process was killed, most likely because memory ran out; run the same command again, "
            "with fewer --jobs: what is done stays done"
        ) from error
    finally:
        if os.getpid() == home:  # not where a fork of this process drops its copy of the run
            with _quietly():
                pool.shutdown(wait=True, kill_workers=not over)


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

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


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end when it has ended: loky's workers outlive a parent that is killed."""
    # loky replaces a worker that grew by 300 MB, with a warning in the thread that hands out work: where warnings are
    # errors the thread ends, and the run waits for ever. Memory is bounded here by other means.
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize  # noqa: SLF001
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where signals cannot be blocked, see below
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        threading.Thread(target=_end_without, args=(parent.pid,), daemon=True).start()


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)


@contextmanager
def _quietly() -> Iterator[None]:
    """Give work up in silence: loky's thread may miss what it was about to hand out."""
    hook = threading.excepthook
    threading.excepthook = lambda args: None if args.exc_type is KeyError else hook(args)
    try:
        yield
    finally:
        threading.excepthook = hook


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while workers are started, and from the workers for good: it is this process that ends them.

    A worker that is interrupted while it starts prints a traceback; so does loky, interrupted while it starts one.
    """
    held: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _frame: held.append(number)) if in_main else None
    try:
        with _interrupts_blocked():
            yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)
    if held:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    # Processes that are started inherit what is blocked, but not a handler.
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    for tracker in (multiprocessing.resource_tracker, resource_tracker):
        tracker.ensure_running()  # both let signals through again where they are started on the way
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
