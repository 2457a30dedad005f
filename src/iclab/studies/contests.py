"""Models trained on problems, a few seeds each, and judged beside references on the same prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from iclab.evaluation import compare
from iclab.foundations import InvalidInputError, mean_interval
from iclab.models import load
from iclab.predictors import Predictor, bayes_predictor, predictor
from iclab.studies.lab import Lab
from iclab.studies.store import Unit
from iclab.studies.study import Answer, Number, tally
from iclab.studies.trainings import Job, Trained, TrainingSettings, trained
from iclab.training import TrainingConfig, preset

BAYES, MODEL = "bayes", "model"
# Fields of ``preset`` that are no overrides.
_SIZES = ("dimension", "n_train", "max_points")
# Columns that a contest and a board have without a case, too.
_ERRORS = ("predictor", "position", "mean", "stderr", "n", "training_seed", "case")
_BOARD = ("case", "predictor", "score", "score_low", "score_high", "stderr")


def with_dimension(prompts: Mapping[str, Any], dimension: int) -> dict[str, Any]:
    """Prompts of a configuration in which "d" stands for the dimension."""
    return {
        key: {name: dimension if value == "d" else value for name, value in part.items()}
        if isinstance(part, Mapping)
        else part
        for key, part in prompts.items()
    }


def job_of(case: str, change: Mapping[str, Any], seed: int, lab: Lab) -> Job:
    """The training of a case with one seed: the preset ``tiny``, and what the case changes."""
    sizes = {key: change[key] for key in _SIZES if key in change}
    config = preset("tiny", **sizes, **{k: v for k, v in change.items() if k not in _SIZES}, seed=seed)
    safe = "".join(character if character.isalnum() else "-" for character in case)
    return lab.job(f"{case}, seed {seed}", f"{safe}-seed{seed}", config)


def jobs_of(cases: Mapping[str, Mapping[str, Any]], settings: TrainingSettings, lab: Lab) -> dict[tuple[str, int], Job]:
    """The trainings of every case with every seed, by both."""
    return {(case, s): job_of(case, change, s, lab) for case, change in cases.items() for s in settings.training_seeds}


def contest(
    cases: Mapping[str, Mapping[str, Any]],
    beside: Mapping[str, Sequence[str]],
    settings: TrainingSettings,
    lab: Lab,
    points: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Train every case with every seed, and judge all on prompts of their own law.

    Parameters
    ----------
    cases : mapping
        Name to what the case changes of the preset ``tiny``.
    beside : mapping
        Name of the case to what stands beside it: ``bayes`` for the exact predictor, names of classical learners.
    settings : TrainingSettings
        Seeds of the trainings, and of how many test prompts.
    lab : Lab
        Where it is done.
    points : mapping, optional
        Positions on which a case is judged; N + 1 of the training when omitted.

    Returns
    -------
    DataFrame
        Columns case, predictor ("model" or a reference), training_seed (−1 for references), position, mean (of the
        score of the labels), stderr, n.
    """
    if not cases:
        return pd.DataFrame(columns=list(_ERRORS))
    seeds = settings.training_seeds
    jobs = jobs_of(cases, settings, lab)
    lab.train(list(jobs.values()))
    units = [
        Unit(
            judge,
            {
                "models": {str(s): trained(jobs[case, s]) for s in seeds},
                "beside": list(beside.get(case, ())),
                "points": (points or {}).get(case, jobs[case, seeds[0]].config.n_train + 1),
                "n_prompts": settings.n_prompts,
                "seed": settings.seed,
            },
            case,
            {"case": case},
        )
        for case in cases
    ]
    return lab.rows(units, "judging")


