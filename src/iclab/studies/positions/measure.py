"""Models that know their positions in five ways, trained on N examples and tested on up to 3N.

Learned positions (GPT-2), the same trained from randomly shifted starts, none, rotary, ALiBi. Then the learned table is
changed without retraining: its untrained rows become zeros, means or copies of trained rows, prompts begin at untrained
rows, or the whole table is multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from iclab.models import Transformer, load
from iclab.predictors import LeastSquares, Predictor
from iclab.studies.lab import Lab
from iclab.studies.measuring import (
    COVARIATES,
    FAMILIES,
    OWN,
    Errors,
    Panel,
    Weights,
    curve,
    panels,
    resampling,
    squared_errors,
    statistics,
    with_interval,
)
from iclab.studies.positions.treatments import CHANGES, trained_rows, treated
from iclab.studies.store import Unit
from iclab.studies.trainings import Job, PresetSettings, Trained, trained
from iclab.training import TrainingConfig

TITLE = "The spike beyond the training length"
VARIANTS = ("learned", "shifted", "none", "rotary", "alibi")
RESAMPLES = 1000
# Of a model as it was trained.
AS_TRAINED = "none"


@dataclass(frozen=True)
class Settings(PresetSettings):
    """Sizes of the study.

    Attributes
    ----------
    factor : int
        Test contexts go up to this times N.
    scales : tuple of float
        Factors c of the random test covariances, ascending from 1.
    """

    n_prompts: int = 2_000
    factor: int = 3
    scales: tuple[float, ...] = (1.0, 4.0, 9.0)
    training_seeds: tuple[int, ...] = (0, 1)

    @property
    def n_points(self) -> int:
        """P of the longest test prompt."""
        return self.factor * self.n_train + 1


class Model(NamedTuple):
    """One of the trained models."""

    variant: str
    family: str
    training_seed: int


class Case(NamedTuple):
    """What is tested: a model, what was done to its table (and to which c that belongs), and the test inputs."""

    model: Model
    treatment: str
    factor: float
    panel: Panel


Judged: TypeAlias = Mapping[Case, Errors]
LEAST_SQUARES = Model("least squares", "reference", -1)


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Train the variants, test them beyond N, and treat the learned tables.

    Returns
    -------
    dict of DataFrame
        ``curves``, ``spikes``, ``variance``, ``positions`` and ``interventions``; errors are divided by d.
    """
    models = [Model(v, f, s) for s in settings.training_seeds for v in VARIANTS for f in FAMILIES]
    jobs = {model: _job(model, settings, lab) for model in models}
    lab.train(list(jobs.values()))
    errors = _judge(settings, {model: trained(job) for model, job in jobs.items()}, lab)
    weights = resampling(settings.n_prompts, RESAMPLES, settings.seed)
    return {
        "curves": pd.concat([curve(values, **_columns(case)) for case, values in errors.items()], ignore_index=True),
        "spikes": _spikes(errors, settings, weights),
        "variance": _variance(errors, settings, weights),
        "interventions": _interventions(errors, settings, weights),
        "positions": _positions(jobs, settings),
    }


def configuration(model: Model, settings: Settings) -> TrainingConfig:
    """What the study trains for a model: all alike but for the positions."""
    given = {"covariates": COVARIATES[model.family], "max_points": settings.n_points}
    return settings.configuration(model.training_seed, **given, model={"positions": model.variant})


def _job(model: Model, settings: Settings, lab: Lab) -> Job:
    config = configuration(model, settings)
    name = f"{model.variant}-{model.family}cov-seed{model.training_seed}"
    return lab.job(name, name, config)


def _judge(settings: Settings, models: Mapping[Model, Trained], lab: Lab) -> Judged:
    cases = list(_cases(settings, models))
    sizes = {"d": settings.dimension, "n_train": settings.n_train, "n_points": settings.n_points}
    sizes |= {"n_prompts": settings.n_prompts, "seed": settings.seed}
    units = [
        Unit(
            errors_of,
            {"case": case, "model": models.get(case.model), **sizes},
            " ".join(map(str, (*case.model, case.treatment, "on", case.panel))),
        )
        for case in cases
    ]
    return {case: table.to_numpy() for case, table in zip(cases, lab.tables(units, "testing"), strict=True)}


