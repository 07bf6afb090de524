"""Batches through the workers of a Dask cluster that is there already, results as they come.

Through `distributed` itself. joblib's Dask backend hands results out as they come too, but never tells of a task that
ended in an error of the scheduler's own (joblib 1.6, `_dask.py`: no callback without a result), so a frame that kills
its workers would hang the run; and it reads the batches in the thread that keeps the connection alive.

The bytes of a batch wait with the scheduler until its result was read: a worker that dies takes nothing with it, and
the batch goes to another one.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import uuid4

from hsrgeo.engine.workers.admission import Expected, Shared, admit, expected_of
from hsrgeo.errors import ClusterError, HsrGeoError, OptionsError, needs
from hsrgeo.sources.found import Found

Client = Any
Future = Any
# ^ of distributed, whose functions have no types, and which only a run on a cluster imports
Batch = TypeVar("Batch")
Result = TypeVar("Result")

_AHEAD = 3
# ^ batches waiting for each thread of a worker: one being worked on, one ready, one on its way
_LOOK_S = 1.0
# ^ how often it is looked whether there are workers
_FETCH_S = 10.0
# ^ after this a result that does not come is asked for again: whoever had it may have died, and it is made anew
_END_S = 5.0
_NAMED = 4
WAIT_S = 60.0
"""How long to wait for the scheduler, the first worker, or another worker when all are gone [s]."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Dask cluster that runs already.

    Raises:
        OptionsError: An impossible address or time.
    """

    address: str
    """``tcp://host:8786`` or ``tls://host:8786``, or the path of a scheduler file."""
    wait_s: float = WAIT_S
    """See `WAIT_S`."""

    def __post_init__(self) -> None:
        if not self.address.strip():
            raise OptionsError("dask: expected an address as tcp://host:8786, or the path of a scheduler file")
        scheme, mark, _host = self.address.partition("://")
        if mark and scheme not in _SCHEMES:
            raise OptionsError(
                f"dask {self.address}: expected {', '.join(_SCHEMES)}:// or the path of a scheduler file"
            )
        if not self.wait_s > 0:
            raise OptionsError(f"dask-wait {self.wait_s:g}: expected seconds, more than 0")


_SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")


