"""Gradient flow of the population loss, (9): which method follows it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from iclab.flow.general import General
from iclab.flow.paths import ClosedForm, Path, Spectral
from iclab.flow.reduced import Reduced
from iclab.flow.trajectory import Trajectory
from iclab.foundations import InvalidInputError, check_real
from iclab.theory import CovarianceLaw, LSAParameters, PopulationLoss, TrainLength

# Sizes that can be followed: of covariances λ, and of the largest parameter of the start times √λ. From larger starts
# the problem is too stiff, and the gradient at the start, of the order of its cube, drowns that near the limit.
_COVARIANCES = (1e-64, 1e64)
_STARTS = (1e-40, 1e2)


def gradient_flow(
    initial: LSAParameters,
    covariates: CovarianceLaw,
    n_train: TrainLength,
    t_end: float,
    *,
    noise_variance: float = 0.0,
    weight_covariance: ArrayLike | None = None,
) -> Trajectory:
    """Follow θ̇ = −∇L(θ), (9) of the paper, from ``initial`` to ``t_end``.

    With a = b = 0 and covariances that commute (Theorems 4 and 8), also with W, it comes from one scalar function
    (see ``iclab.flow.spectral``), for Λ ∝ I and u² = ‖U‖_F² from a closed form; otherwise all parameters are
    integrated. Errors of the first two are near 1e-13 relative.

    Parameters
    ----------
    initial : LSAParameters
        θ(0) in dimension d, for instance ``assumption3(theta, scale)``.
    covariates : Gaussian, RandomDiagonal or any law of ``iclab.theory.covariance_rule``
        Law of Λ, in dimension d.
    n_train : int, math.inf or AllPositions
        Length N of training prompts.
    t_end : float
        Time to cover; ``math.inf`` follows the flow to its limit: until the slowest mode has decayed by 1e-18
        (a = b = 0), or the gradient by 1e-11 (all parameters).
    noise_variance : float
        s² ≥ 0, variance of the noise on the labels of the examples, the query's target being noise-free; not in the
        paper.
    weight_covariance : array_like, shape (d, d), optional
        W of w ~ N(0, W); the identity, as in the paper, when omitted.

    Returns
    -------
    Trajectory
        Evaluate it with ``.u(t)``, ``.parameters(t)``, ``.loss(t)``, ``.excess(t)``; ``.status`` says where it goes.

    Raises
    ------
    InvalidInputError
        If dimensions differ, N < 1, E λ³ is infinite, ``t_end`` is not positive, or the integrators cannot reach it; if
        covariances are beyond 1e±64 in size λ, or the largest parameter of the start is below 1e-40/√λ or above
        100/√λ (neither is 0).

    Examples
    --------
    >>> import math, numpy as np
    >>> from iclab.prompts import Gaussian
    >>> from iclab.theory import assumption3
    >>> trajectory = gradient_flow(assumption3(np.eye(2), 0.1), Gaussian(np.diag([1.0, 0.5])), 20, math.inf)
    >>> print(trajectory.status)
    converges to a global minimum of the population loss.
    >>> bool(abs(trajectory.excess(math.inf)) < 1e-30)
    True
    """
    end = check_real(t_end, "t_end", above=0.0, allow_infinite=True)
    loss = PopulationLoss(covariates, n_train, noise_variance, weight_covariance)
    if initial.dimension != loss.dimension:
        raise InvalidInputError(
            f"initial must have the dimension {loss.dimension} of the covariates; "
            f"dimension {initial.dimension} was given."
        )
    _check_sizes(initial, loss)
    return Trajectory(_path(loss, initial, end), initial, loss, end)


def _check_sizes(initial: LSAParameters, loss: PopulationLoss) -> None:
    largest, start = float(np.abs(loss.rule.spectra).max()), float(np.abs(initial.vector).max())
    relative = start * float(np.sqrt(largest))
    for size, (least, most) in ((largest, _COVARIANCES), (relative, _STARTS)):
        if size != 0 and not least <= size <= most:
            raise InvalidInputError(
                "for float64 to follow the flow, covariances must be between 1e-64 and 1e64 in size λ, and the largest "
                f"parameter of the start between 1e-40/√λ and 100/√λ; λ = {largest:.3g} and {start:.3g} were given: "
                "change the unit of the inputs, or the start."
            )


def _path(loss: PopulationLoss, initial: LSAParameters, t_end: float) -> Path:
    a, u, U, b = initial.blocks
    if a.any() or b.any() or not loss.modal:
        return General(loss, initial, t_end)
    coefficients = loss.coefficients
    if not coefficients.drive.any():  # Λ = 0: nothing moves, and no mode sets a time
        return General(loss, initial, t_end)
    problem = Reduced(coefficients.decay, coefficients.drive, u, coefficients.to_eigenbasis(U))
    level = coefficients.decay[0, 0]
    isotropic = level > 0 and bool(np.all(coefficients.decay == level)) and np.ptp(coefficients.drive) == 0
    if isotropic and u != 0 and problem.balance == 0:
        return ClosedForm(problem, coefficients, t_end)
    return Spectral(problem, coefficients, t_end)
