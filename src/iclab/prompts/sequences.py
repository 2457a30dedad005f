"""What distributions of sequences share: prompts without inputs, of which position i predicts label i."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from iclab.foundations import Draws, check_integer
from iclab.prompts.labels import Labels
from iclab.prompts.prompt import Prompts


class Sequences(ABC):
    """A distribution of prompts without inputs; a subclass draws the labels.

    It is sampled, evaluated and trained on as a ``PromptDistribution`` is.
    """

    @property
    def dimension(self) -> int:
        """Length d = 0 of an input."""
        return 0

    @property
    @abstractmethod
    def labels(self) -> Labels:
        """What the labels are."""

    @abstractmethod
    def draw(self, draws: Draws, n_points: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels and what they are scored against: for classes their true law, for vectors the noise-free label.

        Shapes (B, P) and (B, P, k), or twice (B, P, k).
        """

    def sample(
        self,
        n_prompts: int,
        n_points: int,
        *,
        seed: int,
        step: int = 0,
        start: int = 0,
        stream: str = "evaluation",
    ) -> Prompts:
        """Draw prompts ``start`` … ``start + n_prompts − 1``.

        Parameters
        ----------
        n_prompts, n_points : int
            B and P; the prediction at position i is made from the i labels before it.
        seed, step, start : int
            Address of the prompts, as in ``PromptDistribution.sample``.
        stream : str
            "training", "evaluation" or "verification"; they never share prompts.

        Returns
        -------
        Prompts
            Inputs of shape (B, P, 0).

        Raises
        ------
        InvalidInputError
            If a number is out of range.
        """
        n_points = check_integer(n_points, "n_points", minimum=1)
        draws = Draws(seed, stream, step, start, check_integer(n_prompts, "n_prompts", minimum=1))
        with draws.once() as once:
            ys, truth = self.draw(once, n_points)
        xs = np.empty((draws.count, n_points, 0))
        if self.labels.n_classes is None:
            return Prompts(xs, ys, xs, truth)
        return Prompts(xs, ys, xs, ys.copy(), self.labels.size, truth)
