"""Pretrained models layer by layer: read-outs and their nearest algorithm, probes, measures of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from iclab.predictors.registry import shipped_models
from iclab.studies.lab import Lab
from iclab.studies.rows import where
from iclab.studies.store import Unit, several

TITLE = "Inside the pretrained models, layer by layer"
DEFAULT = tuple(
    f"{kind}-d20-{law}"
    for kind in ("gpt2", "gpt2-columns", "linear-columns")
    for law in ("identity", "random-exponential")
)
# Targets of the probes: X'y/i, least squares on the first i examples, ‖w‖.
TARGETS = ("moment", "least_squares", "norm")


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    models : tuple of str
        Models that ship with the package, or folders.
    n_prompts : int
        Prompts of every model's own law.
    positions : tuple of int
        Numbers of examples, at which probes and measures are taken.
    targets : tuple of str
        What is probed.
    untrained : bool
        Whether probes are compared with initial weights.
    seed : int
        Seed of the prompts.
    """

    models: tuple[str, ...] = DEFAULT
    n_prompts: Annotated[int, Field(ge=8)] = 800
    positions: tuple[Annotated[int, Field(ge=1)], ...] = (10, 20, 40)
    targets: tuple[str, ...] = TARGETS
    untrained: bool = True
    seed: Annotated[int, Field(ge=0)] = 0


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Look into every model.

    Returns
    -------
    dict of DataFrame
        ``readouts``: model, block, algorithm, setting, distance, stderr, cosine, nearest, n: what a read-out of the
        stream after each block is near to (``iclab.inspect.nearest_steps``). ``answers``: the same for the model's own
        predictions. ``probes``, ``descent``, ``products``: the tables of ``iclab.inspect.probe``,
        ``compare_with_descent`` and ``products_and_identity``.
    """
    common = {"n_prompts": settings.n_prompts, "positions": list(settings.positions), "seed": settings.seed}
    units = []
    for model in settings.models:
        units += [
            Unit(readouts_of, {"model": model, **common}, f"read-outs of {model}"),
            Unit(measures_of, {"model": model, **common}, f"measures of {model}"),
            Unit(
                probes_of,
                {"model": model, "targets": list(settings.targets), "untrained": settings.untrained, **common},
                f"probes of {model}",
            ),
        ]
    return lab.named_tables(units, "layers")


def _opened(model: str, n_prompts: int, positions: list[int], seed: int):
    """A model, and prompts of its own law up to the last position."""
    from iclab.models import load
    from iclab.training import read_config

    config = read_config(Path(shipped_models().get(model, model)) / "config.yaml")
    return load(model), config.prompts.build().sample(n_prompts, max(positions) + 1, seed=seed)


def readouts_of(model: str, n_prompts: int, positions: list[int], seed: int) -> pd.DataFrame:
    """Read-outs after every block, and the model's predictions, beside algorithms of every number of steps."""
    from iclab.inspect import nearest_steps, read_out

    predictor, prompts = _opened(model, n_prompts, positions, seed)
    tables = {
        "readouts": nearest_steps(read_out(predictor, prompts), prompts, positions=positions),
        "answers": nearest_steps(predictor(prompts)[None], prompts, positions=positions),
    }
    return several(tables, model=model)


def probes_of(
    model: str, n_prompts: int, positions: list[int], seed: int, targets: list[str], untrained: bool
) -> pd.DataFrame:
    """Ridge probes from the stream to quantities of the prompt."""
    from iclab.inspect import probe

    predictor, prompts = _opened(model, n_prompts, positions, seed)
    found = probe(predictor, prompts, targets, positions=positions, untrained=untrained)
    return found.rename(columns={"model": "weights"}).assign(table="probes", model=model)


def measures_of(model: str, n_prompts: int, positions: list[int], seed: int) -> pd.DataFrame:
    """One step of descent beside the model, and its weights beside multiples of the identity."""
    from iclab.inspect import compare_with_descent, products_and_identity

    predictor, prompts = _opened(model, n_prompts, positions, seed)
    descent = compare_with_descent(predictor, prompts)
    tables: dict[str, pd.DataFrame] = {
        "descent": descent[descent["position"].isin(positions)],
        "products": products_and_identity(predictor),
    }
    return several(tables, model=model)


def best(rows: pd.DataFrame, algorithm: str) -> pd.DataFrame:
    """The nearest setting of one family: model, block, setting, distance, stderr."""
    return where(rows, algorithm=algorithm, nearest=True)


def by_model(rows: pd.DataFrame, test: Callable[[pd.DataFrame], float]) -> dict[str, float]:
    """One number for each model."""
    return {str(model): float(test(group)) for model, group in rows.groupby("model", sort=False)}
