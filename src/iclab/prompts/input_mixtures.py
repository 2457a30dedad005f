"""Laws of inputs that differ from prompt to prompt: random scales, rotations, orthants, and mixtures of laws.

Minimum-norm least squares is the exact posterior mean of w ~ N(0, I) from labels without noise under every law of x, so
that a prior over these laws leaves the best prediction what it is and only shows more contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import Draws, InvalidInputError, PromptInputs, check_integer, check_real
from iclab.prompts.covariates import Covariates, check_covariates
from iclab.prompts.linear_algebra import orthogonal_from
from iclab.prompts.random_covariances import check_probabilities, choose

# Within a law of laws, the inner ones use the next channel, so that no two share random numbers.


@dataclass(frozen=True)
class Orthant:
    """Inputs |z|·s, z ~ N(0, I), with one random sign vector s per prompt: all in one orthant (Garg et al. 2022, §4).

    Parameters
    ----------
    dimension : int
        Length d of an input.

    Raises
    ------
    InvalidInputError
        If the dimension is below 1.
    """

    dimension: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", check_integer(self.dimension, "dimension", minimum=1))

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        signs = np.where(draws.uniforms("covariance", 1, self.dimension) < 0.5, -1.0, 1.0)
        return signs * np.abs(draws.normals("x", n_points, self.dimension))


@dataclass(frozen=True)
class RandomScale:
    """Inputs c·x, x of another law, log c uniform on ±log ``largest``, drawn anew in every prompt.

    Parameters
    ----------
    covariates : Covariates
        Law of x.
    largest : float
        Largest factor, above 1; the smallest is its reciprocal.

    Raises
    ------
    InvalidInputError
        If the factor is not above 1.
    """

    covariates: Covariates
    largest: float = 3.0

    def __post_init__(self) -> None:
        check_covariates(self.covariates)
        object.__setattr__(self, "largest", check_real(self.largest, "largest", above=1.0))

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.covariates.dimension

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        factors = random_factors(self.largest, draws.uniforms("covariance", 1))
        return factors[:, :, None] * self.covariates.sample(_inner(draws), n_points)


@dataclass(frozen=True)
class Rotated:
    """Inputs Ux, x of another law, U uniform on the orthogonal group, drawn anew in every prompt.

    Parameters
    ----------
    covariates : Covariates
        Law of x.
    """

    covariates: Covariates

    def __post_init__(self) -> None:
        check_covariates(self.covariates)

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.covariates.dimension

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        rotations = orthogonal_from(draws.normals("covariance", self.dimension, self.dimension))
        return np.einsum("bpj,bij->bpi", self.covariates.sample(_inner(draws), n_points), rotations, optimize=False)


@dataclass(frozen=True, eq=False)
class CovariatesMixture:
    """One of several laws of inputs, chosen anew in every prompt.

    Parameters
    ----------
    members : sequence of Covariates
        The laws, of one dimension.
    probabilities : array_like, shape (K,), optional
        Of the members; uniform when omitted.

    Raises
    ------
    InvalidInputError
        If there is no member, dimensions differ, or the probabilities do not add to 1.
    """

    members: tuple[Covariates, ...]
    probabilities: Float64[np.ndarray, " K"]

    def __init__(self, members: Sequence[Covariates], probabilities: ArrayLike | None = None) -> None:
        if not members:
            raise InvalidInputError("members must hold at least one law of inputs; none was given.")
        object.__setattr__(self, "members", tuple(check_covariates(each) for each in members))
        object.__setattr__(self, "probabilities", check_probabilities(probabilities, len(members)))
        found = sorted({member.dimension for member in self.members})
        if len(found) > 1:
            raise InvalidInputError(f"members must have one dimension; {', '.join(map(str, found))} were given.")

    @property
    def dimension(self) -> int:
        """Length d of an input."""
        return self.members[0].dimension

    def sample(self, draws: Draws, n_points: int) -> PromptInputs:
        """Inputs, shape (B, P, d)."""
        index = choose(draws.uniforms("covariance", 1)[:, 0], self.probabilities)
        drawn = [member.sample(_inner(draws.apart()), n_points) for member in self.members]
        return np.stack(drawn)[index, np.arange(draws.count)]


def random_factors(largest: float, uniforms: np.ndarray) -> np.ndarray:
    """c = largest^(2u − 1) for uniform u: log c is uniform on ±log ``largest``."""
    return largest ** (2 * uniforms - 1)


def _inner(draws: Draws) -> Draws:
    return draws.at(channel=draws.channel + 1)
