"""What is found is let go of in the end, also where another thread is still inside."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hsrgeo.engine.export import export_run as export_module
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import TruncatedError
from hsrgeo.outputs.outcome import Outcome
from hsrgeo.sources.found import Found, closable, reading

ONE = Found("a.tar", "m", None, 1)
BROKEN = dataclasses.replace(ONE, error=TruncatedError("truncated", "more", "less", "a.tar", "m"))


class Source:
    """Gives some frames, then waits, as one that is slow, until it may end."""

    def __init__(self, *found: Found) -> None:
        self.waits, self.may_end = threading.Event(), threading.Event()
        self.closed = threading.Event()
        self._found = found

    def __iter__(self) -> Iterator[Found]:
        try:
            yield from self._found
            self.waits.set()
            assert self.may_end.wait(60)
        finally:
            self.closed.set()

    def entered(self, take: Iterable[object]) -> threading.Thread:
        """Return a thread that takes everything, once it is inside and waits."""
        thread = threading.Thread(target=lambda: list(take), daemon=True)
        thread.start()
        assert self.waits.wait(60)
        return thread


def test_a_source_is_closed_where_reading_ends_early() -> None:
    source = Source(ONE, ONE)
    with reading(iter(source)) as found:
        assert next(found) == ONE
        assert not source.closed.is_set()
    assert source.closed.is_set()
    assert list(found) == []


@pytest.mark.parametrize("end", [KeyboardInterrupt, GeneratorExit])
def test_what_ended_a_run_comes_out_while_a_thread_is_inside(end: type[BaseException]) -> None:
    source = Source(ONE)
    threads: list[threading.Thread] = []

    def run() -> None:
        with reading(iter(source)) as found:
            threads.append(source.entered(found))
            with pytest.raises(ValueError, match="already executing"):  # what must not come out
                found.close()
            raise end

    with pytest.raises(end):
        run()
    assert not source.closed.is_set()  # left to the thread
    source.may_end.set()
    threads[0].join()
    assert source.closed.is_set()


def test_an_error_of_the_source_itself_comes_out() -> None:
    def odd() -> Iterator[Found]:
        try:
            yield ONE
        finally:
            raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"), reading(odd()) as found:
        next(found)


def test_closing_reaches_what_was_given() -> None:
    source = Source(ONE)
    found = closable(iter(source))
    next(found)
    found.close()
    assert source.closed.is_set()


def test_an_export_ends_as_it_should_while_a_feeder_is_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with --fail-fast on a cluster, whose feeder waits for the next frame of a slow source."""
    source = Source(*[BROKEN] * export_module._BATCH_ENTRIES)

    def run_parallel(
        work: Callable[[Sequence[Any]], list[Outcome]], batches: Iterator[Sequence[Any]], *_rest: object
    ) -> Iterator[list[Outcome]]:
        first = next(batches)
        source.entered(batches)
        yield work(first)

    (tmp_path / "a.tar").touch()  # what is in it comes from `source`
    monkeypatch.setattr(export_module, "scan_for", lambda *_: iter(source))
    monkeypatch.setattr(export_module, "run_parallel", run_parallel)
    outcomes = list(export_module.Export([tmp_path / "a.tar"], tmp_path / "out", ExportOptions(fail_fast=True)))
    source.may_end.set()
    assert [outcome.status for outcome in outcomes] == ["failed"]
