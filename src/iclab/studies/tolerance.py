"""Who tolerates which shift: trained models, LSA and classical learners on the Garg suite and the paper's shifts.

Every predictor meets the same prompts, unshifted and under every shift, with M examples in context. What counts is
its **excess**: its error less that of the best predictor for the shifted problem (ridge with the penalty of Bayes for
linear tasks; for others the best linear predictor), divided by the zero estimator's error. Every shift is applied to
the law that the predictor was made for: standard normal inputs, or covariances diag(λ), λ_i ~ Exponential(1); a few
members are laws themselves, the same for all. A shift is tolerated when the excess grows by at most ``TOLERANCE`` over
the one on the own law. The 95 % interval of the growth comes from a bootstrap over prompts, shifted and unshifted ones
paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.evaluation import Suite
from iclab.foundations import check_integer
from iclab.models import load
from iclab.predictors import (
    Averaging,
    LeastSquares,
    NearestNeighbors,
    Predictor,
    Ridge,
    TrainedLSA,
    Zero,
    predictor,
)
from iclab.prompts import PromptDistribution, shift
from iclab.studies.figure1_models import Figure1Settings, Model, Progress, find_or_train
from iclab.studies.panels import CHUNK, FAMILIES, Law, resampling, training_covariates
from iclab.studies.record import StudyRecord
from iclab.studies.shifts import TOLERANCE
from iclab.studies.store import Store
from iclab.studies.tolerance_problems import (
    LAWS,
    ORTHOGONAL,
    OWN_LAW,
    Problem,
    best_predictor,
    exact_error,
    kind_of,
)
from iclab.studies.tolerance_words import (
    CLASSICAL,
    ITSELF,
    LSA,
    MADE_FOR,
    OWN,
    TRAINED,
    captions,
    counts,
    definitions,
    groups,
    not_learned,
    overview,
    sentences,
    summary,
)
from iclab.studies.trainings import Trained, shipped
from iclab.theory import minimizer

RESAMPLES = 1000
_ZERO, _BEST = "zero", "best"
_READS = {"interleaved": "tokens in turn", "stacked": "columns (x, y)"}


@dataclass(frozen=True)
class ToleranceSettings:
    """Sizes of the study.

    Attributes
    ----------
    dimension : int
        d.
    n_train : tuple of int
        N of the trained models, ascending; all is judged with M = the smallest of them in context, which every
        model was trained for.
    max_context, preset, overrides, training_seeds, reuse, train_missing, workers
        As in ``Figure1Settings``: equal ones share their trainings.
    n_prompts : int
        Prompts per shift.
    seed : int
        Seed of the prompts and of the bootstrap.
    name : str
        Of the record.
    """

    dimension: int
    n_train: tuple[int, ...]
    max_context: int
    preset: str
    overrides: Mapping[str, Any]
    n_prompts: int
    training_seeds: tuple[int, ...] = (0,)
    seed: int = 0
    name: str = "tolerance"
    reuse: bool = False
    train_missing: bool = True
    workers: int | None = None

    @property
    def n_test(self) -> int:
        """M."""
        return min(self.n_train)

    def figure1(self) -> Figure1Settings:
        """The settings of Figure 1 that train the same models."""
        given = asdict(self)
        return Figure1Settings(**{**given, "overrides": dict(self.overrides)})


@dataclass(frozen=True)
class Contestant:
    """A predictor, the group it belongs to, and the law it was made for.

    Attributes
    ----------
    name : str
        In tables and figures.
    group : str
        Classical, LSA or trained model.
    family : {"fixed", "random"}
        Made for standard normal inputs, or for random covariances.
    identity : str
        Key for what is computed from it.
    make : callable
        Builds it, when something has to be computed.
    reads : str
        How a trained model reads its prompt, and by which attention.
    """

    name: str
    group: str
    family: str
    identity: str
    make: Callable[[], Predictor]
    reads: str = ""


def run(*, store: Store, runs: Path, progress: Progress, **sizes: Any) -> StudyRecord:
    """Find or train the models, judge everything under every shift.

    Parameters
    ----------
    store : Store
        Keeps the squared errors of each (predictor, shift).
    runs : Path
        Keeps the trainings, shared with Figure 1.
    progress : callable
        Called with (what is being done, done, total).
    **sizes
        Fields of ``ToleranceSettings``.

    Returns
    -------
    StudyRecord
        Tables ``cells`` (predictor × shift: excess, growth with its interval, verdict, exact error where known),
        ``counts`` (predictor × kind of shift: how many are tolerated), ``overview`` and ``groups`` (the same, a row
        per predictor and per kind of predictor), ``models`` and ``shifts``.
    """
    settings = ToleranceSettings(**sizes)
    check_integer(settings.n_test, "the smallest n_train", minimum=settings.dimension + 1)
    models = [Model(f, n, seed) for seed in settings.training_seeds for f in FAMILIES for n in settings.n_train]
    found = find_or_train(models, settings.figure1(), runs, progress)
    others = [
        each
        for each in shipped()
        if each.path not in {own.path for own in found.values()} and _readable(each, settings)
    ]
    entered = _entered(found, others)
    contestants = [*_classical(settings), *_trained(entered)]
    suites = [Suite.named(suite, settings.dimension) for suite in ("garg", "paper")]
    names = tuple(dict.fromkeys(name for suite in suites for name in suite.shifts))
    problems = tuple(dict.fromkeys(Problem.of(name, family) for name in names for family in FAMILIES))
    weights = resampling(settings.n_prompts, RESAMPLES, settings.seed)
    measured = {
        problem: _measure(problem, contestants, settings, store, progress, i, len(problems))
        for i, problem in enumerate(problems)
    }
    progress("testing: done", len(problems), len(problems))
    cells = pd.DataFrame([_cell(each, name, measured, weights, settings) for each in contestants for name in names])
    tables = {"groups": groups(cells), "overview": overview(cells), "counts": counts(cells), "cells": cells}
    tables |= {"shifts": definitions(cells)} | ({"models": _models(entered)} if entered else {})
    missing = [model.name for model in models if model not in found]
    told = {"dimension": settings.dimension, "n_test": settings.n_test, "n_prompts": settings.n_prompts}
    facts = {
        "settings": {**asdict(settings), "overrides": dict(settings.overrides), "resamples": RESAMPLES},
        "tolerance": TOLERANCE,
        "not_learned": not_learned(cells),
        "models": {each.name: each.identity for each in contestants if each.group == TRAINED},
        "sentences": sentences(tables, told, missing),
        "summary": summary(tables, told),
        "captions": {key: caption for key, caption in captions(settings.n_test).items() if key in tables},
    }
    return StudyRecord(settings.name, f"Who tolerates which shift (d = {settings.dimension})", tables, facts)


def _classical(settings: ToleranceSettings) -> Iterator[Contestant]:
    d, n = settings.dimension, settings.n_test
    simple: Mapping[str, Callable[[], Predictor]] = {
        "least squares": LeastSquares,
        "ridge": lambda: Ridge(1.0),
        "averaging": Averaging,
        "3-NN": lambda: NearestNeighbors(3),
        "gradient descent": lambda: predictor("gradient_descent", d, n),
    }
    for name, make in simple.items():
        yield Contestant(name, CLASSICAL, "fixed", name, make)
    for family in FAMILIES:
        law: Law = training_covariates(family, d)
        name = f"LSA, {family} law"
        yield Contestant(name, LSA, family, f"{name}, N = {n}", lambda law=law: TrainedLSA(minimizer(law, n)))


def _entered(found: Mapping[Model, Trained], others: Sequence[Trained]) -> list[tuple[str, str, Trained]]:
    """Name and family of every trained model."""
    entered = [(model.name, model.family, own) for model, own in found.items()]
    for own in others:
        fixed = own.config.as_dict()["prompts"]["covariates"]["kind"] == "gaussian"
        entered.append((own.path.name, "fixed" if fixed else "random", own))
    return entered


def _reads(own: Trained) -> str:
    return f"{own.config.model.attention} attention over {_READS[own.config.model.embedding]}"


def _trained(entered: Sequence[tuple[str, str, Trained]]) -> Iterator[Contestant]:
    for name, family, own in entered:
        yield Contestant(
            name, TRAINED, family, own.identity, lambda own=own: load(own.path, device="auto"), _reads(own)
        )


def _models(entered: Sequence[tuple[str, str, Trained]]) -> pd.DataFrame:
    """A row per trained model: how it was trained, and where it comes from."""
    return pd.DataFrame(
        [
            {
                "model": name,
                "made for": MADE_FOR[family],
                "reads": _reads(own),
                "N": own.config.n_train,
                "steps": own.config.steps,
                "origin": own.origin,
            }
            for name, family, own in entered
        ]
    )


def _readable(model: Trained, settings: ToleranceSettings) -> bool:
    """Whether it can be asked, and was trained without label noise: errors are compared with its own law's."""
    architecture = model.config.model
    fits = architecture.dimension == settings.dimension and architecture.max_points > settings.n_test
    return fits and not model.config.prompts.noise


