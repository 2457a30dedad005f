"""What the study of initialisation, step size and noise says, computed from its tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from iclab.flow.ensemble import LOCAL, SADDLE, UNFINISHED
from iclab.foundations import plural
from iclab.studies.exponents import regressed

# Relative excess below which descent has settled at a minimum.
SETTLED = 1e-6


def sentences(tables: Mapping[str, pd.DataFrame], descents: Mapping[str, tuple[int, int]]) -> list[str]:
    """The paragraphs of the section; ``descents`` holds d and N of the runs of descent, by law."""
    ends, scales, rates, sgd = tables["ends"], tables["scales"], tables["rates"], tables["sgd"]
    by_size = ends.groupby("size")[["failures", "n"]].sum()
    n, counts = (
        int(by_size["n"].iloc[0]),
        ", ".join(f"{int(k)} at {size:g}σ" for size, k in by_size["failures"].items()),
    )
    found = [
        f"Of {n} starts from Assumption 3 (σ at half the paper's threshold) for each size of Gaussian noise "
        f"on every parameter, gradient flow misses the global minimum from {counts} of noise.",
        _worst(ends),
    ]
    stopped = {kind: int(ends[kind].sum()) for kind in (LOCAL, SADDLE, UNFINISHED)}
    found.append(
        f"Of all {int(ends['n'].sum())} starts, {stopped[LOCAL]} end at a local minimum that is not global (Hessian "
        f"positive up to symmetry) and {stopped[SADDLE]} at a saddle; {stopped[UNFINISHED]} were still moving when "
        "stopped and count as neither. Problems of one d and N share their draws, so sums over them have no interval."
    )
    exact, moved = above_threshold(scales)
    failed, started = int(exact["failures"].sum()), int(exact["n"].sum())
    reason = "" if failed else " (with u12 = u21 = 0 the threshold is not needed)"
    found.append(
        f"With σ above the threshold, up to {scales['ratio'].max():g} times it, {failed} of {started} starts of "
        f"Assumption 3 fail{reason}; with every parameter given noise of "
        f"{moved['size'].max():g}σ as well, {int(moved['failures'].sum())} of {int(moved['n'].sum())} do."
    )
    found.extend(_on_rates(law, rows, *descents[str(law)]) for law, rows in rates.groupby("law", sort=False))
    found.extend(_on_sgd(law, rows) for law, rows in sgd.groupby("law", sort=False))
    return found


def above_threshold(scales: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The starts with σ above the threshold: of Assumption 3, and with every parameter moved."""
    above = scales[scales["ratio"] > 1]
    return above[above["size"] == 0], above[above["size"] > 0]


def _worst(ends: pd.DataFrame) -> str:
    """The problem and the sizes of noise where most starts fail, all of them where several do."""
    worst = ends[(ends["rate"] == ends["rate"].max()) & (ends["failures"] > 0)]
    if worst.empty:
        return f"With noise of up to {ends['size'].max():g}σ no start fails."
    row = worst.iloc[0]
    keys = ["law", "dimension", "n_train", "condition"]
    same = worst[(worst[keys] == row[keys]).all(axis="columns")]
    errors = dict.fromkeys(f"{error:.3g}" for error in same["failed_error"])
    others = len(worst.drop_duplicates(keys)) - 1
    more = f"; as many on {plural(others, 'other problem')}" if others else ""
    return (
        f"The most failures: {int(row['failures'])} of {int(row['n'])} starts with noise of "
        f"{' or '.join(f'{size:g}σ' for size in same['size'])} ({row['law']}, d = {int(row['dimension'])}, N = "
        f"{int(row['n_train'])}, condition {row['condition']:g}{more}); their median error per dimension is "
        f"{' and '.join(errors)}, where the minimum has {row['best_error']:.3g}."
    )


def _on_rates(law: object, rates: pd.DataFrame, d: int, n_train: int) -> str:
    first = rates.iloc[0]
    beyond = rates[rates["rate"] > first["limit_all"]]
    exact = beyond[(beyond["start"] == "Assumption 3") & (beyond["rate"] < first["limit_u_U"])]
    above = rates[(rates["start"] == "Assumption 3") & (rates["rate"] > first["limit_u_U"])]
    lost = above[above["diverged"] | (above["excess"] >= SETTLED)]
    wander = lost[~lost["diverged"]]["excess"]
    perturbed = beyond[beyond["start"] != "Assumption 3"]
    moved = perturbed[perturbed["excess"] < SETTLED]
    flatter = int((moved["limit_at_end"] > moved["rate"]).sum())
    return (
        f"Descent on all parameters is stable up to η = {first['limit_all']:.4g}, on (u, U) alone up to "
        f"{first['limit_u_U']:.4g} ({law}, condition 1, d = {d}, N = {n_train}): between the two, "
        f"{int((exact['excess'] < SETTLED).sum())} of {len(exact)} runs from Assumption 3 converge; "
        f"above both, {len(above) - len(lost)} of {len(above)} converge and {int(lost['diverged'].sum())} diverge"
        + (f", {len(wander)} staying at {_values(wander)} of the gain above the minimum" if len(wander) else "")
        + "; "
        f"of the {len(perturbed)} perturbed runs above the first limit, "
        f"{int(perturbed['diverged'].sum())} diverge and {len(moved)} settle at a minimum, {flatter} of these at one "
        "flat enough for their step."
    )


def _on_sgd(law: object, sgd: pd.DataFrame) -> str:
    finite = sgd[np.isfinite(sgd["gap"])]
    text = f"SGD against the flow at a fixed time ({law}): {int(sgd['diverged'].sum())} of {int(sgd['n'].sum())} runs "
    text += f"diverge; the gap lies between {finite['gap'].min():.3g} and {finite['gap'].max():.3g} over the batch "
    text += "sizes and rates tried"
    return f"{text}{_powers(finite)}."


def _powers(sgd: pd.DataFrame) -> str:
    """How the gap goes with the step size and the batch size, fitted apart."""
    predictors = sgd[["rate", "batch_size"]]
    if len(sgd) < 4 or predictors.nunique().min() < 2:
        return ""
    own = regressed(predictors, sgd["gap"])
    text = f". Over the {len(sgd)} pairs without divergence "
    if any(one.low <= 0 <= one.high for one in own):
        return f"{text}it is too noisy to tell how it goes with either"
    parts = [
        f"{name}^{str(one)[:-1]}, which {'contains' if one.low <= power <= one.high else 'excludes'} {power:g})"
        for name, one, power in zip(("η", "(batch size)"), own, (0.5, -0.5), strict=True)
    ]
    return f"{text}it goes as {' and '.join(parts)}; small independent noise gives 0.5 and -0.5".replace("-", "−")


def _values(excess: pd.Series) -> str:
    return ", ".join(f"{value:.2g}" for value in excess)
