"""Sharp asymptotics of in-context learning by linear attention, from a finite number of prompts and of tasks.

Lu, Letey, Zavatone-Veth, Maiti and Pehlevan (PNAS 2025, arXiv 2405.11751): x ~ N(0, I/d), y = w'x + ε with Var ε = ρ,
prompts of αd examples, n = τd² prompts whose tasks w are drawn from a pool of κd. Linear attention is then ridge
regression on the features x_q ⊗ h with h = (d/ℓ) Σ y_i x_i. As d → ∞, h acts like w + √q g with q = (tr C/d + ρ)/α and
g ~ N(0, I), where C is the covariance of tasks, and the features like Gaussian ones of covariance (I/d) ⊗ F,
F = R + qI, R the second moment of the pool. Two scalars are left. With means over the spectrum of a d × d matrix:

- ξ, the penalty that is felt: λ = ξ(1 − mean F(F + ξ)⁻¹/τ), so that the estimate is R(R + z)⁻¹ on average, z = q + ξ;
- η, the same for the pool: z = η(1 − mean C(C + η)⁻¹/κ), so that z(R + z)⁻¹ acts like η(C + η)⁻¹.

All errors follow as sums of terms that are not negative. General C, and tests on tasks of another covariance, are the
setting of Letey, Zavatone-Veth, Lu and Pehlevan (ICLR 2026).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from iclab.foundations import InvalidInputError, Vector, check_covariance, check_real

# Ratios lie between these, or are infinite.
_SMALLEST, _LARGEST = 1e-9, 1e9


@dataclass(frozen=True)
class Asymptotics:
    """Errors E(ŷ − y)² on noisy labels in the limit of Lu et al., where d → ∞ at fixed α, τ and κ.

    Attributes
    ----------
    icl : float
        On new tasks: in-context learning.
    idg : float
        On the tasks of the pool: in-distribution generalisation.
    effective_penalty : float
        ξ, the effective ridge penalty of the estimate; positive without any penalty where τ < 1.
    """

    icl: float
    idg: float
    effective_penalty: float

    @property
    def task_gap(self) -> float:
        """ICL − IDG, what is lost on tasks that are not in the pool (g_task of Lu et al.; not in the paper)."""
        return self.icl - self.idg


def ridgeless_asymptotics(
    alpha: float,
    tau: float,
    kappa: float,
    noise_variance: float,
    *,
    test_alpha: float | None = None,
) -> Asymptotics:
    """Errors of linear attention fitted by least squares to finitely many prompts, as d → ∞.

    Lu et al. (PNAS 2025), tasks uniform on the sphere of radius √d or w ~ N(0, I); not in the paper. Infinite at the
    interpolation threshold τ = 1.

    Parameters
    ----------
    alpha : float
        Examples in a prompt over d, from 1e-9 to 1e9.
    tau : float
        Prompts over d², in the same range or infinite.
    kappa : float
        Tasks in the pool over d, in the same range; ``math.inf`` when every prompt has a task of its own.
    noise_variance : float
        ρ ≥ 0, variance of the noise on all labels, those at test included.
    test_alpha : float, optional
        Examples in a test prompt over d; ``alpha`` when omitted.

    Returns
    -------
    Asymptotics

    Raises
    ------
    InvalidInputError
        If a number is out of its range.

    Examples
    --------
    >>> limit = ridgeless_asymptotics(alpha=10, tau=2, kappa=0.5, noise_variance=0.01)
    >>> round(limit.icl, 4), round(limit.idg, 4)
    (0.8912, 0.1124)
    """
    return ridge_asymptotics(alpha, tau, kappa, noise_variance, 0.0, test_alpha=test_alpha)


def ridge_asymptotics(
    alpha: float,
    tau: float,
    kappa: float,
    noise_variance: float,
    penalty: float,
    *,
    test_alpha: float | None = None,
) -> Asymptotics:
    """Errors of linear attention fitted with the penalty (n/d)λ‖Γ‖_F² to n = τd² prompts, as d → ∞.

    Lu et al. (PNAS 2025); not in the paper. It minimises Σ (y − x_q'Γh)² + (n/d)λ‖Γ‖_F² with h = (d/ℓ) Σ y_i x_i.

    Parameters
    ----------
    penalty : float
        λ ≥ 0. The other parameters, and errors, are those of :func:`ridgeless_asymptotics`.

    Returns
    -------
    Asymptotics
    """
    return mismatch_asymptotics(alpha, tau, kappa, noise_variance, [[1.0]], [[1.0]], penalty, test_alpha=test_alpha)


def mismatch_asymptotics(
    alpha: float,
    tau: float,
    kappa: float,
    noise_variance: float,
    training_covariance: ArrayLike,
    test_covariance: ArrayLike,
    penalty: float = 0.0,
    *,
    test_alpha: float | None = None,
) -> Asymptotics:
    """Errors where tasks are drawn from N(0, C) in training and from N(0, C') at test, as d → ∞.

    The setting of Letey et al. (ICLR 2026); not in the paper. ``icl`` is the error on new tasks of covariance C',
    ``idg`` that on the pool.

    Parameters
    ----------
    alpha, tau, kappa, noise_variance
        As in :func:`ridgeless_asymptotics`; labels have the variance tr C/d + ρ.
    training_covariance, test_covariance : array_like, shape (p, p)
        C, not zero, and C', as limits of d × d matrices in which every row of these stands for d/p rows.
    penalty : float
        λ ≥ 0, as in :func:`ridge_asymptotics`.
    test_alpha : float, optional
        Examples in a test prompt over d; ``alpha`` when omitted.

    Returns
    -------
    Asymptotics

    Raises
    ------
    InvalidInputError
        If a number is out of its range, or a covariance is none or zero or of another shape.
    """
    length = _ratio(alpha, "alpha")
    at_test = length if test_alpha is None else _ratio(test_alpha, "test_alpha")
    prompts, tasks = _ratio(tau, "tau", infinite=True), _ratio(kappa, "kappa", infinite=True)
    C = check_covariance(training_covariance, "training_covariance")
    other = check_covariance(test_covariance, "test_covariance", C.shape[0])
    unit = float(np.trace(C)) / len(C)  # all errors in units of E(w'x)²
    if unit <= 0:
        raise InvalidInputError("training_covariance must not be zero: there would be no task to learn.")
    rho, ridge = _in_units(noise_variance, "noise_variance", unit), _in_units(penalty, "penalty", unit)
    values, vectors = np.linalg.eigh(C / unit)
    c = np.clip(values, 0.0, None)
    new = np.einsum("ji,jk,ki->i", vectors, other / unit, vectors)  # the diagonal of C' in the eigenbasis of C
    pool = _Pool(c, 1 / tasks, (float(c.mean()) + rho) / length)
    if ridge == 0 and prompts == 1:
        return Asymptotics(math.inf, math.inf, 0.0)
    xi = pool.felt_penalty(1 / prompts, ridge)
    new_noise = (float(new.mean()) + rho) / at_test
    icl, idg = pool.errors(xi, 1 / prompts, ridge, rho, new, new_noise, (float(c.mean()) + rho) / at_test)
    return Asymptotics(unit * icl, unit * idg, unit * xi)


def _ratio(value: float, name: str, *, infinite: bool = False) -> float:
    number = check_real(value, name, allow_infinite=True)
    if not _SMALLEST <= number <= _LARGEST and not (infinite and number == math.inf):
        beyond = ", or be infinite" if infinite else ""
        raise InvalidInputError(
            f"{name} must lie between {_SMALLEST:g} and {_LARGEST:g}{beyond}; {number:g} was given."
        )
    return number


def _in_units(value: float, name: str, unit: float) -> float:
    number = check_real(value, name, allow_infinite=True)
    if not 0 <= number <= unit * _LARGEST:
        raise InvalidInputError(
            f"{name} must lie between 0 and {_LARGEST:g} times the variance of w'x, {unit:g}; {number:g} was given."
        )
    return number / unit


@dataclass(frozen=True)
class _Pool:
    """The second moment R of a pool of κd tasks from N(0, C), and F = R + qI, through means over spectra.

    Attributes
    ----------
    c : ndarray, shape (p,)
        Eigenvalues of C.
    inverse : float
        1/κ.
    q : float
        Variance of the noise in h.
    """

    c: Vector
    inverse: float
    q: float

    def equivalent(self, z: float) -> tuple[float, float]:
        """η at z, and η − z dη/dz.

        z(η) is convex and grows where it is positive, so that Newton's iteration from above falls to the root.
        """
        c, eta = self.c, z + self.inverse * float(self.c.mean())
        for _ in range(200):
            share = c / (c + eta)
            slope = 1 - self.inverse * float(np.mean(share**2))
            step = (eta * (1 - self.inverse * float(np.mean(share))) - z) / slope
            if not eta - step < eta:
                break
            eta -= step
        share = c / (c + eta)
        slope = 1 - self.inverse * float(np.mean(share**2))
        return eta, eta * self.inverse * float(np.mean(share * eta / (c + eta))) / slope

    def felt_penalty(self, inverse_tau: float, penalty: float) -> float:
        """ξ at λ: the root of λ/ξ − 1 + mean F(F + ξ)⁻¹/τ, which falls in ξ."""
        if penalty == 0 and inverse_tau <= 1:
            return 0.0
        largest = float(self.c.mean()) + self.q  # mean F, above mean F(F + ξ)⁻¹·ξ

        def balance(log_xi: float) -> float:
            xi = math.exp(log_xi)
            z = xi + self.q
            eta, _ = self.equivalent(z)
            signal = float(np.mean(self.c / (self.c + eta)))
            filtered = signal + self.q / z * (1 - signal)
            return penalty / xi - 1 + inverse_tau * filtered

        low = penalty if penalty > 0 else self.q * (inverse_tau - 1)
        high = penalty + largest * (inverse_tau if penalty > 0 else inverse_tau - 1)
        if inverse_tau == 0 or not low < high < math.inf:
            return low
        return math.exp(brentq(balance, math.log(low) - 1e-9, math.log(high) + 1e-9, xtol=1e-15, rtol=1e-15))

    def errors(
        self,
        xi: float,
        inverse_tau: float,
        penalty: float,
        rho: float,
        new: Vector,
        new_noise: float,
        pool_noise: float,
    ) -> tuple[float, float]:
        """ICL on tasks whose covariance has the diagonal ``new`` in C's eigenbasis, and IDG.

        With G = (R + z)⁻¹ and P = RG, the estimate on average: its bias at new tasks is z² mean G C', what it makes of
        noise in h is mean P², and the spread around it is γ/(1 − γ) times its error in training.
        """
        c, q, z = self.c, self.q, self.q + xi
        eta, rest = self.equivalent(z)
        weight = (c + eta) ** -2
        curve = eta - rest  # z dη/dz
        squares = weight * (eta**2 + c * rest)  # z² G², as a function of C's eigenvalues
        signal = float(np.mean(weight * c * (c + rest)))  # mean P²
        kept = curve / z * float(np.mean(weight * c))  # mean RG²
        inverse_square = float(np.mean(squares)) / z / z  # mean G²
        training = rho + z * z * kept + q * signal
        # 1 − mean F²(F + ξ)⁻²/τ, without cancellation.
        room = penalty / xi + xi * inverse_tau * (kept + q * inverse_square) if xi > 0 else 1 - inverse_tau
        pooled = signal + q * kept + pool_noise * (kept + q * inverse_square)
        fresh = curve / z * float(np.mean(weight * c * new)) + q / z * float(np.mean(squares * new)) / z
        fresh += new_noise * (kept + q * inverse_square)
        spread = inverse_tau * training / room
        icl = rho + float(np.mean(squares * new)) + new_noise * signal + spread * fresh
        return icl, rho + z * z * kept + pool_noise * signal + spread * pooled
