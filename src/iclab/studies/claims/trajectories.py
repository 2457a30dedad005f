"""Gradient flow from Assumption 3 on the problems of a bench, with the paper's constants written out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
from scipy.integrate import solve_ivp

from iclab.flow import Trajectory, gradient_flow
from iclab.foundations import Matrix
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.studies.claims.bench import Problem, written_gamma
from iclab.theory import LSAParameters, assumption3

State = tuple[float, Matrix]
Compared: TypeAlias = Iterator[tuple[str, Any, Any]]


def restricted_loss(covariance: Matrix, n_train: int, u: float, U: Matrix) -> float:
    """ℓ of (28), as printed."""
    gamma = written_gamma(covariance, n_train)
    quadratic = np.trace(gamma @ covariance @ U @ covariance @ U.T)
    return float(u**2 * quadratic / 2 - u * np.trace(covariance @ covariance @ U.T))


def restricted_gradient(covariance: Matrix, n_train: int, u: float, U: Matrix) -> State:
    """(∂ℓ/∂u, ∂ℓ/∂U11): minus the right-hand side of (27)."""
    gamma = written_gamma(covariance, n_train)
    driven = gamma @ covariance @ U @ covariance
    square = covariance @ covariance
    return float(np.trace(u * driven @ U.T - square @ U.T)), u**2 * driven - u * square


def restricted_excess(covariance: Matrix, n_train: int, u: float, U: Matrix) -> float:
    """ℓ − min ℓ as the sum of squares of Corollary 16, which keeps its digits near the minimum."""
    gamma = written_gamma(covariance, n_train)
    (low, upper), (g, q) = np.linalg.eigh(covariance), np.linalg.eigh(gamma)
    half = (upper * np.sqrt(low)) @ upper.T
    gap = u * half @ U @ half - covariance @ np.linalg.inv(gamma)
    return float(np.sum(((q * np.sqrt(g)) @ q.T @ gap) ** 2) / 2)


def flat(u: float, U: Matrix) -> np.ndarray:
    """(u, U11) as a vector."""
    return np.append(u, U.ravel())


def on_vectors(function: Callable[[float, Matrix], Any], d: int) -> Callable[[np.ndarray], Any]:
    """A function of (u, U11) as one of ``flat`` vectors."""
    return lambda v: function(v[0], v[1:].reshape(d, d))


def gained(problem: Problem) -> float:
    """−min ℓ of Corollary 16: the gain from θ = 0 to the minimum."""
    return np.trace(problem.cov @ problem.cov @ problem.inverse) / 2


def threshold(problem: Problem) -> float:
    """σ_max of Theorem 4: σ²‖Γ‖_op √d < 2."""
    return float(np.sqrt(2 / (np.sqrt(problem.d) * np.linalg.norm(problem.gamma, 2))))


def drive(problem: Problem) -> float:
    """‖ΛΘ‖_F² [2 − √d σ²‖Γ‖_op], the factor that (30) and (44) share."""
    cov = problem.cov
    room = 2 - np.sqrt(problem.d) * problem.scale**2 * np.linalg.norm(problem.gamma, 2)
    return float(np.trace(cov @ problem.theta @ cov) * room)


def u_lower_bound(problem: Problem) -> float:
    """The bound (44) on u(t)."""
    size = 2 * np.sqrt(problem.d) * np.linalg.norm(problem.cov, 2) ** 2
    return float(np.sqrt(problem.scale**2 * drive(problem) / size))


def pl_constant(problem: Problem) -> float:
    """μ of (30)."""
    inverse = np.linalg.inv(problem.cov)
    size = np.sqrt(problem.d) * np.linalg.norm(problem.cov, 2) ** 2
    size *= np.trace(np.linalg.inv(problem.gamma) @ inverse) * np.trace(inverse)
    return float(problem.scale**2 * drive(problem) / size)


@dataclass(frozen=True)
class Path:
    """Gradient flow from a start of Assumption 3, sampled at ``times``."""

    start: LSAParameters
    law: Gaussian | RandomDiagonal
    n_train: int
    horizon: float
    excess: Callable[[float, Matrix], float]  # ℓ − min ℓ at (u, U11)

    @cached_property
    def flow(self) -> Trajectory:
        """The trajectory, followed to ``horizon``."""
        return gradient_flow(self.start, self.law, self.n_train, self.horizon)

    @cached_property
    def times(self) -> np.ndarray:
        """0 and times that grow geometrically up to the horizon."""
        return np.concatenate([[0.0], self.horizon * np.geomspace(1e-7, 1, 23)])

    @cached_property
    def states(self) -> list[State]:
        """(u, U11) at ``times``."""
        _, u, U, _ = self.flow.blocks(self.times)
        return [(float(value), matrix) for value, matrix in zip(u, U, strict=True)]

    @property
    def end(self) -> State:
        """(u, U11) at the horizon."""
        return self.states[-1]

    @cached_property
    def excesses(self) -> np.ndarray:
        """ℓ − min ℓ at ``times``."""
        return np.array([self.excess(u, U) for u, U in self.states])

    def balanced(self, name: str) -> Compared:
        """u² and ‖U11‖_F² along the flow."""
        return ((name, u**2, np.sum(U**2)) for u, U in self.states)

    def bounded(self, bound: float, scale: float) -> Compared:
        """A lower bound on u beside u along the flow ("u"), and beside σ ("bound")."""
        yield from (("u", bound, u) for u, _ in self.states)
        yield "bound", bound, scale

    def decaying(self, name: str, rate: float) -> Compared:
        """ℓ − min ℓ beside its exponential bound."""
        excess = self.excesses
        return zip([name] * len(excess), excess, np.exp(-rate * self.times) * excess[0], strict=True)

    def reaching(self, u: float, U: Matrix) -> Compared:
        """The end of the flow beside its limit."""
        yield "limit", self.end[0], u
        yield "limit", self.end[1], U

    def reaching_weights(self, u: float, learner: Matrix) -> Compared:
        """Both weight matrices at the end beside diag(0, u) and diag(A/u, 0)."""
        d, found = len(learner), self.flow.parameters(self.horizon)
        w_pv, w_kq = np.zeros((2, d + 1, d + 1))
        w_pv[d, d], w_kq[:d, :d] = u, learner / u
        yield "weights", found.w_pv, w_pv
        yield "weights", found.w_kq, w_kq


def trajectory(problem: Problem, scale: float | None = None) -> Path:
    """The flow from Assumption 3, with σ of the problem unless another is given.

    The horizon is 60 times the slowest relaxation time at the limit, plus the time that u needs to leave 0.
    """
    start = assumption3(problem.theta, problem.scale if scale is None else scale)
    cov, n = problem.cov, problem.n
    return Path(start, problem.law, n, horizon(cov, n, start.blocks[1]), partial(restricted_excess, cov, n))


def horizon(covariance: Matrix, n_train: int, start: float) -> float:
    """A time after which the flow has converged to rounding."""
    l = np.linalg.eigvalsh(covariance)  # noqa: E741
    g = (1 + 1 / n_train) * l + l.sum() / n_train
    rho = np.sqrt(np.sum(g**-2.0))
    slowest = rho * np.min(np.outer(g * l, l))
    growth = np.log1p(np.sqrt(rho) / abs(start)) / np.min(l**2)
    return float(60 / slowest + 4 * growth)


def integrate(problem: Problem, times: np.ndarray) -> list[State]:
    """(u, U11) at ``times``: (27) as it stands, by an adaptive integrator that knows nothing of its structure."""
    d = problem.d
    _, u, U, _ = assumption3(problem.theta, problem.scale).blocks
    slope = on_vectors(partial(restricted_gradient, problem.cov, problem.n), d)

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        return -flat(*slope(state))

    solution = solve_ivp(velocity, (0, times[-1]), flat(u, U), method="LSODA", t_eval=times, rtol=1e-11, atol=1e-13)
    return [(float(y[0]), y[1:].reshape(d, d)) for y in solution.y.T]
