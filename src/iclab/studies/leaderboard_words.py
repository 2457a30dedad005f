"""What the leaderboard says, computed from its tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from iclab.foundations import plural


def findings(tables: Mapping[str, pd.DataFrame], dimension: int) -> list[str]:
    """The lines of the first page: who wins at equal length, where they end, what Garg et al.'s recipe takes."""
    ranking = tables["ranking"]
    ratio = _ratio(tables["ratios"], tables["summary"], dimension)
    if len(ranking["recipe"].unique()) == 1:
        return [f"At d = {dimension} no other recipe was run at the lengths of 'fast', so that none is ranked.", ratio]
    winners, others = _winners(ranking, tables["ratios"], dimension)
    later = " ".join([*others, *_better(tables), *_longer(ranking, tables["summary"])])
    return [winners, *([later] if later else []), ratio]


def sentences(tables: Mapping[str, pd.DataFrame], dimension: int) -> list[str]:
    """The paragraphs of the page, below its findings: how it was measured, what each ingredient is worth."""
    return [_measured(tables, dimension), *_ingredients(_ends(tables))]


def captions(dimension: int) -> dict[str, str]:
    """Captions of the tables that the page shows."""
    what = f"Steps to error at d = {dimension}"
    spread = "median and range over seeds; ∞ is a censored value, not within the steps of the last column"
    return {
        "ranking": f"{what}, in runs of the lengths that all of these recipes were tried at: {spread}",
        "summary": f"{what}, in runs of any length: {spread}",
        "ratios": "Steps of the recipe of Garg et al. over those of fast, seed by seed; ≥ and ≤ are bounds from "
        "censored values",
        "runs": "Every run at its last evaluation, which is at the first crossing of the last threshold or at its end",
    }


def _measured(tables: Mapping[str, pd.DataFrame], dimension: int) -> str:
    curves, board = tables["curves"], tables["board"]
    return (
        f"Every recipe trains a transformer of the size tiny (3 layers, width 64) in float32 on d = {dimension}, N = "
        f"{2 * dimension}, with {plural(board['seed'].nunique(), 'seed')}. Steps to error are the steps after which "
        f"the mean of error/d over {int(curves['n'].iloc[0])} held-out prompts at {2 * dimension} examples is first "
        "seen at or below a threshold, looking every 2 % of a run. Warm-up, decay and curriculum are shares of a run; "
        "a recipe run at several lengths counts its best one, and goes to longer ones only while the last threshold is "
        "not reached. A threshold that no run reaches is censored: not within the longest length. Recipes are ranked "
        "by median steps over seeds, in runs of lengths that all of them were tried at; where their ranges overlap, "
        "they are not told apart. CPU seconds are of one process and include the evaluations. Garg et al. chose "
        "their rate, 1e−4, for 9.5 million weights, d = 20 and 500,000 steps; it is kept. Their curriculum starts "
        "at the same share of d and 2d + 1 and ends at the same share of the run as theirs at d = 20, N = 40."
    )


def _winners(ranking: pd.DataFrame, ratios: pd.DataFrame, dimension: int) -> tuple[str, list[str]]:
    """Who is first at the least threshold that some recipe reaches in the median seed, and who at the others."""
    groups = [group for _, group in ranking.groupby("threshold", sort=False)]
    reached = [group for group in groups if np.isfinite(group["median_steps"]).any()]
    chosen = min(reached or groups[:1], key=lambda group: group["threshold"].iloc[0])
    garg = ratios[ratios["threshold"] == chosen["threshold"].iloc[0]]
    return (
        f"Of {ranking['recipe'].nunique()} recipes that train a small transformer (d = {dimension}, at most "
        f"{ranking['within'].max():,} steps, {plural(ranking['seeds'].max(), 'seed')}), error/d {_first(chosen)}; that "
        f"of Garg et al. reaches it in {int(garg['steps_garg'].notna().sum())} of {plural(len(garg), 'seed')}, given "
        f"{int(garg['within_garg'].max()):,} steps.",
        [f"Error/d {'; '.join(_first(group) for group in groups if group is not chosen)}."] if groups[1:] else [],
    )


