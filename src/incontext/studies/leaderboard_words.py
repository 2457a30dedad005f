"""What the leaderboard says, computed from its tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

# How many times fewer steps than Garg et al.'s recipe the default one is expected to need.
EXPECTED_RATIO = 10


def sentences(tables: Mapping[str, pd.DataFrame], dimension: int) -> list[str]:
    """How it was measured, who wins, by how much over Garg et al., and what each ingredient is worth."""
    return [
        _measured(tables, dimension),
        _winners(tables["summary"], dimension),
        _ratio(tables["ratios"], dimension),
        *_ingredients(tables["runs"]),
    ]


def captions(dimension: int) -> dict[str, str]:
    """Captions of the tables that the page shows."""
    return {
        "summary": f"Steps to error at d = {dimension}: median and range over seeds; ∞ is a censored value, not within "
        "the steps of the last column",
        "ratios": "Steps of the recipe of Garg et al. over those of fast, seed by seed; ≥ and ≤ are bounds from "
        "censored values",
        "runs": "Every run at its last evaluation, which is at the first crossing of the last threshold or at its end",
    }


def _measured(tables: Mapping[str, pd.DataFrame], dimension: int) -> str:
    curves, board = tables["curves"], tables["board"]
    seeds = board["seed"].nunique()
    return (
        f"Every recipe trains a transformer of the size tiny (3 layers, width 64) in float32 on d = {dimension}, N = "
        f"{2 * dimension}, with {seeds} seeds. Steps to error are the steps after which the mean of error/d over "
        f"{int(curves['n'].iloc[0])} held-out prompts at {2 * dimension} examples is first seen at or below a "
        "threshold, looking every 2 % of a run. Warm-up, decay and curriculum are shares of a run; a recipe run at "
        "several lengths counts its best one, and goes to longer ones only while the last threshold is not reached. A "
        "threshold that no run reaches is censored: not within the longest length. CPU seconds are of one process and "
        "include the evaluations. The curriculum of Garg et al. starts at the same share of d and 2d + 1 and ends at "
        "the same share of the run as theirs at d = 20, N = 40."
    )


def _winners(summary: pd.DataFrame, dimension: int) -> str:
    parts: list[str] = []
    for threshold, group in summary.groupby("threshold", sort=False):
        best = group["median_steps"].min()
        if not np.isfinite(best):
            parts.append(f"{threshold:g} is not reached by the median seed of any recipe")
            continue
        winners = list(group[group["median_steps"] == best]["recipe"])
        ours = group[group["recipe"] == "fast"]["median_steps"].iloc[0]
        text = f"{threshold:g} is reached first by {' and '.join(map(repr, winners))} ({best:,.0f} steps)"
        if "fast" not in winners:
            text += f", by 'fast' {f'after {ours:,.0f}' if np.isfinite(ours) else 'not at all'}"
        parts.append(text)
    return f"At d = {dimension}, by the median over seeds, error/d " + "; ".join(parts) + "."


def _ratio(ratios: pd.DataFrame, dimension: int) -> str:
    parts: list[str] = []
    for threshold, group in ratios.groupby("threshold", sort=False):
        known = group[group["relation"] != "unknown"]
        if known.empty:
            parts.append(f"to {threshold:g} nothing can be said, as neither reaches it")
            continue
        signs = set(known["relation"])
        low, high = known["ratio"].min(), known["ratio"].max()
        bound = "" if signs == {"="} else "at least " if "≤" not in signs else "at most " if signs == {"≤"} else ""
        span = f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
        missing = f" ({len(group) - len(known)} of {len(group)} seeds unknown)" if len(known) < len(group) else ""
        parts.append(
            f"to {threshold:g} {bound}{span} times the steps of 'fast' over {len(known)} seeds{missing}, so that "
            f"{EXPECTED_RATIO}-fold is {verdict(group)}"
        )
    return f"At d = {dimension} the recipe of Garg et al. needs: " + "; ".join(parts) + "."


def verdict(group: pd.DataFrame) -> str:
    """Whether the expected ratio is seen at one threshold: in every seed, in none that can tell, or undecided.

    A lower bound can confirm and an upper bound can refute; a lower bound below the expected ratio says nothing.
    """
    confirmed = (group["ratio"] >= EXPECTED_RATIO) & group["relation"].isin(["=", "≥"])
    refuted = (group["ratio"] < EXPECTED_RATIO) & group["relation"].isin(["=", "≤"])
    if confirmed.all():
        return "seen in every seed"
    if refuted.any():
        return f"not reached in {int(refuted.sum())} of {len(group)} seeds"
    return f"undecided ({int(confirmed.sum())} of {len(group)} seeds show it; the others are censored below it)"


def _ingredients(runs: pd.DataFrame) -> list[str]:
    """Each recipe's last error against that of fast, at the longest length both were run to, same seeds."""
    parts: list[str] = []
    for recipe in runs["recipe"].unique():
        mine = runs[runs["recipe"] == recipe]
        if recipe == "fast":
            continue
        both = runs[runs["recipe"] == "fast"].merge(mine, on=["length", "seed"], suffixes=("_fast", ""))
        if both.empty:
            continue
        same = both[both["length"] == both["length"].max()]
        values = same["error"] / same["error_fast"]
        typical = float(np.exp(np.log(values).mean()))
        parts.append(
            f"{recipe} {typical:.3g} ({values.min():.3g} to {values.max():.3g}, {same['length'].iloc[0]:,.0f} steps, "
            f"{len(same)} seeds)"
        )
    if not parts:
        return []
    return [
        "Error at the end of a run (or where it reached the last threshold) over that of 'fast' in runs of the same "
        "length and seed, geometric mean and range: " + "; ".join(parts) + ". Above 1 'fast' is better."
    ]
