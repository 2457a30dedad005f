"""What the study of finite data says, computed from its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from iclab.foundations import plus_minus
from iclab.studies.finite_prompt_words import (
    as_power,
    fitted_of,
    interval_of,
    on_noise,
    on_prompts,
    power_in_prompts,
)
from iclab.studies.finite_prompts import FIXED, RANDOM
from iclab.studies.finite_tasks import DMMSE, FRESH, LEAST_SQUARES, LSA, MODEL, POOL, RIDGE

if TYPE_CHECKING:
    from iclab.studies.finite_data import FiniteDataSettings

# Share of bootstrap samples from which on a nearest algorithm is named.
_CERTAIN = 0.95


def sentences(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    """The paragraphs of the section."""
    return [
        *on_prompts(tables, settings),
        on_noise(tables),
        _on_layers(tables, settings),
        *_on_transformers(tables["transformers"], settings),
        *_on_lengths(tables, settings),
    ]


def summary(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    """Lines for the first page."""
    best = tables["best_lengths"]
    within, cells = _within(tables["exact"])
    law, m, n, cost = _costliest(best)
    lines = [
        f"{'Confirmed' if within == cells else 'Refuted'}: the error is at most Corollary 6's bound, O(1/M + 1/N²), on "
        f"{within} of {cells} combinations of Λ, N and M (fixed Λ, d = {settings.dimension}, exact).",
        f"Found: training on longer prompts than those of the test costs up to {cost:.2g} times the least error "
        f"({law}, M = {m}, N = {n}); N = M is best, as its risk is the loss that is minimised.",
    ]
    lines += power_in_prompts(tables, settings)
    ridge, others, ratios = _near_ridge(tables["transformers"], settings.n_train)
    if ridge or others:
        where = f"at K = {ridge}, with {ratios} times its error" if ridge else f"at no K tried ({others})"
        if ridge and others:
            where += f", but not at {others}"
        seeds = len(settings.training_seeds)
        trainings = f"{seeds} training{'s' if seeds > 1 else ''} per K"
        lines.append(
            "Found: on fresh tasks GPT-2 trained on K tasks is nearer to ridge than to dMMSE (the pool's Bayes "
            f"predictor), least squares or LSA {where} (d = {settings.dimension}, N = M = {settings.n_train}, "
            f"{settings.noise:g} label noise, {trainings})."
        )
    return lines


def captions(settings: FiniteDataSettings) -> dict[str, str]:
    """Captions of the tables that the page prints."""
    return {
        "exponents": "Exponents with 95 % Student intervals of the jackknife over n independent replicates, and what "
        "leading orders, or exact values over the same lengths, say",
        "coefficients": f"Fixed Λ of trace {settings.dimension}: N² times the floor, Σ(l_i + t)²/l_i, and Corollary "
        "6's coefficient of 1/N²; M times what is above the floor, and (d + 1)trΛ",
        "best_lengths": "The best N of the grid and of M − 1, M, M + 1 for every M, and what the longest costs",
    }


def _on_layers(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> str:
    means = tables["pooled_layer"].groupby("n_tasks")[["pool", "fresh", "infinite_pool", "excess"]].mean()
    fitted = fitted_of(tables["exponents"])
    zero = settings.dimension
    relative = means["excess"] / zero
    # From the last K with a larger excess on, not from the first with a smaller one.
    enough = relative[(relative < 0.1)[::-1].cummin()[::-1]]
    text = (
        "The linear layer trained on a pool of K tasks depends on them only through their second moment, exactly "
        f"(w21^PV = w21^KQ = 0). On fresh tasks its mean error over {settings.n_pools} pools exceeds that of endless "
        "tasks "
        f"{as_power('K', fitted, 'layer on a pool, fresh tasks: in K')}"
    )
    if len(enough):
        count = int(enough.index.min())
        text += f", and by less than a tenth of the zero estimator's error from K = {count} = {count / zero:.2g} d on"
    one = means.iloc[0]
    return text + (
        f"; at K = {int(means.index[0])} its error/d (the mean squared error over d: 1 for predicting zero) is "
        f"{one['fresh'] / zero:.2g} on fresh tasks and "
        f"{one['pool'] / zero:.2g} on the pool. It cannot memorise more of a pool than a covariance."
    )


def _on_transformers(table: pd.DataFrame, settings: FiniteDataSettings) -> list[str]:
    at = table[table["position"] == settings.n_train]
    pools, fresh = at[at["tasks"] == POOL], at[at["tasks"] == FRESH]

    def errors(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.pivot_table(index="n_tasks", columns="predictor", values="error", dropna=False)

    lines = []
    if len(pools):
        found = errors(pools)
        listed = "; ".join(
            f"K = {int(k)}: {row[MODEL]:.2g} ({DMMSE} {row[DMMSE]:.2g}, {RIDGE} {row[RIDGE]:.2g}, {LSA} {row[LSA]:.2g})"
            for k, row in zip(found.index.to_numpy(), found.to_dict("records"), strict=True)
        )
        beats = int((found[MODEL] < found[RIDGE]).sum())
        lines.append(
            f"GPT-2 trained on K tasks with label noise {settings.noise:g} (d = {settings.dimension}, N = M = "
            f"{settings.n_train}; {DMMSE}: the pool's Bayes predictor), error/d on tasks of the "
            f"pool: {listed}. It beats ridge there on {beats} of "
            f"{len(found)} pools."
        )
    own = (
        at[at["predictor"] == MODEL].groupby(["tasks", "n_tasks"], dropna=False).agg({"error": "mean", "stderr": "max"})
    )
    named = "; ".join(
        f"{'endless' if np.isnan(k) else f'K = {int(k)}'}: {own.loc[FRESH]['error'].loc[k]:.2g}, {name} "
        f"({distance:.2g}; {share:.0%})"
        for k, name, distance, share in _nearest(fresh)
    )
    lines.append(
        "On fresh tasks, GPT-2's error/d and the nearest algorithm (distance; share of bootstrap samples of the "
        f"prompts): {named}."
    )
    ridge, others, ratios = _near_ridge(table, settings.n_train)
    if ridge:
        lines[-1] += (
            f" At the finite K where that is ridge with at least {_CERTAIN:.0%} its error is {ratios} times ridge's."
        )
    elif others:
        lines[-1] += f" At no K is it ridge with at least {_CERTAIN:.0%}."
    if len(pools):
        lines[-1] += f" {_known_pools(own)}"
    ends = fresh[np.isnan(fresh["n_tasks"])].groupby("predictor").agg({"error": "mean", "stderr": "max"})
    if len(ends):
        errors_of = {
            name: plus_minus(ends["error"].loc[name], ends["stderr"].loc[name])
            for name in (MODEL, RIDGE, LEAST_SQUARES)
        }
        lines[-1] += (
            f" Trained on endless tasks it has error/d {errors_of[MODEL]}, ridge {errors_of[RIDGE]}, least squares "
            f"{errors_of[LEAST_SQUARES]}."
        )
    return lines


def _known_pools(own: pd.DataFrame) -> str:
    """At which K the error on the pool is lower than on fresh tasks, beyond what the prompts explain."""
    pool = own.loc[POOL]
    fresh = own.loc[FRESH].loc[pool.index]
    gap, reach = fresh["error"] - pool["error"], 1.96 * np.hypot(pool["stderr"], fresh["stderr"])
    known, others = _listed(gap.index[gap > reach]), _listed(gap.index[gap <= reach])
    if not known:
        return "At no K is its error on its pool lower by over 1.96 standard errors."
    return f"Its error on its pool is lower, by over 1.96 standard errors, at K = {known}: there it knows its pool" + (
        f"; not at {others}." if others else "."
    )


def _listed(counts: Iterable[float]) -> str:
    return ", ".join(f"{int(k)}" for k in counts)


def _nearest(rows: pd.DataFrame) -> list[tuple[float, str, float, float]]:
    """Per K: the nearest classical algorithm on average over training seeds, its distance, its least frequency."""
    found = []
    for k, part in rows[rows["predictor"] != MODEL].groupby("n_tasks", dropna=False):
        means = part.groupby("predictor")["distance"].mean()
        name = str(means.idxmin())
        share = float(part[part["predictor"] == name]["frequency"].min())
        found.append((float(k), name, float(means.min()), share))  # type: ignore[arg-type]
    return found


def _near_ridge(table: pd.DataFrame, position: int) -> tuple[str, str, str]:
    """Finite K at which ridge is the nearest on fresh tasks, with certainty; the others; errors over ridge's."""
    rows = table[(table["tasks"] == FRESH) & (table["position"] == position) & np.isfinite(table["n_tasks"])]
    found = {k: name == RIDGE and share >= _CERTAIN for k, name, _, share in _nearest(rows)}
    ridge, others = [k for k, held in found.items() if held], [k for k, held in found.items() if not held]
    if not ridge:
        return "", _listed(others), ""
    errors = rows.pivot_table(index="n_tasks", columns="predictor", values="error")
    ratios = [f"{ratio:.2g}" for ratio in sorted((errors[MODEL] / errors[RIDGE]).loc[ridge])]
    return _listed(ridge), _listed(others), " to ".join(dict.fromkeys([ratios[0], ratios[-1]]))


