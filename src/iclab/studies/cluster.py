"""A Dask cluster as a workplace: one that runs, or one that a job queue is asked for."""

from __future__ import annotations

import json
from collections.abc import Generator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from iclab.foundations import InvalidInputError, user_path
from iclab.studies.executors import Pool, Workplace

# Seconds to wait for a scheduler, and for the first worker of a job queue.
_ANSWER, _QUEUE = 10, 86_400
# Kinds of job queues, and the classes of dask-jobqueue that ask them.
_QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
}


@contextmanager
def cluster(target: str) -> Generator[Workplace]:
    """The cluster at an address or of a scheduler's file, or one that a YAML file describes.

    Parameters
    ----------
    target : str
        An address such as ``tcp://10.0.0.1:8786``; a scheduler file (JSON) that ``dask scheduler --scheduler-file``
        writes; or a YAML file for ``dask-jobqueue``: ``queue`` (slurm, pbs, sge, lsf, htcondor), ``jobs`` (how many),
        and the arguments of its cluster, such as ``cores``, ``memory`` and ``walltime``.

    Raises
    ------
    InvalidInputError
        If dask is not installed, nothing answers within 10 s, the file is no such file, or the scheduler ends while
        work is under way.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InvalidInputError(
            "a Dask cluster needs distributed, which is not installed: `pip install 'iclab[cluster]'`."
        ) from error
    path = user_path(target)
    if path.suffix in (".yaml", ".yml"):
        with _queued(path) as queue, Client(queue, set_as_default=False) as client, _staying(target):
            client.wait_for_workers(1, timeout=_QUEUE)
            yield _pool(client)
        return
    if path.suffix == ".json" or path.is_file():
        _check_scheduler_file(path)
        where: dict[str, Any] = {"scheduler_file": str(path)}
    else:
        where = {"address": target}
    try:
        client = Client(**where, timeout=_ANSWER, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InvalidInputError(
            f"a Dask scheduler must answer at {target} within {_ANSWER} s; none did: start one with `dask scheduler`, "
            "or check the address."
        ) from error
    with client, _staying(target):
        yield _pool(client)


@contextmanager
def _staying(target: str) -> Generator[None]:
    """Say in one sentence that the scheduler ended while work was under way."""
    from distributed.client import ClosedClientError
    from distributed.comm.core import CommClosedError

    try:
        yield
    except (CancelledError, ClosedClientError, CommClosedError) as error:
        raise InvalidInputError(
            f"the Dask scheduler of {target} must stay until the work is done, and it is gone: run the same command "
            "with another one, and it resumes."
        ) from error


def _pool(client: Any) -> Pool:
    """Tasks of a client; what a lost worker had under way is done again by another."""
    workers = max(1, sum(client.nthreads().values()))
    return Pool(workers, lambda: client.get_executor(pure=False), stop=lambda executor: executor.shutdown(wait=False))


def _check_scheduler_file(path: Path) -> None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path} must be the file of a Dask scheduler (JSON); it could not be read.") from error
    if not isinstance(content, dict) or not isinstance(content.get("address"), str):
        raise InvalidInputError(f"{path} must be the file of a Dask scheduler; it names no address.")


@contextmanager
def _queued(path: Path) -> Generator[Any]:
    """A cluster of jobs that a queue starts."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(
            f"{path} must be a YAML file that describes a cluster; it could not be read."
        ) from error
    if not isinstance(content, dict) or content.get("queue") not in _QUEUES:
        found = content.get("queue") if isinstance(content, dict) else None
        given = "none was given" if found is None else f"{found!r} was given"
        raise InvalidInputError(
            f"{path} must name its queue, one of {', '.join(_QUEUES)}, as in `queue: slurm`; {given}."
        )
    try:
        import dask_jobqueue
    except ImportError as error:
        raise InvalidInputError(
            "a job queue needs dask-jobqueue, which is not installed: `pip install 'iclab[cluster]'`."
        ) from error
    jobs = content.pop("jobs", 1)
    kind = getattr(dask_jobqueue, _QUEUES[content.pop("queue")])
    try:
        queue = kind(**content)
        queue.scale(jobs=jobs)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{path} must fit the cluster that it describes; {error}.") from error
    with queue:
        yield queue