def judge(models: Mapping[str, Trained], beside: Sequence[str], points: int, n_prompts: int, seed: int) -> pd.DataFrame:
    """Scores by position of models that differ in their training seed, and of references, on the same prompts."""
    config = next(iter(models.values())).config
    law = config.prompts.build()
    named: dict[str, Predictor] = {f"{MODEL} {name}": load(model.path) for name, model in models.items()}
    named |= {name: reference(name, law, config) for name in beside}
    table = compare(named, {"": law}, points, n_prompts=n_prompts, seed=seed).drop(columns="distribution")
    who = table["predictor"].str.partition(" ")
    model = who[0] == MODEL
    return table.assign(
        predictor=np.where(model, MODEL, table["predictor"]),
        training_seed=np.where(model, who[2], "-1").astype(int),
    )


def reference(name: str, law: Any, config: TrainingConfig) -> Predictor:
    """Who stands beside a model: the exact predictor of its law for ``BAYES``, else a classical learner by name."""
    return bayes_predictor(law) if name == BAYES else predictor(name, law.dimension, config.n_train)


def final(errors: pd.DataFrame, case: str, position: int | None = None) -> dict[str, Number]:
    """Scores of a case at one position, the last when omitted: of the model, over training seeds, and of references."""
    rows = errors[errors["case"] == case]
    if rows.empty:
        raise InvalidInputError(f"a case must be among those that were measured; {case!r} is not.")
    rows = rows[rows["position"] == (rows["position"].max() if position is None else position)]
    found: dict[str, Number] = {}
    for name, group in rows.groupby("predictor", sort=False):
        if name == MODEL:
            found[MODEL] = over_seeds(group["mean"].to_numpy(float))
        else:
            row = group.iloc[0]
            found[str(name)] = Number(float(row["mean"]), stderr=float(row["stderr"]))
    return found


def over_seeds(values: np.ndarray) -> Number:
    """The geometric mean of positive scores over training seeds, with Student's 95 % interval of the logarithm."""
    logs = np.log(np.maximum(values, 1e-300))
    if len(logs) < 2:
        return Number(float(np.exp(logs.mean())))
    interval = mean_interval(logs)
    return Number(float(np.exp(logs.mean())), float(np.exp(interval.low)), float(np.exp(interval.high)))


def board(errors: pd.DataFrame, cases: Mapping[str, Mapping[str, str]], described: Sequence[str]) -> pd.DataFrame:
    """Scores at the last position: one row for each case and predictor, with what describes the case.

    Parameters
    ----------
    errors : DataFrame
        Of ``contest``.
    cases : mapping
        Name of the case to its values of the columns that describe it.
    described : sequence of str
        Names of these columns.
    """
    rows: list[dict[str, Any]] = []
    for case, labels in cases.items():
        for name, number in final(errors, case).items():
            interval = {"score_low": number.low, "score_high": number.high, "stderr": number.stderr}
            rows.append({**labels, "case": case, "predictor": name, "score": number.value, **interval})
    return pd.DataFrame(rows, columns=[*described, *_BOARD])


def scores(rows: pd.DataFrame) -> dict[str, Number]:
    """Rows of a board as numbers, by predictor."""
    records = rows.to_dict("records")
    return {
        str(row["predictor"]): Number(
            float(row["score"]), float(row["score_low"]), float(row["score_high"]), float(row["stderr"])
        )
        for row in records
    }


def empty(errors: pd.DataFrame, case: str) -> float:
    """The model's mean score of an empty context."""
    rows = errors[(errors["case"] == case) & (errors["position"] == 0) & (errors["predictor"] == MODEL)]
    return float(rows["mean"].mean())


def hold(numbers: Mapping[str, Number], line: float, *, above: bool) -> Answer:
    """Hold the intervals of numbers against a line; what has no interval, as with one training seed, is undecided."""
    over = sum(number.low > line for number in numbers.values())
    under = sum(number.high <= line for number in numbers.values())
    met, missed = (over, under) if above else (under, over)
    return tally(met, missed, len(numbers) - over - under, **numbers)


def scaled(number: Number, base: float, unit: float) -> Number:
    """A number less a base, over a unit."""
    return Number(*((end - base) / unit for end in (number.value, number.low, number.high)))
