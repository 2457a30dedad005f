"""Two Gaussian clusters about ±μ with flipped labels: in-context classification of Frei and Vardi (2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import expit

from iclab.foundations import Draws, InvalidInputError, check_integer, check_real
from iclab.prompts.boolean_functions import check_share
from iclab.prompts.labels import Labels, Law
from iclab.prompts.prompt import Prompts


@dataclass(frozen=True)
class GaussianMixture:
    """x = ±μ + N(0, I) with fair signs, μ uniform on the sphere of a radius, per prompt; class 1 for +, then flipped.

    ``targets`` are the clusters' own classes, ``probabilities`` the law of the label given μ and x. Whoever knows μ is
    right about the cluster with probability Φ(radius).

    Parameters
    ----------
    dimension : int
        d.
    radius : float
        |μ|, at least 0.
    flips : float
        Probability that a label is the other class, from 0 to ½.

    Raises
    ------
    InvalidInputError
        If a number is out of range.
    """

    dimension: int
    radius: float
    flips: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", check_integer(self.dimension, "dimension", minimum=1))
        object.__setattr__(self, "radius", check_real(self.radius, "radius", minimum=0.0))
        object.__setattr__(self, "flips", check_share(self.flips, "flips"))
        if self.flips > 0.5:
            raise InvalidInputError(f"flips must be at most 0.5, or the classes trade names; {self.flips} was given.")

    @property
    def labels(self) -> Labels:
        """Two classes."""
        return Labels("class", 2)

    def centres(self, draws: Draws) -> Float64[np.ndarray, "B d"]:
        """μ of the addressed prompts, shape (B, d)."""
        normals = draws.normals("task", self.dimension)
        return self.radius * normals / np.linalg.norm(normals, axis=1, keepdims=True)

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
        """Draw prompts ``start`` … ``start + n_prompts − 1``, as ``PromptDistribution.sample`` does."""
        n_points = check_integer(n_points, "n_points", minimum=1)
        draws = Draws(seed, stream, step, start, check_integer(n_prompts, "n_prompts", minimum=1))
        with draws.once() as once:
            centres = self.centres(once)
            clusters = (once.at(channel=1).uniforms("x", n_points) < 0.5).astype(np.int64)
            xs = once.normals("x", n_points, self.dimension)
            flipped = once.uniforms("noise", n_points) < self.flips
        xs += (2 * clusters - 1)[..., None] * centres[:, None]
        margins = 2 * np.einsum("bpd,bd->bp", xs, centres, optimize=False)
        law: Law = expit(np.stack([-margins, margins], axis=-1))
        law = self.flips + (1 - 2 * self.flips) * law
        return Prompts(xs, clusters ^ flipped, xs, clusters, 2, law)
