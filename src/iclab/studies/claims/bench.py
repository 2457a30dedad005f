"""Where checks get their problems: random, from seeds, one independent stream per claim."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from iclab.foundations import Draws, Estimate, Matrix, Vector
from iclab.prompts import Gaussian, PromptDistribution, Prompts
from iclab.theory import LSAParameters, minimizer

# Shares of the full numbers of problems and of samples; fewer samples would leave claims undecided.
# Prompts per block: memory stays small, and the block size is part of no result.
BLOCK = 4096
EFFORTS = {"quick": (0.25, 0.7), "full": (1.0, 1.0)}


@dataclass(frozen=True)
class Problem:
    """A fixed-covariance training problem with an initialisation of Assumption 3."""

    cov: Matrix  # Λ, positive definite, shape (d, d)
    n: int  # N
    m: int  # M
    theta: Matrix  # ΘΘ', Frobenius norm 1, shape (d, d)
    scale: float  # σ, below the threshold of Theorem 4

    @property
    def d(self) -> int:
        """d."""
        return self.cov.shape[0]

    @property
    def trace(self) -> float:
        """tr Λ."""
        return float(np.trace(self.cov))

    @cached_property
    def eigenvalues(self) -> Vector:
        """Of Λ, ascending."""
        return np.linalg.eigvalsh(self.cov)

    @property
    def condition_number(self) -> float:
        """κ of Corollary 6."""
        return float(self.eigenvalues[-1] / self.eigenvalues[0])

    @cached_property
    def gamma(self) -> Matrix:
        """Γ, written out here from Theorem 4 so that it does not rest on the room it checks."""
        return written_gamma(self.cov, self.n)

    @cached_property
    def law(self) -> Gaussian:
        """Of the inputs."""
        return Gaussian(self.cov)

    @cached_property
    def inverse(self) -> Matrix:
        """Γ⁻¹."""
        return np.linalg.inv(self.gamma)

    @cached_property
    def trained(self) -> LSAParameters:
        """The layer that Theorem 4 says gradient flow reaches, (11)."""
        return minimizer(self.law, self.n)


@dataclass(frozen=True)
class Bench:
    """What a check works with: its own random stream, its amount of work, and the critical z-score."""

    claim: str  # Name of the claim; it addresses the random stream
    seed: int  # Seed of the table
    effort: str  # A key of ``EFFORTS``
    critical: float  # Largest |z| consistent with a claim, corrected for all tests of the table

    @property
    def address(self) -> int:
        """A number that only this claim has; also the step of the prompts it draws."""
        return zlib.crc32(self.claim.encode())

    @cached_property
    def rng(self) -> np.random.Generator:
        """The claim's generator: the same draws whatever other claims run."""
        return Draws(self.seed, "verification", channel=self.address).shared("model")

    def count(self, full: int) -> int:
        """Number of problems at this effort, at least 2."""
        return max(2, round(full * EFFORTS[self.effort][0]))

    def samples(self, full: int) -> int:
        """Number of Monte Carlo samples at this effort."""
        return round(full * EFFORTS[self.effort][1])

    def mean(self, score: Callable[[Draws], np.ndarray], n_prompts: int, channel: int = 0) -> Estimate:
        """Mean of one number per prompt, which ``score`` gives for a block of addresses; a channel for every mean."""
        count, scores = self.samples(n_prompts), []
        for start in range(0, count, BLOCK):
            draws = Draws(self.seed, "verification", self.address, start, min(BLOCK, count - start), channel)
            scores.append(score(draws))
        return Estimate.from_samples(np.concatenate(scores), self.seed)

    def problems(self, full: int, *, dimensions: Sequence[int] = (2, 6), condition: float = 1e3) -> Iterator[Problem]:
        """``full`` problems at full effort, with d in the given closed range and κ(Λ) up to ``condition``."""
        for _ in range(self.count(full)):
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

    def matrix(self, d: int) -> Matrix:
        """A d × d matrix of iid standard normal entries."""
        return self.rng.standard_normal((d, d))

    def vector(self, d: int) -> Vector:
        """A standard normal vector."""
        return self.rng.standard_normal(d)

    def normal(self) -> float:
        """A standard normal number."""
        return float(self.rng.standard_normal())

    def linear_prompt(self, n: int, d: int) -> tuple[Matrix, Vector, Vector]:
        """Examples xs (n, d), a task w (d,) and a query (d,), all standard normal."""
        return self.rng.standard_normal((n, d)), self.vector(d), self.vector(d)

    def prompt(self, n: int, d: int) -> tuple[Matrix, Vector, Vector]:
        """Examples xs (n, d), labels (n,) that do not depend on them, and a query (d,), all standard normal."""
        return self.rng.standard_normal((n, d)), self.vector(n), self.vector(d)

    def times(self, full: int) -> Iterator[tuple[()]]:
        """Nothing, as often as there are problems: the check draws its own."""
        return (() for _ in range(self.count(full)))

    def prompts(self, full: int, *, largest: Sequence[int]) -> Iterator[tuple[Matrix, Vector, Vector]]:
        """What ``prompt`` draws, with d and n up to the ``largest``."""
        for _ in self.times(full):
            d, n = self.sizes(*largest)
            yield self.prompt(n, d)

    def linear_prompts(self, full: int, *, largest: Sequence[int]) -> Iterator[tuple[Matrix, Vector, Vector]]:
        """What ``linear_prompt`` draws, with d and n up to the ``largest``."""
        for _ in self.times(full):
            d, n = self.sizes(*largest)
            yield self.linear_prompt(n, d)

    def sizes(self, largest_dimension: int, largest_length: int) -> tuple[int, int]:
        """A dimension and a length, uniform from 1 on."""
        return int(self.rng.integers(1, largest_dimension + 1)), int(self.rng.integers(1, largest_length + 1))

    def small(self, full: int, *, condition: float = 30.0) -> Iterator[tuple[int, int, Matrix]]:
        """Dimension, length and covariance of problems that cubature for linear tasks can take: d = 2, 3 in turn."""
        for k in range(self.count(full)):
            d = 2 + k % 2
            n = int(self.rng.integers(1, 5 if d == 2 else 3))
            yield d, n, self.covariance(d, condition)

    def tiny(self, full: int, *, condition: float = 30.0) -> Iterator[tuple[Problem, int]]:
        """Problems and test lengths that cubature for any labels can take: d = 2, M ≤ 2 or d = 3, M = 1."""
        for k in range(self.count(full)):
            d, m = ((2, 2), (2, 1), (3, 1))[k % 3]
            yield self.problem(d, condition=condition), m


def prompts_at(law: PromptDistribution, draws: Draws, n_points: int) -> Prompts:
    """The addressed prompts of a distribution; each channel has its own."""
    step = (draws.step + draws.channel) % (1 << 32)
    return law.sample(draws.count, n_points, seed=draws.seed, step=step, start=draws.start, stream=draws.purpose)


def layer(u: float, U: Matrix) -> LSAParameters:
    """The layer with blocks U11 = U and u, and u12 = u21 = 0."""
    zero = np.zeros(len(U))
    return LSAParameters.from_blocks(zero, u, U, zero)


def written_gamma(covariance: Matrix, n_train: int) -> Float64[np.ndarray, "d d"]:
    """Γ = (1 + 1/N) Λ + (tr Λ/N) I, (10)."""
    return (1 + 1 / n_train) * covariance + np.trace(covariance) / n_train * np.eye(len(covariance))
