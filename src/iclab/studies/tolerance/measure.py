"""Trained transformers, the linear layer and classical learners under the shifts of two suites.

Every predictor meets the same prompts, unshifted and under every shift, with M examples in context. What counts is its
*excess*: its error less that of the best predictor for the shifted problem (ridge with the penalty of Bayes for linear
tasks; for others the best linear predictor), divided by the zero predictor's error. Every shift is applied to what the
predictor was made for: standard normal inputs, or covariances diag(λ), λ_i ~ Exponential(1); a few members of the
suites are distributions themselves, the same for all. The 95 % interval of the growth of the excess comes from a
bootstrap over prompts, shifted and unshifted ones paired.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float64

from iclab.evaluation import Suite
from iclab.foundations import check_integer, standard_error
from iclab.models import Architecture, load
from iclab.predictors import Averaging, LeastSquares, NearestNeighbors, Predictor, Ridge, TrainedLSA, Zero, predictor
from iclab.prompts import PromptDistribution, shift
from iclab.studies.figure1.models import Model, ModelSettings, describe, find_or_train, missing
from iclab.studies.lab import Lab
from iclab.studies.measuring import CHUNK, FAMILIES, OWN, resampling, with_interval
from iclab.studies.store import Unit
from iclab.studies.tolerance import problems
from iclab.studies.tolerance.questions import LEARNED, TOLERANCE
from iclab.studies.tolerance.views import counts, differences, overview
from iclab.studies.trainings import Trained, shipped
from iclab.theory import minimizer

TITLE = {
    "tolerance": "Which shifts are tolerated",
    "tolerance-d20": "Tolerated shifts, by shipped models",
}
RESAMPLES = 1000
SUITES = ("garg", "paper")
_READS = {"interleaved": "", "stacked": " on columns"}
# By problem: squared errors of every prompt by predictor and position.
Measured: TypeAlias = Mapping[problems.Problem, Mapping[tuple[str, int], Float64[np.ndarray, " B"]]]


@dataclass(frozen=True)
class Settings(ModelSettings):
    """All is tested with M = the smallest ``n_train`` in context, which every model was trained for."""

    n_prompts: int = 2_000

    @property
    def n_test(self) -> int:
        """M."""
        return min(self.n_train)


@dataclass(frozen=True)
class Learner:
    """A predictor that is judged: classical, a linear layer or a transformer, made for fixed or random covariances."""

    name: str
    group: str
    family: str
    predictor: Predictor | Trained
    n_train: int | None = None
    training_seed: int | None = None
    embedding: str = ""
    attention: str = ""

    def is_for(self, problem: problems.Problem) -> bool:
        """Whether it is judged on a problem."""
        return problems.Problem.of(problem.name, self.family) == problem

    def columns(self) -> dict[str, Any]:
        """What a table says of it."""
        rest = {key: value for key, value in vars(self).items() if key not in ("name", "predictor")}
        return {"predictor": self.name, **rest}


ZERO = Learner("zero", "classical", "fixed", Zero())


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Find or train the models, test everything under every shift.

    Returns
    -------
    dict of DataFrame
        ``cells`` (predictor × shift: excess, growth with its interval, verdict, exact error where known), ``counts``
        (predictor × kind of shift: how many are tolerated), ``overview`` (a row per predictor), ``differences`` (what
        all models of a kind do unlike the layer or least squares), ``models``, ``missing`` and ``shifts``.
    """
    check_integer(settings.n_test, "the smallest n_train", minimum=settings.dimension + 1)
    found = find_or_train(settings, lab)
    others = sorted(_shipped(found, settings), key=attrgetter("embedding", "attention", "family", "n_train"))
    own = [_transformer(model.family, run, model.training_seed) for model, run in found.items()]
    learners = [*_classical(settings), *own, *others]
    suites = [Suite.named(suite, settings.dimension) for suite in SUITES]
    names = tuple(dict.fromkeys(name for suite in suites for name in suite.shifts))
    measured = _test(learners, names, settings, lab)
    weights = resampling(settings.n_prompts, RESAMPLES, settings.seed)
    cells = pd.DataFrame([_cell(each, name, measured, weights, settings) for each in learners for name in names])
    cells = _judged(cells.astype({"n_train": "Int64", "training_seed": "Int64"}))
    kinds = cells.drop_duplicates("shift")[["shift", "kind"]]
    definitions = {name: shift(name).definition for name in names} | {"standard": "Inputs with covariance I."}
    return {
        "cells": cells,
        "counts": counts(cells),
        "overview": overview(cells),
        "differences": differences(cells),
        "models": describe(settings, found),
        "missing": missing(settings, found),
        "shifts": kinds.assign(definition=kinds["shift"].map(definitions)).reset_index(drop=True),
    }


