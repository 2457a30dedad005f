"""Training on varying covariances: what one linear layer cannot learn, what GPT-2 learns, what scaling at test does.

The law of the eigenvalues λ of Λ_τ = diag(λ) goes from a point mass over Exponential(1) to heavy tails. For the layer
of Theorem 8 everything is exact; transformers are trained on some of the laws and judged on their own law, at other
scales of it, and on Λ = I, as they are and with prompts scaled by what the context shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from iclab.foundations import InvalidInputError
from iclab.models import load
from iclab.predictors import LeastSquares, Predictor, Rescaled
from iclab.prompts import Gaussian, Linear, PromptDistribution, RandomDiagonal
from iclab.studies.covariance_laws import FAMILIES, EigenvalueLaw
from iclab.studies.covariance_layer import (
    COMMON,
    COORDINATES,
    GPT2,
    INDEPENDENT,
    ISOTROPIC,
    LEAST_SQUARES,
    LSA,
    NONE,
    TRACE,
    classical_errors,
    layer_errors,
    layer_on,
)
from iclab.studies.covariance_words import captions, sentences, summary
from iclab.studies.record import StudyRecord
from iclab.studies.store import Store, digest
from iclab.studies.trainings import Job, Trained, train_all, trained
from iclab.theory import optimal_learner
from iclab.training import preset

NAME = "covariances"


# How a transformer's prompts are scaled, by the names of the table.
_SCALINGS: Mapping[str, Callable[[Predictor], Rescaled]] = {
    "inputs": lambda model: Rescaled(model, "inputs"),
    TRACE: lambda model: Rescaled(model, "inputs and labels"),
    COORDINATES: lambda model: Rescaled(model, "coordinates"),
}
_CHUNK = 500

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class CovariancesSettings:
    """Sizes of the study.

    Attributes
    ----------
    dimension, n_train : int
        d and N of the transformers, and of the layers that are held against them.
    cv2 : tuple of float
        Squared coefficients of variation of λ in the exact part; a family takes part where its E λ³ is finite.
    laws : tuple of (family, cv2)
        Laws that transformers are trained on.
    lengths : tuple of int
        Test lengths M.
    scales : tuple of float
        Factors c of a model's own law at test.
    preset : str
        Training preset.
    overrides : dict
        Fields of the preset that this profile changes.
    n_prompts : int
        Test prompts per law.
    noise : float
        Standard deviation of the label noise with which ridge is compared.
    training_seeds : tuple of int
        One training per law and seed.
    workers : int, optional
        Trainings at a time; one per core when omitted.
    seed : int
        Of the test prompts.
    """

    dimension: int = 5
    n_train: int = 10
    cv2: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 0.9, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
    laws: tuple[tuple[str, float], ...] = (
        ("gamma", 0.0),
        ("gamma", 0.25),
        ("gamma", 1.0),
        ("gamma", 4.0),
        ("lognormal", 4.0),
    )
    lengths: tuple[int, ...] = (5, 10)
    scales: tuple[float, ...] = (1.0, 4.0, 9.0)
    preset: str = "tiny"
    overrides: Mapping[str, Any] | None = None
    n_prompts: int = 4_000
    noise: float = 0.5
    training_seeds: tuple[int, ...] = (0, 1)
    workers: int | None = None
    seed: int = 0


def run(*, store: Store, runs: Path, progress: Progress, **sizes: Any) -> StudyRecord:
    """Compute the exact part, train what is missing, judge every model on every law.

    Parameters
    ----------
    store : Store
        Finished units.
    runs : Path
        Keeps the trainings.
    progress : callable
        Called with (what is being done, done, total).
    **sizes
        Fields of ``CovariancesSettings``.

    Returns
    -------
    StudyRecord
        Table ``layer`` (exact): as ``covariance_layer.layer_errors``. Table ``classical``: as ``classical_errors``.
        Table ``models``: law, family, cv2, training_seed, predictor, test, scale, position, scaling, error (over the
        zero estimator's), stderr, n; then gain (error without scaling less error with it, on the same prompts) with
        gain_stderr. stderr is NaN where the error is exact. Table ``means``: the same over training seeds.
    """
    settings = CovariancesSettings(**sizes)
    d, laws = settings.dimension, [EigenvalueLaw(*pair) for pair in settings.laws]
    tables = {
        "layer": _layer(settings, store, progress),
        "classical": _classical(settings, store, progress),
    }
    models = _train(settings, laws, runs, progress)
    parts: list[pd.DataFrame] = []
    units = [(law, name, test) for law in laws for name, test in _tests(law, settings).items()]
    for done, (law, name, test) in enumerate(units):
        parts.append(_exact(law, name, test, settings).assign(training_seed=None))
        for seed in settings.training_seeds:
            progress(f"testing: {law.name}, seed {seed}, on {name}", done, len(units))
            model = models[law, seed]
            unit = {"model": model.identity, "test": name, "law": list(_key(law)), **_sample(settings)}
            table = store.table(
                f"{NAME}-models",
                unit,
                lambda law=law, name=name, test=test, model=model: _judge(law, name, test, model, settings),
            )
            parts.append(table.assign(training_seed=seed))
    progress("testing: done", len(units), len(units))
    tables["models"] = pd.concat(parts, ignore_index=True).astype({"training_seed": "Int64"})
    tables["means"] = _over_seeds(tables["models"])
    facts: dict[str, Any] = {
        "settings": {**asdict(settings), "overrides": dict(settings.overrides or {})},
        "refusal": _refusal(d, settings.n_train),
        "steps": int(next(iter(models.values())).config.steps),
    }
    facts["sentences"] = sentences(tables, facts)
    facts["summary"] = summary(tables, facts)
    facts["captions"] = captions(tables, facts)
    return StudyRecord(NAME, "Training on varying covariances (Theorem 8 and beyond)", tables, facts)


def _layer(settings: CovariancesSettings, store: Store, progress: Progress) -> pd.DataFrame:
    cases = [
        (EigenvalueLaw(family, v), coupling)
        for coupling in (INDEPENDENT, COMMON)
        for family in FAMILIES
        for v in settings.cv2
        if EigenvalueLaw(family, v).known
    ]
    lengths = [settings.n_train, 4 * settings.n_train, np.inf]
    frames = []
    for done, (law, coupling) in enumerate(cases):
        progress(f"exact: {law.name}", done, len(cases))
        unit = {"law": [law.family, law.cv2], "coupling": coupling, "n": settings.n_train, "d": settings.dimension}
        frames.append(
            store.table(
                f"{NAME}-layer",
                unit,
                lambda law=law, coupling=coupling: layer_errors(law, coupling, settings.dimension, lengths),
            )
        )
    return pd.concat(frames, ignore_index=True)


def _classical(settings: CovariancesSettings, store: Store, progress: Progress) -> pd.DataFrame:
    laws = [EigenvalueLaw(*pair) for pair in settings.laws]
    cases = [(law, noise) for law in laws for noise in (0.0, settings.noise)]
    frames = []
    for done, (law, noise) in enumerate(cases):
        progress(f"classical learners: {law.name}, noise {noise:g}", done, len(cases))
        unit = {"law": list(_key(law)), "noise": noise, "n_train": settings.n_train, **_sample(settings)}
        arguments = (settings.dimension, settings.n_train, settings.lengths, noise, settings.n_prompts, settings.seed)
        frames.append(
            store.table(
                f"{NAME}-classical", unit, lambda law=law, arguments=arguments: classical_errors(law, *arguments)
            )
        )
    return pd.concat(frames, ignore_index=True)


def _train(
    settings: CovariancesSettings, laws: list[EigenvalueLaw], runs: Path, progress: Progress
) -> dict[tuple[EigenvalueLaw, int], Trained]:
    jobs: dict[tuple[EigenvalueLaw, int], Job] = {}
    for law in laws:
        for seed in settings.training_seeds:
            config = preset(
                settings.preset,
                dimension=settings.dimension,
                n_train=settings.n_train,
                covariates=law.specification(settings.dimension),
                **{"seed": seed, **(settings.overrides or {})},
            )
            slug = law.name.replace(", cv² = ", "-").replace(" ", "-").replace("(1)", "")
            directory = runs / f"{NAME}-{slug}-seed{seed}-{digest(config.as_dict())}"
            jobs[law, seed] = Job(f"training: {law.name}, seed {seed}", config, directory)
    train_all(list(jobs.values()), progress, settings.workers)
    return {key: trained(job) for key, job in jobs.items()}


def _tests(law: EigenvalueLaw, settings: CovariancesSettings) -> dict[str, tuple[float, Gaussian | RandomDiagonal]]:
    """Name to (scale, law of x): a model's own law at every scale, and Λ = I."""
    d = settings.dimension
    tests: dict[str, tuple[float, Gaussian | RandomDiagonal]] = {
        f"own law, c = {c:g}": (c, law.covariates(d, c)) for c in settings.scales
    }
    if law.cv2 > 0:
        tests[ISOTROPIC] = (1.0, Gaussian.isotropic(d))
    return tests


def _exact(
    law: EigenvalueLaw, name: str, test: tuple[float, Gaussian | RandomDiagonal], settings: CovariancesSettings
) -> pd.DataFrame:
    """The layer trained on the law, in the form of the models' table; gains are exact too."""
    scale, covariates = test
    d = settings.dimension
    rows = []
    for m in settings.lengths:
        plain = layer_on(law, settings.n_train, covariates, m, NONE, d) / (scale * d)
        for scaling in (NONE, TRACE, COORDINATES):
            error = layer_on(law, settings.n_train, covariates, m, scaling, d) / (scale * d)
            rows.append((LSA, m, scaling, error, np.nan, 0, plain - error, np.nan))
    return _labelled(rows, law, name, scale)


def _judge(
    law: EigenvalueLaw,
    name: str,
    test: tuple[float, Gaussian | RandomDiagonal],
    model: Trained,
    settings: CovariancesSettings,
) -> pd.DataFrame:
    """Errors over the zero estimator's of a transformer, plain and scaled, and of least squares; paired gains."""
    scale, covariates = test
    transformer = load(model.path, device="auto")
    distribution = PromptDistribution(covariates, Linear())
    found: dict[tuple[str, int, str], list[np.ndarray]] = {}
    for start in range(0, settings.n_prompts, _CHUNK):
        count = min(_CHUNK, settings.n_prompts - start)
        prompts = distribution.sample(count, max(settings.lengths) + 1, seed=settings.seed, start=start)
        plain, squares = transformer(prompts), LeastSquares()(prompts)
        for m in settings.lengths:
            predicted = {(LEAST_SQUARES, m, NONE): squares[:, m], (GPT2, m, NONE): plain[:, m]}
            predicted |= {(GPT2, m, scaling): make(transformer).at(prompts, m) for scaling, make in _SCALINGS.items()}
            for key, values in predicted.items():
                error = (values - prompts.targets[:, m]) ** 2 / (scale * settings.dimension)
                found.setdefault(key, []).append(error)
    errors = {key: np.concatenate(blocks) for key, blocks in found.items()}
    rows = []
    for (predictor, m, scaling), values in errors.items():
        gain = errors[predictor, m, NONE] - values
        n = len(values)
        rows.append((predictor, m, scaling, values.mean(), _stderr(values), n, gain.mean(), _stderr(gain)))
    return _labelled(rows, law, name, scale)


def _labelled(rows: list[tuple[Any, ...]], law: EigenvalueLaw, test: str, scale: float) -> pd.DataFrame:
    names = ["predictor", "position", "scaling", "error", "stderr", "n", "gain", "gain_stderr"]
    table = pd.DataFrame(rows, columns=names)
    labels = (("scale", scale), ("test", test), ("cv2", law.cv2), ("family", law.family), ("law", law.name))
    for column, value in labels:
        table.insert(0, column, value)
    return table


def _over_seeds(models: pd.DataFrame) -> pd.DataFrame:
    """Means over training seeds; all seeds see the same prompts, so that errors of prompts do not average out.

    ``stderr`` is the largest over the seeds, ``low`` and ``high`` span the seeds.
    """
    keys = ["law", "family", "cv2", "test", "scale", "predictor", "position", "scaling"]
    grouped = models.groupby(keys, sort=False)
    return grouped.agg(
        error=("error", "mean"),
        stderr=("stderr", "max"),
        low=("error", "min"),
        high=("error", "max"),
        n=("n", "max"),
        seeds=("error", "size"),
        gain=("gain", "mean"),
        gain_stderr=("gain_stderr", "max"),
        least_gain=("gain", "min"),
        largest_gain=("gain", "max"),
    ).reset_index()


def _stderr(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _key(law: EigenvalueLaw) -> tuple[str, float]:
    return law.family, law.cv2


def _sample(settings: CovariancesSettings) -> dict[str, Any]:
    return {
        "d": settings.dimension,
        "lengths": list(settings.lengths),
        "n_prompts": settings.n_prompts,
        "seed": settings.seed,
    }


def _refusal(dimension: int, n_train: int) -> str:
    """What the theory says of a law without a third moment."""
    law = EigenvalueLaw("inverse gamma", 1.0)
    try:
        optimal_learner(law.covariates(dimension), n_train)
    except InvalidInputError as error:
        return str(error)
    raise AssertionError("a law with an infinite third moment must be refused")
