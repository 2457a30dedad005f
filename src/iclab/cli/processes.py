"""A command in several processes on this machine, as ``torchrun`` starts them."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def in_processes(count: int, arguments: Sequence[str]) -> int:
    """Run a command of ``iclab`` in so many processes of one thread; returns the exit code of the first that ended ill.

    The leading process writes to the terminal. Of the others' errors only that which came first is shown.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from iclab.cli import EXIT_INTERRUPTED

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as logs:
        shown = DefaultLogsSpecs(logs, dict.fromkeys(range(1, count), Std.ERR), local_ranks_filter={0})
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            logs_specs=shown,
            run_id="iclab",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
        )
        try:
            elastic_launch(config, sys.executable)("-m", "iclab", *arguments)
        except SignalException:  # the processes have saved and said so
            return EXIT_INTERRUPTED
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if rank > 0:
                for log in Path(logs).glob(f"*/attempt_0/{rank}/stderr.log"):
                    sys.stderr.write(log.read_text(errors="replace"))
            if failure.exitcode < 0:
                sys.stderr.write(f"iclab: a process of the training was ended by signal {-failure.exitcode}.\n")
            return abs(failure.exitcode)
    return 0
