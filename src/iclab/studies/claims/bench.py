"""Where checks get their problems: random, from seeds, one independent stream per claim."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from iclab.foundations import Draws, Matrix, Vector
from iclab.prompts import Gaussian
from iclab.theory import LSAParameters, minimizer

# Shares of the standard numbers of problems and of samples; fewer samples would leave claims undecided.
EFFORTS = {"quick": (0.25, 0.7), "standard": (1.0, 1.0)}


@dataclass(frozen=True)
class Problem:
    """A fixed-covariance training problem with an initialisation of Assumption 3.

    Attributes
    ----------
    covariance : ndarray, shape (d, d)
        Λ, positive definite.
    n_train, n_test : int
        N and M.
    theta : ndarray, shape (d, d)
        ΘΘ', Frobenius norm 1.
    scale : float
        σ, below the threshold of Theorem 4.
    """

    covariance: Matrix
    n_train: int
    n_test: int
    theta: Matrix
    scale: float

    @property
    def dimension(self) -> int:
        """d."""
        return self.covariance.shape[0]

    @property
    def trace(self) -> float:
        """tr Λ."""
        return float(np.trace(self.covariance))

    @cached_property
    def eigenvalues(self) -> Vector:
        """Of Λ, ascending."""
        return np.linalg.eigvalsh(self.covariance)

    @property
    def condition_number(self) -> float:
        """κ of Corollary 6."""
        return float(self.eigenvalues[-1] / self.eigenvalues[0])

    @property
    def gamma(self) -> Matrix:
        """Γ, written out here from Theorem 4 so that it does not rest on the room it checks."""
        return written_gamma(self.covariance, self.n_train)

    @property
    def trained(self) -> LSAParameters:
        """The layer that Theorem 4 says gradient flow reaches, (11)."""
        return minimizer(Gaussian(self.covariance), self.n_train)


@dataclass(frozen=True)
class Bench:
    """What a check works with: its own random stream, its amount of work, and the critical z-score.

    Parameters
    ----------
    claim : str
        Name of the claim; it addresses the random stream.
    seed : int
        Seed of the table.
    effort : str
        A key of ``EFFORTS``.
    critical : float
        Largest |z| consistent with a claim, corrected for all tests of the table.
    """

    claim: str
    seed: int
    effort: str
    critical: float

    @property
    def address(self) -> int:
        """A number that only this claim has; also the step of the prompts it draws."""
        return zlib.crc32(self.claim.encode())

    @cached_property
    def rng(self) -> np.random.Generator:
        """The claim's generator: the same draws whatever other claims run."""
        return Draws(self.seed, "verification", channel=self.address).shared("model")

    def count(self, standard: int) -> int:
        """Number of problems at this effort, at least 2."""
        return max(2, round(standard * EFFORTS[self.effort][0]))

    def samples(self, standard: int) -> int:
        """Number of Monte Carlo samples at this effort."""
        return round(standard * EFFORTS[self.effort][1])

    def problems(
        self, standard: int, *, dimensions: tuple[int, int] = (2, 6), condition: float = 1e3
    ) -> Iterator[Problem]:
        """``standard`` problems at standard effort, with d in the given closed range and κ(Λ) up to ``condition``."""
        for _ in range(self.count(standard)):
            yield self.problem(int(self.rng.integers(dimensions[0], dimensions[1] + 1)), condition=condition)

    def problem(self, d: int, *, condition: float = 1e3) -> Problem:
        """A random problem: rotated Λ, N and M log-uniform in 1 … 100, ΘΘ' of Assumption 3, σ below the threshold."""
        covariance = self.covariance(d, condition)
        n_train, n_test = (int(np.exp(self.rng.uniform(0, np.log(100)))) for _ in range(2))
        largest = np.linalg.norm(written_gamma(covariance, n_train), 2)
        scale = np.sqrt(self.rng.uniform(0.02, 0.98) * 2 / (np.sqrt(d) * largest))
        return Problem(covariance, n_train, n_test, self.theta(d), float(scale))

    def covariance(self, d: int, condition: float = 1e3) -> Matrix:
        """A rotated covariance: eigenvalues log-uniform over a log-uniform condition number, of random size."""
        spread = self.rng.uniform(0, np.log(condition))
        logs = spread * self.rng.uniform(-1, 0, d) + self.rng.uniform(-1, 1)
        rotation = self.rotation(d)
        covariance = (rotation * np.exp(logs)) @ rotation.T
        return (covariance + covariance.T) / 2

    def rotation(self, d: int) -> Matrix:
        """A Haar-distributed orthogonal matrix."""
        q, r = np.linalg.qr(self.rng.standard_normal((d, d)))
        return q * np.sign(np.diagonal(r))

    def theta(self, d: int) -> Matrix:
        """ΘΘ' = MM'/‖MM'‖_F with M of iid standard normal entries."""
        root = self.rng.standard_normal((d, d))
        product = root @ root.T
        return product / np.linalg.norm(product)

    def parameters(self, d: int) -> LSAParameters:
        """Both weight matrices with iid standard normal entries, those included that cannot matter."""
        return LSAParameters(*self.rng.standard_normal((2, d + 1, d + 1)))

    def vector(self, d: int) -> Vector:
        """A standard normal vector."""
        return self.rng.standard_normal(d)


def written_gamma(covariance: Matrix, n_train: int) -> Float64[np.ndarray, "d d"]:
    """Γ = (1 + 1/N) Λ + (tr Λ/N) I, (10)."""
    return (1 + 1 / n_train) * covariance + np.trace(covariance) / n_train * np.eye(len(covariance))
