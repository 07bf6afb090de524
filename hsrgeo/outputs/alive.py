"""Whether the run that has a lock still runs on this machine.

A process id alone tells nothing: every container has low ones, and a machine uses them again. Here one counts only
together with the boot of the machine, the namespaces and the moment that its process began. Where these are unknown,
as on Windows and macOS, nobody can know, and the lease of the lock decides.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

Holder = dict[str, Any]
"""Fields of a lock: ``run``, ``host``, ``pid``, ``machine``, ``begun``; the host is for people only."""
RUNS: set[str] = set()
"""The locks that this process has."""
_MOST_PID = 1 << 31


@cache
def machine() -> str:
    """Return a text that only this container of this machine has until it restarts; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return " ".join((boot, *(os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "mnt"))))  # noqa: PTH115
    except (OSError, ValueError):
        return ""


def begun_at(pid: int) -> str | None:
    """Return when a process began, in ticks since the machine did; empty once it has ended, None if unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        ended = fields[0] in ("Z", "X") and len(os.listdir(f"/proc/{pid}/task")) <= 1  # noqa: PTH208
        return "" if ended else fields[19]  # fields 3 and 22 of proc(5)
    except (OSError, IndexError):
        return None


def is_alive(holder: Holder) -> bool | None:
    """Tell whether a run still runs on this machine; None if that cannot be known from here."""
    pid = holder.get("pid")
    if not machine() or holder.get("machine") != machine() or not isinstance(pid, int) or not 0 < pid < _MOST_PID:
        return None
    begun = begun_at(pid)
    if pid == os.getpid() and begun == holder.get("begun"):
        return holder.get("run") in RUNS
    try:
        os.kill(pid, 0)  # knows also the processes that /proc hides
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return None if begun is None else begun == holder.get("begun")
