"""Long contexts, N → ∞, under random covariances: Λ̂ = Λ, so what is left of the error is what depth cannot express.

With iid λ_i ~ Exp(1) the error over E tr Λ is E λ(1 − λH(λ))², an integral over one exponential variable. L steps of
descent with best rates have H of degree L − 1 and the exact optimum 2/((L + 1)(L + 2)): 1 over Σ_{k ≤ L} p_k(0)² with
the orthonormal Laguerre polynomials of weight λe^{−λ}, p_k(0)² = k + 1. L = 1 is Theorem 8's 1/3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import roots_genlaguerre

from iclab.flow.deep import DESCENT, GD_PLUS, Run, best, gain, gain_gradient, search
from iclab.studies.depth.models import of_scalars

# Gauss-Laguerre with so many nodes integrates the error of at most so many layers exactly.
_NODES, DEEPEST = 100, 4


def descent_limit(layers: int) -> float:
    """E λ(1 − λH(λ))² of the best H of degree L − 1: L steps of descent, best rates."""
    return 2 / ((layers + 1) * (layers + 2))


def trace_limit(dimension: int) -> float:
    """The same for one layer on inputs divided by √(tr Λ/d), best scalar: λ/tr Λ is Dirichlet, independent of tr Λ."""
    return 1 - 2 * (dimension + 2) / (3 * (dimension + 1))


def limit_table(depths: Sequence[int], n_starts: int, seed: int) -> pd.DataFrame:
    """Form, tied, layers, error (over E tr Λ), exact (closed form where known), near (runs within 1 % of the best)."""
    rows = []
    for layers in (depth for depth in depths if depth <= DEEPEST):
        for name in (DESCENT, GD_PLUS):
            for tied in (False, True) if layers > 1 else (False,):
                runs = _fit(layers, 1 if tied else layers, name == GD_PLUS, n_starts, seed)
                found = best(runs).loss
                exact = descent_limit(layers) if (name == DESCENT and not tied) or layers == 1 else np.nan
                near = sum(run.loss < 1.01 * found for run in runs)
                rows.append((name, tied, layers, found, exact, near, n_starts))
    return pd.DataFrame(rows, columns=["form", "tied", "layers", "error", "exact", "near", "n_starts"])


def _fit(layers: int, rows: int, curved: bool, n_starts: int, seed: int) -> list[Run]:
    nodes, weights = roots_genlaguerre(_NODES, 1.0)
    nodes, weights = nodes[weights > 0], weights[weights > 0]

    def risk(each: np.ndarray) -> tuple[float, np.ndarray]:
        left = 1 - nodes * gain(each, nodes)
        return float(weights @ left**2), gain_gradient(each, nodes, -2 * weights * nodes * left)

    rng, starts = np.random.default_rng([seed, layers, rows, int(curved)]), []
    for _ in range(n_starts):
        rates = 0.3 * np.exp(rng.normal(0, 0.8, rows))
        starts.append(np.column_stack([rng.normal(-0.1, 0.1, rows), rates])[:, 0 if curved else 1 :].ravel())
    objective = of_scalars(risk, layers, rows, curved=curved)
    return search(starts, objective, objective, brief=100, polish=n_starts, iterations=1000)
