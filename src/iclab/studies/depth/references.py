"""Classical learners beside the models: constants fitted on the same contexts, errors from the eigenvalues of Λ̂.

All but preconditioned descent predict x_q'H(Λ̂)m with a function H of the eigenvalues alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from iclab.studies.depth.contexts import ANISOTROPIC, covariates
from iclab.studies.depth.models import Learner
from iclab.theory import minimizer, optimal_learner

_Gain = Callable[[Float64[np.ndarray, "B d"]], Float64[np.ndarray, "B d"]]
# One layer at the minimum of Theorem 4 or 8.
ONE_LAYER, LEAST_SQUARES, RIDGE = "exact layer", "least squares", "ridge"
DESCENT_ONE, DESCENT_BEST, CURVED, NEWTON, PRECONDITIONED = (
    "descent, one rate",
    "descent, best rates",
    "GD++",
    "Newton",
    "preconditioned descent",
)
_PENALTY = 1.0


@dataclass(frozen=True)
class Reference:
    """A classical learner.

    Attributes
    ----------
    learner : Learner
        Its name, and the number k of its steps as ``layers``; 0 where there is none.
    gain : callable, optional
        H.
    layers : ndarray, optional
        Merged weights instead, where no H exists.
    predictor : callable, optional
        The same at every position, a candidate for what a model implements.
    """

    learner: Learner
    gain: _Gain | None = None
    layers: Weights | None = None
    predictor: Predictor | None = None

    def errors(self, spectral: SpectralRisk, merged: MomentRisk) -> Float64[np.ndarray, " B"]:
        """½ (ŷ − y)² on the contexts of both risks, which are the same."""
        if self.gain is not None:
            return spectral.losses(self.gain(spectral.eigenvalues))
        assert self.layers is not None
        return merged.each(self.layers)


def references(inputs: str, contexts: Contexts, depths: Sequence[int], seed: int) -> list[Reference]:
    """All of them, constants fitted on the contexts."""
    n_train, dimension = contexts.xs.shape[1:]
    spectral = SpectralRisk(contexts)
    theorem = minimizer(covariates(inputs, dimension), n_train)
    one = np.zeros((1, 2, dimension + 1, dimension + 1))
    one[0, 0, -1, -1] = -1.0
    one[0, 1, :-1, :-1] = optimal_learner(covariates(inputs, dimension), n_train)
    found = [
        Reference(Learner("zero"), gain=np.zeros_like, predictor=Zero()),
        Reference(Learner("averaging"), gain=np.ones_like, predictor=Averaging()),
        Reference(Learner(ONE_LAYER), layers=one, predictor=TrainedLSA(theorem)),
        Reference(Learner(LEAST_SQUARES), gain=_least_squares, predictor=LeastSquares()),
        Reference(
            Learner(RIDGE),
            gain=lambda lam: 1 / (lam + _PENALTY / n_train),
            predictor=Ridge(_PENALTY),
        ),
    ]
    for k in depths:
        rate, curvature = _constants(spectral, k, seed)
        plain = _constants(spectral, k, seed, curved=False)[0]
        coefficients = spectral.best_polynomial(k - 1)
        found += [
            Reference(
                Learner(DESCENT_ONE, layers=k),
                gain=lambda lam, a=plain, k=k: gain(np.tile([0.0, a], (k, 1)), lam),
                predictor=GradientDescent(k, plain),
            ),
            Reference(
                Learner(DESCENT_BEST, layers=k),
                gain=lambda lam, c=coefficients: np.polynomial.polynomial.polyval(lam, c),
            ),
            Reference(
                Learner(CURVED, layers=k),
                gain=lambda lam, a=rate, g=curvature, k=k: gain(np.tile([-g / a, a], (k, 1)), lam),
                # At one step it is descent.
                predictor=GradientDescentPlusPlus(k, rate, curvature) if k > 1 else None,
            ),
            Reference(Learner(NEWTON, layers=k), gain=lambda lam, k=k: _newton(lam, k), predictor=Newton(k)),
        ]
        if inputs == ANISOTROPIC:
            layers = _preconditioned(contexts, k)
            preconditioner = layers[0, 1, :-1, :-1]
            found.append(
                Reference(
                    Learner(PRECONDITIONED, layers=k),
                    layers=layers,
                    predictor=GradientDescent(k, 1.0, preconditioner),
                )
            )
    return found


def candidates(found: Sequence[Reference]) -> dict[Learner, Predictor]:
    """Those that answer at every position."""
    return {reference.learner: reference.predictor for reference in found if reference.predictor is not None}


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

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        layer = theta if curved else np.array([0.0, theta[0]])
        risk, gradient = spectral(np.tile(layer, (steps, 1)))
        return risk, gradient.sum(axis=0)[0 if curved else 1 :]

    starts = [np.array([rng.normal(-0.2, 0.1), 0.5 * np.exp(rng.normal(0, 0.5))]) for _ in range(4)]
    starts = starts if curved else [start[1:] for start in starts]
    theta = best(search(starts, objective, objective, brief=15, polish=1, iterations=200)).theta
    # One step does not see its curvature.
    return float(theta[-1]), float(-theta[0] * theta[-1]) if curved and steps > 1 else 0.0


def _preconditioned(contexts: Contexts, steps: int) -> Weights:
    """k equal steps of descent with the best diagonal preconditioner."""
    shape, risk = form(DESCENT, contexts.xs.shape[2], diagonal=True), MomentRisk(contexts)

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = risk(shape.weights(theta, steps))
        return value, shape.pull_back(gradient, 1)

    starts = [np.full(shape.size, rate) for rate in (0.3, 0.8)]
    return shape.weights(best(search(starts, objective, objective, brief=15, polish=1, iterations=80)).theta, steps)
