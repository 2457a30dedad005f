"""Changed labels and inputs that force a prediction (Anwar et al. 2024): how large, where, and whom else they fool.

Exact for learners that are affine in the labels, by gradients for the models that ship with the package; the transfer
of attacks among all of them; and what training on attacked prompts gains and costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.special import bdtrik

from iclab.foundations import Vector, wilson_interval
from iclab.prompts.specification import plain, validated
from iclab.studies.hijacking import exact
from iclab.studies.hijacking.gradients import attack_model, hardened_errors, moved_by
from iclab.studies.lab import Lab
from iclab.studies.rows import where
from iclab.studies.store import Unit
from iclab.studies.trainings import Job, shipped, trained
from iclab.training import TrainingConfig, preset

TITLE = "Hijacking: labels that force a prediction"
# Shipped models have 20 dimensions.
DIMENSION = 20
# An attack on one learner has fooled another if it moves it by this part of the wanted change.
FOOLED = 0.5
_HARDENED = "iclab.studies.hijacking.hardened:Hardened"


@dataclass(frozen=True)
class Settings:
    """Sizes of the study.

    Attributes
    ----------
    m : int
        Examples in a prompt of the attacks.
    n_exact : int
        Prompts on which sizes are solved for.
    models : tuple of str, optional
        Shipped models that are attacked; all of them when omitted.
    n_prompts, n_steps : int
        Prompts on which models are attacked and transfer is measured, and steps of an attack.
    hard_dimension, hard_n_train : int
        d and N of the models that are trained on attacked prompts.
    preset : str
        Their training preset.
    overrides : dict
        Fields of the preset that this profile changes.
    budgets : tuple of float
        Largest norms of the change of a prompt's labels in training; 0 must be first.
    test_budgets : tuple of float
        At test.
    ascent : int
        Steps of the attacker in training.
    n_hard, hard_steps : int
        Prompts, and steps of the attacker, at test.
    seed : int
        Of prompts and trainings.
    """

    m: Annotated[int, Field(ge=2)] = 40
    n_exact: Annotated[int, Field(ge=2)] = 100
    models: tuple[str, ...] | None = None
    n_prompts: Annotated[int, Field(ge=4)] = 40
    n_steps: Annotated[int, Field(ge=1)] = 12
    hard_dimension: Annotated[int, Field(ge=1)] = 5
    hard_n_train: Annotated[int, Field(ge=1)] = 10
    preset: str = "tiny"
    overrides: Mapping[str, Any] = field(default_factory=lambda: {"steps": 1000, "model": {"embedding": "stacked"}})
    budgets: tuple[float, ...] = (0.0, 1.0, 2.0)
    test_budgets: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 4.0)
    ascent: Annotated[int, Field(ge=1)] = 1
    n_hard: Annotated[int, Field(ge=2)] = 400
    hard_steps: Annotated[int, Field(ge=1)] = 12
    seed: Annotated[int, Field(ge=0)] = 0


def measure(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Attack, transfer, harden.

    Returns
    -------
    dict of DataFrame
        ``numbers``: learner, labels, size_l2, size_max; ``positions``: learner, position, size (of the one label there;
        to first order for models); ``inputs``: learner, changed, size, reached, n; ``attacks``: learner, trained, kind
        (one label or all), reached with ends, size, ratio (to that of least squares, median) with ends, n;
        ``transfer``: source, target, trained pair, kind, moved (median), fooled with ends, n; ``layers``,
        ``squares``, ``hardened``: see the functions that make them.
    """
    m, known = settings.m, {model.path.name: model for model in shipped()}
    names = list(known) if settings.models is None else list(settings.models)
    shape, seed = {"dimension": DIMENSION, "m": m}, {"seed": settings.seed}
    sample, steps = {**shape, **seed, "n_prompts": settings.n_prompts}, {"n_steps": settings.n_steps}
    exactly = {**shape, **seed, "n_prompts": settings.n_exact}
    units = [Unit(exact.sizes, {"name": name, **exactly}, f"sizes, {name}") for name in exact.CLASSICAL]
    tables = lab.named_tables(units, "exact attacks")
    attacks: dict[str, tuple[Any, Mapping[str, Any]]] = {name: (exact.attack_classical, {}) for name in exact.CLASSICAL}
    attacks |= {name: (attack_model, {"model": known[name], **steps}) for name in names}
    units = [Unit(how, {"name": x, **sample, **given}, f"attacks on {x}") for x, (how, given) in attacks.items()]
    found = dict(zip(attacks, lab.tables(units, "gradient attacks"), strict=True))
    labels = {
        f"{name} {kind}": rows[[f"y{j}" for j in range(m)]].to_numpy().tolist()
        for name, whole in found.items()
        for kind, rows in whole.groupby("kind")
    }
    units = [
        Unit(moved_by, {"target": known.get(name, name), "attacks": labels, **sample}, f"transfer to {name}")
        for name in found
    ]
    moved = dict(zip(found, lab.tables(units, "transfer"), strict=True))
    first = [first_order(name, found[name], m) for name in names]
    return {
        "numbers": tables["numbers"],
        "positions": pd.concat([tables["positions"], *first], ignore_index=True),
        "inputs": tables["inputs"],
        "attacks": summaries(found),
        "transfer": transfer(found, moved),
        **hardened(settings, lab),
    }


