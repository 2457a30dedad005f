"""Prompts, and the distribution they are drawn from: covariates × tasks × noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from incontext.foundations import (
    Draws,
    InvalidInputError,
    PromptInputs,
    PromptLabels,
    check_integer,
    check_real,
)
from incontext.prompts.covariates import Covariates
from incontext.prompts.tasks import Tasks


@dataclass(frozen=True, eq=False)
class Prompts:
    """A batch of B prompts of P positions in d dimensions.

    Position i is the prediction made for ``queries[:, i]`` from the i examples ``xs[:, :i]``, ``ys[:, :i]``,
    so N examples need P = N + 1 positions.

    Attributes
    ----------
    xs : ndarray, shape (B, P, d)
        Inputs of the examples.
    ys : ndarray, shape (B, P)
        Their labels, with noise if the distribution has any. Training fits these.
    queries : ndarray, shape (B, P, d)
        Query of each position; the array ``xs`` itself when queries are not shifted.
    targets : ndarray, shape (B, P)
        Noise-free h(queries). Evaluation scores against these.
    """

    xs: PromptInputs
    ys: PromptLabels
    queries: PromptInputs
    targets: PromptLabels

    def __post_init__(self) -> None:
        shape = self.xs.shape
        if self.xs.ndim != 3 or self.queries.shape != shape or not (self.ys.shape == self.targets.shape == shape[:2]):
            raise InvalidInputError(
                "prompts must have xs and queries of shape (B, P, d), ys and targets of shape (B, P); "
                f"{self.xs.shape}, {self.queries.shape}, {self.ys.shape} and {self.targets.shape} were given."
            )

    def __len__(self) -> int:
        return self.xs.shape[0]

    @property
    def n_points(self) -> int:
        """Number of positions P."""
        return self.xs.shape[1]

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.xs.shape[2]

    @property
    def shifted_queries(self) -> bool:
        """Whether any query differs from the example at its position."""
        return self.queries is not self.xs


@dataclass(frozen=True, eq=False)
class PromptDistribution:
    """Draws prompts: covariates × tasks × label noise.

    Parameters
    ----------
    covariates : Covariates
        Law of x.
    tasks : Tasks
        Law of the function h.
    noise : float
        Standard deviation of the Gaussian noise on the labels ``ys``; targets stay noise-free.
    """

    covariates: Covariates
    tasks: Tasks
    noise: float = 0.0

    def __post_init__(self) -> None:
        check_real(self.noise, "noise", minimum=0.0)

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.covariates.dimension

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
            B and P.
        seed, step, start : int
            Address of the prompts; the same address gives the same prompts in any batch or process, and
            more points extend the same prompts.
        stream : str
            "training", "evaluation" or "verification"; they never share prompts.

        Returns
        -------
        Prompts
            B prompts of P positions.
        """
        n_points = check_integer(n_points, "n_points", minimum=1)
        draws = Draws(seed, stream, step, start, check_integer(n_prompts, "n_prompts", minimum=1))
        xs = self.covariates.sample(draws, n_points)
        targets = self.tasks.draw(draws, self.dimension)(xs)
        ys = targets + self.noise * draws.normals("noise", n_points) if self.noise else targets
        return Prompts(xs=xs, ys=np.asarray(ys), queries=xs, targets=targets)
