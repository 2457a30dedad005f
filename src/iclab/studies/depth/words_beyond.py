"""Conclusions on rare prompts, algorithms, shifts and remedies, and the lines for the first page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import format_number, plus_minus
from iclab.studies.depth.contexts import PLAIN, RANDOM, TRACE
from iclab.studies.depth.forms import GD_PLUS
from iclab.studies.depth.limit import descent_limit, trace_limit
from iclab.studies.depth.measures import CUT
from iclab.studies.depth.models import LINEAR, SOFTMAX, Model
from iclab.studies.depth.references import LEAST_SQUARES
from iclab.studies.depth.verdicts import HEAVY, UNDECIDED, WIDTH, beyond_cut, least, percent, tally, verdict
from iclab.studies.depth.views import DOUBLED

# Bootstrap samples that have to agree on the nearest algorithm, distances that count as near, and errors below which
# there is only rounding.
_SURE, _NEAR, ROUNDING = 0.95, 0.1, 1e-12
ALGORITHMS = (
    "Nearest classical algorithm at position N: mean squared distance over the mean squared target, near if at most a "
    "tenth; bootstraps: share of samples in which it is the nearest; as near: others in 5 % of them. Tied linear "
    "layers with scalar weights are GD++ with two constants, so their distance to it tests the code"
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
    """Linear against softmax attention under shifts of the inputs' law, and each against itself."""
    linear, soft = (
        shifted[shifted["attention"] == name].set_index(["law", "layers", "test"]) for name in (LINEAR, SOFTMAX)
    )
    soft = soft.loc[linear.index]
    mean, median = (int((linear[column] < soft[column]).sum()) for column in ("error", "median"))
    return (
        f"Under shifts of the inputs' law untied linear attention has a smaller mean error than softmax in {mean} of "
        f"{len(linear)} cases, a smaller median in {median}. Mean and median are at most twice its own in "
        f"{linear[DOUBLED].sum()} cases, those of softmax in {soft[DOUBLED].sum()}, which excuses the worse model."
    )


def rare(every: pd.DataFrame, settings: dict[str, Any]) -> str:
    """Untied models that are worse than the zero estimator on fresh prompts of random covariances, if any."""
    linear, rows = _exploding(every)
    if rows.empty:
        return ""
    carried = " on rare fresh prompts" if (rows["worst"] > HEAVY).all() else ""
    depths = enumerated([str(layers) for layers in rows["layers"]])
    text = (
        f"Untied fits of L = {depths} are worse than predicting 0{carried}: "
        f"mean errors {enumerated([_mean(row, settings) for _, row in rows.iterrows()])}{_capped(rows, settings)}, "
        f"medians {enumerated([_brief(median) for median in rows['median']])}, training errors "
        f"{enumerated([_brief(error) for error in rows['on training contexts']])} ({settings['n_prompts']:,} contexts)."
    )
    fewer = linear[linear["layers"] < rows["layers"].min()]
    if len(fewer):
        best = fewer.sort_values("error").iloc[0]
        text += (
            " A layer can do nothing, so the error of the best weights is at most the "
            f"{_brief(best['error'])} of L = {best['layers']}"
        )
        overfit = (rows["on training contexts"] < best["on training contexts"]).all()
        text += ". These fits are better on their contexts: overfitting, not a limit of depth." if overfit else "."
    return text


