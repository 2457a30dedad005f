"""Figure 1 of the paper: GPT-2 models trained on fixed and on random covariances, tested on four laws.

Six models (two families × three training lengths N) are trained on linear regression prompts and judged at
every context length on the identity covariance and on c · diag(λ), λ_i ~ Exponential(1), c = 1, 4, 9. Beside
them: least squares and the zero estimator on the same prompts, and the exact error of the linear
self-attention layer at finite N and M and in its limit. The paper's observations about the figure are then
evaluated on the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from iclab.models import load
from iclab.predictors import LeastSquares, Predictor
from iclab.studies.figure1_models import Figure1Settings, Model, Progress, find_or_train
from iclab.studies.figure1_words import (
    LEARNED,
    TOKENS,
    criterion,
    embeddings,
    origins,
    paper_deviations,
    reads,
    seeds_against_prompts,
    standard_errors,
    training_against_length,
)
from iclab.studies.observation_checks import weigh
from iclab.studies.observations import LONGER_IS_BETTER, summarise
from iclab.studies.panels import FAMILIES, OWN, Errors, Law, panel_laws, squared_errors, training_covariates
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store
from iclab.studies.trainings import Trained
from iclab.theory import expected_risk

_COLUMNS = [
    "model",
    "family",
    "n_train",
    "training_seed",
    "steps",
    "targets",
    "origin",
    "own_law",
    "error_at_2d",
    "stderr_at_2d",
    "error_at_N",
    "stderr_at_N",
    "n",
    "largest_ratio_to_lsa",
    "learned",
]


def run(*, store: Store, runs: Path, progress: Progress, **sizes: Any) -> StudyRecord:
    """Find or train the models, judge everything, and weigh the paper's observations.

    Parameters
    ----------
    store : Store
        Keeps the squared errors of each (model, panel).
    runs : Path
        Keeps the trainings, one run per model.
    progress : callable
        Called with (what is being done, done, total).
    **sizes
        Fields of ``Figure1Settings``.

    Returns
    -------
    StudyRecord
        Tables ``curves``, ``bands``, ``lsa``, ``models`` and ``observations``; errors are divided by d.
    """
    settings = Figure1Settings(**sizes)
    wanted = [
        Model(family, n, seed) for seed in settings.training_seeds for family in FAMILIES for n in settings.n_train
    ]
    found = find_or_train(wanted, settings, runs, progress)
    models = [model for model in wanted if model in found]
    panels = panel_laws(settings.dimension, settings.scales)
    errors = _judge(settings, panels, found, store, progress)
    described = [_describe(model, errors, found[model], settings) for model in models]
    tables = {
        "curves": _curves(panels, models, errors),
        "bands": _bands(_by_model(models, errors)),
        "lsa": _lsa(settings, panels),
        "models": pd.DataFrame(described, columns=_COLUMNS),
        "observations": weigh(
            # What a model does that has not learned its own task tells nothing about one that has.
            _by_model([model for model, row in zip(models, described, strict=True) if row["learned"]], errors),
            {panel: zero for panel, (zero, _) in panels.items()},
            settings.n_train,
            settings.seed,
        ),
    }
    seeds = len(settings.training_seeds)
    facts = {
        "settings": {**asdict(settings), "overrides": dict(settings.overrides)},
        "normaliser": "squared error over d, so that the zero estimator has 1 on the identity and c on c·Exp(1)",
        "bands": "± 1.96 standard errors over the test prompts, one training seed per model"
        if seeds == 1
        else f"inner, ± 1.96 standard errors over the test prompts of the mean over {seeds} training seeds; outer, "
        f"pale, range over the {seeds} seeds",
        "learned": criterion(settings),
        "reads": reads(settings),
        "targets": sorted({model.config.targets for model in found.values()}),
        "summary": summarise(tables["observations"]),
        "notes": {LONGER_IS_BETTER.title: training_against_length(found)},
        "sentences": [
            standard_errors(settings),
            *embeddings(settings),
            *origins(wanted, found, settings),
            *seeds_against_prompts(tables["bands"], tables["curves"], settings),
        ],
        "deviations": paper_deviations(settings, found),
    }
    title = f"Figure 1 at d = {settings.dimension}: transformers on fixed and random covariances"
    title += f", {facts['reads']}" * (facts["reads"] != TOKENS) + f", {seeds} training seeds" * (seeds > 1)
    return StudyRecord(settings.name, title, tables, facts)


def _judge(
    settings: Figure1Settings,
    panels: Mapping[str, tuple[float, Law]],
    trained: Mapping[Model, Trained],
    store: Store,
    progress: Progress,
) -> dict[tuple[str, str], Errors]:
    """Squared errors by (predictor, panel): every predictor sees the same prompts."""
    total = (len(trained) + 1) * len(panels)
    judged: dict[tuple[str, str], Errors] = {}
    points = settings.max_context + 1
    for panel, (_, law) in panels.items():
        sample = {"panel": panel, "dimension": settings.dimension, "n_prompts": settings.n_prompts}
        sample |= {"seed": settings.seed, "n_points": points}
        for name, identity, predictor in _predictors(trained):
            progress(f"testing: {name} on {panel}", len(judged), total)
            unit = f"figure1-{name}-{panel}".replace(" ", "-")
            table = store.table(
                unit,
                {"predictor": identity, **sample},
                lambda law=law, predictor=predictor: squared_errors(
                    predictor(), law, points, n_prompts=settings.n_prompts, seed=settings.seed
                ),
            )
            judged[name, panel] = table.to_numpy()
    progress("testing: done", total, total)
    return judged


def _predictors(trained: Mapping[Model, Trained]) -> Iterator[tuple[str, str, Callable[[], Predictor]]]:
    """Name, identity for the store, and a way to build each predictor; models load only if they are needed."""
    yield "least squares", "least squares", LeastSquares
    for model, run in trained.items():
        yield model.name, run.identity, lambda run=run: load(run.path, device="auto")


def _by_model(models: list[Model], errors: Mapping[tuple[str, str], Errors]) -> dict[tuple[str, int, str], Errors]:
    """Squared errors by (family, N, panel): training seeds × prompts × positions."""
    seeds: dict[tuple[str, int], list[str]] = {}
    for model in models:
        seeds.setdefault((model.family, model.n_train), []).append(model.name)
    panels = list(dict.fromkeys(panel for _, panel in errors))
    return {
        (family, n, panel): np.array([errors[name, panel] for name in names])
        for (family, n), names in seeds.items()
        for panel in panels
    }


def _bands(
    by_model: Mapping[tuple[str, int, str], Errors],
) -> pd.DataFrame:
    """Mean over training seeds by position, its standard error over prompts, and the range and spread over seeds."""
    frames = []
    for (family, n_train, panel), by_seed in by_model.items():
        means, values = by_seed.mean(axis=1), by_seed.mean(axis=0)
        n, positions = values.shape
        frames.append(
            pd.DataFrame(
                {
                    "panel": panel,
                    "family": family,
                    "n_train": n_train,
                    "position": np.arange(positions),
                    "mean": values.mean(axis=0),
                    "stderr": values.std(axis=0, ddof=1) / np.sqrt(n),
                    "lowest": means.min(axis=0),
                    "highest": means.max(axis=0),
                    "deviation": means.std(axis=0, ddof=1) if len(means) > 1 else math.nan,
                    "seeds": len(means),
                    "n": n,
                }
            )
        )
    columns = [
        "panel",
        "family",
        "n_train",
        "position",
        "mean",
        "stderr",
        "lowest",
        "highest",
        "deviation",
        "seeds",
        "n",
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _curves(
    panels: Mapping[str, tuple[float, Law]], models: list[Model], errors: Mapping[tuple[str, str], Errors]
) -> pd.DataFrame:
    """Tidy error curves: panel, predictor, family, n_train, training_seed, position, mean, stderr, n."""
    of_name = {model.name: model for model in models}
    frames = []
    for (name, panel), values in errors.items():
        model = of_name.get(name)
        n, positions = values.shape
        frames.append(
            pd.DataFrame(
                {
                    "panel": panel,
                    "zero": panels[panel][0],
                    "predictor": name,
                    "family": model.family if model else "reference",
                    "n_train": model.n_train if model else pd.NA,
                    "training_seed": model.training_seed if model else pd.NA,
                    "position": np.arange(positions),
                    "mean": values.mean(axis=0),
                    "stderr": values.std(axis=0, ddof=1) / np.sqrt(n),
                    "n": n,
                }
            ).astype({"n_train": "Int64", "training_seed": "Int64"})
        )
    return pd.concat(frames, ignore_index=True)


def _lsa(settings: Figure1Settings, panels: Mapping[str, tuple[float, Law]]) -> pd.DataFrame:
    """Exact error / d of the trained linear self-attention layer at finite N and M, and its limit (M, N → ∞)."""
    d = settings.dimension
    rows = []
    for panel, (zero, test) in panels.items():
        for family in FAMILIES:
            law = training_covariates(family, d)
            for n in settings.n_train:
                exact = [d * zero] + [expected_risk(law, n, m, test) for m in range(1, settings.max_context + 1)]
                rows += [
                    {"panel": panel, "family": family, "n_train": float(n), "position": float(m), "error": value / d}
                    for m, value in enumerate(exact)
                ]
            limit = _lsa_limit(family, test)
            rows.append({"panel": panel, "family": family, "n_train": math.inf, "position": math.inf, "error": limit})
    return pd.DataFrame(rows)


def _lsa_limit(family: str, test: Law) -> float:
    """Error / d of the layer trained on a family's law, M, N → ∞."""
    return expected_risk(training_covariates(family, test.dimension), math.inf, math.inf, test) / test.dimension


