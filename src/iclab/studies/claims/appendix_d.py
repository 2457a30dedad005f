# ruff: noqa: D103 (what a check is about stands in its claim)
"""Appendix D: the technical lemmas on derivatives, fourth moments, traces and products."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from iclab.studies.claims.bench import Bench
from iclab.studies.claims.claim import Finding, Section
from iclab.studies.claims.cubature import root, symmetric_rule
from iclab.studies.claims.evidence import agreement, inequality, positivity

SECTION = Section("Appendix D: technical lemmas")


@SECTION.claim(
    "lemma-29",
    "Lemma 29 (arXiv Lemma D.1)",
    r"$\partial(x^\top Bx)/\partial x = (B + B^\top)x$; $\mathrm{Vec}(AXB) = (B^\top \otimes A)\mathrm{Vec}(X)$; "
    r"$\mathrm{tr}(A^\top B) = \mathrm{Vec}(A)^\top\mathrm{Vec}(B)$; $\partial\,\mathrm{tr}(XBX^\top)/\partial X = "
    r"XB^\top + XB$; $\partial\,\mathrm{tr}(AX^\top)/\partial X = A$; $\partial\,\mathrm{tr}(AXBX^\top C)/\partial X "
    r"= A^\top C^\top XB^\top + CAXB$.",
)
def lemma_29(bench: Bench) -> Finding:
    pairs = []
    for _ in range(bench.count(40)):
        m, n = bench.rng.integers(2, 6, size=2)
        x, B = bench.vector(n), bench.rng.standard_normal((n, n))
        X, Y = bench.rng.standard_normal((2, m, n))
        A, C = bench.rng.standard_normal((2, m, m))
        pairs += [
            (_gradient(lambda v, B=B: v @ B @ v, x), (B + B.T) @ x),
            (_vec(A @ X @ B), np.kron(B.T, A) @ _vec(X)),
            (np.trace(X.T @ Y), _vec(X) @ _vec(Y)),
            (_gradient(lambda V, B=B: np.trace(V @ B @ V.T), X), X @ B.T + X @ B),
            (_gradient(lambda V, Y=Y: np.trace(Y @ V.T), X), Y),
            (_gradient(lambda V, A=A, B=B, C=C: np.trace(A @ V @ B @ V.T @ C), X), A.T @ C.T @ X @ B.T + C @ A @ X @ B),
        ]
    evidence = agreement(pairs)
    return Finding(
        f"All six identities hold to {evidence.deviation:.1e} on random rectangular matrices.",
        "central differences, exact for quadratic functions; products written out",
        [evidence],
    )


@SECTION.claim(
    "lemma-30",
    "Lemma 30 (arXiv Lemma D.2)",
    r"$E[xx^\top Axx^\top] = \Lambda(A + A^\top)\Lambda + \mathrm{tr}(A\Lambda)\Lambda$ for $x \sim N(0, \Lambda)$ "
    r"and any fixed $A$.",
)
def lemma_30(bench: Bench) -> Finding:
    pairs = []
    for problem in bench.problems(40, dimensions=(1, 6)):
        d, cov = problem.dimension, problem.covariance
        A = bench.rng.standard_normal((d, d))
        nodes, weights = symmetric_rule(d)
        xs = nodes @ root(cov).T
        found = np.einsum("n,ni,nj,jk,nk,nl->il", weights, xs, xs, A, xs, xs, optimize=True)
        pairs.append((found, cov @ (A + A.T) @ cov + np.trace(A @ cov) * cov))
    evidence = agreement(pairs)
    return Finding(
        f"Fourth moments agree to {evidence.deviation:.1e} for indefinite, asymmetric A.",
        "Gaussian cubature, exact for degree 5",
        [evidence],
    )


@SECTION.claim(
    "lemma-31",
    "Lemma 31, von Neumann's trace inequality (arXiv Lemma D.3)",
    r"$\mathrm{tr}(U^\top V) \le \sum\sigma_i(U)\sigma_i(V) \le \|U\|_{op} \sum\sigma_i(V) \le \sqrt d\,\|U\|_{op} "
    r"\|V\|_F$ for $U, V$ of shape $d \times n$, $d \le n$.",
)
def lemma_31(bench: Bench) -> Finding:
    pairs = []
    for _ in range(bench.count(400)):
        d = int(bench.rng.integers(1, 6))
        n = d + int(bench.rng.integers(0, 4))
        U, V = bench.rng.standard_normal((2, d, n))
        if bench.rng.random() < 0.5:  # aligned singular vectors come close to equality
            V = U * bench.rng.uniform(0.5, 1.5)
        s, t = (np.linalg.svd(X, compute_uv=False) for X in (U, V))
        chain = [np.sum(U * V), s @ t, s[0] * t.sum(), np.sqrt(d) * s[0] * np.linalg.norm(V)]
        pairs.append((chain[:-1], chain[1:]))
    evidence = inequality(pairs)
    return Finding(
        f"All three inequalities hold; the smallest relative margin is {evidence.margin_text}.",
        "closed form, singular values",
        [evidence],
    )


@SECTION.claim(
    "lemma-32-if",
    "Lemma 32, if (arXiv Lemma D.4)",
    r"If positive semi-definite $A$ and $B$ commute, $AB$ is positive semi-definite.",
)
def lemma_32_if(bench: Bench) -> Finding:
    asymmetry, forms = [], []
    for A, B in _commuting(bench, bench.count(200)):
        product = A @ B
        asymmetry.append((product, product.T))
        forms.append((_lowest(product), 1.0))
    evidence = [agreement(asymmetry, scale=1.0), positivity(forms)]
    return Finding(
        f"AB is symmetric to {evidence[0].deviation:.1e} and has no negative eigenvalue, singular A and B included.",
        "closed form, eigenvalues",
        evidence,
    )


@SECTION.claim(
    "lemma-32-only-if",
    "Lemma 32, only if (arXiv Lemma D.4)",
    r"For positive semi-definite $A$ and $B$, $AB$ is positive semi-definite only if $A$ and $B$ commute.",
    condition="positive semi-definite includes symmetric (x'ABx ≥ 0 for all x alone does not make A and B commute)",
    slip=True,
)
def lemma_32_only_if(bench: Bench) -> Finding:
    # Without symmetry the statement says: a commutator that is not zero forces a negative value of x'ABx.
    lowest, asymmetry = [], []
    count = bench.count(200)
    for _ in range(count):
        d = int(bench.rng.integers(2, 6))
        A, B = (np.eye(d) + root @ root.T / (2 * d) for root in bench.rng.standard_normal((2, d, d)))
        product = A @ B
        lowest.append(_lowest(product) / np.linalg.norm(product))
        asymmetry.append((float(np.linalg.norm(product - product.T)), float(np.linalg.norm(product))))
    kept = sum(value > 0 for value in lowest)
    evidence = positivity(asymmetry, strict=True)
    return Finding(
        f"Of {count} non-commuting positive definite pairs {kept} still have x'ABx > 0 for all x; AB is asymmetric in "
        f"all of them.",
        "closed form, eigenvalues of the symmetric part",
        [positivity([(-value, 1.0) for value in lowest])],
        [evidence],
    )


@SECTION.claim(
    "lemma-32-in-the-proofs",
    "proofs of Corollary 16 and Lemmas 19 and 27, where Lemma 32 gives tr(AB) ≥ 0",
    r"$\mathrm{tr}(\Gamma\Lambda U\Lambda U^\top) \ge 0$ 'from Lemma 32', whose hypothesis is that $\Gamma\Lambda$ "
    r"and $U\Lambda U^\top$ commute.",
    condition="the hypothesis is dropped: tr(AB) ≥ 0 for all positive semi-definite A and B, commuting or not",
    erratum=True,
    slip=True,
)
def lemma_32_in_proofs(bench: Bench) -> Finding:
    commutators, traces = [], []
    for problem in bench.problems(200, condition=1e2):
        U = bench.rng.standard_normal((problem.dimension,) * 2)
        A = problem.gamma @ problem.covariance
        B = U @ problem.covariance @ U.T
        commutators.append((A @ B, B @ A))
        traces.append((np.trace(A @ B), float(np.linalg.norm(A) * np.linalg.norm(B))))
    stated, under = agreement(commutators), positivity(traces)
    return Finding(
        f"The two matrices do not commute (relative commutator up to {stated.deviation:.2g}), and the trace is "
        f"nonnegative all the same (at least {under.margin:.2g} of ‖ΓΛ‖‖UΛU'‖).",
        "closed form",
        [stated],
        [under],
    )


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
