"""Named recipes: each is a function of the dimension, the training length and the law of x."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from iclab.foundations import InvalidInputError, check_choice, check_integer
from iclab.models import SIZES
from iclab.prompts import Gaussian
from iclab.prompts.specification import PromptSpecification, plain, validated
from iclab.training import laws
from iclab.training.config import TrainingConfig, merge


class PresetArguments(NamedTuple):
    """What a recipe depends on."""

    dimension: int
    n_train: int
    max_points: int
    steps: int
    attention: str | None  # None for the recipe's own
    covariates: dict[str, Any]


# From its arguments to fields of the configuration.
Recipe: TypeAlias = Callable[[PresetArguments], dict[str, Any]]
# From dimension and n_train to a number of steps.
Length: TypeAlias = Callable[[int, int], int]
# What may stand beside a preset's name.
ARGUMENTS = ("dimension", "n_train", "covariates", "max_points")
KEYS = tuple(dict.fromkeys([*ARGUMENTS, *(field.name for field in fields(TrainingConfig))]))


def preset(
    name: str,
    *,
    dimension: int | None = None,
    n_train: int | None = None,
    covariates: str | Mapping[str, Any] | Any = "identity",
    max_points: int | None = None,
    allow_code: bool | Collection[str] = False,
    **overrides: Any,
) -> TrainingConfig:
    """A named recipe as a configuration.

    Parameters
    ----------
    name : str
        - ``lsa``: the paper's linear self-attention, loss at the query (Definition 1), labels;
        - ``deep-linear``: two such layers: one cannot invert the covariance of its own context;
        - ``tiny``, ``small``, ``base``: Garg et al.'s GPT-2 with 3, 6 and 12 layers, our recipe (Muon, Rao-Blackwell
          targets);
        - ``fast``: two mesa layers (von Oswald et al. 2023) without norms and positions, reading prompts as the paper's
          columns (x, y): the recipe for d = 20 on a CPU. A mesa layer solves a ridge regression, which attention has
          to learn. Beyond N = 2d it takes fewer steps, as many as keep the number of examples;
        - ``robust``: ``fast`` with noise of standard deviation 1 on all labels of 2 % of the prompts, at a lower
          rate and half as long again;
        - ``columns``: ``small`` with linear attention, reading prompts as columns; beyond N = 2d as ``fast``. It sees
          all dimensions from the start; with softmax attention it has the curriculum of ``small``;
        - ``mixture``: ``columns`` on a mixture of laws, four times as long: the given law in 45 % of the prompts,
          orthants, random subspaces, skewed spectra, scales and covariances in the others; labels times a random
          factor;
        - ``garg-linear``: Garg et al.'s recipe (2022), unchanged.
    dimension : int, optional
        d; that of ``covariates`` when omitted, and 5 where these have none of their own.
    n_train : int, optional
        N; 2d when omitted.
    covariates : str, mapping, array_like, Gaussian or specification
        "identity", "random-exponential" (Λ = diag(λ), λ_i ~ Exponential(1) per prompt), a specification, or Λ itself.
    max_points : int, optional
        Longest prompt the model can read; enough for 5d examples when omitted, as in the paper's Figure 1.
    allow_code : bool or collection of str
        Whether code of your own that the overrides name may run, or which (``module:object``).
    **overrides
        Fields of the configuration, as values or (for nested ones) mappings of what changes. A law of inputs is given
        by its dimension, spectrum, matrix or laws; the one in a change replaces the preset's. A change of
        ``optimizer.learning_rate`` alone changes the rate of Muon's matrices in proportion.

    Returns
    -------
    TrainingConfig

    Raises
    ------
    InvalidInputError
        If there is no such preset, or a field does not fit.

    Examples
    --------
    >>> preset("tiny", dimension=5, n_train=10, steps=100).model.width
    64
    """
    check_choice(name, "preset", PRESETS)
    for key in overrides:
        check_choice(key, f"a key of the preset {name}", KEYS)
    if dimension is None:
        dimension = _dimension(covariates, name)
    dimension = check_integer(dimension, "dimension", minimum=1)
    n_train = check_integer(2 * dimension if n_train is None else n_train, "n_train", minimum=1)
    if max_points is None:
        max_points = max(n_train, 5 * dimension) + 1
    max_points = check_integer(max_points, "max_points", minimum=n_train + 1)
    recipe, default = PRESETS[name]
    steps = default if isinstance(default, int) else default(dimension, n_train)
    # Warm-up and curriculum are shares of the run, so that a shorter run is the same recipe in small.
    steps = check_integer(overrides.pop("steps", steps), "steps", minimum=1)
    law = _covariates(covariates, dimension)
    arguments = PresetArguments(dimension, n_train, max_points, steps, _attention(overrides.get("model")), law)
    data: dict[str, Any] = {
        "prompts": {"covariates": law, "tasks": {"kind": "linear"}},
        "n_train": n_train,
        "steps": steps,
        **recipe(arguments),
    }
    model = overrides.get("model")
    if isinstance(model, Mapping) and model.get("kind") == "own":
        data["model"] = {}  # sizes of a transformer are none of a module of your own
    elif isinstance(model, Mapping):
        _keep_mixers_or_attention(name, data["model"], model)
    _keep_ratio(data["optimizer"], overrides.get("optimizer"))
    return validated(TrainingConfig, merge(data, overrides), f"the preset {name}", allow_code=allow_code)


def _keep_mixers_or_attention(name: str, recipe: dict[str, Any], change: Mapping[str, Any]) -> None:
    """Let the mixers of a change replace the preset's attention; attention does not replace a preset's mixers."""
    if change.get("mixers"):
        recipe.pop("attention", None)
    mixers = change.get("mixers", recipe.get("mixers"))
    if mixers and "attention" in change:
        raise InvalidInputError(
            f"model must have mixers or attention, not both; the preset {name} with mixers {', '.join(mixers)} and "
            f"attention {change['attention']!r} was given: take the preset columns for attention, or change the mixers."
        )


def _keep_ratio(recipe: dict[str, Any], change: Any) -> None:
    """Let the rate of Muon's matrices follow where a change gives the rate of the other weights alone."""
    matrices = recipe.get("matrix_learning_rate")
    if matrices is None or not isinstance(change, Mapping) or "matrix_learning_rate" in change:
        return
    given = cast(Mapping[str, Any], change).get("learning_rate")
    if isinstance(given, int | float) and not isinstance(given, bool):
        # To twelve digits, so that a third of the rate is a third of the matrices' rate in decimals too.
        recipe["matrix_learning_rate"] = float(f"{matrices * (given / recipe['learning_rate']):.12g}")