def hardened(settings: Settings, lab: Lab) -> dict[str, pd.DataFrame]:
    """Train on attacked prompts, and attack what was trained."""
    d, n = settings.hard_dimension, settings.hard_n_train
    jobs = {budget: job(budget, settings, lab) for budget in settings.budgets}
    lab.train(list(jobs.values()))
    tests = {"budgets": settings.test_budgets, "dimension": d, "n_prompts": settings.n_hard, "seed": settings.seed}
    models = {f"{budget:g}": trained(one) for budget, one in jobs.items()}
    hard = {"models": models, "m": n, "n_steps": settings.hard_steps}
    return {
        "layers": exact.exact_layers(d, n, settings.test_budgets),
        "squares": lab.table(exact.squares_under_attack, "least squares under attack", m=n, **tests),
        "hardened": lab.table(hardened_errors, "hardened models under attack", **hard, **tests),
    }


def job(budget: float, settings: Settings, lab: Lab) -> Job:
    """A training whose labels are attacked with this budget; with budget 0 the same module, unattacked."""
    sizes = {"dimension": settings.hard_dimension, "n_train": settings.hard_n_train, "seed": settings.seed}
    base = preset(settings.preset, **{**sizes, **settings.overrides})
    arguments = {"budget": budget, "ascent": settings.ascent, **plain(base.model)}
    data = base.as_dict() | {"model": {"kind": "own", "object": _HARDENED, "arguments": arguments}}
    config = validated(TrainingConfig, data, f"the preset {settings.preset}", allow_code=[_HARDENED])
    return lab.job(
        f"budget {budget:g}, seed {settings.seed}", f"hijacking-budget{budget:g}-seed{settings.seed}", config
    )


def first_order(name: str, rows: pd.DataFrame, m: int) -> pd.DataFrame:
    """Sizes of one-label attacks by position, from the gradient at the prompt as it is."""
    slopes = where(rows, kind="all")[[f"slope{j}" for j in range(m)]].abs().to_numpy()
    return pd.DataFrame({"position": np.arange(m), "size": np.median(1 / slopes, axis=0), "learner": name})


def summaries(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Per learner and kind: how often the target is reached, at what size, and at which part of least squares' size."""
    rows = []
    for name, whole in found.items():
        for kind, one in whole.groupby("kind", sort=False):
            reached, size = (one["moved"] - 1).abs() <= exact.REACHED, one["size"].to_numpy()
            ratio = size / where(found[exact.LEAST_SQUARES], kind=kind)["size"].to_numpy()
            row = {"learner": name, "trained": name not in exact.CLASSICAL, "kind": kind, "n": len(one)}
            row |= _share("reached", reached)
            row |= {"size": np.median(size[reached]) / math.sqrt(DIMENSION) if reached.any() else np.nan}
            # A target that is not reached takes more than was tried.
            rows.append(row | _median("ratio", np.where(reached, ratio, np.inf)))
    return pd.DataFrame(rows)


def _share(name: str, cases: pd.Series[bool]) -> dict[str, Any]:
    """A share with Wilson's 95 % interval."""
    low, high = wilson_interval(int(cases.sum()), len(cases))
    return {name: cases.mean(), f"{name}_low": low, f"{name}_high": high}


def _median(name: str, values: Vector) -> dict[str, Any]:
    """A median with its 95 % interval from order statistics."""
    ordered = np.concatenate([[-np.inf], np.sort(values), [np.inf]])
    low, high = (int(np.ceil(bdtrik(level, len(values), 0.5))) for level in (0.025, 0.975))
    return {name: float(np.median(values)), f"{name}_low": ordered[low], f"{name}_high": ordered[high + 1]}


def transfer(found: Mapping[str, pd.DataFrame], moved: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Of every source's attacks on every target: how far it is moved, over what was wanted."""
    rows = []
    for source, whole in found.items():
        for kind, one in whole.groupby("kind", sort=False):
            for target, changes in moved.items():
                change = where(changes, attack=f"{source} {kind}")["change"].to_numpy()
                share = change / one["wanted"]
                row = {"source": source, "target": target, "kind": kind, "moved": share.median()}
                rows.append({**row, **_share("fooled", share >= FOOLED), "n": len(share)})
    return pd.DataFrame(rows)
