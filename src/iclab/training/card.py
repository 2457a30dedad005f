"""What a user of a trained model should know, as numbers and as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from iclab import __version__
from iclab.evaluation import Suite, compare
from iclab.foundations import plus_minus
from iclab.predictors import LeastSquares, Predictor, Ridge
from iclab.prompts.labels import REAL
from iclab.training.config import TrainingConfig
from iclab.training.cost import duration
from iclab.training.linting import lint
from iclab.training.reporting import reference_of, scale_of

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment

    from iclab.models import Architecture

# The row of an evaluation that is the training prompts' distribution rather than a shift of a suite.
OWN_LAW = "own law"
# Squares of rounding errors lie below.
_ZERO = 1e-20


def card_of(
    config: TrainingConfig, step: int, metrics: Sequence[Mapping[str, Any]], device: str | None
) -> dict[str, Any]:
    """How a model was trained, towards what, how long, and how well it did on held-out prompts.

    Parameters
    ----------
    config : TrainingConfig
        As trained.
    step : int
        Steps done.
    metrics : sequence of mapping
        Lines of ``metrics.jsonl``.
    device : str, optional
        What it ran on.
    """
    losses = [line for line in metrics if "loss" in line]
    evaluations = [line for line in metrics if "error" in line]
    spent = losses[-1] if losses else {}
    return {
        "iclab": __version__,
        "steps": step,
        "targets": config.targets,
        "seconds": spent.get("seconds"),
        "cpu_seconds": spent.get("cpu_seconds"),
        "device": device,
        "config": config.as_dict(),
        "changed": sorted({name for line in losses for name in line.get("changed", ())}),
        "evaluation": evaluations[-1] if evaluations else None,
    }


def judge(
    model: Predictor,
    config: TrainingConfig,
    suite: str,
    *,
    n_prompts: int = 1280,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Errors of a trained model and of least squares on the law it was trained on and under every shift of a suite.

    If its labels are noisy, ridge with the noise's variance stands beside them on its own law: Bayes for
    w ~ N(0, I). A suite has real labels: a model of others is judged on its own law alone, one of classes by
    cross-entropy and without least squares.

    Parameters
    ----------
    model : Predictor
        The trained model.
    config : TrainingConfig
        How it was trained.
    suite : str
        Name of a suite, such as "garg".
    n_prompts, seed : int
        Prompts per law, the same for both predictors, and their seed.
    progress : callable, optional
        Called with (law, prompts done, prompts in all).

    Returns
    -------
    pandas.DataFrame
        Columns predictor ("model", "least_squares" or "ridge"), distribution ("own law" or a shift), position, mean,
        stderr, n and normaliser; errors are raw squares.

    Raises
    ------
    InvalidInputError
        If there is no such suite.
    """
    import pandas as pd

    members = Suite.named(suite, config.architecture.dimension) if config.architecture.labels == REAL else None
    predictors: dict[str, Predictor] = {"model": model}
    if config.architecture.labels.kind != "class":
        predictors["least_squares"] = LeastSquares()
    noise = config.noise
    own = compare(
        {**predictors, "ridge": Ridge(noise**2)} if noise else predictors,
        {OWN_LAW: config.prompts.build()},
        config.n_points,
        n_prompts=n_prompts,
        seed=seed,
        progress=progress,
    ).assign(normaliser=float(scale_of(config)[0]))
    if members is None:
        return own
    shifted = members.run(predictors, config.n_points, n_prompts=n_prompts, seed=seed, progress=progress)
    return pd.concat([own, shifted.drop(columns=["zero", "score"])], ignore_index=True)


