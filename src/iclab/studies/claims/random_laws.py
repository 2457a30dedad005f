"""Training problems with random diagonal covariances whose expectations are finite sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Float64

from iclab.foundations import Matrix, Vector
from iclab.prompts import RandomDiagonal
from iclab.studies.claims.bench import Bench
from iclab.studies.claims.trajectories import Path, State
from iclab.theory import assumption3


@dataclass(frozen=True)
class Atoms:
    """A law on finitely many positive values: the part of a frozen SciPy distribution that is used here."""

    values: tuple[float, ...]
    probabilities: tuple[float, ...]

    def moment(self, order: int) -> float:
        """E λ^order."""
        return float(np.dot(self.probabilities, np.power(self.values, order)))

    def mean(self) -> float:
        """E λ."""
        return self.moment(1)

    def support(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return min(self.values), max(self.values)

    def ppf(self, q: np.ndarray) -> np.ndarray:
        """Quantiles."""
        order = np.argsort(self.values)
        edges = np.cumsum(np.array(self.probabilities)[order])[:-1]
        return np.array(self.values)[order][np.searchsorted(edges, q, side="right")]

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """P(λ ≤ x)."""
        values, weights = np.array(self.values), np.array(self.probabilities)
        return np.sum(weights * (values <= np.asarray(x)[..., None]), axis=-1)


@dataclass(frozen=True)
class RandomProblem:
    """A training problem with Λ_τ = diag(λ_1, …, λ_d), λ_i on finitely many values, and a start of Assumption 3.

    ``share`` is σ² in units of the threshold (21).
    """

    laws: tuple[Atoms, ...]
    n: int
    theta: Matrix
    share: float

    @property
    def d(self) -> int:
        """d."""
        return len(self.laws)

    @cached_property
    def covariates(self) -> RandomDiagonal:
        """The law of the inputs."""
        return RandomDiagonal(self.laws)

    @cached_property
    def outcomes(self) -> tuple[Float64[np.ndarray, "K d"], Float64[np.ndarray, " K"]]:
        """All values of (λ_1, …, λ_d) and their probabilities."""
        values = np.array(list(product(*(law.values for law in self.laws))))
        weights = np.array(list(product(*(law.probabilities for law in self.laws)))).prod(axis=1)
        return values, weights

    def expect(self, function: Callable[[Matrix, Matrix], np.ndarray | float]) -> np.ndarray:
        """E function(Λ_τ, Γ_τ), by enumeration."""
        values, weights = self.outcomes
        return sum(
            (
                weight * np.asarray(function(np.diag(value), np.diag(self._gamma(value))))
                for value, weight in zip(values, weights, strict=True)
            ),
            np.zeros(()),
        )

    def _gamma(self, value: Vector) -> Vector:
        return (1 + 1 / self.n) * value + value.sum() / self.n

    @cached_property
    def mean_square(self) -> Vector:
        """ξ, the diagonal of E Λ²."""
        return np.diagonal(self.expect(lambda cov, _: cov @ cov))

    @cached_property
    def decay(self) -> Matrix:
        """γ_i on the diagonal and ζ_ij off it: (51) with E[Γ_i λ_i λ_j] enumerated."""
        return self.expect(lambda cov, gamma: np.outer(np.diagonal(gamma) * np.diagonal(cov), np.diagonal(cov)))

    @cached_property
    def target(self) -> Vector:
        """The diagonal of EΛ²(EΓΛ²)⁻¹."""
        return self.mean_square / np.diagonal(self.decay)

    @cached_property
    def reach(self) -> float:
        """‖EΛΘ‖_F²."""
        mean = self.expect(lambda cov, _: cov)
        return float(np.trace(mean @ self.theta @ mean))

    @cached_property
    def size(self) -> float:
        """E[‖Γ_τ‖_op ‖Λ_τ‖_F²]."""
        return float(self.expect(lambda cov, gamma: np.max(np.diagonal(gamma)) * np.sum(cov**2)))

    @property
    def scale(self) -> float:
        """σ."""
        return float(np.sqrt(self.share * 2 * self.reach / (np.sqrt(self.d) * self.size)))

    @property
    def u_lower_bound(self) -> float:
        """The bound (60)."""
        room = 2 * self.reach - np.sqrt(self.d) * self.scale**2 * self.size
        return float(np.sqrt(self.scale**2 * room / (2 * np.sqrt(self.d) * self.mean_square.max())))

    @property
    def pl_constant(self) -> float:
        """ν of (61)-(62): 2η·(60)²."""
        return 2 * float(self.decay.min()) * self.u_lower_bound**2

    def loss(self, u: float, U: Matrix) -> float:
        """ℓ_rdm of (53), as an expectation over Λ_τ."""
        return float(
            self.expect(
                lambda cov, gamma: u**2 * np.trace(gamma @ cov @ U @ cov @ U.T) / 2 - u * np.trace(cov @ cov @ U.T)
            )
        )

    def excess(self, u: float, U: Matrix) -> float:
        """ℓ_rdm − min ℓ_rdm by the sum of squares (55)."""
        return float(np.sum(self.decay * (u * U - np.diag(self.target)) ** 2) / 2)

    def gradient(self, u: float, U: Matrix) -> State:
        """(∂ℓ/∂u, ∂ℓ/∂U11): minus the right-hand side of (52)."""
        return (
            float(u * np.sum(self.decay * U**2) - self.mean_square @ np.diagonal(U)),
            u**2 * self.decay * U - u * np.diag(self.mean_square),
        )

    @cached_property
    def horizon(self) -> float:
        """A time after which the flow has converged to rounding."""
        rho = np.linalg.norm(self.target)
        growth = np.log1p(np.sqrt(rho) / self.scale) / self.mean_square.min()
        return float(60 / (rho * self.decay.min()) + 4 * growth)

    @cached_property
    def path(self) -> Path:
        """Gradient flow from Assumption 3 up to the horizon."""
        start = assumption3(self.theta, self.scale)
        return Path(start, self.covariates, self.n, self.horizon, self.excess)


def random_problems(bench: Bench, full: int, dimensions: Sequence[int] = (2, 4)) -> Iterator[RandomProblem]:
    """``full`` problems at full effort: two or three values per coordinate, spread over up to a factor 20."""
    for _ in range(bench.count(full)):
        d = int(bench.rng.integers(dimensions[0], dimensions[1] + 1))
        laws = []
        for _ in range(d):
            atoms = int(bench.rng.integers(2, 4))
            values = np.exp(bench.rng.uniform(-1.5, 1.5, atoms))
            laws.append(Atoms(tuple(values.tolist()), tuple(bench.rng.dirichlet(np.full(atoms, 3.0)).tolist())))
        n_train = int(np.exp(bench.rng.uniform(0, np.log(100))))
        yield RandomProblem(tuple(laws), n_train, bench.theta(d), float(bench.rng.uniform(0.02, 0.98)))
