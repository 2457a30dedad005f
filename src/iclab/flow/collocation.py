"""One collocation step for dE/ds = −kE + f, for every decay rate at once.

The nodes are the 20 right Gauss-Radau points of [0, 1] (the Radau IIA method of 20 stages: L-stable, so rates
far above 1/h are followed as slaves of f). On a panel of width h, with z = kh and B the matrix that integrates
from 0 to each node, E − E_0 = (I + zB)⁻¹B (h f − z E_0). The resolvent (I + zB)⁻¹B depends on z alone; it is kept
for the nodes of an octave of z (see ``octaves``) and shared by all problems, because panel widths are powers of 2.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float64
from scipy.special import roots_jacobi

from iclab.flow.octaves import FACTORS

STAGES = 20


def _right_radau(stages: int) -> Float64[np.ndarray, " stages"]:
    interior = roots_jacobi(stages - 1, 1.0, 0.0)[0]
    return np.append((interior + 1) / 2, 1.0)


def _integration(nodes: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n n"]:
    # Through Legendre polynomials, whose Vandermonde matrix is well conditioned: exact to rounding.
    x, n = 2 * nodes - 1, len(nodes)
    values = np.polynomial.legendre.legvander(x, n)
    integrals = np.empty((n, n))
    integrals[:, 0] = (x + 1) / 2
    for degree in range(1, n):
        integrals[:, degree] = (values[:, degree + 1] - values[:, degree - 1]) / (2 * degree + 1) / 2
    return np.linalg.solve(values[:, :n].T, integrals.T).T


def _barycentric(points: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    gaps = 4 * (points[:, None] - points)  # 4: the capacity of [0, 1], so that products neither over- nor underflow
    np.fill_diagonal(gaps, 1.0)
    return 1 / gaps.prod(axis=1)


NODES = _right_radau(STAGES)
INTEGRATE = _integration(NODES)
# With the left end, where the solution is known: 21 points carry what a panel stores.
POINTS = np.concatenate([[0.0], NODES])
_WEIGHTS = _barycentric(POINTS)
# Legendre coefficients of degree 19 and 20 of the interpolant through the points: how well a panel resolves it.
_TAIL = np.linalg.inv(np.polynomial.legendre.legvander(2 * POINTS - 1, STAGES))[-2:]


def tail(values: Float64[np.ndarray, 21]) -> float:
    """Size of the last two Legendre coefficients, relative to the largest value."""
    return float(np.abs(_TAIL @ values).max() / np.abs(values).max())


def interpolation(x: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 21"]:
    """Matrix that evaluates a panel's interpolant at x in [0, 1]."""
    gaps = x[:, None] - POINTS
    hits = gaps == 0
    gaps[hits] = 1.0
    weights = _WEIGHTS / gaps
    weights /= weights.sum(axis=1, keepdims=True)
    rows = hits.any(axis=1)
    weights[rows] = hits[rows]
    return weights


@cache
def resolvents(octave: int) -> Float64[np.ndarray, "16 20 20"]:
    """(I + zB)⁻¹B at the 16 nodes z of an octave."""
    z = 2.0**octave * FACTORS[:, None, None]
    if octave > 0:  # the same, without the overflow of zB
        table = np.linalg.solve(np.eye(STAGES) / z + INTEGRATE, INTEGRATE / z)
    else:
        table = np.linalg.solve(np.eye(STAGES) + z * INTEGRATE, np.broadcast_to(INTEGRATE, (16, STAGES, STAGES)))
    table.setflags(write=False)
    return table
