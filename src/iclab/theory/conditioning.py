"""Whether the risk grows with the condition number of Λ, as the remark after Corollary 6 suggests of its bound.

At M = N and fixed trΛ the exact risk is (1/N) Σ l(l + t)/((1 + 1/N)l + t/N), t = trΛ, concave in every eigenvalue l:
Λ ∝ I is the worst, while the bound grows without limit. For M much larger than N the risk can grow too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from iclab.foundations import InvalidInputError, Vector, check_integer, check_real, check_vector
from iclab.prompts import Gaussian
from iclab.theory.lengths import PromptLength, TrainLength
from iclab.theory.risk import corollary6_bound, expected_risk


@dataclass(frozen=True, eq=False)
class ConditioningCurve:
    """Exact risk and Corollary 6's bound over condition numbers.

    Attributes
    ----------
    condition_numbers, exact, bound : ndarray, shape (k,)
        κ, E(ŷ − w'x_q)², and its bound.
    spectra : ndarray, shape (k, d)
        Eigenvalues used, descending, all of one trace.
    """

    condition_numbers: Float64[np.ndarray, " k"]
    exact: Float64[np.ndarray, " k"]
    bound: Float64[np.ndarray, " k"]
    spectra: Float64[np.ndarray, "k d"]


def geometric_spectrum(dimension: int, condition_number: float, trace: float | None = None) -> Vector:
    """Eigenvalues in geometric progression with ratio κ between largest and smallest, descending, shape (d,).

    Not in the paper; Corollary 6 depends on a spectrum through κ and the trace.

    Parameters
    ----------
    dimension : int
        d.
    condition_number : float
        κ ≥ 1.
    trace : float, optional
        Their sum; d when omitted.
    """
    d = check_integer(dimension, "dimension", minimum=1)
    kappa = check_real(condition_number, "condition_number", minimum=1.0)
    values = np.geomspace(1.0, 1 / kappa, d)
    return values * ((d if trace is None else check_real(trace, "trace", above=0.0)) / values.sum())


def risk_by_condition_number(
    dimension: int,
    condition_numbers: Sequence[float] | ArrayLike,
    n_train: TrainLength,
    n_test: PromptLength,
    trace: float | None = None,
) -> ConditioningCurve:
    """Exact risk and bound of Corollary 6 for spectra of one trace and growing condition number.

    Parameters
    ----------
    dimension : int
        d ≥ 2.
    condition_numbers : sequence of float
        κ ≥ 1; spectra are those of :func:`geometric_spectrum`.
    n_train, n_test : int or math.inf
        N (or AllPositions) and M.
    trace : float, optional
        trΛ; d when omitted.

    Returns
    -------
    ConditioningCurve
        With arrays of shape (K,), K the number of condition numbers.
    """
    if check_integer(dimension, "dimension", minimum=1) < 2:
        raise InvalidInputError("dimension must be at least 2, as a number has condition number 1; 1 was given.")
    kappas = check_vector(condition_numbers, "condition_numbers")
    spectra = np.array([geometric_spectrum(dimension, kappa, trace) for kappa in kappas])
    exact = [expected_risk(Gaussian(np.diag(spectrum)), n_train, n_test) for spectrum in spectra]
    bound = [corollary6_bound(np.diag(spectrum), n_train, n_test) for spectrum in spectra]
    return ConditioningCurve(kappas, np.array(exact), np.array(bound), spectra)
