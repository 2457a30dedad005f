"""Conclusions from the numbers: few sentences, each from a table of the page and open where its numbers are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from incontext.foundations import format_number
from incontext.studies.depth.contexts import RANDOM
from incontext.studies.depth.forms import GD_PLUS
from incontext.studies.depth.measures import CUT
from incontext.studies.depth.models import LINEAR, SOFTMAX
from incontext.studies.depth.verdicts import (
    ALL_WEIGHTS,
    AS_IT_STANDS,
    BETTER,
    CLASSICAL,
    DEPTH,
    FAMILIES,
    FORMS,
    FREE,
    HEAVY,
    KERNEL,
    LABELS,
    LINEAR_RIVAL,
    TIED_EXACT,
    TIED_STEP,
    UNDECIDED,
    UNTIED_EXACT,
    UNTIED_STEP,
    left_open,
    shares,
    steps,
    tally,
)
from incontext.studies.depth.views import LABEL_LABEL, OTHERS
from incontext.studies.depth.words_beyond import (
    ALGORITHMS,
    ROUNDING,
    TOLERATED,
    algorithms,
    beyond,
    how_remedied,
    rare,
    remedies,
    shifts,
    summary,
)

# Standard errors within which a fit agrees with its exact minimum.
_AGREES = 3


def words(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> dict[str, Any]:
    """Sentences, method and caveats, lines for the first page, deviations and captions, from all tables."""
    sentences = [
        _key(settings),
        _cure(tables, settings),
        _deeper(tables["compared"]),
        _classical(tables["compared"]) + " " + algorithms(tables["algorithms"]),
        _softmax(tables["compared"], settings),
        _forms(tables["compared"]),
        shifts(tables["shifted"]) + " " + beyond(tables["errors"], settings),
        remedies(tables["remedies"]),
    ]
    details = [
        _fits(tables["models"], settings),
        _checks(tables),
        _tails(tables["every"], settings),
        _polynomials(tables["limit"]),
        _softmax_contexts(tables["every"]),
        _FORMS,
        _symmetries(tables["slopes"]),
        how_remedied(settings),
    ]
    return {
        "sentences": [sentence.strip() for sentence in sentences if sentence.strip()],
        "details": [paragraph for paragraph in details if paragraph],
        "summary": summary(tables, settings),
        "deviations": [
            "Depth: layers are stacked with the query not among the keys and the label read with sign −1, as is usual "
            "for deep linear attention; (3) and (6) as they stand are fitted beside it. One layer is the paper's."
        ],
        "captions": _CAPTIONS,
    }


_FORMS = (
    "Forms: in the GD++ form W^PV = diag(βI, −1) and W^KQ = diag(aI, 0), with diagonal matrices for βI and aI where "
    "the law tells coordinates apart. The invariant form also frees the two label weights, so that it has all that the "
    "symmetries of the law and y → −y leave. The full form frees every entry."
)
_CELLS = (
    "verdict of the 95 % interval on the mean errors; share of prompts on which the first has the smaller error; †: "
    "rare prompts carry one of the means"
)
_CAPTIONS = {
    "overview": "Error on fresh prompts over E tr Λ, by number of layers L: mean, and beside it the median",
    "limit": "N → ∞, Λ = diag Exp(1): error over E tr Λ by exact quadrature; near: runs within 1 % of the best",
    DEPTH: f"Linear attention in the GD++ form, more layers and free ones: {_CELLS}",
    CLASSICAL: f"Linear attention in the GD++ form against as many steps of classical algorithms: {_CELLS}",
    "algorithms": ALGORITHMS,
    KERNEL: f"Softmax attention in the invariant form, against linear attention and by depth: {_CELLS}",
    FORMS: f"Wider forms, and the paper's layer L times, untied: {_CELLS}; at L = 1 the label weights change nothing",
    "slopes": "Largest derivatives of log risk at the optima of the GD++ form, in units of their standard errors; "
    "below the bound the largest of so many stays in 95 % of cases",
    "wider": "Wider forms beside the GD++ form, untied: error over E tr Λ on training contexts and on fresh prompts",
    "tolerated": TOLERATED,
    "shifted": "Untied models under every shift of the inputs' law: error over E tr Λ of the test law, beside its own",
    "gains": "Remedies: error over E tr Λ on fresh prompts of the training law, and the gain over one plain layer; "
    f"what is below {ROUNDING:g} is 0 up to rounding",
    "one_layer": "One layer as it was fitted, and the exact minimum of Theorems 4 and 8: error over E tr Λ",
    "every": "Every model by depth: error over E tr Λ, median prompt, share of the worst 0.1 % of prompts in the mean, "
    "error on the training contexts, polished runs within 1 % of the best",
    "compared": "Every comparison: difference of mean errors over E tr Λ; share of prompts on which the first has the "
    "smaller error, with its 95 % interval",
}


def _key(settings: dict[str, Any]) -> str:
    return (
        f"Errors are E(ŷ − y)²/E tr Λ on {settings['n_test']:,} fresh prompts that all models share (d = "
        f"{settings['dimension']}, N = {settings['n_train']}, no label noise unless said). Models are compared by mean "
        "error; what the 95 % interval of the difference leaves open is called undecided; ± is one standard error. The "
        "tables have every number."
    )


def _cure(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> str:
    untied, tied = _limits(tables["limit"])
    last = untied.iloc[-1]
    kept = f"{last['error']:.2g} untied" + (f", {tied.iloc[-1]['error']:.2g} tied" if len(tied) > 1 else "")
    text = (
        "For N → ∞ depth reduces the failure of §4.3, and no depth tried removes it:"
        if bool(np.all(np.diff(untied["error"]) < 0))
        else "For N → ∞ more layers did not always reduce the failure of §4.3 in the runs made:"
    )
    text += f" one layer keeps 1/3 of the error, the best {last['layers']} layers found in the GD++ form {kept}."
    rows = tables["compared"]
    rows = rows[(rows["law"] == RANDOM) & (rows["layers"] > 1)]
    if len(rows):
        found = {name: rows[rows["question"] == name] for name in (TIED_EXACT, UNTIED_EXACT)}
        text += (
            f" At N, tied layers beat Theorem 8's minimum in the mean at {_won(found[TIED_EXACT])}, untied ones at "
            f"{_won(found[UNTIED_EXACT])}, being better on {shares(found[UNTIED_EXACT])} of prompts."
        )
    worse = rare(tables["every"], settings)
    return f"{text} {worse[0].upper()}{worse[1:]}." if worse else text


def _won(rows: pd.DataFrame) -> str:
    """The depths at which a comparison is won, and those at which it is undecided."""
    at = {said: [str(layers) for layers in rows[rows["says"] == said]["layers"]] for said in (BETTER, UNDECIDED)}
    if len(at[BETTER]) == len(rows):
        return "every L > 1"
    won = f"L = {', '.join(at[BETTER])}" if at[BETTER] else "no L"
    return won + (f" (undecided: {', '.join(at[UNDECIDED])})" if at[UNDECIDED] else "")


def _limits(limit: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The GD++ form for N → ∞, untied and tied; one layer is both."""
    curved = limit[limit["form"] == GD_PLUS].sort_values("layers")
    untied = curved[~curved["tied"]].reset_index(drop=True)
    return untied, pd.concat([untied.head(1), curved[curved["tied"]]], ignore_index=True)


