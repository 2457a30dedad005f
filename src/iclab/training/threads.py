"""How many threads a training on a CPU gains from.

Threads that wait asleep, as the command line has them, cost a wake-up in every product, so that small ones are faster
on one thread: on two cores (AMX, torch 2.13) a step takes, on one and two threads,

    tiny, d = 5, N = 10                    17.6 and 42.9 ms
    columns, d = 5, N = 10, bfloat16       73.7 and 128 ms     float32   114 and 138 ms
    columns, d = 20, N = 40, bfloat16      205 and 207 ms     float32   387 and 283 ms
    base, d = 20, N = 40, bfloat16          984 and 775 ms     float32   2,375 and 1,438 ms

so that a further thread pays from about these multiply-adds of a layer's products on, forward and backward.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

import torch

from iclab.models import OwnModel
from iclab.training.config import TrainingConfig
from iclab.training.cost import products_per_token
from iclab.training.precision import decided

_PAYS = {"bfloat16": 3.5e9, "float32": 1.5e9, "float64": 0.75e9}


def threads_of(config: TrainingConfig) -> int:
    """Threads of a training on this machine: at most those that torch has, and no more than it gains from.

    A module of your own, whose inside is not known, a GPU's host and a number set by ``OMP_NUM_THREADS`` keep
    those that torch has.

    Parameters
    ----------
    config : TrainingConfig
        Any.
    """
    available = torch.get_num_threads()
    on_gpu = config.device != "cpu" and torch.cuda.is_available()
    if available == 1 or on_gpu or isinstance(config.model, OwnModel) or "OMP_NUM_THREADS" in os.environ:
        return available
    model = config.model
    tokens = max(config.batch_size_at(0), config.batch_size_at(config.steps - 1)) * (2 * config.n_points - 1)
    work = 3 * tokens * products_per_token(config.architecture) / (model.layers * model.loops)
    return max(1, min(available, int(work / _PAYS[decided(config).precision])))


@contextmanager
def gaining_threads(config: TrainingConfig) -> Generator[int]:
    """While entered, torch has so many threads as a training gains from."""
    before, threads = torch.get_num_threads(), threads_of(config)
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)
