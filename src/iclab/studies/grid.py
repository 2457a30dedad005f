"""A grid: a base configuration with axes; every cell of it is one training with its measurements.

Cells are kept as runs and units like all other work: a sweep that was interrupted goes on, and one whose axes have
grown trains the new cells alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from iclab.evaluation import compare
from iclab.foundations import InvalidInputError, check_choice, check_integer, read_json, write_json
from iclab.models import load
from iclab.predictors import REGISTRY, Predictor, bayes_predictor, predictor
from iclab.prompts import shift
from iclab.prompts.reading import allowed_code
from iclab.studies.lab import Lab
from iclab.studies.store import Unit
from iclab.studies.study import plain
from iclab.studies.trainings import Job, Trained, digest, train_each, trained
from iclab.training import TrainingConfig, read_config
from iclab.training.reading import parse_value, stated

if TYPE_CHECKING:
    from iclab.training.cost import Cost

_MARKER = "sweep.json"
# A range of whole numbers, both ends included: 0..4.
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
# More cells than this are a slip of the hand.
_LARGEST = 100_000
STANDARD, BAYES = "standard", "bayes"


@dataclass(frozen=True)
class Cell:
    """One training of a grid.

    Attributes
    ----------
    axes : mapping
        Axis to its value here.
    config : TrainingConfig
        What is trained.
    """

    axes: Mapping[str, Any]
    config: TrainingConfig

    @property
    def name(self) -> str:
        """Of its run: the values, and a digest of the configuration."""
        words = "-".join(f"{key.rpartition('.')[2]}={value}" for key, value in self.axes.items())
        safe = "".join(letter if letter.isalnum() or letter in "=.-" else "_" for letter in words)[:80]
        return f"{safe}-{digest(self.config.as_dict())}"


@dataclass(frozen=True)
class Grid:
    """A base configuration and axes.

    Attributes
    ----------
    base : Path, str or mapping
        A configuration as ``read_config`` takes it.
    axes : mapping
        Dotted key of the configuration to the values it takes.
    changes : mapping
        Dotted keys that have another value in every cell.
    allow_code : bool
        Whether code of your own that the configuration names may run (docs/security.md).
    """

    base: Path | str | Mapping[str, Any]
    axes: Mapping[str, Sequence[Any]]
    changes: Mapping[str, Any] = field(default_factory=dict)
    allow_code: bool = False

    def __post_init__(self) -> None:
        for key, values in self.axes.items():
            if not len(values):
                raise InvalidInputError(f"the axis {key} must have at least one value; it has none.")
        both = next((key for key in self.axes if key in self.changes), None)
        if both is not None:
            raise InvalidInputError(f"{both} must be an axis or have one value in every cell; it was given as both.")
        if (count := prod(map(len, self.axes.values()))) > _LARGEST:
            raise InvalidInputError(f"a grid must have at most {_LARGEST} cells; this one has {count}.")
        for key, values in self.axes.items():
            single = [value for value in values if isinstance(value, Hashable)]
            others = [value for value in values if not isinstance(value, Hashable)]
            if len(set(single)) < len(single) or any(others.count(value) > 1 for value in others):
                raise InvalidInputError(f"the values of the axis {key} must differ; {list(values)} were given.")

    @property
    def cells(self) -> list[Cell]:
        """Every combination of the axes' values, the last axis fastest.

        Raises
        ------
        InvalidInputError
            If an axis is no field of the configuration, or a value does not fit.
        """
        # NumPy's numbers are as good as Python's.
        axes = [[value.item() if isinstance(value, np.generic) else value for value in v] for v in self.axes.values()]
        return [
            Cell(values, read_config(self.base, {**self.changes, **values}, allow_code=self.allow_code))
            for values in (dict(zip(self.axes, chosen, strict=True)) for chosen in product(*axes))
        ]


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """An axis as written on the command line: ``n_train=10,20,40``, ``seed=0..4``, ``model.attention=linear,softmax``.

    Raises
    ------
    InvalidInputError
        If it has another form.
    """
    key, equals, values = text.partition("=")
    if not equals or not key.strip() or not values.strip():
        raise InvalidInputError(f"an axis must be given as key=value,value,… or key=first..last; {text!r} was given.")
    span = _RANGE.fullmatch(values.strip())
    if span:
        first, last = int(span[1]), int(span[2])
        if not 0 <= last - first < _LARGEST:
            raise InvalidInputError(f"the range of an axis must ascend, by at most {_LARGEST}; {values!r} was given.")
        return key.strip(), list(range(first, last + 1))
    found = parse_value(f"[{values}]")
    return key.strip(), found if isinstance(found, list) else [found]


@dataclass(frozen=True)
class Judging:
    """What trained cells are judged on.

    Attributes
    ----------
    shifts : tuple of str
        Names of shifts of the prompts that a cell was trained on; "standard" is these prompts themselves.
    beside : tuple of str
        Names of classical predictors that are judged on the same prompts; "bayes" is the exact one, where known.
    n_prompts, seed : int
        Test prompts per shift, and their seed.
    points : int, optional
        P of the test prompts; N + 1 of each cell when omitted. The shift ``length=M`` has M + 1.
    """

    shifts: tuple[str, ...] = (STANDARD,)
    beside: tuple[str, ...] = ()
    n_prompts: int = 1_280
    seed: int = 0
    points: int | None = None

    def __post_init__(self) -> None:
        check_integer(self.seed, "the seed of the test prompts", minimum=0)
        for name in self.shifts:
            shift(name)
        for name in self.beside:
            check_choice(name, "classical predictor", (BAYES, *REGISTRY))

    def check_length(self, cells: Sequence[Cell]) -> None:
        """Say which prompts are longer than a model reads.

        Raises
        ------
        InvalidInputError
            If some are.
        """
        asked = [self.points, *(shift(name).n_points for name in self.shifts if name != STANDARD)]
        points = max((each for each in asked if each is not None), default=0)
        for cell in cells:
            most = getattr(cell.config.model, "max_points", None)
            if most is not None and points > most:
                raise InvalidInputError(
                    f"points must be at most model.max_points, which is {most}; {points} were asked for: raise it."
                )


@dataclass(frozen=True)
class Sweep:
    """What a sweep comes to.

    Attributes
    ----------
    table : DataFrame
        Tidy: one typed column per axis, then predictor, shift, position, mean, stderr, n. Squared errors, raw; of
        classes cross-entropies in nats.
    failed : DataFrame
        The cells that could not be trained or judged, or not on every shift: their values, and ``reason``.
    """

    table: pd.DataFrame
    failed: pd.DataFrame

    def complete(self) -> pd.DataFrame:
        """The table.

        Raises
        ------
        InvalidInputError
            If a cell failed.
        """
        if len(self.failed):
            first = self.failed.iloc[0].to_dict()
            reason = first.pop("reason")
            where = ", ".join(f"{key} = {value}" for key, value in first.items())
            raise InvalidInputError(
                f"every cell of the grid must succeed; {len(self.failed)} failed, {where}: {reason}"
            )
        return self.table


def sweep(grid: Grid, lab: Lab, judging: Judging) -> Sweep:
    """Train every cell and judge it; a cell that fails is listed, and the others continue.

    Parameters
    ----------
    grid : Grid
        What is trained.
    lab : Lab
        Where, and which folder keeps it.
    judging : Judging
        What trained cells are judged on.

    Raises
    ------
    InvalidInputError
        If an axis or a value does not fit the configuration.
    """
    cells = grid.cells
    judging.check_length(cells)
    jobs = [Job(f"training: {_label(cell)}", cell.config, lab.runs / cell.name) for cell in cells]
    reasons: dict[int, str] = {}

    def note(index: int, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            reasons[index] = _sentence(outcome)

    train_each(jobs, lab, note)
    units = {
        (i, name): Unit(
            judge, {"model": trained(job), "name": name, "judging": judging}, f"{_label(cells[i])} on {name}"
        )
        for i, job in enumerate(jobs)
        if i not in reasons
        for name in judging.shifts
    }
    outcomes = dict(zip(units, lab.outcomes(list(units.values()), "judging"), strict=True))
    for (i, name), outcome in outcomes.items():
        if isinstance(outcome, BaseException):
            reasons[i] = " ".join([*([reasons[i]] if i in reasons else []), f"on {name}: {_sentence(outcome)}"])
    values = _columns(cells)
    frames = [
        _labelled(outcome, values[i]) for (i, _), outcome in outcomes.items() if isinstance(outcome, pd.DataFrame)
    ]
    failed = pd.DataFrame(
        [{**values[i], "reason": reasons[i]} for i in sorted(reasons)], columns=[*grid.axes, "reason"]
    )
    columns = [*grid.axes, "predictor", "shift", "position", "mean", "stderr", "n"]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
    return Sweep(table, failed)


def judge(model: Trained, name: str, judging: Judging) -> pd.DataFrame:
    """Scores of a trained model and of classical predictors on the same, maybe shifted, prompts.

    Numbers are scored by squared errors, classes by cross-entropy in nats.
    """
    distribution = model.config.prompts.build()
    points, limit = judging.points or model.config.n_points, None
    if name != STANDARD:
        member = shift(name)
        distribution, limit = member.apply(distribution), member.max_points(distribution.dimension)
        points = member.n_points or points
    most = getattr(model.config.model, "max_points", None)
    points = min(end for end in (points, limit, most) if end is not None)
    network = load(model.path, device="auto", allow_code=bool(allowed_code(model.config)))
    predictors: dict[str, Predictor] = {"model": network}
    for each in judging.beside:
        known = bayes_predictor(distribution) if each == BAYES else None
        predictors[each] = known or predictor(each, distribution.dimension, model.config.n_train)
    table = compare(predictors, {name: distribution}, points, n_prompts=judging.n_prompts, seed=judging.seed)
    return table.rename(columns={"distribution": "shift"})


def cost(cells: Sequence[Cell]) -> list[tuple[Cell, Cost]]:
    """What every cell will cost; of cells that differ in seeds and rates alone, one is measured."""
    from iclab.training.cost import estimate_cost

    measured: dict[str, Cost] = {}
    costs: list[tuple[Cell, Cost]] = []
    for cell in cells:
        size = cell.config.as_dict()
        for field_ in ("seed", "optimizer", "schedule", "device"):
            size.pop(field_, None)
        key = digest(size)
        if key not in measured:
            measured[key] = estimate_cost(cell.config)
        costs.append((cell, measured[key]))
    return costs


def claim(directory: Path, grid: Grid, judging: Judging) -> None:
    """Mark a folder as that of a sweep, or check that it is one of the same base configuration.

    Raises
    ------
    InvalidInputError
        If it holds something else.
    """
    source = {} if isinstance(grid.base, Mapping) else {"file": str(grid.base)}
    base = plain(stated(grid.base, grid.changes))  # which need not be whole without the axes
    marker = directory / _MARKER
    if marker.exists():
        found = read_json(marker)
        if not isinstance(found, dict) or found.get("base") != base:
            raise InvalidInputError(
                f"{directory} must be a new folder or hold a sweep of the same configuration; it holds a sweep of "
                "another one: choose another --directory."
            )
    elif any(not entry.name.startswith(".") for entry in directory.iterdir()):
        raise InvalidInputError(f"{directory} must be empty or hold a sweep; it holds other files: choose another one.")
    axes = {key: list(values) for key, values in grid.axes.items()}
    judged = {"shifts": judging.shifts, "beside": judging.beside, "n_prompts": judging.n_prompts, "seed": judging.seed}
    write_json(marker, {**source, "base": base, "axes": plain(axes), "judged": plain(judged)})


def _label(cell: Cell) -> str:
    return ", ".join(f"{key} = {value}" for key, value in cell.axes.items()) or "the configuration"


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text if text.endswith(".") else f"{type(error).__name__}: {text}")[:300]


def _labelled(table: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """A cell's table behind a column for each axis."""
    return pd.concat([pd.DataFrame(dict(values), index=table.index), table], axis=1)


def _columns(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """The cells' values for columns of one type each: truth values, numbers, or text, which all others become."""
    rows = [dict(cell.axes) for cell in cells]
    for key in rows[0]:
        kinds = {type(row[key]) for row in rows}
        if kinds <= {int, float} or kinds in ({bool}, {str}):
            continue
        for row in rows:
            row[key] = row[key] if isinstance(row[key], str) else _as_written(row[key])
    return rows


def _as_written(value: Any) -> str:
    """A value as it would be given on the command line: null, true, {kind: gaussian, dimension: 2}."""
    return (
        yaml.safe_dump(plain(value), default_flow_style=True, sort_keys=False, width=math.inf)
        .removesuffix("\n...\n")
        .strip()
    )
