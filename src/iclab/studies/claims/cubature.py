"""Exact Gaussian expectations through the real forward pass.

The prediction of a linear self-attention layer is a polynomial in the Gaussian numbers that make up a prompt, so
its expectations are finite sums: no sampling error, and nothing of the derivation under test is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from iclab.foundations import Matrix, Vector
from iclab.studies.claims.bench import Bench, layer
from iclab.theory import LSAParameters, embed, lsa, quadratic_form
from iclab.theory.cubature import symmetric_rule, tensor_rule

# Maps inputs (..., d) to labels (...).
Label = Callable[[np.ndarray], np.ndarray]


def last_entry(parameters: LSAParameters, embedding: np.ndarray) -> np.ndarray:
    """ŷ of an embedded prompt: run the layer, read the bottom-right entry."""
    return lsa(embedding, parameters)[..., -1, -1]


def forward(parameters: LSAParameters, xs: np.ndarray, ys: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """ŷ as (3)-(4) define it: embed the prompt, run the layer, read the bottom-right entry."""
    return last_entry(parameters, embed(xs, ys, queries))


def root(covariance: Matrix) -> Matrix:
    """A matrix R with RR' = covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.clip(values, 0, None))


@dataclass(frozen=True)
class LinearPrompts:
    """All prompts of an exact rule for linear tasks: contexts × weights × queries."""

    # Examples; exact for degree 5 in all of them together (a squared prediction has degree 4), shape (Kc, 1, 1,
    # n, d)
    contexts: np.ndarray
    labels: np.ndarray
    weights: np.ndarray  # Task vectors, exact for degree 5, shape (Kw, d)
    queries: np.ndarray  # Queries, exact for degree 7 (a squared prediction has degree 6 in the query), shape (Kq, d)
    measure: np.ndarray  # Weight of each prompt; sums to 1, shape (Kc, Kw, Kq)

    @classmethod
    def build(
        cls, covariance: Matrix, n: int, *, query_covariance: Matrix | None = None, weight_root: Matrix | None = None
    ) -> LinearPrompts:
        """The rule for x_i ~ N(0, covariance), w ~ N(0, RR') with R = ``weight_root`` (I when omitted)."""
        d = covariance.shape[0]
        flat, on_contexts = symmetric_rule(n * d)
        contexts = flat.reshape(-1, n, d) @ root(covariance).T
        nodes, on_weights = symmetric_rule(d)
        weights = nodes if weight_root is None else nodes @ weight_root.T
        nodes, on_queries = tensor_rule(d, 4)
        queries = nodes @ root(covariance if query_covariance is None else query_covariance).T
        measure = on_contexts[:, None, None] * on_weights[:, None] * on_queries
        labels = np.einsum("cnd,wd->cwn", contexts, weights)
        return cls(contexts[:, None, None], labels[:, :, None], weights, queries, measure)

    @cached_property
    def embedding(self) -> np.ndarray:
        """E(P) of every prompt, shape (Kc, Kw, Kq, d + 1, n + 1)."""
        return embed(self.contexts, self.labels, self.queries)

    @cached_property
    def targets(self) -> np.ndarray:
        """w'x_q, shape (Kw, Kq)."""
        return self.weights @ self.queries.T

    def predictions(self, parameters: LSAParameters) -> np.ndarray:
        """ŷ of every prompt, shape (Kc, Kw, Kq)."""
        return last_entry(parameters, self.embedding)

    def mean(self, values: np.ndarray) -> float:
        """Expectation of values of shape broadcastable to (Kc, Kw, Kq)."""
        return float(np.sum(self.measure * values))

    def over_contexts(self, values: np.ndarray) -> np.ndarray:
        """Expectation over contexts of values (Kc, Kw, Kq), shape (Kw, Kq)."""
        return np.einsum("c,cwq->wq", self.measure.sum(axis=(1, 2)), values)

    def loss(self, parameters: LSAParameters) -> float:
        """The population loss (8), ½E(ŷ − w'x_q)²."""
        return self.mean((self.predictions(parameters) - self.targets) ** 2) / 2


def loss_gradient(prompts: LinearPrompts, parameters: LSAParameters) -> Vector:
    """Gradient of the population loss in all entries of (W^PV, W^KQ), flattened: exact up to rounding."""
    size, shape = parameters.w_pv.size, parameters.w_pv.shape

    def loss(vector: Vector) -> float:
        return prompts.loss(LSAParameters(vector[:size].reshape(shape), vector[size:].reshape(shape)))

    return quadratic_gradient(loss, np.concatenate([parameters.w_pv.ravel(), parameters.w_kq.ravel()]))


def block_gradient(prompts: LinearPrompts, parameters: LSAParameters) -> LSAParameters:
    """Gradient of the population loss in the blocks a, u, U, b, arranged as parameters."""
    gradient = quadratic_gradient(lambda t: prompts.loss(LSAParameters.from_vector(t)), parameters.vector)
    return LSAParameters.from_vector(gradient)


