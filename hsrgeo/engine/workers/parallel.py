"""Batches through a pool of processes, results as they come."""

from __future__ import annotations

import atexit
import multiprocessing.resource_tracker
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from joblib import Parallel, delayed
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
_UNREAD = 32
# ^ batches for each worker whose results nobody has read yet; a reader that is slower than the workers holds them up
_LOOK_S = 0.5
# ^ how often a worker looks whether its parent is there


def run_parallel(
    work: Callable[[Batch], Result], batches: Iterable[Batch], workers: int | Cluster, shared: Shared | None = None
) -> Generator[Result]:
    """Yield ``work(batch)`` for each batch, in whatever order they are done.

    With one worker there is no pool. The batches are taken from another thread as the workers need them; an
    exception there ends the run after the results that were under way. Closing it early stops the workers at once.

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
    if workers == 1:
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
    ahead = _AHEAD * workers
    parallel = Parallel(
        n_jobs=workers,
        return_as="generator_unordered",
        batch_size=1,
        pre_dispatch=ahead,
        max_nbytes=None,  # never spill a frame's bytes to a memory-mapped file
        initializer=_depend_on_parent,
    )
    # A worker that grew by 300 MB is replaced. That is nothing to warn of, and in loky's thread, where warnings are
    # errors, the end of the thread: the run would wait for ever.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning, r"joblib\.")
    feed = _Feed(batches, _UNREAD * workers)
    results: Generator[Result] | None = None
    try:
        while first := list(islice(feed, ahead)):  # taken here, where Ctrl-C is heard at once
            with _interrupts_held():
                results = parallel(delayed(work)(batch) for batch in chain(first, feed))
            del first
            _end_runs_at_exit()
            for result in results:
                feed.read += 1
                yield result
    except TerminatedWorkerError as error:
        raise HsrGeoError(
            "a worker process was killed, most likely because memory ran out; run the same command again, "
            "with fewer --jobs: what is done stays done"
        ) from error
    finally:
        if results is not None:
            with _quietly():
                results.close()
    if feed.error:
        raise feed.error


_RUNS: WeakSet[Generator[Any]] = WeakSet()


@cache
def _end_runs_at_exit() -> None:
    """Close what a script leaves unfinished, before loky's own hook: joblib would hand out work until it fails.

    Hooks of `threading` come last in, first out, so this one has to come after a pool was started.
    """
    getattr(threading, "_register_atexit", atexit.register)(_end_runs)


def _end_runs() -> None:
    for run in list(_RUNS):
        with suppress(ValueError):  # it is being iterated, in another thread
            run.close()


class _Feed(Generic[Batch]):
    """Batches as joblib takes them, in a thread of its own.

    An iterator that waits or raises there would hang the run. So it ends where too many results are unread, and is
    iterated again once they were read; and it keeps an exception for later.
    """

    def __init__(self, batches: Iterable[Batch], most: int) -> None:
        self.read = 0
        """Results that were read."""
        self.error: Exception | None = None
        """What ended the batches early."""
        self._batches = iter(batches)
        self._taken = 0
        self._most = most

    def __iter__(self) -> Iterator[Batch]:
        try:
            while self.error is None and self._taken - self.read < self._most:
                batch = next(self._batches)
                self._taken += 1
                yield batch
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - raised again by run_parallel
            self.error = error


def _depend_on_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it has ended: loky's workers outlive a parent that is killed."""
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
    """Give work up in silence: joblib warns of it, and loky's thread may miss what it was about to hand out."""
    hook = threading.excepthook
    threading.excepthook = lambda args: None if args.exc_type is KeyError else hook(args)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        threading.excepthook = hook


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while workers are started, and from the workers for good: it is this process that ends them.

    A worker that is interrupted while it starts prints a traceback; so does joblib, interrupted while it starts one.
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