def errors_of(
    case: Case, model: Trained | None, n_train: int, d: int, n_points: int, n_prompts: int, seed: int
) -> pd.DataFrame:
    """Squared errors / d of a case, by prompt and position."""
    return squared_errors(
        _predictor(case, model, n_train), case.panel.covariates(d), n_points, n_prompts=n_prompts, seed=seed
    )


def _predictor(case: Case, model: Trained | None, n_train: int) -> Predictor:
    if model is None:
        return LeastSquares()
    if case.treatment == AS_TRAINED:
        return load(model.path, device="auto")
    return treated(load(model.path), case.treatment, case.factor, n_train).to("auto")


def _cases(settings: Settings, models: Mapping[Model, Trained]) -> Iterator[Case]:
    """Everything that is tested."""
    every = panels(settings.scales)
    low, *high = settings.scales
    for model in (LEAST_SQUARES, *models):
        for panel in every:
            yield Case(model, AS_TRAINED, 1.0, panel)
        if model.variant != "learned":
            continue
        for treatment in CHANGES:
            yield Case(model, treatment, 1.0, OWN[model.family])
        for c in high:
            yield _multiplied(model, c)
            yield _divided(model, c, low)


def _multiplied(model: Model, c: float) -> Case:
    """The whole table times √c at c: positions as large beside the tokens as at 1."""
    return Case(model, "multiplied", c**0.5, Panel("random-exponential", c))


def _divided(model: Model, c: float, low: float) -> Case:
    """The whole table over √c at 1: positions as small beside the tokens as at c."""
    return Case(model, "divided", c**-0.5, Panel("random-exponential", low))


def _columns(case: Case) -> dict[str, Any]:
    return {**case.model._asdict(), "treatment": case.treatment, "factor": case.factor, **case.panel._asdict()}


def near(values: Errors, n: int) -> Errors:
    """Positions in (N, 1.5 N], as for Figure 1."""
    return values[:, n + 1 : max(int(1.5 * n), n + 1) + 1]


def far(values: Errors, n: int) -> Errors:
    """Positions in (2N, 3N], the last ones tested."""
    return values[:, 2 * n + 1 :]


def _spikes(errors: Judged, settings: Settings, weights: Weights) -> pd.DataFrame:
    """One row per case: error at N, and what becomes of it beyond; ``own`` says whether it is tested as trained."""
    n = settings.n_train
    rows: list[dict[str, Any]] = []
    for case, values in errors.items():
        if case.model == LEAST_SQUARES:
            continue
        at_n = values[:, n]
        own = case.panel == OWN[case.model.family]
        row: dict[str, Any] = {**_columns(case), "own": own, "error_at_N": float(at_n.mean())}
        row |= {"stderr_at_N": float(at_n.std(ddof=1) / np.sqrt(len(at_n))), "n": len(at_n)}
        if case.treatment == "late":  # contexts of N examples, beside those of the model as it was trained
            base = errors[case._replace(treatment=AS_TRAINED)][:, n]
            rows.append(row | with_interval("at_N", (weights @ at_n) / (weights @ base)))
            continue
        windows = {"near": near(values, n).mean(axis=1), "far": far(values, n).mean(axis=1)}
        for window, inside in windows.items():
            row |= with_interval(window, (weights @ inside) / (weights @ at_n))
            row |= with_interval(f"{window}_jump", weights @ (inside - at_n))
        rows.append(row | with_interval("late_jump", weights @ (windows["far"] - windows["near"])))
    return pd.DataFrame(rows)


def _jump(values: Errors, n: int, weights: Weights) -> np.ndarray:
    """Mean error over (N, 1.5 N] less the error at N; measured, then resampled."""
    return weights @ (near(values, n).mean(axis=1) - values[:, n])


