"""What the study of varying covariances says, computed from its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import plural
from iclab.studies.covariance_laws import EigenvalueLaw
from iclab.studies.covariance_layer import (
    COMMON,
    COORDINATES,
    GPT2,
    IDENTITY,
    INDEPENDENT,
    ISOTROPIC,
    LEAST_SQUARES,
    LSA,
    NONE,
    OWN,
    RETRAINED,
    RIDGE,
    TRACE,
)

# Two-sided normal interval of 95 %.
_Z = 1.959963984540054
# A training has learned when its error on its own law is at most this part of the zero estimator's.
_LEARNED = 0.1
_GROWS, _FALLS = "grows", "falls"


def sentences(tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> list[str]:
    """The paragraphs of the section."""
    settings = facts["settings"]
    return [
        _limit(tables["layer"]),
        _tails(tables["layer"], facts["refusal"]),
        *_remedies(tables["layer"], settings["n_train"], settings["dimension"]),
        *_with_noise(tables["classical"], settings),
        _transformers(tables["models"], settings),
        _at_scales(tables["means"], settings),
        _gains(tables["models"], tables["means"], settings),
    ]


def summary(tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> list[str]:
    """Lines for the first page."""
    settings = facts["settings"]
    runs = _own_runs(tables["models"], settings)
    lower = int((runs["error"] + _Z * runs["stderr"] < runs["layer"]).sum())
    # Models that learned nothing decide nothing.
    denied = "Refuted" if runs["learned"].any() else "Undecided"
    verdict = "Confirmed" if lower == len(runs) else "In part" if lower else denied
    varying = runs[runs["cv2"] > 0]
    learned = varying[varying["learned"]]
    reached = f", at {_span(learned['error'])}" if len(learned) else ""
    layer = tables["layer"]
    n = settings["n_train"]
    scaled = _cell(layer, INDEPENDENT, "gamma", 1.0, n, RETRAINED, COORDINATES)
    plain = _cell(layer, INDEPENDENT, "gamma", 1.0, n, OWN, NONE)
    lines = [
        "Found: as prompts grow, one linear layer on random covariances keeps cv_λ²/(1 + cv_λ²) of the zero "
        "estimator's error, cv_λ the coefficient of variation of the eigenvalues weighted by themselves"
        f"{_at_exponential(layer)}.",
        f"{verdict}: GPT-2 trained on the same law has a lower error than the layer in {lower} of "
        f"{plural(len(runs), 'training')} ({plural(runs['law'].nunique(), 'law')}, d = {settings['dimension']}, "
        f"N = M = {n}). Where covariances vary, {len(learned)} of {len(varying)} "
        f"learned (at most {_LEARNED:g} of the zero estimator's error){reached}; the layer is at "
        f"{_span(varying['layer'])}.",
    ]
    if scaled is not None and plain is not None:
        lines.append(
            "Found: scaling each coordinate by what the context shows, at test and in training, gives the linear layer "
            "the error/d (d − 1)/(M + d − 3) on every diagonal law, which vanishes with M: on Exp(1) at "
            f"N = M = {n} {scaled:.2g} instead of {plain:.2g}."
        )
    return lines


def captions(tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> dict[str, str]:
    """Captions of the tables that the page prints."""
    settings = facts["settings"]
    seeds = len(settings["training_seeds"])
    return {
        "means": f"Errors over the zero estimator's by training law, test law, M and scaling; means over {seeds} "
        f"training seed{'s' if seeds > 1 else ''} (low to high), standard errors over {settings['n_prompts']:,} "
        f"prompts (seed {settings['seed']}; largest of the seeds), gains of scaling on the same prompts; LSA exact",
        "classical": f"Errors/d of classical learners and of the layer trained at N = {settings['n_train']}, with and "
        f"without label noise ({settings['n_prompts']:,} prompts, seed {settings['seed']})",
        "layer": "Exact errors/d of the linear layer at N = M by the law of λ, what it was trained on and how prompts "
        "are scaled; k is its coefficient, K = kI",
    }


def _at_exponential(layer: pd.DataFrame) -> str:
    limits = _plain_limits(layer)
    own = limits[(limits["family"] == "gamma") & (limits["cv2"] == 1)]["error"]
    return f": {own.iloc[0]:.2g} on the paper's Exp(1)" if len(own) else ""


def _limit(layer: pd.DataFrame) -> str:
    limits = _plain_limits(layer)
    predicted = limits["biased_cv2"] / (1 + limits["biased_cv2"])
    deviation = float((limits["error"] - predicted).abs().max())
    text = (
        "As M, N → ∞ the layer of Theorem 8 predicts k x_q'Λ_new w with one k for all prompts, and its error over the "
        "zero estimator's is cv_λ²/(1 + cv_λ²), where cv_λ² = E λ E λ³/(E λ²)² − 1 is the squared coefficient of "
        f"variation of λ under its law weighted by λ; the theory's values agree to {deviation:.1e}. For Gamma laws "
        "with cv² = v that is v/(1 + 2v) (1/3 at Exp(1), never above 1/2), for lognormal laws v/(1 + v), for inverse "
        "Gamma laws v."
    )
    values = sorted(set(limits[limits["family"] == "inverse gamma"]["cv2"]) - {0.0})
    if values:
        v = values[-1]
        same = limits[limits["cv2"] == v].set_index("family")["error"]
        listed = ", ".join(f"{family} {error:.2f}" for family, error in same.items())
        text += f" Laws of one variance differ widely (cv² = {v:g}: {listed}): the variance alone does not decide."
    return text


def _tails(layer: pd.DataFrame, refusal: str) -> str:
    limits = _plain_limits(layer)
    heavy = limits[limits["family"].isin(["inverse gamma", "Pareto"])].sort_values("biased_cv2")
    text = ""
    if len(heavy):
        worst = heavy.iloc[-1]
        text = (
            f"The heaviest tail tried ({worst['family']}, cv² = {worst['cv2']:g}, cv_λ² = {worst['biased_cv2']:.3g}) "
            f"leaves {worst['error']:.2f} of the zero estimator's error, with k = {worst['coefficient']:.2g} where a "
            "point mass has 1: as E λ³ → ∞ at a fixed variance the layer gives up, k → 0. "
        )
    return f"{text}Where E λ³ is infinite the population loss is, and the theory refuses: “{refusal}”"


def _remedies(layer: pd.DataFrame, n: int, d: int) -> list[str]:
    rows = layer[(layer["coupling"] == INDEPENDENT) & (layer["n"] == n) & (layer["cv2"] > 0)]
    table = rows.pivot_table(index=["family", "cv2"], columns=["trained", "scaling"], values="error")
    count = len(table)

    def helped(trained: str, scaling: str, against: str) -> int:
        return int((table[trained, scaling] < table[against, NONE]).sum())

    common = layer[(layer["coupling"] == COMMON) & (layer["n"] == n) & (layer["trained"] == RETRAINED)]
    keys = [(str(family), float(v)) for family, v in table.index.tolist()]
    shown = ("gamma", 1.0) if ("gamma", 1.0) in keys else keys[0]
    at, name = table.iloc[keys.index(shown)], EigenvalueLaw(*shown).name
    return [
        "Scaling at test time is legal: y = w'x is y/s = w'(x/s), the same task in other units. For the layer, scaling "
        f"inputs so that tr Λ̂ is the training mean is exact too. At N = M = {n} it lowers the error of the layer "
        f"trained on the law itself on {helped(OWN, TRACE, OWN)} of {count} laws of independent λ_i, and of the layer "
        f"trained on Λ = I on {helped(IDENTITY, TRACE, IDENTITY)}; trained on scaled prompts the layer beats the plain "
        f"one on {helped(RETRAINED, TRACE, OWN)}. On {name}: {at[OWN, NONE]:.3g} plain, {at[OWN, TRACE]:.3g} scaled, "
        f"{at[RETRAINED, TRACE]:.3g} trained on scaled prompts. With one λ for all coordinates, Λ = λI, the error of "
        f"the layer trained on scaled prompts is {_span(common['error'])} whatever the law: there the trace is all "
        "that varies.",
        "Scaling every coordinate by its own context variance (Λ is diagonal in Theorem 8) gives the error (1 − κ)² + "
        "κ²(d − 1)/(M − 2) for a layer with coefficient κ, on every law of λ with mean 1; at its best κ (d − 1)/(M + d "
        f"− 3), {_span(rows[(rows['trained'] == RETRAINED) & (rows['scaling'] == COORDINATES)]['error'])} here, which "
        "vanishes as M → ∞: where the axes are known this cures the failure of §4.3. The trained coefficient matters: "
        "with κ of the layer trained on Λ = I it beats the plain layer trained on the law on "
        f"{helped(IDENTITY, COORDINATES, OWN)} of {count} laws, with κ of the layer trained "
        f"on the law itself on {helped(OWN, COORDINATES, OWN)}"
        f" ({name}: {at[IDENTITY, COORDINATES]:.3g} and {at[OWN, COORDINATES]:.3g}, plain {at[OWN, NONE]:.3g})."
        + (
            f" So scaling alone does not repair a layer that was trained on varying covariances (d = {d}): its k is "
            "wrong for prompts that no longer vary."
            if helped(OWN, COORDINATES, OWN) < count
            else ""
        ),
    ]


def _with_noise(classical: pd.DataFrame, settings: Mapping[str, Any]) -> list[str]:
    m = max(settings["lengths"])
    rows = classical[(classical["position"] == m) & (classical["noise"] > 0)]
    if rows.empty:
        return []
    table = rows.pivot_table(index=["cv2", "family"], columns="predictor", values="mean")
    ratio = table[LSA] / table[RIDGE]
    scored = classical[np.isfinite(classical["exact"]) & (classical["stderr"] > 0)]
    z = (scored["mean"] - scored["exact"]) / scored["stderr"]
    beyond, worst = z[z.abs() > _Z], scored.iloc[int(z.abs().argmax())]
    below = int((beyond < 0).sum())
    far = f"; {len(beyond)} lie beyond 1.96, {below} of them too low" if len(beyond) else ""
    if 2 * below > len(beyond):
        far += f": tails are heavy, and {int(worst['n']):,} prompts may miss rare large ones"
    return [
        f"With label noise of standard deviation {settings['noise']:g} and M = {m}, ridge (Bayes for every law of Λ) "
        f"has error/d {_span(table[RIDGE])}, and the layer trained with that noise {ratio.min():.2g} to "
        f"{ratio.max():.2g} times as much. Without noise least squares is Bayes and has none from d examples on. "
        f"The layer's measured errors differ from its exact ones by at most {z.abs().max():.2f} standard errors in "
        f"{len(scored)} comparisons ({EigenvalueLaw(worst['family'], worst['cv2']).name}, M = {worst['position']}: "
        f"{worst['mean'] / worst['exact'] - 1:+.0%}){far}.".replace("-", "−")
    ]


def _own_runs(models: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """GPT-2 on its own law at the longest test length, one row per training; the layer's error; whether it learned."""
    rows = models[
        (models["test"] == "own law, c = 1")
        & (models["scaling"] == NONE)
        & (models["position"] == max(settings["lengths"]))
    ]
    layer = rows[rows["predictor"] == LSA].set_index("law")["error"]
    squares = rows[rows["predictor"] == LEAST_SQUARES].groupby("law")["error"].max()
    runs = rows[rows["predictor"] == GPT2]
    return runs.assign(
        layer=runs["law"].map(layer), squares=runs["law"].map(squares), learned=runs["error"] <= _LEARNED
    )


