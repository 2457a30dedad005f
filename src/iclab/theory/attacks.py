"""Labels that force a prediction: exact attacks on every learner that is affine in the labels of its prompt.

ŷ = c'y + c_0 with an influence c_j of label j. One changed label y_j + (t − ŷ)/c_j makes the prediction t (Anwar, von
Oswald, Kirsch, Krueger and Frei 2024, arXiv 2411.05189): for the layer of Theorem 4, c_j = x_q'Γ⁻¹x_j/M. Several
changed labels share the work, and the duality of norms says how.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, Vector, check_integer, check_matrix, check_real, check_reals
from iclab.prompts import Prompts
from iclab.theory.lsa import LSAParameters, check_prompt, predict

_Array: TypeAlias = Float64[np.ndarray, "..."]
_EPSILON = float(np.finfo(np.float64).eps)
# A predictor whose answers miss an affine function of the labels by this part of their size is not affine.
_AFFINE = 1e-6
# Influences of a predictor below this part of its largest one are rounding.
_NONE = 1e-13
_POINTS = 2_000_000

# A matrix K of ŷ = x_q'K(1/M)Σ y_i x_i, the parameters of a layer, or any predictor: Prompts to answers (B, P).
Learner: TypeAlias = "ArrayLike | LSAParameters | Callable[[Prompts], Any]"


@dataclass(frozen=True, eq=False)
class LabelAttack:
    """Changed labels that force a prediction.

    Attributes
    ----------
    labels : ndarray, shape (..., M)
        All labels, changed at the positions asked for.
    size : ndarray, shape (...)
        Norm of the change.
    """

    labels: _Array
    size: _Array


def label_influence(learner: Learner, xs: ArrayLike, x_query: ArrayLike) -> _Array:
    """The influence c_j = ∂ŷ/∂y_j of every label, which an affine learner has whatever the labels are.

    x_q'Kx_j/M for a matrix, (12)-(13) where it is Γ⁻¹; found from predictions on unit labels for a predictor.

    Parameters
    ----------
    learner : array_like, shape (d, d), LSAParameters or predictor
        K of ŷ = x_q'K (1/M) Σ y_i x_i; a layer with b = 0; or a callable that maps ``Prompts`` to answers (B, P) and
        is affine in the labels, such as ``Ridge(0.1)`` or ``LeastSquares()`` of ``iclab.predictors``.
    xs : array_like, shape (..., M, d)
        Inputs of the examples.
    x_query : array_like, shape (..., d)
        Query input.

    Returns
    -------
    ndarray, shape (..., M)

    Raises
    ------
    InvalidInputError
        If shapes do not fit, there is no example, or the learner is not affine in the labels.
    """
    x = check_reals(xs, "xs")
    return _Response.of(learner, *_read(x, np.zeros(x.shape[:-1]), x_query)).influence


def label_attack(
    learner: Learner, xs: ArrayLike, ys: ArrayLike, x_query: ArrayLike, position: int, target: ArrayLike
) -> _Array:
    """The label at ``position`` that makes the learner predict ``target``, the other labels being as they are.

    y_a = y_j + (t − ŷ)/c_j: Anwar et al. (2024), y_j + M(t − ŷ)/(x_q'Γ⁻¹x_j) for the layer of Theorem 4 and
    y_j + (t − ŷ)/(x_q'(X'X)⁻¹x_j) for least squares. A layer with b ≠ 0 is quadratic in the label; then the root that
    changes it least.

    Parameters
    ----------
    learner : array_like, shape (d, d), LSAParameters or predictor
        As in :func:`label_influence`, but any layer.
    xs : array_like, shape (..., M, d)
        Inputs of the examples.
    ys : array_like, shape (..., M)
        Their labels.
    x_query : array_like, shape (..., d)
        Query input.
    position : int
        j, from 0 to M − 1: the example whose label is changed.
    target : array_like, shape (...)
        t, the prediction wanted; leading axes broadcast.

    Returns
    -------
    ndarray, shape (...)
        The new label of every prompt; a number for one prompt.

    Raises
    ------
    InvalidInputError
        If shapes do not fit, the position is outside the context, the learner is not affine in the labels, or no
        finite label reaches the target, as where x_q'Kx_j = 0.

    Examples
    --------
    >>> xs, ys, query = [[1.0, 0.0], [1.0, 1.0]], [1.0, 2.0], [1.0, -2.0]
    >>> label_attack(np.eye(2), xs, ys, query, position=1, target=3.0)  # ŷ = (1·1 + 2·(−1))/2, c = −1/2
    np.float64(-5.0)
    """
    x, y, query, batch = _read(xs, ys, x_query)
    index = _position(position, x.shape[-2])
    wanted = _target(target)
    if isinstance(learner, LSAParameters) and learner.blocks[3].any():
        return _quadratic_attack(learner, x, y, query, index, wanted)
    response = _Response.of(learner, x, y, query, batch)
    with np.errstate(over="ignore"):
        label = y[..., index] + response.gap(wanted) / response.reach(index)
    return _within_range(label)


def minimal_label_attack(
    learner: Learner,
    xs: ArrayLike,
    ys: ArrayLike,
    x_query: ArrayLike,
    positions: Sequence[int],
    target: ArrayLike,
    norm: float = 2.0,
) -> LabelAttack:
    """The smallest change of the labels at several positions that makes the learner predict ``target``.

    With influences c on these positions and r = t − ŷ the change is rc/‖c‖² in the Euclidean norm, of size |r|/‖c‖;
    r sign(c)/‖c‖₁ in the maximum norm; and in the sum norm all of it on the label of largest influence. Beyond the
    single label of Anwar et al. (2024); not in the paper.

    Parameters
    ----------
    learner, xs, ys, x_query, target
        As in :func:`label_attack`, for a learner that is affine in the labels; labels have the shape (..., M).
    positions : sequence of int
        Different positions from 0 to M − 1, at least one.
    norm : {1, 2, math.inf}
        Norm of the change.

    Returns
    -------
    LabelAttack

    Raises
    ------
    InvalidInputError
        As :func:`label_attack`; also if positions repeat or the norm is another.
    """
    x, y, query, batch = _read(xs, ys, x_query)
    try:
        chosen = [_position(position, x.shape[-2]) for position in positions]
    except TypeError as error:
        raise InvalidInputError(f"positions must be a sequence of positions; {positions!r} was given.") from error
    if not chosen or len(set(chosen)) < len(chosen):
        raise InvalidInputError(f"positions must be different and at least one; {list(positions)} was given.")
    response = _Response.of(learner, x, y, query, batch)
    gap, c = response.gap(_target(target)), response.reach(chosen)
    if _norm(norm) == 1:
        strongest = np.abs(c) == np.abs(c).max(-1, keepdims=True)
        strongest &= np.cumsum(strongest, axis=-1) == 1
        share = np.divide(1.0, c, out=np.zeros_like(c), where=strongest)
    elif norm == 2:
        share = c / np.sum(c**2, -1, keepdims=True)
    else:
        share = np.sign(c) / np.sum(np.abs(c), -1, keepdims=True)
    with np.errstate(over="ignore"):
        change = gap[..., None] * share
        size = _within_range(np.linalg.norm(change, norm, axis=-1))
    labels = np.array(np.broadcast_to(y, (*gap.shape, y.shape[-1])))
    labels[..., chosen] += change
    return LabelAttack(labels, size)


def label_attack_sizes(
    learner: Learner, xs: ArrayLike, ys: ArrayLike, x_query: ArrayLike, target: ArrayLike, norm: float = 2.0
) -> _Array:
    """Size of the smallest attack with 1, …, M changed labels, the best positions chosen.

    |r| over the dual norm of the k largest influences; not in the paper.

    Parameters
    ----------
    learner, xs, ys, x_query, target, norm
        As in :func:`minimal_label_attack`; labels have the shape (..., M).

    Returns
    -------
    ndarray, shape (..., M)
        Entry k − 1 is the size with k labels; infinite where no label has any influence and ŷ ≠ t.

    Examples
    --------
    >>> from iclab.predictors import Averaging
    >>> from iclab.theory import label_attack_sizes
    >>> xs, ys = [[1.0], [1.0]], [3.0, 1.0]  # at x_q = 1 the prediction is 2, and each label counts by half
    >>> label_attack_sizes(Averaging(), xs, ys, [1.0], target=3.0, norm=1)
    array([2., 2.])
    """
    x, y, query, batch = _read(xs, ys, x_query)
    response = _Response.of(learner, x, y, query, batch)
    gap = np.abs(response.gap(_target(target)))[..., None]
    reach = np.where(np.abs(response.influence) > response.rounding, np.abs(response.influence), 0.0)
    strongest = -np.sort(-reach, axis=-1)
    if _norm(norm) == 1:
        dual = np.broadcast_to(strongest[..., :1], strongest.shape)
    else:
        dual = np.sqrt(np.cumsum(strongest**2, -1)) if norm == 2 else np.cumsum(strongest, -1)
    gap, dual = np.broadcast_arrays(gap, dual)
    sizes = np.where(gap > 0, np.inf, 0.0)
    return np.divide(gap, dual, out=sizes, where=dual > 0)


@dataclass(frozen=True, eq=False)
class _Response:
    """ŷ of every prompt, shape (...), the influences of its labels, shape (..., M), and what of these is rounding."""

    prediction: _Array
    influence: _Array
    rounding: _Array

    @classmethod
    def of(cls, learner: Learner, x: _Array, y: _Array, query: _Array, batch: tuple[int, ...]) -> _Response:
        M, d = x.shape[-2:]
        own: _Array = np.zeros(())
        if isinstance(learner, LSAParameters):
            a, u, U, b = learner.blocks
            if b.any():
                raise InvalidInputError("learner must have b = 0 here: the layer is not affine in labels otherwise.")
            weights = query @ _matrix(U.T, d)
            if a.any():  # what the inputs and the query say without labels
                own = (np.vecdot(np.matvec(x, weights), x @ a) + (query @ a) * np.vecdot(query, weights)) / M
            kernel, weights = u * U.T, u * weights
        elif callable(learner):
            return cls._of_predictor(learner, x, y, query, batch)
        else:
            kernel = _matrix(learner, d)
            weights = query @ kernel
        influence = np.broadcast_to(np.einsum("...nd,...d->...n", x, weights) / M, (*batch, M))
        rounding = 4 * d * _EPSILON * np.einsum("...nd,...d->...n", np.abs(x), np.abs(query) @ np.abs(kernel)) / M
        return cls(np.einsum("...n,...n->...", influence, y) + own, influence, np.broadcast_to(rounding, (*batch, M)))

    @classmethod
    def _of_predictor(
        cls, learner: Callable[[Prompts], Any], x: _Array, y: _Array, query: _Array, batch: tuple[int, ...]
    ) -> _Response:
        M, d = x.shape[-2:]
        x, y = (np.broadcast_to(part, (*batch, *part.shape[-k:])) for part, k in ((x, 2), (y, 1)))
        points = np.concatenate([x, np.broadcast_to(query, (*batch, d))[..., None, :]], axis=-2).reshape(-1, M + 1, d)
        rows = max(1, _POINTS // ((M + 1) * d * (M + 2)))
        answers = [
            _answers(learner, points[start : start + rows], y.reshape(-1, M)[start : start + rows])
            for start in range(0, len(points), rows)
        ]
        at_labels, at_zero, influence = (np.concatenate(part) for part in zip(*answers, strict=True))
        fit = at_zero + np.einsum("bn,bn->b", influence, y.reshape(-1, M))
        size = np.abs(at_zero) + np.einsum("bn,bn->b", np.abs(influence), np.abs(y.reshape(-1, M)))
        if not (np.abs(at_labels - fit) <= _AFFINE * size).all():
            raise InvalidInputError(
                "learner must be affine in the labels, so that they can be solved for; "
                f"{type(learner).__name__} is not: use a gradient attack."
            )
        rounding = np.broadcast_to(_NONE * np.abs(influence).max(-1, keepdims=True), influence.shape)
        return cls(at_labels.reshape(batch), influence.reshape(*batch, M), rounding.reshape(*batch, M))

    def gap(self, target: _Array) -> _Array:
        """What the predictions lack, t − ŷ."""
        try:
            return target - self.prediction
        except ValueError as error:
            raise InvalidInputError(
                f"target must have a shape that broadcasts with that of the prompts, {self.prediction.shape}; "
                f"{target.shape} was given."
            ) from error

    def reach(self, index: int | list[int]) -> _Array:
        """The influences at ``index``, none of which may vanish (for one position) or all of which may not."""
        c = self.influence[..., index]
        none = np.abs(c) <= self.rounding[..., index]
        unreachable = none if isinstance(index, int) else none.all(-1)
        if np.any(unreachable):
            raise InvalidInputError(
                f"position must have an influence on the prediction, and {index} has none (x_q'Kx_j = 0 for a linear "
                "learner): no finite label reaches the target, so choose another position."
            )
        return np.where(none, 0.0, c)


def _answers(
    learner: Callable[[Prompts], Any], points: Float64[np.ndarray, "B P d"], y: Float64[np.ndarray, "B M"]
) -> tuple[Vector, Vector, Float64[np.ndarray, "B M"]]:
    """Answers at the query to the labels y, to none, and the differences that unit labels make."""
    count, M = y.shape
    labels = np.zeros((count, M + 2, M + 1))
    labels[:, 0, :M] = y
    labels[:, 2:, :M] = np.eye(M)
    xs = np.repeat(points, M + 2, axis=0)
    given = labels.reshape(-1, M + 1)
    answers = np.asarray(learner(Prompts(xs, given, xs, np.full(given.shape, np.nan))), dtype=np.float64)
    if answers.shape != given.shape:
        raise InvalidInputError(
            f"learner must answer prompts with an array of shape {given.shape}; {answers.shape} came back."
        )
    at_query = answers[:, -1].reshape(count, M + 2)
    return at_query[:, 0], at_query[:, 1], at_query[:, 2:] - at_query[:, 1:2]


def _quadratic_attack(layer: LSAParameters, x: _Array, y: _Array, query: _Array, index: int, target: _Array) -> _Array:
    """The nearest root of ŷ(y_j) = t: by (6) it is (a·x_j + u y_j)(x_j·Ux_q + y_j b·x_q)/M and a constant."""
    a, u, U, b = layer.blocks
    M, xj = x.shape[-2], x[..., index, :]
    along, key = query @ b, np.einsum("...d,...d->...", xj, query @ U.T)
    gap = target - predict(layer, x, y, query)
    second = u * along / M
    first = (u * key + (xj @ a) * along) / M + 2 * second * y[..., index]
    # second·δ² + first·δ = gap, and its root of least size in a form that does not cancel.
    root = first**2 + 4 * second * gap
    scale = np.where(first < 0, -1.0, 1.0) * np.sqrt(np.maximum(root, 0)) + first
    solved = (root >= 0) & ((scale != 0) | (gap == 0))
    if not solved.all():
        raise InvalidInputError(
            "target must be reached by some label, but this layer is quadratic in it and stays on one side: "
            "choose another target or position."
        )
    return _within_range(y[..., index] + np.divide(2 * gap, scale, out=np.zeros_like(gap * scale), where=scale != 0))


def _read(xs: ArrayLike, ys: ArrayLike, x_query: ArrayLike) -> tuple[_Array, _Array, _Array, tuple[int, ...]]:
    x, y, query, batch = check_prompt(xs, ys, x_query)
    check_integer(x.shape[-2], "the number of examples", minimum=1)
    if not all(np.isfinite(part).all() for part in (x, y, query)):
        raise InvalidInputError("xs, ys and x_query must be finite; NaN or infinity was given.")
    return x, y, query, batch


def _target(target: ArrayLike) -> _Array:
    wanted = check_reals(target, "target")
    if not np.isfinite(wanted).all():
        raise InvalidInputError("target must be finite; NaN or infinity was given.")
    return wanted


def _matrix(learner: ArrayLike, dimension: int) -> Float64[np.ndarray, "d d"]:
    return check_matrix(learner, "learner", dimension)  # type: ignore[arg-type]


def _within_range(value: _Array) -> _Array:
    if not np.isfinite(value).all():
        raise InvalidInputError("target must be reached by labels within float64; they are beyond: change the units.")
    return np.asarray(value)[()]


def _position(position: int, count: int) -> int:
    index = check_integer(position, "position", minimum=0)
    if index >= count:
        raise InvalidInputError(
            f"position must be one of the {count} examples, from 0 to {count - 1}; {position} was given."
        )
    return index


def _norm(norm: float) -> float:
    if check_real(norm, "norm", allow_infinite=True) not in (1, 2, np.inf):
        raise InvalidInputError(f"norm must be 1, 2 or math.inf; {norm!r} was given.")
    return norm
