"""What a training says while it runs: lines of metrics, held-out errors by position, time left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iclab.models import TransformerPredictor
from iclab.predictors import LeastSquares
from iclab.prompts import Prompts
from iclab.training.batches import Batch
from iclab.training.checkpoint import State
from iclab.training.config import TrainingConfig
from iclab.training.curriculum import Ramp

_SECONDS_BETWEEN_REPORTS = 0.5


class Clock:
    """Calls ``progress`` at a readable rate, and knows what was spent and how long the rest will take.

    Steps cost more as the curriculum lengthens prompts, so time left is counted in points.
    """

    def __init__(self, config: TrainingConfig, state: State, progress: Callable[[int, int, float, float], None] | None):
        costs = [config.cost_at(step) for step in range(config.steps)]
        self._cost = np.concatenate([[0], np.cumsum(costs)])
        self._start, self._total, self._progress = state.step, config.steps, progress
        self._began = self._told = time.perf_counter()
        self._before, self._cpu_before = state.seconds, state.cpu_seconds - time.process_time()

    @property
    def spent(self) -> dict[str, float]:
        """Seconds, and CPU seconds of this process, that the training took so far, earlier sessions included."""
        seconds, cpu_seconds = self._before + time.perf_counter() - self._began, self._cpu_before + time.process_time()
        return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3)}

    def report(self, step: int, loss: Tensor | float) -> None:
        """Tell how far it is, unless that was told just now."""
        now = time.perf_counter()
        if self._progress is None or (now - self._told < _SECONDS_BETWEEN_REPORTS and step < self._total):
            return
        self._told = now
        done = self._cost[step] - self._cost[self._start]
        left = (self._cost[-1] - self._cost[step]) * (now - self._began) / done if done else math.nan
        self._progress(step, self._total, float(loss), float(left))


def metrics_line(state: State, batch: Batch, ramps: Mapping[str, Ramp], clock: Clock) -> dict[str, Any]:
    """The mean loss since the last line, beside the loss of predicting 0 on the same prompts, and the last stage.

    ``ramps`` are the fields of the configuration that move, if any.
    """
    config, step = batch.config, state.step - 1
    loss, zero = torch.stack(state.losses).mean(0).tolist()
    return {
        "step": state.step,
        "loss": loss,
        "zero": zero,
        "dimensions": batch.stage.dimensions,
        "points": batch.stage.points,
        "learning_rate": config.optimizer.learning_rate * config.schedule.at(step, config.steps),
        **({"ramps": {name: ramp.at(step) for name, ramp in ramps.items()}} if ramps else {}),
        **clock.spent,
    }


class Examiner:
    """Squared errors by position on held-out prompts, always the same ones, beside least squares."""

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config

    @cached_property
    def _prompts(self) -> Prompts:
        config = self._config
        return config.prompts.build().sample(
            config.n_evaluation, config.n_points, seed=config.seed, stream="evaluation"
        )

    @cached_property
    def _reference(self) -> list[float]:
        return ((LeastSquares()(self._prompts) - self._prompts.targets) ** 2).mean(0).tolist()

    def __call__(self, state: State) -> dict[str, Any]:
        """One line of metrics: ``error``, ``stderr`` and ``least_squares`` by position, raw."""
        prompts = self._prompts
        errors = (TransformerPredictor(state.model)(prompts) - prompts.targets) ** 2
        return {
            "step": state.step,
            "error": errors.mean(0).tolist(),
            "stderr": (errors.std(0, ddof=1) / np.sqrt(len(prompts))).tolist(),
            "least_squares": self._reference,
        }


def least_squares_diverges(config: TrainingConfig, position: int) -> bool:
    """Whether least squares' mean error from so many examples is infinite: noisy labels, as many as d or one off."""
    noisy = config.prompts.noise > 0 or config.prompts.outliers is not None
    return noisy and position > 0 and abs(position - config.model.dimension) <= 1


def reference_lines(config: TrainingConfig, metrics: list[dict[str, Any]]) -> tuple[float, float]:
    """The training losses of predicting 0 and of least squares, to read a loss against; NaN before they are known.

    Zero's is that of the latest line of metrics, at its stage of the curriculum. Least squares' is 0 where it is
    itself the target, and otherwise its error on the held-out prompts (with the labels' noise), at full length; NaN
    where its mean error is infinite, as no finite sample tells it.
    """
    zero = next((line["zero"] for line in reversed(metrics) if "zero" in line), math.nan)
    if config.targets == "posterior_mean" and not config.prompts.noise:
        return zero, 0.0
    errors = next((line["least_squares"] for line in reversed(metrics) if "least_squares" in line), None)
    if errors is None:
        return zero, math.nan
    asked = range(len(errors))[-1:] if config.loss == "query" else range(len(errors))
    if any(least_squares_diverges(config, position) for position in asked):
        return zero, math.nan
    noise = config.prompts.noise**2 if config.targets == "labels" else 0.0
    mean = float(np.mean([errors[position] for position in asked]))
    return zero, (mean + noise) / (config.model.dimension if config.per_dimension else 1)