def _classical(settings: Settings) -> Iterator[Learner]:
    d, n = settings.dimension, settings.n_test
    simple: Mapping[str, Predictor] = {
        "least squares": LeastSquares(),
        "ridge": Ridge(1.0),
        "averaging": Averaging(),
        "3-NN": NearestNeighbors(3),
        "gradient descent": predictor("gradient_descent", d, n),
    }
    for name, each in simple.items():
        yield Learner(name, "classical", "fixed", each)
    for family in FAMILIES:
        layer = TrainedLSA(minimizer(OWN[family].covariates(d), n))
        yield Learner(f"linear layer, {family} Λ", "linear layer", family, layer, n)


def _shipped(found: Mapping[Model, Trained], settings: Settings) -> Iterator[Learner]:
    """Models of the package that can be asked and are none of the study's.

    Those trained with label noise are left out: errors are compared with those on what a model was made for.
    """
    used = {run.path for run in found.values()}
    for run in shipped():
        architecture = run.config.model
        fits = architecture.dimension == settings.dimension and architecture.max_points > settings.n_test
        prompts = run.config.as_dict()["prompts"]
        if run.path not in used and fits and "covariates" in prompts and not prompts["noise"]:
            fixed = prompts["covariates"]["kind"] == "gaussian"
            yield _transformer("fixed" if fixed else "random", run, run.config.seed)


def _transformer(family: str, run: Trained, seed: int) -> Learner:
    model, n = run.config.model, run.config.n_train
    assert isinstance(model, Architecture)
    kind = ("GPT-2" if model.attention == "softmax" else f"{model.attention} attention") + _READS[model.embedding]
    name = f"{kind}, {family} Λ, N = {n}" + (f", seed {seed}" if seed else "")
    return Learner(name, "transformer", family, run, n, seed, model.embedding, model.attention)


def _positions(name: str, settings: Settings) -> tuple[int, ...]:
    """Where errors are kept: at M; at d − 1 for queries orthogonal to their context, which do not exist later."""
    before = settings.dimension - 1
    if name == problems.ORTHOGONAL:
        return (before,)
    return (before, settings.n_test) if name in problems.UNSHIFTED.values() else (settings.n_test,)


def _test(learners: Sequence[Learner], names: Sequence[str], settings: Settings, lab: Lab) -> Measured:
    """Squared errors of every predictor, of the best one and of zero under every shift."""
    members = list(dict.fromkeys(problems.Problem.of(name, family) for name in names for family in FAMILIES))
    cases: list[tuple[problems.Problem, Learner]] = []
    for problem in members:
        best = problems.best_predictor(shift(problem.name), problem.base(settings.dimension))
        here = [each for each in learners if each.is_for(problem)]
        cases += [(problem, each) for each in (ZERO, Learner("best", "classical", problem.family, best), *here)]
    sizes = {"d": settings.dimension, "n_prompts": settings.n_prompts, "seed": settings.seed}
    units = []
    for problem, each in cases:
        given = {"problem": problem, "positions": _positions(problem.name, settings), **sizes}
        units.append(Unit(errors_of, {"predictor": each.predictor, **given}, f"{each.name} on {problem.name}"))
    measured: dict[problems.Problem, dict[tuple[str, int], Float64[np.ndarray, " B"]]] = {}
    for (problem, each), table in zip(cases, lab.tables(units, "testing"), strict=True):
        for position in _positions(problem.name, settings):
            measured.setdefault(problem, {})[each.name, position] = table[str(position)].to_numpy()
    return measured


