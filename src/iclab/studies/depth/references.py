"""Classical learners beside the models: constants fitted on the same contexts, errors from the eigenvalues of Λ̂.

All but preconditioned descent predict x_q'H(Λ̂)m with a function H of the eigenvalues alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from iclab.flow.deep import DESCENT, Contexts, MomentRisk, SpectralRisk, Weights, best, form, gain, search
from iclab.predictors import (
    Averaging,
    GradientDescent,
    GradientDescentPlusPlus,
    LeastSquares,
    Newton,
    Predictor,
    Ridge,
    TrainedLSA,
    Zero,
)
from iclab.studies.depth.contexts import ANISOTROPIC, Sample, covariates, training
from iclab.studies.depth.models import Learner, of_scalars, of_weights
from iclab.theory import minimizer, optimal_learner

_Gain = Callable[[Float64[np.ndarray, "B d"]], Float64[np.ndarray, "B d"]]
# One layer at the minimum of Theorem 4 or 8.
ONE_LAYER, LEAST_SQUARES, RIDGE = "exact layer", "least squares", "ridge"
DESCENT_ONE, DESCENT_BEST, CURVED, NEWTON = "descent, one rate", "descent, best rates", "GD++", "Newton"
PRECONDITIONED = "preconditioned descent"
_PENALTY = 1.0


@dataclass(frozen=True)
class Reference:
    """A classical learner."""

    learner: Learner  # Its name, and the number k of its steps as ``layers``; 0 where there is none
    predictor: Predictor | None = None  # At every position, a candidate for what a model implements
    gain: _Gain | None = None  # H
    layers: Weights | None = None  # Merged weights instead, where no H exists

    def errors(self, spectral: SpectralRisk, merged: MomentRisk) -> Float64[np.ndarray, " B"]:
        """½ (ŷ − y)² on the contexts of both risks, which are the same."""
        if self.gain is not None:
            return spectral.losses(self.gain(spectral.eigenvalues))
        assert self.layers is not None
        return merged.each(self.layers)


@lru_cache(maxsize=4)
def classical(sample: Sample, depths: tuple[int, ...]) -> list[Reference]:
    """All of them, constants fitted on the contexts of a sample."""
    return references(sample.inputs, training(sample), depths, sample.seed)


def references(inputs: str, contexts: Contexts, depths: Sequence[int], seed: int) -> list[Reference]:
    """All of them, constants fitted on the contexts."""
    n_train, dimension = contexts.xs.shape[1:]
    law, spectral = covariates(inputs, dimension), SpectralRisk(contexts)
    one = np.zeros((1, 2, dimension + 1, dimension + 1))
    one[0, 0, -1, -1] = -1.0
    one[0, 1, :-1, :-1] = optimal_learner(law, n_train)
    found = [
        Reference(Learner("zero"), Zero(), np.zeros_like),
        Reference(Learner("averaging"), Averaging(), np.ones_like),
        Reference(Learner(ONE_LAYER), TrainedLSA(minimizer(law, n_train)), layers=one),
        Reference(Learner(LEAST_SQUARES), LeastSquares(), _least_squares),
        Reference(Learner(RIDGE), Ridge(_PENALTY), lambda lam: 1 / (lam + _PENALTY / n_train)),
    ]
    for k in depths:
        found += _of_steps(spectral, k, seed)
        if inputs == ANISOTROPIC:
            layers = _preconditioned(contexts, k)
            descent = GradientDescent(k, 1.0, layers[0, 1, :-1, :-1])
            found.append(Reference(Learner(PRECONDITIONED, layers=k), descent, layers=layers))
    return found


def _of_steps(spectral: SpectralRisk, k: int, seed: int) -> list[Reference]:
    """Those that take k steps in units of Λ̂'s eigenvalues."""
    rate, curvature = _constants(spectral, k, seed)
    plain = _constants(spectral, k, seed, curved=False)[0]
    coefficients = spectral.best_polynomial(k - 1)
    # At one step GD++ is descent.
    curved = GradientDescentPlusPlus(k, rate, curvature) if k > 1 else None
    named: dict[str, tuple[Predictor | None, _Gain]] = {
        DESCENT_ONE: (GradientDescent(k, plain), lambda lam: gain(np.tile([0.0, plain], (k, 1)), lam)),
        DESCENT_BEST: (None, lambda lam: np.polynomial.polynomial.polyval(lam, coefficients)),
        CURVED: (curved, lambda lam: gain(np.tile([-curvature / rate, rate], (k, 1)), lam)),
        NEWTON: (Newton(k), lambda lam: _newton(lam, k)),
    }
    return [Reference(Learner(name, layers=k), *found) for name, found in named.items()]


def _least_squares(lam: Float64[np.ndarray, "B d"]) -> Float64[np.ndarray, "B d"]:
    kept = lam > lam.max(axis=1, keepdims=True) * 1e-13
    return np.where(kept, 1 / np.where(kept, lam, 1.0), 0.0)


def _newton(lam: Float64[np.ndarray, "B d"], steps: int) -> Float64[np.ndarray, "B d"]:
    """M_k of ``predictors.Newton`` in the eigenbasis, for X'X/N in place of X'X, which only rescales M."""
    inverse = lam / np.sum(lam**2, axis=1, keepdims=True)
    for _ in range(steps):
        inverse = 2 * inverse - lam * inverse**2
    return inverse


def _constants(spectral: SpectralRisk, steps: int, seed: int, curved: bool = True) -> tuple[float, float]:
    """Rate and curvature of k equal steps with the smallest risk; curvature 0 unless ``curved``."""
    rng = np.random.default_rng([seed, steps, int(curved)])
    objective = of_scalars(spectral, steps, 1, curved=curved)
    starts = [np.array([rng.normal(-0.2, 0.1), 0.5 * np.exp(rng.normal(0, 0.5))]) for _ in range(4)]
    starts = starts if curved else [start[1:] for start in starts]
    theta = best(search(starts, objective, objective, brief=15, polish=1, iterations=200)).theta
    # One step does not see its curvature.
    return float(theta[-1]), float(-theta[0] * theta[-1]) if curved and steps > 1 else 0.0


def _preconditioned(contexts: Contexts, steps: int) -> Weights:
    """k equal steps of descent with the best diagonal preconditioner."""
    shape = form(DESCENT, contexts.xs.shape[2], diagonal=True)
    objective = of_weights(MomentRisk(contexts), shape, steps, 1)
    starts = [np.full(shape.size, rate) for rate in (0.3, 0.8)]
    return shape.weights(best(search(starts, objective, objective, brief=15, polish=1, iterations=80)).theta, steps)
