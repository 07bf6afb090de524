"""Batches through processes: everything comes back once, little is under way, and nothing is left behind."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from joblib.externals.loky import ProcessPoolExecutor

from hsrgeo.engine.workers.parallel import _AHEAD, run_parallel
from hsrgeo.engine.workers.pool import _last_line
from hsrgeo.errors import HsrGeoError, TruncatedError
from tests.batches import broken_at_five, hoarding, interrupt_state, killed_at_five, meeting, slowly, squared


def all_of(count: int) -> list[tuple[int, int]]:
    return list(run_parallel(squared, range(count), 2))


@pytest.fixture
def hears_interrupts() -> Iterator[None]:
    """Let this process be interrupted, also where the tests run with signals ignored, as in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Counted:
    """Counts what is taken of it."""

    def __init__(self, count: int) -> None:
        self.taken = 0
        self.threads: set[int] = set()
        self._count = count

    def __iter__(self) -> Iterator[int]:
        for number in range(self._count):
            self.taken += 1
            self.threads.add(threading.get_ident())
            yield number


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 200])
def test_every_batch_comes_back_once(workers: int, count: int) -> None:
    results = list(run_parallel(squared, range(count), workers))
    assert sorted(square for square, _pid in results) == [number * number for number in range(count)]
    pids = {pid for _square, pid in results}
    assert (pids == {os.getpid()}) is (count == 1 or (workers == 1 and count > 0))
    if workers == 1:
        assert [square for square, _pid in results] == [number * number for number in range(count)]


@pytest.mark.slow
def test_several_processes_take_part(tmp_path: Path) -> None:
    # Neither comes to an end before the other has begun, however late it starts.
    assert len(set(run_parallel(partial(meeting, tmp_path), range(4), 2))) == 2


def test_one_worker_takes_nothing_ahead() -> None:
    batches = Counted(5)
    for number, _result in enumerate(run_parallel(slowly, batches, 1), 1):
        assert batches.taken == number


@pytest.mark.slow
def test_few_batches_are_under_way() -> None:
    batches = Counted(60)
    most = 0
    for number, _result in enumerate(run_parallel(slowly, batches, 2)):
        most = max(most, batches.taken - number)
    assert batches.taken == 60
    assert most == 2 * _AHEAD + 1  # one more is taken before a result is handed out


@pytest.mark.slow
def test_what_is_not_read_holds_the_batches_up() -> None:
    batches = Counted(300)
    run = run_parallel(squared, batches, 2)
    for number in range(10):
        next(run)
        time.sleep(0.02)
        assert batches.taken <= number + 1 + 2 * _AHEAD
    run.close()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_comes_out_whole(workers: int) -> None:
    with pytest.raises(TruncatedError) as caught:
        list(run_parallel(broken_at_five, range(10), workers))
    assert str(caught.value) == "a.tar [m]: truncated: expected more, found less"
    assert caught.value.__notes__ == ["while exporting 5"]
    assert len(list(run_parallel(squared, range(10), workers))) == 10  # and the next run is sound


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("sound", [1, 30])
def test_an_error_in_the_batches_comes_after_what_was_under_way(workers: int, sound: int) -> None:
    def batches() -> Iterator[int]:
        yield from range(sound)
        raise ZeroDivisionError("a bug")

    results = run_parallel(slowly, batches(), workers)
    assert sorted(itertools.islice(results, sound)) == list(range(sound))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        next(results)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_explained() -> None:
    with pytest.raises(HsrGeoError, match=r"a worker process was killed.*fewer --jobs"):
        list(run_parallel(killed_at_five, range(10), 2))
    assert len(list(run_parallel(squared, range(10), 2))) == 10


@pytest.mark.slow
def test_closing_ends_at_once_and_in_silence() -> None:
    for read in (0, 1, 5):
        run = run_parallel(slowly, range(100_000), 2)
        for _ in range(read):
            next(run)
        begun = time.monotonic()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run.close()
        assert not caught
        assert time.monotonic() - begun < 250  # all of them would take 1,000 s
    assert len(list(run_parallel(squared, range(10), 2))) == 10


@pytest.mark.slow
@pytest.mark.usefixtures("hears_interrupts")
def test_an_interrupt_ends_at_once_and_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    sent: list[float] = []

    def batches() -> Iterator[int]:
        for number in range(100_000):
            if number == 20:
                sent.append(time.monotonic())
                os.kill(os.getpid(), signal.SIGINT)
            yield number

    with pytest.raises(KeyboardInterrupt):
        list(run_parallel(slowly, batches(), 2))
    assert time.monotonic() - sent[0] < 250  # all of them would take 1,000 s
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("hears_interrupts")
def test_an_interrupt_before_the_workers_start_is_not_lost() -> None:
    def batches() -> Iterator[int]:
        os.kill(os.getpid(), signal.SIGINT)
        yield from range(10)

    with pytest.raises(KeyboardInterrupt):
        list(run_parallel(slowly, batches(), 2))


