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
from iclab.studies import measuring
from iclab.studies.lab import Lab
from iclab.studies.positions.treatments import CHANGES, trained_rows, treated
from iclab.studies.store import Unit
from iclab.studies.trainings import Job, PresetSettings, Trained, trained

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


def _random(c: float) -> measuring.Panel:
    return measuring.Panel("random-exponential", c)


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
    panel: measuring.Panel

    def __str__(self) -> str:
        return " ".join(map(str, (*self.model, self.treatment, "on", self.panel)))

    def columns(self) -> dict[str, Any]:
        """What a table says of it."""
        return {**self.model._asdict(), "treatment": self.treatment, "factor": self.factor, **self.panel._asdict()}


Judged: TypeAlias = Mapping[Case, measuring.Errors]
LEAST_SQUARES = Model("least squares", "reference", -1)


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Train the variants, test them beyond N, and treat the learned tables.

    Returns
    -------
    dict of DataFrame
        ``curves``, ``spikes``, ``variance``, ``positions`` and ``interventions``; errors are divided by d.
    """
    models = [Model(v, f, s) for s in settings.training_seeds for v in VARIANTS for f in measuring.FAMILIES]
    jobs = {model: _job(model, settings, lab) for model in models}
    lab.train(list(jobs.values()))
    errors = _judge(settings, {model: trained(job) for model, job in jobs.items()}, lab)
    weights = measuring.resampling(settings.n_prompts, RESAMPLES, settings.seed)
    return {
        "curves": pd.concat(
            [measuring.curve(values, **case.columns()) for case, values in errors.items()], ignore_index=True
        ),
        "spikes": _spikes(errors, settings, weights),
        "variance": _variance(errors, settings, weights),
        "interventions": _interventions(errors, settings, weights),
        "positions": _positions(jobs, settings),
    }


def _job(model: Model, settings: Settings, lab: Lab) -> Job:
    """What is trained for a model: all alike but for the positions."""
    given = {"covariates": measuring.COVARIATES[model.family], "max_points": settings.n_points}
    config = settings.configuration(model.training_seed, **given, model={"positions": model.variant})
    name = f"{model.variant}-{model.family}cov-seed{model.training_seed}"
    return lab.job(name, name, config)


def _judge(settings: Settings, models: Mapping[Model, Trained], lab: Lab) -> Judged:
    sizes = {"d": settings.dimension, "n_train": settings.n_train, "n_points": settings.n_points}
    sizes |= {"n_prompts": settings.n_prompts, "seed": settings.seed}
    units = {
        case: Unit(errors_of, {"case": case, "model": models.get(case.model), **sizes}, str(case))
        for case in _cases(settings, models)
    }
    tables = lab.tables(list(units.values()), "testing")
    return {case: table.to_numpy() for case, table in zip(units, tables, strict=True)}


def errors_of(
    case: Case, model: Trained | None, n_train: int, d: int, n_points: int, n_prompts: int, seed: int
) -> pd.DataFrame:
    """Squared errors / d of a case, by prompt and position."""
    predictor: Predictor = LeastSquares()
    if model is not None and case.treatment == AS_TRAINED:
        predictor = load(model.path, device="auto")
    elif model is not None:
        predictor = treated(load(model.path), case.treatment, case.factor, n_train).to("auto")
    return measuring.squared_errors(predictor, case.panel.covariates(d), n_points, n_prompts=n_prompts, seed=seed)


def _cases(settings: Settings, models: Mapping[Model, Trained]) -> Iterator[Case]:
    """Everything that is tested."""
    every = measuring.panels(settings.scales)
    low, *high = settings.scales
    for model in (LEAST_SQUARES, *models):
        for panel in every:
            yield Case(model, AS_TRAINED, 1.0, panel)
        if model.variant != "learned":
            continue
        for treatment in CHANGES:
            yield Case(model, treatment, 1.0, measuring.OWN[model.family])
        for c in high:
            yield _multiplied(model, c)
            yield _divided(model, c, low)


def _multiplied(model: Model, c: float) -> Case:
    """The whole table times √c at c: positions as large beside the tokens as at 1."""
    return Case(model, "multiplied", c**0.5, _random(c))


def _divided(model: Model, c: float, low: float) -> Case:
    """The whole table over √c at 1: positions as small beside the tokens as at c."""
    return Case(model, "divided", c**-0.5, _random(low))


def _near(values: measuring.Errors, n: int) -> np.ndarray:
    """Mean over positions in (N, 1.5 N], as for Figure 1."""
    return values[:, n + 1 : max(int(1.5 * n), n + 1) + 1].mean(axis=1)


def _jump(values: measuring.Errors, n: int, weights: measuring.Weights) -> np.ndarray:
    """Mean error over (N, 1.5 N] less the error at N; measured, then resampled."""
    return weights @ (_near(values, n) - values[:, n])


def _spikes(errors: Judged, settings: Settings, weights: measuring.Weights) -> pd.DataFrame:
    """One row per case: error at N, and what becomes of it beyond; ``own`` says whether it is tested as trained."""
    n = settings.n_train
    rows: list[dict[str, Any]] = []
    for case, values in errors.items():
        if case.model == LEAST_SQUARES:
            continue
        at_n = values[:, n]
        own = case.panel == measuring.OWN[case.model.family]
        row: dict[str, Any] = {**case.columns(), "own": own, "error_at_N": float(at_n.mean())}
        row |= {"stderr_at_N": float(at_n.std(ddof=1) / np.sqrt(len(at_n))), "n": len(at_n)}
        if case.treatment == "late":  # contexts of N examples, beside those of the model as it was trained
            base = errors[case._replace(treatment=AS_TRAINED)][:, n]
            rows.append(row | measuring.statistics({"at_N": (weights @ at_n) / (weights @ base)}))
            continue
        # Just beyond N, and the last third of those tested.
        close, late = _near(values, n), values[:, 2 * n + 1 :].mean(axis=1)
        found: dict[str, np.ndarray] = {}
        for window, inside in (("near", close), ("far", late)):
            found[window] = (weights @ inside) / (weights @ at_n)
            found[f"{window}_jump"] = weights @ (inside - at_n)
        rows.append(row | measuring.statistics({**found, "late_jump": weights @ (late - close)}))
    return pd.DataFrame(rows)


def _variance(errors: Judged, settings: Settings, weights: measuring.Weights) -> pd.DataFrame:
    """How base, jump and ratio of learned positions change with c, and what the base's rise has to do with it.

    The ratio is 1 + J/B of jump J and error at N B, both over c. The fall of log(J/B) parts into log(B(c)/B(1)), the
    base's share, and log(J(1)/J(c)), the jump's.
    """
    n, (low, *_) = settings.n_train, settings.scales
    rows: list[dict[str, Any]] = []
    for model in _learned(errors):
        tested = {c: errors[Case(model, AS_TRAINED, 1.0, _random(c))] for c in settings.scales}
        over_c = {c: (weights @ one[:, n] / c, _jump(one, n, weights) / c) for c, one in tested.items()}
        base_1, jump_1 = over_c[low]
        for c, (base, jump) in over_c.items():
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
            rows.append({**model._asdict(), "c": c, "n": len(tested[c]), **measuring.statistics(found)})
    return pd.DataFrame(rows)


def _interventions(errors: Judged, settings: Settings, weights: measuring.Weights) -> pd.DataFrame:
    """The jump over c with the table of positions multiplied: at c by √c (relative size as at 1), at 1 by 1/√c.

    ``change`` is what the treatment adds to it, ``gap`` how far it is from what the relative size of positions alone
    would make of it: the jump over c that models have as trained where the relative size is the same. Differences,
    because the jump at c may be next to nothing. ``damage`` is the error at N over that without the treatment.
    """
    n, (low, *high) = settings.n_train, settings.scales
    rows: list[dict[str, Any]] = []
    for model in _learned(errors):
        start = Case(model, AS_TRAINED, 1.0, _random(low))
        first = _jump(errors[start], n, weights) / low
        for c in high:
            untouched = start._replace(panel=_random(c))
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
                found = {"jump_over_c": jump, "against_c1": jump / first}
                rows.append(row | measuring.statistics({**found, "change": jump - before, "gap": jump - predicted}))
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
