"""Conclusions from the numbers: few sentences, each from a table of the page and open where its numbers are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import format_number
from iclab.studies.depth.contexts import RANDOM
from iclab.studies.depth.forms import GD_PLUS
from iclab.studies.depth.measures import CUT
from iclab.studies.depth.models import CONVERGED, EFFORTS, FEWER, LINEAR, SOFTMAX, WARM
from iclab.studies.depth.verdicts import (
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
    WORSE,
    left_open,
    shares,
    steps,
    tally,
)
from iclab.studies.depth.views import DIAGONAL, LABEL_LABEL, OFF
from iclab.studies.depth.words_beyond import (
    ALGORITHMS,
    ROUNDING,
    algorithms,
    beyond,
    enumerated,
    how_remedied,
    rare,
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
        _deeper(tables["compared"], settings),
        _classical(tables["compared"]) + " " + algorithms(tables["algorithms"]),
        _softmax(tables["compared"], settings),
        _forms(tables["compared"], tables["models"], settings),
        shifts(tables["shifted"]) + " " + beyond(tables["errors"], settings),
    ]
    details = [
        _TERMS,
        _FORMS,
        _fits(tables, settings),
        _checks(tables),
        _tails(tables["every"], settings),
        _polynomials(tables["limit"]),
        _softmax_contexts(tables["every"]),
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


_TERMS = (
    "Terms: Λ of condition 10 is diagonal, with entries in equal ratios; spectrum reversed: in reverse order. The "
    "constants of classical algorithms are fitted on the training contexts of linear attention: one rate of descent, "
    "the best rate of each step, or two constants of GD++ for all steps; preconditioned descent has one rate per "
    "coordinate, Newton (M ← 2M − MΛ̂M, which tends to Λ̂⁻¹) none."
)
_FORMS = (
    "Forms: in the GD++ form W^PV = diag(βI, −1) and W^KQ = diag(aI, 0): a step of descent at rate a, and x to x + "
    "aβΛ̂x; βI and aI are diagonal matrices where the law tells coordinates apart. The invariant form also frees the "
    "two label weights, so that it has all that the symmetries of the law and y → −y leave. The full form frees all."
)
_CELLS = (
    "verdict on the mean errors (95 %); share of prompts on which the first has the smaller error; †: rare prompts "
    "carry one of the means"
)
_CAPTIONS = {
    "overview": "Error on fresh prompts over E tr Λ, by number of layers L: mean, and beside it the median",
    "limit": "N → ∞, Λ = diag Exp(1): error over E tr Λ by exact quadrature; near: runs, of n_starts, within 1 % of "
    "the best",
    DEPTH: f"Linear attention in the GD++ form, more layers and free ones: {_CELLS}",
    CLASSICAL: f"Linear attention in the GD++ form against as many steps of classical algorithms: {_CELLS}",
    "algorithms": ALGORITHMS,
    KERNEL: f"Softmax attention in the invariant form, against linear attention and by depth: {_CELLS}",
    FORMS: f"Wider forms, and the paper's layer L times, untied: {_CELLS}; at L = 1 the label weights change nothing",
    "slopes": "Largest derivatives of log risk at the optima of the GD++ form, in units of their standard errors, and "
    "what would make them 0; below the bound the largest of so many stays in 95 % of cases",
    "wider": "Wider forms beside the GD++ form, untied: error over E tr Λ on training contexts and on fresh prompts",
    "shifted": "Untied models under every shift of the inputs' law: error over E tr Λ of the test law, beside its own; "
    "at most doubled: mean and median",
    "gains": "Remedies: error over E tr Λ on fresh prompts of the training law, and the gain over one plain layer; "
    f"what is below {ROUNDING:g} is 0 up to rounding",
    "one_layer": "One layer as it was fitted, and the exact minimum of Theorems 4 and 8: error over E tr Λ",
    "every": "Every model by depth: error over E tr Λ, median prompt, share of the worst 0.1 % of prompts in the mean, "
    "error on the training contexts",
    "compared": "Every comparison: difference of mean errors over E tr Λ; share of prompts on which the first has the "
    "smaller error, with its 95 % interval",
}


def _key(settings: dict[str, Any]) -> str:
    return (
        f"Errors are E(ŷ − y)²/E tr Λ on {settings['n_test']:,} fresh prompts that all models share (d = "
        f"{settings['dimension']}, N = {settings['n_train']}, no label noise unless said); ± is one standard error; "
        "what neither the 95 % interval of a difference of means nor the largest error settles is undecided. Linear "
        "attention has the GD++ form: a layer is a step of descent that also transforms the inputs by Λ̂ = (1/N) Σ x_i "
        "x_i'. Tied layers share their weights."
    )


def _cure(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> str:
    untied, tied = _limits(tables["limit"])
    last = untied.iloc[-1]
    kept = f"{last['error']:.2g} at L = {last['layers']}" + (
        f" (tied {tied.iloc[-1]['error']:.2g})" if len(tied) > 1 else ""
    )
    text = (
        f"Under {RANDOM}, N → ∞, every further untied layer reduces the error found, to {kept}."
        if bool(np.all(np.diff(untied["error"]) < 0))
        else f"Under {RANDOM}, N → ∞, a further untied layer did not always reduce the error found, {kept}."
    )
    rows = tables["compared"]
    rows = rows[(rows["law"] == RANDOM) & (rows["layers"] > 1)]
    if len(rows):
        found = {name: rows[rows["question"] == name] for name in (TIED_EXACT, UNTIED_EXACT)}
        text += (
            f" Mean errors at N = {settings['n_train']} against Theorem 8's minimum: tied layers "
            f"{_standing(found[TIED_EXACT])}; untied ones {_standing(found[UNTIED_EXACT])}, with the smaller error on "
            f"{shares(found[UNTIED_EXACT])} of prompts."
        )
    return f"{text} {rare(tables['every'], settings)}".strip()


def _standing(rows: pd.DataFrame) -> str:
    """The depths at which a comparison is won, lost and undecided."""
    at = {said: [str(layers) for layers in rows[rows["says"] == said]["layers"]] for said in (BETTER, WORSE, UNDECIDED)}
    where = {
        said: "every L > 1" if len(depths) == len(rows) else f"L = {enumerated(depths)}" for said, depths in at.items()
    }
    return enumerated([f"{said} at {where[said]}" for said, depths in at.items() if depths])


def _limits(limit: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The GD++ form for N → ∞, untied and tied; one layer is both."""
    curved = limit[limit["form"] == GD_PLUS].sort_values("layers")
    untied = curved[~curved["tied"]].reset_index(drop=True)
    return untied, pd.concat([untied.head(1), curved[curved["tied"]]], ignore_index=True)


