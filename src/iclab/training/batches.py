"""Training batches, drawn one ahead in a thread while the model computes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from iclab.foundations import Draws, PromptInputs, PromptLabels
from iclab.training.config import TrainingConfig
from iclab.training.curriculum import Stage, Truncated
from iclab.training.distributed import World
from iclab.training.targets import labels, posterior_mean


@dataclass(eq=False)
class Batch:
    """The share of a step's prompts that one process trains on.

    Attributes
    ----------
    xs, ys, targets : ndarray, shapes (B, P, d), (B, P), (B, P)
        Examples, labels, and what the predictions are fitted to.
    stage : Stage
        Of the curriculum.
    config : TrainingConfig
        As of this step; the same object until a ramp changes it.
    starts : ndarray of int, shape (B,), optional
        Where each prompt begins in the table of positions, if they are to be shifted.
    loss : Tensor
        Of the global batch; set by the step.
    """

    xs: PromptInputs
    ys: PromptLabels
    targets: PromptLabels
    stage: Stage
    config: TrainingConfig
    starts: np.ndarray | None = None
    loss: Tensor = field(default_factory=lambda: torch.tensor(math.nan))


class Batches:
    """The batches of a training from step ``start`` on; a pure function of configuration, step and share.

    Parameters
    ----------
    config : TrainingConfig
        What is trained.
    processes : World
        Of whose global batch this process draws its share.
    start : int
        First step.
    """

    def __init__(self, config: TrainingConfig, processes: World, start: int = 0) -> None:
        self._config, self._processes, self._start = config, processes, start
        self._use(config)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def _use(self, config: TrainingConfig) -> None:
        """Draw from this configuration, one of the ramps' values, from now on."""
        self._now, self._distribution = config, config.prompts.build()
        self._targets = posterior_mean(self._distribution) if config.targets == "posterior_mean" else labels

    def draw(self, step: int) -> Batch:
        """The batch of one step."""
        config = self._config.at(step)
        if config != self._now:
            self._use(config)
        distribution, share = self._distribution, self._processes.share(config.batch_size)
        stage = self._config.curriculum.at(step, distribution.dimension, config.n_points)
        if stage.dimensions < distribution.dimension:
            distribution = replace(distribution, covariates=Truncated(distribution.covariates, stage.dimensions))
        prompts = distribution.sample(
            len(share), stage.points, seed=config.seed, step=step, start=share.start, stream="training"
        )
        starts = _starts(config, stage, step, share)
        return Batch(prompts.xs, prompts.ys, np.asarray(self._targets(prompts)), stage, self._now, starts)

    def __iter__(self) -> Iterator[Batch]:
        ahead: Future[Batch] | None = None
        for step in range(self._start, self._config.steps):
            batch = self.draw(step) if ahead is None else ahead.result()
            if step + 1 < self._config.steps:
                ahead = self._thread.submit(self.draw, step + 1)
            yield batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)


def _starts(config: TrainingConfig, stage: Stage, step: int, share: range) -> np.ndarray | None:
    """Uniform over the points at which a prompt of this stage fits into the table of positions."""
    if config.model.positions != "shifted":
        return None
    draws = Draws(config.seed, "training", step, share.start, len(share))
    return (draws.uniforms("position", 1)[:, 0] * (config.model.max_points - stage.points + 1)).astype(np.int64)
