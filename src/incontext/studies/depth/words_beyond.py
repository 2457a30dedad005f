"""Conclusions on rare prompts, algorithms, shifts and remedies, and the lines for the first page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from incontext.foundations import format_number, plus_minus
from incontext.studies.depth.contexts import PLAIN, RANDOM, TRACE
from incontext.studies.depth.forms import GD_PLUS
from incontext.studies.depth.limit import descent_limit, trace_limit
from incontext.studies.depth.measures import CUT
from incontext.studies.depth.models import LINEAR, SOFTMAX, Model
from incontext.studies.depth.references import LEAST_SQUARES
from incontext.studies.depth.verdicts import BETTER, HEAVY, WORSE, percent, says, tally
from incontext.studies.depth.views import FACTOR, PART

# Bootstrap samples that have to agree on the nearest algorithm, distances that count as near, and errors below which
# there is only rounding.
_SURE, _NEAR, ROUNDING = 0.95, 0.1, 1e-12
# Standard errors on each side of a 95 % interval.
_WIDTH = 1.96
ALGORITHMS = (
    "Nearest classical algorithm at position N: mean squared distance over the mean squared target, near if at most a "
    "tenth; bootstraps: share of samples in which it is the nearest; as near: others in 5 % of them. Tied linear "
    "layers with scalar weights are GD++ with two constants, so their distance to it tests the code"
)
TOLERATED = (
    "Shifts of the inputs' law that untied models tolerate: mean and median error over E tr Λ of the test law at most "
    f"{FACTOR:g} times the unshifted plus {PART:g}; a model whose own mean error is 1 or more tolerates none"
)


def algorithms(table: pd.DataFrame) -> str:
    """What the untied models are nearest to at position N, and what follows from accuracy or form alone."""
    untied = table[table["model"].str.contains(", untied, ")]
    parts = []
    for attention in (LINEAR, SOFTMAX):
        own = untied[untied["model"].str.startswith(attention)]
        sure = own[own["near"].astype(bool) & (own["bootstraps"] >= _SURE)]
        families = sure["nearest"].map(lambda name: str(name).partition(",")[0]).value_counts()
        listed = f" ({', '.join(f'{name} {count}' for name, count in families.items())})" if len(sure) else ""
        parts.append(f"{len(sure)} of {len(own)} {attention} models{listed}")
    near = untied[untied["near"].astype(bool)]
    exact = int((near[f"distance to {LEAST_SQUARES}"] <= _NEAR).sum())
    return (
        f"Of untied layers, {' and '.join(parts)} have one nearest classical algorithm in {percent(_SURE)} of "
        f"bootstraps. That {len(near)} of {len(untied)} are within a tenth of one says less: {exact} are so near to "
        "least squares, which is exact here, so that accuracy suffices, and one linear layer is a step of descent by "
        "its form."
    )


def shifts(shifted: pd.DataFrame) -> str:
    """Linear against softmax attention under shifts of the inputs' law, and how many each tolerates."""
    linear, soft = (
        shifted[shifted["attention"] == name].set_index(["law", "layers", "test"]) for name in (LINEAR, SOFTMAX)
    )
    soft = soft.loc[linear.index]
    mean, median = (int((linear[column] < soft[column]).sum()) for column in ("error", "median"))
    tests = linear.reset_index()["test"]
    larger = np.asarray(pd.to_numeric(tests.str.removeprefix("c = "), errors="coerce") > 1)
    kept = [(int(own["tolerated"].sum()), int(own["tolerated"][larger].sum())) for own in (linear, soft)]
    return (
        f"Under shifts of the inputs' law untied linear attention has a smaller mean error than softmax in {mean} of "
        f"{len(linear)} cases, a smaller median in {median}. Against its own error, which excuses the worse model, it "
        f"tolerates {kept[0][0]} shifts and softmax {kept[1][0]}; of {larger.sum()} larger covariances cΛ, c > 1, "
        f"{kept[0][1]} and {kept[1][1]}."
    )


