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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float64

from incontext.models import SIZES, load
from incontext.predictors import LeastSquares, Predictor
from incontext.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal
from incontext.studies.observations import summarise, weigh
from incontext.studies.record import StudyRecord
from incontext.studies.store import Store, digest
from incontext.studies.trainings import HERE, Job, Trained, deviations, find, train_all, trained
from incontext.theory import expected_risk
from incontext.training import TrainingConfig, preset

FAMILIES = ("fixed", "random")
_COVARIATES = {"fixed": "identity", "random": "exponential"}
# Unless a study asks for an error at N: a fixed-covariance model has learned its task when its error / d at 2d examples
# is at most this (zero estimator 1, least squares 0); a random-covariance one when it beats the exact LSA curve at
# every trained M.
LEARNED = 0.05
# The laws of x that are trained and tested on; theory knows both.
Law: TypeAlias = Gaussian | RandomDiagonal
# Prompts judged at a time.
CHUNK = 500
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

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Figure1Settings:
    """Sizes of the study.

    Attributes
    ----------
    dimension : int
        d.
    n_train : tuple of int
        Training lengths N, ascending.
    max_context : int
        Largest test context M.
    preset : str
        Name of the training preset.
    overrides : dict
        Fields of the preset that this profile changes.
    n_prompts : int
        Test prompts per law.
    scales : tuple of float
        Factors c of the random test covariances.
    training_seeds : tuple of int
        One training per seed.
    seed : int
        Seed of the test prompts.
    name : str
        Of the record.
    reuse : bool
        Whether models at hand will do whose training differs in its number of steps, or that ship with the package.
    train_missing : bool
        Whether models that are not at hand are trained; otherwise they are left out, and the page says so.
    learned_at_n : float, optional
        Largest error / d at N, on its own law, of a model that counts as having learned; when omitted the criterion is
        ``LEARNED`` at 2d for fixed covariances and the exact LSA curve for random ones.
    workers : int, optional
        Trainings at a time; one per core when omitted.
    """

    dimension: int
    n_train: tuple[int, ...]
    max_context: int
    preset: str
    overrides: Mapping[str, Any]
    n_prompts: int
    scales: tuple[float, ...] = (1.0, 4.0, 9.0)
    training_seeds: tuple[int, ...] = (0,)
    seed: int = 0
    name: str = "figure1"
    reuse: bool = False
    train_missing: bool = True
    learned_at_n: float | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Model:
    """One of the trained models of the figure."""

    family: str
    n_train: int
    training_seed: int

    @property
    def name(self) -> str:
        """Identifier, as in the paper's legend."""
        return f"{self.family}cov_N{self.n_train}" + (f"_seed{self.training_seed}" if self.training_seed else "")


def training_covariates(family: str, dimension: int) -> Law:
    """Law of x that a family is trained on: Λ = I, or Λ = diag(λ) with λ_i ~ Exponential(1) per prompt."""
    return Gaussian.isotropic(dimension) if family == "fixed" else RandomDiagonal.exponential(dimension)


def panel_laws(settings: Figure1Settings) -> dict[str, tuple[float, Law]]:
    """The four panels: name to (zero-estimator error per dimension, law of x)."""
    laws: dict[str, tuple[float, Law]] = {"identity": (1.0, Gaussian.isotropic(settings.dimension))}
    for scale in settings.scales:
        laws[f"{scale:g}·Exp(1)"] = (scale, RandomDiagonal.exponential(settings.dimension, scale))
    return laws


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
    found = _models(wanted, settings, runs, progress)
    models = [model for model in wanted if model in found]
    panels = panel_laws(settings)
    errors = _judge(settings, panels, found, store, progress)
    by_model = _by_model(models, errors)
    tables = {
        "curves": _curves(panels, models, errors),
        "bands": _bands(models, errors, by_model),
        "lsa": _lsa(settings, panels),
        "models": pd.DataFrame(
            [_describe(model, errors, found[model], settings) for model in models], columns=_COLUMNS
        ),
        "observations": weigh(by_model, {p: zero for p, (zero, _) in panels.items()}, settings.n_train, settings.seed),
    }
    seeds = len(settings.training_seeds)
    facts = {
        "settings": {**asdict(settings), "overrides": dict(settings.overrides)},
        "normaliser": "squared error over d, so that the zero estimator has 1 on the identity and c on c·Exp(1)",
        "bands": "± 1.96 standard errors over the test prompts, one training seed per model"
        if seeds == 1
        else f"inner, ± 1.96 standard errors over the test prompts of the mean over {seeds} training seeds; outer, "
        f"pale, range over the {seeds} seeds",
        "learned": _criterion(settings),
        "targets": sorted({model.config.targets for model in found.values()}),
        "summary": summarise(tables["observations"]),
        "sentences": [*_origins(wanted, found, settings), *_seeds_against_prompts(tables["bands"], settings)],
        "deviations": _deviations(settings, found),
    }
    title = f"Figure 1 at d = {settings.dimension}: GPT-2 on fixed and random covariances"
    return StudyRecord(settings.name, title + (f", {seeds} training seeds" if seeds > 1 else ""), tables, facts)


