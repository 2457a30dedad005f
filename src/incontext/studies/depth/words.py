"""Conclusions from the numbers, in sentences; each says so where the numbers do not decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from incontext.studies.depth.contexts import RANDOM
from incontext.studies.depth.forms import DESCENT, FULL, GD_PLUS, INVARIANT
from incontext.studies.depth.measures import BATCHES
from incontext.studies.depth.models import LINEAR, PAPER, SOFTMAX, Model
from incontext.studies.depth.verdicts import mark, pair_of, row_of, undecided, verdict
from incontext.studies.depth.words_beyond import algorithms, remedies, shifts, summary

# Share of the mean in the worst 0.1 % of prompts from which on the mean says little of most prompts.
_HEAVY = 0.5
_LEVEL = 0.05
_SYMMETRIC = "free, or 0 by symmetry in the population"


def words(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> dict[str, Any]:
    """Sentences, further ones in detail, lines for the first page, deviations and captions."""
    laws, depths = settings["laws"], sorted(settings["depths"])
    cure = _cure(tables, laws)
    deeper = _deeper(tables, laws, depths)
    *gains, what_remedies_do = remedies(tables, settings)
    sentences = [_setting(settings), _one_layer(tables["models"]), *cure, what_remedies_do]
    details = [
        *deeper,
        *(_classical(tables, law, depths) for law in laws),
        *(_softmax(tables, law, depths) for law in laws),
        *_forms(tables, settings),
        *algorithms(tables, settings),
        *(shifts(tables, law, depths) for law in laws),
        *gains,
    ]
    return {
        "sentences": [sentence for sentence in sentences if sentence],
        "details": [sentence for sentence in details if sentence],
        "summary": summary(tables, settings),
        "deviations": [
            "Depth: layers are stacked with the query not among the keys and the label read with sign −1, as is usual "
            "for deep linear attention; (3) and (6) as they stand are fitted beside it. One layer is the paper's."
        ],
        "captions": {
            "overview": "Error on fresh prompts over E tr Λ, by number of layers L (mean; beside it the median)",
            "wider": "What wider forms gain over the GD++ form (errors over E tr Λ)",
            "limit": "N → ∞, Λ = diag Exp(1): error over E tr Λ by exact quadrature",
            "gains": "Remedies: error over E tr Λ on fresh prompts of the training law, and the gain over one layer",
        },
    }


def _setting(settings: dict[str, Any]) -> str:
    return (
        f"Prompts: d = {settings['dimension']}, N = {settings['n_train']}, no label noise, E tr Λ = d. Every fit is "
        f"the best of {settings['n_starts']} L-BFGS runs on the same {settings['n_prompts']} training contexts "
        f"({settings['n_softmax_prompts']} for softmax) of {settings['n_queries']} queries each; errors "
        f"E(ŷ − y)²/E tr Λ, twice Definition 1's loss over tr Λ, are measured on {settings['n_test']} fresh prompts "
        f"that all share, seed {settings['seed']}. As labels are free of noise and N > d, least squares is exact: no "
        "model is compared with it but for the distance."
    )


def _one_layer(models: pd.DataFrame) -> str:
    one = models[(models["layers"] == 1) & (models["form"] == GD_PLUS)]
    if one.empty:
        return ""
    z = (one["test"] - one["exact"]) / one["test_stderr"]
    parts = "; ".join(
        f"{law}: {test:.4f} ± {stderr:.4f} against {exact:.4f}"
        for law, test, stderr, exact in one[["law", "test", "test_stderr", "exact"]].itertuples(index=False)
    )
    said = "agree" if z.abs().max() < 3 else "do not agree"
    return (
        f"One layer, fitted, and the exact minimum of Theorems 4 and 8 {said} within three standard errors "
        f"({parts}); what is below an exact minimum is so by chance."
    )


def _deeper(tables: dict[str, pd.DataFrame], laws: Sequence[str], depths: Sequence[int]) -> list[str]:
    found = []
    for law in laws:
        for tied in (False, True):
            steps, errors = [], []
            for layers in depths:
                if layers == 1 and tied:
                    continue
                at = row_of(tables["models"], Model(law, LINEAR, GD_PLUS, tied, layers))
                errors.append(
                    f"{layers}: {at['test']:.3g} ± {at['test_stderr']:.1g} (training contexts {at['train']:.2g}, "
                    f"median prompt {at['median']:.2g})"
                )
            for before, layers in pairwise(depths):
                if tied and before == 1:
                    continue
                row = pair_of(
                    tables, law, Model(law, LINEAR, GD_PLUS, tied, layers), Model(law, LINEAR, GD_PLUS, tied, before)
                )
                steps.append(f"L = {layers} {verdict(row)} L = {before}")
            heavy = [
                layers
                for layers in depths
                if (layers > 1 or not tied)
                and row_of(tables["models"], Model(law, LINEAR, GD_PLUS, tied, layers))["worst"] > _HEAVY
            ]
            text = f"{law}, linear, {'tied' if tied else 'untied'}: error by L, {'; '.join(errors)}."
            if tied:
                pairs = [
                    (layers, pair_of(tables, law, replace(model, tied=False), model))
                    for layers in depths
                    if layers > 1 and (model := Model(law, LINEAR, GD_PLUS, True, layers))
                ]
                against = [f"L = {layers} {verdict(row)} it (on {row['better']:.0%})" for layers, row in pairs]
                text += f" Untied against tied, in the mean (on what share better): {'; '.join(against)}."
            if steps:
                text += f" In the mean, {'; '.join(steps)}."
            if heavy:
                text += (
                    f" At L = {', '.join(map(str, heavy))} the worst 0.1 % of prompts carry more than half of the mean "
                    "error, so that the mean and its interval depend on rare prompts; the shares and medians do not."
                )
            found.append(text)
    found.append(
        "With L layers of the GD++ form a prediction is a polynomial in Λ̂ of degree 3(3^(L − 1) − 1)/2, "
        f"{3 * (3 ** (depths[-1] - 1) - 1) // 2} at L = {depths[-1]}. Prompts rarer than one in the sample can carry "
        "more of its population mean than all that were drawn, and above all where covariances are random: means "
        "and their intervals are those of prompts as common as these, and intervals take them for normal."
    )
    return found


def _cure(tables: dict[str, pd.DataFrame], laws: Sequence[str]) -> list[str]:
    limit = tables["limit"]
    steps = limit[(limit["form"] == DESCENT) & ~limit["tied"]]
    curved = limit[limit["form"] == GD_PLUS]
    untied = curved[~curved["tied"]].sort_values("layers")
    tied = pd.concat([untied[untied["layers"] == 1], curved[curved["tied"]]]).sort_values("layers")
    off = float((steps["error"] / steps["exact"] - 1).abs().max())

    def listed(rows: pd.DataFrame) -> str:
        return ", ".join(
            f"{error:.4f} (L = {layers})" for error, layers in zip(rows["error"], rows["layers"], strict=True)
        )

    text = (
        "Does depth cure §4.3? For N → ∞, Λ̂ = Λ, one layer keeps 1/3 of the error; L steps of descent with best rates "
        f"keep exactly 2/((L + 1)(L + 2)) (L-BFGS agrees to {off:.0e}), and the GD++ form keeps {listed(untied)} "
        "untied"
    )
    text += f", {listed(tied)} tied." if len(tied) > 1 else "."
    rises = [
        int(after)
        for (low, after, up) in zip(tied["error"], tied["layers"][1:], tied["error"][1:], strict=False)
        if up > low
    ]
    if rises:
        text += (
            f" With tied layers the best mean error found rises again at L = {', '.join(map(str, rises))}: a "
            "polynomial of high degree pays for rare large eigenvalues."
        )
    fell = bool(np.all(np.diff(untied["error"]) < 0))
    text += (
        " Depth reduces the failure with every layer tried; no finite depth removes it, as λH(λ) = 1 has no polynomial "
        "solution."
        if fell
        else " More layers did not always reduce it, in the runs made."
    )
    sentences = [text]
    if RANDOM in laws:
        pairs = tables["pairs"].query("law == @RANDOM and second == 'one layer, Theorem 4 or 8'")
        parts = [
            f"L = {first.rsplit(' ', 1)[1]} has the smaller error on {better:.1%} ({low:.1%} to {high:.1%})"
            for first, better, low, high in pairs[["first", "better", "better_low", "better_high"]].itertuples(
                index=False
            )
            if ", untied, " in first and not first.endswith("L = 1")
        ]
        if parts:
            tied = tables["pairs"].query("law == @RANDOM and second == 'one layer, Theorem 4 or 8'")
            tied = tied[tied["first"].str.contains(", tied, ")]
            means = [
                f"L = {row['first'].rsplit(' ', 1)[1]} {verdict(row)} it by {abs(row['difference']):.3g} ± "
                f"{row['stderr']:.1g}"
                for _, row in tied.iterrows()
            ]
            sentences.append(
                f"At N itself, against the exact one-layer minimum of Theorem 8, tied, in the mean: {'; '.join(means)}."
            )
            sentences.append(f"Untied, prompt by prompt against the same minimum: {'; '.join(parts)}.")
    return sentences


def _classical(tables: dict[str, pd.DataFrame], law: str, depths: Sequence[int]) -> str:
    parts = []
    for layers in (depth for depth in depths if depth > 1):
        model = Model(law, LINEAR, GD_PLUS, False, layers)
        against = [
            f"{verdict(row)} {name}" + (f" (smaller error on {row['better']:.0%})" if undecided(row) else "")
            for family, name in (("descent, best rates", "descent with best rates"), ("Newton", "Newton"))
            if (row := pair_of(tables, law, model, f"{family}, k = {layers}")) is not None
        ]
        parts.append(f"L = {layers} {' and '.join(against)}")
    return f"{law}: against k = L steps, untied linear attention in the GD++ form: {'; '.join(parts)}." if parts else ""


def _softmax(tables: dict[str, pd.DataFrame], law: str, depths: Sequence[int]) -> str:
    parts = []
    for layers in depths:
        soft = Model(law, SOFTMAX, INVARIANT, False, layers)
        row = pair_of(tables, law, soft, Model(law, LINEAR, GD_PLUS, False, layers))
        at = row_of(tables["models"], soft)
        parts.append(
            f"L = {layers}: {at['test']:.3g} ± {at['test_stderr']:.1g} (training contexts {at['train']:.2g}, median "
            f"prompt {at['median']:.2g}), {verdict(row)} linear, smaller error on {row['better']:.0%}"
        )
    return f"{law}, softmax, untied (trained on fewer contexts, see above): {'; '.join(parts)} of prompts."


def _forms(tables: dict[str, pd.DataFrame], settings: dict[str, Any]) -> list[str]:
    slopes = tables["stationarity"]
    # |z| beyond what the largest of so many has at 95 %, with the Student law of the batches' mean.
    sentences = []
    size = settings["dimension"] + 1
    labels = (slopes["matrix"] == "W^KQ") & (slopes["row"] == size) & (slopes["column"] == size)
    deep = slopes["model"].str.extract(r"L = (\d+)$")[0].astype(int) > 1
    for name, why, rows in (
        ("the label-label entry of W^KQ", "no symmetry makes it vanish", slopes[labels & deep & (slopes["z"] != 0)]),
        ("all other entries", _SYMMETRIC, slopes[~labels & (slopes["z"] != 0)]),
    ):
        if rows.empty:
            continue
        bound = float(student.isf(_LEVEL / 2 / len(rows), BATCHES - 1))
        largest = rows.loc[rows["z"].abs().idxmax()]
        beyond = int((rows["z"].abs() > bound).sum())
        text = (
            f"At the optima of the GD++ form the derivatives of the risk by {name} ({why}; {len(rows)}) reach |z| = "
            f"{abs(largest['z']):.2g} ({largest['law']}, {largest['model'].rsplit(', ', 1)[1]}); "
        )
        text += (
            f"{beyond} of them exceed the {bound:.2f} below which the largest of so many stays in 95 % of cases: "
            + ("batch means are not normal." if why == _SYMMETRIC else "the form is not stationary there.")
            if beyond
            else f"none exceeds the {bound:.2f} below which the largest of so many stays in 95 % of cases."
        )
        sentences.append(text)
    parts: dict[str, list[str]] = {"": [], INVARIANT: [], FULL: [], PAPER: []}
    for law in settings["laws"]:
        for layers in settings["form_depths"]:
            wide = Model(law, LINEAR, INVARIANT, False, layers)
            compared = [
                (INVARIANT, wide, Model(law, LINEAR, GD_PLUS, False, layers)),
                (FULL, Model(law, LINEAR, FULL, False, layers), wide),
            ]
            if layers > 1:
                compared.append((PAPER, Model(law, PAPER, INVARIANT, False, layers), wide))
            for kind, first, second in compared:
                row = pair_of(tables, law, first, second)
                parts[kind].append(
                    f"{law}, L = {layers}: {mark(row)} (smaller error on {row['better']:.0%} of prompts)"
                )
    sentences.append(
        "On the same contexts and tested on fresh prompts, the invariant form (also the label weights free) against "
        f"the GD++ form: {'; '.join(parts[INVARIANT])}."
    )
    sentences.append(f"All weights free against the invariant form: {'; '.join(parts[FULL])}.")
    if parts[PAPER]:
        sentences.append(
            "(3) and (6) as they stand, the query among the keys and read with sign +1, against the invariant form "
            f"without: {'; '.join(parts[PAPER])}."
        )
    return sentences
