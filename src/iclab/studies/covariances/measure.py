"""Training on varying covariances: what one linear layer cannot learn, what GPT-2 learns, what scaling at test does.

The distribution of the eigenvalues λ of Λ = diag(λ) goes from a point mass over Exponential(1) to heavy tails. For the
layer of Theorem 8 everything is exact; transformers are trained with some of the distributions and judged on prompts
like those of training, at other scales of them, and on Λ = I, as they are and with prompts scaled by what the context
shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from iclab.foundations import standard_error
from iclab.models import load
from iclab.predictors import LeastSquares, Rescaled
from iclab.predictors.rescaled import Scaling
from iclab.prompts import Linear, PromptDistribution
from iclab.studies.covariances import layer
from iclab.studies.covariances.eigenvalues import FAMILIES, Eigenvalues
from iclab.studies.lab import Lab
from iclab.studies.measuring import CHUNK, Covariates
from iclab.studies.store import Unit
from iclab.studies.trainings import Job, PresetSettings, Trained, trained

TITLE = "Training on varying covariances"
# How a transformer's prompts are scaled.
_SCALINGS: Mapping[str, Scaling] = {
    "inputs": "inputs",
    layer.TRACE: "inputs and labels",
    layer.COORDINATES: "coordinates",
}


@dataclass(frozen=True)
class Settings(PresetSettings):
    """Sizes of the study; d and N are those of the transformers and of the layers that are held against them.

    Attributes
    ----------
    cv2 : tuple of float
        Squared coefficients of variation of λ in the exact part; a family takes part where its E λ³ is finite.
    laws : tuple of (family, cv2)
        Distributions of λ that transformers are trained with.
    lengths : tuple of int
        Test lengths M.
    scales : tuple of float
        Factors c of a model's own covariances at test.
    noise : float
        Standard deviation of the label noise with which ridge is compared.
    """

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
    n_prompts: int = 4_000
    noise: float = 0.5
    training_seeds: tuple[int, ...] = (0, 1)

    @property
    def sample(self) -> dict[str, Any]:
        """What test prompts depend on."""
        return {"dimension": self.dimension, "lengths": self.lengths, "n_prompts": self.n_prompts, "seed": self.seed}


class Test(NamedTuple):
    """Inputs at test: those of training ("own") or Λ = I ("identity"), covariances times ``scale``."""

    inputs: str
    scale: float

    def __str__(self) -> str:
        return f"{self.inputs} {self.scale:g}"

    def covariates(self, eigenvalues: Eigenvalues, dimension: int) -> Covariates:
        """The distribution of x."""
        law = eigenvalues if self.inputs == "own" else Eigenvalues("gamma", 0.0)
        return law.covariates(dimension, self.scale)


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Compute the exact part, train what is missing, judge every model on every distribution.

    Returns
    -------
    dict of DataFrame
        ``layer`` (exact): as ``layer.layer_errors``; ``classical``: as ``classical_errors``; ``models``: family, cv2,
        training_seed, inputs, scale, predictor, position, scaling, error (over the zero predictor's), stderr, n, then
        gain (error without scaling less error with it, on the same prompts) with gain_stderr, and NaN for standard
        errors of exact numbers; ``means``: the same over training seeds.
    """
    every = [Eigenvalues(*pair) for pair in settings.laws]
    tables = {
        "layer": lab.rows(list(_layers(settings)), "exact errors"),
        "classical": lab.rows(list(_classical(settings, every)), "classical learners"),
    }
    jobs = {(one, seed): _job(one, seed, settings, lab) for one in every for seed in settings.training_seeds}
    lab.train(list(jobs.values()))
    units: list[Unit] = []
    pairs = [(one, test) for one in every for test in _tests(one, settings)]
    for one, test in pairs:
        sizes = {"lengths": settings.lengths, "dimension": settings.dimension}
        given = {"one": one, "test": test, "n_train": settings.n_train, **sizes}
        units.append(Unit(exact_errors, given, f"layer {one} on {test}", {"training_seed": None}))
        for seed in settings.training_seeds:
            given = {"one": one, "test": test, "model": trained(jobs[one, seed]), **settings.sample}
            units.append(Unit(judge, given, f"{one} seed {seed} on {test}", {"training_seed": seed}))
    tables["models"] = lab.rows(units, "testing").astype({"training_seed": "Int64"})
    tables["means"] = _over_seeds(tables["models"])
    return tables


def _layers(settings: Settings) -> Iterator[Unit]:
    lengths = [settings.n_train, 4 * settings.n_train, np.inf]
    for coupling in (layer.INDEPENDENT, layer.COMMON):
        for family in FAMILIES:
            for v in settings.cv2:
                if (one := Eigenvalues(family, v)).known:
                    given = {"eigenvalues": one, "coupling": coupling, "lengths": lengths}
                    yield Unit(
                        layer.layer_errors, {**given, "dimension": settings.dimension}, f"layer {one} {coupling}"
                    )