def errors_of(
    predictor: Predictor | Trained,
    problem: problems.Problem,
    positions: Sequence[int],
    d: int,
    n_prompts: int,
    seed: int,
) -> pd.DataFrame:
    """Squared errors of every prompt at the positions, in chunks that bound memory."""
    judged = load(predictor.path, device="auto") if isinstance(predictor, Trained) else predictor
    distribution: PromptDistribution = shift(problem.name).apply(problem.base(d))
    blocks: list[np.ndarray] = []
    for start in range(0, n_prompts, CHUNK):
        prompts = distribution.sample(min(CHUNK, n_prompts - start), max(positions) + 1, seed=seed, start=start)
        blocks.append(((judged(prompts) - prompts.targets) ** 2)[:, list(positions)])
    return pd.DataFrame(np.concatenate(blocks), columns=[str(position) for position in positions])


def _cell(
    each: Learner, name: str, measured: Measured, weights: Float64[np.ndarray, "R B"], settings: Settings
) -> dict[str, Any]:
    """One predictor under one shift."""
    position, d = max(_positions(name, settings)), settings.dimension
    problem, before = (problems.Problem.of(member, each.family) for member in (name, problems.UNSHIFTED[each.family]))
    here, unshifted = measured[problem], measured[before]
    excess = _excess(unshifted, each.name, position, weights)
    growth = _excess(here, each.name, position, weights) - excess
    errors, zero = here[each.name, position], here[ZERO.name, position]
    error, stderr = float(errors.mean()), float(standard_error(errors))
    relative = float(errors.mean() / zero.mean())
    ratio = unshifted[each.name, position].mean() / unshifted[ZERO.name, position].mean()
    layer = each.group == "linear layer"
    exact = problems.exact_error(each.family, name, d, settings.n_test, position) if layer else math.nan
    exact_zero = shift(name).zero_error(problem.base(d))
    return {
        **each.columns(),
        "shift": name,
        "kind": problems.kind_of(shift(name)),
        "itself": name in problems.DISTRIBUTIONS,
        "M": position,
        "n": len(errors),
        "relative": relative,
        "best": float(here["best", position].mean() / zero.mean()),
        "unshifted": float(excess[0]),
        "unshifted_stderr": float(excess[1:].std(ddof=1)),
        **with_interval("growth", growth),
        "ratio": relative / ratio if ratio > 1e-12 else math.nan,
        "error": error,
        "stderr": stderr,
        "zero": float(zero.mean()) if exact_zero is None else exact_zero,
        "exact": exact,
        "z": (error - exact) / stderr if math.isfinite(exact) and stderr > 0 else math.nan,
    }


def _excess(
    here: Mapping[tuple[str, int], Float64[np.ndarray, " B"]],
    name: str,
    position: int,
    weights: Float64[np.ndarray, "R B"],
) -> Float64[np.ndarray, " R"]:
    """(error − best error) / zero error: measured, then resampled."""
    over = here[name, position] - here["best", position]
    return (weights @ over) / (weights @ here[ZERO.name, position])


def _judged(cells: pd.DataFrame) -> pd.DataFrame:
    """Whether each shift is tolerated, whether it counts, and whether a model has learned enough to be judged."""
    own = cells["shift"] == cells["family"].map(problems.UNSHIFTED)
    again = (cells["family"] == "random") & cells["shift"].isin(problems.SAME_INPUTS)
    verdict = np.select(
        [own, cells["growth_high"] <= TOLERANCE, cells["growth_low"] > TOLERANCE],
        ["unshifted", "tolerated", "not tolerated"],
        "undecided",
    )
    excess = cells.groupby("predictor")["unshifted"].transform("max")
    return cells.assign(
        verdict=verdict,
        # The members that are one shift under two names count once.
        counted=~own & ~again & (cells["shift"] != problems.SAME_NOISE),
        learned=(cells["group"] != "transformer") | (excess <= LEARNED),
    )
