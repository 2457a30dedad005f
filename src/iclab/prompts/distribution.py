"""The distribution that prompts are drawn from: covariates × tasks × noise."""

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
from iclab.prompts.labels import Labels, draw_classes, labels_of
from iclab.prompts.prompt import Prompts
from iclab.prompts.tasks import Tasks, check_tasks


class PointChange(Protocol):
    """A change of inputs and queries of drawn prompts, from which shifts are composed."""

    def __call__(self, xs: PromptInputs, queries: PromptInputs, draws: Draws) -> tuple[PromptInputs, PromptInputs]:
        """Changed inputs and queries, both (B, P, d); ``draws`` addresses randomness of the stream "shift".

        When queries remain the inputs themselves, one array is returned twice. Position i of the result may
        depend on positions up to i only.
        """
        ...


@dataclass(frozen=True)
class Outliers:
    """Adds ``scale`` · N(0, 1) to each label with the given probability, or to all labels of a prompt with it.

    Parameters
    ----------
    probability : float
        That a label is an outlier, from 0 to 1.
    scale : float
        Standard deviation of what is added.
    whole : bool
        Whether a prompt's labels are outliers together, so that a share ``probability`` of the prompts is noisy, or
        each by itself.

    Raises
    ------
    InvalidInputError
        If the probability is not one, or the scale is negative.
    """

    probability: float
    scale: float
    whole: bool = False

    def __post_init__(self) -> None:
        number = check_real(self.probability, "probability", minimum=0.0)
        if number > 1:
            raise InvalidInputError(f"probability must lie between 0 and 1; {number} was given.")
        object.__setattr__(self, "probability", number)
        object.__setattr__(self, "scale", check_real(self.scale, "scale", minimum=0.0))

    @property
    def variance(self) -> float:
        """Of what is added to a label, over all prompts: probability · scale²."""
        return self.probability * self.scale**2

    def sample(self, draws: Draws, n_points: int, *size: int) -> PromptLabels:
        """What is added to the labels, shape (B, P), or (B, P, k) for vectors of ``size`` k."""
        shape = (1,) * (1 + len(size)) if self.whole else (n_points, *size)
        struck = draws.at(channel=draws.channel + 1).uniforms("noise", *shape) < self.probability
        return np.where(struck, self.scale * draws.normals("noise", n_points, *size), 0.0)


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
        Standard deviation of the Gaussian noise on the labels ``ys``, for vectors on each of their numbers; targets
        stay noise-free. Classes have none: their law is part of the tasks.
    outliers : Outliers, optional
        A second, rarer and larger noise on the labels.
    changes : tuple of PointChange
        What shifts do to inputs and queries, applied in order. Usually set by ``shift(name).apply``.

    Raises
    ------
    InvalidInputError
        If the noise is negative or not finite, or on classes, or the covariates or tasks are none, or a class instead
        of an object.

    Examples
    --------
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution
    >>> prompts = PromptDistribution(Gaussian.isotropic(3), Linear(), noise=0.5).sample(4, 11, seed=0)
    >>> prompts.xs.shape, prompts.ys.shape
    ((4, 11, 3), (4, 11))
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
        if self.labels.kind == "class" and (self.noise or self.outliers):
            raise InvalidInputError(
                f"noise must be 0, without outliers, for labels that are classes; {self.noise:g} was given: their law "
                "is part of the tasks."
            )

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.covariates.dimension

    @property
    def labels(self) -> Labels:
        """What the labels are, as the tasks say."""
        return labels_of(self.tasks)

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
        with draws.once() as once:
            inputs = self.covariates.sample(once, n_points)
        xs = queries = _drawn(inputs, self.covariates, (*labelled, self.dimension))
        for channel, change in enumerate(self.changes):
            xs, queries = change(xs, queries, draws.at(channel=channel))
        with draws.once() as once:
            functions = self.tasks.draw(once, self.dimension)
        # Of a class, the functions give the law.
        shape = (*labelled, *self.labels.answer_shape)
        labels = _drawn(functions(xs), self.tasks, shape)
        targets = labels if queries is xs else _drawn(functions(queries), self.tasks, shape)
        if self.labels.kind == "class":
            classes = draw_classes(labels, draws.uniforms("noise", n_points))
            return Prompts(xs, classes, queries, targets.argmax(axis=-1), self.labels.size, targets)
        # Never one array: who changes a label must not change the truth that it is scored against.
        ys = np.array(labels)
        if self.noise:
            ys = labels + self.noise * draws.normals("noise", n_points, *self.labels.shape)
        if self.outliers is not None:
            ys = ys + self.outliers.sample(draws.at(channel=1), n_points, *self.labels.shape)
        return Prompts(xs=xs, ys=ys, queries=queries, targets=targets)


def _drawn(values: np.ndarray, law: object, shape: tuple[int, ...]) -> np.ndarray:
    """What a law drew, checked: NumPy would broadcast some wrong shapes without a word."""
    kind = type(law).__name__
    array = check_reals(values, f"what {kind} draws")
    if array.shape != shape:
        raise InvalidInputError(f"{kind} must draw an array of shape {shape}; shape {array.shape} was drawn.")
    return array
