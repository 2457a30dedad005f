"""The table of shifts: Garg et al. (2022), §4 and §5, and §4.2 of the paper; and ``shift(name)`` to look them up.

Names compose: ``shift("noisyLR+scale-x=2")``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import numpy as np

from iclab.foundations import InvalidInputError, Matrix, check_choice, check_integer
from iclab.prompts.covariates import RandomDiagonal
from iclab.prompts.distribution import PointChange, PromptDistribution
from iclab.prompts.nonlinear_tasks import DecisionTree, LinearClassification, Quadratic, ReluNetwork, Scaled
from iclab.prompts.point_changes import (
    IndependentQueries,
    OrthogonalQueries,
    OverlappingQueries,
    Quadrants,
    RotatedSpectrum,
    ScaledInputs,
)
from iclab.prompts.shifts import LinearSetting, Shift, normaliser
from iclab.prompts.tasks import SparseLinear, Tasks


def _changed(change: PointChange) -> Callable[[PromptDistribution], PromptDistribution]:
    return lambda distribution: replace(distribution, changes=(*distribution.changes, change))


def _multiplied(
    context: float | None = 1.0, query: float | None = 1.0, weights: float | None = 1.0, noise: float = 1.0
) -> Callable[[LinearSetting], LinearSetting]:
    """Each moment times a factor; None makes it unknown."""

    def times(matrix: Matrix | None, factor: float | None) -> Matrix | None:
        return None if matrix is None or factor is None else factor * matrix

    return lambda setting: LinearSetting(
        times(setting.context_covariance, context),
        times(setting.query_covariance, query),
        times(setting.weight_moment, weights),
        noise * setting.noise_variance,
    )


def _rotated(spectrum: Literal["half", "reciprocal"]) -> Callable[[LinearSetting], LinearSetting]:
    """Isotropic inputs: query second moment c·mean of λ²; other laws and the context's covariance depend on U."""

    def moments(setting: LinearSetting) -> LinearSetting:
        query = setting.query_covariance
        isotropic = query is not None and np.allclose(query, query[0, 0] * np.eye(len(query)), atol=0)
        # Over rotations E T² = (Σλ²/d)·(d/Σλ²)·I = I: the mean query second moment is unchanged.
        return LinearSetting(None, query if isotropic else None, setting.weight_moment, setting.noise_variance)

    return moments


def _same(setting: LinearSetting) -> LinearSetting:
    return setting


def _noisy_linear_regression(distribution: PromptDistribution) -> PromptDistribution:
    variance = None if distribution.changes else normaliser(distribution)
    if variance is None:
        raise InvalidInputError(
            "noisyLR must know E h(x)² to renormalise labels, which it does for Gaussian covariates and for linear "
            "tasks on random diagonal ones: put it first where shifts are composed, or use noise=1 instead."
        )
    factor = float(np.sqrt(variance / (variance + 1)))
    return _scaled_labels(distribution, factor, float(np.hypot(distribution.noise, 1.0)))


def _scaled_labels(distribution: PromptDistribution, factor: float, noise: float) -> PromptDistribution:
    outliers = distribution.outliers
    return replace(
        distribution,
        tasks=Scaled(distribution.tasks, factor),
        noise=abs(factor) * noise,
        outliers=None if outliers is None else replace(outliers, scale=abs(factor) * outliers.scale),
    )


def _noisy_moments(setting: LinearSetting) -> LinearSetting:
    zero = setting.zero_error
    if zero is None:
        return LinearSetting(None, None, None, setting.noise_variance)
    factor = zero / (zero + 1)
    weight = None if setting.weight_moment is None else factor * setting.weight_moment
    return LinearSetting(
        setting.context_covariance, setting.query_covariance, weight, factor * (setting.noise_variance + 1)
    )


def _with_tasks(tasks: Tasks) -> Callable[[PromptDistribution], PromptDistribution]:
    return lambda distribution: replace(distribution, tasks=tasks)


def _random_covariances(distribution: PromptDistribution) -> PromptDistribution:
    return replace(distribution, covariates=RandomDiagonal.exponential(distribution.dimension))


def _exponential_moments(setting: LinearSetting) -> LinearSetting:
    weight = setting.weight_moment
    return LinearSetting(None, None if weight is None else np.eye(len(weight)), weight, setting.noise_variance)


_UNKNOWN = _multiplied(None, None, None)

