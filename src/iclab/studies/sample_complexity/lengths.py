"""Finite prompts: the error of the trained layer against training length N and test length M.

For a fixed Λ with eigenvalues l_i, t = tr Λ and Γ's eigenvalues g_i at N, exactly

    error = A(N)/N² + B(N)/M,  A(N) = Σ l_i(l_i + t)²/g_i²,  B(N) = Σ l_i²(l_i + t)/g_i²,

with A → Σ (l_i + t)²/l_i and B → (d + 1)t, B's own correction being −2A/N: so error = (d + 1)t/M + A(1/N² − 2/(NM))
+ …, and at N = M it is (d + 1)t/M − A/M² + …. The layer of N minimises the loss of prompts of length N: N = M is best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from iclab.evaluation.curves import SquaredErrors
from iclab.flow import gradient_descent
from iclab.foundations.exponents import local_slopes
from iclab.predictors import TrainedLSA
from iclab.prompts import Gaussian, Linear, PromptDistribution
from iclab.studies.measuring import Covariates, Panel
from iclab.studies.rows import at_last
from iclab.studies.sample_complexity.prompts import FIXED, RANDOM
from iclab.theory import (
    assumption3,
    corollary6_bound,
    corollary6_floor,
    expected_risk,
    geometric_spectrum,
    random_theta,
)

_GROUPS, _CHUNK = 20, 200
_SIGMA = 0.4


class Inputs(NamedTuple):
    """The distribution of x: fixed Λ of a condition number, or random Λ = diag(λ), λ_i ~ Exponential(1)."""

    inputs: str
    condition: float

    def covariates(self, dimension: int) -> Covariates:
        """Of trace d, on average if random."""
        if self.condition > 1:
            return Gaussian(np.diag(geometric_spectrum(dimension, self.condition)))
        return Panel(self.inputs, 1.0).covariates(dimension)


EVERY = (Inputs(FIXED, 1.0), Inputs(FIXED, 10.0), Inputs(FIXED, 100.0), Inputs(RANDOM, math.nan))


def exact(dimension: int, n_grid: Sequence[int], m_grid: Sequence[int]) -> pd.DataFrame:
    """Exact errors: inputs, condition, N, M (∞ included), error, limit (N = M = ∞), excess over it, and a bound.

    The bound is Corollary 6's; NaN where Λ is random, of which it does not speak.
    """
    rows = []
    for one in EVERY:
        law = one.covariates(dimension)
        limit = expected_risk(law, math.inf, math.inf)
        for n, m in product(n_grid, (*m_grid, math.inf)):
            error = expected_risk(law, n, m)
            row = {**one._asdict(), "N": float(n), "M": float(m), "error": error, "limit": limit}
            bound = corollary6_bound(law.covariance, n, m) if isinstance(law, Gaussian) else math.nan
            rows.append({**row, "excess": error - limit, "bound": bound})
    return pd.DataFrame(rows)


def slopes_of(exact: pd.DataFrame) -> pd.DataFrame:
    """Local exponents: of the floor M = ∞ in N, of what is above it in M, and on the diagonal N = M; less the limit."""
    parts = []
    for (inputs, condition), rows in exact.sort_values(["N", "M"]).groupby(list(Inputs._fields), dropna=False):
        floor, diagonal = rows[np.isinf(rows["M"])], rows[rows["N"] == rows["M"]]
        longest = at_last(rows[np.isfinite(rows["M"])], "N")
        for what, x, values in (
            ("floor", floor["N"], floor["excess"]),
            ("above", longest["M"], longest["error"] - float(floor["error"].iloc[-1])),
            ("diagonal", diagonal["N"], diagonal["excess"]),
        ):
            own = {"inputs": inputs, "condition": condition, "what": what, "x": x, "value": values}
            parts.append(pd.DataFrame({**own, "slope": local_slopes(x, values)}))
    return pd.concat(parts, ignore_index=True)


def coefficients(dimension: int) -> pd.DataFrame:
    """Leading coefficients for every fixed Λ, from the theory at huge lengths, from the formula, and in the bound."""
    rows, huge = [], 10**5
    for one in EVERY:
        law = one.covariates(dimension)
        if isinstance(law, Gaussian):
            spectrum = np.diagonal(law.covariance)
            trace, floor = float(spectrum.sum()), expected_risk(law, huge, math.inf)
            row = {**one._asdict(), "N2_floor": floor * huge**2}
            row |= {"sum_of_squares": float(np.sum((spectrum + trace) ** 2 / spectrum))}
            row |= {"bound_N2": corollary6_floor(law.covariance, 1)}
            row |= {"M_above_floor": expected_risk(law, huge, 1) - floor}
            rows.append({**row, "bound_M": (dimension + 1) * trace})
    return pd.DataFrame(rows)


def best_lengths(dimension: int, n_grid: Sequence[int], m_grid: Sequence[int]) -> pd.DataFrame:
    """For every M the best N of the grid, and the error at the largest N."""
    rows = []
    for one, m in product(EVERY, m_grid):
        candidates = sorted({*n_grid, m - 1, m, m + 1} - {0})
        errors = [expected_risk(one.covariates(dimension), n, m) for n in candidates]
        best = int(np.argmin(errors))
        row = {**one._asdict(), "M": m, "best_N": candidates[best], "error": errors[best]}
        rows.append({**row, "error_at_largest_N": errors[-1], "largest_N": candidates[-1]})
    return pd.DataFrame(rows)


def measured(dimension: int, lengths: Sequence[int], n_prompts: int, seed: int) -> pd.DataFrame:
    """Monte Carlo errors of layers trained by gradient descent (Λ = I) at every N, at every M, in groups of prompts.

    Beside the exact error of the minimiser, and the excess of the loss at the end of descent.
    """
    covariates = Gaussian.isotropic(dimension)
    initial = assumption3(random_theta(dimension, seed), _SIGMA)
    rate = 0.5 / math.sqrt(dimension)  # half of what is stable on (u, U)
    paths = {n: gradient_descent(initial, covariates, n, rate, 600, record_every=600) for n in lengths}
    errors = SquaredErrors(tuple((str(n), TrainedLSA(path.parameters())) for n, path in paths.items()))
    distribution, count = PromptDistribution(covariates, Linear()), max(2, n_prompts // _GROUPS)
    rows = []
    for group in range(_GROUPS):
        sums = []
        for start in range(0, count, _CHUNK):
            size = min(_CHUNK, count - start)
            prompts = distribution.sample(size, max(lengths) + 1, seed=seed, start=group * count + start)
            sums.append(size * errors(prompts)[:, :, list(lengths)].mean(axis=0))
        mean = np.sum(sums, axis=0) / count
        for (i, n), (j, m) in product(enumerate(lengths), repeat=2):
            row = {"N": n, "M": m, "group": group, "mean": mean[i, j], "exact": expected_risk(covariates, n, m)}
            rows.append({**row, "n": count, "trained_excess": float(paths[n].excess[-1])})
    return pd.DataFrame(rows)