def _positions(name: str, settings: ToleranceSettings) -> tuple[int, ...]:
    """Where errors are kept: at M; at d − 1 for queries orthogonal to their context, which do not exist later."""
    before = settings.dimension - 1
    if name == ORTHOGONAL:
        return (before,)
    return (before, settings.n_test) if name in OWN_LAW.values() else (settings.n_test,)


def _measure(
    problem: Problem,
    contestants: Sequence[Contestant],
    settings: ToleranceSettings,
    store: Store,
    progress: Progress,
    index: int,
    total: int,
) -> dict[tuple[str, int], Float64[np.ndarray, " B"]]:
    """Squared errors by (predictor, position), with those of the best predictor and of zero."""
    name, base = problem.name, problem.base(settings.dimension)
    member = shift(name)
    distribution = member.apply(base)
    references = [
        Contestant(_ZERO, CLASSICAL, problem.family, _ZERO, Zero),
        Contestant(_BEST, CLASSICAL, problem.family, _BEST, lambda: best_predictor(member, base)),
    ]
    positions = _positions(name, settings)
    sample = {"shift": name, "dimension": settings.dimension, "positions": positions, "seed": settings.seed}
    sample["n_prompts"] = settings.n_prompts
    if problem.family == "random":
        sample["base"] = "random covariances"
    measured: dict[tuple[str, int], Float64[np.ndarray, " B"]] = {}
    for each in (*references, *(each for each in contestants if problem.is_for(each.family))):
        progress(f"testing: {each.name} on {name}", index, total)
        table = store.table(
            f"tolerance-{each.name}-{name}".replace(" ", "-").replace("/", "_"),
            {"predictor": each.identity, **sample},
            lambda each=each: _errors(each.make(), distribution, positions, settings),
        )
        for position in positions:
            measured[each.name, position] = table[str(position)].to_numpy()
    return measured


