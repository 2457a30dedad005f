"""What the page of Figure 1 says beside its curves: criteria, origins, seeds against prompts, deviations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from iclab.foundations import plus_minus
from iclab.models import SIZES
from iclab.studies.figure1_models import Figure1Settings, Model, configuration
from iclab.studies.observations import CONFIDENCE
from iclab.studies.panels import COVARIATES, OWN
from iclab.studies.store import digest
from iclab.studies.trainings import Trained, deviations
from iclab.training import TrainingConfig

# Unless a study asks for an error at N: a fixed-covariance model has learned its task when its error / d at 2d examples
# is at most this (zero estimator 1, least squares 0); a random-covariance one when it beats the exact LSA curve at
# every trained M.
LEARNED = 0.05
TOKENS = "reading tokens in turn"
# Where the models of one law and length are compared.
_POINT = ["panel", "family", "n_train", "position"]


def criterion(settings: Figure1Settings) -> str:
    """When a model counts as having learned its task."""
    if settings.learned_at_n is not None:
        return f"its error/d at M = N on its own law is at most {settings.learned_at_n:g}"
    return (
        f"at 2d examples the error/d of a fixed-covariance model is at most {LEARNED:g}; a random-covariance model "
        "beats the exact LSA curve at every M up to N"
    )


def reads(settings: Figure1Settings) -> str:
    """How the models read their prompts."""
    embedding = configuration(Model("fixed", settings.n_train[0], 0), settings).model.embedding
    return TOKENS if embedding == "interleaved" else "reading columns (x, y)"


def standard_errors(settings: Figure1Settings) -> str:
    """What the standard errors and intervals of the page hold."""
    seeds = len(settings.training_seeds)
    if seeds == 1:
        return "Standard errors are over prompts; one training seed does not tell what another would do."
    return (
        f"The {CONFIDENCE:.0%} intervals of the checks include the spread of {seeds} training seeds (Student's t, "
        "degrees of freedom by Welch and Satterthwaite); standard errors elsewhere are over prompts."
    )


def training_against_length(found: Mapping[Model, Trained]) -> str:
    """How the training of the longest random-covariance model differs from the shortest's, if both are at hand."""
    configs = {model.n_train: run.config for model, run in found.items() if model.family == "random"}
    if len(configs) < 2:
        return ""
    short, long = min(configs), max(configs)
    steps = configs[long].steps / configs[short].steps
    labels = _labels_seen(configs[long]) / _labels_seen(configs[short])
    return (
        f"N = {long} had {f'{steps:.2g} times the' if steps != 1 else 'as many'} steps and {labels:.2g} times the "
        f"labels of N = {short}: this check cannot tell N from training."
    )


def _labels_seen(config: TrainingConfig) -> int:
    """Points of all training prompts."""
    dimension, points = config.model.dimension, config.n_points
    return sum(
        config.curriculum.at(step, dimension, points).points * config.batch_size_at(step)
        for step in range(config.steps)
    )


def embeddings(settings: Figure1Settings) -> list[str]:
    """What the models read, where that is not what GPT-2 reads in the paper."""
    if reads(settings) == TOKENS:
        return []
    return [
        "The models have GPT-2's blocks but read columns (x, y), as in (4), not x and y as tokens in turn, as the "
        "paper's do: an observation that does not appear here may well appear there."
    ]


def origins(wanted: list[Model], found: Mapping[Model, Trained], settings: Figure1Settings) -> list[str]:
    """Where the models come from, and which are left out."""
    origins: dict[str, list[str]] = {}
    for model, run in found.items():
        wish = configuration(model, settings)
        steps = f"{run.config.steps:,} steps" + ("" if run.config.steps == wish.steps else f" ({wish.steps:,})")
        alike = configuration(model, replace(settings, overrides={**settings.overrides, "steps": run.config.steps}))
        others = deviations(run, alike)
        note = f", and otherwise than this part's settings in {', '.join(others)}" if others else ""
        origins.setdefault(f"{run.origin}, {steps}{note}", []).append(model.name)
    sentences: list[str] = []
    if any(run.identity != digest(configuration(model, settings).as_dict()) for model, run in found.items()):
        listed = "; ".join(f"{', '.join(names)}: {origin}" for origin, names in origins.items())
        sentences.append(
            "Where the models come from (runs in the reproduction's folder come before models that ship; in brackets, "
            f"steps by this page's own settings): {listed}."
        )
    elif found:
        sentences.append("Each model is trained once for all pages that show it.")
    missing = [model for model in wanted if model not in found]
    if missing:
        first = missing[0]
        changes = {
            "dimension": settings.dimension,
            "n_train": first.n_train,
            "covariates": COVARIATES[first.family],
            "max_points": settings.max_context + 1,
            **({"seed": first.training_seed} if first.training_seed else {}),
            **settings.overrides,
        }
        options = " ".join(f"--set {key}={value}" for key, value in _dotted(changes))
        sentences.append(
            f"Left out, because no trained model is at hand: {', '.join(model.name for model in missing)}. Their "
            f"curves are missing from the figures, and the observations are weighed without them. `iclab train "
            f"{settings.preset} {options} --directory DIRECTORY/runs/{first.name}` trains the first, DIRECTORY being "
            "the reproduction's; then the command of this page draws it."
        )
    return sentences