def _classical(settings: Settings, every: Sequence[Eigenvalues]) -> Iterator[Unit]:
    for one in every:
        for noise in (0.0, settings.noise):
            given = {"eigenvalues": one, "noise": noise, "n_train": settings.n_train, **settings.sample}
            yield Unit(layer.classical_errors, given, f"classical {one} noise {noise:g}")


def _job(one: Eigenvalues, seed: int, settings: Settings, lab: Lab) -> Job:
    config = settings.configuration(seed, covariates=one.specification(settings.dimension))
    return lab.job(f"{one}, seed {seed}", f"covariances-{one.family}-{one.cv2:g}-seed{seed}".replace(" ", "-"), config)


def _tests(one: Eigenvalues, settings: Settings) -> list[Test]:
    """A model's own inputs at every scale, and Λ = I."""
    return [*(Test("own", c) for c in settings.scales), *([Test("identity", 1.0)] if one.cv2 > 0 else [])]


def exact_errors(one: Eigenvalues, test: Test, n_train: int, lengths: Sequence[int], dimension: int) -> pd.DataFrame:
    """The layer trained with these eigenvalues, in the form of the models' table; gains are exact too."""
    covariates, zero = test.covariates(one, dimension), test.scale * dimension
    rows: list[tuple[Any, ...]] = []
    for m in lengths:
        exact = layer.errors_on(one, n_train, covariates, m, dimension)
        errors = {scaling: error / zero for scaling, error in exact.items()}
        for scaling, error in errors.items():
            rows.append((layer.LSA, m, scaling, error, np.nan, 0, errors[layer.NONE] - error, np.nan))
    return _tidy(rows, one, test)


def judge(
    one: Eigenvalues, test: Test, model: Trained, dimension: int, lengths: Sequence[int], n_prompts: int, seed: int
) -> pd.DataFrame:
    """Errors over the zero predictor's of a transformer, plain and scaled, and of least squares; paired gains."""
    transformer = load(model.path, device="auto")
    scaled = {scaling: Rescaled(transformer, how) for scaling, how in _SCALINGS.items()}
    distribution = PromptDistribution(test.covariates(one, dimension), Linear())
    found: dict[tuple[str, int, str], list[np.ndarray]] = {}
    for start in range(0, n_prompts, CHUNK):
        count = min(CHUNK, n_prompts - start)
        prompts = distribution.sample(count, max(lengths) + 1, seed=seed, start=start)
        plain, squares = transformer(prompts), LeastSquares()(prompts)
        for m in lengths:
            predicted = {(layer.LEAST_SQUARES, m, layer.NONE): squares[:, m], (layer.GPT2, m, layer.NONE): plain[:, m]}
            predicted |= {(layer.GPT2, m, scaling): rescaled.at(prompts, m) for scaling, rescaled in scaled.items()}
            for key, values in predicted.items():
                error = (values - prompts.targets[:, m]) ** 2 / (test.scale * dimension)
                found.setdefault(key, []).append(error)
    rows: list[tuple[Any, ...]] = []
    errors = {key: np.concatenate(blocks) for key, blocks in found.items()}
    for (predictor, m, scaling), values in errors.items():
        gain = errors[predictor, m, layer.NONE] - values
        spread = float(standard_error(values)), float(standard_error(gain))
        rows.append((predictor, m, scaling, values.mean(), spread[0], len(values), gain.mean(), spread[1]))
    return _tidy(rows, one, test)


def _tidy(rows: list[tuple[Any, ...]], one: Eigenvalues, test: Test) -> pd.DataFrame:
    names = ["predictor", "position", "scaling", "error", "stderr", "n", "gain", "gain_stderr"]
    law = {"family": one.family, "cv2": one.cv2, **test._asdict()}
    return pd.DataFrame({**law, **pd.DataFrame(rows, columns=names)})


def _over_seeds(models: pd.DataFrame) -> pd.DataFrame:
    """Means over training seeds; all seeds see the same prompts, so that errors of prompts do not average out.

    ``stderr`` is the largest over the seeds, ``error_low`` and ``error_high`` span the seeds.
    """
    keys = ["family", "cv2", "inputs", "scale", "predictor", "position", "scaling"]
    summaries = {
        "error": ("error", "mean"),
        "error_low": ("error", "min"),
        "error_high": ("error", "max"),
        "stderr": ("stderr", "max"),
        "n": ("n", "max"),
        "seeds": ("error", "size"),
        "gain": ("gain", "mean"),
        "gain_stderr": ("gain_stderr", "max"),
        "least_gain": ("gain", "min"),
        "largest_gain": ("gain", "max"),
    }
    return models.groupby(keys, sort=False).agg(**summaries).reset_index()
