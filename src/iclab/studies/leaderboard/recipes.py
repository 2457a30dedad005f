"""Recipes of training: a preset and what is changed of it, on one size of model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from iclab.models import SIZES
from iclab.training import TrainingConfig, preset

LAYERS = 3
# Evaluations per run: the resolution of a crossing.
EVALUATIONS = 50
OURS, BASE, GARG = "fast", "columns", "garg"


@dataclass(frozen=True)
class Recipe:
    """A preset, and what is changed of it.

    Attributes
    ----------
    preset : str
        Name of the preset; that of ``BASE`` where nothing else is said.
    overrides : mapping
        Fields of the configuration that differ, as for ``training.preset``.
    curriculum : {"preset", "ours", "garg", "none"}
        The preset's own, the one that ``columns`` has with softmax attention, Garg et al.'s scaled to the dimension, or
        none.
    """

    preset: str = BASE
    overrides: Mapping[str, Any] = field(default_factory=dict[str, Any])
    curriculum: Literal["preset", "ours", "garg", "none"] = "preset"


_MUON = {"kind": "muon", "learning_rate": 2e-3, "matrix_learning_rate": 3e-3, "clip": 1.0}
# The page says what each of them is.
RECIPES: Mapping[str, Recipe] = {
    OURS: Recipe(OURS),
    BASE: Recipe(),
    "tiny": Recipe("tiny"),
    "tokens in turn": Recipe(overrides={"model": {"embedding": "interleaved"}}),
    "labels": Recipe(overrides={"targets": "labels"}),
    "adamw": Recipe(overrides={"optimizer": {"kind": "adamw"}}),
    "adam": Recipe(overrides={"optimizer": {"kind": "adam"}}),
    "constant rate": Recipe(overrides={"schedule": {"decay": 0.0}}),
    "cosine": Recipe(overrides={"schedule": {"shape": "cosine"}}),
    "curriculum": Recipe(curriculum="ours"),
    "garg curriculum": Recipe(curriculum="garg"),
    "softmax": Recipe(overrides={"model": {"attention": "softmax"}}),
    "softmax, no curriculum": Recipe(overrides={"model": {"attention": "softmax"}}, curriculum="none"),
    "gpt2": Recipe(overrides={"model": {"attention": "softmax", "embedding": "interleaved"}}),
    GARG: Recipe("garg-linear", curriculum="garg"),
    "garg, our targets": Recipe("garg-linear", {"targets": "posterior_mean"}, "garg"),
    "garg, our optimiser": Recipe("garg-linear", {"optimizer": _MUON}, "garg"),
}


def configuration(recipe: str, dimension: int, steps: int, seed: int, n_evaluation: int) -> TrainingConfig:
    """The training of a recipe: N = 2d, float32, 3 layers of width 64, evaluated every 2 % of the run."""
    chosen = RECIPES[recipe]
    width, heads = SIZES[LAYERS]
    overrides = dict(chosen.overrides)
    overrides["model"] = {"width": width, "layers": LAYERS, "heads": heads, **overrides.get("model", {})}
    if chosen.curriculum == "none":
        overrides["curriculum"] = {"dimensions": None, "points": None, "examples_per_dimension": None}
    elif chosen.curriculum == "ours":
        softmax = preset(BASE, dimension=dimension, steps=steps, model={"attention": "softmax"})
        overrides["curriculum"] = asdict(softmax.curriculum)
    elif chosen.curriculum == "garg":
        overrides["curriculum"] = scaled_garg(dimension, steps)
    interval = max(1, steps // EVALUATIONS)
    return preset(
        chosen.preset,
        dimension=dimension,
        n_train=2 * dimension,
        max_points=2 * dimension + 1,
        **overrides,
        steps=steps,
        seed=seed,
        precision="float32",
        n_evaluation=n_evaluation,
        log_every=interval,
        evaluate_every=interval,
        checkpoint_every=max(50, 5 * interval),
    )


def scaled_garg(dimension: int, steps: int) -> dict[str, Any]:
    """Garg et al.'s curriculum for d = 20, N = 40, scaled to ``dimension`` and ``steps``.

    Theirs goes from 5 of 20 dimensions and 11 of 41 points to all of them within 30 000 of 500 001 steps (dims +1
    and points +2 every 2000). Here both start at the same share of d and of 2d + 1 and end at the same share of the
    run.
    """
    last = 30_000 / 500_001 * steps

    def ramp(start: int, end: int) -> dict[str, int]:
        return {"start": start, "end": end, "increment": 1, "every": max(1, int(last / max(1, end - start)))}

    points = 2 * dimension + 1
    return {
        "dimensions": ramp(max(1, round(dimension * 5 / 20)), dimension),
        "points": ramp(max(2, round(points * 11 / 41)), points),
        "examples_per_dimension": None,
    }
