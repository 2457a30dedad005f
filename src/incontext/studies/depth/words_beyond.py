"""Conclusions on algorithms, shifts and remedies, and the lines for the first page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from incontext.foundations import format_number, plus_minus
from incontext.studies.depth.contexts import COORDINATES, PLAIN, RANDOM, TRACE
from incontext.studies.depth.forms import GD_PLUS
from incontext.studies.depth.limit import trace_limit
from incontext.studies.depth.models import LINEAR, SOFTMAX, Model
from incontext.studies.depth.remedies import WHITENED
from incontext.studies.depth.verdicts import percent, says
from incontext.studies.depth.views import FACTOR, PART

# Bootstrap samples that have to agree on the nearest algorithm, and errors at two scales that count as the same.
_SURE, _SAME = 0.95, 1e-6
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


def beyond(errors: pd.DataFrame, settings: dict[str, Any]) -> str:
    """Whether every further layer of linear attention makes a fourfold covariance worse to meet."""
    found = {of: _worse_by_depth(errors, settings, of) for of in ("error", "median")}
    if not found["error"] and not found["median"]:
        return "No law has every further linear layer worse at c = 4."
    laws = settings["laws"]
    told = {of: f"all {len(laws)} laws" if len(own) == len(laws) else _and(own) for of, own in found.items()}
    return (
        f"Every further linear layer raises the mean error at c = 4 under {told['error']}, the median under "
        f"{told['median']}."
    )


def _and(laws: list[str]) -> str:
    return " and ".join(laws) if laws else "none"


def _worse_by_depth(errors: pd.DataFrame, settings: dict[str, Any], of: str) -> list[str]:
    """Laws under which the error at c = 4 grows with every depth tried."""
    found = []
    for law in settings["laws"]:
        rows = errors[(errors["law"] == law) & (errors["test"] == "c = 4")].set_index("name")[of]
        names = [Model(law, LINEAR, GD_PLUS, False, layers).name for layers in sorted(settings["depths"])]
        if len(names) > 1 and np.all(np.diff(rows[names]) > 0):
            found.append(law)
    return found


def remedies(table: pd.DataFrame) -> str:
    """What can be built in under random covariances, with and without label noise."""
    rows = table[table["law"] == RANDOM]
    if rows.empty:
        return ""
    found = {
        noise: {(row["remedy"], int(row["layers"])): row for _, row in own.iterrows()}
        for noise, own in rows[rows["scale"] == 1].groupby("noise")
    }
    changes, plain, built = [], [], []
    for noise, at in found.items():
        changes.append(f"{_measured(at[PLAIN, 1])} to {_measured(at[TRACE, 2])} with label noise {noise:g}")
        plain.append(_verdict(at[PLAIN, 2]))
        built.append([_brief(at[key]["error"]) for key in ((COORDINATES, 2), (WHITENED, 1))])
    said = {_verdict(at[TRACE, 2]) for at in found.values()}
    head = (
        _SAID[said.pop()] if len(said) == 1 else "Normalising by tr Λ̂ and a second layer change the error of one layer"
    )
    told = (
        plain[0]
        if len(set(plain)) == 1
        else ", ".join(f"{said} with label noise {noise:g}" for said, noise in zip(plain, found, strict=True))
    )
    coordinates, whitened = zip(*built, strict=True)
    return (
        f"Under {RANDOM}, {head}, {_alike(rows)}: {', '.join(changes)}. Two plain layers against one: "
        f"{told}. Two layers on inputs normalised by every Λ̂_ii have "
        f"{' and '.join(coordinates)}, one whitened layer {' and '.join(whitened)}."
    )


_SAID = {
    "better": "normalising by tr Λ̂ and a second layer lower the error of one layer",
    "worse": "normalising by tr Λ̂ and a second layer raise the error of one layer",
    "undecided": "it is undecided whether normalising by tr Λ̂ and a second layer lower the error of one layer",
}


def _verdict(row: pd.Series) -> str:
    reach = 1.96 * row["gain_stderr"]
    return says(row["gain"] - reach, row["gain"] + reach)


def _brief(number: float) -> str:
    return format_number(float(f"{number:.2g}"))


def _measured(row: pd.Series) -> str:
    return plus_minus(row["error"], row["stderr"])


def _alike(rows: pd.DataFrame) -> str:
    own = rows[(rows["remedy"] == TRACE) & (rows["layers"] == 2)].groupby("noise")["error"]
    alike = float((own.max() / own.min() - 1).max()) < _SAME
    return "alike at every scale" if alike else "not alike at every scale"


def how_remedied(settings: dict[str, Any]) -> str:
    """What the remedies are worth in principle."""
    d = settings["dimension"]
    return (
        "Remedies: of the failure of §4.3, normalising by tr Λ̂ removes a part that vanishes in high dimension: for "
        f"N → ∞ and Exp(1) one layer so normalised keeps 1 − 2(d + 2)/(3(d + 1)), {trace_limit(d):.4f} at this d, and "
        "1/3 again as d grows. Normalising every coordinate removes it for N → ∞, but only because these covariances "
        "are diagonal. Whitening makes one layer ridge regression: it hands over the solution, and what is learned is "
        "a penalty."
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
        f"2/((L + 1)(L + 2)), and {int(last['layers'])} layers in the GD++ form {last['error']:.3g}: {said}."
    ]
    random = tables["remedies"]
    random = random[(random["law"] == RANDOM) & (random["noise"] == 0)]
    found = {(row["remedy"], int(row["layers"])): row for _, row in random[random["scale"] == 1].iterrows()}
    if (TRACE, 2) in found:
        two, one = found[TRACE, 2], found[PLAIN, 1]
        head = "Undecided: whether it helps, " if _verdict(two) == "undecided" else "Found: "
        lines.append(
            f"{head}two layers on inputs normalised by tr Λ̂ have error {_measured(two)} under random covariances, "
            f"{_alike(random)}, against {_measured(one)} of one layer."
        )
    fragile = _worse_by_depth(tables["errors"], settings, "error")
    laws = settings["laws"]
    if fragile:
        under = "every law tried" if len(fragile) == len(laws) else f"{len(fragile)} of {len(laws)} laws"
        less = len(_worse_by_depth(tables["errors"], settings, "median"))
        lines.append(
            "Found: every added layer of linear attention makes a fourfold covariance worse to meet in the mean, under "
            f"{under}; in the median prompt under {less} of {len(laws)}."
        )
    else:
        lines.append("Undecided: whether added layers of linear attention make a fourfold covariance worse to meet.")
    return lines
