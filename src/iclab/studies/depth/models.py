"""The models of this study as data, how each is fitted, and each as a predictor at every position."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from iclab.flow.deep import (
    FULL,
    GD_PLUS,
    INVARIANT,
    Contexts,
    Form,
    MomentRisk,
    Objective,
    Run,
    SpectralRisk,
    TokenRisk,
    Weights,
    form,
    last_rows,
    search,
)
from iclab.foundations import PromptInputs, PromptLabels, standard_error
from iclab.predictors.base import apply, counts, sums_before
from iclab.prompts import Prompts
from iclab.studies.depth.contexts import ANISOTROPIC

# Linear, softmax, or linear with the query among the keys and read with sign +1, as (3) and (6) have it.
LINEAR, SOFTMAX, PAPER = "linear", "softmax", "as in (3)"
# The form that stands for an attention among those of every depth.
MAIN = {LINEAR: GD_PLUS, SOFTMAX: INVARIANT}
# A run that ends with such a loss has no standard error.
_EXPLODED = 1e20
# Iterations of the first and second round, runs of the second round: few numbers, or many.
_EFFORT = {"brief": 60, "polish": 6, "iterations": 400}
_MODERATE = {"brief": 40, "polish": 2, "iterations": 200}
_SOFTMAX = {"brief": 40, "polish": 2, "iterations": 150}
# The first round sees one in so many contexts.
FEWER = 8
# Largest |∂ log loss/∂θ| up to which a fit passes for an optimum.
CONVERGED = 1.0
WARM = "warm"


class Learner(NamedTuple):
    """A model or a classical learner, as columns of a table."""

    learner: str
    form: str = ""
    tied: bool = False
    layers: int = 0


def tying(tied: bool) -> str:
    """The word for layers that share their weights, or do not."""
    return "tied" if tied else "untied"


def of_scalars(
    risk: Callable[[np.ndarray], tuple[float, np.ndarray]], layers: int, rows: int, *, curved: bool = True
) -> Objective:
    """A risk of (β, a) per layer as a function of those of ``rows`` layers, 1 if tied; β = 0 unless ``curved``."""

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        given = theta.reshape(rows, -1)
        each = given if curved else np.column_stack([np.zeros(rows), given])
        loss, gradient = risk(np.broadcast_to(each, (layers, 2)))
        gradient = gradient[:, 0 if curved else 1 :]
        return loss, (gradient.sum(axis=0) if rows < layers else gradient).ravel()

    return objective


def of_weights(risk: MomentRisk | TokenRisk, shape: Form, layers: int, rows: int) -> Objective:
    """A risk of all weights as a function of the free numbers of ``rows`` layers, 1 if tied."""

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = risk(shape.weights(theta, layers))
        return loss, shape.pull_back(gradient, rows)

    return objective


@dataclass(frozen=True)
class Model:
    """L layers of attention."""

    inputs: str  # What they are trained on
    attention: str  # LINEAR, SOFTMAX or PAPER
    form: str  # Which weights are free
    tied: bool  # Whether all layers share their weights
    layers: int  # L

    def __str__(self) -> str:
        return f"{self.inputs} {self.attention} {self.form} {tying(self.tied)} {self.layers}"

    @property
    def learner(self) -> Learner:
        """What it is called in tables."""
        return Learner(self.attention, self.form, self.tied, self.layers)

    @property
    def rows(self) -> int:
        """Distinct layers."""
        return 1 if self.tied else self.layers

    def form_in(self, dimension: int) -> Form:
        """The form in d dimensions."""
        return form(self.form, dimension, diagonal=self.inputs == ANISOTROPIC)

    def weights(self, theta: np.ndarray, dimension: int) -> Weights:
        """Merged weights of all layers."""
        return self.form_in(dimension).weights(theta, self.layers)

    def risk(self, contexts: Contexts) -> MomentRisk | TokenRisk:
        """Its empirical risk as a function of merged weights."""
        if self.attention == SOFTMAX:
            return TokenRisk(contexts)
        if self.attention == PAPER:  # every query is a prompt of its own: two of them bound the cost
            return MomentRisk(replace(contexts, queries=contexts.queries[:, :2], targets=contexts.targets[:, :2]), True)
        return MomentRisk(contexts)

    def fit(self, contexts: Contexts, known: Mapping[Model, Weights], n_starts: int, seed: int) -> pd.DataFrame:
        """``n_starts`` runs of L-BFGS: start, kind, loss, stderr, evaluations, polished, slope, theta."""
        dimension = contexts.xs.shape[2]
        shape = self.form_in(dimension)
        rng = np.random.default_rng([seed, self.layers, shape.size, int(self.tied), int(self.attention == SOFTMAX)])
        warm = [shape.coordinates(weights[: self.rows]) for weights in self._warm(known, dimension, rng)]
        cold = [self._random(shape, dimension, rng) for _ in range(n_starts - len(warm))]
        effort = _SOFTMAX if self.attention == SOFTMAX else _EFFORT if self._spectral else _MODERATE
        few, every = (self._objective(part, shape) for part in (contexts.first(len(contexts) // FEWER), contexts))
        runs = search(warm + cold, few, every, **effort)
        kinds = [WARM] * len(warm) + ["random"] * len(cold)
        return self._table(runs, kinds, contexts)

    @property
    def _spectral(self) -> bool:
        return self.attention == LINEAR and self.form == GD_PLUS and self.inputs != ANISOTROPIC

    def _objective(self, contexts: Contexts, shape: Form) -> Objective:
        if self._spectral:
            return of_scalars(SpectralRisk(contexts), self.layers, self.rows)
        return of_weights(self.risk(contexts), shape, self.layers, self.rows)

    def _warm(self, known: Mapping[Model, Weights], dimension: int, rng: np.random.Generator) -> list[Weights]:
        """Starts from what is fitted: a narrower form, the same tied, a shallower one with layers that do little."""
        found: list[Weights] = []
        narrower = {FULL: INVARIANT, INVARIANT: GD_PLUS}.get(self.form)
        if narrower and self.attention == LINEAR:
            before = known.get(replace(self, form=narrower))
            if before is not None:
                found += [before, before + 0.02 * rng.standard_normal(before.shape) * self._support(dimension)]
        shared = known.get(replace(self, tied=True))
        if shared is not None and not self.tied:
            found.append(shared)
        shallower = [m for m in known if replace(m, layers=self.layers) == self and m.layers < self.layers]
        if self.layers > 1 and self.tied:
            shallower += [m for m in known if replace(m, layers=self.layers, tied=True) == self and m.layers == 1]
        if shallower:
            last = max(shallower, key=lambda m: m.layers)
            if self.tied:
                found.append(known[last])
            else:
                idle = self.weights(np.zeros(self.form_in(dimension).size), dimension)[last.layers :]
                noise = 0.05 * rng.standard_normal(idle.shape) * self._support(dimension)
                found.append(np.concatenate([known[last], idle + noise]))
        return found

    def _support(self, dimension: int) -> np.ndarray:
        return (np.abs(self.form_in(dimension).basis).sum(axis=0) > 0).astype(float)

    def _random(self, shape: Form, dimension: int, rng: np.random.Generator) -> np.ndarray:
        """Rates around a stable one, inputs curved a little; for the full form every entry normal."""
        if shape.name == FULL:
            return 0.3 * rng.standard_normal(self.rows * shape.size)
        size, softmax = dimension + 1, self.attention == SOFTMAX
        weights = np.zeros((self.rows, 2, size, size))
        inside = np.arange(dimension)
        for layer in weights:
            layer[0, inside, inside] = rng.normal(-0.2, 0.2)
            layer[0, -1, -1] = -np.exp(rng.normal(0.4 if softmax else 0.0, 0.4))
            layer[1, inside, inside] = (0.4 if softmax else 0.6) * np.exp(rng.normal(0, 0.6))
            layer[1, -1, -1] = rng.normal(0, 0.1)
            if self.attention == PAPER and rng.random() < 0.5:
                layer[0, -1, -1] *= -1
        return shape.coordinates(weights)

    def _table(self, runs: Sequence[Run], kinds: Sequence[str], contexts: Contexts) -> pd.DataFrame:
        risk, dimension = self.risk(contexts), contexts.xs.shape[2]
        rows: list[dict[str, Any]] = []
        for start, (run, kind) in enumerate(zip(runs, kinds, strict=True)):
            stderr = np.nan
            if run.polished and run.loss < _EXPLODED:
                stderr = float(standard_error(risk.each(self.weights(run.theta, dimension))))
            found = {**vars(run), "theta": run.theta.tolist()}
            rows.append({"start": start, "kind": kind, "stderr": stderr, **found})
        columns = ["start", "kind", "loss", "stderr", "evaluations", "polished", "slope", "theta"]
        return pd.DataFrame(rows, columns=columns)

    def predictor(self, weights: Weights) -> DeepLinear | DeepSoftmax:
        """The fitted model at every position, ρ = i examples at position i."""
        return DeepSoftmax(weights) if self.attention == SOFTMAX else DeepLinear(weights)


@dataclass(frozen=True, eq=False)
class DeepLinear:
    """Deep linear attention, each position answered from the examples before it alone."""

    layers: Weights

    def weights(self, prompts: Prompts) -> PromptInputs:
        """The weight vector by which the query is answered, shape (B, P, d)."""
        n_prompts, n_points, dimension = prompts.xs.shape
        tokens = np.concatenate([prompts.xs, prompts.ys[..., None]], axis=2)
        moments = sums_before(tokens[..., :, None] * tokens[..., None, :]) / counts(n_points)[:, None, None]
        rows = -last_rows(self.layers, moments.reshape(-1, dimension + 1, dimension + 1))
        return rows.reshape(n_prompts, n_points, dimension)

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        return apply(self.weights(prompts), prompts.queries)


@dataclass(frozen=True, eq=False)
class DeepSoftmax:
    """Deep softmax attention, each position answered from the examples before it alone."""

    layers: Weights

    def __call__(self, prompts: Prompts) -> PromptLabels:
        """Predictions, shape (B, P)."""
        found = np.zeros(prompts.ys.shape)
        for i in range(1, prompts.n_points):
            part = Contexts(
                prompts.xs[:, :i], prompts.ys[:, :i], prompts.queries[:, i : i + 1], prompts.targets[:, i : i + 1]
            )
            found[:, i] = TokenRisk(part).predictions(self.layers)[:, 0]
        return found
