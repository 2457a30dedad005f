"""The single linear self-attention layer: (3)-(6) and Lemma 9 of the paper, and its softmax original.

Arrays may carry any leading (batch) axes; d is the input dimension, n the number of examples in the prompt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import (
    InvalidInputError,
    Matrix,
    Vector,
    check_covariance,
    check_integer,
    check_matrix,
    check_real,
    check_reals,
    check_vector,
)

Blocks: TypeAlias = tuple[Vector, float, Matrix, Vector]
Embedding: TypeAlias = Float64[np.ndarray, "*batch rows columns"]
_Array: TypeAlias = Float64[np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class LSAParameters:
    """Weights θ of a linear self-attention layer f_LSA, as in (3) of the paper.

    Parameters
    ----------
    w_pv, w_kq : array_like, shape (d + 1, d + 1)
        W^PV (projection times value) and W^KQ (key' times query).

    Raises
    ------
    InvalidInputError
        If they are not finite square matrices of one size, at least 2 × 2.
    """

    w_pv: Matrix
    w_kq: Matrix

    def __init__(self, w_pv: ArrayLike, w_kq: ArrayLike) -> None:
        w_pv = check_matrix(w_pv, "w_pv")
        w_kq = check_matrix(w_kq, "w_kq")
        if w_pv.shape != w_kq.shape or w_pv.shape[0] < 2:
            raise InvalidInputError(
                "w_pv and w_kq must both have shape (d + 1, d + 1) with d at least 1; "
                f"shapes {w_pv.shape} and {w_kq.shape} were given."
            )
        object.__setattr__(self, "w_pv", _frozen(w_pv))
        object.__setattr__(self, "w_kq", _frozen(w_kq))

    @classmethod
    def from_blocks(cls, a: ArrayLike, u: float, U: ArrayLike, b: ArrayLike) -> LSAParameters:
        """The layer with the given blocks and zeros elsewhere, (5).

        Parameters
        ----------
        a, b : array_like, shape (d,)
            w21^PV and w21^KQ.
        u : float
            w22^PV.
        U : array_like, shape (d, d)
            W11^KQ.
        """
        block = check_matrix(U, "U")
        d = block.shape[0]
        w_pv, w_kq = np.zeros((2, d + 1, d + 1))
        w_pv[d, :d] = check_vector(a, "a", d)
        w_pv[d, d] = check_real(u, "u")
        w_kq[:d, :d] = block
        w_kq[d, :d] = check_vector(b, "b", d)
        return cls(w_pv, w_kq)

    @classmethod
    def from_vector(cls, vector: ArrayLike) -> LSAParameters:
        """Inverse of :attr:`vector`: the layer whose t of Lemma 9 is ``vector``, shape ((d + 1)²,)."""
        t = check_vector(vector, "vector")
        size = math.isqrt(t.shape[0])
        if size**2 != t.shape[0] or size < 2:
            raise InvalidInputError(f"vector must have length (d + 1)², d at least 1; length {t.shape[0]} was given.")
        reduced = t.reshape(size, size).T
        return cls.from_blocks(reduced[:-1, -1], float(reduced[-1, -1]), reduced[:-1, :-1], reduced[-1, :-1])

    @property
    def dimension(self) -> int:
        """Input dimension d."""
        return self.w_pv.shape[0] - 1

    @property
    def blocks(self) -> Blocks:
        """(a, u, U, b) = (w21^PV (d,), w22^PV, W11^KQ (d, d), w21^KQ (d,)): all that (6) depends on."""
        d = self.dimension
        return self.w_pv[d, :d], float(self.w_pv[d, d]), self.w_kq[:d, :d], self.w_kq[d, :d]

    @property
    def vector(self) -> Vector:
        """The vector t = vec [[U, a], [b', u]] of Lemma 9, by columns, shape ((d + 1)²,)."""
        a, u, U, b = self.blocks
        return np.block([[U, a[:, None]], [b[None, :], np.array([[u]])]]).T.ravel()

    @property
    def learner(self) -> Matrix:
        """K = (u U + a b')', shape (d, d): the part of ŷ, (6), odd in the labels is x_q'K (1/n) Σ y_i x_i."""
        a, u, U, b = self.blocks
        return (u * U + np.outer(a, b)).T

    def __repr__(self) -> str:
        a, u, U, b = self.blocks
        return (
            f"LSAParameters(d={self.dimension}, u={u:.4g}, |U|={_norm(U):.4g}, |a|={_norm(a):.4g}, |b|={_norm(b):.4g})"
        )


def embed(xs: ArrayLike, ys: ArrayLike, x_query: ArrayLike) -> Embedding:
    """Embedding matrix E(P) of a prompt, (4): examples as columns (x_i; y_i), then (x_q; 0).

    Parameters
    ----------
    xs : array_like, shape (..., n, d)
        Inputs of the examples.
    ys : array_like, shape (..., n)
        Their labels.
    x_query : array_like, shape (..., d)
        Query input.

    Returns
    -------
    ndarray, shape (..., d + 1, n + 1)
        Leading axes broadcast.
    """
    x, y, query, batch = check_prompt(xs, ys, x_query)
    n, d = x.shape[-2:]
    embedding = np.zeros((*batch, d + 1, n + 1))
    embedding[..., :d, :n] = np.swapaxes(x, -1, -2)
    embedding[..., d, :n] = y
    embedding[..., :d, n] = query
    return embedding


def lsa(embedding: ArrayLike, parameters: LSAParameters) -> Embedding:
    """Output of the layer, (3): f_LSA(E) = E + W^PV E · (E' W^KQ E)/ρ with ρ = n, the number of examples.

    Parameters
    ----------
    embedding : array_like, shape (..., d + 1, n + 1)
        E, with n ≥ 1.
    parameters : LSAParameters
        Weights in dimension d.

    Returns
    -------
    ndarray, shape (..., d + 1, n + 1)
        The prediction ŷ is the bottom-right entry.
    """
    E = _embedding(embedding, parameters.dimension + 1)
    scores = np.swapaxes(E, -1, -2) @ (parameters.w_kq @ E)
    return E + (parameters.w_pv @ E) @ scores / (E.shape[-1] - 1)


def attention(
    embedding: ArrayLike,
    w_k: ArrayLike,
    w_q: ArrayLike,
    w_v: ArrayLike,
    w_p: ArrayLike,
    rho: float | None = None,
) -> Embedding:
    """Softmax self-attention, §3.2: f_Attn(E) = E + W^P W^V E · softmax((W^K E)' W^Q E / ρ), by columns.

    Parameters
    ----------
    embedding : array_like, shape (..., e, m)
        E; every column is a token.
    w_k, w_q : array_like, shape (k, e)
        Key and query weights.
    w_v : array_like, shape (v, e)
        Value weights.
    w_p : array_like, shape (e, v)
        Projection weights.
    rho : float, optional
        Normaliser ρ > 0; √k when omitted.

    Returns
    -------
    ndarray, shape (..., e, m)
    """
    E = check_reals(embedding, "embedding")
    weights = [check_reals(w, name) for w, name in ((w_k, "w_k"), (w_q, "w_q"), (w_v, "w_v"), (w_p, "w_p"))]
    key, query, value, projection = weights
    if (
        E.ndim < 2
        or any(w.ndim != 2 for w in weights)
        or key.shape != query.shape
        or not (key.shape[1] == value.shape[1] == projection.shape[0] == E.shape[-2])
        or projection.shape[1] != value.shape[0]
    ):
        raise InvalidInputError(
            "embedding, w_k, w_q, w_v, w_p must have shapes (..., e, m), (k, e), (k, e), (v, e), (e, v); "
            f"{E.shape}, {', '.join(str(w.shape) for w in weights)} were given."
        )
    scale = math.sqrt(key.shape[0]) if rho is None else check_real(rho, "rho", above=0.0)
    scores = np.swapaxes(key @ E, -1, -2) @ (query @ E) / scale
    scores = np.exp(scores - scores.max(axis=-2, keepdims=True))
    return E + projection @ (value @ E) @ (scores / scores.sum(axis=-2, keepdims=True))


def predict(parameters: LSAParameters, xs: ArrayLike, ys: ArrayLike, x_query: ArrayLike) -> _Array:
    """Prediction of the layer in its reduced form, (6): ŷ = [a' u] (E E'/n) [U; b'] x_q.

    Costs O(n d + d²) per prompt; equal to the bottom-right entry of ``lsa(embed(xs, ys, x_query), parameters)``.

    Parameters
    ----------
    parameters : LSAParameters
        Weights in dimension d.
    xs : array_like, shape (..., n, d)
        Inputs of the n ≥ 1 examples.
    ys : array_like, shape (..., n)
        Their labels.
    x_query : array_like, shape (..., d)
        Query input.

    Returns
    -------
    ndarray, shape (...)
        One prediction per prompt; leading axes broadcast.
    """
    x, y, query, _ = check_prompt(xs, ys, x_query)
    a, u, U, b = parameters.blocks
    _check_dimension(x.shape[-1], parameters.dimension)
    if x.shape[-2] == 0:
        raise InvalidInputError("a prompt must hold at least one example, as the layer divides by their number.")
    key = query @ U.T
    scores = np.einsum("...nd,...d->...n", x, key) + y * (query @ b)[..., None]
    values = x @ a + u * y
    # The query's own column (x_q; 0) is one more column of E.
    own = (query @ a) * np.einsum("...d,...d->...", query, key)
    return (np.einsum("...n,...n->...", values, scores) + own) / x.shape[-2]


def quadratic_form(embedding: ArrayLike) -> _Array:
    """The matrix H of Lemma 9: ŷ = t'Ht with t = ``parameters.vector`` and H = ½ X ⊗ (E E'/n).

    X = [[0, x_q], [x_q', 0]]. H has exactly min(n, d) + 1 negative eigenvalues for a prompt in general position
    (see :func:`negative_eigenvalues`): ŷ is indefinite in the parameters, so the loss is not convex.

    Parameters
    ----------
    embedding : array_like, shape (..., d + 1, n + 1)
        E(P), whose last column is (x_q; 0).

    Returns
    -------
    ndarray, shape (..., (d + 1)², (d + 1)²)
    """
    E = _embedding(embedding, None)
    size = E.shape[-2]
    gram = E @ np.swapaxes(E, -1, -2) / (E.shape[-1] - 1)
    x = np.zeros_like(gram)
    x[..., :-1, -1] = x[..., -1, :-1] = E[..., :-1, -1]
    product = x[..., :, None, :, None] * gram[..., None, :, None, :]
    return product.reshape(*E.shape[:-2], size**2, size**2) / 2


def negative_eigenvalues(embedding: ArrayLike) -> np.ndarray:
    """Number of negative eigenvalues of the quadratic form of Lemma 9, from the factors of H.

    X has the eigenvalues ±‖x_q‖ and zeros, so H has as many negative eigenvalues as E E' has positive ones (none
    when x_q = 0): its rank, min(n, d) + 1 in general position. (§5.1 of the paper says "at least d + 1".)

    Parameters
    ----------
    embedding : array_like, shape (..., d + 1, n + 1)
        E(P), whose last column is (x_q; 0).

    Returns
    -------
    ndarray of int, shape (...)
    """
    E = _embedding(embedding, None)
    return np.where(np.any(E[..., :-1, -1] != 0, axis=-1), np.linalg.matrix_rank(E), 0)


def assumption3(theta: ArrayLike, scale: float) -> LSAParameters:
    """Initial weights of Assumption 3: W^PV(0) = σ diag(0_d, 1), W^KQ(0) = σ diag(ΘΘ', 0).

    Parameters
    ----------
    theta : array_like, shape (d, d)
        The matrix ΘΘ', symmetric positive semi-definite and not zero; divided by its Frobenius norm here.
    scale : float
        σ > 0.

    Returns
    -------
    LSAParameters

    Raises
    ------
    InvalidInputError
        If ``theta`` is zero or not positive semi-definite, or ``scale`` is not positive.

    Examples
    --------
    >>> from iclab.theory import assumption3
    >>> assumption3([[2.0]], scale=0.5).w_kq  # ΘΘ' is divided by its norm
    array([[0.5, 0. ],
           [0. , 0. ]])
    """
    matrix = check_theta(theta)
    sigma = check_real(scale, "scale", above=0.0)
    zero = np.zeros(matrix.shape[0])
    return LSAParameters.from_blocks(zero, sigma, sigma * matrix, zero)


def random_theta(dimension: int, seed: int) -> Matrix:
    """A random ΘΘ' = MM'/‖MM'‖_F with M of iid standard normal entries (after Assumption 3), shape (d, d).

    Parameters
    ----------
    dimension : int
        d.
    seed : int
        Of M.
    """
    d = check_integer(dimension, "dimension", minimum=1)
    root = np.random.default_rng(check_integer(seed, "seed", minimum=0)).standard_normal((d, d))
    product = root @ root.T
    return product / _norm(product)


def check_theta(theta: ArrayLike, dimension: int | None = None) -> Matrix:
    """``theta`` (the matrix ΘΘ') checked to be positive semi-definite and not zero, with Frobenius norm 1."""
    matrix = check_covariance(theta, "theta", dimension)
    largest = np.abs(matrix).max()
    if largest == 0:
        raise InvalidInputError("theta must not be zero; the zero matrix was given.")
    matrix = matrix / largest  # squares of very large or small entries are out of range
    return matrix / _norm(matrix)


def check_prompt(xs: ArrayLike, ys: ArrayLike, x_query: ArrayLike) -> tuple[_Array, _Array, _Array, tuple[int, ...]]:
    """Inputs (..., n, d), labels (..., n) and queries (..., d) of prompts as arrays, and their common leading axes."""
    x, y, query = check_reals(xs, "xs"), check_reals(ys, "ys"), check_reals(x_query, "x_query")
    if x.ndim < 2 or y.ndim < 1 or query.ndim < 1 or y.shape[-1] != x.shape[-2] or query.shape[-1] != x.shape[-1]:
        raise InvalidInputError(
            "xs, ys and x_query must have shapes (..., n, d), (..., n) and (..., d); "
            f"{x.shape}, {y.shape} and {query.shape} were given."
        )
    try:
        batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-1], query.shape[:-1])
    except ValueError as error:
        raise InvalidInputError(
            "xs, ys and x_query must have leading axes that broadcast; "
            f"{x.shape[:-2]}, {y.shape[:-1]} and {query.shape[:-1]} were given."
        ) from error
    return x, y, query, batch


def _embedding(embedding: ArrayLike, rows: int | None) -> _Array:
    E = check_reals(embedding, "embedding")
    if E.ndim < 2 or E.shape[-1] < 2 or E.shape[-2] < 2:
        raise InvalidInputError(
            f"embedding must have shape (..., d + 1, n + 1) with d and n at least 1; {E.shape} was given."
        )
    if rows is not None:
        _check_dimension(E.shape[-2] - 1, rows - 1)
    return E


def _check_dimension(given: int, wanted: int) -> None:
    if given != wanted:
        raise InvalidInputError(
            f"inputs must have the dimension {wanted} of the parameters; inputs of dimension {given} were given."
        )


def _frozen(matrix: Matrix) -> Matrix:
    copy = np.array(matrix)
    copy.setflags(write=False)
    return copy


def _norm(array: _Array) -> float:
    return float(np.linalg.norm(array))
