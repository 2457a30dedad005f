# ruff: noqa: B023, D103 (checks use their functions at once; what they are about stands in their claims)
"""Sections 1, 2 and 6, and Appendix E: what the paper says of other work, least squares, and training GPT-2."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise, product

import numpy as np
from scipy.optimize import root as solve
from scipy.special import softmax

from iclab.foundations import Matrix
from iclab.predictors import LeastSquares
from iclab.prompts import Prompts
from iclab.studies.claims.bench import Bench, Problem, layer, written_gamma
from iclab.studies.claims.claim import Items
from iclab.studies.claims.cubature import LinearPrompts, block_gradient, forward, quadratic_gradient, root
from iclab.studies.claims.preliminaries import alternating, separate_tokens
from iclab.theory import AllPositions, PopulationLoss, attention, embed, expected_risk, minimizer
from iclab.theory.cubature import tensor_rule

Loss = Callable[[np.ndarray], float]


def ahn_minimum(problem: Problem, cov: Matrix) -> Items:
    n = min(problem.n, 2)
    low, q = np.linalg.eigh(cov)
    written = (q / ((n + 1) / n * low + low.sum() / n)) @ q.T  # their Theorem 1
    yield "learner", written, np.linalg.inv(written_gamma(cov, n))
    slope = block_gradient(LinearPrompts.build(cov, n), layer(1.0, written)).vector
    yield "gradient", slope / (problem.trace / 2), 0.0
    yield "error", expected_risk(problem.law, 10**8, 10**8) / problem.trace, 1e-5


def ahn_critical_points(bench: Bench) -> Items:
    d, n = 2, 2
    nodes, weights = tensor_rule(n * d, 5)
    for _ in range(bench.count(4)):
        cov = bench.covariance(d, 10.0)
        inverse = np.linalg.inv(cov)
        xs = nodes.reshape(-1, n, d) @ root(cov).T
        moments = np.einsum("kni,knj->kij", xs, xs) / n

        def loss(v: np.ndarray, S: np.ndarray = moments) -> float:
            """E of (w'(I − SA₁)(I − SA₂)x_q)² for w ~ N(0, Λ⁻¹)."""
            first, second = v.reshape(2, d, d)
            left = (np.eye(d) - S @ first) @ (np.eye(d) - S @ second)
            return float(weights @ np.sum((inverse @ left) * (left @ cov), axis=(1, 2)))

        def slopes(scales: np.ndarray) -> Matrix:
            return quadratic_gradient(loss, np.multiply.outer(scales, inverse).ravel()).reshape(2, d, d)

        for slope in slopes(bench.rng.uniform(0.2, 1.5, 2)):
            yield "family", slope, np.trace(slope @ inverse) / d * cov
        best = solve(lambda a: np.einsum("kij,ji->k", slopes(a), inverse), [0.5, 1.0])
        yield "critical", slopes(best.x) / np.linalg.norm(cov), 0.0


def kernel_regression(bench: Bench, problem: Problem, d: int, m: int) -> Items:
    xs, ys, query = bench.prompt(m, d)
    yield "layer", forward(problem.trained, xs, ys, query), ys @ (xs @ problem.inverse @ query) / m
    A, last = bench.matrix(d) / d, np.eye(d + 1)[:, -1:]
    keys, queries = np.eye(d, d + 1), np.hstack([A, np.zeros((d, 1))])
    found = attention(embed(xs, ys, query), keys, queries, last.T, last, rho=1.0)[-1, -1]
    kernel = np.exp(np.append(xs @ A @ query, query @ A @ query))  # the query's own token carries the label 0
    yield "softmax", found, ys @ kernel[:-1] / kernel.sum()


def latent_concept(bench: Bench) -> Items:
    length, concepts = 8, 3
    sequences = np.array(list(product((0, 1), repeat=length)))
    for _ in range(bench.count(8)):
        prior = bench.rng.dirichlet(np.full(concepts, 3.0))
        prefixes = np.stack([_prefix_probabilities(bench, sequences) for _ in range(concepts)])  # (concept, 256, 9)
        mixture = np.einsum("c,cst->st", prior, prefixes)
        whole = mixture[:, -1]  # the law of whole sequences gives every conditional by summation
        posterior = prior[:, None, None] * prefixes / mixture
        kl = np.zeros(concepts)
        for t in range(length):
            summed = [whole.reshape(2**k, -1).sum(axis=1).repeat(2 ** (length - k)) for k in (t, t + 1)]
            conditionals = prefixes[:, :, t + 1] / prefixes[:, :, t]
            averaged = np.einsum("cs,cs->s", posterior[:, :, t], conditionals)
            yield "averaging", averaged, summed[1] / summed[0]
            kl += np.einsum("cs,cs->c", prefixes[:, :, -1], np.log(conditionals / averaged))
        yield "total", kl, -np.log(prior)
        expected = np.einsum("cs,cst->tc", prefixes[:, :, -1], posterior)
        for earlier, later in pairwise(expected):
            yield "posterior", earlier, later
        yield "final", expected[-1].min()


def random_labels(bench: Bench) -> Items:
    for problem in bench.problems(60):
        n, m = problem.n, problem.m
        altered = problem.trace + _size_of_prediction(problem.cov, n, m)
        yield "error", problem.trace, altered
        yield "ratio", altered / expected_risk(problem.law, n, m)
    for d, m, cov in bench.small(4):
        prompts = LinearPrompts.build(cov, m)
        found = prompts.mean(prompts.predictions(layer(1.0, np.linalg.inv(written_gamma(cov, d)))) ** 2)
        yield "exact", found, _size_of_prediction(cov, d, m)


def model_selection(bench: Bench) -> Items:
    d, n, held_out = int(bench.rng.integers(1, 6)), int(bench.rng.integers(2, 20)), 10
    xs, w = bench.rng.standard_normal((n + held_out, d)), bench.vector(d)
    ys = xs @ w + float(bench.rng.uniform(0, 2)) * bench.vector(n + held_out)
    fits = [np.linalg.solve(xs[:n].T @ xs[:n] + penalty * np.eye(d), xs[:n].T @ ys[:n]) for penalty in (1e-2, 1.0, 1e2)]
    answers = np.array([xs[n:] @ fit for fit in fits])
    errors = np.mean((answers - ys[n:]) ** 2, axis=1)
    beta = float(np.exp(bench.rng.uniform(0, 5)))
    gated = softmax(-beta * errors) @ answers
    yield "error", np.mean((gated - ys[n:]) ** 2), errors.min() + np.log(len(fits)) / beta


def sparse_functions(bench: Bench) -> Items:
    for length in (16, 64, 256):
        for _ in range(bench.count(5)):
            size = 64 * int(np.log2(length))
            codes = bench.rng.choice([-1.0, 1.0], (length, size)) / np.sqrt(size)
            coherence = np.abs(codes @ codes.T - np.eye(length)).max()
            chosen = bench.rng.choice(length, 2, replace=False)
            beta = 30.0
            weights = softmax(beta * codes @ codes[chosen].sum(axis=0))
            outside = 1 - weights[chosen].sum()
            yield "outside", outside, length * np.exp(-beta * (1 - 3 * coherence))
            values = bench.rng.choice([-1.0, 1.0], length)
            yield "mean", abs(weights @ values - values[chosen].mean()), 2 * outside + 1e-12
            yield "mass", outside


def section_6_least_squares(bench: Bench, d: int) -> Items:
    shape = (1, d + 12, d)
    sphere = bench.rng.standard_normal(shape)
    for xs in (
        bench.rng.uniform(-1, 1, shape),
        bench.rng.exponential(size=shape),
        bench.rng.standard_t(2, shape),
        sphere / np.linalg.norm(sphere, axis=-1, keepdims=True),
        bench.rng.standard_normal(shape) * np.sqrt(bench.rng.exponential(size=(1, 1, d))),
    ):
        ys = xs @ bench.vector(d)
        yield "prediction", LeastSquares()(Prompts(xs, ys, xs, ys))[:, d + 4 :], ys[:, d + 4 :]


def appendix_e_embedding(bench: Bench) -> Items:
    yield from separate_tokens(partial(alternating, place=0), bench)


def appendix_e_objective(bench: Bench, problem: Problem) -> Items:
    n, theta = max(2, min(problem.n, 30)), bench.parameters(problem.d)
    averaged = np.mean([PopulationLoss(problem.law, i)(theta) for i in range(1, n + 1)])
    yield "mean", PopulationLoss(problem.law, AllPositions(n))(theta), averaged
    all_positions, last = (minimizer(problem.law, length).learner for length in (AllPositions(n), n))
    yield "differs", np.linalg.norm(all_positions - last), np.linalg.norm(last)
    yield "one", minimizer(problem.law, AllPositions(1)).learner, minimizer(problem.law, 1).learner


def _prefix_probabilities(bench: Bench, sequences: np.ndarray) -> np.ndarray:
    """P of every prefix of every sequence, (256, 9), under a random hidden Markov model of two states."""
    moves, emits = bench.rng.dirichlet(np.ones(2), 2), bench.rng.dirichlet(np.ones(2), 2)
    state = np.full((len(sequences), 2), 0.5)
    found = [state.sum(axis=1)]
    for symbols in sequences.T:
        state = state * emits[:, symbols].T
        found.append(state.sum(axis=1))
        state = state @ moves
    return np.stack(found, axis=1)


def _size_of_prediction(cov: Matrix, n: int, m: int) -> float:
    """E ŷ² = tr(Γ⁻²Λ²Γ_M) of the layer trained on N examples, over w ~ N(0, I)."""
    inverse = np.linalg.inv(written_gamma(cov, n))
    return float(np.trace(inverse @ inverse @ cov @ cov @ written_gamma(cov, m)))
