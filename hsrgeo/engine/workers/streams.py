"""Standard streams that are closed or None, as in services and under ``>&-``."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, TextIO

_STDERR = 2


def fill_closed_streams() -> None:
    """Open what is closed of stdin, stdout and stderr on the null device.

    Else the next file or pipe that is opened takes the place, and gets what a library prints.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - workers need them as much
    os.close(descriptor)


class Flushable:
    """Stands for a stream that may be None, or closed, where somebody flushes it."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def flush(self) -> None:
        """Flush, where that can be done."""
        with suppress(AttributeError, OSError, ValueError):
            self._stream.flush()  # type: ignore[union-attr]

    def write(self, text: str) -> int:
        """Write, where there is a stream."""
        return len(text) if self._stream is None else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of the stream
        return getattr(self._stream, name)