def rare(every: pd.DataFrame, settings: dict[str, Any]) -> str:
    """Untied models that are worse than the zero estimator on fresh prompts of random covariances, if any."""
    linear = every[(every["law"] == RANDOM) & (every["attention"] == LINEAR) & (every["weights"] == "untied")]
    rows = linear[linear["error"] > 1]
    if rows.empty:
        return ""
    carried = " on rare fresh prompts" if (rows["worst"] > HEAVY).all() else ""
    text = (
        f"Untied fits of L = {_and([str(layers) for layers in rows['layers']])} are worse than predicting 0{carried}: "
        f"mean errors {_and([_mean(row, 1, settings) for _, row in rows.iterrows()])}{_capped(rows, settings)}, "
        f"medians {_and([_brief(median) for median in rows['median']])}, training errors "
        f"{_and([_brief(error) for error in rows['on training contexts']])} ({settings['n_prompts']:,} contexts)."
    )
    fewer = linear[linear["layers"] < rows["layers"].min()]
    if len(fewer):
        best = fewer.sort_values("error").iloc[0]
        text += (
            f" A layer can do nothing, so the best error is at most the {_brief(best['error'])} of L = "
            f"{best['layers']}: the fit fails, not depth."
        )
    return text


def _beyond_cut(row: pd.Series, scale: float, settings: dict[str, Any]) -> int:
    """At most so many prompts have errors that count as ``CUT``."""
    return int(row["error"] * row["n"] * scale * settings["dimension"] / CUT * (1 + 1e-9))


def _capped(rows: pd.DataFrame, settings: dict[str, Any]) -> str:
    told = [
        f"{count} of {row['n']:,} prompts at L = {row['layers']}"
        for _, row in rows.iterrows()
        if (count := _beyond_cut(row, 1, settings))
    ]
    return f" (beyond {_brief(CUT)}: at most {_and(told)})" if told else ""


def _cut(row: pd.Series, scale: float, settings: dict[str, Any]) -> bool:
    """Whether prompts that count as ``CUT`` may set a mean, which then is a lower bound: one of them would do."""
    return _beyond_cut(row, scale, settings) > 0


def _mean(row: pd.Series, scale: float, settings: dict[str, Any]) -> str:
    return f"at least {_brief(row['error'])}" if _cut(row, scale, settings) else _measured(row)


def beyond(errors: pd.DataFrame, settings: dict[str, Any]) -> str:
    """What every layer of linear attention does to the median error on a fourfold covariance."""
    return f"On covariance 4Λ {_medians(errors, settings)}." if len(settings["depths"]) > 1 else ""


def _at_four(errors: pd.DataFrame, settings: dict[str, Any], law: str) -> pd.DataFrame:
    """Untied linear models on a fourfold covariance, by depth."""
    names = [Model(law, LINEAR, GD_PLUS, False, layers).name for layers in sorted(settings["depths"])]
    return errors[(errors["law"] == law) & (errors["test"] == "c = 4")].set_index("name").loc[names]


