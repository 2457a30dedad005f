"""From which initialisations gradient flow learns, and what becomes of the others.

Five parts: starts away from Assumption 3 on all parameters; σ above the threshold of the theorems; the step size of
descent against its stability limits; SGD on fresh prompts against the flow; two layers from random weights. The first
four for a fixed and for random covariances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from iclab.flow import Ends, flow_ends, gradient_flow
from iclab.flow.ensemble import GLOBAL, LOCAL, SADDLE, UNFINISHED
from iclab.prompts import Gaussian, RandomDiagonal
from iclab.studies.initialisation.descent import DESCENTS, rates_of, sgd_of
from iclab.studies.initialisation.two_layer import counts_of, share, two_layer
from iclab.studies.lab import Lab
from iclab.studies.store import Unit
from iclab.theory import assumption3, certificate, minimum_loss, random_theta

TITLE = "Initialisation, step size and noise (open questions)"
# σ as a part of the threshold.
RATIOS = (0.5, 1.0, 2.0, 4.0, 8.0)
# Size of the perturbation of all parameters where σ is varied, in units of σ.
MOVED = 0.3
_RELATIVE_SIGMA = 0.5
_MAX_STEPS = 12_000


class Problem(NamedTuple):
    """d, N, and Λ = diag(λ): random, λ_i ~ Exponential(1) per prompt, or fixed with a condition number and trace d."""

    covariances: str
    dimension: int
    n_train: int
    condition: float

    def __str__(self) -> str:
        return f"{self.covariances}, d = {self.dimension}, N = {self.n_train}, condition {self.condition:g}"

    def covariates(self) -> Gaussian | RandomDiagonal:
        """The distribution of x."""
        if self.covariances == "random":
            return RandomDiagonal.exponential(self.dimension)
        spectrum = self.condition ** -np.linspace(0, 1, self.dimension)
        return Gaussian(np.diag(spectrum * self.dimension / spectrum.sum()))


PROBLEMS = (
    *(Problem("fixed", 2, n_train, 1.0) for n_train in (5, 20, 80)),
    Problem("fixed", 2, 20, 10.0),
    *(Problem("fixed", 3, n_train, 1.0) for n_train in (20, 80)),
    Problem("fixed", 3, 20, 10.0),
    *(Problem("random", dimension, 20, 1.0) for dimension in (2, 3)),
)
# Where σ is varied, by the size of the perturbation of all parameters.
RATIO_PROBLEMS = {
    0.0: (
        Problem("fixed", 5, 20, 10.0),
        Problem("fixed", 2, 5, 1.0),
        Problem("fixed", 10, 40, 100.0),
        Problem("random", 5, 20, 1.0),
    ),
    MOVED: (Problem("fixed", 2, 20, 1.0), Problem("random", 2, 20, 1.0)),
}


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    n_starts : int
        Starts per perturbation size and problem, per σ, and of two layers per scale.
    n_seeds : int
        SGD runs per batch size and rate.
    n_prompts : int
        Sample whose risk two layers descend.
    two_layer_scales : tuple of float
        Standard deviations of the weights of two layers at the start.
    problems : tuple of Problem
        Where starts are counted.
    sizes : tuple of float
        Sizes of the perturbation of all parameters, in units of σ.
    seed : int
        Of starts, ΘΘ' and prompts.
    """

    n_starts: Annotated[int, Field(ge=2)] = 60
    n_seeds: Annotated[int, Field(ge=2)] = 8
    n_prompts: Annotated[int, Field(ge=2)] = 4_000
    two_layer_scales: tuple[float, ...] = (0.02, 0.1, 0.3)
    problems: tuple[Problem, ...] = PROBLEMS
    sizes: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    seed: Annotated[int, Field(ge=0)] = 0


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Count where starts end, and compare discrete training with the flow.

    Returns
    -------
    dict of DataFrame
        ``ends``: covariances, dimension, n_train, condition, size (perturbation in units of σ), n, one count per kind
        of end, failures (local minima and saddles), rate with its 95 % Wilson interval (low, high), failed_excess
        and failed_error (medians over failures of (L − min L)/(½ tr Λ − min L) and of E(ŷ − y)²/tr Λ), best_error.
        ``scales``: the problem, size (0: Assumption 3), ratio (σ over the threshold), n, failures, rate, low, high,
        time_to_99 (median; NaN where size > 0). ``rates`` and ``sgd``: see ``descent``. ``two_layer`` and those that
        begin with it: see ``two_layer``.
    """
    common, drawn = {"n_starts": settings.n_starts, "seed": settings.seed}, {"seed": settings.seed}
    perturbed, given = {"sizes": settings.sizes, **common}, {"n_seeds": settings.n_seeds, **drawn}
    layers = {"n_prompts": settings.n_prompts, "scales": settings.two_layer_scales, **common}
    units = [Unit(ends_of, {"problem": p, **perturbed}, f"ends {p}", table="ends") for p in settings.problems]
    units += [
        Unit(scales_of, {"problem": p, "size": size, **common}, f"σ {p}, moved by {size:g}σ", table="scales")
        for size, problems in RATIO_PROBLEMS.items()
        for p in problems
    ]
    for c in DESCENTS:
        units.append(Unit(rates_of, {"covariances": c, **drawn}, f"step sizes {c}", table="rates"))
        units.append(Unit(sgd_of, {"covariances": c, **given}, f"SGD {c}", table="sgd"))
    tables = lab.named_tables([*units, Unit(two_layer, layers, "two layers")], "initialisation")
    return {**tables, "two_layer": counts_of(tables["two_layer_runs"])}


def ends_of(problem: Problem, sizes: Sequence[float], n_starts: int, seed: int) -> pd.DataFrame:
    """Rows of ``ends``: perturbed starts of a problem, by size of the perturbation."""
    d, n_train, covariates = problem.dimension, problem.n_train, problem.covariates()
    rng = np.random.default_rng([seed, d, n_train])
    starts: list[np.ndarray] = []
    for size in sizes:
        for number in range(n_starts):
            theta = random_theta(d, 1000 * seed + number)
            sigma = _RELATIVE_SIGMA * certificate(covariates, n_train, theta, 1.0).threshold
            noise = rng.standard_normal((d + 1) ** 2)
            starts.append(assumption3(theta, sigma).vector + size * sigma * noise)
    ends = flow_ends(np.array(starts), covariates, n_train, max_steps=_MAX_STEPS)
    # tr Λ, and E tr Λ, is d in every problem here.
    best, rows = minimum_loss(covariates, n_train), []
    for index, size in enumerate(sizes):
        chosen = slice(index * n_starts, (index + 1) * n_starts)
        part = Ends(ends.vectors[chosen], ends.kinds[chosen], ends.excess[chosen], ends.times[chosen])
        failed = part.excess[np.isin(part.kinds, (LOCAL, SADDLE))]
        excess = float(np.median(failed)) if len(failed) else math.nan
        kinds = {kind: part.count(kind) for kind in (GLOBAL, LOCAL, SADDLE, UNFINISHED)}
        row = {**problem._asdict(), "size": size, "n": n_starts, **kinds, "failures": len(failed)}
        row |= {**share(len(failed), n_starts), "failed_excess": excess / (d / 2 - best)}
        rows.append({**row, "failed_error": 2 * (excess + best) / d, "best_error": 2 * best / d})
    return pd.DataFrame(rows)


def scales_of(problem: Problem, size: float, n_starts: int, seed: int) -> pd.DataFrame:
    """Rows of ``scales``: starts of a problem with σ below and above the threshold."""
    d, n_train, covariates = problem.dimension, problem.n_train, problem.covariates()
    thetas = [random_theta(d, 1000 * seed + number) for number in range(n_starts)]
    rows = []
    for ratio in RATIOS:
        sigmas = [ratio * certificate(covariates, n_train, theta, 1.0).threshold for theta in thetas]
        starts = [assumption3(theta, sigma) for theta, sigma in zip(thetas, sigmas, strict=True)]
        time_to_99 = math.nan
        if size == 0:
            paths = [gradient_flow(start, covariates, n_train, math.inf) for start in starts]
            failures = sum(bool(path.excess(math.inf) > 1e-12 * path.excess(0.0)) for path in paths)
            time_to_99 = float(np.median([path.time_to(0.99) for path in paths]))
        else:
            noise = np.random.default_rng([seed, d, n_train]).standard_normal((n_starts, (d + 1) ** 2))
            vectors = np.array([start.vector for start in starts]) + size * np.array(sigmas)[:, None] * noise
            ends = flow_ends(vectors, covariates, n_train, max_steps=_MAX_STEPS)
            failures = ends.count(LOCAL) + ends.count(SADDLE)
        row = {**problem._asdict(), "size": size, "ratio": ratio, "n": n_starts, "failures": failures}
        rows.append({**row, **share(failures, n_starts), "time_to_99": time_to_99})
    return pd.DataFrame(rows)