def _transformers(models: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    runs = _own_runs(models, settings)
    parts = []
    for law, own in runs.groupby("law", sort=False):
        failed = own[~own["learned"]]["training_seed"]
        mark = (
            f"; seed{'s' if len(failed) > 1 else ''} {', '.join(map(str, failed))} did not learn" if len(failed) else ""
        )
        parts.append(f"{law}: {_span(own['error'])} ({LSA} {own['layer'].iloc[0]:.2g}{mark})")
    seeds = runs["training_seed"].nunique()
    return (
        f"GPT-2 trained on each law, on its own law at M = {max(settings['lengths'])}, error over the zero estimator's "
        f"by {plural(seeds, 'training seed')} ({LEAST_SQUARES}: {_span(runs['squares'].round(15))}): "
        f"{'; '.join(parts)}. An error of at most {_LEARNED:g} counts as learned.{_steps(runs)}"
    )


def _steps(runs: pd.DataFrame) -> str:
    """Whether the error grows or falls from law to law, in every seed and beyond the error of the prompts."""
    laws = list(dict.fromkeys(runs["law"]))
    errors, stderrs = (
        runs.pivot_table(index="training_seed", columns="law", values=value)[laws].to_numpy(dtype=np.float64)
        for value in ("error", "stderr")
    )
    if len(laws) < 2:
        return ""
    seeds = f"each of {len(errors)} seeds" if len(errors) > 1 else "the one seed"
    ends = _changed(errors[:, [0, -1]], stderrs[:, [0, -1]])[0]
    factor = f"by a factor of {_span(pd.Series(errors[:, -1] / errors[:, 0]))}"
    said = f" From {laws[0]} to {laws[-1]} it {ends or 'changes'} {factor}"
    said += f" in {seeds}, beyond 1.96 standard errors" if ends else ", undecided by 1.96 standard errors in every seed"
    if len(laws) == 2:
        return f"{said}."
    steps = _changed(errors, stderrs)
    said += f"; between neighbours it grows so at {steps.count(_GROWS)} and falls so at {steps.count(_FALLS)} of "
    return f"{said}{len(steps)} steps{', the others undecided' if '' in steps else ''}."


def _changed(errors: np.ndarray, stderrs: np.ndarray) -> list[str]:
    """How errors change from column to column, in every row and beyond their standard errors; empty if undecided."""
    steps, reach = np.diff(errors), _Z * np.hypot(stderrs[:, 1:], stderrs[:, :-1])
    return [
        _GROWS if (step > limit).all() else _FALLS if (step < -limit).all() else ""
        for step, limit in zip(steps.T, reach.T, strict=True)
    ]


def _at_scales(means: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    m = max(settings["lengths"])
    rows = means[(means["position"] == m) & (means["scaling"] == NONE) & (means["test"] != ISOTROPIC)]
    parts = []
    for predictor in (GPT2, LSA):
        own = rows[rows["predictor"] == predictor].groupby("scale")
        parts.append(f"{predictor} {'; '.join(f'c = {c:g}: {_reach(part)}' for c, part in own)}")
    isotropic = means[
        (means["position"] == m)
        & (means["scaling"] == NONE)
        & (means["test"] == ISOTROPIC)
        & (means["predictor"] == GPT2)
    ]
    text = (
        "At scales c of their own law the errors over the zero estimator's range over laws and training seeds as "
        f"{', '.join(parts)}."
    )
    if len(isotropic):
        listed = "; ".join(f"{law}: {_reach(part)}" for law, part in isotropic.groupby("law", sort=False))
        text += f" On Λ = I, GPT-2 by training law: {listed}."
    return text


def _gains(models: pd.DataFrame, means: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    """Counts of gains of every scaling beyond each seed's own error, and what happens at large scales."""
    m = max(settings["lengths"])
    rows = means[(means["predictor"] == GPT2) & (means["position"] == m)]
    top = rows[rows["scale"] == rows["scale"].max()]
    runs = models[(models["predictor"] == GPT2) & (models["position"] == m)]
    runs = runs.assign(better=runs["gain"] > _Z * runs["gain_stderr"], worse=runs["gain"] < -_Z * runs["gain_stderr"])
    out = []
    for scaling, words in (
        ("inputs", "inputs alone"),
        (TRACE, "inputs and labels"),
        (COORDINATES, "each coordinate, and labels"),
    ):
        counts = runs[runs["scaling"] == scaling].groupby(["law", "test"])[["better", "worse"]].all()
        out.append(
            f"{words}: {int(counts['better'].sum())} better and {int(counts['worse'].sum())} worse of {len(counts)}, "
            f"at c = {rows['scale'].max():g} {_reach(top[top['scaling'] == scaling])}"
        )
    return (
        "GPT-2 with prompts scaled at test, by pairs of training and test law (better or worse: in every training seed "
        f"by over 1.96 standard errors of its paired difference): {'; '.join(out)}. Unscaled it has "
        f"{_reach(top[top['scaling'] == NONE])} there."
    )


def _plain_limits(layer: pd.DataFrame) -> pd.DataFrame:
    return layer[
        (layer["coupling"] == INDEPENDENT)
        & np.isinf(layer["n"])
        & (layer["trained"] == OWN)
        & (layer["scaling"] == NONE)
    ]


def _cell(
    layer: pd.DataFrame, coupling: str, family: str, v: float, n: float, trained: str, scaling: str
) -> float | None:
    rows = layer[
        (layer["coupling"] == coupling)
        & (layer["family"] == family)
        & (layer["cv2"] == v)
        & (layer["n"] == n)
        & (layer["trained"] == trained)
        & (layer["scaling"] == scaling)
    ]
    return None if rows.empty else float(rows["error"].iloc[0])


def _reach(rows: pd.DataFrame) -> str:
    # From the lowest of the seeds to the highest.
    return _span(pd.concat([rows["low"], rows["high"]]))


def _span(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(high), 1e-12):
        return f"{high:.3g}"
    return " to ".join(dict.fromkeys([f"{low:.2g}", f"{high:.2g}"]))