def _better(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The recipes whose last error is below that of fast in every seed; or that all are above it."""
    length, ends = tables["ranking"]["within"].max(), _ends(tables)
    ends = ends[ends["length"] == length]
    better = ends[ends["high"] < 1]
    if ends.empty or (better.empty and ends["low"].min() <= 1):
        return []
    head, count = f"After {length:,} steps the error of", plural(ends["seeds"].iloc[0], "seed")
    if better.empty:
        span = _span(ends["low"].min(), ends["high"].max())
        return [f"{head} every other recipe is {span} times that of 'fast' ({count}, above 1 in each)."]
    told = [f"'{row['recipe']}' is {_span(row['low'], row['high'])}" for _, row in better.iterrows()]
    return [f"{head} {_and(told)} of that of 'fast' ({count})."]


def _first(group: pd.DataFrame) -> str:
    """Who reaches a threshold first, with all whose range over seeds overlaps that of the first."""
    group = group.sort_values("median_steps", kind="stable")
    best = group.iloc[0]
    threshold = best["threshold"]
    if not np.isfinite(best["median_steps"]):
        some = " in the median seed" if group["reached"].any() else ""
        return f"{threshold:g} is not reached by any{some}"
    # One seed has no range: it tells nothing apart.
    near = np.isfinite(group["least_steps"]) & (
        (group["least_steps"] <= best["most_steps"]) | (group["seeds"].to_numpy() < 2)
    )
    names = [f"'{row['recipe']}' ({_steps(row['median_steps'])})" for _, row in group[near].iterrows()]
    text = f"{threshold:g} is reached first by {' or '.join(names)}"
    if len(names) > 1:
        text += ", not told apart"
    elif best["recipe"] != "fast":
        text += f", 'fast' {_steps(group.loc[group['recipe'] == 'fast', 'median_steps'].iloc[0])}"
    return text


def _longer(ranking: pd.DataFrame, summary: pd.DataFrame) -> list[str]:
    """What longer runs, which some of the ranked had, reach of the thresholds that no ranked run did."""
    open_ = [threshold for threshold, group in ranking.groupby("threshold", sort=False) if not group["reached"].any()]
    further = summary[summary["recipe"].isin(ranking["recipe"]) & (summary["within"] > ranking["within"].max())]
    if not open_ or further.empty:
        return []
    found = further[further["threshold"].isin(open_) & (further["reached"] > 0)]
    told = [
        f"'{row['recipe']}' reaches {row['threshold']:g} in {row['reached']} of {plural(row['seeds'], 'seed')}"
        for _, row in found.iterrows()
    ]
    names = _and([f"'{recipe}'" for recipe in further["recipe"].unique()])
    return [f"In longer runs, which only {names} had, {_and(told) or 'no further threshold is reached'}."]


def _ratio(ratios: pd.DataFrame, summary: pd.DataFrame, dimension: int) -> str:
    """What the recipe of Garg et al. takes to the first threshold; the table has it for the others."""
    group = ratios[ratios["threshold"] == ratios["threshold"].max()]
    text = (
        f"At d = {dimension} the recipe of Garg et al., at its own rate (not retuned for this size), reaches error/d "
        f"{group['threshold'].iloc[0]:g} in {int(group['steps_garg'].notna().sum())} of {plural(len(group), 'seed')}: "
        f"{_times(group)}."
    )
    same = summary[summary["recipe"] == "gpt2"]
    if len(same):
        text += (
            f" 'gpt2', which is 'fast' on their architecture, reaches {same['threshold'].iloc[0]:g} "
            f"{_steps(same['median_steps'].iloc[0])}."
        )
    return text


def _times(group: pd.DataFrame) -> str:
    """Ratios of one threshold; seeds that know them, those that bound them and those that do neither stand apart."""
    parts: list[str] = []
    for relation, own in group.groupby("relation", sort=False):
        low, high = own["ratio"].min(), own["ratio"].max()
        if relation == "unknown":
            told = "'fast' does not reach it either"
        else:
            known = {
                "=": _span(low, high),
                "≥": f"over {_bound(low, math.floor)}",
                "≤": f"under {_bound(high, math.ceil)}",
            }
            told = f"{known[str(relation)]} times the steps of 'fast'"
        parts.append(told if len(own) == len(group) else f"in {plural(len(own), 'seed')} {told}")
    return ", ".join(parts)


def _ends(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Each recipe's last error over that of fast, same seeds, at the longest length that all of both ran through.

    A run that stopped at the last threshold has no last error to compare.
    """
    runs, seeds = tables["runs"], tables["board"]["seed"].nunique()
    whole = runs[runs["step"] == runs["length"]]
    both = whole[whole["recipe"] == "fast"].merge(
        whole[whole["recipe"] != "fast"], on=["length", "seed"], suffixes=("_fast", "")
    )
    rows: dict[str, dict[str, float | str]] = {}
    for (length, recipe), same in both.groupby(["length", "recipe"], sort=True):
        if len(same) == seeds:
            values = same["error"] / same["error_fast"]
            typical = float(np.exp(np.log(values).mean()))
            rows[str(recipe)] = {"recipe": str(recipe), "length": int(str(length)), "typical": typical}
            rows[str(recipe)] |= {"low": values.min(), "high": values.max(), "seeds": seeds}
    ordered = [rows[recipe] for recipe in runs["recipe"].unique() if recipe in rows]
    return pd.DataFrame(ordered, columns=["recipe", "length", "typical", "low", "high", "seeds"])


def _ingredients(ends: pd.DataFrame) -> list[str]:
    parts = [
        f"after {length:,} steps "
        + ", ".join(
            f"{row['recipe']} {row['typical']:.3g} ({_span(row['low'], row['high'])})" for _, row in own.iterrows()
        )
        for length, own in ends.groupby("length")
    ]
    if not parts:
        return []
    return [
        "Error at the end of a run over that of 'fast' in runs of the same length and seed, geometric mean (range "
        f"over {plural(ends['seeds'].iloc[0], 'seed')}): {'; '.join(parts)}. Above 1 'fast' is better."
    ]


def _steps(median: float) -> str:
    return f"after {median:,.0f} steps" if np.isfinite(median) else "not in the median seed"


def _span(low: float, high: float) -> str:
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"


def _bound(ratio: float, towards: Callable[[float], int]) -> str:
    """Two digits of a bound, rounded to the side on which it holds."""
    place = 10.0 ** (math.floor(math.log10(ratio)) - 1)
    return f"{towards(ratio / place) * place:g}"


def _and(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