def _further(errors: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    """What every further layer does to the mean at c = 4."""
    found = []
    for law in settings["laws"]:
        rows = [row for _, row in _at_four(errors, settings, law).iterrows()]
        for layers, before, after in zip(sorted(settings["depths"])[1:], rows, rows[1:], strict=False):
            difference = after["error"] - before["error"]
            reach = _WIDTH * (before["stderr"] + after["stderr"])  # at least that of the pairs, which are not kept
            low = -np.inf if _cut(before, 4, settings) else difference - reach
            high = np.inf if _cut(after, 4, settings) else difference + reach
            found.append({"law": law, "layers": layers, "says": says(low, high)})
    return pd.DataFrame(found, columns=["law", "layers", "says"])


def _medians(errors: pd.DataFrame, settings: dict[str, Any]) -> str:
    """Laws under which every layer raises the median error at c = 4, and what median and mean do under others."""
    rises, parts = [], []
    for law in settings["laws"]:
        rows = _at_four(errors, settings, law)
        one, last = rows.iloc[0], rows.iloc[-1]
        if np.all(np.diff(rows["median"]) > 0):
            rises.append(law)
            continue
        count = _beyond_cut(last, 4, settings)
        means = (
            f"errors above {_brief(CUT)} set the mean at L = {max(settings['depths'])} (at most "
            f"{percent(count / last['n'])} of prompts)"
            if count
            else f"the mean goes from {_measured(one)} to {_measured(last)}"
        )
        parts.append(
            f"under {law} the median goes from {_brief(one['median'])} to {_brief(last['median'])}, while {means}"
        )
    return "; ".join(([f"every layer raises the median under {_and(rises)}"] if rises else []) + parts)


def _and(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def remedies(table: pd.DataFrame) -> str:
    """What normalising by the context does together with depth, with and without label noise."""
    rows = table[(table["law"] == RANDOM) & (table["scale"] == 1)]
    parts = []
    for noise, own in rows.groupby("noise"):
        at = _by_remedy(own)
        if (TRACE, 2) in at:
            parts.append(f"{_verdict(at[TRACE, 2])} with label noise {noise:g}")
    return (
        f"Against one plain layer under {RANDOM}, two on inputs normalised by tr Λ̂ are {_and(parts)} (table of "
        "remedies)."
        if parts
        else ""
    )


def _by_remedy(rows: pd.DataFrame) -> dict[tuple[str, int], pd.Series]:
    return {(str(row["remedy"]), int(row["layers"])): row for _, row in rows.iterrows()}


def _verdict(row: pd.Series) -> str:
    reach = _WIDTH * row["gain_stderr"]
    return says(row["gain"] - reach, row["gain"] + reach)


def _brief(number: float) -> str:
    return "0 up to rounding" if abs(number) < ROUNDING else format_number(float(f"{number:.2g}"))


def _measured(row: pd.Series) -> str:
    return plus_minus(row["error"], row["stderr"])


def how_remedied(settings: dict[str, Any]) -> str:
    """What the remedies are worth in principle."""
    d = settings["dimension"]
    return (
        "Remedies: of the failure of §4.3, normalising by tr Λ̂ removes a part that vanishes in high dimension: for "
        f"N → ∞ one layer so normalised keeps 1 − 2(d + 2)/(3(d + 1)), {trace_limit(d):.4f} at this d, and 1/3 again "
        "as d grows. Normalising every coordinate removes the failure for "
        "N → ∞, but only because these covariances are diagonal. Whitening makes one layer ridge regression: it hands "
        "over the solution, and what is learned is a penalty."
    )


def summary(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> list[str]:
    """Lines for the first page; the first stands alone there."""
    limit = tables["limit"]
    curved = limit[(limit["form"] == GD_PLUS) & ~limit["tied"]].sort_values("layers")
    last = curved.iloc[-1]
    said = (
        "more layers of linear attention lessen the failure of §4.3, though no finite number removes it"
        if np.all(np.diff(curved["error"]) < 0)
        else "more layers of linear attention did not always lessen the failure of §4.3"
    )
    layers = int(last["layers"])
    lines = [
        f"Found: under random covariances, N → ∞, {said}: one keeps 1/3 of the error of predicting 0, the best "
        f"{layers} found {last['error']:.2g}, {layers} steps of gradient descent {descent_limit(layers):.2g}."
    ]
    random = tables["remedies"]
    at = _by_remedy(random[(random["law"] == RANDOM) & (random["noise"] == 0) & (random["scale"] == 1)])
    if (TRACE, 2) in at:
        lines.append(_normalised(at[TRACE, 2], at[TRACE, 1], at[PLAIN, 1]))
    steps = _further(tables["errors"], settings)
    if len(steps):
        lower, higher, open_ = tally(steps)
        lines.append(
            f"{'Found' if lower + higher else 'Undecided'}: on a fourfold covariance a further layer of linear "
            f"attention raises the mean error in {higher} of {len(steps)} steps, lowers it in {lower} and leaves "
            f"{open_} undecided."
        )
    return lines


def _normalised(two: pd.Series, one: pd.Series, plain: pd.Series) -> str:
    """Two layers on inputs normalised by tr Λ̂ against one of either kind: depth and scaling both count."""
    reach = _WIDTH * (two["stderr"] + one["stderr"])
    difference = two["error"] - one["error"]
    verdicts = {_verdict(two), says(difference - reach, difference + reach)}
    whose = f"{_measured(one)} of one so normalised and {_measured(plain)} of one plain"
    if verdicts <= {BETTER, WORSE}:
        return (
            "Found: under random covariances two layers on inputs normalised by tr Λ̂ have error "
            f"{_measured(two)}, against {whose}."
        )
    return (
        "Undecided: whether under random covariances two layers on inputs normalised by tr Λ̂ beat one of either kind: "
        f"{_measured(two)}, against {whose}."
    )
