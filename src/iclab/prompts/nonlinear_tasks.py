"""Laws of nonlinear functions h: those of Garg et al. (2022), §3, and mixtures and multiples of any tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import (
    Draws,
    InvalidInputError,
    Matrix,
    PromptInputs,
    PromptLabels,
    check_integer,
    check_real,
)
from iclab.prompts.labels import Labels, labels_of
from iclab.prompts.random_covariances import check_probabilities, choose
from iclab.prompts.tasks import Functions, Tasks, check_tasks, linear_functions


@dataclass(frozen=True)
class Quadratic:
    """h(x) = Σ w_i x_i² / √3, w ~ N(0, I): variance d for x ~ N(0, I), as for linear functions."""

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = Σ Λ_ii² for x ~ N(0, Λ)."""
        return float(np.sum(np.diagonal(covariance) ** 2))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts."""
        linear = linear_functions(draws.normals("task", dimension) / np.sqrt(3))
        return lambda xs: linear(np.square(xs))

    def features(self, xs: PromptInputs) -> PromptInputs:
        """φ(x) = (x_i²)/√3 with h(x) = w'φ(x), w ~ N(0, I); shape (B, P, d)."""
        return np.square(xs) / np.sqrt(3)


@dataclass(frozen=True)
class ReluNetwork:
    """h(x) = √(2/hidden) · w2'ReLU(W1 x), all weights N(0, 1): a random two-layer network.

    Parameters
    ----------
    hidden : int
        Width, at least 1.
    """

    hidden: int = 100

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", check_integer(self.hidden, "hidden", minimum=1))

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = tr Λ for x ~ N(0, Λ)."""
        return float(np.trace(covariance))

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts."""
        first = draws.normals("task", dimension, self.hidden)
        second = draws.at(channel=1).normals("task", self.hidden) * np.sqrt(2 / self.hidden)

        def apply(xs: PromptInputs) -> PromptLabels:
            labels = np.empty(xs.shape[:2])
            # One prompt at a time keeps the hidden layer in cache; einsum keeps a row's bits whatever P is.
            for b, x in enumerate(xs):
                hidden = np.einsum("pd,dh->ph", x, first[b], optimize=False)
                labels[b] = np.einsum("ph,h->p", np.maximum(hidden, 0.0), second[b], optimize=False)
            return labels

        return apply


@dataclass(frozen=True)
class DecisionTree:
    """A full binary tree: every inner node splits on the sign of one random coordinate, leaves are N(0, 1).

    Parameters
    ----------
    depth : int
        Number of splits on the way to a leaf, at least 0.
    """

    depth: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", check_integer(self.depth, "depth", minimum=0))

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = 1: leaves are N(0, 1)."""
        return 1.0

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts."""
        n_leaves = 2**self.depth
        leaves = draws.normals("task", n_leaves)
        coordinates = (draws.at(channel=1).uniforms("task", max(n_leaves - 1, 1)) * dimension).astype(np.int64)

        def apply(xs: PromptInputs) -> PromptLabels:
            node = np.zeros(xs.shape[:2], dtype=np.int64)
            for _ in range(self.depth):
                coordinate = np.take_along_axis(coordinates, node, axis=1)
                value = np.take_along_axis(xs, coordinate[..., None], axis=2)[..., 0]
                node = 2 * node + 1 + (value > 0)
            return np.take_along_axis(leaves, node - (n_leaves - 1), axis=1)

        return apply


@dataclass(frozen=True)
class LinearClassification:
    """h(x) = sign(w'x) ∈ {−1, 1}, w ~ N(0, I)."""

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)² = 1."""
        return 1.0

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts."""
        linear = linear_functions(draws.normals("task", dimension))
        return lambda xs: np.where(linear(xs) >= 0, 1.0, -1.0)


@dataclass(frozen=True, eq=False)
class TaskMixture:
    """One of several laws of functions, chosen anew in every prompt.

    Parameters
    ----------
    members : sequence of Tasks
        The laws.
    probabilities : array_like, shape (K,), optional
        Of the members; uniform when omitted.

    Raises
    ------
    InvalidInputError
        If there is no member, the probabilities do not add to 1, or labels are of different kinds.
    """

    members: tuple[Tasks, ...]
    probabilities: Float64[np.ndarray, " K"]

    def __init__(self, members: Sequence[Tasks], probabilities: ArrayLike | None = None) -> None:
        if not members:
            raise InvalidInputError("members must hold at least one law of tasks; none was given.")
        object.__setattr__(self, "members", tuple(check_tasks(each) for each in members))
        object.__setattr__(self, "probabilities", check_probabilities(probabilities, len(members)))
        different = [labels_of(member) for member in members if labels_of(member) != self.labels]
        if different:
            raise InvalidInputError(
                f"members must have labels of one kind and size; {self.labels} and {different[0]} were given."
            )

    @property
    def labels(self) -> Labels:
        """What the labels are."""
        return labels_of(self.members[0])

    def mean_square(self, covariance: Matrix) -> float:
        """E h(x)², averaged over the members."""
        return float(
            sum(p * task.mean_square(covariance) for p, task in zip(self.probabilities, self.members, strict=True))
        )

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts."""
        # A channel of its own, far from those the members use.
        index = choose(draws.at(channel=1 << 20).uniforms("task", 1)[:, 0], self.probabilities)
        functions = [member.draw(draws.apart(), dimension) for member in self.members]

        def apply(xs: PromptInputs) -> PromptLabels:
            labels = np.empty((*xs.shape[:2], *self.labels.answer_shape))
            for k, function in enumerate(functions):
                chosen = index == k
                if chosen.any():
                    labels[chosen] = function(xs)[chosen]
            return labels

        return apply


@dataclass(frozen=True)
class Scaled:
    """factor · h(x), h of another law.

    Parameters
    ----------
    tasks : Tasks
        Law of h.
    factor : float
        Multiplies every label and target.
    """

    tasks: Tasks
    factor: float

    def __post_init__(self) -> None:
        check_tasks(self.tasks)
        object.__setattr__(self, "factor", check_real(self.factor, "factor"))
        if self.labels.kind == "class":
            raise InvalidInputError(
                f"tasks must have labels that are numbers to be scaled; {self.tasks!r} has classes."
            )

    @property
    def labels(self) -> Labels:
        """What the labels are."""
        return labels_of(self.tasks)

    def mean_square(self, covariance: Matrix) -> float:
        """E (factor · h(x))² = factor² · E h(x)²."""
        return self.factor**2 * self.tasks.mean_square(covariance)

    def draw(self, draws: Draws, dimension: int) -> Functions:
        """The functions of the addressed prompts."""
        function = self.tasks.draw(draws, dimension)
        return lambda xs: self.factor * function(xs)