def _deeper(compared: pd.DataFrame, settings: dict[str, Any]) -> str:
    own = compared[compared["group"] == DEPTH]
    further = own[own["question"].isin([UNTIED_STEP, TIED_STEP])]
    free = own[own["question"] == FREE]
    if further.empty:
        return ""
    (lower, higher, _), (wins, losses, _) = tally(further), tally(free)
    heavy = further[further["rare"] & (further["says"] != UNDECIDED)]
    return (
        f"At N = {settings['n_train']}, going deeper lowers the mean error of linear attention, tied or untied, in "
        f"{lower} of {len(further)} steps and raises it in {higher}{left_open(further)}; rare prompts carry a mean in "
        f"{len(heavy)} of these {lower + higher}. The error falls on {shares(further)} of prompts. Untied layers beat "
        f"tied ones in {wins} of {len(free)} cases and lose in {losses}."
    )


def _classical(compared: pd.DataFrame) -> str:
    parts = []
    for family, name in ((FAMILIES[0], "descent with best rates"), (FAMILIES[2], "Newton")):
        rows = compared[(compared["question"] == steps(family)) & (compared["layers"] > 1)]
        if len(rows):
            lower, higher, _ = tally(rows)
            parts.append(f"{name} in {lower} of {len(rows)} cases (lose in {higher})")
    return f"Untied linear layers, L > 1, beat L steps of {' and of '.join(parts)}." if parts else ""


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


