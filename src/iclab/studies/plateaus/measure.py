"""Heads of linear attention with keys and queries apart leave one plateau after another (Zhang et al. 2025).

Heights and times of the drops, predicted from the start alone and followed on the exact population loss; what decides
the order; label noise, random covariances, starts, ranks; and the same loss descended by momentum, Adam and Muon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from iclab.flow import FactoredHeads, head_descent, head_flow, predicted_drops
from iclab.prompts import Gaussian
from iclab.studies.lab import Lab
from iclab.studies.plateaus import problems
from iclab.studies.rows import where
from iclab.studies.store import Unit, several

TITLE = "Plateaus with separate keys and queries"
# Heads and starts of Zhang et al. (2025); in two dimensions, the size of the starts.
N_HEADS, PAIR_SCALE = 5, 0.01
MERGED_HEADS, MERGED_SCALE = 8, 1e-6
# Rates of the rules: the largest of 3, 1, .3, … at which plain descent and momentum are stable; the others' rates are
# sizes of a step.
RATES = {"gradient": 3.0, "momentum": 0.3, "adam": 0.003, "muon": 0.003}


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    scale : float
        Standard deviation of the starting weights.
    scales : tuple of float
        Others, with fixed Λ; the largest and the smallest of all are compared.
    n_seeds : int
        Starts of each.
    ranks : tuple of int
        Ranks of the heads beyond one.
    ratios : tuple of float
        λ_1/λ_2 of the problems in two dimensions on which the order is counted.
    n_orders : int
        Starts on each.
    n_followed : int
        Of these, how many are followed.
    rule_scales : tuple of float
        Starting weights of the descents.
    """

    scale: Annotated[float, Field(gt=0)] = 0.01
    scales: tuple[float, ...] = (0.03, 0.003)
    n_seeds: Annotated[int, Field(ge=1)] = 3
    ranks: tuple[int, ...] = (2, 3, 4)
    ratios: tuple[float, ...] = (1.02, 1.1, 1.25, 1.5, 2.0, 4.0)
    n_orders: Annotated[int, Field(ge=2)] = 50
    n_followed: Annotated[int, Field(ge=1)] = 4
    rule_scales: tuple[float, ...] = (0.01, 0.001)


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Follow flows and descents.

    Returns
    -------
    dict of DataFrame
        ``levels``, ``drops`` and ``path``: as ``problems.followed``, with problem, rank, scale, seed, and whether the
        scale is the ``main`` one; ``merged``,
        ``merged_path`` and ``logistic``: as ``problems.merged``; ``orders``: as ``order``; ``rules``: as ``descended``
        without paths, which are in ``rule_path`` (rule, scale, step, error).
    """
    seeds = range(settings.n_seeds)
    cases = [(problems.FIXED, 1, scale, seed) for scale in (settings.scale, *settings.scales) for seed in seeds]
    cases += [
        (name, 1, settings.scale, seed) for name in (problems.NOISY, problems.NARROW, problems.WIDE) for seed in seeds
    ]
    cases += [(problems.FIXED, rank, settings.scale, seed) for rank in settings.ranks for seed in seeds]
    units = []
    for name, rank, scale, seed in cases:
        given = {"problem": problems.Problem(name), "n_heads": N_HEADS, "rank": rank, "scale": scale, "seed": seed}
        units.append(Unit(problems.followed, given, f"{name}, rank {rank}, scale {scale:g}, seed {seed}"))
    tables = lab.named_tables(units, "following")
    tables["levels"] = tables["levels"].astype({"level": "int64"})
    tables["drops"] = tables["drops"].astype({"drop": "int64", "directions": bool, "kept": bool})
    for name in ("levels", "drops", "path"):
        tables[name]["main"] = tables[name]["scale"] == settings.scale
    # Paths are drawn of the first start alone.
    tables["path"] = where(tables["path"], seed=0).reset_index(drop=True)
    given = {"n_heads": MERGED_HEADS, "scale": MERGED_SCALE}
    once = lab.named_tables([Unit(problems.merged, {**given, "seed": seed}, f"merged {seed}") for seed in seeds])
    tables |= {"merged": once["levels"].astype({"level": "int64"}), "merged_path": once["path"]}
    tables["logistic"] = once["logistic"]
    units = []
    counts = ((2, PAIR_SCALE, settings.n_followed), (2, PAIR_SCALE / 10, 0), (8, PAIR_SCALE, 0))
    for ratio, (heads, scale, n) in product(settings.ratios, counts):
        given = {"ratio": ratio, "n_heads": heads, "scale": scale, "n": settings.n_orders, "n_followed": n}
        units.append(Unit(order, given, f"order {ratio:g}, {heads} heads, scale {scale:g}"))
    tables["orders"] = lab.rows(units, "orders")
    descents = [
        Unit(descended, {"rule": rule, "scale": scale, "seed": seed}, f"{rule}, scale {scale:g}, seed {seed}")
        for rule, scale, seed in product(RATES, settings.rule_scales, seeds)
    ]
    rules = lab.named_tables(descents, "descending")
    return {**tables, "rules": rules["rules"], "rule_path": rules["path"]}


def order(ratio: float, n_heads: int, scale: float, n: int, n_followed: int) -> pd.DataFrame:
    """In two dimensions, from how many starts the larger eigenvalue is predicted to be learned first.

    And of those that were followed, from how many the flow learned what was predicted.
    """
    law, first, agreed = Gaussian(np.diag([1.0, 1 / ratio])), 0, 0
    for seed in range(n):
        start = FactoredHeads.random(n_heads, 1, 2, scale, seed)
        predicted = predicted_drops(start, law, problems.N_TRAIN, most=None if seed < n_followed else 1)
        direction, time = int(predicted.directions[0]), predicted.times[0]
        first += direction == 0
        if seed < n_followed:
            later = predicted.times[1] if len(predicted.times) > 1 else 2 * time
            moment = math.sqrt(time * max(later, 1.05 * time))
            diagonal = np.diagonal(
                head_flow(start, law, problems.N_TRAIN, moment, tolerance=1e-7).heads(moment).product
            )
            agreed += int(np.argmax(diagonal * np.array([1.0, 1 / ratio]))) == direction
    row = {"ratio": ratio, "heads": n_heads, "scale": scale, "n": n, "first": first}
    return pd.DataFrame([{**row, "followed": n_followed, "as_predicted": agreed}])


def descended(rule: str, scale: float, seed: int) -> pd.DataFrame:
    """Descent of the heads of ``followed`` with fixed Λ, until the error is within 5 % of its minimum.

    ``rules``: rate, steps, and of these the ``share`` within 5 % of a level above the minimum, and the same of a
    straight line; ``path`` (of the first seed): step, error.
    """
    problem, levels = problems.Problem(problems.FIXED), problems.Problem(problems.FIXED).levels
    start = FactoredHeads.random(N_HEADS, 1, len(problems.SPECTRUM), scale, seed)
    rate, bound = RATES[rule], (1 + problems.NEAR) * levels[-1]
    n_steps = 4000
    while True:
        descent = head_descent(start, problem.covariates, problems.N_TRAIN, rate, n_steps, rule=rule)
        arrived = np.flatnonzero(descent.errors <= bound)
        if len(arrived) or descent.diverged or n_steps > 2_000_000:
            break
        n_steps *= 4
    steps = int(arrived[0]) if len(arrived) else n_steps
    errors = descent.errors[: steps + 1]
    near = np.any(np.abs(errors[:-1, None] / levels[:-1] - 1) <= problems.NEAR, axis=1)
    # A straight descent from tr Λ passes half of the first band, and the whole of the others.
    straight = problems.NEAR * (levels[0] + 2 * float(levels[1:-1].sum())) / (levels[0] - bound)
    row = {"rate": rate, "steps": steps, "arrived": len(arrived) > 0, "share": float(near.mean()), "straight": straight}
    tables = {"rules": pd.DataFrame([row])}
    if seed == 0:
        shown = np.unique(np.geomspace(1, steps + 1, 300).astype(int)) - 1
        tables["path"] = pd.DataFrame({"step": shown, "error": errors[shown]})
    return several(tables, rule=rule, scale=scale, seed=seed)