def _describe(
    model: Model, errors: Mapping[tuple[str, str], Errors], run: Trained, settings: Figure1Settings
) -> dict[str, Any]:
    """One row per model: how it was trained and whether it learned its own law."""
    own = OWN[model.family]
    values = errors[model.name, own]
    row: dict[str, Any] = {
        "model": model.name,
        "family": model.family,
        "n_train": model.n_train,
        "training_seed": model.training_seed,
        "steps": run.config.steps,
        "targets": run.config.targets,
        "origin": run.origin,
        "own_law": own,
        "n": len(values),
    }
    for label, position in (("2d", 2 * settings.dimension), ("N", model.n_train)):
        at = values[:, position]
        row[f"error_at_{label}"] = at.mean()
        row[f"stderr_at_{label}"] = at.std(ddof=1) / np.sqrt(len(at))
    law = training_covariates(model.family, settings.dimension)
    lsa = np.array([expected_risk(law, model.n_train, m) for m in range(1, model.n_train + 1)])
    ratios = values[:, 1 : model.n_train + 1].mean(axis=0) / (lsa / settings.dimension)
    row["largest_ratio_to_lsa"] = ratios.max()
    if settings.learned_at_n is not None:
        row["learned"] = bool(row["error_at_N"] <= settings.learned_at_n)
    else:
        row["learned"] = bool(row["error_at_2d"] <= LEARNED) if model.family == "fixed" else bool(ratios.max() < 1)
    return row
