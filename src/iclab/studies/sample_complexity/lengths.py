"""Finite prompts: the error of the trained layer against training length N and test length M.

For a fixed Λ with eigenvalues l_i, t = tr Λ and Γ's eigenvalues g_i at N, exactly

    error = A(N)/N² + B(N)/M,  A(N) = Σ l_i(l_i + t)²/g_i²,  B(N) = Σ l_i²(l_i + t)/g_i²,

with A → Σ (l_i + t)²/l_i and B → (d + 1)t, B's own correction being −2A/N: so error = (d + 1)t/M + A(1/N² − 2/(NM))
+ …, and at N = M it is (d + 1)t/M − A/M² + …. The layer of N minimises the loss of prompts of length N: N = M is best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from iclab.evaluation.curves import SquaredErrors
from iclab.flow import gradient_descent
from iclab.foundations.exponents import local_slopes
from iclab.predictors import TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal
from iclab.studies.sample_complexity.prompts import FIXED, RANDOM
from iclab.theory import (
    assumption3,
    corollary6_bound,
    corollary6_floor,
    expected_risk,
    geometric_spectrum,
    random_theta,
)

_GROUPS = 20
_SIGMA = 0.4


class Inputs(NamedTuple):
    """The distribution of x: fixed Λ of a condition number, or random Λ = diag(λ), λ_i ~ Exponential(1)."""

    inputs: str
    condition: float

    def covariates(self, dimension: int) -> Gaussian | RandomDiagonal:
        """Of trace d, on average if random."""
        if self.inputs == RANDOM:
            return RandomDiagonal.exponential(dimension)
        if self.condition == 1:
            return Gaussian.isotropic(dimension)
        return Gaussian(np.diag(geometric_spectrum(dimension, self.condition)))


EVERY = (Inputs(FIXED, 1.0), Inputs(FIXED, 10.0), Inputs(FIXED, 100.0), Inputs(RANDOM, math.nan))
_KEY = ["inputs", "condition"]


def exact_part(dimension: int, n_grid: Sequence[int], m_grid: Sequence[int]) -> pd.DataFrame:
    """Exact errors: inputs, condition, N, M (∞ included), error, limit (N = M = ∞), excess over the limit."""
    rows = []
    for one in EVERY:
        law = one.covariates(dimension)
        limit = expected_risk(law, math.inf, math.inf)
        for n in n_grid:
            for m in (*m_grid, math.inf):
                error = expected_risk(law, n, m)
                rows.append((*one, float(n), float(m), error, limit, error - limit))
    return pd.DataFrame(rows, columns=[*_KEY, "N", "M", "error", "limit", "excess"])


def bounded(exact: pd.DataFrame, dimension: int) -> pd.DataFrame:
    """The exact errors with Corollary 6's bound beside them; NaN where Λ is random, of which it does not speak."""
    laws = {one: one.covariates(dimension) for one in EVERY if one.inputs == FIXED}

    def bound(inputs: str, condition: float, n: float, m: float) -> float:
        law = laws.get(Inputs(inputs, condition))
        if not isinstance(law, Gaussian):
            return math.nan
        return corollary6_bound(law.covariance, int(n), m if math.isinf(m) else int(m))

    keys = zip(*(exact[column] for column in (*_KEY, "N", "M")), strict=True)
    return exact.assign(bound=[bound(*key) for key in keys])


def slopes_of(exact: pd.DataFrame) -> pd.DataFrame:
    """Local exponents: of the floor M = ∞ in N, of what is above it in M, and on the diagonal N = M; less the limit."""
    parts = []
    for key, rows in exact.groupby(_KEY, sort=False, dropna=False):
        floor = rows[np.isinf(rows["M"])].sort_values("N")
        diagonal = rows[rows["N"] == rows["M"]].sort_values("N")
        n = float(floor["N"].max())
        column = rows[(rows["N"] == n) & np.isfinite(rows["M"])].sort_values("M")
        above = column["error"] - float(floor["error"].iloc[-1])
        for what, x, values in (
            ("floor", floor["N"], floor["excess"]),
            ("above", column["M"], above),
            ("diagonal", diagonal["N"], diagonal["excess"]),
        ):
            columns = {**dict(zip(_KEY, key, strict=True)), "what": what, "x": x.to_numpy(), "value": values.to_numpy()}
            parts.append(pd.DataFrame(columns).assign(slope=local_slopes(x, values)))
    return pd.concat(parts, ignore_index=True)


def coefficients_of(dimension: int) -> pd.DataFrame:
    """Leading coefficients for every fixed Λ, from the theory at huge lengths, from the formula, and in the bound."""
    rows = []
    huge = 10**5
    for one in EVERY:
        law = one.covariates(dimension)
        if not isinstance(law, Gaussian):
            continue
        l = np.diagonal(law.covariance)  # noqa: E741
        t = float(l.sum())
        formula = float(np.sum((l + t) ** 2 / l))
        floor = expected_risk(law, huge, math.inf)
        first = expected_risk(law, huge, 1) - floor
        rows.append((*one, floor * huge**2, formula, corollary6_floor(law.covariance, 1), first, (dimension + 1) * t))
    names = [*_KEY, "N2_floor", "sum_of_squares", "bound_N2", "M_above_floor", "bound_M"]
    return pd.DataFrame(rows, columns=names)


def best_lengths(dimension: int, n_grid: Sequence[int], m_grid: Sequence[int]) -> pd.DataFrame:
    """For every M the best N of the grid, and the error at the largest N."""
    rows = []
    for one in EVERY:
        law = one.covariates(dimension)
        for m in m_grid:
            candidates = sorted({*n_grid, m - 1, m, m + 1} - {0})
            errors = [expected_risk(law, n, m) for n in candidates]
            best = int(np.argmin(errors))
            rows.append((*one, m, candidates[best], errors[best], errors[-1], max(candidates)))
    names = [*_KEY, "M", "best_N", "error", "error_at_largest_N", "largest_N"]
    return pd.DataFrame(rows, columns=names)


def measured_part(dimension: int, lengths: Sequence[int], n_prompts: int, seed: int) -> pd.DataFrame:
    """Monte Carlo errors of layers trained by gradient descent (Λ = I) at every N, at every M, in groups of prompts.

    Returns
    -------
    DataFrame
        N, M, group, mean, exact (error of the minimiser), n (prompts in the group), trained_excess (of the loss at
        the end of descent).
    """
    covariates = Gaussian.isotropic(dimension)
    initial = assumption3(random_theta(dimension, seed), _SIGMA)
    rate = 0.5 / math.sqrt(dimension)  # half of what is stable on (u, U)
    layers, left = [], []
    for n in lengths:
        path = gradient_descent(initial, covariates, n, rate, 600, record_every=600)
        layers.append((str(n), TrainedLSA(path.parameters())))
        left.append(float(path.excess[-1]))
    measure = SquaredErrors(tuple(layers))
    distribution = PromptDistribution(covariates, Linear())
    count = max(2, n_prompts // _GROUPS)
    rows = []
    for group in range(_GROUPS):
        means = []
        for start in range(0, count, 200):
            size = min(200, count - start)
            prompts = distribution.sample(size, max(lengths) + 1, seed=seed, start=group * count + start)
            means.append(size * measure(prompts)[:, :, list(lengths)].mean(axis=0))
        mean = np.sum(means, axis=0) / count
        for i, n in enumerate(lengths):
            for j, m in enumerate(lengths):
                rows.append((n, m, group, mean[i, j], expected_risk(covariates, n, m), count, left[i]))
    return pd.DataFrame(rows, columns=["N", "M", "group", "mean", "exact", "n", "trained_excess"])
