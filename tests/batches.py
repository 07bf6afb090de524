"""What worker processes do in tests. Each worker imports this module: it imports little, and pytest is not among it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hsrgeo.errors import TruncatedError


def squared(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def slowly(number: int) -> int:
    time.sleep(0.02)
    return number


def meeting(folder: Path, _number: int) -> int:
    """Wait until another process works too; return the process."""
    (folder / f"{os.getpid()}").touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.005)
    return os.getpid()


def broken_at_five(number: int) -> int:
    if number == 5:
        error = TruncatedError("truncated", "more", "less", "a.tar", "m")
        error.add_note("while exporting 5")
        raise error
    return number


def killed_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def killed(_frames: Sequence[object]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies(how: int) -> int:
    if how < 0:
        os.kill(os.getpid(), -how)
    os._exit(how)


_hoard: list[bytes] = []


def hoarding(number: int) -> int:
    if not _hoard and number > 3:
        _hoard.append(b"x" * 400_000_000)  # loky replaces a worker that grew by 300 MB, and looks once a second
        time.sleep(1.2)
    return number


def interrupt_state(_number: int) -> tuple[bool, bool]:
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return blocked, signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def in_this_process(number: int) -> tuple[int, bool]:
    return number, multiprocessing.parent_process() is None


def _loaded_here(number: int) -> int:
    if multiprocessing.parent_process() is not None:
        raise ImportError("libgdal.so.36: cannot open shared object file")
    return number


class Loaded:
    """Cannot be loaded in a worker."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return _loaded_here, (self.number,)


def number_of(loaded: Loaded) -> int:
    return loaded.number