def _errors(
    judged: Predictor, distribution: PromptDistribution, positions: tuple[int, ...], settings: ToleranceSettings
) -> pd.DataFrame:
    """Squared errors of every prompt at the positions, in chunks that bound memory."""
    blocks: list[np.ndarray] = []
    for start in range(0, settings.n_prompts, CHUNK):
        count = min(CHUNK, settings.n_prompts - start)
        prompts = distribution.sample(count, max(positions) + 1, seed=settings.seed, start=start)
        blocks.append(((judged(prompts) - prompts.targets) ** 2)[:, list(positions)])
    return pd.DataFrame(np.concatenate(blocks), columns=[str(position) for position in positions])


Measured = Mapping[Problem, Mapping[tuple[str, int], Float64[np.ndarray, " B"]]]


def _cell(
    each: Contestant,
    name: str,
    measured: Measured,
    weights: Float64[np.ndarray, "R B"],
    settings: ToleranceSettings,
) -> dict[str, Any]:
    """One predictor under one shift."""
    position = max(_positions(name, settings))
    problem, unshifted_problem = (Problem.of(member, each.family) for member in (name, OWN_LAW[each.family]))
    here, own = measured[problem], measured[unshifted_problem]
    excess = _excess(here, each.name, position, weights)
    unshifted = _excess(own, each.name, position, weights)
    growth = excess - unshifted
    low, high = np.quantile(growth[1:], [0.025, 0.975])
    errors, zero = here[each.name, position], here[_ZERO, position]
    before = own[each.name, position].mean() / own[_ZERO, position].mean()
    exact = math.nan
    if each.group == LSA:
        exact = exact_error(each.family, name, settings.dimension, settings.n_test, position)
    stderr = float(errors.std(ddof=1) / np.sqrt(len(errors)))
    relative = float(errors.mean() / zero.mean())
    exact_zero = shift(name).zero_error(problem.base(settings.dimension))
    return {
        "predictor": each.name,
        "group": each.group,
        "family": each.family,
        "reads": each.reads,
        "base": ITSELF if name in LAWS else MADE_FOR[each.family],
        "shift": name,
        "kind": kind_of(shift(name)),
        "M": position,
        "n": len(errors),
        "relative": relative,
        "best": float(here[_BEST, position].mean() / zero.mean()),
        "unshifted": float(unshifted[0]),
        "unshifted_stderr": float(unshifted[1:].std(ddof=1)),
        "growth": float(growth[0]),
        "low": float(low),
        "high": float(high),
        "ratio": relative / before if before > 1e-12 else math.nan,
        "verdict": OWN if name == OWN_LAW[each.family] else _verdict(float(low), float(high)),
        "error": float(errors.mean()),
        "stderr": stderr,
        "zero": float(zero.mean()) if exact_zero is None else exact_zero,
        "exact": exact,
        "z": (float(errors.mean()) - exact) / stderr if math.isfinite(exact) and stderr > 0 else math.nan,
    }


def _verdict(low: float, high: float) -> str:
    return "tolerates" if high <= TOLERANCE else "does not" if low > TOLERANCE else "undecided"


def _excess(
    here: Mapping[tuple[str, int], Float64[np.ndarray, " B"]],
    name: str,
    position: int,
    weights: Float64[np.ndarray, "R B"],
) -> Float64[np.ndarray, " R"]:
    """(error − best error) / zero error: measured, then resampled."""
    over = here[name, position] - here[_BEST, position]
    return (weights @ over) / (weights @ here[_ZERO, position])