def _attention(model: Any) -> str | None:
    """The attention that a change of the model asks for."""
    return model.get("attention") if isinstance(model, Mapping) else getattr(model, "attention", None)


def _dimension(covariates: Any, name: str) -> int:
    """The dimension that a law of inputs brings along, or the default."""
    if isinstance(covariates, str):
        return 5
    data = {"covariates": _covariates(covariates, 5)}
    return validated(PromptSpecification, data, f"the preset {name}").build().dimension


def _covariates(given: Any, dimension: int) -> dict[str, Any]:
    if isinstance(given, str):
        if check_choice(given, "covariates", ("identity", "random-exponential")) == "identity":
            return {"kind": "gaussian", "dimension": dimension}
        return {"kind": "random_diagonal", "dimension": dimension, "law": {"name": "expon", "scale": 1.0}}
    if isinstance(given, list | tuple | np.ndarray):
        given = Gaussian(given)
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, Gaussian):
        return {"kind": "gaussian", "matrix": given.covariance.tolist()}
    if not is_dataclass(given) or not hasattr(given, "kind"):
        raise InvalidInputError(
            "covariates must be 'identity', 'random-exponential', a covariance matrix, a Gaussian or a specification "
            f"such as {{kind: gaussian, spectrum: [1, 2]}}; {given!r} was given."
        )
    return plain(given)


def _gpt2(layers: int, arguments: PresetArguments) -> dict[str, Any]:
    width, heads = SIZES[layers]
    shape = {"width": width, "layers": layers, "heads": heads}
    return {"dimension": arguments.dimension, "max_points": arguments.max_points, **shape}