def configuration(model: Model, settings: Figure1Settings) -> TrainingConfig:
    """What the study trains for a model."""
    given: dict[str, Any] = {
        "dimension": settings.dimension,
        "n_train": model.n_train,
        "covariates": _COVARIATES[model.family],
        "max_points": settings.max_context + 1,
        "seed": model.training_seed,
        **settings.overrides,
    }
    return preset(settings.preset, **given)


def _models(wanted: list[Model], settings: Figure1Settings, runs: Path, progress: Progress) -> dict[Model, Trained]:
    """Each model from where it is: its own run, one at hand, or a new training."""
    jobs: dict[Model, Job] = {}
    found: dict[Model, Trained] = {}
    for model in wanted:
        wish = configuration(model, settings)
        job = Job(f"training: {model.name}", wish, runs / f"{model.name}-{digest(wish.as_dict())}")
        at_hand = None if job.directory.exists() else find(wish, runs, loosely=settings.reuse)
        if at_hand is not None:
            found[model] = at_hand
        elif job.directory.exists() or settings.train_missing:
            jobs[model] = job
    train_all(list(jobs.values()), progress, settings.workers)
    return found | {model: trained(job) for model, job in jobs.items()}


# The squared errors of one predictor on one panel: prompts × positions, divided by d.
Errors = Float64[np.ndarray, "B P"]


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
    for panel, (_, covariates) in panels.items():
        distribution = PromptDistribution(covariates, Linear())
        sample = {"panel": panel, "dimension": settings.dimension, "n_prompts": settings.n_prompts}
        sample |= {"seed": settings.seed, "n_points": settings.max_context + 1}
        for name, identity, predictor in _predictors(trained):
            progress(f"testing: {name} on {panel}", len(judged), total)
            unit = f"figure1-{name}-{panel}".replace(" ", "-")
            table = store.table(
                unit,
                {"predictor": identity, **sample},
                lambda distribution=distribution, predictor=predictor: _errors(settings, distribution, predictor()),
            )
            judged[name, panel] = table.to_numpy()
    progress("testing: done", total, total)
    return judged


def _predictors(trained: Mapping[Model, Trained]) -> Iterator[tuple[str, str, Callable[[], Predictor]]]:
    """Name, identity for the store, and a way to build each predictor; models load only if they are needed."""
    yield "least squares", "least squares", LeastSquares
    for model, run in trained.items():
        yield model.name, run.identity, lambda run=run: load(run.path)


def _errors(settings: Figure1Settings, distribution: PromptDistribution, predictor: Predictor) -> pd.DataFrame:
    """Squared errors / d of every prompt, in chunks that bound memory."""
    blocks: list[Errors] = []
    for start in range(0, settings.n_prompts, CHUNK):
        count = min(CHUNK, settings.n_prompts - start)
        prompts = distribution.sample(count, settings.max_context + 1, seed=settings.seed, start=start)
        blocks.append((predictor(prompts) - prompts.targets) ** 2 / settings.dimension)
    errors = np.concatenate(blocks)
    return pd.DataFrame(errors, columns=[str(i) for i in range(errors.shape[1])])


def _by_model(models: list[Model], errors: Mapping[tuple[str, str], Errors]) -> dict[tuple[str, int, str], Errors]:
    """Squared errors by (family, N, panel), averaged over training seeds prompt by prompt."""
    seeds: dict[tuple[str, int], list[str]] = {}
    for model in models:
        seeds.setdefault((model.family, model.n_train), []).append(model.name)
    panels = list(dict.fromkeys(panel for _, panel in errors))
    return {
        (family, n, panel): np.mean([errors[name, panel] for name in names], axis=0)
        for (family, n), names in seeds.items()
        for panel in panels
    }


def _bands(
    models: list[Model],
    errors: Mapping[tuple[str, str], Errors],
    by_model: Mapping[tuple[str, int, str], Errors],
) -> pd.DataFrame:
    """Mean over training seeds by position, its standard error over prompts, and the range and spread over seeds."""
    frames = []
    for (family, n_train, panel), values in by_model.items():
        names = [model.name for model in models if (model.family, model.n_train) == (family, n_train)]
        means = np.array([errors[name, panel].mean(axis=0) for name in names])  # (seeds, P)
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
                    "deviation": means.std(axis=0, ddof=1) if len(names) > 1 else math.nan,
                    "seeds": len(names),
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
            limit = expected_risk(law, math.inf, math.inf, test) / d
            rows.append({"panel": panel, "family": family, "n_train": math.inf, "position": math.inf, "error": limit})
    return pd.DataFrame(rows)


