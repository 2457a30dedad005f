"""Heights at which the loss rests when keys and queries are apart: one eigendirection of Λ is learned after another.

Zhang, Singh, Latham and Saxe (ICML 2025). From small weights, heads with W^KQ = W_K'W_Q of rank one each take up one
direction. The loss at a = b = 0 is a sum over the entries of V, ŷ = x_q'V'Λ̂w on average, in the common eigenbasis of
the covariances, so that a learned direction i lowers the error by ξ_i²/k_ii and nothing else. What decides the order is
ξ_i = E λ_i², the rate at which small weights grow.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, check_covariance, check_real
from iclab.prompts import Gaussian
from iclab.theory.covariance_rules import CovarianceLaw
from iclab.theory.lengths import TrainLength, inverse_moments
from iclab.theory.modes import flow_coefficients


def plateau_losses(
    covariance: ArrayLike | CovarianceLaw, n_train: TrainLength, noise_variance: float = 0.0
) -> Float64[np.ndarray, " levels"]:
    """Errors E(ŷ − w'x_q)² of the plateaus of gradient flow with separate keys and queries, from tr Λ downwards.

    trΛ − Σ_{i≤m} λ_i/(1 + (1 + (trΛ + s²)/λ_i)/N), the largest λ_i first: Zhang, Singh, Latham and Saxe (ICML 2025),
    with label noise added; not in the paper. For random covariances that commute (Theorem 8) it is
    E trΛ − Σ_{i≤m} ξ_i²/k_ii, the largest ξ_i = E λ_i² first. The last level is the minimum, twice ``minimum_loss``.

    Parameters
    ----------
    covariance : array_like, shape (d, d), or a law of :func:`covariance_rule`
        Λ, or the law of Λ_τ.
    n_train : int, math.inf or AllPositions
        Length N of training prompts.
    noise_variance : float
        s² ≥ 0, variance of the noise on the labels of the examples; the query's target is noise-free.

    Returns
    -------
    ndarray, shape (d + 1,)

    Raises
    ------
    InvalidInputError
        If it is no covariance, the covariances of the law do not commute, N is below 1 or the noise negative.

    Examples
    --------
    >>> plateau_losses(np.diag([0.4, 0.3, 0.2, 0.1]), n_train=31).round(4)
    array([1.    , 0.6406, 0.3774, 0.2098, 0.136 ])
    """
    law = as_law(covariance)
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    if noise > 1e80:
        raise InvalidInputError(f"noise_variance must be at most 1e80; {noise:g} was given: change the unit of labels.")
    coefficients = flow_coefficients(law, n_train)
    drive = coefficients.drive
    decay = np.diagonal(coefficients.decay) + inverse_moments(n_train)[0] * noise * drive
    gains = np.divide(drive**2, decay, out=np.zeros_like(drive), where=decay > 0)
    # Summed from the smallest gain on, the levels keep their digits down to the last.
    gains = gains[np.argsort(-drive, kind="stable")]
    lowest = coefficients.mean_trace - float(gains.sum())
    return lowest + np.append(np.cumsum(gains[::-1])[::-1], 0.0)


def as_law(covariance: ArrayLike | CovarianceLaw) -> CovarianceLaw:
    """The law of covariances that is given, or the one that always gives this matrix."""
    if isinstance(getattr(covariance, "dimension", None), int):
        return cast("CovarianceLaw", covariance)
    return Gaussian(check_covariance(cast("ArrayLike", covariance)))