@pytest.mark.usefixtures("hears_interrupts")
def test_an_interrupt_while_the_workers_start_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(ProcessPoolExecutor):  # type: ignore[misc]
        def submit(self, *given: Any) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            return super().submit(*given)

    monkeypatch.setattr("hsrgeo.engine.workers.pool.ProcessPoolExecutor", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(run_parallel(slowly, range(100), 2))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


class Threads(ThreadPoolExecutor):
    """Stands for loky's pool, without the half second that processes take to start."""

    def __init__(self, workers: int, **_more: object) -> None:
        super().__init__(workers)
        self._executor_manager_thread = threading.main_thread()

    def shutdown(self, wait: bool = True, kill_workers: bool = False) -> None:  # type: ignore[override] # noqa: ARG002, FBT001, FBT002
        super().shutdown(wait=wait, cancel_futures=True)


@pytest.mark.slow
@pytest.mark.usefixtures("hears_interrupts")
def test_an_interrupt_at_any_moment_leaves_nothing_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsrgeo.engine.workers.pool.ProcessPoolExecutor", Threads)

    def interrupt(number: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(signal.SIGINT)
        assert callable(handler)
        handler(number, frame)

    def unheard(_unraisable: object) -> None:  # Python throws away what is raised in a callback of the collector
        signal.setitimer(signal.ITIMER_REAL, 1e-3)  # the command asks again too, see hsrgeo.__main__

    monkeypatch.setattr(sys, "unraisablehook", unheard)
    before = signal.signal(signal.SIGALRM, interrupt)
    chance, heard = random.Random(1), 0  # noqa: S311
    try:
        for _ in range(500):
            run = run_parallel(abs, itertools.count(), 2)
            next(run)
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 3e-3))
                for _result in run:
                    pass
            except KeyboardInterrupt:
                heard += 1
            run.close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard == 500


@pytest.mark.slow
def test_workers_leave_interrupts_to_the_parent() -> None:
    assert set(run_parallel(interrupt_state, range(20), 2)) == {(True, True)}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.slow
def test_it_runs_in_a_thread_too() -> None:
    results: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: results.extend(run_parallel(squared, range(50), 2)))
    thread.start()
    thread.join()
    assert len(results) == 50


@pytest.mark.slow
def test_workers_that_grew_go_on_without_a_word_whatever_becomes_of_warnings() -> None:
    run = run_parallel(hoarding, range(12), 2)
    results = [next(run)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # after the run began
        results += run
    assert sorted(results) == list(range(12))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(2, 3), (2, 2), (3, 2)])
def test_runs_side_by_side_leave_each_other_alone(sizes: tuple[int, int]) -> None:
    first, second = (run_parallel(squared, range(60), size) for size in sizes)
    pairs = list(itertools.islice(zip(first, second, strict=True), 20))
    first.close()
    rest = list(second)
    assert sorted(square for square, _pid in [*(right for _left, right in pairs), *rest]) == [n * n for n in range(60)]


@pytest.mark.slow
def test_runs_in_threads_leave_each_other_alone() -> None:
    results: list[tuple[int, int]] = []
    threads = [
        threading.Thread(target=lambda size=size: results.extend(run_parallel(squared, range(50), size)))
        for size in (2, 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 100


_BARE = """
import os, sys, time
os.environ["PATH"] = ""  # no pgrep, as in a slim container
from hsrgeo.engine.workers.parallel import run_parallel
def who(number): time.sleep(0.05); return os.getpid()
run = run_parallel(who, range(1000), 2)
workers = {next(run) for _ in range(10)}
run.close()
for worker in workers:
    try: os.kill(worker, 0)
    except ProcessLookupError: continue
    print("alive")
"""


@pytest.mark.slow
def test_closing_ends_the_workers_on_a_bare_machine_too() -> None:
    done = subprocess.run([sys.executable, "-c", _BARE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Exception in thread" not in done.stderr  # joblib's tracker may note a semaphore that is gone already


_FORKED = """
import os, sys
from hsrgeo.engine.workers.parallel import run_parallel
def double(number): return 2 * number
one = run_parallel(double, range(50), 2)
over = sys.argv[1] == "over"
if over: list(one)
else: next(one)
child = os.fork()
if not child:
    ended = sorted(run_parallel(double, range(20), 2)) == list(range(0, 40, 2))
    if not over: one.close()
    os._exit(0 if ended else 1)
_pid, status = os.waitpid(child, 0)
left = len(list(one))
sys.exit(status or (left not in (0, 49)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("parent", ["over", "open"])
def test_a_fork_has_a_pool_of_its_own(parent: str) -> None:
    done = subprocess.run([sys.executable, "-c", _FORKED, parent], check=False)
    assert done.returncode == 0


@pytest.mark.slow
def test_a_process_that_may_start_none_works_alone() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        results = pool.apply(all_of, (10,))
    assert [square for square, _pid in results] == [number * number for number in range(10)]
    assert len({pid for _square, pid in results}) == 1


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("", ""),
        ("numpy is broken", "numpy is broken"),
        ('"""\nTraceback (most recent call last):\n  File "a", line 1\nValueError: b\n"""', "ValueError: b"),
        (
            "Traceback (most recent call last):\n    import a\n    ^^^^\nImportError: b\nTraceback (most",
            "ImportError: b",
        ),
        ("ImportError: b\nTraceback (most recent call last):\n  File 'a', line 1\n    ^^^^\n", "ImportError: b"),
        ("ImportError: b\n    raise a\nImportEr", "ImportError: b"),
    ],
)
def test_the_last_line_of_what_workers_wrote_is_a_whole_one(said: str, line: str) -> None:
    assert _last_line(said) == line
