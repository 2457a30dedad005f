"""Conclusions on rare prompts, algorithms, shifts and remedies, and the lines for the first page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from incontext.foundations import format_number, plus_minus
from incontext.studies.depth.contexts import COORDINATES, PLAIN, RANDOM, TRACE
from incontext.studies.depth.forms import GD_PLUS
from incontext.studies.depth.limit import trace_limit
from incontext.studies.depth.measures import CUT
from incontext.studies.depth.models import LINEAR, SOFTMAX, Model
from incontext.studies.depth.remedies import WHITENED
from incontext.studies.depth.verdicts import BETTER, HEAVY, WORSE, left_open, percent, says, tally
from incontext.studies.depth.views import FACTOR, PART

# Bootstrap samples that have to agree on the nearest algorithm, and errors below which there is only rounding.
_SURE, ROUNDING = 0.95, 1e-12
# Standard errors on each side of a 95 % interval.
_WIDTH = 1.96
ALGORITHMS = (
    "Nearest classical algorithm at position N: mean squared distance over the mean squared target, near if at most a "
    f"tenth, beyond doubt if {percent(_SURE)} of bootstrap samples agree; tied linear layers with scalar weights are "
    "GD++ with two constants, so their distance to it tests the code"
)
TOLERATED = (
    "Shifts of the inputs' law that untied models tolerate: mean and median error over E tr Λ of the test law at most "
    f"{FACTOR:g} times the unshifted plus {PART:g} (the mean alone, where rare prompts carry it at "
    "home, would tolerate anything)"
)


def algorithms(table: pd.DataFrame) -> str:
    """What the untied models are near at position N."""
    untied = table[table["model"].str.contains(", untied, ")]
    parts, sure = [], 0
    for attention in (LINEAR, SOFTMAX):
        own = untied[untied["model"].str.startswith(attention)]
        near = own[own["near"].astype(bool)]
        families = near["nearest"].map(lambda name: str(name).partition(",")[0]).value_counts()
        listed = f" ({', '.join(f'{name} {count}' for name, count in families.items())})" if len(near) else ""
        parts.append(f"{len(near)} of {len(own)} {attention} models{listed}")
        sure += int((near["bootstraps"] >= _SURE).sum())
    return f"At N, {' and '.join(parts)} are near a classical algorithm, {sure} beyond doubt."


def shifts(shifted: pd.DataFrame) -> str:
    """How many shifts of the inputs' law are tolerated."""
    larger = pd.to_numeric(shifted["test"].str.removeprefix("c = "), errors="coerce") > 1
    counted = {
        name: (int(own["tolerated"].sum()), len(own), int(own["tolerated"][larger].sum()), int(larger[own.index].sum()))
        for name, own in shifted.groupby("attention")
    }
    linear, soft = counted[LINEAR], counted[SOFTMAX]
    return (
        f"Untied linear models tolerate {linear[0]} of {linear[1]} shifts of the inputs' law, softmax models {soft[0]} "
        f"of {soft[1]}; of larger covariances (c > 1) {linear[2]} and {soft[2]} of {soft[3]}."
    )


def rare(every: pd.DataFrame, settings: dict[str, Any]) -> str:
    """Untied models that are worse than the zero estimator on fresh prompts of random covariances, if any."""
    rows = every[(every["law"] == RANDOM) & (every["attention"] == LINEAR) & (every["weights"] == "untied")]
    rows = rows[rows["error"] > 1]
    if rows.empty:
        return ""
    carried = ", carried by rare prompts," if (rows["worst"] > HEAVY).all() else ""
    return (
        f"at N = {settings['n_train']} untied models of L = {_and([str(layers) for layers in rows['layers']])} have "
        f"mean errors of {_and([_mean(row, 1, settings) for _, row in rows.iterrows()])}{carried} and medians of "
        f"{_and([_brief(median) for median in rows['median']])}"
    )


def _cut(row: pd.Series, scale: float, settings: dict[str, Any]) -> bool:
    """Whether prompts that count as ``CUT`` set a mean, which then is a lower bound: one of them would do."""
    return bool(row["error"] >= CUT / (scale * settings["dimension"]) / row["n"])


def _mean(row: pd.Series, scale: float, settings: dict[str, Any]) -> str:
    return f"{'at least ' if _cut(row, scale, settings) else ''}{_brief(row['error'])}"


def beyond(errors: pd.DataFrame, settings: dict[str, Any]) -> str:
    """What a further layer of linear attention does to the errors on a fourfold covariance."""
    steps = _further(errors, settings)
    if steps.empty:
        return ""
    lower, higher, _ = tally(steps)
    return (
        f"At c = 4 a further linear layer raises the mean error in {higher} of {len(steps)} steps and lowers it in "
        f"{lower}{left_open(steps)}; {_medians(errors, settings)}."
    )


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
        else:
            parts.append(
                f"under {law} the median goes from {_brief(one['median'])} to {_brief(last['median'])}, while the mean "
                f"goes from {_mean(one, 4, settings)} to {_mean(last, 4, settings)}"
            )
    return "; ".join(([f"every layer raises the median under {_and(rises)}"] if rises else []) + parts)


def _and(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def remedies(table: pd.DataFrame) -> str:
    """What can be built in under random covariances, with and without label noise."""
    rows = table[(table["law"] == RANDOM) & (table["scale"] == 1)]
    if rows.empty:
        return ""
    parts, built = [], []
    for noise, own in rows.groupby("noise"):
        at = _by_remedy(own)
        others = (f"{_measured(at[key])} ({_verdict(at[key])})" for key in ((TRACE, 1), (PLAIN, 2), (TRACE, 2)))
        parts.append(f"with label noise {noise:g}: {_measured(at[PLAIN, 1])}, {', '.join(others)}")
        built.append([_brief(at[key]["error"]) for key in ((COORDINATES, 2), (WHITENED, 1))])
    coordinates, whitened = zip(*built, strict=True)
    return (
        f"Under {RANDOM} the errors of one plain layer, one on inputs normalised by tr Λ̂, two plain and two so "
        f"normalised (in brackets: against the first) are, {'; '.join(parts)}. Two layers on inputs normalised by "
        f"every Λ̂_ii have {_and(list(coordinates))}, one whitened layer {_and(list(whitened))}."
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
        f"N → ∞ and Exp(1) one layer so normalised keeps 1 − 2(d + 2)/(3(d + 1)), {trace_limit(d):.4f} at this d, and "
        "1/3 again as d grows. By construction its error is the same at every scale. Normalising every coordinate "
        "removes the failure for N → ∞, but only because these covariances are diagonal. Whitening makes one layer "
        "ridge regression: it hands over the solution, and what is learned is a penalty."
    )


def summary(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> list[str]:
    """Lines for the first page."""
    limit = tables["limit"]
    curved = limit[(limit["form"] == GD_PLUS) & ~limit["tied"]].sort_values("layers")
    last = curved.iloc[-1]
    said = (
        "depth reduces the failure of §4.3 but does not remove it"
        if np.all(np.diff(curved["error"]) < 0)
        else "more layers did not always reduce the failure of §4.3"
    )
    lines = [
        "Found: under random covariances and N → ∞ one layer keeps 1/3 of the error, L steps of descent "
        f"2/((L + 1)(L + 2)), and {int(last['layers'])} layers in the GD++ form {last['error']:.3g}: {said}"
        + (f"; {found}." if (found := rare(tables["every"], settings)) else ".")
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
            f"{open_} undecided; {_medians(tables['errors'], settings)}."
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