def _deeper(compared: pd.DataFrame) -> str:
    own = compared[compared["group"] == DEPTH]
    further = own[own["question"].isin([UNTIED_STEP, TIED_STEP])]
    free = own[own["question"] == FREE]
    if further.empty:
        return ""
    (lower, higher, _), (wins, losses, _) = tally(further), tally(free)
    heavy = further[further["rare"] & (further["says"] != UNDECIDED)]
    return (
        f"At N, going deeper lowers the mean error of linear attention in {lower} of {len(further)} steps, tied or "
        f"untied, and raises it in {higher}{left_open(further)}. Rare prompts carry the means of {len(heavy)} of the "
        f"decided; the error falls on {shares(further)} of prompts. Untied layers beat tied ones in {wins} of "
        f"{len(free)} cases and lose in {losses}."
    )


def _classical(compared: pd.DataFrame) -> str:
    parts = []
    for family, name in ((FAMILIES[0], "descent with best rates"), (FAMILIES[2], "Newton")):
        rows = compared[(compared["question"] == steps(family)) & (compared["layers"] > 1)]
        if len(rows):
            lower, higher, _ = tally(rows)
            parts.append(f"{name} in {lower} of {len(rows)} cases (lose in {higher})")
    return f"In the mean, untied linear layers, L > 1, beat L steps of {' and of '.join(parts)}." if parts else ""


def _softmax(compared: pd.DataFrame, settings: dict[str, Any]) -> str:
    own = compared[compared["group"] == KERNEL]
    rows = own[own["question"] == LINEAR_RIVAL]
    further = own[own["question"].isin([UNTIED_STEP, TIED_STEP])]
    better, worse, _ = tally(rows)
    lower, higher, _ = tally(further)
    text = (
        f"Softmax attention, trained on {settings['n_softmax_prompts']:,} contexts instead of "
        f"{settings['n_prompts']:,}, has a larger mean error than untied linear attention in {worse} of {len(rows)} "
        f"cases, a smaller one in {better}{left_open(rows)}, and is better on {shares(rows)} of prompts."
    )
    if len(further):
        text += f" Going deeper lowers its mean error in {lower} of {len(further)} steps and raises it in {higher}."
    return text


def _forms(compared: pd.DataFrame) -> str:
    own = compared[compared["group"] == FORMS]
    parts = []
    for question, shallowest, change in (
        (LABELS, 2, "when the label weights that symmetry leaves are freed (L > 1)"),
        (ALL_WEIGHTS, 1, "when all other weights are freed too"),
        (AS_IT_STANDS, 2, "with (3) and (6) as they stand, the query among the keys"),
    ):
        rows = own[(own["question"] == question) & (own["layers"] >= shallowest)]
        if len(rows):
            lower, higher, _ = tally(rows)
            parts.append(f"in {lower} and rise in {higher} of {len(rows)} cases {change}")
    return (
        f"Mean errors of untied linear attention fall {'; fall '.join(parts)}. The rest is undecided." if parts else ""
    )


