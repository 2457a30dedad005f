"""Shifts: named changes of a prompt distribution.

A shift says what it is, what it changes, and how the moments of a linear problem move with it, so that the
errors of the zero estimator and of linear self-attention under it are known where they are known at all.
Shifts compose with ``then``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from iclab.foundations import InvalidInputError, Matrix
from iclab.prompts.covariates import Covariates, Gaussian, RandomDiagonal
from iclab.prompts.distribution import PromptDistribution
from iclab.prompts.nonlinear_tasks import Scaled
from iclab.prompts.tasks import FinitePool, FixedLinear, Linear, SparseLinear, Tasks

Part: TypeAlias = Literal["context", "query", "task", "labels", "noise", "length"]
Rotation: TypeAlias = Literal["prompt", "evaluation"]


@dataclass(frozen=True, eq=False)
class LinearSetting:
    """Second moments of a linear problem under a shift; what a formula cannot use is None.

    Attributes
    ----------
    context_covariance : ndarray, shape (d, d), optional
        Λ' of Gaussian context inputs that are independent of the query.
    query_covariance : ndarray, shape (d, d), optional
        Λ_q, second moment of the query.
    weight_moment : ndarray, shape (d, d), optional
        W = E ww'.
    noise_variance : float
        s² of the labels.
    """

    context_covariance: Matrix | None
    query_covariance: Matrix | None
    weight_moment: Matrix | None
    noise_variance: float

    @property
    def zero_error(self) -> float | None:
        """Error tr(Λ_q W) of always predicting 0, where known."""
        if self.query_covariance is None or self.weight_moment is None:
            return None
        return float(np.sum(self.query_covariance * self.weight_moment))


@dataclass(frozen=True)
class Shift:
    """A named change of a prompt distribution.

    Attributes
    ----------
    name : str
        As in ``shift(name)``.
    definition : str
        One sentence.
    changes : tuple of str
        What it changes, among context, query, task, labels, noise, length.
    transform : callable
        The distribution it makes of a distribution.
    moments : callable
        How ``LinearSetting`` moves with it.
    rotation : {"evaluation", "prompt"}, optional
        Whether its random rotation is drawn once per evaluation (as Garg et al. do) or per prompt.
    within_dimension : bool
        Whether positions must stay below d.
    n_points : int, optional
        Positions that it asks for; None if any number will do.
    """

    name: str
    definition: str
    changes: tuple[Part, ...]
    transform: Callable[[PromptDistribution], PromptDistribution]
    moments: Callable[[LinearSetting], LinearSetting]
    rotation: Rotation | None = None
    within_dimension: bool = False
    n_points: int | None = None

    def apply(self, distribution: PromptDistribution) -> PromptDistribution:
        """The shifted distribution.

        Raises
        ------
        InvalidInputError
            If it changes something, and the distribution is not one of functions of inputs.
        """
        if self.changes and not isinstance(distribution, PromptDistribution):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(
                f"the shift {self.name} must be of prompts that are covariates × tasks × noise; "
                f"{type(distribution).__name__} draws others: take 'standard'."
            )
        return self.transform(distribution)

    def setting(self, distribution: PromptDistribution) -> LinearSetting:
        """Moments of ``distribution``, unshifted, after this shift."""
        return self.moments(linear_setting(distribution))

    def zero_error(self, distribution: PromptDistribution) -> float | None:
        """Error of always predicting 0 on the shifted ``distribution``, where known."""
        return self.setting(distribution).zero_error

    def max_points(self, dimension: int) -> int | None:
        """Largest number of positions it is defined for; None if any."""
        return dimension if self.within_dimension else None

    def then(self, other: Shift) -> Shift:
        """Apply ``other`` after this shift."""
        rotations: list[Rotation] = [each for each in (self.rotation, other.rotation) if each is not None]
        return Shift(
            name=f"{self.name}+{other.name}",
            definition=f"{self.definition.rstrip('.')}; then: {other.definition}",
            changes=tuple(dict.fromkeys((*self.changes, *other.changes))),
            transform=lambda distribution: other.apply(self.apply(distribution)),
            moments=lambda setting: other.moments(self.moments(setting)),
            rotation="prompt" if "prompt" in rotations else (rotations[0] if rotations else None),
            within_dimension=self.within_dimension or other.within_dimension,
            n_points=other.n_points or self.n_points,
        )


def normaliser(distribution: PromptDistribution) -> float | None:
    """What errors on ``distribution`` and its shifts are divided by when drawn: E h(x)² before any shift.

    d for linear functions of isotropic inputs, the number of nonzeros for sparse ones, 1 for trees, as in
    Garg et al. (2022); None where no closed form is known, or prompts are no functions of inputs.
    """
    if not isinstance(distribution, PromptDistribution):  # pyright: ignore[reportUnnecessaryIsInstance]
        return None
    covariance = mean_covariance(distribution.covariates)
    if covariance is None:
        return None
    # A random Λ enters quadratically into E h² of nonlinear tasks; its mean is enough for linear ones only.
    if not isinstance(distribution.covariates, Gaussian) and not _is_linear(distribution.tasks):
        return None
    return distribution.tasks.mean_square(covariance)


def linear_setting(distribution: PromptDistribution) -> LinearSetting:
    """Moments of an unshifted distribution; None where they are unknown or a formula for Gaussians cannot use them."""
    if not isinstance(distribution, PromptDistribution):  # pyright: ignore[reportUnnecessaryIsInstance]
        return LinearSetting(None, None, None, 0.0)
    covariates, tasks = distribution.covariates, distribution.tasks
    query = mean_covariance(covariates)
    variance = distribution.noise**2
    if distribution.outliers is not None:
        variance += distribution.outliers.variance
    if distribution.changes:
        return LinearSetting(None, None, None, variance)
    context = covariates.covariance if isinstance(covariates, Gaussian) else None
    return LinearSetting(context, query, _weight_moment(tasks, covariates.dimension), variance)


def mean_covariance(covariates: Covariates) -> Matrix | None:
    """E xx' where known in closed form, shape (d, d)."""
    if isinstance(covariates, Gaussian):
        return covariates.covariance
    if isinstance(covariates, RandomDiagonal):
        return np.diag(covariates.moments(1))
    return None


def _is_linear(tasks: Tasks) -> bool:
    return isinstance(tasks, (Linear, FixedLinear, SparseLinear, FinitePool)) or (
        isinstance(tasks, Scaled) and _is_linear(tasks.tasks)
    )


def _weight_moment(tasks: Tasks, dimension: int) -> Matrix | None:
    if isinstance(tasks, (Linear, FixedLinear, SparseLinear, FinitePool)):
        return tasks.weight_moment(dimension)
    if isinstance(tasks, Scaled):
        moment = _weight_moment(tasks.tasks, dimension)
        return None if moment is None else tasks.factor**2 * moment
    return None
