"""One layer trained against changed labels: exact risks under attack, and the layer that is best under it.

Labels of the context may be changed by δ with ‖δ‖ ≤ ε. A linear learner then errs by |ŷ − w'x_q| + ε‖c‖ at worst, c the
influences of the labels. Given the inputs, ŷ − w'x_q is Gaussian for w ~ N(0, I), and for Λ = I what is left are two
independent χ² variables: with A = χ²_M/M the sample variance along x_q and G = χ²_{d−1} across it, the layer K = kI has
‖c‖² = k²A‖x_q‖²/M and an error of variance ‖x_q‖²((kA − 1)² + k²AG/M). The risk is convex in K and rotations leave it
as it is, so that no layer K is better under attack than the best multiple of I.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import minimize_scalar

from iclab.foundations import InvalidInputError, check_integer, check_real

_NODES = 120


@dataclass(frozen=True)
class RobustLayer:
    """The linear layer of least risk under attack.

    Attributes
    ----------
    coefficient : float
        k of K = kI.
    attacked : float
        E max (ŷ − w'x_q)² over changes of the labels of norm at most ε.
    clean : float
        E(ŷ − w'x_q)² without attack.
    """

    coefficient: float
    attacked: float
    clean: float


def attacked_risk(coefficient: float, dimension: int, n_test: int, budget: float) -> float:
    """E max (ŷ − w'x_q)² of ŷ = k x_q'(1/M) Σ y_i x_i over changes δ of the labels with ‖δ‖ ≤ ε, for Λ = I.

    Inputs and w are standard normal, labels noise-free. d[k²(1 + (d+1)/M) − 2k + 1 + 2ε√(2/π) k E√(A((kA − 1)² +
    k²AG/M)/M) + ε²k²/M]; after the threat of Anwar et al. (2024), not in the paper. The mean over A and G is by Gauss
    quadrature of 120 × 120 nodes.

    Parameters
    ----------
    coefficient : float
        k ≥ 0.
    dimension, n_test : int
        d and M, at least 1.
    budget : float
        ε ≥ 0, in units of the labels.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        If a number is out of its range.
    """
    k = check_real(coefficient, "coefficient", minimum=0.0)
    d = check_integer(dimension, "dimension", minimum=1)
    M = check_integer(n_test, "n_test", minimum=1)
    epsilon = check_real(budget, "budget", minimum=0.0)
    if max(k, epsilon) > 1e50 or max(d, M) > 10**9:
        raise InvalidInputError(
            "coefficient and budget must be at most 1e50, dimension and n_test at most 1e9; "
            f"{k:g}, {epsilon:g}, {float(d):g} and {float(M):g} were given."
        )
    clean = k**2 * (1 + (d + 1) / M) - 2 * k + 1
    along, along_weights = _chi_squared(M)
    across, across_weights = _chi_squared(d - 1) if d > 1 else (np.zeros(1), np.ones(1))
    A = along[:, None] / M
    spread = np.sqrt(A * ((k * A - 1) ** 2 + k**2 * A * across / M) / M)
    cross = float(along_weights @ spread @ across_weights)
    return d * (clean + 2 * epsilon * math.sqrt(2 / math.pi) * k * cross + epsilon**2 * k**2 / M)


def robust_layer(dimension: int, n_test: int, budget: float) -> RobustLayer:
    """The layer K = kI of least :func:`attacked_risk`: what exact adversarial training finds, and what it costs.

    Without attack it is Γ⁻¹ for Λ = I, k = 1/(1 + (d + 1)/M) (Theorem 4 at N = M). Not in the paper.

    Parameters
    ----------
    dimension, n_test, budget
        As in :func:`attacked_risk`.

    Returns
    -------
    RobustLayer
    """
    d = check_integer(dimension, "dimension", minimum=1)
    M = check_integer(n_test, "n_test", minimum=1)
    epsilon = check_real(budget, "budget", minimum=0.0)
    best = 1 / (1 + (d + 1) / M)
    if epsilon > 0:

        def risk(k: float) -> float:
            return attacked_risk(float(k), d, M, epsilon)

        # The risk is convex and at k = 2 larger than at 0.
        found = minimize_scalar(risk, bounds=(0, 2), method="bounded", options={"xatol": 1e-10})
        best = float(found.x) if found.fun < d else 0.0
    return RobustLayer(best, attacked_risk(best, d, M, epsilon), attacked_risk(best, d, M, 0.0))


def _chi_squared(degrees: int) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Gauss nodes and weights of χ² with some degrees of freedom: generalised Laguerre (Golub and Welsch 1969)."""
    k = np.arange(_NODES, dtype=np.float64)
    shape = degrees / 2 - 1
    nodes, vectors = eigh_tridiagonal(2 * k + 1 + shape, np.sqrt(k[1:] * (k[1:] + shape)))
    return 2 * np.maximum(nodes, 0.0), vectors[0] ** 2
