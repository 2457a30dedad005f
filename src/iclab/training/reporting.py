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

from iclab.evaluation.scores import score_for
from iclab.models import TransformerPredictor
from iclab.models.taps import changed
from iclab.predictors import LeastSquares
from iclab.prompts import Labels, Prompts
from iclab.training.batches import Batch
from iclab.training.checkpoint import State
from iclab.training.config import TrainingConfig
from iclab.training.cost import cumulated_cost
from iclab.training.curriculum import Ramp

_SECONDS_BETWEEN_REPORTS = 0.5


class Clock:
    """Calls ``progress`` at a readable rate, and knows what was spent and how long the rest will take.

    Steps cost more as the curriculum lengthens prompts, so time left is counted in points.
    """

    def __init__(
        self,
        config: TrainingConfig,
        state: State,
        progress: Callable[[int, int, float, float], None] | None,
        members: int = 1,
    ):
        self._steps, self._costs = cumulated_cost(config)
        self._start, self._total, self._progress = state.step, config.steps, progress
        self._began = self._reported = time.perf_counter()
        self._before, self._cpu_before, self._cpu_began = state.seconds, state.cpu_seconds, time.process_time()
        self.members = members

    @property
    def spent(self) -> dict[str, float]:
        """Seconds, and its share of this process's CPU seconds, that it took so far, earlier sessions included."""
        cpu_seconds = (time.process_time() - self._cpu_began) / self.members
        seconds = time.perf_counter() - self._began
        return {"seconds": round(self._before + seconds, 3), "cpu_seconds": round(self._cpu_before + cpu_seconds, 3)}

    def report(self, step: int, loss: Tensor | float) -> None:
        """Call ``progress``, unless it was called just now."""
        now = time.perf_counter()
        if self._progress is None or (now - self._reported < _SECONDS_BETWEEN_REPORTS and step < self._total):
            return
        self._reported = now
        begun, spent = np.interp((self._start, step), self._steps, self._costs)
        done = spent - begun
        left = (self._costs[-1] - spent) * (now - self._began) / done if done else math.nan
        self._progress(step, self._total, float(loss), float(left))


def metrics_line(
    state: State, batch: Batch, ramps: Mapping[str, Ramp], clock: Clock, gradient_norm: float
) -> dict[str, Any]:
    """The mean loss since the last line, beside the loss of predicting 0 on the same prompts, and the last step.

    Of the last step are the stage, the learning rates (the first of them also alone) and the norm of the gradient
    before it was clipped, none if it is infinite. ``ramps`` are the fields of the configuration that move, if any;
    ``changed`` names activations that are held or changed from outside, of which the configuration says nothing;
    ``together`` counts the trainings that one batched model did at once, this among them.
    """
    config, step, replaced = batch.config, state.step - 1, changed()
    loss, zero = torch.stack(state.losses).mean(0).tolist()
    share = config.schedule.at(step, config.steps)
    return {
        "step": state.step,
        "loss": loss,
        "zero": zero,
        "dimensions": batch.stage.dimensions,
        "points": batch.stage.points,
        "learning_rate": config.optimizer.learning_rate * share,
        "learning_rates": {name: config.optimizer.options(name)["lr"] * share for name in state.optimizers},
        "gradient_norm": gradient_norm if math.isfinite(gradient_norm) else None,
        **({"ramps": {name: ramp.at(step) for name, ramp in ramps.items()}} if ramps else {}),
        **({"changed": replaced} if replaced else {}),
        **({"together": clock.members} if clock.members > 1 else {}),
        **clock.spent,
    }


class HeldOutEvaluation:
    """Scores by position on held-out prompts, always the same ones, beside a reference.

    Numbers and vectors have squared errors, beside least squares; classes cross-entropies, beside the true law's where
    it is known.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config

    @cached_property
    def _prompts(self) -> Prompts:
        config = self._config
        return config.prompts.build().sample(
            config.n_evaluation, config.n_points, seed=config.seed, stream="evaluation"
        )

    @cached_property
    def _reference(self) -> dict[str, list[float]]:
        prompts = self._prompts
        name = reference_of(prompts.labels)
        predicted = prompts.probabilities if name == "true_law" else LeastSquares()(prompts)
        return {} if predicted is None else {name: self._scored(predicted).mean(0).tolist()}

    def _scored(self, predicted: np.ndarray) -> np.ndarray:
        return score_for(self._prompts.labels).of(predicted, self._prompts)

    def __call__(self, state: State) -> dict[str, Any]:
        """One line of metrics: ``error``, ``stderr`` and ``least_squares`` or ``true_law`` by position, raw."""
        errors = self._scored(TransformerPredictor(state.model)(self._prompts))
        return {
            "step": state.step,
            "error": errors.mean(0).tolist(),
            "stderr": (errors.std(0, ddof=1) / np.sqrt(len(errors))).tolist(),
            **self._reference,
        }


def reference_of(labels: Labels) -> str:
    """What stands beside held-out errors: "least_squares", or for classes "true_law"."""
    return "true_law" if labels.kind == "class" else "least_squares"


def scale_of(config: TrainingConfig) -> tuple[int, str]:
    """What held-out errors are divided by when shown, and what they are then called."""
    model = config.architecture
    if model.labels.kind == "class":
        return 1, "cross-entropy"
    dimension = model.dimension
    return (dimension, "squared error / d") if dimension else (1, "squared error")


def least_squares_diverges(config: TrainingConfig, position: int) -> bool:
    """Whether least squares' mean error from so many examples is infinite: noisy labels, as many as d or one off."""
    return _noise_variance(config) > 0 and position > 0 and abs(position - config.architecture.dimension) <= 1


def _noise_variance(config: TrainingConfig) -> float:
    """Of a label, over all prompts."""
    outliers = getattr(config.prompts, "outliers", None)
    return config.noise**2 + (0.0 if outliers is None else outliers.build().variance)


def reference_lines(config: TrainingConfig, metrics: list[dict[str, Any]]) -> tuple[float, float]:
    """The training losses of predicting 0 and of the reference, to read a loss against; NaN before they are known.

    Zero's is that of the latest line of metrics, at its stage of the curriculum. Least squares' is 0 where it is
    itself the target, and otherwise its error on the held-out prompts (with the labels' noise), at full length; NaN
    where its mean error is infinite, as no finite sample tells it, the loss is a likelihood of numbers, or the target
    is another posterior mean. The true law's is its cross-entropy on the held-out prompts.
    """
    zero = next((line["zero"] for line in reversed(metrics) if "zero" in line), math.nan)
    noise = _noise_variance(config)
    if config.targets == "posterior_mean" and not noise and config.architecture.labels.kind != "class":
        tasks = getattr(config.prompts, "tasks", None)
        return zero, 0.0 if getattr(tasks, "kind", None) == "linear" else math.nan
    name = reference_of(config.architecture.labels)
    errors = next((line[name] for line in reversed(metrics) if name in line), None)
    if errors is None or config.architecture.head == "mean_variance":
        return zero, math.nan
    asked = range(len(errors))[-1:] if config.loss_at == "query" else range(len(errors))
    if name == "true_law":
        return zero, float(np.mean([errors[position] for position in asked]))
    if any(least_squares_diverges(config, position) for position in asked):
        return zero, math.nan
    mean = float(np.mean([errors[position] for position in asked])) + (noise if config.targets == "labels" else 0.0)
    return zero, mean / (config.architecture.dimension if config.per_dimension else 1)