def _within(exact: pd.DataFrame) -> tuple[int, int]:
    """On how many lengths and fixed Λ the error is at most Corollary 6's bound, and of how many."""
    rows = exact[exact["bound"].notna()]
    return int((rows["error"] <= rows["bound"] * (1 + 1e-12)).sum()), len(rows)


def _costliest(best: pd.DataFrame) -> tuple[str, int, int, float]:
    """Law, M, largest N and its cost, where it costs most."""
    costs = best["error_at_largest_N"] / best["error"]
    row = best.iloc[int(costs.argmax())]
    return str(row["law"]), int(row["M"]), int(row["largest_N"]), float(costs.max())


def _on_lengths(tables: Mapping[str, pd.DataFrame], settings: FiniteDataSettings) -> list[str]:
    d, slopes, best, coefficients = settings.dimension, tables["slopes"], tables["best_lengths"], tables["coefficients"]
    floor = slopes[(slopes["what"] == "floor in N") & (slopes["law"] == FIXED)]
    xs, steps = floor["x"].to_numpy(), floor["slope"].to_numpy()
    above = slopes[slopes["what"] == "above the floor in M"].dropna()["slope"]
    diagonal = slopes[(slopes["what"] == "N = M") & (slopes["law"] == FIXED)].dropna()
    fitted = fitted_of(tables["exponents"])
    within, cells = _within(tables["exact"])
    limit = float(tables["exact"].set_index("law")["limit"].loc[RANDOM].iloc[0])
    law, m, n, cost = _costliest(best)
    isotropic = _costliest(best[best["law"] == FIXED])
    loosest = (coefficients["bound_N2"] / coefficients["N2_floor"]).max()
    exact = float((coefficients["N2_floor"] / coefficients["sum_of_squares"] - 1).abs().max())
    measured = tables["measured"]
    pairs = measured.groupby(["N", "M"]).agg(mean=("mean", "mean"), error=("mean", "sem"), exact=("exact", "first"))
    counts = [len(level) for level in pairs.index.levels]  # type: ignore[attr-defined]
    largest = float(((pairs["mean"] - pairs["exact"]) / pairs["error"]).abs().max())
    return [
        f"Train length N against test length M (d = {d}): for every law the error is a floor plus C(N)/M, so that "
        f"above the floor the exponent in M is −1 exactly (on the theory's values {above.min():.6f} to "
        f"{above.max():.6f}, four laws). For fixed Λ the floor is A(N)/N²; for {RANDOM} it falls to {limit:.4g}, not "
        "to 0. For Λ = I its exponent between neighbours of the grid, near −2N/(N + d + 1), goes from "
        f"{steps[1]:.2f} ({xs[0]:g} to {xs[1]:g}) to {steps[-1]:.3f} ({xs[-2]:g} to {xs[-1]:g}); at condition 100 the "
        f"last is {_last(slopes, 'condition 100'):.2f}: 1/N² "
        f"needs N much larger than tr Λ over the smallest eigenvalue. Along N = M the exponent for Λ = I goes from "
        f"{diagonal['slope'].iloc[0]:.2f} to {diagonal['slope'].iloc[-1]:.3f}.".replace("-", "−"),
        f"For fixed Λ, A(N) tends to A = Σ(l_i + t)²/l_i, t = tr Λ (to {exact:.1e} at N = 10⁵), of which "
        f"Corollary 6's coefficient is up to {loosest:.2g} times over the Λ tried; that of 1/M is (d + 1)t, as in the "
        f"bound. The error is at most the bound on {within} of {cells} combinations of Λ, N and M. But C depends on N "
        "as well: error = (d + 1)t/M + A(1/N² − 2/(NM)) + …, and at N = M the second term is negative: −A/M².",
        "The loss minimised at N is the risk at M = N, so the best N is M, whatever the law (checked on "
        f"{int((best['best_N'] == best['M']).sum())} of {len(best)} pairs of law and M). At fixed M a longer N hurts, "
        "as Γ then corrects too little for the noise of Λ̂: for fixed Λ the error grows by A(1/N − 1/M)² to leading "
        f"order. The longest N costs up to a factor {cost:.3g} ({law}, M = {m}, N = {n}), for Λ = I "
        f"{isotropic[-1]:.3g}. Corollary 6's bound falls with N at every M; the error itself does so only while N < M.",
        f"Layers trained by gradient descent (Λ = I) and tested on {settings.n_prompts:,} prompts (seed "
        f"{settings.seed}) agree with the exact errors to {largest:.1f} standard errors over {counts[0]} "
        f"train and {counts[1]} test lengths of the same prompts; "
        + "; ".join(
            f"{what.removeprefix('trained layer, ')}: {interval_of(fitted[what])}"
            for what in fitted
            if what.startswith("trained layer")
        )
        + ".",
    ]


def _last(slopes: pd.DataFrame, law: str) -> float:
    """Local exponent of the floor at the largest N."""
    return float(slopes[(slopes["what"] == "floor in N") & (slopes["law"] == law)]["slope"].iloc[-1])