_PLAIN: tuple[Shift, ...] = (
    Shift("standard", "Prompts as in training.", (), lambda distribution: distribution, _same),
    Shift(
        "random_quadrants",
        "Context inputs |x|·s with one random sign vector s per prompt; the query as drawn.",
        ("context",),
        _changed(Quadrants()),
        _multiplied(context=None),
    ),
    Shift(
        "orthogonal_train_test",
        "The query projected off the span of its context and rescaled to its own norm; positions i < d.",
        ("query",),
        _changed(OrthogonalQueries()),
        # For isotropic inputs the direction is uniform and the norm kept; the query depends on its context.
        lambda setting: replace(_rotated("half")(setting), context_covariance=None),
        within_dimension=True,
    ),
    Shift(
        "overlapping_train_test",
        "The query is a random earlier input of the same prompt.",
        ("query",),
        _changed(OverlappingQueries()),
        _multiplied(context=None),
    ),
    Shift(
        "half_subspace",
        "Inputs times U diag(1 for d/2 coordinates, 0) U'·√(d/Σλ²), U one random rotation.",
        ("context", "query"),
        _changed(RotatedSpectrum("half")),
        _rotated("half"),
        rotation="evaluation",
    ),
    Shift(
        "half_subspace-per-prompt",
        "half_subspace with a rotation of its own for every prompt.",
        ("context", "query"),
        _changed(RotatedSpectrum("half", "prompt")),
        _rotated("half"),
        rotation="prompt",
    ),
    Shift(
        "skewed",
        "Inputs times U diag(1/(i+1)) U'·√(d/Σλ²), U one random rotation.",
        ("context", "query"),
        _changed(RotatedSpectrum("reciprocal")),
        _rotated("reciprocal"),
        rotation="evaluation",
    ),
    Shift(
        "skewed-per-prompt",
        "skewed with a rotation of its own for every prompt.",
        ("context", "query"),
        _changed(RotatedSpectrum("reciprocal", "prompt")),
        _rotated("reciprocal"),
        rotation="prompt",
    ),
    Shift(
        "noisyLR",
        "Label noise of standard deviation 1, then labels and targets divided by √((v+1)/v), v = E h(x)².",
        ("labels", "noise"),
        _noisy_linear_regression,
        _noisy_moments,
    ),
    Shift(
        "opposite_quadrants",
        "Context inputs |x|·s with one random sign vector s per prompt; the query has the opposite signs.",
        ("context", "query"),
        _changed(Quadrants(opposite=True)),
        _multiplied(context=None),
    ),
    Shift(
        "independent-query",
        "Queries drawn anew from N(0, I), independent of the context and of its covariance.",
        ("query",),
        _changed(IndependentQueries()),
        lambda setting: replace(
            setting,
            query_covariance=None if setting.query_covariance is None else np.eye(len(setting.query_covariance)),
        ),
    ),
    Shift(
        "random-covariance",
        "Inputs with covariance diag(λ), λ_i ~ Exponential(1), drawn anew in every prompt (§4.3).",
        ("context", "query"),
        _random_covariances,
        _exponential_moments,
    ),
    Shift("task-quadratic", "Labels Σ w_i x_i²/√3.", ("task",), _with_tasks(Quadratic()), _UNKNOWN),
    Shift("task-relu", "Labels of a random ReLU network, width 100.", ("task",), _with_tasks(ReluNetwork()), _UNKNOWN),
    Shift("task-tree", "Labels of a random decision tree, depth 4.", ("task",), _with_tasks(DecisionTree()), _UNKNOWN),
    Shift("task-classification", "Labels sign(w'x).", ("task",), _with_tasks(LinearClassification()), _UNKNOWN),
)


def _scale_x(c: float, name: str) -> Shift:
    return Shift(
        name,
        f"All inputs times {c:g}.",
        ("context", "query"),
        _changed(ScaledInputs(c, c)),
        _multiplied(context=c**2, query=c**2),
    )


def _scale_context(c: float, name: str) -> Shift:
    return Shift(
        name,
        f"Context inputs times {c:g}; the query as drawn.",
        ("context",),
        _changed(ScaledInputs(context=c)),
        _multiplied(context=c**2),
    )


def _scale_query(c: float, name: str) -> Shift:
    return Shift(
        name,
        f"The query times {c:g}; the context as drawn.",
        ("query",),
        _changed(ScaledInputs(query=c)),
        _multiplied(query=c**2),
    )


def _scale_y(c: float, name: str) -> Shift:
    return Shift(
        name,
        f"Labels, noise included, and targets times {c:g}.",
        ("labels",),
        lambda distribution: _scaled_labels(distribution, c, distribution.noise),
        _multiplied(weights=c**2, noise=c**2),
    )


