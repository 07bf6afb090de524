"""Who works: so many processes of this machine, or a Dask cluster."""

from __future__ import annotations

from hsrgeo.engine.workers.cluster import WAIT_S, Cluster
from hsrgeo.engine.workers.cores import ALL_CORES, usable_cores
from hsrgeo.errors import OptionsError
from hsrgeo.model.checks import refuse_fractions


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
