"""The posterior of a matrix of low rank from linear measurements, by sequential Monte Carlo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import softmax

from iclab.foundations import InvalidInputError, PromptLabels, check_integer, check_real
from iclab.predictors.base import each_output
from iclab.prompts import Prompts

# Numbers of measured factors kept at once.
_BLOCK = 1 << 23


@dataclass(frozen=True)
class LowRankParticles:
    """Posterior mean for ``LowRank``, by Monte Carlo: h(x) = ⟨UV', X⟩/√rank, entries of U and V N(0, 1).

    Particles V are weighed by the density of the labels, with U integrated out, as given V the labels are linear in it
    with Gaussian noise. Where weights have become uneven, particles are drawn anew and moved by Gibbs sampling, U given
    V and V given U (Chopin 2002). It tends to Bayes as particles grow. All prompts share their random numbers, so that
    answers do not depend on the batch.

    Parameters
    ----------
    rows, columns, rank : int
        As in ``LowRank``.
    noise : float
        Standard deviation of the label noise, positive.
    particles, sweeps : int
        Number of particles, and of Gibbs sweeps after they were drawn anew.
    seed : int
        Of the particles.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the inputs have another dimension.
    """

    rows: int
    columns: int
    rank: int
    noise: float
    particles: int = 256
    sweeps: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "rank", "particles", "sweeps"):
            object.__setattr__(self, name, check_integer(getattr(self, name), name, minimum=1))
        object.__setattr__(self, "noise", check_real(self.noise, "noise", above=0.0))
        object.__setattr__(self, "seed", check_integer(self.seed, "seed", minimum=0))

    @each_output
    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        if prompts.dimension != self.rows * self.columns:
            raise InvalidInputError(
                f"inputs must have dimension rows · columns = {self.rows * self.columns}; they have "
                f"{prompts.dimension}."
            )
        predictions = np.zeros(prompts.ys.shape)
        numbers = self.particles * max(prompts.n_points * self.rank * max(self.rows, self.columns), self.particles)
        size = max(1, _BLOCK // numbers)
        for start in range(0, len(prompts), size):
            some = slice(start, start + size)
            predictions[some] = self._predict(prompts.xs[some], prompts.ys[some], prompts.queries[some])
        return predictions

    def _predict(self, xs: np.ndarray, ys: np.ndarray, queries: np.ndarray) -> PromptLabels:
        rng = np.random.default_rng(self.seed)
        shape = (self.rows, self.columns)
        measured, asked = (each.reshape(*each.shape[:2], *shape) / np.sqrt(self.rank) for each in (xs, queries))
        right = np.tile(rng.standard_normal((self.particles, self.columns, self.rank)), (len(xs), 1, 1, 1))
        logs = np.zeros((len(xs), self.particles))
        predictions = np.zeros(ys.shape)
        for i in range(1, ys.shape[1]):
            # The density of the newest label is that given those before it.
            mean, lower = self._conditional(measured[:, : i - 1], ys[:, : i - 1], right)
            feature = _features(measured[:, i - 1 : i], right)[:, :, 0]
            spread = np.linalg.solve(lower, feature[..., None])[..., 0]
            variance = np.square(spread).sum(axis=-1) + self.noise**2
            residual = ys[:, i - 1, None] - np.einsum("bcf,bcf->bc", feature, mean)
            logs -= 0.5 * (residual**2 / variance + np.log(variance))
            weights = softmax(logs, axis=1)
            # Drawn in any case, so that one prompt's weights do not change the numbers of the others.
            place, moves = rng.random(), [self._drawn(rng) for _ in range(self.sweeps)]
            uneven = 1 / np.square(weights).sum(axis=1) < self.particles / 2
            if uneven.any():
                chosen = _systematic(weights[uneven], place)
                fresh = np.take_along_axis(right[uneven], chosen[:, :, None, None], axis=1)
                for left_noise, right_noise in moves:
                    fresh = self._moved(measured[uneven, :i], ys[uneven, :i], fresh, left_noise, right_noise)
                right[uneven], logs[uneven] = fresh, 0.0
                weights = softmax(logs, axis=1)
            mean, _ = self._conditional(measured[:, :i], ys[:, :i], right)
            predicted = np.einsum("bcf,bcf->bc", _features(asked[:, i : i + 1], right)[:, :, 0], mean)
            predictions[:, i] = (weights * predicted).sum(axis=1)
        return predictions

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return tuple(rng.standard_normal((self.particles, size * self.rank)) for size in (self.rows, self.columns))  # pyright: ignore[reportReturnType]

    def _moved(
        self, measured: np.ndarray, ys: np.ndarray, right: np.ndarray, left_noise: np.ndarray, right_noise: np.ndarray
    ) -> Float64[np.ndarray, "B C m r"]:
        """One Gibbs sweep: U given V, then V given U."""
        mean, lower = self._conditional(measured, ys, right)
        left = _sample(mean, lower, left_noise).reshape(*right.shape[:2], self.rows, self.rank)
        mean, lower = self._conditional(measured.swapaxes(2, 3), ys, left)
        return _sample(mean, lower, right_noise).reshape(right.shape)

    def _conditional(
        self, measured: Float64[np.ndarray, "B i n m"], ys: np.ndarray, other: Float64[np.ndarray, "B C m r"]
    ) -> tuple[Float64[np.ndarray, "B C f"], Float64[np.ndarray, "B C f f"]]:
        """Mean of one factor given the other, and the triangular factor of its precision."""
        features = _features(measured, other) / self.noise
        lower = np.linalg.cholesky(np.eye(features.shape[3]) + features.mT @ features)
        linear = features.mT @ (ys / self.noise)[:, None, :, None]
        return np.linalg.solve(lower.mT, np.linalg.solve(lower, linear))[..., 0], lower


def _features(
    measured: Float64[np.ndarray, "B i n m"], other: Float64[np.ndarray, "B C m r"]
) -> Float64[np.ndarray, "B C i f"]:
    """What multiplies the entries of one factor when the other is known."""
    found = np.einsum("binm,bcmr->bcinr", measured, other, optimize=True)
    return found.reshape(*found.shape[:3], found.shape[3] * found.shape[4])


def _sample(mean: np.ndarray, lower: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """From the Gaussian of a precision LL': standard normals times L'⁻¹."""
    return mean + np.linalg.solve(lower.mT, np.broadcast_to(noise, mean.shape)[..., None])[..., 0]


def _systematic(weights: Float64[np.ndarray, "B C"], place: float) -> np.ndarray:
    """Indices drawn by evenly spaced numbers from ``place``, shape (B, C)."""
    count = weights.shape[1]
    edges = np.cumsum(weights, axis=1)[:, :-1]
    return ((np.arange(count) + place)[:, None] / count >= edges[:, None]).sum(axis=2)