def _describe(
    model: Model, errors: Mapping[tuple[str, str], Errors], run: Trained, settings: Figure1Settings
) -> dict[str, Any]:
    """One row per model: how it was trained and whether it learned its own law."""
    own = "identity" if model.family == "fixed" else "1·Exp(1)"
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


def _criterion(settings: Figure1Settings) -> str:
    if settings.learned_at_n is not None:
        return f"its error/d at M = N on its own law is at most {settings.learned_at_n:g}"
    return (
        f"at 2d examples the error/d of a fixed-covariance model is at most {LEARNED:g}; a random-covariance model "
        "beats the exact LSA curve at every M up to N"
    )


def _origins(wanted: list[Model], found: Mapping[Model, Trained], settings: Figure1Settings) -> list[str]:
    """Where the models come from, and which are left out."""
    origins: dict[str, list[str]] = {}
    for model, run in found.items():
        wish = configuration(model, settings)
        steps = f"{run.config.steps:,} steps" + (
            "" if run.config.steps == wish.steps else f" instead of {wish.steps:,}"
        )
        others = [key for key in deviations(run, wish) if key != "steps" and not key.startswith("schedule.warmup")]
        note = f", and otherwise than the preset {settings.preset!r} in {', '.join(others)}" if others else ""
        origins.setdefault(f"{run.origin}, {steps}{note}", []).append(model.name)
    sentences: list[str] = []
    if any(run.origin != HERE for run in found.values()):
        listed = "; ".join(f"{', '.join(names)}: {origin}" for origin, names in origins.items())
        sentences.append(f"Where the models come from. {listed[0].upper()}{listed[1:]}.")
    missing = [model for model in wanted if model not in found]
    if missing:
        first = missing[0]
        changes = {
            "dimension": settings.dimension,
            "n_train": first.n_train,
            "covariates": _COVARIATES[first.family],
            "max_points": settings.max_context + 1,
            **({"seed": first.training_seed} if first.training_seed else {}),
            **settings.overrides,
        }
        options = " ".join(f"--set {key}={value}" for key, value in changes.items())
        sentences.append(
            f"Left out, because no trained model is at hand: {', '.join(model.name for model in missing)}. Their "
            f"curves are missing from the figures, and the observations are weighed without them. `incontext train "
            f"{settings.preset} {options} --directory DIRECTORY/runs/{first.name}` trains the first, DIRECTORY being "
            "the reproduction's; then the command of this page draws it."
        )
    return sentences


def _seeds_against_prompts(bands: pd.DataFrame, settings: Figure1Settings) -> list[str]:
    """How far training seeds spread, beside the error over prompts, at M = N on each model's own law."""
    if len(settings.training_seeds) < 2 or not len(bands):
        return []
    own = {"fixed": "identity", "random": "1·Exp(1)"}
    at_n = bands[(bands["position"] == bands["n_train"]) & (bands["panel"] == bands["family"].map(own))]
    listed = "; ".join(
        f"{row.family}cov_N{row.n_train} {row.mean:.3g}, prompts ± {row.stderr:.2g}, seeds ± {row.deviation:.2g}"
        for row in at_n.itertuples()
    )
    everywhere = bands[(bands["position"] > 0) & (bands["position"] <= bands["n_train"])]
    ratio = (everywhere["deviation"] / everywhere["stderr"]).median()
    beyond = bands[bands["position"] > bands["n_train"]]
    later = (beyond["deviation"] / beyond["stderr"]).median()
    return [
        f"Mean error/d at M = N on each model's own law over {len(settings.training_seeds)} training seeds, with its "
        f"standard error over prompts and the standard deviation between seeds: {listed}.",
        f"Over all panels and M = 1 … N the standard deviation between seeds is in the median {ratio:.2g} times the "
        f"standard error over {int(bands['n'].iloc[0]):,} prompts"
        + (
            f"; beyond N, {later:.2g} times: what the untrained positions do depends on the seed."
            if later > 2 * ratio
            else f"; beyond N, {later:.2g} times."
            if len(beyond)
            else "."
        ),
    ]


def _deviations(settings: Figure1Settings, found: Mapping[Model, Trained]) -> list[str]:
    """How this training differs from the paper's."""
    label = f"Figure 1 at d = {settings.dimension}"
    wish = configuration(Model("fixed", settings.n_train[0], settings.training_seeds[0]), settings)
    steps = sorted({run.config.steps for run in found.values()} or {wish.steps})
    trained_for = " or ".join(f"{n:,}" for n in steps)
    lines = [
        f"{label}: the paper's number of steps and its curriculum are not known (the text at hand breaks off in "
        f"Appendix E); here the preset {settings.preset!r} was trained for {trained_for} steps on "
        f"{'labels' if wish.targets == 'labels' else 'Rao-Blackwell targets instead of labels'}."
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
    if differs:
        lines.append(f"{label}: {'; '.join(differs)}.")
    return lines
