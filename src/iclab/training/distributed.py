"""Data parallel training: every process draws its share of the same global batch and gradients are averaged.

Prompts are addresses (seed, step, index), so a process draws exactly its own rows of the batch that a single
process would draw, and the sum over processes is the same sum in another order.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from iclab.foundations import InvalidInputError

# Seconds in which a process that failed ends before those that wait for it, so that launchers name the right one.
_GRACE = 2.0


class ProcessLostError(RuntimeError):
    """Another process of the training ended."""


@dataclass(frozen=True)
class World:
    """The processes of one training; a single one unless started by ``torchrun``."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share(self, batch_size: int) -> range:
        """The prompt indices of the global batch that this process draws."""
        if batch_size < self.size:
            raise InvalidInputError(
                f"batch_size must be at least the number of processes, {self.size}; {batch_size} was given."
            )
        return range(batch_size * self.rank // self.size, batch_size * (self.rank + 1) // self.size)

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over the processes."""
        if self.size == 1:
            return
        tensors = list(tensors)
        flat = nn.utils.parameters_to_vector(tensors)  # one message for all
        with _all_there():
            dist.all_reduce(flat)
        for tensor, summed in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(summed.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether any process raises the flag."""
        if self.size == 1:
            return flag
        total = torch.tensor(float(flag))
        self.add([total])
        return bool(total > 0)

    def wait(self) -> None:
        """Return once every process has arrived here."""
        if self.size > 1:
            with _all_there():
                dist.barrier()


@contextmanager
def _all_there() -> Generator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        time.sleep(_GRACE)
        raise ProcessLostError(
            "a training must keep all its processes; another one ended: see what that one says, and resume."
        ) from error


@contextmanager
def world() -> Generator[World]:
    """The processes that ``torchrun`` started (gloo on CPUs, NCCL on GPUs), or this one alone."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield World()
        return
    started = not dist.is_initialized()
    if started:
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        if started:
            dist.destroy_process_group()