def _variance(errors: Judged, settings: Settings, weights: Weights) -> pd.DataFrame:
    """How base, jump and ratio of learned positions change with c, and what the base's rise has to do with it.

    The ratio is 1 + J/B of jump J and error at N B, both over c. The fall of log(J/B) parts into log(B(c)/B(1)), the
    base's share, and log(J(1)/J(c)), the jump's.
    """
    n, (low, *_) = settings.n_train, settings.scales
    rows: list[dict[str, Any]] = []
    for model in _learned(errors):
        first: tuple[np.ndarray, np.ndarray] | None = None
        for c in settings.scales:
            values = errors[Case(model, AS_TRAINED, 1.0, Panel("random-exponential", c))]
            base, jump = weights @ values[:, n] / c, _jump(values, n, weights) / c
            if first is None:
                first = base, jump
            base_1, jump_1 = first
            found = {
                "base": c * base,
                "base_over_c": base,
                "jump": c * jump,
                "jump_over_c": jump,
                "ratio": 1 + jump / base,
                "jump_over_c_against_c1": jump / jump_1,
            }
            if c != low:
                found["jump_change"] = c * jump - low * jump_1
                # A resample without a jump has no logarithm and is left out of the interval.
                with np.errstate(invalid="ignore", divide="ignore"):
                    found["log_ratio_fall"] = np.log1p(jump_1 / base_1) - np.log1p(jump / base)
                    found["exponent"] = 1 + np.log(jump / jump_1) / np.log(c / low)
                    risen = np.log(base / base_1)
                    found["share_of_base"] = risen / (risen + np.log(jump_1 / jump))
            rows.append({**model._asdict(), "c": c, "n": len(values), **statistics(found)})
    return pd.DataFrame(rows)


def _interventions(errors: Judged, settings: Settings, weights: Weights) -> pd.DataFrame:
    """The jump over c with the table of positions multiplied: at c by √c (relative size as at 1), at 1 by 1/√c.

    ``change`` is what the treatment adds to it, ``gap`` how far it is from what the relative size of positions alone
    would make of it: the jump over c that models have as trained where the relative size is the same. Differences,
    because the jump at c may be next to nothing. ``damage`` is the error at N over that without the treatment.
    """
    n, (low, *high) = settings.n_train, settings.scales
    rows: list[dict[str, Any]] = []
    for model in _learned(errors):
        start = Case(model, AS_TRAINED, 1.0, Panel("random-exponential", low))
        first = _jump(errors[start], n, weights) / low
        for c in high:
            untouched = start._replace(panel=Panel("random-exponential", c))
            there = _jump(errors[untouched], n, weights) / c
            for case, as_trained, before, predicted in (
                (untouched, untouched, there, there),
                (_multiplied(model, c), untouched, there, first),
                (_divided(model, c, low), start, first, there),
            ):
                values, at = errors[case], case.panel.c
                jump = _jump(values, n, weights) / at
                base = float(values[:, n].mean() / at)
                row = {**model._asdict(), "c": c, "treatment": case.treatment, "tested_at": at, "n": len(values)}
                row |= {"base_over_c": base, "damage": base / float(errors[as_trained][:, n].mean() / at)}
                found = {
                    "jump_over_c": jump,
                    "against_c1": jump / first,
                    "change": jump - before,
                    "gap": jump - predicted,
                }
                rows.append(row | statistics(found))
    return pd.DataFrame(rows)


def _learned(errors: Judged) -> list[Model]:
    return list(dict.fromkeys(case.model for case in errors if case.model.variant == "learned"))


def _positions(jobs: Mapping[Model, Job], settings: Settings) -> pd.DataFrame:
    """Root mean square sizes of trained and untrained rows, beside those of the tokens that they are added to."""
    rows: list[dict[str, Any]] = []
    for model, job in jobs.items():
        network = load(job.directory).model
        if model.variant not in ("learned", "shifted"):
            continue
        assert isinstance(network, Transformer)
        assert network.positions is not None
        assert network.read_in is not None
        table, reader = network.positions.weight.detach().double(), network.read_in.weight.detach().double()
        reached = len(table) - 1 if model.variant == "shifted" else trained_rows(settings.n_train)
        size = table.square().mean(1).sqrt()
        trained_size, untrained = float(size[:reached].mean()), float(size[reached:].mean())
        for c in settings.scales:
            # E‖Wx‖² for x of covariance c·I, which is also the mean over c·Exp(1); without the bias.
            tokens = float((c * reader.square().sum() / len(reader)).sqrt())
            sizes = {"trained_rows": trained_size, "untrained_rows": untrained, "input_tokens": tokens}
            rows.append({**model._asdict(), "c": c, **sizes, "trained_over_tokens": trained_size / tokens})
    return pd.DataFrame(rows)
