"""Heads of linear attention with keys and queries apart leave one plateau after another (Zhang et al. 2025).

Heights and times of the drops, predicted from the start alone and followed on the exact population loss; what decides
the order; label noise, random covariances, starts, ranks; and the same loss descended by momentum, Adam and Muon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from iclab.flow import FactoredHeads, head_descent, head_flow, predicted_drops
from iclab.prompts import Gaussian
from iclab.studies.lab import Lab
from iclab.studies.plateaus.problems import (
    FIXED,
    N_TRAIN,
    NARROW,
    NEAR,
    NOISY,
    SPECTRUM,
    WIDE,
    Problem,
    followed,
    merged,
)
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
    cases = [(FIXED, 1, scale, seed) for scale in (settings.scale, *settings.scales) for seed in seeds]
    cases += [(name, 1, settings.scale, seed) for name in (NOISY, NARROW, WIDE) for seed in seeds]
    cases += [(FIXED, rank, settings.scale, seed) for rank in settings.ranks for seed in seeds]
    units = [
        Unit(
            followed,
            {"problem": Problem(name), "n_heads": N_HEADS, "rank": rank, "scale": scale, "seed": seed},
            f"{name}, rank {rank}, scale {scale:g}, seed {seed}",
        )
        for name, rank, scale, seed in cases
    ]
    tables = lab.named_tables(units, "following")
    for name in ("levels", "drops", "path"):
        tables[name]["main"] = tables[name]["scale"] == settings.scale
    # Paths are drawn of the first start alone.
    tables["path"] = where(tables["path"], seed=0).reset_index(drop=True)
    for name in ("drops", "levels"):
        whole = {"drop": "int64", "level": "int64"}
        tables[name] = tables[name].astype({key: kind for key, kind in whole.items() if key in tables[name]})
    tables["drops"] = tables["drops"].astype({"directions": bool, "kept": bool})
    once = lab.named_tables(
        [
            Unit(merged, {"n_heads": MERGED_HEADS, "scale": MERGED_SCALE, "seed": seed}, f"merged {seed}")
            for seed in seeds
        ]
    )
    tables |= {"merged": once["levels"].astype({"level": "int64"}), "merged_path": once["path"]}
    tables["logistic"] = once["logistic"]
    counts = [(2, PAIR_SCALE), (2, PAIR_SCALE / 10), (8, PAIR_SCALE)]
    orders = [
        Unit(
            order,
            {"ratio": ratio, "n_heads": n_heads, "scale": scale, "n": settings.n_orders}
            | {"n_followed": settings.n_followed if (n_heads, scale) == counts[0] else 0},
            f"order {ratio:g}, {n_heads} heads, scale {scale:g}",
        )
        for ratio in settings.ratios
        for n_heads, scale in counts
    ]
    tables["orders"] = lab.rows(orders, "orders")
    descents = [
        Unit(descended, {"rule": rule, "scale": scale, "seed": seed}, f"{rule}, scale {scale:g}, seed {seed}")
        for rule in RATES
        for scale in settings.rule_scales
        for seed in seeds
    ]
    rules = lab.named_tables(descents, "descending")
    return {**tables, "rules": rules["rules"], "rule_path": rules["path"]}


def order(ratio: float, n_heads: int, scale: float, n: int, n_followed: int) -> pd.DataFrame:
    """In two dimensions: how often the larger eigenvalue is learned first.

    Returns
    -------
    DataFrame
        One row: ratio, heads, scale, n, first (starts from which the larger is predicted to be first), followed (starts
        that were followed), as_predicted (of these, where the flow learned what was predicted).
    """
    law, first, agreed = Gaussian(np.diag([1.0, 1 / ratio])), 0, 0
    for seed in range(n):
        start = FactoredHeads.random(n_heads, 1, 2, scale, seed)
        predicted = predicted_drops(start, law, N_TRAIN, most=None if seed < n_followed else 1)
        direction = int(predicted.directions[0])
        first += direction == 0
        if seed < n_followed:
            later = predicted.times[1] if len(predicted.times) > 1 else 2 * predicted.times[0]
            moment = math.sqrt(predicted.times[0] * max(later, 1.05 * predicted.times[0]))
            diagonal = np.diagonal(head_flow(start, law, N_TRAIN, moment, tolerance=1e-7).heads(moment).product)
            agreed += int(np.argmax(diagonal * np.array([1.0, 1 / ratio]))) == direction
    row = {"ratio": ratio, "heads": n_heads, "scale": scale, "n": n, "first": first}
    return pd.DataFrame([{**row, "followed": n_followed, "as_predicted": agreed}])


def descended(rule: str, scale: float, seed: int) -> pd.DataFrame:
    """Descent of the heads of ``followed`` with fixed Λ, until the error is within 5 % of its minimum.

    Returns
    -------
    DataFrame
        ``rules``: rule, scale, seed, rate, steps, and of these the ``share`` within 5 % of a level above the minimum,
        and the same of a straight line; ``path`` (of the first seed): step, error.
    """
    problem, levels = Problem(FIXED), Problem(FIXED).levels
    start = FactoredHeads.random(N_HEADS, 1, len(SPECTRUM), scale, seed)
    rate, bound = RATES[rule], (1 + NEAR) * levels[-1]
    n_steps = 4000
    while True:
        descent = head_descent(start, problem.covariates, N_TRAIN, rate, n_steps, rule=rule)
        arrived = np.flatnonzero(descent.errors <= bound)
        if len(arrived) or descent.diverged or n_steps > 2_000_000:
            break
        n_steps *= 4
    steps = int(arrived[0]) if len(arrived) else n_steps
    errors = descent.errors[: steps + 1]
    near = np.any(np.abs(errors[:-1, None] / levels[:-1] - 1) <= NEAR, axis=1)
    # A straight descent from tr Λ passes half of the first band, and the whole of the others.
    straight = NEAR * (levels[0] + 2 * float(levels[1:-1].sum())) / (levels[0] - bound)
    row: dict[str, Any] = {"rate": rate, "steps": steps, "arrived": bool(len(arrived)), "share": float(near.mean())}
    tables = {"rules": pd.DataFrame([{**row, "straight": straight}])}
    if seed == 0:
        shown = np.unique(np.geomspace(1, steps + 1, 300).astype(int)) - 1
        tables["path"] = pd.DataFrame({"step": shown, "error": errors[shown]})
    return several(tables, rule=rule, scale=scale, seed=seed)
