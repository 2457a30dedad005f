"""A predictor asked in other units: inputs and labels scaled by what the context itself shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from iclab.foundations import PromptLabels, check_choice, check_real
from iclab.predictors.base import Predictor, each_output
from iclab.prompts import Prompts

Scaling = Literal["inputs", "inputs and labels", "coordinates"]


@dataclass(frozen=True)
class Rescaled:
    """``predictor`` on the prompt scaled so that its context has the mean variance that training had.

    Linear tasks do not change with units: y = w'x is y = (s·w)'(x/s), and y/r = ((s/r)·w)'(x/s). With s² the mean
    squared entry of the context over ``variance``,

    - ``inputs``: x/s, labels as they are; the task becomes s·w;
    - ``inputs and labels``: x/s and y/s, prediction times s; the task stays w, and the scaled predictor is
      homogeneous: inputs multiplied by c multiply predictions of linear tasks by c;
    - ``coordinates``: every coordinate by its own s_i, labels by s; of use where covariances are diagonal.

    For linear self-attention, which is linear in y, the first two are the same: ŷ/s². Least squares, where it is
    unique, does not change.

    Parameters
    ----------
    predictor : callable
        What is asked, once per position.
    scaling : {"inputs", "inputs and labels", "coordinates"}
        What is scaled.
    variance : float
        Mean variance of an input's coordinates in training, E tr Λ/d.
    """

    predictor: Predictor
    scaling: Scaling = "inputs and labels"
    variance: float = 1.0

    def __post_init__(self) -> None:
        check_choice(self.scaling, "scaling", get_args(Scaling))
        object.__setattr__(self, "variance", check_real(self.variance, "variance", above=0.0))

    def at(self, prompts: Prompts, position: int) -> PromptLabels:
        """Predictions from the first ``position`` ≥ 1 examples, shape (B,)."""
        context = prompts.xs[:, :position]
        squares = np.mean(context**2, axis=1) / self.variance  # (B, d)
        overall = _root(squares.mean(axis=1, keepdims=True))
        inputs = (_root(squares) if self.scaling == "coordinates" else overall)[:, None, :]
        labels = np.ones_like(overall) if self.scaling == "inputs" else overall
        part = slice(0, position + 1)
        xs = prompts.xs[:, part] / inputs
        queries = prompts.queries[:, part] / inputs if prompts.shifted_queries else xs
        scaled = Prompts(xs, prompts.ys[:, part] / labels, queries, prompts.targets[:, part] / labels)
        return self.predictor(scaled)[:, position] * labels[:, 0]

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        predictions = np.zeros(prompts.ys.shape)
        for position in range(1, prompts.n_points):
            predictions[:, position] = self.at(prompts, position)
        return predictions


def _root(squares: np.ndarray) -> np.ndarray:
    """Scales; 1 where the context is 0 and shows none."""
    return np.sqrt(np.where(squares > 0, squares, 1.0))
