"""Prompts, and the distribution they are drawn from: covariates × tasks × noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from iclab.foundations import (
    Draws,
    InvalidInputError,
    PromptInputs,
    PromptLabels,
    check_integer,
    check_real,
    check_reals,
)
from iclab.prompts.covariates import Covariates, check_covariates
from iclab.prompts.tasks import Tasks, check_tasks


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
        Noise-free h(queries), NaN where unknown. Evaluation scores against these.

    Raises
    ------
    InvalidInputError
        If shapes differ, P or d is 0, or an input, label or query is not a finite real number. Lists and other kinds
        of numbers become float64 arrays.
    """

    xs: PromptInputs
    ys: PromptLabels
    queries: PromptInputs
    targets: PromptLabels

    def __post_init__(self) -> None:
        shifted = self.shifted_queries
        for name in ("xs", "ys", "queries", "targets"):
            array = self.xs if name == "queries" and not shifted else check_reals(getattr(self, name), name)
            # A sum is finite if all terms are, unless it overflows: one cheap pass for what is almost always so.
            with np.errstate(over="ignore", invalid="ignore"):
                total = array.sum()
            if name != "targets" and not np.isfinite(total) and not np.isfinite(array).all():
                raise InvalidInputError(f"{name} must be finite; NaN or infinity was given.")
            object.__setattr__(self, name, array)
        shape = self.xs.shape
        if self.xs.ndim != 3 or self.queries.shape != shape or not (self.ys.shape == self.targets.shape == shape[:2]):
            raise InvalidInputError(
                "prompts must have xs and queries of shape (B, P, d), ys and targets of shape (B, P); "
                f"{self.xs.shape}, {self.queries.shape}, {self.ys.shape} and {self.targets.shape} were given."
            )
        if 0 in shape[1:]:
            raise InvalidInputError(f"prompts must have at least one position and one dimension; xs has shape {shape}.")

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


class PointChange(Protocol):
    """A change of inputs and queries of drawn prompts, the stuff shifts are made of."""

    def __call__(self, xs: PromptInputs, queries: PromptInputs, draws: Draws) -> tuple[PromptInputs, PromptInputs]:
        """Changed inputs and queries, both (B, P, d); ``draws`` addresses randomness of the stream "shift".

        When queries remain the inputs themselves, one array is returned twice. Position i of the result may
        depend on positions up to i only.
        """
        ...


@dataclass(frozen=True)
class Outliers:
    """Adds ``scale`` · N(0, 1) to each label with the given probability, independently.

    Parameters
    ----------
    probability : float
        Of a label to be an outlier, from 0 to 1.
    scale : float
        Standard deviation of what is added.

    Raises
    ------
    InvalidInputError
        If the probability is not one, or the scale is negative.
    """

    probability: float
    scale: float

    def __post_init__(self) -> None:
        number = check_real(self.probability, "probability", minimum=0.0)
        if number > 1:
            raise InvalidInputError(f"probability must lie between 0 and 1; {number} was given.")
        object.__setattr__(self, "probability", number)
        object.__setattr__(self, "scale", check_real(self.scale, "scale", minimum=0.0))

    def sample(self, draws: Draws, n_points: int) -> PromptLabels:
        """What is added to the labels, shape (B, P)."""
        struck = draws.at(channel=draws.channel + 1).uniforms("noise", n_points) < self.probability
        return np.where(struck, self.scale * draws.normals("noise", n_points), 0.0)


@dataclass(frozen=True, eq=False)
class PromptDistribution:
    """Draws prompts: covariates × tasks × label noise, and what shifts change of them.

    Parameters
    ----------
    covariates : Covariates
        Law of x.
    tasks : Tasks
        Law of the function h.
    noise : float
        Standard deviation of the Gaussian noise on the labels ``ys``; targets stay noise-free.
    outliers : Outliers, optional
        A second, rarer and larger noise on the labels.
    changes : tuple of PointChange
        What shifts do to inputs and queries, applied in order. Usually set by ``shift(name).apply``.

    Raises
    ------
    InvalidInputError
        If the noise is negative or not finite, or the covariates or tasks are none, or a class instead of an object.
    """

    covariates: Covariates
    tasks: Tasks
    noise: float = 0.0
    outliers: Outliers | None = None
    changes: tuple[PointChange, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", check_real(self.noise, "noise", minimum=0.0))
        check_covariates(self.covariates)
        check_tasks(self.tasks)

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

        Raises
        ------
        InvalidInputError
            If a number is out of range, or the covariates or tasks return another shape or what is not finite.
        """
        n_points = check_integer(n_points, "n_points", minimum=1)
        draws = Draws(seed, stream, step, start, check_integer(n_prompts, "n_prompts", minimum=1))
        labelled = draws.count, n_points
        xs = queries = _drawn(self.covariates.sample(draws, n_points), self.covariates, (*labelled, self.dimension))
        for channel, change in enumerate(self.changes):
            xs, queries = change(xs, queries, draws.at(channel=channel))
        functions = self.tasks.draw(draws, self.dimension)
        labels = _drawn(functions(xs), self.tasks, labelled)
        targets = labels if queries is xs else _drawn(functions(queries), self.tasks, labelled)
        # Never one array: who changes a label must not change the truth that it is scored against.
        ys = np.array(labels)
        if self.noise:
            ys = labels + self.noise * draws.normals("noise", n_points)
        if self.outliers is not None:
            ys = ys + self.outliers.sample(draws.at(channel=1), n_points)
        return Prompts(xs=xs, ys=ys, queries=queries, targets=targets)


def _drawn(values: np.ndarray, law: object, shape: tuple[int, ...]) -> np.ndarray:
    """What a law drew, checked: NumPy would broadcast some wrong shapes without a word."""
    kind = type(law).__name__
    array = check_reals(values, f"what {kind} draws")
    if array.shape != shape:
        raise InvalidInputError(f"{kind} must draw an array of shape {shape}; shape {array.shape} was drawn.")
    return array
