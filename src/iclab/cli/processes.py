"""A command in several processes on this machine, as ``torchrun`` starts them."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_RUN = "iclab"


def started_here() -> bool:
    """Whether this is one of the processes: what ends them all is said by who started them."""
    return os.environ.get("TORCHELASTIC_RUN_ID") == _RUN


def end_with_starter() -> None:
    """Be asked to stop once the process that started this one is gone, also if it was killed."""
    starter = os.getppid()

    def watch() -> None:
        while os.getppid() == starter:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def in_processes(count: int, arguments: Sequence[str]) -> int:
    """Run a command of ``iclab`` in so many processes of one thread; returns the exit code of the first that failed.

    The leading process writes to the terminal. Errors of another are shown where the leading one had none.

    Raises
    ------
    KeyboardInterrupt
        If a signal asked for an end; the processes have saved by then.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from iclab.training.interruption import asking

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as logs:
        shown = DefaultLogsSpecs(logs, dict.fromkeys(range(1, count), Std.ERR), local_ranks_filter={0})
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            logs_specs=shown,
            run_id=_RUN,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="127.0.0.1",  # the machine's own name may lead nowhere
            max_restarts=0,
            signals_to_handle=",".join(number.name for number in asking()),
        )
        logging.disable(logging.CRITICAL)  # of the launcher, which says what its processes say
        try:
            # -P: as for the command itself, no code of the current folder is imported for the standard library's.
            elastic_launch(config, sys.executable)("-P", "-m", "iclab", *arguments)
        except SignalException as asked:
            raise KeyboardInterrupt from asked
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if 0 not in error.failures:
                for log in Path(logs).glob(f"*/attempt_0/{rank}/stderr.log"):
                    sys.stderr.write(log.read_text(errors="replace"))
            if failure.exitcode >= 0:
                return failure.exitcode
            sys.stderr.write(
                f"iclab: all processes of a training must go on; one was ended by signal {-failure.exitcode}: resume.\n"
            )
            return 128 - failure.exitcode
        finally:
            logging.disable(logging.NOTSET)
    return 0
