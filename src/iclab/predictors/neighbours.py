"""k nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from iclab.foundations import PromptInputs, PromptLabels, check_integer
from iclab.predictors.base import each_output, power_of_two
from iclab.predictors.exact_order import nearest_rows
from iclab.prompts import Prompts

# Positions answered together, and distances held at once: what stays in a core's cache.
_ROWS = 51
_BLOCK = 1 << 17
# Squared distances that underflow could have changed, inputs being of size 1e-100 at least.
_VANISHING = 1e-290


@dataclass(frozen=True)
class NearestNeighbors:
    """Mean label of the k examples nearest to the query in Euclidean distance; of all of them while i < k.

    Of classes the share that each has among them, with one more example of every class (Laplace).

    Examples at equal distance are taken in their order in the prompt.

    Parameters
    ----------
    k : int
        Number of neighbours, at least 1.

    Raises
    ------
    InvalidInputError
        If k is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.predictors import NearestNeighbors
    >>> from iclab.prompts import Prompts
    >>> xs, ys = np.array([[[0.0], [1.0], [0.1]]]), np.array([[5.0, 7.0, 6.0]])
    >>> NearestNeighbors(1)(Prompts(xs, ys, xs, ys))[0, 2]  # 0 is the input nearest to 0.1
    np.float64(5.0)
    """

    k: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", check_integer(self.k, "k", minimum=1))

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P), or of vectors and classes (B, P, k)."""
        if prompts.n_classes is None:
            return self._means_of(prompts)
        indicators = np.eye(prompts.n_classes)[prompts.ys]
        shares = self._means_of(Prompts(prompts.xs, indicators, prompts.queries, indicators))
        used = np.minimum(np.arange(prompts.n_points), self.k)[:, None]
        return (used * shares + 1) / (used + prompts.n_classes)

    @each_output
    def _means_of(self, prompts: Prompts) -> PromptLabels:
        n_prompts, n_points, dimension = prompts.xs.shape
        predictions = np.zeros((n_prompts, n_points))
        batch = max(1, _BLOCK // (n_points * min(_ROWS, n_points)))
        # Relative rounding error of an expanded squared distance, beside |x|² + |q|² (Higham 2002, §3.1).
        rounding = 4 * (dimension + 6) * np.finfo(np.float64).eps
        for start in range(0, n_prompts, batch):
            some = slice(start, start + batch)
            # Distances are expanded as |x|² − 2q·x; centring keeps their digits when inputs lie far from 0.
            xs, queries = _in_range(prompts.xs[some], prompts.queries[some])
            # The middle one of three inputs in every coordinate: an outlier does not move it.
            centre = np.sort(xs[:, [0, n_points // 2, -1]], axis=1)[:, 1:2]
            # One more coordinate adds |x|² within the product: a pass over all distances less.
            extended = np.empty((len(xs), dimension + 1, n_points))
            inputs = np.subtract(xs.transpose(0, 2, 1), centre.transpose(0, 2, 1), out=extended[:, :dimension])
            squares = np.einsum("bdp,bdp->bp", inputs, inputs, out=extended[:, dimension])
            inputs *= -2
            asked = np.ones((len(xs), n_points, dimension + 1))
            np.subtract(queries, centre, out=asked[..., :dimension])
            lengths = np.einsum("bpd,bpd->bp", asked[..., :dimension], asked[..., :dimension])
            for first in range(0, n_points, _ROWS):
                rows = slice(first, min(first + _ROWS, n_points))
                distances = asked[:, rows] @ extended[:, :, : rows.stop]
                doubts = rounding * squares[:, : rows.stop], rounding * lengths[:, rows] + _VANISHING
                near, doubtful = _nearest(distances, first, self.k, *doubts)
                if doubtful.any():
                    which, row = np.nonzero(doubtful)
                    near[which, row] = nearest_rows(prompts.xs[some], prompts.queries[some], which, first + row, self.k)
                predictions[some, rows] = _means(near, prompts.ys[some], first)
        predictions[:, 0] = 0.0
        return predictions


def _nearest(
    distances: Float64[np.ndarray, "B rows n"],
    first: int,
    k: int,
    of_inputs: Float64[np.ndarray, "B n"],
    of_queries: Float64[np.ndarray, "B rows"],
) -> tuple[Int64[np.ndarray, "B rows k"], Bool[np.ndarray, "B rows"]]:
    """The k nearest of the examples before each position, and where rounding may have chosen others.

    A distance has a rounding error of at most that of its input and that of its query together. Positions with fewer
    examples have any index in the places left.
    """
    n_prompts, rows, last = distances.shape
    distances[:, :, first:] += np.where(np.tri(rows, k=-1), 0.0, np.inf)  # the query's own and later examples
    if k > 8:  # one sort beats many scans
        near = np.argsort(distances, axis=2, kind="stable")[:, :, :k]
        if near.shape[2] < k:
            near = np.concatenate([near, np.zeros((n_prompts, rows, k - near.shape[2]), dtype=near.dtype)], axis=2)
        chosen = np.take_along_axis(distances, near, axis=2)
        np.put_along_axis(distances, near, np.inf, axis=2)
    else:
        near = np.empty((n_prompts, rows, k), dtype=np.int64)
        chosen = np.empty((n_prompts, rows, k))
        flat, row = distances.reshape(n_prompts * rows, last), last * np.arange(n_prompts * rows)
        for j in range(k):
            nearest = flat.argmin(axis=1)
            near[:, :, j] = nearest.reshape(n_prompts, rows)
            chosen[:, :, j] = flat.take(row + nearest).reshape(n_prompts, rows)
            np.put(flat, row + nearest, np.inf)
    upper = (chosen + np.take_along_axis(of_inputs[:, None], near, axis=2)).max(axis=2)
    distances -= of_inputs[:, None]
    with np.errstate(invalid="ignore"):
        sure = distances.min(axis=2) - of_queries > upper + of_queries
    return near, ~sure & (np.arange(first, last) > k)


def _means(near: Int64[np.ndarray, "B rows k"], ys: PromptLabels, first: int) -> PromptLabels:
    """Mean labels of the neighbours; of all examples where there are fewer."""
    rows, k = near.shape[1:]
    positions = np.arange(first, first + rows)
    labels = np.take_along_axis(ys[:, None], near, axis=2)
    known = np.arange(k) < positions[:, None]
    return np.where(known, labels, 0.0).sum(axis=2) / np.maximum(np.minimum(positions, k), 1)


def _in_range(xs: PromptInputs, queries: PromptInputs) -> tuple[PromptInputs, PromptInputs]:
    """Inputs and queries in a unit in which squares neither overflow nor vanish."""
    scale = np.maximum(power_of_two(xs), power_of_two(queries))
    if ((scale > 1e-100) & (scale < 1e100)).all():
        return xs, queries
    return xs / scale[:, None, None], queries / scale[:, None, None]
