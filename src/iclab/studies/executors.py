"""Where work is done: in this process, in processes of this machine, or on a Dask cluster; with the same numbers.

Every task computes on one thread, whoever does it. A task is a function of a module with its arguments; what it
returns, or the exception that it raised, is handed back as soon as it is there. A worker that dies is replaced, and its
task begins again; a training goes on from its checkpoint.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from iclab.foundations import InvalidInputError
from iclab.foundations.threads import on_one_thread
from iclab.studies.folder import load_package, own_code

# Seconds that interrupted trainings have to save themselves, and between looks at what is under way.
_GRACE, _PAUSE = 10.0, 0.5
# How often workers may die without any task done in between.
_DEATHS = 3

# Gets the task's index and what it returned, or the exception that it raised.
Done: TypeAlias = Callable[[int, Any], None]
Tick: TypeAlias = Callable[[], None]


@dataclass(frozen=True)
class Task:
    """A call to be made somewhere.

    Attributes
    ----------
    function : callable
        Of a module, maybe one of a study's folder.
    arguments : tuple
        What can be pickled.
    package : str
        Folder of the study that the call is for, which another process loads first; empty for this package's own.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    package: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        # What is of the study's modules can be read only when these are loaded.
        return _restored, (self.package, pickle.dumps((self.function, self.arguments)))


def _restored(package: str, content: bytes) -> Task:
    if package:
        load_package(Path(package))
    function, arguments = pickle.loads(content)
    return Task(function, arguments, package)


class Workplace(Protocol):
    """Does tasks."""

    @property
    def workers(self) -> int:
        """Tasks at a time."""
        ...

    def run(self, tasks: Sequence[Task], done: Done, tick: Tick) -> None:
        """Do every task; ``tick`` is called now and then meanwhile."""
        ...


@dataclass(frozen=True)
class Here:
    """One task after the other in this process."""

    workers: int = 1

    def run(self, tasks: Sequence[Task], done: Done, tick: Tick) -> None:
        """Do every task; ``tick`` is called from a thread."""
        finished = threading.Event()

        def watch() -> None:
            while not finished.wait(_PAUSE):
                tick()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            for i, task in enumerate(tasks):
                done(i, perform(task))
        finally:
            finished.set()
            watcher.join()


class Pool:
    """Tasks on an executor of ``concurrent.futures``; a new one is made when its processes die."""

    def __init__(self, workers: int, make: Callable[[], Executor], *, stop: Callable[[Executor], None]) -> None:
        self.workers = workers
        self._make, self._stop = make, stop
        self._executor: Executor | None = None

    def run(self, tasks: Sequence[Task], done: Done, tick: Tick) -> None:
        """Do every task."""
        waiting, deaths, left = dict(enumerate(tasks)), 0, len(tasks)
        while waiting:
            executor = self._executor = self._executor or self._make()
            futures = {executor.submit(perform, task): i for i, task in waiting.items()}
            try:
                self._collect(futures, waiting, done, tick)
            except BrokenProcessPool:
                deaths = deaths + 1 if len(waiting) == left else 1
                left = len(waiting)
                self._executor = None
                executor.shutdown(wait=False, cancel_futures=True)
                if deaths > _DEATHS:
                    raise InvalidInputError(
                        "worker processes must stay alive, and they keep ending early, perhaps for want of memory: "
                        "run the same command with fewer workers."
                    ) from None
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    def _collect(self, futures: dict[Future[Any], int], waiting: dict[int, Task], done: Done, tick: Tick) -> None:
        pending = set(futures)
        broken: BaseException | None = None
        while pending:
            ended, pending = wait(pending, timeout=_PAUSE, return_when=FIRST_COMPLETED)
            tick()
            for future in ended:
                try:
                    outcome = future.result()
                except BrokenProcessPool as error:
                    broken = error
                    continue
                except CancelledError:  # by nobody here: the cluster is gone
                    raise
                except Exception as error:  # the cluster's own: a worker that died too often, a result that got lost
                    outcome = error
                del waiting[futures[future]]
                done(futures[future], outcome)
        if broken is not None:
            raise broken

    def close(self) -> None:
        """Let the processes end; a training under way saves itself first."""
        if self._executor is not None:
            self._stop(self._executor)
            self._executor = None


@contextmanager
def workplace(workers: int = 1, dask: str | None = None) -> Generator[Workplace]:
    """A Dask cluster if one is named; else this process for one worker, or so many, which end with the block."""
    if dask is not None:
        from iclab.studies.cluster import cluster

        with cluster(dask) as place:
            yield place
        return
    if workers < 2:
        yield Here()
        return
    context = multiprocessing.get_context("spawn")
    pool = Pool(workers, lambda: ProcessPoolExecutor(workers, context, initializer=_begin), stop=_end_processes)
    try:
        yield pool
    finally:
        pool.close()


def _end_processes(executor: Executor) -> None:
    """SIGTERM: a training under way saves itself and ends."""
    # Its own alone; another pool of this process may be at work. Python has a public way from 3.14 on.
    children = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for child in children:
        child.terminate()
    deadline = time.monotonic() + _GRACE
    for child in children:
        child.join(max(0.0, deadline - time.monotonic()))
        if child.is_alive():
            child.kill()
            child.join()


def _begin() -> None:
    """Let a worker end soon after the process that it works for."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while _Ending.busy and time.monotonic() < deadline:
            time.sleep(0.1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    # All that matters is saved or sent by then, and taking torch apart takes a second.
    atexit.register(os._exit, 0)
    # Ctrl-C reaches every process of a terminal; the one that gave the work asks the others to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _asked_to_end)


class _Ending:
    """Whether this process, a worker, was asked to end: it begins nothing any more, and ends with its pool."""

    asked = False
    busy = False


def _asked_to_end(number: int, frame: object) -> None:
    first, _Ending.asked = not _Ending.asked, True
    # A process that died at once would break the pool, and so the others while they save themselves.
    if first and _Ending.busy:
        raise KeyboardInterrupt


def perform(task: Task) -> Any:
    """Make the call on one thread; an exception is what is returned."""
    if _Ending.asked:
        return InterruptedError("the process was asked to end")
    _Ending.busy = True
    with one_thread():
        try:
            # Here, because an exception leaves its trace behind when it goes to another process.
            with own_code(task.package, "a unit of the study must return its table"):
                return task.function(*task.arguments)
        except Exception as error:  # whatever it is, whoever gave the task decides
            return error
        except KeyboardInterrupt:
            _Ending.asked = multiprocessing.parent_process() is not None
            raise
        finally:
            _Ending.busy = False


@contextmanager
def one_thread() -> Generator[None]:
    """One thread, and so the same bits, whichever process computes."""
    with on_one_thread():
        torch = sys.modules.get("torch")
        threads = torch.get_num_threads() if torch else 1
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(threads)
