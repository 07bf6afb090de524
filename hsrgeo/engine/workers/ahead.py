"""Work that threads do a little ahead of its consumer, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from hsrgeo.engine.workers.memory import keep_freed_memory

Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(pool: ThreadPoolExecutor, work: Callable[[Item], Made], items: Iterable[Item], most: int) -> Generator[Made]:
    """Yield what is made of each item, in order, while the next ones are being made.

    At most `most` items are worked on or wait as results; this bounds the memory.
    """
    keep_freed_memory()
    waiting: deque[Future[Made]] = deque()
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