def _few_dimensions_first(arguments: PresetArguments, end: float) -> dict[str, Any]:
    """Dimensions from 1 to d over the share ``end`` of the run, on prompts of two examples each.

    Softmax attention leaves its initial plateau while prompts are short and steps cheap: at d = 20 with Λ = I, starting
    from 5 dimensions instead kept it for more than 2000 steps. Linear attention has no such plateau, and is not better
    for a curriculum: errors / d of 6000 steps at d = 20 are .0213 with one and .0216 without at 20 examples, .00022 and
    .00021 at 40 (± .0014 and .00001; 4000 prompts, one seed).
    """
    every = max(1, round(end * arguments.steps / max(1, arguments.dimension - 1)))
    return {"dimensions": {"start": 1, "end": arguments.dimension, "every": every}, "examples_per_dimension": 2}


def _short_prompts_first(arguments: PresetArguments) -> dict[str, Any]:
    """Prompts beyond 2d examples only when these are mastered, from .3 to .55 of the run."""
    points, begin = min(2 * arguments.dimension + 1, arguments.n_train + 1), round(0.3 * arguments.steps)
    every = max(1, int((0.55 * arguments.steps - begin) / max(1, arguments.n_train + 1 - points)))
    return {"points": {"start": points, "end": arguments.n_train + 1, "every": every, "begin": begin}}


