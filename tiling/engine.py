"""The one place that drives Dask: jobs go out, small results come back, followers are queued.

Only addresses, settings and small summaries travel through the scheduler; pixels and cells stay in the
worker that read them and go to disk from there.
"""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from ..errors import SettingsError
from .memory import peak_memory_mb

__all__ = ["Engine", "Job", "JobResult", "available_cores"]

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = "20s"
"""How long to wait for a scheduler to answer."""

JOBS_PER_WORKER = 3
"""Jobs kept in flight per worker thread: enough that none waits, few enough that a kill loses little."""


@dataclass(frozen=True)
class Job:
    """One call of a module-level function on a worker."""

    function: Callable[..., Any]
    """Importable function; runs in the worker's process."""
    arguments: tuple[Any, ...]
    """Small picklable arguments: addresses and settings, never pixels."""
    tag: Any = None
    """Whatever the caller needs to recognise the result; it does not travel."""
    resources: dict[str, float] = field(default_factory=dict)
    """Dask resources that the job asks for, such as ``{"GPU": 1}``."""


@dataclass(frozen=True)
class JobResult:
    """What became of a job: a value, or the exception that ended it."""

    job: Job
    value: Any = None
    error: BaseException | None = None


class Engine:
    """Runs jobs on threads, local processes or any Dask scheduler.

    Parameters
    ----------
    scheduler : str
        ``"threads"`` (one process), ``"processes"`` (one process per worker) or the address of a
        running Dask scheduler such as ``tcp://head-node:8786``.
    workers : int
        Number of worker threads or processes; ignored for an address. 0 means one per core.

    Raises
    ------
    SettingsError
        If the scheduler is unknown or does not answer.
    """

    def __init__(self, *, scheduler: str = "processes", workers: int = 0) -> None:
        if scheduler not in {"threads", "processes"} and "://" not in scheduler:
            raise SettingsError(
                f"unknown scheduler {scheduler!r}",
                "Use threads, processes or the address of a Dask scheduler such as tcp://host:8786.",
            )
        if workers < 0:
            raise SettingsError(f"{workers} workers is impossible", "Use --workers 0 for one per core.")
        self.scheduler = scheduler
        self.workers = workers or available_cores()
        self._client: Any = None
        self._cluster: Any = None

    def __enter__(self) -> Self:
        import dask

        # Distributed sets up log handlers of its own on import, unless it is told to be quiet before.
        dask.config.set({"logging": {"distributed": "critical", "distributed.client": "critical"}})
        from distributed import Client, LocalCluster

        # Slides are read into worker memory outside of Dask's view, so its spill and pause limits would
        # only get in the way; comms retry because a busy worker may answer late.
        quiet = {
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
            "distributed.worker.memory.terminate": False,
            "distributed.scheduler.allowed-failures": 2,
            "distributed.comm.timeouts.connect": "30s",
            "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
        }
        with dask.config.set(quiet):
            if "://" in self.scheduler:
                try:
                    self._client = Client(self.scheduler, timeout=CONNECT_TIMEOUT, set_as_default=False)
                except (OSError, TimeoutError, ValueError) as error:
                    raise SettingsError(
                        f"no Dask scheduler answers at {self.scheduler}",
                        "Start one with `dask scheduler` and give its tcp:// address, or omit --scheduler.",
                    ) from error
                self.workers = max(1, sum(self._client.nthreads().values()))
            else:
                processes = self.scheduler == "processes"
                self._cluster = LocalCluster(
                    n_workers=self.workers if processes else 1,
                    threads_per_worker=1 if processes else self.workers,
                    processes=processes,
                    dashboard_address="127.0.0.1:0",
                    worker_dashboard_address="127.0.0.1:0",
                    silence_logs=logging.ERROR,
                    memory_limit=0,
                    **({"host": "127.0.0.1"} if processes else {}),
                )
                self._client = Client(self._cluster, set_as_default=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def run(self, jobs: Iterable[Job], follow: Callable[[JobResult], Iterable[Job]]) -> None:
        """Run all jobs and every job that their results call for.

        Parameters
        ----------
        jobs : iterable of Job
            What to start with; drawn lazily, so it may be long.
        follow : callable
            Called here, in this process, with each result in the order of completion; returns the jobs
            that the result makes possible. They go before the jobs that still wait, so a slide that
            has begun is finished before the next ones fill the queue.
        """
        from distributed import as_completed

        first: deque[Job] = deque()
        rest = iter(jobs)
        flying: dict[Any, Job] = {}
        completed = as_completed([], loop=self._client.loop, raise_errors=False)
        limit = JOBS_PER_WORKER * self.workers
        try:
            while True:
                while len(flying) < limit and (job := first.popleft() if first else next(rest, None)):
                    future = self._submit(job)
                    flying[future] = job
                    completed.add(future)
                if not flying:
                    return
                future = next(completed)
                first.extend(follow(_result(flying.pop(future), future)))
                future.release()
        finally:
            if flying:
                self._client.cancel(list(flying))

    def peak_memory_mb(self) -> float:
        """Return the greatest peak memory of any worker process so far, MB."""
        return max(self._client.run(peak_memory_mb).values(), default=0.0)

    def _submit(self, job: Job) -> Any:
        """Hand one job to the scheduler."""
        return self._client.submit(
            _call, job.function, job.arguments, pure=False, resources=job.resources or None, retries=0
        )


WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
}
"""What worker processes begin with.

One thread of BLAS each: several threads in each of several processes only fight each other. And memory that
is freed is kept, up to 256 MB, and used again: Dask's own setting gives it back to the system at once, so
that a network's layers, of some 10 MB each, would get fresh pages over and over.
"""


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """Run a job on its worker; an error is an answer like any other, not a fault of the cluster."""
    try:
        return function(*arguments), None
    except Exception as error:
        error.add_note(traceback.format_exc())  # the traceback itself does not travel
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return None, RuntimeError(f"{type(error).__name__}: {error}")
        return None, error


def _result(job: Job, future: Any) -> JobResult:
    """Turn a finished future into a value or the exception that ended it."""
    if future.status == "finished":
        value, error = future.result()
        return JobResult(job, value=value, error=error)
    if future.status == "error":
        return JobResult(job, error=future.exception())
    return JobResult(job, error=RuntimeError(f"the job was {future.status}"))
