"""Linear attention fitted to finitely many prompts of finitely many tasks, in the limit of large dimension (Lu et al.).

Errors in the limit by the number of prompts, of tasks and by the penalty; where tasks at test have another covariance;
simulations in finite dimensions; the exact finite-d errors of the paper's layer; and depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.optimize import minimize_scalar

from iclab.prompts import Gaussian
from iclab.studies.asymptotics.published import NOISE, depths, published
from iclab.studies.asymptotics.simulations import CELLS, intercepts, simulated, tasks
from iclab.studies.lab import Lab
from iclab.studies.store import Unit
from iclab.theory import expected_risk, mismatch_asymptotics, ridge_asymptotics, ridgeless_asymptotics

TITLE = "Finitely many prompts and tasks"
ALPHA = 10.0
FIXED_PENALTY = 0.1
RIDGELESS, FIXED, BEST = "none", "fixed", "best"
# Exponents of covariances of tasks, in training and at test; those of two data sizes (α, τ, κ).
TRAINING = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
TESTS = (-1.0, 0.0, 1.0, 2.0)
SIZES = ((4.0, 2.0, 1.0), (40.0, 10.0, 2.0))
DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16)


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    n_tau : int
        Points of a curve over τ.
    kappas : tuple of float
        Tasks over d of the curves, beside infinitely many.
    dimensions, n_runs : tuple of int
        d of the simulations, multiples of 4, and fits at each.
    exact_dimensions : tuple of int
        d at which the paper's layer is held against the limit.
    seed : int
        Of the simulations.
    """

    n_tau: Annotated[int, Field(ge=4)] = 41
    kappas: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0)
    dimensions: tuple[int, ...] = (16, 24, 32, 48)
    n_runs: tuple[int, ...] = (300, 120, 50, 16)
    exact_dimensions: tuple[int, ...] = (5, 10, 20, 50, 100, 1000)
    seed: Annotated[int, Field(ge=0)] = 0


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Evaluate the limits, and simulate.

    Returns
    -------
    dict of DataFrame
        ``published``: as ``published.published``; ``curves``: kappa, penalty (none, fixed, best), tau, icl, idg,
        strength (λ); ``gaps``: kappa, alpha, gap (ICL − IDG at τ = ∞); ``mismatch``: alpha, tau, kappa, training, test
        (exponents), icl; ``simulations`` and ``intercepts``: as ``simulations.simulated`` and ``.intercepts``;
        ``exact``: alpha, dimension, exact (the minimiser's error), limit, ratio; ``depth``: as ``published.depths``.
    """
    units = []
    for (i, cell), (d, n) in product(enumerate(CELLS), zip(settings.dimensions, settings.n_runs, strict=True)):
        given = {"cell": cell, "dimension": d, "n_runs": n, "seed": 1000 * i + settings.seed}
        units.append(Unit(simulated, given, f"simulation {i + 1}, d = {d}"))
    simulations = lab.rows(units, "simulating")
    curves = []
    for kappa, penalty in product((*settings.kappas, math.inf), (RIDGELESS, FIXED, BEST)):
        given = {"kappa": kappa, "penalty": penalty, "n_tau": settings.n_tau}
        curves.append(Unit(curve, given, f"curve {kappa:g} {penalty}"))
    return {
        "published": published(),
        "curves": lab.rows(curves, "limits"),
        "gaps": gaps(),
        "mismatch": mismatch(),
        "simulations": simulations,
        "intercepts": intercepts(simulations),
        "exact": exact(settings.exact_dimensions),
        "depth": depths((0.5, 1.0, 2.0, 4.0), DEPTHS),
    }


def curve(kappa: float, penalty: str, n_tau: int) -> pd.DataFrame:
    """Errors by τ from .1 to 100, without penalty, with a fixed one, or with the best one for ICL."""
    half = np.geomspace(1.0, 10.0, n_tau // 2 + 1)
    taus = {*(1 / half).tolist(), *(half**2).tolist()}
    if penalty != BEST:  # denser around the threshold τ = 1, where nothing happens at the best penalty
        taus |= {0.7, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2, 1.3}
    rows = []
    for tau in sorted(taus):
        strength = _best_penalty(tau, kappa) if penalty == BEST else FIXED_PENALTY if penalty == FIXED else 0.0
        limit = ridge_asymptotics(ALPHA, tau, kappa, NOISE, strength)
        row = {"kappa": kappa, "penalty": penalty, "tau": tau, "icl": limit.icl, "idg": limit.idg}
        rows.append({**row, "strength": strength})
    return pd.DataFrame(rows)


def _best_penalty(tau: float, kappa: float) -> float:
    """λ of least ICL; 0 if no penalty is better."""

    def error(log_penalty: float) -> float:
        return ridge_asymptotics(ALPHA, tau, kappa, NOISE, math.exp(log_penalty)).icl

    grid = np.linspace(-14, 2, 17)
    i = int(np.argmin([error(float(point)) for point in grid]))
    if i == 0:
        return 0.0
    ends = float(grid[i - 1]), float(grid[min(i + 1, len(grid) - 1)])
    return math.exp(float(minimize_scalar(error, bounds=ends, method="bounded", options={"xatol": 1e-9}).x))


def gaps() -> pd.DataFrame:
    """ICL − IDG with infinitely many prompts, by the number of tasks and the length of prompts."""
    kappas, alphas = (0.2, 0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 2.0, 4.0, 8.0), (1.0, 10.0, 100.0, 1e4, 1e6)
    table = pd.DataFrame(product(kappas, alphas), columns=["kappa", "alpha"])
    limits = (ridgeless_asymptotics(alpha, math.inf, kappa, NOISE) for kappa, alpha in product(kappas, alphas))
    return table.assign(gap=[limit.task_gap for limit in limits])


def mismatch() -> pd.DataFrame:
    """ICL on tasks of one covariance after training on tasks of another."""
    rows = []
    for (alpha, tau, kappa), test, training in product(SIZES, TESTS, TRAINING):
        limit = mismatch_asymptotics(alpha, tau, kappa, NOISE, tasks(training), tasks(test))
        row = {"alpha": alpha, "tau": tau, "kappa": kappa, "training": training, "test": test}
        rows.append({**row, "icl": limit.icl})
    return pd.DataFrame(rows)


def exact(dimensions: tuple[int, ...]) -> pd.DataFrame:
    """The minimiser of Theorem 4 with label noise in d dimensions, and its limit: τ = κ = ∞."""
    rows = []
    for alpha, d in product((2, 10), dimensions):
        limit = ridgeless_asymptotics(alpha, math.inf, math.inf, NOISE).icl
        # x ~ N(0, I): labels, and their noise, are d times those of x ~ N(0, I/d) and |w|² = d.
        s2, law, n = NOISE * d, Gaussian.isotropic(d), alpha * d
        value = expected_risk(law, n, n, noise_variance=s2, training_noise_variance=s2) / d + NOISE
        rows.append({"alpha": float(alpha), "dimension": d, "exact": value, "limit": limit, "ratio": value / limit})
    return pd.DataFrame(rows)
