"""The transformers of Figure 1: which there are, how each is trained, and where it is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from iclab.models import Architecture
from iclab.studies.lab import Lab
from iclab.studies.measuring import COVARIATES, FAMILIES, SIZE, TOKENS
from iclab.studies.trainings import Job, Trained, TrainingSettings, choose, deviations, find, stated, trained
from iclab.training import TrainingConfig, preset


class Model(NamedTuple):
    """One transformer: the covariances in its training (``FAMILIES``), N, and the seed of its training."""

    family: str
    n_train: int
    training_seed: int

    def __str__(self) -> str:
        return f"{self.family} N={self.n_train} seed={self.training_seed}"


@dataclass(frozen=True)
class ModelSettings(TrainingSettings):
    """Which transformers a study needs; studies with equal ones share their trainings.

    Attributes
    ----------
    dimension : int
        d.
    n_train : tuple of int
        Training lengths N, ascending.
    max_context : int
        Largest number of examples that a model can read.
    preset : str
        Name of the training preset.
    reuse : tuple of str
        Models that will do though they were optimised otherwise: "shipped" for those of the package, folders of runs.
    train_missing : bool
        Whether models that are not at hand are trained; otherwise they are left out.
    """

    dimension: int = 5
    n_train: tuple[int, ...] = (10, 18, 25)
    max_context: int = 25
    preset: str = "tiny"
    training_seeds: tuple[int, ...] = (0,)
    reuse: tuple[str, ...] = ()
    train_missing: bool = True

    @property
    def models(self) -> list[Model]:
        """All of them."""
        return [Model(f, n, seed) for seed in self.training_seeds for f in FAMILIES for n in self.n_train]

    def changes(self, model: Model) -> dict[str, Any]:
        """What is changed in the preset to train a model."""
        return {
            "dimension": self.dimension,
            "n_train": model.n_train,
            "covariates": COVARIATES[model.family],
            "max_points": self.max_context + 1,
            "seed": model.training_seed,
            **self.overrides,
        }

    def configuration(self, model: Model, **more: Any) -> TrainingConfig:
        """How a model is trained, with further changes."""
        return preset(self.preset, **{**self.changes(model), **more})


def find_or_train(settings: ModelSettings, lab: Lab) -> dict[Model, Trained]:
    """Each model: one that ``reuse`` states, else a run of its configuration, else a new training; in their order.

    Which model is taken depends on the settings alone: a run of one configuration has the same bits whoever trained it.
    """
    candidates = stated(settings.reuse)
    jobs: dict[Model, Job] = {}
    found: dict[Model, Trained] = {}
    for model in settings.models:
        config = settings.configuration(model)
        job = lab.job(str(model), f"{model.family}cov-N{model.n_train}-seed{model.training_seed}", config)
        at_hand = choose(config, candidates)
        if at_hand is None and not job.directory.exists():
            at_hand = find(config, lab.runs)
        if at_hand is not None:
            found[model] = at_hand
        elif job.directory.exists() or settings.train_missing:
            jobs[model] = job
    lab.train(list(jobs.values()))
    found |= {model: trained(job) for model, job in jobs.items()}
    return {model: found[model] for model in settings.models if model in found}


def describe(settings: ModelSettings, found: Mapping[Model, Trained]) -> pd.DataFrame:
    """A row per model at hand: what it is, how it was trained, and where it comes from.

    ``labels_seen`` are the points of all training prompts; ``differences`` the settings of its training that are not
    those of the study with as many steps; ``identity`` tells one model from every other; ``papers_size`` whether it is
    the GPT-2 of the paper's Appendix E.
    """
    rows = []
    parts = ["embedding", "attention", "width", "layers", "heads"]
    for model, run in found.items():
        config, wanted = run.config, settings.configuration(model)
        assert isinstance(config.model, Architecture)
        other = deviations(run, settings.configuration(model, steps=config.steps))
        row = {**model._asdict(), **{part: getattr(config.model, part) for part in parts}}
        papers_size = all(row[part] == size for part, size in SIZE.items()) and row["embedding"] == TOKENS
        row |= {"steps": config.steps, "wanted_steps": wanted.steps, "labels_seen": _labels_seen(config)}
        row |= {"targets": config.targets, "differences": ", ".join(other), "origin": run.origin}
        rows.append({**row, "identity": run.identity, "papers_size": papers_size})
    columns = [*Model._fields, *parts, "steps", "wanted_steps", "labels_seen", "targets", "differences"]
    return pd.DataFrame(rows, columns=[*columns, "origin", "identity", "papers_size"])


def missing(settings: ModelSettings, found: Mapping[Model, Trained]) -> pd.DataFrame:
    """A row per model that is not at hand, with the command that trains it; DIRECTORY is the folder of the results."""
    rows = []
    for model in (each for each in settings.models if each not in found):
        options = " ".join(f"--set {key}={value}" for key, value in _dotted(settings.changes(model)))
        command = f"iclab train {settings.preset} {options} --directory DIRECTORY/runs/{model.family}-{model.n_train}"
        rows.append([*model, command])
    return pd.DataFrame(rows, columns=[*Model._fields, "command"])


def _labels_seen(config: TrainingConfig) -> int:
    dimension, points = config.prompts.build().dimension, config.n_points
    return sum(
        config.curriculum.at(step, dimension, points).points * config.batch_size_at(step)
        for step in range(config.steps)
    )


def _dotted(changes: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested changes one by one, as ``--set`` takes them."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