def run_on_cluster(
    work: Callable[[Batch], Result], batches: Iterable[Batch], cluster: Cluster, shared: Shared | None = None
) -> Generator[Result]:
    """Yield ``work(batch)`` for each batch, in whatever order they are done; see `hsrgeo.engine.workers.parallel`.

    Args:
        work: Top-level function or partial: it is pickled, and goes with every batch.
        batches: Taken lazily by another thread, a few ahead for each thread of the workers.
        cluster: Where.
        shared: A folder that this process and all workers must see, if any.

    Raises:
        ClusterError: There is no scheduler or no worker, a worker has another version or does not see the folder, or
            a batch killed every worker that took it.
        MissingExtraError: `distributed` is not installed.
    """
    expected = expected_of(shared)
    with _connected(cluster) as client:
        _wait_for_worker(client, cluster)
        _check_workers(client, expected)
        run: _Run[Batch, Result] = _Run(client, work, batches, cluster, expected)
        try:
            yield from run.results()
        finally:
            run.end()


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Client]:
    with needs("distributed, to run on a Dask cluster", "dask"):
        import dask  # noqa: PLC0415 - seconds that only a run on a cluster needs
        import distributed  # noqa: PLC0415
    by_file = "://" not in cluster.address and cluster.address.endswith(".json")
    where: dict[str, Any] = {"scheduler_file": cluster.address} if by_file else {"address": cluster.address}
    with _hushed(), dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"}):
        try:
            if by_file and not Path(cluster.address).is_file():  # Dask would wait for it without end
                raise ClusterError(f"{cluster.address}: no such scheduler file")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of other versions of libraries: what matters is looked at in a moment
                connect: Any = distributed.Client
                client: Client = connect(**where, timeout=cluster.wait_s, set_as_default=False, name="hsrgeo")
        except (OSError, TimeoutError, ValueError, ImportError, TypeError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {cluster.address} ({_reason(error)}); is it running, and can this "
                f"machine reach its port? It did not answer within {cluster.wait_s:g} s (--dask-wait)"
            ) from error
        try:
            yield client
        finally:
            with suppress(Exception):  # whatever it was, the run is over
                client.close(timeout=_END_S)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep what `distributed` and its loop log of lost connections and interrupts off the screen: hsrgeo reports it."""
    parts = ("client", "core", "comm", "batched", "utils")
    names = ["distributed", *(f"distributed.{name}" for name in parts), "tornado.application"]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _threads(client: Client) -> int:
    """Return how many threads the workers have; 0 also if the scheduler does not answer."""
    try:
        counts: dict[str, int] = client.nthreads()
    except (OSError, TimeoutError, RuntimeError, ValueError):
        return 0
    return sum(counts.values())


def _wait_for_worker(client: Client, cluster: Cluster) -> None:
    end = time.monotonic() + cluster.wait_s
    while not _threads(client):
        if time.monotonic() > end:
            raise _no_worker(cluster)
        time.sleep(min(_LOOK_S, cluster.wait_s) / 4)


def _no_worker(cluster: Cluster) -> ClusterError:
    return ClusterError(
        f"no Dask worker at {cluster.address} for {cluster.wait_s:g} s (--dask-wait); start some, and run the same "
        "command again: it resumes where it stopped"
    )


def _check_workers(client: Client, expected: Expected) -> None:
    """Look at every worker before the first batch; those that come later are looked at when they take one."""
    answers: dict[str, Any] = client.run(admit, expected, on_error="return")
    refused = {worker: answer for worker, answer in answers.items() if isinstance(answer, BaseException)}
    for worker, error in sorted(refused.items(), key=lambda item: item[0]):
        others = f" ({len(refused):,} of {len(answers):,} workers)" if len(refused) > 1 else ""
        raise _refusal(worker, error, others) from error


def _refusal(worker: str, error: BaseException, others: str = "") -> ClusterError:
    if isinstance(error, HsrGeoError):
        return ClusterError(f"Dask worker {worker}{others}: {error}")
    return ClusterError(
        f"Dask worker {worker}{others} cannot run hsrgeo ({_reason(error)}); the same version must be installed there"
    )


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def work_on_worker(work: Callable[[Batch], Result], batch: Batch, expected: Expected) -> Result:
    """Do a batch. Runs in a worker.

    A worker that was given up may still be writing when another does the same batch: temporary files have names of
    their own, and what both move into place has the same bytes.
    """
    admit(expected)
    return work(batch)


class _Run(Generic[Batch, Result]):
    """Hands batches out in a thread of its own, and collects."""

    def __init__(
        self,
        client: Client,
        work: Callable[[Batch], Result],
        batches: Iterable[Batch],
        cluster: Cluster,
        expected: Expected,
    ) -> None:
        self._client = client
        self._work = work
        self._batches = iter(batches)
        self._cluster = cluster
        self._expected = expected
        self._room = threading.Condition()
        self._most = _AHEAD * max(_threads(client), 1)
        self._under_way: dict[Future, Batch] = {}
        self._done: queue.SimpleQueue[Future | None] = queue.SimpleQueue()
        self._ended = False
        self._error: Exception | None = None
        self._feeder = threading.Thread(target=self._feed, name="hsrgeo-feed", daemon=True)

    def results(self) -> Generator[Result]:
        """Yield results until all are read."""
        self._feeder.start()
        seen = looked = time.monotonic()
        while self._feeder.is_alive() or self._under_way:
            with suppress(queue.Empty):
                future = self._done.get(timeout=_LOOK_S)
                if future is not None and future in self._under_way:
                    result = self._result(future)
                    if result is not None:
                        seen = time.monotonic()
                        yield result[0]
                        self._forget(future)
            if (now := time.monotonic()) - looked > _LOOK_S:
                looked = now
                threads = _threads(self._client)
                if threads:
                    seen = now
                    self._resize(_AHEAD * threads)
                elif now - seen > self._cluster.wait_s:
                    raise _no_worker(self._cluster)
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Cancel tasks that have not begun; workers finish the others, in files that nobody moves into place."""
        with self._room:
            self._ended = True
            self._room.notify_all()
            left = list(self._under_way)
            self._under_way.clear()
        with suppress(Exception):  # the scheduler may be gone
            if left:
                self._client.cancel(left, force=True)
        if self._feeder.is_alive():
            self._feeder.join(_END_S)

    def _feed(self) -> None:
        try:
            for batch in self._batches:
                with self._room:
                    while len(self._under_way) >= self._most and not self._ended:
                        self._room.wait()
                    if self._ended:
                        return
                    future = self._submitted(batch)
                    self._under_way[future] = batch
                future.add_done_callback(self._done.put)
        except Exception as error:  # noqa: BLE001 - raised again by `results`
            self._error = error
        finally:
            self._done.put(None)

    def _submitted(self, batch: Batch) -> Future:
        key = f"hsrgeo-{uuid4().hex}"
        try:
            return self._client.submit(work_on_worker, self._work, batch, self._expected, key=key, pure=False)
        except Exception as error:  # whatever the connection to the scheduler ended with
            raise self._lost() from error

    def _lost(self) -> ClusterError:
        return ClusterError(
            f"the Dask scheduler at {self._cluster.address} was lost, or gave the tasks up; run the same command "
            "again: it resumes where it stopped"
        )

    def _resize(self, most: int) -> None:
        with self._room:
            self._most = most
            self._room.notify_all()

    def _forget(self, future: Future) -> None:
        with self._room:
            self._under_way.pop(future, None)
            self._room.notify_all()

    def _result(self, future: Future) -> tuple[Result] | None:
        """Return the result of a batch, or None if it is missing after all: then the batch is done again."""
        from distributed import KilledWorker  # noqa: PLC0415 - see above
        from distributed.client import FutureCancelledError  # noqa: PLC0415

        batch = self._under_way[future]
        if future.status == "cancelled":
            raise self._lost()
        try:
            return (future.result(timeout=_FETCH_S),)
        except TimeoutError:
            if future.status == "error":
                raise  # it is the work's own
            future.add_done_callback(self._done.put)  # lost with its worker: the scheduler has it made again
            return None
        except FutureCancelledError as error:  # meanwhile
            raise self._lost() from error
        except KilledWorker as error:
            raise ClusterError(
                f"{error.allowed_failures + 1} Dask workers died, one after another, with {_names(batch)}; most likely "
                "their memory ran out (see their logs), or one of these files is the cause"
            ) from error


def _names(batch: object) -> str:
    """Return which frames a batch has, for people."""
    entries = batch if isinstance(batch, (list, tuple)) else [batch]
    found = [getattr(entry, "found", entry) for entry in entries]
    labels = [one.label for one in found if isinstance(one, Found)]
    more = f" and {len(labels) - _NAMED:,} more" if len(labels) > _NAMED else ""
    return ", ".join(labels[:_NAMED]) + more if labels else "the same task"