def _dotted(changes: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested changes one by one, as ``--set`` takes them."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def seeds_against_prompts(bands: pd.DataFrame, curves: pd.DataFrame, settings: Figure1Settings) -> list[str]:
    """How far training seeds spread, at M = N on each model's own law and beside one model's error over prompts."""
    if len(settings.training_seeds) < 2 or not len(bands):
        return []
    at_n = bands[(bands["position"] == bands["n_train"]) & (bands["panel"] == bands["family"].map(OWN))]
    listed = "; ".join(
        f"{row['family']}cov_N{row['n_train']} {plus_minus(row['mean'], row['stderr'])} ({row['deviation']:.2g})"
        for row in at_n.to_dict("records")
    )
    of_one = curves.groupby(_POINT)["stderr"].mean()
    bands = bands.assign(of_one=of_one.reindex(pd.MultiIndex.from_frame(bands[_POINT])).to_numpy())
    trained = bands[(bands["position"] > 0) & (bands["position"] <= bands["n_train"])]
    beyond = bands[bands["position"] > bands["n_train"]]
    inner, outer, ratios = zip(*(_widths(rows) for rows in (trained, beyond) if len(rows)), strict=True)
    sentences = [
        f"Mean error/d at M = N on each model's own law over {len(settings.training_seeds)} training seeds, with its "
        f"standard error over prompts and, in brackets, the standard deviation between seeds: {listed}.",
        f"In the median over panels and M = 1 … N{' (beyond N)' if len(beyond) else ''}, the inner band is ± "
        f"{_pair(inner)} of the mean, the outer one {_pair(outer)} wide, and the standard deviation between seeds "
        f"{_pair(ratios)} times one model's standard error over {int(bands['n'].iloc[0]):,} prompts.",
    ]
    if ratios[-1] > 2 * ratios[0]:
        sentences[-1] += " What the untrained positions do depends on the seed."
    return sentences


def _widths(bands: pd.DataFrame) -> tuple[float, float, float]:
    """Both bands as shares of the mean, and the spread of seeds over one model's standard error; medians."""
    return (
        _median(1.96 * bands["stderr"] / bands["mean"]),
        _median((bands["highest"] - bands["lowest"]) / bands["mean"]),
        _median(bands["deviation"] / bands["of_one"]),
    )


def _pair(values: tuple[float, ...]) -> str:
    """Up to N and, in brackets, beyond."""
    first, *rest = (f"{value:.2g}" for value in values)
    return first + "".join(f" ({value})" for value in rest)


def _median(values: pd.Series) -> float:
    return float(values.median())


def paper_deviations(settings: Figure1Settings, found: Mapping[Model, Trained]) -> list[str]:
    """How this training differs from the paper's."""
    label = f"Figure 1 at d = {settings.dimension}"
    wish = configuration(Model("fixed", settings.n_train[0], settings.training_seeds[0]), settings)
    steps = sorted({run.config.steps for run in found.values()} or {wish.steps})
    kinds = sorted({run.config.targets for run in found.values()} or {wish.targets})
    names = {"labels": "labels", "posterior_mean": "Rao-Blackwell targets instead of labels"}
    trained_for = " or ".join(f"{n:,}" for n in steps)
    lines = [
        f"{label}: the paper's number of steps and its curriculum are not known (the text at hand breaks off in "
        f"Appendix E); here models with {wish.model.attention} attention, {reads(settings)}, were trained by the "
        f"recipe {settings.preset!r} ({wish.optimizer.kind.capitalize()}, its rates and its curriculum) for "
        f"{trained_for} steps on {' or '.join(names[kind] for kind in kinds)}."
    ]
    model, paper = wish.model, SIZES["standard"]
    differs: list[str] = []
    if (settings.dimension, settings.n_train, settings.max_context) != (20, (40, 70, 100), 100):
        differs.append(
            f"d = {settings.dimension}, N = {', '.join(map(str, settings.n_train))} and contexts up to "
            f"{settings.max_context} instead of d = 20, N = 40, 70, 100 and 100"
        )
    if (model.width, model.layers) != paper[:2]:
        differs.append(
            f"a GPT-2 of width {model.width} with {model.layers} layers instead of width {paper[0]} with {paper[1]}"
        )
    if model.embedding == "stacked":
        differs.append(
            "prompts read as the columns (x, y) of (4), with a query for every position, instead of x and y as tokens "
            "in turn"
        )
    if differs:
        lines.append(f"{label}: {'; '.join(differs)}.")
    return lines
