"""What a user of a trained model should know, as numbers and as a page, made from its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from iclab import __version__
from iclab.evaluation import Suite, compare
from iclab.foundations import plus_minus
from iclab.predictors import LeastSquares, Predictor, Ridge
from iclab.prompts.labels import REAL
from iclab.training.linting import duration, lint
from iclab.training.reporting import reference_of, scale_of

if TYPE_CHECKING:
    import pandas as pd

    from iclab.training.config import TrainingConfig
    from iclab.training.run import Run

# The row of an evaluation that is the run's own prompts rather than a shift of a suite.
OWN_LAW = "own law"
# Squares of rounding errors lie below.
_ZERO = 1e-20
_TARGETS = {
    "labels": "the labels themselves",
    "posterior_mean": "Rao-Blackwell targets: the exact posterior mean of each label given the examples before it, "
    "which has the same expected gradient as the labels and less noise",
}
_TOKENS = {"interleaved": "inputs and labels as tokens in turn", "stacked": "columns of an input and its label"}


def card_of(run: Run) -> dict[str, Any]:
    """How a model was trained, towards what, how long, and how well it did on held-out prompts."""
    losses = [line for line in run.metrics if "loss" in line]
    evaluations = [line for line in run.metrics if "error" in line]
    spent = losses[-1] if losses else {}
    return {
        "iclab": __version__,
        "steps": run.step,
        "targets": run.config.targets,
        "seconds": spent.get("seconds"),
        "cpu_seconds": spent.get("cpu_seconds"),
        "device": run.device,
        "config": run.config.as_dict(),
        "evaluation": evaluations[-1] if evaluations else None,
    }


def judge(
    run: Run,
    suite: str,
    *,
    n_prompts: int = 1280,
    seed: int = 0,
    half: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Errors of a run's model and of least squares on the run's own law and under every shift of a suite.

    If the run's labels are noisy, ridge with the noise's variance stands beside them on its own law: Bayes for
    w ~ N(0, I). A suite has real labels: a model of others is judged on its own law alone, one of classes by
    cross-entropy and without least squares.

    Parameters
    ----------
    run : Run
        With a checkpoint.
    suite : str
        Name of a suite, such as "garg".
    n_prompts, seed : int
        Prompts per law, the same for both predictors, and their seed.
    half : bool
        Whether the weights are rounded to half precision.
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
        If there is no such suite, or no checkpoint yet.
    """
    import pandas as pd

    config = run.config
    predictors: dict[str, Predictor] = {"model": run.predictor(half=half)}
    if config.model.labels.kind != "class":
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
    if config.model.labels != REAL:
        return own
    members = Suite.named(suite, config.model.dimension)
    shifted = members.run(predictors, config.n_points, n_prompts=n_prompts, seed=seed, progress=progress)
    return pd.concat([own, shifted.drop(columns="zero")], ignore_index=True)


def page_of(run: Run, name: str, table: pd.DataFrame | None = None) -> str:
    """The model card in Markdown.

    Parameters
    ----------
    run : Run
        With a checkpoint and at least one evaluation.
    name : str
        Of the model: that of its folder.
    table : pandas.DataFrame, optional
        What ``judge`` returned; the errors of the run's last evaluation are shown when omitted.
    """
    config, facts = run.config, card_of(run)
    model = run.predictor().model
    parts = [
        f"# {name}",
        f"{_model(config, model.n_parameters)} that learns in context: {_problem(config)}, without any change of its "
        "weights.",
        "## How it was trained",
        _training(run, facts),
        "Prompts:",
        f"```yaml\n{yaml.safe_dump(_given(config.as_dict()['prompts']), sort_keys=False).strip()}\n```",
        "`config.yaml` beside this page is the whole configuration; `iclab train config.yaml` trains the model "
        "again, from the same prompts. `metrics.jsonl` holds its losses and held-out errors.",
        "## How well it does",
    ]
    if table is None:
        parts += _held_out(facts["evaluation"], config)
    else:
        parts += _own_law(table, scale_of(config)[1])
        parts += _suite(table, config.model.dimension) if config.model.labels == REAL else []
    remarks = lint(config)
    if remarks:
        parts += ["## Limits", "\n".join(f"- {remark}" for remark in remarks)]
    parts += ["## How to use it", _usage(name, config, facts["iclab"])]
    return "\n\n".join(parts) + "\n"


def _model(config: TrainingConfig, n_parameters: int) -> str:
    model = config.model
    mixers = f"{model.attention} attention" if not model.mixers else f"mixers {', '.join(model.mixers)} in turn"
    reading = _TOKENS[model.embedding] if model.dimension else "labels as tokens"
    return (
        f"A transformer of {n_parameters / 1e6:.3g} million parameters ({model.layers} layers, width {model.width}, "
        f"{model.heads} heads, {mixers}, {model.positions} positions, reading {reading})"
    )


def _problem(config: TrainingConfig) -> str:
    model = config.model
    kind, size = model.labels.kind, model.outputs
    if not model.dimension:
        following = f"one of {size}" if kind == "class" else f"of {size} numbers"
        return f"from up to {config.n_train} labels it predicts the next, {following}"
    what = {"real": "the label", "vector": f"the {size} labels", "class": f"the class, one of {size},"}[kind]
    return (
        f"from up to {config.n_train} labelled examples in {model.dimension} dimensions it predicts {what} of a query"
    )


