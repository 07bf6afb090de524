"""How many processes may work here."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

ALL_CORES = -1
"""Number of workers that means `usable_cores`."""
_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Return the least of this machine's cores, those this process may use, and its CPU quota, at least 1.

    joblib counts them, a container's quota among them, and takes the variable LOKY_MAX_CPU_COUNT, where it is set, as
    one more limit. It does not see the quota of a group inside the machine or container, as systemd's CPUQuota= sets.
    """
    from hsrgeo.engine.workers.start import cpu_count  # noqa: PLC0415 - a tenth of a second that `--jobs 1` need not take

    try:
        cores = int(cpu_count())
    except (OSError, ValueError):  # a file that cannot be read, or no number in it or in the variable
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota(cores)))


def _quota(cores: int) -> int:
    """Return how many cores the control groups of this process allow (Linux, cgroup v2: ``cpu.max``), from `cores` on.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    with suppress(OSError, ValueError):
        own = next((line[3:] for line in _OWN.read_text().splitlines() if line.startswith("0::")), "/")
        group = _CGROUPS / own.lstrip("/")
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # "max", or no such file, as in the topmost
                quota_us, period_us = map(int, (folder / "cpu.max").read_text().split())
                cores = min(cores, math.ceil(quota_us / period_us))
    return cores