def _ours(
    layers: int,
    *,
    rate: float,
    matrix_rate: float,
    curriculum: float,
    decay: float,
    precision: str = "auto",
    embedding: str = "interleaved",
    attention: str = "softmax",
) -> Recipe:
    """Muon, Rao-Blackwell targets, a curriculum and a falling rate over the given shares of the run."""

    def build(arguments: PresetArguments) -> dict[str, Any]:
        softmax = (arguments.attention or attention) == "softmax"
        ramps = _few_dimensions_first(arguments, curriculum) if softmax else {}
        if softmax or arguments.n_train > 2 * arguments.dimension:
            ramps |= _short_prompts_first(arguments)
        return {
            # The exact GELU: on CPUs a step with 6 layers takes a tenth less than with GPT-2's (346 ms against 394).
            "model": {**_gpt2(layers, arguments), "embedding": embedding, "attention": attention, "activation": "gelu"},
            "batch_size": 64,
            "optimizer": {
                "kind": "muon",
                "learning_rate": rate,
                "matrix_learning_rate": matrix_rate,
                "momentum": 0.9,
            },
            "schedule": {"warmup": min(100, arguments.steps // 10), "decay": decay},
            "curriculum": ramps,
            "targets": "posterior_mean",
            "per_dimension": True,
            "precision": precision,
        }

    return build


def _fast(arguments: PresetArguments) -> dict[str, Any]:
    """Two mesa layers and nothing that keeps them from least squares: no norms, plain keys that hold all of x."""
    size = max(32, 8 * math.ceil(3 * arguments.dimension / 16))
    recipe = _COLUMNS(arguments)
    recipe["model"] = {
        "dimension": arguments.dimension,
        "max_points": arguments.max_points,
        "width": 2 * size,
        "layers": 2,
        "heads": 2,
        "embedding": "stacked",
        "mixers": ["mesa"],
        "convolution": 0,
        "keys": "plain",
        "bare": True,
        "positions": "none",
        "layer_norm": False,
        "activation": "gelu",
    }
    # At d = 20 the error / d after 1,000 steps at 20 examples falls with the rate, .0169 at .004 and .0075 at .008; at
    # .016 the loss is not finite.
    recipe["optimizer"] |= {"learning_rate": 5e-3, "matrix_learning_rate": 7.5e-3}
    return recipe


def _robust(arguments: PresetArguments) -> dict[str, Any]:
    """The recipe of ``fast`` where some prompts are noisy: on none it learns least squares, which noise ruins."""
    tasks, outliers = {"kind": "linear"}, {"probability": 0.02, "scale": 1.0, "whole": True}
    recipe = _fast(arguments)
    # At the rate of `fast` labels three times as large are taken for noise: error / d .44 at 40 examples, not .019.
    recipe["optimizer"] |= {"learning_rate": 2e-3, "matrix_learning_rate": 3e-3}
    return {**recipe, "prompts": {"covariates": arguments.covariates, "tasks": tasks, "outliers": outliers}}


def _mixture(arguments: PresetArguments) -> dict[str, Any]:
    """The recipe of ``columns`` on a mixture of laws under all of which least squares has the Rao-Blackwell targets."""
    d = arguments.dimension
    inputs = laws.mixture(
        [
            (0.45, arguments.covariates),
            (0.2, laws.orthants(d)),
            (0.1, laws.low_rank(d)),
            (0.1, laws.skewed(d)),
            (0.1, laws.scales(d, 2.0)),
            (0.05, laws.rotations(d)),
        ]
    )
    tasks = {"kind": "random_scale_linear", "largest": 2.0}
    return {**_COLUMNS(arguments), "prompts": {"covariates": inputs, "tasks": tasks}}


def _garg(arguments: PresetArguments) -> dict[str, Any]:
    """Garg et al. (2022): dimensions 5 → d, one more, and points 11 → N + 1, two more, every 2000 of 500 001 steps."""
    every = max(1, round(2000 * arguments.steps / _GARG_STEPS))
    return {
        "model": _gpt2(12, arguments),
        "batch_size": 64,
        "optimizer": {"kind": "adam", "learning_rate": 1e-4, "betas": [0.9, 0.999], "clip": None},
        "curriculum": {
            "dimensions": {"start": min(5, arguments.dimension), "end": arguments.dimension, "every": every},
            "points": {
                "start": min(11, arguments.n_train + 1),
                "end": arguments.n_train + 1,
                "increment": 2,
                "every": every,
            },
        },
        "targets": "labels",
        "precision": "float32",
    }


def _lsa(layers: int, loss_at: str) -> Recipe:
    def build(arguments: PresetArguments) -> dict[str, Any]:
        return {
            "model": {
                "dimension": arguments.dimension,
                "max_points": arguments.max_points,
                "width": arguments.dimension + 1,
                "layers": layers,
                "heads": 1,
                "embedding": "stacked",
                "read_in": "identity",
                "attention": "merged",
                "positions": "none",
                "mlp": False,
                "layer_norm": False,
            },
            "batch_size": 256,
            "optimizer": {"kind": "adam", "learning_rate": 5e-3 if layers == 1 else 3e-3, "betas": [0.9, 0.95]},
            "schedule": {"warmup": arguments.steps // 40, "decay": 0.6},
            "targets": "labels",
            "loss_at": loss_at,
            "per_dimension": True,
            "precision": "float32",
        }

    return build


def _as_many_examples(steps: int) -> Length:
    """So many steps up to N = 2d, and as many examples in fewer steps beyond."""
    return lambda dimension, n_train: max(1, round(steps * min(1.0, 2 * dimension / n_train)))


_GARG_STEPS = 500_001
# Recipe and default number of steps. `tiny` was tuned at d = 5, `small` at d = 20, both on two cores. Muon's momentum
# 0.9 leaves the plateau sooner than 0.95. `tiny` stays in float32 so that trainings of several lengths N compare:
# bfloat16 would save a sixth of its step at d = 5, N = 10, a third at N = 40. Under random covariances the error hardly
# falls while the rate is constant (Exp(1), d = 20, seed 0: .079, .067, .060 of d at 40 examples after 2800, 3500, 4200
# steps, .0069 at the end of 7000), so the rate falls over most of the run.
_SMALL: dict[str, Any] = {"rate": 2e-3, "matrix_rate": 3e-3, "curriculum": 0.16, "decay": 0.6}
# Columns (x, y) spare the model the work of pairing each label with its input, and scores without softmax suit a linear
# task. At d = 10 (tiny, Λ = I, 2500 steps, seed 0) the errors / d at d and 2d examples are .117 and .006; with softmax
# .148 and .013; with softmax on tokens in turn .218 and .062.
_COLUMNS = _ours(6, **_SMALL, embedding="stacked", attention="linear")
PRESETS: dict[str, tuple[Recipe, int | Length]] = {
    "lsa": (_lsa(1, "query"), 2000),
    "deep-linear": (_lsa(2, "query"), 2000),
    "tiny": (_ours(3, rate=3e-3, matrix_rate=3e-3, curriculum=0.08, decay=0.6, precision="float32"), 3000),
    "small": (_ours(6, **_SMALL), 7000),
    "base": (_ours(12, **dict(_SMALL, rate=1e-3, matrix_rate=2e-3)), 10_000),
    "columns": (_COLUMNS, _as_many_examples(6000)),
    "mixture": (_mixture, _as_many_examples(25_000)),
    "fast": (_fast, _as_many_examples(2000)),
    "robust": (_robust, _as_many_examples(3000)),
    "garg-linear": (_garg, _GARG_STEPS),
}
"""The presets by name: the recipe of each, and its number of steps."""