def _exploding(every: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Untied linear models of random covariances, and those of them that are surely worse than the zero estimator."""
    linear = every[(every["law"] == RANDOM) & (every["attention"] == LINEAR) & (every["weights"] == "untied")]
    bounds = [max(row["error"] - WIDTH * row["stderr"], least(row)) for _, row in linear.iterrows()]
    return linear, linear[np.array(bounds) > 1]


def _capped(rows: pd.DataFrame, settings: dict[str, Any]) -> str:
    told = [
        f"{count} of {row['n']:,} prompts at L = {row['layers']}"
        for _, row in rows.iterrows()
        if (count := beyond_cut(row, settings["dimension"]))
    ]
    return f" (beyond {_brief(CUT)}: at most {enumerated(told)})" if told else ""


def _mean(row: pd.Series, settings: dict[str, Any]) -> str:
    return f"at least {_brief(row['error'])}" if beyond_cut(row, settings["dimension"]) else _measured(row)


def beyond(errors: pd.DataFrame, settings: dict[str, Any]) -> str:
    """What depth does to the mean on a fourfold covariance where layers do not all raise the median."""
    return f"On covariance 4Λ {told}." if (told := _medians(errors, settings)) else ""


def _at_four(errors: pd.DataFrame, settings: dict[str, Any], law: str) -> pd.DataFrame:
    """Untied linear models on a fourfold covariance, by depth."""
    names = [Model(law, LINEAR, GD_PLUS, False, layers).name for layers in sorted(settings["depths"])]
    return errors[(errors["law"] == law) & (errors["test"] == "c = 4")].set_index("name").loc[names]


def _further(errors: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    """What every further layer does to the mean and to the median at c = 4."""
    found = []
    for law in settings["laws"]:
        rows = [row for _, row in _at_four(errors, settings, law).iterrows()]
        for layers, before, after in zip(sorted(settings["depths"])[1:], rows, rows[1:], strict=False):
            difference = after["error"] - before["error"]
            reach = WIDTH * (before["stderr"] + after["stderr"])  # at least that of the pairs, which are not kept
            trace = 4 * settings["dimension"]
            found.append(
                {
                    "law": law,
                    "layers": layers,
                    "says": verdict(after, before, difference - reach, difference + reach, trace),
                    "cut": beyond_cut(before, trace) > 0,
                    "median": np.sign(after["median"] - before["median"]),
                }
            )
    return pd.DataFrame(found, columns=["law", "layers", "says", "cut", "median"])


def _medians(errors: pd.DataFrame, settings: dict[str, Any]) -> str:
    """What median and mean do at c = 4 under laws where not every layer raises the median."""
    parts = []
    for law in settings["laws"]:
        rows = _at_four(errors, settings, law)
        one, last = rows.iloc[0], rows.iloc[-1]
        if np.all(np.diff(rows["median"]) > 0):
            continue
        count = beyond_cut(last, 4 * settings["dimension"])
        means = (
            f"errors above {_brief(CUT)} set the mean at L = {max(settings['depths'])} (at most "
            f"{percent(count / last['n'])} of prompts)"
            if count
            else f"the mean goes from {_measured(one)} to {_measured(last)}"
        )
        parts.append(
            f"under {law} the median goes from {_brief(one['median'])} to {_brief(last['median'])}, while {means}"
        )
    return "; ".join(parts)


def enumerated(parts: list[str]) -> str:
    """Several parts as one: "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _normalised(gains: pd.DataFrame, every: pd.DataFrame) -> str:
    """One and two layers, on inputs normalised by tr Λ̂ and plain: depth and scaling both count."""
    own = gains[(gains["law"] == RANDOM) & (gains["noise"] == 0)]
    at = {(row["remedy"], row["layers"]): _measured(row) for _, row in own.iterrows()}
    if (TRACE, 2) not in at:
        return ""
    two = every.query("law == @RANDOM and attention == @LINEAR and weights == 'tied' and layers == 2")
    tied = f" (tied {_measured(two.iloc[0])})" if len(two) else ""
    return (
        f"{at[TRACE, 2]} with two layers on inputs normalised by tr Λ̂, {at[PLAIN, 2]} with two plain ones{tied}, "
        f"{at[TRACE, 1]} with one so normalised and {at[PLAIN, 1]} with one plain"
    )


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
    layers = int(last["layers"])
    said = (
        f"up to {layers} layers of linear attention, each with its own weights, lessen the failure of §4.3"
        if np.all(np.diff(curved["error"]) < 0)
        else "more layers of linear attention did not always lessen the failure of §4.3"
    )
    lines = [
        f"Found: under random covariances, N → ∞, {said}: of the error of predicting 0, one keeps 1/3, the best "
        f"{layers} found {last['error']:.2g}, {layers} steps of gradient descent {descent_limit(layers):.2g}."
    ]
    exploding = _exploding(tables["every"])[1]
    if len(exploding):
        depths = enumerated([str(layers) for layers in exploding["layers"]])
        carried = ", because of rare prompts" if (exploding["worst"] > HEAVY).all() else ""
        lines.append(
            f"Found: trained at N = {settings['n_train']} on {settings['n_prompts']:,} contexts, such layers are in "
            f"the mean worse than predicting 0 at L = {depths}{carried}."
        )
    if normalised := _normalised(tables["gains"], tables["every"]):
        lines.append(
            f"Found: under random covariances (d = {settings['dimension']}, N = {settings['n_train']}) the error is "
            f"{normalised}."
        )
    steps = _further(tables["errors"], settings)
    if len(steps):
        lines.append(_fourfold(steps))
    return lines


def _fourfold(steps: pd.DataFrame) -> str:
    lower, higher, open_ = tally(steps)
    undecided = steps[steps["says"] == UNDECIDED]
    why = f", as errors above {_brief(CUT)} are cut" if undecided["cut"].all() else ""
    falls = steps.loc[steps["median"] < 0, "law"]
    under = f" (under {enumerated(list(falls.unique()))})" if len(falls) else ""
    return (
        f"{'Found' if lower + higher else 'Undecided'}: on covariance 4Λ a further untied layer of linear attention "
        f"raises the mean error in {higher} of {len(steps)} steps and lowers it in {lower}"
        f"{f' ({open_} undecided{why})' if open_ else ''}; it raises the median in {(steps['median'] > 0).sum()} and "
        f"lowers it in {len(falls)}{under}."
    )
