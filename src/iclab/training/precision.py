"""In which precision a training multiplies, and by which kernels, decided once, before its first step.

Products in bfloat16 take half the time of float32 where the processor has instructions for them, and up to thirty
times as much where it has none. What a configuration leaves to ``auto`` is decided in three questions: whether the
processor has such instructions, whether the products at hand are large enough to gain from them, and whether they are
faster when measured. The first two have one answer for one machine and configuration. The third is asked only where
it is not close: large products take about half the time in bfloat16, or several times as much. The decision is
written into the run's configuration, and a run that goes on elsewhere keeps it.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import torch
from torch.nn.functional import linear

from iclab.models.mixers.kernels import missing
from iclab.training.config import TrainingConfig

# Below these, a step under autocast takes at least .8 of its time in float32 (one core with AVX-512 and bfloat16): the
# casts and calls take what the products gain. Tokens times width², at batches of 64: 5.5 million at width 64 and
# N = 10, a ratio of 1.2; 10.7 million at N = 20, 1.4; 21 million at N = 40, 1.6.
_LEAST_WIDTH = 64
_LEAST_WORK = 8_000_000
# Newton-Schulz multiplies matrices of this width or its multiples: at 64 bfloat16 takes 1.5 to 2.7 times as long.
_LEAST_MATRIX_WIDTH = 128
# Clearly faster; measured 1.9 to 2.4 with instructions for bfloat16, .1 to .4 without.
_CLEARLY = 1.2
# Of the measured product: a few milliseconds, and a tenth of a second where bfloat16 is emulated.
_MEASURED_WORK = 50_000_000
_ROUNDS, _SECONDS = 15, 0.5


class Reason(StrEnum):
    """Why a precision was taken."""

    CONFIGURED = "as configured"
    DOUBLE = "that of the run"
    NO_INSTRUCTIONS = "the processor has no instructions for bfloat16"
    SMALL = "products too small to gain from bfloat16"
    FASTER = "products in bfloat16 are clearly faster"
    NOT_FASTER = "products in bfloat16 are not clearly faster"
    GPU = "the GPU has instructions for bfloat16"
    OLD_GPU = "the GPU has no instructions for bfloat16"


@dataclass(frozen=True)
class Choice:
    """A precision, and why.

    Attributes
    ----------
    precision : str
        float32, bfloat16 or float64.
    reason : Reason
        Why it was taken.
    speedup : float, optional
        Time of a product in float32 over that in bfloat16, where it was measured.
    """

    precision: str
    reason: Reason
    speedup: float | None = None

    def __str__(self) -> str:
        measured = "" if self.speedup is None else f", {self.speedup:.2g} times the speed of float32"
        return f"{self.precision} ({self.reason}{measured})"


def choices(config: TrainingConfig) -> dict[str, Choice]:
    """The precisions in which a training of this configuration would be begun on this machine.

    Parameters
    ----------
    config : TrainingConfig
        Any.

    Returns
    -------
    dict of str to Choice
        By dotted field: ``precision``, and with Muon ``optimizer.matrix_precision``.
    """
    width = getattr(config.model, "width", 0)  # a module of your own says nothing of its inside
    rows = 2 * config.n_points * config.batch_size
    chosen: dict[str, Choice] = {}
    if config.precision == "auto":
        large = width >= _LEAST_WIDTH and rows * width**2 >= _LEAST_WORK
        chosen["precision"] = _choose(config, width, large)
    else:
        chosen["precision"] = Choice(config.precision, Reason.CONFIGURED)
    optimizer = config.optimizer
    if optimizer.kind == "muon":
        if optimizer.matrix_precision != "auto":
            choice = Choice(optimizer.matrix_precision, Reason.CONFIGURED)
        elif config.precision == "float64":
            choice = Choice("float64", Reason.DOUBLE)
        else:
            choice = _choose(config, width, width >= _LEAST_MATRIX_WIDTH)
        chosen["optimizer.matrix_precision"] = choice
    return chosen


def decided(config: TrainingConfig) -> TrainingConfig:
    """The configuration with every precision, and the kernels, that it leaves to the machine decided on this one."""
    chosen = choices(config)
    # The choices are among the fields' own values.
    matrix = chosen.get("optimizer.matrix_precision")
    optimizer = config.optimizer if matrix is None else replace(config.optimizer, matrix_precision=matrix.precision)  # pyright: ignore[reportArgumentType]
    precision = chosen["precision"].precision
    kernels = config.kernels
    if kernels == "auto" and config.kerneled:
        fitting = precision == "bfloat16" and config.device != "cpu" and not config.compile
        kernels = "fla" if fitting and missing() is None else "own"
    return config.with_(precision=precision, kernels=kernels, optimizer=optimizer)


def _choose(config: TrainingConfig, width: int, large: bool) -> Choice:
    """Bfloat16 where it is clearly faster, float32 elsewhere."""
    if config.device != "cpu" and torch.cuda.is_available():
        # Launches hide what a single product takes; graphs gain with the products.
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Choice("bfloat16", Reason.GPU) if native else Choice("float32", Reason.OLD_GPU)
    if not has_bfloat16():
        return Choice("float32", Reason.NO_INSTRUCTIONS)
    if not large:
        return Choice("float32", Reason.SMALL)
    speedup = bfloat16_speedup(width)
    if speedup > _CLEARLY:
        return Choice("bfloat16", Reason.FASTER, speedup)
    return Choice("float32", Reason.NOT_FASTER, speedup)


def has_bfloat16() -> bool:
    """Whether this processor may multiply in bfloat16 faster than in float32; where torch does not know, True."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    # The level in use, which the environment can lower, and what the processor has.
    if torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX", "AVX", "AVX2"):
        return False
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, not capabilities) for name in ("avx512_bf16", "amx_bf16"))


@lru_cache
def bfloat16_speedup(width: int) -> float:
    """Time of a product in float32 over that in bfloat16: tokens of this width times a matrix of (width, 4 width).

    The best of several rounds each on one thread, in CPU seconds where the system counts them finely, so that other
    work on the machine changes little.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _speedup(width)
    finally:
        torch.set_num_threads(threads)


def _speedup(width: int) -> float:
    clock = time.process_time if os.name == "posix" else time.perf_counter
    tokens, matrix = torch.ones(max(1, _MEASURED_WORK // (4 * width**2)), width), torch.ones(4 * width, width)
    operands = {dtype: (tokens.to(dtype), matrix.to(dtype)) for dtype in (torch.float32, torch.bfloat16)}
    best = dict.fromkeys(operands, float("inf"))
    began = time.perf_counter()
    for i in range(_ROUNDS):
        for dtype, (left, right) in operands.items():
            before = clock()
            linear(left, right)
            if i:  # the first call plans
                best[dtype] = min(best[dtype], clock() - before)
        if i and time.perf_counter() - began > _SECONDS:
            break
    return best[torch.float32] / max(best[torch.bfloat16], 1e-9)