def _fits(models: pd.DataFrame, settings: dict[str, Any]) -> str:
    found = models[models["layers"] > 1] if (models["layers"] > 1).any() else models
    again = int((found["near"] > 1).sum())
    return (
        f"Fits: every model is the best of {settings['n_starts']} L-BFGS runs on the same {settings['n_prompts']:,} "
        f"training contexts ({settings['n_softmax_prompts']:,} for softmax) of {settings['n_queries']} queries each, "
        f"seed {settings['seed']}; E tr Λ = d. Errors are twice Definition 1's loss over tr Λ; at c = 4 pairs are "
        "not kept, and the standard errors of two means are added. The best loss was reached a second time, within "
        f"1 %, in {again} of {len(found)} models of more than one layer: elsewhere there may be a better optimum."
    )


def _checks(tables: dict[str, pd.DataFrame]) -> str:
    one, errors, limit = tables["one_layer"], tables["errors"], tables["limit"].dropna(subset="exact")
    exact = errors[(errors["name"] == "least squares") & (errors["test"] == "c = 1")]["error"]
    off = float((limit["error"] / limit["exact"] - 1).abs().max())
    text = "Checks: "
    if len(one):
        far = one["z"].abs().max()
        text += (
            f"one layer as fitted {'agrees' if far < _AGREES else 'does not agree'} with the exact minimum of Theorems "
            f"4 and 8 within {_AGREES} standard errors (largest |z| {far:.2g}; what lies below a minimum does so by "
            "chance). "
        )
    return text + (
        f"For N → ∞, L-BFGS agrees with 1/3 and with 2/((L + 1)(L + 2)), what L steps of descent with best rates keep, "
        f"to {_size(off)}. Labels have no noise and N > d, so least squares is exact; its measured error, at most "
        f"{_size(exact.abs().max())}, is the size of rounding."
    )


def _size(number: float) -> str:
    """A number's order of magnitude."""
    return format_number(float(f"{number:.0e}"))


def _tails(every: pd.DataFrame, settings: dict[str, Any]) -> str:
    deepest = max(settings["depths"])
    return (
        f"Rare prompts: L layers of the GD++ form predict by a polynomial in Λ̂ of degree 3(3^(L − 1) − 1)/2, "
        f"{3 * (3 ** (deepest - 1) - 1) // 2} at L = {deepest}. In {int((every['worst'] > HEAVY).sum())} of "
        f"{len(every)} models the worst 0.1 % of prompts carry more than half of the mean error (†). There the mean "
        "and its interval, which takes means for normal, are those of prompts as common as these; rarer ones may carry "
        f"more. Medians and shares of prompts do not depend on them. Errors beyond {_size(CUT)} count as that: "
        "means that they set are lower bounds."
    )


def _polynomials(limit: pd.DataFrame) -> str:
    _, tied = _limits(limit)
    rises = [int(layers) for layers in tied["layers"][1:][np.diff(tied["error"]) > 0]]
    text = (
        "§4.3: no finite depth removes the failure, as for N → ∞ it takes λH(λ) = 1, which has no polynomial solution."
    )
    if rises:
        text += (
            f" With tied layers the best error found rises again at L = {', '.join(map(str, rises))}, as a polynomial "
            "of high degree pays for rare large eigenvalues."
        )
    return text


def _softmax_contexts(every: pd.DataFrame) -> str:
    untied = every[every["weights"] == "untied"]
    linear, soft = (untied[untied["attention"] == name] for name in (LINEAR, SOFTMAX))
    both = soft.merge(linear, on=["law", "layers"], suffixes=("", " of linear"))
    spread = np.hypot(both["stderr "], both["stderr of linear"])
    above = int((both["on training contexts"] - both["error of linear"] > 1.96 * spread).sum())
    return (
        "Softmax is costlier to fit and has fewer training contexts. A fit to few contexts has a smaller error on them "
        "than the best model has on fresh prompts; where even that exceeds the error of linear attention on fresh "
        f"prompts, as in {above} of {len(both)} cases (95 %), want of contexts is not the reason; a poor "
        "optimum may be."
    )


def _symmetries(slopes: pd.DataFrame) -> str:
    told = {
        LABEL_LABEL: ("the label-label entry of W^KQ", "the GD++ form is not stationary there", "no sign to free it"),
        OTHERS: ("all other entries", "where symmetry says 0, batch means are not normal", "as symmetry says"),
    }
    parts = []
    for _, at in slopes.iterrows():
        whose, beyond_it, below = told[str(at["weights"])]
        parts.append(
            f"|z| is above {at['bound']:.3g} for {at['beyond']} of {at['derivatives']} derivatives by {whose} (largest "
            f"{at['largest |z|']:.2g}, {at['at']}): {beyond_it if int(at['beyond']) else below}."
        )
    return f"Invariance, tested at the optima of the GD++ form. {' '.join(parts)}" if parts else ""
