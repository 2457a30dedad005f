"""A training as one frozen, validated object; the library and the command line read it the same way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic.dataclasses import dataclass

from iclab.foundations import InvalidInputError
from iclab.foundations.own_code import CodeNotAllowedError
from iclab.models import Architecture, OwnModel
from iclab.models.mixers.kernels import KERNELS
from iclab.prompts import PromptDistribution
from iclab.prompts.labels import labels_of
from iclab.prompts.problem_specifications import ProblemSpecification
from iclab.prompts.reading import UNTAGGED, allowed_code
from iclab.prompts.specification import plain, validated
from iclab.training.clamping import Clamp
from iclab.training.curriculum import Curriculum, Stage
from iclab.training.optimisation import Optimizer, Schedule
from iclab.training.series import SeriesSpecification
from iclab.training.targets import posterior_mean


def _kind(value: Any) -> str:
    """Of a model: a transformer has none."""
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return UNTAGGED if kind is None else str(kind)


def _names(given: Any) -> Any:
    """The name of one model, or of several."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, (list, tuple)) and given and all(isinstance(each, str) for each in given):
        return tuple(given)
    raise InvalidInputError(f"init_from must name a model, or several in a list; {given!r} was given.")


ModelSpecification = Annotated[
    Annotated[Architecture, Tag(UNTAGGED)] | Annotated[OwnModel, Tag("own")], Discriminator(_kind)
]
# Ways to give one law of inputs: of those in a set exactly one may be given.
_ALTERNATIVES = ({"dimension", "spectrum", "matrix"}, {"dimension", "laws"})
# Of anything that is counted.
_MOST = 10**12
# Of a step, mostly the optimiser's, in points of a prompt.
_FIXED_COST = 400


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class TrainingConfig:
    """Everything that determines a trained model.

    Attributes
    ----------
    prompts : specification
        Where training and evaluation prompts come from: functions of inputs, or another problem by its ``kind``.
    model : Architecture or OwnModel
        What is trained; a module of your own has the ``kind`` "own".
    n_train : int
        N: prompts have N + 1 points, so that predictions are made from 0 … N examples.
    steps, batch_size, seed : int
        Optimiser steps, prompts per step, and the seed of weights and prompts.
    optimizer, schedule, curriculum : Optimizer, Schedule, Curriculum
        How it is trained.
    targets : {"labels", "posterior_mean"}
        What predictions are fitted to: the labels, or their exact posterior mean given the context
        (Rao-Blackwell: the same expected gradient with less noise).
    loss_at : {"all_positions", "query"}
        Positions whose losses are averaged: all, or the last alone, which is the query of Definition 1 of the paper.
        The loss is the squared error for the model's head "mean", the negative log-likelihood for "mean_variance" (a
        Gaussian's, without the constant) and for "classes" (cross-entropy).
    window : int, optional
        Of a model with loops: what is predicted after each of so many last loops is fitted, and earlier loops have no
        gradient (Yang et al. 2024). The last loop alone, with the gradient of all, when omitted.
    init_from : str or tuple of str, optional
        A run, a saved model or the name of one that ships with the package, of the same architecture, from whose
        weights the training begins; from random ones when omitted. One of fewer layers is grown to a deeper model that
        predicts the same. Of several models it begins from the mean of their weights (Wortsman et al. 2022, "Model
        soups"), which does well where one was trained on from the other.
    clamp : tuple of Clamp
        Activations that are held fixed in every forward pass of the training, such as
        ``{activation: blocks.0.attention.mixed, head: 1, to: 0}``.
    per_dimension : bool
        Whether the loss is divided by the number of visible dimensions.
    precision : {"auto", "float32", "bfloat16", "float64"}
        Of weights and products; "bfloat16" keeps float32 weights and multiplies under autocast. "auto" takes it where
        it is clearly faster and float32 elsewhere, decided by the machine that begins the run and kept from then on.
    kernels : {"auto", "own", "fla"}
        By what recurrent mixers read in steps in bfloat16 on a GPU: our chunks, or the kernels of
        flash-linear-attention. "auto" takes these if the package is there, decided and kept as the precision is.
    device : {"auto", "cpu", "cuda"}
        "auto" takes a GPU if there is one.
    compile : bool
        Whether torch.compile is used; beside the CUDA graphs of a GPU it gains next to nothing.
    log_every, evaluate_every, checkpoint_every : int, optional
        Steps between lines of metrics, evaluations and checkpoints; a hundredth, a tenth and a twentieth of
        the run when omitted, but at least 10, 100 and 50.
    n_evaluation : int
        Held-out prompts of each evaluation.
    keep_checkpoints : int
        How many of the latest checkpoints, which are for resuming, stay on disk.
    checkpoints : Series, optional
        At which steps weights are kept for good, for ``Run.checkpoints``; none when omitted.
    """

    prompts: ProblemSpecification
    model: ModelSpecification
    n_train: int = Field(ge=1, le=_MOST)
    steps: int = Field(ge=1, le=_MOST)
    batch_size: int = Field(default=64, ge=1, le=_MOST)
    seed: int = Field(default=0, ge=0, lt=2**63)
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    curriculum: Curriculum = Curriculum()
    targets: Literal["labels", "posterior_mean"] = "labels"
    loss_at: Literal["all_positions", "query"] = "all_positions"
    window: int | None = Field(default=None, ge=1)
    init_from: Annotated[str | tuple[str, ...] | None, BeforeValidator(_names)] = None
    clamp: tuple[Clamp, ...] = ()
    per_dimension: bool = False
    precision: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    kernels: Literal["auto", "own", "fla"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = False
    log_every: int | None = Field(default=None, ge=1)
    evaluate_every: int | None = Field(default=None, ge=1)
    checkpoint_every: int | None = Field(default=None, ge=1)
    n_evaluation: int = Field(default=512, ge=2, le=_MOST)
    keep_checkpoints: int = Field(default=2, ge=2)
    checkpoints: SeriesSpecification | None = None

    def __post_init__(self) -> None:
        with suppress(CodeNotAllowedError):  # what nobody allowed to run is not tried
            self._check(self.prompts.build())
        if self.n_points > self.model.max_points:
            raise InvalidInputError(
                f"model.max_points must be at least n_train + 1 = {self.n_points}; {self.model.max_points} was given."
            )
        if self.clamp and self.compile:
            raise InvalidInputError("compile must be false for activations to be clamped; it is true.")
        if self.kernels == "fla":
            self._check_kernels()
        beyond = max(self.checkpoints.steps or (0,), default=0) if self.checkpoints is not None else 0
        if beyond > self.steps:
            raise InvalidInputError(f"checkpoints must be at steps up to {self.steps}; {beyond} was given.")
        for ramp in self.curriculum.fields.values():
            # Where it begins, after its first change, and where it ends: what is wrong is said before the start.
            for step in (0, ramp.begin + ramp.every, ramp.last_change):
                self.at(step)

    def _check_kernels(self) -> None:
        needed = (("precision", ("bfloat16", "auto")), ("device", ("cuda", "auto")), ("compile", (False,)))
        for name, fitting in needed:
            value = getattr(self, name)
            if value not in fitting:
                raise InvalidInputError(
                    f"kernels 'fla' must go with {name} {fitting[0]!r}; {value!r} was given: take kernels 'own'."
                )

    def _check(self, prompts: Any) -> None:
        labels = labels_of(prompts)
        model = self.model.of(prompts.dimension, labels) if isinstance(self.model, OwnModel) else self.model
        if prompts.dimension != model.dimension:
            raise InvalidInputError(
                f"prompts and model must have the same dimension; {prompts.dimension} and {model.dimension} were given."
            )
        known = model.labels
        if labels != known:
            head = "classes" if labels.kind == "class" else "mean"
            raise InvalidInputError(
                f"the model's head must fit the labels, with model.head {head!r} and model.outputs {labels.size}; "
                f"{model.head!r} and {model.outputs} were given."
            )
        if self.window is not None and (isinstance(model, OwnModel) or model.tied):
            raise InvalidInputError(
                "window must be left out unless the model is a looped transformer; it is tied or a module of your own."
            )
        functions = isinstance(prompts, PromptDistribution)
        if self.targets == "posterior_mean":
            if model.head == "mean_variance":
                raise InvalidInputError(
                    "targets 'posterior_mean' must be fitted by the head 'mean' or 'classes', as a mean tells no "
                    "variance; 'mean_variance' was given: use 'labels'."
                )
            posterior_mean(prompts)
        if self.curriculum.dimensions is not None and not functions:
            raise InvalidInputError(
                f"a curriculum of dimensions must be of inputs of a law of functions; {type(prompts).__name__} was "
                "given: leave it out."
            )
        if self.per_dimension and (labels.kind == "class" or not prompts.dimension):
            raise InvalidInputError(
                "per_dimension must be false for labels that are classes or prompts without inputs: their loss does "
                "not grow with the dimension."
            )

    @cached_property
    def architecture(self) -> Any:
        """The model as it is for these prompts: a module of your own with what is found from them."""
        if not isinstance(self.model, OwnModel):
            return self.model
        prompts = self.prompts.build()
        return self.model.of(prompts.dimension, labels_of(prompts))

    @property
    def noise(self) -> float:
        """Standard deviation of the label noise; 0 for problems whose labels have a law of their own."""
        return getattr(self.prompts, "noise", 0.0)

    @property
    def n_points(self) -> int:
        """P = n_train + 1, points of a full training prompt."""
        return self.n_train + 1

    @property
    def log_interval(self) -> int:
        """Steps between lines of metrics."""
        return self.log_every or max(10, self.steps // 100)

    @property
    def evaluation_interval(self) -> int:
        """Steps between evaluations."""
        return self.evaluate_every or max(100, self.steps // 10)

    @property
    def checkpoint_interval(self) -> int:
        """Steps between checkpoints."""
        return self.checkpoint_every or max(50, self.steps // 20)

    @cached_property
    def kept_steps(self) -> frozenset[int]:
        """Steps after which weights are kept for good; 0 is before the first."""
        return frozenset() if self.checkpoints is None else frozenset(self.checkpoints.at(self.steps))

    def at(self, step: int) -> TrainingConfig:
        """The configuration as a step sees it: fields on a ramp have their values of that step.

        Raises
        ------
        InvalidInputError
            If there is no such field, or it cannot have that value.
        """
        fields = self.curriculum.fields
        if not fields:
            return self
        data = self.as_dict()
        del data["curriculum"]["fields"]
        for name, ramp in fields.items():
            nested: Any = ramp.at(step)
            for part in reversed(name.split(".")):
                nested = {part: nested}
            data = merge(data, nested)
        return validated(TrainingConfig, data, f"the configuration of step {step}", allow_code=allowed_code(self))

    def batch_size_at(self, step: int) -> int:
        """Prompts of a step."""
        ramp = self.curriculum.fields.get("batch_size")
        return self.batch_size if ramp is None else int(ramp.at(step))

    def cost_at(self, step: int) -> int:
        """Cost of a step relative to others: its points times its prompts, and a part that does not grow with them."""
        return self.stage_at(step).points * self.batch_size_at(step) + _FIXED_COST

    def stage_at(self, step: int) -> Stage:
        """What a step sees."""
        return self.curriculum.at(step, self.architecture.dimension, self.n_points)

    def with_(self, **changes: Any) -> Self:
        """A copy with other fields, validated anew."""
        return replace(self, **changes)

    @property
    def undecided(self) -> bool:
        """Whether a precision, or kernels where there are any, are still left to the machine."""
        optimizer = self.optimizer
        muon = optimizer.kind == "muon" and optimizer.matrix_precision == "auto"
        return self.precision == "auto" or muon or (self.kernels == "auto" and self.kerneled)

    @property
    def kerneled(self) -> bool:
        """Whether the model has mixers that kernels can compute."""
        return not isinstance(self.model, OwnModel) and not KERNELS.keys().isdisjoint(self.model.kinds)

    @property
    def by_kernels(self) -> bool:
        """Whether kernels compute them."""
        return self.kernels == "fla" and self.kerneled

    def filled_from(self, other: TrainingConfig) -> Self:
        """A copy whose precisions and kernels are those of another one where they were left to the machine."""
        optimizer = self.optimizer
        if optimizer.matrix_precision == "auto":
            optimizer = replace(optimizer, matrix_precision=other.optimizer.matrix_precision)
        return self.with_(
            precision=other.precision if self.precision == "auto" else self.precision,
            kernels=other.kernels if self.kernels == "auto" else self.kernels,
            optimizer=optimizer,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data that ``read_config`` reads back."""
        data = plain(self)
        # Runs are kept under the digest of these data: fields that say nothing were unknown to earlier versions.
        if not self.curriculum.fields:
            del data["curriculum"]["fields"]
        if not self.clamp:
            del data["clamp"]
        outliers = data["prompts"].get("outliers")
        if outliers is not None and not outliers["whole"]:
            del outliers["whole"]
        for key in ("window", "init_from", "checkpoints"):
            if data[key] is None:
                del data[key]
        if self.optimizer.matrix_precision == "auto":
            del data["optimizer"]["matrix_precision"]
        if self.kernels == "auto":
            del data["kernels"]
        return data


def write_yaml(config: TrainingConfig) -> str:
    """The configuration as YAML text."""
    return yaml.safe_dump(config.as_dict(), sort_keys=False, allow_unicode=True)


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys at which two configurations differ."""
    found: list[str] = []
    for key in one.keys() | other.keys():
        a, b = one.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}")
    return sorted(found)


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``; mappings are merged unless the change has another ``kind``.

    Of the dimension, spectrum, matrix or laws that a law of inputs is given by, the one in ``changes`` replaces that
    of ``base``.
    """
    given = {key for key, value in changes.items() if value is not None}
    replaced = set[str]().union(*(ways - given for ways in _ALTERNATIVES if ways & given))
    merged = {key: value for key, value in base.items() if key not in replaced}
    for key, value in changes.items():
        old = merged.get(key)
        if (
            isinstance(old, Mapping)
            and isinstance(value, Mapping)
            and old.get("kind", value.get("kind")) == value.get("kind", old.get("kind"))
        ):
            merged[key] = merge(old, value)
        else:
            merged[key] = merge({}, value) if isinstance(value, Mapping) else value
    return merged
