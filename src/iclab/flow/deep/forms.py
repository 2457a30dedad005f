"""Which weights are free: from two scalars per layer to all of W^PV and W^KQ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from iclab.flow.deep.moments import Weights

GD_PLUS, INVARIANT, FULL = "GD++ form", "invariant", "full"
DESCENT = "descent"


@dataclass(frozen=True, eq=False)
class Form:
    """Weights of a layer as an affine function of n numbers, the same for every layer.

    Attributes
    ----------
    name : str
        GD++ form: W^PV = diag(B, −1), W^KQ = diag(A, 0). Invariant: W^PV = diag(B, u), W^KQ = diag(A, v), all that
        the symmetries of the law and y → −y leave. Full: every entry. Descent: the GD++ form with B = 0.
        A and B are scalar where the law does not tell the coordinates apart, else diagonal.
    offset : ndarray, shape (2, D, D)
        Weights at 0.
    basis : ndarray, shape (n, 2, D, D)
        One pattern per number.
    """

    name: str
    offset: Float64[np.ndarray, "2 D D"]
    basis: Float64[np.ndarray, "n 2 D D"]

    @property
    def size(self) -> int:
        """Numbers per layer."""
        return len(self.basis)

    def weights(self, theta: Float64[np.ndarray, "*shape"], layers: int) -> Weights:
        """W^PV and W^KQ of every layer; ``theta`` of one layer is used for all."""
        rows = np.asarray(theta).reshape(-1, self.size)
        found = self.offset + np.tensordot(rows, self.basis, 1)
        return np.broadcast_to(found, (layers, *found.shape[1:])).copy() if len(rows) == 1 else found

    def pull_back(self, gradient: Weights, n_rows: int) -> Float64[np.ndarray, " n"]:
        """Derivatives by theta of ``n_rows`` layers (1: tied) from those by the weights."""
        rows = np.tensordot(gradient, self.basis, ((1, 2, 3), (1, 2, 3)))
        return (rows.sum(axis=0, keepdims=True) if n_rows == 1 else rows).ravel()

    def coordinates(self, weights: Weights) -> Float64[np.ndarray, " n"]:
        """The theta of weights that have this form: least squares on the patterns."""
        patterns = self.basis.reshape(self.size, -1).T
        targets = (weights - self.offset).reshape(len(weights), -1).T
        return np.linalg.lstsq(patterns, targets, rcond=None)[0].T.ravel()


def form(name: str, dimension: int, diagonal: bool) -> Form:
    """The form of that name; ``diagonal``: A and B are diagonal, not scalar."""
    size = dimension + 1
    if name == FULL:
        return Form(name, np.zeros((2, size, size)), np.eye(2 * size**2).reshape(-1, 2, size, size))
    blocks = [np.diag(row) for row in np.eye(dimension)] if diagonal else [np.eye(dimension)]
    patterns: list[Float64[np.ndarray, "2 D D"]] = []
    for which in (0, 1) if name != DESCENT else (1,):
        for block in blocks:
            pattern = np.zeros((2, size, size))
            pattern[which, :-1, :-1] = block
            patterns.append(pattern)
    offset = np.zeros((2, size, size))
    if name == INVARIANT:
        for which in (0, 1):
            pattern = np.zeros((2, size, size))
            pattern[which, -1, -1] = 1.0
            patterns.append(pattern)
    else:
        offset[0, -1, -1] = -1.0
    return Form(name, offset, np.array(patterns))
