"""The linear layer trained on varying covariances: its exact errors, and classical learners beside it.

In the limit M, N → ∞ the layer of Theorem 8 has error Σ (E λ_i − (E λ_i²)²/E λ_i³) on prompts like those of training.
With λ weighted by itself, Ẽ f(λ) = E λf(λ)/E λ, this is E λ · c²/(1 + c²) per dimension, c² the squared coefficient of
variation of the weighted distribution: the layer says k w'Λx_q, and k λ ≈ 1 must hold where the weight λ is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from iclab.evaluation.curves import SquaredErrors
from iclab.evaluation.streaming import Moments, accumulate
from iclab.predictors import LeastSquares, Ridge, TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.prompts.specification import build_law
from iclab.studies.covariances.eigenvalues import Eigenvalues
from iclab.studies.measuring import Covariates
from iclab.theory import (
    CovarianceLaw,
    ScaledCovariance,
    coordinate_scaling,
    expected_risk,
    learner_risk,
    minimizer,
    optimal_learner,
    trace_scaling,
)

# One λ per coordinate, or one for all.
INDEPENDENT, COMMON = "independent", "common"
# How prompts are scaled at test: not, so that tr Λ̂ is as in training, or every Λ̂_ii.
NONE, TRACE, COORDINATES = "none", "trace", "coordinates"
# What the layer was trained on: the prompts it is tested on, Λ = I, or scaled prompts.
OWN, IDENTITY, RETRAINED = "own", "identity", "scaled"
LEAST_SQUARES, RIDGE, LSA, GPT2 = "least squares", "ridge = Bayes", "linear layer", "GPT-2"


def layer_errors(eigenvalues: Eigenvalues, coupling: str, dimension: int, lengths: Sequence[float]) -> pd.DataFrame:
    """Exact error/d at M = N on prompts with these eigenvalues, by training and by scaling of the prompts.

    ``coupling`` says whether Λ = diag(λ_1, …, λ_d) with independent λ_i, or Λ = λI; ``coefficient`` is the k of K = kI.
    """
    test, identity = _covariances(eigenvalues, coupling, dimension), Gaussian.isotropic(dimension)
    one = eigenvalues.covariates(dimension) if coupling == INDEPENDENT else identity
    rows = []
    for n in lengths:
        scaled = {TRACE: trace_scaling(one, n)}
        if coupling == INDEPENDENT:
            scaled[COORDINATES] = coordinate_scaling(one, n)
        for trained, source in ((OWN, test), (IDENTITY, identity)):
            learner = optimal_learner(source, n)
            k = float(np.trace(learner)) / dimension
            rows.append((n, trained, NONE, k, learner_risk(learner, test, n)))
            rows += [(n, trained, scaling, k, risk(k)) for scaling, risk in scaled.items()]
        rows += [(n, RETRAINED, scaling, risk.best, risk.minimum) for scaling, risk in scaled.items()]
    law = {"family": eigenvalues.family, "cv2": eigenvalues.cv2, "biased_cv2": eigenvalues.biased_cv2}
    own = pd.DataFrame(rows, columns=["n", "trained", "scaling", "coefficient", "error"]).astype({"n": float})
    own["error"] /= dimension
    return pd.DataFrame({**law, "coupling": coupling, **own})


def _covariances(eigenvalues: Eigenvalues, coupling: str, dimension: int) -> CovarianceLaw:
    if coupling == INDEPENDENT or eigenvalues.cv2 == 0:
        return eigenvalues.covariates(dimension)
    return ScaledCovariance(np.eye(dimension), build_law(eigenvalues.parameters))


def errors_on(
    eigenvalues: Eigenvalues, n_train: int, test: Covariates, n_test: int, dimension: int
) -> dict[str, float]:
    """Exact errors of the layer trained on ``eigenvalues`` at N, on prompts of other inputs at M, by their scaling."""
    own = eigenvalues.covariates(dimension)
    k = float(np.trace(optimal_learner(own, n_train))) / dimension
    scaled = {TRACE: trace_scaling(test, n_test), COORDINATES: coordinate_scaling(test, n_test)}
    plain = expected_risk(own, n_train, n_test, test)
    return {NONE: plain, **{scaling: risk(k) for scaling, risk in scaled.items()}}


def classical_errors(
    eigenvalues: Eigenvalues,
    dimension: int,
    n_train: int,
    lengths: Sequence[int],
    noise: float,
    n_prompts: int,
    seed: int,
) -> pd.DataFrame:
    """Measured errors/d of least squares, of ridge with the Bayes penalty and of the layer, on the same prompts.

    Beside them the exact ones of the layer.
    """
    covariates = eigenvalues.covariates(dimension)
    layer = TrainedLSA(minimizer(covariates, n_train, noise**2))
    classical = (RIDGE, Ridge.bayes(noise)) if noise else (LEAST_SQUARES, LeastSquares())
    measure = SquaredErrors((classical, (LSA, layer)))
    distribution = PromptDistribution(covariates, Linear(), noise)
    points = max(lengths) + 1
    [found] = accumulate(measure, distribution, points, n_prompts=n_prompts, seed=seed, summaries=(Moments,))
    rows = []
    for m in lengths:
        exact = expected_risk(covariates, n_train, m, noise_variance=noise**2, training_noise_variance=noise**2)
        for i, (name, _) in enumerate(measure.predictors):
            row = {"family": eigenvalues.family, "cv2": eigenvalues.cv2, "noise": noise, "position": m}
            row |= {"predictor": name, "mean": float(found.mean[i, m]) / dimension}
            row |= {"stderr": float(found.stderr[i, m]) / dimension, "n": found.n}
            rows.append({**row, "exact": exact / dimension if name == LSA else math.nan})
    return pd.DataFrame(rows)