def _forms(compared: pd.DataFrame, models: pd.DataFrame, settings: dict[str, Any]) -> str:
    own = compared[compared["group"] == FORMS]
    nested = own[((own["question"] == LABELS) & (own["layers"] > 1)) | (own["question"] == ALL_WEIGHTS)]
    parts = []
    for rows, change in (
        (nested[nested["question"] == LABELS], "when the label weights that symmetry leaves are freed (L > 1)"),
        (nested[nested["question"] == ALL_WEIGHTS], "when all other weights are freed too"),
        (own[own["question"] == AS_IT_STANDS], "with (3) and (6) as they stand, the query among the keys"),
    ):
        if len(rows):
            lower, higher, _ = tally(rows)
            parts.append(f"in {lower} and rise in {higher} of {len(rows)} cases {change}")
    if not parts:
        return ""
    text = f"Mean errors of untied linear attention fall {'; fall '.join(parts)}."
    return f"{text}{_overfitting(nested, models, settings)}"


def _overfitting(nested: pd.DataFrame, models: pd.DataFrame, settings: dict[str, Any]) -> str:
    """What training errors say of rises and falls when weights are freed, which cannot raise the best error."""
    at = models.set_index(["law", "name"])
    wide = at.loc[list(zip(nested["law"], nested["first"], strict=True))]
    narrow = at.loc[list(zip(nested["law"], nested["second"], strict=True))]
    rises, falls = ((nested["says"] == said).to_numpy() for said in (WORSE, BETTER))
    learned = int((rises & (wide["train"].to_numpy() < narrow["train"].to_numpy())).sum())
    short = int((falls & (narrow["slope"].to_numpy() > CONVERGED)).sum())
    text = ""
    if learned:
        text += (
            " Freeing weights cannot raise the best error: where the training error falls, as in "
            f"{learned} of {rises.sum()} such rises, it is overfitting to {settings['n_prompts']:,} contexts."
        )
    if short:
        text += (
            f" In {short} of the {falls.sum()} falls the narrower fit had not converged (gradient of the log loss "
            f"above {CONVERGED:g}), which may be why."
        )
    return text


