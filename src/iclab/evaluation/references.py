"""Errors of classical learners that are known exactly: what measured curves are held against."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from iclab.foundations import check_covariance, check_integer, check_real
from iclab.prompts import LinearSetting, PromptDistribution, Shift


def least_squares_risk(
    context_covariance: ArrayLike, query_covariance: ArrayLike, n_test: int, noise_variance: float = 0.0
) -> float:
    """E(ŷ − w'x_q)² of minimum-norm least squares from M examples, w ~ N(0, I).

    Context x_i ~ N(0, Λ') with label noise of variance s², query of second moment Λ_q independent of it:

    - M ≥ d: s² tr(Λ_q Λ'⁻¹)/(M − d − 1), infinite for M ≤ d + 1 with noise;
    - M < d, Λ' = λI: tr Λ_q [(1 − M/d) + (s²/λ)(M/d)/(d − M − 1)], infinite for 1 ≤ M = d − 1 with noise.

    Parameters
    ----------
    context_covariance, query_covariance : array_like, shape (d, d)
        Λ' and Λ_q.
    n_test : int
        M.
    noise_variance : float
        s².

    Returns
    -------
    float
        NaN where no closed form is known: a singular Λ', or M < d and Λ' not a multiple of I.

    Examples
    --------
    >>> import numpy as np
    >>> from iclab.evaluation import least_squares_risk
    >>> least_squares_risk(np.eye(5), np.eye(5), 10, noise_variance=1.0)  # d / (M − d − 1)
    1.25
    """
    context = check_covariance(context_covariance, "context_covariance")
    d = context.shape[0]
    query = check_covariance(query_covariance, "query_covariance", d)
    m = check_integer(n_test, "n_test", minimum=0)
    noise = check_real(noise_variance, "noise_variance", minimum=0.0)
    if m == 0:
        return float(np.trace(query))
    if np.linalg.cond(context) > 1e12:
        return math.nan
    if m >= d:
        if noise == 0:
            return 0.0
        return noise * float(np.trace(np.linalg.solve(context, query))) / (m - d - 1) if m > d + 1 else math.inf
    variance = float(context[0, 0])
    if not np.allclose(context, variance * np.eye(d), rtol=0, atol=1e-12 * variance):
        return math.nan
    if noise == 0:
        return float(np.trace(query)) * (1 - m / d)
    if m == d - 1:
        return math.inf
    return float(np.trace(query)) * (1 - m / d + noise / variance * (m / d) / (d - m - 1))


def lsa_error(learner: ArrayLike, shift: Shift, distribution: PromptDistribution, n_test: int) -> float | None:
    """Exact error of linear self-attention, ŷ = x_q'K(1/M)Σy_i x_i, on a shifted distribution (§4.2, exact).

    Parameters
    ----------
    learner : array_like, shape (d, d)
        K, for example ``theory.optimal_learner(covariates, n_train)``.
    shift : Shift
        Applied to the distribution.
    distribution : PromptDistribution
        Before the shift.
    n_test : int
        M, at least 1.

    Returns
    -------
    float or None
        None where the moments do not determine it (the query depends on the context, the inputs are not
        Gaussian with a fixed covariance, or the labels not linear).
    """
    return lsa_error_of(learner, shift.setting(distribution), n_test)


def lsa_error_of(learner: ArrayLike, setting: LinearSetting, n_test: int) -> float | None:
    """As ``lsa_error``, from the moments after the shift."""
    context, query, weights = setting.context_covariance, setting.query_covariance, setting.weight_moment
    if context is None or query is None or weights is None:
        return None
    from iclab.theory import shift_risk  # its import takes a third of a second

    return shift_risk(learner, context, query, n_test, weights, setting.noise_variance)