def _training(run: Run, facts: Mapping[str, Any]) -> str:
    config = run.config
    optimizer, step = config.optimizer, facts["steps"]
    rate = f"rate {optimizer.learning_rate:g}"
    if optimizer.kind == "muon":
        rate = f"rate {optimizer.matrix_learning_rate or optimizer.learning_rate:g} on the blocks' matrices, AdamW "
        rate += f"{optimizer.learning_rate:g} on the rest"
    length = f"{step:,} steps" if step >= config.steps else f"{step:,} of {config.steps:,} steps (stopped there)"
    time = "not recorded" if facts["seconds"] is None else duration(facts["seconds"])
    if facts["cpu_seconds"] is not None:
        time += f" ({duration(facts['cpu_seconds'])} of CPU time)"
    if facts["device"] not in (None, "cpu"):
        time += f" on one {facts['device']}"
    lines = [
        f"- Fitted to {_TARGETS[config.targets]}.",
        f"- Context length N = {config.n_train}, d = {config.model.dimension}, loss over "
        f"{'all positions' if config.loss == 'all' else 'the query only'}.",
        f"- {length} of {config.batch_size} prompts ({step * config.batch_size:,} prompts), seed {config.seed}.",
        f"- {optimizer.kind.capitalize()}, {rate}; warm-up {config.schedule.warmup} steps, "
        + (
            f"{config.schedule.shape} decay over the last {config.schedule.decay:.0%}"
            if config.schedule.decay
            else "no decay"
        )
        + f"; {_precision(config)}.",
        f"- Time: {time}.",
    ]
    return "\n".join(lines)


def _precision(config: TrainingConfig) -> str:
    matrix = config.optimizer.matrix_precision
    if config.optimizer.kind != "muon" or matrix == config.precision:
        return config.precision
    return f"{config.precision}, Newton-Schulz in {matrix}"


def _held_out(line: Mapping[str, Any] | None, config: TrainingConfig) -> list[str]:
    if line is None:
        return ["It was never evaluated."]
    (scale, error), name = scale_of(config), reference_of(config.model.labels)
    columns = ["error", "stderr", *([name] if name in line else [])]
    rows = zip(*(line[column] for column in columns), strict=True)
    titles = ("examples", "model", "standard error", name.replace("_", " "))
    return [
        f"{error.capitalize()} by number of examples, on {config.n_evaluation} held-out prompts of its own law (seed "
        f"{config.seed}, step {line['step']:,}), with standard errors:",
        _table(
            titles[: len(columns) + 1],
            ((str(i), *(_number(value / scale) for value in row)) for i, row in enumerate(rows)),
        ),
    ]


def _own_law(table: pd.DataFrame, error: str) -> list[str]:
    own = table[table["distribution"] == OWN_LAW]
    by_predictor = {str(name): rows.sort_values("position") for name, rows in own.groupby("predictor", sort=False)}
    model = by_predictor.pop("model")
    scale = model["normaliser"].iloc[0]
    columns = [
        model["position"].map(str),
        (model["mean"] / scale).map(_number),
        (model["stderr"] / scale).map("{:.2g}".format),
        *((rows["mean"] / scale).map(_number) for rows in by_predictor.values()),
    ]
    divided = "" if scale == 1 else f" / {scale:g}"
    return [
        f"{error.removesuffix(' / d').capitalize()}{divided} by number of examples on its own law, "
        f"{int(model['n'].iloc[0])} prompts, with standard errors:",
        _table(
            ("examples", "model", "standard error", *(name.replace("_", " ") for name in by_predictor)),
            zip(*columns, strict=True),
        ),
    ]


def _suite(table: pd.DataFrame, dimension: int) -> list[str]:
    shifted = table[table["distribution"] != OWN_LAW]
    rows: list[tuple[str, ...]] = []
    for shift, group in shifted.groupby("distribution", sort=False):
        last = group["position"].max()
        for position in sorted({p for p in (dimension // 2, dimension, 2 * dimension, last) if p <= last}):
            at = group[group["position"] == position].set_index("predictor")
            mean, bar = at["mean"] / at["normaliser"], at["stderr"] / at["normaliser"]
            cells = (_measured(mean[name], bar[name]) for name in ("model", "least_squares"))
            rows.append((str(shift), str(position), *cells))
    return [
        f"Under the shifts of a suite whose base is x ~ N(0, I), error / d ± standard error, the same "
        f"{int(shifted['n'].iloc[0])} prompts for both (`evaluation.csv` has every position):",
        _table(("shift", "examples", "model", "least squares"), rows),
    ]


def _usage(name: str, config: TrainingConfig, version: str) -> str:
    real = config.model.labels == REAL
    estimator = (
        ">>> from iclab.estimators import InContextRegressor\n"
        f'>>> regressor = InContextRegressor(model="{name}")  # fit(X, y), predict(X), as in scikit-learn\n'
    )
    return "\n\n".join(
        [
            f"With iclab {version} and its extra `train`; a model that does not ship with the package is loaded by "
            "the path of its folder.",
            "```python\n"
            ">>> from iclab.models import load\n"
            f'>>> predictor = load("{name}")                     # maps prompts to predictions at every position\n'
            ">>> predictor.architecture.dimension\n"
            f"{config.model.dimension}\n" + (estimator if real else "") + "\n```",
            *([f"```sh\niclab evaluate {name} --suite garg\n```"] if real else []),
        ]
    )


def _given(data: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data without what was left open."""
    return {
        key: _given(value) if isinstance(value, Mapping) else value for key, value in data.items() if value is not None
    }


def _number(value: float) -> str:
    """Three digits; squares of rounding errors are 0."""
    return "0" if abs(value) < _ZERO else f"{value:.3g}"


def _measured(value: float, error: float) -> str:
    return "0" if abs(value) < _ZERO else plus_minus(value, error)


def _table(columns: tuple[str, ...], rows: Any) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
