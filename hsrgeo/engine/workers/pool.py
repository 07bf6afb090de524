"""A pool of processes for one run alone."""

from __future__ import annotations

import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from hsrgeo.engine.workers.start import (
    BrokenProcessPool,
    Crew,
    ProcessPoolExecutor,
    TerminatedWorkerError,
    begin,
    process_executor,
    resource_tracker,
    safely,
)
from hsrgeo.errors import HsrGeoError, HsrGeoWarning

Batch = TypeVar("Batch")
Result = TypeVar("Result")

_LOOK_S = 0.5
# ^ how often a worker looks whether its parent is there


class Pool(Generic[Batch, Result]):
    """A pool for one run alone.

    joblib's `Parallel` shares one among all that a process does: a run that ends early takes it from the others, two
    that want it of another size wait for each other for ever, and a forked process takes over a dead one.
    """

    def __init__(self, work: Callable[[Batch], Result], first: Iterable[Batch], workers: int) -> None:
        alone = {name: "1" for name in _THREADS if name not in os.environ}  # a core each: they share this machine
        self._work, self._home, self._crew = work, os.getpid(), Crew()
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: dict[Future[Result], Batch] = {}
        # An interrupt inside `concurrent.futures.wait` can leave a future locked, for which loky's thread then waits
        # for ever; a queue of C has no such moment.
        self._done: SimpleQueue[Future[Result]] = SimpleQueue()
        try:
            with safely(), _interrupts_held(), _interrupts_blocked():
                self._pool = ProcessPoolExecutor(workers, context=self._crew, initializer=_begin_worker, env=alone)
                for batch in first:
                    self._submit(batch)
        except BaseException:
            self._end(kill=True)
            raise

    def _submit(self, batch: Batch) -> None:
        if self._pool:
            future = self._pool.submit(self._work, batch)
            self._waiting[future] = batch
            future.add_done_callback(self._done.put)

    def results(self, feed: Iterator[Batch], left: list[Batch]) -> Generator[Result]:
        """Yield results, as long as there are workers; `left` receives the batches not done, if none can start.

        Raises:
            HsrGeoError: A worker died at work.
        """
        over = False
        try:
            while self._waiting:
                try:
                    future = self._done.get(timeout=_LOOK_S)
                except Empty:
                    if not self._is_managed():
                        raise BrokenProcessPool("can't start new thread") from None  # which ended loky's own
                    continue
                result = future.result()
                del self._waiting[future]
                left += islice(feed, 1)
                with suppress(BrokenProcessPool), _interrupts_held():  # what waits has the same error, in a moment
                    while left:
                        self._submit(left[0])
                        left.pop(0)
                yield result
            over = True
        except BrokenProcessPool as error:
            reason: str | None = _last_line(str(error.__cause__ or error))
            if isinstance(error, TerminatedWorkerError):
                status, reason = self._crew.death()
                if reason is None:
                    raise _death(status) from error
                reason = _last_line(reason) or _how(status)
            _warn(f"worker processes cannot begin ({reason}); {_ALONE}")
        finally:
            self._end(kill=not over)
        left += self._waiting.values()

    def _is_managed(self) -> bool:
        thread = self._pool and self._pool._executor_manager_thread  # noqa: SLF001
        return thread is not None and thread.is_alive()

    def _end(self, *, kill: bool) -> None:
        if os.getpid() != self._home:  # a fork of this process drops its copy of the run
            return
        if self._pool:
            with _quietly(), suppress(RuntimeError):  # loky's thread could not be started
                self._pool.shutdown(wait=True, kill_workers=kill)
        self._crew.end()


def pool_of(workers: int, work: Callable[[Batch], Result], first: Sequence[Batch]) -> Pool[Batch, Result] | None:
    """Return a pool that works on the first batches, with fewer workers where the system refuses more, or None."""
    fewer, reason = workers, ""
    while fewer > 1:
        try:
            pool = Pool(work, first, fewer)
        except Exception as error:  # noqa: BLE001 - whatever loky makes of no files, processes, threads or semaphores
            reason = _reason(error)
            fewer = (fewer + 1) // 2 if fewer > 2 else 1  # noqa: PLR2004 - of three, two
            continue
        if fewer < workers:
            _warn(f"{fewer} worker processes instead of {workers}: this system allows no more ({reason})")
        return pool
    _warn(f"no worker processes: this system does not allow them ({reason}); {_ALONE}")
    return None


_ALONE = "all work is done in one process, with the same results"


def _warn(text: str) -> None:
    warnings.warn(text, HsrGeoWarning, stacklevel=2)


def _reason(error: BaseException) -> str:
    """Return the error of the system; loky may have wrapped it in another."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, OSError):
        cause = cause.__context__
    said = cause.strerror if isinstance(cause, OSError) else None
    return said or str(error) or type(error).__name__


def _death(status: int) -> HsrGeoError:
    again = "run the same command again"
    if status == -getattr(signal, "SIGKILL", 0):
        problem = "was killed, most likely because memory ran out"
        again += ", with fewer --jobs"
    elif status < 0:
        problem = f"crashed, or was ended from outside ({_how(status)})"
    else:
        problem = f"ended by itself ({_how(status)})"
    return HsrGeoError(f"a worker process {problem}; {again}: it resumes where it stopped")


def _last_line(text: str) -> str:
    """Return the last line of a traceback.

    Of several workers the last may be killed while it writes one: indented lines, and one without its end, say nothing.
    """
    lines = text.splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n") and not line.startswith((" ", "Traceback"))]
    found = (line.strip(' -"\n') for line in [*lines, *whole][::-1])
    return next(filter(None, found), "")[:_LONGEST]


_LONGEST = 300


def _how(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end when it has ended: loky's workers outlive a parent that is killed."""
    # loky replaces a worker that grew by 300 MB, with a warning in the thread that hands out work: where warnings are
    # errors the thread ends, and the run waits for ever. Memory is bounded here by other means. Nor can it be measured
    # without /proc, where psutil then fails.
    process_executor._get_memory_usage = lambda *_given, **_more: 0  # noqa: SLF001
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where signals cannot be blocked, see below
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        with suppress(RuntimeError):  # no more threads: then loky's own ways must do
            threading.Thread(target=_end_without, args=(parent.pid,), daemon=True).start()
    begin()


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)


@contextmanager
def _quietly() -> Iterator[None]:
    """Give up the work without a message: loky's thread may miss what it was about to hand out."""
    hook = threading.excepthook
    threading.excepthook = lambda args: None if args.exc_type is KeyError else hook(args)
    try:
        yield
    finally:
        threading.excepthook = hook


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while loky holds locks: interrupted while it starts workers it also prints a traceback."""
    interrupts: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number)) if in_main else None
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)
    if interrupts:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C from the workers for good: it is this process that ends them."""
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
