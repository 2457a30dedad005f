"""What ``iclab evaluate`` compares, from what it is asked: predictors by their columns, and the prompts they get."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iclab.evaluation import Suite
    from iclab.predictors import Predictor
    from iclab.predictors.limits import Limits

_OWN = "own"


@dataclass(frozen=True)
class Question:
    """What was asked, as on the command line."""

    target: str
    suite: str | None
    problem: str | None
    against: str | None
    dimension: int | None
    n_train: int | None
    points: int | None
    allow_code: bool


@dataclass(frozen=True)
class Field:
    """Who is compared, and on what.

    Attributes
    ----------
    suite : Suite
        Base distribution and shifts.
    predictors : dict of str to predictor
        By column, the target last.
    target : str
        Its column.
    problem : str or None
        What the prompts are, None for linear functions of standard normal inputs.
    points : int
        Number of positions P.
    """

    suite: Suite
    predictors: dict[str, Predictor]
    target: str
    problem: str | None
    points: int


def field_of(asked: Question) -> Field:
    """What is asked for, loaded and made.

    Raises
    ------
    InvalidInputError
        If something is unknown, cannot be read, or does not go together.
    """
    from iclab.predictors import REGISTRY, rivals

    law = None if asked.problem in (None, _OWN) else _law(str(asked.problem), allow_code=asked.allow_code)
    references: dict[str, Predictor] = {} if law is None else rivals(law, _trained(asked, law, None))
    target = _resolved(asked.target, {**REGISTRY, **references}, allow_code=asked.allow_code)
    if asked.problem == _OWN or (asked.problem is None and _needs_its_own(target)):
        law = _own(asked.target, target, allow_code=asked.allow_code)
    if law is None:
        return _linear(asked, target)
    return _of_problem(asked, target, law)


def _linear(asked: Question, target: str | Predictor) -> Field:
    """Beside the classical predictors, on linear functions of standard normal inputs and their shifts."""
    from iclab.foundations import check_integer
    from iclab.predictors import FAST, REGISTRY, predictor
    from iclab.predictors.limits import limits_of

    found = _columns(asked, target, list(FAST), REGISTRY)
    stated = [limits_of(each) for each in found.values()]
    d = _dimension(asked.dimension, dict(zip(found, stated, strict=True)))
    length = check_integer(asked.n_train if asked.n_train is not None else 2 * d, "n_train", minimum=1)
    points = _points(asked.points, 2 * d + 1, stated)
    made = {name: predictor(each, d, length) if isinstance(each, str) else each for name, each in found.items()}
    return Field(_suite(asked.suite or "garg", d), made, list(made)[-1], None, points)


def _of_problem(asked: Question, target: str | Predictor, law: Any) -> Field:
    """Beside its references and floors, on any law of prompts."""
    from iclab.evaluation import Suite
    from iclab.foundations import InvalidInputError
    from iclab.predictors import REGISTRY, predictor, rivals
    from iclab.predictors.limits import limits_of

    if asked.dimension not in (None, law.dimension):
        raise InvalidInputError(f"--dimension must be that of the problem, {law.dimension}; leave it out.")
    length = _trained(asked, law, target)
    references = rivals(law, length)
    found = _columns(asked, target, [*references], {**REGISTRY, **references})
    points = _points(asked.points, length + 1, [limits_of(each) for each in found.values()])
    size = law.dimension or law.labels.size
    made = {
        name: (references[each] if each in references else predictor(each, size, length))
        if isinstance(each, str)
        else each
        for name, each in found.items()
    }
    members = _suite(asked.suite or "standard", law.dimension)
    told = " ".join(repr(law).split())
    return Field(Suite(members.name, law, members.shifts), made, list(made)[-1], told, points)


def _law(given: str, *, allow_code: bool) -> Any:
    """The law of a YAML text, which the command line names and thereby allows, or of a file."""
    from pathlib import Path

    from iclab.foundations import user_path
    from iclab.foundations.documents import parse_yaml, read_yaml
    from iclab.prompts.problem_specifications import read_problem

    if given.lstrip().startswith("{"):
        return read_problem(parse_yaml(given, "the problem"), allow_code=True)
    data = read_yaml(user_path(Path(given)), f"the problem, {given},")
    if isinstance(data, dict) and ("preset" in data or "model" in data):  # a whole configuration
        from iclab.training import read_config

        return read_config(data, allow_code=allow_code).prompts.build()
    if isinstance(data, dict) and "prompts" in data:
        data = data["prompts"]
    return read_problem(data, allow_code=allow_code)


def _needs_its_own(target: str | Predictor) -> bool:
    """Whether the model reads no inputs, or its labels are no real numbers."""
    architecture = getattr(target, "architecture", None)
    return architecture is not None and (architecture.labels.kind != "real" or architecture.dimension == 0)


def _own(name: str, target: str | Predictor, *, allow_code: bool) -> Any:
    from iclab.foundations import InvalidInputError
    from iclab.targets import training_of

    config = training_of(target, allow_code=allow_code)
    if config is None:
        raise InvalidInputError(
            f"{name} must say what it was trained on, by a config.yaml in its folder; it does not: give --problem."
        )
    return config.prompts.build()


def _trained(asked: Question, law: Any, target: Any) -> int:
    """N: as asked, as the target was trained for, or twice the size of what is learned."""
    from iclab.foundations import check_integer
    from iclab.predictors.limits import limits_of
    from iclab.prompts.labels import labels_of

    if asked.n_train is not None:
        return check_integer(asked.n_train, "n_train", minimum=1)
    if asked.points is not None and target is None:
        return max(1, asked.points - 1)
    known = limits_of(target).examples
    return known or (2 * law.dimension if law.dimension else 20 * labels_of(law).size)


def _points(given: int | None, usual: int, stated: Sequence[Limits]) -> int:
    from iclab.foundations import check_integer

    most = min((each.max_points for each in stated if each.max_points is not None), default=usual)
    return check_integer(given if given is not None else min(usual, most), "points", minimum=1)


def _columns(
    asked: Question, target: str | Predictor, usual: list[str], names: Collection[str]
) -> dict[str, str | Predictor]:
    """What is compared by the columns that it gets, the target last."""
    from iclab.cli.arguments import listed
    from iclab.targets import column_names

    given = asked.against
    others = usual if given is None else [] if given == "none" else listed([given], "--against")
    targets = list(dict.fromkeys([*(each for each in others if each != asked.target), asked.target]))
    found = [_resolved(each, names, allow_code=asked.allow_code) for each in targets[:-1]]
    return dict(zip(column_names(targets, names), [*found, target], strict=True))


def _resolved(target: str, names: Collection[str], *, allow_code: bool) -> str | Predictor:
    """What a target names; module:object was asked for, what a folder names was not."""
    from iclab.cli.progress import plain_warnings
    from iclab.foundations import user_path
    from iclab.targets import resolve

    with plain_warnings():
        allowed = allow_code or not user_path(target).exists()
        return resolve(target, names, what="target", device="auto", allow_code=allowed)


def _dimension(given: int | None, stated: dict[str, Limits]) -> int:
    """Dimension of the prompts: as given, or the one that all that have one share."""
    from iclab.foundations import InvalidInputError, check_integer

    if given is not None:
        return check_integer(given, "dimension", minimum=1)
    own = {name: each.dimension for name, each in stated.items() if each.dimension is not None}
    if len(set(own.values())) > 1:
        raise InvalidInputError(
            "what is compared must take prompts of one dimension; "
            f"{', '.join(f'{name} takes {d}' for name, d in own.items())}: leave out the others."
        )
    return next(iter(own.values()), 20)


def _suite(name: str, dimension: int) -> Suite:
    from iclab.evaluation import SUITES, Suite
    from iclab.foundations import InvalidInputError
    from iclab.prompts import SHIFTS, Gaussian, Linear, PromptDistribution, shift

    size = max(1, dimension)
    if name in SUITES:
        return Suite.named(name, size)
    members = tuple(part.strip() for part in name.split(","))
    try:
        for member in members:
            shift(member)
    except InvalidInputError as error:
        if len(members) > 1 or "=" in name or "+" in name:
            raise
        from iclab.foundations import check_choice

        check_choice(name, "suite", (*SUITES, *SHIFTS))
        raise error
    return Suite("shifts", PromptDistribution(Gaussian.isotropic(size), Linear()), members)
