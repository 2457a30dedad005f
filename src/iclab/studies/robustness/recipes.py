"""Recipes that differ in one factor: of the optimiser, the data's order, the layers, the size, or the prior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from iclab.training import TrainingConfig, laws, preset

BASE, LONGER = "columns", "three times the steps"
# What a factor belongs to.
RECIPE, MIXER, SIZE, PRIOR = "recipe", "mixer", "size", "prior"


@dataclass(frozen=True)
class Factor:
    """What is changed of ``columns``.

    Attributes
    ----------
    group : str
        What it belongs to: the recipe, what the layers are, the size of model and training, or the law of the training
        prompts.
    change : callable
        Dimension and steps to the fields of the configuration that differ.
    """

    group: str
    change: Callable[[int, int], dict[str, Any]]


def _fixed(group: str, **fields: Any) -> Factor:
    return Factor(group, lambda dimension, steps: fields)


def _few_dimensions_first(dimension: int, steps: int) -> dict[str, Any]:
    softmax = preset("columns", dimension=dimension, steps=steps, model={"attention": "softmax"})
    return {"curriculum": asdict(softmax.curriculum)}


def _prior(*members: Callable[[int], laws.Law], tasks: str = "linear") -> Factor:
    """Training prompts of Λ = I in one half, and of these laws in equal parts in the other."""

    def change(dimension: int, steps: int) -> dict[str, Any]:
        inputs = laws.plain(dimension)
        if members:
            others = [(0.5 / len(members), member(dimension)) for member in members]
            inputs = laws.mixture([(0.5, inputs), *others])
        return {"prompts": {"covariates": inputs, "tasks": {"kind": tasks}}}

    return Factor(PRIOR, change)


_scales = partial(laws.scales, largest=3.0)
_ALL = (_scales, laws.rotations, laws.low_rank, laws.orthants)
_SOFTMAX: dict[str, Any] = {"model": {"attention": "softmax"}}
_MESA: dict[str, Any] = {"mixers": ["mesa"], "convolution": 0, "keys": "plain", "bare": True}
_GPT2: dict[str, Any] = {"model": {"attention": "softmax", "embedding": "interleaved"}}

# The page says what each of them is.
FACTORS: Mapping[str, Factor] = {
    BASE: _fixed(RECIPE),
    "adam": _fixed(RECIPE, optimizer={"kind": "adam"}),
    "labels": _fixed(RECIPE, targets="labels"),
    "softmax": _fixed(RECIPE, **_SOFTMAX),
    "mesa": _fixed(MIXER, model=_MESA),
    "no norms": _fixed(RECIPE, model={"layer_norm": False}),
    "mesa, no norms": _fixed(MIXER, model={**_MESA, "layer_norm": False}),
    "prior: everything": _prior(*_ALL, tasks="random_scale_linear"),
    "few dimensions first": Factor(RECIPE, _few_dimensions_first),
    "constant rate": _fixed(RECIPE, schedule={"decay": 0.0}),
    "prior: scales of y": _prior(tasks="random_scale_linear"),
    "prior: orthants": _prior(laws.orthants),
    "prior: scales of x": _prior(_scales),
    "prior: low rank": _prior(laws.low_rank),
    "prior: rotations": _prior(laws.rotations),
    "third of the rate": _fixed(RECIPE, optimizer={"learning_rate": 2e-3 / 3, "matrix_learning_rate": 1e-3}),
    LONGER: Factor(SIZE, lambda d, n: {"steps": 3 * n}),
    "twice the width": _fixed(SIZE, model={"width": 64}),
    "twice the layers": _fixed(SIZE, model={"layers": 4}),
    "adam, labels": _fixed(RECIPE, optimizer={"kind": "adam"}, targets="labels"),
    "softmax, prior: everything": Factor(
        PRIOR, lambda d, n: {**_prior(*_ALL, tasks="random_scale_linear").change(d, n), **_SOFTMAX}
    ),
    "third of the steps": Factor(SIZE, lambda d, n: {"steps": max(1, n // 3)}),
    "tokens in turn": _fixed(RECIPE, model={"embedding": "interleaved"}),
    "weight decay": _fixed(RECIPE, optimizer={"weight_decay": 0.1}),
    "four times the batch": Factor(SIZE, lambda d, n: {"batch_size": 128}),
    "softmax, adam": _fixed(RECIPE, optimizer={"kind": "adam"}, **_SOFTMAX),
    "softmax, labels": _fixed(RECIPE, targets="labels", **_SOFTMAX),
    "gpt2": Factor(RECIPE, lambda d, n: {**_GPT2, "steps": 3 * n}),
}


def configuration(factor: str, dimension: int, steps: int, seed: int) -> TrainingConfig:
    """The training of a recipe: N = 2d, two layers of width 32, 32 prompts per step, float32, Λ = I.

    ``columns`` is that preset at this size.
    """
    overrides = {"steps": steps, "batch_size": 32, **FACTORS[factor].change(dimension, steps)}
    overrides["model"] = {"width": 32, "layers": 2, "heads": 2, **overrides.get("model", {})}
    steps = overrides["steps"]
    return preset(
        "columns",
        dimension=dimension,
        n_train=2 * dimension,
        max_points=2 * dimension + 1,
        **overrides,
        seed=seed,
        precision="float32",
        n_evaluation=256,
        evaluate_every=steps,
        checkpoint_every=max(50, steps // 10),
    )
