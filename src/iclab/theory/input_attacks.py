"""Inputs that force a prediction: exact attacks where the smallest change is known.

A learner ŷ = x_q'K(1/M)Σ y_i x_i is affine in each input of its context and linear in its query, so that the smallest
change is along the gradient. Ridge regression is neither, but the inputs that give a wanted prediction form a quadric,
and the nearest point of a quadric is found from one scalar equation (Moré 1993). Anwar et al. (2024, arXiv 2411.05189)
attack labels and inputs by gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from iclab.foundations import InvalidInputError, Matrix, Vector, check_array, check_integer, check_matrix, check_real

# Products of six numbers below this are within float64.
_LARGEST = 1e50
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class InputAttack:
    """A changed input that forces a prediction.

    Attributes
    ----------
    x : ndarray, shape (d,)
        The input in its place.
    size : float
        Euclidean norm of the change, the least of all inputs with this prediction.
    """

    x: Vector
    size: float


def context_attack(
    learner: ArrayLike, xs: ArrayLike, ys: ArrayLike, x_query: ArrayLike, position: int, target: float
) -> InputAttack:
    """The nearest input at ``position`` with which ŷ = x_q'K (1/M) Σ y_i x_i is ``target``, its label as it is.

    x_j + M(t − ŷ) k/(y_j‖k‖²) with k = K'x_q, for the prediction (12)-(13) where K = Γ⁻¹; not in the paper.

    Parameters
    ----------
    learner : array_like, shape (d, d)
        K.
    xs : array_like, shape (M, d)
        Inputs of the examples.
    ys : array_like, shape (M,)
        Their labels.
    x_query : array_like, shape (d,)
        Query input.
    position : int
        j, from 0 to M − 1.
    target : float
        t.

    Returns
    -------
    InputAttack

    Raises
    ------
    InvalidInputError
        If shapes do not fit, the position is outside the context, or no input reaches the target as y_j = 0 or
        K'x_q = 0.
    """
    x, y, query, j, wanted = _read(xs, ys, x_query, position, target)
    key = query @ check_matrix(learner, "learner", len(query))
    if y[j] == 0 or not key.any():
        raise InvalidInputError(
            f"position must have a label other than 0, and the query a key K'x_q other than 0; the label at {j} is "
            f"{y[j]:g} and the key has the norm {np.linalg.norm(key):g}: no finite input reaches the target."
        )
    gap = wanted - float(y @ (x @ key)) / len(y)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        change = len(y) * gap / y[j] * (key / float(key @ key))
    return _attack(x[j], change)


def query_attack(weights: ArrayLike, x_query: ArrayLike, target: float) -> InputAttack:
    """The nearest query at which ŷ = x_q·ŵ is ``target``: x_q + (t − ŷ) ŵ/‖ŵ‖² (not in the paper).

    Parameters
    ----------
    weights : array_like, shape (d,)
        ŵ of any learner that is linear in its query: K(1/M)Σ y_i x_i, least squares, ridge; the ``weights`` of a
        predictor at one position.
    x_query : array_like, shape (d,)
        Query input.
    target : float
        t.

    Returns
    -------
    InputAttack

    Raises
    ------
    InvalidInputError
        If shapes do not fit or ŵ = 0.
    """
    w = check_array(weights, "weights", (None,))
    query = check_array(x_query, "x_query", w.shape)
    if not w.any():
        raise InvalidInputError("weights must not be zero: every query is then predicted 0.")
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        change = (check_real(target, "target") - float(query @ w)) * (w / float(w @ w))
    return _attack(query, change)


def ridge_attack(
    penalty: float, xs: ArrayLike, ys: ArrayLike, x_query: ArrayLike, position: int, target: float
) -> InputAttack:
    """The nearest input at ``position`` with which ridge regression, or least squares, predicts ``target``.

    With A and w of the other examples and q = A⁻¹x_q, the input z predicts t where
    (t − x_q'w)(1 + z'A⁻¹z) = (q'z)(y_j − w'z) (Sherman and Morrison 1950): a quadric. Not in the paper.

    Parameters
    ----------
    penalty : float
        λ ≥ 0 of min ‖Xw − y‖² + λ‖w‖²; with 0 the other examples must determine w.
    xs, ys, x_query, position, target
        As in :func:`context_attack`.

    Returns
    -------
    InputAttack

    Raises
    ------
    InvalidInputError
        If shapes do not fit, the position is outside the context, λ = 0 and the other examples do not determine w, or
        no input reaches the target.
    """
    x, y, query, j, wanted = _read(xs, ys, x_query, position, target)
    ridge = check_real(penalty, "penalty", minimum=0.0)
    others, labels = np.delete(x, j, axis=0), np.delete(y, j)
    gram = others.T @ others + ridge * np.eye(len(query))
    if np.linalg.cond(gram) * _EPSILON > 1e-3:
        raise InvalidInputError(
            "penalty must be positive, or the other examples must determine the solution; "
            f"penalty {ridge:g} was given with {len(labels)} other examples in {len(query)} dimensions."
        )
    inverse = np.linalg.inv(gram)
    w, q = inverse @ (others.T @ labels), inverse @ query
    gap = wanted - float(query @ w)
    # gap(1 + z'A⁻¹z) − (q'z)(y_j − w'z) as z'Bz + b'z + gap, moved to x_j.
    B = gap * inverse + (np.outer(q, w) + np.outer(w, q)) / 2
    b = -y[j] * q
    start = float(x[j] @ B @ x[j] + b @ x[j]) + gap
    change = _nearest_on_quadric((B + B.T) / 2, 2 * B @ x[j] + b, start)
    if change is None:
        raise InvalidInputError(
            "target must be reached by some input, but whatever the input at this position, all predictions lie on one "
            f"side of {wanted:g}: choose another target or position."
        )
    return _attack(x[j], change)


def _nearest_on_quadric(B: Matrix, h: Vector, c: float) -> Vector | None:
    """The smallest δ with δ'Bδ + h'δ + c = 0, or None if there is none.

    δ = −μh/2 (I + μB)⁻¹ for the one μ at which I + μB is positive semi-definite and the equation holds; the left side
    falls in μ.
    """
    values, vectors = np.linalg.eigh(B if c >= 0 else -B)
    h, c = vectors.T @ (h if c >= 0 else -h), abs(c)  # now μ ≥ 0
    if c == 0:
        return np.zeros(len(h))
    largest = -1 / float(values[0]) if values[0] < 0 else np.inf

    def moved(mu: float) -> Vector:
        return -mu * h / 2 / (1 + mu * values)

    def left(mu: float) -> float:
        delta = moved(mu)
        return float(values @ delta**2 + h @ delta) + c

    scale = 1 / max(float(np.abs(values).max()), float(np.linalg.norm(h)), 1e-300)
    low = 0.0
    for k in range(-60, 1000 if np.isinf(largest) else 200):
        high = scale * 2.0**k if np.isinf(largest) else largest * (1 - 2.0**-k if k > 0 else 2.0 ** (k - 2))
        if not np.isfinite(high) or high >= largest or not np.isfinite(left(high)):
            break
        if left(high) <= 0:
            return vectors @ moved(float(brentq(left, low, high, xtol=1e-15 * high, rtol=8.9e-16)))
        low = high
    if np.isinf(largest):
        return None
    # The hard case: h has no part along the lowest eigenvectors, and the rest of the way is along one of them.
    inside = values > values[0] * (1 - 1e-12)
    delta = np.where(inside, -largest * h / 2 / np.where(inside, 1 + largest * values, 1.0), 0.0)
    rest = float(values @ delta**2 + h @ delta) + c
    delta[0] = np.sqrt(max(rest, 0.0) / -float(values[0]))
    return vectors @ delta


def _attack(x: Vector, change: Vector) -> InputAttack:
    if not np.abs(change).max() < _LARGEST:
        raise InvalidInputError(
            f"target must be reached by inputs below {_LARGEST:g}; they are beyond: change the units, or the target."
        )
    return InputAttack(x + change, float(np.linalg.norm(change)))


def _read(
    xs: ArrayLike, ys: ArrayLike, x_query: ArrayLike, position: int, target: float
) -> tuple[Matrix, Vector, Vector, int, float]:
    query = check_array(x_query, "x_query", (None,))
    x = check_array(xs, "xs", (None, len(query)))
    y = check_array(ys, "ys", (len(x),))
    j = check_integer(position, "position", minimum=0)
    if j >= len(x):
        raise InvalidInputError(
            f"position must be one of the {len(x)} examples, from 0 to {len(x) - 1}; {position} was given."
        )
    wanted = check_real(target, "target")
    if max(np.abs(part).max() for part in (x, y, query, np.array(wanted))) > _LARGEST:
        raise InvalidInputError(f"inputs, labels and target must be at most {_LARGEST:g} in size: change the units.")
    return x, y, query, j, wanted