def quadratic_gradient(function: Callable[[Vector], float], at: Vector, step: float = 0.5) -> Vector:
    """Gradient of a function that is quadratic in every single entry: the central difference is exact for it.

    The step can therefore be large, and no digits cancel.
    """
    return np.array([function(at + e) - function(at - e) for e in np.eye(at.size) * step]) / (2 * step)


@dataclass(frozen=True)
class GeneralPrompts:
    """All prompts of an exact rule for labels y = h(x) + noise, h a polynomial of degree at most 3."""

    # Contexts × noise; exact for degree 9 in each input and 3 in each noise (signs ±1 times its deviation),
    # shape (Kc, Ke, 1, n, d) and (Kc, Ke, 1, n)
    xs: np.ndarray
    ys: np.ndarray
    queries: np.ndarray  # Queries with noise-free h(x_q), shape (Kq, d) and (Kq,)
    answers: np.ndarray
    measure: np.ndarray  # Weight of each prompt, shape (Kc, Ke, Kq)
    noise: float  # Standard deviation of the label noise; the answer's own noise is not among the nodes

    @classmethod
    def build(cls, covariance: Matrix, n: int, label: Label, noise: float = 0.0) -> GeneralPrompts:
        """The rule for x ~ N(0, covariance) and labels ``label``, which maps (..., d) to (...)."""
        d, factor = covariance.shape[0], root(covariance)
        flat, on_contexts = tensor_rule(n * d, 5)
        contexts = flat.reshape(-1, n, d) @ factor.T
        errors, on_errors = tensor_rule(n, 2) if noise else (np.zeros((1, n)), np.ones(1))
        nodes, on_queries = tensor_rule(d, 4)
        queries = nodes @ factor.T
        measure = on_contexts[:, None, None] * on_errors[:, None] * on_queries
        ys = label(contexts)[:, None] + noise * errors
        return cls(contexts[:, None, None], ys[:, :, None], queries, label(queries), measure, noise)

    def predictions(self, parameters: LSAParameters) -> np.ndarray:
        """ŷ of every prompt, shape (Kc, Ke, Kq)."""
        return forward(parameters, self.xs, self.ys, self.queries)

    def mean(self, values: np.ndarray) -> float:
        """Expectation of values of shape broadcastable to (Kc, Ke, Kq)."""
        return float(np.sum(self.measure * values))

    def risk(self, parameters: LSAParameters) -> float:
        """E(ŷ − y_query)², the answer's noise included."""
        return self.mean((self.predictions(parameters) - self.answers) ** 2) + self.noise**2


@dataclass(frozen=True)
class Moments:
    """Every prompt of an exact rule, with the matrix ZUX of (35); Z = EE'/N, U and X as in Lemma 9."""

    prompts: LinearPrompts
    parameters: LSAParameters

    @property
    def form(self) -> np.ndarray:
        """H of (24), shape (Kc, Kw, Kq, (d + 1)², (d + 1)²)."""
        return quadratic_form(embed(self.prompts.contexts, self.prompts.labels, self.prompts.queries))

    @property
    def product(self) -> np.ndarray:
        """ZUX = 2Ht as a matrix, shape (Kc, Kw, Kq, d + 1, d + 1)."""
        size = self.parameters.dimension + 1
        flat = 2 * self.form @ self.parameters.vector
        return np.swapaxes(flat.reshape(*flat.shape[:-1], size, size), -1, -2)

    @property
    def unknowns(self) -> Matrix:
        """The matrix U of Lemma 9, whose columns are t."""
        size = self.parameters.dimension + 1
        return self.parameters.vector.reshape(size, size).T

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Expectation over prompts; entries of matrices stay."""
        return np.einsum("cwq,cwq...->...", self.prompts.measure, values)

    @property
    def first_term(self) -> Matrix:
        """D = ½E[⟨ZUX, U⟩ ZUX] of (31), which is 2E[⟨H, tt'⟩Ht] as a matrix."""
        product = self.product
        inner = np.einsum("cwqij,ij->cwq", product, self.unknowns)
        return self.mean(inner[..., None, None] * product) / 2

    @property
    def second_term(self) -> Matrix:
        """2E[w'x_q H]t of (31) as a matrix."""
        return self.mean(self.prompts.targets[..., None, None] * self.product)


def random_moments(bench: Bench, full: int, *, restricted: bool = True) -> Iterator[tuple[Matrix, int, Moments]]:
    """Covariance, length and moments at random parameters, with u12 = u21 = 0 if ``restricted``; d = 2."""
    for _ in range(bench.count(full)):
        cov, n = bench.covariance(2, 10.0), int(bench.rng.integers(1, 4))
        theta = layer(bench.normal(), bench.matrix(2)) if restricted else bench.parameters(2)
        yield cov, n, Moments(LinearPrompts.build(cov, n), theta)