def page_of(
    name: str,
    config: TrainingConfig,
    card: Mapping[str, Any],
    n_parameters: int,
    table: pd.DataFrame | None = None,
    *,
    licence: str | None = None,
) -> str:
    """The model card in Markdown.

    Parameters
    ----------
    name : str
        Of the model: that of its folder.
    config : TrainingConfig
        As trained.
    card : mapping
        What ``card_of`` returned.
    n_parameters : int
        Trainable numbers of the model.
    table : pandas.DataFrame, optional
        What ``judge`` returned; the errors of the last evaluation while training are shown when omitted.
    licence : str, optional
        Of the weights, as Hugging Face calls it; the card is then that of a Hugging Face folder.
    """
    scale, error = scale_of(config)
    page = _environment().get_template("card.md.j2" if licence is None else "hub_card.md.j2")
    return page.render(
        name=name,
        licence=licence,
        config=config,
        model=config.architecture,
        card={"changed": [], **card},  # cards of before did not have it
        n_parameters=n_parameters,
        prompts=yaml.safe_dump(_without_none(config.as_dict()["prompts"]), sort_keys=False).strip(),
        labels=config.architecture.labels.kind,
        error=error,
        evaluated=None if table is None else _evaluated(table, config.architecture.dimension),
        held_out=None if card["evaluation"] is None else _held_out(card["evaluation"], config, scale),
        limits=lint(config),
    )


def bare_page_of(name: str, architecture: Architecture, n_parameters: int, licence: str) -> str:
    """The card of a Hugging Face folder whose model's training is not known."""
    page = _environment().get_template("hub_card.md.j2")
    return page.render(name=name, model=architecture, n_parameters=n_parameters, licence=licence, config=None)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # for cards alone

    environment = Environment(
        loader=PackageLoader("iclab.training", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"digits": "{:.3g}".format, "duration": duration}
    return environment


def _held_out(line: Mapping[str, Any], config: TrainingConfig, scale: float) -> str:
    reference = reference_of(config.architecture.labels)
    columns = {"error": "model", "stderr": "standard error", reference: reference.replace("_", " ")}
    columns = {column: title for column, title in columns.items() if column in line}
    rows = zip(*(line[column] for column in columns), strict=True)
    return _table(
        ("examples", *columns.values()),
        ((str(i), *(_number(value / scale) for value in row)) for i, row in enumerate(rows)),
    )


def _evaluated(table: pd.DataFrame, dimension: int) -> dict[str, Any]:
    """Errors on the training law and, for real labels, under the shifts, as tables, and how they were measured."""
    is_own = table["distribution"] == OWN_LAW
    model = table[is_own & (table["predictor"] == "model")]
    scale = float(model["normaliser"].iloc[0])
    measured = {"scale": scale, "n_own": int(model["n"].iloc[0]), "own": _by_position(table[is_own], scale)}
    if is_own.all():
        return {**measured, "shifted": None}
    return {
        **measured,
        "n_shifted": int(table[~is_own]["n"].iloc[0]),
        "shifted": _by_shift(table[~is_own], dimension),
    }


def _by_position(table: pd.DataFrame, scale: float) -> str:
    by_predictor = {str(name): rows.sort_values("position") for name, rows in table.groupby("predictor", sort=False)}
    model = by_predictor.pop("model")
    columns = [
        model["position"].map(str),
        (model["mean"] / scale).map(_number),
        (model["stderr"] / scale).map("{:.2g}".format),
        *((rows["mean"] / scale).map(_number) for rows in by_predictor.values()),
    ]
    names = (name.replace("_", " ") for name in by_predictor)
    return _table(("examples", "model", "standard error", *names), zip(*columns, strict=True))


def _by_shift(table: pd.DataFrame, dimension: int) -> str:
    rows: list[tuple[str, ...]] = []
    for shift, group in table.groupby("distribution", sort=False):
        last = group["position"].max()
        for position in sorted({p for p in (dimension // 2, dimension, 2 * dimension, last) if p <= last}):
            at = group[group["position"] == position].set_index("predictor")
            mean, bar = at["mean"] / at["normaliser"], at["stderr"] / at["normaliser"]
            cells = (_measured(mean[name], bar[name]) for name in ("model", "least_squares"))
            rows.append((str(shift), str(position), *cells))
    return _table(("shift", "examples", "model", "least squares"), rows)


def _without_none(data: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data without what was left open."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in data.items()
        if value is not None
    }


def _number(value: float) -> str:
    """Three digits; squares of rounding errors are 0."""
    return "0" if abs(value) < _ZERO else f"{value:.3g}"


def _measured(value: float, error: float) -> str:
    return "0" if abs(value) < _ZERO else plus_minus(value, error)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
