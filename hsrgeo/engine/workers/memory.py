"""Warm memory for workers."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc, malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
_KEPT_BYTES = 64 << 20


@cache
def keep_freed_memory() -> None:
    """Ask the C library to keep up to 64 MB of freed memory, once for the process.

    A frame unpacks to 13 MB. Fresh from the system, that much memory costs more in page faults than the unpacking.
    glibc knows the request; elsewhere nothing happens, and nothing depends on it.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # musl has no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
