# ruff: noqa: D103 (what checks are about stands in their claims)
"""Appendix C, on random covariances, and Appendix D, on derivatives, fourth moments, traces and products."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.optimize import minimize

from iclab.foundations import Matrix
from iclab.studies.claims.bench import Bench, layer, written_gamma
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import LinearPrompts, block_gradient, quadratic_gradient, root
from iclab.studies.claims.random_laws import RandomProblem, random_problems
from iclab.studies.claims.trajectories import flat, on_vectors
from iclab.theory import population_loss
from iclab.theory.cubature import symmetric_rule


def lemma_21(bench: Bench) -> Items:
    d, n = 2, int(bench.rng.integers(1, 4))
    covs, weights = [bench.covariance(d, 30.0) for _ in range(2)], bench.rng.dirichlet(np.ones(2))
    U, u = bench.matrix(d), bench.normal()
    found, dU, du = np.zeros((d + 1) ** 2), np.zeros((d, d)), 0.0
    for cov, weight in zip(covs, weights, strict=True):
        found -= weight * block_gradient(LinearPrompts.build(cov, n), layer(u, U)).vector
        gamma = written_gamma(cov, n)
        dU += weight * (-(u**2) * gamma @ cov @ U @ cov + u * cov @ cov)
        du += weight * (-u * np.trace(gamma @ cov @ U @ cov @ U.T) + np.trace(cov @ cov @ U.T))
    yield "velocity", found, layer(float(du), dU).vector


def corollary_22(bench: Bench, problem: RandomProblem, d: int, n: int) -> Items:
    one, two, three = (np.array([law.moment(k) for law in problem.laws]) for k in (1, 2, 3))
    rest = one.sum() - one
    gamma = (n + 1) / n * three + (three + two * rest) / n
    zeta = np.array(
        [
            [
                (n + 1) / n * two[i] * one[j]
                + (two[i] * one[j] + one[i] * two[j] + one[i] * one[j] * (rest[i] - one[j])) / n
                for j in range(d)
            ]
            for i in range(d)
        ]
    )
    np.fill_diagonal(zeta, gamma)
    yield "constants", zeta, problem.decay
    yield "constants", two, problem.mean_square
    u, U = bench.normal(), bench.matrix(d)
    du, dU = problem.gradient(u, U)
    general = problem.expect(lambda cov, g: -(u**2) * g @ cov @ U @ cov + u * cov @ cov)
    scalar = problem.expect(lambda cov, g: -u * np.trace(g @ cov @ U @ cov @ U.T) + np.trace(cov @ cov @ U.T))
    yield "dynamics", -dU, general
    yield "dynamics", -du, scalar


def lemma_23(bench: Bench, problem: RandomProblem, d: int, n: int) -> Items:
    u, U = bench.normal(), bench.matrix(d)
    yield "slope", quadratic_gradient(on_vectors(problem.loss, d), flat(u, U)), flat(*problem.gradient(u, U))
    written = u**2 * np.sum(problem.decay * U**2) / 2 - u * problem.mean_square @ np.diagonal(U)
    trace = sum(law.moment(1) for law in problem.laws)
    yield "loss", problem.loss(u, U), written
    yield "loss", population_loss(layer(u, U), problem.covariates, n), written + trace / 2


def lemma_24(bench: Bench, problem: RandomProblem, d: int) -> Items:
    gamma, xi = np.diagonal(problem.decay), problem.mean_square
    least = -np.sum(xi**2 / gamma) / 2
    yield "minimum", problem.loss(1.0, np.diag(xi / gamma)), least
    u, U = bench.normal(), bench.matrix(d)
    written = np.sum(gamma * (u * np.diagonal(U) - xi / gamma) ** 2) / 2
    off = problem.decay * U**2
    written += u**2 * (off.sum() - np.trace(off)) / 2
    yield "squares", problem.loss(u, U) - least, written

    def value(v: np.ndarray) -> tuple[float, np.ndarray]:
        V = v.reshape(d, d)
        _, slope = problem.gradient(1.0, V)
        quadratic = np.sum(problem.decay * V**2) / 2 - problem.mean_square @ np.diagonal(V)
        return float(quadratic), slope.ravel()

    found = minimize(value, bench.rng.standard_normal(d * d), jac=True, options={"gtol": 1e-12}).x
    yield "minima", found.reshape(d, d), np.diag(xi / gamma)


def lemma_25(problem: RandomProblem) -> Items:
    yield from problem.path.balanced("flow")


def lemma_25_citation(bench: Bench) -> Items:
    last = max(int(name.split("_")[1]) for name in globals() if name.startswith("lemma_"))
    yield "lemma", 49, last
    yield "last", last
    for problem in random_problems(bench, 25):
        u, U = bench.normal(), bench.matrix(problem.d)
        du, dU = problem.gradient(u, U)
        yield "equation", u * du, np.trace(dU @ U.T)


def lemma_26(problem: RandomProblem) -> Items:
    loss = problem.loss(problem.scale, problem.scale * problem.theta)
    yield "initial", -loss, problem.scale**2 * problem.reach
    for u, _ in problem.path.states:
        yield "u", u, problem.path.end[0]


def lemma_26_equality(problem: RandomProblem) -> Items:
    mean = problem.expect(lambda cov, _: np.trace(cov @ cov @ problem.theta))
    yield "equal", mean, problem.reach
    yield "larger", problem.reach, mean


def lemma_27(problem: RandomProblem) -> Items:
    yield from problem.path.bounded(problem.u_lower_bound, problem.scale)


def lemma_27_citations(bench: Bench, problem: RandomProblem, d: int, n: int) -> Items:
    # Lemma 29 knows no definiteness: if it gave the conclusion, it would give it for indefinite matrices too.
    values, _ = problem.outcomes
    cov = np.diag(values[int(bench.rng.integers(len(values)))])
    product = written_gamma(cov, n) @ cov
    U = bench.matrix(d)
    yield "definite", np.min(np.diagonal(product)), np.max(np.diagonal(product))
    yield ("definite", np.trace(product @ U @ cov @ U.T), np.linalg.norm(product) * np.linalg.norm(U @ cov @ U.T))
    A, B = bench.rng.standard_normal((2, d, d))
    A, B = A + A.T, B + B.T
    yield "indefinite", np.trace(A @ B), float(np.linalg.norm(A) * np.linalg.norm(B))


def lemma_28_pl(problem: RandomProblem) -> Items:
    nu = problem.pl_constant
    yield "constant", nu, problem.mean_square.max()  # a rate scales like Λ²
    yield from problem.path.decaying("decay", nu)
    excess = problem.path.excesses
    for value, (u, U) in zip(excess, problem.path.states, strict=True):
        if value > 1e-9 * excess[0]:  # below, both sides are rounding
            du, dU = problem.gradient(u, U)
            slope = du**2 + np.sum(dU**2)
            yield "inequality", nu * value, slope
            yield "ratio", slope / (nu * value)


def lemma_28_limit(problem: RandomProblem) -> Items:
    fourth = np.sum(problem.target**2) ** 0.25
    yield from problem.path.reaching(fourth, np.diag(problem.target / fourth))


def lemma_29(bench: Bench) -> Items:
    m, n = bench.rng.integers(2, 6, size=2)
    x, B = bench.vector(n), bench.matrix(n)
    X, Y = bench.rng.standard_normal((2, m, n))
    A, C = bench.rng.standard_normal((2, m, m))
    for found, stated in (
        (_gradient(lambda v: v @ B @ v, x), (B + B.T) @ x),
        (_vec(A @ X @ B), np.kron(B.T, A) @ _vec(X)),
        (np.trace(X.T @ Y), _vec(X) @ _vec(Y)),
        (_gradient(lambda V: np.trace(V @ B @ V.T), X), X @ B.T + X @ B),
        (_gradient(lambda V: np.trace(Y @ V.T), X), Y),
        (_gradient(lambda V: np.trace(A @ V @ B @ V.T @ C), X), A.T @ C.T @ X @ B.T + C @ A @ X @ B),
    ):
        yield "identities", found, stated


def lemma_30(bench: Bench, d: int, cov: Matrix) -> Items:
    A = bench.matrix(d)
    nodes, weights = symmetric_rule(d)
    xs = nodes @ root(cov).T
    found = np.einsum("n,ni,nj,jk,nk,nl->il", weights, xs, xs, A, xs, xs, optimize=True)
    yield "moments", found, cov @ (A + A.T) @ cov + np.trace(A @ cov) * cov


def lemma_31(bench: Bench) -> Items:
    d = int(bench.rng.integers(1, 6))
    n = d + int(bench.rng.integers(0, 4))
    U, V = bench.rng.standard_normal((2, d, n))
    if bench.rng.random() < 0.5:  # aligned singular vectors come close to equality
        V = U * bench.rng.uniform(0.5, 1.5)
    s, t = (np.linalg.svd(X, compute_uv=False) for X in (U, V))
    chain = [np.sum(U * V), s @ t, s[0] * t.sum(), np.sqrt(d) * s[0] * np.linalg.norm(V)]
    yield "chain", chain[:-1], chain[1:]


def lemma_32_if(bench: Bench) -> Items:
    for A, B in _commuting(bench, bench.count(200)):
        product = A @ B
        yield "symmetric", product, product.T
        yield "form", _lowest(product), 1.0


def lemma_32_only_if(bench: Bench) -> Items:
    # Without symmetry the statement says: a commutator that is not zero forces a negative value of x'ABx.
    kept = 0
    for _ in range(bench.count(200)):
        d = int(bench.rng.integers(2, 6))
        A, B = (np.eye(d) + root @ root.T / (2 * d) for root in bench.rng.standard_normal((2, d, d)))
        product = A @ B
        lowest = _lowest(product) / np.linalg.norm(product)
        kept += lowest > 0
        yield "form", -lowest, 1.0
        yield "asymmetry", float(np.linalg.norm(product - product.T)), float(np.linalg.norm(product))
    yield "kept", kept


def lemma_32_in_the_proofs(bench: Bench, d: int, cov: Matrix, gamma: Matrix) -> Items:
    U = bench.matrix(d)
    A = gamma @ cov
    B = U @ cov @ U.T
    yield "commute", A @ B, B @ A
    yield "trace", np.trace(A @ B), float(np.linalg.norm(A) * np.linalg.norm(B))


def _commuting(bench: Bench, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for _ in range(count):
        d = int(bench.rng.integers(1, 6))
        q = bench.rotation(d)
        first, second = bench.rng.uniform(0, 2, (2, d)) * (bench.rng.random((2, d)) < 0.8)
        yield (q * first) @ q.T, (q * second) @ q.T


def _lowest(matrix: np.ndarray) -> float:
    """Smallest value of x'Mx on the unit sphere."""
    return float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[0])


def _vec(matrix: np.ndarray) -> np.ndarray:
    return matrix.T.ravel()


def _gradient(function: Callable[[np.ndarray], float | np.ndarray], at: np.ndarray) -> np.ndarray:
    """Central differences with step 1: exact for quadratic functions."""
    gradient = np.empty_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = 1.0
        gradient[index] = (function(at + step) - function(at - step)) / 2
    return gradient