def _covariance(c: float, name: str) -> Shift:
    if c <= 0:
        raise InvalidInputError(f"covariance=c must have a positive c; {c:g} was given.")
    return replace(
        _scale_x(float(np.sqrt(c)), name), definition=f"The covariance of all inputs times {c:g} (Figure 1's c)."
    )


def _noise(c: float, name: str) -> Shift:
    if c < 0:
        raise InvalidInputError(f"noise=σ must have σ at least 0; {c:g} was given.")
    return Shift(
        name,
        f"Label noise of standard deviation {c:g} added.",
        ("noise",),
        lambda distribution: replace(distribution, noise=float(np.hypot(distribution.noise, c))),
        lambda setting: replace(setting, noise_variance=setting.noise_variance + c**2),
    )


def _sparse(c: float, name: str) -> Shift:
    tasks = SparseLinear(check_integer(c, "s in task-sparse=s", minimum=1))

    def moments(setting: LinearSetting) -> LinearSetting:
        query = setting.query_covariance
        return replace(setting, weight_moment=None if query is None else tasks.weight_moment(len(query)))

    return Shift(name, f"Linear labels with {tasks.nonzeros} nonzero weights.", ("task",), _with_tasks(tasks), moments)


def _length(c: float, name: str) -> Shift:
    count = check_integer(c, "M in length=M", minimum=1)
    return Shift(
        name,
        f"Contexts of up to {count} examples, whatever the length in training; evaluate {count + 1} positions.",
        ("length",),
        lambda distribution: distribution,
        _same,
        n_points=count + 1,
    )


# Families by name; shift("scale-x=2.5") takes any number, and these values are the named members.
_FAMILIES: dict[str, tuple[Callable[[float, str], Shift], tuple[str, ...]]] = {
    "scale-x": (_scale_x, ("1/3", "0.5", "2", "3")),
    "scale-y": (_scale_y, ("1/3", "0.5", "2", "3")),
    "scale-context": (_scale_context, ("0.5", "2")),
    "scale-query": (_scale_query, ("0.5", "2")),
    "covariance": (_covariance, ("4", "9")),
    "noise": (_noise, ("0.5", "1")),
    "task-sparse": (_sparse, ("3",)),
    "length": (_length, ("100",)),
}
_BY_NAME = {member.name: member for member in _PLAIN} | {
    f"{family}={value}": build(float(Fraction(value)), f"{family}={value}")
    for family, (build, values) in _FAMILIES.items()
    for value in values
}

SHIFTS: tuple[str, ...] = tuple(_BY_NAME)
"""Names of all shifts; the families scale-x=c, scale-y=c, … take any other number too."""

GARG: tuple[str, ...] = (
    "standard",
    "random_quadrants",
    "orthogonal_train_test",
    "overlapping_train_test",
    "half_subspace",
    "skewed",
    *(f"scale-{axis}={value}" for axis in "xy" for value in ("1/3", "0.5", "2", "3")),
    "noisyLR",
)
"""The fifteen evaluations of Garg et al. (2022)."""


def shift(name: str) -> Shift:
    """The shift of that name.

    Parameters
    ----------
    name : str
        One of ``SHIFTS``; a family with a number, such as ``scale-x=2.5`` or ``scale-y=1/3``; or several
        joined by ``+``, applied from left to right.

    Raises
    ------
    InvalidInputError
        If there is no such shift; the sentence names the closest one.

    Examples
    --------
    >>> from iclab.prompts import Gaussian, Linear, PromptDistribution, shift
    >>> problem = PromptDistribution(Gaussian.isotropic(2), Linear())
    >>> shifted = shift("scale-y=3").apply(problem)
    >>> shifted.sample(1, 2, seed=0).ys / problem.sample(1, 2, seed=0).ys
    array([[3., 3.]])
    """
    parts = [_single(part.strip()) for part in str(name).split("+")]
    result = parts[0]
    for part in parts[1:]:
        result = result.then(part)
    return result


def _single(name: str) -> Shift:
    if name in _BY_NAME:
        return _BY_NAME[name]
    family, separator, value = name.partition("=")
    if separator and family in _FAMILIES:
        try:
            number = float(Fraction(value)) if "/" in value else float(value)
        except (ValueError, ZeroDivisionError) as error:
            raise InvalidInputError(
                f"{family} must be given a number, as in {family}=2; {value!r} was given."
            ) from error
        # Moments and errors multiply up to six such factors, which float64 must hold.
        if not 1e-50 <= abs(number) <= 1e50:
            raise InvalidInputError(
                f"{family} must be given a number from 1e-50 to 1e50 or its negative; {value!r} was given."
            )
        return _FAMILIES[family][0](number, name)
    return _BY_NAME[check_choice(name, "shift", SHIFTS)]
