"""Who works: so many processes of this machine, or a Dask cluster."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

from hsrgeo.engine.workers.cluster import WAIT_S, Cluster
from hsrgeo.errors import OptionsError
from hsrgeo.model.checks import refuse_fractions

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


def workers_for(jobs: int, dask: str | None, wait_s: float | None = None) -> int | Cluster:
    """Return who works: the cluster where one is given, else processes of this machine.

    Raises:
        OptionsError: Both are given, or one cannot be.
    """
    if dask is None:
        if wait_s is not None:
            raise OptionsError("--dask-wait is for a Dask cluster: give its address by --dask too")
        return _checked_jobs(jobs)
    if jobs != -1:
        raise OptionsError("--jobs and --dask exclude each other: a cluster has as many workers as were started there")
    return Cluster(dask, WAIT_S if wait_s is None else wait_s)


def count_workers(jobs: int) -> int:
    """Return how many processes work: -1 is one for each core that this process may use (`usable_cores`).

    Raises:
        OptionsError: Neither -1 nor 1 or more.
    """
    return usable_cores() if _checked_jobs(jobs) == ALL_CORES else jobs


def _checked_jobs(jobs: int) -> int:
    refuse_fractions("jobs", jobs)
    if jobs == 0 or jobs < ALL_CORES:
        raise OptionsError(f"jobs {jobs}: expected 1 or more, or -1 for one a core")
    return jobs
