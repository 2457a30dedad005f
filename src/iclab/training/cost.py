"""What a training will cost, from a few timed steps that are themselves small enough to be done at once."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64

from iclab.models import Architecture, OwnModel
from iclab.models.own import make
from iclab.models.shapes import without_numbers
from iclab.models.transformer import Transformer
from iclab.training.batches import Batches
from iclab.training.checkpoint import State
from iclab.training.config import TrainingConfig
from iclab.training.cuda_graphs import step_of
from iclab.training.distributed import World
from iclab.training.memory import keep_memory
from iclab.training.precision import decided
from iclab.training.step import new_state

# Multiply-adds of a step that is timed, on the CPU and on a GPU, and weights of a model that is made for it: eight
# such steps take three seconds or less.
_TIMED_ON_CPU, _TIMED_ON_GPU = 6e9, 1e11
_MADE = 2e7
# Seconds that drawing the prompts of such a step may take.
_DRAWN = 0.3
# Most steps whose cost is added up one by one.
_COUNTED = 10_000


@dataclass(frozen=True)
class Cost:
    """Expected cost of a training.

    Attributes
    ----------
    sequences, products : float
        Prompts drawn, and multiply-adds of the weight matrices over the run, forward and backward.
    seconds, step_seconds : float
        Expected on this machine, from timing a few steps of the longest prompts, and of one of these; NaN where even
        one prompt of them is too large to be timed at once.
    """

    sequences: float
    products: float
    seconds: float
    step_seconds: float

    def __str__(self) -> str:
        counted = f"{self.sequences:.3g} prompts, {self.products:.2g} multiply-adds"
        if math.isnan(self.seconds):
            return f"{counted}, too large for a step to be timed at once"
        return (
            f"{counted}, about {duration(self.seconds)} on this machine ({1e3 * self.step_seconds:.3g} ms for a step "
            "of the longest prompts)"
        )


def estimate_cost(config: TrainingConfig) -> Cost:
    """Cost of a training, from a few steps on its longest prompts with scratch weights.

    Of large batches fewer prompts are timed; what is too large for that is counted, not timed.
    """
    steps, share = counted_steps(config.steps)
    work = np.array([config.cost_at(i) for i in steps], dtype=float)
    points = np.array([config.stage_at(i).points for i in steps], dtype=float)
    prompts = np.array([config.batch_size_at(i) for i in steps], dtype=float)
    per_token, weights = _size(config.architecture)
    products = 3 * per_token * share * float(np.sum((2 * points - 1) * prompts))
    sequences = share * float(prompts.sum())
    longest = int(steps[int(work.argmax())])
    step_seconds = _timed(config, longest, per_token, weights)
    return Cost(sequences, products, step_seconds * share * float(work.sum() / work.max()), step_seconds)


def counted_steps(steps: int) -> tuple[list[int], float]:
    """Steps to add up a cost over, evenly spaced and with the last, and how many each stands for."""
    if steps <= _COUNTED:
        return list(range(steps)), 1.0
    return [int(step) for step in np.linspace(0, steps - 1, _COUNTED).round()], steps / _COUNTED


def products_per_token(architecture: Architecture | OwnModel) -> float:
    """Multiply-adds of weight matrices for a token, forward."""
    return _size(architecture)[0]


def _size(architecture: Architecture | OwnModel) -> tuple[float, float]:
    """Multiply-adds of weight matrices for a token, and number of weights, without making a large model."""
    if isinstance(architecture, OwnModel):
        model = make(architecture)
        return float(model.products), float(model.n_parameters)
    kinds = architecture.kinds
    per_token = weights = 0.0
    for kind in dict.fromkeys(kinds):
        with without_numbers():
            one = Transformer(_layer(architecture, kind), seed=None)
        count = kinds.count(kind)
        own = sum(parameter.numel() for parameter in one.blocks.parameters())
        per_token += count * architecture.loops * one.products
        weights += own * (1 if architecture.tied else count)
        weights += (one.n_parameters - own) * (kind == kinds[0])  # read-in, read-out and positions, once
    return per_token, weights


def _layer(architecture: Architecture, kind: str) -> Architecture:
    """One layer of it."""
    mixers = {"mixers": (kind,)} if architecture.mixers else {}
    return replace(architecture, layers=1, tied=False, loops=1, **mixers)


def _timed(config: TrainingConfig, step: int, per_token: float, weights: float) -> float:
    """Seconds of a step, extrapolated from two of fewer prompts where they are many."""
    config = decided(config)
    device = torch.device("cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu")
    budget = _TIMED_ON_CPU if device.type == "cpu" else _TIMED_ON_GPU
    points, batch = config.stage_at(step).points, config.batch_size_at(step)
    tokens = 2 * points - 1
    # Scores of attention and values grow with the square of the tokens.
    width = getattr(config.model, "width", 0) * getattr(config.model, "layers", 0)
    prompt = 3 * tokens * (per_token + 2 * tokens * width) + points * config.architecture.dimension**2
    size = min(batch, int(budget // prompt)) if prompt else batch
    if size < 1 or weights > _MADE:
        return math.nan
    keep_memory()
    fields = {name: ramp for name, ramp in config.curriculum.fields.items() if name != "batch_size"}
    small = config.with_(batch_size=1, curriculum=replace(config.curriculum, fields=fields))
    size = min(size, int(_DRAWN // _drawn(small, step)))
    if size < 1:
        return math.nan
    state = new_state(small.with_(batch_size=size))
    if size == batch:
        return _seconds(small, state, step, size)
    # What a step costs whatever its prompts are (the optimiser) is not scaled up with them.
    fewer = size // 4
    for_fewer = _seconds(small, state, step, fewer) if fewer else 0.0
    for_size = _seconds(small, state, step, size)
    return for_size + max(0.0, for_size - for_fewer) * (batch - size) / (size - fewer)


def _seconds(config: TrainingConfig, state: State, step: int, size: int) -> float:
    """Seconds of a step of so many prompts, the best of three rounds after steps that also plan memory and kernels."""
    config = config.with_(batch_size=size)
    move = step_of(config, state, World())
    best = math.inf
    with Batches(config, World()) as batches:
        drawn = batches.draw(step)
        for steps in (2, 1, 1, 1):  # on a GPU the first ones record
            began = time.perf_counter()
            for _ in range(steps):
                move(drawn)
            float(drawn.loss)  # waits for a GPU
            best = min(best, (time.perf_counter() - began) / steps)
    return best


def _drawn(config: TrainingConfig, step: int) -> float:
    """Seconds that a step's prompts take to be drawn, with their targets; the first ones also load and plan."""
    seconds = math.inf
    with Batches(config, World()) as batches:
        for _ in range(2):
            began = time.perf_counter()
            batches.draw(step)
            seconds = max(min(seconds, time.perf_counter() - began), 1e-9)
            if seconds > _DRAWN:
                break
    return seconds


def cumulated_cost(config: TrainingConfig) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Numbers of steps, from 0 to all, and what they cost together, in points; between them it grows evenly."""
    steps, share = counted_steps(config.steps)
    costs = np.cumsum([config.cost_at(i) for i in steps]) * share
    return np.append(0.0, np.append(steps[1:], config.steps)), np.append(0.0, costs)


def duration(seconds: float) -> str:
    """Seconds in words: 45 s, 12 min, 3.5 h; NaN as unknown."""
    if math.isnan(seconds):
        return "an unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