def _fits(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> str:
    models, runs = tables["models"], tables["fits"]
    found = models[models["layers"] > 1] if (models["layers"] > 1).any() else models
    again, short = int((found["near"] > 1).sum()), int((models["slope"] > CONVERGED).sum())
    warm, count, few = int((runs["kind"] == WARM).sum()), settings["n_prompts"], settings["n_softmax_prompts"]
    ended, soft = (
        _range([int(polished) for polished in rows["polished"]], " or ")
        for rows in (models, models[models["attention"] == SOFTMAX])
    )
    return (
        f"Fits: {settings['n_starts']} starts per model ({warm:,} of {len(runs):,} from models fitted before) run "
        f"{_range([effort['brief'] for effort in EFFORTS])} iterations of L-BFGS on {count // FEWER:,} contexts of "
        f"{settings['n_queries']} queries (softmax {few // FEWER:,}). The best {ended} (softmax {soft}) go on, on all "
        f"{count:,} ({few:,}), for at most {_range([effort['iterations'] for effort in EFFORTS])}. In {short} of "
        f"{len(models)} models the gradient of the log loss is still above {CONVERGED:g}. In {again} of the "
        f"{len(found)} of more than one layer a second of these {ended} runs ends within 1 % of the best; elsewhere "
        "there may be a better optimum. Errors are twice Definition 1's loss over tr Λ; E tr Λ = d. On covariance 4Λ "
        f"standard errors of two means are added. Seed {settings['seed']}."
    )


def _range(numbers: list[int], between: str = "–") -> str:
    """The smallest and the largest of some numbers, or the one that they are."""
    return between.join(str(number) for number in sorted({min(numbers), max(numbers)}))


def _checks(tables: dict[str, pd.DataFrame]) -> str:
    one, errors, limit = tables["one_layer"], tables["errors"], tables["limit"].dropna(subset="exact")
    exact = errors[(errors["name"] == "least squares") & (errors["test"] == "c = 1")]["error"]
    off = float((limit["error"] / limit["exact"] - 1).abs().max())
    text = "Checks: "
    if len(one):
        far = one["z"].abs().max()
        text += (
            f"one layer as fitted {'agrees' if far < _AGREES else 'does not agree'} with the exact minimum of Theorems "
            f"4 and 8 (|z| up to {far:.2g}). "
        )
    return text + (
        f"For N → ∞, L-BFGS agrees with 1/3 and with the 2/((L + 1)(L + 2)) that L steps of descent with best rates "
        f"keep, to {_size(off)}. Labels have no noise and N > d, so least squares is exact, up to "
        f"{_size(exact.abs().max())} in its error."
    )


def _size(number: float) -> str:
    """A number's order of magnitude."""
    return format_number(float(f"{number:.0e}"))


def _tails(every: pd.DataFrame, settings: dict[str, Any]) -> str:
    deepest = max(settings["depths"])
    return (
        "Rare prompts: L layers of the GD++ form predict ŷ = x_q'H(Λ̂)m, m = (1/N) Σ y_i x_i, with a polynomial H of "
        f"degree 3(3^(L − 1) − 1)/2, {3 * (3 ** (deepest - 1) - 1) // 2} at L = {deepest}. In "
        f"{int((every['worst'] > HEAVY).sum())} of {len(every)} models the worst 0.1 % of prompts carry more than half "
        "of the mean error (†). Such means leave out what rarer prompts may carry; medians and shares of prompts do "
        "not depend on them. In 97.5 % of samples a mean is at least the largest of n errors times 1 − 0.975^(1/n): "
        f"this decides comparisons too. Errors beyond {_size(CUT)} count as that: means that they set are lower bounds."
    )


def _polynomials(limit: pd.DataFrame) -> str:
    _, tied = _limits(limit)
    rises = [int(layers) for layers in tied["layers"][1:][np.diff(tied["error"]) > 0]]
    text = "§4.3: no finite depth removes the failure, as for N → ∞ it takes λH(λ) = 1, which no polynomial solves."
    if rises:
        text += f" With tied layers the best error found rises again at L = {', '.join(map(str, rises))}."
    return text


def _softmax_contexts(every: pd.DataFrame) -> str:
    untied = every[every["weights"] == "untied"]
    linear, soft = (untied[untied["attention"] == name] for name in (LINEAR, SOFTMAX))
    both = soft.merge(linear, on=["law", "layers"], suffixes=("", " of linear"))
    spread = np.hypot(both["stderr "], both["stderr of linear"])
    above = int((both["on training contexts"] - both["error of linear"] > 1.96 * spread).sum())
    return (
        "Softmax has fewer training contexts. In expectation the best fit to them has a smaller error on them than the "
        "best model has on fresh prompts. Where the fit found has even there a larger error than linear attention on "
        f"fresh prompts, as in {above} of {len(both)} cases (95 %), want of contexts is not the reason; a poor optimum "
        "may be."
    )


def _symmetries(slopes: pd.DataFrame) -> str:
    told = {
        LABEL_LABEL: (
            "the label-label entry of W^KQ",
            "the GD++ form may not be stationary",
            "no sign to free it",
        ),
        DIAGONAL: ("other diagonal entries", "batch means are not normal", "as at an optimum"),
        OFF: ("off-diagonal entries", "batch means are not normal", "as symmetry says"),
    }
    parts = []
    for _, at in slopes.iterrows():
        whose, beyond_it, below = told[str(at["weights"])]
        parts.append(
            f"By {whose} {at['beyond']} of {at['derivatives']} are above {at['bound']:.3g} (largest "
            f"{at['largest |z|']:.2g}): {beyond_it if int(at['beyond']) else below}."
        )
    return (
        "Invariance: |z| of derivatives of log risk, at fits in the GD++ form with a gradient of at most "
        f"{CONVERGED:g}. {' '.join(parts)}"
        if parts
        else ""
    )
